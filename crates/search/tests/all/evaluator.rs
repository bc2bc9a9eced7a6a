//! The evaluator against running every image through the whole network.

use fixedwise_fixed::{Format, Range, convert::f64_to_f32};
use fixedwise_graph::{
    AccumulatorPolicy, Graph, NodeId, Plan, Rounded, Semantics, Shape, lower,
    ops::{Add, Concat, GlobalAveragePool, GlobalMaxPool, Relu, Sigmoid, Window},
    passes,
    run::{Program, StepCache, Workspace},
};
use fixedwise_kernels::Kernels;
use fixedwise_search::{
    ClassBound, ClassScore, Digest, Evaluator, EvaluatorOptions, Images, JournalEntry, Offset,
    Oracle, Predictions, Score, SearchError, Statistics, Unit, calibrate,
    strategies::{FixedOptions, Kind, PlanHead, Tensor, fixed, quantized_activations},
};
use fixedwise_testing::{Build, Random};
use proptest::prelude::*;
use std::{
    cmp::Ordering,
    sync::{Arc, atomic::AtomicBool},
};

static GO: AtomicBool = AtomicBool::new(false);
static STOP: AtomicBool = AtomicBool::new(true);

struct Pixels {
    shape: Shape,
    n: usize,
}

impl Images for Pixels {
    fn len(&self) -> usize {
        self.n
    }

    fn image(&self, idx: usize, out: &mut [f32]) {
        assert_eq!(out.len(), self.shape.len());
        let mut random = Random::new(u64::try_from(idx).unwrap());
        // Whole pixels, of a brightness that differs from image to image.
        let bright = random.float(40.0, 255.0);
        out.fill_with(|| random.float(0.0, bright).floor());
    }

    fn label(&self, idx: usize) -> Option<usize> {
        // Some images have no label: there the float network is right.
        idx.is_multiple_of(5).then_some(idx % 4)
    }
}

/// Branches, a residual add and a concatenation.
fn network() -> Graph {
    let mut build = Build::new(Shape::new(6, 6, 2), 3);
    let window = |kernel: usize| Window {
        kernel: [kernel; 2],
        pad_begin: [kernel / 2; 2],
        pad_end: [kernel / 2; 2],
        ..Window::pixel()
    };
    let stem = build.conv("stem", 0, 4, &window(3), 1);
    let stem = build.push("stem_relu", Relu, vec![stem]);
    let left = build.conv("left", stem, 4, &window(3), 1);
    let left = build.push("left_relu", Relu, vec![left]);
    let right = build.conv("right", stem, 4, &window(1), 1);
    let sum = build.push("sum", Add, vec![left, right]);
    let joined = build.push("joined", Concat { axis: 2 }, vec![sum, stem]);
    let last = build.conv("last", joined, 6, &window(3), 1);
    let last = build.push("last_relu", Relu, vec![last]);
    let pooled = build.push("pooled", GlobalMaxPool { minimum: vec![] }, vec![last]);
    build.gemm("dense", pooled, 4);
    passes::prepare(&build.finish(), Semantics::Integer).unwrap()
}

fn images(graph: &Graph, n: usize) -> Pixels {
    Pixels { shape: graph.input_shape(), n }
}

fn statistics(graph: &Graph) -> Statistics {
    calibrate(graph, &images(graph, 40), Kernels::best(), &GO, &|_| ()).unwrap()
}

fn evaluator<'a>(graph: &'a Graph, images: &'a Pixels, cache_bytes: usize) -> Evaluator<'a> {
    let predictions = Predictions::new(graph, images, Kernels::best(), &GO).unwrap();
    let options = EvaluatorOptions { cache_bytes, ..EvaluatorOptions::default() };
    Evaluator::new(graph, images, predictions, Kernels::best(), &GO, options)
}

