//! An IDX file is refused, or it has as many elements as its extents need.
#![no_main]

use fixedwise_codec::idx;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(idx) = idx::read(bytes, 1 << 20) {
        assert_eq!(idx.shape.iter().product::<usize>(), idx.data.len());
        let again = idx::read(&idx::encode(&idx).expect("it was read"), 1 << 20);
        assert_eq!(again.expect("what is written is read"), idx);
    }
});
