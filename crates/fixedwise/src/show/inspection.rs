//! A model before anything is quantized, as a table.

use super::{
    device,
    first::{range, rounded_before, statements},
    numbers::{grouped, rounded},
    report::{Align, Cell, Column, Section, Style, Table},
    text::{TextOptions, text},
};
use crate::{
    result::{DeviceResult, InputInspection, Inspection, NodeInspection},
    units::kibibytes,
};
use fixedwise_fixed::convert::u64_to_f64;

impl Inspection {
    /// As a table for people.
    pub fn to_text(&self, options: &TextOptions) -> String {
        let [h, w, c] = self.input_shape;
        let mut first: Vec<_> = rounded_before(&self.model).into_iter().collect();
        first.extend(statements(self.preprocessing.as_ref(), self.float_network.as_ref()));
        first.extend(self.preprocessing.as_ref().map(range));
        let outputs = self.outputs.iter().map(|output| {
            let shape: Vec<String> = output.shape.iter().map(u64::to_string).collect();
            format!("{} {}", output.name, shape.join("x"))
        });
        let outputs = match self.outputs.len() {
            0 | 1 if self.model.outputs.is_empty() => String::new(),
            1 => format!("output {}, ", outputs.collect::<String>()),
            _ => format!("outputs {}, ", outputs.collect::<Vec<_>>().join(", ")),
        };
        let inputs = match &self.inputs[..] {
            [] => format!("input {h}x{w}x{c}"),
            inputs => {
                let of = |input: &InputInspection| {
                    let [h, w, c] = input.shape;
                    format!("{} {h}x{w}x{c}", input.name)
                };
                format!("inputs {}", inputs.iter().map(of).collect::<Vec<_>>().join(", "))
            }
        };
        let unused = match &self.unused_inputs[..] {
            [] => String::new(),
            names => format!(" (no output needs {})", names.join(", ")),
        };
        let about = format!(
            "{inputs}{unused}, {outputs}{} parameters, {} MACs an image",
            grouped(self.model.parameters),
            rounded(self.model.macs),
        );
        let head = Section {
            title: self.model.name.clone(),
            about: Some(about.into()),
            statements: first,
            ..Section::default()
        };
        let ranges = match self.images {
            0 => String::new(),
            n => format!("; values over {} images", grouped(n)),
        };
        let note = format!(
            "{} for weights, biases and layer outputs at 8 bit{ranges}",
            kibibytes(u64_to_f64(self.uniform8_bits) / 8.0),
        );
        let nodes =
            Section { table: Some(self.table()), notes: vec![note.into()], ..Section::default() };
        let device = self.device.as_ref().map(on_device);
        text(&[vec![head, nodes], device.into_iter().collect()].concat(), options)
    }

    fn table(&self) -> Table {
        let mut columns = vec![
            Column::names("node"),
            Column::new("operator", Align::Left, Style::Dim).optional(2),
            Column::right("output", Style::Dim).optional(3),
            Column::right("weights", Style::Weights).optional(1),
            Column::right("MACs", Style::Plain),
            Column::right("at 8 bit", Style::Plain).optional(5),
            Column::right("weights min max", Style::Weights).optional(4),
        ];
        if self.images > 0 {
            columns.push(Column::right("values min max", Style::Activations));
        }
        let rows = self.nodes.iter().map(|node| {
            let mut row = row(node);
            row.truncate(columns.len());
            row
        });
        let rows = rows.collect();
        Table { columns, rows }
    }
}

/// What the network takes of a target.
fn on_device(found: &DeviceResult) -> Section {
    let bits = found.bits.map_or_else(String::new, |bits| format!(", all widths {bits} bits"));
    let counts = (found.instructions, found.schedule_instructions);
    let mut notes = vec![
        device::instructions(counts, &found.processor, found.clock.as_ref()),
        format!(
            "flash: {} bytes = {} of constants + {} of code ({} kernels)",
            grouped(found.flash_bytes),
            grouped(found.constant_bytes),
            grouped(found.flash_bytes - found.constant_bytes),
            found.kernels
        ),
        format!(
            "RAM: {} bytes of arena; not included: stack, input and output",
            grouped(found.peak_ram_bytes)
        ),
    ];
    notes.extend(device::uncounted(&found.uncounted, &found.processor));
    notes.extend(device::peak(&found.peak));
    let notes = notes.into_iter().map(Into::into).chain([device::order(&found.schedule)]);
    Section {
        title: format!("{}{bits}", found.target),
        table: Some(device::table(&found.layers, found.clock.as_ref())),
        notes: notes.collect(),
        ..Section::default()
    }
}

fn row(node: &NodeInspection) -> Vec<Cell> {
    let some = |n: u64, text: String| if n == 0 { Cell::empty() } else { Cell::number(text) };
    let range = |range: Option<[f32; 2]>| {
        range.map_or_else(Cell::empty, |[low, high]| Cell::text(format!("{low:.3} {high:.3}")))
    };
    let [h, w, c] = node.output_shape;
    let shape = if h == 1 && w == 1 { c.to_string() } else { format!("{h}x{w}x{c}") };
    vec![
        Cell::Name(node.name.clone()),
        Cell::text(&node.op),
        Cell::text(shape),
        some(node.weights, grouped(node.weights)),
        some(node.macs, rounded(node.macs)),
        some(node.uniform8_bits, kibibytes(u64_to_f64(node.uniform8_bits) / 8.0)),
        range(node.weight_range),
        range(node.value_range),
    ]
}
