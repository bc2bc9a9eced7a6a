//! `fixedwise inspect`.

use super::export::target_of;
use crate::{
    arguments::{ClockArguments, DataArguments, ModelArguments},
    host::{self, Host},
    terminal,
    verdict::Verdict,
};
use anyhow::Result;
use clap::Args;
use fixedwise::{DataOptions, DeviceOptions, DeviceResult, ExportOptions, Model, RefusedModel};
use std::path::PathBuf;

const EXAMPLES: &str = "\
EXAMPLES
  Layers, multiply-accumulates (MACs) and memory:
    fixedwise inspect models/fashion_small.onnx

  With the value range of every node:
    fixedwise inspect models/fashion_small.onnx --data data/fashion-mnist

  With instructions, flash, RAM and milliseconds on a microcontroller:
    fixedwise inspect models/fashion_small.onnx --target cortex-m4 \\
        --clock 80MHz

  The same with the widths of a plan:
    fixedwise inspect models/fashion_small.onnx --target cortex-m4 \\
        --plan fixedwise-out/plan.toml --clock 80MHz";

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

/// What the network takes of a target.
#[derive(Args)]
#[command(next_help_heading = "Device")]
struct Device {
    /// Also shows what generated C takes on this target, layer by layer: instructions, flash, RAM and what sets its
    /// peak: generic, cortex-m0, cortex-m4, cortex-m55, riscv32, or your own .toml file (docs/targets.md).
    #[arg(long, value_name = "NAME|FILE")]
    target: Option<String>,
    /// With the widths of this plan: a plan.toml, a result.json, or a JSON plan in the notation of the paper;
    /// integer semantics. --target is then the plan's by default.
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    /// Without a plan: bits of every weight and activation there.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 8,
        requires = "target",
        conflicts_with = "plan"
    )]
    #[arg(value_parser = clap::value_parser!(u8).range(2..=8))]
    bits: u8,
    #[command(flatten)]
    clock: ClockArguments,
}

impl Device {
    fn options(&self) -> Result<Option<DeviceOptions>> {
        let named = self.target.as_deref().map(fixedwise::read_target).transpose()?;
        let target = match (named, &self.plan) {
            (named, Some(plan)) => target_of(named.as_ref(), plan, None)?,
            (Some(named), None) => named,
            (None, None) => return Ok(None),
        };
        Ok(Some(DeviceOptions { target, bits: self.bits, clock: self.clock.clock() }))
    }

    /// What the model, or its plan, takes there.
    fn result(
        &self,
        on: &DeviceOptions,
        model: &Model,
        data: &DataOptions,
    ) -> Result<DeviceResult, fixedwise::Error> {
        let Some(plan) = &self.plan else { return fixedwise::device_of_model(model, on) };
        let options =
            ExportOptions { preprocess: data.preprocess.clone(), ..ExportOptions::default() };
        fixedwise::device_of_plan(model, plan, &options, on)
    }
}

pub(crate) fn run(arguments: &Arguments, host: &dyn Host) -> Result<Verdict> {
    let mut data_options = arguments.images.options()?;
    data_options.data = host::source(host, arguments.data.as_deref())?;
    let data = data_options.data.is_some().then_some(&data_options);
    let device = arguments.device.options()?;
    if device.is_none() && arguments.device.clock.clock().is_some() {
        anyhow::bail!("--clock tells the time on a target; name one with --target");
    }
    let display = host.watch(arguments.quiet);
    let network = &arguments.network;
    let architecture = network.architecture.as_deref();
    let interface = network.interface();
    let model = match &arguments.device.plan {
        Some(plan) => fixedwise::model_of_plan(&network.model, architecture, &interface, plan),
        None => Model::load_as(&network.model, architecture, &interface),
    };
    let inspection = model.and_then(|model| {
        let mut inspection =
            fixedwise::inspect_model(&model, data, arguments.images.threads(), &*display)?;
        if let Some(on) = &device {
            let found = arguments.device.result(on, &model, &data_options)?;
            inspection.device = Some(found);
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
