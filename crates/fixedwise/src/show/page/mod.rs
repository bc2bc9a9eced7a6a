//! A run as one HTML page that needs no network and no other file.
//!
//! `sections.rs` shows the sections that the terminal shows, `network.rs` draws the graph, `layers.rs`, `front.rs`,
//! `classes.rs` and `memory.rs` are tables and pictures of their own; each gives plain data, and `page.html` is the only
//! place where that becomes HTML. A browser runs no script and no style but those of the page, by their hashes.

mod classes;
mod compare;
mod front;
mod layers;
mod memory;
mod network;
mod sections;
mod table;

use crate::{error::Error, fingerprint::base64_sha256, result::RunResult};
use minijinja::{AutoEscape, Environment};
use serde::Serialize;

const TEMPLATE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// A part of the page.
#[derive(Serialize)]
struct Page<'a> {
    title: String,
    tool: &'a str,
    style: &'static str,
    script: &'static str,
    style_hash: String,
    script_hash: String,
    /// What was asked for, as a command line; empty where the run does not say.
    command: String,
    sections: Vec<sections::Section>,
    network: Option<network::Drawing>,
    layers: table::Table,
    front: Option<front::Front>,
    classes: Option<table::Table>,
    memory: Vec<memory::Memory>,
    compared: Option<table::Table>,
}

/// A run to be shown.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    /// What it is called.
    pub label: &'a str,
    /// Whether that is the folder that its files lie in.
    pub is_folder: bool,
    /// What came of it.
    pub result: &'a RunResult,
}

/// Writes a run as one HTML page; with other runs beside it.
///
/// # Errors
/// [`Error::Picture`] where the page cannot be written.
///
/// ```
/// # fn main() -> Result<(), fixedwise::Error> {
/// use fixedwise::{RunResult, Shown, page};
///
/// let mut result = RunResult::default();
/// result.model.name = "<script>".to_owned();
/// let html = page(&[Shown { label: "run", is_folder: true, result: &result }])?;
/// assert!(html.contains("&lt;script&gt;"));
/// # Ok(())
/// # }
/// ```
pub fn page(runs: &[Shown]) -> Result<String, Error> {
    let refuse = |problem: String| Error::Picture { picture: "report", problem };
    let Some(&first) = runs.first() else {
        return Err(refuse("there is no run to show".to_owned()));
    };
    let Shown { label, result, .. } = first;
    let page = Page {
        title: format!("{}: {label}", result.model.name),
        tool: &result.tool,
        style: STYLE,
        script: SCRIPT,
        style_hash: base64_sha256(STYLE.as_bytes()),
        script_hash: base64_sha256(SCRIPT.as_bytes()),
        command: front::command_line(&result.command),
        sections: sections::sections(result),
        network: network::drawing(result),
        layers: layers::table(result),
        front: front::front(first),
        classes: classes::table(result),
        memory: memory::memory(result),
        compared: (runs.len() > 1).then(|| compare::table(runs)),
    };
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    let wrong = |error: minijinja::Error| refuse(error.to_string());
    environment.add_template("page.html", TEMPLATE).map_err(wrong)?;
    let template = environment.get_template("page.html").map_err(wrong)?;
    template.render(minijinja::value::Serde(&page)).map_err(wrong)
}

#[cfg(test)]
mod tests;
