//! Functions of one value: their tables against a reference that was rounded once, whatever a file writes
//! them with.

use fixedwise_codec::{
    keras,
    npz::{ArrayData, Npz},
    onnx::{self, ModelBuilder, Node, Tensor},
};
use fixedwise_fixed::{
    Format, Range, Rounding,
    convert::{exp2, f64_to_f32, f64_to_i64, i64_to_f64},
};
use fixedwise_graph::{
    AccumulatorPolicy, Activation, Binary, Expression, FixedGraph, Graph, LowerError, Plan,
    Semantics, Shape, Target, Unary, check_integer_forms,
    cost::{memory, not_held},
    footprint::Footprint,
    from_keras, from_onnx, lower,
    ops::{
        Add, Clip, FixedFunction, FixedPRelu, Function, GlobalAveragePool, LeakyRelu,
        LiftedFunction, MaxPool, Mul, PRelu, Pair, Relu, Sigmoid, Table,
    },
    passes,
};
use fixedwise_testing::{
    Build, Random, assert_close, plan_of, project, run_fixed, run_float, window,
};
use std::collections::{BTreeMap, BTreeSet};

/// A plan that gives each node with a format of its own that format, and weights 8 bits.
fn plan(graph: &Graph, input: Format, own: Format) -> Plan {
    let unsigned = Format::unsigned(own.bits, own.frac);
    let own =
        |node: &fixedwise_graph::Node| if node.op.is::<LiftedFunction>() { unsigned } else { own };
    Plan { input, ..plan_of(graph, Format::signed(8, 7), own) }
}

fn lowered(graph: &Graph, input: Format, own: Format) -> Result<FixedGraph, LowerError> {
    lower(graph, &plan(graph, input, own), AccumulatorPolicy::Prove32)
}

fn prepared(graph: &Graph) -> Graph {
    passes::prepare(graph, Semantics::Integer).unwrap()
}

fn read_onnx(model: &ModelBuilder) -> Graph {
    let file = onnx::parse_model(&model.encode(), &|_| Err("none".to_owned())).unwrap();
    from_onnx(&file, "model").unwrap()
}

/// A network of the function of that name: an ONNX operator with attributes, or one of Keras.
fn named(name: &str) -> Graph {
    if let Some(function) = name.strip_prefix("keras/") {
        return keras_activation(function, None);
    }
    let (operator, attributes) = name.split_once(':').unwrap_or((name, ""));
    let mut model = ModelBuilder::new("model").opset(24).input("x", &[1, 2, 4, 4]);
    let mut inputs = vec!["x"];
    let mut node_attributes = Vec::new();
    if operator == "Pow" {
        model = model.initializer("power", Tensor::floats(&[], vec![attributes.parse().unwrap()]));
        inputs.push("power");
    } else {
        node_attributes = attributes.split_terminator(';').collect();
    }
    let mut node = Node::new(operator, "function", &inputs, &["y"]);
    for attribute in node_attributes {
        let (key, value) = attribute.split_once('=').unwrap();
        node = match value.parse::<f32>() {
            Ok(number) => node.with(key, number),
            Err(_) => node.with(key, value),
        };
    }
    read_onnx(&model.node(node).output("y", &[1, 2, 4, 4]))
}

/// A network of one activation of Keras, saved by a version.
fn keras_activation(function: &str, version: Option<&str>) -> Graph {
    let layer = |class: &str, config: serde_json::Value, inputs: &[&str]| keras::Layer {
        name: class.to_owned(),
        class: class.to_owned(),
        config: config.as_object().unwrap().clone(),
        inputs: inputs.iter().map(|&input| input.to_owned()).collect(),
        ..keras::Layer::default()
    };
    let model = keras::Model {
        name: "model".to_owned(),
        version: version.map(str::to_owned),
        layers: vec![
            layer("InputLayer", serde_json::json!({ "batch_shape": [null, 4, 4, 2] }), &[]),
            layer("Activation", serde_json::json!({ "activation": function }), &["InputLayer"]),
        ],
        inputs: vec!["InputLayer".to_owned()],
        outputs: vec!["Activation".to_owned()],
    };
    from_keras(&model, "model").unwrap()
}

