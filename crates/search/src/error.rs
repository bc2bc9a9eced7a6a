//! Why a calibration, an evaluation or a search gives no answer.

use fixedwise_graph::LowerError;
use thiserror::Error;

/// Why there is no answer.
#[derive(Debug, Error, PartialEq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields are named as in the text")]
pub enum SearchError {
    /// The caller's stop flag was raised.
    #[error("stopped before a valid plan was found")]
    Stopped,
    /// A set without images.
    #[error("there is no image to {purpose} on")]
    NoImages { purpose: &'static str },
    /// Values that no format can hold.
    #[error(
        "calibration: node `{node}` computes {count} values that are not finite; check the \
         preprocessing and the weights"
    )]
    NotFinite { node: String, count: u64 },
    /// Ranges of a file that states none.
    #[error(
        "the model was not quantized before, so its file states no ranges; calibrate on images \
         (`--calibration DATA`)"
    )]
    NoRanges,
    /// A value of which a file states no range.
    #[error(
        "the model's file states no range for the value of node `{node}`; calibrate on images \
         (`--calibration DATA`)"
    )]
    NoRange { node: String },
    /// A layer order that is not one of this network.
    #[error(
        "the layer order names `{name}`, which is not a layer of the network or is listed twice; \
         the layers are {known}"
    )]
    LayerOrder { name: String, known: String },
    /// An option of a search with a value that is not possible.
    #[error("option `{option}` {problem}")]
    Option { option: &'static str, problem: String },
    /// Images that have no figure by a metric.
    #[error("metric `{metric}` {problem}")]
    Metric { metric: &'static str, problem: &'static str },
    /// A grid of formats that cannot be swept.
    #[error("the grid of formats cannot be swept: {problem}")]
    Grid { problem: String },
    /// A sweep of tensors that the network does not have.
    #[error("there are no {kinds}{layer} to sweep; the network has {known}")]
    NothingToSweep { kinds: String, layer: String, known: String },
    /// A node of a cluster that is none of this search.
    #[error("{problem}")]
    Node { problem: String },
    /// The plan and the network do not make an integer network.
    #[error(transparent)]
    Lower(#[from] LowerError),
}
