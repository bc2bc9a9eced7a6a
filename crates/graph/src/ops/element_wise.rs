//! What the operators on two values share: where an extent is one, that element goes with all of the other
//! value's axis.

use super::with_constant;
use crate::{
    emit::{
        c::node::{CNode, CStep, CValue},
        hls::types::{HlsNode, HlsTypes, clamp_note, exact_type, rounding_mode},
        network::{
            node::{NetworkNode, NetworkValue},
            rounding::F32_EXACT,
        },
        npz::node::{NpzNode, json_requantization},
        tflite::node::{TfliteNode, TfliteValue, element},
    },
    error::{EmitError, ImportError, LowerError},
    fixed_operator::{Constant, FixedOp, FixedOperator, FixedStep, Flow, Place, step},
    import::{
        builder::Value,
        keras::layer::Layer,
        onnx::reader::{Reader, node_error},
        view::View,
    },
    lower::{context::LowerContext, requantization::Requantization},
    operator::{Context, Factor, FloatStep, Op},
    shape::Shape,
};
use fixedwise_codec::onnx;
use fixedwise_fixed::{Format, Rounding};
use fixedwise_kernels::{Broadcast, Combination, Function, Kernels, combine_floats};
use serde_json::json;
use std::ops::Range;

/// Extents of the result.
pub(super) fn infer(inputs: &[Shape]) -> Result<Shape, String> {
    let [a, b] = inputs else { return Err("takes two values".to_owned()) };
    if Broadcast::new(a.dims(), b.dims()).is_none() {
        return Err("must have equal sizes on every axis where neither has size 1".to_owned());
    }
    let [h, w, c] = [0, 1, 2].map(|axis| a.dims()[axis].max(b.dims()[axis]));
    Ok(Shape::new(h, w, c))
}

pub(super) fn broadcast(inputs: &[Shape]) -> Broadcast {
    Broadcast::new(inputs[0].dims(), inputs[1].dims()).expect("the extents were checked")
}

/// The function of each pair, then the activation.
pub(super) fn prepare_float(
    function: Function,
    context: &Context,
    kernels: &'static Kernels,
) -> FloatStep {
    let (broadcast, activation) = (broadcast(&context.inputs), context.activation);
    Box::new(move |inputs, y, _| {
        combine_floats(kernels, function, &broadcast, inputs[0], inputs[1], y);
        activation.apply_all(y);
    })
}

/// The function of each pair, exactly, then the requantization.
pub(super) fn lower(function: Function, context: &LowerContext) -> Result<FixedOp, LowerError> {
    let formats = [context.formats[0], context.formats[1]];
    let is_whole = [0, 1].map(|i| context.inputs[i] == context.shape);
    Ok(lower_pair(function, context, formats, is_whole)?.into())
}

/// The same for values of these formats, and whether each has the extents of the result.
pub(super) fn lower_pair(
    function: Function,
    context: &LowerContext,
    formats: [Format; 2],
    is_whole: [bool; 2],
) -> Result<FixedElementWise, LowerError> {
    let fracs = formats.map(|format| i32::from(format.frac));
    let magnitudes = formats.map(|format| format.max_magnitude().unsigned_abs());
    let (shifts, frac) = if function == Function::Mul {
        ([0, 0], fracs[0] + fracs[1])
    } else {
        let finer = fracs[0].max(fracs[1]);
        let shift = |i: usize| context.left_shift(finer - fracs[i]);
        ([shift(0)?, shift(1)?], finer)
    };
    let requantization = context.requantization(frac)?;
    let result = function.bound(magnitudes[0] << shifts[0], magnitudes[1] << shifts[1]);
    let accumulator_bits = context.prove_bound(result.saturating_add(requantization.half()))?;
    Ok(FixedElementWise { function, shifts, is_whole, accumulator_bits, requantization })
}

/// What becomes of a factor of one channel of a factor: the product has it.
pub(super) fn carried(input: usize, inputs: &[Shape], output: Shape) -> Factor {
    let from = |c: usize| Some(if inputs[input].c == 1 { 0 } else { c });
    Factor::Carried((0..output.c).map(from).collect())
}

