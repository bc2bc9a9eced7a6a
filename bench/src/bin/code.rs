//! Bytes that compilers make of every function of printed C, as the table that `fixedwise` counts flash with.
//!
//! `cargo xtask bench code` prints it; `cargo xtask bench code --write` writes it to where it is read. What each word
//! of a function's kind changes is measured alone: a layer is printed in its usual form, then in each other form of
//! one word.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that prints figures")]

use anyhow::{Result, anyhow, bail};
use fixedwise_fixed::{Format, Rounding};
use fixedwise_graph::{
    AccumulatorPolicy, Expression, Graph, LayerPlan, Plan, Quantizer, Semantics, Shape, Unary,
    emit::c::{
        self, COptions, CodeStyle, Cpu, Optimization, WeightPlace, WeightStorage,
        code::{Argument, Function, registers},
        emit,
    },
    lower,
    ops::{
        self, Add, AveragePool, Between, Concat, GlobalAveragePool, IndexMap, LeakyRelu, Max,
        MaxPool, Min, Mul, PRelu, Pad, Relu, Reshape, Resize, Sub, Window,
    },
    passes,
};
use fixedwise_testing::{Build, Core, by_channel, compiler_of, object_of_c, project, window};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
};

/// The layer whose value all others take.
const FRONT: &str = "front";

/// What part of the bytes of a layer's own function its numbers may make more or less: the table has the most.
const LAYER_NUMBERS: usize = 5;

/// Where the table lies.
const TABLE: &str = "crates/graph/src/emit/c/code/table.txt";

/// The cores in the order of the columns, with the best code each of them runs.
const CORES: [(Core, c::Core); 5] = [
    (Core::CortexM0, c::Core::Portable),
    (Core::CortexM3, c::Core::Portable),
    (Core::CortexM4, c::Core::Dsp),
    (Core::CortexM55, c::Core::Mve),
    (Core::Rv32, c::Core::Portable),
];

/// What a network is printed for, beside its graph.
#[derive(Clone, Debug)]
struct Form {
    /// Of the input of the layer, and of its value.
    x: Format,
    y: Format,
    /// Of sums of two.
    sum: Format,
    weights: u8,
    /// Whether biases need more than 16 bits.
    is_wide: bool,
    by_channel: bool,
    rounding: Rounding,
    /// Whether sums are shifted to the left.
    is_left: bool,
    core: c::Core,
    style: CodeStyle,
    place: WeightPlace,
}

impl Form {
    fn new(core: c::Core, style: CodeStyle) -> Self {
        let byte = Format::unsigned(8, 0);
        let (weights, rounding) = (8, Rounding::TiesUp);
        let (is_wide, by_channel, is_left) = (false, false, false);
        Self {
            x: byte,
            y: byte,
            sum: byte,
            weights,
            is_wide,
            by_channel,
            rounding,
            is_left,
            core,
            style,
            place: WeightPlace::Constants,
        }
    }

    /// Prints a graph whose layer `front` makes the input of all others, with rows that flow or whole.
    fn print(&self, graph: &Graph, name: &str, flows: bool) -> Result<c::CProject> {
        let graph = passes::prepare(graph, Semantics::Integer)?;
        let place = |format: Format, frac: i8| Format { frac, ..format };
        // Sums have the points of inputs and weights together.
        let of_x = if self.is_wide { 14 } else { 0 };
        // Codes are worth it where weights take few values.
        let unused = if self.place == WeightPlace::Coded { 5 } else { 0 };
        let of_weights = i8::try_from(self.weights)? - unused;
        let of_y = of_x + of_weights + if self.is_left { 1 } else { -6 };
        let (x, y, sum) = (place(self.x, of_x), place(self.y, of_y), place(self.sum, of_y));
        let activation = |name: &str| if name == FRONT { x } else { y };
        let layer = |name: &str| LayerPlan {
            name: name.to_owned(),
            weights: Some(Format::full(if name == FRONT { 8 } else { self.weights }, of_weights)),
            bias: None,
            activation: Some(activation(name)),
        };
        let others = graph.nodes.iter().filter(|n| n.op.has_own_format() && !n.op.is_layer());
        let mut plan = Plan {
            semantics: Semantics::Integer,
            quantizer: Quantizer::Uniform,
            rounding: self.rounding,
            input: Format::unsigned(8, 4),
            layers: graph.layers().map(|(_, node)| layer(&node.name)).collect(),
            rounded: BTreeMap::new(),
            thinned: None,
            others: others.map(|node| (node.name.clone(), sum)).collect(),
        };
        if self.by_channel {
            by_channel(&graph, &mut plan);
        }
        let fixed = lower(&graph, &plan, AccumulatorPolicy::Prove32)?;
        let options = COptions {
            core: self.core,
            style: self.style,
            weights: WeightStorage::Exact,
            place: self.place,
            packs_activations: true,
            flows,
            ..COptions::new(name)
        };
        Ok(emit(&fixed, &options, &[])?)
    }
}

