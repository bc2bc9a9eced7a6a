//! The commands from file to file.

use crate::common::{files, fixedwise, root, write_inputs};
use serde_json::Value;
use std::fs;

fn json(text: &[u8]) -> Value {
    serde_json::from_slice(text).expect("JSON")
}

#[test]
fn a_small_network_is_quantized_evaluated_and_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_inputs(folder);
    let quantize =
        || fixedwise(folder).args(["quantize", "brightest.onnx", "--data", "images.npz"]);

    let output = quantize().args(["-o", "a/b", "--json"]).assert().success();
    let result = json(&output.get_output().stdout);
    let found = files(&folder.join("a/b"));
    assert_eq!(found, ["journal.jsonl", "plan.npz", "plan.toml", "result.json"]);
    assert_eq!(json(&fs::read(folder.join("a/b/result.json")).unwrap()), result);
    assert_eq!(result["bound_met"], true);
    assert_eq!(result["accuracy"]["search"]["float_correct"], 40);
    assert_eq!(result["accuracy"]["test"]["n"], 40);
    assert_eq!(result["images"]["calibration"], 50);
    assert_eq!(result["layers"][0]["name"], "sums");
    assert!(result["memory_bits"]["reduction"].as_f64().unwrap() > 0.3, "{result}");

    // The plan, evaluated again on the same network, gives the same network.
    let again = fixedwise(folder)
        .args(["evaluate", "brightest.onnx", "--plan", "a/b/plan.toml"])
        .args(["--test", "images.npz:test", "--json", "--quiet"])
        .assert()
        .success()
        .stderr_eq("");
    let again = json(&again.get_output().stdout);
    for key in ["layers", "memory_bits", "multiplication_cost", "flash_bytes", "model"] {
        assert_eq!(again[key], result[key], "{key}");
    }
    assert_eq!(again["accuracy"]["test"]["n"], 80);
    assert_eq!(again["accuracy"]["search"], Value::Null);

    // Resumed, nothing is left to run, and the plan is the same; so it is with one thread.
    let plan = fs::read(folder.join("a/b/plan.toml")).unwrap();
    let resumed = quantize().args(["-o", "a/b", "--json", "--resume"]).assert().success();
    assert_eq!(json(&resumed.get_output().stdout)["evaluations"], 0);
    assert_eq!(fs::read(folder.join("a/b/plan.toml")).unwrap(), plan);
    quantize().args(["-o", "one", "--threads", "1", "--quiet"]).assert().success().stdout_eq("");
    assert_eq!(fs::read(folder.join("one/plan.toml")).unwrap(), plan);
}

#[test]
fn another_question_takes_no_second_search() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_inputs(folder);
    let run = |arguments: &[&str]| fixedwise(folder).arg("quantize").args(arguments).assert();
    let data = ["brightest.onnx", "--data", "images.npz", "--json"];
    let first = run(&[&data[..], &["-o", "first", "--max-loss", "20%"]].concat()).success();
    let first = json(&first.get_output().stdout);
    assert_eq!(
        first["command"],
        serde_json::json!(["brightest.onnx", "--data", "images.npz", "--max-loss", "20%"])
    );

    let second = run(&["--from", "first", "--max-loss", "5%", "--json"]).success();
    let second = json(&second.get_output().stdout);
    assert_eq!(second["max_loss"]["value"], 0.05);
    assert_eq!(second["model"], first["model"]);
    assert!(folder.join("first/what-if/plan.toml").is_file());
    let images = |result: &Value| result["images_evaluated"].as_u64().unwrap();
    assert!(images(&second) < images(&first), "{} {}", images(&second), images(&first));
    // And of that answer again.
    run(&["--from", "first/what-if", "--objective", "mixed", "--quiet"]).success();

    let refused = |arguments: &[&str], expected: &str| {
        let verdict = run(arguments).code(1);
        let text = String::from_utf8(verdict.get_output().stderr.clone()).unwrap();
        assert!(text.contains(expected), "{text}");
    };
    refused(&["--from", "nowhere"], "nowhere");
    refused(&["--from", "first", "--seed", "3"], "other images");
    refused(&["--from", "first", "--strategy", "joint"], "needs the strategy pareto");
}

#[test]
fn a_bound_out_of_reach_is_code_2_with_the_best_so_far() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_inputs(folder);
    // One bit with a sign is always zero.
    fixedwise(folder)
        .args(["quantize", "brightest.onnx", "--data", "images.npz"])
        .args(["--strategy", "fixed", "--bits", "1", "--quiet"])
        .assert()
        .code(2)
        .stdout_eq("");
    let found = files(&folder.join("fixedwise-out"));
    assert_eq!(found, ["journal.jsonl", "plan.toml", "result.json"]);
}

