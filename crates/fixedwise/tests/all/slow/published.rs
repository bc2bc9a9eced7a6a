//! In simulated semantics the paper's published plans give its published accuracy and costs.

use fixedwise::{DataOptions, EvaluateOptions, Semantics, evaluate};
use fixedwise_testing::shared;

/// Rounding ties in float decide a few images.
const TIES: u64 = 8;

/// A network of the paper: its row in the results, its model and data, and how many of 10,000 test
/// images the float network and the published plan classify correctly.
type Case = (&'static str, &'static str, &'static str, u64, u64);

// Two tests: they run side by side.

#[test]
fn published_plans_of_sequential_networks_give_the_published_accuracy() {
    check(&[
        ("Sequential MNIST", "seq_large_mnist", "mnist", 9950, 9852),
        ("Sequential Fashion", "seq_large_fashion", "fashion_mnist", 9247, 9163),
    ]);
}

#[test]
fn published_plans_of_inceptions_give_the_published_accuracy() {
    check(&[
        ("DF Fashion", "inception_fashion", "fashion_mnist", 9106, 9018),
        ("DF MNIST", "inception_mnist", "mnist", 9808, 9711),
    ]);
}

fn check(cases: &[Case]) {
    let Some(results) = shared("seed/results.json") else { return };
    let results: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(results).unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for &(title, model, data, float, fixed) in cases {
        let Some(model) = shared(&format!("seed/models/{model}.onnx")) else { return };
        let Some(data) = shared(&format!("data/{data}.npz")) else { return };
        let plan = folder.path().join(format!("{title}.json"));
        std::fs::write(&plan, results["models"][title]["opt_params"].to_string()).unwrap();
        let resize = if title.starts_with("DF") { ",resize=96x96" } else { "" };
        let data = DataOptions {
            test: Some(format!("{}:test", data.display()).parse().unwrap()),
            preprocess: Some(format!("scale=1/255{resize}").parse().unwrap()),
            ..DataOptions::default()
        };
        let options =
            EvaluateOptions { semantics: Some(Semantics::Simulated), ..EvaluateOptions::default() };
        let result = evaluate(&model, &plan, &data, &options, &()).unwrap();
        let test = result.accuracy.test.unwrap();
        assert_eq!((test.n, test.float_correct), (10_000, float), "{title}: float");
        assert!(
            test.fixed_correct.abs_diff(fixed) <= TIES,
            "{title}: {} correct, published {fixed}",
            test.fixed_correct
        );
        let saved = &results["models"][title]["reduction_pct_vs_uniform8"];
        let corrected = |kind: &str| saved[kind]["corrected"].as_f64().unwrap() / 100.0;
        let memory = result.memory_bits.reduction - corrected("memory_total");
        let spared = result.multiplication_cost.paper_reduction - corrected("mult_cost");
        assert!(memory.abs() < 1e-9 && spared.abs() < 1e-9, "{title}: {memory}, {spared}");
    }
}
