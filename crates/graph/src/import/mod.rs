//! From a model file to a graph; ONNX here, Keras in a module of its own.
//!
//! The axes of an ONNX value are followed by name while the model is read, so that values lie in
//! the order `[h, w, c]` inside whatever the file transposes.

mod attributes;
pub(crate) mod keras;

pub(crate) use attributes::Attributes;
pub use keras::{from_keras, from_onnx_with_weights};

use crate::{
    error::ImportError,
    graph::{Graph, Node, NodeId},
    operator::Op,
    ops::{self, Input, Reshape},
    shape::{Activation, Shape},
};
use fixedwise_codec::onnx::{self, ElementType};
use std::collections::BTreeMap;

/// What an axis of an ONNX value is inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Axis {
    Batch,
    Row,
    Column,
    Channel,
}

/// An ONNX value: the node that computes it and what each of its axes is.
///
/// Axes of extent one may be missing.
#[derive(Clone, Debug)]
pub(crate) struct Value {
    pub(crate) node: NodeId,
    pub(crate) axes: Vec<Axis>,
}

#[derive(Clone, Debug)]
enum Known {
    Value(Value),
    Constant(onnx::Tensor),
}

/// The state of an import.
#[derive(Debug, Default)]
pub(crate) struct Import {
    nodes: Vec<Node>,
    known: BTreeMap<String, Known>,
    opset: i64,
}

/// `problem` with the node's name and operator.
pub(crate) fn node_error(node: &onnx::Node, problem: &str) -> ImportError {
    ImportError::Node {
        node: node.name.clone(),
        op_type: node.op_type.clone(),
        problem: problem.to_owned(),
    }
}

/// Axes of an ONNX value of that rank, channels first.
pub(crate) fn channels_first(rank: usize) -> Option<Vec<Axis>> {
    let axes: &[Axis] = match rank {
        1 => &[Axis::Batch],
        2 => &[Axis::Batch, Axis::Channel],
        3 => &[Axis::Batch, Axis::Channel, Axis::Column],
        4 => &[Axis::Batch, Axis::Channel, Axis::Row, Axis::Column],
        _ => return None,
    };
    Some(axes.to_vec())
}

/// The index of an axis that may count from the end.
pub(crate) fn axis_index(axis: i64, rank: usize) -> Option<usize> {
    let rank = i64::try_from(rank).ok()?;
    let axis = if axis < 0 { axis.checked_add(rank)? } else { axis };
    usize::try_from(axis).ok().filter(|_| axis < rank)
}

/// The extent of `axis` in `shape`.
pub(crate) fn extent(shape: Shape, axis: Axis) -> usize {
    match axis {
        Axis::Batch => 1,
        Axis::Row => shape.h,
        Axis::Column => shape.w,
        Axis::Channel => shape.c,
    }
}

/// The shape with those extents along those axes.
pub(crate) fn shape_of(axes: &[Axis], extents: &[usize]) -> Shape {
    let mut shape = Shape::new(1, 1, 1);
    for (axis, &extent) in axes.iter().zip(extents) {
        match axis {
            Axis::Batch => {}
            Axis::Row => shape.h = extent,
            Axis::Column => shape.w = extent,
            Axis::Channel => shape.c = extent,
        }
    }
    shape
}

