//! The axes of a file's values, by name: inside, values lie in the order `[h, w, c]` whatever the file
//! transposes.

use crate::shape::Shape;

pub(crate) use crate::output::{Axis, extent};

/// Axes of an ONNX value of that rank, channels first.
pub(crate) fn channels_first(rank: usize) -> Option<Vec<Axis>> {
    let axes: &[Axis] = match rank {
        1 => &[Axis::Batch],
        2 => &[Axis::Batch, Axis::Channel],
        3 => &[Axis::Batch, Axis::Channel, Axis::Column],
        4 => &[Axis::Batch, Axis::Channel, Axis::Row, Axis::Column],
        _ => return None,
    };
    Some(axes.to_vec())
}

/// The index of an axis that may count from the end.
pub(crate) fn axis_index(axis: i64, rank: usize) -> Option<usize> {
    let rank = i64::try_from(rank).ok()?;
    let axis = if axis < 0 { axis.checked_add(rank)? } else { axis };
    usize::try_from(axis).ok().filter(|_| axis < rank)
}

/// The shape with those extents along those axes.
pub(crate) fn shape_of(axes: &[Axis], extents: &[usize]) -> Shape {
    let mut shape = Shape::new(1, 1, 1);
    for (axis, &extent) in axes.iter().zip(extents) {
        match axis {
            Axis::Batch => {}
            Axis::Row => shape.h = extent,
            Axis::Column => shape.w = extent,
            Axis::Channel => shape.c = extent,
        }
    }
    shape
}

/// Axes of a Keras value of that rank, channels last.
pub(crate) fn channels_last(rank: usize) -> Option<Vec<Axis>> {
    let axes: &[Axis] = match rank {
        2 => &[Axis::Batch, Axis::Channel],
        3 => &[Axis::Batch, Axis::Column, Axis::Channel],
        4 => &[Axis::Batch, Axis::Row, Axis::Column, Axis::Channel],
        _ => return None,
    };
    Some(axes.to_vec())
}
