//! What the tool does: each job takes a model, images and options and gives a result.

mod budget;
mod distributions;
mod earlier;
mod evaluate;
mod export;
mod export_c;
mod generalize;
mod inspect;
mod measure;
mod metric;
mod options;
mod oracle;
mod pareto;
mod quantize;
mod sweep;
mod threads;

pub use distributions::plot_distributions;
pub use evaluate::{EvaluateOptions, evaluate};
pub use export::{ExportForm, ExportOptions, Exported, export};
pub use export_c::{CExport, export_c};
pub use generalize::{GeneralizeOptions, Generalized, generalize, generalize_observed};
pub use inspect::inspect;
pub use options::{QuantizeOptions, Strategy};
pub use quantize::{Outcome, quantize, quantize_observed};
pub use sweep::{SweepOptions, sweep, sweep_observed};
