use super::{
    cache::{Cache, Key},
    images::Images,
    oracle::{Evaluation, JournalEntry, Oracle},
    predictions::Predictions,
    workers::{CHUNK, Workers},
};
use crate::{digest::Digest, error::SearchError, score::Score};
use fixedwise_fixed::convert::{count_to_f64, count_to_u64, exp2, f64_to_i64};
use fixedwise_graph::{
    AccumulatorPolicy, FixedGraph, Graph, LowerError, NodeId, Plan, Semantics, Target, lower,
    lower_for,
    run::{Program, Schedule, Workspace},
};
use fixedwise_kernels::Kernels;
use rayon::prelude::*;
use std::{
    collections::BTreeMap,
    ops::Range,
    sync::atomic::{AtomicBool, Ordering},
};

/// Chunks after which a plan may be given up; a constant, so that what is run does not depend on
/// the number of threads.
const ROUND: usize = 16;
/// Chunks cached between two looks at the budget.
const FILL: usize = 64;

/// What an evaluator may use and demands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvaluatorOptions {
    /// Bytes of cached values.
    pub cache_bytes: usize,
    /// What happens to sums that cannot be proved to fit 32 bits.
    pub policy: AccumulatorPolicy,
}

impl Default for EvaluatorOptions {
    /// 768 MiB; every sum is proved.
    fn default() -> Self {
        Self { cache_bytes: 768 << 20, policy: AccumulatorPolicy::Prove32 }
    }
}

/// Measures plans of one graph on one set of images.
///
/// Values before the node under search are kept, as far as the budget reaches; plans that were
/// measured before are answered at once.
pub struct Evaluator<'a> {
    graph: &'a Graph,
    images: &'a dyn Images,
    kernels: &'static Kernels,
    stop: &'a AtomicBool,
    options: EvaluatorOptions,
    target: Option<Target>,
    predictions: Predictions,
    order: Vec<usize>,
    consumers: Vec<Vec<NodeId>>,
    cache: Cache,
    /// By plan and images, those that decide soonest first.
    known: BTreeMap<Digest, BTreeMap<usize, Score>>,
    workers: Workers,
    evaluations: u64,
    images_evaluated: u64,
    macs: u64,
}

impl std::fmt::Debug for Evaluator<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Evaluator")
            .field("images", &self.order.len())
            .field("evaluations", &self.evaluations)
            .field("cached_bytes", &self.cache.bytes())
            .finish_non_exhaustive()
    }
}

impl<'a> Evaluator<'a> {
    /// Of plans for `graph`, against the float network's `predictions` for the same images.
    pub fn new(
        graph: &'a Graph,
        images: &'a dyn Images,
        predictions: Predictions,
        kernels: &'static Kernels,
        stop: &'a AtomicBool,
        options: EvaluatorOptions,
    ) -> Self {
        let n_chunks = predictions.len().div_ceil(CHUNK);
        Self {
            graph,
            images,
            kernels,
            stop,
            options,
            target: None,
            order: predictions.order(),
            predictions,
            consumers: graph.consumers(),
            cache: Cache::new(n_chunks, options.cache_bytes),
            known: BTreeMap::new(),
            workers: Workers::new(),
            evaluations: 0,
            images_evaluated: 0,
            macs: 0,
        }
    }

    /// The same for a target: what its rules refuse is no plan.
    #[must_use]
    pub fn for_target(mut self, target: Target) -> Self {
        self.target = Some(target);
        self
    }

    fn lower(&self, plan: &Plan, policy: AccumulatorPolicy) -> Result<FixedGraph, LowerError> {
        match &self.target {
            None => lower(self.graph, plan, policy),
            Some(target) => lower_for(self.graph, plan, policy, target),
        }
    }

    /// Takes over what an earlier run has measured, on the same graph and images.
    pub fn preload(&mut self, entries: impl IntoIterator<Item = JournalEntry>) {
        for entry in entries {
            self.learn(entry.digest, entry.score);
        }
    }

    /// Plans that were run; those answered from memory do not count.
    pub fn evaluations(&self) -> u64 {
        self.evaluations
    }

    /// Images that were run, over all plans.
    pub fn images_evaluated(&self) -> u64 {
        self.images_evaluated
    }

