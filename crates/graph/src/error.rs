//! What can be wrong with a model, a graph or a plan.

use thiserror::Error;

/// A graph that is not well formed.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields are named as in the text")]
pub enum GraphError {
    /// No input, or no output.
    #[error(
        "the network has {inputs} inputs and {outputs} outputs; at least one of each is needed"
    )]
    Interface { inputs: usize, outputs: usize },
    /// Extents an operator cannot work with.
    #[error("node `{node}` ({op}): input {shapes}: {problem}")]
    Shape { node: String, op: &'static str, shapes: String, problem: String },
    /// A node that takes a value computed after it.
    #[error("node `{node}` uses a value that is computed later")]
    Order { node: String },
    /// Two nodes of one name.
    #[error("two nodes are named `{node}`")]
    DuplicateName { node: String },
}

/// Why a model cannot be taken in.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields are named as in the text")]
pub enum ImportError {
    /// No operator of that name.
    #[error("node `{node}` ({op_type}): {}", way_out(op_type))]
    UnknownOperator { node: String, op_type: String },
    /// An attribute whose effect is not implemented.
    #[error("node `{node}` ({op_type}): attribute `{attribute}` is not supported")]
    UnknownAttribute { node: String, op_type: String, attribute: String },
    /// An attribute with a value that is not implemented, or of the wrong kind.
    #[error(
        "node `{node}` ({op_type}): attribute `{attribute}` = {value} is not supported; {help}"
    )]
    AttributeValue { node: String, op_type: String, attribute: String, value: String, help: String },
    /// Anything else about one node.
    #[error("node `{node}` ({op_type}): {problem}")]
    Node { node: String, op_type: String, problem: String },
    /// A value that no node computes.
    #[error(
        "node `{node}` uses `{value}`, which no node computes (or only a later one, in a cycle)"
    )]
    UnknownValue { node: String, value: String },
    /// NaN or infinity among the weights.
    #[error(
        "node `{node}`: tensor `{tensor}` contains {value} at element {index}; the weights of a \
         trained network must be finite"
    )]
    NotFinite { node: String, tensor: String, value: f32, index: usize },
    /// An operator of another domain.
    #[error(
        "node `{node}` ({op_type}): domain `{domain}` is not supported; re-export the model with \
         standard ONNX operators, from the tool that trained it"
    )]
    Domain { node: String, op_type: String, domain: String },
    /// The graph's inputs or outputs.
    #[error("{0}")]
    Interface(String),
    /// All that stands in the way, where it is more than one thing; the network may end with the values
    /// `before`.
    #[error("{}", Refusal::list(errors, before))]
    Several { errors: Vec<ImportError>, before: Vec<String> },
    /// The graph that resulted is not well formed.
    #[error(transparent)]
    Graph(#[from] GraphError),
}

impl ImportError {
    /// All of them as one error, where there is any; the values of the file `before` all that could not be read
    /// are a way out.
    pub(crate) fn all(mut errors: Vec<Self>, before: Vec<String>) -> Option<Self> {
        let is_unknown = |error: &Self| matches!(error, Self::UnknownOperator { .. });
        let names_values = !before.is_empty() && errors.iter().any(is_unknown);
        if errors.len() > 1 || names_values {
            Some(Self::Several { errors, before })
        } else {
            errors.pop()
        }
    }

    /// Values that the network may end with instead, each read and before all that stands in the way.
    pub fn values_before(&self) -> &[String] {
        match self {
            Self::Several { before, .. } => before,
            _ => &[],
        }
    }

    /// What stands in the way, by operator and reason.
    pub fn refusals(&self) -> Vec<Refusal> {
        match self {
            Self::Several { errors, .. } => Self::by_reason(errors),
            error => Self::by_reason(std::slice::from_ref(error)),
        }
    }

    fn by_reason(errors: &[Self]) -> Vec<Refusal> {
        let mut refusals: Vec<Refusal> = Vec::new();
        for error in errors {
            let (operator, node, problem) = error.parts();
            let found =
                refusals.iter_mut().find(|r| r.operator == operator && r.problem == problem);
            match found {
                Some(refusal) => refusal.nodes.extend(node),
                None => {
                    refusals.push(Refusal { operator, problem, nodes: node.into_iter().collect() });
                }
            }
        }
        refusals
    }

