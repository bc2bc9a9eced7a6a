use super::{
    outcome::{FrontPlan, TuneProblem},
    tensors::{Kind, Tensor},
};
use crate::evaluate::Evaluation;
use fixedwise_fixed::Format;
use fixedwise_graph::Plan;
use std::ops::ControlFlow;

/// What a search does.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// All is ready: the search begins.
    Started,
    /// The search turns to another kind of tensors.
    Phase {
        /// Which.
        kind: Kind,
        /// How many of them.
        tensors: usize,
    },
    /// A whole plan was measured, where a phase begins or as a check.
    Whole {
        /// The plan.
        plan: &'a Plan,
        /// What it gave.
        evaluation: &'a Evaluation,
    },
    /// A format of one tensor was tried.
    Candidate {
        /// Of which tensor.
        tensor: &'a Tensor,
        /// The format.
        format: Format,
        /// What it gave; absent where the integer network would not be legal.
        evaluation: Option<&'a Evaluation>,
        /// The loss that is allowed at this point, relative to the float network.
        budget: f64,
        /// Evaluations so far.
        done: usize,
        /// Evaluations in all, as far as can be told.
        expected: usize,
    },
    /// What one width of one tensor does alone was measured.
    Sensitivity {
        /// Of which tensor.
        tensor: &'a Tensor,
        /// The width.
        bits: u8,
        /// Steps of the search so far.
        done: usize,
        /// Steps in all at most.
        expected: usize,
        /// What the search has done, and what is left.
        work: Worked,
    },
    /// A budget of memory is less than the narrowest plan takes: the answer will be the nearest.
    OutOfReach {
        /// `flash` or `ram`.
        memory: &'static str,
        /// What there is.
        limit_bytes: u64,
        /// What weights (flash) or values that are alive together (RAM) take, each as narrow as the search
        /// makes them, without all that comes on top.
        least_bytes: u64,
    },
    /// What the answer will be about, from what an earlier search has measured.
    Expected {
        /// Part of the memory at uniform 8 bit, biases apart.
        memory: f64,
        /// Part of the multiplications at uniform 8 bit.
        multiplications: f64,
    },
    /// A plan was measured on all search images, or until it was out of the question.
    Certified {
        /// The plan.
        plan: &'a Plan,
        /// What it gave.
        evaluation: &'a Evaluation,
        /// What it costs and loses.
        seen: &'a FrontPlan,
        /// Whether it is the best answer so far.
        is_better: bool,
        /// Steps of the search so far.
        done: usize,
        /// Steps in all at most.
        expected: usize,
        /// What the search has done, and what is left.
        work: Worked,
    },
    /// A training goes on.
    Tuning(Tuning),
    /// Nothing is tuned.
    NotTuned {
        /// Why.
        problem: &'a TuneProblem,
    },
    /// What the loss of the answer comes from was measured for a node.
    Explained {
        /// Nodes so far.
        done: usize,
        /// Nodes in all.
        total: usize,
        /// What the search has done, and what is left.
        work: Worked,
    },
    /// A tensor has its format.
    Chosen {
        /// Which tensor.
        tensor: &'a Tensor,
        /// Its format.
        format: Format,
        /// The plan with it.
        plan: &'a Plan,
        /// What the plan gives.
        evaluation: &'a Evaluation,
        /// Tensors that have their format.
        done: usize,
        /// Tensors in all.
        tensors: usize,
    },
}

/// Work of a search, by what takes its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Work {
    /// Widths of tensors whose effect alone was told.
    pub widths: usize,
    /// Single steps of tensors that were measured, on some images.
    pub steps: usize,
    /// Plans that were built and measured, on all images where that decides.
    pub plans: usize,
}

/// How far a search is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Worked {
    /// Done so far.
    pub done: Work,
    /// Left at most: a search ends earlier where nothing is left to gain.
    pub left: Work,
}

/// How far tuning is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// Steps so far.
    pub steps: usize,
    /// Steps in all; nothing where time counts.
    pub in_all: Option<usize>,
    /// Memory of the best plan before and now.
    pub memory_bits: [u64; 2],
}

/// Someone who watches a search and may end it: the best plan so far is its answer then.
pub trait Observer {
    /// Is told what happens.
    fn event(&mut self, event: &Event) -> ControlFlow<()>;

    /// Seconds that tuning may still take, counted from when this was first asked; nothing where nobody looks at a
    /// clock.
    fn tuning_left(&mut self) -> Option<f64> {
        None
    }
}

/// Lets a search run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ignore;

impl Observer for Ignore {
    fn event(&mut self, _: &Event) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

impl<F: FnMut(&Event) -> ControlFlow<()>> Observer for F {
    fn event(&mut self, event: &Event) -> ControlFlow<()> {
        self(event)
    }
}