fn format(numbers: &[i64]) -> Format {
    let range = [Range::Unsigned, Range::Narrow, Range::Full][usize::try_from(numbers[2]).unwrap()];
    Format {
        bits: u8::try_from(numbers[0]).unwrap(),
        frac: i8::try_from(numbers[1]).unwrap(),
        range,
    }
}

/// The only function of a network in integers.
fn table(fixed: &FixedGraph) -> &Table {
    let mut tables = fixed.nodes.iter().filter_map(|node| node.op.get::<FixedFunction>());
    let function = tables.next().expect("there is a function");
    assert!(tables.next().is_none(), "there is one function");
    &function.table
}

#[test]
fn tables_are_rounded_once() {
    /// Where the function has no value.
    const NONE: i64 = -32_768;
    let bytes = std::fs::read(project("suite/functions.npz")).unwrap();
    let mut cases = Npz::open(&bytes, 1 << 24).unwrap();
    let mut read = |name: &str| match cases.read(name).unwrap().data {
        ArrayData::I64(data) => data,
        data => panic!("{name}: {data:?}"),
    };
    let formats = read("formats");
    let names: Vec<String> =
        Npz::open(&bytes, 1 << 24).unwrap().names().map(str::to_owned).collect();
    let mut functions = 0;
    for name in names.iter().filter(|name| *name != "formats") {
        let graph = prepared(&named(name));
        let expected = read(name);
        functions += 1;
        for (formats, expected) in formats.chunks_exact(6).zip(expected.chunks_exact(256)) {
            let (from, to) = (format(&formats[..3]), format(&formats[3..]));
            let integers = || (from.min()..=from.max()).zip(expected);
            let fixed = lowered(&graph, from, to);
            if integers().any(|(_, y)| *y == NONE) {
                let error = fixed.unwrap_err();
                assert!(matches!(error, LowerError::Undefined { .. }), "{name} {from}: {error}");
                continue;
            }
            let fixed = fixed.unwrap();
            for (x, y) in integers() {
                let got = table(&fixed).value(x);
                assert_eq!(got, *y, "{name}: {x} of {from} to {to}");
            }
        }
    }
    assert!(functions > 60, "{functions}");
}

/// `x * sigmoid(x)` and the like, each with its formula.
fn curves() -> Vec<Expression> {
    let x = Expression::x;
    vec![
        x() * x().then(Unary::Sigmoid),
        x().then(Unary::Tanh),
        x() * (x() + 3.0).clip(0.0, 6.0) / 6.0,
        x().then(Unary::Softplus),
        x().then(Unary::Exp),
        x().then(Unary::Abs).then(Unary::Sqrt),
        Expression::from(1.0) / x(),
        (x() * 40.0).then(Unary::Sin),
        x() * x().greater(0.7),
    ]
}

#[test]
fn wide_inputs_are_within_one_step() {
    for expression in curves() {
        for (from, to) in [
            (Format::signed(9, 5), Format::signed(8, 4)),
            (Format::full(12, 8), Format::unsigned(8, 6)),
            (Format::unsigned(13, 10), Format::signed(12, 9)),
            (Format::signed(16, 12), Format::signed(16, 12)),
            (Format::unsigned(15, 11), Format::unsigned(4, 1)),
        ] {
            let mut b = Build::new(Shape::new(1, 1, 2), 1);
            b.push("function", Function { expression: expression.clone() }, vec![0]);
            let fixed = lowered(&b.finish(), from, to).unwrap();
            let table = table(&fixed);
            for x in from.min()..=from.max() {
                let exact = expression.value(from.dequantize(x)) * exp2(to.frac.into());
                let exact = exact.clamp(i64_to_f64(to.min()), i64_to_f64(to.max()));
                let got = i64_to_f64(table.value(x));
                assert!(
                    (got - exact).abs() <= 1.0,
                    "{expression}: {x} of {from} is {exact} of {to}, not {got}"
                );
            }
        }
    }
}

