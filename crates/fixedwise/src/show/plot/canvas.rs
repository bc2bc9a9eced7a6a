//! What pictures are drawn with: a canvas of texts and shapes, panels with axes, legends.
//!
//! Scales, ticks and axes are the plotting library's; where things stand is decided here, so that
//! nothing overlaps however many layers there are.

use super::{Picture, theme};
use kuva::{
    TickFormat,
    render::{
        axis::add_axes_and_grid,
        color::Color,
        layout::{ComputedLayout, Layout},
        render::{Primitive, Scene, TextAnchor},
    },
};
use std::sync::Arc;

/// A picture that is being drawn; pixels from the left upper corner.
pub(super) struct Canvas {
    scene: Scene,
    width: f64,
    height: f64,
}

/// Which part of a text stands at its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// How a text looks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    pub(super) size: u32,
    pub(super) color: &'static str,
    pub(super) is_bold: bool,
    /// Degrees, clockwise.
    pub(super) rotate: Option<f64>,
}

impl Style {
    pub(super) const TEXT: Self =
        Self { size: theme::TEXT_SIZE, color: theme::INK, is_bold: false, rotate: None };
    pub(super) const FAINT: Self = Self { color: theme::FAINT, ..Self::TEXT };
    pub(super) const LABEL: Self = Self { size: theme::LABEL_SIZE, ..Self::TEXT };
    pub(super) const HEADING: Self =
        Self { size: theme::LABEL_SIZE + 1, is_bold: true, ..Self::TEXT };
}

/// Where a panel's axes span; pixels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Area {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

impl Area {
    pub(super) fn right(&self) -> f64 {
        self.x + self.width
    }

    pub(super) fn bottom(&self) -> f64 {
        self.y + self.height
    }
}

/// What one direction of a panel shows.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    step: Option<f64>,
    is_log: bool,
    format: TickFormat,
    /// Names at 1, 2, ... instead of numbers.
    names: Option<Vec<String>>,
    has_ticks: bool,
}

impl Axis {
    /// From `low` to `high`, in ticks of a round step.
    pub(super) fn linear(low: f64, high: f64) -> Self {
        Self {
            low,
            high,
            step: None,
            is_log: false,
            format: TickFormat::Auto,
            names: None,
            has_ticks: true,
        }
    }

    /// Whole numbers, each the middle of a cell; at most `ticks` of them are written.
    pub(super) fn integers(low: i32, high: i32, ticks: i32) -> Self {
        let step = (i32::max(high - low, 0) / ticks.max(1)) + 1;
        let format = TickFormat::Integer;
        let (low, high) = (f64::from(low) - 0.5, f64::from(high) + 0.5);
        Self { step: Some(f64::from(step)), format, ..Self::linear(low, high) }
    }

    /// Powers of ten.
    pub(super) fn powers(low: f64, high: f64) -> Self {
        Self { is_log: true, ..Self::linear(low, high) }
    }

    /// Names at 1, 2, ...; upwards, on a y axis.
    pub(super) fn names(names: &[String]) -> Self {
        let names: Vec<String> = names.iter().map(|name| printable(name)).collect();
        let high = super::count(names.len()) + 0.5;
        Self { names: Some(names), ..Self::linear(0.5, high) }
    }

    /// Room for `n` things at 1, 2, ..., nothing written.
    pub(super) fn places(n: usize) -> Self {
        let high = super::count(n) + 0.5;
        // A step beyond the axis: no line of the grid stands for anything here.
        Self { has_ticks: false, step: Some(2.0 * high), ..Self::linear(0.5, high) }
    }

    pub(super) fn with_step(self, step: f64) -> Self {
        Self { step: Some(step), ..self }
    }

    /// Ticks as percent.
    pub(super) fn in_percent(self) -> Self {
        let percent = |x: f64| {
            let text = format!("{:.3}", x * 100.0);
            let text = text.trim_end_matches('0').trim_end_matches('.');
            format!("{} %", if text == "-0" { "0" } else { text })
        };
        Self { format: TickFormat::Custom(Arc::new(percent)), ..self }
    }
}

/// Axes on a canvas: from values to pixels.
pub(super) struct Panel {
    computed: ComputedLayout,
}

