//! `fixedwise plot`, from a run to its pictures.

use crate::common::{files, fixedwise, write_inputs};
use std::fs;

#[test]
fn a_run_becomes_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_inputs(folder);
    let run = |arguments: &[&str]| {
        fixedwise(folder).args(arguments).assert().success().get_output().stdout.clone()
    };
    let quantize = ["quantize", "brightest.onnx", "--data", "images.npz", "--quiet"];
    run(&[&quantize[..], &["--strategy", "joint", "-o", "run"]].concat());
    let model = ["--model", "brightest.onnx", "--data", "images.npz"];
    let said = run(&[&["plot", "all", "run"][..], &model].concat());
    let said = String::from_utf8(said).unwrap();
    let plots = files(&folder.join("run/plots"));
    for name in ["bits", "costs", "distributions", "drop", "front", "heatmap"] {
        for kind in ["svg", "png"] {
            let name = format!("{name}.{kind}");
            assert!(plots.contains(&name) && said.contains(&name), "{name}: {plots:?}, {said}");
        }
    }
    assert_eq!(plots.len(), 12, "nothing temporary stays: {plots:?}");

    // The same pictures one by one, of the same bytes.
    for (arguments, name) in [
        (&["heatmap", "run/result.json"][..], "heatmap.svg"),
        (&["bits", "run/result.json"], "bits.png"),
        (&["costs", "run/result.json"], "costs.svg"),
        (&["drop", "run/result.json"], "drop.png"),
    ] {
        run(&[&["plot"], arguments, &["-o", name]].concat());
        let path = format!("run/plots/{name}");
        assert_eq!(
            fs::read(folder.join(name)).unwrap(),
            fs::read(folder.join(path)).unwrap(),
            "{name}"
        );
    }
    // A search of all tensors at once has other things to show.
    run(&[&quantize[..], &["-o", "front"]].concat());
    run(&[&["plot", "all", "front", "--quiet"][..], &model].concat());
    let plots = files(&folder.join("front/plots"));
    let names = ["bits", "costs", "distributions", "front", "sensitivity"];
    let expected: Vec<String> =
        names.iter().flat_map(|name| [format!("{name}.png"), format!("{name}.svg")]).collect();
    assert_eq!(plots, expected);
    run(&["plot", "sensitivity", "front/result.json", "-o", "sensitivity.svg"]);
    run(&["plot", "front", "front/result.json", "-o", "front.svg"]);

    run(&["plot", "bits", "run/plan.toml", "run/result.json", "-o", "two.svg"]);
    let svg = fs::read_to_string(folder.join("two.svg")).unwrap();
    assert!(svg.contains("run/plan.toml") && svg.contains("run/result.json"));
}

#[test]
fn what_is_no_result_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_inputs(folder);
    fs::write(folder.join("text.json"), "weights").unwrap();
    fs::write(folder.join("empty.json"), "{}").unwrap();
    let plan = "schema = 1\nsemantics = \"integer\"\n[layers.nowhere]\n";
    fs::write(folder.join("plan.toml"), plan).unwrap();
    let run = ["quantize", "brightest.onnx", "--data", "images.npz", "--strategy", "fixed"];
    let verdict = fixedwise(folder).args(run).args(["-o", "fixed", "--quiet"]).output().unwrap();
    assert!(matches!(verdict.status.code(), Some(0 | 2)), "{verdict:?}");
    let before = files(folder);
    for (arguments, expected) in [
        (&["heatmap", "absent.json"][..], &["absent.json"][..]),
        (&["heatmap", "text.json"], &["text.json", "line 1"]),
        (&["heatmap", "empty.json"], &["empty.json", "neither a result nor a sweep"]),
        (&["heatmap", "fixed/result.json"], &["fixed/result.json", "no tried formats"]),
        (&["drop", "fixed/result.json"], &["no layer-by-layer search"]),
        (&["costs", "empty.json"], &["empty.json", "schema"]),
        (&["bits", "images.npz"], &["images.npz"]),
        (
            &["distributions", "brightest.onnx", "--plan", "plan.toml", "--quiet"],
            &["plan.toml", "nowhere"],
        ),
    ] {
        let output = fixedwise(folder).arg("plot").args(arguments).args(["-o", "picture.svg"]);
        let output = output.assert().code(1).stdout_eq("");
        let said = String::from_utf8(output.get_output().stderr.clone()).unwrap();
        assert!(said.starts_with("error: ") && said.lines().count() == 1, "{said}");
        for expected in expected {
            assert!(said.contains(expected), "{arguments:?}: no `{expected}` in: {said}");
        }
    }
    assert_eq!(files(folder), before, "no picture was written");
    let all = fixedwise(folder).args(["plot", "all", "absent"]).assert().code(1);
    assert!(String::from_utf8_lossy(&all.get_output().stderr).contains("absent/result.json"));
    let all = fixedwise(folder).args(["plot", "all", "fixed", "--format", "svg", "-q"]).assert();
    all.success().stdout_eq("");
    assert_eq!(files(&folder.join("fixed/plots")), ["bits.svg", "costs.svg"]);
    let sweep = ["sweep", "brightest.onnx", "--data", "images.npz", "--tensor", "weights"];
    let sweep =
        fixedwise(folder).args(sweep).args(["--bits", "2..3", "-o", "swept", "-q"]).assert();
    sweep.success().stdout_eq("");
    let all = fixedwise(folder).args(["plot", "all", "swept", "--format", "png", "-q"]).assert();
    all.success().stdout_eq("");
    assert_eq!(files(&folder.join("swept/plots")), ["sweep.png"]);
}
