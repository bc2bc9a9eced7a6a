//! The prepared convolution of integers.

use crate::aligned::Aligned;
use crate::depthwise::Depthwise;
use crate::finish::{BiasView, NarrowRule, ResidualView, WideRule};
use crate::layout::{Block, Layout, Packed, Tile, classes, n_images};
use crate::stencil::{Stencil, StencilKernel, Word};
use crate::table::{Plain, Tiles};
use crate::{
    BorderBias, ConvGeometry, ConvKind, Element, Epilogue, Integers, IntegersMut, Kernels, Scratch,
    scalar,
};
use fixedwise_fixed::Rounding;

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

/// A value with the extents of the output that is added to the sums, each element shifted left to the binary point
/// of its sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Residual {
    /// What its elements are.
    pub element: Element,
    /// The largest magnitude an element can have.
    pub max: u32,
    /// The left shift where a channel is not coarser; a coarser one's is less by as many bits. A negative one drops
    /// bits.
    pub left: i32,
}

/// A convolution or dense layer of integers, its weights packed for one table.
pub struct ConvInt {
    geometry: ConvGeometry,
    input: Element,
    bias: BorderBias,
    /// The bias class of every output pixel.
    classes: Vec<u32>,
    accumulate: Accumulate,
    epilogue: Epilogue,
    coarser: Vec<u8>,
    /// The right shift of every channel where they differ.
    shifts: Vec<i32>,
    residual: Option<Residual>,
    /// The left shift of every channel of what is added where they differ.
    lefts: Vec<i32>,
    prepared: Prepared,
}

