//! Targets from the command line: what they allow, what they count, and what is said where a
//! budget of memory is not met.

use crate::common::{fixedwise, root, write_inputs};
use fixedwise::{Model, RunResult, SetResult, plan_target, read_plan};
use std::{fs, path::Path};

/// The arguments of `quantize` on the network that comes with fixedwise, on few images.
fn arguments(out: &str) -> Vec<String> {
    let data = |set: &str| format!("{}{set}", root().join("data/fashion-mnist").display());
    let model = root().join("models/fashion_small.onnx").display().to_string();
    let sets = ["--calibration", "--search"].map(str::to_owned);
    let [calibration, search] = sets;
    let mut arguments = vec!["quantize".to_owned(), model];
    arguments.extend([calibration, data(":train@0..16"), search, data(":test@0..40")]);
    let rest = ["--test", "none", "--max-loss", "5%", "-o", out];
    arguments.extend(rest.map(str::to_owned));
    arguments
}

fn result(folder: &Path, out: &str) -> RunResult {
    RunResult::read(&folder.join(out).join("result.json")).unwrap()
}

#[test]
fn a_plan_says_its_target_and_is_held_against_another() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let fixed = "--strategy fixed --range no-clip --bits 12 --target cortex-m4 --quiet";
    fixedwise(folder).args(arguments("out")).args(fixed.split(' ')).assert().success();
    let found = result(folder, "out");
    assert_eq!(found.target.as_deref(), Some("cortex-m4"));
    let plan = folder.join("out/plan.toml");
    assert_eq!(plan_target(&plan).unwrap().as_deref(), Some("cortex-m4"));
    let model = Model::load(&root().join("models/fashion_small.onnx")).unwrap();
    let plans = ["out/plan.toml", "out/result.json"].map(|file| folder.join(file));
    let [a, b] = plans.map(|path| read_plan(&path, &model, None).unwrap());
    assert_eq!(a, b);

    // The same target without being named again, and one that does not store 12 bits.
    fs::write(folder.join("narrow.toml"), "base = \"cortex-m0\"\nweight_bits = [4, 8]\n").unwrap();
    let evaluate = |target: &[&str]| {
        let images = format!("{}:test@0..40", root().join("data/fashion-mnist").display());
        fixedwise(folder)
            .arg("evaluate")
            .arg(root().join("models/fashion_small.onnx"))
            .args(["--plan", "out/plan.toml", "--test", &images, "--json", "--quiet"])
            .args(target)
            .assert()
    };
    let again = evaluate(&[]).success();
    let again = String::from_utf8(again.get_output().stdout.clone()).unwrap();
    let again = RunResult::from_json(&again).unwrap();
    assert_eq!(again.target.as_deref(), Some("cortex-m4"));
    assert_eq!(
        (again.flash_bytes, again.peak_ram_bytes, again.io_bytes),
        (found.flash_bytes, found.peak_ram_bytes, found.io_bytes)
    );
    let refused = evaluate(&["--target", "narrow.toml"]).code(1);
    let text = String::from_utf8(refused.get_output().stderr.clone()).unwrap();
    assert!(text.contains("rule `weight_bits` of target `narrow` is violated"), "{text}");
}

