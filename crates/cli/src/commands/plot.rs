//! `fixedwise plot`.

use crate::{
    arguments::DataArguments,
    host::{self, Host},
    terminal,
    verdict::Verdict,
};
use anyhow::{Context as _, Result};
use clap::{Args, Subcommand, ValueEnum};
use fixedwise::{FormatMap, Kind, Picture, PlanBits, RunResult};
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
EXAMPLES
  All plots of a run, into fixedwise-out/plots:
    fixedwise plot all fixedwise-out

  The same with distributions, which need the network and images:
    fixedwise plot all fixedwise-out --model models/fashion_small.onnx \\
        --data data/fashion-mnist

  Loss of each bit width and binary point, of a search or a sweep:
    fixedwise plot heatmap fixedwise-out/result.json -o heatmap.svg
    fixedwise plot heatmap sweep.json --tensor weights -o weights.png

  Two runs side by side:
    fixedwise plot bits loose/result.json tight/result.json -o bits.svg
    fixedwise plot costs loose/result.json tight/result.json -o costs.svg

  Effect of each bit width alone, and all measured plans, of a search by pareto:
    fixedwise plot sensitivity fixedwise-out/result.json -o sensitivity.svg
    fixedwise plot front fixedwise-out/result.json -o front.svg

  Loss layer by layer, and the distributions of values with the range of each
  format:
    fixedwise plot drop fixedwise-out/result.json -o drop.svg
    fixedwise plot distributions models/fashion_small.onnx \\
        --plan fixedwise-out/plan.toml --data data/fashion-mnist \\
        -o distributions.svg";

/// Draws results as SVG or PNG.
#[derive(Args)]
#[command(after_help = EXAMPLES, disable_help_subcommand = true)]
#[command(arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    picture: PictureName,
}

#[derive(Subcommand)]
enum PictureName {
    /// Loss by bit width and binary point, one panel per tensor; the chosen format is circled.
    Heatmap {
        /// A result.json of a search, or a sweep.json.
        file: PathBuf,
        /// Only these tensors.
        #[arg(long, value_name = "KIND")]
        tensor: Option<TensorName>,
        #[command(flatten)]
        output: Output,
    },
    /// Bit widths of weights, biases and activations of each layer; up to six plans side by side.
    Bits {
        /// result.json, plan.toml, or a JSON plan in the notation of the paper.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        #[command(flatten)]
        output: Output,
    },
    /// Memory and bit products, compared with uniform 8 bit; flash and RAM where the search reduced them.
    Costs {
        /// One result.json per group of bars.
        #[arg(required = true)]
        results: Vec<PathBuf>,
        #[command(flatten)]
        output: Output,
    },
    /// Accuracy drop layer by layer, in the order of the search.
    Drop {
        /// A result.json of a search.
        result: PathBuf,
        #[command(flatten)]
        output: Output,
    },
    /// Effect of each bit width of each layer alone, and the chosen bit width.
    Sensitivity {
        /// A result.json of a search by `pareto`.
        result: PathBuf,
        #[command(flatten)]
        output: Output,
    },
    /// Saving and loss of every plan that was measured as a whole.
    Front {
        /// A result.json of a search of any strategy but `fixed`.
        result: PathBuf,
        #[command(flatten)]
        output: Output,
    },
    /// Distributions of weights and activations, with the range of each format.
    #[command(
        override_usage = "fixedwise plot distributions --plan <FILE> -o <FILE> [OPTIONS] <MODEL>"
    )]
    Distributions {
        /// The trained network, an ONNX file.
        model: PathBuf,
        /// A plan.toml, or a JSON plan in the notation of the paper.
        #[arg(long, value_name = "FILE")]
        plan: PathBuf,
        /// Images for the activations, as for `inspect`; without this option, only weights are drawn.
        #[arg(long, value_name = "DATA")]
        data: Option<String>,
        #[command(flatten)]
        images: DataArguments,
        #[command(flatten)]
        output: Output,
        /// Does not print progress.
        #[arg(long, short, help_heading = "Output")]
        quiet: bool,
    },
    /// All plots that the files in the folder of a run allow.
    All(All),
}

#[derive(Args)]
struct Output {
    /// Output file, .svg or .png.
    #[arg(short, long = "out", value_name = "FILE", value_parser = picture_name)]
    #[arg(help_heading = "Output")]
    output: PathBuf,
}

