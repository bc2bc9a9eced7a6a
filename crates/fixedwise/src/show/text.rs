//! A report as text of at most 100 columns, colored where the reader is a terminal.

use super::{
    report::{Cell, Mark, Part, Section, Sentence, Statement, Style},
    table::{Table, add_line, bar, shortened, styled},
};
use crate::names::ShortNames;

/// Longest short name of a node.
const NODE_NAME: usize = 16;
/// Longest name of something else, such as a target: beside other words of a cell, and in a line.
const NAME_IN_WORDS: usize = 14;
const NAME_IN_LINE: usize = 40;

/// All sections, an empty line between them; with ANSI colors where `color` says so.
pub(crate) fn text(sections: &[Section], color: bool) -> String {
    let names = short_names(sections);
    let mut out = String::new();
    for (idx, section) in sections.iter().enumerate() {
        if idx > 0 {
            out.push('\n');
        }
        add_section(section, &names, color, &mut out);
    }
    out
}

/// Short names of the nodes in cells and statements.
fn short_names(sections: &[Section]) -> ShortNames {
    let tables = sections.iter().filter_map(|section| section.table.as_ref());
    let cells =
        tables.flat_map(|table| table.rows.iter().flatten()).filter_map(|cell| match cell {
            Cell::Name(name) => Some(name.as_str()),
            _ => None,
        });
    let statements = sections.iter().flat_map(|section| &section.statements);
    let sentences =
        statements.flat_map(|statement| statement.details.iter().chain([&statement.text]));
    let parts = sentences.flat_map(|sentence| &sentence.0).filter_map(|part| match part {
        // What is said of a node may stand behind its name.
        Part::Name(name) => name.split(" (").next(),
        Part::Words(_) => None,
    });
    ShortNames::new(cells.chain(parts), NODE_NAME)
}

fn add_section(section: &Section, names: &ShortNames, color: bool, out: &mut String) {
    let title = styled(&section.title, Style::Bold, color);
    match &section.about {
        Some(about) => add_line(out, format_args!("{title}  {}", plain(about, NAME_IN_LINE))),
        None if title.is_empty() => {}
        None => add_line(out, format_args!("{title}")),
    }
    if let Some(table) = &section.table {
        let columns: Vec<_> =
            table.columns.iter().map(|column| (column.title, column.align, column.style)).collect();
        let mut shown = Table::new(&columns);
        for row in &table.rows {
            shown.row(row.iter().map(|each| cell(each, names)).collect());
        }
        shown.render(color, out);
    }
    for statement in &section.statements {
        add_statement(statement, names, color, out);
    }
    // Under a table they stand as its rows do.
    let indent = if section.table.is_some() { "  " } else { "" };
    for note in &section.notes {
        let note = format!("{indent}{}", plain(note, NAME_IN_LINE));
        add_line(out, format_args!("{}", styled(&note, Style::Dim, color)));
    }
}

fn cell(cell: &Cell, names: &ShortNames) -> String {
    match cell {
        Cell::Text(words) => plain(words, NAME_IN_WORDS),
        Cell::Name(name) => names.get(name),
        Cell::Number { value, unit } if unit.is_empty() => value.clone(),
        Cell::Number { value, unit } => format!("{value} {unit}"),
        Cell::Bits(bits) => bar(*bits),
    }
}

fn add_statement(statement: &Statement, names: &ShortNames, color: bool, out: &mut String) {
    let mark = statement.mark.map(|mark| match mark {
        Mark::Good => styled("✓", Style::Good, color),
        Mark::Bad => styled("✗", Style::Bad, color),
        Mark::Attention => styled("!", Style::Bad, color),
    });
    let text = words(&statement.text, &|name| names.get(name));
    let details = statement.details.iter();
    let details = details.map(|detail| format!("    {}", words(detail, &|name| names.get(name))));
    let (head, style) = match mark {
        Some(mark) => (format!("{mark} {text}"), Style::Plain),
        None => (styled(&text, Style::Dim, color), Style::Dim),
    };
    add_line(out, format_args!("{head}"));
    for detail in details {
        add_line(out, format_args!("{}", styled(&detail, style, color)));
    }
}

/// A sentence with its names no longer than `most`.
fn plain(sentence: &Sentence, most: usize) -> String {
    words(sentence, &|name| shortened(name, most))
}

/// A sentence, each name as `short` has it.
fn words(sentence: &Sentence, short: &dyn Fn(&str) -> String) -> String {
    let part = |part: &Part| match part {
        Part::Words(words) => words.clone(),
        Part::Name(name) => short(name),
    };
    sentence.0.iter().map(part).collect()
}
