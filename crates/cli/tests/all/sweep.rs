//! Sweeps, parts of a data set, and roots, from file to file.

use crate::common::{files, fixedwise, root, write_inputs};
use serde_json::Value;
use std::{fs, path::Path};

/// Runs a command and reads what it prints.
fn json(folder: &Path, arguments: &[&str]) -> Value {
    let output = fixedwise(folder).args(arguments).args(["--json", "--quiet"]).assert().success();
    serde_json::from_slice(&output.get_output().stdout).expect("JSON")
}

fn embedded() -> (String, String) {
    let path = |name: &str| root().join(name).display().to_string();
    (path("models/fashion_small.onnx"), path("data/fashion-mnist"))
}

#[test]
fn a_point_of_a_sweep_is_the_plan_evaluated() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (model, data) = embedded();
    let images = format!("{data}:test@0..60");
    let arguments = ["sweep", &model, "--search", &images, "--tensor", "weights"];
    let more = ["--layer", "conv2d_2", "--bits", "2..3", "--around", "-1..1", "-o", "out"];
    let result = json(folder, &[&arguments[..], &more].concat());
    assert_eq!(files(&folder.join("out")), ["sweep.json"]);
    let written: Value =
        serde_json::from_slice(&fs::read(folder.join("out/sweep.json")).unwrap()).unwrap();
    assert_eq!(written, result);
    assert_eq!((&result["schema"], &result["images"]), (&Value::from(1), &Value::from(60)));
    assert_eq!(result["layers"].as_array().unwrap().len(), 1);
    let points = result["layers"][0]["points"].as_array().unwrap();
    assert_eq!(points.len(), 6);
    for point in &points[3..5] {
        let plan = format!(
            r#"{{"weights": {{"conv2d_2": [{}, {}]}}, "biases": {{}}, "activations": {{}}}}"#,
            point["bits"], point["frac"]
        );
        fs::write(folder.join("plan.json"), plan).unwrap();
        let arguments = ["evaluate", &model, "--plan", "plan.json", "--test", &images];
        let test = &json(folder, &arguments)["accuracy"]["test"];
        assert_eq!(test["fixed_correct"], point["correct"]);
        assert_eq!((&test["lost"], &test["gained"]), (&point["lost"], &point["gained"]));
        assert_eq!(test["float"], result["float_accuracy"]);
    }
}

#[test]
fn what_is_held_is_a_plan_and_a_plan_is_held() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_inputs(folder);
    let sweep = ["sweep", "brightest.onnx", "--data", "images.npz", "--bits", "1..6"];
    for semantics in ["integer", "simulated"] {
        for direction in ["forward", "backward"] {
            let more = ["--tensor", "weights", "--hold", "best", "--direction", direction];
            let more = [&more[..], &["--semantics", semantics, "-o", "held"]].concat();
            let result = json(folder, &[&sweep[..], &more].concat());
            let names: Vec<&str> = result["layers"]
                .as_array()
                .unwrap()
                .iter()
                .map(|l| l["name"].as_str().unwrap())
                .collect();
            let order = ["sums", "classes"];
            let is_forward = direction == "forward";
            assert_eq!(names, if is_forward { order } else { [order[1], order[0]] });
            for layer in result["layers"].as_array().unwrap() {
                let held = usize::try_from(layer["held"].as_u64().unwrap()).unwrap();
                assert!(layer["points"][held]["ratio"].as_f64().unwrap() >= 0.99, "{layer}");
            }
            assert_eq!(files(&folder.join("held")), ["plan.toml", "sweep.json"]);
            // The activations, with the weights as they were held.
            let more = ["--tensor", "activations", "--plan", "held/plan.toml"];
            let result = json(folder, &[&sweep[..], &more].concat());
            assert_eq!(result["semantics"], semantics);
            assert_eq!(result["tensor"], "activations");
            assert_eq!(result["layers"].as_array().unwrap().len(), 2);
        }
    }
    let text = fixedwise(folder).args(sweep).args(["--tensor", "weights"]).assert().success();
    let text = String::from_utf8(text.get_output().stdout.clone()).unwrap();
    assert!(
        text.contains("sums") && text.contains("written: fixedwise-sweep/sweep.json"),
        "{text}"
    );
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
}

#[test]
fn a_whole_plan_by_brute_force_keeps_to_the_bound() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_inputs(folder);
    for semantics in ["integer", "simulated"] {
        let arguments = ["quantize", "brightest.onnx", "--data", "images.npz"];
        let more = ["--strategy", "brute-force", "--semantics", semantics];
        let result = json(folder, &[&arguments[..], &more].concat());
        assert_eq!(result["strategy"], "brute-force");
        assert_eq!(result["bound_met"], true);
        assert!(result["memory_bits"]["reduction"].as_f64().unwrap() > 0.2, "{result}");
    }
}

