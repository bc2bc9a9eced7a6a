//! The generator of every random choice.

use fixedwise_fixed::convert::u64_to_f64;

/// Between 0 and 1, both apart.
///
/// Source: Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014 (`mix64`).
pub(crate) fn random(seed: u64) -> f64 {
    let mut z = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (u64_to_f64((z ^ (z >> 31)) >> 11) + 0.5) / u64_to_f64(1 << 53)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_spread_evenly() {
        let mean = (0..10_000).map(random).sum::<f64>() / 1e4;
        assert!((mean - 0.5).abs() < 0.01, "{mean}");
        assert!((0..10_000).map(random).all(|x| 0.0 < x && x < 1.0));
    }
}