#[test]
fn both_semantics_and_every_strategy_run() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_inputs(folder);
    for semantics in ["integer", "simulated"] {
        for strategy in ["joint", "fixed"] {
            for range in ["no-clip", "least-error"] {
                let arguments =
                    ["--semantics", semantics, "--strategy", strategy, "--range", range];
                let output = fixedwise(folder)
                    .args(["quantize", "brightest.onnx", "--data", "images.npz", "--json"])
                    .args(arguments)
                    .assert()
                    .success();
                let result = json(&output.get_output().stdout);
                assert_eq!(result["semantics"], semantics);
                assert_eq!(result["strategy"], strategy);
                assert_eq!(result["ended"], "completed");
            }
        }
    }
}

#[test]
fn plans_on_the_way_of_a_search_tensor_by_tensor_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_inputs(folder);
    for strategy in ["joint", "layer-dependent", "layer-independent", "brute-force"] {
        let output = fixedwise(folder)
            .args(["quantize", "brightest.onnx", "--data", "images.npz", "--json"])
            .args(["--strategy", strategy])
            .assert()
            .success();
        let result = json(&output.get_output().stdout);
        let front = result["front"].as_array().unwrap();
        assert!(front.len() > 2, "{strategy}: {result}");
        assert!(front.iter().all(|plan| plan["held_loss"] == plan["loss"]), "{strategy}: {result}");
        let costs = |plan: &Value| [plan["memory_bits"].clone(), plan["multiplications"].clone()];
        let answer = [&result["memory_bits"]["total"], &result["multiplication_cost"]["operand"]]
            .map(Value::clone);
        let last = front.iter().rfind(|plan| plan["bound_met"] == true);
        assert_eq!(last.map(costs), Some(answer), "{strategy}: {result}");
        // Who looks at the journal sees the same, and what is best so far.
        let journal = fs::read_to_string(folder.join("fixedwise-out/journal.jsonl")).unwrap();
        let lines = journal.lines().map(|line| json(line.as_bytes()));
        let told: Vec<Value> =
            lines.filter(|line| !line["plan"].is_null()).map(|line| line["plan"].clone()).collect();
        let plans: Vec<&Value> = told.iter().map(|told| &told["plan"]).collect();
        assert_eq!(plans, front.iter().collect::<Vec<_>>(), "{strategy}");
        let best = told.iter().rfind(|told| told["is_best"] == true);
        assert_eq!(best.map(|told| &told["plan"]), last, "{strategy}");
    }
}

#[test]
fn a_time_budget_ends_the_search_with_an_answer() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_inputs(folder);
    let output = fixedwise(folder)
        .args(["quantize", "brightest.onnx", "--data", "images.npz", "--json"])
        .args(["--time-budget", "0.000001s"])
        .assert()
        .success();
    let result = json(&output.get_output().stdout);
    assert_eq!(result["ended"], "time_budget");
    assert_eq!(result["accuracy"]["test"]["fixed_correct"], 40);
}

#[test]
fn a_model_is_inspected_with_and_without_data() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_inputs(folder);
    let output = fixedwise(folder).args(["inspect", "brightest.onnx"]).assert().success();
    let text = String::from_utf8(output.get_output().stdout.clone()).unwrap();
    assert!(text.contains("sums") && text.contains("Conv") && text.contains("2x2x1"), "{text}");
    let output = fixedwise(folder)
        .args(["inspect", "brightest.onnx", "--data", "images.npz", "--json"])
        .assert()
        .success();
    let result = json(&output.get_output().stdout);
    assert_eq!(result["images"], 50);
    let sums = result["nodes"].as_array().unwrap().iter().find(|node| node["name"] == "sums");
    let largest = sums.unwrap()["value_range"][1].as_f64().unwrap();
    assert!((0.58..1.0).contains(&largest), "{largest}");
}

#[test]
fn a_keras_model_is_inspected_whatever_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let inspect = |arguments: &[&str]| {
        let command = fixedwise(folder.path()).current_dir(root().join("suite/keras"));
        let output = command.arg("inspect").args(arguments).arg("--json").assert().success();
        json(&output.get_output().stdout)["nodes"].clone()
    };
    let nodes = inspect(&["plain.h5"]);
    let names: Vec<_> = nodes.as_array().unwrap().iter().map(|node| node["name"].clone()).collect();
    assert!(names.contains(&"conv".into()) && names.contains(&"classes".into()), "{names:?}");
    assert_eq!(inspect(&["plain.keras"]), nodes);
    let other = inspect(&["plain.weights.h5", "--architecture", "plain.json"]);
    assert_eq!(other, nodes);
}
