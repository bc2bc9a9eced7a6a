//! What a user says of a model's inputs and outputs beside its file.

use super::input_shape::InputShape;
use crate::error::ImportError;

/// Extents of inputs that a model's file leaves open, and which of its values are the outputs.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Interface {
    /// The shapes of inputs whose file leaves extents open.
    pub input_shapes: Vec<InputShape>,
    /// The names of the values that are the outputs, in this order; those of the file where there is none. Of
    /// ONNX any value that a node computes, of Keras any layer.
    pub outputs: Vec<String>,
}

impl Interface {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        self.input_shapes.is_empty() && self.outputs.is_empty()
    }

    /// The extents that are given for each of those inputs; with each is said whether its file leaves some open. A
    /// shape without a name is that of the only input, or of the only one with open extents.
    ///
    /// # Errors
    /// For a name that no input has, two shapes for one, or where it is open which input is meant.
    pub(crate) fn given(
        &self,
        inputs: &[(&str, bool)],
    ) -> Result<Vec<Option<&[usize]>>, ImportError> {
        let mut given = vec![None; inputs.len()];
        let names = || quoted(&inputs.iter().map(|(name, _)| *name).collect::<Vec<_>>());
        for shape in &self.input_shapes {
            let is_meant = |(name, is_open): &(&str, bool)| match &shape.name {
                Some(own) => own == name,
                None => inputs.len() == 1 || *is_open,
            };
            let mut meant = (0..inputs.len()).filter(|&i| is_meant(&inputs[i]));
            let problem = match (meant.next(), meant.next(), &shape.name) {
                (Some(input), None, _) if given[input].is_none() => {
                    given[input] = Some(shape.extents.as_slice());
                    continue;
                }
                (Some(input), None, _) => {
                    format!("the shape of input `{}` is given twice", inputs[input].0)
                }
                (None, _, Some(name)) => format!(
                    "the model has no input `{name}` to give a shape; its inputs are {}",
                    names()
                ),
                _ => format!(
                    "the model has the inputs {}: name the one that is meant, `--input-shape NAME={shape}`",
                    names()
                ),
            };
            return Err(ImportError::Interface(problem));
        }
        Ok(given)
    }

    /// The names of the outputs: those that are chosen, else those of the file.
    ///
    /// # Errors
    /// For a name that is not `known` or stands twice, and where there is none.
    pub(crate) fn chosen<'a>(
        &'a self,
        of_file: &'a [String],
        known: &[&str],
    ) -> Result<Vec<&'a str>, ImportError> {
        let names = if self.outputs.is_empty() { of_file } else { &self.outputs };
        if names.is_empty() {
            let problem = "the model has no output; `--output NAME` chooses one of its values";
            return Err(ImportError::Interface(problem.to_owned()));
        }
        for (i, name) in names.iter().enumerate() {
            if names[..i].contains(name) {
                let problem = format!("the output `{name}` is given twice");
                return Err(ImportError::Interface(problem));
            }
            if !self.outputs.is_empty() && !known.contains(&name.as_str()) {
                return Err(ImportError::Interface(unknown(name, known, of_file)));
            }
        }
        Ok(names.iter().map(String::as_str).collect())
    }
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn unknown(name: &str, known: &[&str], of_file: &[String]) -> String {
    let of_file: Vec<&str> = of_file.iter().map(String::as_str).collect();
    let nearest = nearest(name, known);
    let near = if nearest.is_empty() {
        String::new()
    } else {
        format!(" the nearest names are {};", quoted(&nearest))
    };
    format!(
        "the model has no value `{name}` to be an output;{near} the outputs of the file are {}",
        quoted(&of_file)
    )
}

/// The names that are most like one, at most three, the most alike first.
fn nearest<'a>(name: &str, known: &[&'a str]) -> Vec<&'a str> {
    const NAMED: usize = 3;
    /// Bytes that are more than a chance within another name.
    const WHOLE: usize = 3;
    let name = name.to_lowercase();
    let far = |other: &&str| {
        let other = other.to_lowercase();
        // A name that contains what was given is alike, whatever stands around it.
        if name.len() >= WHOLE && other.contains(&name) { 1 } else { edits(&name, &other) }
    };
    let mut all: Vec<(usize, &str)> = known.iter().map(|other| (far(other), *other)).collect();
    all.sort_by_key(|(far, _)| *far);
    let is_alike = |(far, other): &(usize, &str)| 2 * far <= name.len().max(other.len());
    all.into_iter().filter(is_alike).take(NAMED).map(|(_, name)| name).collect()
}

/// Characters that must be inserted, removed or changed to make one text the other.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// Values before all that could not be read, as outputs to choose instead; none where they are too many to name, or an
/// input is among them.
pub(super) fn ending_before(mut before: Vec<String>, inputs: &[impl AsRef<str>]) -> Vec<String> {
    /// More are no help.
    const MOST: usize = 6;
    let mut seen = std::collections::BTreeSet::new();
    before.retain(|name| seen.insert(name.clone()));
    let is_input = |name: &String| inputs.iter().any(|input| input.as_ref() == name);
    let helps = before.len() <= MOST && !before.iter().any(is_input);
    if helps { before } else { vec![] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_do_not_exist_are_answered_with_the_nearest() {
        assert_eq!(edits("kitten", "sitting"), 3);
        assert_eq!(edits("", "abc"), 3);
        let known = ["conv_1", "conv_2", "relu", "/head/conv/Conv_output_0"];
        assert_eq!(nearest("conv_3", &known)[..2], ["conv_1", "conv_2"]);
        assert_eq!(nearest("head/conv", &known), ["/head/conv/Conv_output_0"]);
        assert!(nearest("softmax", &known).is_empty());
        let of_file = ["relu".to_owned()];
        let chosen = |names: &[&str]| {
            let outputs = names.iter().map(|name| (*name).to_owned()).collect();
            let interface = Interface { outputs, ..Interface::default() };
            interface
                .chosen(&of_file, &known)
                .map(|names| names.len())
                .map_err(|error| error.to_string())
        };
        assert_eq!(chosen(&[]), Ok(1));
        assert_eq!(chosen(&["conv_2", "conv_1"]), Ok(2));
        let error = chosen(&["rely"]).unwrap_err();
        assert!(
            error.contains("no value `rely`") && error.contains("nearest names are `relu`"),
            "{error}"
        );
        assert!(chosen(&["relu", "relu"]).unwrap_err().contains("given twice"));
    }
}
