//! Decoding of models and tensors.

use super::{
    Attribute, Dim, ElementType, Function, Graph, Model, NEWEST_IR_VERSION, Node, OLDEST_OPSET,
    OnnxError, Tensor, ValueInfo,
    external::External,
    names::NodeNames,
    proto::{
        AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, OperatorSetId,
        TensorProto, ValueInfoProto, attribute_type as kind,
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
    let opset = opset(&proto.opset_import)?
        .filter(|&version| version >= OLDEST_OPSET)
        .ok_or_else(|| too_old(&proto.opset_import))?;
    if !proto.training_info.is_empty() {
        return Err(OnnxError::Unsupported {
            what: "training information",
            help: "export the model for inference",
        });
    }
    let producer = format!("{} {}", proto.producer_name, proto.producer_version).trim().to_owned();
    let Some(graph) = proto.graph else {
        return Err(OnnxError::NotAModel { problem: "it has no graph" });
    };
    let mut external = External::new(external);
    let graph = read_graph(graph, &mut external)?;
    let functions = proto
        .functions
        .into_iter()
        .map(|f| function(f, &mut external))
        .collect::<Result<_, _>>()?;
    Ok(Model { ir_version: proto.ir_version, opset, producer, functions, graph })
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

/// Version of the default operator set, where one is declared.
fn opset(declared: &[OperatorSetId]) -> Result<Option<i64>, OnnxError> {
    let mut versions = declared.iter().filter(|o| is_default_domain(&o.domain)).map(|o| o.version);
    let Some(first) = versions.next() else { return Ok(None) };
    match versions.find(|&version| version != first) {
        Some(second) => Err(OnnxError::Opsets { first, second }),
        None => Ok(Some(first)),
    }
}

fn too_old(declared: &[OperatorSetId]) -> OnnxError {
    let found = declared.iter().find(|o| is_default_domain(&o.domain)).map(|o| o.version);
    OnnxError::Opset { found, oldest: OLDEST_OPSET }
}

fn function(proto: FunctionProto, external: &mut External) -> Result<Function, OnnxError> {
    let name = proto.name;
    let error =
        |problem: &str| OnnxError::Function { function: name.clone(), problem: problem.to_owned() };
    if name.is_empty() {
        return Err(error("has no name"));
    }
    let opset = opset(&proto.opset_import)?;
    if opset.is_some_and(|version| version < OLDEST_OPSET) {
        return Err(too_old(&proto.opset_import));
    }
    let mut defaults = BTreeMap::new();
    for attribute in proto.attribute_proto {
        let attribute_name = attribute.name.clone();
        let value = read_attribute(attribute, external)
            .map_err(|problem| error(&format!("attribute `{attribute_name}` {problem}")))?;
        if defaults.insert(attribute_name.clone(), value).is_some() {
            return Err(error(&format!("attribute `{attribute_name}` is given more than once")));
        }
    }
    let nodes = nodes(proto.node, external)?;
    Ok(Function {
        name,
        domain: domain(proto.domain),
        overload: proto.overload,
        opset,
        inputs: proto.input,
        outputs: proto.output,
        defaults,
        nodes,
    })
}

/// The domain, empty for the default one.
fn domain(name: String) -> String {
    if is_default_domain(&name) { String::new() } else { name }
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
    let mut unreadable = Vec::new();
    for initializer in proto.initializer {
        let name = initializer.name.clone();
        if name.is_empty() {
            return Err(OnnxError::Tensor { tensor: name, problem: "has no name".to_owned() });
        }
        if !names.insert(name.clone()) {
            let problem = "is defined more than once".to_owned();
            return Err(OnnxError::Tensor { tensor: name, problem });
        }
        match tensor::unreadable(&initializer) {
            Some(problem) => unreadable.push((name, problem)),
            None => initializers.push((name, tensor::tensor(initializer, external)?)),
        }
    }
    let inputs: Vec<ValueInfoProto> =
        proto.input.into_iter().filter(|input| !names.contains(&input.name)).collect();
    let inputs = interface(inputs)?;
    let outputs = interface(proto.output)?;
    let values = proto.value_info.into_iter().filter_map(|value| self::value(value).ok()).collect();
    let nodes = nodes(proto.node, external)?;
    Ok(Graph { name: proto.name, nodes, initializers, unreadable, inputs, outputs, values })
}

fn interface(protos: Vec<ValueInfoProto>) -> Result<Vec<ValueInfo>, OnnxError> {
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
        values.push(value(proto).map_err(error)?);
    }
    Ok(values)
}

fn value(proto: ValueInfoProto) -> Result<ValueInfo, &'static str> {
    let kind = proto.r#type.unwrap_or_default();
    if kind.sequence.is_some()
        || kind.map.is_some()
        || kind.sparse_tensor.is_some()
        || kind.optional.is_some()
    {
        return Err("only dense tensors are supported as inputs and outputs of the graph");
    }
    let tensor_type = kind.tensor.unwrap_or_default();
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
    let (domain, overload) = (domain(proto.domain), proto.overload);
    Ok(Node { name, op_type, domain, overload, inputs, outputs, attributes })
}

