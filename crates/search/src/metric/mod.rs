//! What outputs are worth by labels that say more than a class of each image, or by other measures than the class.
//!
//! A metric is one file that implements [`Metric`], and a row of [`MetricName`]. It counts each image by itself; the
//! figure of a set follows from what was counted of all its images, in whatever order they come. So parts of a set join
//! exactly, and an interval needs no second run.

mod auc;
mod bootstrap;
mod errors;
mod miou;

use crate::{
    error::SearchError,
    evaluate::Truth,
    score::{ClassScore, Figure, Unit},
};
use bootstrap::{interval95, resampled, standard_deviation};
use std::{collections::BTreeMap, fmt, fmt::Debug, str::FromStr};

/// What counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricName {
    /// The class of an image.
    Top1,
    /// Whether the class of an image is among the five likeliest.
    Top5,
    /// Mean intersection over union of the classes of label maps.
    Miou,
    /// Mean absolute error of values.
    Mae,
    /// Peak signal-to-noise ratio of values.
    Psnr,
    /// Area under the receiver operating characteristic of scores.
    Auc,
    /// Signal-to-quantization-noise ratio of the outputs, relative to the float network.
    Sqnr,
}

impl MetricName {
    /// All, as they are named.
    pub const ALL: [Self; 7] =
        [Self::Top1, Self::Top5, Self::Miou, Self::Mae, Self::Psnr, Self::Auc, Self::Sqnr];

    /// As options and results name it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Top1 => "top1",
            Self::Top5 => "top5",
            Self::Miou => "miou",
            Self::Mae => "mae",
            Self::Psnr => "psnr",
            Self::Auc => "auc",
            Self::Sqnr => "sqnr",
        }
    }

    /// As texts name it.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Top1 => "accuracy",
            Self::Top5 => "top-5 accuracy",
            Self::Miou => "mean IoU",
            Self::Mae => "mean absolute error",
            Self::Psnr => "PSNR",
            Self::Auc => "AUC",
            Self::Sqnr => "SQNR",
        }
    }

    /// Whether it is a part of all, which is told in percent.
    pub const fn is_part(self) -> bool {
        matches!(self, Self::Top1 | Self::Top5 | Self::Miou | Self::Auc)
    }

    /// Whether it is computed of all images.
    pub const fn is_figure(self) -> bool {
        matches!(self, Self::Miou | Self::Mae | Self::Psnr | Self::Auc)
    }

    /// What its loss is told in, where nothing else is asked.
    pub const fn usual_unit(self) -> Unit {
        if matches!(self, Self::Psnr) { Unit::Decibels } else { Unit::Relative }
    }

    fn metric(self, peak: f64) -> Option<Box<dyn Metric>> {
        Some(match self {
            Self::Miou => Box::new(miou::Miou),
            Self::Mae => Box::new(errors::Mae),
            Self::Psnr => Box::new(errors::Psnr { peak }),
            Self::Auc => Box::new(auc::Auc),
            Self::Top1 | Self::Top5 | Self::Sqnr => return None,
        })
    }
}

impl FromStr for MetricName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = || Self::ALL.map(Self::name).join(", ");
        let found = Self::ALL.into_iter().find(|metric| metric.name() == text);
        found.ok_or_else(|| format!("`{text}` is no metric; there are {}", names()))
    }
}

impl fmt::Display for MetricName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The first output of a network for one image.
pub(crate) trait Said {
    /// Channels of each place: classes, where it tells classes apart.
    fn channels(&self) -> usize;
    /// The values `[h, w, c]` before a softmax or sigmoid at the end: they stand in the same order.
    fn scores(&self) -> Vec<f64>;
    /// The values `[h, w, c]` as the network says them.
    fn values(&self) -> Vec<f32>;
}

/// What was counted of an image, and how often the image is there.
pub(crate) type Counted<'c> = (&'c [f64], f64);

/// What outputs are worth.
pub(crate) trait Metric: Debug + Send + Sync {
    /// What counts of one image. The label is of the kind that the metric takes.
    fn count(&self, truth: &Truth, output: &dyn Said) -> Vec<f64>;

    /// The figure of images; not a number where they have none.
    fn figure(&self, images: &[Counted]) -> f64;

    /// Why images have no figure.
    fn undefined(&self) -> &'static str;

    /// Whether less is better.
    fn is_error(&self) -> bool {
        false
    }

    /// The share of single labels that are right, where that is another figure.
    fn accuracy(&self, _images: &[Counted]) -> Option<f64> {
        None
    }

    /// Of each class, how many labels there are and how many of them are right, where images have many.
    fn classes(&self, _images: &[Counted]) -> Vec<[usize; 2]> {
        Vec::new()
    }
}

/// A metric, and what the float network reaches by it.
#[derive(Debug)]
pub(crate) struct Judge {
    metric: Box<dyn Metric>,
    unit: Unit,
    /// What is counted of the float network, by image.
    of_float: Vec<Vec<f64>>,
    /// Its figure, and those of resamples.
    float: f64,
    float_resampled: Vec<f64>,
}

