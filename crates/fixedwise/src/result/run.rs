//! What came of a run, as `result.json` has it.

use crate::{error::Error, files::read_text};
use fixedwise_fixed::{Format, Range, convert::count_to_u64};
use fixedwise_graph::{FixedGraph, Graph, Plan, Semantics, cost};
use fixedwise_search::{
    MaxLoss, Score,
    strategies::{
        SearchOptions, Sensitivity, TraceEntry,
        pareto::{Explanation, FrontPlan},
    },
};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The version of `result.json`: keys are added, never renamed.
pub const RESULT_SCHEMA: u32 = 1;

/// Name and version of this tool.
pub(crate) const TOOL: &str = concat!("fixedwise ", env!("CARGO_PKG_VERSION"));

/// Bits of a bias that stays at its accumulator's scale, and of a tensor that stays float.
const UNPLANNED_BITS: u8 = 32;

/// Everything a run found out: `result.json`, key by key, units in the names.
///
/// ```
/// use fixedwise::RunResult;
///
/// let mut result = RunResult::default();
/// result.memory_bits.weights = 1200;
/// let read: RunResult = RunResult::from_json(&result.to_json())?;
/// assert_eq!(read, result);
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunResult {
    /// [`RESULT_SCHEMA`].
    pub schema: u32,
    /// Name and version of the tool.
    pub tool: String,
    /// The strategy that made the plan; `given` for one that was only evaluated.
    pub strategy: String,
    /// `integer` or `simulated`.
    pub semantics: String,
    /// `uniform` or `square-root`: what the formats are applied to.
    #[serde(default = "uniform")]
    pub quantizer: String,
    /// `ties-up`, `ties-even` or `floor`: how a requantization rounds; absent where the usual of
    /// the semantics is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rounding: Option<String>,
    /// How the layers were walked; absent for strategies that do not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<SearchOptions>,
    /// Seed of every random choice.
    pub seed: u64,
    /// The network.
    pub model: ModelResult,
    /// The loss that was allowed; absent where a plan was only evaluated.
    pub max_loss: Option<MaxLossResult>,
    /// The confidence with which the bound must hold; absent where the measured loss decides.
    pub confidence: Option<f64>,
    /// Whether the loss on the search images is within the bound (on the test images where a plan
    /// was only evaluated).
    pub bound_met: bool,
    /// How the run ended.
    pub ended: Ended,
    /// Images of each of the three disjoint sets.
    pub images: ImagesResult,
    /// Accuracy on the two labeled sets.
    pub accuracy: AccuracyResult,
    /// What counts: `accuracy`; `agreement` with the float network's classes where images have no labels;
    /// `sqnr`; or `command`, what the user's says.
    #[serde(default = "accuracy")]
    pub metric: String,
    /// Bits of everything that is stored.
    pub memory_bits: MemoryResult,
    /// Bits times bits, over all multiplications.
    pub multiplication_cost: MultiplicationResult,
    /// The target that the plan is for and whose memory is counted; absent in simulated semantics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// `memory`, `multiplications`, `flash` or `ram`: what a walk made small.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objective: Option<String>,
    /// Bytes of constants on the target: weights, biases, what describes layers; code comes on top.
    /// In simulated semantics of weights and biases alone, each tensor at its exact width.
    pub flash_bytes: u64,
    /// Bytes of working memory on the target, for one image: the arena of the printed C. In
    /// simulated semantics those of this executor.
    pub peak_ram_bytes: u64,
    /// Bytes of the caller's buffers for one image and its result on the target, on top.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub io_bytes: Option<u64>,
    /// The memory there is, and what the plan takes of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<BudgetResult>,
    /// What the network takes; absent where that stays float.
    pub input: Option<FormatResult>,
    /// In graph order.
    pub layers: Vec<LayerResult>,
    /// Stored values of nodes that hold no weights: residual adds.
    pub others: Vec<OtherResult>,
    /// Plans that were run.
    pub evaluations: u64,
    /// Images that were run, over all plans.
    pub images_evaluated: u64,
    /// Wall-clock time.
    pub seconds: f64,
    /// The plans the search accepted, one after the other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trace: Vec<TraceStep>,
    /// Every format that was tried, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tried: Vec<TraceEntry>,
    /// What each width of each tensor does alone, where the search measured that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sensitivity: Vec<Sensitivity>,
    /// Every plan that was measured as a whole, where the search chooses all widths at once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub front: Vec<FrontPlan>,
    /// What the loss comes from, and what would help most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explanation: Option<Explanation>,
    /// How far the channels of the network were balanced for that; absent where nothing was scaled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balance: Option<f64>,
    /// Hash of the network, the images and what their pixels mean: what was measured holds for these
    /// alone.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub measured_on: String,
    /// What the run was asked for, in the words of a command line; where it was.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// It did all it set out to do.
    #[default]
    Completed,
    /// The time budget was used up; the best so far is the result.
    TimeBudget,
    /// Its stop flag was raised; the best so far is the result.
    Interrupted,
}

