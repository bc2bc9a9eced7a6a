//! How weights and activations are distributed, as a picture.

use super::{
    first::{Checks, first},
    threads::pool,
};
use crate::{
    data::{DataOptions, Sets},
    error::Error,
    model::ModelSource,
    plan::{PlanSource, in_scale_of, open_model, read_own_plan, read_plan},
    show::{Distribution, Picture, draw_distributions, grouped},
    watch::{Observer, Progress, Step},
};
use fixedwise_fixed::{Format, convert::count_to_u64};
use fixedwise_graph::Interface;
use fixedwise_kernels::Kernels;
use fixedwise_search::{Histogram, Predictions, calibrate, strategies::Kind};
use std::{path::Path, sync::atomic::AtomicBool, time::Instant};

/// Draws the distribution of the weights of each layer of a model, and with `data` that of its
/// results over the calibration images, each with the range that its format in the plan can say.
///
/// # Errors
/// [`Error`] for a model, plan or data that cannot be used, such as a plan of another network.
///
/// ```
/// # fn main() -> Result<(), fixedwise::Error> {
/// # let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
/// # let folder = tempfile::tempdir().expect("a temporary folder");
/// # let plan = folder.path().join("plan.json");
/// let text = r#"{"weights": {"conv2d_2": [5, 3]}, "biases": {}, "activations": {}}"#;
/// std::fs::write(&plan, text).expect("writable");
/// let model = format!("{root}/models/fashion_small.onnx");
/// let picture =
///     fixedwise::plot_distributions(model.as_ref(), &plan, None, None, &())?;
/// assert!(picture.to_svg().contains("s5 F3"));
/// # Ok(())
/// # }
/// ```
pub fn plot_distributions(
    model: &Path,
    plan: &Path,
    data: Option<&DataOptions>,
    threads: Option<usize>,
    observer: &dyn Observer,
) -> Result<Picture, Error> {
    pool(threads)?.install(|| run(model, plan, data, observer))
}

fn run(
    model: &Path,
    plan: &Path,
    data: Option<&DataOptions>,
    observer: &dyn Observer,
) -> Result<Picture, Error> {
    let start = Instant::now();
    let tell = |step| {
        observer.progress(&Progress { seconds: start.elapsed().as_secs_f64(), step });
    };
    tell(Step::Loading);
    let interface = Interface::default();
    let model = ModelSource::File(model, None, &interface);
    let mut model = open_model(model, Some(PlanSource::File(plan)))?;
    let none = DataOptions::default();
    let declared = data.unwrap_or(&none).declared(&model, Some(PlanSource::File(plan)))?;
    // Without data nothing but a plan tells of preprocessing.
    let is_known =
        data.is_some() || declared.ports.iter().all(|port| port.preprocess.scale.is_some());
    let calibration = match data {
        Some(data) => Some(Sets::load_calibration(data, &model, declared.clone())?),
        None => None,
    };
    if let Some(calibration) = &calibration {
        model = model.with_preprocessing(calibration)?;
        let (images, kernels, go_on) =
            (&calibration.images, Kernels::best(), AtomicBool::new(false));
        let predictions = Predictions::new(model.graph(), images, kernels, &go_on)?;
        let expect = data.and_then(|data| data.expect);
        let asked = Checks { is_of_values: false, expect, is_searched: false, inputs: None };
        tell(first(&model, images, calibration, &predictions, &asked)?.step());
    } else if is_known {
        model = model.fed(&declared, &vec![true; declared.ports.len()])?;
    }
    let read = if is_known { read_own_plan } else { read_plan };
    let plan = read(plan, &model, None)?;
    // Formats are of the values that the plan has, which may be scaled by powers of two.
    let graph = in_scale_of(&plan, &model.prepared(plan.semantics)?);
    let mut about = "weights of the quantized layer".to_owned();
    let mut statistics = None;
    if let Some(calibration) = &calibration {
        let total = calibration.len();
        let progress = |done| tell(Step::Calibrating { done, total });
        let go_on = AtomicBool::new(false);
        let found = calibrate(&graph, &calibration.images, Kernels::best(), &go_on, &progress)?;
        statistics = Some(found);
        about = format!(
            "weights of the quantized layer, activations over {} calibration images",
            grouped(count_to_u64(total))
        );
    }
    let mut rows = Vec::new();
    for (id, node) in graph.layers() {
        let planned = plan.layer(&node.name);
        let mut weights = Histogram::new();
        weights.add(node.op.weights().unwrap_or_default());
        let distribution = |values: &Histogram, format: Option<Format>, kind| {
            Distribution::new(&node.name, kind, values, format)
        };
        let of_weights = planned.and_then(|layer| layer.weights);
        let of_values = planned.and_then(|layer| layer.activation);
        rows.push((
            distribution(&weights, of_weights, Kind::Weights),
            statistics.as_ref().map(|all| distribution(all.of(id), of_values, Kind::Activations)),
        ));
    }
    Ok(draw_distributions(
        model.name(),
        &format!("{about}; {} semantics", plan.semantics.name()),
        &rows,
    ))
}
