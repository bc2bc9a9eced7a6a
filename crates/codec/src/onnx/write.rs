//! Encoding of models.

use super::{
    Attribute, Dim, ElementType, Function, Graph, Model, Node, Tensor, TensorData, ValueInfo,
    proto::{
        AttributeProto, Dimension, FunctionProto, GraphProto, ModelProto, NodeProto, OperatorSetId,
        StringEntry, TensorProto, TensorShape, TensorType, TypeProto, ValueInfoProto,
        attribute_type as kind,
    },
};
use prost::Message;

/// The bytes of `model`; nothing is checked.
///
/// Floats are written with 32 bits and integers with 64. Of what is not read, nothing but its name is
/// kept.
pub fn encode_model(model: &Model) -> Vec<u8> {
    model_proto(model).encode_to_vec()
}

fn model_proto(model: &Model) -> ModelProto {
    ModelProto {
        ir_version: model.ir_version,
        producer_name: model.producer.clone(),
        graph: Some(graph(&model.graph)),
        opset_import: vec![OperatorSetId { domain: String::new(), version: model.opset }],
        functions: model.functions.iter().map(function).collect(),
        ..ModelProto::default()
    }
}

fn graph(graph: &Graph) -> GraphProto {
    /// Texts, which are never read.
    const STRING: i32 = 8;
    let unreadable = graph.unreadable.iter().map(|(name, _)| TensorProto {
        name: name.clone(),
        data_type: STRING,
        ..TensorProto::default()
    });
    GraphProto {
        node: graph.nodes.iter().map(node).collect(),
        name: graph.name.clone(),
        initializer: graph
            .initializers
            .iter()
            .map(|(name, t)| tensor(name, t))
            .chain(unreadable)
            .collect(),
        input: graph.inputs.iter().map(value).collect(),
        output: graph.outputs.iter().map(value).collect(),
        value_info: graph.values.iter().map(value).collect(),
        ..GraphProto::default()
    }
}

fn function(function: &Function) -> FunctionProto {
    let opset = |version| OperatorSetId { domain: String::new(), version };
    FunctionProto {
        name: function.name.clone(),
        domain: function.domain.clone(),
        overload: function.overload.clone(),
        input: function.inputs.clone(),
        output: function.outputs.clone(),
        attribute_proto: function.defaults.iter().map(|(name, x)| attribute(name, x)).collect(),
        node: function.nodes.iter().map(node).collect(),
        opset_import: function.opset.map(opset).into_iter().collect(),
        ..FunctionProto::default()
    }
}

/// Builds a model step by step.
#[derive(Clone, Debug)]
pub struct ModelBuilder {
    model: Model,
    /// Constants of an element type of their own.
    integers: Vec<TensorProto>,
    domains: Vec<OperatorSetId>,
    metadata: Vec<StringEntry>,
}

impl ModelBuilder {
    /// An empty graph of that name, opset 17.
    pub fn new(name: &str) -> Self {
        let graph = Graph { name: name.to_owned(), ..Graph::default() };
        let producer = "fixedwise".to_owned();
        let model = Model { ir_version: 8, opset: 17, producer, functions: vec![], graph };
        Self { model, integers: vec![], domains: vec![], metadata: vec![] }
    }

    /// Sets the version of the file format.
    #[must_use]
    pub fn ir_version(mut self, version: i64) -> Self {
        self.model.ir_version = version;
        self
    }

    /// Sets what the file calls the program that wrote it.
    #[must_use]
    pub fn producer(mut self, name: &str) -> Self {
        name.clone_into(&mut self.model.producer);
        self
    }

    /// Names a further set of operators, with its version.
    #[must_use]
    pub fn domain(mut self, name: &str, version: i64) -> Self {
        self.domains.push(OperatorSetId { domain: name.to_owned(), version });
        self
    }

