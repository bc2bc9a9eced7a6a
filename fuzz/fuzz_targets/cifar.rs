//! A batch is refused, or it has as many labels as images.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fixedwise_fuzz::cifar(bytes));
