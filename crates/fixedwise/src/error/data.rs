//! What can be wrong with data.

use std::path::PathBuf;
use thiserror::Error;

/// Why data cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields are named as in the text")]
pub enum DataError {
    /// A source that is not written as one.
    #[error("data source `{text}`: {problem}; write `PATH[:train|:test|:all][@FROM..TO]`")]
    Source { text: String, problem: String },
    /// A preprocessing that is not written as one.
    #[error("preprocessing `{text}`: {problem}")]
    Preprocess { text: String, problem: String },
    /// A file or folder that cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    /// A file of an unknown type.
    #[error("`{}` is not a supported data set; supported: {known}", path.display())]
    Kind { path: PathBuf, known: String },
    /// Anything wrong inside.
    #[error("data `{}` {problem}", path.display())]
    Content { path: PathBuf, problem: String },
    /// A corrupt file.
    #[error("data `{}`", path.display())]
    Corrupt { path: PathBuf, source: Box<dyn std::error::Error + Send + Sync> },
    /// Images that two sets share.
    #[error(
        "{a} and {b} share {count} images (the first is image {first} of {a}); the sets must not \
         overlap"
    )]
    Overlap { a: &'static str, b: &'static str, count: usize, first: usize },
    /// What is missing on the command line.
    #[error("{0}")]
    Missing(String),
}

impl DataError {
    /// The file that it is about, or how the caller called what is in memory.
    pub fn path(&self) -> Option<&std::path::Path> {
        match self {
            Self::Read { path, .. }
            | Self::Kind { path, .. }
            | Self::Content { path, .. }
            | Self::Corrupt { path, .. } => Some(path),
            Self::Source { .. }
            | Self::Preprocess { .. }
            | Self::Overlap { .. }
            | Self::Missing(_) => None,
        }
    }
}
