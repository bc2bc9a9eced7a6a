//! Metrics that are computed of all images, by labels in the `.npz`.

use crate::common::{array, fixedwise, write_inputs};
use fixedwise_codec::{
    npz::{Array, ArrayData, encode_npz},
    onnx::{ModelBuilder, Node, Tensor},
};
use serde_json::Value;
use std::{fs, path::Path};

/// Rows and columns of an image.
const SIZE: usize = 6;

fn random(seed: usize) -> impl FnMut(usize) -> usize {
    let mut state = seed;
    move |below| {
        state = (state * 1_103_515_245 + 12_345) % (1 << 31);
        state / 65_536 % below
    }
}

/// Brightness from 0 to 255.
fn pixels(seed: usize, n: usize) -> Vec<u8> {
    let mut random = random(seed);
    (0..n * SIZE * SIZE).map(|_| u8::try_from(random(256)).unwrap()).collect()
}

fn images(pixels: &[u8]) -> Array {
    array(&[pixels.len() / (SIZE * SIZE), SIZE, SIZE], pixels.to_vec())
}

fn floats(shape: &[usize], data: Vec<f32>) -> Array {
    Array { shape: shape.to_vec(), data: ArrayData::F32(data) }
}

/// Two convolutions of a pixel, with those weights and biases of the second.
fn network(name: &str, weights: &[f32], biases: &[f32]) -> ModelBuilder {
    let (n, size) = (biases.len(), SIZE);
    let first = vec![0.9, 1.1, 0.8];
    let second = weights.iter().flat_map(|w| [w * 0.4, w * 0.4, w * 0.25]).collect();
    let conv = |name: &str, inputs: [&str; 3], to: &str| {
        Node::new("Conv", name, &inputs, &[to]).with("kernel_shape", vec![1_i64, 1])
    };
    ModelBuilder::new(name)
        .input("image", &[1, 1, size, size])
        .initializer("w1", Tensor::floats(&[3, 1, 1, 1], first))
        .initializer("b1", Tensor::floats(&[3], vec![0.0; 3]))
        .initializer("w2", Tensor::floats(&[n, 3, 1, 1], second))
        .initializer("b2", Tensor::floats(&[n], biases.to_vec()))
        .node(conv("first", ["image", "w1", "b1"], "a"))
        .node(Node::new("Relu", "relu", &["a"], &["b"]))
        .node(conv("second", ["b", "w2", "b2"], "y"))
        .output("y", &[1, n, size, size])
}

/// Tells dark, middle and bright places apart; the second labels of places, with a few that are wrong or missing.
fn write_segmenter(folder: &Path) {
    let model = network("segmenter", &[0.0, 1.0, 2.0], &[0.0, -0.3, -0.95]);
    fs::write(folder.join("segmenter.onnx"), model.encode()).unwrap();
    let (train, test) = (pixels(1, 40), pixels(2, 80));
    let mut random = random(3);
    let mut label = |x: &u8| match random(20) {
        0 => 255,
        1 => 2,
        _ => u8::from(*x > 76) + u8::from(*x > 165),
    };
    let labels: Vec<u8> = test.iter().map(&mut label).collect();
    let y = array(&[80, SIZE, SIZE], labels);
    let arrays = [("x_train", &images(&train)), ("x_test", &images(&test)), ("y_test", &y)];
    fs::write(folder.join("masks.npz"), encode_npz(&arrays)).unwrap();
}

/// Makes images a little darker; the labels are the images.
fn write_values(folder: &Path) {
    let model = network("dimmer", &[0.95], &[0.02]);
    fs::write(folder.join("dimmer.onnx"), model.encode()).unwrap();
    let (train, test) = (pixels(1, 40), pixels(2, 80));
    let y = test.iter().map(|&x| f32::from(x) / 255.0).collect();
    let y = floats(&[80, 1, SIZE, SIZE], y);
    let arrays = [("x_train", &images(&train)), ("x_test", &images(&test)), ("y_test", &y)];
    fs::write(folder.join("values.npz"), encode_npz(&arrays)).unwrap();
}

fn result(folder: &Path, out: &str) -> Value {
    serde_json::from_slice(&fs::read(folder.join(out).join("result.json")).unwrap()).unwrap()
}

