//! The bytes of functions, as `cargo xtask bench code` has measured them.

use crate::emit::c::cpu::{Cpu, Optimization};
use std::{collections::BTreeMap, sync::OnceLock};

/// Lines that begin with `#` say what it is; then there is a line for each function: its kind, and its bytes at
/// `-Os` and `-O2` on each core, `-` where a core has no use for it.
const TEXT: &str = include_str!("table.txt");

/// A row: its bytes in the order of the columns.
type Row = Vec<Option<u64>>;

/// The rows, and of each kernel the kind that others are compared with.
struct Table {
    rows: BTreeMap<&'static str, Row>,
    bases: BTreeMap<&'static str, &'static str>,
}

fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut table = Table { rows: BTreeMap::new(), bases: BTreeMap::new() };
        for line in TEXT.lines().filter(|line| !line.starts_with('#')) {
            let mut words = line.split_whitespace();
            let Some(kind) = words.next() else { continue };
            table.rows.insert(kind, words.map(|word| word.parse().ok()).collect());
            table.bases.entry(kernel(kind)).or_insert(kind);
        }
        table
    })
}

/// The first word of a kind.
fn kernel(kind: &str) -> &str {
    kind.split_once('_').map_or(kind, |(kernel, _)| kernel)
}

/// The compilers, with their versions, that the table was measured with.
pub fn compiler(cpu: Cpu) -> &'static str {
    let family = if cpu == Cpu::Rv32imc { "# riscv:" } else { "# arm:" };
    let line = TEXT.lines().find_map(|line| line.strip_prefix(family));
    line.unwrap_or_default().trim()
}

/// The bytes of a function; `None` where nothing is known of it.
///
/// A kind that was not measured differs in several words from the first of its kernel: these differences were
/// measured alone or some of them together, and they add up.
///
/// What a difference makes that was not measured is left out.
pub(super) fn bytes(kind: &str, cpu: Cpu, optimization: Optimization) -> Option<u64> {
    Some(find(kind, cpu, optimization)?.0)
}

/// Whether all is measured that the bytes of a function depend on.
pub(super) fn knows(kind: &str, cpu: Cpu) -> bool {
    find(kind, cpu, Optimization::Speed).is_some_and(|(_, is_known)| is_known)
}

/// The bytes, and whether nothing was left out.
fn find(kind: &str, cpu: Cpu, optimization: Optimization) -> Option<(u64, bool)> {
    let column = 2 * Cpu::ALL.iter().position(|&other| other == cpu)?
        + Optimization::ALL.iter().position(|&other| other == optimization)?;
    let table = table();
    let measured = |kind: &str| table.rows.get(kind)?.get(column).copied().flatten();
    if let Some(bytes) = measured(kind) {
        return Some((bytes, true));
    }
    let base = table.bases.get(kernel(kind))?;
    let of_base = i64::try_from(measured(base)?).ok()?;
    let words = |kind: &'static str| -> Vec<&'static str> { kind.split('_').collect() };
    let (base, wanted): (Vec<&str>, Vec<&str>) = (words(base), kind.split('_').collect());
    // The row that has most of the differences together; the others are added one by one.
    let is_between = |row: &[&str]| {
        row.len() == wanted.len()
            && base.len() == wanted.len()
            && row.iter().enumerate().all(|(i, word)| *word == base[i] || *word == wanted[i])
    };
    let agrees = |row: &[&str]| row.iter().zip(&wanted).filter(|(a, b)| a == b).count();
    let rows = table.rows.keys().filter(|row| kernel(row) == kernel(kind));
    let rows = rows.filter(|row| measured(row).is_some()).map(|row| words(row));
    let near = rows.filter(|row| is_between(row)).max_by_key(|row| agrees(row));
    let Some(near) = near else { return Some((u64::try_from(of_base).ok()?, false)) };
    let (mut sum, mut is_known) = (i64::try_from(measured(&near.join("_"))?).ok()?, true);
    for (i, word) in wanted.iter().enumerate().filter(|&(i, word)| near[i] != *word) {
        let mut changed = base.clone();
        changed[i] = word;
        match measured(&changed.join("_")) {
            Some(bytes) => sum += i64::try_from(bytes).ok()? - of_base,
            None => is_known = false,
        }
    }
    Some((u64::try_from(sum).ok()?, is_known))
}
