//! What a search makes small, and for which target.

use fixedwise_fixed::{Format, Range, Rounding};
use fixedwise_graph::{
    AccumulatorPolicy, Graph, LowerError, Shape, Target,
    footprint::{Footprint, ValueMemory},
    lower_for,
    ops::{Add, MaxPool, Relu},
    passes,
    target::{Code, MultiplicationCost, Widths},
};
use fixedwise_kernels::Kernels;
use fixedwise_search::{
    Evaluator, EvaluatorOptions, Images, MaxLoss, Predictions, SearchError, Statistics, calibrate,
    strategies::{
        FixedOptions, Ignore, Kind, LayerwiseOptions, Objective, Outcome, PlanHead, SearchOptions,
        Tensor, fixed, joint, layer_dependent, layer_independent, quantized_activations,
    },
};
use fixedwise_testing::{Build, Random, window};
use std::sync::atomic::AtomicBool;

static GO: AtomicBool = AtomicBool::new(false);

struct Noise;

impl Images for Noise {
    fn len(&self) -> usize {
        60
    }

    fn image(&self, idx: usize, out: &mut [f32]) {
        let mut random = Random::new(900 + u64::try_from(idx).unwrap());
        out.copy_from_slice(&random.floats(out.len(), 0.0, 1.0));
    }

    fn label(&self, _: usize) -> Option<usize> {
        None
    }
}

/// Large values first, with a shortcut; small ones behind the pool.
fn float() -> Graph {
    let mut b = Build::new(Shape::new(8, 8, 1), 3);
    let x = b.conv("first", 0, 6, &window(3, 1, 1), 1);
    let x = b.push("relu_1", Relu, vec![x]);
    let y = b.conv("second", x, 6, &window(3, 1, 1), 1);
    let x = b.push("add", Add, vec![x, y]);
    let x = b.push("pool", MaxPool { window: window(4, 4, 0), minimum: vec![] }, vec![x]);
    let x = b.conv("third", x, 5, &window(2, 1, 0), 1);
    b.push("relu_3", Relu, vec![x]);
    b.finish()
}

fn prepared() -> Graph {
    passes::prepare(&float(), PlanHead::INTEGER.semantics).unwrap()
}

fn statistics(graph: &Graph) -> Statistics {
    calibrate(graph, &Noise, Kernels::best(), &GO, &|_| ()).unwrap()
}

type Strategy = for<'a, 'g> fn(
    &'a Graph,
    &'a Statistics,
    &'a mut Evaluator<'g>,
    &'a mut dyn fixedwise_search::strategies::Observer,
    &'a LayerwiseOptions,
) -> Result<Outcome, SearchError>;

const STRATEGIES: [Strategy; 3] = [
    |g, s, e, o, p| joint(g, s, e, o, p),
    |g, s, e, o, p| layer_dependent(g, s, e, o, p),
    |g, s, e, o, p| layer_independent(g, s, e, o, p),
];

fn run_with(
    strategy: Strategy,
    objective: Objective,
    target: &Target,
    change: impl FnOnce(&mut LayerwiseOptions),
) -> Result<Outcome, SearchError> {
    let graph = prepared();
    let kernels = Kernels::best();
    let predictions = Predictions::new(&float(), &Noise, kernels, &GO).unwrap();
    let target_of = Some(target.clone());
    let options =
        EvaluatorOptions { cache_bytes: 1 << 20, target: target_of, ..EvaluatorOptions::default() };
    let mut evaluator = Evaluator::new(&graph, &Noise, predictions, kernels, &GO, options);
    let mut layerwise = LayerwiseOptions {
        max_loss: MaxLoss::Relative(0.2),
        search: SearchOptions::of(objective),
        objective,
        target: Some(target.clone()),
        ..LayerwiseOptions::new(PlanHead::INTEGER.semantics)
    };
    change(&mut layerwise);
    strategy(&graph, &statistics(&graph), &mut evaluator, &mut Ignore, &layerwise)
}

fn run(objective: Objective, target: &Target) -> Outcome {
    run_with(STRATEGIES[0], objective, target, |_| {}).unwrap()
}

fn tensors(kind: Kind) -> Vec<Tensor> {
    let (graph, semantics) = (prepared(), PlanHead::INTEGER.semantics);
    Tensor::all(&graph, &PlanHead::of(semantics), kind, &quantized_activations(&graph, semantics))
}

fn tried(outcome: &Outcome, kind: Kind, name: &str) -> Vec<u8> {
    let entries = outcome.trace.iter().filter(|e| e.kind == kind && e.name == name);
    entries.map(|entry| entry.bits).collect()
}

fn hardware() -> Target {
    Target {
        weight_bits: Widths::Any,
        activation_bits: Widths::Any,
        bias_bits: Widths::Any,
        code: Code::Hls,
        multiplication: MultiplicationCost::Bits,
        ..Target::default()
    }
}

fn flash(outcome: &Outcome, target: &Target) -> u64 {
    let policy = AccumulatorPolicy::Prove32;
    let fixed = lower_for(&prepared(), &outcome.plan, policy, target).unwrap();
    Footprint::new(&fixed, target).flash_bytes
}

