//! Exports by the command: what is written and said, and what is refused without a trace.

use crate::common::{files, fixedwise, write_inputs};
use fixedwise_testing::has_programs;
use std::{fs, path::Path, process::Command};

/// A folder with a network, images and a plan.
pub(crate) fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_inputs(folder.path());
    let search = ["--calibration", "images.npz:train", "--search", "images.npz:test"];
    fixedwise(folder.path())
        .args(["quantize", "brightest.onnx", "--strategy", "fixed", "--test", "none", "--quiet"])
        .args(["--range", "no-clip"])
        .args(search)
        .args(["-o", "out"])
        .assert()
        .success();
    folder
}

/// `fixedwise export FORM brightest.onnx --plan out/plan.toml` and more.
pub(crate) fn export(folder: &Path, form: &str, more: &[&str]) -> snapbox::cmd::OutputAssert {
    fixedwise(folder)
        .args(["export", form, "brightest.onnx", "--plan", "out/plan.toml"])
        .args(more)
        .assert()
}

#[test]
fn every_form_is_written() {
    let folder = folder();
    let folder = folder.path();
    for form in ["onnx", "qonnx", "npz", "tflite"] {
        let file = format!("net.{form}");
        let mut said = format!("written: {file}\n");
        if form == "tflite" {
            said += "! The kernels may round results of classes otherwise than the plan\n  \
                     (docs/export.md says when); all others are equal.\n";
        }
        let first = export(folder, form, &["-o", &file]).success();
        first.stdout_eq(said).stderr_eq("");
        let bytes = fs::read(folder.join(&file)).unwrap();
        export(folder, form, &["-o", &file, "--quiet"]).success().stdout_eq("");
        assert_eq!(fs::read(folder.join(&file)).unwrap(), bytes, "{form}: the same bytes");
    }
    export(folder, "hls", &["-o", "hls/new", "--name", "net"]).success();
    assert_eq!(files(&folder.join("hls/new")), ["net_hls4ml.yml", "net_types.h"]);
    let config = fs::read_to_string(folder.join("hls/new/net_hls4ml.yml")).unwrap();
    assert!(config.contains("  \"sums\":\n    Precision:\n      weight: ap_fixed<8,"), "{config}");
}

#[test]
fn c_is_written_and_its_own_test_agrees() {
    let folder = folder();
    let folder = folder.path();
    for (output, more) in [
        ("c", &["--test", "images.npz:test", "--inputs", "3"][..]),
        ("static", &["--arena", "static", "--name", "net"]),
    ] {
        let all = [&["-o", output][..], more].concat();
        let said = export(folder, "c", &all).success().get_output().stdout.clone();
        let said = String::from_utf8(said).unwrap();
        assert!(said.contains(" of constants + "), "{said}");
        let names = files(&folder.join(output));
        assert_eq!(names.len(), 6, "{names:?}");
        if !has_programs(&["make", "cc"]) {
            continue;
        }
        let make = Command::new("make").arg("-s").current_dir(folder.join(output)).output();
        let run = make.unwrap();
        let said = String::from_utf8(run.stdout).unwrap();
        let n = if output == "c" { 3 } else { 5 };
        let all_agree = format!("{n} of {n} inputs agree");
        assert!(run.status.success() && said.contains(&all_agree), "{said}");
    }
    let clock = ["-o", "c", "--json", "--clock", "80MHz", "--cycles-per-instruction", "1.5"];
    let json = export(folder, "c", &clock).success().get_output().stdout.clone();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let instructions = json["instructions"].as_f64().unwrap();
    let ms = json["clock"]["milliseconds"].as_f64().unwrap();
    assert!(instructions > 0.0 && (ms - instructions * 1.5 / 80e3).abs() < 1e-6, "{json}");
    assert!(json["peak"][0]["bytes"].as_u64().unwrap() > 0, "{json}");
    assert!(json["flash_bytes"].as_u64().unwrap() > 0 && json["peak_ram_bytes"].is_u64());
}