/// The forms that differ from the usual one in one word.
fn forms(core: c::Core, style: CodeStyle) -> Vec<Form> {
    let usual = Form::new(core, style);
    let mut forms = vec![usual.clone()];
    let formats =
        [Format::signed(8, 0), Format::signed(12, 0), Format::unsigned(4, 0), Format::signed(4, 0)];
    forms.extend(formats.map(|x| Form { x, ..usual.clone() }));
    forms.extend(formats.map(|y| Form { y, ..usual.clone() }));
    forms.extend(formats.map(|sum| Form { sum, ..usual.clone() }));
    forms.extend(formats.map(|y| Form { y, sum: y, ..usual.clone() }));
    forms.push(Form { is_wide: true, ..usual.clone() });
    for rounding in Rounding::ALL {
        for by_channel in [false, true] {
            for is_left in [false, true] {
                let form = Form { by_channel, rounding, is_left, ..usual.clone() };
                forms.push(form);
            }
        }
    }
    forms.extend((1..=16).map(|weights| Form { weights, ..usual.clone() }));
    for is_left in [false, true] {
        forms.push(Form { weights: 4, by_channel: true, is_left, ..usual.clone() });
    }
    // Weights in codes, of a few bits and with lower bits behind them.
    let coded = Form { place: WeightPlace::Coded, ..usual.clone() };
    forms.push(coded.clone());
    forms.push(Form { weights: 12, ..coded.clone() });
    forms.extend(formats.map(|x| Form { x, ..coded.clone() }));
    forms.extend(formats.map(|y| Form { y, ..coded.clone() }));
    for rounding in Rounding::ALL {
        for (by_channel, is_left) in [(false, false), (true, false), (false, true), (true, true)] {
            forms.push(Form { by_channel, rounding, is_left, ..coded.clone() });
        }
    }
    forms
}

