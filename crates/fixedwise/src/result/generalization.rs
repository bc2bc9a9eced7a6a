//! A plan on parts of a data set that it was not tuned on.

use super::{
    head::{Ended, ModelResult, TOOL},
    preprocessing::{FloatResult, PreprocessingResult},
    run::{MaxLossResult, SetResult, accuracy},
};
use fixedwise_fixed::convert::count_to_f64;
use fixedwise_search::MaxLoss;
use serde::{Deserialize, Serialize};

/// A plan on each part: `generalize.json`, schema 1; keys are added, never renamed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Generalization {
    /// 1.
    pub schema: u32,
    /// Name and version of the tool.
    pub tool: String,
    /// The network.
    pub model: ModelResult,
    /// What the network is fed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preprocessing: Option<PreprocessingResult>,
    /// What the float network makes of the images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub float_network: Option<FloatResult>,
    /// The strategy that made the plan; `given` for one that was only measured.
    pub strategy: String,
    /// `integer` or `simulated`.
    pub semantics: String,
    /// What counts: `accuracy`, or `agreement` with the float network where images have no labels.
    #[serde(default = "accuracy")]
    pub metric: String,
    /// The loss that is allowed.
    pub max_loss: MaxLossResult,
    /// Whether the part that was tuned on keeps to it; every part, where the plan was given.
    pub bound_met: bool,
    /// How the search ended.
    pub ended: Ended,
    /// The parts, in their order.
    pub parts: Vec<PartResult>,
    /// All parts together that no decision saw.
    pub unseen: SetResult,
    /// The searches with one seed after the other, the first one the plan above; empty where one seed was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seeds: Vec<SeedResult>,
    /// How these differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spread: Option<Spread>,
    /// Wall-clock time.
    pub seconds: f64,
}

/// A search with one seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SeedResult {
    /// The seed.
    pub seed: u64,
    /// The part that was tuned on, the first being 1.
    pub part: usize,
    /// The part of the memory at 8 bits that is saved.
    pub memory_reduction: f64,
    /// The part of the bit products at 8 bits that is saved.
    pub operand_reduction: f64,
    /// Whether the part that was tuned on keeps to the bound.
    pub bound_met: bool,
    /// On the part that was tuned on.
    pub tuned: SetResult,
    /// On all other parts together.
    pub unseen: SetResult,
}

/// What varies from seed to seed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Of the memory that is saved.
    pub memory_reduction: MeanResult,
    /// Of the bit products that are saved.
    pub operand_reduction: MeanResult,
    /// Of the loss on the part that was tuned on.
    pub tuned_loss: MeanResult,
    /// Of the loss on the other parts.
    pub unseen_loss: MeanResult,
}

/// A mean over seeds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MeanResult {
    /// The mean.
    pub mean: f64,
    /// The standard deviation of one seed's number.
    pub deviation: f64,
}

impl Spread {
    /// Of two seeds or more.
    pub(crate) fn of(seeds: &[SeedResult]) -> Option<Self> {
        let of = |number: fn(&SeedResult) -> f64| MeanResult::of(seeds.iter().map(number));
        (seeds.len() > 1).then(|| Self {
            memory_reduction: of(|seed| seed.memory_reduction),
            operand_reduction: of(|seed| seed.operand_reduction),
            tuned_loss: of(|seed| seed.tuned.relative_loss),
            unseen_loss: of(|seed| seed.unseen.relative_loss),
        })
    }
}

impl MeanResult {
    /// Of two numbers or more.
    fn of(numbers: impl ExactSizeIterator<Item = f64> + Clone) -> Self {
        let n = count_to_f64(numbers.len());
        let mean = numbers.clone().sum::<f64>() / n;
        let squares: f64 = numbers.map(|x| (x - mean).powi(2)).sum();
        Self { mean, deviation: (squares / (n - 1.0)).sqrt() }
    }
}

/// A plan on one part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PartResult {
    /// Its first image in the split.
    pub from: u64,
    /// One past its last image.
    pub to: u64,
    /// Whether the plan was tuned on it.
    pub tuned: bool,
    /// Whether the plan keeps to the bound on it.
    pub bound_met: bool,
    /// Float and fixed accuracy.
    pub accuracy: SetResult,
}

impl Default for Generalization {
    fn default() -> Self {
        Self {
            schema: 1,
            tool: TOOL.to_owned(),
            model: ModelResult::default(),
            preprocessing: None,
            float_network: None,
            strategy: String::new(),
            semantics: String::new(),
            metric: accuracy(),
            max_loss: MaxLoss::default().into(),
            bound_met: false,
            ended: Ended::Completed,
            parts: Vec::new(),
            unseen: SetResult::default(),
            seeds: Vec::new(),
            spread: None,
            seconds: 0.0,
        }
    }
}

impl Generalization {
    /// As `generalize.json` is written.
    ///
    /// ```
    /// let text = fixedwise::Generalization::default().to_json();
    /// assert!(text.contains("\"unseen\""));
    /// ```
    #[expect(clippy::missing_panics_doc, reason = "every key is a string")]
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("every key is a string");
        text.push('\n');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deviation_is_that_of_a_sample() {
        let MeanResult { mean, deviation } = MeanResult::of([2.0, 4.0, 4.0, 6.0].into_iter());
        assert!((mean - 4.0).abs() < 1e-12 && (deviation - (8.0_f64 / 3.0).sqrt()).abs() < 1e-12);
    }
}
