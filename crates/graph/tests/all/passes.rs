//! Every pass leaves a graph that computes the same.

use fixedwise_fixed::{Format, convert::f64_to_f32};
use fixedwise_graph::{
    AccumulatorPolicy, Activation, Expression, Graph, Semantics, Shape, Unary, check_integer_forms,
    lower,
    ops::{
        Add, Affine, AveragePool, Clip, Concat, Function, GlobalAveragePool, GlobalMaxPool,
        IndexMap, LeakyRelu, LogSoftmax, MaxPool, Pad, Relu, Reshape, Sigmoid, Softmax, Window,
    },
    passes,
};
use fixedwise_testing::{Build, Random, assert_close, plan_of, run_float};

fn window(kernel: usize, stride: usize, begin: usize, end: usize) -> Window {
    Window {
        kernel: [kernel; 2],
        stride: [stride; 2],
        dilation: [1; 2],
        pad_begin: [begin; 2],
        pad_end: [end; 2],
        ceil: false,
    }
}

/// The prepared graph equals the original on random images; returns it.
fn check(graph: &Graph, semantics: Semantics) -> Graph {
    let prepared = passes::prepare(graph, semantics).unwrap();
    for seed in 0..4 {
        let image = Random::new(seed).floats(graph.input_shape().len(), -1.0, 1.0);
        let (a, b) = (run_float(&prepared, &image), run_float(graph, &image));
        assert_close("prepared graph", &a, &b, 2e-5);
    }
    prepared
}

fn names(graph: &Graph) -> Vec<&str> {
    graph.nodes.iter().map(|node| node.name.as_str()).collect()
}

#[test]
fn what_only_ends_a_classifier_is_left_out() {
    let prepared = |graph: &Graph| passes::prepare(graph, Semantics::Integer).unwrap();
    let ops = |graph: &Graph| graph.nodes.iter().map(|node| node.op.name()).collect::<Vec<_>>();
    let image = Shape::new(3, 4, 2);
    // One pixel, then a vector in the same order.
    let mut b = Build::new(image, 1);
    let x = b.push("pool", GlobalAveragePool, vec![0]);
    let x = b.push("softmax", Softmax, vec![x]);
    let x = b.push("sigmoid", Sigmoid, vec![x]);
    b.push("flat", Reshape::flatten_channels_first(Shape::new(1, 1, 2)), vec![x]);
    assert_eq!(ops(&prepared(&b.finish())), ["Input", "GlobalAveragePool", "Reshape"]);
    // The classes of every pixel: they stay together in the first case, and are scattered in the second.
    let mut b = Build::new(image, 1);
    let x = b.push("relu", Relu, vec![0]);
    b.push("softmax", Softmax, vec![x]);
    assert_eq!(ops(&prepared(&b.finish())), ["Input", "Relu"]);
    let mut b = Build::new(image, 1);
    let x = b.push("relu", Relu, vec![0]);
    let x = b.push("softmax", Softmax, vec![x]);
    b.push("flat", Reshape::flatten_channels_first(image), vec![x]);
    let graph = prepared(&b.finish());
    assert_eq!(ops(&graph), ["Input", "Relu", "Softmax", "Reshape"]);
    check_integer_forms(&graph).unwrap();
    let mut b = Build::new(image, 1);
    let x = b.push("logarithm", LogSoftmax, vec![0]);
    b.push("flat", Reshape::flatten_channels_first(image), vec![x]);
    let error = check_integer_forms(&prepared(&b.finish())).unwrap_err().to_string();
    assert!(
        error.starts_with(
            "node `logarithm` (LogSoftmax): has no integer form: the logarithm of a softmax is \
             supported only at the end of the network; let the network end before it"
        ),
        "{error}"
    );
    // Pixels may change places, but no pixel may become others' classes.
    for (turned, expected) in [(false, 3), (true, 4)] {
        let mut b = Build::new(image, 1);
        let x = b.push("relu", Relu, vec![0]);
        let x = b.push("softmax", Softmax, vec![x]);
        let places = |n: usize, step: usize| (0..n).rev().map(|i| Some(i * step)).collect();
        let [rows, columns, channels] = [places(3, 8), places(4, 2), places(2, 1)];
        let map = if turned {
            IndexMap { rows, columns: channels, channels: columns }
        } else {
            IndexMap { rows, columns, channels }
        };
        b.push("map", map, vec![x]);
        assert_eq!(prepared(&b.finish()).nodes.len(), expected);
    }
    // A sigmoid whose values are an image, or that is used elsewhere too, is part of the network.
    let mut b = Build::new(Shape::new(1, 1, 5), 1);
    b.push("sigmoid", Sigmoid, vec![0]);
    let graph = b.finish();
    assert_eq!(ops(&prepared(&graph)), ["Input", "Sigmoid"]);
    let y = run_float(&graph, &[0.0, 1.0, -1.0, 100.0, -100.0]);
    assert_close("sigmoid", &y, &[0.5, 0.731_058_6, 0.268_941_4, 1.0, 0.0], 1e-6);
    let mut b = Build::new(image, 1);
    let x = b.push("softmax", Softmax, vec![0]);
    let a = b.push("relu", Relu, vec![x]);
    let x = b.push("add", Add, vec![x, a]);
    b.push("softmax_2", Softmax, vec![x]);
    assert_eq!(ops(&prepared(&b.finish())), ["Input", "Softmax", "Relu", "Add"]);
}

