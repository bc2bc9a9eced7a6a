mod coordinates;
mod fixed;

pub use fixed::FixedResize;

use super::arrange::value_of;
use crate::{
    backward::{Backward, BackwardStep, each_image},
    error::{ImportError, LowerError},
    fixed_operator::FixedOp,
    import::{
        axes::Axis,
        builder::Value,
        keras::layer::Layer,
        onnx::attributes::Attributes,
        onnx::reader::{Reader, node_error},
        view::View,
    },
    lower::context::LowerContext,
    operator::{Context, Derivation, Edge, Factor, FloatStep, FormatRule, Op, Operator},
    scale_shift::ScaleShift,
    shape::Shape,
};
use coordinates::{Coordinates, Scaled, Transform};
use fixedwise_codec::onnx;
use fixedwise_fixed::bits_for;
use fixedwise_kernels::Kernels;

/// Linear interpolation between the neighbors of a place, along rows and along columns. The nearest pixels
/// alone are an [`IndexMap`](super::IndexMap).
///
/// Fixed point: the weights of two neighbors are integers whose sum is a power of two: exact where they can be
/// with few bits (factors of two), else with as many as 32-bit sums allow, at most 11. The sum of the four
/// products is exact; one rounding shift, saturation.
///
/// Source: ONNX `Resize` in mode `linear`, opset 19.
#[derive(Clone, Debug, PartialEq)]
pub struct Resize {
    /// Where each row of the result lies.
    pub rows: Vec<Between>,
    /// Where each column of the result lies.
    pub columns: Vec<Between>,
}

/// A place between two neighbors of an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Between {
    /// The first neighbor.
    pub first: usize,
    /// What the next one counts, from 0 to below 1; the first one counts the rest.
    pub weight: f32,
}

impl Between {
    /// The last neighbor that counts.
    fn last(self) -> usize {
        self.first + usize::from(self.weight > 0.0)
    }
}

/// The most bits of a weight that is not exact.
const MAX_WEIGHT_BITS: u8 = 11;

/// Bits in which all weights are exact.
fn exact_bits(places: &[Between], most: u8) -> Option<u8> {
    let is_exact = |bits: u8| {
        let one = f32::from(1_u16 << bits);
        places.iter().all(|place| (place.weight * one).fract() == 0.0)
    };
    (0..=most).find(|&bits| is_exact(bits))
}

impl Operator for Resize {
    fn name(&self) -> &'static str {
        "Resize"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let last = |places: &[Between]| places.iter().map(|place| place.last()).max();
        match inputs {
            [x] if last(&self.rows) < Some(x.h) && last(&self.columns) < Some(x.w) => {
                Ok(Shape::new(self.rows.len(), self.columns.len(), x.c))
            }
            _ => Err("must be one value with all rows and columns that it lies between".to_owned()),
        }
    }

    fn prepare_float(&self, context: &Context, _: &'static Kernels) -> FloatStep {
        let (op, input, activation) = (self.clone(), context.inputs[0], context.activation);
        Box::new(move |inputs, y, _| {
            let pixel = |row: usize, column: usize| {
                let at = (row * input.w + column) * input.c;
                &inputs[0][at..at + input.c]
            };
            let mut pixels = y.chunks_exact_mut(input.c);
            for row in &op.rows {
                for column in &op.columns {
                    let [top, bottom] = [row.first, row.last()];
                    let [left, right] = [column.first, column.last()];
                    let corners = [
                        pixel(top, left),
                        pixel(top, right),
                        pixel(bottom, left),
                        pixel(bottom, right),
                    ];
                    let y = pixels.next().expect("the result has these pixels");
                    for (c, y) in y.iter_mut().enumerate() {
                        let [a, b, d, e] = corners.map(|corner| corner[c]);
                        let across = |a: f32, b: f32| a * (1.0 - column.weight) + b * column.weight;
                        let (upper, lower) = (across(a, b), across(d, e));
                        *y = activation.apply(upper * (1.0 - row.weight) + lower * row.weight);
                    }
                }
            }
        })
    }

    fn lower(&self, context: &LowerContext) -> Result<FixedOp, LowerError> {
        let largest = context.formats[0].max_magnitude().unsigned_abs();
        // Of 32 bits, one is the sign's and one the rounding's.
        let room = (31_u8.saturating_sub(bits_for(largest)) / 2).min(MAX_WEIGHT_BITS);
        let bits =
            [&self.rows, &self.columns].map(|places| exact_bits(places, room).unwrap_or(room));
        let total = i32::from(bits[0]) + i32::from(bits[1]);
        let requantization = context.requantization(i32::from(context.formats[0].frac) + total)?;
        let bound = (largest << total.unsigned_abs()).saturating_add(requantization.half());
        let accumulator_bits = context.prove_bound(bound)?;
        let [rows, columns] = [(&self.rows, bits[0]), (&self.columns, bits[1])]
            .map(|(places, bits)| fixed::stored(places, bits));
        Ok(FixedResize { rows, columns, weight_bits: bits, accumulator_bits, requantization }
            .into())
    }

    fn format_rule(&self) -> FormatRule {
        FormatRule::Derived(Derivation::Same)
    }

    fn is_nonnegative(&self, inputs: bool) -> bool {
        inputs
    }

    fn edge(&self, _: usize) -> Edge {
        Edge::Main
    }

    fn factor(&self, _: usize, _: &[Shape], output: Shape) -> Factor {
        Factor::carried(output)
    }

    fn without_channels(&self, _: &[&[bool]], _: &[bool], _: &[Shape]) -> Option<Op> {
        Some(self.clone().into())
    }

    fn unscaled(&self, _: &[Option<&ScaleShift>], _: &[Shape], _: Shape) -> Option<Op> {
        // The weights of a place add up to one.
        Some(self.clone().into())
    }

    fn as_backward(&self) -> Option<&dyn Backward> {
        Some(self)
    }
}

