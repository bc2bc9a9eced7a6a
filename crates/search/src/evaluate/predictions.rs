//! What the float network says about images, and how far others are from that.

use super::{
    images::Images,
    runner::{CHUNK, Job, Runner},
};
use crate::{error::SearchError, score::Score};
use fixedwise_fixed::convert::{count_to_f64, exp2, f64_to_f32, f64_to_i64, i64_to_f64};
use fixedwise_graph::{
    Graph, Likelihood,
    run::{Program, ValueRef},
};
use fixedwise_kernels::Kernels;
use rayon::prelude::*;
use std::sync::atomic::AtomicBool;

/// What the float network says about a set of images.
#[derive(Clone, Debug, PartialEq)]
pub struct Predictions {
    /// By image: the label, else the float network's class.
    targets: Vec<usize>,
    /// By image: whether the float network is right.
    right: Vec<bool>,
    /// By image: how far its first class is before the second.
    margins: Vec<f32>,
    /// Before any softmax, `[image, class]`.
    logits: Vec<f32>,
    classes: usize,
    /// What the float network ends in, where that is a softmax or its logarithm: the integer network leaves
    /// it out.
    end: Option<Likelihood>,
    /// Where outputs count as values, not as classes: the mean over images of the sum of their squares.
    signal: Option<f64>,
    /// What the logits are divided by for probabilities under which the labels are likeliest.
    temperature: f64,
}

impl Predictions {
    /// Runs the float network over all images.
    ///
    /// # Errors
    /// Where there is no image, or `stop` was raised.
    pub fn new(
        float: &Graph,
        images: &dyn Images,
        kernels: &'static Kernels,
        stop: &AtomicBool,
    ) -> Result<Self, SearchError> {
        let n = images.len();
        if n == 0 {
            return Err(SearchError::NoImages { purpose: "measure the accuracy" });
        }
        let program = Program::float(float, kernels);
        let end = float.nodes[float.output()].op.as_likelihood();
        let runner = Runner::new(images, n, CHUNK, stop);
        let rows = runner.each_chunk(
            &Job::whole(&program, float.output()),
            None,
            runner.chunks(),
            |_| Vec::with_capacity(CHUNK),
            |rows, seen| {
                let value = seen.value(float.output());
                let class = value.argmax();
                let target = images.label(seen.idx).unwrap_or(class);
                rows.push((target, class == target, margin(value), logits(value, end)));
            },
        )?;
        let rows = rows.concat();
        let mut predictions = Self {
            targets: rows.iter().map(|row| row.0).collect(),
            right: rows.iter().map(|row| row.1).collect(),
            margins: rows.iter().map(|row| row.2).collect(),
            logits: rows.iter().flat_map(|row| row.3.iter().copied()).collect(),
            classes: float.output_shape().len(),
            end,
            signal: None,
            temperature: 1.0,
        };
        let labelled: Vec<usize> = (0..n).filter(|&idx| images.label(idx).is_some()).collect();
        if !labelled.is_empty() {
            predictions.temperature = predictions.likeliest_temperature(&labelled);
        }
        Ok(predictions)
    }

    /// Compares outputs as values, not as classes: each score has the distortion, and the divergence of a plan
    /// is that.
    #[must_use]
    pub fn of_values(mut self) -> Self {
        let squares = |idx| self.reference(idx).iter().map(|x| x * x).sum::<f64>();
        let sum: f64 = (0..self.len()).map(squares).sum();
        let mean = sum / count_to_f64(self.len().max(1));
        self.signal = Some(if mean > 0.0 { mean } else { 1.0 });
        self
    }

    /// Whether outputs count as values.
    const fn is_of_values(&self) -> bool {
        self.signal.is_some()
    }

    /// What the float network says of an image, to be compared with: logits up to what softmax leaves open.
    fn reference(&self, idx: usize) -> Vec<f64> {
        self.centered(self.logits(idx).collect())
    }

    fn centered(&self, mut values: Vec<f64>) -> Vec<f64> {
        if self.end.is_some() {
            let mean = values.iter().sum::<f64>() / count_to_f64(values.len().max(1));
            values.iter_mut().for_each(|x| *x -= mean);
        }
        values
    }

    /// How far an output in steps of that size is from the float network's, against what that holds on
    /// average: the squared difference over the mean sum of squares; at most [`MOST`].
    fn distortion(&self, idx: usize, value: ValueRef, step: f64) -> f64 {
        let Some(signal) = self.signal else { return 0.0 };
        let values = self.centered(floats(value, step).collect());
        let pairs = values.iter().zip(self.reference(idx));
        let noise: f64 = pairs.map(|(a, b)| (a - b) * (a - b)).sum();
        // Also where a simulated value is not finite.
        if noise < MOST * signal { noise / signal } else { MOST }
    }

    /// The outputs of the float network, `[image, ...]`: after the softmax or its logarithm where there is
    /// one.
    pub fn outputs(&self) -> Vec<f32> {
        let mut outputs = self.logits.clone();
        if self.end == Some(Likelihood::Probability) {
            outputs.iter_mut().for_each(|x| *x = x.exp());
        }
        outputs
    }

    /// What an output in steps of that size says, as [`Predictions::outputs`] has it.
    pub(super) fn output(&self, value: ValueRef, step: f64) -> Vec<f32> {
        let values = floats(value, step);
        let Some(end) = self.end else { return values.map(f64_to_f32).collect() };
        let of_likely = |x: f64| if end == Likelihood::Probability { x.exp() } else { x };
        log_softmax(values).into_iter().map(|x| f64_to_f32(of_likely(x))).collect()
    }

    /// Images the float network gets right.
    pub fn correct(&self) -> usize {
        self.right.iter().filter(|&&right| right).count()
    }

