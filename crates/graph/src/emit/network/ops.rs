//! Each integer operation in ONNX nodes.

use super::{
    Attributes, Dialect, Network, Value, int, real,
    rounding::{Form, form},
};
use crate::{
    emit::operation::Operation,
    fixed_graph::FixedNode,
    graph::NodeId,
    ops::{
        FixedAdd, FixedAveragePool, FixedConcat, FixedConv, FixedMaxPool, FixedPad, FixedReshape,
        Window,
    },
    shape::Shape,
};
use fixedwise_fixed::{
    Format,
    convert::{count_to_u64, exp2},
};

impl Network<'_> {
    /// Adds a node of the integer network; gives its value.
    pub(super) fn node(&mut self, id: NodeId) -> Value {
        let fixed = self.fixed;
        let node = &fixed.nodes[id];
        match Operation::of(&node.op) {
            Operation::Input => self.values[0].clone(),
            Operation::Conv(op) => self.conv(node, op),
            Operation::Add(op) => self.add(node, op),
            Operation::AveragePool(op) => self.average_pool(node, op),
            Operation::Concat(op) => self.concat(node, op),
            Operation::MaxPool(op) => self.max_pool(node, op),
            Operation::Pad(op) => self.pad(node, op),
            Operation::Rescale(op) => {
                let value = self.values[node.inputs[0]].clone();
                let format = self.fixed.nodes[node.inputs[0]].format;
                let bound = magnitude(format).saturating_add(op.requantization.half());
                let frac = i32::from(format.frac);
                let name =
                    self.file.requantize(&node.name, value.name, frac, bound, &op.requantization);
                Value { name, ..value }
            }
            Operation::Reshape(op) => self.permute(node, op),
        }
    }

    fn conv(&mut self, node: &FixedNode, op: &FixedConv) -> Value {
        let input = self.fixed.nodes[node.inputs[0]].shape;
        let is_dense = op.is_dense(input);
        let x = if is_dense { self.vector(node.inputs[0]) } else { self.image(node.inputs[0]) };
        let frac = i32::from(op.weights_format.frac) + i32::from(op.input.frac);
        // Signed, so the magnitude has one bit less; the rounding's half is in.
        let bound = 1_u64 << op.aligned_accumulator_bits().saturating_sub(1).min(62);
        self.note(node, bound);
        let weights = self.weights(node, op, is_dense);
        let requantization = &op.requantization;
        // A rounding that wants other than half to even rides on the bias.
        let halves = match form(self.file.dialect, requantization, frac, bound) {
            Form::Offset(halves) if requantization.leaky.is_none() => halves,
            _ => 0,
        };
        let is_uniform = op.bias.values.len() == op.channels;
        let name = &node.name;
        // A bias inside a convolution is rounded to 32-bit integers by some runtimes, half a place is
        // not one.
        let inside =
            is_uniform && !is_dense && (halves == 0 || self.file.dialect == Dialect::Qonnx);
        let bias = self.bias(node, op, frac, halves, if is_dense { 1 } else { 3 }, inside);
        let mut sum = if is_dense {
            self.file.node("MatMul", name, &[&x.name, &weights], vec![])
        } else {
            let mut attributes = window_attributes(&op.window, input, node.shape);
            attributes.push(("group", int(op.groups).into()));
            let mut inputs = vec![x.name.as_str(), &weights];
            if inside {
                inputs.push(&bias);
            }
            self.file.node("Conv", name, &inputs, attributes)
        };
        if !inside {
            sum = self.file.node("Add", &format!("{name}_biased"), &[&sum, &bias], vec![]);
        }
        let name = if halves == 0 {
            self.file.requantize(name, sum, frac, bound, requantization)
        } else {
            self.file.clamp(name, &sum, requantization)
        };
        Value { name, is_vector: is_dense, shape: node.shape }
    }

    /// `[o, i, h, w]`, or `[i, o]` of a dense layer.
    fn weights(&mut self, node: &FixedNode, op: &FixedConv, is_dense: bool) -> String {
        let [kh, kw] = op.window.kernel;
        let outputs = op.channels;
        let inputs = op.weights.len() / (outputs * kh * kw);
        let at = |o: usize, tap: usize, i: usize| {
            i64::from(op.weights[(o * kh * kw + tap) * inputs + i])
        };
        let mut stored = Vec::with_capacity(op.weights.len());
        let dims = if is_dense {
            (0..inputs).for_each(|i| stored.extend((0..outputs).map(|o| at(o, 0, i))));
            vec![inputs, outputs]
        } else {
            for o in 0..outputs {
                for i in 0..inputs {
                    stored.extend((0..kh * kw).map(|tap| at(o, tap, i)));
                }
            }
            vec![outputs, inputs, kh, kw]
        };
        let name = format!("{}_weights", node.name);
        let points = (usize::from(is_dense), op.coarser.as_slice());
        self.file.constant(&name, &dims, stored, op.weights_format, points)
    }

    /// The bias and so many halves of the sum's last place: one a channel, or one a channel and
    /// position, with `axes` axes after the batch where it is added by itself.
    fn bias(
        &mut self,
        node: &FixedNode,
        op: &FixedConv,
        frac: i32,
        halves: i64,
        axes: usize,
        inside: bool,
    ) -> String {
        let (values, n) = (op.aligned_bias(), op.channels);
        let Shape { h, w, .. } = node.shape;
        let (stored, dims) = if values.len() == n {
            let dims = if inside { vec![n] } else { [&[1, n, 1, 1][..=axes]].concat() };
            (values, dims)
        } else {
            let mut map = Vec::with_capacity(n * h * w);
            for channel in 0..n {
                for i in 0..h * w {
                    map.push(values[op.bias.class(i / w, i % w) * n + channel]);
                }
            }
            (map, vec![1, n, h, w])
        };
        // At half of the last place where the rounding needs it.
        let (stored, frac) = if halves == 0 {
            (stored, frac)
        } else {
            (stored.iter().map(|b| 2 * b + halves).collect(), frac + 1)
        };
        let name = format!("{}_bias", node.name);
        let real = stored.iter().map(|&b| real(b, frac)).collect();
        let float = self.file.floats(&name, &dims, real);
        if self.file.dialect == Dialect::Standard {
            return float;
        }
        let largest = stored.iter().map(|b| b.unsigned_abs()).max().unwrap_or(0);
        let bits = fixedwise_fixed::bits_for(largest).clamp(2, 62);
        let frac = i8::try_from(frac).expect("steps were checked");
        self.file.quant(&format!("{name}_quant"), &float, Format::full(bits, frac), false)
    }

    fn add(&mut self, node: &FixedNode, op: &FixedAdd) -> Value {
        let inputs = self.alike(&node.inputs);
        let formats = [0, 1].map(|i| self.fixed.nodes[node.inputs[i]].format);
        let frac = i32::from(formats[0].frac.max(formats[1].frac));
        let bound = 1_u64 << op.accumulator_bits.saturating_sub(1).min(62);
        self.note(node, bound);
        let sum = self.file.node("Add", &node.name, &[&inputs[0].name, &inputs[1].name], vec![]);
        let name = self.file.requantize(&node.name, sum, frac, bound, &op.requantization);
        Value { name, is_vector: inputs[0].is_vector, shape: node.shape }
    }

    fn average_pool(&mut self, node: &FixedNode, op: &FixedAveragePool) -> Value {
        let x = self.image(node.inputs[0]);
        let format = self.fixed.nodes[node.inputs[0]].format;
        let (name, requantization) = (&node.name, &op.requantization);
        let [kh, kw] = op.window.kernel;
        let largest = magnitude(format).saturating_mul(count_to_u64(kh * kw));
        self.note(node, largest);
        if op.reciprocal_frac == 0 {
            let shift = requantization.shift - i32::from(format.frac)
                + i32::from(requantization.format.frac);
            let is_plain = !op.window.is_padded()
                && !op.window.ceil
                && op.window.dilation == [1, 1]
                && exp2(shift).to_bits()
                    == fixedwise_fixed::convert::count_to_f64(kh * kw).to_bits();
            let mean = if is_plain {
                let attributes = pool_attributes(&op.window, x.shape, node.shape);
                self.file.node("AveragePool", name, &[&x.name], attributes)
            } else {
                self.window_sum(node, op, &x, real(1, shift))
            };
            let bound = largest.saturating_add(requantization.half());
            let frac = i32::from(format.frac) + shift;
            let name = self.file.requantize(name, mean, frac, bound, requantization);
            return Value { name, is_vector: false, shape: node.shape };
        }
        // The sum times the reciprocal; in 64 bits where 32 are not exact.
        let reciprocal_frac = i32::from(op.reciprocal_frac);
        let most = op.reciprocals.iter().map(|r| r.unsigned_abs()).max().unwrap_or(1);
        let bound = largest.saturating_mul(most).saturating_add(requantization.half());
        let frac = i32::from(format.frac) + reciprocal_frac;
        let is_uniform = op.reciprocals.iter().all(|r| *r == op.reciprocals[0]);
        let exact = bound <= super::rounding::F32_EXACT;
        let mean = if is_uniform && exact {
            self.window_sum(node, op, &x, real(op.reciprocals[0], reciprocal_frac))
        } else {
            let mut sum = self.window_sum(node, op, &x, 1.0);
            let factors = op.reciprocals.iter().map(|&r| real(r, reciprocal_frac)).collect();
            let dims = [1, 1, node.shape.h, node.shape.w];
            let mut factors = self.file.floats(&format!("{name}_reciprocals"), &dims, factors);
            if !exact {
                sum = self.file.wide(name, &sum);
                factors = self.file.wide(&format!("{name}_reciprocals"), &factors);
            }
            self.file.node("Mul", &format!("{name}_mean"), &[&sum, &factors], vec![])
        };
        let name = if exact {
            self.file.requantize(name, mean, frac, bound, requantization)
        } else {
            self.file.round(name, &mean, frac, true, true, requantization)
        };
        Value { name, is_vector: false, shape: node.shape }
    }

    /// The sum under a window, times a factor: a convolution of each channel by itself.
    fn window_sum(
        &mut self,
        node: &FixedNode,
        op: &FixedAveragePool,
        x: &Value,
        factor: f32,
    ) -> String {
        let [kh, kw] = op.window.kernel;
        let c = node.shape.c;
        let taps = vec![factor; c * kh * kw];
        let taps = self.file.floats(&format!("{}_taps", node.name), &[c, 1, kh, kw], taps);
        let mut attributes = window_attributes(&op.window, x.shape, node.shape);
        attributes.push(("group", int(c).into()));
        self.file.node("Conv", &node.name, &[&x.name, &taps], attributes)
    }

    fn concat(&mut self, node: &FixedNode, op: &FixedConcat) -> Value {
        // hls4ml 1.3 joins two values at a time.
        let is_qonnx = self.file.dialect == Dialect::Qonnx;
        let is_image = node.shape.h * node.shape.w > 1;
        let inputs = if is_image {
            node.inputs.iter().map(|&id| self.image(id)).collect()
        } else {
            self.alike(&node.inputs)
        };
        let mut names = Vec::with_capacity(inputs.len());
        for (i, (value, requantization)) in inputs.iter().zip(&op.requantizations).enumerate() {
            let format = self.fixed.nodes[node.inputs[i]].format;
            let keeps = requantization.shift <= 0
                && requantization.apply(format.min())
                    == shifted(format.min(), requantization.shift)
                && requantization.apply(format.max())
                    == shifted(format.max(), requantization.shift);
            let name = value.name.clone();
            names.push(if keeps {
                name
            } else {
                let bound = magnitude(format).saturating_add(requantization.half());
                let frac = i32::from(format.frac);
                let part = format!("{}_input_{}", node.name, i + 1);
                self.file.requantize(&part, name, frac, bound, requantization)
            });
        }
        let is_vector = inputs[0].is_vector;
        // Which of [h, w, c] grows; with one input any will do.
        let dims = inputs[0].shape.dims();
        let axis = (0..3).find(|&axis| dims[axis] != node.shape.dims()[axis]).unwrap_or(2);
        let axis: i64 = if is_vector { 1 } else { [2, 3, 1][axis] };
        let mut join = |name: &str, values: &[String]| {
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            self.file.node("Concat", name, &values, vec![("axis", axis.into())])
        };
        if is_qonnx {
            for name in joins(node) {
                let joined = join(&name, &names[..2]);
                names.splice(..2, [joined]);
            }
        }
        let name = join(&node.name, &names);
        Value { name, is_vector, shape: node.shape }
    }

    fn max_pool(&mut self, node: &FixedNode, op: &FixedMaxPool) -> Value {
        let x = self.image(node.inputs[0]);
        let format = self.fixed.nodes[node.inputs[0]].format;
        let name = &node.name;
        // The smallest is the largest with the sign turned, twice.
        let signs = op.minimum.contains(&true).then(|| {
            let signs = op.minimum.iter().map(|&m| if m { -1.0 } else { 1.0 }).collect();
            self.file.floats(&format!("{name}_signs"), &[1, node.shape.c, 1, 1], signs)
        });
        let mut value = x.name;
        if let Some(signs) = &signs {
            value = self.file.node("Mul", &format!("{name}_turned"), &[&value, signs], vec![]);
        }
        let mut window = op.window.clone();
        (window.pad_end, window.ceil) = (pad_end(&op.window, x.shape, node.shape), false);
        let mut shape = x.shape;
        if (0..2)
            .any(|axis| window.pad_begin[axis].max(window.pad_end[axis]) >= window.kernel[axis])
        {
            // Runtimes pool over less padding than that: what never wins is put around instead.
            let [h, w] = [0, 1].map(|axis| window.pad_begin[axis] + window.pad_end[axis]);
            shape = Shape::new(shape.h + h, shape.w + w, shape.c);
            let lowest = -format.dequantize(format.max_magnitude());
            value = self.pad_around(
                &format!("{name}_padded"),
                &value,
                window.pad_begin,
                window.pad_end,
                lowest,
            );
            (window.pad_begin, window.pad_end) = ([0, 0], [0, 0]);
        }
        let mut attributes = pool_attributes(&window, shape, node.shape);
        attributes.push(("dilations", window.dilation.map(int).to_vec().into()));
        let mut value = self.file.node("MaxPool", name, &[&value], attributes);
        if let Some(signs) = &signs {
            value = self.file.node("Mul", &format!("{name}_signed"), &[&value, signs], vec![]);
        }
        Value { name: value, is_vector: false, shape: node.shape }
    }

    fn pad(&mut self, node: &FixedNode, op: &FixedPad) -> Value {
        let x = self.image(node.inputs[0]);
        let end = [node.shape.h - x.shape.h - op.begin[0], node.shape.w - x.shape.w - op.begin[1]];
        let value = node.format.dequantize(op.value);
        let name = self.pad_around(&node.name, &x.name, op.begin, end, value);
        Value { name, is_vector: false, shape: node.shape }
    }

    fn pad_around(
        &mut self,
        name: &str,
        value: &str,
        begin: [usize; 2],
        end: [usize; 2],
        constant: f64,
    ) -> String {
        let ([top, left], [bottom, right]) = (begin, end);
        let pads = [0, 0, top, left, 0, 0, bottom, right].map(int).to_vec();
        let pads = self.file.indices(&format!("{name}_pads"), pads);
        let constant = self.file.scalar(constant);
        self.file.node("Pad", name, &[value, &pads, &constant], vec![])
    }

    fn permute(&mut self, node: &FixedNode, op: &FixedReshape) -> Value {
        let id = node.inputs[0];
        let (from, to) = (self.values[id].shape, node.shape);
        let name = &node.name;
        // Elements as the file has them, channels first: where each of the result comes from.
        let planar = |shape: Shape, i: usize| {
            let (pixel, channel) = (i / shape.c, i % shape.c);
            channel * shape.h * shape.w + pixel
        };
        let mut source = vec![0; op.source.len()];
        for (i, &s) in op.source.iter().enumerate() {
            source[planar(to, i)] = planar(from, s);
        }
        let is_identity = |source: &[usize]| source.iter().enumerate().all(|(i, &s)| i == s);
        let is_vector = to.h * to.w == 1;
        let dims = if is_vector { vec![to.c] } else { vec![to.c, to.h, to.w] };
        let mut value = self.values[id].name.clone();
        if !is_identity(&source) {
            if is_identity(&op.source) && is_vector {
                let order = vec![("perm", vec![0_i64, 2, 3, 1].into())];
                value = self.file.node("Transpose", &format!("{name}_order"), &[&value], order);
            } else {
                let flat = format!("{name}_flat");
                value = self.reshape(&flat, &value, &[from.len()]);
                let indices = source.iter().map(|&s| int(s)).collect();
                let indices = self.file.indices(&format!("{name}_indices"), indices);
                let axis = vec![("axis", 1_i64.into())];
                let taken = format!("{name}_taken");
                value = self.file.node("Gather", &taken, &[&value, &indices], axis);
            }
        }
        let name = self.reshape(name, &value, &dims);
        Value { name, is_vector, shape: to }
    }
}

