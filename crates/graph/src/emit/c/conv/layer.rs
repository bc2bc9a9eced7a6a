//! A convolution as its kernels see it, and what they share.

use crate::{
    emit::c::{
        node::{declare_requantization, requantization, requantize, window},
        options::WeightCode,
        source::{Source, Storage, bias_type, fill},
        work::Windows,
    },
    lower::{context::Residual, requantization::Requantization},
    shape::Shape,
    window::Window,
};
use fixedwise_fixed::Rounding;
use fixedwise_kernels::{BorderBias, ConvKind};

/// A convolution to print, every number known; a dense layer is a 1x1 convolution of a 1x1 image.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConvLayer<'a> {
    /// C identifier, unique and prefixed.
    pub name: &'a str,
    /// Kernel, stride, dilation, padding (with the integer zero).
    pub window: &'a Window,
    /// Groups of channels.
    pub groups: usize,
    /// Output channels.
    pub channels: usize,
    /// `[output channel, row, column, input channel of the group]`.
    pub weights: &'a [i16],
    /// Bits of a stored weight, in two's complement; one bit is the sign of -1 or +1.
    pub weight_bits: u8,
    /// By how many bits the binary point of each output channel's weights, and of its sums, lies right of that of
    /// the others; empty where none does.
    pub coarser: &'a [u8],
    /// At the scale of the sums, `[class, output channel]`.
    pub bias: &'a BorderBias,
    /// Bits the worst sum needs, the rounding's half included.
    pub accumulator_bits: u8,
    /// What is added to the sums.
    pub added: Option<Added>,
    /// From the sum of a channel that is not coarser to the output.
    pub requantization: &'a Requantization,
    /// Extents of the input.
    pub input: Shape,
    /// Extents of the value.
    pub output: Shape,
    /// The largest integer of the input's format.
    pub x_max: i64,
    /// How the input lies in memory.
    pub x: Storage,
    /// How the value lies in memory.
    pub y: Storage,
    /// Whether it is computed row by row.
    pub flows: bool,
    /// How its weights lie in memory where kernel and weights allow it.
    pub weight_code: WeightCode,
}

/// A value that is added to the sums of a layer, as C has it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Added {
    /// How it lies in memory.
    pub storage: Storage,
    /// The left shift that brings it to the binary point of a channel that is not coarser.
    pub left: u32,
}

impl Added {
    /// Of a layer's residual value; what is always zero needs no shift.
    pub(crate) fn new(residual: Residual, storage: Storage) -> Self {
        let left = u32::try_from(residual.left).expect("it is negative in no proved network");
        let is_zero = residual.format.max_magnitude() == 0;
        Self { storage, left: if is_zero { 0 } else { left } }
    }
}

