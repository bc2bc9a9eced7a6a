//! The plans that a search measured as a whole: what each saves, and what it loses.

use super::{
    Picture,
    canvas::{Anchor, Area, Axis, Canvas, Mark, Style},
    theme,
};
use crate::{error::Error, result::RunResult};
use fixedwise_fixed::convert::u64_to_f64;
use fixedwise_search::strategies::pareto::FrontPlan;

/// Of one panel.
const WIDTH: f64 = 360.0;
const HEIGHT: f64 = 280.0;
/// Between panels: numbers of the axis.
const GAP: f64 = 70.0;
/// Bounds that the axis of losses shows.
const SHOWN: f64 = 3.0;

/// Draws every plan that a search measured on all its images: memory and multiplications that it saves
/// against 8 bit, and the loss, with what was asked of certainty, that was held against the bound.
///
/// # Errors
/// [`Error::Picture`] for a result of a strategy that does not measure such plans: any but `pareto`.
///
/// ```
/// # fn main() -> Result<(), fixedwise::Error> {
/// use fixedwise::{FrontPlan, RunResult, plot_front};
///
/// let mut result = RunResult::default();
/// assert!(plot_front(&result).is_err());
/// result.memory_bits.uniform8_total = 80_000;
/// result.multiplication_cost.operand_uniform8 = 640_000;
/// result.front.push(FrontPlan {
///     bits: vec![4, 3],
///     memory_bits: 40_000,
///     multiplications: 120_000,
///     divergence: 0.01,
///     loss: Some(0.004),
///     held_loss: 0.008,
///     bound_met: true,
///     ..FrontPlan::default()
/// });
/// assert!(plot_front(&result)?.to_svg().contains("memory saved"));
/// # Ok(())
/// # }
/// ```
pub fn plot_front(result: &RunResult) -> Result<Picture, Error> {
    if result.front.is_empty() {
        let problem = "the result contains no front; use the result of the strategy `pareto`";
        return Err(super::nothing("front", problem));
    }
    let width = 2.0 * (WIDTH + GAP) + 2.0 * theme::MARGIN;
    let legend = [
        (Mark::Dot(KEPT), "meets the bound"),
        (Mark::Dot(theme::NEUTRAL), "does not"),
        (Mark::Cross(theme::FAINT), "beyond the axis"),
        (Mark::Ring(theme::INK), "the answer"),
        (Mark::Dashes(theme::BOUND), "bound"),
    ];
    let top = Canvas::TOP + Canvas::legend_height(width, "", &legend) + 20.0;
    let height = top + HEIGHT + 56.0;
    let title = format!("Measured plans: {}", super::network(result));
    let about = "relative loss on the search set, including the safety margin";
    let mut canvas = Canvas::new(width, height, &title, about);
    canvas.legend(Canvas::TOP, "", &legend);

    let bound = result.max_loss.as_ref().map_or(0.01, |max_loss| match max_loss.kind.as_str() {
        "points" => max_loss.value / result.accuracy.search.map_or(1.0, |set| set.float),
        _ => max_loss.value,
    });
    let high = (SHOWN * bound).max(1e-6);
    let saved = |part: u64, whole: u64| 1.0 - u64_to_f64(part) / u64_to_f64(whole.max(1));
    let memory = |plan: &FrontPlan| saved(plan.memory_bits, result.memory_bits.uniform8_total);
    let multiplications =
        |plan: &FrontPlan| saved(plan.multiplications, result.multiplication_cost.operand_uniform8);
    let axes: [(&str, Saved); 2] =
        [("memory saved, %", &memory), ("multiplications saved, %", &multiplications)];
    let mut x = theme::MARGIN + GAP;
    for (name, of) in axes {
        let area = Area { x, y: top, width: WIDTH, height: HEIGHT };
        let low = result.front.iter().map(of).fold(0.0, f64::min);
        let horizontal = Axis::linear(low, 1.0).in_percent();
        let panel = canvas.panel(area, horizontal, Axis::linear(0.0, high).in_percent());
        let line = panel.y(bound);
        canvas.line((area.x, line), (area.right(), line), theme::BOUND, 1.5, Some("6 6"));
        for plan in &result.front {
            let x = panel.x(of(plan));
            match Some(plan.held_loss).filter(|&loss| loss <= high) {
                None => canvas.cross((x, panel.y(high)), 3.5, theme::FAINT),
                Some(loss) => {
                    let color = if plan.bound_met { KEPT } else { theme::NEUTRAL };
                    let is_answer = plan.memory_bits == result.memory_bits.total
                        && plan.multiplications == result.multiplication_cost.operand;
                    let radius = if is_answer { 5.5 } else { 3.5 };
                    let ring = is_answer.then_some(theme::INK);
                    canvas.dot((x, panel.y(loss.max(0.0))), radius, color, ring);
                }
            }
        }
        let style = Style::LABEL;
        canvas.text(area.x + WIDTH / 2.0, area.bottom() + 34.0, name, style, Anchor::Middle);
        x += WIDTH + GAP;
    }
    let style = Style { rotate: Some(-90.0), ..Style::LABEL };
    let (x, y) = (theme::MARGIN + 14.0, top + HEIGHT / 2.0);
    canvas.text(x, y, "loss including the safety margin, %", style, Anchor::Middle);
    Ok(canvas.finish())
}

/// What a plan saves.
type Saved<'a> = &'a dyn Fn(&FrontPlan) -> f64;

/// What is within the bound.
const KEPT: &str = theme::PLANS[2];