/// Every image through the whole network, one after the other.
fn direct(graph: &Graph, images: &Pixels, plan: &Plan) -> Score {
    let float = Program::float(graph, Kernels::best());
    let program = match plan.semantics {
        Semantics::Integer => {
            let fixed = lower(graph, plan, AccumulatorPolicy::Widen).unwrap();
            Program::fixed(&fixed, Kernels::best())
        }
        Semantics::Simulated => Program::simulated(graph, plan, Kernels::best()).unwrap(),
    };
    let mut image = vec![0.0; graph.input_shape().len()];
    let class = |program: &Program, image: &[f32]| {
        let schedule = program.schedule(&[], &[graph.output()]);
        let mut workspace = Workspace::new();
        program.run(&schedule, &mut workspace, image, &[]);
        program.value(&schedule, &workspace, graph.output()).argmax()
    };
    let mut score = Score::default();
    for idx in 0..images.n {
        images.image(idx, &mut image);
        let float = class(&float, &image);
        let target = images.label(idx).unwrap_or(float);
        let (float, fixed) = (float == target, class(&program, &image) == target);
        score.n += 1;
        score.correct += usize::from(fixed);
        score.float_correct += usize::from(float);
        score.lost += usize::from(float && !fixed);
        score.gained += usize::from(fixed && !float);
    }
    score
}

fn plan(graph: &Graph, statistics: &Statistics, semantics: Semantics, bits: u8) -> Plan {
    let options = FixedOptions { head: PlanHead::of(semantics), bits, offset: Offset::LeastError };
    fixed::plan(graph, statistics, &options).unwrap()
}

fn tensors(graph: &Graph, semantics: Semantics) -> Vec<Tensor> {
    let nodes = quantized_activations(graph, semantics);
    [Kind::Weights, Kind::Biases, Kind::Activations]
        .into_iter()
        .flat_map(|kind| Tensor::all(graph, &PlanHead::of(semantics), kind, &nodes))
        .collect()
}

#[test]
fn without_a_focus_it_is_the_direct_score() {
    let graph = network();
    let (images, statistics) = (images(&graph, 70), statistics(&graph));
    for semantics in [Semantics::Integer, Semantics::Simulated] {
        for bits in [2, 4, 8] {
            let plan = plan(&graph, &statistics, semantics, bits);
            let got = evaluator(&graph, &images, 0).evaluate(&plan, None, None).unwrap();
            assert!(got.is_complete && got.is_new);
            let got = Score { expected: 0, expected_squares: 0, ..got.score };
            assert_eq!(got, direct(&graph, &images, &plan), "{semantics:?}, {bits} bits");
        }
    }
}

