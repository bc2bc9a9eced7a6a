//! Rounding a layer's weights one after the other, each making up for the errors of those before.
//!
//! Source: Frantar et al., "GPTQ", ICLR 2023; as Babai's nearest plane on the Cholesky factor of the
//! second moments, which needs no inverse (Chen et al., "The Geometry of LLM Quantization", 2025).
//! What earlier layers' rounding changed of the input is made up for first, as in Li et al.,
//! "GPTAQ", 2025.

use super::{linear::Factor, moments::Moments, options::RoundingOptions, patches::Patches};
use crate::{statistics::format_no_clip, tuning::Tuning};
use fixedwise_fixed::{
    Format, Range as Bounds,
    convert::{count_to_f64, exp2, f32_to_i16, f64_to_f32, i64_to_f64, round_ties_even_within},
};
use fixedwise_kernels::{Kernels, PRODUCT_LANES, add_products};
use rayon::prelude::*;
use std::{ops::Range, slice};

/// Output channels that one task rounds.
const CHANNELS: usize = PRODUCT_LANES;
/// Places that are rounded before those further on are told of them.
const PLACES: usize = 64;

/// A layer's weights before they are rounded, with what tells how much each error matters.
pub(super) struct Rounder {
    groups: Vec<Group>,
    patches: Patches,
    rows: usize,
    kernels: &'static Kernels,
    /// [`Tuning::weight_points`].
    weight_points: i8,
    /// [`Tuning::channel_points`].
    channel_points: i8,
}

struct Group {
    /// Which weight comes at which place; the last place is rounded first.
    order: Vec<usize>,
    /// Of the factor, in that order; none where each weight is rounded alone.
    factor: Vec<Vec<f32>>,
    /// `[place, output]`.
    weights: Vec<f32>,
}

/// An output channel's weights as integers.
#[derive(Clone, Debug, PartialEq)]
struct Channel {
    weights: Vec<i16>,
    /// Of its output, the sum of the squared errors.
    error: f64,
}

/// A layer's weights as integers.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Integers {
    pub(super) format: Format,
    /// In the layer's own order.
    pub(super) weights: Vec<i16>,
    /// By how many bits each output channel's binary point lies right of the format's; empty where all
    /// have that.
    pub(super) coarser: Vec<u8>,
    /// The mean square of what the rounding adds to each output, over the positions.
    pub(super) error: f64,
}

impl Rounder {
    /// Of float weights; with `compensate` they are changed first so that the layer makes up for what
    /// its input lacks.
    ///
    /// `None` where the moments are not those of finite values.
    pub(super) fn new(
        patches: &Patches,
        weights: &[f32],
        moments: &Moments,
        compensate: bool,
        tuning: &Tuning,
        kernels: &'static Kernels,
    ) -> Option<Self> {
        let &Patches { groups, depth, outputs, .. } = patches;
        let group = |group: usize| {
            let gram = &moments.gram[group];
            let weights = &weights[group * outputs * depth..][..outputs * depth];
            let diagonal = |i: usize| f64::from(gram[i * depth + i]);
            let mean = (0..depth).map(diagonal).sum::<f64>() / count_to_f64(depth);
            // A layer whose input is zero may have any weights.
            let damping = if mean > 0.0 { tuning.damping * mean } else { 1.0 };
            let mut order: Vec<usize> = (0..depth).collect();
            order.sort_by(|&a, &b| diagonal(a).total_cmp(&diagonal(b)).then(b.cmp(&a)));
            let factor = Factor::new(gram, depth, &order, damping)?;
            let mut changed = vec![0.0; depth * outputs];
            let change = compensate.then(|| {
                let cross = &moments.cross[group];
                let right: Vec<f64> = (0..outputs)
                    .flat_map(|o| order.iter().map(move |&i| f64::from(cross[o * depth + i])))
                    .collect();
                factor.solve(&right, outputs)
            });
            for o in 0..outputs {
                for (place, &i) in order.iter().enumerate() {
                    let more = change.as_ref().map_or(0.0, |change| change[o * depth + place]);
                    // What is always multiplied by zero needs no range.
                    let is_dead = diagonal(i) <= 0.0;
                    let w = f64::from(weights[o * depth + i]) + more;
                    changed[place * outputs + o] = if is_dead { 0.0 } else { f64_to_f32(w) };
                }
            }
            Some(Group { order, factor: factor.rows(), weights: changed })
        };
        let groups: Option<Vec<Group>> = (0..groups).into_par_iter().map(group).collect();
        let &Tuning { weight_points, channel_points, .. } = tuning;
        let (patches, rows) = (patches.clone(), moments.rows.max(1));
        Some(Self { groups: groups?, patches, rows, kernels, weight_points, channel_points })
    }

