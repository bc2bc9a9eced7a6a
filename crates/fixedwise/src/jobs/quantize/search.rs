//! From a strategy to the plan that it finds.

use super::{
    super::{
        budget,
        first::First,
        measure::{lost, measured_on, with_inputs},
        options::{Strategy, Tune},
        oracle::Journaling,
        pareto::{self, Asked, Balance},
        refit::Refit,
    },
    Job,
    load::{Float, Loaded},
    spread::Set,
};
use crate::{
    data::{Preprocessed as _, View},
    error::Error,
    fingerprint::sha256,
    plan::Edited,
    result::TraceStep,
    watch::{Bound, ClassParts, Journal, Step, Told, TuningTime, Watch},
};
use fixedwise_fixed::convert::count_to_f64;
use fixedwise_graph::{LowerError, Plan, Semantics};
use fixedwise_search::{
    Details, Images as _, JournalEntry, Offset, Oracle as _, Score, SearchError, Statistics,
    reconstruct::Method,
    strategies::{
        self, BruteForceOptions, FixedOptions, LayerwiseOptions, Outcome, PlanHead,
        pareto::{Known, Prepared},
    },
};
use std::{cell::Cell, collections::BTreeMap, rc::Rc, sync::Arc};

/// What a strategy works with.
pub(super) struct Ready {
    /// What a plan says beside formats.
    pub(super) head: PlanHead,
    pub(super) statistics: Statistics,
    /// The network with its channels balanced, where weights are rounded with error feedback.
    pub(super) balanced: Option<Prepared>,
    /// Images that were run to drop and to balance channels.
    pub(super) images: u64,
}

impl Ready {
    /// How far the channels of the network were balanced.
    pub(super) fn balance(&self) -> Option<f64> {
        self.balanced.as_ref().and_then(|balanced| balanced.balance)
    }
}

/// What a strategy came to.
pub(super) struct Found {
    pub(super) outcome: Outcome,
    /// Of the outcome's plan, on the search images.
    pub(super) score: Score,
    /// Of each output and class.
    pub(super) details: Details,
    /// Images that were lost, where there are no test images to show them of.
    pub(super) lost: BTreeMap<usize, [usize; 2]>,
    pub(super) steps: Vec<TraceStep>,
    pub(super) evaluations: u64,
    pub(super) images: u64,
    /// What the user's command says of the float network and of the plan on the search images.
    pub(super) metric: Option<[f64; 2]>,
    pub(super) first: First,
}

/// About how long the test images take after the search: each runs in float and in integers, where the
/// search images have run in float for so many seconds.
fn test_seconds(loaded: &Loaded, float_seconds: f64) -> f64 {
    let n = |images: &View| count_to_f64(images.len());
    let test = loaded.sets.test.as_ref().map_or(0.0, n);
    2.0 * float_seconds * test / n(&loaded.sets.search).max(1.0)
}

