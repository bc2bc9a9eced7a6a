//! Every table against seven nested loops in `i64`.

use crate::common::{Random, convolve, geometries, random_geometry};
use fixedwise_fixed::Rounding;
use fixedwise_kernels::{
    Accumulate, BorderBias, ConvGeometry, ConvInt, Element, Epilogue, Integers, IntegersMut,
    Kernels, Residual, Scratch,
};
use proptest::prelude::*;

/// One layer with its input.
#[derive(Debug, Clone)]
struct Case {
    geometry: ConvGeometry,
    input: Element,
    x: Vec<i64>,
    weights: Vec<i16>,
    bias: BorderBias,
    accumulate: Accumulate,
    epilogue: Epilogue,
    /// Of every channel's sums, or empty.
    coarser: Vec<u8>,
    /// What is added to the sums, or nothing.
    added: Option<(Residual, Vec<i64>)>,
}

impl Case {
    /// The sums by definition, without biases.
    fn sums(&self) -> Vec<i64> {
        let weights: Vec<i64> = self.weights.iter().map(|&w| i64::from(w)).collect();
        convolve(&self.geometry, &self.x, &weights)
    }

    /// The outputs by definition.
    fn expected(&self, sums: &[i64]) -> Vec<i64> {
        let n_channels = self.geometry.output[2];
        sums.iter()
            .enumerate()
            .map(|(idx, &sum)| {
                let (pixel, co) = (idx / n_channels, idx % n_channels);
                let (oh, ow) = (pixel / self.geometry.output[1], pixel % self.geometry.output[1]);
                let class = self.bias.class(oh, ow);
                let coarser = self.coarser.get(co).copied().unwrap_or(0);
                let sum = sum + self.bias.values[class * n_channels + co];
                let added = self.added.as_ref().map(|(residual, values)| {
                    let left = residual.left - i32::from(coarser);
                    (values[idx] << left.max(0)) >> (-left).max(0)
                });
                let sum = sum + added.unwrap_or(0);
                if self.accumulate == Accumulate::I32 {
                    assert!(i32::try_from(sum).is_ok(), "the case is wrong: {sum}");
                }
                let e = &self.epilogue;
                let shift = e.shift - i32::from(coarser);
                let shifted = match e.leaky {
                    Some((alpha, frac)) if sum < 0 => {
                        let product = sum.saturating_mul(alpha);
                        fixedwise_fixed::shift_round(product, shift + frac, e.rounding)
                    }
                    _ => fixedwise_fixed::shift_round(sum, shift, e.rounding),
                };
                shifted.clamp(e.min, e.max)
            })
            .collect()
    }

    fn run(&self, kernels: &'static Kernels, scratch: &mut Scratch) -> Vec<i64> {
        let conv = ConvInt::new(
            kernels,
            self.geometry,
            self.input,
            &self.weights,
            &self.bias,
            self.accumulate,
            self.epilogue,
            &self.coarser,
            self.added.as_ref().map(|(residual, _)| *residual),
        );
        let (mut y_u8, mut y_i8, mut y_i16) = (Vec::new(), Vec::new(), Vec::new());
        let n = self.x.len() / self.geometry.input_len() * self.geometry.output_len();
        // Not zero, so that an output nobody writes is seen.
        let mut y = match self.epilogue.output {
            Element::U8 => {
                y_u8.resize(n, 77);
                IntegersMut::U8(&mut y_u8)
            }
            Element::I8 => {
                y_i8.resize(n, 77);
                IntegersMut::I8(&mut y_i8)
            }
            Element::I16 => {
                y_i16.resize(n, 77);
                IntegersMut::I16(&mut y_i16)
            }
        };
        let x = Stored::new(self.input, &self.x);
        let added = self.added.as_ref().map(|(own, values)| Stored::new(own.element, values));
        conv.run(x.view(), added.as_ref().map(Stored::view), y.reborrow(), scratch);
        (0..n).map(|idx| y.get(idx)).collect()
    }
}

