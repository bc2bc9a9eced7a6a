//! How a command ends that did not fail.

/// Its exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Exit code 0.
    Done,
    /// Exit code 2: a bound or budget is not met; the best result is written.
    OutOfReach,
}
