//! Where the values of a network lie in one block of memory while it runs.
//!
//! Nothing here knows what a node computes or how a value is stored: sizes and the legal ways of sharing go
//! in, offsets come out. What is arranged are plain buffers; nodes are one way to them.

mod arrangement;
mod plan;

pub use arrangement::{Arrangement, Buffer, arrange};
pub use plan::{ALIGNMENT, MemoryNode, MemoryPlan};

#[cfg(test)]
mod tests;
