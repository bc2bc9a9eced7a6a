//! What goes between machines, as bytes: floats come back to the bit.

use crate::{
    digest::Digest,
    evaluate::{FloatRows, Part, Question},
};
use fixedwise_fixed::{Format, Range as Integers, Rounding};
use fixedwise_graph::{LayerPlan, NodeId, Plan, Quantizer, Rounded, Semantics, Thinned};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, ops::Range, sync::Arc};

/// What is asked.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Ask {
    /// What network, images and arithmetic the answer is of.
    pub(super) key: String,
    /// Which of the sets of images.
    pub(super) set: usize,
    pub(super) chunks: Range<usize>,
    pub(super) what: What,
}

/// What is asked of chunks.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum What {
    /// What the float network says, as these kernels compute it.
    Float { kernels: String },
    /// What a plan gives that the node was given.
    Parts { plan: Digest, question: Question, focus: Option<NodeId> },
}

/// What a node remembers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Remember {
    /// What the float network says of a set, and the channels that plans are without.
    Float {
        set: usize,
        rows: Vec<FloatRows>,
        thinned: Option<Thinned>,
    },
    Plan {
        digest: Digest,
        plan: PlainPlan,
    },
}

/// What a node answers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Reply {
    Float(Vec<FloatRows>),
    Parts(Vec<Part>),
    /// It was given too little.
    Lacks,
    /// It cannot do that: whoever asks can.
    Cannot,
    /// It is a node of something else.
    Refuses(String),
}

/// As bytes.
pub(super) fn bytes(value: &impl Serialize) -> Vec<u8> {
    postcard::to_stdvec(value).expect("memory takes everything")
}

/// From bytes.
pub(super) fn read<'b, T: Deserialize<'b>>(bytes: &'b [u8]) -> Option<T> {
    postcard::from_bytes(bytes).ok()
}

/// Width, binary point and integers of a format.
type PlainFormat = (u8, i8, u8);
/// Weights, scales, bias and binary points of integers that are not the nearest.
type PlainRounded = (Vec<i16>, Vec<f32>, Vec<f32>, Vec<u8>);
/// The layer, and the formats of its weights, bias and result.
type PlainLayer = (String, [Option<PlainFormat>; 3]);

/// A plan as plain data.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct PlainPlan {
    is_simulated: bool,
    is_square_root: bool,
    rounding: u8,
    input: PlainFormat,
    layers: Vec<PlainLayer>,
    others: BTreeMap<String, PlainFormat>,
    rounded: BTreeMap<String, PlainRounded>,
}

const INTEGERS: [Integers; 4] =
    [Integers::Unsigned, Integers::Narrow, Integers::Full, Integers::Bipolar];

/// The place of something among all.
fn place<T: PartialEq>(all: &[T], one: &T) -> u8 {
    let place = all.iter().position(|other| other == one).expect("it is one of all");
    u8::try_from(place).expect("they are few")
}

fn plain(format: Format) -> PlainFormat {
    (format.bits, format.frac, place(&INTEGERS, &format.range))
}

fn format((bits, frac, range): PlainFormat) -> Option<Format> {
    Some(Format { bits, frac, range: *INTEGERS.get(usize::from(range))? })
}

impl PlainPlan {
    pub(super) fn of(plan: &Plan) -> Self {
        let layer = |layer: &LayerPlan| {
            let formats = [layer.weights, layer.bias, layer.activation];
            (layer.name.clone(), formats.map(|format| format.map(plain)))
        };
        let rounded = |(name, rounded): (&String, &Arc<Rounded>)| {
            let Rounded { weights, scales, bias, coarser } = Rounded::clone(rounded);
            (name.clone(), (weights, scales, bias, coarser))
        };
        Self {
            is_simulated: plan.semantics == Semantics::Simulated,
            is_square_root: plan.quantizer == Quantizer::SquareRoot,
            rounding: place(&Rounding::ALL, &plan.rounding),
            input: plain(plan.input),
            layers: plan.layers.iter().map(layer).collect(),
            others: plan.others.iter().map(|(name, one)| (name.clone(), plain(*one))).collect(),
            rounded: plan.rounded.iter().map(rounded).collect(),
        }
    }

    /// The plan; nothing where the bytes were of none.
    pub(super) fn plan(self) -> Option<Plan> {
        let layer = |(name, formats): PlainLayer| {
            let [weights, bias, activation] = formats.map(|one| one.map(format));
            // A format that is there is one.
            let of = |one: Option<Option<Format>>| one.map_or(Some(None), |one| one.map(Some));
            let (weights, bias, activation) = (of(weights)?, of(bias)?, of(activation)?);
            Some(LayerPlan { name, weights, bias, activation })
        };
        let rounded = |(name, (weights, scales, bias, coarser)): (String, PlainRounded)| {
            (name, Arc::new(Rounded { weights, scales, bias, coarser }))
        };
        Some(Plan {
            semantics: if self.is_simulated { Semantics::Simulated } else { Semantics::Integer },
            quantizer: if self.is_square_root { Quantizer::SquareRoot } else { Quantizer::Uniform },
            rounding: *Rounding::ALL.get(usize::from(self.rounding))?,
            input: format(self.input)?,
            layers: self.layers.into_iter().map(layer).collect::<Option<_>>()?,
            others: self
                .others
                .into_iter()
                .map(|(name, one)| Some((name, format(one)?)))
                .collect::<Option<_>>()?,
            rounded: self.rounded.into_iter().map(rounded).collect(),
            // Whoever measures has the network without them.
            thinned: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_come_back_to_the_bit() {
        let numbers = [0.1, -0.0, f32::MIN_POSITIVE / 4.0, f32::INFINITY];
        let rounded = Rounded {
            weights: vec![i16::MIN, -1, 0, 1, i16::MAX],
            scales: numbers.to_vec(),
            bias: numbers.iter().map(|x| -x).collect(),
            coarser: vec![0, 3],
        };
        let layer = |weights, bias| LayerPlan {
            name: "layer".to_owned(),
            weights,
            bias,
            activation: Some(Format::unsigned(7, -3)),
        };
        for rounding in Rounding::ALL {
            for semantics in [Semantics::Integer, Semantics::Simulated] {
                let plan = Plan {
                    semantics,
                    quantizer: Quantizer::SquareRoot,
                    rounding,
                    input: Format::full(8, 127),
                    layers: vec![layer(Some(Format::bipolar(-128)), None), layer(None, None)],
                    others: BTreeMap::from([("sum".to_owned(), Format::signed(32, 0))]),
                    rounded: BTreeMap::from([("layer".to_owned(), Arc::new(rounded.clone()))]),
                    thinned: None,
                };
                let sent = bytes(&PlainPlan::of(&plan));
                let back = read::<PlainPlan>(&sent).and_then(PlainPlan::plan).unwrap();
                assert_eq!(back, plan);
                // Zeros without their sign are equal, too.
                let bits = |plan: &Plan| {
                    let rounded = &plan.rounded["layer"];
                    rounded.bias.iter().map(|x| x.to_bits()).collect::<Vec<_>>()
                };
                assert_eq!(bits(&back), bits(&plan));
                // What is cut off is no plan.
                assert!((0..sent.len()).all(|end| read::<PlainPlan>(&sent[..end]).is_none()));
            }
        }
    }
}
