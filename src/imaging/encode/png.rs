//! PNG by the `image` crate.

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};

use crate::imaging::error::ImagingError;
use crate::imaging::pixels::{Layout, Pixels};

/// A third of the time of zlib's own 6, for three to six per cent more bytes of a photo.
const COMPRESSION: CompressionType = CompressionType::Level(3);

pub(super) fn encode(pixels: &Pixels) -> Result<Vec<u8>, ImagingError> {
    let colour = match pixels.layout {
        Layout::Grey => ExtendedColorType::L8,
        Layout::GreyAlpha => ExtendedColorType::La8,
        Layout::Rgb => ExtendedColorType::Rgb8,
        Layout::Rgba => ExtendedColorType::Rgba8,
        Layout::InvertedCmyk => return Err(ImagingError::Encoding("PNG: no ink".into())),
    };
    let mut out = vec![];
    PngEncoder::new_with_quality(&mut out, COMPRESSION, FilterType::Adaptive)
        .write_image(&pixels.data, pixels.width, pixels.height, colour)
        .map_err(|error| ImagingError::Encoding(format!("PNG: {error}")))?;
    Ok(out)
}