/// The graph of an ONNX model with one input and one output.
///
/// # Errors
/// [`ImportError`] naming the node for whatever is not supported.
pub fn from_onnx(model: &onnx::Model, name: &str) -> Result<Graph, ImportError> {
    let file = &model.graph;
    let [input] = file.inputs.as_slice() else {
        let names: Vec<&str> = file.inputs.iter().map(|i| i.name.as_str()).collect();
        return Err(ImportError::Interface(format!(
            "the model has {} inputs ({}); one image is supported",
            names.len(),
            names.join(", ")
        )));
    };
    let [output] = file.outputs.as_slice() else {
        return Err(ImportError::Interface(format!(
            "the model has {} outputs; one is supported",
            file.outputs.len()
        )));
    };
    let mut import = Import { opset: model.opset, ..Import::default() };
    import.push_input(file, input)?;
    for (name, tensor) in &file.initializers {
        import.known.insert(name.clone(), Known::Constant(tensor.clone()));
    }
    for node in &file.nodes {
        let Some((_, read)) = ops::ONNX.iter().find(|(op_type, _)| *op_type == node.op_type) else {
            return Err(ImportError::UnknownOperator {
                node: node.name.clone(),
                op_type: node.op_type.clone(),
                supported: ops::ONNX.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", "),
            });
        };
        if node.outputs.iter().skip(1).any(|name| !name.is_empty()) {
            let more = node.outputs[1..].join("`, `");
            if file.nodes.iter().any(|n| n.inputs.iter().any(|i| node.outputs[1..].contains(i)))
                || node.outputs[1..].contains(&output.name)
            {
                return Err(node_error(
                    node,
                    &format!("only its first output is supported, not `{more}`"),
                ));
            }
        }
        read(&mut import, node)?;
    }
    let Some(Known::Value(result)) = import.known.get(&output.name).cloned() else {
        return Err(ImportError::Interface(format!(
            "the model's output `{}` is not computed from its input",
            output.name
        )));
    };
    // The result is given in the file's order of axes, read as channels first.
    let result = match channels_first(result.axes.len()) {
        Some(axes) if result.axes != axes => {
            let shape = import.shape(&result);
            let extents: Vec<usize> = result.axes.iter().map(|&axis| extent(shape, axis)).collect();
            import.reshape(&format!("{}_layout", output.name), &result, axes, &extents)?
        }
        _ => result,
    };
    let mut graph = Graph { name: name.to_owned(), output: result.node, nodes: import.nodes };
    graph.infer()?;
    Ok(graph)
}

impl Import {
    fn push_input(
        &mut self,
        file: &onnx::Graph,
        input: &onnx::ValueInfo,
    ) -> Result<(), ImportError> {
        let refuse = |problem: String| {
            Err(ImportError::Interface(format!("the model's input `{}` {problem}", input.name)))
        };
        let element = input.element_type;
        if !matches!(
            element,
            ElementType::F32 | ElementType::F64 | ElementType::F16 | ElementType::Bf16
        ) {
            return refuse(format!(
                "holds {element:?} elements; export the model for float images and declare what \
                 pixels mean with `--preprocess`"
            ));
        }
        let Some(mut axes) = channels_first(input.dims.len()).filter(|axes| axes.len() > 1) else {
            return refuse(format!(
                "has {} axes; supported are [batch, c], [batch, c, w] and [batch, c, h, w]",
                input.dims.len()
            ));
        };
        let mut extents = vec![1];
        for (i, dim) in input.dims.iter().enumerate().skip(1) {
            match dim {
                onnx::Dim::Known(0) => return refuse(format!("has no element along axis {i}")),
                onnx::Dim::Known(extent) => extents.push(*extent),
                onnx::Dim::Named(name) => {
                    return refuse(format!(
                        "has the dynamic extent `{name}` on axis {i}; only the batch (axis 0) may \
                         be dynamic: export the model with a fixed image size"
                    ));
                }
                onnx::Dim::Unknown => {
                    return refuse(format!(
                        "has no extent on axis {i}; export the model with a fixed image size"
                    ));
                }
            }
        }
        if axes.len() == 4 && transposed_to_channels_first(file, &input.name) {
            axes = vec![Axis::Batch, Axis::Row, Axis::Column, Axis::Channel];
        }
        let shape = shape_of(&axes, &extents);
        if extents.iter().try_fold(1_usize, |n, &e| n.checked_mul(e)).is_none_or(|n| n > 1 << 28) {
            return refuse("has more than 2^28 elements".to_owned());
        }
        let name = input.name.clone();
        self.nodes.push(Node::new(&name, Input { shape }, vec![], shape));
        self.known.insert(name, Known::Value(Value { node: 0, axes }));
        Ok(())
    }

    /// Whether any node was added.
    pub(crate) fn has_nodes(&self) -> bool {
        !self.nodes.is_empty()
    }

