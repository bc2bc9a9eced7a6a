//! What a sweep found: `sweep.json`, and heat maps of characters.

use super::{
    head::{Ended, ModelResult, TOOL},
    preprocessing::{FloatResult, PreprocessingResult},
    run::accuracy,
};
use crate::{error::Error, files::read_text};
use fixedwise_search::strategies::{Kind, TraceEntry, brute_force::Direction};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The schema of `sweep.json`.
const SWEEP_SCHEMA: u32 = 1;

/// The accuracy of every format that was tried: `sweep.json`, schema 1; keys are added, never
/// renamed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SweepResult {
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
    /// `integer` or `simulated`.
    pub semantics: String,
    /// `uniform` or `square-root`.
    pub quantizer: String,
    /// Whose formats they are.
    pub tensor: Kind,
    /// What counts: `accuracy`, or `agreement` with the float network where images have no labels.
    #[serde(default = "accuracy")]
    pub metric: String,
    /// Images that every point was measured on.
    pub images: u64,
    /// Of these, those the float network gets right.
    pub float_correct: u64,
    /// Fraction the float network gets right.
    pub float_accuracy: f64,
    /// The way through the layers.
    pub direction: Direction,
    /// How the point that is held is chosen; absent where each layer was swept alone.
    pub hold: Option<SweepHold>,
    /// How the sweep ended.
    pub ended: Ended,
    /// In the order of the walk.
    pub layers: Vec<SweepLayer>,
    /// Plans that were run.
    pub evaluations: u64,
    /// Wall-clock time.
    pub seconds: f64,
}

/// How the point that is held is chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SweepHold {
    /// `drop`, `ratio` or `accuracy`.
    pub score: String,
    /// A fraction: 0.01 is one percent.
    pub tolerance: f64,
}

/// One layer, or residual add.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SweepLayer {
    /// The node.
    pub name: String,
    /// Every format that is legal, width by width.
    pub points: Vec<SweepPoint>,
    /// The place in `points` of the one that was held while the walk went on.
    pub held: Option<u64>,
}

/// One format and what it gave.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SweepPoint {
    /// Bit width.
    pub bits: u8,
    /// Fractional offset.
    pub frac: i8,
    /// Whether negative integers belong to it.
    pub signed: bool,
    /// Images.
    pub images: u64,
    /// Images the network gets right with it.
    pub correct: u64,
    /// `correct` as a fraction.
    pub accuracy: f64,
    /// Float accuracy minus accuracy.
    pub drop: f64,
    /// Accuracy divided by float accuracy; 0 where that is 0.
    pub ratio: f64,
    /// Images that only the float network gets right.
    pub lost: u64,
    /// Images that only the network with this format gets right.
    pub gained: u64,
}

impl SweepPoint {
    fn new(entry: &TraceEntry, float_accuracy: f64) -> Self {
        use fixedwise_fixed::convert::{count_to_f64, count_to_u64};
        let accuracy = count_to_f64(entry.correct) / count_to_f64(entry.images.max(1));
        Self {
            bits: entry.bits,
            frac: entry.frac,
            signed: entry.signed,
            images: count_to_u64(entry.images),
            correct: count_to_u64(entry.correct),
            accuracy,
            drop: float_accuracy - accuracy,
            ratio: if float_accuracy > 0.0 { accuracy / float_accuracy } else { 0.0 },
            lost: count_to_u64(entry.lost),
            gained: count_to_u64(entry.gained),
        }
    }
}

/// The points of a trace, layer by layer; those that are not legal left out.
pub(crate) fn layers(trace: &[TraceEntry], float_accuracy: f64) -> Vec<SweepLayer> {
    let mut layers: Vec<SweepLayer> = Vec::new();
    for entry in trace {
        if layers.last().is_none_or(|layer| layer.name != entry.name) {
            let (name, points) = (entry.name.clone(), Vec::new());
            layers.push(SweepLayer { name, points, held: None });
        }
        let Some(layer) = layers.last_mut().filter(|_| entry.images > 0) else { continue };
        if entry.chosen {
            layer.held = Some(fixedwise_fixed::convert::count_to_u64(layer.points.len()));
        }
        layer.points.push(SweepPoint::new(entry, float_accuracy));
    }
    layers
}