#[test]
fn a_search_writes_the_forms_it_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_inputs(folder);
    let arguments = ["quantize", "brightest.onnx", "--strategy", "fixed", "--test", "none"];
    let data = ["--calibration", "images.npz:train", "--search", "images.npz:test", "--quiet"];
    let emit = ["--emit", "c,onnx,npz", "-o", "out"];
    fixedwise(folder).args(arguments).args(data).args(emit).assert().success();
    let written = files(&folder.join("out"));
    for name in ["c", "plan.toml", "quantized.npz", "quantized.onnx"] {
        assert!(written.iter().any(|file| file.starts_with(name)), "{name} in {written:?}");
    }
    // What the result states is what the code has.
    let result = fs::read_to_string(folder.join("out/result.json")).unwrap();
    let result: serde_json::Value = serde_json::from_str(&result).unwrap();
    let header = fs::read_to_string(folder.join("out/c/brightest.h")).unwrap();
    for (define, key) in [("ARENA_SIZE", "peak_ram_bytes"), ("CONSTANT_SIZE", "constant_bytes")] {
        let line = format!("#define BRIGHTEST_{define} {}\n", result[key]);
        assert!(header.contains(&line), "no `{line}` in {header}");
    }
    // A model whose name C cannot use.
    fs::copy(folder.join("brightest.onnx"), folder.join("test.onnx")).unwrap();
    let test = ["quantize", "test.onnx", "--strategy", "fixed", "--test", "none"];
    fixedwise(folder).args(test).args(data).args(["--emit", "c", "-o", "named"]).assert().success();
    assert!(folder.join("named/c/test_net.h").is_file());

    // Another plan into the same folder: what is of the first is named, and what is in the way of one form
    // keeps back neither the others nor the result.
    fs::remove_dir_all(folder.join("out/c")).unwrap();
    fs::write(folder.join("out/c"), "mine").unwrap();
    let data = &data[..4];
    let emit = ["--emit", "c,onnx", "-o", "out", "--bits", "7"];
    let run = fixedwise(folder).args(arguments).args(data).args(emit).assert().code(1);
    let [told, text] = [&run.get_output().stderr, &run.get_output().stdout]
        .map(|text| String::from_utf8(text.clone()).unwrap());
    assert!(told.contains("cannot write into `out/c`"), "{told}");
    let words: Vec<&str> = told.split_whitespace().collect();
    let stale =
        "! These exports belong to an earlier plan in this folder: out/c, out/quantized.npz;";
    assert!(words.join(" ").contains(stale), "{told}");
    assert!(text.contains("out/quantized.onnx\n") && text.contains("Accuracy"), "{text}");

    let simulated = ["--semantics", "simulated", "-o", "other"];
    let output = fixedwise(folder).args(arguments).args(data).args(["--emit", "c"]).args(simulated);
    let output = output.assert().code(1);
    let said = String::from_utf8(output.get_output().stderr.clone()).unwrap();
    assert!(said.contains("no integers to export"), "{said}");
    assert!(!folder.join("other").exists());
}

