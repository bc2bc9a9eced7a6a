//! Errors as exceptions of the package.

use fixedwise::{Error, Subject};
use fixedwise_cli::Failure;
use pyo3::{exceptions::PyKeyboardInterrupt, prelude::*, types::PyDict};

/// The exception for a command that gave nothing; those that were stopped are interrupted.
pub(crate) fn exception(py: Python, failure: &Failure) -> PyErr {
    match failure {
        Failure::Usage(error) => {
            // Without the usage of a command line.
            let text = error.render().to_string();
            let text = text.split("\n\nUsage:").next().unwrap_or_default();
            let text = text.split("\n\nFor more information").next().unwrap_or_default();
            let text = text.trim().trim_start_matches("error: ").replace("--", "");
            raised(py, "option", &text, None)
        }
        Failure::Failed(error) => {
            let known = error.chain().find_map(|cause| cause.downcast_ref::<Error>());
            of(py, known, &format!("{error:#}"))
        }
    }
}

/// The exception for an error of the library.
pub(crate) fn of_library(py: Python, error: Error) -> PyErr {
    let error = anyhow::Error::from(error);
    let text = format!("{error:#}");
    of(py, error.downcast_ref(), &text)
}

fn of(py: Python, known: Option<&Error>, text: &str) -> PyErr {
    match known.map(Error::subject) {
        Some(Subject::Stopped) => PyKeyboardInterrupt::new_err(text.to_owned()),
        Some(Subject::Model) => raised(py, "model", text, known),
        Some(Subject::Data) => raised(py, "data", text, known),
        Some(Subject::Plan) => raised(py, "plan", text, known),
        Some(Subject::Target) => raised(py, "target", text, known),
        Some(Subject::Export) => raised(py, "export", text, known),
        Some(Subject::File) => raised(py, "file", text, known),
        Some(Subject::Result) => raised(py, "result", text, known),
        Some(Subject::Search) => raised(py, "search", text, known),
        Some(_) | None => raised(py, "option", text, known),
    }
}

/// The exception that the Python half makes.
fn raised(py: Python, kind: &str, text: &str, known: Option<&Error>) -> PyErr {
    let made = || -> PyResult<Bound<PyAny>> {
        let about = PyDict::new(py);
        about
            .set_item("file", known.and_then(Error::path).map(|path| path.display().to_string()))?;
        let refusals = known.map(Error::refusals).unwrap_or_default();
        let refusals = refusals.into_iter().map(|one| (one.operator, one.problem, one.nodes));
        about.set_item("refusals", refusals.collect::<Vec<_>>())?;
        about.set_item("values_before", known.map(Error::values_before).unwrap_or_default())?;
        py.import("fixedwise._errors")?.getattr("made")?.call((kind, text), Some(&about))
    };
    made().map_or_else(|error| error, PyErr::from_value)
}
