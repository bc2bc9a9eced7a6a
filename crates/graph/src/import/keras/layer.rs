//! One Keras layer while it is read: no option and no weight is left unread.

use crate::{
    error::ImportError,
    graph::NodeId,
    import::{
        axes::axis_index,
        builder::{Builder, Value},
    },
    operator::Op,
    shape::Shape,
    window::Window,
};
use fixedwise_codec::keras;
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// Options that say how weights came to be, or what was already known.
const TRAINING_ONLY: [&str; 5] = ["name", "trainable", "batch_input_shape", "batch_shape", "seed"];

/// Ends of the names of such options.
const TRAINING_ONLY_ENDS: [&str; 3] = ["_initializer", "_regularizer", "_constraint"];

/// Types in which the arithmetic of a float network may be done.
const FLOAT_TYPES: [&str; 6] =
    ["float32", "float64", "float16", "bfloat16", "mixed_float16", "mixed_bfloat16"];

/// Whether a layer is an input of integers from 0 to 255.
pub(super) fn takes_bytes(saved: &keras::Layer) -> bool {
    let dtype = saved.config.get("dtype").and_then(|dtype| dtype.as_str());
    saved.class == "InputLayer" && dtype == Some("uint8")
}

/// Takes one layer in: adds its nodes and gives its value.
pub(crate) type ImportLayer = fn(&mut Layer) -> Result<Value, ImportError>;

/// Makes the operator of an activation function; `None` is the identity.
pub(crate) type MakeOp = fn() -> Option<Op>;

/// What of Keras is known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tables {
    /// Layers by class, and who reads them.
    pub(super) layers: &'static [(&'static str, ImportLayer)],
    /// Activation functions by name.
    pub(super) functions: &'static [(&'static str, MakeOp)],
    /// Those that were others in the version that saved the model.
    pub(super) older: &'static [(&'static str, MakeOp)],
}

/// A layer and the state of the import; [`Layer::finish`] refuses what is left unread.
#[derive(Debug)]
pub(crate) struct Layer<'a> {
    pub(crate) builder: &'a mut Builder,
    pub(super) tables: Tables,
    saved: &'a keras::Layer,
    inputs: Vec<Value>,
    unread: BTreeMap<&'a str, &'a Json>,
    weights: std::slice::Iter<'a, keras::Tensor>,
}

impl<'a> Layer<'a> {
    /// Adds the nodes of one layer that takes those values.
    pub(super) fn read(
        builder: &mut Builder,
        tables: Tables,
        layer: &keras::Layer,
        inputs: Vec<Value>,
    ) -> Result<Value, ImportError> {
        let read = Self::reader(tables, layer)?;
        if !layer.constants.is_empty() && !takes_constants(&layer.class) {
            return Err(ImportError::Node {
                node: layer.name.clone(),
                op_type: layer.class.clone(),
                problem: "takes a constant, which is supported for sums, differences, products, \
                          quotients, maxima, minima and concatenations only"
                    .to_owned(),
            });
        }
        let mut layer = Layer::new(builder, tables, layer, inputs)?;
        let value = read(&mut layer)?;
        layer.finish()?;
        Ok(value)
    }

    /// Who reads a layer.
    pub(super) fn reader(tables: Tables, layer: &keras::Layer) -> Result<ImportLayer, ImportError> {
        match tables.layers.iter().find(|(class, _)| *class == layer.class) {
            Some((_, read)) => Ok(*read),
            None if function_of(tables, layer).is_some() => Ok(read_function),
            None => Err(ImportError::UnknownOperator {
                node: layer.name.clone(),
                op_type: layer.class.clone(),
            }),
        }
    }

    /// A layer that takes those values, nothing read yet.
    fn new(
        builder: &'a mut Builder,
        tables: Tables,
        saved: &'a keras::Layer,
        inputs: Vec<Value>,
    ) -> Result<Self, ImportError> {
        let unread = saved
            .config
            .iter()
            .map(|(key, value)| (key.as_str(), value))
            .filter(|(key, _)| {
                saved.class == "InputLayer" && key.ends_with("_shape")
                    || !TRAINING_ONLY.contains(key)
                        && !TRAINING_ONLY_ENDS.iter().any(|end| key.ends_with(end))
            })
            .collect();
        let mut layer =
            Self { builder, tables, saved, inputs, unread, weights: saved.weights.iter() };
        let dtype = layer.take("dtype");
        if let Some(dtype) = dtype {
            let name = dtype.get("config").and_then(|config| config.get("name")).unwrap_or(dtype);
            // Any layer casts the bytes that it takes to floats.
            let is_known = |name| FLOAT_TYPES.contains(&name) || takes_bytes(saved);
            if !name.as_str().is_some_and(is_known) {
                return Err(layer.refuse("dtype", dtype, "only float networks are supported"));
            }
        }
        Ok(layer)
    }

