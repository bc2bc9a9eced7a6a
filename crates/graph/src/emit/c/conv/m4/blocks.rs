//! Blocks of channels whose weights have three values: they are unpacked for each row.

use super::pack::words;
use crate::emit::c::conv::{layer::ConvLayer, three};

/// A convolution whose weights have three values: blocks of channels are unpacked for each row.
#[derive(Clone, Copy)]
pub(super) struct Three {
    /// The power of two that the weights are.
    pub(super) power: u32,
    /// Channels of a block.
    pub(super) channels: usize,
}

impl Three {
    /// Bytes of the code that unpacks them, where other layers have the usual one.
    const CODE: usize = 1024;
    /// Bytes of a block's unpacked weights.
    const MOST: usize = 512;

    /// `None` where that saves nothing, or something else belongs to the channels of a pixel.
    pub(super) fn of(layer: &ConvLayer, is_depthwise: bool) -> Option<Self> {
        let is_plain = !is_depthwise && layer.added.is_none() && layer.coarser.is_empty();
        let may_be = is_plain && three::is_worth_time(layer);
        let power = three::power(layer).filter(|_| may_be)?;
        // Rows of pairs in whole words, of two channels.
        let [rows, columns] = layer.window.kernel;
        let pairs = (columns * layer.input.c).div_ceil(2);
        let words = |channels: usize| channels / 2 * rows * words(2, pairs);
        let even = (2..=layer.channels).step_by(2);
        let mut divisors = even.filter(|channels| layer.channels.is_multiple_of(*channels));
        let channels = divisors.clone().filter(|&n| 4 * words(n) <= Self::MOST).max();
        let channels = channels.or_else(|| divisors.next())?;
        let stored = 4 * three::words(words(channels)) * (layer.channels / channels);
        three::saves(layer, stored, Self::CODE).then_some(Self { power, channels })
    }
}

/// Channels that are unpacked together.
#[derive(Clone, Copy)]
pub(super) struct Block {
    pub(super) channels: usize,
    /// How often their weights are five words.
    pub(super) fives: usize,
}

impl Block {
    /// Words of the unpacked weights.
    pub(super) fn words(self) -> usize {
        5 * self.fives
    }
}
