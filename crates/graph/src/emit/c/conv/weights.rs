//! How weights lie in constant memory.

use super::{coded::Coded, three};
use crate::emit::c::{
    options::WeightCode,
    source::{Source, fill},
};

/// Stored weights and how C reads them.
pub(super) struct Weights {
    /// Their C type.
    pub(super) ctype: &'static str,
    /// Bits of one where they are packed.
    pub(super) packed: Option<u8>,
    /// How kernels get at them.
    pub(super) unpack: Unpack,
}

/// How packed weights are unpacked.
pub(super) enum Unpack {
    /// Each has bits of its own.
    Fields,
    /// They have three values, five to a byte, this power of two.
    Three(u32),
    /// They have codes.
    Codes(Coded),
}

impl Weights {
    /// Puts the weights into the file, in that order.
    pub(super) fn store(
        source: &mut Source,
        name: &str,
        bits: u8,
        weights: impl IntoIterator<Item = i16>,
    ) -> Self {
        let (ctype, _) = store(source, name, bits, weights);
        let packed = (ctype == "uint8_t").then_some(bits);
        if packed.is_some() {
            source.once(&format!("weight_{bits}"), accessor(bits));
        }
        Self { ctype, packed, unpack: Unpack::Fields }
    }

    /// Puts weights of three values into the file, parts that begin with a byte.
    pub(super) fn store_three(
        source: &mut Source,
        name: &str,
        power: u32,
        parts: impl IntoIterator<Item = Vec<i16>>,
    ) -> Self {
        let bytes = parts.into_iter().flat_map(|part| three::of_weights(&part));
        source.weights("uint8_t", name, bytes);
        source.once("unpackthree", include_str!("../text/unpack_three.c"));
        Self { ctype: "uint8_t", packed: Some(2), unpack: Unpack::Three(power) }
    }

    /// Puts weights into the file that have codes; `layer` is its name.
    pub(super) fn store_coded(source: &mut Source, layer: &str, coded: Coded) -> Self {
        coded.store(source, layer);
        Self { ctype: "uint8_t", packed: Some(8), unpack: Unpack::Codes(coded) }
    }

    /// How they lie in memory.
    pub(super) fn code(&self) -> WeightCode {
        match self.unpack {
            Unpack::Fields => WeightCode::Fields,
            Unpack::Three(_) => WeightCode::Digits,
            Unpack::Codes(_) => WeightCode::Codes,
        }
    }

    /// What tells functions over differently stored weights apart.
    pub(super) fn short(&self) -> String {
        match (self.packed, self.ctype) {
            (Some(bits), _) => format!("w{bits}"),
            (None, "int8_t") => "w8".to_owned(),
            (None, _) => "w16".to_owned(),
        }
    }

    /// The expression for the weight at an index.
    pub(super) fn at(&self, prefix: &str, index: &str) -> String {
        match self.packed {
            Some(bits) => format!("{prefix}_weight_{bits}(weights, {index})"),
            None => format!("weights[{index}]"),
        }
    }

    /// The type of unpacked weights.
    pub(super) fn unpacked(&self) -> &'static str {
        match self.packed {
            Some(9..) => "int16_t",
            Some(_) => "int8_t",
            None => self.ctype,
        }
    }
}

/// Puts the weights into the file, in that order: as C integers, or packed into bytes. Gives their C type and what
/// [`Source::weights`] does.
pub(super) fn store(
    source: &mut Source,
    name: &str,
    bits: u8,
    weights: impl IntoIterator<Item = i16>,
) -> (&'static str, String) {
    let weights = weights.into_iter().map(i64::from);
    let ctype = match bits {
        8 => "int8_t",
        16 => "int16_t",
        _ => "uint8_t",
    };
    let initializer = match ctype {
        "uint8_t" => source.weights(ctype, name, pack(weights, bits)),
        _ => source.weights(ctype, name, weights),
    };
    (ctype, initializer)
}

/// A stream of `bits`-bit integers, least significant bits first, as bytes; of one bit the signs of -1 and +1.
/// Widths that may straddle bytes are followed by what the reader takes along.
fn pack(weights: impl Iterator<Item = i64>, bits: u8) -> Vec<i64> {
    let (mut bytes, mut field, mut filled) = (Vec::new(), 0_i64, 0);
    let mask = (1_i64 << bits) - 1;
    for weight in weights {
        let stored = if bits == 1 { i64::from(weight < 0) } else { weight & mask };
        field |= stored << filled;
        filled += bits;
        while filled >= 8 {
            bytes.push(field & 255);
            field >>= 8;
            filled -= 8;
        }
    }
    if filled > 0 {
        bytes.push(field & 255);
    }
    bytes.resize(bytes.len() + reach(bits) - 1, 0);
    bytes
}

/// Bytes that one integer of a stream may touch.
fn reach(bits: u8) -> usize {
    if 8 % bits == 0 { 1 } else { (usize::from(bits) + 7).div_ceil(8) }
}

fn accessor(bits: u8) -> String {
    let bytes: Vec<String> = (0..reach(bits))
        .map(|byte| match byte {
            0 => "(uint32_t)weights[at >> 3]".to_owned(),
            _ => format!("((uint32_t)weights[(at >> 3) + {byte}] << {})", 8 * byte),
        })
        .collect();
    let field = format!("({}) >> (at & 7)", bytes.join(" | "));
    let (mask, sign) = ((1_u32 << bits) - 1, 1_u32 << (bits - 1));
    let (what, weight) = if bits == 1 {
        ("of signs".to_owned(), "1 - 2 * (int32_t)(field & 1)".to_owned())
    } else {
        (
            format!("of {bits}-bit integers"),
            format!("(int32_t)((field & {mask}) ^ {sign}) - {sign}"),
        )
    };
    let bits = bits.to_string();
    let values = [
        ("P", "$P"),
        ("BITS", bits.as_str()),
        ("WHAT", &what),
        ("FIELD", &field),
        ("WEIGHT", &weight),
    ];
    fill(include_str!("../text/weight.c"), &values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_packed_from_the_least_significant_bit() {
        assert_eq!(pack([1, -1, 7, -8].into_iter(), 4), [0xf1, 0x87]);
        assert_eq!(pack([1, -2, -1].into_iter(), 2), [0b11_10_01]);
        assert_eq!(pack([-1, 1, -1].into_iter(), 1), [0b101]);
        // 5 bits: 00001, 11111; the second reaches into the next byte, the last one must exist.
        assert_eq!(pack([1, -1].into_iter(), 5), [0b1110_0001, 0b11, 0]);
    }
}
