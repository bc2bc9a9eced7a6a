//! What jobs found, as plain data and as JSON.

mod device;
mod exported;
mod generalization;
mod head;
mod inspection;
mod preprocessing;
mod run;
mod sweep;

pub use device::{ClockResult, DeviceResult};
pub use exported::{CExported, CExportedLayer};
pub use generalization::{Generalization, MeanResult, PartResult, SeedResult, Spread};
pub(crate) use head::TOOL;
pub use head::{
    Ended, ModelResult, RoundedBeforeResult, RoundedValuesResult, RoundedWeightsResult,
};
pub use inspection::{
    InputInspection, Inspection, NodeInspection, OutputInspection, RefusalResult, RefusedModel,
};
pub use preprocessing::{FloatFigure, FloatResult, InputRange, PreprocessingResult};
pub(crate) use run::AGREEMENT;
pub use run::{
    AccuracyResult, BudgetResult, BudgetStep, ClassBoundResult, ClassLossResult, ClassResult,
    CodeResult, ComparedResult, DistributionResult, FigureResult, FormatResult, HistogramResult,
    HolderResult, ImagesResult, InstructionResult, LayerResult, LostImageResult, MaxLossResult,
    MemoryResult, MultiplicationResult, NodeResult, OtherResult, OutputResult, RESULT_SCHEMA,
    RecallResult, RunResult, SchedulePart, ScheduledNode, SetResult, TraceStep,
};
pub(crate) use sweep::layers;
#[cfg(test)]
pub(crate) use sweep::tests::{entry, swept};
pub use sweep::{SweepHold, SweepLayer, SweepPoint, SweepResult};
