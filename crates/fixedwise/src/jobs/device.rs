//! What a network takes of a device: instructions, flash, RAM, and time at a clock.

use super::{
    budget::holder,
    export::{ExportOptions, integer_network},
};
use crate::{
    error::Error,
    model::{Model, ModelSource},
    plan::PlanSource,
    result::{CExportedLayer, ClockResult, DeviceResult, SchedulePart},
    units::Clock,
};
use fixedwise_fixed::{
    Format, Rounding,
    convert::{count_to_u64, u64_to_f64},
};
use fixedwise_graph::{
    AccumulatorPolicy, FixedGraph, FixedNode, Graph, LayerPlan, Plan, Quantizer, Semantics, Target,
    emit::c::{self, COptions, CProject, CodeStyle},
    footprint::Footprint,
    lower_for,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

/// What [`device_of_model`] and [`device_of_plan`] are asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceOptions {
    /// What the code runs on.
    pub target: Target,
    /// Bits of every weight and activation, 2 to 8, where there is no plan.
    pub bits: u8,
    /// The clock, for milliseconds.
    pub clock: Option<Clock>,
}

impl Default for DeviceOptions {
    fn default() -> Self {
        Self { target: Target::default(), bits: 8, clock: None }
    }
}

/// What a model takes on a target as generated C, with the same width for all weights and activations, before there is a
/// plan.
///
/// Bytes and instructions do not depend on where binary points lie, but for a few kernels that need a shift to the right.
///
/// # Errors
/// [`Error`] for a model without an integer form, a width that the target does not store, or a target that runs no C.
///
/// ```
/// # fn main() -> Result<(), fixedwise::Error> {
/// # let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
/// use fixedwise::{DeviceOptions, Model, device_of_model, read_target};
///
/// let model = Model::load(format!("{root}/models/fashion_small.onnx").as_ref())?;
/// let target = read_target("cortex-m4")?;
/// let clock = Some("80MHz".parse().expect("a clock"));
/// let device =
///     device_of_model(&model, &DeviceOptions { target, clock, ..DeviceOptions::default() })?;
/// assert!(device.instructions > 1_000_000 && device.peak_ram_bytes < 13_000);
/// assert!(device.clock.is_some_and(|clock| clock.milliseconds > 10.0));
/// # Ok(())
/// # }
/// ```
pub fn device_of_model(model: &Model, options: &DeviceOptions) -> Result<DeviceResult, Error> {
    let DeviceOptions { target, bits, clock } = options;
    if !(2..=8).contains(bits) {
        let problem = format!("is {bits}; a width from 2 to 8");
        return Err(Error::Option { option: "bits", problem });
    }
    let printed = printing(target, "network")?;
    let graph = model.prepared(Semantics::Integer)?;
    let plan = uniform(&graph, *bits, target);
    let fixed = lower_for(&graph, &plan, AccumulatorPolicy::Prove32, target)?;
    let device = of_network(&fixed, printed, target, *clock)?;
    Ok(DeviceResult { bits: Some(*bits), ..device })
}

/// What the generated C of a model and its plan takes on a target: that of [`export_c`](crate::export_c()), which nothing
/// is written of.
///
/// # Errors
/// [`Error`] for a model or plan that cannot be used, a plan that the target refuses, or a target that runs no C.
///
/// ```
/// # fn main() -> Result<(), fixedwise::Error> {
/// # let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
/// use fixedwise::{DeviceOptions, ExportOptions, Model, device_of_plan, read_target};
///
/// let model = Model::load(format!("{root}/models/fashion_small.onnx").as_ref())?;
/// let plan = format!("{root}/suite/export/plan.toml");
/// let on = DeviceOptions { target: read_target("cortex-m4")?, ..DeviceOptions::default() };
/// let options = ExportOptions::default();
/// let device = device_of_plan(&model, plan.as_ref(), &options, &on)?;
/// assert!(device.bits.is_none() && device.instructions > 1_000_000);
/// assert!(device.schedule.iter().any(|part| part.flows));
/// # Ok(())
/// # }
/// ```
pub fn device_of_plan(
    model: &Model,
    plan: &Path,
    options: &ExportOptions,
    on: &DeviceOptions,
) -> Result<DeviceResult, Error> {
    let printed = printing(&on.target, "network")?;
    let model = ModelSource::Loaded(model, options.architecture.as_deref());
    let network = integer_network(model, PlanSource::File(plan), options, Some(&on.target))?;
    of_network(&network.fixed, printed, &on.target, on.clock)
}

/// What a lowered network takes.
fn of_network(
    fixed: &FixedGraph,
    printed: COptions,
    target: &Target,
    clock: Option<Clock>,
) -> Result<DeviceResult, Error> {
    let footprint = Footprint::new(fixed, target);
    let style = footprint.code.map_or(printed.style, |code| code.style);
    let project = c::emit(fixed, &COptions { style, ..printed }, &[])?;
    Ok(device(fixed, target, &footprint, &project, style, clock))
}

