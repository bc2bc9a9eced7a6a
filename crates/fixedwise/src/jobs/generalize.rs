//! Whether a plan keeps its bound on parts of a data set that it was not tuned on.
//!
//! Source: the generalization check of the code of Goyal, Vanschoren, van Acht, Nijssen, arXiv
//! 2102.02147 (2021): quarters of the test images.

use super::{
    first::{Checks, First, first},
    measure::{input_formats, measure},
    options::{QuantizeOptions, Tune},
    quantize::{Outcome, quantize_observed},
    threads::pool,
};
use crate::{
    data::{DataOptions, DataSource, Declared, Reported, Sets, Split},
    error::{DataError, Error},
    files::{OutputFolder, write_file},
    model::{Model, ModelSource},
    plan::{PlanSource, open_model, read_own_plan},
    result::{AGREEMENT, Ended, Generalization, PartResult, SeedResult, Spread},
    watch::{Observer, Progress, Step},
};
use fixedwise_fixed::{Format, convert::count_to_u64};
use fixedwise_graph::{Plan, Target};
use fixedwise_kernels::Kernels;
use fixedwise_search::{Images, MaxLoss, Predictions, Score};
use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
    time::Instant,
};

/// Most parts.
const MAX_PARTS: usize = 1000;

/// What [`generalize`] is asked for, beside the model and the data.
#[derive(Clone, Debug, PartialEq)]
pub struct GeneralizeOptions {
    /// Consecutive equal parts of the test split, from 2 on.
    pub parts: usize,
    /// The one that is tuned on, the first being 1.
    pub tune: usize,
    /// Searches, each with the next seed and on the next part; their files, but for those of the first, go to
    /// `seed-N` of the folder.
    pub seeds: usize,
    /// A plan to measure; without one it is searched on the part that is tuned on.
    pub plan: Option<PathBuf>,
    /// How it is searched, and where files go: as [`crate::quantize`] writes them, and
    /// `generalize.json`. With a plan that exists, the bound, the threads and the folder matter.
    pub quantize: QuantizeOptions,
}

impl Default for GeneralizeOptions {
    /// Quarters, tuned on the first.
    fn default() -> Self {
        Self { parts: 4, tune: 1, seeds: 1, plan: None, quantize: QuantizeOptions::default() }
    }
}

/// What [`generalize`] found.
#[derive(Clone, Debug, PartialEq)]
pub struct Generalized {
    /// The plan that was measured.
    pub plan: Plan,
    /// What it gives: `generalize.json`.
    pub result: Generalization,
}

/// Tunes a plan on one part of the test images and measures it on every part; or measures a plan
/// that exists.
///
/// [`DataOptions::data`] names the images; the first 2,000 of its train split calibrate, unless
/// [`DataOptions::calibration`] names others.
///
/// # Errors
/// [`Error`] for a model, data, plan or options that cannot be used, and files that cannot be
/// written. A bound out of reach is not an error.
///
/// ```
/// # fn main() -> Result<(), fixedwise::Error> {
/// # let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
/// use fixedwise::{DataOptions, GeneralizeOptions, QuantizeOptions, Strategy, generalize};
///
/// let folder = format!("{root}/data/fashion-mnist");
/// let data = DataOptions {
///     data: Some(format!("{folder}:test@0..200").parse()?),
///     calibration: Some(format!("{folder}:train@0..50").parse()?),
///     ..DataOptions::default()
/// };
/// let strategy = Strategy::Fixed { bits: 8 };
/// let quantize = QuantizeOptions { strategy, ..QuantizeOptions::default() };
/// let options = GeneralizeOptions { quantize, ..GeneralizeOptions::default() };
/// let model = format!("{root}/models/fashion_small.onnx");
/// let found = generalize(model.as_ref(), &data, &options)?;
/// assert_eq!((found.result.parts.len(), found.result.unseen.n), (4, 150));
/// # Ok(())
/// # }
/// ```
pub fn generalize(
    model: &Path,
    data: &DataOptions,
    options: &GeneralizeOptions,
) -> Result<Generalized, Error> {
    generalize_observed(model, data, options, &(), &AtomicBool::new(false))
}

