//! The text of a function that is assembly as a whole, and what all kernels end with.

use super::Arithmetic;
use crate::emit::c::{conv::function, source::Source};

/// Characters of one string literal; C99 promises 4095.
const LITERAL: usize = 3800;
/// Columns of a line.
const COLUMNS: usize = 96;

/// Instructions in order.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    lines: Vec<String>,
}

impl Assembly {
    /// Adds an instruction or a label.
    pub(super) fn push(&mut self, instruction: impl Into<String>) {
        self.lines.push(instruction.into());
    }

    /// The next instruction begins a line.
    pub(super) fn line(&mut self) {
        self.lines.push(String::new());
    }

    /// Adds several, separated by `;`.
    pub(super) fn all(&mut self, instructions: &str) {
        instructions.split(';').for_each(|instruction| self.push(instruction.trim()));
    }

    /// Repeats what `body` adds.
    pub(super) fn repeat(&mut self, count: usize, body: impl FnOnce(&mut Self)) {
        if count == 0 {
            return;
        }
        if count > 1 {
            self.push(format!(".rept {count}"));
        }
        body(self);
        if count > 1 {
            self.push(".endr");
        }
    }

    /// `to = from + value`; `to` must not be `from` where the value has more than 12 bits.
    pub(super) fn add(&mut self, to: &str, from: &str, value: usize) {
        if value < 4096 {
            self.push(format!("addw {to}, {from}, #{value}"));
        } else {
            self.constant(to, i64::try_from(value).unwrap_or(0));
            self.push(format!("add {to}, {from}"));
        }
    }

    /// `to = value`, of 32 bits.
    pub(super) fn constant(&mut self, to: &str, value: i64) {
        let [low, high] = [value & 0xffff, value >> 16 & 0xffff];
        self.push(format!("movw {to}, #{low}"));
        if high != 0 {
            self.push(format!("movt {to}, #{high}"));
        }
    }

    /// The statements of a function's body.
    fn statements(&self) -> String {
        let mut literals = vec![Vec::new()];
        let (mut line, mut length) = (String::new(), 0);
        let mut flush = |line: &mut String, length: &mut usize| {
            if line.is_empty() {
                return;
            }
            if *length + line.len() > LITERAL {
                literals.push(Vec::new());
                *length = 0;
            }
            *length += line.len() + 2;
            let literal = literals.last_mut().expect("there is always one");
            literal.push(format!("        \"{line}\\n\""));
            line.clear();
        };
        for instruction in &self.lines {
            // Directives and labels stand alone; nothing ends a line.
            let is_alone = instruction.is_empty()
                || instruction.starts_with('.')
                || instruction.ends_with(':');
            if is_alone || line.len() + instruction.len() + 14 > COLUMNS {
                flush(&mut line, &mut length);
            }
            if !line.is_empty() && !instruction.is_empty() {
                line.push_str("; ");
            }
            line.push_str(instruction);
            if is_alone {
                flush(&mut line, &mut length);
            }
        }
        flush(&mut line, &mut length);
        let statement =
            |lines: &Vec<String>| format!("    __asm__ volatile(\n{});", lines.join("\n"));
        literals.iter().map(statement).collect::<Vec<_>>().join("\n")
    }

    /// Puts the function into the file, once under its name, beside `plain`, the same in C; `turns` are those of its
    /// loops by their labels.
    pub(super) fn function(
        &self,
        source: &mut Source,
        name: &str,
        parameters: &[&str],
        plain: &str,
        turns: &[(&str, usize)],
    ) {
        source.once("dsp", include_str!("dsp.c"));
        source.once("dsp_plain", include_str!("plain.c"));
        let texts = (self.statements(), plain);
        function::function(source, "DSP", name, parameters, (&texts.0, texts.1), turns);
    }
}

/// Shifts, clamps and stores `channels` sums of each pixel: `sums[pixel][channel]` are registers,
/// `y` the register with the first output's address. `r11` and `r12` are overwritten.
pub(super) struct Stores<'a> {
    pub(super) arithmetic: &'a Arithmetic,
    pub(super) sums: &'a [Vec<String>],
    /// Bytes from one pixel to the next.
    pub(super) pixel_bytes: usize,
    pub(super) y: &'a str,
    /// Whether the second channel is stored only where `r10` is not 0.
    pub(super) last_is_one: bool,
}

