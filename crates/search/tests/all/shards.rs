//! Plans measured in parts, by several that share nothing, in any order; by nodes that die, come back and are late.

use fixedwise_graph::{Graph, LowerError, Plan, Semantics, Shape, ops::Relu, ops::Window, passes};
use fixedwise_kernels::Kernels;
use fixedwise_search::{
    Evaluator, EvaluatorOptions, FloatRun, Images, Local, Measure, MetricName, Offset, Oracle as _,
    Part, Predictions, Request, SearchError, Truth, Tuning, calibrate,
    reconstruct::{Calibration, CalibrationOptions},
    spread::{Answerer, Asked, Happened, ImageSet, Nodes, Question, Spread, ThinNetwork},
    strategies::{
        FixedOptions, Ignore, Outcome, PlanHead, fixed,
        pareto::{CostWeights, ParetoOptions, Prepared, Tools, pareto},
    },
};
use fixedwise_testing::{Build, Random};
use std::{
    collections::VecDeque,
    ops::Range,
    sync::{Arc, Mutex, atomic::AtomicBool},
};

static GO: AtomicBool = AtomicBool::new(false);

/// Noise of a brightness that differs; a third of it has a label.
struct Noise(usize);

impl Images for Noise {
    fn len(&self) -> usize {
        self.0
    }

    fn image(&self, idx: usize, out: &mut [f32]) {
        let mut random = Random::new(u64::try_from(idx).unwrap());
        let bright = random.float(40.0, 255.0);
        out.fill_with(|| random.float(0.0, bright).floor());
    }

    fn label(&self, idx: usize) -> Option<usize> {
        idx.is_multiple_of(3).then_some(idx % 5)
    }
}

fn network() -> Graph {
    let mut b = Build::new(Shape::new(6, 6, 1), 5);
    let window = Window { kernel: [3; 2], ..Window::pixel() };
    let x = b.conv("first", 0, 6, &window, 1);
    let x = b.push("relu", Relu, vec![x]);
    let x = b.conv("second", x, 6, &window, 1);
    let x = b.push("relu2", Relu, vec![x]);
    let x = b.conv("third", x, 8, &Window { kernel: [2; 2], ..Window::pixel() }, 1);
    let x = b.push("relu3", Relu, vec![x]);
    b.gemm("dense", x, 5);
    passes::prepare(&b.finish(), Semantics::Integer).unwrap()
}

/// Measures chunk after chunk, the last first, each by another that knows nothing of the others.
struct Shards<'a>(Vec<Local<'a>>);

impl Measure for Shards<'_> {
    fn part(&mut self, request: &Request, chunks: Range<usize>) -> Result<Part, SearchError> {
        let mut joined = Part::default();
        for chunk in chunks.rev() {
            let who = chunk * 7 % self.0.len();
            let part = self.0[who].part(request, chunk..chunk + 1)?;
            // From either side.
            joined = if chunk % 2 == 0 { joined.join(part) } else { part.join(joined) };
        }
        Ok(joined)
    }

    fn check(&self, plan: &Plan) -> Result<(), LowerError> {
        self.0[0].check(plan)
    }
}

/// Nodes in this process, which are asked in bytes. Of three, the second dies again and again and comes back as another,
/// the third answers late, where it answers at all.
struct Cluster<'a> {
    graph: &'a Graph,
    images: &'a dyn Images,
    is_of_values: bool,
    n: usize,
    state: Mutex<State<'a>>,
}

#[derive(Default)]
struct State<'a> {
    answerers: Vec<Option<Answerer<'a>>>,
    /// Questions by their node.
    asked: VecDeque<(u64, usize, Question)>,
    questions: u64,
    answers: usize,
    lost: usize,
    late: usize,
    /// Until so many questions were asked in all.
    away: u64,
}

const KEY: &str = "noise";
static WHOLE: ThinNetwork = ThinNetwork::new();

impl<'a> Cluster<'a> {
    fn new(graph: &'a Graph, images: &'a dyn Images, is_of_values: bool, n: usize) -> Self {
        let answerers = (0..n).map(|_| None).collect();
        let state = Mutex::new(State { answerers, ..State::default() });
        Self { graph, images, is_of_values, n, state }
    }

