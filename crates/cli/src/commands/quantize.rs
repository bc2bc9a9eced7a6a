//! `fixedwise quantize`.

use crate::{
    arguments::{
        self, DataArguments, MetricArguments, ModelArguments, QuantizerName, SemanticsName,
    },
    commands::{
        export::{self, CodeName, EmitName},
        report,
    },
    host::{self, Host},
    live::Live,
    search_arguments::SearchArguments,
    terminal,
    verdict::Verdict,
};
use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use fixedwise::{
    CExport, ClassBound, DataOptions, ExportOptions, Keep, MaxLoss, Objective, Observer, Offset,
    Progress, QuantizeOptions, RunResult, SearchOptions, Semantics, Strategy, Tune, Unit, Worker,
};
use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
    time::Duration,
};

const EXAMPLES: &str = "\
EXAMPLES
  The network and images of this repository:
    fixedwise quantize models/fashion_small.onnx --data data/fashion-mnist

  A bound of half a percentage point, in another folder:
    fixedwise quantize models/fashion_small.onnx --data data/fashion-mnist \\
        --max-loss 0.5pt -o half

  No class may lose more than 5 % of its recall:
    fixedwise quantize models/fashion_small.onnx --data data/fashion-mnist \\
        --max-class-loss 5%

  The uniform 8-bit network, for comparison:
    fixedwise quantize models/fashion_small.onnx --data data/fashion-mnist \\
        --strategy fixed --bits 8

  C code for a Cortex-M4, with a test, in fixedwise-out/c:
    fixedwise quantize models/fashion_small.onnx --data data/fashion-mnist \\
        --target cortex-m4 --emit c

  Each tensor kind alone, from the last layer to the first, starting from the
  formats of an earlier run:
    fixedwise quantize models/fashion_small.onnx --data data/fashion-mnist \\
        -o reverse --strategy layer-dependent --direction reverse \\
        --start fixedwise-out/plan.toml

  Activations first, with flat loss budgets and a local search of 5 x 5:
    fixedwise quantize models/fashion_small.onnx --data data/fashion-mnist \\
        -o other --order activations,weights,biases --budget flat,whole,whole \\
        --window 2

  The smallest flash, for a Cortex-M4 with 64 KiB of flash and 48 KiB of RAM:
    fixedwise quantize models/fashion_small.onnx --data data/fashion-mnist \\
        -o board --target cortex-m4 --max-flash 64KiB --max-ram 48KiB

  Widths that you choose; the search finds the others:
    fixedwise quantize models/fashion_small.onnx --data data/fashion-mnist \\
        -o kept --keep conv2d_1.weights=8 --keep dense_1=8,8,12

  Half the loss, from the measurements of the first run:
    fixedwise quantize --from fixedwise-out --max-loss 0.5%

  A network that labels places; masks.npz has x and, for y, class numbers of
  shape [images, rows, columns]:
    fixedwise quantize segmenter.onnx --data masks.npz --max-loss 0.5pt

  A denoiser, by the clean images in y:
    fixedwise quantize denoiser.onnx --data pairs.npz --metric psnr --peak 1 \\
        --max-loss 0.3dB

  A network whose outputs are images or numbers instead of classes, without
  labels:
    fixedwise quantize denoiser.onnx --data images.npz --min-sqnr 35

  Explicit image sets; search and test set must not overlap:
    fixedwise quantize models/fashion_small.onnx \\
        --calibration data/fashion-mnist:train@0..1000 \\
        --search data/fashion-mnist:test@0..5000 \\
        --test data/fashion-mnist:test@5000..10000

  The search in a browser while it goes on, with a button that ends it:
    fixedwise quantize models/fashion_small.onnx --data data/fashion-mnist \\
        --live

EXIT CODES
  0  the loss bound is met on the search set, and every memory budget is met
  1  error
  2  the loss bound or a memory budget is not met; the best plan is written";

