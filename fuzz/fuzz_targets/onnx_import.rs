//! An ONNX model is refused, or it is a network that one image goes through.
#![no_main]

use fixedwise_codec::onnx;
use fixedwise_graph::{
    from_onnx,
    run::{Program, Workspace},
};

/// Elements of a value, at most, for an image to go through.
const LIMIT: usize = 1 << 16;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(model) = onnx::parse_model(bytes, &|_| Ok(vec![0; 64])) else { return };
    let Ok(graph) = from_onnx(&model, "fuzz") else { return };
    if graph.nodes.iter().any(|node| node.shape.len() > LIMIT) {
        return;
    }
    let program = Program::float(&graph, fixedwise_kernels::Kernels::best());
    let schedule = program.schedule(&[], &[graph.output()]);
    let image = vec![0.5; graph.image_len()];
    program.run(&schedule, &mut Workspace::new(), &image, &[]);
});