enum Prepared {
    Scalar(Vec<i16>),
    Stencil(&'static Plain, StencilKernel<u32, i32>, Stencil, Finish),
    DepthwiseWide(&'static Plain, Depthwise<i16>, WideRule),
    U8(&'static Plain, Tile<u8, i8, i32>, Packed<i8>, Finish),
    I16(&'static Plain, Tile<i16, i16, i32>, Packed<i16>, Finish),
    I16Wide(&'static Plain, Tile<i16, i16, i64>, Packed<i16>, WideRule),
}

/// What becomes of sums of 32 bits.
enum Finish {
    /// The sums have in them all that is added. The shifts are by lane where they differ.
    InOrder(Vec<i32>, NarrowRule),
    /// Nothing needs more bits; the biases have everything in them that is added.
    Narrow(Vec<i32>, NarrowRule),
    /// Offsets, one a channel, make the sums exact before they are widened.
    Wide(Vec<i32>, WideRule),
}

impl ConvInt {
    /// Packs `weights`, `[co][kh][kw][ci / groups]`.
    ///
    /// `coarser` says by how many bits the binary point of each channel's sums lies further right than
    /// the epilogue expects; it is empty where none does. `residual` is added to the sums.
    ///
    /// # Panics
    /// If the geometry or the epilogue contradict themselves, a length does not fit, a bias is
    /// 2^61 or more, or what is added is shifted by more than 40 bits.
    pub fn new(
        kernels: &'static Kernels,
        geometry: ConvGeometry,
        input: Element,
        weights: &[i16],
        bias: &BorderBias,
        accumulate: Accumulate,
        epilogue: Epilogue,
        coarser: &[u8],
        residual: Option<Residual>,
    ) -> Self {
        geometry.check();
        bias.check(geometry.output);
        epilogue.check();
        assert_eq!(weights.len(), geometry.weights_len(), "weights do not fit the geometry");
        assert!(
            bias.values.iter().all(|bias| bias.unsigned_abs() < 1 << 61),
            "a bias does not leave room for the sum"
        );
        assert!(
            coarser.is_empty() || coarser.len() == geometry.output[2],
            "not one binary point a channel"
        );
        assert!(residual.is_none_or(|added| added.left <= 40), "what is added has no such shift");
        let prepared = match &kernels.tiles {
            None => None,
            Some(tiles) => {
                let plain = &kernels.plain;
                prepare(
                    tiles, plain, geometry, input, weights, bias, accumulate, epilogue, coarser,
                    residual,
                )
            }
        };
        ConvInt {
            geometry,
            input,
            bias: bias.clone(),
            classes: classes(&geometry, bias),
            accumulate,
            epilogue,
            coarser: coarser.to_vec(),
            shifts: coarser.iter().map(|&bits| epilogue.coarser(bits).shift).collect(),
            residual,
            lefts: residual.map_or_else(Vec::new, |added| {
                coarser.iter().map(|&bits| added.left - i32::from(bits)).collect()
            }),
            prepared: prepared.unwrap_or_else(|| Prepared::Scalar(weights.to_vec())),
        }
    }

    /// Computes `y`, [oh, ow, co], from `x`, [h, w, ci], and what is added to the sums, [oh, ow, co]; of a dense
    /// layer up to 48 images at once.
    ///
    /// # Panics
    /// If a length or an element does not fit what was prepared.
    pub fn run(
        &self,
        x: Integers,
        residual: Option<Integers>,
        mut y: IntegersMut,
        scratch: &mut Scratch,
    ) {
        assert_eq!(x.element(), self.input, "the input has another element");
        assert_eq!(y.element(), self.epilogue.output, "the output has another element");
        assert_eq!(
            residual.map(Integers::element),
            self.residual.map(|added| added.element),
            "what is added has another element"
        );
        assert!(
            residual.is_none_or(|added| added.len() == y.len()),
            "what is added does not fit the output"
        );
        let added = residual.map(|values| ResidualView {
            values,
            left: self.residual.map_or(0, |added| added.left),
            lefts: &self.lefts,
            n_channels: self.geometry.output[2],
        });
        let n_images = n_images(&self.geometry, x.len(), y.len());
        let Scratch { staged_u8, staged_i16, words, sums_i32, sums_i64, .. } = scratch;
        match &self.prepared {
            Prepared::Scalar(weights) => {
                let (x_len, y_len) = (x.len() / n_images, y.len() / n_images);
                for image in 0..n_images {
                    let x = x.slice(image * x_len..(image + 1) * x_len);
                    let outputs = image * y_len..(image + 1) * y_len;
                    let added = added
                        .map(|a| ResidualView { values: a.values.slice(outputs.clone()), ..a });
                    self.run_scalar(x, weights, added, &mut y.slice(outputs));
                }
            }
            Prepared::Stencil(plain, kernel, layer, finish) => {
                let row_len = self.geometry.output[1] * self.geometry.output[2];
                layer.for_each_row(*kernel, plain, x, words, sums_i32, |oh, sums| {
                    if let Some(added) = added {
                        (plain.add_i32)(&Block::row(&self.geometry, oh), added, sums);
                    }
                    if let Finish::InOrder(shifts, rule) = finish {
                        let y = y.slice(oh * row_len..(oh + 1) * row_len);
                        (plain.requantize_i32)(sums, shifts, *rule, y);
                    } else {
                        let block = Block::row(&self.geometry, oh);
                        self.finish(plain, finish, &block, sums, sums_i64, &mut y);
                    }
                });
            }
            Prepared::DepthwiseWide(plain, layer, rule) => {
                let x = stage_i16(plain, &layer.layout, x, staged_i16);
                Block::for_each_row(&self.geometry, sums_i64, |block, sums| {
                    (plain.depthwise_i64)(layer.view(block), x, sums);
                    if let Some(added) = added {
                        (plain.add_i64)(block, added, sums);
                    }
                    self.finish_wide(plain, *rule, block, sums, &mut y);
                });
            }
            Prepared::U8(plain, tile, packed, finish) => {
                let x = stage_u8(plain, &packed.layout, x, staged_u8);
                packed.for_each_block(x, n_images, *tile, sums_i32, |block, sums| {
                    if let Some(added) = added {
                        (plain.add_i32)(block, added, sums);
                    }
                    self.finish(plain, finish, block, sums, sums_i64, &mut y);
                });
            }
            Prepared::I16(plain, tile, packed, finish) => {
                let x = stage_i16(plain, &packed.layout, x, staged_i16);
                packed.for_each_block(x, n_images, *tile, sums_i32, |block, sums| {
                    if let Some(added) = added {
                        (plain.add_i32)(block, added, sums);
                    }
                    self.finish(plain, finish, block, sums, sums_i64, &mut y);
                });
            }
            Prepared::I16Wide(plain, tile, packed, rule) => {
                let x = stage_i16(plain, &packed.layout, x, staged_i16);
                packed.for_each_block(x, n_images, *tile, sums_i64, |block, sums| {
                    if let Some(added) = added {
                        (plain.add_i64)(block, added, sums);
                    }
                    self.finish_wide(plain, *rule, block, sums, &mut y);
                });
            }
        }
    }

    fn run_scalar(
        &self,
        x: Integers,
        weights: &[i16],
        added: Option<ResidualView>,
        y: &mut IntegersMut,
    ) {
        let (geometry, bias) = (&self.geometry, &self.bias);
        let (accumulate, epilogue) = (self.accumulate, &self.epilogue);
        let coarser = &self.coarser;
        match x {
            Integers::U8(x) => {
                scalar::conv_int(
                    geometry, x, weights, bias, accumulate, epilogue, coarser, added, y,
                );
            }
            Integers::I8(x) => {
                scalar::conv_int(
                    geometry, x, weights, bias, accumulate, epilogue, coarser, added, y,
                );
            }
            Integers::I16(x) => {
                scalar::conv_int(
                    geometry, x, weights, bias, accumulate, epilogue, coarser, added, y,
                );
            }
        }
    }

    fn finish(
        &self,
        plain: &Plain,
        finish: &Finish,
        block: &Block,
        sums: &[i32],
        wide: &mut Aligned<i64>,
        y: &mut IntegersMut,
    ) {
        match finish {
            Finish::InOrder(..) => {
                unreachable!("only sums of whole rows are in the order of outputs")
            }
            Finish::Narrow(values, rule) => {
                let n_channels = self.geometry.output[2];
                let bias =
                    BiasView { classes: &self.classes, values, shifts: &self.shifts, n_channels };
                (plain.finish_i32)(block, sums, bias, *rule, y.reborrow());
            }
            Finish::Wide(offsets, rule) => {
                wide.grow(sums.len());
                (plain.widen_i32)(block, sums, offsets, wide.as_mut_slice());
                self.finish_wide(plain, *rule, block, wide.as_slice(), y);
            }
        }
    }

    fn finish_wide(
        &self,
        plain: &Plain,
        rule: WideRule,
        block: &Block,
        sums: &[i64],
        y: &mut IntegersMut,
    ) {
        let bias = BiasView {
            classes: &self.classes,
            values: &self.bias.values,
            shifts: &self.shifts,
            n_channels: self.geometry.output[2],
        };
        (plain.finish_i64)(block, sums, bias, rule, y.reborrow());
    }
}

/// Chooses the fastest exact kernel; `None` where only the scalar one is.
fn prepare(
    tiles: &Tiles,
    plain: &'static Plain,
    geometry: ConvGeometry,
    input: Element,
    weights: &[i16],
    bias: &BorderBias,
    accumulate: Accumulate,
    epilogue: Epilogue,
    coarser: &[u8],
    residual: Option<Residual>,
) -> Option<Prepared> {
    let (n_channels, taps) = (geometry.output[2], geometry.taps());
    let max_input = u64::from(input.max().max(-input.min()).unsigned_abs() as u32);
    let max_input = match accumulate {
        Accumulate::I32 => max_input,
        Accumulate::I64 { max_input: promised } => max_input.min(u64::from(promised)),
    };
    let max_added = residual.map_or(0, |added| u64::from(added.max) << added.left.max(0));
    // The largest magnitude of a sum with what is added to it, with and without its bias.
    let fits = i32::MAX.unsigned_abs();
    let sum = match accumulate {
        Accumulate::I32 => u64::from(fits),
        Accumulate::I64 { .. } => weights
            .chunks_exact(taps)
            .map(|weights| {
                weights.iter().map(|w| u64::from(w.unsigned_abs())).sum::<u64>() * max_input
            })
            .max()
            .unwrap_or(0)
            .saturating_add(max_added),
    };
    let max_bias = bias.values.iter().map(|bias| bias.unsigned_abs()).max().unwrap_or(0);
    let sum_fits = sum <= u64::from(fits);
    let rule = WideRule::new(epilogue, u128::from(sum) + u128::from(max_bias));

    let offset = |inputs_offset: i32| -> Vec<i32> {
        weights
            .chunks_exact(taps)
            .map(|weights| {
                weights.iter().fold(0_i32, |sum, &w| sum.wrapping_sub(inputs_offset * i32::from(w)))
            })
            .collect()
    };
    let shift = |co: usize| epilogue.coarser(coarser.get(co).copied().unwrap_or(0)).shift;
    let finish = |inputs_offset: i32| -> Finish {
        let offsets = offset(inputs_offset);
        let half_of = |shift: i32| match epilogue.rounding {
            Rounding::Floor => 0,
            _ => (1_i64 << shift.clamp(0, 31)) >> 1,
        };
        let half = half_of(epilogue.shift);
        let least = shift((0..coarser.len()).max_by_key(|&co| coarser[co]).unwrap_or(0));
        let narrow = epilogue.leaky.is_none()
            && (0..=31).contains(&least)
            && (0..=31).contains(&epilogue.shift)
            && (epilogue.rounding != Rounding::TiesEven || epilogue.shift == 0)
            && match accumulate {
                // Proved by the caller, together with the sum and the half.
                Accumulate::I32 => max_bias <= u64::from(fits),
                Accumulate::I64 { .. } => sum + max_bias + half.unsigned_abs() <= u64::from(fits),
            };
        if !narrow {
            return Finish::Wide(offsets, rule);
        }
        let values = bias
            .values
            .iter()
            .enumerate()
            .map(|(idx, &bias)| {
                let co = idx % n_channels;
                (bias as i32).wrapping_add(half_of(shift(co)) as i32).wrapping_add(offsets[co])
            })
            .collect();
        let rule = NarrowRule {
            shift: epilogue.shift.unsigned_abs(),
            min: epilogue.min as i32,
            max: epilogue.max as i32,
        };
        Finish::Narrow(values, rule)
    };

    let are_bytes = input != Element::I16 && weights.iter().all(|&w| i8::try_from(w).is_ok());
    // Signed bytes are made unsigned by adding 128, which the biases take away again.
    let byte_offset = if input == Element::I8 { 128 } else { 0 };
    if geometry.kind() == ConvKind::Depthwise {
        if !sum_fits {
            let layer = Depthwise::new(Layout::new(geometry, 1, input == Element::I16), weights);
            return Some(Prepared::DepthwiseWide(plain, layer, rule));
        }
        let (word, kernel) = match tiles.stencil_u8.filter(|_| are_bytes) {
            Some(kernel) => (Word::Bytes, kernel),
            None => (Word::Pair, tiles.stencil_i16),
        };
        let finish = finish(if word == Word::Bytes { byte_offset } else { 0 });
        let shifts: Vec<i32> = (0..coarser.len()).map(shift).collect();
        let (layer, finish) = stencil(geometry, word, tiles.lanes, weights, &shifts, finish);
        return Some(Prepared::Stencil(plain, kernel, layer, finish));
    }
    if !sum_fits {
        let layout = Layout::new(geometry, 2, input == Element::I16);
        let mut packed = Packed::new(layout, tiles.lanes, tiles.max_wide_panels, weights, |w| w);
        return packed
            .split_runs(max_input, |w| u64::from(w.unsigned_abs()))
            .then_some(Prepared::I16Wide(plain, tiles.i16_wide, packed, rule));
    }
    if let Some(tile) = tiles.u8.filter(|_| are_bytes) {
        let layout = Layout::new(geometry, 4, input == Element::U8);
        let packed = Packed::new(layout, tiles.lanes, tiles.max_panels, weights, |w| w as i8);
        return Some(Prepared::U8(plain, tile, packed, finish(byte_offset)));
    }
    let layout = Layout::new(geometry, 2, input == Element::I16);
    let packed = Packed::new(layout, tiles.lanes, tiles.max_panels, weights, |w| w);
    Some(Prepared::I16(plain, tiles.i16, packed, finish(0)))
}

/// A depthwise layer, and what becomes of its sums, which take the biases in where all pixels have the same.
fn stencil(
    geometry: ConvGeometry,
    word: Word,
    lanes: usize,
    weights: &[i16],
    shifts: &[i32],
    finish: Finish,
) -> (Stencil, Finish) {
    let n_channels = geometry.output[2];
    match finish {
        Finish::Narrow(bias, rule) if bias.len() == n_channels => {
            let layer = Stencil::new(geometry, word, lanes, weights, &bias);
            let shifts = layer.by_lane(shifts);
            (layer, Finish::InOrder(shifts, rule))
        }
        finish => (Stencil::new(geometry, word, lanes, weights, &vec![0; n_channels]), finish),
    }
}

/// The padded image as unsigned bytes, signed ones offset by 128.
fn stage_u8<'a>(
    plain: &Plain,
    layout: &Layout,
    x: Integers<'a>,
    buffer: &'a mut Aligned<u8>,
) -> &'a [u8] {
    match x {
        Integers::U8(x) if layout.in_place => return x,
        Integers::U8(x) => {
            buffer.grow(layout.staged_len(x.len()));
            layout.stage(x, 0, |x, y| y.copy_from_slice(x), buffer.as_mut_slice());
        }
        Integers::I8(x) => {
            buffer.grow(layout.staged_len(x.len()));
            layout.stage(x, 128, plain.offset_i8, buffer.as_mut_slice());
        }
        Integers::I16(_) => unreachable!("the byte kernel is prepared for bytes only"),
    }
    buffer.as_slice()
}

/// The padded image as 16-bit integers.
fn stage_i16<'a>(
    plain: &Plain,
    layout: &Layout,
    x: Integers<'a>,
    buffer: &'a mut Aligned<i16>,
) -> &'a [i16] {
    if let Integers::I16(x) = x
        && layout.in_place
    {
        return x;
    }
    buffer.grow(layout.staged_len(x.len()));
    let staged = buffer.as_mut_slice();
    match x {
        Integers::U8(x) => layout.stage(x, 0, plain.widen_u8, staged),
        Integers::I8(x) => layout.stage(x, 0, plain.widen_i8, staged),
        Integers::I16(x) => layout.stage(x, 0, |x, y| y.copy_from_slice(x), staged),
    }
    buffer.as_slice()
}
