//! Rounding with error feedback, and the search of all tensors at once.

use crate::squares::draw_square;
use fixedwise_fixed::Format;
use fixedwise_graph::{
    AccumulatorPolicy, Graph, Plan, Semantics, Shape, Target, cost,
    footprint::Footprint,
    lower, lower_for,
    ops::{Add, Concat, GlobalMaxPool, Relu, Window},
    passes,
};
use fixedwise_kernels::Kernels;
use fixedwise_search::{
    Evaluator, EvaluatorOptions, Images, MaxLoss, Offset, Oracle, Predictions, Scale, SearchError,
    Tuning, calibrate,
    reconstruct::{Calibration, CalibrationOptions, Layer, Method, RoundingOptions},
    strategies::{
        Event, FixedOptions, Ignore, Kind, Outcome, PlanHead, Tensor, fixed,
        pareto::{
            CostWeights, FrontPlan, Keep, Known, Limits, ParetoOptions, Prepared, Tools, pareto,
            prepare, refit, trial,
        },
    },
};
use fixedwise_testing::{Build, Mean};
use std::{ops::ControlFlow, sync::atomic::AtomicBool};

static GO: AtomicBool = AtomicBool::new(false);

/// Blobs of gray on black; without labels, so that agreement with the float network counts.
struct Blobs(usize);

impl Images for Blobs {
    fn len(&self) -> usize {
        self.0
    }

    fn image(&self, idx: usize, out: &mut [f32]) {
        draw_square(idx, out);
    }

    fn label(&self, _: usize) -> Option<usize> {
        None
    }
}

fn network() -> Graph {
    let mut b = Build::new(Shape::new(8, 8, 1), 5);
    let window = Window { kernel: [3; 2], pad_begin: [1; 2], pad_end: [1; 2], ..Window::pixel() };
    let x = b.conv("stem", 0, 8, &window, 1);
    let x = b.push("stem_relu", Relu, vec![x]);
    let left = b.conv("left", x, 8, &window, 1);
    let left = b.push("left_relu", Relu, vec![left]);
    let right = b.conv("right", x, 8, &window, 8);
    let right = b.push("right_relu", Relu, vec![right]);
    let x = b.push("join", Concat { axis: 2 }, vec![left, right]);
    let x = b.push("max", GlobalMaxPool { minimum: vec![] }, vec![x]);
    b.gemm("dense", x, 4);
    passes::prepare(&b.finish(), Semantics::Integer).unwrap()
}

fn evaluator<'a>(graph: &'a Graph, images: &'a dyn Images) -> Evaluator<'a> {
    evaluator_for(graph, images, None)
}

fn evaluator_for<'a>(
    graph: &'a Graph,
    images: &'a dyn Images,
    target: Option<Target>,
) -> Evaluator<'a> {
    let kernels = Kernels::best();
    let predictions = Predictions::new(graph, images, kernels, &GO).unwrap();
    let options = EvaluatorOptions { target, ..EvaluatorOptions::default() };
    Evaluator::new(graph, images, predictions, kernels, &GO, options)
}

/// A little of everything.
fn tuning() -> Tuning {
    Tuning { calibration_positions: 2048, exchanges: 6, ..Tuning::default() }
}

/// Of outputs that count as values.
fn evaluator_of_values<'a>(graph: &'a Graph, images: &'a dyn Images) -> Evaluator<'a> {
    let kernels = Kernels::best();
    let predictions = Predictions::new(graph, images, kernels, &GO).unwrap().of_values();
    Evaluator::new(graph, images, predictions, kernels, &GO, EvaluatorOptions::default())
}

fn options(max_loss: f64) -> ParetoOptions {
    let cost = CostWeights { memory: 1.0, multiplications: 1.0, ..CostWeights::default() };
    let max_loss = MaxLoss::Relative(max_loss);
    ParetoOptions { max_loss, tuning: tuning(), ..ParetoOptions::new(PlanHead::INTEGER, cost) }
}

fn search(
    prepared: &Prepared,
    observer: &mut dyn fixedwise_search::strategies::Observer,
    options: &ParetoOptions,
) -> Result<Outcome, SearchError> {
    search_of(&network(), prepared, observer, options)
}

/// `graph` is what was prepared.
fn search_of(
    graph: &Graph,
    prepared: &Prepared,
    observer: &mut dyn fixedwise_search::strategies::Observer,
    options: &ParetoOptions,
) -> Result<Outcome, SearchError> {
    search_rounded_for(&Blobs(100), graph, prepared, observer, options)
}

