//! Memory and bit products against uniform 8 bit; flash and RAM where they were searched for.

use super::super::numbers::{percent, rounded};
use super::{
    Picture,
    canvas::{Anchor, Area, Axis, Canvas, Mark, Style},
    count, theme,
};
use crate::{
    error::Error,
    names::ShortNames,
    result::{LayerResult, RunResult},
    units::kibibytes,
};
use fixedwise_fixed::convert::u64_to_f64;
use fixedwise_search::strategies::Kind;

const PLOT_WIDTH: f64 = 500.0;
/// Widest name of a row.
const NAME: f64 = 220.0;
const ROW: f64 = 24.0;

/// A bar: its name, its parts in their colors, and what is written at its end.
struct Row {
    name: String,
    parts: Vec<(f64, &'static str)>,
    figures: String,
}

/// A panel of bars.
struct Bars {
    heading: &'static str,
    axis: &'static str,
    rows: Vec<Row>,
}

/// Draws the memory and the bit products of results, each with a name of its own, beside those of the same
/// network with 8 bits everywhere; and flash and RAM, where a result was searched for these.
///
/// # Errors
/// [`Error::Picture`] for no result, or one without costs.
///
/// ```
/// # fn main() -> Result<(), fixedwise::Error> {
/// use fixedwise::{RunResult, plot_costs};
///
/// let mut result = RunResult::default();
/// assert!(plot_costs(&[("empty", &result)]).is_err());
/// result.memory_bits.weights = 300;
/// result.memory_bits.total = 300;
/// result.memory_bits.uniform8_total = 400;
/// result.memory_bits.reduction = 0.25;
/// let picture = plot_costs(&[("five bits", &result)])?;
/// assert!(picture.to_svg().contains("25.00 % saved"));
/// # Ok(())
/// # }
/// ```
pub fn plot_costs(results: &[(&str, &RunResult)]) -> Result<Picture, Error> {
    let Some((_, first)) = results.first() else {
        return Err(super::nothing("costs", "expected at least one result"));
    };
    for (label, result) in results {
        if result.memory_bits.uniform8_total == 0 {
            let problem = format!("`{label}` contains no costs");
            return Err(super::nothing("costs", &problem));
        }
    }
    let is_one_network = results.iter().all(|(_, result)| same_costs(result, first));
    let mut panels = vec![memory(results, is_one_network), bit_products(results, is_one_network)];
    panels.extend(on_target(results));
    let rows = || panels.iter().flat_map(|panel| &panel.rows);
    let names = rows().map(|row| row.name.as_str());
    let names = theme::short_names(names, NAME, theme::TEXT_SIZE);
    let left = rows().map(|row| theme::text_width(&names.get(&row.name), theme::TEXT_SIZE - 1));
    let left = left.fold(60.0, f64::max) + 14.0;
    let right = panels.iter().map(Bars::width).fold(PLOT_WIDTH, f64::max);
    let width = 2.0 * theme::MARGIN + left + right;
    let legend: Vec<(Mark, &str)> = theme::KINDS
        .map(|kind| (Mark::Square(theme::kind_color(kind)), kind.name()))
        .into_iter()
        .chain([(Mark::Square(BIT_PRODUCTS), "bit products")])
        .collect();
    let legend_height = Canvas::legend_height(width, "", &legend);
    let panel_height = |panel: &Bars| 30.0 + ROW * count(panel.rows.len()) + 54.0;
    let height = Canvas::TOP + legend_height + panels.iter().map(panel_height).sum::<f64>() + 6.0;

    let mut models: Vec<&str> = results.iter().map(|(_, result)| super::network(result)).collect();
    models.dedup();
    let title = format!("Costs compared with uniform 8 bit: {}", models.join(", "));
    let about = match results {
        [(_, only)] => format!("one image; {}; {LOSS}", super::run_of(only)),
        _ => format!("one image; {LOSS}"),
    };
    let mut canvas = Canvas::new(width, height, &title, &about);
    let mut y = canvas.legend(Canvas::TOP, "", &legend);
    for panel in &panels {
        let area = Area {
            x: theme::MARGIN + left,
            y: y + 30.0,
            width: PLOT_WIDTH,
            height: ROW * count(panel.rows.len()),
        };
        panel.draw(&mut canvas, &names, area);
        y += panel_height(panel);
    }
    Ok(canvas.finish())
}

const BIT_PRODUCTS: &str = "#56467a";

/// Whether two results share their 8-bit baseline.
fn same_costs(a: &RunResult, b: &RunResult) -> bool {
    a.model.sha256 == b.model.sha256
        && a.memory_bits.uniform8_total == b.memory_bits.uniform8_total
        && a.multiplication_cost.paper_uniform8 == b.multiplication_cost.paper_uniform8
}

/// Bits of a tensor of each layer, at 8 bits an element.
fn sum8(result: &RunResult, of: fn(&LayerResult) -> u64) -> u64 {
    result.layers.iter().map(of).fold(0, |sum: u64, n| sum.saturating_add(n.saturating_mul(8)))
}

/// What the loss beside a bar is.
const LOSS: &str = "loss: relative to the float accuracy, on the test images";

/// The loss, where it was measured.
fn loss(result: &RunResult) -> String {
    let set = result.accuracy.test;
    set.map(|set| format!(", loss {}", percent(set.relative_loss))).unwrap_or_default()
}

fn memory(results: &[(&str, &RunResult)], is_one_network: bool) -> Bars {
    let part = |bits: u64, kind| (u64_to_f64(bits) / 8192.0, theme::kind_color(kind));
    let mut rows = Vec::new();
    for (idx, (label, result)) in results.iter().enumerate() {
        let memory = &result.memory_bits;
        if idx == 0 || !is_one_network {
            let weights = sum8(result, |layer| layer.weights.count).min(memory.uniform8_total);
            let biases =
                sum8(result, |layer| layer.bias.count).min(memory.uniform8_total - weights);
            let activations = memory.uniform8_total - weights - biases;
            rows.push(Row {
                name: uniform(label, is_one_network),
                parts: vec![
                    part(weights, Kind::Weights),
                    part(biases, Kind::Biases),
                    part(activations, Kind::Activations),
                ],
                figures: kibibytes(u64_to_f64(memory.uniform8_total) / 8.0),
            });
        }
        let saved = percent(memory.reduction);
        rows.push(Row {
            name: (*label).to_owned(),
            parts: vec![
                part(memory.weights, Kind::Weights),
                part(memory.biases, Kind::Biases),
                part(memory.activations, Kind::Activations),
            ],
            figures: format!(
                "{}, {saved} saved{}",
                kibibytes(u64_to_f64(memory.total) / 8.0),
                loss(result)
            ),
        });
    }
    Bars { heading: "Memory", axis: "KiB (1,024 bytes), sum over all layers; not RAM", rows }
}

fn bit_products(results: &[(&str, &RunResult)], is_one_network: bool) -> Bars {
    let part = |cost: u64| vec![(u64_to_f64(cost) / 1e6, BIT_PRODUCTS)];
    let mut rows = Vec::new();
    for (idx, (label, result)) in results.iter().enumerate() {
        let cost = &result.multiplication_cost;
        if idx == 0 || !is_one_network {
            rows.push(Row {
                name: uniform(label, is_one_network),
                parts: part(cost.operand_uniform8),
                figures: rounded(cost.operand_uniform8),
            });
        }
        for (what, value, reduction) in [
            ("", cost.operand, cost.operand_reduction),
            (", paper's count", cost.paper, cost.paper_reduction),
        ] {
            rows.push(Row {
                name: format!("{label}{what}"),
                parts: part(value),
                figures: format!("{}, {} saved", rounded(value), percent(reduction)),
            });
        }
    }
    let axis = "millions (MACs x weight bits x input bits; paper: x output bits)";
    Bars { heading: "Bit products", axis, rows }
}

/// Flash and RAM on the target, and what there is of them; nothing where no result was searched for these.
fn on_target(results: &[(&str, &RunResult)]) -> Option<Bars> {
    let is_of_memory = |result: &RunResult| {
        let objective = result.objective.as_deref().unwrap_or_default();
        ["flash", "ram"].contains(&objective) || !result.budgets.is_empty()
    };
    if !results.iter().any(|(_, result)| is_of_memory(result)) {
        return None;
    }
    let mut rows = Vec::new();
    for (label, result) in results {
        for (memory, name, bytes, kind) in [
            ("flash", "flash", result.flash_bytes, Kind::Weights),
            ("ram", "peak RAM", result.peak_ram_bytes, Kind::Activations),
        ] {
            let budget = result.budgets.iter().find(|budget| budget.memory == memory);
            let limit = budget.map(|budget| {
                let limit = kibibytes(u64_to_f64(budget.limit_bytes));
                format!(" of {limit}{}", if budget.is_met { "" } else { ", too much" })
            });
            rows.push(Row {
                name: format!("{label}, {name}"),
                parts: vec![(u64_to_f64(bytes) / 1024.0, theme::kind_color(kind))],
                figures: format!("{}{}", kibibytes(u64_to_f64(bytes)), limit.unwrap_or_default()),
            });
        }
    }
    let axis = "KiB (1,024 bytes) on the target";
    Some(Bars { heading: "Flash and peak RAM", axis, rows })
}

fn uniform(label: &str, is_one_network: bool) -> String {
    if is_one_network { "all 8 bit".to_owned() } else { format!("{label}, uniform 8 bit") }
}

impl Row {
    fn total(&self) -> f64 {
        self.parts.iter().map(|(value, _)| value).sum()
    }
}

impl Bars {
    /// The end of the longest bar.
    fn high(&self) -> f64 {
        let high = self.rows.iter().map(Row::total).fold(0.0, f64::max);
        if high > 0.0 { high } else { 1.0 }
    }

