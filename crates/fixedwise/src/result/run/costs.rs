//! What a plan costs.

use fixedwise_fixed::convert::count_to_u64;
use fixedwise_graph::{
    FixedGraph, Graph, LowerError, Plan, cost, effective,
    emit::c::{CodeStyle, Cpu, code::compiler},
    footprint::{CodeReason, CodeShare},
    schedule::{Part, Schedule},
    target::KernelChoice,
};
use serde::{Deserialize, Serialize};

/// Bits of everything that is stored.
#[derive(Clone, Copy, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct MemoryResult {
    /// Of all weights.
    pub weights: u64,
    /// Of all biases.
    pub biases: u64,
    /// Of the results of all layers and of other nodes with formats of their own, of one image, all counted (not the peak),
    /// without inner ones.
    pub activations: u64,
    /// The three together.
    pub total: u64,
    /// The total at 8 bits each.
    pub uniform8_total: u64,
    /// What values take of it that are not stored: those before residual adds inside layers, and inner ones.
    #[serde(default)]
    pub uniform8_fused: u64,
    /// The part of `uniform8_total` that is saved.
    pub reduction: f64,
}

impl MemoryResult {
    pub(super) fn new(graph: &Graph, plan: &Plan) -> Result<Self, LowerError> {
        let memory = cost::memory(graph, plan)?;
        Ok(Self {
            weights: memory.weights,
            biases: memory.biases,
            activations: memory.activations,
            total: memory.total(),
            uniform8_total: memory.uniform8,
            uniform8_fused: memory.fused,
            reduction: memory.reduction(),
        })
    }
}

/// Bit products: weight bits times activation bits, summed over all multiply-accumulates (MACs).
#[derive(Clone, Copy, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct MultiplicationResult {
    /// Weight bits times the bits of the layer's output, the paper's reading.
    pub paper: u64,
    /// The same at 8 bits each.
    pub paper_uniform8: u64,
    /// The part of it that is saved.
    pub paper_reduction: f64,
    /// Weight bits times the bits of what really enters the multiplier.
    pub operand: u64,
    /// The same at 8 bits each.
    pub operand_uniform8: u64,
    /// The part of it that is saved.
    pub operand_reduction: f64,
}

impl MultiplicationResult {
    pub(super) fn new(graph: &Graph, plan: &Plan) -> Result<Self, LowerError> {
        let multiplications = cost::multiplications(graph, plan)?;
        Ok(Self {
            paper: multiplications.paper,
            paper_uniform8: multiplications.uniform8,
            paper_reduction: multiplications.paper_reduction(),
            operand: multiplications.operand,
            operand_uniform8: multiplications.uniform8,
            operand_reduction: multiplications.operand_reduction(),
        })
    }
}

/// A cost of the integers of weights, and that of the network at 8 bits with each weight rounded to the nearest.
#[derive(Clone, Copy, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct ComparedResult {
    /// Of the plan.
    pub plan: u64,
    /// At 8 bits.
    pub uniform8: u64,
    /// The part of it that is saved.
    pub reduction: f64,
}

impl From<effective::Compared> for ComparedResult {
    fn from(compared: effective::Compared) -> Self {
        let effective::Compared { plan, uniform8 } = compared;
        Self { plan, uniform8, reduction: compared.reduction() }
    }
}

/// The code that printed C takes on a target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeResult {
    /// `fast` or `small`: the kernels.
    pub kernels: String,
    /// `asked`, `fits` (fast ones do not fit the flash), `ram` (only small ones fit the RAM), `larger` (fast ones take more than all constants) or
    /// `enough` (fast ones fit, and take less than the constants).
    pub reason: String,
    /// Bytes of code.
    pub bytes: u64,
    /// The processor and the compiler of which these bytes are.
    pub processor: String,
    /// The compiler with its version.
    pub compiler: String,
    /// What the compiler is told to optimize for: `-O2` or `-Os`.
    pub optimization: String,
    /// Bytes of constants and code with the other kernels, where both were considered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other_flash_bytes: Option<u64>,
}

impl CodeResult {
    /// The choice that gives the same kernels again.
    pub fn choice(&self) -> KernelChoice {
        if self.kernels == CodeStyle::Small.name() {
            KernelChoice::Small
        } else {
            KernelChoice::Fast
        }
    }

