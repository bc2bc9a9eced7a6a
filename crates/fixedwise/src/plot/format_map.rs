//! The formats that were measured, tensor by tensor, from `result.json` or `sweep.json`.

use crate::{Error, RunResult, output::read_text};
use fixedwise_fixed::convert::{count_to_f64, u64_to_f64};
use fixedwise_search::strategies::{Kind, TraceEntry};
use serde::Deserialize;
use std::path::Path;

/// What formats were measured for each tensor, and what each one loses: the data of a heat map.
#[derive(Clone, Debug, PartialEq)]
pub struct FormatMap {
    /// The network.
    pub(super) model: String,
    /// What was measured, in one line.
    pub(super) about: String,
    pub(super) tensors: Vec<TensorMap>,
}

/// The formats of one tensor.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TensorMap {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// One for each bit width and offset.
    pub(super) points: Vec<FormatPoint>,
}

/// One measured format.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct FormatPoint {
    pub(super) bits: i32,
    pub(super) frac: i32,
    /// Relative to the float network on the images that were run; absent where none were.
    pub(super) loss: Option<f64>,
    /// Whether all images were run.
    pub(super) is_complete: bool,
    pub(super) is_chosen: bool,
}

/// What is read of `sweep.json`.
#[derive(Deserialize)]
struct SweepFile {
    #[serde(default)]
    model: SweepModel,
    #[serde(default)]
    semantics: String,
    tensor: Kind,
    #[serde(default)]
    images: u64,
    float_accuracy: f64,
    layers: Vec<SweepLayer>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SweepModel {
    name: String,
}

#[derive(Deserialize)]
struct SweepLayer {
    name: String,
    points: Vec<SweepPoint>,
    /// The place of the point that stayed while the walk went on.
    held: Option<usize>,
}

#[derive(Deserialize)]
struct SweepPoint {
    bits: u8,
    frac: i8,
    images: u64,
    accuracy: Option<f64>,
    correct: Option<u64>,
    lost: Option<u64>,
    gained: Option<u64>,
}

impl FormatMap {
    /// The formats that a search tried.
    ///
    /// # Errors
    /// [`Error::Picture`] for a result that keeps none.
    ///
    /// ```
    /// use fixedwise::{FormatMap, RunResult};
    ///
    /// let error = FormatMap::from_result(&RunResult::default()).unwrap_err();
    /// assert!(error.to_string().contains("no tried formats"));
    /// ```
    pub fn from_result(result: &RunResult) -> Result<Self, Error> {
        let mut tensors: Vec<TensorMap> = Vec::new();
        for entry in &result.tried {
            add(&mut tensors, &entry.name, entry.kind, point_of(entry));
        }
        if tensors.is_empty() {
            let problem = "the result keeps no tried formats; give one of a search that tries \
                           several, such as `joint`";
            return Err(super::nothing("heat map", problem));
        }
        let images = super::images_of(result);
        let about =
            format!("formats that the search tried, on {images}; {}", super::run_of(result));
        Ok(Self { model: super::network(result).to_owned(), about, tensors })
    }

    /// Reads `result.json` or `sweep.json`, whichever the file is.
    ///
    /// # Errors
    /// [`Error`] naming the file, for one that is neither or that holds no measured format.
    ///
    /// ```
    /// # fn main() -> Result<(), fixedwise::Error> {
    /// # let folder = tempfile::tempdir().expect("a temporary folder");
    /// # let path = folder.path().join("sweep.json");
    /// let text = r#"{"tensor": "weights", "images": 100, "float_accuracy": 0.9, "layers": [
    ///     {"name": "conv", "points": [{"bits": 4, "frac": 3, "images": 100, "accuracy": 0.81}]}]}"#;
    /// std::fs::write(&path, text).expect("writable");
    /// let map = fixedwise::FormatMap::read(&path)?;
    /// assert!(fixedwise::plot_heatmap(&map, None)?.to_svg().contains("conv"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = read_text(path)?;
        let refuse = |problem: String| Error::Result { path: path.to_owned(), problem };
        let value: serde_json::Value =
            serde_json::from_str(&text).map_err(|error| refuse(error.to_string()))?;
        let is_sweep = value.get("tensor").is_some();
        if is_sweep {
            let file: SweepFile =
                serde_json::from_value(value).map_err(|error| refuse(error.to_string()))?;
            return Self::from_sweep(&file).map_err(refuse);
        }
        let result = RunResult::from_json(&text)
            .map_err(|problem| refuse(format!("neither a result nor a sweep: {problem}")))?;
        Self::from_result(&result).map_err(|error| match error {
            Error::Picture { problem, .. } => refuse(problem),
            other => other,
        })
    }

    fn from_sweep(file: &SweepFile) -> Result<Self, String> {
        if !(file.float_accuracy > 0.0 && file.float_accuracy <= 1.0) {
            return Err(format!("a float accuracy of {} has no loss", file.float_accuracy));
        }
        let mut tensors = Vec::new();
        for layer in &file.layers {
            for (idx, point) in layer.points.iter().enumerate() {
                let is_chosen = layer.held == Some(idx);
                let point = FormatPoint { is_chosen, ..file.point(point) };
                add(&mut tensors, &layer.name, file.tensor, point);
            }
        }
        if tensors.is_empty() {
            return Err("the sweep holds no measured format".to_owned());
        }
        let semantics = match file.semantics.as_str() {
            "" => String::new(),
            name => format!(", {name} semantics"),
        };
        let images = crate::table::grouped(file.images);
        let kind = file.tensor.name();
        let is_held = file.layers.iter().any(|layer| layer.held.is_some());
        let rest = if is_held { "those before it as ringed" } else { "all else as it was" };
        let about = format!("{kind} of one layer at a time, {rest}; on {images} images{semantics}");
        let model = match file.model.name.as_str() {
            "" => "a network",
            name => name,
        };
        Ok(Self { model: model.to_owned(), about, tensors })
    }