/// Graphs that have each kernel: an image and a layer `front`, then what is measured.
fn graphs(unique: &str) -> Vec<Graph> {
    let begin = |shape: Shape, channels: usize| {
        let mut b = Build::new(shape, 5);
        let x = b.conv(FRONT, 0, channels, &Window::pixel(), 1);
        let x = b.push(&format!("relu_front{unique}"), Relu, vec![x]);
        (b, x)
    };
    let mut graphs = vec![folds(unique, begin)];
    for leaky in [false, true] {
        let end = |b: &mut Build, x| {
            if leaky {
                b.push(&format!("leaky{unique}"), LeakyRelu { alpha: 0.1 }, vec![x])
            } else {
                x
            }
        };
        // All input channels, each of its own, or groups of them; four filters and one more.
        for (kernel, channels, groups) in [(3, 10, 1), (3, 10, 10), (3, 10, 5)] {
            let front = if groups == 1 { 8 } else { channels };
            let (mut b, x) = begin(Shape::new(9, 7, 3), front);
            let x = b.conv(&format!("conv{unique}"), x, channels, &window(kernel, 1, 1), groups);
            let x = end(&mut b, x);
            let x = b.push(
                &format!("max{unique}"),
                MaxPool { window: window(2, 2, 0), minimum: vec![] },
                vec![x],
            );
            let shape = b.shape(x);
            let x =
                b.push(&format!("flat{unique}"), Reshape::flatten_channels_first(shape), vec![x]);
            b.gemm(&format!("dense{unique}"), x, 10);
            graphs.push(b.finish());
        }
        // Biases that depend on the position, by a normalization before the padding.
        for (channels, groups) in [(8, 1), (8, 8)] {
            let (mut b, x) = begin(Shape::new(6, 6, 3), 8);
            let x = b.affine(&format!("affine{unique}"), x);
            let x = b.push(
                &format!("smallest{unique}"),
                MaxPool { window: window(2, 2, 0), minimum: [true, false].repeat(4) },
                vec![x],
            );
            let x = b.conv(&format!("conv{unique}"), x, channels, &window(3, 1, 1), groups);
            end(&mut b, x);
            graphs.push(b.finish());
        }
        // Few filters, and vectors in another order.
        let (mut b, x) = begin(Shape::new(5, 4, 3), 4);
        let x = b.conv(&format!("conv{unique}"), x, 3, &window(3, 1, 1), 1);
        let x = end(&mut b, x);
        let average = AveragePool { window: window(3, 1, 0), include_pad: false };
        let x = b.push(&format!("ninth{unique}"), average, vec![x]);
        let shape = b.shape(x);
        let x = b.push(&format!("flat{unique}"), Reshape::flatten_channels_first(shape), vec![x]);
        let x = b.push(&format!("relu_flat{unique}"), Relu, vec![x]);
        let x = b.gemm(&format!("dense{unique}"), x, 8);
        b.gemm(&format!("dense_last{unique}"), x, 3);
        graphs.push(b.finish());
        // Two images come together.
        let (mut b, x) = begin(Shape::new(8, 8, 3), 8);
        let x = b.push(&format!("add{unique}"), Add, vec![x, x]);
        let x = end(&mut b, x);
        let x = b.push(
            &format!("pad{unique}"),
            Pad { begin: [1, 0], end: [0, 1], value: 0.25 },
            vec![x],
        );
        let average = AveragePool { window: window(3, 2, 1), include_pad: false };
        let a = b.push(&format!("average{unique}"), average, vec![x]);
        let m = b.push(
            &format!("max{unique}"),
            MaxPool { window: window(3, 2, 1), minimum: vec![] },
            vec![x],
        );
        let x = b.push(&format!("concat{unique}"), Concat { axis: 2 }, vec![a, m]);
        let average = AveragePool { window: window(2, 2, 0), include_pad: true };
        let x = b.push(&format!("quarter{unique}"), average, vec![x]);
        b.push(&format!("mean{unique}"), GlobalAveragePool, vec![x]);
        graphs.push(b.finish());
        graphs.extend(sums(unique, begin, end));
        // Two values of the same extents, and one that goes with every pixel.
        let (mut b, x) = begin(Shape::new(6, 6, 3), 4);
        let other = b.conv(&format!("conv{unique}"), x, 4, &window(1, 1, 0), 1);
        let mut all = Vec::new();
        let gate = b.push(&format!("gate{unique}"), GlobalAveragePool, vec![x]);
        for (i, other) in [other, gate].into_iter().enumerate() {
            let pairs: [fixedwise_graph::Op; 5] =
                [Mul.into(), Sub.into(), Max.into(), Min.into(), Add.into()];
            for (j, pair) in pairs.into_iter().enumerate() {
                let y = b.push(&format!("pair_{i}_{j}{unique}"), pair, vec![x, other]);
                all.push(y);
            }
        }
        b.push(&format!("all{unique}"), Concat { axis: 2 }, all);
        graphs.push(b.finish());
    }
    graphs.extend([functions(unique, begin), maps(unique, begin), products(unique, begin)]);
    // Weights of three values, which are unpacked for a row and for a dense layer: most memory is in use before.
    let (mut b, x) = begin(Shape::new(6, 5, 3), 16);
    let x = b.conv(&format!("wide{unique}"), x, 16, &window(7, 1, 3), 1);
    let x = b.conv_of_three(&format!("conv{unique}"), x, 34, &window(3, 1, 1), 0.25);
    let x = b.push(&format!("mean{unique}"), GlobalAveragePool, vec![x]);
    b.conv_of_three(&format!("dense{unique}"), x, 42, &Window::pixel(), 0.25);
    graphs.push(b.finish());
    graphs
}