    fn answerer(&self, key: &str) -> Answerer<'a> {
        let (graph, images, is_of_values) = (self.graph, self.images, self.is_of_values);
        let judged = move |rows: &[_]| {
            let predictions = Predictions::of_rows(graph, images, rows);
            Ok(if is_of_values { predictions.of_values() } else { predictions })
        };
        let options = options();
        let set = ImageSet { images, judged: Box::new(judged), options };
        let networks = (graph, graph, &WHOLE);
        Answerer::new(key.to_owned(), networks, vec![set], Kernels::best(), &GO)
    }

    /// Questions that were answered, and that were lost or late.
    fn told(&self) -> [usize; 3] {
        let state = self.state.lock().unwrap();
        [state.answers, state.lost, state.late]
    }
}

impl Nodes for Cluster<'_> {
    fn count(&self) -> usize {
        self.n
    }

    fn is_there(&self, node: usize) -> bool {
        let state = self.state.lock().unwrap();
        node != 1 || state.questions >= state.away
    }

    fn ask(&self, node: usize, question: Question) -> u64 {
        let mut state = self.state.lock().unwrap();
        state.questions += 1;
        let number = state.questions;
        state.asked.push_back((number, node, question));
        number
    }

    fn next(&self) -> Happened {
        let state = &mut *self.state.lock().unwrap();
        // The one that was asked last answers first.
        let Some(place) = state.asked.iter().rposition(|&(_, node, _)| node != 2) else {
            // The third node is late; every other question it answers in the end.
            state.late += 1;
            return match state.asked.pop_front() {
                Some((number, _, question)) if state.late % 4 == 1 => {
                    state.asked.push_back((number, 2, question));
                    Happened::Late
                }
                Some((number, ..)) if state.late % 4 == 3 => Happened::Lost(number),
                Some(asked) => answered(self, state, asked),
                None => Happened::Nothing,
            };
        };
        let asked = state.asked.remove(place).unwrap();
        if asked.1 == 1 && asked.0.is_multiple_of(7) {
            state.lost += 1;
            // All that it knew is gone.
            state.answerers[1] = None;
            state.away = state.questions + 5;
            return Happened::Lost(asked.0);
        }
        answered(self, state, asked)
    }
}

fn answered<'a>(
    cluster: &Cluster<'a>,
    state: &mut State<'a>,
    (number, node, question): (u64, usize, Question),
) -> Happened {
    state.answers += 1;
    let answerer = state.answerers[node].get_or_insert_with(|| cluster.answerer(KEY));
    let given: Vec<&[u8]> = question.given.iter().map(|given| &*given.bytes).collect();
    Happened::Answered(number, answerer.answer(&question.ask, &given))
}

fn asked<'a>(nodes: &'a Cluster) -> Asked<'a> {
    Asked { nodes, key: KEY.to_owned(), set: 0, thinned: None, stop: &GO }
}

/// Little is cached, so that some of it goes.
fn options() -> EvaluatorOptions {
    EvaluatorOptions { cache_bytes: 20_000, ..EvaluatorOptions::default() }
}

/// Plans measured by nodes.
fn spread<'a>(nodes: &'a Cluster<'_>) -> Evaluator<'a> {
    let &Cluster { graph, images, is_of_values, .. } = nodes;
    let kernels = Kernels::best();
    let run = FloatRun::new(graph, images, kernels, &GO).unwrap();
    let rows = asked(nodes).float_rows(graph, &run).unwrap();
    assert_eq!(rows, run.rows(run.chunks()).unwrap());
    let predictions = Predictions::of_rows(graph, images, &rows);
    let predictions = Arc::new(if is_of_values { predictions.of_values() } else { predictions });
    let local = Local::new(graph, images, Arc::clone(&predictions), kernels, &GO, options());
    let spread = Spread::new(asked(nodes), graph, local, &rows);
    Evaluator::over(graph, predictions, Box::new(spread))
}

