//! Second moments of what the layers of a quantized network take, over calibration images.
//!
//! Nothing is kept of the size of the data set: of each image a few positions are looked at, and
//! what is kept of them are sums of products.

use super::{linear, patches::Patches};
use crate::{error::SearchError, evaluate::Images};
use fixedwise_fixed::convert::{count_to_f64, exp2, f64_to_f32};
use fixedwise_graph::{
    AccumulatorPolicy, Graph, NodeId, Plan, lower,
    run::{Program, Workspace},
};
use fixedwise_kernels::Kernels;
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
    /// 512 images, 4,096 positions.
    fn default() -> Self {
        Self { images: 512, positions: 4096 }
    }
}

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
    /// Positions of an image that are looked at.
    positions: usize,
    /// `W x` of the float network, `[image, position, output channel]`.
    targets: Vec<f32>,
}

/// Sums over all positions of a layer that were looked at.
pub(super) struct Moments {
    /// Of each group `x x'`, the lower triangle of `[depth, depth]`.
    pub(super) gram: Vec<Vec<f32>>,
    /// Of each group `(y - W x) x'`, `[output, depth]`: what the float network computes there beyond
    /// what the float weights make of the quantized input.
    pub(super) cross: Vec<Vec<f32>>,
    /// `x`, `[group, depth]`.
    pub(super) input: Vec<f64>,
    /// `y - W x`, by output channel.
    pub(super) missing: Vec<f64>,
    /// Positions.
    pub(super) rows: usize,
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
            let positions = wanted.div_ceil(n).min(patches.positions());
            Some(Layer { patches, positions, targets: Vec::new() })
        };
        let layers = (0..graph.nodes.len()).map(layer).collect();
        let mut calibration = Self { graph, images, kernels, stop, n, layers };
        calibration.run_float()?;
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
                            let Some(Layer { patches, positions, .. }) = &self.layers[layer] else {
                                continue;
                            };
                            if source(layer) != id {
                                continue;
                            }
                            rows.resize(positions * patches.row_len(), 0.0);
                            let places = patches.sample(*positions, idx);
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

    fn run_float(&mut self) -> Result<(), SearchError> {
        let program = Program::float(self.graph, self.kernels);
        let ids: Vec<NodeId> = self.graph.layers().map(|(id, _)| id).collect();
        let steps = vec![1.0; self.graph.nodes.len()];
        let mut begin = 0;
        while begin < self.n {
            // Small: every layer's rows are held at a time.
            let end = self.n.min(begin + BATCH / 4);
            let rows = self.batch(&program, &steps, &[self.graph.output], &ids, begin..end)?;
            for (&id, rows) in ids.iter().zip(rows) {
                let weights = self.graph.nodes[id].op.weights().unwrap_or(&[]);
                if let Some(layer) = &mut self.layers[id] {
                    layer.targets.extend(products(&layer.patches, weights, &rows));
                }
            }
            begin = end;
        }
        Ok(())
    }

    /// The moments of a layer whose input comes from the integer network of a plan.
    ///
    /// # Errors
    /// Where the plan makes no integer network, or `stop` was raised.
    pub(super) fn moments(&self, id: NodeId, plan: &Plan) -> Result<Moments, SearchError> {
        let fixed = lower(self.graph, plan, AccumulatorPolicy::Widen)?;
        let steps: Vec<f32> =
            fixed.nodes.iter().map(|node| f64_to_f32(exp2(-i32::from(node.format.frac)))).collect();
        let program = Program::fixed(&fixed, self.kernels);
        let node = &self.graph.nodes[id];
        let layer = self.layers[id].as_ref().expect("moments are of layers");
        let weights = node.op.weights().unwrap_or(&[]);
        let Patches { groups, depth, outputs, .. } = layer.patches;
        let mut moments = Moments {
            gram: vec![vec![0.0; depth * depth]; groups],
            cross: vec![vec![0.0; outputs * depth]; groups],
            input: vec![0.0; groups * depth],
            missing: vec![0.0; groups * outputs],
            rows: 0,
        };
        let channels = groups * outputs;
        let mut begin = 0;
        while begin < self.n {
            let end = self.n.min(begin + BATCH);
            let rows = self.batch(&program, &steps, &[node.inputs[0]], &[id], begin..end)?;
            let rows = rows.into_iter().next().unwrap_or_default();
            let mut missing = products(&layer.patches, weights, &rows);
            let first = moments.rows * channels;
            for (missing, target) in missing.iter_mut().zip(&layer.targets[first..]) {
                *missing = target - *missing;
            }
            moments.add(&layer.patches, &rows, &missing);
            begin = end;
        }
        Ok(moments)
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
        for row in rows.chunks_exact(groups * depth) {
            self.input.iter_mut().zip(row).for_each(|(sum, &x)| *sum += f64::from(x));
            self.rows += 1;
        }
        for row in missing.chunks_exact(groups * outputs) {
            self.missing.iter_mut().zip(row).for_each(|(sum, &x)| *sum += f64::from(x));
        }
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

    /// The mean of `x`, `[group, depth]`.
    pub(super) fn mean_input(&self) -> Vec<f64> {
        let rows = count_to_f64(self.rows.max(1));
        self.input.iter().map(|sum| sum / rows).collect()
    }

    /// The mean of `y - W x`, by output channel.
    pub(super) fn mean_missing(&self) -> Vec<f64> {
        let rows = count_to_f64(self.rows.max(1));
        self.missing.iter().map(|sum| sum / rows).collect()
    }
}
