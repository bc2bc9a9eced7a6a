//! Node by node through a file: functions and branches are followed, constants are computed, everything
//! else is read by its operator. What cannot be read is noted, and judged at the end.

use super::{
    attributes::Attributes,
    computed::computed,
    constant::{Constant, rounded_bits},
    fold,
    reader::{Arrange, ImportNode, Known, Reader, node_error},
    rename::{defined, taken},
};
use crate::{
    error::ImportError,
    import::{interface::ending_before, view::Extent},
    rounded_before::RoundedWeights,
};
use fixedwise_codec::onnx::{self, Function, Model, Node, Tensor};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Nodes that are read at most: functions that call others twice each must not fill the memory.
const MAX_NODES: usize = 1 << 16;

/// Elements of computed constants, at most: so many for each that is stored, and beside them, for weights of one number.
/// A small file must not fill the memory.
const COMPUTED_FOR_EACH: usize = 16;
const COMPUTED_BESIDE: usize = 1 << 25;

/// One node that was read: what it gives, what it took, what is wrong with it.
#[derive(Debug)]
struct Record {
    outputs: Vec<String>,
    inputs: Vec<String>,
    error: Option<ImportError>,
}

/// A constant of the file that was not used yet.
#[derive(Clone, Copy, Debug)]
enum Stored<'a> {
    Tensor(&'a Tensor),
    Unreadable(&'a str),
}

/// An import in the course of reading.
pub(super) struct Import<'a> {
    pub(super) reader: Reader,
    model: &'a Model,
    operators: &'static [(&'static str, ImportNode)],
    stored: BTreeMap<&'a str, Stored<'a>>,
    records: Vec<Record>,
    /// Names of values that are taken.
    pub(super) names: BTreeSet<String>,
    /// What the file says of extents in between.
    declared: BTreeMap<&'a str, &'a onnx::ValueInfo>,
    /// Names that some node or the caller takes.
    pub(super) wanted: BTreeSet<String>,
    /// The functions and branches that are being read.
    pub(super) open: Vec<String>,
    n_nodes: usize,
    /// Elements that may still be computed.
    room: usize,
}