/// Finds the plan with the lowest cost within the loss bound.
///
/// Writes plan.toml (the format of every tensor; you can edit it), plan.npz (the integer weights),
/// result.json (accuracy and costs) and journal.jsonl (all measurements, for --resume). Ctrl-C ends the
/// search and keeps the best plan so far.
#[derive(Args)]
#[command(after_help = EXAMPLES, disable_help_subcommand = true, args_override_self = true)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) network: ModelArguments,
    /// Images with labels. The first 2,000 of the train split are the calibration set; --seed divides the
    /// test split into two halves, the search set and the held-out test set.
    ///
    /// `PATH[:SPLIT][@FROM..TO]`. PATH is an .npz or .mat file, a folder of IDX (MNIST), CIFAR or SVHN
    /// files, a folder of images by class, or a .csv with `path,label`.
    #[arg(long, value_name = "DATA", required_unless_present_all = ["calibration", "search", "test"])]
    data: Option<String>,
    /// Calibration set: gives the value ranges; needs no labels. `model`: the ranges that the file of a model that was
    /// quantized before states.
    #[arg(long, value_name = "DATA")]
    calibration: Option<String>,
    /// Search set: decides which plans are accepted.
    #[arg(long, value_name = "DATA")]
    search: Option<String>,
    /// Held-out test set: measured once, at the end; `none`: search on all images, as in the paper.
    #[arg(long, value_name = "DATA")]
    test: Option<String>,
    /// Images to tune on; labels are not used. Default: the train split of --data, else the calibration set.
    #[arg(long, value_name = "DATA")]
    unlabeled: Option<String>,
    #[command(flatten)]
    images: DataArguments,
    #[command(flatten)]
    metric: MetricArguments,
    /// Loss bound on the search set: percent of what the float network reaches (1%), percentage points (0.5pt)
    /// or, of PSNR, decibels (0.5dB).
    #[arg(long, value_name = "LOSS", default_value = "1%", value_parser = arguments::max_loss)]
    #[arg(help_heading = "Search")]
    max_loss: MaxLoss,
    /// Bound on the loss of every class, too: percent of the recall of the class in the float network (5%), or
    /// percentage points (5pt). Classes with fewer than 20 images in the search set are named, not judged.
    #[arg(long, value_name = "LOSS", value_parser = arguments::class_loss, help_heading = "Search")]
    #[arg(conflicts_with_all = ["min_sqnr", "metric_command"])]
    max_class_loss: Option<ClassBound>,
    /// For networks whose outputs are values instead of classes: minimum signal-to-quantization-noise
    /// ratio of the outputs in dB, for example 30; replaces --max-loss.
    #[arg(long, value_name = "DB", value_parser = arguments::decibels, help_heading = "Search")]
    #[arg(conflicts_with = "metric_command")]
    min_sqnr: Option<f64>,
    /// Your own command to measure the quality of the outputs. Its arguments are .npy files: one for each
    /// output (float32, [image, ...], with the model's axes), the last one the image indices (int64). It
    /// prints a number; larger is better. --max-loss is then relative to this number.
    #[arg(long, value_name = "COMMAND", help_heading = "Search")]
    metric_command: Option<String>,
    /// Probability with which the loss bound holds on unseen images, for example 0.95; repeated use of the
    /// search set is accounted for. Default: a safety margin without this guarantee.
    #[arg(long, value_name = "P", help_heading = "Search")]
    confidence: Option<f64>,
    /// Search strategy. Default: pareto; joint with --semantics simulated, --quantizer square-root or
    /// options of the layer-by-layer search.
    #[arg(long, value_name = "NAME", help_heading = "Search")]
    strategy: Option<StrategyName>,
    /// Bit width of all tensors, for --strategy fixed.
    #[arg(long, value_name = "BITS", default_value_t = 8, help_heading = "Search")]
    #[arg(value_parser = clap::value_parser!(u8).range(1..=16))]
    bits: u8,
    /// Initial binary points (final ones with --strategy fixed, where each weight is then rounded to the nearest).
    /// Default: no-clip; with --strategy fixed, channels are balanced and weights are rounded with error feedback, as
    /// by pareto.
    #[arg(long, value_name = "RULE", help_heading = "Search")]
    range: Option<RangeName>,
    /// Arithmetic of the quantized network.
    #[arg(long, value_name = "NAME", default_value = "integer", help_heading = "Search")]
    semantics: SemanticsName,
    /// Spacing of the quantization steps.
    #[arg(long, value_name = "NAME", default_value = "uniform", help_heading = "Search")]
    quantizer: QuantizerName,
    /// Time limit, for example 90s, 10m, 1h30m; the search then returns the best plan so far.
    #[arg(long, value_name = "TIME", value_parser = arguments::duration, help_heading = "Search")]
    time_budget: Option<Duration>,
    /// How long the best plan of pareto is tuned without labels: none, auto (as long as the rest of the search took,
    /// at least half a minute), a time, for example 5m, or steps of 64 images, for example 4000steps: the plan then does
    /// not depend on the speed of the machine.
    #[arg(long = "tune", value_name = "none|auto|TIME|STEPS", default_value = "none")]
    #[arg(value_parser = arguments::tune, help_heading = "Search")]
    tuning: Tune,
    /// Keeps every output channel. Otherwise pareto drops channels that layers can do without, and the layers behind make
    /// up for them.
    #[arg(long, help_heading = "Search")]
    keep_channels: bool,
    /// Bit widths that are given and not searched: NODE.weights=8, NODE.bias=8, NODE.activation=8, or
    /// NODE=8,8,12 for all three (`-` for one that is searched). Node names as in the tables; repeat the
    /// option for more. Only --strategy pareto.
    #[arg(long, value_name = "NODE=BITS", value_parser = keep, help_heading = "Search")]
    keep: Vec<Kept>,
    /// Random seed.
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Search")]
    seed: u64,
    /// Memory for cached values.
    #[arg(long, value_name = "BYTES", default_value = "768MiB", value_parser = arguments::bytes)]
    #[arg(help_heading = "Search")]
    cache: usize,
    /// Reuses the measurements of an interrupted run in the same output folder.
    #[arg(long, help_heading = "Search")]
    resume: bool,
    /// Reuses the measurements of the run in DIR for another --max-loss, --confidence, --objective,
    /// --target or memory budget. Arguments that you do not give, including MODEL and the data, are as in
    /// that run. The result is written to DIR/what-if.
    #[arg(long, value_name = "DIR", help_heading = "Search")]
    from: Option<PathBuf>,
    #[command(flatten)]
    walk: SearchArguments,
    /// Target device: generic, cortex-m0, cortex-m4, cortex-m55, riscv32, fpga, or a TOML file
    /// (docs/targets.md). The plan obeys its rules. Default: no rules, memory counted as for generic.
    #[arg(long, value_name = "NAME|FILE", help_heading = "Target")]
    target: Option<String>,
    /// Kernels of the C code, whose bytes are part of the flash.
    #[arg(long, value_name = "KIND", default_value = "auto", help_heading = "Target")]
    code: CodeName,
    /// Flash budget for constants and code, for example 64KiB, 60000. k, K, kB and KiB are 1,024 bytes.
    /// Default: the flash of the target.
    #[arg(long, value_name = "BYTES", value_parser = arguments::bytes, help_heading = "Target")]
    max_flash: Option<usize>,
    /// RAM budget for the working memory, for example 20KiB; input and output buffers are not included.
    /// Default: the RAM of the target.
    #[arg(long, value_name = "BYTES", value_parser = arguments::bytes, help_heading = "Target")]
    max_ram: Option<usize>,
    /// Has the nodes of a cluster of Ray measure the images, too: auto for the cluster that this machine is part of, or its
    /// address. The plan is the same. Needs the Python package, `pip install 'fixedwise[ray]'`; every node must see the
    /// files by the same paths.
    #[arg(long, value_name = "auto|ADDRESS", help_heading = "Search")]
    ray: Option<String>,
    /// Output folder; default: fixedwise-out.
    #[arg(short, long = "out", value_name = "DIR", help_heading = "Output")]
    output: Option<PathBuf>,
    /// Also exports the integer network in these formats, into the output folder; see `fixedwise export`.
    #[arg(long, value_name = "FORMAT,...", value_delimiter = ',', help_heading = "Output")]
    emit: Vec<EmitName>,
    /// Also writes the run as one HTML page, report.html, into the output folder; see `fixedwise report`.
    #[arg(long, help_heading = "Output")]
    report: bool,
    /// Also serves the page of the run on this machine while the search goes on, and prints its address: the plans so
    /// far, the time left, and a button that ends the search with the best plan so far, as Ctrl-C does.
    #[arg(long, help_heading = "Output")]
    live: bool,
    /// Port of the page of --live. Default: a free one.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    #[arg(requires = "live", help_heading = "Output")]
    port: Option<u16>,
    /// Prints result.json instead of a table.
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,
    /// Also prints the paper's count of bit products: weight bits x output bits.
    #[arg(long, short, help_heading = "Output")]
    pub(crate) verbose: bool,
    /// Does not print progress or table.
    #[arg(long, short, help_heading = "Output")]
    pub(crate) quiet: bool,
}