/// Layers of every kind whose weights have codes where they take few values.
fn coded(unique: &str) -> Vec<Graph> {
    let mut graphs = Vec::new();
    for leaky in [false, true] {
        let mut b = Build::new(Shape::new(9, 7, 3), 5);
        let name = |what: &str| format!("{what}{unique}");
        let x = b.conv(FRONT, 0, 16, &Window::pixel(), 1);
        let front = b.push(&name("relu_front"), Relu, vec![x]);
        let mut ends = Vec::new();
        let x = b.conv(&name("wide"), front, 32, &window(7, 1, 3), 1);
        ends.push(x);
        let odd = b.conv(&name("odd"), front, 34, &window(5, 1, 2), 1);
        ends.push(odd);
        ends.push(b.conv(&name("few"), front, 2, &window(5, 1, 2), 1));
        ends.push(b.conv(&name("depthwise"), front, 16, &window(5, 1, 2), 16));
        for (channels, from) in [(16, front), (34, odd)] {
            let y = b.conv(&name(&format!("main_{channels}")), from, channels, &window(5, 1, 2), 1);
            let y = b.push(&name(&format!("sum_{channels}")), Add, vec![from, y]);
            ends.push(y);
        }
        let y = b.affine(&name("affine"), front);
        for channels in [16, 18] {
            let name = name(&format!("border_{channels}"));
            ends.push(b.conv(&name, y, channels, &window(5, 1, 2), 1));
        }
        if leaky {
            let slope = |end: usize| {
                b.push(&name(&format!("leaky_{end}")), LeakyRelu { alpha: 0.1 }, vec![end])
            };
            ends = ends.into_iter().map(slope).collect();
        }
        let y = b.push(&name("all"), Concat { axis: 2 }, ends);
        let y = b.push(&name("mean"), GlobalAveragePool, vec![y]);
        b.gemm(&name("dense"), y, 26);
        graphs.push(b.finish());
    }
    graphs
}

/// Sums inside layers of every kind, and where biases depend on the position.
fn sums(
    unique: &str,
    begin: impl Fn(Shape, usize) -> (Build, usize),
    end: impl Fn(&mut Build, usize) -> usize,
) -> Vec<Graph> {
    let mut graphs = Vec::new();
    for (channels, groups, is_affine) in
        [(10, 1, false), (10, 10, false), (10, 5, false), (8, 1, true)]
    {
        let (mut b, x) = begin(Shape::new(6, 5, 3), channels);
        let y = if is_affine { b.affine(&format!("affine{unique}"), x) } else { x };
        let y = b.conv(&format!("conv{unique}"), y, channels, &window(3, 1, 1), groups);
        let y = b.push(&format!("sum{unique}"), Add, vec![x, y]);
        end(&mut b, y);
        graphs.push(b.finish());
    }
    let (mut b, x) = begin(Shape::new(1, 1, 3), 10);
    let y = b.gemm(&format!("dense{unique}"), x, 10);
    let y = b.push(&format!("sum{unique}"), Add, vec![x, y]);
    end(&mut b, y);
    graphs.push(b.finish());
    graphs
}

/// Pools over all of a tall image.
fn folds(unique: &str, begin: impl Fn(Shape, usize) -> (Build, usize)) -> Graph {
    let (mut b, x) = begin(Shape::new(33, 3, 3), 8);
    let y = b.conv(&format!("conv{unique}"), x, 8, &window(1, 1, 0), 1);
    let mean = b.push(&format!("mean{unique}"), GlobalAveragePool, vec![y]);
    let most = ops::GlobalMaxPool { minimum: vec![] };
    let most = b.push(&format!("most{unique}"), most, vec![y]);
    let some = ops::GlobalMaxPool { minimum: [true, false].repeat(4) };
    let some = b.push(&format!("some{unique}"), some, vec![y]);
    b.push(&format!("all{unique}"), Concat { axis: 2 }, vec![mean, most, some]);
    b.finish()
}

/// Functions by tables, and slopes of channels.
fn functions(unique: &str, begin: impl Fn(Shape, usize) -> (Build, usize)) -> Graph {
    let (mut b, x) = begin(Shape::new(5, 4, 3), 4);
    let expression = Expression::x() * Expression::x().then(Unary::Sigmoid);
    let y = b.push(&format!("function{unique}"), ops::Function { expression }, vec![x]);
    let slopes = vec![0.3, -0.01, 1.7, 0.2];
    let z = b.push(&format!("prelu{unique}"), PRelu { slopes }, vec![x]);
    b.push(&format!("all{unique}"), Concat { axis: 2 }, vec![y, z]);
    b.finish()
}

/// Elements in another order, by steps and by tables, and places between pixels.
fn maps(unique: &str, begin: impl Fn(Shape, usize) -> (Build, usize)) -> Graph {
    let (mut b, x) = begin(Shape::new(5, 4, 3), 4);
    let along = |places: &[usize], step: usize| {
        places.iter().map(|&i| Some(i * step)).collect::<Vec<Option<usize>>>()
    };
    let mut map = IndexMap {
        rows: along(&[4, 3, 2, 1], 16),
        columns: along(&[0, 0, 3], 4),
        channels: along(&[3, 1, 2, 0], 1),
    };
    map.rows.push(None);
    let y = b.push(&format!("map{unique}"), map, vec![x]);
    let between = |first: usize, weight: f32| Between { first, weight };
    let resize = Resize {
        rows: [0.5, 0.25, 0.75, 0.0, 0.5].map(|weight| between(2, weight)).to_vec(),
        columns: vec![between(0, 0.0), between(0, 0.3), between(1, 0.9)],
    };
    let z = b.push(&format!("resize{unique}"), resize, vec![x]);
    b.push(&format!("all{unique}"), Concat { axis: 2 }, vec![y, z]);
    b.finish()
}

