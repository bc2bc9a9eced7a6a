//! What a model's file says of roundings that another tool did: the integers that weights and values were rounded to.

use fixedwise_fixed::convert::f64_to_f32;
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

    /// The value of one node is multiplied and shifted by channel from now on: its range is one that holds for all of
    /// them.
    pub(crate) fn rescale(&mut self, name: &str, scale: &[f64], shift: &[f64]) {
        let Some(value) = self.values.get_mut(name) else { return };
        let [low, high] = value.range.map(f64::from);
        let ends = scale
            .iter()
            .zip(shift)
            .flat_map(|(scale, shift)| [low, high].map(|end| scale.mul_add(end, *shift)));
        let all = ends.fold([f64::INFINITY, f64::NEG_INFINITY], |[least, most], end| {
            [least.min(end), most.max(end)]
        });
        value.range = all.map(f64_to_f32);
    }

    /// The value of one node is now what that of another was.
    pub(crate) fn take_over(&mut self, from: &str, to: &str) {
        if let Some(value) = self.values.remove(from) {
            self.values.insert(to.to_owned(), value);
        }
    }
}
