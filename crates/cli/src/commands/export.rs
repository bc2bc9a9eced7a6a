//! `fixedwise export`.

use crate::{
    arguments::{self, ClockArguments, ModelArguments},
    host::{self, Host},
    terminal,
    verdict::Verdict,
};
use anyhow::{Context as _, Result};
use clap::{Args, Subcommand, ValueEnum};
use fixedwise::{
    CExport, ExportForm, ExportOptions, KernelChoice, Package, PreprocessingResult, Target,
    TfliteKernels, TfliteOptions, WeightPlace,
};
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
EXAMPLES
  C for a microcontroller, with a test of five images:
    fixedwise export c models/fashion_small.onnx \\
        --plan fixedwise-out/plan.toml -o fashion --target cortex-m4 \\
        --test data/fashion-mnist:test

  The same as a component of ESP-IDF:
    fixedwise export c models/fashion_small.onnx \\
        --plan fixedwise-out/plan.toml -o components/fashion \\
        --package esp-idf

  With weights in a file for external flash, NAME.weights:
    fixedwise export c models/fashion_small.onnx \\
        --plan fixedwise-out/plan.toml -o fashion --weights file

  With weights in codes, where flash is short:
    fixedwise export c models/fashion_small.onnx \\
        --plan fixedwise-out/plan.toml -o fashion --weights coded

  For ONNX Runtime and other readers of standard ONNX:
    fixedwise export onnx models/fashion_small.onnx \\
        --plan fixedwise-out/plan.toml -o small.onnx

  For FPGAs: QONNX for FINN and hls4ml, and the types of every layer:
    fixedwise export qonnx models/fashion_small.onnx \\
        --plan fixedwise-out/plan.toml -o small-qonnx.onnx
    fixedwise export hls models/fashion_small.onnx \\
        --plan fixedwise-out/plan.toml -o small-hls

  For LiteRT and the compilers of NPUs, such as Arm's Vela:
    fixedwise export tflite models/fashion_small.onnx \\
        --plan fixedwise-out/plan.toml -o small.tflite

  All integers and formats, for your own programs:
    fixedwise export npz models/fashion_small.onnx \\
        --plan fixedwise-out/plan.toml -o small.npz";

/// Writes the integer network of a plan as C or in the format of another tool.
///
/// The input is raw pixels: the preprocessing is part of the network. docs/c.md describes the C code,
/// docs/export.md the other formats and their exactness.
#[derive(Args)]
#[command(after_help = EXAMPLES, disable_help_subcommand = true)]
#[command(arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    form: Form,
}

#[derive(Subcommand)]
enum Form {
    /// C99 without dependencies, for microcontrollers, with the exact integers of fixedwise.
    C(ToC),
    /// Standard ONNX, opset 21, in QDQ form: integers of 4, 8 and 16 bits.
    Onnx(ToFile),
    /// QONNX: Quant nodes with the bit width of each tensor, for FINN, hls4ml and the qonnx package.
    Qonnx(ToFile),
    /// Types of each layer for high-level synthesis: hls4ml configuration and C++ header.
    Hls(ToFolder),
    /// NumPy archive: integer arrays, and the structure of the network as JSON.
    Npz(ToFile),
    /// TensorFlow Lite: integers of 8 and 16 bits, for LiteRT, microcontrollers and NPU compilers.
    Tflite(ToTflite),
}

/// What every form is made from.
#[derive(Args)]
struct Network {
    #[command(flatten)]
    model: ModelArguments,
    /// A plan.toml, a result.json, or a JSON plan in the notation of the paper; integer semantics.
    #[arg(long, value_name = "FILE")]
    plan: PathBuf,
    /// Preprocessing of the pixels, as for `quantize`. Default: as in the plan; one that contradicts the plan
    /// is an error.
    ///
    /// For a plan without it (of an earlier version, or in the notation of the paper), the default is the
    /// TOML file beside the model with the same name; if there is none, 8-bit pixels are divided by 255.
    #[arg(long, value_name = "LIST")]
    preprocess: Option<String>,
    /// Target device; the plan must obey its rules, and C code is generated for it: generic, cortex-m0,
    /// cortex-m4, cortex-m55, riscv32, fpga, or your own .toml file (docs/targets.md). Default: the target
    /// of the plan.
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
    /// Output file. An earlier export is overwritten, any other file is an error.
    #[arg(short, long = "out", value_name = "FILE", help_heading = "Output")]
    output: PathBuf,
}

