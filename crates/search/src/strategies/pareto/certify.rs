//! Whether a measured loss lets a plan be promised.

use super::options::ParetoOptions;
use crate::{error::SearchError, score::Score, strategies::outcome::Held, tuning::Tuning};
use fixedwise_fixed::convert::{count_to_f64, f64_to_count, f64_to_i64, i64_to_f64};

/// A bound that is told apart from zero: far below any that is asked.
const LEAST: f64 = 1e-15;

/// Holds losses against a bound.
pub(super) struct Certificate {
    /// The bound, relative.
    limit: f64,
    confidence: Option<f64>,
    /// Whether outputs count as values, not as classes.
    is_of_values: bool,
    n: usize,
    float_correct: usize,
    looks: u32,
    /// [`crate::Tuning::distance`].
    distance: f64,
    /// [`crate::Tuning::likely_distance`].
    likely_distance: f64,
    /// [`crate::Tuning::counted`].
    counted: f64,
    /// [`crate::Oracle::expected_error`].
    expected_error: Option<f64>,
    /// [`crate::Tuning::stages`].
    stages: Vec<usize>,
}

impl Certificate {
    /// `looks` at these search images went before.
    pub(super) fn new(
        options: &ParetoOptions,
        (n, float_correct): (usize, usize),
        expected_error: Option<f64>,
        looks: u32,
    ) -> Result<Self, SearchError> {
        let limit = options.max_loss.as_relative(float_correct, n);
        let confidence = options.confidence;
        if let Some(confidence) = confidence.filter(|_| !options.max_loss.is_of_values()) {
            // With not one image lost the interval still has a width: about 1 / (n + 2).
            let needed = quantile(1.0 - (1.0 - confidence) / 2.0) / limit.max(1e-9);
            if count_to_f64(n) < needed {
                let problem = format!(
                    "is {confidence}: for a loss bound of {:.3} % this needs at least {} search \
                     images, but there are only {n}; give more with --search, or allow a larger \
                     loss",
                    100.0 * limit,
                    f64_to_count(needed.ceil()),
                );
                return Err(SearchError::Option { option: "confidence", problem });
            }
        }
        let is_of_values = options.max_loss.is_of_values();
        let &Tuning { distance, likely_distance, counted, ref stages, .. } = &options.tuning;
        let stages = stages.clone();
        Ok(Self {
            limit,
            confidence,
            is_of_values,
            n,
            float_correct,
            looks,
            distance,
            likely_distance,
            counted,
            expected_error,
            stages,
        })
    }

    /// The bound, relative.
    pub(super) const fn limit(&self) -> f64 {
        self.limit
    }

    /// How many images are run before a plan's answer may be clear, one after the other, all at last. The
    /// first are those whose labels the float network misses, which alone can be gained.
    pub(super) fn stages(&self) -> Vec<usize> {
        if self.is_of_values {
            return vec![self.n];
        }
        let missed = self.n - self.float_correct;
        let part = |part: usize| missed + (self.n - missed).div_ceil(part);
        self.stages.iter().copied().map(part).collect()
    }

    /// What is held against the bound where that is clear from the first images: `before` and `now` are
    /// the scores at two stages.
    ///
    /// What is left can only lose, so that a loss beyond the bound stays one. Within it stays what would
    /// even if each image that is left were as likely to be lost as those between the stages, though the
    /// float network is surer of it; not where a confidence is asked for.
    pub(super) fn early(&self, before: &Score, now: &Score) -> Option<f64> {
        let looks = self.looks.saturating_add(1);
        let least = self.held_of(&self.projected(now, [0, 0], [0, 0]), looks);
        let between = now.n.saturating_sub(before.n);
        if before.n == 0 || between == 0 {
            return (least > self.limit).then_some(least);
        }
        let left = self.n - now.n;
        let more = |count: usize| (count * left).div_ceil(between);
        let lost = [more(now.lost - before.lost), more(now.gained - before.gained)];
        let part = count_to_f64(left) / count_to_f64(between);
        let scaled = |sum: i64| f64_to_i64(i64_to_f64(sum) * part).max(0);
        let expected = [
            scaled(now.expected - before.expected),
            scaled(now.expected_squares - before.expected_squares),
        ];
        let most = self.held_of(&self.projected(now, lost, expected), looks);
        let is_clear = least > self.limit || most <= self.limit && self.confidence.is_none();
        is_clear.then_some(most)
    }

