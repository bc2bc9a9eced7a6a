//! What networks get right, and what may be lost.

use fixedwise_fixed::convert::{count_to_f64, count_to_u64};
use fixedwise_search::{
    ClassBound, ClassScore, Details, Figure, MaxLoss, Score, Unit, proportion95,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The loss that is allowed.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct MaxLossResult {
    /// A fraction: 0.01 is one percent or one percentage point.
    pub value: f64,
    /// `relative` (of the float accuracy), `points` (of all images), `sqnr-db` (at least so many dB between
    /// signal and noise at the outputs), or `metric`, `metric-points` or `metric-db` (of a metric or of what the
    /// user's command says: relative, of all, in dB).
    pub kind: String,
}

impl From<MaxLoss> for MaxLossResult {
    fn from(max_loss: MaxLoss) -> Self {
        let (value, kind) = match max_loss {
            MaxLoss::Relative(value) => (value, "relative"),
            MaxLoss::Points(value) => (value, "points"),
            MaxLoss::Sqnr(value) => (value, "sqnr-db"),
            MaxLoss::Metric { limit, unit } => (
                limit,
                match unit {
                    Unit::Relative => "metric",
                    Unit::Points => "metric-points",
                    Unit::Decibels => "metric-db",
                },
            ),
        };
        Self { value, kind: kind.to_owned() }
    }
}

/// Images of each set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ImagesResult {
    /// Without labels: they give the ranges.
    pub calibration: u64,
    /// They accept or refuse.
    pub search: u64,
    /// They are only reported.
    pub test: u64,
}

/// Accuracy on the two labeled sets.
#[derive(Clone, Copy, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct AccuracyResult {
    /// On the images that decided; absent where a plan was only evaluated.
    pub search: Option<SetResult>,
    /// On images that no decision has seen; absent where the run was interrupted before.
    pub test: Option<SetResult>,
}

/// Accuracy on one set, float and fixed on the same images.
#[derive(Clone, Copy, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct SetResult {
    /// Images.
    pub n: u64,
    /// Fraction the float network gets right.
    pub float: f64,
    /// Fraction the fixed-point network gets right.
    pub fixed: f64,
    /// Images the float network gets right.
    pub float_correct: u64,
    /// Images the fixed-point network gets right.
    pub fixed_correct: u64,
    /// `(float - fixed) / float`; negative where the fixed-point network is better.
    pub relative_loss: f64,
    /// Images that only the float network gets right.
    pub lost: u64,
    /// Images that only the fixed-point network gets right.
    pub gained: u64,
    /// 95 % confidence interval of `relative_loss`, from the paired difference.
    pub interval95: [f64; 2],
    /// Where outputs count as values: signal to quantization noise there, in dB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sqnr_db: Option<f64>,
    /// 95 % confidence interval of that, from the spread of the images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sqnr_interval95: Option<[f64; 2]>,
    /// Of ten classes or more: fractions of the images whose label is among the five likeliest classes of the
    /// float network and of the fixed-point one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top5: Option<[f64; 2]>,
    /// What the user's command says of the float network and of the fixed-point one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<[f64; 2]>,
    /// What both reach by a metric that is computed of all images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub figure: Option<FigureResult>,
}

/// What the float network and the fixed-point one reach by a metric; fractions where that is a part of all.
#[derive(Clone, Copy, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct FigureResult {
    /// Of the float network.
    pub float: f64,
    /// Of the fixed-point network.
    pub fixed: f64,
    /// 95 % interval of `float`, by bootstrap over images.
    pub float_interval95: [f64; 2],
    /// The same of `fixed`.
    pub fixed_interval95: [f64; 2],
    /// What is lost, in `unit`.
    pub loss: f64,
    /// 95 % interval of `loss`: the same images are drawn for both networks.
    pub loss_interval95: [f64; 2],
    /// What the loss is told in.
    pub unit: Unit,
    /// How often images are drawn for the intervals.
    pub resamples: u64,
    /// Of label maps: the fraction of places that each network names the label for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pixel_accuracy: Option<[f64; 2]>,
}

impl FigureResult {
    pub(crate) fn new(figure: &Figure, unit: Unit) -> Self {
        Self {
            float: figure.both[0],
            fixed: figure.both[1],
            float_interval95: figure.intervals95[0],
            fixed_interval95: figure.intervals95[1],
            loss: figure.loss,
            loss_interval95: figure.loss_interval95,
            unit,
            resamples: count_to_u64(Figure::RESAMPLES),
            pixel_accuracy: figure.accuracy,
        }
    }
}

impl SetResult {
    /// Where outputs count as values.
    pub(crate) fn of_sqnr(score: Score) -> Self {
        let (sqnr_db, interval) = (Some(score.sqnr_db()), Some(score.sqnr_interval95()));
        Self { sqnr_db, sqnr_interval95: interval, ..Self::from(score) }
    }
}

/// One of several outputs of a network: what the plan makes of it.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct OutputResult {
    /// As the model's file calls it.
    pub name: String,
    /// On the search images, as classes and as values; absent where a plan was only evaluated. Labels belong to
    /// the first output, others are compared with the class of the float network.
    pub search: Option<SetResult>,
    /// On the test images.
    pub test: Option<SetResult>,
}

impl OutputResult {
    /// Of a network with those outputs, by their scores; nothing of one output.
    pub(crate) fn all(names: &[String], search: &[Score], test: &[Score]) -> Vec<Self> {
        let set = |score: &Score| SetResult::of_sqnr(*score);
        let outputs = names.iter().enumerate().map(|(i, name)| Self {
            name: name.clone(),
            search: search.get(i).map(set),
            test: test.get(i).map(set),
        });
        if names.len() > 1 { outputs.collect() } else { Vec::new() }
    }
}

