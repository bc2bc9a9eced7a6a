//! Instructions that a turn of each loop of printed C takes, as the table with which `fixedwise` tells the instructions of
//! a network before there is a board.
//!
//! `cargo xtask bench instructions` prints it; `cargo xtask bench instructions --write` writes it to where it is read.
//! Random networks run on emulated cores, layer by layer. A kernel says how often its loops run; what a turn takes is
//! fitted to the counts.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that prints figures")]

use anyhow::{Result, anyhow, bail};
use fixedwise_fixed::{
    Format, Rounding,
    convert::{count_to_u64, u64_to_f64},
};
use fixedwise_graph::{
    AccumulatorPolicy, Expression, FixedGraph, Graph, LayerPlan, Plan, Quantizer, Semantics, Shape,
    Unary,
    emit::c::{self, COptions, CProject, CodeStyle, Cpu, Optimization, WeightPlace, Work, emit},
    lower,
    ops::{
        self, Add, AveragePool, Concat, GlobalAveragePool, GlobalMaxPool, LeakyRelu, MaxPool, Pad,
        Relu, Reshape, Window,
    },
    passes,
};
use fixedwise_testing::{
    Build, Core, Emitted, Random, by_channel, compiler_of, project as path_of, window,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
};

/// Where the table lies.
const TABLE: &str = "crates/graph/src/emit/c/work/table.txt";

/// The cores in the order of the columns, with the best code each of them runs.
const CORES: [(Core, Cpu, c::Core); 5] = [
    (Core::CortexM0, Cpu::CortexM0, c::Core::Portable),
    (Core::CortexM3, Cpu::CortexM3, c::Core::Portable),
    (Core::CortexM4, Cpu::CortexM4, c::Core::Dsp),
    (Core::CortexM55, Cpu::CortexM55, c::Core::Mve),
    (Core::Rv32, Cpu::Rv32imc, c::Core::Portable),
];

/// Random networks, beside those with every operator.
const NETWORKS: usize = 28;

/// Random networks of tall images.
const TALL: usize = 12;

/// Random networks of the operators that those do not have.
const OTHERS: usize = 8;

/// Random networks in which pixels are doubled.
const DOUBLED: usize = 8;

/// Random networks whose weights have three values, in formats of eight bits.
const THREE: usize = 8;

/// Random networks whose weights take few of the values of eight bits: they have codes.
const CODED: usize = 12;

/// A layer whose values have two bits more behind the point.
const FINER: &str = "finer";

/// Elements of a value at most: the smallest board has 16 KiB.
const MOST_ELEMENTS: usize = 2600;

/// How strongly what a turn takes is drawn to what is expected: where counts do not say how much of them belongs to which
/// loop, the innermost takes most of the difference.
const PULL: f64 = 1e-9;

/// What a call and a turn of a loop are expected to take where nothing is known.
const EXPECTED: [f64; 2] = [40.0, 8.0];

/// A network and how it becomes integers.
struct Case {
    graph: Graph,
    /// Bits of weights, layer after layer, again and again.
    weights: Vec<u8>,
    activations: u8,
    rounding: Rounding,
    by_channel: bool,
    /// Upper bits that no weight needs, where weights are to have codes.
    coded: Option<i8>,
}

impl Case {
    fn new(graph: &Graph, seed: usize) -> Result<Self> {
        let graph = passes::prepare(graph, Semantics::Integer)?;
        let mut random = Random::new(count_to_u64(seed));
        let weights = match seed % 4 {
            0 => vec![8],
            1 => vec![4, 8, 2],
            2 => vec![3, 5, 6, 7, 1],
            _ => (0..5).map(|_| u8::try_from(1 + random.below(8))).collect::<Result<_, _>>()?,
        };
        let rounding = match seed % 7 {
            3 => Rounding::Floor,
            6 => Rounding::TiesEven,
            _ => Rounding::TiesUp,
        };
        let activations = match seed % 9 {
            4 => 4,
            7 => 12,
            _ => 8,
        };
        let (by_channel, coded) = (seed % 6 == 5, None);
        Ok(Self { graph, weights, activations, rounding, by_channel, coded })
    }

