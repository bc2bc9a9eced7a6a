//! Plans as files, in whichever form: `plan.toml` with its integers beside it, `result.json`, the paper's JSON.

use super::{
    integers::{self, Made},
    of_result, paper,
    terms::{NamedBits, Problem},
    toml::{self, plan_toml},
};
use crate::{
    error::Error, files, fingerprint::sha256, model::Model, preprocess::Preprocess,
    result::RunResult,
};
use fixedwise_graph::{
    Graph, ImportError, Interface, Plan, Semantics, Thinned, target::KernelChoice,
};
use std::{collections::BTreeMap, path::Path, sync::Arc};

/// What makes plans that have integers of their own.
const ROUNDED: [&str; 2] = ["pareto", "refit"];

/// Reads a plan for a model: `plan.toml`, or, where the name ends in `.json`, `result.json` or JSON
/// in the paper's terms.
///
/// Layers come in the order of the graph. `semantics` overrides what the file says; the paper's
/// JSON says nothing and means [`Semantics::Simulated`].
///
/// # Errors
/// [`Error`] naming the file, with the line where there is one, for a file that cannot be read, a
/// duplicate or unknown key, a format out of range, and a tensor the network does not have.
///
/// ```
/// # fn main() -> Result<(), fixedwise::Error> {
/// # let folder = tempfile::tempdir().expect("a temporary folder");
/// # let path = folder.path().join("plan.json");
/// # let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
/// use fixedwise::{Format, Model, Semantics, read_plan};
///
/// let text = r#"{"weights": {"conv2d_2": [5, 7]}, "biases": {}, "activations": {}}"#;
/// std::fs::write(&path, text).expect("writable");
/// let model = Model::load(format!("{root}/models/fashion_small.onnx").as_ref())?;
/// let plan = read_plan(&path, &model, None)?;
/// assert_eq!(plan.semantics, Semantics::Simulated);
/// assert_eq!(plan.layers[0].weights, Some(Format::signed(5, 7)));
/// # Ok(())
/// # }
/// ```
pub fn read_plan(path: &Path, model: &Model, semantics: Option<Semantics>) -> Result<Plan, Error> {
    read(path, model, semantics, false)
}

/// The same, where the plan's integers must have been rounded from the weights of this model with its
/// preprocessing.
pub(crate) fn read_own_plan(
    path: &Path,
    model: &Model,
    semantics: Option<Semantics>,
) -> Result<Plan, Error> {
    read(path, model, semantics, true)
}

/// A plan that was perhaps edited since its integers were rounded.
pub(crate) struct Edited {
    /// Its formats, without integers.
    pub(crate) plan: Plan,
    /// What its integers were rounded for, where they are there.
    pub(crate) made: Option<Made>,
}

/// Reads `plan.toml` with what its integers were rounded for; where it names none any more, with those beside it.
///
/// # Errors
/// As [`read_plan`]; also for other forms of a plan, and for simulated semantics.
pub(crate) fn read_edited(path: &Path, model: &Model) -> Result<Edited, Error> {
    let refuse = |Problem { line, problem }| Error::Plan { path: path.to_owned(), line, problem };
    if is_json(path) {
        let problem = "only a plan.toml can be rounded anew; give the one of the same run";
        return Err(refuse(Problem { line: None, problem: problem.to_owned() }));
    }
    let text = files::read_text(path)?;
    let file = toml::read(&text).map_err(refuse)?;
    let semantics = file.semantics.into();
    if semantics == Semantics::Simulated {
        let problem = "its semantics are simulated: only integer semantics have weights to round";
        return Err(refuse(Problem { line: None, problem: problem.to_owned() }));
    }
    let graph = model.prepared(semantics)?;
    let plan = file.plan(&text, &graph, semantics).map_err(refuse)?;
    let plan = Plan { thinned: model.thinned(semantics), ..plan };
    let beside = path.with_extension("npz");
    let made = match file.integers(&text, semantics).map_err(refuse)? {
        Some((name, sha256)) => {
            Some(integers::made(&path.with_file_name(name), Some(sha256), &graph)?)
        }
        // They may be of another network.
        None if beside.exists() => integers::made(&beside, None, &graph).ok(),
        None => None,
    };
    Ok(Edited { plan, made })
}

fn is_json(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"))
}

