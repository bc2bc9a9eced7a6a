//! Every constant that decides what a search finds, in one place.
//!
//! What only divides work between threads or limits memory is not here: it changes no result.

use crate::score::MaxLoss;
use std::ops::RangeInclusive;

/// The constants of calibration, rounding and the `pareto` search.
///
/// The origin of a default is a source, *measured* (on the networks of `docs/search.md`, section "What
/// each part gives"), or *guess*: a plausible value of which no other was tried.
#[derive(Clone, Debug, PartialEq)]
pub struct Tuning {
    /// Calibration images that layers are rounded for. Guess.
    pub calibration_images: usize,
    /// Positions of each layer, over all calibration images, that its second moments are taken of. Measured:
    /// 4,096 cost 1.3 points of memory and 0.2 of multiplications.
    pub calibration_positions: usize,
    /// Positions for each weight of an output channel, where that is more. Guess: moments of `n` values
    /// want several times `n` rows.
    pub positions_per_weight: usize,
    /// Positions of each layer, over all images, that its bias is corrected on. Guess.
    pub bias_positions: usize,
    /// Images of these. Guess.
    pub bias_images: usize,
    /// Part of the mean weight that every image gets when telling images are drawn. Guess: no image is left
    /// out for sure.
    pub telling_floor: f64,
    /// Search images on which the divergence of whole plans is measured. Measured: 256 cost 0.2 points of
    /// memory and 0.3 of multiplications.
    pub probe_images: usize,
    /// Of these, images on which single steps are measured. Guess.
    pub step_images: usize,
    /// Multiplications of a network above which fewer images are used, in proportion. Guess.
    pub large_macs: u64,
    /// The part of the images that a large network gets at least is one over this. Guess.
    pub fewest_images: usize,

    /// Calibration images whose channel ranges are taken for balancing. Guess.
    pub balance_images: usize,
    /// Times that each layer is balanced against its neighbors. Guess: it converges before.
    pub balance_sweeps: usize,
    /// Farthest that a channel is scaled, in octaves. Guess.
    pub balance_reach: f64,
    /// How far channels are balanced, as a part of the whole way, of which the best is taken. Guess.
    pub balances: Vec<f64>,
    /// The width of all tensors at which that is tried, in bits. Guess.
    pub balance_bits: u8,
    /// Widths whose steps a tensor's scale is fitted to, in bits. Guess: with more, steps matter less.
    pub fitted_bits: Vec<u8>,
    /// Scales tried between one power of two and the next. Guess.
    pub fitted_scales: usize,
    /// Powers of two below the largest magnitude at which steps are tried. Guess.
    pub fitted_octaves: i32,

    /// The loss whose divergence channels are weighed against, as a part of the bound and as the float network's
    /// probabilities let expect it. Measured on three networks: with .7, what plans lose in the end, one of them saves 4
    /// points of memory less than with all channels; with .35 all save more, by 2 to 4 points.
    pub thin_loss: f64,
    /// Images that channels are weighed on at least, of both sets. Guess: on fewer, weights make up for channels on these
    /// alone.
    pub thin_images: usize,
    /// The width that tensors are thought to end at where channels are weighed against bits. Guess.
    pub thin_bits: f64,
    /// The part of the allowed divergence that channels may take together. Guess: bits come after them.
    pub thin_most: f64,
    /// Part of the mean second moment that is added to each where weights make up for channels. Guess.
    pub thin_damping: f64,
    /// Numbers of channels that are tried, as parts of all. Guess.
    pub thin_parts: Vec<f64>,
    /// Values that a position of a layer takes at most for its channels to be weighed: moments grow with the square. Guess.
    pub thin_depth: usize,

    /// Part of the mean second moment that is added to each. Source: Frantar et al., "GPTQ", ICLR 2023.
    pub damping: f64,
    /// Binary points above the one that clips nothing that weights are tried at. Guess.
    pub weight_points: i8,
    /// Binary points above these for an output channel of small weights. Guess.
    pub channel_points: i8,
    /// Part of the noise of a layer's result that the rounding of its bias may add. Guess.
    pub bias_noise: f64,
    /// Shifts of a bias within half a step of the result that are tried to either side. Guess.
    pub bias_shifts: i8,

