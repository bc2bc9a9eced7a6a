//! What a network takes of a device, layer by layer.

use super::{
    numbers::grouped,
    report::{Cell, Column, Sentence, Style, Table},
};
use crate::result::{CExportedLayer, ClockResult, HolderResult, SchedulePart};

/// Values at the peak that are named.
const NAMED: usize = 5;
/// The column of milliseconds, behind that of instructions.
const MILLISECONDS: usize = 5;

/// A row for each layer.
pub(super) fn table(layers: &[CExportedLayer], clock: Option<&ClockResult>) -> Table {
    let mut columns = vec![
        Column::names("layer"),
        Column::folded("kernel", Style::Dim),
        Column::right("weight bits", Style::Weights).optional(3),
        Column::right("value bits", Style::Activations).optional(2),
        Column::right("instructions", Style::Plain),
        Column::right("constants", Style::Weights),
        Column::right("value", Style::Activations),
        Column::right("rows", Style::Dim).optional(1),
        Column::right("scratch", Style::Plain),
    ];
    if clock.is_some() {
        columns.insert(MILLISECONDS, Column::right("ms", Style::Plain));
    }
    let number = |n: u64| if n == 0 { Cell::empty() } else { Cell::number(grouped(n)) };
    let row = |layer: &CExportedLayer| {
        let mut cells = vec![
            Cell::Name(layer.name.clone()),
            Cell::text(&layer.kernel),
            layer.weight_bits.map_or_else(Cell::empty, |bits| Cell::number(bits.to_string())),
            Cell::number(layer.value_bits.to_string()),
            number(layer.instructions),
            number(layer.constant_bytes),
            number(layer.value_bytes),
            layer.rows.map_or_else(Cell::empty, |rows| Cell::number(rows.to_string())),
            number(layer.scratch_bytes),
        ];
        if clock.is_some() {
            let ms = layer.milliseconds.filter(|&ms| ms > 0.0);
            cells.insert(
                MILLISECONDS,
                ms.map_or_else(Cell::empty, |ms| Cell::number(format!("{ms:.3}"))),
            );
        }
        cells
    };
    Table { columns, rows: layers.iter().map(row).collect() }
}

/// All instructions, and their time.
pub(super) fn instructions(
    (all, schedule): (u64, u64),
    processor: &str,
    clock: Option<&ClockResult>,
) -> String {
    let schedule = match schedule {
        0 => String::new(),
        n => format!(", {} of them for the order of rows", grouped(n)),
    };
    let mut text = format!("{} instructions an image on {processor}{schedule}", grouped(all));
    if let Some(ClockResult { hz, cycles_per_instruction, milliseconds }) = clock {
        let unit = if (cycles_per_instruction - 1.0).abs() < 1e-9 { "cycle" } else { "cycles" };
        text += &format!(
            "; {milliseconds:.2} ms at {} with {cycles_per_instruction} {unit} an instruction",
            hertz(*hz)
        );
    }
    text
}

/// What is missing from the instructions.
pub(super) fn uncounted(kernels: &[String], processor: &str) -> Option<String> {
    (!kernels.is_empty()).then(|| {
        format!("not counted, since they were not measured on {processor}: {}", kernels.join(", "))
    })
}

/// What lies in the arena where it holds most.
pub(super) fn peak(peak: &[HolderResult]) -> Option<String> {
    let part =
        |part: &HolderResult| format!("{}{} {}", part.name, part.rows_text(), grouped(part.bytes));
    let parts: Vec<String> = peak.iter().take(NAMED).map(part).collect();
    let more = match peak.len().saturating_sub(NAMED) {
        0 => String::new(),
        n => format!(", {n} more"),
    };
    (!parts.is_empty()).then(|| format!("peak: {}{more}", parts.join(", ")))
}

/// What flows and what is computed whole, in order.
pub(super) fn order(schedule: &[SchedulePart]) -> Sentence {
    let mut order = Sentence::from("order:");
    let (mut rest, mut is_first) = (schedule, true);
    while let Some(part) = rest.first() {
        let then = if is_first { " " } else { "; then " };
        let last = part.nodes.last().map_or("", |node| &node.name);
        if part.flows {
            let first = part.nodes.first().map_or("", |node| &node.name);
            let begin = order.and(format!("{then}rows flow from ")).and_name(first);
            order = begin.and(" to ").and_name(last);
            rest = &rest[1..];
        } else {
            let end = rest.iter().position(|part| part.flows).unwrap_or(rest.len());
            let names = rest[..end].iter().flat_map(|part| &part.nodes);
            for (at, node) in names.take(NAMED).enumerate() {
                let before = if at == 0 { format!("{then}whole ") } else { ", ".to_owned() };
                order = order.and(before).and_name(&node.name);
            }
            if end > NAMED {
                order = order.and(format!(", {} more", end - NAMED));
            }
            rest = &rest[end..];
        }
        is_first = false;
    }
    order
}

/// Cycles of a second in the largest unit that gives a short number.
fn hertz(hz: u64) -> String {
    for (unit, each) in [("GHz", 1_000_000_000), ("MHz", 1_000_000), ("kHz", 1_000)] {
        // At most three digits after the point.
        if hz >= each && hz.is_multiple_of(each / 1_000) {
            let (whole, part) = (hz / each, hz % each / (each / 1_000));
            let number = format!("{whole}.{part:03}");
            return format!("{} {unit}", number.trim_end_matches('0').trim_end_matches('.'));
        }
    }
    format!("{hz} Hz")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        result::ScheduledNode,
        show::{
            report::Section,
            text::{TextOptions, text},
        },
    };

    #[test]
    fn the_order_of_parts_is_told() {
        let node = |name: &str| ScheduledNode { name: name.to_owned(), rows: 3, height: 28 };
        let part = |names: &str| SchedulePart {
            flows: names.contains(' '),
            nodes: names.split(' ').map(node).collect(),
        };
        let said = |parts: &[&str]| {
            let schedule: Vec<_> = parts.iter().map(|names| part(names)).collect();
            let notes = vec![order(&schedule)];
            let options = TextOptions { columns: 200, ..TextOptions::default() };
            text(&[Section { notes, ..Section::default() }], &options).trim().to_owned()
        };
        assert_eq!(said(&["x a b", "c", "d"]), "order: rows flow from x to b; then whole c, d");
        assert_eq!(
            said(&["x", "a b", "c d", "e", "f", "g", "h", "i", "j"]),
            "order: whole x; then rows flow from a to b; then rows flow from c to d; then whole e, f, g, \
             h, i, 1 more"
        );
    }

    #[test]
    fn a_clock_is_told_in_its_unit() {
        for (hz, expected) in [
            (80_000_000, "80 MHz"),
            (1_200_000_000, "1.2 GHz"),
            (32_768, "32.768 kHz"),
            (1_000, "1 kHz"),
            (999, "999 Hz"),
            (16_000_001, "16000.001 kHz"),
        ] {
            assert_eq!(hertz(hz), expected);
        }
    }
}
