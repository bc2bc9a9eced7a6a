//! A table that sorts.

use serde::Serialize;

/// Rows under a head.
#[derive(Serialize, Default)]
pub(super) struct Table {
    pub(super) columns: Vec<Column>,
    pub(super) rows: Vec<Row>,
    pub(super) notes: Vec<String>,
}

/// The head of a column.
#[derive(Serialize)]
pub(super) struct Column {
    pub(super) title: String,
    /// Whether its cells are numbers.
    pub(super) is_number: bool,
}

/// A row; something else on the page may lead to it.
#[derive(Serialize, Default)]
pub(super) struct Row {
    pub(super) id: String,
    pub(super) cells: Vec<Cell>,
    /// What is shown below it on demand: its title and its text.
    pub(super) more: Option<(String, String)>,
}

/// A place of a table.
#[derive(Serialize, Default)]
pub(super) struct Cell {
    pub(super) text: String,
    /// What it is sorted by, where that is not its text.
    pub(super) value: Option<f64>,
    /// `name`, `good`, `bad`, `dim`, or a width in bits: `b4`.
    pub(super) class: String,
    /// The share of the largest of its column, as a bar.
    pub(super) bar: Option<f64>,
    /// A line through points of 0 to 100 by 0 to 20, and the point that was chosen.
    pub(super) line: Option<(String, (f64, f64))>,
    /// Counts over a range as a path in 96 by 20.
    pub(super) histogram: Option<String>,
}

impl Table {
    /// A table with those columns; numbers have `#` before their title.
    pub(super) fn new(titles: &[&str]) -> Self {
        let column = |title: &&str| Column {
            title: title.trim_start_matches('#').to_owned(),
            is_number: title.starts_with('#'),
        };
        Self { columns: titles.iter().map(column).collect(), ..Self::default() }
    }

    pub(super) fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(Row { cells, ..Row::default() });
    }
}

impl Cell {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    pub(super) fn name(text: impl Into<String>) -> Self {
        Self { class: "name".to_owned(), ..Self::text(text) }
    }

    /// A number as it is written and as it is.
    pub(super) fn number(text: impl Into<String>, value: f64) -> Self {
        Self { value: Some(value), ..Self::text(text) }
    }

    pub(super) fn of_class(self, class: impl Into<String>) -> Self {
        Self { class: class.into(), ..self }
    }
}
