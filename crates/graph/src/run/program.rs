//! A network ready to run.

use super::{
    Schedule, ValueRef, Workspace,
    buffers::{Kind, integers, integers_mut},
};
use crate::{
    error::LowerError,
    fixed_graph::{FixedGraph, FixedNode},
    fixed_operator::FixedStep,
    graph::{Graph, NodeId},
    lower::{formats::check_names, requantization::element},
    operator::{FloatStep, Op},
    plan::{Plan, Quantizer},
    shape::Shape,
};
use fixedwise_fixed::{
    Format,
    convert::{f64_to_f32, round_ties_even_within},
};
use fixedwise_kernels::{Integers, Kernels, Scratch, quantize};
use std::ops::Range;

enum Step {
    Float(FloatStep),
    /// A float step whose result is rounded to a format.
    Rounded(FloatStep, Format, Quantizer),
    Fixed(FixedStep),
    /// Quantizes an input.
    Quantize(Format, &'static Kernels),
}

/// The most images that run at a time.
const MOST_AT_ONCE: usize = 8;

/// A network ready to run: weights quantized and packed.
pub struct Program {
    steps: Vec<Step>,
    inputs: Vec<Vec<NodeId>>,
    shapes: Vec<Shape>,
    kinds: Vec<Kind>,
    /// By node, where an input stands in an image.
    parts: Vec<Option<Range<usize>>>,
    image_len: usize,
    /// Whether the step takes several images.
    takes_several: Vec<bool>,
    outputs: Vec<NodeId>,
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Program").field("nodes", &self.steps.len()).finish_non_exhaustive()
    }
}

impl Program {
    /// The float network.
    pub fn float(graph: &Graph, kernels: &'static Kernels) -> Self {
        let step = |id: NodeId| Step::Float(float_step(graph, id, &graph.nodes[id].op, kernels));
        Self::of(graph, (0..graph.nodes.len()).map(step).collect())
    }

    /// The float network with the weights, biases and layer outputs of a plan rounded to its
    /// formats; what has no format stays float.
    ///
    /// # Errors
    /// [`LowerError::UnknownTensor`] for a plan that names what the graph does not have.
    pub fn simulated(
        graph: &Graph,
        plan: &Plan,
        kernels: &'static Kernels,
    ) -> Result<Self, LowerError> {
        check_names(graph, plan)?;
        let step = |id: NodeId| {
            let node = &graph.nodes[id];
            let Some(layer) = plan.layer(&node.name) else {
                return Step::Float(float_step(graph, id, &node.op, kernels));
            };
            let mut op = node.op.clone();
            if let Some(parameters) = op.parameters_mut() {
                round_all(parameters.weights, layer.weights, plan.quantizer);
                round_all(parameters.bias, layer.bias, plan.quantizer);
            }
            let float = float_step(graph, id, &op, kernels);
            match layer.activation {
                Some(format) => Step::Rounded(float, format, plan.quantizer),
                None => Step::Float(float),
            }
        };
        Ok(Self::of(graph, (0..graph.nodes.len()).map(step).collect()))
    }

    fn of(graph: &Graph, steps: Vec<Step>) -> Self {
        Self {
            steps,
            inputs: graph.nodes.iter().map(|node| node.inputs.clone()).collect(),
            shapes: graph.nodes.iter().map(|node| node.shape).collect(),
            kinds: vec![Kind::F32; graph.nodes.len()],
            parts: by_node(graph.nodes.len(), graph.inputs(), graph.image_parts()),
            image_len: graph.image_len(),
            takes_several: (0..graph.nodes.len())
                .map(|id| {
                    let node = &graph.nodes[id];
                    node.op.takes_several(&graph.input_shapes(id), node.shape)
                })
                .collect(),
            outputs: graph.output_nodes(),
        }
    }

    /// The integer network.
    pub fn fixed(fixed: &FixedGraph, kernels: &'static Kernels) -> Self {
        Self::of_steps(fixed, kernels, |id| {
            let node = &fixed.nodes[id];
            let inputs: Vec<Shape> = node.inputs.iter().map(|&i| fixed.nodes[i].shape).collect();
            node.op.prepare(&inputs, node.shape, kernels)
        })
    }

