//! NumPy: the integers and their formats, for programs of one's own.
//!
//! An archive of arrays that `numpy.load` reads without pickling. The text `fixedwise` is JSON: the
//! nodes in order, with every number that is not an array, and the names of those that are;
//! `docs/export.md` lists them.

pub(crate) mod node;

pub use node::NpzNode;
use node::json_format;

use super::names::{Alphabet, Names};
use crate::{
    error::EmitError,
    fixed_graph::{FixedGraph, FixedNode},
};
use fixedwise_codec::npz::{encode_archive, encode_text};
use serde_json::{Map, Value, json};

/// Version of the JSON.
const SCHEMA: u32 = 1;
/// Name of the array that holds the JSON.
const DESCRIPTION: &str = "fixedwise";

/// The network as an `.npz` archive.
///
/// # Errors
/// [`EmitError`] naming the node whose operation has no description.
pub fn emit(fixed: &FixedGraph) -> Result<Vec<u8>, EmitError> {
    let mut names = Names::new(Alphabet::Identifier);
    let mut arrays = Vec::new();
    let mut nodes = Vec::with_capacity(fixed.nodes.len());
    for node in &fixed.nodes {
        nodes.push(describe(node, names.unique(&node.name), &mut arrays)?);
    }
    let outputs =
        fixed.outputs.iter().map(|output| json!({"name": output.name, "node": output.node}));
    let description = json!({
        "schema": SCHEMA,
        "name": fixed.name,
        "nodes": nodes,
        "inputs": fixed.inputs,
        "output": fixed.output(),
        "outputs": outputs.collect::<Vec<_>>(),
    });
    let description = (DESCRIPTION, encode_text(&description.to_string()));
    let arrays = arrays.iter().map(|(name, bytes)| (name.as_str(), bytes.clone()));
    Ok(encode_archive(std::iter::once(description).chain(arrays)))
}

fn describe(
    node: &FixedNode,
    prefix: String,
    arrays: &mut Vec<(String, Vec<u8>)>,
) -> Result<Value, EmitError> {
    let mut of_node = NpzNode { name: &node.name, shape: node.shape, prefix, arrays };
    let details = node.op.emit_npz(&mut of_node)?;
    let mut all = Map::new();
    all.insert("name".to_owned(), node.name.clone().into());
    all.insert("op".to_owned(), node.op.name().into());
    all.insert("inputs".to_owned(), json!(node.inputs));
    all.insert("shape".to_owned(), json!(node.shape.dims()));
    all.insert("format".to_owned(), json_format(node.format));
    all.insert("accumulator_bits".to_owned(), node.accumulator_bits.into());
    if let Value::Object(details) = details {
        all.extend(details);
    }
    Ok(Value::Object(all))
}
