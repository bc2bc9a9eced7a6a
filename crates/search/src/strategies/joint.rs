//! The paper's final search: kind after kind, layer after layer, each with everything before it
//! already quantized.
//!
//! Source: Goyal, Vanschoren, van Acht, Nijssen, "Fixed-point Quantization of Convolutional Neural
//! Networks for Quantized Inference on Embedded Platforms", arXiv 2102.02147 (2021), section
//! "optimized search".

use super::{
    layerwise::{LayerwiseOptions, search},
    observer::Observer,
    options::Holding,
    outcome::Outcome,
};
use crate::{error::SearchError, evaluate::Oracle, statistics::Statistics};
use fixedwise_graph::Graph;

/// Searches a plan, each tensor with all that is already quantized.
///
/// Tensors that the search has not reached are float in simulated semantics; in integer semantics
/// they are wide and proved, so that every plan on the way is an answer.
///
/// # Errors
/// Where the graph has no legal plan at the widest formats, the options are not for this network,
/// or an evaluation fails. A search that is stopped is not an error.
pub fn joint<O: Oracle>(
    graph: &Graph,
    statistics: &Statistics,
    oracle: &mut O,
    observer: &mut dyn Observer,
    options: &LayerwiseOptions,
) -> Result<Outcome, SearchError> {
    search(graph, statistics, oracle, observer, options, Holding::Everything)
}