    /// # Errors
    /// [`ImportError`] for the first option or weight nobody read.
    fn finish(mut self) -> Result<(), ImportError> {
        if let Some((key, _)) = self.unread.first_key_value() {
            return Err(ImportError::UnknownAttribute {
                node: self.saved.name.clone(),
                op_type: self.saved.class.clone(),
                attribute: (*key).to_owned(),
            });
        }
        match self.weights.next() {
            None => Ok(()),
            Some(tensor) => {
                Err(self.error(&format!("does not use the weight `{}` in the file", tensor.path)))
            }
        }
    }

    /// Name of the layer.
    pub(crate) fn name(&self) -> &'a str {
        &self.saved.name
    }

    /// `problem` with the layer's name and class.
    pub(crate) fn error(&self, problem: &str) -> ImportError {
        ImportError::Node {
            node: self.saved.name.clone(),
            op_type: self.saved.class.clone(),
            problem: problem.to_owned(),
        }
    }

    /// The error for an option's value that is not supported.
    pub(crate) fn refuse(&self, option: &str, value: &Json, help: &str) -> ImportError {
        ImportError::AttributeValue {
            node: self.saved.name.clone(),
            op_type: self.saved.class.clone(),
            attribute: option.to_owned(),
            value: value.to_string().chars().take(80).collect(),
            help: help.to_owned(),
        }
    }

    /// The values it takes, at least one.
    pub(crate) fn values(&self) -> Result<Vec<Value>, ImportError> {
        if self.inputs.is_empty() {
            return Err(self.error("takes nothing"));
        }
        Ok(self.inputs.clone())
    }

    /// The one value it takes.
    pub(crate) fn value(&self) -> Result<Value, ImportError> {
        match self.inputs.as_slice() {
            [value] => Ok(value.clone()),
            inputs => Err(self.error(&format!("takes {} values instead of one", inputs.len()))),
        }
    }

    /// The numbers among what it takes, each with its position.
    pub(crate) fn constants(&self) -> &'a [(usize, keras::Tensor)] {
        &self.saved.constants
    }

    /// Whether it is a layer of one dimension, whose steps are the columns of one row.
    pub(crate) fn is_signal(&self) -> bool {
        self.saved.class.ends_with("1D")
    }

    /// The one image `[rows, columns, channels]` or, for a layer of one dimension, signal `[steps, channels]` that
    /// it takes.
    pub(crate) fn image(&mut self) -> Result<Value, ImportError> {
        self.channels_last()?;
        let value = self.value()?;
        let (rank, what) = if self.is_signal() {
            (3, "a signal: steps and channels")
        } else {
            (4, "an image: rows, columns and channels")
        };
        if value.axes.len() == rank {
            Ok(value)
        } else {
            Err(self.error(&format!("its input must be {what}")))
        }
    }

    /// The extents of a kernel in the file.
    pub(crate) fn kernel_extents(&self, window: &Window) -> Vec<usize> {
        if self.is_signal() { window.kernel[1..].to_vec() } else { window.kernel.to_vec() }
    }

    /// Extents of a value.
    pub(crate) fn shape(&self, value: &Value) -> Shape {
        self.builder.shape(value.node)
    }

    /// Whether it takes nothing.
    pub(crate) fn is_source(&self) -> bool {
        self.inputs.is_empty()
    }

    /// An option that may be left out; `null` is left out.
    pub(crate) fn take(&mut self, option: &str) -> Option<&'a Json> {
        self.unread.remove(option).filter(|value| !value.is_null())
    }

    /// Leaves an option that was taken to others.
    pub(crate) fn give_back(&mut self, option: &'static str, value: &'a Json) {
        self.unread.insert(option, value);
    }

    /// Takes options that have no effect at inference.
    pub(crate) fn ignore(&mut self, options: &[&'static str]) {
        for option in options {
            self.unread.remove(option);
        }
    }

    /// Takes all options, which have no effect at inference.
    pub(crate) fn ignore_all(&mut self) {
        self.unread.clear();
    }

    /// Refuses any value but `expected`, which is also the default.
    pub(crate) fn must_be(
        &mut self,
        option: &str,
        expected: &Json,
        help: &str,
    ) -> Result<(), ImportError> {
        match self.take(option) {
            Some(value) if value != expected => Err(self.refuse(option, value, help)),
            _ => Ok(()),
        }
    }

    /// Refuses images with the channels first.
    pub(crate) fn channels_last(&mut self) -> Result<(), ImportError> {
        self.must_be(
            "data_format",
            &"channels_last".into(),
            "save the model with `channels_last` images",
        )
    }

    /// Whether an option is set; `default` where it is left out.
    pub(crate) fn flag(&mut self, option: &str, default: bool) -> Result<bool, ImportError> {
        match self.take(option) {
            None => Ok(default),
            Some(Json::Bool(value)) => Ok(*value),
            Some(value) => Err(self.refuse(option, value, "it must be true or false")),
        }
    }

    /// A finite number; `None` where it is left out.
    pub(crate) fn number(&mut self, option: &str) -> Result<Option<f64>, ImportError> {
        let Some(value) = self.take(option) else { return Ok(None) };
        match value.as_f64().filter(|x| x.is_finite()) {
            Some(x) => Ok(Some(x)),
            None => Err(self.refuse(option, value, "it must be a finite number")),
        }
    }

    /// A count from 1 on; `None` where it is left out.
    pub(crate) fn count(&mut self, option: &str) -> Result<Option<usize>, ImportError> {
        let Some(value) = self.take(option) else { return Ok(None) };
        match read_extent(value, 1) {
            Some(count) => Ok(Some(count)),
            None => Err(self.refuse(option, value, "it must be an integer of at least 1")),
        }
    }

    /// One extent for rows and columns, or one each; `None` where it is left out.
    pub(crate) fn pair(&mut self, option: &str) -> Result<Option<[usize; 2]>, ImportError> {
        let Some(value) = self.take(option) else { return Ok(None) };
        if self.is_signal() {
            let number = match value.as_array().map(Vec::as_slice) {
                Some([number]) => number,
                _ => value,
            };
            return match read_extent(number, 1) {
                Some(number) => Ok(Some([1, number])),
                None => Err(self.refuse(option, value, "it must be an integer of at least 1")),
            };
        }
        match read_pair(value, 1) {
            Some(pair) => Ok(Some(pair)),
            None => Err(self.refuse(option, value, "it must be two integers of at least 1")),
        }
    }

    /// Extents on the sides of an image, `[[top, bottom], [left, right]]`: one for all, one for each axis, or
    /// one for each side; `None` where they are left out.
    pub(crate) fn sides(&mut self, option: &str) -> Result<Option<[[usize; 2]; 2]>, ImportError> {
        let Some(value) = self.take(option) else { return Ok(None) };
        let sides = match value.as_array().map(Vec::as_slice) {
            Some([rows, columns]) => read_pair(rows, 0).zip(read_pair(columns, 0)),
            Some(_) => None,
            None => read_pair(value, 0).map(|sides| (sides, sides)),
        };
        match sides {
            Some((rows, columns)) => Ok(Some([rows, columns])),
            None => Err(self.refuse(option, value, "it must be [[top, bottom], [left, right]]")),
        }
    }

    /// A window of that option's extents over `image`, with its strides and padding.
    pub(crate) fn window(
        &mut self,
        kernel: &str,
        default_strides: Option<[usize; 2]>,
        image: Shape,
    ) -> Result<Window, ImportError> {
        let kernel = self
            .pair(kernel)?
            .ok_or_else(|| self.error(&format!("its option `{kernel}` is missing")))?;
        let mut window = Window::whole(Shape::new(kernel[0], kernel[1], 1));
        window.stride = self.pair("strides")?.or(default_strides).unwrap_or(kernel);
        window.dilation = self.pair("dilation_rate")?.unwrap_or([1, 1]);
        match self.take("padding") {
            None => {}
            Some(Json::String(padding)) if padding == "valid" => {}
            Some(Json::String(padding)) if padding == "same" => {
                window.pad_same([image.h, image.w]);
            }
            // No step sees a later one.
            Some(Json::String(padding)) if padding == "causal" && self.is_signal() => {
                window.pad_begin[1] = window.dilation[1] * (window.kernel[1] - 1);
            }
            Some(value) => {
                return Err(self.refuse("padding", value, "supported are `valid` and `same`"));
            }
        }
        Ok(window)
    }

    /// Refuses an axis that is not the last one, the channels.
    pub(crate) fn last_axis(&mut self, option: &str, rank: usize) -> Result<(), ImportError> {
        let Some(value) = self.take(option) else { return Ok(()) };
        let axis = match value {
            Json::Array(axes) if axes.len() == 1 => &axes[0],
            axis => axis,
        };
        let axis = axis.as_i64().and_then(|axis| axis_index(axis, rank));
        if axis.is_some_and(|axis| axis + 1 == rank) {
            return Ok(());
        }
        Err(self.refuse(option, value, "only the last axis, the channels, is supported"))
    }

    /// The next weight, which must have that name and those extents, all finite.
    pub(crate) fn weight(&mut self, name: &str, shape: &[usize]) -> Result<&'a [f32], ImportError> {
        self.weight_named(&[name], shape)
    }

    /// The next weight, for which versions of Keras have several names, the usual one first.
    pub(crate) fn weight_named(
        &mut self,
        names: &[&str],
        shape: &[usize],
    ) -> Result<&'a [f32], ImportError> {
        let name = names[0];
        let Some(tensor) = self.weights.next() else {
            return Err(self.error(&format!("its weight `{name}` is not in the file")));
        };
        if tensor.name.as_deref().is_some_and(|found| !names.contains(&found)) {
            return Err(self.error(&format!(
                "the file has the weight `{}` where `{name}` is expected",
                tensor.path
            )));
        }
        if tensor.shape != shape {
            return Err(self.error(&format!(
                "its weight `{name}` (`{}`) has shape {:?} instead of {shape:?}",
                tensor.path, tensor.shape
            )));
        }
        match tensor.data.iter().position(|x| !x.is_finite()) {
            None => Ok(&tensor.data),
            Some(index) => Err(ImportError::NotFinite {
                node: self.saved.name.clone(),
                tensor: tensor.path.clone(),
                value: tensor.data[index],
                index,
            }),
        }
    }

    /// The weight `bias` where the layer uses one, else zeros.
    pub(crate) fn bias(&mut self, channels: usize) -> Result<Vec<f32>, ImportError> {
        if self.flag("use_bias", true)? {
            Ok(self.weight("bias", &[channels])?.to_vec())
        } else {
            Ok(vec![0.0; channels])
        }
    }

    /// Adds a node of the layer's name.
    pub(crate) fn push(
        &mut self,
        op: impl Into<Op>,
        inputs: Vec<NodeId>,
    ) -> Result<NodeId, ImportError> {
        self.builder.push(&self.saved.name, op, inputs)
    }

    /// Adds a node of the layer's name whose value has the axes of its one input.
    pub(crate) fn push_like(
        &mut self,
        op: impl Into<Op>,
        value: &Value,
    ) -> Result<Value, ImportError> {
        let node = self.push(op, vec![value.node])?;
        Ok(Value { node, axes: value.axes.clone() })
    }
}

