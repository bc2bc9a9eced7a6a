//! Convolution and pooling kernels on slices: one image, [h, w, c], one thread.
//!
//! `scalar.rs` is the specification; the instruction-set files equal it bit for bit on integers.
//! Everything is reached through a [`Kernels`] table, handed out only for what the CPU has. This
//! crate knows no graph and no file; callers thread over images.
#![allow(clippy::as_conversions, reason = "kernels convert between lane types in hot loops")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "ranges are asserted when a kernel is prepared; wrapping is part of the arithmetic"
)]
#![allow(
    clippy::inline_always,
    reason = "a plain loop is inlined into a function of each instruction set"
)]
#![cfg_attr(
    not(target_arch = "x86_64"),
    allow(dead_code, reason = "only the scalar table exists on this architecture")
)]

mod aligned;
mod average;
mod bias;
mod combine;
mod conv_f32;
mod conv_int;
mod depthwise;
mod detection;
mod element;
mod epilogue;
mod finish;
mod functions;
mod geometry;
mod layout;
mod lookup;
mod matrices;
mod pool;
mod products;
mod quantize;
mod rescale;
mod scalar;
mod stencil;
mod stored;
mod table;
#[cfg(target_arch = "x86_64")]
mod x86_64;

pub use average::AverageInt;
pub use bias::{Bias, BorderBias, FloatBias};
pub use combine::{Broadcast, Combination, Function, combine_floats};
pub use conv_f32::{Activation, ConvF32};
pub use conv_int::{Accumulate, ConvInt, Residual};
pub use element::{Element, Integers, IntegersMut};
pub use epilogue::Epilogue;
pub use functions::{FloatFunction, apply_function, scale_and_shift};
pub use geometry::{ConvGeometry, ConvKind, PoolGeometry};
pub use lookup::{Entries, Lines, LookUp};
pub use matrices::Matrices;
pub use pool::{PoolElement, max_pool};
pub use products::{PRODUCT_LANES, add_products};
pub use quantize::quantize;
pub use rescale::rescale;
pub use stored::{CHANNEL_LANES, ErrorSums, Results, StoredResult, stored_errors};
pub use table::{Kernels, Scratch};
