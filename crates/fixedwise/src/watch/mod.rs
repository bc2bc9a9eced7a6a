//! What is told and written down while a job runs.

mod journal;
mod progress;
mod remaining;
mod running;
mod search;

pub(crate) use journal::{Journal, Told};
pub(crate) use progress::Halt;
pub use progress::{Candidate, Observer, Progress, Step};
pub use remaining::TimeLeft;
pub use running::Running;
pub(crate) use search::{Bound, ClassParts, TuningTime, Watch, why_not};