    /// Adds a line to what the file says of itself.
    #[must_use]
    pub fn metadata(mut self, key: &str, value: &str) -> Self {
        self.metadata.push(StringEntry { key: key.to_owned(), value: value.to_owned() });
        self
    }

    /// Adds a constant of integers, stored in elements of that type: 4 bits (two in a byte, the
    /// first in its lower half), 8, 16, 32 or 64 bits.
    ///
    /// # Panics
    /// Where `element` is no type of integers.
    #[must_use]
    pub fn integers(
        mut self,
        name: &str,
        element: ElementType,
        dims: &[usize],
        values: &[i64],
    ) -> Self {
        self.integers.push(TensorProto {
            dims: dims.iter().map(|&d| extent(d)).collect(),
            data_type: element.code(),
            name: name.to_owned(),
            raw_data: integer_bytes(element, values),
            ..TensorProto::default()
        });
        self
    }

    /// Sets the version of the default operator set.
    #[must_use]
    pub fn opset(mut self, opset: i64) -> Self {
        self.model.opset = opset;
        self
    }

    /// Adds an input of floats with fixed extents.
    #[must_use]
    pub fn input(self, name: &str, dims: &[usize]) -> Self {
        self.input_value(floats(name, dims))
    }

    /// Adds an input of any kind.
    #[must_use]
    pub fn input_value(mut self, value: ValueInfo) -> Self {
        self.model.graph.inputs.push(value);
        self
    }

    /// Adds an output of floats with fixed extents.
    #[must_use]
    pub fn output(self, name: &str, dims: &[usize]) -> Self {
        self.output_value(floats(name, dims))
    }

    /// Adds an output of any kind.
    #[must_use]
    pub fn output_value(mut self, value: ValueInfo) -> Self {
        self.model.graph.outputs.push(value);
        self
    }

    /// Adds a constant.
    #[must_use]
    pub fn initializer(mut self, name: &str, tensor: Tensor) -> Self {
        self.model.graph.initializers.push((name.to_owned(), tensor));
        self
    }

    /// Adds an operator that is defined by others.
    #[must_use]
    pub fn function(mut self, function: Function) -> Self {
        self.model.functions.push(function);
        self
    }

    /// Adds a node.
    #[must_use]
    pub fn node(mut self, node: Node) -> Self {
        self.model.graph.nodes.push(node);
        self
    }

    /// The model, without constants of an element type of their own, other domains and metadata.
    pub fn build(self) -> Model {
        self.model
    }

    /// The bytes of the model; nothing is checked.
    pub fn encode(&self) -> Vec<u8> {
        let mut proto = model_proto(&self.model);
        if let Some(graph) = &mut proto.graph {
            graph.initializer.extend(self.integers.iter().cloned());
        }
        proto.opset_import.extend(self.domains.iter().cloned());
        proto.metadata_props.clone_from(&self.metadata);
        proto.encode_to_vec()
    }
}

fn floats(name: &str, dims: &[usize]) -> ValueInfo {
    let dims = dims.iter().map(|&extent| Dim::Known(extent)).collect();
    ValueInfo { name: name.to_owned(), element_type: ElementType::F32, dims }
}

/// An extent that is too large for the file cannot come from a tensor in memory.
fn extent(x: usize) -> i64 {
    i64::try_from(x).unwrap_or(i64::MAX)
}

fn value(value: &ValueInfo) -> ValueInfoProto {
    let dim = |dim: &Dim| match dim {
        Dim::Known(x) => Dimension { dim_value: Some(extent(*x)), dim_param: None },
        Dim::Named(name) => Dimension { dim_value: None, dim_param: Some(name.clone()) },
        Dim::Unknown => Dimension::default(),
    };
    let shape = TensorShape { dim: value.dims.iter().map(dim).collect() };
    let tensor_type = TensorType { elem_type: value.element_type.code(), shape: Some(shape) };
    ValueInfoProto {
        name: value.name.clone(),
        r#type: Some(TypeProto { tensor: Some(tensor_type), ..TypeProto::default() }),
    }
}