    /// Operator, node and problem.
    fn parts(&self) -> (Option<String>, Option<String>, String) {
        let some = |operator: &str, node: &str, problem: String| {
            (Some(operator.to_owned()), Some(node.to_owned()), problem)
        };
        match self {
            Self::UnknownOperator { node, op_type, .. } => {
                some(op_type, node, way_out(op_type).to_owned())
            }
            Self::Domain { node, op_type, domain } => some(
                op_type,
                node,
                format!(
                    "domain `{domain}` is not supported; re-export the model with standard ONNX \
                     operators, from the tool that trained it"
                ),
            ),
            Self::UnknownAttribute { node, op_type, attribute } => {
                some(op_type, node, format!("attribute `{attribute}` is not supported"))
            }
            Self::AttributeValue { node, op_type, attribute, value, help } => some(
                op_type,
                node,
                format!("attribute `{attribute}` = {value} is not supported; {help}"),
            ),
            Self::Node { node, op_type, problem } => some(op_type, node, problem.clone()),
            error => (None, None, error.to_string()),
        }
    }
}

/// What can be done about an operator that is not supported.
fn way_out(op_type: &str) -> &'static str {
    match op_type {
        "MeanVarianceNormalization" | "LRN" => {
            "the operator is not supported; train the network with batch normalization or layer normalization, or let \
             it end before this (`--output`)"
        }
        "GRU" | "LSTM" | "RNN" | "SimpleRNN" | "Bidirectional" | "ConvLSTM1D" | "ConvLSTM2D" => {
            "the operator is not supported; it keeps a state from step to step: train the network with \
             convolutions over the steps, or let it end before this (`--output`)"
        }
        "UnitNormalization" => {
            "the operator is not supported; let the network end before it (`--output`) and normalize its result"
        }
        "Attention" | "MultiHeadAttention" | "Dot" => {
            "the operator is not supported; write the attention as `MatMul`, `Softmax` and `MatMul`, which are: for \
             PyTorch, export with opset 17, or let the network end before it (`--output`)"
        }
        "Einsum" => {
            "the operator is not supported; write it as `Transpose` and `MatMul` in the model (`torch.matmul`), or let \
             the network end before it (`--output`)"
        }
        "Lambda" => {
            "the operator is not supported; the file does not say what its function computes: use layers or \
             `keras.ops` instead, such as `Rescaling`"
        }
        "If" | "Loop" | "Scan" => {
            "control flow is not supported; simplify the model, for example with \
             `onnxslim MODEL.onnx SLIM.onnx`, or export it for one input size"
        }
        "Upsample" => {
            "the operator is not supported; convert the model to a newer opset with \
             `onnx.version_converter.convert_version(model, 13)`"
        }
        "QuantizeLinear"
        | "DequantizeLinear"
        | "DynamicQuantizeLinear"
        | "ConvInteger"
        | "MatMulInteger"
        | "QLinearConv"
        | "QLinearMatMul" => {
            "the model is quantized already; give the float model it was made from"
        }
        "NonMaxSuppression" | "TopK" | "NonZero" | "RoiAlign" => {
            "the operator is not supported; export the model without its post-processing, or let the network end \
             before it (`--output`)"
        }
        _ => {
            "the operator is not supported; let the network end before it (`--output`), or use the operators that \
             the README lists in its place"
        }
    }
}

/// A reason why a model cannot be taken in, with the nodes it applies to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The operator; `None` where it is not about one.
    pub operator: Option<String>,
    /// What is not supported, and the way out.
    pub problem: String,
    /// The nodes, in the order of the file.
    pub nodes: Vec<String>,
}

impl Refusal {
    /// A line for each reason; the first nodes by name.
    fn list(errors: &[ImportError], before: &[String]) -> String {
        /// Nodes that are named.
        const NAMED: usize = 3;
        let refusals = ImportError::by_reason(errors);
        let things = if refusals.len() == 1 { "thing is" } else { "things are" };
        let mut text = format!("{} {things} not supported:", refusals.len());
        let mut line = |indent: usize, line: &str| {
            text.push('\n');
            text.extend(std::iter::repeat_n(' ', indent));
            text.push_str(line);
        };
        let n_refusals = refusals.len();
        for (i, refusal) in refusals.into_iter().enumerate() {
            let end = if i + 1 < n_refusals { ";" } else { "" };
            let Some(operator) = &refusal.operator else {
                line(2, &format!("{}{end}", refusal.problem));
                continue;
            };
            let named: Vec<String> =
                refusal.nodes.iter().take(NAMED).map(|node| format!("`{node}`")).collect();
            let more = if refusal.nodes.len() > NAMED { ", ..." } else { "" };
            let n = refusal.nodes.len();
            let nodes = if n == 1 { "node" } else { "nodes" };
            line(2, &format!("{operator}, {n} {nodes} ({}{more}):", named.join(", ")));
            line(4, &format!("{}{end}", refusal.problem));
        }
        if !before.is_empty() {
            let them = if n_refusals == 1 { "it" } else { "all of them" };
            text.push_str(&format!(
                ";\n  the network can end before {them} with --output {}",
                before.join(",")
            ));
        }
        text
    }
}

