//! What came of a run, as `result.json` has it.

mod accuracy;
mod costs;
mod layers;
mod pictures;

pub use accuracy::{
    AccuracyResult, ClassBoundResult, ClassLossResult, ClassResult, FigureResult, ImagesResult,
    MaxLossResult, OutputResult, RecallResult, SetResult,
};
pub use costs::{
    BudgetResult, BudgetStep, CodeResult, ComparedResult, HolderResult, InstructionResult,
    MemoryResult, MultiplicationResult, SchedulePart, ScheduledNode,
};
pub use layers::{FormatResult, LayerResult, NodeResult, OtherResult};
pub use pictures::{DistributionResult, HistogramResult, LostImageResult};

use super::{
    head::{Ended, ModelResult, TOOL},
    preprocessing::{FloatResult, PreprocessingResult},
};
use crate::{error::Error, files::read_text};
use fixedwise_graph::{FixedGraph, Graph, Plan, Semantics, cost, effective};
use fixedwise_search::{
    ClassBound, Details,
    reconstruct::Method,
    strategies::{
        SearchOptions, Sensitivity, TraceEntry,
        pareto::{Explanation, FrontPlan, Held, Tuned},
    },
};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The version of `result.json`: keys are added, never renamed.
pub const RESULT_SCHEMA: u32 = 1;

/// The metric of images without labels: the class of the float network counts as correct.
pub(crate) const AGREEMENT: &str = "agreement";

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
    /// What it is fed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preprocessing: Option<PreprocessingResult>,
    /// What the float network makes of the images: those of the search, or of the test where a plan was only
    /// evaluated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub float_network: Option<FloatResult>,
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
    /// The outputs of a network that has several, in the order of the model's file or of who chose them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<OutputResult>,
    /// The recall of each class, where images have labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<ClassResult>,
    /// The bound on the loss of every class; absent where none was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class_bound: Option<ClassBoundResult>,
    /// What counts: `accuracy`; `agreement` with the float network's classes where images have no labels;
    /// `top5`, `miou`, `mae`, `psnr` or `auc`, by labels; `sqnr`; or `command`, what the user's says.
    #[serde(default = "accuracy")]
    pub metric: String,
    /// Bits of everything that is stored.
    pub memory_bits: MemoryResult,
    /// Bit products: weight bits times activation bits, summed over all multiply-accumulates (MACs).
    pub multiplication_cost: MultiplicationResult,
    /// Effective bit operations: zero weights are skipped, others have the bits from the highest to the lowest set one,
    /// times those of the value; absent where the plan has no integers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_bit_operations: Option<ComparedResult>,
    /// Bytes of all weights, each layer entropy-coded where that makes it smaller; absent where the plan has no integers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entropy_coded_bytes: Option<ComparedResult>,
    /// The target that the plan is for and whose memory is counted; absent in simulated semantics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// `memory`, `multiplications` (bit products), `mixed`, `flash` or `ram`: what the search made small.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objective: Option<String>,
    /// Bytes of constants and code on the target; without code where it runs no C.
    /// In simulated semantics of weights and biases alone, each tensor at its exact width.
    pub flash_bytes: u64,
    /// Bytes of working memory on the target, for one image: the arena of the printed C. In
    /// simulated semantics those of this executor.
    pub peak_ram_bytes: u64,
    /// Bytes of the caller's buffers for one image and its result on the target, on top.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub io_bytes: Option<u64>,
    /// Of `flash_bytes` those of constants: weights, biases, what describes layers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub constant_bytes: Option<u64>,
    /// The code that the target runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<CodeResult>,
    /// The memory there is, and what the plan takes of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<BudgetResult>,
    /// What the network takes; absent where that stays float.
    pub input: Option<FormatResult>,
    /// The graph: every node after those that it takes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<NodeResult>,
    /// Of `flash_bytes`, what each node takes, and the code; the largest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flash_by_node: Vec<HolderResult>,
    /// Bytes of working memory in use while each node runs, in the order of the run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ram_by_step: Vec<HolderResult>,
    /// Instructions that each node of the generated C executes for an image on the target's processor.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub instructions_by_node: Vec<InstructionResult>,
    /// What the generated C computes whole and what row by row, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schedule: Vec<SchedulePart>,
    /// In graph order.
    pub layers: Vec<LayerResult>,
    /// Stored values of nodes that hold no weights: residual adds.
    pub others: Vec<OtherResult>,
    /// The names of nodes whose values no memory holds: a function of each element, which alone takes the value, is computed
    /// where it is made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inner: Vec<String>,
    /// How the values of each layer are distributed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub distributions: Vec<DistributionResult>,
    /// Some of the images that only the float network gets right, of the test images where there are some: those of the
    /// classes that lose most first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost_images: Vec<LostImageResult>,
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
    /// Every plan that was measured as a whole; of a search tensor by tensor the plans on its way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub front: Vec<FrontPlan>,
    /// What the loss comes from, and what would help most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explanation: Option<Explanation>,
    /// What was held against the bound, part by part, by a search that holds more than the counted loss against it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Held>,
    /// What tuning without labels came to, where the search was asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tuned: Option<Tuned>,
    /// How far the channels of the network were balanced for that; absent where nothing was scaled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balance: Option<f64>,
    /// How the integers of layers were chosen, by a search that has a choice: with feedback, or each the nearest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_rounding: Option<Method>,
    /// Hash of the network, the images and what their pixels mean: what was measured holds for these
    /// alone.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub measured_on: String,
    /// What the run was asked for, in the words of a command line; where it was.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
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
            preprocessing: None,
            float_network: None,
            max_loss: None,
            confidence: None,
            bound_met: false,
            ended: Ended::default(),
            images: ImagesResult::default(),
            accuracy: AccuracyResult::default(),
            outputs: Vec::new(),
            classes: Vec::new(),
            class_bound: None,
            metric: accuracy(),
            memory_bits: MemoryResult::default(),
            multiplication_cost: MultiplicationResult::default(),
            effective_bit_operations: None,
            entropy_coded_bytes: None,
            target: None,
            objective: None,
            flash_bytes: 0,
            peak_ram_bytes: 0,
            io_bytes: None,
            constant_bytes: None,
            code: None,
            budgets: Vec::new(),
            input: None,
            nodes: Vec::new(),
            flash_by_node: Vec::new(),
            ram_by_step: Vec::new(),
            instructions_by_node: Vec::new(),
            schedule: Vec::new(),
            layers: Vec::new(),
            others: Vec::new(),
            inner: Vec::new(),
            distributions: Vec::new(),
            lost_images: Vec::new(),
            evaluations: 0,
            images_evaluated: 0,
            seconds: 0.0,
            trace: Vec::new(),
            tried: Vec::new(),
            sensitivity: Vec::new(),
            front: Vec::new(),
            explanation: None,
            held: None,
            tuned: None,
            balance: None,
            weight_rounding: None,
            measured_on: String::new(),
            command: Vec::new(),
        }
    }
}

