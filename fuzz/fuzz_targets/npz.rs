//! An archive or array is refused, or it has as many elements as its extents need.
#![no_main]

use fixedwise_codec::npz::{self, Array};
use libfuzzer_sys::fuzz_target;

const LIMIT: usize = 1 << 20;

fn check(array: &Array) {
    assert_eq!(array.shape.iter().product::<usize>(), array.data.len());
    assert!(array.data.len() <= LIMIT);
    let again = npz::read_npy(&npz::encode_npy(array), 8 * LIMIT).expect("what is written is read");
    assert_eq!(again.shape, array.shape);
}

fuzz_target!(|bytes: &[u8]| {
    if let Ok(array) = npz::read_npy(bytes, LIMIT) {
        check(&array);
    }
    if let Ok(arrays) = npz::read_npz(bytes, LIMIT) {
        arrays.values().for_each(check);
    }
});
