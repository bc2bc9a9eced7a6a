//! The naive twin and the shapes the kernels are tested on.

use core::ops::{Add, AddAssign, Mul};
use fixedwise_kernels::ConvGeometry;

/// A small generator of numbers.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Random(seed)
    }

    fn next(&mut self) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    pub(crate) fn between(&mut self, min: i64, max: i64) -> i64 {
        min + (self.next() % ((max - min + 1) as u64)) as i64
    }

    pub(crate) fn float(&mut self) -> f32 {
        self.between(-1000, 1000) as f32 / 500.0
    }
}

/// The sums of a convolution by definition.
pub(crate) fn convolve<T>(geometry: &ConvGeometry, x: &[T], weights: &[T]) -> Vec<T>
where
    T: Copy + Default + Add<Output = T> + Mul<Output = T> + AddAssign,
{
    let ConvGeometry { input, output, kernel, stride, dilation, pad, groups } = *geometry;
    let group_inputs = input[2] / groups;
    let mut sums = Vec::new();
    for oh in 0..output[0] {
        for ow in 0..output[1] {
            for co in 0..output[2] {
                let mut sum = T::default();
                let group = co / (output[2] / groups);
                for kh in 0..kernel[0] {
                    for kw in 0..kernel[1] {
                        let ih = oh * stride[0] + kh * dilation[0];
                        let iw = ow * stride[1] + kw * dilation[1];
                        if ih < pad[0] || iw < pad[1] {
                            continue;
                        }
                        let (ih, iw) = (ih - pad[0], iw - pad[1]);
                        if ih >= input[0] || iw >= input[1] {
                            continue;
                        }
                        for ci in 0..group_inputs {
                            let read = (ih * input[1] + iw) * input[2] + group * group_inputs + ci;
                            let weight =
                                ((co * kernel[0] + kh) * kernel[1] + kw) * group_inputs + ci;
                            sum += x[read] * weights[weight];
                        }
                    }
                }
                sums.push(sum);
            }
        }
    }
    sums
}

fn conv(
    [h, w, ci]: [usize; 3],
    co: usize,
    kernel: [usize; 2],
    stride: [usize; 2],
    dilation: [usize; 2],
    // Top, left, bottom, right.
    pads: [usize; 4],
    groups: usize,
) -> Option<ConvGeometry> {
    let reach = |axis: usize| (kernel[axis] - 1) * dilation[axis] + 1;
    let out = |extent: usize, axis: usize| {
        let padded = extent + pads[axis] + pads[axis + 2];
        (padded >= reach(axis)).then(|| (padded - reach(axis)) / stride[axis] + 1)
    };
    Some(ConvGeometry {
        input: [h, w, ci],
        output: [out(h, 0)?, out(w, 1)?, co],
        kernel,
        stride,
        dilation,
        pad: [pads[0], pads[1]],
        groups,
    })
}

/// Shapes with every edge: odd extents, strides, dilations, uneven padding, groups, depthwise.
pub(crate) fn geometries() -> Vec<ConvGeometry> {
    let mut all = Vec::new();
    let windows = [
        ([1, 1], [1, 1], [1, 1], [0, 0, 0, 0]),
        ([3, 3], [1, 1], [1, 1], [1, 1, 1, 1]),
        ([3, 3], [1, 1], [1, 1], [0, 0, 0, 0]),
        ([3, 3], [2, 2], [1, 1], [0, 1, 1, 0]),
        ([3, 2], [1, 2], [2, 1], [2, 0, 0, 3]),
        ([2, 3], [3, 1], [1, 2], [1, 2, 0, 1]),
        ([5, 1], [1, 1], [1, 1], [2, 0, 2, 0]),
        ([1, 1], [2, 3], [1, 1], [0, 0, 0, 0]),
        ([1, 1], [1, 1], [1, 1], [1, 2, 2, 1]),
    ];
    let channels = [(1, 1), (1, 16), (3, 10), (5, 33), (4, 64), (32, 16), (8, 80), (2, 49)];
    for (kernel, stride, dilation, pads) in windows {
        for (ci, co) in channels {
            for extent in [[7, 6], [1, 3], [9, 13]] {
                let input = [extent[0], extent[1], ci];
                all.extend(conv(input, co, kernel, stride, dilation, pads, 1));
            }
        }
        for (ci, co, groups) in [
            (4, 6, 2),
            (6, 3, 3),
            (5, 10, 5),
            (5, 5, 5),
            (40, 40, 40),
            (64, 64, 64),
            (33, 33, 33),
            (70, 34, 2),
        ] {
            all.extend(conv([6, 5, ci], co, kernel, stride, dilation, pads, groups));
        }
    }
    // Depthwise layers of mobile networks.
    for (kernel, pad) in [(3, 1), (5, 2)] {
        for stride in [1, 2] {
            for c in [8, 24, 72, 96] {
                all.extend(conv([9, 7, c], c, [kernel; 2], [stride; 2], [1, 1], [pad; 4], c));
            }
        }
    }
    for (inputs, outputs) in [(1, 1), (7, 3), (100, 10), (256, 65), (129, 130)] {
        all.push(ConvGeometry::dense(inputs, outputs));
    }
    all
}

/// Any small shape.
pub(crate) fn random_geometry(random: &mut Random) -> ConvGeometry {
    loop {
        let groups = [1, 1, 1, 2, 3][random.below(5)];
        let (mut ci, mut co) = (groups * (1 + random.below(9)), groups * (1 + random.below(40)));
        let mut groups = groups;
        if random.below(6) == 0 {
            ci = 1 + random.below(70);
            (co, groups) = (ci, ci);
        }
        let mut pair = |n: usize| [1 + random.below(n), 1 + random.below(n)];
        let (extent, kernel, stride, dilation) = (pair(11), pair(4), pair(3), pair(3));
        let pads = [random.below(4), random.below(4), random.below(4), random.below(4)];
        let input = [extent[0], extent[1], ci];
        if let Some(geometry) = conv(input, co, kernel, stride, dilation, pads, groups) {
            return geometry;
        }
    }
}
