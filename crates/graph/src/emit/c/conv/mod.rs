//! Convolutions and dense layers: which kernel prints a layer.

mod filters;
mod function;
mod general;
mod m4;
mod m55;
mod weights;

use super::{
    CNode, CStep, Core, node,
    source::{Source, Storage, bias_type, fill},
};
use crate::{error::EmitError, ops::FixedConv, shape::Shape};
use fixedwise_fixed::Rounding;
use fixedwise_kernels::Accumulate;

/// A convolution to print, every number known; a dense layer is a 1x1 convolution of a 1x1 image.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConvLayer<'a> {
    /// C identifier, unique and prefixed.
    pub name: &'a str,
    /// Geometry, weights, bias, requantization.
    pub op: &'a FixedConv,
    /// Extents of the input.
    pub input: Shape,
    /// Extents of the value.
    pub output: Shape,
    /// How the input lies in memory.
    pub x: Storage,
    /// How the value lies in memory.
    pub y: Storage,
    /// Bits of a stored weight, in two's complement.
    pub weight_bits: u8,
}

impl ConvLayer<'_> {
    /// Multiplications for one output: `[kernel row, kernel column, input channel of the group]`.
    pub(crate) fn depth(&self) -> usize {
        let [rows, columns] = self.op.window.kernel;
        rows * columns * self.input.c / self.op.groups
    }

    /// Whether the result is `clamp(acc >> shift)` once the rounding's half is in the bias.
    pub(crate) fn is_plain(&self) -> bool {
        let to = &self.op.requantization;
        let is_free = |shift: i32| shift == 0 || (shift > 0 && to.rounding != Rounding::TiesEven);
        let mut shifts = self.op.coarser.iter().map(|&bits| to.coarser(bits).shift);
        to.leaky.is_none() && is_free(to.shift) && shifts.all(is_free)
    }

    /// Whether each output channel has a shift of its own.
    pub(crate) fn is_by_channel(&self) -> bool {
        !self.op.coarser.is_empty()
    }

    /// The biases as they are stored: with the rounding's half where [`ConvLayer::is_plain`].
    pub(crate) fn stored_bias(&self) -> Vec<i64> {
        let (bias, is_plain) = (&self.op.bias.values, self.is_plain());
        let half = |channel: usize| {
            let half = self.op.requantization(channel).half();
            if is_plain { i64::try_from(half).unwrap_or(i64::MAX) } else { 0 }
        };
        let channels = self.op.channels;
        bias.iter().enumerate().map(|(i, b)| b + half(i % channels)).collect()
    }

    /// The constants that portable kernels share; `bias` and `classes` are parts of a call.
    fn common(&self, source: &mut Source) -> Common {
        let stored = self.stored_bias();
        let bias = format!("{}_bias", self.name);
        let bias_type = bias_type(&stored);
        source.array(bias_type, &bias, stored);
        let classes = if self.has_classes() {
            let name = format!("{}_classes", self.name);
            let classes = self.op.bias.row_class.iter().chain(&self.op.bias.column_class);
            source.array("uint8_t", &name, classes.map(|&class| i64::from(class)));
            format!("{name}, {}", self.op.bias.n_column_classes)
        } else {
            "0, 0".to_owned()
        };
        let to = format!("{}_to", self.name);
        let to = node::requantization(source, &to, &self.op.requantization);
        let shifts = self.is_by_channel().then(|| {
            let name = format!("{}_shifts", self.name);
            let shifts = (0..self.op.channels).map(|channel| self.op.requantization(channel).shift);
            source.array("int8_t", &name, shifts.map(i64::from));
            name
        });
        Common { bias, bias_type, classes, to, shifts }
    }

    /// The window as a constant; gives its address.
    fn window(&self, source: &mut Source) -> String {
        node::window(source, self.name, &self.op.window, self.input, self.output)
    }

    /// The expression that brings the sum `acc` to the output; the shift of a channel that has its own
    /// is `shifts[channel]`.
    fn result(&self, source: &mut Source, acc: &str, channel: &str) -> String {
        let prefix = source.prefix().to_owned();
        if self.is_plain() {
            source.once("to", include_str!("../text/requantize.c"));
            if self.is_by_channel() {
                return format!("{prefix}_clamp({acc} >> shifts[{channel}], to)");
            }
            return format!("{prefix}_clamp({acc} >> to->shift, to)");
        }
        let requantize = node::requantize(source, &self.op.requantization);
        if !self.is_by_channel() {
            return format!("{prefix}_{requantize}({acc}, to)");
        }
        let each = requantize.replace("requantize", "requantize_each");
        let values = [("P", "$P"), ("EACH", each.as_str()), ("REQUANTIZE", requantize)];
        source.once(&each, fill(include_str!("../text/requantize_each.c"), &values));
        format!("{prefix}_{each}({acc}, shifts[{channel}], to)")
    }

    /// The last parameters of a function that uses [`ConvLayer::result`].
    fn result_parameters(&self) -> &'static str {
        if self.is_by_channel() {
            "const $P_to *to, const int8_t *shifts"
        } else {
            "const $P_to *to"
        }
    }

    /// What tells functions with different results apart.
    fn result_kind(&self) -> &'static str {
        match (self.is_plain(), self.op.requantization.leaky, self.is_by_channel()) {
            (true, _, false) => "",
            (true, _, true) => "_each",
            (false, None, false) => "_requantize",
            (false, None, true) => "_requantize_each",
            (false, Some(_), false) => "_leaky",
            (false, Some(_), true) => "_leaky_each",
        }
    }

    /// Whether the bias depends on the position.
    pub(crate) fn has_classes(&self) -> bool {
        self.op.bias.values.len() > self.op.channels
    }
}

