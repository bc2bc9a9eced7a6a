//! Convolutions and dense layers: which kernel prints a layer.

mod coded;
mod filters;
mod function;
mod general;
mod layer;
mod m4;
mod m55;
mod printed;
mod small;
mod three;
mod weights;

pub(crate) use layer::{Added, ConvLayer};

use printed::Printed;

use super::{
    node::{CNode, CStep},
    options::{CodeStyle, Core},
    source::Source,
};
use crate::error::EmitError;

/// The kernels of a core, best first; what none of them takes is left to the general one.
fn kernels(core: Core, style: CodeStyle) -> &'static [(&'static str, Kernel)] {
    match core {
        _ if style == CodeStyle::Small => &[("small", small::emit)],
        Core::Portable => &[("filters", filters::emit)],
        Core::Dsp => &[("dsp", m4::emit), ("filters", filters::emit)],
        Core::Mve => &[("mve", m55::emit), ("dsp", m4::emit), ("filters", filters::emit)],
    }
}

/// Puts what a layer needs into the file; `None` where it cannot do the layer.
type Kernel = fn(&ConvLayer, &mut Source) -> Option<Printed>;

/// Prints a convolution with the first kernel of the core that takes it.
pub(crate) fn emit_conv(layer: &ConvLayer, node: &mut CNode) -> Result<CStep, EmitError> {
    node.check_extents(&[layer.input, layer.output], layer.window)?;
    node.source.access(layer.x);
    node.source.access(layer.y);
    if let Some(added) = layer.added {
        node.source.access(added.storage);
    }
    for (kernel, emit) in kernels(node.options.core, node.options.style) {
        if let Some(Printed { call, scratch_bytes, weight_code }) = emit(layer, node.source) {
            return Ok(CStep { scratch_bytes, weight_code, ..CStep::call(kernel, call) });
        }
        // What it said before it found that it cannot do the layer.
        drop(node.source.take_work());
    }
    Ok(CStep::call("general", general::emit(layer, node.source)))
}
