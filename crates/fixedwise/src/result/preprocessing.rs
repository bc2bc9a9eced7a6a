//! What the network is fed, and what the float network makes of it: the first result of every run.

use crate::preprocess::{DeclaredBy, Preprocess};
use serde::{Deserialize, Serialize};

/// What the network is fed.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct PreprocessingResult {
    /// As `--preprocess` takes it, the scale's default included.
    pub preprocess: Preprocess,
    /// Who declared it.
    pub declared_by: DeclaredBy,
    /// Whether a plan was given that says nothing of it: one of an earlier version, or in the terms of the
    /// paper.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_missing_in_plan: bool,
    /// Smallest and largest value that enters, by channel; empty without images, and of a network with several
    /// inputs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub range: Vec<[f32; 2]>,
    /// The same of each input, where there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<InputRange>,
}

/// The values of one input of several.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InputRange {
    /// The input's name in the model's file.
    pub name: String,
    /// Smallest and largest value that enters, by channel.
    pub range: Vec<[f32; 2]>,
}

/// What the float network makes of the images.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct FloatResult {
    /// Images.
    pub images: u64,
    /// Classes; 0 where outputs are values.
    pub classes: u64,
    /// Images it gets right; absent without labels, and where outputs are values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correct: Option<u64>,
    /// 95 % confidence interval of the fraction it gets right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval95: Option<[f64; 2]>,
    /// Whether an image is right where its label is among the five likeliest classes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub top5: bool,
    /// What it reaches by a metric that is computed of all images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub figure: Option<FloatFigure>,
    /// The fraction that the caller expects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<f64>,
    /// The class it names most often, and for how many images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most_named: Option<[u64; 2]>,
    /// Smallest and largest output, where outputs are values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_range: Option<[f32; 2]>,
    /// What looks wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// What the float network reaches by a metric.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct FloatFigure {
    /// The name of the metric.
    pub metric: String,
    /// In its own unit; a fraction where that is a part of all.
    pub value: f64,
}

impl FloatResult {
    /// The fraction of images that it gets right.
    pub(crate) fn accuracy(&self) -> Option<f64> {
        let count = fixedwise_fixed::convert::u64_to_f64;
        self.correct.map(|correct| count(correct) / count(self.images.max(1)))
    }
}
