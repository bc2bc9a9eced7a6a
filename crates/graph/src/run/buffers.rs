//! Working memory of one thread, and views into it.

use super::Schedule;
use fixedwise_kernels::{Element, Integers, IntegersMut, Scratch};

/// What a value's elements are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    F32,
    Integer(Element),
}

impl Kind {
    /// Bytes of one element.
    pub(super) const fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::Integer(Element::U8 | Element::I8) => 1,
            Self::Integer(Element::I16) => 2,
        }
    }
}

/// The value of one node for one image, in axis order `[h, w, c]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ValueRef<'a> {
    /// Of a float or simulated network.
    F32(&'a [f32]),
    /// Of an integer network.
    Integers(Integers<'a>),
}

impl<'a> ValueRef<'a> {
    pub(super) fn of(kind: Kind, bytes: &'a [u8]) -> Self {
        match kind {
            Kind::F32 => Self::F32(bytemuck::cast_slice(bytes)),
            Kind::Integer(element) => Self::Integers(integers(element, bytes)),
        }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(x) => x.len(),
            Self::Integers(x) => x.len(),
        }
    }

    /// Whether it has no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Index of the largest element, the first among equals; the class a classifier predicts.
    pub fn argmax(&self) -> usize {
        let mut best = 0;
        match self {
            Self::F32(x) => {
                for i in 1..x.len() {
                    if x[i] > x[best] {
                        best = i;
                    }
                }
            }
            Self::Integers(x) => {
                for i in 1..x.len() {
                    if x.get(i) > x.get(best) {
                        best = i;
                    }
                }
            }
        }
        best
    }

    /// The elements as integers; none of a float value.
    pub fn integers(&self) -> Vec<i64> {
        match self {
            Self::F32(_) => Vec::new(),
            Self::Integers(x) => (0..x.len()).map(|i| x.get(i)).collect(),
        }
    }

    /// Writes the elements from `from` on as floats; integers are multiplied by `step`.
    ///
    /// # Panics
    /// Where `out` reaches beyond the last element.
    pub fn copy_scaled(&self, from: usize, step: f32, out: &mut [f32]) {
        fn all<T: Copy + Into<f32>>(x: &[T], step: f32, out: &mut [f32]) {
            out.iter_mut().zip(x).for_each(|(to, &x)| *to = step * x.into());
        }
        let range = from..from + out.len();
        match self {
            Self::F32(x) => out.copy_from_slice(&x[range]),
            Self::Integers(Integers::U8(x)) => all(&x[range], step, out),
            Self::Integers(Integers::I8(x)) => all(&x[range], step, out),
            Self::Integers(Integers::I16(x)) => all(&x[range], step, out),
        }
    }

    /// The elements' bytes, to keep and to give back later.
    pub fn bytes(&self) -> &'a [u8] {
        match *self {
            Self::F32(x) => bytemuck::cast_slice(x),
            Self::Integers(Integers::U8(x)) => x,
            Self::Integers(Integers::I8(x)) => bytemuck::cast_slice(x),
            Self::Integers(Integers::I16(x)) => bytemuck::cast_slice(x),
        }
    }
}

pub(super) fn integers(element: Element, bytes: &[u8]) -> Integers<'_> {
    match element {
        Element::U8 => Integers::U8(bytes),
        Element::I8 => Integers::I8(bytemuck::cast_slice(bytes)),
        Element::I16 => Integers::I16(bytemuck::cast_slice(bytes)),
    }
}

pub(super) fn integers_mut(element: Element, bytes: &mut [u8]) -> IntegersMut<'_> {
    match element {
        Element::U8 => IntegersMut::U8(bytes),
        Element::I8 => IntegersMut::I8(bytemuck::cast_slice_mut(bytes)),
        Element::I16 => IntegersMut::I16(bytemuck::cast_slice_mut(bytes)),
    }
}

/// One thread's working memory; it grows to what the largest schedule needs and is kept.
#[derive(Debug, Default)]
pub struct Workspace {
    /// Words, so that every element type is aligned.
    slots: Vec<Vec<u64>>,
    pub(super) scratch: Scratch,
}

impl Workspace {
    /// Empty; the first run allocates.
    pub fn new() -> Self {
        Self::default()
    }

    pub(super) fn fit(&mut self, schedule: &Schedule) {
        if self.slots.len() < schedule.slot_bytes.len() {
            self.slots.resize_with(schedule.slot_bytes.len(), Vec::new);
        }
        for (slot, bytes) in self.slots.iter_mut().zip(&schedule.slot_bytes) {
            let words = bytes.div_ceil(8);
            if slot.len() < words {
                slot.resize(words, 0);
            }
        }
    }

    pub(super) fn bytes(&self, slot: usize, len: usize) -> &[u8] {
        &bytemuck::cast_slice(&self.slots[slot])[..len]
    }

    pub(super) fn bytes_mut(&mut self, slot: usize, len: usize) -> &mut [u8] {
        &mut bytemuck::cast_slice_mut(&mut self.slots[slot])[..len]
    }

    /// Takes a slot out, to write it while others are read.
    pub(super) fn take(&mut self, slot: usize) -> Vec<u64> {
        std::mem::take(&mut self.slots[slot])
    }

    pub(super) fn give(&mut self, slot: usize, words: Vec<u64>) {
        self.slots[slot] = words;
    }
}
