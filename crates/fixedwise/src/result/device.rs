//! What a network takes of a device, known before there is one.

use super::{
    exported::CExportedLayer,
    run::{HolderResult, SchedulePart},
};
use serde::{Deserialize, Serialize};

/// What generated C takes on a target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeviceResult {
    /// The target.
    pub target: String,
    /// The processor whose instructions are counted.
    pub processor: String,
    /// Bits of every weight and activation, where they are those of no plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bits: Option<u8>,
    /// `fast` or `small`: the kernels.
    pub kernels: String,
    /// Instructions that are executed for an image.
    pub instructions: u64,
    /// Of these, what computing rows in their order takes beside the layers.
    pub schedule_instructions: u64,
    /// Kernels that were not measured on the processor: their instructions are not among those counted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uncounted: Vec<String>,
    /// The time of an image, where a clock is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock: Option<ClockResult>,
    /// Bytes of constants and code.
    pub flash_bytes: u64,
    /// Of these, bytes of constants.
    pub constant_bytes: u64,
    /// Bytes of the arena; the caller's input and output come on top.
    pub peak_ram_bytes: u64,
    /// What lies in the arena where it holds most, the largest first: values, and how many of their rows, and the working
    /// memory of a kernel.
    pub peak: Vec<HolderResult>,
    /// What is computed whole and what row by row, in order.
    pub schedule: Vec<SchedulePart>,
    /// Node by node.
    pub layers: Vec<CExportedLayer>,
}

/// The time of an image at a clock.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClockResult {
    /// Cycles of a second.
    pub hz: u64,
    /// Cycles that an instruction is taken to need in the mean.
    pub cycles_per_instruction: f64,
    /// Milliseconds of an image.
    pub milliseconds: f64,
}
