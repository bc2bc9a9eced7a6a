//! What the float network says about images, and how far others are from that.

use super::{
    images::{Images, Truth},
    runner::{CHUNK, Job, Runner},
};
use crate::{
    error::SearchError,
    metric::{Judge, MetricName, Said},
    random::random,
    score::{ClassScore, Details, Score, Unit},
};
use fixedwise_fixed::convert::{
    count_to_f64, count_to_u64, exp2, f64_to_f32, f64_to_i64, i64_to_f64,
};
use fixedwise_graph::{
    Graph, Likelihood, NodeId, passes,
    run::{Program, ValueRef},
};
use fixedwise_kernels::Kernels;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::{
    cmp::Ordering,
    collections::BTreeMap,
    ops::Range,
    sync::{Arc, atomic::AtomicBool},
};

/// What the float network says about a set of images.
///
/// Labels belong to its first output: where an image has one, this output alone decides whether the image is
/// right. Without a label, it is right where every output names the float network's class. Where outputs count as
/// values, an image is as far off as its worst output. So no output is worse than what a score says.
#[derive(Clone, Debug)]
pub struct Predictions {
    /// One for each output of the network.
    outputs: Vec<OutputPredictions>,
    /// By image: whether it has a label.
    is_labelled: Vec<bool>,
    /// Whether outputs count as values, not as classes.
    is_of_values: bool,
    /// Who judges the first output, where that is a metric of all images.
    judge: Option<Arc<Judge>>,
}

/// What the float network says in one output.
#[derive(Clone, Debug, PartialEq)]
struct OutputPredictions {
    /// By image: the label, else the float network's class.
    targets: Vec<usize>,
    /// By image: whether the float network is right.
    right: Vec<bool>,
    /// By image: how far its first class is before the second.
    margins: Vec<f32>,
    /// Before any softmax or sigmoid at the end, `[image, element]`.
    logits: Vec<f32>,
    /// Elements for one image: classes; one is the logit of the second of two.
    elements: usize,
    /// The channels of an image, over which a softmax goes.
    channels: usize,
    /// What the float network ends in, where that is a likelihood of classes: the integer network leaves it out.
    end: Option<Likelihood>,
    /// The mean over images of the sum of the squares of its values.
    signal: f64,
    /// What the logits are divided by for probabilities under which the labels are likeliest.
    temperature: f64,
    /// How much likelier labels are the first class than the second, against what those probabilities say.
    lead: Lead,
    /// An image is right where its target is among so many likeliest classes.
    first: usize,
}

/// What labels say of the difference between the probabilities of the two likeliest classes.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Lead {
    /// The factor that makes it right.
    factor: f64,
    /// Standard error of that, as a part of it; nothing where no label tells.
    error: Option<f64>,
}

impl Lead {
    /// Before any label is seen: the difference is right, give or take a half. Guess: probabilities scaled by one
    /// temperature for all images are seldom farther off where two classes are close.
    const PRIOR_ERROR: f64 = 0.5;

    /// As the probabilities say, where no label tells.
    const UNKNOWN: Self = Self { factor: 1.0, error: None };

    /// From images by that difference and by what their labels say of it: 1 for the first class, -1 for the second,
    /// 0 for another. Images in doubt count most: they are those that plans decide otherwise.
    ///
    /// Least squares through the origin, weighted, with the prior as one more observation.
    fn new(images: &[(f64, f64)]) -> Self {
        let weight = |lead: f64| (1.0 - lead) * (1.0 - lead);
        let sum = |of: &dyn Fn(f64, f64) -> f64| -> f64 {
            images.iter().map(|&(lead, said)| of(lead, said)).sum()
        };
        let whole = sum(&|lead, _| weight(lead) * lead);
        let prior = Self::PRIOR_ERROR.powi(-2);
        if whole <= 0.0 {
            return Self { factor: 1.0, error: Some(Self::PRIOR_ERROR) };
        }
        let seen = sum(&|lead, said| weight(lead) * said) / whole;
        let squares = sum(&|lead, said| (weight(lead) * (said - seen * lead)).powi(2));
        // One image more than there are, so that few do not agree by chance.
        let known = 1.0 / ((squares + 1.0) / (whole * whole));
        let factor = ((known * seen + prior) / (known + prior)).max(0.0);
        let error = (known + prior).sqrt().recip() / factor.max(Self::PRIOR_ERROR);
        Self { factor, error: Some(error) }
    }
}