#[test]
fn a_plan_is_tuned_on_one_part_and_measured_on_each() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (model, data) = embedded();
    let (images, calibration) = (format!("{data}@100..300"), format!("{data}:train@0..100"));
    let generalize = ["generalize", &model, "--data", &images, "--parts", "4"];
    let tuned =
        ["--tune", "2", "--calibration", &calibration, "--strategy", "fixed", "--max-loss", "20%"];
    let result = json(folder, &[&generalize[..], &tuned, &["-o", "out"]].concat());
    let written = files(&folder.join("out"));
    assert_eq!(
        written,
        ["generalize.json", "journal.jsonl", "plan.npz", "plan.toml", "result.json"]
    );
    let parts = result["parts"].as_array().unwrap();
    let tuned: Vec<bool> = parts.iter().map(|part| part["tuned"].as_bool().unwrap()).collect();
    assert_eq!(tuned, [false, true, false, false]);
    assert_eq!(result["unseen"]["n"], 150);
    // The search images of the run are the part, the test images none of it.
    let run: Value =
        serde_json::from_slice(&fs::read(folder.join("out/result.json")).unwrap()).unwrap();
    // Parts are told by their likeliest class alone.
    let likeliest = |accuracy: &Value| {
        let mut accuracy = accuracy.clone();
        accuracy.as_object_mut().unwrap().remove("top5").unwrap();
        accuracy
    };
    assert_eq!(likeliest(&run["accuracy"]["search"]), parts[1]["accuracy"]);
    assert_eq!((&run["images"]["calibration"], &run["images"]["test"]), (&100.into(), &100.into()));
    // Each part is what `evaluate` says of these images.
    for part in [0, 2] {
        let test = format!("{data}:test@{}..{}", 100 + 50 * part, 150 + 50 * part);
        let arguments = ["evaluate", &model, "--plan", "out/plan.toml", "--test", &test];
        let evaluated = json(folder, &arguments);
        assert_eq!(likeliest(&evaluated["accuracy"]["test"]), parts[part]["accuracy"]);
    }
    // The same plan, only measured.
    let output = fixedwise(folder)
        .args(generalize)
        .args(["--plan", "out/plan.toml", "-o", "given", "--json", "--max-loss", "20%"])
        .assert()
        .success();
    let given: Value = serde_json::from_slice(&output.get_output().stdout).unwrap();
    assert_eq!(files(&folder.join("given")), ["generalize.json"]);
    assert_eq!(given["strategy"], "given");
    for (given, part) in given["parts"].as_array().unwrap().iter().zip(parts) {
        assert_eq!((&given["accuracy"], &given["tuned"]), (&part["accuracy"], &false.into()));
    }
    let text = fixedwise(folder)
        .args(generalize)
        .args(["--plan", "out/plan.toml", "--max-loss", "20%"])
        .assert()
        .success();
    let text = String::from_utf8(text.get_output().stdout.clone()).unwrap();
    assert!(text.contains("250..300") && text.contains("all other parts"), "{text}");
}

#[test]
fn several_seeds_tell_how_much_is_chance() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_inputs(folder);
    let generalize = [
        "generalize",
        "brightest.onnx",
        "--data",
        "images.npz",
        "--parts",
        "2",
        "--max-loss",
        "20%",
    ];
    let run = |arguments: &[&str], code: i32| {
        let done = fixedwise(folder).args(generalize).args(arguments).assert().code(code);
        let output = done.get_output();
        [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned())
    };
    let [text, _] = run(&["--seeds", "3", "--seed", "5", "-o", "out"], 0);
    assert!(text.contains("mean") && text.contains("deviation"), "{text}");
    let written = fs::read(folder.join("out/generalize.json")).unwrap();
    let result: Value = serde_json::from_slice(&written).unwrap();
    let seeds = result["seeds"].as_array().unwrap();
    let which = |seed: &Value| [seed["seed"].as_u64().unwrap(), seed["part"].as_u64().unwrap()];
    assert_eq!(seeds.iter().map(which).collect::<Vec<_>>(), [[5, 1], [6, 2], [7, 1]]);
    // The first is the plan that is shown; each is the run in its folder.
    assert_eq!(seeds[0]["unseen"], result["unseen"]);
    for (seed, own) in seeds.iter().zip(["out", "out/seed-6", "out/seed-7"]) {
        let run = fs::read(folder.join(own).join("result.json")).unwrap();
        let run: Value = serde_json::from_slice(&run).unwrap();
        assert_eq!(seed["memory_reduction"], run["memory_bits"]["reduction"]);
    }
    let saved = |seed: &Value| seed["memory_reduction"].as_f64().unwrap();
    let mean = seeds.iter().map(saved).sum::<f64>() / 3.0;
    let spread = &result["spread"]["memory_reduction"];
    assert!((spread["mean"].as_f64().unwrap() - mean).abs() < 1e-12, "{spread}");

    assert!(run(&["--seeds", "0"], 1)[1].contains("the least is 1"));
    let given = ["--seeds", "2", "--plan", "out/plan.toml"];
    assert!(run(&given, 1)[1].contains("a plan that is only measured"));
    let [text, _] = run(&["-o", "one"], 0);
    assert!(!text.contains("deviation"), "{text}");
}

