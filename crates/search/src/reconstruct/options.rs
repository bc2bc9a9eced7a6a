//! What the rounding of weights may do.

use fixedwise_fixed::Range;

/// What rounding may do.
#[derive(Clone, Debug, PartialEq)]
pub struct RoundingOptions {
    /// Ranges of signed weights, the preferred one first.
    pub ranges: Vec<Range>,
    /// Range of biases.
    pub bias_range: Range,
    /// Whether each output channel may have a binary point of its own.
    pub by_channel: bool,
    /// Whether weights make up for what earlier layers changed.
    pub compensate: bool,
}

impl Default for RoundingOptions {
    /// Signed weights with and without the lowest integer, compensated.
    fn default() -> Self {
        Self {
            ranges: vec![Range::Narrow, Range::Full],
            bias_range: Range::Narrow,
            by_channel: false,
            compensate: true,
        }
    }
}
