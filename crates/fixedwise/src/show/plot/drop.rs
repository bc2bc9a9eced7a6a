//! The loss, tensor by tensor, as a search goes on.

use super::{
    Picture,
    canvas::{Anchor, Area, Axis, Canvas, Mark, Style},
    count,
    format_map::{FormatPoint, point_of},
    theme,
};
use crate::{error::Error, result::RunResult};
use fixedwise_search::strategies::Kind;

/// Of one tensor.
const PITCH: f64 = 15.0;
const PLOT_HEIGHT: f64 = 300.0;
const LEFT: f64 = 62.0;
/// Widest name below the axis.
const NAME: f64 = 150.0;

/// Beyond any relative loss.
const FAR: f64 = 100.0;

/// One tensor, in the order of the search.
struct Place<'a> {
    kind: Kind,
    name: &'a str,
    /// With all that stands left of it quantized.
    accepted: Option<f64>,
    tried: Vec<FormatPoint>,
}

/// Draws the loss after each tensor that a search gave a format, with what it tried and did not
/// take, and the bound.
///
/// # Errors
/// [`Error::Picture`] for a result without such a trace: of a plan that was only evaluated, or of a
/// strategy that chooses all formats at once.
///
/// ```
/// # fn main() -> Result<(), fixedwise::Error> {
/// use fixedwise::{RunResult, TraceStep, plot_drop};
///
/// let mut result = RunResult::default();
/// assert!(plot_drop(&result).is_err());
/// result.trace.push(TraceStep {
///     seconds: 0.5,
///     evaluations: 9,
///     node: "conv2d_1".to_owned(),
///     kind: "weights".to_owned(),
///     memory_bits: 4000,
///     loss: Some(0.004),
/// });
/// assert!(plot_drop(&result)?.to_svg().contains("conv2d_1"));
/// # Ok(())
/// # }
/// ```
pub fn plot_drop(result: &RunResult) -> Result<Picture, Error> {
    let places = places(result);
    if !places.iter().any(|place| place.accepted.is_some()) {
        let problem = "the result contains no layer-by-layer search; use the result of such a \
                       strategy, for example `joint`";
        return Err(super::nothing("accuracy drop", problem));
    }
    let short = theme::short_names(places.iter().map(|place| place.name), NAME, theme::TEXT_SIZE);
    let names: Vec<String> = places.iter().map(|place| short.get(place.name)).collect();
    let below = names.iter().map(|name| theme::text_width(name, theme::TEXT_SIZE - 1));
    let below = below.fold(40.0, f64::max) + 26.0;
    let plot_width = (count(places.len()) * PITCH).max(720.0);
    let width = plot_width + LEFT + 2.0 * theme::MARGIN;
    let bound = result.max_loss.as_ref().map(|max_loss| match max_loss.kind.as_str() {
        // Points are of all images; the axis is relative to the float accuracy.
        "points" => max_loss.value / result.accuracy.search.map_or(1.0, |set| set.float),
        _ => max_loss.value,
    });
    let bound = bound.filter(|bound| (0.0..FAR).contains(bound));
    let (low, high) = extent(&places, bound);
    let legend = legend(&places, bound, (low, high));
    let legend_height = Canvas::legend_height(width, "", &legend);
    let top = Canvas::TOP + legend_height + 26.0;
    let height = top + PLOT_HEIGHT + below + 8.0;
    let title = format!("Accuracy drop, layer by layer: {}", super::network(result));
    let about = format!(
        "loss relative to the float accuracy on {}, with all tensors to the left quantized; {}",
        super::images_of(result),
        super::run_of(result)
    );
    let mut canvas = Canvas::new(width, height, &title, &about);
    canvas.legend(Canvas::TOP, "", &legend);

    let area = Area { x: theme::MARGIN + LEFT, y: top, width: plot_width, height: PLOT_HEIGHT };
    phases(&mut canvas, &places, area);
    let y = Axis::linear(low, high).in_percent();
    let panel = canvas.panel(area, Axis::places(places.len()), y);
    for (idx, name) in names.iter().enumerate() {
        // Turned text stands on its line; this moves its middle there.
        let x = panel.x(count(idx) + 1.0) + 3.5;
        let style = Style { rotate: Some(-90.0), size: theme::TEXT_SIZE - 1, ..Style::TEXT };
        canvas.text(x, area.bottom() + 7.0, name, style, Anchor::End);
    }
    let style = Style { rotate: Some(-90.0), ..Style::LABEL };
    let (x, y) = (area.x - 50.0, area.y + area.height / 2.0);
    canvas.text(x, y, "relative loss, %", style, Anchor::Middle);
    let (x, y) = (area.x + area.width / 2.0, area.bottom() + below);
    canvas.text(x, y, "tensor, in the order of the search", Style::LABEL, Anchor::Middle);
    canvas.line((area.x, panel.y(0.0)), (area.right(), panel.y(0.0)), theme::FAINT, 1.0, None);
    if let Some(bound) = bound {
        let y = panel.y(bound);
        canvas.line((area.x, y), (area.right(), y), theme::BOUND, 1.5, Some("6 6"));
    }
    for (idx, place) in places.iter().enumerate() {
        let x = panel.x(count(idx) + 1.0);
        for point in place.tried.iter().filter(|point| !point.is_chosen) {
            let Some(loss) = point.loss else { continue };
            // What is beyond the axis stands just inside.
            let y = panel.y(loss).clamp(area.y + 5.0, area.bottom() - 5.0);
            if !point.is_complete || !(low..=high).contains(&loss) {
                canvas.cross((x, y), 2.8, theme::FAINT);
            } else {
                canvas.dot((x, y), 2.2, theme::NEUTRAL, None);
            }
        }
    }
    let accepted = places.iter().enumerate();
    let accepted: Vec<_> = accepted
        .filter_map(|(idx, place)| {
            let y = panel.y(place.accepted?);
            Some(((panel.x(count(idx) + 1.0), y), place.kind))
        })
        .collect();
    canvas.path(accepted.iter().map(|(at, _)| *at).collect(), theme::INK, 1.2);
    for (at, kind) in accepted {
        canvas.dot(at, 4.2, theme::kind_color(kind), Some("#ffffff"));
    }
    Ok(canvas.finish())
}

