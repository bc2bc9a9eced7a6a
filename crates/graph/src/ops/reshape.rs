mod fixed;

pub use fixed::FixedReshape;

use super::arrange::value_of;
use crate::{
    backward::{Backward, BackwardStep, each_image},
    error::{ImportError, LowerError},
    fixed_operator::FixedOp,
    import::{
        axes::{Axis, axis_index, channels_last},
        builder::{Builder, Value},
        keras::layer::{Layer, read_extent},
        onnx::attributes::Attributes,
        onnx::reader::{Reader, node_error},
        view::{Arrangement, Run, Target, View},
    },
    lower::context::LowerContext,
    operator::{Context, Edge, Factor, FloatStep, FormatRule, Op, Operator},
    scale_shift::ScaleShift,
    shape::Shape,
};
use fixedwise_codec::onnx;
use fixedwise_kernels::Kernels;

/// The same elements with another shape, in the order of the model file.
///
/// Fixed point: moves integers; the format stays.
///
/// Source: ONNX `Reshape`, opset 14; `Flatten`, `Squeeze`, `Unsqueeze`, `Transpose`, opset 13.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reshape {
    /// Extents of the result.
    pub shape: Shape,
    /// Where the elements along each axis `[h, w, c]` of the result lie in the input.
    pub(crate) from: Arrangement,
}

impl Reshape {
    /// A vector of an image's elements, one channel after the other.
    ///
    /// That is what ONNX `Flatten` makes of `[n, c, h, w]`.
    pub fn flatten_channels_first(image: Shape) -> Self {
        let channels = Run { extent: image.c, stride: 1 };
        let pixels = Run { extent: image.h * image.w, stride: image.c };
        Self {
            shape: Shape::new(1, 1, image.len()),
            from: [vec![], vec![], vec![channels, pixels]],
        }
    }

    /// Whether no element of the input moves.
    pub fn is_identity(&self) -> bool {
        self.source().into_iter().enumerate().all(|(to, from)| to == from)
    }

    /// For each element of the result, the element of the input it comes from.
    pub fn source(&self) -> Vec<usize> {
        let mut source = vec![0];
        for run in self.from.iter().flatten() {
            let along = |before: usize| (0..run.extent).map(move |i| before + i * run.stride);
            source = source.into_iter().flat_map(along).collect();
        }
        source
    }
}

impl Operator for Reshape {
    fn name(&self) -> &'static str {
        "Reshape"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, String> {
        match inputs {
            [x] if x.len() == self.shape.len() => Ok(self.shape),
            _ => Err(format!("must be one value of {} elements", self.shape.len())),
        }
    }

    fn prepare_float(&self, context: &Context, _: &'static Kernels) -> FloatStep {
        let source = self.source();
        let activation = context.activation;
        Box::new(move |inputs, y, _| {
            for (y, &from) in y.iter_mut().zip(&source) {
                *y = activation.apply(inputs[0][from]);
            }
        })
    }

    fn lower(&self, _: &LowerContext) -> Result<FixedOp, LowerError> {
        Ok(FixedReshape { source: self.source() }.into())
    }

    fn format_rule(&self) -> FormatRule {
        FormatRule::Moved
    }

    fn is_nonnegative(&self, inputs: bool) -> bool {
        inputs
    }

    fn edge(&self, _: usize) -> Edge {
        Edge::Main
    }

    fn factor(&self, _: usize, inputs: &[Shape], output: Shape) -> Factor {
        if output.h * output.w != 1 {
            return Factor::Refused;
        }
        let from = self.source();
        Factor::Carried(from.iter().map(|from| Some(from % inputs[0].c)).collect())
    }

