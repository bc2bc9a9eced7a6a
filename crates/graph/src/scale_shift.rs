//! A scale and a shift of each channel of a value, as data: what passes move through operators.

use fixedwise_fixed::convert::f64_to_f32;

/// `y = scale * x + shift`, channel by channel, in double precision.
#[derive(Clone, Debug, PartialEq)]
pub struct ScaleShift {
    /// One a channel.
    pub scale: Vec<f64>,
    /// One a channel.
    pub shift: Vec<f64>,
}

impl ScaleShift {
    /// What changes nothing.
    pub fn identity(channels: usize) -> Self {
        Self { scale: vec![1.0; channels], shift: vec![0.0; channels] }
    }

    /// `next` after this one.
    #[must_use]
    pub fn then(&self, next: &Self) -> Self {
        let scale = self.scale.iter().zip(&next.scale).map(|(a, b)| a * b).collect();
        let shift = self
            .shift
            .iter()
            .zip(next.scale.iter().zip(&next.shift))
            .map(|(&t, (&s, &u))| s.mul_add(t, u))
            .collect();
        Self { scale, shift }
    }

    /// Makes `weights`, one a channel of `channels`, those of the values before: each times its channel's
    /// scale. Gives what the shifts add to their products, `bias` on top.
    pub fn absorb(&self, channels: std::ops::Range<usize>, weights: &mut [f32], bias: f32) -> f32 {
        let products =
            weights.iter().zip(&self.shift[channels.clone()]).map(|(&w, &t)| f64::from(w) * t);
        let sum = f64_to_f32(f64::from(bias) + products.sum::<f64>());
        for (w, s) in weights.iter_mut().zip(&self.scale[channels]) {
            *w = f64_to_f32(f64::from(*w) * s);
        }
        sum
    }
}
