//! Networks: imported, lowered, run and printed. One program for all, since each is linked to the whole project.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod attention;
mod element_wise;
mod emit;
mod functions;
mod gradients;
mod import;
mod inputs;
mod integers;
mod maps;
mod onnx_node;
mod onnxruntime;
mod operator;
mod outputs;
mod passes;
mod published_costs;
mod quantized;
mod residual;
mod rows;
mod slow;
mod targets;
mod tflite;
mod thin;
mod truths;
mod whole_way;
mod written_normalizations;
