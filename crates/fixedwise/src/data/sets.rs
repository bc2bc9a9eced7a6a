//! The three disjoint sets of images, and who may see which.

use super::{DataSource, Dataset, Layout, Preprocess, Split, divide, splits};
use crate::{
    error::{DataError, Error},
    model::Model,
};
use fixedwise_graph::Shape;
use fixedwise_search::Images;
use std::{collections::BTreeMap, collections::BTreeSet, path::PathBuf, sync::Arc};

/// Images of the train split that calibrate, where nothing else is said.
const CALIBRATION_IMAGES: usize = 2000;

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
        let mut preprocess = match &self.preprocess {
            Some(preprocess) => preprocess.clone(),
            None => Preprocess::beside(model.path())?.unwrap_or_default(),
        };
        preprocess.layout = self.layout.or(preprocess.layout);
        let shape = model.input_shape();
        match preprocess.resize {
            Some([h, w]) if (h, w) != (shape.h, shape.w) => Err(DataError::Missing(format!(
                "resize={h}x{w} does not give the {}x{} images that the network takes",
                shape.h, shape.w
            ))),
            _ => Ok(preprocess),
        }
    }
}

/// Some images of a data set.
#[derive(Clone, Debug)]
pub(crate) struct View {
    data: Arc<Dataset>,
    images: Vec<usize>,
    labeled: bool,
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

    fn new(data: &Arc<Dataset>, images: Vec<usize>) -> Self {
        Self { data: Arc::clone(data), images, labeled: true }
    }
}

/// A split of a data set.
type Place = (PathBuf, &'static str);

/// Loads every split once, and no more of it than its first images that are needed.
struct Library<'a> {
    preprocess: &'a Preprocess,
    target: Shape,
    classes: usize,
    /// How many images are needed.
    needed: BTreeMap<Place, usize>,
    /// What was loaded, and how many images were asked for.
    loaded: BTreeMap<Place, (usize, Arc<Dataset>)>,
}

impl<'a> Library<'a> {
    fn new(preprocess: &'a Preprocess, model: &Model) -> Self {
        let (target, classes) = (model.input_shape(), model.classes());
        let (needed, loaded) = (BTreeMap::new(), BTreeMap::new());
        Self { preprocess, target, classes, needed, loaded }
    }

    /// The split a source names; `preferred` where it names none and has several.
    fn choose(source: &DataSource, preferred: Split) -> Result<Split, DataError> {
        let found = splits(&source.path)?;
        match source.split {
            Some(split) if found.contains(&split) => Ok(split),
            Some(split) => {
                let names: Vec<&str> = found.iter().map(|split| split.name()).collect();
                Err(DataError::Missing(format!(
                    "`{}` has no split `{}`; it has {}",
                    source.path.display(),
                    split.name(),
                    names.join(" and ")
                )))
            }
            None if found.contains(&preferred) => Ok(preferred),
            None => Ok(found[0]),
        }
    }

    /// Notes what a source will be asked for, so that it is loaded once.
    fn need(
        &mut self,
        source: &DataSource,
        preferred: Split,
        most: usize,
    ) -> Result<(), DataError> {
        let split = Self::choose(source, preferred)?;
        let end = source.range.as_ref().map_or(usize::MAX, |range| range.end).min(most);
        let needed = self.needed.entry((source.path.clone(), split.name())).or_default();
        *needed = end.max(*needed);
        Ok(())
    }

    fn split(&mut self, source: &DataSource, split: Split) -> Result<Arc<Dataset>, DataError> {
        let place = (source.path.clone(), split.name());
        let needed = self.needed.get(&place).copied().unwrap_or(usize::MAX);
        if let Some((has, found)) = self.loaded.get(&place)
            && *has >= needed
        {
            return Ok(Arc::clone(found));
        }
        let (preprocess, target, classes) = (self.preprocess, self.target, self.classes);
        let data = Dataset::load(&source.path, split, needed, preprocess, target, classes)?;
        let data = Arc::new(data);
        self.loaded.insert(place, (needed, Arc::clone(&data)));
        Ok(data)
    }

    /// The images a source names, or the first `most` of them.
    fn view(
        &mut self,
        source: &DataSource,
        preferred: Split,
        most: usize,
    ) -> Result<View, DataError> {
        self.need(source, preferred, most)?;
        let data = self.split(source, Self::choose(source, preferred)?)?;
        let range = source.range.clone().unwrap_or(0..usize::MAX);
        let end = if range.end == usize::MAX { data.len() } else { range.end };
        if end > data.len() || range.start >= end {
            return Err(DataError::Missing(format!(
                "`{source}` asks for images {} to {end}, there are {}",
                range.start,
                data.len()
            )));
        }
        Ok(View::new(&data, (range.start..end).take(most).collect()))
    }
}