#[test]
fn normalization_before_the_activation_folds_back() {
    let mut b = Build::new(Shape::new(7, 6, 3), 1);
    let x = b.conv("conv", 0, 5, &window(3, 1, 1, 1), 1);
    let x = b.affine("bn", x);
    let x = b.push("relu", Relu, vec![x]);
    let x = b.conv("depthwise", x, 5, &window(3, 2, 0, 1), 5);
    let x = b.affine("bn2", x);
    b.push("clip", Clip { min: 0.0, max: 6.0 }, vec![x]);
    let graph = b.finish();
    for semantics in [Semantics::Integer, Semantics::Simulated] {
        let prepared = check(&graph, semantics);
        assert_eq!(names(&prepared), ["input", "conv", "depthwise"]);
        assert_eq!(prepared.nodes[1].activation, Activation::Relu);
    }
}

#[test]
fn normalization_after_the_activation_folds_forward_through_padding_pools_and_concatenation() {
    for (begin, end, stride) in [(0, 0, 1), (1, 1, 1), (0, 1, 2), (2, 1, 2)] {
        let mut b = Build::new(Shape::new(9, 8, 2), 7);
        let x = b.affine("preprocessing", 0);
        let x = b.conv("conv_1", x, 6, &window(3, 1, begin, end), 1);
        let x = b.push("relu_1", Relu, vec![x]);
        let x = b.affine("bn_1", x);
        let left = b.conv("conv_2", x, 4, &window(3, stride, begin, end), 1);
        let left = b.push("relu_2", Relu, vec![left]);
        let left = b.affine("bn_2", left);
        let right = b.push(
            "pool",
            MaxPool { window: window(3, stride, begin, end), minimum: vec![] },
            vec![x],
        );
        let x = b.push("concat", Concat { axis: 2 }, vec![left, right]);
        let grouped = b.conv("grouped", x, 10, &window(3, 1, 1, 1), 2);
        let x = b.push("relu_3", Relu, vec![grouped]);
        let x = b.affine("bn_3", x);
        let a = b.push("global_max", GlobalMaxPool { minimum: vec![] }, vec![x]);
        let m = b.push("global_average", GlobalAveragePool, vec![x]);
        let x = b.push("join", Concat { axis: 2 }, vec![a, m]);
        let x = b.gemm("dense", x, 4);
        b.push("softmax", Softmax, vec![x]);
        let mut graph = b.finish();
        // Compare the logits: softmax hides differences, and the prepared graph has none.
        graph.set_outputs(&[graph.find("dense").unwrap()]);
        let prepared = check(&graph, Semantics::Integer);
        assert!(!prepared.nodes.iter().any(|node| node.op.is::<Affine>()));
        let layers: Vec<&str> = prepared.layers().map(|(_, node)| node.name.as_str()).collect();
        assert_eq!(layers, ["conv_1", "conv_2", "grouped", "dense"], "pads {begin} {end}");
        let simulated = check(&graph, Semantics::Simulated);
        assert!(simulated.nodes.iter().any(|node| node.op.is::<Affine>()));
    }
}

