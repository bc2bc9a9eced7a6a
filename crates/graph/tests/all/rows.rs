//! Rows that flow: schedules, the memory they need, and the executor's integers from what is printed of them.

use fixedwise_graph::{
    Expression, FixedGraph, Flow, Graph, Semantics, Shape, Unary,
    emit::c::{self, COptions, CProject, emit},
    ops::{
        Add, AveragePool, Between, Concat, Function, GlobalAveragePool, GlobalMaxPool, IndexMap,
        MaxPool, PRelu, Relu, Resize, Window,
    },
    passes,
    schedule::{Action, Schedule},
};
use fixedwise_testing::{
    Build, Core, Emitted, Random, fashion_images, integers_of, mobilenet, mobilenet_v2, project,
    raw_pixel_network, resnet8, unet, window,
};

/// All widths 8.
fn eight(graph: &Graph) -> FixedGraph {
    integers_of(graph, &fashion_images(2, graph.input_shape()), |_| [8, 8])
}

fn printed(fixed: &FixedGraph, core: c::Core, flows: bool) -> CProject {
    emit(fixed, &COptions { core, flows, ..COptions::new("net") }, &[]).unwrap()
}

/// A tall network in which every operator that flows meets the next: strides, dilation, uneven padding, two readers of a
/// value, values joined and added, groups, an enlarged image, and pools over all of it.
fn tower() -> Graph {
    let mut b = Build::new(Shape::new(61, 7, 3), 21);
    let uneven = Window { pad_begin: [2, 0], pad_end: [0, 1], ..window(3, 2, 0) };
    let x = b.conv("uneven", 0, 8, &uneven, 1);
    let x = b.push("relu", Relu, vec![x]);
    let dilated =
        Window { dilation: [2, 1], pad_begin: [2, 1], pad_end: [2, 1], ..window(3, 1, 0) };
    let y = b.conv("dilated", x, 8, &dilated, 1);
    let y = b.push("sum", Add, vec![y, x]);
    let z = b.conv("depthwise", y, 8, &window(3, 1, 1), 8);
    let z = b.conv("groups", z, 8, &window(3, 1, 1), 2);
    let x = b.push("join", Concat { axis: 2 }, vec![y, z]);
    let x = b.push("max", MaxPool { window: window(3, 1, 1), minimum: vec![] }, vec![x]);
    let from = b.shape(x);
    let twice = |n: usize, step: usize| (0..2 * n).map(|i| Some(i / 2 * step)).collect();
    let map = IndexMap {
        rows: twice(from.h, from.w * from.c),
        columns: twice(from.w, from.c),
        channels: (0..from.c).map(Some).collect(),
    };
    let x = b.push("twice", map, vec![x]);
    let x = b.conv("strided", x, 6, &window(2, 2, 1), 1);
    let mean = AveragePool { window: window(2, 1, 1), include_pad: false };
    let x = b.push("mean", mean, vec![x]);
    let from = b.shape(x);
    let between = |n: usize| {
        let first = (0..n - 1).flat_map(|first| [0.0, 0.5].map(|weight| Between { first, weight }));
        first.collect()
    };
    let x = b.push("resize", Resize { rows: between(from.h), columns: between(from.w) }, vec![x]);
    let silu = Expression::x() * Expression::x().then(Unary::Sigmoid);
    let x = b.push("silu", Function { expression: silu }, vec![x]);
    let y = b.conv("pixel", x, 16, &window(1, 1, 0), 1);
    let slopes = (0..16).map(|i| if i % 3 == 0 { -0.3 } else { 0.01 }).collect();
    let y = b.push("slopes", PRelu { slopes }, vec![y]);
    let y = b.conv("down", y, 6, &window(3, 2, 1), 1);
    let a = b.push("global_average", GlobalAveragePool, vec![y]);
    let m = b.push("global_max", GlobalMaxPool { minimum: vec![] }, vec![y]);
    let x = b.push("both", Concat { axis: 2 }, vec![a, m]);
    b.gemm("dense", x, 5);
    passes::prepare(&b.finish(), Semantics::Integer).unwrap()
}

