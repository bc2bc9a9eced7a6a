//! What an operator may ask of an ONNX file while one of its nodes is read.

use super::{
    attributes::Attributes,
    constant::{Constant, Elements, Int},
};
use crate::{
    error::ImportError,
    graph::NodeId,
    import::{
        axes::{Axis, channels_first},
        builder::{Builder, Value},
        view::{Extent, Layout, Run, Target, View, ViewAxis},
    },
    operator::Op,
    shape::Shape,
};
use fixedwise_codec::onnx;
use std::{collections::BTreeMap, sync::Arc};

/// What a name of the file stands for.
#[derive(Clone, Debug)]
pub(super) enum Known {
    /// A value that is computed from the image.
    View(View),
    /// A tensor that is known before any image.
    Constant(Arc<Constant>),
    /// The result of a node that could not be read, or what follows from one: a value, or a constant
    /// such as its shape.
    Unread { is_constant: bool },
}

/// The state of an import: the graph so far, and what each name of the file stands for.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(crate) builder: Builder,
    pub(super) known: BTreeMap<String, Known>,
    pub(super) opset: i64,
    /// The model's inputs with their axes, none for one that could not be read, and what operators take for
    /// their channels.
    pub(super) images: Vec<(Option<Value>, Votes)>,
    /// The number of images in a batch, where the file fixes it.
    pub(super) batch: Option<usize>,
    /// The operator that makes a value of elements of another one.
    arrange: Arrange,
    /// Values made of elements of others that there are already.
    arranged: Vec<(NodeId, Layout, NodeId)>,
}

/// Makes the operator that gives the value with such elements of another one.
pub(super) type Arrange = fn(&Layout) -> Op;

/// How often an operator of images takes the last axis of an input of the model for its channels, and how
/// often the first after the batch.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Votes {
    pub(super) last: usize,
    pub(super) first: usize,
}

impl Votes {
    /// Notes which axis of an input a view of it has as its channels.
    fn count(&mut self, own: &View, view: &View) {
        let runs = |view: &View| -> Option<Vec<Vec<Run>>> {
            view.axes[1..].iter().map(ViewAxis::runs).collect()
        };
        let Some((own, seen)) = runs(own).zip(runs(view)) else { return };
        let (Some((channels, space)), Some(last)) = (seen.split_first(), own.last()) else {
            return;
        };
        let space: Vec<&Run> = space.iter().flatten().collect();
        let rest = |axes: &[Vec<Run>]| axes.iter().flatten().copied().collect::<Vec<Run>>();
        let is = |own_channels: &Vec<Run>, own_space: &[Vec<Run>]| {
            channels == own_channels && space.iter().copied().copied().eq(rest(own_space))
        };
        let is_first = is(&own[0], &own[1..]);
        let is_last = is(last, &own[..own.len() - 1]);
        self.last += usize::from(is_last && !is_first);
        self.first += usize::from(is_first && !is_last);
    }
}

/// Takes one ONNX node in.
pub(crate) type ImportNode = fn(&mut Reader, &onnx::Node) -> Result<(), ImportError>;

/// `problem` with the node's name and operator.
pub(crate) fn node_error(node: &onnx::Node, problem: &str) -> ImportError {
    ImportError::Node {
        node: node.name.clone(),
        op_type: node.op_type.clone(),
        problem: problem.to_owned(),
    }
}

impl Reader {
    pub(super) fn new(arrange: Arrange) -> Self {
        Self {
            builder: Builder::default(),
            known: BTreeMap::new(),
            opset: 0,
            images: Vec::new(),
            batch: None,
            arrange,
            arranged: Vec::new(),
        }
    }

    /// Version of the default operator set.
    pub(crate) fn opset(&self) -> i64 {
        self.opset
    }

    /// The number of images in a batch, where the file fixes it.
    pub(crate) fn batch(&self) -> Option<usize> {
        self.batch
    }

    /// Extents of a value inside.
    pub(crate) fn shape(&self, value: &Value) -> Shape {
        self.builder.shape(value.node)
    }

    fn known(&self, node: &onnx::Node, position: usize) -> Result<&Known, ImportError> {
        let Some(name) = node.inputs.get(position).filter(|name| !name.is_empty()) else {
            return Err(node_error(node, &format!("its input {position} is missing")));
        };
        self.known.get(name).ok_or_else(|| ImportError::UnknownValue {
            node: node.name.clone(),
            value: name.clone(),
        })
    }

    /// Whether an input is given at all.
    pub(crate) fn has_input(node: &onnx::Node, position: usize) -> bool {
        node.inputs.get(position).is_some_and(|name| !name.is_empty())
    }