/// A number of the normal distribution, by its place.
///
/// Source: Box and Muller, "A Note on the Generation of Random Normal Deviates", 1958.
fn normal(place: usize) -> f64 {
    let place = 2 * count_to_u64(place);
    let (radius, angle) = (random(place), random(place + 1));
    (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
}

/// An output of one image, for a metric.
struct OneOutput<'o>(&'o OutputPredictions, Ran<'o>);

impl Said for OneOutput<'_> {
    fn channels(&self) -> usize {
        self.0.channels
    }

    fn scores(&self) -> Vec<f64> {
        let (value, step) = self.1;
        floats(value, step).collect()
    }

    fn values(&self) -> Vec<f32> {
        self.0.said(self.1)
    }
}

/// An output of a network that runs, in steps of that size.
pub(super) type Ran<'v> = (ValueRef<'v>, f64);

/// What the float network says of a chunk of images, by output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FloatRows(Vec<Vec<Row>>);

/// Of one image: the target, whether the network is right, how far its first class is before the second, and what a
/// softmax would take.
type Row = (usize, bool, f32, Vec<f32>);

/// Runs the float network over images.
pub struct FloatRun<'a> {
    images: &'a dyn Images,
    program: Program,
    runner: Runner<'a>,
    /// By output, the node that is looked at, and what the network ends in there.
    seen: Vec<(NodeId, Option<Likelihood>)>,
}

impl std::fmt::Debug for FloatRun<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FloatRun").field("images", &self.images.len()).finish_non_exhaustive()
    }
}

impl<'a> FloatRun<'a> {
    /// Nothing has run yet.
    ///
    /// # Errors
    /// Where there is no image.
    pub fn new(
        float: &Graph,
        images: &'a dyn Images,
        kernels: &'static Kernels,
        stop: &'a AtomicBool,
    ) -> Result<Self, SearchError> {
        let n = images.len();
        if n == 0 {
            return Err(SearchError::NoImages { purpose: "measure the accuracy" });
        }
        let program = Program::float(float, kernels);
        let runner = Runner::new(images, n, CHUNK, stop);
        let seen = float.output_nodes().iter().map(|&id| seen(float, id)).collect();
        Ok(Self { images, program, runner, seen })
    }

    /// Chunks of all images, as they come.
    pub fn chunks(&self) -> Range<usize> {
        self.runner.chunks()
    }

    /// What each chunk gives.
    ///
    /// # Errors
    /// Where the stop flag was raised.
    pub fn rows(&self, chunks: Range<usize>) -> Result<Vec<FloatRows>, SearchError> {
        let nodes: Vec<NodeId> = self.seen.iter().map(|&(node, _)| node).collect();
        self.runner.each_chunk(
            &Job::of(&self.program, &nodes),
            None,
            chunks,
            |_| FloatRows(vec![Vec::with_capacity(CHUNK); nodes.len()]),
            |FloatRows(rows), seen| {
                for (i, rows) in rows.iter_mut().enumerate() {
                    let (node, end) = self.seen[i];
                    let value = seen.value(node);
                    let class = class(value);
                    let label = self.images.label(seen.idx).filter(|_| i == 0);
                    let target = label.unwrap_or(class);
                    rows.push((target, class == target, margin(value), logits(value, end)));
                }
            },
        )
    }
}

