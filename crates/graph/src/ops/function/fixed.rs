//! The table of a function: one for each integer of a narrow input, lines between fewer entries for a wide
//! one.

use crate::{
    emit::{
        c::{
            node::{CNode, CStep},
            source::{bias_type, c_type},
        },
        network::node::{NetworkNode, NetworkValue},
        npz::node::NpzNode,
        tflite::node::{TfliteNode, TfliteValue},
    },
    error::{EmitError, LowerError},
    expression::{Expression, integer},
    fixed_operator::{Constant, FixedOp, FixedOperator, FixedStep, Flow, Place, step},
    lower::{context::LowerContext, requantization::element},
    shape::Shape,
};
use fixedwise_fixed::{
    Format, bits_for,
    convert::{exp2, i64_to_f64, saturating_i16, saturating_i32},
};
use fixedwise_kernels::{Entries, Kernels, Lines, LookUp};
use serde_json::json;
use std::ops::Range;

/// Widest input with an entry for each integer.
const ENTRY_BITS: u8 = 8;

/// Fractional bits that the entries between which lines run have more than the output: as many as 16 bits
/// hold, or else a few.
fn guard_bits(output: Format) -> u8 {
    const HELD: u8 = 14;
    const LEAST: u8 = 2;
    const WIDE: u8 = 4;
    match HELD.checked_sub(output.bits) {
        Some(guard) if guard >= LEAST => guard,
        _ => WIDE,
    }
}

/// A function of each element, by a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FixedFunction {
    /// The function as a formula.
    pub formula: String,
    /// Its values.
    pub table: Table,
}

/// The values of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Table {
    /// Of each integer.
    Entries(Entries),
    /// Of some integers; those between lie on straight lines.
    Lines(Lines),
}

impl Table {
    /// All that are stored.
    fn values(&self) -> Vec<i64> {
        match self {
            Self::Entries(entries) => entries.values.iter().map(|&value| value.into()).collect(),
            Self::Lines(lines) => lines.values.iter().map(|&value| value.into()).collect(),
        }
    }

    /// The value of an integer of the input.
    ///
    /// # Panics
    /// Where the input's format does not hold it.
    pub fn value(&self, x: i64) -> i64 {
        match self {
            Self::Entries(entries) => {
                let position = usize::try_from(x - entries.first).expect("the format holds it");
                entries.values[position].into()
            }
            Self::Lines(lines) => lines.value(x),
        }
    }
}

/// The largest that lies between two neighbors of the values of lines before it is shifted, rounded.
fn largest_product(values: &[i64], shift: u32) -> u64 {
    let steepest = values.windows(2).map(|pair| pair[1].abs_diff(pair[0])).max().unwrap_or(0);
    (steepest << shift) + (1 << shift >> 1)
}

/// A function of integers of an input's format: its exact values in steps of the output.
struct Sampled<'a> {
    expression: &'a Expression,
    input: Format,
    output: Format,
    /// The smallest integer that the input has.
    least: i64,
}

