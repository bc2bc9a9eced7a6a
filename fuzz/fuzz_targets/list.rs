//! A list is refused, or every line of it names a file.
#![no_main]

use fixedwise_codec::list;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(entries) = list::read(bytes) {
        assert!(entries.iter().all(|entry| !entry.path.is_empty()));
        assert!(entries.is_sorted_by(|a, b| a.line < b.line));
    }
});
