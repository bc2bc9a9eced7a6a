//! A MATLAB file is refused, or its arrays have as many elements as their extents need.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fixedwise_fuzz::mat(bytes));
