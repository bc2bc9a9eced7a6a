//! Nodes whose inputs are all constants, computed while the file is read: shape arithmetic and weights
//! that an exporter left in pieces. One row an operator; what it computes is in the file of its kind.

mod arithmetic;
mod create;
mod gather;
mod moves;
mod normalization;
mod quantization;
mod reduce;

use super::{
    attributes::Attributes,
    constant::{Constant, Elements, Int, count},
    indices::axis_of,
    reader::node_error,
};
use crate::error::ImportError;
use fixedwise_codec::onnx;

/// Computes the outputs of one node.
type Compute = fn(&mut Fold) -> Result<Vec<Constant>, ImportError>;

/// ONNX operators on constants, in alphabetical order.
const FOLDS: &[(&str, Compute)] = &[
    ("Abs", arithmetic::abs),
    ("Add", arithmetic::add),
    ("And", arithmetic::and),
    ("ArgMax", reduce::arg_max),
    ("ArgMin", reduce::arg_min),
    ("BatchNormalization", normalization::batch),
    ("Cast", arithmetic::cast),
    ("CastLike", arithmetic::cast_like),
    ("Ceil", arithmetic::ceil),
    ("Clip", arithmetic::clip),
    ("Concat", moves::concat),
    ("Constant", create::constant),
    ("ConstantOfShape", create::constant_of_shape),
    ("Cos", arithmetic::cos),
    ("CumSum", reduce::cum_sum),
    ("DequantizeLinear", quantization::dequantize),
    ("Div", arithmetic::div),
    ("Dropout", moves::identity),
    ("Equal", arithmetic::equal),
    ("Exp", arithmetic::exp),
    ("Expand", moves::expand),
    ("EyeLike", create::eye_like),
    ("Flatten", moves::flatten),
    ("Floor", arithmetic::floor),
    ("Gather", gather::gather),
    ("GatherElements", gather::gather_elements),
    ("GatherND", gather::gather_nd),
    ("Greater", arithmetic::greater),
    ("GreaterOrEqual", arithmetic::greater_or_equal),
    ("Identity", moves::identity),
    ("IsInf", arithmetic::is_inf),
    ("IsNaN", arithmetic::is_nan),
    ("Less", arithmetic::less),
    ("LessOrEqual", arithmetic::less_or_equal),
    ("Log", arithmetic::log),
    ("MatMul", reduce::mat_mul),
    ("Max", arithmetic::max),
    ("Mean", arithmetic::mean),
    ("Min", arithmetic::min),
    ("Mod", arithmetic::modulo),
    ("Mul", arithmetic::mul),
    ("Neg", arithmetic::neg),
    ("NonZero", create::non_zero),
    ("Not", arithmetic::not),
    ("OneHot", create::one_hot),
    ("Or", arithmetic::or),
    ("Pad", moves::pad),
    ("Pow", arithmetic::pow),
    ("QuantizeLinear", quantization::quantize),
    ("Range", create::range),
    ("Reciprocal", arithmetic::reciprocal),
    ("ReduceL1", reduce::l1),
    ("ReduceL2", reduce::l2),
    ("ReduceMax", reduce::max),
    ("ReduceMean", reduce::mean),
    ("ReduceMin", reduce::min),
    ("ReduceProd", reduce::product),
    ("ReduceSum", reduce::sum),
    ("ReduceSumSquare", reduce::sum_square),
    ("Relu", arithmetic::relu),
    ("Reshape", moves::reshape),
    ("Round", arithmetic::round),
    ("ScatterElements", gather::scatter_elements),
    ("ScatterND", gather::scatter_nd),
    ("Shape", create::shape),
    ("Sigmoid", arithmetic::sigmoid),
    ("Sign", arithmetic::sign),
    ("Sin", arithmetic::sin),
    ("Size", create::size),
    ("Slice", moves::slice),
    ("Split", moves::split),
    ("Sqrt", arithmetic::sqrt),
    ("Squeeze", moves::squeeze),
    ("Sub", arithmetic::sub),
    ("Sum", arithmetic::sum),
    ("Tanh", arithmetic::tanh),
    ("Tile", moves::tile),
    ("Transpose", moves::transpose),
    ("Trilu", create::trilu),
    ("Unsqueeze", moves::unsqueeze),
    ("Where", moves::choose),
    ("Xor", arithmetic::xor),
];

fn find(op_type: &str) -> Option<Compute> {
    let found = FOLDS.binary_search_by_key(&op_type, |(name, _)| name).ok()?;
    Some(FOLDS[found].1)
}

