//! The network: what it means, how it is rewritten, how it becomes integers, how it runs.
//!
//! Values are images of one element type in axis order `[h, w, c]`; the batch is outside. Nothing
//! here touches a file, a clock or a thread.
#![forbid(unsafe_code)]

pub mod cost;
pub mod emit;
mod error;
mod fixed_graph;
mod fixed_operator;
pub mod footprint;
mod graph;
mod import;
mod lower;
pub mod memory;
mod object;
pub mod ops;
pub mod passes;
mod plan;
pub mod run;
pub mod target;

pub use error::{EmitError, GraphError, ImportError, LowerError};
pub use fixed_graph::{FixedGraph, FixedNode};
pub use graph::{Activation, Graph, Node, NodeId, Shape};
pub use import::{from_keras, from_onnx, from_onnx_with_weights};
pub use lower::{AccumulatorPolicy, lower, lower_for, output_formats};
pub use ops::Op;
pub use plan::{LayerPlan, Plan, Quantizer, Rounded, Semantics};
pub use target::{Granularity, Target};
