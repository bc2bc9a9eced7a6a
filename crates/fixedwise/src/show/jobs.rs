//! Several searches as one table.

use super::{
    numbers::{grouped, percent},
    report::{Align, Cell, Column, Mark, Section, Statement, Style, Table},
    text::{TextOptions, text},
};
use crate::result::RunResult;
use serde_json::{Map, Value, json};

/// One search of several.
#[derive(Clone, Debug)]
pub struct JobResult {
    /// The network, as it was asked for.
    pub model: String,
    /// The options in which it differs from the others.
    pub options: Vec<(String, String)>,
    /// Where its files are.
    pub folder: String,
    /// What came of it, or why nothing did.
    pub found: Result<RunResult, String>,
}

impl JobResult {
    /// `max-loss=1%, seed=3`.
    fn about(&self) -> String {
        let told = self.options.iter().map(|(name, value)| {
            if value.is_empty() { name.clone() } else { format!("{name}={value}") }
        });
        let about = told.collect::<Vec<_>>().join(", ");
        if about.is_empty() { self.model.clone() } else { about }
    }
}

/// Searches as a table for people, a row for each; those that failed are told below.
///
/// ```
/// use fixedwise::{JobResult, RunResult, TextOptions, jobs_text};
///
/// let options = vec![("seed".to_owned(), "3".to_owned())];
/// let (model, folder) = ("net.onnx".to_owned(), "jobs/1".to_owned());
/// let found = Ok(RunResult::default());
/// let text = jobs_text(&[JobResult { model, options, folder, found }], &TextOptions::default());
/// assert!(text.contains("seed=3"));
/// ```
pub fn jobs_text(jobs: &[JobResult], options: &TextOptions) -> String {
    let columns = vec![
        Column::right("search", Style::Plain),
        Column::folded("options", Style::Plain),
        Column::right("memory saved", Style::Plain),
        Column::right("bit products saved", Style::Plain).optional(2),
        Column::right("flash, bytes", Style::Plain).optional(4),
        Column::right("RAM, bytes", Style::Plain).optional(3),
        Column::right("loss", Style::Plain),
        Column::new("bound", Align::Left, Style::Plain).optional(1),
    ];
    let row = |(place, job): (usize, &JobResult)| {
        let head = [Cell::number((place + 1).to_string()), Cell::text(job.about())];
        let figures = match &job.found {
            Err(_) => [""; 6].map(Cell::text).to_vec(),
            Ok(result) => {
                let set = result.accuracy.test.or(result.accuracy.search);
                let loss = set.map_or_else(String::new, |set| percent(set.relative_loss));
                let is_kept = result.bound_met && result.fits();
                vec![
                    Cell::number(percent(result.memory_bits.reduction)),
                    Cell::number(percent(result.multiplication_cost.operand_reduction)),
                    Cell::number(grouped(result.flash_bytes)),
                    Cell::number(grouped(result.peak_ram_bytes)),
                    Cell::number(loss),
                    Cell::text(if is_kept { "met" } else { "not met" }),
                ]
            }
        };
        head.into_iter().chain(figures).collect()
    };
    let rows = jobs.iter().enumerate().map(row).collect();
    let failed = jobs.iter().enumerate().filter_map(|(place, job)| {
        let problem = job.found.as_ref().err()?;
        let text = format!("Search {} ({}) failed: {problem}", place + 1, job.about());
        Some(Statement { mark: Some(Mark::Bad), text: text.into(), details: Vec::new() })
    });
    let section = Section {
        table: Some(Table { columns, rows }),
        statements: failed.collect(),
        notes: vec![
            "saved: against uniform 8 bit; loss: of the test images, else of the search images"
                .into(),
        ],
        ..Section::default()
    };
    text(&[section], options)
}

/// Searches as JSON: a list, with the options in which each differs and its figures or its error.
///
/// ```
/// assert_eq!(fixedwise::jobs_json(&[]).trim(), "[]");
/// ```
pub fn jobs_json(jobs: &[JobResult]) -> String {
    let row = |job: &JobResult| {
        let options: Map<String, Value> =
            job.options.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        let head = json!({"model": job.model, "options": options, "folder": job.folder});
        let figures = match &job.found {
            Err(problem) => json!({"error": problem}),
            Ok(result) => {
                let set = result.accuracy.test.or(result.accuracy.search);
                json!({
                    "bound_met": result.bound_met && result.fits(),
                    "memory_saved": result.memory_bits.reduction,
                    "bit_products_saved": result.multiplication_cost.operand_reduction,
                    "flash_bytes": result.flash_bytes,
                    "ram_bytes": result.peak_ram_bytes,
                    "fixed": set.map(|set| set.fixed),
                    "relative_loss": set.map(|set| set.relative_loss),
                    "seconds": result.seconds,
                })
            }
        };
        let members = [head, figures].into_iter().filter_map(|part| match part {
            Value::Object(members) => Some(members),
            _ => None,
        });
        members.flatten().collect::<Map<String, Value>>()
    };
    let rows: Vec<_> = jobs.iter().map(row).collect();
    format!("{:#}\n", json!(rows))
}
