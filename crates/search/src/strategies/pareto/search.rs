//! What a search has in hand, and how it measures plans.

use super::{
    certify::Certificate,
    cost::Meter,
    curves::Curves,
    network::{Built, Network},
    options::ParetoOptions,
    prepared::Prepared,
    widths::{Items, Widths},
};
use crate::{
    error::SearchError,
    evaluate::{Evaluation, Evaluator, Images, Oracle},
    reconstruct::Calibration,
    score::Score,
    strategies::{
        observer::{Event, Observer, Work, Worked},
        outcome::{Explanation, FrontPlan, Tuned},
        tensors::legal,
    },
    tuning::Scale,
};
use fixedwise_fixed::convert::{f64_to_i64, i64_to_f64};
use fixedwise_graph::{NodeId, Plan, cost};
use std::ops::ControlFlow;

/// What the search works with.
pub struct Tools<'a, 'e, O> {
    /// The network, prepared.
    pub prepared: &'a Prepared,
    /// Images that plans are tuned on; their labels are not looked at.
    pub unlabeled: Option<&'a dyn Images>,
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

/// The best answer so far.
pub(super) struct Best {
    pub(super) standing: Standing,
    pub(super) evaluation: Evaluation,
    pub(super) cost: f64,
    /// Of the bound.
    pub(super) part: f64,
    pub(super) met: bool,
    /// Whether it keeps to the budgets of memory.
    pub(super) fits: bool,
    /// As it is listed.
    pub(super) seen: FrontPlan,
}

/// What a search has in hand.
pub(super) struct Search<'a, 'e, O> {
    pub(super) prepared: &'a Prepared,
    pub(super) network: Network<'a>,
    pub(super) items: Items,
    pub(super) meter: Meter,
    pub(super) scale: Scale,
    pub(super) probe: &'e mut Evaluator<'a>,
    pub(super) glance: &'e mut Evaluator<'a>,
    pub(super) oracle: &'e mut O,
    pub(super) observer: &'e mut dyn Observer,
    pub(super) options: &'e ParetoOptions,
    pub(super) certificate: Certificate,
    /// Widths that were not tried yet, for plans that narrower ones do not bring within the bound.
    pub(super) wider: &'e [u8],
    /// The best so far, and those before it.
    pub(super) best: Vec<Best>,
    /// What widths do alone, once that is measured.
    pub(super) curves: Curves,
    /// Every plan that was measured on the search images.
    pub(super) front: Vec<FrontPlan>,
    pub(super) explanation: Option<Explanation>,
    /// What tuning came to.
    pub(super) tuned: Option<Tuned>,
    /// What is done, and what is left at most.
    pub(super) work: Worked,
}

/// A plan in hand.
#[derive(Clone)]
pub(super) struct Standing {
    pub(super) widths: Widths,
    pub(super) built: Built,
    /// Of its class probabilities from the float network's.
    pub(super) divergence: f64,
    /// The same on the images on which single steps are measured.
    pub(super) glance: f64,
    /// Whether it was tuned.
    pub(super) is_tuned: bool,
}

impl<'a, 'e, O: Oracle> Search<'a, 'e, O> {
    /// Nothing measured yet.
    ///
    /// # Errors
    /// Where a confidence takes more images than there are.
    pub(super) fn new(
        tools: Tools<'a, 'e, O>,
        observer: &'e mut dyn Observer,
        options: &'e ParetoOptions,
    ) -> Result<Self, SearchError> {
        let Tools { prepared, calibration, probe, glance, oracle, .. } = tools;
        let looks = options.known.as_ref().map_or(0, |known| known.front.len());
        let looks = u32::try_from(looks).unwrap_or(u32::MAX);
        let certificate =
            Certificate::new(options, oracle.float_score(), oracle.expected_error(), looks)?;
        let items = Items::new(&prepared.graph, options);
        Ok(Self {
            prepared,
            network: Network::new(prepared, calibration, options),
            meter: Meter::new(&prepared.graph, &items.list, options),
            scale: Scale::new(options.max_loss, &options.tuning),
            items,
            probe,
            glance,
            oracle,
            observer,
            options,
            certificate,
            wider: &options.tuning.wider_bits,
            best: Vec::new(),
            curves: Vec::new(),
            front: Vec::new(),
            explanation: None,
            tuned: None,
            work: Worked::default(),
        })
    }