#[test]
fn roots_are_a_quantizer_of_simulated_semantics() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_inputs(folder);
    let arguments = ["--quantizer", "square-root", "--semantics", "simulated"];
    let quantize = ["quantize", "brightest.onnx", "--data", "images.npz"];
    let result = json(folder, &[&quantize[..], &arguments].concat());
    assert_eq!((&result["quantizer"], &result["bound_met"]), (&"square-root".into(), &true.into()));
    let plan = fs::read_to_string(folder.join("fixedwise-out/plan.toml")).unwrap();
    assert!(plan.contains("quantizer = \"square-root\""), "{plan}");
    let evaluate = ["evaluate", "brightest.onnx", "--plan", "fixedwise-out/plan.toml"];
    let again = json(folder, &[&evaluate[..], &["--test", "images.npz:test"]].concat());
    assert_eq!(again["quantizer"], "square-root");
    let sweep = ["sweep", "brightest.onnx", "--data", "images.npz", "--tensor", "weights"];
    let root = json(folder, &[&sweep[..], &arguments[..2], &["--bits", "1..3"]].concat());
    assert_eq!(root["quantizer"], "square-root");
    let uniform = json(folder, &[&sweep[..], &["--bits", "1..3"]].concat());
    assert_ne!(root["layers"], uniform["layers"]);
}

#[test]
fn wrong_sweeps_and_parts_are_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_inputs(folder);
    let sweep = ["sweep", "brightest.onnx", "--data", "images.npz", "--tensor"];
    let generalize = ["generalize", "brightest.onnx", "--data", "images.npz"];
    let quantize = ["quantize", "brightest.onnx", "--data", "images.npz"];
    let before = files(folder);
    let cases: &[(&[&str], &[&str], &str)] = &[
        (&sweep, &["weights", "--bits", "8..1"], "its range of bit widths is empty"),
        (&sweep, &["weights", "--frac", "5..-5"], "its range of binary points is empty"),
        (&sweep, &["weights", "--bits", "0..4"], "its widths are 0 to 4 bits"),
        (&sweep, &["weights", "--bits", "8..17"], "weights have 1 to 16"),
        (
            &sweep,
            &["biases", "--bits", "1..32", "--frac=-128..127"],
            "it has 8192 formats, more than 4096; narrow the bit widths",
        ),
        (
            &sweep,
            &["weights", "--layer", "elsewhere"],
            "no weights of `elsewhere` to sweep; the network has those of sums, classes",
        ),
        (&sweep, &["biases"], "there are no biases to sweep; the network has none"),
        (&sweep, &["weights", "--plan", "absent.toml"], "absent.toml"),
        (
            &sweep,
            &["weights", "--semantics", "integer", "--quantizer", "square-root"],
            "`quantizer` square-root does not support integer semantics",
        ),
        (&quantize, &["--quantizer", "square-root"], "use semantics `simulated`"),
        (
            &quantize,
            &["--quantizer", "square-root", "--semantics", "simulated", "--range", "least-error"],
            "use range `no-clip`",
        ),
        (&generalize, &["--parts", "1"], "option `parts` is 1; allowed: 2 to 1000"),
        (&generalize, &["--parts", "0"], "option `parts` is 0"),
        (&generalize, &["--tune", "5"], "option `tune` is 5; the parts are 1 to 4"),
        (&generalize, &["--tune", "0"], "option `tune` is 0"),
        (&generalize, &["--parts", "100"], "there are only 80 images"),
        (&generalize, &["--search", "images.npz:test"], "option `search` has no meaning here"),
        (&generalize, &["--plan", "absent.toml"], "absent.toml"),
        (
            &["generalize", "brightest.onnx", "--data", "images.npz:train"],
            &[],
            "use `--calibration`",
        ),
    ];
    for (command, arguments, expected) in cases {
        let output =
            fixedwise(folder).args(*command).args(*arguments).arg("--quiet").assert().code(1);
        let said = String::from_utf8(output.get_output().stderr.clone()).unwrap();
        assert!(said.starts_with("error: ") && said.lines().count() == 1, "{arguments:?}: {said}");
        assert!(said.contains(expected), "{arguments:?}: no `{expected}` in: {said}");
        assert_eq!(files(folder), before, "{arguments:?}");
    }
}