/// Layers are rounded for those calibration images.
fn search_rounded_for(
    calibration: &dyn Images,
    graph: &Graph,
    prepared: &Prepared,
    observer: &mut dyn fixedwise_search::strategies::Observer,
    options: &ParetoOptions,
) -> Result<Outcome, SearchError> {
    let kernels = Kernels::best();
    let (probe, all) = (Blobs(64), Blobs(300));
    let looks = CalibrationOptions { tuning: tuning(), ..CalibrationOptions::default() };
    let calibration = Calibration::new(&prepared.graph, calibration, kernels, &GO, looks).unwrap();
    let mut oracle = evaluator_for(graph, &all, options.target.clone());
    let mut glance = evaluator(&prepared.graph, &probe);
    let mut probe = evaluator(&prepared.graph, &probe);
    let tools = Tools {
        prepared,
        unlabeled: None,
        calibration: &calibration,
        probe: &mut probe,
        glance: &mut glance,
        oracle: &mut oracle,
    };
    pareto(tools, observer, options)
}

/// The plan with other formats of some tensors, all of it rounded anew.
fn refitted(prepared: &Prepared, outcome: &Outcome, changed: &[(&str, Kind, Keep)]) -> Plan {
    let mut options = options(0.1);
    let known = Known { sensitivity: outcome.sensitivity.clone(), ..Known::default() };
    options.known = Some(known);
    for layer in &outcome.plan.layers {
        let bits = |format: Option<Format>| Keep::Bits(format.unwrap().bits);
        options.keep(&layer.name, Kind::Weights, bits(layer.weights));
        options.keep(&layer.name, Kind::Biases, bits(layer.bias));
        let format = Keep::Format(layer.activation.unwrap());
        options.keep(&layer.name, Kind::Activations, format);
    }
    for &(name, kind, keep) in changed {
        options.keep(name, kind, keep);
    }
    let images = Blobs(100);
    let looks = CalibrationOptions { tuning: tuning(), ..CalibrationOptions::default() };
    let kernels = Kernels::best();
    let calibration = Calibration::new(&prepared.graph, &images, kernels, &GO, looks).unwrap();
    refit(prepared, &calibration, &options, &|| ()).unwrap()
}

/// The same of outputs that count as values.
fn search_values(prepared: &Prepared, options: &ParetoOptions) -> Outcome {
    let (kernels, graph) = (Kernels::best(), &prepared.graph);
    let [calibration, probe, all] = [Blobs(100), Blobs(64), Blobs(200)];
    let looks = CalibrationOptions { tuning: tuning(), ..CalibrationOptions::default() };
    let calibration = Calibration::new(graph, &calibration, kernels, &GO, looks).unwrap();
    let evaluator = |images| evaluator_of_values(graph, images);
    let tools = Tools {
        prepared,
        unlabeled: None,
        calibration: &calibration,
        probe: &mut evaluator(&probe),
        glance: &mut evaluator(&probe),
        oracle: &mut evaluator(&all),
    };
    pareto(tools, &mut Ignore, options).unwrap()
}

#[test]
fn widths_of_values_are_told_apart_where_the_bound_lies() {
    let prepared = prepared();
    // Trades make up for much of what is not known before.
    let usual = Tuning { trades: 0, ..tuning() };
    for db in [50.0, 60.0] {
        let bound = 10.0_f64.powf(-db / 10.0);
        let of = |tuning| {
            let max_loss = MaxLoss::Sqnr(db);
            search_values(&prepared, &ParetoOptions { max_loss, tuning, ..options(0.01) })
        };
        let outcome = of(usual.clone());
        assert!(outcome.bound_met, "{db}");
        // The width that was chosen is one of which the effect is known; the widest has none.
        for tensor in &outcome.sensitivity {
            let known = tensor.widths.iter().filter(|width| width.divergence > 0.0);
            let widest = known.map(|width| width.bits).max().unwrap();
            let most = tensor.widths.last().unwrap().bits;
            assert!(widest >= tensor.bits.min(most - 1), "{db}: {tensor:?}");
        }
        // With thresholds that are the same at every bound, as classes have them, it takes more.
        let Scale { nothing, much, too_much, least } = usual.class_scale;
        let [nothing, much, too_much, least] =
            [nothing, much, too_much, least].map(|nats| nats / bound);
        let value_scale = Scale { nothing, much, too_much, least };
        let blind = of(Tuning { value_scale, ..usual.clone() });
        let [fine, coarse] = [&outcome, &blind]
            .map(|outcome| cost::memory(&prepared.graph, &outcome.plan).unwrap().total());
        assert!(fine < coarse, "{db} dB: {fine} bits of memory, {coarse} without");
    }
}

fn prepared() -> Prepared {
    let graph = network();
    let statistics = calibrate(&graph, &Blobs(100), Kernels::best(), &GO, &|_| ()).unwrap();
    Prepared::new(&graph, &statistics)
}

