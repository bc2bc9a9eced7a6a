//! The three disjoint sets of images, and who may see which.

mod declared;
mod divide;
mod library;
mod options;
mod view;

pub(crate) use declared::Declared;
pub use options::DataOptions;
pub(crate) use view::View;

use super::{
    dataset::Port,
    source::{DataSource, Split},
};
use crate::{
    error::{DataError, Error},
    model::Model,
};
use divide::{choose, disjoint};
use fixedwise_graph::ops::Affine;
use fixedwise_search::{Images as _, MetricName};
use library::Library;
use options::{CALIBRATION_IMAGES, missing};

/// Calibration, search and test.
#[derive(Clone, Debug)]
pub(crate) struct Sets {
    pub(crate) calibration: View,
    pub(crate) search: View,
    /// Absent where no image is kept for it.
    pub(crate) test: Option<View>,
    /// What plans are tuned on, where they are.
    pub(crate) unlabeled: Option<View>,
    /// Whether ranges are those that the model states; the calibration images only round weights then.
    pub(crate) stated_ranges: bool,
    declared: Declared,
}

impl Sets {
    /// The three sets of a search.
    pub(crate) fn load(
        options: &DataOptions,
        model: &Model,
        declared: Declared,
        seed: u64,
    ) -> Result<Self, Error> {
        let mut library = Library::new(options, &declared, model);
        let (calibration, search, test) = choose(options, seed, &mut library)?;
        let has_calibration = !options.stated_ranges || options.data.is_some();
        if has_calibration {
            disjoint(("calibration", &calibration), ("search", &search))?;
        }
        if let Some(test) = &test {
            disjoint(("search", &search), ("test", test))?;
            disjoint(("calibration", &calibration), ("test", test))?;
        }
        let is_u8 = calibration.data.is_u8();
        if test.iter().chain([&search]).any(|view| view.data.is_u8() != is_u8) {
            let problem = "some images have 8-bit pixels and some floats; use one type for all";
            return Err(DataError::Missing(problem.to_owned()).into());
        }
        test.iter().chain([&search]).try_for_each(|view| view.has_labels_for(options.metric))?;
        let has_labels = |view: &View| view.metric().is_some();
        if test.as_ref().is_some_and(|test| has_labels(test) != has_labels(&search)) {
            let problem = "only one of the search set and the test set has labels; without labels, images \
                           count where the classes agree with those of the float network: use labels \
                           for both or for none";
            return Err(DataError::Missing(problem.to_owned()).into());
        }
        let other = test.as_ref().and_then(View::metric).filter(|of| search.metric() != Some(*of));
        if let (Some(metric), Some(other)) = (search.metric(), other) {
            let problem = format!(
                "the labels of the search set are those of the metric {metric}, the labels of the test set \
                 those of {other}: use labels of one kind"
            );
            return Err(DataError::Missing(problem).into());
        }
        let calibration = View { labeled: false, ..calibration };
        let stated_ranges = options.stated_ranges;
        Ok(Self { calibration, search, test, unlabeled: None, stated_ranges, declared })
    }

    /// Reads the images that plans are tuned on: those of `--unlabeled`, else the train split of the data as a whole,
    /// else those that calibrate.
    pub(crate) fn load_unlabeled(
        &mut self,
        options: &DataOptions,
        model: &Model,
    ) -> Result<(), Error> {
        let given = options.unlabeled.as_ref();
        let train = options.data.as_ref().filter(|data| data.split.is_none());
        let mut images = self.calibration.clone();
        if let Some(source) = given.or(train) {
            let without = unlabeled(options);
            let mut library = Library::new(&without, &self.declared, model);
            let has_split = given.is_some() || source.origin.splits()?.contains(&Split::Train);
            let whole = DataSource { range: None, ..source.clone() };
            if has_split {
                let source = given.unwrap_or(&whole);
                images = library.view(source, Split::Train, usize::MAX)?;
            }
        }
        let images = View { labeled: false, ..images };
        if images.data.is_u8() != self.search.data.is_u8() {
            let problem = "the unlabeled images have other pixels than the search set: some have 8-bit pixels \
                           and some floats; use one type for all";
            return Err(DataError::Missing(problem.to_owned()).into());
        }
        let others =
            [Some(("search", &self.search)), self.test.as_ref().map(|test| ("test", test))];
        for other in others.into_iter().flatten() {
            match disjoint(("unlabeled", &images), other) {
                Ok(()) => {}
                Err(error) if given.is_some() => return Err(error.into()),
                // Named sets may be of the train split.
                Err(_) => {
                    self.unlabeled = Some(self.calibration.clone());
                    return Ok(());
                }
            }
        }
        self.unlabeled = Some(images);
        Ok(())
    }

    /// How many images give ranges.
    pub(crate) fn calibration_images(&self) -> usize {
        if self.stated_ranges { 0 } else { self.calibration.len() }
    }

