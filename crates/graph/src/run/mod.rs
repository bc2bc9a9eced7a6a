//! Running a graph: one loop and one buffer plan for float, simulated and integer networks.

mod buffers;
mod differentiable;
mod program;
mod schedule;
mod step_cache;

pub use buffers::{ValueRef, Workspace};
pub use differentiable::{Differentiable, LayerGradients, NoGradient, Trained};
pub use program::Program;
pub use schedule::Schedule;
pub use step_cache::StepCache;