    /// The score of all images, where those that are left lose and gain so many.
    fn projected(&self, now: &Score, [lost, gained]: [usize; 2], expected: [i64; 2]) -> Score {
        let (lost, gained) = (now.lost + lost, now.gained + gained);
        Score {
            correct: (self.float_correct + gained).saturating_sub(lost),
            lost,
            gained,
            n: self.n,
            float_correct: self.float_correct,
            expected: now.expected.saturating_add(expected[0]),
            expected_squares: now.expected_squares.saturating_add(expected[1]),
            ..*now
        }
    }

    /// The part of the bound that a loss takes: at most 1 where it keeps to it.
    pub(super) fn part(&self, held: f64) -> f64 {
        held / self.limit.max(LEAST)
    }

    /// What is held against the bound: the loss of a plan with that score, relative, with what is asked
    /// of certainty. Counts as a look at the search images.
    pub(super) fn held(&mut self, score: &Score) -> f64 {
        self.looks = self.looks.saturating_add(1);
        self.held_of(score, self.looks)
    }

    /// The same for a plan that was looked at before.
    pub(super) fn known(&self, score: &Score) -> f64 {
        self.held_of(score, self.looks)
    }

    /// Standard errors that the loss of a class keeps from its bound, at the next look.
    pub(super) fn class_errors(&self) -> f64 {
        self.errors(self.looks.saturating_add(1)).unwrap_or(self.distance)
    }

    /// What is held against the bound, of a loss and of the part of its own bound that the worst class takes.
    pub(super) fn with_class(&self, held: f64, part: Option<f64>) -> f64 {
        part.map_or(held, |part| held.max(part * self.limit.max(LEAST)))
    }

    /// What is held against the bound of a plan that was looked at before, part by part; `None` for values.
    pub(super) fn parts(&self, score: &Score) -> Option<Held> {
        if self.is_of_values {
            return None;
        }
        let [likely, margin] = self.likely_and_margin(score, self.looks);
        let (limit, counted, images) = (self.limit, score.relative_loss(), score.n);
        Some(Held { limit, counted, likely, margin, images, is_narrowest: false })
    }

    fn held_of(&self, score: &Score, looks: u32) -> f64 {
        if self.is_of_values {
            let distance = self.errors(looks).unwrap_or(self.distance);
            return distance.mul_add(score.distortion_error(), score.mean_distortion());
        }
        let [likely, margin] = self.likely_and_margin(score, looks);
        score.relative_loss().max(likely + margin)
    }

    /// With a confidence, the standard errors that are kept.
    fn errors(&self, looks: u32) -> Option<f64> {
        // The first look may spend half of the doubt, the second a sixth, and so on: in all no more than
        // there is.
        let look = f64::from(looks);
        self.confidence.map(|c| quantile(1.0 - (1.0 - c) / (look * (look + 1.0))))
    }

    /// The likely loss, and the standard errors of it that are kept.
    fn likely_and_margin(&self, score: &Score, looks: u32) -> [f64; 2] {
        let loss = score.relative_loss();
        if let Some(errors) = self.errors(looks) {
            return [loss, errors * score.relative_error()];
        }
        let expected = score.expected_relative_loss();
        let spread = score.relative_spread();
        let Some(error) = self.expected_error else {
            let likely = self.counted.mul_add(loss - expected, expected);
            return [likely, self.distance * spread];
        };
        // Two measurements of one loss. They share which images the plan decides otherwise; beyond that, the counted
        // one has the noise of their labels, the expected one what is not known of the probabilities.
        let shared = score.expected_variance();
        let noise = (spread * spread - shared).max(0.0);
        let doubt = (error * expected).powi(2);
        let both = noise + doubt;
        let part = if both > 0.0 { doubt / both } else { 1.0 };
        let likely = part.mul_add(loss - expected, expected);
        [likely, self.likely_distance * part.mul_add(noise, shared).sqrt()]
    }
}

