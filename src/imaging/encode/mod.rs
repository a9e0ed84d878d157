//! Files from pixels.

mod animated;
mod avif;
mod jpeg;
mod png;
mod webp;

use serde::{Deserialize, Serialize};

use super::error::ImagingError;
use super::pixels::Pixels;
use crate::model::format::Format;

pub(super) use self::animated::Animation;
pub(super) use self::jpeg::encode_planes;

/// What a picture can be written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum OutputFormat {
    /// JPEG, 4:2:0; knows no transparency.
    Jpeg,
    /// WebP, lossy; keeps transparency.
    WebP,
    /// AVIF, lossy; keeps transparency. Takes many times as long as the others: nobody should wait for it.
    Avif,
    /// PNG; keeps transparency. Quality means nothing to it.
    Png,
}

impl OutputFormat {
    /// Every format.
    pub const ALL: [Self; 4] = [Self::Jpeg, Self::WebP, Self::Avif, Self::Png];

    /// The format of the files that come out.
    pub fn format(self) -> Format {
        match self {
            Self::Jpeg => Format::Jpeg,
            Self::WebP => Format::WebP,
            Self::Avif => Format::Avif,
            Self::Png => Format::Png,
        }
    }

    /// The longest side that the format can hold.
    pub(in crate::imaging) fn max_side(self) -> u32 {
        match self {
            Self::Jpeg => 65_500,
            Self::WebP => 16_383,
            Self::Avif => 65_535,
            Self::Png => 65_535,
        }
    }

    /// What a picture takes while it is drawn and written, in bytes a pixel: the picture, a copy of it while it is turned or converted, and what the
    /// encoder has beside them.
    pub fn drawn_bytes_per_pixel(self) -> u64 {
        match self {
            Self::Jpeg | Self::WebP | Self::Png => 8,
            Self::Avif => 100,
        }
    }

    /// Whether transparency can be kept.
    pub(super) fn has_alpha(self) -> bool {
        self != Self::Jpeg
    }
}

/// Writes pixels, without any metadata; without transparency too where the format knows none. `quality` is 1 to 100.
pub(super) fn encode(pixels: &Pixels, format: OutputFormat, quality: u8) -> Result<Vec<u8>, ImagingError> {
    match format {
        OutputFormat::Jpeg => jpeg::encode(pixels, quality),
        OutputFormat::WebP => webp::encode(pixels, quality),
        OutputFormat::Avif => avif::encode(pixels, quality),
        OutputFormat::Png => png::encode(pixels),
    }
}
