//! A target's rules are kept or named, and its memory is counted as it will be used.

use fixedwise_fixed::{Format, Range, Rounding};
use fixedwise_graph::{
    AccumulatorPolicy, Graph, LayerPlan, LowerError, Plan, Quantizer, Semantics, Shape, Target,
    emit::c,
    footprint::{CodeReason, Footprint, Share, ValueMemory},
    lower, lower_for,
    ops::{Add, MaxPool, Relu},
    passes,
    target::{Code, KernelChoice, Widths},
};
use fixedwise_testing::{Build, plan_of, resnet8, window};

/// Two convolutions with a shortcut around the second, a pool, a dense layer.
fn graph() -> Graph {
    let mut b = Build::new(Shape::new(8, 8, 2), 5);
    let x = b.conv("first", 0, 8, &window(3, 1, 1), 1);
    let x = b.push("relu", Relu, vec![x]);
    let y = b.conv("second", x, 8, &window(3, 1, 1), 1);
    let x = b.push("add", Add, vec![x, y]);
    let x = b.push("pool", MaxPool { window: window(2, 2, 0), minimum: vec![] }, vec![x]);
    let x = b.push(
        "flat",
        fixedwise_graph::ops::Conv {
            window: window(4, 1, 0),
            groups: 1,
            channels: 3,
            weights: vec![0.01; 3 * 4 * 4 * 8],
            bias: vec![0.0; 3],
            tap_bias: vec![],
        },
        vec![x],
    );
    assert_eq!(b.shape(x), Shape::vector(3));
    passes::prepare(&b.finish(), Semantics::Integer).unwrap()
}

fn plan(graph: &Graph, weight_bits: u8, activation_bits: u8) -> Plan {
    let layer = |name: &str| LayerPlan {
        name: name.to_owned(),
        weights: Some(Format::signed(weight_bits, i8::try_from(weight_bits).unwrap() - 1)),
        bias: None,
        activation: Some(Format::signed(activation_bits, 4)),
    };
    Plan {
        semantics: Semantics::Integer,
        quantizer: Quantizer::Uniform,
        rounding: Rounding::TiesUp,
        input: Format::unsigned(8, 8),
        layers: graph.layers().map(|(_, node)| layer(&node.name)).collect(),
        rounded: std::collections::BTreeMap::new(),
        thinned: None,
        others: graph
            .nodes
            .iter()
            .filter(|node| node.op.is::<Add>())
            .map(|node| (node.name.clone(), Format::signed(activation_bits, 4)))
            .collect(),
    }
}

const PROVE: AccumulatorPolicy = AccumulatorPolicy::Prove32;

fn refused(plan: &Plan, target: &Target) -> (String, &'static str) {
    let error = lower_for(&graph(), plan, PROVE, target).unwrap_err();
    let LowerError::Refused { target: name, rule, cause } = &error else { panic!("{error}") };
    assert_eq!(*name, target.name);
    assert_eq!(error.cause(), &**cause);
    (error.to_string(), rule)
}

#[test]
fn each_rule_refuses_by_its_name() {
    let good = plan(&graph(), 8, 8);
    let target = || Target { name: "tiny".to_owned(), ..Target::default() };
    let listed = |widths: &[u8]| Widths::Listed(widths.to_vec());
    let full = {
        let mut plan = good.clone();
        plan.layers[0].weights = Some(Format::full(8, 7));
        plan
    };
    let biased = {
        let mut plan = good.clone();
        plan.layers[1].bias = Some(Format::signed(12, 4));
        plan
    };
    let even = Plan { rounding: Rounding::TiesEven, ..good.clone() };
    for (plan, target, rule, expected) in [
        (&good, Target { accumulator_bits: 16, ..target() }, "accumulator_bits", "has 16"),
        (&good, Target { shift: 0..=6, ..target() }, "shift", "allowed: 0 to 6"),
        (&even, Target { rounding: vec![Rounding::Floor], ..target() }, "rounding", "`ties-even`"),
        (
            &full,
            Target { signed_range: vec![Range::Narrow], ..target() },
            "signed_range",
            "weights of `first` have the range `full`",
        ),
        (
            &good,
            Target { weight_bits: listed(&[1, 2, 4]), ..target() },
            "weight_bits",
            "weights of `first` 8 bits; allowed: 1 to 4",
        ),
        (
            &good,
            Target { activation_bits: Widths::Listed(vec![4]), ..target() },
            "activation_bits",
            "activation of `input` 8 bits",
        ),
        (
            &biased,
            Target { bias_bits: listed(&[8]), code: Code::Hls, ..target() },
            "bias_bits",
            "bias of `second` 12 bits",
        ),
        (
            &good,
            Target { bias_bits: listed(&[8]), ..target() },
            "bias_bits",
            "bias of `first` needs",
        ),
    ] {
        let (text, found) = refused(plan, &target);
        assert_eq!(found, rule, "{text}");
        let begin = format!("rule `{rule}` of target `tiny` is violated: ");
        assert!(text.starts_with(&begin) && text.contains(expected), "{text}");
    }
}

