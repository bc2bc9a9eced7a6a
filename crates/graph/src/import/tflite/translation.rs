//! The state of a translation: nodes and constants so far, and what an operator may ask.

use crate::error::ImportError;
use fixedwise_codec::{
    onnx::{self, Attribute, Dim, ElementType, Node, TensorData, ValueInfo},
    tflite::{self, Quantization},
};
use fixedwise_fixed::convert::{f64_to_f32, i64_to_f64};

/// Version of ONNX' operators that the nodes are written in.
const OPSET: i64 = 18;

/// The ONNX model so far.
#[derive(Debug)]
pub(super) struct Translation<'a> {
    file: &'a tflite::Model,
    graph: onnx::Graph,
    /// Values made in between.
    made: usize,
}

/// One operator of the file.
#[derive(Debug)]
pub(super) struct Operator<'a> {
    file: &'a tflite::Model,
    saved: &'a tflite::Operator,
}

impl<'a> Operator<'a> {
    pub(super) fn new(file: &'a tflite::Model, saved: &'a tflite::Operator) -> Self {
        Self { file, saved }
    }

    /// Its name in the schema.
    pub(super) fn kind(&self) -> &'a str {
        &self.saved.name
    }

    pub(super) fn is_custom(&self) -> bool {
        self.saved.is_custom
    }

    /// What its nodes are called: the value it computes, without what converters add.
    pub(super) fn name(&self) -> String {
        let value =
            self.saved.outputs.first().map_or("", |&output| &self.file.tensors[output].name);
        // Fused operators have the names of all, the last one first.
        value.split(';').next().unwrap_or(value).to_owned()
    }

    /// `problem` with the operator's name and kind.
    pub(super) fn error(&self, problem: &str) -> ImportError {
        ImportError::Node {
            node: self.name(),
            op_type: self.kind().to_owned(),
            problem: problem.to_owned(),
        }
    }

    /// A number among its options.
    pub(super) fn int(&self, option: &str) -> i64 {
        self.saved.options.int(option)
    }

    /// A float among its options.
    pub(super) fn float(&self, option: &str) -> f32 {
        self.saved.options.float(option)
    }

    /// A list among its options.
    pub(super) fn list(&self, option: &str) -> Option<&'a [i64]> {
        self.saved.options.lists.get(option).map(Vec::as_slice)
    }

    /// How many inputs it has.
    pub(super) fn inputs(&self) -> usize {
        self.saved.inputs.len()
    }

    /// How many outputs it has.
    pub(super) fn outputs(&self) -> usize {
        self.saved.outputs.len()
    }

    /// Whether an input is given.
    pub(super) fn has_input(&self, position: usize) -> bool {
        self.saved.inputs.get(position).is_some_and(Option::is_some)
    }

    /// The tensor of an input.
    pub(super) fn tensor(&self, position: usize) -> Result<&'a tflite::Tensor, ImportError> {
        match self.saved.inputs.get(position) {
            Some(Some(index)) => Ok(&self.file.tensors[*index]),
            _ => Err(self.error(&format!("its input {position} is missing"))),
        }
    }

    /// The tensor of an output.
    pub(super) fn output(&self, position: usize) -> Result<&'a tflite::Tensor, ImportError> {
        match self.saved.outputs.get(position) {
            Some(index) => Ok(&self.file.tensors[*index]),
            None => Err(self.error(&format!("its output {position} is missing"))),
        }
    }

    /// How many axes an input has.
    pub(super) fn rank(&self, position: usize) -> Result<usize, ImportError> {
        Ok(self.tensor(position)?.shape.len())
    }

    /// The known extents of an input.
    pub(super) fn extents<const N: usize>(
        &self,
        position: usize,
    ) -> Result<[usize; N], ImportError> {
        let shape = &self.tensor(position)?.shape;
        let known: Option<Vec<usize>> = shape.iter().copied().collect();
        known.and_then(|known| known.try_into().ok()).ok_or_else(|| {
            self.error(&format!("its input {position} must have {N} axes of known size"))
        })
    }

    /// An input as an image, which it must be.
    pub(super) fn must_be_image(&self, position: usize) -> Result<(), ImportError> {
        match self.rank(position)? {
            4 => Ok(()),
            rank => Err(self.error(&format!(
                "its input {position} has {rank} axes; an image has 4: [batch, row, column, channel]"
            ))),
        }
    }

    /// An input that must be a list of known integers.
    pub(super) fn ints(&self, position: usize) -> Result<&'a [i64], ImportError> {
        match &self.tensor(position)?.data {
            Some(TensorData::I64(data)) => Ok(data),
            _ => Err(self.error(&format!("its input {position} must be a constant of integers"))),
        }
    }

    /// An input that must be known: its extents and the real values of its elements.
    pub(super) fn reals(
        &self,
        position: usize,
    ) -> Result<(&'a [Option<usize>], Vec<f32>), ImportError> {
        let tensor = self.tensor(position)?;
        match &tensor.data {
            Some(data) => Ok((&tensor.shape, reals(tensor, data))),
            None => Err(self.error(&format!(
                "its input {position} must be a constant; it is computed, which is not supported"
            ))),
        }
    }
}

