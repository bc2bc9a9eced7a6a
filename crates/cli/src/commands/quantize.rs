//! `fixedwise quantize`.

use crate::{
    arguments::{self, DataArguments, ModelArguments, QuantizerName, SemanticsName},
    commands::export::{self, EmitName},
    progress::Display,
    search_arguments::SearchArguments,
    terminal,
    verdict::Verdict,
};
use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};
use fixedwise::{
    CExport, DataOptions, ExportOptions, MaxLoss, Objective, Offset, QuantizeOptions,
    SearchOptions, Semantics, Strategy,
};
use std::{
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

const EXAMPLES: &str = "\
EXAMPLES
  The network and images that come with fixedwise:
    fixedwise quantize models/fashion_small.onnx --data data/fashion-mnist

  Half a percentage point of accuracy instead of one percent, in a folder of its own:
    fixedwise quantize models/fashion_small.onnx --data data/fashion-mnist --max-loss 0.5pt -o half

  The plain 8-bit network, to compare with:
    fixedwise quantize models/fashion_small.onnx --data data/fashion-mnist --strategy fixed --bits 8

  The network as C for a Cortex-M4, with a test in it, in fixedwise-out/c:
    fixedwise quantize models/fashion_small.onnx --data data/fashion-mnist --target cortex-m4 --emit c

  Each kind alone, from the last layer back, beginning at the formats of an earlier run of joint (those
  of pareto are for weights whose channels were balanced):
    fixedwise quantize models/fashion_small.onnx --data data/fashion-mnist -o joint --strategy joint
    fixedwise quantize models/fashion_small.onnx --data data/fashion-mnist -o reverse \\
        --strategy layer-dependent --direction reverse --start joint/plan.toml

  Activations first, with flat budgets and a local search of 5 x 5:
    fixedwise quantize models/fashion_small.onnx --data data/fashion-mnist -o other \\
        --order activations,weights,biases --budget flat,whole,whole --window 2

  For a Cortex-M4 with 64 KiB of flash and 48 KiB of RAM to spare, the smallest flash:
    fixedwise quantize models/fashion_small.onnx --data data/fashion-mnist -o board \\
        --target cortex-m4 --objective flash --max-flash 64k --max-ram 48k

  The same network under half the loss, from what the first run has measured:
    fixedwise quantize --from fixedwise-out --max-loss 0.5%

  A network that gives images or numbers, not classes, without labels:
    fixedwise quantize denoiser.onnx --data images.npz --min-sqnr 35

  Sets of your own choice; search and test may not share an image:
    fixedwise quantize models/fashion_small.onnx --calibration data/fashion-mnist:train@0..1000 \\
        --search data/fashion-mnist:test@0..5000 --test data/fashion-mnist:test@5000..10000

EXIT CODES
  0  the bound is met on the search images, and so is every budget of memory
  1  error
  2  the bound or a budget is out of reach; the best so far is written";

/// Finds the fewest bits that keep the accuracy, and writes the plan and what it gives.
///
/// Writes plan.toml (a format for every tensor, to read and edit) with plan.npz (the integers of weights),
/// result.json (accuracy and costs) and journal.jsonl (what was measured, for --resume). Ctrl-C ends the search with the best so far.
#[derive(Args)]
#[command(after_help = EXAMPLES, disable_help_subcommand = true, args_override_self = true)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) network: ModelArguments,
    /// Images with labels: the first 2,000 of the train split calibrate, the test split is divided
    /// by seed into a half that searches and a half that is only reported.
    ///
    /// `PATH[:SPLIT][@FROM..TO]`, PATH an .npz or .mat file, a folder of IDX (MNIST), CIFAR or SVHN
    /// files, a folder of images by class, or a .csv of `path,label`.
    #[arg(long, value_name = "DATA", required_unless_present_all = ["calibration", "search", "test"])]
    data: Option<String>,
    /// Images whose ranges are taken; no labels needed.
    #[arg(long, value_name = "DATA")]
    calibration: Option<String>,
    /// Images that accept or refuse a candidate.
    #[arg(long, value_name = "DATA")]
    search: Option<String>,
    /// Images that no decision sees, only reported; `none` to search on all there are, as the
    /// paper did.
    #[arg(long, value_name = "DATA")]
    test: Option<String>,
    #[command(flatten)]
    images: DataArguments,
    /// Loss that is allowed on the search images: percent of the float accuracy (1%) or percentage
    /// points (0.5pt).
    #[arg(long, value_name = "LOSS", default_value = "1%", value_parser = arguments::max_loss)]
    #[arg(help_heading = "Search")]
    max_loss: MaxLoss,
    /// For networks whose outputs are values, not classes: at least so many dB between signal and
    /// quantization noise at the outputs, 30 is usual; in place of --max-loss.
    #[arg(long, value_name = "DB", value_parser = arguments::decibels, help_heading = "Search")]
    #[arg(conflicts_with = "metric_command")]
    min_sqnr: Option<f64>,
    /// A command that says how good outputs are: it gets two files, the outputs (float32, [image, ...]) and
    /// the places of the images (int64) as .npy, and prints a number, greater for better ones. --max-loss
    /// is of that number then.
    #[arg(long, value_name = "COMMAND", help_heading = "Search")]
    metric_command: Option<String>,
    /// How sure the bound must be on images that the search never saw, every look at the search images
    /// counted: 0.95. Without, the plan keeps a distance from it.
    #[arg(long, value_name = "P", help_heading = "Search")]
    confidence: Option<f64>,
    /// How formats are chosen; by default pareto, but joint where it alone has what is asked for
    /// (--semantics simulated, --quantizer square-root, options of the walk).
    #[arg(long, value_name = "NAME", help_heading = "Search")]
    strategy: Option<StrategyName>,
    /// Width of everything, for --strategy fixed.
    #[arg(long, value_name = "BITS", default_value_t = 8, help_heading = "Search")]
    #[arg(value_parser = clap::value_parser!(u8).range(1..=16))]
    bits: u8,
    /// Where binary points start, or are (fixed).
    #[arg(long, value_name = "RULE", default_value = "no-clip", help_heading = "Search")]
    range: RangeName,
    /// What is computed.
    #[arg(long, value_name = "NAME", default_value = "integer", help_heading = "Search")]
    semantics: SemanticsName,
    /// What formats are applied to.
    #[arg(long, value_name = "NAME", default_value = "uniform", help_heading = "Search")]
    quantizer: QuantizerName,
    /// Ends the search with the best so far: 90s, 10m, 1h30m.
    #[arg(long, value_name = "TIME", value_parser = arguments::duration, help_heading = "Search")]
    time_budget: Option<Duration>,
    /// Of every random choice.
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Search")]
    seed: u64,
    /// Memory for values that are kept to spare work.
    #[arg(long, value_name = "BYTES", default_value = "768M", value_parser = arguments::bytes)]
    #[arg(help_heading = "Search")]
    cache: usize,
    /// Takes over what an earlier run into the same folder has measured.
    #[arg(long, help_heading = "Search")]
    resume: bool,
    /// Answers another question about the network of an earlier run, from what that has measured:
    /// another --max-loss, --confidence, --objective, --target or budget. All that is not given, MODEL
    /// and data too, is as in that run; the answer goes to DIR/what-if.
    #[arg(long, value_name = "DIR", help_heading = "Search")]
    from: Option<PathBuf>,
    #[command(flatten)]
    walk: SearchArguments,
    /// What the plan is for: generic, cortex-m0, cortex-m4, cortex-m55, riscv32, fpga, or a TOML file
    /// (docs/targets.md). Its rules are obeyed; without, the memory of generic is counted.
    #[arg(long, value_name = "NAME|FILE", help_heading = "Target")]
    target: Option<String>,
    /// Constants (weights, biases, what describes layers) that the network may take: 64k, 60000. Code
    /// comes on top. By default what the target has.
    #[arg(long, value_name = "BYTES", value_parser = arguments::bytes, help_heading = "Target")]
    max_flash: Option<usize>,
    /// Working memory that the network may take, 20k; the buffers of input and result come on top. By
    /// default what the target has.
    #[arg(long, value_name = "BYTES", value_parser = arguments::bytes, help_heading = "Target")]
    max_ram: Option<usize>,
    /// Folder for plan.toml, result.json and journal.jsonl.
    #[arg(
        short,
        long,
        value_name = "DIR",
        default_value = "fixedwise-out",
        help_heading = "Output"
    )]
    pub(crate) output: PathBuf,
    /// Writes the integer network in these forms too, beside the plan; `fixedwise export` has more to
    /// say about each.
    #[arg(long, value_name = "FORM,...", value_delimiter = ',', help_heading = "Output")]
    emit: Vec<EmitName>,
    /// Prints result.json instead of a table.
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,
    /// Prints neither progress nor table.
    #[arg(long, short, help_heading = "Output")]
    pub(crate) quiet: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum StrategyName {
    /// All tensors at once, along the front of cost against divergence, weights rounded with error
    /// feedback; each answer certified.
    Pareto,
    /// The paper's last: layer after layer, bits and binary point together, each with all that is
    /// already quantized.
    Joint,
    /// Weights, biases and activations each alone, a layer with those before it quantized.
    LayerDependent,
    /// Each tensor of each layer alone.
    LayerIndependent,
    /// Every format of 1 to 8 bits around the one that clips nothing, the best held.
    BruteForce,
    /// One width for everything, --bits.
    Fixed,
}