    /// Whether an input is a constant.
    pub(crate) fn is_constant(&self, node: &onnx::Node, position: usize) -> bool {
        matches!(self.known(node, position), Ok(Known::Constant(_)))
    }

    /// An input that is computed from the image, however its axes run through what is computed.
    pub(crate) fn view(&self, node: &onnx::Node, position: usize) -> Result<View, ImportError> {
        match self.known(node, position)? {
            Known::View(view) => Ok(view.with_batch_first(self.batch)),
            Known::Constant(_) => {
                Err(node_error(node, &format!("its input {position} must not be a constant")))
            }
            Known::Unread { .. } => Err(node_error(node, "its input could not be read")),
        }
    }

    /// An input that is computed from the image, with the axes of the file.
    pub(crate) fn value(
        &mut self,
        node: &onnx::Node,
        position: usize,
    ) -> Result<Value, ImportError> {
        let view = self.view(node, position)?;
        self.value_of(node, &view)
    }

    /// A view as a value with the axes of the file.
    pub(crate) fn value_of(
        &mut self,
        node: &onnx::Node,
        view: &View,
    ) -> Result<Value, ImportError> {
        match view.labels(self.builder.shape(view.node)) {
            Some(axes) => self.arranged(node, view, axes),
            None => self.channels_first_of(node, view),
        }
    }

    /// An input that is computed from the image, its second axis the channels.
    pub(crate) fn channels_first(
        &mut self,
        node: &onnx::Node,
        position: usize,
    ) -> Result<Value, ImportError> {
        let view = self.view(node, position)?;
        self.channels_first_of(node, &view)
    }

    fn channels_first_of(&mut self, node: &onnx::Node, view: &View) -> Result<Value, ImportError> {
        let rank = view.axes.len();
        let Some(axes) = channels_first(rank) else {
            return Err(node_error(
                node,
                &format!("its input has {rank} axes; 1 to 4 are supported"),
            ));
        };
        self.vote(view);
        self.arranged(node, view, axes)
    }

    /// An input as an image, its second axis the channels.
    pub(crate) fn image(
        &mut self,
        node: &onnx::Node,
        position: usize,
    ) -> Result<Value, ImportError> {
        if !matches!(self.view(node, position)?.axes.len(), 3 | 4) {
            return Err(node_error(node, "its input must be an image with 3 or 4 axes"));
        }
        self.channels_first(node, position)
    }

    /// The value with its axes renamed where the file means others.
    pub(crate) fn relabeled(
        &mut self,
        node: &onnx::Node,
        value: &Value,
        axes: Vec<Axis>,
    ) -> Result<Value, ImportError> {
        let view = View::of(value, self.shape(value));
        self.arranged(node, &view, axes)
    }

    /// A view as a value with those axes.
    pub(crate) fn arranged(
        &mut self,
        node: &onnx::Node,
        view: &View,
        axes: Vec<Axis>,
    ) -> Result<Value, ImportError> {
        let name = view.name.clone().unwrap_or_else(|| format!("{}_layout", node.name));
        self.settle(&name, view, axes).map_err(|problem| match problem {
            Problem::View(problem) => node_error(node, &problem),
            Problem::Graph(error) => error,
        })
    }

    fn settle(&mut self, name: &str, view: &View, axes: Vec<Axis>) -> Result<Value, Problem> {
        let from = self.builder.shape(view.node);
        let layout = view.layout(from, &axes).map_err(Problem::View)?;
        if layout.is_in_place() {
            return Ok(Value { node: view.node, axes });
        }
        let made =
            self.arranged.iter().find(|(node, other, _)| *node == view.node && *other == layout);
        if let Some(&(.., node)) = made {
            return Ok(Value { node, axes });
        }
        let op = (self.arrange)(&layout);
        let node = self.builder.push(name, op, vec![view.node]).map_err(Problem::Graph)?;
        self.arranged.push((view.node, layout, node));
        Ok(Value { node, axes })
    }

    /// The extents of an input that is computed from the image.
    pub(super) fn extents(
        &self,
        node: &onnx::Node,
        position: usize,
    ) -> Result<Vec<Int>, ImportError> {
        let of = |extent: Extent| {
            let own = Int::from(i64::try_from(extent.of_image).ok()?);
            if !extent.has_batch {
                return Some(own);
            }
            let batch = self.batch.map(|n| i64::try_from(n).map(Int::from));
            own.multiply(batch.unwrap_or(Ok(Int::BATCH)).ok()?)
        };
        let all: Option<Vec<Int>> =
            self.view(node, position)?.extents().into_iter().map(of).collect();
        all.ok_or_else(|| node_error(node, "its input is too large"))
    }