/// Smooth functions take few entries, rough ones an entry for each integer; flash counts them.
#[test]
fn tables_are_as_small_as_they_may_be() {
    let x = Expression::x;
    let target = Target::default();
    for (expression, from, to, is_lines, most) in [
        (x().then(Unary::Tanh), Format::signed(16, 12), Format::signed(8, 7), true, 129),
        (x().then(Unary::Tanh), Format::signed(16, 12), Format::signed(16, 14), true, 1025),
        (x() * 0.3, Format::signed(12, 8), Format::signed(8, 4), true, 10),
        (x() * x().greater(0.7), Format::signed(9, 5), Format::signed(8, 4), false, 511),
        (x().then(Unary::Tanh), Format::signed(8, 4), Format::signed(8, 7), false, 255),
        (x().then(Unary::Tanh), Format::unsigned(4, 1), Format::signed(8, 7), false, 16),
    ] {
        let mut b = Build::new(Shape::new(1, 1, 2), 1);
        b.push("function", Function { expression: expression.clone() }, vec![0]);
        let fixed = lowered(&b.finish(), from, to).unwrap();
        let (lines, entries) = match table(&fixed) {
            Table::Entries(entries) => (false, entries.values.len()),
            Table::Lines(lines) => (true, lines.values.len()),
        };
        assert!(lines == is_lines && entries <= most, "{expression}: {lines} {entries}");
        let bytes = Footprint::new(&fixed, &target).constant_bytes;
        let entries = u64::try_from(entries).unwrap();
        assert!((entries..=4 * entries).contains(&bytes), "{expression}: {bytes} of {entries}");
    }
}

#[test]
fn what_has_no_value_is_refused_by_name() {
    let x = Expression::x;
    let log = Function { expression: x().then(Unary::Log) };
    let mut b = Build::new(Shape::new(1, 1, 2), 1);
    b.push("log", log.clone(), vec![0]);
    let error = lowered(&b.finish(), Format::signed(8, 4), Format::signed(8, 4)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "node `log`: log(x) has no value for inputs from -7.9375 to -0.0625, which the format of \
         its input, BW=8 F=4 ap_fixed<8,4>, contains; put a ReLU or a Clip before it in the model, \
         or, where the input is never negative, give it a format without sign"
    );
    // A ReLU before it makes them impossible, whatever format the plan gives; of 0 it is the least.
    let mut b = Build::new(Shape::new(1, 1, 2), 1);
    let dense = b.gemm("dense", 0, 3);
    let relu = b.push("relu", Relu, vec![dense]);
    b.push("log", log, vec![relu]);
    let graph = prepared(&b.finish());
    for bits in [8, 12] {
        let own = Format::signed(bits, 4);
        let fixed = lowered(&graph, Format::signed(8, 4), own).unwrap();
        assert_eq!([0, 16].map(|x| table(&fixed).value(x)), [own.min(), 0]);
    }
}

/// `PRelu` whose slopes have that shape, on an image of 2 x 3 pixels and 3 channels.
fn prelu(dims: &[usize], slopes: Vec<f32>) -> Graph {
    read_onnx(
        &ModelBuilder::new("model")
            .input("x", &[1, 3, 2, 3])
            .initializer("slopes", Tensor::floats(dims, slopes))
            .node(Node::new("PRelu", "prelu", &["x", "slopes"], &["y"]))
            .output("y", &[1, 3, 2, 3]),
    )
}

#[test]
fn slopes_of_any_shape_are_read() {
    let three = || vec![0.25, -0.5, 2.0];
    for dims in [&[3, 1, 1][..], &[1, 3, 1, 1]] {
        let graph = prelu(dims, three());
        assert_eq!(graph.nodes[1].op.get(), Some(&PRelu { slopes: three() }), "{dims:?}");
    }
    for dims in [&[1, 1, 1][..], &[1], &[]] {
        let graph = prelu(dims, vec![0.25]);
        assert_eq!(graph.nodes[1].op.get(), Some(&LeakyRelu { alpha: 0.25 }), "{dims:?}");
    }
    // An element each, given channels first; the last axis alone is the columns.
    let slopes: Vec<f32> = (0..18_u8).map(f32::from).collect();
    let graph = prelu(&[3, 2, 3], slopes);
    let own = graph.nodes[1].op.get::<PRelu>().unwrap();
    assert_eq!(own.slopes[..7], [0.0, 6.0, 12.0, 1.0, 7.0, 13.0, 2.0]);
    let y = run_float(&graph, &[-1.0; 18]);
    assert_eq!(y.iter().map(|y| -y).collect::<Vec<_>>(), own.slopes);
    let graph = prelu(&[3], three());
    let own = graph.nodes[1].op.get::<PRelu>().unwrap();
    assert_eq!(own.slopes[..6], [0.25, 0.25, 0.25, -0.5, -0.5, -0.5]);
}

