//! What an operator may ask of an ONNX file while one of its nodes is read.

use crate::{
    error::ImportError,
    graph::NodeId,
    import::{
        axes::Axis,
        builder::{Builder, Value},
    },
    operator::Op,
    shape::Shape,
};
use fixedwise_codec::onnx;
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
enum Known {
    Value(Value),
    Constant(onnx::Tensor),
}

/// The state of an import: the graph so far, and what each name of the file stands for.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(crate) builder: Builder,
    known: BTreeMap<String, Known>,
    opset: i64,
}

/// Takes one ONNX node in.
pub(crate) type ImportNode = fn(&mut Reader, &onnx::Node) -> Result<(), ImportError>;

/// `problem` with the node's name and operator.
pub(crate) fn node_error(node: &onnx::Node, problem: &str) -> ImportError {
    ImportError::Node {
        node: node.name.clone(),
        op_type: node.op_type.clone(),
        problem: problem.to_owned(),
    }
}

impl Reader {
    /// Nothing but constants known yet.
    pub(super) fn new(opset: i64, constants: &[(String, onnx::Tensor)]) -> Self {
        let known = |(name, tensor): &(String, onnx::Tensor)| {
            (name.clone(), Known::Constant(tensor.clone()))
        };
        Self { builder: Builder::default(), known: constants.iter().map(known).collect(), opset }
    }

    /// Names the value that is the image.
    pub(super) fn set_image(&mut self, name: &str, value: Value) {
        self.known.insert(name.to_owned(), Known::Value(value));
    }

    /// The value of that name, where it is computed from the image.
    pub(super) fn computed(&self, name: &str) -> Option<&Value> {
        match self.known.get(name) {
            Some(Known::Value(value)) => Some(value),
            _ => None,
        }
    }

    /// Version of the default operator set.
    pub(crate) fn opset(&self) -> i64 {
        self.opset
    }

    /// Extents of a value inside.
    pub(crate) fn shape(&self, value: &Value) -> Shape {
        self.builder.shape(value)
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
            return Err(node_error(node, &format!("its input {position} must contain floats")));
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
                &format!("its input {position} has shape {dims:?}; {len} elements are required"),
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
                Err(node_error(node, &format!("its input {position} must contain integers")))
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
                    "its constant with shape {dims:?} is neither one number nor one per channel \
                     ({channels})"
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

    /// Adds the graph's node for `node`, with the axes of its result.
    pub(crate) fn push(
        &mut self,
        node: &onnx::Node,
        op: impl Into<Op>,
        inputs: Vec<NodeId>,
        axes: Vec<Axis>,
    ) -> Result<(), ImportError> {
        let id = self.builder.push(&node.name, op, inputs)?;
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
}