    /// Multiplications of layers that were computed, over all plans and images.
    pub fn macs(&self) -> u64 {
        self.macs
    }

    /// Bytes of values that are cached now.
    pub fn cached_bytes(&self) -> usize {
        self.cache.bytes()
    }

    /// What is known of a plan on all images.
    pub fn known(&self, plan: &Plan) -> Option<Evaluation> {
        let digest = Digest::of_nodes(self.graph, plan)[self.graph.output];
        let score = self.furthest(digest, self.order.len()).filter(|s| s.n == self.order.len())?;
        Some(Evaluation { score, is_complete: true, digest, is_new: false })
    }

    /// Takes over what somebody else has measured of a plan, by its outputs on all images.
    pub fn teach(&mut self, plan: &Plan, score: Score) -> Evaluation {
        let digest = Digest::of_nodes(self.graph, plan)[self.graph.output];
        self.evaluations += 1;
        self.learn(digest, score);
        Evaluation { score, is_complete: true, digest, is_new: true }
    }

    /// What the float network says.
    pub fn predictions(&self) -> &Predictions {
        &self.predictions
    }

    fn learn(&mut self, digest: Digest, score: Score) {
        self.known.entry(digest).or_default().insert(score.n, score);
    }

    /// What is known about a plan on most images, up to so many.
    fn furthest(&self, digest: Digest, images: usize) -> Option<Score> {
        let known = self.known.get(&digest)?;
        known.range(..=images).next_back().map(|(_, &score)| score)
    }

    /// What is known about a plan already, where that answers the question.
    fn recall(&self, digest: Digest, at_least: Option<usize>) -> Option<Evaluation> {
        let score = self.furthest(digest, self.order.len())?;
        let is_complete = score.n == self.order.len();
        let reachable = score.correct + (self.order.len() - score.n);
        let answers = is_complete || at_least.is_some_and(|at_least| reachable < at_least);
        answers.then_some(Evaluation { score, is_complete, digest, is_new: false })
    }

    /// What runs a plan, and the step of its output.
    fn program(&self, plan: &Plan) -> Result<(Program, f64), LowerError> {
        match plan.semantics {
            Semantics::Integer => {
                let fixed = self.lower(plan, self.options.policy)?;
                let step = exp2(-i32::from(fixed.nodes[fixed.output].format.frac));
                Ok((Program::fixed(&fixed, self.kernels), step))
            }
            Semantics::Simulated => Ok((Program::simulated(self.graph, plan, self.kernels)?, 1.0)),
        }
    }

    /// The values that the computation from `focus` on takes from before it.
    fn frontier(&self, focus: NodeId) -> Vec<NodeId> {
        let later = self.graph.descendants(focus);
        (0..self.graph.nodes.len())
            .filter(|&id| !later[id] && self.consumers[id].iter().any(|&user| later[user]))
            .collect()
    }

    fn chunk(&self, chunk: usize) -> Range<usize> {
        chunk * CHUNK..self.order.len().min((chunk + 1) * CHUNK)
    }

    /// The cached values to start from, when `wanted` are to be computed for one chunk.
    fn sources(&self, digests: &[Digest], chunk: usize, wanted: &[NodeId]) -> Vec<NodeId> {
        let mut needed = vec![false; self.graph.nodes.len()];
        for &id in wanted {
            needed[id] = true;
        }
        let mut sources = Vec::new();
        for id in (0..needed.len()).rev() {
            if !needed[id] {
                continue;
            }
            if self.cache.get(&digests[id].at(id), chunk).is_some() {
                sources.push(id);
            } else {
                for &input in &self.graph.nodes[id].inputs {
                    needed[input] = true;
                }
            }
        }
        sources.reverse();
        sources
    }

