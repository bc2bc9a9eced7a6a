//! Models that another tool has quantized: what is said of that, and their own ranges in place of images.

use fixedwise::{
    Arrays, DataOptions, DataSource, MaxLoss, Model, QuantizeOptions, RunResult, Strategy,
    TextOptions, inspect_model, quantize_model, summary,
};
use fixedwise_testing::{Random, project};
use std::sync::atomic::AtomicBool;

fn model(name: &str) -> Model {
    Model::load(&project(&format!("suite/tflite/{name}.tflite"))).unwrap()
}

/// Images to search and to test on, none to calibrate on.
fn data(model: &Model) -> DataOptions {
    let [h, w, c] = model.input_shape().dims();
    let images = DataSource::arrays(Arrays {
        name: "images".to_owned(),
        shape: vec![24, h, w, c],
        pixels: Random::new(3).floats(24 * h * w * c, -1.0, 1.0).into(),
        layout: None,
        labels: None,
    });
    DataOptions {
        search: Some(images.part(0..16)),
        test: Some(images.part(16..24)),
        stated_ranges: true,
        preprocess: Some("scale=1".parse().unwrap()),
        ..DataOptions::default()
    }
}

fn options(strategy: Strategy) -> QuantizeOptions {
    let max_loss = MaxLoss::Sqnr(12.0);
    QuantizeOptions { strategy, max_loss, threads: Some(1), ..QuantizeOptions::default() }
}

#[test]
fn ranges_of_the_model_take_the_place_of_calibration() {
    for name in ["layers_int8", "branches_int8", "gates_int8"] {
        let model = model(name);
        let data = data(&model);
        for strategy in [Strategy::Fixed { bits: 8 }, Strategy::Pareto] {
            let go_on = AtomicBool::new(false);
            let found = quantize_model(&model, &data, &options(strategy), &(), &go_on);
            let found = found.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(found.result.images.calibration, 0);
            assert!(found.result.bound_met, "{name}: {:?}", found.result.accuracy.search);
            check_told(&found.result);
        }
    }
}

/// Images of a data set that ranges do not need only round weights.
#[test]
fn a_data_set_beside_ranges_of_the_model_rounds_weights() {
    let model = model("layers_int8");
    let given = data(&model);
    let [h, w, c] = model.input_shape().dims();
    // Far larger than what the ranges are of: no matter.
    let all = DataSource::arrays(Arrays {
        name: "others".to_owned(),
        shape: vec![40, h, w, c],
        pixels: Random::new(4).floats(40 * h * w * c, -9.0, 9.0).into(),
        layout: None,
        labels: None,
    });
    let parts = [
        DataOptions { data: Some(all.clone()), ..given.clone() },
        DataOptions { data: Some(all), search: None, test: None, ..given },
    ];
    for data in parts {
        let options = options(Strategy::Fixed { bits: 8 });
        let found = quantize_model(&model, &data, &options, &(), &AtomicBool::new(false)).unwrap();
        assert_eq!(found.result.images.calibration, 0);
        let float = found.result.float_network.as_ref().unwrap();
        assert!(float.warnings.iter().all(|text| !text.contains("calibration images")));
    }
}

/// The result and its summary say what was rounded before.
fn check_told(result: &RunResult) {
    let rounded = result.model.rounded_before.as_ref().expect("it is told");
    assert!(rounded.weights.iter().any(|weights| weights.bits == 8 && weights.by_channel));
    assert!(rounded.activations.iter().all(|values| values.bits == 8 && values.values > 0));
    let again: RunResult = serde_json::from_str(&result.to_json()).unwrap();
    assert_eq!(again.model, result.model);
    let text = unfolded(&summary(result, &TextOptions::default()));
    for part in ["Rounded before", "8 bits per channel", "losses count from there"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

/// A text in one line.
fn unfolded(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn an_inspection_tells_what_was_rounded_before() {
    let inspect = |name: &str| {
        let inspection = inspect_model(&model(name), None, Some(1), &()).unwrap();
        let text = unfolded(&inspection.to_text(&TextOptions::default()));
        (inspection.model.rounded_before.is_some(), text)
    };
    let (is_rounded, text) = inspect("layers_int8");
    assert!(is_rounded && text.contains("--calibration model"), "{text}");
    let (is_rounded, text) = inspect("layers_dynamic");
    assert!(is_rounded && !text.contains("--calibration model"), "{text}");
    let (is_rounded, text) = inspect("layers_float");
    assert!(!is_rounded && !text.contains("Rounded before"), "{text}");
}

#[test]
fn a_model_without_ranges_needs_images() {
    let refused = |name: &str, data: DataOptions| {
        let (model, go_on) = (model(name), AtomicBool::new(false));
        let options = options(Strategy::Fixed { bits: 8 });
        quantize_model(&model, &data, &options, &(), &go_on).unwrap_err().to_string()
    };
    for name in ["layers_float", "layers_dynamic"] {
        let error = refused(name, data(&model(name)));
        assert!(error.contains("states no ranges") && error.contains("--calibration"), "{error}");
    }
    let both = data(&model("layers_int8"));
    let both = DataOptions { calibration: both.search.clone(), ..both };
    let error = refused("layers_int8", both);
    assert!(error.contains("remove one of the two"), "{error}");
}
