//! The paper's search of each tensor alone.
//!
//! Source: Goyal, Vanschoren, van Acht, Nijssen, arXiv 2102.02147 (2021), section "independent
//! search", layer-independent.

use super::{
    layerwise::{LayerwiseOptions, search},
    observer::Observer,
    options::Holding,
    outcome::Outcome,
};
use crate::{error::SearchError, evaluate::Oracle, statistics::Statistics};
use fixedwise_graph::Graph;

/// Searches a plan, each tensor with all others float, or wide in integer semantics.
///
/// What the tensors lose adds up, and no budget sees it: the plan of all of them together may be
/// beyond the bound. In integer semantics the answer is then the last one on the way that kept to
/// it, with the rest wide.
///
/// # Errors
/// As [`joint`](super::joint()).
pub fn layer_independent<O: Oracle>(
    graph: &Graph,
    statistics: &Statistics,
    oracle: &mut O,
    observer: &mut dyn Observer,
    options: &LayerwiseOptions,
) -> Result<Outcome, SearchError> {
    search(graph, statistics, oracle, observer, options, Holding::Nothing)
}
