//! Plans and target profiles as files.

mod file;
mod given;
mod integers;
mod of_result;
mod paper;
mod target;
mod terms;
mod toml;

pub(crate) use file::{Edited, formats_alone, read_bits, read_own_plan, write_plan};
pub use file::{plan_interface, plan_kernels, plan_preprocess, plan_target, read_plan};
pub use given::model_of_plan;
pub(crate) use given::{PlanSource, open_model};
pub(crate) use integers::{Made, formats, in_scale_of};
pub use target::{read_target, target_names};
pub(crate) use terms::RAW_PIXELS;
pub use toml::{plan_to_toml, plan_to_toml_for};