/// A function of two integer values, element by element.
#[derive(Clone, Debug, PartialEq)]
pub struct FixedElementWise {
    /// What is computed of each pair.
    pub function: Function,
    /// Left shifts that align the inputs.
    pub shifts: [u32; 2],
    /// Whether each input has the extents of the result.
    pub is_whole: [bool; 2],
    /// Bits the result needs before it is requantized.
    pub accumulator_bits: u8,
    /// From the result to the output.
    pub requantization: Requantization,
}

impl FixedElementWise {
    /// The binary point of the result before it is requantized.
    fn frac(&self) -> i32 {
        self.requantization.shift + i32::from(self.requantization.format.frac)
    }

    /// The largest magnitude of the result before it is requantized, the rounding's half included.
    fn bound(&self, formats: [Format; 2]) -> u64 {
        let [a, b] = [0, 1].map(|i| formats[i].max_magnitude().unsigned_abs() << self.shifts[i]);
        self.function.bound(a, b).saturating_add(self.requantization.half())
    }
}

impl FixedOperator for FixedElementWise {
    fn prepare(&self, inputs: &[Shape], _: Shape, kernels: &'static Kernels) -> FixedStep {
        let combination = Combination {
            function: self.function,
            shifts: self.shifts,
            epilogue: self.requantization.epilogue(),
            broadcast: broadcast(inputs),
        };
        step(move |inputs, y, _| combination.combine(kernels, inputs[0], inputs[1], y))
    }

    fn accumulator_bits(&self) -> u8 {
        self.accumulator_bits
    }

    fn name(&self) -> &'static str {
        match self.function {
            Function::Add => "add",
            Function::Sub => "sub",
            Function::Mul => "mul",
            Function::Max => "max",
            Function::Min => "min",
        }
    }

    fn place(&self) -> Place {
        // An element that goes with several is read again after the first of them.
        match self.is_whole {
            [true, true] => Place::Over(&[0, 1]),
            [true, false] => Place::Over(&[0]),
            [false, true] => Place::Over(&[1]),
            [false, false] => Place::Apart,
        }
    }

    fn rows(&self, rows: Range<usize>, inputs: &[Shape], output: Shape) -> Vec<Range<usize>> {
        let of = |input: &Shape| {
            if !rows.is_empty() && input.h != output.h { 0..1 } else { rows.clone() }
        };
        inputs.iter().map(of).collect()
    }

    fn flow(&self, inputs: &[Shape], output: Shape) -> Flow {
        let is_alike = inputs.iter().all(|input| input.h == output.h);
        if is_alike { Flow::Alike } else { Flow::Whole }
    }

    fn constants(&self) -> Vec<Constant> {
        Vec::new()
    }

    fn emit_c(&self, node: &mut CNode) -> Result<CStep, EmitError> {
        let operands = [0, 1].map(|i| COperand { value: node.inputs[i], name: format!("$X{i}") });
        Ok(self.c_step(node, &operands))
    }

    fn emit_npz(&self, _: &mut NpzNode) -> Result<serde_json::Value, EmitError> {
        let requantization = json_requantization(&self.requantization);
        Ok(json!({ "shifts": self.shifts, "requantization": requantization }))
    }

    fn emit_network(&self, node: &mut NetworkNode) -> Result<NetworkValue, EmitError> {
        let inputs = node.alike();
        let names = [0, 1].map(|i| inputs[i].name.clone());
        Ok(self.network_value(
            node,
            [inputs[0].format, inputs[1].format],
            names,
            inputs[0].is_vector,
        ))
    }

    fn emit_tflite(&self, node: &mut TfliteNode) -> Result<TfliteValue, EmitError> {
        let inputs = [node.taken(0), node.taken(1)];
        self.tflite_value(node, inputs)
    }

    fn emit_hls(&self, node: &HlsNode) -> Result<HlsTypes, EmitError> {
        let result = exact_type(self.accumulator_bits.max(1), self.frac());
        let kinds = vec![("accum", result), node.result(rounding_mode(&self.requantization))];
        Ok(HlsTypes { note: clamp_note(&self.requantization), kinds, ..HlsTypes::default() })
    }
}

/// What an operation in C takes: an input or a constant.
pub(super) struct COperand {
    pub(super) value: CValue,
    /// As the call has it.
    pub(super) name: String,
}

