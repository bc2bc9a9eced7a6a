//! How a part of a data set is named.

use super::DataError;
use std::{fmt, ops::Range, path::PathBuf, str::FromStr};

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
    pub const fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Test => "test",
            Self::All => "all",
        }
    }
}

/// `PATH[:SPLIT][@FROM..TO]`, such as `fashion_mnist.npz:test@0..5000`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataSource {
    /// The file or folder.
    pub path: PathBuf,
    /// Which split; the only one, or the one that fits its use, where absent.
    pub split: Option<Split>,
    /// Which images of it, half-open; `usize::MAX` stands for the end.
    pub range: Option<Range<usize>>,
}

impl FromStr for DataSource {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, DataError> {
        let wrong = |problem: &str| DataError::Source {
            text: text.to_owned(),
            problem: problem.to_owned(),
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
            // A drive letter or a folder with a colon is part of the path.
            Some((path, other))
                if path.len() > 1 && !other.contains(['/', '\\', '.']) && !other.is_empty() =>
            {
                return Err(wrong(&format!("`{other}` is no split")));
            }
            _ => (rest, None),
        };
        if path.is_empty() {
            return Err(wrong("it has no path"));
        }
        Ok(Self { path: PathBuf::from(path), split, range })
    }
}

impl fmt::Display for DataSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
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
        let cases: [Case; 9] = [
            ("a.npz", "a.npz", None, None),
            ("a.npz:test", "a.npz", Some(Split::Test), None),
            ("a.npz:test@0..5000", "a.npz", Some(Split::Test), Some(0..5000)),
            ("a.npz@..10", "a.npz", None, Some(0..10)),
            ("a.npz:train@10..", "a.npz", Some(Split::Train), Some(10..usize::MAX)),
            ("C:\\data\\a.npz", "C:\\data\\a.npz", None, None),
            ("C:/data:all", "C:/data", Some(Split::All), None),
            ("a:b/c", "a:b/c", None, None),
            ("me@home/c.npz", "me@home/c.npz", None, None),
        ];
        for (text, path, split, range) in cases {
            let source: DataSource = text.parse().unwrap();
            assert_eq!(source, DataSource { path: path.into(), split, range }, "{text}");
            assert_eq!(source.to_string().parse::<DataSource>().unwrap(), source, "{text}");
        }
    }

    #[test]
    fn what_is_no_source_is_refused() {
        for text in ["", ":test", "a.npz:validation", "a.npz@5..5", "a.npz@x..3", "a.npz@17"] {
            let error = text.parse::<DataSource>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("data source `{text}`: ")), "{error}");
        }
    }
}
