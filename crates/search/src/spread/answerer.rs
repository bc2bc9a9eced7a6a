//! Answers what is asked of a node.

use super::wire::{Ask, Remember, Reply, What, bytes, read};
use crate::{
    digest::Digest,
    error::SearchError,
    evaluate::{
        EvaluatorOptions, FloatRows, FloatRun, Images, Local, Predictions, Question, Request,
    },
};
use fixedwise_graph::{Graph, NodeId, Plan, Thinned, passes};
use fixedwise_kernels::Kernels;
use std::{
    collections::VecDeque,
    ops::Range,
    sync::{Arc, OnceLock, atomic::AtomicBool},
};

/// Plans that are remembered.
const PLANS: usize = 4;

/// What the float network says of images, from its outputs.
pub type Judged<'a> =
    Box<dyn Fn(&[FloatRows]) -> Result<Predictions, SearchError> + Send + Sync + 'a>;

/// Room for the network without channels, once whoever asks has told them.
#[derive(Debug, Default)]
pub struct ThinNetwork(OnceLock<(Thinned, Option<Graph>)>);

impl ThinNetwork {
    /// Empty.
    pub const fn new() -> Self {
        Self(OnceLock::new())
    }
}

/// Images of a node.
pub struct ImageSet<'a> {
    /// The images.
    pub images: &'a dyn Images,
    /// What the float network says of them, from its outputs.
    pub judged: Judged<'a>,
    /// What measures plans may use and demands.
    pub options: EvaluatorOptions,
}

impl std::fmt::Debug for ImageSet<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ImageSet").field("images", &self.images.len()).finish_non_exhaustive()
    }
}

/// Answers what is asked about one network, with the same bits as whoever asks would find.
#[derive(Debug)]
pub struct Answerer<'a> {
    key: String,
    /// The network in float, and as plans speak of it.
    float: &'a Graph,
    graph: &'a Graph,
    thin: &'a ThinNetwork,
    kernels: &'static Kernels,
    stop: &'a AtomicBool,
    sets: Vec<Held<'a>>,
    /// The latest last.
    plans: VecDeque<(Digest, Plan)>,
}

/// Images, and what was made ready of them.
#[derive(Debug)]
struct Held<'a> {
    set: ImageSet<'a>,
    run: Option<FloatRun<'a>>,
    local: Option<Local<'a>>,
}

impl<'a> Answerer<'a> {
    /// Of plans for `graph`, perhaps without channels, whose float network is `float`, on sets of images; asked with another
    /// key, it refuses.
    pub fn new(
        key: String,
        (float, graph, thin): (&'a Graph, &'a Graph, &'a ThinNetwork),
        sets: Vec<ImageSet<'a>>,
        kernels: &'static Kernels,
        stop: &'a AtomicBool,
    ) -> Self {
        let held = |set| Held { set, run: None, local: None };
        let sets = sets.into_iter().map(held).collect();
        Self { key, float, graph, thin, kernels, stop, sets, plans: VecDeque::new() }
    }

    /// The answer to a question, both as bytes, with what is given for it.
    pub fn answer(&mut self, ask: &[u8], given: &[&[u8]]) -> Vec<u8> {
        let reply = match read(ask) {
            Some(ask) => self.reply(ask, given),
            None => Reply::Refuses(
                "a node does not understand what it is asked: it runs another version".to_owned(),
            ),
        };
        bytes(&reply)
    }

    fn reply(&mut self, ask: Ask, given: &[&[u8]]) -> Reply {
        let Ask { key, set, chunks, what } = ask;
        if key != self.key {
            return Reply::Refuses(format!(
                "a node has another network, other images or another version than the driver ({} and {key}): give \
                 all the same files and the same package",
                self.key
            ));
        }
        let all = self.sets.get(set).map_or(0, |held| held.set.images.len());
        if chunks.end > all.div_ceil(crate::evaluate::Part::CHUNK) {
            return Reply::Cannot;
        }
        for given in given {
            if self.remember(given).is_none() {
                return Reply::Cannot;
            }
        }
        let reply = match what {
            // Other kernels add floats up in another order.
            What::Float { kernels } if kernels == self.kernels.name => self.float(set, chunks),
            What::Float { .. } => None,
            What::Parts { plan, question, focus } => {
                self.parts(set, plan, (question, focus), chunks)
            }
        };
        reply.unwrap_or(Reply::Cannot)
    }

    fn remember(&mut self, given: &[u8]) -> Option<()> {
        match read(given)? {
            Remember::Float { set, rows, thinned } => {
                let graph = self.without(thinned)?;
                let held = self.sets.get_mut(set)?;
                let predictions = Arc::new((held.set.judged)(&rows).ok()?);
                held.local = Some(Local::new(
                    graph,
                    held.set.images,
                    predictions,
                    self.kernels,
                    self.stop,
                    held.set.options.clone(),
                ));
            }
            Remember::Plan { digest, plan } => {
                self.plans.retain(|(known, _)| *known != digest);
                self.plans.push_back((digest, plan.plan()?));
                if self.plans.len() > PLANS {
                    self.plans.pop_front();
                }
            }
        }
        Some(())
    }

    /// The network that plans are of; nothing where it lacked other channels before.
    fn without(&self, thinned: Option<Thinned>) -> Option<&'a Graph> {
        let Some(thinned) = thinned else { return Some(self.graph) };
        let make = || (thinned.clone(), passes::thin(self.graph, &thinned).ok());
        let (known, graph) = self.thin.0.get_or_init(make);
        graph.as_ref().filter(|_| *known == thinned)
    }

    fn float(&mut self, set: usize, chunks: Range<usize>) -> Option<Reply> {
        let held = self.sets.get_mut(set)?;
        if held.run.is_none() {
            let run = FloatRun::new(self.float, held.set.images, self.kernels, self.stop);
            held.run = Some(run.ok()?);
        }
        held.run.as_ref()?.rows(chunks).ok().map(Reply::Float)
    }

    fn parts(
        &mut self,
        set: usize,
        digest: Digest,
        (question, focus): (Question, Option<NodeId>),
        chunks: Range<usize>,
    ) -> Option<Reply> {
        let held = self.sets.get_mut(set)?;
        // The float network is through.
        held.run = None;
        let plan = self.plans.iter().find(|(known, _)| *known == digest);
        let (Some(local), Some((_, plan))) = (&mut held.local, plan) else {
            return Some(Reply::Lacks);
        };
        let request = Request { plan, question, focus, ahead: 0 };
        local.parts(&request, chunks).ok().map(Reply::Parts)
    }
}