#[derive(Args)]
struct ToTflite {
    #[command(flatten)]
    to: ToFile,
    /// Kernels whose rounding is that of the plan, where one file cannot suit all.
    #[arg(long, value_name = "KIND", default_value = "reference")]
    kernels: KernelsName,
    /// Stores weights of at most 4 bits as INT4, two to a byte; not every kernel and compiler knows it.
    #[arg(long)]
    int4: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum KernelsName {
    /// Reference kernels, and those of microcontrollers and NPUs that follow them.
    Reference,
    /// XNNPACK, the default of the interpreter on larger processors.
    Xnnpack,
}

#[derive(Args)]
struct ToFolder {
    #[command(flatten)]
    network: Network,
    /// Output folder. Files of an earlier export are overwritten, any other file is an error.
    #[arg(short, long = "out", value_name = "DIR", help_heading = "Output")]
    output: PathBuf,
    /// Prefix of the file names, a C identifier; default: the name of the model.
    #[arg(long, value_name = "NAME", help_heading = "Output")]
    name: Option<String>,
}

#[derive(Args)]
struct ToC {
    #[command(flatten)]
    to: ToFolder,
    /// Kernels of the code. Default: those that the plan was made with; else `auto`.
    #[arg(long, value_name = "KIND")]
    code: Option<CodeName>,
    /// Layout of the folder, as a project expects it.
    #[arg(long, value_name = "LAYOUT", default_value = "plain")]
    package: PackageName,
    /// Where weights lie, and how.
    #[arg(long, value_name = "PLACE", default_value = "constants")]
    weights: WeightsName,
    /// Owner of the working memory.
    #[arg(long, value_name = "OWNER", default_value = "caller")]
    arena: ArenaName,
    /// Images for the generated test, `PATH[:SPLIT][@FROM..TO]` as for `evaluate`; default: random
    /// pixels.
    #[arg(long, value_name = "DATA")]
    test: Option<String>,
    /// Number of inputs in the generated test.
    #[arg(long, value_name = "N", default_value_t = 5)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=1000))]
    inputs: u16,
    #[command(flatten)]
    clock: ClockArguments,
    /// Prints sizes, kernels and files as JSON.
    #[arg(long, help_heading = "Output")]
    json: bool,
}

/// What an export of C is for.
#[derive(Clone, Copy, ValueEnum)]
enum PackageName {
    /// Code, test and build rules in one folder.
    Plain,
    /// Library of the Arduino IDE, with an example sketch.
    Arduino,
    /// Module of Zephyr, with Kconfig.
    Zephyr,
    /// Component of ESP-IDF.
    EspIdf,
    /// Library of `PlatformIO`.
    Platformio,
    /// Crate with a safe interface that compiles the C.
    Rust,
}

impl PackageName {
    const fn package(self) -> Package {
        match self {
            Self::Plain => Package::Plain,
            Self::Arduino => Package::Arduino,
            Self::Zephyr => Package::Zephyr,
            Self::EspIdf => Package::EspIdf,
            Self::Platformio => Package::Platformio,
            Self::Rust => Package::Rust,
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
enum WeightsName {
    /// In the code, among its constants.
    Constants,
    /// There too, without loss in codes of their frequency: less flash, more instructions, with DSP kernels more RAM.
    Coded,
    /// In a file NAME.weights beside the code, for external flash: `NAME_load` takes its address and checks it.
    File,
}

impl WeightsName {
    const fn place(self) -> WeightPlace {
        match self {
            Self::Constants => WeightPlace::Constants,
            Self::Coded => WeightPlace::Coded,
            Self::File => WeightPlace::File,
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
enum ArenaName {
    /// The caller provides it: the code is reentrant.
    Caller,
    /// A static array in the code.
    Static,
}

pub(crate) fn run(arguments: &Arguments, host: &dyn Host) -> Result<Verdict> {
    match &arguments.form {
        Form::C(c) => export_c(c, host),
        Form::Onnx(to) => export(ExportForm::Onnx, &to.network, &to.output, None, host),
        Form::Qonnx(to) => export(ExportForm::Qonnx, &to.network, &to.output, None, host),
        Form::Hls(to) => export(ExportForm::Hls, &to.network, &to.output, to.name.clone(), host),
        Form::Npz(to) => export(ExportForm::Npz, &to.network, &to.output, None, host),
        Form::Tflite(ToTflite { to, kernels, int4 }) => {
            let kernels = match kernels {
                KernelsName::Reference => TfliteKernels::Reference,
                KernelsName::Xnnpack => TfliteKernels::Xnnpack,
            };
            let form = ExportForm::Tflite(TfliteOptions { kernels, int4: *int4 });
            export(form, &to.network, &to.output, None, host)
        }
    }
}

/// What every form is told.
fn options(network: &Network, name: Option<String>) -> Result<ExportOptions> {
    Ok(ExportOptions {
        target: network.target.as_deref().map(fixedwise::read_target).transpose()?,
        preprocess: network.preprocess.as_deref().map(arguments::preprocess).transpose()?,
        architecture: network.model.architecture.clone(),
        interface: network.model.interface(),
        name,
    })
}

fn export_c(arguments: &ToC, host: &dyn Host) -> Result<Verdict> {
    let ToFolder { network, output, name } = &arguments.to;
    let options = options(network, name.clone())?;
    let c = CExport {
        target: target_of(options.target.as_ref(), &network.plan, arguments.code)?,
        static_arena: matches!(arguments.arena, ArenaName::Static),
        images: host::source(host, arguments.test.as_deref())?,
        n_inputs: usize::from(arguments.inputs),
        package: arguments.package.package(),
        weights: arguments.weights.place(),
        clock: arguments.clock.clock(),
    };
    let exported = fixedwise::export_c(&network.model.model, &network.plan, output, &options, &c)?;
    if arguments.json {
        host.print(&exported.to_json())?;
    } else if !network.quiet {
        let text = exported.summary(&terminal::text_options(false));
        host.print(&(text + &terminal::written(&exported.files)))?;
    }
    exported.warnings.iter().for_each(|text| host.note(&format!("! {text}")));
    Ok(Verdict::Done)
}

/// Says what is fed where the plan does not.
fn note_missing(preprocessing: &PreprocessingResult, host: &dyn Host) {
    if preprocessing.is_missing_in_plan {
        host.note(&format!("! input: {}", preprocessing.to_text()));
    }
}

/// The target that is named, or that the plan names, with the kernels that are asked for, or that the plan was
/// counted with.
pub(crate) fn target_of(
    named: Option<&Target>,
    plan: &Path,
    code: Option<CodeName>,
) -> Result<Target> {
    let mut target = match (named, fixedwise::plan_target(plan)?) {
        (Some(target), _) => target.clone(),
        (None, None) => Target::default(),
        (None, Some(name)) => fixedwise::read_target(&name).with_context(|| {
            format!(
                "the plan is for target `{name}`, which is not built in; give its file with --target"
            )
        })?,
    };
    let known = if code.is_none() { fixedwise::plan_kernels(plan)? } else { None };
    target.kernels =
        known.unwrap_or_else(|| code.unwrap_or(CodeName::Auto).choice(target.kernels, false));
    Ok(target)
}

/// Kernels of printed C.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CodeName {
    /// Small ones where only these fit the flash or the RAM, and with --objective flash where the code of
    /// fast ones takes more than the constants; else fast ones.
    Auto,
    /// Kernels for the core and the layer.
    Fast,
    /// Plain C that all layers share: the least code, several times as many instructions.
    Small,
}

impl CodeName {
    /// What it means on a target whose profile has a choice of its own, where flash is the objective or not.
    pub(crate) fn choice(self, of_profile: KernelChoice, is_of_flash: bool) -> KernelChoice {
        match self {
            Self::Auto if of_profile == KernelChoice::Small => KernelChoice::Small,
            Self::Auto if is_of_flash => KernelChoice::Balanced,
            Self::Auto => KernelChoice::Fitting,
            Self::Fast => KernelChoice::Fast,
            Self::Small => KernelChoice::Small,
        }
    }
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
    /// Types for high-level synthesis, in the folder `hls`.
    Hls,
    /// NumPy archive, `quantized.npz`.
    Npz,
    /// TensorFlow Lite, `quantized.tflite`.
    Tflite,
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
            Self::Tflite => "quantized.tflite",
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
        EmitName::Tflite => ExportForm::Tflite(TfliteOptions::default()),
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
    host: &dyn Host,
) -> Result<Verdict> {
    let options = options(network, name)?;
    let exported = fixedwise::export(&network.model.model, &network.plan, form, output, &options)?;
    if network.quiet {
        return Ok(Verdict::Done);
    }
    note_missing(&exported.preprocessing, host);
    let mut text = terminal::written(&exported.files);
    let mut warn = |nodes: &[String], warning: &dyn Fn(String) -> String| {
        if !nodes.is_empty() {
            let warning = warning(nodes.join(", "));
            text.push_str(&fixedwise::folded(&warning, terminal::columns(), "  ").join("\n"));
            text.push('\n');
        }
    };
    warn(&exported.inexact, &|nodes| {
        format!(
            "! Sums of {nodes} can exceed 2^24 steps in the worst case: 32-bit floats may then round them, and \
             results may be one step off."
        )
    });
    warn(&exported.rounded, &|nodes| {
        format!(
            "! The kernels may round results of {nodes} otherwise than the plan (docs/export.md says when); all \
             others are equal."
        )
    });
    host.print(&text)?;
    Ok(Verdict::Done)
}