/// Every integer is the rounded product of its slope, which is kept to two bits more than the output has.
#[test]
fn products_with_slopes_are_rounded_once() {
    let slopes = vec![0.01, -0.25, 1.5, 1e-9, 3000.0, 0.0, 0.999_99];
    for (from, to) in [
        (Format::signed(8, 4), Format::signed(8, 6)),
        (Format::full(8, 2), Format::signed(16, 12)),
        (Format::signed(16, 10), Format::signed(8, 3)),
    ] {
        for rounding in Rounding::ALL {
            let mut b = Build::new(Shape::new(2, 1, 7), 1);
            b.push("prelu", PRelu { slopes: slopes.clone() }, vec![0]);
            let graph = b.finish();
            let others = BTreeMap::from([("prelu".to_owned(), to)]);
            let plan = Plan { rounding, others, ..plan(&graph, from, to) };
            let fixed = lower(&graph, &plan, AccumulatorPolicy::Prove32).unwrap();
            let own = fixed.nodes[1].op.get::<FixedPRelu>().unwrap();
            let mut image = Random::new(4).floats(14, -1.0, 1.0);
            let reach = f64_to_f32(from.dequantize(from.max()));
            image.iter_mut().for_each(|x| *x *= reach);
            let values = run_fixed(&fixed, &image);
            for (i, (&x, &y)) in values[0].iter().zip(&values[1]).enumerate() {
                let slope = if x < 0 { f64::from(slopes[i % 7]) } else { 1.0 };
                let exact = from.dequantize(x) * slope * exp2(to.frac.into());
                let kept = &own.slopes[i % 7];
                let bits = i32::from(to.bits) + 2;
                let lost = if x < 0 { exact.abs() * exp2(-bits) } else { 0.0 };
                let rounded = |x: f64| match rounding {
                    Rounding::Floor => x.floor(),
                    _ => x.round_ties_even(),
                };
                let ends = [rounded(exact - lost - 1e-9), rounded(exact + lost + 1e-9)];
                let [low, high] = ends.map(|end| to.saturate(f64_to_i64(end)));
                assert!((low..=high).contains(&y), "{x} by {kept:?}: {y} is not {exact}");
            }
        }
    }
}

/// A network of a spelling of a function, whose constants are scalars, between two layers.
fn spelled(nodes: &[(&str, &[&str])]) -> Graph {
    let mut model = ModelBuilder::new("model")
        .opset(20)
        .input("image", &[1, 2, 4, 4])
        .initializer("w", Tensor::floats(&[2, 2, 1, 1], vec![0.9, -0.4, 0.3, 1.7]))
        .initializer("v", Tensor::floats(&[2, 2, 1, 1], vec![0.5, 0.25, -1.0, 0.75]))
        .node(Node::new("Conv", "first", &["image", "w"], &["x"]));
    let numbers: BTreeSet<&str> = nodes.iter().flat_map(|(_, inputs)| *inputs).copied().collect();
    for name in numbers {
        if let Ok(number) = name.parse::<f32>() {
            model = model.initializer(name, Tensor::floats(&[], vec![number]));
        }
    }
    for (i, (operator, inputs)) in nodes.iter().enumerate() {
        let output = if i + 1 == nodes.len() { "y".to_owned() } else { format!("t{i}") };
        model = model.node(Node::new(operator, &format!("{operator}_{i}"), inputs, &[&output]));
    }
    let last = Node::new("Conv", "last", &["y", "v"], &["z"]);
    read_onnx(&model.node(last).output("z", &[1, 2, 4, 4]))
}

/// The operators between the two layers after the passes, and that they compute the same.
fn between(graph: &Graph) -> (Vec<&'static str>, Graph) {
    let fused = prepared(graph);
    let image = Random::new(3).floats(32, -4.0, 4.0);
    assert_close("fused", &run_float(&fused, &image), &run_float(graph, &image), 2e-6);
    let names = fused.nodes.iter().map(|node| node.op.name()).collect::<Vec<_>>();
    (names[2..names.len() - 1].to_vec(), fused)
}

/// Operators with their inputs, one after the other.
type Spelling = &'static [(&'static str, &'static [&'static str])];

