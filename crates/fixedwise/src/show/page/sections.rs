//! The sections of the terminal, but the layers, which have a table of their own.

use super::{
    super::{
        report::{Align, Cell, Mark, Sentence, Style},
        summary,
    },
    table::{self, Column, Table},
};
use crate::result::RunResult;
use serde::Serialize;

/// What stands together under one title.
#[derive(Serialize)]
pub(super) struct Section {
    title: String,
    about: String,
    table: Option<Table>,
    statements: Vec<Statement>,
    notes: Vec<String>,
}

#[derive(Serialize)]
struct Statement {
    mark: &'static str,
    text: String,
    details: Vec<String>,
}

/// What is known before a search: the network, and what it makes of the images in float.
pub(super) fn before(result: &RunResult) -> Vec<Section> {
    let is_known = !result.model.name.is_empty();
    is_known.then(|| section(summary::head(result))).into_iter().collect()
}

pub(super) fn sections(result: &RunResult) -> Vec<Section> {
    let mut shown = summary::sections(result, true);
    shown.retain(|section| section.title != "Layers");
    // What came out stands first: the verdict, then what it rests on, then what it costs.
    shown[1..].sort_by_key(|section| match section.title.as_str() {
        "" => 0,
        "Costs" => 2,
        _ => 1,
    });
    shown.into_iter().map(section).collect()
}

fn section(section: super::super::report::Section) -> Section {
    Section {
        title: section.title,
        about: section.about.as_ref().map(words).unwrap_or_default(),
        table: section.table.map(|table| Table {
            columns: table
                .columns
                .iter()
                .map(|column| Column {
                    title: column.title.to_owned(),
                    is_number: column.align == Align::Right,
                })
                .collect(),
            rows: table
                .rows
                .iter()
                .map(|row| table::Row {
                    cells: row
                        .iter()
                        .zip(&table.columns)
                        .map(|(one, column)| cell(one, column.style))
                        .collect(),
                    ..table::Row::default()
                })
                .collect(),
            notes: Vec::new(),
        }),
        statements: section
            .statements
            .iter()
            .map(|statement| Statement {
                mark: match statement.mark {
                    None => "",
                    Some(Mark::Good) => "good",
                    Some(Mark::Bad) => "bad",
                    Some(Mark::Attention) => "attention",
                },
                text: words(&statement.text),
                details: statement.details.iter().map(words).collect(),
            })
            .collect(),
        notes: section.notes.iter().map(words).collect(),
    }
}

fn words(sentence: &Sentence) -> String {
    use super::super::report::Part;
    let part = |part: &Part| match part {
        Part::Words(text) | Part::Name(text) => text.clone(),
    };
    sentence.0.iter().map(part).collect()
}

fn cell(cell: &Cell, style: Style) -> table::Cell {
    let class = match style {
        Style::Dim => "dim",
        Style::Good => "good",
        Style::Bad => "bad",
        Style::Bold => "bold",
        Style::Plain | Style::Weights | Style::Activations => "",
    };
    match cell {
        Cell::Text(text) => table::Cell::text(words(text)).of_class(class),
        Cell::Name(name) => table::Cell::name(name),
        Cell::Bits(bits) => table::Cell::number(bits.to_string(), f64::from(*bits)),
        Cell::Number { value, unit } => {
            let text = if unit.is_empty() { value.clone() } else { format!("{value} {unit}") };
            table::Cell { value: number(value, unit), ..table::Cell::text(text) }.of_class(class)
        }
    }
}

/// What a number with its unit is.
fn number(value: &str, unit: &str) -> Option<f64> {
    let scale = match unit {
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "KiB" => 1024.0,
        "MiB" => 1_048_576.0,
        _ => 1.0,
    };
    value.replace(',', "").parse::<f64>().ok().map(|number| number * scale)
}
