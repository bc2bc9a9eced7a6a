//! Channels that are chosen to go are taken out, with the weights and biases by which the layers behind make up for them.

use super::drop_channels::{Dropped, carried, is_free, may_go, without};
use crate::{
    cost, effective,
    graph::{Graph, NodeId, Whole},
    plan::{Semantics, Thinned},
};
use std::collections::BTreeMap;

/// The layers whose output channels may go: whatever takes them can do without, and weights stand behind them all.
pub fn droppable(graph: &Graph) -> Vec<NodeId> {
    let may_go = may_go(graph);
    let is_any = |&id: &NodeId| is_free(graph, id, &may_go) && graph.nodes[id].shape.c > 1;
    graph.layers().map(|(id, _)| id).filter(is_any).collect()
}

/// By node, which channels of its value go where layers drop those of their own.
pub fn dropped(graph: &Graph, channels: &BTreeMap<String, Vec<usize>>) -> Vec<Vec<bool>> {
    carried(graph, |_, node| {
        let mut own = vec![false; node.shape.c];
        for &channel in channels.get(&node.name).into_iter().flatten() {
            own[channel] = true;
        }
        own
    })
}

/// A prepared graph without the channels that are chosen to go.
///
/// # Errors
/// What does not fit: a layer that the graph does not have or whose channels must stay, a channel that it does not make,
/// numbers of other extents.
pub fn thin(graph: &Graph, thinned: &Thinned) -> Result<Graph, String> {
    let free = droppable(graph);
    for (name, channels) in &thinned.dropped {
        let id = graph.find(name).filter(|id| free.contains(id));
        let id =
            id.ok_or_else(|| format!("the network has no layer `{name}` whose channels can go"))?;
        let made = graph.nodes[id].shape.c;
        let is_ascending = channels.is_sorted_by(|a, b| a < b);
        if !is_ascending
            || channels.last().is_some_and(|&last| last >= made)
            || channels.len() >= made
        {
            return Err(format!(
                "`{name}` makes {made} channels, and the dropped ones are not some of them"
            ));
        }
    }
    let gone: Dropped = dropped(graph, &thinned.dropped);
    let mut thin = without(as_whole(graph.clone()), &gone).map_err(|error| error.to_string())?;
    for (name, own) in &thinned.numbers {
        let layer = thin.find(name).and_then(|id| thin.nodes[id].op.parameters_mut());
        let layer = layer.ok_or_else(|| format!("the network has no layer `{name}`"))?;
        if layer.weights.len() != own.weights.len() || layer.bias.len() != own.bias.len() {
            return Err(format!(
                "`{name}` has {} weights and {} biases without these channels, and {} and {} are given",
                layer.weights.len(),
                layer.bias.len(),
                own.weights.len(),
                own.bias.len()
            ));
        }
        layer.weights.copy_from_slice(&own.weights);
        layer.bias.copy_from_slice(&own.bias);
    }
    Ok(thin)
}

/// The graph as what others of fewer channels are compared with.
#[must_use]
pub fn as_whole(mut graph: Graph) -> Graph {
    if graph.whole.is_none() {
        let (bit_operations, coded_bytes) = effective::at_eight(&graph);
        let memory = cost::uniform8(&graph, Semantics::Integer);
        graph.whole = Some(Whole { memory, macs: graph.macs(), bit_operations, coded_bytes });
    }
    graph
}