/// Nodes on `x` and on one another (`t0` is the first) that are the function of a name.
const SPELLINGS: &[(&str, Spelling)] = &[
    ("Swish", &[("Sigmoid", &["x"]), ("Mul", &["x", "t0"])]),
    ("Swish", &[("Sigmoid", &["x"]), ("Mul", &["t0", "x"])]),
    (
        "HardSwish",
        &[
            ("Add", &["x", "3"]),
            ("Clip", &["t0", "0", "6"]),
            ("Mul", &["x", "t1"]),
            ("Div", &["t2", "6"]),
        ],
    ),
    (
        "HardSwish",
        &[
            ("Add", &["3", "x"]),
            ("Clip", &["t0", "0", "6"]),
            ("Div", &["t1", "6"]),
            ("Mul", &["t2", "x"]),
        ],
    ),
    ("Mish", &[("Softplus", &["x"]), ("Tanh", &["t0"]), ("Mul", &["x", "t1"])]),
    (
        "Mish",
        &[
            ("Exp", &["x"]),
            ("Add", &["t0", "1"]),
            ("Log", &["t1"]),
            ("Tanh", &["t2"]),
            ("Mul", &["x", "t3"]),
        ],
    ),
    (
        "Gelu",
        &[
            ("Div", &["x", "1.4142135381698608"]),
            ("Erf", &["t0"]),
            ("Add", &["t1", "1"]),
            ("Mul", &["x", "t2"]),
            ("Mul", &["t3", "0.5"]),
        ],
    ),
    (
        "Gelu",
        &[
            ("Mul", &["x", "0.5"]),
            ("Mul", &["x", "0.7071067690849304"]),
            ("Erf", &["t1"]),
            ("Add", &["1", "t2"]),
            ("Mul", &["t0", "t3"]),
        ],
    ),
    (
        "Gelu:approximate=tanh",
        &[
            ("Pow", &["x", "3"]),
            ("Mul", &["t0", "0.044715"]),
            ("Add", &["x", "t1"]),
            ("Mul", &["t2", "0.7978845608"]),
            ("Tanh", &["t3"]),
            ("Add", &["t4", "1"]),
            ("Mul", &["x", "t5"]),
            ("Mul", &["t6", "0.5"]),
        ],
    ),
    ("Softsign", &[("Abs", &["x"]), ("Add", &["t0", "1"]), ("Div", &["x", "t1"])]),
    ("Pow:2", &[("Mul", &["x", "x"])]),
    (
        "Softplus",
        &[
            ("Exp", &["x"]),
            ("Add", &["t0", "1"]),
            ("Log", &["t1"]),
            ("Greater", &["x", "20"]),
            ("Where", &["t3", "x", "t2"]),
        ],
    ),
    ("ThresholdedRelu", &[("LessOrEqual", &["x", "1"]), ("Where", &["t0", "0", "x"])]),
    (
        "Shrink",
        &[
            ("Greater", &["x", "0.5"]),
            ("Less", &["x", "-0.5"]),
            ("Or", &["t0", "t1"]),
            ("Where", &["t2", "x", "0"]),
        ],
    ),
    (
        "Pow:2",
        &[
            ("GreaterOrEqual", &["x", "0"]),
            ("Not", &["t0"]),
            ("And", &["t0", "t1"]),
            ("Where", &["t2", "x", "x"]),
            ("Mul", &["t3", "x"]),
        ],
    ),
];

#[test]
fn every_spelling_becomes_one_function() {
    let (from, to) = (Format::signed(8, 4), Format::signed(8, 4));
    for (name, nodes) in SPELLINGS {
        let (operators, mut fused) = between(&spelled(nodes));
        assert_eq!(operators, ["Function"], "{nodes:?}");
        // The layer behind lets some of them be lifted; here the table of the function alone counts.
        for node in &mut fused.nodes {
            if let Some(LiftedFunction { expression, .. }) = node.op.get().cloned() {
                node.op = Function { expression }.into();
            }
        }
        let fixed = lowered(&fused, from, to).unwrap();
        let expected = lowered(&prepared(&named(name)), from, to).unwrap();
        assert_eq!(table(&fixed), table(&expected), "{nodes:?}");
    }
}

