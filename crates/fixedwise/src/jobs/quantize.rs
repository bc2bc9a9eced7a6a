//! The main job: a model and images in, a plan and an honest account of it out.

use super::{
    budget,
    earlier::Earlier,
    measure::{
        check_float, input_format, integers, measure, measured_on, metric_name, outputs, peak_ram,
        predictions,
    },
    metric::Metric,
    options::{QuantizeOptions, Strategy, check_quantizer, check_strategy},
    oracle::Journaling,
    pareto::{self, Balance},
    threads::pool,
};
use crate::{
    data::{DataOptions, Preprocessed as _, Sets, View},
    error::Error,
    files::{OutputFolder, write_file},
    fingerprint::sha256,
    model::Model,
    plan::{formats_alone, read_plan, write_plan},
    result::{Ended, ImagesResult, MaxLossResult, RunResult, SetResult, TraceStep},
    watch::{Halt, Journal, Observer, Progress, Step, Watch},
};
use fixedwise_fixed::convert::{count_to_f64, count_to_u64};
use fixedwise_graph::{AccumulatorPolicy, Graph, Plan};
use fixedwise_kernels::Kernels;
use fixedwise_search::{
    Evaluator, EvaluatorOptions, Images, JournalEntry, MaxLoss, Offset, Oracle, Score, SearchError,
    Statistics, calibrate,
    strategies::{
        self, BruteForceOptions, Event, FixedOptions, LayerwiseOptions, Objective, PlanHead,
        TraceEntry, pareto::Prepared,
    },
};
use std::{path::Path, sync::atomic::AtomicBool, time::Instant};

/// What [`quantize`] found.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// A format for every tensor.
    pub plan: Plan,
    /// What it gives and costs: `result.json`.
    pub result: RunResult,
    /// Every format that was tried, in order.
    pub trace: Vec<TraceEntry>,
}

/// Turns a trained network into an integer network: calibrates, searches a plan, proves its
/// accumulators and measures it once on images that no decision has seen.
///
/// `stop` ends the search with the best so far, from any thread.
///
/// # Errors
/// [`Error`] for a model, data or options that cannot be used, for files that cannot be written,
/// and when `stop` was raised before there was anything. A bound or a budget of memory that is out
/// of reach is not an error: [`RunResult::bound_met`] and [`RunResult::fits`] say so.
///
/// ```
/// # fn main() -> Result<(), fixedwise::Error> {
/// # let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
/// use fixedwise::{DataOptions, QuantizeOptions, Strategy, quantize};
///
/// let folder = format!("{root}/data/fashion-mnist");
/// let data = DataOptions {
///     calibration: Some(format!("{folder}:train@0..50").parse()?),
///     search: Some(format!("{folder}:test@0..100").parse()?),
///     test: Some(format!("{folder}:test@100..300").parse()?),
///     ..DataOptions::default()
/// };
/// let options = QuantizeOptions { strategy: Strategy::Fixed { bits: 8 }, ..Default::default() };
/// let model = format!("{root}/models/fashion_small.onnx");
/// let outcome = quantize(model.as_ref(), &data, &options)?;
/// assert!(outcome.result.accuracy.test.is_some_and(|test| test.fixed > 0.8));
/// # Ok(())
/// # }
/// ```
pub fn quantize(
    model: &Path,
    data: &DataOptions,
    options: &QuantizeOptions,
) -> Result<Outcome, Error> {
    quantize_observed(model, data, options, &(), &AtomicBool::new(false))
}

