//! Second moments of what the layers of a quantized network take, over calibration images.
//!
//! Nothing is kept of the size of the data set: of each image a few positions are looked at, and
//! what is kept of them are sums of products.

use super::{alone, linear, patches::Patches};
use crate::{
    digest::{Digest, Digester},
    error::SearchError,
    evaluate::{
        Images,
        cache::Cache,
        runner::{Job, Runner},
    },
    tuning::Tuning,
};
use fixedwise_fixed::convert::f64_to_f32;
use fixedwise_graph::{
    AccumulatorPolicy, FixedNode, Graph, NodeId, Plan,
    run::{Program, StepCache, ValueRef},
};
use fixedwise_kernels::Kernels;
use rayon::prelude::*;
use std::{
    ops::Range,
    sync::{Mutex, RwLock, atomic::AtomicBool},
};

/// What a calibration looks at, and how much memory it may take.
#[derive(Clone, Debug, PartialEq)]
pub struct CalibrationOptions {
    /// Images and positions.
    pub tuning: Tuning,
    /// Bytes of values that are kept to spare work.
    pub cache_bytes: usize,
}

impl Default for CalibrationOptions {
    /// 256 MiB.
    fn default() -> Self {
        Self { tuning: Tuning::default(), cache_bytes: 256 << 20 }
    }
}

/// Calibration images, and what the float network computes at the places that are looked at.
pub struct Calibration<'a> {
    graph: &'a Graph,
    kernels: &'static Kernels,
    steps: StepCache<'a>,
    digester: Mutex<Digester>,
    tuning: Tuning,
    /// Runs the images that are used.
    runner: Runner<'a>,
    /// How many these are.
    n: usize,
    layers: Vec<Option<Layer>>,
    /// What layers take in the integer networks of the latest plans.
    cache: RwLock<Cache>,
}

/// The integer network of a plan.
struct Integers {
    program: Program,
    /// The step of each node's value.
    steps: Vec<f32>,
    /// Of each node's value.
    digests: Vec<Digest>,
}

impl std::fmt::Debug for Calibration<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Calibration").field("images", &self.n).finish_non_exhaustive()
    }
}

/// What a layer takes at the places that are looked at, image after image.
#[derive(Default)]
struct Rows {
    /// What its weights multiply, `[place]` and then as [`Patches`] has rows.
    inputs: Vec<f32>,
    /// What is added to its sums, `[place, output channel]`; empty where nothing is.
    added: Vec<f32>,
}

impl Rows {
    fn extend(&mut self, other: Self) {
        self.inputs.extend(other.inputs);
        self.added.extend(other.added);
    }

    /// Sums that weights make of all rows, with what is added to them: `[place, output channel]`.
    fn sums(&self, patches: &Patches, weights: &[f32]) -> Vec<f32> {
        let mut sums = products(patches, weights, &self.inputs);
        sums.iter_mut().zip(&self.added).for_each(|(sum, added)| *sum += added);
        sums
    }
}

/// What a layer takes of a chunk.
#[derive(Default)]
struct Taken {
    chunk: usize,
    rows: Rows,
    /// Of each node that it takes, where they were not cached.
    values: Vec<Vec<u8>>,
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
    /// `W x`, with what is added to it, of the float network: `[image, position, output channel]`.
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
    /// what the float weights make of the quantized input. A value that is added to the sums is part of both.
    pub(super) cross: Vec<Vec<f32>>,
    /// Positions.
    pub(super) rows: usize,
}

/// Some places of a layer, `[place, output channel]`.
pub(super) struct Sample {
    /// Integer weights times integer input, with what is added.
    pub(super) sums: Vec<f32>,
    /// The layer's bias there.
    pub(super) biases: Vec<f32>,
    /// Float weights times float input, with what is added.
    pub(super) targets: Vec<f32>,
    pub(super) channels: usize,
}

