//! What a network takes of its target's memory, and what would have to give where that is too much.

use crate::{
    error::Error,
    result::{
        BudgetResult, BudgetStep, CodeResult, HolderResult, InstructionResult, RunResult,
        SchedulePart,
    },
};
use fixedwise_fixed::{Format, convert::count_to_u64};
use fixedwise_graph::{
    AccumulatorPolicy, FixedGraph, Graph, Node, Plan, Semantics, Target,
    footprint::{Footprint, NodeInstructions, Share},
    lower_for,
    target::{Code, Widths},
};
use fixedwise_search::strategies::{Kind, PlanHead, TraceEntry, pareto::Limits};
use std::collections::BTreeMap;

/// Most nodes and steps that are named.
const MAX_NAMED: usize = 5;

/// The memory there is: what was asked for counts before what the target has.
pub(crate) fn limits(flash: Option<u64>, ram: Option<u64>, target: Option<&Target>) -> Limits {
    Limits {
        flash_bytes: flash.or(target.and_then(|target| target.flash_bytes)),
        ram_bytes: ram.or(target.and_then(|target| target.ram_bytes)),
    }
}

/// Refuses targets where no integers are computed.
pub(crate) fn check_semantics(semantics: Semantics, is_asked: bool) -> Result<(), Error> {
    if semantics == Semantics::Simulated && is_asked {
        let problem = "needs integer semantics: simulated semantics give no network that a device \
                       can run";
        return Err(Error::Option { option: "target", problem: problem.to_owned() });
    }
    Ok(())
}

/// What a plan says beside formats, on a target.
pub(crate) fn head_for(head: PlanHead, target: Option<&Target>) -> PlanHead {
    let rounding = target.and_then(|target| target.rounding.first().copied());
    PlanHead { rounding: rounding.unwrap_or(head.rounding), ..head }
}

/// Takes the memory of a lowered network over into a result, and holds it against the limits.
pub(crate) fn take(
    result: &mut RunResult,
    graph: &Graph,
    plan: &Plan,
    fixed: &FixedGraph,
    target: &Target,
    limits: Limits,
) {
    let footprint = Footprint::new(fixed, target);
    result.target = Some(target.name.clone());
    result.flash_bytes = footprint.flash_bytes;
    result.constant_bytes = Some(footprint.constant_bytes);
    result.code = footprint.code.map(|code| CodeResult::new(code, target.code_cpu()));
    result.peak_ram_bytes = footprint.ram_bytes;
    result.io_bytes = Some(footprint.io_bytes);
    let holders = |shares: &[Share]| shares.iter().map(holder).collect();
    result.flash_by_node = holders(&footprint.flash);
    result.ram_by_step = holders(&footprint.steps);
    let instructions = footprint.instructions.into_iter();
    result.instructions_by_node = instructions
        .map(|NodeInstructions { name, instructions }| InstructionResult { name, instructions })
        .collect();
    let schedule = footprint.schedule.as_ref();
    result.schedule =
        schedule.map(|schedule| SchedulePart::of(fixed, schedule)).unwrap_or_default();
    let mut budgets = Vec::new();
    if let Some(limit_bytes) = limits.flash_bytes {
        budgets.push(budget("flash", limit_bytes, footprint.flash_bytes, &footprint.flash));
    }
    if let Some(limit_bytes) = limits.ram_bytes {
        budgets.push(budget("ram", limit_bytes, footprint.ram_bytes, &footprint.ram));
    }
    let narrowing = Narrowing { graph, plan, target };
    for budget in budgets.iter_mut().filter(|budget| !budget.is_met) {
        budget.steps = narrowing.steps(result, budget);
        budget.least_bytes = narrowing.least(&budget.memory, target);
        budget.packed_bytes = packing(target)
            .and_then(|packing| narrowing.least(&budget.memory, &packing))
            .filter(|packed| budget.least_bytes.is_some_and(|least| *packed < least));
    }
    result.budgets = budgets;
}

fn budget(memory: &str, limit_bytes: u64, bytes: u64, shares: &[Share]) -> BudgetResult {
    let is_met = bytes <= limit_bytes;
    let named = if is_met { 0 } else { MAX_NAMED };
    BudgetResult {
        memory: memory.to_owned(),
        limit_bytes,
        bytes,
        is_met,
        least_bytes: None,
        packed_bytes: None,
        holders: shares.iter().take(named).map(holder).collect(),
        steps: Vec::new(),
    }
}

pub(super) fn holder(share: &Share) -> HolderResult {
    HolderResult { name: share.name.clone(), bytes: share.bytes, rows: share.rows }
}

/// What narrower tensors would take.
struct Narrowing<'a> {
    graph: &'a Graph,
    plan: &'a Plan,
    target: &'a Target,
}

/// The kind of tensors that takes a memory.
fn kind_in(memory: &str) -> Kind {
    if memory == "ram" { Kind::Activations } else { Kind::Weights }
}

fn widths_of(target: &Target, kind: Kind) -> &Widths {
    if kind == Kind::Weights { &target.weight_bits } else { &target.activation_bits }
}

