use super::Clip;
use crate::{
    error::ImportError,
    import::{
        onnx::attributes::Attributes,
        onnx::constant::{range, rounded_bits},
        onnx::reader::{Reader, node_error},
    },
    rounded_before::RoundedValue,
};
use fixedwise_codec::onnx::{self, ElementType};
use fixedwise_fixed::convert::{f64_to_f32, i64_to_f64};

/// Real values of integers that were computed: the values themselves.
///
/// Source: ONNX `DequantizeLinear`, opset 24.
pub(super) fn import_dequantize(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    let mut attributes = Attributes::new(node);
    for name in ["axis", "block_size", "output_dtype"] {
        attributes.optional_int(name)?;
    }
    attributes.finish()?;
    reader.alias(node, 0)
}

/// Computed values as integers: the values themselves, since a plan decides how they are rounded. But quantizers leave
/// a ReLU or ReLU6 out where integers that begin at zero clip the same, so this clips.
///
/// Source: ONNX `QuantizeLinear`, opset 24.
pub(super) fn import_quantize(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    let mut attributes = Attributes::new(node);
    for name in ["axis", "block_size", "saturate", "precision"] {
        attributes.optional_int(name)?;
    }
    let code = attributes.int("output_dtype", 0)?;
    attributes.finish()?;
    let scale = match reader.float_constant(node, 1)?.1 {
        &[scale] if scale > 0.0 => f64::from(scale),
        _ => return Err(node_error(node, "its scale must be one number above zero")),
    };
    let (zero, element) = if Reader::has_input(node, 2) {
        let element = reader.constant(node, 2)?.element;
        let zero = reader.int_constant(node, 2)?;
        (zero.first().copied().unwrap_or(0), element)
    } else {
        let code = i32::try_from(code).unwrap_or(0);
        (0, if code == 0 { ElementType::U8 } else { ElementType::from_code(code) })
    };
    let (least, most) = range(element);
    let view = reader.view(node, 0)?;
    if let Some(bits) = rounded_bits(element) {
        let real = |integer: i64| f64_to_f32(scale * i64_to_f64(integer.saturating_sub(zero)));
        let value = RoundedValue { bits, range: [real(least), real(most)] };
        reader.builder.note_rounding(view.node, value);
    }
    // What moves or joins values that were clipped has nothing more to clip.
    if zero != least || !reader.builder.computes(view.node) {
        return reader.alias(node, 0);
    }
    let max = f64_to_f32(scale * i64_to_f64(most.saturating_sub(zero)));
    reader.push_each(node, Clip { min: 0.0, max })
}