#[test]
fn weights_in_codes_take_less_flash_or_it_says_so() {
    let folder = folder();
    let folder = folder.path();
    let said = |output: snapbox::cmd::OutputAssert| {
        let text = String::from_utf8(output.get_output().stderr.clone()).unwrap();
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    // So few weights that what decodes them takes more.
    let few = export(folder, "c", &["-o", "few", "--weights", "coded"]).success();
    assert!(said(few).starts_with("! No weights have codes"));
    for (more, expected) in [
        (&["--target", "cortex-m55"][..], "no kernels `mve`: use `--code small`"),
        (&["--weights", "file"], "'--weights <PLACE>' cannot be used multiple times"),
    ] {
        let form = [&["-o", "new", "--weights", "coded"], more].concat();
        let said = said(export(folder, "c", &form).failure());
        assert!(said.contains(expected), "expected {expected:?}, got: {said}");
        assert!(!folder.join("new").exists(), "{more:?}");
    }
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    fs::copy(format!("{root}/suite/export/plan.toml"), folder.join("plan.toml")).unwrap();
    let model = format!("{root}/models/fashion_small.onnx");
    let flash = |weights: &str| {
        let form = ["export", "c", &model, "--plan", "plan.toml", "-o", weights, "--json"];
        let more = ["--preprocess", "scale=1/255", "--weights", weights];
        let output = fixedwise(folder).args(form).args(more).assert().success().stderr_eq("");
        let json: serde_json::Value = serde_json::from_slice(&output.get_output().stdout).unwrap();
        json["flash_bytes"].as_u64().unwrap()
    };
    let [more, less] = ["constants", "coded"].map(flash);
    assert!(less * 100 < more * 95, "{less} of {more}");
}

#[test]
fn what_cannot_be_exported_is_refused() {
    let folder = folder();
    let folder = folder.path();
    fs::create_dir(folder.join("full")).unwrap();
    fs::write(folder.join("full/net_types.h"), "mine").unwrap();
    fs::write(folder.join("notes"), "mine").unwrap();
    let plan = fs::read_to_string(folder.join("out/plan.toml")).unwrap();
    fs::write(folder.join("other.toml"), plan.replace("sums", "sum")).unwrap();
    fs::write(folder.join("simulated.toml"), plan.replace("\"integer\"", "\"simulated\"")).unwrap();
    fs::write(folder.join("tiny.toml"), "base = \"cortex-m0\"\nflash_bytes = 8\n").unwrap();
    fs::write(folder.join("narrow.toml"), "base = \"cortex-m4\"\nram_bytes = 1\n").unwrap();
    fs::write(folder.join("strict.toml"), "base = \"cortex-m0\"\nweight_bits = [1]\n").unwrap();
    let before = files(folder);
    for (arguments, expected) in [
        (&["onnx", "-o", "notes"][..], "`notes` already exists: it was not written by fixedwise"),
        (&["npz", "-o", "new", "--target", "strict.toml"], "rule `weight_bits`"),
        (&["onnx", "-o", "brightest.onnx"], "it is an input of this export"),
        (&["npz", "-o", "out/plan.toml"], "it is an input of this export"),
        (&["npz", "-o", "full"], "`full` already exists: it is a folder"),
        (&["npz", "-o", "absent/net.npz"], "cannot write `absent/net.npz`"),
        (&["c", "-o", "new", "--name", "int"], "`int` is not allowed as a name in C"),
        (&["c", "-o", "notes"], "cannot write into `notes`"),
        (&["c", "-o", "new", "--target", "z80"], "option `target` is `z80`"),
        (&["c", "-o", "new", "--target", "fpga"], "does not run C"),
        (&["c", "-o", "new", "--target", "tiny.toml"], "target `tiny` has 8 bytes of flash"),
        (&["c", "-o", "new", "--target", "narrow.toml"], "target `narrow` has 1 bytes of RAM"),
        (&["c", "-o", "new", "--target", "narrow.toml"], "most is taken by `"),
        (&["c", "-o", "new", "--test", "absent.npz"], "absent.npz"),
        (&["c", "-o", "new", "--plan", "other.toml"], "`sum`"),
        (&["hls", "-o", "notes"], "cannot write into `notes`"),
        (&["hls", "-o", "full", "--name", "net"], "net_types.h` already exists"),
        (&["hls", "-o", "new", "--name", "2net"], "option `name` `2net` must be a C identifier"),
        (&["hls", "-o", "new/er", "--plan", "other.toml"], "`sum`"),
        (&["hls", "-o", "new", "--plan", "simulated.toml"], "have no integers to export"),
        (&["onnx", "-o", "new", "--plan", "absent.toml"], "cannot read `absent.toml`"),
        (&["onnx", "-o", "new", "--preprocess", "scale=0"], "scale must not be 0"),
    ] {
        let mut command = fixedwise(folder).args(["export", arguments[0], "brightest.onnx"]);
        if !arguments.contains(&"--plan") {
            command = command.args(["--plan", "out/plan.toml"]);
        }
        let output = command.args(&arguments[1..]).assert().code(1).stdout_eq("");
        let said = String::from_utf8(output.get_output().stderr.clone()).unwrap();
        assert!(said.starts_with("error: ") && said.lines().count() == 1, "{arguments:?}: {said}");
        assert!(said.contains(expected), "{arguments:?}: no `{expected}` in: {said}");
        assert_eq!(files(folder), before, "{arguments:?}");
        assert_eq!(files(&folder.join("full")), ["net_types.h"]);
    }
}

#[test]
fn a_model_is_known_on_a_device_before_there_is_a_plan() {
    let folder = folder();
    let folder = folder.path();
    let inspect = |arguments: &[&str]| {
        fixedwise(folder).args(["inspect", "brightest.onnx"]).args(arguments).assert()
    };
    let on = ["--target", "cortex-m0", "--bits", "4", "--clock", "48MHz", "--json"];
    let json = inspect(&on).success().get_output().stdout.clone();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let device = &json["device"];
    assert_eq!((&device["processor"], &device["bits"]), (&"cortex-m0".into(), &4.into()));
    assert!(device["instructions"].as_u64().unwrap() > 0 && device["clock"]["hz"] == 48_000_000);
    let text = inspect(&on[..6]).success().get_output().stdout.clone();
    let text = String::from_utf8(text).unwrap();
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("48 MHz with 1 cycle an instruction"), "{text}");
    let refused = |arguments: &[&str]| {
        let output = inspect(arguments).code(1);
        String::from_utf8(output.get_output().stderr.clone()).unwrap()
    };
    assert!(refused(&["--clock", "48MHz"]).contains("name one with --target"));
    assert!(refused(&["--target", "fpga"]).contains("does not run C"));
    assert!(refused(&["--target", "cortex-m0", "--clock", "48"]).contains("for example 80MHz"));
}

