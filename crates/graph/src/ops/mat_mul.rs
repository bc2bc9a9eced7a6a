use super::gemm;
use crate::{
    backward::{Backward, BackwardStep, each_image},
    error::{ImportError, LowerError},
    fixed_operator::FixedOp,
    import::{
        axes::Axis,
        builder::Value,
        onnx::attributes::Attributes,
        onnx::reader::{Reader, node_error},
        view::{Extent, View},
    },
    lower::context::LowerContext,
    operator::{Context, Edge, Factor, FloatStep, FormatRule, Operator},
    shape::Shape,
};
use fixedwise_codec::onnx;
use fixedwise_fixed::convert::{count_to_u64, f64_to_f32};
use fixedwise_kernels::Kernels;

mod fixed;

pub use fixed::FixedMatMul;

/// `y[i, j, k] = factor · sum a[i, j, l] b[i, k, l]`: each row of a matrix by each row of another one, both computed.
///
/// Fixed point: as [`Conv`](super::Conv), one value in place of the weights; a factor other than a power of two has
/// two significant bits more than the output.
///
/// Source: ONNX `MatMul`, opset 13, of two computed values.
#[derive(Clone, Debug, PartialEq)]
pub struct MatMul {
    /// What every sum is multiplied with.
    pub factor: f64,
}

impl Operator for MatMul {
    fn name(&self) -> &'static str {
        "MatMul"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, String> {
        match inputs {
            [a, b] if a.h == b.h && a.c == b.c => Ok(Shape::new(a.h, a.w, b.w)),
            _ => Err("must be two values with as many matrices, and rows as long".to_owned()),
        }
    }

    fn prepare_float(&self, context: &Context, _: &'static Kernels) -> FloatStep {
        let (matrices, factor) = (fixed::matrices(&context.inputs), self.factor);
        let activation = context.activation;
        Box::new(move |inputs, y, _| {
            matrices.multiply_floats(inputs[0], inputs[1], y);
            y.iter_mut().for_each(|y| *y = f64_to_f32(factor * f64::from(*y)));
            activation.apply_all(y);
        })
    }

    fn lower(&self, context: &LowerContext) -> Result<FixedOp, LowerError> {
        fixed::lower(context, self.factor)
    }

    fn format_rule(&self) -> FormatRule {
        FormatRule::Own
    }

    fn is_nonnegative(&self, inputs: bool) -> bool {
        inputs && self.factor >= 0.0
    }

    fn edge(&self, _: usize) -> Edge {
        Edge::Main
    }

    fn factor(&self, _: usize, _: &[Shape], _: Shape) -> Factor {
        Factor::Refused
    }

    fn products(&self, inputs: &[Shape], output: Shape) -> u64 {
        count_to_u64(output.len() * inputs[0].c)
    }

    fn as_backward(&self) -> Option<&dyn Backward> {
        Some(self)
    }
}

impl Backward for MatMul {
    fn prepare_backward(&self, context: &Context, _: &'static Kernels) -> BackwardStep {
        let (a, b, factor) = (context.inputs[0], context.inputs[1], f64_to_f32(self.factor));
        each_image(context, move |image| {
            for (at, &gradient) in image.gradient.iter().enumerate() {
                let (column, row) = (at % b.w, at / b.w);
                let (first, second) = (row * a.c, (row / a.w * b.w + column) * b.c);
                for c in 0..a.c {
                    let [x, y] = [image.inputs[0][first + c], image.inputs[1][second + c]];
                    image.add(0, first + c, factor * gradient * y);
                    image.add(1, second + c, factor * gradient * x);
                }
            }
        })
    }
}

/// Source: ONNX `MatMul`, opset 13.
pub(super) fn import(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    Attributes::new(node).finish()?;
    let view = match [0, 1].map(|i| reader.is_constant(node, i)) {
        [false, true] => {
            let is_vector = reader.constant(node, 1)?.dims.len() == 1;
            let view = reader.view(node, 0)?;
            let view = gemm::by_constant(reader, node, &view, 1, false)?;
            let last = view.extents().len() - 1;
            if is_vector { view.squeezed(&[last]) } else { view }
        }
        [true, false] => {
            // The transpose of the product of both transposes, in the other order.
            let view = last_exchanged(&reader.view(node, 1)?);
            last_exchanged(&gemm::by_constant(reader, node, &view, 0, true)?)
        }
        _ => {
            let views = [reader.view(node, 0)?, reader.view(node, 1)?];
            of_values(reader, node, views)?
        }
    };
    reader.set_view(node, view)
}

/// The view with its last two axes exchanged.
fn last_exchanged(view: &View) -> View {
    let rank = view.extents().len();
    let mut order: Vec<usize> = (0..rank).collect();
    if rank > 1 {
        order.swap(rank - 2, rank - 1);
    }
    view.transposed(&order)
}

/// The product of two computed values, whose axes before the last two are broadcast.
fn of_values(
    reader: &mut Reader,
    node: &onnx::Node,
    views: [View; 2],
) -> Result<View, ImportError> {
    let rank = views.iter().map(|view| view.extents().len()).max().unwrap_or(0);
    if views.iter().any(|view| view.extents().len() < 2) {
        return Err(node_error(
            node,
            "multiplies a vector; reshape it to a matrix of one row or column",
        ));
    }
    // Missing axes are the first ones; a batch of one image lies on the first of all.
    let batch = reader.batch();
    let views = views.map(|view| {
        let missing: Vec<usize> = (0..rank - view.extents().len()).collect();
        view.unsqueezed(&missing).with_batch_first(batch)
    });
    let extents = [views[0].extents(), views[1].extents()];
    let leading: Vec<Extent> = (0..rank - 2)
        .map(|axis| if extents[0][axis].of_image > 1 { extents[0][axis] } else { extents[1][axis] })
        .collect();
    let whole = |view: &View, own: &[Extent]| {
        let repeat = |axis: usize| {
            let is_repeated = axis < leading.len() && own[axis].of_image == 1;
            if is_repeated { leading[axis].of_image } else { 1 }
        };
        view.tiled(&(0..rank).map(repeat).collect::<Vec<usize>>())
    };
    let wrong = |problem: String| node_error(node, &problem);
    let first = whole(&views[0], &extents[0]).map_err(wrong)?;
    let second = whole(&last_exchanged(&views[1]), &extents[1]).map_err(wrong)?;
    let names = [Axis::Row, Axis::Column, Axis::Channel];
    let a = reader.grouped(node, &first, &[rank - 2, 1, 1], &names)?;
    let b = reader.grouped(node, &second, &[rank - 2, 1, 1], &names)?;
    let id = reader.builder.push(&node.name, MatMul { factor: 1.0 }, vec![a.node, b.node])?;
    let last = [extents[0][rank - 2], extents[1][rank - 1]];
    let extents = [leading, last.to_vec()].concat();
    reader.ungrouped(node, &Value { node: id, ..a }, &extents)
}
