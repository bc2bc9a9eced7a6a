//! Python as the host of a command: it gives arrays, hears of progress and may interrupt.

use crate::{arrays::Images, errors::exception, nodes::PythonNodes};
use fixedwise::{DataSource, Nodes, Observer, Progress, Step};
use fixedwise_cli::{Cluster, Failure, Host, Verdict, progress_line};
use pyo3::{
    exceptions::{PyKeyboardInterrupt, PyRuntimeError},
    prelude::*,
    types::{PyBytes, PyDict},
};
use std::{
    collections::HashMap,
    ffi::OsString,
    panic::resume_unwind,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread,
    time::Duration,
};

/// How often the interpreter is asked for signals while a command runs.
const INTERVAL: Duration = Duration::from_millis(50);

/// What a running command tells.
enum Event {
    Progress(Box<Progress>),
    Note(String),
    Address(String),
}

struct PythonHost {
    images: HashMap<String, DataSource>,
    is_repeatable: bool,
    events: Mutex<Sender<Event>>,
    printed: Mutex<Vec<String>>,
    stop: Arc<AtomicBool>,
    nodes: Option<PythonNodes>,
}

impl PythonHost {
    fn new(
        images: &[(String, Images)],
        is_repeatable: bool,
        events: Sender<Event>,
    ) -> PyResult<Self> {
        let named = images.iter().map(|(name, images)| Ok((name.clone(), images.source()?)));
        Ok(Self {
            images: named.collect::<PyResult<_>>()?,
            is_repeatable,
            events: Mutex::new(events),
            printed: Mutex::default(),
            stop: Arc::default(),
            nodes: None,
        })
    }

    fn tell(&self, event: Event) {
        // Nobody listens any more once the caller has been interrupted twice.
        let _ = self.events.lock().unwrap_or_else(PoisonError::into_inner).send(event);
    }
}

impl Host for PythonHost {
    fn images(&self, argument: &str) -> Option<DataSource> {
        self.images.get(argument).cloned()
    }

    fn is_repeatable(&self) -> bool {
        self.is_repeatable
    }

    fn watch(&self, _: bool) -> Box<dyn Observer + '_> {
        Box::new(|progress: &Progress| self.tell(Event::Progress(Box::new(progress.clone()))))
    }

    fn print(&self, text: &str) -> anyhow::Result<()> {
        self.printed.lock().unwrap_or_else(PoisonError::into_inner).push(text.to_owned());
        Ok(())
    }

    fn note(&self, text: &str) {
        self.tell(Event::Note(text.to_owned()));
    }

    fn stop(&self) -> anyhow::Result<Arc<AtomicBool>> {
        Ok(Arc::clone(&self.stop))
    }

    fn wait(&self) -> anyhow::Result<()> {
        while !self.stop.load(Ordering::Relaxed) {
            thread::sleep(INTERVAL);
        }
        Ok(())
    }

    fn cluster(&self) -> Option<&dyn Cluster> {
        Some(&Ray)
    }

    fn nodes(&self) -> Option<&dyn Nodes> {
        self.nodes.as_ref().map(|nodes| -> &dyn Nodes { nodes })
    }

    fn address(&self, url: &str) {
        self.tell(Event::Address(url.to_owned()));
    }
}

/// The Python half, which runs searches on a cluster of Ray.
pub(crate) struct Ray;

impl Cluster for Ray {
    fn run(
        &self,
        file: &Path,
        address: &str,
        folders: &[PathBuf],
    ) -> anyhow::Result<Vec<Option<String>>> {
        Python::attach(|py| {
            let run = py.import("fixedwise._ray")?.getattr("run_file")?;
            run.call1((file, address, folders.to_vec()))?.extract()
        })
        .map_err(|error: PyErr| anyhow::anyhow!(Python::attach(|py| error.value(py).to_string())))
    }

    fn nodes(&self, words: &[OsString], address: &str) -> anyhow::Result<Box<dyn Nodes>> {
        let nodes = Python::attach(|py| {
            let of = py.import("fixedwise._spread")?.getattr("of_command")?;
            Ok(PythonNodes::new(of.call1((words.to_vec(), address))?.unbind()))
        });
        let failed =
            |error: PyErr| anyhow::anyhow!(Python::attach(|py| error.value(py).to_string()));
        Ok(Box::new(nodes.map_err(failed)?))
    }
}

