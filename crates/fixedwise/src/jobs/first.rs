//! The first result of a run: what the network is fed, what the float network makes of it, and what looks
//! wrong with that.

use crate::{
    data::{Preprocessed, View},
    error::{DataError, Error},
    model::Model,
    result::{FloatFigure, FloatResult, InputRange, PreprocessingResult},
    show::{fed, short},
    watch::Step,
};
use fixedwise_fixed::{
    Format,
    convert::{count_to_f64, count_to_u64, f64_to_f32},
};
use fixedwise_graph::{FixedGraph, FixedNode, Graph, Node, NodeId, ops::Affine};
use fixedwise_search::{Images, MetricName, Predictions, proportion95};
use rayon::prelude::*;
use std::ops::Range;

/// What the network is fed, and what the float network makes of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct First {
    pub(crate) preprocessing: PreprocessingResult,
    pub(crate) float: FloatResult,
}

impl First {
    /// What an observer is told of it.
    pub(crate) fn step(&self) -> Step {
        Step::MeasuredFloat { preprocessing: self.preprocessing.clone(), float: self.float.clone() }
    }
}

/// What is asked of the float network.
pub(crate) struct Checks {
    /// Whether outputs count as values, not as classes.
    pub(crate) is_of_values: bool,
    /// The accuracy that it is known to have.
    pub(crate) expect: Option<f64>,
    /// Whether accuracy at chance ends the run, because nothing can come of a search.
    pub(crate) is_searched: bool,
    /// Of the integers of each input, where a plan is given.
    pub(crate) inputs: Option<Vec<Format>>,
}

/// Channels that are told apart.
const MAX_CHANNELS: usize = 16;
/// The part of the images that one class may be named for, without labels: far more is suspicious.
const MAX_SHARE: f64 = 0.9;
/// Images without labels from which on one class for all of two is suspicious.
const MANY_IMAGES: usize = 50;
/// Images of other classes from which on one class for all images is suspicious.
const MISSED_IMAGES: usize = 10;
/// Points of accuracy that an expectation is rounded by.
const ROUNDED: f64 = 0.005;
/// Values that enter a network are hardly all smaller or all larger.
const USUAL: [f64; 2] = [1.0 / 64.0, 100.0];

/// What the float network makes of images, of which `predictions` are; `model` has its preprocessing inserted.
///
/// # Errors
/// Where accuracy is expected and missed by more than its confidence interval explains; where a search is
/// to be run on what is no better than chance; where a model of 8-bit integers is fed others.
pub(crate) fn first(
    model: &Model,
    images: &View,
    data: &impl Preprocessed,
    predictions: &Predictions,
    asked: &Checks,
) -> Result<First, Error> {
    let (declared, is_u8) = data.declared();
    let inputs = inputs(model.graph());
    for (input, (takes_bytes, &is_u8)) in inputs.iter().zip(model.takes_bytes().iter().zip(&is_u8))
    {
        if *takes_bytes && !is_u8 {
            check_bytes(images, model.graph().image_len(), input)?;
        }
    }
    let raw = ranges(images, model.graph().image_len(), &inputs);
    let entering =
        inputs.iter().zip(&raw).map(|(input, raw)| entering(model.graph(), input.node, raw));
    let entering: Vec<[Vec<[f64; 2]>; 2]> = entering.collect();
    let fed = declared.result(&is_u8);
    let preprocessing = match &entering[..] {
        [[fed_to, _]] => PreprocessingResult { range: told(fed_to), ..fed },
        all => {
            let range = |(input, [fed_to, _]): (&InputPart, &[Vec<[f64; 2]>; 2])| InputRange {
                name: input.name.clone(),
                range: told(fed_to),
            };
            PreprocessingResult { inputs: inputs.iter().zip(all).map(range).collect(), ..fed }
        }
    };
    let output = model.graph().output_shape();
    let is_labeled = images.label(0).is_some();
    // Where there is more than one place, outputs are images; one number is a logit if there are labels.
    let is_classes =
        !asked.is_of_values && output.h * output.w == 1 && (output.c > 1 || is_labeled);
    let n = predictions.len();
    let float =
        FloatResult { images: count_to_u64(n), expected: asked.expect, ..FloatResult::default() };
    if asked.expect.is_some() && !(is_classes && is_labeled) {
        let problem =
            "states an accuracy, which needs labels and a network that tells classes apart";
        return Err(Error::Option { option: "expect", problem: problem.to_owned() });
    }
    let mut first = First { preprocessing, float };
    let is_proved =
        if let (Some(value), Some(metric)) = (predictions.float_figure(), images.metric()) {
            first.float.figure = Some(FloatFigure { metric: metric.name().to_owned(), value });
            false
        } else if !is_classes {
            first.float.output_range = Some(predictions.output_range());
            false
        } else if is_labeled {
            labeled(&mut first, images, predictions, asked)?
        } else {
            unlabeled(&mut first.float, predictions);
            false
        };
    // What classifies well is fed well.
    if !is_proved {
        let warnings = inputs.iter().zip(&entering);
        let warnings = warnings.filter_map(|(input, fed)| Some(input.of(looks_wrong(fed)?)));
        first.float.warnings.extend(warnings);
    }
    let formats = asked.inputs.iter().flatten();
    let missed = inputs.iter().zip(&raw).zip(formats);
    let missed = missed
        .filter_map(|((input, raw), &format)| Some(input.of(misses_range(format, whole(raw))?)));
    first.float.warnings.extend(missed);
    Ok(first)
}

