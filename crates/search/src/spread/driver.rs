//! Measures plans on the images of a set by asking nodes, each for some of the chunks.

use super::{
    desk::{Desk, Took, Work},
    nodes::{Given, Nodes, Question as NodeQuestion},
    wire::{Ask, PlainPlan, Remember, Reply, What, bytes, read},
};
use crate::{
    digest::{Digest, Digester},
    error::SearchError,
    evaluate::{FloatRows, FloatRun, Local, Measure, Part, Question, ROUND, Request},
};
use fixedwise_fixed::convert::count_to_u64;
use fixedwise_graph::{Graph, LowerError, NodeId, Plan, Thinned};
use fixedwise_kernels::Kernels;
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::{Arc, atomic::AtomicBool},
};

/// Multiplications of a piece for each thread, at least and at most: a few milliseconds are more than a message takes, and
/// after a few tens its time is nothing beside them.
const PIECE_MACS: [u64; 2] = [1 << 29, 1 << 32];
/// Pieces for each node at least, where there are so many chunks: a node that is done early takes one of another.
const PIECES: usize = 4;

/// Who is asked, and about what.
#[derive(Clone)]
pub struct Asked<'a> {
    /// Who is asked.
    pub nodes: &'a dyn Nodes,
    /// What networks, images and arithmetic: nodes with another key refuse.
    pub key: String,
    /// Which of the sets of images that nodes have.
    pub set: usize,
    /// What plans are without of the network that the key is of.
    pub thinned: Option<Arc<Thinned>>,
    /// Ends the waiting.
    pub stop: &'a AtomicBool,
}

impl std::fmt::Debug for Asked<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Asked").field("key", &self.key).field("set", &self.set).finish()
    }
}

impl Asked<'_> {
    /// Chunks that are asked for together, of so many.
    fn together(&self, graph: &Graph, chunks: usize) -> usize {
        let threads = self.nodes.threads().max(1);
        let of_chunk = graph.macs().max(1).saturating_mul(count_to_u64(Part::CHUNK));
        let [least, most] =
            PIECE_MACS.map(|macs| usize::try_from(macs.div_ceil(of_chunk)).unwrap_or(usize::MAX));
        // Where a plan may be given up after a round, all have a part of that.
        let nodes = threads * self.nodes.count().max(1);
        let wanted = ROUND.div_ceil(nodes).clamp(least, most);
        wanted.min(chunks / (PIECES * nodes)).max(1) * threads
    }

    fn ask(&self, chunks: Range<usize>, what: What) -> Vec<u8> {
        bytes(&Ask { key: self.key.clone(), set: self.set, chunks, what })
    }

    /// What the float network says of all chunks, by nodes with the same kernels.
    ///
    /// # Errors
    /// Where a node refuses, and where the stop flag was raised.
    pub fn float_rows(&self, float: &Graph, run: &FloatRun) -> Result<Vec<FloatRows>, SearchError> {
        let chunks = run.chunks().end;
        let together = self.together(float, chunks);
        let mut work = FloatWork { asked: self, run, together, rows: BTreeMap::new() };
        let all = (0..chunks.div_ceil(together)).collect();
        Desk::new(self.nodes, self.stop).done(all, BTreeSet::new(), &mut work)?;
        Ok(work.rows.into_values().flatten().collect())
    }
}

/// The chunks of a piece.
fn piece(piece: usize, together: usize, chunks: usize) -> Range<usize> {
    piece * together..chunks.min((piece + 1) * together)
}

/// The float network, on the images of a set.
struct FloatWork<'w, 'a> {
    asked: &'w Asked<'a>,
    run: &'w FloatRun<'a>,
    together: usize,
    rows: BTreeMap<usize, Vec<FloatRows>>,
}

impl FloatWork<'_, '_> {
    fn chunks(&self, which: usize) -> Range<usize> {
        piece(which, self.together, self.run.chunks().end)
    }
}

impl Work for FloatWork<'_, '_> {
    fn question(&mut self, _: usize, piece: usize, _: bool) -> NodeQuestion {
        let kernels = Kernels::best().name.to_owned();
        let ask = self.asked.ask(self.chunks(piece), What::Float { kernels });
        NodeQuestion { ask, given: Vec::new() }
    }

    fn take(&mut self, piece: usize, answer: &[u8]) -> Result<Took, SearchError> {
        match read(answer) {
            Some(Reply::Float(rows)) if rows.len() == self.chunks(piece).len() => {
                self.rows.insert(piece, rows);
                Ok(Took::Done)
            }
            Some(Reply::Refuses(problem)) => Err(SearchError::Node { problem }),
            _ => Ok(Took::Cannot),
        }
    }

    fn here(&mut self, piece: usize) -> Result<(), SearchError> {
        let rows = self.run.rows(self.chunks(piece))?;
        self.rows.insert(piece, rows);
        Ok(())
    }
}

/// Measures plans by nodes, and here what they leave.
pub struct Spread<'a> {
    desk: Desk<'a>,
    parts: Parts<'a>,
}

impl std::fmt::Debug for Spread<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spread").field("asked", &self.parts.asked).finish_non_exhaustive()
    }
}

/// A plan, of whose chunks parts are wanted.
struct Parts<'a> {
    asked: Asked<'a>,
    graph: &'a Graph,
    /// Measures here.
    local: Local<'a>,
    digester: Digester,
    /// Of the set, and those of a piece.
    chunks: usize,
    together: usize,
    /// What the float network says, for nodes.
    float: Given,
    /// What is asked now.
    now: Option<Now>,
    /// By chunk, what is known of that.
    ready: BTreeMap<usize, Part>,
    /// By node, what it was given.
    held: BTreeMap<usize, BTreeSet<String>>,
}

