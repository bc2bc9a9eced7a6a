//! Real values from stored integers, and back.

use super::{
    super::constant::{Constant, Elements, Int, range, strides, walk},
    Fold,
};
use crate::error::ImportError;
use fixedwise_codec::onnx::ElementType;
use fixedwise_fixed::convert::{f64_to_f32, f64_to_i64};

type Outputs = Result<Vec<Constant>, ImportError>;

/// For each element of the input, the place of its scale and zero point: one for all, one for each
/// index along an axis, or one for each block of elements along it.
fn places(fold: &mut Fold) -> Result<Vec<usize>, ImportError> {
    let axis = fold.attributes.int("axis", 1)?;
    let block = fold.attributes.int("block_size", 0)?;
    let (x, scale) = (fold.input(0)?, fold.input(1)?);
    let n = fold.check_size(&x.dims)?;
    if scale.elements.len() == 1 {
        return Ok(vec![0; n]);
    }
    let axis = fold.axis(axis, x.dims.len())?;
    let mut along = vec![0; x.dims.len()];
    along[axis] = 1;
    let wrong = || {
        fold.error(format!(
            "its scale of shape {:?} does not fit its input of shape {:?}",
            scale.dims, x.dims
        ))
    };
    if scale.dims.len() == 1 && scale.dims[0] == x.dims[axis] {
        return Ok(walk(&x.dims, &along, 0).collect());
    }
    let block = usize::try_from(block).ok().filter(|&b| b > 0).ok_or_else(wrong)?;
    let mut blocks = x.dims.clone();
    blocks[axis] = x.dims[axis].div_ceil(block);
    if scale.dims != blocks {
        return Err(wrong());
    }
    let own = strides(&blocks);
    let mut others = own.clone();
    others[axis] = 0;
    let index = walk(&x.dims, &along, 0);
    Ok(walk(&x.dims, &others, 0).zip(index).map(|(at, i)| at + i / block * own[axis]).collect())
}

/// The scales, and the zero points, which are 0 where they are left out.
fn parameters(fold: &Fold) -> Result<(Vec<f64>, Vec<f64>), ImportError> {
    let scales = fold.input(1)?.numbers();
    let zeros = fold.optional(2).map_or_else(|| vec![0.0; scales.len()], Constant::numbers);
    if zeros.len() != scales.len() {
        return Err(fold.error("its scale and its zero point differ in shape"));
    }
    Ok((scales, zeros))
}

pub(super) fn dequantize(fold: &mut Fold) -> Outputs {
    fold.attributes.optional_int("output_dtype")?;
    let places = places(fold)?;
    let (scales, zeros) = parameters(fold)?;
    let x = fold.input(0)?;
    let numbers = x.numbers();
    let real = |(&place, x): (&usize, &f64)| f64_to_f32((x - zeros[place]) * scales[place]);
    let data = places.iter().zip(&numbers).map(real).collect();
    Ok(vec![Constant::floats(x.dims.clone(), data)])
}

pub(super) fn quantize(fold: &mut Fold) -> Outputs {
    fold.attributes.optional_int("saturate")?;
    fold.attributes.optional_int("precision")?;
    let code = fold.attributes.int("output_dtype", 0)?;
    let places = places(fold)?;
    let (scales, zeros) = parameters(fold)?;
    let element = match (fold.optional(2), i32::try_from(code)) {
        (Some(zero), _) => zero.element,
        (None, Ok(0)) => ElementType::U8,
        (None, code) => ElementType::from_code(code.unwrap_or(0)),
    };
    if matches!(element, ElementType::Other(_)) {
        return Err(fold.error(format!("quantizes to {element}, which is not supported")));
    }
    let (least, most) = range(element);
    let x = fold.input(0)?;
    let stored = |(&place, x): (&usize, &f64)| {
        // Both sides are floats of 32 bits, and so is their quotient.
        let quotient = f64::from(f64_to_f32(x / scales[place]));
        let rounded = f64_to_i64(quotient.round_ties_even() + zeros[place]);
        Int::from(rounded.clamp(least, most))
    };
    let data = places.iter().zip(&x.numbers()).map(stored).collect();
    Ok(vec![Constant { dims: x.dims.clone(), elements: Elements::Ints(data), element }])
}