#[test]
fn a_budget_that_cannot_be_met_ends_in_2_with_the_nearest_answer() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let eight = ["--strategy", "fixed", "--target", "cortex-m0"];
    let roomy = ["--max-flash", "80KiB", "--max-ram", "50k", "--quiet"];
    fixedwise(folder).args(arguments("roomy")).args(eight).args(roomy).assert().success();
    let roomy = result(folder, "roomy");
    assert!(roomy.fits() && roomy.budgets.len() == 2);

    let tight = ["--max-flash", "20k", "--max-ram", "4k"];
    let run = fixedwise(folder).args(arguments("tight")).args(eight).args(tight).assert().code(2);
    let text = String::from_utf8(run.get_output().stdout.clone()).unwrap();
    assert!(text.contains("✗ Flash needs "), "{text}");
    let unfolded = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let step = "conv2d_4: weights with 7 bits would save 4,607 bytes; its loss is not measured";
    assert!(unfolded.contains(step), "{text}");
    assert!(text.contains("The narrowest widths of cortex-m0 need 8,752 bytes"), "{text}");
    assert!(text.contains("at the peak: max…2d_1, 4,608 bytes"), "{text}");
    let tight = result(folder, "tight");
    assert!(tight.bound_met && !tight.fits());
    // Small kernels come nearer.
    assert_eq!(tight.peak_ram_bytes, roomy.peak_ram_bytes);
    assert!(tight.flash_bytes < roomy.flash_bytes, "{text}");
    assert!(folder.join("tight/plan.toml").is_file());

    // A budget of the profile's own.
    fs::write(folder.join("board.toml"), "base = \"cortex-m0\"\nram_bytes = 4096\n").unwrap();
    let own = ["--strategy", "fixed", "--target", "board.toml", "--quiet"];
    fixedwise(folder).args(arguments("own")).args(own).assert().code(2);
    let own = result(folder, "own");
    assert_eq!((own.budgets.len(), own.budgets[0].limit_bytes), (1, 4_096));

    // Its plan measured without it: that is said.
    let images = format!("{}:test@0..40", root().join("data/fashion-mnist").display());
    let model = root().join("models/fashion_small.onnx").display().to_string();
    let evaluate = ["evaluate", &model, "--plan", "own/plan.toml", "--test", &images];
    let run = fixedwise(folder).args(evaluate).assert().success();
    let told = String::from_utf8(run.get_output().stderr.clone()).unwrap();
    assert!(told.contains("for target `board`, which is not built in"), "{told}");
    fixedwise(folder).args(evaluate).args(["--target", "board.toml"]).assert().code(2);
}

#[test]
fn the_usual_search_ends_in_2_too_with_the_nearest_answer() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let tight = ["--target", "cortex-m4", "--max-flash", "8k", "--max-ram", "4k"];
    let run = fixedwise(folder).args(arguments("out")).args(tight).assert().code(2);
    let output = run.get_output();
    let [told, text] =
        [&output.stderr, &output.stdout].map(|text| String::from_utf8(text.clone()).unwrap());
    let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
    let expected =
        "--max-ram cannot be met: values and kernels at the peak alone take at least 10920 bytes";
    assert!(told.contains(expected), "{told}");
    assert!(text.contains("✗ Flash needs ") && text.contains("✗ RAM needs "), "{text}");
    assert!(text.contains("The narrowest widths of cortex-m4 need 9,176 bytes"), "{text}");
    assert!(text.contains("at the peak: conv2d_3 (3 rows), 2,304 bytes"), "{text}");
    assert!(text.contains("at the peak: max…2d_1, 4,608 bytes"), "{text}");
    let found = result(folder, "out");
    assert!(found.bound_met && !found.fits());
    // As near as the bound lets it: far below the 73 KiB of 8 bits.
    assert!(found.flash_bytes < 30_000, "{}", found.flash_bytes);
    assert!(found.budgets.iter().all(|budget| budget.least_bytes > Some(budget.limit_bytes)));
    let model = Model::load(&root().join("models/fashion_small.onnx")).unwrap();
    read_plan(&folder.join("out/plan.toml"), &model, None).unwrap();
}

#[test]
fn flash_asks_for_stored_widths_of_weights_alone() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let eight = ["--target", "cortex-m4", "--strategy", "fixed", "--quiet"];
    fixedwise(folder).args(arguments("eight")).args(eight).assert().success();
    // The default on a microcontroller.
    let flash = ["--target", "cortex-m4", "--quiet"];
    fixedwise(folder).args(arguments("flash")).args(flash).assert().success();
    let (eight, flash) = (result(folder, "eight"), result(folder, "flash"));
    let bytes = [&flash, &eight].map(|result| result.constant_bytes.unwrap());
    let code = flash.code.unwrap();
    assert_eq!(flash.flash_bytes, bytes[0] + code.bytes);
    assert_eq!((code.kernels.as_str(), code.reason.as_str()), ("fast", "enough"));
    assert!(flash.front.iter().all(|plan| plan.flash_bytes.is_some() && plan.ram_bytes.is_some()));
    assert!(2 * bytes[0] < bytes[1], "{bytes:?}");
    assert!(flash.layers.iter().all(|layer| layer.activation.bits >= 8));
    assert!(flash.layers.iter().all(|layer| (1..=8).contains(&layer.weights.bits)));
    assert_eq!(flash.objective.as_deref(), Some("flash"));
}

