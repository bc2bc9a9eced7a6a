//! A plan on parts of a data set that it was not tuned on.

use super::{
    head::{Ended, ModelResult, TOOL},
    preprocessing::{FloatResult, PreprocessingResult},
    run::{MaxLossResult, SetResult, accuracy},
};
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
    /// Wall-clock time.
    pub seconds: f64,
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
