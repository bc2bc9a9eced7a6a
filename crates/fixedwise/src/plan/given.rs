//! A plan that a job is given: a file, or a plan in memory.

use super::{
    file::{
        Edited, plan_interface, plan_preprocess, plan_target, plan_thinned, read_edited,
        read_own_plan,
    },
    integers::{self, Made},
    target::named_target,
    toml,
};
use crate::{
    error::Error,
    model::{Model, ModelSource},
    preprocess::Preprocess,
};
use fixedwise_graph::{Interface, Plan, Semantics, Target, Thinned};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

/// How messages call a plan without a file.
const IN_MEMORY: &str = "in memory";

/// A plan that a job is given.
#[derive(Clone, Copy)]
pub(crate) enum PlanSource<'a> {
    File(&'a Path),
    Loaded(&'a Plan),
}

impl PlanSource<'_> {
    /// The plan for a model; one that was rounded from other weights is refused, where its file tells.
    pub(crate) fn read(self, model: &Model, semantics: Option<Semantics>) -> Result<Plan, Error> {
        match self {
            Self::File(path) => read_own_plan(path, model, semantics),
            Self::Loaded(plan) => checked(plan, model, semantics),
        }
    }

    /// The plan for a model, perhaps edited since its integers were rounded; those of a plan in memory were
    /// rounded for its formats.
    pub(crate) fn read_edited(self, model: &Model) -> Result<Edited, Error> {
        match self {
            Self::File(path) => read_edited(path, model),
            Self::Loaded(plan) => {
                let made = (!plan.rounded.is_empty()).then(|| Made::of(plan));
                let bare = Plan { rounded: BTreeMap::new(), ..plan.clone() };
                let plan = checked(&bare, model, None)?;
                Ok(Edited { plan, made })
            }
        }
    }

    /// The target that it names, where that comes with fixedwise.
    pub(crate) fn target(self) -> Result<Option<Target>, Error> {
        match self {
            Self::File(path) => named_target(path),
            Self::Loaded(_) => Ok(None),
        }
    }

    /// The name of the target that it is for, where it says one.
    pub(crate) fn target_name(self) -> Result<Option<String>, Error> {
        match self {
            Self::File(path) => plan_target(path),
            Self::Loaded(_) => Ok(None),
        }
    }

    /// What its network is fed, where it says so: a plan in memory does not.
    pub(crate) fn preprocess(self) -> Result<Option<Preprocess>, Error> {
        match self {
            Self::File(path) => plan_preprocess(path),
            Self::Loaded(_) => Ok(None),
        }
    }

    /// What it says of the inputs and outputs of its model: a plan in memory says nothing.
    fn interface(self) -> Result<Interface, Error> {
        match self {
            Self::File(path) => plan_interface(path),
            Self::Loaded(_) => Ok(Interface::default()),
        }
    }

    /// What its network lacks of the model's channels.
    fn thinned(self) -> Result<Option<Arc<Thinned>>, Error> {
        match self {
            Self::File(path) => plan_thinned(path),
            Self::Loaded(plan) => Ok(plan.thinned.clone()),
        }
    }

    /// How messages call it.
    pub(crate) fn place(&self) -> &Path {
        match self {
            Self::File(path) => path,
            Self::Loaded(_) => Path::new(IN_MEMORY),
        }
    }

    /// The files it is made from: integers lie beside a plan.
    pub(crate) fn files(self) -> Vec<PathBuf> {
        match self {
            Self::File(path) => vec![path.to_owned(), path.with_extension("npz")],
            Self::Loaded(_) => Vec::new(),
        }
    }
}

/// Reads a model with the inputs and outputs of a plan of it.
///
/// # Errors
/// [`Error`] for a file that is no model or no plan, and where others are asked for than those of the plan.
///
/// ```
/// # fn main() -> Result<(), fixedwise::Error> {
/// # let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
/// use fixedwise::{Interface, model_of_plan};
///
/// let model = format!("{root}/models/fashion_small.onnx");
/// let plan = format!("{root}/suite/export/plan.toml");
/// assert!(model_of_plan(model.as_ref(), None, &Interface::default(), plan.as_ref()).is_ok());
/// # Ok(())
/// # }
/// ```
pub fn model_of_plan(
    path: &Path,
    architecture: Option<&Path>,
    interface: &Interface,
    plan: &Path,
) -> Result<Model, Error> {
    open_model(ModelSource::File(path, architecture, interface), Some(PlanSource::File(plan)))
}

/// The model of a job, with the inputs, outputs and channels of the plan that is given for it.
///
/// # Errors
/// Where others are asked for than those of the plan.
pub(crate) fn open_model(model: ModelSource, plan: Option<PlanSource>) -> Result<Model, Error> {
    let opened = with_interface(model, plan)?;
    let Some(plan) = plan else { return Ok(opened) };
    let Some(thinned) = plan.thinned()? else { return Ok(opened) };
    opened.with_thinned(thinned).map(|(model, _)| model).map_err(|error| match error {
        Error::Plan { problem, .. } => {
            let problem = format!("it drops channels of another network: {problem}");
            Error::Plan { path: plan.place().to_owned(), line: None, problem }
        }
        error => error,
    })
}