fn node(node: &Node) -> NodeProto {
    NodeProto {
        input: node.inputs.clone(),
        output: node.outputs.clone(),
        name: node.name.clone(),
        op_type: node.op_type.clone(),
        attribute: node.attributes.iter().map(|(name, value)| attribute(name, value)).collect(),
        domain: node.domain.clone(),
        overload: node.overload.clone(),
    }
}

fn attribute(name: &str, value: &Attribute) -> AttributeProto {
    let mut proto = AttributeProto { name: name.to_owned(), ..AttributeProto::default() };
    proto.r#type = match value {
        Attribute::Float(x) => {
            proto.f = Some(*x);
            kind::FLOAT
        }
        Attribute::Int(x) => {
            proto.i = Some(*x);
            kind::INT
        }
        Attribute::String(x) => {
            proto.s = Some(x.clone().into_bytes());
            kind::STRING
        }
        Attribute::Tensor(x) => {
            proto.t = Some(tensor("", x));
            kind::TENSOR
        }
        Attribute::Floats(x) => {
            proto.floats.clone_from(x);
            kind::FLOATS
        }
        Attribute::Ints(x) => {
            proto.ints.clone_from(x);
            kind::INTS
        }
        Attribute::Strings(x) => {
            proto.strings = x.iter().map(|s| s.clone().into_bytes()).collect();
            kind::STRINGS
        }
        Attribute::Graph(x) => {
            proto.g = Some(Box::new(graph(x)));
            kind::GRAPH
        }
        Attribute::Reference(name) => {
            proto.ref_attr_name.clone_from(name);
            kind::UNDEFINED
        }
        // Its content was not kept.
        Attribute::Unsupported(_) => kind::TYPE_PROTO,
    };
    proto
}

fn tensor(name: &str, tensor: &Tensor) -> TensorProto {
    let (element, raw_data) = match &tensor.data {
        TensorData::F32(x) => (ElementType::F32, x.iter().flat_map(|x| x.to_le_bytes()).collect()),
        TensorData::I64(x) => (ElementType::I64, x.iter().flat_map(|x| x.to_le_bytes()).collect()),
    };
    TensorProto {
        dims: tensor.dims.iter().map(|&d| extent(d)).collect(),
        data_type: element.code(),
        name: name.to_owned(),
        raw_data,
        ..TensorProto::default()
    }
}

/// The low bytes of each integer; of 4 bits, two in a byte.
fn integer_bytes(element: ElementType, values: &[i64]) -> Vec<u8> {
    let bytes = match element {
        ElementType::U4 | ElementType::I4 => {
            let nibble = |x: i64| x.to_le_bytes()[0] & 0x0f;
            let pair = |pair: &[i64]| nibble(pair[0]) | pair.get(1).map_or(0, |&x| nibble(x) << 4);
            return values.chunks(2).map(pair).collect();
        }
        ElementType::U8 | ElementType::I8 => 1,
        ElementType::U16 | ElementType::I16 => 2,
        ElementType::U32 | ElementType::I32 => 4,
        ElementType::U64 | ElementType::I64 => 8,
        _ => panic!("{element} is not an integer type"),
    };
    values.iter().flat_map(|x| x.to_le_bytes().into_iter().take(bytes)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_packed() {
        for (element, values, expected) in [
            (ElementType::U4, &[1, 15, 7][..], &[0xf1, 0x07][..]),
            (ElementType::I4, &[-8, -1], &[0xf8]),
            (ElementType::I8, &[-127, 2], &[0x81, 2]),
            (ElementType::U16, &[0xabcd], &[0xcd, 0xab]),
            (ElementType::I32, &[-2], &[0xfe, 0xff, 0xff, 0xff]),
            (ElementType::I64, &[1], &[1, 0, 0, 0, 0, 0, 0, 0]),
        ] {
            assert_eq!(integer_bytes(element, values), expected, "{element}");
        }
    }
}