impl<'a> Import<'a> {
    pub(super) fn new(
        model: &'a Model,
        arrange: Arrange,
        operators: &'static [(&'static str, ImportNode)],
    ) -> Self {
        let graph = &model.graph;
        let names = defined(graph).map(str::to_owned).collect();
        let declared = graph.values.iter().map(|value| (value.name.as_str(), value)).collect();
        let mut import = Self {
            reader: Reader::new(arrange),
            model,
            operators,
            stored: BTreeMap::new(),
            records: Vec::new(),
            names,
            declared,
            wanted: BTreeSet::new(),
            open: Vec::new(),
            n_nodes: 0,
            room: COMPUTED_BESIDE,
        };
        for (name, tensor) in &graph.initializers {
            let of_tensor = tensor.data.len().saturating_mul(COMPUTED_FOR_EACH);
            import.room = import.room.saturating_add(of_tensor);
            import.stored.insert(name, Stored::Tensor(tensor));
        }
        for (name, problem) in &graph.unreadable {
            import.stored.insert(name, Stored::Unreadable(problem));
        }
        import
    }

    pub(super) fn record(
        &mut self,
        outputs: Vec<String>,
        inputs: Vec<String>,
        error: Option<ImportError>,
    ) {
        self.records.push(Record { outputs, inputs, error });
    }

    /// Reads the nodes of the file that lead to `results`.
    pub(super) fn nodes(&mut self, results: &[&str]) {
        let nodes = &self.model.graph.nodes;
        let mut wanted: BTreeSet<&str> = results.iter().copied().collect();
        let mut is_wanted = vec![false; nodes.len()];
        for (node, is_wanted) in nodes.iter().zip(&mut is_wanted).rev() {
            if node.outputs.iter().any(|name| wanted.contains(name.as_str())) {
                *is_wanted = true;
                wanted.extend(taken(node));
            }
        }
        self.wanted = wanted.into_iter().map(str::to_owned).collect();
        for (node, _) in nodes.iter().zip(is_wanted).filter(|(_, is_wanted)| *is_wanted) {
            self.node(node, self.model.opset);
        }
        for &name in results {
            // A result that is stored in the file.
            self.load(name);
        }
    }

    /// The values of the file that were read and are taken by what could not be, or by what follows from it.
    fn before(&self, is_reached: &[bool]) -> Vec<String> {
        let mut lost: BTreeSet<&str> = BTreeSet::new();
        let mut before: Vec<String> = Vec::new();
        for (record, _) in self.records.iter().zip(is_reached).filter(|(_, is)| **is) {
            let of_lost = record.inputs.iter().any(|name| lost.contains(name.as_str()));
            if record.error.is_none() && !of_lost {
                continue;
            }
            let is_read = |name: &&String| {
                let is_value = matches!(self.reader.known.get(*name), Some(Known::View(_)));
                is_value && !lost.contains(name.as_str())
            };
            before.extend(record.inputs.iter().filter(is_read).cloned());
            lost.extend(record.outputs.iter().map(String::as_str));
        }
        let graph = &self.model.graph;
        let is_of_file = |name: &String| {
            let is_input = graph.inputs.iter().any(|input| input.name == *name);
            is_input || graph.nodes.iter().any(|node| node.outputs.contains(name))
        };
        // Inside functions there are names that the file does not have.
        if !before.iter().all(is_of_file) {
            return vec![];
        }
        let inputs: Vec<&str> = graph.inputs.iter().map(|input| input.name.as_str()).collect();
        ending_before(before, &inputs)
    }

    /// What stands in the way of `results`, in the order of the file, values that may be results instead, and what
    /// was read.
    pub(super) fn judged(self, results: &[&str]) -> (Vec<ImportError>, Vec<String>, Reader) {
        let mut reached: BTreeSet<&str> = results.iter().copied().collect();
        let mut is_reached = vec![false; self.records.len()];
        for (record, is_reached) in self.records.iter().zip(&mut is_reached).rev() {
            *is_reached = record.outputs.iter().any(|name| reached.contains(name.as_str()));
            if *is_reached {
                reached.extend(record.inputs.iter().map(String::as_str));
            }
        }
        let mut errors = Vec::new();
        let before = self.before(&is_reached);
        let reached = self.records.into_iter().zip(is_reached);
        errors.extend(reached.filter(|(_, is)| *is).filter_map(|(record, _)| record.error));
        (errors, before, self.reader)
    }

    /// Reads one node.
    pub(super) fn node(&mut self, node: &Node, opset: i64) {
        self.reader.opset = opset;
        self.n_nodes += 1;
        let inputs = taken(node).into_iter().map(str::to_owned).collect();
        let error = match self.read(node, opset) {
            Ok(Read::Inside) => return,
            // It needs nothing but numbers.
            Ok(Read::Constant) => return self.record(node.outputs.clone(), vec![], None),
            Ok(Read::Computed) => self.left_out(node),
            Err(error) => Some(error),
        };
        if error.is_some() {
            self.stand_in(node);
        }
        self.record(node.outputs.clone(), inputs, error);
    }

    /// The error for outputs that somebody takes and that the operator did not give.
    fn left_out(&self, node: &Node) -> Option<ImportError> {
        let is_missing =
            |name: &&String| self.wanted.contains(*name) && !self.reader.known.contains_key(*name);
        let missing: Vec<&str> =
            node.outputs.iter().filter(is_missing).map(String::as_str).collect();
        (!missing.is_empty()).then(|| {
            let missing = missing.join("`, `");
            node_error(node, &format!("only its first output is supported, not `{missing}`"))
        })
    }

    /// Lets the reading go on behind a node that could not be read: its output is what the file says, where
    /// that has the extents of one of its inputs.
    fn stand_in(&mut self, node: &Node) {
        for name in node.outputs.iter().filter(|name| !name.is_empty()) {
            let is_alike = |extents: &[Extent]| {
                let Some(declared) = self.declared.get(name.as_str()) else { return false };
                declared.dims.len() == extents.len()
                    && declared.dims.iter().zip(extents).all(|(dim, extent)| match dim {
                        onnx::Dim::Known(n) => extent.has_batch || *n == extent.of_image,
                        _ => extent.has_batch,
                    })
            };
            let alike = node.inputs.iter().find_map(|input| match self.reader.known.get(input) {
                Some(Known::View(view)) if is_alike(&view.extents()) => Some(view.clone()),
                _ => None,
            });
            let known = alike.map_or(Known::Unread { is_constant: false }, Known::View);
            self.reader.known.entry(name.clone()).or_insert(known);
        }
    }

    /// Makes a stored constant known, where the name is one.
    pub(super) fn load(&mut self, name: &str) {
        let known = match self.stored.remove(name) {
            None => return,
            Some(Stored::Tensor(tensor)) => Known::Constant(Arc::new(tensor.into())),
            Some(Stored::Unreadable(problem)) => {
                self.record(vec![name.to_owned()], vec![], Some(unreadable(name, problem)));
                Known::Unread { is_constant: true }
            }
        };
        self.reader.known.insert(name.to_owned(), known);
    }

    fn read(&mut self, node: &Node, opset: i64) -> Result<Read, ImportError> {
        if self.n_nodes > MAX_NODES {
            return Err(ImportError::Interface(format!(
                "the model has more than {MAX_NODES} nodes, those of its functions included"
            )));
        }
        let mut unread = Vec::new();
        let mut n_constants = 0;
        let given: Vec<&String> = node.inputs.iter().filter(|name| !name.is_empty()).collect();
        for name in &given {
            self.load(name);
            match self.reader.known.get(*name) {
                None => {
                    return Err(ImportError::UnknownValue {
                        node: node.name.clone(),
                        value: (*name).clone(),
                    });
                }
                Some(Known::Constant(_)) => n_constants += 1,
                Some(Known::Unread { is_constant }) => unread.push(*is_constant),
                Some(Known::View(_)) => {}
            }
        }
        let model = self.model;
        let is_called = |f: &&Function| {
            f.name == node.op_type && f.domain == node.domain && f.overload == node.overload
        };
        if let Some(function) = model.functions.iter().find(is_called) {
            return self.call(node, function, opset);
        }
        if !node.domain.is_empty() {
            return Err(ImportError::Domain {
                node: node.name.clone(),
                op_type: node.op_type.clone(),
                domain: node.domain.clone(),
            });
        }
        if node.op_type == "If" {
            return self.branch(node, opset, &unread);
        }
        let all_constant = n_constants == given.len();
        if all_constant && let Some(outputs) = self.fold(node, opset) {
            return outputs.map(|()| Read::Constant);
        }
        if matches!(node.op_type.as_str(), "Shape" | "Size") {
            if unread.is_empty() {
                self.extents(node)?;
                return Ok(Read::Constant);
            }
            self.unread(node, true);
            return Ok(Read::Computed);
        }
        let of_constants = n_constants + unread.iter().filter(|is| **is).count() == given.len();
        if !unread.is_empty() && of_constants && fold::folds(&node.op_type) {
            self.unread(node, true);
            return Ok(Read::Computed);
        }
        let Some((_, read)) = self.operators.iter().find(|(name, _)| *name == node.op_type) else {
            return Err(ImportError::UnknownOperator {
                node: node.name.clone(),
                op_type: node.op_type.clone(),
            });
        };
        if !unread.is_empty() {
            self.unread(node, false);
            return Ok(Read::Computed);
        }
        read(&mut self.reader, node)?;
        Ok(Read::Computed)
    }

    /// Nothing is known of the outputs of a node behind one that could not be read.
    pub(super) fn unread(&mut self, node: &Node, is_constant: bool) {
        for name in node.outputs.iter().filter(|name| !name.is_empty()) {
            self.reader.known.entry(name.clone()).or_insert(Known::Unread { is_constant });
        }
    }

    /// Computes a node on constants; `None` where its operator is not computed.
    fn fold(&mut self, node: &Node, opset: i64) -> Option<Result<(), ImportError>> {
        let inputs: Vec<Option<&Constant>> = node
            .inputs
            .iter()
            .map(|name| match self.reader.known.get(name) {
                Some(Known::Constant(constant)) => Some(&**constant),
                _ => None,
            })
            .collect();
        let found = fold::fold(node, &inputs, self.room).or_else(|| {
            let Self { operators, room, .. } = *self;
            let found = computed(node, &inputs, opset, operators, room)?;
            Some(found.map(|output| vec![output]))
        });
        let outputs = match found? {
            Ok(outputs) => outputs,
            Err(error) => return Some(Err(error)),
        };
        if let ("DequantizeLinear", [Some(weights), Some(scale), ..]) =
            (node.op_type.as_str(), &inputs[..])
            && let Some(bits) = rounded_bits(weights.element).filter(|_| weights.dims.len() > 1)
        {
            let by_channel = scale.elements.len() > 1;
            let rounded = RoundedWeights { bits, by_channel };
            *self.reader.builder.rounded_weights.entry(rounded).or_default() += 1;
        }
        let n = outputs.iter().fold(0, |n: usize, output| n.saturating_add(output.elements.len()));
        let is_stored = node.op_type == "Constant";
        let room = if is_stored {
            Some(self.room.saturating_add(n.saturating_mul(COMPUTED_FOR_EACH)))
        } else {
            self.room.checked_sub(n)
        };
        let Some(room) = room else {
            let problem =
                "the constants that are to be computed are too large beside those of the file";
            return Some(Err(node_error(node, problem)));
        };
        self.room = room;
        let mut set = outputs.into_iter().enumerate().take(node.outputs.len());
        Some(set.try_for_each(|(position, output)| {
            self.reader.set(node, position, Known::Constant(Arc::new(output)))
        }))
    }

    /// The extents of a computed value, or their product.
    fn extents(&mut self, node: &Node) -> Result<(), ImportError> {
        let dims = self.reader.extents(node, 0)?;
        let mut attributes = Attributes::new(node);
        let result = fold::of_extents(node, &mut attributes, &dims)?;
        attributes.finish()?;
        self.reader.set(node, 0, Known::Constant(Arc::new(result)))
    }
}

pub(super) fn unreadable(name: &str, problem: &str) -> ImportError {
    ImportError::Interface(format!("the constant `{name}` cannot be read: {problem}"))
}

/// How a node was read.
pub(super) enum Read {
    /// Its outputs depend on its inputs.
    Computed,
    /// Its outputs are constants.
    Constant,
    /// Its outputs are those of nodes inside it.
    Inside,
}
