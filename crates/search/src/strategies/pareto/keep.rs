//! Formats that are given: the search chooses the others.

use super::options::ParetoOptions;
use crate::{reconstruct::GivenBias, strategies::tensors::Kind};
use fixedwise_fixed::Format;
use std::collections::BTreeMap;

/// What is given of a tensor's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Its width; the binary point is chosen.
    Bits(u8),
    /// Its width and binary point.
    Format(Format),
    /// It has none of its own: that of a value is derived from its inputs, that of a bias is the accumulator's
    /// scale.
    Derived,
}

/// By node and kind, what is given of weights and results; of biases the options of rounding have it.
pub type Kept = BTreeMap<(String, Kind), Keep>;

impl Keep {
    /// The width, where it has one of its own.
    pub(super) const fn bits(self) -> Option<u8> {
        match self {
            Self::Bits(bits) | Self::Format(Format { bits, .. }) => Some(bits),
            Self::Derived => None,
        }
    }
}

impl ParetoOptions {
    /// Takes over what is given of a tensor's format.
    pub fn keep(&mut self, name: &str, kind: Kind, keep: Keep) {
        let own = name.to_owned();
        match (kind, keep) {
            (Kind::Biases, Keep::Bits(bits)) => {
                self.rounding.biases.insert(own, GivenBias::Bits(bits));
            }
            (Kind::Biases, Keep::Format(format)) => {
                self.rounding.biases.insert(own, GivenBias::Format(format));
            }
            (Kind::Biases, Keep::Derived) => {
                self.rounding.biases.insert(own, GivenBias::Accumulator);
            }
            (Kind::Weights, Keep::Format(format)) => {
                self.rounding.points.insert(own.clone(), format.frac);
                self.kept.insert((own, kind), keep);
            }
            _ => drop(self.kept.insert((own, kind), keep)),
        }
    }

    /// What is given of a tensor's format.
    pub(super) fn kept(&self, name: &str, kind: Kind) -> Option<Keep> {
        self.kept.get(&(name.to_owned(), kind)).copied()
    }
}
