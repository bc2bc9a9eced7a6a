//! Measures plans here, on the threads of this process, running only what differs from what is cached.

use super::{
    cache::{Cache, Key},
    images::Images,
    measure::{Measure, Part, Question, Request},
    predictions::Predictions,
    runner::{CHUNK, Job, Runner, Seen},
};
use crate::{
    digest::{Digest, Digester},
    error::SearchError,
};
use fixedwise_fixed::convert::{count_to_u64, exp2};
use fixedwise_graph::{
    AccumulatorPolicy, Graph, LowerError, NodeId, Plan, Semantics, Target,
    run::{Program, StepCache},
};
use fixedwise_kernels::Kernels;
use std::{
    ops::Range,
    sync::{Arc, atomic::AtomicBool},
};

/// Chunks cached between two looks at the budget.
const FILL: usize = 64;

/// What an evaluator may use and demands.
#[derive(Clone, Debug, PartialEq)]
pub struct EvaluatorOptions {
    /// Bytes of cached values.
    pub cache_bytes: usize,
    /// What happens to sums that cannot be proved to fit 32 bits.
    pub policy: AccumulatorPolicy,
    /// What plans are for: what its rules refuse is no plan.
    pub target: Option<Target>,
}

impl Default for EvaluatorOptions {
    /// 768 MiB; every sum is proved, for no target.
    fn default() -> Self {
        Self { cache_bytes: 768 << 20, policy: AccumulatorPolicy::Prove32, target: None }
    }
}

/// Measures plans of one graph on one set of images.
///
/// Values before the node under search are kept, as far as the budget reaches.
pub struct Local<'a> {
    graph: &'a Graph,
    kernels: &'static Kernels,
    policy: AccumulatorPolicy,
    steps: StepCache<'a>,
    digester: Digester,
    predictions: Arc<Predictions>,
    runner: Runner<'a>,
    consumers: Vec<Vec<NodeId>>,
    cache: Cache,
    /// Of the plan that was asked about last.
    latest: Option<Ready>,
}

/// A plan that is ready to run.
struct Ready {
    program: Program,
    /// Of its outputs.
    steps: Vec<f64>,
    /// By node, of its value.
    digests: Vec<Digest>,
}

impl std::fmt::Debug for Local<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Local").field("cached_bytes", &self.cache.bytes()).finish_non_exhaustive()
    }
}

impl<'a> Local<'a> {
    /// Of plans for `graph`, against the float network's `predictions` for the same images.
    pub fn new(
        graph: &'a Graph,
        images: &'a dyn Images,
        predictions: Arc<Predictions>,
        kernels: &'static Kernels,
        stop: &'a AtomicBool,
        options: EvaluatorOptions,
    ) -> Self {
        let EvaluatorOptions { cache_bytes, policy, target } = options;
        let runner = Runner::in_order(images, predictions.order(), CHUNK, stop);
        let cache = Cache::new(runner.chunks().end, cache_bytes);
        let consumers = graph.consumers();
        let steps = StepCache::new(graph, target, kernels);
        Self {
            graph,
            kernels,
            policy,
            steps,
            digester: Digester::default(),
            predictions,
            runner,
            consumers,
            cache,
            latest: None,
        }
    }

    /// What runs a plan.
    fn ready(&mut self, plan: &Plan) -> Result<Ready, LowerError> {
        let digests = self.digester.of_nodes(self.graph, plan);
        let is_it = |ready: &Ready| ready.digests == digests;
        if let Some(ready) = self.latest.take().filter(is_it) {
            return Ok(ready);
        }
        let outputs = self.graph.output_nodes();
        let (program, steps) = match plan.semantics {
            Semantics::Integer => {
                let (fixed, program) = self.steps.program(plan, self.policy)?;
                let step = |id: &NodeId| exp2(-i32::from(fixed.nodes[*id].format.frac));
                (program, outputs.iter().map(step).collect())
            }
            Semantics::Simulated => {
                let program = Program::simulated(self.graph, plan, self.kernels)?;
                (program, vec![1.0; outputs.len()])
            }
        };
        Ok(Ready { program, steps, digests })
    }

    /// The values that the computation from `focus` on takes from before it, and the outputs that do not depend
    /// on it.
    fn frontier(&self, focus: NodeId) -> Vec<NodeId> {
        let later = self.graph.descendants(focus);
        let is_taken = |id: NodeId| self.consumers[id].iter().any(|&user| later[user]);
        (0..self.graph.nodes.len())
            .filter(|&id| !later[id] && (is_taken(id) || self.graph.is_output(id)))
            .collect()
    }

    /// What a job costs.
    fn macs(&self, job: &Job, chunks: Range<usize>) -> u64 {
        let of_chunk = |chunk: usize| {
            let nodes = job.schedule(chunk).nodes();
            let macs: u64 = nodes.iter().map(|&id| self.graph.node_macs(id)).sum();
            count_to_u64(self.runner.positions(chunk).len()) * macs
        };
        chunks.map(of_chunk).sum()
    }

