//! Convolutions: kernel × table × shapes of real networks, in multiplications a second.
#![allow(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "inputs are made of small numbers"
)]
#![allow(missing_docs, reason = "the macro of the harness writes a public function")]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fixedwise_fixed::{Format, Rounding};
use fixedwise_kernels::{
    Accumulate, Activation, BorderBias, ConvF32, ConvGeometry, ConvInt, Element, Epilogue,
    FloatBias, Integers, IntegersMut, Kernels, PoolGeometry, Scratch, max_pool, quantize,
};
use std::time::Duration;

fn conv(extent: usize, ci: usize, co: usize, kernel: usize, groups: usize) -> ConvGeometry {
    ConvGeometry {
        input: [extent, extent, ci],
        output: [extent, extent, co],
        kernel: [kernel, kernel],
        stride: [1, 1],
        dilation: [1, 1],
        pad: [kernel / 2, kernel / 2],
        groups,
    }
}

/// A depthwise layer of 48 x 48 inputs.
fn depthwise(channels: usize, stride: usize) -> ConvGeometry {
    let mut geometry = conv(48, channels, channels, 3, channels);
    geometry.stride = [stride; 2];
    geometry.output = [48 / stride, 48 / stride, channels];
    geometry
}

/// Layers of small image networks, depthwise ones of few channels and a dense one.
fn shapes() -> Vec<(&'static str, ConvGeometry)> {
    vec![
        ("28x28x1-32", conv(28, 1, 32, 3, 1)),
        ("26x26x32-32", conv(26, 32, 32, 3, 1)),
        ("13x13x32-32", conv(13, 32, 32, 3, 1)),
        ("13x13x32-64", conv(13, 32, 64, 3, 1)),
        ("13x13x64-64", conv(13, 64, 64, 3, 1)),
        ("7x7x64-64", conv(7, 64, 64, 3, 1)),
        ("4x4x64-64", conv(4, 64, 64, 3, 1)),
        ("28x28x3-10", conv(28, 3, 10, 5, 1)),
        ("14x14x64-128-1x1", conv(14, 64, 128, 1, 1)),
        ("14x14x64-depthwise", conv(14, 64, 64, 3, 64)),
        ("48x48x8-depthwise", depthwise(8, 1)),
        ("48x48x16-depthwise", depthwise(16, 1)),
        ("48x48x24-depthwise", depthwise(24, 1)),
        ("48x48x40-depthwise", depthwise(40, 1)),
        ("48x48x8-depthwise-stride-2", depthwise(8, 2)),
        ("48x48x16-depthwise-stride-2", depthwise(16, 2)),
        ("48x48x24-depthwise-stride-2", depthwise(24, 2)),
        ("48x48x40-depthwise-stride-2", depthwise(40, 2)),
        ("1024-64", ConvGeometry::dense(1024, 64)),
    ]
}

/// The same small numbers each time.
fn numbers(n: usize, limit: i16) -> impl Iterator<Item = i16> {
    let limit = i64::from(limit);
    (0..n as i64).map(move |idx| ((idx * 7919 + idx / 13) % (2 * limit + 1) - limit) as i16)
}

fn run_int(
    b: &mut criterion::Bencher,
    kernels: &'static Kernels,
    geometry: ConvGeometry,
    input: Element,
    weight: i16,
    accumulate: Accumulate,
) {
    let weights: Vec<i16> = numbers(geometry.weights_len(), weight).collect();
    let [h, w, co] = geometry.output;
    let output = input;
    let epilogue = Epilogue {
        shift: 10,
        rounding: Rounding::TiesUp,
        min: output.min(),
        max: output.max(),
        leaky: None,
        output,
    };
    let bias = BorderBias::uniform(vec![100; co], h, w);
    let layer =
        ConvInt::new(kernels, geometry, input, &weights, &bias, accumulate, epilogue, &[], None);
    let x_i16: Vec<i16> = numbers(geometry.input_len(), 127).collect();
    let x_u8: Vec<u8> = x_i16.iter().map(|&x| x.unsigned_abs() as u8).collect();
    let mut y_u8 = vec![0; geometry.output_len()];
    let mut y_i16 = vec![0; geometry.output_len()];
    let mut scratch = Scratch::new();
    b.iter(|| match input {
        Element::U8 => {
            layer.run(Integers::U8(&x_u8), None, IntegersMut::U8(&mut y_u8), &mut scratch);
        }
        _ => layer.run(Integers::I16(&x_i16), None, IntegersMut::I16(&mut y_i16), &mut scratch),
    });
}

