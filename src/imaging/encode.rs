//! Files from pixels.

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};
use turbojpeg::{Compressor, Image, PixelFormat, Subsamp};

use super::error::ImagingError;
use super::pixels::{Layout, Pixels};
use crate::model::format::Format;

/// What a picture can be written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OutputFormat {
    /// JPEG, 4:2:0; transparency is laid on the background.
    Jpeg,
    /// WebP, lossy; keeps transparency.
    WebP,
    /// PNG; keeps transparency. Quality means nothing to it.
    Png,
}

impl OutputFormat {
    /// The format of the files that come out.
    pub fn format(self) -> Format {
        match self {
            Self::Jpeg => Format::Jpeg,
            Self::WebP => Format::WebP,
            Self::Png => Format::Png,
        }
    }

    /// The longest side that the format can hold.
    pub(super) fn max_side(self) -> u32 {
        match self {
            Self::Jpeg => 65_500,
            Self::WebP => 16_383,
            Self::Png => 65_535,
        }
    }
}

/// Writes pixels, without any metadata. `quality` is 1 to 100.
pub(super) fn encode(pixels: Pixels, format: OutputFormat, quality: u8, background: [u8; 3]) -> Result<Vec<u8>, ImagingError> {
    match format {
        OutputFormat::Jpeg => jpeg(&pixels.flattened(background), quality),
        OutputFormat::WebP => webp(&pixels.coloured(), quality),
        OutputFormat::Png => png(&pixels),
    }
}

fn jpeg(pixels: &Pixels, quality: u8) -> Result<Vec<u8>, ImagingError> {
    let failed = |error: turbojpeg::Error| ImagingError::Encoding(format!("JPEG: {error}"));
    let (format, subsampling) = match pixels.layout {
        Layout::Grey => (PixelFormat::GRAY, Subsamp::Gray),
        _ => (PixelFormat::RGB, Subsamp::Sub2x2),
    };
    let (width, height) = (pixels.width as usize, pixels.height as usize);
    let image = Image { pixels: pixels.data.as_slice(), width, pitch: width * format.size(), height, format };
    let mut compressor = Compressor::new().map_err(failed)?;
    compressor.set_quality(quality.into()).map_err(failed)?;
    compressor.set_subsamp(subsampling).map_err(failed)?;
    compressor.compress_to_vec(image).map_err(failed)
}

fn webp(pixels: &Pixels, quality: u8) -> Result<Vec<u8>, ImagingError> {
    let mut config = webp::WebPConfig::new().map_err(|()| ImagingError::Encoding("WebP: wrong version of the library".into()))?;
    config.quality = quality.into();
    // The slowest that is fit for someone waiting: 36 ms for 1280 pixels, where the default (4) takes 81 ms.
    config.method = 2;
    let encoder = if pixels.layout == Layout::Rgba {
        webp::Encoder::from_rgba(&pixels.data, pixels.width, pixels.height)
    } else {
        webp::Encoder::from_rgb(&pixels.data, pixels.width, pixels.height)
    };
    encoder.encode_advanced(&config).map(|memory| memory.to_vec()).map_err(|error| ImagingError::Encoding(format!("WebP: {error:?}")))
}

fn png(pixels: &Pixels) -> Result<Vec<u8>, ImagingError> {
    let colour = match pixels.layout {
        Layout::Grey => ExtendedColorType::L8,
        Layout::GreyAlpha => ExtendedColorType::La8,
        Layout::Rgb => ExtendedColorType::Rgb8,
        Layout::Rgba => ExtendedColorType::Rgba8,
        Layout::InvertedCmyk => return Err(ImagingError::Encoding("PNG: no ink".into())),
    };
    let mut out = vec![];
    PngEncoder::new_with_quality(&mut out, CompressionType::Default, FilterType::Adaptive)
        .write_image(&pixels.data, pixels.width, pixels.height, colour)
        .map_err(|error| ImagingError::Encoding(format!("PNG: {error}")))?;
    Ok(out)
}
