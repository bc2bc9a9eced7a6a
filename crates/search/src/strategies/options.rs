//! What a search layer by layer can be told, and the paper's values.

use super::{
    brute_force::Direction,
    tensors::{Kind, PlanHead, Tensor, layer_order, quantized_activations},
};
use crate::error::SearchError;
use fixedwise_fixed::Range;
use fixedwise_graph::{Graph, NodeId, Semantics};
use serde::{Deserialize, Serialize};

/// Farthest reach of the local search.
const MAX_WINDOW: u8 = 8;
/// Largest step from one width to start from to the next.
const MAX_STEP: u8 = 31;

/// The width at which the search of each kind begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartBits {
    /// Of weights, 1 to 16.
    pub weights: u8,
    /// Of biases, 1 to 32.
    pub biases: u8,
    /// Of activations, 1 to 16; unsigned ones have at most 15.
    pub activations: u8,
}

impl StartBits {
    pub(super) const fn of(self, kind: Kind) -> u8 {
        match kind {
            Kind::Weights => self.weights,
            Kind::Biases => self.biases,
            Kind::Activations => self.activations,
        }
    }
}

/// What is quantized while a format is tried; the rest stands at the reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holding {
    /// All that is found.
    Everything,
    /// What is found of the same kind.
    SameKind,
    /// The tensor alone.
    Nothing,
}

/// The relative loss that layer `i` of the `L` layers of a kind may come to; the total is half of
/// the bound.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Budget {
    /// `total * i / L`: the paper's for the first kind.
    Linear,
    /// The total for each layer: the paper's for biases.
    Flat,
    /// `total + total * i / L`: the paper's for the last kind.
    Offset,
    /// The whole bound for each layer.
    Whole,
    /// `total / L` for each layer: for layers whose losses add up.
    Share,
    /// One for each layer, in the order of the search; 0.01 is one percent.
    Losses(Vec<f64>),
}

impl Budget {
    /// The paper's by kind: half of the bound grows linearly over the first kind and another half
    /// over the second that is not the biases'; these must do with what is spent by then.
    pub(super) fn paper(order: [Kind; 3]) -> [Self; 3] {
        match order.map(|kind| kind == Kind::Biases) {
            [true, _, _] => [Self::Flat, Self::Linear, Self::Offset],
            [_, true, _] => [Self::Linear, Self::Flat, Self::Offset],
            _ => [Self::Linear, Self::Offset, Self::Whole],
        }
    }
}

/// The order in which layers are searched.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LayerOrder {
    /// The paper's: by how many layers lie between them and the input.
    #[default]
    Paper,
    /// As they stand in the network's file.
    Graph,
    /// By name; layers that are not named come last.
    Names(Vec<String>),
}

/// How a search goes through the layers; the default is the paper's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SearchOptions {
    /// The kinds, in the order in which they are searched.
    pub order: [Kind; 3],
    /// Where each begins.
    pub start_bits: StartBits,
    /// What is added to them while the kind alone loses more than half of the bound; 0 to 31.
    pub start_step: u8,
    /// The budgets of the kinds, in their order. By default `joint` has the paper's,
    /// `layer-dependent` [`Budget::Linear`] and `layer-independent` [`Budget::Share`].
    pub budgets: Option<[Budget; 3]>,
    /// How much better (in relative loss) a wider neighbor must be to be taken.
    pub trade_off: f64,
    /// Reach of the local search, in bits and binary points: 1 for 3 x 3; 0 to 8.
    pub window: u8,
    /// The order of the layers.
    pub layer_order: LayerOrder,
    /// The way through that order.
    pub direction: Direction,
}

impl Default for SearchOptions {
    fn default() -> Self {
        Self {
            order: [Kind::Weights, Kind::Biases, Kind::Activations],
            start_bits: StartBits { weights: 12, biases: 8, activations: 12 },
            start_step: 4,
            budgets: None,
            trade_off: 0.0015,
            window: 1,
            layer_order: LayerOrder::Paper,
            direction: Direction::Forward,
        }
    }
}

