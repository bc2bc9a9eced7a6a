//! What is told and written down while a job runs.

mod journal;
mod progress;
mod remaining;
mod search;

pub(crate) use journal::Journal;
pub(crate) use progress::Halt;
pub use progress::{Candidate, Observer, Progress, Step};
pub use remaining::TimeLeft;
pub(crate) use search::{TuningTime, Watch, why_not};