/// Images that are run between two products.
const BATCH: usize = 64;
/// Images that one thread runs at a time, and whose values are cached together.
const TOGETHER: usize = 8;

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
        let CalibrationOptions { tuning, cache_bytes } = options;
        let n = images.len().min(tuning.calibration_images);
        if n == 0 {
            return Err(SearchError::NoImages { purpose: "calibrate" });
        }
        let layer = |id| {
            let patches = Patches::of(graph, id)?;
            // Moments of `depth` values want several times as many rows.
            let wanted = tuning.positions_per_weight * patches.depth;
            let wanted = tuning.calibration_positions.max(wanted);
            let all = Looks::new(wanted, n, &patches);
            let few = Looks::new(tuning.bias_positions, few(&tuning, n), &patches);
            Some(Layer { patches, all, few })
        };
        let layers = (0..graph.nodes.len()).map(layer).collect();
        let runner = Runner::new(images, n, TOGETHER, stop);
        let cache = RwLock::new(Cache::new(runner.chunks().end, cache_bytes));
        let few = few(&tuning, n);
        let mut calibration = Self {
            graph,
            kernels,
            steps: StepCache::new(graph, None, kernels),
            digester: Mutex::default(),
            tuning,
            runner,
            n,
            layers,
            cache,
        };
        // One image at a time: every layer's rows are held at once.
        let single = Runner::new(images, n, 1, stop);
        calibration.run_float(&single, Which::All, n)?;
        calibration.run_float(&single, Which::Few, few)?;
        Ok(calibration)
    }

    /// Images that are used.
    pub fn images(&self) -> usize {
        self.n
    }

    /// The nodes whose values a layer takes: what its weights multiply, and what is added.
    fn taken(&self, id: NodeId) -> Vec<NodeId> {
        let node = &self.graph.nodes[id];
        let mut taken = vec![node.main_input()];
        taken.extend(node.residual_input());
        taken
    }

    /// The rows of what a layer takes of one image: from the value it multiplies, or the one that is added.
    fn rows(
        &self,
        (id, which): (NodeId, Which),
        idx: usize,
        (value, step): (ValueRef, f32),
        is_added: bool,
    ) -> Vec<f32> {
        let layer = self.layer(id);
        let (patches, positions) = (&layer.patches, layer.looks(which).positions);
        let channels = self.graph.nodes[id].shape.c;
        let len = if is_added { channels } else { patches.row_len() };
        let mut rows = vec![0.0; positions * len];
        let places = patches.sample(positions, idx);
        for (at, row) in places.zip(rows.chunks_exact_mut(len)) {
            if is_added {
                value.copy_scaled(at * channels, step, row);
            } else {
                patches.row(value, step, at, row);
            }
        }
        rows
    }

    /// Runs images through the float network, one a chunk: for each of the layers the rows of what it takes,
    /// image after image.
    fn float_rows(
        &self,
        (runner, program): (&Runner, &Program),
        layers: &[NodeId],
        which: Which,
        images: Range<usize>,
    ) -> Result<Vec<Rows>, SearchError> {
        let none = || -> Vec<Rows> { layers.iter().map(|_| Rows::default()).collect() };
        let images = runner.each_chunk_observed(
            &Job::whole(program),
            images,
            |_| none(),
            |rows: &mut Vec<Rows>, idx, (id, value)| {
                for (rows, &layer) in rows.iter_mut().zip(layers) {
                    let node = &self.graph.nodes[layer];
                    let of = |is_added| self.rows((layer, which), idx, (value, 1.0), is_added);
                    if node.main_input() == id {
                        rows.inputs = of(false);
                    }
                    if node.residual_input() == Some(id) {
                        rows.added = of(true);
                    }
                }
            },
            |_, _| (),
        )?;
        let mut all = none();
        for image in images {
            all.iter_mut().zip(image).for_each(|(all, rows)| all.extend(rows));
        }
        Ok(all)
    }

    /// Runs images through an integer network, from the latest values that are cached: the rows of what a
    /// layer takes, image after image. `images` are whole chunks.
    fn integer_rows(
        &self,
        network: &Integers,
        id: NodeId,
        which: Which,
        images: Range<usize>,
    ) -> Result<Rows, SearchError> {
        let Integers { program, steps, digests } = network;
        let wanted = self.taken(id);
        let keys: Vec<_> = wanted.iter().map(|&node| digests[node].at(node)).collect();
        let chunks = images.start / TOGETHER..images.end.div_ceil(TOGETHER);
        let done = {
            let cache = &*self.cache.read().map_err(|_| SearchError::Stopped)?;
            let of = (program, digests.as_slice());
            let job = Job::from_cache(self.graph, of, cache, chunks.clone(), |_| wanted.clone());
            let begin = |chunk| Taken { chunk, ..Taken::default() };
            self.runner.each_chunk(
                &job,
                Some(cache),
                chunks,
                begin,
                |taken: &mut Taken, seen| {
                    taken.values.resize(wanted.len(), Vec::new());
                    for (position, (&node, values)) in
                        wanted.iter().zip(&mut taken.values).enumerate()
                    {
                        let value = seen.value(node);
                        let is_added = position > 0;
                        let rows = self.rows((id, which), seen.idx, (value, steps[node]), is_added);
                        let all = &mut taken.rows;
                        (if is_added { &mut all.added } else { &mut all.inputs }).extend(rows);
                        if !job.schedule(taken.chunk).provided().contains(&node) {
                            values.extend_from_slice(value.bytes());
                        }
                    }
                },
            )?
        };
        let mut all = Rows::default();
        let places = done.iter().map(|taken| [&taken.rows.inputs, &taken.rows.added].map(Vec::len));
        let [inputs, added] = places.fold([0, 0], |[a, b], [c, d]| [a + c, b + d]);
        all.inputs.reserve_exact(inputs);
        all.added.reserve_exact(added);
        let mut cache = self.cache.write().map_err(|_| SearchError::Stopped)?;
        cache.touch(&keys);
        for Taken { chunk, rows, values } in done {
            all.extend(rows);
            for (&key, values) in keys.iter().zip(values) {
                let is_new = !values.is_empty();
                if is_new && cache.make_room(values.len(), |_| false, &keys, 0) {
                    cache.insert(key, chunk, values.into());
                }
            }
        }
        Ok(all)
    }

    fn run_float(&mut self, runner: &Runner, which: Which, n: usize) -> Result<(), SearchError> {
        let program = Program::float(self.graph, self.kernels);
        let ids: Vec<NodeId> = self.graph.layers().map(|(id, _)| id).collect();
        let mut begin = 0;
        while begin < n {
            // Small: every layer's rows are held at a time.
            let end = n.min(begin + BATCH / 8);
            let rows = self.float_rows((runner, &program), &ids, which, begin..end)?;
            for (&id, rows) in ids.iter().zip(rows) {
                let weights = self.graph.nodes[id].op.weights().unwrap_or(&[]);
                if let Some(layer) = &mut self.layers[id] {
                    let targets = rows.sums(&layer.patches, weights);
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

    /// The integer network of a plan.
    fn integers(&self, plan: &Plan) -> Result<Integers, SearchError> {
        let (fixed, program) = self.steps.program(plan, AccumulatorPolicy::Widen)?;
        let step = |node: &FixedNode| f64_to_f32(node.format.resolution());
        let mut digester = self.digester.lock().map_err(|_| SearchError::Stopped)?;
        Ok(Integers {
            program,
            steps: fixed.nodes.iter().map(step).collect(),
            digests: digester.of_nodes(self.graph, plan),
        })
    }

    fn layer(&self, id: NodeId) -> &Layer {
        self.layers[id].as_ref().expect("only layers are asked for")
    }

    /// The moments of a layer whose input comes from the integer network of a plan.
    ///
    /// # Errors
    /// Where the plan makes no integer network, or `stop` was raised.
    pub(super) fn moments(&self, id: NodeId, plan: &Plan) -> Result<Moments, SearchError> {
        let network = self.integers(plan)?;
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
            let rows = self.integer_rows(&network, id, Which::All, begin..end)?;
            let mut missing = rows.sums(&layer.patches, weights);
            let first = moments.rows * channels;
            for (missing, target) in missing.iter_mut().zip(&layer.all.targets[first..]) {
                *missing = target - *missing;
            }
            moments.add(&layer.patches, &rows.inputs, &missing);
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
        let network = self.integers(plan)?;
        let (node, layer) = (&self.graph.nodes[id], self.layer(id));
        let images = 0..few(&self.tuning, self.n);
        let rows = self.integer_rows(&network, id, Which::Few, images.clone())?;
        let format = plan.layer(&node.name).and_then(|layer| layer.weights);
        let rounded = format.zip(plan.rounded.get(&node.name));
        let weights = rounded.map_or_else(Vec::new, |(format, rounded)| rounded.values(format));
        let sums = rows.sums(&layer.patches, &weights);

        let channels = node.shape.c;
        let border = self.graph.border_bias(id).expect("only layers are asked for");
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

    /// The constants that it works with.
    pub(super) fn tuning(&self) -> &Tuning {
        &self.tuning
    }

    pub(super) fn kernels(&self) -> &'static Kernels {
        self.kernels
    }

    pub(super) fn graph(&self) -> &'a Graph {
        self.graph
    }
}

/// Of `n` images, those on which biases are corrected: whole chunks.
fn few(tuning: &Tuning, n: usize) -> usize {
    n.min(tuning.bias_images.next_multiple_of(TOGETHER))
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
    if patches.is_alone {
        return alone::apply(rows, weights, depth);
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
        if patches.is_alone {
            return alone::add_moments(&mut self.gram, &mut self.cross, rows, missing);
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