/// As [`quantize`], watched by `observer`; raising `stop` ends the search with the best so far.
///
/// # Errors
/// As [`quantize`].
///
/// ```
/// # fn main() -> Result<(), fixedwise::Error> {
/// # let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
/// use fixedwise::{DataOptions, Progress, QuantizeOptions, Strategy, quantize_observed};
/// use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
///
/// let folder = format!("{root}/data/fashion-mnist");
/// let data = DataOptions {
///     calibration: Some(format!("{folder}:train@0..50").parse()?),
///     search: Some(format!("{folder}:test@0..100").parse()?),
///     test: Some(format!("{folder}:test@100..300").parse()?),
///     ..DataOptions::default()
/// };
/// let options = QuantizeOptions { strategy: Strategy::Fixed { bits: 8 }, ..Default::default() };
/// let model = format!("{root}/models/fashion_small.onnx");
/// let steps = AtomicUsize::new(0);
/// let count = |_: &Progress| {
///     steps.fetch_add(1, Ordering::Relaxed);
/// };
/// quantize_observed(model.as_ref(), &data, &options, &count, &AtomicBool::new(false))?;
/// assert!(steps.into_inner() > 2);
/// # Ok(())
/// # }
/// ```
pub fn quantize_observed(
    model: &Path,
    data: &DataOptions,
    options: &QuantizeOptions,
    observer: &dyn Observer,
    stop: &AtomicBool,
) -> Result<Outcome, Error> {
    let start = Instant::now();
    let deadline = options.time_budget.and_then(|budget| start.checked_add(budget));
    let halt = Halt::new(stop, deadline);
    let job = Job { data, options, observer, stop, halt: &halt, start };
    pool(options.threads)?.install(|| job.run(model))
}

/// One run of [`quantize`].
struct Job<'a> {
    data: &'a DataOptions,
    options: &'a QuantizeOptions,
    observer: &'a dyn Observer,
    stop: &'a AtomicBool,
    halt: &'a Halt<'a>,
    start: Instant,
}

/// What a strategy came to.
struct Found {
    outcome: strategies::Outcome,
    /// Of the outcome's plan, on the search images.
    score: Score,
    steps: Vec<TraceStep>,
    evaluations: u64,
    images: u64,
}

