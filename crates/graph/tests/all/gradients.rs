//! The backward pass of every operator against finite differences of its float step, on the networks of the suite.

use fixedwise_codec::onnx;
use fixedwise_fixed::{
    Format,
    convert::{f64_to_f32, i64_to_f64},
};
use fixedwise_graph::{
    AccumulatorPolicy, Activation, Binary, Context, Expression, Gradients, Graph, Node, NodeId,
    ParametersMut, Semantics, Unary, backward_step, from_onnx, lower,
    ops::{Clip, LeakyRelu, Window},
    passes,
    run::{Differentiable, Program, ValueRef, Workspace},
};
use fixedwise_kernels::{Kernels, Scratch};
use fixedwise_testing::{Build, Random, by_channel, plan_of, project};
use std::{collections::BTreeSet, io::Read};

/// How far to either side.
const STEP: f32 = 1.0 / 512.0;

/// A direction of the numbers of a layer's bias.
struct BiasDirection {
    bias: Vec<f32>,
    tap_bias: Vec<f32>,
    /// What they come to, `[class of positions, output channel]`; empty of what is no layer.
    by_class: Vec<f32>,
}

impl BiasDirection {
    fn new(graph: &Graph, id: NodeId, values: &mut impl FnMut(usize) -> Vec<f32>) -> Self {
        let mut op = graph.nodes[id].op.clone();
        let Some(own) = op.parameters_mut() else {
            return Self { bias: vec![], tap_bias: vec![], by_class: vec![] };
        };
        let (bias, tap_bias) = (values(own.bias.len()), values(own.tap_bias.len()));
        own.bias.copy_from_slice(&bias);
        own.tap_bias.copy_from_slice(&tap_bias);
        let by_class = op.parameters().map_or_else(Vec::new, |own| {
            own.border_bias(graph.input_shapes(id)[0], graph.nodes[id].shape).values
        });
        Self { bias, tap_bias, by_class: by_class.into_iter().map(f64_to_f32).collect() }
    }

    fn go(&self, numbers: &mut ParametersMut, by: f32) {
        numbers.bias.iter_mut().zip(&self.bias).for_each(|(b, d)| *b += by * d);
        numbers.tap_bias.iter_mut().zip(&self.tap_bias).for_each(|(b, d)| *b += by * d);
    }
}

/// What one direction gives: the change of a weighted sum of results by the float step, that by the gradients, and
/// the most that it could be.
fn compare(graph: &Graph, id: NodeId, seed: u64) -> Option<[f64; 3]> {
    let node = &graph.nodes[id];
    let context = Context {
        inputs: graph.input_shapes(id),
        output: node.shape,
        activation: Activation::None,
    };
    let kernels = Kernels::best();
    let backward = backward_step(&node.op, &context, kernels)?;
    let mut random = Random::new(seed);
    let mut values = |n: usize| random.floats(n, -1.0, 1.0);
    let inputs: Vec<Vec<f32>> = context.inputs.iter().map(|shape| values(shape.len())).collect();
    let along: Vec<Vec<f32>> = context.inputs.iter().map(|shape| values(shape.len())).collect();
    let weights = values(node.shape.len());
    let along_weights = values(node.op.weights().map_or(0, <[f32]>::len));
    let bias = BiasDirection::new(graph, id, &mut values);

    let sum = |by: f32| -> f64 {
        let mut op = node.op.clone();
        if let Some(mut own) = op.parameters_mut() {
            own.weights.iter_mut().zip(&along_weights).for_each(|(w, d)| *w += by * d);
            bias.go(&mut own, by);
        }
        let moved: Vec<Vec<f32>> = inputs
            .iter()
            .zip(&along)
            .map(|(x, d)| x.iter().zip(d).map(|(x, d)| x + by * d).collect())
            .collect();
        let moved: Vec<&[f32]> = moved.iter().map(Vec::as_slice).collect();
        let mut y = vec![0.0; node.shape.len()];
        op.prepare_float(&context, kernels)(&moved, &mut y, &mut Scratch::new());
        y.iter().zip(&weights).map(|(y, w)| f64::from(*y) * f64::from(*w)).sum()
    };
    let difference = (sum(STEP) - sum(-STEP)) / (2.0 * f64::from(STEP));

    let mut to: Vec<Vec<f32>> = inputs.iter().map(|x| vec![0.0; x.len()]).collect();
    let (mut dw, mut db) = (vec![0.0; along_weights.len()], vec![0.0; bias.by_class.len()]);
    let mut gradients = Gradients {
        inputs: to.iter_mut().map(|to| Some(to.as_mut_slice())).collect(),
        weights: &mut dw,
        bias: &mut db,
    };
    let taken: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
    backward(&taken, &weights, &mut gradients);
    let (mut slope, mut most) = (0.0, 0.0);
    let pairs = to.iter().zip(&along).chain([(&dw, &along_weights), (&db, &bias.by_class)]);
    for (g, d) in pairs.flat_map(|(g, d)| g.iter().zip(d)) {
        let product = f64::from(*g) * f64::from(*d);
        slope += product;
        most += product.abs();
    }
    Some([difference, slope, most])
}

