//! A run as one HTML page that needs no network and no other file; while it goes on, as a page that is served.
//!
//! `sections.rs` shows the sections that the terminal shows, `network.rs` draws the graph, `layers.rs`, `front.rs`,
//! `classes.rs` and `memory.rs` are tables and pictures of their own, `now.rs` says how far a run is; each gives plain data, and `page.html` is the only
//! place where that becomes HTML. A browser runs no script and no style but those of the page, by their hashes.

mod classes;
mod compare;
mod front;
mod layers;
mod memory;
mod network;
mod now;
mod sections;
mod table;

use crate::{error::Error, fingerprint::base64_sha256, result::RunResult, watch::Running};
use minijinja::{AutoEscape, Environment};
use serde::Serialize;

const TEMPLATE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
/// Of a page that is served while a run goes on.
const LIVE: &str = include_str!("live.js");

pub use now::Now;

/// All that a page says.
#[derive(Serialize, Default)]
struct Page<'a> {
    title: String,
    tool: &'a str,
    style: &'static str,
    script: String,
    /// What a browser may load and run.
    policy: String,
    /// What was asked for, as a command line; empty where the run does not say.
    command: String,
    now: Option<now::Told>,
    sections: Vec<sections::Section>,
    network: Option<network::Drawing>,
    layers: Option<table::Table>,
    front: Option<front::Front>,
    classes: Option<table::Table>,
    lost: Vec<classes::Lost>,
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
    Ok(served_page(runs)?.html)
}

/// The same with what a server has to say of it.
///
/// # Errors
/// As [`page`].
///
/// ```
/// # fn main() -> Result<(), fixedwise::Error> {
/// use fixedwise::{RunResult, Shown, served_page};
///
/// let result = RunResult::default();
/// let page = served_page(&[Shown { label: "run", is_folder: true, result: &result }])?;
/// assert!(page.html.contains(&page.policy) && page.policy.contains("default-src 'none'"));
/// # Ok(())
/// # }
/// ```
pub fn served_page(runs: &[Shown]) -> Result<ServedPage, Error> {
    let Some(&first) = runs.first() else {
        let problem = "there is no run to show".to_owned();
        return Err(Error::Picture { picture: "report", problem });
    };
    let Shown { label, result, .. } = first;
    let page = Page {
        sections: sections::sections(result),
        layers: Some(layers::table(result)),
        front: front::front(first, "the answer"),
        classes: classes::table(result),
        lost: classes::lost(result),
        memory: memory::memory(result),
        compared: (runs.len() > 1).then(|| compare::table(runs)),
        ..Page::of(label.to_owned(), result, SCRIPT.to_owned())
    };
    page.rendered()
}

/// A page with what a server has to say of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedPage {
    /// The page.
    pub html: String,
    /// What a browser may load and run for it: the value of a header `Content-Security-Policy`.
    pub policy: String,
}

/// Writes a run that goes on as the page of a server: it asks for itself again, and takes what is new.
///
/// Where `now` says so, a button posts to `stop` beside the page.
///
/// # Errors
/// [`Error::Picture`] where the page cannot be written.
///
/// ```
/// # fn main() -> Result<(), fixedwise::Error> {
/// use fixedwise::{Now, Running, running_page};
///
/// let now = Now { text: "calibrating".to_owned(), may_stop: true, ..Now::default() };
/// let page = running_page("run", &Running::default(), &now)?;
/// assert!(page.html.contains("calibrating") && page.policy.contains("connect-src 'self'"));
/// # Ok(())
/// # }
/// ```
pub fn running_page(label: &str, running: &Running, now: &Now) -> Result<ServedPage, Error> {
    let result = &running.result;
    let shown = Shown { label, is_folder: false, result };
    let page = Page {
        now: Some(now::told(running, now)),
        sections: sections::before(result),
        front: front::front(shown, "the best so far"),
        ..Page::of(format!("{label}, running"), result, SCRIPT.to_owned() + LIVE)
    };
    page.rendered()
}

impl<'a> Page<'a> {
    /// What every page has.
    fn of(label: String, result: &'a RunResult, script: String) -> Self {
        let name = &result.model.name;
        Self {
            title: if name.is_empty() { label } else { format!("{name}: {label}") },
            tool: &result.tool,
            style: STYLE,
            policy: format!(
                "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; connect-src {}; \
                 img-src data:; base-uri 'none'; form-action 'none'",
                base64_sha256(STYLE.as_bytes()),
                base64_sha256(script.as_bytes()),
                if script == SCRIPT { "'none'" } else { "'self'" },
            ),
            script,
            command: front::command_line(&result.command),
            network: network::drawing(result),
            ..Self::default()
        }
    }

    fn rendered(self) -> Result<ServedPage, Error> {
        let wrong = |error: minijinja::Error| Error::Picture {
            picture: "report",
            problem: error.to_string(),
        };
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|_| AutoEscape::Html);
        environment.add_template("page.html", TEMPLATE).map_err(wrong)?;
        let template = environment.get_template("page.html").map_err(wrong)?;
        let html = template.render(minijinja::value::Serde(&self)).map_err(wrong)?;
        Ok(ServedPage { html, policy: self.policy })
    }
}

#[cfg(test)]
mod tests;
