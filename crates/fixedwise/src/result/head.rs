//! What every result says: of which tool, of which network, and how the job ended.

use fixedwise_fixed::convert::count_to_u64;
use fixedwise_graph::RoundedBefore;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Name and version of this tool.
pub(crate) const TOOL: &str = concat!("fixedwise ", env!("CARGO_PKG_VERSION"));

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// It did all it set out to do.
    #[default]
    Completed,
    /// The time budget was used up; the best so far is the result.
    TimeBudget,
    /// Its stop flag was raised; the best so far is the result.
    Interrupted,
}

/// The network.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ModelResult {
    /// The file's name without its extension.
    pub name: String,
    /// Of the file.
    pub sha256: String,
    /// Weights and biases, as the file has them.
    pub parameters: u64,
    /// Multiply-accumulates (MACs) of one image.
    pub macs: u64,
    /// The extents that were given for its input, where its file leaves some open: `NAME=1x3x224x224`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub input_shapes: Vec<String>,
    /// The values of the model that were chosen as its outputs, where they were.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<String>,
    /// What another tool rounded before; absent where the file holds a network in float. The float network is
    /// then the one of the rounded numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rounded_before: Option<RoundedBeforeResult>,
}

/// What was rounded before a model was read.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RoundedBeforeResult {
    /// Tensors of weights, by how they were rounded.
    pub weights: Vec<RoundedWeightsResult>,
    /// Values between the operators, by the bits that they were rounded to; their ranges may serve as calibration.
    pub activations: Vec<RoundedValuesResult>,
}

/// Tensors of weights that were rounded alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoundedWeightsResult {
    /// Of their integers.
    pub bits: u8,
    /// Whether channels have scales of their own.
    pub by_channel: bool,
    /// How many tensors.
    pub tensors: u64,
}

/// Values that were rounded alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoundedValuesResult {
    /// Of their integers.
    pub bits: u8,
    /// How many values.
    pub values: u64,
}

impl From<&RoundedBefore> for RoundedBeforeResult {
    fn from(rounded: &RoundedBefore) -> Self {
        let weights = rounded.weights.iter().map(|(how, &tensors)| RoundedWeightsResult {
            bits: how.bits,
            by_channel: how.by_channel,
            tensors: count_to_u64(tensors),
        });
        let mut values = BTreeMap::new();
        for value in rounded.values.values() {
            *values.entry(value.bits).or_insert(0) += 1;
        }
        let activations =
            values.into_iter().map(|(bits, values)| RoundedValuesResult { bits, values });
        Self { weights: weights.collect(), activations: activations.collect() }
    }
}
