//! Elements of integers.

use super::IndexMap;
use crate::{
    emit::{
        c::node::{CNode, CStep},
        network::{
            file::int,
            node::{NetworkNode, NetworkValue},
        },
        npz::node::NpzNode,
        tflite::node::{TfliteNode, TfliteValue},
    },
    error::EmitError,
    fixed_operator::{Constant, FixedOperator, FixedStep, Flow, Place, rows_of, step},
    shape::Shape,
};
use fixedwise_kernels::{Integers, IntegersMut, Kernels};
use serde_json::json;
use std::ops::Range;

/// Integers taken from an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FixedIndexMap {
    /// Which.
    pub map: IndexMap,
}

/// Runs of elements that lie together in the input and in the result.
#[derive(Clone, Debug)]
pub(super) struct Copies {
    /// Where each row of the result begins in the input.
    rows: Vec<Option<usize>>,
    /// Within a row: where runs begin in the result, in the input, and how long they are.
    runs: Vec<(usize, usize, usize)>,
    /// Elements of a row.
    row: usize,
}

impl Copies {
    pub(super) fn of(map: &IndexMap) -> Self {
        let row = IndexMap { rows: vec![Some(0)], ..map.clone() };
        let mut runs: Vec<(usize, usize, usize)> = Vec::new();
        for (to, from) in row.sources().enumerate() {
            let Some(from) = from else { continue };
            match runs.last_mut() {
                Some((start, source, length))
                    if *start + *length == to && *source + *length == from =>
                {
                    *length += 1;
                }
                _ => runs.push((to, from, 1)),
            }
        }
        Self { rows: map.rows.clone(), runs, row: row.shape().len() }
    }

    /// Writes every element of `y`.
    pub(super) fn run<T: Copy + Default>(&self, x: &[T], y: &mut [T]) {
        let is_whole = self.runs.iter().map(|(.., length)| length).sum::<usize>() == self.row;
        for (y, start) in y.chunks_exact_mut(self.row).zip(&self.rows) {
            if start.is_none() || !is_whole {
                y.fill(T::default());
            }
            let Some(start) = *start else { continue };
            let x = &x[start..];
            for &(to, from, length) in &self.runs {
                if length == 1 {
                    y[to] = x[from];
                } else {
                    y[to..to + length].copy_from_slice(&x[from..from + length]);
                }
            }
        }
    }
}

/// An axis as C has it: position `i` is `i / inner * outer_step + i % inner * inner_step`, or in a table of so
/// many times `step`.
enum CAxis {
    Steps { outer: usize, inner: usize, step: usize },
    Table { places: Vec<Option<usize>>, step: usize },
}

impl CAxis {
    fn of(places: &[Option<usize>]) -> Self {
        let known: Option<Vec<usize>> = places.iter().copied().collect();
        let divisors = (1..=places.len()).rev().filter(|&n| places.len().is_multiple_of(n));
        let steps = |inner: usize| {
            let known = known.as_ref()?;
            let step = if inner > 1 { known[1].checked_sub(known[0])? } else { 0 };
            let outer = if inner < known.len() { known[inner].checked_sub(known[0])? } else { 0 };
            let at = |i: usize| i / inner * outer + i % inner * step;
            let fits = known.iter().enumerate().all(|(i, &place)| place == at(i));
            fits.then_some(Self::Steps { outer, inner, step })
        };
        let steps = divisors.into_iter().find_map(steps);
        steps.unwrap_or_else(|| {
            let step = places.iter().flatten().copied().fold(0, divisor).max(1);
            let places = places.iter().map(|place| place.map(|place| place / step)).collect();
            Self::Table { places, step }
        })
    }
}

fn divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { divisor(b, a % b) }
}

/// How many neighboring channels lie together everywhere, and where each such group begins.
fn groups(channels: &[Option<usize>]) -> (usize, Vec<Option<usize>>) {
    let is_together = |own: &[Option<usize>]| match own[0] {
        None => own.iter().all(Option::is_none),
        Some(first) => own.iter().enumerate().all(|(i, place)| *place == Some(first + i)),
    };
    let length = (1..=channels.len())
        .rev()
        .filter(|&n| channels.len().is_multiple_of(n))
        .find(|&n| channels.chunks_exact(n).all(is_together))
        .unwrap_or(1);
    (length, channels.iter().copied().step_by(length).collect())
}

