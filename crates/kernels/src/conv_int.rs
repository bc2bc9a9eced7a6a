//! The prepared convolution of integers.

use crate::{
    BorderBias, ConvGeometry, Element, Epilogue, Integers, IntegersMut, Kernels, Scratch, scalar,
};

/// What the sums of a layer need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accumulate {
    /// The caller proved for every output that `sum |w * x| + |bias|` and the half added by
    /// rounding fit `i32` together.
    I32,
    /// Nothing is proved; the sums are exact in `i64`.
    I64 {
        /// The largest magnitude an input can have; a smaller one is faster.
        max_input: u32,
    },
}

/// A convolution or dense layer of integers, its weights packed for one table.
pub struct ConvInt {
    geometry: ConvGeometry,
    input: Element,
    weights: Vec<i16>,
    bias: BorderBias,
    accumulate: Accumulate,
    epilogue: Epilogue,
}

impl ConvInt {
    /// Packs `weights`, [co][kh][kw][ci / groups].
    ///
    /// # Panics
    /// If the geometry or the epilogue contradict themselves, a length does not fit, or a bias is
    /// 2^61 or more.
    pub fn new(
        _kernels: &'static Kernels,
        geometry: ConvGeometry,
        input: Element,
        weights: &[i16],
        bias: &BorderBias,
        accumulate: Accumulate,
        epilogue: Epilogue,
    ) -> Self {
        geometry.check();
        bias.check(geometry.output);
        epilogue.check();
        assert_eq!(weights.len(), geometry.weights_len(), "weights do not fit the geometry");
        assert!(
            bias.values.iter().all(|bias| bias.unsigned_abs() < 1 << 61),
            "a bias does not leave room for the sum"
        );
        ConvInt {
            geometry,
            input,
            weights: weights.to_vec(),
            bias: bias.clone(),
            accumulate,
            epilogue,
        }
    }

    /// Computes `y`, [oh, ow, co], from `x`, [h, w, ci].
    ///
    /// # Panics
    /// If a length or an element does not fit what was prepared.
    pub fn run(&self, x: Integers, mut y: IntegersMut, _scratch: &mut Scratch) {
        assert_eq!(x.element(), self.input, "the input has another element");
        assert_eq!(y.element(), self.epilogue.output, "the output has another element");
        assert_eq!(x.len(), self.geometry.input_len(), "the input does not fit the geometry");
        assert_eq!(y.len(), self.geometry.output_len(), "the output does not fit the geometry");
        let (geometry, weights, bias) = (&self.geometry, &self.weights, &self.bias);
        let (accumulate, epilogue) = (self.accumulate, &self.epilogue);
        match x {
            Integers::U8(x) => {
                scalar::conv_int(geometry, x, weights, bias, accumulate, epilogue, &mut y);
            }
            Integers::I8(x) => {
                scalar::conv_int(geometry, x, weights, bias, accumulate, epilogue, &mut y);
            }
            Integers::I16(x) => {
                scalar::conv_int(geometry, x, weights, bias, accumulate, epilogue, &mut y);
            }
        }
    }
}
