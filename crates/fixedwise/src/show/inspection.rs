//! A model before anything is quantized, as a table.

use super::{
    numbers::{grouped, kilobytes, rounded},
    report::{Align, Style},
    table::{Table, add_line, styled},
};
use crate::{names::ShortNames, result::Inspection};
use fixedwise_fixed::convert::u64_to_f64;

/// Longest short name of a node.
const NAME_WIDTH: usize = 20;

impl Inspection {
    /// As a table for people; with ANSI colors where `color` says so.
    pub fn to_text(&self, color: bool) -> String {
        use Align::{Left, Right};
        let mut out = String::new();
        let [h, w, c] = self.input_shape;
        add_line(
            &mut out,
            format_args!(
                "{}  input {h}x{w}x{c}, {} parameters, {} MACs an image\n",
                styled(&self.model.name, Style::Bold, color),
                grouped(self.model.parameters),
                rounded(self.model.macs),
            ),
        );
        let mut columns = vec![
            ("node", Left, Style::Plain),
            ("operator", Left, Style::Dim),
            ("output", Right, Style::Dim),
            ("weights", Right, Style::Weights),
            ("MACs", Right, Style::Plain),
            ("at 8 bit", Right, Style::Plain),
            ("weights min max", Right, Style::Weights),
        ];
        if self.images > 0 {
            columns.push(("values min max", Right, Style::Activations));
        }
        let mut table = Table::new(&columns);
        let names = ShortNames::new(self.nodes.iter().map(|node| node.name.as_str()), NAME_WIDTH);
        let some = |n: u64, text: String| if n == 0 { String::new() } else { text };
        let range = |range: Option<[f32; 2]>| {
            range.map_or_else(String::new, |[low, high]| format!("{low:.3} {high:.3}"))
        };
        for node in &self.nodes {
            let [h, w, c] = node.output_shape;
            let shape = if h == 1 && w == 1 { c.to_string() } else { format!("{h}x{w}x{c}") };
            let mut row = vec![
                names.get(&node.name),
                node.op.clone(),
                shape,
                some(node.weights, grouped(node.weights)),
                some(node.macs, rounded(node.macs)),
                some(node.uniform8_bits, kilobytes(u64_to_f64(node.uniform8_bits) / 8.0)),
                range(node.weight_range),
            ];
            if self.images > 0 {
                row.push(range(node.value_range));
            }
            table.row(row);
        }
        table.render(color, &mut out);
        let ranges = match self.images {
            0 => String::new(),
            n => format!("; values over {} images", grouped(n)),
        };
        add_line(
            &mut out,
            format_args!(
                "\n  {} for weights, biases and layer outputs at 8 bit{ranges}",
                kilobytes(u64_to_f64(self.uniform8_bits) / 8.0),
            ),
        );
        out
    }
}