#[test]
fn an_operator_that_no_file_knows_gets_a_width_of_its_own() {
    let mut b = Build::new(Shape::new(8, 8, 1), 5);
    let left = b.conv("left", 0, 4, &Window::pixel(), 1);
    let left = b.push("left_relu", Relu, vec![left]);
    let right = b.conv("right", 0, 4, &Window::pixel(), 1);
    let mean = b.push("mean", Mean, vec![left, right]);
    let x = b.push("max", GlobalMaxPool { minimum: vec![] }, vec![mean]);
    b.gemm("dense", x, 4);
    let graph = passes::prepare(&b.finish(), Semantics::Integer).unwrap();
    let statistics = calibrate(&graph, &Blobs(100), Kernels::best(), &GO, &|_| ()).unwrap();
    let prepared = Prepared::new(&graph, &statistics);
    let outcome = search_of(&graph, &prepared, &mut Ignore, &options(0.02)).unwrap();
    assert!(outcome.bound_met);
    let plan = &outcome.plan;
    assert_eq!(plan.others.keys().collect::<Vec<_>>(), ["mean"]);
    let fixed = lower(&graph, plan, AccumulatorPolicy::Prove32).unwrap();
    assert_eq!(fixed.nodes[graph.find("mean").unwrap()].format, plan.others["mean"]);
    // Its width costs, so the widest is not what the search takes.
    assert!(plan.others["mean"].bits < 12, "{:?}", plan.others["mean"]);
}

#[test]
fn weights_that_make_up_for_each_other_beat_the_nearest() {
    let prepared = prepared();
    let graph = &prepared.graph;
    let images = Blobs(200);
    let mut evaluator = evaluator_of_values(graph, &images);
    let head = PlanHead::INTEGER;
    let eight = FixedOptions { head, bits: 8, offset: Offset::LeastError };
    let mut nearest = fixed::plan(graph, &prepared.statistics, &eight).unwrap();
    let ids: Vec<usize> = graph.layers().map(|(id, _)| id).collect();
    for tensor in Tensor::all(graph, &PlanHead::INTEGER, Kind::Weights, &ids) {
        let quantizer = fixedwise_graph::Quantizer::Uniform;
        let format = tensor.format(graph, &prepared.statistics, 3, Offset::LeastError, quantizer);
        tensor.set(&mut nearest, Some(format));
    }
    let options = CalibrationOptions { tuning: tuning(), ..CalibrationOptions::default() };
    let looks = Blobs(100);
    let calibration = Calibration::new(graph, &looks, Kernels::best(), &GO, options).unwrap();
    let mut divergences = Vec::new();
    for compensate in [false, true] {
        let rounding = RoundingOptions { compensate, ..RoundingOptions::default() };
        let mut plan = nearest.clone();
        for &id in &ids {
            Layer::new(&calibration, &plan, id, &rounding)
                .unwrap()
                .round(&mut plan, 3, &rounding)
                .unwrap();
        }
        lower(graph, &plan, AccumulatorPolicy::Prove32).unwrap();
        divergences.push(evaluator.divergence(&plan, None).unwrap());
    }
    let plain = evaluator.divergence(&nearest, None).unwrap();
    // Error feedback leaves less than a third of the noise, compensation a part of that.
    let &[alone, compensated] = &divergences[..] else { panic!("{divergences:?}") };
    assert!(alone < plain / 3.0, "{alone} against {plain}");
    assert!(compensated < 0.8 * alone, "{compensated} against {alone}");
}

/// A value that is added to a layer's sums clips: the layer's bias makes up for what is missing on the average, and its
/// weights for what goes with their input.
#[test]
fn a_layer_makes_up_for_the_error_of_what_is_added_to_its_sums() {
    let mut b = Build::new(Shape::new(8, 8, 1), 5);
    let window = Window { kernel: [3; 2], pad_begin: [1; 2], pad_end: [1; 2], ..Window::pixel() };
    let x = b.conv("stem", 0, 6, &window, 1);
    let x = b.push("stem_relu", Relu, vec![x]);
    let y = b.conv("body", x, 6, &window, 1);
    let y = b.push("sum", Add, vec![x, y]);
    b.push("sum_relu", Relu, vec![y]);
    let graph = passes::prepare(&b.finish(), Semantics::Integer).unwrap();
    let body = graph.find("body").unwrap();
    assert!(graph.nodes[body].has_residual());
    let looks = Blobs(100);
    let statistics = calibrate(&graph, &looks, Kernels::best(), &GO, &|_| ()).unwrap();
    let eight = FixedOptions { head: PlanHead::INTEGER, bits: 8, offset: Offset::LeastError };
    let mut plan = fixed::plan(&graph, &statistics, &eight).unwrap();
    let stem = plan.layer_mut("stem").and_then(|layer| layer.activation.as_mut()).unwrap();
    *stem = Format { bits: 4, frac: stem.frac - 2, ..*stem };
    let images = Blobs(200);
    let mut evaluator = evaluator_of_values(&graph, &images);
    let nearest = evaluator.divergence(&plan, None).unwrap();
    let options = CalibrationOptions { tuning: tuning(), ..CalibrationOptions::default() };
    let calibration = Calibration::new(&graph, &looks, Kernels::best(), &GO, options).unwrap();
    let rounding = RoundingOptions::default();
    let layer = Layer::new(&calibration, &plan, body, &rounding).unwrap();
    layer.round(&mut plan, 8, &rounding).unwrap();
    lower(&graph, &plan, AccumulatorPolicy::Prove32).unwrap();
    let made_up = evaluator.divergence(&plan, None).unwrap();
    assert!(made_up < 0.5 * nearest, "{made_up} against {nearest}");
}