impl Backward for Resize {
    fn prepare_backward(&self, context: &Context, _: &'static Kernels) -> BackwardStep {
        let (op, input) = (self.clone(), context.inputs[0]);
        each_image(context, move |image| {
            let Some(to) = &mut image.to[0] else { return };
            let mut pixels = image.gradient.chunks_exact(input.c);
            for row in &op.rows {
                for column in &op.columns {
                    let gradient = pixels.next().expect("the result has these pixels");
                    for (y, by_row) in [(row.first, 1.0 - row.weight), (row.last(), row.weight)] {
                        let columns =
                            [(column.first, 1.0 - column.weight), (column.last(), column.weight)];
                        for (x, by_column) in columns {
                            let to = &mut to[(y * input.w + x) * input.c..][..input.c];
                            let part = by_row * by_column;
                            to.iter_mut().zip(gradient).for_each(|(to, g)| *to += part * g);
                        }
                    }
                }
            }
        })
    }
}

/// A view resized along its axes, in the file's order.
enum Resized {
    /// What is near.
    Nearest(View),
    /// Places between rows and between columns.
    Linear(Resize),
}

/// What becomes of a view whose axes have those labels, where `scaled` says how each axis changes.
fn resized(
    view: &View,
    labels: &[Axis],
    scaled: &[Option<Scaled>],
    coordinates: Coordinates,
) -> Result<Resized, String> {
    if let Some(rounding) = coordinates.nearest {
        let mut view = view.clone();
        for (axis, scaled) in scaled.iter().enumerate() {
            let Some(scaled) = scaled else { continue };
            let taken: Vec<Option<usize>> =
                scaled.nearest(coordinates.transform, rounding).into_iter().map(Some).collect();
            view = view.taken(axis, &taken)?;
        }
        return Ok(Resized::Nearest(view));
    }
    let extents = view.extents();
    let all = |extent: usize| (0..extent).map(|first| Between { first, weight: 0.0 }).collect();
    let (mut rows, mut columns) = (vec![Between { first: 0, weight: 0.0 }], None);
    for ((label, scaled), extent) in labels.iter().zip(scaled).zip(&extents) {
        let between: Vec<Between> = match scaled {
            None => all(extent.of_image),
            Some(scaled) => scaled.linear(coordinates.transform),
        };
        match label {
            Axis::Row => rows = between,
            Axis::Column => columns = Some(between),
            _ if scaled.is_some() => {
                return Err("interpolates between channels; supported are rows and columns".into());
            }
            _ => {}
        }
    }
    let columns = columns.ok_or("interpolates a value without columns")?;
    Ok(Resized::Linear(Resize { rows, columns }))
}