/// A target that also stores activations of 4 bits, two in a byte, where it runs C that can do so and does not yet.
fn packing(target: &Target) -> Option<Target> {
    let Widths::Listed(widths) = &target.activation_bits else { return None };
    let is_able = matches!(target.code, Code::C(_)) && !widths.contains(&4);
    let widths = std::iter::once(4).chain(widths.iter().copied()).collect();
    is_able.then(|| Target { activation_bits: Widths::Listed(widths), ..target.clone() })
}

impl Narrowing<'_> {
    /// Bytes that a plan takes, as budgets count them; `None` where it is not legal.
    fn bytes(&self, memory: &str, plan: &Plan, target: &Target) -> Option<u64> {
        let fixed = lower_for(self.graph, plan, AccumulatorPolicy::Prove32, target).ok()?;
        let footprint = Footprint::new(&fixed, target);
        Some(if memory == "ram" { footprint.ram_bytes } else { footprint.flash_bytes })
    }

    /// The plan with other widths of some tensors, their steps as they are; weights are rounded to the nearest, which
    /// takes the same memory.
    fn with(&self, kind: Kind, bits: &dyn Fn(&str, Format) -> Option<u8>) -> Plan {
        let mut plan = Plan { rounded: BTreeMap::new(), ..self.plan.clone() };
        let narrow = |name: &str, format: &mut Format| {
            format.bits = bits(name, *format).unwrap_or(format.bits);
        };
        for layer in &mut plan.layers {
            let format = match kind {
                Kind::Weights => &mut layer.weights,
                _ => &mut layer.activation,
            };
            format.iter_mut().for_each(|format| narrow(&layer.name, format));
        }
        if kind == Kind::Activations {
            plan.others.iter_mut().for_each(|(name, format)| narrow(name, format));
        }
        plan
    }

    /// What the network takes with every tensor that this memory holds as narrow as a search makes it, on a target
    /// that stores these widths.
    fn least(&self, memory: &str, target: &Target) -> Option<u64> {
        let kind = kind_in(memory);
        let narrowest =
            |_: &str, format: Format| Some(kind.min_bits(format.range).min(format.bits));
        self.bytes(memory, &self.with(kind, &narrowest), target)
    }

    /// Formats that save bytes of this budget: of each tensor the one at the next narrower width that the target
    /// stores, with the least loss that was measured at one; those that save nothing are left out.
    fn steps(&self, result: &RunResult, budget: &BudgetResult) -> Vec<BudgetStep> {
        let &Self { graph, plan, target } = self;
        let kind = kind_in(&budget.memory);
        let is_flash = kind == Kind::Weights;
        let mut steps = Vec::new();
        for node in &graph.nodes {
            let format = match (is_flash, plan.layer(&node.name)) {
                (true, layer) => layer.and_then(|layer| layer.weights),
                (false, Some(layer)) => layer.activation,
                (false, None) => plan.others.get(&node.name).copied(),
            };
            let Some(format) = format else { continue };
            let is_holder = budget.holders.iter().any(|holder| holder.name == node.name);
            let next = next_width(widths_of(target, kind), kind, format);
            let Some((from, to)) = next.filter(|_| is_flash || is_holder) else { continue };
            let count = if is_flash { n_weights(node) } else { node.shape.len() };
            steps.push((u64::from(from - to) * count_to_u64(count), node, format.bits, to));
        }
        steps.sort_by_key(|step| std::cmp::Reverse(step.0));
        steps.truncate(MAX_NAMED);
        let step = |(_, node, bits, to): (u64, &Node, u8, u8)| {
            let narrower = self.with(kind, &|name, _| (name == node.name).then_some(to));
            let bytes = self.bytes(&budget.memory, &narrower, target)?;
            let of_tensor = |entry: &&TraceEntry| {
                entry.name == node.name && entry.kind == kind && entry.bits <= to && !entry.chosen
            };
            let tried = || result.tried.iter().filter(of_tensor);
            let losses = tried().filter_map(|entry| entry.relative_loss);
            Some(BudgetStep {
                name: node.name.clone(),
                kind: kind.name().to_owned(),
                bits,
                next_bits: to,
                saved_bytes: budget.bytes.saturating_sub(bytes),
                was_tried: tried().next().is_some(),
                loss: losses.min_by(f64::total_cmp),
                added_error: added_error(result, node, kind, (bits, to)),
            })
        };
        let mut steps: Vec<BudgetStep> = steps.into_iter().filter_map(step).collect();
        steps.retain(|step| step.saved_bytes > 0);
        steps.sort_by_key(|step| std::cmp::Reverse(step.saved_bytes));
        steps
    }
}

/// What a width of a node's tensor adds to the divergence, as a part of the plan's.
fn added_error(result: &RunResult, node: &Node, kind: Kind, bits: (u8, u8)) -> Option<f64> {
    let plan = result.explanation.as_ref()?.divergence;
    let found = result.sensitivity.iter().find(|s| s.name == node.name && s.kind == kind)?;
    let at = |bits: u8| found.widths.iter().find(|width| width.bits == bits);
    let added = at(bits.1)?.divergence - at(bits.0)?.divergence;
    (plan > 0.0).then(|| added.max(0.0) / plan)
}

