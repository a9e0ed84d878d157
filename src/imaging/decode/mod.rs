//! Pixels from files.

mod jpeg;
mod raster;

use super::error::ImagingError;
use super::limits::Limits;
use super::pixels::Pixels;
use super::shield::shielded;
use super::structure::Outline;
use crate::model::format::Format;

/// A decoded picture, the way up that it is stored.
pub(super) struct Decoded {
    pub(super) pixels: Pixels,
    /// The colour profile that the pixels are meant in.
    pub(super) icc: Option<Vec<u8>>,
    /// What the decoder had to overlook.
    pub(super) warning: Option<String>,
}

/// Decodes the first frame. A JPEG may come out smaller than it is, but at least `at_least` (width, height, as stored) large each way where
/// the file is: scaling while decoding saves most of the time.
pub(super) fn decode(bytes: &[u8], outline: &Outline<'_>, at_least: (u32, u32), limits: &Limits) -> Result<Decoded, ImagingError> {
    shielded(outline.format, || match outline.format {
        Format::Jpeg => jpeg::decode(bytes, outline, at_least),
        format => raster::decode(bytes, format, limits),
    })
}

/// Whether the header is one that the decoder takes, without decoding.
pub(super) fn check_header(bytes: &[u8], format: Format, limits: &Limits) -> Result<(), ImagingError> {
    shielded(format, || match format {
        Format::Jpeg => jpeg::check_header(bytes),
        format => raster::check_header(bytes, format, limits),
    })
}
