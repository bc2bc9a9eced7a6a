//! What is told of the plan that a search found.

use super::{
    super::{
        budget,
        first::First,
        measure::{integers, measure_by, measured_on, metric_name, outputs, peak_ram, unit},
        options::Strategy,
        pictured::{distributions, lost_images},
    },
    Job, Outcome,
    load::Loaded,
    search::{Found, Ready},
    spread::Set,
};
use crate::{
    data::Preprocessed as _,
    error::Error,
    files::write_file,
    plan::write_plan,
    result::{Ended, FigureResult, ImagesResult, MaxLossResult, RunResult, SetResult},
    watch::Step,
};
use fixedwise_fixed::convert::count_to_u64;
use fixedwise_graph::{Plan, cost};
use fixedwise_kernels::Kernels;
use fixedwise_search::{Details, Images, MaxLoss, Offset, Score, strategies::pareto::Limits};
use std::{collections::BTreeMap, sync::atomic::AtomicBool};

/// What a plan gives on images in detail, and those that were lost.
type Seen = (Details, BTreeMap<usize, [usize; 2]>);

impl Job<'_> {
    /// What the plan gives and costs; the test images are run here and nowhere else.
    pub(super) fn account(
        &self,
        loaded: &Loaded,
        ready: &Ready,
        mut found: Found,
    ) -> Result<Outcome, Error> {
        found.outcome.plan.thinned = loaded.model.thinned(self.options.semantics);
        let (graph, plan) = (&loaded.graph, &found.outcome.plan);
        let target = self.options.target.as_ref();
        let fixed = integers(graph, plan, target)?;
        let test = self.test(loaded, plan)?;
        let mut result = self.result(loaded, &found);
        result.peak_ram_bytes = peak_ram(graph, fixed.as_ref(), Kernels::best());
        let mut search = self.set_result(found.score, &found.details);
        search.metric = found.metric;
        result.accuracy.search = Some(search);
        let (test, of_test) = test.unzip();
        result.accuracy.test = test;
        let (of_test, lost) = of_test.unwrap_or_default();
        let names = (&loaded.model.outputs()[..], loaded.sets.search.class_names());
        result.tell_details(names, &found.details, &of_test, self.options.max_class_loss);
        result.describe(graph, plan, fixed.as_ref())?;
        let statistics = (!loaded.sets.stated_ranges).then_some(&ready.statistics);
        result.distributions = distributions(graph, statistics);
        let (images, lost) = match &loaded.sets.test {
            Some(test) => (test, &lost),
            None => (&loaded.sets.search, &found.lost),
        };
        result.lost_images = lost_images(loaded.model.graph(), images, lost);
        if let Some(fixed) = &fixed {
            let target = target.cloned().unwrap_or_default();
            budget::take(&mut result, graph, plan, fixed, &target, self.limits());
        }
        result.balance = ready.balance();
        result.seconds = self.start.elapsed().as_secs_f64();
        let (plan, trace) = (found.outcome.plan, found.outcome.trace);
        Ok(Outcome { plan, result, trace })
    }

    /// Writes the plan and the result, where files are wanted.
    pub(super) fn write(&self, loaded: &Loaded, outcome: &Outcome) -> Result<(), Error> {
        let Some(folder) = &loaded.folder else { return Ok(()) };
        let path = |name: &str| folder.path().join(name);
        let kernels = outcome.result.code.as_ref().map(|code| code.kernels.as_str());
        let target = self.options.target.as_ref().map(|target| (target.name.as_str(), kernels));
        let (declared, is_u8) = loaded.sets.declared();
        let preprocess = declared.resolved(&is_u8);
        let fed = (&preprocess, loaded.model.interface());
        write_plan(&path("plan.toml"), &outcome.plan, &loaded.graph, target, fed)?;
        write_file(&path("result.json"), outcome.result.to_json().as_bytes())
    }

    /// The memory that a plan may take.
    pub(super) fn limits(&self) -> Limits {
        let options = self.options;
        budget::limits(options.max_flash, options.max_ram, options.target.as_ref())
    }

    /// The plan on the test images, where some are kept.
    fn test(&self, loaded: &Loaded, plan: &Plan) -> Result<Option<(SetResult, Seen)>, Error> {
        let Some(images) = &loaded.sets.test else { return Ok(None) };
        self.tell(Step::Testing { images: images.len() });
        let (float, graph, kernels) = (loaded.model.graph(), &loaded.graph, Kernels::best());
        let go_on = AtomicBool::new(false);
        let set = (Set::Test, images);
        let said = self.said(loaded, set, &go_on)?;
        let measured = measure_by(self.evaluator(loaded, set, said, &go_on), plan)?;
        let mut test = self.set_result(measured.score, &measured.details);
        if let Some(metric) = self.metric(loaded, images) {
            let both = outputs(float, graph, plan, images, kernels)?;
            let [float, fixed] = both.map(|outputs| metric.of(&outputs));
            test.metric = Some([float?, fixed?]);
        }
        Ok(Some((test, (measured.details, measured.lost))))
    }

    /// What is known of a run before its search: the network, the images, the bound, the costs at uniform 8 bit.
    pub(super) fn known(&self, loaded: &Loaded, ready: &Ready, first: &First) -> RunResult {
        let mut known = self.asked_for(loaded, first);
        known.tell_graph(&loaded.graph);
        // What uniform 8 bit costs follows from the graph, whatever the plan.
        if let Ok(plan) = self.fixed(loaded, ready, 8, Offset::NoClip)
            && let (Ok(memory), Ok(products)) =
                (cost::memory(&loaded.graph, &plan), cost::multiplications(&loaded.graph, &plan))
        {
            known.memory_bits.uniform8_total = memory.uniform8;
            known.multiplication_cost.operand_uniform8 = products.uniform8;
        }
        known.target = self.options.target.as_ref().map(|target| target.name.clone());
        known
    }

    /// What a run was asked for, and what it is about.
    fn asked_for(&self, loaded: &Loaded, first: &First) -> RunResult {
        let (options, sets) = (self.options, &loaded.sets);
        RunResult {
            strategy: options.strategy.name().to_owned(),
            search: options.strategy.is_layerwise().then(|| options.search.clone()),
            objective: (options.strategy.is_layerwise() || options.strategy == Strategy::Pareto)
                .then(|| options.objective.name().to_owned()),
            seed: options.seed,
            model: loaded.model.result(),
            preprocessing: Some(first.preprocessing.clone()),
            float_network: Some(first.float.clone()),
            max_loss: Some(MaxLossResult::from(options.max_loss)),
            images: ImagesResult {
                calibration: count_to_u64(sets.calibration_images()),
                search: count_to_u64(sets.search.len()),
                test: count_to_u64(sets.test.as_ref().map_or(0, Images::len)),
            },
            command: options.command.clone(),
            confidence: options.confidence,
            metric: metric_name(self.counts(), &sets.search).to_owned(),
            measured_on: measured_on(options, &loaded.model, sets),
            ..RunResult::default()
        }
    }

    /// What is known of a run without its plan.
    fn result(&self, loaded: &Loaded, found: &Found) -> RunResult {
        let options = self.options;
        RunResult {
            bound_met: options.max_loss.is_met(&found.score)
                && options
                    .max_class_loss
                    .is_none_or(|bound| bound.part(&found.details.classes, 0.0) <= 1.0),
            ended: match (found.outcome.is_finished, self.halt.is_interrupted()) {
                (true, _) => Ended::Completed,
                (false, true) => Ended::Interrupted,
                (false, false) => Ended::TimeBudget,
            },
            evaluations: found.evaluations,
            images_evaluated: found.images,
            trace: found.steps.clone(),
            tried: found.outcome.trace.clone(),
            sensitivity: found.outcome.sensitivity.clone(),
            front: found.outcome.front.clone(),
            explanation: found.outcome.explanation.clone(),
            weight_rounding: (options.strategy == Strategy::Pareto).then_some(found.outcome.method),
            held: found.outcome.held,
            tuned: found.outcome.tuned.clone(),
            ..self.asked_for(loaded, &found.first)
        }
    }

    fn set_result(&self, score: Score, details: &Details) -> SetResult {
        match self.options.max_loss {
            MaxLoss::Sqnr(_) => SetResult::of_sqnr(score),
            max_loss => {
                let unit = unit(max_loss, None);
                let figure = details.figure.map(|figure| FigureResult::new(&figure, unit));
                SetResult { figure, ..SetResult::from(score) }
            }
        }
    }
}
