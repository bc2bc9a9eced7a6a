//! An image is refused, or it has as many pixels as its extents need.
#![no_main]

use fixedwise_codec::image;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(image) = image::decode(bytes, 1 << 20) {
        assert_eq!(image.height * image.width * image.channels, image.pixels.len());
        let gray = image.with_channels(1).expect("gray or colors become gray");
        assert_eq!(gray.height * gray.width, gray.pixels.len());
    }
});
