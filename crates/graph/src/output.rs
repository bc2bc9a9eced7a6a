//! A result of a network: its name, the node that computes it, and how the model's file has it.

use crate::{graph::NodeId, shape::Shape};

/// What an axis of a file's value is inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Axis {
    Batch,
    Row,
    Column,
    Channel,
}

/// The extent of `axis` in `shape`.
pub(crate) fn extent(shape: Shape, axis: Axis) -> usize {
    match axis {
        Axis::Batch => 1,
        Axis::Row => shape.h,
        Axis::Column => shape.w,
        Axis::Channel => shape.c,
    }
}

/// A result of a network.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// As the model's file calls it.
    pub name: String,
    /// The node whose value it is.
    pub node: NodeId,
    /// The axes that the file has it in.
    pub(crate) axes: Vec<Axis>,
}

impl Output {
    /// The value of a node, in the order `[h, w, c]`.
    pub fn new(name: impl Into<String>, node: NodeId) -> Self {
        let axes = vec![Axis::Batch, Axis::Row, Axis::Column, Axis::Channel];
        Self { name: name.into(), node, axes }
    }

    /// The extents of one image's value of that shape as the file has them, without the batch axis.
    pub fn extents(&self, shape: Shape) -> Vec<usize> {
        self.own_axes().map(|axis| extent(shape, axis)).collect()
    }

    /// Values of images, `[image, h, w, c]`, in the order in which the file has them.
    ///
    /// # Panics
    /// Where they are no whole images of that shape.
    pub fn in_order_of_file(&self, shape: Shape, values: &[f32]) -> Vec<f32> {
        assert!(values.len().is_multiple_of(shape.len()), "whole images");
        let places = self.places(shape);
        let of_image = |image: &[f32]| places.iter().map(|&i| image[i]).collect::<Vec<_>>();
        values.chunks_exact(shape.len()).flat_map(of_image).collect()
    }

    /// Where in `[h, w, c]` each element of an image is that the file has, in the order of the file.
    pub fn places(&self, shape: Shape) -> Vec<usize> {
        let stride = |axis: Axis| match axis {
            Axis::Batch => 0,
            Axis::Row => shape.w * shape.c,
            Axis::Column => shape.c,
            Axis::Channel => 1,
        };
        let mut places = vec![0];
        for axis in self.own_axes() {
            let along = |&place: &usize| {
                (0..extent(shape, axis)).map(move |i| place + i * stride(axis)).collect::<Vec<_>>()
            };
            places = places.iter().flat_map(along).collect();
        }
        places
    }

    /// What has one element for each place, in the same axes.
    #[must_use]
    pub fn without_channels(&self) -> Self {
        let axes = self.axes.iter().copied().filter(|&axis| axis != Axis::Channel).collect();
        Self { axes, ..self.clone() }
    }

    fn own_axes(&self) -> impl Iterator<Item = Axis> {
        self.axes.iter().copied().filter(|&axis| axis != Axis::Batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_told_in_the_order_of_the_file() {
        let shape = Shape::new(1, 2, 3);
        let values = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0].repeat(2);
        let mut output = Output::new("y", 7);
        assert_eq!(output.extents(shape), [1, 2, 3]);
        assert_eq!(output.in_order_of_file(shape, &values), values);
        output.axes = vec![Axis::Batch, Axis::Channel, Axis::Column];
        assert_eq!(output.extents(shape), [3, 2]);
        let turned = [0.0, 3.0, 1.0, 4.0, 2.0, 5.0].repeat(2);
        assert_eq!(output.in_order_of_file(shape, &values), turned);
    }
}
