//! What calibration images tell about every value: its distribution, and from that the error of any
//! format. No value is ever kept.

mod calibrate;
mod formats;
mod histogram;
mod stated;

pub use calibrate::{Statistics, calibrate};
pub use formats::{
    Offset, format_least_error, format_least_error_of, format_no_clip, squared_error_of,
};
pub use histogram::Histogram;
pub use stated::stated;
