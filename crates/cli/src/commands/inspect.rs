//! `fixedwise inspect`.

use crate::{
    arguments::{ClockArguments, DataArguments, ModelArguments},
    host::{self, Host},
    terminal,
    verdict::Verdict,
};
use anyhow::Result;
use clap::Args;
use fixedwise::{DeviceOptions, Model, RefusedModel};

const EXAMPLES: &str = "\
EXAMPLES
  Layers, multiply-accumulates (MACs) and memory:
    fixedwise inspect models/fashion_small.onnx

  With the value range of every node:
    fixedwise inspect models/fashion_small.onnx --data data/fashion-mnist

  With instructions, flash, RAM and milliseconds on a microcontroller:
    fixedwise inspect models/fashion_small.onnx --target cortex-m4 \\
        --clock 80MHz";

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
    #[command(flatten)]
    device: Device,
    /// Prints JSON instead of a table, also where the model is refused: all reasons, with the nodes.
    #[arg(long, help_heading = "Output")]
    json: bool,
    /// Does not print progress.
    #[arg(long, short, help_heading = "Output")]
    quiet: bool,
}

/// What the network takes of a target, before there is a plan.
#[derive(Args)]
#[command(next_help_heading = "Device")]
struct Device {
    /// Also shows what generated C takes on this target, layer by layer: instructions, flash, RAM and what sets its
    /// peak: generic, cortex-m0, cortex-m4, cortex-m55, riscv32, or your own .toml file (docs/targets.md).
    #[arg(long, value_name = "NAME|FILE")]
    target: Option<String>,
    /// Bits of every weight and activation there.
    #[arg(long, value_name = "N", default_value_t = 8, requires = "target")]
    #[arg(value_parser = clap::value_parser!(u8).range(2..=8))]
    bits: u8,
    #[command(flatten)]
    clock: ClockArguments,
}

impl Device {
    fn options(&self) -> Result<Option<DeviceOptions>> {
        let Some(target) = &self.target else { return Ok(None) };
        let target = fixedwise::read_target(target)?;
        Ok(Some(DeviceOptions { target, bits: self.bits, clock: self.clock.clock() }))
    }
}

pub(crate) fn run(arguments: &Arguments, host: &dyn Host) -> Result<Verdict> {
    let mut data = arguments.images.options()?;
    data.data = host::source(host, arguments.data.as_deref())?;
    let data = data.data.is_some().then_some(&data);
    let device = arguments.device.options()?;
    if device.is_none() && arguments.device.clock.clock().is_some() {
        anyhow::bail!("--clock tells the time on a target; name one with --target");
    }
    let display = host.watch(arguments.quiet);
    let network = &arguments.network;
    let architecture = network.architecture.as_deref();
    let inspection =
        Model::load_as(&network.model, architecture, &network.interface()).and_then(|model| {
            let mut inspection =
                fixedwise::inspect_model(&model, data, arguments.images.threads(), &*display)?;
            if let Some(device) = &device {
                inspection.device = Some(fixedwise::device_of_model(&model, device)?);
            }
            Ok(inspection)
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
