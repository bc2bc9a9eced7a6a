//! What the plan makes of each output, where the network has several.

use super::super::{
    numbers::percent,
    report::{Align, Cell, Column, Section, Sentence, Style, Table},
};
use crate::result::{OutputResult, RunResult, SetResult};

/// What a set of images gives.
type Set = fn(&OutputResult) -> Option<&SetResult>;

/// Nothing where there is one output.
pub(super) fn section(result: &RunResult) -> Option<Section> {
    if result.outputs.is_empty() {
        return None;
    }
    let sets: [(&str, Set); 2] =
        [("search", |output| output.search.as_ref()), ("test", |output| output.test.as_ref())];
    let rows = result.outputs.iter().flat_map(|output| {
        sets.into_iter().filter_map(|(name, set)| {
            let set = set(output)?;
            let db = set.sqnr_db.map_or_else(|| "exact".to_owned(), |db| format!("{db:.2} dB"));
            Some(vec![
                Cell::text(output.name.clone()),
                Cell::text(name),
                Cell::number(percent(set.fixed)),
                Cell::number(db),
            ])
        })
    });
    let table = Table {
        columns: vec![
            Column::new("output", Align::Left, Style::Plain),
            Column::new("set", Align::Left, Style::Plain),
            Column::right("right", Style::Plain),
            Column::right("SQNR", Style::Bold),
        ],
        rows: rows.collect(),
    };
    let note = "right: share of images with the label of the first output or, without labels and in other \
                outputs, with the class of the float network; SQNR: relative to the float network";
    let notes = vec![Sentence::from(note.to_owned())];
    Some(Section { title: "Outputs".to_owned(), table: Some(table), notes, ..Section::default() })
}
