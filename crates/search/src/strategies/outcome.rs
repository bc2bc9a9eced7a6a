//! What a search finds, as plain data.

use super::{
    pareto::limits::Limits,
    tensors::{Kind, Tensor},
};
use crate::{evaluate::Evaluation, reconstruct::Method};
use fixedwise_fixed::{Format, Range};
use fixedwise_graph::Plan;
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
    /// What was held against the bound, where that is more than the counted loss.
    pub held: Option<Held>,
    /// How the integers of layers were chosen.
    pub method: Method,
    /// What tuning came to, where it was asked for.
    pub tuned: Option<Tuned>,
}

/// What tuning without labels came to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tuned {
    /// The best plan before.
    pub untuned: FrontPlan,
    /// Whether a tuned plan is the answer.
    pub is_better: bool,
    /// Images that there were; no label of them was looked at.
    pub images: usize,
    /// Images that were run, each as often as it came.
    pub images_run: u64,
    /// Steps of all trainings.
    pub steps: usize,
    /// Seconds that it took, where somebody looked at a clock.
    #[serde(default)]
    pub seconds: f64,
    /// Trainings that went astray and were rolled back.
    #[serde(default)]
    pub diverged: usize,
    /// Why nothing was tuned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<TuneProblem>,
}

/// Why a network is not tuned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TuneProblem {
    /// Gradients cannot pass an operator.
    Operator {
        /// Its node.
        node: String,
        /// Its name.
        op: String,
    },
    /// There are too few images.
    Images {
        /// As many are needed at least.
        least: usize,
    },
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
            held: None,
            method: Method::Feedback,
            tuned: None,
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
    pub(super) fn new(tensor: &Tensor, format: Format, evaluation: Option<&Evaluation>) -> Self {
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

/// A plan that was measured on the search images.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FrontPlan {
    /// Bit widths, tensor by tensor as the sensitivity lists them.
    pub bits: Vec<u8>,
    /// Of weights, biases and activations.
    pub memory_bits: u64,
    /// Bits times bits of what enters multipliers, over all multiplications.
    pub multiplications: u64,
    /// Bytes of constants on the target, where flash was asked for or limited, or RAM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flash_bytes: Option<u64>,
    /// Bytes of working memory on the target, in the same cases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ram_bytes: Option<u64>,
    /// Mean divergence of its class probabilities from the float network's, in nats.
    pub divergence: f64,
    /// Relative loss that was counted; absent where the answer was clear before all images were run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<f64>,
    /// What was held against the bound: the loss with what was asked of certainty; about that much where
    /// the answer was clear before all images were run.
    pub held_loss: f64,
    /// Whether that kept to the bound.
    pub bound_met: bool,
}

impl FrontPlan {
    /// Whether it keeps to budgets of memory, as far as its memory was asked for.
    pub fn fits(&self, limits: Limits) -> bool {
        match (self.flash_bytes, self.ram_bytes) {
            (Some(flash), Some(ram)) => limits.hold(flash, ram),
            _ => !limits.is_any(),
        }
    }
}

/// What was held against the bound: the loss of a plan with what is asked of certainty. All parts are relative
/// losses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Held {
    /// The bound.
    pub limit: f64,
    /// What was counted.
    pub counted: f64,
    /// What is likely: of what was counted and what the float network's probabilities let expect.
    pub likely: f64,
    /// The distance for chance that is kept on top of that.
    pub margin: f64,
    /// Search images.
    pub images: usize,
    /// Whether every tensor that was searched has the narrowest width it may have.
    pub is_narrowest: bool,
}

/// What the loss of a plan comes from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// Mean divergence of the plan's class probabilities from the float network's, in nats.
    pub divergence: f64,
    /// Tensor by tensor, what makes most of it first.
    pub shares: Vec<Share>,
    /// The bit more that lowers the divergence most.
    pub remedy: Option<Remedy>,
}

/// By how much the divergence falls when one source of error in one node alone is taken away, in nats;
/// zero where it does not.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// The node.
    pub name: String,
    /// Weights at the widest instead of their width.
    pub weights: f64,
    /// The bias at the scale of the accumulator.
    pub bias: f64,
    /// Results that do not saturate.
    pub clipping: f64,
    /// Results in steps an eighth as large; of a layer or what stands alone.
    pub rounding: f64,
    /// The same of a residual add, whose operands are brought to its steps.
    pub alignment: f64,
}

impl Share {
    /// All of them together.
    pub fn total(&self) -> f64 {
        self.weights + self.bias + self.clipping + self.rounding + self.alignment
    }
}

/// One tensor wider by one width.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Remedy {
    /// The node.
    pub name: String,
    /// Which of its tensors.
    pub kind: Kind,
    /// Its width, and the one that helps.
    pub bits: [u8; 2],
    /// By how much the divergence falls, in nats.
    pub divergence: f64,
    /// Bits that the whole plan takes more.
    pub memory_bits: u64,
}
