//! Labeled images: where they come from, what their pixels mean, who may see which.
//!
//! A file type is one file here and one row in `loaders.rs`.

mod arrays;
mod buffer;
mod cifar;
mod dataset;
mod folder;
mod idx;
mod images;
mod list;
mod loaders;
mod npz;
mod random;
mod raw;
mod resize;
mod sets;
mod source;
mod svhn;
mod truth;

pub use arrays::Arrays;
pub use buffer::Buffer;
pub(crate) use random::divide;
pub use raw::{Labels, Pixels, Values};
pub use sets::DataOptions;
pub(crate) use sets::{Declared, Preprocessed, Reported, Sets, View};
pub use source::{DataOrigin, DataSource, Split};
