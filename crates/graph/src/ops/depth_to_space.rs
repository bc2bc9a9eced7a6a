//! Channels to pixels and back, as views.

use crate::{
    error::ImportError,
    import::{
        onnx::attributes::Attributes,
        onnx::reader::{Reader, node_error},
        view::{Target, View},
    },
};
use fixedwise_codec::onnx;

/// An image, channels first, and the extent of the blocks.
fn image(
    reader: &Reader,
    node: &onnx::Node,
    attributes: &mut Attributes,
) -> Result<(View, [usize; 3], usize), ImportError> {
    let block = attributes.optional_int("blocksize")?;
    let block = block.and_then(|block| usize::try_from(block).ok()).filter(|&block| block > 0);
    let Some(block) = block else {
        return Err(node_error(node, "its attribute `blocksize` must be above zero"));
    };
    let view = reader.view(node, 0)?;
    match view.extents()[..] {
        [_, c, h, w] => Ok((view, [c.of_image, h.of_image, w.of_image], block)),
        _ => Err(node_error(node, "its input must be an image with 4 axes")),
    }
}

/// Divides the axes, changes their order, and joins them.
fn rearranged(
    reader: &mut Reader,
    node: &onnx::Node,
    view: &View,
    [divided, joined]: [&[usize]; 2],
    order: &[usize],
) -> Result<(), ImportError> {
    let targets = |extents: &[usize]| -> Vec<Target> {
        let known = extents.iter().map(|&extent| Target::Known(extent));
        std::iter::once(Target::Batch(1)).chain(known).collect()
    };
    let view = reader.reshaped(node, view, &targets(divided))?.transposed(order);
    let view = reader.reshaped(node, &view, &targets(joined))?;
    reader.set_view(node, view)
}

/// Source: ONNX `DepthToSpace`, opset 13.
pub(super) fn import(reader: &mut Reader, node: &onnx::Node) -> Result<(), ImportError> {
    let mut attributes = Attributes::new(node);
    let mode = attributes.string("mode", "DCR")?;
    let (view, [c, h, w], b) = image(reader, node, &mut attributes)?;
    let depth = c / b.saturating_mul(b).max(1);
    let (divided, order) = match mode.as_str() {
        "DCR" => ([b, b, depth, h, w], [0, 3, 4, 1, 5, 2]),
        "CRD" => ([depth, b, b, h, w], [0, 1, 4, 2, 5, 3]),
        _ => return Err(attributes.refuse("mode", &mode, "it must be DCR or CRD")),
    };
    attributes.finish()?;
    if depth == 0 || depth * b * b != c {
        return Err(node_error(node, &format!("its {c} channels are no blocks of {b}x{b}")));
    }
    rearranged(reader, node, &view, [&divided, &[depth, h * b, w * b]], &order)
}

/// Source: ONNX `SpaceToDepth`, opset 13.
pub(super) fn import_space_to_depth(
    reader: &mut Reader,
    node: &onnx::Node,
) -> Result<(), ImportError> {
    let mut attributes = Attributes::new(node);
    let mode = attributes.string("mode", "DCR")?;
    let (view, [c, h, w], b) = image(reader, node, &mut attributes)?;
    let order = match mode.as_str() {
        "DCR" => [0, 3, 5, 1, 2, 4],
        "CRD" => [0, 1, 3, 5, 2, 4],
        _ => return Err(attributes.refuse("mode", &mode, "it must be DCR or CRD")),
    };
    attributes.finish()?;
    let (rows, columns) = (h / b, w / b);
    if rows * b != h || columns * b != w {
        return Err(node_error(node, &format!("its {h}x{w} pixels are no blocks of {b}x{b}")));
    }
    let divided = [c, rows, b, columns, b];
    let joined = [c * b * b, rows, columns];
    rearranged(reader, node, &view, [&divided, &joined], &order)
}