    /// Widths of weights, in bits; one bit is a sign. Measured: with one bit 2 to 7 points of memory more on the MNIST
    /// networks, nothing on the others.
    pub weight_bits: RangeInclusive<u8>,
    /// Widths of results, in bits; signed ones have at least two. Guess.
    pub activation_bits: RangeInclusive<u8>,
    /// The widest of both where outputs count as values, in bits. Guess.
    pub value_bits: u8,
    /// Widths of all tensors that are tried in turn where narrower ones do not keep to the bound, in bits. Guess.
    pub wider_bits: Vec<u8>,
    /// Factor by which each weight's nearest integer must lower the divergence of the widest plan for the rounding
    /// with feedback to be given up. Guess: chance does less.
    pub harm: f64,
    /// The width of the result that classes are read from, in bits. Guess.
    pub class_output_bits: u8,
    /// The width of a result that counts as values, in bits: the widest there is.
    pub value_output_bits: u8,

    /// Thresholds of the divergence of class probabilities, in nats. Guess: they fit a loss of about 1 %.
    pub class_scale: Scale,
    /// The same for outputs that count as values, as parts of the distortion that the bound allows. Guess:
    /// at 20 dB they are the numbers of [`Tuning::class_scale`].
    pub value_scale: Scale,
    /// Part of the divergence of the nearest binary point to which another must lower it to be taken. Guess.
    pub shift_gain: f64,

    /// What exceeding a memory budget costs: `1 + x` times the budget costs `x` times so much, where all
    /// tensors at 8 bits cost 1. Guess: a plan has to fit first.
    pub over_budget_cost: f64,
    /// Steps of the front to either side of one that give its price. Guess.
    pub price_steps: usize,
    /// Plans of the front that are measured beyond the first that did not keep to the bound. Guess.
    pub plans_beyond: usize,
    /// Plans that are tried after the front. Measured: without, 1.2 and 2.2 points of memory less.
    pub exchanges: usize,
    /// Times that one tensor gives a bit at the end, and others get some. Measured: 12 saved 0.2 to 2.7 points of memory
    /// more on half of the networks.
    pub trades: usize,
    /// What such a tensor saves at least, where all tensors at 8 bits cost 1. Guess: two plans are measured for it.
    pub worth: f64,
    /// Factor by which the price changes at first. Guess.
    pub pace: f64,
    /// Factor by which the price changes at last. Guess.
    pub least_pace: f64,
    /// One over the part of all tensors that step together at first. Guess.
    pub at_once: usize,
    /// Changes of the price for each exchange at most. Guess.
    pub prices_per_exchange: usize,
    /// Part of the bound below which what is left of it raises the price no further. Guess.
    pub least_part: f64,
    /// How far beyond the divergence at which the bound is thought to lie a plan is still measured. Guess.
    pub reach_beyond: f64,

    /// Images that tuning takes at least. Guess: on fewer it learns these alone.
    pub tune_images: usize,
    /// The rate of tuning: the change of a weight in a step at most, as a part of the root mean square of all. Measured
    /// with another implementation: `docs/search.md`.
    pub tune_rate: f64,
    /// The same of a training after the first, as a part. Guess.
    pub tune_again_rate: f64,
    /// What a training of 1,000 steps is thought to take from the divergence, as a part of what is left; it grows with the
    /// root of the steps. Measured on two networks: 1,500 steps .2 to .3, 4,000 .45 to .5, 6,000 .6.
    pub tune_gain: f64,
    /// The part of all time that the first training takes. Guess.
    pub tune_first: f64,
    /// The same of a training after the first. Guess: what a plan is thought to lose is that uncertain that several have to
    /// be tried.
    pub tune_again: f64,
    /// What changes of the cost at uniform 8 bit between two trainings, at most but for one tensor. Guess: plans that are
    /// farther apart do not train alike.
    pub tune_stride: f64,
    /// What a tuned plan loses, as a part of what the float network's probabilities let expect. Measured on four networks of
    /// Fashion-MNIST, 10,000 images each: .2 to 1.2, .55 in the mean.
    pub tuned_loss: f64,

    /// Standard errors between the likely loss and the bound without a stated confidence: the normal
    /// distribution's one-sided 95 %.
    pub distance: f64,
    /// The same where the likely loss is of counted and expected by their variances: the one-sided 99 %, since about five
    /// plans near the bound are looked at. Measured: with 95 % five searches lost 0.51 to 1.27 % of unseen images.
    pub likely_distance: f64,
    /// The weight of the counted loss in the likely one where no label tells how far probabilities are right. Guess: half
    /// and half.
    pub counted: f64,
    /// The part of the images that the float network gets right after which a plan's answer may be clear is
    /// one over these, one after the other, all at last. Guess.
    pub stages: Vec<usize>,
    /// Nodes of which wider tensors are tried as a remedy. Guess.
    pub remedies: usize,
    /// Bits that take away the error of rounding, or of clipping, in the explanation. Guess.
    pub exact_bits: u8,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            calibration_images: 512,
            calibration_positions: 16_384,
            positions_per_weight: 4,
            bias_positions: 4096,
            bias_images: 128,
            telling_floor: 0.1,
            probe_images: 512,
            step_images: 256,
            large_macs: 1 << 25,
            fewest_images: 8,