    /// Pixels from the axis to the end of the figures that stand farthest right.
    fn width(&self) -> f64 {
        let figures = |row: &Row| 6.0 + theme::text_width(&row.figures, theme::TEXT_SIZE);
        let end = |row: &Row| row.total() / self.high() * PLOT_WIDTH + figures(row);
        self.rows.iter().map(end).fold(0.0, f64::max)
    }

    fn draw(&self, canvas: &mut Canvas, names: &ShortNames, area: Area) {
        canvas.text(area.x, area.y - 9.0, self.heading, Style::HEADING, Anchor::Start);
        let names: Vec<String> = self.rows.iter().rev().map(|row| names.get(&row.name)).collect();
        let panel = canvas.panel(area, Axis::linear(0.0, self.high()), Axis::names(&names));
        for (idx, row) in self.rows.iter().enumerate() {
            let y = panel.y(count(self.rows.len() - idx)) - ROW / 2.0 + 3.5;
            let mut sum = 0.0;
            for (value, color) in &row.parts {
                let x = panel.x(sum);
                sum += value;
                let width = panel.x(sum) - x;
                canvas.rectangle(Area { x, y, width, height: ROW - 7.0 }, color, None);
            }
            let at = (panel.x(sum) + 6.0, y + ROW / 2.0 + 0.5);
            canvas.text(at.0, at.1, &row.figures, Style::TEXT, Anchor::Start);
        }
        let (x, y) = (area.x + area.width / 2.0, area.bottom() + 34.0);
        canvas.text(x, y, self.axis, Style::LABEL, Anchor::Middle);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flash_and_ram_are_drawn_where_they_were_searched_for() {
        let mut result = RunResult {
            flash_bytes: 16_678,
            peak_ram_bytes: 9_000,
            objective: Some("memory".to_owned()),
            ..RunResult::default()
        };
        result.memory_bits.uniform8_total = 80_000;
        let svg = |result: &RunResult| plot_costs(&[("board", result)]).unwrap().to_svg();
        assert!(!svg(&result).contains("peak RAM"));
        result.objective = Some("flash".to_owned());
        let svg = svg(&result);
        let paths = ["a", "b"].map(|run| format!("{}/{run}/result.json", "deep/".repeat(20)));
        let results = [(paths[0].as_str(), &result), (paths[1].as_str(), &result)];
        let two = plot_costs(&results).unwrap().to_svg();
        assert!(
            two.contains("a/result.json, flash") && two.contains("b/result.json, flash"),
            "{two}"
        );
        for expected in ["board, flash", "16.3 KiB", "board, peak RAM", "Bit products"] {
            assert!(svg.contains(expected), "{expected}: {svg}");
        }
    }
}