/// Runs a command line; what it printed, and what it complained about.
fn run(folder: &Path, line: &str, code: i32) -> [String; 2] {
    let done = fixedwise(folder).args(line.split_whitespace()).assert().code(code);
    let output = done.get_output();
    [&output.stdout, &output.stderr].map(|text| {
        let text = String::from_utf8_lossy(text);
        text.lines().map(str::trim).collect::<Vec<_>>().join(" ")
    })
}

/// The figure of a set, whose interval holds it.
fn figure(result: &Value, set: &str) -> [f64; 3] {
    let figure = &result["accuracy"][set]["figure"];
    let number = |value: &Value| value.as_f64().unwrap_or_else(|| panic!("{figure}"));
    for (name, interval) in
        [("float", "float_interval95"), ("fixed", "fixed_interval95"), ("loss", "loss_interval95")]
    {
        let (x, [low, high]) =
            (number(&figure[name]), [0, 1].map(|i| number(&figure[interval][i])));
        assert!(low <= x && x <= high, "{name} of {figure}");
    }
    ["float", "fixed", "loss"].map(|name| number(&figure[name]))
}

#[test]
fn label_maps_bound_the_mean_iou() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_segmenter(folder);
    let quantize = "quantize segmenter.onnx --data masks.npz";
    let mut memory = 0.0;
    for (bound, out) in [("6pt", "6"), ("1pt", "1")] {
        let [text, _] = run(folder, &format!("{quantize} --max-loss {bound} -o {out}"), 0);
        let expected = format!("meets the bound, {} points of mean IoU: loss ", &bound[..1]);
        assert!(text.contains(&expected), "{text}");
        let found = result(folder, out);
        let limit = bound[..1].parse::<f64>().unwrap() / 100.0;
        let [float, fixed, loss] = figure(&found, "search");
        assert!(loss <= limit && (float - fixed - loss).abs() < 1e-9, "{float} {fixed} {loss}");
        // A place in twenty has another label.
        assert!(float > 0.85 && float < 0.96, "{float}");
        assert_eq!(
            (&found["metric"], &found["max_loss"]["kind"]),
            (&"miou".into(), &"metric-points".into())
        );
        let total = found["memory_bits"]["total"].as_f64().unwrap();
        assert!(total > memory, "the tighter bound takes more: {total} after {memory}");
        memory = total;
    }
    // The same images, journaled, are not run again, but for what the plan reaches.
    let [text, _] = run(folder, &format!("{quantize} --max-loss 1pt -o 1 --resume"), 0);
    assert!(text.contains("0 plans measured"), "{text}");
    // Evaluated, and as one of many: what the search said of it.
    let given = "evaluate segmenter.onnx --plan 1/plan.toml --test masks.npz";
    let [text, _] = run(folder, given, 0);
    for expected in [
        "float network: mean IoU 9",
        "intervals by bootstrap over images, 1,000 resamples",
        "pixel accuracy, test: 9",
        "worst class: 2, recall ",
        "95 % interval of fixed, test: 9",
    ] {
        assert!(text.contains(expected), "{expected} in {text}");
    }
    let [text, _] = run(folder, &format!("{given} --json"), 0);
    let evaluated: Value = serde_json::from_str(&text).unwrap();
    figure(&evaluated, "test");
    let [text, _] =
        run(folder, &format!("{quantize} --strategy fixed --range no-clip --bits 2 -o 2"), 2);
    assert!(text.contains("The bound, 1 % of the float mean IoU, is not met"), "{text}");
    assert_eq!(result(folder, "2")["images_evaluated"], 40);
    let [_, error] = run(folder, &format!("{quantize} --strategy joint"), 1);
    assert!(error.contains("option `metric` needs the strategy pareto or fixed"), "{error}");
    let [_, error] = run(folder, &format!("{quantize} --max-loss 1dB"), 1);
    assert!(error.contains("is in dB, as only the metric psnr is; the metric is miou"), "{error}");
    let [_, error] = run(folder, &format!("{quantize} --max-class-loss 5%"), 1);
    assert!(error.contains("it does not go with outputs that are values"), "{error}");
    // Images of a printed test need no labels.
    run(folder, "export c segmenter.onnx --plan 1/plan.toml --test masks.npz -o c", 0);
    // By noise alone, labels do not count.
    run(folder, &format!("{quantize} --min-sqnr 25 -o sqnr"), 0);
    let found = result(folder, "sqnr")["accuracy"]["search"].clone();
    let interval = [0, 1].map(|i| found["sqnr_interval95"][i].as_f64().unwrap());
    let db = found["sqnr_db"].as_f64().unwrap();
    assert!(interval[0] < db && db < interval[1] && interval[1] - interval[0] < 3.0, "{found}");
}

