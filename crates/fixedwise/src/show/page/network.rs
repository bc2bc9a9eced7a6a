//! The graph of the network: nodes in layers by their distance from the inputs, drawn from top to bottom.

use super::super::summary::format_text;
use crate::{
    names::ShortNames,
    result::{NodeResult, RunResult},
};
use fixedwise_fixed::convert::count_to_f64;
use serde::Serialize;

const WIDTH: f64 = 178.0;
const HEIGHT: f64 = 38.0;
const ACROSS: f64 = 22.0;
const DOWN: f64 = 24.0;
const MARGIN: f64 = 10.0;
/// Of a long edge in a layer that it passes.
const LANE: f64 = 14.0;

/// Boxes and arrows.
#[derive(Serialize)]
pub(super) struct Drawing {
    width: f64,
    height: f64,
    boxes: Vec<Box>,
    arrows: Vec<String>,
    /// Widths in bits that occur.
    widths: Vec<u8>,
}

#[derive(Serialize)]
struct Box {
    x: f64,
    y: f64,
    name: String,
    op: String,
    about: String,
    /// The row of the table of layers.
    row: Option<String>,
    weights: Option<u8>,
    activation: Option<u8>,
}

/// A place in a layer: a node, or an edge that passes.
#[derive(Clone)]
struct Place {
    /// The node, or that which the edge comes from.
    node: usize,
    is_node: bool,
    /// Places of the layer above that lead here.
    above: Vec<usize>,
}

/// Nothing where the result does not hold the graph.
pub(super) fn drawing(result: &RunResult) -> Option<Drawing> {
    let nodes = &result.nodes;
    if nodes.is_empty() {
        return None;
    }
    let layers = ordered(nodes);
    let breadth = |layer: &[Place]| -> f64 {
        layer.iter().map(|place| if place.is_node { WIDTH } else { LANE } + ACROSS).sum()
    };
    let width = layers.iter().map(|layer| breadth(layer)).fold(0.0, f64::max) + 2.0 * MARGIN;
    let mut centers: Vec<Vec<f64>> = Vec::new();
    for layer in &layers {
        let mut x = (width - breadth(layer)) / 2.0;
        let center = |place: &Place| {
            let own = if place.is_node { WIDTH } else { LANE } + ACROSS;
            x += own;
            x - own / 2.0
        };
        centers.push(layer.iter().map(center).collect());
    }
    let short = ShortNames::new(nodes.iter().map(|node| node.name.as_str()), 20);
    let (mut boxes, mut arrows, mut widths) = (Vec::new(), Vec::new(), Vec::new());
    for (depth, layer) in layers.iter().enumerate() {
        let y = MARGIN + count_to_f64(depth) * (HEIGHT + DOWN);
        for (at, place) in layer.iter().enumerate() {
            let x = centers[depth][at];
            if place.is_node {
                let node = &nodes[place.node];
                let one = of_node(result, node, (x - WIDTH / 2.0, y), short.get(&node.name));
                widths.extend(one.weights.iter().chain(&one.activation));
                boxes.push(one);
            } else {
                arrows.push(format!("M{x:.0} {y:.0}V{:.0}", y + HEIGHT));
            }
            for &above in &place.above {
                let from = (centers[depth - 1][above], y - DOWN);
                let middle = y - DOWN / 2.0;
                arrows.push(format!(
                    "M{:.0} {:.0}C{:.0} {middle:.0} {x:.0} {middle:.0} {x:.0} {y:.0}",
                    from.0, from.1, from.0
                ));
            }
        }
    }
    widths.sort_unstable();
    widths.dedup();
    let height = count_to_f64(layers.len()) * (HEIGHT + DOWN) - DOWN + 2.0 * MARGIN;
    Some(Drawing { width, height, boxes, arrows, widths })
}

fn of_node(result: &RunResult, node: &NodeResult, (x, y): (f64, f64), name: String) -> Box {
    let layer = result.layers.iter().position(|layer| layer.name == node.name);
    let other = result.others.iter().position(|other| other.name == node.name);
    let [h, w, c] = node.output_shape;
    let mut about = format!("{} ({}), output {h}x{w}x{c}", node.name, node.op);
    let (mut weights, mut activation) = (None, None);
    if let Some(layer) = layer.map(|place| &result.layers[place]) {
        about.push_str(&format!(
            ", weights {}, bias {}, activation {}",
            format_text(&layer.weights),
            format_text(&layer.bias),
            format_text(&layer.activation)
        ));
        weights = Some(layer.weights.bits.min(16));
        activation = Some(layer.activation.bits.min(16));
    } else if let Some(other) = other.map(|place| &result.others[place]) {
        about.push_str(&format!(", activation {}", format_text(&other.activation)));
        activation = Some(other.activation.bits.min(16));
    }
    let row = layer.or(other.map(|place| place + result.layers.len()));
    let row = row.map(|place| format!("layer-{place}"));
    Box { x, y, name, op: node.op.clone(), about, row, weights, activation }
}

/// The layers from the inputs on, each in an order in which few edges cross.
fn ordered(nodes: &[NodeResult]) -> Vec<Vec<Place>> {
    let mut depth = vec![0_usize; nodes.len()];
    for (id, node) in nodes.iter().enumerate() {
        depth[id] = inputs(node, id).map(|input| depth[input] + 1).max().unwrap_or(0);
    }
    let last = depth.iter().max().map_or(0, |&deepest| deepest);
    // How far down the value of each node is taken.
    let mut reach = depth.clone();
    for (id, node) in nodes.iter().enumerate() {
        for input in inputs(node, id) {
            reach[input] = reach[input].max(depth[id]);
        }
    }
    let mut layers: Vec<Vec<Place>> = Vec::new();
    for level in 0..=last {
        let above = level.checked_sub(1).map(|above| &layers[above]);
        let find =
            |node: usize| above.and_then(|above| above.iter().position(|place| place.node == node));
        let mut layer: Vec<Place> = Vec::new();
        for id in 0..nodes.len() {
            if depth[id] == level {
                let above = inputs(&nodes[id], id).filter_map(find).collect();
                layer.push(Place { node: id, is_node: true, above });
            } else if depth[id] < level && level < reach[id] {
                layer.push(Place {
                    node: id,
                    is_node: false,
                    above: find(id).into_iter().collect(),
                });
            }
        }
        // By the mean of what leads there.
        let mean = |place: &Place| {
            let sum: f64 = place.above.iter().map(|&above| count_to_f64(above)).sum();
            sum / count_to_f64(place.above.len().max(1))
        };
        layer.sort_by(|a, b| mean(a).total_cmp(&mean(b)));
        layers.push(layer);
    }
    layers
}

/// Nodes that a node takes; only those before it, whatever a file says.
fn inputs(node: &NodeResult, id: usize) -> impl Iterator<Item = usize> {
    let place = |&input: &u64| usize::try_from(input).ok();
    node.inputs.iter().filter_map(place).filter(move |&input| input < id)
}
