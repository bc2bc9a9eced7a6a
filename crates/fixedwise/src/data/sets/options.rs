//! What is asked for of images.

use super::super::source::DataSource;
use crate::{
    error::DataError,
    preprocess::{Layout, Preprocess},
};
use fixedwise_search::MetricName;

/// Images of the train split that calibrate, where nothing else is said.
pub(super) const CALIBRATION_IMAGES: usize = 2000;

/// Where images come from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DataOptions {
    /// One data set for everything: its train split calibrates (the first 2,000 images, without
    /// labels), its test split is divided by seed into a search half and a test half.
    pub data: Option<DataSource>,
    /// Images whose ranges choose the starting formats.
    pub calibration: Option<DataSource>,
    /// The ranges are those that the file of the model states, one that was quantized before; `calibration` is
    /// absent then.
    pub stated_ranges: bool,
    /// Labeled images that accept or reject a plan.
    pub search: Option<DataSource>,
    /// Labeled images that are only reported on.
    pub test: Option<DataSource>,
    /// Images that plans are tuned on, without labels; where absent, the train split of `data` as a whole, else those
    /// that calibrate.
    pub unlabeled: Option<DataSource>,
    /// No image is kept to be reported on, as in the paper: `data` or `search` is searched on as a
    /// whole, and what comes of it says nothing about other images.
    pub untested: bool,
    /// What pixels mean; where absent, as the plan says that a job is given, the TOML file beside the model,
    /// or the default. One that contradicts the plan is refused.
    pub preprocess: Option<Preprocess>,
    /// Where the channels of stored images are; goes before what the preprocessing says.
    pub layout: Option<Layout>,
    /// The accuracy that the float network is known to have, as a fraction: where it has less, by more than
    /// the confidence interval explains, it is not fed what it was trained with, and the job ends.
    pub expect: Option<f64>,
    /// What counts; where absent, what goes with the labels and the first output. With
    /// [`MetricName::Sqnr`] labels do not count.
    pub metric: Option<MetricName>,
    /// The largest value that there can be, for [`MetricName::Psnr`]; where absent, 255 for bytes and 1 for floats
    /// from 0 to 1.
    pub peak: Option<f64>,
}

impl DataOptions {
    /// Refuses images to calibrate on beside ranges that the model states.
    pub(super) fn check_calibration(&self) -> Result<(), DataError> {
        if self.stated_ranges && self.calibration.is_some() {
            let problem = "calibration images are given, and the model's own ranges are asked for; \
                           remove one of the two";
            return Err(DataError::Missing(problem.to_owned()));
        }
        Ok(())
    }
}

/// No images of that kind.
pub(super) fn missing(what: &str) -> DataError {
    DataError::Missing(format!("no {what} images are given; use `--data` or `--{what}`"))
}