    /// Of float weights, each of which is rounded alone.
    pub(super) fn nearest(
        patches: &Patches,
        weights: &[f32],
        tuning: &Tuning,
        kernels: &'static Kernels,
    ) -> Self {
        let &Patches { depth, outputs, .. } = patches;
        let group = |filters: &[f32]| {
            let places = (0..depth).flat_map(|i| (0..outputs).map(move |o| filters[o * depth + i]));
            Group { order: (0..depth).collect(), factor: Vec::new(), weights: places.collect() }
        };
        let groups = weights.chunks_exact(outputs * depth).map(group).collect();
        let &Tuning { weight_points, channel_points, .. } = tuning;
        Self { groups, patches: patches.clone(), rows: 1, kernels, weight_points, channel_points }
    }

    /// The best integers of a width: of the ranges that are allowed, and of the binary points around the
    /// one that clips nothing; or at the binary point that is given.
    pub(super) fn best(&self, bits: u8, point: Option<i8>, options: &RoundingOptions) -> Integers {
        let weights = self.groups.iter().flat_map(|group| &group.weights);
        let max_abs = weights.fold(0.0_f32, |max, w| max.max(w.abs()));
        let mut best: Option<Integers> = None;
        // One bit that is to tell anything is a sign.
        let ranges = if bits == 1 { &[Bounds::Bipolar][..] } else { &options.ranges };
        for &range in ranges {
            let coarsest = format_no_clip(max_abs, bits, range);
            let integers = match point {
                Some(frac) => self.round(Format { frac, ..coarsest }),
                None if options.by_channel => self.round_by_channel(coarsest),
                None => self.round_around(coarsest),
            };
            if best.as_ref().is_none_or(|best| integers.error < best.error) {
                best = Some(integers);
            }
        }
        best.expect("a range was given")
    }

    /// Integers of the best binary point from the one that clips nothing on.
    fn round_around(&self, coarsest: Format) -> Integers {
        let mut best = self.round(coarsest);
        for finer in 1..=self.points(coarsest) {
            let frac = coarsest.frac.saturating_add(finer);
            let integers = self.round(Format { frac, ..coarsest });
            if integers.error < best.error {
                best = integers;
            } else if finer > 1 {
                break;
            }
        }
        best
    }

    /// Binary points above the one that clips nothing that are tried: signs want that of the mean magnitude.
    fn points(&self, coarsest: Format) -> i8 {
        self.weight_points + if coarsest.is_bipolar() { self.channel_points } else { 0 }
    }

    /// Integers of each output channel's best binary point.
    fn round_by_channel(&self, coarsest: Format) -> Integers {
        let first = self.channels(coarsest);
        let mut best: Vec<(i8, Channel)> =
            first.into_iter().map(|channel| (coarsest.frac, channel)).collect();
        for finer in 1..=self.points(coarsest) + self.channel_points {
            let frac = coarsest.frac.saturating_add(finer);
            for (best, channel) in best.iter_mut().zip(self.channels(Format { frac, ..coarsest })) {
                if channel.error < best.1.error {
                    *best = (frac, channel);
                }
            }
        }
        let frac = best.iter().map(|best| best.0).max().unwrap_or(coarsest.frac);
        let right = |(own, channel): &(i8, Channel)| {
            // What is zero is so at any binary point.
            let is_zero = channel.weights.iter().all(|&w| w == 0);
            if is_zero { 0 } else { frac.abs_diff(*own) }
        };
        let coarser: Vec<u8> = best.iter().map(right).collect();
        let coarser = if coarser.iter().any(|&bits| bits > 0) { coarser } else { vec![] };
        let channels = best.into_iter().map(|best| best.1).collect();
        Integers { coarser, ..self.integers(Format { frac, ..coarsest }, channels) }
    }

