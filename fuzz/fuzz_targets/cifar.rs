//! A batch is refused, or it has as many labels as images.
#![no_main]

use fixedwise_codec::cifar::{self, Version};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for version in [Version::Cifar10, Version::Cifar100] {
        for batch in [cifar::read_binary(bytes, version), cifar::read_python(bytes, version)] {
            let Ok(batch) = batch else { continue };
            assert_eq!(batch.labels.len() * cifar::IMAGE_BYTES, batch.pixels.len());
        }
    }
});
