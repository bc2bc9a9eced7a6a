use fixedwise_fixed::{
    Format,
    convert::{exp2, i64_to_f64, u64_to_f64},
};

/// Bins of one sign and exponent.
const BINS: usize = 64;
/// Signs times exponents of `f32`.
const BLOCKS: usize = 512;
/// Bits of an `f32` below the bin's number.
const BELOW: u32 = 17;

/// A distribution of `f32` values by sign, exponent and the upper six bits of the mantissa.
///
/// Counts are integers, so the order in which values and histograms are added does not matter.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    blocks: Vec<Option<Box<[u64; BINS]>>>,
    zeros: u64,
    count: u64,
    not_finite: u64,
    min: f32,
    max: f32,
}

impl Histogram {
    /// Of no value.
    pub fn new() -> Self {
        Self {
            blocks: vec![None; BLOCKS],
            zeros: 0,
            count: 0,
            not_finite: 0,
            min: f32::INFINITY,
            max: f32::NEG_INFINITY,
        }
    }

    /// Adds values; what is not finite is counted apart.
    pub fn add(&mut self, values: &[f32]) {
        let mut finite = 0;
        for &x in values {
            if x == 0.0 {
                self.zeros += 1;
                continue;
            }
            if !x.is_finite() {
                self.not_finite += 1;
                continue;
            }
            finite += 1;
            let bin = bin(x);
            let block = self.blocks[bin / BINS].get_or_insert_with(|| Box::new([0; BINS]));
            block[bin % BINS] += 1;
            self.min = self.min.min(x);
            self.max = self.max.max(x);
        }
        if self.zeros > 0 {
            self.min = self.min.min(0.0);
            self.max = self.max.max(0.0);
        }
        self.count += finite;
    }

