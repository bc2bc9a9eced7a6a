//! Several searches from a file.

use crate::common::{files, fixedwise, write_inputs};
use fixedwise::RunResult;
use serde_json::Value;
use std::{fs, path::Path};

const JOBS: &str = r#"
[shared]
model = "brightest.onnx"
data = "images.npz"
[grid]
max-loss = ["5%", "50%"]
strategy = ["fixed", "pareto"]
[[job]]
model = "absent.onnx"
strategy = "fixed"
"#;

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn searches_of_a_file_are_those_of_quantize() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_inputs(folder);
    fs::write(folder.join("jobs.toml"), JOBS).unwrap();
    let run = |words: &[&str]| {
        let command = fixedwise(folder).arg("sweep-jobs").arg("jobs.toml").args(words);
        let done = command.assert().code(1);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let output = done.get_output();
        (text(&output.stdout), text(&output.stderr))
    };
    let (out, errors) = run(&["-o", "one"]);
    assert!(
        errors.contains("search 5 of 5: ") && errors.contains("1 of 5 searches failed"),
        "{errors}"
    );
    assert!(out.lines().all(|line| line.chars().count() <= 80), "{out}");
    for expected in [
        "1 model=brightest.onnx, max-loss=5%,",
        "Search 5 (model=absent.onnx, strategy=fixed) failed: cannot read `absent.onnx`",
        "written: one/jobs.json, one/report.html",
    ] {
        let out = out.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(out.contains(expected), "{expected}\n{out}");
    }
    // Side by side the same comes out.
    let (printed, _) = run(&["-o", "two", "--jobs", "3", "--json", "--quiet"]);
    let rows = json(&folder.join("one/jobs.json"));
    let others: Value = serde_json::from_str(&printed).unwrap();
    let plan = |out: &str, place: usize| {
        fs::read_to_string(folder.join(out).join(place.to_string()).join("plan.toml")).unwrap()
    };
    for place in 0..4 {
        for key in ["bound_met", "memory_saved", "relative_loss", "flash_bytes"] {
            assert_eq!(rows[place][key], others[place][key], "search {place}, {key}");
        }
        assert_eq!(plan("one", place + 1), plan("two", place + 1));
    }
    assert!(rows[4]["error"].as_str().unwrap().contains("absent.onnx"), "{rows}");
    // And the same as alone.
    let words =
        ["quantize", "brightest.onnx", "--data=images.npz", "--max-loss=50%", "-q", "-o", "alone"];
    fixedwise(folder).args(words).assert().success();
    let alone = RunResult::read(&folder.join("alone/result.json")).unwrap();
    let fourth = RunResult::read(&folder.join("one/4/result.json")).unwrap();
    assert_eq!((&alone.layers, alone.accuracy), (&fourth.layers, fourth.accuracy));
    assert_eq!(rows[3]["options"]["strategy"], "pareto");
    let page = fs::read_to_string(folder.join("one/report.html")).unwrap();
    assert!(page.contains("Runs side by side") && page.contains("one&#x2f;4"));
    assert!(page.contains("--max-loss=5% --strategy=fixed</td>"), "what differs is told");
    // What was written is a run, for every other command.
    fixedwise(folder).args(["report", "one/4", "-q"]).assert().success();
    assert!(files(&folder.join("one/4")).contains(&"report.html".to_owned()));
}

#[test]
fn files_and_clusters_that_cannot_be_used_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("jobs.toml"), JOBS).unwrap();
    fs::write(folder.join("wrong.toml"), JOBS.replace("max-loss", "max-los")).unwrap();
    for (words, expected) in [
        (&["sweep-jobs", "absent.toml"][..], "error: cannot read `absent.toml`"),
        (
            &["sweep-jobs", "wrong.toml"],
            "`wrong.toml`, line 6: `max-los` is no option of `quantize`; did you mean `max-loss`?",
        ),
        (&["sweep-jobs", "jobs.toml", "--ray", "auto"], "pip install 'fixedwise[ray]'"),
        (&["quantize", "net.onnx", "--data=x", "--ray=auto"], "pip install 'fixedwise[ray]'"),
    ] {
        let done = fixedwise(folder).args(words).assert().code(1);
        let errors = String::from_utf8_lossy(&done.get_output().stderr).into_owned();
        assert!(errors.contains(expected), "{words:?}: {errors}");
    }
    assert_eq!(files(folder), ["jobs.toml", "wrong.toml"], "nothing is written");
}
