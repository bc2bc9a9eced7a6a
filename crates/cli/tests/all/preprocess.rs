//! What the network is fed: kept with the plan, used by every command that reads it, and never guessed.

use crate::common::{array, fixedwise, images, root, write_inputs};
use fixedwise_codec::{
    npz::{Array, ArrayData, encode_npz},
    onnx::{Dim, ElementType, ModelBuilder, Node, Tensor, ValueInfo},
};
use serde_json::Value;
use std::{fs, path::Path};

/// With it the network of the brightest quadrant names the darkest.
const NEGATIVE: &str = "scale=-1/255,mean=-1";

/// Writes images of which the labels name the darkest quadrant.
fn write_negatives(folder: &Path) {
    write_inputs(folder);
    let negative = |(x, y): (Array, Array)| {
        let ArrayData::U8(pixels) = x.data else { unreachable!("they are bytes") };
        (array(&x.shape, pixels.into_iter().map(|x| 255 - x).collect()), y)
    };
    let ((x_train, y_train), (x_test, y_test)) = (negative(images(1, 50)), negative(images(2, 80)));
    let arrays =
        [("x_train", &x_train), ("y_train", &y_train), ("x_test", &x_test), ("y_test", &y_test)];
    fs::write(folder.join("images.npz"), encode_npz(&arrays)).unwrap();
}

/// Runs a command line that must succeed; what it printed to each stream.
fn run(folder: &Path, line: &str) -> [String; 2] {
    let done = fixedwise(folder).args(line.split_whitespace()).assert().success();
    let output = done.get_output();
    [&output.stdout, &output.stderr].map(|text| String::from_utf8(text.clone()).unwrap())
}

fn refused(folder: &Path, line: &str, expected: &[&str]) {
    let failed = fixedwise(folder).args(line.split_whitespace()).arg("--quiet").assert().code(1);
    let said = String::from_utf8(failed.get_output().stderr.clone()).unwrap();
    assert!(said.starts_with("error: ") && said.lines().count() == 1, "{line}: {said}");
    for expected in expected {
        assert!(said.contains(expected), "{line}: no `{expected}` in: {said}");
    }
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn read(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).unwrap()
}

#[test]
fn every_command_feeds_the_network_what_its_plan_says() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_negatives(folder);
    let quantize = "quantize brightest.onnx --data images.npz --strategy fixed --range no-clip -o";
    // Forgotten, nothing is searched.
    let chance = ["no better than chance", "pixels / 255 (default)"];
    refused(folder, &format!("{quantize} none"), &chance);
    run(folder, &format!("{quantize} out --preprocess {NEGATIVE}"));
    let said = format!("preprocess = \"{NEGATIVE}\"");
    assert!(read(folder, "out/plan.toml").contains(&said));
    let result = json(&read(folder, "out/result.json"));
    assert_eq!(result["preprocessing"]["declared_by"], "option");
    assert_eq!(result["float_network"]["correct"], 40);

    let plan = "brightest.onnx --plan out/plan.toml";
    let evaluated = |more: &str| {
        let [text, _] =
            run(folder, &format!("evaluate {plan} --test images.npz:test --json {more}"));
        json(&text)
    };
    let found = evaluated("");
    assert_eq!(found["accuracy"]["test"]["fixed_correct"], 80);
    assert_eq!(found["preprocessing"]["declared_by"], "plan");
    let of_result = "evaluate brightest.onnx --plan out/result.json --test images.npz:test --json";
    assert_eq!(json(&run(folder, of_result)[0])["accuracy"], found["accuracy"]);
    // What means the same may be said again, and how images are stored is another matter.
    evaluated("--preprocess scale=-0.0039215687,mean=-1 --layout nhwc");

    // Exports are the same whether it is said or not.
    for (form, files) in [
        ("c", &["/brightest.c", "/brightest.h", "/test_brightest.c"][..]),
        ("hls", &["/brightest_hls4ml.yml"]),
        ("onnx", &[""]),
        ("qonnx", &[""]),
        ("npz", &[""]),
    ] {
        let test = if form == "c" { "--test images.npz:test" } else { "" };
        run(folder, &format!("export {form} {plan} {test} -o a-{form}"));
        run(folder, &format!("export {form} {plan} {test} -o b-{form} --preprocess {NEGATIVE}"));
        for file in files {
            let bytes = |side: &str| fs::read(folder.join(format!("{side}-{form}{file}"))).unwrap();
            assert_eq!(bytes("a"), bytes("b"), "{form} {file}");
        }
        let other = format!("export {form} {plan} -o new --preprocess scale=1/255");
        refused(folder, &other, &["plan `out/plan.toml`", "--preprocess says `scale=1/255`"]);
        assert!(!folder.join("new").exists(), "{form}");
    }

    // The other readers of plans.
    run(folder, &format!("generalize {plan} --data images.npz -o general"));
    let general = json(&read(folder, "general/generalize.json"));
    assert_eq!(
        (&general["unseen"]["fixed_correct"], &general["unseen"]["n"]),
        (&80.into(), &80.into())
    );
    let sweep = "--search images.npz:test --tensor weights --layer sums --bits 4 --frac 3 -o sweep";
    run(folder, &format!("sweep {plan} {sweep}"));
    assert_eq!(json(&read(folder, "sweep/sweep.json"))["float_correct"], 80);
    let start =
        "quantize brightest.onnx --data images.npz --strategy joint --start out/plan.toml -o walk";
    run(folder, start);
    assert_eq!(json(&read(folder, "walk/result.json"))["float_network"]["correct"], 40);
    let draw = "plot distributions brightest.onnx --plan out/plan.toml -o weights.svg";
    run(folder, draw);
    assert!(
        run(folder, &format!("{draw} --data images.npz"))[1].contains("float network: 100.0 %")
    );
    let pareto = "quantize brightest.onnx --data images.npz --max-loss 5%";
    run(folder, &format!("{pareto} -o first --preprocess {NEGATIVE}"));
    run(folder, &format!("{pareto} -o second --from first"));
    assert_eq!(json(&read(folder, "second/result.json"))["preprocessing"]["declared_by"], "plan");
    for other in ["evaluate brightest.onnx --plan first/plan.toml --test images.npz:test", start] {
        refused(folder, &format!("{other} --preprocess none"), &["was made for the preprocessing"]);
    }

    // The file beside the model must not contradict it either.
    fs::write(folder.join("brightest.toml"), "scale = \"-1/255\"\nmean = -1").unwrap();
    evaluated("");
    fs::write(folder.join("brightest.toml"), "scale = \"1/255\"").unwrap();
    refused(
        folder,
        &format!("evaluate {plan} --test images.npz:test"),
        &["the TOML file beside the model says `scale=1/255`", "quantize again"],
    );
}

