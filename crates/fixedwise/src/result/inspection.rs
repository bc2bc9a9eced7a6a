//! What a model is before anything is quantized.

use super::{
    head::ModelResult,
    preprocessing::{FloatResult, PreprocessingResult},
};
use serde::{Deserialize, Serialize};

/// What [`inspect`](crate::inspect()) found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Inspection {
    /// 1; keys are added, never renamed.
    pub schema: u32,
    /// Name and version of the tool.
    pub tool: String,
    /// The network.
    pub model: ModelResult,
    /// Extents of one image, `[h, w, c]`.
    pub input_shape: [u64; 3],
    /// Images the ranges are of; 0 without data.
    pub images: u64,
    /// What the network is fed; absent without data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preprocessing: Option<PreprocessingResult>,
    /// What the float network makes of the images; absent without data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub float_network: Option<FloatResult>,
    /// The nodes of the network as an integer network has them, in order.
    pub nodes: Vec<NodeInspection>,
    /// Bits of weights, biases and activations at 8 bits each.
    pub uniform8_bits: u64,
}

/// One node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeInspection {
    /// Its name.
    pub name: String,
    /// Its operator.
    pub op: String,
    /// Extents of its value, `[h, w, c]`.
    pub output_shape: [u64; 3],
    /// Weights.
    pub weights: u64,
    /// Biases.
    pub biases: u64,
    /// Multiply-accumulates (MACs) of one image.
    pub macs: u64,
    /// Bits of its weights, biases and value at 8 bits each.
    pub uniform8_bits: u64,
    /// Smallest and largest weight.
    pub weight_range: Option<[f32; 2]>,
    /// Smallest and largest value over the images.
    pub value_range: Option<[f32; 2]>,
}

impl Inspection {
    /// As JSON, schema 1.
    #[expect(clippy::missing_panics_doc, reason = "every key is a string")]
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("every key is a string");
        text.push('\n');
        text
    }
}
