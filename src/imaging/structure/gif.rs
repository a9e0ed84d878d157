//! GIF: the blocks, passed over without unpacking.

use super::{Outline, le_u16};
use crate::imaging::error::{Extent, ImagingError};
use crate::imaging::limits::Limits;
use crate::model::format::Format;

fn broken(detail: &str) -> ImagingError {
    ImagingError::broken(Format::Gif, detail)
}

/// Needs at least one frame, whole. A missing trailer after a whole frame is common and harmless; what follows the trailer is none of ours.
pub(super) fn outline<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Outline<'a>, ImagingError> {
    let cut_off = || broken("cut off");
    let width = u32::from(le_u16(bytes, 6).ok_or_else(cut_off)?);
    let height = u32::from(le_u16(bytes, 8).ok_or_else(cut_off)?);
    limits.check_dimensions(width, height)?;
    let mut outline = Outline::new(Format::Gif, (width, height));
    outline.frames = 0;
    let flags = *bytes.get(10).ok_or_else(cut_off)?;
    let mut at = 13 + colour_table_bytes(flags);
    loop {
        at = match bytes.get(at) {
            Some(0x21) => sub_blocks(bytes, at + 2).ok_or_else(cut_off)?,
            Some(0x2C) => {
                frame(bytes, at, &mut outline, limits)?;
                let flags = *bytes.get(at + 9).ok_or_else(cut_off)?;
                sub_blocks(bytes, at + 10 + colour_table_bytes(flags) + 1).ok_or_else(cut_off)?
            }
            Some(0x3B) | None if outline.frames > 0 => return Ok(outline),
            Some(0x3B) => return Err(broken("no frame")),
            None => return Err(cut_off()),
            // Zeros between blocks are written by some.
            Some(0x00) => at + 1,
            Some(_) => return Err(broken("an unknown block")),
        };
    }
}

fn frame(bytes: &[u8], at: usize, outline: &mut Outline<'_>, limits: &Limits) -> Result<(), ImagingError> {
    let side = |offset: usize| le_u16(bytes, at + offset).map(u32::from).ok_or_else(|| broken("cut off"));
    let (width, height) = (side(5)?, side(7)?);
    limits.check_dimensions(width, height)?;
    outline.frames += 1;
    limits.check(Extent::Frames, outline.frames.into())?;
    if outline.frames == 1 {
        // The first frame is what is shown; it may lie anywhere on the canvas.
        outline.decoded_bytes = 4 * (outline.pixels() + u64::from(width) * u64::from(height));
    }
    Ok(())
}

/// How often a GIF is shown, 0 for without end: what its extension says (an application's, of Netscape's invention), and once more.
pub(in crate::imaging) fn loops(bytes: &[u8]) -> u32 {
    let mut plays = 1;
    for at in blocks(bytes).filter(|at| bytes.get(*at..at + 3) == Some(&[0x21, 0xFF, 11])) {
        let says_loops = matches!(bytes.get(at + 3..at + 16), Some(b"NETSCAPE2.0\x03\x01" | b"ANIMEXTS1.0\x03\x01"));
        if let Some(repeats) = le_u16(bytes, at + 16).filter(|_| says_loops) {
            plays = if repeats == 0 { 0 } else { u32::from(repeats) + 1 };
        }
    }
    plays
}

/// Pixels of all frames together, each as large as it says.
pub(in crate::imaging) fn frame_pixels(bytes: &[u8]) -> u64 {
    let frames = blocks(bytes).filter(|at| bytes.get(*at) == Some(&0x2C));
    let pixels = |at: usize| Some(u64::from(le_u16(bytes, at + 5)?) * u64::from(le_u16(bytes, at + 7)?));
    frames.filter_map(pixels).sum()
}

/// Where extensions and frames begin, of a file whose outline was taken.
fn blocks(bytes: &[u8]) -> impl Iterator<Item = usize> {
    let first = bytes.get(10).map(|flags| 13 + colour_table_bytes(*flags));
    let next = |at: &usize| match *bytes.get(*at)? {
        0x21 => sub_blocks(bytes, *at + 2),
        0x2C => sub_blocks(bytes, *at + 10 + colour_table_bytes(*bytes.get(*at + 9)?) + 1),
        0x00 => Some(*at + 1),
        _ => None,
    };
    std::iter::successors(first, next)
}

/// The size of the colour table that these flags announce.
fn colour_table_bytes(flags: u8) -> usize {
    if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) }
}

/// Passes over sub-blocks to what follows their end.
fn sub_blocks(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let length = usize::from(*bytes.get(at)?);
        at += 1 + length;
        if length == 0 {
            return Some(at);
        }
    }
}
