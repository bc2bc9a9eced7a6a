//! Nodes of a function or of a branch under names that nobody else has.

use fixedwise_codec::onnx::{Attribute, Graph, Node};
use std::collections::{BTreeMap, BTreeSet};

/// What the names and attributes inside stand for outside.
#[derive(Debug, Default)]
pub(super) struct Scope<'a> {
    /// Names of values; those that are not listed are the same outside.
    pub(super) values: BTreeMap<String, String>,
    /// Attributes of the call, for those that refer to them; `None` outside functions.
    pub(super) attributes: Option<BTreeMap<&'a str, &'a Attribute>>,
    /// Stands before the names of nodes.
    pub(super) prefix: String,
}

impl Scope<'_> {
    pub(super) fn node(&self, node: &Node) -> Node {
        Node {
            name: format!("{}/{}", self.prefix, node.name),
            inputs: node.inputs.iter().map(|name| self.value(name)).collect(),
            outputs: node.outputs.iter().map(|name| self.value(name)).collect(),
            attributes: self.attributes(node),
            op_type: node.op_type.clone(),
            domain: node.domain.clone(),
            overload: node.overload.clone(),
        }
    }

    fn value(&self, name: &str) -> String {
        self.values.get(name).map_or_else(|| name.to_owned(), Clone::clone)
    }

    fn attributes(&self, node: &Node) -> BTreeMap<String, Attribute> {
        node.attributes
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), self.attribute(value)?)))
            .collect()
    }

    /// An attribute; `None` where it refers to one that the call leaves out.
    fn attribute(&self, value: &Attribute) -> Option<Attribute> {
        match (value, &self.attributes) {
            (Attribute::Reference(name), Some(given)) => {
                given.get(name.as_str()).map(|&value| value.clone())
            }
            (Attribute::Graph(graph), _) => Some(Attribute::Graph(Box::new(self.graph(graph)))),
            _ => Some(value.clone()),
        }
    }

    /// A graph inside: what it takes from outside is renamed, its own names are left.
    fn graph(&self, graph: &Graph) -> Graph {
        let own: BTreeSet<&str> = defined(graph).collect();
        let of = |name: &String| {
            if own.contains(name.as_str()) { name.clone() } else { self.value(name) }
        };
        let nodes = graph.nodes.iter().map(|node| Node {
            inputs: node.inputs.iter().map(of).collect(),
            attributes: self.attributes(node),
            ..node.clone()
        });
        let mut renamed = Graph { nodes: nodes.collect(), ..graph.clone() };
        for output in &mut renamed.outputs {
            output.name = of(&output.name);
        }
        renamed
    }
}

/// The names that a graph defines itself.
pub(super) fn defined(graph: &Graph) -> impl Iterator<Item = &str> {
    let constants = graph.initializers.iter().map(|(name, _)| name.as_str());
    let unreadable = graph.unreadable.iter().map(|(name, _)| name.as_str());
    let inputs = graph.inputs.iter().map(|input| input.name.as_str());
    let outputs = graph.nodes.iter().flat_map(|node| node.outputs.iter().map(String::as_str));
    constants.chain(unreadable).chain(inputs).chain(outputs)
}

/// The names that a node takes, those in its graphs included.
pub(super) fn taken(node: &Node) -> Vec<&str> {
    let mut names: Vec<&str> = node.inputs.iter().map(String::as_str).collect();
    for attribute in node.attributes.values() {
        if let Attribute::Graph(graph) = attribute {
            names.extend(graph.nodes.iter().flat_map(taken));
            names.extend(graph.outputs.iter().map(|output| output.name.as_str()));
        }
    }
    names
}
