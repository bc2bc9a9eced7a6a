//! Bytes to plain structs: ONNX, Keras and TensorFlow Lite models, NumPy arrays, IDX, CIFAR, MATLAB and image files,
//! lists of files.
//!
//! Functions take byte slices and return values; no file is opened here, and nothing here knows
//! what a network computes. No bytes make a function panic, or allocate a size that is declared
//! but not there; what inflates stops at a limit that the caller gives.
#![forbid(unsafe_code)]

pub mod cifar;
mod convert;
mod hdf5;
pub mod idx;
pub mod image;
pub mod keras;
pub mod list;
pub mod mat;
pub mod npz;
pub mod onnx;
mod pickle;
pub mod tflite;
