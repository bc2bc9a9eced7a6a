//! Channels that a search drops: the plan on disk is of the network without them, for every command.

use fixedwise::{
    DataOptions, Error, EvaluateOptions, QuantizeOptions, Strategy, evaluate, quantize, refit,
};
use fixedwise_testing::project;
use std::{fs, path::Path, sync::atomic::AtomicBool};

fn data() -> DataOptions {
    let folder = project("data/fashion-mnist");
    let folder = folder.display();
    DataOptions {
        calibration: Some(format!("{folder}:train@0..150").parse().unwrap()),
        search: Some(format!("{folder}:test@0..200").parse().unwrap()),
        test: Some(format!("{folder}:test@200..300").parse().unwrap()),
        ..DataOptions::default()
    }
}

fn options(output: &Path) -> QuantizeOptions {
    QuantizeOptions { output: Some(output.to_owned()), ..QuantizeOptions::default() }
}

#[test]
fn a_plan_without_channels_is_the_same_for_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let model = project("models/fashion_small.onnx");
    let (first, again) = (folder.path().join("first"), folder.path().join("again"));
    let outcome = quantize(&model, &data(), &options(&first)).unwrap();
    let dropped: usize =
        outcome.result.layers.iter().map(|layer| layer.dropped_channels.len()).sum();
    assert!(dropped > 0, "no channel was dropped");
    let thinned = outcome.plan.thinned.as_ref().unwrap();
    assert_eq!(thinned.dropped.values().map(Vec::len).sum::<usize>(), dropped);
    assert!(outcome.result.bound_met);

    // As it was measured.
    let plan = first.join("plan.toml");
    let images = DataOptions { calibration: None, search: None, ..data() };
    let options_of_none = EvaluateOptions::default();
    let evaluation = evaluate(&model, &plan, &images, &options_of_none, &()).unwrap();
    assert_eq!(evaluation.accuracy.test, outcome.result.accuracy.test);
    assert_eq!(evaluation.memory_bits, outcome.result.memory_bits);

    // Rounded anew without an edit it is the same to the bit.
    let stop = AtomicBool::new(false);
    refit(&model, &plan, &data(), &options(&again), &(), &stop).unwrap();
    for file in ["plan.toml", "plan.npz"] {
        let read = |folder: &Path| fs::read(folder.join(file)).unwrap();
        assert_eq!(read(&first), read(&again), "{file}");
    }

    // A run that goes on from it keeps its channels.
    let on = QuantizeOptions { from: Some(first.clone()), output: None, ..options(&first) };
    let on = quantize(&model, &data(), &on).unwrap();
    assert_eq!(on.plan.thinned, outcome.plan.thinned);

    // Other strategies keep them all, and uniform 8 bit is that of all.
    let eight = Strategy::Fixed { bits: 8 };
    let fixed = QuantizeOptions { strategy: eight, output: None, ..QuantizeOptions::default() };
    let fixed = quantize(&model, &data(), &fixed).unwrap();
    assert_eq!(fixed.plan.thinned, None);
    let [thin, whole] = [&outcome, &fixed].map(|outcome| &outcome.result);
    assert_eq!(thin.memory_bits.uniform8_total, whole.memory_bits.uniform8_total);
    assert_eq!(
        thin.multiplication_cost.operand_uniform8,
        whole.multiplication_cost.operand_uniform8
    );
    assert_eq!(
        thin.effective_bit_operations.map(|cost| cost.uniform8),
        whole.effective_bit_operations.map(|cost| cost.uniform8)
    );

    // Of another network they are refused.
    let other = project("models/fashion_ds_cnn.onnx");
    let error = evaluate(&other, &plan, &images, &options_of_none, &()).unwrap_err();
    let Error::Plan { problem, .. } = error else { panic!("{error}") };
    assert!(problem.contains("it drops channels of another network"), "{problem}");
}
