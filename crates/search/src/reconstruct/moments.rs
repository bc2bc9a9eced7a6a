//! Second moments of what the layers of a quantized network take, over calibration images.
//!
//! Nothing is kept of the size of the data set: of each image a few positions are looked at, and
//! what is kept of them are sums of products.

use super::{linear, patches::Patches};
use crate::{error::SearchError, evaluate::Images};
use fixedwise_fixed::{Format, convert::f64_to_f32};
use fixedwise_graph::{
    AccumulatorPolicy, FixedNode, Graph, NodeId, Op, Plan, lower,
    run::{Program, Workspace},
};
use fixedwise_kernels::{Bias, Kernels};
use rayon::prelude::*;
use std::{
    ops::Range,
    sync::atomic::{AtomicBool, Ordering},
};

/// How much a calibration looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CalibrationOptions {
    /// At most so many images.
    pub images: usize,
    /// About so many positions of each layer, over all images; more where a layer has many weights
    /// an output.
    pub positions: usize,
}

impl Default for CalibrationOptions {
    /// 512 images, 16,384 positions.
    fn default() -> Self {
        Self { images: 512, positions: 16_384 }
    }
}

/// Positions of which all is kept, over few images.
const SAMPLE: usize = 4096;
/// Images of that sample.
const SAMPLE_IMAGES: usize = 128;

/// Calibration images, and what the float network computes at the places that are looked at.
pub struct Calibration<'a> {
    graph: &'a Graph,
    images: &'a dyn Images,
    kernels: &'static Kernels,
    stop: &'a AtomicBool,
    /// How many images are used.
    n: usize,
    layers: Vec<Option<Layer>>,
}

impl std::fmt::Debug for Calibration<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Calibration").field("images", &self.n).finish_non_exhaustive()
    }
}

/// One layer as the calibration sees it.
struct Layer {
    patches: Patches,
    /// For the moments.
    all: Looks,
    /// For the bias.
    few: Looks,
}

/// The places of a layer that are looked at.
#[derive(Default)]
struct Looks {
    /// Positions of an image.
    positions: usize,
    /// `W x` of the float network, `[image, position, output channel]`.
    targets: Vec<f32>,
}

impl Looks {
    /// About `wanted` positions over `n` images.
    fn new(wanted: usize, n: usize, patches: &Patches) -> Self {
        let positions = wanted.div_ceil(n).min(patches.positions());
        Self { positions, targets: Vec::new() }
    }
}

/// Which of a layer's places.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    All,
    Few,
}

impl Layer {
    fn looks(&self, which: Which) -> &Looks {
        match which {
            Which::All => &self.all,
            Which::Few => &self.few,
        }
    }
}

/// Sums over all positions of a layer that were looked at.
pub(super) struct Moments {
    /// Of each group `x x'`, the lower triangle of `[depth, depth]`.
    pub(super) gram: Vec<Vec<f32>>,
    /// Of each group `(y - W x) x'`, `[output, depth]`: what the float network computes there beyond
    /// what the float weights make of the quantized input.
    pub(super) cross: Vec<Vec<f32>>,
    /// Positions.
    pub(super) rows: usize,
}

/// Some places of a layer, `[place, output channel]`.
pub(super) struct Sample {
    /// Integer weights times integer input.
    pub(super) sums: Vec<f32>,
    /// The layer's bias there.
    pub(super) biases: Vec<f32>,
    /// Float weights times float input.
    pub(super) targets: Vec<f32>,
    pub(super) channels: usize,
}

/// Images that are run between two products.
const BATCH: usize = 64;

impl<'a> Calibration<'a> {
    /// Runs the float network `graph` once over the images.
    ///
    /// # Errors
    /// Where there is no image, or `stop` was raised.
    pub fn new(
        graph: &'a Graph,
        images: &'a dyn Images,
        kernels: &'static Kernels,
        stop: &'a AtomicBool,
        options: CalibrationOptions,
    ) -> Result<Self, SearchError> {
        let n = images.len().min(options.images);
        if n == 0 {
            return Err(SearchError::NoImages { purpose: "calibrate" });
        }
        let layer = |id| {
            let patches = Patches::of(graph, id)?;
            // Moments of `depth` values want several times as many rows.
            let wanted = options.positions.max(4 * patches.depth);
            let all = Looks::new(wanted, n, &patches);
            let few = Looks::new(SAMPLE, n.min(SAMPLE_IMAGES), &patches);
            Some(Layer { patches, all, few })
        };
        let layers = (0..graph.nodes.len()).map(layer).collect();
        let mut calibration = Self { graph, images, kernels, stop, n, layers };
        calibration.run_float(Which::All, n)?;
        calibration.run_float(Which::Few, n.min(SAMPLE_IMAGES))?;
        Ok(calibration)
    }

