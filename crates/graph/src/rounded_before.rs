//! What a model's file says of roundings that another tool did: the integers that weights and values were rounded to.

use std::collections::BTreeMap;

/// How one tensor of weights was rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoundedWeights {
    /// Of its integers.
    pub bits: u8,
    /// Whether positions along an axis have scales of their own.
    pub by_channel: bool,
}

/// The integers that a value was rounded to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RoundedValue {
    /// Of its integers.
    pub bits: u8,
    /// What the least and the largest integer stand for.
    pub range: [f32; 2],
}

/// The roundings that a model's file says were done: nothing of a network in float.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RoundedBefore {
    /// How many tensors of weights were rounded, by how.
    pub weights: BTreeMap<RoundedWeights, usize>,
    /// The values that were rounded, by the name of their node.
    pub values: BTreeMap<String, RoundedValue>,
}

impl RoundedBefore {
    /// Whether nothing was rounded.
    pub fn is_empty(&self) -> bool {
        self.weights.is_empty() && self.values.is_empty()
    }

    /// The value of one node has elements of that of another, and its range where it has none of its own.
    pub(crate) fn share(&mut self, from: &str, to: &str) {
        if let Some(&value) = self.values.get(from) {
            self.values.entry(to.to_owned()).or_insert(value);
        }
    }

    /// The value of one node is now what that of another was.
    pub(crate) fn take_over(&mut self, from: &str, to: &str) {
        if let Some(value) = self.values.remove(from) {
            self.values.insert(to.to_owned(), value);
        }
    }
}
