//! `fixedwise export`.

use crate::{
    arguments::{self, ModelArguments},
    terminal,
    verdict::Verdict,
};
use anyhow::{Context as _, Result};
use clap::{Args, Subcommand, ValueEnum};
use fixedwise::{CExport, ExportForm, ExportOptions, Target};
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
EXAMPLES
  C for a microcontroller, with a test of five images in it:
    fixedwise export c models/fashion_small.onnx --plan fixedwise-out/plan.toml -o fashion \\
        --target cortex-m4 --test data/fashion-mnist:test

  For ONNX Runtime and whatever reads standard ONNX:
    fixedwise export onnx models/fashion_small.onnx --plan fixedwise-out/plan.toml -o small.onnx

  For FPGAs: QONNX for FINN and hls4ml, and the types of every layer:
    fixedwise export qonnx models/fashion_small.onnx --plan fixedwise-out/plan.toml -o small-qonnx.onnx
    fixedwise export hls models/fashion_small.onnx --plan fixedwise-out/plan.toml -o small-hls

  Every integer and every format, for programs of your own:
    fixedwise export npz models/fashion_small.onnx --plan fixedwise-out/plan.toml -o small.npz";

/// Writes the integer network of a plan as C, or in the forms of other tools.
///
/// It takes raw pixels: preprocessing is part of it. docs/c.md describes the C; docs/export.md says of
/// each other form what it holds and how exact it is.
#[derive(Args)]
#[command(after_help = EXAMPLES, disable_help_subcommand = true)]
#[command(arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    form: Form,
}

#[derive(Subcommand)]
enum Form {
    /// C99 that needs nothing else: the integers of fixedwise, on a microcontroller.
    C(ToC),
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
    /// Whose rules the plan must keep, and what C runs on: generic, cortex-m0, cortex-m4, cortex-m55,
    /// riscv32, fpga, or a .toml of your own; by default what the plan is for. See docs/targets.md.
    #[arg(long, value_name = "NAME|FILE")]
    target: Option<String>,
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

#[derive(Args)]
struct ToC {
    #[command(flatten)]
    to: ToFolder,
    /// Whose the working memory is.
    #[arg(long, value_name = "OWNER", default_value = "caller")]
    arena: ArenaName,
    /// Images of the printed test, `PATH[:SPLIT][@FROM..TO]` as with `evaluate`; without them it has
    /// random pixels.
    #[arg(long, value_name = "DATA")]
    test: Option<String>,
    /// How many inputs the printed test has.
    #[arg(long, value_name = "N", default_value_t = 5)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=1000))]
    inputs: u16,
    /// Prints sizes, kernels and files as JSON.
    #[arg(long, help_heading = "Output")]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum ArenaName {
    /// The caller's: the code is reentrant.
    Caller,
    /// A static array of the code's own.
    Static,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Verdict> {
    match &arguments.form {
        Form::C(c) => export_c(c),
        Form::Onnx(to) => export(ExportForm::Onnx, &to.network, &to.output, None),
        Form::Qonnx(to) => export(ExportForm::Qonnx, &to.network, &to.output, None),
        Form::Hls(to) => export(ExportForm::Hls, &to.network, &to.output, to.name.clone()),
        Form::Npz(to) => export(ExportForm::Npz, &to.network, &to.output, None),
    }
}

/// What every form is told.
fn options(network: &Network, name: Option<String>) -> Result<ExportOptions> {
    Ok(ExportOptions {
        target: network.target.as_deref().map(fixedwise::read_target).transpose()?,
        preprocess: network.preprocess.as_deref().map(arguments::preprocess).transpose()?,
        architecture: network.model.architecture.clone(),
        name,
    })
}

fn export_c(arguments: &ToC) -> Result<Verdict> {
    let ToFolder { network, output, name } = &arguments.to;
    let options = options(network, name.clone())?;
    let c = CExport {
        target: target_of(&options, &network.plan)?,
        static_arena: matches!(arguments.arena, ArenaName::Static),
        images: arguments::source(arguments.test.as_deref())?,
        n_inputs: usize::from(arguments.inputs),
    };
    let exported = fixedwise::export_c(&network.model.model, &network.plan, output, &options, &c)?;
    if arguments.json {
        terminal::print(&exported.to_json())?;
    } else if !network.quiet {
        terminal::print(&exported.summary(terminal::has_color()))?;
    }
    Ok(Verdict::Done)
}

/// The target that is named, or that the plan names.
fn target_of(options: &ExportOptions, plan: &Path) -> Result<Target> {
    if let Some(target) = &options.target {
        return Ok(target.clone());
    }
    let Some(name) = fixedwise::plan_target(plan)? else { return Ok(Target::default()) };
    fixedwise::read_target(&name)
        .with_context(|| format!("the plan is for target `{name}`: give its file with --target"))
}

/// A form that `quantize --emit` writes beside its plan.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum EmitName {
    /// C99, in the folder `c`.
    C,
    /// Standard ONNX, `quantized.onnx`.
    Onnx,
    /// QONNX, `quantized-qonnx.onnx`.
    Qonnx,
    /// The types for high-level synthesis, in the folder `hls`.
    Hls,
    /// Integers for NumPy, `quantized.npz`.
    Npz,
}

impl EmitName {
    /// Its place in the folder of a plan.
    const fn place(self) -> &'static str {
        match self {
            Self::C => "c",
            Self::Onnx => "quantized.onnx",
            Self::Qonnx => "quantized-qonnx.onnx",
            Self::Hls => "hls",
            Self::Npz => "quantized.npz",
        }
    }
}

/// What `quantize` has written, in another form: its plan's files are in `folder`. Gives what was
/// written.
pub(crate) fn emit(
    form: EmitName,
    model: &Path,
    folder: &Path,
    options: &ExportOptions,
    c: &CExport,
) -> Result<PathBuf> {
    let (plan, output) = (folder.join("plan.toml"), folder.join(form.place()));
    let form = match form {
        EmitName::C => {
            fixedwise::export_c(model, &plan, &output, options, c)?;
            return Ok(output);
        }
        EmitName::Onnx => ExportForm::Onnx,
        EmitName::Qonnx => ExportForm::Qonnx,
        EmitName::Hls => ExportForm::Hls,
        EmitName::Npz => ExportForm::Npz,
    };
    fixedwise::export(model, &plan, form, &output, options)?;
    Ok(output)
}

/// Forms that stand beside a plan and were not `written` with it.
pub(crate) fn others(folder: &Path, written: &[PathBuf]) -> Vec<PathBuf> {
    let places = EmitName::value_variants().iter().map(|form| folder.join(form.place()));
    places.filter(|path| path.exists() && !written.contains(path)).collect()
}

fn export(
    form: ExportForm,
    network: &Network,
    output: &Path,
    name: Option<String>,
) -> Result<Verdict> {
    let options = options(network, name)?;
    let exported = fixedwise::export(&network.model.model, &network.plan, form, output, &options)?;
    if network.quiet {
        return Ok(Verdict::Done);
    }
    let mut text = format!("written: {}\n", terminal::listed(&exported.files));
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
