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

/// `stored * 2^-shift`, rounded; a negative `shift` multiplies and saturates at the ends of `i64`.
///
/// Exact for every input: no intermediate overflows.
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
#[inline]
pub fn saturate(stored: i64, min: i64, max: i64) -> i64 {
    stored.clamp(min, max)
}