#[derive(Clone, Debug)]
struct Change {
    tensor: prop::sample::Index,
    bits: i8,
    frac: i8,
    focus: bool,
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let change = (any::<prop::sample::Index>(), -2_i8..=2, -2_i8..=2, any::<bool>())
        .prop_map(|(tensor, bits, frac, focus)| Change { tensor, bits, frac, focus });
    prop::collection::vec(change, 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever changes, wherever the focus is, however small the cache.
    #[test]
    fn a_cached_score_is_the_direct_score(
        changes in changes(), integer: bool, cache_bytes in prop::sample::select(vec![0, 3000, 20_000, 1 << 20]),
    ) {
        let semantics = if integer { Semantics::Integer } else { Semantics::Simulated };
        let graph = network();
        let (images, statistics) = (images(&graph, 70), statistics(&graph));
        let tensors = tensors(&graph, semantics);
        let mut plan = plan(&graph, &statistics, semantics, 4);
        let mut cached = evaluator(&graph, &images, cache_bytes);
        for change in changes {
            let tensor = change.tensor.get(&tensors);
            let old = tensor.of(&plan).unwrap();
            let bits = old.bits.saturating_add_signed(change.bits).clamp(1, 8);
            tensor.set(&mut plan, Some(Format { bits, frac: old.frac + change.frac, ..old }));
            let focus = change.focus.then_some(tensor.node);
            match cached.evaluate(&plan, focus, None) {
                Ok(evaluation) => {
                    let counted = Score { expected: 0, expected_squares: 0, ..evaluation.score };
                    prop_assert_eq!(counted, direct(&graph, &images, &plan));
                }
                Err(SearchError::Lower(_)) => tensor.set(&mut plan, Some(old)),
                Err(error) => return Err(TestCaseError::fail(error.to_string())),
            }
            prop_assert!(cached.cached_bytes() <= cache_bytes);
        }
    }
}

#[test]
fn plans_that_share_operations_are_lowered_as_alone() {
    let graph = network();
    let (images, statistics) = (images(&graph, 20), statistics(&graph));
    let tensors = tensors(&graph, Semantics::Integer);
    let plan = plan(&graph, &statistics, Semantics::Integer, 6);
    let steps = StepCache::new(&graph, None, Kernels::best());
    let mut evaluator = evaluator(&graph, &images, 1 << 20);
    // Here and there, and back again; integers of the plan's own last.
    let mut plans = vec![plan.clone()];
    for tensor in &tensors {
        let mut changed = plan.clone();
        let format = tensor.of(&plan).unwrap();
        tensor.set(&mut changed, Some(Format { bits: format.bits - 1, ..format }));
        plans.extend([changed, plan.clone()]);
    }
    let mut own = plan.clone();
    let weights = vec![3; graph.nodes[graph.find("left").unwrap()].op.weights().unwrap().len()];
    let (scales, bias) = (vec![1.0; 4], vec![0.0; 4]);
    let rounded = Rounded { weights, scales, bias, coarser: vec![] };
    own.rounded.insert("left".to_owned(), Arc::new(rounded.clone()));
    let mut other = own.clone();
    other.rounded.insert("left".to_owned(), Arc::new(Rounded { bias: vec![9.0; 4], ..rounded }));
    plans.extend([own.clone(), other, own]);
    for policy in [AccumulatorPolicy::Widen, AccumulatorPolicy::Prove32] {
        for plan in &plans {
            let (fixed, _) = steps.program(plan, policy).unwrap();
            assert_eq!(fixed, lower(&graph, plan, policy).unwrap());
            let got = Score {
                expected: 0,
                expected_squares: 0,
                ..evaluator.evaluate(plan, None, None).unwrap().score
            };
            assert_eq!(got, direct(&graph, &images, plan));
        }
    }
}

/// Labels belong to the first output; without one all outputs decide, and of values the worst.
#[test]
fn no_output_is_worse_than_the_score() {
    let mut graph = network();
    let [right, dense] = ["right", "dense"].map(|name| graph.find(name).unwrap());
    graph.set_outputs(&[dense, right]);
    let (images, statistics) = (images(&graph, 70), statistics(&graph));
    let plan = plan(&graph, &statistics, Semantics::Integer, 3);
    let mut found = evaluator(&graph, &images, 1 << 20);
    let score = found.evaluate(&plan, Some(dense), None).unwrap().score;
    let said = [found.predictions().outputs(), found.outputs(&plan).unwrap()];
    let class = |who: usize, output: usize, idx: usize| {
        let classes = graph.nodes[graph.output_nodes()[output]].shape.len();
        let row = &said[who][output][idx * classes..][..classes];
        (0..classes).rev().max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap()
    };
    let agrees = |output: usize, idx: usize| class(0, output, idx) == class(1, output, idx);
    let is_right = |idx: usize| match images.label(idx) {
        Some(label) => class(1, 0, idx) == label,
        None => agrees(0, idx) && agrees(1, idx),
    };
    assert_eq!(score.correct, (0..70).filter(|&idx| is_right(idx)).count());
    let run = found.images_evaluated();
    let details = found.details(&plan).unwrap();
    assert_eq!(found.images_evaluated(), run, "what the score was measured on is not run again");
    let labelled = (0..70).filter_map(|idx| Some((idx, images.label(idx)?)));
    for label in 0..4 {
        let own: Vec<usize> = labelled.clone().filter(|l| l.1 == label).map(|l| l.0).collect();
        let right =
            [0, 1].map(|who| own.iter().filter(|&&idx| class(who, 0, idx) == label).count());
        let found = details.classes[&label];
        // Among four classes all are among the first five.
        assert_eq!((found.n, found.right, found.top5), (own.len(), right, [own.len(); 2]));
        let is_lost = |idx: &&usize| class(0, 0, **idx) == label && class(1, 0, **idx) != label;
        assert_eq!(found.lost, own.iter().filter(is_lost).count());
    }
    let scores = details.outputs;
    assert_eq!(scores[1].correct, (0..70).filter(|&idx| agrees(1, idx)).count());
    assert!(scores[1].correct < 70 && scores[1].float_correct == 70, "{scores:?}");
    assert_eq!(scores[0].correct, direct(&graph, &images, &plan).correct);
    // As values, an image is as far off as its worst output.
    let options = EvaluatorOptions::default();
    let predictions = found.predictions().clone().of_values();
    let mut values = Evaluator::new(&graph, &images, predictions, Kernels::best(), &GO, options);
    let of_values = values.evaluate(&plan, None, None).unwrap().score;
    let worst = scores.iter().map(Score::mean_distortion).fold(0.0, f64::max);
    let sum: f64 = scores.iter().map(Score::mean_distortion).sum();
    assert!((worst..=sum).contains(&of_values.mean_distortion()), "{of_values:?} {scores:?}");
    // A change of one head alone is another plan.
    let mut other = plan.clone();
    other.layer_mut("right").unwrap().weights.as_mut().unwrap().bits = 2;
    assert!(found.known(&other).is_none());
    assert_ne!(Digest::of_plan(&graph, &plan), Digest::of_plan(&graph, &other));
}

/// Of two classes the second where the logit is above zero; a sigmoid at the end is left out of integers.
#[test]
fn one_logit_tells_two_classes() {
    struct Two(Pixels);
    impl Images for Two {
        fn len(&self) -> usize {
            self.0.len()
        }
        fn image(&self, idx: usize, out: &mut [f32]) {
            self.0.image(idx, out);
        }
        fn label(&self, idx: usize) -> Option<usize> {
            Some(idx % 3 / 2)
        }
    }
    let mut build = Build::new(Shape::new(4, 4, 2), 9);
    let x = build.conv("conv", 0, 3, &Window { kernel: [2; 2], ..Window::pixel() }, 1);
    let x = build.push("pooled", GlobalMaxPool { minimum: vec![] }, vec![x]);
    let logit = build.gemm("logit", x, 1);
    build.push("probability", Sigmoid, vec![logit]);
    let float = build.finish();
    let graph = passes::prepare(&float, Semantics::Integer).unwrap();
    assert_eq!(graph.output(), graph.find("logit").unwrap());
    let images = Two(images(&graph, 60));
    let statistics = calibrate(&graph, &images, Kernels::best(), &GO, &|_| ()).unwrap();
    let plan = plan(&graph, &statistics, Semantics::Integer, 4);
    let kernels = Kernels::best();
    let predictions = Predictions::new(&float, &images, kernels, &GO).unwrap();
    let options = EvaluatorOptions::default();
    let mut found = Evaluator::new(&graph, &images, predictions, kernels, &GO, options);
    let score = found.evaluate(&plan, None, None).unwrap().score;
    // Both as probabilities.
    let said = [found.predictions().outputs(), found.outputs(&plan).unwrap()];
    let [of_float, of_plan] = said.map(|outputs| outputs.concat());
    assert!(of_float.iter().chain(&of_plan).all(|p| (0.0..=1.0).contains(p)), "{of_plan:?}");
    let right = |said: &[f32]| {
        let is_right = |&idx: &usize| images.label(idx) == Some(usize::from(said[idx] > 0.5));
        (0..60).filter(is_right).count()
    };
    assert_eq!((score.float_correct, score.correct), (right(&of_float), right(&of_plan)));
    assert_eq!((found.predictions().classes(), found.predictions().named().len()), (2, 2));
    let named: Vec<usize> = found.predictions().named();
    assert_eq!(named[1], of_float.iter().filter(|&&p| p > 0.5).count());
    assert!(found.divergence(&plan, None).unwrap() > 0.0);
}

#[test]
fn what_comes_before_the_focus_runs_once() {
    let graph = network();
    let (images, statistics) = (images(&graph, 70), statistics(&graph));
    let dense = graph.find("dense").unwrap();
    let mut plan = plan(&graph, &statistics, Semantics::Integer, 8);
    let mut evaluator = evaluator(&graph, &images, 1 << 20);
    evaluator.evaluate(&plan, Some(dense), None).unwrap();
    let before = evaluator.macs();
    assert_eq!(before, 70 * graph.macs(), "the dense layer runs after its input is cached");
    for bits in [7, 6, 5] {
        plan.layer_mut("dense").unwrap().weights.as_mut().unwrap().bits = bits;
        evaluator.evaluate(&plan, Some(dense), None).unwrap();
    }
    assert_eq!(evaluator.macs() - before, 3 * 70 * graph.node_macs(dense));
    assert_eq!((evaluator.evaluations(), evaluator.images_evaluated()), (4, 4 * 70));
    // The same plan once more is known.
    let again = evaluator.evaluate(&plan, Some(dense), None).unwrap();
    assert!(!again.is_new && again.journal_entry().is_none());
    assert_eq!(evaluator.evaluations(), 4);
}

#[test]
fn a_plan_is_given_up_when_it_cannot_win_any_more() {
    let graph = network();
    let (images, statistics) = (images(&graph, 600), statistics(&graph));
    let bad = plan(&graph, &statistics, Semantics::Integer, 1);
    let whole = evaluator(&graph, &images, 1 << 20).evaluate(&bad, None, None).unwrap();
    let mut evaluator = evaluator(&graph, &images, 1 << 20);
    let (n, float_correct) = evaluator.float_score();
    assert_eq!(n, 600);
    let early = evaluator.evaluate(&bad, None, Some(float_correct)).unwrap();
    assert!(!early.is_complete && early.score.n < 600, "{:?}", early.score);
    assert!(early.score.correct + (600 - early.score.n) < float_correct);
    assert!(early.relative_loss().is_infinite());
    // Asked for more it is known, asked for less it is run to the end.
    assert!(!evaluator.evaluate(&bad, None, Some(float_correct + 1)).unwrap().is_new);
    let late = evaluator.evaluate(&bad, None, Some(0)).unwrap();
    assert!(late.is_complete && late.is_new);
    assert_eq!(late.score, whole.score);
}

#[test]
fn a_journal_spares_the_evaluations() {
    let graph = network();
    let (images, statistics) = (images(&graph, 50), statistics(&graph));
    let plan = plan(&graph, &statistics, Semantics::Integer, 4);
    let entry =
        evaluator(&graph, &images, 0).evaluate(&plan, None, None).unwrap().journal_entry().unwrap();
    let line = serde_json::to_string(&entry).unwrap();
    let mut resumed = evaluator(&graph, &images, 0);
    resumed.preload([serde_json::from_str(&line).unwrap()]);
    let known = resumed.evaluate(&plan, None, None).unwrap();
    assert!(!known.is_new);
    assert_eq!(known.score, entry.score);
    assert_eq!(resumed.evaluations(), 0);
}

/// Images of which every fifth has one of twelve labels.
struct Twelve(Pixels);

impl Images for Twelve {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn image(&self, idx: usize, out: &mut [f32]) {
        self.0.image(idx, out);
    }

