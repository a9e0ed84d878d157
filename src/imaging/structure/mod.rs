//! The structure of a file, checked without decoding: cheap enough for every upload, and the guard before every decoder.

mod bmp;
mod gif;
mod jpeg;
mod png;
mod tiff;
mod webp;

use std::borrow::Cow;

pub(super) use self::jpeg::{bare as bare_jpeg, head as jpeg_head, says_cut_off, without_notes as jpeg_without_notes};
use super::decode::heif;
use super::error::{Extent, ImagingError};
use super::limits::Limits;
use super::orientation::Orientation;
use super::shield::shielded;
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
    pub(super) xmp: Option<Cow<'a, [u8]>>,
    /// Whether decoding gives the picture as it is shown, whatever EXIF says.
    pub(super) is_upright: bool,
    /// Whether colours come out as much weaker as they are transparent.
    pub(super) is_premultiplied: bool,
    /// The colour profile, where finding it is up to us (JPEG); the other decoders hand it out themselves.
    pub(super) icc: Option<Vec<u8>>,
}

impl<'a> Outline<'a> {
    pub(super) fn new(format: Format, (width, height): (u32, u32)) -> Self {
        let (exif, xmp, icc) = (None, None, None);
        Self { format, width, height, frames: 1, decoded_bytes: 0, exif, xmp, is_upright: false, is_premultiplied: false, icc }
    }

    /// How the decoded picture must be turned, where EXIF says so.
    pub(super) fn orientation(&self, by_exif: Option<Orientation>) -> Orientation {
        by_exif.filter(|_| !self.is_upright).unwrap_or(Orientation::NORMAL)
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
        Format::Avif | Format::Heic => shielded(format, || heif::outline(bytes, format, limits))?,
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
pub(super) fn without_exif_prefix(block: &[u8]) -> &[u8] {
    block.strip_prefix(b"Exif\0\0").unwrap_or(block)
}