/// The node that is looked at for an output, and what the network ends in there.
fn seen(float: &Graph, id: NodeId) -> (NodeId, Option<Likelihood>) {
    match passes::left_out(float, id) {
        // A probability near one does not tell its logit.
        Some((sigmoid, Likelihood::Each)) => {
            (float.nodes[sigmoid].main_input(), Some(Likelihood::Each))
        }
        Some((_, end)) => (id, Some(end)),
        None => (id, None),
    }
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
        let run = FloatRun::new(float, images, kernels, stop)?;
        Ok(Self::of_rows(float, images, &run.rows(run.chunks())?))
    }

    /// From what [`FloatRun::rows`] gave of all chunks of the images.
    pub fn of_rows(float: &Graph, images: &dyn Images, rows: &[FloatRows]) -> Self {
        let n = images.len();
        let is_labelled: Vec<bool> = (0..n).map(|idx| images.label(idx).is_some()).collect();
        let output = |(i, &id): (usize, &NodeId)| {
            let rows: Vec<_> = rows.iter().flat_map(|chunk| &chunk.0[i]).collect();
            let mut output = OutputPredictions {
                targets: rows.iter().map(|row| row.0).collect(),
                right: rows.iter().map(|row| row.1).collect(),
                margins: rows.iter().map(|row| row.2).collect(),
                logits: rows.iter().flat_map(|row| row.3.iter().copied()).collect(),
                elements: float.nodes[id].shape.len(),
                channels: float.nodes[id].shape.c,
                end: seen(float, id).1,
                signal: 1.0,
                temperature: 1.0,
                lead: Lead::UNKNOWN,
                first: 1,
            };
            output.signal = output.mean_square();
            let labelled: Vec<usize> = (0..n).filter(|&idx| i == 0 && is_labelled[idx]).collect();
            if !labelled.is_empty() {
                output.temperature = output.likeliest_temperature(&labelled);
                output.lead = output.seen_lead(&labelled);
            }
            output
        };
        let outputs = float.output_nodes().iter().enumerate().map(output).collect();
        Self { outputs, is_labelled, is_of_values: false, judge: None }
    }

    /// Chunks of all images.
    pub(crate) fn chunks(&self) -> usize {
        self.len().div_ceil(CHUNK)
    }

    /// What becomes of the outputs where noise of that standard deviation moves each: the score, and the mean divergence.
    /// The same noise each time, in its size alone another.
    pub fn moved(&self, noise: f64) -> (Score, f64) {
        let of = |idx: usize| {
            let moved = |output: &OutputPredictions| -> Vec<f32> {
                let first = idx * output.elements;
                let own = output.logits(idx).enumerate();
                own.map(|(at, x)| f64_to_f32(noise.mul_add(normal(first + at), x))).collect()
            };
            let moved: Vec<Vec<f32>> = self.outputs.iter().map(moved).collect();
            let ran: Vec<Ran> = moved.iter().map(|row| (ValueRef::F32(row), 1.0)).collect();
            (self.score(idx, &ran), self.divergence(idx, &ran))
        };
        let all: Vec<(Score, f64)> = (0..self.len()).into_par_iter().map(of).collect();
        let sum = |(score, sum): (Score, f64), (one, divergence): &(Score, f64)| {
            (score.plus(one), sum + divergence)
        };
        let (score, divergence) = all.iter().fold((Score::default(), 0.0), sum);
        (score, divergence / count_to_f64(self.len().max(1)))
    }

    /// How far another float network with these outputs is from what this one says, as that of plans
    /// is counted: the mean over the images, which are those of the predictions.
    ///
    /// # Errors
    /// Where `stop` was raised.
    pub fn divergence_of(
        &self,
        other: &Graph,
        images: &dyn Images,
        kernels: &'static Kernels,
        stop: &AtomicBool,
    ) -> Result<f64, SearchError> {
        let program = Program::float(other, kernels);
        let runner = Runner::new(images, images.len(), CHUNK, stop);
        let nodes = other.output_nodes();
        let sums = runner.each_chunk(
            &Job::of(&program, &nodes),
            None,
            runner.chunks(),
            |_| 0.0,
            |sum, seen| {
                let ran: Vec<Ran> = nodes.iter().map(|&id| (seen.value(id), 1.0)).collect();
                *sum += self.divergence(seen.idx, &ran);
            },
        )?;
        Ok(sums.iter().sum::<f64>() / count_to_f64(self.len().max(1)))
    }

    /// Compares outputs as values, not as classes: each score has the distortion, and the divergence of a plan
    /// is that.
    #[must_use]
    pub fn of_values(mut self) -> Self {
        self.is_of_values = true;
        self
    }

    /// Counts an image with a label as right where that is among the five likeliest classes of the first output.
    #[must_use]
    pub fn of_top5(mut self) -> Self {
        self.outputs[0].count_first(5);
        self
    }

    /// Judges the first output by a metric that is computed of all images, those of the predictions; its loss is told in
    /// a unit. Otherwise outputs count as values. `peak` is the largest value that there can be, for
    /// [`MetricName::Psnr`].
    ///
    /// # Errors
    /// [`SearchError::Metric`] where the images have no figure.
    pub fn judged(
        self,
        (metric, peak, unit): (MetricName, f64, Unit),
        images: &dyn Images,
    ) -> Result<Self, SearchError> {
        let mut judged = self.of_values();
        let first = judged.first();
        let judge = Judge::new(metric, peak, unit, |metric| {
            let count = |idx: usize| {
                let row = &first.logits[idx * first.elements..][..first.elements];
                metric.count(&images.truth(idx), &OneOutput(first, (ValueRef::F32(row), 1.0)))
            };
            (0..images.len()).into_par_iter().map(count).collect()
        })?;
        judged.judge = Some(Arc::new(judge));
        Ok(judged)
    }

    /// Whether a metric of all images judges.
    pub(super) fn is_judged(&self) -> bool {
        self.judge.is_some()
    }

    /// What the float network reaches by that metric.
    pub fn float_figure(&self) -> Option<f64> {
        self.judge.as_ref().map(|judge| judge.float())
    }

    /// What the metric counts of an image.
    pub(super) fn counted(&self, truth: &Truth, values: &[Ran]) -> Option<Vec<f64>> {
        let judge = self.judge.as_ref()?;
        Some(judge.count(truth, &OneOutput(self.first(), *values.first()?)))
    }

    /// What a plan reaches by the metric, by what was counted of all images.
    pub(super) fn judge(&self, counted: &[Vec<f64>]) -> Option<Details> {
        let judge = self.judge.as_ref().filter(|_| counted.len() == self.len())?;
        let (figure, classes) = (Some(judge.figure(counted)), judge.classes(counted));
        Some(Details { classes, figure, ..Details::default() })
    }

    fn first(&self) -> &OutputPredictions {
        &self.outputs[0]
    }

    /// Outputs of the network.
    pub fn n_outputs(&self) -> usize {
        self.outputs.len()
    }

    /// The outputs of the float network, each `[image, ...]`: after the softmax or its logarithm where there is
    /// one.
    pub fn outputs(&self) -> Vec<Vec<f32>> {
        self.outputs.iter().map(OutputPredictions::outputs).collect()
    }

    /// What outputs say of one image, one after the other, as [`Predictions::outputs`] has them.
    pub(super) fn said(&self, values: &[Ran]) -> Vec<f32> {
        self.outputs.iter().zip(values).flat_map(|(output, ran)| output.said(*ran)).collect()
    }

    /// What [`Predictions::said`] gave of all images, output by output.
    pub(super) fn by_output(&self, said: &[Vec<f32>]) -> Vec<Vec<f32>> {
        let mut begin = 0;
        let of_output = |output: &OutputPredictions| {
            let own = begin..begin + output.elements;
            begin = own.end;
            said.iter().flat_map(|image| image[own.clone()].iter().copied()).collect()
        };
        self.outputs.iter().map(of_output).collect()
    }

    /// Standard error of [`Score::expected`], as a part of it; nothing where images have no labels.
    pub(super) fn expected_error(&self) -> Option<f64> {
        self.first().lead.error
    }

    /// Images the float network gets right.
    pub fn correct(&self) -> usize {
        self.first().right.iter().filter(|&&right| right).count()
    }

    /// For how many images the float network names each class, in its first output.
    pub fn named(&self) -> Vec<usize> {
        let first = self.first();
        let mut named = vec![0; first.classes()];
        (0..self.len()).for_each(|idx| named[first.named(idx)] += 1);
        named
    }

    /// The mean probability of the class that the float network names, in its first output.
    pub fn mean_confidence(&self) -> f64 {
        let most = |idx| {
            let likely = log_softmax(self.first().scores(idx, 1.0));
            likely.iter().fold(f64::NEG_INFINITY, |max, &x| max.max(x)).exp()
        };
        (0..self.len()).map(most).sum::<f64>() / count_to_f64(self.len().max(1))
    }

    /// Smallest and largest element of the outputs of the float network.
    pub fn output_range(&self) -> [f32; 2] {
        let first = [f32::INFINITY, f32::NEG_INFINITY];
        let widen = |[low, high]: [f32; 2], &x: &f32| [low.min(x), high.max(x)];
        self.outputs().iter().flatten().fold(first, widen)
    }

    /// Classes of the first output: its elements for one image; two where it is one logit.
    pub fn classes(&self) -> usize {
        self.first().classes()
    }

    /// Images.
    pub fn len(&self) -> usize {
        self.is_labelled.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.is_labelled.is_empty()
    }

    /// The outputs that decide whether an image is right.
    fn deciding(&self, idx: usize) -> &[OutputPredictions] {
        if self.is_labelled[idx] { &self.outputs[..1] } else { &self.outputs }
    }

    /// The score of one image, by its outputs.
    pub(super) fn score(&self, idx: usize, values: &[Ran]) -> Score {
        let deciding = self.deciding(idx).iter().zip(values);
        let scores = deciding.map(|(output, &(value, _))| output.score(idx, value));
        let score = scores.reduce(Score::of_worse).unwrap_or_default();
        score.with_distortion(self.distortion(idx, values))
    }

    /// What there is beyond the score of one image: the score of each of several outputs, as classes and as values, and
    /// that of its label.
    pub(super) fn details(&self, idx: usize, values: &[Ran]) -> Details {
        let score = |(output, &ran): (&OutputPredictions, &Ran)| {
            output.score(idx, ran.0).with_distortion(output.distortion(idx, ran))
        };
        let several = self.outputs.iter().filter(|_| self.n_outputs() > 1);
        let outputs: Vec<Score> = several.zip(values).map(score).collect();
        let mut classes = BTreeMap::new();
        if let (true, Some(&(value, step))) = (self.is_labelled[idx], values.first()) {
            let (first, label) = (self.first(), self.first().targets[idx]);
            let of_plan: Vec<f64> = of_classes(first.elements, floats(value, step)).collect();
            let of_float: Vec<f64> = first.scores(idx, 1.0).collect();
            let top5 = [&of_float, &of_plan].map(|scores| usize::from(is_among(5, scores, label)));
            let score = first.score(idx, value);
            let (right, lost) = ([score.float_correct, score.correct], score.lost);
            classes.insert(label, ClassScore { n: 1, right, lost, top5 });
        }
        Details { outputs, classes, figure: None }
    }

    /// The label of an image that has one, and the class that a plan names.
    pub(super) fn label_and_class(&self, idx: usize, values: &[Ran]) -> Option<[usize; 2]> {
        let &(value, _) = values.first().filter(|_| self.is_labelled[idx])?;
        Some([self.first().targets[idx], class(value)])
    }

    /// The images of each label, and those of them that the float network gets right.
    pub fn labels(&self) -> BTreeMap<usize, ClassScore> {
        let mut classes: BTreeMap<usize, ClassScore> = BTreeMap::new();
        let first = self.first();
        for idx in (0..self.len()).filter(|&idx| self.is_labelled[idx]) {
            let right = usize::from(first.right[idx]);
            let one = ClassScore { n: 1, right: [right; 2], ..ClassScore::default() };
            let sum = classes.entry(first.targets[idx]).or_default();
            *sum = sum.plus(&one);
        }
        classes
    }

    /// Whether images have labels.
    pub fn has_labels(&self) -> bool {
        self.is_labelled.first() == Some(&true)
    }

    /// Of the output that is farthest off; nothing where outputs count as classes.
    fn distortion(&self, idx: usize, values: &[Ran]) -> f64 {
        if !self.is_of_values {
            return 0.0;
        }
        let all = self.outputs.iter().zip(values).map(|(output, &ran)| output.distortion(idx, ran));
        all.fold(0.0, f64::max)
    }

    /// The divergence of the classes' probabilities, from the float network's to those of a plan, summed over
    /// the outputs.
    ///
    /// Of outputs that count as values it is the distortion.
    pub(super) fn divergence(&self, idx: usize, values: &[Ran]) -> f64 {
        if self.is_of_values {
            return self.distortion(idx, values);
        }
        let of_output = |(output, &ran): (&OutputPredictions, &Ran)| output.divergence(idx, ran);
        self.outputs.iter().zip(values).map(of_output).sum()
    }

    /// The images in the order that decides soonest: those the float network gets wrong, which
    /// alone can be gained, then those it is least sure of.
    pub(super) fn order(&self) -> Vec<usize> {
        let right = &self.first().right;
        let margin = |idx: usize| {
            let margins = self.deciding(idx).iter().map(|output| output.margins[idx]);
            margins.fold(f32::INFINITY, f32::min)
        };
        let margins: Vec<f32> = (0..self.len()).map(margin).collect();
        let mut order: Vec<usize> = (0..self.len()).collect();
        order.sort_by(|&a, &b| {
            let by_right = right[a].cmp(&right[b]);
            by_right.then(margins[a].total_cmp(&margins[b])).then(a.cmp(&b))
        });
        order
    }
}