    fn label(&self, idx: usize) -> Option<usize> {
        Some(idx % 12)
    }
}

#[test]
fn the_first_five_classes_count_where_that_is_asked() {
    let mut build = Build::new(Shape::new(4, 4, 1), 9);
    let window = Window { kernel: [4; 2], ..Window::pixel() };
    let x = build.conv("conv", 0, 6, &window, 1);
    let x = build.push("relu", Relu, vec![x]);
    build.gemm("dense", x, 12);
    let graph = passes::prepare(&build.finish(), Semantics::Integer).unwrap();
    let images = Twelve(images(&graph, 240));
    let statistics = calibrate(&graph, &images, Kernels::best(), &GO, &|_| ()).unwrap();
    let plan = plan(&graph, &statistics, Semantics::Integer, 3);
    let predictions = Predictions::new(&graph, &images, Kernels::best(), &GO).unwrap().of_top5();
    let options = EvaluatorOptions::default();
    let mut top5 = Evaluator::new(&graph, &images, predictions, Kernels::best(), &GO, options);
    let said = [top5.predictions().outputs(), top5.outputs(&plan).unwrap()];
    let is_right = |who: usize, idx: usize| {
        let row = &said[who][0][idx * 12..][..12];
        let before = |&i: &usize| match row[i].total_cmp(&row[idx % 12]) {
            Ordering::Equal => i < idx % 12,
            order => order.is_gt(),
        };
        (0..12).filter(before).count() < 5
    };
    let count = |who: usize| (0..240).filter(|&idx| is_right(who, idx)).count();
    let score = top5.evaluate(&plan, None, None).unwrap().score;
    assert_eq!([score.float_correct, score.correct], [count(0), count(1)]);
    assert!(score.lost > 0 && score.float_correct > 60, "{score:?}");
    let lost = (0..240).filter(|&idx| is_right(0, idx) && !is_right(1, idx)).count();
    assert_eq!(score.lost, lost);
    // What the float network holds likely of its own five classes is most.
    assert!(score.expected > 0, "{score:?}");
    // In stages: first the images that the float network gets wrong.
    let stage = 240 - score.float_correct;
    let first = top5.evaluate_first(&plan, stage).unwrap();
    assert!(first.score.n >= stage || !first.is_new);
    let classes = top5.details(&plan).unwrap().classes;
    assert_eq!(classes.values().map(|class| class.right[1]).sum::<usize>(), score.correct);
}

#[test]
fn a_journal_has_the_classes_where_these_are_bounded() {
    let graph = network();
    let (images, statistics) = (images(&graph, 480), statistics(&graph));
    let plan = plan(&graph, &statistics, Semantics::Integer, 2);
    let bound = ClassBound { limit: 0.1, unit: Unit::Points };
    let mut first = evaluator(&graph, &images, 0);
    first.bound_classes(bound).unwrap();
    let part = first.evaluate_first(&plan, 100).unwrap();
    let least = first.class_part(&part, 0.0).unwrap();
    let whole = first.evaluate(&plan, None, None).unwrap();
    let taken = first.class_part(&whole, 0.0).unwrap();
    assert!(taken >= least && taken > 0.0, "{least} {taken}");
    assert!(first.class_part(&whole, 2.0).unwrap() >= taken);
    // Eight of a hundred are lost and four gained: 4 points, and a standard error of sqrt(12 - 0.16) of them.
    let score = ClassScore { n: 100, right: [80, 76], lost: 8, top5: [0, 0] };
    let held = bound.part(&[(1, score)].into(), 2.0);
    assert!((held - (0.04 + 0.02 * 11.84_f64.sqrt()) / 0.1).abs() < 1e-12, "{held}");
    let details = first.details(&plan).unwrap();
    assert!((bound.part(&details.classes, 0.0) - taken).abs() < 1e-12);
    let lost = first.lost(&plan).unwrap();
    for (&label, score) in &details.classes {
        let of_label = lost.values().filter(|of| of[0] == label && of[1] != label).count();
        assert_eq!(of_label, score.lost, "{label}");
    }
    let line = serde_json::to_string(&first.journal_entry(&whole)).unwrap();
    let mut resumed = evaluator(&graph, &images, 0);
    resumed.bound_classes(bound).unwrap();
    resumed.preload(serde_json::from_str::<Option<JournalEntry>>(&line).unwrap());
    let known = resumed.evaluate(&plan, None, None).unwrap();
    assert!((resumed.class_part(&known, 0.0).unwrap() - taken).abs() < 1e-12);
    assert_eq!(resumed.details(&plan).unwrap(), details);
    assert_eq!(resumed.images_evaluated(), 0);
    // A journal does not say which images were lost.
    assert_eq!(resumed.lost(&plan).unwrap(), lost);
}

#[test]
fn digests_differ_where_values_may() {
    let graph = network();
    let statistics = statistics(&graph);
    let plan = plan(&graph, &statistics, Semantics::Integer, 8);
    let digests = Digest::of_nodes(&graph, &plan);
    for tensor in tensors(&graph, Semantics::Integer) {
        let mut changed = plan.clone();
        let format = tensor.of(&plan).unwrap();
        tensor.set(&mut changed, Some(Format { bits: format.bits - 1, ..format }));
        let reached = graph.descendants(tensor.node);
        let after = Digest::of_nodes(&graph, &changed);
        for id in 0..graph.nodes.len() {
            assert_eq!(after[id] != digests[id], reached[id], "{} at {id}", tensor.name);
        }
    }
}

#[test]
fn statistics_are_those_of_the_values() {
    let graph = network();
    let images = images(&graph, 40);
    let statistics = calibrate(&graph, &images, Kernels::best(), &GO, &|_| ()).unwrap();
    let program = Program::float(&graph, Kernels::best());
    let schedule = program.schedule(&[], &[graph.output()]);
    let mut image = vec![0.0; graph.input_shape().len()];
    let mut extremes = vec![(f32::INFINITY, f32::NEG_INFINITY); graph.nodes.len()];
    let mut workspace = Workspace::new();
    for idx in 0..40 {
        images.image(idx, &mut image);
        program.run_observed(&schedule, &mut workspace, &image, &[], |id, value| {
            let fixedwise_graph::run::ValueRef::F32(values) = value else { return };
            for &x in values {
                extremes[id] = (extremes[id].0.min(x), extremes[id].1.max(x));
            }
        });
    }
    let mut counted = 0;
    for id in 0..graph.nodes.len() {
        let histogram = statistics.of(id);
        if histogram.count() > 0 {
            counted += 1;
            assert_eq!((histogram.min(), histogram.max()), extremes[id]);
            let values = 40 * u64::try_from(graph.nodes[id].shape.len()).unwrap();
            assert_eq!(histogram.count(), values);
        }
    }
    assert!(counted >= 7, "layers, add, concat and input");
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let graph = network();
    let images = images(&graph, 300);
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let statistics = calibrate(&graph, &images, Kernels::best(), &GO, &|_| ()).unwrap();
            let mut evaluator = evaluator(&graph, &images, 30_000);
            let evaluations: Vec<_> = (1..6)
                .map(|bits| {
                    let plan = plan(&graph, &statistics, Semantics::Integer, bits);
                    evaluator.evaluate(&plan, Some(bits.into()), Some(260)).unwrap()
                })
                .collect();
            (statistics, evaluations, evaluator.macs(), evaluator.images_evaluated())
        })
    };
    let one = on(1);
    assert_eq!(one, on(2));
    assert_eq!(one, on(5));
}