/// Why a graph and a plan do not make an integer network.
#[derive(Debug, Error, PartialEq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields are named as in the text")]
pub enum LowerError {
    /// An operator without integer form at this place.
    #[error("node `{node}` ({op}) has no integer form: {help}")]
    NotLegal { node: String, op: &'static str, help: &'static str },
    /// A plan that lacks a format.
    #[error("the plan has no format for the {kind} of `{node}`")]
    MissingFormat { node: String, kind: &'static str },
    /// A plan for another network.
    #[error(
        "the plan contains `{name}`, which is not in the network; the network contains {known}"
    )]
    UnknownTensor { name: String, known: String },
    /// A plan that gives a sum a format which is computed inside a layer.
    #[error(
        "the plan has a format for `{name}`, a sum that layer `{layer}` computes inside: what stands before \
         the sum is not stored; give the `activation` of `{layer}` the format of `{name}` and remove \
         `{name}`, then `refit` the plan, or search again"
    )]
    InsideLayer { name: String, layer: String },
    /// A plan that gives a lifted value a sign.
    #[error(
        "the plan has a format with a sign for `{node}`, to which the tool adds {lift} so that it is never negative; \
         a plan of an earlier version did not know that: set `signed = false` there and `refit` the plan, or \
         search again"
    )]
    Lifted { node: String, lift: f64 },
    /// A quantizer whose values are not multiples of a step.
    #[error(
        "the {quantizer} quantizer does not support integer semantics; use semantics `simulated`, \
         or quantizer `uniform`"
    )]
    Quantizer { quantizer: &'static str },
    /// A format outside what is stored.
    #[error("the plan gives the {kind} of `{node}` {bits} bits; allowed: 1 to {max_bits}{hint}")]
    Width { node: String, kind: &'static str, bits: u8, max_bits: u8, hint: &'static str },
    /// A format of -1 and +1 that is not of weights.
    #[error(
        "the plan gives the {kind} of `{node}` the range `bipolar`, which only weights can have"
    )]
    Bipolar { node: String, kind: &'static str },
    /// Integers of weights that are not of the plan's format or the layer's number.
    #[error(
        "the integer weights in the plan for `{node}` do not match its format {format} or the \
         number of weights; remove them, or restore the format that they were made for"
    )]
    Rounded { node: String, format: fixedwise_fixed::Format },
    /// Binary points of output channels that no layer can have.
    #[error(
        "the per-channel binary points in the plan for `{node}` are invalid (required: one per \
         output channel, 0 to {max} fractional bits fewer than the tensor); use the plan and its \
         integers from the same run"
    )]
    Points { node: String, max: u8 },
    /// Binary points of output channels where a target has one for a tensor.
    #[error(
        "the plan has per-channel binary points for `{node}`; search with this target, or use a \
         target with `granularity = \"channel\"`"
    )]
    Granularity { node: String },
    /// A shift outside what the executor and the target can do.
    #[error(
        "node `{node}`: its formats need a shift of {shift} bits; allowed: {least} to {most}; \
         choose binary points that are closer together"
    )]
    Shift { node: String, shift: i32, least: i32, most: i32 },
    /// A value that is added to sums which are too coarse for it.
    #[error(
        "layer `{node}`: the value that is added to its sums has {added} fractional bits, they have \
         {sums}, and its weights have no room to make up for it; give that value fewer fractional \
         bits, or the weights or the input of the layer more"
    )]
    Residual { node: String, added: i8, sums: i32 },
    /// A sum that may overflow.
    #[error(
        "layer `{node}`, channel {channel}: the worst-case sum needs {needed} bits, the \
         accumulator has {available}; reduce the bits of its weights, bias or input"
    )]
    Accumulator { node: String, channel: usize, needed: u8, available: u8 },
    /// A function without value for integers that its input may hold.
    #[error(
        "node `{node}`: {formula} has no value for inputs from {from} to {to}, which the format of \
         its input, {format}, contains; put a ReLU or a Clip before it in the model, or, where the \
         input is never negative, give it a format without sign"
    )]
    Undefined { node: String, formula: String, from: f64, to: f64, format: fixedwise_fixed::Format },
    /// A rounding that a target has no form of.
    #[error(
        "the plan has the rounding mode `{rounding}`; change `rounding` in the plan, or the \
             target"
    )]
    Rounding { rounding: &'static str },
    /// A range of signed integers that a target has no form of.
    #[error("the {kind} of `{node}` have the range `{range}` in the plan")]
    SignedRange { node: String, kind: &'static str, range: &'static str },
    /// Biases that a target cannot store.
    #[error(
        "the bias of `{node}` needs {needed} bits at the scale of its accumulator; the target \
         stores at most {max_bits}; reduce the fractional bits of its weights or input"
    )]
    Bias { node: String, needed: u8, max_bits: u8 },
    /// What a target's rule refuses.
    #[error("rule `{rule}` of target `{target}` is violated: {cause}")]
    Refused { target: String, rule: &'static str, cause: Box<Self> },
}

