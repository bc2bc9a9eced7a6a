//! What can go wrong, from the file to the plan.

mod data;

pub use data::DataError;

use fixedwise_graph::{EmitError, GraphError, ImportError, LowerError, Refusal};
use fixedwise_search::SearchError;
use std::path::PathBuf;

/// Why a run gave nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields are named as in the text")]
pub enum Error {
    /// A file or folder that cannot be read or written.
    #[error("cannot {action} `{}`", path.display())]
    Io { action: &'static str, path: PathBuf, source: std::io::Error },
    /// A model of another kind.
    #[error(
        "`{}` is not a model file by its name; supported are .onnx, .h5, .keras and .tflite: export the \
         model to ONNX",
        path.display()
    )]
    ModelKind { path: PathBuf },
    /// A model of another tool, and what converts it.
    #[error("`{}` is {kind}; supported are .onnx, .h5, .keras and .tflite: {remedy}", path.display())]
    ForeignModel { path: PathBuf, kind: String, remedy: String },
    /// A model of 8-bit integers that is to be fed others.
    #[error(
        "model `{}` takes 8-bit pixels (UINT8) as they are, but the preprocessing is `{preprocess}`; \
         use `--preprocess none`",
        path.display()
    )]
    TakesBytes { path: PathBuf, preprocess: String },
    /// Weights without what they are the weights of.
    #[error(
        "model `{}` contains only weights; give its architecture, the JSON that Keras writes \
         (`model.to_json()`) or an ONNX file, with --architecture",
        path.display()
    )]
    NoArchitecture { path: PathBuf },
    /// A file that is no model of its kind, or hides something unsupported.
    #[error("model `{}`", path.display())]
    ModelFile { path: PathBuf, source: Box<dyn std::error::Error + Send + Sync> },
    /// A model that cannot be taken in.
    #[error("model `{}`", path.display())]
    Import { path: PathBuf, source: Box<ImportError> },
    /// A graph that is not well formed.
    #[error("model `{}`", path.display())]
    Graph { path: PathBuf, source: GraphError },
    /// A model without anything to quantize.
    #[error("model `{}` has no layer with weights: there is nothing to quantize", path.display())]
    NoLayers { path: PathBuf },
    /// A plan that cannot be read or is of another network.
    #[error("plan `{}`{}: {problem}", path.display(), at_line(*line))]
    Plan { path: PathBuf, line: Option<usize>, problem: String },
    /// A target profile that cannot be used.
    #[error("target `{}`{}: {problem}", path.display(), at_line(*line))]
    Target { path: PathBuf, line: Option<usize>, problem: String },
    /// A `result.json` that cannot be read.
    #[error("result `{}`: {problem}", path.display())]
    Result { path: PathBuf, problem: String },
    /// A file that an export would replace.
    #[error("`{}` already exists: {problem}; choose another name, or remove it", path.display())]
    InTheWay { path: PathBuf, problem: &'static str },
    /// An integer network that a form cannot hold.
    #[error(transparent)]
    Emit(#[from] EmitError),
    /// A picture that cannot be drawn.
    #[error("{picture}: {problem}")]
    Picture { picture: &'static str, problem: String },
    /// A journal that cannot be resumed.
    #[error(
        "journal `{}`: {problem}; omit --resume to start again, or choose another folder",
        path.display()
    )]
    Journal { path: PathBuf, problem: String },
    /// An option with a value that is not possible.
    #[error("option `{option}` {problem}")]
    Option { option: &'static str, problem: String },
    /// A network that a memory of its target does not hold.
    #[error(
        "target `{target}` has {available} bytes of {memory}, the network needs {needed}; most \
         is taken by {largest}; choose a target with more memory, or \
         quantize with this target, which says what narrower widths would save (for code, --code \
         small)"
    )]
    TooLarge { target: String, memory: &'static str, needed: u64, available: u64, largest: String },
    /// A float network that has learned nothing, or is not fed what it has learned from.
    #[error(
        "the float network classifies {correct} of {n} search images correctly, no better than \
         chance with {classes} classes. It is fed {fed}: check --preprocess (scale, mean, std, order of \
         channels), the layout of the images and the order of the labels; `fixedwise inspect MODEL \
         --data DATA` shows the range that enters the network"
    )]
    Chance { correct: usize, n: usize, classes: usize, fed: String },
    /// A float network that is not as good as its user knows.
    #[error(
        "the float network classifies {:.1} % of {n} images correctly (95 % interval {:.1} % to {:.1} %), \
         --expect states {} %: check what it is fed ({fed}), with --preprocess, --layout and the order of \
         the labels; `fixedwise inspect MODEL --data DATA` shows the range that enters the network",
        accuracy * 100.0,
        interval[0] * 100.0,
        interval[1] * 100.0,
        expected * 100.0
    )]
    Expected { accuracy: f64, n: usize, interval: [f64; 2], expected: f64, fed: String },
    /// A command of the user's that did not do what it should.
    #[error("the metric command `{command}` {problem}")]
    Metric { command: String, problem: String },
    /// Images that cannot be used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A plan and a network that do not make an integer network.
    #[error(transparent)]
    Lower(#[from] LowerError),
    /// A search without answer.
    #[error(transparent)]
    Search(#[from] SearchError),
}

/// What an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Subject {
    /// The network, or its file.
    Model,
    /// Images or labels.
    Data,
    /// A plan, alone or with its network.
    Plan,
    /// The profile of a target, or a network that its memory does not hold.
    Target,
    /// An option.
    Option,
    /// Something to be written in another form.
    Export,
    /// A file that cannot be read or written.
    File,
    /// The result or the journal of an earlier run.
    Result,
    /// The search itself.
    Search,
    /// The end that was asked for before there was anything.
    Stopped,
}

