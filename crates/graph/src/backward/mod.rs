//! Gradients: what the gradient of a node's value makes of those of its inputs, weights and biases.
//!
//! All in real numbers, on values of some images, one image after the other. `run` follows them through a
//! network.

mod layer;

pub(crate) use crate::operator::{Backward, BackwardStep};
pub(crate) use layer::prepare_layer;

use crate::operator::{Context, Op};
use fixedwise_fixed::convert::f64_to_f32;
use fixedwise_kernels::Kernels;

/// How gradients pass an operator: as it says, or by the derivative of the function of elements that it is. Nothing
/// where neither is known.
pub fn backward_step(
    op: &Op,
    context: &Context,
    kernels: &'static Kernels,
) -> Option<BackwardStep> {
    if let Some(own) = op.as_backward() {
        return Some(own.prepare_backward(context, kernels));
    }
    let function = op.as_element_function()?;
    Some(each_element(context, move |by, here| f64_to_f32(function.slope(here, by).1)))
}

/// One image of a node without weights.
pub(crate) struct OneImage<'a, 'g> {
    /// Its inputs.
    pub(crate) inputs: &'a [&'a [f32]],
    /// The gradient of its value.
    pub(crate) gradient: &'a [f32],
    /// The gradients of its inputs, where somebody wants them.
    pub(crate) to: &'a mut [Option<&'g mut [f32]>],
}

impl OneImage<'_, '_> {
    /// Adds to the gradient of an element of an input.
    pub(crate) fn add(&mut self, input: usize, at: usize, gradient: f32) {
        if let Some(to) = &mut self.to[input] {
            to[at] += gradient;
        }
    }
}

/// The step of an operator without weights, from what it does to the gradient of one image.
pub(crate) fn each_image(
    context: &Context,
    of_one: impl Fn(&mut OneImage) + Send + Sync + 'static,
) -> BackwardStep {
    let lengths: Vec<usize> = context.inputs.iter().map(|shape| shape.len()).collect();
    let len = context.output.len().max(1);
    Box::new(move |inputs, gradient, gradients| {
        for (image, gradient) in gradient.chunks_exact(len).enumerate() {
            let part = |i: usize| image * lengths[i]..(image + 1) * lengths[i];
            let inputs: Vec<&[f32]> =
                inputs.iter().enumerate().map(|(i, values)| &values[part(i)]).collect();
            let to = gradients.inputs.iter_mut().enumerate();
            let mut to: Vec<Option<&mut [f32]>> =
                to.map(|(i, to)| to.as_deref_mut().map(|to| &mut to[part(i)])).collect();
            of_one(&mut OneImage { inputs: &inputs, gradient, to: &mut to });
        }
    })
}

/// The step of a function of the elements at one place of its inputs: `slope` gives the derivative by an input,
/// of the elements there.
pub(crate) fn each_element(
    context: &Context,
    slope: impl Fn(usize, &[f32]) -> f32 + Send + Sync + 'static,
) -> BackwardStep {
    let shapes = context.inputs.clone();
    let output = context.output;
    each_image(context, move |image| {
        let mut here = vec![0.0; shapes.len()];
        let mut places = vec![0; shapes.len()];
        let mut known = Known::new(shapes.len());
        for (at, &gradient) in image.gradient.iter().enumerate() {
            if gradient == 0.0 {
                continue;
            }
            for (i, &shape) in shapes.iter().enumerate() {
                places[i] = if shape == output { at } else { shape.element_of(output, at) };
                here[i] = image.inputs[i][places[i]];
            }
            let slopes = known.at(&here, &slope);
            for (i, (&place, slope)) in places.iter().zip(slopes).enumerate() {
                image.add(i, place, gradient * slope);
            }
        }
    })
}

/// Derivatives that are remembered: values of few bits come again and again, and many functions take long.
struct Known {
    /// By place, the inputs as bits; nothing yet where that is said.
    keys: Vec<Option<u32>>,
    /// By place, the derivative by each input.
    slopes: Vec<f32>,
    inputs: usize,
}

impl Known {
    /// Bits of a place.
    const BITS: u32 = 11;

    fn new(inputs: usize) -> Self {
        let n = inputs << Self::BITS;
        Self { keys: vec![None; n], slopes: vec![0.0; n], inputs }
    }

    fn at(&mut self, here: &[f32], slope: impl Fn(usize, &[f32]) -> f32) -> &[f32] {
        // Fibonacci hashing: the upper bits depend on all.
        let mix =
            |hash: u32, x: &f32| (hash.rotate_left(5) ^ x.to_bits()).wrapping_mul(0x9E37_79B1);
        let place = here.iter().fold(0, mix) >> (u32::BITS - Self::BITS);
        let first = usize::try_from(place).expect("a few bits") * self.inputs;
        let keys = &mut self.keys[first..first + self.inputs];
        let slopes = &mut self.slopes[first..first + self.inputs];
        let is_known = keys.iter().zip(here).all(|(key, x)| *key == Some(x.to_bits()));
        if !is_known {
            for (by, (key, own)) in keys.iter_mut().zip(&mut *slopes).enumerate() {
                (*key, *own) = (Some(here[by].to_bits()), slope(by, here));
            }
        }
        slopes
    }
}
