//! Bits per layer, of one plan or of several side by side.

use super::{
    Picture,
    canvas::{Anchor, Area, Axis, Canvas, Mark, Style},
    count, theme,
};
use crate::{
    error::Error,
    files::read_text,
    plan::read_bits,
    result::{FormatResult, RunResult},
};
use std::path::Path;

/// Of one panel.
const PLOT_WIDTH: f64 = 240.0;
const GAP: f64 = 26.0;
/// Widest layer name.
const NAME: f64 = 210.0;
/// Of one bar.
const BAR: f64 = 11.0;

/// The bits of each tensor of a plan, by layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanBits {
    /// The network, where it is known.
    model: Option<String>,
    /// In the order of the file.
    layers: Vec<LayerBits>,
}

/// The bits of one layer, absent for a tensor that has no format.
#[derive(Clone, Debug, PartialEq, Eq)]
struct LayerBits {
    name: String,
    /// Of weights, bias and activation.
    bits: [Option<u8>; 3],
}

impl PlanBits {
    /// Of the plan that a result is of.
    ///
    /// ```
    /// use fixedwise::{PlanBits, RunResult};
    /// let bits = PlanBits::from_result(&RunResult::default());
    /// assert!(fixedwise::plot_bits(&[("empty", &bits)]).is_err());
    /// ```
    pub fn from_result(result: &RunResult) -> Self {
        let bits = |format: &FormatResult| format.frac.map(|_| format.bits);
        let layers = result.layers.iter().map(|layer| LayerBits {
            name: layer.name.clone(),
            bits: [bits(&layer.weights), bits(&layer.bias), bits(&layer.activation)],
        });
        let others = result.others.iter().map(|other| LayerBits {
            name: other.name.clone(),
            bits: [None, None, bits(&other.activation)],
        });
        Self {
            model: Some(super::network(result).to_owned()),
            layers: layers.chain(others).collect(),
        }
    }

    /// Reads `result.json`, `plan.toml` or a plan as JSON in the paper's terms; no model is needed.
    ///
    /// # Errors
    /// [`Error`] naming the file, for one that is none of these.
    ///
    /// ```
    /// # fn main() -> Result<(), fixedwise::Error> {
    /// # let folder = tempfile::tempdir().expect("a temporary folder");
    /// # let path = folder.path().join("plan.toml");
    /// use fixedwise::{PlanBits, plot_bits};
    ///
    /// let text = "schema = 1\nsemantics = \"simulated\"\n[layers.conv]\n\
    ///             weights = { bits = 5, frac = 3 }\n";
    /// std::fs::write(&path, text).expect("writable");
    /// let picture = plot_bits(&[("by hand", &PlanBits::read(&path)?)])?;
    /// assert!(picture.to_svg().contains("conv"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn read(path: &Path) -> Result<Self, Error> {
        let is = |kind: &str| path.extension().is_some_and(|name| name.eq_ignore_ascii_case(kind));
        if is("json") {
            let text = read_text(path)?;
            let value: Option<serde_json::Value> = serde_json::from_str(&text).ok();
            // A result has a list of layers, the paper's plan a map for each kind of tensor.
            if value.is_some_and(|value| value.get("schema").is_some()) {
                let refuse = |problem| Error::Result { path: path.to_owned(), problem };
                return Ok(Self::from_result(&RunResult::from_json(&text).map_err(refuse)?));
            }
        }
        let layers = read_bits(path)?;
        let layers = layers.into_iter().map(|(name, bits)| LayerBits { name, bits }).collect();
        Ok(Self { model: None, layers })
    }

    fn layer(&self, name: &str) -> Option<&LayerBits> {
        self.layers.iter().find(|layer| layer.name == name)
    }
}