#[test]
fn a_looser_bound_costs_less_and_the_plan_is_the_same_on_any_number_of_threads() {
    let prepared = prepared();
    let graph = &prepared.graph;
    let eight = FixedOptions { bits: 8, ..FixedOptions::default() };
    let eight = fixed::plan(graph, &prepared.statistics, &eight).unwrap();
    let ratio = |a: u64, b: u64| {
        f64::from(u32::try_from(a).unwrap()) / f64::from(u32::try_from(b).unwrap())
    };
    let memory = |plan: &Plan| {
        let memory = cost::memory(graph, plan).unwrap();
        ratio(memory.total(), memory.uniform8)
    };
    // What the search makes small.
    let total = |plan: &Plan| {
        let products = cost::multiplications(graph, plan).unwrap();
        memory(plan) + ratio(products.operand, products.uniform8)
    };
    let mut last = total(&eight);
    // With one bit everywhere it loses one image, 0.9 %.
    for (max_loss, most) in [(0.005, 0.95), (0.02, 0.15)] {
        let outcome = search(&prepared, &mut Ignore, &options(max_loss)).unwrap();
        assert!(outcome.bound_met && outcome.is_finished);
        assert!(outcome.evaluation.unwrap().relative_loss() <= max_loss);
        let now = total(&outcome.plan);
        assert!(now < last, "{max_loss}: {now} after {last}");
        last = now;
        let part = memory(&outcome.plan);
        assert!(part < most, "{max_loss}: {part} of the memory at 8 bits");
        lower(graph, &outcome.plan, AccumulatorPolicy::Prove32).unwrap();
        assert!(outcome.sensitivity.iter().all(|tensor| !tensor.widths.is_empty()));

        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        let again = pool.install(|| search(&prepared, &mut Ignore, &options(max_loss)).unwrap());
        assert_eq!(again.plan, outcome.plan);
    }
}

#[test]
fn tensors_trade_bits_around_the_best_plan() {
    let prepared = prepared();
    let memory = |trades, max_loss| {
        let mut options = options(max_loss);
        options.cost = CostWeights { memory: 1.0, ..CostWeights::default() };
        options.tuning = Tuning { trades, exchanges: 0, plans_beyond: 0, ..tuning() };
        let outcome = search(&prepared, &mut Ignore, &options).unwrap();
        assert!(outcome.bound_met && outcome.evaluation.unwrap().relative_loss() <= max_loss);
        cost::memory(&prepared.graph, &outcome.plan).unwrap().total()
    };
    let all: Vec<[u64; 2]> = [0.005, 0.01, 0.02, 0.05]
        .map(|max_loss| [0, 16].map(|trades| memory(trades, max_loss)))
        .to_vec();
    assert!(all.iter().all(|[without, with]| with <= without), "{all:?}");
    assert!(all.iter().any(|[without, with]| with < without), "{all:?}");
}

#[test]
fn it_ends_where_its_observer_wants_with_the_best_so_far() {
    let prepared = prepared();
    for steps in [0, 1, 2, 20, 40] {
        let mut left = steps;
        let mut watch = |_: &Event| {
            if left == 0 {
                return ControlFlow::Break(());
            }
            left -= 1;
            ControlFlow::Continue(())
        };
        let outcome = search(&prepared, &mut watch, &options(0.05));
        if steps == 0 {
            // It is told that the search begins, before there is an answer.
            assert!(matches!(outcome, Err(SearchError::Stopped)));
            continue;
        }
        let outcome = outcome.unwrap();
        assert!(!outcome.is_finished && outcome.bound_met, "{steps}");
    }
}

/// The network with channels of very different size in between.
fn unlike() -> Graph {
    let graph = network();
    let scales: Vec<Vec<f32>> = (0..graph.nodes.len())
        .map(|id| {
            let node = &graph.nodes[id];
            let channels =
                if ["stem", "left"].contains(&node.name.as_str()) { node.shape.c } else { 0 };
            (0..channels).map(|c| [0.0625, 0.3, 1.0, 2.5, 16.0][c % 5]).collect()
        })
        .collect();
    passes::equalize(&graph, &scales)
}

