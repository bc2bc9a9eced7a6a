//! PNG and JPEG images of 8 bits a channel, gray or in colors.

use crate::convert::count_to_u64;
use image::{
    ColorType, DynamicImage, ExtendedColorType, ImageDecoder, ImageEncoder as _, ImageError,
    ImageReader, Limits,
    codecs::png::{CompressionType, FilterType, PngEncoder},
};
use std::io::Cursor;

/// An image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// 1 (gray) or 3 (red, green, blue).
    pub channels: usize,
    /// `[h, w, c]`.
    pub pixels: Vec<u8>,
}

/// Why an image cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// A broken image, or one of another format.
    #[error("not a readable PNG or JPEG image")]
    Image {
        /// What the decoder says.
        #[source]
        source: ImageError,
    },
    /// An image that is larger than the limit.
    #[error("an image of {height}x{width} pixels is larger than the limit of {limit} bytes")]
    TooLarge {
        /// Rows.
        height: u32,
        /// Columns.
        width: u32,
        /// The limit.
        limit: usize,
    },
    /// Pixels that are no 8-bit gray or colors.
    #[error("{problem}")]
    Pixels {
        /// What is wrong, and the way out.
        problem: &'static str,
    },
}

/// Encodes an image as PNG; nothing for one without pixels, or with other channels than gray or colors.
pub fn encode_png(image: &Image) -> Option<Vec<u8>> {
    let color = match image.channels {
        1 => ExtendedColorType::L8,
        3 => ExtendedColorType::Rgb8,
        _ => return None,
    };
    let extents = [image.width, image.height].map(u32::try_from);
    let [Ok(width), Ok(height)] = extents else { return None };
    let is_whole = image.pixels.len() == image.width * image.height * image.channels;
    let mut bytes = Vec::new();
    let encoder =
        PngEncoder::new_with_quality(&mut bytes, CompressionType::Best, FilterType::Adaptive);
    let done = is_whole.then(|| encoder.write_image(&image.pixels, width, height, color))?;
    done.ok().map(|()| bytes)
}

/// Decodes a PNG or JPEG image, by its first bytes, of at most `limit` bytes of pixels.
///
/// An alpha channel that is opaque everywhere is left out. Orientation marks (EXIF) and color
/// profiles are not looked at.
///
/// # Errors
/// [`DecodeError`] for other formats, broken files, transparent pixels, and more than 8 bits a
/// channel.
pub fn decode(bytes: &[u8], limit: usize) -> Result<Image, DecodeError> {
    let broken = |source| DecodeError::Image { source };
    let pixels = |problem| DecodeError::Pixels { problem };
    let mut reader = ImageReader::new(Cursor::new(bytes));
    let mut limits = Limits::default();
    // The decoder's own buffers come on top of the pixels.
    limits.max_alloc = Some(count_to_u64(limit).saturating_mul(4));
    reader.limits(limits);
    let reader = reader.with_guessed_format().map_err(|e| broken(ImageError::IoError(e)))?;
    let decoder = reader.into_decoder().map_err(broken)?;
    let (width, height) = decoder.dimensions();
    if decoder.total_bytes() > count_to_u64(limit) {
        return Err(DecodeError::TooLarge { height, width, limit });
    }
    if !matches!(
        decoder.color_type(),
        ColorType::L8 | ColorType::La8 | ColorType::Rgb8 | ColorType::Rgba8
    ) {
        return Err(pixels("it has more than 8 bits per channel; save it with 8 bits per channel"));
    }
    let (channels, pixels) = match DynamicImage::from_decoder(decoder).map_err(broken)? {
        DynamicImage::ImageLuma8(x) => (1, x.into_raw()),
        DynamicImage::ImageRgb8(x) => (3, x.into_raw()),
        DynamicImage::ImageLumaA8(x) => (1, opaque::<2>(&x).ok_or(pixels(TRANSPARENT))?),
        DynamicImage::ImageRgba8(x) => (3, opaque::<4>(&x).ok_or(pixels(TRANSPARENT))?),
        _ => return Err(pixels("its pixels are neither 8-bit gray nor 8-bit color")),
    };
    let extent = |x: u32| usize::try_from(x).unwrap_or(usize::MAX);
    Ok(Image { height: extent(height), width: extent(width), channels, pixels })
}

const TRANSPARENT: &str =
    "it has transparent pixels; flatten it onto the background that the network expects";

/// Pixels without their last channel, where that is opaque.
fn opaque<const N: usize>(pixels: &[u8]) -> Option<Vec<u8>> {
    let (pixels, _) = pixels.as_chunks::<N>();
    let is_opaque = pixels.iter().all(|pixel| pixel[N - 1] == 255);
    is_opaque.then(|| pixels.iter().flat_map(|pixel| &pixel[..N - 1]).copied().collect())
}

impl Image {
    /// The same image with 1 or 3 channels: gray is repeated, colors become the luma of
    /// ITU-R BT.601 in the rounding of Pillow's `convert("L")`. `None` for other counts.
    pub fn with_channels(self, channels: usize) -> Option<Self> {
        let pixels = match (self.channels, channels) {
            (1, 3) => self.pixels.iter().flat_map(|&x| [x; 3]).collect(),
            (3, 1) => {
                let (pixels, _) = self.pixels.as_chunks::<3>();
                pixels.iter().map(|&rgb| luma(rgb)).collect()
            }
            (from, to) if from == to => self.pixels,
            _ => return None,
        };
        Some(Self { channels, pixels, ..self })
    }
}

/// 0.299, 0.587 and 0.114 in steps of 2^-16, to the nearest.
fn luma([r, g, b]: [u8; 3]) -> u8 {
    let sum = 19_595 * u32::from(r) + 38_470 * u32::from(g) + 7471 * u32::from(b) + 0x8000;
    u8::try_from(sum >> 16).expect("the weights add up to one")
}
