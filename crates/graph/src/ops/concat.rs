use crate::{
    emit::{
        c::node::{CNode, CStep},
        hls::types::{HlsNode, HlsTypes, rounding_mode},
        network::node::{NetworkNode, NetworkValue, magnitude},
        npz::node::{NpzNode, json_requantization},
    },
    error::{EmitError, ImportError, LowerError},
    fixed_operator::{Constant, FixedOp, FixedOperator, FixedStep, Place, rows_of, step},
    import::{
        axes::{Axis, axis_index},
        builder::Value,
        keras::layer::Layer,
        onnx::attributes::Attributes,
        onnx::indices::padded,
        onnx::reader::{Reader, node_error},
        view::{Extent, Target, View},
    },
    lower::{context::LowerContext, requantization::Requantization},
    operator::{Context, Derivation, Edge, Factor, FloatStep, FormatRule, Op, Operator},
    scale_shift::ScaleShift,
    shape::Shape,
};
use fixedwise_codec::onnx;
use fixedwise_fixed::align;
use fixedwise_kernels::{Kernels, rescale};
use serde_json::json;
use std::{fmt::Write as _, ops::Range};

/// Concatenation along rows, columns or channels.
///
/// Fixed point: every input is shifted to the output's binary point; the format derived for the
/// output is the finest and widest, so that nothing is lost.
///
/// Source: ONNX `Concat`, opset 13.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Concat {
    /// Index into `[h, w, c]`.
    pub axis: usize,
}

impl Operator for Concat {
    fn name(&self) -> &'static str {
        "Concat"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let Some(first) = inputs.first() else { return Err("takes at least one value".to_owned()) };
        let mut dims = first.dims();
        for shape in &inputs[1..] {
            let other = shape.dims();
            if (0..3).any(|axis| axis != self.axis && other[axis] != dims[axis]) {
                return Err(format!(
                    "must have equal sizes on every axis except {}",
                    ["h", "w", "c"][self.axis]
                ));
            }
            dims[self.axis] += other[self.axis];
        }
        Ok(Shape::new(dims[0], dims[1], dims[2]))
    }

    fn prepare_float(&self, context: &Context, _: &'static Kernels) -> FloatStep {
        let runs = self.runs(&context.inputs);
        let activation = context.activation;
        Box::new(move |inputs, y, _| {
            let mut sources: Vec<_> =
                inputs.iter().zip(&runs).map(|(x, &run)| x.chunks_exact(run)).collect();
            let row: usize = runs.iter().sum();
            for y in y.chunks_exact_mut(row) {
                let mut rest = y;
                for source in &mut sources {
                    let run = source.next().expect("every input has as many runs as the output");
                    let (head, tail) = rest.split_at_mut(run.len());
                    for (y, &x) in head.iter_mut().zip(run) {
                        *y = activation.apply(x);
                    }
                    rest = tail;
                }
            }
        })
    }

    fn lower(&self, context: &LowerContext) -> Result<FixedOp, LowerError> {
        let requantizations = context
            .formats
            .iter()
            .map(|format| context.requantization(i32::from(format.frac)))
            .collect::<Result<_, _>>()?;
        Ok(FixedConcat { runs: self.runs(&context.inputs), requantizations }.into())
    }

    fn format_rule(&self) -> FormatRule {
        FormatRule::Derived(Derivation::Lossless)
    }

    fn is_nonnegative(&self, inputs: bool) -> bool {
        inputs
    }

    fn edge(&self, _: usize) -> Edge {
        Edge::Main
    }

    fn factor(&self, input: usize, inputs: &[Shape], output: Shape) -> Factor {
        if self.axis != 2 {
            return Factor::Refused;
        }
        let before: usize = inputs[..input].iter().map(|shape| shape.c).sum();
        let own = before..before + inputs[input].c;
        Factor::Carried((0..output.c).map(|c| own.contains(&c).then(|| c - before)).collect())
    }

    fn unscaled(&self, _: &[Option<&ScaleShift>], _: &[Shape], _: Shape) -> Option<Op> {
        Some(self.clone().into())
    }
}

impl Concat {
    /// How many elements of each input lie together in the output.
    fn runs(&self, inputs: &[Shape]) -> Vec<usize> {
        inputs.iter().map(|shape| shape.dims()[self.axis..].iter().product()).collect()
    }
}

/// Integer values side by side.
#[derive(Clone, Debug, PartialEq)]
pub struct FixedConcat {
    /// How many elements of each input lie together in the output.
    pub runs: Vec<usize>,
    /// From each input to the output.
    pub requantizations: Vec<Requantization>,
}

impl FixedOperator for FixedConcat {
    fn prepare(&self, _: &[Shape], _: Shape, _: &'static Kernels) -> FixedStep {
        let runs = self.runs.clone();
        let epilogues: Vec<_> = self.requantizations.iter().map(Requantization::epilogue).collect();
        let row: usize = runs.iter().sum();
        step(move |inputs, mut y, _| {
            let mut offset = 0;
            for ((&x, &run), epilogue) in inputs.iter().zip(&runs).zip(&epilogues) {
                rescale(epilogue, x, run, y.reborrow(), offset, row);
                offset += run;
            }
        })
    }