impl Panel {
    pub(super) fn x(&self, value: f64) -> f64 {
        self.computed.map_x(value)
    }

    pub(super) fn y(&self, value: f64) -> f64 {
        self.computed.map_y(value)
    }
}

/// A text without what XML cannot say at all.
fn printable(text: &str) -> String {
    let is_unsayable = |c: char| c.is_control() || c == '\u{fffe}' || c == '\u{ffff}';
    text.replace(is_unsayable, "\u{fffd}")
}

/// A mark of a legend.
#[derive(Clone, Copy, Debug)]
pub(super) enum Mark {
    Square(&'static str),
    Dot(&'static str),
    Ring(&'static str),
    Cross(&'static str),
    Dashes(&'static str),
    Line(&'static str),
}

impl Canvas {
    /// An empty picture under a title and a line that says more; the picture goes on at
    /// [`Self::TOP`].
    pub(super) fn new(width: f64, height: f64, title: &str, subtitle: &str) -> Self {
        let mut scene = Scene::new(width, height);
        scene.font_family =
            Some("DejaVu Sans, Verdana, Liberation Sans, Arial, sans-serif".to_owned());
        scene.text_color = Some(theme::INK.to_owned());
        let mut canvas = Self { scene, width, height };
        let room = width - 2.0 * theme::MARGIN;
        let style = Style { size: theme::TITLE_SIZE, is_bold: true, ..Style::TEXT };
        let title = theme::fitted(title, room / 1.1, theme::TITLE_SIZE);
        canvas.text(theme::MARGIN, 34.0, &title, style, Anchor::Start);
        let subtitle = theme::fitted(subtitle, room, theme::LABEL_SIZE);
        let style = Style { size: theme::LABEL_SIZE, ..Style::FAINT };
        canvas.text(theme::MARGIN, 54.0, &subtitle, style, Anchor::Start);
        canvas
    }

    /// Below title and subtitle.
    pub(super) const TOP: f64 = 68.0;

    pub(super) fn finish(self) -> Picture {
        Picture { scene: self.scene }
    }

    pub(super) fn text(&mut self, x: f64, y: f64, text: &str, style: Style, anchor: Anchor) {
        self.scene.add(Primitive::Text {
            x,
            y,
            content: printable(text),
            size: style.size,
            anchor: match anchor {
                Anchor::Start => TextAnchor::Start,
                Anchor::Middle => TextAnchor::Middle,
                Anchor::End => TextAnchor::End,
            },
            rotate: style.rotate,
            bold: style.is_bold,
            color: Some(Color::from(style.color)),
        });
    }

    pub(super) fn rectangle(&mut self, area: Area, fill: &str, border: Option<(&str, f64)>) {
        self.scene.add(Primitive::Rect {
            x: area.x,
            y: area.y,
            width: area.width.max(0.0),
            height: area.height.max(0.0),
            fill: Color::from(fill),
            stroke: border.map(|(color, _)| Color::from(color)),
            stroke_width: border.map(|(_, width)| width),
            opacity: None,
        });
    }

    /// A rectangle that what is below shines through.
    pub(super) fn tint(&mut self, area: Area, fill: &str, opacity: f64) {
        self.scene.add(Primitive::Rect {
            x: area.x,
            y: area.y,
            width: area.width.max(0.0),
            height: area.height.max(0.0),
            fill: Color::from(fill),
            stroke: None,
            stroke_width: None,
            opacity: Some(opacity),
        });
    }

    pub(super) fn line(
        &mut self,
        from: (f64, f64),
        to: (f64, f64),
        color: &str,
        width: f64,
        dashes: Option<&str>,
    ) {
        self.scene.add(Primitive::Line {
            x1: from.0,
            y1: from.1,
            x2: to.0,
            y2: to.1,
            stroke: Color::from(color),
            stroke_width: width,
            stroke_dasharray: dashes.map(str::to_owned),
        });
    }

    /// Straight lines from point to point.
    pub(super) fn path(&mut self, points: Vec<(f64, f64)>, color: &str, width: f64) {
        self.scene.add(Primitive::PolyLine {
            points,
            stroke: Color::from(color),
            stroke_width: width,
            stroke_dasharray: None,
        });
    }

    pub(super) fn dot(&mut self, (x, y): (f64, f64), r: f64, fill: &str, border: Option<&str>) {
        self.scene.add(Primitive::Circle {
            cx: x,
            cy: y,
            r,
            fill: Color::from(fill),
            fill_opacity: None,
            stroke: border.map(Color::from),
            stroke_width: border.map(|_| 1.4),
        });
    }

    pub(super) fn cross(&mut self, (x, y): (f64, f64), r: f64, color: &str) {
        self.line((x - r, y - r), (x + r, y + r), color, 1.0, None);
        self.line((x - r, y + r), (x + r, y - r), color, 1.0, None);
    }

    /// Draws the axes of a panel.
    pub(super) fn panel(&mut self, area: Area, x: Axis, y: Axis) -> Panel {
        // The panel's library lays out a canvas of its own; with the margins given, that is ours.
        let mut layout = Layout::new((x.low, x.high), (y.low, y.high))
            .with_width(self.width)
            .with_height(self.height)
            .with_force_margins(area.x, self.width - area.right())
            .with_force_margins_y(area.y, self.height - area.bottom())
            .with_x_axis_min(x.low)
            .with_x_axis_max(x.high)
            .with_y_axis_min(y.low)
            .with_y_axis_max(y.high)
            .with_tick_size(theme::TEXT_SIZE - 1)
            .with_tick_length(3.0)
            .with_x_tick_format(x.format)
            .with_y_tick_format(y.format);
        (layout.log_x, layout.log_y) = (x.is_log, y.is_log);
        (layout.x_tick_step, layout.y_tick_step) = (x.step, y.step);
        layout.suppress_x_ticks = !x.has_ticks;
        layout.suppress_y_ticks = !y.has_ticks;
        layout.show_grid = y.names.is_none() && y.has_ticks;
        layout.y_categories = y.names;
        theme::GRID.clone_into(&mut layout.theme.grid_color);
        theme::FAINT.clone_into(&mut layout.theme.axis_color);
        theme::FAINT.clone_into(&mut layout.theme.tick_color);
        let computed = ComputedLayout::from_layout(&layout);
        add_axes_and_grid(&mut self.scene, &computed, &layout);
        Panel { computed }
    }

    /// Marks with their meaning, in rows no wider than the picture; returns where the next thing
    /// may stand.
    pub(super) fn legend(&mut self, y: f64, title: &str, entries: &[(Mark, &str)]) -> f64 {
        let style = Style::TEXT;
        let mut x = theme::MARGIN;
        let mut y = y + 10.0;
        if !title.is_empty() {
            self.text(x, y + 4.0, title, Style::FAINT, Anchor::Start);
            x += theme::text_width(title, style.size) + 12.0;
        }
        let start = x;
        for (mark, text) in entries {
            let text = &theme::fitted(text, self.width - start - 60.0, style.size);
            let width = 20.0 + theme::text_width(text, style.size) + 8.0;
            if x + width > self.width - theme::MARGIN && x > start {
                x = start;
                y += 18.0;
            }
            self.mark(*mark, (x + 6.0, y));
            self.text(x + 18.0, y + 4.0, text, style, Anchor::Start);
            x += width;
        }
        y + 16.0
    }

    /// The height that [`Self::legend`] takes on a picture of a width.
    pub(super) fn legend_height(width: f64, title: &str, entries: &[(Mark, &str)]) -> f64 {
        Self::new(width, 1.0, "", "").legend(0.0, title, entries)
    }

    fn mark(&mut self, mark: Mark, (x, y): (f64, f64)) {
        match mark {
            Mark::Square(color) => {
                let area = Area { x: x - 6.0, y: y - 6.0, width: 12.0, height: 12.0 };
                self.rectangle(area, color, None);
            }
            Mark::Dot(color) => self.dot((x, y), 4.0, color, None),
            Mark::Ring(color) => self.dot((x, y), 4.5, "#ffffff", Some(color)),
            Mark::Cross(color) => self.cross((x, y), 4.0, color),
            Mark::Dashes(color) => {
                self.line((x - 7.0, y), (x + 7.0, y), color, 1.5, Some("4 4"));
            }
            Mark::Line(color) => self.line((x - 7.0, y), (x + 7.0, y), color, 2.0, None),
        }
    }
}
