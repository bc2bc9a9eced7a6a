//! What is asked for of images.

use super::super::{
    preprocess::{Layout, Preprocess},
    source::DataSource,
};
use crate::{error::DataError, model::Model};

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
    /// Labeled images that accept or reject a plan.
    pub search: Option<DataSource>,
    /// Labeled images that are only reported on.
    pub test: Option<DataSource>,
    /// No image is kept to be reported on, as in the paper: `data` or `search` is searched on as a
    /// whole, and what comes of it says nothing about other images.
    pub untested: bool,
    /// What pixels mean; where absent, the TOML file beside the model or the default.
    pub preprocess: Option<Preprocess>,
    /// Where the channels of stored images are; goes before what the preprocessing says.
    pub layout: Option<Layout>,
}

impl DataOptions {
    /// The declared preprocessing, that of the file beside the model, or the default.
    pub(crate) fn preprocessing(&self, model: &Model) -> Result<Preprocess, DataError> {
        let beside = || Ok(model.path().map(Preprocess::beside).transpose()?.flatten());
        let declared = self.preprocess.clone().map_or_else(beside, |declared| Ok(Some(declared)));
        let mut preprocess = declared?.unwrap_or_default();
        preprocess.layout = self.layout.or(preprocess.layout);
        let shape = model.input_shape();
        match preprocess.resize {
            Some([h, w]) if (h, w) != (shape.h, shape.w) => Err(DataError::Missing(format!(
                "resize={h}x{w} does not match the {}x{} input of the network",
                shape.h, shape.w
            ))),
            _ => Ok(preprocess),
        }
    }
}

/// No images of that kind.
pub(super) fn missing(what: &str) -> DataError {
    DataError::Missing(format!("no {what} images are given; use `--data` or `--{what}`"))
}