#[test]
fn what_every_target_must_do_is_not_its_rule() {
    let mut plan = plan(&graph(), 8, 8);
    plan.layers[0].weights = None;
    let error = lower_for(&graph(), &plan, PROVE, &Target::default()).unwrap_err();
    assert!(matches!(error, LowerError::MissingFormat { .. }), "{error}");
}

#[test]
fn the_generic_target_is_what_the_specification_allows() {
    for (weight_bits, activation_bits) in [(8, 8), (4, 15), (12, 12)] {
        let plan = plan(&graph(), weight_bits, activation_bits);
        let fixed = lower(&graph(), &plan, PROVE).unwrap();
        assert_eq!(lower_for(&graph(), &plan, PROVE, &Target::default()), Ok(fixed));
    }
}

#[test]
fn a_wider_accumulator_takes_wider_sums() {
    let plan = plan(&graph(), 16, 16);
    assert!(matches!(lower(&graph(), &plan, PROVE), Err(LowerError::Accumulator { .. })));
    let wide = Target { accumulator_bits: 48, code: Code::Hls, ..Target::default() };
    let fixed = lower_for(&graph(), &plan, PROVE, &wide).unwrap();
    assert!(fixed.nodes.iter().any(|node| node.accumulator_bits > 32));
}

#[test]
fn c_takes_the_bytes_that_are_printed() {
    for (weight_bits, activation_bits) in [(8, 8), (3, 8), (4, 12), (16, 8)] {
        let fixed = lower(&graph(), &plan(&graph(), weight_bits, activation_bits), PROVE).unwrap();
        let footprint = Footprint::new(&fixed, &Target::default());
        let printed = c::emit(&fixed, &c::COptions::new("network"), &[]).unwrap();
        assert_eq!(footprint.constant_bytes, u64::try_from(printed.constant_bytes).unwrap());
        let code = printed.code.bytes(c::Cpu::CortexM3, c::Optimization::Speed);
        assert_eq!(footprint.flash_bytes, footprint.constant_bytes + code);
        assert!(code > 500, "{code}");
        assert_eq!(footprint.ram_bytes, u64::try_from(printed.arena_bytes).unwrap());
        let shares: u64 = footprint.flash.iter().map(|share| share.bytes).sum();
        assert_eq!(shares, footprint.flash_bytes);
        let element = if activation_bits > 8 { 2 } else { 1 };
        assert_eq!(footprint.io_bytes, 8 * 8 * 2 + 3 * element);
        // Of each value some rows are held, of 8 elements in 8 columns.
        let is_rows = |share: &&Share| share.bytes.is_multiple_of(8 * 8 * element);
        assert!(footprint.ram.iter().filter(is_rows).count() >= 3, "{:?}", footprint.ram);
        let held: u64 = footprint.ram.iter().map(|share| share.bytes).sum();
        assert!(held <= footprint.ram_bytes && 10 * held > 8 * footprint.ram_bytes);
    }
}

