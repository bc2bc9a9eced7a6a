//! `fixedwise refit`.

use super::quantize;
use crate::{host::Host, verdict::Verdict};
use anyhow::Result;
use clap::Args;
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
EXAMPLES
  After a change of bit widths in fixedwise-out/plan.toml; the network, the
  images and the bound are those of the run that wrote the plan:
    fixedwise refit fixedwise-out/plan.toml

  The same with everything given:
    fixedwise refit models/fashion_small.onnx --plan fixedwise-out/plan.toml \\
        --data data/fashion-mnist

  Another bound for the verdict, another folder, and C code of the new plan:
    fixedwise refit fixedwise-out/plan.toml --max-loss 0.5% -o edited --emit c

EXIT CODES
  0  the loss bound is met on the search set, and every memory budget is met
  1  error
  2  the loss bound or a memory budget is not met; the plan is written";

const USAGE: &str = "fixedwise refit [OPTIONS] <PLAN>
       fixedwise refit [OPTIONS] --plan <PLAN> --data <DATA> <MODEL>";

/// Rounds the weights of an edited plan anew for its bit widths, and measures it.
///
/// The bit widths of weights and activations stay, and those of biases that you edited. Binary points are chosen
/// anew where the width changed, and so are all integers, bias corrections and the other biases, as the search
/// chooses them. Writes plan.toml, plan.npz and result.json into the folder
/// `refit` beside the plan. A plan without edits stays the same.
///
/// `fixedwise refit PLAN` takes MODEL, the data and all options that are not given from the run that wrote the
/// plan.
#[derive(Args)]
#[command(after_help = EXAMPLES, args_override_self = true, override_usage = USAGE)]
// The flattened arguments form a group of the usual name.
#[group(id = "refit")]
#[command(mut_args(|argument| match argument.get_id().as_str() {
    name if SEARCH.contains(&name) => argument.hide(true),
    "output" => argument.help("Output folder; default: `refit` beside the plan"),
    _ => argument,
}))]
pub(crate) struct Arguments {
    /// The edited plan.toml.
    #[arg(long, value_name = "FILE")]
    plan: PathBuf,
    #[command(flatten)]
    quantize: quantize::Arguments,
}

/// Options that lead a search: they have no effect here, and are accepted because the run that wrote the plan
/// may have had them.
const SEARCH: [&str; 26] = [
    "confidence",
    "strategy",
    "bits",
    "range",
    "semantics",
    "quantizer",
    "time_budget",
    "keep_channels",
    "keep",
    "resume",
    "from",
    "objective",
    "start",
    "start_bits",
    "start_step",
    "order",
    "layer_order",
    "direction",
    "budget",
    "trade_off",
    "window",
    "tuning",
    "unlabeled",
    "live",
    "port",
    "ray",
];

pub(crate) fn run(arguments: &Arguments, words: Vec<String>, host: &dyn Host) -> Result<Verdict> {
    let Arguments { plan, quantize } = arguments;
    let beside = || plan.parent().unwrap_or(Path::new("")).join("refit");
    let folder = quantize.given_output().map_or_else(beside, Path::to_owned);
    let (data, mut options) = quantize::options(quantize, host)?;
    options.command = words;
    options.output = Some(folder.clone());
    let code = quantize::code(quantize, &data, &options)?;
    let stop = host.stop()?;
    quantize::warn_of_earlier(quantize, &folder, host);
    let display = host.watch(quantize.quiet);
    let model = &quantize.network.model;
    let outcome = fixedwise::refit(model, plan, &data, &options, &*display, &stop);
    drop(display);
    quantize::finish(quantize, &data, &options, &folder, outcome?, &code, host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Command;

    #[test]
    fn options_of_a_search_are_hidden() {
        let command = Arguments::augment_args(Command::new("refit"));
        let shown = |name: &str| {
            let argument = command.get_arguments().find(|argument| argument.get_id() == name);
            !argument.unwrap_or_else(|| panic!("no option {name}")).is_hide_set()
        };
        assert!(SEARCH.iter().all(|name| !shown(name)));
        assert!(["plan", "data", "max_loss", "target", "output"].iter().all(|name| shown(name)));
    }
}
