//! What a search is asked.

use super::{keep::Kept, limits::Limits, tuned::TuneLength};
use crate::{
    reconstruct::{Method, RoundingOptions},
    score::MaxLoss,
    strategies::{
        outcome::{FrontPlan, Sensitivity},
        tensors::PlanHead,
    },
    tuning::Tuning,
};
use fixedwise_graph::Target;

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
    /// What is given of formats: see [`ParetoOptions::keep`].
    pub kept: Kept,
    /// What the plan is for.
    pub target: Option<Target>,
    /// How long the best plan is tuned; not at all by default.
    pub tune: Option<TuneLength>,
    /// What an earlier search of the same network on the same images has measured.
    pub known: Option<Known>,
    /// The constants of the search.
    pub tuning: Tuning,
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
            kept: Kept::new(),
            target: None,
            tune: None,
            known: None,
            tuning: Tuning::default(),
        }
    }
}

/// What is made small: parts of what uniform 8 bit takes, weighed against each other.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CostWeights {
    /// Of the bits of all tensors.
    pub memory: f64,
    /// Of bits times bits over all multiplications.
    pub multiplications: f64,
    /// Of the bytes of weights as the target stores them.
    pub flash: f64,
    /// Of the bytes of values that are alive together, as the target stores them.
    pub ram: f64,
}

impl CostWeights {
    /// Whether widths between two that a target stores bring nothing.
    pub(super) fn is_of_stored_bytes(self) -> bool {
        self.memory + self.multiplications <= 0.0
    }
}

/// What an earlier search has measured.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    /// What each width of each tensor does alone.
    pub sensitivity: Vec<Sensitivity>,
    /// How it chose the integers of layers.
    pub method: Method,
    /// Plans that were measured as a whole.
    pub front: Vec<FrontPlan>,
}
