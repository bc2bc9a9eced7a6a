//! Every run says first what the network is fed and what it scores, and warns where that looks wrong.

use crate::common::{array, fixedwise, images, write_inputs};
use fixedwise_codec::{
    npz::{Array, ArrayData, encode_npz},
    onnx::{ModelBuilder, Node, Tensor},
};
use serde_json::Value;
use std::{fs, path::Path};

/// Runs a command line; its exit code and what it printed to each stream.
fn run(folder: &Path, line: &str) -> (i32, String, String) {
    let done = fixedwise(folder).args(line.split_whitespace()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (done.status.code().unwrap(), text(&done.stdout), text(&done.stderr))
}

fn bytes(array: &Array) -> Vec<u8> {
    match &array.data {
        ArrayData::U8(bytes) => bytes.clone(),
        _ => unreachable!("they are bytes"),
    }
}

/// Images of which so many in ten are labeled with what they show.
fn labeled(seed: u32, n: usize, right: usize) -> (Array, Array) {
    let (x, y) = images(seed, n);
    let labels = bytes(&y).into_iter().enumerate();
    let labels = labels.map(|(i, y)| if i % 10 < right { y } else { (y + 1) % 4 }).collect();
    (x, array(&[n], labels))
}

fn write(folder: &Path, name: &str, right: usize) {
    let ((x_train, y_train), (x_test, y_test)) = (labeled(1, 50, right), labeled(2, 400, right));
    let arrays =
        [("x_train", &x_train), ("y_train", &y_train), ("x_test", &x_test), ("y_test", &y_test)];
    fs::write(folder.join(name), encode_npz(&arrays)).unwrap();
}

#[test]
fn the_first_line_tells_and_warns() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_inputs(folder);
    write(folder, "half.npz", 5);
    let quantize = "quantize brightest.onnx --strategy fixed -o out --data";
    let (code, text, told) = run(folder, &format!("{quantize} images.npz"));
    let line = "pixels / 255 (default); float network: 100.0 % of 40 images, chance is 25 %";
    assert_eq!((code, text.lines().nth(1)), (0, Some(line)), "{text}");
    assert!(told.find(line) < told.find("calibrating") && told.contains(line), "{told}");
    assert!(!text.contains("! ") && !told.contains("! "), "{text}{told}");

    let warning = "! The float network does little better than chance";
    let (code, text, told) = run(folder, &format!("{quantize} half.npz"));
    assert!(code == 0 && text.contains(warning) && told.contains(warning), "{text}{told}");
    assert!(text.lines().take(6).all(|line| line.chars().count() <= 80), "{text}");
    let result: Value =
        serde_json::from_slice(&fs::read(folder.join("out/result.json")).unwrap()).unwrap();
    let float = &result["float_network"];
    assert_eq!((&float["images"], &float["classes"]), (&200.into(), &4.into()));
    assert_eq!(float["warnings"].as_array().unwrap().len(), 1);
    // Also where nothing else is shown, and by every other command.
    assert!(run(folder, &format!("{quantize} half.npz --quiet")).2.starts_with(warning));
    let evaluate = "evaluate brightest.onnx --plan out/plan.toml --test half.npz:test";
    let (code, text, told) = run(folder, evaluate);
    assert!(code == 0 && text.contains(warning) && told.contains(warning), "{text}{told}");
    let generalize = "generalize brightest.onnx --plan out/plan.toml --data half.npz -o general";
    assert!(run(folder, generalize).1.contains(warning));
    let sweep =
        "sweep brightest.onnx --data half.npz --tensor weights --layer sums --bits 4 -o sweep";
    assert!(run(folder, sweep).1.contains(warning));
    let (_, text, _) = run(folder, "inspect brightest.onnx --data half.npz:test");
    assert!(text.contains(warning) && text.contains("values that enter the network: 0"), "{text}");

    // What the user knows decides, before a search.
    let (code, text, told) = run(folder, &format!("{quantize} half.npz --expect 90% -o new"));
    let expected =
        ["error: the float network classifies", "--expect states 90 %", "pixels / 255 (default)"];
    assert_eq!((code, text.as_str()), (1, ""));
    assert!(expected.iter().all(|expected| told.contains(expected)), "{told}");
    assert!(!folder.join("new").exists());
    for line in [evaluate, "inspect brightest.onnx --data half.npz", sweep] {
        assert_eq!(run(folder, &format!("{line} --expect 90%")).0, 1, "{line}");
        // Stated and met, there is nothing to warn of.
        let (code, text, told) = run(folder, &format!("{line} --expect 52%"));
        assert!(code == 0 && !text.contains(warning) && !told.contains(warning), "{line}: {text}");
    }
    let unlabeled = encode_npz(&[("x", &images(2, 30).0)]);
    fs::write(folder.join("bare.npz"), unlabeled).unwrap();
    let (code, _, told) = run(folder, "inspect brightest.onnx --data bare.npz --expect 90%");
    assert!(code == 1 && told.contains("needs labels"), "{told}");
}

