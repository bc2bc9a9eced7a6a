//! How good a plan is, and how good it has to be.

use crate::error::SearchError;
use fixedwise_fixed::convert::{count_to_f64, exp2, f64_to_i64, i64_to_f64, i128_to_f64};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Standard errors to either side that hold 95 % of a normal distribution.
const Z95: f64 = 1.959_963_984_540_054;

/// The outcome of a plan on a set of images, paired with the float network's.
///
/// Without labels "correct" means: as the float network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Score {
    /// Images the plan gets right.
    pub correct: usize,
    /// Images the float network gets right and the plan wrong.
    pub lost: usize,
    /// Images the float network gets wrong and the plan right.
    pub gained: usize,
    /// Images.
    pub n: usize,
    /// Images the float network gets right.
    pub float_correct: usize,
    /// What is lost by the float network's own account: over the images on which the plan decides
    /// otherwise, how much likelier the float network's class is, in units of 2^-32 images.
    ///
    /// Of far less variance than `lost - gained`, which says the same when the probabilities are
    /// right: they are scaled so that the labels are likeliest.
    #[serde(default)]
    pub expected: i64,
    /// The sum of the squares of that over the images, in the same units.
    #[serde(default)]
    pub expected_squares: i64,
    /// Where outputs count as values: over images, the squared difference from the float network's output
    /// against the mean sum of squares of that, in units of 2^-32.
    #[serde(default)]
    pub distortion: i64,
    /// The sum of the squares of that, in units of 2^-64: exact, so that the squares of small ones count.
    #[serde(default)]
    pub distortion_squares: i128,
}

impl Score {
    /// Fraction of images the plan gets right.
    pub fn accuracy(&self) -> f64 {
        ratio(self.correct, self.n)
    }

    /// Fraction of images the float network gets right.
    pub fn float_accuracy(&self) -> f64 {
        ratio(self.float_correct, self.n)
    }

    /// `(float - plan) / float`; negative where the plan is better.
    pub fn relative_loss(&self) -> f64 {
        relative_loss(self.float_correct, self.correct)
    }

    /// The relative loss that the float network's probabilities make likely; see
    /// [`Score::expected`].
    pub fn expected_relative_loss(&self) -> f64 {
        i64_to_f64(self.expected) * exp2(-32) / count_to_f64(self.float_correct.max(1))
    }

    /// Variance of [`Score::expected_relative_loss`] over other images: of which ones the plan decides otherwise,
    /// not of what the probabilities say of them.
    pub fn expected_variance(&self) -> f64 {
        let sum = i64_to_f64(self.expected) * exp2(-32);
        let squares = i64_to_f64(self.expected_squares) * exp2(-32);
        let variance = squares - sum * sum / count_to_f64(self.n.max(1));
        variance.max(0.0) / count_to_f64(self.float_correct.max(1)).powi(2)
    }

    /// Standard error of [`Score::relative_loss`], the float accuracy taken as known.
    pub fn relative_error(&self) -> f64 {
        let [low, high] = self.relative_interval95();
        (high - low) / (2.0 * Z95)
    }

    /// The same without the half images of [`Score::interval95`]: zero where nothing was lost or
    /// gained.
    pub fn relative_spread(&self) -> f64 {
        let shift = difference(self.lost, self.gained);
        let n = count_to_f64(self.n.max(1));
        let variance = count_to_f64(self.lost + self.gained) - shift * shift / n;
        variance.max(0.0).sqrt() / count_to_f64(self.float_correct.max(1))
    }

    /// `float - plan` as a fraction of all images: 0.005 is half a percentage point.
    pub fn points_loss(&self) -> f64 {
        difference(self.float_correct, self.correct) / count_to_f64(self.n.max(1))
    }

    /// 95 % confidence interval of [`Score::points_loss`].
    ///
    /// The Wald interval of a paired difference after half an image is added to each of the four
    /// cells of the two by two table, so that it has a width even where nothing was lost or gained.
    ///
    /// Source: Agresti and Min, "Simple improved confidence intervals for comparing matched
    /// proportions", Statistics in Medicine 24 (2005).
    pub fn interval95(&self) -> [f64; 2] {
        let n = count_to_f64(self.n) + 2.0;
        let discordant = count_to_f64(self.lost + self.gained) + 1.0;
        let shift = difference(self.lost, self.gained);
        let variance = (discordant - shift * shift / n) / (n * n);
        let (center, reach) = (shift / n, Z95 * variance.max(0.0).sqrt());
        [(center - reach).max(-1.0), (center + reach).min(1.0)]
    }

