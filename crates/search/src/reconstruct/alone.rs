//! Sums of layers that make each channel of one alone, for all channels at once: they lie side by side in what a position
//! takes, `[tap, channel]`.
//!
//! What a call computes does not depend on the number of threads: the work is cut into blocks of a fixed size.

use rayon::prelude::*;

/// Places of one task.
const BLOCK: usize = 128;

/// `W x`; `x` is `[place, tap, channel]`, `w` `[channel, tap]`, the result `[place, channel]`.
pub(super) fn apply(x: &[f32], w: &[f32], taps: usize) -> Vec<f32> {
    let channels = w.len() / taps;
    let by_tap: Vec<f32> = (0..w.len()).map(|at| w[at % channels * taps + at / channels]).collect();
    let mut y = vec![0.0; x.len() / taps];
    let blocks = y.par_chunks_mut(BLOCK * channels).zip(x.par_chunks(BLOCK * w.len()));
    blocks.for_each(|(y, x)| {
        for (y, x) in y.chunks_exact_mut(channels).zip(x.chunks_exact(w.len())) {
            for (x, w) in x.chunks_exact(channels).zip(by_tap.chunks_exact(channels)) {
                add_products(y, x, w);
            }
        }
    });
    y
}

/// `gram += x x'`, the lower triangle alone, and `cross += missing x'`, by channel `[tap, tap]` and `[tap]`; `x` is
/// `[place, tap, channel]`, `missing` `[place, channel]`.
pub(super) fn add_moments(
    gram: &mut [Vec<f32>],
    cross: &mut [Vec<f32>],
    x: &[f32],
    missing: &[f32],
) {
    let channels = gram.len();
    let taps = cross[0].len();
    let pairs = taps * (taps + 1) / 2;
    let block = |(x, missing): (&[f32], &[f32])| {
        // `[pair, channel]`, then `[tap, channel]`.
        let mut sums = vec![0.0; (pairs + taps) * channels];
        for (x, missing) in x.chunks_exact(taps * channels).zip(missing.chunks_exact(channels)) {
            let mut sums = sums.chunks_exact_mut(channels);
            let tap = |tap: usize| &x[tap * channels..][..channels];
            let lower = (0..taps).flat_map(|i| (0..=i).map(move |j| (tap(i), tap(j))));
            let with_missing = (0..taps).map(|i| (tap(i), missing));
            for (a, b) in lower.chain(with_missing) {
                add_products(sums.next().expect("one for each pair"), a, b);
            }
        }
        sums
    };
    let blocks = x.par_chunks(BLOCK * taps * channels).zip(missing.par_chunks(BLOCK * channels));
    let blocks: Vec<Vec<f32>> = blocks.map(block).collect();
    for sums in &blocks {
        let mut sums = sums.chunks_exact(channels);
        for at in (0..taps).flat_map(|i| (0..=i).map(move |j| i * taps + j)) {
            let own = sums.next().expect("one for each pair");
            gram.iter_mut().zip(own).for_each(|(gram, sum)| gram[at] += sum);
        }
        for (tap, own) in sums.enumerate() {
            cross.iter_mut().zip(own).for_each(|(cross, sum)| cross[tap] += sum);
        }
    }
}

/// `sum += a b`, element by element.
fn add_products(sum: &mut [f32], a: &[f32], b: &[f32]) {
    sum.iter_mut().zip(a).zip(b).for_each(|((sum, a), b)| *sum += a * b);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Small whole numbers, of which sums are exact.
    fn numbers(n: usize, step: usize) -> Vec<f32> {
        (0..n).map(|i| f32::from(u8::try_from(i * step % 13).unwrap()) - 6.0).collect()
    }

    fn is(found: f32, expected: f32) {
        assert_eq!(found.to_bits(), expected.to_bits(), "{found} {expected}");
    }

    #[test]
    fn sums_are_those_of_the_definition() {
        let (places, taps, channels) = (300, 4, 5);
        let (x, w) = (numbers(places * taps * channels, 7), numbers(channels * taps, 5));
        let missing = numbers(places * channels, 11);
        let of =
            |place: usize, tap: usize, channel: usize| x[(place * taps + tap) * channels + channel];
        let y = apply(&x, &w, taps);
        let mut gram = vec![vec![1.0; taps * taps]; channels];
        let mut cross = vec![vec![2.0; taps]; channels];
        add_moments(&mut gram, &mut cross, &x, &missing);
        for c in 0..channels {
            for place in [0, 127, 128, 299] {
                let sum: f32 = (0..taps).map(|tap| w[c * taps + tap] * of(place, tap, c)).sum();
                is(y[place * channels + c], sum);
            }
            for i in 0..taps {
                let sum: f32 = (0..places).map(|p| missing[p * channels + c] * of(p, i, c)).sum();
                is(cross[c][i], 2.0 + sum);
                for j in 0..taps {
                    let sum: f32 = (0..places).map(|p| of(p, i, c) * of(p, j, c)).sum();
                    is(gram[c][i * taps + j], if j <= i { 1.0 + sum } else { 1.0 });
                }
            }
        }
    }
}
