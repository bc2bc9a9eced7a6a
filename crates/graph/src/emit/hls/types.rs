//! What an operation sees when it says its types, and types in the terms of HLS.

use crate::{lower::requantization::Requantization, shape::Shape};
use fixedwise_fixed::{Format, Multiplier, Range, Rounding};

/// A node whose types are asked for.
#[derive(Clone, Debug)]
pub struct HlsNode<'a> {
    /// Its name in the network.
    pub name: &'a str,
    /// Extents and formats of its inputs.
    pub inputs: Vec<(Shape, Format)>,
    /// Extents of its value.
    pub shape: Shape,
    /// Format of its value.
    pub format: Format,
}

impl HlsNode<'_> {
    /// The type of its value, rounded so.
    pub(crate) fn result(&self, rounding: &str) -> (&'static str, String) {
        ("result", format_type(self.format, rounding))
    }
}

/// The types of one node.
#[derive(Clone, Debug, Default)]
pub struct HlsTypes {
    /// What the types alone do not say.
    pub(crate) note: String,
    /// By what hls4ml calls them.
    pub(crate) kinds: Vec<(&'static str, String)>,
    /// Where QONNX adds something in nodes of their own: the type of the sums before the last of them.
    pub(crate) sums: String,
    /// What the names of these nodes have behind that of the node; the last rounds.
    pub(crate) added_in: Vec<&'static str>,
    /// Of a concatenation: what its values are joined in before the last.
    pub(crate) joins: Vec<String>,
}

impl HlsTypes {
    /// Of a node that only moves integers.
    pub(crate) fn of_input(node: &HlsNode) -> Self {
        let kinds = vec![node.result("AP_TRN")];
        Self { note: "Its input's format.".to_owned(), kinds, ..Self::default() }
    }
}

/// The rounding in HLS terms.
pub(crate) fn rounding_mode(requantization: &Requantization) -> &'static str {
    match requantization.rounding {
        Rounding::TiesUp => "AP_RND",
        Rounding::TiesEven => "AP_RND_CONV",
        Rounding::Floor => "AP_TRN",
    }
}

/// What the type alone does not do.
pub(crate) fn clamp_note(requantization: &Requantization) -> String {
    let Requantization { min, max, leaky, format, .. } = *requantization;
    let mut text = String::new();
    if (min, max) != (format.min(), format.max()) {
        text.push_str(&format!(
            "Clamped to {} .. {}.",
            format.dequantize(min),
            format.dequantize(max)
        ));
    }
    if let Some(Multiplier { mantissa, frac }) = leaky {
        text.push_str(&format!(
            " Below 0 the sum is multiplied by {mantissa} * 2^{} before it is rounded.",
            -frac
        ));
    }
    text.trim().to_owned()
}

/// A format with rounding and saturation.
pub(crate) fn format_type(format: Format, rounding: &str) -> String {
    let (bits, whole) = (format.twos_complement_bits(), format.integer_bits());
    match format.range {
        Range::Unsigned => format!("ap_ufixed<{bits},{whole},{rounding},AP_SAT>"),
        Range::Narrow | Range::Bipolar => format!("ap_fixed<{bits},{whole},{rounding},AP_SAT_SYM>"),
        Range::Full => format!("ap_fixed<{bits},{whole},{rounding},AP_SAT>"),
    }
}

/// A signed type that its values never leave.
pub(crate) fn exact_type(bits: u8, frac: i32) -> String {
    format!("ap_fixed<{bits},{}>", i32::from(bits) - frac)
}
