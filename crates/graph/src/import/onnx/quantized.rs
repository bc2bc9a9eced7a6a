//! Operators that compute on integers with scales (`QLinearConv` and its kind): each is the real operator on the real
//! values that its integers stand for, and a rounding of the result, which `QuantizeLinear` says. Of values that are
//! rounded for each image alone (`DynamicQuantizeLinear`), only the weights that multiply them stay rounded.
//!
//! Source: ONNX `QLinearConv`, opset 10, `QLinearMatMul`, opset 21, `DynamicQuantizeLinear`, opset 11, `ConvInteger` and
//! `MatMulInteger`, opset 10; the operators of ONNX Runtime's quantizer, domain `com.microsoft`, version 1.

use fixedwise_codec::onnx::{Attribute, ElementType, Model, Node};
use std::{borrow::Cow, collections::BTreeSet};

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

/// A value rounded to integers whose scale each image decides.
const DYNAMIC: &str = "DynamicQuantizeLinear";

/// Operators that multiply such integers by those of weights, and the same on real values.
const INTEGERS: [(&str, &str); 2] = [("ConvInteger", "Conv"), ("MatMulInteger", "MatMul")];

/// Operators that both domains have.
const CONVERSIONS: [&str; 2] = ["QuantizeLinear", "DequantizeLinear"];

/// Attributes that say how an operator on integers is to be run.
const OF_RUNTIME: [&str; 2] = ["opset", "channels_last"];

/// The model with real operators in place of those on integers.
pub(super) fn with_real_operators(model: &Model) -> Cow<'_, Model> {
    let dynamic: BTreeSet<&str> = model
        .graph
        .nodes
        .iter()
        .filter(|node| node.op_type == DYNAMIC)
        .filter_map(|node| node.outputs.first().map(String::as_str))
        .collect();
    let is_of_dynamic = |node: &Node| {
        INTEGERS.iter().any(|(name, _)| *name == node.op_type)
            && node.inputs.first().is_some_and(|x| dynamic.contains(x.as_str()))
    };
    let is_one = |node: &Node| {
        node.op_type == DYNAMIC
            || is_of_dynamic(node)
            || node.op_type == "QLinearConcat"
            || OPERATORS.iter().any(|operator| operator.name == node.op_type)
            || !node.domain.is_empty() && CONVERSIONS.contains(&node.op_type.as_str())
    };
    if !model.graph.nodes.iter().any(is_one) {
        return Cow::Borrowed(model);
    }
    let rewritten = model.graph.nodes.iter().flat_map(|node| match node.op_type.as_str() {
        DYNAMIC => of_dynamic(node),
        _ if is_of_dynamic(node) => with_real_weights(node),
        _ if is_one(node) => real(node),
        _ => vec![node.clone()],
    });
    let nodes = rewritten.collect();
    let mut model = model.clone();
    model.graph.nodes = nodes;
    Cow::Owned(model)
}

/// What stands for a value that is rounded for each image: the value itself, the scale 1 and the zero point 0.
fn of_dynamic(node: &Node) -> Vec<Node> {
    let of = |op_type: &str, position: usize| {
        let mut new = Node::new(op_type, &format!("{}_{position}", node.name), &[], &[]);
        new.outputs = node.outputs.get(position).cloned().into_iter().collect();
        new
    };
    let mut value = of("Identity", 0);
    value.inputs.clone_from(&node.inputs);
    let nodes = [
        value,
        of("Constant", 1).with("value_float", 1.0_f32),
        of("Constant", 2).with("value_int", 0_i64),
    ];
    nodes.into_iter().filter(|node| !node.outputs.is_empty()).collect()
}

/// An operator on such a value, with the weights less their zero point, which its caller scales.
fn with_real_weights(node: &Node) -> Vec<Node> {
    let (_, real) =
        INTEGERS.iter().find(|(name, _)| *name == node.op_type).expect("it is one of them");
    let mut rewrite = Rewrite { node, nodes: Vec::new() };
    let zero = rewrite.input(3);
    let scale = if zero.is_empty() {
        let scale = rewrite.push("Constant", "scale", vec![]);
        let last = rewrite.nodes.last_mut().expect("it was just added");
        last.attributes.insert("value_float".to_owned(), 1.0_f32.into());
        scale
    } else {
        // Ones, as many as there are zero points.
        let float = rewrite.push("Cast", "zero", vec![zero.clone()]);
        let last = rewrite.nodes.last_mut().expect("it was just added");
        last.attributes.insert("to".to_owned(), i64::from(ElementType::F32.code()).into());
        let difference = rewrite.push("Sub", "difference", vec![float.clone(), float]);
        rewrite.push("Exp", "scale", vec![difference])
    };
    let weights = rewrite.dequantized(1, &scale, &zero, i64::from(*real != "Conv"));
    let mut computed = Node { inputs: vec![rewrite.input(0), weights], ..node.clone() };
    (*real).clone_into(&mut computed.op_type);
    rewrite.nodes.push(computed);
    rewrite.nodes
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