#[test]
fn a_raised_flag_stops_and_no_image_is_refused() {
    let graph = network();
    let (some, none) = (images(&graph, 20), images(&graph, 0));
    let kernels = Kernels::best();
    assert_eq!(Predictions::new(&graph, &some, kernels, &STOP).unwrap_err(), SearchError::Stopped);
    assert_eq!(
        calibrate(&graph, &some, kernels, &STOP, &|_| ()).unwrap_err(),
        SearchError::Stopped
    );
    let error = calibrate(&graph, &none, kernels, &GO, &|_| ()).unwrap_err();
    assert_eq!(error.to_string(), "there is no image to calibrate on");
    assert!(Predictions::new(&graph, &none, kernels, &GO).is_err());
}

#[test]
fn a_value_that_is_not_finite_is_refused_with_its_node() {
    let mut build = Build::new(Shape::vector(2), 1);
    build.push(
        "huge",
        fixedwise_graph::ops::Gemm { weights: vec![f32::MAX; 2], bias: vec![f32::MAX] },
        vec![0],
    );
    let graph = build.finish();
    let images = images(&graph, 3);
    let error = calibrate(&graph, &images, Kernels::best(), &GO, &|_| ()).unwrap_err();
    assert!(error.to_string().contains("`huge`"), "{error}");
}

