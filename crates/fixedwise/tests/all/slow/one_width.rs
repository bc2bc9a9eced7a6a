//! One bit width for all tensors, on a network whose channels differ by far.

use fixedwise::{DataOptions, Offset, QuantizeOptions, Strategy, Tuning, quantize};
use fixedwise_testing::project;

/// The part of the right answers that is lost with so many bits, whether channels were balanced, and whether all
/// tensors of layers have that width.
fn of_one_width(bits: u8, range: Option<Offset>) -> (f64, bool, bool) {
    let folder = project("data/fashion-mnist");
    let folder = folder.display();
    let data = DataOptions {
        calibration: Some(format!("{folder}:train@0..100").parse().unwrap()),
        search: Some(format!("{folder}:test@0..200").parse().unwrap()),
        untested: true,
        ..DataOptions::default()
    };
    let strategy = Strategy::Fixed { bits };
    // Half-way, as the search finds, from few places of each layer.
    let usual = Tuning::default();
    let tuning = Tuning { balances: vec![0.5], calibration_positions: 2048, ..usual };
    let options = QuantizeOptions { strategy, range, tuning, ..QuantizeOptions::default() };
    let outcome = quantize(&project("models/fashion_ds_cnn.onnx"), &data, &options).unwrap();
    let is_uniform = outcome.plan.layers.iter().all(|layer| {
        let formats = [layer.weights, layer.bias, layer.activation];
        formats.iter().flatten().all(|format| format.bits == bits)
    });
    let search = outcome.result.accuracy.search.as_ref().unwrap();
    (search.relative_loss, outcome.result.balance.is_some(), is_uniform)
}

#[test]
fn a_depthwise_network_keeps_its_accuracy_with_few_bits() {
    let (loss, is_balanced, is_uniform) = of_one_width(5, None);
    assert!(loss < 0.04 && is_balanced && is_uniform, "{loss} {is_balanced} {is_uniform}");
    let (plain, is_balanced, is_uniform) = of_one_width(5, Some(Offset::LeastError));
    assert!(plain > 2.0 * loss && !is_balanced && is_uniform, "{plain} {loss}");
}
