//! The recall of every class.

use super::table::{Cell, Table};
use crate::result::{LostImageResult, RunResult};
use fixedwise_fixed::convert::u64_to_f64;
use serde::Serialize;

/// An image that was lost.
#[derive(Serialize)]
pub(super) struct Lost {
    png: String,
    about: String,
    label: String,
    named: String,
}

/// Images that were lost, those of the classes that lose most first.
pub(super) fn lost(result: &RunResult) -> Vec<Lost> {
    let one = |image: &LostImageResult| {
        let (label, named) = (result.class_name(image.label), result.class_name(image.named));
        Lost {
            png: image.png.clone(),
            about: format!("image {}: {label}, named {named}", image.image),
            label,
            named,
        }
    };
    result.lost_images.iter().map(one).collect()
}

/// The worst first; nothing where images have no labels of classes.
pub(super) fn table(result: &RunResult) -> Option<Table> {
    let mut table = Table::new(&[
        "class",
        "#images",
        "#recall of the float network, %",
        "#of the integer network, %",
        "#difference, points",
        "95 % interval, %",
    ]);
    let mut rows: Vec<(f64, Vec<Cell>)> = Vec::new();
    let percent = |part: f64| Cell::number(format!("{:.2}", 100.0 * part), 100.0 * part);
    for class in &result.classes {
        let Some(recall) = class.test.as_ref().or(class.search.as_ref()) else { continue };
        let difference = 100.0 * (recall.fixed - recall.float);
        let interval = recall.interval95.map_or_else(String::new, |[low, high]| {
            format!("{:.1} to {:.1}", 100.0 * low, 100.0 * high)
        });
        let sign = if difference < 0.0 { "bad" } else { "" };
        let cells = vec![
            Cell::name(result.class_name(class.class)),
            Cell::number(super::super::grouped(recall.n), u64_to_f64(recall.n)),
            percent(recall.float),
            percent(recall.fixed),
            Cell::number(format!("{difference:+.2}"), difference).of_class(sign),
            Cell::text(interval),
        ];
        rows.push((recall.fixed, cells));
    }
    rows.sort_by(|a, b| a.0.total_cmp(&b.0));
    rows.into_iter().for_each(|(_, cells)| table.row(cells));
    let is_test = result.classes.iter().any(|class| class.test.is_some());
    let set = if is_test { "held-out test images" } else { "search images" };
    table.notes.push(format!("Recall on the {set}; the class with the lowest recall first."));
    (!table.rows.is_empty()).then_some(table)
}
