//! What the float network and the plan get right, or what their outputs are worth.

use super::super::{
    numbers::{grouped, interval_text, percent},
    report::{Align, Cell, Column, Section, Sentence, Style, Table},
};
use crate::result::{AGREEMENT, ClassResult, RecallResult, RunResult, SetResult};

const SET: Column = Column::new("", Align::Left, Style::Plain);
const IMAGES: Column = Column::right("images", Style::Plain);
const FLOAT: Column = Column::right("float", Style::Plain);
const FIXED: Column = Column::right("fixed", Style::Bold);
const LOSS: Column = Column::right("loss", Style::Bold);
const INTERVAL: Column = Column::right("95 % interval", Style::Plain);

/// What is said of a set beside its name and size; nothing where that was not measured.
type Row = fn(&SetResult) -> Option<Vec<Cell>>;

pub(super) fn section(result: &RunResult) -> Section {
    let calibration = match result.images.calibration {
        0 => String::new(),
        n => format!("{} other images for calibration; ", grouped(n)),
    };
    let (title, columns, row, note): (&str, Vec<Column>, Row, String) = match result.metric.as_str()
    {
        "sqnr" => (
            "Accuracy",
            vec![SET, IMAGES, Column::right("SQNR", Style::Bold)],
            sqnr,
            "SQNR: signal-to-quantization-noise ratio of the outputs, relative to the float \
                 network"
                .to_owned(),
        ),
        "command" => (
            "Accuracy",
            vec![SET, IMAGES, FLOAT, FIXED],
            metric,
            "result of the metric command; larger is better".to_owned(),
        ),
        AGREEMENT => (
            "Agreement with the float network",
            vec![
                SET,
                IMAGES,
                Column::right("agreement", Style::Bold),
                LOSS,
                INTERVAL,
                Column::right("differ", Style::Plain).optional(1),
            ],
            agreement,
            format!(
                "{calibration}no labels: agreement is the share of images with the class of the \
                 float network, loss the rest; the accuracy is unknown"
            ),
        ),
        _ => (
            "Accuracy",
            vec![
                SET,
                IMAGES,
                FLOAT,
                FIXED,
                LOSS,
                INTERVAL,
                Column::right("lost", Style::Plain).optional(1),
                Column::right("gained", Style::Plain).optional(1),
            ],
            classes,
            format!(
                "{calibration}loss: relative to float; lost: only float is correct; gained: only \
                 fixed is correct"
            ),
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
    let mut notes = vec![Sentence::from(note)];
    if result.metric == "accuracy" {
        notes.extend(worst_class(result).map(Sentence::from));
        notes.extend(top5(result).map(Sentence::from));
    }
    Section { title: title.to_owned(), table: Some(table), notes, ..Section::default() }
}

/// The class that the plan recognizes worst, on the test images where there are some.
fn worst_class(result: &RunResult) -> Option<String> {
    let of = |set: fn(&ClassResult) -> Option<RecallResult>| {
        let classes = result.classes.iter().filter_map(|class| Some((class.class, set(class)?)));
        classes.min_by(|a, b| a.1.fixed.total_cmp(&b.1.fixed))
    };
    let (set, (class, recall)) = match (of(|class| class.test), of(|class| class.search)) {
        (Some(found), _) => ("test", found),
        (None, found) => ("search", found?),
    };
    Some(format!(
        "worst class: {}, recall {} (float {}) of {} {set} images",
        result.class_name(class),
        percent(recall.fixed),
        percent(recall.float),
        grouped(recall.n)
    ))
}

fn top5(result: &RunResult) -> Option<String> {
    let set = |set: &Option<SetResult>| set.as_ref().and_then(|set| set.top5);
    let (set, [float, fixed]) = match (set(&result.accuracy.test), set(&result.accuracy.search)) {
        (Some(found), _) => ("test", found),
        (None, found) => ("search", found?),
    };
    Some(format!("top-5: {} (float {}) of the {set} images", percent(fixed), percent(float)))
}

fn sqnr(set: &SetResult) -> Option<Vec<Cell>> {
    set.sqnr_db.map(|db| vec![Cell::number(format!("{db:.2} dB"))])
}

fn metric(set: &SetResult) -> Option<Vec<Cell>> {
    set.metric.map(|both| both.map(|value| Cell::number(format!("{value:.6}"))).to_vec())
}

#[expect(clippy::unnecessary_wraps, reason = "as what outputs are worth")]
fn agreement(set: &SetResult) -> Option<Vec<Cell>> {
    // Nothing can agree better than the float network with itself.
    let interval = set.interval95.map(|end| end.max(0.0));
    Some(vec![
        Cell::number(percent(set.fixed)),
        Cell::number(percent(set.relative_loss)),
        Cell::text(interval_text(interval)),
        Cell::number(grouped(set.lost)),
    ])
}

#[expect(clippy::unnecessary_wraps, reason = "as what outputs are worth")]
fn classes(set: &SetResult) -> Option<Vec<Cell>> {
    Some(vec![
        Cell::number(percent(set.float)),
        Cell::number(percent(set.fixed)),
        Cell::number(percent(set.relative_loss)),
        Cell::text(interval_text(set.interval95)),
        Cell::number(grouped(set.lost)),
        Cell::number(grouped(set.gained)),
    ])
}
