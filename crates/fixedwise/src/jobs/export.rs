//! The integer network in the forms of other tools.

use super::measure::integers;
use crate::{
    data::{DataOptions, Declared},
    error::Error,
    files::{OutputFolder, io_error, write_files},
    model::{Model, ModelSource},
    plan::{PlanSource, RAW_PIXELS, open_model},
    preprocess::Preprocess,
    result::PreprocessingResult,
};
use fixedwise_graph::{FixedGraph, Interface, Plan, Target, emit, emit::tflite::TfliteOptions};
use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

/// What [`export`] writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ExportForm {
    /// A file of standard ONNX, with `QuantizeLinear` and `DequantizeLinear`.
    Onnx,
    /// A file of QONNX, with `Quant` nodes.
    Qonnx,
    /// A folder with the types of every layer: `NAME_hls4ml.yml` and `NAME_types.h`.
    Hls,
    /// A NumPy archive of integers and formats.
    Npz,
    /// A file of TensorFlow Lite with integers of 8 and 16 bits.
    Tflite(TfliteOptions),
}

/// What [`export`] is asked for.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct ExportOptions {
    /// What pixels mean; where absent, as the plan says, the TOML file beside the model or the default. One
    /// that contradicts the plan is refused, and with a plan in memory it must be given.
    pub preprocess: Option<Preprocess>,
    /// What a model of weights alone is the weights of; see [`Model::load_with`].
    pub architecture: Option<PathBuf>,
    /// Extents of an input whose file leaves some open, and the values that are the outputs.
    pub interface: Interface,
    /// Whose rules the plan keeps, for [`export`]; by default the target that the plan names, where
    /// that comes with fixedwise.
    pub target: Option<Target>,
    /// How files and identifiers begin that have the network's name, a C identifier; by default the
    /// model's name, each character that no identifier has replaced by `_`.
    pub name: Option<String>,
}

/// What [`export`] wrote.
#[derive(Clone, Debug, PartialEq)]
pub struct Exported {
    /// The files.
    pub files: Vec<PathBuf>,
    /// Nodes whose sums may exceed the `2^24` steps that 32-bit floats add exactly; what the ONNX
    /// forms compute there may be a step off. Elsewhere, and in the other forms, results are those
    /// of the integer network.
    pub inexact: Vec<String>,
    /// Nodes whose results the kernels of TensorFlow Lite may round otherwise than the plan; elsewhere they are
    /// those of the integer network.
    pub rounded: Vec<String>,
    /// What the network is fed; it is part of what was written.
    pub preprocessing: PreprocessingResult,
}

/// What the files of an export have at their beginning: what wrote them or, in an archive, the name
/// of the first member.
const MARKS: [&str; 2] = ["fixedwise export", "fixedwise.npy"];

/// Writes the integer network of a model and its plan to `output`, a file or (for
/// [`ExportForm::Hls`]) a folder. What an export wrote before is replaced, anything else is not.
///
/// The network takes raw pixels: the declared preprocessing is part of it. `docs/export.md` says of
/// each form what it holds and how exact it is.
///
/// # Errors
/// [`Error`] for a model or plan that cannot be used, a plan without integers, an output in the way
/// or a name that is no identifier. Nothing is written then.
///
/// ```
/// # fn main() -> Result<(), fixedwise::Error> {
/// # let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
/// # let folder = tempfile::tempdir().expect("a temporary folder");
/// # let (plan, output) = (folder.path().join("plan.toml"), folder.path().join("small.onnx"));
/// # std::fs::copy(format!("{root}/suite/export/plan.toml"), &plan).expect("copied");
/// use fixedwise::{ExportForm, ExportOptions, export};
///
/// let model = format!("{root}/models/fashion_small.onnx");
/// let options = ExportOptions::default();
/// let exported = export(model.as_ref(), &plan, ExportForm::Onnx, &output, &options)?;
/// assert_eq!(exported.files, [output]);
/// assert!(exported.inexact.is_empty());
/// # Ok(())
/// # }
/// ```
pub fn export(
    model: &Path,
    plan: &Path,
    form: ExportForm,
    output: &Path,
    options: &ExportOptions,
) -> Result<Exported, Error> {
    let model = ModelSource::File(model, options.architecture.as_deref(), &options.interface);
    run(model, PlanSource::File(plan), form, output, options)
}

