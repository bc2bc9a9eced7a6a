//! The network: what it means, how it is rewritten, how it becomes integers, how it runs.
//!
//! Values are images of one element type in axis order `[h, w, c]`; the batch is outside. Nothing
//! here touches a file, a clock or a thread.
#![forbid(unsafe_code)]

mod backward;
pub mod cost;
pub mod effective;
pub mod emit;
mod error;
mod expression;
mod fixed_graph;
mod fixed_operator;
pub mod footprint;
mod graph;
mod import;
mod layout;
mod lower;
pub mod memory;
mod object;
mod operator;
pub mod ops;
mod output;
mod parameters;
pub mod passes;
mod plan;
mod rounded_before;
pub mod run;
mod scale_shift;
pub mod schedule;
mod shape;
pub mod target;
mod window;

pub use backward::backward_step;
pub use error::{EmitError, GraphError, ImportError, LowerError, Refusal};
pub use expression::{Binary, Expression, Unary};
pub use fixed_graph::{FixedGraph, FixedNode};
pub use fixed_operator::{
    Constant, FixedOp, FixedOperator, FixedStep, Flow, Place, Step, Unclamped,
};
pub use graph::{Graph, Node, NodeId};
pub use import::{
    InputShape, Interface, from_keras, from_keras_with, from_onnx, from_onnx_with,
    from_onnx_with_weights, from_tflite,
};
pub use lower::{
    AccumulatorPolicy, LowerContext, Requantization, Residual, Weights, check_integer_forms, lower,
    lower_for, output_formats,
};
pub use operator::{
    Backward, BackwardStep, Context, Derivation, Edge, Factor, FloatStep, FormatRule, Gradients,
    Likelihood, Op, Operator, OperatorObject,
};
pub use output::Output;
pub use parameters::{Parameters, ParametersMut};
pub use plan::{LayerPlan, Numbers, Plan, Quantizer, Rounded, Semantics, Thinned};
pub use rounded_before::{RoundedBefore, RoundedValue, RoundedWeights};
pub use scale_shift::ScaleShift;
pub use shape::{Activation, Shape};
pub use target::{Granularity, Target};
