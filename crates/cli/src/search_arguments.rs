//! Options of the layer-by-layer search.

use crate::arguments::DirectionName;
use clap::{Args, ValueEnum};
use fixedwise::{Budget, Kind, LayerOrder, Objective, SearchOptions, StartBits, Strategy, Target};
use std::path::PathBuf;

/// Options of the layer-by-layer strategies; the defaults are the values of the paper.
#[derive(Args, Debug)]
#[command(next_help_heading = "Layer-by-layer search (joint, layer-dependent, layer-independent)")]
pub(crate) struct SearchArguments {
    /// The cost to reduce. Default: flash with a microcontroller as --target, else memory.
    ///
    /// Flash and RAM are those of --target. In a layer-by-layer search they start at 8 bits (--start-bits
    /// 8,8,8), and RAM and bit products have another --order.
    #[arg(long, value_name = "NAME", help_heading = "Search")]
    objective: Option<ObjectiveName>,
    /// Initial formats, instead of --start-bits: a plan.toml, a result.json, or a JSON plan in the
    /// notation of the paper.
    #[arg(long, value_name = "FILE")]
    pub(crate) start: Option<PathBuf>,
    /// Initial bit widths of weights, biases and activations. Default: 12,8,12; 8,8,8 for flash and RAM.
    #[arg(long, value_name = "W,B,A", value_parser = start_bits)]
    start_bits: Option<StartBits>,
    /// Number of bits to add to these, again and again, while the tensor kind alone loses more than half of
    /// --max-loss.
    #[arg(long, value_name = "BITS", default_value_t = 4)]
    #[arg(value_parser = clap::value_parser!(u8).range(0..=31))]
    start_step: u8,
    /// Order in which the tensor kinds are searched. Default: weights,biases,activations; for bit products
    /// weights,activations,biases; for RAM activations,weights,biases.
    #[arg(long, value_name = "KINDS", value_parser = order)]
    order: Option<[Kind; 3]>,
    /// Order of the layers: `paper` (by distance from the input, longer branches first), `graph` (as in
    /// the file), or NAME,NAME,... (the other layers come last).
    #[arg(long, value_name = "ORDER", default_value = "paper", value_parser = layer_order)]
    layer_order: LayerOrder,
    /// Direction through this order.
    #[arg(long, value_name = "WAY", default_value = "forward")]
    direction: DirectionName,
    /// Loss budget: the relative loss that is allowed up to layer i of the L layers of a tensor kind. One
    /// value for all kinds, or three separated by commas, in the order of --order.
    ///
    /// The total T is half of --max-loss. `linear`: T i / L. `flat`: T. `offset`: T + T i / L.
    /// `whole`: 2 T. `share`: T / L. Or one loss per layer: `0.1%;0.2%;0.5%`. Default:
    /// linear,flat,offset for joint, linear for layer-dependent, share for layer-independent. With an
    /// --objective other than memory, each tensor gets a budget in proportion to how much it counts, up to
    /// the whole bound.
    #[arg(long, value_name = "BUDGETS", value_parser = budgets)]
    budget: Option<Budgets>,
    /// A wider neighbor is preferred if it loses less by at least this fraction of the float accuracy.
    #[arg(long, value_name = "LOSS", default_value = "0.0015", value_parser = fraction)]
    trade_off: f64,
    /// Radius of the local search over bit widths and binary points: 1 means 3 x 3.
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u8).range(0..=8))]
    window: u8,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ObjectiveName {
    /// Bits of weights, biases and activations, as in the paper.
    Memory,
    /// Weight bits times input bits, summed over all multiply-accumulates.
    #[value(name = "bit-products", alias = "multiplications")]
    Multiplications,
    /// Memory and bit products with equal weight, each relative to uniform 8 bit; only --strategy
    /// pareto.
    Mixed,
    /// Constants and code in the flash of the target; uses only bit widths that the target stores.
    Flash,
    /// Peak working memory on the target; uses only bit widths that the target stores.
    Ram,
}

