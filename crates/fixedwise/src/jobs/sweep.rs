//! Every format of a grid, measured: brute force over one kind of tensors.

use super::{
    first::{Checks, first},
    measure::with_inputs,
    options::check_quantizer,
    threads::pool,
};
use crate::{
    data::{DataOptions, Preprocessed, Sets, View},
    error::{DataError, Error},
    files::{OutputFolder, write_file},
    model::{Model, ModelSource},
    names::ShortNames,
    plan::{PlanSource, formats_alone, open_model, read_plan, write_plan},
    result::{AGREEMENT, Ended, SweepHold, SweepResult, layers},
    watch::{Candidate, Halt, Observer, Progress, Step, TimeLeft},
};
use fixedwise_fixed::convert::{count_to_f64, count_to_u64};
use fixedwise_graph::{Interface, Plan, Quantizer, Semantics};
use fixedwise_kernels::Kernels;
use fixedwise_search::{
    Evaluation, Evaluator, EvaluatorOptions, Images, Oracle as _, Predictions, calibrate, stated,
    strategies::{
        BruteForceOptions, Event, Kind, PlanHead, brute_force,
        brute_force::{Direction, Grid, Hold},
    },
};
use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
    time::Instant,
};

/// Images that calibrate where only those to measure on are named.
const CALIBRATION_IMAGES: usize = 2000;

/// What [`sweep`] is asked for, beside the model and the data.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepOptions {
    /// Whose formats are tried.
    pub kind: Kind,
    /// The one layer that is swept; by default all, one after the other.
    pub layer: Option<String>,
    /// The way through the layers.
    pub direction: Direction,
    /// The formats that are tried.
    pub grid: Grid,
    /// Whether the best of each layer is held on the way; else each is swept alone.
    pub hold: Option<Hold>,
    /// What the other tensors stand at. By default they are float; in integer semantics weights and
    /// activations have 12 bits and biases their accumulator's scale.
    pub plan: Option<PathBuf>,
    /// What formats mean; by default what the plan says, simulated without one.
    pub semantics: Option<Semantics>,
    /// What formats are applied to; by default what the plan says.
    pub quantizer: Option<Quantizer>,
    /// Of the half of a split that is measured on, where only [`DataOptions::data`] is named.
    pub seed: u64,
    /// Threads; by default as many as the machine has.
    pub threads: Option<usize>,
    /// Bytes of values that are kept to spare work.
    pub cache_bytes: usize,
    /// Where `sweep.json` goes, and `plan.toml` where points are held; nowhere by default.
    pub output: Option<PathBuf>,
    /// What a model of weights alone is the weights of; see [`Model::load_with`].
    pub architecture: Option<PathBuf>,
    /// Extents of an input whose file leaves some open, and the values that are the outputs.
    pub interface: Interface,
}

impl SweepOptions {
    /// All layers forward, each alone, the others in float.
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            layer: None,
            direction: Direction::Forward,
            grid: Grid::default(),
            hold: None,
            plan: None,
            semantics: None,
            quantizer: None,
            seed: 0,
            threads: None,
            cache_bytes: EvaluatorOptions::default().cache_bytes,
            output: None,
            architecture: None,
            interface: Interface::default(),
        }
    }
}

/// Measures every format of a grid for one kind of tensors, layer by layer, on the search images.
///
/// # Errors
/// [`Error`] for a model, data, plan or options that cannot be used, a grid that is empty or too
/// large, a layer without such a tensor, and files that cannot be written.
///
/// ```
/// # fn main() -> Result<(), fixedwise::Error> {
/// # let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
/// use fixedwise::{DataOptions, Fracs, Grid, Kind, SweepOptions, sweep};
///
/// let data = DataOptions {
///     search: Some(format!("{root}/data/fashion-mnist:test@0..100").parse()?),
///     ..DataOptions::default()
/// };
/// let options = SweepOptions {
///     layer: Some("dense_1".to_owned()),
///     grid: Grid { bits: 1..=2, fracs: Fracs::FromNoClip(0..=1) },
///     ..SweepOptions::new(Kind::Weights)
/// };
/// let model = format!("{root}/models/fashion_small.onnx");
/// let result = sweep(model.as_ref(), &data, &options)?;
/// assert_eq!(result.layers[0].points.len(), 4);
/// # Ok(())
/// # }
/// ```
pub fn sweep(
    model: &Path,
    data: &DataOptions,
    options: &SweepOptions,
) -> Result<SweepResult, Error> {
    sweep_observed(model, data, options, &(), &AtomicBool::new(false))
}

