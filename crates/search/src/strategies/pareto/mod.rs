//! Everything together: widths of all tensors at once along the front of cost against divergence,
//! weights rounded with error feedback, each answer certified with the exact integers.
//!
//! What every width of every tensor does to the class probabilities is measured once, alone. From that
//! comes a front of plans, from the widest to the narrowest; bisection along it finds where the bound
//! lies, with plans whose layers are rounded one after the other for what the layers before really
//! compute. From there tensors exchange bits: steps that save more than they harm, as many at a time as
//! turn out well.

mod certify;
mod cost;
mod descent;
mod explain;
mod items;
mod known;
mod network;
mod sensitivity;

pub use cost::{CostWeights, Limits};
pub use explain::{Explanation, Remedy, Share};
pub use known::{FrontPlan, Known};

use super::{
    Event, Observer, Outcome, PlanHead,
    tensors::{gives_way, in_the_way, is_of_formats},
};
use crate::{
    error::SearchError,
    evaluate::{Evaluation, Evaluator, Images, Oracle},
    reconstruct::{Calibration, RoundingOptions, balance, channel_ranges, fit_steps},
    score::{MaxLoss, Score},
    statistics::{Statistics, calibrate},
};
use certify::Certificate;
use fixedwise_graph::{Graph, LowerError, NodeId, Plan, Rounded, Target, passes::equalize};
use fixedwise_kernels::Kernels;
use items::{Items, Widths};
use network::{Built, Network};
use sensitivity::Curves;
use std::{
    ops::{ControlFlow, RangeInclusive},
    sync::{Arc, atomic::AtomicBool},
};

/// How the search goes.
#[derive(Clone, Debug, PartialEq)]
pub struct ParetoOptions {
    /// What plans say beside formats.
    pub head: PlanHead,
    /// The bound.
    pub max_loss: MaxLoss,
    /// With what probability the bound must hold on images that the search never saw, every look at
    /// the search images counted; without, the loss that is likely must keep a distance.
    pub confidence: Option<f64>,
    /// What is made small.
    pub cost: CostWeights,
    /// What there is of the target's memory.
    pub limits: Limits,
    /// How weights are rounded.
    pub rounding: RoundingOptions,
    /// What the plan is for.
    pub target: Option<Target>,
    /// Plans that are tried after the front.
    pub exchanges: usize,
    /// What an earlier search of the same network on the same images has measured.
    pub known: Option<Known>,
}

impl ParetoOptions {
    /// Of an objective, the rest as usual.
    pub fn new(head: PlanHead, cost: CostWeights) -> Self {
        Self {
            head,
            max_loss: MaxLoss::default(),
            confidence: None,
            cost,
            limits: Limits::default(),
            rounding: RoundingOptions::default(),
            target: None,
            exchanges: 15,
            known: None,
        }
    }
}

/// The network that the search works on: as it is, or its channels balanced.
#[derive(Debug)]
pub struct Prepared {
    /// The equalized network.
    pub graph: Graph,
    /// By node, the scales of its channels.
    pub scales: Vec<Vec<f32>>,
    /// Ranges of its values.
    pub statistics: Statistics,
    /// How far its channels were balanced; absent where nothing was scaled.
    pub balance: Option<f64>,
}

/// Balances the channels of a network, a `part` of the way, moves the steps of its tensors to where its
/// values want them and takes the ranges of its values.
///
/// # Errors
/// Where there is no image, a value is not finite, or `stop` was raised.
pub fn prepare(
    graph: &Graph,
    images: &dyn Images,
    kernels: &'static Kernels,
    stop: &AtomicBool,
    part: f64,
) -> Result<Prepared, SearchError> {
    let mut scales = balance(graph, &channel_ranges(graph, images, kernels, stop)?, part);
    let statistics = calibrate(&equalize(graph, &scales), images, kernels, stop, &|_| ())?;
    fit_steps(&statistics, &mut scales);
    let graph = equalize(graph, &scales);
    let statistics = calibrate(&graph, images, kernels, stop, &|_| ())?;
    Ok(Prepared { graph, scales, statistics, balance: Some(part) })
}