    /// Version of the default operator set.
    pub(crate) fn opset(&self) -> i64 {
        self.opset
    }

    /// Extents of a value inside.
    pub(crate) fn shape(&self, value: &Value) -> Shape {
        self.nodes[value.node].shape
    }

    fn known(&self, node: &onnx::Node, position: usize) -> Result<&Known, ImportError> {
        let Some(name) = node.inputs.get(position).filter(|name| !name.is_empty()) else {
            return Err(node_error(node, &format!("its input {position} is missing")));
        };
        self.known.get(name).ok_or_else(|| ImportError::UnknownValue {
            node: node.name.clone(),
            value: name.clone(),
        })
    }

    /// Whether an input is given at all.
    pub(crate) fn has_input(node: &onnx::Node, position: usize) -> bool {
        node.inputs.get(position).is_some_and(|name| !name.is_empty())
    }

    /// Whether an input is a constant.
    pub(crate) fn is_constant(&self, node: &onnx::Node, position: usize) -> bool {
        matches!(self.known(node, position), Ok(Known::Constant(_)))
    }

    /// An input that is computed from the image.
    pub(crate) fn value(&self, node: &onnx::Node, position: usize) -> Result<Value, ImportError> {
        match self.known(node, position)? {
            Known::Value(value) => Ok(value.clone()),
            Known::Constant(_) => Err(node_error(
                node,
                &format!("its input {position} is a constant; simplify the model"),
            )),
        }
    }

    /// An input that is known before any image.
    pub(crate) fn constant(
        &self,
        node: &onnx::Node,
        position: usize,
    ) -> Result<&onnx::Tensor, ImportError> {
        match self.known(node, position)? {
            Known::Constant(tensor) => Ok(tensor),
            Known::Value(_) => Err(node_error(
                node,
                &format!(
                    "its input {position} must be a constant; shapes computed at run time are not supported"
                ),
            )),
        }
    }

    /// A constant of finite floats with its extents.
    pub(crate) fn float_constant(
        &self,
        node: &onnx::Node,
        position: usize,
    ) -> Result<(&[usize], &[f32]), ImportError> {
        let tensor = self.constant(node, position)?;
        let onnx::TensorData::F32(data) = &tensor.data else {
            return Err(node_error(node, &format!("its input {position} must hold floats")));
        };
        if let Some(index) = data.iter().position(|x| !x.is_finite()) {
            return Err(ImportError::NotFinite {
                node: node.name.clone(),
                tensor: node.inputs[position].clone(),
                value: data[index],
                index,
            });
        }
        Ok((&tensor.dims, data))
    }

    /// A constant vector of `len` finite floats.
    pub(crate) fn float_vector(
        &self,
        node: &onnx::Node,
        position: usize,
        len: usize,
    ) -> Result<Vec<f32>, ImportError> {
        let (dims, data) = self.float_constant(node, position)?;
        if data.len() != len {
            return Err(node_error(
                node,
                &format!("its input {position} has extents {dims:?}; {len} elements are needed"),
            ));
        }
        Ok(data.to_vec())
    }

    /// A constant of integers.
    pub(crate) fn int_constant(
        &self,
        node: &onnx::Node,
        position: usize,
    ) -> Result<Vec<i64>, ImportError> {
        match &self.constant(node, position)?.data {
            onnx::TensorData::I64(data) => Ok(data.clone()),
            onnx::TensorData::F32(_) => {
                Err(node_error(node, &format!("its input {position} must hold integers")))
            }
        }
    }

    /// A constant broadcast against `value`, one element for each channel.
    pub(crate) fn channel_constant(
        &self,
        node: &onnx::Node,
        position: usize,
        value: &Value,
    ) -> Result<Vec<f32>, ImportError> {
        let (dims, data) = self.float_constant(node, position)?;
        let channels = self.shape(value).c;
        let rank = value.axes.len();
        let per_channel =
            dims.len() <= rank
                && dims.iter().rev().zip(value.axes.iter().rev()).all(|(&extent, &axis)| {
                    extent == 1 || axis == Axis::Channel && extent == channels
                });
        if !per_channel {
            return Err(node_error(
                node,
                &format!(
                    "its constant of extents {dims:?} is neither one number nor one for each of \
                     the {channels} channels"
                ),
            ));
        }
        Ok(if data.len() == 1 { vec![data[0]; channels] } else { data.to_vec() })
    }