    /// Whether a kind of tensors has a measured format.
    pub(super) fn has(&self, kind: Kind) -> bool {
        self.tensors.iter().any(|tensor| tensor.kind == kind)
    }
}

impl SweepFile {
    fn point(&self, point: &SweepPoint) -> FormatPoint {
        let paired = match (point.correct, point.lost, point.gained) {
            (Some(correct), Some(lost), Some(gained)) => paired_loss(correct, lost, gained),
            _ => None,
        };
        let plain = point.accuracy.map(|accuracy| 1.0 - accuracy / self.float_accuracy);
        FormatPoint {
            bits: i32::from(point.bits),
            frac: i32::from(point.frac),
            loss: paired.or(plain).filter(|_| point.images > 0),
            is_complete: point.images >= self.images,
            is_chosen: false,
        }
    }
}

/// Adds a point to its tensor; measured again, the later one counts.
fn add(tensors: &mut Vec<TensorMap>, name: &str, kind: Kind, point: FormatPoint) {
    let is_it = |tensor: &&mut TensorMap| tensor.name == name && tensor.kind == kind;
    let Some(tensor) = tensors.iter_mut().find(is_it) else {
        tensors.push(TensorMap { name: name.to_owned(), kind, points: vec![point] });
        return;
    };
    let same = |other: &&mut FormatPoint| (other.bits, other.frac) == (point.bits, point.frac);
    match tensor.points.iter_mut().find(same) {
        Some(other) => {
            let is_chosen = other.is_chosen || point.is_chosen;
            if point.is_complete || !other.is_complete {
                *other = point;
            }
            other.is_chosen = is_chosen;
        }
        None => tensor.points.push(point),
    }
}

/// A tried format; where the images ended early, its loss on those that were run.
pub(super) fn point_of(entry: &TraceEntry) -> FormatPoint {
    let [correct, lost, gained] = [entry.correct, entry.lost, entry.gained].map(count_to_f64);
    let float = correct + lost - gained;
    let partial = (entry.images > 0 && float > 0.0).then(|| (lost - gained) / float);
    FormatPoint {
        bits: i32::from(entry.bits),
        frac: i32::from(entry.frac),
        loss: entry.relative_loss.or(partial),
        is_complete: entry.relative_loss.is_some(),
        is_chosen: entry.chosen,
    }
}

/// The loss on images that both networks have seen.
fn paired_loss(correct: u64, lost: u64, gained: u64) -> Option<f64> {
    let [correct, lost, gained] = [correct, lost, gained].map(u64_to_f64);
    let float = correct + lost - gained;
    (float > 0.0).then(|| (lost - gained) / float)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<FormatMap, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file.json");
        std::fs::write(&path, text).unwrap();
        FormatMap::read(&path).map_err(|error| error.to_string())
    }

    #[test]
    fn a_sweep_is_read_with_its_losses() {
        let map = read(
            r#"{"schema": 1, "tool": "x", "model": {"name": "net", "sha256": "0"},
            "semantics": "simulated", "tensor": "activations", "images": 100,
            "float_accuracy": 0.8, "direction": "one", "layers": [{"name": "a", "points": [
            {"bits": 8, "frac": 3, "signed": true, "images": 100, "correct": 76,
             "accuracy": 0.76, "drop": 0.04, "ratio": 0.95, "lost": 6, "gained": 2},
            {"bits": 7, "frac": 2, "images": 50, "accuracy": 0.4}], "held": 0}]}"#,
        )
        .unwrap();
        assert_eq!((map.model.as_str(), map.tensors.len()), ("net", 1));
        let [whole, part] = map.tensors[0].points[..] else { panic!("two points") };
        assert!((whole.loss.unwrap() - 0.05).abs() < 1e-12 && whole.is_complete);
        assert!(whole.is_chosen && !part.is_chosen);
        assert!((part.loss.unwrap() - 0.5).abs() < 1e-12 && !part.is_complete);
    }

    #[test]
    fn files_of_another_kind_are_refused() {
        for (text, expected) in [
            ("weights", "line 1"),
            ("{}", "neither a result nor a sweep"),
            ("[1, 2]", "neither a result nor a sweep"),
            (r#"{"tensor": "weights"}"#, "float_accuracy"),
            (r#"{"tensor": "others", "float_accuracy": 1, "layers": []}"#, "others"),
            (r#"{"tensor": "weights", "float_accuracy": 1, "layers": []}"#, "no measured format"),
            (r#"{"tensor": "weights", "float_accuracy": 0, "layers": []}"#, "float accuracy of 0"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(expected) && error.contains("file.json"), "{text}: {error}");
        }
        let error = read(&RunResult::default().to_json()).unwrap_err();
        assert!(error.contains("no tried formats"), "{error}");
    }
}
