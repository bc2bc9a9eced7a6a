//! The integer network on NumPy arrays.

use crate::{arrays::Images, errors::of_library};
use fixedwise::{ExportOptions, InputShape, IntegerNetwork, Interface, Preprocess};
use numpy::{PyArray1, PyArrayDyn, PyArrayMethods as _};
use pyo3::{exceptions::PyValueError, prelude::*};
use std::path::PathBuf;

/// An integer network that runs.
#[pyclass(frozen, module = "fixedwise._fixedwise")]
pub(crate) struct Network(IntegerNetwork);

/// An input: its name, the extents `[h, w, c]` of one image, and whether it takes `uint8`.
type Input = (String, [usize; 3], bool);
/// An output: its name, its extents, and `bits`, `frac` and signedness of its integers.
type Output = (String, Vec<usize>, (u8, i8, bool));

#[pymethods]
impl Network {
    /// The network of a model and a plan, from their files.
    #[new]
    #[pyo3(signature = (model, plan, preprocess=None, architecture=None, input_shapes=Vec::new(), outputs=Vec::new()))]
    fn new(
        py: Python,
        model: PathBuf,
        plan: PathBuf,
        preprocess: Option<&str>,
        architecture: Option<PathBuf>,
        input_shapes: Vec<String>,
        outputs: Vec<String>,
    ) -> PyResult<Self> {
        let preprocess = preprocess.map(str::parse::<Preprocess>).transpose();
        let preprocess = preprocess.map_err(|error| of_library(py, error.into()))?;
        let shapes = input_shapes.iter().map(|shape| shape.parse::<InputShape>());
        let input_shapes = shapes
            .collect::<Result<_, _>>()
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        let interface = Interface { input_shapes, outputs };
        let options =
            ExportOptions { preprocess, architecture, interface, ..ExportOptions::default() };
        let opened = py.detach(|| IntegerNetwork::open(&model, &plan, &options));
        opened.map(Self).map_err(|error| of_library(py, error))
    }

    /// Names, extents `[h, w, c]` of one image and whether pixels are `uint8`, input by input.
    #[getter]
    fn inputs(&self) -> Vec<Input> {
        self.0.inputs()
    }

    /// Names, extents of one image's and `bits`, `frac` and signedness, output by output.
    #[getter]
    fn outputs(&self) -> Vec<Output> {
        let outputs = self.0.outputs().into_iter();
        let format = |format: fixedwise::Format| {
            (format.bits, format.frac, format.range != fixedwise::Range::Unsigned)
        };
        outputs.map(|(name, extents, of)| (name, extents, format(of))).collect()
    }

    /// The integers of each output on images, `int32`.
    #[pyo3(signature = (images, threads=None))]
    fn run<'py>(
        &self,
        py: Python<'py>,
        images: Images,
        threads: Option<usize>,
    ) -> PyResult<Vec<Bound<'py, PyArrayDyn<i32>>>> {
        let source = images.source()?;
        let outputs = py.detach(|| self.0.run(&source, threads));
        let outputs = outputs.map_err(|error| of_library(py, error))?;
        let array = |output: fixedwise::Integers| {
            PyArray1::from_vec(py, output.values).reshape(output.shape)
        };
        outputs.into_iter().map(array).collect()
    }
}
