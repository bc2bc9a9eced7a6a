//! Integers between integers.

use super::Between;
use crate::{
    emit::{
        c::node::{CNode, CStep},
        network::{
            file::{int, real},
            node::{NetworkNode, NetworkValue, magnitude},
        },
        npz::node::{NpzNode, json_requantization},
    },
    error::EmitError,
    fixed_operator::{Constant, FixedOperator, FixedStep, Flow, Place, step},
    lower::requantization::Requantization,
    shape::Shape,
};
use fixedwise_fixed::convert::{exp2, f64_to_i64};
use fixedwise_kernels::{Integers, IntegersMut, Kernels};
use serde_json::json;
use std::ops::Range;

/// Weighted sums of neighboring integers.
#[derive(Clone, Debug, PartialEq)]
pub struct FixedResize {
    /// By row of the result: the first of two neighbors, and the weight of the next one.
    pub rows: Vec<(usize, i64)>,
    /// By column.
    pub columns: Vec<(usize, i64)>,
    /// Fractional bits of the weights of rows and of columns; both neighbors' weights are one together.
    pub weight_bits: [u8; 2],
    /// Bits the sum needs.
    pub accumulator_bits: u8,
    /// From the sum to the output.
    pub requantization: Requantization,
}

/// The weights as integers with that many fractional bits.
pub(super) fn stored(places: &[Between], bits: u8) -> Vec<(usize, i64)> {
    let one = exp2(i32::from(bits));
    let stored = |place: &Between| {
        let weight = f64_to_i64((f64::from(place.weight) * one).round_ties_even());
        (place.first, weight)
    };
    places.iter().map(stored).collect()
}

/// The last neighbor that counts.
fn last((first, weight): (usize, i64)) -> usize {
    first + usize::from(weight > 0)
}

impl FixedResize {
    fn run<T: Copy + Into<i64>>(&self, x: &[T], input: Shape, y: &mut IntegersMut) {
        let [one_h, one_w] = self.weight_bits.map(|bits| 1_i64 << bits);
        let mut n = 0;
        for &row in &self.rows {
            for &column in &self.columns {
                let pixel = |row: usize, column: usize| {
                    let at = (row * input.w + column) * input.c;
                    &x[at..at + input.c]
                };
                let a = pixel(row.0, column.0);
                let b = pixel(row.0, last(column));
                let d = pixel(last(row), column.0);
                let e = pixel(last(row), last(column));
                for c in 0..input.c {
                    let across = |a: T, b: T| a.into() * (one_w - column.1) + b.into() * column.1;
                    let sum = across(a[c], b[c]) * (one_h - row.1) + across(d[c], e[c]) * row.1;
                    y.set(n, self.requantization.apply(sum));
                    n += 1;
                }
            }
        }
    }
}

impl FixedOperator for FixedResize {
    fn prepare(&self, inputs: &[Shape], _: Shape, _: &'static Kernels) -> FixedStep {
        let (op, input) = (self.clone(), inputs[0]);
        step(move |inputs, mut y, _| match inputs[0] {
            Integers::U8(x) => op.run(x, input, &mut y),
            Integers::I8(x) => op.run(x, input, &mut y),
            Integers::I16(x) => op.run(x, input, &mut y),
        })
    }

