//! What every result says: of which tool, of which network, and how the job ended.

use serde::{Deserialize, Serialize};

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
}
