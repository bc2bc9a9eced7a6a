//! Functions of one integer from tables: an entry for each integer, or straight lines between entries.

use crate::rescale::{Narrowed, with_slice};
use crate::{Integers, IntegersMut, Kernels};
use fixedwise_fixed::{Rounding, shift_round};

/// The value of every integer from `first` on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entries {
    /// The smallest integer.
    pub first: i64,
    /// Its value, and those of the next.
    pub values: Vec<i16>,
}

/// A table of entries, ready to be looked up.
pub struct LookUp {
    entries: Entries,
    /// The entry of the integer that is each byte, as a byte.
    bytes: Box<[u8; 256]>,
}

impl LookUp {
    /// From its entries.
    pub fn new(entries: Entries) -> Self {
        let mut bytes = Box::new([0; 256]);
        for (i, &value) in entries.values.iter().enumerate().take(256) {
            bytes[usize::from((entries.first + i as i64) as u8)] = value as u8;
        }
        LookUp { entries, bytes }
    }

    /// Writes the value of each `x`.
    ///
    /// # Panics
    /// If the lengths differ, or an `x` of more than a byte has no entry.
    pub fn apply(&self, kernels: &Kernels, x: Integers, mut y: IntegersMut) {
        assert_eq!(x.len(), y.len(), "the lengths differ");
        if let (Some(x), Some(y)) = (x.bytes(), y.reborrow().into_bytes()) {
            (kernels.plain.look_up_u8)(&self.bytes, x, y);
            return;
        }
        let first = self.entries.first as i32;
        with_slice!(Integers, x, |x| with_slice!(IntegersMut, y, |y| {
            fn look_up<X: Narrowed, Y: Narrowed>(values: &[i16], first: i32, x: &[X], y: &mut [Y]) {
                for (y, x) in y.iter_mut().zip(x) {
                    *y = Y::narrow(i32::from(values[(x.widen() - first) as usize]));
                }
            }
            look_up(&self.entries.values, first, x, y);
        }));
    }
}

/// The entry of each byte.
#[inline(always)]
pub(crate) fn bytes(table: &[u8; 256], x: &[u8], y: &mut [u8]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y = table[usize::from(x)];
    }
}

/// Straight lines between the values of integers that are `2^shift` apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lines {
    /// The smallest integer.
    pub first: i64,
    /// Its value and those of each `2^shift` further on, with `guard` more fractional bits than the result:
    /// one more than there are lines.
    pub values: Vec<i32>,
    /// Bits of the distance.
    pub shift: u32,
    /// Fractional bits that are dropped at last.
    pub guard: u32,
    /// The smallest result.
    pub min: i64,
    /// The largest result.
    pub max: i64,
}

impl Lines {
    /// The specification: the two values around `x`, weighted and rounded, then rounded to the result's
    /// step, halves up, and saturated.
    ///
    /// # Panics
    /// If `x` is not between two of the values.
    #[inline]
    pub fn value(&self, x: i64) -> i64 {
        let from = x - self.first;
        let (line, rest) = ((from >> self.shift) as usize, from & ((1 << self.shift) - 1));
        let [low, high] = [self.values[line], self.values[line + 1]].map(i64::from);
        let between = shift_round((high - low) * rest, self.shift as i32, Rounding::TiesUp);
        shift_round(low + between, self.guard as i32, Rounding::TiesUp).clamp(self.min, self.max)
    }

    /// The values of all integers between the two ends.
    pub fn entries(&self) -> Entries {
        let n = (self.values.len() as i64 - 1) << self.shift;
        let value = |i: i64| self.value(self.first + i) as i16;
        Entries { first: self.first, values: (0..n).map(value).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_found_whatever_the_types() {
        let values: Vec<i16> = (-127..128).map(|x| (x * x) % 101).collect();
        let entries = Entries { first: -127, values };
        // Every integer, and a number of them that no vector divides.
        let x: Vec<i8> = (0..511).map(|i| (i % 255 - 127) as i8).collect();
        let table = LookUp::new(entries);
        for kernels in Kernels::all() {
            let (mut bytes, mut words) = (vec![0_u8; x.len()], vec![0_i16; x.len()]);
            table.apply(kernels, Integers::I8(&x), IntegersMut::U8(&mut bytes));
            table.apply(kernels, Integers::I8(&x), IntegersMut::I16(&mut words));
            for (i, x) in x.iter().enumerate() {
                let expected = (i16::from(*x) * i16::from(*x)) % 101;
                let got = (i16::from(bytes[i]), words[i]);
                assert_eq!(got, (expected, expected), "{}: {x}", kernels.name);
            }
        }
    }

    #[test]
    fn bytes_of_either_sign_are_found_in_every_table() {
        let values: Vec<i16> = (0..256).map(|x| (x * 37) % 251 - 125).collect();
        let x: Vec<u8> = (0..700).map(|i| (i * 7) as u8).collect();
        let expected: Vec<i8> = x.iter().map(|&x| values[usize::from(x)] as i8).collect();
        for kernels in Kernels::all() {
            for n in [0, 1, 63, 64, 65, 700] {
                let entries = Entries { first: 0, values: values.clone() };
                let mut y = vec![0_i8; n];
                LookUp::new(entries).apply(kernels, Integers::U8(&x[..n]), IntegersMut::I8(&mut y));
                assert_eq!(y, expected[..n], "{}, {n} elements", kernels.name);
            }
        }
    }

    #[test]
    fn lines_join_their_values() {
        let lines =
            Lines { first: -8, values: vec![0, 40, -24], shift: 3, guard: 2, min: -4, max: 9 };
        // 0, 5, ... 40, then down by 8; in quarters, halves up.
        let expected = [0, 1, 3, 4, 5, 6, 8, 9, 9, 8, 6, 4, 2, 0, -2, -4];
        let x: Vec<i8> = (-8..8).collect();
        let mut y = vec![0_i8; 16];
        LookUp::new(lines.entries()).apply(
            Kernels::best(),
            Integers::I8(&x),
            IntegersMut::I8(&mut y),
        );
        assert_eq!(y, expected);
    }
}