/// Products of two values, with a factor and without, softmax and a normalization.
fn products(unique: &str, begin: impl Fn(Shape, usize) -> (Build, usize)) -> Graph {
    let (mut b, x) = begin(Shape::new(4, 3, 3), 4);
    let y = b.push(&format!("product{unique}"), ops::MatMul { factor: 1.0 }, vec![x, x]);
    let z = b.push(&format!("scaled{unique}"), ops::MatMul { factor: 0.3 }, vec![x, x]);
    let y = b.push(&format!("softmax{unique}"), ops::Softmax, vec![y]);
    let normalization = ops::LayerNormalization { epsilon: 1e-5, is_centered: true };
    let z = b.push(&format!("normalization{unique}"), normalization, vec![z]);
    b.push(&format!("all{unique}"), Concat { axis: 2 }, vec![y, z]);
    b.finish()
}

/// Bytes of a function at `-Os` and `-O2` on each core; none where a core has no use for it.
type Row = [Option<usize>; 10];

/// What was measured, in the order in which it was met.
#[derive(Default)]
struct Rows {
    kinds: Vec<String>,
    measured: BTreeMap<String, Row>,
    /// What contradicts that code depends on its kind alone, or that instructions are counted rightly.
    contradictions: Vec<String>,
}

impl Rows {
    fn add(&mut self, kind: &str, column: usize, bytes: usize) {
        if !self.measured.contains_key(kind) {
            self.kinds.push(kind.to_owned());
        }
        let known = &mut self.measured.entry(kind.to_owned()).or_default()[column];
        // A layer's own function has the layer's numbers in it, of which some take more bytes.
        let differs = |known: usize| {
            let numbers = if kind.starts_with("layer") { known / LAYER_NUMBERS } else { 0 };
            known.abs_diff(bytes) > numbers
        };
        if let Some(known) = known.filter(|&known| differs(known)) {
            let text = format!("column {column}: `{kind}` has {known} and {bytes} bytes");
            self.contradictions.push(text);
        }
        *known = Some(known.unwrap_or(0).max(bytes));
    }
}

/// Prints every graph in every form that a core has code for: one text of all that is to be compiled, and its
/// functions. Networks that round alike share what they have in common, under one prefix.
fn networks(best: c::Core) -> (String, Vec<Function>) {
    let all = [c::Core::Portable, c::Core::Dsp, c::Core::Mve];
    let best = all.iter().position(|&code| code == best).unwrap_or(0);
    let mut codes: Vec<(c::Core, CodeStyle)> =
        all[..=best].iter().map(|&code| (code, CodeStyle::Fast)).collect();
    codes.push((c::Core::Portable, CodeStyle::Small));
    let (mut text, mut functions) = (String::new(), Vec::new());
    let (mut chunks, mut known) = (BTreeSet::new(), BTreeSet::new());
    let mut n = 0;
    for (i, &(code, style)) in codes.iter().enumerate() {
        let forms = forms(code, style)
            .into_iter()
            .flat_map(|form| [true, false].map(|flows| (form.clone(), flows)));
        for (form, flows) in forms {
            n += 1;
            let all = |unique: &str| {
                if form.place == WeightPlace::Coded { coded(unique) } else { graphs(unique) }
            };
            for j in 0..all("").len() {
                let graph = &all(&format!("_{n}_{j}"))[j];
                // Networks with slopes have another type of requantization.
                let has_slopes = graph.nodes.iter().any(|node| node.op.is::<LeakyRelu>());
                let slopes = if has_slopes { "slopes" } else { "" };
                let rounding = form.rounding.name().replace('-', "");
                let prefix = format!("net{i}{rounding}{slopes}");
                // Some forms have no such layer.
                let Ok(project) = form.print(graph, &prefix, flows) else { continue };
                let of_project = &project.code.functions;
                let is_new = |f: &&Function| f.assembly_bytes.is_some() || !known.contains(&f.kind);
                let new: Vec<Function> = of_project.iter().filter(is_new).cloned().collect();
                if new.is_empty() {
                    continue;
                }
                known.extend(new.iter().map(|function| function.kind.clone()));
                // Every network has its own `front`.
                let front = |text: &str| text.replace("_1_front", &format!("_1_front{n}_{j}"));
                for chunk in chunks_of(&project.files[1].1) {
                    let of_network = ["_argmax(const", "_SIZE", "_arena", "_INPUT", "_OUTPUT"];
                    // What runs a network is measured apart.
                    let runs = ["run(const", "begin(", "push_row(", "end(", "part_"];
                    let mut runs = runs.map(|name| format!("{prefix}_{name}")).into_iter();
                    if runs.any(|name| chunk.contains(&name))
                        || of_network.iter().any(|name| chunk.contains(name))
                    {
                        continue;
                    }
                    let chunk = front(&chunk);
                    if chunks.insert(chunk.clone()) {
                        text += &chunk;
                    }
                }
                functions.extend(new.into_iter().map(|function| Function {
                    symbols: function.symbols.iter().map(|symbol| front(symbol)).collect(),
                    ..function
                }));
            }
        }
    }
    (text, functions)
}

