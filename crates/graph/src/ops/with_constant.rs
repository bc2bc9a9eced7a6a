use super::element_wise::{self, COperand, FixedElementWise, broadcast, carried};
use super::{Affine, Clip};
use crate::{
    backward::{Backward, BackwardStep, each_image},
    emit::{
        c::node::{CNode, CStep, CValue},
        c::source::Storage,
        hls::types::{HlsNode, HlsTypes, format_type},
        network::node::{NetworkNode, NetworkValue},
        npz::node::{NpzNode, json_format, json_requantization},
        tflite::{
            file::steps,
            node::{TfliteNode, TfliteValue, dims, element as tflite_element, zero_point},
        },
    },
    error::{EmitError, ImportError, LowerError},
    fixed_operator::{Constant, FixedOp, FixedOperator, FixedStep, Flow, Place, step},
    import::{
        axes::{Axis, extent},
        builder::Value,
        keras::layer::Layer,
        onnx::attributes::Attributes,
        onnx::reader::{Reader, node_error},
        view::{Extent, View},
    },
    lower::{context::LowerContext, requantization::element},
    operator::{Context, Edge, Factor, FloatStep, FormatRule, Op, Operator},
    scale_shift::ScaleShift,
    shape::Shape,
};
use fixedwise_codec::onnx::{self, ElementType};
use fixedwise_fixed::{
    Format,
    convert::{exp2, f64_to_f32, i64_to_f64, saturating_i16},
};
use fixedwise_kernels::{Combination, Element, Function, Integers, Kernels, combine_floats};
use serde_json::json;
use std::{ops::Range, sync::Arc};

/// `y = f(x, c)` with the numbers `c` of the model, element by element; an extent of one goes with every
/// other. One number for each channel is an [`Affine`](super::Affine).
///
/// Fixed point: as [`Mul`](super::Mul) and [`Add`](super::Add); the numbers have up to 16 bits.
///
/// Source: ONNX `Add`, `Sub`, `Mul`, `Div`, opset 14, `Max`, `Min`, opset 13, with a constant.
#[derive(Clone, Debug, PartialEq)]
pub struct WithConstant {
    /// What is computed.
    pub function: Function,
    /// The numbers, `[h, w, c]`.
    pub constant: Arc<[f32]>,
    /// Their extents.
    pub extents: Shape,
    /// Whether they come before the value.
    pub is_first: bool,
}

/// Widest numbers.
const MAX_BITS: u8 = 16;

impl WithConstant {
    /// What comes first and what second.
    fn in_order<T>(&self, value: T, constant: T) -> [T; 2] {
        if self.is_first { [constant, value] } else { [value, constant] }
    }

    fn is_always(&self, test: impl Fn(f32) -> bool) -> bool {
        self.constant.iter().all(|&x| test(x))
    }

    /// The finest signed format of so many bits that holds the numbers.
    fn format(&self, bits: u8, finest: i32) -> Format {
        let largest = self.constant.iter().fold(0.0_f64, |m, &x| m.max(f64::from(x).abs()));
        let holds = |frac: &i8| {
            (largest * exp2(i32::from(*frac))).round_ties_even()
                <= i64_to_f64(Format::signed(bits, 0).max())
        };
        let frac = (-100..=100_i8).rev().filter(|&frac| i32::from(frac) <= finest).find(holds);
        Format::signed(bits, frac.unwrap_or(-100))
    }

    /// The numbers in that format; in the narrowest one that has them too.
    fn quantized(&self, format: Format) -> (Format, Vec<i16>) {
        let stored: Vec<i64> =
            self.constant.iter().map(|&x| format.quantize(f64::from(x))).collect();
        let zeros = stored.iter().filter(|&&x| x != 0).map(|x| x.trailing_zeros()).min();
        let zeros = zeros.unwrap_or(0);
        let stored: Vec<i64> = stored.iter().map(|x| x >> zeros).collect();
        let largest = stored.iter().map(|x| x.unsigned_abs()).max().unwrap_or(0);
        let bits = fixedwise_fixed::bits_for(largest).max(2);
        let frac = format.frac - i8::try_from(zeros).unwrap_or(0);
        let stored = stored.into_iter().map(saturating_i16).collect();
        (Format::signed(bits, frac), stored)
    }
}

