//! How a part of a data set is named.

use super::arrays::Arrays;
use crate::error::DataError;
use std::{
    fmt,
    ops::Range,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
};

/// A part of a data set as its makers divided it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Split {
    /// For training.
    Train,
    /// For testing.
    Test,
    /// Images that nobody divided.
    All,
}

impl Split {
    /// `train`, `test` or `all`.
    ///
    /// ```
    /// assert_eq!(fixedwise::Split::Train.name(), "train");
    /// ```
    pub const fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Test => "test",
            Self::All => "all",
        }
    }
}

/// `PATH[:SPLIT][@FROM..TO]`, such as `fashion_mnist.npz:test@0..5000`.
///
/// ```
/// # fn main() -> Result<(), fixedwise::DataError> {
/// use fixedwise::{DataSource, Split};
///
/// let source: DataSource = "fashion_mnist.npz:test@..5000".parse()?;
/// assert_eq!((source.split, source.range), (Some(Split::Test), Some(0..5000)));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataSource {
    /// A file, a folder, or arrays in memory.
    pub origin: DataOrigin,
    /// Which split; the only one, or the one that fits its use, where absent.
    pub split: Option<Split>,
    /// Which images of it, half-open; `usize::MAX` stands for the end.
    pub range: Option<Range<usize>>,
}

impl DataSource {
    /// All images of arrays in memory. Clones of a source are the same images: what one file holds for
    /// the sets of a run, one source does.
    ///
    /// ```
    /// # fn main() -> Result<(), fixedwise::Error> {
    /// # let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    /// use fixedwise::{Arrays, DataOptions, DataSource, Model, inspect_model};
    ///
    /// let images = DataSource::arrays(Arrays {
    ///     name: "gradients".to_owned(),
    ///     shape: vec![2, 28, 28],
    ///     pixels: (0..2 * 28 * 28).map(|i| (i % 256) as u8).collect::<Vec<u8>>().into(),
    ///     layout: None,
    ///     labels: None,
    /// });
    /// let data = DataOptions { calibration: Some(images), ..DataOptions::default() };
    /// let model = Model::load(format!("{root}/models/fashion_small.onnx").as_ref())?;
    /// let inspection = inspect_model(&model, Some(&data), None, &())?;
    /// assert_eq!(inspection.images, 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn arrays(arrays: Arrays) -> Self {
        Self::inputs(vec![arrays])
    }

    /// As [`DataSource::arrays`], for a network with several inputs: arrays for each, whose names are those of the
    /// inputs. Labels come with any of them.
    pub fn inputs(arrays: Vec<Arrays>) -> Self {
        let shared = |arrays: Arrays| Arrays { pixels: arrays.pixels.shared(), ..arrays };
        let arrays = arrays.into_iter().map(shared).collect();
        Self { origin: DataOrigin::Arrays(Arc::new(arrays)), split: None, range: None }
    }

    /// Some of the images, half-open.
    ///
    /// ```
    /// # fn main() -> Result<(), fixedwise::DataError> {
    /// let all: fixedwise::DataSource = "fashion_mnist.npz:test".parse()?;
    /// assert_eq!(all.part(0..5000).to_string(), "fashion_mnist.npz:test@0..5000");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn part(&self, range: Range<usize>) -> Self {
        Self { range: Some(range), ..self.clone() }
    }
}

/// Where images are.
#[derive(Clone, Debug)]
pub enum DataOrigin {
    /// A file or folder.
    Path(PathBuf),
    /// Arrays in memory, one for each input.
    Arrays(Arc<Vec<Arrays>>),
}

impl DataOrigin {
    /// How messages call it; arrays in memory by the first of them.
    pub(super) fn name(&self) -> &Path {
        match self {
            Self::Path(path) => path,
            Self::Arrays(arrays) => Path::new(arrays.first().map_or("", |arrays| &arrays.name)),
        }
    }
}

