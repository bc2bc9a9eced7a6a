//! Weights as integers that together, not each alone, keep what a layer computes.

mod alone;
mod bias;
mod channels;
mod equalization;
mod layer;
mod linear;
mod moments;
mod options;
mod patches;
mod rounding;
mod telling;

pub use bias::correct;
pub use channels::{InputMoments, MadeUp, input_moments};
pub use equalization::{balance, channel_ranges, fit_steps};
pub use layer::Layer;
pub use moments::{Calibration, CalibrationOptions};
pub use options::{GivenBias, Method, RoundingOptions};
pub use telling::{spread, telling_images};