#[test]
fn a_binary_point_for_each_channel_holds_channels_of_unlike_size() {
    let graph = unlike();
    let looks = Blobs(100);
    let statistics = calibrate(&graph, &looks, Kernels::best(), &GO, &|_| ()).unwrap();
    let eight = FixedOptions { head: PlanHead::INTEGER, bits: 8, offset: Offset::LeastError };
    let mut wide = fixed::plan(&graph, &statistics, &eight).unwrap();
    // Results of channels as unlike as these need more bits than weights do.
    for format in wide.layers.iter_mut().filter_map(|layer| layer.activation.as_mut()) {
        *format = Format { bits: 14, frac: format.frac + 6, ..*format };
    }
    let options = CalibrationOptions { tuning: tuning(), ..CalibrationOptions::default() };
    let calibration = Calibration::new(&graph, &looks, Kernels::best(), &GO, options).unwrap();
    let images = Blobs(200);
    let mut evaluator = evaluator_of_values(&graph, &images);
    // The last of these is depthwise.
    for name in ["stem", "left", "right"] {
        let id = graph.find(name).unwrap();
        let mut divergences = Vec::new();
        for by_channel in [false, true] {
            let rounding = RoundingOptions { by_channel, ..RoundingOptions::default() };
            let mut plan = wide.clone();
            let layer = Layer::new(&calibration, &plan, id, &rounding).unwrap();
            layer.round(&mut plan, 4, &rounding).unwrap();
            let rounded = &plan.rounded[name];
            assert_eq!(rounded.is_by_channel(), by_channel);
            // Each channel has the bits that all of them have, but those of dead inputs: zeros.
            let filters = rounded.weights.chunks(rounded.weights.len() / rounded.scales.len());
            let widest = filters.filter_map(|filter| filter.iter().map(|w| w.abs()).max());
            let have_bits = widest.filter(|&w| w > 0).all(|w| w >= 4);
            assert_eq!(have_bits, by_channel, "{name}");
            lower(&graph, &plan, AccumulatorPolicy::Prove32).unwrap();
            divergences.push(evaluator.divergence(&plan, None).unwrap());
        }
        // What the small channels of the depthwise layer add is little of all that comes out.
        let most = if name == "right" { 1.1 } else { 0.5 };
        assert!(divergences[1] < most * divergences[0], "{name}: {divergences:?}");
    }
}

#[test]
fn channels_of_unlike_size_are_balanced() {
    let unlike = unlike();
    let balanced = prepare(&unlike, &Blobs(50), Kernels::best(), &GO, 1.0, &tuning()).unwrap();
    let spread = |graph: &Graph| {
        let images = Blobs(50);
        let reach = fixedwise_search::reconstruct::channel_ranges(
            graph,
            &images,
            Kernels::best(),
            &GO,
            &tuning(),
        );
        let reach = reach.unwrap();
        let of = &reach[graph.find("stem").unwrap()];
        let live: Vec<f64> = of.iter().copied().filter(|&x| x > 0.0).collect();
        live.iter().fold(0.0_f64, |max, &x| max.max(x))
            / live.iter().fold(f64::MAX, |min, &x| min.min(x))
    };
    assert!(spread(&balanced.graph) < spread(&unlike) / 4.0);

    // The plan is one for the network before, and gives there what was measured.
    let outcome = search_of(&unlike, &balanced, &mut Ignore, &options(0.1)).unwrap();
    lower(&unlike, &outcome.plan, AccumulatorPolicy::Prove32).unwrap();
    let images = Blobs(300);
    let again = evaluator(&unlike, &images).evaluate(&outcome.plan, None, None).unwrap();
    assert_eq!(again.score, outcome.evaluation.unwrap().score);
    assert!(outcome.plan.rounded.values().any(|rounded| rounded.is_scaled()));
}

#[test]
fn what_was_measured_answers_other_questions() {
    let prepared = prepared();
    let first = search(&prepared, &mut Ignore, &options(0.1)).unwrap();
    assert!(first.front.iter().filter(|plan| plan.bound_met).count() > 1, "{:?}", first.front);
    let known = Known { sensitivity: first.sensitivity, method: first.method, front: first.front };
    let (mut steps, mut expected) = (0, None);
    let mut watch = |event: &Event| {
        match event {
            Event::Sensitivity { .. } => steps += 1,
            Event::Expected { memory, .. } => expected = Some(*memory),
            _ => {}
        }
        ControlFlow::Continue(())
    };
    let options = ParetoOptions { known: Some(known), ..options(0.03) };
    let second = search(&prepared, &mut watch, &options).unwrap();
    // No width is measured again, and the answer is about what was foreseen.
    assert_eq!(steps, 0);
    let memory = cost::memory(&prepared.graph, &second.plan).unwrap();
    let memory = f64::from(u32::try_from(memory.total()).unwrap())
        / f64::from(u32::try_from(memory.uniform8).unwrap());
    assert!((memory - expected.unwrap()).abs() < 0.15, "{memory} {expected:?}");
    assert!(second.bound_met && second.evaluation.unwrap().relative_loss() <= 0.03);
}

