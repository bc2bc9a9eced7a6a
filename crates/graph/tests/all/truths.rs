//! What an integer operation says about itself is what it does, and is what all who ask act on.

use fixedwise_fixed::{Format, Rounding};
use fixedwise_graph::{
    AccumulatorPolicy, Constant, EmitError, FixedGraph, FixedNode, FixedOperator, FixedStep,
    FormatRule, Graph, LayerPlan, Place, Plan, Quantizer, Semantics, Shape, Target,
    emit::{c, hls, npz, onnx, qonnx},
    footprint::{Footprint, ValueMemory},
    lower_for,
    ops::{Add, AveragePool, Concat, GlobalAveragePool, MaxPool, Pad, Relu, Reshape, Window},
    passes,
    target::{Code, Widths},
};
use fixedwise_kernels::{Integers, IntegersMut, Kernels, Scratch};
use fixedwise_testing::{Build, Random, plan_of, resnet8, window};
use std::{collections::BTreeMap, ops::Range};

/// A plan that gives layers and sums these bits in turn.
fn plan(graph: &Graph, weight_bits: u8, activation_bits: &[u8]) -> Plan {
    let mut bits = activation_bits.iter().copied().cycle();
    let mut next = || Format::signed(bits.next().unwrap(), 2);
    let mut layers = Vec::new();
    let mut others = BTreeMap::new();
    for node in &graph.nodes {
        if node.op.is_layer() {
            layers.push(LayerPlan {
                name: node.name.clone(),
                weights: Some(Format::signed(weight_bits, i8::try_from(weight_bits).unwrap())),
                bias: None,
                activation: Some(next()),
            });
        } else if node.op.format_rule() == FormatRule::Own {
            others.insert(node.name.clone(), next());
        }
    }
    Plan {
        semantics: Semantics::Integer,
        quantizer: Quantizer::Uniform,
        rounding: Rounding::TiesUp,
        input: Format::unsigned(8, 3),
        layers,
        rounded: BTreeMap::new(),
        thinned: None,
        others,
    }
}

fn prepared(b: Build) -> Graph {
    passes::prepare(&b.finish(), Semantics::Integer).unwrap()
}

/// Layers one after the other, pools that tile, vectors in another order before dense layers.
fn sequential() -> Graph {
    let mut b = Build::new(Shape::new(12, 12, 3), 3);
    let x = b.conv("conv_1", 0, 8, &window(3, 1, 1), 1);
    let x = b.push("max", MaxPool { window: window(2, 2, 0), minimum: vec![] }, vec![x]);
    let x = b.conv("conv_2", x, 6, &window(3, 1, 1), 1);
    let mean = AveragePool { window: window(2, 2, 0), include_pad: false };
    let x = b.push("mean", mean, vec![x]);
    let x = b.push("pad", Pad { begin: [1, 0], end: [0, 2], value: 0.5 }, vec![x]);
    let x = b.push("flat", Reshape::flatten_channels_first(b.shape(x)), vec![x]);
    let x = b.gemm("dense_1", x, 20);
    let x = b.push("relu", Relu, vec![x]);
    b.gemm("dense_2", x, 5);
    prepared(b)
}

/// Shortcuts around layers.
fn residual() -> Graph {
    let mut b = Build::new(Shape::new(10, 8, 4), 5);
    let mut x = b.conv("conv", 0, 8, &window(3, 1, 1), 1);
    for stage in ["a", "b"] {
        let y = b.conv(&format!("{stage}_1"), x, 8, &window(3, 1, 1), 1);
        let y = b.push(&format!("{stage}_relu"), Relu, vec![y]);
        let y = b.conv(&format!("{stage}_2"), y, 8, &window(3, 1, 1), 8);
        let sum = b.push(&format!("{stage}_add"), Add, vec![x, y]);
        x = b.push(&format!("{stage}_out"), Relu, vec![sum]);
    }
    let x = b.push("global", GlobalAveragePool, vec![x]);
    b.gemm("dense", x, 6);
    prepared(b)
}