#[test]
fn a_plan_that_does_not_say_it_is_read_with_the_default_and_a_line_about_that() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_inputs(folder);
    run(
        folder,
        "quantize brightest.onnx --data images.npz --strategy fixed --range no-clip -o out",
    );
    let text = read(folder, "out/plan.toml");
    let line = "preprocess = \"scale=1/255\"\n";
    assert!(text.contains(line), "{text}");
    let write = |name: &str, line_now: &str| {
        fs::write(folder.join(name), text.replace(line, line_now)).unwrap();
    };
    write("old.toml", "");
    let evaluate =
        |plan: &str| format!("evaluate brightest.onnx --plan {plan} --test images.npz:test");
    let [text, told] = run(folder, &evaluate("old.toml"));
    let missing = "pixels / 255 (default; the plan does not say it)";
    assert!(text.contains(missing) && told.contains(missing), "{text}{told}");
    let [_, told] = run(folder, "export npz brightest.onnx --plan old.toml -o old.npz");
    assert_eq!(told, format!("! input: {missing}\n"));
    assert!(run(folder, "export c brightest.onnx --plan old.toml -o c")[0].contains(missing));
    // The paper's plans never do.
    let paper = r#"{"weights": {"sums": [8, 7]}, "biases": {}, "activations": {}}"#;
    fs::write(folder.join("paper.json"), paper).unwrap();
    assert!(run(folder, &evaluate("paper.json"))[0].contains("the plan does not say it"));

    write("wrong.toml", "preprocess = \"skale=1\"\n");
    refused(folder, &evaluate("wrong.toml"), &["wrong.toml`, line ", "`skale` is unknown"]);
    write("other.toml", "preprocess = \"scale=1/255,mean=0.4;0.5;0.6\"\n");
    refused(
        folder,
        &evaluate("other.toml"),
        &["plan `other.toml`", "mean has 3 numbers for 1 channels", "another model"],
    );
}