/// As [`sweep`], watched by `observer`; raising `stop` ends it with what was measured by then.
///
/// # Errors
/// As [`sweep`].
///
/// ```
/// # fn main() -> Result<(), fixedwise::Error> {
/// # let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
/// use fixedwise::{DataOptions, Kind, Progress, Step, SweepOptions, sweep_observed};
/// use std::sync::atomic::{AtomicBool, Ordering};
///
/// let data = DataOptions {
///     search: Some(format!("{root}/data/fashion-mnist:test@0..50").parse()?),
///     ..DataOptions::default()
/// };
/// let model = format!("{root}/models/fashion_small.onnx");
/// let stop = AtomicBool::new(false);
/// // Enough is known after the first point.
/// let watch = |progress: &Progress| {
///     stop.fetch_or(matches!(progress.step, Step::Searching(_)), Ordering::Relaxed);
/// };
/// let options = SweepOptions::new(Kind::Weights);
/// let result = sweep_observed(model.as_ref(), &data, &options, &watch, &stop)?;
/// assert!(result.layers.len() < 5);
/// # Ok(())
/// # }
/// ```
pub fn sweep_observed(
    model: &Path,
    data: &DataOptions,
    options: &SweepOptions,
    observer: &dyn Observer,
    stop: &AtomicBool,
) -> Result<SweepResult, Error> {
    let job = Job { data, options, observer, stop, start: Instant::now() };
    pool(options.threads)?.install(|| job.run(model))
}

/// One run of [`sweep`].
struct Job<'a> {
    data: &'a DataOptions,
    options: &'a SweepOptions,
    observer: &'a dyn Observer,
    stop: &'a AtomicBool,
    start: Instant,
}

