//! A model or tensor is refused, or what is read can be written and read again.
#![no_main]

use fixedwise_codec::onnx;
use libfuzzer_sys::fuzz_target;

fn external(_: &str) -> Result<Vec<u8>, String> {
    Ok(vec![0; 64])
}

fuzz_target!(|bytes: &[u8]| {
    let _ = onnx::parse_tensor(bytes);
    let Ok(model) = onnx::parse_model(bytes, &external) else { return };
    for (_, tensor) in &model.graph.initializers {
        assert_eq!(tensor.dims.iter().product::<usize>(), tensor.data.len());
    }
    // NaN is not equal to itself, but its bytes are.
    let written = onnx::encode_model(&model);
    let again = onnx::parse_model(&written, &external).expect("what is written is read");
    assert_eq!(onnx::encode_model(&again), written);
});
