//! What an export of C wrote.

use super::{
    device::ClockResult,
    preprocessing::PreprocessingResult,
    run::{CodeResult, HolderResult, SchedulePart},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::PathBuf};

/// A layer as it was printed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CExportedLayer {
    /// The node.
    pub name: String,
    /// The kernel that computes it.
    pub kernel: String,
    /// Bits of its weights, where it has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_bits: Option<u8>,
    /// Bits of its value's format.
    pub value_bits: u8,
    /// Instructions that it executes for an image.
    pub instructions: u64,
    /// Their time, where a clock is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub milliseconds: Option<f64>,
    /// Bytes of its weights, biases and what describes it.
    pub constant_bytes: u64,
    /// Bytes that are held of its value.
    pub value_bytes: u64,
    /// Rows that are held of its value, where that is not all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// Bytes of working memory while it runs.
    pub scratch_bytes: u64,
}

/// What [`export_c`](crate::export_c()) wrote.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CExported {
    /// The files.
    pub files: Vec<PathBuf>,
    /// What every name in them begins with.
    pub name: String,
    /// The target.
    pub target: String,
    /// What the network is fed; it is part of the code.
    pub preprocessing: PreprocessingResult,
    /// What looks wrong with the images of the test.
    pub warnings: Vec<String>,
    /// Bytes of constants and code.
    pub flash_bytes: u64,
    /// Of these, bytes of constants.
    pub constant_bytes: u64,
    /// Bytes of the file that weights lie in, where they do; it is not part of the flash above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight_file_bytes: Option<u64>,
    /// Bytes of code by the flag of the compiler, `-Os` and `-O2`; `flash_bytes` has those of
    /// [`CodeResult::optimization`].
    pub code_bytes: BTreeMap<String, u64>,
    /// The kernels, why these were chosen, and the processor and compiler of which the bytes are.
    pub code: Option<CodeResult>,
    /// Bytes of the arena; the caller's input and output come on top.
    pub peak_ram_bytes: u64,
    /// What lies in the arena where it holds most, the largest first.
    pub peak: Vec<HolderResult>,
    /// What is computed whole and what row by row, in order.
    pub schedule: Vec<SchedulePart>,
    /// Instructions that are executed for an image.
    pub instructions: u64,
    /// Of these, what computing rows in their order takes beside the layers.
    pub schedule_instructions: u64,
    /// Kernels that were not measured on the processor: their instructions are not among those counted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uncounted: Vec<String>,
    /// The time of an image, where a clock is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock: Option<ClockResult>,
    /// Node by node.
    pub layers: Vec<CExportedLayer>,
}

impl CExported {
    /// As JSON.
    ///
    /// # Panics
    /// Never: it holds names and numbers.
    pub fn to_json(&self) -> String {
        let mut json = serde_json::to_string_pretty(self).expect("names and numbers");
        json.push('\n');
        json
    }
}
