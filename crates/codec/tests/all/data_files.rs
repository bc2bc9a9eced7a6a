//! Data sets as other programs write them: `suite/data`, made by `suite/make_data.py`.

use fixedwise_codec::{
    cifar::{self, Version},
    image::{self, Image},
    mat::{self, ArrayData},
    npz,
};

macro_rules! suite {
    ($name:literal) => {
        include_bytes!(concat!("../../../../suite/data/", $name)).as_slice()
    };
}

const LIMIT: usize = 1 << 20;

/// The rule of all pixels.
fn pixel(n: usize, row: usize, column: usize, channel: usize) -> u8 {
    u8::try_from((29 * n + 7 * row + 3 * column + 83 * channel) % 256).expect("below 256")
}

/// `[n, c, h, w]` by the rule.
fn planes(n: usize) -> Vec<u8> {
    let at = |i: usize| pixel(i / 3072, i % 1024 / 32, i % 32, i / 1024 % 3);
    (0..n * 3072).map(at).collect()
}

#[test]
fn batches_of_every_python_are_read() {
    for (name, bytes) in [
        ("python2", suite!("python2.batch")),
        ("python3", suite!("python3.batch")),
        ("protocol5", suite!("protocol5.batch")),
    ] {
        let batch = cifar::read_python(bytes, Version::Cifar10)
            .unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert_eq!((batch.labels.as_slice(), &batch.pixels), (&[3, 9][..], &planes(2)), "{name}");
    }
    let batch = cifar::read_python(suite!("python3.batch"), Version::Cifar100).unwrap();
    assert_eq!(batch.labels, [42, 99]);
    let error = cifar::read_python(suite!("python2.batch"), Version::Cifar100).unwrap_err();
    assert!(error.to_string().contains("no entry `fine_labels`"), "{error}");
}

#[test]
fn records_are_read() {
    let images = planes(2);
    for (version, labels) in
        [(Version::Cifar10, [&[3][..], &[9]]), (Version::Cifar100, [&[8, 3], &[1, 9]])]
    {
        let record = |i: usize| [labels[i], &images[i * 3072..(i + 1) * 3072]].concat();
        let file = [record(0), record(1)].concat();
        let batch = cifar::read_binary(&file, version).unwrap();
        assert_eq!((batch.labels.as_slice(), &batch.pixels), (&[3, 9][..], &images));
        for bytes in [&file[..file.len() - 1], &[]] {
            let error = cifar::read_binary(bytes, version).unwrap_err().to_string();
            assert!(error.contains("not a multiple of the record size"), "{error}");
        }
    }
}

#[test]
fn variables_of_scipy_are_read() {
    for (name, bytes, height, width) in
        [("compressed", suite!("digits.mat"), 32, 32), ("plain", suite!("doubles.mat"), 4, 3)]
    {
        let [x, y] = mat::read(bytes, ["X", "y"], LIMIT).unwrap();
        assert_eq!((x.shape, y.shape), (vec![height, width, 3, 5], vec![5, 1]), "{name}");
        let rows = 0..height;
        let expected: Vec<u8> = (0..5 * 3 * width)
            .flat_map(|i| {
                rows.clone().map(move |row| pixel(i / (3 * width), row, i % width, i / width % 3))
            })
            .collect();
        assert_eq!(x.data, ArrayData::U8(expected), "{name}");
        let labels = match y.data {
            ArrayData::U8(y) => y.into_iter().map(f64::from).collect(),
            ArrayData::F64(y) => y,
        };
        assert_eq!(labels, [1.0, 10.0, 2.0, 9.0, 10.0], "{name}");
    }
}

fn decode(bytes: &[u8]) -> Image {
    image::decode(bytes, LIMIT).unwrap_or_else(|error| panic!("{error:?}"))
}

#[test]
fn images_are_decoded() {
    let rgb: Vec<u8> = (0..60).map(|i| pixel(0, i / 12, i / 3 % 4, i % 3)).collect();
    let gray: Vec<u8> = (0..20).map(|i| pixel(0, i / 4, i % 4, 0)).collect();
    for (name, bytes, channels, pixels) in [
        ("rgb", suite!("rgb.png"), 3, &rgb),
        ("opaque", suite!("opaque.png"), 3, &rgb),
        ("palette", suite!("palette.png"), 3, &rgb),
        ("gray", suite!("gray.png"), 1, &gray),
    ] {
        let expected = Image { height: 5, width: 4, channels, pixels: pixels.clone() };
        assert_eq!(decode(bytes), expected, "{name}");
    }
    let bit: Vec<u8> = gray.iter().map(|&x| if x > 20 { 255 } else { 0 }).collect();
    assert_eq!(decode(suite!("bit.png")).pixels, bit);
    for bytes in [suite!("rgb.jpg"), suite!("progressive.jpg")] {
        let image = decode(bytes);
        assert_eq!((image.height, image.width, image.channels), (6, 9, 3));
        let expected = npz::read_npz(suite!("colors.npz"), LIMIT).unwrap();
        let npz::ArrayData::U8(expected) = &expected["rgb_jpg"].data else { panic!("bytes") };
        // Decoders of JPEG may differ by a step.
        assert!(image.pixels.iter().zip(expected).all(|(a, b)| a.abs_diff(*b) <= 1));
    }
    assert_eq!(decode(suite!("gray.jpg")).pixels, [77; 54]);
}

#[test]
fn pixels_that_have_no_plain_meaning_are_refused() {
    for (bytes, expected) in [
        (suite!("transparent.png"), "transparent pixels"),
        (suite!("deep.png"), "more than 8 bits per channel"),
        (suite!("colors.npz"), "not a readable PNG or JPEG image"),
        (&[], "not a readable PNG or JPEG image"),
    ] {
        let error = image::decode(bytes, LIMIT).unwrap_err().to_string();
        assert!(error.contains(expected), "expected {expected}, got {error}");
    }
    let error = image::decode(suite!("rgb.png"), 59).unwrap_err().to_string();
    assert_eq!(error, "an image of 5x4 pixels is larger than the limit of 59 bytes");
}

#[test]
fn channels_are_changed_as_pillow_does() {
    let expected = npz::read_npz(suite!("colors.npz"), LIMIT).unwrap();
    let npz::ArrayData::U8(expected) = &expected["random_gray"].data else { panic!("bytes") };
    let gray = decode(suite!("random.png")).with_channels(1).unwrap();
    assert_eq!((gray.channels, &gray.pixels), (1, expected));
    let rgb = gray.clone().with_channels(3).unwrap();
    assert_eq!(
        rgb.pixels[..6],
        [expected[0], expected[0], expected[0], expected[1], expected[1], expected[1]]
    );
    // Equal parts of all three are the same gray.
    assert_eq!(rgb.with_channels(1), Some(gray.clone()));
    assert_eq!(gray.with_channels(2), None);
}

#[test]
fn no_part_of_a_file_is_the_file() {
    for (name, bytes) in [
        ("python2.batch", suite!("python2.batch")),
        ("protocol5.batch", suite!("protocol5.batch")),
        ("digits.mat", suite!("digits.mat")),
        ("doubles.mat", suite!("doubles.mat")),
    ] {
        for len in (0..bytes.len()).filter(|len| len % 7 == 0 || len + 300 > bytes.len()) {
            let part = &bytes[..len];
            let is_read = cifar::read_python(part, Version::Cifar10).is_ok()
                || mat::read(part, ["X", "y"], LIMIT).is_ok();
            assert!(!is_read, "{name}: {len} bytes");
        }
    }
}
