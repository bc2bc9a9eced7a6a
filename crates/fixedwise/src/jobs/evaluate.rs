//! A plan that exists, measured.

use super::{
    budget,
    first::{Checks, first},
    measure::{
        input_formats, integers, judged, measure_with, metric_name, outputs, peak_ram, unit,
    },
    metric::Metric,
    options::QuantizeOptions,
    pareto::Asked,
    pictured::{distributions, lost_images},
    refit::{Refit, check_target, known},
    threads::pool,
};
use crate::{
    data::{DataOptions, Declared, Preprocessed as _, Sets},
    error::Error,
    model::{Model, ModelSource},
    plan::{PlanSource, open_model},
    result::{FigureResult, ImagesResult, RunResult, SetResult},
    watch::{Observer, Progress, Step},
};
use fixedwise_fixed::convert::count_to_u64;
use fixedwise_graph::{Interface, Plan, Semantics, Target};
use fixedwise_kernels::Kernels;
use fixedwise_search::{
    ClassBound, Details, Images as _, MaxLoss, MetricName, calibrate, strategies::PlanHead,
};
use std::{
    cell::Cell,
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
    time::Instant,
};

/// What [`evaluate`] is asked for.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct EvaluateOptions {
    /// Whether the weights are rounded anew first, as [`refit`](crate::refit()) does, for the calibration images.
    pub refit: bool,
    /// Of the choice of these images, where weights are rounded anew: the one of the search.
    pub seed: u64,
    /// What the formats mean; by default what the plan says.
    pub semantics: Option<Semantics>,
    /// What the plan is for: its rules must be kept, and its memory is what is counted. By default
    /// the one that the plan names, where that comes with fixedwise; else no rule beyond the
    /// specification's, and the memory of [`Target::default`].
    pub target: Option<Target>,
    /// Threads; by default as many as the machine has.
    pub threads: Option<usize>,
    /// What a model of weights alone is the weights of; see [`Model::load_with`].
    pub architecture: Option<PathBuf>,
    /// Extents of an input whose file leaves some open, and the values that are the outputs.
    pub interface: Interface,
    /// The loss of recall that every class is held against.
    pub max_class_loss: Option<ClassBound>,
    /// A command that says how good outputs are, as for [`QuantizeOptions::metric_command`].
    pub metric_command: Option<String>,
}

/// Measures a plan on the test images of `data`, and says what it costs.
///
/// # Errors
/// [`Error`] for a model, plan or data that cannot be used, and for a plan that breaks a rule of its
/// target, or whose accumulators cannot be proved to fit 32 bits.
///
/// ```
/// # fn main() -> Result<(), fixedwise::Error> {
/// # let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
/// # let folder = tempfile::tempdir().expect("a temporary folder");
/// # let path = folder.path().join("plan.json");
/// use fixedwise::{DataOptions, EvaluateOptions, evaluate};
///
/// // In the paper's terms: bit width and fractional offset by layer; here of one tensor alone.
/// let text = r#"{"weights": {"conv2d_2": [8, 8]}, "biases": {}, "activations": {}}"#;
/// std::fs::write(&path, text).expect("writable");
/// let data = DataOptions {
///     test: Some(format!("{root}/data/fashion-mnist:test@0..200").parse()?),
///     ..DataOptions::default()
/// };
/// let model = format!("{root}/models/fashion_small.onnx");
/// let result = evaluate(model.as_ref(), &path, &data, &EvaluateOptions::default(), &())?;
/// assert_eq!(result.accuracy.test.map(|test| test.n), Some(200));
/// # Ok(())
/// # }
/// ```
pub fn evaluate(
    model: &Path,
    plan: &Path,
    data: &DataOptions,
    options: &EvaluateOptions,
    observer: &dyn Observer,
) -> Result<RunResult, Error> {
    let model = ModelSource::File(model, options.architecture.as_deref(), &options.interface);
    let plan = PlanSource::File(plan);
    pool(options.threads)?.install(|| run(model, plan, data, options, observer))
}

