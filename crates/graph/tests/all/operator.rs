//! An operator that no file of the product knows goes the whole way, and what operators say about their
//! inputs is kept to.

use fixedwise_fixed::{Format, Rounding, convert::f64_to_f32};
use fixedwise_graph::{
    Activation, Context, Edge, EmitError, Factor, FixedOp, FloatStep, FormatRule, Graph,
    LowerContext, LowerError, Op, Operator, Parameters, ParametersMut, Plan, Quantizer, ScaleShift,
    Semantics, Shape, Target, cost, emit,
    footprint::{Footprint, ValueMemory},
    lower,
    ops::{Affine, Conv, Pad, Relu, Window},
    passes,
    run::{Program, ValueRef, Workspace},
};
use fixedwise_kernels::Kernels;
use fixedwise_testing::{
    Build, Core, Emitted, FixedMean, Mean, assert_close, integers_of, run_fixed, run_float, window,
};
use std::io::Read;

/// Two branches of which the mean is taken, normalization before it and an activation after it.
fn branches() -> Graph {
    let mut b = Build::new(Shape::new(6, 5, 3), 9);
    let left = b.conv("left", 0, 4, &window(3, 1, 1), 1);
    let left = b.push("left_relu", Relu, vec![left]);
    let left = b.affine("left_bn", left);
    let right = b.conv("right", 0, 4, &window(1, 1, 0), 1);
    let mean = b.push("mean", Mean, vec![left, right]);
    let mean = b.push("mean_relu", Relu, vec![mean]);
    b.conv("last", mean, 2, &window(3, 2, 1), 1);
    b.finish()
}

fn images(graph: &Graph, n: usize) -> Vec<Vec<f32>> {
    let mut random = fixedwise_testing::Random::new(4);
    (0..n).map(|_| random.floats(graph.input_shape().len(), 0.0, 255.0)).collect()
}

/// Every node's values.
fn all_floats(graph: &Graph, image: &[f32]) -> Vec<Vec<f32>> {
    let program = Program::float(graph, Kernels::best());
    let all: Vec<usize> = (0..graph.nodes.len()).collect();
    let schedule = program.schedule(&[], &all);
    let mut values = vec![Vec::new(); graph.nodes.len()];
    program.run_observed(&schedule, &mut Workspace::new(), image, &[], |id, value| {
        if let ValueRef::F32(x) = value {
            values[id] = x.to_vec();
        }
    });
    values
}

/// The JSON of an `.npz` archive, whatever the width of its characters.
fn description(archive: &[u8]) -> String {
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(archive)).unwrap();
    let mut bytes = Vec::new();
    archive.by_name("fixedwise.npy").unwrap().read_to_end(&mut bytes).unwrap();
    bytes.retain(|&byte| byte != 0);
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn an_operator_that_no_other_file_knows_goes_the_whole_way() {
    let float = branches();
    let graph = passes::prepare(&float, Semantics::Integer).unwrap();
    let images = images(&graph, 4);
    let mean = graph.find("mean").unwrap();
    let [a, b] = graph.nodes[mean].inputs[..] else { panic!("it takes two values") };

    // Passes: the activation joined it, what was normalized stands before it, the result stays.
    assert_eq!(graph.nodes[mean].activation, Activation::Relu);
    assert!(!graph.nodes.iter().any(|node| node.op.is::<Affine>()));
    let simulated = passes::prepare(&float, Semantics::Simulated).unwrap();
    for image in &images {
        let expected = run_float(&float, image);
        assert_close("integer passes", &run_float(&graph, image), &expected, 1e-5);
        assert_close("simulated passes", &run_float(&simulated, image), &expected, 1e-5);
    }
    let values = all_floats(&graph, &images[0]);
    let means = values[a].iter().zip(&values[b]).map(|(a, b)| ((a + b) / 2.0).max(0.0));
    assert_close("the mean", &values[mean], &means.collect::<Vec<_>>(), 1e-6);
    // Its value is nonnegative by its activation; its inputs are not, and may not be scaled.
    assert!(graph.nonnegative(|_| true)[mean] && !graph.nonnegative(|_| true)[b]);
    assert!(!passes::equalizable(&graph)[a] && !passes::equalizable(&graph)[b]);

    // Integers: formats from what was seen, each element what the operation says.
    let fixed = integers_of(&graph, &images, |_| [8, 8]);
    let operation = fixed.nodes[mean].op.get::<FixedMean>().unwrap();
    assert!(fixed.nodes[mean].accumulator_bits >= 9);
    for image in &images {
        let integers = run_fixed(&fixed, image);
        let pairs = integers[a].iter().zip(&integers[b]);
        assert_eq!(integers[mean], pairs.map(|(&a, &b)| operation.of(a, b)).collect::<Vec<_>>());
        let step = fixed.nodes[fixed.output()].format.resolution();
        let result = integers[fixed.output()].iter().map(|&q| f64::from(i32::try_from(q).unwrap()));
        let result: Vec<f32> = result.map(|q| f64_to_f32(q * step)).collect();
        assert_close("integers", &result, &run_float(&graph, image), 0.1);
    }

    // C on this machine, under sanitizers, value by value.
    if Core::Host.is_available() {
        let emitted = Emitted::new(Core::Host, &fixed, &emit::c::COptions::new("net"), true);
        emitted.unwrap().assert_equals(&fixed, &images);
    }
    // The archive describes it; forms that do not know it say so by name.
    let text = description(&emit::npz::emit(&fixed).unwrap());
    assert!(text.contains("\"op\":\"mean\"") && text.contains("\"shifts\":["), "{text}");
    let refusals = [
        emit::onnx::emit(&fixed).map(drop),
        emit::qonnx::emit(&fixed).map(drop),
        emit::hls::emit(&fixed, "net").map(drop),
    ];
    for (refusal, form) in refusals.into_iter().zip(["onnx", "qonnx", "hls"]) {
        match refusal {
            Err(EmitError::Operation { node, operation, form: found }) => {
                assert_eq!((node.as_str(), operation, found), ("mean", "mean", form));
            }
            other => panic!("{form}: {other:?}"),
        }
    }
}

