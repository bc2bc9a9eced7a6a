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

/// Draws every plan that a search measured on all its images: what it saves against 8 bit of memory and bit
/// products, or the flash and RAM that it takes where the search counted these, and the loss, with what was
/// asked of certainty, that was held against the bound.
///
/// # Errors
/// [`Error::Picture`] for a result of no search, or of the strategy `fixed`.
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
        let problem = "the result contains no front; use the result of a search";
        return Err(super::nothing("front", problem));
    }
    let width = 2.0 * (WIDTH + GAP) + 2.0 * theme::MARGIN;
    let legend = [
        (Mark::Dot(KEPT), "meets the bound"),
        (Mark::Dot(theme::NEUTRAL), "does not"),
        (Mark::Cross(theme::FAINT), "beyond the axis"),
        (Mark::Ring(theme::INK), "the answer"),
        (Mark::Dashes(theme::BOUND), "bound, budget"),
    ];
    let top = Canvas::TOP + Canvas::legend_height(width, "", &legend) + 20.0;
    let height = top + HEIGHT + 56.0;
    let title = format!("Measured plans: {}", super::network(result));
    let with = result.held_as().map_or_else(String::new, |held_as| format!(" {held_as}"));
    let about = format!("relative loss on the search set{with}");
    let mut canvas = Canvas::new(width, height, &title, &about);
    canvas.legend(Canvas::TOP, "", &legend);

    let bound = result.relative_bound();
    let high = (SHOWN * bound).max(1e-6);
    let panels = panels(result);
    let mut x = theme::MARGIN + GAP;
    for Costs { title, of, high: most, is_percent, limit } in &panels {
        let area = Area { x, y: top, width: WIDTH, height: HEIGHT };
        let costs: Vec<f64> = result.front.iter().map(of).collect();
        let low = if *is_percent { costs.iter().copied().fold(0.0, f64::min) } else { 0.0 };
        let most = most.unwrap_or_else(|| costs.iter().copied().chain(*limit).fold(1e-3, f64::max));
        let horizontal = Axis::linear(low, most);
        let horizontal = if *is_percent { horizontal.in_percent() } else { horizontal };
        let panel = canvas.panel(area, horizontal, Axis::linear(0.0, high).in_percent());
        let line = panel.y(bound);
        canvas.line((area.x, line), (area.right(), line), theme::BOUND, 1.5, Some("6 6"));
        if let Some(limit) = limit.map(|limit| panel.x(limit)) {
            canvas.line((limit, area.y), (limit, area.bottom()), theme::BOUND, 1.5, Some("6 6"));
        }
        for (plan, cost) in result.front.iter().zip(costs) {
            let x = panel.x(cost);
            match Some(plan.held_loss).filter(|&loss| loss <= high) {
                None => canvas.cross((x, panel.y(high)), 3.5, theme::FAINT),
                Some(loss) => {
                    let color = if plan.bound_met { KEPT } else { theme::NEUTRAL };
                    let is_answer = result.is_answer(plan);
                    let radius = if is_answer { 5.5 } else { 3.5 };
                    let ring = is_answer.then_some(theme::INK);
                    canvas.dot((x, panel.y(loss.max(0.0))), radius, color, ring);
                }
            }
        }
        let middle = (area.x + WIDTH / 2.0, area.bottom() + 34.0);
        canvas.text(middle.0, middle.1, title, Style::LABEL, Anchor::Middle);
        x += WIDTH + GAP;
    }
    let style = Style { rotate: Some(-90.0), ..Style::LABEL };
    let (x, y) = (theme::MARGIN + 14.0, top + HEIGHT / 2.0);
    canvas.text(x, y, &format!("loss{with}, %"), style, Anchor::Middle);
    Ok(canvas.finish())
}

/// What plans cost, along the horizontal axis of a panel.
struct Costs<'a> {
    title: &'static str,
    of: Box<dyn Fn(&FrontPlan) -> f64 + 'a>,
    /// The end of the axis; by default the highest cost.
    high: Option<f64>,
    is_percent: bool,
    /// What there is of it.
    limit: Option<f64>,
}

/// Flash and RAM where the search counted them for every plan, else what is saved against 8 bit.
fn panels(result: &RunResult) -> [Costs<'_>; 2] {
    let kibibytes = |bytes: u64| u64_to_f64(bytes) / 1024.0;
    if result.front.iter().all(|plan| plan.flash_bytes.is_some() && plan.ram_bytes.is_some()) {
        let limit = |memory: &str| {
            let budget = result.budgets.iter().find(|budget| budget.memory == memory);
            budget.map(|budget| kibibytes(budget.limit_bytes))
        };
        let of = |bytes: fn(&FrontPlan) -> Option<u64>| {
            Box::new(move |plan: &FrontPlan| kibibytes(bytes(plan).unwrap_or_default()))
        };
        return [
            Costs {
                title: "flash, KiB",
                of: of(|plan| plan.flash_bytes),
                high: None,
                is_percent: false,
                limit: limit("flash"),
            },
            Costs {
                title: "peak RAM, KiB",
                of: of(|plan| plan.ram_bytes),
                high: None,
                is_percent: false,
                limit: limit("ram"),
            },
        ];
    }
    let saved = |part: u64, whole: u64| 1.0 - u64_to_f64(part) / u64_to_f64(whole.max(1));
    let memory = result.memory_bits.uniform8_total;
    let products = result.multiplication_cost.operand_uniform8;
    let part = |title, of| Costs { title, of, high: Some(1.0), is_percent: true, limit: None };
    [
        part("memory saved, %", Box::new(move |plan: &FrontPlan| saved(plan.memory_bits, memory))),
        part(
            "bit products saved, %",
            Box::new(move |plan: &FrontPlan| saved(plan.multiplications, products)),
        ),
    ]
}

/// What is within the bound.
const KEPT: &str = theme::PLANS[2];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::BudgetResult;

    #[test]
    fn a_search_for_memory_of_a_target_shows_that_memory() {
        let plan = |flash_bytes, ram_bytes| FrontPlan {
            flash_bytes: Some(flash_bytes),
            ram_bytes: Some(ram_bytes),
            held_loss: 0.004,
            bound_met: true,
            ..FrontPlan::default()
        };
        let budget = BudgetResult {
            memory: "flash".to_owned(),
            limit_bytes: 20_480,
            bytes: 16_678,
            is_met: true,
            least_bytes: None,
            packed_bytes: None,
            holders: Vec::new(),
            steps: Vec::new(),
        };
        let mut result = RunResult {
            front: vec![plan(21_892, 9_000), plan(16_678, 8_500)],
            budgets: vec![budget],
            ..RunResult::default()
        };
        let svg = plot_front(&result).unwrap().to_svg();
        assert!(svg.contains("flash, KiB") && svg.contains("peak RAM, KiB"), "{svg}");
        assert!(!svg.contains("saved") && svg.contains(">20<"), "{svg}");
        let lines = svg.matches("stroke-dasharray").count();
        let budgets = std::mem::take(&mut result.budgets);
        let without = plot_front(&result).unwrap().to_svg();
        let others = without.matches("stroke-dasharray").count();
        assert_eq!(lines, others + budgets.len(), "a line for each budget: {svg}");
        result.front[0].ram_bytes = None;
        let svg = plot_front(&result).unwrap().to_svg();
        assert!(svg.contains("memory saved, %") && svg.contains("bit products saved, %"), "{svg}");
    }
}
