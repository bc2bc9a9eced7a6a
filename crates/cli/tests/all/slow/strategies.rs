//! Every strategy from the command line: what it writes, how it is resumed, what it is told.

use crate::common::{files, fixedwise, root, write_inputs};
use fixedwise::{Model, RunResult, Semantics, read_plan};
use std::{fs, path::Path};

const WALKS: [&str; 3] = ["joint", "layer-dependent", "layer-independent"];

/// `quantize` of the network that comes with fixedwise, on few images, into `out`.
fn quantize(folder: &Path, out: &str, arguments: &[&str]) -> RunResult {
    let data = |set: &str| format!("{}{set}", root().join("data/fashion-mnist").display());
    fixedwise(folder)
        .arg("quantize")
        .arg(root().join("models/fashion_small.onnx"))
        .args(["--calibration", &data(":train@0..60"), "--search", &data(":test@0..80")])
        .args(["--test", "none", "--max-loss", "5%", "-o", out, "--quiet"])
        .args(arguments)
        .assert()
        .success()
        .stdout_eq("");
    RunResult::read(&folder.join(out).join("result.json")).expect("a result")
}

#[test]
fn every_strategy_is_resumed_and_its_files_say_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let model = Model::load(&root().join("models/fashion_small.onnx")).unwrap();
    for strategy in WALKS {
        let asked = ["--strategy", strategy];
        let result = quantize(folder, strategy, &asked);
        assert_eq!(result.strategy, strategy);
        assert!(result.bound_met && result.evaluations > 50, "{strategy}");
        assert!(result.tried.iter().any(|entry| entry.chosen), "{strategy}");
        assert_eq!(result.trace.len(), 15, "{strategy}: five layers, three tensors each");
        let out = folder.join(strategy);
        assert_eq!(files(&out), ["journal.jsonl", "plan.toml", "result.json"]);

        // A result holds its plan.
        let plan = read_plan(&out.join("plan.toml"), &model, None).unwrap();
        assert_eq!(read_plan(&out.join("result.json"), &model, None).unwrap(), plan);
        assert_eq!(plan.semantics, Semantics::Integer);

        // Torn in the middle, the rest is measured again; whole, nothing is.
        let journal = fs::read_to_string(out.join("journal.jsonl")).unwrap();
        let half: Vec<&str> = journal.lines().take(journal.lines().count() / 2).collect();
        fs::write(out.join("journal.jsonl"), half.join("\n")).unwrap();
        let resumed = quantize(folder, strategy, &[&asked[..], &["--resume"]].concat());
        assert!((1..result.evaluations).contains(&resumed.evaluations), "{strategy}");
        assert_eq!(resumed.tried, result.tried, "{strategy}");
        let resumed = quantize(folder, strategy, &[&asked[..], &["--resume"]].concat());
        assert_eq!(resumed.evaluations, 0, "{strategy}");
        assert_eq!(read_plan(&out.join("plan.toml"), &model, None).unwrap(), plan, "{strategy}");
    }
}

#[test]
fn both_semantics_have_every_strategy() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_inputs(folder);
    for strategy in WALKS {
        for semantics in ["integer", "simulated"] {
            fixedwise(folder)
                .args([
                    "quantize",
                    "brightest.onnx",
                    "--data",
                    "images.npz",
                    "--quiet",
                    "-o",
                    "out",
                ])
                .args(["--strategy", strategy, "--semantics", semantics])
                .assert()
                .success();
            let result = RunResult::read(&folder.join("out/result.json")).unwrap();
            assert_eq!((&*result.strategy, &*result.semantics), (strategy, semantics));
            for plan in ["plan.toml", "result.json"] {
                let plan = format!("out/{plan}");
                let output = fixedwise(folder)
                    .args(["evaluate", "brightest.onnx", "--plan", &plan])
                    .args(["--test", "images.npz:test", "--json", "--quiet"])
                    .assert()
                    .success();
                let text = String::from_utf8(output.get_output().stdout.clone()).unwrap();
                let again = RunResult::from_json(&text).unwrap();
                assert_eq!(again.layers, result.layers, "{plan}");
            }
        }
    }
}

#[test]
fn what_a_search_is_told_it_does() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let told = [
        "--strategy",
        "layer-dependent",
        "--direction",
        "reverse",
        "--order",
        "activations,weights,biases",
        "--start-bits",
        "9,6,10",
        "--budget",
        "flat,share,1%;1%;2%;2%;3%",
        "--window",
        "0",
    ];
    let result = quantize(folder, "told", &told);
    let first = &result.tried[0];
    assert_eq!((&*first.name, first.kind.name(), first.bits), ("dense_1", "activations", 10));
    let search = result.search.unwrap();
    assert_eq!(search.order.map(fixedwise::Kind::name), ["activations", "weights", "biases"]);
    assert_eq!(search.window, 0);

    // A search that starts from what was found begins there.
    let start = folder.join("told/result.json");
    let found = RunResult::read(&start).unwrap().layers[0].weights;
    let started = quantize(folder, "started", &["--start", &start.display().to_string()]);
    let first = &started.tried[0];
    assert_eq!((&*first.name, first.kind.name()), (&*started.layers[0].name, "weights"));
    let extra = i32::from(first.bits) - i32::from(found.bits);
    assert_eq!(Some(i32::from(first.frac)), found.frac.map(|frac| frac + extra));
    assert!(started.evaluations < 200, "{}", started.evaluations);
}
