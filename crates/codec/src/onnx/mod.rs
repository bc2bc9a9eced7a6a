//! ONNX models: protobuf messages to plain structs and back.
//!
//! What the operators mean is not known here. A file whose parts contradict each other is refused; a
//! part of ONNX that is not read is kept as a text that says so, for who needs that part.

mod element_type;
mod error;
mod external;
mod names;
mod proto;
mod read;
mod tensor;
mod write;

pub use element_type::ElementType;
pub use error::OnnxError;
pub use read::{parse_model, parse_tensor};
pub use write::{ModelBuilder, encode_model};

use std::collections::BTreeMap;

/// The oldest version of the default operator set that is read. Newer ones than were known when this was
/// written are read as well: what an operator does not know of them is an attribute or an input more.
pub const OLDEST_OPSET: i64 = 7;

/// The newest IR version that is read.
pub const NEWEST_IR_VERSION: i64 = 14;

/// An ONNX model.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// Version of the file format.
    pub ir_version: i64,
    /// Version of the default operator set.
    pub opset: i64,
    /// Name and version of the program that wrote the file; may be empty.
    pub producer: String,
    /// Operators that the model defines by others.
    pub functions: Vec<Function>,
    /// The graph.
    pub graph: Graph,
}

/// An operator that a model defines by others.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Function {
    /// Its name, which nodes have as their operator.
    pub name: String,
    /// Its domain; may be empty.
    pub domain: String,
    /// Tells it from functions of the same name; may be empty.
    pub overload: String,
    /// Version of the default operator set in its nodes; `None` where they use other domains only.
    pub opset: Option<i64>,
    /// Names of its inputs.
    pub inputs: Vec<String>,
    /// Names of its outputs.
    pub outputs: Vec<String>,
    /// What attributes are where a call leaves them out.
    pub defaults: BTreeMap<String, Attribute>,
    /// Nodes in the order of the file.
    pub nodes: Vec<Node>,
}

/// The graph of an ONNX model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Graph {
    /// Name of the graph; may be empty.
    pub name: String,
    /// Nodes in the order of the file.
    pub nodes: Vec<Node>,
    /// Constants in the order of the file; names are unique.
    pub initializers: Vec<(String, Tensor)>,
    /// Constants of a kind that is not read, and why; names are unique.
    pub unreadable: Vec<(String, String)>,
    /// Inputs that are not initializers; names are unique.
    pub inputs: Vec<ValueInfo>,
    /// Outputs; names are unique.
    pub outputs: Vec<ValueInfo>,
    /// What the file says about values in between.
    pub values: Vec<ValueInfo>,
}

/// A node of an ONNX graph.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Node {
    /// Unique in the graph: the file's name, or one made of the operator and the position.
    pub name: String,
    /// The operator.
    pub op_type: String,
    /// Where its operator is defined; empty for the default domain.
    pub domain: String,
    /// Which function of the model it calls, of several with one name; mostly empty.
    pub overload: String,
    /// Names of the inputs; an empty name is an optional input left out.
    pub inputs: Vec<String>,
    /// Names of the outputs; an empty name is an optional output left out.
    pub outputs: Vec<String>,
    /// Attributes by name.
    pub attributes: BTreeMap<String, Attribute>,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    /// A number.
    Float(f32),
    /// An integer.
    Int(i64),
    /// A text.
    String(String),
    /// A tensor.
    Tensor(Tensor),
    /// Numbers.
    Floats(Vec<f32>),
    /// Integers.
    Ints(Vec<i64>),
    /// Texts.
    Strings(Vec<String>),
    /// A graph, as the branches of `If` are.
    Graph(Box<Graph>),
    /// The attribute of that name of the function that the node is in.
    Reference(String),
    /// A kind that is not read, and what it is.
    Unsupported(String),
}

/// A constant tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Extents, slowest axis first; empty is a scalar. Their product is the number of elements,
    /// and the product of those that are not 0 fits `usize`.
    pub dims: Vec<usize>,
    /// The elements, last axis fastest.
    pub data: TensorData,
    /// The type of the elements in the file.
    pub element: ElementType,
}

/// The elements of a tensor.
#[derive(Clone, Debug, PartialEq)]
pub enum TensorData {
    /// Floating-point numbers of any width in the file.
    F32(Vec<f32>),
    /// Integers of any width in the file, and truth values as 0 and 1.
    I64(Vec<i64>),
}

/// The type of an input or output of the graph.
#[derive(Clone, Debug, PartialEq)]
pub struct ValueInfo {
    /// Its name.
    pub name: String,
    /// The type of its elements.
    pub element_type: ElementType,
    /// Its extents; empty for a scalar, and where the file leaves the shape out.
    pub dims: Vec<Dim>,
}

/// An extent of an input or output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dim {
    /// A fixed extent.
    Known(usize),
    /// An extent with a name, such as the batch.
    Named(String),
    /// An extent that the file leaves open.
    Unknown,
}

impl Tensor {
    /// A tensor of floats.
    pub fn floats(dims: &[usize], data: Vec<f32>) -> Self {
        Self { dims: dims.to_vec(), data: TensorData::F32(data), element: ElementType::F32 }
    }

    /// A tensor of integers.
    pub fn ints(dims: &[usize], data: Vec<i64>) -> Self {
        Self { dims: dims.to_vec(), data: TensorData::I64(data), element: ElementType::I64 }
    }
}

impl TensorData {
    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(x) => x.len(),
            Self::I64(x) => x.len(),
        }
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Node {
    /// A node of the default domain without attributes.
    pub fn new(op_type: &str, name: &str, inputs: &[&str], outputs: &[&str]) -> Self {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Self {
            name: name.to_owned(),
            op_type: op_type.to_owned(),
            domain: String::new(),
            overload: String::new(),
            inputs: owned(inputs),
            outputs: owned(outputs),
            attributes: BTreeMap::new(),
        }
    }

    /// The node with one attribute more.
    #[must_use]
    pub fn with(mut self, attribute: &str, value: impl Into<Attribute>) -> Self {
        self.attributes.insert(attribute.to_owned(), value.into());
        self
    }
}

impl From<f32> for Attribute {
    fn from(x: f32) -> Self {
        Self::Float(x)
    }
}

impl From<i64> for Attribute {
    fn from(x: i64) -> Self {
        Self::Int(x)
    }
}

impl From<&str> for Attribute {
    fn from(x: &str) -> Self {
        Self::String(x.to_owned())
    }
}

impl From<Tensor> for Attribute {
    fn from(x: Tensor) -> Self {
        Self::Tensor(x)
    }
}

impl From<Graph> for Attribute {
    fn from(x: Graph) -> Self {
        Self::Graph(Box::new(x))
    }
}

impl From<Vec<f32>> for Attribute {
    fn from(x: Vec<f32>) -> Self {
        Self::Floats(x)
    }
}

impl From<Vec<i64>> for Attribute {
    fn from(x: Vec<i64>) -> Self {
        Self::Ints(x)
    }
}

impl From<Vec<String>> for Attribute {
    fn from(x: Vec<String>) -> Self {
        Self::Strings(x)
    }
}
