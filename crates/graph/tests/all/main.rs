//! Networks: imported, lowered, run and printed. One program for all, since each is linked to the whole project.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod emit;
mod emit_c;
mod emit_c_networks;
mod emit_dsp;
mod emit_mve;
mod integers;
mod keras;
mod onnx_node;
mod onnxruntime;
mod operator;
mod passes;
mod published_costs;
mod targets;
