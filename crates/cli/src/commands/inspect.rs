//! `fixedwise inspect`.

use crate::{
    arguments::{DataArguments, ModelArguments},
    host::{self, Host},
    terminal,
    verdict::Verdict,
};
use anyhow::Result;
use clap::Args;
use fixedwise::{Model, RefusedModel};

const EXAMPLES: &str = "\
EXAMPLES
  Layers, multiply-accumulates (MACs) and memory:
    fixedwise inspect models/fashion_small.onnx

  With the value range of every node:
    fixedwise inspect models/fashion_small.onnx --data data/fashion-mnist";

/// Shows a model before quantization: layers, multiply-accumulates (MACs), memory, value ranges.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    network: ModelArguments,
    /// Images for the value ranges: `PATH[:SPLIT][@FROM..TO]`; PATH alone means the first 2,000 images of
    /// the train split.
    #[arg(long, value_name = "DATA")]
    data: Option<String>,
    #[command(flatten)]
    images: DataArguments,
    /// Prints JSON instead of a table, also where the model is refused: all reasons, with the nodes.
    #[arg(long, help_heading = "Output")]
    json: bool,
    /// Does not print progress.
    #[arg(long, short, help_heading = "Output")]
    quiet: bool,
}

pub(crate) fn run(arguments: &Arguments, host: &dyn Host) -> Result<Verdict> {
    let mut data = arguments.images.options()?;
    data.data = host::source(host, arguments.data.as_deref())?;
    let data = data.data.is_some().then_some(&data);
    let display = host.watch(arguments.quiet);
    let network = &arguments.network;
    let architecture = network.architecture.as_deref();
    let inspection =
        Model::load_as(&network.model, architecture, &network.interface()).and_then(|model| {
            fixedwise::inspect_model(&model, data, arguments.images.threads(), &*display)
        });
    drop(display);
    if let Err(error) = &inspection
        && arguments.json
        && let Some(refused) = RefusedModel::of(error)
    {
        host.print(&refused.to_json())?;
    }
    let inspection = inspection?;
    host.print(&if arguments.json {
        inspection.to_json()
    } else {
        inspection.to_text(&terminal::text_options(false))
    })?;
    Ok(Verdict::Done)
}
