use super::reshape::relabeled;
use crate::{
    emit::c::{CNode, CStep},
    error::{EmitError, ImportError, LowerError},
    fixed_operator::{FixedOp, FixedOperator, FixedStep, step},
    import::{
        axes::{Axis, axis_index},
        builder::Value,
        keras::layer::Layer,
        onnx::attributes::Attributes,
        onnx::reader::{Reader, node_error},
    },
    lower::{LowerContext, Requantization},
    operator::{Context, Derivation, Edge, Factor, FloatStep, FormatRule, Op, Operator},
    scale_shift::ScaleShift,
    shape::Shape,
};
use fixedwise_codec::onnx;
use fixedwise_kernels::{Kernels, rescale};
use std::fmt::Write as _;

/// Values side by side along rows, columns or channels.
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
                return Err(format!("must agree on every axis but {}", ["h", "w", "c"][self.axis]));
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
}

/// Source: ONNX `Concat`, opset 13.
pub(super) fn import(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    let mut attributes = Attributes::new(node);
    let axis = attributes.optional_int("axis")?;
    attributes.finish()?;
    let first = reader.value(node, 0)?;
    let mut inputs = Vec::with_capacity(node.inputs.len());
    for position in 0..node.inputs.len() {
        let value = reader.value(node, position)?;
        if value.axes.len() != first.axes.len() {
            return Err(node_error(node, "joins values with different numbers of axes"));
        }
        inputs.push(relabeled(reader, node, value, first.axes.clone())?.node);
    }
    let axis = axis.and_then(|axis| axis_index(axis, first.axes.len()));
    let axis = match axis.map(|axis| first.axes[axis]) {
        Some(Axis::Row) => 0,
        Some(Axis::Column) => 1,
        Some(Axis::Channel) => 2,
        Some(Axis::Batch) => return Err(node_error(node, "joins along the batch")),
        None => return Err(node_error(node, "`axis` is missing or outside its input's axes")),
    };
    reader.push(node, Concat { axis }, inputs, first.axes)
}

/// Source: Keras `Concatenate`.
pub(super) fn from_keras(layer: &mut Layer) -> Result<Value, ImportError> {
    let values = layer.values()?;
    let axes = values[0].axes.clone();
    if values.iter().any(|value| value.axes != axes) {
        return Err(layer.error("joins values with different numbers of axes"));
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