/// The functions that take a file of weights, and what these mention.
fn loading() -> Result<(String, Function)> {
    let usual = Form::new(c::Core::Portable, CodeStyle::Fast);
    let form = Form { place: WeightPlace::File, ..usual };
    let project = form.print(&graphs("")[1], "loading", false)?;
    let [(_, header), (_, source)] = &project.files[..] else { bail!("a header and a source") };
    let function = project.code.functions.iter().find(|function| function.kind == "weightfile");
    let function = function.ok_or_else(|| anyhow!("nothing takes a file of weights"))?;
    let mut text: String =
        header.split_inclusive('\n').filter(|line| line.contains("_FILE_")).collect();
    let names = ["static const uint8_t *loading_file", "loading_checksum(", "loading_load("];
    for chunk in chunks_of(source) {
        if chunk.contains("#define loading_FUNCTION")
            || names.iter().any(|name| chunk.contains(name))
        {
            text += &chunk;
        }
    }
    Ok((text, function.clone()))
}

/// The definitions at the top of a file, one after the other.
fn chunks_of(file: &str) -> Vec<String> {
    let (mut chunks, mut chunk) = (Vec::new(), String::new());
    let (mut conditions, mut braces) = (0_i32, 0_i32);
    for line in file.lines().filter(|line| !line.starts_with("#include \"")) {
        chunk += line;
        chunk.push('\n');
        conditions += i32::from(line.starts_with("#if")) - i32::from(line.starts_with("#endif"));
        for c in line.chars() {
            braces += i32::from(c == '{') - i32::from(c == '}');
        }
        let is_end =
            line.ends_with([';', '}']) || line.starts_with("#endif") || line.starts_with("#define");
        if conditions == 0 && braces == 0 && is_end {
            chunks.push(std::mem::take(&mut chunk));
        }
    }
    chunks
}

/// Cases of the switches that are measured, between which bytes grow evenly.
const STAGES: [usize; 2] = [12, 24];

/// As networks have it.
const ARGMAX: &str = "int32_t argmax(const int8_t *output)
{
    int32_t best = 0;
    for (int32_t i = 1; i < 10; i++) {
        best = output[i] > output[best] ? i : best;
    }
    return best;
}
";

/// What takes the input of a network row by row.
const TAKING: &str = "typedef struct { const uint8_t *x[4]; uint8_t *y, *scratch; } call_type;
extern void start(const void *part, uint8_t *state);
extern void flow(const void *part, uint8_t *const *buffers, uint8_t *state, const void *row);
extern void taking_end(uint8_t *output, arena_type *arena);
static const int32_t taking_part[5] = {1, 2, 3, 4, 5};
void taking_begin(arena_type *arena)
{
    uint8_t *memory = arena->bytes;
    start(taking_part, memory + 5000);
}
void taking_push_row(const uint8_t *row, uint8_t *output, arena_type *arena)
{
    uint8_t *memory = arena->bytes;
    uint8_t *const buffers[] = {memory, output};
    flow(taking_part, buffers, memory + 5000, row);
}
void taking_run(const uint8_t *input, uint8_t *output, arena_type *arena)
{
    taking_begin(arena);
    for (int32_t i = 0; i < 32; i++) {
        taking_push_row(input + i * 32 * 3, output, arena);
    }
    taking_end(output, arena);
}
";

