//! TensorFlow Lite models: `FlatBuffers` to plain structs and back.
//!
//! What the operators mean is not known here, but which options each has. Source: schema of TensorFlow Lite, version 3
//! (`tensorflow/compiler/mlir/lite/schema/schema.fbs`).

mod builder;
mod flatbuffer;
mod operators;
mod read;
mod sparse;
mod write;

pub use flatbuffer::BufferError;
pub use operators::Options;
pub use read::parse_model;
pub use write::encode_model;

use crate::onnx::ElementType;

/// Why a TensorFlow Lite file cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TfliteError {
    /// The bytes are no `FlatBuffer` of the expected kind, or are cut short.
    #[error("not a readable TensorFlow Lite file; it may be truncated or have another format")]
    Buffer {
        /// Where reading stopped.
        #[from]
        source: BufferError,
    },
    /// The bytes are a `FlatBuffer` of another kind.
    #[error("not a TensorFlow Lite file: it does not begin with the mark `TFL3`")]
    NotAModel,
    /// Another version of the file format.
    #[error("schema version {found} is not supported, only 3; convert the model anew")]
    Version {
        /// The version in the file.
        found: u32,
    },
    /// Not exactly one graph.
    #[error(
        "the file has {count} subgraphs; one is supported: convert the model without control flow \
         (`If`, `While`) and without variables that keep a state from call to call"
    )]
    Subgraphs {
        /// How many there are.
        count: usize,
    },
    /// Parts that contradict each other.
    #[error("{place}: {problem}")]
    Contradiction {
        /// The tensor or operator.
        place: String,
        /// What is wrong.
        problem: String,
    },
}

/// A TensorFlow Lite model with one graph.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// What the program that wrote the file says of it; may be empty.
    pub description: String,
    /// All values of the graph.
    pub tensors: Vec<Tensor>,
    /// Positions of the inputs in `tensors`.
    pub inputs: Vec<usize>,
    /// Positions of the outputs in `tensors`.
    pub outputs: Vec<usize>,
    /// Operators in an order in which they may run.
    pub operators: Vec<Operator>,
}

/// A value of the graph.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Its name, unique in the graph.
    pub name: String,
    /// Extents, slowest axis first; `None` where the file leaves one open.
    pub shape: Vec<Option<usize>>,
    /// The type of its elements in the file.
    pub element: ElementType,
    /// What its integers stand for, where it is quantized.
    pub quantization: Option<Quantization>,
    /// Its elements, where they are known before any image: integers as in the file.
    pub data: Option<crate::onnx::TensorData>,
}

/// What integers stand for: `real = scale * (integer - zero_point)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantization {
    /// One, or one for each position along `axis`; each finite and above zero.
    pub scale: Vec<f32>,
    /// As many.
    pub zero_point: Vec<i64>,
    /// The axis along which scales differ.
    pub axis: usize,
}

/// An operator.
#[derive(Clone, Debug, PartialEq)]
pub struct Operator {
    /// Its name in the schema, such as `CONV_2D`; that of a custom one as the file has it.
    pub name: String,
    /// Whether it is none of the schema.
    pub is_custom: bool,
    /// Positions of its inputs in `tensors`; `None` for an optional input left out.
    pub inputs: Vec<Option<usize>>,
    /// Positions of its outputs in `tensors`.
    pub outputs: Vec<usize>,
    /// Its options.
    pub options: Options,
}
