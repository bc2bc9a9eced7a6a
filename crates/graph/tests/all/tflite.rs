//! TensorFlow Lite files give what its interpreter gives, and damaged ones are refused.

use fixedwise_codec::{
    npz::{ArrayData, Npz},
    onnx::{ElementType, TensorData},
    tflite::{self, TfliteError},
};
use fixedwise_graph::{
    Graph, ImportError, Interface, Semantics, from_tflite, ops::IndexMap, passes,
};
use fixedwise_testing::{Random, assert_close, project, run_float};

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(project(&format!("suite/tflite/{name}"))).unwrap()
}

fn read(name: &str) -> Graph {
    let model = tflite::parse_model(&bytes(&format!("{name}.tflite"))).unwrap();
    from_tflite(&model, name, &Interface::default())
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn floats(file: &[u8], name: &str) -> Vec<f32> {
    match Npz::open(file, 1 << 28).unwrap().read(name).unwrap().data {
        ArrayData::F32(data) => data,
        other => panic!("{name} is {other:?}"),
    }
}

/// The largest difference to the interpreter's results, and the size of a step of these where they are integers.
fn largest_difference(name: &str) -> (f32, f32) {
    let graph = read(name);
    let file = bytes(&format!("{name}.npz"));
    let (x, y) = (floats(&file, "x"), floats(&file, "y"));
    let images = x.chunks_exact(graph.input_shape().len());
    let each = y.len() / images.len();
    let mut largest = 0.0_f32;
    for (image, expected) in images.zip(y.chunks_exact(each)) {
        let output = &graph.outputs()[0];
        let found =
            output.in_order_of_file(graph.nodes[output.node].shape, &run_float(&graph, image));
        assert_eq!(found.len(), each, "{name}");
        for (a, b) in found.iter().zip(expected) {
            largest = largest.max((a - b).abs());
        }
    }
    (largest, floats(&file, "step")[0])
}

#[test]
fn what_was_rounded_before_is_known() {
    let weights = |graph: &Graph| -> Vec<(u8, bool)> {
        graph.rounded_before().weights.keys().map(|how| (how.bits, how.by_channel)).collect()
    };
    let float = read("layers_float");
    assert!(float.rounded_before().is_empty());
    // Its weights alone are integers.
    let dynamic = read("layers_dynamic");
    assert!(!weights(&dynamic).is_empty() && dynamic.rounded_before().values.is_empty());
    for name in ["layers_int8", "branches_int8", "gates_int8"] {
        let graph = read(name);
        assert!(weights(&graph).contains(&(8, true)), "{name}: {:?}", weights(&graph));
        let prepared = passes::prepare(&graph, Semantics::Integer).unwrap();
        let rounded = prepared.rounded_before();
        for (id, layer) in prepared.layers() {
            // Or a node that only moves its elements.
            let mut at = id;
            let value = loop {
                if let Some(value) = rounded.values.get(&prepared.nodes[at].name) {
                    break value;
                }
                let mut users = prepared.nodes.iter();
                let user = users.position(|n| n.inputs == [at] && n.op.is::<IndexMap>());
                at = user.unwrap_or_else(|| panic!("{name}: `{}` has a range", layer.name));
            };
            assert!(value.bits == 8 && value.range[0] < value.range[1], "{value:?}");
        }
    }
}

#[test]
fn files_give_what_the_interpreter_gives() {
    for name in ["layers_float", "layers_f16", "branches_float", "gates_float"] {
        let (difference, _) = largest_difference(name);
        assert!(difference <= 1e-5, "{name}: {difference}");
    }
    // The interpreter rounds what the layers take to 8 bits.
    let (difference, _) = largest_difference("layers_dynamic");
    assert!(difference <= 0.01, "{difference}");
    for name in ["layers_int8", "branches_int8", "gates_int8"] {
        let (difference, step) = largest_difference(name);
        assert!(difference <= 4.0 * step, "{name}: {difference}, steps of {step}");
    }
}

#[test]
fn names_are_those_of_the_converter_without_what_it_fused() {
    let graph = read("branches_float");
    for node in &graph.nodes {
        assert!(!node.name.contains(';') && !node.name.is_empty(), "{}", node.name);
    }
}

#[test]
fn damaged_files_are_refused_or_run() {
    let good = bytes("branches_int8.tflite");
    let mut random = Random::new(5);
    let mut read = 0;
    let mut check = |bytes: &[u8]| {
        if let Ok(model) = tflite::parse_model(bytes)
            && let Ok(graph) = from_tflite(&model, "g", &Interface::default())
            && graph.input_shape().len() < 10_000
        {
            read += 1;
        }
    };
    for end in (0..good.len()).step_by(7) {
        check(&good[..end]);
    }
    for _ in 0..1500 {
        let mut bytes = good.clone();
        for _ in 0..=random.below(3) {
            let at = random.below(bytes.len());
            bytes[at] = u8::try_from(random.below(256)).unwrap();
        }
        check(&bytes);
    }
    assert!(read > 0, "some damage must leave a file readable");
}

#[test]
fn constants_whose_copies_have_other_extents_are_refused() {
    let mut model = tflite::parse_model(&bytes("layers_f16.tflite")).unwrap();
    let copy = model.operators.iter().find(|operator| operator.name == "DEQUANTIZE").unwrap();
    let copied = copy.outputs[0];
    model.tensors[copied].shape[0] = Some(1000);
    let error = from_tflite(&model, "g", &Interface::default()).unwrap_err().to_string();
    assert!(error.contains("must be a constant"), "{error}");
}

#[test]
fn what_a_file_is_not_is_said() {
    let refused = |bytes: &[u8]| tflite::parse_model(bytes).unwrap_err();
    assert!(matches!(refused(b""), TfliteError::Buffer { .. }));
    assert!(matches!(refused(b"\x1c\0\0\0ORTM...."), TfliteError::NotAModel));
    let good = bytes("branches_float.tflite");
    assert!(matches!(refused(&good[..40]), TfliteError::Buffer { .. }));
    let mut model = tflite::parse_model(&good).unwrap();
    for (operator, name) in model.operators.iter_mut().zip(["TFLite_Detection", "SVDF", "RNN"]) {
        name.clone_into(&mut operator.name);
        operator.is_custom = name.starts_with("TFL");
    }
    let error = from_tflite(&model, "g", &Interface::default()).unwrap_err();
    let ImportError::Several { errors, .. } = &error else { panic!("{error}") };
    assert_eq!(errors.len(), 3, "{error}");
    assert!(error.to_string().contains("SVDF"), "{error}");
}

#[test]
fn a_choice_between_values_is_a_function() {
    let tensor = |name: &str, element, shape: &[usize], data| tflite::Tensor {
        name: name.to_owned(),
        shape: shape.iter().map(|&extent| Some(extent)).collect(),
        element,
        quantization: None,
        data,
    };
    let computed = |name: &str, element| tensor(name, element, &[1, 4], None);
    let operator = |name: &str, inputs: &[usize], output: usize| tflite::Operator {
        name: name.to_owned(),
        is_custom: false,
        inputs: inputs.iter().map(|&input| Some(input)).collect(),
        outputs: vec![output],
        options: tflite::Options::default(),
    };
    let zero = Some(TensorData::F32(vec![0.0]));
    let model = tflite::Model {
        description: String::new(),
        tensors: vec![
            computed("x", ElementType::F32),
            tensor("zero", ElementType::F32, &[], zero),
            computed("is_above", ElementType::Bool),
            computed("e", ElementType::F32),
            computed("y", ElementType::F32),
        ],
        inputs: vec![0],
        outputs: vec![4],
        operators: vec![
            operator("GREATER", &[0, 1], 2),
            operator("EXP", &[0], 3),
            operator("SELECT_V2", &[2, 0, 3], 4),
        ],
    };
    let graph = from_tflite(&model, "choice", &Interface::default()).unwrap();
    let image = [-1.0_f32, 0.0, 0.5, 2.0];
    let expected = image.map(|x| if x > 0.0 { x } else { x.exp() });
    assert_close("choice", &run_float(&graph, &image), &expected, 1e-6);
}