#[test]
fn small_kernels_are_chosen_where_fast_ones_do_not_fit_or_exceed_the_constants() {
    let fixed = lower(&graph(), &plan(&graph(), 8, 8), PROVE).unwrap();
    let of = |kernels, flash_bytes| {
        let dsp = Code::C(c::Core::Dsp);
        let cpu = Some(c::Cpu::CortexM4);
        let target = Target { code: dsp, cpu, kernels, flash_bytes, ..Target::default() };
        let footprint = Footprint::new(&fixed, &target);
        (footprint.flash_bytes, footprint.code.unwrap())
    };
    let (fast, asked) = of(KernelChoice::Fast, None);
    assert_eq!((asked.style, asked.reason), (c::CodeStyle::Fast, CodeReason::Asked));
    let (small, asked) = of(KernelChoice::Small, None);
    assert_eq!((asked.style, asked.reason), (c::CodeStyle::Small, CodeReason::Asked));
    assert!(small < fast, "{small} {fast}");
    for (kernels, limit, style, reason) in [
        (KernelChoice::Fitting, None, c::CodeStyle::Fast, CodeReason::Enough),
        (KernelChoice::Fitting, Some(fast), c::CodeStyle::Fast, CodeReason::Enough),
        (KernelChoice::Fitting, Some(fast - 1), c::CodeStyle::Small, CodeReason::Fits),
        // The network is small: code is the larger part.
        (KernelChoice::Balanced, None, c::CodeStyle::Small, CodeReason::Larger),
        (KernelChoice::Balanced, Some(fast - 1), c::CodeStyle::Small, CodeReason::Fits),
    ] {
        let (bytes, code) = of(kernels, limit);
        assert_eq!((code.style, code.reason), (style, reason), "{kernels:?} {limit:?}");
        let other = if style == c::CodeStyle::Fast { small } else { fast };
        assert_eq!((bytes + other, code.other_bytes), (fast + small, Some(other)));
    }
}

#[test]
fn small_kernels_are_chosen_where_only_their_working_memory_fits() {
    let weights = Format::signed(5, 5);
    let plan = plan_of(&resnet8(), weights, |_| Format::unsigned(8, 0));
    let of = |kernels, flash_bytes, ram_bytes| {
        let target = Target { kernels, flash_bytes, ram_bytes, ..Target::default() };
        let fixed = lower_for(&resnet8(), &plan, PROVE, &target).unwrap();
        let footprint = Footprint::new(&fixed, &target);
        (footprint.ram_bytes, footprint.code.unwrap())
    };
    let ((fast, _), (small, _)) =
        (of(KernelChoice::Fast, None, None), of(KernelChoice::Small, None, None));
    assert!(small < fast, "four filters are unpacked at once, or one: {fast} {small}");
    let fitting = KernelChoice::Fitting;
    for (flash, ram, expected) in [
        (None, fast, (fast, CodeReason::Enough)),
        (None, fast - 1, (small, CodeReason::Ram)),
        (None, small - 1, (fast, CodeReason::Enough)),
        (Some(1000), fast - 1, (small, CodeReason::Fits)),
    ] {
        let (bytes, code) = of(fitting, flash, Some(ram));
        assert_eq!((bytes, code.reason), expected, "{flash:?} {ram}");
    }
}

#[test]
fn hardware_takes_every_tensor_at_its_own_width() {
    let hardware = Target {
        weight_bits: Widths::Any,
        activation_bits: Widths::Any,
        bias_bits: Widths::Any,
        code: Code::Hls,
        ..Target::default()
    };
    let mut plan = plan(&graph(), 3, 5);
    for layer in &mut plan.layers {
        layer.bias = Some(Format::signed(6, 5));
    }
    let fixed = lower_for(&graph(), &plan, PROVE, &hardware).unwrap();
    let footprint = Footprint::new(&fixed, &hardware);
    let bytes = |bits: u64, count: u64| (bits * count).div_ceil(8);
    let layer = |weights, biases| bytes(3, weights) + bytes(6, biases);
    let expected = layer(8 * 9 * 2, 8) + layer(8 * 9 * 8, 8) + layer(3 * 16 * 8, 3);
    assert_eq!(footprint.flash_bytes, expected);
    // The two values around the second convolution; their sum lies over one of them.
    assert_eq!(footprint.ram_bytes, bytes(5, 512) * 2);
    let values = ValueMemory::of(&graph(), &hardware).unwrap();
    let values = values.of_plan(&graph(), &plan).unwrap();
    assert_eq!(u64::try_from(values.bytes).unwrap(), footprint.ram_bytes);
}