impl ConvLayer<'_> {
    /// Multiplications for one output: `[kernel row, kernel column, input channel of the group]`.
    pub(crate) fn depth(&self) -> usize {
        let [rows, columns] = self.window.kernel;
        rows * columns * self.input.c / self.groups
    }

    /// Which channels of the input an output sees.
    pub(crate) fn kind(&self) -> ConvKind {
        self.window.conv(self.groups, self.input, self.output).kind()
    }

    /// The left shift of what is added, by channel.
    pub(super) fn lefts(&self, added: Added) -> impl Iterator<Item = i64> {
        let of = |channel: usize| self.coarser.get(channel).copied().unwrap_or(0);
        (0..self.channels)
            .map(move |channel| i64::from(added.left.saturating_sub(of(channel).into())))
    }

    /// The term that adds to a sum what belongs to the output at an index, for functions with
    /// [`ConvLayer::result_parameters`]; nothing where nothing is added.
    pub(super) fn added_term(&self, source: &Source, index: &str, channel: &str) -> String {
        let Some(added) = self.added else { return String::new() };
        let (prefix, short) = (source.prefix(), added.storage.short());
        let left = if self.is_by_channel() {
            format!("(shifts[{channel}] + left)")
        } else {
            "left".to_owned()
        };
        format!(" + {prefix}_at_{short}(added, {index}) * ((int32_t)1 << {left})")
    }

    /// From the sum of a channel to the output.
    pub(crate) fn requantization_of(&self, channel: usize) -> Requantization {
        self.requantization.coarser(self.coarser.get(channel).copied().unwrap_or(0))
    }

    /// The most bits of `coarser`.
    pub(crate) fn coarsest(&self) -> u8 {
        self.coarser.iter().copied().max().unwrap_or(0)
    }

    /// Whether the result is `clamp(acc >> shift)` once the rounding's half is in the bias.
    pub(crate) fn is_plain(&self) -> bool {
        let to = self.requantization;
        let is_free = |shift: i32| shift == 0 || (shift > 0 && to.rounding != Rounding::TiesEven);
        let mut shifts = self.coarser.iter().map(|&bits| to.coarser(bits).shift);
        to.leaky.is_none() && is_free(to.shift) && shifts.all(is_free)
    }

    /// Whether each output channel has a shift of its own.
    pub(crate) fn is_by_channel(&self) -> bool {
        !self.coarser.is_empty()
    }

    /// The biases as they are stored: with the rounding's half where [`ConvLayer::is_plain`].
    pub(crate) fn stored_bias(&self) -> Vec<i64> {
        let (bias, is_plain) = (&self.bias.values, self.is_plain());
        let half = |channel: usize| {
            let half = self.requantization_of(channel).half();
            if is_plain { i64::try_from(half).unwrap_or(i64::MAX) } else { 0 }
        };
        let channels = self.channels;
        bias.iter().enumerate().map(|(i, b)| b + half(i % channels)).collect()
    }

    /// The constants that portable kernels share; `bias` and `classes` are parts of a call.
    pub(super) fn common(&self, source: &mut Source) -> Common {
        let stored = self.stored_bias();
        let bias = format!("{}_bias", self.name);
        let bias_type = bias_type(&stored);
        source.array(bias_type, &bias, stored);
        let classes = if self.has_classes() {
            let name = format!("{}_classes", self.name);
            let classes = self.bias.row_class.iter().chain(&self.bias.column_class);
            source.array("uint8_t", &name, classes.map(|&class| i64::from(class)));
            format!("{name}, {}", self.bias.n_column_classes)
        } else {
            "0, 0".to_owned()
        };
        let to = format!("{}_to", self.name);
        let to = requantization(source, &to, self.requantization);
        let shifts = self.is_by_channel().then(|| {
            let name = format!("{}_shifts", self.name);
            let shifts = (0..self.channels).map(|channel| self.requantization_of(channel).shift);
            source.array("int8_t", &name, shifts.map(i64::from));
            name
        });
        let left = self.added.map(|added| {
            let left = i64::from(added.left);
            // What the shift of a channel is less than it.
            if self.is_by_channel() { left - i64::from(self.requantization.shift) } else { left }
        });
        Common { bias, bias_type, classes, left, to, shifts }
    }

    /// The argument that tells which of a value's rows a call computes; all are so many for the kernel.
    pub(super) fn rows(&self, n: usize, source: &mut Source) -> String {
        source.rows(n, self.flows)
    }

    /// Turns of the loops over its windows.
    pub(super) fn windows(&self) -> Windows {
        Windows::new(self.window, self.input, self.output, self.flows)
    }

    /// Says how often the loops of a function over weights that are stored so run for an image, and how many sums it
    /// brings to the output.
    pub(super) fn runs(
        &self,
        (kernel, weights): (&str, &str),
        turns: &[usize],
        sums: usize,
        source: &mut Source,
    ) {
        source.runs(&format!("{kernel}_{}_{weights}", self.x.short()), turns);
        let result = self.result_kind();
        let result = result.split('_').next().unwrap_or_default();
        // Small kernels call a function, whatever a sum needs.
        let result = match (source.is_small(), self.requantization.leaky) {
            (false, _) => result,
            (true, None) => "requantize",
            (true, Some(_)) => "leaky",
        };
        source.runs(&format!("result_{}_{result}", self.y.short()), &[sums]);
        if let Some(added) = self.added {
            source.runs(&format!("added_{}", added.storage.short()), &[sums]);
        }
    }

    /// The window as a constant; gives its address.
    pub(super) fn window(&self, source: &mut Source) -> String {
        window(source, self.name, self.window, self.input, self.output)
    }

    /// The expression that brings the sum `acc` to the output; the shift of a channel that has its own
    /// is `shifts[channel]`.
    pub(super) fn result(&self, source: &mut Source, acc: &str, channel: &str) -> String {
        let prefix = source.prefix().to_owned();
        if self.is_plain() {
            declare_requantization(source);
            if self.is_by_channel() {
                return format!("{prefix}_clamp({acc} >> shifts[{channel}], to)");
            }
            return format!("{prefix}_clamp({acc} >> to->shift, to)");
        }
        let requantize = requantize(source, self.requantization);
        if !self.is_by_channel() {
            return format!("{prefix}_{requantize}({acc}, to)");
        }
        let each = requantize.replace("requantize", "requantize_each");
        let values = [("P", "$P"), ("EACH", each.as_str()), ("REQUANTIZE", requantize)];
        source.once(&each, fill(include_str!("../text/requantize_each.c"), &values));
        format!("{prefix}_{each}({acc}, shifts[{channel}], to)")
    }

    /// The names of a function that makes biases of what is added, and of the left shifts of its channels, or 0: of sums
    /// that are `scale` powers of two larger.
    pub(super) fn added_to_bias(&self, added: Added, scale: u32, source: &mut Source) -> String {
        let (short, ctype) = (added.storage.short(), added.storage.ctype());
        let values = [("P", "$P"), ("S", short), ("T", ctype)];
        let name = format!("biases_{short}");
        source.once("added", include_str!("added.c"));
        source.once(&name, fill(include_str!("added_bias.c"), &values));
        let lefts = if self.is_by_channel() {
            let name = format!("{}_lefts", self.name);
            source.array("uint8_t", &name, self.lefts(added).map(|left| left + i64::from(scale)));
            name
        } else {
            "0".to_owned()
        };
        format!("$P_{name}, {lefts}, {}, {}", added.left + scale, self.channels)
    }

    /// What points `b` to the biases of a position, for templates inside the loops over all windows.
    pub(super) fn bias_of_class(bias_type: &str) -> String {
        fill(include_str!("../text/class_bias.c").trim_end(), &[("B", bias_type)])
    }

    /// The last parameters of a function that uses [`ConvLayer::result`].
    pub(super) fn result_parameters(&self) -> String {
        let shifts = if self.is_by_channel() { ", const int8_t *shifts" } else { "" };
        let added = self.added.map_or_else(String::new, |added| {
            format!("const {} *added, int32_t left, ", added.storage.ctype())
        });
        format!("{added}const $P_to *to{shifts}")
    }

    /// What tells functions with different results apart.
    pub(super) fn result_kind(&self) -> String {
        let kind = match (self.is_plain(), self.requantization.leaky, self.is_by_channel()) {
            (true, _, false) => "shift",
            (true, _, true) => "shifts",
            (false, None, false) => "requantize",
            (false, None, true) => "requantizes",
            (false, Some(_), false) => "leaky",
            (false, Some(_), true) => "leakies",
        };
        format!("{kind}{}", self.added_kind())
    }

    /// What tells functions that add different values apart.
    pub(super) fn added_kind(&self) -> String {
        self.added.map_or_else(String::new, |added| format!("_added_{}", added.storage.short()))
    }

    /// Whether what the sums begin with depends on the position: the bias, or what is added.
    pub(crate) fn has_biases_by_position(&self) -> bool {
        self.has_classes() || self.added.is_some()
    }

    /// Whether the bias depends on the position.
    pub(crate) fn has_classes(&self) -> bool {
        self.bias.values.len() > self.channels
    }
}

