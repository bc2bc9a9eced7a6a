//! What the plan costs, beside the same network at 8 bits.

use super::super::{
    numbers::{kilobytes, rounded},
    report::{Align, Cell, Column, Section, Sentence, Style, Table},
};
use crate::result::RunResult;
use fixedwise_fixed::convert::u64_to_f64;

const COLUMNS: [Column; 5] = [
    Column { title: "", align: Align::Left, style: Style::Plain },
    Column { title: "this plan", align: Align::Right, style: Style::Bold },
    Column { title: "all 8 bit", align: Align::Right, style: Style::Plain },
    Column { title: "saved", align: Align::Right, style: Style::Good },
    Column { title: "", align: Align::Left, style: Style::Dim },
];

pub(super) fn section(result: &RunResult) -> Section {
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
            let rest = format!(", plus {} for I/O", bytes(io));
            Sentence::from("arena on ").and_name(target).and(rest)
        }
        _ => "buffers for one image in this executor".into(),
    };
    let rows = vec![
        row("memory", bits(memory.total), bits(memory.uniform8_total), memory.reduction, parts),
        row(
            "multiplications",
            rounded(cost.operand),
            rounded(cost.operand_uniform8),
            cost.operand_reduction,
            "weight bits x input bits".to_owned(),
        ),
        row(
            "  paper's count",
            rounded(cost.paper),
            rounded(cost.paper_uniform8),
            cost.paper_reduction,
            "weight bits x output bits".to_owned(),
        ),
        alone("flash", result.flash_bytes, flash),
        alone("peak RAM", result.peak_ram_bytes, ram),
    ];
    let table = Table { columns: COLUMNS.to_vec(), rows };
    Section { title: "Costs".to_owned(), table: Some(table), ..Section::default() }
}