/// As [`evaluate`], of a model and a plan in memory. A target must be named by the options: the plan
/// names none.
///
/// # Errors
/// As [`evaluate`]; a plan is checked as its file would be.
///
/// ```
/// # fn main() -> Result<(), fixedwise::Error> {
/// # let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
/// # let bytes = std::fs::read(format!("{root}/models/fashion_small.onnx")).expect("readable");
/// use fixedwise::{
///     DataOptions, EvaluateOptions, Format, LayerPlan, Model, Plan, Quantizer, Rounding, Semantics,
///     evaluate_model,
/// };
///
/// let plan = Plan {
///     semantics: Semantics::Simulated,
///     quantizer: Quantizer::Uniform,
///     rounding: Rounding::TiesEven,
///     input: Format::unsigned(8, 0),
///     layers: vec![LayerPlan {
///         name: "conv2d_2".to_owned(),
///         weights: Some(Format::signed(8, 8)),
///         bias: None,
///         activation: None,
///     }],
///     rounded: Default::default(),
///     thinned: None,
///     others: Default::default(),
/// };
/// let data = DataOptions {
///     test: Some(format!("{root}/data/fashion-mnist:test@0..200").parse()?),
///     preprocess: Some("scale=1/255".parse()?),
///     ..DataOptions::default()
/// };
/// let model = Model::from_bytes("fashion_small", &bytes)?;
/// let result = evaluate_model(&model, &plan, &data, &EvaluateOptions::default(), &())?;
/// assert!(result.accuracy.test.is_some_and(|test| test.fixed > 0.8));
/// # Ok(())
/// # }
/// ```
pub fn evaluate_model(
    model: &Model,
    plan: &Plan,
    data: &DataOptions,
    options: &EvaluateOptions,
    observer: &dyn Observer,
) -> Result<RunResult, Error> {
    let (model, plan) =
        (ModelSource::Loaded(model, options.architecture.as_deref()), PlanSource::Loaded(plan));
    pool(options.threads)?.install(|| run(model, plan, data, options, observer))
}