    /// Plans that a bisection of so many still measures, and those beyond them.
    pub(super) fn bisections(&self, n: usize) -> usize {
        let halvings = usize::BITS - n.saturating_sub(1).leading_zeros();
        usize::try_from(halvings).unwrap_or(0) + self.options.tuning.plans_beyond
    }

    /// What is left from now on: so many plans of the front, the exchanges after them, the trades, the explanation.
    pub(super) fn is_left(&mut self, plans: usize, exchanges: usize, trades: usize) {
        // An exchange tries a step of each tensor to either side first, a trade to one side before each of two plans.
        let around = 2 * self.items.list.len();
        self.work.left.steps = (exchanges + trades) * around + self.explanation_steps();
        self.work.left.plans = plans + exchanges + 2 * trades;
    }

    /// Steps of the search that are done, and all that there will be at most.
    pub(super) fn counted(&self) -> (usize, usize) {
        let Worked { done, left } = self.work;
        let steps = |work: Work| work.widths + work.plans;
        (steps(done), steps(done) + steps(left))
    }

    /// What a plan costs, as a part of what uniform 8 bit does.
    pub(super) fn cost(&self, plan: &Plan) -> f64 {
        self.meter.plan(self.network.graph(), &self.items.list, plan)
    }

    /// The plan of these widths, built and measured.
    pub(super) fn stand(&mut self, widths: Widths) -> Result<Standing, SearchError> {
        let built = self.network.build(&widths, &self.items, &|| ())?;
        let divergence = self.probe.divergence(&built.plan, None)?;
        let glance = self.glance.divergence(&built.plan, None)?;
        Ok(Standing { widths, built, divergence, glance, is_tuned: false })
    }

    /// What a plan that differs from one in hand from `focus` on adds to its divergence.
    pub(super) fn added(
        &mut self,
        to: &Standing,
        plan: &Plan,
        focus: NodeId,
    ) -> Result<f64, SearchError> {
        self.work.done.steps += 1;
        self.work.left.steps = self.work.left.steps.saturating_sub(1);
        Ok(self.glance.divergence(plan, Some(focus))? - to.glance)
    }

    pub(super) fn tell(&mut self, event: &Event) -> Result<(), SearchError> {
        match self.observer.event(event) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(SearchError::Stopped),
        }
    }

    /// Measures a plan on the search images, until its answer is clear, and keeps it where it is the best;
    /// the part of the bound that it takes.
    pub(super) fn certify(&mut self, standing: &Standing) -> Result<f64, SearchError> {
        self.planned();
        // What is measured is what is delivered, to the bit.
        let plan = &self.prepared.plan(standing.built.plan.clone());
        let Some((evaluation, held)) = self.look(plan, standing.is_tuned)? else {
            return Ok(f64::INFINITY);
        };
        let part = self.certificate.part(held);
        let met = part <= 1.0;
        let graph = self.network.graph();
        let bytes = self.meter.settle(graph, &self.items.list, plan)?;
        let of = &standing.built.plan;
        let seen = FrontPlan {
            bits: standing.widths.bits.clone(),
            memory_bits: cost::memory(graph, of).map_or(0, |memory| memory.total()),
            multiplications: cost::multiplications(graph, of).map_or(0, |m| m.operand),
            flash_bytes: bytes.map(|bytes| bytes.flash),
            ram_bytes: bytes.map(|bytes| bytes.ram),
            divergence: standing.divergence,
            loss: evaluation.is_complete.then(|| evaluation.relative_loss()),
            held_loss: held,
            bound_met: met,
        };
        let fits = seen.fits(self.options.limits);
        let cost = self.cost(plan);
        let is_better = self.best.last().is_none_or(|best| match (met, best.met) {
            // The same numbers of bits, of which biases may take a few more: a tuned plan.
            (true, true) if standing.widths.bits == best.standing.widths.bits => {
                fits >= best.fits && standing.divergence < best.standing.divergence
            }
            (true, true) if fits == best.fits => cost < best.cost,
            (true, true) => fits,
            (true, false) => true,
            (false, true) => false,
            (false, false) => part < best.part,
        });
        self.front.push(seen.clone());
        if is_better {
            let standing = standing.clone();
            let seen = seen.clone();
            self.best.push(Best { standing, evaluation, cost, part, met, fits, seen });
        }
        let ((done, expected), work) = (self.counted(), self.work);
        let (evaluation, seen) = (&evaluation, &seen);
        self.tell(&Event::Certified { plan, evaluation, seen, is_better, done, expected, work })?;
        Ok(part)
    }

