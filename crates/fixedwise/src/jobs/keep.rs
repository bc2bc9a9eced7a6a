//! Widths that a run is given: which tensors they are of, and whether those can have them.

use crate::{
    error::Error,
    names::{ShortNames, nearest},
};
use fixedwise_graph::{Graph, NodeId, Semantics, Target, target::Widths};
use fixedwise_search::strategies::{Kind, PlanHead, Tensor, quantized_activations};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, ops::RangeInclusive};

/// The width of one tensor, given and not searched.
///
/// ```
/// use fixedwise::{Keep, Kind};
///
/// let all = Keep::parse("dense=8,-,12")?;
/// assert_eq!(all.len(), 2);
/// assert_eq!((all[1].kind, all[1].bits), (Kind::Activations, 12));
/// assert_eq!(Keep::parse("features.0.weights=8")?[0].node, "features.0");
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keep {
    /// The node, by its whole or short name.
    pub node: String,
    /// Which of its tensors.
    pub kind: Kind,
    /// Its width.
    pub bits: u8,
}

/// How each kind is called after a node; the first is the usual one.
const NAMES: [(Kind, [&str; 2]); 3] = [
    (Kind::Weights, ["weights", "weight"]),
    (Kind::Biases, ["bias", "biases"]),
    (Kind::Activations, ["activation", "activations"]),
];

/// How a kind is called after a node.
pub(crate) fn keep_name(kind: Kind) -> &'static str {
    let of_kind = NAMES.iter().find(|(known, _)| *known == kind);
    of_kind.map_or_else(|| kind.name(), |(_, names)| names[0])
}

impl Keep {
    /// Reads `NODE.weights=8` (or `.bias`, `.activation`), or `NODE=8,8,12`: weights, bias and activation, with
    /// `-` for one that is not given.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Vec<Self>, String> {
        let form = "write NODE.weights=8, NODE.bias=8, NODE.activation=8, or NODE=8,8,12 (weights, bias, \
                    activation; - for one that is searched)";
        let refuse = |problem: &str| format!("`{text}`: {problem}; {form}");
        let (place, value) = text.rsplit_once('=').ok_or_else(|| refuse("it has no `=`"))?;
        let width = |text: &str| {
            let bits = text.trim().parse().ok().filter(|bits| (1..=32).contains(bits));
            bits.ok_or_else(|| {
                refuse(&format!("`{}` is not a bit width from 1 to 32", text.trim()))
            })
        };
        let place = place.trim();
        let of_kind = place.rsplit_once('.').and_then(|(node, name)| {
            let kind = NAMES.iter().find(|(_, names)| names.contains(&name))?;
            Some((node, kind.0))
        });
        if place.is_empty() || of_kind.is_some_and(|(node, _)| node.is_empty()) {
            return Err(refuse("it names no node"));
        }
        if let Some((node, kind)) = of_kind {
            return Ok(vec![Self { node: node.to_owned(), kind, bits: width(value)? }]);
        }
        let parts: Vec<&str> = value.split(',').map(str::trim).collect();
        let [_, _, _] = parts[..] else {
            return Err(refuse("a node has three widths, of weights, bias and activation"));
        };
        let mut all = Vec::new();
        for (part, (kind, _)) in parts.into_iter().zip(NAMES) {
            if part != "-" {
                all.push(Self { node: place.to_owned(), kind, bits: width(part)? });
            }
        }
        if all.is_empty() {
            return Err(refuse("it gives no width"));
        }
        Ok(all)
    }

    /// `weights`, `bias` or `activation`.
    pub(crate) fn kind_name(&self) -> &'static str {
        NAMES.iter().find(|(kind, _)| *kind == self.kind).map_or("", |(_, names)| names[0])
    }
}

/// Widths of the names that tables, progress and plots show.
const SHORT: RangeInclusive<usize> = 8..=40;

/// Widths by the whole names of their nodes, each tensor once: the last that is given of it counts.
///
/// # Errors
/// [`Error::Option`] for a node or tensor that the network does not have, and a width that it cannot have.
pub(crate) fn resolved(
    given: &[Keep],
    graph: &Graph,
    target: Option<&Target>,
) -> Result<Vec<Keep>, Error> {
    let mut kept: Vec<Keep> = Vec::new();
    for keep in given {
        let id = node(graph, &keep.node)?;
        check(keep, graph, id, target)?;
        let keep = Keep { node: graph.nodes[id].name.clone(), ..keep.clone() };
        kept.retain(|other| (&other.node, other.kind) != (&keep.node, keep.kind));
        kept.push(keep);
    }
    Ok(kept)
}

fn refuse<T>(problem: String) -> Result<T, Error> {
    Err(Error::Option { option: "keep", problem })
}

/// The node of that name, as the file has it or as tables show it.
fn node(graph: &Graph, name: &str) -> Result<NodeId, Error> {
    if let Some(id) = graph.find(name) {
        return Ok(id);
    }
    let own = quantized_activations(graph, Semantics::Integer);
    let all = || graph.nodes.iter().map(|node| node.name.as_str());
    let shown = || own.iter().map(|&id| graph.nodes[id].name.as_str());
    let forms: Vec<ShortNames> = SHORT
        .chain([usize::MAX])
        .flat_map(|width| [ShortNames::new(all(), width), ShortNames::new(shown(), width)])
        .collect();
    let found: BTreeSet<NodeId> = forms
        .iter()
        .flat_map(|names| (0..graph.nodes.len()).map(move |id| (id, names)))
        .filter(|(id, names)| names.get(&graph.nodes[*id].name) == name)
        .map(|(id, _)| id)
        .collect();
    let mut found = found.into_iter();
    match (found.next(), found.next()) {
        (Some(id), None) => Ok(id),
        (Some(one), Some(other)) => refuse(format!(
            "names `{name}`, which may be `{}` or `{}`; give the whole name",
            graph.nodes[one].name, graph.nodes[other].name
        )),
        _ => {
            let short = ShortNames::of(graph);
            let names: Vec<String> = shown().map(|name| short.get(name)).collect();
            let near = nearest(name, names.iter().map(String::as_str));
            let near = near.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            refuse(format!(
                "names `{name}`, which the network does not have; the nearest names are {near}"
            ))
        }
    }
}

