//! A search visits the layers of the paper's networks in the paper's order.

use fixedwise_codec::onnx;
use fixedwise_graph::{Semantics, from_onnx, passes};
use fixedwise_search::strategies::layer_order;
use fixedwise_testing::{project, shared};
use std::path::Path;

/// The names of the layers of a network in the order of a search.
fn order(path: &Path) -> Vec<String> {
    let bytes = std::fs::read(path).unwrap();
    let file = onnx::parse_model(&bytes, &|_| Err("no other file".to_owned())).unwrap();
    let graph = passes::prepare(&from_onnx(&file, "network").unwrap(), Semantics::Simulated);
    let graph = graph.unwrap();
    let order = layer_order(&graph, Semantics::Simulated, &[]).unwrap();
    order.iter().map(|&id| graph.nodes[id].name.clone()).collect()
}

#[test]
fn the_papers_networks_are_visited_in_its_order() {
    let Some(results) = shared("seed/results.json") else { return };
    let results = std::fs::read_to_string(results).unwrap();
    let results: serde_json::Value = serde_json::from_str(&results).unwrap();
    for (name, published) in [
        ("seq_large_mnist", "Sequential MNIST"),
        ("seq_large_fashion", "Sequential Fashion"),
        ("inception_mnist", "DF MNIST"),
        ("inception_fashion", "DF Fashion"),
    ] {
        let Some(path) = shared(&format!("seed/models/{name}.onnx")) else { return };
        let expected = &results["models"][published]["key_order"]["weights"];
        let expected: Vec<&str> =
            expected.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
        assert_eq!(order(&path), expected, "{name}");
    }
}

/// Those that come along have the paper's architectures: a chain, and three modules of branches, in
/// each of which the layers after the module's input come first, the longer way before the shorter.
#[test]
fn the_embedded_networks_are_visited_in_the_papers_order() {
    let chain = order(&project("models/fashion_large.onnx"));
    let conv = |n: usize| format!("conv2d_{n}");
    let expected: Vec<String> = (1..chain.len()).map(conv).chain(["dense_1".to_owned()]).collect();
    assert_eq!(chain, expected);
    assert!(chain.len() > 10);

    let published = [1, 5, 3, 8, 2, 6, 4, 7, 12, 10, 15, 9, 13, 11, 14, 19, 17, 22, 16, 20, 18, 21];
    let expected: Vec<String> =
        published.into_iter().map(conv).chain(["dense_1".to_owned()]).collect();
    assert_eq!(order(&project("models/fashion_inception.onnx")), expected);
}