#[test]
fn probabilities_at_the_end_are_left_out_as_they_are_and_as_logarithms() {
    let network = |has_logarithms: bool| {
        let mut b = Build::new(Shape::vector(6), 7);
        let x = b.gemm("dense", 0, 5);
        if has_logarithms {
            b.push("end", LogSoftmax, vec![x]);
        } else {
            b.push("end", Softmax, vec![x]);
        }
        b.finish()
    };
    let image = Random::new(1).floats(6, -3.0, 3.0);
    let [plain, logarithms] = [false, true].map(|has| run_float(&network(has), &image));
    let expected: Vec<f32> = plain.iter().map(|p| p.ln()).collect();
    assert_close("logarithms", &logarithms, &expected, 1e-5);
    assert!((plain.iter().sum::<f32>() - 1.0).abs() < 1e-6, "{plain:?}");
    for has_logarithms in [false, true] {
        for semantics in [Semantics::Integer, Semantics::Simulated] {
            let prepared = passes::prepare(&network(has_logarithms), semantics).unwrap();
            assert_eq!(names(&prepared).last(), Some(&"dense"));
        }
    }
}

#[test]
fn what_cannot_fold_becomes_a_depthwise_convolution() {
    let mut b = Build::new(Shape::new(6, 6, 3), 3);
    let x = b.conv("conv", 0, 4, &window(3, 1, 1, 1), 1);
    let x = b.push("relu", Relu, vec![x]);
    let branch = b.affine("bn", x);
    let x = b.push("add", Add, vec![x, branch]);
    let x = b.affine("bn_2", x);
    let x = b.push("leaky", LeakyRelu { alpha: 0.1 }, vec![x]);
    let x = b.affine("bn_3", x);
    let pool = AveragePool { window: window(2, 2, 1, 1), include_pad: true };
    let x = b.push("average", pool, vec![x]);
    b.affine("bn_4", x);
    let prepared = check(&b.finish(), Semantics::Integer);
    let layers: Vec<&str> = prepared.layers().map(|(_, node)| node.name.as_str()).collect();
    assert_eq!(layers, ["conv", "bn", "bn_2", "bn_3", "bn_4"]);
    assert_eq!(
        prepared.nodes[prepared.find("bn_2").unwrap()].activation,
        Activation::LeakyRelu { alpha: 0.1 }
    );
}

#[test]
fn a_zero_pad_joins_its_convolution_and_another_stays() {
    for (value, expected) in [(0.0, 2), (1.5, 3)] {
        let mut b = Build::new(Shape::new(5, 6, 2), 5);
        let x = b.push("pad", Pad { begin: [1, 0], end: [2, 1], value }, vec![0]);
        b.conv("conv", x, 3, &window(3, 1, 0, 0), 1);
        let prepared = check(&b.finish(), Semantics::Integer);
        assert_eq!(prepared.nodes.len(), expected);
    }
}

#[test]
fn a_value_with_two_users_is_not_fused_away() {
    let mut b = Build::new(Shape::new(5, 5, 2), 9);
    let x = b.conv("conv", 0, 2, &window(3, 1, 1, 1), 1);
    let y = b.push("relu", Relu, vec![x]);
    let z = b.affine("bn", x);
    b.push("add", Add, vec![y, z]);
    let prepared = check(&b.finish(), Semantics::Integer);
    assert_eq!(prepared.nodes[prepared.find("conv").unwrap()].activation, Activation::None);
}

#[test]
fn preprocessing_becomes_part_of_the_first_layer() {
    let mut b = Build::new(Shape::new(6, 6, 3), 11);
    b.conv("conv", 0, 4, &window(3, 1, 1, 1), 1);
    let graph = b.finish();
    let scale = vec![1.0 / 255.0, 2.0 / 255.0, 0.5 / 255.0];
    let affine = Affine { scale: scale.clone(), shift: vec![-0.5, 0.25, 0.0] };
    let with = passes::insert_preprocessing(&graph, vec![affine]).unwrap();
    let prepared = passes::prepare(&with, Semantics::Integer).unwrap();
    assert_eq!(names(&prepared), ["input", "conv"]);
    let raw = Random::new(1).floats(108, 0.0, 255.0);
    let shift = [-0.5, 0.25, 0.0];
    let net: Vec<f32> = raw
        .iter()
        .enumerate()
        .map(|(i, &x)| f64_to_f32(f64::from(x) * scale[i % 3] + shift[i % 3]))
        .collect();
    assert_close("raw pixels", &run_float(&prepared, &raw), &run_float(&graph, &net), 2e-5);
}