    /// The elements of a view with other extents.
    pub(crate) fn reshaped(
        &mut self,
        node: &onnx::Node,
        view: &View,
        targets: &[Target],
    ) -> Result<View, ImportError> {
        let wrong = |problem: String| node_error(node, &problem);
        if let Some(view) = view.reshaped(targets, self.batch).map_err(wrong)? {
            return Ok(View { name: Some(node.name.clone()), ..view });
        }
        self.flattened(node, view, targets)
    }

    /// A value whose axes behind the batch are so many of a view's in one each time, as `sizes` says, under
    /// those names.
    pub(crate) fn grouped(
        &mut self,
        node: &onnx::Node,
        view: &View,
        sizes: &[usize],
        names: &[Axis],
    ) -> Result<Value, ImportError> {
        let Some(view) = view.grouped(sizes, self.batch) else {
            return Err(node_error(
                node,
                "mixes the images of a batch; export the model for one image (a batch of 1)",
            ));
        };
        let axes = [&[Axis::Batch], names].concat();
        self.arranged(node, &view, axes)
    }

    /// A value that [`Reader::grouped`] gave, or one computed from it, with an axis of each of these extents
    /// again.
    pub(crate) fn ungrouped(
        &mut self,
        node: &onnx::Node,
        value: &Value,
        extents: &[Extent],
    ) -> Result<View, ImportError> {
        let known = |extent: &Extent| Target::Known(extent.of_image);
        let target =
            |extent: &Extent| if self.batch == Some(1) { known(extent) } else { extent.kept() };
        let targets: Vec<Target> = extents.iter().map(target).collect();
        let view = View::of(value, self.shape(value));
        self.reshaped(node, &view, &targets)
    }

    /// The elements of a view with other extents, of a value where they lie in the order of the view.
    fn flattened(
        &mut self,
        node: &onnx::Node,
        view: &View,
        targets: &[Target],
    ) -> Result<View, ImportError> {
        let wrong = |problem: String| node_error(node, &problem);
        // What does not run at equal distances does so where it lies in the order of the file.
        let apart = || wrong("divides the batch, or moves it from the first axis".to_owned());
        let flat = view.flat_order().ok_or_else(apart)?;
        let axes = vec![Axis::Batch, Axis::Channel];
        let value = self.arranged(node, &flat, axes)?;
        let flat = View::of(&value, self.shape(&value));
        let view = flat.reshaped(targets, self.batch).map_err(wrong)?.ok_or_else(apart)?;
        Ok(View { name: Some(node.name.clone()), ..view })
    }

    /// Notes which axis of the model's inputs a view has as its channels.
    fn vote(&mut self, view: &View) {
        for (image, votes) in &mut self.images {
            let Some(image) = image else { continue };
            if self.builder.keeps_places(image.node, view.node) {
                votes.count(&View::of(image, self.builder.shape(image.node)), view);
            }
        }
    }

    /// An input that is known before any image.
    pub(crate) fn constant(
        &self,
        node: &onnx::Node,
        position: usize,
    ) -> Result<&Constant, ImportError> {
        match self.known(node, position)? {
            Known::Constant(constant) => Ok(constant),
            Known::View(_) => Err(node_error(
                node,
                &format!("its input {position} must be a constant; it depends on the image"),
            )),
            Known::Unread { .. } => Err(node_error(node, "its input could not be read")),
        }
    }

    /// A constant of finite floats with its extents.
    pub(crate) fn float_constant(
        &self,
        node: &onnx::Node,
        position: usize,
    ) -> Result<(&[usize], &[f32]), ImportError> {
        let constant = self.constant(node, position)?;
        let Elements::Floats(data) = &constant.elements else {
            return Err(node_error(node, &format!("its input {position} must contain floats")));
        };
        if let Some(index) = data.iter().position(|x| !x.is_finite()) {
            return Err(ImportError::NotFinite {
                node: node.name.clone(),
                tensor: node.inputs[position].clone(),
                value: data[index],
                index,
            });
        }
        Ok((&constant.dims, data))
    }

    /// A constant vector of `len` finite floats.
    pub(crate) fn float_vector(
        &self,
        node: &onnx::Node,
        position: usize,
        len: usize,
    ) -> Result<Vec<f32>, ImportError> {
        let (dims, data) = self.float_constant(node, position)?;
        if data.len() != len {
            return Err(node_error(
                node,
                &format!("its input {position} has shape {dims:?}; {len} elements are required"),
            ));
        }
        Ok(data.to_vec())
    }

