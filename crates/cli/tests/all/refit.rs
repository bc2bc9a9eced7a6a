//! Plans that a user edits, and widths that a user gives.

use crate::common::{fixedwise, write_inputs};
use fixedwise::RunResult;
use std::{fs, path::Path};

/// A folder with a network and images.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_inputs(folder.path());
    folder
}

fn succeeds(folder: &Path, line: &str) -> (String, String) {
    let output =
        fixedwise(folder).env("COLUMNS", "300").args(line.split_whitespace()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (out, errors) = (text(output.stdout), text(output.stderr));
    assert!(output.status.success(), "{line}\n{errors}");
    (out, errors)
}

fn fails(folder: &Path, line: &str) -> String {
    let output =
        fixedwise(folder).env("COLUMNS", "300").args(line.split_whitespace()).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{line}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn an_edited_plan_is_rounded_anew() {
    let folder = folder();
    let here = folder.path();
    let read = |name: &str| fs::read(here.join(name)).unwrap();
    let text = |name: &str| String::from_utf8(read(name)).unwrap();
    let result = |name: &str| RunResult::read(&here.join(name)).unwrap();
    succeeds(
        here,
        "quantize brightest.onnx --data images.npz --seed 3 --keep classes.weights=4 -q",
    );

    // Without an edit it stays the same, to the bit.
    let (summary, errors) = succeeds(here, "refit fixedwise-out/plan.toml");
    for name in ["plan.toml", "plan.npz"] {
        let [before, after] =
            [read(&format!("fixedwise-out/{name}")), read(&format!("fixedwise-out/refit/{name}"))];
        assert!(before == after, "{name}");
    }
    assert!(
        summary.contains("; refit, integer semantics") && summary.contains("refit/plan.npz"),
        "{summary}"
    );
    assert!(!errors.contains("replace"), "{errors}");
    let (before, after) =
        (result("fixedwise-out/result.json"), result("fixedwise-out/refit/result.json"));
    assert_eq!(before.accuracy, after.accuracy);

    // Another width: the integers are no longer of the plan, and are made anew.
    let plan = text("fixedwise-out/plan.toml");
    assert!(plan.contains("fixedwise refit THIS_FILE"), "{plan}");
    for (kind, more) in [("weights", 3), ("activation", 3)] {
        let line = plan.lines().find(|line| line.starts_with(&format!("{kind} ="))).unwrap();
        let bits: u8 =
            line.split("bits = ").nth(1).unwrap().split(',').next().unwrap().parse().unwrap();
        // -1 and +1 are of one bit.
        let edited = line
            .replace(&format!("bits = {bits}"), &format!("bits = {}", bits + more))
            .replace(", range = \"bipolar\"", "");
        fs::write(here.join("fixedwise-out/plan.toml"), plan.replacen(line, &edited, 1)).unwrap();
        let evaluate = "evaluate brightest.onnx --plan fixedwise-out/plan.toml --test images.npz";
        let error = fails(here, evaluate);
        assert!(
            error.contains("no longer belong to the plan") && error.contains("`fixedwise refit"),
            "{error}"
        );
        assert!(error.contains("sums"), "{error}");
        succeeds(here, &format!("{evaluate} --refit -q"));
        // The second time it replaces what the first has made.
        let (_, errors) = succeeds(
            here,
            "refit brightest.onnx --plan fixedwise-out/plan.toml --data images.npz --seed 3 --max-loss 10%",
        );
        assert!(errors.contains("contains an earlier answer (brightest, refit"), "{errors}");
        let after = result("fixedwise-out/refit/result.json");
        let layer = &after.layers[0];
        let found = if kind == "weights" { layer.weights.bits } else { layer.activation.bits };
        assert_eq!((found, after.strategy.as_str()), (bits + more, "refit"));
        assert!(after.bound_met);
    }

    // Without the lines of its integers too; and for a plan that never had any.
    let kept: Vec<&str> = plan.lines().filter(|line| !line.starts_with("integers")).collect();
    let without = kept.join("\n");
    fs::write(here.join("fixedwise-out/plan.toml"), without).unwrap();
    succeeds(here, "refit fixedwise-out/plan.toml -q");
    assert!(read("fixedwise-out/plan.npz") == read("fixedwise-out/refit/plan.npz"));
    succeeds(
        here,
        "quantize brightest.onnx --data images.npz --strategy fixed --bits 5 -o five -q",
    );
    let (json, _) = succeeds(here, "refit five/plan.toml --json -o new");
    let five = RunResult::from_json(&json).unwrap();
    assert!(five.layers.iter().all(|layer| layer.weights.bits == 5 && layer.activation.bits == 5));
    assert!(here.join("new/plan.npz").exists());

    let error = fails(here, "refit five/result.json");
    assert!(error.contains("--plan"), "{error}");
    fs::remove_file(here.join("five/result.json")).unwrap();
    let error = fails(here, "refit five/plan.toml");
    assert!(error.contains("five/result.json") && error.contains("give MODEL, --plan"), "{error}");
}

#[test]
fn given_widths_are_kept() {
    let folder = folder();
    let here = folder.path();
    let run = "quantize brightest.onnx --data images.npz";
    let keep = "--keep sums.weights=7 --keep classes=8,-,11";
    let (json, _) = succeeds(here, &format!("{run} {keep} --json"));
    let result = RunResult::from_json(&json).unwrap();
    let bits: Vec<_> = result.layers.iter().map(|l| [l.weights.bits, l.activation.bits]).collect();
    assert_eq!((bits[0][0], bits[1]), (7, [8, 11]));
    assert!(bits[0][1] < 8, "{bits:?}");

    // The question is asked again with them, unless another width is given.
    let again = "quantize --from fixedwise-out --max-loss 2% --keep sums.weights=6 --json";
    let (json, errors) = succeeds(here, again);
    assert!(!errors.contains("replace"), "{errors}");
    let result = RunResult::from_json(&json).unwrap();
    assert_eq!([result.layers[0].weights.bits, result.layers[1].weights.bits], [6, 8]);
    let (_, errors) = succeeds(here, again);
    assert!(errors.contains("what-if contains an earlier answer (brightest, pareto, "), "{errors}");

    // The formats of that plan are a start, whatever its channels are scaled by.
    succeeds(
        here,
        &format!("{run} --strategy layer-dependent --start fixedwise-out/plan.toml -o walk -q"),
    );

    for (arguments, expected) in [
        (
            "--keep clases.weights=8",
            "`clases`, which the network does not have; the nearest names are `classes`",
        ),
        ("--keep sums=8", "three widths"),
        ("--keep sums.weights=17", "allowed: 1 to 16"),
        ("--keep sums.weights=8 --strategy joint", "`keep` needs the strategy pareto; joint"),
        ("--keep sums.weights=8 --strategy fixed", "`keep` needs the strategy pareto; fixed"),
    ] {
        let error = fails(here, &format!("{run} {arguments} -o other"));
        assert!(error.contains(expected), "{error}");
        assert!(!here.join("other").exists());
    }
}