/// Integers as they are stored.
enum Stored {
    U8(Vec<u8>),
    I8(Vec<i8>),
    I16(Vec<i16>),
}

impl Stored {
    fn new(element: Element, values: &[i64]) -> Self {
        match element {
            Element::U8 => Self::U8(values.iter().map(|&x| x as u8).collect()),
            Element::I8 => Self::I8(values.iter().map(|&x| x as i8).collect()),
            Element::I16 => Self::I16(values.iter().map(|&x| x as i16).collect()),
        }
    }

    fn view(&self) -> Integers<'_> {
        match self {
            Self::U8(x) => Integers::U8(x),
            Self::I8(x) => Integers::I8(x),
            Self::I16(x) => Integers::I16(x),
        }
    }
}

/// With one binary point for all channels and with one for each; with biases by position, and with the same
/// everywhere and one of both; some with a value that is added.
fn check(case: &Case, scratch: &mut Scratch) {
    let [h, w, c] = case.geometry.output;
    let coarser: Vec<u8> = (0..c).map(|co| [0, 3, 1, 7, 2][co % 5]).collect();
    let uniform = BorderBias::uniform(case.bias.values[..c].to_vec(), h, w);
    let sums = case.sums();
    check_one(case, &sums, scratch);
    let n = case.x.len() / case.geometry.input_len() * case.geometry.output_len();
    let added = |left: i32| {
        let element = [Element::U8, Element::I8, Element::I16][(left % 3) as usize];
        let range = element.max() - element.min() + 1;
        let values = (0..n).map(|i| element.min() + (i as i64 * 7919 + 13).rem_euclid(range));
        let max = element.max().max(-element.min()).unsigned_abs() as u32;
        (Residual { element, max, left }, values.collect())
    };
    // Coarser channels drop bits of some.
    let left = 5 + (case.epilogue.shift.abs() + c as i32) % 5;
    let has_added = |bit: u32| case.epilogue.shift.unsigned_abs() >> bit & 1 == 1;
    let by_channel = Case { coarser, ..case.clone() };
    let by_channel = Case { added: has_added(1).then(|| added(left)), ..by_channel };
    check_one(&by_channel, &sums, scratch);
    let one_of_both = if case.epilogue.shift % 2 == 0 { case.clone() } else { by_channel };
    let added = has_added(2).then(|| added(left));
    check_one(&Case { bias: uniform, added, ..one_of_both }, &sums, scratch);
}

fn check_one(case: &Case, sums: &[i64], scratch: &mut Scratch) {
    let expected = case.expected(sums);
    for kernels in Kernels::all() {
        let got = case.run(kernels, scratch);
        if got != expected {
            let at = (0..got.len()).find(|&idx| got[idx] != expected[idx]).unwrap_or(0);
            panic!(
                "{}: output {at} is {}, expected {}\n{:?} {:?} {:?} {:?} {:?} {:?}",
                kernels.name,
                got[at],
                expected[at],
                case.geometry,
                case.input,
                case.accumulate,
                case.epilogue,
                case.coarser,
                case.added.as_ref().map(|(residual, _)| residual)
            );
        }
    }
}

fn epilogue(output: Element, shift: i32, rounding: Rounding) -> Epilogue {
    let (min, max) = (output.min(), output.max());
    Epilogue { shift, rounding, min, max, leaky: None, output }
}