#[test]
fn powers_of_two_move_between_channels_without_a_trace() {
    let mut b = Build::new(Shape::new(9, 8, 2), 11);
    let stem = b.conv("stem", 0, 6, &window(3, 1, 1, 1), 1);
    let stem = b.push("stem_relu", Relu, vec![stem]);
    let bn = b.affine("bn", stem);
    let left = b.conv("left", bn, 4, &window(3, 2, 1, 1), 2);
    let left = b.push("left_relu", LeakyRelu { alpha: 0.1 }, vec![left]);
    let right = b.push("pool", MaxPool { window: window(3, 2, 1, 1), minimum: vec![] }, vec![bn]);
    let x = b.push("concat", Concat { axis: 2 }, vec![left, right]);
    let depthwise = b.conv("depthwise", x, 10, &window(3, 1, 1, 1), 10);
    let x = b.push("clip", Clip { min: 0.0, max: 6.0 }, vec![depthwise]);
    let one = b.conv("one", x, 5, &window(1, 1, 0, 0), 1);
    let other = b.conv("other", x, 5, &window(1, 1, 0, 0), 1);
    let x = b.push("add", Add, vec![one, other]);
    let x = b.push("mean", GlobalAveragePool, vec![x]);
    b.gemm("dense", x, 3);
    let graph = passes::prepare(&b.finish(), Semantics::Integer).unwrap();

    let allowed = passes::equalizable(&graph);
    let named: Vec<&str> = (0..graph.nodes.len())
        .filter(|&id| allowed[id])
        .map(|id| graph.nodes[id].name.as_str())
        .collect();
    // A clip has a bound of its own, a sum has two sources, the last layer is the result.
    assert_eq!(named, ["stem", "left"]);
    let mut random = Random::new(3);
    let scales: Vec<Vec<f32>> = (0..graph.nodes.len())
        .map(|id| {
            let channels = if allowed[id] { graph.nodes[id].shape.c } else { 0 };
            (0..channels).map(|c| [0.0625, 0.25, 1.0, 2.0, 16.0][(c * 7 + id) % 5]).collect()
        })
        .collect();
    let equalized = passes::equalize(&graph, &scales);
    assert_ne!(equalized.nodes[1].op, graph.nodes[1].op);
    let image = random.floats(graph.input_shape().len(), -1.0, 1.0);
    // Powers of two round nothing: what is summed is the same in the same order.
    assert_eq!(run_float(&equalized, &image), run_float(&graph, &image));
    let back: Vec<Vec<f32>> =
        scales.iter().map(|scales| scales.iter().map(|s| s.recip()).collect()).collect();
    assert_eq!(passes::equalize(&equalized, &back), graph);
}

/// The largest weight of each input channel of a layer, the largest of all channels by the smallest.
fn spread(graph: &Graph, name: &str) -> f32 {
    let op = &graph.nodes[graph.find(name).unwrap()].op;
    let parameters = op.parameters().unwrap();
    let mut largest = vec![0.0_f32; parameters.input_channels()];
    for (i, w) in parameters.weights.iter().enumerate() {
        let channel = parameters.channels_of(i).1;
        largest[channel] = largest[channel].max(w.abs());
    }
    largest.iter().fold(0.0_f32, |a, &b| a.max(b))
        / largest.iter().fold(f32::INFINITY, |a, &b| a.min(b))
}