impl Prepared {
    /// The network as it is.
    pub fn new(graph: &Graph, statistics: &Statistics) -> Self {
        let scales = vec![Vec::new(); graph.nodes.len()];
        Self { graph: graph.clone(), scales, statistics: statistics.clone(), balance: None }
    }

    /// A plan for the network before its channels were balanced, from one for that after.
    #[must_use]
    pub fn plan(&self, mut plan: Plan) -> Plan {
        for (id, node) in self.graph.layers() {
            let scales = &self.scales[id];
            if let (Some(rounded), false) = (plan.rounded.get_mut(&node.name), scales.is_empty()) {
                let scales = scales.clone();
                *rounded = Arc::new(Rounded { scales, ..Rounded::clone(rounded) });
            }
        }
        plan
    }
}

/// The divergence of a plan of few bits for a prepared network: the lower, the better its channels
/// go together. `told` is called after each layer.
///
/// # Errors
/// Where the plan makes no integer network, or the search was stopped.
pub fn trial(
    prepared: &Prepared,
    calibration: &Calibration,
    probe: &mut Evaluator,
    options: &ParetoOptions,
    told: &dyn Fn(),
) -> Result<f64, SearchError> {
    /// Of every tensor that may have so few.
    const BITS: u8 = 4;
    let items = Items::new(&prepared.graph, options);
    let mut widths = items.widest();
    for item in 0..items.list.len() {
        if items.list[item].bits.contains(&BITS) {
            items.set(&mut widths, item, BITS);
        }
    }
    let built = Network::new(prepared, calibration, options).build(&widths, &items, told)?;
    probe.divergence(&built.plan, None)
}

/// What the search works with.
pub struct Tools<'a, 'e, O> {
    /// The network, prepared.
    pub prepared: &'a Prepared,
    /// Calibration images of the prepared network.
    pub calibration: &'a Calibration<'a>,
    /// Measures divergence, on some of the search images.
    pub probe: &'e mut Evaluator<'a>,
    /// Measures what single steps change of it, on fewer.
    pub glance: &'e mut Evaluator<'a>,
    /// Measures accuracy, on all search images: of plans for the network before it was prepared.
    pub oracle: &'e mut O,
}

impl<O> std::fmt::Debug for Tools<'_, '_, O> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tools").finish_non_exhaustive()
    }
}

/// Searches a plan of the network before it was prepared.
///
/// Where it is stopped, by the observer or the flag of its tools, its answer is the best so far.
///
/// # Errors
/// Where plans make no integer network, a confidence takes more images than there are, or the search
/// was stopped before it had an answer.
pub fn pareto<O: Oracle>(
    tools: Tools<'_, '_, O>,
    observer: &mut dyn Observer,
    options: &ParetoOptions,
) -> Result<Outcome, SearchError> {
    let Tools { prepared, calibration, probe, glance, oracle } = tools;
    let looks = options.known.as_ref().map_or(0, |known| known.front.len());
    let looks = u32::try_from(looks).unwrap_or(u32::MAX);
    let certificate = Certificate::new(options, oracle.float_score(), looks)?;
    let mut search = Search {
        prepared,
        network: Network::new(prepared, calibration, options),
        items: Items::new(&prepared.graph, options),
        probe,
        glance,
        oracle,
        observer,
        options,
        certificate,
        best: Vec::new(),
        curves: Vec::new(),
        front: Vec::new(),
        explanation: None,
        done: 0,
        expected: 0,
    };
    let is_finished = match search.run() {
        Ok(()) => true,
        Err(SearchError::Stopped) => false,
        Err(error) => return Err(error),
    };
    let best = search.best.pop().ok_or(SearchError::Stopped)?;
    Ok(Outcome {
        plan: prepared.plan(best.standing.built.plan),
        bound_met: best.met,
        evaluation: Some(best.evaluation),
        is_finished,
        trace: Vec::new(),
        sensitivity: sensitivity::describe(&search.items, &search.curves, &best.standing.widths),
        front: search.front,
        explanation: search.explanation,
    })
}