/// Functions that call others: `count` calls with arguments of one kind each, in registers and on the stack, and
/// without.
fn calls(cpu: Cpu) -> String {
    let registers = registers(cpu);
    let mut text = format!(
        "{ARGMAX}typedef union {{ uint64_t align; uint8_t bytes[9000]; }} arena_type;\n{TAKING}"
    );
    for i in 0..16 {
        let n = if i % 2 == 0 { 18 } else { 150 };
        writeln!(text, "static const int32_t c{i}[{n}] = {{{i}, 1}};").expect("a string");
    }
    for n in [0, 1, registers, registers + 1] {
        let types = if n == 0 { "void".to_owned() } else { vec!["intptr_t"; n].join(", ") };
        writeln!(text, "extern void f{n}({types});").expect("a string");
    }
    let value = |argument: Argument, i: usize| match argument {
        Argument::Small => (3 + 7 * i).to_string(),
        Argument::Large => (300 + 37 * i).to_string(),
        Argument::Constant => format!("(intptr_t)c{i}"),
        Argument::Memory => format!("(intptr_t)(memory + {})", 8 + 208 * i),
        Argument::Pointer => {
            format!("(intptr_t){}", if i.is_multiple_of(2) { "input" } else { "output" })
        }
        Argument::Member => {
            format!("(intptr_t)c->{}", if i.is_multiple_of(2) { "x[0]" } else { "y" })
        }
    };
    let zeros = vec!["0"; registers].join(", ");
    // A call in each case of a switch, and the same calls one after the other: what a case takes beside its call. Each
    // calls a function of its own, as compilers join cases that end alike, with more arguments than there are registers,
    // as compilers jump to functions that leave the stack as it is. Few cases are no table of addresses.
    let stage = |i: usize| {
        let arguments: Vec<String> = (0..=registers).map(|j| (i + j).to_string()).collect();
        format!("stage_{i}({});\n", arguments.join(", "))
    };
    for i in 0..STAGES[1] {
        let types = vec!["intptr_t"; registers + 1].join(", ");
        writeln!(text, "extern void stage_{i}({types});").expect("a string takes everything");
    }
    for count in STAGES {
        let cases = (0..count).fold(String::new(), |text, i| {
            text + &format!("    case {i}:\n        {}        break;\n", stage(i))
        });
        let straight = (0..count).fold(String::new(), |text, i| text + "    " + &stage(i));
        writeln!(
            text,
            "void stages_{count}(int32_t stage)\n{{\n    switch (stage) {{\n{cases}    default:\n        \
             break;\n    }}\n}}\nvoid straight_{count}(void)\n{{\n{straight}}}"
        )
        .expect("a string takes everything");
    }
    let mut function = |name: &str, count: usize, call: &dyn Fn(usize) -> String| {
        let body = (0..count).fold(String::new(), |text, i| text + "    " + &call(i) + ";\n");
        let parameters =
            "const uint8_t *input, uint8_t *output, arena_type *arena, const call_type *c";
        writeln!(
            text,
            "void {name}_{count}({parameters})\n{{\n    uint8_t *memory = arena->bytes;\n    \
             (void)memory; (void)input; (void)output; (void)c;\n{body}}}"
        )
        .expect("a string");
    };
    for count in [8, 16] {
        function("none", count, &|_| "f0()".to_owned());
        function("zeros", count, &|_| format!("f{registers}({zeros})"));
        for argument in Argument::ALL {
            let name = argument.name();
            function(&format!("register_{name}"), count, &|i| {
                format!("f1({})", value(argument, i))
            });
            function(&format!("stack_{name}"), count, &|i| {
                format!("f{}({zeros}, {})", registers + 1, value(argument, i))
            });
        }
    }
    text
}

