//! What a turn of each loop takes, as `cargo xtask bench instructions` has measured it.

use crate::emit::c::cpu::{Cpu, Optimization};
use std::{collections::BTreeMap, sync::OnceLock};

/// Lines that begin with `#` say what it is; then there is a line for each function: its kind, and the instructions of
/// its loops, separated by `:`, at `-Os` and `-O2` on each core, `-` where it was not measured.
const TEXT: &str = include_str!("table.txt");

/// Columns of a row.
type Row = Vec<Option<Vec<f64>>>;

fn table() -> &'static BTreeMap<&'static str, Row> {
    static TABLE: OnceLock<BTreeMap<&'static str, Row>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let cell = |word: &str| word.split(':').map(|number| number.parse().ok()).collect();
        let mut rows = BTreeMap::new();
        for line in TEXT.lines().filter(|line| !line.starts_with('#')) {
            let mut words = line.split_whitespace();
            let Some(kind) = words.next() else { continue };
            rows.insert(kind, words.map(cell).collect());
        }
        rows
    })
}

/// The kernel of a kind.
pub(super) fn kernel(kind: &str) -> &str {
    kind.split_once('_').map_or(kind, |(kernel, _)| kernel)
}

/// Instructions of a turn of each loop of a function; `None` where nothing of its kernel is measured.
///
/// A kind that was not measured takes what the most similar one of its kernel does: they differ in the types of
/// what is loaded and stored.
pub(super) fn instructions(
    kind: &str,
    cpu: Cpu,
    optimization: Optimization,
) -> Option<&'static [f64]> {
    let column = 2 * Cpu::ALL.iter().position(|&other| other == cpu)?
        + Optimization::ALL.iter().position(|&other| other == optimization)?;
    let measured = |row: &'static Row| row.get(column)?.as_deref();
    let rows = table();
    if let Some(found) = rows.get(kind).and_then(measured) {
        return Some(found);
    }
    let agrees = |row: &str| row.split('_').zip(kind.split('_')).filter(|(a, b)| a == b).count();
    let alike = rows.iter().filter(|(row, _)| kernel(row) == kernel(kind));
    let alike = alike.filter_map(|(row, cells)| Some((agrees(row), measured(cells)?)));
    // The first of those that agree alike.
    let nearest = alike.reduce(|best, other| if other.0 > best.0 { other } else { best });
    nearest.map(|(_, found)| found)
}