impl Operator for WithConstant {
    fn name(&self) -> &'static str {
        match self.function {
            Function::Add => "AddConstant",
            Function::Sub => "SubConstant",
            Function::Mul => "MulConstant",
            Function::Max => "MaxConstant",
            Function::Min => "MinConstant",
        }
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, String> {
        match inputs {
            [x] if self.constant.len() == self.extents.len() => {
                element_wise::infer(&[*x, self.extents])
            }
            _ => Err(format!("must be one value and {} numbers", self.extents.len())),
        }
    }

    fn prepare_float(&self, context: &Context, kernels: &'static Kernels) -> FloatStep {
        let (op, activation) = (self.clone(), context.activation);
        let broadcast = broadcast(&self.in_order(context.inputs[0], self.extents));
        Box::new(move |inputs, y, _| {
            let [a, b] = op.in_order(inputs[0], &op.constant);
            combine_floats(kernels, op.function, &broadcast, a, b, y);
            activation.apply_all(y);
        })
    }

    fn lower(&self, context: &LowerContext) -> Result<FixedOp, LowerError> {
        let x = context.formats[0];
        // Finer numbers would not be seen in the output of a sum.
        let finest = match self.function {
            Function::Mul => i32::from(i8::MAX),
            _ => i32::from(x.frac.max(context.output.frac)) + 2,
        };
        let is_whole =
            self.in_order(context.inputs[0] == context.shape, self.extents == context.shape);
        let mut result = None;
        for bits in (2..=MAX_BITS).rev() {
            let (format, constant) = self.quantized(self.format(bits, finest));
            let formats = self.in_order(x, format);
            match element_wise::lower_pair(self.function, context, formats, is_whole) {
                Ok(pair) => {
                    let (extents, is_first) = (self.extents, self.is_first);
                    let constant = Arc::new(constant);
                    return Ok(
                        FixedWithConstant { pair, constant, format, extents, is_first }.into()
                    );
                }
                // The error of the widest numbers says most.
                Err(error) => _ = result.get_or_insert(error),
            }
        }
        Err(result.expect("there is a width"))
    }

    fn takes_activation(&self) -> bool {
        true
    }

    fn format_rule(&self) -> FormatRule {
        FormatRule::Own
    }

    fn is_nonnegative(&self, inputs: bool) -> bool {
        match self.function {
            Function::Add | Function::Mul | Function::Min => inputs && self.is_always(|x| x >= 0.0),
            Function::Sub => inputs && !self.is_first && self.is_always(|x| x <= 0.0),
            Function::Max => inputs || self.is_always(|x| x >= 0.0),
        }
    }

    fn edge(&self, _: usize) -> Edge {
        Edge::Main
    }

    fn factor(&self, _: usize, inputs: &[Shape], output: Shape) -> Factor {
        match self.function {
            Function::Mul => carried(0, inputs, output),
            _ => Factor::Refused,
        }
    }

    fn unscaled(&self, before: &[Option<&ScaleShift>], _: &[Shape], _: Shape) -> Option<Op> {
        let scales = before[0].is_some_and(|own| own.shift.iter().all(|&shift| shift == 0.0));
        scales.then(|| self.clone().into())
    }

    fn as_backward(&self) -> Option<&dyn Backward> {
        Some(self)
    }
}

impl Backward for WithConstant {
    fn prepare_backward(&self, context: &Context, _: &'static Kernels) -> BackwardStep {
        let (op, input, output) = (self.clone(), context.inputs[0], context.output);
        each_image(context, move |image| {
            for (at, &gradient) in image.gradient.iter().enumerate() {
                let place = input.element_of(output, at);
                let constant = op.constant[op.extents.element_of(output, at)];
                let x = image.inputs[0][place];
                let slope = match op.function {
                    Function::Sub if op.is_first => -1.0,
                    Function::Add | Function::Sub => 1.0,
                    Function::Mul => constant,
                    Function::Max => f32::from(u8::from(x > constant)),
                    Function::Min => f32::from(u8::from(x < constant)),
                };
                image.add(0, place, slope * gradient);
            }
        })
    }
}

