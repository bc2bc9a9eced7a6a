//! Everything together: widths of all tensors at once along the front of cost against divergence,
//! weights rounded with error feedback, each answer certified with the exact integers.
//!
//! What every width of every tensor does to the class probabilities is measured once, alone. From that
//! comes a front of plans, from the widest to the narrowest; bisection along it finds where the bound
//! lies, with plans whose layers are rounded one after the other for what the layers before really
//! compute. From there tensors exchange bits: steps that save more than they harm, as many at a time as
//! turn out well.

mod bisection;
mod certify;
mod cost;
mod curves;
mod descent;
mod explain;
mod front;
mod keep;
mod known;
pub(super) mod limits;
mod network;
mod options;
mod prepared;
mod refit;
mod search;
mod sensitivity;
mod thin;
mod trade;
mod trial;
mod tuned;
mod widest;
mod widths;

pub use super::outcome::{Explanation, FrontPlan, Held, Remedy, Share, TuneProblem, Tuned};
pub use keep::{Keep, Kept};
pub use limits::Limits;
pub use options::{CostWeights, Known, ParetoOptions};
pub use prepared::{Prepared, prepare};
pub use refit::refit;
pub use search::Tools;
pub use thin::{Thinning, thin};
pub use trial::trial;
pub use tuned::TuneLength;

use super::{
    observer::{Event, Observer},
    outcome::Outcome,
};
use crate::{
    error::SearchError,
    evaluate::{Images, Oracle},
    tuning::Tuning,
};
use fixedwise_graph::Plan;
use front::Prices;
use search::{Search, Standing};
use widths::Widths;

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
    let (prepared, unlabeled) = (tools.prepared, tools.unlabeled);
    let mut search = Search::new(tools, observer, options)?;
    let is_finished = match search.run(unlabeled) {
        Ok(()) => true,
        Err(SearchError::Stopped) => false,
        Err(error) => return Err(error),
    };
    let best = search.best.pop().ok_or(SearchError::Stopped)?;
    let is_narrowest = search.items.is_narrowest(&best.standing.widths);
    let score = search.expecting(best.evaluation.score, best.standing.is_tuned);
    let held = search.certificate.parts(&score);
    let held = held.filter(|_| best.evaluation.is_complete);
    Ok(Outcome {
        plan: prepared.plan(best.standing.built.plan),
        bound_met: best.met,
        evaluation: Some(best.evaluation),
        is_finished,
        trace: Vec::new(),
        sensitivity: curves::describe(&search.items, &search.curves, &best.standing.widths),
        front: search.front,
        explanation: search.explanation,
        held: held.map(|held| Held { is_narrowest, ..held }),
        method: search.network.rounding().method,
        tuned: search.tuned,
    })
}

impl<'a, O: Oracle> Search<'a, '_, O> {
    fn run(&mut self, unlabeled: Option<&'a dyn Images>) -> Result<(), SearchError> {
        self.work.left.widths = self.items.n_widths();
        let plans = 1 + self.bisections(self.items.n_widths());
        let &Tuning { exchanges, trades, .. } = &self.options.tuning;
        self.is_left(plans, exchanges, trades);
        self.tell(&Event::Started)?;
        let (mut base, is_out_of_reach) = self.base()?;
        let front = loop {
            let front = self.search_below(base)?;
            let wider = if self.is_met() { None } else { self.wider_base()? };
            match wider {
                Some(wider) => base = wider,
                None => break front,
            }
        };
        if !is_out_of_reach {
            self.fit(&front)?;
        }
        self.trade()?;
        self.is_left(0, 0, 0);
        self.complete()?;
        if let Some(length) = self.options.tune {
            self.tune(length, unlabeled)?;
            self.complete()?;
        }
        self.explain()
    }

    /// Looks for the best plan of tensors that are at most as wide as in the base; the front.
    fn search_below(&mut self, base: Standing) -> Result<Vec<Widths>, SearchError> {
        let widest = base.built.plan.clone();
        self.work.left.widths = self.items.n_widths();
        let known = self.options.known.as_ref();
        self.curves = match known.and_then(|known| curves::earlier(known, &mut self.items)) {
            Some(curves) => curves,
            None => self.sensitivities(&base)?,
        };
        self.work.left.widths = 0;
        let front = self.prices(&widest).front(&base.widths);
        let (good, standing) = self.bisect(base, &front)?;
        let price = self.prices(&widest).price(&front, good);
        self.descend(standing, price)?;
        Ok(front)
    }

    /// What a front is made from; `like` is any plan of the graph.
    fn prices<'p>(&'p self, like: &'p Plan) -> Prices<'p> {
        Prices {
            graph: self.network.graph(),
            items: &self.items,
            meter: &self.meter,
            curves: &self.curves,
            like,
            scale: self.scale,
            tuning: &self.options.tuning,
        }
    }
}
