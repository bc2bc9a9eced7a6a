//! The integer network as C for microcontrollers.

use super::{
    device::{device, printing},
    export::{ExportOptions, Network, checked_name, integer_network, refuse_others, sources},
    first::misses,
};
use crate::{
    data::{DataOptions, DataSource, Declared, Sets},
    error::Error,
    files::{OutputFolder, write_files},
    model::{Model, ModelSource},
    plan::PlanSource,
    result::{CExported, CodeResult, HolderResult},
    units::Clock,
};
use fixedwise_fixed::{
    Format,
    convert::{count_to_u64, f64_to_f32, i64_to_f64},
};
use fixedwise_graph::{
    FixedGraph, Plan, Target,
    emit::c::{self, Arena, COptions, Golden, Optimization, Package, WeightCode, WeightPlace},
    footprint::{CODE, Footprint},
    run::{Program, Workspace},
};
use fixedwise_kernels::Kernels;
use fixedwise_search::{Images as _, MetricName};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// What [`export_c`] is asked for, beside what every export is.
#[derive(Clone, Debug, PartialEq)]
pub struct CExport {
    /// What the code runs on; its rules and its memory must be kept.
    pub target: Target,
    /// Whether working memory is an array of the file instead of the caller's: then one run at a
    /// time.
    pub static_arena: bool,
    /// Images of the printed test; without them it has random pixels, all black and all white.
    pub images: Option<DataSource>,
    /// Inputs of the printed test.
    pub n_inputs: usize,
    /// The layout of the folder.
    pub package: Package,
    /// Where weights lie, and how.
    pub weights: WeightPlace,
    /// The clock, for milliseconds.
    pub clock: Option<Clock>,
}

impl Default for CExport {
    fn default() -> Self {
        let (target, package) = (Target::default(), Package::Plain);
        let (images, clock, weights) = (None, None, WeightPlace::Constants);
        Self { target, static_arena: false, images, n_inputs: 5, package, weights, clock }
    }
}

/// Writes the integer network of a model and its plan as C99 into the folder `output`: `NAME.h`,
/// `NAME.c`, a test with inputs and their results, a `Makefile`, a `CMakeLists.txt` and a page that says what
/// was made; another [`Package`] has the files that its tools expect. What an export wrote before is replaced,
/// anything else is not.
///
/// The network takes raw pixels: the declared preprocessing is part of it. `docs/c.md` describes the
/// code.
///
/// # Errors
/// [`Error`] for a model or plan that cannot be used, a plan that the target refuses or whose
/// network it cannot hold, images that do not fit, an output in the way or a name that is no
/// identifier. Nothing is written then.
///
/// ```
/// # fn main() -> Result<(), fixedwise::Error> {
/// # let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
/// # let folder = tempfile::tempdir().expect("a temporary folder");
/// # let (plan, output) = (folder.path().join("plan.toml"), folder.path().join("c"));
/// # std::fs::copy(format!("{root}/suite/export/plan.toml"), &plan).expect("copied");
/// use fixedwise::{CExport, ExportOptions, export_c, read_target};
///
/// let model = format!("{root}/models/fashion_small.onnx");
/// let c = CExport { target: read_target("cortex-m4")?, ..CExport::default() };
/// let exported = export_c(model.as_ref(), &plan, &output, &ExportOptions::default(), &c)?;
/// assert_eq!(exported.files[0], output.join("fashion_small.h"));
/// assert!(exported.flash_bytes < 65_642 && exported.peak_ram_bytes < 50_000);
/// # Ok(())
/// # }
/// ```
pub fn export_c(
    model: &Path,
    plan: &Path,
    output: &Path,
    options: &ExportOptions,
    c: &CExport,
) -> Result<CExported, Error> {
    let model = ModelSource::File(model, options.architecture.as_deref(), &options.interface);
    run(model, PlanSource::File(plan), output, options, c)
}