/// The network.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ModelResult {
    /// The file's name without its extension.
    pub name: String,
    /// Of the file.
    pub sha256: String,
    /// Weights and biases, as the file has them.
    pub parameters: u64,
    /// Multiplications of one image.
    pub macs: u64,
}

/// The loss that is allowed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MaxLossResult {
    /// A fraction: 0.01 is one percent or one percentage point.
    pub value: f64,
    /// `relative` (of the float accuracy), `points` (of all images), `sqnr-db` (at least so many dB between
    /// signal and noise at the outputs) or `metric` (relative, of what the user's command says).
    pub kind: String,
}

impl From<MaxLoss> for MaxLossResult {
    fn from(max_loss: MaxLoss) -> Self {
        let (value, kind) = match max_loss {
            MaxLoss::Relative(value) => (value, "relative"),
            MaxLoss::Points(value) => (value, "points"),
            MaxLoss::Sqnr(value) => (value, "sqnr-db"),
            MaxLoss::Metric(value) => (value, "metric"),
        };
        Self { value, kind: kind.to_owned() }
    }
}

/// Images of each set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ImagesResult {
    /// Without labels: they give the ranges.
    pub calibration: u64,
    /// They accept or refuse.
    pub search: u64,
    /// They are only reported.
    pub test: u64,
}

/// Accuracy on the two labeled sets.
#[derive(Clone, Copy, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct AccuracyResult {
    /// On the images that decided; absent where a plan was only evaluated.
    pub search: Option<SetResult>,
    /// On images that no decision has seen; absent where the run was interrupted before.
    pub test: Option<SetResult>,
}

/// Accuracy on one set, float and fixed on the same images.
#[derive(Clone, Copy, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct SetResult {
    /// Images.
    pub n: u64,
    /// Fraction the float network gets right.
    pub float: f64,
    /// Fraction the fixed-point network gets right.
    pub fixed: f64,
    /// Images the float network gets right.
    pub float_correct: u64,
    /// Images the fixed-point network gets right.
    pub fixed_correct: u64,
    /// `(float - fixed) / float`; negative where the fixed-point network is better.
    pub relative_loss: f64,
    /// Images that only the float network gets right.
    pub lost: u64,
    /// Images that only the fixed-point network gets right.
    pub gained: u64,
    /// 95 % confidence interval of `relative_loss`, from the paired difference.
    pub interval95: [f64; 2],
    /// Where outputs count as values: signal to quantization noise there, in dB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sqnr_db: Option<f64>,
    /// What the user's command says of the float network and of the fixed-point one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<[f64; 2]>,
}

impl From<Score> for SetResult {
    fn from(score: Score) -> Self {
        Self {
            n: count_to_u64(score.n),
            float: score.float_accuracy(),
            fixed: score.accuracy(),
            float_correct: count_to_u64(score.float_correct),
            fixed_correct: count_to_u64(score.correct),
            relative_loss: score.relative_loss(),
            lost: count_to_u64(score.lost),
            gained: count_to_u64(score.gained),
            interval95: score.relative_interval95(),
            sqnr_db: None,
            metric: None,
        }
    }
}

/// Bits of everything that is stored.
#[derive(Clone, Copy, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct MemoryResult {
    /// Of all weights.
    pub weights: u64,
    /// Of all biases.
    pub biases: u64,
    /// Of the results of all layers and residual adds of one image, all counted (not the peak).
    pub activations: u64,
    /// The three together.
    pub total: u64,
    /// The total at 8 bits each.
    pub uniform8_total: u64,
    /// The part of `uniform8_total` that is saved.
    pub reduction: f64,
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
    /// Where it is not enough: what the network takes with every tensor at the least width that is
    /// stored; of RAM, its values alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub least_bytes: Option<u64>,
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
    /// Bytes that this saves, of RAM while the value is there.
    pub saved_bytes: u64,
    /// Whether a format of at most that width was tried.
    pub was_tried: bool,
    /// The least relative loss that was measured with one, when its turn was; absent where each was
    /// given up before all images were run, as it lost more than was left to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<f64>,
}

