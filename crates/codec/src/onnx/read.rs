//! Decoding of models and tensors.

use super::{
    Attribute, Dim, ElementType, Graph, Model, NEWEST_IR_VERSION, Node, OPSETS, OnnxError, Tensor,
    ValueInfo,
    proto::{
        AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto,
        attribute_type as kind,
    },
    tensor::{self, External},
};
use prost::Message;
use std::collections::{BTreeMap, BTreeSet};

/// Reads a model.
///
/// `external` returns the whole file at a location given in the model; it is called at most once
/// for each location, and only with relative paths without `..`, drive or backslash.
///
/// # Errors
/// [`OnnxError`] naming the node, tensor or value.
///
/// ```
/// use fixedwise_codec::onnx::{ModelBuilder, Node, parse_model};
/// let bytes = ModelBuilder::new("tiny")
///     .input("x", &[1, 3])
///     .node(Node::new("Relu", "relu", &["x"], &["y"]))
///     .output("y", &[1, 3])
///     .encode();
/// let model = parse_model(&bytes, &|_| Err("not expected".to_owned())).unwrap();
/// assert_eq!(model.graph.nodes[0].op_type, "Relu");
/// ```
pub fn parse_model(
    bytes: &[u8],
    external: &dyn Fn(&str) -> Result<Vec<u8>, String>,
) -> Result<Model, OnnxError> {
    let proto = ModelProto::decode(bytes).map_err(|source| OnnxError::Decode { source })?;
    if proto.ir_version <= 0 {
        return Err(OnnxError::NotAModel { problem: "it has no IR version" });
    }
    if proto.ir_version > NEWEST_IR_VERSION {
        return Err(OnnxError::IrVersion { found: proto.ir_version, newest: NEWEST_IR_VERSION });
    }
    let opset = opset(&proto)?;
    if !proto.training_info.is_empty() {
        return Err(OnnxError::Unsupported {
            what: "training information",
            help: "export the model for inference",
        });
    }
    if !proto.functions.is_empty() {
        return Err(OnnxError::Unsupported {
            what: "a function defined in the model",
            help: "inline the functions, for example with `onnx.inliner`",
        });
    }
    let producer = format!("{} {}", proto.producer_name, proto.producer_version).trim().to_owned();
    let Some(graph) = proto.graph else {
        return Err(OnnxError::NotAModel { problem: "it has no graph" });
    };
    let graph = read_graph(graph, &mut External::new(external))?;
    Ok(Model { ir_version: proto.ir_version, opset, producer, graph })
}

/// Reads one tensor, as in the `.pb` files of ONNX test data.
///
/// # Errors
/// [`OnnxError`] where the bytes are no tensor, its type is not supported or its elements are in
/// another file.
pub fn parse_tensor(bytes: &[u8]) -> Result<Tensor, OnnxError> {
    let proto = TensorProto::decode(bytes).map_err(|source| OnnxError::Decode { source })?;
    tensor::tensor(proto, &mut External::new(&no_external))
}

fn no_external(_: &str) -> Result<Vec<u8>, String> {
    Err("external data is not supported here".to_owned())
}

/// Version of the default operator set.
fn opset(proto: &ModelProto) -> Result<i64, OnnxError> {
    let mut versions =
        proto.opset_import.iter().filter(|o| is_default_domain(&o.domain)).map(|o| o.version);
    let found = versions.next();
    match found {
        Some(version) if OPSETS.contains(&version) && versions.all(|v| v == version) => Ok(version),
        _ => Err(OnnxError::Opset { found, oldest: *OPSETS.start(), newest: *OPSETS.end() }),
    }
}

fn is_default_domain(domain: &str) -> bool {
    matches!(domain, "" | "ai.onnx")
}

