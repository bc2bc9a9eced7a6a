//! Every table of kernels against plain loops. One program for all, since each is linked to the whole project.
#![allow(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "test data is made of small numbers"
)]

mod common;
mod conv_f32;
mod conv_int;
mod pool;