impl<'a> Translation<'a> {
    pub(super) fn new(file: &'a tflite::Model) -> Self {
        let info = |&index: &usize| value_info(&file.tensors[index]);
        let graph = onnx::Graph {
            inputs: file.inputs.iter().map(info).collect(),
            outputs: file.outputs.iter().map(info).collect(),
            initializers: file.tensors.iter().filter_map(initializer).collect(),
            ..onnx::Graph::default()
        };
        Self { file, graph, made: 0 }
    }

    /// The whole model.
    pub(super) fn finish(self) -> onnx::Model {
        onnx::Model {
            ir_version: onnx::NEWEST_IR_VERSION,
            opset: OPSET,
            producer: self.file.description.clone(),
            functions: Vec::new(),
            graph: self.graph,
        }
    }

    /// A name for a value in between.
    pub(super) fn between(&mut self) -> String {
        self.made += 1;
        // No tensor's name has a blank in front.
        format!(" {}", self.made)
    }

    /// The name of an input; empty where it is left out.
    pub(super) fn input(operator: &Operator, position: usize) -> String {
        operator.tensor(position).map(|tensor| tensor.name.clone()).unwrap_or_default()
    }

    /// Adds a node with those results.
    pub(super) fn push(
        &mut self,
        operator: &Operator,
        op_type: &str,
        inputs: &[&str],
        outputs: Vec<String>,
        attributes: Vec<(&str, Attribute)>,
    ) {
        let mut node = Node::new(op_type, &operator.name(), inputs, &[]);
        node.outputs = outputs;
        for (name, value) in attributes {
            node = node.with(name, value);
        }
        self.graph.nodes.push(node);
    }

    /// Adds a node whose one result is a value in between, and gives its name.
    pub(super) fn node(
        &mut self,
        operator: &Operator,
        op_type: &str,
        inputs: &[&str],
        attributes: Vec<(&str, Attribute)>,
    ) -> String {
        let output = self.between();
        self.push(operator, op_type, inputs, vec![output.clone()], attributes);
        output
    }

    /// A constant list of integers.
    pub(super) fn ints(&mut self, values: &[i64]) -> String {
        self.constant(onnx::Tensor::ints(&[values.len()], values.to_vec()))
    }

    /// A constant float without axes.
    pub(super) fn scalar(&mut self, value: f32) -> String {
        self.constant(onnx::Tensor::floats(&[], vec![value]))
    }

    /// A constant of floats.
    pub(super) fn floats(&mut self, dims: &[usize], values: Vec<f32>) -> String {
        self.constant(onnx::Tensor::floats(dims, values))
    }

    fn constant(&mut self, tensor: onnx::Tensor) -> String {
        let name = self.between();
        self.graph.initializers.push((name.clone(), tensor));
        name
    }

    /// A value with the channels moved from the last axis to the second.
    pub(super) fn channels_first(&mut self, operator: &Operator, value: &str) -> String {
        self.node(operator, "Transpose", &[value], vec![("perm", vec![0, 3, 1, 2].into())])
    }

