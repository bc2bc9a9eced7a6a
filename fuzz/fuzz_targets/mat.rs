//! A MATLAB file is refused, or its arrays have as many elements as their extents need.
#![no_main]

use fixedwise_codec::mat;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(arrays) = mat::read(bytes, ["X", "y"], 1 << 20) {
        for array in arrays {
            assert_eq!(array.shape.iter().product::<usize>(), array.data.len());
            assert!(array.data.len() <= 1 << 20);
        }
    }
});
