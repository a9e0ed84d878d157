//! The structure of a file, checked without decoding: cheap enough for every upload, and the guard before every decoder.

mod bmp;
mod gif;
mod jpeg;
mod png;
mod tiff;
mod webp;

use std::borrow::Cow;

pub(super) use self::jpeg::{bare as bare_jpeg, says_cut_off};
use super::error::{Extent, ImagingError};
use super::limits::Limits;
use super::sniff::sniff;
use crate::model::format::Format;

/// What a file's structure says. Having one means that the limits hold.
#[derive(Debug)]
pub(super) struct Outline<'a> {
    pub(super) format: Format,
    /// As stored, before orientation.
    pub(super) width: u32,
    /// As stored, before orientation.
    pub(super) height: u32,
    /// Frames of an animation, or pages. At least one.
    pub(super) frames: u32,
    /// The most memory that decoding takes: pixels in the decoder's own form, and what it must hold beside them.
    pub(super) decoded_bytes: u64,
    /// The EXIF block in TIFF form; not looked into. For a TIFF the whole file.
    pub(super) exif: Option<Cow<'a, [u8]>>,
    /// The XMP packet.
    pub(super) xmp: Option<&'a [u8]>,
    /// The colour profile, where finding it is up to us (JPEG); the other decoders hand it out themselves.
    pub(super) icc: Option<Vec<u8>>,
}

impl<'a> Outline<'a> {
    fn new(format: Format, (width, height): (u32, u32)) -> Self {
        Self { format, width, height, frames: 1, decoded_bytes: 0, exif: None, xmp: None, icc: None }
    }

    /// Width × height.
    pub(super) fn pixels(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }
}

/// Reads the structure of a file.
///
/// # Errors
/// Every kind of [`ImagingError`] but `Encoding`.
pub(super) fn outline<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Outline<'a>, ImagingError> {
    let format = sniff(bytes).ok_or(ImagingError::NotAnImage)?;
    let outline = match format {
        Format::Jpeg => jpeg::outline(bytes, limits)?,
        Format::Png => png::outline(bytes, limits)?,
        Format::Gif => gif::outline(bytes, limits)?,
        Format::WebP => webp::outline(bytes, limits)?,
        Format::Tiff => tiff::outline(bytes, limits)?,
        Format::Bmp => bmp::outline(bytes, limits)?,
        Format::Avif | Format::Heic => return Err(ImagingError::unsupported(format, "no decoder in this build")),
    };
    if outline.width == 0 || outline.height == 0 {
        return Err(ImagingError::broken(format, "no pixels"));
    }
    limits.check_dimensions(outline.width, outline.height)?;
    limits.check(Extent::Frames, outline.frames.into())?;
    limits.check(Extent::DecodedBytes, outline.decoded_bytes)?;
    Ok(outline)
}

fn be_u16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn be_u32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn le_u16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn le_u32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// EXIF blocks outside JPEG sometimes keep the JPEG segment's prefix.
fn without_exif_prefix(block: &[u8]) -> &[u8] {
    block.strip_prefix(b"Exif\0\0").unwrap_or(block)
}
