//! In simulated semantics the paper's published plans give its published accuracy and costs.

use fixedwise::{DataOptions, EvaluateOptions, Semantics, evaluate};
use fixedwise_fixed::convert::u64_to_f64;
use fixedwise_testing::shared;

/// Rounding ties in float decide a few images.
const TIES: u64 = 8;

/// A network of the paper: its row in the results, its model and data, and how many of 10,000 test
/// images the float network and the published plan classify correctly.
type Case = (&'static str, &'static str, &'static str, [u64; 2]);

const SEQUENTIAL: [Case; 2] = [
    ("Sequential MNIST", "seq_large_mnist", "mnist", [9950, 9852]),
    ("Sequential Fashion", "seq_large_fashion", "fashion_mnist", [9247, 9163]),
];
const INCEPTION: [Case; 2] = [
    ("DF Fashion", "inception_fashion", "fashion_mnist", [9106, 9018]),
    ("DF MNIST", "inception_mnist", "mnist", [9808, 9711]),
];

/// The results of the published plans on the first `n` test images; costs are checked here.
fn results(cases: &[Case], n: u64) -> Option<Vec<Counts>> {
    let results = shared("seed/results.json")?;
    let results: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(results).unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let one = |&(title, model, data, _): &Case| {
        let model = shared(&format!("seed/models/{model}.onnx"))?;
        let data = shared(&format!("data/{data}.npz"))?;
        let plan = folder.path().join(format!("{title}.json"));
        std::fs::write(&plan, results["models"][title]["opt_params"].to_string()).unwrap();
        let resize = if title.starts_with("DF") { ",resize=96x96" } else { "" };
        let data = DataOptions {
            test: Some(format!("{}:test@0..{n}", data.display()).parse().unwrap()),
            preprocess: Some(format!("scale=1/255{resize}").parse().unwrap()),
            ..DataOptions::default()
        };
        let options =
            EvaluateOptions { semantics: Some(Semantics::Simulated), ..EvaluateOptions::default() };
        let result = evaluate(&model, &plan, &data, &options, &()).unwrap();
        let saved = &results["models"][title]["reduction_pct_vs_uniform8"];
        let corrected = |kind: &str| saved[kind]["corrected"].as_f64().unwrap() / 100.0;
        let memory = result.memory_bits.reduction - corrected("memory_total");
        let spared = result.multiplication_cost.paper_reduction - corrected("mult_cost");
        assert!(memory.abs() < 1e-9 && spared.abs() < 1e-9, "{title}: {memory}, {spared}");
        let test = result.accuracy.test.unwrap();
        assert_eq!(test.n, n, "{title}");
        Some(Counts { float: test.float_correct, fixed: test.fixed_correct })
    };
    cases.iter().map(one).collect()
}

/// Correct images.
struct Counts {
    float: u64,
    fixed: u64,
}

fn check_all_images(cases: &[Case]) {
    let Some(found) = results(cases, 10_000) else { return };
    for ((title, .., [float, fixed]), found) in cases.iter().zip(found) {
        assert_eq!(found.float, *float, "{title}: float");
        let counted = found.fixed;
        assert!(counted.abs_diff(*fixed) <= TIES, "{title}: {counted} correct, published {fixed}");
    }
}

#[test]
fn published_plans_give_the_published_accuracy() {
    check_all_images(&SEQUENTIAL);
}

#[test]
#[ignore = "640 billion multiply-accumulates a network; `cargo xtask test --heavy` runs it"]
fn published_plans_of_inceptions_give_the_published_accuracy() {
    check_all_images(&INCEPTION);
}

#[test]
fn published_plans_of_inceptions_are_near_the_published_accuracy() {
    const IMAGES: u32 = 1000;
    let Some(found) = results(&INCEPTION, u64::from(IMAGES)) else { return };
    for ((title, .., published), found) in INCEPTION.iter().zip(found) {
        for (published, found) in published.iter().zip([found.float, found.fixed]) {
            let share = u64_to_f64(*published) / 10_000.0;
            let deviation = (share * (1.0 - share) / f64::from(IMAGES)).sqrt();
            let share_here = u64_to_f64(found) / f64::from(IMAGES);
            let distance = (share_here - share).abs();
            assert!(distance < 3.0 * deviation, "{title}: {share_here} of {IMAGES}, not {share}");
        }
    }
}