impl Job<'_> {
    /// Takes channels out that the network can do without; those that an earlier search took out are out already. Tells also
    /// how many images that took.
    pub(super) fn thin(
        &self,
        loaded: Loaded,
        (statistics, float): (Statistics, &Float),
    ) -> Result<(Loaded, Statistics, u64), Error> {
        let options = self.options;
        let is_asked = options.strategy == Strategy::Pareto && options.drop_channels;
        let is_known = loaded.known.is_some() || loaded.whole.is_some() || loaded.start.is_some();
        if !is_asked || is_known || loaded.sets.stated_ranges {
            return Ok((loaded, statistics, 0));
        }
        let head = PlanHead::of(options.semantics);
        let told = |done, total| self.tell(Step::Thinning { done, total });
        let asked = self.asked(&loaded, &head);
        let said = &float.said.predictions;
        let found = match self.halt.during(|| pareto::thin(asked, &loaded.graph, said, &told)) {
            // Stopped that early, all channels stay.
            Err(SearchError::Stopped) => (None, 0),
            found => found?,
        };
        let (Some(thinned), images) = found else { return Ok((loaded, statistics, found.1)) };
        let loaded = loaded.with_thinned(thinned)?;
        let statistics = self.calibrate(&loaded)?;
        Ok((loaded, statistics, images))
    }

    /// Makes ready what the strategy works with.
    pub(super) fn prepare(&self, loaded: &Loaded, statistics: Statistics) -> Result<Ready, Error> {
        let options = self.options;
        let head = PlanHead {
            quantizer: options.quantizer,
            ..budget::head_for(PlanHead::of(options.semantics), options.target.as_ref())
        };
        let head = with_inputs(head, &loaded.graph, &statistics, &loaded.sets.declared().1);
        if !self.rounds_with_feedback() {
            return Ok(Ready { head, statistics, balanced: None, images: 0 });
        }
        let known = loaded.known.as_ref();
        let balance = match known {
            // The model states the ranges of its channels as they are.
            _ if loaded.sets.stated_ranges => Balance::None,
            Some(known) => known.balance.map_or(Balance::None, Balance::Part),
            None => Balance::Tried,
        };
        let told = |done, total| self.tell(Step::Balancing { done, total });
        let asked = self.asked(loaded, &head);
        let prepared =
            self.halt.during(|| pareto::prepare(asked, &loaded.graph, &statistics, balance, &told));
        let (balanced, images) = match prepared {
            // Stopped that early, the channels stay as they are.
            Err(SearchError::Stopped) => (Prepared::new(&loaded.graph, &statistics), 0),
            prepared => prepared?,
        };
        Ok(Ready { head, statistics, balanced: Some(balanced), images })
    }

    /// What `pareto` is asked.
    pub(super) fn asked<'b>(&'b self, loaded: &'b Loaded, head: &'b PlanHead) -> Asked<'b> {
        let (calibration, search) = loaded.seen();
        Asked {
            options: self.options,
            head,
            calibration,
            search,
            unlabeled: loaded.unlabeled(),
            whole: loaded.whole.as_ref(),
            stop: self.halt.flag(),
        }
    }

    /// Searches with the strategy, and measures its plan on all search images.
    pub(super) fn search(
        &self,
        loaded: &Loaded,
        ready: &Ready,
        float: Float,
    ) -> Result<Found, Error> {
        let tail = test_seconds(loaded, float.seconds);
        let first = float.first.clone();
        let (journal, measured) = self.journal(loaded)?;
        let known = Box::new(self.known(loaded, ready, &first));
        if let Some(journal) = &journal {
            journal.tell(&Told::Run(known.clone()));
        }
        self.tell(Step::Known(known));
        let mut oracle = self.oracle(loaded, float, journal)?;
        oracle.evaluator.preload(measured);
        let mut steps = Vec::new();
        let sought =
            self.halt.during(|| self.outcome(loaded, (ready, tail), &mut oracle, &mut steps));
        // For what is stopped before anything was measured.
        let answer = || self.fixed(loaded, ready, 8, Offset::LeastError);
        let (mut outcome, probed) = match sought {
            Err(SearchError::Stopped) if oracle.failure.is_none() => (Outcome::new(answer()?), 0),
            sought => oracle.finish(sought)?,
        };
        let evaluation = outcome.evaluation.filter(|evaluation| evaluation.is_complete);
        if evaluation.is_none() && !outcome.is_finished {
            outcome.plan = answer()?;
        }
        let score = if let Some(evaluation) = evaluation {
            evaluation.score
        } else {
            let measured = oracle.evaluate(&outcome.plan, None, None);
            oracle.finish(measured)?.score
        };
        let (metric, details) = oracle.account(&outcome.plan)?;
        let images = oracle.evaluator.images_evaluated() + probed + ready.images;
        let evaluations = oracle.evaluator.evaluations();
        let lost = match loaded.sets.test {
            Some(_) => BTreeMap::new(),
            None => lost(&mut oracle.evaluator, &outcome.plan)?,
        };
        Ok(Found { outcome, score, details, lost, steps, evaluations, images, metric, first })
    }

    /// What measures plans.
    pub(super) fn oracle<'b>(
        &'b self,
        loaded: &'b Loaded,
        float: Float,
        journal: Option<Arc<Journal>>,
    ) -> Result<Journaling<'b>, Error> {
        let images = (Set::Search, &loaded.sets.search);
        let mut evaluator = self.evaluator(loaded, images, float.said, self.halt.flag());
        if let Some(bound) = self.options.max_class_loss {
            evaluator.bound_classes(bound)?;
        }
        Ok(Journaling {
            evaluator,
            journal,
            metric: float.metric,
            said: BTreeMap::new(),
            class_parts: ClassParts::default(),
            failure: None,
        })
    }

    /// The journal of this run where it writes files, and what an earlier part of it has measured.
    fn journal(&self, loaded: &Loaded) -> Result<(Option<Arc<Journal>>, Vec<JournalEntry>), Error> {
        let Some(folder) = &loaded.folder else { return Ok((None, Vec::new())) };
        let path = folder.path().join("journal.jsonl");
        // Scores are the same for every target, but what one refuses another may have measured.
        let target = self.options.target.as_ref().map(|target| format!("{target:?}"));
        let mut parts = vec![measured_on(self.options, &loaded.model, &loaded.sets)];
        // A search that is tuned otherwise goes another way.
        parts.push(format!("{:?}", self.options.tuning));
        // So does one of other channels.
        let thinned = loaded.model.thinned(self.options.semantics);
        parts.extend(thinned.map(|thinned| format!("{:?}", thinned.dropped)));
        parts.extend(target);
        // What was measured without counting classes says nothing of them.
        parts.extend(self.options.max_class_loss.map(|_| "classes".to_owned()));
        let config = sha256(parts.join("\n").as_bytes());
        if self.options.resume {
            let (journal, known) = Journal::resume(&path, &config)?;
            Ok((Some(Arc::new(journal)), known))
        } else {
            Ok((Some(Arc::new(Journal::create(&path, &config)?)), Vec::new()))
        }
    }

    /// The way of each strategy to its outcome, and how many images it ran beside those of the oracle.
    fn outcome(
        &self,
        loaded: &Loaded,
        (ready, tail): (&Ready, f64),
        oracle: &mut Journaling,
        steps: &mut Vec<TraceStep>,
    ) -> Result<(Outcome, u64), SearchError> {
        let (options, head) = (self.options, &ready.head);
        let (graph, statistics) = (&loaded.graph, &ready.statistics);
        let watched = ready.balanced.as_ref().map_or(graph, |balanced| &balanced.graph);
        let start = (self.start, tail);
        let tuning = match options.tune {
            Tune::Auto => TuningTime::Usual,
            Tune::For(long) => TuningTime::For(long),
            Tune::None | Tune::Steps(_) => TuningTime::None,
        };
        let journal = oracle.journal.clone();
        let (n, float_correct) = oracle.float_score();
        let bound = Bound {
            max_loss: options.max_loss,
            relative: options.max_loss.as_relative(float_correct, n),
            class_parts: Rc::clone(&oracle.class_parts),
        };
        let about = (watched, tuning, bound);
        let mut observer = Watch::new(self.observer, self.halt, start, about, steps, journal);
        let walk = match options.strategy {
            Strategy::Fixed { bits } => {
                let (plan, images) = self.of_one_width(loaded, ready, bits, oracle)?;
                return Ok((Outcome { is_finished: true, ..Outcome::new(plan) }, images));
            }
            Strategy::BruteForce => {
                let whole = BruteForceOptions::whole(head.clone(), options.max_loss);
                let found =
                    strategies::brute_force(graph, statistics, oracle, &mut observer, &whole)?;
                return Ok((Outcome { front: observer.into_plans(), ..found }, 0));
            }
            Strategy::Pareto => {
                let prepared = ready.balanced.as_ref().expect("made ready for this strategy");
                let known = loaded.known.as_ref().map(|known| known.measured.clone());
                let asked = self.asked(loaded, head);
                return pareto::search(
                    asked,
                    prepared,
                    (known, &loaded.kept),
                    oracle,
                    &mut observer,
                );
            }
            Strategy::LayerDependent => strategies::layer_dependent,
            Strategy::LayerIndependent => strategies::layer_independent,
            Strategy::Joint => strategies::joint,
        };
        let layerwise = LayerwiseOptions {
            head: head.clone(),
            max_loss: options.max_loss,
            offset: options.offset(),
            start: loaded.start.as_ref().map(|start| start.plan(graph, statistics, options)),
            search: options.search.clone(),
            objective: options.objective,
            target: options.target.clone(),
        };
        let found = walk(graph, statistics, oracle, &mut observer, &layerwise)?;
        Ok((Outcome { front: observer.into_plans(), ..found }, 0))
    }

    /// Whether weights are rounded with error feedback, in a network with balanced channels.
    pub(super) fn rounds_with_feedback(&self) -> bool {
        let options = self.options;
        match options.strategy {
            Strategy::Pareto => true,
            Strategy::Fixed { .. } => {
                options.semantics == Semantics::Integer && options.range.is_none()
            }
            _ => false,
        }
    }

    /// The plan with one width for everything: where nothing is said of binary points, with channels balanced and
    /// weights rounded with error feedback, unless to the nearest is better. Tells also how many images that took.
    fn of_one_width(
        &self,
        loaded: &Loaded,
        ready: &Ready,
        bits: u8,
        oracle: &Journaling,
    ) -> Result<(Plan, u64), SearchError> {
        let Some(prepared) = &ready.balanced else {
            let offset = self.options.offset();
            return Ok((self.fixed(loaded, ready, bits, offset)?, 0));
        };
        let plain = self.fixed(loaded, ready, bits, Offset::LeastError)?;
        let edited = Edited { plan: plain.clone(), made: None };
        let mut plans = vec![plain];
        for method in [Method::Nearest, Method::Feedback] {
            let known = Known { method, sensitivity: Vec::new(), front: Vec::new() };
            let refit = Refit { edited: &edited, known: Some(known) };
            match self.refitted(loaded, &ready.head, &refit, prepared) {
                Ok(plan) if oracle.check(&plan).is_ok() => plans.push(plan),
                // Narrower where sums would not fit, the plain one is legal.
                Ok(_) | Err(SearchError::Lower(_)) => {}
                Err(error) => return Err(error),
            }
        }
        pareto::closest(self.asked(loaded, &ready.head), &loaded.graph, plans)
    }

    /// A plan whose widths are given, rounded anew.
    pub(super) fn refitted(
        &self,
        loaded: &Loaded,
        head: &PlanHead,
        refit: &Refit,
        prepared: &Prepared,
    ) -> Result<Plan, SearchError> {
        let (done, total) = (Cell::new(0), loaded.graph.layers().count());
        let told = || {
            done.set(done.get() + 1);
            self.tell(Step::Rounding { done: done.get(), total });
        };
        refit.plan(self.asked(loaded, head), prepared, &told)
    }

    /// The plan with one width for everything, each weight rounded to the nearest.
    pub(super) fn fixed(
        &self,
        loaded: &Loaded,
        ready: &Ready,
        bits: u8,
        offset: Offset,
    ) -> Result<Plan, LowerError> {
        let options = FixedOptions { head: ready.head.clone(), bits, offset };
        let target = self.options.target.as_ref();
        strategies::fixed::plan_for(&loaded.graph, &ready.statistics, &options, target)
    }
}
