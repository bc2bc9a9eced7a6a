//! The formats that were measured, tensor by tensor, from `result.json` or `sweep.json`.

use crate::{
    error::Error,
    files::read_text,
    result::{RunResult, SweepPoint, SweepResult},
};
use fixedwise_fixed::convert::{count_to_u64, u64_to_f64};
use fixedwise_search::strategies::{Kind, TraceEntry};
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
            let problem = "the result contains no tried formats; use the result of a strategy that \
                           tries several, for example `joint`";
            return Err(super::nothing("heat map", problem));
        }
        let images = super::images_of(result);
        let about = format!("formats tried by the search, on {images}; {}", super::run_of(result));
        Ok(Self { model: super::network(result).to_owned(), about, tensors })
    }

    /// The formats of a sweep.
    ///
    /// # Errors
    /// [`Error::Picture`] for a sweep that measured none.
    ///
    /// ```
    /// use fixedwise::{FormatMap, SweepResult};
    ///
    /// let error = FormatMap::from_sweep(&SweepResult::default()).unwrap_err();
    /// assert!(error.to_string().contains("no measured format"));
    /// ```
    pub fn from_sweep(sweep: &SweepResult) -> Result<Self, Error> {
        let mut tensors = Vec::new();
        for layer in &sweep.layers {
            for (idx, point) in layer.points.iter().enumerate() {
                let is_chosen = layer.held == Some(count_to_u64(idx));
                let point = FormatPoint { is_chosen, ..point_of_sweep(point, sweep.images) };
                add(&mut tensors, &layer.name, sweep.tensor, point);
            }
        }
        if tensors.is_empty() {
            return Err(super::nothing("heat map", "the sweep contains no measured format"));
        }
        let images = super::super::numbers::grouped(sweep.images);
        let (kind, semantics) = (sweep.tensor.name(), &sweep.semantics);
        let is_held = sweep.layers.iter().any(|layer| layer.held.is_some());
        let rest = if is_held {
            "the layers before with the circled formats"
        } else {
            "everything else unchanged"
        };
        let about = format!(
            "{kind} of one layer at a time, {rest}; on {images} images, {semantics} semantics"
        );
        Ok(Self { model: sweep.model.name.clone(), about, tensors })
    }

    /// Reads `result.json` or `sweep.json`, whichever the file is.
    ///
    /// # Errors
    /// [`Error`] naming the file, for one that is neither or that holds no measured format.
    ///
    /// ```
    /// let error = fixedwise::FormatMap::read("absent.json".as_ref()).unwrap_err();
    /// assert!(error.to_string().contains("absent.json"));
    /// ```
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = read_text(path)?;
        let refuse = |problem: String| Error::Result { path: path.to_owned(), problem };
        let value: serde_json::Value =
            serde_json::from_str(&text).map_err(|error| refuse(error.to_string()))?;
        let map = if value.get("tensor").is_some() {
            Self::from_sweep(&SweepResult::from_json(&text).map_err(refuse)?)
        } else {
            let result = RunResult::from_json(&text)
                .map_err(|problem| refuse(format!("neither a result nor a sweep: {problem}")))?;
            Self::from_result(&result)
        };
        map.map_err(|error| match error {
            Error::Picture { problem, .. } => refuse(problem),
            other => other,
        })
    }

    /// Whether a kind of tensors has a measured format.
    pub(super) fn has(&self, kind: Kind) -> bool {
        self.tensors.iter().any(|tensor| tensor.kind == kind)
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
    let [correct, lost, gained] = [entry.correct, entry.lost, entry.gained].map(count_to_u64);
    FormatPoint {
        bits: i32::from(entry.bits),
        frac: i32::from(entry.frac),
        loss: entry.relative_loss.or_else(|| paired_loss(correct, lost, gained)),
        is_complete: entry.relative_loss.is_some(),
        is_chosen: entry.chosen,
    }
}

/// A point of a sweep over so many images.
fn point_of_sweep(point: &SweepPoint, images: u64) -> FormatPoint {
    FormatPoint {
        bits: i32::from(point.bits),
        frac: i32::from(point.frac),
        loss: paired_loss(point.correct, point.lost, point.gained),
        is_complete: point.images >= images,
        is_chosen: false,
    }
}

/// The loss on the images that were run; absent where the float network gets none of them right.
fn paired_loss(correct: u64, lost: u64, gained: u64) -> Option<f64> {
    let [correct, lost, gained] = [correct, lost, gained].map(u64_to_f64);
    let float = correct + lost - gained;
    (float > 0.0).then(|| (lost - gained) / float)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::SweepLayer;

    fn read(text: &str) -> Result<FormatMap, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file.json");
        std::fs::write(&path, text).unwrap();
        FormatMap::read(&path).map_err(|error| error.to_string())
    }

    /// One layer with a point on all images and one on half of them.
    fn sweep() -> SweepResult {
        let whole = SweepPoint {
            bits: 8,
            frac: 3,
            signed: true,
            images: 100,
            correct: 76,
            accuracy: 0.76,
            drop: 0.04,
            ratio: 0.95,
            lost: 6,
            gained: 2,
        };
        let part = SweepPoint { bits: 7, images: 50, correct: 20, lost: 20, gained: 0, ..whole };
        let layer = SweepLayer { name: "a".to_owned(), points: vec![whole, part], held: Some(0) };
        SweepResult {
            tensor: Kind::Activations,
            images: 100,
            float_accuracy: 0.8,
            layers: vec![layer],
            ..SweepResult::default()
        }
    }

    #[test]
    fn a_sweep_is_read_with_its_losses() {
        let map = read(&sweep().to_json()).unwrap();
        assert_eq!((map.tensors.len(), map.tensors[0].kind), (1, Kind::Activations));
        let [whole, part] = map.tensors[0].points[..] else { panic!("two points") };
        assert!((whole.loss.unwrap() - 0.05).abs() < 1e-12 && whole.is_complete);
        assert!(whole.is_chosen && !part.is_chosen);
        assert!((part.loss.unwrap() - 0.5).abs() < 1e-12 && !part.is_complete);
    }

    #[test]
    fn files_of_another_kind_are_refused() {
        let none = SweepResult { layers: Vec::new(), ..sweep() }.to_json();
        let at_zero = SweepResult { float_accuracy: 0.0, ..sweep() }.to_json();
        let newer = SweepResult { schema: 2, ..sweep() }.to_json();
        let others = sweep().to_json().replace("\"activations\"", "\"others\"");
        for (text, expected) in [
            ("weights", "line 1"),
            ("{}", "neither a result nor a sweep"),
            ("[1, 2]", "neither a result nor a sweep"),
            (r#"{"tensor": "weights"}"#, "schema"),
            (&others, "others"),
            (&newer, "schema 2"),
            (&none, "no measured format"),
            (&at_zero, "float accuracy of 0"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(expected) && error.contains("file.json"), "{text}: {error}");
        }
        let error = read(&RunResult::default().to_json()).unwrap_err();
        assert!(error.contains("no tried formats"), "{error}");
    }
}
