//! The declared preprocessing becomes part of the network, so that its inputs are raw pixels.

use crate::{
    error::GraphError,
    graph::{Graph, Node, NodeId},
    ops::Affine,
};

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
