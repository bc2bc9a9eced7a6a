//! What an integer operation says about itself. Nothing here knows which operations there are.

use crate::{
    emit::{
        c::node::{CNode, CStep},
        hls::types::{HlsNode, HlsTypes},
        network::node::{NetworkNode, NetworkValue},
        npz::node::NpzNode,
        tflite::node::{TfliteNode, TfliteValue},
    },
    error::EmitError,
    object::Object,
    shape::Shape,
};
use fixedwise_kernels::{Integers, IntegersMut, Kernels, Scratch};
use std::{
    any::Any,
    ops::{Deref, Range},
    sync::Arc,
};

/// Computes one node in integers; ready to run, and the same for every image.
pub trait Step: Send + Sync {
    /// From the values of the node's inputs to its own, in axis order `[h, w, c]`.
    fn run(&self, inputs: &[Integers], output: IntegersMut, scratch: &mut Scratch);
}

impl<F: Fn(&[Integers], IntegersMut, &mut Scratch) + Send + Sync> Step for F {
    fn run(&self, inputs: &[Integers], output: IntegersMut, scratch: &mut Scratch) {
        self(inputs, output, scratch);
    }
}

/// A step that several programs may share.
pub type FixedStep = Arc<dyn Step>;

/// A step from a function.
pub(crate) fn step<F>(run: F) -> FixedStep
where
    F: Fn(&[Integers], IntegersMut, &mut Scratch) + Send + Sync + 'static,
{
    Arc::new(run)
}

/// Where the value of an operation may lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Apart from its inputs, which are read until its last element is written.
    Apart,
    /// Over the input at one of these positions, from the same first byte, where its elements are no wider: they
    /// are written in order, each after all of the input that lies before its end was read.
    Over(&'static [usize]),
    /// Over the input at that position, from the same first byte, where its elements are as wide and no other input
    /// lies there: each is written, in any order, after the one in its place was read.
    OverAlike(usize),
    /// Where the input at that position lies: the same bytes, read in another shape. Nothing runs.
    Alias(usize),
    /// In constant memory. Nothing runs.
    Stored,
}

/// How an operation is computed where only some rows of its inputs are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// It is not.
    Whole,
    /// Every row as a value of one row is, from the same row of each input.
    Alike,
    /// It takes the rows of its input one after the other, and is there with the last of them.
    Fold {
        /// Bytes besides its value, behind it, in which it holds sums.
        sum_bytes: usize,
    },
    /// A row from those of the first input that [`FixedOperator::rows`] tells, and from the same row of others.
    Window,
}

/// Constants of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Constant {
    /// Weights.
    Weights {
        /// How many.
        count: usize,
        /// Bits of their format.
        bits: u8,
    },
    /// Biases.
    Biases {
        /// How many.
        count: usize,
        /// Bits that the largest needs at the scale of the sum.
        bits: u8,
        /// Bits of the format that the plan gives them.
        planned_bits: Option<u8>,
    },
    /// What tells the binary points of output channels.
    Points {
        /// How many.
        count: usize,
    },
    /// Values of a function.
    Table {
        /// How many.
        count: usize,
        /// Bits that the largest needs.
        bits: u8,
    },
}

/// The rows of a value from the first to the last that hold these of its elements.
pub(crate) fn rows_of(elements: Range<usize>, shape: Shape) -> Range<usize> {
    let row = shape.w * shape.c;
    if elements.is_empty() { 0..0 } else { elements.start / row..elements.end.div_ceil(row) }
}

/// An operation whose results are not clamped.
#[derive(Clone, Debug)]
pub struct Unclamped {
    /// Its results have 16 bits.
    pub op: FixedOp,
    /// What they are clamped to in the network.
    pub bounds: [i16; 2],
    /// Whether they are the halves below, of which the network rounds the odd ones up; else they are rounded already.
    pub is_of_halves: bool,
}

