//! A search whose images are measured by several machines: the side that asks, and the side that answers.

use super::{
    super::{
        measure::{as_asked, judged, measured_on},
        options::{QuantizeOptions, Tune},
        threads::pool,
    },
    Job, Outcome,
    load::Loaded,
};
use crate::{
    data::{DataOptions, Sets, View},
    error::Error,
    fingerprint::sha256_of,
    model::ModelSource,
    plan::PlanSource,
    watch::{Halt, Observer},
};
use fixedwise_graph::AccumulatorPolicy;
use fixedwise_kernels::Kernels;
use fixedwise_search::{
    Evaluator, EvaluatorOptions, FloatRows, FloatRun, Local, Predictions,
    spread::{Answerer, Asked, ImageSet, Nodes, Spread, ThinNetwork},
};
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::AtomicBool,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::Instant,
};

/// A set of images that nodes have, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Set {
    Search,
    Test,
}

impl Set {
    /// In the order in which nodes have them.
    const ALL: [Self; 2] = [Self::Search, Self::Test];

    fn images(self, sets: &Sets) -> Option<&View> {
        match self {
            Self::Search => Some(&sets.search),
            Self::Test => sets.test.as_ref(),
        }
    }

    /// What measures plans on it: of the test images one is measured, and nothing is worth keeping.
    fn options(self, options: &QuantizeOptions) -> EvaluatorOptions {
        EvaluatorOptions {
            cache_bytes: if self == Self::Search { options.cache_bytes } else { 0 },
            policy: AccumulatorPolicy::Prove32,
            target: options.target.clone(),
        }
    }
}

/// What the float network says of images: as plans are compared with it, and as nodes take it.
#[derive(Clone)]
pub(super) struct Said {
    pub(super) predictions: Predictions,
    /// Empty where no node is asked.
    rows: Vec<FloatRows>,
}

/// As [`quantize_observed`](super::quantize_observed), with the images measured by nodes that have a [`Worker`] each. The
/// plan is the same, to the bit, whatever nodes there are and whichever are lost.
///
/// # Errors
/// As [`quantize`](super::quantize()); where a node has another network, other images or another version.
///
/// ```
/// # fn main() -> Result<(), fixedwise::Error> {
/// # let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
/// use fixedwise::{
///     DataOptions, NodeQuestion, Nodes, NodesHappened, QuantizeOptions, Strategy, Worker, quantize,
///     quantize_spread,
/// };
/// use std::sync::{Mutex, atomic::AtomicBool};
///
/// /// One node, in this process.
/// struct One(Worker, Mutex<Vec<Vec<u8>>>);
///
/// impl Nodes for One {
///     fn count(&self) -> usize {
///         1
///     }
///
///     fn is_there(&self, _: usize) -> bool {
///         true
///     }
///
///     fn ask(&self, _: usize, question: NodeQuestion) -> u64 {
///         let given: Vec<&[u8]> = question.given.iter().map(|given| &*given.bytes).collect();
///         let mut answers = self.1.lock().expect("no thread panics");
///         answers.push(self.0.answer(&question.ask, &given).expect("it is alive"));
///         answers.len() as u64 - 1
///     }
///
///     fn next(&self) -> NodesHappened {
///         let mut answers = self.1.lock().expect("no thread panics");
///         match answers.iter().position(|answer| !answer.is_empty()) {
///             Some(place) => NodesHappened::Answered(place as u64, std::mem::take(&mut answers[place])),
///             None => NodesHappened::Nothing,
///         }
///     }
/// }
///
/// let folder = format!("{root}/data/fashion-mnist");
/// let data = DataOptions {
///     calibration: Some(format!("{folder}:train@0..50").parse()?),
///     search: Some(format!("{folder}:test@0..100").parse()?),
///     test: Some(format!("{folder}:test@100..300").parse()?),
///     ..DataOptions::default()
/// };
/// let options = QuantizeOptions { strategy: Strategy::Fixed { bits: 8 }, ..Default::default() };
/// let model = format!("{root}/models/fashion_small.onnx");
/// let nodes = One(Worker::new(model.as_ref(), &data, &options)?, Mutex::default());
/// let stop = AtomicBool::new(false);
/// let outcome = quantize_spread(model.as_ref(), &data, &options, &(), &stop, &nodes)?;
/// assert!(nodes.1.into_inner().is_ok_and(|answers| !answers.is_empty()));
/// assert_eq!(outcome.plan, quantize(model.as_ref(), &data, &options)?.plan);
/// # Ok(())
/// # }
/// ```
pub fn quantize_spread(
    model: &Path,
    data: &DataOptions,
    options: &QuantizeOptions,
    observer: &dyn Observer,
    stop: &AtomicBool,
    nodes: &dyn Nodes,
) -> Result<Outcome, Error> {
    let source = ModelSource::File(model, options.architecture.as_deref(), &options.interface);
    super::run(source, data, options, (observer, stop, Some(nodes)))
}