    /// Refuses a value whose second axis is not the channels.
    pub(crate) fn check_channel_axis(node: &onnx::Node, value: &Value) -> Result<(), ImportError> {
        if value.axes.get(1) == Some(&Axis::Channel) {
            Ok(())
        } else {
            Err(node_error(node, "its input must have the channels on axis 1"))
        }
    }

    /// An input as an image, channels on axis 1: its node, with its axes renamed where the file
    /// means others.
    pub(crate) fn image(
        &mut self,
        node: &onnx::Node,
        position: usize,
    ) -> Result<Value, ImportError> {
        let value = self.value(node, position)?;
        let wanted = channels_first(value.axes.len())
            .filter(|axes| axes.len() > 2)
            .ok_or_else(|| node_error(node, "its input must be an image with 3 or 4 axes"))?;
        self.relabel(node, value, wanted)
    }

    /// The same elements in the same ONNX order, under other axis names.
    pub(crate) fn relabel(
        &mut self,
        node: &onnx::Node,
        value: Value,
        axes: Vec<Axis>,
    ) -> Result<Value, ImportError> {
        if value.axes == axes {
            return Ok(value);
        }
        let shape = self.shape(&value);
        let extents: Vec<usize> = value.axes.iter().map(|&axis| extent(shape, axis)).collect();
        self.reshape(&format!("{}_layout", node.name), &value, axes, &extents)
    }

    /// The elements of `value` in its ONNX order, with other axes and extents.
    pub(crate) fn reshape(
        &mut self,
        name: &str,
        value: &Value,
        axes: Vec<Axis>,
        extents: &[usize],
    ) -> Result<Value, ImportError> {
        let from = self.shape(value);
        let shape = shape_of(&axes, extents);
        let op = Reshape { shape, input_order: order(&value.axes), output_order: order(&axes) };
        if from == shape && op.is_identity(from) {
            return Ok(Value { node: value.node, axes });
        }
        let id = self.push_node(name, op, vec![value.node])?;
        Ok(Value { node: id, axes })
    }

    /// Adds a node of the graph that no ONNX node names.
    pub(crate) fn push_node(
        &mut self,
        name: &str,
        op: impl Into<Op>,
        inputs: Vec<NodeId>,
    ) -> Result<NodeId, ImportError> {
        let op = op.into();
        let shapes: Vec<Shape> = inputs.iter().map(|&i| self.nodes[i].shape).collect();
        let shape = op.infer(&shapes).map_err(|problem| crate::GraphError::Shape {
            node: name.to_owned(),
            op: op.name(),
            shapes: shapes.iter().map(Shape::to_string).collect::<Vec<_>>().join(", "),
            problem,
        })?;
        if shape.is_empty() {
            return Err(ImportError::Interface(format!("node `{name}` has an empty result")));
        }
        let mut unique = name.to_owned();
        let mut copy = 2;
        while self.nodes.iter().any(|node| node.name == unique) {
            unique = format!("{name}_{copy}");
            copy += 1;
        }
        self.nodes.push(Node { name: unique, op, inputs, activation: Activation::None, shape });
        Ok(self.nodes.len() - 1)
    }

    /// Adds the graph's node for `node`, with the axes of its result.
    pub(crate) fn push(
        &mut self,
        node: &onnx::Node,
        op: impl Into<Op>,
        inputs: Vec<NodeId>,
        axes: Vec<Axis>,
    ) -> Result<(), ImportError> {
        let id = self.push_node(&node.name, op, inputs)?;
        self.set_value(node, Value { node: id, axes })
    }

    /// Adds a node whose result has the axes of its one input.
    pub(crate) fn push_like(
        &mut self,
        node: &onnx::Node,
        op: impl Into<Op>,
        value: &Value,
    ) -> Result<(), ImportError> {
        self.push(node, op, vec![value.node], value.axes.clone())
    }