    fn name(&self) -> &'static str {
        "concat"
    }

    fn place(&self) -> Place {
        Place::Apart
    }

    fn rows(&self, rows: Range<usize>, inputs: &[Shape], output: Shape) -> Vec<Range<usize>> {
        // Elements of an input among so many first ones of the output.
        let total: usize = self.runs.iter().sum();
        let among = |n: usize, offset: usize, run: usize| {
            n / total * run + (n % total).saturating_sub(offset).min(run)
        };
        let row = output.w * output.c;
        let (from, to) = (rows.start * row, rows.end * row);
        let mut offset = 0;
        let of_input = |(&run, &shape): (&usize, &Shape)| {
            let elements = among(from, offset, run)..among(to, offset, run);
            offset += run;
            rows_of(elements, shape)
        };
        self.runs.iter().zip(inputs).map(of_input).collect()
    }

    fn constants(&self) -> Vec<Constant> {
        Vec::new()
    }

    fn emit_c(&self, node: &mut CNode) -> Result<CStep, EmitError> {
        let row: usize = self.runs.iter().sum();
        let rows = node.output.shape.len() / row;
        let (mut call, mut offset) = (String::new(), 0);
        for (i, (&run, requantization)) in self.runs.iter().zip(&self.requantizations).enumerate() {
            let rescale = node.rescale(i, requantization);
            let to = node.requantization(&format!("to{i}"), requantization);
            writeln!(call, "{rescale}($X{i}, $Y, {offset}, {rows}, {run}, {row}, {to});")
                .expect("a string takes everything");
            offset += run;
        }
        Ok(CStep::call("concat", call))
    }

    fn emit_npz(&self, _: &mut NpzNode) -> Result<serde_json::Value, EmitError> {
        let parts: Vec<_> = self.requantizations.iter().map(json_requantization).collect();
        Ok(json!({ "runs": self.runs, "requantizations": parts }))
    }

    fn emit_network(&self, node: &mut NetworkNode) -> Result<NetworkValue, EmitError> {
        let (is_qonnx, is_image) = (node.is_qonnx(), node.shape.h * node.shape.w > 1);
        let inputs: Vec<NetworkValue> = if is_image {
            (0..node.inputs.len()).map(|input| node.image(input)).collect()
        } else {
            node.alike()
        };
        let mut names = Vec::with_capacity(inputs.len());
        for (i, (value, requantization)) in inputs.iter().zip(&self.requantizations).enumerate() {
            let (format, shift) = (value.format, requantization.shift);
            let moved = |x: i64| align(x, shift.unsigned_abs());
            let keeps = shift <= 0
                && [format.min(), format.max()]
                    .iter()
                    .all(|&x| requantization.apply(x) == moved(x));
            let name = value.name.clone();
            names.push(if keeps {
                name
            } else {
                let bound = magnitude(format).saturating_add(requantization.half());
                let part = format!("{}_input_{}", node.name, i + 1);
                node.file.requantize(&part, name, format.frac.into(), bound, requantization)
            });
        }
        let is_vector = inputs[0].is_vector;
        // Which of [h, w, c] grows; with one input any will do.
        let dims = inputs[0].shape.dims();
        let axis = (0..3).find(|&axis| dims[axis] != node.shape.dims()[axis]).unwrap_or(2);
        let axis: i64 = if is_vector { 1 } else { [2, 3, 1][axis] };
        let mut join = |name: &str, values: &[String]| {
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            node.file.node("Concat", name, &values, vec![("axis", axis.into())])
        };
        if is_qonnx {
            for name in joins(node.name, inputs.len()) {
                let joined = join(&name, &names[..2]);
                names.splice(..2, [joined]);
            }
        }
        let name = join(node.name, &names);
        Ok(node.value(name, is_vector))
    }

    fn emit_hls(&self, node: &HlsNode) -> Result<HlsTypes, EmitError> {
        let rounding = self.requantizations.first().map_or("AP_TRN", rounding_mode);
        let (kinds, joins) = (vec![node.result(rounding)], joins(node.name, node.inputs.len()));
        Ok(HlsTypes { kinds, joins, ..HlsTypes::default() })
    }
}

/// Names of the values that a concatenation has on its way in QONNX, as hls4ml 1.3 joins two values at a
/// time: none where it joins two.
fn joins(node: &str, n_inputs: usize) -> Vec<String> {
    (2..n_inputs).map(|n| format!("{node}_joined_{n}")).collect()
}

