//! Names of operators and their options.

use super::flatbuffer::{BufferError, Table};
use crate::onnx::ElementType;
use std::collections::BTreeMap;

/// Operators by their number in the schema.
const NAMES: &[&str] = &[
    "ADD",
    "AVERAGE_POOL_2D",
    "CONCATENATION",
    "CONV_2D",
    "DEPTHWISE_CONV_2D",
    "DEPTH_TO_SPACE",
    "DEQUANTIZE",
    "EMBEDDING_LOOKUP",
    "FLOOR",
    "FULLY_CONNECTED",
    "HASHTABLE_LOOKUP",
    "L2_NORMALIZATION",
    "L2_POOL_2D",
    "LOCAL_RESPONSE_NORMALIZATION",
    "LOGISTIC",
    "LSH_PROJECTION",
    "LSTM",
    "MAX_POOL_2D",
    "MUL",
    "RELU",
    "RELU_N1_TO_1",
    "RELU6",
    "RESHAPE",
    "RESIZE_BILINEAR",
    "RNN",
    "SOFTMAX",
    "SPACE_TO_DEPTH",
    "SVDF",
    "TANH",
    "CONCAT_EMBEDDINGS",
    "SKIP_GRAM",
    "CALL",
    "CUSTOM",
    "EMBEDDING_LOOKUP_SPARSE",
    "PAD",
    "UNIDIRECTIONAL_SEQUENCE_RNN",
    "GATHER",
    "BATCH_TO_SPACE_ND",
    "SPACE_TO_BATCH_ND",
    "TRANSPOSE",
    "MEAN",
    "SUB",
    "DIV",
    "SQUEEZE",
    "UNIDIRECTIONAL_SEQUENCE_LSTM",
    "STRIDED_SLICE",
    "BIDIRECTIONAL_SEQUENCE_RNN",
    "EXP",
    "TOPK_V2",
    "SPLIT",
    "LOG_SOFTMAX",
    "DELEGATE",
    "BIDIRECTIONAL_SEQUENCE_LSTM",
    "CAST",
    "PRELU",
    "MAXIMUM",
    "ARG_MAX",
    "MINIMUM",
    "LESS",
    "NEG",
    "PADV2",
    "GREATER",
    "GREATER_EQUAL",
    "LESS_EQUAL",
    "SELECT",
    "SLICE",
    "SIN",
    "TRANSPOSE_CONV",
    "SPARSE_TO_DENSE",
    "TILE",
    "EXPAND_DIMS",
    "EQUAL",
    "NOT_EQUAL",
    "LOG",
    "SUM",
    "SQRT",
    "RSQRT",
    "SHAPE",
    "POW",
    "ARG_MIN",
    "FAKE_QUANT",
    "REDUCE_PROD",
    "REDUCE_MAX",
    "PACK",
    "LOGICAL_OR",
    "ONE_HOT",
    "LOGICAL_AND",
    "LOGICAL_NOT",
    "UNPACK",
    "REDUCE_MIN",
    "FLOOR_DIV",
    "REDUCE_ANY",
    "SQUARE",
    "ZEROS_LIKE",
    "FILL",
    "FLOOR_MOD",
    "RANGE",
    "RESIZE_NEAREST_NEIGHBOR",
    "LEAKY_RELU",
    "SQUARED_DIFFERENCE",
    "MIRROR_PAD",
    "ABS",
    "SPLIT_V",
    "UNIQUE",
    "CEIL",
    "REVERSE_V2",
    "ADD_N",
    "GATHER_ND",
    "COS",
    "WHERE",
    "RANK",
    "ELU",
    "REVERSE_SEQUENCE",
    "MATRIX_DIAG",
    "QUANTIZE",
    "MATRIX_SET_DIAG",
    "ROUND",
    "HARD_SWISH",
    "IF",
    "WHILE",
    "NON_MAX_SUPPRESSION_V4",
    "NON_MAX_SUPPRESSION_V5",
    "SCATTER_ND",
    "SELECT_V2",
    "DENSIFY",
    "SEGMENT_SUM",
    "BATCH_MATMUL",
    "PLACEHOLDER_FOR_GREATER_OP_CODES",
    "CUMSUM",
    "CALL_ONCE",
    "BROADCAST_TO",
    "RFFT2D",
    "CONV_3D",
    "IMAG",
    "REAL",
    "COMPLEX_ABS",
    "HASHTABLE",
    "HASHTABLE_FIND",
    "HASHTABLE_IMPORT",
    "HASHTABLE_SIZE",
    "REDUCE_ALL",
    "CONV_3D_TRANSPOSE",
    "VAR_HANDLE",
    "READ_VARIABLE",
    "ASSIGN_VARIABLE",
    "BROADCAST_ARGS",
    "RANDOM_STANDARD_NORMAL",
    "BUCKETIZE",
    "RANDOM_UNIFORM",
    "MULTINOMIAL",
    "GELU",
    "DYNAMIC_UPDATE_SLICE",
    "RELU_0_TO_1",
    "UNSORTED_SEGMENT_PROD",
    "UNSORTED_SEGMENT_MAX",
    "UNSORTED_SEGMENT_SUM",
    "ATAN2",
    "UNSORTED_SEGMENT_MIN",
    "SIGN",
    "BITCAST",
    "BITWISE_XOR",
    "RIGHT_SHIFT",
];