/// Adds what a resize gives.
fn push(
    reader: &mut Reader,
    node: &onnx::Node,
    scaled: &[Option<Scaled>],
    coordinates: Coordinates,
) -> Result<(), ImportError> {
    let wrong = |problem: String| node_error(node, &problem);
    let view = reader.view(node, 0)?;
    if coordinates.nearest.is_some() || scaled.iter().all(Option::is_none) {
        let nearest = resized(&view, &[], scaled, coordinates).map_err(wrong)?;
        let view = if let Resized::Nearest(view) = nearest { view } else { view };
        return reader.set_view(node, View { name: Some(node.name.clone()), ..view });
    }
    let value = reader.value(node, 0)?;
    let view = View::of(&value, reader.shape(&value));
    match resized(&view, &value.axes, scaled, coordinates).map_err(wrong)? {
        Resized::Nearest(view) => reader.set_view(node, view),
        Resized::Linear(op) => reader.push_like(node, op, &value),
    }
}

/// The last constant input with elements, from `position` on.
fn given(reader: &Reader, node: &onnx::Node, position: usize) -> Result<bool, ImportError> {
    Ok(Reader::has_input(node, position) && !reader.constant(node, position)?.dims.contains(&0))
}

/// How each axis changes by scales, of which there is one for each of `axes`.
fn by_scales(
    view: &View,
    node: &onnx::Node,
    axes: &[usize],
    scales: &[f32],
) -> Result<Vec<Option<Scaled>>, ImportError> {
    let extents = view.extents();
    let mut scaled = vec![None; extents.len()];
    if scales.len() != axes.len() {
        let problem = format!("{} scales for {} axes", scales.len(), axes.len());
        return Err(node_error(node, &problem));
    }
    for (&axis, &scale) in axes.iter().zip(scales) {
        let own = Scaled::by(extents[axis].of_image, scale);
        let own =
            own.ok_or_else(|| node_error(node, &format!("its scale {scale} is no factor")))?;
        // A scale of one keeps each element.
        scaled[axis] = Some(own).filter(|_| scale.to_bits() != 1.0_f32.to_bits());
    }
    Ok(scaled)
}

/// Source: ONNX `Resize`, opset 19.
pub(super) fn import(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    let mut attributes = Attributes::new(node);
    let is_first = reader.opset() < 11;
    let mode = attributes.string("mode", "nearest")?;
    let transform = attributes.string(
        "coordinate_transformation_mode",
        if is_first { "asymmetric" } else { "half_pixel" },
    )?;
    let rounding =
        attributes.string("nearest_mode", if is_first { "floor" } else { "round_prefer_floor" })?;
    let policy = attributes.string("keep_aspect_ratio_policy", "stretch")?;
    let axes = attributes.optional_ints("axes")?;
    attributes.optional_float("cubic_coeff_a")?;
    attributes.optional_float("extrapolation_value")?;
    let has_effect = mode == "cubic";
    if !has_effect {
        attributes.optional_int("exclude_outside")?;
    }
    if attributes.int("antialias", 0)? != 0 {
        let help = "resize without antialias, or smaller images before they reach the network";
        return Err(attributes.refuse("antialias", "1", help));
    }
    let coordinates = match Coordinates::of(&mode, &transform, &rounding) {
        Ok(coordinates) => coordinates,
        Err((attribute, value, help)) => return Err(attributes.refuse(attribute, &value, help)),
    };
    let view = reader.view(node, 0)?;
    let rank = view.axes.len();
    let axes: Option<Vec<usize>> = match &axes {
        Some(axes) => {
            axes.iter().map(|&axis| crate::import::axes::axis_index(axis, rank)).collect()
        }
        None => Some((0..rank).collect()),
    };
    let Some(axes) = axes else {
        return Err(node_error(node, "`axes` names an axis its input does not have"));
    };
    attributes.finish()?;
    let at = if is_first { 1 } else { 2 };
    if given(reader, node, at)? {
        let scales = reader.float_constant(node, at)?.1.to_vec();
        let scaled = by_scales(&view, node, &axes, &scales)?;
        return push(reader, node, &scaled, coordinates);
    }
    if is_first || !given(reader, node, 3)? {
        return Err(node_error(node, "its scales and sizes are missing"));
    }
    let sizes = reader.batch_ints(node, 3)?.to_vec();
    if sizes.len() != axes.len() {
        let problem = format!("{} sizes for {} axes", sizes.len(), axes.len());
        return Err(node_error(node, &problem));
    }
    let extents = view.extents();
    let mut scaled = vec![None; rank];
    for (&axis, size) in axes.iter().zip(&sizes) {
        let known = usize::try_from(size.of_one_image()).ok().filter(|&size| size > 0);
        let extent = extents[axis];
        if extent.has_batch && (size.batches > 0 || known == reader.batch() || known == Some(1)) {
            continue;
        }
        let own = known.and_then(|size| Scaled::to(extent.of_image, size));
        scaled[axis] = Some(own.ok_or_else(|| {
            node_error(node, &format!("its size {} is none", size.of_one_image()))
        })?);
    }
    match policy.as_str() {
        "stretch" => {}
        "not_larger" | "not_smaller" => Scaled::keep_aspect(&mut scaled, policy == "not_larger"),
        _ => {
            let problem = format!("`keep_aspect_ratio_policy` = {policy} is not known");
            return Err(node_error(node, &problem));
        }
    }
    for scaled in &mut scaled {
        *scaled = scaled.filter(|scaled| !scaled.keeps());
    }
    push(reader, node, &scaled, coordinates)
}

