//! Some images of a data set.

use super::super::dataset::Dataset;
use fixedwise_search::Images;
use std::sync::Arc;

/// Some images of a data set.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(super) data: Arc<Dataset>,
    pub(super) images: Vec<usize>,
    pub(super) labeled: bool,
}

impl Images for View {
    fn len(&self) -> usize {
        self.images.len()
    }

    fn image(&self, idx: usize, out: &mut [f32]) {
        self.data.image(self.images[idx], out);
    }

    fn label(&self, idx: usize) -> Option<usize> {
        if self.labeled { self.data.label(self.images[idx]) } else { None }
    }
}

impl View {
    /// The places of its images in the data set.
    pub(crate) fn places(&self) -> &[usize] {
        &self.images
    }

    /// What the classes are called; nothing where that is not said.
    pub(crate) fn class_names(&self) -> &[String] {
        self.data.class_names()
    }

    pub(super) fn new(data: &Arc<Dataset>, images: Vec<usize>) -> Self {
        Self { data: Arc::clone(data), images, labeled: true }
    }
}