/// Draws the bits of weights, biases and activations, layer by layer; each plan with a name of its
/// own.
///
/// # Errors
/// [`Error::Picture`] for no plan, more than six, plans of networks without a common layer, and
/// where there is no layer at all.
///
/// ```
/// # fn main() -> Result<(), fixedwise::Error> {
/// use fixedwise::{FormatResult, LayerResult, PlanBits, RunResult, plot_bits};
///
/// let format = |bits| FormatResult { bits, frac: Some(3), signed: true, full: false, bipolar: false, count: 100 };
/// let result = |bits| RunResult {
///     layers: vec![LayerResult {
///         name: "conv2d_1".to_owned(),
///         op: "Conv".to_owned(),
///         output_shape: [5, 5, 4],
///         macs: 1000,
///         accumulator_bits: 12,
///         weights: format(bits),
///         coarser: vec![],
///         dropped_channels: vec![],
///         bias: format(bits),
///         activation: format(bits),
///     }],
///     ..RunResult::default()
/// };
/// let plans = [8, 5].map(|bits| PlanBits::from_result(&result(bits)));
/// let picture = plot_bits(&[("wide", &plans[0]), ("narrow", &plans[1])])?;
/// assert!(picture.to_svg().contains("narrow"));
/// # Ok(())
/// # }
/// ```
pub fn plot_bits(plans: &[(&str, &PlanBits)]) -> Result<Picture, Error> {
    let refuse = |problem: &str| super::nothing("bits per layer", problem);
    if plans.is_empty() || plans.len() > theme::PLANS.len() {
        let most = theme::PLANS.len();
        return Err(refuse(&format!("expected 1 to {most} plans or results, not {}", plans.len())));
    }
    let mut names: Vec<&str> = Vec::new();
    for (label, plan) in plans {
        let is_known = |layer: &LayerBits| names.contains(&layer.name.as_str());
        if !names.is_empty() && !plan.layers.iter().any(is_known) {
            let problem = format!(
                "`{label}` has no layer in common with `{}`: they belong to different networks",
                plans[0].0
            );
            return Err(refuse(&problem));
        }
        for layer in &plan.layers {
            if !names.contains(&layer.name.as_str()) {
                names.push(&layer.name);
            }
        }
    }
    if names.is_empty() {
        return Err(refuse("there is no layer"));
    }

    let n = names.len();
    let short = theme::short_names(names.iter().copied(), NAME, theme::TEXT_SIZE);
    let shown: Vec<String> = names.iter().map(|name| short.get(name)).collect();
    let left = shown.iter().map(|name| theme::text_width(name, theme::TEXT_SIZE - 1));
    let left = left.fold(40.0, f64::max) + 14.0;
    let width = 2.0 * theme::MARGIN + left + 3.0 * PLOT_WIDTH + 2.0 * GAP;
    let legend: Vec<(Mark, &str)> =
        plans.iter().zip(theme::PLANS).map(|((label, _), c)| (Mark::Square(c), *label)).collect();
    let legend_height = Canvas::legend_height(width, "", &legend);
    let pitch = (BAR * count(plans.len()) + 7.0).max(20.0);
    let top = Canvas::TOP + legend_height + 24.0;
    let plot_height = pitch * count(n);
    let height = top + plot_height + 56.0;

    let models = plans.iter().find_map(|(_, plan)| plan.model.as_deref());
    let title = match models {
        Some(model) => format!("Bits per layer: {model}"),
        None => "Bits per layer".to_owned(),
    };
    let about = "bit width (BW) of each stored tensor; no bar: the tensor has no format of its own";
    let mut canvas = Canvas::new(width, height, &title, about);
    canvas.legend(Canvas::TOP, "", &legend);
    for (column, kind) in theme::KINDS.into_iter().enumerate() {
        let area = Area {
            x: theme::MARGIN + left + count(column) * (PLOT_WIDTH + GAP),
            y: top,
            width: PLOT_WIDTH,
            height: plot_height,
        };
        let heading = theme::heading(kind);
        canvas.text(area.x, area.y - 9.0, heading, Style::HEADING, Anchor::Start);
        let bits = |name: &str, plan: &PlanBits| plan.layer(name).and_then(|l| l.bits[column]);
        // One scale for all, but a bias of 32 bits does not make the others small.
        let widest = |column: usize| {
            let layers = plans.iter().flat_map(|(_, plan)| &plan.layers);
            layers.filter_map(|layer| layer.bits[column]).max().unwrap_or(8).max(8)
        };
        let common = (0..3).map(widest).filter(|bits| *bits <= 16).max().unwrap_or(8);
        let widest = widest(column).max(common);
        let high = f64::from(widest) * 1.12;
        let step = if widest > 16 { 8.0 } else { 2.0 };
        let mut tick = step;
        let x = Axis::linear(0.0, high).with_step(step);
        // The first layer stands on top.
        let rows: Vec<String> = shown.iter().rev().cloned().collect();
        let y = if column == 0 { Axis::names(&rows) } else { Axis::places(n) };
        let panel = canvas.panel(area, x, y);
        while tick < high {
            let x = panel.x(tick);
            canvas.line((x, area.y), (x, area.bottom()), theme::GRID, 1.0, None);
            tick += step;
        }
        for (idx, name) in names.iter().enumerate() {
            let middle = panel.y(count(n - idx));
            let first = middle - BAR * count(plans.len()) / 2.0;
            for (plan_idx, (_, plan)) in plans.iter().enumerate() {
                let Some(bits) = bits(name, plan) else { continue };
                let y = first + BAR * count(plan_idx);
                let width = panel.x(f64::from(bits)) - area.x;
                let bar = Area { x: area.x, y: y + 0.75, width, height: BAR - 1.5 };
                canvas.rectangle(bar, theme::PLANS[plan_idx], None);
                let style = Style { size: theme::TEXT_SIZE - 1, ..Style::TEXT };
                let text = bits.to_string();
                canvas.text(bar.right() + 4.0, y + BAR - 2.0, &text, style, Anchor::Start);
            }
        }
        let (x, y) = (area.x + area.width / 2.0, area.bottom() + 34.0);
        canvas.text(x, y, "bit width, bits", Style::LABEL, Anchor::Middle);
    }
    Ok(canvas.finish())
}