impl OutputPredictions {
    /// The mean over images of the sum of the squares of the values that others are compared with.
    fn mean_square(&self) -> f64 {
        let n = self.targets.len();
        let squares = |idx| self.reference(idx).iter().map(|x| x * x).sum::<f64>();
        let mean = (0..n).map(squares).sum::<f64>() / count_to_f64(n.max(1));
        if mean > 0.0 { mean } else { 1.0 }
    }

    /// What the float network says of an image, to be compared with: logits up to what softmax leaves open.
    fn reference(&self, idx: usize) -> Vec<f64> {
        self.centered(self.logits(idx).collect())
    }

    fn centered(&self, mut values: Vec<f64>) -> Vec<f64> {
        if self.ends_in_softmax() {
            for pixel in values.chunks_mut(self.channels.max(1)) {
                let mean = pixel.iter().sum::<f64>() / count_to_f64(pixel.len().max(1));
                pixel.iter_mut().for_each(|x| *x -= mean);
            }
        }
        values
    }

    fn ends_in_softmax(&self) -> bool {
        matches!(self.end, Some(Likelihood::Probability | Likelihood::Logarithm))
    }

    fn classes(&self) -> usize {
        if self.elements == 1 { 2 } else { self.elements }
    }

    /// How far an output is from the float network's, against what that holds on average: the squared difference
    /// over the mean sum of squares; at most [`MOST`].
    fn distortion(&self, idx: usize, (value, step): Ran) -> f64 {
        let values = self.centered(floats(value, step).collect());
        let pairs = values.iter().zip(self.reference(idx));
        let noise: f64 = pairs.map(|(a, b)| (a - b) * (a - b)).sum();
        // Also where a simulated value is not finite.
        if noise < MOST * self.signal { noise / self.signal } else { MOST }
    }