/// A function of an integer value and of constant integers, element by element.
#[derive(Clone, Debug, PartialEq)]
pub struct FixedWithConstant {
    /// What is computed of each pair.
    pub pair: FixedElementWise,
    /// The constant integers, `[h, w, c]`.
    pub constant: Arc<Vec<i16>>,
    /// Their format.
    pub format: Format,
    /// Their extents.
    pub extents: Shape,
    /// Whether they come before the value.
    pub is_first: bool,
}

impl FixedWithConstant {
    fn in_order<T>(&self, value: T, constant: T) -> [T; 2] {
        if self.is_first { [constant, value] } else { [value, constant] }
    }

    fn integers(&self) -> impl Iterator<Item = i64> {
        self.constant.iter().map(|&x| i64::from(x))
    }
}

impl FixedOperator for FixedWithConstant {
    fn prepare(&self, inputs: &[Shape], _: Shape, kernels: &'static Kernels) -> FixedStep {
        let combination = Combination {
            function: self.pair.function,
            shifts: self.pair.shifts,
            epilogue: self.pair.requantization.epilogue(),
            broadcast: broadcast(&self.in_order(inputs[0], self.extents)),
        };
        let op = self.clone();
        step(move |inputs, y, _| {
            let [a, b] = op.in_order(inputs[0], Integers::I16(&op.constant));
            combination.combine(kernels, a, b, y);
        })
    }

    fn accumulator_bits(&self) -> u8 {
        self.pair.accumulator_bits
    }

    fn name(&self) -> &'static str {
        match self.pair.function {
            Function::Add => "add_constant",
            Function::Sub => "sub_constant",
            Function::Mul => "mul_constant",
            Function::Max => "max_constant",
            Function::Min => "min_constant",
        }
    }

    fn place(&self) -> Place {
        let is_whole = self.pair.is_whole[usize::from(self.is_first)];
        if is_whole { Place::Over(&[0]) } else { Place::Apart }
    }

    fn rows(&self, rows: Range<usize>, inputs: &[Shape], output: Shape) -> Vec<Range<usize>> {
        self.pair.rows(rows, inputs, output)
    }

    fn flow(&self, inputs: &[Shape], output: Shape) -> Flow {
        let is_alike = self.extents.h == 1 && inputs[0].h == output.h;
        if is_alike { Flow::Alike } else { Flow::Whole }
    }

    fn constants(&self) -> Vec<Constant> {
        vec![Constant::Weights { count: self.constant.len(), bits: self.format.bits }]
    }

    fn emit_c(&self, node: &mut CNode) -> Result<CStep, EmitError> {
        let name = format!("{}_constant", node.name);
        let value = CValue::new(self.extents, self.format, false);
        let constant = COperand { value, name: name.clone() };
        let input = COperand { value: node.inputs[0], name: "$X0".to_owned() };
        let ctype = match element(self.format) {
            Element::I8 => "int8_t",
            _ => "int16_t",
        };
        debug_assert!(matches!(value.storage, Storage::Whole(_)));
        node.source.array(ctype, &name, self.integers());
        Ok(self.pair.c_step(node, &self.in_order(input, constant)))
    }

    fn emit_npz(&self, node: &mut NpzNode) -> Result<serde_json::Value, EmitError> {
        let integers: Vec<i64> = self.integers().collect();
        Ok(json!({
            "constant": node.array("constant", &self.extents.dims(), &integers),
            "constant_format": json_format(self.format),
            "is_first": self.is_first,
            "shifts": self.pair.shifts,
            "requantization": json_requantization(&self.pair.requantization),
        }))
    }

    fn emit_network(&self, node: &mut NetworkNode) -> Result<NetworkValue, EmitError> {
        let Shape { h, w, c } = self.extents;
        let is_vector = node.inputs[0].is_vector && h * w == 1;
        let x = if is_vector { node.inputs[0].clone() } else { node.image(0) };
        // Channels first.
        let dims = if is_vector { vec![1, c] } else { vec![1, c, h, w] };
        let pixels = h * w;
        let at = |i: usize| i64::from(self.constant[i % pixels * c + i / pixels]);
        let stored: Vec<i64> = (0..self.constant.len()).map(at).collect();
        let name = format!("{}_constant", node.name);
        let constant = node.file.constant(&name, &dims, stored, self.format, (0, &[]));
        let names = self.in_order(x.name, constant);
        let formats = self.in_order(x.format, self.format);
        Ok(self.pair.network_value(node, formats, names, is_vector))
    }

    fn emit_tflite(&self, node: &mut TfliteNode) -> Result<TfliteValue, EmitError> {
        let (shape, format) = (self.extents, self.format);
        if tflite_element(format) == ElementType::I16 {
            node.inputs[0] = node.stored_as(node.inputs[0], ElementType::I16);
        }
        let x = node.taken(0);
        let (element, name) = (x.element, format!("{}_constant", node.name));
        let zero_point = zero_point(element, format.max());
        let stored = self.integers().map(|q| q + zero_point).collect();
        let steps = steps(format.frac.into(), zero_point);
        let tensor = node.file.constant(&name, &dims(shape), element, stored, steps);
        let constant = TfliteValue { tensor, shape, format, element, zero_point };
        self.pair.tflite_value(node, self.in_order(x, constant))
    }

    fn emit_hls(&self, node: &HlsNode) -> Result<HlsTypes, EmitError> {
        let mut types = self.pair.emit_hls(node)?;
        types.kinds.insert(0, ("constant", format_type(self.format, "AP_TRN")));
        Ok(types)
    }
}