/// Names of a layer's constants.
struct Common {
    bias: String,
    bias_type: &'static str,
    /// The classes of positions and how many columns have, or nothing.
    classes: String,
    to: String,
    /// The shifts of output channels that have their own.
    shifts: Option<String>,
}

impl Common {
    /// The last parts of a call for the channels from one on, of a function with
    /// [`ConvLayer::result_parameters`].
    fn to(&self, channel: &str) -> String {
        match &self.shifts {
            None => self.to.clone(),
            Some(shifts) => format!("{}, {shifts} + {channel}", self.to),
        }
    }
}

/// The layer's own function around a body.
fn layer_function(layer: &ConvLayer, source: &mut Source, body: &str) {
    let (x, y) = (layer.x.ctype(), layer.y.ctype());
    let name = layer.name;
    source.item(format!(
        "static void {name}(const {x} *x, {y} *y, uint8_t *scratch)\n{{\n{body}\n}}"
    ));
}

/// The kernels of a core, best first; what none of them takes is left to the general one.
fn kernels(core: Core) -> &'static [(&'static str, Kernel)] {
    match core {
        Core::Portable => &[("filters", filters::emit)],
        Core::Dsp => &[("dsp", m4::emit), ("filters", filters::emit)],
        Core::Mve => &[("mve", m55::emit), ("dsp", m4::emit), ("filters", filters::emit)],
    }
}

/// Puts a layer into the file, among its items `static void NAME(const X *x, Y *y, uint8_t
/// *scratch)`, and gives the bytes of scratch that needs; `None` where it cannot do the layer.
type Kernel = fn(&ConvLayer, &mut Source) -> Option<usize>;

/// Prints a convolution with the first kernel of the core that takes it.
pub(crate) fn emit_conv(op: &FixedConv, node: &mut CNode) -> Result<CStep, EmitError> {
    if op.accumulate != Accumulate::I32 {
        return Err(EmitError::Accumulator { node: node.name.clone() });
    }
    let (x, y) = (node.inputs[0], node.output);
    let name = node.name.clone();
    let layer = ConvLayer {
        name: &name,
        op,
        input: x.shape,
        output: y.shape,
        x: x.storage,
        y: y.storage,
        weight_bits: node.options.stored_weight_bits(op.weights_format.bits),
    };
    node.check_extents(&[x.shape, y.shape], &op.window)?;
    node.source.access(x.storage);
    node.source.access(y.storage);
    for (kernel, emit) in kernels(node.options.core) {
        if let Some(scratch_bytes) = emit(&layer, node.source) {
            let call = format!("{name}($X0, $Y, $SCRATCH);");
            return Ok(CStep { scratch_bytes, ..CStep::call(kernel, call) });
        }
    }
    general::emit(&layer, node.source);
    Ok(CStep::call("general", format!("{name}($X0, $Y, 0);")))
}
