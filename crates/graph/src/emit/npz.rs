//! NumPy: the integers and their formats, for programs of one's own.
//!
//! An archive of arrays that `numpy.load` reads without pickling. The text `fixedwise` is JSON: the
//! nodes in order, with every number that is not an array, and the names of those that are;
//! `docs/export.md` lists them.

use super::{
    names::{Alphabet, Names},
    operation::Operation,
};
use crate::{
    fixed_graph::{FixedGraph, FixedNode},
    lower::Requantization,
    ops::{FixedConv, Window},
};
use fixedwise_codec::npz::{encode_archive, encode_integers, encode_text};
use fixedwise_fixed::{Format, Range, Rounding};
use serde_json::{Map, Value, json};

/// Version of the JSON.
const SCHEMA: u32 = 1;
/// Name of the array that holds the JSON.
const DESCRIPTION: &str = "fixedwise";

/// The network as an `.npz` archive.
pub fn emit(fixed: &FixedGraph) -> Vec<u8> {
    let mut names = Names::new(Alphabet::Identifier);
    let mut arrays = Vec::new();
    let nodes: Vec<Value> = fixed
        .nodes
        .iter()
        .map(|node| {
            let name = names.unique(&node.name);
            describe(node, &mut |kind, shape, values| {
                let name = format!("{name}.{kind}");
                arrays.push((name.clone(), encode_integers(shape, values)));
                Value::from(name)
            })
        })
        .collect();
    let description = json!({
        "schema": SCHEMA,
        "name": fixed.name,
        "nodes": nodes,
        "output": fixed.output,
    });
    let description = (DESCRIPTION, encode_text(&description.to_string()));
    let arrays = arrays.iter().map(|(name, bytes)| (name.as_str(), bytes.clone()));
    encode_archive(std::iter::once(description).chain(arrays))
}

/// Stores an array; gives its name.
type Store<'a> = dyn FnMut(&str, &[usize], &[i64]) -> Value + 'a;

fn describe(node: &FixedNode, store: &mut Store) -> Value {
    let (op, details) = match Operation::of(&node.op) {
        Operation::Input => ("input", json!({})),
        Operation::Conv(op) => ("conv", conv(node, op, store)),
        Operation::Add(op) => (
            "add",
            json!({
                "shifts": op.shifts,
                "requantization": requantization(&op.requantization),
            }),
        ),
        Operation::AveragePool(op) => (
            "average_pool",
            json!({
                "window": window(&op.window),
                "reciprocals":
                    store("reciprocals", &[node.shape.h, node.shape.w], &op.reciprocals),
                "reciprocal_frac": op.reciprocal_frac,
                "requantization": requantization(&op.requantization),
            }),
        ),
        Operation::Concat(op) => {
            let parts: Vec<Value> = op.requantizations.iter().map(requantization).collect();
            ("concat", json!({ "runs": op.runs, "requantizations": parts }))
        }
        Operation::MaxPool(op) => {
            ("max_pool", json!({ "window": window(&op.window), "minimum": op.minimum }))
        }
        Operation::Pad(op) => ("pad", json!({ "begin": op.begin, "value": op.value })),
        Operation::Rescale(op) => {
            ("rescale", json!({ "requantization": requantization(&op.requantization) }))
        }
        Operation::Reshape(op) => {
            let source: Vec<i64> =
                op.source.iter().map(|&i| i64::try_from(i).unwrap_or(i64::MAX)).collect();
            ("reshape", json!({ "source": store("source", &[source.len()], &source) }))
        }
    };
    let mut all = Map::new();
    all.insert("name".to_owned(), node.name.clone().into());
    all.insert("op".to_owned(), op.into());
    all.insert("inputs".to_owned(), json!(node.inputs));
    all.insert("shape".to_owned(), json!(node.shape.dims()));
    all.insert("format".to_owned(), format(node.format));
    all.insert("accumulator_bits".to_owned(), node.accumulator_bits.into());
    if let Value::Object(details) = details {
        all.extend(details);
    }
    Value::Object(all)
}

fn conv(node: &FixedNode, op: &FixedConv, store: &mut Store) -> Value {
    let [kh, kw] = op.window.kernel;
    let inputs = op.weights.len() / (op.channels * kh * kw);
    let weights: Vec<i64> = op.weights.iter().map(|&w| i64::from(w)).collect();
    let classes = op.bias.values.len() / op.channels;
    let class = |classes: &[u16]| classes.iter().map(|&c| i64::from(c)).collect::<Vec<_>>();
    json!({
        "window": window(&op.window),
        "groups": op.groups,
        "weights": store("weights", &[op.channels, kh, kw, inputs], &weights),
        "weights_format": format(op.weights_format),
        "coarser": op.coarser,
        "bias": store("bias", &[classes, op.channels], &op.bias.values),
        "bias_frac": i32::from(op.weights_format.frac) + i32::from(op.input.frac),
        "bias_format": op.bias_format.map(format),
        "row_class": store("row_class", &[node.shape.h], &class(&op.bias.row_class)),
        "column_class": store("column_class", &[node.shape.w], &class(&op.bias.column_class)),
        "n_column_classes": op.bias.n_column_classes,
        "requantization": requantization(&op.requantization),
    })
}

fn window(window: &Window) -> Value {
    json!({
        "kernel": window.kernel,
        "stride": window.stride,
        "dilation": window.dilation,
        "pad_begin": window.pad_begin,
    })
}

fn format(format: Format) -> Value {
    let range = match format.range {
        Range::Unsigned => "unsigned",
        Range::Narrow => "narrow",
        Range::Full => "full",
    };
    json!({ "bits": format.bits, "frac": format.frac, "range": range })
}

fn requantization(requantization: &Requantization) -> Value {
    let rounding = match requantization.rounding {
        Rounding::TiesUp => "ties-up",
        Rounding::TiesEven => "ties-even",
        Rounding::Floor => "floor",
    };
    json!({
        "shift": requantization.shift,
        "rounding": rounding,
        "min": requantization.min,
        "max": requantization.max,
        "leaky": requantization.leaky,
    })
}