/// Answers what [`quantize_spread`] asks a node, of the same model, data and options.
///
/// It has threads of its own, and holds the model and the images as long as it lives.
#[derive(Debug)]
pub struct Worker {
    questions: Sender<Message>,
}

/// A question, what is given for it, and where the answer goes.
type Message = (Vec<u8>, Vec<Vec<u8>>, Sender<Vec<u8>>);

impl Worker {
    /// Reads the model and the images.
    ///
    /// # Errors
    /// As [`quantize`](super::quantize()).
    pub fn new(model: &Path, data: &DataOptions, options: &QuantizeOptions) -> Result<Self, Error> {
        let (questions, asked) = channel();
        let (told, ready) = channel();
        // Files and tuning are for whoever asks.
        let (model, data) = (model.to_owned(), DataOptions { unlabeled: None, ..data.clone() });
        let options =
            QuantizeOptions { output: None, resume: false, tune: Tune::None, ..options.clone() };
        let pool = pool(options.threads)?;
        // All on threads of its own: a process that was forked has none of those before.
        let work = move || {
            if let Err(error) = serve(&model, &data, &options, &told, &asked) {
                // Nobody waits any more where it was ready before.
                let _ = told.send(Err(error));
            }
        };
        thread::spawn(move || pool.install(work));
        let gone = || Error::Option { option: "threads", problem: "ended a worker".to_owned() };
        ready.recv().unwrap_or_else(|_| Err(gone()))?;
        Ok(Self { questions })
    }

    /// The answer to a question; nothing where a panic ended the worker.
    pub fn answer(&self, ask: &[u8], given: &[&[u8]]) -> Option<Vec<u8>> {
        let (sender, answer) = channel();
        let given = given.iter().map(|given| given.to_vec()).collect();
        self.questions.send((ask.to_vec(), given, sender)).ok()?;
        answer.recv().ok()
    }
}

/// Answers questions until nobody can ask any more.
fn serve(
    model: &Path,
    data: &DataOptions,
    options: &QuantizeOptions,
    ready: &Sender<Result<(), Error>>,
    questions: &Receiver<Message>,
) -> Result<(), Error> {
    let (stop, start) = (AtomicBool::new(false), Instant::now());
    let halt = Halt::new(&stop, None);
    let (observer, nodes) = (&(), None);
    let job = Job { data, options, observer, stop: &stop, halt: &halt, start, nodes };
    job.check()?;
    let source = ModelSource::File(model, options.architecture.as_deref(), &options.interface);
    let earlier = options.earlier_plan();
    let loaded = job.load(source, earlier.as_deref().map(PlanSource::File))?;
    let options = &loaded.options;
    let counts = (options.max_loss, options.metric_command.as_deref());
    let float = loaded.model.graph();
    let set = |set: Set| {
        let images = set.images(&loaded.sets)?;
        let judged = move |rows: &[FloatRows]| {
            as_asked(counts, Predictions::of_rows(float, images, rows), images)
        };
        Some(ImageSet { images, judged: Box::new(judged), options: set.options(options) })
    };
    let sets = Set::ALL.into_iter().filter_map(set).collect();
    let thin = ThinNetwork::default();
    let networks = (float, loaded.whole(), &thin);
    let mut answerer = Answerer::new(key(&loaded), networks, sets, Kernels::best(), &stop);
    let _ = ready.send(Ok(()));
    for (ask, given, sender) in questions {
        let given: Vec<&[u8]> = given.iter().map(Vec::as_slice).collect();
        // Whoever asked may be gone.
        let _ = sender.send(answerer.answer(&ask, &given));
    }
    Ok(())
}