    fn outputs(&self) -> Vec<f32> {
        let mut outputs = self.logits.clone();
        match self.end {
            Some(Likelihood::Probability) => outputs.iter_mut().for_each(|x| *x = x.exp()),
            Some(Likelihood::Each) => {
                outputs.iter_mut().for_each(|x| *x = f64_to_f32(sigmoid(f64::from(*x))));
            }
            Some(Likelihood::Logarithm) | None => {}
        }
        outputs
    }

    fn said(&self, (value, step): Ran) -> Vec<f32> {
        let mut values: Vec<f64> = floats(value, step).collect();
        if self.ends_in_softmax() {
            for pixel in values.chunks_mut(self.channels.max(1)) {
                let likely = log_softmax(pixel.iter().copied());
                pixel.copy_from_slice(&likely);
            }
        }
        let told = |x: f64| match self.end {
            Some(Likelihood::Probability) => x.exp(),
            Some(Likelihood::Each) => sigmoid(x),
            Some(Likelihood::Logarithm) | None => x,
        };
        values.into_iter().map(|x| f64_to_f32(told(x))).collect()
    }

    /// The scores of classes for an image, divided by a temperature.
    fn scores(&self, idx: usize, temperature: f64) -> impl Iterator<Item = f64> {
        of_classes(self.elements, self.logits(idx).map(move |x| x / temperature))
    }

