//! The last step of a search, for a plan that is given: its weights are rounded anew, and the plan is measured.

use super::{
    super::{
        measure::lost,
        options::{QuantizeOptions, Strategy},
        refit::{Refit, check_target, known},
        threads::pool,
    },
    Job, Outcome,
    load::{Float, Loaded},
    search::{Found, Ready},
};
use crate::{
    data::DataOptions,
    error::Error,
    model::{Model, ModelSource},
    plan::{Edited, Made, PlanSource},
    watch::{Halt, Observer},
};
use fixedwise_graph::{Plan, Target};
use fixedwise_search::{
    Oracle as _, Statistics,
    strategies::{self, PlanHead},
};
use std::{path::Path, sync::atomic::AtomicBool, time::Instant};

/// Rounds the weights of an edited plan anew for its bit widths, as the search would, and measures it.
///
/// The widths of weights and results stay, and those of biases that were edited; other biases get the width that
/// their layer needs now. Binary points stay where they were chosen for their width, or were edited themselves; the
/// others are chosen anew, as are all integers and bias corrections. Channels have the scales that the integers of
/// the plan were made for, read from `plan.npz`, even where `plan.toml` does not name it any more; without that file
/// they are scaled as by [`quantize`](crate::quantize()). A plan without edits stays the same, to the bit, with the
/// images, the seed and the target of its search.
///
/// Of `options` the bound, the target, the budgets, the seed, threads, cache and output count; what leads a search
/// does not.
///
/// # Errors
/// As [`quantize`](crate::quantize()); also for a plan in another form than `plan.toml`.
///
/// ```
/// # fn main() -> Result<(), fixedwise::Error> {
/// # let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
/// # let folder = tempfile::tempdir().expect("a temporary folder");
/// use fixedwise::{DataOptions, QuantizeOptions, Strategy, quantize, refit};
/// use std::sync::atomic::AtomicBool;
///
/// let images = format!("{root}/data/fashion-mnist");
/// let data = DataOptions {
///     calibration: Some(format!("{images}:train@0..50").parse()?),
///     search: Some(format!("{images}:test@0..100").parse()?),
///     test: Some(format!("{images}:test@100..200").parse()?),
///     ..DataOptions::default()
/// };
/// let model = format!("{root}/models/fashion_small.onnx");
/// let run = folder.path().join("fixed");
/// let options = QuantizeOptions {
///     strategy: Strategy::Fixed { bits: 6 },
///     output: Some(run.clone()),
///     ..QuantizeOptions::default()
/// };
/// quantize(model.as_ref(), &data, &options)?;
/// let options = QuantizeOptions::default();
/// let stop = AtomicBool::new(false);
/// let outcome =
///     refit(model.as_ref(), &run.join("plan.toml"), &data, &options, &(), &stop)?;
/// assert_eq!(outcome.result.strategy, "refit");
/// assert!(outcome.result.layers.iter().all(|layer| layer.weights.bits == 6));
/// # Ok(())
/// # }
/// ```
pub fn refit(
    model: &Path,
    plan: &Path,
    data: &DataOptions,
    options: &QuantizeOptions,
    observer: &dyn Observer,
    stop: &AtomicBool,
) -> Result<Outcome, Error> {
    let model = ModelSource::File(model, options.architecture.as_deref(), &options.interface);
    let given = Given { plan: PlanSource::File(plan), origin: None };
    run(model, given, data, options, observer, stop)
}

/// As [`refit`], of a model and a plan in memory; `origin` is the plan before it was edited.
///
/// # Errors
/// As [`refit`].
///
/// ```
/// # fn main() -> Result<(), fixedwise::Error> {
/// # let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
/// # let bytes = std::fs::read(format!("{root}/models/fashion_small.onnx")).expect("readable");
/// use fixedwise::{DataOptions, Model, QuantizeOptions, Strategy, quantize_model, refit_model};
/// use std::sync::atomic::AtomicBool;
///
/// let images = format!("{root}/data/fashion-mnist");
/// let data = DataOptions {
///     calibration: Some(format!("{images}:train@0..50").parse()?),
///     search: Some(format!("{images}:test@0..100").parse()?),
///     test: Some(format!("{images}:test@100..200").parse()?),
///     preprocess: Some("scale=1/255".parse()?),
///     ..DataOptions::default()
/// };
/// let model = Model::from_bytes("fashion_small", &bytes)?;
/// let (options, stop) = (QuantizeOptions::default(), AtomicBool::new(false));
/// let eight = QuantizeOptions { strategy: Strategy::Fixed { bits: 8 }, ..options.clone() };
/// let mut plan = quantize_model(&model, &data, &eight, &(), &stop)?.plan;
/// if let Some(weights) = &mut plan.layers[1].weights {
///     weights.bits = 4;
/// }
/// let outcome = refit_model(&model, &plan, None, &data, &options, &(), &stop)?;
/// assert_eq!(outcome.plan.layers[1].weights.map(|format| format.bits), Some(4));
/// # Ok(())
/// # }
/// ```
pub fn refit_model(
    model: &Model,
    plan: &Plan,
    origin: Option<&Plan>,
    data: &DataOptions,
    options: &QuantizeOptions,
    observer: &dyn Observer,
    stop: &AtomicBool,
) -> Result<Outcome, Error> {
    let model = ModelSource::Loaded(model, options.architecture.as_deref());
    let given = Given { plan: PlanSource::Loaded(plan), origin };
    run(model, given, data, options, observer, stop)
}