/// The number of operators with a name of their own in the file.
pub(super) const CUSTOM: i32 = 32;

/// The name of a number.
pub(super) fn name(code: i32) -> Option<&'static str> {
    usize::try_from(code).ok().and_then(|code| NAMES.get(code).copied())
}

/// The number of a name.
pub(super) fn number(name: &str) -> Option<i32> {
    let place = NAMES.iter().position(|known| *known == name)?;
    i32::try_from(place).ok()
}

/// The number of an operator's options among the kinds of options; nothing where it has none.
pub(super) fn union_type(operator: &str) -> Option<u8> {
    Some(match operator {
        "CONV_2D" => 1,
        "DEPTHWISE_CONV_2D" => 2,
        "AVERAGE_POOL_2D" | "MAX_POOL_2D" | "L2_POOL_2D" => 5,
        "FULLY_CONNECTED" => 8,
        "CONCATENATION" => 10,
        "ADD" => 11,
        "SOFTMAX" => 9,
        "RESHAPE" => 17,
        "MUL" => 21,
        "PAD" => 22,
        "GATHER" => 23,
        "TRANSPOSE" => 26,
        "SUB" => 28,
        "STRIDED_SLICE" => 32,
        "CAST" => 37,
        "MAXIMUM" | "MINIMUM" => 39,
        "PADV2" => 43,
        "SLICE" => 48,
        "RESIZE_NEAREST_NEIGHBOR" => 74,
        "QUANTIZE" => 89,
        "DEPTH_TO_SPACE" => 94,
        "SPACE_TO_DEPTH" => 19,
        _ => return None,
    })
}

/// The first version of an operator that takes inputs of these types, the weights second.
pub(super) fn version(operator: &str, inputs: &[ElementType]) -> i32 {
    let wide = inputs.first() == Some(&ElementType::I16);
    let is_int8 = inputs.first() == Some(&ElementType::I8);
    match operator {
        "RESHAPE" | "CAST" => 1,
        "CONV_2D" | "DEPTHWISE_CONV_2D" if is_int8 => {
            if inputs.get(1) == Some(&ElementType::I4) {
                7
            } else {
                3
            }
        }
        "CONV_2D" | "MAXIMUM" | "MINIMUM" | "MUL" | "GATHER" | "SLICE" if wide => 4,
        "DEPTHWISE_CONV_2D" | "SUB" | "TRANSPOSE" if wide => 5,
        _ if wide => 3,
        _ if is_int8 => 2,
        _ => 1,
    }
}

/// Options by their name in the schema, defaults filled in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options {
    /// Numbers, truth values (0 and 1) and enumerations (their numbers).
    pub ints: BTreeMap<&'static str, i64>,
    /// Floats.
    pub floats: BTreeMap<&'static str, f32>,
    /// Lists of numbers.
    pub lists: BTreeMap<&'static str, Vec<i64>>,
}

impl Options {
    /// A number, 0 where the operator has no such option.
    pub fn int(&self, name: &str) -> i64 {
        self.ints.get(name).copied().unwrap_or(0)
    }

    /// A float, 0 where the operator has no such option.
    pub fn float(&self, name: &str) -> f32 {
        self.floats.get(name).copied().unwrap_or(0.0)
    }
}

/// How an option lies in its table.
pub(super) enum Kind {
    /// An enumeration or another number of 8 bits, 0 by default.
    Byte,
    /// A number of 32 bits and its default.
    Int(i32),
    Flag,
    Float,
    List,
}

