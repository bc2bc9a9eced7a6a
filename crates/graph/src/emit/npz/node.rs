//! What an operation sees when it describes itself, and how what several have is described.

use crate::{lower::requantization::Requantization, shape::Shape, window::Window};
use fixedwise_codec::npz::encode_integers;
use fixedwise_fixed::{Format, Rounding};
use serde_json::{Value, json};

/// A node to describe: its surroundings, and the archive that takes its arrays.
#[derive(Debug)]
pub struct NpzNode<'a> {
    /// Its name in the network.
    pub name: &'a str,
    /// Extents of its value.
    pub shape: Shape,
    /// What the names of its arrays begin with.
    pub(super) prefix: String,
    /// Names and files.
    pub(super) arrays: &'a mut Vec<(String, Vec<u8>)>,
}

impl NpzNode<'_> {
    /// Stores an array; gives its name.
    pub(crate) fn array(&mut self, kind: &str, shape: &[usize], values: &[i64]) -> Value {
        let name = format!("{}.{kind}", self.prefix);
        self.arrays.push((name.clone(), encode_integers(shape, values)));
        Value::from(name)
    }
}

/// A window in the archive's terms.
pub(crate) fn json_window(window: &Window) -> Value {
    json!({
        "kernel": window.kernel,
        "stride": window.stride,
        "dilation": window.dilation,
        "pad_begin": window.pad_begin,
    })
}

/// A format in the archive's terms.
pub(crate) fn json_format(format: Format) -> Value {
    json!({ "bits": format.bits, "frac": format.frac, "range": format.range.name() })
}

/// A requantization in the archive's terms.
pub(crate) fn json_requantization(requantization: &Requantization) -> Value {
    let rounding = match requantization.rounding {
        Rounding::TiesUp => "ties-up",
        Rounding::TiesEven => "ties-even",
        Rounding::Floor => "floor",
    };
    json!({
        "shift": requantization.shift,
        "rounding": rounding,
        "min": requantization.min,
        "max": requantization.max,
        "leaky": requantization
            .leaky
            .map(|slope| json!({ "mantissa": slope.mantissa, "frac": slope.frac })),
    })
}
