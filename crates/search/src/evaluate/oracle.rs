//! What a strategy asks about plans, and the answers.

use crate::{
    digest::Digest,
    error::SearchError,
    score::{ClassScore, Score},
};
use fixedwise_graph::{LowerError, NodeId, Plan};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What was found out about a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evaluation {
    /// Over the images that were run.
    pub score: Score,
    /// Whether that is all of them; if not, the plan cannot reach what was asked of it.
    pub is_complete: bool,
    /// Of the plan.
    pub digest: Digest,
    /// Whether images were run for it, now; else the answer was known.
    pub is_new: bool,
}

impl Evaluation {
    /// Relative loss; infinite where the plan was given up early.
    pub fn relative_loss(&self) -> f64 {
        if self.is_complete { self.score.relative_loss() } else { f64::INFINITY }
    }

    /// The line of a journal that spares the next run this evaluation, where it is new.
    pub fn journal_entry(&self) -> Option<JournalEntry> {
        let Self { score, is_complete, digest, .. } = *self;
        let classes = BTreeMap::new();
        self.is_new.then_some(JournalEntry { digest, score, is_complete, classes })
    }
}

/// One evaluation, as it is written down for resuming.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalEntry {
    /// Of the plan.
    pub digest: Digest,
    /// Over the images that were run.
    pub score: Score,
    /// Whether that is all of them.
    pub is_complete: bool,
    /// Of the images of each label, where the loss of each class is bounded.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub classes: BTreeMap<usize, ClassScore>,
}

/// What a strategy asks about plans.
pub trait Oracle {
    /// Measures a plan.
    ///
    /// `focus` is the node that the next plans will differ in: what comes before it is worth
    /// keeping. With `at_least`, a plan that cannot get so many images right any more may be given
    /// up before all are run.
    ///
    /// # Errors
    /// [`SearchError::Lower`] for a plan that is not legal or not proved, [`SearchError::Stopped`].
    fn evaluate(
        &mut self,
        plan: &Plan,
        focus: Option<NodeId>,
        at_least: Option<usize>,
    ) -> Result<Evaluation, SearchError>;

    /// Measures a plan on about the first `images`, going on where it was left: those that the float
    /// network gets wrong come first, then those that it is least sure of.
    ///
    /// # Errors
    /// As [`Oracle::evaluate`].
    fn evaluate_first(&mut self, plan: &Plan, images: usize) -> Result<Evaluation, SearchError>;

    /// Whether a plan is legal and proved to fit 32-bit accumulators, without running it.
    ///
    /// # Errors
    /// [`LowerError`] naming the node.
    fn check(&self, plan: &Plan) -> Result<(), LowerError>;

    /// Images, and how many the float network gets right.
    fn float_score(&self) -> (usize, usize);

    /// Standard error of the expected loss, as a part of it: how well it is known that the float network's probabilities
    /// say what labels do. Nothing where no label tells.
    fn expected_error(&self) -> Option<f64>;

    /// The part of the bound on the loss of each class that a plan takes, by an evaluation of it; with so many
    /// standard errors added to the loss. Of an evaluation that is not complete it is what that is at least. Nothing
    /// where no such bound is asked.
    fn class_part(&self, evaluation: &Evaluation, errors: f64) -> Option<f64> {
        let _ = (evaluation, errors);
        None
    }
}