/// Whether a function jumps: its derivative says nothing of that.
fn jumps(expression: &Expression) -> bool {
    match expression {
        Expression::Argument(_) | Expression::Constant(_) => false,
        Expression::Unary(Unary::Ceil | Unary::Floor | Unary::Round | Unary::Sign, _)
        | Expression::Binary(Binary::Greater | Binary::If | Binary::Unless, _) => true,
        Expression::Unary(_, a) => jumps(a),
        Expression::Binary(_, operands) => operands.iter().any(jumps),
    }
}

/// Whether one of a few directions agrees: a kink between both sides of one is chance.
fn check(graph: &Graph, id: NodeId, name: &str) -> bool {
    let mut seen = Vec::new();
    for seed in 1..=6 {
        let Some([difference, slope, most]) = compare(graph, id, seed) else { return false };
        // Where there is no value, as of the logarithm of a negative number, there is no derivative.
        if !difference.is_finite() {
            return true;
        }
        if (difference - slope).abs() <= 0.01 * (most + 0.05) {
            return true;
        }
        seen.push([difference, slope, most]);
    }
    panic!("{name}, node `{}` ({}): {seen:?}", graph.nodes[id].name, graph.nodes[id].op.name());
}

#[test]
fn gradients_are_those_of_the_float_network() {
    let archive = std::fs::File::open(project("suite/onnx-node.zip")).unwrap();
    let mut archive = zip::ZipArchive::new(archive).unwrap();
    let names: Vec<String> = archive.file_names().map(|name| name.unwrap().to_string()).collect();
    let (mut checked, mut unknown) = (BTreeSet::new(), BTreeSet::new());
    let mut nodes = 0;
    for name in names.iter().filter(|name| name.ends_with("/model.onnx")) {
        let mut bytes = Vec::new();
        archive.by_name(name).unwrap().read_to_end(&mut bytes).unwrap();
        let Ok(graph) =
            from_onnx(&onnx::parse_model(&bytes, &|_| Ok(vec![0; 64])).unwrap(), "case")
        else {
            continue;
        };
        let prepared = passes::prepare(&graph, Semantics::Integer).unwrap();
        for graph in [&graph, &prepared] {
            for (id, node) in graph.nodes.iter().enumerate() {
                let is_small = node.shape.len() <= 4096;
                let smooth = node.op.as_element_function().is_none_or(|function| !jumps(&function));
                if node.inputs.is_empty() || !is_small || !smooth {
                    continue;
                }
                if check(graph, id, name) {
                    checked.insert(node.op.name());
                    nodes += 1;
                } else {
                    unknown.insert(node.op.name());
                }
            }
        }
    }
    println!("{nodes} nodes of {checked:?}");
    assert!(nodes > 500 && checked.len() > 25, "{nodes} nodes of {checked:?}");
    // No integers are made of it: it ends networks, and is left out.
    assert_eq!(unknown.into_iter().collect::<Vec<_>>(), ["LogSoftmax"]);
}

/// Networks of many operators, with layers behind all of them.
fn networks() -> Vec<Graph> {
    let built = [Build::operators(), Build::pairs(), Build::attention(), Build::normalizations()];
    built
        .into_iter()
        .map(|(mut b, x)| {
            let leaky = b.push("leaky_last", LeakyRelu { alpha: 0.25 }, vec![x]);
            let clip = b.push("clip_last", Clip { min: -0.5, max: 6.0 }, vec![leaky]);
            let c = b.shape(clip).c;
            b.conv("last", clip, c, &Window::pixel(), 1);
            passes::prepare(&b.finish(), Semantics::Integer).unwrap()
        })
        .collect()
}

fn images(graph: &Graph, n: usize, range: f32) -> Vec<Vec<f32>> {
    let mut random = Random::new(99);
    (0..n).map(|_| random.floats(graph.image_len(), 0.0, range)).collect()
}