    /// The integer network of steps that are ready, or are made now.
    pub(super) fn of_steps(
        fixed: &FixedGraph,
        kernels: &'static Kernels,
        mut ready: impl FnMut(NodeId) -> FixedStep,
    ) -> Self {
        let step = |(id, node): (NodeId, &FixedNode)| {
            if fixed.inputs.contains(&id) {
                Step::Quantize(node.format, kernels)
            } else {
                Step::Fixed(ready(id))
            }
        };
        let parts = fixed.image_parts();
        Self {
            steps: fixed.nodes.iter().enumerate().map(step).collect(),
            inputs: fixed.nodes.iter().map(|node| node.inputs.clone()).collect(),
            shapes: fixed.nodes.iter().map(|node| node.shape).collect(),
            kinds: fixed.nodes.iter().map(|node| Kind::Integer(element(node.format))).collect(),
            image_len: parts.last().map_or(0, |part| part.end),
            parts: by_node(fixed.nodes.len(), &fixed.inputs, parts),
            takes_several: fixed
                .nodes
                .iter()
                .map(|node| {
                    let shapes: Vec<Shape> =
                        node.inputs.iter().map(|&input| fixed.nodes[input].shape).collect();
                    node.op.takes_several(&shapes, node.shape)
                })
                .collect(),
            outputs: fixed.output_nodes(),
        }
    }

    /// The nodes whose values are the results, in the order of the graph's outputs.
    pub fn outputs(&self) -> &[NodeId] {
        &self.outputs
    }

    /// Elements of an image: of all inputs together.
    pub fn image_len(&self) -> usize {
        self.image_len
    }

    /// Bytes of one image's value.
    pub fn value_bytes(&self, node: NodeId) -> usize {
        self.shapes[node].len() * self.kinds[node].bytes()
    }

    /// What must run for the `wanted` values when the `provided` ones are given.
    pub fn schedule(&self, provided: &[NodeId], wanted: &[NodeId]) -> Schedule {
        let bytes: Vec<usize> = (0..self.steps.len()).map(|id| self.value_bytes(id)).collect();
        let is_input: Vec<bool> = self.parts.iter().map(Option::is_some).collect();
        Schedule::new((&self.inputs, &is_input), &bytes, provided, wanted)
    }

    /// Runs a schedule on one image (`[h, w, c]` of each input, one after the other; ignored where the
    /// schedule does not need it), with the bytes of the provided values in [`Schedule::provided`]'s order.
    ///
    /// # Panics
    /// Where the image or a provided value has the wrong length.
    pub fn run(
        &self,
        schedule: &Schedule,
        workspace: &mut Workspace,
        image: &[f32],
        provided: &[&[u8]],
    ) {
        self.run_observed(schedule, workspace, image, provided, |_, _| {});
    }

    /// As [`Program::run`]; shows each value right after it was computed.
    ///
    /// # Panics
    /// Where the image or a provided value has the wrong length.
    pub fn run_observed(
        &self,
        schedule: &Schedule,
        workspace: &mut Workspace,
        image: &[f32],
        provided: &[&[u8]],
        mut observe: impl FnMut(NodeId, ValueRef),
    ) {
        self.provide(schedule, workspace, provided);
        for &id in &schedule.run {
            self.step(schedule, workspace, image, id);
            observe(id, self.value(schedule, workspace, id));
        }
    }

    /// As [`Program::run`] on several images, a workspace each. Each layer is run on all of them before the next, so
    /// that its weights come from memory once.
    ///
    /// # Panics
    /// Where an image or a provided value has the wrong length, or there is not one workspace and list of provided
    /// values an image, or there are more than 8.
    pub fn run_all(
        &self,
        schedule: &Schedule,
        workspaces: &mut [Workspace],
        images: &[&[f32]],
        provided: &[Vec<&[u8]>],
    ) {
        assert_eq!([workspaces.len(), provided.len()], [images.len(); 2], "one of each an image");
        assert!(images.len() <= MOST_AT_ONCE, "there are too many images");
        for (workspace, provided) in workspaces.iter_mut().zip(provided) {
            self.provide(schedule, workspace, provided);
        }
        // One for all, so that it stays in the cache.
        let mut scratch = Scratch::new();
        for &id in &schedule.run {
            if self.takes_several[id] && images.len() > 1 {
                self.step_of_all(schedule, workspaces, id, &mut scratch);
                continue;
            }
            for (workspace, image) in workspaces.iter_mut().zip(images) {
                std::mem::swap(&mut scratch, &mut workspace.scratch);
                self.step(schedule, workspace, image, id);
                std::mem::swap(&mut scratch, &mut workspace.scratch);
            }
        }
    }

