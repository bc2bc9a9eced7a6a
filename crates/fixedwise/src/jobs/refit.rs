//! A plan that was edited, rounded anew: its widths stay, everything else is what the search would make of them.

use super::pareto::{self, Asked, Balance};
use crate::{
    error::Error,
    model::Model,
    plan::{Edited, PlanSource, formats},
    result::RunResult,
};
use fixedwise_graph::{Graph, LowerError, Plan, passes::equalize};
use fixedwise_kernels::Kernels;
use fixedwise_search::{
    SearchError, Statistics, calibrate,
    strategies::{
        Kind,
        pareto::{Keep, Known, Prepared},
        quantized_activations,
    },
};

/// What the rounding of an edited plan works with.
pub(crate) struct Refit<'a> {
    pub(crate) edited: &'a Edited,
    /// What an earlier search of the same network and images knows.
    pub(crate) known: Option<Known>,
}

/// Refuses a plan for a target whose rules are not known: weights are rounded by them.
pub(crate) fn check_target(plan: PlanSource, is_known: bool) -> Result<(), Error> {
    match plan.target_name()? {
        Some(name) if !is_known => Err(Error::Option {
            option: "target",
            problem: format!(
                "is needed: the plan is for target `{name}`, which is not built in; give its TOML file"
            ),
        }),
        _ => Ok(()),
    }
}

/// Where a search of the same network has found the binary points of widths, if its result lies beside the plan.
pub(crate) fn known(plan: PlanSource, model: &Model) -> Option<Known> {
    let path = plan.files().into_iter().next()?.with_file_name("result.json");
    let result = RunResult::read(&path).ok()?;
    let is_of_model =
        result.model.sha256 == model.sha256() && result.model.outputs == model.interface().outputs;
    let method = result.weight_rounding.unwrap_or_default();
    is_of_model.then(|| Known { sensitivity: result.sensitivity, method, front: Vec::new() })
}

impl Refit<'_> {
    /// Whether the plan's integers were rounded for channels in other scales.
    pub(crate) fn is_scaled(&self, graph: &Graph) -> bool {
        let made = self.edited.made.as_ref();
        made.is_some_and(|made| !made.scales(graph).iter().all(Vec::is_empty))
    }

    /// The network with the scales that the plan's integers were rounded for; where these are not known, as a
    /// search would scale it. Tells also how many images that took.
    pub(crate) fn prepare(
        &self,
        asked: Asked,
        graph: &Graph,
        statistics: &Statistics,
    ) -> Result<(Prepared, u64), Error> {
        let Some(made) = &self.edited.made else {
            return Ok(pareto::prepare(asked, graph, statistics, Balance::Tried, &|_, _| ())?);
        };
        let (scales, whole) = (made.scales(graph), asked.whole.cloned());
        if scales.iter().all(Vec::is_empty) {
            return Ok((Prepared { whole, ..Prepared::new(graph, statistics) }, 0));
        }
        let graph = equalize(graph, &scales);
        let statistics =
            calibrate(&graph, asked.calibration, Kernels::best(), asked.stop, &|_| ())?;
        Ok((Prepared { graph, scales, statistics, balance: None, whole }, 0))
    }

    /// The plan, rounded anew. `told` is called after each layer.
    pub(crate) fn plan(
        &self,
        asked: Asked,
        prepared: &Prepared,
        told: &dyn Fn(),
    ) -> Result<Plan, SearchError> {
        let kept = self.kept(&prepared.graph)?;
        pareto::refit(asked, prepared, self.known.clone(), kept, told)
    }

    /// What is kept of each format: its width, and its binary point where that was chosen for this width, or by who
    /// edited the plan. Nothing is of biases that were not edited.
    fn kept(&self, graph: &Graph) -> Result<Vec<(String, Kind, Keep)>, LowerError> {
        let now = formats(&self.edited.plan);
        let mut kept = Vec::new();
        for id in quantized_activations(graph, self.edited.plan.semantics) {
            let node = &graph.nodes[id];
            for kind in [Kind::Weights, Kind::Biases, Kind::Activations] {
                if kind != Kind::Activations && !node.op.is_layer() {
                    continue;
                }
                let tensor = (node.name.clone(), kind);
                let keep = match now.get(&tensor) {
                    Some(&format) => {
                        let then = self.edited.made.as_ref().map(|made| made.formats.get(&tensor));
                        match then {
                            // Not known, or chosen for another width.
                            None => Keep::Bits(format.bits),
                            Some(Some(then)) if then.bits != format.bits => Keep::Bits(format.bits),
                            // A bias has the width that its layer needs, unless it was edited itself.
                            Some(Some(then)) if *then == format && kind == Kind::Biases => continue,
                            // Of weights the best is found again.
                            Some(Some(then)) if *then == format && kind != Kind::Activations => {
                                Keep::Bits(format.bits)
                            }
                            Some(_) => Keep::Format(format),
                        }
                    }
                    None if kind == Kind::Biases || !node.op.is_layer() => Keep::Derived,
                    None => {
                        let (node, kind) = (node.name.clone(), kind.name());
                        return Err(LowerError::MissingFormat { node, kind });
                    }
                };
                kept.push((tensor.0, kind, keep));
            }
        }
        Ok(kept)
    }
}
