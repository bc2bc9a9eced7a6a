use crate::{
    emit::{
        c::node::{CNode, CStep},
        network::node::{NetworkNode, NetworkValue},
        npz::node::NpzNode,
        tflite::{
            file::steps,
            node::{TfliteNode, TfliteValue, dims, element, zero_point},
        },
    },
    error::{EmitError, LowerError},
    fixed_operator::{self, FixedOp, FixedOperator, FixedStep, Place, step},
    lower::context::LowerContext,
    operator::{Context, Edge, Factor, FloatStep, FormatRule, Operator},
    shape::Shape,
};
use fixedwise_fixed::{Format, convert::saturating_i16};
use fixedwise_kernels::{IntegersMut, Kernels};
use serde_json::json;
use std::{ops::Range, sync::Arc};

/// A value that is the same for every image, such as a map of coordinates that is joined to features.
///
/// Fixed point: each number is rounded half to even to the value's own format; a target stores the integers.
///
/// Source: ONNX initializers and `Constant`, opset 13.
#[derive(Clone, Debug, PartialEq)]
pub struct Constant {
    /// Its extents.
    pub shape: Shape,
    /// The numbers, `[h, w, c]`.
    pub values: Arc<[f32]>,
}

impl Operator for Constant {
    fn name(&self) -> &'static str {
        "Constant"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, String> {
        if inputs.is_empty() && self.values.len() == self.shape.len() {
            Ok(self.shape)
        } else {
            Err(format!("must be {} numbers and take no input", self.shape.len()))
        }
    }

    fn prepare_float(&self, _: &Context, _: &'static Kernels) -> FloatStep {
        let values = Arc::clone(&self.values);
        Box::new(move |_, y, _| y.copy_from_slice(&values))
    }

    fn lower(&self, context: &LowerContext) -> Result<FixedOp, LowerError> {
        let format = context.output;
        let integer = |&x: &f32| format.quantize(f64::from(x));
        Ok(FixedConstant { integers: self.values.iter().map(integer).collect(), format }.into())
    }

    fn format_rule(&self) -> FormatRule {
        FormatRule::Own
    }

    fn is_nonnegative(&self, _: bool) -> bool {
        self.values.iter().all(|&x| x >= 0.0)
    }

    fn edge(&self, _: usize) -> Edge {
        Edge::Main
    }

    fn factor(&self, _: usize, _: &[Shape], _: Shape) -> Factor {
        Factor::Refused
    }
}

/// Integers that are the same for every image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FixedConstant {
    /// The integers, `[h, w, c]`.
    pub integers: Arc<[i64]>,
    /// Their format.
    pub format: Format,
}

impl FixedOperator for FixedConstant {
    fn prepare(&self, _: &[Shape], _: Shape, _: &'static Kernels) -> FixedStep {
        // A format of 16 bits without sign is none of a value.
        let all: Vec<i16> = self.integers.iter().map(|&x| saturating_i16(x)).collect();
        step(move |_, y, _| match y {
            IntegersMut::U8(y) => {
                y.iter_mut().zip(&all).for_each(|(y, &x)| *y = u8::try_from(x).unwrap_or(u8::MAX));
            }
            IntegersMut::I8(y) => {
                y.iter_mut().zip(&all).for_each(|(y, &x)| *y = i8::try_from(x).unwrap_or(i8::MAX));
            }
            IntegersMut::I16(y) => y.copy_from_slice(&all),
        })
    }

    fn name(&self) -> &'static str {
        "constant"
    }

    fn place(&self) -> Place {
        Place::Stored
    }

    fn rows(&self, _: Range<usize>, _: &[Shape], _: Shape) -> Vec<Range<usize>> {
        Vec::new()
    }

    fn constants(&self) -> Vec<fixed_operator::Constant> {
        let (count, bits) = (self.integers.len(), self.format.bits);
        vec![fixed_operator::Constant::Table { count, bits }]
    }

    fn emit_c(&self, node: &mut CNode) -> Result<CStep, EmitError> {
        let (ctype, name) = (node.output.ctype(), node.name.clone());
        node.source.array(ctype, &name, self.integers.iter().copied());
        Ok(CStep { kernel: "constant", ..CStep::default() })
    }

    fn emit_npz(&self, node: &mut NpzNode) -> Result<serde_json::Value, EmitError> {
        Ok(json!({ "values": node.array("values", &node.shape.dims(), &self.integers) }))
    }

    fn emit_tflite(&self, node: &mut TfliteNode) -> Result<TfliteValue, EmitError> {
        let element = element(self.format);
        let zero_point = zero_point(element, self.format.max());
        let stored = self.integers.iter().map(|q| q + zero_point).collect();
        let steps = steps(self.format.frac.into(), zero_point);
        let tensor = node.file.constant(node.name, &dims(node.shape), element, stored, steps);
        let (shape, format) = (node.shape, self.format);
        Ok(TfliteValue { tensor, shape, format, element, zero_point })
    }

    fn emit_network(&self, node: &mut NetworkNode) -> Result<NetworkValue, EmitError> {
        node.check_step(self.format.frac.into())?;
        let Shape { h, w, c } = node.shape;
        // Channels first.
        let pixels = h * w;
        let at = |i: usize| self.integers[i % pixels * c + i / pixels];
        let stored: Vec<i64> = (0..self.integers.len()).map(at).collect();
        let name = format!("{}_values", node.name);
        let value = node.file.constant(&name, &[1, c, h, w], stored, self.format, (0, &[]));
        let value = node.file.for_each_image(node.name, &value, &[c, h, w]);
        Ok(node.value(value, false))
    }
}
