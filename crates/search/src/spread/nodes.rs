//! Who carries questions to other machines.

use std::sync::Arc;

/// Others that answer questions, by their places.
///
/// Nobody relies on an answer: where none comes, another is asked.
pub trait Nodes: Sync {
    /// How many there are; one that is lost keeps its place.
    fn count(&self) -> usize;

    /// Threads of each.
    fn threads(&self) -> usize {
        1
    }

    /// Whether one can be asked now.
    fn is_there(&self, node: usize) -> bool;

    /// Asks one. Gives a number that no other question has.
    fn ask(&self, node: usize, question: Question) -> u64;

    /// Waits a moment for something to happen.
    fn next(&self) -> Happened;
}

/// What a node is asked.
#[derive(Clone, Debug)]
pub struct Question {
    /// The question itself, which is short.
    pub ask: Vec<u8>,
    /// What the node is to remember for it.
    pub given: Vec<Given>,
}

/// What several nodes are given alike.
#[derive(Clone, Debug)]
pub struct Given {
    /// No other bytes have the same.
    pub name: String,
    /// What [`Answerer::answer`](super::Answerer::answer) takes.
    pub bytes: Arc<[u8]>,
}

/// What happened at the nodes.
#[derive(Clone, Debug)]
pub enum Happened {
    /// Nothing.
    Nothing,
    /// Nothing for so long that a node may never answer; told again and again, until something happens.
    Late,
    /// The question of that number has its answer.
    Answered(u64, Vec<u8>),
    /// It will have none.
    Lost(u64),
    /// A node is none of this search.
    Refused(String),
}