/// The best answer so far.
struct Best {
    standing: Standing,
    evaluation: Evaluation,
    cost: f64,
    /// Of the bound.
    part: f64,
    met: bool,
    /// Whether it keeps to the budgets of memory.
    fits: bool,
}

struct Search<'a, 'e, O> {
    prepared: &'a Prepared,
    network: Network<'a>,
    items: Items,
    probe: &'e mut Evaluator<'a>,
    glance: &'e mut Evaluator<'a>,
    oracle: &'e mut O,
    observer: &'e mut dyn Observer,
    options: &'e ParetoOptions,
    certificate: Certificate,
    /// The best so far, and those before it.
    best: Vec<Best>,
    /// What widths do alone, once that is measured.
    curves: Curves,
    /// Every plan that was measured on the search images.
    front: Vec<FrontPlan>,
    explanation: Option<Explanation>,
    /// Steps that are done, and that there will be, as far as can be told.
    done: usize,
    expected: usize,
}

/// Plans of the front that are looked at beyond the first that did not keep to the bound.
const BEYOND: usize = 2;

/// What a width adds to the divergence, alone, where it may come to be chosen or not: less is nothing, more is
/// too much.
const DECIDES: RangeInclusive<f64> = 5e-5..=0.05;

/// A plan in hand.
#[derive(Clone)]
struct Standing {
    widths: Widths,
    built: Built,
    /// Of its class probabilities from the float network's.
    divergence: f64,
    /// The same on the images on which single steps are measured.
    glance: f64,
}

impl<O: Oracle> Search<'_, '_, O> {
    fn run(&mut self) -> Result<(), SearchError> {
        self.expected = 1 + self.items.n_widths() + self.plans();
        let base = self.widest()?;
        let (graph, widest) = (self.network.graph(), base.built.plan.clone());
        self.items.meter.settle(graph, &self.items.list, &widest)?;
        let out_of_reach = self.items.meter.out_of_reach(graph, &self.items.list, &widest);
        for &(memory, limit_bytes, least_bytes) in &out_of_reach {
            self.tell(&Event::OutOfReach { memory, limit_bytes, least_bytes })?;
        }
        self.certify(&base)?;
        self.curves =
            match self.options.known.as_ref().and_then(|known| known.curves(&mut self.items)) {
                Some(curves) => curves,
                None => self.sensitivities(&base)?,
            };
        let front = self.items.front((graph, &widest), &base.widths, &self.curves);
        let (good, standing) = self.bisect(base, &front)?;
        let price = self.items.price((graph, &widest), &front, good, &self.curves);
        self.descend(standing, price)?;
        if out_of_reach.is_empty() {
            self.fit(&front)?;
        }
        self.complete()?;
        self.explain()
    }

    /// Where the best plan does not keep to the budgets of memory, measures the widest of the front that
    /// does: what it loses is what would have to give.
    fn fit(&mut self, front: &[Widths]) -> Result<(), SearchError> {
        let Some(best) = self.best.last().filter(|best| !best.fits) else { return Ok(()) };
        let (graph, like) = (self.network.graph(), best.standing.built.plan.clone());
        let (meter, list) = (&self.items.meter, &self.items.list);
        let fits = |widths: &&Widths| meter.fits(graph, list, &widths.bits, &like);
        // What biases will take is not known before: the narrowest of all may fit though none seems to.
        let some = front.iter().filter(fits).take(BEYOND).chain(front.last());
        let some: Vec<Widths> = some.cloned().collect();
        for widths in some {
            let standing = self.stand(widths)?;
            let is_legal = self.certify(&standing)?.is_finite();
            let seen = self.front.last().filter(|seen| is_legal && seen.fits(self.options.limits));
            let Some(seen) = seen else { continue };
            if seen.loss.is_none() {
                let plan = self.prepared.plan(standing.built.plan);
                let evaluation = self.oracle.evaluate_first(&plan, usize::MAX)?;
                if let Some(seen) = self.front.last_mut() {
                    seen.held_loss = self.certificate.known(&evaluation.score);
                    seen.loss = Some(evaluation.relative_loss());
                }
            }
            return Ok(());
        }
        Ok(())
    }

