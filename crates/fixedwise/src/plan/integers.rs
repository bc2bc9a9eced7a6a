//! The integers of a plan's weights where they are not the nearest: `plan.npz` beside `plan.toml`.
//!
//! For each such layer four arrays: `<layer>/weights`, `[output channel, rest]` in the layer's own
//! order; `<layer>/scales` and `<layer>/bias`, `[output channel]`; and `<layer>/format`, the
//! bits, binary point and range of the format that the weights were rounded for. `<layer>/sums` tells
//! the layer that they were rounded from.

use super::terms::{is_node, names};
use crate::{error::Error, files, fingerprint::sha256};
use fixedwise_codec::npz::{Array, ArrayData, Npz, encode_archive, encode_integers, encode_npy};
use fixedwise_fixed::{
    Format, Range,
    convert::{count_to_f64, f64_to_f32},
};
use fixedwise_graph::{
    Graph, Node, Plan, Rounded,
    passes::{equalizable, equalize},
};
use std::{collections::BTreeMap, io::Cursor, path::Path, sync::Arc};

/// Largest scale of a channel, and of its inverse.
const MAX_SCALE: f32 = 1_073_741_824.0;
/// Bytes that an element takes in memory at most.
const ELEMENT_BYTES: usize = 8;
/// Arrays of a layer; `coarser` is there where output channels have binary points of their own.
const KINDS: [&str; 6] = ["weights", "scales", "bias", "coarser", "format", "sums"];
/// Bits by which a channel's binary point may lie right of its tensor's.
const MAX_COARSER: u8 = 15;

/// How far sums of a layer may lie apart, as part of the sum of magnitudes: what other orders of additions
/// change is far less, another training far more.
const SAME: f64 = 1e-5;

/// What an array may hold at least, so that a wrong one is told by its extents.
const MIN_BYTES: usize = 1 << 16;

/// The network in the scale of the plan: its channels times the scales that the plan has.
pub(crate) fn in_scale_of(plan: &Plan, graph: &Graph) -> Graph {
    let scales = |node: &Node| plan.rounded.get(&node.name).filter(|r| r.is_scaled());
    let all: Vec<Vec<f32>> = graph
        .nodes
        .iter()
        .map(|node| scales(node).map(|r| r.scales.clone()).unwrap_or_default())
        .collect();
    equalize(graph, &all)
}

/// The bytes of `plan.npz`; the same plan has the same bytes.
pub(crate) fn encode(plan: &Plan, graph: &Graph) -> Vec<u8> {
    let mut arrays = Vec::new();
    for (name, rounded) in &plan.rounded {
        let channels = rounded.scales.len();
        let rest = rounded.weights.len() / channels.max(1);
        let weights: Vec<i64> = rounded.weights.iter().map(|&w| i64::from(w)).collect();
        arrays.push((format!("{name}/weights"), encode_integers(&[channels, rest], &weights)));
        for (kind, values) in [("scales", &rounded.scales), ("bias", &rounded.bias)] {
            let data = ArrayData::F32(values.clone());
            let array = Array { shape: vec![values.len()], data };
            arrays.push((format!("{name}/{kind}"), encode_npy(&array)));
        }
        if rounded.is_by_channel() {
            let coarser: Vec<i64> = rounded.coarser.iter().map(|&bits| bits.into()).collect();
            arrays.push((format!("{name}/coarser"), encode_integers(&[channels], &coarser)));
        }
        if let Some(format) = plan.layer(name).and_then(|layer| layer.weights) {
            arrays.push((format!("{name}/format"), encode_integers(&[3], &numbers(format))));
        }
        if let Some(id) = graph.find(name) {
            let sums = sums(&graph.nodes[id]).map(f64_to_f32).to_vec();
            let array = Array { shape: vec![sums.len()], data: ArrayData::F32(sums) };
            arrays.push((format!("{name}/sums"), encode_npy(&array)));
        }
    }
    encode_archive(arrays.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())))
}

fn numbers(format: Format) -> [i64; 3] {
    [i64::from(format.bits), i64::from(format.frac), range_number(format.range).into()]
}

fn range_number(range: Range) -> u8 {
    match range {
        Range::Narrow => 0,
        Range::Full => 1,
        Range::Unsigned => 2,
    }
}