/// Whether nodes of that operator are computed where their inputs are constants.
pub(super) fn folds(op_type: &str) -> bool {
    find(op_type).is_some()
}

/// The outputs of a node whose inputs are all constants, of at most `room` elements each; none where its operator is
/// not one of those that are computed.
pub(super) fn fold(
    node: &onnx::Node,
    inputs: &[Option<&Constant>],
    room: usize,
) -> Option<Result<Vec<Constant>, ImportError>> {
    let compute = find(&node.op_type)?;
    let mut fold = Fold { node, inputs, attributes: Attributes::new(node), room };
    let is_huge = |input: &&Constant| input.elements.len() == 0 && count(&input.dims).is_none();
    if let Some(huge) = inputs.iter().flatten().copied().find(is_huge) {
        return Some(Err(fold.error(format!("its input of shape {:?} is too large", huge.dims))));
    }
    Some(compute(&mut fold).and_then(|outputs| {
        fold.attributes.finish()?;
        Ok(outputs)
    }))
}

/// What `Shape` and `Size` give for a computed value of those extents.
pub(super) fn of_extents(
    node: &onnx::Node,
    attributes: &mut Attributes,
    dims: &[Int],
) -> Result<Constant, ImportError> {
    if node.op_type == "Shape" {
        return create::shape_of(node, attributes, dims);
    }
    let size = dims.iter().try_fold(Int::from(1), |n, &d| n.multiply(d));
    let size = size.ok_or_else(|| node_error(node, "its input is too large"))?;
    Ok(Constant::ints(vec![], vec![size]))
}

/// One node, its attributes and its inputs.
struct Fold<'a> {
    node: &'a onnx::Node,
    inputs: &'a [Option<&'a Constant>],
    attributes: Attributes<'a>,
    /// Elements of a result, at most.
    room: usize,
}

impl<'a> Fold<'a> {
    fn error(&self, problem: impl AsRef<str>) -> ImportError {
        node_error(self.node, problem.as_ref())
    }

    /// An input, where it is given.
    fn optional(&self, position: usize) -> Option<&'a Constant> {
        self.inputs.get(position).copied().flatten()
    }

    fn input(&self, position: usize) -> Result<&'a Constant, ImportError> {
        self.optional(position)
            .ok_or_else(|| self.error(format!("its input {position} is missing")))
    }

    /// An input of integers, as for a batch of one image.
    fn ints(&self, position: usize) -> Result<Vec<i64>, ImportError> {
        match &self.input(position)?.elements {
            Elements::Ints(x) => Ok(x.iter().map(|x| x.of_one_image()).collect()),
            Elements::Floats(_) => {
                Err(self.error(format!("its input {position} must contain integers")))
            }
        }
    }

    /// An input of one integer.
    fn int(&self, position: usize) -> Result<i64, ImportError> {
        match self.ints(position)?.as_slice() {
            [x] => Ok(*x),
            _ => Err(self.error(format!("its input {position} must be one integer"))),
        }
    }

    /// A list that newer versions of an operator take as an input, older ones as an attribute.
    fn ints_of(&mut self, name: &str, position: usize) -> Result<Option<Vec<i64>>, ImportError> {
        match self.attributes.optional_ints(name)? {
            Some(list) => Ok(Some(list)),
            None if self.optional(position).is_some() => self.ints(position).map(Some),
            None => Ok(None),
        }
    }

    /// Extents that are given as integers.
    fn extents(&self, position: usize) -> Result<Vec<usize>, ImportError> {
        let list = self.ints(position)?;
        let extents: Option<Vec<usize>> = list.iter().map(|&d| usize::try_from(d).ok()).collect();
        extents.ok_or_else(|| self.error(format!("its shape {list:?} has a negative size")))
    }

    /// Refuses a result that memory would not hold; gives its number of elements.
    fn check_size(&self, dims: &[usize]) -> Result<usize, ImportError> {
        count(dims).filter(|&n| n <= self.room).ok_or_else(|| {
            self.error(format!("its result of shape {dims:?} is too large for a constant"))
        })
    }

    /// The index of an axis that may count from the end.
    fn axis(&self, axis: i64, rank: usize) -> Result<usize, ImportError> {
        axis_of(axis, rank).map_err(|problem| self.error(problem))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order() {
        assert!(FOLDS.is_sorted_by(|(a, _), (b, _)| a < b));
    }
}