impl From<ObjectiveName> for Objective {
    fn from(name: ObjectiveName) -> Self {
        match name {
            ObjectiveName::Memory => Self::Memory,
            ObjectiveName::Multiplications => Self::Multiplications,
            ObjectiveName::Mixed => Self::Mixed,
            ObjectiveName::Flash => Self::Flash,
            ObjectiveName::Ram => Self::Ram,
        }
    }
}

/// One for each kind.
type Budgets = [Budget; 3];

impl SearchArguments {
    /// What is made small: what is asked for, or what there is least of on a target, where the strategy can make
    /// that small.
    pub(crate) fn objective(&self, target: Option<&Target>, strategy: Strategy) -> Objective {
        let is_microcontroller = target.is_some_and(Target::is_microcontroller);
        let has_choice = !matches!(strategy, Strategy::Fixed { .. } | Strategy::BruteForce);
        let usual =
            if is_microcontroller && has_choice { Objective::Flash } else { Objective::Memory };
        self.objective.map_or(usual, Objective::from)
    }

    /// How the layers are walked for an objective.
    pub(crate) fn options(&self, objective: Objective) -> SearchOptions {
        let usual = SearchOptions::of(objective);
        SearchOptions {
            order: self.order.unwrap_or(usual.order),
            start_bits: self.start_bits.unwrap_or(usual.start_bits),
            start_step: self.start_step,
            budgets: self.budget.clone(),
            trade_off: self.trade_off,
            window: self.window,
            layer_order: self.layer_order.clone(),
            direction: self.direction.into(),
        }
    }
}

fn three<T>(text: &str, parse: impl Fn(&str) -> Option<T>) -> Option<[T; 3]> {
    let parsed: Option<Vec<T>> = text.split(',').map(|part| parse(part.trim())).collect();
    parsed?.try_into().ok()
}

/// `12,8,12`.
fn start_bits(text: &str) -> Result<StartBits, String> {
    let [weights, biases, activations] = three(text, |part| part.parse().ok())
        .ok_or("expected the bits of weights, biases and activations, for example 12,8,12")?;
    Ok(StartBits { weights, biases, activations })
}

/// `weights,biases,activations` in any order.
fn order(text: &str) -> Result<[Kind; 3], String> {
    let kinds = [Kind::Weights, Kind::Biases, Kind::Activations];
    three(text, |part| kinds.into_iter().find(|kind| kind.name() == part))
        .filter(|order| kinds.iter().all(|kind| order.contains(kind)))
        .ok_or_else(|| "expected each of weights, biases and activations once".to_owned())
}

#[expect(clippy::unnecessary_wraps, reason = "of a kind with the others")]
fn layer_order(text: &str) -> Result<LayerOrder, String> {
    Ok(match text {
        "paper" => LayerOrder::Paper,
        "graph" => LayerOrder::Graph,
        names => LayerOrder::Names(names.split(',').map(|name| name.trim().to_owned()).collect()),
    })
}

/// `linear`, `linear,flat,offset`, `0.1%;0.2%,flat,offset`.
fn budgets(text: &str) -> Result<Budgets, String> {
    let budget = |part: &str| match part {
        "linear" => Some(Budget::Linear),
        "flat" => Some(Budget::Flat),
        "offset" => Some(Budget::Offset),
        "whole" => Some(Budget::Whole),
        "share" => Some(Budget::Share),
        list => list
            .split(';')
            .map(|loss| fraction(loss).ok())
            .collect::<Option<_>>()
            .map(Budget::Losses),
    };
    let one_for_all = || budget(text).map(|budget| [budget.clone(), budget.clone(), budget]);
    three(text, budget).or_else(one_for_all).ok_or_else(|| {
        "expected linear, flat, offset, whole, share or losses such as 0.1%;0.2%, once or for each of \
         the three tensor kinds, separated by commas"
            .to_owned()
    })
}