#[derive(Args)]
struct All {
    /// Folder of a run, with result.json (and plan.toml for the distributions), sweep.json, or both.
    folder: PathBuf,
    /// Output folder; default: FOLDER/plots.
    #[arg(short, long = "out", value_name = "DIR", help_heading = "Output")]
    output: Option<PathBuf>,
    /// File types.
    #[arg(long, value_name = "KIND", value_delimiter = ',', default_value = "svg,png")]
    #[arg(help_heading = "Output")]
    format: Vec<FileKind>,
    /// The trained network, for the distributions.
    #[arg(long, value_name = "MODEL")]
    model: Option<PathBuf>,
    /// Images for the distributions of activations.
    #[arg(long, value_name = "DATA", requires = "model")]
    data: Option<String>,
    #[command(flatten)]
    images: DataArguments,
    /// Does not print progress or file names.
    #[arg(long, short, help_heading = "Output")]
    quiet: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum FileKind {
    /// Vector graphics.
    Svg,
    /// Raster graphics.
    Png,
}

#[derive(Clone, Copy, ValueEnum)]
enum TensorName {
    /// Weights of layers.
    Weights,
    /// Biases of layers.
    Biases,
    /// Outputs of layers and residual adds.
    Activations,
}

impl From<TensorName> for Kind {
    fn from(name: TensorName) -> Self {
        match name {
            TensorName::Weights => Self::Weights,
            TensorName::Biases => Self::Biases,
            TensorName::Activations => Self::Activations,
        }
    }
}

/// Says before any work that a name cannot be written.
fn picture_name(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    let is_picture = path
        .extension()
        .is_some_and(|kind| kind.eq_ignore_ascii_case("svg") || kind.eq_ignore_ascii_case("png"));
    if is_picture { Ok(path) } else { Err("the name must end in .svg or .png".to_owned()) }
}

pub(crate) fn run(arguments: &Arguments, host: &dyn Host) -> Result<Verdict> {
    let (picture, output) = match &arguments.picture {
        PictureName::Heatmap { file, tensor, output } => {
            let kind = tensor.map(Kind::from);
            (fixedwise::plot_heatmap(&FormatMap::read(file)?, kind)?, output)
        }
        PictureName::Bits { files, output } => {
            let plans: Vec<PlanBits> =
                files.iter().map(|file| PlanBits::read(file)).collect::<Result<_, _>>()?;
            let labels = labels(files);
            (fixedwise::plot_bits(&named(&labels, &plans))?, output)
        }
        PictureName::Costs { results, output } => {
            let labels = labels(results);
            let results: Vec<RunResult> =
                results.iter().map(|file| RunResult::read(file)).collect::<Result<_, _>>()?;
            (fixedwise::plot_costs(&named(&labels, &results))?, output)
        }
        PictureName::Drop { result, output } => {
            (fixedwise::plot_drop(&RunResult::read(result)?)?, output)
        }
        PictureName::Sensitivity { result, output } => {
            (fixedwise::plot_sensitivity(&RunResult::read(result)?)?, output)
        }
        PictureName::Front { result, output } => {
            (fixedwise::plot_front(&RunResult::read(result)?)?, output)
        }
        PictureName::Distributions { model, plan, data, images, output, quiet } => {
            (distributions(model, plan, data.as_deref(), images, *quiet, host)?, output)
        }
        PictureName::All(all) => return all.run(host),
    };
    picture.write(&output.output)?;
    Ok(Verdict::Done)
}

fn distributions(
    model: &Path,
    plan: &Path,
    data: Option<&str>,
    images: &DataArguments,
    quiet: bool,
    host: &dyn Host,
) -> Result<Picture> {
    let mut options = images.options()?;
    options.data = host::source(host, data)?;
    let options = options.data.is_some().then_some(&options);
    let display = host.watch(quiet);
    let picture = fixedwise::plot_distributions(model, plan, options, images.threads(), &*display);
    drop(display);
    Ok(picture?)
}

impl All {
    fn run(&self, host: &dyn Host) -> Result<Verdict> {
        let path = |name: &str| self.folder.join(name);
        let mut pictures = Vec::new();
        let has_sweep = path("sweep.json").exists();
        if has_sweep {
            let map = FormatMap::read(&path("sweep.json"))?;
            pictures.push(("sweep", fixedwise::plot_heatmap(&map, None)?));
        }
        if path("result.json").exists() || !has_sweep {
            let result = RunResult::read(&path("result.json"))?;
            let label = label(&path("result.json"));
            if !result.tried.is_empty() {
                let map = FormatMap::from_result(&result)?;
                pictures.push(("heatmap", fixedwise::plot_heatmap(&map, None)?));
            }
            let bits = PlanBits::from_result(&result);
            pictures.push(("bits", fixedwise::plot_bits(&[(&label, &bits)])?));
            pictures.push(("costs", fixedwise::plot_costs(&[(&label, &result)])?));
            if !result.sensitivity.is_empty() {
                pictures.push(("sensitivity", fixedwise::plot_sensitivity(&result)?));
            }
            if !result.front.is_empty() {
                pictures.push(("front", fixedwise::plot_front(&result)?));
            }
            // A search of all tensors at once has no order of layers.
            if result.trace.iter().any(|step| !step.node.is_empty()) {
                pictures.push(("drop", fixedwise::plot_drop(&result)?));
            }
        }
        if let Some(model) = &self.model {
            let (plan, data) = (path("plan.toml"), self.data.as_deref());
            let picture = distributions(model, &plan, data, &self.images, self.quiet, host)?;
            pictures.push(("distributions", picture));
        }

        let folder = self.output.clone().unwrap_or_else(|| path("plots"));
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("cannot write into `{}`", folder.display()))?;
        let mut names = Vec::new();
        for (name, picture) in &pictures {
            for kind in &self.format {
                let kind = match kind {
                    FileKind::Svg => "svg",
                    FileKind::Png => "png",
                };
                let path = folder.join(format!("{name}.{kind}"));
                picture.write(&path)?;
                names.push(path);
            }
        }
        if !self.quiet {
            host.print(&terminal::written(&names))?;
        }
        Ok(Verdict::Done)
    }
}

/// What a file is called in a picture: by its folder where its own name says nothing.
fn label(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let folder = path.parent().and_then(Path::file_name);
    match folder {
        Some(folder) if ["result", "plan"].contains(&stem.as_str()) => {
            folder.to_string_lossy().into_owned()
        }
        _ => stem,
    }
}

/// The same for several; by their whole paths where two would be called the same.
fn labels(paths: &[PathBuf]) -> Vec<String> {
    let labels: Vec<String> = paths.iter().map(|path| label(path)).collect();
    let is_twice = |label: &String| labels.iter().filter(|other| *other == label).count() > 1;
    if labels.iter().any(is_twice) {
        paths.iter().map(|path| path.display().to_string()).collect()
    } else {
        labels
    }
}

fn named<'a, T>(labels: &'a [String], things: &'a [T]) -> Vec<(&'a str, &'a T)> {
    labels.iter().map(String::as_str).zip(things).collect()
}