    /// 95 % confidence interval of [`Score::relative_loss`], the float accuracy taken as known.
    pub fn relative_interval95(&self) -> [f64; 2] {
        let float = self.float_accuracy();
        if float == 0.0 { [0.0, 0.0] } else { self.interval95().map(|bound| bound / float) }
    }

    /// Of one image that the float network and a plan get right or wrong; `expected` is as the field.
    pub(crate) fn of_image(float: bool, fixed: bool, expected: i64) -> Self {
        Self {
            correct: usize::from(fixed),
            lost: usize::from(float && !fixed),
            gained: usize::from(fixed && !float),
            n: 1,
            float_correct: usize::from(float),
            expected,
            expected_squares: square(expected),
            ..Self::default()
        }
    }

    /// Of one image by two of its outputs: it is right where both are.
    pub(crate) fn of_worse(self, other: Self) -> Self {
        let [float, fixed] =
            [self.float_correct + other.float_correct == 2, self.correct + other.correct == 2];
        Self::of_image(float, fixed, self.expected.max(other.expected))
    }

    /// The same of one image whose output is so far from the float network's.
    pub(crate) fn with_distortion(self, distortion: f64) -> Self {
        let distortion = f64_to_i64((distortion * exp2(32)).round());
        Self { distortion, distortion_squares: i128::from(distortion).pow(2), ..self }
    }

    /// Of a metric that falls by a `loss`, over `n` images; with the standard error of that, where it is known.
    pub fn of_loss(loss: f64, error: f64, n: usize) -> Self {
        let (loss, images) = (loss.clamp(-100.0, 100.0), count_to_f64(n));
        let distortion = f64_to_i64((loss * images * exp2(32)).round());
        // The variance of images of which the mean has that error.
        let squares = images * images.mul_add(error * error, loss * loss);
        let distortion_squares = i128::from(f64_to_i64((squares * exp2(32)).round())) << 32;
        Self { n, distortion, distortion_squares, ..Self::default() }
    }

    /// Noise against signal at the outputs, where these count as values.
    pub fn mean_distortion(&self) -> f64 {
        i64_to_f64(self.distortion) * exp2(-32) / count_to_f64(self.n.max(1))
    }

    /// Standard error of [`Score::mean_distortion`].
    pub fn distortion_error(&self) -> f64 {
        let n = count_to_f64(self.n.max(1));
        let mean = self.mean_distortion();
        let variance = i128_to_f64(self.distortion_squares) * exp2(-64) / n - mean * mean;
        (variance.max(0.0) / n).sqrt()
    }

    /// Signal to quantization noise at the outputs in dB: `10 log10(sum y^2 / sum (y - y')^2)`; infinite
    /// where all are equal.
    pub fn sqnr_db(&self) -> f64 {
        -10.0 * self.mean_distortion().log10()
    }

    /// 95 % confidence interval of [`Score::sqnr_db`], from the spread of the images.
    pub fn sqnr_interval95(&self) -> [f64; 2] {
        let (mean, reach) = (self.mean_distortion(), Z95 * self.distortion_error());
        // A distortion below what is told apart.
        let db = |distortion: f64| -10.0 * distortion.max(exp2(-64)).log10();
        [db(mean + reach), db(mean - reach)]
    }

    /// Both sets of images together.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            correct: self.correct + other.correct,
            lost: self.lost + other.lost,
            gained: self.gained + other.gained,
            n: self.n + other.n,
            float_correct: self.float_correct + other.float_correct,
            expected: self.expected + other.expected,
            expected_squares: self.expected_squares + other.expected_squares,
            distortion: self.distortion.saturating_add(other.distortion),
            distortion_squares: self.distortion_squares.saturating_add(other.distortion_squares),
        }
    }
}

/// The square of what one image is expected to lose, in units of 2^-32.
fn square(expected: i64) -> i64 {
    i64::try_from((i128::from(expected) * i128::from(expected)) >> 32).unwrap_or(i64::MAX)
}

/// 95 % confidence interval of a fraction.
///
/// Source: Wilson, "Probable inference, the law of succession, and statistical inference", 1927.
pub fn proportion95(part: usize, n: usize) -> [f64; 2] {
    let (n, p) = (count_to_f64(n.max(1)), ratio(part, n));
    let scale = 1.0 + Z95 * Z95 / n;
    let center = (p + Z95 * Z95 / (2.0 * n)) / scale;
    let reach = Z95 * (p * (1.0 - p) / n + Z95 * Z95 / (4.0 * n * n)).sqrt() / scale;
    [(center - reach).max(0.0), (center + reach).min(1.0)]
}