    /// The same whose weights have codes, of three bits or with lower bits behind them.
    fn coded(graph: &Graph, seed: usize) -> Result<Self> {
        let coded = Some(if seed.is_multiple_of(3) { 1 } else { 5 });
        Ok(Self { weights: vec![8], coded, ..Self::new(graph, seed)? })
    }

    fn place(&self) -> WeightPlace {
        if self.coded.is_some() { WeightPlace::Coded } else { WeightPlace::Constants }
    }

    /// Formats of plausible magnitude: outputs are spread, not saturated.
    fn lowered(&self) -> Result<FixedGraph> {
        let graph = &self.graph;
        let nonnegative = graph.nonnegative(|_| true);
        let frac = i8::try_from(self.activations)? - 4;
        let format = |id: usize| {
            if nonnegative[id] {
                Format::unsigned(self.activations, frac)
            } else {
                Format::signed(self.activations, frac)
            }
        };
        let layer = |(at, (id, node)): (usize, (usize, &fixedwise_graph::Node))| {
            let bits = self.weights[at % self.weights.len()];
            // A sum of random products grows with the root of their number.
            let depth = node.op.weights().map_or(0, <[f32]>::len) / node.shape.c.max(1);
            let format = |id: usize| match format(id) {
                format if node.name == FINER => Format { frac: format.frac + 2, ..format },
                format => format,
            };
            let grown = i8::try_from(depth.max(1).ilog2() / 2).unwrap_or(0);
            let point = bits.cast_signed().max(2) - 1 + grown - 1 - self.coded.unwrap_or(0);
            LayerPlan {
                name: node.name.clone(),
                weights: Some(if bits == 1 {
                    Format::bipolar(point)
                } else {
                    Format::full(bits, point)
                }),
                bias: None,
                activation: Some(format(id)),
            }
        };
        let others = graph.nodes.iter().enumerate();
        let others = others.filter(|(_, node)| node.op.has_own_format() && !node.op.is_layer());
        let mut plan = Plan {
            semantics: Semantics::Integer,
            quantizer: Quantizer::Uniform,
            rounding: self.rounding,
            input: Format::unsigned(8, 6),
            layers: graph.layers().enumerate().map(layer).collect(),
            rounded: BTreeMap::new(),
            thinned: None,
            others: others.map(|(id, node)| (node.name.clone(), format(id))).collect(),
        };
        if self.by_channel {
            by_channel(graph, &mut plan);
        }
        Ok(lower(graph, &plan, AccumulatorPolicy::Prove32)?)
    }
}

