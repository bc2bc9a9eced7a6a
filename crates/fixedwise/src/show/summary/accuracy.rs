//! What the float network and the plan get right, or what their outputs are worth.

use super::super::{
    numbers::{
        figure_text, figure_title, grouped, interval_text, loss_interval_text, loss_text, percent,
    },
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
            vec![SET, IMAGES, Column::right("SQNR", Style::Bold), INTERVAL],
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
        "miou" | "mae" | "psnr" | "auc" => return figures(result, &calibration),
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
    if result.metric == "accuracy" || result.metric == "top5" {
        notes.extend(worst_class(result).map(Sentence::from));
        notes.extend(top5(result).map(Sentence::from));
    }
    Section { title: title.to_owned(), table: Some(table), notes, ..Section::default() }
}

/// What both networks reach by a metric that is computed of all images.
fn figures(result: &RunResult, calibration: &str) -> Section {
    let metric = &result.metric;
    let sets = [("search", &result.accuracy.search), ("test", &result.accuracy.test)];
    let found =
        sets.map(|(name, set)| set.as_ref().and_then(|set| Some((name, set.n, set.figure?))));
    let rows = found.iter().flatten().map(|(name, n, figure)| {
        vec![
            Cell::text(*name),
            Cell::number(grouped(*n)),
            Cell::number(figure_text(metric, figure.float)),
            Cell::number(figure_text(metric, figure.fixed)),
            Cell::number(loss_text(figure.unit, figure.loss)),
            Cell::text(loss_interval_text(figure.unit, figure.loss_interval95)),
        ]
    });
    let columns = vec![SET, IMAGES, FLOAT, FIXED, LOSS, INTERVAL];
    let table = Table { columns, rows: rows.collect() };
    let resamples = found.iter().flatten().next().map_or(0, |(_, _, figure)| figure.resamples);
    let title = figure_title(metric);
    let of_labels = match metric.as_str() {
        "miou" => " of the classes, places with the label 255 left out",
        "auc" => ": that an image with label 1 has a larger score than one with label 0",
        "psnr" => " of all values, by the labels",
        _ => " of the values, by the labels",
    };
    let mut notes = vec![Sentence::from(format!(
        "{calibration}{title}{of_labels}; loss: against float; intervals by bootstrap over images, {} \
         resamples",
        grouped(resamples)
    ))];
    // On the images that decided nothing, where there are some.
    let last = found.iter().flatten().last();
    notes.extend(last.map(|(name, _, figure)| {
        let [low, high] = figure.fixed_interval95.map(|end| figure_text(metric, end));
        Sentence::from(format!("95 % interval of fixed, {name}: {low} to {high}"))
    }));
    notes.extend(last.and_then(|(name, _, figure)| {
        let [float, fixed] = figure.pixel_accuracy?.map(percent);
        Some(Sentence::from(format!("pixel accuracy, {name}: {fixed} (float {float})")))
    }));
    notes.extend(worst_class(result).map(Sentence::from));
    Section { title: "Accuracy".to_owned(), table: Some(table), notes, ..Section::default() }
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
    let interval = recall.interval95.map(|ends| format!("; 95 % interval {}", interval_text(ends)));
    let what = if result.metric == "miou" { "places" } else { "images" };
    Some(format!(
        "worst class: {}, recall {} (float {}{}) of {} {set} {what}",
        result.class_name(class),
        percent(recall.fixed),
        percent(recall.float),
        interval.unwrap_or_default(),
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
    let [low, high] = set.sqnr_interval95.unwrap_or([f64::NAN; 2]);
    let interval = format!("{low:.2} to {high:.2} dB");
    set.sqnr_db.map(|db| vec![Cell::number(format!("{db:.2} dB")), Cell::text(interval)])
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