/// Branches of layers and pools side by side, joined along each axis.
fn inception() -> Graph {
    let mut b = Build::new(Shape::new(9, 9, 3), 7);
    let x = b.conv("stem", 0, 6, &window(3, 1, 1), 1);
    let one = b.conv("one", x, 4, &window(1, 1, 0), 1);
    let three = b.conv("three", x, 4, &window(3, 1, 1), 2);
    let dilated = Window { dilation: [2, 2], ..window(3, 1, 2) };
    let five = b.conv("five", x, 4, &dilated, 1);
    let pool = b.push("pool", MaxPool { window: window(3, 1, 1), minimum: vec![] }, vec![x]);
    let pooled = b.conv("pooled", pool, 4, &window(1, 1, 0), 1);
    let x = b.push("channels", Concat { axis: 2 }, vec![one, three, five, pooled]);
    let x = b.push("relu", Relu, vec![x]);
    let x = b.push("rows", Concat { axis: 0 }, vec![x, x]);
    let x = b.push("columns", Concat { axis: 1 }, vec![x, x]);
    let mean = AveragePool { window: window(3, 2, 1), include_pad: true };
    let x = b.push("mean", mean, vec![x]);
    let x = b.conv("strided", x, 5, &window(2, 2, 0), 1);
    let x = b.push("flat", Reshape::flatten_channels_first(b.shape(x)), vec![x]);
    b.gemm("dense", x, 4);
    prepared(b)
}

/// Functions of two values.
fn pairs() -> Graph {
    let (mut b, x) = Build::pairs();
    b.gemm("dense", x, 4);
    prepared(b)
}

/// Products of two values and softmax over one another in memory.
fn attention() -> Graph {
    let (mut b, x) = Build::attention();
    b.conv("last", x, 4, &window(1, 1, 0), 1);
    prepared(b)
}

/// Normalizations over what they normalize.
fn normalizations() -> Graph {
    let (mut b, x) = Build::normalizations();
    b.conv("last", x, 4, &window(1, 1, 0), 1);
    prepared(b)
}

