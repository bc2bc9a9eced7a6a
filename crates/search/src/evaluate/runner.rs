//! The only loop over images.

use super::{
    cache::Cache,
    images::{Images, Truth},
};
use crate::{digest::Digest, error::SearchError};
use fixedwise_graph::{
    Graph, NodeId,
    run::{Program, Schedule, ValueRef, Workspace},
};
use rayon::prelude::*;
use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

/// Images of a chunk, where nothing asks for other ones.
pub(crate) const CHUNK: usize = 16;

/// Runs programs on the images of a set, in an order.
///
/// A chunk is what one thread runs at a time, and whose values are cached together. What comes of it does
/// not depend on the number of threads.
pub(crate) struct Runner<'a> {
    images: &'a dyn Images,
    stop: &'a AtomicBool,
    /// Which image comes at which position.
    order: Vec<usize>,
    /// Images of a chunk.
    chunk: usize,
    workers: Workers,
}

impl<'a> Runner<'a> {
    /// On the first `n` images, as they come.
    pub(crate) fn new(
        images: &'a dyn Images,
        n: usize,
        chunk: usize,
        stop: &'a AtomicBool,
    ) -> Self {
        Self::in_order(images, (0..n).collect(), chunk, stop)
    }

    /// On some images in that order.
    pub(crate) fn in_order(
        images: &'a dyn Images,
        order: Vec<usize>,
        chunk: usize,
        stop: &'a AtomicBool,
    ) -> Self {
        Self { images, stop, order, chunk, workers: Workers::default() }
    }

    /// Chunks of all images.
    pub(crate) fn chunks(&self) -> Range<usize> {
        0..self.order.len().div_ceil(self.chunk)
    }

    /// The positions of a chunk.
    pub(crate) fn positions(&self, chunk: usize) -> Range<usize> {
        chunk * self.chunk..self.order.len().min((chunk + 1) * self.chunk)
    }

    /// What each chunk came to, in their order: `new` begins one, `see` is called after each of its images.
    ///
    /// # Errors
    /// Where the stop flag was raised.
    pub(crate) fn each_chunk<R: Send>(
        &self,
        job: &Job,
        cache: Option<&Cache>,
        chunks: Range<usize>,
        new: impl Fn(usize) -> R + Sync,
        see: impl Fn(&mut R, &Seen) + Sync,
    ) -> Result<Vec<R>, SearchError> {
        let of_chunk = |chunk: usize| {
            self.workers.with(|worker| {
                let (program, schedule) = (job.program, job.schedule(chunk));
                let given = job.given(schedule, cache, chunk);
                let mut result = new(chunk);
                let positions: Vec<usize> = self.positions(chunk).collect();
                let at_once = Program::images_at_once(schedule);
                for (group, positions) in positions.chunks(at_once).enumerate() {
                    self.check_stop()?;
                    let n = positions.len();
                    worker.grow(n);
                    let images = &mut worker.images[..n];
                    for (image, &position) in images.iter_mut().zip(positions) {
                        image.resize(program.image_len(), 0.0);
                        if schedule.needs_image() {
                            self.images.image(self.order[position], image);
                        }
                    }
                    let images: Vec<&[f32]> = images.iter().map(Vec::as_slice).collect();
                    let provided: Vec<Vec<&[u8]>> = (group * at_once..group * at_once + n)
                        .map(|i| {
                            given.iter().map(|(values, len)| &values[i * len..][..*len]).collect()
                        })
                        .collect();
                    let workspaces = &mut worker.workspaces[..n];
                    program.run_all(schedule, workspaces, &images, &provided);
                    for (workspace, &position) in workspaces.iter().zip(positions) {
                        let idx = self.order[position];
                        let images = self.images;
                        see(&mut result, &Seen { idx, images, program, schedule, workspace });
                    }
                }
                Ok(result)
            })
        };
        chunks.into_par_iter().map(of_chunk).collect()
    }

    /// As [`Runner::each_chunk`], without a cache; `observe` is called with every value right after it was
    /// computed.
    ///
    /// # Errors
    /// Where the stop flag was raised.
    pub(crate) fn each_chunk_observed<R: Send>(
        &self,
        job: &Job,
        chunks: Range<usize>,
        new: impl Fn(usize) -> R + Sync,
        observe: impl Fn(&mut R, usize, (NodeId, ValueRef)) + Sync,
        see: impl Fn(&mut R, &Seen) + Sync,
    ) -> Result<Vec<R>, SearchError> {
        let of_chunk = |chunk: usize| {
            self.workers.with(|worker| {
                let (program, schedule) = (job.program, job.schedule(chunk));
                worker.grow(1);
                let (image, workspace) = (&mut worker.images[0], &mut worker.workspaces[0]);
                image.resize(program.image_len(), 0.0);
                let mut result = new(chunk);
                for position in self.positions(chunk) {
                    self.check_stop()?;
                    let idx = self.order[position];
                    self.images.image(idx, image);
                    program.run_observed(schedule, workspace, image, &[], |id, value| {
                        observe(&mut result, idx, (id, value));
                    });
                    let images = self.images;
                    see(&mut result, &Seen { idx, images, program, schedule, workspace });
                }
                Ok(result)
            })
        };
        chunks.into_par_iter().map(of_chunk).collect()
    }