fn read_graph(proto: GraphProto, external: &mut External) -> Result<Graph, OnnxError> {
    if !proto.sparse_initializer.is_empty() {
        return Err(OnnxError::Unsupported {
            what: "a sparse initializer",
            help: "store the weights as dense tensors",
        });
    }
    let mut names = BTreeSet::new();
    let mut initializers = Vec::with_capacity(proto.initializer.len());
    for initializer in proto.initializer {
        let name = initializer.name.clone();
        if name.is_empty() {
            return Err(OnnxError::Tensor { tensor: name, problem: "has no name".to_owned() });
        }
        let tensor = tensor::tensor(initializer, external)?;
        if !names.insert(name.clone()) {
            let problem = "is defined more than once".to_owned();
            return Err(OnnxError::Tensor { tensor: name, problem });
        }
        initializers.push((name, tensor));
    }
    let inputs: Vec<ValueInfoProto> =
        proto.input.into_iter().filter(|input| !names.contains(&input.name)).collect();
    let inputs = values(inputs, true)?;
    let outputs = values(proto.output, false)?;
    let nodes = nodes(proto.node, external)?;
    Ok(Graph { name: proto.name, nodes, initializers, inputs, outputs })
}

fn values(protos: Vec<ValueInfoProto>, need_shape: bool) -> Result<Vec<ValueInfo>, OnnxError> {
    let mut names = BTreeSet::new();
    let mut values = Vec::with_capacity(protos.len());
    for proto in protos {
        let name = proto.name.clone();
        let error =
            |problem: &str| OnnxError::Value { value: name.clone(), problem: problem.to_owned() };
        if name.is_empty() {
            return Err(error("an input or output of the graph has no name"));
        }
        if !names.insert(name.clone()) {
            return Err(error("is listed more than once"));
        }
        values.push(value(proto, need_shape).map_err(error)?);
    }
    Ok(values)
}

fn value(proto: ValueInfoProto, need_shape: bool) -> Result<ValueInfo, &'static str> {
    let kind = proto.r#type.unwrap_or_default();
    if kind.sequence.is_some()
        || kind.map.is_some()
        || kind.sparse_tensor.is_some()
        || kind.optional.is_some()
    {
        return Err("only dense tensors are supported as inputs and outputs of the graph");
    }
    let tensor_type = kind.tensor.unwrap_or_default();
    if need_shape && tensor_type.shape.is_none() {
        return Err("the file gives no shape; export the model with a fixed input shape");
    }
    let dims = tensor_type.shape.unwrap_or_default().dim.into_iter().map(|dim| {
        match (dim.dim_value, dim.dim_param) {
            // Exporters write -1 where they mean an open extent.
            (Some(value), _) => usize::try_from(value).map_or(Dim::Unknown, Dim::Known),
            (None, Some(name)) if !name.is_empty() => Dim::Named(name),
            (None, _) => Dim::Unknown,
        }
    });
    Ok(ValueInfo {
        name: proto.name,
        element_type: ElementType::from_code(tensor_type.elem_type),
        dims: dims.collect(),
    })
}

fn nodes(protos: Vec<NodeProto>, external: &mut External) -> Result<Vec<Node>, OnnxError> {
    let mut names = NodeNames::new(&protos);
    protos
        .into_iter()
        .enumerate()
        .map(|(index, proto)| {
            let name = names.unique(&proto, index);
            node(proto, name, external)
        })
        .collect()
}

/// Gives every node a name of its own. Names in the file come first; a repeated one gets the
/// suffix `_2`, `_3` and so on.
struct NodeNames {
    /// Names that cannot be made, because the file has them.
    reserved: BTreeSet<String>,
    used: BTreeSet<String>,
    /// The next suffix for a name that is taken.
    suffixes: BTreeMap<String, usize>,
}

impl NodeNames {
    fn new(protos: &[NodeProto]) -> Self {
        let reserved = protos.iter().map(|proto| proto.name.clone()).collect();
        Self { reserved, used: BTreeSet::new(), suffixes: BTreeMap::new() }
    }

