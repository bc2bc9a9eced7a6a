//! The paper's search of each kind alone, each layer with those before it already quantized.
//!
//! Source: Goyal, Vanschoren, van Acht, Nijssen, arXiv 2102.02147 (2021), section "independent
//! search", layer-dependent, forward and reverse.

use super::{
    layerwise::{LayerwiseOptions, search},
    observer::Observer,
    options::Holding,
    outcome::Outcome,
};
use crate::{error::SearchError, evaluate::Oracle, statistics::Statistics};
use fixedwise_graph::Graph;

/// Searches a plan, each tensor with those of its kind that are already quantized; the other kinds
/// are float, or wide in integer semantics.
///
/// What the kinds lose adds up, and no budget sees it: the plan of all of them together may be
/// beyond the bound. In integer semantics the answer is then the last one on the way that kept to
/// it, with the rest wide.
///
/// # Errors
/// As [`joint`](super::joint()).
pub fn layer_dependent<O: Oracle>(
    graph: &Graph,
    statistics: &Statistics,
    oracle: &mut O,
    observer: &mut dyn Observer,
    options: &LayerwiseOptions,
) -> Result<Outcome, SearchError> {
    search(graph, statistics, oracle, observer, options, Holding::SameKind)
}
