//! Reordering of integers.

use crate::{
    emit::{
        c::node::{CNode, CStep},
        hls::types::{HlsNode, HlsTypes},
        network::{
            file::int,
            node::{NetworkNode, NetworkValue},
        },
        npz::node::NpzNode,
        tflite::node::{TfliteNode, TfliteValue},
    },
    error::EmitError,
    fixed_operator::{Constant, FixedOperator, FixedStep, Place, rows_of, step},
    shape::Shape,
};
use fixedwise_kernels::Kernels;
use serde_json::json;
use std::ops::Range;

/// Whether every element comes from its own place.
pub(super) fn is_identity(source: &[usize]) -> bool {
    source.iter().enumerate().all(|(to, &from)| to == from)
}

/// Integers in another order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FixedReshape {
    /// For each element of the result, the element of the input it comes from.
    pub source: Vec<usize>,
}

impl FixedReshape {
    /// Whether every element stays where it is.
    pub fn is_identity(&self) -> bool {
        is_identity(&self.source)
    }

    /// The extents of the result's three axes and the distances between their elements in an input
    /// of that shape, where the result is the input with its axes in another order.
    pub(crate) fn transposition(&self, input: Shape) -> Option<([usize; 3], [usize; 3])> {
        const ORDERS: [[usize; 3]; 5] = [[0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
        let (extents, strides) = (input.dims(), [input.w * input.c, input.c, 1]);
        ORDERS.into_iter().find_map(|order| {
            let (n, step) = (order.map(|axis| extents[axis]), order.map(|axis| strides[axis]));
            let at = |i: usize| {
                let (plane, k) = (i / n[2], i % n[2]);
                plane / n[1] * step[0] + plane % n[1] * step[1] + k * step[2]
            };
            self.source.iter().enumerate().all(|(i, &from)| at(i) == from).then_some((n, step))
        })
    }
}

/// Which axis of `[1, h, w, c]` each axis of a transposition is, and its extents; nothing where extents of one leave that
/// open.
fn order((extents, strides): ([usize; 3], [usize; 3]), from: Shape) -> Option<([usize; 4], Shape)> {
    let axes = [from.w * from.c, from.c, 1];
    let mut order = [0; 4];
    for axis in 0..3 {
        let is_it = |&of: &usize| {
            let is_free = !order[1..=axis].contains(&(of + 1));
            axes[of] == strides[axis] && from.dims()[of] == extents[axis] && is_free
        };
        order[axis + 1] = (0..3).find(is_it)? + 1;
    }
    let [h, w, c] = extents;
    Some((order, Shape::new(h, w, c)))
}

impl FixedOperator for FixedReshape {
    fn prepare(&self, _: &[Shape], _: Shape, _: &'static Kernels) -> FixedStep {
        let source = self.source.clone();
        step(move |inputs, mut y, _| {
            for (to, &from) in source.iter().enumerate() {
                y.set(to, inputs[0].get(from));
            }
        })
    }

    fn name(&self) -> &'static str {
        "reshape"
    }

    fn place(&self) -> Place {
        if self.is_identity() { Place::Alias(0) } else { Place::Apart }
    }

    fn rows(&self, rows: Range<usize>, inputs: &[Shape], output: Shape) -> Vec<Range<usize>> {
        let row = output.w * output.c;
        let sources = &self.source[rows.start * row..rows.end * row];
        let first = sources.iter().min().copied().unwrap_or(0);
        let end = sources.iter().max().map_or(0, |last| last + 1);
        vec![rows_of(first..end, inputs[0])]
    }

    fn constants(&self) -> Vec<Constant> {
        Vec::new()
    }

    fn emit_c(&self, node: &mut CNode) -> Result<CStep, EmitError> {
        let types = node.types();
        let n = self.source.len();
        if let Some((extents, strides)) = self.transposition(node.inputs[0].shape) {
            let text = include_str!("../../emit/c/text/transpose.c");
            node.once(&format!("transpose_{types}"), text, &[("S", &types)]);
            let [rows, columns, _] = extents;
            node.runs(&format!("transpose_{types}"), &[1, rows, rows * columns, n]);
            let numbers = [extents, strides].concat();
            let numbers = numbers.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
            let call = format!("$P_transpose_{types}($X0, $Y, {numbers});");
            return Ok(CStep::call("transpose", call));
        }
        let index = if n <= 1 << 16 { "uint16_t" } else { "uint32_t" };
        let name = format!("{}_source", node.name);
        let sources = self.source.iter().map(|&i| i64::try_from(i).unwrap_or(i64::MAX));
        node.source.array(index, &name, sources);
        let types = format!("{types}_{}", &index[..index.len() - 2]);
        let text = include_str!("../../emit/c/text/gather.c");
        node.runs(&format!("gather_{types}"), &[1, n]);
        node.once(&format!("gather_{types}"), text, &[("S", &types), ("I", index)]);
        Ok(CStep::call("gather", format!("$P_gather_{types}($X0, $Y, {name}, {n});")))
    }

    fn emit_npz(&self, node: &mut NpzNode) -> Result<serde_json::Value, EmitError> {
        let source: Vec<i64> = self.source.iter().map(|&i| int(i)).collect();
        Ok(json!({ "source": node.array("source", &[source.len()], &source) }))
    }

    fn emit_network(&self, node: &mut NetworkNode) -> Result<NetworkValue, EmitError> {
        let (from, to) = (node.inputs[0].shape, node.shape);
        let name = node.name;
        // Elements as the file has them, channels first: where each of the result comes from.
        let planar = |shape: Shape, i: usize| {
            let (pixel, channel) = (i / shape.c, i % shape.c);
            channel * shape.h * shape.w + pixel
        };
        let mut source = vec![0; self.source.len()];
        for (i, &s) in self.source.iter().enumerate() {
            source[planar(to, i)] = planar(from, s);
        }
        let is_vector = to.h * to.w == 1;
        let dims = if is_vector { vec![to.c] } else { vec![to.c, to.h, to.w] };
        let mut value = node.inputs[0].name.clone();
        if !is_identity(&source) {
            if self.is_identity() && is_vector {
                let order = vec![("perm", vec![0_i64, 2, 3, 1].into())];
                value = node.file.node("Transpose", &format!("{name}_order"), &[&value], order);
            } else {
                let flat = format!("{name}_flat");
                value = node.file.reshape(&flat, &value, &[from.len()]);
                let indices = source.iter().map(|&s| int(s)).collect();
                let indices = node.file.indices(&format!("{name}_indices"), indices);
                let axis = vec![("axis", 1_i64.into())];
                let taken = format!("{name}_taken");
                value = node.file.node("Gather", &taken, &[&value, &indices], axis);
            }
        }
        let name = node.file.reshape(name, &value, &dims);
        Ok(node.value(name, is_vector))
    }

    fn emit_tflite(&self, node: &mut TfliteNode) -> Result<TfliteValue, EmitError> {
        let (mut x, from) = (node.inputs[0], node.inputs[0].shape);
        let name = node.name;
        let transposed =
            self.transposition(from).and_then(|transposition| order(transposition, from));
        match transposed {
            _ if self.is_identity() => {}
            None => {
                let sources: Vec<Option<usize>> = self.source.iter().map(|&i| Some(i)).collect();
                return Ok(node.gathered(&x, &sources));
            }
            Some((order, shape)) => {
                let order = node.file.extents(&format!("{name}_order"), &order);
                let to = node.value(&format!("{name}_transposed"), TfliteValue { shape, ..x });
                node.file.operator("TRANSPOSE", &[x.tensor, order], to.tensor, &[]);
                x = to;
            }
        }
        Ok(node.reshaped(name, &x, node.shape))
    }

    fn emit_hls(&self, node: &HlsNode) -> Result<HlsTypes, EmitError> {
        Ok(HlsTypes::of_input(node))
    }
}