/// Calibration, search and test.
#[derive(Clone, Debug)]
pub(crate) struct Sets {
    pub(crate) calibration: View,
    pub(crate) search: View,
    /// Absent where no image is kept for it.
    pub(crate) test: Option<View>,
    preprocess: Preprocess,
}

impl Sets {
    /// The three sets of a search.
    pub(crate) fn load(options: &DataOptions, model: &Model, seed: u64) -> Result<Self, Error> {
        let preprocess = options.preprocessing(model)?;
        let mut library = Library::new(&preprocess, model);
        let (calibration, search, test) = choose(options, seed, &mut library)?;
        disjoint(("calibration", &calibration), ("search", &search))?;
        if let Some(test) = &test {
            disjoint(("search", &search), ("test", test))?;
            disjoint(("calibration", &calibration), ("test", test))?;
        }
        let is_u8 = calibration.data.is_u8();
        if test.iter().chain([&search]).any(|view| view.data.is_u8() != is_u8) {
            let problem = "some images have 8-bit pixels and some floats; give all in one form";
            return Err(DataError::Missing(problem.to_owned()).into());
        }
        let calibration = View { labeled: false, ..calibration };
        Ok(Self { calibration, search, test, preprocess })
    }

    /// The images of an evaluation, those of `--test`.
    pub(crate) fn load_test(options: &DataOptions, model: &Model) -> Result<Reported, Error> {
        let source = options.test.as_ref().ok_or_else(|| missing("test"))?;
        let preprocess = options.preprocessing(model)?;
        let images = Library::new(&preprocess, model).view(source, Split::Test, usize::MAX)?;
        Ok(Reported { images, preprocess })
    }

    /// The images of an inspection: `--calibration`, else the first of the train split.
    pub(crate) fn load_calibration(
        options: &DataOptions,
        model: &Model,
    ) -> Result<Reported, Error> {
        let source = options.calibration.as_ref().or(options.data.as_ref());
        let source = source.ok_or_else(|| missing("calibration"))?;
        let preprocess = options.preprocessing(model)?;
        let most = if options.calibration.is_none() { CALIBRATION_IMAGES } else { usize::MAX };
        let images = Library::new(&preprocess, model).view(source, Split::Train, most)?;
        Ok(Reported { images, preprocess })
    }

    /// What the images' pixels mean, as text.
    pub(crate) fn preprocessing_text(&self) -> String {
        let (preprocess, is_u8) = self.preprocess();
        preprocess.text(is_u8)
    }

    /// What makes two divisions the same.
    pub(crate) fn fingerprint(&self) -> String {
        let sets = [Some(&self.calibration), Some(&self.search), self.test.as_ref()];
        let sets = sets.into_iter().flatten().map(|view| {
            let mix = |hash: u128, &i: &usize| hash.rotate_left(5) ^ view.data.fingerprint(i);
            let label = |hash: u64, &i: &usize| {
                hash.wrapping_mul(31).wrapping_add(fixedwise_fixed::convert::count_to_u64(
                    view.data.label(i).unwrap_or(usize::MAX),
                ))
            };
            let (pixels, labels) =
                (view.images.iter().fold(0, mix), view.images.iter().fold(0, label));
            format!("{pixels:032x}{labels:016x}")
        });
        sets.collect::<Vec<_>>().join(" ")
    }
}

fn missing(what: &str) -> DataError {
    DataError::Missing(format!("no {what} images are named; give `--data` or `--{what}`"))
}

/// Calibration, search and test images, as the options say.
fn choose(
    options: &DataOptions,
    seed: u64,
    library: &mut Library,
) -> Result<(View, View, Option<View>), DataError> {
    if options.untested && options.test.is_some() {
        let problem = "test images are named, and none are to be tested on; leave one of them out";
        return Err(DataError::Missing(problem.to_owned()));
    }
    let mut named = [None, None, None];
    let purposes = [
        (&options.calibration, "calibration", Split::Train),
        (&options.search, "search", Split::Test),
        (&options.test, "test", Split::Test),
    ];
    for (source, _, split) in &purposes {
        if let Some(source) = source {
            library.need(source, *split, usize::MAX)?;
        }
    }
    for (slot, (source, _, split)) in named.iter_mut().zip(purposes) {
        if let Some(source) = source {
            let view = library.view(source, split, usize::MAX)?;
            *slot = Some(view);
        }
    }
    let is_complete = named.iter().flatten().count() == if options.untested { 2 } else { 3 };
    let parts = match &options.data {
        Some(source) if !is_complete => divide_one(source, seed, options.untested, library)?,
        _ => [None, None, None],
    };
    let mut sets = named.into_iter().zip(parts).map(|(named, part)| named.or(part));
    let mut next = || sets.next().flatten();
    let calibration = next().ok_or_else(|| missing("calibration"))?;
    let search = next().ok_or_else(|| missing("search"))?;
    let test = match next() {
        _ if options.untested => None,
        None => return Err(missing("test")),
        test => test,
    };
    Ok((calibration, search, test))
}

