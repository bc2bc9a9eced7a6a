//! One file a command: its arguments, the call, what it prints.

pub(crate) mod evaluate;
pub(crate) mod export;
pub(crate) mod generalize;
pub(crate) mod inspect;
pub(crate) mod plot;
pub(crate) mod quantize;
pub(crate) mod refit;
pub(crate) mod report;
pub(crate) mod serve;
pub(crate) mod sweep;
pub(crate) mod sweep_jobs;