#[test]
fn budgets_come_first_and_the_nearest_answer_says_what_would_have_to_give() {
    let prepared = prepared();
    let search_below = |limit, max_loss| {
        let limits = Limits { flash_bytes: limit, ram_bytes: None };
        // What is made small asks nothing of the weights.
        let cost = CostWeights { ram: 1.0, ..CostWeights::default() };
        let options = ParetoOptions { cost, limits, ..options(max_loss) };
        let mut out_of_reach = Vec::new();
        let mut observer = |event: &Event| {
            if let &Event::OutOfReach { memory, limit_bytes, least_bytes } = event {
                out_of_reach.push((memory, limit_bytes, least_bytes));
            }
            ControlFlow::Continue(())
        };
        let outcome = search(&prepared, &mut observer, &options).unwrap();
        let target = Target::default();
        let policy = AccumulatorPolicy::Prove32;
        let fixed = lower_for(&prepared.graph, &outcome.plan, policy, &target).unwrap();
        (outcome, Footprint::new(&fixed, &target).flash_bytes, out_of_reach)
    };
    let (_, free, _) = search_below(None, 0.1);
    let limit = free * 4 / 5;
    let (outcome, tight, out_of_reach) = search_below(Some(limit), 0.1);
    assert!(outcome.bound_met && tight <= limit, "{tight} of {free}");
    assert!(out_of_reach.is_empty());

    // Less than the narrowest weights take: that is told, and what comes is as near as the bound lets it.
    let (outcome, nearest, out_of_reach) = search_below(Some(40), 0.1);
    assert!(outcome.bound_met && nearest <= tight, "{nearest} {tight}");
    let &[(memory, limit_bytes, least_bytes)] = &out_of_reach[..] else { panic!() };
    assert_eq!((memory, limit_bytes), ("flash", 40));
    assert!(40 < least_bytes && least_bytes <= nearest, "{least_bytes} {nearest}");

    // In reach, but not within the bound: one that fits is measured whole.
    let limit = nearest + 96;
    let (outcome, beyond, _) = search_below(Some(limit), 1e-6);
    assert!(outcome.bound_met && beyond > limit, "{beyond} {limit}");
    let fits = |plan: &&FrontPlan| plan.flash_bytes.is_some_and(|bytes| bytes <= limit);
    let fitting: Vec<&FrontPlan> = outcome.front.iter().filter(fits).collect();
    assert!(fitting.iter().any(|plan| plan.loss.is_some() && !plan.bound_met), "{fitting:?}");
}

#[test]
fn sums_that_do_not_fit_take_bits_from_weights_and_what_they_meet() {
    let prepared = prepared();
    let narrow = Target { accumulator_bits: 13, ..Target::default() };
    let options = ParetoOptions { target: Some(narrow.clone()), ..options(0.5) };
    let outcome = search(&prepared, &mut Ignore, &options).unwrap();
    let policy = AccumulatorPolicy::Prove32;
    let fixed = lower_for(&prepared.graph, &outcome.plan, policy, &narrow).unwrap();
    assert!(fixed.nodes.iter().all(|node| node.accumulator_bits <= 13));
    // Where weights alone gave way, few would be left of them.
    let bits = |plan: &Plan| {
        // The first meets pixels, which stay.
        let layers = plan.layers.iter().skip(1);
        layers.map(|layer| layer.weights.unwrap().bits).min().unwrap()
    };
    let eight = FixedOptions { offset: Offset::LeastError, ..FixedOptions::default() };
    let plan =
        fixed::plan_for(&prepared.graph, &prepared.statistics, &eight, Some(&narrow)).unwrap();
    assert!(lower_for(&prepared.graph, &plan, policy, &narrow).is_ok());
    assert!(bits(&plan) > 2, "{plan:?}");

    let never = Target { accumulator_bits: 4, ..Target::default() };
    let options = ParetoOptions { target: Some(never), ..options };
    let error = search(&prepared, &mut Ignore, &options).unwrap_err().to_string();
    assert!(error.contains("rule `accumulator_bits`"), "{error}");
}

#[test]
fn a_trial_whose_plan_is_not_legal_is_infinitely_far_away() {
    let prepared = prepared();
    let tuning = tuning();
    let looks = CalibrationOptions { tuning, ..CalibrationOptions::default() };
    let calibration =
        Calibration::new(&prepared.graph, &Blobs(64), Kernels::best(), &GO, looks).unwrap();
    let far = |target| {
        let mut probe = evaluator_for(&prepared.graph, &Blobs(64), target);
        trial(&prepared, &calibration, &mut probe, &options(0.5), &|| ()).unwrap()
    };
    assert!(far(None).is_finite());
    let never = Target { accumulator_bits: 4, ..Target::default() };
    assert!(far(Some(never)).is_infinite());
}

