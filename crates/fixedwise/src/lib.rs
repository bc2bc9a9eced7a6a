//! Turns a trained CNN into an integer-only fixed-point network: the public interface.
//!
//! [`quantize`] does the whole way: it reads a model and images, sees the range of every value,
//! searches the fewest bits that keep the accuracy, proves that no accumulator can overflow and
//! measures the result on images that no decision has seen. [`evaluate`] measures a plan,
//! [`export`] writes it in the forms of other tools, [`inspect`] looks at a model, [`sweep`] at every format of a grid, [`generalize`] at parts of a
//! data set that a plan was not tuned on.
#![forbid(unsafe_code)]

mod budget;
mod data;
mod earlier;
mod error;
mod evaluate;
mod export;
mod export_c;
mod generalize;
mod inspect;
mod journal;
mod loaders;
mod measure;
mod metric;
mod model;
mod options;
mod output;
mod paper_plan;
mod pareto;
mod plan_file;
mod plan_integers;
mod plot;
mod progress;
mod quantize;
mod result;
mod result_plan;
mod sets;
mod summary;
mod sweep;
mod sweep_result;
mod table;
mod target_file;
mod watch;

pub use data::{DataError, DataSource, Layout, Preprocess, Split};
pub use error::Error;
pub use evaluate::{EvaluateOptions, evaluate};
pub use export::{ExportForm, ExportOptions, Exported, export};
pub use export_c::{CExport, CExported, CExportedLayer, export_c};
pub use fixedwise_fixed::{Format, Range, Rounding};
pub use fixedwise_graph::{
    LayerPlan, Plan, Quantizer, Rounded, Semantics, Shape, Target,
    target::{Code, MultiplicationCost, Widths},
};
pub use fixedwise_search::{
    MaxLoss, Offset,
    strategies::{
        Budget, Kind, LayerOrder, Objective, SearchOptions, Sensitivity, StartBits, TraceEntry,
        WidthEffect,
        brute_force::{Direction, Fracs, Grid, Hold, ScoreRule},
        pareto::{Explanation, FrontPlan, Remedy, Share},
    },
};
pub use generalize::{
    Generalization, GeneralizeOptions, Generalized, PartResult, generalize, generalize_observed,
};
pub use inspect::{Inspection, NodeInspection, inspect};
pub use model::Model;
pub use options::{QuantizeOptions, Strategy};
pub use output::write_file;
pub use plan_file::{plan_target, plan_to_toml, plan_to_toml_for, read_plan};
pub use plot::{
    FormatMap, Picture, PlanBits, plot_bits, plot_costs, plot_distributions, plot_drop, plot_front,
    plot_heatmap, plot_sensitivity,
};
pub use progress::{Candidate, Observer, Progress, Step};
pub use quantize::{Outcome, quantize, quantize_observed};
pub use result::{
    AccuracyResult, BudgetResult, BudgetStep, Ended, FormatResult, HolderResult, ImagesResult,
    LayerResult, MaxLossResult, MemoryResult, ModelResult, MultiplicationResult, OtherResult,
    RESULT_SCHEMA, RunResult, SetResult, TraceStep,
};
pub use sets::DataOptions;
pub use summary::summary;
pub use sweep::{SweepOptions, sweep, sweep_observed};
pub use sweep_result::{SweepHold, SweepLayer, SweepPoint, SweepResult};
pub use target_file::{read_target, target_names};

use sha2::Digest as _;

/// SHA-256 in hexadecimal digits.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(64);
    for byte in sha2::Sha256::digest(bytes) {
        write!(text, "{byte:02x}").expect("a string takes everything");
    }
    text
}

/// Threads of its own for a run.
pub(crate) fn threads(count: Option<usize>) -> Result<rayon::ThreadPool, Error> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(count.unwrap_or(0))
        .build()
        .map_err(|error| Error::Option { option: "threads", problem: error.to_string() })
}