/// The width at which a format is stored, and the next narrower one that holds more than zero.
fn next_width(widths: &Widths, kind: Kind, format: Format) -> Option<(u8, u8)> {
    let from = widths.stored(format.bits)?;
    let least = kind.min_bits(format.range);
    let to = widths.levels(from).into_iter().find(|&width| width < from && width >= least)?;
    Some((from, to))
}

fn n_weights(node: &Node) -> usize {
    node.op.weights().map_or(0, <[f32]>::len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use fixedwise_graph::{
        Shape,
        ops::{Relu, Window},
        passes,
    };
    use fixedwise_kernels::Kernels;
    use fixedwise_search::{
        Images, Offset, calibrate,
        strategies::{FixedOptions, PlanHead, fixed},
    };
    use fixedwise_testing::Build;
    use std::sync::atomic::AtomicBool;

    struct Gradients;

    impl Images for Gradients {
        fn len(&self) -> usize {
            4
        }

        fn image(&self, idx: usize, out: &mut [f32]) {
            let values = (0..out.len())
                .map(|i| fixedwise_fixed::convert::count_to_f64((i * (idx + 3)) % 256));
            out.iter_mut()
                .zip(values)
                .for_each(|(out, x)| *out = fixedwise_fixed::convert::f64_to_f32(x));
        }

        fn label(&self, _: usize) -> Option<usize> {
            None
        }
    }

    /// What budgets of one byte say of the network with all weights, and all results, at a width.
    fn budgets(target: &Target, [weights, results]: [u8; 2]) -> [BudgetResult; 2] {
        let mut b = Build::new(Shape::new(12, 12, 1), 3);
        let window = Window { kernel: [3; 2], ..Window::pixel() };
        let x = b.conv("wide", 0, 16, &window, 1);
        let x = b.push("relu", Relu, vec![x]);
        let x = b.conv("narrow", x, 4, &window, 1);
        b.push("last", Relu, vec![x]);
        let graph = passes::prepare(&b.finish(), Semantics::Integer).unwrap();
        let go = AtomicBool::new(false);
        let statistics = calibrate(&graph, &Gradients, Kernels::best(), &go, &|_| ()).unwrap();
        let options = FixedOptions { head: PlanHead::INTEGER, bits: 8, offset: Offset::NoClip };
        let mut plan = fixed::plan_for(&graph, &statistics, &options, Some(target)).unwrap();
        for layer in &mut plan.layers {
            layer.weights.as_mut().unwrap().bits = weights;
            layer.activation.as_mut().unwrap().bits = results;
        }
        let fixed = lower_for(&graph, &plan, AccumulatorPolicy::Prove32, target).unwrap();
        let limits = Limits { flash_bytes: Some(1), ram_bytes: Some(1) };
        let mut result = RunResult::default();
        take(&mut result, &graph, &plan, &fixed, target, limits);
        result.budgets.try_into().unwrap()
    }

    #[test]
    fn only_what_exists_and_saves_is_said_to_help() {
        let weight_bits = Widths::Listed(vec![1, 2, 4, 8, 16]);
        let generic = Target { weight_bits, ..Target::default() };
        let packed = Widths::Listed(vec![4, 8]);
        let packed = Target { activation_bits: packed, ..generic.clone() };

        let [flash, ram] = budgets(&generic, [8, 8]);
        let widths = |budget: &BudgetResult| -> Vec<u8> {
            budget.steps.iter().map(|step| step.next_bits).collect()
        };
        // In a layer of few weights the code that unpacks them takes what they save.
        assert_eq!((widths(&flash), widths(&ram)), (vec![4], vec![]));
        assert!(flash.steps.iter().all(|step| step.saved_bytes > 0));
        // What the narrowest plan takes is what budgets count of it.
        let [narrow, _] = budgets(&generic, [2, 8]);
        assert_eq!(flash.least_bytes, Some(narrow.bytes));
        // A weight of one bit with a sign is zero: nothing is narrower than two.
        assert_eq!((widths(&narrow), narrow.least_bytes), (vec![], Some(narrow.bytes)));
        // Activations of 8 bits are the narrowest here, though C can store 4.
        let [_, four] = budgets(&packed, [8, 4]);
        assert_eq!((ram.least_bytes, ram.packed_bytes), (Some(ram.bytes), Some(four.bytes)));
        assert!(four.bytes < ram.bytes);

        let [_, ram] = budgets(&packed, [8, 8]);
        assert_eq!((ram.least_bytes, ram.packed_bytes), (Some(four.bytes), None));
        let step = ram.steps.iter().find(|step| step.name == "wide").unwrap();
        assert!(step.saved_bytes > 0 && step.saved_bytes <= ram.bytes - four.bytes);
        assert!(ram.steps.iter().all(|step| step.next_bits == 4 && step.saved_bytes > 0));
    }
}
