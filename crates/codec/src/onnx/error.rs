//! What can be wrong with an ONNX file.

/// Why an ONNX file cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OnnxError {
    /// The bytes are not a protobuf message of the expected kind.
    #[error("not a readable ONNX file; it may be truncated or have another format")]
    Decode {
        /// Where decoding stopped.
        #[source]
        source: prost::DecodeError,
    },
    /// The bytes are a protobuf message, but hold no model.
    #[error("the file does not contain an ONNX model: {problem}")]
    NotAModel {
        /// What is missing.
        problem: &'static str,
    },
    /// The file format is newer than what is known.
    #[error("IR version {found} is not supported, only up to {newest}; re-export the model")]
    IrVersion {
        /// The version in the file.
        found: i64,
        /// The newest known version.
        newest: i64,
    },
    /// The operator set is too old, or not named.
    #[error(
        "{}; supported: {oldest} or newer; convert the model with \
         `onnx.version_converter.convert_version(model, 13)`, or re-export it",
        match found {
            Some(found) => format!("opset {found} is not supported"),
            None => "the file does not declare an opset of the default domain".to_owned(),
        }
    )]
    Opset {
        /// The version in the file.
        found: Option<i64>,
        /// The oldest supported version.
        oldest: i64,
    },
    /// The operator set is declared twice.
    #[error("the file declares both opset {first} and opset {second} of the default domain")]
    Opsets {
        /// The first version.
        first: i64,
        /// Another one.
        second: i64,
    },
    /// The file uses a part of ONNX that is not supported.
    #[error("{what} is not supported; {help}")]
    Unsupported {
        /// The part.
        what: &'static str,
        /// The way out.
        help: &'static str,
    },
    /// A function of the model is malformed.
    #[error("function `{function}`: {problem}")]
    Function {
        /// Name of the function.
        function: String,
        /// What is wrong.
        problem: String,
    },
    /// A node is malformed.
    #[error("node `{node}` ({op_type}): {problem}")]
    Node {
        /// Name of the node.
        node: String,
        /// Its operator.
        op_type: String,
        /// What is wrong.
        problem: String,
    },
    /// An attribute cannot be read.
    #[error("node `{node}` ({op_type}): attribute `{attribute}` {problem}")]
    Attribute {
        /// Name of the node.
        node: String,
        /// Its operator.
        op_type: String,
        /// Name of the attribute.
        attribute: String,
        /// What is wrong.
        problem: String,
    },
    /// A tensor cannot be read.
    #[error("tensor `{tensor}`: {problem}")]
    Tensor {
        /// Name of the tensor.
        tensor: String,
        /// What is wrong.
        problem: String,
    },
    /// An input or output of the graph cannot be used.
    #[error("value `{value}`: {problem}")]
    Value {
        /// Name of the value.
        value: String,
        /// What is wrong.
        problem: String,
    },
}