    /// Images that are used.
    pub fn images(&self) -> usize {
        self.n
    }

    /// Runs images through a program; `see` gets, for each layer that takes the value of a wanted node,
    /// the rows of what it takes, in the order of the images.
    fn batch(
        &self,
        program: &Program,
        steps: &[f32],
        wanted: &[NodeId],
        layers: &[NodeId],
        which: Which,
        images: Range<usize>,
    ) -> Result<Vec<Vec<f32>>, SearchError> {
        let schedule = program.schedule(&[], wanted);
        let source = |layer: NodeId| self.graph.nodes[layer].inputs[0];
        let rows = images
            .into_par_iter()
            .map_init(
                || (Workspace::new(), vec![0.0; program.image_len()]),
                |(workspace, image), idx| {
                    if self.stop.load(Ordering::Relaxed) {
                        return Err(SearchError::Stopped);
                    }
                    self.images.image(idx, image);
                    let mut rows: Vec<Vec<f32>> = vec![Vec::new(); layers.len()];
                    program.run_observed(&schedule, workspace, image, &[], |id, value| {
                        for (rows, &layer) in rows.iter_mut().zip(layers) {
                            let Some(layer) =
                                self.layers[layer].as_ref().filter(|_| source(layer) == id)
                            else {
                                continue;
                            };
                            let (patches, positions) =
                                (&layer.patches, layer.looks(which).positions);
                            rows.resize(positions * patches.row_len(), 0.0);
                            let places = patches.sample(positions, idx);
                            for (at, row) in places.zip(rows.chunks_exact_mut(patches.row_len())) {
                                patches.row(value, steps[id], at, row);
                            }
                        }
                    });
                    Ok(rows)
                },
            )
            .collect::<Result<Vec<_>, SearchError>>()?;
        let mut all: Vec<Vec<f32>> = vec![Vec::new(); layers.len()];
        for image in rows {
            all.iter_mut().zip(image).for_each(|(all, rows)| all.extend(rows));
        }
        Ok(all)
    }

    fn run_float(&mut self, which: Which, n: usize) -> Result<(), SearchError> {
        let program = Program::float(self.graph, self.kernels);
        let ids: Vec<NodeId> = self.graph.layers().map(|(id, _)| id).collect();
        let steps = vec![1.0; self.graph.nodes.len()];
        let mut begin = 0;
        while begin < n {
            // Small: every layer's rows are held at a time.
            let end = n.min(begin + BATCH / 8);
            let wanted = [self.graph.output];
            let rows = self.batch(&program, &steps, &wanted, &ids, which, begin..end)?;
            for (&id, rows) in ids.iter().zip(rows) {
                let weights = self.graph.nodes[id].op.weights().unwrap_or(&[]);
                if let Some(layer) = &mut self.layers[id] {
                    let targets = products(&layer.patches, weights, &rows);
                    match which {
                        Which::All => layer.all.targets.extend(targets),
                        Which::Few => layer.few.targets.extend(targets),
                    }
                }
            }
            begin = end;
        }
        Ok(())
    }

    /// The integer network of a plan, and the step of each node's value.
    fn integers(&self, plan: &Plan) -> Result<(Program, Vec<f32>), SearchError> {
        let fixed = lower(self.graph, plan, AccumulatorPolicy::Widen)?;
        let step = |node: &FixedNode| f64_to_f32(node.format.resolution());
        Ok((Program::fixed(&fixed, self.kernels), fixed.nodes.iter().map(step).collect()))
    }

    fn layer(&self, id: NodeId) -> &Layer {
        self.layers[id].as_ref().expect("only layers are asked for")
    }

    /// The moments of a layer whose input comes from the integer network of a plan.
    ///
    /// # Errors
    /// Where the plan makes no integer network, or `stop` was raised.
    pub(super) fn moments(&self, id: NodeId, plan: &Plan) -> Result<Moments, SearchError> {
        let (program, steps) = self.integers(plan)?;
        let node = &self.graph.nodes[id];
        let layer = self.layer(id);
        let weights = node.op.weights().unwrap_or(&[]);
        let Patches { groups, depth, outputs, .. } = layer.patches;
        let mut moments = Moments {
            gram: vec![vec![0.0; depth * depth]; groups],
            cross: vec![vec![0.0; outputs * depth]; groups],
            rows: 0,
        };
        let channels = groups * outputs;
        let mut begin = 0;
        while begin < self.n {
            let end = self.n.min(begin + BATCH);
            let wanted = [node.inputs[0]];
            let rows = self.batch(&program, &steps, &wanted, &[id], Which::All, begin..end)?;
            let rows = rows.into_iter().next().unwrap_or_default();
            let mut missing = products(&layer.patches, weights, &rows);
            let first = moments.rows * channels;
            for (missing, target) in missing.iter_mut().zip(&layer.all.targets[first..]) {
                *missing = target - *missing;
            }
            moments.add(&layer.patches, &rows, &missing);
            begin = end;
        }
        Ok(moments)
    }

