//! NumPy arrays as images of a run, without a copy.
//!
//! The only file outside `kernels` with unsafe code: the numbers of an array are read by threads that know nothing of
//! Python, as long as the array lives.
#![allow(
    unsafe_code,
    reason = "a slice of an array's memory that outlives the lock of the interpreter"
)]

use fixedwise::{Arrays, Buffer, DataSource, Labels, Pixels, Values};
use numpy::{Element, PyArrayDyn, PyReadonlyArrayDyn, PyUntypedArrayMethods as _};
use pyo3::{exceptions::PyTypeError, prelude::*};
use std::sync::Arc;

/// The numbers of an array, in its order.
struct Numbers<T> {
    /// Keeps the memory; never looked at.
    _owner: Py<PyArrayDyn<T>>,
    start: *const T,
    len: usize,
}

// SAFETY: the numbers are only read, and have no thread of their own.
unsafe impl<T: Sync> Send for Numbers<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Numbers<T> {}

impl<T> AsRef<[T]> for Numbers<T> {
    fn as_ref(&self) -> &[T] {
        // SAFETY: `start` and `len` are those of a slice of the owner's memory, which NumPy neither moves nor frees
        // while someone holds the array. Nobody may write to it meanwhile: the documentation of the package asks
        // that of its callers, as every reader of arrays without the interpreter's lock must.
        unsafe { std::slice::from_raw_parts(self.start, self.len) }
    }
}

/// The extents and the numbers of an array in C order.
fn numbers<T: Element + Sync>(
    array: &PyReadonlyArrayDyn<T>,
) -> PyResult<(Vec<usize>, Arc<Numbers<T>>)> {
    let slice = array.as_slice()?;
    let (start, len) = (slice.as_ptr(), slice.len());
    let owner: &Bound<PyArrayDyn<T>> = array;
    let numbers = Numbers { _owner: owner.clone().unbind(), start, len };
    Ok((array.shape().to_vec(), Arc::new(numbers)))
}

/// An array of pixels: `uint8` or `float32`, in C order.
#[derive(FromPyObject)]
enum PixelArray<'py> {
    U8(PyReadonlyArrayDyn<'py, u8>),
    F32(PyReadonlyArrayDyn<'py, f32>),
}

/// An array of labels: `uint8`, `int64` or `float32`, in C order.
#[derive(FromPyObject)]
enum LabelArray<'py> {
    U8(PyReadonlyArrayDyn<'py, u8>),
    I64(PyReadonlyArrayDyn<'py, i64>),
    F32(PyReadonlyArrayDyn<'py, f32>),
}

/// Images in memory: the names and arrays of inputs, and labels.
#[derive(FromPyObject)]
pub(crate) struct Images<'py> {
    inputs: Vec<(String, Bound<'py, PyAny>)>,
    labels: Option<Bound<'py, PyAny>>,
}

fn refused(what: &str, error: &PyErr) -> PyErr {
    PyTypeError::new_err(format!("{what}: {error}"))
}

impl Images<'_> {
    /// As a source of images.
    pub(crate) fn source(&self) -> PyResult<DataSource> {
        let labels = self.labels.as_ref().map(labels).transpose()?;
        let input = |(name, array): &(String, Bound<PyAny>)| {
            let array = array.extract().map_err(|error| refused(name, &error))?;
            let (shape, pixels) = match &array {
                PixelArray::U8(array) => {
                    let (shape, numbers) = numbers(array)?;
                    (shape, Pixels::U8(Buffer::of(numbers)))
                }
                PixelArray::F32(array) => {
                    let (shape, numbers) = numbers(array)?;
                    (shape, Pixels::F32(Buffer::of(numbers)))
                }
            };
            Ok(Arrays { name: name.clone(), shape, pixels, layout: None, labels: None })
        };
        let mut inputs = self.inputs.iter().map(input).collect::<PyResult<Vec<_>>>()?;
        if let Some(first) = inputs.first_mut() {
            first.labels = labels;
        }
        Ok(DataSource::inputs(inputs))
    }
}

fn labels(array: &Bound<PyAny>) -> PyResult<Labels> {
    let array = array.extract().map_err(|error| refused("labels", &error))?;
    let (dims, values) = match &array {
        LabelArray::U8(array) => (array.shape(), Values::U8(array.as_slice()?.to_vec())),
        LabelArray::I64(array) => (array.shape(), Values::I64(array.as_slice()?.to_vec())),
        LabelArray::F32(array) => (array.shape(), Values::F32(array.as_slice()?.to_vec())),
    };
    Ok(Labels { dims: dims.to_vec(), values })
}