impl PartialEq for DataOrigin {
    /// The same path, or the same arrays: not others that are alike.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Path(a), Self::Path(b)) => a == b,
            (Self::Arrays(a), Self::Arrays(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}

impl Eq for DataOrigin {}

impl FromStr for DataSource {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, DataError> {
        let wrong = |problem: &str| DataError::Source {
            text: text.to_owned(),
            problem: problem.to_owned(),
        };
        let is_range = |text: &str| {
            text.contains("..") && text.chars().all(|c| c == '.' || c.is_ascii_digit())
        };
        let (rest, range) = match text.rsplit_once('@') {
            // An `@` in a folder's name is no range.
            Some((rest, range)) if !range.contains(['/', '\\']) && range.contains("..") => {
                let (from, to) = range.split_once("..").unwrap_or((range, ""));
                let number = |text: &str, default: usize| {
                    if text.is_empty() { Ok(default) } else { text.parse() }
                };
                let range = number(from, 0).ok().zip(number(to, usize::MAX).ok());
                let (from, to) = range.ok_or_else(|| wrong("its range is not two numbers"))?;
                if from >= to {
                    return Err(wrong("its range is empty"));
                }
                (rest, Some(from..to))
            }
            Some((_, range)) if !range.contains(['/', '\\', '.']) => {
                return Err(wrong("its range is not FROM..TO"));
            }
            _ => (text, None),
        };
        let (path, split) = match rest.rsplit_once(':') {
            Some((path, "train")) => (path, Some(Split::Train)),
            Some((path, "test")) => (path, Some(Split::Test)),
            Some((path, "all")) => (path, Some(Split::All)),
            Some((_, other)) if is_range(other) => {
                return Err(wrong("a range must follow the `@`"));
            }
            // A drive letter or a folder with a colon is part of the path.
            Some((path, other))
                if path.len() > 1 && !other.contains(['/', '\\', '.']) && !other.is_empty() =>
            {
                return Err(wrong(&format!(
                    "`{other}` is not a split; if it is part of the path, end the path with `/` \
                     (folder) or `:all` (file)"
                )));
            }
            _ => (rest, None),
        };
        if path.is_empty() {
            return Err(wrong("it has no path"));
        }
        Ok(Self { origin: DataOrigin::Path(PathBuf::from(path)), split, range })
    }
}

impl fmt::Display for DataSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.origin.name().display())?;
        if let Some(split) = self.split {
            write!(f, ":{}", split.name())?;
        }
        match &self.range {
            Some(range) if range.end == usize::MAX => write!(f, "@{}..", range.start),
            Some(range) => write!(f, "@{}..{}", range.start, range.end),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_read() {
        type Case<'a> = (&'a str, &'a str, Option<Split>, Option<Range<usize>>);
        let cases: [Case; 16] = [
            ("a.npz", "a.npz", None, None),
            ("a.npz:test", "a.npz", Some(Split::Test), None),
            ("a.npz:test@0..5000", "a.npz", Some(Split::Test), Some(0..5000)),
            ("a.npz@..10", "a.npz", None, Some(0..10)),
            ("a.npz:train@10..", "a.npz", Some(Split::Train), Some(10..usize::MAX)),
            ("C:\\data\\a.npz", "C:\\data\\a.npz", None, None),
            ("C:/data:all", "C:/data", Some(Split::All), None),
            ("a:b/c", "a:b/c", None, None),
            ("me@home/c.npz", "me@home/c.npz", None, None),
            ("C:\\data:test@5..", "C:\\data", Some(Split::Test), Some(5..usize::MAX)),
            ("C:a.npz", "C:a.npz", None, None),
            ("my:data.npz:all", "my:data.npz", Some(Split::All), None),
            ("my:data/", "my:data/", None, None),
            ("my:file:all", "my:file", Some(Split::All), None),
            ("me@home/", "me@home/", None, None),
            ("../a@2x.npz", "../a@2x.npz", None, None),
        ];
        for (text, path, split, range) in cases {
            let source: DataSource = text.parse().unwrap();
            let origin = DataOrigin::Path(path.into());
            assert_eq!(source, DataSource { origin, split, range }, "{text}");
            assert_eq!(source.to_string().parse::<DataSource>().unwrap(), source, "{text}");
        }
    }

    #[test]
    fn what_is_no_source_is_refused() {
        let cases = [
            ("", "it has no path"),
            (":test", "it has no path"),
            ("@0..5", "it has no path"),
            ("a.npz:validation", "`validation` is not a split"),
            ("a.npz:Test", "`Test` is not a split"),
            (
                "./my:data",
                "`data` is not a split; if it is part of the path, end the path with `/`",
            ),
            ("a.npz:0..500", "a range must follow the `@`"),
            ("a.npz:test:..500", "a range must follow the `@`"),
            ("a.npz@5..5", "its range is empty"),
            ("a.npz@7..5", "its range is empty"),
            ("a.npz@x..3", "its range is not two numbers"),
            ("a.npz@-1..3", "its range is not two numbers"),
            ("a.npz@0..99999999999999999999", "its range is not two numbers"),
            ("a.npz@17", "its range is not FROM..TO"),
            ("a.npz@0..5:test", "its range is not two numbers"),
        ];
        for (text, problem) in cases {
            let error = text.parse::<DataSource>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("data source `{text}`: ")), "{error}");
            assert!(error.contains(problem), "expected {problem:?}, got: {error}");
            assert!(error.ends_with("write `PATH[:train|:test|:all][@FROM..TO]`"), "{error}");
        }
    }
}