/// A node on one value and a constant that has more than one number for each channel.
pub(super) fn import_other(
    reader: &mut Reader,
    node: &onnx::Node,
    function: Function,
) -> Result<(), ImportError> {
    let constant = usize::from(!reader.is_constant(node, 0));
    import(reader, node, function, constant)
}

/// The division by such a constant, which is the multiplication by the inverses.
pub(super) fn import_div(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    push(reader, node, Function::Mul, 1, |x| 1.0 / x)
}

/// A node of two inputs, one of them the constant at that position.
pub(super) fn import(
    reader: &mut Reader,
    node: &onnx::Node,
    function: Function,
    constant: usize,
) -> Result<(), ImportError> {
    push(reader, node, function, constant, |x| x)
}

/// A Keras layer on one value and one constant: a scale or a shift of channels, a bound, or a map.
pub(super) fn from_keras(layer: &mut Layer, function: Function) -> Result<Value, ImportError> {
    let value = layer.value()?;
    let [(position, constant)] = layer.constants() else {
        return Err(layer.error("takes several constants; one is supported"));
    };
    let is_first = *position == 0;
    if let Some(x) = constant.data.iter().find(|x| !x.is_finite()) {
        return Err(layer.error(&format!("takes a constant that holds {x}")));
    }
    let shape = layer.shape(&value);
    if !constant.data.is_empty() && constant.shape.len() <= value.axes.len() {
        let inner = constant.shape.last().copied().unwrap_or(1);
        let is_of_channels = inner == constant.data.len() && (inner == 1 || inner == shape.c);
        if is_of_channels {
            let one = &constant.data[0];
            if constant.data.len() == 1 && matches!(function, Function::Max | Function::Min) {
                return layer.push_like(bound(function, *one), &value);
            }
            let numbers: Vec<f64> =
                constant.data.iter().cycle().take(shape.c).map(|&x| f64::from(x)).collect();
            let zeros = || vec![0.0; shape.c];
            let ones = |x: f64| vec![x; shape.c];
            let negative = || numbers.iter().map(|x| -x).collect();
            let affine = match (function, is_first) {
                (Function::Mul, _) => Some(Affine { scale: numbers, shift: zeros() }),
                (Function::Add, _) => Some(Affine { scale: ones(1.0), shift: numbers }),
                (Function::Sub, false) => Some(Affine { scale: ones(1.0), shift: negative() }),
                (Function::Sub, true) => Some(Affine { scale: ones(-1.0), shift: numbers }),
                (Function::Max | Function::Min, _) => None,
            };
            if let Some(affine) = affine {
                return layer.push_like(affine, &value);
            }
        }
    }
    let (shape, value_axes) = (&constant.shape, value.axes.clone());
    let view = (&shape[..], &constant.data[..]);
    let op = of_file(layer.shape(&value), &value_axes, view, function, is_first, |x| x)
        .map_err(|problem| layer.error(&problem))?;
    layer.push_like(op, &value)
}

/// The largest or smallest of a value and one number.
pub(super) fn bound(function: Function, x: f32) -> Clip {
    match function {
        Function::Max => Clip { min: x, max: f32::INFINITY },
        _ => Clip { min: f32::NEG_INFINITY, max: x },
    }
}

