//! Tuning without labels: weights and biases move, by gradients through the integer network, to where its outputs
//! are the float network's.
//!
//! The formats are given. A weight is a number between integers, in steps of its format; the network has the nearest
//! integer, and its gradient is that of the integer. What a training gives depends on neither time nor threads.

mod adam;
mod student;
mod teacher;
mod training;

pub use student::Student;
pub use teacher::Teacher;
pub use training::{Course, Trained, train};
