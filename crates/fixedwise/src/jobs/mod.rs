//! What the tool does: each job takes a model, images and options and gives a result.

mod budget;
mod earlier;
mod evaluate;
mod export;
mod export_c;
mod generalize;
mod inspect;
mod measure;
mod metric;
mod options;
mod pareto;
mod quantize;
mod sweep;
mod threads;

pub use evaluate::{EvaluateOptions, evaluate};
pub use export::{ExportForm, ExportOptions, Exported, export};
pub use export_c::{CExport, CExported, CExportedLayer, export_c};
pub use generalize::{
    Generalization, GeneralizeOptions, Generalized, PartResult, generalize, generalize_observed,
};
pub use inspect::{Inspection, NodeInspection, inspect};
pub(crate) use metric::Metric;
pub use options::{QuantizeOptions, Strategy};
pub use quantize::{Outcome, quantize, quantize_observed};
pub use sweep::{SweepOptions, sweep, sweep_observed};
pub(crate) use threads::pool;
