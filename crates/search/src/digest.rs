//! Stable hashes of what a plan says upstream of a node.

use fixedwise_fixed::{Format, Range, Rounding};
use fixedwise_graph::{Graph, NodeId, Plan, Quantizer, Rounded, Semantics};
use std::{collections::BTreeMap, fmt, sync::Arc};

/// 128 bits of FNV-1a: the same in every build, so that a journal outlives its process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(u128);

impl Digest {
    const BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;

    /// Of nothing.
    pub const fn new() -> Self {
        Self(Self::BASIS)
    }

    /// Extended by bytes.
    #[must_use]
    pub fn bytes(self, bytes: &[u8]) -> Self {
        Self(
            bytes
                .iter()
                .fold(self.0, |hash, &byte| (hash ^ u128::from(byte)).wrapping_mul(Self::PRIME)),
        )
    }

    /// Extended by another digest.
    #[must_use]
    pub fn join(self, other: Self) -> Self {
        self.bytes(&other.0.to_le_bytes())
    }

    fn format(self, format: Option<Format>) -> Self {
        let Some(Format { bits, frac, range }) = format else { return self.bytes(&[0]) };
        let range = match range {
            Range::Unsigned => 1,
            Range::Narrow => 2,
            Range::Full => 3,
            Range::Bipolar => 4,
        };
        self.bytes(&[range, bits, frac.cast_unsigned()])
    }

    /// Extended by integers, eight at a time.
    fn integers(self, integers: &[i16]) -> Self {
        let word = |integers: &[i16]| {
            integers.iter().fold(0_u128, |word, &w| word << 16 | u128::from(w.cast_unsigned()))
        };
        let add = |hash: u128, integers: &[i16]| {
            let hash = (hash ^ word(integers)).wrapping_mul(Self::PRIME);
            // A product moves differences up only.
            hash ^ hash >> 67
        };
        Self(integers.chunks(8).fold(self.0, add)).bytes(&integers.len().to_le_bytes())
    }

    fn of_rounded(rounded: &Rounded) -> Self {
        let mut digest = Self::new().integers(&rounded.weights);
        for number in rounded.scales.iter().chain(&rounded.bias) {
            digest = digest.bytes(&number.to_bits().to_le_bytes());
        }
        if rounded.is_by_channel() {
            digest = digest.bytes(&rounded.coarser);
        }
        digest
    }

    /// For every node, a digest of all that the plan says about it and about what it depends on.
    ///
    /// Equal digests of a node mean equal values, for the same graph and images.
    pub fn of_nodes(graph: &Graph, plan: &Plan) -> Vec<Self> {
        Self::of_nodes_by(graph, plan, |rounded| Self::of_rounded(rounded))
    }

    fn of_nodes_by(
        graph: &Graph,
        plan: &Plan,
        mut of_rounded: impl FnMut(&Arc<Rounded>) -> Self,
    ) -> Vec<Self> {
        let integer = plan.semantics == Semantics::Integer;
        let head = match (plan.semantics, plan.rounding) {
            (Semantics::Simulated, _) => 0,
            (Semantics::Integer, Rounding::TiesUp) => 1,
            (Semantics::Integer, Rounding::TiesEven) => 2,
            (Semantics::Integer, Rounding::Floor) => 3,
        };
        let root = u8::from(plan.quantizer == Quantizer::SquareRoot);
        let head = Self::new().bytes(&[head + 4 * root]).format(integer.then_some(plan.input));
        let mut digests: Vec<Self> = Vec::with_capacity(graph.nodes.len());
        for (id, node) in graph.nodes.iter().enumerate() {
            let mut digest = head.bytes(&id.to_le_bytes());
            if node.op.is_layer() {
                if let Some(layer) = plan.layer(&node.name) {
                    digest =
                        digest.format(layer.weights).format(layer.bias).format(layer.activation);
                }
                if let Some(rounded) = plan.rounded.get(&node.name) {
                    digest = digest.join(of_rounded(rounded));
                }
            } else if integer {
                digest = digest.format(plan.others.get(&node.name).copied());
            }
            digests.push(node.inputs.iter().fold(digest, |sum, &i| sum.join(digests[i])));
        }
        digests
    }

    /// Of a whole plan.
    pub fn of_plan(graph: &Graph, plan: &Plan) -> Self {
        Self::of_outputs(graph, &Self::of_nodes(graph, plan))
    }

    /// Of the outputs, by the digests of all nodes: of one that of its node.
    pub(crate) fn of_outputs(graph: &Graph, digests: &[Self]) -> Self {
        let outputs = graph.output_nodes().into_iter().map(|id| digests[id]);
        outputs.reduce(Self::join).unwrap_or(Self::new())
    }

    /// The digest that [`fmt::Display`] printed.
    pub fn parse(text: &str) -> Option<Self> {
        (text.len() == 32).then(|| u128::from_str_radix(text, 16).ok().map(Self)).flatten()
    }

    /// The node's own place in a map, with its digest.
    pub(crate) fn at(self, node: NodeId) -> (NodeId, Self) {
        (node, self)
    }
}

/// Digests of one plan after the other: integers that they share are hashed once.
#[derive(Debug, Default)]
pub(crate) struct Digester {
    /// By where they lie, integers that a plan still holds.
    known: BTreeMap<usize, (Arc<Rounded>, Digest)>,
}

impl Digester {
    /// As [`Digest::of_nodes`].
    pub(crate) fn of_nodes(&mut self, graph: &Graph, plan: &Plan) -> Vec<Digest> {
        self.known.retain(|_, (rounded, _)| Arc::strong_count(rounded) > 1);
        Digest::of_nodes_by(graph, plan, |rounded| {
            // What is kept here is neither written nor gone, so that no other comes to lie there.
            let new = || (Arc::clone(rounded), Digest::of_rounded(rounded));
            self.known.entry(Arc::as_ptr(rounded).addr()).or_insert_with(new).1
        })
    }
}

impl Default for Digest {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl serde::Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text)
            .ok_or_else(|| serde::de::Error::custom("a digest has 32 hexadecimal digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_print_and_parse() {
        let digest = Digest::new().bytes(b"conv");
        assert_eq!(Digest::parse(&digest.to_string()), Some(digest));
        assert_eq!(Digest::parse("12"), None);
        assert_ne!(digest, Digest::new().bytes(b"con"));
    }

    #[test]
    fn every_integer_counts_wherever_it_stands() {
        let all: Vec<i16> = (0..21).map(|i| i * 37 - 300).collect();
        let mut seen = std::collections::BTreeSet::from([Digest::new().integers(&all)]);
        // Two places at a time, the highest of a word too.
        for i in 0..all.len() {
            for j in 0..i {
                for change in [1, -1, 2, i16::MIN] {
                    let mut changed = all.clone();
                    changed[i] = changed[i].wrapping_add(change);
                    changed[j] = changed[j].wrapping_sub(change);
                    assert!(seen.insert(Digest::new().integers(&changed)), "{i} {j} {change}");
                }
            }
        }
        assert_ne!(Digest::new().integers(&[0]), Digest::new().integers(&[0, 0]));
    }

    #[test]
    fn the_hash_is_fnv_1a() {
        // FNV-1a, 128 bits, of "a", from the reference tables.
        let a = Digest::new().bytes(b"a").to_string();
        assert_eq!(a, "d228cb696f1a8caf78912b704e4a8964");
    }
}