    fn without_channels(&self, dropped: &[&[bool]], own: &[bool], inputs: &[Shape]) -> Option<Op> {
        let [before, after] = [inputs[0].c, dropped[0].iter().filter(|gone| !**gone).count()];
        let is_vector = self.shape.h * self.shape.w == 1;
        // All channels of a pixel lie side by side, and so do pixels.
        let run = |run: &Run| match *run {
            Run { extent, stride: 1 } if extent == before => Some(Run { extent: after, stride: 1 }),
            Run { extent, stride } if stride % before == 0 => {
                Some(Run { extent, stride: stride / before * after })
            }
            _ => None,
        };
        let from: Option<Vec<Run>> = self.from[2].iter().map(run).collect();
        let from = [self.from[0].clone(), self.from[1].clone(), from?];
        let shape = Shape::vector(own.iter().filter(|gone| !**gone).count());
        is_vector.then(|| Self { shape, from }.into())
    }

    fn unscaled(&self, _: &[Option<&ScaleShift>], _: &[Shape], _: Shape) -> Option<Op> {
        Some(self.clone().into())
    }

    fn as_backward(&self) -> Option<&dyn Backward> {
        Some(self)
    }
}

impl Backward for Reshape {
    fn prepare_backward(&self, context: &Context, _: &'static Kernels) -> BackwardStep {
        let source = self.source();
        each_image(context, move |image| {
            for (at, &from) in source.iter().enumerate() {
                image.add(0, from, image.gradient[at]);
            }
        })
    }
}

/// A value of Keras with other axes and extents.
fn reshaped(
    builder: &mut Builder,
    name: &str,
    value: &Value,
    axes: Vec<Axis>,
    extents: &[usize],
) -> Result<Value, ImportError> {
    let from = builder.shape(value.node);
    let targets: Vec<Target> = std::iter::once(Target::Batch(1))
        .chain(extents[1..].iter().map(|&extent| Target::Known(extent)))
        .collect();
    let wrong = |problem: String| ImportError::Interface(format!("layer `{name}`: {problem}"));
    // Channels last is the order inside: every view runs at equal distances.
    let view = View::of(value, from).reshaped(&targets, None).map_err(wrong)?;
    let Some(view) = view else { return Err(wrong("divides the batch".to_owned())) };
    value_of(builder, name, &view, axes)
}

/// Source: ONNX `Reshape`, opset 14.
pub(super) fn import(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    let mut attributes = Attributes::new(node);
    let keeps_zero = attributes.int("allowzero", 0)? != 0;
    attributes.finish()?;
    let view = reader.view(node, 0)?;
    let targets = reader.batch_ints(node, 1)?.iter().map(|extent| {
        let known = usize::try_from(extent.factor).ok();
        match (extent.factor, extent.batches, known) {
            (0, ..) if keeps_zero => Err("an empty tensor is not supported"),
            (0, ..) => Ok(Target::Same),
            (-1, 0, _) => Ok(Target::Open),
            (_, 0, Some(known)) => Ok(Target::Known(known)),
            (_, 1, Some(known)) => Ok(Target::Batch(known)),
            _ => Err("its shape has a negative extent, or the batch twice"),
        }
    });
    let targets: Vec<Target> =
        targets.collect::<Result<_, _>>().map_err(|problem| node_error(node, problem))?;
    if targets.is_empty() {
        return Err(node_error(node, "its shape is empty"));
    }
    let view = reader.reshaped(node, &view, &targets)?;
    reader.set_view(node, view)
}

/// Source: ONNX `Flatten`, opset 13.
pub(super) fn import_flatten(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    let mut attributes = Attributes::new(node);
    let axis = attributes.int("axis", 1)?;
    attributes.finish()?;
    let view = reader.view(node, 0)?;
    let rank = view.axes.len();
    let axis = if usize::try_from(axis) == Ok(rank) { Some(rank) } else { axis_index(axis, rank) };
    let Some(axis) = axis else {
        return Err(node_error(node, "`axis` is outside the axes of its input"));
    };
    let extents = view.extents();
    if !extents[..axis].iter().any(|extent| extent.has_batch) {
        return Err(node_error(node, "`axis` must lie behind the batch"));
    }
    let before: usize = extents[..axis].iter().map(|extent| extent.of_image).product();
    let view = reader.reshaped(node, &view, &[Target::Batch(before), Target::Open])?;
    reader.set_view(node, view)
}

