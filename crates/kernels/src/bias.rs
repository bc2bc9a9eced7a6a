//! Biases that may depend on which taps are inside of the image.

/// What is added to every sum: one value for each class and output channel.
///
/// A layer into which a shift of its input was folded needs another bias where the zero padding
/// hides some of the taps. Rows and columns of the output fall into classes, and
/// `values[class][co]` belongs to `class = row_class[oh] * n_column_classes + column_class[ow]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Bias<T> {
    /// The class of every output row.
    pub row_class: Vec<u16>,
    /// The class of every output column.
    pub column_class: Vec<u16>,
    /// How many classes of columns there are.
    pub n_column_classes: usize,
    /// `[class][co]`.
    pub values: Vec<T>,
}

/// The bias of integers, at the accumulator's scale.
pub type BorderBias = Bias<i64>;
/// The bias of floats.
pub type FloatBias = Bias<f32>;

impl<T> Bias<T> {
    /// The same `bias`, one value an output channel, at all of the `out_h` by `out_w` pixels.
    pub fn uniform(bias: Vec<T>, out_h: usize, out_w: usize) -> Self {
        Bias {
            row_class: vec![0; out_h],
            column_class: vec![0; out_w],
            n_column_classes: 1,
            values: bias,
        }
    }

    /// The class of output [oh, ow].
    #[inline]
    pub fn class(&self, oh: usize, ow: usize) -> usize {
        usize::from(self.row_class[oh]) * self.n_column_classes + usize::from(self.column_class[ow])
    }

    /// The class of every output pixel.
    pub(crate) fn classes(&self) -> Vec<u32> {
        let columns = 0..self.column_class.len();
        (0..self.row_class.len())
            .flat_map(|oh| columns.clone().map(move |ow| self.class(oh, ow) as u32))
            .collect()
    }

    /// Checks the lengths against an output of [h, w, c].
    pub(crate) fn check(&self, output: [usize; 3]) {
        assert!(
            self.row_class.len() == output[0] && self.column_class.len() == output[1],
            "the bias classes do not have the extents of the output"
        );
        assert!(
            self.column_class.iter().all(|&class| usize::from(class) < self.n_column_classes),
            "a column class is out of range"
        );
        let rows = self.row_class.iter().map(|&class| usize::from(class) + 1).max().unwrap_or(0);
        assert!(
            self.values.len().is_multiple_of(output[2])
                && self.values.len() >= rows * self.n_column_classes * output[2],
            "a bias value is missing"
        );
    }
}
