//! The integers of a plan's weights where they are not the nearest: `plan.npz` beside `plan.toml`.
//!
//! For each such layer four arrays: `<layer>/weights`, `[output channel, rest]` in the layer's own
//! order; `<layer>/scales`, `[output channel]`; `<layer>/bias`, `[output channel]` or, where it depends on
//! the distance from the border, `[class of positions, output channel]`; and `<layer>/format`, the
//! bits, binary point and range of the format that the weights were rounded for. `<layer>/sums` tells
//! the layer that they were rounded from. `<layer>/bias_format` and `<node>/activation` are the other formats
//! that the plan had then.
//! `<layer>/dropped` has the output channels of a layer that the network of the plan lacks, `<layer>/float_weights`, `[output
//! channel, rest]`, and `<layer>/float_bias` what a layer behind computes with in float to make up for them; extents are
//! those of the channels that stay, everywhere.

use super::terms::{MAX_BIAS_BITS, is_node, names};
use crate::{error::Error, files, fingerprint::sha256};
use fixedwise_codec::npz::{Array, ArrayData, Npz, encode_archive, encode_integers, encode_npy};
use fixedwise_fixed::{
    Format, Range,
    convert::{count_to_f64, count_to_i64, f64_to_f32},
};
use fixedwise_graph::{
    Graph, LayerPlan, Node, NodeId, Numbers, Plan, Rounded, Thinned,
    passes::{equalizable, equalize},
};
use fixedwise_search::strategies::Kind;
use std::{collections::BTreeMap, io::Cursor, path::Path, sync::Arc};

/// Largest scale of a channel, and of its inverse.
const MAX_SCALE: f32 = 1_073_741_824.0;
/// Bytes that an element takes in memory at most.
const ELEMENT_BYTES: usize = 8;
/// Arrays of a layer; `coarser` is there where output channels have binary points of their own.
const KINDS: [&str; 10] = [
    "weights",
    "scales",
    "bias",
    "coarser",
    "format",
    "sums",
    array_of(Kind::Biases),
    DROPPED,
    FLOAT_WEIGHTS,
    FLOAT_BIAS,
];
/// The output channels of a layer that the network of the plan lacks.
const DROPPED: &str = "dropped";
/// The float numbers of a layer that makes up for such channels.
const FLOAT_WEIGHTS: &str = "float_weights";
const FLOAT_BIAS: &str = "float_bias";
/// Bits by which a channel's binary point may lie right of its tensor's.
const MAX_COARSER: u8 = 15;

/// How far sums of a layer may lie apart, as part of the sum of magnitudes: what other orders of additions
/// change is far less, another training far more.
const SAME: f64 = 1e-5;

/// What an array may hold at least, so that a wrong one is told by its extents.
const MIN_BYTES: usize = 1 << 16;

/// How much larger than its file an array may be: what deflate can do.
const MAX_PACKED: usize = 1032;

/// What integers were rounded for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Made {
    /// The formats that the plan had then.
    pub(crate) formats: Formats,
    /// By layer, the scales of its channels.
    pub(crate) scales: BTreeMap<String, Vec<f32>>,
}

/// Formats by node and kind.
pub(crate) type Formats = BTreeMap<(String, Kind), Format>;

/// Every format of a plan.
pub(crate) fn formats(plan: &Plan) -> Formats {
    let of_layers = plan.layers.iter().flat_map(|layer| {
        let LayerPlan { name, weights, bias, activation } = layer;
        [(Kind::Weights, weights), (Kind::Biases, bias), (Kind::Activations, activation)]
            .map(|(kind, format)| (name, kind, *format))
    });
    let others = plan.others.iter().map(|(name, &format)| (name, Kind::Activations, Some(format)));
    of_layers
        .chain(others)
        .filter_map(|(name, kind, format)| Some(((name.clone(), kind), format?)))
        .collect()
}