/// Bits times bits, over all multiplications.
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

/// One layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerResult {
    /// Its node in the model's file.
    pub name: String,
    /// `Conv` or `Gemm`.
    pub op: String,
    /// Extents of its result, `[h, w, c]`.
    pub output_shape: [u64; 3],
    /// Multiplications of one image.
    pub macs: u64,
    /// Bits its worst sum needs, proved; 0 in simulated semantics.
    pub accumulator_bits: u8,
    /// Format of the weights.
    pub weights: FormatResult,
    /// How much less the fractional offset of each output channel's weights is; empty where all have the
    /// format's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub coarser: Vec<u8>,
    /// Format of the bias.
    pub bias: FormatResult,
    /// Format of the result, after the activation.
    pub activation: FormatResult,
}

/// The stored value of a node without weights.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherResult {
    /// The node.
    pub name: String,
    /// Its operator.
    pub op: String,
    /// Format of its value.
    pub activation: FormatResult,
}

/// Format of a tensor: stored integers `q` mean `q * 2^-frac`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormatResult {
    /// Width, BW.
    pub bits: u8,
    /// Fractional offset, F; absent for a tensor that stays float.
    pub frac: Option<i32>,
    /// Whether negative integers belong to it.
    pub signed: bool,
    /// Whether the most negative integer belongs to it too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub full: bool,
    /// Elements (of one image, for activations).
    pub count: u64,
}

impl FormatResult {
    fn new(format: Format, count: usize) -> Self {
        Self {
            bits: format.bits,
            frac: Some(i32::from(format.frac)),
            signed: format.is_signed(),
            full: format.range == Range::Full,
            count: count_to_u64(count),
        }
    }

    fn unplanned(frac: Option<i32>, count: usize) -> Self {
        let count = count_to_u64(count);
        Self { bits: UNPLANNED_BITS, frac, signed: true, full: false, count }
    }
}

/// A plan that a search accepted on its way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TraceStep {
    /// Since the start.
    pub seconds: f64,
    /// Plans run so far.
    pub evaluations: u64,
    /// The node that has its format now.
    pub node: String,
    /// `weights`, `biases` or `activations` of it.
    pub kind: String,
    /// Bits of weights, biases and activations together.
    pub memory_bits: u64,
    /// Relative, on the search images, where all of them were run.
    pub loss: Option<f64>,
}

impl Default for RunResult {
    fn default() -> Self {
        Self {
            schema: RESULT_SCHEMA,
            tool: TOOL.to_owned(),
            strategy: String::new(),
            semantics: Semantics::Integer.name().to_owned(),
            quantizer: uniform(),
            rounding: None,
            search: None,
            seed: 0,
            model: ModelResult::default(),
            max_loss: None,
            confidence: None,
            bound_met: false,
            ended: Ended::default(),
            images: ImagesResult::default(),
            accuracy: AccuracyResult::default(),
            metric: accuracy(),
            memory_bits: MemoryResult::default(),
            multiplication_cost: MultiplicationResult::default(),
            target: None,
            objective: None,
            flash_bytes: 0,
            peak_ram_bytes: 0,
            io_bytes: None,
            budgets: Vec::new(),
            input: None,
            layers: Vec::new(),
            others: Vec::new(),
            evaluations: 0,
            images_evaluated: 0,
            seconds: 0.0,
            trace: Vec::new(),
            tried: Vec::new(),
            sensitivity: Vec::new(),
            front: Vec::new(),
            explanation: None,
            balance: None,
            measured_on: String::new(),
            command: Vec::new(),
        }
    }
}

/// What counts usually.
fn accuracy() -> String {
    "accuracy".to_owned()
}

/// What results said nothing about once.
fn uniform() -> String {
    fixedwise_graph::Quantizer::Uniform.name().to_owned()
}