/// A chain of random layers.
#[expect(clippy::too_many_lines, reason = "one arm for each kind of layer")]
fn chain(seed: usize) -> Graph {
    let mut draw = Random::new(count_to_u64(seed + 1000));
    let mut pick = move |from: &[usize]| from[draw.below(from.len())];
    let channels = pick(&[1, 3, 3, 4]);
    let [h, w] = [0, 1].map(|_| pick(&[9, 12, 14, 16, 19, 22]));
    let mut b = Build::new(Shape::new(h, w, channels), count_to_u64(seed));
    let mut x = 0;
    for at in 0..11 {
        let Shape { h, w, c } = b.shape(x);
        let name = |what: &str| format!("{what}_{at}");
        let fits = |channels: &usize| h * w * channels <= MOST_ELEMENTS;
        let all = [4, 5, 8, 10, 12, 16, 19, 24, 32, 40, 48];
        let wide: Vec<usize> = all.iter().copied().filter(fits).collect();
        let channels = if wide.is_empty() { 4 } else { pick(&wide) };
        let is_small = h < 5 || w < 5;
        let relu = |b: &mut Build, x: usize, choice: usize| match choice {
            0 => x,
            1 => b.push(&name("leaky"), LeakyRelu { alpha: 0.1 }, vec![x]),
            _ => b.push(&name("relu"), Relu, vec![x]),
        };
        let choice = pick(&[0, 2, 2, 2, 2, 2]);
        x = match if at == 0 {
            0
        } else {
            pick(&[0, 0, 1, 2, 2, 3, 3, 4, 4, 5, 6, 7, 8, 9, 10, 11])
        } {
            1 => {
                let y = b.conv(&name("conv5"), x, channels, &window(5, 1, 2), 1);
                relu(&mut b, y, choice)
            }
            2 => {
                let y = b.conv(&name("pixel"), x, channels, &window(1, 1, 0), 1);
                relu(&mut b, y, choice)
            }
            3 => {
                let y = b.conv(&name("depthwise"), x, c, &window(3, 1, 1), c);
                relu(&mut b, y, choice)
            }
            4 => {
                let y = b.conv(&name("residual"), x, c, &window(3, 1, 1), 1);
                let y = b.push(&name("sum"), Add, vec![y, x]);
                relu(&mut b, y, choice)
            }
            5 if !is_small => {
                let stride = pick(&[1, 2]);
                let y = b.conv(&name("strided"), x, channels, &window(pick(&[1, 3]), 2, 0), 1);
                if stride == 1 { y } else { relu(&mut b, y, choice) }
            }
            6 if !is_small => {
                let [kernel, stride] = [pick(&[2, 3]), pick(&[1, 2, 2])];
                b.push(
                    &name("max"),
                    MaxPool { window: window(kernel, stride, 0), minimum: vec![] },
                    vec![x],
                )
            }
            7 if !is_small => {
                let window = window(pick(&[2, 3]), pick(&[1, 2]), pick(&[0, 1]));
                b.push(&name("average"), AveragePool { window, include_pad: false }, vec![x])
            }
            8 => {
                let y = b.conv(&name("left"), x, c, &window(1, 1, 0), 1);
                let y = b.push(
                    &name("table"),
                    ops::Function { expression: Expression::x().then(Unary::Sigmoid) },
                    vec![y],
                );
                b.push(&name("product"), ops::Mul, vec![x, y])
            }
            9 if h * w * c * 2 <= MOST_ELEMENTS => {
                let y = b.conv(&name("branch"), x, channels.min(c), &window(3, 1, 1), 1);
                let y = relu(&mut b, y, choice);
                b.push(&name("concat"), Concat { axis: 2 }, vec![x, y])
            }
            10 if !is_small => {
                let y =
                    b.push(&name("pad"), Pad { begin: [1, 0], end: [0, 1], value: 0.25 }, vec![x]);
                let pool = |kernel| MaxPool { window: window(kernel, 1, 0), minimum: vec![] };
                let z = b.push(&name("pooled"), pool(2), vec![y]);
                b.push(&name("plain_sum"), Add, vec![z, x])
            }
            11 if c % 2 == 0 => {
                let kind = pick(&[0, 1]);
                let dilated = Window { dilation: [2, 2], ..window(3, 1, 2) };
                let y = match kind {
                    0 => b.conv(&name("groups"), x, c, &window(3, 1, 1), 2),
                    _ => b.conv(&name("dilated"), x, channels, &dilated, 1),
                };
                relu(&mut b, y, choice)
            }
            _ => {
                let stride = if is_small { 1 } else { pick(&[1, 1, 1, 2]) };
                let y = b.conv(&name("conv"), x, channels, &window(3, stride, 1), 1);
                relu(&mut b, y, choice)
            }
        };
    }
    let shape = b.shape(x);
    x = match seed % 4 {
        0 => b.push("mean", GlobalAveragePool, vec![x]),
        1 => b.push("most", GlobalMaxPool { minimum: vec![] }, vec![x]),
        _ => b.push("flat", Reshape::flatten_channels_first(shape), vec![x]),
    };
    let x = b.gemm("hidden", x, pick(&[16, 17, 32, 40]));
    let x = b.push("relu_hidden", Relu, vec![x]);
    let x = b.gemm("hidden_2", x, pick(&[12, 21, 64]));
    let x = b.push("relu_hidden_2", Relu, vec![x]);
    b.gemm("dense", x, pick(&[2, 10]));
    b.finish()
}