    /// One run for each of the chunks: the schedules, and which of them each chunk takes.
    fn jobs<'p>(
        &self,
        program: &'p Program,
        digests: &'p [Digest],
        chunks: Range<usize>,
        wanted: impl Fn(usize) -> Vec<NodeId>,
    ) -> Jobs<'p> {
        let mut schedules: Vec<Schedule> = Vec::new();
        let mut by_sources: BTreeMap<(Vec<NodeId>, Vec<NodeId>), usize> = BTreeMap::new();
        let first = chunks.start;
        let of_chunk = chunks
            .map(|chunk| {
                let wanted = wanted(chunk);
                let sources = self.sources(digests, chunk, &wanted);
                *by_sources.entry((sources, wanted)).or_insert_with_key(|(sources, wanted)| {
                    schedules.push(program.schedule(sources, wanted));
                    schedules.len() - 1
                })
            })
            .collect();
        Jobs { program, digests, schedules, first, of_chunk }
    }

    /// Runs the images of a chunk; `see` gets each image's position and the workspace after it.
    fn run_chunk(
        &self,
        jobs: &Jobs,
        chunk: usize,
        mut see: impl FnMut(usize, &Schedule, &Workspace),
    ) -> Result<(), SearchError> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(SearchError::Stopped);
        }
        let schedule = jobs.schedule(chunk);
        self.workers.with(|worker| {
            worker.image.resize(jobs.program.image_len(), 0.0);
            let cached: Vec<(&[u8], usize)> = schedule
                .provided()
                .iter()
                .map(|&id| {
                    let values = self.cache.get(&jobs.digests[id].at(id), chunk);
                    (values.expect("it was chosen as a source"), jobs.program.value_bytes(id))
                })
                .collect();
            let mut provided: Vec<&[u8]> = Vec::with_capacity(cached.len());
            let range = self.chunk(chunk);
            for position in range.clone() {
                let i = position - range.start;
                provided.clear();
                provided.extend(cached.iter().map(|(values, len)| &values[i * len..][..*len]));
                if schedule.needs_image() {
                    self.images.image(self.order[position], &mut worker.image);
                }
                jobs.program.run(schedule, &mut worker.workspace, &worker.image, &provided);
                see(position, schedule, &worker.workspace);
            }
        });
        Ok(())
    }

    /// Counts what a job costs.
    fn count(&mut self, jobs: &Jobs, chunks: Range<usize>) {
        for chunk in chunks {
            let images = count_to_u64(self.chunk(chunk).len());
            let nodes = jobs.schedule(chunk).nodes();
            let macs: u64 = nodes.iter().map(|&id| self.graph.node_macs(id)).sum();
            self.macs += images * macs;
        }
    }

    /// The mean divergence of an integer plan's class probabilities from the float network's, in
    /// nats, over all images.
    ///
    /// `focus` is as in [`Oracle::evaluate`].
    ///
    /// # Errors
    /// As [`Oracle::evaluate`].
    pub fn divergence(&mut self, plan: &Plan, focus: Option<NodeId>) -> Result<f64, SearchError> {
        let digests = Digest::of_nodes(self.graph, plan);
        let (program, step) = self.program(plan)?;
        if let Some(focus) = focus {
            self.fill(&program, &digests, focus)?;
        }
        let n_chunks = self.order.len().div_ceil(CHUNK);
        let output = self.graph.output;
        let jobs = self.jobs(&program, &digests, 0..n_chunks, |_| vec![output]);
        let sums = (0..n_chunks)
            .into_par_iter()
            .map(|chunk| {
                let mut sum = 0.0;
                self.run_chunk(&jobs, chunk, |position, schedule, workspace| {
                    let value = program.value(schedule, workspace, output);
                    sum += self.predictions.divergence(self.order[position], value, step);
                })?;
                Ok(sum)
            })
            .collect::<Result<Vec<f64>, SearchError>>()?;
        self.count(&jobs, 0..n_chunks);
        self.images_evaluated += count_to_u64(self.order.len());
        // In the order of the chunks: the sum is the same on any number of threads.
        Ok(sums.iter().sum::<f64>() / count_to_f64(self.order.len().max(1)))
    }

    /// What a plan says of all images, `[image, ...]`, in their own order: after the softmax where the float
    /// network has one.
    ///
    /// # Errors
    /// As [`Oracle::evaluate`].
    pub fn outputs(&mut self, plan: &Plan) -> Result<Vec<f32>, SearchError> {
        let digests = Digest::of_nodes(self.graph, plan);
        let (program, step) = self.program(plan)?;
        let n_chunks = self.order.len().div_ceil(CHUNK);
        let output = self.graph.output;
        let jobs = self.jobs(&program, &digests, 0..n_chunks, |_| vec![output]);
        let rows = (0..n_chunks)
            .into_par_iter()
            .map(|chunk| {
                let mut rows = Vec::with_capacity(CHUNK);
                self.run_chunk(&jobs, chunk, |position, schedule, workspace| {
                    let value = program.value(schedule, workspace, output);
                    rows.push((self.order[position], self.predictions.output(value, step)));
                })?;
                Ok(rows)
            })
            .collect::<Result<Vec<_>, SearchError>>()?;
        self.count(&jobs, 0..n_chunks);
        self.images_evaluated += count_to_u64(self.order.len());
        let mut rows: Vec<(usize, Vec<f32>)> = rows.into_iter().flatten().collect();
        rows.sort_unstable_by_key(|row| row.0);
        Ok(rows.into_iter().flat_map(|row| row.1).collect())
    }

    /// Caches the values before `focus`, for as many images as fit the budget.
    fn fill(
        &mut self,
        program: &Program,
        digests: &[Digest],
        focus: NodeId,
    ) -> Result<(), SearchError> {
        let frontier = self.frontier(focus);
        let keys: Vec<Key> = frontier.iter().map(|&id| digests[id].at(id)).collect();
        self.cache.touch(&keys);
        let n_chunks = self.order.len().div_ceil(CHUNK);
        let mut begin = 0;
        while begin < n_chunks {
            let end = n_chunks.min(begin + FILL);
            let missing = |cache: &Cache, chunk: usize| -> Vec<NodeId> {
                let is_missing = |(_, key): &(&NodeId, &Key)| cache.get(key, chunk).is_none();
                frontier.iter().zip(&keys).filter(is_missing).map(|(&id, _)| id).collect()
            };
            let wanted: usize = (begin..end)
                .map(|chunk| {
                    let ids = missing(&self.cache, chunk);
                    let bytes: usize = ids.iter().map(|&id| program.value_bytes(id)).sum();
                    bytes * self.chunk(chunk).len()
                })
                .sum();
            if wanted > 0 {
                let live = |&(id, digest): &Key| digests[id] == digest;
                if !self.cache.make_room(wanted, live, &keys, begin) {
                    break;
                }
                let jobs =
                    self.jobs(program, digests, begin..end, |chunk| missing(&self.cache, chunk));
                let filled = (begin..end)
                    .into_par_iter()
                    .map(|chunk| {
                        let ids = missing(&self.cache, chunk);
                        let mut values = vec![Vec::new(); ids.len()];
                        if !ids.is_empty() {
                            self.run_chunk(&jobs, chunk, |_, schedule, workspace| {
                                for (values, &id) in values.iter_mut().zip(&ids) {
                                    let value = program.value(schedule, workspace, id);
                                    values.extend_from_slice(value.bytes());
                                }
                            })?;
                        }
                        Ok((chunk, ids, values))
                    })
                    .collect::<Result<Vec<_>, SearchError>>()?;
                self.count(&jobs, begin..end);
                for (chunk, ids, values) in filled {
                    for (id, values) in ids.into_iter().zip(values) {
                        self.cache.insert(digests[id].at(id), chunk, values.into());
                    }
                }
            }
            begin = end;
        }
        Ok(())
    }

    /// Runs the output for the first `images`, from where `score` ends, or until `at_least` is out of
    /// reach.
    fn measure(
        &mut self,
        (program, step): (&Program, f64),
        digests: &[Digest],
        (from, images): (Score, usize),
        at_least: Option<usize>,
    ) -> Result<Score, SearchError> {
        let (mut begin, n_chunks) = (from.n / CHUNK, images.div_ceil(CHUNK));
        let output = self.graph.output;
        let jobs = self.jobs(program, digests, begin..n_chunks, |_| vec![output]);
        let used: Vec<Key> = jobs
            .schedules
            .iter()
            .flat_map(|schedule| schedule.provided().iter().map(|&id| digests[id].at(id)))
            .collect();
        self.cache.touch(&used);
        let mut score = from;
        while begin < n_chunks {
            let end = n_chunks.min(begin + if at_least.is_some() { ROUND } else { n_chunks });
            let part = (begin..end)
                .into_par_iter()
                .map(|chunk| {
                    let mut part = Score::default();
                    self.run_chunk(&jobs, chunk, |position, schedule, workspace| {
                        let value = program.value(schedule, workspace, output);
                        let class = value.argmax();
                        let idx = self.order[position];
                        let distortion = self.predictions.distortion(idx, value, step);
                        let (float, fixed) =
                            (self.predictions.right[idx], class == self.predictions.targets[idx]);
                        part = part.plus(&Score {
                            correct: usize::from(fixed),
                            lost: usize::from(float && !fixed),
                            gained: usize::from(fixed && !float),
                            n: 1,
                            float_correct: usize::from(float),
                            expected: self.predictions.preference(idx, class),
                            distortion: f64_to_i64((distortion * exp2(32)).round()),
                            distortion_squares: f64_to_i64(
                                (distortion * distortion * exp2(32)).round(),
                            ),
                        });
                    })?;
                    Ok::<Score, SearchError>(part)
                })
                .try_reduce(Score::default, |a, b| Ok(a.plus(&b)))?;
            self.count(&jobs, begin..end);
            score = score.plus(&part);
            begin = end;
            let reachable = score.correct + (self.order.len() - score.n);
            if at_least.is_some_and(|at_least| reachable < at_least) {
                break;
            }
        }
        self.images_evaluated += count_to_u64(score.n - from.n);
        Ok(score)
    }
}