/// Whether layers of that class may take numbers beside values.
fn takes_constants(class: &str) -> bool {
    const CLASSES: [&str; 9] = [
        "Add",
        "Subtract",
        "Multiply",
        "Divide",
        "TrueDivide",
        "Maximum",
        "Minimum",
        "Average",
        "Concatenate",
    ];
    CLASSES.contains(&class.strip_prefix("keras.ops.").unwrap_or(class))
}

/// The activation function that an operation such as `keras.ops.Relu6` is.
fn function_of(tables: Tables, layer: &keras::Layer) -> Option<MakeOp> {
    let class = layer.class.strip_prefix("keras.ops.")?.replace('_', "");
    let is_it = |name: &str| name.replace('_', "").eq_ignore_ascii_case(&class);
    tables.functions.iter().find(|(name, _)| is_it(name)).map(|(_, make)| *make)
}

fn read_function(layer: &mut Layer) -> Result<Value, ImportError> {
    let value = layer.value()?;
    let make = function_of(layer.tables, layer.saved);
    match make.and_then(|make| make()) {
        Some(op) => layer.push_like(op, &value),
        None => Ok(value),
    }
}

/// An integer of at least `least`, and no larger than any image.
pub(crate) fn read_extent(value: &Json, least: usize) -> Option<usize> {
    const MAX: usize = 1 << 20;
    let extent = usize::try_from(value.as_u64()?).ok()?;
    (least..=MAX).contains(&extent).then_some(extent)
}

/// One extent for both axes, or two.
pub(crate) fn read_pair(value: &Json, least: usize) -> Option<[usize; 2]> {
    match value {
        Json::Array(list) => match list.as_slice() {
            [a, b] => Some([read_extent(a, least)?, read_extent(b, least)?]),
            _ => None,
        },
        one => read_extent(one, least).map(|extent| [extent; 2]),
    }
}