    fn logits(&self, idx: usize) -> impl Iterator<Item = f64> + Clone {
        self.logits[idx * self.elements..][..self.elements].iter().map(|&x| f64::from(x))
    }

    /// The temperature at which the labels of these images are likeliest.
    ///
    /// Source: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.
    fn likeliest_temperature(&self, images: &[usize]) -> f64 {
        const RATIO: f64 = 1.05;
        let surprise = |t: f64| -> f64 {
            images
                .par_iter()
                .map(|&idx| log_softmax(self.scores(idx, t))[self.targets[idx]])
                .collect::<Vec<f64>>()
                .iter()
                .fold(0.0, |sum, likely| sum - likely)
        };
        let temperatures = (-40..=40).map(|i| RATIO.powi(i));
        let all = temperatures.map(|t| (t, surprise(t)));
        all.min_by(|a, b| a.1.total_cmp(&b.1)).map_or(1.0, |best| best.0)
    }

    /// What the labels of these images say of the two likeliest classes.
    fn seen_lead(&self, images: &[usize]) -> Lead {
        let seen = |&idx: &usize| {
            let likely = log_softmax(self.scores(idx, self.temperature));
            let first = self.named(idx);
            let others = (0..likely.len()).filter(|&class| class != first);
            let second = others.max_by(|&a, &b| likely[a].total_cmp(&likely[b]).then(b.cmp(&a)));
            let second = second.unwrap_or(first);
            let of = |class: usize| f64::from(u8::from(self.targets[idx] == class));
            (likely[first].exp() - likely[second].exp(), of(first) - of(second))
        };
        Lead::new(&images.par_iter().map(seen).collect::<Vec<_>>())
    }

