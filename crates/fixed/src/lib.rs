//! Fixed-point formats and the primitives everything else is built from.
//!
//! This crate alone rounds, shifts and saturates; `docs/number-format.md` is its specification in
//! prose. It knows no tensor, no graph and no file.
#![no_std]
#![forbid(unsafe_code)]

mod accumulator;
pub mod convert;
mod format;
mod multiplier;
mod requantize;

pub use accumulator::{AccumulatorBound, bits_for};
pub use format::{Format, FormatError, MAX_BITS, Range};
pub use multiplier::Multiplier;
pub use requantize::{Rounding, align, saturate, shift_round};

/// The examples of the specification, as doctests.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/number-format.md")]
struct Specification;