/// As [`export_c`], of a model and a plan in memory.
///
/// # Errors
/// As [`export_c`]; a plan is checked as its file would be.
///
/// ```
/// # fn main() -> Result<(), fixedwise::Error> {
/// # let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
/// # let folder = tempfile::tempdir().expect("a temporary folder");
/// # let bytes = std::fs::read(format!("{root}/models/fashion_small.onnx")).expect("readable");
/// # let plan = format!("{root}/suite/export/plan.toml");
/// use fixedwise::{CExport, ExportOptions, Model, export_c_model, read_plan};
///
/// let model = Model::from_bytes("fashion_small", &bytes)?;
/// let plan = read_plan(plan.as_ref(), &model, None)?;
/// let options =
///     ExportOptions { preprocess: Some("scale=1/255".parse()?), ..ExportOptions::default() };
/// let exported = export_c_model(&model, &plan, folder.path(), &options, &CExport::default())?;
/// assert_eq!(exported.files[0], folder.path().join("fashion_small.h"));
/// # Ok(())
/// # }
/// ```
pub fn export_c_model(
    model: &Model,
    plan: &Plan,
    output: &Path,
    options: &ExportOptions,
    c: &CExport,
) -> Result<CExported, Error> {
    run(
        ModelSource::Loaded(model, options.architecture.as_deref()),
        PlanSource::Loaded(plan),
        output,
        options,
        c,
    )
}

fn run(
    model: ModelSource,
    plan: PlanSource,
    output: &Path,
    options: &ExportOptions,
    c: &CExport,
) -> Result<CExported, Error> {
    let name = options.name.as_deref().map(checked_name).transpose()?;
    let sources = sources(model, plan);
    let Network { fixed, model, declared, is_u8 } =
        integer_network(model, plan, options, Some(&c.target))?;
    let name = name.map_or_else(|| c::default_name(&fixed.name), str::to_owned);
    let arena = if c.static_arena { Arena::Static } else { Arena::Caller };
    let footprint = Footprint::placed(&fixed, &c.target, c.weights);
    let code = footprint.code;
    let printed = printing(&c.target, &name)?;
    let images = inputs(&model, &fixed, declared.clone(), c)?;
    let mut warnings = misses(&fixed, &images);
    let golden = goldens(&fixed, &images);
    let style = code.map_or(printed.style, |code| code.style);
    let cpu = printed.cpu;
    let (package, place) = (c.package, c.weights);
    let options = COptions { arena, style, package, place, ..printed };
    let project = c::emit(&fixed, &options, &golden)?;
    let is_coded = project.layers.iter().any(|layer| layer.weight_code == WeightCode::Codes);
    if c.weights == WeightPlace::Coded && !is_coded {
        warnings.push(
            "No weights have codes: constants and code would not take less flash with them"
                .to_owned(),
        );
    }
    let device = device(&fixed, &c.target, &footprint, &project, style, c.clock);
    let texts = project.files.iter().map(|(name, text)| (name, text.as_bytes()));
    let weights = project.weight_file.iter().map(|(name, bytes)| (name, bytes.as_slice()));
    let files = texts.chain(weights).map(|(name, bytes)| (output.join(name), bytes));
    let files: Vec<(PathBuf, &[u8])> = files.collect();
    let exported = CExported {
        files: files.iter().map(|(path, _)| path.clone()).collect(),
        name,
        target: c.target.name.clone(),
        preprocessing: declared.result(&is_u8),
        warnings,
        flash_bytes: device.flash_bytes,
        constant_bytes: device.constant_bytes,
        weight_file_bytes: project.weight_file.as_ref().map(|(_, bytes)| count_to_u64(bytes.len())),
        code_bytes: Optimization::ALL
            .map(|optimization| {
                (optimization.flag().to_owned(), project.code.bytes(cpu, optimization))
            })
            .into(),
        code: code.map(|code| CodeResult::new(code, cpu)),
        peak_ram_bytes: device.peak_ram_bytes,
        peak: device.peak,
        schedule: device.schedule,
        instructions: device.instructions,
        schedule_instructions: device.schedule_instructions,
        uncounted: device.uncounted,
        clock: device.clock,
        layers: device.layers,
    };
    refuse_too_large(&exported, &c.target)?;
    refuse_other_folder(output, package)?;
    let folder = OutputFolder::prepare(output)?;
    for (path, _) in &files {
        refuse_others(path, &sources)?;
    }
    // Those that a package has in it.
    let folders = files.iter().filter_map(|(path, _)| path.parent());
    let folders: Vec<_> = folders.map(OutputFolder::prepare).collect::<Result<_, _>>()?;
    write_files(&files)?;
    // The last ones made lie in the first.
    folders.into_iter().rev().for_each(drop);
    drop(folder);
    Ok(exported)
}

