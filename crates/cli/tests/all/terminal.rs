//! What the command prints stays within the width of the terminal.

use crate::common::{brightest_of, fixedwise, write_inputs};
use std::{collections::BTreeSet, fs, path::Path};

/// Everything that a command prints on a terminal of 80 columns.
fn printed(folder: &Path, line: &str) -> String {
    let output = fixedwise(folder).env("COLUMNS", "80").args(line.split_whitespace());
    let output = output.output().unwrap();
    [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap()).concat()
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_inputs(folder);
    let data = "--data images.npz";
    let plan = "--plan out/plan.toml";
    for (line, expected) in [
        (format!("inspect brightest.onnx {data}"), "values min max"),
        (
            format!("quantize brightest.onnx {data} --verbose -o out --emit c,onnx,npz"),
            "paper's count",
        ),
        (format!("evaluate brightest.onnx {plan} --test images.npz:test"), "bit products"),
        (format!("export c brightest.onnx {plan} -o c"), "bytes of arena"),
        (format!("export hls brightest.onnx {plan} -o a-folder/with-a-long-name"), "written: "),
        (
            format!("sweep brightest.onnx {data} --tensor weights --bits 2..4 -o swept"),
            "accuracy in percent",
        ),
        (format!("generalize brightest.onnx {data} --strategy fixed -o parts"), "tuned on"),
        ("plot all out".to_owned(), "written: out/plots/"),
        (format!("evaluate brightest.onnx {plan} --test images.npz:nowhere@0..80"), "error: "),
        (format!("export c brightest.onnx {plan} -o c --target cortex-m3"), "error: "),
        ("quantize --from out --max-loss nothing-that-is-a-loss".to_owned(), "error: "),
        (
            "sweep brightest.onnx --tensor everything --search images.npz".to_owned(),
            "possible values",
        ),
    ] {
        let text = printed(folder, &line);
        assert!(text.contains(expected), "{line}: no `{expected}` in\n{text}");
        for shown in text.lines() {
            assert!(shown.chars().count() <= 80, "{line}:\n{shown}");
        }
    }
    for command in ["quantize", "export c", "sweep", "plot distributions"] {
        let text = printed(folder, &format!("{command} --help"));
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{command}:\n{text}");
    }
}

#[test]
fn an_error_is_folded_for_people_and_one_line_for_programs() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["inspect", "a.onnx", "--data", "images.npz", "--preprocess", "colors=red"];
    let said = |columns: Option<&str>| {
        let mut command = fixedwise(folder.path()).args(arguments);
        if let Some(columns) = columns {
            command = command.env("COLUMNS", columns);
        }
        let error = command.assert().code(1).stdout_eq("");
        String::from_utf8(error.get_output().stderr.clone()).unwrap()
    };
    let (one, folded) = (said(None), said(Some("40")));
    assert_eq!(one.lines().count(), 1, "{one}");
    assert!(folded.lines().count() > 1, "{folded}");
    assert!(folded.lines().all(|line| line.chars().count() <= 40), "{folded}");
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words(&one), words(&folded));
}

#[test]
fn layers_whose_names_look_alike_stay_apart_in_every_file() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_inputs(folder);
    let long = |middle: &str| format!("{}{middle}{}", "a".repeat(40), "b".repeat(40));
    let (zero, one) = (long("0"), long("1"));
    for (idx, [sums, classes]) in
        [["conv", "conv "], ["conv", "conv"], ["", " "], ["1", "1\n"], [&zero, &one]]
            .iter()
            .enumerate()
    {
        let model = format!("net{idx}.onnx");
        let names = brightest_of([sums, "relu", "flat", classes]);
        fs::write(folder.join(&model), names.encode()).unwrap();
        let run = |line: &str| {
            let text = printed(folder, line);
            assert!(!text.contains("error"), "{line}:\n{text}");
            text
        };
        let text = run(&format!("inspect {model}"));
        let rows = text.lines().filter(|line| line.contains(" Conv ") || line.contains(" Gemm "));
        let first = rows.map(|line| line.split("  ").nth(1).unwrap_or_default());
        let names: BTreeSet<&str> = first.map(str::trim).collect();
        assert!(names.len() == 2 && !names.contains(""), "{text}");
        run(&format!("quantize {model} --data images.npz --strategy fixed --emit c -o out{idx}"));
        // The plan names its layers so that it can be read again.
        let plan = format!("--plan out{idx}/plan.toml --test images.npz:test");
        let text = run(&format!("evaluate {model} {plan} --json"));
        let result = fs::read_to_string(folder.join(format!("out{idx}/result.json"))).unwrap();
        let memory = |text: &str| {
            let json: serde_json::Value =
                serde_json::from_str(&text[text.find('{').unwrap()..=text.rfind('}').unwrap()])
                    .unwrap();
            json["memory_bits"].clone()
        };
        assert_eq!(memory(&text), memory(&result));
    }
}