    /// Why these kernels, as the end of a sentence; empty where they were asked for.
    pub(crate) fn why(&self) -> String {
        let other = self.other_flash_bytes.unwrap_or_default();
        match self.reason.as_str() {
            "fits" => format!(" (fast ones do not fit: {other} bytes of flash)"),
            "ram" => " (fast ones need more RAM than there is)".to_owned(),
            "larger" => {
                format!(" (code of fast ones exceeds the constants: {other} bytes of flash)")
            }
            "enough" if other > 0 => format!(" (small ones: {other} bytes of flash)"),
            _ => String::new(),
        }
    }

    pub(crate) fn new(code: CodeShare, cpu: Cpu) -> Self {
        let reason = match code.reason {
            CodeReason::Asked => "asked",
            CodeReason::Fits => "fits",
            CodeReason::Ram => "ram",
            CodeReason::Larger => "larger",
            CodeReason::Enough => "enough",
        };
        Self {
            kernels: code.style.name().to_owned(),
            reason: reason.to_owned(),
            bytes: code.bytes,
            processor: cpu.name().to_owned(),
            compiler: compiler(cpu).to_owned(),
            optimization: code.style.optimization().flag().to_owned(),
            other_flash_bytes: code.other_bytes,
        }
    }
}

/// A kind of memory of which there is only so much.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BudgetResult {
    /// `flash` or `ram`.
    pub memory: String,
    /// What there is.
    pub limit_bytes: u64,
    /// What the plan takes.
    pub bytes: u64,
    /// Whether that is no more.
    pub is_met: bool,
    /// Where it is not enough: what the network takes with every tensor as narrow as a search makes it, at the
    /// widths that the target stores: weights for flash, activations for RAM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub least_bytes: Option<u64>,
    /// The same on the same target with activations of 4 bits, two in a byte, where that is less.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packed_bytes: Option<u64>,
    /// Where it is not enough: the nodes with the most bytes; of RAM, those at the peak.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holders: Vec<HolderResult>,
    /// Where it is not enough: what narrower tensors would save.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<BudgetStep>,
}

/// A node and the bytes it takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HolderResult {
    /// The node.
    pub name: String,
    /// Bytes.
    pub bytes: u64,
    /// Rows that are held of its value, where that is not all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
}

impl HolderResult {
    /// How many rows these bytes are, as the end of a name; empty where they are a whole value.
    pub(crate) fn rows_text(&self) -> String {
        match self.rows {
            None => String::new(),
            Some(1) => " (1 row)".to_owned(),
            Some(rows) => format!(" ({rows} rows)"),
        }
    }

    /// With name, rows and bytes.
    pub(crate) fn to_text(&self) -> String {
        format!("`{}`{} with {} bytes", self.name, self.rows_text(), self.bytes)
    }
}

/// A node and the instructions that it executes for an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstructionResult {
    /// The node; `schedule` is what computing rows in their order takes.
    pub name: String,
    /// Instructions.
    pub instructions: u64,
}

/// Nodes that are computed together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchedulePart {
    /// Whether their rows flow; else it is one node that is computed whole.
    pub flows: bool,
    /// In the order of the run.
    pub nodes: Vec<ScheduledNode>,
}

/// A node and the rows that are held of its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduledNode {
    /// The node.
    pub name: String,
    /// Rows that are held of its value.
    pub rows: u64,
    /// Rows of its value.
    pub height: u64,
}

impl SchedulePart {
    /// The parts of a network's schedule.
    pub(crate) fn of(fixed: &FixedGraph, schedule: &Schedule) -> Vec<Self> {
        let node = |id: usize| {
            let node = &fixed.nodes[id];
            let (name, height) = (node.name.clone(), node.shape.h);
            // What is folded takes more of its input than it has itself.
            let rows = schedule.held(id).unwrap_or(height).min(height);
            ScheduledNode { name, rows: count_to_u64(rows), height: count_to_u64(height) }
        };
        let part = |part: &Part| Self {
            flows: part.flow.is_some(),
            nodes: part.nodes.clone().map(node).collect(),
        };
        schedule.parts.iter().map(part).collect()
    }
}

/// A tensor at the next narrower width that is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BudgetStep {
    /// The node.
    pub name: String,
    /// `weights` or `activations`.
    pub kind: String,
    /// Its width in the plan.
    pub bits: u8,
    /// The next narrower width that is stored.
    pub next_bits: u8,
    /// Bytes of this memory that it saves, all else as it is.
    pub saved_bytes: u64,
    /// Whether a format of at most that width was tried.
    pub was_tried: bool,
    /// The least relative loss that was measured with one, when its turn was; absent where each was
    /// given up before all images were run, as it lost more than was left to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<f64>,
    /// By how much this width alone raises the divergence, as a part of the plan's; absent where that was not
    /// measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub added_error: Option<f64>,
}
