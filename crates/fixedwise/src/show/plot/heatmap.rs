//! Bit width by binary point: what each format of each tensor loses.

use super::{
    FormatMap, Picture,
    canvas::{Anchor, Area, Axis, Canvas, Mark, Style},
    count,
    format_map::{FormatPoint, TensorMap},
    theme,
};
use crate::error::Error;
use fixedwise_search::strategies::Kind;

/// Left of a panel's axes, for numbers and the axis's name.
const LEFT: f64 = 46.0;
/// Above a panel's axes, for its name.
const ABOVE: f64 = 22.0;
/// Below a panel's axes, for numbers and the axis's name.
const BELOW: f64 = 42.0;
/// Above the panels of a kind, for its name.
const HEADING: f64 = 26.0;
const GAP: f64 = 14.0;
const LEGEND: &str = "relative loss";
const REFUSED: &str = "#ffffff";

/// Draws what each measured format loses, a panel for each tensor: bit width to the right, binary
/// point upwards, the loss as color; the chosen format is ringed. Only tensors of `kind`, where one
/// is given.
///
/// # Errors
/// [`Error::Picture`] where no format of that kind was measured.
///
/// ```
/// # fn main() -> Result<(), fixedwise::Error> {
/// use fixedwise::{FormatMap, Kind, RunResult, TraceEntry, plot_heatmap};
///
/// let mut result = RunResult::default();
/// result.tried.push(TraceEntry {
///     name: "conv2d_1".to_owned(),
///     kind: Kind::Weights,
///     bits: 6,
///     frac: 5,
///     signed: true,
///     images: 100,
///     correct: 89,
///     lost: 2,
///     gained: 1,
///     relative_loss: Some(1.0 / 90.0),
///     chosen: true,
/// });
/// let picture = plot_heatmap(&FormatMap::from_result(&result)?, Some(Kind::Weights))?;
/// assert!(picture.to_svg().contains("conv2d_1"));
/// # Ok(())
/// # }
/// ```
pub fn plot_heatmap(map: &FormatMap, kind: Option<Kind>) -> Result<Picture, Error> {
    let sections: Vec<Section> = theme::KINDS
        .into_iter()
        .filter(|&of| map.has(of) && kind.is_none_or(|kind| kind == of))
        .map(|kind| Section::new(map, kind))
        .collect();
    if sections.is_empty() {
        let kind = kind.map_or("any tensor", Kind::name);
        return Err(super::nothing("heat map", &format!("no format of {kind} was measured")));
    }
    let panel_width = sections.iter().map(Section::panel_width).fold(0.0, f64::max);
    let legend = legend(&sections);
    let widest = sections.iter().map(|section| section.width(panel_width)).fold(620.0, f64::max);
    let width = widest + 2.0 * theme::MARGIN;
    let legend_height = Canvas::legend_height(width, LEGEND, &legend);
    let sum: f64 = sections.iter().map(Section::height).sum();
    let height = Canvas::TOP + legend_height + sum + 12.0;
    let title = format!("Bit width and binary point: {}", map.model);
    let mut canvas = Canvas::new(width, height, &title, &map.about);
    let mut y = canvas.legend(Canvas::TOP, LEGEND, &legend);
    for section in &sections {
        section.draw(&mut canvas, y, panel_width);
        y += section.height();
    }
    Ok(canvas.finish())
}

fn legend(sections: &[Section]) -> Vec<(Mark, &'static str)> {
    let points = || sections.iter().flat_map(|section| &section.tensors).flat_map(|t| &t.points);
    let classes = theme::LOSS_CLASSES.iter();
    let mut entries: Vec<_> =
        classes.map(|(_, color, text)| (Mark::Square(color), *text)).collect();
    if points().any(|point| point.is_chosen) {
        entries.push((Mark::Ring(theme::INK), "chosen"));
    }
    if points().any(|point| !point.is_complete && point.loss.is_some()) {
        entries.push((Mark::Cross(theme::INK), "stopped early: loss on the images so far"));
    }
    if points().any(|point| point.loss.is_none()) {
        entries.push((Mark::Cross(theme::BOUND), "no valid network"));
    }
    entries
}

/// The panels of one kind.
struct Section<'a> {
    kind: Kind,
    tensors: Vec<&'a TensorMap>,
    /// Of all panels.
    bits: (i32, i32),
    /// Binary points that each panel shows.
    span: i32,
}

impl<'a> Section<'a> {
    fn new(map: &'a FormatMap, kind: Kind) -> Self {
        let tensors: Vec<_> = map.tensors.iter().filter(|tensor| tensor.kind == kind).collect();
        let mut bits = (i32::MAX, i32::MIN);
        let mut span = 5;
        for tensor in &tensors {
            let (low, high) = frac_range(tensor);
            span = span.max(high.saturating_sub(low).saturating_add(1));
            for point in &tensor.points {
                bits = (bits.0.min(point.bits), bits.1.max(point.bits));
            }
        }
        // One width alone is still a panel.
        let lack = (3 - bits.1.saturating_sub(bits.0)).max(0);
        Self { kind, tensors, bits: (bits.0, bits.1.saturating_add(lack)), span }
    }

