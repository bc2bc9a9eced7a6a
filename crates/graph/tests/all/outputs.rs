//! Networks with several outputs: run, laid out and printed.

use fixedwise_codec::keras;
use fixedwise_fixed::Format;
use fixedwise_graph::{
    AccumulatorPolicy, FixedGraph, Graph, Interface, Semantics, Shape,
    emit::c::{Arena, COptions, Golden, emit},
    from_keras_with, lower,
    ops::{GlobalAveragePool, Relu},
    passes,
    run::{Program, ValueRef, Workspace},
};
use fixedwise_kernels::Kernels;
use fixedwise_testing::{
    Build, Core, Random, assert_close, compile_c, has_programs, plan_of, project, run_fixed,
    run_float, window,
};

/// A map of features that is an output and goes on to two heads, one of which is an output twice.
fn heads() -> Graph {
    let mut b = Build::new(Shape::new(7, 6, 2), 5);
    let x = b.conv("stem", 0, 4, &window(3, 1, 1), 1);
    let features = b.push("features", Relu, vec![x]);
    let boxes = b.conv("boxes", features, 3, &window(1, 1, 0), 1);
    let mean = b.push("mean", GlobalAveragePool, vec![features]);
    let scores = b.gemm("scores", mean, 5);
    let mut graph = b.finish();
    graph.set_outputs(&[boxes, features, scores, scores]);
    passes::prepare(&graph, Semantics::Integer).unwrap()
}

fn integers(graph: &Graph) -> FixedGraph {
    let mut plan = plan_of(graph, Format::signed(8, 6), |_| Format::signed(8, 3));
    plan.others.clear();
    lower(graph, &plan, AccumulatorPolicy::Prove32).unwrap()
}

fn image(graph: &Graph, seed: u64) -> Vec<f32> {
    Random::new(seed).floats(graph.input_shape().len(), 0.0, 3.9)
}

#[test]
fn the_executor_gives_every_output() {
    let graph = heads();
    let names: Vec<&str> = graph.outputs().iter().map(|output| output.name.as_str()).collect();
    assert_eq!(names, ["boxes", "features", "scores", "scores"]);
    let fixed = integers(&graph);
    let image = image(&graph, 1);
    for (program, tolerance) in [
        (Program::float(&graph, Kernels::best()), 1e-6),
        (Program::fixed(&fixed, Kernels::best()), 0.4),
    ] {
        let schedule = program.schedule(&[], program.outputs());
        let mut workspace = Workspace::new();
        program.run(&schedule, &mut workspace, &image, &[]);
        for (output, name) in graph.outputs().iter().zip(names.iter().copied()) {
            // The graph with this output alone.
            let mut alone = graph.clone();
            alone.set_outputs(&[output.node]);
            let step = fixed.nodes[output.node].format;
            let got: Vec<f32> = match program.value(&schedule, &workspace, output.node) {
                ValueRef::F32(values) => values.to_vec(),
                value @ ValueRef::Integers(_) => {
                    let real = |q| fixedwise_fixed::convert::f64_to_f32(step.dequantize(q));
                    value.integers().into_iter().map(real).collect()
                }
            };
            assert_close(name, &got, &run_float(&alone, &image), tolerance);
        }
    }
}

#[test]
fn images_that_run_layer_by_layer_give_what_each_gives_alone() {
    let graph = heads();
    let fixed = integers(&graph);
    let images: Vec<Vec<f32>> = (0..5).map(|seed| image(&graph, seed)).collect();
    let images: Vec<&[f32]> = images.iter().map(Vec::as_slice).collect();
    for program in
        [Program::float(&graph, Kernels::best()), Program::fixed(&fixed, Kernels::best())]
    {
        let wanted: Vec<usize> = (0..graph.nodes.len()).collect();
        let all = program.schedule(&[], &wanted);
        // From the second node on, as from a cache.
        let rest = program.schedule(&[1], program.outputs());
        let mut alone: Vec<Workspace> = images.iter().map(|_| Workspace::new()).collect();
        for (workspace, image) in alone.iter_mut().zip(&images) {
            program.run(&all, workspace, image, &[]);
        }
        let first: Vec<Vec<&[u8]>> =
            alone.iter().map(|workspace| vec![program.value(&all, workspace, 1).bytes()]).collect();
        for (schedule, provided) in [(&all, vec![vec![]; images.len()]), (&rest, first)] {
            let mut together: Vec<Workspace> = images.iter().map(|_| Workspace::new()).collect();
            program.run_all(schedule, &mut together, &images, &provided);
            for (alone, together) in alone.iter().zip(&together) {
                for &id in program.outputs() {
                    let expected = program.value(&all, alone, id);
                    assert_eq!(program.value(schedule, together, id), expected, "node {id}");
                }
            }
        }
    }
}