/// Source: ONNX `Concat`, opset 13.
pub(super) fn import(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    let mut attributes = Attributes::new(node);
    let axis = attributes.optional_int("axis")?;
    attributes.finish()?;
    let positions = 0..node.inputs.len();
    let Some(first) = positions.clone().find(|&position| !reader.is_constant(node, position))
    else {
        return Err(node_error(node, "has constant inputs only; simplify the model"));
    };
    let extents = reader.view(node, first)?.extents();
    let rank = extents.len();
    let Some(axis) = axis.and_then(|axis| axis_index(axis, rank)) else {
        return Err(node_error(node, "`axis` is missing or outside its input's axes"));
    };
    let (mut views, mut zeros) = (Vec::new(), 0);
    let more = |view: &View, before: i64, behind: i64| {
        let taken = padded("constant", [before, behind], view.extents()[axis].of_image)?;
        view.taken(axis, &taken)
    };
    let wrong = |problem: String| node_error(node, &problem);
    for position in positions {
        if reader.is_constant(node, position) {
            let n = zeros_of(reader, node, position, &extents, axis)?;
            match views.last_mut() {
                Some(last) => *last = more(last, 0, n).map_err(wrong)?,
                None => zeros += n,
            }
            continue;
        }
        let view = reader.view(node, position)?;
        if view.axes.len() != rank {
            return Err(node_error(node, "concatenates values with different numbers of axes"));
        }
        views.push(if zeros > 0 { more(&view, zeros, 0).map_err(wrong)? } else { view });
        zeros = 0;
    }
    if let [view] = &views[..] {
        return reader.set_view(node, View { name: Some(node.name.clone()), ..view.clone() });
    }
    if rank <= 4 {
        let value = joined(reader, node, &views, axis)?;
        return reader.set_value(node, &value);
    }
    // All axes before and all behind as one each.
    let total: usize = views.iter().map(|view| view.extents()[axis].of_image).sum();
    let product = |extents: &[Extent]| extents.iter().map(|extent| extent.of_image).product();
    let (before, behind): (usize, usize) =
        (product(&extents[..axis]), product(&extents[axis + 1..]));
    for view in &mut views {
        let own = view.extents()[axis].of_image;
        let targets =
            [Target::Batch(1), Target::Known(before), Target::Known(own), Target::Known(behind)];
        *view = reader.reshaped(node, view, &targets)?;
    }
    let value = joined(reader, node, &views, 2)?;
    let mut targets: Vec<Target> = extents.into_iter().map(Extent::kept).collect();
    targets[axis] = Target::Known(total);
    let view = View::of(&value, reader.shape(&value));
    let view = reader.reshaped(node, &view, &targets)?;
    reader.set_view(node, view)
}

/// Views of at most four axes side by side along one of them.
fn joined(
    reader: &mut Reader,
    node: &onnx::Node,
    views: &[View],
    axis: usize,
) -> Result<Value, ImportError> {
    let axes = reader.value_of(node, &views[0])?.axes;
    let mut inputs = Vec::with_capacity(views.len());
    for view in views {
        let value = reader.value_of(node, view)?;
        inputs.push(reader.relabeled(node, &value, axes.clone())?.node);
    }
    let axis = match axes[axis] {
        Axis::Row => 0,
        Axis::Column => 1,
        Axis::Channel => 2,
        Axis::Batch => return Err(node_error(node, "concatenates along the batch axis")),
    };
    let node = reader.builder.push(&node.name, Concat { axis }, inputs)?;
    Ok(Value { node, axes })
}

/// How many elements a constant of zeros has along `axis`, where it fits values of those extents.
fn zeros_of(
    reader: &Reader,
    node: &onnx::Node,
    position: usize,
    extents: &[Extent],
    axis: usize,
) -> Result<i64, ImportError> {
    let (dims, data) = reader.float_constant(node, position)?;
    let fits = dims.len() == extents.len()
        && dims
            .iter()
            .zip(extents)
            .enumerate()
            .all(|(i, (&own, extent))| i == axis || own == extent.of_image || extent.has_batch);
    let n = dims.get(axis).and_then(|&n| i64::try_from(n).ok());
    let is_zero = fits && !extents[axis].has_batch && data.iter().all(|&x| x == 0.0);
    let problem = "concatenates a constant that is not all zeros of fitting extents";
    n.filter(|_| is_zero).ok_or_else(|| node_error(node, problem))
}

/// Source: Keras `Concatenate`.
pub(super) fn from_keras(layer: &mut Layer) -> Result<Value, ImportError> {
    let values = layer.values()?;
    let axes = values[0].axes.clone();
    if values.iter().any(|value| value.axes != axes) {
        return Err(layer.error("concatenates values with different numbers of axes"));
    }
    let option = layer.take("axis");
    let axis = option.map_or(Some(-1), serde_json::Value::as_i64);
    let axis = axis.and_then(|axis| axis_index(axis, axes.len()));
    let axis = match axis.map(|axis| axes[axis]) {
        Some(Axis::Row) => 0,
        Some(Axis::Column) => 1,
        Some(Axis::Channel) => 2,
        Some(Axis::Batch) | None => {
            let option = option.cloned().unwrap_or_default();
            return Err(layer.refuse("axis", &option, "it must be an axis of an image"));
        }
    };
    let node = layer.push(Concat { axis }, values.iter().map(|value| value.node).collect())?;
    Ok(Value { node, axes })
}