fn ratio(part: usize, whole: usize) -> f64 {
    count_to_f64(part) / count_to_f64(whole.max(1))
}

fn difference(a: usize, b: usize) -> f64 {
    count_to_f64(a) - count_to_f64(b)
}

fn relative_loss(float_correct: usize, correct: usize) -> f64 {
    difference(float_correct, correct) / count_to_f64(float_correct.max(1))
}

/// The fewest correct images with a relative loss of at most `loss`.
pub(crate) fn least_correct(float_correct: usize, loss: f64) -> usize {
    // The division decides, as it does for every score: bisect on it.
    let (mut low, mut high) = (0, float_correct.saturating_mul(2).max(1));
    if relative_loss(float_correct, high) > loss {
        return usize::MAX;
    }
    while low < high {
        let middle = low + (high - low) / 2;
        if relative_loss(float_correct, middle) <= loss { high = middle } else { low = middle + 1 }
    }
    low
}

/// What the float network and a plan reach by a metric, on images.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Of the float network and of the plan.
    pub both: [f64; 2],
    /// 95 % intervals of these, by bootstrap over images.
    pub intervals95: [[f64; 2]; 2],
    /// What the plan loses, in the unit of the bound.
    pub loss: f64,
    /// Its 95 % interval: of the same images for both networks.
    pub loss_interval95: [f64; 2],
    /// Standard error of the loss.
    pub error: f64,
    /// The share of single labels that both get right, where that is another figure.
    pub accuracy: Option<[f64; 2]>,
}

impl Figure {
    /// Resamples of the bootstrap: the ends of a 95 % interval have 25 of them beyond.
    pub const RESAMPLES: usize = 1000;
}

/// What a plan gives in detail, on images of a set.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct Details {
    /// Of each output, as classes and as values.
    pub outputs: Vec<Score>,
    /// Of the images of each label.
    pub classes: BTreeMap<usize, ClassScore>,
    /// Of the whole set, by a metric that is computed of all images.
    pub figure: Option<Figure>,
}

impl Details {
    /// Both sets of images together; a figure is of all and does not add up.
    pub(crate) fn add(&mut self, other: &Self) {
        self.outputs.resize(self.outputs.len().max(other.outputs.len()), Score::default());
        for (sum, score) in self.outputs.iter_mut().zip(&other.outputs) {
            *sum = sum.plus(score);
        }
        for (&class, score) in &other.classes {
            let sum = self.classes.entry(class).or_default();
            *sum = sum.plus(score);
        }
    }
}

/// What the float network and a plan make of the images of one label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ClassScore {
    /// Images.
    pub n: usize,
    /// Images that the float network and the plan name this class for.
    pub right: [usize; 2],
    /// Images that only the float network names this class for.
    pub lost: usize,
    /// Images that both have this class among the five likeliest for.
    pub top5: [usize; 2],
}

impl ClassScore {
    /// Both sets of images together.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        let both = |a: [usize; 2], b: [usize; 2]| [a[0] + b[0], a[1] + b[1]];
        Self {
            n: self.n + other.n,
            right: both(self.right, other.right),
            lost: self.lost + other.lost,
            top5: both(self.top5, other.top5),
        }
    }

    /// The loss of recall: of the images that the float network names the class for, or of all with the label.
    pub fn loss(&self, unit: Unit) -> f64 {
        difference(self.right[0], self.right[1]) / self.whole(unit)
    }

    /// Standard error of [`ClassScore::loss`], from the paired difference.
    pub fn error(&self, unit: Unit) -> f64 {
        let gained = (self.right[1] + self.lost).saturating_sub(self.right[0]);
        let shift = difference(self.lost, gained);
        let n = count_to_f64(self.n.max(1));
        let variance = count_to_f64(self.lost + gained) - shift * shift / n;
        variance.max(0.0).sqrt() / self.whole(unit)
    }

    fn whole(&self, unit: Unit) -> f64 {
        let whole = if unit == Unit::Relative { self.right[0] } else { self.n };
        count_to_f64(whole.max(1))
    }
}

/// What a loss is a part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Of what the float network reaches: 0.01 is one percent of it.
    #[default]
    Relative,
    /// Of all: 0.005 is half a percentage point.
    Points,
    /// Decibels.
    Decibels,
}