/// Refuses a folder for a package that holds something and no such package: its tools take all files of a folder.
fn refuse_other_folder(output: &Path, package: Package) -> Result<(), Error> {
    let mut entries = fs::read_dir(output).into_iter().flatten();
    let is_earlier = output.join(package.manifest()).exists();
    if package == Package::Plain || is_earlier || entries.next().is_none() {
        return Ok(());
    }
    let problem = "it holds other files, and a package has a folder of its own";
    Err(Error::InTheWay { path: output.to_owned(), problem })
}

/// Refuses what a memory of the target does not hold, and names what takes most of it: of RAM, the values and rows at the
/// peak.
fn refuse_too_large(exported: &CExported, target: &Target) -> Result<(), Error> {
    /// Parts that are named.
    const NAMED: usize = 3;
    let code = exported.code.as_ref().map(|code| (CODE.to_owned(), code.bytes));
    let layers = exported.layers.iter().map(|layer| (layer.name.clone(), layer.constant_bytes));
    let of_flash = layers.chain(code).map(|(name, bytes)| HolderResult { name, bytes, rows: None });
    let memories = [
        ("flash", exported.flash_bytes, target.flash_bytes, of_flash.collect()),
        ("RAM", exported.peak_ram_bytes, target.ram_bytes, exported.peak.clone()),
    ];
    for (memory, needed, available, mut parts) in memories {
        let Some(available) = available.filter(|&available| needed > available) else { continue };
        parts.sort_by_key(|part| std::cmp::Reverse(part.bytes));
        let named: Vec<String> = parts.iter().take(NAMED).map(HolderResult::to_text).collect();
        let (target, largest) = (target.name.clone(), named.join(", "));
        return Err(Error::TooLarge { target, memory, needed, available, largest });
    }
    Ok(())
}

/// Images of the printed test, as the network takes them.
fn inputs(
    model: &Model,
    fixed: &FixedGraph,
    declared: Declared,
    c: &CExport,
) -> Result<Vec<Vec<f32>>, Error> {
    let n = fixed.image_parts().last().map_or(0, |part| part.end);
    if let Some(source) = &c.images {
        // Labels do not count.
        let metric = Some(MetricName::Sqnr);
        let data = DataOptions { test: Some(source.clone()), metric, ..DataOptions::default() };
        let images = Sets::load_test(&data, model, declared)?.images;
        let image = |i: usize| {
            let mut image = vec![0.0; n];
            images.image(i, &mut image);
            image
        };
        return Ok((0..images.len().min(c.n_inputs)).map(image).collect());
    }
    let formats = || {
        let inputs = fixed.inputs.iter().map(|&id| &fixed.nodes[id]);
        inputs.flat_map(|input| std::iter::repeat_n(input.format, input.shape.len()))
    };
    let all = |stored: fn(Format) -> i64| -> Vec<f32> {
        formats().map(|format| f64_to_f32(format.dequantize(stored(format)))).collect()
    };
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |format: Format| {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let unit = i64_to_f64(i64::try_from(state >> 33).unwrap_or(0)) / 2_147_483_648.0;
        let [low, high] = [format.min(), format.max()].map(|stored| format.dequantize(stored));
        f64_to_f32(low + unit * (high - low))
    };
    let mut images = vec![all(Format::min), all(Format::max)];
    images.resize_with(c.n_inputs.max(2), || formats().map(&mut random).collect());
    images.truncate(c.n_inputs);
    Ok(images)
}

/// What the executor makes of the images.
fn goldens(fixed: &FixedGraph, images: &[Vec<f32>]) -> Vec<Golden> {
    let program = Program::fixed(fixed, Kernels::best());
    let schedule = program.schedule(&[], &[&fixed.inputs[..], &fixed.output_nodes()].concat());
    let mut workspace = Workspace::new();
    let golden = |image: &Vec<f32>| {
        program.run(&schedule, &mut workspace, image, &[]);
        let integers = |id| program.value(&schedule, &workspace, id).integers();
        let inputs = fixed.inputs.iter().copied().map(integers).collect();
        let outputs = fixed.output_nodes().into_iter().map(integers).collect();
        Golden { inputs, outputs }
    };
    images.iter().map(golden).collect()
}
