//! A row for each layer, with all that is known of it.

use super::{
    super::{numbers::rounded, short, summary::format_text},
    table::{Cell, Row, Table},
};
use crate::result::{FormatResult, HistogramResult, LayerResult, OtherResult, RunResult};
use fixedwise_fixed::convert::u64_to_f64;
use fixedwise_search::strategies::{Kind, Sensitivity, pareto::Share};

pub(super) fn table(result: &RunResult) -> Table {
    let mut table = Table::new(&[
        "layer",
        "operator",
        "output",
        "#MACs",
        "#weights",
        "#bias",
        "#activation",
        "#accumulator, bits",
        "#memory, bits",
        "#flash, bytes",
        "#RAM at its step, bytes",
        "#instructions an image",
        "#rows held",
        "#sensitivity of weights, nats",
        "#of activations, nats",
        "#share of the remaining error, %",
        "#distribution of weights",
        "#of activations",
    ]);
    let is_distributed = !result.distributions.is_empty();
    if !is_distributed {
        table.columns.truncate(table.columns.len() - 2);
    }
    let total = result.explanation.as_ref().map_or(0.0, |explanation| explanation.divergence);
    let row = |place: usize, name: &str, mut cells: Vec<Cell>, memory: u64| {
        let bytes = |holders: &[crate::result::HolderResult]| {
            let found = holders.iter().find(|holder| holder.name == name);
            found.map_or_else(Cell::default, |one| count(one.bytes))
        };
        cells.push(count(memory));
        cells.push(bytes(&result.flash_by_node));
        cells.push(bytes(&result.ram_by_step));
        let executed = result.instructions_by_node.iter().find(|of| of.name == name);
        cells.push(executed.map_or_else(Cell::default, |of| count(of.instructions)));
        let mut scheduled = result.schedule.iter().flat_map(|part| &part.nodes);
        let held = scheduled.find(|node| node.name == name);
        cells.push(held.map_or_else(Cell::default, |node| {
            let text = format!("{} of {}", node.rows, node.height);
            Cell::number(text, u64_to_f64(node.rows))
        }));
        cells.push(sensitivity(result, name, Kind::Weights));
        cells.push(sensitivity(result, name, Kind::Activations));
        let share = result.explanation.iter().flat_map(|explanation| &explanation.shares);
        let share = share.filter(|share| share.name == name).map(Share::total).sum::<f64>();
        cells.push(if total > 0.0 {
            let percent = 100.0 * share / total;
            Cell {
                bar: Some(percent.clamp(0.0, 100.0)),
                ..Cell::number(format!("{percent:.1}"), percent)
            }
        } else {
            Cell::default()
        });
        if is_distributed {
            let known = result.distributions.iter().find(|known| known.name == name);
            cells.push(known.map_or_else(Cell::default, |known| histogram(&known.weights)));
            let activation = known.and_then(|known| known.activation.as_ref());
            cells.push(activation.map_or_else(Cell::default, histogram));
        }
        Row { id: format!("layer-{place}"), cells, more: None }
    };
    let output = |name: &String, format: &FormatResult| {
        if result.inner.contains(name) { 0 } else { bits(format) }
    };
    for (place, layer) in result.layers.iter().enumerate() {
        let output = output(&layer.name, &layer.activation);
        let memory = bits(&layer.weights) + bits(&layer.bias) + output;
        table.rows.push(row(place, &layer.name, of_layer(layer), memory));
    }
    for (place, other) in result.others.iter().enumerate() {
        let place = place + result.layers.len();
        table.rows.push(row(
            place,
            &other.name,
            of_other(other),
            output(&other.name, &other.activation),
        ));
    }
    table.notes.push(
        "s5 F9: signed, 5 bits, step 2^-9; u: unsigned. Memory: weights, biases and the output of one image, \
         which is 0 where a function takes the output in its place. \
         Sensitivity: the divergence of the class probabilities that the chosen width adds alone; the line has every \
         width that was tried, narrow to wide, and a dot for the chosen one. Share: what disappears if this layer alone \
         were exact."
            .to_owned(),
    );
    if is_distributed {
        let images = super::super::grouped(result.images.calibration);
        table.notes.push(format!(
            "Distributions: of the values in float, from the least to the greatest; of activations over {images} \
             calibration images."
        ));
    }
    table
}