    /// The operator's result: a value with the channels second, moved to the last axis, and the fused activation.
    pub(super) fn result_of_image(
        &mut self,
        operator: &Operator,
        value: &str,
    ) -> Result<(), ImportError> {
        let moved = self.activated(operator, value)?;
        let output = vec![operator.output(0)?.name.clone()];
        let perm = vec![("perm", vec![0, 2, 3, 1].into())];
        self.push(operator, "Transpose", &[&moved], output, perm);
        Ok(())
    }

    /// The operator's result: a value and the fused activation.
    pub(super) fn result(&mut self, operator: &Operator, value: &str) -> Result<(), ImportError> {
        let value = self.activated(operator, value)?;
        let output = vec![operator.output(0)?.name.clone()];
        self.push(operator, "Identity", &[&value], output, vec![]);
        Ok(())
    }

    /// A value after the operator's fused activation.
    fn activated(&mut self, operator: &Operator, value: &str) -> Result<String, ImportError> {
        match operator.int("fused_activation") {
            0 => Ok(value.to_owned()),
            1 => Ok(self.node(operator, "Relu", &[value], vec![])),
            2 => Ok(self.clip(operator, value, -1.0, 1.0)),
            3 => Ok(self.clip(operator, value, 0.0, 6.0)),
            4 => Ok(self.node(operator, "Tanh", &[value], vec![])),
            other => Err(operator.error(&format!("its fused activation {other} is not supported"))),
        }
    }

    /// A value between two bounds.
    pub(super) fn clip(&mut self, operator: &Operator, value: &str, low: f32, high: f32) -> String {
        let (low, high) = (self.scalar(low), self.scalar(high));
        self.node(operator, "Clip", &[value, &low, &high], vec![])
    }

    /// A node of the operator's own name.
    pub(super) fn unknown(&mut self, operator: &Operator) {
        let inputs: Vec<String> =
            (0..operator.inputs()).map(|i| Self::input(operator, i)).collect();
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let outputs = (0..operator.outputs())
            .filter_map(|i| operator.output(i).ok())
            .map(|tensor| tensor.name.clone())
            .collect();
        self.push(operator, operator.kind(), &inputs, outputs, vec![]);
    }
}

/// An input or output of the graph; integers that stand for real values are these.
fn value_info(tensor: &tflite::Tensor) -> ValueInfo {
    let dims = tensor.shape.iter().map(|extent| extent.map_or(Dim::Unknown, Dim::Known)).collect();
    let is_real = tensor.quantization.is_some() || tensor.element == ElementType::F16;
    let element_type = if is_real { ElementType::F32 } else { tensor.element };
    ValueInfo { name: tensor.name.clone(), element_type, dims }
}

/// A tensor that is known, by its real values.
fn initializer(tensor: &tflite::Tensor) -> Option<(String, onnx::Tensor)> {
    let data = tensor.data.as_ref()?;
    let dims: Option<Vec<usize>> = tensor.shape.iter().copied().collect();
    let made = match data {
        TensorData::I64(data) if tensor.quantization.is_none() => onnx::Tensor {
            dims: dims?,
            data: TensorData::I64(data.clone()),
            element: tensor.element,
        },
        data => onnx::Tensor::floats(&dims?, reals(tensor, data)),
    };
    Some((tensor.name.clone(), made))
}

/// What elements stand for.
pub(super) fn reals(tensor: &tflite::Tensor, data: &TensorData) -> Vec<f32> {
    let ints = match data {
        TensorData::F32(data) => return data.clone(),
        TensorData::I64(ints) => ints,
    };
    let real = |x: i64| f64_to_f32(i64_to_f64(x));
    let Some(Quantization { scale, zero_point, axis }) = &tensor.quantization else {
        return ints.iter().map(|&x| real(x)).collect();
    };
    // How many elements lie between two positions along the axis.
    let behind = tensor.shape.get(axis + 1..).unwrap_or(&[]);
    let step: usize = behind.iter().map(|extent| extent.unwrap_or(1)).product();
    let dequantize = |(i, &x): (usize, &i64)| {
        let channel = if scale.len() == 1 { 0 } else { i / step.max(1) % scale.len() };
        let distance = i64_to_f64(x.saturating_sub(zero_point[channel]));
        f64_to_f32(distance * f64::from(scale[channel]))
    };
    ints.iter().enumerate().map(dequantize).collect()
}
