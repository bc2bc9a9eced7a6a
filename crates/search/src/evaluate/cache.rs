//! Values of earlier nodes for many images, under a byte budget.

use crate::digest::Digest;
use fixedwise_graph::{Graph, NodeId};
use std::collections::BTreeMap;

/// A value: whose, and under which plan.
pub(crate) type Key = (NodeId, Digest);

#[derive(Debug, Default)]
struct Entry {
    /// By chunk: the values of its images one after the other.
    chunks: Vec<Option<Box<[u8]>>>,
    last_use: u64,
}

/// Values by node, plan and chunk of images.
#[derive(Debug)]
pub(crate) struct Cache {
    entries: BTreeMap<Key, Entry>,
    n_chunks: usize,
    bytes: usize,
    budget: usize,
    clock: u64,
}

impl Cache {
    pub(crate) fn new(n_chunks: usize, budget: usize) -> Self {
        Self { entries: BTreeMap::new(), n_chunks, bytes: 0, budget, clock: 0 }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn get(&self, key: &Key, chunk: usize) -> Option<&[u8]> {
        self.entries.get(key)?.chunks[chunk].as_deref()
    }

    /// The cached values to start from, when `wanted` are to be computed for one chunk.
    pub(crate) fn sources(
        &self,
        graph: &Graph,
        digests: &[Digest],
        chunk: usize,
        wanted: &[NodeId],
    ) -> Vec<NodeId> {
        let mut needed = vec![false; graph.nodes.len()];
        for &id in wanted {
            needed[id] = true;
        }
        let mut sources = Vec::new();
        for id in (0..needed.len()).rev() {
            if !needed[id] {
                continue;
            }
            if self.get(&digests[id].at(id), chunk).is_some() {
                sources.push(id);
            } else {
                graph.nodes[id].inputs.iter().for_each(|&input| needed[input] = true);
            }
        }
        sources.reverse();
        sources
    }

    /// Marks entries as used now.
    pub(crate) fn touch<'a>(&mut self, keys: impl IntoIterator<Item = &'a Key>) {
        self.clock += 1;
        for key in keys {
            if let Some(entry) = self.entries.get_mut(key) {
                entry.last_use = self.clock;
            }
        }
    }

    pub(crate) fn insert(&mut self, key: Key, chunk: usize, values: Box<[u8]>) {
        let (n_chunks, clock) = (self.n_chunks, self.clock);
        let entry = self.entries.entry(key).or_insert_with(|| Entry {
            chunks: (0..n_chunks).map(|_| None).collect(),
            last_use: clock,
        });
        self.bytes += values.len();
        if let Some(old) = entry.chunks[chunk].replace(values) {
            self.bytes -= old.len();
        }
    }

    /// Drops what is of least use until `wanted` more bytes fit: first values of other plans, the
    /// longest unused first, then those of this plan (`live`) for chunks before `done`, whose
    /// later values are kept instead. Never what is in `keep`.
    pub(crate) fn make_room(
        &mut self,
        wanted: usize,
        live: impl Fn(&Key) -> bool,
        keep: &[Key],
        done: usize,
    ) -> bool {
        if self.bytes + wanted <= self.budget {
            return true;
        }
        let mut victims: Vec<(bool, u64, Key)> = self
            .entries
            .iter()
            .filter(|(key, _)| !keep.contains(key))
            .map(|(key, entry)| (live(key), entry.last_use, *key))
            .collect();
        victims.sort_unstable();
        for (is_live, _, key) in victims {
            let entry = self.entries.get_mut(&key).expect("it was listed");
            let end = if is_live { done } else { entry.chunks.len() };
            // From the end: the first chunks are the ones that every evaluation needs.
            for chunk in entry.chunks[..end].iter_mut().rev() {
                if self.bytes + wanted <= self.budget {
                    return true;
                }
                if let Some(values) = chunk.take() {
                    self.bytes -= values.len();
                }
            }
            if entry.chunks.iter().all(Option::is_none) {
                self.entries.remove(&key);
            }
        }
        self.bytes + wanted <= self.budget
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(node: NodeId) -> Key {
        Digest::new().at(node)
    }

    #[test]
    fn the_budget_holds_and_other_plans_go_first() {
        let mut cache = Cache::new(2, 100);
        let (old, source, new) = (key(1), key(2), key(3));
        for chunk in 0..2 {
            cache.insert(old, chunk, vec![0; 20].into());
            cache.insert(source, chunk, vec![0; 30].into());
        }
        assert_eq!(cache.bytes(), 100);
        let live = |k: &Key| *k != old;
        assert!(cache.make_room(40, live, &[new], 0));
        assert!(cache.get(&old, 0).is_none() && cache.get(&source, 1).is_some());
        cache.insert(new, 0, vec![0; 40].into());
        assert!(!cache.make_room(40, live, &[new], 0), "the source is still needed");
        assert!(cache.make_room(30, live, &[new], 1), "its first chunk is not");
        assert!(cache.get(&source, 0).is_none() && cache.get(&source, 1).is_some());
    }
}
