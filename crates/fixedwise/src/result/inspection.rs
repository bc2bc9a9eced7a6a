//! What a model is before anything is quantized.

use super::{
    device::DeviceResult,
    head::{ModelResult, TOOL},
    preprocessing::{FloatResult, PreprocessingResult},
};
use crate::error::Error;
use fixedwise_fixed::convert::count_to_u64;
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
    /// Extents of one image, `[h, w, c]`, of the first input where there are several.
    pub input_shape: [u64; 3],
    /// The inputs, where there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<InputInspection>,
    /// The names of the file's inputs that no output needs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unused_inputs: Vec<String>,
    /// The outputs.
    #[serde(default)]
    pub outputs: Vec<OutputInspection>,
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
    /// What it takes of a target; absent where none was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceResult>,
}

/// An input of a model that has several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputInspection {
    /// Its name in the file.
    pub name: String,
    /// Extents of one image, `[h, w, c]`.
    pub shape: [u64; 3],
}

/// An output of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputInspection {
    /// Its name in the file.
    pub name: String,
    /// Extents for one image, with the axes of the file, without the batch.
    pub shape: Vec<u64>,
}

/// A model that cannot be quantized, and all reasons why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RefusedModel {
    /// 1; keys are added, never renamed.
    pub schema: u32,
    /// Name and version of the tool.
    pub tool: String,
    /// What stands in the way.
    pub refusals: Vec<RefusalResult>,
    /// Values before all of that, with which the network may end instead (`--output`); absent where none is
    /// known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<String>,
}

/// One reason why a model cannot be quantized.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RefusalResult {
    /// The operator; absent where it is not about one.
    pub operator: Option<String>,
    /// What is not supported, and the way out.
    pub problem: String,
    /// The way out alone; absent where none is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub way_out: Option<String>,
    /// Number of nodes.
    pub count: u64,
    /// The nodes, in the order of the file.
    pub nodes: Vec<String>,
}

impl RefusedModel {
    /// What an error says of a model; `None` where it is about something else.
    ///
    /// ```
    /// # fn main() -> Result<(), fixedwise::Error> {
    /// # let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    /// use fixedwise::{Interface, Model, RefusedModel};
    ///
    /// let path = format!("{root}/models/fashion_small.onnx");
    /// let mut interface = Interface::default();
    /// interface.input_shapes = vec!["1x1x32x32".parse().expect("a shape")];
    /// let error = Model::load_as(path.as_ref(), None, &interface).unwrap_err();
    /// let refused = RefusedModel::of(&error).expect("the model is refused");
    /// assert!(refused.refusals[0].problem.contains("fixed size 28"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn of(error: &Error) -> Option<Self> {
        let refusals = error.refusals();
        let refusals: Vec<RefusalResult> = refusals
            .into_iter()
            .map(|refusal| RefusalResult {
                operator: refusal.operator,
                way_out: refusal.problem.split_once("; ").map(|(_, way_out)| way_out.to_owned()),
                problem: refusal.problem,
                count: count_to_u64(refusal.nodes.len()),
                nodes: refusal.nodes,
            })
            .collect();
        let outputs = error.values_before().to_vec();
        let (schema, tool) = (1, TOOL.to_owned());
        (!refusals.is_empty()).then_some(Self { schema, tool, refusals, outputs })
    }

    /// As JSON, schema 1.
    #[expect(clippy::missing_panics_doc, reason = "every key is a string")]
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("every key is a string");
        text.push('\n');
        text
    }
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