fn evaluator<'a>(
    graph: &'a Graph,
    images: &'a dyn Images,
    shards: Option<usize>,
    is_of_values: bool,
) -> Evaluator<'a> {
    let kernels = Kernels::best();
    let predictions = Predictions::new(graph, images, kernels, &GO).unwrap();
    let predictions = if is_of_values { predictions.of_values() } else { predictions };
    let Some(n) = shards else {
        return Evaluator::new(graph, images, predictions, kernels, &GO, options());
    };
    let predictions = Arc::new(predictions);
    let local = |_| Local::new(graph, images, Arc::clone(&predictions), kernels, &GO, options());
    let all = (0..n).map(local).collect();
    Evaluator::over(graph, Arc::clone(&predictions), Box::new(Shards(all)))
}

#[test]
fn parts_join_to_the_same_bits_whoever_measures_them() {
    let graph = network();
    let images = Noise(300);
    let statistics = calibrate(&graph, &images, Kernels::best(), &GO, &|_| ()).unwrap();
    for is_of_values in [false, true] {
        let cluster = Cluster::new(&graph, &images, is_of_values, 3);
        let mut whole = evaluator(&graph, &images, None, is_of_values);
        for shards in [0, 1, 3, 5] {
            let mut parts = if shards == 0 {
                spread(&cluster)
            } else {
                evaluator(&graph, &images, Some(shards), is_of_values)
            };
            for bits in [2, 3, 5, 8] {
                let head = PlanHead::INTEGER;
                let options = FixedOptions { head, bits, offset: Offset::LeastError };
                let plan = fixed::plan(&graph, &statistics, &options).unwrap();
                let focus = Some(usize::from(bits) % graph.nodes.len());
                let [a, b] = [&mut whole, &mut parts].map(|e| e.divergence(&plan, focus).unwrap());
                assert_eq!(a.to_bits(), b.to_bits(), "{shards} shards, {bits} bits");
                assert!(a > 0.0);
                assert_eq!(whole.outputs(&plan), parts.outputs(&plan));
                let [a, b] = [&mut whole, &mut parts]
                    .map(|evaluator| evaluator.evaluate_first(&plan, 100).unwrap().score);
                assert_eq!(a, b);
                assert_eq!(a.n, 112, "whole chunks");
                let at_least = Some(whole.float_score().1);
                let [a, b] = [&mut whole, &mut parts]
                    .map(|evaluator| evaluator.evaluate(&plan, focus, at_least).unwrap().score);
                assert_eq!(a, b);
            }
        }
    }
}

/// Images and what the five outputs should be for each.
struct Values(Noise, Vec<f32>);

impl Images for Values {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn image(&self, idx: usize, out: &mut [f32]) {
        self.0.image(idx, out);
    }

    fn label(&self, _: usize) -> Option<usize> {
        None
    }

    fn truth(&self, idx: usize) -> Truth<'_> {
        Truth::Values(&self.1[idx * 5..][..5])
    }
}

#[test]
fn a_metric_of_all_images_joins_to_the_same_bits() {
    let graph = network();
    let mut random = Random::new(8);
    let images = Values(Noise(130), (0..130 * 5).map(|_| random.float(-1.0, 1.0)).collect());
    let statistics = calibrate(&graph, &images, Kernels::best(), &GO, &|_| ()).unwrap();
    let options = FixedOptions { head: PlanHead::INTEGER, bits: 3, offset: Offset::LeastError };
    let plan = fixed::plan(&graph, &statistics, &options).unwrap();
    let kernels = Kernels::best();
    for metric in [MetricName::Mae, MetricName::Psnr] {
        let judged = || {
            let predictions = Predictions::new(&graph, &images, kernels, &GO).unwrap();
            Arc::new(predictions.judged((metric, 2.0, metric.usual_unit()), &images).unwrap())
        };
        let of = |n: usize| {
            let predictions = judged();
            let local = |_| {
                let options = EvaluatorOptions::default();
                Local::new(&graph, &images, Arc::clone(&predictions), kernels, &GO, options)
            };
            let shards = Box::new(Shards((0..n).map(local).collect()));
            let mut evaluator = Evaluator::over(&graph, Arc::clone(&predictions), shards);
            // Of some images it has no figure: all are run.
            let evaluation = evaluator.evaluate_first(&plan, 20).unwrap();
            assert!(evaluation.is_complete);
            let figure = evaluator.details(&plan).unwrap().figure.unwrap();
            assert_eq!(evaluator.images_evaluated(), 130);
            assert!((evaluation.score.mean_distortion() - figure.loss).abs() < 1e-9);
            assert!((evaluation.score.distortion_error() - figure.error).abs() < 1e-4);
            (evaluation, figure)
        };
        let one = of(1);
        assert!(one.1.loss.abs() > 0.0 && one.1.error > 0.0, "{one:?}");
        assert_eq!(of(3), one);
        // As it is computed of the outputs.
        let mut plain = Evaluator::new(
            &graph,
            &images,
            Predictions::new(&graph, &images, kernels, &GO).unwrap(),
            kernels,
            &GO,
            EvaluatorOptions::default(),
        );
        let said = plain.outputs(&plan).unwrap().remove(0);
        let errors = said.iter().zip(&images.1).map(|(x, y)| f64::from(*x) - f64::from(*y));
        let expected = if metric == MetricName::Mae {
            errors.map(f64::abs).sum::<f64>() / 650.0
        } else {
            10.0 * (4.0 / (errors.map(|x| x * x).sum::<f64>() / 650.0)).log10()
        };
        assert!((one.1.both[1] - expected).abs() < 1e-6, "{expected} {:?}", one.1);
    }
}