/// Source: ONNX `Upsample`, opset 9.
pub(super) fn import_upsample(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    let mut attributes = Attributes::new(node);
    let mode = attributes.string("mode", "nearest")?;
    let scales = attributes.optional_floats("scales")?;
    let coordinates = match Coordinates::of(&mode, "asymmetric", "floor") {
        Ok(coordinates) => coordinates,
        Err((attribute, value, help)) => return Err(attributes.refuse(attribute, &value, help)),
    };
    attributes.finish()?;
    let scales = match scales {
        Some(scales) => scales,
        None => reader.float_constant(node, 1)?.1.to_vec(),
    };
    let view = reader.view(node, 0)?;
    let axes: Vec<usize> = (0..view.axes.len()).collect();
    let scaled = by_scales(&view, node, &axes, &scales)?;
    push(reader, node, &scaled, coordinates)
}

/// The names of interpolations that Keras writes.
fn keras_coordinates(layer: &mut Layer) -> Result<Coordinates, ImportError> {
    let option = layer.take("interpolation");
    let name = option.map_or(Some("nearest"), serde_json::Value::as_str);
    match name {
        Some("nearest") => Ok(Coordinates {
            transform: Transform::HalfPixel,
            nearest: Some(coordinates::Rounding::PreferFloor),
        }),
        Some("bilinear") => Ok(Coordinates { transform: Transform::HalfPixel, nearest: None }),
        _ => {
            let option = option.cloned().unwrap_or_default();
            Err(layer.refuse("interpolation", &option, "supported are `nearest` and `bilinear`"))
        }
    }
}

/// Adds a Keras layer that makes rows and columns so many times as many.
fn upsampled(
    layer: &mut Layer,
    value: &Value,
    factors: [usize; 2],
    coordinates: Coordinates,
) -> Result<Value, ImportError> {
    let shape = layer.shape(value);
    let view = View::of(value, shape);
    let scaled: Vec<Option<Scaled>> = value
        .axes
        .iter()
        .map(|axis| match axis {
            Axis::Row => Scaled::to(shape.h, shape.h * factors[0]).filter(|s| !s.keeps()),
            Axis::Column => Scaled::to(shape.w, shape.w * factors[1]).filter(|s| !s.keeps()),
            Axis::Batch | Axis::Channel => None,
        })
        .collect();
    match resized(&view, &value.axes, &scaled, coordinates) {
        Ok(Resized::Linear(op)) => layer.push_like(op, value),
        Ok(Resized::Nearest(view)) => {
            value_of(layer.builder, layer.name(), &view, value.axes.clone())
        }
        Err(problem) => Err(layer.error(&problem)),
    }
}

/// Source: Keras `UpSampling2D`.
pub(super) fn from_keras_2d(layer: &mut Layer) -> Result<Value, ImportError> {
    let value = layer.image()?;
    let factors = layer.pair("size")?.unwrap_or([2, 2]);
    let coordinates = keras_coordinates(layer)?;
    upsampled(layer, &value, factors, coordinates)
}

/// Source: Keras `UpSampling1D`.
pub(super) fn from_keras_1d(layer: &mut Layer) -> Result<Value, ImportError> {
    let value = layer.value()?;
    if value.axes.len() != 3 {
        return Err(layer.error("its input must be a signal: steps and channels"));
    }
    let factor = layer.count("size")?.unwrap_or(2);
    let coordinates = Coordinates {
        transform: Transform::HalfPixel,
        nearest: Some(coordinates::Rounding::PreferFloor),
    };
    upsampled(layer, &value, [1, factor], coordinates)
}
