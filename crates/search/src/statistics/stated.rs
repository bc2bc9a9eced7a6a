//! Ranges that a model's file states, in place of calibration images.

use super::{calibrate::Statistics, calibrate::is_counted, histogram::Histogram};
use crate::error::SearchError;
use fixedwise_fixed::convert::{f64_to_f32, i64_to_f64};
use fixedwise_graph::{Derivation, FormatRule, Graph, Node, NodeId};

/// Values that stand for a range: as many as integers of 12 bits, evenly spread.
const SPREAD: i64 = 1 << 12;

/// What the file of a network says of the range of every value, which counts as evenly spread over it; of inputs of
/// bytes it need not say any.
///
/// A value that the file says nothing of has the range that its operator makes of its input's: a function of each
/// element, an operator that moves, joins or averages elements. So has one that only such an operator takes.
///
/// # Errors
/// Where the file states no range at all, or none of a value and of what it is computed from.
pub fn stated(graph: &Graph, is_bytes: &[bool]) -> Result<Statistics, SearchError> {
    if graph.rounded_before().values.is_empty() {
        return Err(SearchError::NoRanges);
    }
    let mut ranges: Vec<Option<[f32; 2]>> = graph.nodes.iter().map(|_| None).collect();
    for (range, node) in ranges.iter_mut().zip(&graph.nodes) {
        let stated = graph.rounded_before().values.get(&node.name).map(|value| value.range);
        *range = stated;
    }
    for (&input, _) in graph.inputs().iter().zip(is_bytes).filter(|(_, is_bytes)| **is_bytes) {
        ranges[input] = Some([0.0, 255.0]);
    }
    // Elements that are only moved have the range that they are moved with.
    for id in (0..graph.nodes.len()).rev() {
        let node = &graph.nodes[id];
        if node.op.format_rule() == FormatRule::Moved && ranges[id].is_some() {
            let before = node.main_input();
            ranges[before] = ranges[before].or(ranges[id]);
        }
    }
    for id in 0..graph.nodes.len() {
        if ranges[id].is_none() {
            ranges[id] = derived(&graph.nodes[id], &ranges);
        }
    }
    let values = graph.nodes.iter().zip(ranges).map(|(node, range)| match range {
        _ if !is_counted(&node.op) => Ok(Histogram::new()),
        Some(range) => Ok(spread(range)),
        None => Err(SearchError::NoRange { node: node.name.clone() }),
    });
    Ok(Statistics { values: values.collect::<Result<_, _>>()?, images: 0 })
}

/// The range that an operator makes of those of its inputs, before any activation of its own.
fn derived(node: &Node, ranges: &[Option<[f32; 2]>]) -> Option<[f32; 2]> {
    let of = |id: &NodeId| ranges[*id];
    let [low, high] = match node.op.format_rule() {
        FormatRule::Image => None,
        FormatRule::Own => {
            let (function, &[input]) = (node.op.as_element_function()?, &node.inputs[..]) else {
                return None;
            };
            let values = points(ranges[input]?).map(|x| function.value(x.into()));
            let [low, high] = values
                .filter(|y| y.is_finite())
                .fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], y| {
                    [low.min(y), high.max(y)]
                });
            (low <= high).then(|| [f64_to_f32(low), f64_to_f32(high)])
        }
        FormatRule::Derived(Derivation::Lossless) | FormatRule::OwnOr(Derivation::Lossless) => node
            .inputs
            .iter()
            .map(of)
            .reduce(|a, b| a.zip(b).map(|(a, b)| [a[0].min(b[0]), a[1].max(b[1])]))?,
        FormatRule::Derived(Derivation::Unsigned) | FormatRule::OwnOr(Derivation::Unsigned) => {
            of(&node.main_input()).map(|range| range.map(|x| x.max(0.0)))
        }
        FormatRule::Derived(Derivation::Same)
        | FormatRule::OwnOr(Derivation::Same)
        | FormatRule::Input
        | FormatRule::Moved => of(&node.main_input()),
    }?;
    Some([low, high].map(|x| node.activation.apply(x)))
}

/// Values that are evenly spread over a range.
fn points([low, high]: [f32; 2]) -> impl Iterator<Item = f32> {
    let (low, high) = (f64::from(low), f64::from(high));
    let at = move |i| low + (high - low) * i64_to_f64(i) / i64_to_f64(SPREAD);
    (0..=SPREAD).map(move |i| f64_to_f32(at(i)))
}

fn spread(range: [f32; 2]) -> Histogram {
    let mut histogram = Histogram::new();
    histogram.add(&points(range).collect::<Vec<_>>());
    histogram
}
