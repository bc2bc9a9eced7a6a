//! A model or tensor is refused, or what is read can be written and read again.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fixedwise_fuzz::onnx_model(bytes));
