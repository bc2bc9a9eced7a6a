//! `fixedwise export`.

use crate::{
    Verdict,
    arguments::{self, ModelArguments},
    terminal,
};
use anyhow::Result;
use clap::{Args, Subcommand};
use fixedwise::{ExportForm, ExportOptions};
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
EXAMPLES
  For ONNX Runtime and whatever reads standard ONNX:
    fixedwise export onnx models/fashion_small.onnx --plan fixedwise-out/plan.toml -o small.onnx

  For FPGAs: QONNX for FINN and hls4ml, and the types of every layer:
    fixedwise export qonnx models/fashion_small.onnx --plan fixedwise-out/plan.toml -o small-qonnx.onnx
    fixedwise export hls models/fashion_small.onnx --plan fixedwise-out/plan.toml -o small-hls

  Every integer and every format, for programs of your own:
    fixedwise export npz models/fashion_small.onnx --plan fixedwise-out/plan.toml -o small.npz";

/// Writes the integer network of a plan in the forms of other tools.
///
/// It takes raw pixels: preprocessing is part of it. docs/export.md says of each form what it holds
/// and how exact it is.
#[derive(Args)]
#[command(after_help = EXAMPLES, disable_help_subcommand = true)]
#[command(arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    form: Form,
}

#[derive(Subcommand)]
enum Form {
    /// Standard ONNX, opset 21: integers of 4, 8 and 16 bits, quantized and dequantized.
    Onnx(ToFile),
    /// QONNX: Quant nodes with the width of each tensor, for FINN, hls4ml and the qonnx package.
    Qonnx(ToFile),
    /// The types of each layer for high-level synthesis: for hls4ml, and as a C++ header.
    Hls(ToFolder),
    /// NumPy: integer arrays, and all else of the network as JSON.
    Npz(ToFile),
}

/// What every form is made from.
#[derive(Args)]
struct Network {
    #[command(flatten)]
    model: ModelArguments,
    /// A plan.toml, a result.json, or a JSON file in the paper's terms; of integer semantics.
    #[arg(long, value_name = "FILE")]
    plan: PathBuf,
    /// How pixels become the network's input, as with `quantize`.
    ///
    /// Without it, a TOML file beside the model and of its name is taken; else 8-bit pixels are
    /// divided by 255.
    #[arg(long, value_name = "LIST")]
    preprocess: Option<String>,
    /// Prints nothing.
    #[arg(long, short, help_heading = "Output")]
    quiet: bool,
}

#[derive(Args)]
struct ToFile {
    #[command(flatten)]
    network: Network,
    /// The file; one that an export wrote is replaced, no other.
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    output: PathBuf,
}

#[derive(Args)]
struct ToFolder {
    #[command(flatten)]
    network: Network,
    /// The folder; files in it that an export wrote are replaced, no others.
    #[arg(short, long, value_name = "DIR", help_heading = "Output")]
    output: PathBuf,
    /// How the files' names begin, a C identifier; by default the model's name.
    #[arg(long, value_name = "NAME", help_heading = "Output")]
    name: Option<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Verdict> {
    match &arguments.form {
        Form::Onnx(to) => export(ExportForm::Onnx, &to.network, &to.output, None),
        Form::Qonnx(to) => export(ExportForm::Qonnx, &to.network, &to.output, None),
        Form::Hls(to) => export(ExportForm::Hls, &to.network, &to.output, to.name.clone()),
        Form::Npz(to) => export(ExportForm::Npz, &to.network, &to.output, None),
    }
}

fn export(
    form: ExportForm,
    network: &Network,
    output: &Path,
    name: Option<String>,
) -> Result<Verdict> {
    let options = ExportOptions {
        preprocess: network.preprocess.as_deref().map(arguments::preprocess).transpose()?,
        architecture: network.model.architecture.clone(),
        name,
    };
    let exported = fixedwise::export(&network.model.model, &network.plan, form, output, &options)?;
    if network.quiet {
        return Ok(Verdict::Done);
    }
    let files: Vec<String> = exported.files.iter().map(|file| file.display().to_string()).collect();
    let mut text = format!("written: {}\n", files.join(", "));
    if !exported.inexact.is_empty() {
        text.push_str(&format!(
            "! Sums of {} may exceed 2^24 steps: 32-bit floats may round them, and results be a step \
             off.\n",
            exported.inexact.join(", ")
        ));
    }
    terminal::print(&text)?;
    Ok(Verdict::Done)
}