/// A chain on a tall image of few columns: what takes most is the order of its rows.
fn tall(seed: usize) -> Graph {
    let mut draw = Random::new(count_to_u64(seed + 3000));
    let mut pick = move |from: &[usize]| from[draw.below(from.len())];
    let shape = Shape::new(pick(&[40, 64, 90]), pick(&[1, 2, 3, 5]), pick(&[1, 2, 3]));
    let mut b = Build::new(shape, count_to_u64(seed));
    let mut x = 0;
    for at in 0..5 {
        let name = |what: &str| format!("{what}_{at}");
        let c = b.shape(x).c;
        let channels = pick(&[2, 3, 4, 8, 12]);
        let y = match pick(&[0, 0, 1, 2, 3, 4]) {
            1 => b.conv(&name("pixel"), x, channels, &window(1, 1, 0), 1),
            2 if at > 0 => b.conv(&name("depthwise"), x, c, &window(3, 1, 1), c),
            3 if b.shape(x).h > 20 && b.shape(x).w > 1 => b.push(
                &name("max"),
                MaxPool { window: window(2, pick(&[1, 2]), 0), minimum: vec![] },
                vec![x],
            ),
            4 if at > 0 => {
                let y = b.conv(&name("residual"), x, c, &window(3, 1, 1), 1);
                b.push(&name("sum"), Add, vec![y, x])
            }
            _ => b.conv(&name("conv"), x, channels, &window(3, 1, 1), 1),
        };
        x = b.push(&name("relu"), Relu, vec![y]);
    }
    let x = b.push("mean", GlobalAveragePool, vec![x]);
    b.gemm("dense", x, 4);
    b.finish()
}

/// Operators on values of random extents that chains do not have.
fn others(seed: usize) -> Graph {
    let mut draw = Random::new(count_to_u64(seed + 2000));
    let mut pick = move |from: &[usize]| from[draw.below(from.len())];
    let [h, w] = [0, 1].map(|_| pick(&[3, 4, 5, 7, 8, 11, 13]));
    let c = pick(&[2, 4, 6, 8]);
    let mut b = Build::new(Shape::new(h, w, 2), count_to_u64(seed));
    let x = b.conv("first", 0, c, &window(3, 1, 1), 1);
    let x = if pick(&[0, 1]) == 0 { b.push("relu", Relu, vec![x]) } else { x };
    let mut ends = Vec::new();
    let mut end = |b: &mut Build, y: usize| {
        let pooled = b.push(&format!("end_{y}"), GlobalAveragePool, vec![y]);
        ends.push(pooled);
    };
    let gate = b.push("gate", GlobalAveragePool, vec![x]);
    let map = b.conv("map", x, 1, &window(1, 1, 0), 1);
    for other in [gate, map] {
        let pairs: [fixedwise_graph::Op; 5] =
            [ops::Mul.into(), ops::Sub.into(), ops::Max.into(), ops::Min.into(), Add.into()];
        let pair = pairs[pick(&[0, 1, 2, 3, 4])].clone();
        let y = b.push(&format!("pair_{other}"), pair, vec![x, other]);
        end(&mut b, y);
    }
    let expression = Expression::x().then(Unary::Sigmoid);
    let y = b.push("table", ops::Function { expression }, vec![x]);
    let pairs: [fixedwise_graph::Op; 3] = [ops::Sub.into(), ops::Max.into(), ops::Min.into()];
    let y = b.push("pair", pairs[pick(&[0, 1, 2])].clone(), vec![x, y]);
    end(&mut b, y);
    let slopes = (0..c).map(|i| [0.3, -0.01, 1.7][i % 3]).collect();
    let y = b.push("prelu", ops::PRelu { slopes }, vec![x]);
    end(&mut b, y);
    let along = |n: usize, step: usize| (0..n).rev().map(|i| Some(i * step)).collect();
    let turned =
        ops::IndexMap { rows: along(h, w * c), columns: along(w, c), channels: along(c, 1) };
    let y = b.push("turned", turned, vec![x]);
    end(&mut b, y);
    let double = |n: usize| -> Vec<ops::Between> {
        let at = |i: usize| ops::Between { first: (i / 2).min(n - 2), weight: [0.25, 0.75][i % 2] };
        (0..2 * n - 2).map(at).collect()
    };
    let resize = ops::Resize { rows: double(h), columns: double(w) };
    let y = b.push("resize", resize, vec![map]);
    end(&mut b, y);
    let y = b.push("pad", Pad { begin: [1, 2], end: [0, 1], value: 0.25 }, vec![x]);
    end(&mut b, y);
    let minimum = (0..c).map(|i| i % 2 == 0).collect();
    let y = b.push("smallest", MaxPool { window: window(2, pick(&[1, 2]), 0), minimum }, vec![x]);
    end(&mut b, y);
    let y = b.push("softmax", ops::Softmax, vec![x]);
    end(&mut b, y);
    let centered = ops::LayerNormalization { epsilon: 0.1, is_centered: seed.is_multiple_of(2) };
    let y = b.push("normal", centered, vec![x]);
    end(&mut b, y);
    let y = b.push("matrix", ops::MatMul { factor: [1.0, 0.3][seed % 2] }, vec![x, x]);
    end(&mut b, y);
    let x = b.push("all", Concat { axis: 2 }, ends);
    b.gemm("dense", x, 5);
    b.finish()
}