/// An input of a network and where its values stand in an image.
struct InputPart {
    node: NodeId,
    name: String,
    channels: usize,
    part: Range<usize>,
    /// Whether it is the only one.
    is_only: bool,
}

impl InputPart {
    /// What is said of this input.
    fn of(&self, text: String) -> String {
        if self.is_only { text } else { format!("Input `{}`: {text}", self.name) }
    }
}

fn inputs(graph: &Graph) -> Vec<InputPart> {
    let is_only = graph.inputs().len() == 1;
    let of = |(&node, part): (&NodeId, Range<usize>)| {
        let Node { name, shape, .. } = &graph.nodes[node];
        InputPart { node, name: name.clone(), channels: shape.c, part, is_only }
    };
    graph.inputs().iter().zip(graph.image_parts()).map(of).collect()
}

/// Tells the accuracy; whether it leaves no doubt of what the network is fed.
fn labeled(
    first: &mut First,
    images: &View,
    predictions: &Predictions,
    asked: &Checks,
) -> Result<bool, Error> {
    let (n, correct, classes) = (predictions.len(), predictions.correct(), predictions.classes());
    let fed = fed(&first.preprocessing);
    let interval = proportion95(correct, n);
    let named = predictions.named();
    let float = &mut first.float;
    float.top5 = images.metric() == Some(MetricName::Top5);
    float.classes = count_to_u64(classes);
    float.correct = Some(count_to_u64(correct));
    float.interval95 = Some(interval);
    float.most_named = most_named(&named);
    let accuracy = count_to_f64(correct) / count_to_f64(n);
    if let Some(expected) = asked.expect {
        if interval[1] < expected - ROUNDED {
            return Err(Error::Expected { accuracy, n, interval, expected, fed });
        }
        return Ok(true);
    }
    let guesses = if first.float.top5 { classes.min(5) } else { 1 };
    let float = &mut first.float;
    let chance = count_to_f64(guesses) / count_to_f64(classes);
    // Of few classes, three times chance is more than what many good networks reach.
    let little = (3.0 * chance).min(f64::midpoint(chance, 1.0));
    let is_little = interval[1] < little;
    let is_chance = interval[0] <= chance;
    if is_chance && is_little && asked.is_searched {
        return Err(Error::Chance { correct, n, classes, fed });
    }
    let only = named.iter().position(|&count| count == n);
    let others = only.map_or(0, |class| (0..n).filter(|&i| images.label(i) != Some(class)).count());
    if is_little {
        let than = if is_chance { "no better than chance" } else { "little better than chance" };
        float.warnings.push(format!(
            "The float network does {than}: check what it is fed (--preprocess, --layout) and the order \
             of the labels. --expect states the accuracy that it should have."
        ));
    } else if is_chance {
        float.warnings.push(format!(
            "{n} images are too few to tell whether the float network is better than chance."
        ));
    } else if let (Some(class), MISSED_IMAGES..) = (only, others) {
        float.warnings.push(format!(
            "The float network names class {class} for all images, {others} of which have other labels."
        ));
    }
    Ok(float.warnings.is_empty())
}

