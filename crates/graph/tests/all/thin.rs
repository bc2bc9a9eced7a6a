//! Channels that are chosen to go.

use fixedwise_fixed::Format;
use fixedwise_graph::{
    Expression, Graph, Numbers, Semantics, Shape, Thinned, Unary, cost,
    ops::{Add, Concat, Function, GlobalAveragePool, Relu, Window},
    passes,
};
use fixedwise_testing::{Build, Random, plan_of, run_float, window};
use std::collections::BTreeMap;

/// Convolution, depthwise convolution, function, concatenation with another branch, dense layer.
fn network() -> Graph {
    let mut b = Build::new(Shape::new(7, 6, 3), 11);
    let x = b.conv("first", 0, 6, &window(3, 1, 1), 1);
    let x = b.push("relu", Relu, vec![x]);
    let x = b.conv("depthwise", x, 6, &window(3, 1, 1), 6);
    let x = b.push("tanh", Function { expression: Expression::x().then(Unary::Tanh) }, vec![x]);
    let y = b.conv("branch", 0, 4, &Window::pixel(), 1);
    let y = b.push("branch_relu", Relu, vec![y]);
    let x = b.push("join", Concat { axis: 2 }, vec![x, y]);
    let x = b.conv("second", x, 5, &window(3, 2, 1), 1);
    let x = b.push("second_relu", Relu, vec![x]);
    let x = b.push("mean", GlobalAveragePool, vec![x]);
    b.gemm("dense", x, 4);
    passes::prepare(&b.finish(), Semantics::Integer).unwrap()
}

/// The numbers of a layer without some of the inputs of its weights and some of its outputs.
fn numbers(graph: &Graph, name: &str, inputs: &[usize], outputs: &[usize]) -> Numbers {
    let own = graph.nodes[graph.find(name).unwrap()].op.parameters().unwrap();
    let stays = |at: &usize| {
        let (output, input) = own.channels_of(*at);
        !inputs.contains(&input) && !outputs.contains(&output)
    };
    let of_weights = (0..own.weights.len()).filter(stays).map(|at| own.weights[at]);
    let kept = (0..own.bias.len()).filter(|channel| !outputs.contains(channel));
    Numbers { weights: of_weights.collect(), bias: kept.map(|channel| own.bias[channel]).collect() }
}

fn dropped(channels: &[(&str, &[usize])]) -> BTreeMap<String, Vec<usize>> {
    channels.iter().map(|(name, channels)| ((*name).to_owned(), channels.to_vec())).collect()
}

#[test]
fn a_network_without_channels_computes_what_it_does_where_no_weight_takes_them() {
    let graph = network();
    let thinned = Thinned {
        dropped: dropped(&[("first", &[1, 4]), ("branch", &[0]), ("second", &[2])]),
        // Channels 6 to 9 of what is joined are those of the branch.
        numbers: [("second", numbers(&graph, "second", &[1, 4, 6], &[2]))]
            .map(|(name, own)| (name.to_owned(), own))
            .into(),
    };
    let thin = passes::thin(&graph, &thinned).unwrap();
    let channels = |name: &str| thin.nodes[thin.find(name).unwrap()].shape.c;
    assert_eq!(
        ["first", "depthwise", "tanh", "branch", "join", "second"].map(channels),
        [4, 4, 4, 3, 7, 4]
    );
    let mut zeroed = graph.clone();
    for (name, gone) in [("second", &[1, 4, 6][..]), ("dense", &[2])] {
        let id = zeroed.find(name).unwrap();
        let own = zeroed.nodes[id].op.parameters().unwrap();
        let is_gone = |at: &usize| gone.contains(&own.channels_of(*at).1);
        let at: Vec<usize> = (0..own.weights.len()).filter(is_gone).collect();
        let weights = zeroed.nodes[id].op.parameters_mut().unwrap().weights;
        at.into_iter().for_each(|at| weights[at] = 0.0);
    }
    let mut random = Random::new(3);
    for _ in 0..4 {
        let image = random.floats(7 * 6 * 3, -1.0, 1.0);
        let [found, expected] = [&thin, &zeroed].map(|graph| run_float(graph, &image));
        let near = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-5;
        assert!(found.iter().zip(&expected).all(near), "{found:?} {expected:?}");
    }
    // What is saved is told against the network with all its channels.
    let format = Format::signed(8, 4);
    let [whole, part] = [&graph, &thin]
        .map(|graph| cost::memory(graph, &plan_of(graph, format, |_| format)).unwrap());
    assert_eq!(whole.uniform8, part.uniform8);
    assert!(part.total() < whole.total());
    let products =
        cost::multiplications(&thin, &plan_of(&thin, format, |_| format)).unwrap().uniform8;
    assert_eq!(products, 64 * graph.macs());
}

#[test]
fn channels_that_do_not_fit_are_refused() {
    let graph = network();
    let free: Vec<&str> =
        passes::droppable(&graph).into_iter().map(|id| &graph.nodes[id].name[..]).collect();
    assert_eq!(free, ["first", "branch", "second"]);
    for (channels, expected) in [
        (dropped(&[("dense", &[0])]), "no layer `dense` whose channels can go"),
        (dropped(&[("depthwise", &[0])]), "no layer `depthwise` whose channels can go"),
        (dropped(&[("absent", &[0])]), "no layer `absent`"),
        (dropped(&[("branch", &[4])]), "`branch` makes 4 channels"),
        (dropped(&[("branch", &[1, 1])]), "`branch` makes 4 channels"),
        (dropped(&[("branch", &[0, 1, 2, 3])]), "`branch` makes 4 channels"),
    ] {
        let thinned = Thinned { dropped: channels, numbers: BTreeMap::new() };
        let problem = passes::thin(&graph, &thinned).unwrap_err();
        assert!(problem.contains(expected), "{problem}");
    }
    let of_whole = numbers(&graph, "second", &[], &[]);
    let thinned = Thinned {
        dropped: dropped(&[("branch", &[0])]),
        numbers: [("second".to_owned(), of_whole)].into(),
    };
    let problem = passes::thin(&graph, &thinned).unwrap_err();
    assert!(problem.contains("405 weights and 5 biases"), "{problem}");
}

#[test]
fn a_channel_that_goes_into_a_sum_stays() {
    let mut b = Build::new(Shape::new(6, 6, 2), 5);
    let x = b.conv("stem", 0, 4, &window(3, 1, 1), 1);
    let x = b.push("stem_relu", Relu, vec![x]);
    let y = b.conv("inner", x, 3, &window(3, 1, 1), 1);
    let y = b.push("inner_relu", Relu, vec![y]);
    let y = b.conv("outer", y, 4, &window(3, 1, 1), 1);
    let x = b.push("sum", Add, vec![x, y]);
    b.conv("last", x, 2, &Window::pixel(), 1);
    let graph = passes::prepare(&b.finish(), Semantics::Integer).unwrap();
    let free: Vec<&str> =
        passes::droppable(&graph).into_iter().map(|id| &graph.nodes[id].name[..]).collect();
    assert_eq!(free, ["inner"]);
}
