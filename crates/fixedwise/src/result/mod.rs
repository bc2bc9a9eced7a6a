//! What jobs found, as plain data and as JSON.

mod run;
mod sweep;

pub(crate) use run::TOOL;
pub use run::{
    AccuracyResult, BudgetResult, BudgetStep, Ended, FormatResult, HolderResult, ImagesResult,
    LayerResult, MaxLossResult, MemoryResult, ModelResult, MultiplicationResult, OtherResult,
    RESULT_SCHEMA, RunResult, SetResult, TraceStep,
};
pub(crate) use sweep::layers;
pub use sweep::{SweepHold, SweepLayer, SweepPoint, SweepResult};
