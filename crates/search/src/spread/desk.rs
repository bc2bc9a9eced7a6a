//! Who has which piece of some work.

use super::nodes::{Happened, Nodes, Question};
use crate::error::SearchError;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicBool, Ordering},
};

/// Work in pieces, each of which anybody may do.
pub(super) trait Work {
    /// What a node is asked for a piece; where it has said that it lacks what it was given before, with all of that.
    fn question(&mut self, node: usize, piece: usize, is_lacking: bool) -> Question;

    /// Takes an answer.
    fn take(&mut self, piece: usize, answer: &[u8]) -> Result<Took, SearchError>;

    /// Does a piece here.
    fn here(&mut self, piece: usize) -> Result<(), SearchError>;
}

/// What an answer was.
pub(super) enum Took {
    /// The piece is done.
    Done,
    /// The node lacks something that it was given before.
    Lacks,
    /// The node cannot do the piece.
    Cannot,
}

/// Gives pieces to nodes, each to the one that had it last: what it keeps of it is of use then.
///
/// A node that is done takes pieces of one that is behind. A piece whose node is lost or late is given to another, and
/// done here where there is none.
pub(super) struct Desk<'a> {
    nodes: &'a dyn Nodes,
    stop: &'a AtomicBool,
    /// By piece, the node that had it last.
    homes: BTreeMap<usize, usize>,
    /// By number, questions without answer.
    out: BTreeMap<u64, Out>,
    /// Which work is done now.
    turn: u64,
}

/// A question without answer.
struct Out {
    node: usize,
    piece: usize,
    turn: u64,
    /// Whether somebody else has the piece, too.
    is_given_up: bool,
}

impl<'a> Desk<'a> {
    pub(super) fn new(nodes: &'a dyn Nodes, stop: &'a AtomicBool) -> Self {
        Self { nodes, stop, homes: BTreeMap::new(), out: BTreeMap::new(), turn: 0 }
    }

    /// Turns to other work: answers that are still out are of no use.
    pub(super) fn turn(&mut self) {
        self.turn += 1;
    }

    /// Has pieces done that are `wanted`, and those `ahead` begun where a node would have nothing to do. What was begun
    /// and is wanted later is taken then.
    ///
    /// # Errors
    /// Those of the work, and where the stop flag was raised.
    pub(super) fn done(
        &mut self,
        mut wanted: BTreeSet<usize>,
        mut ahead: BTreeSet<usize>,
        work: &mut impl Work,
    ) -> Result<(), SearchError> {
        while !wanted.is_empty() {
            self.hand_out(&wanted, &mut ahead, work);
            if self.stop.load(Ordering::Relaxed) {
                return Err(SearchError::Stopped);
            }
            let is_out = |piece: usize| self.out.values().any(|out| self.is_of(out, piece));
            let nobodys = wanted.iter().copied().find(|&piece| !is_out(piece));
            if let Some(piece) = nobodys.filter(|_| self.present().next().is_none()) {
                work.here(piece)?;
                wanted.remove(&piece);
                continue;
            }
            match self.nodes.next() {
                Happened::Nothing => {}
                Happened::Late => {
                    self.give_up();
                    // Where all are late, this machine goes on.
                    if !self.present().any(|node| self.busy(node) == 0)
                        && let Some(piece) = wanted.pop_first()
                    {
                        work.here(piece)?;
                    }
                }
                Happened::Refused(problem) => return Err(SearchError::Node { problem }),
                Happened::Lost(number) => {
                    if let Some(out) = self.out.remove(&number) {
                        self.homes.remove(&out.piece);
                    }
                }
                Happened::Answered(number, answer) => {
                    let Some(out) = self.out.remove(&number) else { continue };
                    if out.turn != self.turn {
                        continue;
                    }
                    match work.take(out.piece, &answer)? {
                        Took::Done => {
                            wanted.remove(&out.piece);
                        }
                        Took::Lacks => self.ask(out.node, out.piece, true, work),
                        Took::Cannot => {
                            if wanted.remove(&out.piece) {
                                work.here(out.piece)?;
                            }
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// The nodes that can be asked.
    fn present(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.nodes.count()).filter(|&node| self.nodes.is_there(node))
    }

    /// Questions that a node has.
    fn busy(&self, node: usize) -> usize {
        self.out.values().filter(|out| out.node == node).count()
    }

    /// Whether a node has a question of which nobody waits for the answer any more.
    fn is_late(&self, node: usize) -> bool {
        self.out.values().any(|out| out.node == node && out.is_given_up)
    }

    /// Whether a question is for that piece of the work, and its answer is waited for.
    fn is_of(&self, out: &Out, piece: usize) -> bool {
        out.piece == piece && out.turn == self.turn && !out.is_given_up
    }

    fn ask(&mut self, node: usize, piece: usize, is_lacking: bool, work: &mut impl Work) {
        let number = self.nodes.ask(node, work.question(node, piece, is_lacking));
        self.homes.insert(piece, node);
        self.out.insert(number, Out { node, piece, turn: self.turn, is_given_up: false });
    }

    /// Gives nodes what they can take.
    fn hand_out(
        &mut self,
        wanted: &BTreeSet<usize>,
        ahead: &mut BTreeSet<usize>,
        work: &mut impl Work,
    ) {
        let present: Vec<usize> = self.present().collect();
        let mut busy: BTreeMap<usize, usize> =
            present.iter().map(|&node| (node, self.busy(node))).collect();
        let is_out = |piece: usize| self.out.values().any(|out| self.is_of(out, piece));
        let todo: Vec<usize> = wanted.iter().copied().filter(|&piece| !is_out(piece)).collect();
        // By node, what it had before; the others in turn.
        let mut queues: BTreeMap<usize, BTreeSet<usize>> =
            present.iter().map(|&node| (node, BTreeSet::new())).collect();
        let mut left = 0;
        for piece in todo {
            let home = self.homes.get(&piece).filter(|home| queues.contains_key(home));
            let next = present.get(piece % present.len().max(1));
            if let Some(queue) = home.or(next).and_then(|node| queues.get_mut(node)) {
                queue.insert(piece);
                left += 1;
            }
        }
        // The second question of a node waits there while it answers the first, so that it need not wait for another;
        // at the end it would better be with one that has nothing to do.
        for depth in 1..=2 {
            for &node in &present {
                let is_waiting = busy[&node] >= depth;
                if is_waiting || depth > 1 && (left <= present.len() || self.is_late(node)) {
                    continue;
                }
                let own = queues.get_mut(&node).and_then(BTreeSet::pop_first);
                let piece = own.or_else(|| {
                    let longest = queues.values_mut().max_by_key(|queue| queue.len());
                    longest.filter(|_| depth == 1).and_then(BTreeSet::pop_last)
                });
                let Some(piece) = piece else { continue };
                left -= 1;
                busy.entry(node).and_modify(|busy| *busy += 1);
                self.ask(node, piece, false, work);
            }
        }
        ahead.retain(|&piece| !self.out.values().any(|out| self.is_of(out, piece)));
        for &node in &present {
            if busy[&node] == 0
                && let Some(piece) = ahead.pop_first()
            {
                self.ask(node, piece, false, work);
            }
        }
    }

    /// Waits no longer for answers that are out.
    fn give_up(&mut self) {
        let turn = self.turn;
        self.out.values_mut().filter(|out| out.turn == turn).for_each(|out| out.is_given_up = true);
    }
}