/// The axes a squeeze or unsqueeze names: an attribute up to opset 12, an input after.
fn named_axes(reader: &Reader, node: &onnx::Node) -> Result<Option<Vec<i64>>, ImportError> {
    let mut attributes = Attributes::new(node);
    let axes = reader.ints_of(node, &mut attributes, "axes", 1)?;
    attributes.finish()?;
    Ok(axes)
}

/// Source: ONNX `Squeeze`, opset 13.
pub(super) fn import_squeeze(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    let axes = named_axes(reader, node)?;
    let view = reader.view(node, 0)?;
    let extents = view.extents();
    let is_one_image = reader.batch() == Some(1);
    let is_one =
        |axis: usize| extents[axis].of_image == 1 && (is_one_image || !extents[axis].has_batch);
    let axes: Vec<usize> = match axes {
        Some(axes) => {
            let all: Option<Vec<usize>> =
                axes.iter().map(|&axis| axis_index(axis, extents.len())).collect();
            all.ok_or_else(|| node_error(node, "squeezes an axis its input does not have"))?
        }
        None if reader.batch().is_none() => {
            return Err(node_error(
                node,
                "must list its axes: it is unknown whether the batch is one of them",
            ));
        }
        None => (0..extents.len()).filter(|&axis| is_one(axis)).collect(),
    };
    if let Some(&axis) = axes.iter().find(|&&axis| !is_one(axis)) {
        return Err(node_error(
            node,
            if extents[axis].has_batch {
                "squeezes the batch"
            } else {
                "squeezes an axis of more than one element"
            },
        ));
    }
    let mut view = view.squeezed(&axes);
    view.name = Some(node.name.clone());
    reader.set_view(node, view)
}

/// Source: ONNX `Unsqueeze`, opset 13.
pub(super) fn import_unsqueeze(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    let Some(axes) = named_axes(reader, node)? else {
        return Err(node_error(node, "names no axes"));
    };
    let view = reader.view(node, 0)?;
    let rank = view.axes.len() + axes.len();
    let mut added: Vec<usize> = axes.iter().filter_map(|&axis| axis_index(axis, rank)).collect();
    added.sort_unstable();
    added.dedup();
    if added.len() != axes.len() {
        return Err(node_error(node, "`axes` repeats an axis or names one the result lacks"));
    }
    let mut view = view.unsqueezed(&added);
    view.name = Some(node.name.clone());
    reader.set_view(node, view)
}

/// Source: Keras `Flatten`.
pub(super) fn from_keras_flatten(layer: &mut Layer) -> Result<Value, ImportError> {
    layer.channels_last()?;
    let value = layer.value()?;
    let extents = [1, layer.shape(&value).len()];
    let name = layer.name();
    reshaped(layer.builder, name, &value, vec![Axis::Batch, Axis::Channel], &extents)
}

/// Source: Keras `Reshape`.
pub(super) fn from_keras(layer: &mut Layer) -> Result<Value, ImportError> {
    let value = layer.value()?;
    let elements = layer.shape(&value).len();
    let Some(target) = layer.take("target_shape") else {
        return Err(layer.error("its option `target_shape` is missing"));
    };
    let listed = target.as_array().map_or(&[][..], Vec::as_slice);
    let open = listed.iter().filter(|extent| extent.as_i64() == Some(-1)).count();
    let known = listed
        .iter()
        .filter(|extent| extent.as_i64() != Some(-1))
        .try_fold(1_usize, |n, extent| n.checked_mul(read_extent(extent, 1)?));
    let shape = known.filter(|known| open < 2 && elements.is_multiple_of(*known)).map(|known| {
        let extent = |extent| read_extent(extent, 1).unwrap_or(elements / known);
        std::iter::once(1).chain(listed.iter().map(extent)).collect::<Vec<usize>>()
    });
    let shape = shape.filter(|shape| shape.iter().product::<usize>() == elements);
    let axes = shape.as_ref().and_then(|shape| channels_last(shape.len()));
    let (Some(shape), Some(axes)) = (shape, axes) else {
        return Err(layer.refuse(
            "target_shape",
            target,
            &format!("it must be one to three extents for {elements} elements"),
        ));
    };
    let name = layer.name();
    reshaped(layer.builder, name, &value, axes, &shape)
}
