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
        let mut notes = vec![format!("C for {}", self.target)];
        if let Some(code) = &self.code {
            notes.push(format!(
                "flash: {flash} bytes = {} of constants + {} of code",
                grouped(self.constant_bytes),
                grouped(code.bytes)
            ));
            let sizes = self.code_bytes.iter();
            let sizes: Vec<String> =
                sizes.map(|(flag, bytes)| format!("{} with {flag}", grouped(*bytes))).collect();
            notes.push(format!(
                "code: {} kernels{}; {}",
                code.kernels,
                code.why(),
                sizes.join(", ")
            ));
            notes.push(format!("as {} makes it for {}", code.compiler, code.processor));
        }
        notes.push(format!("RAM: {ram} bytes of arena; not included: stack, input and output"));
        notes.push(format!("input: {}", self.preprocessing.to_text()));
        let notes = notes.into_iter().map(Into::into).collect();
        let section = Section { table: Some(table), notes, ..Section::default() };
        text(&[section], options)
    }
}