fn push(
    reader: &mut Reader,
    node: &onnx::Node,
    function: Function,
    position: usize,
    number: impl Fn(f32) -> f32,
) -> Result<(), ImportError> {
    Attributes::new(node).finish()?;
    let view = reader.view(node, 1 - position)?;
    if !is_inside(&view) {
        return push_where_it_lies(reader, node, &view, (function, position), number);
    }
    let value = reader.value(node, 1 - position)?;
    let shape = reader.shape(&value);
    let constant = reader.float_constant(node, position)?;
    let op = of_file(shape, &value.axes, constant, function, position == 0, number)
        .map_err(|problem| node_error(node, &problem))?;
    reader.push_like(node, op, &value)
}

/// Whether a value inside may have the axes of a view: not too many, the first one the batch alone.
pub(super) fn is_inside(view: &View) -> bool {
    /// The batch among them.
    const MAX_AXES: usize = 4;
    view.axes.len() <= MAX_AXES && view.has_batch_apart()
}

/// The same of a value of more axes than there are inside, or whose first one is not the batch alone: each number of the
/// constant goes to where its element lies, so that nothing is moved.
fn push_where_it_lies(
    reader: &mut Reader,
    node: &onnx::Node,
    view: &View,
    (function, position): (Function, usize),
    number: impl Fn(f32) -> f32,
) -> Result<(), ImportError> {
    let view = reader.materialized(node, view)?;
    let shape = reader.builder.shape(view.node);
    let extents = view.extents();
    let (dims, data) = reader.float_constant(node, position)?;
    let missing = extents.len().saturating_sub(dims.len());
    let own: Vec<usize> = std::iter::repeat_n(1, missing).chain(dims.iter().copied()).collect();
    let fits = |(&own, extent): (&usize, &Extent)| own == 1 || own == extent.of_image;
    if own.len() != extents.len() || !own.iter().zip(&extents).all(fits) {
        let of_value: Vec<usize> = extents.iter().map(|extent| extent.of_image).collect();
        let problem = format!(
            "its constant with shape {dims:?} does not go with a value of the shape {of_value:?}, the \
             batch counted as 1"
        );
        return Err(node_error(node, &problem));
    }
    // Which number goes with each element, in the order of the file.
    let mut numbers = vec![0];
    let mut stride = data.len();
    for (&own, extent) in own.iter().zip(&extents) {
        stride /= own;
        let step = if own == 1 { 0 } else { stride };
        let along = |&at: &usize| (0..extent.of_image).map(move |i| at + i * step);
        numbers = numbers.iter().flat_map(along).collect();
    }
    let numbers: Vec<f32> = numbers.into_iter().map(|at| number(data[at])).collect();
    let op = of_elements(function, position == 0, &view, shape, &numbers);
    let id = reader.builder.push(&node.name, op, vec![view.node])?;
    reader.set_view(node, View { node: id, ..view })
}

/// A scale and a shift for each index along an axis of a value, however its axes run through what is computed.
///
/// # Errors
/// Where it has no such axis, or others along it than there are numbers.
pub(super) fn push_along(
    reader: &mut Reader,
    node: &onnx::Node,
    view: &View,
    axis: usize,
    affine: &Affine,
) -> Result<(), ImportError> {
    let view = reader.materialized(node, view)?;
    let shape = reader.builder.shape(view.node);
    let extents: Vec<usize> = view.extents().iter().map(|extent| extent.of_image).collect();
    let n = affine.scale.len();
    if extents.get(axis) != Some(&n) {
        let problem =
            format!("has {n} numbers along axis {axis} of a value of the shape {extents:?}");
        return Err(node_error(node, &problem));
    }
    let inner: usize = extents[axis + 1..].iter().product();
    let each = |numbers: &[f64]| -> Vec<f32> {
        (0..view.len()).map(|i| f64_to_f32(numbers[i / inner % n])).collect()
    };
    let scale = of_elements(Function::Mul, false, &view, shape, &each(&affine.scale));
    let shift = of_elements(Function::Add, false, &view, shape, &each(&affine.shift));
    let scaled = reader.builder.push(&format!("{}_scale", node.name), scale, vec![view.node])?;
    let id = reader.builder.push(&node.name, shift, vec![scaled])?;
    reader.set_view(node, View { node: id, ..view })
}

