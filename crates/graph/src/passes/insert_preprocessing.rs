//! The declared preprocessing becomes part of the network, so that its input is the raw pixel.

use crate::{
    error::GraphError,
    graph::{Graph, Node},
    ops::Affine,
};

/// The graph for raw pixels: `scale * pixel + shift`, channel by channel, is what it used to take.
///
/// # Errors
/// [`GraphError::Shape`] where the lists have not one element for each channel.
pub fn insert_preprocessing(
    graph: &Graph,
    scale: Vec<f64>,
    shift: Vec<f64>,
) -> Result<Graph, GraphError> {
    let mut graph = graph.clone();
    for node in &mut graph.nodes {
        node.inputs.iter_mut().for_each(|input| *input += 1);
    }
    graph.outputs.iter_mut().for_each(|output| output.node += 1);
    for node in &mut graph.nodes[1..] {
        node.inputs.iter_mut().for_each(|input| *input = (*input).max(1));
    }
    let mut name = "preprocessing".to_owned();
    while graph.find(&name).is_some() {
        name.push('_');
    }
    let shape = graph.input_shape();
    graph.nodes.insert(1, Node::new(&name, Affine { scale, shift }, vec![0], shape));
    graph.infer()?;
    Ok(graph)
}