/// Follows a schedule on rows that know which they are: what is computed has what it reads, room is never exceeded,
/// and at the end every row was there once.
fn follow(fixed: &FixedGraph, schedule: &Schedule) {
    let shape = |id: usize| fixed.nodes[id].shape;
    assert_eq!(
        schedule.parts.iter().map(|part| part.nodes.len()).sum::<usize>(),
        fixed.nodes.len()
    );
    // The first row of each value that is there, and the one behind the last.
    let mut there: Vec<(usize, usize)> = vec![(0, 0); fixed.nodes.len()];
    for part in &schedule.parts {
        let Some(flow) = &part.flow else {
            let id = part.nodes.start;
            there[id] = (0, shape(id).h);
            continue;
        };
        let mut folded = vec![0; fixed.nodes.len()];
        for action in &flow.actions {
            match *action {
                Action::Drop { node, rows } => {
                    there[node].0 += rows;
                    assert!(rows > 0 && there[node].0 <= there[node].1);
                }
                Action::Compute(id) => {
                    let node = &fixed.nodes[id];
                    let shapes: Vec<Shape> =
                        node.inputs.iter().map(|&input| shape(input)).collect();
                    let row = there[id].1;
                    let is_fold = matches!(node.op.flow(&shapes, node.shape), Flow::Fold { .. });
                    let needs = if is_fold {
                        folded[id] += 1;
                        std::iter::once(folded[id] - 1..folded[id]).collect()
                    } else {
                        node.op.rows(row..row + 1, &shapes, node.shape)
                    };
                    for (&input, needs) in node.inputs.iter().zip(needs) {
                        let (top, next) = there[input];
                        let name = &node.name;
                        assert!(needs.is_empty() || top <= needs.start, "{name} {row}: {needs:?}");
                        assert!(needs.is_empty() || needs.end <= next, "{name} {row}: {needs:?}");
                    }
                    if !is_fold || folded[id] == shapes[0].h {
                        there[id].1 += 1;
                    }
                    let held = there[id].1 - there[id].0;
                    match flow.held[id - part.nodes.start] {
                        // The next node takes each of its rows at once.
                        0 => assert_eq!(there[id + 1].1 + 1, there[id].1, "{}", node.name),
                        room => assert!(held <= room, "{}: {held}", node.name),
                    }
                }
            }
        }
        for id in part.nodes.clone() {
            assert_eq!(there[id].1, shape(id).h, "{}", fixed.nodes[id].name);
            let is_read = (part.nodes.end..fixed.nodes.len())
                .any(|other| fixed.nodes[other].inputs.contains(&id));
            assert!(!is_read || there[id].0 == 0, "{} is whole", fixed.nodes[id].name);
        }
    }
}

#[test]
fn every_operator_flows_and_equals_the_executor() {
    let graph = tower();
    let mut random = Random::new(3);
    let images: Vec<Vec<f32>> =
        (0..3).map(|_| random.floats(graph.input_shape().len(), 0.0, 4.0)).collect();
    for (core, widths) in
        [(c::Core::Dsp, [8, 8]), (c::Core::Mve, [4, 8]), (c::Core::Portable, [2, 12])]
    {
        let fixed = integers_of(&graph, &images, |_| widths);
        let options = COptions { core, ..COptions::new("net") };
        let project = emit(&fixed, &options, &[]).unwrap();
        follow(&fixed, &project.schedule);
        let flowing = project.schedule.parts.iter().filter(|part| part.flow.is_some());
        let flowing: usize = flowing.map(|part| part.nodes.len()).sum();
        assert!(flowing + 3 >= fixed.nodes.len(), "{flowing} of {}", fixed.nodes.len());
        assert!(project.takes_rows);
        if Core::Host.is_available() {
            let emitted = Emitted::new(Core::Host, &fixed, &options, true).unwrap();
            emitted.assert_equals(&fixed, &images);
        }
    }
}

/// Rows that flow take so many bytes at most, and their tables few.
#[track_caller]
fn check_memory(name: &str, graph: &Graph, most: usize) {
    let fixed = eight(graph);
    let flowing = printed(&fixed, c::Core::Dsp, true);
    assert!(flowing.arena_bytes <= most, "{name}: {} bytes", flowing.arena_bytes);
    assert_eq!(flowing.arena_bytes, flowing.memory.bytes, "{name}");
    follow(&fixed, &flowing.schedule);
    let whole = printed(&fixed, c::Core::Dsp, false);
    assert!(2 * flowing.arena_bytes < whole.arena_bytes, "{name}: {}", whole.arena_bytes);
    let more = flowing.constant_bytes - whole.constant_bytes;
    assert!(40 * more < whole.constant_bytes, "{name}: {more} bytes of constants more");
}

#[test]
fn networks_need_the_memory_of_a_few_rows() {
    let small = raw_pixel_network(&project("models/fashion_small.onnx"));
    check_memory("fashion_small", &small, 11_000);
    check_memory("resnet8", &resnet8(), 16_000);
    check_memory("mobilenet", &mobilenet(), 17_600);
}

#[test]
fn values_that_wait_for_others_lie_beside_a_few_rows() {
    check_memory("mobilenet_v2", &mobilenet_v2(), 19_700);
    check_memory("unet", &unet(), 84_000);
}