fn convolutions(c: &mut Criterion) {
    for kernels in Kernels::all() {
        let mut group = c.benchmark_group(kernels.name);
        group.warm_up_time(Duration::from_millis(50));
        group.measurement_time(Duration::from_millis(200));
        group.sample_size(10);
        for (name, geometry) in shapes() {
            group.throughput(Throughput::Elements(geometry.macs() as u64));
            group.bench_function(BenchmarkId::new("f32", name), |b| {
                let weights: Vec<f32> =
                    numbers(geometry.weights_len(), 100).map(|w| f32::from(w) / 500.0).collect();
                let x: Vec<f32> = numbers(geometry.input_len(), 100).map(f32::from).collect();
                let [h, w, co] = geometry.output;
                let bias = FloatBias::uniform(vec![0.5; co], h, w);
                let layer = ConvF32::new(kernels, geometry, &weights, bias);
                let mut y = vec![0.0; geometry.output_len()];
                let mut scratch = Scratch::new();
                let relu = Activation::Clamp { min: 0.0, max: f32::INFINITY };
                b.iter(|| layer.run(&x, &mut y, relu, &mut scratch));
            });
            let fits = Accumulate::I32;
            group.bench_function(BenchmarkId::new("u8", name), |b| {
                run_int(b, kernels, geometry, Element::U8, 127, fits);
            });
            group.bench_function(BenchmarkId::new("i16", name), |b| {
                run_int(b, kernels, geometry, Element::I16, 1000, fits);
            });
            group.bench_function(BenchmarkId::new("i16-wide", name), |b| {
                let wide = Accumulate::I64 { max_input: 32767 };
                run_int(b, kernels, geometry, Element::I16, 9000, wide);
            });
        }
        group.finish();
    }
}

fn pools(c: &mut Criterion) {
    let geometry = PoolGeometry {
        input: [26, 26, 32],
        output: [13, 13],
        kernel: [2, 2],
        stride: [2, 2],
        dilation: [1, 1],
        pad: [0, 0],
    };
    for kernels in Kernels::all() {
        let mut group = c.benchmark_group(kernels.name);
        group.warm_up_time(Duration::from_millis(50));
        group.measurement_time(Duration::from_millis(200));
        group.sample_size(10);
        group.throughput(Throughput::Elements(geometry.input_len() as u64));
        group.bench_function("max_pool_u8/26x26x32", |b| {
            let x: Vec<u8> = numbers(geometry.input_len(), 100).map(|x| x as u8).collect();
            let mut y = vec![0; geometry.output_len()];
            b.iter(|| max_pool(kernels, &geometry, &[], &x, &mut y));
        });
        group.finish();
    }
}

fn inputs(c: &mut Criterion) {
    const LEN: usize = 96 * 96 * 3;
    for kernels in Kernels::all() {
        let mut group = c.benchmark_group(kernels.name);
        group.warm_up_time(Duration::from_millis(50));
        group.measurement_time(Duration::from_millis(200));
        group.sample_size(10);
        group.throughput(Throughput::Elements(LEN as u64));
        group.bench_function("quantize_u8/96x96x3", |b| {
            let x: Vec<f32> = numbers(LEN, 300).map(f32::from).collect();
            let mut y = vec![0; LEN];
            let format = Format::unsigned(8, 0);
            b.iter(|| quantize(kernels, format, &x, IntegersMut::U8(&mut y)));
        });
        group.finish();
    }
}

criterion_group!(benches, convolutions, pools, inputs);
criterion_main!(benches);
