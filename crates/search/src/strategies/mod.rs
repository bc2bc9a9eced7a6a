//! Ways to choose a plan, one file each, and what they share.

pub mod brute_force;
pub mod fixed;
mod grid;
pub mod joint;
mod layer_dependent;
mod layer_independent;
mod layerwise;
mod objective;
mod observer;
mod options;
mod outcome;
pub mod pareto;
mod tensors;

pub use brute_force::{BruteForceOptions, brute_force};
pub use fixed::FixedOptions;
pub use joint::joint;
pub use layer_dependent::layer_dependent;
pub use layer_independent::layer_independent;
pub use layerwise::LayerwiseOptions;
pub use objective::Objective;
pub use observer::{Event, Ignore, Observer, Work, Worked};
pub use options::{Budget, LayerOrder, SearchOptions, StartBits};
pub use outcome::{
    Explanation, FrontPlan, Held, Outcome, Remedy, Sensitivity, Share, TraceEntry, WidthEffect,
};
pub use tensors::{Kind, PlanHead, Tensor, layer_order, prove, quantized_activations};
