//! Runs side by side.

use super::{
    Shown, front,
    table::{Cell, Table},
};
use crate::result::RunResult;
use fixedwise_fixed::convert::u64_to_f64;

/// A row for each figure, and the widths of each layer; a column for each run.
pub(super) fn table(runs: &[Shown]) -> Table {
    let labels = runs.iter().map(|run| format!("#{}", run.label));
    let titles: Vec<String> = std::iter::once(String::new()).chain(labels).collect();
    let mut table = Table::new(&titles.iter().map(String::as_str).collect::<Vec<_>>());
    let mut row = |title: &str, of: &dyn Fn(&RunResult) -> Cell| {
        let cells = std::iter::once(Cell::name(title));
        table.row(cells.chain(runs.iter().map(|run| of(run.result))).collect());
    };
    let count = |n: u64| Cell::number(super::super::grouped(n), u64_to_f64(n));
    let percent = |part: f64| Cell::number(format!("{:.2} %", 100.0 * part), 100.0 * part);
    let asked = runs.iter().map(|run| &run.result.command);
    let is_shared = |word: &String| asked.clone().all(|words| words.contains(word));
    row("asked for, where it differs", &|result| {
        let own: Vec<String> =
            result.command.iter().filter(|word| !is_shared(word)).cloned().collect();
        Cell::text(front::words(&own))
    });
    row("network", &|result| Cell::text(&result.model.name));
    row("strategy", &|result| Cell::text(&result.strategy));
    row("target", &|result| Cell::text(result.target.as_deref().unwrap_or("-")));
    row("bound met", &|result| {
        let (text, class) = if result.bound_met { ("yes", "good") } else { ("no", "bad") };
        Cell::text(text).of_class(class)
    });
    row("memory, bits", &|result| count(result.memory_bits.total));
    row("memory saved", &|result| percent(result.memory_bits.reduction));
    row("bit products", &|result| count(result.multiplication_cost.operand));
    row("bit products saved", &|result| percent(result.multiplication_cost.operand_reduction));
    row("flash, bytes", &|result| count(result.flash_bytes));
    row("peak RAM, bytes", &|result| count(result.peak_ram_bytes));
    for (name, of_search) in [("search", true), ("test", false)] {
        let set = |result: &RunResult| {
            if of_search { result.accuracy.search } else { result.accuracy.test }
        };
        row(&format!("{name} images"), &|result| {
            set(result).map_or_else(Cell::default, |set| count(set.n))
        });
        row(&format!("{name}: float"), &|result| {
            set(result).map_or_else(Cell::default, |set| percent(set.float))
        });
        row(&format!("{name}: integer"), &|result| {
            set(result).map_or_else(Cell::default, |set| percent(set.fixed))
        });
        row(&format!("{name}: relative loss"), &|result| {
            set(result).map_or_else(Cell::default, |set| percent(set.relative_loss))
        });
    }
    row("time, s", &|result| Cell::number(format!("{:.1}", result.seconds), result.seconds));
    let mut names: Vec<&str> = Vec::new();
    for layer in runs.iter().flat_map(|run| &run.result.layers) {
        if !names.contains(&layer.name.as_str()) {
            names.push(&layer.name);
        }
    }
    for name in names {
        row(&format!("{name}: weights, bias, activation"), &|result| {
            let layer = result.layers.iter().find(|layer| layer.name == name);
            layer.map_or_else(Cell::default, |layer| {
                Cell::text(format!(
                    "{}, {}, {} bits",
                    layer.weights.bits, layer.bias.bits, layer.activation.bits
                ))
            })
        });
    }
    table
}
