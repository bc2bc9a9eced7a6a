//! A report as text of at most 100 columns, colored where the reader is a terminal.

use super::{
    report::{Cell, Mark, Part, Section, Sentence, Statement, Style},
    table::{Table, add_line, bar, shortened, styled},
};

/// Columns of a line.
const WIDTH: usize = 100;
/// Longest name that is shown in full in a cell, beside other words of a cell, and in a line.
const NAME_IN_CELL: usize = 16;
const NAME_IN_WORDS: usize = 14;
const NAME_IN_LINE: usize = 40;

/// All sections, an empty line between them; with ANSI colors where `color` says so.
pub(crate) fn text(sections: &[Section], color: bool) -> String {
    let mut out = String::new();
    for (idx, section) in sections.iter().enumerate() {
        if idx > 0 {
            out.push('\n');
        }
        add_section(section, color, &mut out);
    }
    out
}

fn add_section(section: &Section, color: bool, out: &mut String) {
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
            shown.row(row.iter().map(cell).collect());
        }
        shown.render(color, out);
    }
    for statement in &section.statements {
        add_statement(statement, color, out);
    }
    // Under a table they stand as its rows do.
    let indent = if section.table.is_some() { "  " } else { "" };
    for note in &section.notes {
        let note = format!("{indent}{}", plain(note, NAME_IN_LINE));
        add_line(out, format_args!("{}", styled(&note, Style::Dim, color)));
    }
}

fn cell(cell: &Cell) -> String {
    match cell {
        Cell::Text(words) => plain(words, NAME_IN_WORDS),
        Cell::Name(name) => shortened(name, NAME_IN_CELL),
        Cell::Number { value, unit } if unit.is_empty() => value.clone(),
        Cell::Number { value, unit } => format!("{value} {unit}"),
        Cell::Bits(bits) => bar(*bits),
    }
}

fn add_statement(statement: &Statement, color: bool, out: &mut String) {
    let mark = statement.mark.map(|mark| match mark {
        Mark::Good => styled("✓", Style::Good, color),
        Mark::Bad => styled("✗", Style::Bad, color),
        Mark::Attention => styled("!", Style::Bad, color),
    });
    let text = plain(&statement.text, NAME_IN_LINE);
    let details =
        statement.details.iter().map(|detail| format!("    {}", fitted(detail, WIDTH - 4)));
    match mark {
        Some(mark) => {
            add_line(out, format_args!("{mark} {text}"));
            details.for_each(|detail| add_line(out, format_args!("{detail}")));
        }
        None => {
            add_line(out, format_args!("{}", styled(&text, Style::Dim, color)));
            details.for_each(|line| {
                add_line(out, format_args!("{}", styled(&line, Style::Dim, color)))
            });
        }
    }
}

/// A sentence with its names no longer than `most`.
fn plain(sentence: &Sentence, most: usize) -> String {
    let part = |part: &Part| match part {
        Part::Words(words) => words.clone(),
        Part::Name(name) => shortened(name, most),
    };
    sentence.0.iter().map(part).collect()
}

/// A sentence whose names have what the words leave them of a line.
fn fitted(sentence: &Sentence, width: usize) -> String {
    let (mut words, mut names) = (0, 0);
    for part in &sentence.0 {
        match part {
            Part::Words(part) => words += part.chars().count(),
            Part::Name(_) => names += 1,
        }
    }
    let each = width.saturating_sub(words) / names.max(1);
    plain(sentence, each.clamp(NAME_IN_CELL, NAME_IN_LINE))
}