#[test]
fn none_leaves_pixels_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_inputs(folder);
    let range = |data: &str, more: &str| {
        let [text, _] = run(folder, &format!("inspect brightest.onnx --data {data} --json {more}"));
        let found = json(&text)["preprocessing"]["range"].clone();
        serde_json::from_value::<Vec<[f64; 2]>>(found).unwrap()
    };
    let ([low, high], [raw_low, raw_high]) =
        (range("images.npz", "")[0], range("images.npz", "--preprocess none")[0]);
    assert!(
        raw_low.fract() == 0.0 && raw_high > 200.0 && raw_high <= 255.0,
        "{raw_low} {raw_high}"
    );
    assert!((low - raw_low / 255.0).abs() < 1e-6 && (high - raw_high / 255.0).abs() < 1e-6);
    let floats = Array {
        shape: vec![2, 4, 4],
        data: ArrayData::F32((0..32_u8).map(|i| f32::from(i) - 9.5).collect()),
    };
    fs::write(folder.join("floats.npz"), encode_npz(&[("x", &floats)])).unwrap();
    for more in ["", "--preprocess none", "--preprocess none,layout=nhwc"] {
        assert_eq!(range("floats.npz", more), [[-9.5, 21.5]], "{more}");
    }
    let [text, _] = run(folder, "inspect brightest.onnx --data images.npz --preprocess none");
    assert!(text.contains("pixels as they are (--preprocess)"), "{text}");
    let quantize = "quantize brightest.onnx --data images.npz --strategy fixed --range no-clip --preprocess none";
    run(folder, &format!("{quantize} -o out"));
    assert!(read(folder, "out/plan.toml").contains("preprocess = \"scale=1\"\n"));
    let none = ["evaluate brightest.onnx --plan out/plan.toml --test images.npz:test --preprocess"];
    run(folder, &format!("{} none", none[0]));
    refused(folder, &format!("{quantize} -o new --preprocess none,mean=1"), &["`none` leaves"]);
}

/// The network of the brightest quadrant for images of that type, cast first, with another last node.
fn network(element_type: ElementType, last: &str) -> ModelBuilder {
    let dims = [1, 1, 4, 4].map(Dim::Known).to_vec();
    let identity = (0..16).map(|i| if i % 5 == 0 { 0.02 } else { 0.0 }).collect();
    let mut network = ModelBuilder::new("typed")
        .input_value(ValueInfo { name: "image".to_owned(), element_type, dims })
        .initializer("kernel", Tensor::floats(&[1, 1, 2, 2], vec![0.25; 4]))
        .initializer("dense", Tensor::floats(&[4, 4], identity))
        .node(Node::new("Cast", "cast", &["image"], &["x"]).with("to", 1_i64))
        .node(
            Node::new("Conv", "sums", &["x", "kernel"], &["a"])
                .with("strides", vec![2_i64, 2])
                .with("kernel_shape", vec![2_i64, 2]),
        )
        .node(Node::new("Flatten", "flat", &["a"], &["b"]).with("axis", 1_i64))
        .node(Node::new("MatMul", "classes", &["b", "dense"], &["c"]));
    if !last.is_empty() {
        network = network.node(Node::new(last, "last", &["c"], &["d"]).with("axis", 1_i64));
    }
    network.output(if last.is_empty() { "c" } else { "d" }, &[1, 4])
}