impl Job<'_> {
    #[expect(clippy::too_many_lines, reason = "one step after the other, each a call")]
    fn run(&self, path: &Path) -> Result<Outcome, Error> {
        let options = self.options;
        check_strategy(options)?;
        check_quantizer(options.quantizer, options.semantics, options.range)?;
        let target = options.target.as_ref();
        let limits = budget::limits(options.max_flash, options.max_ram, target);
        let is_asked =
            target.is_some() || limits.is_any() || options.objective != Objective::Memory;
        budget::check_semantics(options.semantics, is_asked)?;
        self.tell(Step::Loading);
        let model = Model::open(path, options.architecture.as_deref())?;
        let sets = Sets::load(self.data, &model, options.seed)?;
        let model = model.with_preprocessing(&sets)?;
        let graph = model.prepared(options.semantics)?;
        options.search.nodes(&graph, options.semantics)?;
        let start = options.start.as_deref();
        let start = start.map(|path| {
            let plan = read_plan(path, &model, Some(options.semantics))?;
            formats_alone(plan, path)
        });
        let start = start.transpose()?;
        let known = options.from.as_deref();
        let known = known.map(|folder| Earlier::read(folder, &measured_on(options, &model, &sets)));
        let known = known.transpose()?;
        // All input is known to be good now: only then the folder comes to be.
        let folder = options.output.as_deref().map(OutputFolder::prepare).transpose()?;

        let kernels = Kernels::best();
        let total = sets.calibration.len();
        let statistics = calibrate(&graph, &sets.calibration, kernels, self.stop, &|done| {
            self.tell(Step::Calibrating { done, total });
        })?;
        self.tell(Step::MeasuringFloat { images: sets.search.len() });
        let predictions =
            predictions(options.max_loss, model.graph(), &sets.search, kernels, self.stop)?;
        check_float(&predictions, &sets, options.max_loss)?;
        let command = options.metric_command.as_deref();
        let metric = |images: &View| {
            let shape = model.graph().output_shape();
            let shape = if shape.h * shape.w == 1 { vec![shape.c] } else { shape.dims().to_vec() };
            command.map(|command| Metric::new(command, shape, images.places().to_vec()))
        };
        let metric_search = metric(&sets.search)
            .map(|metric| metric.of(predictions.outputs()).map(|float| (metric, float)))
            .transpose()?;
        let float_metric = metric_search.as_ref().map(|metric| metric.1);
        let head = PlanHead {
            input: input_format(&statistics, sets.preprocess().1),
            quantizer: options.quantizer,
            ..budget::head_for(PlanHead::of(options.semantics), target)
        };
        let prepared = self.prepared(head, &graph, &statistics, &sets, known.as_ref())?;
        let (prepared, tried) = prepared.map_or((None, 0), |(prepared, run)| (Some(prepared), run));
        let found = {
            let (journal, measured) = match &folder {
                Some(folder) => self.journal(folder.path(), &model, &sets)?,
                None => (None, Vec::new()),
            };
            let mut evaluator = Evaluator::new(
                &graph,
                &sets.search,
                predictions,
                kernels,
                self.halt.flag(),
                EvaluatorOptions {
                    cache_bytes: options.cache_bytes,
                    policy: AccumulatorPolicy::Prove32,
                    target: target.cloned(),
                },
            );
            evaluator.preload(measured);
            let metric = metric_search;
            let oracle = Journaling { evaluator, journal, metric, failure: None };
            match &prepared {
                Some(prepared) => {
                    self.search_pareto(&graph, prepared, head, &sets, known, oracle)?
                }
                None => self.search(&graph, &statistics, head, start, oracle)?,
            }
        };
        let found = Found { images: found.images + tried, ..found };
        let plan = found.outcome.plan.clone();

        let fixed = integers(&graph, &plan, target)?;
        let mut test = None;
        if let Some(images) = &sets.test {
            self.tell(Step::Testing { images: images.len() });
            let score =
                measure(options.max_loss, model.graph(), &graph, &plan, images, target, kernels)?;
            test = Some(self.set_result(score));
            if let (Some(metric), Some(test)) = (metric(images), &mut test) {
                let both = outputs(model.graph(), &graph, &plan, images, kernels)?;
                let [float, fixed] = both.map(|outputs| metric.of(outputs));
                test.metric = Some([float?, fixed?]);
            }
        }
        let mut result = self.result(&model, &sets, &found);
        result.peak_ram_bytes = peak_ram(&graph, fixed.as_ref(), kernels);
        let mut search = self.set_result(found.score);
        search.metric =
            float_metric.map(|float| [float, float - found.score.mean_distortion() * float.abs()]);
        result.accuracy.search = Some(search);
        result.accuracy.test = test;
        metric_name(options.max_loss, &sets).clone_into(&mut result.metric);
        result.describe(&graph, &plan, fixed.as_ref())?;
        if let Some(fixed) = &fixed {
            let target = target.cloned().unwrap_or_default();
            budget::take(&mut result, &graph, &plan, fixed, &target, limits)?;
        }
        result.balance = prepared.as_ref().and_then(|prepared| prepared.balance);
        result.measured_on = measured_on(options, &model, &sets);
        result.seconds = self.start.elapsed().as_secs_f64();
        if let Some(folder) = &folder {
            let path = |name: &str| folder.path().join(name);
            let name = target.map(|target| target.name.as_str());
            write_plan(&path("plan.toml"), &plan, &graph, name)?;
            write_file(&path("result.json"), result.to_json().as_bytes())?;
        }
        Ok(Outcome { plan, result, trace: found.outcome.trace })
    }

    /// What is known of a run without its plan.
    fn result(&self, model: &Model, sets: &Sets, found: &Found) -> RunResult {
        let options = self.options;
        RunResult {
            strategy: options.strategy.name().to_owned(),
            search: options.strategy.is_layerwise().then(|| options.search.clone()),
            objective: (options.strategy.is_layerwise() || options.strategy == Strategy::Pareto)
                .then(|| options.objective.name().to_owned()),
            seed: options.seed,
            model: model.result(),
            max_loss: Some(MaxLossResult::from(options.max_loss)),
            bound_met: options.max_loss.is_met(&found.score),
            ended: match (found.outcome.is_finished, self.halt.is_interrupted()) {
                (true, _) => Ended::Completed,
                (false, true) => Ended::Interrupted,
                (false, false) => Ended::TimeBudget,
            },
            images: ImagesResult {
                calibration: count_to_u64(sets.calibration.len()),
                search: count_to_u64(sets.search.len()),
                test: count_to_u64(sets.test.as_ref().map_or(0, Images::len)),
            },
            evaluations: found.evaluations,
            images_evaluated: found.images,
            trace: found.steps.clone(),
            tried: found.outcome.trace.clone(),
            sensitivity: found.outcome.sensitivity.clone(),
            front: found.outcome.front.clone(),
            explanation: found.outcome.explanation.clone(),
            command: options.command.clone(),
            confidence: options.confidence,
            ..RunResult::default()
        }
    }

    /// The network that `pareto` works on; no other strategy has one.
    fn prepared(
        &self,
        head: PlanHead,
        graph: &Graph,
        statistics: &Statistics,
        sets: &Sets,
        known: Option<&Earlier>,
    ) -> Result<Option<(Prepared, u64)>, Error> {
        if self.options.strategy != Strategy::Pareto {
            return Ok(None);
        }
        let (calibration, search): (&dyn Images, &dyn Images) = (&sets.calibration, &sets.search);
        let network = (graph, statistics);
        let stop = self.halt.flag();
        let sets = (calibration, search);
        let known = known
            .map_or(Balance::Tried, |known| known.balance.map_or(Balance::None, Balance::Part));
        let begin = Instant::now();
        let told = |done: usize, total: usize| {
            let each = begin.elapsed().as_secs_f64() / count_to_f64(done.max(1));
            let seconds_left = (done > 1).then(|| each * count_to_f64(total - done));
            self.tell(Step::Balancing { done, total, seconds_left });
        };
        let found = self
            .halt
            .during(|| pareto::prepare(self.options, head, network, sets, known, &told, stop));
        match found {
            // Stopped that early, the channels stay as they are.
            Err(SearchError::Stopped) => Ok(Some((Prepared::new(graph, statistics), 0))),
            prepared => Ok(Some(prepared?)),
        }
    }

    fn set_result(&self, score: Score) -> SetResult {
        let is_sqnr = matches!(self.options.max_loss, MaxLoss::Sqnr(_));
        SetResult { sqnr_db: is_sqnr.then(|| score.sqnr_db()), ..SetResult::from(score) }
    }

    fn tell(&self, step: Step) {
        self.observer.progress(&Progress { seconds: self.start.elapsed().as_secs_f64(), step });
    }

    fn watch<'b>(&'b self, graph: &'b Graph, steps: &'b mut Vec<TraceStep>) -> Watch<'b> {
        Watch::new(self.observer, self.halt, self.start, graph, steps)
    }

    /// The journal of this run, and what an earlier part of it has measured.
    fn journal(
        &self,
        folder: &Path,
        model: &Model,
        sets: &Sets,
    ) -> Result<(Option<Journal>, Vec<JournalEntry>), Error> {
        let path = folder.join("journal.jsonl");
        // Scores are the same for every target, but what one refuses another may have measured.
        let target = self.options.target.as_ref().map(|target| format!("{target:?}"));
        let mut parts = vec![measured_on(self.options, model, sets)];
        // A search that is tuned otherwise goes another way.
        parts.push(format!("{:?}", self.options.tuning));
        parts.extend(target);
        let config = sha256(parts.join("\n").as_bytes());
        if self.options.resume {
            let (journal, known) = Journal::resume(&path, &config)?;
            Ok((Some(journal), known))
        } else {
            Ok((Some(Journal::create(&path, &config)?), Vec::new()))
        }
    }

    fn search_pareto(
        &self,
        graph: &Graph,
        prepared: &Prepared,
        head: PlanHead,
        sets: &Sets,
        known: Option<Earlier>,
        mut oracle: Journaling,
    ) -> Result<Found, Error> {
        let mut steps = Vec::new();
        let known = known.map(|known| known.measured);
        let found = self.halt.during(|| {
            let mut watch = self.watch(&prepared.graph, &mut steps);
            pareto::search(
                self.options,
                head,
                prepared,
                (&sets.calibration, &sets.search),
                known,
                &mut oracle,
                &mut |event: &Event| watch.event(event),
                self.halt.flag(),
            )
        });
        let (outcome, probed) = match found {
            // Before anything was measured: the 8-bit plan is an answer at least.
            Err(SearchError::Stopped) if oracle.failure.is_none() => {
                let fixed = FixedOptions { head, bits: 8, offset: Offset::LeastError };
                let target = self.options.target.as_ref();
                let plan =
                    strategies::fixed::plan_for(graph, &prepared.statistics, &fixed, target)?;
                (strategies::Outcome::new(plan), 0)
            }
            found => oracle.finish(found)?,
        };
        Self::measured(oracle, outcome, steps, probed)
    }

    /// What a search came to, its plan measured on all search images; `probed` are images that it ran
    /// beside those of the oracle.
    fn measured(
        mut oracle: Journaling,
        outcome: strategies::Outcome,
        steps: Vec<TraceStep>,
        probed: u64,
    ) -> Result<Found, Error> {
        let score = match outcome.evaluation {
            Some(evaluation) if evaluation.is_complete => evaluation.score,
            _ => {
                let found = oracle.evaluate(&outcome.plan, None, None);
                oracle.finish(found)?.score
            }
        };
        Ok(Found {
            outcome,
            score,
            steps,
            evaluations: oracle.evaluator.evaluations(),
            images: oracle.evaluator.images_evaluated() + probed,
        })
    }

    fn search(
        &self,
        graph: &Graph,
        statistics: &Statistics,
        head: PlanHead,
        start: Option<Plan>,
        mut oracle: Journaling,
    ) -> Result<Found, Error> {
        let options = self.options;
        let mut steps = Vec::new();
        let fixed = |bits, offset| {
            let fixed = FixedOptions { head, bits, offset };
            strategies::fixed::plan_for(graph, statistics, &fixed, options.target.as_ref())
        };
        let mut outcome = match options.strategy {
            Strategy::Fixed { bits } => strategies::Outcome {
                is_finished: true,
                ..strategies::Outcome::new(fixed(bits, options.range)?)
            },
            Strategy::BruteForce => self.halt.during(|| {
                let brute_force = BruteForceOptions::whole(head, options.max_loss);
                let mut watch = self.watch(graph, &mut steps);
                let found = strategies::brute_force(
                    graph,
                    statistics,
                    &mut oracle,
                    &mut |event: &Event| watch.event(event),
                    &brute_force,
                );
                oracle.finish(found)
            })?,
            strategy => self.halt.during(|| {
                let layerwise = LayerwiseOptions {
                    head,
                    max_loss: options.max_loss,
                    offset: options.range,
                    start,
                    search: options.search.clone(),
                    objective: options.objective,
                    target: options.target.clone(),
                };
                let search = match strategy {
                    Strategy::LayerDependent => strategies::layer_dependent,
                    Strategy::LayerIndependent => strategies::layer_independent,
                    _ => strategies::joint,
                };
                let mut watch = self.watch(graph, &mut steps);
                let found = search(
                    graph,
                    statistics,
                    &mut oracle,
                    &mut |event: &Event| watch.event(event),
                    &layerwise,
                );
                oracle.finish(found)
            })?,
        };
        let is_measured = outcome.evaluation.is_some_and(|evaluation| evaluation.is_complete);
        if !is_measured && !outcome.is_finished {
            // Stopped before anything was measured: the 8-bit plan is an answer at least.
            outcome.plan = fixed(8, Offset::LeastError)?;
        }
        Self::measured(oracle, outcome, steps, 0)
    }
}