/// 8 bits for every tensor that has a format of its own.
fn plan(graph: &Graph) -> Plan {
    let activation = Format::signed(8, 0);
    let is_other = |node: &&fixedwise_graph::Node| node.op.has_own_format() && !node.op.is_layer();
    Plan {
        semantics: Semantics::Integer,
        quantizer: Quantizer::Uniform,
        rounding: Rounding::TiesUp,
        input: Format::unsigned(8, 0),
        layers: graph
            .layers()
            .map(|(_, node)| fixedwise_graph::LayerPlan {
                name: node.name.clone(),
                weights: Some(Format::signed(8, 7)),
                bias: None,
                activation: Some(activation),
            })
            .collect(),
        rounded: std::collections::BTreeMap::new(),
        thinned: None,
        others: graph.nodes.iter().filter(is_other).map(|n| (n.name.clone(), activation)).collect(),
    }
}

#[test]
fn a_format_of_its_own_is_asked_for_counted_and_stored() {
    let graph = passes::prepare(&branches(), Semantics::Integer).unwrap();
    let mean = graph.find("mean").unwrap();
    let wide = plan(&graph);
    assert_eq!(wide.others.keys().collect::<Vec<_>>(), ["mean"]);

    let mut narrow = wide.clone();
    narrow.others.insert("mean".to_owned(), Format::signed(5, 0));
    let [of_wide, of_narrow] = [&wide, &narrow].map(|plan| cost::memory(&graph, plan).unwrap());
    let elements = u64::try_from(graph.nodes[mean].shape.len()).unwrap();
    assert_eq!(of_wide.activations - of_narrow.activations, 3 * elements);
    // The last layer multiplies the mean's bits.
    let [wide_cost, narrow_cost] =
        [&wide, &narrow].map(|plan| cost::multiplications(&graph, plan).unwrap().operand);
    assert_eq!(wide_cost - narrow_cost, 3 * 8 * graph.node_macs(graph.output()));

    let target = Target::default();
    let policy = fixedwise_graph::AccumulatorPolicy::Prove32;
    let fixed = lower(&graph, &wide, policy).unwrap();
    assert!(Footprint::new(&fixed, &target).ram_bytes > 0);
    let memory = ValueMemory::of(&graph, &target).unwrap().of_plan(&graph, &wide).unwrap();
    assert!(memory.offsets[mean].is_some());

    let missing = Plan { others: std::collections::BTreeMap::new(), ..wide };
    match lower(&graph, &missing, policy) {
        Err(LowerError::MissingFormat { node, .. }) => assert_eq!(node, "mean"),
        other => panic!("{other:?}"),
    }
}

/// A dense layer over each pixel, with a value added to its sums.
#[derive(Clone, Debug, PartialEq)]
struct Joined {
    weights: Vec<f32>,
    bias: Vec<f32>,
}