/// Names of the values that a concatenation has on its way in QONNX: none where it joins two, as no other
/// node has more inputs.
pub(in crate::emit) fn joins(node: &FixedNode) -> Vec<String> {
    (2..node.inputs.len()).map(|n| format!("{}_joined_{n}", node.name)).collect()
}

/// The largest magnitude of a format's integers.
fn magnitude(format: Format) -> u64 {
    format.max_magnitude().unsigned_abs()
}

/// `x` shifted left by `-shift`.
fn shifted(x: i64, shift: i32) -> i64 {
    fixedwise_fixed::align(x, shift.unsigned_abs())
}

/// Padding after the last row and column with which the plain formula gives the output's extents.
fn pad_end(window: &Window, input: Shape, output: Shape) -> [usize; 2] {
    let ([h, w], [oh, ow]) = ([input.h, input.w], [output.h, output.w]);
    let needed = |axis: usize, size: usize, positions: usize| {
        let reach = window.dilation[axis] * (window.kernel[axis] - 1) + 1;
        let end = (positions - 1) * window.stride[axis] + reach;
        end.saturating_sub(size + window.pad_begin[axis])
    };
    [needed(0, h, oh), needed(1, w, ow)]
}

fn pool_attributes(window: &Window, input: Shape, output: Shape) -> Attributes {
    let (begin, end) = (window.pad_begin, pad_end(window, input, output));
    let pads = [begin[0], begin[1], end[0], end[1]];
    // With one position any step will do; some tools want windows side by side.
    let positions = [output.h, output.w];
    let stride = [0, 1].map(|axis| match positions[axis] {
        1 => window.kernel[axis],
        _ => window.stride[axis],
    });
    vec![
        ("kernel_shape", window.kernel.map(int).to_vec().into()),
        ("strides", stride.map(int).to_vec().into()),
        ("pads", pads.map(int).to_vec().into()),
    ]
}

fn window_attributes(window: &Window, input: Shape, output: Shape) -> Attributes {
    let mut attributes = pool_attributes(window, input, output);
    attributes.push(("dilations", window.dilation.map(int).to_vec().into()));
    attributes
}
