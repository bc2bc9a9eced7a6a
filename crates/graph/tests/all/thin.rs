//! Channels that are chosen to go.

use fixedwise_codec::onnx;
use fixedwise_fixed::Format;
use fixedwise_graph::{
    Expression, Graph, Numbers, Semantics, Shape, Thinned, Unary, cost, from_onnx,
    ops::{Add, Concat, Function, GlobalAveragePool, IndexMap, Mul, PRelu, Relu, Window},
    passes,
};
use fixedwise_testing::{Build, Random, plan_of, project, run_float, window};
use std::{collections::BTreeMap, io::Read as _};

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

/// The weights by which a layer takes some channels are zero.
fn without_inputs(graph: &mut Graph, name: &str, gone: &[usize]) {
    let id = graph.find(name).unwrap();
    let own = graph.nodes[id].op.parameters().unwrap();
    let is_gone = |at: &usize| gone.contains(&own.channels_of(*at).1);
    let at: Vec<usize> = (0..own.weights.len()).filter(is_gone).collect();
    let weights = graph.nodes[id].op.parameters_mut().unwrap().weights;
    at.into_iter().for_each(|at| weights[at] = 0.0);
}

/// Two networks say the same of a few images.
fn is_the_same(a: &Graph, b: &Graph, pixels: usize) {
    let mut random = Random::new(3);
    for _ in 0..4 {
        let image = random.floats(pixels, -1.0, 1.0);
        let [found, expected] = [a, b].map(|graph| run_float(graph, &image));
        let near = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-5;
        assert!(found.iter().zip(&expected).all(near), "{found:?} {expected:?}");
    }
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
    without_inputs(&mut zeroed, "second", &[1, 4, 6]);
    without_inputs(&mut zeroed, "dense", &[2]);
    is_the_same(&thin, &zeroed, 7 * 6 * 3);
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
fn maps_and_slopes_do_without_channels() {
    let mut b = Build::new(Shape::new(7, 6, 3), 17);
    let x = b.conv("first", 0, 4, &window(3, 1, 1), 1);
    let slopes = (0..7 * 6 * 4_u8).map(|i| f32::from(i % 13) / 8.0).collect();
    let x = b.push("slopes", PRelu { slopes }, vec![x]);
    let places = |step: usize, places: &[usize]| places.iter().map(|i| Some(i * step)).collect();
    // Without the first column and the last row, the channels turned round and one zero channel behind.
    let mut channels: Vec<Option<usize>> = places(1, &[3, 2, 1, 0]);
    channels.push(None);
    let rows = places(6 * 4, &[0, 1, 2, 3, 4, 5]);
    let x =
        b.push("map", IndexMap { rows, columns: places(4, &[1, 2, 3, 4, 5]), channels }, vec![x]);
    b.conv("second", x, 2, &window(3, 1, 1), 1);
    let graph = passes::prepare(&b.finish(), Semantics::Integer).unwrap();
    let thinned = Thinned {
        dropped: dropped(&[("first", &[0, 2])]),
        numbers: [("second".to_owned(), numbers(&graph, "second", &[1, 3], &[]))].into(),
    };
    let thin = passes::thin(&graph, &thinned).unwrap();
    let mut zeroed = graph.clone();
    without_inputs(&mut zeroed, "second", &[1, 3]);
    is_the_same(&thin, &zeroed, 7 * 6 * 3);
}

#[test]
fn channels_that_do_not_fit_are_refused() {
    let graph = network();
    let layer = |group: &Vec<passes::Tied>| group[0][0].0;
    let free: Vec<&str> =
        passes::droppable(&graph).iter().map(|group| &graph.nodes[layer(group)].name[..]).collect();
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

/// A gate on the values of a residual network, a sum that is taken by two layers, and an average that one channel stands for.
fn tied_network() -> Graph {
    let mut b = Build::new(Shape::new(6, 6, 2), 5);
    let x = b.conv("stem", 0, 4, &window(3, 1, 1), 1);
    let x = b.push("stem_relu", Relu, vec![x]);
    let y = b.conv("inner", x, 3, &window(3, 1, 1), 1);
    let y = b.push("inner_relu", Relu, vec![y]);
    let mean = b.push("mean", GlobalAveragePool, vec![y]);
    let gate = b.conv("squeeze", mean, 2, &Window::pixel(), 1);
    let gate = b.conv("excite", gate, 3, &Window::pixel(), 1);
    let gate =
        b.push("gate", Function { expression: Expression::x().then(Unary::Sigmoid) }, vec![gate]);
    let y = b.push("gated", Mul, vec![y, gate]);
    let y = b.conv("outer", y, 4, &window(3, 1, 1), 1);
    let x = b.push("sum", Add, vec![x, y]);
    let mask = b.conv("mask", x, 1, &Window::pixel(), 1);
    let x = b.push("masked", Mul, vec![x, mask]);
    b.conv("last", x, 2, &Window::pixel(), 1);
    passes::prepare(&b.finish(), Semantics::Integer).unwrap()
}

#[test]
fn channels_of_a_sum_and_of_a_product_go_together() {
    let graph = tied_network();
    let name = |&(id, channel): &(usize, usize)| format!("{}:{channel}", graph.nodes[id].name);
    let groups: Vec<Vec<String>> = passes::droppable(&graph)
        .iter()
        .map(|group| {
            group.iter().map(|tied| tied.iter().map(name).collect::<Vec<_>>().join(" ")).collect()
        })
        .collect();
    let expected = [
        vec!["stem:0 outer:0", "stem:1 outer:1", "stem:2 outer:2", "stem:3 outer:3"],
        vec!["inner:0 excite:0", "inner:1 excite:1", "inner:2 excite:2"],
        vec!["squeeze:0", "squeeze:1"],
    ];
    assert_eq!(groups, expected);
    let thinned = Thinned {
        dropped: dropped(&[
            ("stem", &[1]),
            ("outer", &[1]),
            ("inner", &[0, 2]),
            ("excite", &[0, 2]),
        ]),
        numbers: BTreeMap::new(),
    };
    let thin = passes::thin(&graph, &thinned).unwrap();
    let mut zeroed = graph.clone();
    for (name, gone) in [
        ("inner", &[1][..]),
        ("outer", &[0, 2]),
        ("squeeze", &[0, 2]),
        ("mask", &[1]),
        ("last", &[1]),
    ] {
        without_inputs(&mut zeroed, name, gone);
    }
    is_the_same(&thin, &zeroed, 6 * 6 * 2);
    let alone = Thinned { dropped: dropped(&[("stem", &[1])]), numbers: BTreeMap::new() };
    let problem = passes::thin(&graph, &alone).unwrap_err();
    assert_eq!(problem, "channel 1 of `stem` goes only with channel 1 of `outer`");
}

/// Without every third of the channels that may go, or some of each layer, a network computes what it does where no weight
/// takes them. Gives how many go.
fn does_without(graph: &Graph, name: &str) -> usize {
    let mut dropped: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for group in passes::droppable(graph) {
        for tied in group.iter().skip(1).step_by(3) {
            for &(id, channel) in tied {
                dropped.entry(graph.nodes[id].name.clone()).or_default().push(channel);
            }
        }
    }
    dropped.values_mut().for_each(|channels| channels.sort_unstable());
    let gone = passes::dropped(graph, &dropped);
    let mut zeroed = graph.clone();
    for (id, _) in graph.layers() {
        let own = graph.nodes[id].op.parameters().unwrap();
        if own.groups == 1 {
            let before = &gone[graph.nodes[id].main_input()];
            let channels: Vec<usize> = (0..before.len()).filter(|&at| before[at]).collect();
            without_inputs(&mut zeroed, &graph.nodes[id].name, &channels);
        }
    }
    let thinned = Thinned { dropped, numbers: BTreeMap::new() };
    let thin = passes::thin(graph, &thinned).unwrap_or_else(|error| panic!("{name}: {error}"));
    let image = Random::new(7).floats(graph.image_len(), -1.0, 1.0);
    let [found, expected] = [&thin, &zeroed].map(|graph| run_float(graph, &image));
    let most = expected.iter().fold(1.0_f32, |most, x| most.max(x.abs()));
    let near = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-4 * most || a.is_nan() && b.is_nan();
    assert!(found.len() == expected.len() && found.iter().zip(&expected).all(near), "{name}");
    thinned.dropped.values().map(Vec::len).sum()
}

#[test]
fn every_network_does_without_what_may_go() {
    let archive = std::fs::File::open(project("suite/onnx-node.zip")).unwrap();
    let mut archive = zip::ZipArchive::new(archive).unwrap();
    let names: Vec<String> = archive.file_names().map(|name| name.unwrap().to_string()).collect();
    let (mut networks, mut channels) = (0, 0);
    for name in names.iter().filter(|name| name.ends_with("/model.onnx")) {
        let mut bytes = Vec::new();
        archive.by_name(name).unwrap().read_to_end(&mut bytes).unwrap();
        let model = onnx::parse_model(&bytes, &|_| Ok(vec![0; 64])).unwrap();
        let Ok(graph) = from_onnx(&model, "case") else { continue };
        let Ok(graph) = passes::prepare(&graph, Semantics::Integer) else { continue };
        if graph.inputs().len() == 1 && graph.outputs().len() == 1 {
            let n = does_without(&graph, name);
            networks += usize::from(n > 0);
            channels += n;
        }
    }
    println!("{channels} channels of {networks} networks");
    assert!(networks >= 40, "{channels} channels of {networks} networks");
}