    /// Images to run at a time by [`Program::run_all`]: as many as have their values in the second cache.
    pub fn images_at_once(schedule: &Schedule) -> usize {
        const BYTES: usize = 1 << 20;
        (BYTES / schedule.bytes().max(1)).clamp(1, MOST_AT_ONCE)
    }

    fn provide(&self, schedule: &Schedule, workspace: &mut Workspace, provided: &[&[u8]]) {
        assert_eq!(provided.len(), schedule.provided.len(), "one value for each provided node");
        workspace.fit(schedule);
        for (&id, bytes) in schedule.provided.iter().zip(provided) {
            let slot = schedule.slot[id].expect("a provided value has a slot");
            workspace.bytes_mut(slot, self.value_bytes(id)).copy_from_slice(bytes);
        }
    }

    /// Computes the value of one node.
    fn step(&self, schedule: &Schedule, workspace: &mut Workspace, image: &[f32], id: NodeId) {
        let slot = schedule.slot[id].expect("a value that is computed has a slot");
        let mut words = workspace.take(slot);
        let mut scratch = std::mem::take(&mut workspace.scratch);
        let len = self.value_bytes(id);
        let bytes: &mut [u8] = &mut bytemuck::cast_slice_mut(&mut words)[..len];
        let input = |&input: &NodeId| {
            let slot = schedule.slot[input].expect("an input was computed before");
            workspace.bytes(slot, self.value_bytes(input))
        };
        let inputs: Vec<&[u8]> = self.inputs[id].iter().map(input).collect();
        self.compute(id, &inputs, image, bytes, &mut scratch);
        workspace.give(slot, words);
        workspace.scratch = scratch;
    }

    /// Computes the values of a node for all images at once.
    fn step_of_all(
        &self,
        schedule: &Schedule,
        workspaces: &mut [Workspace],
        id: NodeId,
        scratch: &mut Scratch,
    ) {
        let slot = |id: NodeId| schedule.slot[id].expect("inputs and results have a slot");
        let n = workspaces.len();
        let words = |len: usize| vec![0_u64; (n * len).div_ceil(8)];
        let together = |&input: &NodeId| {
            let len = self.value_bytes(input);
            let mut all = words(len);
            let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut all);
            for (workspace, x) in workspaces.iter().zip(bytes.chunks_exact_mut(len)) {
                x.copy_from_slice(workspace.bytes(slot(input), len));
            }
            (all, n * len)
        };
        let inputs: Vec<(Vec<u64>, usize)> = self.inputs[id].iter().map(together).collect();
        let inputs: Vec<&[u8]> =
            inputs.iter().map(|(all, len)| &bytemuck::cast_slice(all)[..*len]).collect();
        let y_len = self.value_bytes(id);
        let mut y = words(y_len);
        let y: &mut [u8] = &mut bytemuck::cast_slice_mut(&mut y)[..n * y_len];
        self.compute(id, &inputs, &[], y, scratch);
        for (workspace, y) in workspaces.iter_mut().zip(y.chunks_exact(y_len)) {
            workspace.bytes_mut(slot(id), y_len).copy_from_slice(y);
        }
    }

    /// From the values of a node's inputs, or the image, to its own.
    fn compute(
        &self,
        id: NodeId,
        inputs: &[&[u8]],
        image: &[f32],
        y: &mut [u8],
        scratch: &mut Scratch,
    ) {
        match &self.steps[id] {
            Step::Float(step) | Step::Rounded(step, ..) => {
                let inputs: Vec<&[f32]> = if let Some(part) = &self.parts[id] {
                    vec![self.part(image, part)]
                } else {
                    inputs.iter().map(|bytes| bytemuck::cast_slice(bytes)).collect()
                };
                let y: &mut [f32] = bytemuck::cast_slice_mut(y);
                step(&inputs, y, scratch);
                if let Step::Rounded(_, format, quantizer) = self.steps[id] {
                    round_all(y, Some(format), quantizer);
                }
            }
            Step::Fixed(step) => {
                let stored = |id: NodeId| match self.kinds[id] {
                    Kind::Integer(element) => element,
                    Kind::F32 => unreachable!("an integer network has integers only"),
                };
                let inputs: Vec<Integers> = inputs
                    .iter()
                    .zip(&self.inputs[id])
                    .map(|(bytes, &input)| integers(stored(input), bytes))
                    .collect();
                step.run(&inputs, integers_mut(stored(id), y), scratch);
            }
            Step::Quantize(format, kernels) => {
                let part = self.parts[id].as_ref().expect("an input alone is quantized");
                let y = integers_mut(element(*format), y);
                quantize(kernels, *format, self.part(image, part), y);
            }
        }
    }

    /// The values of one input.
    fn part<'i>(&self, image: &'i [f32], part: &Range<usize>) -> &'i [f32] {
        assert_eq!(image.len(), self.image_len, "the image has the extents of the inputs");
        &image[part.clone()]
    }

    /// A wanted value of the last run.
    ///
    /// # Panics
    /// Where the schedule neither computes nor provides it.
    pub fn value<'w>(
        &self,
        schedule: &Schedule,
        workspace: &'w Workspace,
        node: NodeId,
    ) -> ValueRef<'w> {
        let slot = schedule.slot[node].expect("the value is part of the schedule");
        ValueRef::of(self.kinds[node], workspace.bytes(slot, self.value_bytes(node)))
    }
}

