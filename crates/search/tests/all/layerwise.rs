//! The searches of each kind and each layer alone, and what all walks can be told, on a small
//! network that is really run.

use fixedwise_fixed::Format;
use fixedwise_graph::{
    Graph, LowerError, NodeId, Plan, Semantics, Shape,
    ops::{Relu, Window},
    passes,
};
use fixedwise_kernels::Kernels;
use fixedwise_search::{
    Evaluation, Evaluator, EvaluatorOptions, Images, MaxLoss, Oracle, Predictions, SearchError,
    Statistics, calibrate,
    strategies::{
        Budget, Ignore, Kind, LayerOrder, LayerwiseOptions, Outcome, PlanHead, StartBits, Tensor,
        brute_force::Direction, joint, layer_dependent, layer_independent, quantized_activations,
    },
};
use fixedwise_testing::{Build, Random};
use std::sync::atomic::AtomicBool;

static GO: AtomicBool = AtomicBool::new(false);

const KINDS: [Kind; 3] = [Kind::Weights, Kind::Biases, Kind::Activations];

struct Noise;

impl Images for Noise {
    fn len(&self) -> usize {
        200
    }

    fn image(&self, idx: usize, out: &mut [f32]) {
        let mut random = Random::new(u64::try_from(idx).unwrap());
        out.fill_with(|| random.float(0.0, 255.0).round());
    }

    fn label(&self, _: usize) -> Option<usize> {
        None
    }
}

/// Three convolutions; "correct" is what the float network says.
fn network() -> Graph {
    let mut build = Build::new(Shape::new(3, 3, 1), 11);
    let first = build.conv("first", 0, 4, &Window::pixel(), 1);
    let first = build.push("first_relu", Relu, vec![first]);
    let middle = build.conv("middle", first, 4, &Window::pixel(), 1);
    let middle = build.push("middle_relu", Relu, vec![middle]);
    build.conv("last", middle, 2, &Window::pixel(), 1);
    build.finish()
}

/// What a search asked, and the end of it after some evaluations.
struct Counted<'a> {
    evaluator: Evaluator<'a>,
    asked: Vec<Plan>,
    stop_after: usize,
}

impl Oracle for Counted<'_> {
    fn evaluate(
        &mut self,
        plan: &Plan,
        focus: Option<NodeId>,
        at_least: Option<usize>,
    ) -> Result<Evaluation, SearchError> {
        if self.asked.len() == self.stop_after {
            return Err(SearchError::Stopped);
        }
        self.asked.push(plan.clone());
        self.evaluator.evaluate(plan, focus, at_least)
    }

    fn evaluate_first(&mut self, plan: &Plan, _: usize) -> Result<Evaluation, SearchError> {
        self.evaluate(plan, None, None)
    }

    fn check(&self, plan: &Plan) -> Result<(), LowerError> {
        self.evaluator.check(plan)
    }

    fn expected_error(&self) -> Option<f64> {
        self.evaluator.expected_error()
    }

    fn float_score(&self) -> (usize, usize) {
        self.evaluator.float_score()
    }
}

type Strategy = for<'a, 'g> fn(
    &'a Graph,
    &'a Statistics,
    &'a mut Counted<'g>,
    &'a mut dyn fixedwise_search::strategies::Observer,
    &'a LayerwiseOptions,
) -> Result<Outcome, SearchError>;