#[test]
fn few_images_accuse_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    // Two classes: whether the left or the right half is brighter.
    let kernel = (0..16).map(|i| if i % 4 / 2 == i / 8 { 0.25 } else { 0.0 }).collect();
    let network = ModelBuilder::new("halves")
        .input("image", &[1, 1, 2, 4])
        .initializer("kernel", Tensor::floats(&[2, 1, 2, 4], kernel))
        .node(
            Node::new("Conv", "sums", &["image", "kernel"], &["a"])
                .with("kernel_shape", vec![2_i64, 4]),
        )
        .node(Node::new("Flatten", "flat", &["a"], &["b"]).with("axis", 1_i64))
        .output("b", &[1, 2]);
    fs::write(folder.join("halves.onnx"), network.encode()).unwrap();
    let n = 14;
    let label = |i: usize| u8::from(i.is_multiple_of(3));
    let pixel = |i: usize| {
        let is_bright = usize::from(label(i / 8)) == i % 4 / 2;
        u8::try_from(i % 50 + if is_bright { 150 } else { 20 }).unwrap()
    };
    let x = array(&[n, 2, 4], (0..n * 8).map(pixel).collect());
    let write = |name: &str, wrong: usize| {
        let labels = (0..n).map(|i| label(i) ^ u8::from(i >= n - wrong)).collect();
        fs::write(folder.join(name), encode_npz(&[("x", &x), ("y", &array(&[n], labels))]))
            .unwrap();
    };
    let quantize = |data: &str| {
        run(
            folder,
            &format!(
                "quantize halves.onnx --calibration {data}@0..8 --search {data}@8..14 --test none \
                 --strategy fixed -o out"
            ),
        )
    };
    // All six are right: that is no chance.
    write("right.npz", 0);
    let (code, text, told) = quantize("right.npz");
    assert!(code == 0 && text.contains("100.0 % of 6 images, chance is 50 %"), "{text}{told}");
    assert!(!told.contains("! "), "{told}");
    // Half of six are: nobody can tell.
    write("half.npz", 3);
    let (code, text, told) = quantize("half.npz");
    assert!(code == 0 && text.contains("! 6 images are too few to tell"), "{text}{told}");
}

#[test]
fn images_without_labels_are_looked_at_too() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_inputs(folder);
    run(folder, "quantize brightest.onnx --data images.npz --strategy fixed -o out");
    let evaluate = |name: &str, x: &Array| {
        fs::write(folder.join(name), encode_npz(&[("x", x)])).unwrap();
        let (code, text, told) =
            run(folder, &format!("evaluate brightest.onnx --plan out/plan.toml --test {name}"));
        assert_eq!(code, 0, "{told}");
        text
    };
    let (x, y) = images(5, 100);
    let text = evaluate("all.npz", &x);
    assert!(text.contains("of 100 images\n  without labels") && !text.contains("! "), "{text}");
    let (pixels, labels) = (bytes(&x), bytes(&y));
    let ones: Vec<u8> = (0..100)
        .filter(|&i| labels[i] == 2)
        .cycle()
        .take(60)
        .flat_map(|i| pixels[i * 16..][..16].to_vec())
        .collect();
    let text = evaluate("one.npz", &array(&[60, 4, 4], ones));
    assert!(text.contains("! The float network names one class for nearly all images."), "{text}");
    // Bytes that were divided by 255 before, and are divided again.
    let floats = pixels.iter().map(|&x| f32::from(x) / 255.0).collect();
    let text =
        evaluate("floats.npz", &Array { shape: vec![100, 4, 4], data: ArrayData::F32(floats) });
    for expected in [
        "! The float network is nearly undecided",
        "! The values that enter the network are small",
        "! The pixels of the images are from 0 to 0.9",
    ] {
        assert!(text.contains(expected), "no {expected} in:\n{text}");
    }
    let text = evaluate("black.npz", &array(&[20, 4, 4], vec![7; 320]));
    assert!(text.contains("! All pixels of all images are 0.027"), "{text}");
}
