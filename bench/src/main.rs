//! Images per second of the float and the integer executor on one model, as JSON lines that
//! `run.sh` sets beside ONNX Runtime's.
//!
//! `fixedwise-bench MODEL.onnx [THREADS [best]]`; fixed images, formats by range, every kernel table
//! or the best one alone. `fixedwise-bench MODEL.onnx layers` prints the time of each kind of layer
//! beside what the instructions allow.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "a program that prints figures")]

use anyhow::{Context, Result, anyhow};
use fixedwise_codec::onnx;
use fixedwise_fixed::{Format, Range, Rounding, convert::count_to_f64};
use fixedwise_graph::{
    AccumulatorPolicy, Graph, LayerPlan, Plan, Quantizer, Semantics, from_onnx, lower,
    ops::Affine,
    passes,
    run::{Program, Workspace},
};
use fixedwise_kernels::Kernels;
use fixedwise_search::format_no_clip;
use rayon::prelude::*;
use std::time::Instant;

mod layers;

/// Several passes of about so many seconds are made, and the best counts.
const PASS_SECONDS: f64 = 0.15;
const PASSES: usize = 3;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments
        .next()
        .ok_or_else(|| anyhow!("usage: fixedwise-bench MODEL.onnx [layers | THREADS [best]]"))?;
    let threads = arguments.next().unwrap_or_else(|| "2".to_owned());
    let by_layer = threads == "layers";
    let threads: usize = if by_layer { 1 } else { threads.parse()? };
    let only_best = arguments.next().is_some_and(|text| text == "best");
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    let bytes = std::fs::read(&path).with_context(|| format!("cannot read `{path}`"))?;
    let model = onnx::parse_model(&bytes, &|_| Err("no external data here".to_owned()))?;
    let graph = from_onnx(&model, &path)?;
    let scaled = |&input: &usize| {
        let channels = graph.nodes[input].shape.c;
        Affine { scale: vec![1.0 / 255.0; channels], shift: vec![0.0; channels] }
    };
    let scaled = graph.inputs().iter().map(scaled).collect();
    let graph = passes::insert_preprocessing(&graph, scaled)?;
    if by_layer {
        let kernels = Kernels::best();
        let simulated = passes::prepare(&graph, Semantics::Simulated)?;
        layers::print("float", &simulated, &Program::float(&simulated, kernels), kernels);
        let prepared = passes::prepare(&graph, Semantics::Integer)?;
        let fixed = lower(&prepared, &plan(&prepared, 8, 8), AccumulatorPolicy::Widen)?;
        layers::print("integer8", &prepared, &Program::fixed(&fixed, kernels), kernels);
        return Ok(());
    }
    for kernels in Kernels::all().take(if only_best { 1 } else { usize::MAX }) {
        let float = Program::float(&passes::prepare(&graph, Semantics::Simulated)?, kernels);
        report("float", kernels, &float, threads);
        let prepared = passes::prepare(&graph, Semantics::Integer)?;
        for (name, weight_bits, activation_bits) in [("integer8", 8, 8), ("integer12", 12, 12)] {
            let plan = plan(&prepared, weight_bits, activation_bits);
            let fixed = lower(&prepared, &plan, AccumulatorPolicy::Widen)?;
            report(name, kernels, &Program::fixed(&fixed, kernels), threads);
        }
    }
    Ok(())
}

/// Formats of plausible magnitude: the time does not depend on the values.
fn plan(graph: &Graph, weight_bits: u8, activation_bits: u8) -> Plan {
    let nonnegative = graph.nonnegative(|_| true);
    let activation = |id: usize| {
        let frac = i8::try_from(activation_bits).unwrap_or(i8::MAX) - 3;
        if nonnegative[id] {
            Format::unsigned(activation_bits, frac)
        } else {
            Format::signed(activation_bits, frac)
        }
    };
    let layer = |(id, node): (usize, &fixedwise_graph::Node)| {
        let largest = node.op.weights().unwrap_or(&[]).iter().fold(0.0_f32, |m, w| m.max(w.abs()));
        LayerPlan {
            name: node.name.clone(),
            weights: Some(format_no_clip(largest, weight_bits, Range::Narrow)),
            bias: None,
            activation: Some(activation(id)),
        }
    };
    let others = graph.nodes.iter().enumerate();
    let others = others.filter(|(_, node)| node.op.has_own_format() && !node.op.is_layer());
    Plan {
        semantics: Semantics::Integer,
        rounding: Rounding::TiesUp,
        quantizer: Quantizer::Uniform,
        input: Format::unsigned(8, 0),
        layers: graph.layers().map(layer).collect(),
        rounded: std::collections::BTreeMap::new(),
        thinned: None,
        others: others.map(|(id, node)| (node.name.clone(), activation(id))).collect(),
    }
}

fn report(what: &str, kernels: &Kernels, program: &Program, threads: usize) {
    let image = image(program);
    let schedule = program.schedule(&[], program.outputs());
    let at_once = Program::images_at_once(&schedule);
    let (images, provided) = (vec![image.as_slice(); at_once], vec![vec![]; at_once]);
    let workspaces = || -> Vec<_> { (0..at_once).map(|_| Workspace::new()).collect() };
    let seconds = |n_images: usize| {
        let start = Instant::now();
        (0..n_images / at_once).into_par_iter().for_each_init(workspaces, |workspaces, _| {
            program.run_all(&schedule, workspaces, &images, &provided);
        });
        start.elapsed().as_secs_f64()
    };
    let mut n_images = 4 * threads * at_once;
    while seconds(n_images) < PASS_SECONDS {
        n_images *= 2;
    }
    let best = (0..PASSES).map(|_| seconds(n_images)).fold(f64::INFINITY, f64::min);
    let rate = count_to_f64(n_images) / best;
    let line = serde_json::json!({
        "what": what, "kernels": kernels.name, "threads": threads, "images_per_second": rate.round(),
    });
    println!("{line}");
}

/// Pixels that are spread over all bytes.
fn image(program: &Program) -> Vec<f32> {
    let pixel = |i: usize| f32::from(u8::try_from(i * 7919 % 256).unwrap_or(0));
    (0..program.image_len()).map(pixel).collect()
}