impl Sampled<'_> {
    /// The integer, or the nearest that the input has.
    fn inside(&self, x: i64) -> i64 {
        x.clamp(self.least, self.input.max())
    }

    /// The real value of an integer of the input.
    fn real(&self, x: i64) -> f64 {
        i64_to_f64(x) * exp2(-i32::from(self.input.frac))
    }

    /// The value in steps of the output, not rounded; no further away than the output reaches.
    fn exact(&self, x: i64) -> f64 {
        let steps = self.expression.value(self.real(x)) * exp2(self.output.frac.into());
        steps.clamp(i64_to_f64(self.output.min()), i64_to_f64(self.output.max()))
    }

    /// The rounded value.
    fn entry(&self, x: i64) -> i64 {
        let frac = self.output.frac.into();
        self.output.saturate(integer(self.expression.steps(self.real(x), frac)))
    }

    fn entries(&self) -> Entries {
        let integers = self.input.min()..=self.input.max();
        let entry = |x| saturating_i16(self.entry(self.inside(x)));
        Entries { first: self.input.min(), values: integers.map(entry).collect() }
    }

    /// Lines between integers `2^shift` apart, zero among them, where they are within a step of the
    /// output everywhere and need no more than 32 bits; `exact` are the values of all integers that the
    /// input has.
    fn lines(&self, shift: u8, exact: &[f64]) -> Option<Lines> {
        let guard = guard_bits(self.output);
        let first = if self.input.is_signed() { -(1_i64 << (self.input.bits - 1)) } else { 0 };
        let most = (1_i64 << (self.output.bits + guard + 1)) - 1;
        let frac = i32::from(self.output.frac) + i32::from(guard);
        let value = |i: i64| {
            let x = first + (i << shift);
            let of = |x| self.expression.steps(self.real(x), frac);
            // One step before or behind the input's integers there may be no value.
            let steps = Some(of(x.max(self.least))).filter(|steps| !steps.is_nan());
            integer(steps.unwrap_or_else(|| of(self.inside(x)))).clamp(-most, most)
        };
        let count = 1_i64 << (self.input.bits - shift);
        let values: Vec<i64> = (0..=count).map(value).collect();
        if bits_for(largest_product(&values, shift.into())) > 32 {
            return None;
        }
        let lines = Lines {
            first,
            values: values.into_iter().map(saturating_i32).collect(),
            shift: shift.into(),
            guard: guard.into(),
            min: self.output.min(),
            max: self.output.max(),
        };
        let mut integers = (self.least..=self.input.max()).zip(exact);
        let is_close = integers.all(|(x, exact)| (i64_to_f64(lines.value(x)) - exact).abs() <= 1.0);
        is_close.then_some(lines)
    }

    /// The fewest lines, where their entries take less memory than one for each integer.
    fn fewest_lines(&self) -> Option<Lines> {
        let exact: Vec<f64> = (self.least..=self.input.max()).map(|x| self.exact(x)).collect();
        let entry_bits = if guard_bits(self.output) + self.output.bits > 14 { 32 } else { 16 };
        let integer_bits = 8 * i64::try_from(element(self.output).size_bytes()).unwrap_or(1);
        let shifts = (1..=self.input.bits).rev();
        let is_smaller = |shift: &u8| {
            let lines = (1_i64 << (self.input.bits - shift)) + 1;
            lines * entry_bits < integer_bits << self.input.bits
        };
        shifts.take_while(is_smaller).find_map(|shift| self.lines(shift, &exact))
    }
}

/// A function of each element of the first input.
///
/// # Errors
/// Where it has no value for an integer that the input's format holds.
pub(in crate::ops) fn lower(
    context: &LowerContext,
    expression: &Expression,
) -> Result<FixedOp, LowerError> {
    let (input, output) = (context.formats[0], context.output);
    let least = if context.is_nonnegative() { 0 } else { input.min() };
    let sampled = Sampled { expression, input, output, least };
    let is_undefined = |x: &i64| expression.value(sampled.real(*x)).is_nan();
    let mut undefined = (least..=input.max()).filter(is_undefined);
    if let Some(first) = undefined.next() {
        let last = undefined.next_back().unwrap_or(first);
        return Err(context.undefined(
            expression.to_string(),
            sampled.real(first),
            sampled.real(last),
        ));
    }
    let lines = if input.bits > ENTRY_BITS { sampled.fewest_lines() } else { None };
    let table = lines.map_or_else(|| Table::Entries(sampled.entries()), Table::Lines);
    Ok(FixedFunction { formula: expression.to_string(), table }.into())
}

impl FixedOperator for FixedFunction {
    fn prepare(&self, _: &[Shape], _: Shape, kernels: &'static Kernels) -> FixedStep {
        let entries = match &self.table {
            Table::Entries(entries) => entries.clone(),
            // The executor has the memory for all of them.
            Table::Lines(lines) => lines.entries(),
        };
        let table = LookUp::new(entries);
        step(move |inputs, y, _| table.apply(kernels, inputs[0], y))
    }

