//! An archive or array is refused, or it has as many elements as its extents need.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fixedwise_fuzz::npz(bytes));