/// As [`generalize`], watched by `observer`; raising `stop` ends the search with the best so far.
///
/// # Errors
/// As [`generalize`].
///
/// ```
/// # fn main() -> Result<(), fixedwise::Error> {
/// # let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
/// # let folder = tempfile::tempdir().expect("a temporary folder");
/// # let plan = folder.path().join("plan.json");
/// use fixedwise::{DataOptions, GeneralizeOptions, Progress, generalize_observed};
/// use std::sync::atomic::AtomicBool;
///
/// let text = r#"{"weights": {"conv2d_2": [8, 8]}, "biases": {}, "activations": {}}"#;
/// std::fs::write(&plan, text).expect("writable");
/// let data = DataOptions {
///     data: Some(format!("{root}/data/fashion-mnist:test@0..60").parse()?),
///     ..DataOptions::default()
/// };
/// let options = GeneralizeOptions { parts: 3, plan: Some(plan), ..Default::default() };
/// let model = format!("{root}/models/fashion_small.onnx");
/// let watch = |_: &Progress| ();
/// let stop = AtomicBool::new(false);
/// let found = generalize_observed(model.as_ref(), &data, &options, &watch, &stop)?;
/// assert!(found.result.parts.iter().all(|part| !part.tuned && part.accuracy.n == 20));
/// # Ok(())
/// # }
/// ```
pub fn generalize_observed(
    model: &Path,
    data: &DataOptions,
    options: &GeneralizeOptions,
    observer: &dyn Observer,
    stop: &AtomicBool,
) -> Result<Generalized, Error> {
    let start = Instant::now();
    let tell = |step| {
        observer.progress(&Progress { seconds: start.elapsed().as_secs_f64(), step });
    };
    check(data, options)?;
    tell(Step::Loading);
    let source = test_source(data)?;
    let named =
        DataOptions { test: Some(source.clone()), search: None, data: None, ..data.clone() };
    let earlier = options.quantize.earlier_plan();
    let given = options.plan.as_deref().or(earlier.as_deref()).map(PlanSource::File);
    let (architecture, interface) =
        (options.quantize.architecture.as_deref(), &options.quantize.interface);
    let mut loaded = open_model(ModelSource::File(model, architecture, interface), given)?;
    let declared = data.declared(&loaded, given)?;
    let images = Sets::load_test(&named, &loaded, declared.clone())?;
    images.images.only_classes("generalize")?;
    loaded = loaded.with_preprocessing(&images)?;
    let ranges = parts(images.len(), options.parts)?;
    let folder = options.quantize.output.as_deref().map(OutputFolder::prepare).transpose()?;

    let mut result = Generalization::default();
    if images.images.label(0).is_none() {
        AGREEMENT.clone_into(&mut result.metric);
    }
    let target = options.quantize.target.as_ref();
    let measured = |plan: &Plan, result: &mut Generalization| {
        tell(Step::Testing { images: images.len() });
        pool(options.quantize.threads)?
            .install(|| scores(&loaded, &images, &ranges, plan, target, result))
    };
    let (plan, scores) = if let Some(path) = &options.plan {
        "given".clone_into(&mut result.strategy);
        let plan = read_own_plan(path, &loaded, None)?;
        let inputs = input_formats(loaded.graph(), &plan);
        let first = pool(options.quantize.threads)?
            .install(|| measure_float(&loaded, &images, data.expect, inputs))?;
        tell(first.step());
        (result.preprocessing, result.float_network) =
            (Some(first.preprocessing), Some(first.float));
        let scores = measured(&plan, &mut result)?;
        (plan, scores)
    } else {
        let divided = Divided { source: &source, model: &loaded, declared, ranges: &ranges };
        let search = |data: &DataOptions, asked: &QuantizeOptions| {
            quantize_observed(model, data, asked, observer, stop)
        };
        let (found, scores) = searched(data, options, &divided, &search, &measured, &mut result)?;
        result.strategy = found.result.strategy;
        result.preprocessing = found.result.preprocessing;
        result.float_network = found.result.float_network;
        result.ended = found.result.ended;
        result.spread = Spread::of(&result.seeds);
        (found.plan, scores)
    };

    let max_loss = options.quantize.max_loss;
    let first = source.range.as_ref().map_or(0, |range| range.start);
    let tuned = options.plan.is_none().then(|| options.tune - 1);
    result.unseen = apart(&scores, tuned).1.into();
    for (idx, (range, score)) in ranges.iter().zip(scores).enumerate() {
        result.parts.push(PartResult {
            from: count_to_u64(first + range.start),
            to: count_to_u64(first + range.end),
            tuned: tuned == Some(idx),
            bound_met: max_loss.is_met(&score),
            accuracy: score.into(),
        });
    }
    result.max_loss = max_loss.into();
    let decides = |part: &&PartResult| part.tuned || options.plan.is_some();
    let of_seeds = result.seeds.iter().map(|seed| seed.bound_met);
    let of_parts = result.parts.iter().filter(decides).map(|part| part.bound_met);
    result.bound_met = of_parts.chain(of_seeds).all(|met| met);
    plan.semantics.name().clone_into(&mut result.semantics);
    result.seconds = start.elapsed().as_secs_f64();
    if let Some(folder) = &folder {
        let path = folder.path().join("generalize.json");
        write_file(&path, result.to_json().as_bytes())?;
    }
    Ok(Generalized { plan, result })
}