#[test]
fn a_plan_takes_of_a_device_what_its_code_does() {
    let folder = folder();
    let folder = folder.path();
    let inspect = |arguments: &[&str]| {
        let plan = ["inspect", "brightest.onnx", "--plan", "out/plan.toml"];
        fixedwise(folder).args(plan).args(arguments).assert()
    };
    let json = |output: snapbox::cmd::OutputAssert| -> serde_json::Value {
        serde_json::from_slice(&output.success().get_output().stdout).unwrap()
    };
    let device = &json(inspect(&["--target", "cortex-m4", "--json"]))["device"];
    let c = json(export(folder, "c", &["--target", "cortex-m4", "--json", "-o", "c"]));
    for key in ["instructions", "flash_bytes", "peak_ram_bytes", "peak", "layers", "schedule"] {
        assert!(!device[key].is_null() && device[key] == c[key], "{key} in {device} and {c}");
    }
    assert!(device["bits"].is_null());
    // The target of the plan, else the default.
    assert_eq!(json(inspect(&["--json"]))["device"]["target"], "generic");
    let text = inspect(&["--target", "cortex-m4", "--clock", "80MHz"]).success();
    let text = String::from_utf8(text.get_output().stdout.clone()).unwrap();
    assert!(text.contains("order: ") && text.contains("at 80 MHz"), "{text}");
    for (arguments, expected) in [
        (&["--target", "cortex-m4", "--bits", "4"][..], "cannot be used with"),
        (&["--target", "fpga"], "does not run C"),
        (&["--plan", "absent.toml"], "absent.toml"),
    ] {
        let plan = if arguments[0] == "--plan" { &[][..] } else { &["--plan", "out/plan.toml"] };
        let inspect = fixedwise(folder).args(["inspect", "brightest.onnx"]).args(plan);
        let output = inspect.args(arguments).assert().failure();
        let said = String::from_utf8(output.get_output().stderr.clone()).unwrap();
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
}