/// As [`export`], of a model and a plan in memory. A target must be named by the options: the plan
/// names none.
///
/// # Errors
/// As [`export`]; a plan is checked as its file would be.
///
/// ```
/// # fn main() -> Result<(), fixedwise::Error> {
/// # let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
/// # let folder = tempfile::tempdir().expect("a temporary folder");
/// # let output = folder.path().join("small.npz");
/// # let bytes = std::fs::read(format!("{root}/models/fashion_small.onnx")).expect("readable");
/// # let plan = format!("{root}/suite/export/plan.toml");
/// use fixedwise::{ExportForm, ExportOptions, Model, export_model, read_plan};
///
/// let model = Model::from_bytes("fashion_small", &bytes)?;
/// let plan = read_plan(plan.as_ref(), &model, None)?;
/// let options =
///     ExportOptions { preprocess: Some("scale=1/255".parse()?), ..ExportOptions::default() };
/// let exported = export_model(&model, &plan, ExportForm::Npz, &output, &options)?;
/// assert_eq!(exported.files, [output]);
/// # Ok(())
/// # }
/// ```
pub fn export_model(
    model: &Model,
    plan: &Plan,
    form: ExportForm,
    output: &Path,
    options: &ExportOptions,
) -> Result<Exported, Error> {
    run(
        ModelSource::Loaded(model, options.architecture.as_deref()),
        PlanSource::Loaded(plan),
        form,
        output,
        options,
    )
}

fn run(
    model: ModelSource,
    plan: PlanSource,
    form: ExportForm,
    output: &Path,
    options: &ExportOptions,
) -> Result<Exported, Error> {
    let name = options.name.as_deref().map(checked_name).transpose()?;
    let sources = sources(model, plan);
    let target = options.target.clone();
    let target = target.map_or_else(|| plan.target(), |target| Ok(Some(target)))?;
    let Network { fixed, declared, is_u8, .. } =
        integer_network(model, plan, options, target.as_ref())?;
    let (mut inexact, mut rounded) = (Vec::new(), Vec::new());
    let mut onnx = |file: emit::onnx::OnnxFile| {
        inexact = file.inexact;
        file.bytes
    };
    let (folder, files) = match form {
        ExportForm::Onnx => (None, vec![(output.to_owned(), onnx(emit::onnx::emit(&fixed)?))]),
        ExportForm::Qonnx => (None, vec![(output.to_owned(), onnx(emit::qonnx::emit(&fixed)?))]),
        ExportForm::Tflite(options) => {
            let file = emit::tflite::emit(&fixed, options)?;
            rounded = file.rounded;
            (None, vec![(output.to_owned(), file.bytes)])
        }
        ExportForm::Npz => (None, vec![(output.to_owned(), emit::npz::emit(&fixed)?)]),
        ExportForm::Hls => {
            let name = name.map_or_else(|| emit::identifier(&fixed.name), str::to_owned);
            let hls = emit::hls::emit(&fixed, &name)?;
            let file = |end: &str| output.join(format!("{name}_{end}"));
            let files = vec![
                (file("hls4ml.yml"), hls.config.into_bytes()),
                (file("types.h"), hls.header.into_bytes()),
            ];
            (Some(OutputFolder::prepare(output)?), files)
        }
    };
    for (path, _) in &files {
        refuse_others(path, &sources)?;
    }
    let contents = files.iter().map(|(path, contents)| (path.clone(), contents.as_slice()));
    write_files(&contents.collect::<Vec<_>>())?;
    drop(folder);
    Ok(Exported {
        files: files.into_iter().map(|(path, _)| path).collect(),
        inexact,
        rounded,
        preprocessing: declared.result(&is_u8),
    })
}

