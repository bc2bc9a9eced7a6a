//! Preprocessing as a TOML file, `MODEL.toml` beside the model.

use super::{
    Preprocess,
    text::{layout, number},
    wrong,
};
use crate::error::DataError;
use serde::Deserialize;
use std::{collections::BTreeMap, path::Path};

/// A number, or a text such as `1/255`.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a number, or a string such as \"1/255\"")]
enum Number {
    Value(f64),
    Text(String),
}

impl Number {
    fn value(&self) -> Result<f64, String> {
        match self {
            Self::Value(x) => Ok(*x),
            Self::Text(text) => number(text),
        }
    }
}

/// One number, or one a channel.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a number, a string such as \"1/255\", or a list of these")]
enum Numbers {
    One(Number),
    Many(Vec<Number>),
}

impl Numbers {
    fn values(&self) -> Result<Vec<f64>, String> {
        match self {
            Self::One(x) => Ok(vec![x.value()?]),
            Self::Many(x) => x.iter().map(Number::value).collect(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    scale: Option<Number>,
    mean: Option<Numbers>,
    std: Option<Numbers>,
    resize: Option<[usize; 2]>,
    layout: Option<String>,
    /// By the name of an input.
    #[serde(default)]
    inputs: BTreeMap<String, File>,
}

impl File {
    fn read(self) -> Result<Preprocess, String> {
        let inputs = self.inputs.into_iter();
        let preprocess = Preprocess {
            scale: self.scale.map(|x| x.value()).transpose()?,
            mean: self.mean.map_or(Ok(Vec::new()), |x| x.values())?,
            std: self.std.map_or(Ok(Vec::new()), |x| x.values())?,
            resize: self.resize,
            layout: self.layout.map(|text| layout(&text)).transpose()?,
            inputs: inputs
                .map(|(name, own)| Ok((name, own.read()?)))
                .collect::<Result<_, String>>()?,
        };
        preprocess.check()?;
        Ok(preprocess)
    }
}

impl Preprocess {
    /// Reads the TOML form; `name` is how messages call it.
    ///
    /// # Errors
    /// [`DataError::Preprocess`] naming the file.
    ///
    /// ```
    /// # fn main() -> Result<(), fixedwise::DataError> {
    /// use fixedwise::Preprocess;
    ///
    /// let text = "scale = \"1/255\"\nmean = [0.49, 0.48, 0.45]\nresize = [96, 96]";
    /// let same: Preprocess = "scale=1/255,mean=0.49;0.48;0.45,resize=96x96".parse()?;
    /// assert_eq!(Preprocess::from_toml("model.toml", text)?, same);
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_toml(name: &str, text: &str) -> Result<Self, DataError> {
        let read = || {
            let file: File = toml::from_str(text).map_err(|error| {
                let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or("");
                let line = 1 + before.matches('\n').count();
                format!("line {line}: {}", error.message().replace('\n', " "))
            })?;
            file.read()
        };
        read().map_err(|problem: String| wrong(name, problem))
    }

    /// What stands beside a model, `MODEL.toml` beside `MODEL.onnx`; nothing where there is none.
    ///
    /// # Errors
    /// [`DataError`] for a file that cannot be read.
    ///
    /// ```
    /// # fn main() -> Result<(), fixedwise::DataError> {
    /// # let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    /// let model = format!("{root}/models/fashion_small.onnx");
    /// let beside = fixedwise::Preprocess::beside(model.as_ref())?;
    /// assert_eq!(beside.and_then(|preprocess| preprocess.scale), Some(1.0 / 255.0));
    /// # Ok(())
    /// # }
    /// ```
    pub fn beside(model: &Path) -> Result<Option<Self>, DataError> {
        let path = model.with_extension("toml");
        match std::fs::read_to_string(&path) {
            Ok(text) => Self::from_toml(&path.display().to_string(), &text).map(Some),
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(DataError::Read { path, source }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_file_of_preprocessing_is_refused_in_one_line() {
        let cases = [
            ("\nscle = 1", "line 2: unknown field `scle`, expected one of `scale`"),
            ("scale = 1\nscale = 2", "line 2: duplicate key"),
            ("scale = true", "line 1: expected a number, or a string such as \"1/255\""),
            ("mean = [true]", "line 1: expected a number, a string such as \"1/255\", or a list"),
            ("scale = \"one\"", "`one` is not a number"),
            ("scale = nan", "must be finite"),
            ("mean = [0, inf]", "must be finite"),
            ("std = [1, 0]", "std is 0"),
            ("resize = [96]", "line 1: "),
            ("resize = [0, 96]", "resize must be between"),
            ("layout = \"chw\"", "neither nhwc nor nchw"),
        ];
        for (text, problem) in cases {
            let error = Preprocess::from_toml("m.toml", text).unwrap_err().to_string();
            assert!(error.starts_with("preprocessing `m.toml`: "), "{error}");
            assert!(error.contains(problem) && error.lines().count() == 1, "{problem:?}: {error}");
        }
    }

    #[test]
    fn a_file_beside_the_model_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("net.v2.onnx");
        assert_eq!(Preprocess::beside(&model).unwrap(), None);
        std::fs::write(folder.path().join("net.v2.toml"), "scale = 1").unwrap();
        let found = Preprocess::beside(&model).unwrap().unwrap();
        assert_eq!(found, Preprocess { scale: Some(1.0), ..Preprocess::default() });
        std::fs::write(folder.path().join("net.v2.toml"), "scale: 1").unwrap();
        let error = Preprocess::beside(&model).unwrap_err().to_string();
        assert!(error.contains("net.v2.toml") && error.lines().count() == 1, "{error}");
    }
}
