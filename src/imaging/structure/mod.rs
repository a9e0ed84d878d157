//! The structure of a file, checked without decoding: cheap enough for every upload, and the guard before every decoder.

mod bmp;
mod directories;
mod gif;
mod jpeg;
mod png;
mod raw;
mod tiff;
mod webp;

use std::borrow::Cow;

pub(super) use self::gif::{frame_pixels as gif_frame_pixels, loops as gif_loops};
pub(super) use self::jpeg::{
    bare as bare_jpeg, head as jpeg_head, head_cost as jpeg_head_cost, says_cut_off, without_notes as jpeg_without_notes,
};
pub(super) use self::webp::{Frame as WebPFrame, frames as webp_frames};
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
    /// The EXIF block in TIFF form; not looked into. For a TIFF the whole file, for a raw file what is read of it.
    pub(super) exif: Option<Cow<'a, [u8]>>,
    /// The XMP packet.
    pub(super) xmp: Option<Cow<'a, [u8]>>,
    /// Whether decoding gives the picture as it is shown, whatever EXIF says.
    pub(super) is_upright: bool,
    /// Whether colours come out as much weaker as they are transparent.
    pub(super) is_premultiplied: bool,
    /// The colour profile, where finding it is up to us (JPEG); the other decoders hand it out themselves.
    pub(super) icc: Option<Vec<u8>>,
    /// Of a raw file the JPEG that shows it. Then size, cost and profile are this JPEG's.
    pub(super) preview: Option<&'a [u8]>,
    /// Of a raw file a smaller JPEG, the same way up; not looked into.
    pub(super) thumbnail: Option<&'a [u8]>,
}

impl<'a> Outline<'a> {
    pub(super) fn new(format: Format, (width, height): (u32, u32)) -> Self {
        Self {
            format,
            width,
            height,
            frames: 1,
            decoded_bytes: 0,
            exif: None,
            xmp: None,
            is_upright: false,
            is_premultiplied: false,
            icc: None,
            preview: None,
            thumbnail: None,
        }
    }

    /// How the decoded picture must be turned, where EXIF says so.
    pub(super) fn orientation(&self, by_exif: Option<Orientation>) -> Orientation {
        by_exif.filter(|_| !self.is_upright).unwrap_or(Orientation::NORMAL)
    }

    /// What a decoder is given, and what it is: a part of the file where the rest is for other programs.
    pub(super) fn picture<'b>(&self, bytes: &'b [u8]) -> (&'b [u8], Format)
    where
        'a: 'b,
    {
        self.preview.map_or((bytes, self.format), |preview| (preview, Format::Jpeg))
    }

    /// Of a raw file the preview in two parts, put together a JPEG of its own that is shown the way the file is.
    pub(super) fn preview_alone(&self) -> Option<(Vec<u8>, &'a [u8])> {
        Some((raw::jpeg_head_with(self.exif.as_deref()?)?, self.preview?.get(2..)?))
    }

    /// What is wrong with the picture is wrong with the file.
    pub(super) fn blamed(&self, error: ImagingError) -> ImagingError {
        if self.preview.is_some() { raw::of_preview(error, self.format) } else { error }
    }

    /// Width × height.
    pub(super) fn pixels(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }
}

/// What a whole file is by its content. Most raw formats begin as TIFF does, so that [`sniff`] does not tell them from it.
pub(super) fn recognise(bytes: &[u8]) -> Option<Format> {
    match sniff(bytes)? {
        Format::Tiff => Some(raw::format_of_tiff(bytes).map_or(Format::Tiff, Format::Raw)),
        format => Some(format),
    }
}

/// Reads the structure of a file.
///
/// # Errors
/// Every kind of [`ImagingError`] but `Encoding`.
pub(super) fn outline<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Outline<'a>, ImagingError> {
    let format = recognise(bytes).ok_or(ImagingError::NotAnImage)?;
    let outline = match format {
        Format::Jpeg => jpeg::outline(bytes, limits)?,
        Format::Png => png::outline(bytes, limits)?,
        Format::Gif => gif::outline(bytes, limits)?,
        Format::WebP => webp::outline(bytes, limits)?,
        Format::Tiff => tiff::outline(bytes, limits)?,
        Format::Bmp => bmp::outline(bytes, limits)?,
        Format::Raw(raw) => raw::outline(bytes, raw, limits)?,
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
