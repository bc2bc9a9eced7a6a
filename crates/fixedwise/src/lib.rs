//! Turns a trained CNN into an integer-only fixed-point network: the public interface.
//!
//! [`quantize`] does the whole way: it reads a model and images, sees the range of every value,
//! searches the fewest bits that keep the accuracy, proves that no accumulator can overflow and
//! measures the result on images that no decision has seen. [`evaluate`] measures a plan, [`refit`] rounds an
//! edited one anew, [`export`] writes it in the forms of other tools, [`inspect`] looks at a model, [`sweep`] at every
//! format of a grid, [`generalize`] at parts of a data set that a plan was not tuned on.
//!
//! Models and images are files, or in memory: [`Model::from_bytes`] and [`DataSource::arrays`], which
//! [`quantize_model`], [`evaluate_model`], [`inspect_model`] and [`export_model`] take. [`sections`]
//! gives the report of a run as plain data, [`summary`] as text.
#![forbid(unsafe_code)]

mod data;
mod error;
mod files;
mod fingerprint;
mod fold;
mod jobs;
mod model;
mod names;
mod plan;
mod preprocess;
mod result;
mod show;
mod units;
mod watch;

pub use data::{
    Arrays, Buffer, DataOptions, DataOrigin, DataSource, Labels, Pixels, Split, Values,
};
pub use error::{DataError, Error, Subject};
pub use files::write_file;
pub use fixedwise_fixed::{Format, Range, Rounding};
pub use fixedwise_graph::{
    InputShape, Interface, LayerPlan, Plan, Quantizer, Refusal, Rounded, Semantics, Shape, Target,
    emit::c::{Cpu, Package, WeightPlace},
    emit::tflite::{TfliteKernels, TfliteOptions},
    target::{Code, KernelChoice, MultiplicationCost, Widths},
};
pub use fixedwise_search::{
    ClassBound, MaxLoss, MetricName, Offset, Scale, Tuning, Unit,
    spread::{Given as NodeGiven, Happened as NodesHappened, Nodes, Question as NodeQuestion},
    strategies::{
        Budget, Kind, LayerOrder, Objective, SearchOptions, Sensitivity, StartBits, TraceEntry,
        WidthEffect,
        brute_force::{Direction, Fracs, Grid, Hold, ScoreRule},
        pareto::{Explanation, FrontPlan, Held, Remedy, Share},
    },
};
pub use fold::{folded, text_width};
pub use jobs::{
    CExport, DeviceOptions, EvaluateOptions, ExportForm, ExportOptions, Exported,
    GeneralizeOptions, Generalized, IntegerNetwork, Integers, Keep, Outcome, QuantizeOptions,
    Strategy, SweepOptions, Tune, Worker, device_of_model, device_of_plan, evaluate,
    evaluate_model, export, export_c, export_c_model, export_model, generalize,
    generalize_observed, inspect, inspect_model, page_of_folder, plot_distributions, quantize,
    quantize_model, quantize_observed, quantize_spread, refit, refit_model, sweep, sweep_observed,
};
pub use model::Model;
pub use names::distance;
pub use plan::{
    model_of_plan, plan_interface, plan_kernels, plan_preprocess, plan_target, plan_to_toml,
    plan_to_toml_for, read_plan, read_target, target_names,
};
pub use preprocess::{DeclaredBy, Layout, Preprocess};
pub use result::{
    AccuracyResult, BudgetResult, BudgetStep, CExported, CExportedLayer, ClassBoundResult,
    ClassLossResult, ClassResult, ClockResult, CodeResult, ComparedResult, DeviceResult,
    DistributionResult, Ended, FigureResult, FloatFigure, FloatResult, FormatResult,
    Generalization, HistogramResult, HolderResult, ImagesResult, InputInspection, InputRange,
    Inspection, InstructionResult, LayerResult, LostImageResult, MaxLossResult, MeanResult,
    MemoryResult, ModelResult, MultiplicationResult, NodeInspection, NodeResult, OtherResult,
    OutputInspection, OutputResult, PartResult, PreprocessingResult, RESULT_SCHEMA, RecallResult,
    RefusalResult, RefusedModel, RoundedBeforeResult, RoundedValuesResult, RoundedWeightsResult,
    RunResult, SchedulePart, ScheduledNode, SeedResult, SetResult, Spread, SweepHold, SweepLayer,
    SweepPoint, SweepResult, TraceStep,
};
pub use show::{
    FormatMap, JobResult, Now, Picture, PlanBits, ServedPage, Shown, TextOptions, first_result,
    jobs_json, jobs_text, page, plot_bits, plot_costs, plot_drop, plot_front, plot_heatmap,
    plot_sensitivity, report, running_page, sections, served_page, summary,
};
pub use units::{Clock, parse_bytes};
pub use watch::{Candidate, Observer, Progress, Running, Step, TimeLeft};
