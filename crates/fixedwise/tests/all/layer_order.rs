//! A search visits the layers of the paper's networks in the paper's order.

use fixedwise_codec::onnx;
use fixedwise_graph::{Semantics, from_onnx, passes};
use fixedwise_search::strategies::layer_order;
use fixedwise_testing::shared;

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
        let bytes = std::fs::read(path).unwrap();
        let file = onnx::parse_model(&bytes, &|_| Err("no other file".to_owned())).unwrap();
        let graph = from_onnx(&file, name).unwrap();
        let graph = passes::prepare(&graph, Semantics::Simulated).unwrap();
        let order = layer_order(&graph, Semantics::Simulated, &[]).unwrap();
        let order: Vec<&str> = order.iter().map(|&id| graph.nodes[id].name.as_str()).collect();
        let expected = &results["models"][published]["key_order"]["weights"];
        let expected: Vec<&str> =
            expected.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
        assert_eq!(order, expected, "{name}");
    }
}
