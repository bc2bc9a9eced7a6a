//! What an integer network takes of a target's memory.

use crate::{
    cost::POINT_BITS,
    emit::c::{self, CodeStyle, WeightPlace},
    error::LowerError,
    fixed_graph::FixedGraph,
    fixed_operator::{Constant, FixedOp},
    graph::{Graph, NodeId},
    layout::{Layout, Needs},
    lower::{context::AccumulatorPolicy, formats::output_formats, lower},
    memory::MemoryPlan,
    operator::FormatRule,
    plan::{LayerPlan, Plan, Quantizer, Semantics},
    schedule::Schedule,
    target::{Code, KernelChoice, Target},
};
use fixedwise_fixed::{Format, Rounding, convert::count_to_u64};
use std::collections::BTreeMap;

/// What the share is called of constants that say which rows are computed when.
pub const SCHEDULE: &str = "schedule";

/// What the share of all code is called.
pub const CODE: &str = "code";

/// Bytes that a node takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// The node.
    pub name: String,
    /// Bytes.
    pub bytes: u64,
    /// Rows that are held of its value, where that is not all of them.
    pub rows: Option<u64>,
}

/// How many instructions a node executes for an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeInstructions {
    /// The node.
    pub name: String,
    /// Instructions.
    pub instructions: u64,
}

/// What the code of printed C takes, and what the other kernels would.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodeShare {
    /// The kernels.
    pub style: CodeStyle,
    /// Why these.
    pub reason: CodeReason,
    /// Bytes, as the compiler makes them that the printed build rules call: [`CodeStyle::optimization`].
    pub bytes: u64,
    /// Bytes of constants and code with the other kernels, where that was asked for.
    pub other_bytes: Option<u64>,
}

/// Why kernels were chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeReason {
    /// They were asked for.
    Asked,
    /// Fast code and constants do not fit the flash.
    Fits,
    /// The working memory of fast kernels does not fit the RAM.
    Ram,
    /// Fast code takes more than all constants.
    Larger,
    /// Fast code fits, and is the smaller part.
    Enough,
}

/// A network as C, with the kernels of the target's choice.
fn printed(
    fixed: &FixedGraph,
    target: &Target,
    place: WeightPlace,
) -> Option<(c::CProject, CodeShare)> {
    let options = c::COptions { place, ..target.c_options("network")? };
    let print = |style: CodeStyle| {
        let project = c::emit(fixed, &c::COptions { style, ..options.clone() }, &[]).ok()?;
        let code = project.code.bytes(options.cpu, style.optimization());
        Some((project, code))
    };
    let flash = |project: &c::CProject, code: u64| count_to_u64(project.constant_bytes) + code;
    let asked = |style: CodeStyle| {
        let (project, bytes) = print(style)?;
        let share = CodeShare { style, reason: CodeReason::Asked, bytes, other_bytes: None };
        Some((project, share))
    };
    let is_balanced = match target.kernels {
        KernelChoice::Fast => return asked(CodeStyle::Fast),
        KernelChoice::Small => return asked(CodeStyle::Small),
        KernelChoice::Fitting => false,
        KernelChoice::Balanced => true,
    };
    let (fast, fast_code) = print(CodeStyle::Fast)?;
    let (small, small_code) = print(CodeStyle::Small)?;
    let (fast_bytes, small_bytes) = (flash(&fast, fast_code), flash(&small, small_code));
    let fits = |bytes: u64, budget: Option<u64>| budget.is_none_or(|budget| bytes <= budget);
    let ram = |project: &c::CProject| fits(count_to_u64(project.arena_bytes), target.ram_bytes);
    let is_too_large = !fits(fast_bytes, target.flash_bytes);
    // Fast kernels hold rows, and some of them unpacked weights.
    let needs_ram = !ram(&fast) && ram(&small) && fits(small_bytes, target.flash_bytes);
    let is_larger = is_balanced && fast_code > count_to_u64(fast.constant_bytes);
    let reason = match (is_too_large, needs_ram) {
        (true, _) => CodeReason::Fits,
        (_, true) => CodeReason::Ram,
        _ => CodeReason::Larger,
    };
    let is_small = needs_ram || small_bytes < fast_bytes && (is_too_large || is_larger);
    Some(if is_small {
        let (style, bytes) = (CodeStyle::Small, small_code);
        (small, CodeShare { style, reason, bytes, other_bytes: Some(fast_bytes) })
    } else {
        let (style, reason, bytes) = (CodeStyle::Fast, CodeReason::Enough, fast_code);
        (fast, CodeShare { style, reason, bytes, other_bytes: Some(small_bytes) })
    })
}