#[test]
fn a_model_that_takes_bytes_is_fed_them_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_inputs(folder);
    fs::write(folder.join("bytes.onnx"), network(ElementType::U8, "").encode()).unwrap();
    let quantize = "quantize bytes.onnx --data images.npz --strategy fixed --range no-clip";
    let [text, _] = run(folder, &format!("{quantize} -o out"));
    assert!(text.contains("pixels as they are (the model takes 8-bit integers)"), "{text}");
    let result = json(&read(folder, "out/result.json"));
    assert!(result["preprocessing"]["range"][0][1].as_f64().unwrap() > 200.0);
    // The same network with floats is the same where it is told to take them as they are.
    fs::write(folder.join("floats.onnx"), network(ElementType::F32, "").encode()).unwrap();
    let floats = quantize.replace("bytes.onnx", "floats.onnx");
    run(folder, &format!("{floats} -o floats --preprocess none"));
    assert_eq!(json(&read(folder, "floats/result.json"))["layers"], result["layers"]);
    run(folder, "export npz bytes.onnx --plan out/plan.toml -o bytes.npz");
    let scaled = format!("{quantize} -o new --preprocess scale=1/255");
    refused(folder, &scaled, &["bytes.onnx", "UINT8", "`--preprocess none`"]);
    let half = Array { shape: vec![20, 4, 4], data: ArrayData::F32(vec![0.5; 320]) };
    fs::write(folder.join("half.npz"), encode_npz(&[("x", &half)])).unwrap();
    refused(folder, "inspect bytes.onnx --data half.npz", &["8-bit pixels", "0.5"]);

    // Keras casts by itself.
    let mut keras = fs::read(root().join("suite/keras/plain.h5")).unwrap();
    let find = |bytes: &[u8], from: usize, text: &str| {
        from + bytes[from..].windows(text.len()).position(|part| part == text.as_bytes()).unwrap()
    };
    let dtype = "\"dtype\": \"float32\"";
    let at = find(&keras, find(&keras, 0, "InputLayer"), dtype);
    keras[at..at + dtype.len()].copy_from_slice(b"\"dtype\": \"uint8\"  ");
    fs::write(folder.join("keras.h5"), keras).unwrap();
    let shape = json(&run(folder, "inspect keras.h5 --json")[0])["input_shape"].clone();
    let shape: Vec<usize> = serde_json::from_value(shape).unwrap();
    let pixels = (0..=255).cycle().take(3 * shape.iter().product::<usize>()).collect();
    let x = array(&[&[3], &shape[..]].concat(), pixels);
    fs::write(folder.join("keras.npz"), encode_npz(&[("x", &x)])).unwrap();
    let [text, _] = run(folder, "inspect keras.h5 --data keras.npz --json");
    assert!(json(&text)["preprocessing"]["range"][0][1].as_f64().unwrap() > 200.0, "{text}");

    // Arithmetic before the cast would be that of bytes.
    let early = ModelBuilder::new("early")
        .input_value(ValueInfo {
            name: "image".to_owned(),
            element_type: ElementType::U8,
            dims: [1, 1, 4, 4].map(Dim::Known).to_vec(),
        })
        .initializer("one", Tensor::floats(&[1], vec![1.0]))
        .node(Node::new("Sub", "sub", &["image", "one"], &["x"]))
        .output("x", &[1, 1, 4, 4]);
    fs::write(folder.join("early.onnx"), early.encode()).unwrap();
    refused(folder, "inspect early.onnx", &["`sub`", "a `Cast` to floats must come before it"]);
    fs::write(folder.join("signed.onnx"), network(ElementType::I8, "").encode()).unwrap();
    refused(folder, "inspect signed.onnx", &["INT8", "floats or UINT8"]);
}

#[test]
#[cfg(unix)]
fn a_log_softmax_at_the_end_is_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_inputs(folder);
    // The first output of all, as text: floats behind a header of 128 bytes.
    fs::write(
        folder.join("first.sh"),
        "tail -c +129 \"$1\" | od -An -t f4 -N 16 -v >> seen\necho 1\n",
    )
    .unwrap();
    let mut costs = Vec::new();
    let mut outputs = Vec::new();
    for last in ["", "Softmax", "LogSoftmax"] {
        fs::write(folder.join("net.onnx"), network(ElementType::F32, last).encode()).unwrap();
        let quantize = "quantize net.onnx --data images.npz --preprocess none --max-loss 5%";
        run(folder, &format!("{quantize} -o classes"));
        let result = json(&read(folder, "classes/result.json"));
        assert_eq!(result["accuracy"]["test"]["fixed_correct"], 40, "{last}");
        costs.push((result["layers"].clone(), result["memory_bits"].clone()));
        let quantize = quantize.replace("--max-loss 5%", "--min-sqnr 30");
        run(folder, &format!("{quantize} -o values"));
        let result = json(&read(folder, "values/result.json"));
        assert!(result["accuracy"]["test"]["sqnr_db"].as_f64().unwrap() > 25.0, "{last}");
        let _ = fs::remove_file(folder.join("seen"));
        let line = "quantize net.onnx --data images.npz --preprocess none --max-loss 5% -o metric";
        let command = fixedwise(folder).args(line.split(' '));
        command.args(["--metric-command", "sh first.sh"]).assert().success();
        let seen = read(folder, "seen");
        let rows: Vec<Vec<f64>> = seen
            .lines()
            .map(|line| line.split_whitespace().map(|x| x.parse().unwrap()).collect())
            .collect();
        outputs.push(rows);
    }
    // What does not change the class changes neither the plan nor its costs.
    assert_eq!(costs[1], costs[2]);
    for (log, plain) in outputs[2].iter().zip(&outputs[1]) {
        for (log, plain) in log.iter().zip(plain) {
            assert!((log.exp() - plain).abs() < 0.05 && *log <= 0.0, "{log} {plain}");
        }
    }
    let sum: f64 = outputs[2][0].iter().map(|log| log.exp()).sum();
    assert!((sum - 1.0).abs() < 1e-5, "{sum}");
}
