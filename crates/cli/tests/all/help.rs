//! What `--help` says.

use snapbox::file;

#[test]
fn help_explains_every_option_and_has_examples() {
    let folder = tempfile::tempdir().unwrap();
    let help = |arguments: &[&str]| {
        let command = crate::common::fixedwise(folder.path()).args(arguments).arg("--help");
        let help = command.assert().success();
        let text = String::from_utf8_lossy(&help.get_output().stdout).into_owned();
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        help
    };
    help(&[]).stdout_eq(file!["snapshots/help.txt"].raw());
    help(&["quantize"]).stdout_eq(file!["snapshots/quantize.txt"].raw());
    help(&["refit"]).stdout_eq(file!["snapshots/refit.txt"].raw());
    help(&["evaluate"]).stdout_eq(file!["snapshots/evaluate.txt"].raw());
    help(&["export"]).stdout_eq(file!["snapshots/export.txt"].raw());
    help(&["export", "onnx"]).stdout_eq(file!["snapshots/export_onnx.txt"].raw());
    help(&["export", "hls"]).stdout_eq(file!["snapshots/export_hls.txt"].raw());
    help(&["inspect"]).stdout_eq(file!["snapshots/inspect.txt"].raw());
    help(&["sweep"]).stdout_eq(file!["snapshots/sweep.txt"].raw());
    help(&["sweep-jobs"]).stdout_eq(file!["snapshots/sweep_jobs.txt"].raw());
    help(&["generalize"]).stdout_eq(file!["snapshots/generalize.txt"].raw());
    help(&["report"]).stdout_eq(file!["snapshots/report.txt"].raw());
    help(&["serve"]).stdout_eq(file!["snapshots/serve.txt"].raw());
    help(&["plot"]).stdout_eq(file!["snapshots/plot.txt"].raw());
    help(&["plot", "heatmap"]).stdout_eq(file!["snapshots/plot_heatmap.txt"].raw());
    help(&["plot", "all"]).stdout_eq(file!["snapshots/plot_all.txt"].raw());
}

#[test]
fn wrong_arguments_end_with_code_1() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [
        &["quantise"][..],
        &["quantize"],
        &["quantize", "a.onnx", "--data", "b", "--max-loss", "1"],
        &["quantize", "a.onnx", "--data", "b", "--bits", "17"],
        &["quantize", "a.onnx", "--data", "b", "--order", "weights,biases"],
        &["quantize", "a.onnx", "--data", "b", "--start-bits", "12,8"],
        &["quantize", "a.onnx", "--data", "b", "--budget", "linear,flat"],
        &["quantize", "a.onnx", "--data", "b", "--trade-off", "2"],
        &["quantize", "a.onnx", "--data", "b", "--window", "9"],
        &["quantize", "a.onnx", "--data", "b", "--direction", "sideways"],
        &["quantize", "a.onnx", "--calibration", "b", "--search", "c"],
        &["evaluate", "a.onnx", "--plan", "p"],
        &["export"],
        &["export", "onnx", "a.onnx", "-o", "b.onnx"],
        &["export", "npz", "a.onnx", "--plan", "p"],
        &["export", "tflite", "a.onnx", "--plan", "p", "-o", "b"],
        &["quantize", "a.onnx", "--data", "b", "--port", "80"],
        &["serve", "out", "--port", "0"],
        &["sweep-jobs"],
        &["sweep-jobs", "jobs.toml", "--jobs", "0"],
        &["sweep-jobs", "jobs.toml", "--jobs", "2", "--ray", "auto"],
        &["plot"],
        &["plot", "heatmap", "result.json"],
        &["plot", "heatmap", "result.json", "-o", "picture.jpg"],
        &["plot", "bits", "-o", "bits.svg"],
        &["plot", "all", "out", "--data", "images.npz"],
    ] {
        crate::common::fixedwise(folder.path()).args(arguments).assert().code(1).stdout_eq("");
    }
}
