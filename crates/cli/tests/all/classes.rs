//! What is told of classes, and the bound on the loss of each.

use crate::common::{array, brightest, fixedwise};
use fixedwise_codec::npz::{Array, encode_npz};
use serde_json::Value;
use std::{fs, path::Path};

/// Images of which the brightest quadrant stands out: in class 2 by less or more. Every 20th is of class 3.
fn images(seed: usize, n: usize) -> (Array, Array) {
    let (mut x, mut y) = (Vec::new(), Vec::new());
    let mut state = seed;
    let mut random = |below: usize| {
        state = (state * 1_103_515_245 + 12_345) % (1 << 31);
        state / 65_536 % below
    };
    for i in 0..n {
        let label = if i % 20 == 19 { 3 } else { random(3) };
        let ahead = if label == 2 { 1 + random(60) } else { 80 };
        let background = 40 + random(100);
        for pixel in 0..16 {
            let quadrant = pixel / 8 * 2 + pixel % 4 / 2;
            let bright = background + random(4) + if quadrant == label { ahead } else { 0 };
            x.push(u8::try_from(bright).unwrap());
        }
        y.push(u8::try_from(label).unwrap());
    }
    (array(&[n, 4, 4], x), array(&[n], y))
}

fn result(folder: &Path, out: &str) -> Value {
    serde_json::from_slice(&fs::read(folder.join(out).join("result.json")).unwrap()).unwrap()
}

#[test]
fn every_class_keeps_to_its_bound() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("brightest.onnx"), brightest().encode()).unwrap();
    let ((x_train, y_train), (x_test, y_test)) = (images(1, 60), images(2, 280));
    let arrays =
        [("x_train", &x_train), ("y_train", &y_train), ("x_test", &x_test), ("y_test", &y_test)];
    fs::write(folder.join("images.npz"), encode_npz(&arrays)).unwrap();
    let quantize = |out: &str, more: &str, code: i32| {
        let run = ["quantize", "brightest.onnx", "--data", "images.npz", "-o", out];
        let done = fixedwise(folder).args(run).args(more.split_whitespace()).assert().code(code);
        let output = done.get_output();
        [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned())
    };
    let lost = |result: &Value| {
        let class = &result["classes"][2]["search"];
        class["float"].as_f64().unwrap() - class["fixed"].as_f64().unwrap()
    };
    // Of all images so many may be lost that most are of one class.
    for strategy in ["pareto", "joint", "brute-force"] {
        let options = format!("--max-loss 12% --strategy {strategy}");
        let [text, _] = quantize("free", &options, 0);
        let free = result(folder, "free");
        assert!(lost(&free) > 0.05, "{strategy}: {free}");
        // Of all test images, in the name of those of class 3 or 2.
        assert!(text.contains("  worst class: "), "{text}");
        let [text, _] = quantize("bound", &format!("{options} --max-class-loss 5pt"), 0);
        let bound = result(folder, "bound");
        let found = &bound["class_bound"]["search"];
        assert!(lost(&bound) <= 0.05 && found["is_met"] == true, "{strategy}: {bound}");
        assert_eq!(found["not_judged"], serde_json::json!([3]), "{strategy}");
        let expected = "Every class of the search set keeps to 5 percentage points: class ";
        assert!(text.replace("\n  ", " ").contains(expected), "{text}");
        assert!(text.contains("not judged, with fewer than 20 images: class 3"), "{text}");
        let memory = |result: &Value| result["memory_bits"]["total"].as_u64().unwrap();
        assert!(memory(&bound) > memory(&free), "{strategy}");
        // Plans that were measured on the way are held against it too.
        let front = bound["front"].as_array().unwrap();
        assert!(front.iter().any(|plan| plan["bound_met"] == true), "{strategy}: {bound}");
        for plan in front {
            let held = plan["held_loss"].as_f64().unwrap();
            assert_eq!(plan["bound_met"], held <= 0.12, "{strategy}: {plan}");
        }
    }
    // A plan that is given is told to miss it.
    let fixed =
        "--strategy fixed --range no-clip --bits 2 --max-loss 60% --max-class-loss 5% --resume";
    let [text, _] = quantize("fixed", fixed, 2);
    assert!(
        text.contains("✗ Not every class of the search set keeps to 5 % of its recall"),
        "{text}"
    );
    let fixed = result(folder, "fixed");
    assert_eq!(fixed["bound_met"], false);
    // The search images have run once, the plan's classes are of that run.
    assert_eq!(fixed["images_evaluated"], 140);
    let given = ["evaluate", "brightest.onnx", "--plan", "fixed/plan.toml", "--test", "images.npz"];
    let evaluate = |bound: &str| fixedwise(folder).args(given).args(["--max-class-loss", bound]);
    let done = evaluate("5pt").assert().code(2);
    let text = String::from_utf8_lossy(&done.get_output().stdout).into_owned();
    assert!(text.contains("✗ Not every class of the test set"), "{text}");
    evaluate("100%").assert().code(0);
    let [_, error] =
        quantize("no", "--max-class-loss 5% --search images.npz:test@0..9 --test none", 1);
    assert!(error.contains("no class has more than"), "{error}");
    let [_, error] = quantize("no", "--max-class-loss 5", 1);
    assert!(error.contains("expected percent of the recall (5%)"), "{error}");
}