/// The parts of an image by the node that takes each.
fn by_node(n: usize, inputs: &[NodeId], parts: Vec<Range<usize>>) -> Vec<Option<Range<usize>>> {
    let mut by_node = vec![None; n];
    inputs.iter().zip(parts).for_each(|(&id, part)| by_node[id] = Some(part));
    by_node
}

pub(super) fn float_step(
    graph: &Graph,
    id: NodeId,
    op: &Op,
    kernels: &'static Kernels,
) -> FloatStep {
    op.prepare_float(&graph.context(id), kernels)
}

/// Rounds in the precision the paper's code has: the product in f32.
fn round_all(values: &mut [f32], format: Option<Format>, quantizer: Quantizer) {
    let Some(format) = format else { return };
    let scale = f64_to_f32(fixedwise_fixed::convert::exp2(i32::from(format.frac)));
    let back = f64_to_f32(fixedwise_fixed::convert::exp2(-i32::from(format.frac)));
    let min = f64_to_f32(fixedwise_fixed::convert::i64_to_f64(format.min()));
    let max = f64_to_f32(fixedwise_fixed::convert::i64_to_f64(format.max()));
    let round = |x: f32| (x * scale).round_ties_even().clamp(min, max) * back;
    match quantizer {
        // In vectors, where the format is as narrow as results are; the sign of a zero stays.
        Quantizer::Uniform if format.bits <= 16 => values.iter_mut().for_each(|x| {
            let wanted = (*x * scale).clamp(min, max);
            *x = round_ties_even_within(wanted).copysign(wanted) * back;
        }),
        Quantizer::Uniform => values.iter_mut().for_each(|x| *x = round(*x)),
        Quantizer::SquareRoot => values.iter_mut().for_each(|x| {
            let root = round(x.abs().sqrt().copysign(*x));
            *x = root * root.abs();
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_are_rounded_and_squared_back() {
        let rounded = |bits, frac, values: &[f32]| {
            let mut values = values.to_vec();
            round_all(&mut values, Some(Format::signed(bits, frac)), Quantizer::SquareRoot);
            values
        };
        // Steps of 1/2, from -7/2 to 7/2: what is left are squares of these.
        let values = [0.0, 1.0, -1.0, 2.0, -2.25, 9.0, 12.25, 100.0, -100.0, 0.05, 0.1];
        let expected = [0.0, 1.0, -1.0, 2.25, -2.25, 9.0, 12.25, 12.25, -12.25, 0.0, 0.25];
        assert_eq!(rounded(4, 1, &values), expected);
        // A root in the middle of two steps goes to the even one: 3/4 to 1, 5/4 to 1, 1/4 to 0.
        assert_eq!(rounded(4, 1, &[0.5625, 1.5625, -1.5625, 0.0625]), [1.0, 1.0, -1.0, 0.0]);
        // Steps of 4, from -4 to 4.
        assert_eq!(rounded(2, -2, &[3.9, -4.1, 16.0, 1e9]), [0.0, -16.0, 16.0, 16.0]);
    }

    #[test]
    fn one_bit_of_a_root_is_zero() {
        for frac in [-3, 0, 5] {
            let mut values = [0.0, 1.0, -1.0, 1e-3, -7.5, f32::MAX];
            round_all(&mut values, Some(Format::signed(1, frac)), Quantizer::SquareRoot);
            assert!(values.iter().all(|&x| x == 0.0), "{values:?}");
        }
    }
}