/// Pixels twice beside one another, in each direction: the channels of one lie together. Then others beside them that have
/// a binary point of their own.
fn doubled(seed: usize) -> Graph {
    let mut draw = Random::new(count_to_u64(seed + 5000));
    let mut pick = move |from: &[usize]| from[draw.below(from.len())];
    let [h, w, c] = [pick(&[3, 4, 5]), pick(&[2, 3, 5]), pick(&[4, 8, 16, 24])];
    let mut b = Build::new(Shape::new(h, w, 2), count_to_u64(seed));
    let x = b.conv("first", 0, c, &window(3, 1, 1), 1);
    let x = if seed.is_multiple_of(2) { b.push("relu", Relu, vec![x]) } else { x };
    let twice = |n: usize, step: usize| (0..2 * n).map(|i| Some(i / 2 * step)).collect();
    let channels = (0..c).map(Some).collect();
    let map = ops::IndexMap { rows: twice(h, w * c), columns: twice(w, c), channels };
    let twice = b.push("twice", map.clone(), vec![x]);
    let finer = b.conv(FINER, x, c, &window(1, 1, 0), 1);
    let finer = b.push("finer_twice", map, vec![finer]);
    let x = b.push("beside", Concat { axis: 2 }, vec![twice, finer, twice]);
    let x = b.push("mean", GlobalAveragePool, vec![x]);
    b.gemm("dense", x, 5);
    b.finish()
}