/// What one data set gives for calibration, search and, unless it is `untested`, test.
fn divide_one(
    source: &DataSource,
    seed: u64,
    untested: bool,
    library: &mut Library,
) -> Result<[Option<View>; 3], DataError> {
    // How many of so many labeled images are searched on.
    let searched = |n: usize| if untested { n } else { n.div_ceil(2) };
    let found = splits(&source.path)?;
    let has_both = found.contains(&Split::Train) && found.contains(&Split::Test);
    let sets = if source.split.is_none() && has_both {
        let train = DataSource { range: None, ..source.clone() };
        let train = library.view(&train, Split::Train, CALIBRATION_IMAGES)?;
        let test = library.view(source, Split::Test, usize::MAX)?;
        let search = searched(test.images.len());
        let sizes = [search, test.images.len() - search];
        let mut parts = divide(&test.images, seed, &sizes).into_iter();
        let mut part = || View::new(&test.data, parts.next().unwrap_or_default());
        [train, part(), part()]
    } else {
        // Nobody divided it: a tenth calibrates (2,000 images at most), the rest is halved.
        let all = library.view(source, Split::All, usize::MAX)?;
        let n = all.images.len();
        let first = (n / 10).clamp(1, CALIBRATION_IMAGES);
        let search = searched(n.saturating_sub(first));
        let sizes = [first, search, n.saturating_sub(first + search)];
        let mut parts = divide(&all.images, seed, &sizes).into_iter();
        let mut part = || View::new(&all.data, parts.next().unwrap_or_default());
        [part(), part(), part()]
    };
    let needed = if untested { &sets[..2] } else { &sets[..] };
    if needed.iter().any(|view| view.images.is_empty()) {
        return Err(DataError::Missing(format!(
            "`{source}` has too few images to divide into calibration, search and test"
        )));
    }
    Ok(sets.map(Some))
}

/// Refuses images that stand in both sets: the same place of the same file or, between files, the
/// same pixels. An image that one file holds twice counts as two.
fn disjoint(a: (&'static str, &View), b: (&'static str, &View)) -> Result<(), DataError> {
    let same_file = a.1.data.is_of_same_source(&b.1.data);
    let key = |view: &View, i: usize| {
        if same_file {
            u128::from(fixedwise_fixed::convert::count_to_u64(i))
        } else {
            view.data.fingerprint(i)
        }
    };
    let known: BTreeSet<u128> = b.1.images.iter().map(|&i| key(b.1, i)).collect();
    let mut shared = a.1.images.iter().copied().filter(|&i| known.contains(&key(a.1, i)));
    let Some(first) = shared.next() else { return Ok(()) };
    let count = 1 + shared.count();
    Err(DataError::Overlap { a: a.0, b: b.0, count, first })
}

/// One set of images with its preprocessing.
#[derive(Clone, Debug)]
pub(crate) struct Reported {
    pub(crate) images: View,
    preprocess: Preprocess,
}

impl Reported {
    /// How many images.
    pub(crate) fn len(&self) -> usize {
        self.images.len()
    }
}

/// Images that say what their pixels mean.
pub(crate) trait Preprocessed {
    /// The preprocessing, and whether pixels are 8-bit integers.
    fn preprocess(&self) -> (&Preprocess, bool);
}

impl Preprocessed for Sets {
    fn preprocess(&self) -> (&Preprocess, bool) {
        (&self.preprocess, self.search.data.is_u8())
    }
}

impl Preprocessed for Reported {
    fn preprocess(&self) -> (&Preprocess, bool) {
        (&self.preprocess, self.images.data.is_u8())
    }
}

