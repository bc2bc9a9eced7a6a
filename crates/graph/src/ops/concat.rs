use super::Constant;
use crate::{
    backward::{Backward, BackwardStep, each_image},
    emit::{
        c::node::{CNode, CStep},
        hls::types::{HlsNode, HlsTypes, rounding_mode},
        network::node::{NetworkNode, NetworkValue, magnitude},
        npz::node::{NpzNode, json_requantization},
        tflite::node::{TfliteNode, TfliteValue, element},
    },
    error::{EmitError, ImportError, LowerError},
    fixed_operator::{self, FixedOp, FixedOperator, FixedStep, Flow, Place, rows_of, step},
    graph::NodeId,
    import::{
        axes::{Axis, axis_index, shape_of},
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

    fn without_channels(&self, _: &[&[bool]], _: &[bool], _: &[Shape]) -> Option<Op> {
        (self.axis == 2).then(|| self.clone().into())
    }

    fn unscaled(&self, _: &[Option<&ScaleShift>], _: &[Shape], _: Shape) -> Option<Op> {
        Some(self.clone().into())
    }

    fn as_backward(&self) -> Option<&dyn Backward> {
        Some(self)
    }
}

impl Backward for Concat {
    fn prepare_backward(&self, context: &Context, _: &'static Kernels) -> BackwardStep {
        let runs = self.runs(&context.inputs);
        let row: usize = runs.iter().sum();
        each_image(context, move |image| {
            let mut first = 0;
            for (to, &run) in image.to.iter_mut().zip(&runs) {
                if let Some(to) = to {
                    let parts =
                        image.gradient.chunks_exact(row).map(|row| &row[first..first + run]);
                    for (to, part) in to.chunks_exact_mut(run).zip(parts) {
                        to.iter_mut().zip(part).for_each(|(to, g)| *to += g);
                    }
                }
                first += run;
            }
        })
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

    fn flow(&self, inputs: &[Shape], output: Shape) -> Flow {
        // Runs that end with a row of the output begin again with the next one.
        let total: usize = self.runs.iter().sum();
        let is_alike = (output.w * output.c).is_multiple_of(total)
            && inputs.iter().all(|input| input.h == output.h);
        if is_alike { Flow::Alike } else { Flow::Whole }
    }

    fn constants(&self) -> Vec<fixed_operator::Constant> {
        Vec::new()
    }

    fn emit_c(&self, node: &mut CNode) -> Result<CStep, EmitError> {
        let row: usize = self.runs.iter().sum();
        let rows = node.output.shape.len() / row;
        let (mut call, mut offset) = (String::new(), 0);
        for (i, (&run, requantization)) in self.runs.iter().zip(&self.requantizations).enumerate() {
            let rescale = node.rescale(i, requantization);
            node.runs_rescale(i, requantization, rows, run);
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

    fn emit_tflite(&self, node: &mut TfliteNode) -> Result<TfliteValue, EmitError> {
        let mut values = Vec::with_capacity(node.inputs.len());
        let dims = node.inputs[0].shape.dims();
        for (i, to) in self.requantizations.iter().enumerate() {
            // All with one step and one zero point.
            let whole =
                Requantization { min: node.format.min(), max: node.format.max(), ..to.clone() };
            let name = format!("{}_input_{}", node.name, i + 1);
            let value = node.taken(i);
            values.push(node.rescaled(value, &whole, &name)?);
        }
        // Which of [h, w, c] grows; with one input any will do.
        let axis = (0..3).find(|&axis| dims[axis] != node.shape.dims()[axis]).unwrap_or(2);
        let to = node.joined(node.name, &values, axis + 1, node.shape);
        Ok(node.stored_as(to, element(node.format)))
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
    let (mut parts, mut zeros) = (Vec::new(), 0);
    let more = |view: &View, before: i64, behind: i64| {
        let taken = padded("constant", [before, behind], view.extents()[axis].of_image)?;
        view.taken(axis, &taken)
    };
    let wrong = |problem: String| node_error(node, &problem);
    for position in positions {
        if reader.is_constant(node, position) {
            let numbers = numbers_of(reader, node, position, &extents, axis)?;
            let n = i64::try_from(numbers.along).map_err(|_| wrong("is too large".to_owned()))?;
            match parts.last_mut() {
                _ if !numbers.is_zero() => {
                    if zeros > 0 {
                        parts.push(Part::Numbers(numbers.zeros(zeros)));
                        zeros = 0;
                    }
                    parts.push(Part::Numbers(numbers));
                }
                Some(Part::View(last)) => *last = more(last, 0, n).map_err(wrong)?,
                Some(Part::Numbers(last)) => last.add_zeros(numbers.along),
                None => zeros += n,
            }
            continue;
        }
        let view = reader.view(node, position)?;
        if view.axes.len() != rank {
            return Err(node_error(node, "concatenates values with different numbers of axes"));
        }
        let view = if zeros > 0 { more(&view, zeros, 0).map_err(wrong)? } else { view };
        parts.push(Part::View(view));
        zeros = 0;
    }
    if let [Part::View(view)] = &parts[..] {
        return reader.set_view(node, View { name: Some(node.name.clone()), ..view.clone() });
    }
    if rank <= 4 {
        let value = joined(reader, node, &parts, axis)?;
        return reader.set_value(node, &value);
    }
    // All axes before and all behind as one each.
    let along = |part: &Part| match part {
        Part::View(view) => view.extents()[axis].of_image,
        Part::Numbers(numbers) => numbers.along,
    };
    let total: usize = parts.iter().map(along).sum();
    let product = |extents: &[Extent]| extents.iter().map(|extent| extent.of_image).product();
    let (before, behind): (usize, usize) =
        (product(&extents[..axis]), product(&extents[axis + 1..]));
    for part in &mut parts {
        let own = along(part);
        match part {
            Part::View(view) => {
                let targets = [1, before, own, behind];
                let known = targets[1..].iter().map(|&n| Target::Known(n));
                let targets: Vec<Target> = [Target::Batch(1)].into_iter().chain(known).collect();
                *view = reader.reshaped(node, view, &targets)?;
            }
            Part::Numbers(numbers) => numbers.dims = vec![1, before, own, behind],
        }
    }
    let value = joined(reader, node, &parts, 2)?;
    let mut targets: Vec<Target> = extents.into_iter().map(Extent::kept).collect();
    targets[axis] = Target::Known(total);
    let view = View::of(&value, reader.shape(&value));
    let view = reader.reshaped(node, &view, &targets)?;
    reader.set_view(node, view)
}

/// What is joined.
enum Part {
    View(View),
    Numbers(Numbers),
}

/// A constant of one image.
struct Numbers {
    dims: Vec<usize>,
    data: Vec<f32>,
    /// The axis that is joined, and its extent.
    axis: usize,
    along: usize,
}

impl Numbers {
    fn is_zero(&self) -> bool {
        self.data.iter().all(|&x| x == 0.0)
    }

    /// So many zeros along the axis, of the other extents.
    fn zeros(&self, along: i64) -> Self {
        let along = usize::try_from(along).unwrap_or(0);
        let mut dims = self.dims.clone();
        dims[self.axis] = along;
        Self { data: vec![0.0; dims.iter().product()], dims, axis: self.axis, along }
    }

    /// So many zeros more behind it.
    fn add_zeros(&mut self, more: usize) {
        let behind: usize = self.dims[self.axis + 1..].iter().product();
        let own = self.data.chunks(self.along * behind);
        let zeros = vec![0.0; more * behind];
        self.data = own.flat_map(|own| own.iter().chain(&zeros).copied()).collect();
        self.along += more;
        self.dims[self.axis] = self.along;
    }
}

/// Parts of at most four axes side by side along one of them, of which one is computed.
fn joined(
    reader: &mut Reader,
    node: &onnx::Node,
    parts: &[Part],
    axis: usize,
) -> Result<Value, ImportError> {
    let mut views = parts.iter().filter_map(|part| match part {
        Part::View(view) => Some(view),
        Part::Numbers(_) => None,
    });
    let first = views.next().expect("one part is computed");
    let axes = reader.value_of(node, first)?.axes;
    let mut inputs = Vec::with_capacity(parts.len());
    for part in parts {
        inputs.push(match part {
            Part::View(view) => {
                let value = reader.value_of(node, view)?;
                reader.relabeled(node, &value, axes.clone())?.node
            }
            Part::Numbers(numbers) => {
                let op = stored(&axes, &numbers.dims, &numbers.data);
                reader.builder.push(&format!("{}_constant", node.name), op, vec![])?
            }
        });
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

/// Numbers of one image with those axes in a file.
fn stored(axes: &[Axis], dims: &[usize], data: &[f32]) -> Constant {
    let shape = shape_of(axes, dims);
    let mut strides = [0; 3];
    let mut stride = 1;
    for (axis, &n) in axes.iter().zip(dims).rev() {
        match axis {
            Axis::Batch => {}
            Axis::Row => strides[0] = stride,
            Axis::Column => strides[1] = stride,
            Axis::Channel => strides[2] = stride,
        }
        stride *= n;
    }
    let at = |i: usize| {
        let place = [i / (shape.w * shape.c), i / shape.c % shape.w, i % shape.c];
        data[place.iter().zip(strides).map(|(i, stride)| i * stride).sum::<usize>()]
    };
    Constant { shape, values: (0..shape.len()).map(at).collect() }
}

/// A constant that goes with values of those extents, without its batch.
fn numbers_of(
    reader: &Reader,
    node: &onnx::Node,
    position: usize,
    extents: &[Extent],
    axis: usize,
) -> Result<Numbers, ImportError> {
    let (dims, data) = reader.float_constant(node, position)?;
    let fits = |(i, (&own, extent)): (usize, (&usize, &Extent))| {
        i == axis || own == extent.of_image || extent.has_batch
    };
    let fit = dims.len() == extents.len()
        && !extents[axis].has_batch
        && dims.iter().zip(extents).enumerate().all(fits);
    if !fit {
        let problem = format!("concatenates a constant of the shape {dims:?}, which does not fit");
        return Err(node_error(node, &problem));
    }
    let mut dims = dims.to_vec();
    let images: usize =
        dims.iter().zip(extents).filter(|(_, extent)| extent.has_batch).map(|(n, _)| n).product();
    let one = data.len() / images.max(1);
    if images > 1 && data.chunks(one.max(1)).any(|other| other != &data[..one]) {
        let problem = "concatenates a constant that is another one for each image of the batch";
        return Err(node_error(node, problem));
    }
    let of_batch = dims.iter_mut().zip(extents).filter(|(_, extent)| extent.has_batch);
    of_batch.for_each(|(n, _)| *n = 1);
    let along = dims[axis];
    Ok(Numbers { dims, data: data[..one].to_vec(), axis, along })
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
    let mut inputs: Vec<NodeId> = values.iter().map(|value| value.node).collect();
    for (position, constant) in layer.constants() {
        if constant.shape.len() != axes.len() || constant.shape[0] != 1 {
            let problem = format!(
                "takes a constant of the shape {:?}, which must have the axes of the values and one image",
                constant.shape
            );
            return Err(layer.error(&problem));
        }
        let op = stored(&axes, &constant.shape, &constant.data);
        let name = format!("{}_constant", layer.name());
        let node = layer.builder.push(&name, op, vec![])?;
        inputs.insert((*position).min(inputs.len()), node);
    }
    let node = layer.push(Concat { axis }, inputs)?;
    Ok(Value { node, axes })
}