    /// Adds what another has counted.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.blocks.iter_mut().zip(&other.blocks) {
            let Some(theirs) = theirs else { continue };
            let mine = mine.get_or_insert_with(|| Box::new([0; BINS]));
            mine.iter_mut().zip(theirs.iter()).for_each(|(mine, theirs)| *mine += theirs);
        }
        self.zeros += other.zeros;
        self.count += other.count;
        self.not_finite += other.not_finite;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    /// Finite values.
    pub fn count(&self) -> u64 {
        self.count + self.zeros
    }

    /// Values that are exactly zero.
    pub fn zeros(&self) -> u64 {
        self.zeros
    }

    /// Values that are NaN or infinite.
    pub fn not_finite(&self) -> u64 {
        self.not_finite
    }

    /// The smallest finite value; 0 where there is none.
    pub fn min(&self) -> f32 {
        if self.count() == 0 { 0.0 } else { self.min }
    }

    /// The largest finite value; 0 where there is none.
    pub fn max(&self) -> f32 {
        if self.count() == 0 { 0.0 } else { self.max }
    }

    /// The largest magnitude of a finite value.
    pub fn max_abs(&self) -> f32 {
        self.max().abs().max(self.min().abs())
    }

    /// The bins that hold values, as lower end, upper end and count; zeros, which [`Self::zeros`]
    /// counts, are in none of them.
    pub fn bins(&self) -> impl Iterator<Item = (f64, f64, u64)> {
        let blocks = self.blocks.iter().enumerate();
        let blocks = blocks.filter_map(|(idx, block)| Some((idx, block.as_ref()?)));
        blocks.flat_map(|(block_idx, block)| {
            let filled = block.iter().enumerate().filter(|(_, count)| **count > 0);
            filled.map(move |(bin, &count)| {
                let [low, high] = edges(block_idx * BINS + bin);
                (low, high, count)
            })
        })
    }

    /// The sum of `(x - format(x))^2` over all values, rounding and clipping together; within a
    /// bin the values count as evenly spread.
    pub fn squared_error(&self, format: Format) -> f64 {
        self.squared_error_in_steps(format, format.resolution())
    }

    /// As [`Self::squared_error`], with steps of `resolution`, which need not be a power of two.
    pub fn squared_error_in_steps(&self, format: Format, resolution: f64) -> f64 {
        let mut sum = 0.0;
        for (block_idx, block) in self.blocks.iter().enumerate() {
            let Some(block) = block else { continue };
            for (bin, &count) in block.iter().enumerate().filter(|(_, count)| **count > 0) {
                let [low, high] = edges(block_idx * BINS + bin);
                let error = mean_square(low / resolution, high / resolution, format);
                sum += u64_to_f64(count) * error * resolution * resolution;
            }
        }
        sum
    }

    /// The sum of the squares of all values, to the bin.
    pub fn squared_sum(&self) -> f64 {
        let mut sum = 0.0;
        for (block_idx, block) in self.blocks.iter().enumerate() {
            let Some(block) = block else { continue };
            for (bin, &count) in block.iter().enumerate().filter(|(_, count)| **count > 0) {
                let [low, high] = edges(block_idx * BINS + bin);
                sum += u64_to_f64(count) * (low * low + low * high + high * high) / 3.0;
            }
        }
        sum
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

/// The number of the bin of a finite value.
fn bin(x: f32) -> usize {
    usize::try_from(x.to_bits() >> BELOW).expect("15 bits")
}

/// The ends of a bin, the lower one first.
fn edges(bin: usize) -> [f64; 2] {
    let bits = u32::try_from(bin).expect("15 bits") << BELOW;
    let inner = f64::from(f32::from_bits(bits));
    // Not by the next bit pattern: above the last bin of all stands infinity.
    let exponent = i32::try_from((bits >> 23) & 0xff).expect("8 bits").max(1) - 127;
    let width = exp2(exponent - 6);
    if inner.is_sign_negative() { [inner - width, inner] } else { [inner, inner + width] }
}

/// The mean of `(u - clamp(round(u)))^2` over `low <= u <= high`, in steps of the format.
fn mean_square(low: f64, high: f64, format: Format) -> f64 {
    let (min, max) = (i64_to_f64(format.min()), i64_to_f64(format.max()));
    let nearest = |u: f64| u.round_ties_even().clamp(min, max);
    let (a, b) = (nearest(low), nearest(high));
    let (x, y) = (low - a, high - b);
    if a >= b {
        return (x * x + x * y + y * y) / 3.0;
    }
    // The antiderivative: each whole step adds 1/12, the rest is a cubic. It is continuous where
    // `round` jumps, and right beyond the ends, where the nearest value stays put.
    ((b - a) / 12.0 + (y * y * y - x * x * x) / 3.0) / (high - low)
}

#[cfg(test)]
mod tests {
    use super::*;
    use fixedwise_fixed::Range;
    use proptest::prelude::*;

    fn of(values: &[f32]) -> Histogram {
        let mut histogram = Histogram::new();
        histogram.add(values);
        histogram
    }

    fn direct(values: &[f32], format: Format) -> f64 {
        values.iter().map(|&x| (f64::from(x) - format.round(f64::from(x))).powi(2)).sum()
    }

    #[test]
    fn bins_hold_every_value_but_zeros() {
        let mut histogram = Histogram::new();
        let values = [0.0, 0.5, 0.5, -3.0, 1e-30, 7e8];
        histogram.add(&values);
        let bins: Vec<_> = histogram.bins().collect();
        assert_eq!(bins.iter().map(|(.., count)| count).sum::<u64>() + histogram.zeros(), 6);
        for value in values.iter().filter(|value| **value != 0.0) {
            let value = f64::from(*value);
            let holds = |(low, high, _): &&(f64, f64, u64)| *low <= value && value <= *high;
            assert_eq!(bins.iter().filter(holds).count(), 1, "{value}");
        }
    }

    #[test]
    fn zeros_extremes_and_infinities_are_counted() {
        let histogram = of(&[0.0, -0.0, -3.5, 1.25, f32::NAN, f32::INFINITY]);
        assert_eq!((histogram.count(), histogram.zeros(), histogram.not_finite()), (4, 2, 2));
        assert_eq!((histogram.min(), histogram.max(), histogram.max_abs()), (-3.5, 1.25, 3.5));
        let positive = of(&[0.0, 2.0]);
        assert_eq!((positive.min(), positive.max()), (0.0, 2.0));
        assert_eq!(Histogram::new().max_abs().to_bits(), 0);
    }

    #[test]
    fn every_bin_lies_between_its_edges() {
        for bits in (0..=u32::MAX).step_by(99_991) {
            let x = f32::from_bits(bits);
            if x.is_finite() {
                let [low, high] = edges(bin(x));
                assert!(low <= f64::from(x) && f64::from(x) <= high, "{x}: {low} {high}");
            }
        }
    }

    #[test]
    fn the_error_of_evenly_spread_values_is_that_of_the_values() {
        let values: Vec<f32> = (0_u16..40_000).map(|i| f32::from(i) / 10_000.0 - 1.3).collect();
        let histogram = of(&values);
        for range in [Range::Narrow, Range::Unsigned, Range::Full] {
            for bits in 1..=8 {
                for frac in -3..=9 {
                    let format = Format { bits, frac, range };
                    let (binned, direct) =
                        (histogram.squared_error(format), direct(&values, format));
                    let scale = direct.max(1e-3 * format.resolution());
                    assert!((binned - direct).abs() <= 0.02 * scale, "{format}: {binned} {direct}");
                }
            }
        }
        assert!(
            (histogram.squared_sum() / direct(&values, Format::signed(1, 0)) - 1.0).abs() < 1e-3
        );
    }

    proptest! {
        #[test]
        fn the_order_of_merging_does_not_matter(
            a in prop::collection::vec(any::<f32>(), 0..50),
            b in prop::collection::vec(any::<f32>(), 0..50),
        ) {
            let (mut ab, mut ba) = (of(&a), of(&b));
            ab.merge(&of(&b));
            ba.merge(&of(&a));
            prop_assert_eq!(&ab, &ba);
            prop_assert_eq!(ab, of(&[a, b].concat()));
        }

        /// Within a bin the error of one value differs from the bin's mean by what the width of
        /// the bin allows.
        #[test]
        fn the_error_is_that_of_the_values_to_the_bin(
            values in prop::collection::vec(-8.0_f32..8.0, 1..40), bits in 1_u8..=10, frac in -2_i8..=8,
            unsigned: bool,
        ) {
            let range = if unsigned { Range::Unsigned } else { Range::Narrow };
            let format = Format { bits, frac, range };
            let allowed: f64 = values.iter().map(|&x| {
                let x = f64::from(x);
                let width = x.abs() / 64.0 + 1e-30;
                let error = (x - format.round(x)).abs();
                // |e(y)^2 - e(x)^2| <= |y - x| (2 |e(x)| + |y - x|), as e changes no faster.
                width * (2.0 * error + width)
            }).sum();
            let (binned, direct) = (of(&values).squared_error(format), direct(&values, format));
            prop_assert!((binned - direct).abs() <= allowed + 1e-9, "{} {}", binned, direct);
        }
    }
}
