//! What there is before a search: the network, its images, ranges, and what the float network says.

use super::{
    super::{
        budget,
        earlier::Earlier,
        first::{Checks, First, first},
        keep::{self, Keep},
        measure::measured_on,
        metric::Metric,
        options::{QuantizeOptions, Tune, check_quantizer, check_strategy},
    },
    Job,
    spread::{Said, Set},
};
use crate::{
    data::{Preprocessed as _, Sets, View},
    error::Error,
    files::OutputFolder,
    model::{Model, ModelSource},
    plan::{PlanSource, open_model, read_plan},
    watch::Step,
};
use fixedwise_graph::{Graph, Plan, Thinned};
use fixedwise_kernels::Kernels;
use fixedwise_search::{
    Images, MaxLoss, MetricName, Statistics, calibrate, stated,
    strategies::{Kind, Objective, PlanHead, Tensor, quantized_activations},
};
use std::{collections::BTreeMap, sync::Arc, time::Instant};

/// What a run was given, all of it known to be good.
pub(super) struct Loaded {
    /// What is asked for, with the bound by what counts.
    pub(super) options: QuantizeOptions,
    /// The network for raw pixels.
    pub(super) model: Model,
    pub(super) sets: Sets,
    /// As a plan of the semantics speaks of it.
    pub(super) graph: Graph,
    /// The same with all channels of the model, where it lacks some.
    pub(super) whole: Option<Graph>,
    /// Formats that a walk starts from.
    pub(super) start: Option<Start>,
    pub(super) known: Option<Earlier>,
    /// Widths that are given, by whole names.
    pub(super) kept: Vec<Keep>,
    /// Where files go.
    pub(super) folder: Option<OutputFolder>,
}

/// Formats that a walk starts from.
pub(super) struct Start {
    plan: Plan,
    /// Whether their binary points are of channels in other scales.
    is_scaled: bool,
}

impl Start {
    fn new(plan: Plan) -> Self {
        let is_scaled = plan.rounded.values().any(|rounded| rounded.is_scaled());
        Self { plan: Plan { rounded: BTreeMap::new(), ..plan }, is_scaled }
    }

    /// The formats for the network as it is: of other scales only the widths count.
    pub(super) fn plan(
        &self,
        graph: &Graph,
        statistics: &Statistics,
        options: &QuantizeOptions,
    ) -> Plan {
        let mut plan = self.plan.clone();
        if !self.is_scaled {
            return plan;
        }
        let nodes = quantized_activations(graph, plan.semantics);
        let head = PlanHead::of_plan(graph, &plan);
        for kind in [Kind::Weights, Kind::Biases, Kind::Activations] {
            for tensor in Tensor::all(graph, &head, kind, &nodes) {
                let format = tensor.of(&plan).map(|format| {
                    let rule = options.offset();
                    tensor.format(graph, statistics, format.bits, rule, options.quantizer)
                });
                tensor.set(&mut plan, format);
            }
        }
        plan
    }
}

impl Loaded {
    /// Images that plans are tuned on.
    pub(super) fn unlabeled(&self) -> Option<&dyn Images> {
        self.sets.unlabeled.as_ref().map(|images| -> &dyn Images { images })
    }

    /// The network with all channels of the model.
    pub(super) fn whole(&self) -> &Graph {
        self.whole.as_ref().unwrap_or(&self.graph)
    }

    /// The same without channels, where none is out yet.
    pub(super) fn with_thinned(self, thinned: Arc<Thinned>) -> Result<Self, Error> {
        let (model, graph) = self.model.with_thinned(thinned)?;
        Ok(Self { model, graph, whole: Some(self.graph), ..self })
    }

    /// The images that a search may look at: those of calibration, and its own.
    pub(super) fn seen(&self) -> (&dyn Images, &dyn Images) {
        (&self.sets.calibration, &self.sets.search)
    }
}

/// What the float network says of the search images.
pub(super) struct Float {
    pub(super) said: Said,
    pub(super) first: First,
    /// The user's command, and what it says of that.
    pub(super) metric: Option<(Metric, f64)>,
    /// Wall-clock time that it took.
    pub(super) seconds: f64,
}