    /// Counts a plan.
    pub(super) fn planned(&mut self) {
        self.work.done.plans += 1;
        self.work.left.plans = self.work.left.plans.saturating_sub(1);
    }

    /// What is held of a plan against the bound; `None` where it is not legal.
    fn look(
        &mut self,
        plan: &Plan,
        is_tuned: bool,
    ) -> Result<Option<(Evaluation, f64)>, SearchError> {
        let mut before = Score::default();
        for images in self.certificate.stages() {
            // Not within the accumulator or the target's rules: no answer.
            let evaluation = legal(self.oracle.evaluate_first(plan, images))?;
            let Some(evaluation) = evaluation else { return Ok(None) };
            let score = self.expecting(evaluation.score, is_tuned);
            if evaluation.is_complete {
                let of_class = self.oracle.class_part(&evaluation, self.certificate.class_errors());
                let held = self.certificate.held(&score);
                return Ok(Some((evaluation, self.certificate.with_class(held, of_class))));
            }
            // What is left of a class can only be lost, too; that it will not be takes all images.
            let of_class = self.oracle.class_part(&evaluation, 0.0);
            let clear = self.certificate.early(&before, &score);
            let clear = clear.or_else(|| of_class.filter(|&part| part > 1.0).map(|_| 0.0));
            let clear = clear.map(|held| self.certificate.with_class(held, of_class));
            if let Some(held) = clear
                && (of_class.is_none() || held > self.certificate.limit())
            {
                self.certificate.held(&score);
                return Ok(Some((evaluation, held)));
            }
            before = score;
        }
        Ok(None)
    }

    /// A score with the loss that is expected of a plan: where a tuned one decides otherwise than the float network, it
    /// is right more often than the probabilities say.
    pub(super) fn expecting(&self, score: Score, is_tuned: bool) -> Score {
        if !is_tuned {
            return score;
        }
        let expected = self.options.tuning.tuned_loss * i64_to_f64(score.expected);
        Score { expected: f64_to_i64(expected.round()), ..score }
    }

    /// What is held against the bound of a plan that was looked at before.
    pub(super) fn known(&self, evaluation: &Evaluation, is_tuned: bool) -> f64 {
        let of_class = self.oracle.class_part(evaluation, self.certificate.class_errors());
        let score = self.expecting(evaluation.score, is_tuned);
        self.certificate.with_class(self.certificate.known(&score), of_class)
    }

    /// Measures the best plan on all search images; where it does not keep to the bound there, the one
    /// before it.
    pub(super) fn complete(&mut self) -> Result<(), SearchError> {
        while let Some(best) = self.best.last() {
            if best.evaluation.is_complete {
                break;
            }
            let plan = self.prepared.plan(best.standing.built.plan.clone());
            let evaluation = self.oracle.evaluate_first(&plan, usize::MAX)?;
            let is_tuned = best.standing.is_tuned;
            let part = self.certificate.part(self.known(&evaluation, is_tuned));
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