    /// What the plan's integer weights of a layer make of what it takes in the plan's integer network,
    /// beside what the float network has there.
    ///
    /// # Errors
    /// Where the plan makes no integer network, or `stop` was raised.
    pub(super) fn sample(&self, id: NodeId, plan: &Plan) -> Result<Sample, SearchError> {
        let (program, steps) = self.integers(plan)?;
        let (node, layer) = (&self.graph.nodes[id], self.layer(id));
        let images = 0..self.n.min(SAMPLE_IMAGES);
        let wanted = [node.inputs[0]];
        let rows = self.batch(&program, &steps, &wanted, &[id], Which::Few, images.clone())?;
        let rows = rows.into_iter().next().unwrap_or_default();
        let step = plan.layer(&node.name).and_then(|layer| layer.weights);
        let step = f64_to_f32(step.map_or(1.0, Format::resolution));
        let rounded = plan.rounded.get(&node.name).map_or(&[][..], |rounded| &rounded.weights);
        let weights: Vec<f32> = rounded.iter().map(|&q| f32::from(q) * step).collect();
        let sums = products(&layer.patches, &weights, &rows);

        let channels = node.shape.c;
        let border = match &node.op {
            Op::Conv(conv) => conv.border_bias(self.graph.nodes[node.inputs[0]].shape, node.shape),
            op => {
                let bias = op.bias().unwrap_or(&[]).iter().map(|&b| f64::from(b)).collect();
                Bias::uniform(bias, node.shape.h, node.shape.w)
            }
        };
        let mut biases = Vec::with_capacity(sums.len());
        for at in images.flat_map(|idx| layer.patches.sample(layer.few.positions, idx)) {
            let (row, column) = (at / node.shape.w, at % node.shape.w);
            let class = usize::from(border.row_class[row]) * border.n_column_classes
                + usize::from(border.column_class[column]);
            let bias = &border.values[class * channels..][..channels];
            biases.extend(bias.iter().map(|&b| f64_to_f32(b)));
        }
        Ok(Sample { sums, biases, targets: layer.few.targets.clone(), channels })
    }

    pub(super) fn patches(&self, id: NodeId) -> &Patches {
        &self.layers[id].as_ref().expect("patches are of layers").patches
    }

    pub(super) fn graph(&self) -> &'a Graph {
        self.graph
    }
}

/// The part of each row that belongs to one group.
fn of_group(rows: &[f32], row_len: usize, first: usize, len: usize) -> Vec<f32> {
    rows.chunks_exact(row_len).flat_map(|row| row[first..first + len].iter().copied()).collect()
}

/// `W x` of every row, `[row, output channel]`.
fn products(patches: &Patches, weights: &[f32], rows: &[f32]) -> Vec<f32> {
    let &Patches { groups, depth, outputs, .. } = patches;
    if groups == 1 {
        return linear::apply(rows, weights, outputs, depth);
    }
    let n = rows.len() / patches.row_len();
    let mut y = vec![0.0; n * groups * outputs];
    for group in 0..groups {
        let x = of_group(rows, patches.row_len(), group * depth, depth);
        let filters = &weights[group * outputs * depth..][..outputs * depth];
        let part = linear::apply(&x, filters, outputs, depth);
        for (y, part) in y.chunks_exact_mut(groups * outputs).zip(part.chunks_exact(outputs)) {
            y[group * outputs..][..outputs].copy_from_slice(part);
        }
    }
    y
}

impl Moments {
    fn add(&mut self, patches: &Patches, rows: &[f32], missing: &[f32]) {
        let &Patches { groups, depth, outputs, .. } = patches;
        self.rows += rows.len() / (groups * depth);
        if groups == 1 {
            linear::add_gram(&mut self.gram[0], rows, depth);
            linear::add_product(&mut self.cross[0], missing, rows, outputs, depth);
            return;
        }
        self.gram.par_iter_mut().zip(&mut self.cross).enumerate().for_each(
            |(group, (gram, cross))| {
                let x = of_group(rows, groups * depth, group * depth, depth);
                let missing = of_group(missing, groups * outputs, group * outputs, outputs);
                linear::add_gram(gram, &x, depth);
                linear::add_product(cross, &missing, &x, outputs, depth);
            },
        );
    }
}
