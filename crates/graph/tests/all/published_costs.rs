//! The costs of the paper's plans, of all its networks: as its code adds them up, and with every bit
//! width at its own layer.
//!
//! That code takes bit widths in the order of the search and sizes in the order of the network, and
//! multiplies them place by place; in the branched networks the orders differ.

use fixedwise_fixed::{Format, Rounding};
use fixedwise_graph::{
    Activation, Graph, LayerPlan, Node, Plan, Quantizer, Semantics, Shape, cost, effective,
    ops::{Conv, Input, Window},
};
use fixedwise_testing::shared;
use serde_json::Value;
use std::collections::BTreeMap;

#[test]
fn published_costs_are_reproduced() {
    let Some(results) = shared("seed/results.json") else { return };
    let results: Value = serde_json::from_str(&std::fs::read_to_string(results).unwrap()).unwrap();
    let models = results["models"].as_object().unwrap();
    assert_eq!(models.len(), 8);
    for (pairing, printed, [memory_mean, multiplications_mean]) in
        [("as_seed", true, [53.52, 77.52]), ("corrected", false, [50.83, 72.02])]
    {
        let mut means = [0.0; 2];
        for (name, model) in models {
            let layers = &model["keras_model_layers_order"];
            let graph = graph(&strings(layers), &model["layers"]);
            let plan = plan(model, &strings(layers), printed);
            let memory = cost::memory(&graph, &plan).unwrap();
            let multiplications = cost::multiplications(&graph, &plan).unwrap();

            let what = format!("{name}, {pairing}");
            let kb = &model[&format!("memory_KB_{pairing}")];
            let eight = &model["memory_KB_uniform8"];
            let sum = ["weights", "biases", "activations"].map(|kind| number(&eight[kind]));
            near(kilobytes(memory.weights), number(&kb["weights"]), &what);
            near(kilobytes(memory.biases), number(&kb["biases"]), &what);
            near(kilobytes(memory.activations), number(&kb["activations"]), &what);
            near(kilobytes(memory.total()), number(&model["memory_total_KB"][pairing]), &what);
            near(kilobytes(memory.uniform8), sum.iter().sum(), &what);
            let costs = &model["mult_cost"];
            assert_eq!(Some(multiplications.paper), costs[pairing].as_u64(), "{what}");
            assert_eq!(Some(multiplications.uniform8), costs["uniform8"].as_u64(), "{what}");

            let reductions = &model["reduction_pct_vs_uniform8"];
            let [saved, spared] =
                [memory.reduction(), multiplications.paper_reduction()].map(|part| 100.0 * part);
            near(saved, number(&reductions["memory_total"][pairing]), &what);
            near(spared, number(&reductions["mult_cost"][pairing]), &what);
            means[0] += saved / 8.0;
            means[1] += spared / 8.0;
        }
        assert_eq!(format!("{:.2}", means[0]), format!("{memory_mean:.2}"), "{pairing}");
        assert_eq!(format!("{:.2}", means[1]), format!("{multiplications_mean:.2}"), "{pairing}");
    }
}

#[test]
fn zero_bits_of_weights_do_not_count_as_operations() {
    let input = Shape::new(3, 2, 2);
    let conv = Conv {
        window: Window::pixel(),
        groups: 1,
        channels: 2,
        // At F = 2: 2, -3, 0 and 5; with 8 bits, F = 6: 32, -48, 0 and 80.
        weights: vec![0.5, -0.75, 0.0, 1.25],
        bias: vec![0.0; 2],
        tap_bias: vec![],
    };
    let node = |name: &str, op: fixedwise_graph::Op, inputs: Vec<usize>, shape| Node {
        name: name.to_owned(),
        op,
        inputs,
        activation: Activation::None,
        shape,
    };
    let nodes = vec![
        node("input", Input { shape: input }.into(), vec![], input),
        node("conv", conv.into(), vec![0], input),
    ];
    let graph = Graph::new("one", nodes, 1);
    let layer = LayerPlan {
        name: "conv".to_owned(),
        weights: Some(Format::signed(4, 2)),
        bias: Some(Format::signed(1, 0)),
        activation: Some(Format::signed(8, 4)),
    };
    let plan = Plan {
        semantics: Semantics::Integer,
        quantizer: Quantizer::Uniform,
        rounding: Rounding::TiesUp,
        input: Format::unsigned(5, 0),
        layers: vec![layer],
        rounded: BTreeMap::new(),
        thinned: None,
        others: BTreeMap::new(),
    };
    let cost = effective::integers(&graph, &plan).unwrap().unwrap();
    // Spans of 1, 2, 0 and 3 bits, at six positions.
    assert_eq!((cost.bit_operations.plan, cost.bit_operations.uniform8), (6 * 6 * 5, 6 * 6 * 8));
    assert_eq!((cost.coded_bytes.plan, cost.coded_bytes.uniform8), (2, 4));
    let simulated = Plan { semantics: Semantics::Simulated, ..plan };
    assert_eq!(effective::integers(&graph, &simulated).unwrap(), None);
}

/// The layers, each by itself: what a layer costs depends on no other one.
fn graph(names: &[String], layers: &Value) -> Graph {
    let shape = Shape::new(1, 1, 1);
    let node = |name: &str, op, inputs, shape| Node {
        name: name.to_owned(),
        op,
        inputs,
        activation: Activation::None,
        shape,
    };
    let mut nodes = vec![node("input", Input { shape }.into(), vec![], shape)];
    for name in names {
        let extents = |key: &str| -> Vec<usize> {
            let extents = layers[name][key].as_array().unwrap();
            extents.iter().map(|n| usize::try_from(n.as_u64().unwrap()).unwrap()).collect()
        };
        let (weights, output) = (extents("wshape"), extents("oshape"));
        let channels = output[0];
        let [h, w] = if let [_, h, w] = output[..] { [h, w] } else { [1, 1] };
        let conv = Conv {
            window: Window::whole(shape),
            groups: 1,
            channels,
            weights: vec![0.0; weights.iter().product()],
            bias: vec![0.0; channels],
            tap_bias: vec![],
        };
        nodes.push(node(name, conv.into(), vec![0], Shape::new(h, w, channels)));
    }
    let output = nodes.len() - 1;
    Graph::new("published", nodes, output)
}

/// The published bit widths; paired as the code that printed them pairs, or by name.
fn plan(model: &Value, names: &[String], printed: bool) -> Plan {
    let format = |kind: &str, place: usize| {
        let searched = strings(&model["key_order"][kind]);
        let name = if printed { &searched[place] } else { &names[place] };
        let bits = model["opt_params"][kind][name][0].as_u64().unwrap();
        Some(Format::signed(u8::try_from(bits).unwrap(), 0))
    };
    let layer = |(place, name): (usize, &String)| LayerPlan {
        name: name.clone(),
        weights: format("weights", place),
        bias: format("biases", place),
        activation: format("activations", place),
    };
    Plan {
        semantics: Semantics::Simulated,
        rounding: Rounding::TiesEven,
        quantizer: Quantizer::Uniform,
        input: Format::unsigned(8, 0),
        layers: names.iter().enumerate().map(layer).collect(),
        rounded: BTreeMap::new(),
        thinned: None,
        others: BTreeMap::new(),
    }
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

fn kilobytes(bits: u64) -> f64 {
    f64::from(u32::try_from(bits).unwrap()) / 8192.0
}

fn near(ours: f64, published: f64, what: &str) {
    assert!((ours - published).abs() < 1e-9, "{what}: {ours}, published {published}");
}