#[test]
fn values_bound_the_psnr_and_the_mean_error() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_values(folder);
    let quantize = "quantize dimmer.onnx --data values.npz";
    // Images of values: PSNR, at the largest value of floats from 0 to 1.
    let [text, _] = run(folder, &format!("{quantize} --max-loss 0.5dB -o psnr"), 0);
    assert!(text.contains("meets the bound, 0.5 dB of PSNR: loss "), "{text}");
    let found = result(folder, "psnr");
    assert_eq!(found["metric"], "psnr");
    let [float, fixed, loss] = figure(&found, "search");
    assert!(loss <= 0.5 && (float - fixed - loss).abs() < 1e-9, "{float} {fixed}");
    // Off by 0.02 - 0.05 x, x from 0 to 1: 36.3 dB.
    assert!((35.5..37.0).contains(&float), "{float}");
    // By the bound that goes with the metric: asked again, the run is the one that it was.
    run(folder, &format!("{quantize} -o usual"), 0);
    run(folder, &format!("{quantize} --from usual"), 0);
    run(folder, &format!("{quantize} --from usual --max-loss 0.5%"), 0);
    let [_, error] = run(folder, &format!("{quantize} --from usual --metric mae"), 1);
    assert!(error.contains("usual"), "{error}");
    let [text, _] = run(folder, &format!("{quantize} --metric mae --max-loss 3% -o mae"), 0);
    assert!(text.contains("meets the bound, 3 % of the float mean absolute error"), "{text}");
    let [float, fixed, loss] = figure(&result(folder, "mae"), "search");
    assert!(loss <= 0.03 && ((fixed - float) / float - loss).abs() < 1e-9, "{float} {fixed}");
    let given = "evaluate dimmer.onnx --plan mae/plan.toml --test values.npz --json";
    let evaluate = |more: &str| {
        let [text, _] = run(folder, &format!("{given} {more}"), 0);
        serde_json::from_str::<Value>(&text).unwrap()
    };
    let [one, ten] = ["", "--peak 10"].map(|more| figure(&evaluate(more), "test")[0]);
    assert!((ten - one - 20.0).abs() < 1e-6, "{one} {ten}");
    assert_eq!(evaluate("--metric sqnr")["metric"], "sqnr");
    // Of a network that is to copy its image, how far it is off is a score: that of bright images is larger.
    let test = pixels(2, 80);
    let is_bright = |image: &[u8]| image.iter().filter(|x| **x > 180).count() > 11;
    let labels: Vec<u8> = test.chunks(SIZE * SIZE).map(|x| u8::from(is_bright(x))).collect();
    let arrays = [("x_test", &images(&test)), ("y_test", &array(&[80], labels))];
    fs::write(folder.join("copies.npz"), encode_npz(&arrays)).unwrap();
    let line = "evaluate dimmer.onnx --plan mae/plan.toml --test copies.npz --json --metric auc";
    let [text, _] = run(folder, line, 0);
    let [float, ..] = figure(&serde_json::from_str(&text).unwrap(), "test");
    assert!(float > 0.7, "{float}");
    let [_, error] = run(folder, &format!("{quantize} --metric mae --max-loss 1pt"), 1);
    assert!(error.contains("is in percentage points, in which the metric mae is not"), "{error}");
    let [_, error] = run(folder, &format!("{quantize} --metric sqnr"), 1);
    assert!(error.contains("whose bound is `min-sqnr`"), "{error}");
    let [_, error] = run(folder, &format!("{quantize} --metric mae --min-sqnr 30"), 1);
    assert!(
        error.contains("is mae, which goes with neither min-sqnr nor metric-command"),
        "{error}"
    );
}

