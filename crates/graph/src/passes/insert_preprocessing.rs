//! The declared preprocessing becomes part of the network, so that its inputs are raw pixels.

use crate::{
    error::GraphError,
    graph::{Graph, Node, NodeId},
    ops::Affine,
    rounded_before::RoundedValue,
};
use fixedwise_fixed::convert::f64_to_f32;

/// The graph for raw pixels: `scale * pixel + shift` of [`Affine`], channel by channel, is what each input used to
/// take, in the order of the inputs.
///
/// # Errors
/// [`GraphError::Shape`] where the lists have not one element for each channel.
///
/// # Panics
/// Where there is not one for each input.
pub fn insert_preprocessing(graph: &Graph, scaled: Vec<Affine>) -> Result<Graph, GraphError> {
    assert_eq!(scaled.len(), graph.inputs.len(), "one for each input");
    let mut all = graph.clone();
    let mut name = "preprocessing".to_owned();
    while all.find(&name).is_some() {
        name.push('_');
    }
    let mut scaled = scaled.into_iter();
    // Where the value of each node is in the new graph, and what others take of it.
    let mut taken: Vec<NodeId> = Vec::with_capacity(graph.nodes.len());
    let mut own = Vec::with_capacity(graph.nodes.len());
    all.nodes.clear();
    for (id, node) in graph.nodes.iter().enumerate() {
        let inputs = node.inputs.iter().map(|&input| taken[input]).collect();
        all.nodes.push(Node { inputs, ..node.clone() });
        let mut value = all.nodes.len() - 1;
        own.push(value);
        if graph.is_input(id) {
            let affine = scaled.next().expect("one for each input");
            let name = match graph.inputs.len() {
                1 => name.clone(),
                _ => format!("{name} of {}", node.name),
            };
            // What the file says of its input is now said of the scaled one.
            if let Some(RoundedValue { bits, range }) = all.rounded_before.values.remove(&node.name)
            {
                let own = RoundedValue { bits, range: before(range, &affine) };
                all.rounded_before.values.insert(node.name.clone(), own);
                all.rounded_before.values.insert(name.clone(), RoundedValue { bits, range });
            }
            all.nodes.push(Node::new(name, affine, vec![value], node.shape));
            value += 1;
        }
        taken.push(value);
    }
    all.inputs.iter_mut().for_each(|input| *input = own[*input]);
    all.outputs.iter_mut().for_each(|output| output.node = taken[output.node]);
    all.infer()?;
    Ok(all)
}

/// The range of values that `scale * value + shift` has a range of, in any channel.
fn before(range: [f32; 2], Affine { scale, shift }: &Affine) -> [f32; 2] {
    let channels = scale.iter().zip(shift).filter(|(scale, _)| **scale != 0.0);
    let ends = channels.flat_map(|(scale, shift)| range.map(|x| (f64::from(x) - shift) / scale));
    let [low, high] = ends.fold([0.0, 0.0], |[low, high]: [f64; 2], x| [low.min(x), high.max(x)]);
    [low, high].map(f64_to_f32)
}
