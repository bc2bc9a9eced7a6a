//! A Keras file is refused, or its weights have as many elements as their extents need.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fixedwise_fuzz::keras(bytes));