fn run(
    model: ModelSource,
    given: PlanSource,
    data: &DataOptions,
    options: &EvaluateOptions,
    observer: &dyn Observer,
) -> Result<RunResult, Error> {
    let start = Instant::now();
    let tell = |step| {
        observer.progress(&Progress { seconds: start.elapsed().as_secs_f64(), step });
    };
    tell(Step::Loading);
    let model = open_model(model, Some(given))?;
    let declared = data.declared(&model, Some(given))?;
    let command = options.metric_command.as_deref();
    let mut asked = data.clone();
    if command.is_some() {
        asked.metric = Some(MetricName::Sqnr);
    }
    let reported = Sets::load_test(&asked, &model, declared)?;
    let model = model.with_preprocessing(&reported)?;
    let images = &reported.images;
    let is_asked = options.target.is_some();
    let target = options.target.clone();
    let target = target.map_or_else(|| given.target(), |target| Ok(Some(target)))?;
    let kernels = Kernels::best();
    let target = target.as_ref();
    let edited = if options.refit {
        check_target(given, target.is_some())?;
        Some(given.read_edited(&model)?)
    } else {
        None
    };
    let mut plan = match &edited {
        Some(edited) => edited.plan.clone(),
        None => given.read(&model, options.semantics)?,
    };
    budget::check_semantics(plan.semantics, is_asked)?;
    let graph = model.prepared(plan.semantics)?;
    // What is rounded anew may be no network as it was edited.
    let mut fixed = if options.refit { None } else { integers(&graph, &plan, target)? };
    tell(Step::MeasuringFloat { images: reported.len() });
    let go_on = AtomicBool::new(false);
    let counts = (MaxLoss::default(), command);
    let predictions = judged(counts, model.graph(), images, kernels, &go_on)?;
    let is_of_values = reported.images.metric() == Some(MetricName::Sqnr);
    let checks = Checks {
        is_of_values,
        expect: data.expect,
        is_searched: false,
        inputs: input_formats(&graph, &plan),
    };
    let first = first(&model, images, &reported, &predictions, &checks)?;
    tell(first.step());
    if let Some(edited) = &edited {
        let refit = Refit { edited, known: known(given, &model) };
        plan = refitted(&model, &refit, (data, reported.declared().0), options, target, &tell)?;
        fixed = integers(&graph, &plan, target)?;
    }
    if options.max_class_loss.is_some() {
        ClassBound::check(&predictions.labels())?;
    }
    tell(Step::Testing { images: reported.len() });
    let measured = measure_with(predictions, &graph, &plan, images, target, kernels)?;
    let n = count_to_u64(reported.len());
    let mut result = RunResult {
        strategy: "given".to_owned(),
        model: model.result(),
        preprocessing: Some(first.preprocessing),
        float_network: Some(first.float),
        bound_met: true,
        images: ImagesResult { test: n, ..ImagesResult::default() },
        peak_ram_bytes: peak_ram(&graph, fixed.as_ref(), kernels),
        evaluations: 1,
        images_evaluated: n,
        ..RunResult::default()
    };
    metric_name(counts, images).clone_into(&mut result.metric);
    let mut test = match images.metric() {
        Some(MetricName::Sqnr) if command.is_none() => SetResult::of_sqnr(measured.score),
        _ => SetResult::from(measured.score),
    };
    let unit = unit(MaxLoss::default(), images.metric());
    test.figure = measured.details.figure.map(|figure| FigureResult::new(&figure, unit));
    if let Some(command) = command {
        let metric = Metric::new(command, model.graph(), images);
        let both = outputs(model.graph(), &graph, &plan, images, kernels)?;
        let [float, fixed] = both.map(|outputs| metric.of(&outputs));
        test.metric = Some([float?, fixed?]);
    }
    result.accuracy.test = Some(test);
    let names = (&model.outputs()[..], images.class_names());
    result.tell_details(names, &Details::default(), &measured.details, options.max_class_loss);
    let of_classes = result.class_bound.as_ref().and_then(|bound| bound.test.as_ref());
    result.bound_met = of_classes.is_none_or(|found| found.is_met);
    result.describe(&graph, &plan, fixed.as_ref())?;
    result.distributions = distributions(&graph, None);
    result.lost_images = lost_images(model.graph(), images, &measured.lost);
    if let Some(fixed) = &fixed {
        let limits = budget::limits(None, None, target);
        let target = target.cloned().unwrap_or_default();
        budget::take(&mut result, &graph, &plan, fixed, &target, limits);
    }
    result.seconds = start.elapsed().as_secs_f64();
    Ok(result)
}

/// The plan with its weights rounded anew for the calibration images.
fn refitted(
    model: &Model,
    refit: &Refit,
    (data, declared): (&DataOptions, &Declared),
    options: &EvaluateOptions,
    target: Option<&Target>,
    tell: &(dyn Fn(Step) + Sync),
) -> Result<Plan, Error> {
    let images = Sets::load_to_round(data, model, declared)?;
    let semantics = refit.edited.plan.semantics;
    let (graph, whole) = (model.prepared(semantics)?, model.whole(semantics)?);
    let stop = AtomicBool::new(false);
    let total = images.len();
    let statistics = calibrate(&graph, &images, Kernels::best(), &stop, &|done| {
        tell(Step::Calibrating { done, total });
    })?;
    let head = PlanHead::of_plan(&graph, &refit.edited.plan);
    let search = QuantizeOptions {
        target: target.cloned(),
        seed: options.seed,
        ..QuantizeOptions::default()
    };
    let asked = Asked {
        options: &search,
        head: &head,
        calibration: &images,
        search: &images,
        unlabeled: None,
        whole: whole.as_ref(),
        stop: &stop,
    };
    let (prepared, _) = refit.prepare(asked, &graph, &statistics)?;
    let (done, total) = (Cell::new(0), graph.layers().count());
    let plan = refit.plan(asked, &prepared, &|| {
        done.set(done.get() + 1);
        tell(Step::Rounding { done: done.get(), total });
    })?;
    Ok(Plan { thinned: model.thinned(semantics), ..plan })
}
