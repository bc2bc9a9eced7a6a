//! Every plan that was measured as a whole: a picture whose points lead to rows, and the command that makes each.

use super::{
    Shown,
    table::{Cell, Row, Table},
};
use crate::jobs::keep_name;
use fixedwise_fixed::convert::{count_to_f64, u64_to_f64};
use fixedwise_search::strategies::pareto::FrontPlan;
use serde::Serialize;

/// Of the picture, without its margins.
const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 56.0;
const TOP: f64 = 12.0;

/// The picture and the table behind it.
#[derive(Serialize)]
pub(super) struct Front {
    /// Whether rows have the command that makes their plan.
    has_commands: bool,
    width: f64,
    height: f64,
    /// The area of the points: left, top, right, bottom.
    area: [f64; 4],
    /// What stands along the axes.
    title: &'static str,
    y_title: String,
    x_ticks: Vec<(f64, String)>,
    y_ticks: Vec<(f64, String)>,
    /// Where the bound lies.
    bound: f64,
    points: Vec<Point>,
    table: Table,
}

#[derive(Serialize)]
struct Point {
    row: String,
    x: f64,
    y: f64,
    /// `kept`, `lost` or `beyond`, and `answer`.
    class: String,
    about: String,
}

/// Nothing where the search has no front; `best` is what the plan is called that has the costs of the result.
pub(super) fn front(run: Shown, best: &str) -> Option<Front> {
    let result = run.result;
    let plans = &result.front;
    if plans.is_empty() {
        return None;
    }
    let saved = |plan: &FrontPlan| {
        let whole = result.memory_bits.uniform8_total.max(1);
        100.0 * (1.0 - u64_to_f64(plan.memory_bits) / u64_to_f64(whole))
    };
    let products = |plan: &FrontPlan| {
        let whole = result.multiplication_cost.operand_uniform8.max(1);
        100.0 * (1.0 - u64_to_f64(plan.multiplications) / u64_to_f64(whole))
    };
    let is_of_flash = plans.iter().all(|plan| plan.flash_bytes.is_some());
    let cost = |plan: &FrontPlan| match plan.flash_bytes {
        Some(bytes) if is_of_flash => u64_to_f64(bytes) / 1024.0,
        _ => saved(plan),
    };
    let bound = 100.0 * result.relative_bound();
    let costs: Vec<f64> = plans.iter().map(cost).collect();
    let low = costs.iter().copied().fold(f64::MAX, f64::min);
    let high = costs.iter().copied().fold(f64::MIN, f64::max);
    let margin = ((high - low) * 0.05).max(0.5);
    let (low, high) = (low - margin, high + margin);
    let most = 3.0 * bound.max(1e-4);
    let x = |cost: f64| round(LEFT + WIDTH * (cost - low) / (high - low));
    let y = |loss: f64| round(TOP + HEIGHT * (1.0 - loss.clamp(0.0, most) / most));
    let held_as = result.held_as();
    let loss_named = held_as.map_or_else(String::new, |held_as| format!(" {held_as}"));
    let mut table = empty(is_of_flash, held_as);
    let mut points = Vec::new();
    for (place, plan) in plans.iter().enumerate() {
        let held = 100.0 * plan.held_loss;
        let (met, class) = if plan.bound_met { ("met", "good") } else { ("not met", "bad") };
        let mut cells = vec![
            Cell::number(
                if result.is_answer(plan) {
                    format!("{} ({best})", place + 1)
                } else {
                    (place + 1).to_string()
                },
                count_to_f64(place),
            ),
            Cell::number(super::super::grouped(plan.memory_bits), u64_to_f64(plan.memory_bits)),
            Cell::number(format!("{:.1}", saved(plan)), saved(plan)),
            Cell::number(format!("{:.1}", products(plan)), products(plan)),
        ];
        if let Some(bytes) = plan.flash_bytes.filter(|_| is_of_flash) {
            cells.push(Cell::number(super::super::grouped(bytes), u64_to_f64(bytes)));
        }
        cells.push(plan.loss.map_or_else(
            || Cell::text("not run on all images"),
            |loss| Cell::number(format!("{:.2}", 100.0 * loss), 100.0 * loss),
        ));
        if held_as.is_some() {
            cells.push(Cell::number(format!("{held:.2}"), held));
        }
        cells.push(Cell::text(met).of_class(class));
        // While the search goes on, nothing says yet which tensor has which width.
        let is_named = !result.sensitivity.is_empty();
        let more = is_named.then(|| ("widths and command".to_owned(), of_plan(run, plan)));
        table.rows.push(Row { id: format!("plan-{}", place + 1), cells, more });
        let kind = match plan.bound_met {
            _ if held > most => "beyond",
            true => "kept",
            false => "lost",
        };
        points.push(Point {
            row: format!("plan-{}", place + 1),
            x: x(cost(plan)),
            y: y(held),
            class: if result.is_answer(plan) { format!("{kind} answer") } else { kind.to_owned() },
            about: format!(
                "plan {}: {:.1} % of memory saved, {:.1} % of bit products, loss {held:.2} %{loss_named}, bound {met}",
                place + 1,
                saved(plan),
                products(plan)
            ),
        });
    }
    table.notes.push(format!(
        "{} plans, measured on {} search images. Saved: against uniform 8 bit.",
        plans.len(),
        super::super::grouped(result.images.search)
    ));
    Some(Front {
        has_commands: table.rows.iter().any(|row| row.more.is_some()),
        width: LEFT + WIDTH + 16.0,
        height: TOP + HEIGHT + 48.0,
        area: [LEFT, TOP, LEFT + WIDTH, TOP + HEIGHT],
        title: if is_of_flash { "flash, KiB" } else { "memory saved, %" },
        y_title: format!("loss{loss_named}, %"),
        x_ticks: ticks(low, high).into_iter().map(|at| (x(at), short(at))).collect(),
        y_ticks: ticks(0.0, most).into_iter().map(|at| (y(at), short(at))).collect(),
        bound: y(bound),
        points,
        table,
    })
}

