//! The file under construction: tensors and operators.

use crate::emit::names::{Alphabet, Names};
use fixedwise_codec::{
    onnx::{ElementType, TensorData},
    tflite::{Model, Operator, Options, Quantization, Tensor},
};
use fixedwise_fixed::convert::{exp2, f64_to_f32};
use std::collections::BTreeMap;

/// What a file says of itself.
const DESCRIPTION: &str = "fixedwise export";

#[derive(Debug)]
pub(crate) struct File {
    names: Names,
    tensors: Vec<Tensor>,
    operators: Vec<Operator>,
    /// Constants by what they are, so that each is stored once.
    shared: BTreeMap<(Vec<usize>, Vec<i64>), usize>,
}

impl File {
    pub(crate) fn new() -> Self {
        let (names, shared) = (Names::new(Alphabet::Any), BTreeMap::new());
        Self { names, tensors: Vec::new(), operators: Vec::new(), shared }
    }

    /// A value that is computed, or fed.
    pub(crate) fn value(
        &mut self,
        name: &str,
        dims: &[usize],
        element: ElementType,
        steps: Quantization,
    ) -> usize {
        self.tensor(name, dims, element, Some(steps), None)
    }

    /// A constant.
    pub(crate) fn constant(
        &mut self,
        name: &str,
        dims: &[usize],
        element: ElementType,
        stored: Vec<i64>,
        steps: Quantization,
    ) -> usize {
        self.tensor(name, dims, element, Some(steps), Some(TensorData::I64(stored)))
    }

    /// Extents, axes or indices.
    pub(crate) fn numbers(&mut self, name: &str, dims: &[usize], numbers: Vec<i64>) -> usize {
        let key = (dims.to_vec(), numbers.clone());
        if let Some(&known) = self.shared.get(&key) {
            return known;
        }
        let data = Some(TensorData::I64(numbers));
        let tensor = self.tensor(name, dims, ElementType::I32, None, data);
        self.shared.insert(key, tensor);
        tensor
    }

    /// Whole numbers that are computed.
    pub(crate) fn indices(&mut self, name: &str, dims: &[usize]) -> usize {
        self.tensor(name, dims, ElementType::I32, None, None)
    }

    /// The extents of a value as a constant.
    pub(crate) fn extents(&mut self, name: &str, dims: &[usize]) -> usize {
        let extents = dims.iter().map(|&n| i64::try_from(n).unwrap_or(i64::MAX)).collect();
        self.numbers(&format!("{name}_shape"), &[dims.len()], extents)
    }

    fn tensor(
        &mut self,
        name: &str,
        dims: &[usize],
        element: ElementType,
        quantization: Option<Quantization>,
        data: Option<TensorData>,
    ) -> usize {
        let name = self.names.unique(name);
        let shape = dims.iter().copied().map(Some).collect();
        self.tensors.push(Tensor { name, shape, element, quantization, data });
        self.tensors.len() - 1
    }

    /// Adds an operator.
    pub(crate) fn operator(
        &mut self,
        name: &str,
        inputs: &[usize],
        output: usize,
        options: &[(&'static str, usize)],
    ) {
        let ints = options.iter().map(|&(name, x)| (name, i64::try_from(x).unwrap_or(i64::MAX)));
        self.operators.push(Operator {
            name: name.to_owned(),
            is_custom: false,
            inputs: inputs.iter().copied().map(Some).collect(),
            outputs: vec![output],
            options: Options { ints: ints.collect(), ..Options::default() },
        });
    }

    /// The tensor of a result: without the axes of a vector that have one element, under a name of its own.
    pub(crate) fn output(&mut self, tensor: usize, wanted: &str) -> usize {
        let Tensor { shape, element, quantization, name, .. } = self.tensors[tensor].clone();
        let [Some(1), Some(1), Some(1), Some(c)] = shape[..] else {
            if name != wanted {
                self.tensors[tensor].name = self.names.unique(wanted);
            }
            return tensor;
        };
        if name == wanted {
            self.tensors[tensor].name = self.names.unique(&format!("{wanted}_image"));
        }
        let extents = self.extents(wanted, &[1, c]);
        let to = self.tensor(wanted, &[1, c], element, quantization, None);
        wanted.clone_into(&mut self.tensors[to].name);
        self.operator("RESHAPE", &[tensor, extents], to, &[]);
        to
    }

    pub(crate) fn finish(self, inputs: Vec<usize>, outputs: Vec<usize>) -> Model {
        let (description, tensors, operators) =
            (DESCRIPTION.to_owned(), self.tensors, self.operators);
        Model { description, tensors, inputs, outputs, operators }
    }
}

/// Steps of `2^-frac`.
pub(crate) fn steps(frac: i32, zero_point: i64) -> Quantization {
    Quantization { scale: vec![f64_to_f32(exp2(-frac))], zero_point: vec![zero_point], axis: 0 }
}