fn main() -> Result<()> {
    for (core, _) in CORES {
        if !core.is_available() {
            bail!("there are no tools for {}", core.name());
        }
    }
    let mut rows = Rows::default();
    let measured = std::thread::scope(|scope| {
        let threads: Vec<_> = CORES
            .into_iter()
            .zip(Cpu::ALL)
            .map(|((core, best), cpu)| scope.spawn(move || measure(core, best, cpu)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("it does not panic"))
            .collect::<Vec<_>>()
    });
    for (column, measured) in measured.into_iter().enumerate() {
        for (i, kinds) in measured?.into_iter().enumerate() {
            for (kind, bytes) in kinds {
                match bytes {
                    Bytes::Measured(bytes) => rows.add(&kind, 2 * column + i, bytes),
                    Bytes::Counted { counted, measured } if counted != measured => {
                        rows.contradictions.push(format!(
                            "column {column}: `{kind}` has {measured} bytes, counted {counted}"
                        ));
                    }
                    Bytes::Counted { .. } => {}
                }
            }
        }
    }
    let text = print(&rows)?;
    for contradiction in &rows.contradictions {
        println!("# {contradiction}");
    }
    if std::env::args().any(|argument| argument == "--write") {
        fs::write(project(TABLE), text)?;
    } else {
        println!("{text}");
    }
    Ok(())
}

/// The bytes of a function.
enum Bytes {
    Measured(usize),
    /// Of assembly.
    Counted {
        counted: usize,
        measured: usize,
    },
}

/// The functions of everything that a core has code for, at `-Os` and `-O2`.
fn measure(core: Core, best: c::Core, cpu: Cpu) -> Result<[Vec<(String, Bytes)>; 2]> {
    let (networks, mut functions) = networks(best);
    let (loading, function) = loading()?;
    functions.push(function);
    let text = format!("#include <stdint.h>\n{networks}{loading}{}", calls(cpu));
    let mut measured = [Vec::new(), Vec::new()];
    for (rows, optimization) in measured.iter_mut().zip(Optimization::ALL) {
        let flags = [optimization.flag(), "-fkeep-static-functions", "-Wno-unused"];
        let (symbols, _) = object_of_c(core, ("all.c", text.as_str()), &[], &flags)
            .map_err(|error| anyhow!(error.chars().take(2000).collect::<String>()))?;
        let of = |symbol: &str| symbols.get(symbol).copied().unwrap_or(0);
        for function in &functions {
            let measured: usize = function.symbols.iter().map(|symbol| of(symbol)).sum();
            let bytes = match function.assembly_bytes {
                None => Bytes::Measured(measured),
                Some(counted) => Bytes::Counted { counted, measured },
            };
            rows.push((function.kind.clone(), bytes));
        }
        let mut row = |kind: &str, bytes| rows.push((kind.to_owned(), Bytes::Measured(bytes)));
        // Tenths of bytes, of one call.
        let tenths = |name: &str| 10 * (of(&format!("{name}_16")) - of(&format!("{name}_8"))) / 8;
        row("call", tenths("none"));
        for argument in Argument::ALL {
            for (place, without) in [("register", "none"), ("stack", "zeros")] {
                let name = argument.name();
                let more = tenths(&format!("{place}_{name}")).saturating_sub(tenths(without));
                row(&format!("argument_{place}_{name}"), more);
            }
        }
        let frame = (of("register_pointer_8") * 10).saturating_sub(8 * tenths("register_pointer"));
        row("run", frame);
        row("argmax", of("argmax"));
        let taking = ["taking_begin", "taking_push_row", "taking_run"];
        row("taking", taking.iter().map(|name| of(name).next_multiple_of(4)).sum());
        // A case without its call.
        let [few, many] = STAGES;
        let each = |name: &str| {
            let [few_bytes, many_bytes] = STAGES.map(|count| of(&format!("{name}_{count}")));
            10 * (many_bytes - few_bytes) / (many - few)
        };
        let case = each("stages");
        row("stage", case.saturating_sub(each("straight")));
        let all_cases = few * case;
        row("part", (10 * of(&format!("stages_{few}"))).saturating_sub(all_cases));
    }
    Ok(measured)
}

/// The table as it is read.
fn print(rows: &Rows) -> Result<String> {
    let compiler = |core| compiler_of(core).map_err(|error| anyhow!(error));
    let mut text = format!(
        "# Bytes of the functions of printed C: written by `cargo xtask bench code --write`.\n\
         # arm: {}\n# riscv: {}\n\
         # Calls, their arguments and the frame of `run` in tenths of bytes.\n#",
        compiler(Core::CortexM3)?,
        compiler(Core::Rv32)?
    );
    for cpu in Cpu::ALL {
        for optimization in Optimization::ALL {
            write!(text, " {}{}", cpu.name(), optimization.flag())?;
        }
    }
    text.push('\n');
    for kind in &rows.kinds {
        text += kind;
        for bytes in rows.measured[kind] {
            text += &bytes.map_or(" -".to_owned(), |bytes| format!(" {bytes}"));
        }
        text.push('\n');
    }
    Ok(text)
}