/// The kernels that C for the target is printed with.
pub fn code_style(fixed: &FixedGraph, target: &Target) -> Option<CodeShare> {
    printed(fixed, target, WeightPlace::Constants).map(|(_, code)| code)
}

/// What an integer network takes of a target's memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Footprint {
    /// Bytes of constants and code.
    pub flash_bytes: u64,
    /// Bytes of constants: weights, biases and what describes layers.
    pub constant_bytes: u64,
    /// The code, where the target runs C.
    pub code: Option<CodeShare>,
    /// Bytes of working memory: the arena. The caller's buffers for input and results and the stack
    /// come on top.
    pub ram_bytes: u64,
    /// Bytes of the caller's buffers for the inputs and the results.
    pub io_bytes: u64,
    /// The constants node by node and the code, the largest first.
    pub flash: Vec<Share>,
    /// What lies in the arena at the step at which most does, the largest first: values, and the
    /// working memory of the node that runs.
    pub ram: Vec<Share>,
    /// Bytes in use while each node runs, in the order of the run.
    pub steps: Vec<Share>,
    /// Instructions of each node for an image, and what computing rows in their order takes; empty where C is not printed.
    pub instructions: Vec<NodeInstructions>,
    /// What is computed whole and what row by row, where C is printed.
    pub schedule: Option<Schedule>,
}

impl Footprint {
    /// Of a network that was lowered for the target.
    ///
    /// Where it runs C, these are the bytes of what [`c::emit`] prints. Else, and where C has no
    /// form of the network, every tensor takes its elements at the width the target stores.
    pub fn new(fixed: &FixedGraph, target: &Target) -> Self {
        Self::placed(fixed, target, WeightPlace::Constants)
    }