/// How C is printed for a target.
///
/// # Errors
/// Where it runs none.
pub(crate) fn printing(target: &Target, name: &str) -> Result<COptions, Error> {
    target.c_options(name).ok_or_else(|| {
        let problem = format!(
            "is `{}`, which does not run C; choose cortex-m4 or another target that does, or \
             `export hls`",
            target.name
        );
        Error::Option { option: "target", problem }
    })
}

/// What a printed network takes.
pub(crate) fn device(
    fixed: &FixedGraph,
    target: &Target,
    footprint: &Footprint,
    project: &CProject,
    style: CodeStyle,
    clock: Option<Clock>,
) -> DeviceResult {
    let (cpu, optimization) = (target.code_cpu(), style.optimization());
    let milliseconds = |instructions: u64| clock.map(|clock| clock.milliseconds(instructions));
    let layer = |(layer, node): (&c::CLayer, &FixedNode)| {
        let instructions = layer.work.instructions(cpu, optimization);
        CExportedLayer {
            name: layer.name.clone(),
            kernel: layer.kernel.to_owned(),
            weight_bits: layer.weights.map(|format| format.bits),
            value_bits: node.format.bits,
            instructions,
            milliseconds: milliseconds(instructions),
            constant_bytes: count_to_u64(layer.constant_bytes),
            value_bytes: count_to_u64(layer.value_bytes),
            rows: layer.rows.map(count_to_u64),
            scratch_bytes: count_to_u64(layer.scratch_bytes),
        }
    };
    let code_bytes = footprint.code.map_or(0, |code| code.bytes);
    let layers: Vec<CExportedLayer> = project.layers.iter().zip(&fixed.nodes).map(layer).collect();
    let schedule_instructions = project.flow_work.instructions(cpu, optimization);
    let instructions =
        schedule_instructions + layers.iter().map(|layer| layer.instructions).sum::<u64>();
    let works = project.layers.iter().map(|layer| &layer.work).chain([&project.flow_work]);
    let uncounted: BTreeSet<&str> =
        works.flat_map(|work| work.unknown(cpu, optimization)).collect();
    DeviceResult {
        target: target.name.clone(),
        processor: cpu.name().to_owned(),
        bits: None,
        kernels: style.name().to_owned(),
        instructions,
        schedule_instructions,
        uncounted: uncounted.into_iter().map(str::to_owned).collect(),
        clock: clock.map(|clock| ClockResult {
            hz: clock.hz,
            cycles_per_instruction: clock.cycles_per_instruction,
            milliseconds: clock.milliseconds(instructions),
        }),
        flash_bytes: count_to_u64(project.constant_bytes) + code_bytes,
        constant_bytes: count_to_u64(project.constant_bytes),
        peak_ram_bytes: count_to_u64(project.arena_bytes),
        peak: footprint.ram.iter().map(holder).collect(),
        schedule: SchedulePart::of(fixed, &project.schedule),
        layers,
    }
}

impl Clock {
    /// The time of so many instructions.
    fn milliseconds(self, instructions: u64) -> f64 {
        u64_to_f64(instructions) * self.cycles_per_instruction * 1e3 / u64_to_f64(self.hz)
    }
}

/// A plan with one width, whose sums are shifted to the right by what they grow.
fn uniform(graph: &Graph, bits: u8, target: &Target) -> Plan {
    let frac = bits.cast_signed() - 4;
    let nonnegative = graph.nonnegative(|_| true);
    let value = |id: usize| {
        if nonnegative[id] { Format::unsigned(bits, frac) } else { Format::signed(bits, frac) }
    };
    let layer = |id: usize| {
        let node = &graph.nodes[id];
        let weights = node.op.weights().map_or(0, <[f32]>::len);
        // A sum of random products grows with the root of their number.
        let depth = (weights / node.shape.c.max(1)).max(1);
        let grown = i8::try_from(depth.ilog2() / 2).unwrap_or(0);
        LayerPlan {
            name: node.name.clone(),
            weights: Some(Format::signed(bits, bits.cast_signed() - 1 + grown)),
            bias: None,
            activation: Some(value(id)),
        }
    };
    let others = graph.nodes.iter().enumerate();
    let others = others.filter(|(_, node)| node.op.has_own_format() && !node.op.is_layer());
    Plan {
        semantics: Semantics::Integer,
        quantizer: Quantizer::Uniform,
        rounding: target.rounding.first().copied().unwrap_or(Rounding::TiesUp),
        input: Format::unsigned(8, 8),
        layers: graph.layers().map(|(id, _)| layer(id)).collect(),
        rounded: BTreeMap::new(),
        thinned: None,
        others: others.map(|(id, node)| (node.name.clone(), value(id))).collect(),
    }
}