#[test]
#[cfg(unix)]
fn a_given_plan_is_measured_by_a_command_and_by_every_metric() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_inputs(folder);
    run(folder, "quantize brightest.onnx --data images.npz --strategy fixed -q -o fixed", 0);
    fs::write(
        folder.join("shapes.sh"),
        "for f in \"$@\"; do head -c 128 \"$f\" | grep -ao \"'shape': ([0-9, ]*)\" >> shapes; done; echo 7\n",
    )
    .unwrap();
    let given = ["evaluate", "brightest.onnx", "--plan", "fixed/plan.toml", "--test", "images.npz"];
    let command = ["--metric-command", "sh shapes.sh", "--json"];
    let done = fixedwise(folder).args(given).args(command).assert().success();
    let found: Value = serde_json::from_slice(&done.get_output().stdout).unwrap();
    assert_eq!(found["metric"], "command");
    assert_eq!(found["accuracy"]["test"]["metric"], serde_json::json!([7.0, 7.0]));
    // Of the float network and of the plan: one output and the places of the images.
    let shapes = fs::read_to_string(folder.join("shapes")).unwrap();
    let shapes: Vec<&str> = shapes.lines().collect();
    assert_eq!(
        shapes,
        ["'shape': (80,4,)", "'shape': (80,)", "'shape': (80,4,)", "'shape': (80,)"]
    );
    for (metric, expected) in
        [("top1", "worst class: "), ("sqnr", "SQNR: signal-to-quantization-noise ratio")]
    {
        let [text, error] = run(folder, &[&given[..], &["--metric", metric]].concat().join(" "), 0);
        assert!(format!("{text} {error}").contains(expected), "{metric}: {text}");
    }
    let [_, error] = run(folder, &[&given[..], &["--metric", "auc"]].concat().join(" "), 1);
    assert!(error.contains("the metric auc, which needs one score or two classes"), "{error}");
    let [_, error] = run(folder, &[&given[..], &["--metric", "top5"]].concat().join(" "), 1);
    assert!(
        error.contains("top5, which needs more than five classes; the network has 4"),
        "{error}"
    );
    // One-hot floats are classes rather than values.
    let (x, _) = crate::common::images(2, 4);
    let y = floats(&[4, 4], (0_u8..16).map(|i| f32::from(u8::from(i % 5 == 0))).collect());
    fs::write(folder.join("onehot.npz"), encode_npz(&[("x_test", &x), ("y_test", &y)])).unwrap();
    let line = "evaluate brightest.onnx --plan fixed/plan.toml --test onehot.npz";
    let [_, error] = run(folder, line, 1);
    assert!(error.contains("floats of 0 and 1: store one class number per image"), "{error}");
    run(folder, &format!("{line} --metric mae"), 0);
    let [_, error] = run(folder, &[&given[..], &["--metric", "iou"]].concat().join(" "), 1);
    assert!(error.contains("`iou` is no metric; there are top1, top5"), "{error}");
}

/// Scores that are higher for brighter images.
#[test]
fn scores_bound_the_auc() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let weights = (0..SIZE * SIZE).map(|i| [0.3, 0.2, 0.25, 0.35][i % 4]).collect();
    let size = SIZE;
    let model = ModelBuilder::new("score")
        .input("image", &[1, 1, size, size])
        .initializer("w", Tensor::floats(&[size * size, 1], weights))
        .initializer("b", Tensor::floats(&[1], vec![-5.0]))
        .node(Node::new("Flatten", "flat", &["image"], &["f"]))
        .node(Node::new("Gemm", "dense", &["f", "w", "b"], &["l"]))
        .node(Node::new("Sigmoid", "sigmoid", &["l"], &["p"]))
        .output("p", &[1, 1]);
    fs::write(folder.join("score.onnx"), model.encode()).unwrap();
    let (train, test) = (pixels(1, 40), pixels(2, 80));
    let mut random = random(5);
    let label = |image: &[u8]| {
        let sum: usize = image.iter().map(|&x| usize::from(x)).sum();
        u8::from(sum + random(600) > 127 * SIZE * SIZE + 300)
    };
    let labels: Vec<u8> = test.chunks(SIZE * SIZE).map(label).collect();
    let write = |file: &str, labels: Vec<u8>| {
        let y = array(&[80], labels);
        let arrays = [("x_train", &images(&train)), ("x_test", &images(&test)), ("y_test", &y)];
        fs::write(folder.join(file), encode_npz(&arrays)).unwrap();
    };
    write("scores.npz", labels);
    write("one.npz", vec![1; 80]);
    let quantize = "quantize score.onnx --metric auc --max-loss 2pt --data";
    let [text, _] = run(folder, &format!("{quantize} scores.npz -o auc"), 0);
    assert!(text.contains("meets the bound, 2 points of AUC: loss "), "{text}");
    let found = result(folder, "auc");
    assert_eq!(found["metric"], "auc");
    let [float, fixed, _] = figure(&found, "search");
    assert!(float > 0.8 && float < 1.0 && fixed >= float - 0.02, "{float} {fixed}");
    let [_, error] = run(folder, &format!("{quantize} one.npz -o one"), 1);
    assert!(error.contains("metric `auc` needs images of both labels"), "{error}");
}

