//! Tuning without labels.

use crate::squares::draw_square;
use fixedwise_graph::{
    Graph, Rounded, Semantics, Shape,
    ops::{Add, GlobalAveragePool, MaxPool, Relu},
    passes,
    run::Differentiable,
};
use fixedwise_kernels::Kernels;
use fixedwise_search::{
    Evaluator, EvaluatorOptions, Images, MaxLoss, Predictions, SearchError, Tuning, calibrate,
    reconstruct::{Calibration, CalibrationOptions},
    strategies::{
        Event, Ignore, Kind, Observer, Outcome, PlanHead,
        pareto::{
            CostWeights, Keep, ParetoOptions, Prepared, Tools, TuneLength, TuneProblem, pareto,
        },
    },
    tune::{Course, Student, Teacher, train},
};
use fixedwise_testing::{Build, window};
use std::{
    ops::ControlFlow,
    sync::{Arc, atomic::AtomicBool},
};

static GO: AtomicBool = AtomicBool::new(false);

/// Squares of gray on black, `first` of all on.
struct Squares {
    first: usize,
    n: usize,
}

impl Images for Squares {
    fn len(&self) -> usize {
        self.n
    }

    fn image(&self, idx: usize, out: &mut [f32]) {
        draw_square(self.first + idx, out);
    }

    fn label(&self, _: usize) -> Option<usize> {
        None
    }
}

/// With a residual add, pools and a depthwise layer.
fn network() -> Graph {
    let mut b = Build::new(Shape::new(8, 8, 1), 5);
    let x = b.conv("stem", 0, 8, &window(3, 1, 1), 1);
    let x = b.push("stem_relu", Relu, vec![x]);
    let x = b.push("max", MaxPool { window: window(2, 2, 0), minimum: vec![] }, vec![x]);
    let y = b.conv("depthwise", x, 8, &window(3, 1, 1), 8);
    let y = b.push("depthwise_relu", Relu, vec![y]);
    let y = b.conv("branch", y, 8, &window(1, 1, 0), 1);
    let x = b.push("add", Add, vec![y, x]);
    let x = b.push("add_relu", Relu, vec![x]);
    let x = b.push("mean", GlobalAveragePool, vec![x]);
    b.gemm("dense", x, 4);
    passes::prepare(&b.finish(), Semantics::Integer).unwrap()
}

fn evaluator<'a>(graph: &'a Graph, images: &'a dyn Images) -> Evaluator<'a> {
    let kernels = Kernels::best();
    let predictions = Predictions::new(graph, images, kernels, &GO).unwrap();
    Evaluator::new(graph, images, predictions, kernels, &GO, EvaluatorOptions::default())
}

fn options(tune: Option<TuneLength>) -> ParetoOptions {
    let cost = CostWeights { memory: 1.0, ..CostWeights::default() };
    let tuning =
        Tuning { calibration_positions: 1024, exchanges: 3, tune_images: 256, ..Tuning::default() };
    let max_loss = MaxLoss::Relative(0.01);
    ParetoOptions { max_loss, tuning, tune, ..ParetoOptions::new(PlanHead::INTEGER, cost) }
}

fn search(
    unlabeled: usize,
    observer: &mut dyn Observer,
    options: &ParetoOptions,
) -> Result<Outcome, SearchError> {
    let graph = network();
    let images = |first, n| Squares { first, n };
    let [calibration, probe, all, unlabeled] =
        [images(0, 64), images(10_000, 64), images(10_000, 300), images(0, unlabeled)];
    let statistics = calibrate(&graph, &calibration, Kernels::best(), &GO, &|_| ()).unwrap();
    let prepared = Prepared::new(&graph, &statistics);
    let looks =
        CalibrationOptions { tuning: options.tuning.clone(), ..CalibrationOptions::default() };
    let calibration = Calibration::new(&graph, &calibration, Kernels::best(), &GO, looks).unwrap();
    let tools = Tools {
        prepared: &prepared,
        unlabeled: Some(&unlabeled),
        calibration: &calibration,
        probe: &mut evaluator(&graph, &probe),
        glance: &mut evaluator(&graph, &probe),
        oracle: &mut evaluator(&graph, &all),
    };
    pareto(tools, observer, options)
}

#[test]
fn a_tuned_plan_is_smaller_and_keeps_to_the_bound() {
    let plain = search(512, &mut Ignore, &options(None)).unwrap();
    assert!(plain.bound_met && plain.tuned.is_none());
    let mut told = 0;
    let mut observer = |event: &Event| {
        told += usize::from(matches!(event, Event::Tuning(_)));
        ControlFlow::Continue(())
    };
    let options = options(Some(TuneLength::Steps(200)));
    let outcome = search(512, &mut observer, &options).unwrap();
    let tuned = outcome.tuned.clone().unwrap();
    assert!(told > 10 && tuned.steps > 100 && tuned.steps <= 200, "{told} {tuned:?}");
    assert_eq!((tuned.images, tuned.images_run), (512, 64 * u64::try_from(tuned.steps).unwrap()));
    // What was found without it is what a search without it finds.
    assert_eq!(outcome.front[..plain.front.len()], plain.front);
    assert!(plain.front.contains(&tuned.untuned));
    assert!(outcome.bound_met && tuned.is_better, "{tuned:?}");
    let best =
        outcome.front.iter().filter(|plan| plan.bound_met).map(|plan| plan.memory_bits).min();
    assert!(best.unwrap() < tuned.untuned.memory_bits);

    // Nothing depends on the number of threads.
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    assert_eq!(one.install(|| search(512, &mut Ignore, &options)).unwrap(), outcome);
}