impl FixedElementWise {
    /// The operation in C.
    pub(super) fn c_step(&self, node: &mut CNode, operands: &[COperand; 2]) -> CStep {
        let [a, b] = [operands[0].value, operands[1].value];
        let requantize = node.requantize(&self.requantization);
        let kind = requantize.trim_start_matches("requantize_");
        let types = format!("{}_{}_{}_{kind}", a.short(), b.short(), node.output.short());
        let broadcast = broadcast(&[a.shape, b.shape]);
        let is_plain = broadcast.is_plain();
        let (name, comment, combine) = c_function(self.function);
        let (i, j) = if is_plain { ("i", "i") } else { ("at_a", "at_b") };
        let operand = |name: &str, value: CValue, at: &str| {
            let element = format!("$P_at_{}({name}, {at})", value.short());
            if self.function == Function::Mul {
                element
            } else {
                format!("{element} * ((int32_t)1 << left_{name})")
            }
        };
        let (first, second) = (operand("a", a, i), operand("b", b, j));
        let indent = if is_plain { "\n        " } else { "\n                " };
        let combine = combine.join(indent).replace("$OTHER", &second);
        let parameters = match (self.function, is_plain) {
            (Function::Mul, _) => "",
            (_, true) => "int32_t left_a, int32_t left_b,\n    ",
            (_, false) => "int32_t left_a, int32_t left_b, ",
        };
        let values = [
            ("A", a.ctype()),
            ("B", b.ctype()),
            ("S", &types),
            ("REQUANTIZE", requantize),
            ("NAME", name),
            ("COMMENT", comment),
            ("FIRST", &first),
            ("COMBINE", &combine),
            ("LEFT", parameters),
        ];
        let to = node.requantization("to", &self.requantization);
        let [left, right] = self.shifts;
        let shifts = match self.function {
            Function::Mul => String::new(),
            _ => format!("{left}, {right}, "),
        };
        let kernel = self.name();
        let [x, z] = [&operands[0].name, &operands[1].name];
        [a, b].iter().for_each(|value| node.source.access(value.storage));
        if is_plain {
            let text = include_str!("../emit/c/text/element_wise.c");
            node.once(&format!("{name}_{types}"), text, &values);
            let n = node.output.shape.len();
            node.runs(&format!("{name}_{types}"), &[1, n]);
            let call = format!("$P_{name}_{types}({x}, {z}, $Y, {n}, {shifts}{to});");
            return CStep::call(kernel, call);
        }
        node.source.once("broadcast", include_str!("../emit/c/text/broadcast.c"));
        let text = include_str!("../emit/c/text/element_wise_broadcast.c");
        node.once(&format!("broadcast_{name}_{types}"), text, &values);
        let [loops, meet] = [format!("{}_loops", node.name), broadcast_numbers(&broadcast)];
        let [outer, middle, inner] = broadcast.loops().map(|(steps, _)| steps);
        let turns = [1, outer, outer * middle, outer * middle * inner];
        node.runs(&format!("broadcast-{name}_{types}"), &turns);
        node.source.object(36, format!("static const $P_broadcast {loops} = {{{meet}}};"));
        let call = format!("$P_broadcast_{name}_{types}({x}, {z}, $Y, &{loops}, {shifts}{to});");
        CStep::call(kernel, call)
    }