fn check(data: &DataOptions, options: &GeneralizeOptions) -> Result<(), Error> {
    let refuse = |option, problem| Err(Error::Option { option, problem });
    let GeneralizeOptions { parts, tune, .. } = *options;
    if !(2..=MAX_PARTS).contains(&parts) {
        return refuse("parts", format!("is {parts}; allowed: 2 to {MAX_PARTS}"));
    }
    if !(1..=parts).contains(&tune) {
        return refuse("tune", format!("is {tune}; the parts are 1 to {parts}"));
    }
    if options.seeds == 0 {
        return refuse("seeds", "is 0; the least is 1".to_owned());
    }
    if options.seeds > 1 && options.plan.is_some() {
        return refuse("seeds", "has no meaning for a plan that is only measured".to_owned());
    }
    for (source, option) in [(&data.search, "search"), (&data.test, "test")] {
        if source.is_some() {
            let problem = "has no meaning here: search and test use the parts of `data`";
            return refuse(option, problem.to_owned());
        }
    }
    Ok(())
}

/// Images in parts, and the network that they are for.
struct Divided<'a> {
    source: &'a DataSource,
    model: &'a Model,
    declared: Declared,
    ranges: &'a [Range<usize>],
}

/// Measures a plan on each part.
type Measured<'a> = dyn Fn(&Plan, &mut Generalization) -> Result<Vec<Score>, Error> + 'a;

/// A search for each seed: what the first one found, and its plan on each part.
fn searched(
    data: &DataOptions,
    options: &GeneralizeOptions,
    divided: &Divided,
    search: &dyn Fn(&DataOptions, &QuantizeOptions) -> Result<Outcome, Error>,
    measured: &Measured,
    result: &mut Generalization,
) -> Result<(Outcome, Vec<Score>), Error> {
    let is_tuned = options.quantize.tune != Tune::None;
    let mut first = None;
    for idx in 0..options.seeds {
        let part = (options.tune - 1 + idx) % options.parts + 1;
        let sets = tuned_data(data, divided, part, is_tuned)?;
        let asked = with_seed(&options.quantize, idx);
        let found = search(&sets, &asked)?;
        let scores = measured(&found.plan, result)?;
        if options.seeds > 1 {
            let (tuned, unseen) = apart(&scores, Some(part - 1));
            result.seeds.push(SeedResult {
                seed: asked.seed,
                part,
                memory_reduction: found.result.memory_bits.reduction,
                operand_reduction: found.result.multiplication_cost.operand_reduction,
                bound_met: options.quantize.max_loss.is_met(&tuned),
                tuned: tuned.into(),
                unseen: unseen.into(),
            });
        }
        let is_ended = found.result.ended != Ended::Completed;
        first.get_or_insert((found, scores));
        if is_ended {
            break;
        }
    }
    Ok(first.expect("there is at least one seed"))
}

/// The options of a search with another seed.
fn with_seed(options: &QuantizeOptions, idx: usize) -> QuantizeOptions {
    let mut asked = options.clone();
    asked.seed = options.seed.wrapping_add(count_to_u64(idx));
    if idx > 0 {
        let folder = asked.output.take();
        asked.output = folder.map(|folder| folder.join(format!("seed-{}", asked.seed)));
    }
    asked
}

/// The part that was tuned on, and all others together.
fn apart(scores: &[Score], tuned: Option<usize>) -> (Score, Score) {
    let (mut own, mut unseen) = (Score::default(), Score::default());
    for (idx, score) in scores.iter().enumerate() {
        let sum = if tuned == Some(idx) { &mut own } else { &mut unseen };
        *sum = sum.plus(score);
    }
    (own, unseen)
}

/// The labeled images that are divided.
fn test_source(data: &DataOptions) -> Result<DataSource, Error> {
    let Some(source) = &data.data else {
        let problem = "no images are given; use `--data`";
        return Err(DataError::Missing(problem.to_owned()).into());
    };
    let split = match source.split {
        Some(split) => Some(split),
        None => source.origin.splits()?.into_iter().find(|&split| split == Split::Test),
    };
    Ok(DataSource { split, ..source.clone() })
}