impl Job<'_> {
    /// Refuses options that do not go together.
    pub(super) fn check(&self) -> Result<(), Error> {
        let options = self.options;
        check_strategy(options)?;
        check_quantizer(options.quantizer, options.semantics, options.range)?;
        let is_asked = options.target.is_some()
            || self.limits().is_any()
            || options.objective != Objective::Memory;
        budget::check_semantics(options.semantics, is_asked)
    }

    /// Reads everything that is given, and only then makes the folder for files. What the network of a plan is fed
    /// holds here too.
    pub(super) fn load(
        &self,
        model: ModelSource,
        plan: Option<PlanSource>,
    ) -> Result<Loaded, Error> {
        let options = self.options;
        self.tell(Step::Loading);
        let model = open_model(model, plan)?;
        let declared = self.data.declared(&model, plan)?;
        let mut data = self.data.clone();
        if options.metric_command.is_some() || matches!(options.max_loss, MaxLoss::Sqnr(_)) {
            if let Some(metric) = data.metric.filter(|metric| *metric != MetricName::Sqnr) {
                let problem =
                    format!("is {metric}, which goes with neither min-sqnr nor metric-command");
                return Err(Error::Option { option: "metric", problem });
            }
            data.metric = Some(MetricName::Sqnr);
        }
        let is_tuned = options.tune != Tune::None;
        if data.unlabeled.is_some() && !is_tuned {
            let problem = "is given, but the plan is not tuned; add `--tune auto`".to_owned();
            return Err(Error::Option { option: "unlabeled", problem });
        }
        let mut sets = Sets::load(&data, &model, declared, options.seed)?;
        if is_tuned {
            sets.load_unlabeled(&data, &model)?;
        }
        let options = self.bounded(&sets)?;
        let model = model.with_preprocessing(&sets)?;
        let (graph, whole) = (model.prepared(options.semantics)?, model.whole(options.semantics)?);
        options.search.nodes(&graph, options.semantics)?;
        let kept = keep::resolved(&options.keep, &graph, options.target.as_ref())?;
        let start = options
            .start
            .as_deref()
            .map(|path| read_plan(path, &model, Some(options.semantics)).map(Start::new));
        let start = start.transpose()?;
        let known = options.from.as_deref();
        let known =
            known.map(|folder| Earlier::read(folder, &measured_on(&options, &model, &sets)));
        let known = known.transpose()?;
        let folder = options.output.as_deref().map(OutputFolder::prepare).transpose()?;
        Ok(Loaded { options, model, sets, graph, whole, start, known, kept, folder })
    }

    /// Sees the range of every value, or takes what the model states.
    pub(super) fn calibrate(&self, loaded: &Loaded) -> Result<Statistics, Error> {
        if loaded.sets.stated_ranges {
            return Ok(stated(&loaded.graph, &loaded.sets.declared().1)?);
        }
        let images = &loaded.sets.calibration;
        let total = images.len();
        Ok(calibrate(&loaded.graph, images, Kernels::best(), self.stop, &|done| {
            self.tell(Step::Calibrating { done, total });
        })?)
    }

    /// Runs the float network on the search images; one that is no better than chance is refused.
    pub(super) fn measure_float(&self, loaded: &Loaded) -> Result<Float, Error> {
        let images = &loaded.sets.search;
        self.tell(Step::MeasuringFloat { images: images.len() });
        let begin = Instant::now();
        let said = self.said(loaded, (Set::Search, images), self.stop)?;
        let predictions = &said.predictions;
        let asked = Checks {
            is_of_values: self.options.max_loss.is_of_values(),
            expect: self.data.expect,
            is_searched: true,
            inputs: None,
        };
        let first = first(&loaded.model, images, &loaded.sets, predictions, &asked)?;
        self.tell(first.step());
        let metric = self.metric(loaded, images);
        let metric = metric
            .map(|metric| metric.of(&predictions.outputs()).map(|float| (metric, float)))
            .transpose()?;
        Ok(Float { said, first, metric, seconds: begin.elapsed().as_secs_f64() })
    }

    /// What counts, beside labels.
    pub(super) fn counts(&self) -> (MaxLoss, Option<&str>) {
        (self.options.max_loss, self.options.metric_command.as_deref())
    }

    /// The user's command for those images, where there is one.
    pub(super) fn metric(&self, loaded: &Loaded, images: &View) -> Option<Metric> {
        let command = self.options.metric_command.as_deref()?;
        Some(Metric::new(command, loaded.model.graph(), images))
    }
}