/// A kind of attribute that is not read is kept as such; only what contradicts itself is an error.
fn read_attribute(proto: AttributeProto, external: &mut External) -> Result<Attribute, String> {
    if proto.name.is_empty() {
        return Err("has no name".to_owned());
    }
    if !proto.ref_attr_name.is_empty() {
        return Ok(Attribute::Reference(proto.ref_attr_name));
    }
    let unsupported = |what: &str| Attribute::Unsupported(what.to_owned());
    Ok(match proto.r#type {
        kind::FLOAT => Attribute::Float(proto.f.unwrap_or_default()),
        kind::INT => Attribute::Int(proto.i.unwrap_or_default()),
        kind::STRING => match String::from_utf8(proto.s.unwrap_or_default()) {
            Ok(text) => Attribute::String(text),
            Err(_) => unsupported("is not UTF-8 text"),
        },
        kind::TENSOR => {
            let tensor = proto.t.ok_or("has no tensor")?;
            match tensor::unreadable(&tensor) {
                Some(problem) => Attribute::Unsupported(format!("is a tensor: {problem}")),
                None => Attribute::Tensor(tensor::read(tensor, external)?),
            }
        }
        kind::FLOATS => Attribute::Floats(proto.floats),
        kind::INTS => Attribute::Ints(proto.ints),
        kind::STRINGS => {
            let texts = proto.strings.into_iter().map(String::from_utf8).collect::<Result<_, _>>();
            texts.map_or_else(|_| unsupported("is not UTF-8 text"), Attribute::Strings)
        }
        kind::GRAPH => {
            let graph = *proto.g.ok_or("has no graph")?;
            let graph = read_graph(graph, external).map_err(|error| error.to_string())?;
            Attribute::Graph(Box::new(graph))
        }
        kind::GRAPHS => unsupported("is a list of graphs"),
        kind::TENSORS => unsupported("is a list of tensors"),
        kind::SPARSE_TENSOR | kind::SPARSE_TENSORS => unsupported("is a sparse tensor"),
        kind::TYPE_PROTO | kind::TYPE_PROTOS => unsupported("is a type"),
        kind::UNDEFINED => return Err("has no type".to_owned()),
        other => Attribute::Unsupported(format!("has the unknown type {other}")),
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
            (vec![("", 7)], Some(7)),
            (vec![("", 11)], Some(11)),
            (vec![("", 28)], Some(28)),
            (vec![("", 99)], Some(99)),
            (vec![("ai.onnx", 17)], Some(17)),
            (vec![("com.microsoft", 1), ("", 17), ("ai.onnx", 17)], Some(17)),
            (vec![("", 6)], None),
            (vec![("", 17), ("ai.onnx", 18)], None),
            (vec![("ai.onnx.ml", 3)], None),
            (vec![], None),
        ] {
            let result = changed(|model, _| model.opset_import = opsets(&versions));
            assert_eq!(result.ok().map(|model| model.opset), expected, "{versions:?}");
        }
        assert_eq!(
            refused(|model, _| model.opset_import[0].version = 6),
            "opset 6 is not supported; supported: 7 or newer; convert the model with \
             `onnx.version_converter.convert_version(model, 13)`, or re-export it"
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
        check(refused(|_, g| g.sparse_initializer = vec![vec![]]), "sparse initializer");
        check(refused(|_, g| g.initializer[0].name.clear()), "has no name");
        check(
            refused(|_, g| g.initializer.push(g.initializer[0].clone())),
            "tensor `w`: is defined",
        );
        check(refused(|_, g| g.input.push(g.input[0].clone())), "value `x`: is listed more");
        check(refused(|_, g| g.output.push(g.output[0].clone())), "value `y`: is listed more");
        check(refused(|_, g| g.output[0].name.clear()), "has no name");
        check(
            refused(|_, g| {
                let sequence = Some(vec![]);
                g.input[0].r#type = Some(TypeProto { sequence, ..TypeProto::default() });
            }),
            "only dense tensors",
        );
        check(refused(|_, g| g.node[0].op_type.clear()), "has no operator");
        check(refused(|_, g| attribute(g).name.clear()), "has no name");
        check(refused(|_, g| attribute(g).r#type = 0), "`a` has no type");
        check(refused(|_, g| attribute(g).r#type = kind::TENSOR), "has no tensor");
        check(refused(|_, g| attribute(g).r#type = kind::GRAPH), "has no graph");
        check(
            refused(|_, g| {
                let attribute = attribute(g);
                attribute.r#type = kind::GRAPH;
                let nameless = NodeProto::default();
                attribute.g =
                    Some(Box::new(GraphProto { node: vec![nameless], ..GraphProto::default() }));
            }),
            "attribute `a` node `_0` (): has no operator",
        );
        let function = |change: fn(&mut FunctionProto)| {
            refused(|model, _| {
                let mut function =
                    FunctionProto { name: "f".to_owned(), ..FunctionProto::default() };
                change(&mut function);
                model.functions.push(function);
            })
        };
        check(function(|f| f.name.clear()), "function ``: has no name");
        check(
            function(|f| f.attribute_proto = vec![AttributeProto::default()]),
            "function `f`: attribute `` has no name",
        );
        let old = OperatorSetId { domain: String::new(), version: 3 };
        check(refused(|model, _| model.opset_import = vec![old]), "opset 3 is not supported");
        check(
            refused(|_, g| {
                attribute(g);
                attribute(g);
            }),
            "attribute `a` is given more than once",
        );
    }

    #[test]
    fn what_is_not_read_is_kept_as_such() {
        let read = |change: fn(&mut AttributeProto)| {
            let model = changed(|_, graph| {
                let mut attribute =
                    AttributeProto { name: "a".to_owned(), ..AttributeProto::default() };
                change(&mut attribute);
                graph.node[0].attribute.push(attribute);
            });
            let model = model.unwrap();
            let again = parse_model(&super::super::encode_model(&model), &no_external).unwrap();
            for model in [&model, &again] {
                assert!(model.graph.nodes[0].attributes.contains_key("a"));
            }
            model.graph.nodes[0].attributes["a"].clone()
        };
        let unsupported = |what: &str| Attribute::Unsupported(what.to_owned());
        let text = |a: &mut AttributeProto| {
            (a.r#type, a.s) = (kind::STRING, Some(vec![0xff]));
        };
        assert_eq!(read(text), unsupported("is not UTF-8 text"));
        assert_eq!(read(|a| a.r#type = 99), unsupported("has the unknown type 99"));
        assert_eq!(read(|a| a.r#type = kind::SPARSE_TENSOR), unsupported("is a sparse tensor"));
        assert_eq!(read(|a| a.r#type = kind::TENSORS), unsupported("is a list of tensors"));
        assert_eq!(read(|a| a.r#type = kind::GRAPHS), unsupported("is a list of graphs"));
        assert_eq!(read(|a| a.r#type = kind::TYPE_PROTO), unsupported("is a type"));
        let reference = |a: &mut AttributeProto| a.ref_attr_name = "b".to_owned();
        assert_eq!(read(reference), Attribute::Reference("b".to_owned()));
        let strings = |a: &mut AttributeProto| {
            let tensor = TensorProto { data_type: 8, ..TensorProto::default() };
            (a.r#type, a.t) = (kind::TENSOR, Some(tensor));
        };
        let Attribute::Unsupported(what) = read(strings) else { panic!("it is not read") };
        assert!(what.contains("type STRING"), "{what}");

        let model = changed(|model, graph| {
            graph.node[0].domain = "com.microsoft".to_owned();
            graph.node[0].overload = "o".to_owned();
            graph.initializer.push(TensorProto {
                name: "texts".to_owned(),
                data_type: 8,
                dims: vec![3],
                ..TensorProto::default()
            });
            graph.input[0].r#type = None;
            graph.value_info = vec![graph.output[0].clone(), ValueInfoProto::default()];
            model.functions.push(FunctionProto {
                name: "f".to_owned(),
                domain: "own".to_owned(),
                opset_import: vec![OperatorSetId { domain: "ai.onnx".to_owned(), version: 18 }],
                input: vec!["a".to_owned()],
                output: vec!["b".to_owned()],
                node: graph.node.clone(),
                ..FunctionProto::default()
            });
        });
        let model = model.unwrap();
        let node = &model.graph.nodes[0];
        assert_eq!((node.domain.as_str(), node.overload.as_str()), ("com.microsoft", "o"));
        assert_eq!(model.graph.unreadable[0].0, "texts");
        assert_eq!(model.graph.initializers.len(), 1);
        assert!(model.graph.inputs[0].dims.is_empty());
        assert_eq!(model.graph.values[0].dims, [Dim::Known(1), Dim::Known(2)]);
        let function = &model.functions[0];
        assert_eq!((function.opset, function.nodes[0].name.as_str()), (Some(18), "scale"));
        let written = super::super::encode_model(&model);
        let again = parse_model(&written, &no_external).unwrap();
        assert_eq!(again.functions, model.functions);
        assert_eq!(super::super::encode_model(&again), written);
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