    fn name(&self) -> &'static str {
        "function"
    }

    fn place(&self) -> Place {
        Place::Over(&[0])
    }

    fn rows(&self, rows: Range<usize>, _: &[Shape], _: Shape) -> Vec<Range<usize>> {
        vec![rows]
    }

    fn flow(&self, _: &[Shape], _: Shape) -> Flow {
        Flow::Alike
    }

    fn constants(&self) -> Vec<Constant> {
        let values = self.table.values();
        let has_sign = values.iter().any(|&value| value < 0);
        let most = values.iter().map(|value| value.unsigned_abs()).max().unwrap_or(0);
        vec![Constant::Table { count: values.len(), bits: bits_for(most) - u8::from(!has_sign) }]
    }

    fn accumulator_bits(&self) -> u8 {
        match &self.table {
            Table::Entries(_) => 0,
            Table::Lines(lines) => bits_for(largest_product(&self.table.values(), lines.shift)),
        }
    }

    fn emit_c(&self, node: &mut CNode) -> Result<CStep, EmitError> {
        let types = node.types();
        let n = node.output.shape.len();
        let name = format!("{}_table", node.name);
        let values = self.table.values();
        let (kernel, call) = match &self.table {
            Table::Entries(Entries { first, .. }) => {
                let ctype = c_type(element(node.output.format));
                node.source.array(ctype, &name, values);
                let text = include_str!("../../emit/c/text/function.c");
                node.runs(&format!("function_{types}"), &[1, n]);
                node.once(&format!("function_{types}"), text, &[("S", &types), ("T", ctype)]);
                let zero = if *first == 0 { name } else { format!("{name} + {}", -first) };
                ("function", format!("$P_function_{types}($X0, $Y, {n}, {zero});"))
            }
            Table::Lines(lines) => {
                let ctype = bias_type(&values);
                node.source.array(ctype, &name, values);
                let types = format!("{types}_{}", ctype.trim_end_matches("_t"));
                let text = include_str!("../../emit/c/text/lines.c");
                node.runs(&format!("lines_{types}"), &[1, n]);
                node.once(&format!("lines_{types}"), text, &[("S", &types), ("T", ctype)]);
                let Lines { first, shift, guard, min, max, .. } = lines;
                let how = format!("{first}, {shift}, {guard}, {min}, {max}");
                ("lines", format!("$P_lines_{types}($X0, $Y, {n}, {name}, {how});"))
            }
        };
        Ok(CStep::call(kernel, call))
    }

    fn emit_npz(&self, node: &mut NpzNode) -> Result<serde_json::Value, EmitError> {
        let values = self.table.values();
        let table = node.array("table", &[values.len()], &values);
        let (first, lines) = match &self.table {
            Table::Entries(entries) => (entries.first, None),
            Table::Lines(Lines { first, shift, guard, min, max, .. }) => {
                let lines = json!({ "shift": shift, "guard": guard, "min": min, "max": max });
                (*first, Some(lines))
            }
        };
        Ok(json!({ "formula": self.formula, "first": first, "table": table, "lines": lines }))
    }

    fn emit_network(&self, node: &mut NetworkNode) -> Result<NetworkValue, EmitError> {
        let x = node.inputs[0].clone();
        let (from, to) = (x.format, node.format);
        node.check_step(from.frac.into())?;
        node.check_step(to.frac.into())?;
        let values = (from.min()..=from.max()).map(|x| self.table.value(x)).collect();
        let name = node.name;
        let index = node.file.index(name, &x.name, from);
        let value = node.file.gather(name, &index, values, to);
        let value = node.file.quantize(name, &value, to, to.min(), to.max(), false);
        Ok(node.value(value, x.is_vector))
    }

    fn emit_tflite(&self, node: &mut TfliteNode) -> Result<TfliteValue, EmitError> {
        let x = node.inputs[0];
        let values: Vec<i64> =
            (x.format.min()..=x.format.max()).map(|x| self.table.value(x)).collect();
        Ok(node.looked_up(&x, &values))
    }
}
