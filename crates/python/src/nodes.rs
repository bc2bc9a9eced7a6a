//! Nodes of a cluster, which Python reaches.

use fixedwise::{NodeQuestion, Nodes, NodesHappened};
use pyo3::{
    prelude::*,
    types::{PyBytes, PyList},
};
use std::sync::{Mutex, PoisonError};

/// An object of Python's with the methods of [`Nodes`]. `ask` takes what is given as pairs of names and bytes, `next` gives
/// a pair: what happened, and `None`, the number, the number with the answer, or a problem.
pub(crate) struct PythonNodes {
    nodes: Py<PyAny>,
    /// What went wrong in Python, to be told next.
    problem: Mutex<Option<String>>,
}

impl PythonNodes {
    pub(crate) fn new(nodes: Py<PyAny>) -> Self {
        Self { nodes, problem: Mutex::default() }
    }

    fn problem(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What Python gives; where that fails, the search will end.
    fn call<T>(&self, work: impl FnOnce(&Bound<PyAny>) -> PyResult<T>) -> Option<T> {
        Python::attach(|py| match work(self.nodes.bind(py)) {
            Ok(value) => Some(value),
            Err(error) => {
                self.problem().get_or_insert(error.value(py).to_string());
                None
            }
        })
    }
}

impl Nodes for PythonNodes {
    fn count(&self) -> usize {
        self.call(|nodes| nodes.call_method0("count")?.extract()).unwrap_or(0)
    }

    fn threads(&self) -> usize {
        self.call(|nodes| nodes.call_method0("threads")?.extract()).unwrap_or(1)
    }

    fn is_there(&self, node: usize) -> bool {
        self.call(|nodes| nodes.call_method1("is_there", (node,))?.extract()).unwrap_or(false)
    }

    fn ask(&self, node: usize, NodeQuestion { ask, given }: NodeQuestion) -> u64 {
        self.call(|nodes| {
            let py = nodes.py();
            let given = given.iter().map(|one| (&one.name, PyBytes::new(py, &one.bytes)));
            let given = PyList::new(py, given.collect::<Vec<_>>())?;
            nodes.call_method1("ask", (node, PyBytes::new(py, &ask), given))?.extract()
        })
        .unwrap_or(u64::MAX)
    }

    fn next(&self) -> NodesHappened {
        let happened = self.call(|nodes| {
            let (what, value): (String, Bound<PyAny>) = nodes.call_method0("next")?.extract()?;
            Ok(match what.as_str() {
                "late" => NodesHappened::Late,
                "lost" => NodesHappened::Lost(value.extract()?),
                "refused" => NodesHappened::Refused(value.extract()?),
                "answered" => {
                    let (number, answer): (u64, Vec<u8>) = value.extract()?;
                    NodesHappened::Answered(number, answer)
                }
                _ => NodesHappened::Nothing,
            })
        });
        match self.problem().take() {
            Some(problem) => NodesHappened::Refused(problem),
            None => happened.unwrap_or(NodesHappened::Nothing),
        }
    }
}