fn networks() -> [(&'static str, Graph); 6] {
    [
        ("sequential", sequential()),
        ("residual", residual()),
        ("inception", inception()),
        ("pairs", pairs()),
        ("attention", attention()),
        ("normalizations", normalizations()),
    ]
}

/// A C target with the default's rules, for a core, and the widths of its activations.
fn c_target(core: c::Core, activation_bits: &[u8]) -> Target {
    Target {
        weight_bits: Widths::Listed(vec![1, 2, 3, 4, 5, 6, 7, 8, 16]),
        activation_bits: Widths::Listed(activation_bits.to_vec()),
        code: Code::C(core),
        ..Target::default()
    }
}

#[test]
fn the_arena_the_footprint_and_the_search_agree_on_memory() {
    let whole: &[u8] = &[8, 16];
    let targets = [
        c_target(c::Core::Portable, whole),
        c_target(c::Core::Portable, &[4, 8, 16]),
        c_target(c::Core::Dsp, whole),
        c_target(c::Core::Dsp, &[4, 8, 16]),
        c_target(c::Core::Mve, whole),
        Target { code: Code::Hls, activation_bits: Widths::Any, ..Target::default() },
    ];
    let (mut aliases, mut overwritten, mut with_scratch) = (0, 0, 0);
    let (mut alike, mut cases) = (0, 0);
    for (name, graph) in networks() {
        for target in &targets {
            let memory = ValueMemory::of(&graph, target).unwrap();
            for (weight_bits, activation_bits) in
                [(8, &[8][..]), (4, &[4]), (2, &[8, 3, 4, 8]), (8, &[4, 12, 8, 6, 3])]
            {
                let case = format!("{name}, {:?}, {activation_bits:?}", target.code);
                let plan = plan(&graph, weight_bits, activation_bits);
                let fixed = lower_for(&graph, &plan, AccumulatorPolicy::Prove32, target).unwrap();
                let searched = memory.of_plan(&graph, &plan).unwrap();
                let footprint = Footprint::new(&fixed, target);
                let bytes = |bytes: u64| usize::try_from(bytes).unwrap();
                let Some(options) = target.c_options("net") else {
                    assert_eq!(bytes(footprint.ram_bytes), searched.bytes, "{case}");
                    continue;
                };
                let printed = c::emit(&fixed, &options, &[]).unwrap();
                assert_eq!(bytes(footprint.ram_bytes), printed.arena_bytes, "{case}");
                assert_eq!(printed.arena_bytes, printed.memory.bytes, "{case}");
                // The search knows the working memory of kernels from other formats.
                let exact = ValueMemory::new(&fixed, target);
                let formats: Vec<Format> = fixed.nodes.iter().map(|node| node.format).collect();
                assert_eq!(exact.plan(&formats), printed.memory, "{case}");
                if searched == printed.memory {
                    alike += 1;
                }
                let near = searched.bytes.abs_diff(printed.arena_bytes);
                assert!(4 * near <= printed.arena_bytes + 2048, "{case}: {} bytes", searched.bytes);
                cases += 1;
                with_scratch +=
                    printed.layers.iter().filter(|layer| layer.scratch_bytes > 0).count();
                overwritten += searched.in_place.iter().flatten().count();
                let is_alias = |layer: &&c::CLayer| layer.kernel == "alias";
                aliases += printed.layers.iter().filter(is_alias).count();
            }
        }
    }
    assert!(aliases > 0 && overwritten > 0 && with_scratch > 0);
    assert!(2 * alike > cases, "{alike} of {cases}");
}

/// Bytes of the arrays of printed C whose names end so.
fn array_bytes(source: &str, end: &str) -> usize {
    let bytes = |line: &str| {
        let (head, rest) = line.split_once(&format!("{end}["))?;
        let count: usize = rest.split_once(']')?.0.parse().unwrap();
        let size = [("int8_t", 1), ("int16_t", 2), ("int32_t", 4)];
        size.iter().find(|(name, _)| head.contains(name)).map(|(_, size)| count * size)
    };
    let arrays = source.lines().filter(|line| line.ends_with("= {"));
    arrays.filter_map(bytes).sum()
}

#[test]
fn weights_take_the_bits_of_the_plan() {
    let graph = resnet8();
    for weight_bits in 1..=8_u8 {
        let weights = if weight_bits == 1 {
            Format::bipolar(1)
        } else {
            Format::signed(weight_bits, i8::try_from(weight_bits).unwrap())
        };
        let plan = plan_of(&graph, weights, |_| Format::unsigned(8, 0));
        let fixed =
            lower_for(&graph, &plan, AccumulatorPolicy::Prove32, &Target::default()).unwrap();
        let layers: Vec<&[f32]> = graph.nodes.iter().filter_map(|node| node.op.weights()).collect();
        let bits = |weights: &[f32]| weights.len() * usize::from(weight_bits);
        let bytes = layers.iter().map(|weights| bits(weights).div_ceil(8)).sum::<usize>();
        let channels: usize = graph.layers().map(|(_, node)| node.shape.c).sum();
        for core in [c::Core::Portable, c::Core::Dsp, c::Core::Mve] {
            // Vectors have no single bit.
            if core == c::Core::Mve && weight_bits == 1 {
                continue;
            }
            let options = c_target(core, &[8, 16]).c_options("net").unwrap();
            let project = c::emit(&fixed, &options, &[]).unwrap();
            let source = &project.files[1].1;
            // Some kernels have biases among the weights.
            let biases = array_bytes(source, "_bias");
            let stored = array_bytes(source, "_weights") + biases.saturating_sub(4 * channels);
            let most =
                bytes + bytes * 3 / 100 + (4 * channels).saturating_sub(biases) + 4 * layers.len();
            // Two bits are three values: five take a byte.
            let least = if weight_bits == 2 { bytes * 4 / 5 } else { bytes };
            assert!(
                stored >= least && stored <= most,
                "{core:?}, {weight_bits} bits: {stored} bytes of weights, {bytes} in the plan"
            );
        }
    }
}

#[test]
fn a_vector_that_hardware_reorders_has_memory_of_its_own() {
    let graph = sequential();
    let plan = plan(&graph, 8, &[8]);
    let alive = |target: &Target| {
        let memory = ValueMemory::of(&graph, target).unwrap().of_plan(&graph, &plan).unwrap();
        let id = graph.find("flat").unwrap();
        memory.offsets[id] != memory.offsets[graph.nodes[id].inputs[0]]
    };
    assert!(alive(&Target { code: Code::Hls, ..Target::default() }));
    assert!(!alive(&Target::default()), "in C the weights of the dense layer take its order");
}

/// Integers of a format that lie in memory as the executor has them.
enum Value {
    U8(Vec<u8>),
    I8(Vec<i8>),
    I16(Vec<i16>),
}

impl Value {
    fn new(format: Format, integers: &[i64]) -> Self {
        fn all<T: TryFrom<i64>>(integers: &[i64]) -> Vec<T> {
            integers.iter().map(|&x| T::try_from(x).ok().expect("it is of the format")).collect()
        }
        match (format.is_signed(), format.bits) {
            (false, ..=8) => Self::U8(all(integers)),
            (true, ..=8) => Self::I8(all(integers)),
            _ => Self::I16(all(integers)),
        }
    }

    fn view(&self) -> Integers<'_> {
        match self {
            Self::U8(x) => Integers::U8(x),
            Self::I8(x) => Integers::I8(x),
            Self::I16(x) => Integers::I16(x),
        }
    }

    fn view_mut(&mut self) -> IntegersMut<'_> {
        match self {
            Self::U8(x) => IntegersMut::U8(x),
            Self::I8(x) => IntegersMut::I8(x),
            Self::I16(x) => IntegersMut::I16(x),
        }
    }
}