fn random_case(
    random: &mut Random,
    geometry: ConvGeometry,
    input: Element,
    weight_bits: u32,
    accumulate: Accumulate,
) -> Case {
    let x = (0..geometry.input_len()).map(|_| random.between(input.min(), input.max())).collect();
    let limit = 1_i64 << (weight_bits - 1);
    let weights =
        (0..geometry.weights_len()).map(|_| random.between(-limit, limit - 1) as i16).collect();
    let output = [Element::U8, Element::I8, Element::I16][random.below(3)];
    // The classes of a border one wide.
    let class = |extent: usize| -> Vec<u16> {
        (0..extent)
            .map(|at| {
                if at == 0 {
                    0
                } else if at + 1 == extent {
                    2
                } else {
                    1
                }
            })
            .collect()
    };
    let bias = BorderBias {
        row_class: class(geometry.output[0]),
        column_class: class(geometry.output[1]),
        n_column_classes: 3,
        values: (0..9 * geometry.output[2]).map(|_| random.between(-3000, 3000)).collect(),
    };
    // A shift that leaves about the output's bits.
    let sum = geometry.taps() as f64 * input.max() as f64 * limit as f64 / 4.0;
    let shift = (sum.log2() as i32 - 8 + random.below(4) as i32 - 2).max(0);
    let rounding = [Rounding::TiesUp, Rounding::Floor, Rounding::TiesEven][random.below(3)];
    Case {
        geometry,
        input,
        x,
        weights,
        bias,
        accumulate,
        epilogue: epilogue(output, shift, rounding),
        coarser: vec![],
        added: None,
    }
}

#[test]
fn every_kernel_equals_the_definition_on_all_shapes() {
    let mut random = Random::new(1);
    let mut scratch = Scratch::new();
    for geometry in geometries() {
        for input in [Element::U8, Element::I8, Element::I16] {
            for weight_bits in [8, 11] {
                // 2^15 * 2^10 * the 64 taps that fit.
                let fits = input != Element::I16
                    || (geometry.taps() < if weight_bits == 8 { 500 } else { 60 });
                let accumulate =
                    if fits { Accumulate::I32 } else { Accumulate::I64 { max_input: 32768 } };
                check(
                    &random_case(&mut random, geometry, input, weight_bits, accumulate),
                    &mut scratch,
                );
            }
            let accumulate = Accumulate::I64 { max_input: input.max().max(-input.min()) as u32 };
            check(&random_case(&mut random, geometry, input, 16, accumulate), &mut scratch);
        }
    }
}