impl Error {
    /// What it is about.
    pub fn subject(&self) -> Subject {
        match self {
            Self::ModelKind { .. }
            | Self::ForeignModel { .. }
            | Self::TakesBytes { .. }
            | Self::NoArchitecture { .. }
            | Self::ModelFile { .. }
            | Self::Import { .. }
            | Self::Graph { .. }
            | Self::NoLayers { .. } => Subject::Model,
            Self::Chance { .. } | Self::Expected { .. } | Self::Data(_) => Subject::Data,
            Self::Plan { .. } | Self::Lower(_) => Subject::Plan,
            Self::Target { .. } | Self::TooLarge { .. } => Subject::Target,
            Self::Option { .. } | Self::Metric { .. } => Subject::Option,
            Self::InTheWay { .. } | Self::Emit(_) | Self::Picture { .. } => Subject::Export,
            Self::Io { .. } => Subject::File,
            Self::Result { .. } | Self::Journal { .. } => Subject::Result,
            Self::Search(SearchError::Stopped) => Subject::Stopped,
            Self::Search(_) => Subject::Search,
        }
    }

    /// The file that it is about, or how the caller called what is in memory.
    pub fn path(&self) -> Option<&std::path::Path> {
        match self {
            Self::Io { path, .. }
            | Self::ModelKind { path }
            | Self::ForeignModel { path, .. }
            | Self::TakesBytes { path, .. }
            | Self::NoArchitecture { path }
            | Self::ModelFile { path, .. }
            | Self::Import { path, .. }
            | Self::Graph { path, .. }
            | Self::NoLayers { path }
            | Self::Plan { path, .. }
            | Self::Target { path, .. }
            | Self::Result { path, .. }
            | Self::InTheWay { path, .. }
            | Self::Journal { path, .. } => Some(path),
            Self::Data(data) => data.path(),
            _ => None,
        }
    }

    /// Why a model cannot be taken in, by operator and reason; empty where the error is about something
    /// else.
    pub fn refusals(&self) -> Vec<Refusal> {
        match self {
            Self::Import { source, .. } => source.refusals(),
            _ => Vec::new(),
        }
    }

    /// Values before all that stands in the way, with which the network may end instead.
    pub fn values_before(&self) -> &[String] {
        match self {
            Self::Import { source, .. } => source.values_before(),
            _ => &[],
        }
    }
}

fn at_line(line: Option<usize>) -> String {
    line.map(|line| format!(", line {line}")).unwrap_or_default()
}
