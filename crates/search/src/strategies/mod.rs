//! Ways to choose a plan, one file each, and what they share.

pub mod brute_force;
pub mod fixed;
mod grid;
pub mod joint;
mod layer_dependent;
mod layer_independent;
mod layerwise;
mod objective;
mod observer;
mod options;
pub mod pareto;
mod tensors;
mod walk;

pub use brute_force::{BruteForceOptions, brute_force};
pub use fixed::FixedOptions;
pub use joint::joint;
pub use layer_dependent::layer_dependent;
pub use layer_independent::layer_independent;
pub use layerwise::LayerwiseOptions;
pub use objective::Objective;
pub use observer::{Event, Ignore, Observer};
pub use options::{Budget, LayerOrder, SearchOptions, StartBits};
pub use tensors::{Kind, PlanHead, Tensor, layer_order, prove, quantized_activations};

use crate::evaluate::Evaluation;
use fixedwise_fixed::{Format, Range};
use fixedwise_graph::Plan;
use pareto::{Explanation, FrontPlan};
use serde::{Deserialize, Serialize};

/// What a search found.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The last plan that kept to the bound; where none did, the last of all.
    ///
    /// A search that was stopped in simulated semantics leaves tensors in float. In integer
    /// semantics a tensor keeps what it had before its turn, a bias the accumulator's scale, where
    /// no format was as good.
    pub plan: Plan,
    /// Of that plan, on the search images; absent where the search was stopped before it had
    /// measured anything.
    pub evaluation: Option<Evaluation>,
    /// Whether it keeps to the bound on the search images.
    pub bound_met: bool,
    /// Whether the search went to its end.
    pub is_finished: bool,
    /// Every format that was tried, in order.
    pub trace: Vec<TraceEntry>,
    /// What each width of each tensor does alone, where the search measured that.
    pub sensitivity: Vec<Sensitivity>,
    /// Every plan that was measured as a whole, in order, by a search of all tensors at once.
    pub front: Vec<FrontPlan>,
    /// What the loss of the plan comes from, where the search has looked.
    pub explanation: Option<Explanation>,
}

impl Outcome {
    /// A plan that nothing is known of.
    pub const fn new(plan: Plan) -> Self {
        Self {
            plan,
            evaluation: None,
            bound_met: false,
            is_finished: false,
            trace: Vec::new(),
            sensitivity: Vec::new(),
            front: Vec::new(),
            explanation: None,
        }
    }
}

/// What each width of a tensor does alone, all others at the widest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sensitivity {
    /// The node.
    pub name: String,
    /// Which of its tensors.
    pub kind: Kind,
    /// The width that was chosen.
    pub bits: u8,
    /// The narrowest first.
    pub widths: Vec<WidthEffect>,
}

/// What one width does.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct WidthEffect {
    /// Bit width.
    pub bits: u8,
    /// Mean divergence that it adds to the class probabilities, in nats.
    pub divergence: f64,
    /// How far the binary point that does so is from the one of least error.
    #[serde(default)]
    pub shift: i8,
}

/// One format that was tried for one tensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TraceEntry {
    /// The node.
    pub name: String,
    /// Which of its tensors.
    pub kind: Kind,
    /// Bit width.
    pub bits: u8,
    /// Fractional offset.
    pub frac: i8,
    /// Whether the format has a sign.
    pub signed: bool,
    /// Images that were run; fewer than all where the format was out of the question before the
    /// end, none where the integer network would not be legal.
    pub images: usize,
    /// Of those, correct ones.
    pub correct: usize,
    /// Of those, lost ones.
    pub lost: usize,
    /// Of those, gained ones.
    pub gained: usize,
    /// Loss relative to the float network, where all images were run.
    pub relative_loss: Option<f64>,
    /// Whether it is the format that was chosen.
    pub chosen: bool,
}

impl TraceEntry {
    fn new(tensor: &Tensor, format: Format, evaluation: Option<&Evaluation>) -> Self {
        let score = evaluation.map(|evaluation| evaluation.score).unwrap_or_default();
        Self {
            name: tensor.name.clone(),
            kind: tensor.kind,
            bits: format.bits,
            frac: format.frac,
            signed: format.range != Range::Unsigned,
            images: score.n,
            correct: score.correct,
            lost: score.lost,
            gained: score.gained,
            relative_loss: evaluation
                .filter(|evaluation| evaluation.is_complete)
                .map(Evaluation::relative_loss),
            chosen: false,
        }
    }
}