    /// The operation in TensorFlow Lite, on these values.
    pub(super) fn tflite_value(
        &self,
        node: &mut TfliteNode,
        [a, b]: [TfliteValue; 2],
    ) -> Result<TfliteValue, EmitError> {
        let to = &self.requantization;
        if to.leaky.is_some() {
            return Err(node.refuse(
                "the kernels of TensorFlow Lite round its results before a LeakyReLU, which the plan rounds once; use \
                 a ReLU in the model, or export another form",
            ));
        }
        let operator = match self.function {
            Function::Add => "ADD",
            Function::Sub => "SUB",
            Function::Mul => "MUL",
            Function::Max | Function::Min => {
                // The larger one is that of the rounded ones.
                let frac = self.frac();
                let mut tensors = Vec::with_capacity(2);
                for (i, value) in [a, b].into_iter().enumerate() {
                    let shift = to.shift + i32::from(value.format.frac) - frac;
                    let own = Requantization { shift, ..to.clone() };
                    let name = format!("{}_input_{}", node.name, i + 1);
                    tensors.push(node.rescaled(value, &own, &name)?);
                }
                let like = TfliteValue { shape: node.shape, ..tensors[0] };
                let value = node.value(node.name, like);
                let operator = if self.function == Function::Max { "MAXIMUM" } else { "MINIMUM" };
                let inputs = [tensors[0].tensor, tensors[1].tensor];
                node.file.operator(operator, &inputs, value.tensor, &[]);
                return Ok(node.stored_as(value, element(node.format)));
            }
        };
        // Sums are rounded once, halves away from zero, by the reference kernels; products twice.
        let is_exact = to.shift <= 0
            || self.function != Function::Mul && to.rounding == Rounding::TiesUp && to.min >= 0;
        if !is_exact {
            node.rounds_otherwise();
        }
        Ok(node.computed(operator, &[a.tensor, b.tensor], &[], to))
    }

    /// The operation in ONNX nodes, on values of these formats and names.
    pub(super) fn network_value(
        &self,
        node: &mut NetworkNode,
        formats: [Format; 2],
        mut names: [String; 2],
        is_vector: bool,
    ) -> NetworkValue {
        let bound = self.bound(formats);
        // Where no bit is dropped, what 32-bit floats round is beyond every format.
        if bound > F32_EXACT && self.requantization.shift > 0 {
            for (i, name) in names.iter_mut().enumerate() {
                *name = node.file.wide(&format!("{}_input_{}", node.name, i + 1), name);
            }
        }
        let op_type = match self.function {
            Function::Add => "Add",
            Function::Sub => "Sub",
            Function::Mul => "Mul",
            Function::Max => "Max",
            Function::Min => "Min",
        };
        let result = node.file.node(op_type, node.name, &[&names[0], &names[1]], vec![]);
        let requantization = &self.requantization;
        let name = node.file.requantize(node.name, result, self.frac(), bound, requantization);
        node.value(name, is_vector)
    }
}

/// In C: the name, what it says of itself, and the statements that join the other element.
fn c_function(function: Function) -> (&'static str, &'static str, &'static [&'static str]) {
    match function {
        Function::Add => (
            "add",
            "Residual add: both inputs shifted left to the finer binary point, added",
            &["sum += $OTHER;"],
        ),
        Function::Sub => (
            "subtract",
            "Difference: both inputs shifted left to the finer binary point, subtracted",
            &["sum -= $OTHER;"],
        ),
        Function::Mul => ("multiply", "Product: both inputs multiplied", &["sum *= $OTHER;"]),
        Function::Max => (
            "larger",
            "Larger element: both inputs shifted left to the finer binary point, compared",
            &["int32_t other = $OTHER;", "sum = other > sum ? other : sum;"],
        ),
        Function::Min => (
            "smaller",
            "Smaller element: both inputs shifted left to the finer binary point, compared",
            &["int32_t other = $OTHER;", "sum = other < sum ? other : sum;"],
        ),
    }
}

/// The initializers of a `$P_broadcast`.
fn broadcast_numbers(broadcast: &Broadcast) -> String {
    let loops = broadcast.loops();
    let list = |of: &dyn Fn(usize) -> usize| format!("{{{}, {}, {}}}", of(0), of(1), of(2));
    [list(&|i| loops[i].0), list(&|i| loops[i].1[0]), list(&|i| loops[i].1[1])].join(", ")
}

/// An ONNX node on computed values, one after the other where there are more than two.
pub(super) fn import(
    reader: &mut Reader,
    node: &onnx::Node,
    op: impl Into<Op>,
) -> Result<(), ImportError> {
    let views = views(reader, node)?;
    let view = chain(reader, node, &views, op)?;
    reader.set_view(node, view)
}

/// The inputs of a node, one or more, all of them computed.
pub(super) fn views(reader: &Reader, node: &onnx::Node) -> Result<Vec<View>, ImportError> {
    (0..node.inputs.len().max(1)).map(|i| reader.view(node, i)).collect()
}