/// What is asked.
struct Now {
    plan: Plan,
    digest: Digest,
    question: Question,
    focus: Option<NodeId>,
    /// The plan, for nodes; once it is needed.
    given: Option<Given>,
}

impl<'a> Spread<'a> {
    /// Of plans for `graph` by the nodes that are `asked`, or by `local`, which measures the same images. `rows` is what
    /// the float network says of these.
    pub fn new(asked: Asked<'a>, graph: &'a Graph, local: Local<'a>, rows: &[FloatRows]) -> Self {
        let desk = Desk::new(asked.nodes, asked.stop);
        let chunks = rows.len();
        let together = asked.together(graph, chunks);
        let thinned = asked.thinned.as_deref().cloned();
        let dropped = thinned.as_ref().map(|thinned| &thinned.dropped);
        // What makes up for channels follows from them and the images.
        let without = dropped.map_or_else(String::new, |dropped| format!(" without {dropped:?}"));
        let remember = Remember::Float { set: asked.set, rows: rows.to_vec(), thinned };
        let float = Given {
            name: format!("float network of set {} of {}{without}", asked.set, asked.key),
            bytes: bytes(&remember).into(),
        };
        let parts = Parts {
            graph,
            local,
            digester: Digester::default(),
            chunks,
            together,
            float,
            now: None,
            ready: BTreeMap::new(),
            held: BTreeMap::new(),
            asked,
        };
        Self { desk, parts }
    }
}

impl Measure for Spread<'_> {
    fn part(&mut self, request: &Request, chunks: Range<usize>) -> Result<Part, SearchError> {
        let parts = &mut self.parts;
        parts.local.check_runs(request.plan)?;
        let digests = parts.digester.of_nodes(parts.graph, request.plan);
        let digest = Digest::of_outputs(parts.graph, &digests);
        let is_same = |now: &Now| now.digest == digest && now.question == request.question;
        match &mut parts.now {
            Some(now) if is_same(now) => now.focus = request.focus,
            now => {
                self.desk.turn();
                parts.ready.clear();
                let Request { question, focus, .. } = *request;
                let plan = request.plan.clone();
                *now = Some(Now { plan, digest, question, focus, given: None });
            }
        }
        let together = parts.together;
        let pieces = |chunks: Range<usize>| -> BTreeSet<usize> {
            chunks.map(|chunk| chunk / together).collect()
        };
        let missing = |chunks: Range<usize>| -> BTreeSet<usize> {
            let mut pieces = pieces(chunks);
            pieces.retain(|&which| {
                let mut own = piece(which, together, parts.chunks);
                own.any(|chunk| !parts.ready.contains_key(&chunk))
            });
            pieces
        };
        let wanted = missing(chunks.clone());
        let mut ahead = missing(chunks.end..request.ahead.max(chunks.end));
        ahead.retain(|piece| !wanted.contains(piece));
        self.desk.done(wanted, ahead, parts)?;
        let part = |chunk| parts.ready.get(&chunk).cloned().unwrap_or_default();
        Ok(chunks.map(part).fold(Part::default(), Part::join))
    }

    fn check(&self, plan: &Plan) -> Result<(), LowerError> {
        self.parts.local.check(plan)
    }

    fn cached_bytes(&self) -> usize {
        self.parts.local.cached_bytes()
    }
}

impl Parts<'_> {
    fn now(&mut self) -> &mut Now {
        self.now.as_mut().expect("something is asked")
    }

    fn put(&mut self, piece: Range<usize>, parts: Vec<Part>) {
        self.ready.extend(piece.zip(parts));
    }
}

impl Work for Parts<'_> {
    fn question(&mut self, node: usize, which: usize, is_lacking: bool) -> NodeQuestion {
        let chunks = piece(which, self.together, self.chunks);
        let now = self.now();
        let given = now.given.get_or_insert_with(|| {
            let remember = Remember::Plan { digest: now.digest, plan: PlainPlan::of(&now.plan) };
            Given { name: format!("plan {}", now.digest), bytes: bytes(&remember).into() }
        });
        let given = given.clone();
        let what = What::Parts { plan: now.digest, question: now.question, focus: now.focus };
        let held = self.held.entry(node).or_default();
        let mut all = vec![self.float.clone(), given];
        all.retain(|given| held.insert(given.name.clone()) || is_lacking);
        NodeQuestion { ask: self.asked.ask(chunks, what), given: all }
    }

    fn take(&mut self, which: usize, answer: &[u8]) -> Result<Took, SearchError> {
        let chunks = piece(which, self.together, self.chunks);
        match read(answer) {
            Some(Reply::Parts(parts)) if parts.len() == chunks.len() => {
                self.put(chunks, parts);
                Ok(Took::Done)
            }
            Some(Reply::Lacks) => Ok(Took::Lacks),
            Some(Reply::Refuses(problem)) => Err(SearchError::Node { problem }),
            _ => Ok(Took::Cannot),
        }
    }

    fn here(&mut self, which: usize) -> Result<(), SearchError> {
        let chunks = piece(which, self.together, self.chunks);
        let now = self.now.as_ref().expect("something is asked");
        let request =
            Request { plan: &now.plan, question: now.question, focus: now.focus, ahead: 0 };
        let parts = self.local.parts(&request, chunks.clone())?;
        self.put(chunks, parts);
        Ok(())
    }
}