#[test]
fn unsigned_activations_are_where_nothing_is_negative() {
    let graph = network();
    let range = |name: &str| {
        let id: NodeId = graph.find(name).unwrap();
        Tensor::all(&graph, &PlanHead::INTEGER, Kind::Activations, &[id])[0].range
    };
    assert_eq!(range("stem"), Range::Unsigned);
    assert_eq!(range("right"), Range::Narrow);
    // The sum is computed inside.
    assert!(graph.nodes[graph.find("right").unwrap()].has_residual());
    assert_eq!(range("dense"), Range::Narrow);
    let half = f64_to_f32(0.5);
    assert_eq!(fixedwise_search::format_no_clip(half, 8, Range::Narrow).frac, 8);

    // What is made of the image alone has a sign where the image has one.
    let mut build = Build::new(Shape::new(2, 2, 3), 1);
    let mean = build.push("mean", GlobalAveragePool, vec![0]);
    build.push("twice", Add, vec![mean, mean]);
    let graph = build.finish();
    let range = |input: Format| {
        let head = PlanHead { input, ..PlanHead::INTEGER };
        let tensors = Tensor::all(&graph, &head, Kind::Activations, &[1, 2]);
        tensors.iter().map(|tensor| tensor.range).collect::<Vec<_>>()
    };
    assert_eq!(range(Format::unsigned(8, 0)), [Range::Unsigned; 2]);
    assert_eq!(range(Format::signed(8, 4)), [Range::Narrow; 2]);
}