impl RunResult {
    /// Fills in everything that follows from the graph and the plan: formats and costs.
    ///
    /// `fixed` is the lowered network, for integer semantics.
    pub(crate) fn describe(
        &mut self,
        graph: &Graph,
        plan: &Plan,
        fixed: Option<&FixedGraph>,
    ) -> Result<(), Error> {
        plan.semantics.name().clone_into(&mut self.semantics);
        plan.quantizer.name().clone_into(&mut self.quantizer);
        self.rounding = Some(plan.rounding.name().to_owned());
        let memory = cost::memory(graph, plan)?;
        self.memory_bits = MemoryResult {
            weights: memory.weights,
            biases: memory.biases,
            activations: memory.activations,
            total: memory.total(),
            uniform8_total: memory.uniform8,
            reduction: memory.reduction(),
        };
        let multiplications = cost::multiplications(graph, plan)?;
        self.multiplication_cost = MultiplicationResult {
            paper: multiplications.paper,
            paper_uniform8: multiplications.uniform8,
            paper_reduction: multiplications.paper_reduction(),
            operand: multiplications.operand,
            operand_uniform8: multiplications.uniform8,
            operand_reduction: multiplications.operand_reduction(),
        };
        self.flash_bytes = cost::flash_bytes(graph, plan);
        let is_integer = plan.semantics == Semantics::Integer;
        self.input = is_integer.then(|| FormatResult::new(plan.input, graph.input_shape().len()));
        self.layers = layers(graph, plan, fixed);
        self.others = others(graph, plan);
        Ok(())
    }

    /// Whether no budget of memory is exceeded.
    pub fn fits(&self) -> bool {
        self.budgets.iter().all(|budget| budget.is_met)
    }

    /// As `result.json` is written.
    #[expect(clippy::missing_panics_doc, reason = "every key is a string")]
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("every key is a string");
        text.push('\n');
        text
    }

    /// Reads what [`RunResult::to_json`] has written.
    ///
    /// # Errors
    /// What is wrong with the text, with its line and column; also another schema.
    pub fn from_json(text: &str) -> Result<Self, String> {
        let result: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if result.schema == RESULT_SCHEMA {
            Ok(result)
        } else {
            Err(format!("schema {} is not known, only {RESULT_SCHEMA}", result.schema))
        }
    }

    /// Reads `result.json`.
    ///
    /// # Errors
    /// [`Error`] naming the file.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = read_text(path)?;
        Self::from_json(&text).map_err(|problem| Error::Result { path: path.to_owned(), problem })
    }
}

fn layers(graph: &Graph, plan: &Plan, fixed: Option<&FixedGraph>) -> Vec<LayerResult> {
    let layer = |(id, node): (usize, &fixedwise_graph::Node)| {
        let planned = plan.layer(&node.name);
        let [h, w, c] = node.shape.dims().map(count_to_u64);
        let weights = planned.and_then(|layer| layer.weights);
        // A bias without format of its own stands at the scale of the products.
        let bias_frac = || {
            let input = fixed?.nodes[node.main_input()].format.frac;
            Some(i32::from(weights?.frac) + i32::from(input))
        };
        let of = |format: Option<Format>, count: usize, frac: Option<i32>| {
            format.map_or_else(
                || FormatResult::unplanned(frac, count),
                |format| FormatResult::new(format, count),
            )
        };
        LayerResult {
            name: node.name.clone(),
            op: node.op.name().to_owned(),
            output_shape: [h, w, c],
            macs: graph.node_macs(id),
            accumulator_bits: fixed.map_or(0, |fixed| fixed.nodes[id].accumulator_bits),
            weights: of(weights, node.op.weights().map_or(0, <[f32]>::len), None),
            coarser: plan
                .rounded
                .get(&node.name)
                .filter(|rounded| rounded.is_by_channel())
                .map_or_else(Vec::new, |rounded| rounded.coarser.clone()),
            bias: of(
                planned.and_then(|layer| layer.bias),
                cost::bias_count(graph, id),
                bias_frac(),
            ),
            activation: of(planned.and_then(|layer| layer.activation), node.shape.len(), None),
        }
    };
    graph.layers().map(layer).collect()
}

fn others(graph: &Graph, plan: &Plan) -> Vec<OtherResult> {
    let stored = |node: &&fixedwise_graph::Node| {
        !node.op.is_layer() && (node.op.has_own_format() || plan.others.contains_key(&node.name))
    };
    let other = |node: &fixedwise_graph::Node| OtherResult {
        name: node.name.clone(),
        op: node.op.name().to_owned(),
        activation: plan.others.get(&node.name).map_or_else(
            || FormatResult::unplanned(None, node.shape.len()),
            |format| FormatResult::new(*format, node.shape.len()),
        ),
    };
    graph.nodes.iter().filter(stored).map(other).collect()
}
