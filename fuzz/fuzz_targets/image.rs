//! An image is refused, or it has as many pixels as its extents need.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fixedwise_fuzz::image(bytes));
