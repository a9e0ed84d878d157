//! Pixels from files.

mod frames;
pub(super) mod heif;
mod heif_transforms;
mod jpeg;
mod raster;
mod webp_frames;

pub(super) use self::frames::Film;
use super::error::ImagingError;
use super::limits::Limits;
use super::pixels::Pixels;
use super::planar::Planar;
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

/// How much smaller than it is a photo is decoded: numerator and denominator.
pub(super) type Scale = (usize, usize);

/// The scale at which [`decode`] and [`decode_planes`] decode, for a picture that needs the photo `at_least` so large: all that what they give
/// depends on, beside the photo.
pub(super) fn scale(bytes: &[u8], outline: &Outline<'_>, at_least: (u32, u32)) -> Scale {
    match outline.picture(bytes) {
        (_, Format::Jpeg) => jpeg::scale((outline.width, outline.height), at_least),
        _ => (1, 1),
    }
}

/// Decodes the first frame. A JPEG may come out smaller than it is, but at least `at_least` (width, height, as stored) large each way where
/// the file is: scaling while decoding saves most of the time.
pub(super) fn decode(bytes: &[u8], outline: &Outline<'_>, at_least: (u32, u32), limits: &Limits) -> Result<Decoded, ImagingError> {
    let (picture, format) = outline.picture(bytes);
    let decoded = shielded(format, || match format {
        Format::Jpeg => jpeg::decode(picture, outline, at_least),
        Format::Avif | Format::Heic => heif::decode(picture, format, limits),
        format => raster::decode(picture, format, limits),
    });
    let mut decoded = decoded.map_err(|error| outline.blamed(error))?;
    if outline.is_premultiplied {
        decoded.pixels = decoded.pixels.unmultiplied();
    }
    Ok(decoded)
}

/// As [`decode`], without converting colours, into `scratch`. `None` for what does not keep its colours that way.
pub(super) fn decode_planes<'s>(
    bytes: &[u8],
    outline: &Outline<'_>,
    at_least: (u32, u32),
    scratch: &'s mut Vec<u8>,
) -> Result<Option<Planar<'s>>, ImagingError> {
    let (picture, format) = outline.picture(bytes);
    if format != Format::Jpeg {
        return Ok(None);
    }
    shielded(format, || jpeg::decode_planes(picture, outline, at_least, scratch)).map_err(|error| outline.blamed(error))
}

/// Whether the header is one that the decoder takes, without decoding.
pub(super) fn check_header(bytes: &[u8], outline: &Outline<'_>, limits: &Limits) -> Result<(), ImagingError> {
    let (picture, format) = outline.picture(bytes);
    let checked = shielded(format, || match format {
        Format::Jpeg => jpeg::check_header(picture),
        Format::Avif | Format::Heic => heif::check_header(picture, format, limits),
        format => raster::check_header(picture, format, limits),
    });
    checked.map_err(|error| outline.blamed(error))
}

/// Whether the header of a JPEG is one that the decoder takes; `bytes` may end with it.
pub(super) fn check_jpeg_header(bytes: &[u8]) -> Result<(), ImagingError> {
    shielded(Format::Jpeg, || jpeg::check_header(bytes))
}
