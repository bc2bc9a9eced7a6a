//! A run that goes on, as far as it is known: from what it tells, or from its journal.

use super::{
    journal::{self, Told},
    progress::{Progress, Step},
};
use crate::{error::Error, result::RunResult};
use fixedwise_search::strategies::pareto::FrontPlan;
use std::path::Path;

/// What is known of a run before it ends.
///
/// ```
/// use fixedwise::{Candidate, FrontPlan, Progress, Running, Step};
///
/// let plan = FrontPlan { memory_bits: 700, ..FrontPlan::default() };
/// let step = Step::Searching(Candidate { plan: Some(plan), is_best: true, ..Candidate::default() });
/// let mut running = Running::default();
/// running.take(&Progress { seconds: 1.0, step });
/// assert_eq!(running.best().map(|best| best.memory_bits), Some(700));
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Running {
    /// What came so far: `front` has the plans that were measured, and the costs are those of the best of them.
    pub result: RunResult,
    best: Option<usize>,
}

impl Running {
    /// What the journal of a run in a folder tells, and how many evaluations it has.
    ///
    /// # Errors
    /// [`Error`] for a journal that cannot be read, or is none.
    pub fn from_journal(folder: &Path) -> Result<(Self, usize), Error> {
        let (told, evaluations) = journal::told(&folder.join("journal.jsonl"))?;
        let mut running = Self::default();
        for told in told {
            match told {
                Told::Run(result) => running.begin(*result),
                Told::Plan { plan, is_best } => running.measured(&plan, is_best),
            }
        }
        Ok((running, evaluations))
    }

    /// Takes what a run tells.
    pub fn take(&mut self, progress: &Progress) {
        match &progress.step {
            Step::Known(result) => self.begin((**result).clone()),
            Step::Searching(candidate) => {
                if let Some(plan) = &candidate.plan {
                    self.measured(plan, candidate.is_best);
                }
            }
            _ => {}
        }
    }

    /// The best plan so far.
    pub fn best(&self) -> Option<&FrontPlan> {
        self.best.map(|place| &self.result.front[place])
    }

    fn begin(&mut self, result: RunResult) {
        *self = Self { result, best: None };
    }

    fn measured(&mut self, plan: &FrontPlan, is_best: bool) {
        self.result.front.push(plan.clone());
        if is_best {
            self.best = Some(self.result.front.len() - 1);
            self.result.memory_bits.total = plan.memory_bits;
            self.result.multiplication_cost.operand = plan.multiplications;
            self.result.bound_met = plan.bound_met;
        }
    }
}