#[derive(Clone, Copy, ValueEnum)]
enum RangeName {
    /// The finest at which nothing clips.
    NoClip,
    /// The one with the least squared error.
    LeastError,
}

/// Raised by Ctrl-C.
static STOP: AtomicBool = AtomicBool::new(false);

/// What the arguments ask for.
pub(crate) fn options(arguments: &Arguments) -> Result<(DataOptions, QuantizeOptions)> {
    let mut data = arguments.images.options()?;
    data.data = arguments::source(arguments.data.as_deref())?;
    data.calibration = arguments::source(arguments.calibration.as_deref())?;
    data.search = arguments::source(arguments.search.as_deref())?;
    data.untested = arguments.test.as_deref() == Some("none");
    let test = arguments.test.as_deref().filter(|_| !data.untested);
    data.test = arguments::source(test)?;
    let options = QuantizeOptions {
        max_loss: bound(arguments)?,
        confidence: arguments.confidence,
        strategy: match arguments.strategy.unwrap_or_else(|| usual_strategy(arguments)) {
            StrategyName::Pareto => Strategy::Pareto,
            StrategyName::Joint => Strategy::Joint,
            StrategyName::LayerDependent => Strategy::LayerDependent,
            StrategyName::LayerIndependent => Strategy::LayerIndependent,
            StrategyName::BruteForce => Strategy::BruteForce,
            StrategyName::Fixed => Strategy::Fixed { bits: arguments.bits },
        },
        search: arguments.walk.options(),
        start: arguments.walk.start.clone(),
        objective: arguments.walk.objective.into(),
        target: arguments.target.as_deref().map(fixedwise::read_target).transpose()?,
        max_flash: arguments.max_flash.map(size),
        max_ram: arguments.max_ram.map(size),
        range: match arguments.range {
            RangeName::NoClip => Offset::NoClip,
            RangeName::LeastError => Offset::LeastError,
        },
        semantics: arguments.semantics.into(),
        quantizer: arguments.quantizer.into(),
        seed: arguments.seed,
        threads: arguments.images.threads(),
        cache_bytes: arguments.cache,
        time_budget: arguments.time_budget,
        output: Some(arguments.output.clone()),
        resume: arguments.resume,
        architecture: arguments.network.architecture.clone(),
        from: arguments.from.clone(),
        metric_command: arguments.metric_command.clone(),
        tuning: fixedwise::Tuning::default(),
        command: Vec::new(),
    };
    Ok((data, options))
}