/// What every integer operation says about itself; all its decisions are plain fields.
pub trait FixedOperator: Object {
    /// Ready to run: weights packed for `kernels`.
    fn prepare(&self, inputs: &[Shape], output: Shape, kernels: &'static Kernels) -> FixedStep;

    /// Whether its step takes the values of up to 8 images, one after the other, and gives theirs.
    fn takes_several(&self, inputs: &[Shape], output: Shape) -> bool {
        let _ = (inputs, output);
        false
    }

    /// The same operation before its results are rounded and clamped: for whom it matters how far beyond the bounds they
    /// lie. Nothing where it does not tell.
    fn unclamped(&self) -> Option<Unclamped> {
        None
    }

    /// What it is called in descriptions and messages.
    fn name(&self) -> &'static str;

    /// Where its value may lie; the same whatever formats a plan gives.
    fn place(&self) -> Place;

    /// The rows of each input from the first to the last that these rows of its value are computed from; empty
    /// where none is.
    fn rows(&self, rows: Range<usize>, inputs: &[Shape], output: Shape) -> Vec<Range<usize>>;

    /// How C computes it row by row; the same whatever formats a plan gives.
    fn flow(&self, inputs: &[Shape], output: Shape) -> Flow {
        let _ = (inputs, output);
        Flow::Whole
    }

    /// What it keeps in constant memory as a target stores it.
    fn constants(&self) -> Vec<Constant>;

    /// Bits its worst sum needs; 0 where it sums nothing.
    fn accumulator_bits(&self) -> u8 {
        0
    }

    /// The same integers as C99.
    ///
    /// # Errors
    /// Where C has no form of it, which names the node.
    fn emit_c(&self, node: &mut CNode) -> Result<CStep, EmitError> {
        Err(EmitError::operation(&node.name, self.name(), "c"))
    }

    /// Its fields as JSON, with the names of the arrays that `node` takes; `docs/export.md` lists them.
    ///
    /// # Errors
    /// Where the archive has no description of it, which names the node.
    fn emit_npz(&self, node: &mut NpzNode) -> Result<serde_json::Value, EmitError> {
        Err(EmitError::operation(node.name, self.name(), "npz"))
    }

    /// The same in ONNX nodes, exact in floating point; gives its value.
    ///
    /// # Errors
    /// Where ONNX has no form of it, or floats have not its steps, which names the node.
    fn emit_network(&self, node: &mut NetworkNode) -> Result<NetworkValue, EmitError> {
        let form = if node.is_qonnx() { "qonnx" } else { "onnx" };
        Err(EmitError::operation(node.name, self.name(), form))
    }

    /// The same in operators of TensorFlow Lite; gives its value.
    ///
    /// # Errors
    /// Where they have no form of it, which names the node and the way out.
    fn emit_tflite(&self, node: &mut TfliteNode) -> Result<TfliteValue, EmitError> {
        Err(node.refuse(format!(
            "TensorFlow Lite has no operator with the integers of `{}`; let the network end before it (`--output`), \
             or export another form",
            self.name()
        )))
    }

    /// The types that high-level synthesis gives its constants, sums and values.
    ///
    /// # Errors
    /// Where there are no types for it, which names the node.
    fn emit_hls(&self, node: &HlsNode) -> Result<HlsTypes, EmitError> {
        Err(EmitError::operation(node.name, self.name(), "hls"))
    }
}

/// Any integer operation. Copies share its data.
#[derive(Clone, Debug)]
pub struct FixedOp(Arc<dyn FixedOperator>);

impl FixedOp {
    /// The operation as a `T`, where it is one.
    pub fn get<T: FixedOperator>(&self) -> Option<&T> {
        let op: &dyn Any = &*self.0;
        op.downcast_ref()
    }

    /// Whether the operation is a `T`.
    pub fn is<T: FixedOperator>(&self) -> bool {
        self.get::<T>().is_some()
    }
}

impl<T: FixedOperator> From<T> for FixedOp {
    fn from(op: T) -> Self {
        Self(Arc::new(op))
    }
}

impl Deref for FixedOp {
    type Target = dyn FixedOperator;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl PartialEq for FixedOp {
    fn eq(&self, other: &Self) -> bool {
        self.0.equals(&*other.0)
    }
}