/// Tells how images without labels are divided among classes.
fn unlabeled(float: &mut FloatResult, predictions: &Predictions) {
    let (n, classes) = (predictions.len(), predictions.classes());
    let named = predictions.named();
    float.classes = count_to_u64(classes);
    float.most_named = most_named(&named);
    let most = named.iter().copied().max().unwrap_or(0);
    let is_one = if classes == 2 {
        most == n && n >= MANY_IMAGES
    } else {
        proportion95(most, n)[0] >= MAX_SHARE
    };
    if is_one {
        float.warnings.push(
            "The float network names one class for nearly all images. If they show several, check what \
             it is fed (--preprocess, --layout): without labels nothing else tells."
                .to_owned(),
        );
    }
    let (confidence, guess) = (predictions.mean_confidence(), count_to_f64(classes).recip());
    if confidence < guess + (guess / 2.0).min(0.05) {
        float.warnings.push(format!(
            "The float network is nearly undecided: its mean confidence is {:.1} %, a guess has {:.1} %. \
             Check what it is fed (--preprocess, --layout).",
            confidence * 100.0,
            guess * 100.0
        ));
    }
}

/// The class that is named most often, and how often.
pub(super) fn most_named(named: &[usize]) -> Option<[u64; 2]> {
    let most = named.iter().copied().max()?;
    let class = named.iter().position(|&count| count == most)?;
    Some([class, most].map(count_to_u64))
}

/// Refuses pixels that are no integers from 0 to 255.
fn check_bytes(images: &View, len: usize, input: &InputPart) -> Result<(), Error> {
    let mut image = vec![0.0_f32; len];
    for idx in 0..images.len() {
        images.image(idx, &mut image);
        let is_byte = |x: &f32| x.fract() == 0.0 && (0.0..=255.0).contains(x);
        if let Some(x) = image[input.part.clone()].iter().find(|x| !is_byte(x)) {
            return Err(DataError::Missing(format!(
                "the model takes 8-bit pixels (UINT8), but image {idx} has the value {x}; store the \
                 images as integers from 0 to 255"
            ))
            .into());
        }
    }
    Ok(())
}

/// Of each input, smallest and largest pixel of each channel, as stored.
fn ranges(images: &dyn Images, len: usize, inputs: &[InputPart]) -> Vec<Vec<[f64; 2]>> {
    type Ranges = Vec<Vec<[f32; 2]>>;
    let empty = || -> Ranges {
        let one = [f32::INFINITY, f32::NEG_INFINITY];
        inputs.iter().map(|input| vec![one; input.channels]).collect()
    };
    let wider = |a: [f32; 2], b: [f32; 2]| [a[0].min(b[0]), a[1].max(b[1])];
    let both = |mut a: Ranges, b: Ranges| {
        a.iter_mut().flatten().zip(b.iter().flatten()).for_each(|(a, b)| *a = wider(*a, *b));
        a
    };
    let parts = (0..images.len()).into_par_iter().fold(
        || (empty(), vec![0.0; len]),
        |(mut ranges, mut image), idx| {
            images.image(idx, &mut image);
            for (range, input) in ranges.iter_mut().zip(inputs) {
                for pixel in image[input.part.clone()].chunks_exact(input.channels) {
                    range
                        .iter_mut()
                        .zip(pixel)
                        .for_each(|(range, &x)| *range = wider(*range, [x, x]));
                }
            }
            (ranges, image)
        },
    );
    let ranges = parts.map(|part| part.0).reduce(empty, both);
    ranges
        .into_iter()
        .map(|range| range.into_iter().map(|range| range.map(f64::from)).collect())
        .collect()
}