/// What counts usually.
pub(in crate::result) fn accuracy() -> String {
    "accuracy".to_owned()
}

/// What results said nothing about once.
fn uniform() -> String {
    fixedwise_graph::Quantizer::Uniform.name().to_owned()
}

impl RunResult {
    /// The bound as a part of the float figure: 0.01 where the run does not say.
    pub(crate) fn relative_bound(&self) -> f64 {
        self.max_loss.as_ref().map_or(0.01, |max_loss| match max_loss.kind.as_str() {
            "points" => {
                max_loss.value / self.accuracy.search.map_or(1.0, |set| set.float.max(1e-9))
            }
            _ => max_loss.value,
        })
    }

    /// Whether a plan that was measured is the answer.
    pub(crate) fn is_answer(&self, plan: &FrontPlan) -> bool {
        plan.memory_bits == self.memory_bits.total
            && plan.multiplications == self.multiplication_cost.operand
    }

    /// What the loss of plans is called that was held against the bound; nothing where it is the loss that was
    /// counted.
    pub(crate) fn held_as(&self) -> Option<&'static str> {
        let is_other = self.front.iter().any(|plan| plan.loss != Some(plan.held_loss));
        let name =
            if self.strategy == "pareto" { "with its margin" } else { "with that of classes" };
        is_other.then_some(name)
    }

    /// Fills in the graph.
    pub(crate) fn tell_graph(&mut self, graph: &Graph) {
        self.nodes = layers::nodes(graph);
    }

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
        self.memory_bits = MemoryResult::new(graph, plan)?;
        self.multiplication_cost = MultiplicationResult::new(graph, plan)?;
        let integers = effective::integers(graph, plan)?;
        self.effective_bit_operations = integers.map(|cost| cost.bit_operations.into());
        self.entropy_coded_bytes = integers.map(|cost| cost.coded_bytes.into());
        self.flash_bytes = cost::flash_bytes(graph, plan);
        let is_integer = plan.semantics == Semantics::Integer;
        self.input = is_integer.then(|| FormatResult::new(plan.input, graph.input_shape().len()));
        self.tell_graph(graph);
        self.layers = layers::layers(graph, plan, fixed);
        self.others = layers::others(graph, plan);
        self.inner = layers::inner(graph, plan)?;
        Ok(())
    }

    /// Fills in what a plan gives output by output and class by class, by the names of both.
    pub(crate) fn tell_details(
        &mut self,
        (outputs, classes): (&[String], &[String]),
        search: &Details,
        test: &Details,
        bound: Option<ClassBound>,
    ) {
        self.outputs = OutputResult::all(outputs, &search.outputs, &test.outputs);
        self.classes = ClassResult::all(classes, search, test);
        self.class_bound = bound.map(|bound| ClassBoundResult::new(bound, search, test));
        for (set, details) in [(&mut self.accuracy.search, search), (&mut self.accuracy.test, test)]
        {
            if let Some(set) = set {
                set.top5 = accuracy::top5(details);
            }
        }
    }

    /// What a class is called: its name, where the data says it, else its number.
    pub(crate) fn class_name(&self, class: u64) -> String {
        let named = self.classes.iter().find(|known| known.class == class);
        let name = named.and_then(|class| class.name.clone());
        name.unwrap_or_else(|| class.to_string())
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
            Err(format!("schema {} is not supported, only {RESULT_SCHEMA}", result.schema))
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