            balance_images: 256,
            balance_sweeps: 8,
            balance_reach: 12.0,
            balances: vec![0.0, 0.5, 1.0],
            balance_bits: 4,
            fitted_bits: vec![3, 4, 5],
            fitted_scales: 8,
            fitted_octaves: 8,

            thin_loss: 0.35,
            thin_images: 100,
            thin_bits: 3.0,
            thin_most: 0.5,
            thin_damping: 1e-3,
            thin_parts: vec![0.0625, 0.125, 0.1875, 0.25, 0.375, 0.5, 0.625, 0.75],
            thin_depth: 8192,

            damping: 0.01,
            weight_points: 3,
            channel_points: 5,
            bias_noise: 0.05,
            bias_shifts: 8,

            weight_bits: 1..=8,
            activation_bits: 1..=8,
            value_bits: 12,
            wider_bits: vec![12, 16],
            harm: 2.0,
            class_output_bits: 12,
            value_output_bits: 16,

            class_scale: Scale { nothing: 5e-5, much: 1e-3, too_much: 0.05, least: 1e-9 },
            value_scale: Scale { nothing: 0.005, much: 0.1, too_much: 5.0, least: 1e-7 },
            shift_gain: 0.9,

            over_budget_cost: 100.0,
            price_steps: 2,
            plans_beyond: 2,
            exchanges: 15,
            trades: 16,
            worth: 0.001,
            pace: 1.5,
            least_pace: 1.04,
            at_once: 8,
            prices_per_exchange: 4,
            least_part: 0.05,
            reach_beyond: 1.5,

            tune_images: 512,
            tune_rate: 0.008,
            tune_again_rate: 0.25,
            tune_gain: 0.2,
            tune_first: 0.5,
            tune_again: 0.1,
            tune_stride: 0.02,
            tuned_loss: 0.6,

            distance: 1.645,
            likely_distance: 2.326,
            counted: 0.5,
            stages: vec![8, 5, 3, 2, 1],
            remedies: 4,
            exact_bits: 3,
        }
    }
}

/// What a divergence of one tensor means for a search.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    /// Below this, a wider tensor is no better.
    pub nothing: f64,
    /// From this on, other binary points are tried.
    pub much: f64,
    /// Beyond this, a width is out of the question; from [`Scale::nothing`] to here it is measured on more
    /// images.
    pub too_much: f64,
    /// What a step adds at least, so that its price is not zero.
    pub least: f64,
}

impl Scale {
    /// The thresholds of a search for a bound.
    ///
    /// How many nats of divergence a loss of classes allows is not known before it is measured: these
    /// thresholds, and those of other metrics, are the same for every bound. The distortion of values
    /// is itself what is bounded.
    pub fn new(max_loss: MaxLoss, tuning: &Tuning) -> Self {
        match max_loss {
            MaxLoss::Relative(_) | MaxLoss::Points(_) | MaxLoss::Metric { .. } => {
                tuning.class_scale
            }
            MaxLoss::Sqnr(_) => tuning.value_scale.times(max_loss.as_relative(1, 1)),
        }
    }

    fn times(self, factor: f64) -> Self {
        Self {
            nothing: self.nothing * factor,
            much: self.much * factor,
            too_much: self.too_much * factor,
            least: self.least * factor,
        }
    }

    /// Whether a divergence decides between widths.
    pub(crate) fn decides(&self, divergence: f64) -> bool {
        (self.nothing..=self.too_much).contains(&divergence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_of_values_follow_the_bound() {
        let tuning = Tuning::default();
        let of = |max_loss| Scale::new(max_loss, &tuning);
        assert_eq!(of(MaxLoss::Relative(0.2)), tuning.class_scale);
        assert_eq!(of(MaxLoss::Points(0.001)), tuning.class_scale);
        let same = of(MaxLoss::Sqnr(20.0));
        assert!((same.nothing - tuning.class_scale.nothing).abs() < 1e-15);
        assert!((same.too_much - tuning.class_scale.too_much).abs() < 1e-12);
        let close = of(MaxLoss::Sqnr(60.0));
        assert!(close.nothing < 1e-6 / 100.0 && close.decides(1e-6) && !close.decides(1e-5));
    }
}