fn read(
    path: &Path,
    model: &Model,
    semantics: Option<Semantics>,
    is_own: bool,
) -> Result<Plan, Error> {
    let text = files::read_text(path)?;
    let is_json = is_json(path);
    let refuse = |Problem { line, problem }| Error::Plan { path: path.to_owned(), line, problem };
    if is_json && of_result::is_result(&text) {
        let file = RunResult::read(path)?;
        if ROUNDED.contains(&file.strategy.as_str()) {
            let problem = format!(
                "a result does not hold the integers of `{}`; give the plan.toml beside it",
                file.strategy
            );
            return Err(refuse(Problem { line: None, problem }));
        }
        of_result::plan(&file, model, semantics)
            .map_err(|problem| refuse(Problem { line: None, problem }))
    } else if is_json {
        let file = paper::read(&text).map_err(refuse)?;
        let semantics = semantics.unwrap_or(Semantics::Simulated);
        file.plan(&model.prepared(semantics)?, semantics).map_err(refuse)
    } else {
        let file = toml::read(&text).map_err(refuse)?;
        let semantics = semantics.unwrap_or(file.semantics.into());
        let graph = model.prepared(semantics)?;
        let mut plan = file.plan(&text, &graph, semantics).map_err(refuse)?;
        if let Some((name, sha256)) = file.integers(&text, semantics).map_err(refuse)? {
            let path = path.with_file_name(name);
            plan.rounded = integers::read(&path, Some(sha256), &plan, &graph, is_own)?;
        }
        plan.thinned = model.thinned(semantics);
        Ok(plan)
    }
}

/// What the network of a plan lacks of the model's channels, where its file says so: `plan.toml`, or the one beside a
/// `result.json`.
///
/// # Errors
/// [`Error`] naming the file, for one that cannot be read.
pub(crate) fn plan_thinned(path: &Path) -> Result<Option<Arc<Thinned>>, Error> {
    let beside = path.with_file_name("plan.toml");
    let path = match is_json(path) {
        true if beside.exists() => &beside,
        true => return Ok(None),
        false => path,
    };
    let refuse = |Problem { line, problem }| Error::Plan { path: path.to_owned(), line, problem };
    let text = files::read_text(path)?;
    let file = toml::read(&text).map_err(refuse)?;
    let semantics = file.semantics.into();
    let Some((name, sha256)) = file.integers(&text, semantics).map_err(refuse)? else {
        return Ok(None);
    };
    let thinned = integers::thinned(&path.with_file_name(name), Some(sha256))?;
    Ok(thinned.map(Arc::new))
}

/// The name of the target that a plan is for, where the file says one: `plan.toml` or `result.json`.
///
/// # Errors
/// [`Error`] naming the file, for one that cannot be read.
///
/// ```
/// # fn main() -> Result<(), fixedwise::Error> {
/// # let folder = tempfile::tempdir().expect("a temporary folder");
/// # let path = folder.path().join("plan.toml");
/// let text = "schema = 1\ntarget = \"fpga\"\nsemantics = \"integer\"\n[layers]\n";
/// std::fs::write(&path, text).expect("writable");
/// assert_eq!(fixedwise::plan_target(&path)?.as_deref(), Some("fpga"));
/// # Ok(())
/// # }
/// ```
pub fn plan_target(path: &Path) -> Result<Option<String>, Error> {
    Ok(head(path)?.target)
}

/// What the network of a plan is fed, where the file says so: `plan.toml` or `result.json`.
///
/// # Errors
/// [`Error`] naming the file, for one that cannot be read or says what is no preprocessing.
///
/// ```
/// # fn main() -> Result<(), fixedwise::Error> {
/// # let folder = tempfile::tempdir().expect("a temporary folder");
/// # let path = folder.path().join("plan.toml");
/// let text = "schema = 1\npreprocess = \"scale=1/255\"\nsemantics = \"integer\"\n[layers]\n";
/// std::fs::write(&path, text).expect("writable");
/// let preprocess = fixedwise::plan_preprocess(&path)?;
/// assert_eq!(preprocess.and_then(|preprocess| preprocess.scale), Some(1.0 / 255.0));
/// # Ok(())
/// # }
/// ```
pub fn plan_preprocess(path: &Path) -> Result<Option<Preprocess>, Error> {
    Ok(head(path)?.preprocess)
}

/// What the file of a plan says beside the plan.
#[derive(Default)]
struct Head {
    target: Option<String>,
    kernels: Option<KernelChoice>,
    preprocess: Option<Preprocess>,
    interface: Interface,
}

