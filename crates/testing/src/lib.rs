//! Development only: random values, small graphs and ways to run them, for the tests of several
//! crates.
#![forbid(unsafe_code)]

mod build;
mod emitted;
mod emulator;
mod mean;
mod models;
mod random;
mod require;
mod run;

pub use build::{Build, window};
pub use emitted::Emitted;
pub use emulator::{
    CProgram, CRun, CSections, CSize, Core, compile_c, compile_c_by_clang, compiler_of, object_of_c,
};
pub use mean::{FixedMean, Mean};
pub use models::{
    autoencoder, by_channel, ds_cnn, fashion_images, integers_of, mobilenet, mobilenet_v2, plan_of,
    raw_pixel_network, resnet8, unet,
};
pub use random::Random;
pub use require::{has_programs, project, python, shared};
pub use run::{assert_close, assert_follows, run_fixed, run_fixed_on, run_float};