/// What a layer computes itself, or what costs nothing, is no table.
#[test]
fn what_needs_no_table_stays() {
    // The larger of a value and a part of it is a leaky ReLU, inside the layer.
    for nodes in [
        &[("Mul", &["x", "0.25"][..]), ("Max", &["x", "t0"][..])][..],
        &[("Mul", &["0.25", "x"]), ("Max", &["t0", "x"])],
        &[("Relu", &["x"])],
        &[("Clip", &["x", "-1", "2"])],
        &[("LeakyRelu", &["x"])],
    ] {
        let (operators, fused) = between(&spelled(nodes));
        assert_eq!(operators, Vec::<&str>::new(), "{nodes:?}");
        assert_ne!(fused.nodes[1].activation, Activation::None, "{nodes:?}");
    }
    for (nodes, expected) in [
        // Scales and shifts go into layers; a sum of two values stays one.
        (&[("Mul", &["x", "3"][..]), ("Relu", &["t0"]), ("Add", &["t1", "0.5"])][..], &[][..]),
        (&[("Relu", &["x"]), ("Add", &["t0", "x"])], &["Relu", "Add"]),
        (&[("LeakyRelu", &["x"]), ("Clip", &["t0", "-0.01", "2"])], &["Clip"]),
        // A value that is needed elsewhere stays a value; the functions behind it take it.
        (
            &[
                ("Relu", &["x"]),
                ("Sigmoid", &["t0"]),
                ("Mul", &["t0", "t1"]),
                ("Add", &["t2", "t0"]),
            ],
            &["Function"],
        ),
        (&[("Exp", &["x"]), ("Sin", &["x"]), ("Add", &["t0", "t1"])], &["Function"]),
    ] {
        assert_eq!(between(&spelled(nodes)).0, expected, "{nodes:?}");
    }
    // Behind a pool no layer computes two activations: they are one table.
    let mut b = Build::new(Shape::new(4, 4, 2), 1);
    let y = b.push("pool", MaxPool { window: window(2, 2, 0), minimum: vec![] }, vec![0]);
    let y = b.push("leaky", LeakyRelu { alpha: 0.25 }, vec![y]);
    let y = b.push("clip", Clip { min: -0.5, max: 3.0 }, vec![y]);
    // A gate of one pixel is no element of the image.
    let y = b.push("tanh", Function { expression: Expression::x().then(Unary::Tanh) }, vec![y]);
    let mean = b.push("mean", GlobalAveragePool, vec![y]);
    let gate = b.push("gate", Sigmoid, vec![mean]);
    b.push("gated", Mul, vec![y, gate]);
    let fused = prepared(&b.finish());
    let names: Vec<&str> = fused.nodes.iter().map(|node| node.op.name()).collect();
    assert_eq!(names, ["Input", "MaxPool", "Function", "GlobalAveragePool", "Sigmoid", "Mul"]);
    // A sigmoid that only ends a classifier is left out, whatever stands before it.
    let mut b = Build::new(Shape::new(4, 4, 2), 1);
    let y = b.push("mean", GlobalAveragePool, vec![0]);
    let y = b.gemm("dense", y, 3);
    let tanh = Function { expression: Expression::x().then(Unary::Tanh) };
    let y = b.push("tanh", tanh, vec![y]);
    b.push("sigmoid", Sigmoid, vec![y]);
    let fused = prepared(&b.finish());
    assert_eq!(fused.nodes.last().unwrap().name, "tanh");
    let table = fused.nodes.last().unwrap().op.get::<Function>().unwrap();
    assert_eq!(table.expression.to_string(), "tanh(x)");
}

/// A choice of two values that are no functions of one is computed in float, and has no integers.
#[test]
fn choices_of_two_values_have_floats_alone() {
    let mut b = Build::new(Shape::new(2, 1, 2), 1);
    let mean = b.push("mean", GlobalAveragePool, vec![0]);
    let larger = b.push("larger", Pair { function: Binary::Greater }, vec![0, mean]);
    b.push("chosen", Pair { function: Binary::If }, vec![larger, 0]);
    let graph = prepared(&b.finish());
    assert_eq!(run_float(&graph, &[1.0, 5.0, 3.0, -4.0]), [0.0, 5.0, 3.0, 0.0]);
    let error = check_integer_forms(&graph).unwrap_err().to_string();
    assert!(error.contains("`larger`") && error.contains("`chosen`"), "{error}");
}

