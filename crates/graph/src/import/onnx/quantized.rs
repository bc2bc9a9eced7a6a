//! Operators that compute on integers with scales (`QLinearConv` and its kind): each is the real operator on the real
//! values that its integers stand for, and a rounding of the result, which `QuantizeLinear` says.
//!
//! Source: ONNX `QLinearConv`, opset 10, `QLinearMatMul`, opset 21; the operators of ONNX Runtime's quantizer, domain
//! `com.microsoft`, version 1.

use fixedwise_codec::onnx::{Attribute, Model, Node};
use std::borrow::Cow;

/// An operator on integers.
struct Quantized {
    name: &'static str,
    /// The operator on real values.
    real: &'static str,
    /// Where the inputs are that stand for real values; scale and zero point follow each.
    values: &'static [usize],
    /// Where the scale of the result is; its zero point follows.
    result: usize,
    /// Where the bias is, whose scale is the product of both values'.
    bias: Option<usize>,
}

const fn one(name: &'static str, real: &'static str) -> Quantized {
    Quantized { name, real, values: &[0], result: 3, bias: None }
}

const fn two(name: &'static str, real: &'static str) -> Quantized {
    Quantized { name, real, values: &[0, 3], result: 6, bias: None }
}

const OPERATORS: [Quantized; 10] = [
    Quantized { bias: Some(8), ..two("QLinearConv", "Conv") },
    two("QLinearMatMul", "MatMul"),
    two("QLinearAdd", "Add"),
    two("QLinearMul", "Mul"),
    one("QLinearLeakyRelu", "LeakyRelu"),
    one("QLinearSigmoid", "Sigmoid"),
    one("QLinearSoftmax", "Softmax"),
    one("QLinearAveragePool", "AveragePool"),
    one("QLinearGlobalAveragePool", "GlobalAveragePool"),
    Quantized { result: 7, bias: Some(6), ..two("QGemm", "Gemm") },
];

/// Operators that both domains have.
const CONVERSIONS: [&str; 2] = ["QuantizeLinear", "DequantizeLinear"];

/// Attributes that say how an operator on integers is to be run.
const OF_RUNTIME: [&str; 2] = ["opset", "channels_last"];

/// The model with real operators in place of those on integers.
pub(super) fn with_real_operators(model: &Model) -> Cow<'_, Model> {
    let is_one = |node: &Node| {
        node.op_type == "QLinearConcat"
            || OPERATORS.iter().any(|operator| operator.name == node.op_type)
            || !node.domain.is_empty() && CONVERSIONS.contains(&node.op_type.as_str())
    };
    if !model.graph.nodes.iter().any(is_one) {
        return Cow::Borrowed(model);
    }
    let mut model = model.clone();
    for node in std::mem::take(&mut model.graph.nodes) {
        model.graph.nodes.extend(if is_one(&node) { real(&node) } else { vec![node] });
    }
    Cow::Owned(model)
}

/// The nodes that one on integers is.
fn real(node: &Node) -> Vec<Node> {
    if CONVERSIONS.contains(&node.op_type.as_str()) {
        return vec![Node { domain: String::new(), ..node.clone() }];
    }
    // The result's scale and zero point stand before the values of a concatenation.
    let several: Vec<usize> = (2..node.inputs.len()).step_by(3).collect();
    let concat =
        Quantized { name: "QLinearConcat", real: "Concat", values: &[], result: 0, bias: None };
    let operator = OPERATORS.iter().find(|operator| operator.name == node.op_type);
    let values = operator.map_or(several.as_slice(), |operator| operator.values);
    let mut rewrite = Rewrite { node, nodes: Vec::new() };
    let operator = operator.unwrap_or(&concat);
    // Output channels are the first axis of filters, and of a matrix that is transposed.
    let transposed = matches!(node.attributes.get("transB"), Some(Attribute::Int(1)));
    let weight_axis = i64::from(operator.real != "Conv" && !transposed);
    let mut inputs: Vec<String> = values
        .iter()
        .enumerate()
        .map(|(i, &at)| {
            let axis = if i == 0 { 1 } else { weight_axis };
            let scale = rewrite.input(at + 1);
            let zero = rewrite.input(at + 2);
            rewrite.dequantized(at, &scale, &zero, axis)
        })
        .collect();
    if let Some(bias) = operator.bias.filter(|&bias| !rewrite.input(bias).is_empty()) {
        let scales = [rewrite.input(values[0] + 1), rewrite.input(values[1] + 1)];
        let scale = rewrite.push("Mul", "scale", scales.to_vec());
        inputs.push(rewrite.dequantized(bias, &scale, "", 0));
    }
    let mut computed = Node { inputs, ..node.clone() };
    operator.real.clone_into(&mut computed.op_type);
    computed.domain.clear();
    computed.attributes.retain(|name, value| {
        !OF_RUNTIME.contains(&name.as_str())
            || matches!(value, Attribute::Int(1..)) && name == "channels_last"
    });
    let (scale, zero) = (rewrite.input(operator.result), rewrite.input(operator.result + 1));
    if scale.is_empty() {
        rewrite.nodes.push(computed);
        return rewrite.nodes;
    }
    // A blank keeps the names apart from the file's.
    let between = format!("{} real", node.outputs.first().map_or("", String::as_str));
    computed.outputs = vec![between.clone()];
    rewrite.nodes.push(computed);
    let mut rounded = Node::new("QuantizeLinear", &format!("{}_rounded", node.name), &[], &[]);
    rounded.inputs = vec![between, scale, zero];
    rounded.outputs.clone_from(&node.outputs);
    rewrite.nodes.push(rounded);
    rewrite.nodes
}

/// The nodes so far of one node of the file.
struct Rewrite<'a> {
    node: &'a Node,
    nodes: Vec<Node>,
}

impl Rewrite<'_> {
    /// The name of an input; empty where it is left out.
    fn input(&self, position: usize) -> String {
        self.node.inputs.get(position).cloned().unwrap_or_default()
    }

    /// Adds a node, and gives the name of its result.
    fn push(&mut self, op_type: &str, what: &str, inputs: Vec<String>) -> String {
        let result = format!("{} {what}", self.node.outputs.first().map_or("", String::as_str));
        let mut node = Node::new(op_type, &format!("{}_{what}", self.node.name), &[], &[]);
        node.inputs = inputs;
        node.outputs = vec![result.clone()];
        self.nodes.push(node);
        result
    }

    /// The real value of an input.
    fn dequantized(&mut self, position: usize, scale: &str, zero: &str, axis: i64) -> String {
        let inputs = vec![self.input(position), scale.to_owned(), zero.to_owned()];
        let result = self.push("DequantizeLinear", &format!("real {position}"), inputs);
        let last = self.nodes.last_mut().expect("it was just added");
        last.attributes.insert("axis".to_owned(), axis.into());
        result
    }
}