/// The plan of a job.
#[derive(Clone, Copy)]
struct Given<'a> {
    plan: PlanSource<'a>,
    /// What it was before it was edited, where that is in memory.
    origin: Option<&'a Plan>,
}

impl Given<'_> {
    fn read(self, model: &Model) -> Result<Edited, Error> {
        let edited = self.plan.read_edited(model)?;
        let origin = self.origin.map(|origin| PlanSource::Loaded(origin).read(model, None));
        Ok(match origin.transpose()? {
            Some(origin) => Edited { made: Some(Made::of(&origin)), ..edited },
            None => edited,
        })
    }
}

fn run(
    model: ModelSource,
    given: Given,
    data: &DataOptions,
    options: &QuantizeOptions,
    observer: &dyn Observer,
    stop: &AtomicBool,
) -> Result<Outcome, Error> {
    let start = Instant::now();
    let target = options.target.clone();
    let target = target.map_or_else(|| given.plan.target(), |target| Ok(Some(target)))?;
    check_target(given.plan, target.is_some())?;
    let options = as_search(options, target);
    let data = &DataOptions { unlabeled: None, ..data.clone() };
    let halt = Halt::new(stop, None);
    let job = Job { data, options: &options, observer, stop, halt: &halt, start, nodes: None };
    pool(options.threads)?.install(|| job.refit(model, given))
}

/// What counts of options where there is nothing to search.
fn as_search(options: &QuantizeOptions, target: Option<Target>) -> QuantizeOptions {
    let usual = QuantizeOptions::default();
    QuantizeOptions {
        strategy: Strategy::Pareto,
        objective: usual.objective,
        search: usual.search,
        semantics: usual.semantics,
        quantizer: usual.quantizer,
        range: usual.range,
        confidence: None,
        tune: usual.tune,
        start: None,
        from: None,
        keep: Vec::new(),
        resume: false,
        time_budget: None,
        target,
        ..options.clone()
    }
}

impl Job<'_> {
    fn refit(&self, model: ModelSource, given: Given) -> Result<Outcome, Error> {
        self.check()?;
        let loaded = self.load(model, Some(given.plan))?;
        Job { options: &loaded.options, ..*self }.refit_loaded(&loaded, given)
    }

    fn refit_loaded(&self, loaded: &Loaded, given: Given) -> Result<Outcome, Error> {
        let edited = given.read(&loaded.model)?;
        let float = self.measure_float(loaded)?;
        let statistics = self.calibrate(loaded)?;
        let refit = Refit { edited: &edited, known: known(given.plan, &loaded.model) };
        let (ready, plan) = self.round(loaded, &refit, statistics)?;
        let found = self.measured(loaded, &ready, float, plan)?;
        let mut outcome = self.account(loaded, &ready, found)?;
        "refit".clone_into(&mut outcome.result.strategy);
        outcome.result.objective = None;
        self.write(loaded, &outcome)?;
        Ok(outcome)
    }

    /// Rounds the plan anew.
    fn round(
        &self,
        loaded: &Loaded,
        refit: &Refit,
        statistics: Statistics,
    ) -> Result<(Ready, Plan), Error> {
        let head = PlanHead::of_plan(&loaded.graph, &refit.edited.plan);
        if loaded.sets.stated_ranges && refit.is_scaled(&loaded.graph) {
            let problem = "`model`: the plan scales channels, of which the model states no ranges; give \
                           images";
            return Err(Error::Option { option: "calibration", problem: problem.to_owned() });
        }
        let asked = self.asked(loaded, &head);
        let (prepared, images) = refit.prepare(asked, &loaded.graph, &statistics)?;
        let plan = self.refitted(loaded, &head, refit, &prepared)?;
        Ok((Ready { head, statistics, balanced: Some(prepared), images }, plan))
    }

    /// The plan on all search images.
    fn measured(
        &self,
        loaded: &Loaded,
        ready: &Ready,
        float: Float,
        plan: Plan,
    ) -> Result<Found, Error> {
        let first = float.first.clone();
        // One plan is not worth a journal.
        let mut oracle = self.oracle(loaded, float, None)?;
        let evaluation = oracle.evaluate_first(&plan, usize::MAX);
        let score = oracle.finish(evaluation)?.score;
        let (metric, details) = oracle.account(&plan)?;
        let images = oracle.evaluator.images_evaluated() + ready.images;
        let lost = lost(&mut oracle.evaluator, &plan)?;
        Ok(Found {
            outcome: strategies::Outcome { is_finished: true, ..strategies::Outcome::new(plan) },
            score,
            first,
            steps: Vec::new(),
            evaluations: oracle.evaluator.evaluations(),
            images,
            metric,
            details,
            lost,
        })
    }
}