    /// The same with weights that lie elsewhere: those in a file take no flash of the code.
    pub fn placed(fixed: &FixedGraph, target: &Target, place: WeightPlace) -> Self {
        let (printed, code) = printed(fixed, target, place).unzip();
        // Where nothing is printed, kernels have no working memory of their own.
        let values = ValueMemory::of_values(fixed, target);
        let value_bytes = |id: NodeId| match &printed {
            Some(printed) => printed.layers[id].value_bytes,
            None => values.value_bytes(id, fixed.nodes[id].format),
        };
        let whole_bytes = |id: NodeId| values.value_bytes(id, fixed.nodes[id].format);
        let ports = fixed.inputs.iter().copied().chain(fixed.output_nodes());
        let io_bytes = count_to_u64(ports.map(whole_bytes).sum::<usize>());
        let constants: Vec<u64> = match &printed {
            Some(printed) => {
                printed.layers.iter().map(|layer| count_to_u64(layer.constant_bytes)).collect()
            }
            None => fixed.nodes.iter().map(|node| constant_bytes(target, &node.op)).collect(),
        };
        let memory = match &printed {
            Some(printed) => printed.memory.clone(),
            None => values.plan(&fixed.nodes.iter().map(|node| node.format).collect::<Vec<_>>()),
        };
        let share = |id: NodeId, bytes: usize| Share {
            name: fixed.nodes[id].name.clone(),
            bytes: count_to_u64(bytes),
            rows: None,
        };
        let steps = memory.live_bytes.iter().enumerate().map(|(id, &bytes)| share(id, bytes));
        let steps = steps.collect();
        let peak = memory.peak_step();
        let step = |id: NodeId| printed.as_ref().map_or(id, |c| c.schedule.step(id));
        let scratch = |id: &NodeId| printed.as_ref().map_or(0, |c| c.layers[*id].scratch_bytes);
        let rows = |id: NodeId| printed.as_ref()?.layers[id].rows.map(count_to_u64);
        let alive = memory.alive(peak).into_iter().filter(|&id| values.layout.holder(id) == id);
        let mut ram: Vec<Share> =
            alive.map(|id| Share { rows: rows(id), ..share(id, value_bytes(id)) }).collect();
        let at_peak = (0..fixed.nodes.len()).filter(|&id| step(id) == peak);
        if let Some(id) = at_peak.max_by_key(scratch).filter(|id| scratch(id) > 0) {
            let name = format!("{} (working memory)", fixed.nodes[id].name);
            ram.push(Share { name, bytes: count_to_u64(scratch(&id)), rows: None });
        }
        // What belongs to no node says which rows are computed when.
        let of_nodes: u64 = constants.iter().sum();
        let all = printed.as_ref().map_or(of_nodes, |c| count_to_u64(c.constant_bytes));
        let schedule = Share { name: SCHEDULE.to_owned(), bytes: all - of_nodes, rows: None };
        let mut flash: Vec<Share> = fixed
            .nodes
            .iter()
            .zip(&constants)
            .map(|(node, &bytes)| Share { name: node.name.clone(), bytes, rows: None })
            .chain([schedule])
            .chain(code.map(|code| Share { name: CODE.to_owned(), bytes: code.bytes, rows: None }))
            .filter(|share| share.bytes > 0)
            .collect();
        let mut instructions = Vec::new();
        if let (Some(printed), Some(code)) = (&printed, code) {
            let (cpu, optimization) = (target.code_cpu(), code.style.optimization());
            let of = |name: &str, work: &c::Work| NodeInstructions {
                name: name.to_owned(),
                instructions: work.instructions(cpu, optimization),
            };
            let works = printed.layers.iter().map(|layer| of(&layer.name, &layer.work));
            instructions.extend(works.chain([of(SCHEDULE, &printed.flow_work)]));
            instructions.retain(|node| node.instructions > 0);
        }
        let constant_bytes = all;
        for shares in [&mut flash, &mut ram] {
            shares.sort_by_key(|share| std::cmp::Reverse(share.bytes));
        }
        Self {
            flash_bytes: constant_bytes + code.map_or(0, |code| code.bytes),
            constant_bytes,
            code,
            ram_bytes: count_to_u64(memory.bytes),
            io_bytes,
            flash,
            ram,
            steps,
            instructions,
            schedule: printed.map(|printed| printed.schedule),
        }
    }
}

/// The values of an integer network on a target, whatever formats a plan gives them. Kernels have the working memory that
/// the formats ask for with which the network was lowered.
#[derive(Clone, Debug)]
pub struct ValueMemory {
    layout: Layout,
    elements: Elements,
    /// Bytes of working memory, where nodes are computed whole and row by row.
    scratch_bytes: [Vec<usize>; 2],
    /// Whether rows flow.
    flows: bool,
}

/// How wide the elements of values are stored.
#[derive(Clone, Debug)]
enum Elements {
    /// As C has them; whether two may lie in a byte, by node.
    C(Vec<bool>),
    /// As the target says.
    Target(Target),
}

impl ValueMemory {
    /// Of a network that was lowered with any formats.
    pub fn new(fixed: &FixedGraph, target: &Target) -> Self {
        let mut memory = Self::of_values(fixed, target);
        if let Some(options) = target.c_options("network")
            && let Ok(bytes) = c::scratch_bytes(&c::fold_reshapes(fixed), &options)
        {
            memory.scratch_bytes = bytes;
        }
        memory
    }

