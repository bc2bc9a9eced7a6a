//! An export of C, as a table.

use super::{
    numbers::grouped,
    report::{Align, Style},
    table::{Table, add_line},
};
use crate::{names::ShortNames, result::CExported};

/// Longest short name of a node.
const NAME_WIDTH: usize = 40;

impl CExported {
    /// As a table for people.
    pub fn summary(&self, color: bool) -> String {
        let mut text = String::new();
        let mut table = Table::new(&[
            ("layer", Align::Left, Style::Plain),
            ("kernel", Align::Left, Style::Dim),
            ("constants", Align::Right, Style::Weights),
            ("value", Align::Right, Style::Activations),
            ("scratch", Align::Right, Style::Plain),
        ]);
        let names = self.layers.iter().map(|layer| layer.name.as_str());
        let names = ShortNames::new(names, NAME_WIDTH);
        for layer in &self.layers {
            let bytes = [layer.constant_bytes, layer.value_bytes, layer.scratch_bytes];
            let mut row = vec![names.get(&layer.name), layer.kernel.clone()];
            row.extend(bytes.map(|bytes| if bytes == 0 { String::new() } else { grouped(bytes) }));
            table.row(row);
        }
        table.render(color, &mut text);
        let (flash, ram) = (grouped(self.flash_bytes), grouped(self.peak_ram_bytes));
        add_line(
            &mut text,
            format_args!(
                "C for {}: {flash} bytes of constants, {ram} bytes of arena; not included: code, \
                 stack, input and output",
                self.target
            ),
        );
        let files = self.files.iter().map(|file| file.display().to_string());
        let files: Vec<String> = files.collect();
        add_line(&mut text, format_args!("written: {}", files.join(", ")));
        text
    }
}
