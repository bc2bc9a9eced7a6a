//! The formats of every layer.

use super::super::{
    numbers::rounded,
    report::{Align, Cell, Column, Section, Sentence, Style, Table},
};
use crate::result::{FormatResult, LayerResult, RunResult};
use std::fmt::Write as _;

const COLUMNS: [Column; 10] = [
    Column::names("layer"),
    Column::new("operator", Align::Left, Style::Dim).optional(3),
    Column::right("output", Style::Dim).optional(4),
    Column::right("MACs", Style::Plain).optional(2),
    Column::new("weights", Align::Left, Style::Weights),
    Column::new("bias", Align::Left, Style::Plain),
    Column::new("activation", Align::Left, Style::Activations),
    Column::right("acc", Style::Plain).optional(1),
    Column::new("weights", Align::Left, Style::Weights).optional(5),
    Column::new("activ.", Align::Left, Style::Activations).optional(5),
];

const NOTE: &str = "s5 F9: signed, 5 bits (BW), step 2^-9 (F = 9); u: unsigned; acc: worst-case \
                    accumulator bits";

pub(super) fn section(result: &RunResult) -> Section {
    let activation = |name: &String, format: &FormatResult| {
        let text = format_text(format);
        Cell::text(if result.inner.contains(name) { format!("({text})") } else { text })
    };
    let layer = |one: &LayerResult| layer(one, activation(&one.name, &one.activation));
    let mut rows: Vec<Vec<Cell>> = result.layers.iter().map(layer).collect();
    rows.extend(result.others.iter().map(|other| {
        let empty = Cell::empty;
        vec![
            Cell::Name(other.name.clone()),
            Cell::text(&other.op),
            empty(),
            empty(),
            empty(),
            empty(),
            activation(&other.name, &other.activation),
            empty(),
            empty(),
            Cell::Bits(other.activation.bits),
        ]
    }));
    let mut notes = vec![Sentence::from(NOTE)];
    if result.layers.iter().any(|layer| !layer.coarser.is_empty()) {
        notes.push("*: per-channel binary points; F is that of the finest channel".into());
    }
    if result.layers.iter().any(|layer| !layer.dropped_channels.is_empty()) {
        notes.push(
            "(-8): so many output channels are dropped; the layers that took them make up for it"
                .into(),
        );
    }
    if !result.inner.is_empty() {
        notes.push(
            "(s8 F4): not stored, the function that takes it is computed in its place".into(),
        );
    }
    let table = Table { columns: COLUMNS.to_vec(), rows };
    Section { title: "Layers".to_owned(), table: Some(table), notes, ..Section::default() }
}

fn layer(layer: &LayerResult, activation: Cell) -> Vec<Cell> {
    let [h, w, c] = layer.output_shape;
    let mut shape = if h == 1 && w == 1 { c.to_string() } else { format!("{h}x{w}x{c}") };
    if !layer.dropped_channels.is_empty() {
        write!(shape, " (-{})", layer.dropped_channels.len()).expect("a string takes all");
    }
    let acc = layer.accumulator_bits;
    vec![
        Cell::Name(layer.name.clone()),
        Cell::text(&layer.op),
        Cell::text(shape),
        Cell::number(rounded(layer.macs)),
        Cell::text(format!("{}{}", format_text(&layer.weights), own_points(layer))),
        Cell::text(format_text(&layer.bias)),
        activation,
        if acc == 0 { Cell::text("-") } else { Cell::number(acc.to_string()) },
        Cell::Bits(layer.weights.bits),
        Cell::Bits(layer.activation.bits),
    ]
}

/// `s5 F9`: sign, width, fractional offset.
pub(in crate::show) fn format_text(format: &FormatResult) -> String {
    match format.frac {
        None if format.bits == 32 => "float".to_owned(),
        None => format!("s{}", format.bits),
        Some(frac) if format.bipolar => format!("±1 F{frac}"),
        Some(frac) => {
            let sign = if format.signed { 's' } else { 'u' };
            format!("{sign}{} F{frac}", format.bits)
        }
    }
}

/// Marks weights whose output channels have binary points of their own.
fn own_points(layer: &LayerResult) -> &'static str {
    if layer.coarser.is_empty() { "" } else { "*" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_short() {
        let of = |bits, frac, signed| {
            format_text(&FormatResult { bits, frac, signed, full: false, bipolar: false, count: 1 })
        };
        assert_eq!(of(5, Some(9), true), "s5 F9");
        assert_eq!(of(6, Some(-3), false), "u6 F-3");
        assert_eq!(of(32, None, true), "float");
        let (bits, frac, signed) = (1, Some(3), true);
        let signs = FormatResult { bits, frac, signed, full: false, bipolar: true, count: 1 };
        assert_eq!(format_text(&signs), "±1 F3");
    }
}
