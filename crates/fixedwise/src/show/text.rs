//! A report as text within the width of a terminal, colored where the reader is one.

use super::{
    report::{Cell, Mark, Part, Section, Sentence, Statement, Style, Table},
    table::{Grid, add_line, bar, shortened, styled},
};
use crate::{fold::folded, names::ShortNames};

/// Longest short name of a node.
const NODE_NAME: usize = 40;
/// Longest name of something else, such as a target: beside other words of a cell, and in a line.
const NAME_IN_WORDS: usize = 14;
const NAME_IN_LINE: usize = 40;

/// How a result becomes text.
///
/// ```
/// let wide = fixedwise::TextOptions { columns: 120, ..Default::default() };
/// assert!(!wide.color);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextOptions {
    /// Columns of a line: tables leave columns out, texts are folded.
    pub columns: usize,
    /// Whether there are ANSI colors.
    pub color: bool,
    /// Whether there is also what few readers need.
    pub verbose: bool,
}

impl TextOptions {
    /// Columns of a terminal that does not say how wide it is.
    pub const COLUMNS: usize = 80;
}

impl Default for TextOptions {
    fn default() -> Self {
        Self { columns: Self::COLUMNS, color: false, verbose: false }
    }
}

/// All sections, an empty line between them.
pub(super) fn text(sections: &[Section], options: &TextOptions) -> String {
    let renderer = Renderer { names: short_names(sections, options.columns), options: *options };
    let mut out = String::new();
    for (idx, section) in sections.iter().enumerate() {
        if idx > 0 {
            out.push('\n');
        }
        renderer.section(section, &mut out);
    }
    out
}

/// Short names of the nodes in cells and statements, the same everywhere: as wide as the tables have room
/// for.
fn short_names(sections: &[Section], columns: usize) -> ShortNames {
    let tables = || sections.iter().filter_map(|section| section.table.as_ref());
    let cells =
        tables().flat_map(|table| table.rows.iter().flatten()).filter_map(|cell| match cell {
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
    let names: Vec<&str> = cells.chain(parts).collect();
    let widest = ShortNames::new(names.iter().copied(), NODE_NAME);
    let widths = tables().filter_map(|table| grid(table, &widest).name_width(columns));
    match widths.min() {
        Some(width) if width < NODE_NAME => ShortNames::new(names, width),
        _ => widest,
    }
}

fn grid<'a>(table: &'a Table, names: &ShortNames) -> Grid<'a> {
    let rows = table.rows.iter();
    Grid::new(
        &table.columns,
        rows.map(|row| row.iter().map(|each| cell(each, names)).collect()).collect(),
    )
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

struct Renderer {
    names: ShortNames,
    options: TextOptions,
}

impl Renderer {
    fn section(&self, section: &Section, out: &mut String) {
        let TextOptions { columns, color, .. } = self.options;
        let title = &section.title;
        let about = section.about.as_ref().map(|about| plain(about, NAME_IN_LINE));
        let parts = [title.as_str(), about.as_deref().unwrap_or_default()];
        let head = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("  ");
        if !head.is_empty() {
            for line in folded(&head, columns, "  ") {
                let rest = line.strip_prefix(title.as_str()).filter(|_| !title.is_empty());
                let line =
                    rest.map(|rest| styled(title, Style::Bold, color) + rest).unwrap_or(line);
                add_line(out, &line);
            }
        }
        if let Some(table) = &section.table {
            grid(table, &self.names).render(columns, color, out);
        }
        for statement in &section.statements {
            self.statement(statement, out);
        }
        // Under a table they stand as its rows do.
        let indent = if section.table.is_some() { "  " } else { "" };
        for note in &section.notes {
            let note = format!("{indent}{}", plain(note, NAME_IN_LINE));
            self.lines(&note, &format!("{indent}  "), Style::Dim, out);
        }
    }

    fn statement(&self, statement: &Statement, out: &mut String) {
        let TextOptions { columns, color, .. } = self.options;
        let text = words(&statement.text, &|name| self.names.get(name));
        let style = match statement.mark {
            None => {
                self.lines(&text, "  ", Style::Dim, out);
                Style::Dim
            }
            Some(mark) => {
                let (sign, style) = match mark {
                    Mark::Good => ("✓", Style::Good),
                    Mark::Bad => ("✗", Style::Bad),
                    Mark::Attention => ("!", Style::Bad),
                };
                let lines = folded(&format!("{sign} {text}"), columns, "  ");
                for line in lines {
                    let rest = line.strip_prefix(sign);
                    let line = rest.map(|rest| styled(sign, style, color) + rest).unwrap_or(line);
                    add_line(out, &line);
                }
                Style::Plain
            }
        };
        for detail in &statement.details {
            let detail = format!("    {}", words(detail, &|name| self.names.get(name)));
            self.lines(&detail, "      ", style, out);
        }
    }

    /// Adds a text, folded.
    fn lines(&self, text: &str, indent: &str, style: Style, out: &mut String) {
        for line in folded(text, self.options.columns, indent) {
            add_line(out, &styled(&line, style, self.options.color));
        }
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