/// Runs a command line, the name of the program first, with images in memory by the words that stand for them.
///
/// `notify` is called with a dictionary for each step. The lock of the interpreter is free while the command runs. An
/// interrupt, or an exception of `notify`, ends it with the best so far; a second interrupt leaves it to itself.
///
/// `nodes` measure images, too, where they are given.
///
/// Gives whether bound and budgets are met, and what was printed.
#[pyfunction]
#[pyo3(signature = (words, images, is_repeatable, notify, nodes=None))]
pub(crate) fn run(
    py: Python,
    words: Vec<String>,
    images: Vec<(String, Images)>,
    is_repeatable: bool,
    notify: &Bound<PyAny>,
    nodes: Option<Py<PyAny>>,
) -> PyResult<(bool, Vec<String>)> {
    let (sender, receiver) = mpsc::channel();
    let receiver = Mutex::new(receiver);
    let host = PythonHost::new(&images, is_repeatable, sender.clone())?;
    let host = Arc::new(PythonHost { nodes: nodes.map(PythonNodes::new), ..host });
    let worker = thread::spawn({
        let host = Arc::clone(&host);
        move || {
            let words = words.into_iter().map(Into::into).collect();
            let result = fixedwise_cli::run(words, &*host);
            // With it the waiting below ends.
            drop(sender);
            result
        }
    });
    let mut problem = None;
    let mut is_interrupted = false;
    loop {
        let event = py.detach(|| {
            receiver.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(INTERVAL)
        });
        let told = match event {
            Ok(event) if problem.is_none() => tell(py, notify, &event),
            Ok(_) | Err(RecvTimeoutError::Timeout) => Ok(()),
            Err(RecvTimeoutError::Disconnected) => break,
        };
        // An interrupt may arrive while `notify` runs.
        for error in [told, py.check_signals()].into_iter().filter_map(Result::err) {
            host.stop.store(true, Ordering::Relaxed);
            if !error.is_instance_of::<PyKeyboardInterrupt>(py) {
                problem = Some(error);
            } else if is_interrupted {
                return Err(error);
            } else {
                is_interrupted = true;
            }
        }
        if worker.is_finished() {
            break;
        }
    }
    let result = py.detach(|| worker.join()).unwrap_or_else(|panic| resume_unwind(panic));
    // What was told last.
    let rest: Vec<Event> =
        receiver.lock().unwrap_or_else(PoisonError::into_inner).try_iter().collect();
    for event in rest {
        if problem.is_none() {
            problem = tell(py, notify, &event).err();
        }
    }
    if let Some(problem) = problem {
        return Err(problem);
    }
    let printed = std::mem::take(&mut *host.printed.lock().unwrap_or_else(PoisonError::into_inner));
    finished(py, result, printed)
}

fn finished(
    py: Python,
    result: Result<Verdict, Failure>,
    printed: Vec<String>,
) -> PyResult<(bool, Vec<String>)> {
    match result {
        Ok(verdict) => Ok((verdict == Verdict::Done, printed)),
        Err(failure) => Err(exception(py, &failure)),
    }
}

/// Tells of an event as a dictionary.
fn tell(py: Python, notify: &Bound<PyAny>, event: &Event) -> PyResult<()> {
    let about = PyDict::new(py);
    match event {
        Event::Note(text) => about.set_item("warning", text.trim_start_matches("! "))?,
        Event::Address(url) => about.set_item("address", url)?,
        Event::Progress(progress) => {
            let Progress { seconds, step } = &**progress;
            match step {
                Step::Warned { warning } => about.set_item("warning", warning)?,
                Step::MeasuredFloat { preprocessing, float } => {
                    about.set_item("text", fixedwise::first_result(preprocessing, float))?;
                }
                _ => {}
            }
            if let Some(line) = progress_line(step) {
                about.set_item("text", line.text)?;
                about.set_item("done", line.done)?;
                about.set_item("total", line.total)?;
            }
            if let Step::Searching(candidate) = step {
                about.set_item("node", &candidate.name)?;
                about.set_item("kind", candidate.kind)?;
                about.set_item("format", candidate.format)?;
                about.set_item("loss", candidate.loss)?;
                about.set_item("memory_bits", candidate.memory_bits)?;
                about.set_item("seconds_left", candidate.time_left.map(|left| left.seconds))?;
            }
            about.set_item("seconds", seconds)?;
        }
    }
    if about.is_empty() {
        return Ok(());
    }
    notify.call1((about,)).map(drop)
}

/// Measures images for the search of a command line on another machine.
#[pyclass(frozen)]
pub(crate) struct Worker(fixedwise::Worker);

#[pymethods]
impl Worker {
    #[new]
    fn new(py: Python, words: Vec<String>, images: Vec<(String, Images)>) -> PyResult<Self> {
        let host = PythonHost::new(&images, false, mpsc::channel().0)?;
        let words = words.into_iter().map(Into::into).collect();
        let worker = py.detach(|| fixedwise_cli::worker(words, &host));
        worker.map(Self).map_err(|failure| exception(py, &failure))
    }

    /// The answer to a question, with what is given for it.
    fn answer(&self, py: Python, ask: &[u8], given: Vec<Vec<u8>>) -> PyResult<Py<PyBytes>> {
        let given: Vec<&[u8]> = given.iter().map(Vec::as_slice).collect();
        let answer = py.detach(|| self.0.answer(ask, &given));
        let answer =
            answer.ok_or_else(|| PyRuntimeError::new_err("a worker was ended by a panic"))?;
        Ok(PyBytes::new(py, &answer).unbind())
    }
}