/// A class: what the float network and the plan make of the images with its label, of label maps of the places.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct ClassResult {
    /// The label.
    pub class: u64,
    /// What the class is called, where the data says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// On the search images; absent where none has the label, or a plan was only evaluated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<RecallResult>,
    /// On the test images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<RecallResult>,
}

/// The recall of a class.
#[derive(Clone, Copy, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct RecallResult {
    /// Images with the label; of label maps, places.
    pub n: u64,
    /// Fraction of them that the float network names the class for.
    pub float: f64,
    /// Fraction of them that the fixed-point network names the class for.
    pub fixed: f64,
    /// 95 % confidence interval of `fixed`; absent for places, which are not independent of each other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval95: Option<[f64; 2]>,
}

impl RecallResult {
    /// Of a class in a set.
    fn of(details: &Details, label: usize) -> Option<Self> {
        let score = details.classes.get(&label)?;
        let [float, fixed] = score.right.map(|right| share(right, score.n));
        let is_of_images = details.figure.is_none();
        let interval95 = is_of_images.then(|| proportion95(score.right[1], score.n));
        Some(Self { n: count_to_u64(score.n), float, fixed, interval95 })
    }
}

/// The bound on the loss of every class, and what it has come to.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct ClassBoundResult {
    /// The loss that was allowed.
    pub max_loss: MaxLossResult,
    /// Images of a class from which on it is judged.
    pub least_images: u64,
    /// On the search images; absent where a plan was only evaluated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<ClassLossResult>,
    /// On the test images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<ClassLossResult>,
}

/// The largest loss of a class.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct ClassLossResult {
    /// Whether every class that is judged keeps to the bound.
    pub is_met: bool,
    /// The label that loses most of those that are judged; absent where none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<u64>,
    /// Its loss, in the unit of the bound.
    pub loss: f64,
    /// Labels with too few images to be judged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_judged: Vec<u64>,
}

impl ClassBoundResult {
    pub(super) fn new(bound: ClassBound, search: &Details, test: &Details) -> Self {
        let of = |details: &Details| {
            let (judged, few): (Vec<_>, Vec<_>) =
                details.classes.iter().partition(|(_, score)| ClassBound::judges(score));
            let losses = judged.iter().map(|(label, score)| (**label, score.loss(bound.unit)));
            let most = losses.max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)));
            (!details.classes.is_empty()).then(|| ClassLossResult {
                is_met: bound.part(&details.classes, 0.0) <= 1.0,
                class: most.map(|(label, _)| count_to_u64(label)),
                loss: most.map_or(0.0, |(_, loss)| loss),
                not_judged: few.iter().map(|(label, _)| count_to_u64(**label)).collect(),
            })
        };
        let max_loss = match bound.unit {
            Unit::Points => MaxLoss::Points(bound.limit),
            Unit::Relative | Unit::Decibels => MaxLoss::Relative(bound.limit),
        };
        Self {
            max_loss: max_loss.into(),
            least_images: count_to_u64(ClassBound::LEAST_IMAGES),
            search: of(search),
            test: of(test),
        }
    }
}

impl ClassResult {
    /// Of each label of the two sets.
    pub(crate) fn all(names: &[String], search: &Details, test: &Details) -> Vec<Self> {
        let labels: BTreeSet<usize> =
            search.classes.keys().chain(test.classes.keys()).copied().collect();
        let class = |label: usize| Self {
            class: count_to_u64(label),
            name: names.get(label).cloned(),
            search: RecallResult::of(search, label),
            test: RecallResult::of(test, label),
        };
        labels.into_iter().map(class).collect()
    }
}

/// The fractions of top-5 classes in a set of ten classes or more.
pub(super) fn top5(details: &Details) -> Option<[f64; 2]> {
    const FEW: usize = 9;
    let sum = details.classes.values().fold(ClassScore::default(), |sum, class| sum.plus(class));
    (details.classes.len() > FEW && details.figure.is_none())
        .then(|| sum.top5.map(|right| share(right, sum.n)))
}

fn share(part: usize, n: usize) -> f64 {
    count_to_f64(part) / count_to_f64(n.max(1))
}

impl From<Score> for SetResult {
    fn from(score: Score) -> Self {
        Self {
            n: count_to_u64(score.n),
            float: score.float_accuracy(),
            fixed: score.accuracy(),
            float_correct: count_to_u64(score.float_correct),
            fixed_correct: count_to_u64(score.correct),
            relative_loss: score.relative_loss(),
            lost: count_to_u64(score.lost),
            gained: count_to_u64(score.gained),
            interval95: score.relative_interval95(),
            sqnr_db: None,
            sqnr_interval95: None,
            top5: None,
            metric: None,
            figure: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recall_is_told_by_class_and_top_5_of_many_classes() {
        let details = |classes: usize| {
            let score = ClassScore { n: 4, right: [3, 2], lost: 1, top5: [4, 3] };
            let classes = (0..classes).map(|class| (class, score)).collect();
            Details { classes, ..Details::default() }
        };
        let classes = ClassResult::all(&[], &Details::default(), &details(2));
        let interval95 = Some(proportion95(2, 4));
        let recall = RecallResult { n: 4, float: 0.75, fixed: 0.5, interval95 };
        let expected = ClassResult { class: 1, name: None, search: None, test: Some(recall) };
        assert_eq!((classes.len(), &classes[1]), (2, &expected));
        assert_eq!(top5(&details(9)), None);
        assert_eq!(top5(&details(10)), Some([1.0, 0.75]));
    }
}
