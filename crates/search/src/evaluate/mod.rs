//! Plans are measured here: on every image, running only what differs from what is cached.

pub(crate) mod cache;
mod evaluator;
mod images;
mod oracle;
mod predictions;
mod workers;

pub use evaluator::{Evaluator, EvaluatorOptions};
pub use images::Images;
pub use oracle::{Evaluation, JournalEntry, Oracle};
pub use predictions::Predictions;