    /// The class that the float network names.
    fn named(&self, idx: usize) -> usize {
        class(ValueRef::F32(&self.logits[idx * self.elements..][..self.elements]))
    }

    /// The score of one image as classes.
    fn score(&self, idx: usize, value: ValueRef) -> Score {
        if self.first > 1 {
            let scores: Vec<f64> = of_classes(self.elements, floats(value, 1.0)).collect();
            let is_right = is_among(self.first, &scores, self.targets[idx]);
            return Score::of_image(
                self.right[idx],
                is_right,
                self.preference_of_all(idx, &scores),
            );
        }
        let class = class(value);
        Score::of_image(self.right[idx], class == self.targets[idx], self.preference(idx, class))
    }

    /// Counts an image as right where its target is among so many likeliest classes.
    fn count_first(&mut self, first: usize) {
        self.first = first;
        // Of two likeliest classes among five, labels say nothing.
        self.lead = Lead { factor: 1.0, error: self.lead.error.map(|_| Lead::PRIOR_ERROR) };
        for idx in 0..self.targets.len() {
            let scores: Vec<f64> = self.scores(idx, 1.0).collect();
            self.right[idx] = is_among(first, &scores, self.targets[idx]);
            let mut sorted = scores;
            sorted.sort_by(|a, b| b.total_cmp(a));
            // How far the last of them is before the next.
            let next = sorted.get(first).copied().unwrap_or(f64::NEG_INFINITY);
            self.margins[idx] =
                f64_to_f32(sorted.get(first - 1).map_or(f64::INFINITY, |x| x - next));
        }
    }

    /// As [`OutputPredictions::preference`], of all classes that are among the likeliest.
    fn preference_of_all(&self, idx: usize, scores: &[f64]) -> i64 {
        let likely = log_softmax(self.scores(idx, self.temperature));
        let part = |by: &[f64]| -> f64 {
            let mut classes: Vec<usize> = (0..by.len()).collect();
            classes.sort_by(|&a, &b| by[b].total_cmp(&by[a]).then(a.cmp(&b)));
            classes.iter().take(self.first).map(|&class| likely[class].exp()).sum()
        };
        f64_to_i64(((part(&likely) - part(scores)) * self.lead.factor * exp2(32)).round())
    }

