//! Channels that are chosen to go are taken out, with the weights and biases by which the layers behind make up for them.

use super::drop_channels::{Dropped, can_lack, carried, is_depthwise, made_of, without};
use crate::{
    cost, effective,
    graph::{Graph, Node, NodeId, Whole},
    operator::Factor,
    plan::{Semantics, Thinned},
};
use std::collections::{BTreeMap, BTreeSet};

/// Output channels of layers that can go together only: sums, products and what is added inside a layer make one channel of
/// them. Each with its layer.
pub type Tied = Vec<(NodeId, usize)>;

/// The output channels that may go: whatever takes them can do without, and weights stand behind them all. Those of layers
/// of which some are tied to each other stand together.
pub fn droppable(graph: &Graph) -> Vec<Vec<Tied>> {
    let mut channels = Channels::of(graph);
    let mut all: BTreeMap<usize, Tied> = BTreeMap::new();
    for (id, node) in graph.nodes.iter().enumerate().filter(|(_, node)| is_source(node)) {
        for channel in 0..node.shape.c {
            let root = channels.sets.root(channels.first[id] + channel);
            if !channels.stays[root] {
                all.entry(root).or_default().push((id, channel));
            }
        }
    }
    let mut layers = Sets::new(graph.nodes.len());
    for tied in all.values() {
        tied.iter().for_each(|&(id, _)| _ = layers.unite(tied[0].0, id));
    }
    let mut groups: BTreeMap<usize, Vec<Tied>> = BTreeMap::new();
    for tied in all.into_values() {
        groups.entry(layers.root(tied[0].0)).or_default().push(tied);
    }
    groups.into_values().filter(|group| group.len() > 1).collect()
}

/// Whether a node is a layer whose channels are its own: each is made of all that it takes.
fn is_source(node: &Node) -> bool {
    node.op.parameters().is_some_and(|own| own.groups == 1)
}

/// All channels of all values: which are the same to whoever takes one out, and which cannot go.
struct Channels {
    /// By node, the place of its first channel.
    first: Vec<usize>,
    sets: Sets,
    /// By the root of a set.
    stays: Vec<bool>,
}

impl Channels {
    fn of(graph: &Graph) -> Self {
        let mut n = 0;
        let first = graph.nodes.iter().map(|node| {
            n += node.shape.c;
            n - node.shape.c
        });
        let first: Vec<usize> = first.collect();
        let mut all = Self { first, sets: Sets::new(n), stays: vec![false; n] };
        for (id, node) in graph.nodes.iter().enumerate() {
            let is_made = is_source(node) || is_depthwise(node) || !node.op.is_layer();
            let can = is_made && !node.inputs.is_empty() && can_lack(graph, node);
            if !can || graph.is_output(id) {
                all.keep(graph, id);
            }
            for (position, &input) in node.inputs.iter().enumerate() {
                match made_of(graph, id, position) {
                    Some(from) if can => {
                        for (to, from) in from.iter().enumerate() {
                            if let Some(from) = from {
                                all.tie(all.first[id] + to, all.first[input] + from);
                            }
                        }
                    }
                    // Its weights make up.
                    None if can && graph.factor(id, position) == Factor::Absorbed => {}
                    _ => all.keep(graph, input),
                }
            }
        }
        all
    }

    fn keep(&mut self, graph: &Graph, id: NodeId) {
        for channel in 0..graph.nodes[id].shape.c {
            let root = self.sets.root(self.first[id] + channel);
            self.stays[root] = true;
        }
    }

    fn tie(&mut self, a: usize, b: usize) {
        let [root, other] = self.sets.unite(a, b);
        self.stays[root] |= self.stays[other];
    }
}

/// Disjoint sets of the numbers below one; the least of each is its root.
struct Sets(Vec<usize>);

impl Sets {
    fn new(n: usize) -> Self {
        Self((0..n).collect())
    }

    fn root(&mut self, mut of: usize) -> usize {
        while self.0[of] != of {
            self.0[of] = self.0[self.0[of]];
            of = self.0[of];
        }
        of
    }

    /// The root of both, and the one that is none any more.
    fn unite(&mut self, a: usize, b: usize) -> [usize; 2] {
        let (a, b) = (self.root(a), self.root(b));
        let [root, other] = [a.min(b), a.max(b)];
        self.0[other] = root;
        [root, other]
    }
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
/// What does not fit: a layer that the graph does not have or whose channels must stay, a channel that it does not make or
/// that goes with another one only, numbers of other extents.
pub fn thin(graph: &Graph, thinned: &Thinned) -> Result<Graph, String> {
    check(graph, &thinned.dropped)?;
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

/// Refuses channels that cannot go, or not without others.
fn check(graph: &Graph, dropped: &BTreeMap<String, Vec<usize>>) -> Result<(), String> {
    let all: Vec<Tied> = droppable(graph).into_iter().flatten().collect();
    let free: BTreeSet<(NodeId, usize)> = all.iter().flatten().copied().collect();
    let mut gone = BTreeSet::new();
    for (name, channels) in dropped {
        let id = graph.find(name).filter(|&id| free.iter().any(|&(layer, _)| layer == id));
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
        if let Some(channel) = channels.iter().find(|&&channel| !free.contains(&(id, channel))) {
            return Err(format!("channel {channel} of `{name}` cannot go"));
        }
        gone.extend(channels.iter().map(|&channel| (id, channel)));
    }
    for tied in all {
        let (goes, stays): (Vec<_>, Vec<_>) = tied.iter().partition(|of| gone.contains(of));
        if let (Some((layer, channel)), Some((other, its))) = (goes.first(), stays.first()) {
            let [layer, other] = [*layer, *other].map(|id: NodeId| &graph.nodes[id].name);
            return Err(format!(
                "channel {channel} of `{layer}` goes only with channel {its} of `{other}`"
            ));
        }
    }
    Ok(())
}
