//! A model before anything is quantized: layers, multiply-accumulates (MACs), memory, ranges.

use super::{
    first::{Checks, first},
    threads::pool,
};
use crate::{
    data::{DataOptions, Sets},
    error::Error,
    model::{Model, ModelSource},
    result::{InputInspection, Inspection, NodeInspection, OutputInspection, TOOL},
    watch::{Observer, Progress, Step},
};
use fixedwise_fixed::convert::count_to_u64;
use fixedwise_graph::{Graph, Interface, NodeId, Semantics, Shape, cost};
use fixedwise_kernels::Kernels;
use fixedwise_search::{Predictions, Statistics, calibrate};
use std::{path::Path, sync::atomic::AtomicBool, time::Instant};

/// Looks at a model; with `data` also at the range of every value over the calibration images.
///
/// `architecture` is for a model of weights alone, as in [`Model::load_with`].
///
/// # Errors
/// [`Error`] for a model or data that cannot be used.
///
/// ```
/// # fn main() -> Result<(), fixedwise::Error> {
/// # let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
/// let model = format!("{root}/models/fashion_small.onnx");
/// let inspection = fixedwise::inspect(model.as_ref(), None, None, None, &())?;
/// assert!(inspection.nodes.iter().any(|node| node.op == "Conv" && node.macs > 0));
/// # Ok(())
/// # }
/// ```
pub fn inspect(
    model: &Path,
    architecture: Option<&Path>,
    data: Option<&DataOptions>,
    threads: Option<usize>,
    observer: &dyn Observer,
) -> Result<Inspection, Error> {
    let interface = Interface::default();
    let model = ModelSource::File(model, architecture, &interface);
    pool(threads)?.install(|| run(model, data, observer))
}

/// As [`inspect`], of a model in memory.
///
/// # Errors
/// As [`inspect`].
///
/// ```
/// # fn main() -> Result<(), fixedwise::Error> {
/// # let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
/// # let bytes = std::fs::read(format!("{root}/models/fashion_small.onnx")).expect("readable");
/// use fixedwise::{Model, inspect_model};
///
/// let model = Model::from_bytes("fashion_small", &bytes)?;
/// let inspection = inspect_model(&model, None, None, &())?;
/// assert_eq!(inspection.model.name, "fashion_small");
/// # Ok(())
/// # }
/// ```
pub fn inspect_model(
    model: &Model,
    data: Option<&DataOptions>,
    threads: Option<usize>,
    observer: &dyn Observer,
) -> Result<Inspection, Error> {
    pool(threads)?.install(|| run(ModelSource::Loaded(model, None), data, observer))
}

fn inputs(model: &Model) -> Vec<InputInspection> {
    let inputs = model.inputs();
    if inputs.len() == 1 {
        return Vec::new();
    }
    let of = |(name, shape): (String, Shape)| InputInspection {
        name,
        shape: shape.dims().map(count_to_u64),
    };
    inputs.into_iter().map(of).collect()
}

fn outputs(graph: &Graph) -> Vec<OutputInspection> {
    let outputs = graph.outputs().iter().map(|output| OutputInspection {
        name: output.name.clone(),
        shape: output
            .extents(graph.nodes[output.node].shape)
            .into_iter()
            .map(count_to_u64)
            .collect(),
    });
    outputs.collect()
}

fn run(
    model: ModelSource,
    data: Option<&DataOptions>,
    observer: &dyn Observer,
) -> Result<Inspection, Error> {
    let start = Instant::now();
    let tell = |step| {
        observer.progress(&Progress { seconds: start.elapsed().as_secs_f64(), step });
    };
    tell(Step::Loading);
    let mut model = model.open()?;
    let go_on = AtomicBool::new(false);
    let (mut images, mut found) = (0, None);
    let mut statistics = None;
    if let Some(data) = data {
        let declared = data.declared(&model, None)?;
        let calibration = Sets::load_calibration(data, &model, declared)?;
        model = model.with_preprocessing(&calibration)?;
        let (set, kernels) = (&calibration.images, Kernels::best());
        let predictions = Predictions::new(model.graph(), set, kernels, &go_on)?;
        let asked =
            Checks { is_of_values: false, expect: data.expect, is_searched: false, inputs: None };
        found = Some(first(&model, set, &calibration, &predictions, &asked)?);
        let graph = model.prepared(Semantics::Integer)?;
        let total = calibration.len();
        let progress = |done| tell(Step::Calibrating { done, total });
        statistics =
            Some(calibrate(&graph, &calibration.images, Kernels::best(), &go_on, &progress)?);
        images = count_to_u64(total);
    }
    let graph = model.prepared(Semantics::Integer)?;
    let nodes: Vec<NodeInspection> =
        (0..graph.nodes.len()).map(|id| node(&graph, id, statistics.as_ref())).collect();
    Ok(Inspection {
        schema: 1,
        tool: TOOL.to_owned(),
        model: model.result(),
        input_shape: graph.input_shape().dims().map(count_to_u64),
        inputs: inputs(&model),
        unused_inputs: graph.unused_inputs().to_vec(),
        outputs: outputs(model.graph()),
        images,
        preprocessing: found.as_ref().map(|first| first.preprocessing.clone()),
        float_network: found.map(|first| first.float),
        uniform8_bits: nodes.iter().map(|node| node.uniform8_bits).sum(),
        nodes,
        device: None,
    })
}

fn node(graph: &Graph, id: NodeId, statistics: Option<&Statistics>) -> NodeInspection {
    let node = &graph.nodes[id];
    let count = |values: Option<&[f32]>| count_to_u64(values.map_or(0, <[f32]>::len));
    let (weights, biases) = (count(node.op.weights()), count(node.op.bias()));
    let range = |values: &[f32]| {
        let min = values.iter().copied().fold(f32::INFINITY, f32::min);
        let max = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        [min, max]
    };
    let histogram = statistics.map(|statistics| statistics.of(id));
    NodeInspection {
        name: node.name.clone(),
        op: node.op.name().to_owned(),
        output_shape: node.shape.dims().map(count_to_u64),
        weights,
        biases,
        macs: graph.node_macs(id),
        uniform8_bits: cost::node_uniform8(node, Semantics::Integer),
        weight_range: node.op.weights().filter(|weights| !weights.is_empty()).map(range),
        value_range: histogram
            .filter(|histogram| histogram.count() > 0)
            .map(|histogram| [histogram.min(), histogram.max()]),
    }
}