/// Layers whose weights have three values, where formats do not clip them. Most memory is in use before, so that they are
/// packed.
fn three(seed: usize) -> Graph {
    let mut draw = Random::new(count_to_u64(seed + 4000));
    let mut pick = move |from: &[usize]| from[draw.below(from.len())];
    let [h, w] = [0, 1].map(|_| pick(&[5, 6, 7, 8]));
    let mut b = Build::new(Shape::new(h, w, 3), count_to_u64(seed));
    let x = b.conv("first", 0, 24, &window(1, 1, 0), 1);
    let x = b.conv("wide", x, 24, &window(7, 1, 3), 1);
    let mut x = b.push("relu", Relu, vec![x]);
    for at in 0..3 {
        let kernel = pick(&[1, 3, 3]);
        let depth = kernel * kernel * b.shape(x).c;
        let shift = i32::try_from(depth.ilog2() / 2).unwrap_or(0);
        let (channels, window) =
            (pick(&[24, 32, 38]), window(kernel, pick(&[1, 1, 2]), kernel / 2));
        let y = b.conv_of_three(&format!("three_{at}"), x, channels, &window, 0.5_f32.powi(shift));
        x = b.push(&format!("relu_{at}"), Relu, vec![y]);
        // Then the bias of the next one depends on the position, where it has a border.
        if at < 2 && pick(&[0, 1]) == 0 {
            let shift = vec![0.25; channels];
            let affine = ops::Affine { scale: vec![1.0; channels], shift };
            x = b.push(&format!("shift_{at}"), affine, vec![x]);
        }
    }
    let x = b.push("mean", GlobalAveragePool, vec![x]);
    let shift = i32::try_from(b.shape(x).c.ilog2() / 2).unwrap_or(0);
    b.conv_of_three("dense", x, pick(&[66, 80]), &Window::pixel(), 0.5_f32.powi(shift));
    b.finish()
}

fn cases() -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for seed in 0..NETWORKS {
        cases.push(Case::new(&chain(seed), seed)?);
    }
    let with_every_operator =
        [Build::operators, Build::pairs, Build::attention, Build::normalizations, Build::residuals];
    for (i, build) in with_every_operator.into_iter().enumerate() {
        for seed in [i, i + 4] {
            let (mut b, x) = build();
            // One output for the driver.
            if seed == i && b.shape(x).h > 1 {
                b.push("mean", GlobalAveragePool, vec![x]);
            }
            cases.push(Case::new(&b.finish(), seed)?);
        }
    }
    for seed in 0..TALL {
        cases.push(Case::new(&tall(seed), seed)?);
    }
    for seed in 0..OTHERS {
        cases.push(Case::new(&others(seed), seed)?);
    }
    for seed in 0..DOUBLED {
        cases.push(Case::new(&doubled(seed), seed)?);
    }
    for seed in (0..4 * THREE).step_by(4) {
        cases.push(Case::new(&three(seed), seed)?);
    }
    for seed in 0..CODED {
        cases.push(Case::coded(&chain(seed + 200), seed)?);
    }
    Ok(cases)
}

/// Instructions of functions in C, and what they did.
struct Sample {
    name: String,
    counted: f64,
    work: Work,
}

/// What the layers of all networks take on a core.
fn samples(
    cases: &[Case],
    (core, _, best): (Core, Cpu, c::Core),
    style: CodeStyle,
) -> Result<Vec<Sample>> {
    let mut samples = Vec::new();
    for (at, case) in cases.iter().enumerate() {
        // Small kernels are few.
        if style == CodeStyle::Small && at < NETWORKS && at % 3 > 0 {
            continue;
        }
        // These have no such kernels.
        if case.coded.is_some() && best == c::Core::Mve && style == CodeStyle::Fast {
            continue;
        }
        let fixed = case.lowered()?;
        let options = |flows: bool| COptions {
            core: best,
            style,
            place: case.place(),
            packs_activations: case.activations == 4,
            flows,
            ..COptions::new("net")
        };
        let flags = [style.optimization().flag()];
        let n = fixed.image_parts().last().map_or(0, |part| part.end);
        let input: Vec<u8> = (0..n).map(|i| (i * 7919 % 251).to_le_bytes()[0]).collect();
        let whole = emit(&fixed, &options(false), &[])?;
        let counted = match Emitted::count_layers(core, &whole, &input, &flags) {
            Ok(counted) => counted,
            Err(error) if error.contains("overflowed") => {
                eprintln!("{}: network {at} does not fit", core.name());
                continue;
            }
            Err(error) => bail!("{}, network {at}: {error:.2000}", core.name()),
        };
        for (id, instructions) in counted {
            let name = format!("{at}/{}", whole.layers[id].name);
            samples.push(sample(name, instructions, whole.layers[id].work.clone()));
        }
        let flowing = emit(&fixed, &options(true), &[])?;
        let all = Emitted::count(core, &flowing, &input, &flags).map_err(|error| anyhow!(error))?;
        samples.push(sample(format!("{at}/flow"), all, all_work(&flowing)));
    }
    Ok(samples)
}