impl Operator for Joined {
    fn name(&self) -> &'static str {
        "Joined"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let [x, residual] = inputs else { return Err("takes two values".to_owned()) };
        let value = Shape::new(x.h, x.w, self.bias.len());
        if value == *residual { Ok(value) } else { Err("must have its own extents".to_owned()) }
    }

    fn prepare_float(&self, context: &Context, _: &'static Kernels) -> FloatStep {
        let (op, activation) = (self.clone(), context.activation);
        Box::new(move |inputs, y, _| {
            let (channels, depth) = (op.bias.len(), op.weights.len() / op.bias.len());
            for (i, y) in y.iter_mut().enumerate() {
                let (pixel, o) = (i / channels, i % channels);
                let x = &inputs[0][pixel * depth..][..depth];
                let row = &op.weights[o * depth..][..depth];
                let sum: f32 = row.iter().zip(x).map(|(w, x)| w * x).sum();
                *y = activation.apply(sum + op.bias[o] + inputs[1][i]);
            }
        })
    }

    fn lower(&self, context: &LowerContext) -> Result<FixedOp, LowerError> {
        Err(context.not_legal(self.name(), "the tests run it in float only"))
    }

    fn format_rule(&self) -> FormatRule {
        FormatRule::Own
    }

    fn is_nonnegative(&self, _: bool) -> bool {
        false
    }

    fn edge(&self, input: usize) -> Edge {
        if input == 0 { Edge::Main } else { Edge::Residual }
    }

    fn factor(&self, input: usize, _: &[Shape], _: Shape) -> Factor {
        if input == 0 { Factor::Absorbed } else { Factor::Refused }
    }

    fn unscaled(&self, before: &[Option<&ScaleShift>], _: &[Shape], _: Shape) -> Option<Op> {
        let before = before[0]?;
        let mut op = self.clone();
        let depth = before.scale.len();
        for (row, b) in op.weights.chunks_exact_mut(depth).zip(&mut op.bias) {
            *b = before.absorb(0..depth, row, *b);
        }
        Some(op.into())
    }

    fn parameters(&self) -> Option<Parameters<'_>> {
        Some(Parameters {
            window: Window::pixel(),
            groups: 1,
            channels: self.bias.len(),
            weights: &self.weights,
            bias: &self.bias,
            tap_bias: &[],
        })
    }

    fn parameters_mut(&mut self) -> Option<ParametersMut<'_>> {
        Some(ParametersMut { weights: &mut self.weights, bias: &mut self.bias, tap_bias: &mut [] })
    }

    fn takes_activation(&self) -> bool {
        true
    }
}

#[test]
fn a_value_that_is_added_to_a_layer_is_neither_dropped_nor_scaled() {
    let mut b = Build::new(Shape::new(4, 3, 3), 17);
    let skip = b.conv("skip", 0, 5, &window(1, 1, 0), 1);
    let skip = b.push("skip_relu", Relu, vec![skip]);
    let skip = b.affine("skip_bn", skip);
    let main = b.conv("main", 0, 4, &window(1, 1, 0), 1);
    let main = b.push("main_relu", Relu, vec![main]);
    let main = b.affine("main_bn", main);
    let joined =
        Joined { weights: b.random.floats(20, -0.5, 0.5), bias: b.random.floats(5, -0.5, 0.5) };
    let joined = b.push("joined", joined, vec![main, skip]);
    let joined = b.affine("joined_bn", joined);
    b.conv("last", joined, 2, &window(1, 1, 0), 1);
    let float = b.finish();
    let graph = passes::prepare(&float, Semantics::Integer).unwrap();
    for image in images(&float, 3) {
        let expected = run_float(&float, &image);
        assert_close("passes", &run_float(&graph, &image), &expected, 1e-5);
    }
    let find = |name: &str| graph.find(name).unwrap();
    let joined = &graph.nodes[find("joined")];
    // The weights took up what stood before the main value; what is added became a convolution.
    assert_eq!(joined.inputs, [find("main"), find("skip_bn")]);
    assert_eq!(joined.main_input(), find("main"));
    assert!(graph.nodes[find("skip_bn")].op.is::<Conv>());

    // The weights of `joined` take up factors of `main`; nothing takes up those of `skip_bn`. Its own
    // channels may not be scaled, since what is added would not be.
    let free = passes::equalizable(&graph);
    let names = ["main", "skip", "skip_bn", "joined", "last"];
    assert_eq!(names.map(|name| free[find(name)]), [true, true, false, false, false]);
    let scales = graph.nodes.iter().zip(free).map(|(node, is_free)| {
        let channels = if is_free { node.shape.c } else { 0 };
        (0..channels).map(|c| [0.5, 2.0, 4.0][c % 3]).collect()
    });
    let equalized = passes::equalize(&graph, &scales.collect::<Vec<Vec<f32>>>());
    for image in images(&float, 3) {
        assert_eq!(run_float(&equalized, &image), run_float(&graph, &image));
    }
}

#[test]
fn a_pad_of_what_is_added_to_a_layer_stays() {
    let mut b = Build::new(Shape::new(4, 3, 3), 2);
    let main = b.push("pad_main", Pad { begin: [1, 0], end: [0, 0], value: 0.0 }, vec![0]);
    let side = b.push("pad_side", Pad { begin: [1, 0], end: [0, 0], value: 0.0 }, vec![0]);
    let joined =
        Joined { weights: b.random.floats(9, -0.5, 0.5), bias: b.random.floats(3, -0.5, 0.5) };
    b.push("joined", joined, vec![main, side]);
    let float = b.finish();
    let graph = passes::prepare(&float, Semantics::Integer).unwrap();
    let image = &images(&float, 1)[0];
    assert_eq!(run_float(&graph, image), run_float(&float, image));
}

#[test]
fn clones_of_an_operator_share_until_one_changes() {
    let one = Op::from(Affine { scale: vec![1.0], shift: vec![2.0] });
    let mut other = one.clone();
    assert_eq!(one, other);
    other.get_mut::<Affine>().unwrap().shift[0] = 3.0;
    assert_eq!(one.get::<Affine>().unwrap().shift, [2.0]);
    assert!(one != other && other.get_mut::<Relu>().is_none() && !one.is::<Relu>());
    assert_ne!(Op::from(Relu), one);
    assert_eq!(other.name(), "Affine");
}
