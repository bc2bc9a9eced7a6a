//! The whole way of a model's bytes: import, passes, lowering and one run. Refused with an error on the way, or
//! a network of which every table of kernels computes the same integers, each within its format.

use fixedwise_codec::{onnx, tflite};
use fixedwise_fixed::{
    Format, Range, Rounding,
    convert::{count_to_f64, f64_to_f32, i64_to_f64},
};
use fixedwise_graph::{
    AccumulatorPolicy, FixedGraph, Graph, Interface, LayerPlan, Plan, Quantizer, Semantics,
    check_integer_forms, from_onnx, from_tflite, lower, passes,
    run::{Program, ValueRef, Workspace},
};
use fixedwise_kernels::Kernels;
use std::collections::BTreeMap;

/// Elements of all values of a network, at most, for an image to go through.
const ELEMENTS: usize = 1 << 14;

/// Multiplications of a network, at most, for an image to go through.
const MACS: u64 = 1 << 18;

/// How far bytes came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reached {
    /// They are no model.
    Nothing,
    /// They are a model, but no network.
    Model,
    /// They are a network that is too large to run here.
    LargeNetwork,
    /// They are a network without integers: it has no integer form, values that are not finite, or sums that
    /// cannot be proved.
    Network,
    /// They are a network whose integers were computed.
    Integers,
}

/// Sends a model's bytes the whole way.
///
/// # Panics
/// Where two tables of kernels differ, or an integer is outside its format.
pub fn whole_way(bytes: &[u8]) -> Reached {
    let graph = if bytes.get(4..8) == Some(b"TFL3") {
        let Ok(model) = tflite::parse_model(bytes) else { return Reached::Nothing };
        from_tflite(&model, "fuzz", &Interface::default())
    } else {
        let Ok(model) = onnx::parse_model(bytes, &|_| Ok(vec![0; 64])) else {
            return Reached::Nothing;
        };
        from_onnx(&model, "fuzz")
    };
    let Ok(graph) = graph else { return Reached::Model };
    let elements =
        graph.nodes.iter().try_fold(0_usize, |sum, node| sum.checked_add(node.shape.len()));
    if elements.is_none_or(|elements| elements > ELEMENTS) || graph.macs() > MACS {
        return Reached::LargeNetwork;
    }
    let graph = passes::prepare(&graph, Semantics::Integer).expect("every pass leaves a graph");
    let _ = check_integer_forms(&graph);
    // Of a network whose integers have a form, a plan that depends on the bytes has one or is refused.
    let choice = usize::from(bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)));
    let image: Vec<f32> = (0..graph.image_len())
        .map(|i| f64_to_f32(count_to_f64((i * 37 + choice) % 256) / 256.0))
        .collect();
    let Some(plan) = plan(&graph, &image, choice) else { return Reached::Network };
    let policy = if choice.is_multiple_of(3) {
        AccumulatorPolicy::Prove32
    } else {
        AccumulatorPolicy::Widen
    };
    let Ok(fixed) = lower(&graph, &plan, policy) else { return Reached::Network };
    let expected = integers(&fixed, &image, Kernels::best());
    for kernels in Kernels::all().filter(|kernels| kernels.name != Kernels::best().name) {
        assert!(integers(&fixed, &image, kernels) == expected, "{} differs", kernels.name);
    }
    for (node, values) in fixed.nodes.iter().zip(&expected) {
        let (least, most) = (node.format.min(), node.format.max());
        assert!(
            values.iter().all(|x| (least..=most).contains(x)),
            "`{}` leaves its format",
            node.name
        );
    }
    Reached::Integers
}

/// Formats that clip nothing of what the float network computes on the image, of 8 bits for the choice 0; `None` where
/// that is not finite.
pub fn plan(graph: &Graph, image: &[f32], choice: usize) -> Option<Plan> {
    let largest = |values: &[f32]| values.iter().fold(0.0_f32, |max, x| max.max(x.abs()));
    let mut ranges = vec![[0.0_f32; 2]; graph.nodes.len()];
    let program = Program::float(graph, Kernels::best());
    let all: Vec<usize> = (0..graph.nodes.len()).collect();
    let schedule = program.schedule(&[], &all);
    let mut is_finite = true;
    program.run_observed(&schedule, &mut Workspace::new(), image, &[], |id, value| {
        let ValueRef::F32(values) = value else { panic!("a float program has float values") };
        for &x in values {
            is_finite &= x.is_finite();
            ranges[id] = [ranges[id][0].min(x), ranges[id][1].max(x)];
        }
    });
    if !is_finite {
        return None;
    }
    let bits = [8, 8, 4, 8, 2, 15, 8, 12][choice % 8];
    let mut layers = Vec::new();
    let mut others = BTreeMap::new();
    for (id, node) in graph.nodes.iter().enumerate() {
        let range = if ranges[id][0] < 0.0 { Range::Narrow } else { Range::Unsigned };
        let format = format(bits, range, largest(&ranges[id]));
        if node.op.is_layer() {
            layers.push(LayerPlan {
                name: node.name.clone(),
                weights: node.op.weights().map(|w| self::format(bits, Range::Narrow, largest(w))),
                bias: None,
                activation: Some(format),
            });
        } else if node.op.has_own_format() {
            others.insert(node.name.clone(), format);
        }
    }
    Some(Plan {
        semantics: Semantics::Integer,
        quantizer: Quantizer::Uniform,
        rounding: if choice.is_multiple_of(2) { Rounding::TiesUp } else { Rounding::TiesEven },
        input: format(8, Range::Unsigned, 1.0),
        layers,
        rounded: BTreeMap::new(),
        thinned: None,
        others,
    })
}

/// The format with the finest binary point that reaches `largest`.
fn format(bits: u8, range: Range, largest: f32) -> Format {
    let format = Format { bits, frac: 0, range };
    let reach = i64_to_f64(format.max().max(1)) / f64::from(largest.max(1e-6));
    let frac = (-40_i8..40).rev().find(|&frac| f64::from(frac) <= reach.log2());
    Format { frac: frac.unwrap_or(0), ..format }
}

/// The integers of every node.
pub fn integers(fixed: &FixedGraph, image: &[f32], kernels: &'static Kernels) -> Vec<Vec<i64>> {
    let program = Program::fixed(fixed, kernels);
    let all: Vec<usize> = (0..fixed.nodes.len()).collect();
    let schedule = program.schedule(&[], &all);
    let mut values = vec![Vec::new(); fixed.nodes.len()];
    program.run_observed(&schedule, &mut Workspace::new(), image, &[], |id, value| {
        values[id] = value.integers();
    });
    values
}
