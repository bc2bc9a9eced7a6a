//! What an operation sees when it writes itself in ONNX nodes.

use super::{
    file::{Dialect, File, int},
    rounding::F32_EXACT,
};
use crate::{error::EmitError, shape::Shape};
use fixedwise_fixed::{Format, Rounding};

/// Steps that 32-bit floats have with room for every sum: `2^-100` to `2^100`.
const MAX_FRAC: i32 = 100;

/// A value of the ONNX graph.
#[derive(Clone, Debug)]
pub struct NetworkValue {
    /// The node of the integer network whose value it is.
    pub node: String,
    /// Its name in the file.
    pub name: String,
    /// `[n, c]` instead of `[n, c, h, w]`.
    pub is_vector: bool,
    /// Extents; the axes are `[h, w, c]`.
    pub shape: Shape,
    /// Of the integers it stands for.
    pub format: Format,
}

/// What the file says of the whole network.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// Nodes whose sums 32-bit floats may round.
    pub(super) inexact: Vec<String>,
    /// Of the first layer.
    pub(super) rounding: Option<Rounding>,
}

/// A node to write: its surroundings, and the file that takes it.
#[derive(Debug)]
pub struct NetworkNode<'a> {
    /// Its name in the network.
    pub name: &'a str,
    /// Its inputs.
    pub inputs: Vec<NetworkValue>,
    /// Extents of its value.
    pub shape: Shape,
    /// Format of its value.
    pub format: Format,
    pub(crate) file: &'a mut File,
    pub(super) notes: &'a mut Notes,
}

impl NetworkNode<'_> {
    /// Its value, under its name in the file.
    pub(crate) fn value(&self, name: String, is_vector: bool) -> NetworkValue {
        let (node, shape, format) = (self.name.to_owned(), self.shape, self.format);
        NetworkValue { node, name, is_vector, shape, format }
    }

    /// Whether the dialect is that of QONNX.
    pub(crate) fn is_qonnx(&self) -> bool {
        self.file.dialect == Dialect::Qonnx
    }

    /// The `[n, c, h, w]` form of an input.
    pub(crate) fn image(&mut self, input: usize) -> NetworkValue {
        let value = self.inputs[input].clone();
        if !value.is_vector {
            return value;
        }
        let name = format!("{}_image", value.node);
        let name = self.file.reshape(&name, &value.name, &[value.shape.c, 1, 1]);
        NetworkValue { name, is_vector: false, ..value }
    }

    /// The `[n, c]` form of an input of one pixel.
    pub(crate) fn vector(&mut self, input: usize) -> NetworkValue {
        let value = self.inputs[input].clone();
        if value.is_vector {
            return value;
        }
        let name = format!("{}_vector", value.node);
        let name = self.file.reshape(&name, &value.name, &[value.shape.c]);
        NetworkValue { name, is_vector: true, ..value }
    }

    /// The forms of all inputs: vectors where all are.
    pub(crate) fn alike(&mut self) -> Vec<NetworkValue> {
        if self.inputs.iter().all(|value| value.is_vector) {
            self.inputs.clone()
        } else {
            (0..self.inputs.len()).map(|input| self.image(input)).collect()
        }
    }

    /// Says the largest magnitude of its sums, in their integers: 32-bit floats may round larger ones.
    pub(crate) fn sums_to(&mut self, bound: u64) {
        if bound > F32_EXACT {
            self.notes.inexact.push(self.name.to_owned());
        }
    }

    /// Says how a layer rounds; the first says it for the network.
    pub(crate) fn rounds(&mut self, rounding: Rounding) {
        self.notes.rounding.get_or_insert(rounding);
    }

    /// Refuses steps of `2^-frac` that are beyond 32-bit floats.
    pub(crate) fn check_step(&self, frac: i32) -> Result<(), EmitError> {
        check_step(self.name, frac)
    }

    /// A constant put around an image; gives the name.
    pub(crate) fn pad(
        &mut self,
        name: &str,
        value: &str,
        begin: [usize; 2],
        end: [usize; 2],
        constant: f64,
    ) -> String {
        let ([top, left], [bottom, right]) = (begin, end);
        let pads = [0, 0, top, left, 0, 0, bottom, right].map(int).to_vec();
        let pads = self.file.indices(&format!("{name}_pads"), pads);
        let constant = self.file.scalar(constant);
        self.file.node("Pad", name, &[value, &pads, &constant], vec![])
    }
}

/// Refuses steps of `2^-frac` that are beyond 32-bit floats.
pub(super) fn check_step(node: &str, frac: i32) -> Result<(), EmitError> {
    if frac.abs() > MAX_FRAC {
        return Err(EmitError::Step { node: node.to_owned(), frac, max: MAX_FRAC });
    }
    Ok(())
}

/// The largest magnitude of a format's integers.
pub(crate) fn magnitude(format: Format) -> u64 {
    format.max_magnitude().unsigned_abs()
}