/// What all layers do, and the order of rows.
fn all_work(project: &CProject) -> Work {
    let mut all = Work::default();
    let works = project.layers.iter().map(|layer| &layer.work).chain([&project.flow_work]);
    for work in works {
        all.assembly += work.assembly;
        all.runs.extend(work.runs.iter().cloned());
    }
    all
}

fn sample(name: String, counted: u64, work: Work) -> Sample {
    Sample { name, counted: u64_to_f64(counted), work }
}

/// The first word of a kind.
fn kernel(kind: &str) -> &str {
    kind.split('_').next().unwrap_or(kind)
}

/// Instructions of each loop by kind.
type Fit = BTreeMap<String, Vec<f64>>;

/// What samples take where runs have these names; drawn to what is expected.
fn fit(samples: &[Sample], name: &dyn Fn(&str) -> String, expected: &Fit) -> Fit {
    let mut index = BTreeMap::new();
    let mut unknowns: Vec<(String, usize)> = Vec::new();
    for run in samples.iter().flat_map(|sample| &sample.work.runs) {
        for i in 0..run.turns.len() {
            index.entry((name(&run.kind), i)).or_insert_with(|| {
                unknowns.push((name(&run.kind), i));
                unknowns.len() - 1
            });
        }
    }
    // Every sample counts alike: its equation is divided by its count.
    let n = unknowns.len();
    let (mut squares, mut right) = (vec![vec![0.0; n]; n], vec![0.0; n]);
    for sample in samples.iter().filter(|sample| sample.counted > 0.0) {
        let mut row: BTreeMap<usize, f64> = BTreeMap::new();
        for run in &sample.work.runs {
            for (i, &turns) in run.turns.iter().enumerate() {
                let at = index[&(name(&run.kind), i)];
                *row.entry(at).or_default() += u64_to_f64(turns) / sample.counted;
            }
        }
        let target = 1.0 - u64_to_f64(sample.work.assembly) / sample.counted;
        for (&i, &a) in &row {
            right[i] += a * target;
            for (&j, &b) in &row {
                squares[i][j] += a * b;
            }
        }
    }
    let start = |(kind, i): &(String, usize)| {
        let of_kernel = expected.get(kernel(kind)).and_then(|each| each.get(*i));
        of_kernel.copied().unwrap_or(EXPECTED[(*i).min(1)])
    };
    let first: Vec<f64> = unknowns.iter().map(start).collect();
    for i in 0..n {
        squares[i][i] += PULL;
        right[i] += PULL * first[i];
    }
    // No turn takes less than nothing: one unknown after the other takes its best value.
    let mut best = first;
    for _ in 0..20_000 {
        let mut moved = 0.0_f64;
        for i in 0..n {
            if squares[i][i] <= 0.0 {
                continue;
            }
            let sum: f64 = squares[i].iter().zip(&best).map(|(a, x)| a * x).sum();
            let next = (best[i] + (right[i] - sum) / squares[i][i]).max(0.0);
            moved = moved.max((next - best[i]).abs() / (1.0 + best[i]));
            best[i] = next;
        }
        if moved < 1e-6 {
            break;
        }
    }
    let mut fit = Fit::new();
    for ((kind, i), value) in unknowns.into_iter().zip(best) {
        let each = fit.entry(kind).or_default();
        if each.len() <= i {
            each.resize(i + 1, 0.0);
        }
        each[i] = value;
    }
    fit
}

