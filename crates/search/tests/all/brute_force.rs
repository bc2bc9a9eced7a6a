//! Brute force on a real network, against runs of the same plans one by one; the square root.

use fixedwise_fixed::{Format, Range};
use fixedwise_graph::{
    Graph, LowerError, Plan, Quantizer, Semantics, Shape,
    ops::{Relu, Window},
    passes,
};
use fixedwise_kernels::Kernels;
use fixedwise_search::{
    Digest, Evaluator, EvaluatorOptions, Images, MaxLoss, Offset, Oracle, Predictions, SearchError,
    Statistics, calibrate,
    strategies::{
        BruteForceOptions, Event, FixedOptions, Ignore, Kind, Outcome, PlanHead, Tensor,
        brute_force,
        brute_force::{Direction, Fracs, Grid, Hold, ScoreRule},
        fixed, quantized_activations,
    },
};
use fixedwise_testing::{Build, Random};
use std::{ops::ControlFlow, sync::atomic::AtomicBool};

static GO: AtomicBool = AtomicBool::new(false);

struct Noise;

impl Images for Noise {
    fn len(&self) -> usize {
        60
    }

    fn image(&self, idx: usize, out: &mut [f32]) {
        let mut random = Random::new(u64::try_from(idx).unwrap());
        out.fill_with(|| random.float(0.0, 255.0));
    }

    fn label(&self, _: usize) -> Option<usize> {
        None
    }
}

/// Three convolutions; the last value's largest element is the class.
fn network() -> Graph {
    let mut build = Build::new(Shape::new(3, 3, 1), 11);
    let first = build.conv("first", 0, 4, &Window::pixel(), 1);
    let first = build.push("first_relu", Relu, vec![first]);
    let middle = build.conv("middle", first, 4, &Window::pixel(), 1);
    let middle = build.push("middle_relu", Relu, vec![middle]);
    build.conv("last", middle, 2, &Window::pixel(), 1);
    build.finish()
}

fn statistics(graph: &Graph) -> Statistics {
    calibrate(graph, &Noise, Kernels::best(), &GO, &|_| ()).unwrap()
}

fn evaluator(graph: &Graph) -> Evaluator<'_> {
    let kernels = Kernels::best();
    let predictions = Predictions::new(&network(), &Noise, kernels, &GO).unwrap();
    let options = EvaluatorOptions { cache_bytes: 1 << 20, ..EvaluatorOptions::default() };
    Evaluator::new(graph, &Noise, predictions, kernels, &GO, options)
}

fn options(semantics: Semantics) -> BruteForceOptions {
    BruteForceOptions {
        head: PlanHead::of(semantics),
        plan: None,
        kinds: vec![Kind::Weights],
        layer: None,
        direction: Direction::Forward,
        grid: Grid { bits: 1..=4, fracs: Fracs::FromNoClip(-1..=1) },
        hold: None,
    }
}

fn run(graph: &Graph, options: &BruteForceOptions) -> Result<Outcome, SearchError> {
    brute_force(graph, &statistics(graph), &mut evaluator(graph), &mut Ignore, options)
}

fn names(outcome: &Outcome) -> Vec<&str> {
    let mut names: Vec<&str> = outcome.trace.iter().map(|entry| entry.name.as_str()).collect();
    names.dedup();
    names
}

#[test]
fn each_point_is_the_plan_with_that_format_alone() {
    for semantics in [Semantics::Simulated, Semantics::Integer] {
        let graph = passes::prepare(&network(), semantics).unwrap();
        for kind in [Kind::Weights, Kind::Biases, Kind::Activations] {
            let outcome =
                run(&graph, &BruteForceOptions { kinds: vec![kind], ..options(semantics) })
                    .unwrap();
            assert!(outcome.is_finished && outcome.evaluation.is_none());
            assert_eq!(outcome.trace.len(), 3 * 4 * 3);
            let nodes = quantized_activations(&graph, semantics);
            let tensors = Tensor::all(&graph, &PlanHead::of(semantics), kind, &nodes);
            for entry in &outcome.trace {
                let tensor = tensors.iter().find(|tensor| tensor.name == entry.name).unwrap();
                let range = if entry.signed { Range::Narrow } else { Range::Unsigned };
                let format = Format { bits: entry.bits, frac: entry.frac, range };
                // The plan as it was given is not changed.
                let mut plan = outcome.plan.clone();
                tensor.set(&mut plan, Some(format));
                // A new evaluator knows nothing and caches nothing.
                let direct = evaluator(&graph).evaluate(&plan, None, None);
                let legal = direct.as_ref().map_or(0, |evaluation| evaluation.score.n);
                assert_eq!(entry.images, legal, "{kind:?} {entry:?}");
                let correct = direct.map_or(0, |evaluation| evaluation.score.correct);
                assert_eq!(entry.correct, correct, "{semantics:?} {kind:?} {entry:?}");
            }
        }
    }
}