    /// For how many images the float network names each class.
    pub fn named(&self) -> Vec<usize> {
        let mut named = vec![0; self.classes];
        for row in self.logits.chunks_exact(self.classes.max(1)) {
            let first =
                |best: usize, class: usize| if row[class] > row[best] { class } else { best };
            named[(0..row.len()).fold(0, first)] += 1;
        }
        named
    }

    /// The mean probability of the class that the float network names.
    pub fn mean_confidence(&self) -> f64 {
        let most = |idx| {
            let likely = log_softmax(self.logits(idx));
            likely.iter().fold(f64::NEG_INFINITY, |max, &x| max.max(x)).exp()
        };
        (0..self.len()).map(most).sum::<f64>() / count_to_f64(self.len().max(1))
    }

    /// Smallest and largest output of the float network.
    pub fn output_range(&self) -> [f32; 2] {
        let first = [f32::INFINITY, f32::NEG_INFINITY];
        self.outputs().iter().fold(first, |[low, high], &x| [low.min(x), high.max(x)])
    }

    /// Outputs of one image: classes, where they count as such.
    pub const fn classes(&self) -> usize {
        self.classes
    }

    /// Images.
    pub fn len(&self) -> usize {
        self.targets.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    fn logits(&self, idx: usize) -> impl Iterator<Item = f64> + Clone {
        self.logits[idx * self.classes..][..self.classes].iter().map(|&x| f64::from(x))
    }

    /// The temperature at which the labels of these images are likeliest.
    ///
    /// Source: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.
    fn likeliest_temperature(&self, images: &[usize]) -> f64 {
        const RATIO: f64 = 1.05;
        let surprise = |t: f64| -> f64 {
            images
                .par_iter()
                .map(|&idx| log_softmax(self.logits(idx).map(|x| x / t))[self.targets[idx]])
                .collect::<Vec<f64>>()
                .iter()
                .fold(0.0, |sum, likely| sum - likely)
        };
        let temperatures = (-40..=40).map(|i| RATIO.powi(i));
        let all = temperatures.map(|t| (t, surprise(t)));
        all.min_by(|a, b| a.1.total_cmp(&b.1)).map_or(1.0, |best| best.0)
    }

    /// The score of one image, by an output in steps of that size.
    pub(super) fn score(&self, idx: usize, value: ValueRef, step: f64) -> Score {
        let class = value.argmax();
        let (float, fixed) = (self.right[idx], class == self.targets[idx]);
        let score = Score {
            correct: usize::from(fixed),
            lost: usize::from(float && !fixed),
            gained: usize::from(fixed && !float),
            n: 1,
            float_correct: usize::from(float),
            expected: self.preference(idx, class),
            ..Score::default()
        };
        score.with_distortion(self.distortion(idx, value, step))
    }

    /// How much likelier the float network holds its own class than another, in units of 2^-32.
    fn preference(&self, idx: usize, class: usize) -> i64 {
        let likely = log_softmax(self.logits(idx).map(|x| x / self.temperature));
        let most = likely.iter().fold(f64::NEG_INFINITY, |max, &x| max.max(x));
        f64_to_i64(((most.exp() - likely[class].exp()) * exp2(32)).round())
    }

    /// The divergence of the classes' probabilities, from the float network's to those of integers of
    /// that step: `sum p ln(p / q)`.
    ///
    /// Of outputs that count as values it is the distortion.
    pub(super) fn divergence(&self, idx: usize, value: ValueRef, step: f64) -> f64 {
        if self.is_of_values() {
            return self.distortion(idx, value, step);
        }
        let p = log_softmax(self.logits(idx));
        let q = log_softmax(floats(value, step));
        p.iter().zip(&q).map(|(p, q)| p.exp() * (p - q)).sum()
    }

    /// The images in the order that decides soonest: those the float network gets wrong, which
    /// alone can be gained, then those it is least sure of.
    pub(super) fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.len()).collect();
        order.sort_by(|&a, &b| {
            let by_right = self.right[a].cmp(&self.right[b]);
            by_right.then(self.margins[a].total_cmp(&self.margins[b])).then(a.cmp(&b))
        });
        order
    }
}

/// Most distortion of one image that is told apart from more.
const MOST: f64 = 100.0;

/// The numbers that a value stands for.
fn floats<'v>(value: ValueRef<'v>, step: f64) -> Box<dyn Iterator<Item = f64> + 'v> {
    match value {
        ValueRef::F32(values) => Box::new(values.iter().map(|&x| f64::from(x))),
        value @ ValueRef::Integers(_) => {
            Box::new(value.integers().into_iter().map(move |x| i64_to_f64(x) * step))
        }
    }
}

/// What a softmax would take, to a constant.
fn logits(value: ValueRef, end: Option<Likelihood>) -> Vec<f32> {
    let ValueRef::F32(values) = value else { return Vec::new() };
    if end == Some(Likelihood::Probability) {
        values.iter().map(|p| p.max(f32::MIN_POSITIVE).ln()).collect()
    } else {
        values.to_vec()
    }
}

/// The first value before the second.
fn margin(value: ValueRef) -> f32 {
    let ValueRef::F32(values) = value else { return 0.0 };
    let (mut first, mut second) = (f32::NEG_INFINITY, f32::NEG_INFINITY);
    for &x in values {
        if x > first {
            (first, second) = (x, first);
        } else if x > second {
            second = x;
        }
    }
    first - second
}

fn log_softmax(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    let max = values.iter().fold(f64::NEG_INFINITY, |max, &x| max.max(x));
    let sum: f64 = values.iter().map(|x| (x - max).exp()).sum();
    values.iter_mut().for_each(|x| *x -= max + sum.ln());
    values
}
