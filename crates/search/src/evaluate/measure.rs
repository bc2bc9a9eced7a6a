//! Who measures plans: the question, what comes back, and how parts of it join.

use crate::{
    error::SearchError,
    score::{Details, Score},
};
use fixedwise_graph::{LowerError, NodeId, Plan};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, ops::Range};

/// What is asked about a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Question {
    /// Which images it gets right; of several outputs or of images with labels, also output by output and class by
    /// class; and what a metric counts of each image.
    Score,
    /// How far its outputs are from the float network's.
    Divergence,
    /// What its outputs are.
    Outputs,
}

/// A question about a plan.
#[derive(Clone, Copy, Debug)]
pub struct Request<'r> {
    /// The plan.
    pub plan: &'r Plan,
    /// What is asked.
    pub question: Question,
    /// The node that the next plans will differ in: what comes before it is worth keeping.
    pub focus: Option<NodeId>,
    /// Up to which chunk the same may be asked next.
    pub ahead: usize,
}

/// Measures plans on the images of a set, here or elsewhere.
///
/// The images are those of the float network's [`Predictions`](super::Predictions), in the order that decides
/// soonest, in chunks of [`Part::CHUNK`]; whoever measures a chunk, what comes of it is the same to the bit.
pub trait Measure {
    /// What some chunks of images give.
    ///
    /// # Errors
    /// [`SearchError::Lower`] for a plan that is not legal or not proved, [`SearchError::Stopped`].
    fn part(&mut self, request: &Request, chunks: Range<usize>) -> Result<Part, SearchError>;

    /// Whether a plan is legal and every sum proved, without running it.
    ///
    /// # Errors
    /// [`LowerError`] naming the node.
    fn check(&self, plan: &Plan) -> Result<(), LowerError>;

    /// Bytes of values that it keeps now.
    fn cached_bytes(&self) -> usize {
        0
    }
}

/// What some chunks of images gave. Parts of different chunks join exactly, in whatever order they come.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// Over the images, where that was asked.
    pub score: Score,
    /// By chunk, the sum over its images, where that was asked: sums of floats depend on the order, so it is
    /// kept until all are there.
    pub divergences: BTreeMap<usize, f64>,
    /// By image, where they were asked: the outputs one after the other.
    pub outputs: BTreeMap<usize, Vec<f32>>,
    /// Over the images, where that was asked.
    pub details: Details,
    /// By image that only the float network names the label for: the label, and the class that the plan names.
    pub lost: BTreeMap<usize, [usize; 2]>,
    /// By image, what a metric counts of it, where there is one.
    pub counted: BTreeMap<usize, Vec<f64>>,
    /// Multiplications that were computed.
    pub macs: u64,
}

impl Part {
    /// Images of a chunk.
    pub const CHUNK: usize = super::runner::CHUNK;

    /// Both together.
    #[must_use]
    pub fn join(mut self, other: Self) -> Self {
        self.divergences.extend(other.divergences);
        self.outputs.extend(other.outputs);
        self.details.add(&other.details);
        self.lost.extend(other.lost);
        self.counted.extend(other.counted);
        Self { score: self.score.plus(&other.score), macs: self.macs + other.macs, ..self }
    }

    /// The sum over all images, in the order of the chunks.
    pub fn divergence(&self) -> f64 {
        self.divergences.values().sum()
    }
}
