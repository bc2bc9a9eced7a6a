//! The optimizer of one tensor.
//!
//! Source: Kingma, Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015.

/// Of the mean of gradients, and of their squares.
const DECAYS: [f32; 2] = [0.9, 0.999];
/// Beside the root of the mean square: gradients in steps of integers are tiny.
const LEAST: f32 = 1e-12;

/// Running means for each number of a tensor.
#[derive(Clone, Debug)]
pub(super) struct Adam {
    mean: Vec<f32>,
    square: Vec<f32>,
    /// What the means lack of their weights so far.
    missing: [f32; 2],
}

impl Adam {
    pub(super) fn new(n: usize) -> Self {
        Self { mean: vec![0.0; n], square: vec![0.0; n], missing: [1.0; 2] }
    }

    /// Moves each number by about `rate` against its gradient.
    pub(super) fn step(&mut self, numbers: &mut [f32], gradient: &[f32], rate: f32) {
        let [first, second] = DECAYS;
        self.missing = [self.missing[0] * first, self.missing[1] * second];
        let [mean_scale, square_scale] = self.missing.map(|missing| 1.0 / (1.0 - missing));
        let means = self.mean.iter_mut().zip(&mut self.square);
        for ((x, &g), (mean, square)) in numbers.iter_mut().zip(gradient).zip(means) {
            *mean = first * *mean + (1.0 - first) * g;
            *square = second * *square + (1.0 - second) * g * g;
            *x -= rate * (*mean * mean_scale) / ((*square * square_scale).sqrt() + LEAST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_have_the_size_of_the_rate_and_the_sign_of_the_gradient() {
        let mut adam = Adam::new(3);
        let mut x = [1.0, 1.0, 1.0];
        adam.step(&mut x, &[1e-6, -100.0, 0.0], 0.1);
        assert!(
            (x[0] - 0.9).abs() < 1e-4 && (x[1] - 1.1).abs() < 1e-4 && (x[2] - 1.0).abs() < 1e-9,
            "{x:?}"
        );
        let (mut adam, mut x) = (Adam::new(3), [1.0, 1.1, 0.0]);
        for _ in 0..200 {
            let gradient = x.map(|x| 2.0 * (x - 0.5));
            adam.step(&mut x, &gradient, 0.02);
        }
        assert!(x.iter().all(|x| (x - 0.5).abs() < 0.1), "{x:?}");
    }
}
