//! What a report shows of layers and images.

use fixedwise_fixed::convert::{count_to_f64, f64_to_count, u64_to_f64};
use fixedwise_search::Histogram;
use serde::{Deserialize, Serialize};

/// How the values of a layer are distributed.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct DistributionResult {
    /// The layer.
    pub name: String,
    /// Of its weights in float.
    pub weights: HistogramResult,
    /// Of its results in float, over the calibration images; absent where the model states ranges instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activation: Option<HistogramResult>,
}

/// How many values there are in each of some equal parts of their range.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct HistogramResult {
    /// The least value.
    pub low: f64,
    /// The greatest value.
    pub high: f64,
    /// In each part, from the least on.
    pub counts: Vec<u64>,
}

/// An image that the float network gets right and the fixed-point network does not.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LostImageResult {
    /// Its place in the data set.
    pub image: u64,
    /// Its class.
    pub label: u64,
    /// The class that the fixed-point network names.
    pub named: u64,
    /// A small PNG of it, in base 64.
    pub png: String,
}

impl HistogramResult {
    /// Parts of a range.
    const PARTS: usize = 32;

    pub(crate) fn new(values: &Histogram) -> Self {
        let (low, high) = (f64::from(values.min()), f64::from(values.max()));
        let mut counts = vec![0; Self::PARTS];
        let width = (high - low).max(f64::MIN_POSITIVE);
        let mut add = |value: f64, count: u64| {
            let part = (value - low) / width * count_to_f64(Self::PARTS);
            counts[f64_to_count(part.max(0.0)).min(Self::PARTS - 1)] += count;
        };
        values.bins().for_each(|(from, to, count)| add(f64::midpoint(from, to), count));
        if values.zeros() > 0 {
            add(0.0, values.zeros());
        }
        Self { low, high, counts }
    }

    /// The count of each part, as a part of the largest.
    pub(crate) fn heights(&self) -> impl Iterator<Item = f64> {
        let most = u64_to_f64(self.counts.iter().copied().max().unwrap_or(0).max(1));
        self.counts.iter().map(move |&count| u64_to_f64(count) / most)
    }
}
