//! What a file may cost.

use serde::{Deserialize, Serialize};

use super::error::{Extent, ImagingError};
use crate::config::LimitsConfig;

/// Bounds on everything that a hostile file could make large. Checked on what the headers say, before memory or time is spent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Width × height.
    pub max_pixels: u64,
    /// Width and height each, in pixels.
    pub max_side: u32,
    /// Scans of a JPEG. Encoders write ten or so in a progressive file.
    pub max_scans: u32,
    /// Blocks of 8 × 8 samples visited by all scans of a JPEG together. A visit costs up to 100 ns however few bytes are spent on it, so
    /// that this, not the size of the file, bounds the time: to little more than a second. A 4:2:0 photo of 100 megapixels in the usual
    /// ten scans has 12.5 million.
    pub max_scan_blocks: u64,
    /// Memory for decoded pixels, with what a decoder must hold beside them. A picture made at full size takes up to as much again.
    pub max_decoded_bytes: u64,
    /// Each block of metadata that is read (EXIF, XMP, ICC profile), unpacked. Larger ones are ignored, not refused.
    pub max_metadata_bytes: usize,
    /// Frames of an animation, or pages.
    pub max_frames: u32,
    /// Up to here [`super::inspect`] decodes the picture whole, so that damage is found and the placeholder made; above, the structure
    /// is checked and the placeholder is taken from the embedded thumbnail or left to [`super::placeholder`].
    pub inspect_decodes_pixels: u64,
}

impl From<&LimitsConfig> for Limits {
    /// What the settings say; the rest is not for setting.
    fn from(config: &LimitsConfig) -> Self {
        Self {
            max_pixels: config.max_pixels,
            max_side: config.max_side,
            max_scans: config.max_scans,
            max_scan_blocks: 13_000_000,
            max_decoded_bytes: config.max_decoded_bytes.as_u64(),
            max_metadata_bytes: config.max_embedded_bytes.as_usize(),
            max_frames: config.max_frames,
            inspect_decodes_pixels: 4_000_000,
        }
    }
}

impl Default for Limits {
    /// Those of the default settings.
    fn default() -> Self {
        Self::from(&LimitsConfig::default())
    }
}

impl Limits {
    pub(super) fn check(&self, extent: Extent, found: u64) -> Result<(), ImagingError> {
        let limit = match extent {
            Extent::Pixels => self.max_pixels,
            Extent::Side => self.max_side.into(),
            Extent::Scans => self.max_scans.into(),
            Extent::ScanBlocks => self.max_scan_blocks,
            Extent::Frames => self.max_frames.into(),
            Extent::DecodedBytes => self.max_decoded_bytes,
            // Measured where it is spent, not told from a header.
            Extent::Seconds => u64::MAX,
        };
        if found > limit { Err(ImagingError::TooLarge { extent, found, limit }) } else { Ok(()) }
    }

    pub(super) fn check_dimensions(&self, width: u32, height: u32) -> Result<(), ImagingError> {
        self.check(Extent::Pixels, u64::from(width) * u64::from(height))?;
        self.check(Extent::Side, width.max(height).into())
    }
}
