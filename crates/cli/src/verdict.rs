//! How a command ends that did not fail.

/// What it says to its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Exit code 0.
    Done,
    /// Exit code 2: the bound is out of reach, the best so far is written.
    OutOfReach,
}
