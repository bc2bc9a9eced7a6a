//! Running a graph on one image.

use crate::Random;
use fixedwise_fixed::{Format, convert::f64_to_f32};
use fixedwise_graph::{
    FixedGraph, Graph,
    run::{Program, ValueRef, Workspace},
};
use fixedwise_kernels::Kernels;

/// The float result.
///
/// # Panics
/// Where the image does not fit the graph.
pub fn run_float(graph: &Graph, image: &[f32]) -> Vec<f32> {
    let program = Program::float(graph, Kernels::best());
    let schedule = program.schedule(&[], &[graph.output()]);
    let mut workspace = Workspace::new();
    program.run(&schedule, &mut workspace, image, &[]);
    match program.value(&schedule, &workspace, graph.output()) {
        ValueRef::F32(x) => x.to_vec(),
        ValueRef::Integers(_) => panic!("a float program has float values"),
    }
}

/// The integers of every node, by one table of kernels.
///
/// # Panics
/// Where the image does not fit the graph.
pub fn run_fixed_on(fixed: &FixedGraph, image: &[f32], kernels: &'static Kernels) -> Vec<Vec<i64>> {
    let program = Program::fixed(fixed, kernels);
    let all: Vec<usize> = (0..fixed.nodes.len()).collect();
    let schedule = program.schedule(&[], &all);
    let mut workspace = Workspace::new();
    let mut values = vec![Vec::new(); fixed.nodes.len()];
    program.run_observed(&schedule, &mut workspace, image, &[], |id, value| match value {
        ValueRef::Integers(x) => values[id] = (0..x.len()).map(|i| x.get(i)).collect(),
        ValueRef::F32(_) => panic!("an integer program has integer values"),
    });
    values
}

/// The integers of every node, equal for every table of kernels this machine has.
///
/// # Panics
/// Where two tables differ.
#[track_caller]
pub fn run_fixed(fixed: &FixedGraph, image: &[f32]) -> Vec<Vec<i64>> {
    let mut results =
        Kernels::all().map(|kernels| (kernels.name, run_fixed_on(fixed, image, kernels)));
    let (first, expected) = results.next().expect("there is always a table");
    for (name, values) in results {
        for (node, (a, b)) in fixed.nodes.iter().zip(values.iter().zip(&expected)) {
            assert_eq!(a, b, "node `{}`: {name} differs from {first}", node.name);
        }
    }
    expected
}

/// The integer network is close to the float one on an image in steps of 1/64.
///
/// # Panics
/// Where it is not, within `tolerance` of the range of the float result.
#[track_caller]
pub fn assert_follows(fixed: &FixedGraph, graph: &Graph, tolerance: f32) {
    let image: Vec<f32> = Random::new(8)
        .floats(graph.input_shape().len(), 0.0, 3.9)
        .iter()
        .map(|&x| f64_to_f32(Format::unsigned(8, 6).round(f64::from(x))))
        .collect();
    let values = run_fixed(fixed, &image);
    let format = fixed.nodes[fixed.output()].format;
    let got: Vec<f32> =
        values[fixed.output()].iter().map(|&q| f64_to_f32(format.dequantize(q))).collect();
    assert_close("the integers", &got, &run_float(graph, &image), tolerance);
}

/// Both are equal to within `tolerance` of the range of `expected`.
///
/// # Panics
/// Where they are not.
#[track_caller]
pub fn assert_close(what: &str, got: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(got.len(), expected.len(), "{what}: number of elements");
    let range = expected.iter().fold(1e-6_f32, |m, x| m.max(x.abs()));
    for (i, (&a, &b)) in got.iter().zip(expected).enumerate() {
        assert!(
            (a - b).abs() <= tolerance * range,
            "{what}: element {i} is {a}, expected {b} (range {range})"
        );
    }
}
