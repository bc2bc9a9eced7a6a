//! The plan: the only thing a search makes.

use fixedwise_fixed::{
    Format, Rounding,
    convert::{exp2, f64_to_f32},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};

/// What a run computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Semantics {
    /// Integers alone: what is measured is what is deployed.
    #[default]
    Integer,
    /// The paper's fake quantization: weights, biases and the outputs of layers are rounded to
    /// signed formats, before batch normalization; everything else stays in f32.
    Simulated,
}

impl Semantics {
    /// `integer` or `simulated`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Integer => "integer",
            Self::Simulated => "simulated",
        }
    }
}

/// What a format is applied to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Quantizer {
    /// To the value: steps are equal.
    #[default]
    Uniform,
    /// To `sign(x) * sqrt(|x|)`, squared back with its sign: steps grow with the value.
    ///
    /// In simulated semantics only, where integers need no common step.
    SquareRoot,
}

impl Quantizer {
    /// `uniform` or `square-root`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::SquareRoot => "square-root",
        }
    }
}

/// The formats of one layer. `None` stands for float, in simulated semantics; for a bias in
/// integer semantics it stands for the accumulator's scale.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LayerPlan {
    /// The layer's node.
    pub name: String,
    /// Of its weights, at most 16 bits.
    pub weights: Option<Format>,
    /// Of its bias, at most 32 bits.
    pub bias: Option<Format>,
    /// Of its result after the activation, at most 16 bits (15 without sign).
    pub activation: Option<Format>,
}

/// Integers that stand for a layer's weights where not each is rounded to the nearest alone, and
/// what goes with them to its bias.
///
/// The layer computes `s` times the model's value in an output channel of scale `s`; its integers and
/// those of the layers behind it are made for that.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Rounded {
    /// Of the plan's format, in the layer's own order: the output channel outermost.
    pub weights: Vec<i16>,
    /// One an output channel, above zero.
    pub scales: Vec<f32>,
    /// What is added to the bias after its scale: one an output channel, or one for each class of positions too, as
    /// the bias has them: `[class, output channel]`.
    pub bias: Vec<f32>,
    /// By how many bits the binary point of each output channel's weights lies right of the format's:
    /// they stand for `q * 2^(coarser - frac)`. Empty where all have the format's.
    pub coarser: Vec<u8>,
}

impl Rounded {
    /// Whether a channel has a scale other than one.
    pub fn is_scaled(&self) -> bool {
        self.scales.iter().any(|s| s.to_bits() != 1.0_f32.to_bits())
    }

    /// Whether output channels have binary points of their own.
    pub fn is_by_channel(&self) -> bool {
        self.coarser.iter().any(|&bits| bits > 0)
    }

    /// What the integers stand for, of weights of that format.
    pub fn values(&self, format: Format) -> Vec<f32> {
        let channels = self.scales.len();
        let filter = self.weights.len() / channels.max(1);
        let step = |at: usize| {
            let bits = self.coarser.get(at / filter).copied().unwrap_or(0);
            f64_to_f32(exp2(i32::from(bits) - i32::from(format.frac)))
        };
        self.weights.iter().enumerate().map(|(at, &q)| f32::from(q) * step(at)).collect()
    }

    /// The model's bias, `[class, output channel]`, as the layer has it.
    pub fn bias(&self, bias: &[f64]) -> Vec<f64> {
        let channels = self.scales.iter().cycle().zip(self.bias.iter().cycle());
        let of = |(b, (&s, &more)): (&f64, (&f32, &f32))| b.mul_add(f64::from(s), f64::from(more));
        bias.iter().zip(channels).map(of).collect()
    }
}

/// The numbers of a layer that make up for channels that it does not get.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct Numbers {
    /// Its weights, `[output channel, row, column, input channel]` of the channels that stay.
    pub weights: Vec<f32>,
    /// One an output channel that stays.
    pub bias: Vec<f32>,
}

/// A network without some of the channels that its layers make.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct Thinned {
    /// By layer, the output channels that go, counted from 0, in ascending order.
    pub dropped: BTreeMap<String, Vec<usize>>,
    /// By layer that takes such a channel, what it computes with instead.
    pub numbers: BTreeMap<String, Numbers>,
}

/// A format for every quantized tensor of a graph.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// What the formats mean.
    pub semantics: Semantics,
    /// What the formats are applied to.
    pub quantizer: Quantizer,
    /// How a requantization rounds.
    pub rounding: Rounding,
    /// Of the input image; of a network with several, of each that `others` does not name.
    pub input: Format,
    /// In graph order.
    pub layers: Vec<LayerPlan>,
    /// Formats of other nodes by name: residual adds need one; inputs have [`Plan::input`], concatenations, average pools and
    /// single activations have one derived where it is absent.
    pub others: BTreeMap<String, Format>,
    /// By layer, integers that are not the nearest to the model's weights.
    pub rounded: BTreeMap<String, Arc<Rounded>>,
    /// What the network lacks of the model's channels: the plan is of the rest.
    pub thinned: Option<Arc<Thinned>>,
}

impl Plan {
    /// The format of the input of that name.
    pub fn input(&self, name: &str) -> Format {
        self.others.get(name).copied().unwrap_or(self.input)
    }

    /// The plan of a layer.
    pub fn layer(&self, name: &str) -> Option<&LayerPlan> {
        self.layers.iter().find(|layer| layer.name == name)
    }

    /// The plan of a layer, to change.
    pub fn layer_mut(&mut self, name: &str) -> Option<&mut LayerPlan> {
        self.layers.iter_mut().find(|layer| layer.name == name)
    }
}