/// `0.15%` or `0.0015`.
fn fraction(text: &str) -> Result<f64, String> {
    let (digits, scale) = text.strip_suffix('%').map_or((text, 1.0), |digits| (digits, 100.0));
    let number = digits.trim().parse::<f64>().ok().map(|x| x / scale);
    let number = number.filter(|x| (0.0..=1.0).contains(x));
    number.ok_or_else(|| {
        "expected a fraction from 0 to 1 or percent, for example 0.0015 or 0.15%".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_of_a_kind_are_read() {
        let bits = StartBits { weights: 12, biases: 8, activations: 10 };
        assert_eq!(start_bits("12, 8,10"), Ok(bits));
        let kinds = [Kind::Activations, Kind::Weights, Kind::Biases];
        assert_eq!(order("activations,weights,biases"), Ok(kinds));
        for text in ["", "12", "12,8", "12,8,12,8", "a,b,c", "300,8,8", "weights,weights,biases"] {
            assert!(start_bits(text).is_err(), "{text}");
            assert!(order(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_objective_brings_its_way_along() {
        use clap::Parser as _;
        #[derive(clap::Parser)]
        struct Command {
            #[command(flatten)]
            walk: SearchArguments,
        }
        let walk = |arguments: &[&str]| {
            let arguments = [&["fixedwise"], arguments].concat();
            Command::try_parse_from(arguments).expect("an objective").walk
        };
        assert_eq!(walk(&[]).options(Objective::Memory), SearchOptions::default());
        for (name, expected) in [
            ("memory", Objective::Memory),
            ("bit-products", Objective::Multiplications),
            ("multiplications", Objective::Multiplications),
            ("mixed", Objective::Mixed),
            ("flash", Objective::Flash),
            ("ram", Objective::Ram),
        ] {
            let walk = walk(&["--objective", name]);
            let objective = walk.objective(None, Strategy::Joint);
            assert_eq!(objective, expected);
            assert_eq!(walk.options(objective), SearchOptions::of(objective));
        }
        let asked = walk(&["--objective", "flash", "--start-bits", "12,8,12"]);
        assert_eq!(asked.options(asked.objective(None, Strategy::Joint)), SearchOptions::default());
    }

    #[test]
    fn a_microcontroller_has_little_flash() {
        use clap::Parser as _;
        #[derive(clap::Parser)]
        struct Command {
            #[command(flatten)]
            walk: SearchArguments,
        }
        let walk = |arguments: &[&str]| Command::try_parse_from(arguments).expect("valid").walk;
        let (usual, asked) = (walk(&["fixedwise"]), walk(&["fixedwise", "--objective", "memory"]));
        for name in fixedwise::target_names() {
            let target = fixedwise::read_target(name).expect("it comes along");
            let is_small = !["generic", "fpga"].contains(&name);
            let expected = if is_small { Objective::Flash } else { Objective::Memory };
            for strategy in [Strategy::Pareto, Strategy::Joint] {
                assert_eq!(usual.objective(Some(&target), strategy), expected, "{name}");
                assert_eq!(asked.objective(Some(&target), strategy), Objective::Memory, "{name}");
            }
            // It gives all layers the same bits.
            let fixed = usual.objective(Some(&target), Strategy::Fixed { bits: 8 });
            assert_eq!(fixed, Objective::Memory, "{name}");
        }
        assert_eq!(usual.objective(None, Strategy::Pareto), Objective::Memory);
    }

    #[test]
    fn budgets_are_shapes_or_losses() {
        use Budget::{Flat, Linear, Losses, Offset, Share};
        assert_eq!(budgets("share"), Ok([Share, Share, Share]));
        assert_eq!(budgets("linear,flat,offset"), Ok([Linear, Flat, Offset]));
        let losses = || Losses(vec![0.001, 0.5]);
        assert_eq!(budgets("0.1%;50%,flat,0.001;0.5"), Ok([losses(), Flat, losses()]));
        for text in ["", "linear,flat", "2,3,4", "flat;flat", "0.1%;", "-1%", "101%", "nan"] {
            assert!(budgets(text).is_err(), "{text}");
        }
    }
}
