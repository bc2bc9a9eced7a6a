//! From one binary point to another.

/// How a requantization rounds what a right shift drops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Rounding {
    /// Add half, shift: ties towards +infinity. The default, and what the emitted C does.
    #[default]
    TiesUp,
    /// Ties to the even neighbor.
    TiesEven,
    /// Shift alone: towards -infinity.
    Floor,
}

impl Rounding {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::TiesUp, Self::TiesEven, Self::Floor];

    /// `ties-up`, `ties-even` or `floor`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TiesUp => "ties-up",
            Self::TiesEven => "ties-even",
            Self::Floor => "floor",
        }
    }
}

/// `stored * 2^-shift`, rounded; a negative `shift` multiplies and saturates at the ends of `i64`.
///
/// With `v = stored / 2^shift`: ties up is `floor(v + 1/2)`, floor is `floor(v)`, and ties to even
/// is the integer nearest to `v`, the even one of two. Exact for every input and every shift: no
/// intermediate overflows.
///
/// ```
/// use fixedwise_fixed::{Rounding, shift_round};
/// let round = |stored, rounding| shift_round(stored, 2, rounding);
/// // 10 / 4 = 2.5 and -10 / 4 = -2.5.
/// assert_eq!((round(10, Rounding::TiesUp), round(-10, Rounding::TiesUp)), (3, -2));
/// assert_eq!((round(10, Rounding::TiesEven), round(-10, Rounding::TiesEven)), (2, -2));
/// assert_eq!((round(10, Rounding::Floor), round(-10, Rounding::Floor)), (2, -3));
/// assert_eq!(shift_round(5, -3, Rounding::TiesUp), 40);
/// assert_eq!(shift_round(i64::MAX, -1, Rounding::TiesUp), i64::MAX);
/// ```
#[inline]
pub fn shift_round(stored: i64, shift: i32, rounding: Rounding) -> i64 {
    if shift <= 0 {
        return align(stored, shift.unsigned_abs());
    }
    if shift > 63 {
        // |stored| * 2^-shift is at most one half, and exactly that only for i64::MIN at 64.
        return match rounding {
            Rounding::Floor => -i64::from(stored < 0),
            Rounding::TiesUp | Rounding::TiesEven => 0,
        };
    }
    let floor = stored >> shift;
    // What the shift drops, and half of one: both are below 2^63.
    let dropped = stored - (floor << shift);
    let half = 1_i64 << (shift - 1);
    let up = match rounding {
        Rounding::Floor => false,
        Rounding::TiesUp => dropped.cast_unsigned() >= half.cast_unsigned(),
        Rounding::TiesEven => {
            let (dropped, half) = (dropped.cast_unsigned(), half.cast_unsigned());
            dropped > half || (dropped == half && floor & 1 == 1)
        }
    };
    floor + i64::from(up)
}

/// `stored * 2^shift`, saturating at the ends of `i64`.
///
/// ```
/// use fixedwise_fixed::align;
/// assert_eq!(align(-3, 4), -48);
/// assert_eq!(align(1, 63), i64::MAX);
/// assert_eq!(align(-1, 63), i64::MIN);
/// ```
#[inline]
pub fn align(stored: i64, shift: u32) -> i64 {
    if stored == 0 {
        return 0;
    }
    // Bits above the sign; a shift by more loses some.
    let spare = if stored < 0 { (!stored).leading_zeros() } else { stored.leading_zeros() } - 1;
    if shift <= spare {
        stored << shift
    } else if stored < 0 {
        i64::MIN
    } else {
        i64::MAX
    }
}