    /// How much likelier the float network's own class is than another, in units of 2^-32.
    fn preference(&self, idx: usize, class: usize) -> i64 {
        let likely = log_softmax(self.scores(idx, self.temperature));
        let most = likely.iter().fold(f64::NEG_INFINITY, |max, &x| max.max(x));
        f64_to_i64(((most.exp() - likely[class].exp()) * self.lead.factor * exp2(32)).round())
    }

    /// `sum p ln(p / q)`.
    fn divergence(&self, idx: usize, (value, step): Ran) -> f64 {
        let p = log_softmax(self.scores(idx, 1.0));
        let q = log_softmax(of_classes(self.elements, floats(value, step)));
        p.iter().zip(&q).map(|(p, q)| p.exp() * (p - q)).sum()
    }
}

/// Most distortion of one image that is told apart from more.
const MOST: f64 = 100.0;

/// The class that an output names: the largest element; of one logit the second class where it is above zero.
fn class(value: ValueRef) -> usize {
    match value {
        ValueRef::F32([x]) => usize::from(*x > 0.0),
        ValueRef::Integers(x) if x.len() == 1 => usize::from(x.get(0) > 0),
        value => value.argmax(),
    }
}

/// The scores of classes that so many elements stand for: one is the logit of the second class, that of the first is
/// zero.
pub(crate) fn of_classes<I: Iterator<Item = f64>>(
    elements: usize,
    values: I,
) -> impl Iterator<Item = f64> {
    (elements == 1).then_some(0.0).into_iter().chain(values)
}

/// Whether fewer than so many classes come before one: those with a higher score, and equal ones that come first.
fn is_among(first: usize, scores: &[f64], class: usize) -> bool {
    let before = |(i, x): (usize, &f64)| match x.total_cmp(&scores[class]) {
        Ordering::Greater => true,
        Ordering::Equal => i < class,
        Ordering::Less => false,
    };
    scores.iter().enumerate().filter(|&(i, x)| before((i, x))).count() < first
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

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
    if let [x] = values {
        return x.abs();
    }
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

/// The logarithms of the probabilities that scores stand for.
pub(crate) fn log_softmax(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    let max = values.iter().fold(f64::NEG_INFINITY, |max, &x| max.max(x));
    let sum: f64 = values.iter().map(|x| (x - max).exp()).sum();
    values.iter_mut().for_each(|x| *x -= max + sum.ln());
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_tell_how_far_probabilities_are_right() {
        // Every third image in doubt by 0.3 is of the second class: 1/3 in place of 0.3.
        let images = |n: usize| -> Vec<(f64, f64)> {
            (0..n).map(|i| (0.3, if i % 3 == 0 { -1.0 } else { 1.0 })).collect()
        };
        let of = |n| {
            let Lead { factor, error } = Lead::new(&images(n));
            (factor, error.unwrap())
        };
        let (factor, error) = of(3000);
        assert!((factor - 1.0 / 0.9).abs() < 0.02, "{factor}");
        assert!(
            (error * factor - (1.0_f64 - 1.0 / 9.0).sqrt() / 3000_f64.sqrt() / 0.3).abs() < 1e-3
        );
        // Few images leave what is believed before; sure ones tell nothing.
        let (factor, few) = of(3);
        assert!((factor - 1.0).abs() < 0.1 && few > 0.35 && few <= 0.5, "{factor} {few}");
        let sure = Lead::new(&[(1.0, 1.0); 10]);
        assert_eq!(sure, Lead { factor: 1.0, error: Some(0.5) });
        assert_eq!(Lead::new(&[]), sure);
    }

    #[test]
    fn equal_scores_stand_in_the_order_of_classes() {
        let scores = [0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.9];
        let first: Vec<usize> = (0..7).filter(|&class| is_among(5, &scores, class)).collect();
        assert_eq!(first, [0, 1, 2, 3, 6]);
    }
}
