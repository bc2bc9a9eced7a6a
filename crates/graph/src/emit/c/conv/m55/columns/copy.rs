//! Rows of the input into the columns of a row of windows, in assembly.

use super::super::{
    function::{IMMEDIATE, function},
    strip::VECTOR,
};
use crate::{emit::c::source::Source, shape::Shape};

/// Rows that are copied at once, at most: their places are in registers.
pub(super) const ROWS: usize = 4;

/// How rows are copied: some pixels at a time, each to its column.
pub(super) struct Copy {
    /// Bytes that are copied to one column, and from a column to the next.
    taps: usize,
    column: usize,
    /// Bytes of a row of the input, and from one row of columns to the next.
    pub(super) row_bytes: usize,
    row_step: usize,
    /// Bytes from what is loaded at once to the next, and from where it is stored to the next.
    step: usize,
    pub(super) to_step: usize,
    /// Bytes that are loaded of a row, those twice that two loads have.
    pub(super) bytes: usize,
    /// Bits that are changed.
    pub(super) flip: i64,
}

impl Copy {
    /// Of rows of `x` so many pixels, that may lie apart, for a kernel of so many rows. `None` where a vector
    /// does not hold a pixel.
    pub(super) fn new(
        x: Shape,
        kernel_h: usize,
        pixels: usize,
        apart: usize,
        flip: i64,
    ) -> Option<Self> {
        // Of one row whole vectors are copied; of several, and where pixels are left out, whole pixels.
        let is_vector = kernel_h == 1 && apart == 1;
        let (taps, column) = if is_vector { (VECTOR, VECTOR) } else { (x.c, kernel_h * x.c) };
        if taps > VECTOR {
            return None;
        }
        let group = if apart > 1 { x.c } else { VECTOR / taps * taps };
        let groups = (pixels * x.c).div_ceil(group);
        Some(Self {
            taps,
            column,
            row_bytes: x.w * x.c,
            row_step: x.c,
            step: if apart > 1 { apart * x.c } else { group },
            to_step: group / taps * column,
            // What is copied beyond a group comes to lie where the next one is written over it.
            bytes: VECTOR * (groups - 1) + pixels * x.c - (groups - 1) * group,
            flip,
        })
    }

    /// Where the bytes of a vector come to lie, for so many rows; `None` where that is too far.
    pub(super) fn places(&self, rows: usize) -> Option<Vec<u8>> {
        let place = |i: usize| {
            let (row, tap) = (i / VECTOR, i % VECTOR);
            let place = tap / self.taps * self.column + tap % self.taps + row * self.row_step;
            u8::try_from(place).ok()
        };
        (0..rows * VECTOR).map(place).collect()
    }

    /// Whether instructions hold all its numbers.
    pub(super) fn is_possible(&self) -> bool {
        self.step < 128 && self.to_step <= IMMEDIATE
    }

    /// Puts the function for so many rows at once into the file; gives its name without prefix.
    pub(super) fn emit(&self, rows: usize, source: &mut Source) -> String {
        let Self { row_bytes, step, to_step, bytes, flip, .. } = self;
        let name = format!("columns_{rows}_{row_bytes}_{step}_{to_step}_{bytes}_{flip}");
        let plain = format!(
            "$P_columns_plain(x, to, places, {rows}, {row_bytes}, {step}, {to_step}, {bytes}, {flip})"
        );
        let parameters = ["const uint8_t *x", "int8_t *to", "const uint8_t *places"];
        let turns = [("1", bytes.div_ceil(VECTOR))];
        function(source, &name, &parameters, &self.assembly(rows), &plain, &turns);
        name
    }

    /// Rows are at r0, r3 and so on, columns at r1, places at r2; q1 has the bits that are changed, q2
    /// and so on the places of each row.
    fn assembly(&self, rows: usize) -> Vec<String> {
        let rows = &["r0", "r3", "r4", "r5"][..rows];
        let mut asm = vec!["push {r4, r5, r6, lr}; vpush {d8-d11}".to_owned()];
        for (i, row) in rows.iter().enumerate() {
            asm.push(format!("vldrb.8 q{}, [r2, #{}]", 2 + i, i * VECTOR));
            if i > 0 && self.row_bytes <= IMMEDIATE {
                asm.push(format!("add {row}, {}, #{}", rows[i - 1], self.row_bytes));
            } else if i > 0 {
                asm.push(format!("movw r6, #{}; add {row}, {}, r6", self.row_bytes, rows[i - 1]));
            }
        }
        if self.flip != 0 {
            asm.push(format!("mov r6, #{}; vdup.8 q1, r6", self.flip));
        }
        asm.push(format!("movw r6, #{}; wlstp.8 lr, r6, 2f", self.bytes));
        asm.push("1:".to_owned());
        for (i, row) in rows.iter().enumerate() {
            asm.push(format!("vldrb.8 q0, [{row}], #{}", self.step));
            if self.flip != 0 {
                asm.push("veor q0, q0, q1".to_owned());
            }
            asm.push(format!("vstrb.8 q0, [r1, q{}]", 2 + i));
        }
        asm.push(format!("add r1, r1, #{}; letp lr, 1b", self.to_step));
        asm.push("2:".to_owned());
        asm.push("vpop {d8-d11}; pop {r4, r5, r6, pc}".to_owned());
        asm
    }
}