/// The array that has the format of a node's tensor.
const fn array_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Weights => "format",
        Kind::Biases => "bias_format",
        Kind::Activations => "activation",
    }
}

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
            let shape = match values.len() / channels.max(1) {
                0 | 1 => vec![values.len()],
                classes => vec![classes, channels],
            };
            let array = Array { shape, data };
            arrays.push((format!("{name}/{kind}"), encode_npy(&array)));
        }
        if rounded.is_by_channel() {
            let coarser: Vec<i64> = rounded.coarser.iter().map(|&bits| bits.into()).collect();
            arrays.push((format!("{name}/coarser"), encode_integers(&[channels], &coarser)));
        }
        if let Some(id) = graph.find(name) {
            let sums = sums(&graph.nodes[id]).map(f64_to_f32).to_vec();
            let array = Array { shape: vec![sums.len()], data: ArrayData::F32(sums) };
            arrays.push((format!("{name}/sums"), encode_npy(&array)));
        }
    }
    for ((name, kind), format) in formats(plan) {
        // Weights that are rounded to the nearest need none.
        if kind != Kind::Weights || plan.rounded.contains_key(&name) {
            let name = format!("{name}/{}", array_of(kind));
            arrays.push((name, encode_integers(&[3], &numbers(format))));
        }
    }
    if let Some(Thinned { dropped, numbers }) = plan.thinned.as_deref() {
        for (name, channels) in dropped {
            let channels: Vec<i64> = channels.iter().copied().map(count_to_i64).collect();
            let array = encode_integers(&[channels.len()], &channels);
            arrays.push((format!("{name}/{DROPPED}"), array));
        }
        for (name, Numbers { weights, bias }) in numbers {
            let rest = weights.len() / bias.len().max(1);
            let array = |shape, values: &Vec<f32>| {
                encode_npy(&Array { shape, data: ArrayData::F32(values.clone()) })
            };
            let shaped = array(vec![bias.len(), rest], weights);
            arrays.push((format!("{name}/{FLOAT_WEIGHTS}"), shaped));
            arrays.push((format!("{name}/{FLOAT_BIAS}"), array(vec![bias.len()], bias)));
        }
    }
    encode_archive(arrays.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())))
}

/// What the network of a plan lacks, from the file of its integers; nothing where that says nothing.
///
/// # Errors
/// [`Error`] naming the file, and the array that is wrong.
pub(crate) fn thinned(path: &Path, expected: Option<&str>) -> Result<Option<Thinned>, Error> {
    let refuse = |problem| Error::Plan { path: path.to_owned(), line: None, problem };
    let bytes = checked_bytes(path, expected)?;
    let read = || -> Result<Thinned, String> {
        // Each is at most as long as the file says, which was read whole.
        let limit = bytes.len().saturating_mul(MAX_PACKED).max(MIN_BYTES);
        let mut npz = Npz::open(&bytes, limit).map_err(|error| error.to_string())?;
        let mut thinned = Thinned::default();
        let names: Vec<String> = npz.names().map(ToOwned::to_owned).collect();
        for name in names {
            let Some((layer, kind)) = name.rsplit_once('/') else { continue };
            if kind == DROPPED {
                let channels = integers(&mut npz, &name, |len| len)?;
                let channels = channels.into_iter().map(usize::try_from).collect::<Result<_, _>>();
                let channels =
                    channels.map_err(|_| format!("array `{name}` has a channel below 0"))?;
                thinned.dropped.insert(layer.to_owned(), channels);
            } else if kind == FLOAT_WEIGHTS {
                let weights = floats(&mut npz, &name, |len| len)?;
                let bias = floats(&mut npz, &format!("{layer}/{FLOAT_BIAS}"), |len| len)?;
                thinned.numbers.insert(layer.to_owned(), Numbers { weights, bias });
            }
        }
        Ok(thinned)
    };
    let thinned = read().map_err(refuse)?;
    Ok((!thinned.dropped.is_empty()).then_some(thinned))
}