/// The ranges behind the preprocessing, and behind what the network itself scales and adds before its first
/// other operator.
fn entering(graph: &Graph, input: NodeId, raw: &[[f64; 2]]) -> [Vec<[f64; 2]>; 2] {
    let mut behind = vec![raw.to_vec()];
    let mut id = input;
    loop {
        let mut users =
            (0..graph.nodes.len()).filter(|&user| graph.nodes[user].inputs.contains(&id));
        let (Some(user), None) = (users.next(), users.next()) else { break };
        let Some(affine) = graph.nodes[user].op.get::<Affine>() else { break };
        let numbers = affine.scale.iter().zip(&affine.shift);
        let scaled = behind[behind.len() - 1].iter().zip(numbers).map(|(range, (scale, shift))| {
            let [a, b] = range.map(|x| x * scale + shift);
            [a.min(b), a.max(b)]
        });
        let scaled = scaled.collect();
        behind.push(scaled);
        id = user;
    }
    let fed = behind.get(1).unwrap_or(&behind[0]).clone();
    [fed, behind.pop().unwrap_or_default()]
}

/// The ranges of so few channels that each is told, or that of all.
fn told(ranges: &[[f64; 2]]) -> Vec<[f32; 2]> {
    let all = if ranges.len() > MAX_CHANNELS { vec![whole(ranges)] } else { ranges.to_vec() };
    all.into_iter().map(|range| range.map(f64_to_f32)).collect()
}

fn whole(ranges: &[[f64; 2]]) -> [f64; 2] {
    let first = [f64::INFINITY, f64::NEG_INFINITY];
    ranges.iter().fold(first, |all, range| [all[0].min(range[0]), all[1].max(range[1])])
}

/// What is unusual about the values that enter the network, where nothing proves that they are right.
fn looks_wrong(entering: &[Vec<[f64; 2]>; 2]) -> Option<String> {
    let [fed, scaled] = entering;
    let [low, high] = whole(scaled);
    let largest = low.abs().max(high.abs());
    let itself = if fed == scaled { "" } else { ", after what the network itself scales" };
    let range = format!("{} to {}", short(low), short(high));
    if low.total_cmp(&high).is_eq() {
        Some(format!("All pixels of all images are {}{itself}.", short(low)))
    } else if largest < USUAL[0] {
        Some(format!(
            "The values that enter the network are small, {range}{itself}: were they scaled twice? \
             --preprocess none leaves pixels as they are."
        ))
    } else if largest > USUAL[1] {
        Some(format!(
            "The values that enter the network are large, {range}{itself}: --preprocess declares the \
             scale of the training."
        ))
    } else {
        None
    }
}

/// Of images whose pixels the integers of an input do not hold, or that are hardly more than its step.
pub(crate) fn misses(fixed: &FixedGraph, images: &[Vec<f32>]) -> Vec<String> {
    let is_only = fixed.inputs.len() == 1;
    let missed = |(&node, part): (&NodeId, Range<usize>)| {
        let FixedNode { name, shape, format, .. } = &fixed.nodes[node];
        let first = [f64::INFINITY, f64::NEG_INFINITY];
        let pixels = images.iter().flat_map(|image| &image[part.clone()]).map(|&x| f64::from(x));
        let range = pixels.fold(first, |[low, high], x| [low.min(x), high.max(x)]);
        let input = InputPart { node, name: name.clone(), channels: shape.c, part, is_only };
        Some(input.of(misses_range(*format, range)?))
    };
    fixed.inputs.iter().zip(fixed.image_parts()).filter_map(missed).collect()
}

fn misses_range(format: Format, [low, high]: [f64; 2]) -> Option<String> {
    let holds = [format.min(), format.max()].map(|stored| format.dequantize(stored));
    let (largest, most) = (low.abs().max(high.abs()), holds[0].abs().max(holds[1].abs()));
    let is_wrong =
        largest > 2.0 * most || largest < 4.0 * format.dequantize(1) || low < holds[0] - most / 2.0;
    is_wrong.then(|| {
        format!(
            "The pixels of the images are from {} to {}, the input of the plan holds {} to {}: was the plan \
             made from other images?",
            short(low),
            short(high),
            short(holds[0]),
            short(holds[1])
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_images_accuse_nobody() {
        for (k, n, low, high) in
            [(6, 6, 0.61, 1.0), (0, 6, 0.0, 0.39), (570, 5000, 0.105, 0.123), (1, 2, 0.09, 0.91)]
        {
            let found = proportion95(k, n);
            assert!((found[0] - low).abs() < 0.01 && (found[1] - high).abs() < 0.01, "{found:?}");
        }
    }
}
