//! Names of nodes, which files repeat or leave out.

use super::proto::NodeProto;
use std::collections::{BTreeMap, BTreeSet};

/// Gives every node a name of its own. Names in the file come first; a repeated one gets the
/// suffix `_2`, `_3` and so on.
pub(super) struct NodeNames {
    /// Names that cannot be made, because the file has them.
    reserved: BTreeSet<String>,
    used: BTreeSet<String>,
    /// The next suffix for a name that is taken.
    suffixes: BTreeMap<String, usize>,
}

impl NodeNames {
    pub(super) fn new(protos: &[NodeProto]) -> Self {
        let reserved = protos.iter().map(|proto| proto.name.clone()).collect();
        Self { reserved, used: BTreeSet::new(), suffixes: BTreeMap::new() }
    }

    pub(super) fn unique(&mut self, proto: &NodeProto, index: usize) -> String {
        let name = if proto.name.is_empty() {
            format!("{}_{index}", proto.op_type)
        } else {
            proto.name.clone()
        };
        let is_free = !self.used.contains(&name)
            && (!proto.name.is_empty() || !self.reserved.contains(&name));
        let unique = if is_free { name } else { self.suffixed(&name) };
        self.used.insert(unique.clone());
        unique
    }

    fn suffixed(&mut self, name: &str) -> String {
        let suffix = self.suffixes.entry(name.to_owned()).or_insert(2);
        loop {
            let candidate = format!("{name}_{suffix}");
            *suffix += 1;
            if !self.used.contains(&candidate) && !self.reserved.contains(&candidate) {
                return candidate;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_gets_a_name_of_its_own() {
        for (names, expected) in [
            (vec!["", ""], vec!["Relu_0", "Relu_1"]),
            (vec!["a", "a", "a"], vec!["a", "a_2", "a_3"]),
            (vec!["a", "a", "a_2"], vec!["a", "a_3", "a_2"]),
            (vec!["", "Relu_0"], vec!["Relu_0_2", "Relu_0"]),
            (vec!["Relu_1", ""], vec!["Relu_1", "Relu_1_2"]),
            (vec!["Relu_1", "", "Relu_1"], vec!["Relu_1", "Relu_1_2", "Relu_1_3"]),
        ] {
            let node = |name: &&str| NodeProto {
                name: (*name).to_owned(),
                op_type: "Relu".to_owned(),
                ..NodeProto::default()
            };
            let nodes: Vec<NodeProto> = names.iter().map(node).collect();
            let mut unique = NodeNames::new(&nodes);
            let given: Vec<String> =
                nodes.iter().enumerate().map(|(index, node)| unique.unique(node, index)).collect();
            assert_eq!(given, expected, "{names:?}");
        }
    }
}