impl FixedOperator for FixedIndexMap {
    fn prepare(&self, _: &[Shape], _: Shape, _: &'static Kernels) -> FixedStep {
        let copies = Copies::of(&self.map);
        step(move |inputs, y, _| match (inputs[0], y) {
            (Integers::U8(x), IntegersMut::U8(y)) => copies.run(x, y),
            (Integers::I8(x), IntegersMut::I8(y)) => copies.run(x, y),
            (Integers::I16(x), IntegersMut::I16(y)) => copies.run(x, y),
            _ => unreachable!("the format stays, and so does its element"),
        })
    }

    fn name(&self) -> &'static str {
        "index_map"
    }

    fn place(&self) -> Place {
        Place::Apart
    }

    fn rows(&self, rows: Range<usize>, inputs: &[Shape], _: Shape) -> Vec<Range<usize>> {
        vec![rows_of(self.map.elements(rows), inputs[0])]
    }

    fn flow(&self, _: &[Shape], _: Shape) -> Flow {
        Flow::Window
    }

    fn constants(&self) -> Vec<Constant> {
        Vec::new()
    }

    fn emit_c(&self, node: &mut CNode) -> Result<CStep, EmitError> {
        /// Stands for a zero in a table.
        const ZERO: usize = 0xffff;
        let types = node.types();
        let IndexMap { rows, columns, channels } = &self.map;
        let least = |places: &[Option<usize>]| places.iter().flatten().min().copied().unwrap_or(0);
        let (run, channels) = groups(channels);
        let calls = if node.flows { rows.len() } else { 1 };
        let mut turns = vec![calls, rows.len()];
        for places in [columns.len(), channels.len(), run] {
            turns.push(turns[turns.len() - 1] * places);
        }
        // How a place is found: by steps or by a table.
        let mut found = String::new();
        let (mut start, mut axes) = (0, Vec::with_capacity(3));
        for (name, places) in [("rows", rows), ("columns", columns), ("channels", &channels)] {
            let first = least(places);
            start += first;
            let places: Vec<_> =
                places.iter().map(|place| place.map(|place| place - first)).collect();
            let (outer, inner, step, table) = match CAxis::of(&places) {
                CAxis::Steps { outer, inner, step } => (outer, inner, step, "0".to_owned()),
                CAxis::Table { places, step } => {
                    if let Some(&extent) = places.iter().flatten().find(|place| **place >= ZERO) {
                        let (node, max) = (node.name.clone(), ZERO - 1);
                        return Err(EmitError::Extent { node, extent, max });
                    }
                    let table = format!("{}_{name}", node.name);
                    let numbers = places.iter().map(|place| int(place.unwrap_or(ZERO)));
                    node.source.array("uint16_t", &table, numbers);
                    (step, 1, 0, table)
                }
            };
            found.push(if table == "0" { 's' } else { 't' });
            axes.push(format!("{{{}, {outer}, {inner}, {step}, {table}}}", places.len()));
        }
        node.runs(&format!("indexmap_{found}_{types}"), &turns);
        node.once("map", include_str!("../../emit/c/text/map.c"), &[]);
        let name = format!("{}_map", node.name);
        let text =
            format!("static const $P_map {name} = {{{start}, {run}, {{{}}}}};", axes.join(", "));
        node.source.object(68, text);
        let text = include_str!("../../emit/c/text/index_map.c");
        node.once(&format!("index_map_{types}"), text, &[("S", &types)]);
        let (rows, x) = (node.rows(), node.inputs[0].shape);
        let call = format!("$P_index_map_{types}($X0, $Y, &{name}, {rows}, {});", x.w * x.c);
        Ok(CStep::call("index map", call))
    }

    fn emit_npz(&self, node: &mut NpzNode) -> Result<serde_json::Value, EmitError> {
        let IndexMap { rows, columns, channels } = &self.map;
        let mut array = |name: &str, places: &[Option<usize>]| {
            let numbers: Vec<i64> = places.iter().map(|place| place.map_or(-1, int)).collect();
            node.array(name, &[numbers.len()], &numbers)
        };
        Ok(json!({
            "rows": array("rows", rows),
            "columns": array("columns", columns),
            "channels": array("channels", channels),
        }))
    }

    fn emit_tflite(&self, node: &mut TfliteNode) -> Result<TfliteValue, EmitError> {
        let x = node.inputs[0];
        let sources: Vec<Option<usize>> = self.map.sources().collect();
        Ok(node.gathered(&x, &sources))
    }

    fn emit_network(&self, node: &mut NetworkNode) -> Result<NetworkValue, EmitError> {
        let (from, to) = (node.inputs[0].shape, node.shape);
        let is_vector = to.h * to.w == 1;
        let along = self.along(from);
        let x = if along.is_some() { node.image(0) } else { node.inputs[0].clone() };
        let mut value = x.name;
        // Channels, rows and columns, as the file has them: a zero is an element behind the last.
        let axes = along.unwrap_or_else(|| {
            // Elements as the file has them, channels first.
            let planar = |i: usize| i % from.c * from.h * from.w + i / from.c;
            let sources: Vec<Option<usize>> = self.map.sources().collect();
            let at = |i: usize| {
                let (channel, pixel) = (i / (to.h * to.w), i % (to.h * to.w));
                pixel * to.c + channel
            };
            let all = (0..to.len()).map(|i| sources[at(i)].map(planar)).collect();
            vec![(from.len(), all)]
        });
        let is_flat = axes.len() == 1;
        if is_flat {
            value = node.file.reshape(&format!("{}_flat", node.name), &value, &[from.len()]);
        }
        for (axis, (extent, places)) in axes.iter().enumerate() {
            if (0..*extent).map(Some).eq(places.iter().copied()) {
                continue;
            }
            let name = format!(
                "{}_{}",
                node.name,
                if is_flat { "taken" } else { ["channels", "rows", "columns"][axis] }
            );
            if places.contains(&None) {
                let rank = if is_flat { 2 } else { 4 };
                let mut pads = vec![0; 2 * rank];
                pads[rank + 1 + axis] = 1;
                let pads = node.file.indices(&format!("{name}_pads"), pads);
                let zero = node.file.scalar(0.0);
                let attributes = vec![];
                value = node.file.node(
                    "Pad",
                    &format!("{name}_zero"),
                    &[&value, &pads, &zero],
                    attributes,
                );
            }
            let indices = places.iter().map(|place| int(place.unwrap_or(*extent))).collect();
            let indices = node.file.indices(&format!("{name}_indices"), indices);
            let attributes = vec![("axis", int(axis + 1).into())];
            value = node.file.node("Gather", &name, &[&value, &indices], attributes);
        }
        let dims = if is_vector { vec![to.c] } else { vec![to.c, to.h, to.w] };
        let name = node.name;
        if is_vector || is_flat {
            value = node.file.reshape(name, &value, &dims);
        }
        Ok(node.value(value, is_vector))
    }
}

impl FixedIndexMap {
    /// For each axis `[c, h, w]` of an input of that shape, its extent and which of its elements the same axis of
    /// the result takes; `None` where an axis runs along others too.
    fn along(&self, from: Shape) -> Option<Vec<(usize, Vec<Option<usize>>)>> {
        let identity = |extent: usize, step: usize| (0..extent).map(|i| Some(i * step)).collect();
        let whole = IndexMap {
            rows: identity(from.h, from.w * from.c),
            columns: identity(from.w, from.c),
            channels: identity(from.c, 1),
        };
        // Composed with the input's own places, each element of an axis stays on it.
        let own = self.map.after(&whole)?;
        let indices = |places: &[Option<usize>], step: usize| {
            places.iter().map(|place| place.map(|place| place / step)).collect()
        };
        Some(vec![
            (from.c, indices(&own.channels, 1)),
            (from.h, indices(&own.rows, from.w * from.c)),
            (from.w, indices(&own.columns, from.c)),
        ])
    }
}
