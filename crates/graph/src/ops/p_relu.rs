use super::{LeakyRelu, max_pool::kept, relu::one};
use crate::{
    backward::{Backward, BackwardStep, each_image},
    emit::{
        c::{
            node::{CNode, CStep},
            source::bias_type,
        },
        network::node::{NetworkNode, NetworkValue},
        npz::node::{NpzNode, json_requantization},
    },
    error::{EmitError, ImportError, LowerError},
    fixed_operator::{Constant, FixedOp, FixedOperator, FixedStep, Flow, Place, step},
    import::{
        axes::{Axis, extent},
        builder::Value,
        keras::layer::Layer,
        onnx::{
            attributes::Attributes,
            reader::{Reader, node_error},
        },
    },
    lower::{context::LowerContext, requantization::Requantization},
    operator::{Context, Derivation, Edge, Factor, FloatStep, FormatRule, Op, Operator},
    shape::Shape,
};
use fixedwise_codec::onnx;
use fixedwise_fixed::{Multiplier, bits_for, convert::f64_to_f32};
use fixedwise_kernels::Kernels;
use serde_json::json;
use std::ops::Range;

/// `y = x` where `x >= 0`, else `slope * x`, each channel or each element with its own slope.
///
/// Fixed point: a slope has two significant bits more than the output, and a shift; the product has 64 bits.
///
/// Source: ONNX `PRelu`, opset 16.
#[derive(Clone, Debug, PartialEq)]
pub struct PRelu {
    /// In axis order `[h, w, c]`: one a channel, or one an element.
    pub slopes: Vec<f32>,
}

impl Operator for PRelu {
    fn name(&self) -> &'static str {
        "PRelu"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let shape = one(inputs)?;
        if [shape.c, shape.len()].contains(&self.slopes.len()) {
            return Ok(shape);
        }
        let (n, c) = (self.slopes.len(), shape.c);
        Err(format!("has {n} slopes; required: {c}, one a channel, or one an element"))
    }

    fn prepare_float(&self, context: &Context, _: &'static Kernels) -> FloatStep {
        let (slopes, activation) = (self.slopes.clone(), context.activation);
        Box::new(move |inputs, y, _| {
            let runs = y.chunks_exact_mut(slopes.len()).zip(inputs[0].chunks_exact(slopes.len()));
            for (y, x) in runs {
                for ((y, &x), slope) in y.iter_mut().zip(x).zip(&slopes) {
                    *y = if x < 0.0 { slope * x } else { x };
                }
            }
            activation.apply_all(y);
        })
    }

    fn lower(&self, context: &LowerContext) -> Result<FixedOp, LowerError> {
        let requantization = context.requantization(context.formats[0].frac.into())?;
        let slope = |&slope: &f32| context.multiplier(slope.into(), requantization.shift);
        let slopes = self.slopes.iter().map(slope).collect::<Result<_, LowerError>>()?;
        Ok(FixedPRelu { slopes, requantization }.into())
    }

    fn format_rule(&self) -> FormatRule {
        FormatRule::Derived(Derivation::Same)
    }

    fn is_nonnegative(&self, inputs: bool) -> bool {
        inputs || self.slopes.iter().all(|&slope| slope <= 0.0)
    }

    fn edge(&self, _: usize) -> Edge {
        Edge::Main
    }

    fn factor(&self, _: usize, _: &[Shape], output: Shape) -> Factor {
        Factor::carried(output)
    }

    fn without_channels(&self, _: &[&[bool]], own: &[bool], _: &[Shape]) -> Option<Op> {
        Some(Self { slopes: kept(&self.slopes, own) }.into())
    }

    fn as_backward(&self) -> Option<&dyn Backward> {
        Some(self)
    }
}

impl Backward for PRelu {
    fn prepare_backward(&self, context: &Context, _: &'static Kernels) -> BackwardStep {
        let slopes = self.slopes.clone();
        each_image(context, move |image| {
            for (at, &gradient) in image.gradient.iter().enumerate() {
                let slope = if image.inputs[0][at] < 0.0 { slopes[at % slopes.len()] } else { 1.0 };
                image.add(0, at, slope * gradient);
            }
        })
    }
}

/// `y = clamp(shift_round(x))`, where `x` is negative of its product with a slope.
#[derive(Clone, Debug, PartialEq)]
pub struct FixedPRelu {
    /// In axis order `[h, w, c]`: one a channel, or one an element.
    pub slopes: Vec<Multiplier>,
    /// From the input to the output.
    pub requantization: Requantization,
}

