//! What an operation sees when it writes itself in operators of TensorFlow Lite, and what several have in common.

use super::{
    file::{File, steps},
    rounding::TfliteOptions,
};
use crate::{error::EmitError, lower::requantization::Requantization, shape::Shape};
use fixedwise_codec::onnx::ElementType;
use fixedwise_fixed::Format;

/// Steps that 32-bit floats have with room for every scale: `2^-100` to `2^100`.
const MAX_FRAC: i32 = 100;
/// A fused activation that keeps what is not negative.
const RELU: usize = 1;

/// A value of the file.
#[derive(Clone, Copy, Debug)]
pub struct TfliteValue {
    /// Its tensor.
    pub(crate) tensor: usize,
    /// Extents; the axes in the file are `[1, h, w, c]`.
    pub(crate) shape: Shape,
    /// Of the integers it stands for.
    pub(crate) format: Format,
    /// Of 8 or 16 bits.
    pub(crate) element: ElementType,
    /// What is added to its integers where they are stored.
    pub(crate) zero_point: i64,
}

/// A node to write: its surroundings, and the file that takes it.
#[derive(Debug)]
pub struct TfliteNode<'a> {
    /// Its name in the network.
    pub name: &'a str,
    /// Its inputs.
    pub inputs: Vec<TfliteValue>,
    /// Extents of its value.
    pub shape: Shape,
    /// Format of its value.
    pub format: Format,
    pub(crate) options: TfliteOptions,
    pub(crate) file: &'a mut File,
    /// Nodes that the kernels may round otherwise.
    pub(super) rounded: &'a mut Vec<String>,
}

/// The elements that hold a format.
pub(crate) fn element(format: Format) -> ElementType {
    if format.bits <= 8 { ElementType::I8 } else { ElementType::I16 }
}

/// What is added to integers up to `max` where they are stored: values of 8 bits then saturate with the type.
pub(crate) fn zero_point(element: ElementType, max: i64) -> i64 {
    if element == ElementType::I8 { 127 - max } else { 0 }
}

/// Extents in the file.
pub(crate) fn dims(shape: Shape) -> [usize; 4] {
    [1, shape.h, shape.w, shape.c]
}