/// The loss of recall that is allowed in every class.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassBound {
    /// The loss.
    pub limit: f64,
    /// What it is a part of.
    pub unit: Unit,
}

impl ClassBound {
    /// Images of a class from which on it is judged: of fewer, one image is more than most bounds.
    pub const LEAST_IMAGES: usize = 20;

    /// Whether there are enough images of a class.
    pub fn judges(score: &ClassScore) -> bool {
        score.n >= Self::LEAST_IMAGES
    }

    /// Refuses images of which no class is judged.
    ///
    /// # Errors
    /// [`SearchError::Option`].
    pub fn check(labels: &BTreeMap<usize, ClassScore>) -> Result<(), SearchError> {
        if labels.values().any(Self::judges) {
            return Ok(());
        }
        let most = labels.values().map(|score| score.n).max().unwrap_or(0);
        let problem = if most == 0 {
            "needs images with a class number as label".to_owned()
        } else {
            format!(
                "judges classes with at least {} images, but no class has more than {most}: give more \
                 images",
                Self::LEAST_IMAGES
            )
        };
        Err(SearchError::Option { option: "max-class-loss", problem })
    }

    /// The part of the bound that the worst class takes, with so many standard errors added to its loss: at most 1
    /// where all keep to it.
    pub fn part(&self, classes: &BTreeMap<usize, ClassScore>, errors: f64) -> f64 {
        let judged = classes.values().filter(|score| Self::judges(score));
        let held =
            judged.map(|score| errors.mul_add(score.error(self.unit), score.loss(self.unit)));
        // A bound of nothing is kept by no loss alone.
        held.fold(0.0, f64::max) / self.limit.max(1e-15)
    }
}

/// The loss of accuracy that is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaxLoss {
    /// Of the float network's accuracy: 0.01 is one percent of it.
    Relative(f64),
    /// Of all images: 0.005 is half a percentage point.
    Points(f64),
    /// Outputs count as values: at least so many dB between signal and noise, [`Score::sqnr_db`].
    Sqnr(f64),
    /// Of a metric that is computed of all images, or of what a command of the user's says of the outputs.
    Metric {
        /// The loss.
        limit: f64,
        /// What it is a part of, or decibels.
        unit: Unit,
    },
}

impl MaxLoss {
    /// Whether a score keeps to it.
    pub fn is_met(&self, score: &Score) -> bool {
        match *self {
            Self::Relative(limit) => score.relative_loss() <= limit,
            Self::Points(limit) => score.points_loss() <= limit,
            Self::Sqnr(db) => score.sqnr_db() >= db,
            Self::Metric { limit, .. } => score.mean_distortion() <= limit,
        }
    }

    /// Whether the upper end of the score's 95 % confidence interval keeps to it.
    pub fn is_met_with_confidence(&self, score: &Score) -> bool {
        match *self {
            Self::Relative(limit) => score.relative_interval95()[1] <= limit,
            Self::Points(limit) => score.interval95()[1] <= limit,
            Self::Sqnr(_) | Self::Metric { .. } => self.is_met(score),
        }
    }

    /// The same bound relative to a float network that gets `float_correct` of `n` images right.
    pub fn as_relative(&self, float_correct: usize, n: usize) -> f64 {
        match *self {
            Self::Relative(limit) | Self::Metric { limit, .. } => limit,
            Self::Points(limit) => limit * count_to_f64(n) / count_to_f64(float_correct.max(1)),
            Self::Sqnr(db) => 10.0_f64.powf(-db / 10.0),
        }
    }

    /// Whether outputs count as values, not as classes.
    pub const fn is_of_values(&self) -> bool {
        matches!(self, Self::Sqnr(_) | Self::Metric { .. })
    }
}