/// The value of a node for integers of its inputs.
fn compute(fixed: &FixedGraph, node: &FixedNode, inputs: &[Vec<i64>]) -> Vec<i64> {
    let shapes: Vec<Shape> = node.inputs.iter().map(|&id| fixed.nodes[id].shape).collect();
    let step = node.op.prepare(&shapes, node.shape, Kernels::best());
    let values: Vec<Value> = node
        .inputs
        .iter()
        .zip(inputs)
        .map(|(&id, integers)| Value::new(fixed.nodes[id].format, integers))
        .collect();
    let views: Vec<Integers> = values.iter().map(Value::view).collect();
    let mut output = Value::new(node.format, &vec![0; node.shape.len()]);
    step.run(&views, output.view_mut(), &mut Scratch::default());
    let output = output.view();
    (0..output.len()).map(|i| output.get(i)).collect()
}

/// For each input of a node and each row of it, the rows of its value that change with it, found by trying.
fn influence(fixed: &FixedGraph, node: &FixedNode, random: &mut Random) -> Vec<Vec<Vec<bool>>> {
    /// Few values lie near the middle, where nothing is clamped; many tell all rows.
    const TRIALS: usize = 12;
    let mut pick = |format: Format, n: usize, reach: i64| -> Vec<i64> {
        let (min, max) = (format.min().max(-reach), format.max().min(reach));
        let range = usize::try_from(max - min + 1).unwrap();
        (0..n).map(|_| min + i64::try_from(random.below(range)).unwrap()).collect()
    };
    let mut all: Vec<Vec<Vec<bool>>> = Vec::new();
    for (position, &id) in node.inputs.iter().enumerate() {
        let shape = fixed.nodes[id].shape;
        let mut of_input = vec![vec![false; node.shape.h]; shape.h];
        for trial in 0..TRIALS {
            let reach = if trial % 2 == 0 { 7 } else { 1 << 15 };
            let mut inputs: Vec<Vec<i64>> = node
                .inputs
                .iter()
                .map(|&id| pick(fixed.nodes[id].format, fixed.nodes[id].shape.len(), reach))
                .collect();
            let before = compute(fixed, node, &inputs);
            let row = shape.w * shape.c;
            for (y, changed) in of_input.iter_mut().enumerate() {
                let whole = inputs[position].clone();
                let other = pick(fixed.nodes[id].format, row, 1 << 15);
                inputs[position][y * row..(y + 1) * row].copy_from_slice(&other);
                let after = compute(fixed, node, &inputs);
                let rows = node.shape.w * node.shape.c;
                for (i, changed) in changed.iter_mut().enumerate() {
                    let rows = i * rows..(i + 1) * rows;
                    *changed |= before[rows.clone()] != after[rows];
                }
                inputs[position] = whole;
            }
        }
        all.push(of_input);
    }
    all
}