    /// A constant of integers that may be multiples of the number of images.
    pub(crate) fn batch_ints(
        &self,
        node: &onnx::Node,
        position: usize,
    ) -> Result<&[Int], ImportError> {
        match &self.constant(node, position)?.elements {
            Elements::Ints(data) => Ok(data),
            Elements::Floats(_) => {
                Err(node_error(node, &format!("its input {position} must contain integers")))
            }
        }
    }

    /// A constant of integers, as for a batch of one image.
    pub(crate) fn int_constant(
        &self,
        node: &onnx::Node,
        position: usize,
    ) -> Result<Vec<i64>, ImportError> {
        Ok(self.batch_ints(node, position)?.iter().map(|x| x.of_one_image()).collect())
    }

    /// A list of integers that newer versions of an operator take as an input, older ones as an
    /// attribute.
    pub(crate) fn ints_of(
        &self,
        node: &onnx::Node,
        attributes: &mut Attributes,
        name: &str,
        position: usize,
    ) -> Result<Option<Vec<i64>>, ImportError> {
        match attributes.optional_ints(name)? {
            Some(list) => Ok(Some(list)),
            None if Self::has_input(node, position) => self.int_constant(node, position).map(Some),
            None => Ok(None),
        }
    }

    /// A constant broadcast against `value`, one element for each channel; `None` where it has others.
    pub(crate) fn channel_constant(
        &self,
        node: &onnx::Node,
        position: usize,
        value: &Value,
    ) -> Result<Option<Vec<f32>>, ImportError> {
        let (dims, data) = self.float_constant(node, position)?;
        let channels = self.shape(value).c;
        let rank = value.axes.len();
        let per_channel =
            dims.len() <= rank
                && dims.iter().rev().zip(value.axes.iter().rev()).all(|(&extent, &axis)| {
                    extent == 1 || axis == Axis::Channel && extent == channels
                });
        if !per_channel {
            return Ok(None);
        }
        Ok(Some(if data.len() == 1 { vec![data[0]; channels] } else { data.to_vec() }))
    }

    /// Adds the graph's node for `node`, with the axes of its result.
    pub(crate) fn push(
        &mut self,
        node: &onnx::Node,
        op: impl Into<Op>,
        inputs: Vec<NodeId>,
        axes: Vec<Axis>,
    ) -> Result<(), ImportError> {
        let id = self.builder.push(&node.name, op, inputs)?;
        self.set_value(node, &Value { node: id, axes })
    }

    /// Adds a node whose result has the axes of its one input.
    pub(crate) fn push_like(
        &mut self,
        node: &onnx::Node,
        op: impl Into<Op>,
        value: &Value,
    ) -> Result<(), ImportError> {
        self.push(node, op, vec![value.node], value.axes.clone())
    }

    /// Adds a node that computes each element from a pair, with the name given; an extent of one goes with
    /// every other, and missing axes are the first ones.
    pub(crate) fn pairs(
        &mut self,
        node: &onnx::Node,
        name: &str,
        op: Op,
        values: [&View; 2],
    ) -> Result<View, ImportError> {
        let [a, b] = values;
        let shape = self.builder.shape(a.node);
        let is_whole = shape == self.builder.shape(b.node) && a.is_permutation(shape);
        if is_whole && a.runs_as(b) {
            let id = self.builder.push(name, op, vec![a.node, b.node])?;
            return Ok(View { node: id, ..a.clone() });
        }
        let rank = a.axes.len().max(b.axes.len());
        let batch = self.batch;
        let values = values.map(|view| {
            let missing: Vec<usize> = (0..rank - view.axes.len()).collect();
            view.unsqueezed(&missing).with_batch_first(batch)
        });
        // Windows or pixels that stand on the axis of the batch belong to the image, too.
        if rank > 4 || rank > 1 && values.iter().all(View::mixes_batch) {
            return self.pairs_of_groups(node, name, op, &values);
        }
        let elements = |view: &View| -> usize {
            view.extents().iter().map(|extent| extent.of_image).product()
        };
        let first = usize::from(elements(&values[1]) > elements(&values[0]));
        let labels = values[first].labels(self.builder.shape(values[first].node));
        let Some(axes) = labels.or_else(|| channels_first(rank)) else {
            return Err(node_error(
                node,
                &format!("takes values of {rank} axes; 1 to 4 are supported"),
            ));
        };
        let a = self.arranged(node, &values[0], axes.clone())?;
        let b = self.arranged(node, &values[1], axes.clone())?;
        let id = self.builder.push(name, op, vec![a.node, b.node])?;
        let value = Value { node: id, axes };
        Ok(View::of(&value, self.shape(&value)))
    }