    fn columns(&self) -> usize {
        // Few enough to read, and enough that a deep network is no ribbon.
        let most = if self.tensors.len() > 15 { 6 } else { 5 };
        self.tensors.len().clamp(1, most)
    }

    fn panel_width(&self) -> f64 {
        (13.0 * f64::from(self.bits.1.saturating_sub(self.bits.0) + 1)).clamp(150.0, 210.0)
    }

    fn panel_height(&self) -> f64 {
        (11.0 * f64::from(self.span)).clamp(100.0, 240.0)
    }

    fn width(&self, panel_width: f64) -> f64 {
        count(self.columns()) * (LEFT + panel_width + GAP) - GAP
    }

    fn height(&self) -> f64 {
        let rows = self.tensors.len().div_ceil(self.columns());
        HEADING + count(rows) * (ABOVE + self.panel_height() + BELOW)
    }

    fn draw(&self, canvas: &mut Canvas, y: f64, width: f64) {
        let heading = theme::heading(self.kind);
        canvas.text(theme::MARGIN, y + 18.0, heading, Style::HEADING, Anchor::Start);
        let height = self.panel_height();
        let names = self.tensors.iter().map(|tensor| tensor.name.as_str());
        let names = theme::short_names(names, width, theme::TEXT_SIZE);
        for (idx, tensor) in self.tensors.iter().enumerate() {
            let (row, column) = (idx / self.columns(), idx % self.columns());
            let area = Area {
                x: theme::MARGIN + LEFT + count(column) * (LEFT + width + GAP),
                y: y + HEADING + ABOVE + count(row) * (ABOVE + height + BELOW),
                width,
                height,
            };
            let is_last = idx + self.columns() >= self.tensors.len();
            self.panel(canvas, (tensor, &names.get(&tensor.name)), area, column == 0, is_last);
        }
    }

    fn panel(
        &self,
        canvas: &mut Canvas,
        (tensor, name): (&TensorMap, &str),
        area: Area,
        is_first: bool,
        is_last: bool,
    ) {
        let (low, high) = frac_range(tensor);
        let spare = (self.span - (high.saturating_sub(low) + 1)).max(0);
        let (low, high) = (low - spare / 2, high + spare - spare / 2);
        let x = Axis::integers(self.bits.0, self.bits.1, 7);
        let panel = canvas.panel(area, x, Axis::integers(low, high, 6));
        canvas.text(area.x, area.y - 7.0, name, Style::TEXT, Anchor::Start);
        if is_first {
            let style = Style { rotate: Some(-90.0), ..Style::FAINT };
            let (x, y) = (area.x - 32.0, area.y + area.height / 2.0);
            canvas.text(x, y, "fractional offset (F)", style, Anchor::Middle);
        }
        if is_last {
            let (x, y) = (area.x + area.width / 2.0, area.bottom() + 31.0);
            canvas.text(x, y, "bit width (BW), bits", Style::FAINT, Anchor::Middle);
        }
        let half = 0.5;
        let cell = |point: &FormatPoint| {
            let (x, y) = (f64::from(point.bits), f64::from(point.frac));
            let (left, right) = (panel.x(x - half), panel.x(x + half));
            let (top, bottom) = (panel.y(y + half), panel.y(y - half));
            let gap = if bottom - top > 6.0 { 0.5 } else { 0.0 };
            Area {
                x: left + gap,
                y: top + gap,
                width: right - left - 2.0 * gap,
                height: bottom - top - 2.0 * gap,
            }
        };
        for point in &tensor.points {
            let area = cell(point);
            let middle = (area.x + area.width / 2.0, area.y + area.height / 2.0);
            let r = (area.width.min(area.height) / 2.0 - 1.5).clamp(1.0, 3.5);
            if let Some(loss) = point.loss {
                canvas.rectangle(area, theme::loss_color(loss), None);
                if !point.is_complete {
                    canvas.cross(middle, r, theme::ink_on(loss));
                }
            } else {
                canvas.rectangle(area, REFUSED, Some((theme::NEUTRAL, 0.8)));
                canvas.cross(middle, r, theme::BOUND);
            }
        }
        // On top of all cells, so that no neighbor covers the ring.
        for point in tensor.points.iter().filter(|point| point.is_chosen) {
            let area = cell(point);
            let middle = (area.x + area.width / 2.0, area.y + area.height / 2.0);
            canvas.dot(middle, 4.5, "#ffffff", Some(theme::INK));
        }
    }
}

/// The smallest and the largest binary point.
fn frac_range(tensor: &TensorMap) -> (i32, i32) {
    let fracs = || tensor.points.iter().map(|point| point.frac);
    (fracs().min().unwrap_or(0), fracs().max().unwrap_or(0))
}
