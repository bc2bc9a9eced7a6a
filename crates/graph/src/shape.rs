//! Extents of a value, and the functions of one element that are fused into what produces it.

/// Extents of one image; a vector is `1 x 1 x c`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Rows.
    pub h: usize,
    /// Columns.
    pub w: usize,
    /// Channels.
    pub c: usize,
}

impl Shape {
    /// Rows, columns, channels.
    pub const fn new(h: usize, w: usize, c: usize) -> Self {
        Self { h, w, c }
    }

    /// A vector of `c` elements.
    pub const fn vector(c: usize) -> Self {
        Self { h: 1, w: 1, c }
    }

    /// Elements of one image.
    pub const fn len(self) -> usize {
        self.h * self.w * self.c
    }

    /// Whether an image has no element.
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The element that goes with the one at index `at` of a value of extents `output`: along axes where there is one
    /// alone, it goes with all.
    pub(crate) const fn element_of(self, output: Self, at: usize) -> usize {
        let (pixel, c) = (at / output.c, at % output.c);
        let (y, x) = (pixel / output.w, pixel % output.w);
        let [y, x, c] = [
            if self.h == 1 { 0 } else { y },
            if self.w == 1 { 0 } else { x },
            if self.c == 1 { 0 } else { c },
        ];
        (y * self.w + x) * self.c + c
    }

    /// `[h, w, c]`.
    pub const fn dims(self) -> [usize; 3] {
        [self.h, self.w, self.c]
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.h == 1 && self.w == 1 {
            write!(f, "{}", self.c)
        } else {
            write!(f, "{}x{}x{}", self.h, self.w, self.c)
        }
    }
}

/// A function of one element, fused into the node that produces it.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub enum Activation {
    /// `y = x`.
    #[default]
    None,
    /// `y = max(x, 0)`.
    Relu,
    /// `y = min(max(x, min), max)`; either bound may be infinite.
    Clip {
        /// Lower bound.
        min: f32,
        /// Upper bound.
        max: f32,
    },
    /// `y = x` where `x >= 0`, else `alpha * x`.
    LeakyRelu {
        /// Slope below zero.
        alpha: f32,
    },
}

impl Activation {
    /// The activation's value at `x`.
    #[inline]
    pub fn apply(self, x: f32) -> f32 {
        match self {
            Self::None => x,
            Self::Relu => x.max(0.0),
            Self::Clip { min, max } => x.max(min).min(max),
            Self::LeakyRelu { alpha } => {
                if x >= 0.0 {
                    x
                } else {
                    alpha * x
                }
            }
        }
    }

    /// The activation of each of `values`, in place.
    pub fn apply_all(self, values: &mut [f32]) {
        // A loop for each kind, or every element would ask for the kind again.
        match self {
            Self::None => {}
            Self::Relu => map(values, |x| Self::Relu.apply(x)),
            Self::Clip { min, max } => map(values, |x| Self::Clip { min, max }.apply(x)),
            Self::LeakyRelu { alpha } => map(values, |x| Self::LeakyRelu { alpha }.apply(x)),
        }
    }

    /// Whether a factor above zero of `x` is one of `y`.
    pub fn is_homogeneous(self) -> bool {
        match self {
            Self::None | Self::Relu | Self::LeakyRelu { .. } => true,
            Self::Clip { .. } => false,
        }
    }

    /// Whether no result is negative.
    pub fn is_nonnegative(self) -> bool {
        match self {
            Self::Relu => true,
            Self::Clip { min, .. } => min >= 0.0,
            Self::None | Self::LeakyRelu { .. } => false,
        }
    }
}

fn map(values: &mut [f32], function: impl Fn(f32) -> f32) {
    for x in values {
        *x = function(*x);
    }
}