impl Model {
    /// The network for the raw pixels of those images.
    pub(crate) fn with_preprocessing(self, images: &impl Preprocessed) -> Result<Self, Error> {
        let (preprocess, is_u8) = images.preprocess();
        let (scale, shift) = preprocess.affine(self.input_shape().c, is_u8)?;
        self.with_affine(scale, shift)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fixedwise_codec::npz::{Array, ArrayData, encode_npz};
    use std::path::Path;

    /// 40 images of one pixel, each its own value, and their labels.
    fn write(path: &Path, arrays: &[(&str, usize)]) {
        let array = |name: &str, n: usize| Array {
            shape: vec![n, 1, 1, 1],
            data: ArrayData::F32(
                (0..n)
                    .map(|i| {
                        let offset = if name.contains("train") { 1000.0 } else { 0.0 };
                        fixedwise_fixed::convert::f64_to_f32(
                            fixedwise_fixed::convert::count_to_f64(i) + offset,
                        )
                    })
                    .collect(),
            ),
        };
        let labels = |n: usize| Array { shape: vec![n], data: ArrayData::I64(vec![0; n]) };
        let mut all = Vec::new();
        for &(name, n) in arrays {
            all.push((name.to_owned(), array(name, n)));
            all.push((name.replacen('x', "y", 1), labels(n)));
        }
        let all: Vec<(&str, &Array)> = all.iter().map(|(k, v)| (k.as_str(), v)).collect();
        std::fs::write(path, encode_npz(&all)).unwrap();
    }

    fn sets(options: &DataOptions, seed: u64) -> Result<(View, View, Option<View>), String> {
        let preprocess = Preprocess::default();
        let mut library = Library {
            preprocess: &preprocess,
            target: Shape::vector(1),
            classes: 1,
            needed: BTreeMap::new(),
            loaded: BTreeMap::new(),
        };
        let chosen = choose(options, seed, &mut library).map_err(|e| e.to_string())?;
        if let Some(test) = &chosen.2 {
            disjoint(("search", &chosen.1), ("test", test)).map_err(|e| e.to_string())?;
        }
        Ok(chosen)
    }

    fn options(data: Option<&str>, search: Option<&str>, test: Option<&str>) -> DataOptions {
        let source = |text: Option<&str>| text.map(|text| text.parse().unwrap());
        DataOptions {
            data: source(data),
            search: source(search),
            test: source(test),
            ..DataOptions::default()
        }
    }

    #[test]
    fn one_data_set_is_divided_by_seed_and_nothing_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("both.npz");
        write(&path, &[("x_train", 30), ("x_test", 21)]);
        let both = options(path.to_str(), None, None);
        let (calibration, search, test) = sets(&both, 3).unwrap();
        let test = test.unwrap();
        assert_eq!([calibration.len(), search.len(), test.len()], [30, 11, 10]);
        let mut all = [search.images.clone(), test.images.clone()].concat();
        all.sort_unstable();
        assert_eq!(all, (0..21).collect::<Vec<_>>());
        assert_eq!(sets(&both, 3).unwrap().1.images, search.images);
        assert_ne!(sets(&both, 4).unwrap().1.images, search.images);

        let path = folder.path().join("one.npz");
        write(&path, &[("x", 40)]);
        let (calibration, search, test) = sets(&options(path.to_str(), None, None), 3).unwrap();
        assert_eq!([calibration.len(), search.len(), test.unwrap().len()], [4, 18, 18]);
    }

    #[test]
    fn without_a_test_set_all_is_searched_on() {
        let folder = tempfile::tempdir().unwrap();
        let both = folder.path().join("both.npz");
        write(&both, &[("x_train", 30), ("x_test", 21)]);
        let one = folder.path().join("one.npz");
        write(&one, &[("x", 40)]);
        for (path, expected) in [(&both, [30, 21]), (&one, [4, 36])] {
            let all = DataOptions { untested: true, ..options(path.to_str(), None, None) };
            let (calibration, search, test) = sets(&all, 3).unwrap();
            assert_eq!([calibration.len(), search.len()], expected);
            assert!(test.is_none());
            let both = DataOptions { untested: true, ..options(None, None, path.to_str()) };
            assert!(sets(&both, 3).unwrap_err().contains("leave one of them out"));
        }
    }

    #[test]
    fn overlap_and_impossible_ranges_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("both.npz");
        write(&path, &[("x_train", 30), ("x_test", 20)]);
        let copy = folder.path().join("copy.npz");
        std::fs::copy(&path, &copy).unwrap();
        let (path, copy) = (path.to_str().unwrap(), copy.to_str().unwrap());
        let cases = [
            (
                format!("{path}:test@0..12"),
                format!("{path}:test@10.."),
                "search and test share 2 images",
            ),
            (format!("{path}:test"), format!("{copy}:test"), "search and test share 20 images"),
            (
                format!("{path}:test@0..21"),
                format!("{path}:test@5..6"),
                "asks for images 0 to 21, there are 20",
            ),
            (
                format!("{path}:all"),
                format!("{path}:test"),
                "has no split `all`; it has train and test",
            ),
        ];
        for (search, test, problem) in cases {
            let options = options(Some(path), Some(&search), Some(&test));
            let error = sets(&options, 0).unwrap_err();
            assert!(error.contains(problem), "expected {problem:?}, got: {error}");
        }
        let none = options(None, Some(path), Some(path));
        assert!(sets(&none, 0).unwrap_err().contains("no calibration images are named"));
    }
}
