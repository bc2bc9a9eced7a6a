//! The integer operations that the forms beside C are written of.

use crate::fixed_operator::FixedOp;
use crate::ops::{
    FixedAdd, FixedAveragePool, FixedConcat, FixedConv, FixedInput, FixedMaxPool, FixedPad,
    FixedRescale, FixedReshape,
};

/// One of them.
#[derive(Clone, Copy, Debug)]
pub(super) enum Operation<'a> {
    Input,
    Conv(&'a FixedConv),
    Add(&'a FixedAdd),
    AveragePool(&'a FixedAveragePool),
    Concat(&'a FixedConcat),
    MaxPool(&'a FixedMaxPool),
    Pad(&'a FixedPad),
    Rescale(&'a FixedRescale),
    Reshape(&'a FixedReshape),
}

impl<'a> Operation<'a> {
    /// Which one an operation is.
    pub(super) fn of(op: &'a FixedOp) -> Self {
        let input = || op.get::<FixedInput>().map(|_| Self::Input);
        input()
            .or_else(|| op.get().map(Self::Conv))
            .or_else(|| op.get().map(Self::Add))
            .or_else(|| op.get().map(Self::AveragePool))
            .or_else(|| op.get().map(Self::Concat))
            .or_else(|| op.get().map(Self::MaxPool))
            .or_else(|| op.get().map(Self::Pad))
            .or_else(|| op.get().map(Self::Rescale))
            .or_else(|| op.get().map(Self::Reshape))
            .expect("lowering makes no other operation")
    }
}