#[test]
fn extreme_inputs_and_weights_are_exact() {
    let mut scratch = Scratch::new();
    let geometry = ConvGeometry {
        input: [5, 4, 7],
        output: [5, 4, 18],
        kernel: [3, 3],
        stride: [1, 1],
        dilation: [1, 1],
        pad: [1, 1],
        groups: 1,
    };
    for (input, extremes) in [
        (Element::U8, &[0_i64, 255][..]),
        (Element::I8, &[-128, 127]),
        (Element::I16, &[-32768, -32767, 32767]),
    ] {
        for &x in extremes {
            for w in [-32768_i16, -32767, 32767, -128, 127, 1] {
                for max_input in [x.unsigned_abs() as u32, u32::MAX] {
                    for geometry in [geometry, ConvGeometry::dense(301, 33)] {
                        let sum = geometry.taps() as i64 * x * i64::from(w);
                        let fits = sum.abs() < (1 << 31) - (1 << 17);
                        let narrow = fits.then_some(Accumulate::I32);
                        let wide = Accumulate::I64 { max_input };
                        for accumulate in narrow.into_iter().chain([wide]) {
                            let shift = (sum.unsigned_abs() + 1).ilog2() as i32 - 14;
                            let shift = shift.clamp(0, 17);
                            let case = Case {
                                geometry,
                                input,
                                x: vec![x; geometry.input_len()],
                                weights: vec![w; geometry.weights_len()],
                                bias: BorderBias::uniform(
                                    (0..geometry.output[2] as i64).map(|co| co * 7 - 50).collect(),
                                    geometry.output[0],
                                    geometry.output[1],
                                ),
                                accumulate,
                                epilogue: epilogue(Element::I16, shift, Rounding::TiesUp),
                                coarser: vec![],
                                added: None,
                            };
                            check(&case, &mut scratch);
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn every_epilogue_is_exact() {
    let mut random = Random::new(2);
    let mut scratch = Scratch::new();
    let geometry = ConvGeometry {
        input: [3, 5, 6],
        output: [3, 5, 19],
        kernel: [3, 1],
        stride: [1, 1],
        dilation: [1, 1],
        pad: [1, 0],
        groups: 1,
    };
    let depthwise = ConvGeometry { input: [3, 5, 19], groups: 19, ..geometry };
    for geometry in [geometry, depthwise] {
        for input in [Element::U8, Element::I8, Element::I16] {
            for rounding in [Rounding::TiesUp, Rounding::Floor, Rounding::TiesEven] {
                for shift in
                    [-40, -20, -18, -17, -3, -1, 0, 1, 2, 7, 15, 30, 31, 32, 61, 62, 63, 64, 90]
                {
                    for leaky in
                        [None, Some((13, 7)), Some((-5, 3)), Some((1 << 40, 45)), Some((3, -2))]
                    {
                        for accumulate in [Accumulate::I32, Accumulate::I64 { max_input: 32768 }] {
                            let mut case = random_case(&mut random, geometry, input, 8, accumulate);
                            if accumulate != Accumulate::I32 && random.below(2) == 0 {
                                for bias in &mut case.bias.values {
                                    *bias = random.between(-1 << 20, 1 << 20) << random.below(23);
                                }
                            }
                            if shift == 31 {
                                // A half of 2^30 leaves no room for more.
                                for x in &mut case.x {
                                    *x /= 2;
                                }
                            }
                            case.epilogue.shift = shift;
                            case.epilogue.rounding = rounding;
                            case.epilogue.leaky = leaky;
                            let range = case.epilogue.output;
                            case.epilogue.min = random.between(range.min(), range.max());
                            case.epilogue.max = random.between(case.epilogue.min, range.max());
                            check(&case, &mut scratch);
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn sums_flushed_again_and_again_are_exact() {
    let mut random = Random::new(3);
    let mut scratch = Scratch::new();
    for taps in [1, 2, 3, 7, 64, 129, 2000] {
        for bits in [12, 14, 15, 16] {
            for co in [1, 17, 40] {
                let geometry = ConvGeometry::dense(taps, co);
                let accumulate = Accumulate::I64 { max_input: 32768 };
                let case = random_case(&mut random, geometry, Element::I16, bits, accumulate);
                check(&case, &mut scratch);
            }
        }
    }
}

#[test]
fn images_of_a_dense_layer_at_once_give_what_each_gives_alone() {
    let mut random = Random::new(4);
    let mut scratch = Scratch::new();
    for (inputs, outputs) in [(64, 10), (13, 70), (100, 33)] {
        for input in [Element::U8, Element::I8, Element::I16] {
            let accumulate = Accumulate::I64 { max_input: 32768 };
            let geometry = ConvGeometry::dense(inputs, outputs);
            let cases: Vec<Case> =
                (0..11).map(|_| random_case(&mut random, geometry, input, 8, accumulate)).collect();
            let x = cases.iter().flat_map(|case| case.x.clone()).collect();
            // All with the weights and the output of the first.
            let together = Case { x, ..cases[0].clone() };
            for kernels in Kernels::all() {
                let alone: Vec<i64> = cases
                    .iter()
                    .flat_map(|case| {
                        let case = Case { x: case.x.clone(), ..cases[0].clone() };
                        assert_eq!(case.run(kernels, &mut scratch), case.expected(&case.sums()));
                        case.run(kernels, &mut scratch)
                    })
                    .collect();
                assert_eq!(together.run(kernels, &mut scratch), alone, "{}", kernels.name);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_kernel_equals_the_definition(seed: u64, bits in 2..=16_u32, element in 0..3_usize) {
        let mut random = Random::new(seed);
        let geometry = random_geometry(&mut random);
        let input = [Element::U8, Element::I8, Element::I16][element];
        let accumulate = Accumulate::I64 { max_input: input.max().max(-input.min()) as u32 };
        let mut case = random_case(&mut random, geometry, input, bits, accumulate);
        let mut scratch = Scratch::new();
        check(&case, &mut scratch);
        let largest = (geometry.taps() as i64 * (input.max() + 1)) << (bits - 1);
        if largest < (1 << 31) - 4000 - (1 << 24) && case.epilogue.shift < 24 {
            case.accumulate = Accumulate::I32;
            check(&case, &mut scratch);
        }
    }
}