    fn unique(&mut self, proto: &NodeProto, index: usize) -> String {
        let name = if proto.name.is_empty() {
            format!("{}_{index}", proto.op_type)
        } else {
            proto.name.clone()
        };
        let is_free = !self.used.contains(&name)
            && (!proto.name.is_empty() || !self.reserved.contains(&name));
        let unique = if is_free { name } else { self.suffixed(&name) };
        self.used.insert(unique.clone());
        unique
    }

    fn suffixed(&mut self, name: &str) -> String {
        let suffix = self.suffixes.entry(name.to_owned()).or_insert(2);
        loop {
            let candidate = format!("{name}_{suffix}");
            *suffix += 1;
            if !self.used.contains(&candidate) && !self.reserved.contains(&candidate) {
                return candidate;
            }
        }
    }
}

fn node(proto: NodeProto, name: String, external: &mut External) -> Result<Node, OnnxError> {
    let op_type = proto.op_type;
    let error = |problem: &str| OnnxError::Node {
        node: name.clone(),
        op_type: op_type.clone(),
        problem: problem.to_owned(),
    };
    if op_type.is_empty() {
        return Err(error("has no operator"));
    }
    if !is_default_domain(&proto.domain) {
        return Err(OnnxError::Domain { node: name, op_type, domain: proto.domain });
    }
    if !proto.overload.is_empty() {
        return Err(error("calls a function of the model, which is not supported"));
    }
    let mut attributes = BTreeMap::new();
    for attribute in proto.attribute {
        let attribute_name = attribute.name.clone();
        let error = |problem: String| OnnxError::Attribute {
            node: name.clone(),
            op_type: op_type.clone(),
            attribute: attribute_name.clone(),
            problem,
        };
        let value = read_attribute(attribute, external).map_err(error)?;
        if attributes.insert(attribute_name.clone(), value).is_some() {
            return Err(error("is given more than once".to_owned()));
        }
    }
    let (inputs, outputs) = (proto.input, proto.output);
    Ok(Node { name, op_type, domain: String::new(), inputs, outputs, attributes })
}

fn read_attribute(proto: AttributeProto, external: &mut External) -> Result<Attribute, String> {
    if proto.name.is_empty() {
        return Err("has no name".to_owned());
    }
    if !proto.ref_attr_name.is_empty() {
        return Err(format!(
            "refers to `{}`, which only a function of the model can do",
            proto.ref_attr_name
        ));
    }
    let text = |bytes: Vec<u8>| {
        String::from_utf8(bytes).map_err(|_| "is a text that is not UTF-8".to_owned())
    };
    Ok(match proto.r#type {
        kind::FLOAT => Attribute::Float(proto.f.unwrap_or_default()),
        kind::INT => Attribute::Int(proto.i.unwrap_or_default()),
        kind::STRING => Attribute::String(text(proto.s.unwrap_or_default())?),
        kind::TENSOR => {
            let tensor = proto.t.ok_or("has no tensor")?;
            let tensor = tensor::tensor(tensor, external).map_err(|e| e.to_string())?;
            Attribute::Tensor(tensor)
        }
        kind::FLOATS => Attribute::Floats(proto.floats),
        kind::INTS => Attribute::Ints(proto.ints),
        kind::STRINGS => {
            Attribute::Strings(proto.strings.into_iter().map(text).collect::<Result<_, _>>()?)
        }
        kind::GRAPH | kind::GRAPHS => {
            return Err("is a graph; control flow is not supported: export the model without \
                        `If`, `Loop` and `Scan`"
                .to_owned());
        }
        kind::TENSORS => return Err("is a list of tensors, which is not supported".to_owned()),
        kind::SPARSE_TENSOR | kind::SPARSE_TENSORS => {
            return Err("is a sparse tensor, which is not supported; store it densely".to_owned());
        }
        kind::TYPE_PROTO | kind::TYPE_PROTOS => {
            return Err("is a type, which is not supported".to_owned());
        }
        kind::UNDEFINED => return Err("has no type".to_owned()),
        other => return Err(format!("has the unknown type {other}")),
    })
}