impl Judge {
    /// By a metric that is computed; `count` says what is counted of the float network.
    ///
    /// # Errors
    /// [`SearchError::Metric`] where the images have no figure.
    pub(crate) fn new(
        name: MetricName,
        peak: f64,
        unit: Unit,
        count: impl Fn(&dyn Metric) -> Vec<Vec<f64>>,
    ) -> Result<Self, SearchError> {
        let undefined = |problem| SearchError::Metric { metric: name.name(), problem };
        let metric = name.metric(peak).ok_or_else(|| undefined("is not computed of labels"))?;
        let of_float = count(&*metric);
        let float = metric.figure(&once(&of_float));
        if !float.is_finite() {
            return Err(undefined(metric.undefined()));
        }
        let float_resampled = resampled(&of_float, |images| metric.figure(images));
        Ok(Self { metric, unit, of_float, float, float_resampled })
    }

    pub(crate) fn count(&self, truth: &Truth, output: &dyn Said) -> Vec<f64> {
        self.metric.count(truth, output)
    }

    /// What the float network reaches.
    pub(crate) fn float(&self) -> f64 {
        self.float
    }

    fn loss(&self, float: f64, plan: f64) -> f64 {
        let lost = if self.metric.is_error() { plan - float } else { float - plan };
        match self.unit {
            Unit::Relative => lost / float.abs().max(f64::MIN_POSITIVE),
            Unit::Points | Unit::Decibels => lost,
        }
    }

    /// Of each class that has labels, how many both networks get right, by what was counted of all images.
    pub(crate) fn classes(&self, of_plan: &[Vec<f64>]) -> BTreeMap<usize, ClassScore> {
        let [float, plan] =
            [&self.of_float[..], of_plan].map(|all| self.metric.classes(&once(all)));
        let score = |([n, float], [_, plan]): ([usize; 2], [usize; 2])| ClassScore {
            n,
            right: [float, plan],
            ..ClassScore::default()
        };
        let scores = float.into_iter().zip(plan).map(score).enumerate();
        scores.filter(|(_, score)| score.n > 0).collect()
    }

    /// What a plan reaches, by what was counted of all images, in their order.
    pub(crate) fn figure(&self, of_plan: &[Vec<f64>]) -> Figure {
        let plan = self.metric.figure(&once(of_plan));
        let plans = resampled(of_plan, |images| self.metric.figure(images));
        let pairs = self.float_resampled.iter().zip(&plans);
        let losses: Vec<f64> = pairs.map(|(float, plan)| self.loss(*float, *plan)).collect();
        let accuracy = [&self.of_float[..], of_plan].map(|all| self.metric.accuracy(&once(all)));
        Figure {
            both: [self.float, plan],
            intervals95: [interval95(&self.float_resampled), interval95(&plans)],
            loss: self.loss(self.float, plan),
            loss_interval95: interval95(&losses),
            error: standard_deviation(&losses),
            accuracy: accuracy[0].zip(accuracy[1]).map(|(float, plan)| [float, plan]),
        }
    }
}

/// Each image once.
fn once(counted: &[Vec<f64>]) -> Vec<Counted<'_>> {
    counted.iter().map(|of_image| (&of_image[..], 1.0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values that a network says as they are.
    #[derive(Debug)]
    pub(super) struct Values(pub(super) usize, pub(super) Vec<f32>);

    impl Said for Values {
        fn channels(&self) -> usize {
            self.0
        }

        fn scores(&self) -> Vec<f64> {
            self.1.iter().map(|&x| f64::from(x)).collect()
        }

        fn values(&self) -> Vec<f32> {
            self.1.clone()
        }
    }

    #[test]
    fn a_loss_has_the_direction_and_the_unit_of_its_metric() {
        // Errors of the float network are 1, 2 and 3; those of a plan a tenth more.
        let targets = [[0.0_f32], [0.0], [0.0]];
        let count = |by: f32| {
            move |metric: &dyn Metric| {
                let of = |(i, target): (usize, &[f32; 1])| {
                    let said = Values(1, vec![f32::from(u8::try_from(i + 1).unwrap()) * by]);
                    metric.count(&Truth::Values(target), &said)
                };
                targets.iter().enumerate().map(of).collect::<Vec<_>>()
            }
        };
        let of = |name, unit| {
            let judge = Judge::new(name, 10.0, unit, count(1.0)).unwrap();
            judge.figure(&count(1.1)(&*judge.metric))
        };
        let mae = of(MetricName::Mae, Unit::Relative);
        assert!((mae.both[0] - 2.0).abs() < 1e-6 && (mae.loss - 0.1).abs() < 1e-6, "{mae:?}");
        // On the same images both are off alike, whichever they are.
        let [low, high] = mae.loss_interval95;
        assert!(high - low < 1e-6 && mae.error < 1e-6, "{mae:?}");
        let [low, high] = mae.intervals95[1];
        assert!(low < 1.5 && high > 2.8, "{mae:?}");
        let psnr = of(MetricName::Psnr, Unit::Decibels);
        // 10 log10(100 / (14 / 3)), and 20 log10(1.1) less.
        assert!((psnr.both[0] - 13.310).abs() < 1e-3, "{psnr:?}");
        assert!((psnr.loss - 0.8279).abs() < 1e-3, "{psnr:?}");
    }

    #[test]
    fn metrics_are_named() {
        for metric in MetricName::ALL {
            assert_eq!(metric.name().parse(), Ok(metric));
            assert_eq!(metric.is_figure(), metric.metric(1.0).is_some());
        }
        let error = "iou".parse::<MetricName>().unwrap_err();
        assert_eq!(error, "`iou` is no metric; there are top1, top5, miou, mae, psnr, auc, sqnr");
    }
}