#[test]
fn flash_goes_from_one_stored_width_to_the_next() {
    let weight_bits = Widths::Listed(vec![1, 2, 4, 8, 16]);
    let target = Target { weight_bits, ..Target::default() };
    for strategy in STRATEGIES {
        let outcome = run_with(strategy, Objective::Flash, &target, |_| {}).unwrap();
        assert!(outcome.is_finished && outcome.bound_met);
        for tensor in tensors(Kind::Weights) {
            let tried = tried(&outcome, Kind::Weights, &tensor.name);
            // Where 8 bits lose too much, the first wider format that does not.
            let is_stored = |bits: &u8| [1, 2, 4, 8].contains(bits) || *bits > 8;
            assert!(!tried.is_empty() && tried.iter().all(is_stored), "{tried:?}");
        }
        // C stores them at the accumulator's scale whatever their format is.
        assert!(outcome.trace.iter().all(|entry| entry.kind != Kind::Biases));
        let mut wide = outcome.clone();
        for layer in &mut wide.plan.layers {
            let weights = layer.weights.as_mut().unwrap();
            let extra = 8_u8.saturating_sub(weights.bits);
            weights.bits += extra;
            weights.frac = weights.frac.saturating_add_unsigned(extra);
        }
        assert!(flash(&outcome, &target) <= flash(&wide, &target));
    }
}

#[test]
fn hardware_stores_every_width_so_every_width_is_tried() {
    let outcome = run(Objective::Flash, &hardware());
    let all: Vec<u8> = outcome.trace.iter().map(|entry| entry.bits).collect();
    assert!(all.iter().any(|bits| [3, 5, 6, 7].contains(bits)), "{all:?}");
    assert!(outcome.trace.iter().any(|entry| entry.kind == Kind::Biases));
}

#[test]
fn ram_leaves_the_activations_that_are_not_at_the_peak() {
    let target = Target::default();
    let wide = |options: &mut LayerwiseOptions| {
        options.search.start_bits.activations = 12;
        options.search.start_step = 0;
    };
    let outcome = run_with(STRATEGIES[0], Objective::Ram, &target, wide).unwrap();
    let tried = |name: &str| tried(&outcome, Kind::Activations, name);
    // Both sides of the second convolution fill the memory; what comes out of the third layer is
    // the caller's.
    assert!(tried("first").contains(&8) && tried("second").contains(&8), "{:?}", outcome.trace);
    assert!(tried("third").is_empty());
    let bits = |name: &str| outcome.plan.layer(name).unwrap().activation.unwrap().bits;
    assert_eq!(bits("third"), 12);
    // From the widest on the first kind to be searched are activations.
    assert_eq!(outcome.trace[0].kind, Kind::Activations);
    let memory = ValueMemory::of(&prepared(), &target).unwrap();
    let bytes = |plan| memory.of_plan(&prepared(), plan).unwrap().bytes;
    assert_eq!((bits("first"), bits("second")), (8, 8));
    let mut wide = outcome.plan.clone();
    let at_12 = |format: &mut Format| format.bits = 12;
    wide.layers[1].activation.iter_mut().for_each(at_12);
    // Some rows of each value are held: less than both whole values at 8 bits.
    assert!(bytes(&outcome.plan) < 2 * 8 * 8 * 6 && bytes(&outcome.plan) < bytes(&wide));
}

#[test]
fn multiplications_count_where_their_bits_do() {
    let error = run_with(STRATEGIES[0], Objective::Multiplications, &Target::default(), |_| {});
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("target `generic`") && error.contains("rule `multiplication`"),
        "{error}"
    );
    let outcome = run(Objective::Multiplications, &hardware());
    assert!(outcome.bound_met);
    let kinds: Vec<Kind> = outcome.trace.iter().map(|entry| entry.kind).collect();
    let first = |kind| kinds.iter().position(|&k| k == kind).unwrap();
    assert!(first(Kind::Weights) < first(Kind::Activations));
    assert!(first(Kind::Activations) < first(Kind::Biases));
}

#[test]
fn a_search_keeps_to_its_targets_rules() {
    let narrow = Target {
        name: "narrow".to_owned(),
        weight_bits: Widths::Listed(vec![2, 4, 6]),
        activation_bits: Widths::Listed(vec![8]),
        accumulator_bits: 18,
        signed_range: vec![Range::Full],
        rounding: vec![Rounding::Floor],
        ..Target::default()
    };
    let head = PlanHead { rounding: Rounding::Floor, ..PlanHead::INTEGER };
    for objective in [Objective::Memory, Objective::Flash, Objective::Ram] {
        let outcome =
            run_with(STRATEGIES[0], objective, &narrow, |options| options.head = head.clone())
                .unwrap();
        let fixed = lower_for(&prepared(), &outcome.plan, AccumulatorPolicy::Prove32, &narrow);
        assert!(fixed.is_ok(), "{fixed:?}");
        let widest = outcome.trace.iter().map(|entry| match entry.kind {
            Kind::Weights => entry.bits <= 6,
            Kind::Activations => entry.bits <= 8,
            Kind::Biases => true,
        });
        assert!(widest.into_iter().all(|is_stored| is_stored));
    }
    let options = FixedOptions { head, bits: 12, ..FixedOptions::default() };
    let graph = prepared();
    let plan = fixed::plan_for(&graph, &statistics(&graph), &options, Some(&narrow)).unwrap();
    assert!(plan.layers.iter().all(|layer| layer.weights.unwrap().bits <= 6));
    assert!(plan.layers.iter().all(|layer| layer.weights.unwrap().range == Range::Full));
}

#[test]
fn a_rule_that_no_plan_keeps_is_named() {
    let never = Target { shift: 0..=0, ..Target::default() };
    let error = run_with(STRATEGIES[0], Objective::Memory, &never, |_| {}).unwrap_err();
    let SearchError::Lower(LowerError::Refused { rule, .. }) = error else { panic!("{error}") };
    assert_eq!(rule, "shift");
}
