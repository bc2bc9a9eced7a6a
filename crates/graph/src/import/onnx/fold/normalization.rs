//! Normalizations of constants: exporters leave those of standardized weights to whoever reads the file.

use super::{
    super::constant::{Constant, Elements},
    Fold,
};
use crate::error::ImportError;
use fixedwise_fixed::convert::{count_to_f64, f64_to_f32};

type Outputs = Result<Vec<Constant>, ImportError>;

/// By the statistics that are given, or, in training, by those of the constant itself.
pub(super) fn batch(fold: &mut Fold) -> Outputs {
    let epsilon = f64::from(fold.attributes.float("epsilon", 1e-5)?);
    fold.attributes.float("momentum", 0.9)?;
    let is_training = fold.attributes.int("training_mode", 0)? != 0;
    let x = fold.input(0)?;
    let Elements::Floats(values) = &x.elements else {
        return Err(fold.error("its input 0 must contain floats"));
    };
    let channels = x.dims.get(1).copied().unwrap_or(1);
    let inner: usize = x.dims.iter().skip(2).product();
    let of_channel = |position: usize| -> Result<Vec<f64>, ImportError> {
        let numbers = fold.input(position)?.numbers();
        if numbers.len() == channels {
            return Ok(numbers);
        }
        Err(fold.error(format!("its input {position} must be one number for each channel")))
    };
    let (scale, shift) = (of_channel(1)?, of_channel(2)?);
    let channel = |i: usize| i / inner.max(1) % channels.max(1);
    let [mean, variance] = if is_training {
        let n = count_to_f64(values.len() / channels.max(1)).max(1.0);
        let sums = |of: &dyn Fn(usize, f64) -> f64| {
            let mut sums = vec![0.0; channels];
            let all = values.iter().map(|&x| f64::from(x)).enumerate();
            all.for_each(|(i, x)| sums[channel(i)] += of(channel(i), x) / n);
            sums
        };
        let mean = sums(&|_, x| x);
        let variance = sums(&|channel, x| (x - mean[channel]).powi(2));
        [mean, variance]
    } else {
        [of_channel(3)?, of_channel(4)?]
    };
    let normalized = |(i, &x): (usize, &f32)| {
        let c = channel(i);
        let deviation = (variance[c] + epsilon).sqrt();
        f64_to_f32((f64::from(x) - mean[c]) / deviation * scale[c] + shift[c])
    };
    let data = values.iter().enumerate().map(normalized).collect();
    Ok(vec![Constant::floats(x.dims.clone(), data)])
}