    /// The same without the working memory of kernels.
    fn of_values(fixed: &FixedGraph, target: &Target) -> Self {
        let none = || vec![0; fixed.nodes.len()];
        let scratch_bytes = [none(), none()];
        let Some(options) = target.c_options("network") else {
            let elements = Elements::Target(target.clone());
            return Self { layout: Layout::new(fixed), elements, scratch_bytes, flows: false };
        };
        let fixed = c::fold_reshapes(fixed);
        let elements = Elements::C(c::packs(&fixed, &options));
        Self { layout: Layout::new(&fixed), elements, scratch_bytes, flows: options.flows }
    }

    /// Of a graph, before there is a plan.
    ///
    /// # Errors
    /// Where the graph has no integer form.
    pub fn of(graph: &Graph, target: &Target) -> Result<Self, LowerError> {
        // Where a value may lie does not depend on formats, and kernels need the most memory with whole bytes.
        let any = Format::signed(8, 0);
        let layer = |name: &str| LayerPlan {
            name: name.to_owned(),
            weights: Some(any),
            bias: None,
            activation: Some(any),
        };
        let own = graph
            .nodes
            .iter()
            .filter(|node| !node.op.is_layer() && matches!(node.op.format_rule(), FormatRule::Own));
        let plan = Plan {
            semantics: Semantics::Integer,
            quantizer: Quantizer::Uniform,
            rounding: Rounding::TiesUp,
            input: any,
            layers: graph.layers().map(|(_, node)| layer(&node.name)).collect(),
            rounded: BTreeMap::new(),
            thinned: None,
            others: own.map(|node| (node.name.clone(), any)).collect(),
        };
        Ok(Self::new(&lower(graph, &plan, AccumulatorPolicy::Widen)?, target))
    }

    /// Where the values of a plan lie.
    ///
    /// # Errors
    /// Where the plan does not fit the graph.
    pub fn of_plan(&self, graph: &Graph, plan: &Plan) -> Result<MemoryPlan, LowerError> {
        Ok(self.plan(&output_formats(graph, plan)?))
    }

    /// Where values of these formats lie, one for each node.
    pub fn plan(&self, formats: &[Format]) -> MemoryPlan {
        let bits = formats.iter().enumerate().map(|(id, &format)| self.element_bits(id, format));
        let [scratch_bytes, row_scratch_bytes] = self.scratch_bytes.clone();
        let needs = Needs {
            element_bits: bits.collect(),
            scratch_bytes,
            row_scratch_bytes,
            flows: self.flows,
        };
        self.layout.plan(&needs).memory
    }

    /// Bytes of a node's value.
    fn value_bytes(&self, id: NodeId, format: Format) -> usize {
        self.layout.value_bytes(id, self.element_bits(id, format))
    }

    fn element_bits(&self, id: NodeId, format: Format) -> usize {
        match &self.elements {
            Elements::C(packs) => c::Storage::new(format, packs[id]).bits(),
            Elements::Target(target) => {
                target.activation_bits.stored(format.bits).unwrap_or(Target::MAX_BITS).into()
            }
        }
    }
}

/// Bytes of a node's constants at the widths the target stores.
fn constant_bytes(target: &Target, op: &FixedOp) -> u64 {
    let bytes = |constant: Constant| {
        let (bits, count) = match constant {
            Constant::Weights { count, bits } => {
                (target.weight_bits.stored(bits).unwrap_or(bits).into(), count)
            }
            Constant::Biases { count, bits, planned_bits } => {
                let own = planned_bits.filter(|_| target.code == Code::Hls).unwrap_or(bits);
                (target.bias_bits.stored(own).unwrap_or(own).into(), count)
            }
            Constant::Points { count } => (POINT_BITS, count),
            // In the narrowest integers that memory addresses.
            Constant::Table { count, bits } => (u64::from(bits.next_power_of_two().max(8)), count),
        };
        (bits * count_to_u64(count)).div_ceil(8)
    };
    op.constants().into_iter().map(bytes).sum()
}