#[test]
fn an_operation_reads_the_rows_it_says() {
    let mut random = Random::new(12);
    let mut seen = std::collections::BTreeSet::new();
    for (name, graph) in networks() {
        let plan = plan(&graph, 8, &[8, 12]);
        let fixed = lower_for(&graph, &plan, AccumulatorPolicy::Prove32, &Target::default());
        let fixed = fixed.unwrap();
        for node in &fixed.nodes {
            seen.insert(node.op.name());
            let shapes: Vec<Shape> = node.inputs.iter().map(|&id| fixed.nodes[id].shape).collect();
            let rows = |of: Range<usize>| node.op.rows(of, &shapes, node.shape);
            assert_eq!(rows(0..node.shape.h).len(), node.inputs.len(), "{name}: {}", node.name);
            let influence = influence(&fixed, node, &mut random);
            for from in 0..node.shape.h {
                for to in from + 1..=node.shape.h {
                    for (position, said) in rows(from..to).into_iter().enumerate() {
                        let read = |y: &usize| influence[position][*y][from..to].contains(&true);
                        let read: Vec<usize> = (0..shapes[position].h).filter(read).collect();
                        let hull = match (read.first(), read.last()) {
                            (Some(first), Some(last)) => *first..last + 1,
                            _ => said.start..said.start,
                        };
                        assert_eq!(
                            said, hull,
                            "{name}: {} takes rows {read:?} of input {position} for {from}..{to}",
                            node.name
                        );
                    }
                }
            }
        }
    }
    let all = ["add", "average_pool", "concat", "conv", "index_map", "input"];
    let rest = [
        "layer_normalization",
        "mat_mul",
        "max",
        "max_pool",
        "min",
        "mul",
        "pad",
        "rescale",
        "reshape",
        "softmax",
        "sub",
    ];
    let constant = ["add", "max", "min", "mul", "sub"].map(|name| format!("{name}_constant"));
    let mut all: Vec<&str> = [&all[..], &rest].concat();
    all.extend(constant.iter().map(String::as_str));
    all.sort_unstable();
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), all);
}

/// An operation that says only what it must.
#[derive(Debug, PartialEq)]
struct Unknown;

impl FixedOperator for Unknown {
    fn prepare(&self, _: &[Shape], _: Shape, _: &'static Kernels) -> FixedStep {
        std::sync::Arc::new(|_: &[Integers], _: IntegersMut, _: &mut Scratch| {})
    }

    fn name(&self) -> &'static str {
        "unknown"
    }

    fn place(&self) -> Place {
        Place::Apart
    }

    fn rows(&self, rows: Range<usize>, _: &[Shape], _: Shape) -> Vec<Range<usize>> {
        vec![rows]
    }

    fn constants(&self) -> Vec<Constant> {
        vec![Constant::Weights { count: 10, bits: 3 }]
    }
}

#[test]
fn every_form_refuses_an_operation_that_it_does_not_know_by_name() {
    let graph = sequential();
    let plan = plan(&graph, 8, &[8]);
    let target = Target::default();
    let mut fixed = lower_for(&graph, &plan, AccumulatorPolicy::Prove32, &target).unwrap();
    let id = graph.find("max").unwrap();
    fixed.nodes[id].op = Unknown.into();
    assert!(fixed.nodes[id].op.is::<Unknown>() && fixed.nodes[id].op != fixed.nodes[0].op);
    let refused =
        |form| EmitError::Operation { node: "max".to_owned(), operation: "unknown", form };
    let c = c::emit(&fixed, &c::COptions::new("net"), &[]).unwrap_err();
    assert!(matches!(&c, EmitError::Operation { operation: "unknown", form: "c", .. }), "{c}");
    assert_eq!(npz::emit(&fixed).unwrap_err(), refused("npz"));
    assert_eq!(hls::emit(&fixed, "net").unwrap_err(), refused("hls"));
    assert_eq!(onnx::emit(&fixed).unwrap_err(), refused("onnx"));
    assert_eq!(qonnx::emit(&fixed).unwrap_err(), refused("qonnx"));
    // What it says of its constants is counted all the same.
    let hardware = Target { code: Code::Hls, weight_bits: Widths::Any, ..target };
    let flash = Footprint::new(&fixed, &hardware).flash;
    assert!(flash.iter().any(|share| share.name == "max" && share.bytes == 30_u64.div_ceil(8)));
}