/// The table without rows.
fn empty(is_of_flash: bool, held_as: Option<&str>) -> Table {
    let mut titles = vec!["plan", "#memory, bits", "#memory saved, %", "#bit products saved, %"];
    titles.extend(is_of_flash.then_some("#flash, bytes"));
    titles.push("#loss counted, %");
    let held = held_as.map(|held_as| format!("#{held_as}, %"));
    titles.extend(held.as_deref());
    titles.push("bound");
    Table::new(&titles)
}

fn round(x: f64) -> f64 {
    (x * 10.0).round() / 10.0
}

/// Round numbers in a range, four to eight of them.
fn ticks(low: f64, high: f64) -> Vec<f64> {
    let width = (high - low).max(1e-9);
    let power = 10_f64.powf((width / 4.0).log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
    let step = steps.into_iter().find(|step| width / step <= 8.0).unwrap_or(steps[3]);
    // Not the zero below zero, which has a sign.
    let mut at = (low / step).ceil() * step + 0.0;
    let mut ticks = Vec::new();
    while at <= high {
        ticks.push(at);
        at += step;
    }
    ticks
}

fn short(at: f64) -> String {
    let text = format!("{at:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The widths of a plan, and what makes it.
fn of_plan(run: Shown, plan: &FrontPlan) -> String {
    let tensors = || run.result.sensitivity.iter().zip(&plan.bits);
    let widths: Vec<String> = tensors()
        .map(|(tensor, bits)| format!("{} {}: {bits}", tensor.name, tensor.kind.name()))
        .collect();
    let kept = tensors()
        .map(|(tensor, bits)| (format!("{}.{}", tensor.name, keep_name(tensor.kind)), bits));
    let command = if run.is_folder {
        let options =
            kept.map(|(name, bits)| format!("--keep {}", quoted(&format!("{name}={bits}"))));
        let options = options.collect::<Vec<_>>().join(" ");
        format!("fixedwise quantize --from {} {options}", quoted(run.label))
    } else {
        let widths = kept.map(|(name, bits)| format!("{name:?}: {bits}"));
        let widths = widths.collect::<Vec<_>>().join(", ");
        format!("fixedwise.quantize(..., from_=result, keep={{{widths}}})")
    };
    format!("{}\n\n{command}", widths.join("\n"))
}

/// A command line as a shell reads it; empty where there is none.
pub(super) fn command_line(command: &[String]) -> String {
    if command.is_empty() {
        return String::new();
    }
    format!("fixedwise quantize {}", words(command))
}

/// Words as a shell reads them.
pub(super) fn words(words: &[String]) -> String {
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

/// A word as a shell reads it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,:@%+".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_what_a_shell_reads() {
        assert_eq!(quoted("a/b.onnx"), "a/b.onnx");
        assert_eq!(quoted("it's $HOME"), r"'it'\''s $HOME'");
        assert_eq!(quoted(""), "''");
    }

    #[test]
    fn ticks_are_round_and_few() {
        for (low, high) in [(0.0, 3.0), (12.0, 88.0), (0.0, 0.003), (-4.0, 1000.0), (-0.3, 59.0)] {
            let ticks = ticks(low, high);
            assert!((3..=9).contains(&ticks.len()), "{ticks:?}");
            assert!(ticks.iter().all(|&at| low <= at && at <= high), "{ticks:?}");
            assert!(ticks.iter().all(|&at| short(at) != "-0"), "{ticks:?}");
        }
    }
}
