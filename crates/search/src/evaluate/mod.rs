//! Plans are measured here: on every image, running only what differs from what is cached.
//!
//! `runner.rs` is the only loop over images; `measure.rs` says what may be asked of whoever runs them,
//! `local.rs` does so here, and `evaluator.rs` asks and remembers.

pub(crate) mod cache;
mod evaluator;
mod images;
mod local;
mod measure;
mod oracle;
mod predictions;
pub(crate) mod runner;

pub use evaluator::Evaluator;
pub(crate) use evaluator::ROUND;
pub use images::{Images, Truth};
pub use local::{EvaluatorOptions, Local};
pub use measure::{Measure, Part, Question, Request};
pub use oracle::{Evaluation, JournalEntry, Oracle};
pub use predictions::{FloatRows, FloatRun, Predictions};
pub(crate) use predictions::{log_softmax, of_classes};
