//! How weights and activations are distributed, and what a format can say of them.

use super::{
    Picture,
    canvas::{Anchor, Area, Axis, Canvas, Mark, Style},
    count, theme,
};
use crate::names::ShortNames;
use fixedwise_fixed::{
    Format,
    convert::{exp2, f64_to_count, i64_to_f64, u64_to_f64},
};
use fixedwise_search::{Histogram, strategies::Kind};

/// Bars of a panel.
const BARS: usize = 60;
const PLOT_WIDTH: f64 = 330.0;
const PLOT_HEIGHT: f64 = 92.0;
const LEFT: f64 = 68.0;
const ABOVE: f64 = 36.0;
const BELOW: f64 = 34.0;
const GAP: f64 = 22.0;
/// The smallest share that is drawn.
const FLOOR: f64 = 1e-5;

/// The values of one tensor, in bars of one width.
pub(crate) struct Distribution {
    kind: Kind,
    name: String,
    format: Option<Format>,
    /// Of the axis.
    low: f64,
    high: f64,
    /// Shares of all values.
    shares: Vec<f64>,
    zeros: f64,
    /// Share of values that no integer of the format reaches.
    clipped: f64,
}

impl Distribution {
    /// Of a tensor with those values and that format.
    pub(crate) fn new(name: &str, kind: Kind, values: &Histogram, format: Option<Format>) -> Self {
        let ends = format.map(ends);
        let (mut low, mut high) = (f64::from(values.min()), f64::from(values.max()));
        if let Some([from, to]) = ends {
            // A format far wider than its values would leave nothing of them to be seen.
            let reach = 3.0 * f64::from(values.max_abs());
            low = low.min(if reach > 0.0 { from.max(-reach) } else { from });
            high = high.max(if reach > 0.0 { to.min(reach) } else { to });
        }
        if low >= high {
            (low, high) = (low - 1.0, high + 1.0);
        }
        let margin = 0.03 * (high - low);
        // What is never negative begins at the axis.
        low = if low < 0.0 { low - margin } else { 0.0 };
        high += margin;
        let total = u64_to_f64(values.count()).max(1.0);
        let width = (high - low) / count(BARS);
        let mut shares = vec![0.0; BARS];
        let mut clipped = 0.0;
        let resolution = format.map_or(0.0, Format::resolution);
        let zeros = (0.0, 0.0, values.zeros());
        for (from, to, n) in values.bins().chain([zeros]) {
            let share = u64_to_f64(n) / total;
            // A bin is wider than a bar at most in the outermost ones; it counts by its overlap.
            let [first, last] = [from, to].map(|x| bar(x, low, width));
            for idx in first..=last {
                let left = low + count(idx) * width;
                let overlap = (to.min(left + width) - from.max(left)) / (to - from);
                shares[idx] += share * if first == last { 1.0 } else { overlap.clamp(0.0, 1.0) };
            }
            if let Some([min, max]) = ends {
                let middle = f64::midpoint(from, to);
                if middle > max + resolution / 2.0 || middle < min - resolution / 2.0 {
                    clipped += share;
                }
            }
        }
        let zeros = u64_to_f64(values.zeros()) / total;
        Self { kind, name: name.to_owned(), format, low, high, shares, zeros, clipped }
    }

    /// What is written above the panel.
    fn figures(&self) -> String {
        let mut text = match self.format {
            Some(format) => {
                let sign = if format.is_signed() { 's' } else { 'u' };
                let (bits, frac) = (format.bits, format.frac);
                let clipped = share(self.clipped);
                format!("{sign}{bits} F{frac}, step 2^{}; {clipped} clipped", -i32::from(frac))
            }
            None => "no format".to_owned(),
        };
        if self.zeros > 0.0 {
            text.push_str(&format!("; {} zero", share(self.zeros)));
        }
        text
    }
}

/// A share as percent, exact at its ends.
fn share(x: f64) -> String {
    match x * 100.0 {
        0.0 => "none".to_owned(),
        ..0.01 => "< 0.01 %".to_owned(),
        percent => format!("{percent:.2} %"),
    }
}

/// The number of the bar that a value falls into.
fn bar(x: f64, low: f64, width: f64) -> usize {
    f64_to_count(((x - low) / width).floor().max(0.0)).min(BARS - 1)
}

/// The smallest and the largest value of a format.
fn ends(format: Format) -> [f64; 2] {
    let resolution = exp2(-i32::from(format.frac));
    [format.min(), format.max()].map(|integer| i64_to_f64(integer) * resolution)
}