/// Refuses a tensor that a node does not have, and a width that it cannot have.
fn check(keep: &Keep, graph: &Graph, id: NodeId, target: Option<&Target>) -> Result<(), Error> {
    let Keep { node, kind, bits } = keep;
    let what = keep.kind_name();
    let is_layer = graph.nodes[id].op.is_layer();
    if *kind != Kind::Activations && !is_layer {
        return refuse(format!(
            "gives `{node}` a width of its {what}, but it is no layer with weights; it has only an activation"
        ));
    }
    if !quantized_activations(graph, Semantics::Integer).contains(&id) {
        return refuse(format!(
            "gives `{node}` a width, but its values have the format of its input; give that of the \
             node before it"
        ));
    }
    // A bias that is zero in the model may get a value when the weights are rounded.
    let all = Tensor::all(graph, &PlanHead::INTEGER, *kind, &[id]);
    let tensor = all.into_iter().next();
    let range = tensor.map_or(fixedwise_fixed::Range::Narrow, |tensor| tensor.range);
    // One bit of weights is -1 or +1.
    let is_signed_result = *kind == Kind::Activations && range != fixedwise_fixed::Range::Unsigned;
    let least = if is_signed_result { 2 } else { 1 };
    let most = kind.max_bits(range);
    if !(least..=most).contains(bits) {
        return refuse(format!(
            "gives the {what} of `{node}` {bits} bits; allowed: {least} to {most}"
        ));
    }
    let Some(target) = target else { return Ok(()) };
    let widths = match kind {
        Kind::Weights => &target.weight_bits,
        Kind::Biases => &target.bias_bits,
        Kind::Activations => &target.activation_bits,
    };
    match widths {
        Widths::Listed(listed) if widths.stored(*bits).is_none() => {
            let listed = listed.iter().map(u8::to_string).collect::<Vec<_>>().join(", ");
            refuse(format!(
                "gives the {what} of `{node}` {bits} bits, which target `{}` cannot store; it stores {listed}",
                target.name
            ))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fixedwise_graph::{
        Shape,
        ops::{Add, Relu, Window},
        passes,
    };
    use fixedwise_testing::Build;

    fn keep(node: &str, kind: Kind, bits: u8) -> Keep {
        Keep { node: node.to_owned(), kind, bits }
    }

    #[test]
    fn widths_are_read_one_by_one_or_three_at_once() {
        let parse = |text: &str| Keep::parse(text);
        let (w, b, a) = (Kind::Weights, Kind::Biases, Kind::Activations);
        assert_eq!(parse("conv1.weights=8"), Ok(vec![keep("conv1", w, 8)]));
        assert_eq!(parse("a=b/c.activations = 4"), Ok(vec![keep("a=b/c", a, 4)]));
        assert_eq!(
            parse("x.0=8, 9,12"),
            Ok(vec![keep("x.0", w, 8), keep("x.0", b, 9), keep("x.0", a, 12)])
        );
        assert_eq!(parse("add=-,-,5"), Ok(vec![keep("add", a, 5)]));
        for text in [
            "",
            "x",
            "x=",
            "=8,8,8",
            ".weights=8",
            "x=8",
            "x=8,8",
            "x=-,-,-",
            "x.bias=0",
            "x=8,8,x",
            "x=1,2,3,4",
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains("NODE.weights=8"), "{error}");
        }
    }

    #[test]
    fn nodes_are_found_by_their_names_and_what_cannot_be_is_refused() {
        let mut b = Build::new(Shape::new(4, 4, 1), 1);
        let x = b.conv("/block/conv1/Conv", 0, 2, &Window::pixel(), 1);
        let x = b.push("/block/conv1/Relu", Relu, vec![x]);
        let y = b.conv("/block/conv2/Conv", x, 2, &Window::pixel(), 1);
        let y = b.push("/block/conv2/Relu", Relu, vec![y]);
        b.push("/block/add/Add", Add, vec![x, y]);
        let graph = passes::prepare(&b.finish(), Semantics::Integer).unwrap();
        let target = Target { activation_bits: Widths::Listed(vec![8]), ..Target::default() };
        let of = |given: &[Keep]| resolved(given, &graph, Some(&target));
        let both = [keep("conv1", Kind::Weights, 5), keep("/block/conv1/Conv", Kind::Weights, 6)];
        assert_eq!(of(&both).unwrap(), [keep("/block/conv1/Conv", Kind::Weights, 6)]);
        of(&[keep("conv2", Kind::Biases, 32), keep("add.Add", Kind::Activations, 7)]).unwrap();
        for (given, expected) in [
            (keep("conv3", Kind::Weights, 8), "nearest names are `conv1`, `conv2`"),
            (keep("add.Add", Kind::Weights, 8), "only an activation"),
            (keep("conv1", Kind::Weights, 0), "allowed: 1 to 16"),
            (keep("conv1", Kind::Weights, 17), "allowed: 1 to 16"),
            (keep("conv1", Kind::Activations, 9), "cannot store; it stores 8"),
            (keep("conv1", Kind::Activations, 16), "allowed: 1 to 15"),
        ] {
            let error = of(&[given]).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
