//! The choice of formats: calibration statistics, the evaluator, the search strategies.
//!
//! Nothing here touches a file, a clock or the environment, and no result depends on the number of
//! threads.
#![forbid(unsafe_code)]

mod digest;
mod error;
pub mod evaluate;
mod metric;
mod random;
pub mod reconstruct;
mod score;
pub mod spread;
mod statistics;
pub mod strategies;
pub mod tune;
mod tuning;

pub use digest::Digest;
pub use error::SearchError;
pub use evaluate::{
    Evaluation, Evaluator, EvaluatorOptions, FloatRows, FloatRun, Images, JournalEntry, Local,
    Measure, Oracle, Part, Predictions, Question, Request, Truth,
};
pub use metric::MetricName;
pub use score::{ClassBound, ClassScore, Details, Figure, MaxLoss, Score, Unit, proportion95};
pub use statistics::{
    Histogram, Offset, Statistics, calibrate, format_least_error, format_least_error_of,
    format_no_clip, squared_error_of, stated,
};
pub use tuning::{Scale, Tuning};