    /// Integers of one format.
    fn round(&self, format: Format) -> Integers {
        self.integers(format, self.channels(format))
    }

    fn integers(&self, format: Format, channels: Vec<Channel>) -> Integers {
        let cells = count_to_f64(self.rows) * count_to_f64(channels.len());
        let error = channels.iter().map(|channel| channel.error).sum::<f64>() / cells;
        let weights = channels.into_iter().flat_map(|channel| channel.weights).collect();
        Integers { format, weights, coarser: vec![], error }
    }

    /// Every output channel of one format.
    fn channels(&self, format: Format) -> Vec<Channel> {
        let Patches { groups, outputs, .. } = self.patches;
        let blocks = outputs.div_ceil(CHANNELS);
        let blocks: Vec<Vec<Channel>> = (0..groups * blocks)
            .into_par_iter()
            .map(|at| {
                let first = at % blocks * CHANNELS;
                self.groups[at / blocks].round(
                    format,
                    outputs,
                    first..outputs.min(first + CHANNELS),
                    self.kernels,
                )
            })
            .collect();
        blocks.into_iter().flatten().collect()
    }
}

impl Group {
    /// Some outputs' integers.
    fn round(
        &self,
        format: Format,
        outputs: usize,
        block: Range<usize>,
        kernels: &'static Kernels,
    ) -> Vec<Channel> {
        let (n, depth) = (block.len(), self.order.len());
        let scale = f64_to_f32(exp2(i32::from(format.frac)));
        let step = f64_to_f32(exp2(-i32::from(format.frac)));
        let (min, max) =
            (f64_to_f32(i64_to_f64(format.min())), f64_to_f32(i64_to_f64(format.max())));
        // What the places that are already rounded ask of the others, `[place][output]`.
        let mut asked = vec![[0.0_f32; CHANNELS]; depth];
        let mut channels = vec![Channel { weights: vec![0; depth], error: 0.0 }; n];
        let mut errors = [[0.0_f32; CHANNELS]; PLACES];
        let mut error = [0.0_f64; CHANNELS];
        for to in (1..=depth).rev().step_by(PLACES) {
            let from = to.saturating_sub(PLACES);
            for place in (from..to).rev() {
                let row = self.factor.get(place);
                let pivot = row.map_or(1.0, |row| row[place]);
                let weights = &self.weights[place * outputs..][block.clone()];
                let (before, here) = asked.split_at_mut(place);
                let errors = &mut errors[place - from];
                let mut integers = [0.0_f32; CHANNELS];
                for o in 0..n {
                    let wanted = weights[o] + here[0][o] / pivot;
                    let integer = if format.is_bipolar() {
                        if wanted < 0.0 { -1.0 } else { 1.0 }
                    } else {
                        round_ties_even_within((wanted * scale).clamp(min, max))
                    };
                    let rest = f64::from((wanted - integer * step) * pivot);
                    error[o] += rest * rest;
                    errors[o] = weights[o] - integer * step;
                    integers[o] = integer;
                }
                for (channel, &integer) in channels.iter_mut().zip(&integers) {
                    channel.weights[self.order[place]] = f32_to_i16(integer);
                }
                let Some(row) = row else { continue };
                let (row, errors) = (slice::from_ref(row), slice::from_ref(&*errors));
                add_products(kernels, row, from, errors, &mut before[from..]);
            }
            // The places before the block wait for all of it.
            let Some(factors) = self.factor.get(from..to) else { continue };
            add_products(kernels, factors, 0, &errors[..to - from], &mut asked[..from]);
        }
        channels.iter_mut().zip(error).for_each(|(channel, error)| channel.error = error);
        channels
    }
}