    /// About how many plans are measured once the widths are.
    fn plans(&self) -> usize {
        7 + self.options.exchanges
    }

    /// Along the front the first keeps to the bound, or nothing does: finds the last that does.
    fn bisect(
        &mut self,
        base: Standing,
        front: &[Widths],
    ) -> Result<(usize, Standing), SearchError> {
        let (mut good, mut bad) = (0, front.len());
        let mut standing = base;
        let mut guess = match &self.options.known {
            Some(known) => self.expected(known, front, standing.divergence)?,
            None => None,
        };
        let mut stride = 1;
        while bad - good > 1 {
            // Around what is expected in growing strides, else halfway.
            let next = match guess {
                Some(guess) if good < guess && guess < bad => guess,
                _ => usize::midpoint(good, bad),
            };
            let plan = self.stand(front[next].clone())?;
            let is_good = self.certify(&plan)? <= 1.0;
            if is_good {
                (good, standing) = (next, plan);
            } else {
                bad = next;
            }
            guess =
                guess.map(|_| if is_good { next + stride } else { next.saturating_sub(stride) });
            stride *= 2;
        }
        // Where the bound lies between two plans is a matter of luck: a few more are looked at.
        for next in (good + 2..front.len()).take(BEYOND) {
            let plan = self.stand(front[next].clone())?;
            if self.certify(&plan)? <= 1.0 {
                (good, standing) = (next, plan);
            }
        }
        Ok((good, standing))
    }

    /// About where on the front the bound lies, by what an earlier search has measured.
    fn expected(
        &mut self,
        known: &Known,
        front: &[Widths],
        base: f64,
    ) -> Result<Option<usize>, SearchError> {
        let Some(divergence) = known::divergence_at(&known.front, self.certificate.limit()) else {
            return Ok(None);
        };
        let adds = |widths: &Widths| base + items::divergence_of(widths, &self.curves);
        let guess = front.partition_point(|widths| adds(widths) <= divergence).saturating_sub(1);
        let (memory, multiplications) =
            self.items.meter.parts(&self.items.list, &front[guess].bits);
        self.tell(&Event::Expected { memory, multiplications })?;
        Ok(Some(guess))
    }

    /// The plan of the widest tensors that is legal: where sums or biases cannot be proved to fit, or shifts
    /// are out of reach, the tensors in their way give up the widest of their widths.
    fn widest(&mut self) -> Result<Standing, SearchError> {
        // Most is seen before any weight is rounded with care.
        while let Err(error) = self.check(self.network.plain(&self.items.widest(), &self.items)) {
            self.narrow(error)?;
        }
        loop {
            let standing = self.stand(self.items.widest())?;
            match self.check(standing.built.plan.clone()) {
                Ok(()) => return Ok(standing),
                Err(error) => self.narrow(error)?,
            }
        }
    }

    fn check(&self, plan: Plan) -> Result<(), LowerError> {
        self.oracle.check(&self.prepared.plan(plan))
    }

    /// Takes the widest width from a tensor that is in the way of a legal plan.
    fn narrow(&mut self, error: LowerError) -> Result<(), SearchError> {
        let in_the_way = in_the_way(self.network.graph(), &error).into_iter();
        let candidates = in_the_way.filter_map(|(id, kind)| {
            let item = self.items.find(id, kind)?;
            let bits = &self.items.list[item].bits;
            bits.last().filter(|_| bits.len() > 1).map(|&widest| (item, kind, widest))
        });
        let Some(item) = gives_way(candidates) else { return Err(error.into()) };
        self.items.list[item].bits.pop();
        Ok(())
    }

    /// The plan of these widths, built and measured.
    fn stand(&mut self, widths: Widths) -> Result<Standing, SearchError> {
        let built = self.network.build(&widths, &self.items, &|| ())?;
        let divergence = self.probe.divergence(&built.plan, None)?;
        let glance = self.glance.divergence(&built.plan, None)?;
        Ok(Standing { widths, built, divergence, glance })
    }