fn head(path: &Path) -> Result<Head, Error> {
    let text = files::read_text(path)?;
    if is_json(path) {
        if !of_result::is_result(&text) {
            return Ok(Head::default());
        }
        let result = RunResult::read(path)?;
        let preprocess = result.preprocessing.map(|fed| fed.preprocess);
        let kernels = result.code.map(|code| code.choice());
        let shape = |shape: &String| {
            shape.parse().map_err(|error: ImportError| Error::Plan {
                path: path.to_owned(),
                line: None,
                problem: error.to_string(),
            })
        };
        let input_shapes = result.model.input_shapes.iter().map(shape).collect::<Result<_, _>>()?;
        let interface = Interface { input_shapes, outputs: result.model.outputs };
        return Ok(Head { target: result.target, kernels, preprocess, interface });
    }
    let refuse = |Problem { line, problem }| Error::Plan { path: path.to_owned(), line, problem };
    let file = toml::read(&text).map_err(refuse)?;
    let preprocess = file.preprocess(&text).map_err(refuse)?;
    let interface = file.interface(&text).map_err(refuse)?;
    Ok(Head { target: file.target, kernels: file.kernels.map(Into::into), preprocess, interface })
}

/// The extents of inputs and the outputs that were chosen for the network of a plan, where the file says so:
/// `plan.toml` or `result.json`.
///
/// # Errors
/// [`Error`] naming the file, for one that cannot be read or says what is no shape.
///
/// ```
/// # fn main() -> Result<(), fixedwise::Error> {
/// # let folder = tempfile::tempdir().expect("a temporary folder");
/// # let path = folder.path().join("plan.toml");
/// let text = "schema = 1\noutputs = [\"boxes\"]\nsemantics = \"integer\"\n[layers]\n";
/// std::fs::write(&path, text).expect("writable");
/// assert_eq!(fixedwise::plan_interface(&path)?.outputs, ["boxes"]);
/// # Ok(())
/// # }
/// ```
pub fn plan_interface(path: &Path) -> Result<Interface, Error> {
    Ok(head(path)?.interface)
}

/// The kernels that the code of a plan was counted with, where the file says so: `plan.toml` or `result.json`.
///
/// # Errors
/// [`Error`] naming the file, for one that cannot be read.
///
/// ```
/// # fn main() -> Result<(), fixedwise::Error> {
/// # let folder = tempfile::tempdir().expect("a temporary folder");
/// # let path = folder.path().join("plan.toml");
/// let text = "schema = 1\ntarget = \"cortex-m4\"\nkernels = \"small\"\nsemantics = \"integer\"\n[layers]\n";
/// std::fs::write(&path, text).expect("writable");
/// assert_eq!(fixedwise::plan_kernels(&path)?, Some(fixedwise::KernelChoice::Small));
/// # Ok(())
/// # }
/// ```
pub fn plan_kernels(path: &Path) -> Result<Option<KernelChoice>, Error> {
    Ok(head(path)?.kernels)
}

/// The bits of each layer, then of other nodes' activations, in the order of
/// the file; the network is not needed.
pub(crate) fn read_bits(path: &Path) -> Result<Vec<NamedBits>, Error> {
    let text = files::read_text(path)?;
    let refuse = |Problem { line, problem }| Error::Plan { path: path.to_owned(), line, problem };
    if is_json(path) {
        let file = paper::read(&text).map_err(refuse)?;
        return Ok(file.bits());
    }
    let file = toml::read(&text).map_err(refuse)?;
    Ok(file.bits())
}

/// Writes a plan of a network: `plan.toml` at `path`, and, where weights are not rounded to the nearest, their
/// integers in the `.npz` file of the same name beside it.
///
/// # Errors
/// [`Error`] naming the file that cannot be written.
pub(crate) fn write_plan(
    path: &Path,
    plan: &Plan,
    graph: &Graph,
    target: Option<(&str, Option<&str>)>,
    (preprocess, interface): (&Preprocess, &Interface),
) -> Result<(), Error> {
    let toml = |integers| plan_toml(plan, target, Some(preprocess), interface, integers);
    if plan.rounded.is_empty() {
        return files::write_file(path, toml(None).as_bytes());
    }
    let bytes = integers::encode(plan, graph);
    let beside = path.with_extension("npz");
    let name = beside.file_name().unwrap_or_default().to_string_lossy();
    // First, so that a plan never names what is not there.
    files::write_file(&beside, &bytes)?;
    let text = toml(Some((&name, &sha256(&bytes))));
    files::write_file(path, text.as_bytes())
}

