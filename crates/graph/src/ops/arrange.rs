//! A view as a value: which operator makes it.

use super::{IndexMap, Reshape};
use crate::{
    error::ImportError,
    import::{
        axes::Axis,
        builder::{Builder, Value},
        view::{Layout, View},
    },
    operator::Op,
};

/// The operator that makes a value of elements of another one.
pub(crate) fn moved(layout: &Layout) -> Op {
    let is_plain = |runs: &[Vec<_>; 3]| {
        layout.shape.h * layout.shape.w == 1 || runs.iter().all(|runs| runs.len() <= 1)
    };
    if let Some(from) = layout.permutation().filter(is_plain) {
        return Reshape { shape: layout.shape, from }.into();
    }
    let [rows, columns, channels] = layout.tables();
    IndexMap { rows, columns, channels }.into()
}

/// A view of a value of a Keras file as a value with those axes.
pub(super) fn value_of(
    builder: &mut Builder,
    name: &str,
    view: &View,
    axes: Vec<Axis>,
) -> Result<Value, ImportError> {
    let layout = view
        .layout(builder.shape(view.node), &axes)
        .map_err(|problem| ImportError::Interface(format!("layer `{name}`: {problem}")))?;
    if layout.is_in_place() {
        return Ok(Value { node: view.node, axes });
    }
    let node = builder.push(name, moved(&layout), vec![view.node])?;
    Ok(Value { node, axes })
}