fn numbers(format: Format) -> [i64; 3] {
    [i64::from(format.bits), i64::from(format.frac), range_number(format.range).into()]
}

fn range_number(range: Range) -> u8 {
    match range {
        Range::Narrow => 0,
        Range::Full => 1,
        Range::Unsigned => 2,
        Range::Bipolar => 3,
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
    let (own, found) = (sums(node), floats(npz, &name, |_| 6)?);
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
        let id = graph.find(name).filter(|&id| graph.nodes[id].op.is_layer());
        let Some((id, node)) = id.map(|id| (id, &graph.nodes[id])) else {
            return Err(format!(
                "integers of `{name}` are of no layer of the network; it has {}",
                names(graph, true)
            ));
        };
        let (channels, weights) = (node.shape.c, node.op.weights().map_or(0, <[f32]>::len));
        for (kind, has, takes) in [
            ("weights", rounded.weights.len(), weights),
            ("scales", rounded.scales.len(), channels),
            ("bias", rounded.bias.len(), biases(graph, id, rounded.bias.len())),
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

/// How many corrections of its bias a layer takes if there are so many: one a channel, else one for each class of
/// positions too.
fn biases(graph: &Graph, id: NodeId, has: usize) -> usize {
    let channels = graph.nodes[id].shape.c;
    if has == channels { channels } else { graph.bias_count(id) }
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
    decode(&checked_bytes(path, expected)?, plan, graph, is_own).map_err(refuse)
}

/// The bytes of a file that has the SHA-256 that a plan says of it.
fn checked_bytes(path: &Path, expected: Option<&str>) -> Result<Vec<u8>, Error> {
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
    Ok(bytes)
}

/// What an array of a network's integers takes at most.
fn limit(graph: &Graph) -> usize {
    let len = |(id, node): (NodeId, &Node)| {
        node.op.weights().map_or(0, <[f32]>::len).max(graph.bias_count(id))
    };
    graph.layers().map(len).max().unwrap_or(0).saturating_mul(ELEMENT_BYTES).max(MIN_BYTES)
}

fn decode(
    bytes: &[u8],
    plan: &Plan,
    graph: &Graph,
    is_own: bool,
) -> Result<BTreeMap<String, Arc<Rounded>>, String> {
    let mut npz = Npz::open(bytes, limit(graph)).map_err(|error| error.to_string())?;
    check_names(&npz, graph)?;
    check_formats(&mut npz, plan, graph)?;
    let scalable = equalizable(graph);
    let mut all = BTreeMap::new();
    for (id, node) in graph.layers() {
        if npz.contains(&format!("{}/weights", node.name)) {
            let rounded = layer(&mut npz, plan, graph, id, scalable[id])?;
            if is_own && !is_of(&mut npz, node)? {
                return Err(other_weights(&node.name));
            }
            all.insert(node.name.clone(), Arc::new(rounded));
        }
    }
    Ok(all)
}

/// The way out where integers do not belong to a plan.
const REFIT: &str = "they no longer belong to the plan: `fixedwise refit plan.toml` rounds them anew \
                     for its formats (so does `evaluate --refit`); without the `integers` lines all \
                     weights are rounded to the nearest, which usually loses far more";

/// Refuses arrays of no node.
fn check_names(npz: &Npz<Cursor<&[u8]>>, graph: &Graph) -> Result<(), String> {
    for name in npz.names() {
        let is_known = name.rsplit_once('/').is_some_and(|(node, kind)| {
            let is_of_value = kind == array_of(Kind::Activations);
            let is_of_layer = KINDS.contains(&kind) || is_of_value;
            is_of_layer && is_node(graph, node, true) || is_of_value && is_node(graph, node, false)
        });
        if !is_known {
            return Err(format!(
                "array `{name}` does not belong to a layer of the network; the layers are {}",
                names(graph, true)
            ));
        }
    }
    Ok(())
}

/// Refuses biases and results with other formats than the integers were rounded for, where the file tells.
fn check_formats(npz: &mut Npz<Cursor<&[u8]>>, plan: &Plan, graph: &Graph) -> Result<(), String> {
    let now = formats(plan);
    for ((name, kind), then) in made_for(npz, graph)? {
        let now = now.get(&(name.clone(), kind)).copied();
        if kind == Kind::Weights || now == Some(then) {
            continue;
        }
        let what = if kind == Kind::Biases { "a bias" } else { "a result" };
        let now = now.map_or_else(
            || "has no format for it".to_owned(),
            |now| format!("has bits = {}, frac = {}", now.bits, now.frac),
        );
        return Err(format!(
            "the integers were rounded for {what} of `{name}` with bits = {}, frac = {}, and the plan \
             {now}; {REFIT}",
            then.bits, then.frac
        ));
    }
    Ok(())
}

/// The formats that integers were rounded for.
fn made_for(npz: &mut Npz<Cursor<&[u8]>>, graph: &Graph) -> Result<Formats, String> {
    let mut formats = Formats::new();
    for node in &graph.nodes {
        for kind in [Kind::Weights, Kind::Biases, Kind::Activations] {
            let name = format!("{}/{}", node.name, array_of(kind));
            if npz.contains(&name) {
                let format = format_of(&integers(npz, &name, |_| 3)?);
                let format =
                    format.ok_or_else(|| format!("array `{name}` is not a number format"))?;
                formats.insert((node.name.clone(), kind), format);
            }
        }
    }
    Ok(formats)
}

/// The inverse of [`numbers`].
fn format_of(numbers: &[i64]) -> Option<Format> {
    let &[bits, frac, range] = numbers else { return None };
    let range = [Range::Narrow, Range::Full, Range::Unsigned, Range::Bipolar]
        .into_iter()
        .find(|&known| i64::from(range_number(known)) == range)?;
    let format = Format { bits: u8::try_from(bits).ok()?, frac: i8::try_from(frac).ok()?, range };
    format.checked(MAX_BIAS_BITS).ok()
}

/// What the integers of a file were rounded for; `expected` is the SHA-256 that a plan says of the file, where it
/// says something.
///
/// # Errors
/// [`Error`] naming the file, also where they were rounded from other weights.
pub(crate) fn made(path: &Path, expected: Option<&str>, graph: &Graph) -> Result<Made, Error> {
    let refuse = |problem| Error::Plan { path: path.to_owned(), line: None, problem };
    let bytes = checked_bytes(path, expected)?;
    let scalable = equalizable(graph);
    let read = || -> Result<Made, String> {
        let mut npz = Npz::open(&bytes, limit(graph)).map_err(|error| error.to_string())?;
        check_names(&npz, graph)?;
        let mut made = Made { formats: made_for(&mut npz, graph)?, ..Made::default() };
        for (id, node) in graph.layers() {
            if !is_of(&mut npz, node)? {
                return Err(other_weights(&node.name));
            }
            if npz.contains(&format!("{}/scales", node.name)) {
                let scales = scales(&mut npz, node, scalable[id])?;
                made.scales.insert(node.name.clone(), scales);
            }
        }
        Ok(made)
    };
    read().map_err(refuse)
}

impl Made {
    /// Of the integers of a plan in memory.
    pub(crate) fn of(plan: &Plan) -> Self {
        let scales = plan.rounded.iter().map(|(name, r)| (name.clone(), r.scales.clone()));
        Self { formats: formats(plan), scales: scales.collect() }
    }

    /// By node, the scales of its channels; none where all are one.
    pub(crate) fn scales(&self, graph: &Graph) -> Vec<Vec<f32>> {
        let of = |node: &Node| {
            let scales = self.scales.get(&node.name)?;
            let is_scaled = scales.iter().any(|s| s.to_bits() != 1.0_f32.to_bits());
            is_scaled.then(|| scales.clone())
        };
        graph.nodes.iter().map(|node| of(node).unwrap_or_default()).collect()
    }
}

fn other_weights(layer: &str) -> String {
    format!(
        "the integers of `{layer}` were rounded from other weights or with other preprocessing; \
         give the model and `--preprocess` of the run that made the plan, or remove the \
         `integers` lines from it to round weights to the nearest"
    )
}

fn layer(
    npz: &mut Npz<Cursor<&[u8]>>,
    plan: &Plan,
    graph: &Graph,
    id: NodeId,
    is_scalable: bool,
) -> Result<Rounded, String> {
    let node = &graph.nodes[id];
    let name = &node.name;
    let channels = node.shape.c;
    let made_for = integers(npz, &format!("{name}/format"), |_| 3)?;
    let format = plan.layer(name).and_then(|layer| layer.weights);
    let Some(format) = format.filter(|&format| numbers(format)[..] == made_for[..]) else {
        let now = format.map_or_else(
            || "has no format for its weights".to_owned(),
            |format| {
                let range = format.range.name();
                format!("has bits = {}, frac = {}, {range}", format.bits, format.frac)
            },
        );
        return Err(format!(
            "the integers of `{name}` were rounded for bits = {}, frac = {}, and the plan {now}; \
             {REFIT}",
            made_for[0], made_for[1]
        ));
    };
    let count = node.op.weights().map_or(0, <[f32]>::len);
    let found = integers(npz, &format!("{name}/weights"), |_| count)?;
    let is_of_it = |w: &i16| format.holds(i64::from(*w));
    let weight = |w: i64| {
        i16::try_from(w).ok().filter(is_of_it).ok_or_else(|| {
            format!("weight {w} of `{name}` is outside its format of {} bits", format.bits)
        })
    };
    let weights = found.into_iter().map(weight).collect::<Result<_, _>>()?;
    let scales = scales(npz, node, is_scalable)?;
    let bias = floats(npz, &format!("{name}/bias"), |len| biases(graph, id, len))?;
    let coarser = format!("{name}/coarser");
    let coarser = if npz.contains(&coarser) {
        let point = |bits: i64| u8::try_from(bits).ok().filter(|&bits| bits <= MAX_COARSER);
        integers(npz, &coarser, |_| channels)?.into_iter().map(point).collect()
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

/// The scales of a layer's channels.
fn scales(
    npz: &mut Npz<Cursor<&[u8]>>,
    node: &Node,
    is_scalable: bool,
) -> Result<Vec<f32>, String> {
    let name = &node.name;
    let scales = floats(npz, &format!("{name}/scales"), |_| node.shape.c)?;
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
    Ok(scales)
}

/// An array of as many floats as there must be of the number that there are.
fn floats(
    npz: &mut Npz<Cursor<&[u8]>>,
    name: &str,
    count: impl Fn(usize) -> usize,
) -> Result<Vec<f32>, String> {
    match read_array(npz, name, count)? {
        ArrayData::F32(values) if values.iter().all(|x| x.is_finite()) => Ok(values),
        ArrayData::F32(_) => Err(format!("array `{name}` contains numbers that are not finite")),
        _ => Err(format!("array `{name}` must contain floats")),
    }
}

fn integers(
    npz: &mut Npz<Cursor<&[u8]>>,
    name: &str,
    count: impl Fn(usize) -> usize,
) -> Result<Vec<i64>, String> {
    match read_array(npz, name, count)? {
        ArrayData::I64(values) => Ok(values),
        ArrayData::U8(values) => Ok(values.into_iter().map(i64::from).collect()),
        ArrayData::F32(_) => Err(format!("array `{name}` must contain integers")),
    }
}

fn read_array(
    npz: &mut Npz<Cursor<&[u8]>>,
    name: &str,
    count: impl Fn(usize) -> usize,
) -> Result<ArrayData, String> {
    let array = npz.read(name).map_err(|error| error.to_string())?;
    let count = count(array.data.len());
    if array.data.len() == count {
        return Ok(array.data);
    }
    Err(other_model(name, array.data.len(), count))
}
