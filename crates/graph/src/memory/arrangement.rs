//! Where buffers lie in one block of memory: lifetimes and legal ways of sharing go in, offsets come out.

/// Orders that are tried at most before the best arrangement is taken.
const MAX_ORDERS: usize = 256;

/// Bytes that lie together from one step to another.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Buffer {
    /// The first step in which they are used.
    pub first: usize,
    /// The last.
    pub last: usize,
    /// How many; a multiple of what offsets must be multiples of.
    pub bytes: usize,
    /// Buffers that end where this one begins and that it may be written over, from the same first byte.
    pub over: Vec<usize>,
}

impl Buffer {
    fn meets(&self, other: &Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

/// Offsets of buffers in one block of memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrangement {
    /// Of each buffer.
    pub offsets: Vec<usize>,
    /// Bytes of the block.
    pub bytes: usize,
    /// Bytes in use at each step: no arrangement is smaller than the largest.
    pub live_bytes: Vec<usize>,
}

/// Arranges buffers over so many steps. The same buffers always lie the same.
///
/// Each order in which buffers take the lowest place that is free gives an arrangement. Large ones
/// first is nearly always the best; where it is not, buffers at the upper end come earlier.
pub fn arrange(buffers: &[Buffer], n_steps: usize) -> Arrangement {
    let live_bytes = live_bytes(buffers, n_steps);
    let (offsets, bytes) = best_order(buffers, live_bytes.iter().copied().max().unwrap_or(0));
    Arrangement { offsets, bytes, live_bytes }
}

/// Bytes in use at each step, where every buffer that may be is written over its largest input.
fn live_bytes(buffers: &[Buffer], n_steps: usize) -> Vec<usize> {
    let mut live = vec![0; n_steps];
    for buffer in buffers {
        for bytes in live.iter_mut().take(buffer.last + 1).skip(buffer.first) {
            *bytes += buffer.bytes;
        }
        let shared = buffer.over.iter().map(|&over| buffers[over].bytes.min(buffer.bytes)).max();
        live[buffer.first] -= shared.unwrap_or(0);
    }
    live
}

/// Offsets of the buffers and the bytes of all, no less than `least`.
fn best_order(buffers: &[Buffer], least: usize) -> (Vec<usize>, usize) {
    let key_of_size = |&i: &usize| (std::cmp::Reverse(buffers[i].bytes), buffers[i].first, i);
    let mut by_size: Vec<usize> = (0..buffers.len()).collect();
    by_size.sort_by_key(key_of_size);
    let mut by_life = by_size.clone();
    by_life.sort_by_key(|&i| {
        let steps = buffers[i].last - buffers[i].first + 1;
        std::cmp::Reverse(buffers[i].bytes.saturating_mul(steps))
    });
    let by_start: Vec<usize> = {
        let mut order = by_size.clone();
        order.sort_by_key(|&i| buffers[i].first);
        order
    };

    let mut best = (Vec::new(), usize::MAX);
    let mut n_tried = 0;
    for mut order in [by_size, by_life, by_start] {
        for _ in 0..MAX_ORDERS / 3 {
            let (places, bytes) = place(buffers, &order);
            n_tried += 1;
            // Of the buffers at the upper end the one that is tried earlier next time.
            let top = (0..order.len()).rev().find(|&position| {
                let i = order[position];
                buffers[i].bytes > 0 && places[i] + buffers[i].bytes == bytes
            });
            if bytes < best.1 {
                best = (places, bytes);
            }
            match top {
                Some(position) if position > 0 && best.1 > least => {
                    // Not always to the front: a fixed pattern of targets escapes short cycles.
                    let target = [0, position / 2, position - 1][n_tried % 3];
                    let buffer = order.remove(position);
                    order.insert(target, buffer);
                }
                _ => break,
            }
        }
        if best.1 <= least {
            break;
        }
    }
    best
}

/// Gives each buffer, in that order, the lowest offset at which it disturbs none before it.
pub(super) fn place(buffers: &[Buffer], order: &[usize]) -> (Vec<usize>, usize) {
    let mut places = vec![0; buffers.len()];
    let mut bytes = 0;
    // Offset and bytes of those it meets, and whether it may lie exactly there.
    let mut met: Vec<(usize, usize, bool)> = Vec::new();
    for (position, &i) in order.iter().enumerate() {
        let buffer = &buffers[i];
        if buffer.bytes == 0 {
            continue;
        }
        met.clear();
        for &j in &order[..position] {
            if buffers[j].bytes > 0 && buffer.meets(&buffers[j]) {
                let may_share = buffer.over.contains(&j) || buffers[j].over.contains(&i);
                met.push((places[j], buffers[j].bytes, may_share));
            }
        }
        let is_free = |offset: usize| {
            met.iter().all(|&(other, size, may_share)| {
                may_share && other == offset
                    || offset >= other + size
                    || offset + buffer.bytes <= other
            })
        };
        let ends = met.iter().map(|&(other, size, _)| other + size);
        let shared = met.iter().filter(|met| met.2).map(|&(other, ..)| other);
        let offset = ends.chain(shared).chain([0]).filter(|&offset| is_free(offset)).min();
        places[i] = offset.expect("behind all others is free");
        bytes = bytes.max(places[i] + buffer.bytes);
    }
    (places, bytes)
}