fn each_strategy() -> [(&'static str, Strategy); 3] {
    [
        ("joint", |g, s, c, o, p| joint(g, s, c, o, p)),
        ("layer-dependent", |g, s, c, o, p| layer_dependent(g, s, c, o, p)),
        ("layer-independent", |g, s, c, o, p| layer_independent(g, s, c, o, p)),
    ]
}

/// One strategy, stopped after so many evaluations, and the plans that it asked about.
fn run(
    strategy: Strategy,
    options: &LayerwiseOptions,
    stop_after: usize,
) -> Result<(Outcome, Vec<Plan>), SearchError> {
    let graph = passes::prepare(&network(), options.head.semantics).unwrap();
    let kernels = Kernels::best();
    let statistics = calibrate(&graph, &Noise, kernels, &GO, &|_| ()).unwrap();
    let predictions = Predictions::new(&network(), &Noise, kernels, &GO).unwrap();
    let evaluator_options =
        EvaluatorOptions { cache_bytes: 1 << 20, ..EvaluatorOptions::default() };
    let evaluator = Evaluator::new(&graph, &Noise, predictions, kernels, &GO, evaluator_options);
    let mut counted = Counted { evaluator, asked: Vec::new(), stop_after };
    let outcome = strategy(&graph, &statistics, &mut counted, &mut Ignore, options)?;
    if options.head.semantics == Semantics::Integer
        && let Some(evaluation) = outcome.evaluation
    {
        counted.check(&outcome.plan).unwrap();
        let again = counted.evaluator.evaluate(&outcome.plan, None, None).unwrap();
        assert_eq!(again.score, evaluation.score, "the score is the plan's");
    }
    Ok((outcome, counted.asked))
}

fn options(semantics: Semantics) -> LayerwiseOptions {
    let max_loss = MaxLoss::Relative(0.1);
    LayerwiseOptions { max_loss, ..LayerwiseOptions::new(semantics) }
}

fn tensors(semantics: Semantics) -> Vec<Tensor> {
    let graph = passes::prepare(&network(), semantics).unwrap();
    let nodes = quantized_activations(&graph, semantics);
    KINDS
        .iter()
        .flat_map(|&kind| Tensor::all(&graph, &PlanHead::of(semantics), kind, &nodes))
        .collect()
}

#[test]
fn every_search_ends_with_a_whole_plan() {
    for semantics in [Semantics::Integer, Semantics::Simulated] {
        for (name, strategy) in each_strategy() {
            let (outcome, _) = run(strategy, &options(semantics), usize::MAX).unwrap();
            assert!(outcome.is_finished);
            for tensor in tensors(semantics) {
                let format = tensor.of(&outcome.plan);
                let is_free = semantics == Semantics::Integer && tensor.kind == Kind::Biases;
                assert!(format.is_some() || is_free, "{name}: {tensor:?}");
                assert!(
                    outcome.trace.iter().any(|e| e.name == tensor.name && e.kind == tensor.kind),
                    "{name}: {tensor:?} was tried"
                );
            }
        }
    }
}

#[test]
fn what_is_held_is_what_the_strategy_says() {
    let semantics = Semantics::Simulated;
    let all = tensors(semantics);
    for (name, strategy) in each_strategy() {
        let (outcome, asked) = run(strategy, &options(semantics), usize::MAX).unwrap();
        // Plans on the way to the last activation: how many tensors of each kind have a format.
        let count = |plan: &Plan, kind| {
            all.iter().filter(|t| t.kind == kind && t.of(plan).is_some()).count()
        };
        let counts: Vec<[usize; 3]> =
            asked.iter().map(|plan| KINDS.map(|kind| count(plan, kind))).collect();
        assert!(counts.contains(&[3, 3, 1]), "{name}: found formats are measured");
        assert_eq!(counts.contains(&[0, 0, 2]), name == "layer-dependent", "{name}");
        assert_eq!(counts.contains(&[0, 0, 1]), name != "joint", "{name}");
        assert!(counts.contains(&[2, 0, 0]), "{name}");
        let twos = counts.iter().filter(|&&c| c == [2, 0, 0]).count();
        assert_eq!(twos == 1, name == "layer-independent", "{name}: {twos}");
        assert_eq!(count(&outcome.plan, Kind::Activations), 3, "{name}");
    }
}

#[test]
fn a_layer_alone_keeps_to_its_budget() {
    for semantics in [Semantics::Integer, Semantics::Simulated] {
        for (budget, allowed) in [
            (Budget::Share, [0.05 / 3.0; 3]),
            (Budget::Linear, [0.05 / 3.0, 0.1 / 3.0, 0.05]),
            (Budget::Flat, [0.05; 3]),
            (Budget::Losses(vec![0.04, 0.02, 0.0]), [0.04, 0.02, 0.0]),
        ] {
            let mut options = options(semantics);
            options.search.budgets = Some([budget.clone(), Budget::Flat, Budget::Flat]);
            let (_, layer_independent) = each_strategy()[2];
            let (outcome, _) = run(layer_independent, &options, usize::MAX).unwrap();
            let chosen: Vec<_> = outcome
                .trace
                .iter()
                .filter(|entry| entry.kind == Kind::Weights && entry.chosen)
                .collect();
            assert_eq!(chosen.len(), 3);
            for (entry, allowed) in chosen.iter().zip(allowed) {
                let loss = entry.relative_loss.unwrap();
                assert!(loss <= allowed + 1e-12, "{budget:?} {entry:?}");
            }
        }
    }
}

#[test]
fn forward_is_not_reverse() {
    for (name, strategy) in each_strategy() {
        let visited = |direction, layer_order| {
            let mut options = options(Semantics::Integer);
            options.search.direction = direction;
            options.search.layer_order = layer_order;
            let (outcome, _) = run(strategy, &options, usize::MAX).unwrap();
            let mut names: Vec<String> = outcome
                .trace
                .iter()
                .filter(|entry| entry.kind == Kind::Weights)
                .map(|entry| entry.name.clone())
                .collect();
            names.dedup();
            (names, outcome.plan)
        };
        let (names, forward) = visited(Direction::Forward, LayerOrder::Graph);
        assert_eq!(names, ["first", "middle", "last"], "{name}");
        let (names, reverse) = visited(Direction::Backward, LayerOrder::Paper);
        assert_eq!(names, ["last", "middle", "first"], "{name}");
        assert_eq!(forward == reverse, name == "layer-independent", "{name}");
        let order = LayerOrder::Names(vec!["middle".to_owned()]);
        let (names, _) = visited(Direction::Forward, order);
        assert_eq!(names, ["middle", "first", "last"], "{name}");
    }
}

#[test]
fn a_search_stopped_anywhere_has_a_proved_plan() {
    for (name, strategy) in each_strategy() {
        let options = options(Semantics::Integer);
        let (whole, asked) = run(strategy, &options, usize::MAX).unwrap();
        assert!(whole.is_finished && whole.bound_met, "{name}");
        for stop_after in (0..asked.len()).step_by(11) {
            let (outcome, _) = run(strategy, &options, stop_after).unwrap();
            assert!(!outcome.is_finished, "{name}, {stop_after}");
            assert_eq!(outcome.evaluation.is_some(), stop_after > 1, "{name}, {stop_after}");
            assert_eq!(outcome.bound_met, stop_after > 1, "{name}, {stop_after}");
        }
    }
}

#[test]
fn a_search_starts_where_it_is_told() {
    for semantics in [Semantics::Integer, Semantics::Simulated] {
        for (name, strategy) in each_strategy() {
            let mut options = options(semantics);
            options.search.start_bits = StartBits { weights: 9, biases: 7, activations: 10 };
            let (outcome, _) = run(strategy, &options, usize::MAX).unwrap();
            let first = |outcome: &Outcome, kind| {
                let entry = outcome.trace.iter().find(|entry| entry.kind == kind).unwrap();
                (entry.bits, entry.frac)
            };
            assert_eq!(first(&outcome, Kind::Weights).0, 9, "{name}");
            assert_eq!(first(&outcome, Kind::Biases).0, 7, "{name}");
            assert_eq!(first(&outcome, Kind::Activations).0, 10, "{name}");

            let mut start = outcome.plan;
            let layer = start.layer_mut("first").unwrap();
            layer.weights = Some(Format::signed(11, 12));
            layer.bias = None;
            let expected = start.layer("first").unwrap().activation.unwrap();
            options.start = Some(start);
            options.max_loss = MaxLoss::Relative(0.5);
            let (outcome, _) = run(strategy, &options, usize::MAX).unwrap();
            assert_eq!(first(&outcome, Kind::Weights), (11, 12), "{name}");
            assert_eq!(first(&outcome, Kind::Biases).0, 7, "{name}");
            let activation = first(&outcome, Kind::Activations);
            assert_eq!(activation, (expected.bits, expected.frac), "{name}");
        }
    }
}

#[test]
fn a_wider_window_tries_more_and_a_trade_off_of_one_takes_none_wider() {
    let (_, joint) = each_strategy()[0];
    let tried = |window| {
        let mut options = options(Semantics::Simulated);
        options.search.window = window;
        options.search.trade_off = 1.0;
        run(joint, &options, usize::MAX).unwrap().0.trace.len()
    };
    assert!(tried(0) < tried(1) && tried(1) < tried(2));
}

#[test]
fn budgets_for_other_layers_are_refused() {
    for (name, strategy) in each_strategy() {
        let mut options = options(Semantics::Integer);
        let losses = Budget::Losses(vec![0.1]);
        options.search.budgets = Some([losses, Budget::Flat, Budget::Flat]);
        let error = run(strategy, &options, usize::MAX).unwrap_err().to_string();
        let expected = "option `budget` gives 1 losses for weights; there are 3";
        assert!(
            error.contains(expected) && error.contains("first, middle, last"),
            "{name}: {error}"
        );
    }
}