/// `count` consecutive parts of `n` images; their sizes differ by one at most.
fn parts(n: usize, count: usize) -> Result<Vec<Range<usize>>, Error> {
    if n < count {
        let problem = format!("is {count}; there are only {n} images");
        return Err(Error::Option { option: "parts", problem });
    }
    Ok((0..count).map(|i| n * i / count..n * (i + 1) / count).collect())
}

/// The sets of a search on one part.
fn tuned_data(
    data: &DataOptions,
    divided: &Divided,
    tune: usize,
    is_tuned: bool,
) -> Result<DataOptions, Error> {
    let &Divided { source, model, ref declared, ranges } = divided;
    let first = source.range.as_ref().map_or(0, |range| range.start);
    let at = |range: Range<usize>| DataSource {
        range: Some(first + range.start..first + range.end),
        ..source.clone()
    };
    let searched = ranges[tune - 1].clone();
    // What `quantize` reports on itself: the longer run of images beside the part.
    let (before, after) = (0..searched.start, searched.end..ranges[ranges.len() - 1].end);
    let test = if before.len() > after.len() { before } else { after };
    let calibration = if data.stated_ranges {
        None
    } else if let Some(named) = &data.calibration {
        Some(named.clone())
    } else {
        if !source.origin.splits()?.contains(&Split::Train) || source.split == Some(Split::Train) {
            let problem = format!("no calibration images for `{source}`; use `--calibration`");
            return Err(DataError::Missing(problem).into());
        }
        let train = DataSource { split: Some(Split::Train), range: None, ..source.clone() };
        let train = DataOptions { data: Some(train), ..data.clone() };
        // As many as calibrate where nothing is said.
        let n = Sets::load_calibration(&train, model, declared.clone())?.len();
        Some(DataSource { split: Some(Split::Train), range: Some(0..n), ..source.clone() })
    };
    let mut unlabeled = data.unlabeled.clone();
    if unlabeled.is_none()
        && is_tuned
        && source.split != Some(Split::Train)
        && source.origin.splits()?.contains(&Split::Train)
    {
        unlabeled = Some(DataSource { split: Some(Split::Train), range: None, ..source.clone() });
    }
    Ok(DataOptions {
        data: None,
        unlabeled,
        calibration,
        search: Some(at(searched)),
        test: Some(at(test)),
        ..data.clone()
    })
}

/// The float network on all images.
fn measure_float(
    model: &Model,
    images: &Reported,
    expect: Option<f64>,
    inputs: Option<Vec<Format>>,
) -> Result<First, Error> {
    let go_on = AtomicBool::new(false);
    let predictions = Predictions::new(model.graph(), &images.images, Kernels::best(), &go_on)?;
    let asked = Checks { is_of_values: false, expect, is_searched: false, inputs };
    first(model, &images.images, images, &predictions, &asked)
}

/// The plan on each part.
fn scores(
    model: &Model,
    images: &Reported,
    ranges: &[Range<usize>],
    plan: &Plan,
    target: Option<&Target>,
    result: &mut Generalization,
) -> Result<Vec<Score>, Error> {
    result.model = model.result();
    let graph = model.prepared(plan.semantics)?;
    let kernels = Kernels::best();
    let score = |range: &Range<usize>| {
        let part = Part { images: &images.images, range: range.clone() };
        let bound = MaxLoss::default();
        measure(bound, model.graph(), &graph, plan, &part, target, kernels)
            .map(|measured| measured.score)
    };
    ranges.iter().map(score).collect()
}

/// Consecutive images of a set.
struct Part<'a> {
    images: &'a dyn Images,
    range: Range<usize>,
}

impl Images for Part<'_> {
    fn len(&self) -> usize {
        self.range.len()
    }

    fn image(&self, idx: usize, out: &mut [f32]) {
        self.images.image(self.range.start + idx, out);
    }

    fn label(&self, idx: usize) -> Option<usize> {
        self.images.label(self.range.start + idx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_consecutive_and_equal() {
        assert_eq!(parts(10_000, 4).unwrap()[2], 5000..7500);
        let uneven = parts(11, 4).unwrap();
        assert_eq!(uneven, [0..2, 2..5, 5..8, 8..11]);
        assert!(parts(3, 4).unwrap_err().to_string().contains("only 3 images"));
    }
}
