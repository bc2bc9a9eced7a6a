//! Functions that a model defines, and branches whose condition is known: their nodes in the place of the
//! node that stands for them.

use super::{
    attributes::Attributes,
    read::{Import, Read, unreadable},
    reader::{Known, node_error},
    rename::{Scope, defined, taken},
};
use crate::error::ImportError;
use fixedwise_codec::onnx::{Attribute, Function, Node};
use std::{collections::BTreeMap, sync::Arc};

/// Functions and branches in each other, at most.
const MAX_DEPTH: usize = 48;

impl<'a> Import<'a> {
    /// A name for a value inside that nobody else has.
    fn fresh(&mut self, prefix: &str, name: &str) -> String {
        let mut fresh = format!("{prefix}/{name}");
        let mut copy = 2;
        while !self.names.insert(fresh.clone()) {
            fresh = format!("{prefix}/{name}_{copy}");
            copy += 1;
        }
        fresh
    }

    /// Enters a function or a branch.
    fn enter(&mut self, node: &Node, what: String) -> Result<(), ImportError> {
        if self.open.contains(&what) {
            return Err(node_error(node, &format!("the function `{}` calls itself", node.op_type)));
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(node_error(
                node,
                &format!("lies in more than {MAX_DEPTH} functions and branches"),
            ));
        }
        self.open.push(what);
        Ok(())
    }

    /// The nodes of a function in the place of its call.
    pub(super) fn call(
        &mut self,
        node: &Node,
        function: &'a Function,
        opset: i64,
    ) -> Result<Read, ImportError> {
        if node.inputs.len() > function.inputs.len() || node.outputs.len() > function.outputs.len()
        {
            return Err(node_error(
                node,
                &format!(
                    "gives {} inputs and takes {} outputs; the function has {} and {}",
                    node.inputs.len(),
                    node.outputs.len(),
                    function.inputs.len(),
                    function.outputs.len()
                ),
            ));
        }
        let mut scope = Scope { prefix: node.name.clone(), ..Scope::default() };
        let mut attributes: BTreeMap<&str, &Attribute> =
            function.defaults.iter().map(|(name, value)| (name.as_str(), value)).collect();
        attributes.extend(node.attributes.iter().map(|(name, value)| (name.as_str(), value)));
        scope.attributes = Some(attributes);
        for (i, name) in function.inputs.iter().enumerate() {
            let given = node.inputs.get(i).cloned().unwrap_or_default();
            scope.values.insert(name.clone(), given);
        }
        // An output that is an input has no node.
        let mut passed = Vec::new();
        for (i, name) in function.outputs.iter().enumerate() {
            let given = node.outputs.get(i).filter(|name| !name.is_empty());
            match (scope.values.get(name), given) {
                (Some(input), Some(output)) => passed.push((input.clone(), output.clone())),
                (None, Some(output)) => drop(scope.values.insert(name.clone(), output.clone())),
                (_, None) => {}
            }
        }
        for name in function.nodes.iter().flat_map(|inner| &inner.outputs) {
            if !name.is_empty() && !scope.values.contains_key(name) {
                let fresh = self.fresh(&node.name, name);
                scope.values.insert(name.clone(), fresh);
            }
        }
        let nodes: Vec<Node> = function.nodes.iter().map(|inner| scope.node(inner)).collect();
        self.enter(node, format!("{}:{}:{}", node.domain, node.op_type, node.overload))?;
        self.inside(&nodes, function.opset.unwrap_or(opset));
        self.open.pop();
        for (input, output) in passed {
            self.pass(&input, &output);
        }
        if let Some(name) = node
            .outputs
            .iter()
            .find(|name| !name.is_empty() && !self.reader.known.contains_key(*name))
        {
            let problem = format!("the function does not compute its output `{name}`");
            return Err(node_error(node, &problem));
        }
        Ok(Read::Inside)
    }

    /// Reads the nodes of a function or of a branch.
    fn inside(&mut self, nodes: &[Node], opset: i64) {
        for node in nodes {
            self.wanted.extend(taken(node).into_iter().map(str::to_owned));
        }
        for node in nodes {
            self.node(node, opset);
        }
    }

    /// Lets a second name stand for what another one does.
    fn pass(&mut self, from: &str, to: &str) {
        self.load(from);
        if let Some(known) = self.reader.known.get(from).cloned() {
            self.reader.known.insert(to.to_owned(), known);
        }
        self.record(vec![to.to_owned()], vec![from.to_owned()], None);
    }

    /// The branch of an `If` that its condition takes, which must be a constant.
    pub(super) fn branch(
        &mut self,
        node: &Node,
        opset: i64,
        unread: &[bool],
    ) -> Result<Read, ImportError> {
        if !unread.is_empty() {
            self.unread(node, false);
            return Ok(Read::Computed);
        }
        let is_constant = self.reader.is_constant(node, 0);
        let condition = if is_constant { self.reader.int_constant(node, 0)? } else { vec![] };
        let &[condition] = condition.as_slice() else {
            return Err(node_error(
                node,
                "its condition depends on the image; export a model without it, or simplify the \
                 model, for example with `onnxslim MODEL.onnx SLIM.onnx`",
            ));
        };
        let mut attributes = Attributes::new(node);
        let then = attributes.graph("then_branch")?;
        let otherwise = attributes.graph("else_branch")?;
        attributes.finish()?;
        let taken = if condition != 0 { then } else { otherwise };
        let Some(graph) = taken.filter(|graph| graph.outputs.len() >= node.outputs.len()) else {
            return Err(node_error(node, "its branch is missing, or has too few outputs"));
        };
        let mut scope = Scope { prefix: node.name.clone(), ..Scope::default() };
        for name in defined(graph).filter(|name| !name.is_empty()) {
            if !scope.values.contains_key(name) {
                let fresh = self.fresh(&node.name, name);
                scope.values.insert(name.to_owned(), fresh);
            }
        }
        // The graph may be part of a node that a function made and that is gone afterwards.
        for (name, tensor) in &graph.initializers {
            let constant = Known::Constant(Arc::new(tensor.into()));
            self.reader.known.insert(scope.values[name].clone(), constant);
        }
        for (name, problem) in &graph.unreadable {
            let (own, unread) = (scope.values[name].clone(), Known::Unread { is_constant: true });
            self.record(vec![own.clone()], vec![], Some(unreadable(name, problem)));
            self.reader.known.insert(own, unread);
        }
        let nodes: Vec<Node> = graph.nodes.iter().map(|inner| scope.node(inner)).collect();
        self.enter(node, format!("branch of {}", node.name))?;
        self.inside(&nodes, opset);
        self.open.pop();
        for (result, output) in graph.outputs.iter().zip(&node.outputs) {
            let from = scope.values.get(&result.name).unwrap_or(&result.name).clone();
            self.pass(&from, output);
        }
        if let Some(name) = node.outputs.iter().find(|name| !self.reader.known.contains_key(*name))
        {
            let problem = format!("its branch does not compute its output `{name}`");
            return Err(node_error(node, &problem));
        }
        Ok(Read::Inside)
    }
}
