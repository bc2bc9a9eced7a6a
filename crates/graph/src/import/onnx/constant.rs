//! Tensors that are known before any image: the initializers of a file, and what follows from them and
//! from the extents of values.

use fixedwise_codec::onnx::{ElementType, Tensor, TensorData};
use fixedwise_fixed::convert::i64_to_f64;
use std::cmp::Ordering;

/// An integer, or one times the number of images in a batch that the file leaves open.
///
/// Where arithmetic leaves that form, it is the integer that a batch of one image gives: a network
/// computes on one image at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Int {
    pub(crate) factor: i64,
    /// How often the number of images is a factor.
    pub(crate) batches: u8,
}

impl From<i64> for Int {
    fn from(factor: i64) -> Self {
        Self { factor, batches: 0 }
    }
}

impl Int {
    /// The number of images.
    pub(crate) const BATCH: Self = Self { factor: 1, batches: 1 };

    /// For a batch of one image.
    pub(crate) fn of_one_image(self) -> i64 {
        self.factor
    }

    pub(crate) fn is_known(self) -> bool {
        self.batches == 0 || self.factor == 0
    }

    pub(crate) fn add(self, other: Self) -> Option<Self> {
        let factor = self.factor.checked_add(other.factor)?;
        let batches = match (self.factor, other.factor) {
            (_, 0) => self.batches,
            (0, _) => other.batches,
            _ if self.batches == other.batches => self.batches,
            _ => 0,
        };
        Some(Self { factor, batches })
    }

    pub(crate) fn negate(self) -> Option<Self> {
        Some(Self { factor: self.factor.checked_neg()?, ..self })
    }

    pub(crate) fn multiply(self, other: Self) -> Option<Self> {
        let factor = self.factor.checked_mul(other.factor)?;
        Some(Self { factor, batches: self.batches.saturating_add(other.batches) })
    }

    /// The quotient without its fraction; `None` for a division by zero.
    pub(crate) fn divide(self, other: Self) -> Option<Self> {
        let factor = self.factor.checked_div(other.factor)?;
        let is_exact = other.is_known() || self.factor % other.factor == 0;
        let batches = self.batches.checked_sub(other.batches).filter(|_| is_exact).unwrap_or(0);
        // Without its fraction, a multiple of an open number is none any more.
        let batches = if self.factor % other.factor == 0 { batches } else { 0 };
        Some(Self { factor, batches })
    }

    /// Which one is larger for every number of images; otherwise for one.
    pub(crate) fn compare(self, other: Self) -> Ordering {
        self.factor.cmp(&other.factor)
    }

    /// Whether both are equal for every number of images.
    pub(crate) fn equals(self, other: Self) -> bool {
        self.factor == other.factor && (self.batches == other.batches || self.factor == 0)
    }
}

/// The elements of a constant.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Elements {
    Floats(Vec<f32>),
    Ints(Vec<Int>),
}

impl Elements {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Floats(x) => x.len(),
            Self::Ints(x) => x.len(),
        }
    }

    /// The elements at those places.
    pub(crate) fn pick(&self, sources: impl Iterator<Item = usize>) -> Self {
        match self {
            Self::Floats(x) => Self::Floats(sources.map(|i| x[i]).collect()),
            Self::Ints(x) => Self::Ints(sources.map(|i| x[i]).collect()),
        }
    }
}

/// A tensor that is known before any image.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Constant {
    pub(crate) dims: Vec<usize>,
    pub(crate) elements: Elements,
    /// The type of the elements in the file.
    pub(crate) element: ElementType,
}

impl From<&Tensor> for Constant {
    fn from(tensor: &Tensor) -> Self {
        let elements = match &tensor.data {
            TensorData::F32(x) => Elements::Floats(x.clone()),
            TensorData::I64(x) => Elements::Ints(x.iter().map(|&x| x.into()).collect()),
        };
        Self { dims: tensor.dims.clone(), elements, element: tensor.element }
    }
}

impl Constant {
    pub(crate) fn floats(dims: Vec<usize>, data: Vec<f32>) -> Self {
        Self { dims, elements: Elements::Floats(data), element: ElementType::F32 }
    }

    pub(crate) fn ints(dims: Vec<usize>, data: Vec<Int>) -> Self {
        Self { dims, elements: Elements::Ints(data), element: ElementType::I64 }
    }

    /// The same elements with other extents.
    pub(crate) fn with_dims(&self, dims: Vec<usize>) -> Self {
        Self { dims, ..self.clone() }
    }

    /// The elements at those places, with those extents.
    pub(crate) fn pick(&self, dims: Vec<usize>, sources: impl Iterator<Item = usize>) -> Self {
        Self { dims, elements: self.elements.pick(sources), element: self.element }
    }

    /// Its elements as numbers, integers as for a batch of one image.
    pub(crate) fn numbers(&self) -> Vec<f64> {
        match &self.elements {
            Elements::Floats(x) => x.iter().map(|&x| f64::from(x)).collect(),
            Elements::Ints(x) => x.iter().map(|x| i64_to_f64(x.of_one_image())).collect(),
        }
    }
}

/// Whether integers of that type can have this value.
pub(crate) fn fits(element: ElementType, x: i64) -> bool {
    let (least, most) = range(element);
    (least..=most).contains(&x)
}

/// The least and the largest integer of a type.
pub(crate) fn range(element: ElementType) -> (i64, i64) {
    match element {
        ElementType::Bool => (0, 1),
        ElementType::U8 => (0, 0xff),
        ElementType::I8 => (-0x80, 0x7f),
        ElementType::U16 => (0, 0xffff),
        ElementType::I16 => (-0x8000, 0x7fff),
        ElementType::U32 => (0, 0xffff_ffff),
        ElementType::I32 => (i32::MIN.into(), i32::MAX.into()),
        ElementType::U64 => (0, i64::MAX),
        _ => (i64::MIN, i64::MAX),
    }
}