impl Default for MaxLoss {
    /// The paper's: one percent, relative.
    fn default() -> Self {
        Self::Relative(0.01)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn score(float_correct: usize, lost: usize, gained: usize, n: usize) -> Score {
        Score {
            correct: float_correct - lost + gained,
            lost,
            gained,
            n,
            float_correct,
            ..Score::default()
        }
    }

    #[test]
    fn losses_are_as_the_paper_counts_them() {
        // Sequential Fashion: 9247 float, 9163 fixed, 0.908 %.
        let fashion = score(9247, 100, 16, 10_000);
        assert!((fashion.relative_loss() - 0.009_084).abs() < 1e-6);
        assert!((fashion.points_loss() - 0.0084).abs() < 1e-12);
        assert!(MaxLoss::Relative(0.01).is_met(&fashion));
        assert!(MaxLoss::Points(0.0084).is_met(&fashion));
        assert!(!MaxLoss::Points(0.0083).is_met(&fashion));
    }

    #[test]
    fn the_interval_holds_the_difference_and_narrows() {
        let few = score(920, 30, 10, 1000).interval95();
        let many = score(92_000, 3000, 1000, 100_000).interval95();
        for [low, high] in [few, many] {
            assert!(low < 0.02 && 0.02 < high, "{low} {high}");
        }
        assert!(many[1] - many[0] < few[1] - few[0]);
        let [low, high] = score(920, 0, 0, 1000).interval95();
        assert!(low < 0.0 && 0.0 < high, "nothing lost is not certainty");
    }

    #[test]
    fn small_distortions_have_a_spread_too() {
        // Half of the images at 1e-6, half at 3e-6: 2e-6 on average, 1e-6 to either side.
        let of = |distortion: f64| Score::default().with_distortion(distortion);
        let all = (0..50).fold(Score { n: 100, ..Score::default() }, |sum, _| {
            sum.plus(&of(1e-6)).plus(&of(3e-6))
        });
        assert!((all.mean_distortion() - 2e-6).abs() < 1e-9);
        assert!((all.distortion_error() - 1e-7).abs() < 1e-10, "{}", all.distortion_error());
        let line = serde_json::to_string(&all).unwrap();
        assert_eq!(serde_json::from_str::<Score>(&line).unwrap(), all);
        // As much as there is of one image, many times.
        let most = (0..1000).fold(Score::default(), |sum, _| sum.plus(&of(100.0)));
        assert_eq!(most.distortion_squares, 1000 * (100_i128 << 32).pow(2));
    }

    #[test]
    fn a_loss_has_its_error() {
        for (loss, error) in [(0.012, 0.004), (-0.3, 0.0), (2.5, 0.7)] {
            let score = Score::of_loss(loss, error, 500);
            assert!((score.mean_distortion() - loss).abs() < 1e-9, "{score:?}");
            assert!(
                (score.distortion_error() - error).abs() < 1e-4,
                "{}",
                score.distortion_error()
            );
        }
    }

    #[test]
    fn the_worst_class_that_is_judged_takes_the_most_of_its_bound() {
        let class = |n: usize, float: usize, lost: usize, gained: usize| ClassScore {
            n,
            right: [float, float + gained - lost],
            lost,
            ..ClassScore::default()
        };
        let mut classes = BTreeMap::from([(0, class(100, 80, 5, 1)), (1, class(50, 50, 2, 0))]);
        let bound = |unit| ClassBound { limit: 0.1, unit };
        assert!((bound(Unit::Relative).part(&classes, 0.0) - 0.5).abs() < 1e-12);
        assert!((bound(Unit::Points).part(&classes, 0.0) - 0.4).abs() < 1e-12);
        // Standard errors are sqrt(6 - 16 / 100) / 80 and sqrt(2 - 4 / 50) / 50.
        let held = bound(Unit::Relative).part(&classes, 1.0);
        assert!((held - 10.0 * (0.05 + 5.84_f64.sqrt() / 80.0)).abs() < 1e-12, "{held}");
        // A class with few images is not judged, whatever it loses.
        classes.insert(2, class(ClassBound::LEAST_IMAGES - 1, 10, 10, 0));
        assert!((bound(Unit::Relative).part(&classes, 0.0) - 0.5).abs() < 1e-12);
        classes.insert(2, class(ClassBound::LEAST_IMAGES, 10, 10, 0));
        assert!((bound(Unit::Relative).part(&classes, 0.0) - 10.0).abs() < 1e-12);
        let few = BTreeMap::from([(3, class(19, 9, 0, 0))]);
        assert!(
            ClassBound::check(&few).unwrap_err().to_string().contains("no class has more than 19")
        );
    }

    proptest! {
        #[test]
        fn least_correct_is_where_the_loss_begins(
            float_correct in 1_usize..20_000, loss in -0.2_f64..1.2,
        ) {
            let least = least_correct(float_correct, loss);
            prop_assert!(relative_loss(float_correct, least) <= loss);
            if least > 0 {
                prop_assert!(relative_loss(float_correct, least - 1) > loss);
            }
        }
    }
}