/// What makes two machines measure the same.
fn key(loaded: &Loaded) -> String {
    let (version, graph) = (env!("CARGO_PKG_VERSION"), loaded.whole());
    let measured = measured_on(&loaded.options, &loaded.model, &loaded.sets);
    let nodes = graph.nodes.iter().map(|node| {
        let about = format!("{} {} {} {:?}\n", node.name, node.op.name(), node.shape, node.inputs);
        let weights = node.op.weights().unwrap_or_default().iter().flat_map(|w| w.to_le_bytes());
        about.into_bytes().into_iter().chain(weights).collect::<Vec<u8>>()
    });
    // The system's library has these functions.
    let numbers = (1..200_u32).map(f64::from).flat_map(|x| {
        let [a, b] = [(-x / 7.0).exp(), (x / 7.0).ln()];
        [a.to_le_bytes(), b.to_le_bytes()].concat()
    });
    let [network, arithmetic] = [sha256_of(nodes), sha256_of([numbers.collect::<Vec<u8>>()])];
    format!(
        "fixedwise {version}, model and images {measured:.12}, network {network:.12}, arithmetic \
         {arithmetic:.12}"
    )
}

impl Job<'_> {
    /// What is asked of nodes about a set, where there are some.
    fn asked_nodes<'b>(
        &'b self,
        loaded: &Loaded,
        set: Set,
        stop: &'b AtomicBool,
    ) -> Option<Asked<'b>> {
        let nodes = self.nodes?;
        let set = Set::ALL.iter().position(|one| *one == set).unwrap_or_default();
        let thinned = loaded.model.thinned(loaded.options.semantics);
        Some(Asked { nodes, key: key(loaded), set, thinned, stop })
    }

    /// What the float network says of the images of a set.
    pub(super) fn said(
        &self,
        loaded: &Loaded,
        (set, images): (Set, &View),
        stop: &AtomicBool,
    ) -> Result<Said, Error> {
        let (float, kernels) = (loaded.model.graph(), Kernels::best());
        let Some(asked) = self.asked_nodes(loaded, set, stop) else {
            let predictions = judged(self.counts(), float, images, kernels, stop)?;
            return Ok(Said { predictions, rows: Vec::new() });
        };
        let rows = asked.float_rows(float, &FloatRun::new(float, images, kernels, stop)?)?;
        let predictions = Predictions::of_rows(float, images, &rows);
        Ok(Said { predictions: as_asked(self.counts(), predictions, images)?, rows })
    }

    /// What measures plans on the images of a set.
    pub(super) fn evaluator<'b>(
        &'b self,
        loaded: &'b Loaded,
        (set, images): (Set, &'b View),
        Said { predictions, rows }: Said,
        stop: &'b AtomicBool,
    ) -> Evaluator<'b> {
        let (graph, kernels, options) = (&loaded.graph, Kernels::best(), set.options(self.options));
        let Some(asked) = self.asked_nodes(loaded, set, stop) else {
            return Evaluator::new(graph, images, predictions, kernels, stop, options);
        };
        let predictions = Arc::new(predictions);
        let local = Local::new(graph, images, Arc::clone(&predictions), kernels, stop, options);
        Evaluator::over(graph, predictions, Box::new(Spread::new(asked, graph, local, &rows)))
    }
}