/// A normalization after the activation, with these factors of its channels.
fn normalized(scale: &[f64], pool: bool) -> Graph {
    let channels = scale.len();
    let mut b = Build::new(Shape::new(6, 5, 2), 9);
    let mut x = b.conv("conv_1", 0, channels, &window(3, 1, 1, 1), 1);
    x = b.push("relu_1", Relu, vec![x]);
    if pool {
        x = b.push("pool", MaxPool { window: window(2, 2, 0, 0), minimum: vec![] }, vec![x]);
    }
    let shift = (0..channels).map(|i| if i % 2 == 0 { 0.5 } else { -0.25 }).collect();
    x = b.push("bn_1", Affine { scale: scale.to_vec(), shift }, vec![x]);
    b.conv("conv_2", x, 3, &window(3, 1, 1, 1), 1);
    b.finish()
}

#[test]
fn factors_of_unlike_channels_move_back_over_the_activation() {
    // One channel whose variance was zero, then layers whose channels were of other sizes.
    for scale in
        [vec![1.2, 0.9, 316.0, 1.0], vec![1e-3, 0.02, 40.0, -7.0], vec![1.0, 0.0, 1e6, 2.0]]
    {
        for pool in [false, true] {
            let graph = normalized(&scale, pool);
            let prepared = check(&graph, Semantics::Integer);
            let alike = spread(&prepared, "conv_2") < 12.0 * 16.0;
            assert!(alike || scale.contains(&0.0), "{scale:?}");
            let weights = |graph: &Graph| {
                graph.nodes[graph.find("conv_2").unwrap()].op.weights().unwrap().to_vec()
            };
            let largest = |w: Vec<f32>| w.iter().fold(0.0_f32, |a, b| a.max(b.abs()));
            let middle = if scale[0] < 0.01 { 7.0 } else { 2.0 };
            let bound = 16.0 * middle * largest(weights(&graph));
            assert!(largest(weights(&prepared)) <= bound, "{scale:?}, pool {pool}");
        }
    }
    // A channel that is nothing beside the others does not set the size of the weights behind it.
    for is_dead in [true, false] {
        let mut graph = normalized(&[1.2, 0.9, 30.0, 1.0], false);
        let layer = graph.nodes[1].op.parameters_mut().unwrap();
        let of_channel = layer.weights.len() / 4;
        if is_dead {
            layer.weights[2 * of_channel..][..of_channel].iter_mut().for_each(|w| *w *= 1e-9);
            layer.bias[2] = 1e-9;
        }
        let prepared = check(&graph, Semantics::Integer);
        assert_eq!(spread(&prepared, "conv_2") < 8.0, is_dead);
    }
    // Like ones stay: the layer's own weights are as before.
    let graph = normalized(&[1.2, 0.9, 3.0, 0.5], false);
    let prepared = check(&graph, Semantics::Integer);
    let first = |graph: &Graph| graph.nodes[1].op.weights().unwrap().to_vec();
    assert_eq!(first(&graph), first(&prepared));
}

#[test]
fn an_image_that_is_joined_to_features_is_scaled_where_it_enters() {
    let network = |scale: f64| {
        let mut b = Build::new(Shape::new(6, 5, 2), 9);
        let image = Affine { scale: vec![scale; 2], shift: vec![0.0; 2] };
        let image = b.push("pixels", image, vec![0]);
        let x = b.conv("conv_1", image, 4, &window(3, 1, 1, 1), 1);
        let x = b.push("relu_1", Relu, vec![x]);
        let x = b.push("join", Concat { axis: 2 }, vec![x, image]);
        b.conv("conv_2", x, 3, &window(3, 1, 1, 1), 1);
        b.finish()
    };
    let layers = |graph: &Graph| -> Vec<String> {
        graph.layers().map(|(_, node)| node.name.clone()).collect()
    };
    let prepared = check(&network(1.0 / 255.0), Semantics::Integer);
    assert_eq!(layers(&prepared), ["conv_1", "pixels", "conv_2"]);
    assert!(spread(&prepared, "conv_2") < 8.0);
    let prepared = check(&network(0.5), Semantics::Integer);
    assert_eq!(layers(&prepared), ["conv_1", "conv_2"]);
}

/// Sets all weights of some output channels of a layer to zero.
fn silence(graph: &mut Graph, layer: &str, channels: &[usize], bias: f32) {
    let id = graph.find(layer).unwrap();
    let n = graph.nodes[id].shape.c;
    let numbers = graph.nodes[id].op.parameters_mut().unwrap();
    let depth = numbers.weights.len() / n;
    for &channel in channels {
        numbers.weights[channel * depth..][..depth].fill(0.0);
        numbers.bias[channel] = bias;
    }
}

