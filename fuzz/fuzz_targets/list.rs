//! A list is refused, or every line of it names a file.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fixedwise_fuzz::list(bytes));