#[test]
fn channels_have_binary_points_of_their_own_where_the_target_allows() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("board.toml"), "granularity = \"channel\"\n").unwrap();
    let target = ["--target", "board.toml", "--quiet"];
    fixedwise(folder).args(arguments("out")).args(target).assert().success();
    let model = Model::load(&root().join("models/fashion_small.onnx")).unwrap();
    let plan = read_plan(&folder.join("out/plan.toml"), &model, None).unwrap();
    assert!(plan.rounded.values().any(|rounded| rounded.is_by_channel()));
    let found = result(folder, "out");
    for layer in &found.layers {
        let own = plan.rounded.get(&layer.name).filter(|own| own.is_by_channel());
        assert_eq!(layer.coarser, own.map_or(vec![], |own| own.coarser.clone()), "{}", layer.name);
    }

    // The same again from what was written, also where the target is given, and refused by another.
    let evaluate = |target: &str| {
        let images = format!("{}:test@0..40", root().join("data/fashion-mnist").display());
        fixedwise(folder)
            .arg("evaluate")
            .arg(root().join("models/fashion_small.onnx"))
            .args(["--plan", "out/plan.toml", "--test", &images, "--json", "--quiet"])
            .args(["--target", target])
            .assert()
    };
    let again = evaluate("board.toml").success();
    let again = String::from_utf8(again.get_output().stdout.clone()).unwrap();
    let again = RunResult::from_json(&again).unwrap();
    let correct = |set: Option<SetResult>| set.unwrap().fixed_correct;
    assert_eq!(correct(again.accuracy.test), correct(found.accuracy.search));
    assert_eq!(again.memory_bits, found.memory_bits);
    assert_eq!(again.flash_bytes, found.flash_bytes);
    let refused = evaluate("generic").code(1);
    let text = String::from_utf8(refused.get_output().stderr.clone()).unwrap();
    assert!(text.contains("rule `granularity` of target `generic` is violated"), "{text}");
}

#[test]
fn what_cannot_be_is_refused_before_the_search() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_inputs(folder);
    fs::write(folder.join("odd.toml"), "weight_bits = [0, 8]\n").unwrap();
    fs::write(folder.join("sharp.toml"), "shift = [0, 0]\n").unwrap();
    for (arguments, expected) in [
        (&["--target", "cortex-m3"][..], "option `target` is `cortex-m3`, not one of generic"),
        (&["--target", "absent.toml"], "cannot read `absent.toml`"),
        (&["--target", "odd.toml"], "target `odd.toml`, line 1: `weight_bits` has 0; allowed:"),
        (&["--target", "sharp.toml"], "rule `shift` of target `sharp` is violated: node"),
        (
            &["--target", "cortex-m4", "--objective", "multiplications"],
            "on target `cortex-m4` a multiplication costs the same",
        ),
        (
            &["--objective", "flash", "--strategy", "fixed"],
            "option `objective` is flash, which needs a strategy that searches",
        ),
        (
            &["--target", "cortex-m4", "--semantics", "simulated"],
            "option `target` needs integer semantics",
        ),
        (&["--max-ram=-5"], "expected bytes"),
        (&["--max-flash", "lots"], "expected bytes"),
    ] {
        let run = fixedwise(folder)
            .args(["quantize", "brightest.onnx", "--data", "images.npz", "--quiet", "-o", "out"])
            .args(arguments)
            .assert()
            .code(1);
        let text = String::from_utf8(run.get_output().stderr.clone()).unwrap();
        assert!(text.contains(expected), "{arguments:?}: {text}");
        assert!(!folder.join("out/plan.toml").exists(), "{arguments:?}");
    }
}

#[test]
fn every_target_has_a_plan() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_inputs(folder);
    for target in fixedwise::target_names() {
        for objective in ["memory", "flash", "ram"] {
            let out = format!("{target}-{objective}");
            fixedwise(folder)
                .args(["quantize", "brightest.onnx", "--data", "images.npz", "--quiet"])
                .args(["--target", target, "--objective", objective, "-o", &out])
                .assert()
                .success();
            let result = result(folder, &out);
            assert_eq!(result.target.as_deref(), Some(target));
            assert!(result.flash_bytes > 0 && result.io_bytes.is_some());
        }
    }
}