/// How values are distributed, sorted by the largest magnitude.
fn histogram(values: &HistogramResult) -> Cell {
    let mut path = "M0 20".to_owned();
    for height in values.heights() {
        path.push_str(&format!("V{:.0}h3", 20.0 * (1.0 - height)));
    }
    path.push_str("V20z");
    let text = format!("{} to {}", short(values.low), short(values.high));
    let number = Cell::number(text, values.low.abs().max(values.high.abs()));
    Cell { histogram: Some(path), ..number }
}

fn bits(format: &FormatResult) -> u64 {
    u64::from(format.bits) * format.count
}

fn count(n: u64) -> Cell {
    Cell::number(super::super::grouped(n), u64_to_f64(n))
}

fn format(format: &FormatResult) -> Cell {
    let bits = format.bits;
    Cell::number(format_text(format), f64::from(bits)).of_class(format!("b{}", bits.min(16)))
}

fn of_layer(layer: &LayerResult) -> Vec<Cell> {
    let [h, w, c] = layer.output_shape;
    let accumulator = layer.accumulator_bits;
    vec![
        Cell::name(&layer.name),
        Cell::text(&layer.op),
        Cell::text(format!("{h}x{w}x{c}")),
        Cell::number(rounded(layer.macs), u64_to_f64(layer.macs)),
        format(&layer.weights),
        format(&layer.bias),
        format(&layer.activation),
        if accumulator == 0 {
            Cell::text("-")
        } else {
            Cell::number(accumulator.to_string(), f64::from(accumulator))
        },
    ]
}

fn of_other(other: &OtherResult) -> Vec<Cell> {
    let mut cells = vec![Cell::name(&other.name), Cell::text(&other.op)];
    cells.resize_with(6, Cell::default);
    cells.push(format(&other.activation));
    cells.push(Cell::default());
    cells
}

/// What the chosen width adds alone, in a line with the others.
fn sensitivity(result: &RunResult, name: &str, kind: Kind) -> Cell {
    let found = result.sensitivity.iter().find(|one| one.name == name && one.kind == kind);
    let Some(Sensitivity { bits, widths, .. }) = found else { return Cell::default() };
    let Some(chosen) = widths.iter().find(|width| width.bits == *bits) else {
        return Cell::default();
    };
    // Decades below the largest.
    let log = |divergence: f64| divergence.max(1e-9).log10();
    let high = widths.iter().map(|width| log(width.divergence)).fold(f64::MIN, f64::max);
    let low = widths.iter().map(|width| log(width.divergence)).fold(f64::MAX, f64::min);
    let narrowest = widths.iter().map(|width| width.bits).min().unwrap_or(0);
    let widest = widths.iter().map(|width| width.bits).max().unwrap_or(0);
    let point = |bits: u8, divergence: f64| {
        let along = f64::from(bits - narrowest) / f64::from((widest - narrowest).max(1));
        let up = (log(divergence) - low) / (high - low).max(1e-9);
        (2.0 + 96.0 * along, 18.0 - 16.0 * up)
    };
    let points: Vec<String> = widths
        .iter()
        .map(|width| point(width.bits, width.divergence))
        .map(|(x, y)| format!("{x:.0},{y:.1}"))
        .collect();
    let text = if chosen.divergence == 0.0 {
        "0".to_owned()
    } else {
        format!("{:.1e}", chosen.divergence)
    };
    let line = Some((points.join(" "), point(*bits, chosen.divergence)));
    Cell { line, ..Cell::number(text, chosen.divergence) }
}
