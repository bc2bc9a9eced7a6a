//! What a network takes of its target's memory: flash node by node, RAM step by step.

use super::table::{Cell, Table};
use crate::result::{HolderResult, RunResult};
use fixedwise_fixed::convert::u64_to_f64;
use serde::Serialize;

/// One memory.
#[derive(Serialize)]
pub(super) struct Memory {
    title: String,
    about: String,
    table: Table,
}

pub(super) fn memory(result: &RunResult) -> Vec<Memory> {
    let target = result.target.as_deref().unwrap_or("generic");
    let memories = [
        (
            "Flash",
            format!(
                "{} bytes of constants and code on {target}, the largest first",
                super::super::grouped(result.flash_bytes)
            ),
            ["node", "#bytes"],
            &result.flash_by_node,
        ),
        (
            "RAM",
            format!(
                "{} bytes of working memory on {target}; what is in use while each node runs, in the order of the run",
                super::super::grouped(result.peak_ram_bytes)
            ),
            ["step", "#bytes in use"],
            &result.ram_by_step,
        ),
    ];
    let shown = memories.into_iter().filter(|(_, _, _, holders)| !holders.is_empty());
    let memory =
        |(title, about, columns, holders): (&str, String, [&str; 2], &Vec<HolderResult>)| {
            let most = holders.iter().map(|holder| holder.bytes).max().unwrap_or(1).max(1);
            let mut table = Table::new(&columns);
            for holder in holders {
                let bytes = u64_to_f64(holder.bytes);
                let bar = Some(100.0 * bytes / u64_to_f64(most));
                let number = Cell::number(super::super::grouped(holder.bytes), bytes);
                table.row(vec![Cell::name(&holder.name), Cell { bar, ..number }]);
            }
            Memory { title: title.to_owned(), about, table }
        };
    shown.map(memory).collect()
}
