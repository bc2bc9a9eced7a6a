//! Decoding of models and tensors.

use super::{
    Attribute, Dim, ElementType, Graph, Model, NEWEST_IR_VERSION, Node, OPSETS, OnnxError, Tensor,
    ValueInfo,
    external::External,
    names::NodeNames,
    proto::{
        AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto,
        attribute_type as kind,
    },
    tensor,
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
    let text =
        |bytes: Vec<u8>| String::from_utf8(bytes).map_err(|_| "is not UTF-8 text".to_owned());
    Ok(match proto.r#type {
        kind::FLOAT => Attribute::Float(proto.f.unwrap_or_default()),
        kind::INT => Attribute::Int(proto.i.unwrap_or_default()),
        kind::STRING => Attribute::String(text(proto.s.unwrap_or_default())?),
        kind::TENSOR => {
            let tensor = proto.t.ok_or("has no tensor")?;
            Attribute::Tensor(tensor::read(tensor, external)?)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::{ModelBuilder, proto::*};

    fn model() -> ModelProto {
        let bytes = ModelBuilder::new("g")
            .input("x", &[1, 2])
            .initializer("w", Tensor::floats(&[2], vec![1.0, -1.0]))
            .node(Node::new("Mul", "scale", &["x", "w"], &["y"]))
            .output("y", &[1, 2])
            .encode();
        ModelProto::decode(bytes.as_slice()).unwrap()
    }

    fn parse(proto: &ModelProto) -> Result<Model, OnnxError> {
        parse_model(&proto.encode_to_vec(), &no_external)
    }

    /// The model after a change, read.
    fn changed(change: impl FnOnce(&mut ModelProto, &mut GraphProto)) -> Result<Model, OnnxError> {
        let mut proto = model();
        let mut graph = proto.graph.take().unwrap();
        change(&mut proto, &mut graph);
        proto.graph = Some(graph);
        parse(&proto)
    }

    /// The message of the error and of its causes.
    fn refused(change: impl FnOnce(&mut ModelProto, &mut GraphProto)) -> String {
        changed(change).unwrap_err().to_string()
    }

    #[test]
    fn what_is_written_is_read() {
        let tensor = Tensor::ints(&[2, 1], vec![3, -4]);
        let written = ModelBuilder::new("g")
            .opset(13)
            .input_value(ValueInfo {
                name: "x".to_owned(),
                element_type: ElementType::U8,
                dims: vec![Dim::Named("N".to_owned()), Dim::Unknown, Dim::Known(4)],
            })
            .initializer("w", Tensor::floats(&[1, 2], vec![0.5, f32::MIN_POSITIVE]))
            .initializer("scalar", Tensor::ints(&[], vec![i64::MIN]))
            .node(
                Node::new("Op", "node", &["x", "", "w"], &["y", ""])
                    .with("f", 1.5)
                    .with("i", -7)
                    .with("s", "text")
                    .with("t", tensor)
                    .with("fs", vec![1.0_f32, 2.0])
                    .with("is", vec![1_i64, -2])
                    .with("ss", vec!["a".to_owned(), String::new()]),
            )
            .output("y", &[2, 3])
            .build();
        let bytes = super::super::encode_model(&written);
        assert_eq!(parse_model(&bytes, &no_external).unwrap(), written);
    }

    #[test]
    fn not_a_model_is_refused() {
        for (bytes, expected) in [
            (b"".as_slice(), "no IR version"),
            (b"\x08\x08\x42\x02\x10\x11", "no graph"),
            (b"PK\x03\x04", "not a readable ONNX file"),
            (b"\x89HDF\r\n\x1a\n", "not a readable ONNX file"),
        ] {
            let error = parse_model(bytes, &no_external).unwrap_err().to_string();
            assert!(error.contains(expected), "{bytes:?}: {error}");
        }
    }

    #[test]
    fn every_truncation_is_refused_or_read() {
        let bytes = model().encode_to_vec();
        for len in 0..bytes.len() {
            let result = parse_model(&bytes[..len], &no_external);
            assert!(result.is_err() || len > bytes.len() - 8, "{len} of {}", bytes.len());
        }
    }

    #[test]
    fn versions_are_checked() {
        let opsets = |versions: &[(&str, i64)]| -> Vec<OperatorSetId> {
            versions
                .iter()
                .map(|&(domain, version)| OperatorSetId { domain: domain.to_owned(), version })
                .collect()
        };
        for (versions, expected) in [
            (vec![("", 11)], Some(11)),
            (vec![("", 28)], Some(28)),
            (vec![("ai.onnx", 17)], Some(17)),
            (vec![("com.microsoft", 1), ("", 17), ("ai.onnx", 17)], Some(17)),
            (vec![("", 10)], None),
            (vec![("", 29)], None),
            (vec![("", 17), ("ai.onnx", 18)], None),
            (vec![("ai.onnx.ml", 3)], None),
            (vec![], None),
        ] {
            let result = changed(|model, _| model.opset_import = opsets(&versions));
            assert_eq!(result.ok().map(|model| model.opset), expected, "{versions:?}");
        }
        assert_eq!(
            refused(|model, _| model.opset_import[0].version = 9),
            "opset 9 is not supported; supported: 11 to 28; re-export the model with one of them"
        );
        assert!(refused(|model, _| model.ir_version = 15).contains("IR version 15"));
        assert!(refused(|model, _| model.ir_version = -1).contains("no IR version"));
    }

    #[test]
    fn hidden_corners_are_refused_by_name() {
        fn attribute(graph: &mut GraphProto) -> &mut AttributeProto {
            let attributes = &mut graph.node[0].attribute;
            attributes.push(AttributeProto {
                name: "a".to_owned(),
                r#type: kind::INT,
                ..AttributeProto::default()
            });
            &mut attributes[0]
        }
        let check = |message: String, expected: &str| {
            assert!(message.contains(expected), "expected {expected}, got {message}");
        };
        check(refused(|model, _| model.training_info = vec![vec![]]), "training information");
        check(refused(|model, _| model.functions = vec![vec![]]), "function defined in the model");
        check(refused(|_, g| g.sparse_initializer = vec![vec![]]), "sparse initializer");
        check(refused(|_, g| g.initializer[0].name.clear()), "has no name");
        check(
            refused(|_, g| g.initializer.push(g.initializer[0].clone())),
            "tensor `w`: is defined",
        );
        check(refused(|_, g| g.input.push(g.input[0].clone())), "value `x`: is listed more");
        check(refused(|_, g| g.output.push(g.output[0].clone())), "value `y`: is listed more");
        check(refused(|_, g| g.output[0].name.clear()), "has no name");
        check(refused(|_, g| g.input[0].r#type = None), "value `x`: the file gives no shape");
        check(
            refused(|_, g| {
                let sequence = Some(vec![]);
                g.input[0].r#type = Some(TypeProto { sequence, ..TypeProto::default() });
            }),
            "only dense tensors",
        );
        check(refused(|_, g| g.node[0].op_type.clear()), "has no operator");
        check(
            refused(|_, g| g.node[0].domain = "com.microsoft".to_owned()),
            "node `scale` (Mul): domain `com.microsoft` is not supported",
        );
        check(refused(|_, g| g.node[0].overload = "o".to_owned()), "calls a function");
        check(refused(|_, g| attribute(g).name.clear()), "has no name");
        check(refused(|_, g| attribute(g).r#type = 0), "`a` has no type");
        check(refused(|_, g| attribute(g).r#type = 99), "unknown type 99");
        check(
            refused(|_, g| attribute(g).r#type = kind::GRAPH),
            "node `scale` (Mul): attribute `a` is a graph",
        );
        check(refused(|_, g| attribute(g).r#type = kind::SPARSE_TENSOR), "sparse tensor");
        check(refused(|_, g| attribute(g).r#type = kind::TENSORS), "list of tensors");
        check(refused(|_, g| attribute(g).r#type = kind::TYPE_PROTO), "is a type");
        check(refused(|_, g| attribute(g).r#type = kind::TENSOR), "has no tensor");
        check(refused(|_, g| attribute(g).ref_attr_name = "b".to_owned()), "refers to `b`");
        check(
            refused(|_, g| {
                let attribute = attribute(g);
                attribute.r#type = kind::STRING;
                attribute.s = Some(vec![0xff]);
            }),
            "not UTF-8",
        );
        check(
            refused(|_, g| {
                attribute(g);
                attribute(g);
            }),
            "attribute `a` is given more than once",
        );
    }

    #[test]
    fn inputs_that_are_initializers_are_left_out() {
        let listed = changed(|_, graph| {
            graph.input.push(ValueInfoProto { name: "w".to_owned(), r#type: None });
        });
        let names: Vec<String> =
            listed.unwrap().graph.inputs.into_iter().map(|input| input.name).collect();
        assert_eq!(names, ["x"]);
    }

    #[test]
    fn open_extents_are_kept_open() {
        let dim = |value, name: Option<&str>| Dimension {
            dim_value: value,
            dim_param: name.map(str::to_owned),
        };
        for (dim, expected) in [
            (dim(Some(3), None), Dim::Known(3)),
            (dim(Some(0), None), Dim::Known(0)),
            (dim(Some(-1), None), Dim::Unknown),
            (dim(None, Some("N")), Dim::Named("N".to_owned())),
            (dim(None, Some("")), Dim::Unknown),
            (dim(None, None), Dim::Unknown),
        ] {
            let model = changed(|_, graph| {
                let tensor_type = graph.input[0].r#type.as_mut().unwrap().tensor.as_mut().unwrap();
                tensor_type.shape.as_mut().unwrap().dim[0] = dim.clone();
            });
            assert_eq!(model.unwrap().graph.inputs[0].dims[0], expected, "{dim:?}");
        }
    }

    #[test]
    fn a_tensor_file_is_read() {
        let proto = TensorProto {
            dims: vec![2],
            data_type: 1,
            float_data: vec![1.0, 2.0],
            ..TensorProto::default()
        };
        let tensor = parse_tensor(&proto.encode_to_vec()).unwrap();
        assert_eq!(tensor, Tensor::floats(&[2], vec![1.0, 2.0]));
        assert!(parse_tensor(&[0x08]).is_err());
    }
}