/// An integer network for raw pixels.
pub(crate) struct Network {
    pub(crate) fixed: FixedGraph,
    /// As its file has it.
    pub(crate) model: Model,
    /// What it is fed, and whether pixels of each input are taken as 8-bit integers.
    pub(crate) declared: Declared,
    pub(crate) is_u8: Vec<bool>,
}

/// The integer network of a model and a plan; one that keeps the rules of `target`.
pub(crate) fn integer_network(
    model: ModelSource,
    plan: PlanSource,
    options: &ExportOptions,
    target: Option<&Target>,
) -> Result<Network, Error> {
    let loaded = open_model(model, Some(plan))?;
    let data = DataOptions { preprocess: options.preprocess.clone(), ..DataOptions::default() };
    let declared = data.declared(&loaded, Some(plan))?;
    let for_pixels = |is_u8: Vec<bool>| {
        let model = loaded.clone().fed(&declared, &is_u8)?;
        let plan = plan.read(&model, None)?;
        Ok::<_, Error>((model, plan, is_u8))
    };
    // Where nobody declares a scale, pixels are bytes unless the plan has another input, and bytes alone are
    // divided by 255.
    let are_raw = |plan: &Plan| -> Vec<bool> {
        let inputs = loaded.inputs().into_iter();
        inputs.map(|(name, _)| plan.input(&name) == RAW_PIXELS).collect()
    };
    let n_inputs = loaded.inputs().len();
    let (model, chosen, is_u8) = match for_pixels(vec![true; n_inputs]) {
        Ok(all) => match are_raw(&all.1) {
            are_raw if are_raw == all.2 => all,
            are_raw => for_pixels(are_raw)?,
        },
        Err(error) => for_pixels(vec![false; n_inputs]).map_err(|_| error)?,
    };
    let graph = model.prepared(chosen.semantics)?;
    let fixed = integers(&graph, &chosen, target)?;
    let fixed = fixed.ok_or_else(|| Error::Plan {
        path: plan.place().to_owned(),
        line: None,
        problem: "its semantics are `simulated`, which have no integers to export; search with \
                  `--semantics integer`"
            .to_owned(),
    })?;
    Ok(Network { fixed, model: loaded, declared, is_u8 })
}

/// The files that an export is made from.
pub(crate) fn sources(model: ModelSource, plan: PlanSource) -> Vec<PathBuf> {
    let files = model.files().into_iter().map(Path::to_owned);
    files.chain(plan.files()).collect()
}

/// A C identifier.
pub(crate) fn checked_name(name: &str) -> Result<&str, Error> {
    if emit::identifier(name) == name && name.len() <= 64 {
        return Ok(name);
    }
    let problem = format!(
        "`{name}` must be a C identifier of at most 64 characters that begins with a letter"
    );
    Err(Error::Option { option: "name", problem })
}

/// Refuses to replace a source of this export, or a file that no export wrote.
pub(crate) fn refuse_others(path: &Path, sources: &[PathBuf]) -> Result<(), Error> {
    let in_the_way = |problem| Err(Error::InTheWay { path: path.to_owned(), problem });
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(io_error("write", path, source)),
    };
    if path.is_dir() {
        return in_the_way("it is a folder");
    }
    let same = |source: &PathBuf| {
        path.canonicalize().is_ok_and(|a| source.canonicalize().is_ok_and(|b| a == b))
    };
    if sources.iter().any(same) {
        return in_the_way("it is an input of this export");
    }
    let mut start = Vec::new();
    (&mut file)
        .take(256)
        .read_to_end(&mut start)
        .map_err(|source| io_error("read", path, source))?;
    let start = String::from_utf8_lossy(&start);
    if MARKS.iter().any(|mark| start.contains(mark)) {
        return Ok(());
    }
    in_the_way("it was not written by fixedwise")
}

#[cfg(test)]
mod tests;