impl Default for SweepResult {
    fn default() -> Self {
        Self {
            schema: SWEEP_SCHEMA,
            tool: TOOL.to_owned(),
            model: ModelResult::default(),
            preprocessing: None,
            float_network: None,
            semantics: String::new(),
            quantizer: String::new(),
            tensor: Kind::Weights,
            metric: accuracy(),
            images: 0,
            float_correct: 0,
            float_accuracy: 0.0,
            direction: Direction::Forward,
            hold: None,
            ended: Ended::Completed,
            layers: Vec::new(),
            evaluations: 0,
            seconds: 0.0,
        }
    }
}

impl SweepResult {
    /// As `sweep.json` is written.
    ///
    /// ```
    /// let text = fixedwise::SweepResult::default().to_json();
    /// assert!(text.contains("\"schema\": 1"));
    /// ```
    #[expect(clippy::missing_panics_doc, reason = "every key is a string")]
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("every key is a string");
        text.push('\n');
        text
    }

    /// Reads what [`SweepResult::to_json`] has written.
    ///
    /// # Errors
    /// What is wrong with the text, with its line and column; also another schema, and a float
    /// accuracy that no loss can be measured against.
    ///
    /// ```
    /// use fixedwise::SweepResult;
    ///
    /// let error = SweepResult::from_json("{}").unwrap_err();
    /// assert!(error.contains("schema"));
    /// ```
    pub fn from_json(text: &str) -> Result<Self, String> {
        let result: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if result.schema != SWEEP_SCHEMA {
            return Err(format!("schema {} is not supported, only {SWEEP_SCHEMA}", result.schema));
        }
        if !(result.float_accuracy > 0.0 && result.float_accuracy <= 1.0) {
            return Err(format!("a float accuracy of {} has no loss", result.float_accuracy));
        }
        Ok(result)
    }

    /// Reads `sweep.json`.
    ///
    /// # Errors
    /// [`Error`] naming the file.
    ///
    /// ```
    /// let error = fixedwise::SweepResult::read("absent.json".as_ref()).unwrap_err();
    /// assert!(error.to_string().contains("absent.json"));
    /// ```
    pub fn read(path: &Path) -> Result<Self, Error> {
        Self::from_json(&read_text(path)?)
            .map_err(|problem| Error::Result { path: path.to_owned(), problem })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A format of weights that was tried; `s3 F5` is the chosen one.
    pub(crate) fn entry(
        name: &str,
        bits: u8,
        frac: i8,
        images: usize,
        correct: usize,
    ) -> TraceEntry {
        TraceEntry {
            name: name.to_owned(),
            kind: Kind::Weights,
            bits,
            frac,
            signed: true,
            images,
            correct,
            lost: 1,
            gained: 2,
            relative_loss: None,
            chosen: (bits, frac) == (3, 5),
        }
    }

    /// Two layers, one without a legal format.
    pub(crate) fn swept() -> SweepResult {
        let trace = [
            entry("a", 2, 4, 200, 50),
            entry("a", 2, 5, 0, 0),
            entry("a", 3, 4, 200, 160),
            entry("a", 3, 5, 200, 100),
            entry("b", 2, 4, 0, 0),
        ];
        SweepResult { layers: layers(&trace, 0.8), float_accuracy: 0.8, ..SweepResult::default() }
    }

    #[test]
    fn points_that_are_not_legal_are_left_out() {
        let result = swept();
        let [a, b] = &result.layers[..] else { panic!("two layers") };
        assert_eq!((a.points.len(), a.held), (3, Some(2)));
        assert_eq!((b.points.len(), b.held), (0, None));
        let point = a.points[1];
        assert_eq!((point.correct, point.images, point.lost, point.gained), (160, 200, 1, 2));
        assert!((point.drop).abs() < 1e-12 && (point.ratio - 1.0).abs() < 1e-12);
        assert!((a.points[0].drop - 0.55).abs() < 1e-12);
    }
}