/// What one `--keep` gives.
type Kept = Vec<Keep>;

fn keep(text: &str) -> Result<Kept, String> {
    Keep::parse(text)
}

impl Arguments {
    /// Where files go.
    pub(crate) fn output(&self) -> PathBuf {
        self.output.clone().unwrap_or_else(|| PathBuf::from("fixedwise-out"))
    }

    /// Writes into a folder and says nothing; takes so many threads where it does not say how many.
    pub(crate) fn write_quietly(&mut self, folder: &Path, threads: Option<u16>) {
        self.output = Some(folder.to_owned());
        self.quiet = true;
        self.images.threads = self.images.threads.or(threads);
    }

    /// Where files go, where that is said.
    pub(crate) fn given_output(&self) -> Option<&Path> {
        self.output.as_deref()
    }
}

#[derive(Clone, Copy, ValueEnum)]
enum StrategyName {
    /// All tensors together, along the Pareto front of cost and divergence; weights rounded with error
    /// feedback; every answer checked with the exact integers.
    Pareto,
    /// The final method of the paper: layer by layer, bit width and binary point together, everything
    /// already quantized stays quantized.
    Joint,
    /// Weights, biases and activations separately; the layers before stay quantized.
    LayerDependent,
    /// Each tensor of each layer alone.
    LayerIndependent,
    /// Every format of 1 to 8 bits around the one without clipping, tensor by tensor; the best is kept.
    BruteForce,
    /// One bit width for all tensors, --bits.
    Fixed,
}