impl Stores<'_> {
    pub(super) fn push(&self, asm: &mut Assembly) {
        let Arithmetic { y, min, max, shift, .. } = *self.arithmetic;
        let shift = if shift == 0 { String::new() } else { format!(", asr #{shift}") };
        let saturation = Saturation::of(min, max);
        if !saturation.clamps.is_empty() {
            asm.constant("r11", min);
        }
        if saturation.clamps.len() > 1 {
            asm.constant("r12", max);
        }
        let store = if y.bits() == 16 { "strh" } else { "strb" };
        let is_packed = y.bits() == 4;
        for (pixel, sums) in self.sums.iter().enumerate() {
            for (channel, sum) in sums.iter().enumerate() {
                match &saturation.instruction {
                    Some(instruction) => {
                        asm.push(format!("{instruction}, {sum}{shift}").replace("SUM", sum));
                    }
                    None if !shift.is_empty() => asm.push(format!("mov {sum}, {sum}{shift}")),
                    None => {}
                }
                for (register, condition) in saturation.clamps {
                    asm.push(format!("cmp {sum}, {register}"));
                    asm.push(format!("it {condition}"));
                    asm.push(format!("mov{condition} {sum}, {register}"));
                }
                // The first of two that share a byte waits for the second.
                if is_packed && channel == 0 {
                    continue;
                }
                let stored = if is_packed { &sums[0] } else { sum };
                if is_packed {
                    asm.push(format!("bfi {stored}, {sum}, #4, #28"));
                }
                let at = pixel * self.pixel_bytes + self.arithmetic.y_bytes(channel);
                if self.last_is_one && channel == 1 {
                    asm.push("cmp r10, #0");
                    asm.push("it ne");
                    asm.push(format!("{store}ne {stored}, [{}, #{at}]", self.y));
                } else {
                    asm.push(format!("{store} {stored}, [{}, #{at}]", self.y));
                }
            }
        }
    }
}

/// How a sum is clamped to its bounds.
struct Saturation {
    /// One instruction for both bounds, or for the upper one; the register stands as `SUM`.
    instruction: Option<String>,
    /// Registers of the bounds that are left, and on which condition they replace a value.
    clamps: &'static [(&'static str, &'static str)],
}

impl Saturation {
    fn of(min: i64, max: i64) -> Self {
        const BOTH: &[(&str, &str)] = &[("r11", "lt"), ("r12", "gt")];
        let bits = 64 - max.max(0).leading_zeros();
        let reached = if min >= 0 { 0 } else { -max - 1 };
        // The upper bound must be all ones, and the instruction must not cut off below.
        if max < 1 || max & (max + 1) != 0 || bits > 30 || min < reached {
            return Self { instruction: None, clamps: BOTH };
        }
        let instruction = if min >= 0 {
            format!("usat SUM, #{bits}")
        } else {
            format!("ssat SUM, #{}", bits + 1)
        };
        let clamps = if min > reached { &BOTH[..1] } else { &[] };
        Self { instruction: Some(instruction), clamps }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_instruction_saturates_where_the_bounds_are_its_own() {
        for (min, max, instruction, clamps) in [
            (0, 255, Some("usat SUM, #8"), 0),
            (-128, 127, Some("ssat SUM, #8"), 0),
            (-127, 127, Some("ssat SUM, #8"), 1),
            (0, 100, None, 2),
            (3, 127, Some("usat SUM, #7"), 1),
            // Saturating to 7 bits would cut off at -64.
            (-128, 63, None, 2),
            (0, 0, None, 2),
        ] {
            let saturation = Saturation::of(min, max);
            assert_eq!(saturation.instruction.as_deref(), instruction, "{min} to {max}");
            assert_eq!(saturation.clamps.len(), clamps, "{min} to {max}");
        }
    }
}