impl FixedPRelu {
    /// What an integer becomes by one of the slopes.
    #[inline]
    fn value(&self, x: i64, slope: Multiplier) -> i64 {
        let Requantization { shift, rounding, min, max, .. } = self.requantization;
        if x >= 0 {
            return self.requantization.apply(x);
        }
        slope.apply(x, shift, rounding).clamp(min, max)
    }
}

impl FixedOperator for FixedPRelu {
    fn prepare(&self, _: &[Shape], _: Shape, _: &'static Kernels) -> FixedStep {
        let op = self.clone();
        step(move |inputs, mut y, _| {
            for (i, &slope) in (0..y.len()).zip(op.slopes.iter().cycle()) {
                y.set(i, op.value(inputs[0].get(i), slope));
            }
        })
    }

    fn name(&self) -> &'static str {
        "prelu"
    }

    fn place(&self) -> Place {
        Place::Over(&[0])
    }

    fn rows(&self, rows: Range<usize>, _: &[Shape], _: Shape) -> Vec<Range<usize>> {
        vec![rows]
    }

    fn flow(&self, _: &[Shape], output: Shape) -> Flow {
        if self.slopes.len() == output.c { Flow::Alike } else { Flow::Whole }
    }

    fn constants(&self) -> Vec<Constant> {
        let count = self.slopes.len();
        let most = self.slopes.iter().map(|slope| slope.mantissa.unsigned_abs()).max();
        let bits = bits_for(most.unwrap_or(0));
        vec![Constant::Table { count, bits }, Constant::Table { count, bits: 8 }]
    }

    fn emit_c(&self, node: &mut CNode) -> Result<CStep, EmitError> {
        let requantize = node.requantize(&self.requantization);
        node.requantize_wide(&self.requantization);
        let mantissas: Vec<i64> = self.slopes.iter().map(|slope| slope.mantissa).collect();
        let ctype = bias_type(&mantissas);
        let types = format!("{}_{}", node.types(), ctype.trim_end_matches("_t"));
        let text = include_str!("../emit/c/text/prelu.c");
        let values = [("S", types.as_str()), ("T", ctype), ("REQUANTIZE", requantize)];
        node.once(&format!("prelu_{types}_requantize"), text, &values);
        let to = node.requantization("to", &self.requantization);
        let (n, count) = (node.output.shape.len(), self.slopes.len());
        // As many values are below zero as not.
        node.runs(&format!("prelu_{types}"), &[1, n]);
        let name = |kind: &str| format!("{}_{kind}", node.name);
        let (slopes, shifts) = (name("slopes"), name("fracs"));
        node.source.array(ctype, &slopes, mantissas);
        let fracs = self.slopes.iter().map(|slope| i64::from(slope.frac));
        node.source.array("int8_t", &shifts, fracs);
        let call = format!("$P_prelu_{types}($X0, $Y, {n}, {slopes}, {shifts}, {count}, {to});");
        Ok(CStep::call("prelu", call))
    }

    fn emit_npz(&self, node: &mut NpzNode) -> Result<serde_json::Value, EmitError> {
        let count = self.slopes.len();
        let mantissas: Vec<i64> = self.slopes.iter().map(|slope| slope.mantissa).collect();
        let fracs: Vec<i64> = self.slopes.iter().map(|slope| slope.frac.into()).collect();
        Ok(json!({
            "mantissas": node.array("mantissas", &[count], &mantissas),
            "fracs": node.array("fracs", &[count], &fracs),
            "requantization": json_requantization(&self.requantization),
        }))
    }

    fn emit_network(&self, node: &mut NetworkNode) -> Result<NetworkValue, EmitError> {
        let x = node.inputs[0].clone();
        let (name, Shape { h, w, c }) = (node.name, node.shape);
        node.check_step(x.format.frac.into())?;
        let file = &mut *node.file;
        let real = |i: usize| f64_to_f32(self.slopes[i % self.slopes.len()].value());
        let is_by_channel = self.slopes.len() == c;
        let (rows, columns) = if is_by_channel { (1, 1) } else { (h, w) };
        let slopes: Vec<f32> = (0..c * rows * columns)
            .map(|i| real(i % (rows * columns) * c + i / (rows * columns)))
            .collect();
        let dims: &[usize] = if x.is_vector { &[1, c] } else { &[1, c, rows, columns] };
        let slopes = file.floats(&format!("{name}_slopes"), dims, slopes);
        let slopes = file.wide(&format!("{name}_slopes"), &slopes);
        let sum = file.wide(name, &x.name);
        let zero = file.wide_scalar(0.0);
        let above = file.node("Max", &format!("{name}_above"), &[&sum, &zero], vec![]);
        let below = file.node("Min", &format!("{name}_below"), &[&sum, &zero], vec![]);
        let below = file.node("Mul", &format!("{name}_slope"), &[&below, &slopes], vec![]);
        let sum = file.node("Add", &format!("{name}_prelu"), &[&above, &below], vec![]);
        // Of the finest product.
        let finest = self.slopes.iter().map(|slope| slope.frac).max().unwrap_or(0);
        let frac = i32::from(x.format.frac) + finest.max(0);
        let value = file.round(name, &sum, frac, true, true, &self.requantization);
        Ok(node.value(value, x.is_vector))
    }
}

