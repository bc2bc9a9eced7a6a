//! A search that is ended early returns what it has measured.

use fixedwise::{
    DataOptions, Ended, Offset, Progress, QuantizeOptions, Step, Strategy, quantize,
    quantize_observed,
};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

#[test]
fn whenever_it_is_stopped_its_plan_is_measured_on_all_search_images() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let images = |set: &str| Some(format!("{root}/data/fashion-mnist:{set}").parse().unwrap());
    let data = DataOptions {
        calibration: images("train@0..60"),
        search: images("test@0..400"),
        untested: true,
        ..DataOptions::default()
    };
    let model = format!("{root}/models/fashion_small.onnx");
    // Before any, and where the best is one that was clear before all images were run.
    for plans in [1, 4] {
        let (stop, seen) = (AtomicBool::new(false), AtomicUsize::new(0));
        let observer = |progress: &Progress| {
            if matches!(progress.step, Step::Searching(_)) {
                seen.fetch_add(1, Ordering::Relaxed);
            }
            if seen.load(Ordering::Relaxed) >= plans {
                stop.store(true, Ordering::Relaxed);
            }
        };
        let options = QuantizeOptions { threads: Some(2), ..QuantizeOptions::default() };
        let found = quantize_observed(model.as_ref(), &data, &options, &observer, &stop);
        let found = found.unwrap();
        let search = found.result.accuracy.search.unwrap();
        assert_eq!((search.n, found.result.ended), (400, Ended::Interrupted), "{plans}");
        assert_eq!(found.result.bound_met, search.relative_loss <= 0.01, "{plans}: {search:?}");
    }
}

#[test]
fn before_any_plan_is_measured_the_answer_has_8_bits() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let images = |set: &str| Some(format!("{root}/data/fashion-mnist:{set}").parse().unwrap());
    let data = DataOptions {
        calibration: images("train@0..40"),
        search: images("test@0..40"),
        untested: true,
        ..DataOptions::default()
    };
    let model = format!("{root}/models/fashion_small.onnx");
    let stop = AtomicBool::new(false);
    // Channels are balanced by then, which the answer knows nothing of.
    let observer = |progress: &Progress| {
        stop.fetch_or(matches!(progress.step, Step::Probing { .. }), Ordering::Relaxed);
    };
    let options = QuantizeOptions::default();
    let found = quantize_observed(model.as_ref(), &data, &options, &observer, &stop).unwrap();
    assert_eq!(found.result.ended, Ended::Interrupted);
    assert!(found.result.balance.is_some(), "nothing was balanced");
    let strategy = Strategy::Fixed { bits: 8 };
    let options = QuantizeOptions { strategy, range: Some(Offset::LeastError), ..options };
    let expected = quantize(model.as_ref(), &data, &options).unwrap();
    assert_eq!(found.plan, expected.plan);
}
