//! The element types of ONNX.

/// The type of the elements of a tensor in an ONNX file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElementType {
    /// IEEE 754 single precision.
    F32,
    /// Unsigned integers of 8 bits.
    U8,
    /// Signed integers of 8 bits.
    I8,
    /// Unsigned integers of 16 bits.
    U16,
    /// Signed integers of 16 bits.
    I16,
    /// Signed integers of 32 bits.
    I32,
    /// Signed integers of 64 bits.
    I64,
    /// Truth values.
    Bool,
    /// IEEE 754 half precision.
    F16,
    /// IEEE 754 double precision.
    F64,
    /// Unsigned integers of 32 bits.
    U32,
    /// Unsigned integers of 64 bits.
    U64,
    /// The upper half of single precision.
    Bf16,
    /// Any other, by its number in ONNX.
    Other(i32),
}

/// Number in ONNX, type, name in ONNX.
const ELEMENT_TYPES: [(i32, ElementType, &str); 13] = [
    (1, ElementType::F32, "FLOAT"),
    (2, ElementType::U8, "UINT8"),
    (3, ElementType::I8, "INT8"),
    (4, ElementType::U16, "UINT16"),
    (5, ElementType::I16, "INT16"),
    (6, ElementType::I32, "INT32"),
    (7, ElementType::I64, "INT64"),
    (9, ElementType::Bool, "BOOL"),
    (10, ElementType::F16, "FLOAT16"),
    (11, ElementType::F64, "DOUBLE"),
    (12, ElementType::U32, "UINT32"),
    (13, ElementType::U64, "UINT64"),
    (16, ElementType::Bf16, "BFLOAT16"),
];

impl ElementType {
    /// Unsigned integers of 4 bits; written, not read.
    pub const U4: Self = Self::Other(21);
    /// Signed integers of 4 bits; written, not read.
    pub const I4: Self = Self::Other(22);

    /// The type with that number in ONNX.
    pub fn from_code(code: i32) -> Self {
        let known = ELEMENT_TYPES.iter().find(|(known, ..)| *known == code);
        known.map_or(Self::Other(code), |&(_, element, _)| element)
    }

    /// Whether it is a float that is read: of 16, 32 or 64 bits.
    pub fn is_float(self) -> bool {
        matches!(self, Self::F16 | Self::Bf16 | Self::F32 | Self::F64)
    }

    /// Its number in ONNX.
    pub fn code(self) -> i32 {
        match self {
            Self::Other(code) => code,
            _ => ELEMENT_TYPES
                .iter()
                .find(|(_, element, _)| *element == self)
                .map_or(0, |&(code, ..)| code),
        }
    }
}

impl std::fmt::Display for ElementType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Other(0) => f.write_str("UNDEFINED"),
            Self::Other(8) => f.write_str("STRING"),
            Self::Other(14 | 15) => f.write_str("COMPLEX"),
            Self::Other(17..=20 | 24) => f.write_str("FLOAT8"),
            Self::Other(23) => f.write_str("FLOAT4"),
            Self::Other(27 | 28) => f.write_str("FLOAT6"),
            Self::Other(21 | 22) => f.write_str("INT4"),
            Self::Other(25 | 26) => f.write_str("INT2"),
            Self::Other(code) => write!(f, "number {code}"),
            _ => f.write_str(
                ELEMENT_TYPES
                    .iter()
                    .find(|(_, element, _)| element == self)
                    .map_or("unknown", |&(.., name)| name),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_of_a_tensor_has_a_name_and_a_number() {
        for code in -1..30 {
            let element = ElementType::from_code(code);
            assert_eq!(element.code(), code, "{element}");
            assert!(!element.to_string().is_empty());
        }
        assert_eq!(ElementType::from_code(10).to_string(), "FLOAT16");
        assert_eq!(ElementType::from_code(99).to_string(), "number 99");
    }
}
