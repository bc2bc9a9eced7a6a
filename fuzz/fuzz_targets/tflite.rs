//! A TensorFlow Lite file is refused, or what is read is a network or refused.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    fixedwise_fuzz::tflite(bytes);
    if let Ok(model) = fixedwise_codec::tflite::parse_model(bytes) {
        let _ = fixedwise_graph::from_tflite(&model, "fuzz", &Default::default());
    }
});