    fn check_stop(&self) -> Result<(), SearchError> {
        if self.stop.load(Ordering::Relaxed) { Err(SearchError::Stopped) } else { Ok(()) }
    }
}

/// An image right after it ran.
pub(crate) struct Seen<'s> {
    /// Which one of the set.
    pub(crate) idx: usize,
    images: &'s dyn Images,
    program: &'s Program,
    schedule: &'s Schedule,
    workspace: &'s Workspace,
}

impl Seen<'_> {
    /// What is known of the image.
    pub(crate) fn truth(&self) -> Truth<'_> {
        self.images.truth(self.idx)
    }

    /// A value that was wanted.
    pub(crate) fn value(&self, id: NodeId) -> ValueRef<'_> {
        self.program.value(self.schedule, self.workspace, id)
    }
}

/// What runs, and what each chunk starts from.
pub(crate) struct Job<'p> {
    program: &'p Program,
    /// Of each node's value; none where nothing is cached.
    digests: &'p [Digest],
    schedules: Vec<Schedule>,
    first: usize,
    /// Which schedule each chunk has; none where all have the one.
    of_chunk: Vec<usize>,
}

impl<'p> Job<'p> {
    /// The whole network, for its outputs.
    pub(crate) fn whole(program: &'p Program) -> Self {
        Self::of(program, program.outputs())
    }

    /// As much of the network as some values take.
    pub(crate) fn of(program: &'p Program, wanted: &[NodeId]) -> Self {
        let schedules = vec![program.schedule(&[], wanted)];
        Self { program, digests: &[], schedules, first: 0, of_chunk: Vec::new() }
    }

    /// What `wanted` values of each chunk take beyond what is cached of it.
    pub(crate) fn from_cache(
        graph: &Graph,
        (program, digests): (&'p Program, &'p [Digest]),
        cache: &Cache,
        chunks: Range<usize>,
        wanted: impl Fn(usize) -> Vec<NodeId>,
    ) -> Self {
        let mut schedules: Vec<Schedule> = Vec::new();
        let mut by_sources: BTreeMap<(Vec<NodeId>, Vec<NodeId>), usize> = BTreeMap::new();
        let first = chunks.start;
        let of_chunk = chunks
            .map(|chunk| {
                let wanted = wanted(chunk);
                let sources = cache.sources(graph, digests, chunk, &wanted);
                *by_sources.entry((sources, wanted)).or_insert_with_key(|(sources, wanted)| {
                    schedules.push(program.schedule(sources, wanted));
                    schedules.len() - 1
                })
            })
            .collect();
        Self { program, digests, schedules, first, of_chunk }
    }

    pub(crate) fn schedule(&self, chunk: usize) -> &Schedule {
        let which = self.of_chunk.get(chunk.wrapping_sub(self.first)).copied().unwrap_or(0);
        &self.schedules[which]
    }

    /// All of them.
    pub(crate) fn schedules(&self) -> &[Schedule] {
        &self.schedules
    }

    /// The cached values that a chunk starts from, with the bytes of one image's.
    fn given<'c>(
        &self,
        schedule: &Schedule,
        cache: Option<&'c Cache>,
        chunk: usize,
    ) -> Vec<(&'c [u8], usize)> {
        let of = |&id: &NodeId| {
            let values = cache.and_then(|cache| cache.get(&self.digests[id].at(id), chunk));
            (values.expect("it was chosen as a source"), self.program.value_bytes(id))
        };
        schedule.provided().iter().map(of).collect()
    }
}

/// What one thread needs to run images.
#[derive(Default)]
struct Worker {
    workspaces: Vec<Workspace>,
    images: Vec<Vec<f32>>,
}

impl Worker {
    /// Makes room for so many images.
    fn grow(&mut self, n: usize) {
        let n = n.max(self.images.len());
        self.workspaces.resize_with(n, Workspace::new);
        self.images.resize_with(n, Vec::new);
    }
}

/// Workers that are not at work: as many come to be as threads run at a time.
#[derive(Default)]
struct Workers(Mutex<Vec<Worker>>);

impl Workers {
    fn with<R>(&self, work: impl FnOnce(&mut Worker) -> R) -> R {
        let idle = self.0.lock().ok().and_then(|mut idle| idle.pop());
        let mut worker = idle.unwrap_or_default();
        let result = work(&mut worker);
        if let Ok(mut idle) = self.0.lock() {
            idle.push(worker);
        }
        result
    }
}
