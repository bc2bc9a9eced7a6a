//! Every table against nested loops in `f64`.

use crate::common::{Random, convolve, geometries, random_geometry};
use fixedwise_kernels::{Activation, ConvF32, ConvGeometry, FloatBias, Kernels, Scratch};
use proptest::prelude::*;

/// With biases by position, and with the same everywhere.
fn check(geometry: ConvGeometry, random: &mut Random, activation: Activation) {
    let [h, w, c] = geometry.output;
    let bias = FloatBias {
        row_class: (0..h).map(|at| (at % 2) as u16).collect(),
        column_class: (0..w).map(|at| (at % 3) as u16).collect(),
        n_column_classes: 3,
        values: (0..6 * c).map(|_| random.float()).collect(),
    };
    check_with(&bias, geometry, random, activation);
    let uniform = FloatBias::uniform(bias.values[..c].to_vec(), h, w);
    check_with(&uniform, geometry, random, activation);
}

fn check_with(
    bias: &FloatBias,
    geometry: ConvGeometry,
    random: &mut Random,
    activation: Activation,
) {
    let x: Vec<f32> = (0..geometry.input_len()).map(|_| random.float()).collect();
    let weights: Vec<f32> = (0..geometry.weights_len()).map(|_| random.float()).collect();
    let c = geometry.output[2];
    let wide = |values: &[f32]| -> Vec<f64> { values.iter().map(|&v| f64::from(v)).collect() };
    let sums = convolve(&geometry, &wide(&x), &wide(&weights));
    let mut scratch = Scratch::new();
    for kernels in Kernels::all() {
        let conv = ConvF32::new(kernels, geometry, &weights, bias.clone());
        let mut y = vec![f32::NAN; geometry.output_len()];
        conv.run(&x, &mut y, activation, &mut scratch);
        for (idx, (&y, &sum)) in y.iter().zip(&sums).enumerate() {
            let (pixel, co) = (idx / c, idx % c);
            let class = bias.class(pixel / geometry.output[1], pixel % geometry.output[1]);
            let sum = sum + f64::from(bias.values[class * c + co]);
            let expected = f64::from(activation.apply(sum as f32));
            assert!(
                (f64::from(y) - expected).abs() <= 1e-6 * (10.0 + geometry.taps() as f64),
                "{}: output {idx} of {geometry:?} is {y}, expected {expected}",
                kernels.name
            );
        }
    }
}

#[test]
fn every_kernel_is_close_to_the_definition_on_all_shapes() {
    let mut random = Random::new(4);
    let activations = [
        Activation::None,
        Activation::Clamp { min: 0.0, max: f32::INFINITY },
        Activation::Clamp { min: -1.0, max: 3.0 },
        Activation::Leaky(0.1),
    ];
    for (idx, geometry) in geometries().into_iter().enumerate() {
        check(geometry, &mut random, activations[idx % 4]);
    }
}

#[test]
fn what_is_no_number_is_treated_alike() {
    let geometry = ConvGeometry::dense(1, 40);
    let activations = [
        (Activation::None, f32::NAN),
        (Activation::Leaky(0.5), f32::NAN),
        (Activation::Clamp { min: -1.0, max: 3.0 }, -1.0),
    ];
    for kernels in Kernels::all() {
        let bias = FloatBias::uniform(vec![0.0; 40], 1, 1);
        let conv = ConvF32::new(kernels, geometry, &[1.0; 40], bias);
        for (activation, expected) in activations {
            let mut y = [7.0; 40];
            conv.run(&[f32::NAN], &mut y, activation, &mut Scratch::new());
            for y in y {
                assert!(y.total_cmp(&expected).is_eq() || (y.is_nan() && expected.is_nan()));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn every_kernel_is_close_to_the_definition(seed: u64) {
        let mut random = Random::new(seed);
        let geometry = random_geometry(&mut random);
        check(geometry, &mut random, Activation::None);
    }
}

#[test]
fn images_of_a_dense_layer_at_once_give_what_each_gives_alone() {
    let mut random = Random::new(5);
    let mut scratch = Scratch::new();
    let geometry = ConvGeometry::dense(37, 70);
    let mut floats = |n: usize| -> Vec<f32> { (0..n).map(|_| random.float()).collect() };
    let (weights, x) = (floats(geometry.weights_len()), floats(11 * 37));
    let bias = FloatBias::uniform(floats(70), 1, 1);
    for kernels in Kernels::all() {
        let conv = ConvF32::new(kernels, geometry, &weights, bias.clone());
        let (mut together, mut alone) = (vec![0.0; 11 * 70], vec![0.0; 11 * 70]);
        conv.run(&x, &mut together, Activation::None, &mut scratch);
        for (x, y) in x.chunks(37).zip(alone.chunks_mut(70)) {
            conv.run(x, y, Activation::None, &mut scratch);
        }
        assert_eq!(together, alone, "{}", kernels.name);
    }
}