/// The quantile of the normal distribution.
///
/// Source: Abramowitz and Stegun, 26.2.23; its error is below 0.00045.
fn quantile(p: f64) -> f64 {
    if p < 0.5 {
        return -quantile(1.0 - p);
    }
    let t = (-2.0 * (1.0 - p).max(1e-300).ln()).sqrt();
    let above = t.mul_add(t.mul_add(0.010_328, 0.802_853), 2.515_517);
    let below = t.mul_add(t.mul_add(t.mul_add(0.001_308, 0.189_269), 1.432_788), 1.0);
    t - above / below
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategies::{pareto::CostWeights, tensors::PlanHead};

    impl Certificate {
        fn held_part(&mut self, score: &Score) -> f64 {
            let held = self.held(score);
            self.part(held)
        }
    }

    fn certificate(confidence: Option<f64>, n: usize) -> Result<Certificate, SearchError> {
        let cost = CostWeights { memory: 1.0, ..CostWeights::default() };
        let options = ParetoOptions { confidence, ..ParetoOptions::new(PlanHead::INTEGER, cost) };
        Certificate::new(&options, (n, n / 10 * 9), Some(0.2), 0)
    }

    fn score(lost: usize, gained: usize, expected: i64) -> Score {
        Score {
            correct: 4500 - lost + gained,
            lost,
            gained,
            n: 5000,
            float_correct: 4500,
            expected,
            expected_squares: expected / 4,
            ..Score::default()
        }
    }

    #[test]
    fn quantiles_are_those_of_the_table() {
        for (p, z) in [(0.5, 0.0), (0.9, 1.2816), (0.95, 1.6449), (0.999, 3.0902), (0.05, -1.6449)]
        {
            assert!((quantile(p) - z).abs() < 1e-3, "{p}");
        }
    }

    #[test]
    fn the_likely_loss_keeps_a_distance() {
        let mut plain = certificate(None, 5000).unwrap();
        // Ten images are expected to be lost of the 45 that may be.
        assert!(1.0 >= plain.held_part(&score(40, 30, 10 << 32)));
        // Luck with the labels does not help, bad luck beyond the bound does harm.
        assert!(1.0 < plain.held_part(&score(100, 100, 70 << 32)));
        assert!(1.0 < plain.held_part(&score(80, 30, 10 << 32)));
    }

    /// Labels tell little of a single plan, the probabilities much where they are known to be right.
    #[test]
    fn what_is_known_better_counts_more() {
        let parts = |expected_error| {
            let mut certificate = certificate(None, 5000).unwrap();
            certificate.expected_error = expected_error;
            certificate.likely_and_margin(&score(80, 40, 20 << 32), 1).map(|part| part * 4500.0)
        };
        let spread = (120.0_f64 - 40.0 * 40.0 / 5000.0).sqrt();
        // Nothing but which images are decided otherwise: 20 / 4, less the square of the mean.
        let shared = 5.0_f64 - 20.0 * 20.0 / 5000.0;
        for (error, likely, kept) in [
            (Some(0.0), 20.0, 2.326 * shared.sqrt()),
            (Some(1e6), 40.0, 2.326 * spread),
            (None, 30.0, 1.645 * spread),
        ] {
            let [seen, margin] = parts(error);
            assert!((seen - likely).abs() < 0.01, "{error:?}: {seen}");
            assert!((margin - kept).abs() < 0.01, "{error:?}: {margin}");
        }
        let [likely, margin] = parts(Some(0.5));
        assert!((20.0..40.0).contains(&likely) && margin < 2.326 * spread, "{likely} {margin}");
    }

    #[test]
    fn every_look_costs_confidence() {
        let mut sure = certificate(Some(0.95), 5000).unwrap();
        let close = score(35, 17, 0);
        assert!(1.0 >= sure.held_part(&close));
        assert!(
            (0..30).any(|_| 1.0 < sure.held_part(&close)),
            "the same score is not enough for ever"
        );
    }

    #[test]
    fn too_few_images_are_told() {
        let error = certificate(Some(0.95), 100).err().unwrap().to_string();
        assert!(error.contains("needs at least 197 search images"), "{error}");
        assert!(certificate(None, 100).is_ok());
    }
}
