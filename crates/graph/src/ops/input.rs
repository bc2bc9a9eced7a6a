use crate::{
    emit::{
        c::node::{CNode, CStep},
        hls::types::{HlsNode, HlsTypes},
        npz::node::NpzNode,
        tflite::node::{TfliteNode, TfliteValue},
    },
    error::{EmitError, ImportError, LowerError},
    fixed_operator::{Constant, FixedOp, FixedOperator, FixedStep, Place, step},
    import::{
        axes::{channels_last, shape_of},
        builder::Value,
        keras::layer::{Layer, read_extent},
    },
    lower::context::LowerContext,
    operator::{Context, Edge, Factor, FloatStep, FormatRule, Operator},
    shape::Shape,
};
use fixedwise_kernels::Kernels;
use serde_json::json;
use std::ops::Range;

/// An input of the network, any shape.
///
/// Fixed point: raw pixels, rounded half to even to the plan's input format.
///
/// Source: ONNX graph input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Extents of one image.
    pub shape: Shape,
}

impl Operator for Input {
    fn name(&self) -> &'static str {
        "Input"
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Shape, String> {
        if inputs.is_empty() { Ok(self.shape) } else { Err("takes no input".to_owned()) }
    }

    fn prepare_float(&self, _: &Context, _: &'static Kernels) -> FloatStep {
        Box::new(|inputs, y, _| y.copy_from_slice(inputs[0]))
    }

    fn lower(&self, _: &LowerContext) -> Result<FixedOp, LowerError> {
        Ok(FixedInput.into())
    }

    fn format_rule(&self) -> FormatRule {
        FormatRule::Image
    }

    fn is_nonnegative(&self, inputs: bool) -> bool {
        inputs
    }

    fn edge(&self, _: usize) -> Edge {
        Edge::Main
    }

    fn factor(&self, _: usize, _: &[Shape], _: Shape) -> Factor {
        Factor::Refused
    }
}

/// The integers of an input; the executor quantizes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FixedInput;

impl FixedOperator for FixedInput {
    fn prepare(&self, _: &[Shape], _: Shape, _: &'static Kernels) -> FixedStep {
        step(|_, _, _| {})
    }

    fn name(&self) -> &'static str {
        "input"
    }

    fn place(&self) -> Place {
        Place::Apart
    }

    fn rows(&self, _: Range<usize>, _: &[Shape], _: Shape) -> Vec<Range<usize>> {
        Vec::new()
    }

    fn constants(&self) -> Vec<Constant> {
        Vec::new()
    }

    fn emit_c(&self, _: &mut CNode) -> Result<CStep, EmitError> {
        Ok(CStep::default())
    }

    fn emit_npz(&self, _: &mut NpzNode) -> Result<serde_json::Value, EmitError> {
        Ok(json!({}))
    }

    fn emit_tflite(&self, node: &mut TfliteNode) -> Result<TfliteValue, EmitError> {
        Ok(node.input())
    }

    fn emit_hls(&self, node: &HlsNode) -> Result<HlsTypes, EmitError> {
        let kinds = vec![node.result("AP_RND_CONV")];
        Ok(HlsTypes { note: "Raw pixels.".to_owned(), kinds, ..HlsTypes::default() })
    }
}

/// Source: Keras `InputLayer`.
pub(super) fn from_keras(layer: &mut Layer) -> Result<Value, ImportError> {
    layer.ignore(&["optional"]);
    for option in ["sparse", "ragged"] {
        layer.must_be(option, &false.into(), "only dense images are supported")?;
    }
    let wrong = "it must be [null, extents…] of one image: [null, rows, columns, channels], fixed";
    let keras2 = layer.take("batch_input_shape");
    let Some(option) = layer.take("batch_shape").or(keras2) else {
        return Err(layer.error("its option `batch_shape` is missing"));
    };
    let listed = option.as_array().map_or(&[][..], Vec::as_slice);
    let given = layer.builder.given.get(layer.name()).cloned();
    if let Some(given) = &given
        && given.len() != listed.len()
    {
        let help = format!("`--input-shape` gives {} axes", given.len());
        return Err(layer.refuse("batch_shape", option, &help));
    }
    let given = |i: usize| given.as_ref().map(|given| given[i]);
    let extent = |(i, value): (usize, &serde_json::Value)| match (value.is_null(), given(i)) {
        (true, given) => given,
        (false, given) => read_extent(value, 1).filter(|&n| given.is_none_or(|given| given == n)),
    };
    let extents: Option<Vec<usize>> = listed.iter().enumerate().skip(1).map(extent).collect();
    let axes = channels_last(listed.len());
    let (Some(mut extents), Some(axes)) = (extents, axes) else {
        let is_open = listed.iter().skip(1).any(serde_json::Value::is_null);
        let help = match (is_open, given(0)) {
            (true, None) => "give the open extents, for example `--input-shape 1x224x224x3`",
            (_, Some(_)) => "`--input-shape` gives other extents",
            _ => wrong,
        };
        return Err(layer.refuse("batch_shape", option, help));
    };
    extents.insert(0, 1);
    let elements = extents.iter().try_fold(1_usize, |n, &extent| n.checked_mul(extent));
    if elements.is_none_or(|n| n > 1 << 28) {
        return Err(layer.refuse("batch_shape", option, "it has more than 2^28 elements"));
    }
    if !layer.is_source() {
        return Err(layer.error("is not the first layer"));
    }
    let shape = shape_of(&axes, &extents);
    let node = layer.push(Input { shape }, vec![])?;
    Ok(Value { node, axes })
}
