//! `fixedwise inspect`.

use crate::{
    arguments::{self, DataArguments, ModelArguments},
    progress::Display,
    terminal,
    verdict::Verdict,
};
use anyhow::Result;
use clap::Args;

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
    /// Prints JSON instead of a table.
    #[arg(long, help_heading = "Output")]
    json: bool,
    /// Does not print progress.
    #[arg(long, short, help_heading = "Output")]
    quiet: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Verdict> {
    let mut data = arguments.images.options()?;
    data.data = arguments::source(arguments.data.as_deref())?;
    let data = data.data.is_some().then_some(&data);
    let display = Display::new(arguments.quiet);
    let observer = |progress: &fixedwise::Progress| display.show(progress);
    let inspection = fixedwise::inspect(
        &arguments.network.model,
        arguments.network.architecture.as_deref(),
        data,
        arguments.images.threads(),
        &observer,
    );
    display.finish();
    let inspection = inspection?;
    terminal::print(&if arguments.json {
        inspection.to_json()
    } else {
        inspection.to_text(&terminal::text_options(false))
    })?;
    Ok(Verdict::Done)
}