#[test]
fn a_plan_is_explained() {
    let prepared = prepared();
    let tight = search(&prepared, &mut Ignore, &options(0.001)).unwrap().held.unwrap();
    assert!((tight.limit - 0.001).abs() < 1e-12 && !tight.is_narrowest, "{tight:?}");
    let outcome = search(&prepared, &mut Ignore, &options(0.1)).unwrap();
    // What was held against the bound is told part by part; here nothing narrower is left.
    let held = outcome.held.unwrap();
    assert!((held.limit - 0.1).abs() < 1e-12 && held.images == 300, "{held:?}");
    assert!(held.is_narrowest, "{:?}", outcome.plan);
    let whole = held.counted.max(held.likely + held.margin);
    assert!(held.margin > 0.0 && whole <= held.limit, "{held:?}");
    let is_of_plan = |plan: &FrontPlan| plan.bound_met && (plan.held_loss - whole).abs() < 1e-12;
    assert!(outcome.front.iter().any(is_of_plan), "{held:?}");
    let explanation = outcome.explanation.unwrap();
    assert!(explanation.divergence > 0.0);
    assert_eq!(explanation.shares.len(), prepared.graph.layers().count());
    assert!(explanation.shares.windows(2).all(|pair| pair[0].total() >= pair[1].total()));
    assert!(explanation.shares[0].total() > 0.0);
    let remedy = explanation.remedy.unwrap();
    assert!(remedy.bits[1] > remedy.bits[0] && remedy.divergence <= explanation.divergence);
}

#[test]
fn a_plan_is_rounded_anew_as_the_search_rounds_it() {
    let graph = network();
    let statistics = calibrate(&graph, &Blobs(100), Kernels::best(), &GO, &|_| ()).unwrap();
    let balanced = prepare(&graph, &Blobs(100), Kernels::best(), &GO, 1.0, &tuning()).unwrap();
    for prepared in [Prepared::new(&graph, &statistics), balanced] {
        let outcome = search(&prepared, &mut Ignore, &options(0.1)).unwrap();
        // With no other format it is the plan of the search, to the bit.
        assert_eq!(refitted(&prepared, &outcome, &[]), outcome.plan);

        let bits = |plan: &Plan| -> Vec<[u8; 3]> {
            let of = |format: Option<Format>| format.unwrap().bits;
            let layers = plan.layers.iter();
            layers.map(|layer| [layer.weights, layer.bias, layer.activation].map(of)).collect()
        };
        let mut expected = bits(&outcome.plan);
        (expected[0], expected[1][2]) = ([7, 9, 6], 5);
        let changed = [
            ("stem", Kind::Weights, Keep::Bits(7)),
            ("stem", Kind::Biases, Keep::Bits(9)),
            ("stem", Kind::Activations, Keep::Bits(6)),
            ("left", Kind::Activations, Keep::Bits(5)),
        ];
        let plan = refitted(&prepared, &outcome, &changed);
        assert_eq!(bits(&plan), expected);
        // The same formats with each weight rounded to the nearest are far worse.
        let images = Blobs(100);
        let mut evaluator = evaluator(&graph, &images);
        let anew = evaluator.divergence(&plan, None).unwrap();
        let nearest = Plan { rounded: std::collections::BTreeMap::new(), ..plan };
        let nearest = evaluator.divergence(&nearest, None).unwrap();
        assert!(anew < 0.7 * nearest, "{anew} anew, {nearest} to the nearest");

        // What is given goes before what is best.
        let given = Keep::Format(Format::signed(expected[1][0], 3));
        let plan = refitted(&prepared, &outcome, &[("left", Kind::Weights, given)]);
        assert_eq!(plan.layer("left").unwrap().weights.unwrap().frac, 3);
        let free = refitted(&prepared, &outcome, &[("left", Kind::Biases, Keep::Derived)]);
        assert_eq!(free.layer("left").unwrap().bias, None);
    }
}

#[test]
fn widths_that_are_kept_are_not_searched() {
    let prepared = prepared();
    let mut options = options(0.1);
    options.keep("stem", Kind::Weights, Keep::Bits(7));
    options.keep("stem", Kind::Biases, Keep::Bits(11));
    options.keep("left", Kind::Activations, Keep::Bits(9));
    options.keep("dense", Kind::Activations, Keep::Bits(10));
    let outcome = search(&prepared, &mut Ignore, &options).unwrap();
    assert!(outcome.bound_met);
    let of = |name: &str| outcome.plan.layer(name).unwrap();
    let bits = |format: Option<Format>| format.unwrap().bits;
    assert_eq!(bits(of("stem").weights), 7);
    assert_eq!(bits(of("stem").bias), 11);
    assert_eq!(bits(of("left").activation), 9);
    assert_eq!(bits(of("dense").activation), 10);
    // The others are as free as ever.
    assert!(bits(of("right").activation) < 8 && bits(of("dense").weights) < 8);
    let curve =
        outcome.sensitivity.iter().find(|s| s.name == "left" && s.kind == Kind::Activations);
    assert_eq!(curve.unwrap().widths.len(), 1);
    let remedy = outcome.explanation.unwrap().remedy;
    let is_kept = |name: &str, kind| {
        matches!((name, kind), ("stem", Kind::Weights) | ("left", Kind::Activations))
    };
    assert!(remedy.is_none_or(|remedy| !is_kept(&remedy.name, remedy.kind)));
}