fn goldens(fixed: &FixedGraph, graph: &Graph) -> Vec<Golden> {
    let golden = |seed| {
        let values = run_fixed(fixed, &image(graph, seed));
        let outputs = fixed.output_nodes().into_iter().map(|id| values[id].clone()).collect();
        Golden { inputs: vec![values[0].clone()], outputs }
    };
    (0..3).map(golden).collect()
}

#[test]
fn printed_code_gives_every_output() {
    if !has_programs(&["cc"]) {
        return;
    }
    let graph = heads();
    let fixed = integers(&graph);
    let mut golden = goldens(&fixed, &graph);
    let run = |arena: Arena, golden: &[Golden]| {
        let options = COptions { arena, ..COptions::new("net") };
        let project = emit(&fixed, &options, golden).unwrap();
        let file = |name: &str| {
            let found = project.files.iter().find(|(file, _)| file == name);
            found.map(|(_, text)| text.clone()).unwrap()
        };
        let header = file("net.h");
        let (source, test) = (file("net.c"), file("test_net.c"));
        let sources = [("net.c", source.as_str()), ("test_net.c", test.as_str())];
        let flags = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror"];
        let program = compile_c(Core::Host, &sources, &[("net.h", &header)], &flags).unwrap();
        (header, program.run(&[]).map(|run| run.log))
    };
    let (header, log) = run(Arena::Caller, &golden);
    assert!(log.unwrap().contains("3 of 3 inputs agree"));
    let interface = "void net_run(const net_input *input, net_output_boxes *output_boxes, \
                     net_output_features *output_features, net_output_scores *output_scores, \
                     net_output_scores_2 *output_scores_2, net_arena *arena);";
    for expected in [
        interface,
        "#define NET_OUTPUT_FEATURES_C 4\n",
        "int32_t net_argmax_scores(const net_output_scores *output);",
    ] {
        assert!(header.contains(expected), "{header}");
    }
    // Every output is compared.
    golden.push(golden[0].clone());
    golden.iter_mut().enumerate().for_each(|(i, golden)| golden.outputs[i][0] += 1);
    let (header, log) = run(Arena::Static, &golden);
    assert!(log.unwrap_err().contains("0 of 4 inputs agree"));
    assert!(header.contains("net_output_scores_2 *output_scores_2);"), "{header}");
}

#[test]
fn layers_of_keras_are_outputs() {
    let bytes = std::fs::read(project("suite/keras/branches.keras")).unwrap();
    let mut model = keras::read_archive(&bytes, 1 << 24).unwrap();
    let chosen = |outputs: &[&str]| {
        let outputs = outputs.iter().map(|name| (*name).to_owned()).collect();
        Interface { outputs, ..Interface::default() }
    };
    let read = |model: &keras::Model, outputs: &[&str]| {
        from_keras_with(model, "branches", &chosen(outputs))
    };
    let told = |graph: &Graph| -> Vec<(String, Vec<usize>)> {
        let outputs = graph.outputs().iter();
        let told = outputs.map(|output| {
            let shape = graph.nodes[output.node].shape;
            (output.name.clone(), output.extents(shape))
        });
        told.collect()
    };
    let whole = read(&model, &[]).unwrap();
    assert_eq!(told(&whole), [("softmax".to_owned(), vec![4])]);
    let both = [("max".to_owned(), vec![16]), ("relu".to_owned(), whole_relu(&whole))];
    assert_eq!(told(&read(&model, &["max", "relu"]).unwrap()), both);
    let error = read(&model, &["maxx"]).unwrap_err().to_string();
    assert!(error.contains("the nearest names are `max`"), "{error}");
    // Those of the file, where nothing is chosen.
    model.outputs = vec!["max".to_owned(), "relu".to_owned()];
    let graph = read(&model, &[]).unwrap();
    assert_eq!(told(&graph), both);
    assert!(graph.find("hidden").is_none());
}

fn whole_relu(graph: &Graph) -> Vec<usize> {
    graph.nodes[graph.find("relu").unwrap()].shape.dims().to_vec()
}
