//! What a search asks: the evaluator, with every evaluation written down and, where there is one, the user's metric.

use super::{measure::details, metric::Metric};
use crate::{
    error::Error,
    watch::{ClassParts, Journal},
};
use fixedwise_graph::{LowerError, NodeId, Plan};
use fixedwise_search::{Details, Digest, Evaluation, Evaluator, Oracle, Score, SearchError};
use std::{collections::BTreeMap, sync::Arc};

/// An evaluator that writes down what it finds.
pub(crate) struct Journaling<'a> {
    pub(crate) evaluator: Evaluator<'a>,
    pub(crate) journal: Option<Arc<Journal>>,
    /// A command of the user's that says how good outputs are, and what it says of the float network's.
    pub(crate) metric: Option<(Metric, f64)>,
    /// What it says of plans, by what they are.
    pub(crate) said: BTreeMap<Digest, f64>,
    /// What plans take of the bound on the loss of each class, for those who watch.
    pub(crate) class_parts: ClassParts,
    /// Why the journal could not be written; the search sees only that it ends.
    pub(crate) failure: Option<Error>,
}

impl Journaling<'_> {
    /// Writes an evaluation down, where it is new.
    fn write(&mut self, evaluation: Evaluation) -> Result<Evaluation, SearchError> {
        if let Some(part) = self.evaluator.class_part(&evaluation, 0.0) {
            self.class_parts.borrow_mut().insert(evaluation.digest, part);
        }
        let entry = self.evaluator.journal_entry(&evaluation);
        if let (Some(journal), Some(entry)) = (&self.journal, entry)
            && let Err(failure) = journal.append(&entry)
        {
            self.failure = Some(failure);
            return Err(SearchError::Stopped);
        }
        Ok(evaluation)
    }

    /// What the user's command says of a plan.
    fn ask(&mut self, metric: &Metric, float: f64, plan: &Plan) -> Result<Evaluation, SearchError> {
        if let Some(known) = self.evaluator.known(plan) {
            return Ok(known);
        }
        let outputs = self.evaluator.outputs(plan)?;
        match metric.of(&outputs) {
            Ok(value) => {
                self.said.insert(self.evaluator.digest(plan), value);
                let loss = (float - value) / float.abs().max(f64::MIN_POSITIVE);
                let score = Score::of_loss(loss, 0.0, self.evaluator.predictions().len());
                Ok(self.evaluator.teach(plan, score))
            }
            Err(failure) => {
                self.failure = Some(failure);
                Err(SearchError::Stopped)
            }
        }
    }

    /// What the user's command says of the float network and of a plan, which is asked now where it was not
    /// before, and what the plan gives in detail.
    pub(crate) fn account(&mut self, plan: &Plan) -> Result<(Option<[f64; 2]>, Details), Error> {
        let metric = match self.metric.clone() {
            Some((metric, float)) => {
                let said = self.said.get(&self.evaluator.digest(plan)).copied();
                let ask = || metric.of(&self.evaluator.outputs(plan)?);
                Some([float, said.map_or_else(ask, Ok)?])
            }
            None => None,
        };
        Ok((metric, details(&mut self.evaluator, plan)?))
    }

    /// What was found, unless the journal failed on the way.
    pub(crate) fn finish<T>(&mut self, found: Result<T, SearchError>) -> Result<T, Error> {
        match self.failure.take() {
            Some(failure) => Err(failure),
            None => found.map_err(Error::from),
        }
    }
}

impl Oracle for Journaling<'_> {
    fn evaluate(
        &mut self,
        plan: &Plan,
        focus: Option<NodeId>,
        at_least: Option<usize>,
    ) -> Result<Evaluation, SearchError> {
        let evaluation = match self.metric.clone() {
            Some((metric, float)) => self.ask(&metric, float, plan)?,
            None => self.evaluator.evaluate(plan, focus, at_least)?,
        };
        self.write(evaluation)
    }

    fn evaluate_first(&mut self, plan: &Plan, images: usize) -> Result<Evaluation, SearchError> {
        let evaluation = match self.metric.clone() {
            Some((metric, float)) => self.ask(&metric, float, plan)?,
            None => self.evaluator.evaluate_first(plan, images)?,
        };
        self.write(evaluation)
    }

    fn check(&self, plan: &Plan) -> Result<(), LowerError> {
        self.evaluator.check(plan)
    }

    fn expected_error(&self) -> Option<f64> {
        self.evaluator.expected_error()
    }

    fn float_score(&self) -> (usize, usize) {
        self.evaluator.float_score()
    }

    fn class_part(&self, evaluation: &Evaluation, errors: f64) -> Option<f64> {
        self.evaluator.class_part(evaluation, errors)
    }
}