/// The bits of integers that weights and values are rounded to; none of wider types, which hold biases and indices.
pub(crate) fn rounded_bits(element: ElementType) -> Option<u8> {
    match element {
        ElementType::U4 | ElementType::I4 => Some(4),
        ElementType::U8 | ElementType::I8 => Some(8),
        ElementType::U16 | ElementType::I16 => Some(16),
        _ => None,
    }
}

/// Number of elements of a tensor with those extents, where memory holds them.
pub(crate) fn count(dims: &[usize]) -> Option<usize> {
    /// More elements than any weight tensor of an embedded network.
    const MAX_ELEMENTS: usize = 1 << 26;
    // Where one extent is 0, the others still count the work of who goes along them.
    let of_others = dims.iter().try_fold(1_usize, |n, &d| n.checked_mul(d.max(1)));
    of_others.filter(|&n| n <= MAX_ELEMENTS).map(|_| dims.iter().product())
}

/// The distance between two elements along each axis.
pub(crate) fn strides(dims: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; dims.len()];
    for axis in (0..dims.len().saturating_sub(1)).rev() {
        strides[axis] = strides[axis + 1] * dims[axis + 1];
    }
    strides
}

/// For each element of a tensor of extents `dims`, in order, its place in another one: the sum of its
/// index along each axis times that axis' stride there, from `start`.
pub(crate) fn walk(
    dims: &[usize],
    strides: &[usize],
    start: usize,
) -> impl Iterator<Item = usize> + use<> {
    let (dims, strides) = (dims.to_vec(), strides.to_vec());
    let n = if dims.contains(&0) { 0 } else { dims.iter().product() };
    let mut index = vec![0; dims.len()];
    let mut place = start;
    (0..n).map(move |_| {
        let here = place;
        for axis in (0..dims.len()).rev() {
            index[axis] += 1;
            place += strides[axis];
            if index[axis] < dims[axis] {
                break;
            }
            place -= strides[axis] * dims[axis];
            index[axis] = 0;
        }
        here
    })
}

/// The extents of two tensors broadcast against each other.
pub(crate) fn broadcast(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let extent = |dims: &[usize], axis: usize| {
        (axis + dims.len()).checked_sub(rank).map_or(1, |axis| dims[axis])
    };
    (0..rank)
        .map(|axis| match (extent(a, axis), extent(b, axis)) {
            (1, n) | (n, 1) => Some(n),
            (n, m) => (n == m).then_some(n),
        })
        .collect()
}

/// For each element of the extents `to`, its place in a tensor of extents `from` that is broadcast.
pub(crate) fn broadcast_places(
    from: &[usize],
    to: &[usize],
) -> impl Iterator<Item = usize> + use<> {
    let own = strides(from);
    let missing = to.len() - from.len();
    let strides: Vec<usize> = (0..to.len())
        .map(|axis| match axis.checked_sub(missing) {
            Some(axis) if from[axis] != 1 => own[axis],
            _ => 0,
        })
        .collect();
    walk(to, &strides, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_multiple_of_the_batch_stays_one_where_it_can() {
        let n = |factor| Int { factor, batches: 1 };
        let k = Int::from;
        let cases = [
            (n(3).multiply(k(4)), Some(n(12))),
            (n(12).divide(k(4)), Some(n(3))),
            (n(12).divide(n(4)), Some(k(3))),
            (n(12).divide(k(5)), Some(k(2))),
            (n(12).divide(n(5)), Some(k(2))),
            (k(7).divide(k(-2)), Some(k(-3))),
            (k(7).divide(k(0)), None),
            (k(i64::MIN).divide(k(-1)), None),
            (n(2).add(n(3)), Some(n(5))),
            (n(2).add(k(0)), Some(n(2))),
            (k(0).add(n(2)), Some(n(2))),
            (n(2).add(k(3)), Some(k(5))),
            (k(i64::MAX).add(k(1)), None),
            (k(i64::MAX).multiply(k(2)), None),
            (k(i64::MIN).negate(), None),
            (n(2).negate(), Some(n(-2))),
        ];
        for (i, (found, expected)) in cases.into_iter().enumerate() {
            assert_eq!(found, expected, "case {i}");
        }
        assert!(!n(1).equals(k(1)) && n(0).equals(k(0)) && n(2).equals(n(2)));
    }

    #[test]
    fn places_follow_the_rules_of_broadcasting() {
        let places = |from: &[usize], to: &[usize]| broadcast_places(from, to).collect::<Vec<_>>();
        assert_eq!(broadcast(&[2, 1], &[3]), Some(vec![2, 3]));
        assert_eq!(broadcast(&[], &[2, 0]), Some(vec![2, 0]));
        assert_eq!(broadcast(&[2], &[3]), None);
        assert_eq!(places(&[2, 1], &[2, 3]), [0, 0, 0, 1, 1, 1]);
        assert_eq!(places(&[3], &[2, 3]), [0, 1, 2, 0, 1, 2]);
        assert_eq!(places(&[], &[2]), [0, 0]);
        assert_eq!(walk(&[2, 2], &[1, 2], 0).collect::<Vec<_>>(), [0, 2, 1, 3]);
        assert_eq!(walk(&[0, 2], &[2, 1], 0).count(), 0);
        assert_eq!(walk(&[], &[], 5).collect::<Vec<_>>(), [5]);
        assert_eq!(count(&[usize::MAX, 2]), None);
        assert_eq!(count(&[usize::MAX, 0]), None);
        assert_eq!(count(&[7, 0]), Some(0));
    }
}