#[test]
fn a_search_ends_with_the_same_plan_whoever_measures() {
    let graph = network();
    let (calibration, probe, search) = (Noise(64), Noise(64), Noise(200));
    let statistics = calibrate(&graph, &calibration, Kernels::best(), &GO, &|_| ()).unwrap();
    let prepared = Prepared::new(&graph, &statistics);
    let tuning = Tuning { calibration_positions: 1024, exchanges: 3, ..Tuning::default() };
    let cost = CostWeights { memory: 1.0, ..CostWeights::default() };
    let options = ParetoOptions {
        max_loss: fixedwise_search::MaxLoss::Relative(0.05),
        tuning: tuning.clone(),
        ..ParetoOptions::new(PlanHead::INTEGER, cost)
    };
    let of = |oracle: &mut Evaluator| -> Outcome {
        let looks = CalibrationOptions { tuning: tuning.clone(), ..CalibrationOptions::default() };
        let kernels = Kernels::best();
        let calibration = Calibration::new(&graph, &calibration, kernels, &GO, looks).unwrap();
        let tools = Tools {
            prepared: &prepared,
            unlabeled: None,
            calibration: &calibration,
            probe: &mut evaluator(&graph, &probe, None, false),
            glance: &mut evaluator(&graph, &probe, Some(2), false),
            oracle,
        };
        pareto(tools, &mut Ignore, &options).unwrap()
    };
    let whole = of(&mut evaluator(&graph, &search, None, false));
    assert!(whole.front.len() > 3, "{:?}", whole.front);
    assert_eq!(of(&mut evaluator(&graph, &search, Some(3), false)), whole);
    for n in [1, 2, 3, 7] {
        let cluster = Cluster::new(&graph, &search, false, n);
        assert_eq!(of(&mut spread(&cluster)), whole, "{n} nodes");
        let [answers, lost, late] = cluster.told();
        assert!(answers > 20 && (lost > 2) == (n > 1) && (late > 2) == (n > 2), "{n} nodes");
    }
}

#[test]
fn nodes_of_something_else_refuse() {
    let (graph, images) = (network(), Noise(40));
    let cluster = Cluster::new(&graph, &images, false, 1);
    let wrong = Asked { key: "other noise".to_owned(), ..asked(&cluster) };
    let run = FloatRun::new(&graph, &images, Kernels::best(), &GO).unwrap();
    let refused = wrong.float_rows(&graph, &run).unwrap_err().to_string();
    assert!(refused.contains("another network, other images or another version"), "{refused}");
    assert!(refused.contains("noise and other noise"), "{refused}");
    // Bytes of another version are none of this.
    let reply = cluster.answerer(KEY).answer(&[255; 40], &[]);
    assert!(String::from_utf8_lossy(&reply).contains("another version"));
    // Where all are gone, it is done here.
    let none = Cluster::new(&graph, &images, false, 0);
    assert_eq!(asked(&none).float_rows(&graph, &run).unwrap(), run.rows(run.chunks()).unwrap());
}
