//! A model before anything is quantized: layers, multiplications, memory, ranges.

use super::threads::pool;
use crate::{
    data::{DataOptions, Sets},
    error::Error,
    model::Model,
    result::{ModelResult, TOOL},
    show::{Align, Style, Table, add_line, grouped, kilobytes, rounded, shortened, styled},
    watch::{Observer, Progress, Step},
};
use fixedwise_fixed::convert::{count_to_u64, u64_to_f64};
use fixedwise_graph::{Graph, NodeId, Semantics};
use fixedwise_kernels::Kernels;
use fixedwise_search::{Statistics, calibrate};
use serde::{Deserialize, Serialize};
use std::{path::Path, sync::atomic::AtomicBool, time::Instant};

/// What [`inspect`] found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Inspection {
    /// 1; keys are added, never renamed.
    pub schema: u32,
    /// Name and version of the tool.
    pub tool: String,
    /// The network.
    pub model: ModelResult,
    /// Extents of one image, `[h, w, c]`.
    pub input_shape: [u64; 3],
    /// Images the ranges are of; 0 without data.
    pub images: u64,
    /// The nodes of the network as an integer network has them, in order.
    pub nodes: Vec<NodeInspection>,
    /// Bits of weights, biases and activations at 8 bits each.
    pub uniform8_bits: u64,
}

/// One node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeInspection {
    /// Its name.
    pub name: String,
    /// Its operator.
    pub op: String,
    /// Extents of its value, `[h, w, c]`.
    pub output_shape: [u64; 3],
    /// Weights.
    pub weights: u64,
    /// Biases.
    pub biases: u64,
    /// Multiplications of one image.
    pub macs: u64,
    /// Bits of its weights, biases and value at 8 bits each.
    pub uniform8_bits: u64,
    /// Smallest and largest weight.
    pub weight_range: Option<[f32; 2]>,
    /// Smallest and largest value over the images.
    pub value_range: Option<[f32; 2]>,
}

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
    pool(threads)?.install(|| run(model, architecture, data, observer))
}

fn run(
    model: &Path,
    architecture: Option<&Path>,
    data: Option<&DataOptions>,
    observer: &dyn Observer,
) -> Result<Inspection, Error> {
    let start = Instant::now();
    let tell = |step| {
        observer.progress(&Progress { seconds: start.elapsed().as_secs_f64(), step });
    };
    tell(Step::Loading);
    let mut model = Model::open(model, architecture)?;
    let mut images = 0;
    let mut statistics = None;
    if let Some(data) = data {
        let calibration = Sets::load_calibration(data, &model)?;
        model = model.with_preprocessing(&calibration)?;
        let graph = model.prepared(Semantics::Integer)?;
        let total = calibration.len();
        let go_on = AtomicBool::new(false);
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
        images,
        uniform8_bits: nodes.iter().map(|node| node.uniform8_bits).sum(),
        nodes,
    })
}

fn node(graph: &Graph, id: NodeId, statistics: Option<&Statistics>) -> NodeInspection {
    let node = &graph.nodes[id];
    let count = |values: Option<&[f32]>| count_to_u64(values.map_or(0, <[f32]>::len));
    let (weights, biases) = (count(node.op.weights()), count(node.op.bias()));
    let values = if node.op.has_own_format() { count_to_u64(node.shape.len()) } else { 0 };
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
        uniform8_bits: 8 * (weights + biases + values),
        weight_range: node.op.weights().filter(|weights| !weights.is_empty()).map(range),
        value_range: histogram
            .filter(|histogram| histogram.count() > 0)
            .map(|histogram| [histogram.min(), histogram.max()]),
    }
}

impl Inspection {
    /// As JSON, schema 1.
    #[expect(clippy::missing_panics_doc, reason = "every key is a string")]
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("every key is a string");
        text.push('\n');
        text
    }

    /// As a table for people; with ANSI colors where `color` says so.
    pub fn to_text(&self, color: bool) -> String {
        use Align::{Left, Right};
        let mut out = String::new();
        let [h, w, c] = self.input_shape;
        add_line(
            &mut out,
            format_args!(
                "{}  input {h}x{w}x{c}, {} parameters, {} MACs an image\n",
                styled(&self.model.name, Style::Bold, color),
                grouped(self.model.parameters),
                rounded(self.model.macs),
            ),
        );
        let mut columns = vec![
            ("node", Left, Style::Plain),
            ("operator", Left, Style::Dim),
            ("output", Right, Style::Dim),
            ("weights", Right, Style::Weights),
            ("MACs", Right, Style::Plain),
            ("at 8 bit", Right, Style::Plain),
            ("weights from to", Right, Style::Weights),
        ];
        if self.images > 0 {
            columns.push(("values from to", Right, Style::Activations));
        }
        let mut table = Table::new(&columns);
        let some = |n: u64, text: String| if n == 0 { String::new() } else { text };
        let range = |range: Option<[f32; 2]>| {
            range.map_or_else(String::new, |[low, high]| format!("{low:.3} {high:.3}"))
        };
        for node in &self.nodes {
            let [h, w, c] = node.output_shape;
            let shape = if h == 1 && w == 1 { c.to_string() } else { format!("{h}x{w}x{c}") };
            let mut row = vec![
                shortened(&node.name, 20),
                node.op.clone(),
                shape,
                some(node.weights, grouped(node.weights)),
                some(node.macs, rounded(node.macs)),
                some(node.uniform8_bits, kilobytes(u64_to_f64(node.uniform8_bits) / 8.0)),
                range(node.weight_range),
            ];
            if self.images > 0 {
                row.push(range(node.value_range));
            }
            table.row(row);
        }
        table.render(color, &mut out);
        let ranges = match self.images {
            0 => String::new(),
            n => format!("; values over {} images", grouped(n)),
        };
        add_line(
            &mut out,
            format_args!(
                "\n  {} for weights, biases and layer outputs at 8 bit{ranges}",
                kilobytes(u64_to_f64(self.uniform8_bits) / 8.0),
            ),
        );
        out
    }
}