/// Names of a layer's constants.
pub(super) struct Common {
    pub(super) bias: String,
    pub(super) bias_type: &'static str,
    /// The classes of positions and how many columns have, or nothing.
    pub(super) classes: String,
    /// The left shift of what is added, where something is.
    left: Option<i64>,
    to: String,
    /// The shifts of output channels that have their own.
    shifts: Option<String>,
}

impl Common {
    /// The last parts of a call for the channels from one on, of a function with
    /// [`ConvLayer::result_parameters`]; `added` is what is added.
    pub(super) fn to(&self, channel: &str, added: &str) -> String {
        let left = self.left.map_or_else(String::new, |left| format!("{added}, {left}, "));
        match &self.shifts {
            None => format!("{left}{}", self.to),
            Some(shifts) => format!("{left}{}, {shifts} + {channel}", self.to),
        }
    }
}

/// The layer's own function around a body, and the step that calls it; `kind` is what its code depends on, `rows` the
/// argument for its parameter `range`, where it has one.
pub(super) fn layer_function(
    layer: &ConvLayer,
    source: &mut Source,
    kind: &str,
    body: &str,
    rows: Option<&str>,
) -> String {
    let (x, y) = (layer.x.ctype(), layer.y.ctype());
    let name = layer.name;
    let range = if rows.is_some() { ", const $P_rows *range" } else { "" };
    let (parameter, argument) = match layer.added {
        None => (String::new(), ""),
        Some(added) => (format!("const {} *added, ", added.storage.ctype()), "$X1, "),
    };
    source.function(
        kind,
        &format!(
            "$P_FUNCTION void {name}(const {x} *x, {parameter}{y} *y, uint8_t *scratch{range})\n{{\n{body}\n}}"
        ),
    );
    let rows = rows.map_or_else(String::new, |rows| format!(", {rows}"));
    format!("{name}($X0, {argument}$Y, $SCRATCH{rows});")
}