#[test]
fn a_plan_of_given_widths_is_tuned_all_the_time_and_comes_closer() {
    let mut options = options(Some(TuneLength::Steps(120)));
    options.max_loss = MaxLoss::Relative(0.5);
    for (_, node) in network().layers() {
        options.keep(&node.name, Kind::Weights, Keep::Bits(3));
        options.keep(&node.name, Kind::Activations, Keep::Bits(4));
    }
    for name in ["mean", "add"] {
        options.keep(name, Kind::Activations, Keep::Bits(4));
    }
    let outcome = search(512, &mut Ignore, &options).unwrap();
    let tuned = outcome.tuned.unwrap();
    assert!(tuned.is_better && tuned.steps == 120, "{tuned:?}");
    let last = outcome.front.last().unwrap();
    assert_eq!(last.bits, tuned.untuned.bits);
    assert!(last.divergence < tuned.untuned.divergence, "{last:?} {tuned:?}");
}

/// A clock that goes on by one each time that it is looked at.
struct Clock(f64);

impl Observer for Clock {
    fn event(&mut self, _: &Event) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn tuning_left(&mut self) -> Option<f64> {
        self.0 = (self.0 - 1.0).max(0.0);
        Some(self.0)
    }
}

#[test]
fn tuning_ends_with_its_time() {
    for time in [0.0, 2.0, 30.0, 101.0] {
        let options = options(Some(TuneLength::Time));
        let outcome = search(512, &mut Clock(time), &options).unwrap();
        let tuned = outcome.tuned.unwrap();
        assert!(outcome.is_finished && outcome.bound_met, "{time}: {tuned:?}");
        // A look is for eight steps, but for the first one of a training.
        assert!(tuned.steps <= 8 * 100 && (time < 30.0 || tuned.steps > 20), "{time}: {tuned:?}");
    }
}

#[test]
fn too_few_images_leave_the_answer_of_the_search() {
    let plain = search(255, &mut Ignore, &options(None)).unwrap();
    let mut problems = Vec::new();
    let mut observer = |event: &Event| {
        if let Event::NotTuned { problem } = event {
            problems.push((*problem).clone());
        }
        ControlFlow::Continue(())
    };
    let outcome = search(255, &mut observer, &options(Some(TuneLength::Steps(8)))).unwrap();
    assert_eq!(problems, [TuneProblem::Images { least: 256 }]);
    assert_eq!(outcome.plan, plain.plan);
    let tuned = outcome.tuned.unwrap();
    assert!(!tuned.is_better && tuned.steps == 0, "{tuned:?}");
}

#[test]
fn a_search_that_is_stopped_while_it_tunes_keeps_its_answer() {
    let plain = search(512, &mut Ignore, &options(None)).unwrap();
    let mut stop = |event: &Event| match event {
        Event::Tuning(tuning) if tuning.steps >= 8 => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    let outcome = search(512, &mut stop, &options(Some(TuneLength::Steps(4000)))).unwrap();
    assert!(!outcome.is_finished && outcome.bound_met);
    assert_eq!(outcome.plan, plain.plan);
    assert!(outcome.tuned.unwrap().steps < 20);
}

#[test]
fn a_training_brings_narrow_integers_closer() {
    let graph = network();
    let (images, held) = (Squares { first: 0, n: 512 }, Squares { first: 10_000, n: 200 });
    // The formats of a search, with each weight the nearest integer.
    let loose = ParetoOptions { max_loss: MaxLoss::Relative(0.1), ..options(None) };
    let mut plain = search(512, &mut Ignore, &loose).unwrap();
    for (id, layer) in graph.layers() {
        let format = plain.plan.layer(&layer.name).and_then(|layer| layer.weights).unwrap();
        let nearest = |&w: &f32| i16::try_from(format.quantize(f64::from(w))).unwrap();
        let channels = graph.nodes[id].shape.c;
        let rounded = Rounded {
            weights: layer.op.weights().unwrap().iter().map(nearest).collect(),
            scales: vec![1.0; channels],
            bias: vec![0.0; channels],
            coarser: Vec::new(),
        };
        plain.plan.rounded.insert(layer.name.clone(), Arc::new(rounded));
    }
    let kernels = Kernels::best();
    let network = Differentiable::new(&graph, kernels).unwrap();
    for is_of_values in [false, true] {
        let teacher = Teacher::new(&graph, &images, kernels, is_of_values, 1 << 20).unwrap();
        let mut student = Student::new(&graph, &plain.plan);
        // Untrained, it stands for the plan itself.
        assert!(student.plan() == plain.plan);
        let course = Course { steps: 200, rate: 0.008, seed: 1 };
        let mut on = |_: usize| ControlFlow::Continue(200);
        let trained = train(&network, &mut student, &teacher, course, &mut on).unwrap();
        assert!(trained.distance.is_finite() && !trained.is_stopped && trained.steps == 200);
        let predictions = Predictions::new(&graph, &held, kernels, &GO).unwrap();
        let predictions = if is_of_values { predictions.of_values() } else { predictions };
        let options = EvaluatorOptions::default();
        let mut probe = Evaluator::new(&graph, &held, predictions, kernels, &GO, options);
        let [before, after] =
            [&plain.plan, &student.plan()].map(|plan| probe.divergence(plan, None).unwrap());
        assert!(after < 0.6 * before, "{is_of_values}: {before} {after}");
    }
}