#[derive(Clone, Copy, ValueEnum)]
enum RangeName {
    /// The finest binary point without clipping.
    NoClip,
    /// The binary point with the smallest squared error.
    LeastError,
}

/// What the arguments ask for.
pub(crate) fn options(
    arguments: &Arguments,
    host: &dyn Host,
) -> Result<(DataOptions, QuantizeOptions)> {
    let mut data = arguments.images.options()?;
    (data.metric, data.peak) = (arguments.metric.metric, arguments.metric.peak);
    data.data = host::source(host, arguments.data.as_deref())?;
    host::calibrate_on(host, &mut data, arguments.calibration.as_deref())?;
    data.search = host::source(host, arguments.search.as_deref())?;
    data.unlabeled = host::source(host, arguments.unlabeled.as_deref())?;
    data.untested = arguments.test.as_deref() == Some("none");
    let test = arguments.test.as_deref().filter(|_| !data.untested);
    data.test = host::source(host, test)?;
    let mut target = arguments.target.as_deref().map(fixedwise::read_target).transpose()?;
    let named = |name| match name {
        StrategyName::Pareto => Strategy::Pareto,
        StrategyName::Joint => Strategy::Joint,
        StrategyName::LayerDependent => Strategy::LayerDependent,
        StrategyName::LayerIndependent => Strategy::LayerIndependent,
        StrategyName::BruteForce => Strategy::BruteForce,
        StrategyName::Fixed => Strategy::Fixed { bits: arguments.bits },
    };
    let asked = arguments.strategy.map(named);
    let objective = arguments.walk.objective(target.as_ref(), asked.unwrap_or(Strategy::Pareto));
    let strategy = asked.unwrap_or_else(|| named(usual_strategy(arguments, objective)));
    if let Some(target) = &mut target {
        target.kernels = arguments.code.choice(target.kernels, objective == Objective::Flash);
        // What there is decides which kernels fit.
        target.flash_bytes = arguments.max_flash.map(size).or(target.flash_bytes);
    }
    let options = QuantizeOptions {
        max_loss: bound(arguments)?,
        max_class_loss: arguments.max_class_loss,
        confidence: arguments.confidence,
        strategy,
        search: arguments.walk.options(objective),
        start: arguments.walk.start.clone(),
        objective,
        target,
        max_flash: arguments.max_flash.map(size),
        max_ram: arguments.max_ram.map(size),
        range: arguments.range.map(|range| match range {
            RangeName::NoClip => Offset::NoClip,
            RangeName::LeastError => Offset::LeastError,
        }),
        semantics: arguments.semantics.into(),
        quantizer: arguments.quantizer.into(),
        seed: arguments.seed,
        threads: arguments.images.threads(),
        cache_bytes: arguments.cache,
        time_budget: arguments.time_budget,
        tune: arguments.tuning,
        drop_channels: !arguments.keep_channels,
        keep: arguments.keep.iter().flatten().cloned().collect(),
        output: Some(arguments.output()),
        resume: arguments.resume,
        architecture: arguments.network.architecture.clone(),
        interface: arguments.network.interface(),
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
        (None, Some(_), MaxLoss::Relative(limit)) => {
            MaxLoss::Metric { limit, unit: Unit::Relative }
        }
        (None, Some(_), _) => {
            bail!(
                "--max-loss: with --metric-command, percentage points have no meaning; give percent, for \
                 example 1%"
            )
        }
        (None, None, max_loss) => max_loss,
    })
}

