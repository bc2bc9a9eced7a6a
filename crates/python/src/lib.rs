//! The native half of the Python package `fixedwise`.
//!
//! A function of the package is a command: [`run`] takes the words of its command line, and images that are in
//! memory. Names, defaults and refusals are those of the command, and what comes back is what it prints for programs.
//! The other half, `python/fixedwise`, turns Python's values into words and JSON into objects.
#![deny(unsafe_code)]
#![expect(clippy::needless_pass_by_value, reason = "arguments from Python are values")]

mod arrays;
mod errors;
mod host;
mod network;
mod nodes;

use fixedwise::{RunResult, Shown, TextOptions};
use fixedwise_cli::{CommandDescription, Failure, JobOption, Parameter};
use pyo3::{exceptions::PyValueError, prelude::*, types::PyDict};
use serde::Deserialize;
use std::{collections::BTreeMap, path::PathBuf};
use toml::Spanned;

/// Runs the program `fixedwise` on a command line, its name first, and gives the exit code.
#[pyfunction]
fn main(py: Python, words: Vec<String>) -> u8 {
    py.detach(|| fixedwise_cli::main(words.into_iter().map(Into::into).collect(), Some(&host::Ray)))
}

/// What commands there are and what they take.
#[pyfunction]
fn commands(py: Python<'_>) -> PyResult<Vec<Bound<'_, PyDict>>> {
    fixedwise_cli::commands().iter().map(|command| described(py, command)).collect()
}

fn described<'py>(py: Python<'py>, command: &CommandDescription) -> PyResult<Bound<'py, PyDict>> {
    let found = PyDict::new(py);
    found.set_item("words", &command.words)?;
    found.set_item("about", &command.about)?;
    let parameter = |parameter: &Parameter| -> PyResult<Bound<'py, PyDict>> {
        let found = PyDict::new(py);
        found.set_item("name", &parameter.name)?;
        found.set_item("help", &parameter.help)?;
        found.set_item("value_name", &parameter.value_name)?;
        found.set_item("is_positional", parameter.is_positional)?;
        found.set_item("is_required", parameter.is_required)?;
        found.set_item("is_flag", parameter.is_flag)?;
        found.set_item("is_list", parameter.is_list)?;
        found.set_item("delimiter", parameter.delimiter)?;
        found.set_item("default", &parameter.default)?;
        found.set_item("choices", &parameter.choices)?;
        Ok(found)
    };
    let parameters = command.parameters.iter().map(parameter).collect::<PyResult<Vec<_>>>()?;
    found.set_item("parameters", parameters)?;
    Ok(found)
}

/// The searches of a file: of each the options with their values, none where it is a flag.
#[pyfunction]
fn jobs(py: Python, file: PathBuf) -> PyResult<Vec<Vec<JobOption>>> {
    let jobs = fixedwise_cli::read_jobs(&file);
    jobs.map_err(|error| errors::exception(py, &Failure::Failed(error)))
}

/// The summary of a run from its JSON, in so many columns.
#[pyfunction]
fn summary(json: &str, columns: usize) -> PyResult<String> {
    let result = read(json)?;
    Ok(fixedwise::summary(&result, &TextOptions { columns, color: false, verbose: false }))
}

/// The pictures of a run from its JSON: names and SVG.
#[pyfunction]
fn pictures(json: &str) -> PyResult<Vec<(&'static str, String)>> {
    let result = read(json)?;
    let bits = fixedwise::PlanBits::from_result(&result);
    let mut found = vec![("bits", fixedwise::plot_bits(&[("plan", &bits)]))];
    if !result.front.is_empty() {
        found.push(("front", fixedwise::plot_front(&result)));
    }
    let drawn =
        found.into_iter().filter_map(|(name, picture)| Some((name, picture.ok()?.to_svg())));
    Ok(drawn.collect())
}

/// The page of runs: names, whether these are their folders, and their JSON.
#[pyfunction]
fn page(py: Python, runs: Vec<(String, bool, String)>) -> PyResult<String> {
    let results = runs.iter().map(|(_, _, json)| read(json)).collect::<PyResult<Vec<_>>>()?;
    let shown = runs.iter().zip(&results);
    let shown: Vec<Shown> = shown
        .map(|((label, is_folder, _), result)| Shown { label, is_folder: *is_folder, result })
        .collect();
    fixedwise::page(&shown).map_err(|error| errors::of_library(py, error))
}

fn read(json: &str) -> PyResult<RunResult> {
    RunResult::from_json(json).map_err(PyValueError::new_err)
}

/// What a `plan.toml` has formats for.
#[derive(Deserialize)]
struct Named {
    #[serde(default)]
    layers: BTreeMap<Spanned<String>, toml::Value>,
    #[serde(default)]
    others: BTreeMap<Spanned<String>, toml::Value>,
}

/// The contents of a `plan.toml` as JSON, and the names of layers and of other nodes in their order.
#[pyfunction]
fn plan_to_json(text: &str) -> PyResult<(String, Vec<String>)> {
    let wrong = |error: &dyn std::error::Error| PyValueError::new_err(error.to_string());
    let table: toml::Table = toml::from_str(text).map_err(|error| wrong(&error))?;
    let named: Named = toml::from_str(text).map_err(|error| wrong(&error))?;
    let mut names: Vec<_> = named.layers.into_keys().chain(named.others.into_keys()).collect();
    names.sort_by_key(|name| name.span().start);
    let json = serde_json::to_string(&table).map_err(|error| wrong(&error))?;
    Ok((json, names.into_iter().map(Spanned::into_inner).collect()))
}

/// A `plan.toml` with these contents.
#[pyfunction]
fn plan_from_json(json: &str) -> PyResult<String> {
    let wrong = |error: &dyn std::error::Error| PyValueError::new_err(error.to_string());
    let table: toml::Table = serde_json::from_str(json).map_err(|error| wrong(&error))?;
    toml::to_string(&table).map_err(|error| wrong(&error))
}

/// The module `fixedwise._fixedwise`.
#[pymodule]
mod _fixedwise {
    #[pymodule_export]
    use super::{
        commands, host::Worker, host::run, jobs, main, network::Network, page, pictures,
        plan_from_json, plan_to_json, summary,
    };

    #[pymodule_export]
    #[expect(non_upper_case_globals, reason = "the name that Python has for it")]
    const __version__: &str = env!("CARGO_PKG_VERSION");
}
