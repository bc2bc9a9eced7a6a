//! A search that is ended early returns what it has measured.

use fixedwise::{DataOptions, Ended, Progress, QuantizeOptions, Step, quantize_observed};
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