/// A plan's formats alone, for what looks for other formats from there.
///
/// # Errors
/// [`Error`] where the plan scales channels: its formats are of other values then.
pub(crate) fn formats_alone(plan: Plan, path: &Path) -> Result<Plan, Error> {
    let scaled = plan.rounded.iter().find(|(_, r)| r.is_scaled());
    if let Some((name, _)) = scaled {
        let problem = format!(
            "it scales the channels of `{name}`, so its formats cannot be initial formats; start \
             from a plan of another strategy, for example `joint`"
        );
        return Err(Error::Plan { path: path.to_owned(), line: None, problem });
    }
    Ok(Plan { rounded: BTreeMap::new(), ..plan })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Model;
    use fixedwise_fixed::convert::{count_to_f64, f64_to_f32};
    use fixedwise_graph::{Rounded, ops::Affine};
    use std::{fs, sync::Arc};

    const LAYER: &str = "conv2d_1";

    fn model() -> Model {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
        Model::load(format!("{root}/models/fashion_small.onnx").as_ref()).unwrap()
    }

    fn fed() -> Preprocess {
        "scale=1/255,mean=0.1;0.2;0.3,std=0.7,resize=28x28,layout=nchw".parse().unwrap()
    }

    /// A plan of one layer with integers of its own.
    fn plan(folder: &Path, model: &Model) -> Plan {
        plan_with(LAYER, folder, model)
    }

    /// As [`plan`], of that layer.
    fn plan_with(layer: &str, folder: &Path, model: &Model) -> Plan {
        let path = folder.join("formats.toml");
        let text = format!(
            "schema = 1\nsemantics = \"integer\"\n[layers.{layer}]\n\
             weights = {{ bits = 8, frac = 7 }}\n"
        );
        fs::write(&path, text).unwrap();
        let mut plan = read_plan(&path, model, None).unwrap();
        let graph = model.prepared(Semantics::Integer).unwrap();
        let node = &graph.nodes[graph.find(layer).unwrap()];
        let count = node.op.weights().unwrap().len();
        let rounded = Rounded {
            weights: (0..count).map(|i| i16::try_from(i % 255).unwrap() - 127).collect(),
            scales: vec![1.0; node.shape.c],
            bias: vec![0.5; node.shape.c],
            coarser: vec![],
        };
        plan.rounded.insert(layer.to_owned(), Arc::new(rounded));
        plan
    }

    #[test]
    fn a_correction_for_each_class_of_positions_is_written_and_read() {
        const BORDERED: &str = "conv2d_3";
        let folder = tempfile::tempdir().unwrap();
        let model = model();
        let graph = model.prepared(Semantics::Integer).unwrap();
        let mut plan = plan_with(BORDERED, folder.path(), &model);
        let id = graph.find(BORDERED).unwrap();
        let (channels, biases) = (graph.nodes[id].shape.c, graph.biases(id));
        assert_eq!(biases.len(), 9 * channels, "its zeros are not those of the layer before");
        let path = folder.path().join("plan.toml");
        let mut write = |len: usize| {
            let rounded = Arc::make_mut(plan.rounded.get_mut(BORDERED).unwrap());
            rounded.bias = (0..len).map(|i| f64_to_f32(count_to_f64(i))).collect();
            write_plan(&path, &plan, &graph, None, (&fed(), &Interface::default())).unwrap();
            (read_plan(&path, &model, None).map_err(|error| error.to_string()), plan.clone())
        };
        for len in [channels, biases.len()] {
            let (read, plan) = write(len);
            let read = read.unwrap();
            assert_eq!(read, plan);
            let own = read.rounded[BORDERED].bias(&biases);
            let last = biases[biases.len() - 1] + count_to_f64(len - 1);
            assert!((own[own.len() - 1] - last).abs() < 1e-9, "{len}: {own:?}");
        }
        let error = write(2 * channels).0.unwrap_err();
        assert!(
            error.contains(&format!("{BORDERED}/bias")) && error.contains("another model"),
            "{error}"
        );
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let model = model();
        let graph = model.prepared(Semantics::Integer).unwrap();
        let plan = plan(folder.path(), &model);
        let path = folder.path().join("plan.toml");
        write_plan(&path, &plan, &graph, Some(("fpga", None)), (&fed(), &Interface::default()))
            .unwrap();
        assert_eq!(read_plan(&path, &model, None).unwrap(), plan);
        assert_eq!(plan_target(&path).unwrap().as_deref(), Some("fpga"));
        assert_eq!(plan_preprocess(&path).unwrap(), Some(fed()));
        let first = fs::read(folder.path().join("plan.npz")).unwrap();
        write_plan(
            &path,
            &plan,
            &graph,
            Some(("fpga", Some("small"))),
            (&fed(), &Interface::default()),
        )
        .unwrap();
        assert_eq!(plan_kernels(&path).unwrap(), Some(KernelChoice::Small));
        assert_eq!(fs::read(folder.path().join("plan.npz")).unwrap(), first);
        assert!(formats_alone(plan.clone(), &path).unwrap().rounded.is_empty());

        let mut plan = plan;
        let rounded = Arc::make_mut(plan.rounded.get_mut(LAYER).unwrap());
        rounded.coarser = (0..rounded.scales.len()).map(|c| u8::try_from(c % 3).unwrap()).collect();
        write_plan(&path, &plan, &graph, None, (&fed(), &Interface::default())).unwrap();
        assert_eq!(read_plan(&path, &model, None).unwrap(), plan);
    }

    #[test]
    fn a_preprocessing_that_cannot_be_is_refused_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plan.toml");
        let text = "schema = 1\npreprocess = \"skale=2\"\nsemantics = \"integer\"\n[layers]\n";
        fs::write(&path, text).unwrap();
        let error = plan_preprocess(&path).unwrap_err().to_string();
        assert!(error.contains("plan.toml`, line 2: ") && error.contains("`skale`"), "{error}");
        fs::write(&path, text.replace("preprocess = \"skale=2\"\n", "")).unwrap();
        assert_eq!(plan_preprocess(&path).unwrap(), None);
        // The paper's plans say nothing.
        let paper = path.with_extension("json");
        fs::write(&paper, "{\"weights\": {}, \"biases\": {}, \"activations\": {}}").unwrap();
        assert_eq!(plan_preprocess(&paper).unwrap(), None);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let model = model();
        let graph = model.prepared(Semantics::Integer).unwrap();
        let good = plan(folder.path(), &model);
        let path = folder.path().join("plan.toml");
        let change = |change: &dyn Fn(&mut Rounded)| {
            let mut plan = good.clone();
            change(Arc::make_mut(plan.rounded.get_mut(LAYER).unwrap()));
            write_plan(&path, &plan, &graph, None, (&fed(), &Interface::default())).unwrap();
            read_plan(&path, &model, None).unwrap_err().to_string()
        };
        for (problem, error) in [
            ("outside its format", change(&|r| r.weights[0] = -128)),
            ("elements", change(&|r| r.bias.truncate(r.bias.len() - 1))),
            ("outside 2^-30 to 2^30", change(&|r| r.scales[0] = 0.0)),
            ("not finite", change(&|r| r.bias[0] = f32::NAN)),
            ("0 to 15 fractional bits below", change(&|r| r.coarser = vec![16; r.scales.len()])),
        ] {
            assert!(error.contains(problem) && error.contains("plan.npz"), "{error}");
            assert!(error.contains(LAYER), "{error}");
        }
        write_plan(&path, &good, &graph, None, (&fed(), &Interface::default())).unwrap();
        let affine = Affine { scale: vec![0.5], shift: vec![0.25] };
        let other = model.clone().with_affine(vec![affine]).unwrap();
        let error = read_own_plan(&path, &other, None).unwrap_err().to_string();
        assert!(error.contains("other preprocessing") && error.contains(LAYER), "{error}");
        assert_eq!(read_plan(&path, &other, None).unwrap(), good);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("bits = 8, frac = 7 }", "bits = 6, frac = 5 }")).unwrap();
        let error = read_plan(&path, &model, None).unwrap_err().to_string();
        assert!(error.contains("rounded for bits = 8, frac = 7"), "{error}");
        fs::write(&path, &text).unwrap();
        fs::write(path.with_extension("npz"), b"other").unwrap();
        let error = read_plan(&path, &model, None).unwrap_err().to_string();
        assert!(error.contains("integers_sha256"), "{error}");
        fs::remove_file(path.with_extension("npz")).unwrap();
        let error = read_plan(&path, &model, None).unwrap_err().to_string();
        assert!(error.contains("plan.npz"), "{error}");
        let error = read_plan(&path, &model, Some(Semantics::Simulated)).unwrap_err().to_string();
        assert!(error.contains("integer semantics"), "{error}");
    }
}