fn legend(
    places: &[Place],
    bound: Option<f64>,
    (low, high): (f64, f64),
) -> Vec<(Mark, &'static str)> {
    let mut entries = Vec::new();
    for kind in theme::KINDS {
        if places.iter().any(|place| place.kind == kind) {
            entries.push((Mark::Dot(theme::kind_color(kind)), accepted(kind)));
        }
    }
    let has = |is_cross: bool| {
        let tried = places.iter().flat_map(|place| &place.tried);
        let mut tried = tried.filter_map(|point| Some((point.is_complete, point.loss?)));
        tried.any(|(is_complete, loss)| (is_complete && low <= loss && loss <= high) != is_cross)
    };
    if has(false) {
        entries.push((Mark::Dot(theme::NEUTRAL), "tried"));
    }
    if has(true) {
        entries.push((Mark::Cross(theme::FAINT), "stopped early, or beyond the axis"));
    }
    if bound.is_some() {
        entries.push((Mark::Dashes(theme::BOUND), "bound"));
    }
    entries
}

const fn accepted(kind: Kind) -> &'static str {
    match kind {
        Kind::Weights => "weights accepted",
        Kind::Biases => "biases accepted",
        Kind::Activations => "activations accepted",
    }
}

/// The tensors in the order of the search, each with what was taken and tried.
fn places(result: &RunResult) -> Vec<Place<'_>> {
    let mut places: Vec<Place> = Vec::new();
    for entry in &result.tried {
        let is_it = |place: &&mut Place| place.kind == entry.kind && place.name == entry.name;
        let point = point_of(entry);
        match places.iter_mut().find(is_it) {
            Some(place) => place.tried.push(point),
            None => places.push(Place {
                kind: entry.kind,
                name: &entry.name,
                accepted: None,
                tried: vec![point],
            }),
        }
    }
    for step in &result.trace {
        let Some(kind) = theme::KINDS.into_iter().find(|kind| kind.name() == step.kind) else {
            continue;
        };
        // No result has more; a file edited by hand may.
        let loss = step.loss.map(|loss| loss.clamp(-FAR, FAR));
        let is_it = |place: &&mut Place| place.kind == kind && place.name == step.node;
        if let Some(place) = places.iter_mut().find(is_it) {
            place.accepted = loss.or(place.accepted);
        } else {
            places.push(Place { kind, name: &step.node, accepted: loss, tried: Vec::new() });
        }
    }
    places
}

/// The losses that the axis shows: all that were accepted, the bound with room above it, and below
/// zero what was tried, as far down as up.
fn extent(places: &[Place], bound: Option<f64>) -> (f64, f64) {
    let accepted = || places.iter().filter_map(|place| place.accepted);
    let tried = places.iter().flat_map(|place| &place.tried).filter(|point| point.is_complete);
    let high = accepted().chain(bound).fold(1e-4, f64::max) * 1.5;
    let tried = tried.filter_map(|point| point.loss).map(|loss| loss.max(-high));
    (tried.chain(accepted()).fold(0.0, f64::min) * 1.1, high)
}

/// A band and a word for each run of tensors of one kind.
fn phases(canvas: &mut Canvas, places: &[Place], area: Area) {
    let pitch = area.width / count(places.len());
    let mut start = 0;
    for run in places.chunk_by(|a, b| a.kind == b.kind) {
        let band =
            Area { x: area.x + count(start) * pitch, width: count(run.len()) * pitch, ..area };
        let kind = run[0].kind;
        canvas.tint(band, theme::kind_color(kind), 0.07);
        let heading = theme::heading(kind);
        if theme::text_width(heading, theme::TEXT_SIZE) < band.width {
            let style = Style { color: theme::kind_color(kind), is_bold: true, ..Style::TEXT };
            canvas.text(band.x + band.width / 2.0, area.y - 8.0, heading, style, Anchor::Middle);
        }
        start += run.len();
    }
}
