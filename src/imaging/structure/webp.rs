//! WebP: the chunks of its RIFF (RFC 9649).

use std::borrow::Cow;

use super::{Outline, le_u16, le_u32, without_exif_prefix};
use crate::imaging::error::{Extent, ImagingError};
use crate::imaging::limits::Limits;
use crate::model::format::Format;

/// Flag of the header: the file is an animation.
const IS_ANIMATED: u8 = 0x02;
/// Flags of a frame: it replaces what it covers, and what it covered is transparent afterwards.
const NO_BLENDING: u8 = 0x02;
const DISPOSES: u8 = 0x01;

fn broken(detail: &str) -> ImagingError {
    ImagingError::broken(Format::WebP, detail)
}

/// Needs all the bytes that its header announces, and a picture. Where it has an extended header, that comes first; a later one is passed
/// over, as decoders do.
pub(super) fn outline<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Outline<'a>, ImagingError> {
    let announced = le_u32(bytes, 4).ok_or_else(|| broken("cut off"))? as usize;
    let riff = announced.checked_add(8).and_then(|end| bytes.get(12..end)).ok_or_else(|| broken("cut off"))?;
    let mut size = None;
    let mut is_animated = false;
    let mut frames = 0_u32;
    let mut pictures = 0_u32;
    let (mut exif, mut xmp) = (None, None);
    for (nth, chunk) in chunks(riff).enumerate() {
        let (kind, data) = chunk.ok_or_else(|| broken("a chunk reaches past the end"))?;
        match kind {
            b"VP8X" if nth == 0 => {
                let canvas = extended_size(data).ok_or_else(|| broken("a wrong header"))?;
                limits.check_dimensions(canvas.0, canvas.1)?;
                is_animated = data.first().is_some_and(|flags| flags & IS_ANIMATED != 0);
                size = Some(canvas);
            }
            b"VP8 " | b"VP8L" => {
                pictures += 1;
                let own = picture_size(kind, data);
                // Decoders unpack it before they compare the sizes.
                if !is_animated && own.is_some() && size.is_some_and(|size| own != Some(size)) {
                    return Err(broken("a picture of another size than the header says"));
                }
                size = size.or(own);
            }
            b"ANMF" => {
                frames += 1;
                limits.check(Extent::Frames, frames.into())?;
                let frame = Frame::read(data).ok_or_else(|| broken("a wrong frame header"))?;
                limits.check_dimensions(frame.width, frame.height)?;
                if frame.picture().is_some_and(|(kind, data)| picture_size(kind, data) != Some((frame.width, frame.height))) {
                    return Err(broken("a frame of another size than its header says"));
                }
            }
            b"EXIF" if data.len() <= limits.max_metadata_bytes => exif = exif.or(Some(without_exif_prefix(data))),
            b"XMP " if data.len() <= limits.max_metadata_bytes => xmp = xmp.or(Some(data)),
            _ => {}
        }
    }
    if pictures + frames == 0 {
        return Err(broken("no picture"));
    }
    let mut outline = Outline::new(Format::WebP, size.ok_or_else(|| broken("a wrong header"))?);
    outline.frames = if is_animated { frames.max(1) } else { 1 };
    // RGBA, the planes or transforms that it is made from, and for an animation the canvas.
    outline.decoded_bytes = outline.pixels() * if frames > 0 { 12 } else { 8 };
    outline.exif = exif.map(Cow::Borrowed);
    outline.xmp = xmp.map(Cow::Borrowed);
    Ok(outline)
}

/// A frame of an animation, packed.
pub(in crate::imaging) struct Frame<'a> {
    /// Where it lies on the canvas; it may reach beyond.
    pub(in crate::imaging) left: u32,
    pub(in crate::imaging) top: u32,
    pub(in crate::imaging) width: u32,
    pub(in crate::imaging) height: u32,
    pub(in crate::imaging) milliseconds: u32,
    /// Whether what it covers shines through.
    pub(in crate::imaging) blends: bool,
    /// Whether what it covered is transparent after it.
    pub(in crate::imaging) disposes: bool,
    /// The chunks of its picture.
    chunks: &'a [u8],
}

impl<'a> Frame<'a> {
    fn read(data: &'a [u8]) -> Option<Self> {
        let side = |at| Some(u24(data, at)? + 1);
        let flags = *data.get(15)?;
        Some(Self {
            left: u24(data, 0)? * 2,
            top: u24(data, 3)? * 2,
            width: side(6)?,
            height: side(9)?,
            milliseconds: u24(data, 12)?,
            blends: flags & NO_BLENDING == 0,
            disposes: flags & DISPOSES != 0,
            chunks: data.get(16..)?,
        })
    }

    /// The kind of its picture, and the picture.
    pub(in crate::imaging) fn picture(&self) -> Option<(&'a [u8; 4], &'a [u8])> {
        chunks(self.chunks).map_while(|chunk| chunk).find(|(kind, _)| matches!(*kind, b"VP8 " | b"VP8L"))
    }

    /// Its opacity, where that stands apart.
    pub(in crate::imaging) fn opacity(&self) -> Option<&'a [u8]> {
        chunks(self.chunks).map_while(|chunk| chunk).find(|(kind, _)| *kind == b"ALPH").map(|(_, data)| data)
    }
}

/// The frames of an animation whose outline was taken.
pub(in crate::imaging) fn frames(bytes: &[u8]) -> impl Iterator<Item = Frame<'_>> {
    let end = le_u32(bytes, 4).map_or(0, |announced| announced as usize + 8);
    let riff = bytes.get(12..end).unwrap_or_default();
    chunks(riff).map_while(|chunk| chunk).filter(|(kind, _)| *kind == b"ANMF").filter_map(|(_, data)| Frame::read(data))
}

/// The chunks, each with its kind; at the end `None` where one reaches past it.
fn chunks(mut rest: &[u8]) -> impl Iterator<Item = Option<(&[u8; 4], &[u8])>> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let whole = le_u32(rest, 4).and_then(|length| {
            let (kind, after) = rest.split_first_chunk::<4>()?;
            let (data, behind) = after.get(4..)?.split_at_checked(length as usize)?;
            // Chunks are padded to even lengths; the last one's padding is often left out.
            Some((kind, data, behind.get(data.len() % 2..).unwrap_or_default()))
        });
        rest = whole.map_or(&[], |(_, _, behind)| behind);
        Some(whole.map(|(kind, data, _)| (kind, data)))
    })
}

fn u24(data: &[u8], at: usize) -> Option<u32> {
    let [a, b, c] = *data.get(at..)?.first_chunk()?;
    Some(u32::from_le_bytes([a, b, c, 0]))
}

/// Canvas of `VP8X`.
fn extended_size(data: &[u8]) -> Option<(u32, u32)> {
    Some((u24(data, 4)? + 1, u24(data, 7)? + 1))
}

fn picture_size(kind: &[u8; 4], data: &[u8]) -> Option<(u32, u32)> {
    if kind == b"VP8L" { lossless_size(data) } else { lossy_size(data) }
}

fn lossy_size(data: &[u8]) -> Option<(u32, u32)> {
    let side = |at: usize| Some(u32::from(le_u16(data, at)? & 0x3FFF));
    (data.get(3..6)? == [0x9D, 0x01, 0x2A]).then_some((side(6)?, side(8)?))
}

fn lossless_size(data: &[u8]) -> Option<(u32, u32)> {
    let bits = le_u32(data, 1)?;
    (*data.first()? == 0x2F).then_some(((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1))
}
