//! How commands end.

/// How a command ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Exit code 0.
    Done,
    /// Exit code 2: a bound or budget is not met; the best result is written.
    OutOfReach,
}