/// `stored` clamped to `min ..= max`.
///
/// # Panics
/// If `min > max`.
#[inline]
pub fn saturate(stored: i64, min: i64, max: i64) -> i64 {
    stored.clamp(min, max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition, on the exact quotient and remainder of a division; `shift <= 100`.
    fn by_division(stored: i64, shift: i32, rounding: Rounding) -> i64 {
        let stored = i128::from(stored);
        if shift <= 0 {
            // 2^64 times anything but 0 is outside of `i64` already.
            let scaled = stored * (1_i128 << shift.unsigned_abs().min(64));
            let clamped = scaled.clamp(i128::from(i64::MIN), i128::from(i64::MAX));
            return i64::try_from(clamped).expect("clamped");
        }
        let divisor = 1_i128 << shift;
        let (floor, rest) = (stored.div_euclid(divisor), stored.rem_euclid(divisor));
        let nearest = match (2 * rest).cmp(&divisor) {
            core::cmp::Ordering::Less => floor,
            core::cmp::Ordering::Greater => floor + 1,
            core::cmp::Ordering::Equal => match rounding {
                Rounding::TiesUp => floor + 1,
                _ => floor + floor.rem_euclid(2),
            },
        };
        let rounded = if rounding == Rounding::Floor { floor } else { nearest };
        i64::try_from(rounded).expect("no larger than `stored`")
    }

    #[test]
    fn every_small_integer_rounds_as_defined_by_every_shift() {
        for rounding in Rounding::ALL {
            for shift in -100..=100 {
                for stored in -1100..=1100 {
                    assert_eq!(
                        shift_round(stored, shift, rounding),
                        by_division(stored, shift, rounding),
                        "{stored} by {shift}, {rounding:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn integers_around_every_power_of_two_round_as_defined() {
        for rounding in Rounding::ALL {
            for shift in -100..=100 {
                for exponent in 0..64 {
                    for near in -2_i64..=2 {
                        let power = 1_i64 << exponent; // i64::MIN for 63
                        for stored in
                            [power.wrapping_add(near), power.wrapping_neg().wrapping_sub(near)]
                        {
                            assert_eq!(
                                shift_round(stored, shift, rounding),
                                by_division(stored, shift, rounding),
                                "{stored} by {shift}, {rounding:?}"
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn shifts_beyond_the_word_are_defined() {
        for stored in [i64::MIN, -1, 0, 1, i64::MAX] {
            for shift in [64, 65, 1000, i32::MAX] {
                assert_eq!(shift_round(stored, shift, Rounding::TiesUp), 0);
                assert_eq!(shift_round(stored, shift, Rounding::TiesEven), 0);
                assert_eq!(shift_round(stored, shift, Rounding::Floor), -i64::from(stored < 0));
            }
            for shift in [-64, -1000, i32::MIN] {
                let expected = match stored.signum() {
                    0 => 0,
                    1 => i64::MAX,
                    _ => i64::MIN,
                };
                assert_eq!(shift_round(stored, shift, Rounding::Floor), expected);
            }
        }
    }

    proptest! {
        #[test]
        fn any_integer_rounds_as_defined(stored: i64, shift in -100..=100_i32) {
            for rounding in Rounding::ALL {
                prop_assert_eq!(
                    shift_round(stored, shift, rounding),
                    by_division(stored, shift, rounding)
                );
            }
        }

        #[test]
        fn rounding_keeps_the_order(a: i64, b: i64, shift in -70..=70_i32) {
            let (low, high) = (a.min(b), a.max(b));
            for rounding in Rounding::ALL {
                prop_assert!(shift_round(low, shift, rounding) <= shift_round(high, shift, rounding));
            }
        }

        #[test]
        fn aligning_and_shifting_back_is_lossless(stored in -1_i64 << 40..1 << 40, shift in 0..23_u32) {
            let aligned = align(stored, shift);
            for rounding in Rounding::ALL {
                let back = shift_round(aligned, i32::try_from(shift).unwrap(), rounding);
                prop_assert_eq!(back, stored);
            }
        }

        #[test]
        fn add_half_and_shift_is_ties_up(stored in -1_i64 << 40..1 << 40, shift in 1..40_i32) {
            let added = (stored + (1 << (shift - 1))) >> shift;
            prop_assert_eq!(shift_round(stored, shift, Rounding::TiesUp), added);
        }
    }
}