/// Keras 3 changed what `hard_sigmoid` is; a file says which version saved it.
#[test]
fn hard_sigmoids_are_those_of_their_version() {
    for (version, expected) in
        [(None, 4.0 / 6.0), (Some("3.15.1"), 4.0 / 6.0), (Some("2.15.0"), 0.7), (Some("1.2"), 0.7)]
    {
        let y = run_float(&keras_activation("hard_sigmoid", version), &[1.0; 32]);
        assert_close(version.unwrap_or("no version"), &y, &[expected; 32], 1e-6);
    }
}

/// A convolution, hard-swish, another convolution; with the layer's value taken by one more where it is asked.
fn swish_network(is_shared: bool) -> Graph {
    let mut b = Build::new(Shape::new(6, 6, 3), 4);
    let x = b.conv("first", 0, 8, &window(3, 1, 1), 1);
    let y = b.push("swish", named_function("HardSwish"), vec![x]);
    let z = b.conv("second", y, 8, &window(1, 1, 0), 1);
    b.push("last", Add, vec![z, if is_shared { x } else { y }]);
    b.finish()
}

fn named_function(name: &str) -> Function {
    let graph = prepared(&named(name));
    let found = graph.nodes.iter().find_map(|node| node.op.get::<Function>());
    found.unwrap().clone()
}

#[test]
fn what_a_function_takes_alone_lies_nowhere() {
    let values = 6 * 6 * 8;
    let of = |graph: &Graph, own: Format| {
        let plan = plan(graph, Format::unsigned(8, 8), own);
        let not_held = not_held(graph, &plan).unwrap();
        let names = graph.nodes.iter().zip(not_held).filter(|(_, not_held)| *not_held);
        let names: Vec<String> = names.map(|(node, _)| node.name.clone()).collect();
        (names, memory(graph, &plan).unwrap())
    };
    let graph = prepared(&swish_network(false));
    assert!(graph.nodes.iter().any(|node| node.op.is::<Function>()), "{:?}", graph.nodes);
    let (names, narrow) = of(&graph, Format::signed(5, 2));
    assert_eq!(names, ["first"]);
    // Hard-swish, and the sum inside the second layer; other tools store four values.
    assert_eq!(narrow.activations, 2 * values * 5);
    assert_eq!(narrow.fused, 2 * values * 8);
    let (_, eight) = of(&graph, Format::signed(8, 4));
    assert_eq!(eight.uniform8, narrow.uniform8);
    // A table for more bits is read from memory.
    let (names, wide) = of(&graph, Format::signed(9, 4));
    assert_eq!(names, Vec::<String>::new());
    assert_eq!(wide.activations, 3 * values * 9);
    assert_eq!((wide.fused, wide.uniform8), (values * 8, narrow.uniform8));
    // Nor is one inner that something else takes, or that is a result.
    let shared = prepared(&swish_network(true));
    let (names, memory) = of(&shared, Format::signed(8, 4));
    assert_eq!((names, memory.activations), (vec![], 3 * values * 8));
    let mut told = graph;
    told.set_outputs(&[told.output(), told.find("first").unwrap()]);
    let (names, memory) = of(&told, Format::signed(8, 4));
    assert_eq!((names, memory.activations), (vec![], 3 * values * 8));
}

#[test]
fn a_function_takes_no_memory_behind_a_layer() {
    let peak = |has_function: bool| {
        let mut b = Build::new(Shape::new(12, 12, 3), 4);
        let mut x = 0;
        for (i, channels) in [8, 24, 6].into_iter().enumerate() {
            x = b.conv(&format!("layer_{i}"), x, channels, &window(3, 1, 1), 1);
            if has_function {
                x = b.push(&format!("swish_{i}"), named_function("HardSwish"), vec![x]);
            }
        }
        let graph = prepared(&b.finish());
        let fixed = lowered(&graph, Format::unsigned(8, 8), Format::signed(8, 4)).unwrap();
        Footprint::new(&fixed, &Target::default()).ram_bytes
    };
    // Three nodes more; each takes 4 bytes that say which of its rows are held.
    let (with, without) = (peak(true), peak(false));
    assert!(with <= (without + 3 * 4).next_multiple_of(8), "{with}, {without}");
}