    /// The images of an evaluation, those of `--test`.
    pub(crate) fn load_test(
        options: &DataOptions,
        model: &Model,
        declared: Declared,
    ) -> Result<Reported, Error> {
        let source = options.test.as_ref().ok_or_else(|| missing("test"))?;
        let mut library = Library::new(options, &declared, model);
        let images = library.view(source, Split::Test, usize::MAX)?;
        images.has_labels_for(options.metric)?;
        Ok(Reported { images, declared })
    }

    /// The images of an inspection: `--calibration`, else the first of the train split.
    pub(crate) fn load_calibration(
        options: &DataOptions,
        model: &Model,
        declared: Declared,
    ) -> Result<Reported, Error> {
        let source = options.calibration.as_ref().or(options.data.as_ref());
        let source = source.ok_or_else(|| missing("calibration"))?;
        let most = if options.calibration.is_none() { CALIBRATION_IMAGES } else { usize::MAX };
        let options = unlabeled(options);
        let images = Library::new(&options, &declared, model).view(source, Split::Train, most)?;
        Ok(Reported { images, declared })
    }

    /// Images that a plan's weights are rounded for: `--calibration`, else the first of the train split of `--data`,
    /// or of where the test images are. None of them may be a test image.
    pub(crate) fn load_to_round(
        options: &DataOptions,
        model: &Model,
        declared: &Declared,
    ) -> Result<View, Error> {
        let mut library = Library::new(&unlabeled(options), declared, model);
        if options.stated_ranges {
            let problem = "weights are rounded for images; the ranges that the model states are of no use: \
                           give calibration images";
            return Err(DataError::Missing(problem.to_owned()).into());
        }
        let whole = |source: &DataSource| DataSource { split: None, range: None, ..source.clone() };
        let beside = options.test.as_ref().map(whole);
        let source = options.calibration.as_ref().or(options.data.as_ref()).or(beside.as_ref());
        let source = source.ok_or_else(|| missing("calibration"))?;
        let most = if options.calibration.is_none() { CALIBRATION_IMAGES } else { usize::MAX };
        let images = library.view(source, Split::Train, most)?;
        if let Some(test) = &options.test {
            let test = library.view(test, Split::Test, usize::MAX)?;
            disjoint(("calibration", &images), ("test", &test))?;
        }
        Ok(View { labeled: false, ..images })
    }

    /// What the images' pixels mean, as text.
    pub(crate) fn preprocessing_text(&self) -> String {
        let (declared, is_u8) = self.declared();
        declared.text(&is_u8)
    }

    /// What makes two divisions the same.
    pub(crate) fn fingerprint(&self) -> String {
        let sets = [Some(&self.calibration), Some(&self.search), self.test.as_ref()];
        let sets = sets.into_iter().flatten().map(|view| {
            let mix = |hash: u128, &i: &usize| hash.rotate_left(5) ^ view.data.fingerprint(i);
            let label = |hash: u64, &i: &usize| {
                hash.wrapping_mul(31).wrapping_add(view.data.truth_fingerprint(i))
            };
            let (pixels, labels) =
                (view.images.iter().fold(0, mix), view.images.iter().fold(0, label));
            format!("{pixels:032x}{labels:016x}")
        });
        sets.collect::<Vec<_>>().join(" ")
    }
}

/// The same, of images whose labels do not count.
fn unlabeled(options: &DataOptions) -> DataOptions {
    DataOptions { metric: Some(MetricName::Sqnr), ..options.clone() }
}

/// One set of images with its preprocessing.
#[derive(Clone, Debug)]
pub(crate) struct Reported {
    pub(crate) images: View,
    declared: Declared,
}

impl Reported {
    /// How many images.
    pub(crate) fn len(&self) -> usize {
        self.images.len()
    }
}

/// Images that say what their pixels mean.
pub(crate) trait Preprocessed {
    /// What the network is fed, and whether the pixels of each input are 8-bit integers.
    fn declared(&self) -> (&Declared, Vec<bool>);
}

impl Preprocessed for Sets {
    fn declared(&self) -> (&Declared, Vec<bool>) {
        (&self.declared, self.search.data.is_u8())
    }
}

impl Preprocessed for Reported {
    fn declared(&self) -> (&Declared, Vec<bool>) {
        (&self.declared, self.images.data.is_u8())
    }
}

impl Model {
    /// The network for the raw pixels of those images.
    pub(crate) fn with_preprocessing(self, images: &impl Preprocessed) -> Result<Self, Error> {
        let (declared, is_u8) = images.declared();
        self.fed(declared, &is_u8)
    }

    /// The network for raw pixels, where those of each input are 8-bit integers or not.
    pub(crate) fn fed(self, declared: &Declared, is_u8: &[bool]) -> Result<Self, Error> {
        let affine = |(port, &is_u8): (&Port, &bool)| {
            let (scale, shift) = port.preprocess.affine(port.shape.c, is_u8)?;
            Ok(Affine { scale, shift })
        };
        let ports = declared.ports.iter().zip(is_u8);
        self.with_affine(ports.map(affine).collect::<Result<_, DataError>>()?)
    }
}

#[cfg(test)]
mod tests;