impl LowerError {
    /// What is wrong, whoever says so.
    pub fn cause(&self) -> &Self {
        match self {
            Self::Refused { cause, .. } => cause.cause(),
            error => error,
        }
    }
}

/// Why an integer network cannot be written in another form.
#[derive(Debug, Error, PartialEq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields are named as in the text")]
pub enum EmitError {
    /// A name that a compiler would refuse.
    #[error(
        "`{name}` is not allowed as a name in C: use letters, digits and underscores, start with a \
         letter, and avoid C keywords, standard headers and make targets"
    )]
    Name { name: String },
    /// What a package refuses.
    #[error("the package `{package}` cannot be written: {problem}")]
    Package { package: &'static str, problem: String },
    /// Kernels that cannot decode weights.
    #[error(
        "weights in codes have no kernels `{kernels}`: use `--code small`, a target whose code is `dsp` or \
         `portable`, or `--weights constants`"
    )]
    Coded { kernels: &'static str },
    /// A sum that only the search's executor can hold.
    #[error(
        "layer `{node}` needs 64-bit sums; C code requires sums that are proved to fit 32 bits"
    )]
    Accumulator { node: String },
    /// An extent the printed code cannot count.
    #[error("node `{node}`: a size of {extent} exceeds {max}")]
    Extent { node: String, extent: usize, max: usize },
    /// A network whose values come from nowhere.
    #[error("the output of the network is its input: there is nothing to run")]
    Empty,
    /// A step beyond what floats or the target's types have.
    #[error(
        "node `{node}`: its step is 2^{}; this export format supports 2^-{max} to 2^{max}: choose \
         another binary point",
        -frac
    )]
    Step { node: String, frac: i32, max: i32 },
    /// What a form cannot express of a node, and the way out.
    #[error("node `{node}`: {problem}")]
    Node { node: String, problem: String },
    /// All that a form cannot express, where it is more than one thing.
    #[error("the form `{form}` cannot express:\n{}", lines(errors))]
    Several { form: &'static str, errors: Vec<Self> },
    /// An operation that a form has no words for.
    #[error("node `{node}`: the form `{form}` does not know the operation `{operation}`")]
    Operation { node: String, operation: &'static str, form: &'static str },
}

/// A line for each error.
fn lines(errors: &[EmitError]) -> String {
    errors.iter().map(|error| format!("  {error}")).collect::<Vec<_>>().join(";\n")
}

impl EmitError {
    /// All of them as one error, where there is any.
    pub(crate) fn all(form: &'static str, errors: Vec<Self>) -> Option<Self> {
        match <[Self; 1]>::try_from(errors) {
            Ok([error]) => Some(error),
            Err(errors) if errors.is_empty() => None,
            Err(errors) => Some(Self::Several { form, errors }),
        }
    }

    /// The refusal of an operation by a form that does not know it.
    pub(crate) fn operation(node: &str, operation: &'static str, form: &'static str) -> Self {
        Self::Operation { node: node.to_owned(), operation, form }
    }
}
