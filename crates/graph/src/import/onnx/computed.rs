//! Nodes on constants that no row of `fold` computes: their own operators do, in float, once while the file is read.

use super::{
    constant::{Constant, Elements},
    read::Import,
    reader::{ImportNode, Known, node_error},
};
use crate::{
    error::ImportError,
    graph::Graph,
    import::axes::channels_first,
    ops::{self, Input},
    output::Output,
    run::{Program, ValueRef, Workspace},
};
use fixedwise_codec::onnx::{self, Dim, ElementType, Model, Node, Tensor, TensorData, ValueInfo};
use fixedwise_kernels::Kernels;

/// Multiplications and elements of a node that is computed, at most: a small file must not take for ever.
const MOST: u64 = 1 << 32;

/// The output of a node whose inputs are all constants, of at most `room` elements; none where it has several, or its first
/// input is not what an image could be.
pub(super) fn computed(
    node: &Node,
    inputs: &[Option<&Constant>],
    opset: i64,
    operators: &'static [(&'static str, ImportNode)],
    room: usize,
) -> Option<Result<Constant, ImportError>> {
    let (first, others) = inputs.split_first()?;
    let Constant { dims, elements: Elements::Floats(data), .. } = (*first)? else { return None };
    let axes = channels_first(dims.len())?;
    let is_known = operators.iter().any(|(name, _)| *name == node.op_type);
    if !is_known || node.outputs.len() != 1 || dims.contains(&0) || dims.len() < 2 {
        return None;
    }
    let model = model(node, dims, others, opset);
    let mut import = Import::new(&model, ops::moved, operators);
    import.input(&model.graph.inputs[0], None, channels_first, |shape| Input { shape }.into());
    let output = node.outputs[0].as_str();
    import.nodes(&[output]);
    let (mut errors, _, mut reader) = import.judged(&[output]);
    if !errors.is_empty() {
        return Some(Err(errors.swap_remove(0)));
    }
    let Some(Known::View(view)) = reader.known.get(output).cloned() else { return None };
    let value = reader.value_of(node, &view);
    let graph = value.and_then(|value| reader.builder.finish("constant", vec![(output, value)]));
    let run = |graph: Graph| {
        let images = u64::try_from(dims[0]).unwrap_or(u64::MAX);
        let elements = graph.nodes.iter().map(|node| node.shape.len()).sum::<usize>();
        let work = graph.macs().saturating_add(u64::try_from(elements).unwrap_or(u64::MAX));
        let n = dims[0].saturating_mul(graph.output_shape().len());
        if work.saturating_mul(images) > MOST || n.max(elements) > room {
            return Err(node_error(node, "computes constants that are too large"));
        }
        let taken = Output { axes: axes.clone(), ..Output::new("", graph.input()) };
        Ok(outputs(&graph, &taken, dims[0], data))
    };
    Some(graph.and_then(run))
}

/// A model of the node alone: its first input is the image, one for each index of its first axis.
fn model(node: &Node, dims: &[usize], others: &[Option<&Constant>], opset: i64) -> Model {
    let name = |position: usize| format!("input_{position}");
    let named = |(position, input): (usize, &String)| {
        if input.is_empty() { String::new() } else { name(position) }
    };
    let batch = std::iter::once(Dim::Named("images".to_owned()));
    let image = ValueInfo {
        name: name(0),
        element_type: ElementType::F32,
        dims: batch.chain(dims[1..].iter().map(|&extent| Dim::Known(extent))).collect(),
    };
    let constants = others.iter().enumerate();
    let constants = constants.filter_map(|(i, constant)| Some((name(i + 1), tensor((*constant)?))));
    let graph = onnx::Graph {
        nodes: vec![Node {
            inputs: node.inputs.iter().enumerate().map(named).collect(),
            ..node.clone()
        }],
        initializers: constants.collect(),
        inputs: vec![image],
        ..onnx::Graph::default()
    };
    Model { ir_version: 8, opset, producer: String::new(), functions: vec![], graph }
}

fn tensor(constant: &Constant) -> Tensor {
    let data = match &constant.elements {
        Elements::Floats(x) => TensorData::F32(x.clone()),
        Elements::Ints(x) => TensorData::I64(x.iter().map(|x| x.of_one_image()).collect()),
    };
    Tensor { dims: constant.dims.clone(), data, element: constant.element }
}

/// What a network makes of images, both in the order of the file; `taken` are the axes of an image there.
fn outputs(graph: &Graph, taken: &Output, images: usize, data: &[f32]) -> Constant {
    // The same numbers on every machine.
    let program = Program::float(graph, Kernels::scalar());
    let schedule = program.schedule(&[], &[graph.output()]);
    let mut workspace = Workspace::new();
    let places = taken.places(graph.input_shape());
    let (output, shape) = (&graph.outputs()[0], graph.output_shape());
    let mut results = Vec::new();
    let mut image = vec![0.0; places.len()];
    for of_file in data.chunks_exact(places.len()) {
        places.iter().zip(of_file).for_each(|(&place, &x)| image[place] = x);
        program.run(&schedule, &mut workspace, &image, &[]);
        match program.value(&schedule, &workspace, graph.output()) {
            ValueRef::F32(y) => results.extend(output.in_order_of_file(shape, y)),
            ValueRef::Integers(_) => unreachable!("a float program has float values"),
        }
    }
    let dims = std::iter::once(images).chain(output.extents(shape)).collect();
    Constant::floats(dims, results)
}
