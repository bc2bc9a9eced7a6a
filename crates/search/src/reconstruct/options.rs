//! What the rounding of weights may do.

use fixedwise_fixed::{Format, Range};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What rounding may do.
#[derive(Clone, Debug, PartialEq)]
pub struct RoundingOptions {
    /// How integers are chosen.
    pub method: Method,
    /// Ranges of signed weights, the preferred one first.
    pub ranges: Vec<Range>,
    /// Range of biases.
    pub bias_range: Range,
    /// Whether each output channel may have a binary point of its own.
    pub by_channel: bool,
    /// Whether weights make up for what earlier layers changed.
    pub compensate: bool,
    /// By layer, binary points of weights that are given.
    pub points: BTreeMap<String, i8>,
    /// By layer, what is given of its bias.
    pub biases: BTreeMap<String, GivenBias>,
}

/// How the integers of a layer are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Weights that are not yet rounded make up for the errors of those that are, weighted by what the calibration
    /// images give the layer; biases are corrected on these images.
    #[default]
    Feedback,
    /// Each weight and bias is rounded to the nearest, whatever the images.
    Nearest,
}

/// What is given of the format of a bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GivenBias {
    /// Its width.
    Bits(u8),
    /// Its width and binary point.
    Format(Format),
    /// The scale of the accumulator.
    Accumulator,
}

impl Default for RoundingOptions {
    /// Signed weights with and without the lowest integer, compensated.
    fn default() -> Self {
        Self {
            method: Method::Feedback,
            ranges: vec![Range::Narrow, Range::Full],
            bias_range: Range::Narrow,
            by_channel: false,
            compensate: true,
            points: BTreeMap::new(),
            biases: BTreeMap::new(),
        }
    }
}