/// Of weights, biases and what depends on the border: the sum of magnitudes, and one with weights of all
/// sorts.
fn sums(node: &Node) -> [f64; 6] {
    let mut all = [0.0; 6];
    let Some(own) = node.op.parameters() else { return all };
    for (i, values) in [own.weights, own.bias, own.tap_bias].into_iter().enumerate() {
        for (at, &value) in values.iter().enumerate() {
            all[2 * i] += f64::from(value.abs());
            all[2 * i + 1] += f64::from(value) * (count_to_f64(at * 7919 % 251) / 125.0 - 1.0);
        }
    }
    all
}

/// Whether the integers were rounded from a layer like this one; of files without sums that is not known.
fn is_of(npz: &mut Npz<Cursor<&[u8]>>, node: &Node) -> Result<bool, String> {
    let name = format!("{}/sums", node.name);
    if !npz.contains(&name) {
        return Ok(true);
    }
    let (own, found) = (sums(node), floats(npz, &name, 6)?);
    let is_same = |i: usize| {
        let magnitude = own[i / 2 * 2].max(f64::from(found[i / 2 * 2]));
        (own[i] - f64::from(found[i])).abs() <= SAME * magnitude
    };
    Ok((0..own.len()).all(is_same))
}

/// The integers of a plan in memory, checked as those of its file would be.
pub(crate) fn checked(
    plan: &Plan,
    graph: &Graph,
) -> Result<BTreeMap<String, Arc<Rounded>>, String> {
    for (name, rounded) in &plan.rounded {
        let node = graph.find(name).map(|id| &graph.nodes[id]).filter(|node| node.op.is_layer());
        let Some(node) = node else {
            return Err(format!(
                "integers of `{name}` are of no layer of the network; it has {}",
                names(graph, true)
            ));
        };
        let (channels, weights) = (node.shape.c, node.op.weights().map_or(0, <[f32]>::len));
        for (kind, has, takes) in [
            ("weights", rounded.weights.len(), weights),
            ("scales", rounded.scales.len(), channels),
            ("bias", rounded.bias.len(), channels),
            (
                "coarser",
                rounded.coarser.len(),
                if rounded.coarser.is_empty() { 0 } else { channels },
            ),
        ] {
            if has != takes {
                return Err(other_model(&format!("{name}/{kind}"), has, takes));
            }
        }
    }
    if plan.rounded.is_empty() {
        return Ok(BTreeMap::new());
    }
    decode(&encode(plan, graph), plan, graph, false)
}

/// An array that is not as long as those of the network.
fn other_model(name: &str, has: usize, takes: usize) -> String {
    format!(
        "array `{name}` has {has} elements, the network takes {takes}: the plan was made for another model"
    )
}

/// Reads the integers of `plan` from `path`; `expected` is the SHA-256 that the plan says of the file, where it
/// says something. With `is_own` they must have been rounded from the weights of this network.
///
/// # Errors
/// [`Error`] naming the file, the layer and the way out.
pub(crate) fn read(
    path: &Path,
    expected: Option<&str>,
    plan: &Plan,
    graph: &Graph,
    is_own: bool,
) -> Result<BTreeMap<String, Arc<Rounded>>, Error> {
    let refuse = |problem| Error::Plan { path: path.to_owned(), line: None, problem };
    let bytes = files::read(path)?;
    if expected.is_some_and(|expected| expected != sha256(&bytes)) {
        return Err(refuse(
            "it is not the file that was written with the plan: its SHA-256 differs from \
             `integers_sha256`; use both files from the same run, or remove both `integers` lines \
             from the plan to round weights to the nearest"
                .to_owned(),
        ));
    }
    decode(&bytes, plan, graph, is_own).map_err(refuse)
}

fn decode(
    bytes: &[u8],
    plan: &Plan,
    graph: &Graph,
    is_own: bool,
) -> Result<BTreeMap<String, Arc<Rounded>>, String> {
    let most = graph.layers().filter_map(|(_, node)| node.op.weights().map(<[f32]>::len)).max();
    let limit = most.unwrap_or(0).saturating_mul(ELEMENT_BYTES).max(MIN_BYTES);
    let mut npz = Npz::open(bytes, limit).map_err(|error| error.to_string())?;
    for name in npz.names() {
        let layer =
            name.rsplit_once('/').and_then(|(layer, kind)| KINDS.contains(&kind).then_some(layer));
        if !layer.is_some_and(|layer| is_node(graph, layer, true)) {
            return Err(format!(
                "array `{name}` does not belong to a layer of the network; the layers are {}",
                names(graph, true)
            ));
        }
    }
    let scalable = equalizable(graph);
    let mut all = BTreeMap::new();
    for (id, node) in graph.layers() {
        if KINDS.iter().any(|kind| npz.contains(&format!("{}/{kind}", node.name))) {
            let rounded = layer(&mut npz, plan, node, scalable[id])?;
            if is_own && !is_of(&mut npz, node)? {
                return Err(format!(
                    "the integers of `{}` were rounded from other weights or with other preprocessing; \
                     give the model and `--preprocess` of the run that made the plan, or remove the \
                     `integers` lines from it to round weights to the nearest",
                    node.name
                ));
            }
            all.insert(node.name.clone(), Arc::new(rounded));
        }
    }
    Ok(all)
}