/// The strategy that has what is asked for.
fn usual_strategy(arguments: &Arguments, objective: Objective) -> StrategyName {
    let walk = arguments.walk.options(objective);
    let is_walk = arguments.walk.start.is_some() || walk != SearchOptions::of(objective);
    let is_integer = Semantics::from(arguments.semantics) == Semantics::Integer;
    if is_walk || !is_integer { StrategyName::Joint } else { StrategyName::Pareto }
}

/// A number of bytes, whatever the machine's words are.
fn size(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// What a node has that answers for the search of these arguments.
pub(crate) fn worker(arguments: &Arguments, host: &dyn Host) -> Result<Worker> {
    let (data, options) = options(arguments, host)?;
    Ok(Worker::new(&arguments.network.model, &data, &options)?)
}

/// `words` are those behind `quantize`, for whoever repeats the run, and all that were given.
pub(crate) fn run(
    arguments: &Arguments,
    (words, all): (Vec<String>, &[OsString]),
    host: &dyn Host,
) -> Result<Verdict> {
    let (data, options, code) = asked(arguments, words, host)?;
    let cluster = match (&arguments.ray, host.cluster()) {
        (None, _) => None,
        (Some(address), Some(cluster)) => Some(cluster.nodes(all, address)?),
        (Some(_), None) => bail!(
            "--ray: this program measures on its own machine; the command of the Python package has others measure, \
             too: pip install 'fixedwise[ray]'"
        ),
    };
    let stop = host.stop()?;
    if !arguments.resume {
        warn_of_earlier(arguments, &arguments.output(), host);
    }
    let live =
        arguments.live.then(|| Live::start(arguments.port, &arguments.output(), &stop, host));
    let live = live.transpose()?;
    let display = host.watch(arguments.quiet);
    let observer = |progress: &Progress| {
        display.progress(progress);
        if let Some(live) = &live {
            live.progress(progress);
        }
    };
    let model = &arguments.network.model;
    let outcome = match cluster.as_deref().or(host.nodes()) {
        Some(nodes) => fixedwise::quantize_spread(model, &data, &options, &observer, &stop, nodes),
        None => fixedwise::quantize_observed(model, &data, &options, &observer, &stop),
    };
    drop(display);
    let outcome = outcome?;
    if let Some(live) = live {
        live.finish(&outcome.result)?;
    }
    finish(arguments, &data, &options, &arguments.output(), outcome, &code, host)
}

/// Runs a search of several.
pub(crate) fn search(
    arguments: &Arguments,
    words: Vec<String>,
    (observer, stop): (&dyn Observer, &AtomicBool),
    host: &dyn Host,
) -> Result<Verdict> {
    let (data, options, code) = asked(arguments, words, host)?;
    let model = &arguments.network.model;
    let outcome = fixedwise::quantize_observed(model, &data, &options, observer, stop)?;
    finish(arguments, &data, &options, &arguments.output(), outcome, &code, host)
}

/// What a search is asked for, and how C is printed of its answer.
fn asked(
    arguments: &Arguments,
    words: Vec<String>,
    host: &dyn Host,
) -> Result<(DataOptions, QuantizeOptions, CExport)> {
    let (data, mut options) = options(arguments, host)?;
    options.command = words;
    let code = code(arguments, &data, &options)?;
    Ok((data, options, code))
}

/// Says which earlier answer a run will replace.
pub(crate) fn warn_of_earlier(arguments: &Arguments, folder: &Path, host: &dyn Host) {
    let Some(earlier) = earlier(folder).filter(|_| !arguments.quiet) else { return };
    host.note(&format!(
        "! {} contains an earlier answer ({earlier}); this run will replace it. Another -o keeps it.",
        folder.display()
    ));
}

/// What the plan in a folder is, in a few words; `None` where there is none.
fn earlier(folder: &Path) -> Option<String> {
    if let Ok(result) = RunResult::read(&folder.join("result.json")) {
        let set = result.accuracy.search.or(result.accuracy.test);
        let loss = set.map(|set| format!(", loss {:.2} %", 100.0 * set.relative_loss));
        let saved = 100.0 * result.memory_bits.reduction;
        let (name, strategy) = (&result.model.name, &result.strategy);
        return Some(format!(
            "{name}, {strategy}, {saved:.1} % of memory saved{}",
            loss.unwrap_or_default()
        ));
    }
    folder.join("plan.toml").exists().then(|| "plan.toml".to_owned())
}

/// Exports what is asked for and prints the summary of a plan that was written.
pub(crate) fn finish(
    arguments: &Arguments,
    data: &DataOptions,
    options: &QuantizeOptions,
    folder: &Path,
    outcome: fixedwise::Outcome,
    code: &CExport,
    host: &dyn Host,
) -> Result<Verdict> {
    let model = &arguments.network.model;
    let fixedwise::Outcome { plan, result, .. } = outcome;
    let mut written = vec![folder.join("plan.toml"), folder.join("result.json")];
    if !plan.rounded.is_empty() {
        written.insert(1, folder.join("plan.npz"));
    }
    let export = ExportOptions {
        preprocess: data.preprocess.clone(),
        architecture: options.architecture.clone(),
        interface: options.interface.clone(),
        target: options.target.clone(),
        name: None,
    };
    // The same kernels as were counted.
    let mut code = code.clone();
    if let Some(counted) = &result.code {
        code.target.kernels = counted.choice();
    }
    // The plan is there whatever becomes of its other forms, and so is what it gives.
    let mut emitted = Ok(());
    for &form in &arguments.emit {
        match export::emit(form, model, folder, &export, &code) {
            Ok(path) => written.push(path),
            Err(error) => emitted = emitted.and(Err(error)),
        }
    }
    if arguments.report {
        let page = folder.join(report::FILE);
        let label = &folder.to_string_lossy();
        let shown = fixedwise::Shown { label, is_folder: true, result: &result };
        match report::write(&[shown], &page) {
            Ok(()) => written.push(page),
            Err(error) => emitted = emitted.and(Err(error)),
        }
    }
    if arguments.json {
        host.print(&result.to_json())?;
    } else if !arguments.quiet {
        let text = fixedwise::summary(&result, &terminal::text_options(arguments.verbose));
        host.print(&(text + &terminal::written(&written)))?;
        let stale = export::others(folder, &written);
        if !stale.is_empty() {
            host.note(&format!(
                "! These exports belong to an earlier plan in this folder: {}; --emit writes them again.",
                terminal::listed(&stale)
            ));
        }
    }
    emitted?;
    let is_met = result.bound_met && result.fits();
    Ok(if is_met { Verdict::Done } else { Verdict::OutOfReach })
}

/// How C is printed in the end; refuses before the search what cannot be printed after it.
pub(crate) fn code(
    arguments: &Arguments,
    data: &DataOptions,
    options: &QuantizeOptions,
) -> Result<CExport> {
    if !arguments.emit.is_empty() && options.semantics == Semantics::Simulated {
        bail!(
            "--emit: simulated semantics have no integers to export; omit `--semantics simulated`"
        );
    }
    let mut target = options.target.clone().unwrap_or_default();
    if arguments.emit.contains(&EmitName::C) && target.c_options("network").is_none() {
        bail!(
            "--emit c: target `{}` does not run C; choose another target, or --emit hls",
            target.name
        );
    }
    // Whether its memory holds the network is said of the result; the nearest answer is written.
    (target.flash_bytes, target.ram_bytes) = (None, None);
    let images = data.test.clone().or_else(|| data.data.clone());
    Ok(CExport { target, images, ..CExport::default() })
}
