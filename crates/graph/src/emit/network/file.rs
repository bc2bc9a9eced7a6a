//! The ONNX file under construction: nodes and constants by name, and how a dialect quantizes.

use crate::emit::names::{Alphabet, Names};
use fixedwise_codec::onnx::{Attribute, Dim, ElementType, ModelBuilder, Node, Tensor, ValueInfo};
use fixedwise_fixed::{
    Format, Range,
    convert::{exp2, f64_to_f32, i64_to_f64},
};
use std::collections::BTreeMap;

/// How an ONNX file says that a value is quantized.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// `QuantizeLinear` and `DequantizeLinear`; constants are stored as integers.
    Standard,
    /// `Quant` of QONNX, with the width in bits; constants are stored as floats.
    Qonnx,
}

/// Version of the standard operators: the first whose `QuantizeLinear` knows 4 and 16 bits; and the
/// newest version of the file format that came with it.
const STANDARD_OPSET: i64 = 21;
const STANDARD_IR: i64 = 10;
/// Versions of the standard operators and of the file format that the tools of QONNX work with.
const QONNX_OPSET: i64 = 13;
const QONNX_IR: i64 = 8;
/// The domain of `Quant`.
const QONNX_DOMAIN: &str = "qonnx.custom_op.general";

/// Attributes of a node.
pub(crate) type Attributes = Vec<(&'static str, Attribute)>;

#[derive(Debug)]
pub(crate) struct File {
    pub(crate) dialect: Dialect,
    names: Names,
    nodes: Vec<Node>,
    floats: Vec<(String, Tensor)>,
    integers: Vec<(String, ElementType, Vec<usize>, Vec<i64>)>,
    /// The name of an input of the network.
    pub(crate) image: Option<String>,
    /// Scalars by what they are, so that each is stored once.
    scalars: BTreeMap<String, String>,
}

impl File {
    pub(crate) fn new(dialect: Dialect) -> Self {
        let alphabet = match dialect {
            Dialect::Standard => Alphabet::Any,
            Dialect::Qonnx => Alphabet::Identifier,
        };
        Self {
            dialect,
            names: Names::new(alphabet),
            nodes: Vec::new(),
            floats: Vec::new(),
            integers: Vec::new(),
            image: None,
            scalars: BTreeMap::new(),
        }
    }

    /// A name that nothing else has.
    pub(crate) fn name(&mut self, wanted: &str) -> String {
        self.names.unique(wanted)
    }

    /// Adds a node; its value has its name.
    pub(crate) fn node(
        &mut self,
        op_type: &str,
        name: &str,
        inputs: &[&str],
        attributes: Attributes,
    ) -> String {
        let name = self.names.unique(name);
        let mut node = Node::new(op_type, &name, inputs, &[&name]);
        node.attributes =
            attributes.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        self.nodes.push(node);
        name
    }

    /// A constant of floats.
    pub(crate) fn floats(&mut self, name: &str, dims: &[usize], values: Vec<f32>) -> String {
        let name = self.names.unique(name);
        self.floats.push((name.clone(), Tensor::floats(dims, values)));
        name
    }

    /// A constant of 64-bit integers: extents, indices.
    pub(crate) fn indices(&mut self, name: &str, values: Vec<i64>) -> String {
        let name = self.names.unique(name);
        self.floats.push((name.clone(), Tensor::ints(&[values.len()], values)));
        name
    }

    /// A single number.
    pub(crate) fn scalar(&mut self, x: f64) -> String {
        self.shared(format!("number {x}"), &format!("number_{x}"), |file, name| {
            file.floats(name, &[], vec![f64_to_f32(x)])
        })
    }

    pub(crate) fn shared(
        &mut self,
        key: String,
        name: &str,
        make: impl FnOnce(&mut Self, &str) -> String,
    ) -> String {
        if let Some(name) = self.scalars.get(&key) {
            return name.clone();
        }
        let name = make(self, name);
        self.scalars.insert(key, name.clone());
        name
    }

    /// The size of a step, `2^-frac`.
    fn step(&mut self, frac: i32) -> String {
        let name = format!("scale_{}{}", if frac < 0 { "m" } else { "" }, frac.unsigned_abs());
        self.shared(format!("step {frac}"), &name, |file, name| {
            file.floats(name, &[], vec![f64_to_f32(exp2(-frac))])
        })
    }

    /// Constant integers at steps of `2^-frac`, as the real values they stand for; along an axis the
    /// steps may be larger by so many bits each (`coarser`, empty where none is).
    pub(crate) fn constant(
        &mut self,
        name: &str,
        dims: &[usize],
        stored: Vec<i64>,
        format: Format,
        (axis, coarser): (usize, &[u8]),
    ) -> String {
        let step = |bits: u8| exp2(i32::from(bits) - i32::from(format.frac));
        let steps: Vec<f32> = coarser.iter().map(|&bits| f64_to_f32(step(bits))).collect();
        if self.dialect == Dialect::Qonnx {
            let inner: usize = dims[axis + 1..].iter().product();
            let real = |(i, &q): (usize, &i64)| {
                let bits = coarser.get(i / inner % dims[axis]).copied().unwrap_or(0);
                f64_to_f32(i64_to_f64(q) * step(bits))
            };
            let real = stored.iter().enumerate().map(real).collect();
            let value = self.floats(name, dims, real);
            let name = format!("{name}_quant");
            if coarser.is_empty() {
                return self.quant(&name, &value, format, false);
            }
            let mut extents = vec![1; dims.len()];
            extents[axis] = dims[axis];
            return self.quant_by(&name, &value, format, false, (&extents, steps));
        }
        let element = element(format).0;
        let integers = self.names.unique(name);
        self.integers.push((integers.clone(), element, dims.to_vec(), stored));
        let name = format!("{name}_dequantize");
        if coarser.is_empty() {
            return self.dequantize(&name, &integers, i32::from(format.frac));
        }
        let scale = self.floats(&format!("{name}_scale"), &[steps.len()], steps);
        let attributes: Attributes = vec![("axis", int(axis).into())];
        self.node("DequantizeLinear", &name, &[&integers, &scale], attributes)
    }

    /// The real values of integers.
    ///
    /// There is no zero point, which stands for 0: with one, ONNX Runtime 1.32 rewrites signed types
    /// into unsigned ones and then refuses what it made.
    pub(crate) fn dequantize(&mut self, name: &str, integers: &str, frac: i32) -> String {
        let scale = self.step(frac);
        self.node("DequantizeLinear", name, &[integers, &scale], vec![])
    }

    /// A value rounded half to even to `format`, and clamped to `min ..= max` of its integers; what
    /// `floors` is rounded down in QONNX.
    pub(crate) fn quantize(
        &mut self,
        name: &str,
        value: &str,
        format: Format,
        min: i64,
        max: i64,
        floors: bool,
    ) -> String {
        let (lowest, highest) = match self.dialect {
            Dialect::Standard => {
                let (_, lowest, highest) = element(format);
                (lowest, highest)
            }
            Dialect::Qonnx => {
                let held = storable(format);
                (held.min(), held.max())
            }
        };
        // ONNX Runtime 1.32 cannot load a `Relu` or `Clip` before a quantization to 4 bits.
        let is_plain = self.dialect == Dialect::Standard && format.bits <= 4;
        let mut value = value.to_owned();
        if is_plain {
            if min != lowest {
                let low = self.scalar(format.dequantize(min));
                value = self.node("Max", &format!("{name}_min"), &[&value, &low], vec![]);
            }
            if max != highest {
                let high = self.scalar(format.dequantize(max));
                value = self.node("Min", &format!("{name}_max"), &[&value, &high], vec![]);
            }
        } else if min == 0 && lowest != 0 && max == highest {
            value = self.node("Relu", &format!("{name}_relu"), &[&value], vec![]);
        } else if min != lowest || max != highest {
            let low = self.scalar(format.dequantize(min));
            let high = self.scalar(format.dequantize(max));
            value = self.node("Clip", &format!("{name}_clip"), &[&value, &low, &high], vec![]);
        }
        match self.dialect {
            Dialect::Standard => {
                let frac = i32::from(format.frac);
                let scale = self.step(frac);
                let attributes = vec![("output_dtype", i64::from(element(format).0.code()).into())];
                let stored = format!("{name}_quantize");
                let stored = self.node("QuantizeLinear", &stored, &[&value, &scale], attributes);
                self.dequantize(&format!("{name}_dequantize"), &stored, frac)
            }
            Dialect::Qonnx => self.quant(&format!("{name}_quant"), &value, format, floors),
        }
    }

    /// A value rounded to a format by QONNX.
    pub(crate) fn quant(
        &mut self,
        name: &str,
        value: &str,
        format: Format,
        floors: bool,
    ) -> String {
        let step = f64_to_f32(exp2(-i32::from(storable(format).frac)));
        self.quant_by(name, value, format, floors, (&[], vec![step]))
    }

    /// The same with steps of other extents than one for all.
    fn quant_by(
        &mut self,
        name: &str,
        value: &str,
        format: Format,
        floors: bool,
        (extents, steps): (&[usize], Vec<f32>),
    ) -> String {
        let format = storable(format);
        // Tools take these constants away from the node that they see first: each has its own.
        let scale = self.floats(&format!("{name}_scale"), extents, steps);
        if format.is_bipolar() {
            return self.qonnx_node("BipolarQuant", name, &[value, &scale], vec![]);
        }
        let [zero, bits] = [("zero", 0.0), ("bits", f64::from(format.bits))]
            .map(|(kind, x)| self.floats(&format!("{name}_{kind}"), &[], vec![f64_to_f32(x)]));
        let attributes: Attributes = vec![
            ("signed", i64::from(format.is_signed()).into()),
            ("narrow", i64::from(format.range == Range::Narrow).into()),
            ("rounding_mode", if floors { "FLOOR" } else { "ROUND" }.into()),
        ];
        self.qonnx_node("Quant", name, &[value, &scale, &zero, &bits], attributes)
    }

    fn qonnx_node(
        &mut self,
        op_type: &str,
        name: &str,
        inputs: &[&str],
        attributes: Attributes,
    ) -> String {
        let value = self.node(op_type, name, inputs, attributes);
        if let Some(node) = self.nodes.last_mut() {
            QONNX_DOMAIN.clone_into(&mut node.domain);
        }
        value
    }

    /// The batch stays, the rest becomes `dims`.
    pub(crate) fn reshape(&mut self, name: &str, value: &str, dims: &[usize]) -> String {
        let dims = std::iter::once(0).chain(dims.iter().map(|&d| int(d))).collect();
        let dims = self.indices(&format!("{name}_shape"), dims);
        self.node("Reshape", name, &[value, &dims], vec![])
    }

    /// A value `[1, ...dims]` for each image of the batch.
    pub(crate) fn for_each_image(&mut self, name: &str, value: &str, dims: &[usize]) -> String {
        let (Dialect::Standard, Some(image)) = (self.dialect, self.image.clone()) else {
            return value.to_owned();
        };
        let first: Attributes = vec![("start", 0_i64.into()), ("end", 1_i64.into())];
        let batch = self.node("Shape", &format!("{name}_batch"), &[&image], first);
        let own = dims.iter().map(|&d| int(d)).collect();
        let own = self.indices(&format!("{name}_extents"), own);
        let axis: Attributes = vec![("axis", 0_i64.into())];
        let shape = self.node("Concat", &format!("{name}_shape"), &[&batch, &own], axis);
        self.node("Expand", name, &[value, &shape], vec![])
    }

    /// The place of each element of a value among the integers of its format, from the smallest on.
    pub(crate) fn index(&mut self, name: &str, value: &str, format: Format) -> String {
        let per_unit = self.scalar(exp2(format.frac.into()));
        let stored = format!("{name}_integer");
        let mut place = self.node("Mul", &stored, &[value, &per_unit], vec![]);
        if format.min() != 0 {
            let first = self.scalar(i64_to_f64(format.min()));
            place = self.node("Sub", &format!("{name}_place"), &[&place, &first], vec![]);
        }
        let index = vec![("to", i64::from(ElementType::I64.code()).into())];
        self.node("Cast", &format!("{name}_index"), &[&place], index)
    }

    /// Those of some integers of a format that stand at the places of `index`, as real values.
    pub(crate) fn gather(
        &mut self,
        name: &str,
        index: &str,
        values: Vec<i64>,
        format: Format,
    ) -> String {
        let frac = format.frac.into();
        let values: Vec<f32> = values.into_iter().map(|value| real(value, frac)).collect();
        let table = self.floats(&format!("{name}_table"), &[values.len()], values);
        self.node("Gather", &format!("{name}_value"), &[&table, index], vec![])
    }

    /// Gives a value that a node computes another name.
    pub(crate) fn rename(&mut self, value: &str, wanted: &str) -> String {
        let new = self.names.unique(wanted);
        for name in
            self.nodes.iter_mut().flat_map(|node| node.inputs.iter_mut().chain(&mut node.outputs))
        {
            if name == value {
                name.clone_from(&new);
            }
        }
        new
    }

    /// The model, without inputs and outputs.
    pub(crate) fn finish(self, graph: &str) -> ModelBuilder {
        let mut model = ModelBuilder::new(graph).producer("fixedwise export");
        model = match self.dialect {
            Dialect::Standard => model.opset(STANDARD_OPSET).ir_version(STANDARD_IR),
            Dialect::Qonnx => model.opset(QONNX_OPSET).ir_version(QONNX_IR).domain(QONNX_DOMAIN, 1),
        };
        for (name, element, dims, values) in self.integers {
            model = model.integers(&name, element, &dims, &values);
        }
        for (name, tensor) in self.floats {
            model = model.initializer(&name, tensor);
        }
        self.nodes.into_iter().fold(model, ModelBuilder::node)
    }
}

/// Where a value of extents `dims` enters or leaves.
pub(crate) fn port(name: &str, element_type: ElementType, dims: Vec<Dim>) -> ValueInfo {
    ValueInfo { name: name.to_owned(), element_type, dims }
}

/// The narrowest type of ONNX that holds a format, and its ends.
pub(crate) fn element(format: Format) -> (ElementType, i64, i64) {
    match (format.is_signed(), format.bits) {
        (false, ..=4) => (ElementType::U4, 0, 15),
        (false, ..=8) => (ElementType::U8, 0, 255),
        (false, _) => (ElementType::U16, 0, 65535),
        (true, ..=4) => (ElementType::I4, -8, 7),
        (true, ..=8) => (ElementType::I8, -128, 127),
        (true, _) => (ElementType::I16, -32768, 32767),
    }
}

/// One signed bit of two's complement has two to `Quant`, to which one means plus and minus one.
fn storable(format: Format) -> Format {
    let is_zero = format.is_signed() && format.bits == 1 && !format.is_bipolar();
    if is_zero { Format::signed(2, format.frac) } else { format }
}

/// The value of an integer at `2^-frac`.
pub(crate) fn real(stored: i64, frac: i32) -> f32 {
    f64_to_f32(i64_to_f64(stored) * exp2(-frac))
}

/// An extent or an index; those of values in memory fit.
pub(crate) fn int(x: usize) -> i64 {
    i64::try_from(x).unwrap_or(i64::MAX)
}
