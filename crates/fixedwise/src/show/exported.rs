//! An export of C, as a table.

use super::{
    numbers::grouped,
    report::{Cell, Column, Section, Style, Table},
    text::{TextOptions, text},
};
use crate::result::CExported;

impl CExported {
    /// As a table for people.
    pub fn summary(&self, options: &TextOptions) -> String {
        let columns = vec![
            Column::names("layer"),
            Column::folded("kernel", Style::Dim),
            Column::right("constants", Style::Weights),
            Column::right("value", Style::Activations),
            Column::right("scratch", Style::Plain),
        ];
        let bytes =
            |bytes: u64| if bytes == 0 { Cell::empty() } else { Cell::number(grouped(bytes)) };
        let rows = self.layers.iter().map(|layer| {
            vec![
                Cell::Name(layer.name.clone()),
                Cell::text(&layer.kernel),
                bytes(layer.constant_bytes),
                bytes(layer.value_bytes),
                bytes(layer.scratch_bytes),
            ]
        });
        let table = Table { columns, rows: rows.collect() };
        let (flash, ram) = (grouped(self.flash_bytes), grouped(self.peak_ram_bytes));
        let note = format!(
            "C for {}: {flash} bytes of constants, {ram} bytes of arena; not included: code, stack, \
             input and output",
            self.target
        );
        let input = format!("input: {}", self.preprocessing.to_text());
        let section = Section {
            table: Some(table),
            notes: vec![note.into(), input.into()],
            ..Section::default()
        };
        text(&[section], options)
    }
}
