//! What each width of each layer's weights and results does alone, and the one that was chosen.

use super::{
    Picture,
    canvas::{Anchor, Area, Axis, Canvas, Mark, Style},
    count, theme,
};
use crate::{error::Error, result::RunResult};
use fixedwise_search::strategies::{Kind, Sensitivity};

/// Of one panel.
const WIDTH: f64 = 150.0;
const HEIGHT: f64 = 100.0;
/// Between panels: numbers of the axes, and names.
const GAP: [f64; 2] = [54.0, 50.0];
/// Panels side by side.
const COLUMNS: usize = 5;
/// Divergence below which nothing is drawn, in nats.
const LEAST: f64 = 1e-5;

/// Draws, layer by layer, how far each bit width of its weights and of its result, alone, moves the class
/// probabilities from the float network's, with the widths that the search chose.
///
/// # Errors
/// [`Error::Picture`] for a result of a strategy that did not measure that: any but `pareto`.
///
/// ```
/// # fn main() -> Result<(), fixedwise::Error> {
/// use fixedwise::{Kind, RunResult, Sensitivity, WidthEffect, plot_sensitivity};
///
/// let mut result = RunResult::default();
/// assert!(plot_sensitivity(&result).is_err());
/// let effect = |bits, divergence| WidthEffect { bits, divergence, shift: 0 };
/// result.sensitivity.push(Sensitivity {
///     name: "conv2d_1".to_owned(),
///     kind: Kind::Weights,
///     bits: 3,
///     widths: vec![effect(2, 0.02), effect(3, 0.004), effect(4, 0.0)],
/// });
/// assert!(plot_sensitivity(&result)?.to_svg().contains("conv2d_1"));
/// # Ok(())
/// # }
/// ```
pub fn plot_sensitivity(result: &RunResult) -> Result<Picture, Error> {
    let layers = layers(&result.sensitivity);
    if layers.is_empty() {
        let problem = "the result contains no sensitivity; use the result of the strategy `pareto`";
        return Err(super::nothing("sensitivity", problem));
    }
    let columns = COLUMNS.min(layers.len());
    let width = (count(columns) * (WIDTH + GAP[0]) + 2.0 * theme::MARGIN).max(560.0);
    let legend = [
        (Mark::Dot(theme::kind_color(Kind::Weights)), "weights"),
        (Mark::Dot(theme::kind_color(Kind::Activations)), "layer output"),
        (Mark::Ring(theme::INK), "chosen"),
    ];
    let top = Canvas::TOP + Canvas::legend_height(width, "", &legend) + 26.0;
    let rows = layers.len().div_ceil(columns);
    let height = top + count(rows) * (HEIGHT + GAP[1]) + 16.0;
    let title =
        format!("Sensitivity to the bit width of each tensor alone: {}", super::network(result));
    let about = "divergence of the class probabilities from the float network, in nats";
    let mut canvas = Canvas::new(width, height, &title, about);
    canvas.legend(Canvas::TOP, "", &legend);

    let all = || result.sensitivity.iter().flat_map(|tensor| &tensor.widths);
    let most = all().map(|effect| effect.divergence).filter(|d| d.is_finite()).fold(1e-2, f64::max);
    let high = 10.0_f64.powf(most.log10().ceil());
    let widest = all().map(|effect| i32::from(effect.bits)).fold(8, i32::max);
    let names = layers.iter().map(|(name, _)| *name);
    let names = theme::short_names(names, WIDTH, theme::TEXT_SIZE);
    for (idx, (name, tensors)) in layers.iter().enumerate() {
        let (row, column) = (idx / columns, idx % columns);
        let area = Area {
            x: theme::MARGIN + GAP[0] - 8.0 + count(column) * (WIDTH + GAP[0]),
            y: top + count(row) * (HEIGHT + GAP[1]),
            width: WIDTH,
            height: HEIGHT,
        };
        let heading = names.get(name);
        let style = Style { is_bold: true, ..Style::TEXT };
        canvas.text(area.x, area.y - 7.0, &heading, style, Anchor::Start);
        let panel =
            canvas.panel(area, Axis::integers(1, widest, 8), Axis::powers(LEAST / 2.0, high));
        for tensor in tensors {
            let color = theme::kind_color(tensor.kind);
            let at = |bits: u8, divergence: f64| {
                (panel.x(f64::from(bits)), panel.y(divergence.clamp(LEAST, high)))
            };
            let points: Vec<(u8, (f64, f64))> = tensor
                .widths
                .iter()
                .filter(|effect| effect.divergence.is_finite())
                .map(|effect| (effect.bits, at(effect.bits, effect.divergence)))
                .collect();
            canvas.path(points.iter().map(|point| point.1).collect(), color, 1.5);
            for (bits, point) in points {
                if bits == tensor.bits {
                    canvas.dot(point, 5.0, color, Some(theme::INK));
                } else {
                    canvas.dot(point, 2.4, color, None);
                }
            }
        }
    }
    let (x, y) = (width / 2.0, height - 8.0);
    canvas.text(x, y, "bit width", Style::LABEL, Anchor::Middle);
    Ok(canvas.finish())
}

/// The tensors of each node, in the order in which they first stand.
fn layers(sensitivity: &[Sensitivity]) -> Vec<(&str, Vec<&Sensitivity>)> {
    let mut layers: Vec<(&str, Vec<&Sensitivity>)> = Vec::new();
    for tensor in sensitivity.iter().filter(|tensor| !tensor.widths.is_empty()) {
        match layers.iter_mut().find(|(name, _)| *name == tensor.name) {
            Some((_, tensors)) => tensors.push(tensor),
            None => layers.push((&tensor.name, vec![tensor])),
        }
    }
    layers
}