/// Slopes as a file has them, to broadcast: for each of some axes of the value one extent.
struct Slopes<'a> {
    axes: &'a [Axis],
    dims: &'a [usize],
    data: &'a [f32],
}

impl Slopes<'_> {
    /// That of an element.
    fn of(&self, row: usize, column: usize, channel: usize) -> f32 {
        let place = self.axes.iter().zip(self.dims).fold(0, |place, (axis, &n)| {
            let at = match axis {
                Axis::Batch => 0,
                Axis::Row => row,
                Axis::Column => column,
                Axis::Channel => channel,
            };
            place * n + if n == 1 { 0 } else { at }
        });
        self.data[place]
    }

    /// The operator on values of that shape.
    fn op(&self, shape: Shape) -> Op {
        let of = |i: usize| self.of(i / shape.c / shape.w, i / shape.c % shape.w, i % shape.c);
        let all: Vec<f32> = (0..shape.len()).map(of).collect();
        let is_one = |slopes: &[f32]| slopes.iter().all(|x| x.to_bits() == slopes[0].to_bits());
        if is_one(&all) {
            return LeakyRelu { alpha: all[0] }.into();
        }
        let is_by_channel = all.chunks_exact(shape.c).all(|pixel| *pixel == all[..shape.c]);
        let slopes = if is_by_channel { all[..shape.c].to_vec() } else { all };
        PRelu { slopes }.into()
    }
}

/// Source: ONNX `PRelu`, opset 16, with constant slopes.
pub(super) fn import(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    Attributes::new(node).finish()?;
    let value = reader.value(node, 0)?;
    let shape = reader.shape(&value);
    let (dims, data) = reader.float_constant(node, 1)?;
    let fits = dims.len() <= value.axes.len()
        && dims
            .iter()
            .rev()
            .zip(value.axes.iter().rev())
            .all(|(&slopes, &axis)| slopes == 1 || slopes == extent(shape, axis));
    let axes = match dims {
        _ if fits => &value.axes[value.axes.len() - dims.len()..],
        // As before opset 7.
        [n] if *n == shape.c => &[Axis::Channel][..],
        _ => {
            let problem =
                format!("its slopes with shape {dims:?} cannot be broadcast to its input");
            return Err(node_error(node, &problem));
        }
    };
    let op = Slopes { axes, dims, data }.op(shape);
    reader.push_like(node, op, &value)
}

/// Source: Keras `PReLU`, with any `shared_axes`.
pub(super) fn from_keras(layer: &mut Layer) -> Result<Value, ImportError> {
    let value = layer.value()?;
    let shape = layer.shape(&value);
    let axes = &value.axes[1..];
    let mut dims: Vec<usize> = axes.iter().map(|&axis| extent(shape, axis)).collect();
    if let Some(shared) = layer.take("shared_axes") {
        let wrong = || layer.refuse("shared_axes", shared, "it must list axes of the input");
        for axis in shared.as_array().ok_or_else(wrong)? {
            let axis = axis.as_u64().and_then(|axis| usize::try_from(axis).ok());
            let own = axis.and_then(|axis| dims.get_mut(axis.checked_sub(1)?));
            *own.ok_or_else(wrong)? = 1;
        }
    }
    let data = layer.weight("alpha", &dims)?;
    let op = Slopes { axes, dims: &dims, data }.op(shape);
    layer.push_like(op, &value)
}