impl Oracle for Evaluator<'_> {
    fn evaluate(
        &mut self,
        plan: &Plan,
        focus: Option<NodeId>,
        at_least: Option<usize>,
    ) -> Result<Evaluation, SearchError> {
        let digests = Digest::of_nodes(self.graph, plan);
        let digest = digests[self.graph.output];
        if let Some(evaluation) = self.recall(digest, at_least) {
            return Ok(evaluation);
        }
        let (program, step) = self.program(plan)?;
        if let Some(focus) = focus {
            self.fill(&program, &digests, focus)?;
        }
        let all = self.order.len();
        let score = self.measure((&program, step), &digests, (Score::default(), all), at_least)?;
        self.evaluations += 1;
        let is_complete = score.n == all;
        self.learn(digest, score);
        Ok(Evaluation { score, is_complete, digest, is_new: true })
    }

    fn evaluate_first(&mut self, plan: &Plan, images: usize) -> Result<Evaluation, SearchError> {
        let all = self.order.len();
        // Chunks are whole, and what was known before is passed by where it is of other images.
        let images = if images < all { images.next_multiple_of(CHUNK).min(all) } else { all };
        let digests = Digest::of_nodes(self.graph, plan);
        let digest = digests[self.graph.output];
        let known = self.furthest(digest, images);
        if let Some(score) = known.filter(|score| score.n == images) {
            return Ok(Evaluation { score, is_complete: images == all, digest, is_new: false });
        }
        let so_far = known.filter(|score| score.n % CHUNK == 0);
        let (program, step) = self.program(plan)?;
        let from = so_far.unwrap_or_default();
        let score = self.measure((&program, step), &digests, (from, images), None)?;
        self.evaluations += u64::from(so_far.is_none());
        self.learn(digest, score);
        Ok(Evaluation { score, is_complete: images == all, digest, is_new: true })
    }

    fn check(&self, plan: &Plan) -> Result<(), LowerError> {
        match plan.semantics {
            Semantics::Integer => self.lower(plan, AccumulatorPolicy::Prove32).map(|_| ()),
            Semantics::Simulated => Ok(()),
        }
    }

    fn float_score(&self) -> (usize, usize) {
        (self.order.len(), self.predictions.correct())
    }
}

/// The runs of some chunks.
struct Jobs<'p> {
    program: &'p Program,
    digests: &'p [Digest],
    schedules: Vec<Schedule>,
    first: usize,
    of_chunk: Vec<usize>,
}

impl Jobs<'_> {
    fn schedule(&self, chunk: usize) -> &Schedule {
        &self.schedules[self.of_chunk[chunk - self.first]]
    }
}