/// What must be kept.
fn bound(arguments: &Arguments) -> Result<MaxLoss> {
    Ok(match (arguments.min_sqnr, &arguments.metric_command, arguments.max_loss) {
        (Some(db), ..) => MaxLoss::Sqnr(db),
        (None, Some(_), MaxLoss::Relative(limit)) => MaxLoss::Metric(limit),
        (None, Some(_), _) => {
            bail!(
                "--max-loss: what --metric-command says has no percentage points; give percent, 1%"
            )
        }
        (None, None, max_loss) => max_loss,
    })
}

/// The strategy that has what is asked for.
fn usual_strategy(arguments: &Arguments) -> StrategyName {
    let walk = arguments.walk.options();
    let objective = Objective::from(arguments.walk.objective);
    let is_walk = arguments.walk.start.is_some() || walk != SearchOptions::of(objective);
    let is_integer = Semantics::from(arguments.semantics) == Semantics::Integer;
    if is_walk || !is_integer { StrategyName::Joint } else { StrategyName::Pareto }
}

/// A number of bytes, whatever the machine's words are.
fn size(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// `words` are those behind `quantize`, for whoever repeats the run.
pub(crate) fn run(arguments: &Arguments, words: Vec<String>) -> Result<Verdict> {
    let (data, mut options) = options(arguments)?;
    options.command = words;
    let code = code(arguments, &data, &options)?;
    let stop = stop_on_interrupt()?;
    let display = Display::new(arguments.quiet);
    let observer = |progress: &fixedwise::Progress| display.show(progress);
    let model = &arguments.network.model;
    let outcome = fixedwise::quantize_observed(model, &data, &options, &observer, stop);
    display.finish();
    let fixedwise::Outcome { plan, result, .. } = outcome?;
    let folder = &arguments.output;
    let mut written = vec![folder.join("plan.toml"), folder.join("result.json")];
    if !plan.rounded.is_empty() {
        written.insert(1, folder.join("plan.npz"));
    }
    let export = ExportOptions {
        preprocess: data.preprocess.clone(),
        architecture: options.architecture.clone(),
        target: options.target.clone(),
        name: None,
    };
    // The plan is there whatever becomes of its other forms, and so is what it gives.
    let mut emitted = Ok(());
    for &form in &arguments.emit {
        match export::emit(form, model, folder, &export, &code) {
            Ok(path) => written.push(path),
            Err(error) => emitted = emitted.and(Err(error)),
        }
    }
    if arguments.json {
        terminal::print(&result.to_json())?;
    } else if !arguments.quiet {
        let mut text = fixedwise::summary(&result, terminal::has_color());
        text.push_str(&format!("written: {}\n", terminal::listed(&written)));
        terminal::print(&text)?;
        let stale = export::others(folder, &written);
        if !stale.is_empty() {
            terminal::note(&format!(
                "! Of an earlier plan in this folder: {}; --emit writes such forms anew.",
                terminal::listed(&stale)
            ));
        }
    }
    emitted?;
    let is_met = result.bound_met && result.fits();
    Ok(if is_met { Verdict::Done } else { Verdict::OutOfReach })
}

/// How C is printed in the end; refuses before the search what cannot be printed after it.
fn code(arguments: &Arguments, data: &DataOptions, options: &QuantizeOptions) -> Result<CExport> {
    if !arguments.emit.is_empty() && options.semantics == Semantics::Simulated {
        bail!(
            "--emit: semantics `simulated` has no integers to export; leave out `--semantics \
             simulated`"
        );
    }
    let mut target = options.target.clone().unwrap_or_default();
    if arguments.emit.contains(&EmitName::C) && target.c_options("network").is_none() {
        bail!("--emit c: target `{}` runs no C; take another, or --emit hls", target.name);
    }
    // Whether its memory holds the network is said of the result; the nearest answer is written.
    (target.flash_bytes, target.ram_bytes) = (None, None);
    let images = data.test.clone().or_else(|| data.data.clone());
    Ok(CExport { target, images, ..CExport::default() })
}

/// A flag that Ctrl-C raises.
pub(crate) fn stop_on_interrupt() -> Result<&'static AtomicBool> {
    ctrlc::set_handler(on_interrupt).context("Ctrl-C cannot be handled")?;
    Ok(&STOP)
}

/// The first time ends the search, the second time the process.
#[expect(clippy::exit, reason = "who presses Ctrl-C twice waits for nothing")]
fn on_interrupt() {
    if STOP.swap(true, Ordering::Relaxed) {
        std::process::exit(130);
    }
    terminal::note(
        "stopping: what was found so far will be written; Ctrl-C again to leave at once",
    );
}
