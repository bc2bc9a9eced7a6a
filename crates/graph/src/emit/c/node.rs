//! What an operator sees when it prints itself.

use super::{
    options::{COptions, WeightCode},
    source::{Source, Storage, fill},
    work::Windows,
};
use crate::{
    error::EmitError, lower::requantization::Requantization, shape::Shape, window::Window,
};
use fixedwise_fixed::{Format, Multiplier, Rounding};

/// A value of the network as C has it.
#[derive(Clone, Copy, Debug)]
pub struct CValue {
    /// Extents; the axes are `[h, w, c]`.
    pub shape: Shape,
    /// Of the integers.
    pub format: Format,
    /// How they lie in memory.
    pub storage: Storage,
}

impl CValue {
    /// A value whose integers are packed where that is asked for and they have at most 4 bits.
    pub(crate) fn new(shape: Shape, format: Format, packs: bool) -> Self {
        Self { shape, format, storage: Storage::new(format, packs) }
    }

    /// Bytes of the value.
    pub fn bytes(&self) -> usize {
        (self.shape.len() * self.storage.bits()).div_ceil(8)
    }

    /// Bytes of a row of the value, where rows begin with a byte of their own.
    pub fn row_bytes(&self) -> usize {
        self.shape.w * self.shape.c * self.storage.bits() / 8
    }

    /// The C type of what is addressed.
    pub fn ctype(&self) -> &'static str {
        self.storage.ctype()
    }

    /// The storage for names: `u8`.
    pub fn short(&self) -> &'static str {
        self.storage.short()
    }
}

/// What runs in place of a node.
#[derive(Clone, Debug, Default)]
pub struct CStep {
    /// Statements; `$X0`, `$X1` stand for the inputs, `$Y` for the value, `$SCRATCH` for working
    /// memory, `$ROWS` for the rows of a value that is computed row by row, `$SUMS` for its sums where it is folded.
    /// Empty where there is nothing to do.
    pub call: String,
    /// Bytes of working memory.
    pub scratch_bytes: usize,
    /// The kernel's name, for the report.
    pub kernel: &'static str,
    /// Format of its weights, where it has any.
    pub weights: Option<Format>,
    /// Format of its bias, where a plan gave it one.
    pub bias: Option<Format>,
    /// How its weights lie in memory.
    pub weight_code: WeightCode,
}

impl CStep {
    /// A call without working memory.
    pub(crate) fn call(kernel: &'static str, call: String) -> Self {
        Self { call, kernel, ..Self::default() }
    }
}

/// A node to print: its surroundings, and the file that takes its code.
#[derive(Debug)]
pub struct CNode<'a> {
    /// A C identifier, unique in the file.
    pub name: String,
    /// Its inputs.
    pub inputs: Vec<CValue>,
    /// Its value.
    pub output: CValue,
    /// Whether it is computed row by row.
    pub(crate) flows: bool,
    /// How its weights lie in memory where kernel and weights allow it.
    pub(crate) weight_code: WeightCode,
    pub(crate) options: &'a COptions,
    pub(crate) source: &'a mut Source,
}