#[test]
fn one_bit_of_weights_is_a_sign() {
    let prepared = prepared();
    let graph = &prepared.graph;
    let mut options = options(0.5);
    options.tuning.weight_bits = 1..=8;
    for name in ["left", "right", "dense"] {
        options.keep(name, Kind::Weights, Keep::Bits(1));
    }
    let outcome = search(&prepared, &mut Ignore, &options).unwrap();
    let mut one_bit = 0;
    for name in ["left", "right", "dense"] {
        let format = outcome.plan.layer(name).unwrap().weights.unwrap();
        assert_eq!(format, Format::bipolar(format.frac));
        let weights = &outcome.plan.rounded[name].weights;
        assert!(
            weights.iter().all(|w| w.abs() == 1) && weights.contains(&-1) && weights.contains(&1)
        );
        one_bit += weights.len();
    }
    lower(graph, &outcome.plan, AccumulatorPolicy::Prove32).unwrap();
    let eight = |plan: &Plan| {
        let mut plan = plan.clone();
        for layer in &mut plan.layers {
            layer.weights = Some(Format { bits: 8, ..Format::signed(8, 6) });
        }
        cost::memory(graph, &plan).unwrap().weights
    };
    let stem = outcome.plan.layer("stem").unwrap().weights.unwrap();
    let found = cost::memory(graph, &outcome.plan).unwrap().weights;
    let one_bit = u64::try_from(one_bit).unwrap();
    let of_stem = eight(&outcome.plan) / 8 - one_bit;
    assert_eq!(found, one_bit + of_stem * u64::from(stem.bits));
    // Signs that make up for each other are better than each weight's own.
    let images = Blobs(100);
    let mut evaluator = evaluator(graph, &images);
    let anew = evaluator.divergence(&outcome.plan, None).unwrap();
    let nearest = Plan { rounded: std::collections::BTreeMap::new(), ..outcome.plan.clone() };
    let nearest = evaluator.divergence(&nearest, None).unwrap();
    assert!(anew < 0.7 * nearest, "{anew} with feedback, {nearest} without");
    // Its formats alone give the same plan again.
    assert_eq!(refitted(&prepared, &outcome, &[]), outcome.plan);
    // Searched, one bit is the narrowest.
    let curve = outcome.sensitivity.iter().find(|s| s.name == "stem" && s.kind == Kind::Weights);
    assert_eq!(curve.unwrap().widths[0].bits, 1);
}

/// Black images.
struct Black(usize);

impl Images for Black {
    fn len(&self) -> usize {
        self.0
    }

    fn image(&self, _: usize, out: &mut [f32]) {
        out.fill(0.0);
    }

    fn label(&self, _: usize) -> Option<usize> {
        None
    }
}

#[test]
fn calibration_images_that_show_nothing_do_not_make_it_worse_than_plain_rounding() {
    let graph = network();
    let statistics = calibrate(&graph, &Blobs(100), Kernels::best(), &GO, &|_| ()).unwrap();
    let prepared = Prepared::new(&graph, &statistics);
    let options = options(0.02);
    let found = search_rounded_for(&Black(8), &graph, &prepared, &mut Ignore, &options).unwrap();
    assert_eq!(found.method, Method::Nearest);
    assert!(found.bound_met);
    let all = Blobs(300);
    let plain = fixed::plan(&graph, &statistics, &FixedOptions::default()).unwrap();
    let plain = evaluator(&graph, &all).evaluate(&plain, None, None).unwrap().score;
    let found = evaluator(&graph, &all).evaluate(&found.plan, None, None).unwrap().score;
    assert!(plain.correct >= 294, "{plain:?}");
    assert!(found.correct >= 294, "{found:?}");
}

#[test]
fn tensors_get_more_bits_where_eight_are_not_enough() {
    let mut graph = network();
    // Classes that differ by the last bits of weights which they share otherwise.
    let dense = graph.find("dense").unwrap();
    let weights = graph.nodes[dense].op.parameters_mut().unwrap().weights;
    let shared = weights[..16].to_vec();
    for (i, weight) in weights.iter_mut().enumerate() {
        *weight = 0.004f32.mul_add(*weight, shared[i % 16]);
    }
    let statistics = calibrate(&graph, &Blobs(100), Kernels::best(), &GO, &|_| ()).unwrap();
    let prepared = Prepared::new(&graph, &statistics);
    let mut narrow = options(0.03);
    let wide = narrow.clone();
    narrow.tuning.wider_bits = Vec::new();
    let narrow = search_of(&graph, &prepared, &mut Ignore, &narrow).unwrap();
    assert!(!narrow.bound_met);
    let found = search_of(&graph, &prepared, &mut Ignore, &wide).unwrap();
    assert!(found.bound_met);
    let bits = |plan: &Plan| plan.layer("dense").unwrap().weights.unwrap().bits;
    assert!(bits(&found.plan) > 8, "{}", bits(&found.plan));
    assert!(found.plan.layers.iter().any(|layer| layer.weights.unwrap().bits < 8));
}