    /// What a plan that differs from one in hand from `focus` on adds to its divergence.
    fn added(&mut self, to: &Standing, plan: &Plan, focus: NodeId) -> Result<f64, SearchError> {
        Ok(self.glance.divergence(plan, Some(focus))? - to.glance)
    }

    /// The same on twice as many images where that makes a difference.
    fn added_exactly(
        &mut self,
        to: &Standing,
        plan: &Plan,
        focus: NodeId,
    ) -> Result<f64, SearchError> {
        let added = self.added(to, plan, focus)?;
        if !DECIDES.contains(&added) {
            return Ok(added);
        }
        Ok(self.probe.divergence(plan, Some(focus))? - to.divergence)
    }

    fn tell(&mut self, event: &Event) -> Result<(), SearchError> {
        match self.observer.event(event) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(SearchError::Stopped),
        }
    }

    /// Measures a plan on the search images, until its answer is clear, and keeps it where it is the best;
    /// the part of the bound that it takes.
    fn certify(&mut self, standing: &Standing) -> Result<f64, SearchError> {
        self.done += 1;
        // What is measured is what is delivered, to the bit.
        let plan = &self.prepared.plan(standing.built.plan.clone());
        let Some((evaluation, held)) = self.look(plan)? else { return Ok(f64::INFINITY) };
        let part = self.certificate.part(held);
        let met = part <= 1.0;
        let graph = self.network.graph();
        let bytes = self.items.meter.settle(graph, &self.items.list, plan)?;
        let seen = FrontPlan::new(graph, standing, bytes, &evaluation, (held, met));
        let fits = seen.fits(self.options.limits);
        let cost = self.items.cost(graph, plan);
        let is_better = self.best.last().is_none_or(|best| match (met, best.met) {
            (true, true) if fits == best.fits => cost < best.cost,
            (true, true) => fits,
            (true, false) => true,
            (false, true) => false,
            (false, false) => part < best.part,
        });
        self.front.push(seen);
        if is_better {
            let standing = standing.clone();
            self.best.push(Best { standing, evaluation, cost, part, met, fits });
        }
        let (done, expected) = (self.done, self.expected.max(self.done));
        self.tell(&Event::Certified { plan, evaluation: &evaluation, is_better, done, expected })?;
        Ok(part)
    }

    /// What is held of a plan against the bound; `None` where it is not legal.
    fn look(&mut self, plan: &Plan) -> Result<Option<(Evaluation, f64)>, SearchError> {
        let mut before = Score::default();
        for images in self.certificate.stages() {
            let evaluation = match self.oracle.evaluate_first(plan, images) {
                Ok(evaluation) => evaluation,
                // Not within the accumulator or the target's rules: no answer.
                Err(SearchError::Lower(error)) if is_of_formats(&error) => {
                    return Ok(None);
                }
                Err(error) => return Err(error),
            };
            let score = evaluation.score;
            if evaluation.is_complete {
                return Ok(Some((evaluation, self.certificate.held(&score))));
            }
            if let Some(held) = self.certificate.early(&before, &score) {
                self.certificate.held(&score);
                return Ok(Some((evaluation, held)));
            }
            before = score;
        }
        Ok(None)
    }

    /// Measures the best plan on all search images; where it does not keep to the bound there, the one
    /// before it.
    fn complete(&mut self) -> Result<(), SearchError> {
        while let Some(best) = self.best.last() {
            if best.evaluation.is_complete {
                break;
            }
            let plan = self.prepared.plan(best.standing.built.plan.clone());
            let evaluation = self.oracle.evaluate_first(&plan, usize::MAX)?;
            let part = self.certificate.part(self.certificate.known(&evaluation.score));
            let is_last = self.best.len() == 1;
            if let Some(best) = self.best.last_mut() {
                (best.evaluation, best.part) = (evaluation, part);
                if !best.met || part <= 1.0 || is_last {
                    best.met &= part <= 1.0;
                    break;
                }
            }
            self.best.pop();
        }
        Ok(())
    }
}