impl Job<'_> {
    /// Loads the images to measure on, and those that give ranges.
    fn run(&self, path: &Path) -> Result<SweepResult, Error> {
        self.options.grid.check(self.options.kind)?;
        let tolerance = self.options.hold.map_or(0.0, |hold| hold.tolerance);
        if !(0.0..=1.0).contains(&tolerance) {
            let problem = format!("is {tolerance}; allowed: 0 to 1");
            return Err(Error::Option { option: "tolerance", problem });
        }
        self.tell(Step::Loading);
        let (architecture, interface) =
            (self.options.architecture.as_deref(), &self.options.interface);
        let plan = self.options.plan.as_deref().map(PlanSource::File);
        let model = open_model(ModelSource::File(path, architecture, interface), plan)?;
        let declared = self.data.declared(&model, plan)?;
        if self.data.data.is_some() {
            let sets = Sets::load(self.data, &model, declared, self.options.seed)?;
            sets.search.only_classes("sweep")?;
            let model = model.with_preprocessing(&sets)?;
            return self.measure(&model, &sets.calibration, &sets.search, &sets);
        }
        let Some(search) = &self.data.search else {
            let problem = "no search images are given; use `--data` or `--search`";
            return Err(DataError::Missing(problem.to_owned()).into());
        };
        // Loaded as images that are only reported on: nothing is divided.
        let named = DataOptions { test: Some(search.clone()), ..self.data.clone() };
        let images = Sets::load_test(&named, &model, declared.clone())?;
        images.images.only_classes("sweep")?;
        let is_u8 = images.declared().1;
        let ranges = match &self.data.calibration {
            Some(_) => Some(Sets::load_calibration(self.data, &model, declared)?),
            None => None,
        };
        if ranges.as_ref().is_some_and(|ranges| ranges.declared().1 != is_u8) {
            let problem = "some images have 8-bit pixels and some floats; use one type for all";
            return Err(DataError::Missing(problem.to_owned()).into());
        }
        let model = model.with_preprocessing(&images)?;
        let first = First(&images.images);
        let ranges: &dyn Images = match &ranges {
            Some(ranges) => &ranges.images,
            None => &first,
        };
        self.measure(&model, ranges, &images.images, &images)
    }

    fn measure(
        &self,
        model: &Model,
        ranges: &dyn Images,
        images: &View,
        data: &impl Preprocessed,
    ) -> Result<SweepResult, Error> {
        let options = self.options;
        let (declared, is_u8) = data.declared();
        let mut plan = self.plan(model)?;
        let semantics = options.semantics.or(plan.as_ref().map(|plan| plan.semantics));
        let semantics = semantics.unwrap_or(Semantics::Simulated);
        let quantizer = options.quantizer.or(plan.as_ref().map(|plan| plan.quantizer));
        let quantizer = quantizer.unwrap_or_default();
        check_quantizer(quantizer, semantics, None)?;
        if let Some(plan) = &mut plan {
            plan.quantizer = quantizer;
        }
        let graph = model.prepared(semantics)?;
        let mut brute = BruteForceOptions {
            head: PlanHead { quantizer, ..PlanHead::of(semantics) },
            plan,
            kinds: vec![options.kind],
            layer: options.layer.clone(),
            direction: options.direction,
            grid: options.grid.clone(),
            hold: options.hold,
        };
        brute.tensors(&graph)?;
        let folder = options.output.as_deref().map(OutputFolder::prepare).transpose()?;

        let kernels = Kernels::best();
        let total = ranges.len();
        let statistics = if self.data.stated_ranges {
            stated(&graph, &is_u8)?
        } else {
            calibrate(&graph, ranges, kernels, self.stop, &|done| {
                self.tell(Step::Calibrating { done, total });
            })?
        };
        brute.head = with_inputs(brute.head, &graph, &statistics, &is_u8);
        self.tell(Step::MeasuringFloat { images: images.len() });
        let predictions = Predictions::new(model.graph(), images, kernels, self.stop)?;
        let asked = Checks {
            is_of_values: false,
            expect: self.data.expect,
            is_searched: true,
            inputs: None,
        };
        let first = first(model, images, data, &predictions, &asked)?;
        self.tell(first.step());
        let evaluator_options =
            EvaluatorOptions { cache_bytes: options.cache_bytes, ..EvaluatorOptions::default() };
        let halt = Halt::new(self.stop, None);
        let mut evaluator =
            Evaluator::new(&graph, images, predictions, kernels, halt.flag(), evaluator_options);
        let began = Instant::now();
        let names = ShortNames::of(&graph);
        let outcome = halt.during(|| {
            let mut watch = |event: &Event| {
                self.watch(event, began, &names);
                ControlFlow::Continue(())
            };
            brute_force(&graph, &statistics, &mut evaluator, &mut watch, &brute)
        })?;

        let (n, float_correct) = evaluator.float_score();
        let float_accuracy = count_to_f64(float_correct) / count_to_f64(n);
        let metric = if images.label(0).is_none() { AGREEMENT } else { "accuracy" };
        let result = SweepResult {
            model: model.result(),
            preprocessing: Some(first.preprocessing),
            float_network: Some(first.float),
            semantics: semantics.name().to_owned(),
            quantizer: quantizer.name().to_owned(),
            tensor: options.kind,
            metric: metric.to_owned(),
            images: count_to_u64(n),
            float_correct: count_to_u64(float_correct),
            float_accuracy,
            direction: options.direction,
            hold: options.hold.map(|hold| SweepHold {
                score: hold.rule.name().to_owned(),
                tolerance: hold.tolerance,
            }),
            ended: if outcome.is_finished { Ended::Completed } else { Ended::Interrupted },
            layers: layers(&outcome.trace, float_accuracy),
            evaluations: evaluator.evaluations(),
            seconds: self.start.elapsed().as_secs_f64(),
            ..SweepResult::default()
        };
        if let Some(folder) = &folder {
            let path = |name: &str| folder.path().join(name);
            write_file(&path("sweep.json"), result.to_json().as_bytes())?;
            if options.hold.is_some() {
                let preprocess = declared.resolved(&is_u8);
                let fed = (&preprocess, model.interface());
                write_plan(&path("plan.toml"), &outcome.plan, &graph, None, fed)?;
            }
        }
        Ok(result)
    }

    fn plan(&self, model: &Model) -> Result<Option<Plan>, Error> {
        let path = self.options.plan.as_deref();
        let plan = path.map(|path| {
            let plan = read_plan(path, model, self.options.semantics)?;
            formats_alone(plan, path)
        });
        plan.transpose()
    }

    fn tell(&self, step: Step) {
        self.observer.progress(&Progress { seconds: self.start.elapsed().as_secs_f64(), step });
    }

    fn watch(&self, event: &Event, began: Instant, names: &ShortNames) {
        let Event::Candidate { tensor, format, evaluation, budget, done, expected } = event else {
            return;
        };
        let rate = began.elapsed().as_secs_f64() / count_to_f64((*done).max(1));
        let seconds = rate * count_to_f64(expected.saturating_sub(*done));
        self.tell(Step::Searching(Candidate {
            short_name: names.get(&tensor.name),
            name: tensor.name.clone(),
            kind: tensor.kind.name(),
            format: Some((format.bits, format.frac)),
            loss: evaluation.map(Evaluation::relative_loss),
            budget: Some(*budget).filter(|budget| budget.is_finite()),
            evaluations: (*done, *expected),
            time_left: (*done > 0).then_some(TimeLeft { seconds, is_at_most: false }),
            ..Candidate::default()
        }));
    }
}

/// The first images of a set.
struct First<'a>(&'a dyn Images);

impl Images for First<'_> {
    fn len(&self) -> usize {
        self.0.len().min(CALIBRATION_IMAGES)
    }

    fn image(&self, idx: usize, out: &mut [f32]) {
        self.0.image(idx, out);
    }

    fn label(&self, _: usize) -> Option<usize> {
        None
    }
}