fn layer(
    npz: &mut Npz<Cursor<&[u8]>>,
    plan: &Plan,
    node: &Node,
    is_scalable: bool,
) -> Result<Rounded, String> {
    let name = &node.name;
    let channels = node.shape.c;
    let made_for = integers(npz, &format!("{name}/format"), 3)?;
    let format = plan.layer(name).and_then(|layer| layer.weights);
    let Some(format) = format.filter(|&format| numbers(format)[..] == made_for[..]) else {
        let now = format.map_or_else(
            || "has no format for its weights".to_owned(),
            |format| {
                let range = ["narrow", "full", "unsigned"][usize::from(range_number(format.range))];
                format!("has bits = {}, frac = {}, {range}", format.bits, format.frac)
            },
        );
        return Err(format!(
            "the integers of `{name}` were rounded for bits = {}, frac = {}, and the plan {now}; \
             search again, or remove the `integers` lines from the plan to round all weights to \
             the nearest (this also removes the scales of channels)",
            made_for[0], made_for[1]
        ));
    };
    let count = node.op.weights().map_or(0, <[f32]>::len);
    let found = integers(npz, &format!("{name}/weights"), count)?;
    let is_of_it = |w: &i16| (format.min()..=format.max()).contains(&i64::from(*w));
    let weight = |w: i64| {
        i16::try_from(w).ok().filter(is_of_it).ok_or_else(|| {
            format!("weight {w} of `{name}` is outside its format of {} bits", format.bits)
        })
    };
    let weights = found.into_iter().map(weight).collect::<Result<_, _>>()?;
    let scales = floats(npz, &format!("{name}/scales"), channels)?;
    for &scale in scales.iter().filter(|scale| scale.to_bits() != 1.0_f32.to_bits()) {
        if !is_scalable {
            return Err(format!(
                "scale {scale} of `{name}`: its channels cannot be scaled, because their consumers \
                 would change"
            ));
        }
        if !(MAX_SCALE.recip()..=MAX_SCALE).contains(&scale) {
            return Err(format!("scale {scale} of `{name}` is outside 2^-30 to 2^30"));
        }
    }
    let bias = floats(npz, &format!("{name}/bias"), channels)?;
    let coarser = format!("{name}/coarser");
    let coarser = if npz.contains(&coarser) {
        let point = |bits: i64| u8::try_from(bits).ok().filter(|&bits| bits <= MAX_COARSER);
        integers(npz, &coarser, channels)?.into_iter().map(point).collect()
    } else {
        Some(vec![])
    };
    let coarser = coarser.ok_or_else(|| {
        format!(
            "a binary point of `{name}` is not 0 to {MAX_COARSER} fractional bits below that \
                 of its tensor"
        )
    })?;
    Ok(Rounded { weights, scales, bias, coarser })
}

fn floats(npz: &mut Npz<Cursor<&[u8]>>, name: &str, count: usize) -> Result<Vec<f32>, String> {
    match read_array(npz, name, count)? {
        ArrayData::F32(values) if values.iter().all(|x| x.is_finite()) => Ok(values),
        ArrayData::F32(_) => Err(format!("array `{name}` contains numbers that are not finite")),
        _ => Err(format!("array `{name}` must contain floats")),
    }
}

fn integers(npz: &mut Npz<Cursor<&[u8]>>, name: &str, count: usize) -> Result<Vec<i64>, String> {
    match read_array(npz, name, count)? {
        ArrayData::I64(values) => Ok(values),
        ArrayData::U8(values) => Ok(values.into_iter().map(i64::from).collect()),
        ArrayData::F32(_) => Err(format!("array `{name}` must contain integers")),
    }
}

fn read_array(npz: &mut Npz<Cursor<&[u8]>>, name: &str, count: usize) -> Result<ArrayData, String> {
    let array = npz.read(name).map_err(|error| error.to_string())?;
    if array.data.len() == count {
        return Ok(array.data);
    }
    Err(other_model(name, array.data.len(), count))
}
