//! Plans and target profiles as files.

mod integers;
mod of_result;
mod paper;
mod target;
mod toml;

pub(crate) use integers::{formats_alone, in_scale_of, write_plan};
pub(crate) use target::named_target;
pub use target::{read_target, target_names};
pub(crate) use toml::{RAW_PIXELS, read_bits, read_own_plan, rounding_name};
pub use toml::{plan_target, plan_to_toml, plan_to_toml_for, read_plan};