/// The operator for a number for each element of a view, in its order, of a value of that shape that holds each once.
fn of_elements(
    function: Function,
    is_first: bool,
    view: &View,
    shape: Shape,
    numbers: &[f32],
) -> Op {
    let mut constant = vec![0.0; shape.len()];
    view.places().into_iter().zip(numbers).for_each(|(place, &x)| constant[place] = x);
    let (extents, constant) = repeated(shape, constant);
    of_numbers(function, is_first, extents, constant, shape)
}

/// The numbers without repetitions along whole axes, and their extents.
fn repeated(shape: Shape, mut numbers: Vec<f32>) -> (Shape, Vec<f32>) {
    let mut dims = shape.dims();
    for axis in 0..3 {
        let behind: usize = dims[axis + 1..].iter().product();
        let blocks = || numbers.chunks(dims[axis] * behind);
        let is_same = blocks().all(|block| {
            block
                .chunks(behind)
                .all(|part| part.iter().zip(block).all(|(a, b)| a.to_bits() == b.to_bits()))
        });
        if is_same {
            numbers = blocks().flat_map(|block| block[..behind].to_vec()).collect();
            dims[axis] = 1;
        }
    }
    (Shape::new(dims[0], dims[1], dims[2]), numbers)
}

/// The operator for numbers of a value of that shape: a scale and shift of channels or a bound, where they are one.
fn of_numbers(
    function: Function,
    is_first: bool,
    extents: Shape,
    numbers: Vec<f32>,
    shape: Shape,
) -> Op {
    let is_of_channels = extents.h * extents.w == 1;
    let all = || numbers.iter().cycle().take(shape.c).map(|&x| f64::from(x)).collect::<Vec<f64>>();
    let same = |x: f64| vec![x; shape.c];
    match function {
        Function::Max | Function::Min if numbers.len() == 1 => bound(function, numbers[0]).into(),
        Function::Mul if is_of_channels => Affine { scale: all(), shift: same(0.0) }.into(),
        Function::Add if is_of_channels => Affine { scale: same(1.0), shift: all() }.into(),
        Function::Sub if is_of_channels && is_first => {
            Affine { scale: same(-1.0), shift: all() }.into()
        }
        Function::Sub if is_of_channels => {
            let shift = all().into_iter().map(|x| -x).collect();
            Affine { scale: same(1.0), shift }.into()
        }
        _ => WithConstant { function, constant: numbers.into(), extents, is_first }.into(),
    }
}

/// The operator for a constant of a file, which goes with a value of that shape with those axes.
fn of_file(
    shape: Shape,
    axes: &[Axis],
    (dims, data): (&[usize], &[f32]),
    function: Function,
    is_first: bool,
    number: impl Fn(f32) -> f32,
) -> Result<WithConstant, String> {
    let rank = axes.len();
    // Axes that are missing are the first ones and have one element.
    let mut extents = vec![1; rank.saturating_sub(dims.len())];
    extents.extend(dims);
    let meets = |(&own, &axis): (&usize, &Axis)| {
        let other = extent(shape, axis);
        own == other || own == 1 || other == 1 && axis != Axis::Batch
    };
    if extents.len() != rank || !extents.iter().zip(axes).all(meets) {
        return Err(format!(
            "its constant with shape {dims:?} does not go with a value of {shape}"
        ));
    }
    // How far one step along each axis goes in the file.
    let (mut own, mut strides, mut stride) = (Shape::new(1, 1, 1), [0; 3], 1);
    for (&axis, &extent) in axes.iter().zip(&extents).rev() {
        let place = match axis {
            Axis::Batch => continue,
            Axis::Row => (&mut own.h, 0),
            Axis::Column => (&mut own.w, 1),
            Axis::Channel => (&mut own.c, 2),
        };
        *place.0 = extent;
        strides[place.1] = stride;
        stride *= extent;
    }
    let at = |i: usize| {
        let place = [i / (own.w * own.c), i / own.c % own.w, i % own.c];
        number(data[place.iter().zip(strides).map(|(i, stride)| i * stride).sum::<usize>()])
    };
    let constant: Vec<f32> = (0..own.len()).map(at).collect();
    Ok(WithConstant { function, constant: constant.into(), extents: own, is_first })
}