    fn name(&self) -> &'static str {
        "resize"
    }

    fn accumulator_bits(&self) -> u8 {
        self.accumulator_bits
    }

    fn place(&self) -> Place {
        Place::Apart
    }

    fn rows(&self, rows: Range<usize>, _: &[Shape], _: Shape) -> Vec<Range<usize>> {
        let own = &self.rows[rows];
        let first = own.iter().map(|row| row.0).min();
        let last = own.iter().map(|&row| last(row)).max();
        vec![first.zip(last).map_or(0..0, |(first, last)| first..last + 1)]
    }

    fn flow(&self, _: &[Shape], _: Shape) -> Flow {
        Flow::Window
    }

    fn constants(&self) -> Vec<Constant> {
        Vec::new()
    }

    fn emit_c(&self, node: &mut CNode) -> Result<CStep, EmitError> {
        let (x, types) = (node.inputs[0].shape, node.types());
        let max = usize::from(u16::MAX);
        if let Some(&extent) = [x.h, x.w].iter().find(|&&extent| extent > max) {
            return Err(EmitError::Extent { node: node.name.clone(), extent, max });
        }
        node.once("between", include_str!("../../emit/c/text/between.c"), &[]);
        let name = node.name.clone();
        for (kind, places) in [("rows", &self.rows), ("columns", &self.columns)] {
            let numbers: Vec<String> =
                places.iter().map(|(first, weight)| format!("{{{first}, {weight}}}")).collect();
            let lines: Vec<String> =
                numbers.chunks(8).map(|line| format!("    {}", line.join(", "))).collect();
            let text = format!(
                "static const $P_between {name}_{kind}[{}] = {{\n{}\n}};",
                places.len(),
                lines.join(",\n")
            );
            node.source.object(4 * places.len(), text);
        }
        let requantize = node.requantize(&self.requantization);
        let values = [("S", types.as_str()), ("REQUANTIZE", requantize)];
        let text = include_str!("../../emit/c/text/resize.c");
        node.once(&format!("resize_{types}_requantize"), text, &values);
        let to = node.requantization("to", &self.requantization);
        let [bits_h, bits_w] = self.weight_bits;
        let rows = node.rows();
        let (y, calls) = (node.output.shape, if node.flows { self.rows.len() } else { 1 });
        node.runs(&format!("resize_{types}"), &[calls, y.h, y.h * y.w, y.len()]);
        let call = format!(
            "$P_resize_{types}($X0, $Y, {name}_rows, {rows}, {bits_h}, {name}_columns, {}, {bits_w}, {}, {}, {to});",
            self.columns.len(),
            x.w,
            x.c,
        );
        Ok(CStep::call("resize", call))
    }

    fn emit_npz(&self, node: &mut NpzNode) -> Result<serde_json::Value, EmitError> {
        let mut array = |name: &str, places: &[(usize, i64)]| {
            let numbers: Vec<i64> =
                places.iter().flat_map(|&(first, weight)| [int(first), weight]).collect();
            node.array(name, &[places.len(), 2], &numbers)
        };
        Ok(json!({
            "rows": array("rows", &self.rows),
            "columns": array("columns", &self.columns),
            "weight_bits": self.weight_bits,
            "requantization": json_requantization(&self.requantization),
        }))
    }

    fn emit_network(&self, node: &mut NetworkNode) -> Result<NetworkValue, EmitError> {
        let x = node.image(0);
        let name = node.name;
        let [bits_h, bits_w] = self.weight_bits.map(i32::from);
        // Each row of the matrix has the weights of one place.
        let matrix = |places: &[(usize, i64)], extent: usize, bits: i32| {
            let mut matrix = vec![0.0; places.len() * extent];
            for (row, &(first, weight)) in matrix.chunks_exact_mut(extent).zip(places) {
                row[first] = real((1 << bits) - weight, bits);
                if weight > 0 {
                    row[first + 1] = real(weight, bits);
                }
            }
            matrix
        };
        let rows = matrix(&self.rows, x.shape.h, bits_h);
        let dims = [self.rows.len(), x.shape.h];
        let rows = node.file.floats(&format!("{name}_row_weights"), &dims, rows);
        let across = matrix(&self.columns, x.shape.w, bits_w);
        let (n, extent) = (self.columns.len(), x.shape.w);
        let columns = (0..extent).flat_map(|i| across.iter().skip(i).step_by(extent).copied());
        let columns = columns.collect();
        let columns = node.file.floats(&format!("{name}_column_weights"), &[extent, n], columns);
        let bits = bits_h + bits_w;
        let largest = magnitude(x.format) << bits.unsigned_abs();
        node.sums_to(largest);
        let across = format!("{name}_columns");
        let value = node.file.node("MatMul", &across, &[&x.name, &columns], vec![]);
        let value = node.file.node("MatMul", &format!("{name}_rows"), &[&rows, &value], vec![]);
        let bound = largest.saturating_add(self.requantization.half());
        let frac = i32::from(x.format.frac) + bits;
        let name = node.file.requantize(name, value, frac, bound, &self.requantization);
        Ok(node.value(name, false))
    }
}
