//! What a network takes of its target's memory, and what would have to give where that is too much.

use crate::{
    error::Error,
    result::{BudgetResult, BudgetStep, HolderResult, RunResult},
};
use fixedwise_fixed::{Format, convert::count_to_u64};
use fixedwise_graph::{
    FixedGraph, Graph, Node, Plan, Semantics, Target,
    footprint::{Footprint, Share, ValueMemory},
    target::Widths,
};
use fixedwise_search::strategies::{
    Kind, PlanHead, TraceEntry, pareto::Limits, quantized_activations,
};

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
) -> Result<(), Error> {
    let footprint = Footprint::new(fixed, target);
    result.target = Some(target.name.clone());
    result.flash_bytes = footprint.flash_bytes;
    result.peak_ram_bytes = footprint.ram_bytes;
    result.io_bytes = Some(footprint.io_bytes);
    let mut budgets = Vec::new();
    if let Some(limit_bytes) = limits.flash_bytes {
        budgets.push(budget("flash", limit_bytes, footprint.flash_bytes, &footprint.flash));
    }
    if let Some(limit_bytes) = limits.ram_bytes {
        budgets.push(budget("ram", limit_bytes, footprint.ram_bytes, &footprint.ram));
    }
    for budget in budgets.iter_mut().filter(|budget| !budget.is_met) {
        let is_measured = |node: &Node, kind: Kind, bits: u8| {
            let mut of_it = result.sensitivity.iter();
            let found = of_it.find(|s| s.name == node.name && s.kind == kind);
            found.is_some_and(|s| s.widths.iter().any(|width| width.bits == bits))
        };
        budget.steps = steps((&result.tried, &is_measured), graph, plan, target, budget);
        budget.least_bytes = Some(match budget.memory.as_str() {
            "ram" => least_ram(graph, plan, target)?,
            _ => least_flash(graph, plan, target, budget.bytes),
        });
    }
    result.budgets = budgets;
    Ok(())
}

fn budget(memory: &str, limit_bytes: u64, bytes: u64, shares: &[Share]) -> BudgetResult {
    let is_met = bytes <= limit_bytes;
    let holder = |share: &Share| HolderResult { name: share.name.clone(), bytes: share.bytes };
    let named = if is_met { 0 } else { MAX_NAMED };
    BudgetResult {
        memory: memory.to_owned(),
        limit_bytes,
        bytes,
        is_met,
        least_bytes: None,
        holders: shares.iter().take(named).map(holder).collect(),
        steps: Vec::new(),
    }
}

/// Whether a width of a node's tensor was measured alone.
type Measured<'a> = &'a dyn Fn(&Node, Kind, u8) -> bool;

/// Formats that were tried and not taken, and that would save bytes of this budget: of each tensor
/// the one with the least loss at the next width that is stored.
fn steps(
    (tried, is_measured): (&[TraceEntry], Measured),
    graph: &Graph,
    plan: &Plan,
    target: &Target,
    budget: &BudgetResult,
) -> Vec<BudgetStep> {
    let is_flash = budget.memory == "flash";
    let (kind, widths) = if is_flash {
        (Kind::Weights, &target.weight_bits)
    } else {
        (Kind::Activations, &target.activation_bits)
    };
    let mut steps = Vec::new();
    for node in &graph.nodes {
        let format = match (is_flash, plan.layer(&node.name)) {
            (true, layer) => layer.and_then(|layer| layer.weights),
            (false, Some(layer)) => layer.activation,
            (false, None) => plan.others.get(&node.name).copied(),
        };
        let Some(format) = format else { continue };
        let is_holder = budget.holders.iter().any(|holder| holder.name == node.name);
        let Some((from, to)) = next_width(widths, format).filter(|_| is_flash || is_holder) else {
            continue;
        };
        let count = if is_flash { n_weights(node) } else { node.shape.len() };
        let of_tensor = |entry: &&TraceEntry| {
            entry.name == node.name && entry.kind == kind && entry.bits <= to && !entry.chosen
        };
        let tried = || tried.iter().filter(of_tensor);
        let losses = tried().filter_map(|entry| entry.relative_loss);
        steps.push(BudgetStep {
            name: node.name.clone(),
            kind: kind.name().to_owned(),
            bits: format.bits,
            next_bits: to,
            saved_bytes: saved_bytes((from, to), count),
            was_tried: tried().next().is_some() || is_measured(node, kind, to),
            loss: losses.min_by(f64::total_cmp),
        });
    }
    steps.sort_by_key(|step| std::cmp::Reverse(step.saved_bytes));
    steps.truncate(MAX_NAMED);
    steps
}

/// The width at which a format is stored, and the next narrower one.
fn next_width(widths: &Widths, format: Format) -> Option<(u8, u8)> {
    let from = widths.stored(format.bits)?;
    let to = widths.levels(from).into_iter().find(|&width| width < from)?;
    Some((from, to))
}

/// Of so many elements that are stored in fewer bits, from so many to so many.
fn saved_bytes((from, to): (u8, u8), count: usize) -> u64 {
    u64::from(from.saturating_sub(to)) * count_to_u64(count) / 8
}

fn n_weights(node: &Node) -> usize {
    node.op.weights().map_or(0, <[f32]>::len)
}

/// What constants take at least: weights as narrow as the target stores them, all else as it is.
fn least_flash(graph: &Graph, plan: &Plan, target: &Target, bytes: u64) -> u64 {
    let saved = graph.layers().filter_map(|(_, node)| {
        let format = plan.layer(&node.name)?.weights?;
        let from = target.weight_bits.stored(format.bits)?;
        let to = target.weight_bits.levels(format.bits).last().copied()?;
        Some(saved_bytes((from, to), n_weights(node)))
    });
    bytes.saturating_sub(saved.sum())
}

/// What is alive together at least, whatever widths the target stores and wherever values lie;
/// without the working memory of kernels.
fn least_ram(graph: &Graph, plan: &Plan, target: &Target) -> Result<u64, Error> {
    let mut plan = plan.clone();
    for id in quantized_activations(graph, plan.semantics) {
        let name = &graph.nodes[id].name;
        let narrow = |format: &mut Format| {
            let levels = target.activation_bits.levels(format.bits);
            format.bits = levels.last().copied().unwrap_or(format.bits);
        };
        if let Some(layer) = plan.layer_mut(name) {
            layer.activation.iter_mut().for_each(narrow);
        } else {
            plan.others.get_mut(name).into_iter().for_each(narrow);
        }
    }
    let memory = ValueMemory::of(graph, target)?.of_plan(graph, &plan)?;
    Ok(count_to_u64(memory.live_bytes.into_iter().max().unwrap_or(0)))
}