/// An ONNX node that takes the largest or smallest of values and numbers: what is computed first, then all
/// numbers as one bound.
pub(super) fn import_extremum(
    reader: &mut Reader,
    node: &onnx::Node,
    op: impl Into<Op>,
    function: Function,
) -> Result<(), ImportError> {
    let (mut views, mut bounds, mut maps) = (Vec::new(), Vec::new(), Vec::new());
    for position in 0..node.inputs.len() {
        if !reader.is_constant(node, position) {
            views.push(reader.view(node, position)?);
            continue;
        }
        let (dims, bound) = reader.float_constant(node, position)?;
        match bound {
            _ if dims.len() > 1 && bound.len() == 1 => maps.push(position),
            [first, rest @ ..] if rest.iter().all(|x| x.to_bits() == first.to_bits()) => {
                bounds.push(with_constant::bound(function, *first));
            }
            _ => maps.push(position),
        }
    }
    let Some(first) = views.first().cloned() else {
        return Err(node_error(node, "has constant inputs only; simplify the model"));
    };
    match (&maps[..], node.inputs.len()) {
        ([], _) => {}
        (&[constant], 2) => return with_constant::import(reader, node, function, constant),
        _ => {
            return Err(node_error(
                node,
                "takes a constant of many numbers and several other values",
            ));
        }
    }
    let mut view = if bounds.is_empty() && views.len() > 1 {
        chain(reader, node, &views, op)?
    } else if views.len() > 1 {
        let inner = onnx::Node { name: format!("{}_values", node.name), ..node.clone() };
        chain(reader, &inner, &views, op)?
    } else {
        first
    };
    if !bounds.is_empty() {
        view = reader.materialized(node, &view)?;
    }
    for bound in bounds {
        let id = reader.builder.push(&node.name, bound, vec![view.node])?;
        view = View { node: id, ..view };
    }
    reader.set_view(node, view)
}

/// Views one after the other; the last result has the node's name.
pub(super) fn chain(
    reader: &mut Reader,
    node: &onnx::Node,
    views: &[View],
    op: impl Into<Op>,
) -> Result<View, ImportError> {
    let op = op.into();
    let mut result = views[0].clone();
    for (i, view) in views.iter().enumerate().skip(1) {
        let name =
            if i + 1 == views.len() { node.name.clone() } else { format!("{}_{i}", node.name) };
        result = reader.pairs(node, &name, op.clone(), [&result, view])?;
    }
    Ok(result)
}

/// A Keras layer on two or more values, one after the other.
pub(super) fn from_keras(
    layer: &mut Layer,
    op: impl Into<Op>,
    function: Function,
) -> Result<Value, ImportError> {
    if !layer.constants().is_empty() {
        return with_constant::from_keras(layer, function);
    }
    let name = layer.name();
    keras_chain(layer, name, op)
}

/// The same where the last result has another name than the layer.
pub(super) fn keras_chain(
    layer: &mut Layer,
    name: &str,
    op: impl Into<Op>,
) -> Result<Value, ImportError> {
    let (values, op) = (layer.values()?, op.into());
    if values.len() < 2 {
        return Err(layer.error("takes one value instead of two or more"));
    }
    // The axes of the shorter value are the last ones of the longer, the batch apart.
    let axes = values.iter().map(|value| &value.axes).max_by_key(|axes| axes.len());
    let axes = axes.expect("there are two").clone();
    let mut result = values[0].node;
    for (i, value) in values.iter().enumerate() {
        let own = value.axes.len();
        if own == 0 || value.axes[1..] != axes[axes.len() - (own - 1)..] {
            return Err(layer.error("takes values whose axes are not in the same order"));
        }
        if i == 0 {
            continue;
        }
        let shapes = [layer.builder.shape(result), layer.shape(value)];
        if infer(&shapes).is_err() {
            return Err(layer.error(&format!(
                "takes values of {} and {}; the sizes must be equal on every axis where neither is 1",
                shapes[0], shapes[1]
            )));
        }
        let name =
            if i + 1 == values.len() { name.to_owned() } else { format!("{}_{i}", layer.name()) };
        result = layer.builder.push(&name, op.clone(), vec![result, value.node])?;
    }
    Ok(Value { node: result, axes })
}