impl SearchOptions {
    /// The nodes in the order of the search.
    ///
    /// # Errors
    /// [`SearchError::Option`] for a value out of range, [`SearchError::LayerOrder`].
    pub fn nodes(&self, graph: &Graph, semantics: Semantics) -> Result<Vec<NodeId>, SearchError> {
        self.check()?;
        let mut nodes = match &self.layer_order {
            LayerOrder::Paper => layer_order(graph, semantics, &[])?,
            LayerOrder::Graph => quantized_activations(graph, semantics),
            LayerOrder::Names(names) => layer_order(graph, semantics, names)?,
        };
        if self.direction == Direction::Backward {
            nodes.reverse();
        }
        for (&kind, budget) in self.order.iter().zip(self.budgets.iter().flatten()) {
            let Budget::Losses(losses) = budget else { continue };
            let tensors = Tensor::all(graph, &PlanHead::of(semantics), kind, &nodes);
            if losses.len() != tensors.len() {
                let names: Vec<&str> = tensors.iter().map(|tensor| tensor.name.as_str()).collect();
                return refuse(
                    "budget",
                    format!(
                        "gives {} losses for {}; there are {} to search: {}",
                        losses.len(),
                        kind.name(),
                        tensors.len(),
                        names.join(", ")
                    ),
                );
            }
        }
        Ok(nodes)
    }

    fn check(&self) -> Result<(), SearchError> {
        let mut kinds = self.order;
        kinds.sort_unstable();
        if kinds != [Kind::Weights, Kind::Biases, Kind::Activations] {
            let names = self.order.map(Kind::name).join(",");
            let problem = "needs each of weights, biases and activations once";
            return refuse("order", format!("is {names}; it {problem}"));
        }
        for kind in self.order {
            let (bits, most) = (self.start_bits.of(kind), kind.max_bits(Range::Narrow));
            if !(1..=most).contains(&bits) {
                let problem = format!("gives {} {bits} bits; allowed: 1 to {most}", kind.name());
                return refuse("start-bits", problem);
            }
        }
        let numbers = [
            ("start-step", f64::from(self.start_step), f64::from(MAX_STEP)),
            ("window", f64::from(self.window), f64::from(MAX_WINDOW)),
            ("trade-off", self.trade_off, 1.0),
        ];
        let losses = self.budgets.iter().flatten().flat_map(|budget| match budget {
            Budget::Losses(losses) => losses.as_slice(),
            _ => &[],
        });
        let losses = losses.map(|&loss| ("budget", loss, 1.0));
        for (option, value, most) in numbers.into_iter().chain(losses) {
            if !(0.0..=most).contains(&value) {
                return refuse(option, format!("is {value}; allowed: 0 to {most}"));
            }
        }
        Ok(())
    }
}

fn refuse<T>(option: &'static str, problem: String) -> Result<T, SearchError> {
    Err(SearchError::Option { option, problem })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_follow_the_order_of_the_kinds() {
        use Kind::{Activations, Biases, Weights};
        let paper = Budget::paper;
        let usual = [Budget::Linear, Budget::Flat, Budget::Offset];
        assert_eq!(paper([Weights, Biases, Activations]), usual);
        assert_eq!(paper([Activations, Biases, Weights]), usual);
        let last = [Budget::Linear, Budget::Offset, Budget::Whole];
        assert_eq!(paper([Activations, Weights, Biases]), last);
        assert_eq!(paper([Weights, Activations, Biases]), last);
        let first = [Budget::Flat, Budget::Linear, Budget::Offset];
        assert_eq!(paper([Biases, Weights, Activations]), first);
    }

    #[test]
    fn values_out_of_range_are_named() {
        let good = SearchOptions::default;
        let bits = |weights, biases| StartBits { weights, biases, activations: 12 };
        let losses = |loss| Some([Budget::Losses(vec![loss]), Budget::Flat, Budget::Flat]);
        assert_eq!(good().check(), Ok(()));
        for (options, expected) in [
            (SearchOptions { order: [Kind::Weights; 3], ..good() }, "`order` is weights,weights"),
            (
                SearchOptions { start_bits: bits(17, 8), ..good() },
                "weights 17 bits; allowed: 1 to 16",
            ),
            (
                SearchOptions { start_bits: bits(8, 33), ..good() },
                "biases 33 bits; allowed: 1 to 32",
            ),
            (SearchOptions { start_step: 32, ..good() }, "`start-step` is 32; allowed: 0 to 31"),
            (SearchOptions { window: 9, ..good() }, "`window` is 9; allowed: 0 to 8"),
            (SearchOptions { trade_off: f64::NAN, ..good() }, "`trade-off` is NaN"),
            (SearchOptions { trade_off: -0.1, ..good() }, "`trade-off` is -0.1; allowed: 0 to 1"),
            (SearchOptions { budgets: losses(1.5), ..good() }, "`budget` is 1.5"),
        ] {
            let error = options.check().unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
