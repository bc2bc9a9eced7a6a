//! What the float network and the plan get right, or what their outputs are worth.

use super::super::{
    numbers::{grouped, percent},
    report::{Align, Cell, Column, Section, Sentence, Style, Table},
};
use crate::result::{RunResult, SetResult};

const SET: Column = Column { title: "", align: Align::Left, style: Style::Plain };
const IMAGES: Column = right("images", Style::Plain);
const FLOAT: Column = right("float", Style::Plain);
const FIXED: Column = right("fixed", Style::Bold);

/// What is said of a set beside its name and size; nothing where that was not measured.
type Row = fn(&SetResult) -> Option<Vec<Cell>>;

const fn right(title: &'static str, style: Style) -> Column {
    Column { title, align: Align::Right, style }
}

pub(super) fn section(result: &RunResult) -> Section {
    let (columns, row, note): (Vec<Column>, Row, String) = match result.metric.as_str() {
        "sqnr" => (
            vec![SET, IMAGES, right("SQNR", Style::Bold)],
            sqnr,
            "SQNR: signal-to-quantization-noise ratio of the outputs, relative to the float \
                 network"
                .to_owned(),
        ),
        "command" => (
            vec![SET, IMAGES, FLOAT, FIXED],
            metric,
            "result of the metric command; larger is better".to_owned(),
        ),
        _ => (
            vec![
                SET,
                IMAGES,
                FLOAT,
                FIXED,
                right("relative loss", Style::Bold),
                right("95 % interval", Style::Plain),
                right("lost", Style::Plain),
                right("gained", Style::Plain),
            ],
            classes,
            note(result),
        ),
    };
    let sets = [("search", &result.accuracy.search), ("test", &result.accuracy.test)];
    let rows = sets.into_iter().filter_map(|(name, set)| {
        let set = set.as_ref()?;
        let mut cells = vec![Cell::text(name), Cell::number(grouped(set.n))];
        cells.extend(row(set)?);
        Some(cells)
    });
    let table = Table { columns, rows: rows.collect() };
    let notes = vec![Sentence::from(note)];
    Section { title: "Accuracy".to_owned(), table: Some(table), notes, ..Section::default() }
}

fn sqnr(set: &SetResult) -> Option<Vec<Cell>> {
    set.sqnr_db.map(|db| vec![Cell::number(format!("{db:.2} dB"))])
}

fn metric(set: &SetResult) -> Option<Vec<Cell>> {
    set.metric.map(|both| both.map(|value| Cell::number(format!("{value:.6}"))).to_vec())
}

#[expect(clippy::unnecessary_wraps, reason = "as what outputs are worth")]
fn classes(set: &SetResult) -> Option<Vec<Cell>> {
    let [low, high] = set.interval95.map(percent);
    let share = |fraction| Cell::number(percent(fraction));
    Some(vec![
        share(set.float),
        share(set.fixed),
        share(set.relative_loss),
        Cell::text(format!("{low} to {high}")),
        Cell::number(grouped(set.lost)),
        Cell::number(grouped(set.gained)),
    ])
}

fn note(result: &RunResult) -> String {
    let calibration = match result.images.calibration {
        0 => String::new(),
        n => format!("{} other images for calibration; ", grouped(n)),
    };
    if result.metric == "agreement" {
        format!("{calibration}no labels: correct means the same class as in float")
    } else {
        format!("{calibration}lost: only float is correct; gained: only fixed is correct")
    }
}
