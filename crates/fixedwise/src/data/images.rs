//! Image files, PNG or JPEG, that a folder or a list names.

use super::raw::{LIMIT_BYTES, Pixels, Raw, Wanted, content, read};
use crate::{error::DataError, preprocess::Layout};
use fixedwise_codec::image::{Image, decode};
use rayon::prelude::*;
use std::path::{Path, PathBuf};

/// Largest single image, in bytes of its pixels.
const IMAGE_LIMIT_BYTES: usize = 1 << 26;

/// Images that are decoded side by side.
const BLOCK: usize = 256;

const EXTENSIONS: [&str; 3] = ["png", "jpg", "jpeg"];

/// Endings of images that nothing here decodes.
const OTHER_EXTENSIONS: [&str; 9] =
    ["bmp", "gif", "pbm", "pgm", "pnm", "ppm", "tif", "tiff", "webp"];

/// Whether a file is an image by its name.
pub(super) fn is_image(path: &Path) -> Result<bool, DataError> {
    let extension = path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase);
    let is_in = |known: &[&str]| extension.as_deref().is_some_and(|e| known.contains(&e));
    if is_in(&OTHER_EXTENSIONS) {
        return Err(content(path, "is neither PNG nor JPEG; convert it to PNG"));
    }
    Ok(is_in(&EXTENSIONS))
}

/// The images of those files of the data set at `path`, in the network's number of channels.
pub(super) fn load(
    path: &Path,
    mut files: Vec<PathBuf>,
    labels: Option<Vec<i64>>,
    wanted: &Wanted,
) -> Result<Raw, DataError> {
    files.truncate(wanted.first);
    let (mut pixels, mut sizes) = (Vec::new(), Vec::with_capacity(files.len()));
    for block in files.chunks(BLOCK) {
        let images: Vec<Result<Image, DataError>> =
            block.par_iter().map(|file| one(file, wanted.channels())).collect();
        for image in images {
            let image = image?;
            if pixels.len() + image.pixels.len() > LIMIT_BYTES {
                return Err(content(
                    path,
                    format!(
                        "contains more than {LIMIT_BYTES} bytes of pixels; select fewer images"
                    ),
                ));
            }
            sizes.push([image.height, image.width]);
            pixels.extend(image.pixels);
        }
    }
    let different = sizes.iter().position(|size| *size != sizes[0]);
    if let (Some(at), false) = (different, wanted.is_resized) {
        let say = |at: usize| {
            format!("`{}` has {}x{} pixels", files[at].display(), sizes[at][0], sizes[at][1])
        };
        return Err(content(
            path,
            format!(
                "contains images of different sizes: {}, {}; `--preprocess resize=ROWSxCOLUMNS` \
                 resizes them",
                say(0),
                say(at)
            ),
        ));
    }
    let [h, w] = sizes.first().copied().unwrap_or_default();
    let raw = Raw::new(vec![files.len(), h, w, wanted.channels()], Pixels::from(pixels));
    Ok(Raw {
        labels,
        layout: Some(Layout::Nhwc),
        sizes: if different.is_some() { sizes } else { Vec::new() },
        files: files.into_iter().map(|file| (file, 1)).collect(),
        ..raw
    })
}

fn one(file: &Path, channels: usize) -> Result<Image, DataError> {
    let image = decode(&read(file)?, IMAGE_LIMIT_BYTES)
        .map_err(|source| DataError::Corrupt { path: file.to_owned(), source: source.into() })?;
    let found = image.channels;
    image.with_channels(channels).ok_or_else(|| {
        content(file, format!("has {found} channels, the network expects {channels}"))
    })
}