    /// The node's result is `value`.
    pub(crate) fn set_value(&mut self, node: &onnx::Node, value: Value) -> Result<(), ImportError> {
        self.set(node, Known::Value(value))
    }

    /// The node's result is a constant.
    pub(crate) fn set_constant(
        &mut self,
        node: &onnx::Node,
        tensor: onnx::Tensor,
    ) -> Result<(), ImportError> {
        self.set(node, Known::Constant(tensor))
    }

    /// The node's result is its input `position`, whatever that is.
    pub(crate) fn alias(&mut self, node: &onnx::Node, position: usize) -> Result<(), ImportError> {
        let known = self.known(node, position)?.clone();
        self.set(node, known)
    }

    fn set(&mut self, node: &onnx::Node, known: Known) -> Result<(), ImportError> {
        let Some(name) = node.outputs.first() else {
            return Err(node_error(node, "has no output"));
        };
        if self.known.insert(name.clone(), known).is_some() {
            return Err(node_error(node, &format!("computes `{name}`, which exists already")));
        }
        Ok(())
    }

    /// Transposes a constant.
    pub(crate) fn transpose_constant(
        &mut self,
        node: &onnx::Node,
        permutation: Option<&[i64]>,
    ) -> Result<(), ImportError> {
        let tensor = self.constant(node, 0)?;
        let rank = tensor.dims.len();
        let permutation: Vec<usize> = match permutation {
            Some(p) => p.iter().filter_map(|&p| usize::try_from(p).ok()).collect(),
            None => (0..rank).rev().collect(),
        };
        let mut sorted = permutation.clone();
        sorted.sort_unstable();
        if sorted != (0..rank).collect::<Vec<_>>() {
            return Err(node_error(node, "`perm` is not a permutation of its input's axes"));
        }
        let dims: Vec<usize> = permutation.iter().map(|&p| tensor.dims[p]).collect();
        let mut strides = vec![1; rank];
        for axis in (0..rank.saturating_sub(1)).rev() {
            strides[axis] = strides[axis + 1] * tensor.dims[axis + 1];
        }
        let elements: usize = dims.iter().product();
        let sources = (0..elements).map(|index| {
            let mut rest = index;
            let mut source = 0;
            for axis in (0..rank).rev() {
                source += rest % dims[axis] * strides[permutation[axis]];
                rest /= dims[axis];
            }
            source
        });
        let data = match &tensor.data {
            onnx::TensorData::F32(x) => onnx::TensorData::F32(sources.map(|i| x[i]).collect()),
            onnx::TensorData::I64(x) => onnx::TensorData::I64(sources.map(|i| x[i]).collect()),
        };
        self.set_constant(node, onnx::Tensor { dims, data })
    }
}

/// The inside axes in the order an ONNX value has them; missing ones (of extent one) go last.
fn order(axes: &[Axis]) -> [Axis; 3] {
    let mut all = [Axis::Row, Axis::Column, Axis::Channel];
    all.sort_by_key(|axis| axes.iter().position(|a| a == axis).unwrap_or(usize::MAX));
    all
}

/// Whether every path from the model's input leads, through element-wise nodes, to a transpose
/// from channels last to channels first.
fn transposed_to_channels_first(file: &onnx::Graph, input: &str) -> bool {
    let mut names = vec![input.to_owned()];
    let mut found = false;
    while let Some(name) = names.pop() {
        for node in file.nodes.iter().filter(|node| node.inputs.contains(&name)) {
            match node.op_type.as_str() {
                "Transpose" => {
                    let permutation = node.attributes.get("perm");
                    if !matches!(permutation, Some(onnx::Attribute::Ints(p)) if p == &[0, 3, 1, 2])
                    {
                        return false;
                    }
                    found = true;
                }
                "Identity" | "Add" | "Sub" | "Mul" | "Div" | "Dropout" => {
                    names.extend(node.outputs.iter().take(1).cloned());
                }
                _ => return false,
            }
        }
    }
    found
}