/// A row for each layer: its weights and, where they were seen, its results.
pub(crate) fn draw_distributions(
    model: &str,
    about: &str,
    rows: &[(Distribution, Option<Distribution>)],
) -> Picture {
    let has_values = rows.iter().any(|(_, values)| values.is_some());
    let columns = if has_values { 2 } else { 1 };
    let pitch = LEFT + PLOT_WIDTH + GAP;
    let width = (2.0 * theme::MARGIN + count(columns) * pitch).max(620.0);
    let legend = [
        (Mark::Square(theme::kind_color(Kind::Weights)), "weights"),
        (Mark::Square(theme::kind_color(Kind::Activations)), "activations"),
        (Mark::Square(RANGE), "range of the format"),
        (Mark::Line(theme::INK), "its ends"),
    ];
    let legend: Vec<_> =
        legend.into_iter().filter(|(_, text)| has_values || *text != "activations").collect();
    let legend_height = Canvas::legend_height(width, "", &legend);
    let row_height = ABOVE + PLOT_HEIGHT + BELOW;
    let height = Canvas::TOP + legend_height + count(rows.len()) * row_height + 26.0;
    let mut canvas = Canvas::new(width, height, &format!("Distributions: {model}"), about);
    let top = canvas.legend(Canvas::TOP, "", &legend);
    let all = || rows.iter().flat_map(|(weights, values)| [Some(weights), values.as_ref()]);
    let names = all().flatten().map(|distribution| distribution.name.as_str());
    let names = ShortNames::fitting(names, |name| {
        theme::text_width(&format!("{name} activations"), theme::TEXT_SIZE) <= PLOT_WIDTH
    });
    for (idx, (weights, values)) in rows.iter().enumerate() {
        let is_last = idx + 1 == rows.len();
        for (column, distribution) in [Some(weights), values.as_ref()].into_iter().enumerate() {
            let Some(distribution) = distribution else { continue };
            let area = Area {
                x: theme::MARGIN + LEFT + count(column) * pitch,
                y: top + count(idx) * row_height + ABOVE,
                width: PLOT_WIDTH,
                height: PLOT_HEIGHT,
            };
            distribution.draw(&mut canvas, &names.get(&distribution.name), area, is_last);
        }
    }
    canvas.finish()
}

const RANGE: &str = "#f2e8c9";

impl Distribution {
    fn draw(&self, canvas: &mut Canvas, name: &str, area: Area, is_last: bool) {
        let name = format!("{name} {}", self.kind.name());
        let bold = Style { is_bold: true, ..Style::TEXT };
        canvas.text(area.x, area.y - 20.0, &name, bold, Anchor::Start);
        let figures = theme::fitted(&self.figures(), area.width + GAP, theme::TEXT_SIZE);
        canvas.text(area.x, area.y - 6.0, &figures, Style::FAINT, Anchor::Start);
        let per_value = area.width / (self.high - self.low);
        let at = |x: f64| area.x + (x.clamp(self.low, self.high) - self.low) * per_value;
        if let Some([from, to]) = self.format.map(ends) {
            let (x, width) = (at(from), at(to) - at(from));
            canvas.rectangle(Area { x, width, ..area }, RANGE, None);
        }
        let panel = canvas.panel(
            area,
            Axis::linear(self.low, self.high),
            Axis::powers(FLOOR, 1.0).in_percent(),
        );
        let width = area.width / count(BARS);
        for (idx, &share) in self.shares.iter().enumerate().filter(|(_, share)| **share > 0.0) {
            let y = panel.y(share.clamp(FLOOR, 1.0));
            // The rarest is still to be seen.
            let height = (area.bottom() - y).max(1.0);
            let x = area.x + count(idx) * width;
            let bar = Area { x, y: area.bottom() - height, width: width - 0.6, height };
            canvas.rectangle(bar, theme::kind_color(self.kind), None);
        }
        if let Some([from, to]) = self.format.map(ends) {
            for end in [from, to].into_iter().filter(|end| (self.low..=self.high).contains(end)) {
                let x = panel.x(end);
                canvas.line((x, area.y), (x, area.bottom()), theme::INK, 1.4, None);
            }
        }
        let style = Style { rotate: Some(-90.0), ..Style::FAINT };
        let y = area.y + area.height / 2.0;
        canvas.text(area.x - 58.0, y, "share of values", style, Anchor::Middle);
        if is_last {
            let x = area.x + area.width / 2.0;
            canvas.text(x, area.bottom() + 34.0, "value", Style::LABEL, Anchor::Middle);
        }
    }
}
