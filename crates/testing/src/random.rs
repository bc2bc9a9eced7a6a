//! Numbers that look random and are the same on every machine.

use fixedwise_fixed::convert::{f64_to_f32, u64_to_f64};

/// SplitMix64.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A sequence of its own for every seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One of `0 .. n`.
    ///
    /// # Panics
    /// Where `n` is 0.
    pub fn below(&mut self, n: usize) -> usize {
        let n = u64::try_from(n).expect("usize has at most 64 bits");
        usize::try_from(self.bits() % n).expect("below a usize")
    }

    /// Uniform in `low .. high`.
    pub fn float(&mut self, low: f32, high: f32) -> f32 {
        let unit = u64_to_f64(self.bits() >> 11) / u64_to_f64(1 << 53);
        low + (high - low) * f64_to_f32(unit)
    }

    /// `n` numbers, uniform in `low .. high`.
    pub fn floats(&mut self, n: usize, low: f32, high: f32) -> Vec<f32> {
        (0..n).map(|_| self.float(low, high)).collect()
    }
}
