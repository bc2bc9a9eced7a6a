//! The plans that the default search makes are those that it made before: of the embedded network
//! and of the paper's, on few images. `FIXEDWISE_UPDATE_PLANS=1` writes them anew, after a change
//! that means to change them.

use fixedwise::{DataOptions, Format, Outcome, QuantizeOptions, quantize};
use fixedwise_kernels::Kernels;
use fixedwise_testing::{project, shared};
use sha2::Digest as _;
use std::{fmt::Write as _, path::Path};

/// By how much the memory may differ where float sums come from other instructions.
const OTHER_CPU: f64 = 0.05;

fn data(calibration: &str, search: &str, preprocess: Option<&str>) -> DataOptions {
    DataOptions {
        calibration: Some(calibration.parse().unwrap()),
        search: Some(search.parse().unwrap()),
        untested: true,
        preprocess: preprocess.map(|text| text.parse().unwrap()),
        ..DataOptions::default()
    }
}

fn text(format: Option<Format>) -> String {
    format.map_or_else(|| "-".to_owned(), |f| format!("{}.{}{:?}", f.bits, f.frac, f.range))
}

/// What a search came to: the kernels, the cost, and every format with a digest of the integers.
fn golden(outcome: &Outcome) -> String {
    let (plan, result) = (&outcome.plan, &outcome.result);
    let mut text = format!("kernels {}\n", Kernels::best().name);
    writeln!(text, "memory {}", result.memory_bits.total).unwrap();
    let search = result.accuracy.search.as_ref().unwrap();
    writeln!(text, "lost {} gained {} of {}", search.lost, search.gained, search.n).unwrap();
    for layer in &plan.layers {
        let [weights, bias, activation] =
            [layer.weights, layer.bias, layer.activation].map(self::text);
        let integers = plan.rounded.get(&layer.name).map_or_else(String::new, |rounded| {
            let mut bytes: Vec<u8> = rounded.weights.iter().flat_map(|w| w.to_le_bytes()).collect();
            for value in rounded.scales.iter().chain(&rounded.bias) {
                bytes.extend(value.to_bits().to_le_bytes());
            }
            bytes.extend(&rounded.coarser);
            sha2::Sha256::digest(&bytes)[..8].iter().fold(String::new(), |mut text, byte| {
                write!(text, "{byte:02x}").unwrap();
                text
            })
        });
        let name = &layer.name;
        writeln!(text, "{name} {weights} {bias} {activation} {integers}").unwrap();
    }
    for (name, &other) in &plan.others {
        writeln!(text, "{name} {}", self::text(Some(other))).unwrap();
    }
    text
}

fn memory(golden: &str) -> f64 {
    let line = golden.lines().find_map(|line| line.strip_prefix("memory ")).unwrap();
    line.parse().unwrap()
}

/// The plan of a network is the recorded one; on a CPU of other kernels it is as small.
fn check(name: &str, model: &Path, data: &DataOptions) {
    let outcome = quantize(model, data, &QuantizeOptions::default()).unwrap();
    let found = golden(&outcome);
    let path = project(&format!("crates/fixedwise/tests/all/plans/{name}.txt"));
    if std::env::var_os("FIXEDWISE_UPDATE_PLANS").is_some() {
        std::fs::write(&path, &found).unwrap();
    }
    let recorded = std::fs::read_to_string(&path).unwrap();
    if recorded.lines().next() == found.lines().next() {
        assert_eq!(found, recorded, "{name}: the plan changed");
    } else {
        let change = memory(&found) / memory(&recorded) - 1.0;
        assert!(change.abs() < OTHER_CPU, "{name}: {change:+.3} of memory\n{found}\n{recorded}");
    }
}

/// As [`check`], of one of our own networks, on so many images to calibrate and to search.
fn check_own(name: &str, [calibration, search]: [usize; 2]) {
    let folder = project("data/fashion-mnist");
    let folder = folder.display();
    let calibration = format!("{folder}:train@0..{calibration}");
    let data = data(&calibration, &format!("{folder}:test@0..{search}"), None);
    check(name, &project(&format!("models/{name}.onnx")), &data);
}

#[test]
fn the_embedded_default_has_its_plan() {
    check_own("fashion_small", [200, 400]);
}

#[test]
fn the_residual_network_has_its_plan() {
    check_own("fashion_resnet8", [24, 64]);
}

/// As [`check`], of one of the paper's networks, where it stands beside the checkout.
fn check_paper(name: &str, images: &str, more: &str) {
    let Some(model) = shared(&format!("seed/models/{name}.onnx")) else { return };
    let Some(images) = shared(&format!("data/{images}.npz")) else { return };
    let images = images.display();
    let data = data(
        &format!("{images}:train@0..12"),
        &format!("{images}:test@0..48"),
        Some(&format!("scale=1/255{more}")),
    );
    check(name, &model, &data);
}

// One test a network: they run side by side.

#[test]
fn the_small_mnist_network_has_its_plan() {
    check_paper("seq_small_mnist", "mnist", "");
}

#[test]
fn the_small_fashion_network_has_its_plan() {
    check_paper("seq_small_fashion", "fashion_mnist", "");
}

#[test]
fn the_large_mnist_network_has_its_plan() {
    check_paper("seq_large_mnist", "mnist", "");
}

#[test]
fn the_large_fashion_network_has_its_plan() {
    check_paper("seq_large_fashion", "fashion_mnist", "");
}

#[test]
fn the_mnist_inception_has_its_plan() {
    check_paper("inception_mnist", "mnist", ",resize=96x96");
}

#[test]
fn the_fashion_inception_has_its_plan() {
    check_paper("inception_fashion", "fashion_mnist", ",resize=96x96");
}