/// Sets the weights of a layer that multiply an input channel to zero.
fn ignore(graph: &mut Graph, layer: &str, channel: usize) {
    let id = graph.find(layer).unwrap();
    let own = graph.nodes[id].op.parameters().unwrap();
    let taken: Vec<usize> =
        (0..own.weights.len()).filter(|&at| own.channels_of(at).1 == channel).collect();
    let weights = graph.nodes[id].op.parameters_mut().unwrap().weights;
    taken.into_iter().for_each(|at| weights[at] = 0.0);
}

#[test]
fn channels_that_say_nothing_are_taken_out() {
    let mut b = Build::new(Shape::new(9, 8, 2), 3);
    let x = b.conv("first", 0, 6, &window(3, 1, 1, 1), 1);
    let x = b.push("first_relu", Relu, vec![x]);
    let left = b.push("pool", MaxPool { window: window(2, 2, 0, 1), minimum: vec![] }, vec![x]);
    // Constants behind zero padding: biases depend on the border.
    let left = b.conv("left", left, 5, &window(3, 1, 1, 1), 1);
    let left = b.push("left_relu", LeakyRelu { alpha: 0.1 }, vec![left]);
    let right = b.conv("right", x, 4, &window(3, 2, 1, 1), 1);
    let right = b.push("right_clip", Clip { min: 0.0, max: 6.0 }, vec![right]);
    let x = b.push("join", Concat { axis: 2 }, vec![left, right]);
    let image = b.shape(x);
    let x = b.push("flat", Reshape::flatten_channels_first(image), vec![x]);
    let x = b.gemm("dense", x, 7);
    let x = b.push("dense_relu", Relu, vec![x]);
    b.gemm("last", x, 3);
    let plain = b.finish();
    let channels =
        |graph: &Graph| -> Vec<usize> { graph.layers().map(|(_, node)| node.shape.c).collect() };
    assert_eq!(channels(&check(&plain, Semantics::Integer)), [6, 5, 4, 7, 3]);

    let mut graph = plain.clone();
    silence(&mut graph, "first", &[1, 4], 0.7);
    silence(&mut graph, "first", &[5], -0.2);
    silence(&mut graph, "left", &[0], -0.4);
    silence(&mut graph, "right", &[2, 3], 9.0);
    silence(&mut graph, "dense", &[3], 0.0);
    ignore(&mut graph, "last", 6);
    let prepared = check(&graph, Semantics::Integer);
    assert_eq!(channels(&prepared), [3, 4, 2, 5, 3]);
    assert!(prepared.macs() < plain.macs() / 2);
    let left = prepared.find("left").unwrap();
    assert!(prepared.bias_count(left) > 4);
    assert_eq!(prepared.bias_count(left), prepared.biases(left).len());
    check_integer_forms(&prepared).unwrap();
    // The paper's semantics keep the network as it is.
    assert_eq!(channels(&check(&graph, Semantics::Simulated)), [6, 5, 4, 7, 3]);

    // Without its last user a channel goes, and then what it alone took.
    let mut graph = plain.clone();
    ignore(&mut graph, "last", 0);
    let id = graph.find("dense").unwrap();
    let n = graph.nodes[id].op.weights().unwrap().len() / 7;
    let weights = graph.nodes[id].op.parameters_mut().unwrap().weights;
    // Only output 0 takes the first channel of the joined image.
    let pixels = image.h * image.w;
    (1..7).for_each(|o| weights[o * n..][..pixels].fill(0.0));
    assert_eq!(channels(&check(&graph, Semantics::Integer)), [6, 4, 4, 6, 3]);
}

