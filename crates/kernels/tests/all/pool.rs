//! Pooling on every table against nested loops.

use crate::common::{Random, random_geometry};
use fixedwise_kernels::{Kernels, PoolElement, PoolGeometry, max_pool};

/// The inputs of every window, [oh, ow, c][tap].
fn windows<T: Copy>(g: &PoolGeometry, x: &[T]) -> Vec<Vec<T>> {
    let mut all = Vec::new();
    for oh in 0..g.output[0] {
        for ow in 0..g.output[1] {
            for c in 0..g.input[2] {
                let mut window = Vec::new();
                for kh in 0..g.kernel[0] {
                    for kw in 0..g.kernel[1] {
                        let ih = oh * g.stride[0] + kh * g.dilation[0];
                        let iw = ow * g.stride[1] + kw * g.dilation[1];
                        if ih >= g.pad[0]
                            && iw >= g.pad[1]
                            && ih - g.pad[0] < g.input[0]
                            && iw - g.pad[1] < g.input[1]
                        {
                            let pixel = (ih - g.pad[0]) * g.input[1] + iw - g.pad[1];
                            window.push(x[pixel * g.input[2] + c]);
                        }
                    }
                }
                all.push(window);
            }
        }
    }
    all
}

fn check<T>(geometry: &PoolGeometry, x: &[T], minimum: &[bool], zero: T)
where
    T: PoolElement + core::fmt::Debug + Into<f64>,
{
    let windows = windows(geometry, x);
    let c = geometry.input[2];
    for kernels in Kernels::all() {
        let mut y = vec![zero; geometry.output_len()];
        max_pool(kernels, geometry, minimum, x, &mut y);
        for (idx, window) in windows.iter().enumerate() {
            let values = window.iter().map(|&v| v.into());
            let expected = if minimum.get(idx % c) == Some(&true) {
                values.clone().fold(f64::INFINITY, f64::min)
            } else {
                values.clone().fold(f64::NEG_INFINITY, f64::max)
            };
            let got: f64 = y[idx].into();
            assert_eq!(got.to_bits(), expected.to_bits(), "{}: {geometry:?}", kernels.name);
            let pixel = idx / c;
            let (oh, ow) = (pixel / geometry.output[1], pixel % geometry.output[1]);
            assert_eq!(geometry.count(oh, ow), window.len());
        }
    }
}

#[test]
fn every_pool_equals_the_definition() {
    let mut random = Random::new(5);
    let mut n_checked = 0;
    while n_checked < 150 {
        let conv = random_geometry(&mut random);
        let geometry = PoolGeometry {
            input: conv.input,
            output: [conv.output[0], conv.output[1]],
            kernel: conv.kernel,
            stride: conv.stride,
            dilation: conv.dilation,
            pad: conv.pad,
        };
        let geometry =
            if n_checked % 10 == 0 { PoolGeometry::global(conv.input) } else { geometry };
        let occupied = (0..geometry.output[0])
            .all(|oh| (0..geometry.output[1]).all(|ow| geometry.count(oh, ow) > 0));
        if !occupied {
            continue;
        }
        n_checked += 1;
        let n = geometry.input_len();
        let mask: Vec<bool> = (0..geometry.input[2]).map(|_| random.below(2) == 0).collect();
        for minimum in [&[][..], &mask[..]] {
            let u8s: Vec<u8> = (0..n).map(|_| random.below(256) as u8).collect();
            check(&geometry, &u8s, minimum, 0);
            let i8s: Vec<i8> = (0..n).map(|_| random.between(-128, 127) as i8).collect();
            check(&geometry, &i8s, minimum, 0);
            let i16s: Vec<i16> = (0..n).map(|_| random.between(-32768, 32767) as i16).collect();
            check(&geometry, &i16s, minimum, 0);
            let floats: Vec<f32> = (0..n).map(|_| random.between(-99, 99) as f32).collect();
            check(&geometry, &floats, minimum, 0.0);
        }
    }
}