impl CNode<'_> {
    /// An item with the prefix and the node's types filled in: `$X` of the first input, `$Y` of the
    /// value, `$S` both for names.
    pub(crate) fn once(&mut self, name: &str, template: &str, values: &[(&str, &str)]) {
        let mut all = vec![("P", self.source.prefix().to_owned())];
        all.extend([("X", self.inputs[0].ctype().to_owned())]);
        all.extend([("Y", self.output.ctype().to_owned())]);
        all.extend([("X4", self.inputs[0].short().to_owned())]);
        all.extend([("Y4", self.output.short().to_owned())]);
        all.extend(window_loop(true));
        let values_of_all = self.inputs.iter().chain([&self.output]);
        values_of_all.for_each(|value| self.source.access(value.storage));
        all.extend(values.iter().map(|&(name, value)| (name, value.to_owned())));
        // What is given comes last and counts first.
        all.reverse();
        let all: Vec<(&str, &str)> =
            all.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.source.once(name, fill(template, &all));
    }

    /// The node's window as a constant; gives its address.
    pub(crate) fn window(&mut self, window: &Window) -> Result<String, EmitError> {
        let (x, y) = (self.inputs[0].shape, self.output.shape);
        self.check_extents(&[x, y], window)?;
        Ok(self::window(self.source, &self.name, window, x, y))
    }

    /// Refuses what 16 bits do not count.
    pub(crate) fn check_extents(&self, images: &[Shape], window: &Window) -> Result<(), EmitError> {
        const MAX: usize = 32767;
        let images = images.iter().flat_map(|shape| [shape.h, shape.w]);
        let Window { kernel, stride, dilation, pad_begin, .. } = window;
        let window = [kernel, stride, dilation, pad_begin].into_iter().flatten().copied();
        match images.chain(window).find(|&extent| extent > MAX) {
            None => Ok(()),
            Some(extent) => Err(EmitError::Extent { node: self.name.clone(), extent, max: MAX }),
        }
    }

    /// Whether it takes its input row by row.
    pub(crate) fn is_fold(&self) -> bool {
        self.flows && self.output.shape.h == 1 && self.inputs[0].shape.h > 1
    }

    /// The argument that tells which rows a call computes.
    pub(crate) fn rows(&mut self) -> String {
        self.source.rows(self.output.shape.h, self.flows)
    }

    /// A requantization as a constant; gives its address. `name` tells several of a node apart.
    pub(crate) fn requantization(&mut self, name: &str, to: &Requantization) -> String {
        requantization(self.source, &format!("{}_{name}", self.name), to)
    }

    /// The function that brings a sum of at most 32 bits to the output: its name without prefix.
    pub(crate) fn requantize(&mut self, to: &Requantization) -> &'static str {
        requantize(self.source, to)
    }

    /// The function that brings a product of at most 64 bits to the output.
    pub(crate) fn requantize_wide(&mut self, to: &Requantization) {
        requantize_wide(self.source, to);
    }

    /// The function that brings an input to the output's format.
    pub(crate) fn rescale(&mut self, input: usize, to: &Requantization) -> String {
        let requantize = self.requantize(to);
        let x = self.inputs[input];
        let kind = requantize.trim_start_matches("requantize_");
        let types = format!("{}_{}_{kind}", x.short(), self.output.short());
        let values =
            [("X", x.ctype()), ("X4", x.short()), ("S", &types), ("REQUANTIZE", requantize)];
        self.once(&format!("rescale_{types}"), include_str!("text/rescale.c"), &values);
        format!("$P_rescale_{types}")
    }

    /// Says how often the loops of a function run for an image, the calls first: where rows flow alike, for one row.
    pub(crate) fn runs(&mut self, kind: &str, turns: &[usize]) {
        self.source.runs(kind, turns);
    }

    /// The same of a pool over windows.
    pub(crate) fn runs_pool(&mut self, kind: &str, window: &Window) {
        let (x, y) = (self.inputs[0].shape, self.output.shape);
        let windows = Windows::new(window, x, y, self.flows);
        let Windows { calls, rows, pixels, kernel_rows, taps } = windows;
        self.runs(kind, &[calls, rows, pixels, pixels * y.c, kernel_rows * y.c, taps * y.c]);
    }

    /// The same of a pool that takes its input row by row.
    pub(crate) fn runs_fold(&mut self, kind: &str) {
        let x = self.inputs[0].shape;
        self.runs(kind, &[x.h, x.h * x.c, x.len(), x.c]);
    }

    /// The same of what brings rows of an input to the output's format.
    pub(crate) fn runs_rescale(
        &mut self,
        input: usize,
        to: &Requantization,
        rows: usize,
        run: usize,
    ) {
        // Which branch the function takes.
        let kind = match (to.leaky, to.shift) {
            (Some(_), _) => "leaky",
            (None, 0) => "clamp",
            (None, ..0) => "left",
            (None, 1..) => "requantize",
        };
        let types = format!("{}_{}", self.inputs[input].short(), self.output.short());
        self.runs(&format!("rescale_{types}_{kind}"), &[1, rows, rows * run]);
    }

    /// What every name of the file begins with.
    pub(crate) fn prefix(&self) -> &str {
        self.source.prefix()
    }

    /// The types of input and value for a function's name: `u8_i8`.
    pub(crate) fn types(&self) -> String {
        format!("{}_{}", self.inputs[0].short(), self.output.short())
    }
}

/// A window as a constant; gives its address.
pub(super) fn window(
    source: &mut Source,
    node: &str,
    window: &Window,
    x: Shape,
    y: Shape,
) -> String {
    source.once("window", include_str!("text/window.c"));
    let name = format!("{node}_window");
    let numbers = window_numbers(window, x, y);
    source.object(32, format!("static const $P_window {name} = {{{numbers}}};"));
    format!("&{name}")
}

/// The initializers of a `$P_window`.
pub(super) fn window_numbers(window: &Window, x: Shape, y: Shape) -> String {
    let Window { kernel, stride, dilation, pad_begin, .. } = window;
    let extents = [x.c, y.c, x.h, x.w, y.h, y.w];
    let numbers = [&extents[..], &kernel[..], &stride[..], &dilation[..], &pad_begin[..]].concat();
    let numbers: Vec<String> = numbers.iter().map(usize::to_string).collect();
    numbers.join(", ")
}