#[test]
fn labels_that_go_with_nothing_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_segmenter(folder);
    write_values(folder);
    let x = images(&pixels(2, 4));
    let n = 4 * SIZE * SIZE;
    let map = |data: Vec<u8>| array(&[4, SIZE, SIZE], data);
    let mut nan = vec![0.5; n];
    nan[SIZE * SIZE] = f32::NAN;
    let ints = |shape: &[usize], data: Vec<i64>| Array {
        shape: shape.to_vec(),
        data: ArrayData::I64(data),
    };
    let cases: [(&str, Array, &str, &str); 12] = [
        (
            "segmenter",
            map(vec![3; n]),
            "",
            "label 3 of a place of image 0 is out of range: the network has 3 classes",
        ),
        (
            "segmenter",
            ints(&[4, SIZE, SIZE], vec![-100; n]),
            "",
            "label -100 of a place of image 0",
        ),
        (
            "segmenter",
            map(vec![255; n]),
            "",
            "metric `miou` needs labels: all places of all images are ignored",
        ),
        (
            "segmenter",
            array(&[4, 3, 3], vec![0; 36]),
            "",
            "integers of shape [6, 6] (classes of places)",
        ),
        (
            "segmenter",
            array(&[4, 3, 3], vec![0; 36]),
            "--metric miou",
            "has labels of shape [3, 3] for each image, but the metric miou needs",
        ),
        (
            "segmenter",
            floats(&[4, SIZE, SIZE], vec![0.5; n]),
            "--metric miou",
            "the metric miou needs integers",
        ),
        ("segmenter", array(&[3, SIZE, SIZE], vec![0; 108]), "", "has 4 images but 3 labels"),
        ("segmenter", array(&[4], vec![0; 4]), "--metric miou", "the metric miou needs integers"),
        ("dimmer", floats(&[4, 1, SIZE, SIZE], nan), "", "the label of image 1 has the value NaN"),
        (
            "dimmer",
            floats(&[4, 1, SIZE, SIZE], vec![2.5; n]),
            "",
            "--peak states the largest value",
        ),
        ("dimmer", map(vec![7; n]), "", "if they are values, add `--metric psnr`"),
        (
            "dimmer",
            floats(&[4, SIZE], vec![0.5; 24]),
            "--metric mae",
            "the metric mae needs values of the shape",
        ),
    ];
    for net in ["segmenter", "dimmer"] {
        let data = if net == "dimmer" { "values.npz" } else { "masks.npz" };
        run(
            folder,
            &format!(
                "quantize {net}.onnx --data {data} --strategy fixed --max-loss 50% -q -o {net}"
            ),
            0,
        );
    }
    for (net, y, options, expected) in cases {
        fs::write(folder.join("bad.npz"), encode_npz(&[("x_test", &x), ("y_test", &y)])).unwrap();
        let line = format!("evaluate {net}.onnx --plan {net}/plan.toml --test bad.npz {options}");
        let [_, error] = run(folder, &line, 1);
        assert!(error.contains(expected), "{expected}: {error}");
    }
    fs::write(folder.join("bare.npz"), encode_npz(&[("x_test", &x)])).unwrap();
    let line = "evaluate segmenter.onnx --plan segmenter/plan.toml --test bare.npz";
    let [_, error] = run(folder, &format!("{line} --metric miou"), 1);
    assert!(error.contains("has no labels, which the metric miou needs"), "{error}");
    let [_, error] = run(folder, &format!("{line} --metric psnr --peak 0"), 1);
    assert!(error.contains("expected a number above zero"), "{error}");
    // Sets of two kinds.
    let line =
        "quantize segmenter.onnx --calibration masks.npz:train --search masks.npz:test@0..40";
    let y = floats(&[4, 3, SIZE, SIZE], vec![0.5; 3 * n]);
    let others = images(&pixels(9, 4));
    let arrays = [("x_test", &others), ("y_test", &y)];
    fs::write(folder.join("other.npz"), encode_npz(&arrays)).unwrap();
    let [_, error] = run(folder, &format!("{line} --test other.npz"), 1);
    assert!(
        error.contains("those of the metric miou, the labels of the test set those of psnr"),
        "{error}"
    );
}