    /// Caches the values before `focus`, for as many of the chunks as fit the budget; tells what that cost.
    fn fill(
        &mut self,
        Ready { program, digests, .. }: &Ready,
        focus: NodeId,
        chunks: Range<usize>,
    ) -> Result<u64, SearchError> {
        let frontier = self.frontier(focus);
        let keys: Vec<Key> = frontier.iter().map(|&id| digests[id].at(id)).collect();
        self.cache.touch(&keys);
        let (mut begin, mut macs) = (chunks.start, 0);
        while begin < chunks.end {
            let end = chunks.end.min(begin + FILL);
            let missing = |cache: &Cache, chunk: usize| -> Vec<NodeId> {
                let is_missing = |(_, key): &(&NodeId, &Key)| cache.get(key, chunk).is_none();
                frontier.iter().zip(&keys).filter(is_missing).map(|(&id, _)| id).collect()
            };
            let wanted: usize = (begin..end)
                .map(|chunk| {
                    let ids = missing(&self.cache, chunk);
                    let bytes: usize = ids.iter().map(|&id| program.value_bytes(id)).sum();
                    bytes * self.runner.positions(chunk).len()
                })
                .sum();
            if wanted > 0 {
                let live = |&(id, digest): &Key| digests[id] == digest;
                if !self.cache.make_room(wanted, live, &keys, begin) {
                    break;
                }
                let cache = &self.cache;
                let of = (program, digests.as_slice());
                let job = Job::from_cache(self.graph, of, cache, begin..end, |chunk| {
                    missing(cache, chunk)
                });
                let filled = self.runner.each_chunk(
                    &job,
                    Some(cache),
                    begin..end,
                    |chunk| {
                        let ids = missing(cache, chunk);
                        let values = vec![Vec::new(); ids.len()];
                        (chunk, ids, values)
                    },
                    |(_, ids, values): &mut (usize, Vec<NodeId>, Vec<Vec<u8>>), seen: &Seen| {
                        for (values, &id) in values.iter_mut().zip(&*ids) {
                            values.extend_from_slice(seen.value(id).bytes());
                        }
                    },
                )?;
                macs += self.macs(&job, begin..end);
                for (chunk, ids, values) in filled {
                    for (id, values) in ids.into_iter().zip(values) {
                        self.cache.insert(digests[id].at(id), chunk, values.into());
                    }
                }
            }
            begin = end;
        }
        Ok(macs)
    }

    /// What the chunks give, from what is cached.
    fn measure(
        &mut self,
        Ready { program, steps, digests }: &Ready,
        question: Question,
        chunks: Range<usize>,
    ) -> Result<Vec<Part>, SearchError> {
        let outputs = self.graph.output_nodes();
        let of = (program, digests.as_slice());
        let wanted = |_| outputs.clone();
        let job = Job::from_cache(self.graph, of, &self.cache, chunks.clone(), wanted);
        let used: Vec<Key> = job
            .schedules()
            .iter()
            .flat_map(|schedule| schedule.provided().iter().map(|&id| digests[id].at(id)))
            .collect();
        self.cache.touch(&used);
        let predictions = &self.predictions;
        let see = |(chunk, part): &mut (usize, Part), seen: &Seen| {
            let ran = outputs.iter().zip(steps).map(|(&id, &step)| (seen.value(id), step));
            let (idx, values) = (seen.idx, ran.collect::<Vec<_>>());
            match question {
                Question::Score => {
                    let score = predictions.score(idx, &values);
                    part.score = part.score.plus(&score);
                    part.details.add(&predictions.details(idx, &values));
                    if score.lost > 0 {
                        let lost = predictions.label_and_class(idx, &values);
                        part.lost.extend(lost.map(|lost| (idx, lost)));
                    }
                    if let Some(counted) = predictions.counted(&seen.truth(), &values) {
                        part.counted.insert(idx, counted);
                    }
                }
                Question::Divergence => {
                    let divergence = predictions.divergence(idx, &values);
                    *part.divergences.entry(*chunk).or_default() += divergence;
                }
                Question::Outputs => {
                    part.outputs.insert(idx, predictions.said(&values));
                }
            }
        };
        let new = |chunk| (chunk, Part::default());
        let cache = Some(&self.cache);
        let parts = self.runner.each_chunk(&job, cache, chunks, new, see)?;
        let with_macs = |(chunk, part)| Part { macs: self.macs(&job, chunk..chunk + 1), ..part };
        Ok(parts.into_iter().map(with_macs).collect())
    }

    /// What each chunk gives; as [`Measure::part`].
    pub(crate) fn parts(
        &mut self,
        request: &Request,
        chunks: Range<usize>,
    ) -> Result<Vec<Part>, SearchError> {
        let ready = self.ready(request.plan)?;
        let filled = match request.focus {
            Some(focus) => self.fill(&ready, focus, chunks.clone())?,
            None => 0,
        };
        let mut parts = self.measure(&ready, request.question, chunks)?;
        self.latest = Some(ready);
        if let Some(first) = parts.first_mut() {
            first.macs += filled;
        }
        Ok(parts)
    }

    /// Refuses a plan that cannot be measured.
    pub(crate) fn check_runs(&self, plan: &Plan) -> Result<(), LowerError> {
        match plan.semantics {
            Semantics::Integer => self.steps.lower(plan, self.policy).map(|_| ()),
            Semantics::Simulated => Program::simulated(self.graph, plan, self.kernels).map(|_| ()),
        }
    }
}

impl Measure for Local<'_> {
    fn part(&mut self, request: &Request, chunks: Range<usize>) -> Result<Part, SearchError> {
        Ok(self.parts(request, chunks)?.into_iter().fold(Part::default(), Part::join))
    }

    fn check(&self, plan: &Plan) -> Result<(), LowerError> {
        match plan.semantics {
            Semantics::Integer => self.steps.lower(plan, AccumulatorPolicy::Prove32).map(|_| ()),
            Semantics::Simulated => Ok(()),
        }
    }

    fn cached_bytes(&self) -> usize {
        self.cache.bytes()
    }
}