#[test]
fn channels_that_others_need_stay() {
    let mut b = Build::new(Shape::new(5, 5, 2), 3);
    let x = b.conv("first", 0, 4, &window(3, 1, 1, 1), 1);
    let x = b.push("relu", Relu, vec![x]);
    let y = b.conv("second", x, 4, &window(3, 1, 1, 1), 4);
    let x = b.push("add", Add, vec![x, y]);
    let x = b.push("mean", GlobalAveragePool, vec![x]);
    b.gemm("dense", x, 3);
    let mut graph = b.finish();
    // Added to others, taken by a depthwise convolution, a result of the network.
    silence(&mut graph, "first", &[1], 0.5);
    silence(&mut graph, "second", &[2], 0.5);
    silence(&mut graph, "dense", &[0], 0.5);
    let prepared = check(&graph, Semantics::Integer);
    assert_eq!(prepared.macs(), graph.macs());
    // A layer of nothing but constants keeps one.
    let mut b = Build::new(Shape::new(5, 5, 2), 3);
    let x = b.conv("first", 0, 4, &window(3, 1, 1, 1), 1);
    let x = b.push("relu", Relu, vec![x]);
    b.conv("second", x, 3, &window(3, 1, 1, 1), 1);
    let mut graph = b.finish();
    silence(&mut graph, "first", &[0, 1, 2, 3], 0.5);
    let prepared = check(&graph, Semantics::Integer);
    assert_eq!(prepared.nodes[1].shape.c, 1);
}

/// Convolution, function, and what takes it: a padded depthwise convolution and a maximum pool before another one.
fn with_function(expression: Expression) -> (Graph, usize) {
    let mut b = Build::new(Shape::new(12, 11, 3), 1);
    let x = b.conv("conv", 0, 4, &window(3, 1, 1, 1), 1);
    let function = b.push("function", Function { expression }, vec![x]);
    let depthwise = b.conv("depthwise", function, 4, &window(3, 1, 1, 1), 4);
    let pool =
        b.push("pool", MaxPool { window: window(2, 1, 0, 1), minimum: vec![] }, vec![function]);
    let other = b.conv("other", pool, 4, &window(1, 1, 0, 0), 1);
    b.push("add", Add, vec![depthwise, other]);
    (b.finish(), function)
}

#[test]
fn functions_that_go_a_little_below_zero_are_lifted_where_all_that_takes_them_can_take_it_off() {
    let x = Expression::x;
    let silu = || x() * x().then(Unary::Sigmoid);
    let is_unsigned = |graph: &Graph| {
        let id = graph.find("function").unwrap();
        graph.nonnegative(|_| false)[id]
    };
    let (graph, function) = with_function(silu());
    let lifted = check(&graph, Semantics::Integer);
    assert_eq!(lifted.nodes.len(), 6, "{:?}", names(&lifted));
    assert!(is_unsigned(&lifted) && !is_unsigned(&check(&graph, Semantics::Simulated)));
    // The depthwise convolution takes the lift off where its taps lie inside the image.
    let taken = lifted.nodes[lifted.find("depthwise").unwrap()].op.parameters().unwrap();
    assert_eq!(taken.tap_bias.len(), 36);
    // A plan that gives it a sign was made for another value.
    let mut plan = plan_of(&lifted, Format::signed(8, 7), |_| Format::signed(8, 4));
    plan.others.insert("function".to_owned(), Format::signed(8, 4));
    let error = lower(&lifted, &plan, AccumulatorPolicy::Prove32).unwrap_err().to_string();
    let expected = "the plan has a format with a sign for `function`, to which the tool adds 0.5";
    assert!(error.starts_with(expected), "{error}");
    // Half of the values below zero: nothing is gained.
    assert!(!is_unsigned(&check(&with_function(x().then(Unary::Tanh)).0, Semantics::Integer)));
    // A sum or the end of the network would be another.
    let mut added = graph.clone();
    let last = added.nodes.len() - 1;
    added.nodes[last].inputs[1] = function;
    assert!(!is_unsigned(&check(&added, Semantics::Integer)));
    // More biases than bits: a small image.
    let mut b = Build::new(Shape::new(3, 3, 3), 1);
    let x = b.push("function", Function { expression: silu() }, vec![0]);
    b.conv("depthwise", x, 3, &window(3, 1, 1, 1), 3);
    assert!(!is_unsigned(&check(&b.finish(), Semantics::Integer)));
    let mut b = Build::new(Shape::new(3, 3, 3), 1);
    let x = b.push("function", Function { expression: silu() }, vec![0]);
    b.conv("pixel", x, 3, &window(1, 1, 0, 0), 1);
    assert!(is_unsigned(&check(&b.finish(), Semantics::Integer)));
}
