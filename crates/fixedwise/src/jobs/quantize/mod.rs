//! The main job: a model and images in, a plan and an honest account of it out.
//!
//! A run is a list of steps, each a call that takes what those before it gave: `load.rs` has what is there before a
//! search, `search.rs` the search, `account.rs` what is told of its plan. `refit.rs` has the search's last step for a
//! plan that is given.

mod account;
mod load;
mod refit;
mod search;
mod spread;
mod unlike;

pub use refit::{refit, refit_model};
pub use spread::{Worker, quantize_spread};

use super::{
    options::{QuantizeOptions, bound, check_strategy},
    threads::pool,
};
use crate::{
    data::{DataOptions, Sets},
    error::Error,
    model::{Model, ModelSource},
    plan::PlanSource,
    result::RunResult,
    watch::{Halt, Observer, Progress, Step},
};
use fixedwise_graph::Plan;
use fixedwise_search::{spread::Nodes, strategies::TraceEntry};
use load::Loaded;
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
    let model = ModelSource::File(model, options.architecture.as_deref(), &options.interface);
    run(model, data, options, (observer, stop, None))
}

/// As [`quantize_observed`], of a model in memory.
///
/// # Errors
/// As [`quantize`].
///
/// ```
/// # fn main() -> Result<(), fixedwise::Error> {
/// # let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
/// # let bytes = std::fs::read(format!("{root}/models/fashion_small.onnx")).expect("readable");
/// use fixedwise::{
///     Arrays, DataOptions, DataSource, Model, QuantizeOptions, Strategy, quantize_model,
/// };
/// use std::sync::atomic::AtomicBool;
///
/// // A gradient is no picture of clothes, but it has ranges.
/// let images = DataSource::arrays(Arrays {
///     name: "gradients".to_owned(),
///     shape: vec![30, 28, 28, 1],
///     pixels: (0..30 * 28 * 28).map(|i| (i * i % 251) as f32 / 251.0).collect::<Vec<f32>>().into(),
///     layout: None,
///     labels: None,
/// });
/// let data = DataOptions {
///     calibration: Some(images.part(0..10)),
///     search: Some(images.part(10..20)),
///     test: Some(images.part(20..30)),
///     ..DataOptions::default()
/// };
/// let options = QuantizeOptions { strategy: Strategy::Fixed { bits: 8 }, ..Default::default() };
/// let model = Model::from_bytes("fashion_small", &bytes)?;
/// let outcome = quantize_model(&model, &data, &options, &(), &AtomicBool::new(false))?;
/// assert_eq!(outcome.result.metric, "agreement");
/// # Ok(())
/// # }
/// ```
pub fn quantize_model(
    model: &Model,
    data: &DataOptions,
    options: &QuantizeOptions,
    observer: &dyn Observer,
    stop: &AtomicBool,
) -> Result<Outcome, Error> {
    let model = ModelSource::Loaded(model, options.architecture.as_deref());
    run(model, data, options, (observer, stop, None))
}

fn run(
    model: ModelSource,
    data: &DataOptions,
    options: &QuantizeOptions,
    (observer, stop, nodes): (&dyn Observer, &AtomicBool, Option<&dyn Nodes>),
) -> Result<Outcome, Error> {
    let start = Instant::now();
    let deadline = options.time_budget.and_then(|budget| start.checked_add(budget));
    let halt = Halt::new(stop, deadline);
    let job = Job { data, options, observer, stop, halt: &halt, start, nodes };
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
    /// What measures images beside this machine.
    nodes: Option<&'a dyn Nodes>,
}

impl Job<'_> {
    fn run(&self, model: ModelSource) -> Result<Outcome, Error> {
        self.check()?;
        let earlier = self.options.earlier_plan();
        let loaded = self.load(model, earlier.as_deref().map(PlanSource::File))?;
        let options = loaded.options.clone();
        Job { options: &options, ..*self }.search_loaded(loaded)
    }

    /// The rest of a search, once the bound is known by what counts.
    fn search_loaded(&self, loaded: Loaded) -> Result<Outcome, Error> {
        let mut float = self.measure_float(&loaded)?;
        let statistics = self.calibrate(&loaded)?;
        if let Some(warning) = self.unlike(&loaded, &statistics, &float)? {
            self.tell(Step::Warned { warning: warning.clone() });
            float.first.float.warnings.push(warning);
        }
        let (loaded, statistics, images) = self.thin(loaded, (statistics, &float))?;
        let loaded = &loaded;
        let mut ready = self.prepare(loaded, statistics)?;
        ready.images += images;
        let found = self.search(loaded, &ready, float)?;
        let outcome = self.account(loaded, &ready, found)?;
        self.write(loaded, &outcome)?;
        Ok(outcome)
    }

    /// The options with the bound by what counts.
    fn bounded(&self, sets: &Sets) -> Result<QuantizeOptions, Error> {
        let max_loss = bound(self.options, sets.search.metric())?;
        let options = QuantizeOptions { max_loss, ..self.options.clone() };
        check_strategy(&options)?;
        Ok(options)
    }

    fn tell(&self, step: Step) {
        self.observer.progress(&Progress { seconds: self.start.elapsed().as_secs_f64(), step });
    }
}
