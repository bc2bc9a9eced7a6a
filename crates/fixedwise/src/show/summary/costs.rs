//! What the plan costs, beside the same network at 8 bits.

use super::super::{
    numbers::{kilobytes, rounded},
    report::{Align, Cell, Column, Section, Sentence, Style, Table},
};
use crate::result::RunResult;
use fixedwise_fixed::convert::u64_to_f64;

const COLUMNS: [Column; 5] = [
    Column::new("", Align::Left, Style::Plain),
    Column::right("this plan", Style::Bold),
    Column::right("all 8 bit", Style::Plain),
    Column::right("saved", Style::Good),
    Column::folded("", Style::Dim),
];

/// `is_verbose`: with the paper's count of bit products.
pub(super) fn section(result: &RunResult, is_verbose: bool) -> Section {
    let (memory, cost) = (&result.memory_bits, &result.multiplication_cost);
    let bytes = |bytes: u64| kilobytes(u64_to_f64(bytes));
    let bits = |bits: u64| kilobytes(u64_to_f64(bits) / 8.0);
    let row = |what: &str, plan: String, uniform8: String, saved: f64, note: String| {
        vec![
            Cell::text(what),
            Cell::number(plan),
            Cell::number(uniform8),
            Cell::number(format!("{:.1} %", saved * 100.0)),
            Cell::text(note),
        ]
    };
    let alone = |what: &str, plan: u64, note: Sentence| {
        let plan = Cell::number(bytes(plan));
        vec![Cell::text(what), plan, Cell::empty(), Cell::empty(), Cell::Text(note)]
    };
    let parts = format!(
        "weights {}, biases {}, activations {}",
        bits(memory.weights),
        bits(memory.biases),
        bits(memory.activations)
    );
    let flash = match &result.target {
        Some(target) => Sentence::from("constants on ").and_name(target).and(", without code"),
        None => "weights and biases, packed".into(),
    };
    let ram = match (&result.target, result.io_bytes) {
        (Some(target), Some(io)) => {
            let rest = format!(", plus {} I/O", bytes(io));
            Sentence::from("arena on ").and_name(target).and(rest)
        }
        _ => "buffers for one image in this executor".into(),
    };
    let mut rows = vec![
        row("memory", bits(memory.total), bits(memory.uniform8_total), memory.reduction, parts),
        row(
            "bit products",
            rounded(cost.operand),
            rounded(cost.operand_uniform8),
            cost.operand_reduction,
            format!("{} MACs x weight x input bits", rounded(result.model.macs)),
        ),
    ];
    if is_verbose {
        rows.push(row(
            "  paper's count",
            rounded(cost.paper),
            rounded(cost.paper_uniform8),
            cost.paper_reduction,
            "weight x output bits".to_owned(),
        ));
    }
    rows.push(alone("flash", result.flash_bytes, flash));
    rows.push(alone("peak RAM", result.peak_ram_bytes, ram));
    let table = Table { columns: COLUMNS.to_vec(), rows };
    Section { title: "Costs".to_owned(), table: Some(table), ..Section::default() }
}