/// What the fit makes of a sample.
fn modeled(sample: &Sample, fit: &Fit) -> f64 {
    let of_run = |run: &c::WorkRun| -> f64 {
        let each = fit.get(&run.kind).map_or(&[][..], Vec::as_slice);
        each.iter().zip(&run.turns).map(|(each, &turns)| each * u64_to_f64(turns)).sum()
    };
    u64_to_f64(sample.work.assembly) + sample.work.runs.iter().map(of_run).sum::<f64>()
}

fn column(cases: &[Case], core: (Core, Cpu, c::Core), style: CodeStyle) -> Result<Fit> {
    let samples = samples(cases, core, style)?;
    let of_kernels = fit(&samples, &|kind| kernel(kind).to_owned(), &Fit::new());
    let found = fit(&samples, &str::to_owned, &of_kernels);
    let mut errors: Vec<(f64, &Sample)> = samples
        .iter()
        .map(|sample| (modeled(sample, &found) / sample.counted - 1.0, sample))
        .collect();
    errors.sort_by(|a, b| b.0.abs().total_cmp(&a.0.abs()));
    let within = errors.iter().filter(|(error, _)| error.abs() <= 0.03).count();
    eprintln!(
        "{} {}: {within} of {} samples within 3 %",
        core.0.name(),
        style.name(),
        errors.len()
    );
    // The worst sample of each kernel.
    let mut told = BTreeSet::new();
    for (error, sample) in errors.iter().filter(|(error, _)| error.abs() > 0.03) {
        let kinds: Vec<&str> = sample.work.runs.iter().map(|run| run.kind.as_str()).collect();
        let is_flow = sample.name.ends_with("/flow");
        if told.insert(if is_flow { "flow" } else { kinds.first().map_or("", |kind| kernel(kind)) })
        {
            let kinds = if is_flow { "all".to_owned() } else { kinds.join(" ") };
            eprintln!("  {:+.1} % of {} {}: {kinds}", 100.0 * error, sample.counted, sample.name);
        }
    }
    Ok(found)
}

fn main() -> Result<()> {
    for (core, ..) in CORES {
        if !core.is_available() {
            bail!("there are no tools for {}", core.name());
        }
    }
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let cases = cases()?;
    let mut columns = Vec::new();
    for core in CORES {
        // In the order of the table: small code first.
        for style in [CodeStyle::Small, CodeStyle::Fast] {
            let is_left_out = wanted.iter().any(|name| name != "--write" && name != core.1.name());
            columns.push(if is_left_out { Fit::new() } else { column(&cases, core, style)? });
        }
    }
    let text = print(&columns)?;
    if wanted.iter().any(|argument| argument == "--write") {
        fs::write(path_of(TABLE), text)?;
    } else {
        println!("{text}");
    }
    Ok(())
}

/// The table as it is read.
fn print(columns: &[Fit]) -> Result<String> {
    let compiler = |core| compiler_of(core).map_err(|error| anyhow!(error));
    let mut text = format!(
        "# Instructions of loops of printed C: written by `cargo xtask bench instructions --write`.\n\
         # arm: {}\n# riscv: {}\n# Small kernels with -Os, fast ones with -O2.\n#",
        compiler(Core::CortexM3)?,
        compiler(Core::Rv32)?
    );
    for cpu in Cpu::ALL {
        for optimization in Optimization::ALL {
            write!(text, " {}{}", cpu.name(), optimization.flag())?;
        }
    }
    text.push('\n');
    let kinds: BTreeSet<&String> = columns.iter().flat_map(BTreeMap::keys).collect();
    for kind in kinds {
        text += kind;
        for column in columns {
            let of = |each: &Vec<f64>| {
                let each = each.iter().map(|each| {
                    let text = format!("{each:.2}");
                    text.trim_end_matches('0').trim_end_matches('.').to_owned()
                });
                each.collect::<Vec<_>>().join(":")
            };
            text += &column.get(kind).map_or(" -".to_owned(), |each| format!(" {}", of(each)));
        }
        text.push('\n');
    }
    Ok(text)
}
