//! What the plan costs, beside the same network at 8 bits.

use super::super::{
    numbers::rounded,
    report::{Align, Cell, Column, Section, Sentence, Style, Table},
};
use crate::{
    result::{CodeResult, ComparedResult, RunResult},
    units::kibibytes,
};
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
    let bytes = |bytes: u64| kibibytes(u64_to_f64(bytes));
    let bits = |bits: u64| kibibytes(u64_to_f64(bits) / 8.0);
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
        "weights {}, biases {}, all outputs {}: not RAM",
        bits(memory.weights),
        bits(memory.biases),
        bits(memory.activations)
    );
    let flash = match (&result.target, &result.code, result.constant_bytes) {
        (Some(target), Some(code), Some(constants)) => {
            let parts = format!(
                "constants {} + {} code {}, ",
                bytes(constants),
                code.kernels,
                bytes(code.bytes)
            );
            Sentence::from(parts).and_name(target)
        }
        (Some(target), ..) => Sentence::from("constants on ").and_name(target),
        (None, ..) => "weights and biases, packed".into(),
    };
    let ram = match (&result.target, result.io_bytes) {
        (Some(target), Some(io)) => {
            let rest = format!(", plus {} I/O", bytes(io));
            Sentence::from("arena on ").and_name(target).and(rest)
        }
        _ => "buffers for one image in this executor".into(),
    };
    let mut rows = vec![
        alone("flash", result.flash_bytes, flash),
        alone("peak RAM", result.peak_ram_bytes, ram),
        row(
            "memory, summed",
            bits(memory.total),
            bits(memory.uniform8_total),
            memory.reduction,
            parts,
        ),
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
    if let Some(ComparedResult { plan, uniform8, reduction }) = result.effective_bit_operations {
        let note = "of each weight the bits from the highest to the lowest set one".to_owned();
        let [plan, uniform8] = [plan, uniform8].map(rounded);
        rows.push(row("  effective", plan, uniform8, reduction, note));
    }
    if let Some(ComparedResult { plan, uniform8, reduction }) = result.entropy_coded_bytes {
        let note = "entropy of each layer's integers, with tables".to_owned();
        let [plan, uniform8] = [plan, uniform8].map(bytes);
        rows.insert(3, row("weights, coded", plan, uniform8, reduction, note));
    }
    let table = Table { columns: COLUMNS.to_vec(), rows };
    let mut notes: Vec<Sentence> = result.code.iter().flat_map(notes).collect();
    if memory.uniform8_fused > 0 {
        let part = u64_to_f64(memory.uniform8_fused) / u64_to_f64(memory.uniform8_total.max(1));
        let note = format!(
            "residual adds and functions inside layers save {:.1} % of the memory: what stands before them is not stored",
            part * 100.0
        );
        notes.push(note.into());
    }
    Section { title: "Costs".to_owned(), table: Some(table), notes, ..Section::default() }
}

/// Which code was counted, and why it.
fn notes(code: &CodeResult) -> Vec<Sentence> {
    let CodeResult { kernels, processor, compiler, optimization, .. } = code;
    let mut notes =
        vec![format!("code as {compiler} makes it for {processor} with {optimization}")];
    let other = code.other_flash_bytes.map(|bytes| kibibytes(u64_to_f64(bytes)));
    let other = other.unwrap_or_default();
    notes.extend(match code.reason.as_str() {
        "fits" => Some(format!("{kernels} kernels: fast ones need {other} of flash, more than there is")),
        "ram" => Some(format!("{kernels} kernels: fast ones need more RAM than there is")),
        "larger" => Some(format!(
            "{kernels} kernels: the code of fast ones exceeds the constants, {other} of flash; --code fast"
        )),
        "enough" => Some(format!("{kernels} kernels; with --code small {other} of flash, but slower")),
        _ => None,
    });
    notes.into_iter().map(Sentence::from).collect()
}
