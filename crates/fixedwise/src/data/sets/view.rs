//! Some images of a data set.

use super::super::dataset::Dataset;
use crate::error::DataError;
use fixedwise_search::{Images, MetricName, Truth};
use std::{path::Path, sync::Arc};

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

    fn truth(&self, idx: usize) -> Truth<'_> {
        if self.labeled { self.data.truth(self.images[idx]) } else { Truth::None }
    }
}

impl View {
    /// The places of its images in the data set.
    pub(crate) fn places(&self) -> &[usize] {
        &self.images
    }

    /// Where its data set comes from: a path, or the name of arrays in memory.
    pub(crate) fn place(&self) -> &Path {
        self.data.place()
    }

    /// What counts by their labels; nothing where there are none.
    pub(crate) fn metric(&self) -> Option<MetricName> {
        self.data.metric().filter(|_| self.labeled)
    }

    /// The largest value that there can be.
    pub(crate) fn peak(&self) -> f64 {
        self.data.peak()
    }

    /// Refuses images without the labels of a metric.
    pub(super) fn has_labels_for(&self, metric: Option<MetricName>) -> Result<(), DataError> {
        match metric {
            Some(metric) if self.metric().is_none() => Err(self.data.without_labels(metric)),
            Some(_) | None => Ok(()),
        }
    }

    /// Refuses labels that a job does not take.
    pub(crate) fn only_classes(&self, job: &str) -> Result<(), DataError> {
        match self.metric().filter(|metric| metric.is_figure() || *metric == MetricName::Top5) {
            Some(metric) => Err(DataError::Missing(format!(
                "{job} supports only labels that are classes of images, and counts the likeliest; the metric is \
                 {metric}"
            ))),
            None => Ok(()),
        }
    }

    /// What the classes are called; nothing where that is not said.
    pub(crate) fn class_names(&self) -> &[String] {
        self.data.class_names()
    }

    /// At most so many of its images, spread evenly.
    pub(crate) fn some(&self, most: usize) -> Self {
        let n = self.images.len();
        let count = most.min(n);
        let images = (0..count).map(|i| self.images[i * n / count]).collect();
        Self { data: Arc::clone(&self.data), images, labeled: self.labeled }
    }

    pub(super) fn new(data: &Arc<Dataset>, images: Vec<usize>) -> Self {
        Self { data: Arc::clone(data), images, labeled: true }
    }
}