fn with_interface(model: ModelSource, plan: Option<PlanSource>) -> Result<Model, Error> {
    let (ModelSource::File(path, architecture, asked), Some(plan)) = (model, plan) else {
        return model.open();
    };
    let of_plan = plan.interface()?;
    let list = |names: &[String]| names.join(",");
    let shapes = |interface: &Interface| -> Vec<String> {
        interface.input_shapes.iter().map(ToString::to_string).collect()
    };
    let pairs = [
        ("input shapes", "--input-shape", shapes(&of_plan), shapes(asked)),
        ("outputs", "--output", of_plan.outputs.clone(), asked.outputs.clone()),
    ];
    for (what, option, of_plan, asked) in pairs {
        if !of_plan.is_empty() && !asked.is_empty() && of_plan != asked {
            let (of_plan, asked) = (list(&of_plan), list(&asked));
            return Err(Error::Plan {
                path: plan.place().to_owned(),
                line: None,
                problem: format!(
                    "was made for the {what} `{of_plan}`, but {option} says `{asked}`; omit {option}, or \
                     quantize again"
                ),
            });
        }
    }
    let both = Interface {
        input_shapes: or(&of_plan.input_shapes, &asked.input_shapes),
        outputs: or(&of_plan.outputs, &asked.outputs),
    };
    ModelSource::File(path, architecture, &both).open()
}

/// The first list, where it has anything.
fn or<T: Clone>(first: &[T], second: &[T]) -> Vec<T> {
    if first.is_empty() { second.to_vec() } else { first.to_vec() }
}

/// A plan in memory, checked as its file would be.
fn checked(plan: &Plan, model: &Model, semantics: Option<Semantics>) -> Result<Plan, Error> {
    let refuse = |problem| Error::Plan { path: IN_MEMORY.into(), line: None, problem };
    let semantics = semantics.unwrap_or(plan.semantics);
    let graph = model.prepared(semantics)?;
    let text = toml::plan_to_toml(plan);
    let read = toml::read(&text).and_then(|file| file.plan(&text, &graph, semantics));
    let read = read.map_err(|wrong| refuse(wrong.problem))?;
    if semantics == Semantics::Simulated && !plan.rounded.is_empty() {
        let problem =
            "its integers are of integer semantics; take them out to use the formats alone";
        return Err(refuse(problem.to_owned()));
    }
    let rounded = integers::checked(plan, &graph).map_err(refuse)?;
    Ok(Plan { rounded, thinned: model.thinned(semantics), ..read })
}

#[cfg(test)]
mod tests {
    use super::*;
    use fixedwise_fixed::Format;
    use fixedwise_graph::{LayerPlan, Rounded};
    use std::sync::Arc;

    fn model() -> Model {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
        Model::load(format!("{root}/models/fashion_small.onnx").as_ref()).unwrap()
    }

    /// A plan of one layer, and of its integers.
    fn plan(model: &Model) -> Plan {
        let graph = model.prepared(Semantics::Integer).unwrap();
        let node = &graph.nodes[graph.find("conv2d_1").unwrap()];
        let weights = node.op.weights().unwrap().len();
        let channels = node.shape.c;
        let rounded = Rounded {
            weights: vec![7; weights],
            scales: vec![1.0; channels],
            bias: vec![0.5; channels],
            coarser: vec![],
        };
        Plan {
            semantics: Semantics::Integer,
            quantizer: fixedwise_graph::Quantizer::Uniform,
            rounding: fixedwise_fixed::Rounding::TiesUp,
            input: Format::unsigned(8, 0),
            layers: vec![LayerPlan {
                name: "conv2d_1".to_owned(),
                weights: Some(Format::signed(4, 3)),
                bias: None,
                activation: None,
            }],
            rounded: [("conv2d_1".to_owned(), Arc::new(rounded))].into(),
            thinned: None,
            others: BTreeMap::new(),
        }
    }

    fn rounded(plan: &mut Plan) -> &mut Rounded {
        Arc::make_mut(plan.rounded.get_mut("conv2d_1").unwrap())
    }

    #[test]
    fn a_plan_in_memory_is_checked_as_its_file_would_be() {
        let model = model();
        let good = plan(&model);
        assert_eq!(PlanSource::Loaded(&good).read(&model, None).unwrap(), good);
        let refused = |change: &dyn Fn(&mut Plan), expected: &str| {
            let mut plan = good.clone();
            change(&mut plan);
            let error = PlanSource::Loaded(&plan).read(&model, None).unwrap_err().to_string();
            assert!(error.starts_with("plan `in memory`: "), "{error}");
            assert!(error.contains(expected), "expected {expected}: {error}");
        };
        refused(&|plan| plan.layers[0].name = "conv".to_owned(), "no layer `conv`");
        refused(&|plan| plan.layers[0].activation = Some(Format::signed(17, 0)), "17 bits");
        refused(&|plan| plan.layers.push(plan.layers[0].clone()), "duplicate");
        refused(&|plan| rounded(plan).weights[0] = 8, "outside its format");
        refused(&|plan| rounded(plan).weights.truncate(1), "the network takes");
        refused(&|plan| rounded(plan).scales.truncate(1), "the network takes");
        refused(&|plan| rounded(plan).bias.truncate(1), "the network takes");
        refused(&|plan| rounded(plan).coarser = vec![1], "the network takes");
        refused(&|plan| rounded(plan).bias[0] = f32::NAN, "not finite");
        refused(&|plan| plan.semantics = Semantics::Simulated, "integer semantics");
    }
}