    /// [`Reader::pairs`] of more axes than there are inside: those next to each other along which both values run, or
    /// the same one does, are one.
    fn pairs_of_groups(
        &mut self,
        node: &onnx::Node,
        name: &str,
        op: Op,
        views: &[View; 2],
    ) -> Result<View, ImportError> {
        let extents = views.each_ref().map(View::extents);
        let (mut whole, mut sizes) = (Vec::new(), Vec::new());
        let mut runs_before = None;
        for axis in 0..extents[0].len() {
            let own = extents.each_ref().map(|extents| extents[axis]);
            let runs = own.map(|extent| extent.of_image > 1 || extent.has_batch);
            whole.push(if runs[0] { own[0] } else { own[1] });
            // What is one of both belongs anywhere.
            let is_one = runs == [false, false];
            match sizes.last_mut() {
                Some(size) if is_one || axis == 1 || runs_before == Some(runs) => *size += 1,
                _ => sizes.push(1),
            }
            if !is_one && axis > 0 {
                runs_before = Some(runs);
            }
        }
        let names = [Axis::Row, Axis::Column, Axis::Channel];
        let Some(first) = names.len().checked_sub(sizes.len()) else {
            let rank = whole.len();
            return Err(node_error(
                node,
                &format!(
                    "takes values of {rank} axes that are broadcast in turn; repeat the smaller one before"
                ),
            ));
        };
        let a = self.grouped(node, &views[0], &sizes, &names[first..])?;
        let b = self.grouped(node, &views[1], &sizes, &names[first..])?;
        let id = self.builder.push(name, op, vec![a.node, b.node])?;
        self.ungrouped(node, &Value { node: id, ..a }, &whole)
    }

    /// Adds a node that computes each element from the one at its place in input 0, whatever its axes
    /// are.
    pub(crate) fn push_each(
        &mut self,
        node: &onnx::Node,
        op: impl Into<Op>,
    ) -> Result<(), ImportError> {
        let view = self.view(node, 0)?;
        let view = self.materialized(node, &view)?;
        let id = self.builder.push(&node.name, op, vec![view.node])?;
        self.set_view(node, View { node: id, ..view })
    }

    /// The same view of a value that holds its elements once each, and nothing else.
    pub(crate) fn materialized(
        &mut self,
        node: &onnx::Node,
        view: &View,
    ) -> Result<View, ImportError> {
        let shape = self.builder.shape(view.node);
        if view.is_permutation(shape) {
            return Ok(view.clone());
        }
        if !view.mixes_batch()
            && let Some(axes) = view.labels(shape).or_else(|| channels_first(view.axes.len()))
        {
            let value = self.arranged(node, view, axes)?;
            return Ok(View::of(&value, self.shape(&value)));
        }
        let targets: Vec<Target> = view.extents().into_iter().map(Extent::kept).collect();
        self.flattened(node, view, &targets)
    }

    /// The node's result is `value`.
    pub(crate) fn set_value(
        &mut self,
        node: &onnx::Node,
        value: &Value,
    ) -> Result<(), ImportError> {
        let view = View::of(value, self.shape(value));
        self.set_view(node, view)
    }

    /// The node's result is `view`.
    pub(crate) fn set_view(&mut self, node: &onnx::Node, view: View) -> Result<(), ImportError> {
        self.set_view_at(node, 0, view)
    }

    /// The node's result at that position is `view`.
    pub(crate) fn set_view_at(
        &mut self,
        node: &onnx::Node,
        position: usize,
        view: View,
    ) -> Result<(), ImportError> {
        self.set(node, position, Known::View(view))
    }

    /// The node's result is its input `position`, whatever that is.
    pub(crate) fn alias(&mut self, node: &onnx::Node, position: usize) -> Result<(), ImportError> {
        let known = self.known(node, position)?.clone();
        self.set(node, 0, known)
    }

    /// The node's result at that position.
    pub(super) fn set(
        &mut self,
        node: &onnx::Node,
        position: usize,
        known: Known,
    ) -> Result<(), ImportError> {
        let Some(name) = node.outputs.get(position) else {
            return Err(node_error(node, "has no output"));
        };
        if !name.is_empty() && self.known.insert(name.clone(), known).is_some() {
            return Err(node_error(node, &format!("computes `{name}`, which exists already")));
        }
        Ok(())
    }
}

enum Problem {
    View(String),
    Graph(ImportError),
}