/// The options of an operator: slot, name, kind.
pub(super) fn fields(operator: &str) -> &'static [(usize, &'static str, Kind)] {
    use Kind::{Byte, Flag, Float, Int, List};
    const ACTIVATION: &[(usize, &str, Kind)] = &[(0, "fused_activation", Byte)];
    const KEEP: &[(usize, &str, Kind)] = &[(0, "keep_dims", Flag)];
    match operator {
        "CONV_2D" => &[
            (0, "padding", Byte),
            (1, "stride_w", Int(0)),
            (2, "stride_h", Int(0)),
            (3, "fused_activation", Byte),
            (4, "dilation_w", Int(1)),
            (5, "dilation_h", Int(1)),
        ],
        "DEPTHWISE_CONV_2D" => &[
            (0, "padding", Byte),
            (1, "stride_w", Int(0)),
            (2, "stride_h", Int(0)),
            (3, "depth_multiplier", Int(0)),
            (4, "fused_activation", Byte),
            (5, "dilation_w", Int(1)),
            (6, "dilation_h", Int(1)),
        ],
        "TRANSPOSE_CONV" => &[
            (0, "padding", Byte),
            (1, "stride_w", Int(0)),
            (2, "stride_h", Int(0)),
            (3, "fused_activation", Byte),
        ],
        "AVERAGE_POOL_2D" | "MAX_POOL_2D" | "L2_POOL_2D" => &[
            (0, "padding", Byte),
            (1, "stride_w", Int(0)),
            (2, "stride_h", Int(0)),
            (3, "filter_w", Int(0)),
            (4, "filter_h", Int(0)),
            (5, "fused_activation", Byte),
        ],
        "FULLY_CONNECTED" => &[
            (0, "fused_activation", Byte),
            (1, "weights_format", Byte),
            (2, "keep_num_dims", Flag),
        ],
        // The second is true where it is left out; no reader but the kernels for 16 bits asks for it.
        "ADD" | "SUB" => &[(0, "fused_activation", Byte), (1, "pot_scale_int16", Flag)],
        "MUL" | "DIV" | "L2_NORMALIZATION" => ACTIVATION,
        "CONCATENATION" => &[(0, "axis", Int(0)), (1, "fused_activation", Byte)],
        "SOFTMAX" => &[(0, "beta", Float)],
        "RESHAPE" => &[(0, "new_shape", List)],
        "SQUEEZE" => &[(0, "squeeze_dims", List)],
        "RESIZE_BILINEAR" => &[(2, "align_corners", Flag), (3, "half_pixel_centers", Flag)],
        "RESIZE_NEAREST_NEIGHBOR" => &[(0, "align_corners", Flag), (1, "half_pixel_centers", Flag)],
        "DEPTH_TO_SPACE" | "SPACE_TO_DEPTH" => &[(0, "block_size", Int(0))],
        "MEAN" | "SUM" | "REDUCE_MAX" | "REDUCE_MIN" | "REDUCE_PROD" => KEEP,
        "STRIDED_SLICE" => &[
            (0, "begin_mask", Int(0)),
            (1, "end_mask", Int(0)),
            (2, "ellipsis_mask", Int(0)),
            (3, "new_axis_mask", Int(0)),
            (4, "shrink_axis_mask", Int(0)),
            (5, "offset", Flag),
        ],
        "SPLIT" | "SPLIT_V" => &[(0, "num_splits", Int(0))],
        "PACK" => &[(0, "values_count", Int(0)), (1, "axis", Int(0))],
        "UNPACK" => &[(0, "num", Int(0)), (1, "axis", Int(0))],
        "GATHER" => &[(0, "axis", Int(0)), (1, "batch_dims", Int(0))],
        "LEAKY_RELU" => &[(0, "alpha", Float)],
        "MIRROR_PAD" => &[(0, "mode", Byte)],
        "GELU" => &[(0, "approximate", Flag)],
        "BATCH_MATMUL" => &[(0, "adj_x", Flag), (1, "adj_y", Flag)],
        _ => &[],
    }
}

/// Reads the options of an operator from its table; all defaults where there is none.
pub(super) fn options(operator: &str, table: Option<&Table>) -> Result<Options, BufferError> {
    let mut options = Options::default();
    for (slot, name, kind) in fields(operator) {
        match (kind, table) {
            (Kind::Byte, Some(t)) => drop(options.ints.insert(name, t.i8(*slot, name, 0)?.into())),
            (Kind::Int(default), Some(t)) => {
                options.ints.insert(name, t.i32(*slot, name, *default)?.into());
            }
            (Kind::Flag, Some(t)) => drop(options.ints.insert(name, t.flag(*slot, name)?.into())),
            (Kind::Float, Some(t)) => drop(options.floats.insert(name, t.f32(*slot, name, 0.0)?)),
            (Kind::List, Some(t)) => {
                let list = t.i32s(*slot, name)?.into_iter().map(i64::from).collect();
                options.lists.insert(name, list);
            }
            (Kind::Int(default), None) => drop(options.ints.insert(name, i64::from(*default))),
            (Kind::Byte | Kind::Flag, None) => drop(options.ints.insert(name, 0)),
            (Kind::Float, None) => drop(options.floats.insert(name, 0.0)),
            (Kind::List, None) => {}
        }
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::name;

    #[test]
    fn numbers_are_those_of_the_schema() {
        for (code, expected) in [
            (0, "ADD"),
            (3, "CONV_2D"),
            (22, "RESHAPE"),
            (32, "CUSTOM"),
            (39, "TRANSPOSE"),
            (54, "PRELU"),
            (67, "TRANSPOSE_CONV"),
            (77, "SHAPE"),
            (97, "RESIZE_NEAREST_NEIGHBOR"),
            (98, "LEAKY_RELU"),
            (114, "QUANTIZE"),
            (117, "HARD_SWISH"),
            (123, "SELECT_V2"),
            (126, "BATCH_MATMUL"),
            (130, "BROADCAST_TO"),
            (150, "GELU"),
            (152, "RELU_0_TO_1"),
        ] {
            assert_eq!(name(code), Some(expected));
        }
        assert_eq!((name(-1), name(9999)), (None, None));
    }
}