#[test]
fn the_best_is_held_while_walking_either_way() {
    let graph = passes::prepare(&network(), Semantics::Simulated).unwrap();
    let hold = Some(Hold { rule: ScoreRule::Ratio, tolerance: 0.1 });
    for (direction, order) in [
        (Direction::Forward, ["first", "middle", "last"]),
        (Direction::Backward, ["last", "middle", "first"]),
    ] {
        let mut held = Vec::new();
        let mut watch = |event: &Event| {
            if let Event::Chosen { tensor, plan, evaluation, .. } = event {
                held.push(tensor.name.clone());
                let again = evaluator(&graph).evaluate(plan, None, None).unwrap();
                assert_eq!(again.score, evaluation.score);
            }
            ControlFlow::Continue(())
        };
        let options = BruteForceOptions { direction, hold, ..options(Semantics::Simulated) };
        let outcome =
            brute_force(&graph, &statistics(&graph), &mut evaluator(&graph), &mut watch, &options)
                .unwrap();
        assert_eq!(held, order);
        assert_eq!(names(&outcome), order);
        assert_eq!(outcome.trace.iter().filter(|entry| entry.chosen).count(), 3);
        assert!(outcome.plan.layers.iter().all(|layer| layer.weights.is_some()));
        let score = outcome.evaluation.unwrap().score;
        assert_eq!(outcome.bound_met, score.relative_loss() <= 0.1);
    }
}

#[test]
fn a_whole_plan_has_every_format() {
    for semantics in [Semantics::Simulated, Semantics::Integer] {
        let graph = passes::prepare(&network(), semantics).unwrap();
        let options = BruteForceOptions::whole(PlanHead::of(semantics), MaxLoss::Relative(0.05));
        let outcome = run(&graph, &options).unwrap();
        for layer in &outcome.plan.layers {
            assert!(layer.weights.is_some() && layer.activation.is_some(), "{layer:?}");
            assert!(layer.weights.unwrap().bits <= 8 && layer.activation.unwrap().bits <= 8);
            assert!(layer.bias.is_some(), "{layer:?}");
        }
        let score = outcome.evaluation.unwrap().score;
        assert_eq!(outcome.bound_met, score.relative_loss() <= 0.05);
    }
}

#[test]
fn a_sweep_that_is_stopped_keeps_what_it_measured() {
    let graph = passes::prepare(&network(), Semantics::Simulated).unwrap();
    let mut left = 5;
    let mut watch = |event: &Event| {
        left -= usize::from(matches!(event, Event::Candidate { .. }));
        if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let options = options(Semantics::Simulated);
    let outcome =
        brute_force(&graph, &statistics(&graph), &mut evaluator(&graph), &mut watch, &options)
            .unwrap();
    assert!(!outcome.is_finished);
    assert_eq!(outcome.trace.len(), 5);
}

#[test]
fn what_cannot_be_swept_is_refused() {
    let graph = passes::prepare(&network(), Semantics::Simulated).unwrap();
    let options = options(Semantics::Simulated);
    let layer = Some("elsewhere".to_owned());
    let error = run(&graph, &BruteForceOptions { layer, ..options.clone() }).unwrap_err();
    assert_eq!(
        error.to_string(),
        "there are no weights of `elsewhere` to sweep; the network has those of first, middle, last"
    );
    let grid = Grid { bits: 1..=17, ..Grid::default() };
    let error = run(&graph, &BruteForceOptions { grid, ..options }).unwrap_err();
    assert!(matches!(error, SearchError::Grid { .. }), "{error}");
}

fn plan(graph: &Graph, semantics: Semantics, quantizer: Quantizer, bits: u8) -> Plan {
    let head = PlanHead { quantizer, ..PlanHead::of(semantics) };
    let options = FixedOptions { head, bits, offset: Offset::NoClip };
    fixed::plan(graph, &statistics(graph), &options).unwrap()
}

#[test]
fn no_root_clips() {
    let graph = passes::prepare(&network(), Semantics::Simulated).unwrap();
    let uniform = plan(&graph, Semantics::Simulated, Quantizer::Uniform, 8);
    let root = plan(&graph, Semantics::Simulated, Quantizer::SquareRoot, 8);
    assert_eq!(root.quantizer, Quantizer::SquareRoot);
    let values = statistics(&graph);
    for (uniform, root) in uniform.layers.iter().zip(&root.layers) {
        let node = graph.find(&root.name).unwrap();
        let max_abs = values.of(node).max_abs();
        let expected = fixedwise_search::format_no_clip(max_abs.sqrt(), 8, Range::Narrow);
        assert_eq!(root.activation, Some(expected));
        let (before, after) = (uniform.activation.unwrap().frac, root.activation.unwrap().frac);
        assert!(max_abs < 4.0 || after > before, "{max_abs}: {before} {after}");
    }
}

#[test]
fn a_plan_of_roots_is_another_plan_and_no_integer_one() {
    let graph = passes::prepare(&network(), Semantics::Simulated).unwrap();
    let uniform = plan(&graph, Semantics::Simulated, Quantizer::Uniform, 3);
    let root = Plan { quantizer: Quantizer::SquareRoot, ..uniform.clone() };
    assert_ne!(Digest::of_plan(&graph, &uniform), Digest::of_plan(&graph, &root));
    let mut known = evaluator(&graph);
    known.evaluate(&uniform, None, None).unwrap();
    assert!(known.evaluate(&root, None, None).unwrap().is_new);

    let graph = passes::prepare(&network(), Semantics::Integer).unwrap();
    let integer = plan(&graph, Semantics::Integer, Quantizer::Uniform, 8);
    let mut known = evaluator(&graph);
    known.evaluate(&integer, None, None).unwrap();
    let root = Plan { quantizer: Quantizer::SquareRoot, ..integer };
    let refused = SearchError::Lower(LowerError::Quantizer { quantizer: "square-root" });
    assert_eq!(known.evaluate(&root, None, None), Err(refused));
}
