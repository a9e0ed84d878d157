//! WebP: the chunks of its RIFF.

use std::borrow::Cow;

use super::{Outline, le_u16, le_u32, without_exif_prefix};
use crate::imaging::error::{Extent, ImagingError};
use crate::imaging::limits::Limits;
use crate::model::format::Format;

fn broken(detail: &str) -> ImagingError {
    ImagingError::broken(Format::WebP, detail)
}

/// Needs all the bytes that its header announces, and a picture.
pub(super) fn outline<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Outline<'a>, ImagingError> {
    let announced = le_u32(bytes, 4).ok_or_else(|| broken("cut off"))? as usize;
    let riff = announced.checked_add(8).and_then(|end| bytes.get(12..end)).ok_or_else(|| broken("cut off"))?;
    let mut size = None;
    let mut frames = 0_u32;
    let mut pictures = 0_u32;
    let (mut exif, mut xmp) = (None, None);
    let mut at = 0;
    while at < riff.len() {
        let length = le_u32(riff, at + 4).ok_or_else(|| broken("cut off"))? as usize;
        let start = at + 8;
        let data = start.checked_add(length).and_then(|end| riff.get(start..end)).ok_or_else(|| broken("a chunk reaches past the end"))?;
        match &riff[at..at + 4] {
            b"VP8X" => size = Some(extended_size(data).ok_or_else(|| broken("a wrong header"))?),
            b"VP8 " => {
                pictures += 1;
                size = size.or(lossy_size(data));
            }
            b"VP8L" => {
                pictures += 1;
                size = size.or(lossless_size(data));
            }
            b"ANMF" => {
                frames += 1;
                limits.check(Extent::Frames, frames.into())?;
                let frame = extended_size(data.get(2..).unwrap_or_default()).ok_or_else(|| broken("a wrong frame header"))?;
                limits.check_dimensions(frame.0, frame.1)?;
            }
            b"EXIF" if data.len() <= limits.max_metadata_bytes => exif = exif.or(Some(without_exif_prefix(data))),
            b"XMP " if data.len() <= limits.max_metadata_bytes => xmp = xmp.or(Some(data)),
            _ => {}
        }
        // Chunks are padded to even lengths; the last one's padding is often left out.
        at = start + length + (length & 1);
    }
    if pictures + frames == 0 {
        return Err(broken("no picture"));
    }
    let mut outline = Outline::new(Format::WebP, size.ok_or_else(|| broken("a wrong header"))?);
    outline.frames = frames.max(1);
    // RGBA, the planes or transforms that it is made from, and for an animation the canvas.
    outline.decoded_bytes = outline.pixels() * if frames > 0 { 12 } else { 8 };
    outline.exif = exif.map(Cow::Borrowed);
    outline.xmp = xmp.map(Cow::Borrowed);
    Ok(outline)
}

fn u24(data: &[u8], at: usize) -> Option<u32> {
    let [a, b, c] = *data.get(at..)?.first_chunk()?;
    Some(u32::from_le_bytes([a, b, c, 0]))
}

/// Canvas of `VP8X`; a frame of `ANMF` has the same fields two bytes further on.
fn extended_size(data: &[u8]) -> Option<(u32, u32)> {
    Some((u24(data, 4)? + 1, u24(data, 7)? + 1))
}

fn lossy_size(data: &[u8]) -> Option<(u32, u32)> {
    let side = |at: usize| Some(u32::from(le_u16(data, at)? & 0x3FFF));
    (data.get(3..6)? == [0x9D, 0x01, 0x2A]).then_some((side(6)?, side(8)?))
}

fn lossless_size(data: &[u8]) -> Option<(u32, u32)> {
    let bits = le_u32(data, 1)?;
    (*data.first()? == 0x2F).then_some(((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1))
}
