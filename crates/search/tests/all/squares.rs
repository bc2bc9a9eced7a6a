//! Images of 8 rows and columns.

use fixedwise_testing::Random;

/// Draws a square of gray on black.
pub(crate) fn draw_square(seed: usize, out: &mut [f32]) {
    let mut random = Random::new(u64::try_from(seed).unwrap());
    let [x, y, size] = [0.0; 3].map(|_| random.float(1.0, 7.0));
    for (i, out) in out.iter_mut().enumerate() {
        let at = |i: usize| f32::from(u8::try_from(i).unwrap());
        let far = (at(i % 8) - x).abs().max((at(i / 8) - y).abs());
        *out = if far < size / 2.0 { random.float(100.0, 255.0).floor() } else { 0.0 };
    }
}
