//! The formats that are tried of a tensor.

use super::tensors::{Kind, PlanHead, Tensor};
use crate::{
    error::SearchError,
    statistics::{Offset, Statistics},
};
use fixedwise_fixed::{Format, Range, convert::saturating_i8};
use fixedwise_graph::Graph;
use std::ops::RangeInclusive;

/// Most formats that are tried of one tensor.
const MAX_POINTS: usize = 4096;

/// The binary points of a grid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fracs {
    /// The same at every width.
    Absolute(RangeInclusive<i8>),
    /// Counted from the finest at which nothing clips, width by width and tensor by tensor;
    /// positive ones are finer, and clip.
    FromNoClip(RangeInclusive<i8>),
}

/// The formats that are tried of each tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Bit widths.
    pub bits: RangeInclusive<u8>,
    /// Binary points.
    pub fracs: Fracs,
}

impl Default for Grid {
    /// 1 to 8 bits, from two binary points coarser than needed to three finer.
    fn default() -> Self {
        Self { bits: 1..=8, fracs: Fracs::FromNoClip(-2..=3) }
    }
}

impl Grid {
    /// What is wrong with it, if anything is.
    ///
    /// # Errors
    /// [`SearchError::Grid`] for an empty range, a width that no tensor of that kind has, and for
    /// too many formats.
    pub fn check(&self, kind: Kind) -> Result<(), SearchError> {
        let refuse = |problem: String| Err(SearchError::Grid { problem });
        let (Fracs::Absolute(fracs) | Fracs::FromNoClip(fracs)) = &self.fracs;
        if self.bits.is_empty() {
            return refuse("its range of bit widths is empty".to_owned());
        }
        if fracs.is_empty() {
            return refuse("its range of binary points is empty".to_owned());
        }
        let max_bits = kind.max_bits(Range::Narrow);
        if *self.bits.start() < 1 || *self.bits.end() > max_bits {
            let (from, to) = (self.bits.start(), self.bits.end());
            return refuse(format!(
                "its widths are {from} to {to} bits; {} have 1 to {max_bits}",
                kind.name()
            ));
        }
        let points = self.bits.clone().count() * fracs.clone().count();
        if points > MAX_POINTS {
            return refuse(format!(
                "it has {points} formats, more than {MAX_POINTS}; narrow the bit widths or the \
                 binary points"
            ));
        }
        Ok(())
    }

    /// Its formats of a tensor, width by width, those left out that the tensor cannot have.
    pub(super) fn formats(
        &self,
        graph: &Graph,
        statistics: &Statistics,
        tensor: &Tensor,
        head: &PlanHead,
    ) -> Vec<Format> {
        let mut formats = Vec::new();
        for bits in self.bits.clone() {
            if bits > tensor.kind.max_bits(tensor.range) {
                continue;
            }
            let (fracs, center) = match &self.fracs {
                Fracs::Absolute(fracs) => (fracs, 0),
                Fracs::FromNoClip(fracs) => {
                    let quantizer = head.quantizer;
                    let format = tensor.format(graph, statistics, bits, Offset::NoClip, quantizer);
                    (fracs, i64::from(format.frac))
                }
            };
            for frac in fracs.clone() {
                let frac = saturating_i8(center + i64::from(frac));
                let format = Format { bits, frac, range: tensor.range };
                if formats.last() != Some(&format) {
                    formats.push(format);
                }
            }
        }
        formats
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grids_that_cannot_be_swept_are_refused() {
        let check = |bits, fracs, kind| {
            let error = Grid { bits, fracs }.check(kind).unwrap_err();
            error.to_string()
        };
        let some = || Fracs::Absolute(0..=3);
        #[expect(clippy::reversed_empty_ranges, reason = "that is what is refused")]
        let (bits, fracs) = (8..=1, Fracs::FromNoClip(3..=-2));
        assert!(check(bits, some(), Kind::Weights).contains("bit widths is empty"));
        assert!(check(1..=8, fracs, Kind::Weights).contains("binary points is empty"));
        assert!(check(0..=8, some(), Kind::Weights).contains("0 to 8 bits; weights have 1 to 16"));
        assert!(check(1..=17, some(), Kind::Activations).contains("activations have 1 to 16"));
        assert!(check(1..=33, some(), Kind::Biases).contains("biases have 1 to 32"));
        let all = Fracs::Absolute(i8::MIN..=i8::MAX);
        assert!(check(1..=32, all, Kind::Biases).contains("8192 formats, more than 4096"));
        assert!(Grid::default().check(Kind::Weights).is_ok());
    }
}