impl TfliteNode<'_> {
    /// Says why it cannot be written.
    pub(crate) fn refuse(&self, problem: impl Into<String>) -> EmitError {
        EmitError::Node { node: self.name.to_owned(), problem: problem.into() }
    }

    /// Says that the kernels may round results otherwise than the plan.
    pub(crate) fn rounds_otherwise(&mut self) {
        if self.rounded.last().is_none_or(|last| last != self.name) {
            self.rounded.push(self.name.to_owned());
        }
    }

    /// Its value where no operator computes it: an input.
    pub(crate) fn input(&mut self) -> TfliteValue {
        let (shape, format) = (self.shape, self.format);
        let element = element(format);
        let zero_point = zero_point(element, format.max());
        let like = TfliteValue { tensor: 0, shape, format, element, zero_point };
        self.value(self.name, like)
    }

    /// Whether values of 16 bits go in or come out.
    pub(crate) fn is_wide(&self) -> bool {
        let inputs = self.inputs.iter().map(|input| input.element);
        inputs.chain([element(self.format)]).any(|element| element == ElementType::I16)
    }

    /// The elements that it computes with.
    pub(crate) fn computes_with(&self) -> ElementType {
        if self.is_wide() { ElementType::I16 } else { ElementType::I8 }
    }

    /// A new value of the file.
    pub(crate) fn value(&mut self, name: &str, like: TfliteValue) -> TfliteValue {
        let steps = steps(like.format.frac.into(), like.zero_point);
        let tensor = self.file.value(name, &dims(like.shape), like.element, steps);
        TfliteValue { tensor, ..like }
    }

    /// The same elements with other extents in the file.
    pub(crate) fn reshaped(
        &mut self,
        name: &str,
        value: &TfliteValue,
        shape: Shape,
    ) -> TfliteValue {
        let to = self.value(name, TfliteValue { shape, ..*value });
        let extents = self.file.extents(name, &dims(shape));
        self.file.operator("RESHAPE", &[value.tensor, extents], to.tensor, &[]);
        to
    }

    /// An input in the elements that the node computes with.
    pub(crate) fn taken(&mut self, input: usize) -> TfliteValue {
        self.stored_as(self.inputs[input], self.computes_with())
    }

    /// The same integers in elements of 8 or 16 bits.
    pub(crate) fn stored_as(&mut self, value: TfliteValue, to: ElementType) -> TfliteValue {
        if value.element == to {
            return value;
        }
        let zero_point = zero_point(to, value.format.max());
        let name =
            format!("{}_{}", self.name, if to == ElementType::I8 { "narrow" } else { "wide" });
        self.converted(&name, &value, to, zero_point)
    }

    /// The same integers, saturated, with another element type or zero point.
    pub(crate) fn converted(
        &mut self,
        name: &str,
        value: &TfliteValue,
        element: ElementType,
        zero_point: i64,
    ) -> TfliteValue {
        let to = self.value(name, TfliteValue { element, zero_point, ..*value });
        self.file.operator("QUANTIZE", &[value.tensor], to.tensor, &[]);
        to
    }

    /// Adds the operator that computes the node, whose results are clamped to those of a requantization; the operator
    /// gives its value the fused activation that it is told.
    pub(crate) fn computed(
        &mut self,
        operator: &str,
        inputs: &[usize],
        options: &[(&'static str, usize)],
        to: &Requantization,
    ) -> TfliteValue {
        let value = self.sum(operator, self.name, inputs, options, to, self.shape);
        self.clamped(value, to.min, to.max, element(to.format))
    }

    /// An operator that has a fused activation; its results are clamped as far as type and activation do.
    pub(crate) fn sum(
        &mut self,
        operator: &str,
        name: &str,
        inputs: &[usize],
        options: &[(&'static str, usize)],
        to: &Requantization,
        shape: Shape,
    ) -> TfliteValue {
        let element = self.computes_with();
        let (format, zero_point) = (to.format, zero_point(element, to.max));
        let like = TfliteValue { tensor: 0, shape, format, element, zero_point };
        let value = self.value(name, like);
        let activation = if to.min == 0 { RELU } else { 0 };
        let options: Vec<_> =
            options.iter().copied().chain([("fused_activation", activation)]).collect();
        self.file.operator(operator, inputs, value.tensor, &options);
        value
    }

    /// The value within bounds that neither its type nor a fused activation keeps, in elements of that type.
    pub(crate) fn clamped(
        &mut self,
        value: TfliteValue,
        min: i64,
        max: i64,
        to: ElementType,
    ) -> TfliteValue {
        let mut value = value;
        let (lowest, highest) = match value.element {
            ElementType::I8 => (-128 - value.zero_point, 127 - value.zero_point),
            _ => (i16::MIN.into(), i16::MAX.into()),
        };
        if min > lowest && min != 0 {
            value = self.bounded("MAXIMUM", &value, min);
        }
        if value.element != to {
            // It saturates.
            let name = format!("{}_narrow", self.name);
            return self.converted(&name, &value, to, zero_point(to, max));
        }
        if max < highest { self.bounded("MINIMUM", &value, max) } else { value }
    }

    /// The larger or smaller of each element and a bound.
    fn bounded(&mut self, operator: &str, value: &TfliteValue, bound: i64) -> TfliteValue {
        let kind = operator.to_lowercase();
        let steps = steps(value.format.frac.into(), value.zero_point);
        let stored = vec![bound + value.zero_point];
        let name = format!("{}_{kind}_bound", self.name);
        let bound = self.file.constant(&name, &[1], value.element, stored, steps);
        let to = self.value(&format!("{}_{kind}", self.name), *value);
        self.file.operator(operator, &[value.tensor, bound], to.tensor, &[]);
        to
    }

    /// Refuses steps of `2^-frac` that are beyond 32-bit floats.
    pub(crate) fn check_step(&self, frac: i32) -> Result<(), EmitError> {
        check_step(self.name, frac)
    }
}

/// Refuses steps of `2^-frac` that are beyond 32-bit floats.
pub(super) fn check_step(node: &str, frac: i32) -> Result<(), EmitError> {
    if frac.abs() > MAX_FRAC {
        return Err(EmitError::Step { node: node.to_owned(), frac, max: MAX_FRAC });
    }
    Ok(())
}