/// What begins and what ends the loops over the windows of a `$P_window *g` in the rows of a `$P_rows *range`, for
/// templates. Inside, the top left of the window lies at `y0` and `x0` of `x`, its taps inside the image are those from `first_y` and `first_x` on,
/// in rows before `last_y`.
pub(super) fn window_loop(is_dilated: bool) -> [(&'static str, String); 2] {
    let [h, w] = if is_dilated { ["g->dilation_h", "g->dilation_w"] } else { ["1", "1"] };
    let values = [("P", "$P"), ("DILATION_H", h), ("DILATION_W", w)];
    let begin = fill(include_str!("text/window_loop.c").trim_end(), &values);
    let end = include_str!("text/window_loop_end.c").trim_end().to_owned();
    [("FOR_EACH_WINDOW", begin), ("END_FOR_EACH_WINDOW", end)]
}

/// A requantization as a constant; gives its address.
pub(super) fn requantization(source: &mut Source, name: &str, to: &Requantization) -> String {
    let text = requantization_numbers(source, to);
    let bytes = requantization_bytes(source);
    source.object(bytes, format!("static const $P_to {name} = {{{text}}};"));
    format!("&{name}")
}

/// The initializers of a `$P_to`.
pub(super) fn requantization_numbers(source: &mut Source, to: &Requantization) -> String {
    declare_requantization(source);
    let Requantization { min, max, shift, .. } = to;
    let mut numbers = format!("{min}, {max}, {shift}");
    if to.leaky.is_some() {
        source.needs_slopes();
    }
    if source.has_slopes() {
        let Multiplier { mantissa, frac } = to.leaky.unwrap_or(Multiplier { mantissa: 0, frac: 0 });
        numbers.push_str(&format!(", {frac}, {mantissa}"));
    }
    numbers
}

/// Bytes of a `$P_to` on a 32-bit machine.
pub(super) fn requantization_bytes(source: &Source) -> usize {
    if source.has_slopes() { 12 } else { 6 }
}

/// The type `$P_to`; its slope only in networks that have one.
pub(super) fn declare_requantization(source: &mut Source) {
    let slope = if source.has_slopes() { include_str!("text/requantize_slope.c") } else { "" };
    let values = [("P", "$P"), ("SLOPE", slope)];
    source.once("to", fill(include_str!("text/requantize.c"), &values));
}

/// The function that brings a sum of at most 32 bits to the output: its name without prefix.
pub(super) fn requantize(source: &mut Source, to: &Requantization) -> &'static str {
    source.rounds(to.rounding);
    declare_requantization(source);
    // Shared where code must be small.
    let declaration = if source.is_small() { "$P_FUNCTION" } else { "$P_INLINE" };
    let round = round(to.rounding, false);
    let values = [("P", "$P"), ("INLINE", declaration), ("ROUND", round)];
    source.once("requantize", fill(include_str!("text/requantize_narrow.c"), &values));
    if to.leaky.is_none() {
        return "requantize";
    }
    requantize_wide(source, to);
    source.once("requantize_leaky", include_str!("text/requantize_leaky.c"));
    "requantize_leaky"
}

/// The function that brings a product of at most 64 bits to the output.
fn requantize_wide(source: &mut Source, to: &Requantization) {
    source.rounds(to.rounding);
    declare_requantization(source);
    let values = [("P", "$P"), ("ROUND", round(to.rounding, true))];
    source.once("requantize_wide", fill(include_str!("text/requantize_wide.c"), &values));
}

/// The statement that shifts `acc` to the right by more than nothing.
fn round(rounding: Rounding, is_wide: bool) -> &'static str {
    match (rounding, is_wide) {
        (Rounding::TiesUp, false) => {
            "acc = (acc + ((int32_t)1 << (to->shift - 1))) >> to->shift; /* ties up */"
        }
        (Rounding::TiesUp, true) => "acc = (acc + ((int64_t)1 << (shift - 1))) >> shift;",
        (Rounding::Floor, false) => "acc >>= to->shift; /* floor */",
        (Rounding::Floor, true) => "acc >>= shift;",
        (Rounding::TiesEven, false) => {
            "int32_t down = acc >> to->shift, half = (int32_t)1 << (to->shift - 1);
        int32_t rest = acc - down * ((int32_t)1 << to->shift);
        acc = down + (rest > half || (rest == half && (down & 1))); /* ties to even */"
        }
        (Rounding::TiesEven, true) => {
            "int64_t down = acc >> shift, half = (int64_t)1 << (shift - 1);
        int64_t rest = acc - down * ((int64_t)1 << shift);
        acc = down + (rest > half || (rest == half && (down & 1)));"
        }
    }
}
