//! What the tool does: each job takes a model, images and options and gives a result.

mod budget;
mod device;
mod distributions;
mod earlier;
mod evaluate;
mod export;
mod export_c;
mod first;
mod generalize;
mod infer;
mod inspect;
mod keep;
mod measure;
mod metric;
mod options;
mod oracle;
mod pareto;
mod pictured;
mod quantize;
mod refit;
mod served;
mod sweep;
mod threads;

pub use device::{DeviceOptions, device_of_model, device_of_plan};
pub use distributions::plot_distributions;
pub use evaluate::{EvaluateOptions, evaluate, evaluate_model};
pub use export::{ExportForm, ExportOptions, Exported, export, export_model};
pub use export_c::{CExport, export_c, export_c_model};
pub use generalize::{GeneralizeOptions, Generalized, generalize, generalize_observed};
pub use infer::{IntegerNetwork, Integers};
pub use inspect::{inspect, inspect_model};
pub use keep::Keep;
pub(crate) use keep::keep_name;
pub use options::{QuantizeOptions, Strategy, Tune};
pub use quantize::{
    Outcome, Worker, quantize, quantize_model, quantize_observed, quantize_spread, refit,
    refit_model,
};
pub use served::page_of_folder;
pub use sweep::{SweepOptions, sweep, sweep_observed};