#[test]
fn the_network_that_is_trained_is_that_of_the_executor() {
    let kernels = Kernels::best();
    for graph in networks() {
        let differentiable = Differentiable::new(&graph, kernels).unwrap();
        for bits in [2, 5] {
            let own = |node: &Node| {
                Format::signed(bits + 1, i8::from(node.shape.len().is_multiple_of(2)))
            };
            let mut plan = plan_of(&graph, Format::signed(bits, 2), own);
            by_channel(&graph, &mut plan);
            let images = images(&graph, 3, 4.0);
            let images: Vec<&[f32]> = images.iter().map(Vec::as_slice).collect();
            let outputs = differentiable.network(&plan).unwrap().outputs(&images);
            let fixed = lower(&graph, &plan, AccumulatorPolicy::Widen).unwrap();
            let program = Program::fixed(&fixed, kernels);
            let schedule = program.schedule(&[], program.outputs());
            let mut workspace = Workspace::new();
            for (output, &id) in outputs.iter().zip(program.outputs()) {
                let step = fixed.nodes[id].format.resolution();
                let len = fixed.nodes[id].shape.len();
                for (image, output) in images.iter().zip(output.chunks_exact(len)) {
                    program.run(&schedule, &mut workspace, image, &[]);
                    let integers = program.value(&schedule, &workspace, id).integers();
                    for (integer, &value) in integers.into_iter().zip(output) {
                        let integer = f64_to_f32(i64_to_f64(integer) * step);
                        assert_eq!(integer.to_bits(), value.to_bits(), "{bits}");
                    }
                }
            }
        }
    }
}

#[test]
fn gradients_of_fine_integers_are_those_of_the_float_network() {
    let kernels = Kernels::best();
    let mut classes = 0;
    for graph in networks() {
        let differentiable = Differentiable::new(&graph, kernels).unwrap();
        let images = images(&graph, 2, 1.0);
        let images: Vec<&[f32]> = images.iter().map(Vec::as_slice).collect();
        let output = graph.output();
        let len = graph.nodes[output].shape.len();
        let weights = Random::new(5).floats(len * images.len(), -1.0, 1.0);
        // Of a graph with other numbers, the weighted sum of all results.
        let float = |graph: &Graph| -> f64 {
            let program = Program::float(graph, kernels);
            let schedule = program.schedule(&[], &[output]);
            let mut workspace = Workspace::new();
            let of = |(image, weights): (&&[f32], &[f32])| {
                program.run(&schedule, &mut workspace, image, &[]);
                let ValueRef::F32(y) = program.value(&schedule, &workspace, output) else {
                    unreachable!()
                };
                y.iter().zip(weights).map(|(y, w)| f64::from(y * w)).sum::<f64>()
            };
            images.iter().zip(weights.chunks_exact(len)).map(of).sum()
        };
        let plan = plan_of(&graph, Format::signed(16, 12), |_| Format::signed(16, 10));
        let gradients =
            differentiable.network(&plan).unwrap().run(&images, |_| vec![weights.clone()]);
        for (id, node) in graph.layers() {
            let n = node.op.weights().unwrap().len();
            let along = Random::new(7).floats(n, -1.0, 1.0);
            let mut random = Random::new(8);
            let bias = BiasDirection::new(&graph, id, &mut |n| random.floats(n, -1.0, 1.0));
            classes = classes.max(bias.by_class.len() / node.shape.c);
            let moved = |by: f32| {
                let mut graph = graph.clone();
                let mut own = graph.nodes[id].op.parameters_mut().unwrap();
                own.weights.iter_mut().zip(&along).for_each(|(w, d)| *w += by * d);
                bias.go(&mut own, by);
                float(&graph)
            };
            let difference = (moved(1e-3) - moved(-1e-3)) / 2e-3;
            let own = &gradients[id];
            let products =
                own.weights.iter().zip(&along).chain(own.bias.iter().zip(&bias.by_class));
            let products: Vec<f64> = products.map(|(g, d)| f64::from(g * d)).collect();
            let slope: f64 = products.iter().sum();
            let size = products.iter().map(|p| p * p).sum::<f64>().sqrt();
            assert!(
                (difference - slope).abs() < 0.1 * size + 0.02 * slope.abs() + 0.02,
                "{}: {difference} {slope} {size}",
                node.name
            );
        }
    }
    assert_eq!(classes, 9, "no bias depends on the border");
}
