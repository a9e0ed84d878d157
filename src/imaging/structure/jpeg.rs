//! JPEG: the markers, walked the way libjpeg walks them, so that what is counted here is what will be decoded.

use std::borrow::Cow;

use memchr::{memchr, memmem};

use super::{Outline, be_u16};
use crate::imaging::error::{Extent, ImagingError};
use crate::imaging::limits::Limits;
use crate::model::format::Format;

const EXIF: &[u8] = b"Exif\0\0";
const XMP: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";
const ICC: &[u8] = b"ICC_PROFILE\0";
/// Parts that a colour profile may have (ICC.1:2022, annex B.4).
const MAX_ICC_PARTS: usize = 255;

fn broken(detail: &str) -> ImagingError {
    ImagingError::broken(Format::Jpeg, detail)
}

/// Needs a frame header, at least one scan with data, and the end marker: a file without it was cut off. What follows the end marker
/// (a second picture, a motion clip, an archive) is none of ours.
pub(super) fn outline<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Outline<'a>, ImagingError> {
    let mut walk = Walk::default();
    let mut at = 2;
    loop {
        let (marker, after) = next_marker(bytes, at).ok_or_else(|| broken("cut off"))?;
        at = match marker {
            0xD9 => break,
            0x01 | 0xD0..=0xD7 => after,
            0xD8 => return Err(broken("a second start marker")),
            _ => {
                let length = usize::from(be_u16(bytes, after).ok_or_else(|| broken("cut off"))?);
                let end = after + length;
                let segment = bytes.get(after + 2..end).ok_or_else(|| broken("a segment reaches past the end"))?;
                walk.segment(marker, segment, limits)?;
                if marker == 0xDA { walk.entropy_data(bytes, end)? } else { end }
            }
        };
    }
    walk.finish(limits)
}

/// The next marker at or after `at`, and where its parameters begin. Skips what is no marker, as libjpeg does.
fn next_marker(bytes: &[u8], mut at: usize) -> Option<(u8, usize)> {
    loop {
        at += memchr(0xFF, bytes.get(at..)?)?;
        while *bytes.get(at)? == 0xFF {
            at += 1;
        }
        let code = *bytes.get(at)?;
        at += 1;
        if code != 0 {
            return Some((code, at));
        }
    }
}

struct Component {
    id: u8,
    blocks: u64,
}

#[derive(Default)]
struct Frame {
    width: u32,
    height: u32,
    progressive: bool,
    components: Vec<Component>,
}

#[derive(Default)]
struct Walk<'a> {
    frame: Option<Frame>,
    scans: u32,
    scan_blocks: u64,
    /// Whether any scan held less than all components: then libjpeg must hold all coefficients.
    partial_scans: bool,
    exif: Option<&'a [u8]>,
    xmp: Option<&'a [u8]>,
    icc: Vec<(u8, u8, &'a [u8])>,
}

impl<'a> Walk<'a> {
    fn segment(&mut self, marker: u8, segment: &'a [u8], limits: &Limits) -> Result<(), ImagingError> {
        match marker {
            0xC0..=0xC2 | 0xC9 | 0xCA => {
                if self.frame.is_some() {
                    return Err(broken("a second frame header"));
                }
                let frame = Frame::read(segment, matches!(marker, 0xC2 | 0xCA), limits)?;
                self.frame = Some(frame);
            }
            0xC3 | 0xC5..=0xC7 | 0xCB | 0xCD..=0xCF => {
                return Err(ImagingError::unsupported(Format::Jpeg, "lossless or hierarchical coding"));
            }
            0xDA => self.scan(segment, limits)?,
            0xE1 if self.exif.is_none() && segment.starts_with(EXIF) => self.exif = segment.get(EXIF.len()..),
            0xE1 if self.xmp.is_none() && segment.starts_with(XMP) => self.xmp = segment.get(XMP.len()..),
            0xE2 if segment.starts_with(ICC) => {
                // They are numbered in a byte: of more than there are numbers no profile is made, and none of them need be remembered.
                if let [number, count, data @ ..] = &segment[ICC.len()..]
                    && self.icc.len() <= MAX_ICC_PARTS
                {
                    self.icc.push((*number, *count, data));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn scan(&mut self, segment: &[u8], limits: &Limits) -> Result<(), ImagingError> {
        let frame = self.frame.as_ref().ok_or_else(|| broken("a scan before the frame header"))?;
        let count = usize::from(*segment.first().ok_or_else(|| broken("an empty scan header"))?);
        let members = segment.get(1..1 + 2 * count).filter(|_| (1..=4).contains(&count)).ok_or_else(|| broken("a wrong scan header"))?;
        for member in members.chunks_exact(2) {
            let component = frame.components.iter().find(|component| component.id == member[0]);
            self.scan_blocks += component.ok_or_else(|| broken("a scan of an unknown component"))?.blocks;
        }
        self.partial_scans |= count < frame.components.len();
        self.scans += 1;
        limits.check(Extent::Scans, self.scans.into())?;
        limits.check(Extent::ScanBlocks, self.scan_blocks)
    }

    /// Passes over a scan's data: to the next marker that is neither a stuffed zero, nor a restart, nor a fill byte.
    fn entropy_data(&self, bytes: &[u8], start: usize) -> Result<usize, ImagingError> {
        let mut at = start;
        loop {
            let rest = bytes.get(at..).ok_or_else(|| broken("cut off"))?;
            at += memchr(0xFF, rest).ok_or_else(|| broken("cut off"))?;
            match bytes.get(at + 1) {
                None => return Err(broken("cut off")),
                Some(0x00 | 0xD0..=0xD7) => at += 2,
                Some(0xFF) => at += 1,
                Some(_) if at == start && self.scans == 1 => return Err(broken("a scan without data")),
                Some(_) => return Ok(at),
            }
        }
    }

    fn finish(self, limits: &Limits) -> Result<Outline<'a>, ImagingError> {
        let frame = self.frame.ok_or_else(|| broken("no frame header"))?;
        if self.scans == 0 {
            return Err(broken("no scan"));
        }
        let mut outline = Outline::new(Format::Jpeg, (frame.width, frame.height));
        // Three bytes a pixel at most, four for CMYK.
        let channels = frame.components.len() as u64;
        let coefficients = if frame.progressive || self.partial_scans { frame.coefficients_bytes() } else { 0 };
        outline.decoded_bytes = outline.pixels() * channels + coefficients;
        outline.exif = self.exif.map(Cow::Borrowed);
        outline.xmp = self.xmp.map(Cow::Borrowed);
        outline.icc = joined_profile(self.icc, limits.max_metadata_bytes);
        Ok(outline)
    }
}

impl Frame {
    /// 64 of two bytes a block.
    fn coefficients_bytes(&self) -> u64 {
        self.components.iter().map(|component| component.blocks * 128).sum()
    }

    fn read(segment: &[u8], progressive: bool, limits: &Limits) -> Result<Self, ImagingError> {
        let wrong = || broken("a wrong frame header");
        let precision = *segment.first().ok_or_else(wrong)?;
        let height = u32::from(be_u16(segment, 1).ok_or_else(wrong)?);
        let width = u32::from(be_u16(segment, 3).ok_or_else(wrong)?);
        let count = usize::from(*segment.get(5).ok_or_else(wrong)?);
        if width == 0 || height == 0 {
            return Err(broken("no pixels"));
        }
        // Before anything else about a bomb, say that it is one.
        limits.check_dimensions(width, height)?;
        if precision != 8 {
            return Err(ImagingError::unsupported(Format::Jpeg, format!("{precision} bits a sample")));
        }
        if !matches!(count, 1 | 3 | 4) {
            return Err(ImagingError::unsupported(Format::Jpeg, format!("{count} components")));
        }
        let fields = segment.get(6..6 + 3 * count).ok_or_else(wrong)?;
        let factors = |field: &[u8]| (u64::from(field[1] >> 4), u64::from(field[1] & 15));
        if fields.chunks_exact(3).map(factors).any(|(h, v)| !(1..=4).contains(&h) || !(1..=4).contains(&v)) {
            return Err(broken("wrong sampling factors"));
        }
        let max_h = fields.chunks_exact(3).map(|field| factors(field).0).max().ok_or_else(wrong)?;
        let max_v = fields.chunks_exact(3).map(|field| factors(field).1).max().ok_or_else(wrong)?;
        let components = fields
            .chunks_exact(3)
            .map(|field| {
                let (h, v) = factors(field);
                let blocks = |side: u32, factor: u64, max: u64| u64::from(side).div_ceil(8 * max) * factor;
                Component { id: field[0], blocks: blocks(width, h, max_h) * blocks(height, v, max_v) }
            })
            .collect();
        Ok(Self { width, height, progressive, components })
    }
}

/// Puts the parts of a colour profile together. `None` where one is missing, told twice, or the whole is too large.
fn joined_profile(mut parts: Vec<(u8, u8, &[u8])>, max_bytes: usize) -> Option<Vec<u8>> {
    parts.sort_by_key(|(number, ..)| *number);
    let complete =
        parts.iter().enumerate().all(|(at, (number, count, _))| usize::from(*number) == at + 1 && usize::from(*count) == parts.len());
    let length: usize = parts.iter().map(|(.., data)| data.len()).sum();
    (!parts.is_empty() && complete && length <= max_bytes).then(|| parts.iter().flat_map(|(.., data)| data.iter().copied()).collect())
}

/// Width and height of what a camera shows its raw data by: eight bits a sample, grey or of three colours, baseline or progressive. `None` for
/// any other JPEG (the raw data itself is often a lossless one), or where the frame header does not come within `head_bytes`.
pub(super) fn measured(bytes: &[u8], head_bytes: usize) -> Option<(u32, u32)> {
    let head = bytes.get(..head_bytes).unwrap_or(bytes);
    let mut at = 2;
    loop {
        let (marker, after) = next_marker(head, at)?;
        match marker {
            0xC0..=0xC2 => {
                let (precision, count) = (*head.get(after + 2)?, *head.get(after + 7)?);
                let size = (be_u16(head, after + 5)?.into(), be_u16(head, after + 3)?.into());
                return (precision == 8 && matches!(count, 1 | 3) && size.0 > 0 && size.1 > 0).then_some(size);
            }
            0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF | 0xD8..=0xDA => return None,
            0x01 | 0xD0..=0xD7 => at = after,
            _ => at = after + usize::from(be_u16(head, after)?),
        }
    }
}

/// What the head of a file says of the memory that decoding takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::imaging) struct HeadCost {
    /// As stored, in pixels.
    pub(in crate::imaging) size: (u32, u32),
    /// Of the whole picture; at a scale as much less as it has fewer pixels.
    pub(in crate::imaging) pixels_bytes: u64,
    /// Held beside them at any scale, where the picture comes in several scans.
    pub(in crate::imaging) coefficients_bytes: u64,
}

/// Reads no further than the first scan's header. `None` for what is not decoded.
pub(in crate::imaging) fn head_cost(bytes: &[u8], limits: &Limits) -> Option<HeadCost> {
    let (mut frame, mut at) = (None::<Frame>, 2);
    loop {
        let (marker, after) = next_marker(bytes, at)?;
        if matches!(marker, 0x01 | 0xD0..=0xD7) {
            at = after;
            continue;
        }
        let end = after + usize::from(be_u16(bytes, after)?);
        let segment = bytes.get(after + 2..end)?;
        match marker {
            0xC0..=0xC2 | 0xC9 | 0xCA => frame = Some(Frame::read(segment, matches!(marker, 0xC2 | 0xCA), limits).ok()?),
            0xDA => {
                let frame = frame?;
                let channels = frame.components.len() as u64;
                let is_held = frame.progressive || u64::from(*segment.first()?) < channels;
                return Some(HeadCost {
                    size: (frame.width, frame.height),
                    pixels_bytes: u64::from(frame.width) * u64::from(frame.height) * channels,
                    coefficients_bytes: if is_held { frame.coefficients_bytes() } else { 0 },
                });
            }
            _ => {}
        }
        at = end;
    }
}

/// The file up to its first scan's data: all that its header is. `None` where there is no scan.
pub(in crate::imaging) fn head(bytes: &[u8]) -> Option<&[u8]> {
    let mut at = 2;
    loop {
        let (marker, after) = next_marker(bytes, at)?;
        at = match marker {
            0x01 | 0xD0..=0xD7 => after,
            0xD9 => return None,
            _ => after + usize::from(be_u16(bytes, after)?),
        };
        if marker == 0xDA {
            return bytes.get(..at);
        }
    }
}

/// Pieces that a file is cut into at most.
const MAX_PIECES: usize = 64;

/// The file in pieces, without the segments before its first scan that say something of the picture but are nothing of it (APP1 to APP13,
/// APP15, comments). `None` where there is no scan, or those segments stand in too many places.
pub(in crate::imaging) fn without_notes(bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let (mut pieces, mut kept_from, mut at) = (Vec::<&[u8]>::new(), 0, 2);
    loop {
        let (marker, after) = next_marker(bytes, at)?;
        // Put together, it has to begin as a JPEG does: what stands between a segment that is left out and the next would come right after the start.
        if kept_from == at && pieces.iter().map(|piece| piece.len()).sum::<usize>() == 2 {
            kept_from = after - 2;
        }
        match marker {
            0xD9 => return None,
            0x01 | 0xD0..=0xD7 => at = after,
            0xDA => {
                pieces.push(bytes.get(kept_from..)?);
                return Some(pieces);
            }
            _ => {
                at = after + usize::from(be_u16(bytes, after)?);
                if matches!(marker, 0xE1..=0xED | 0xEF | 0xFE) {
                    let piece = bytes.get(kept_from..after - 2)?;
                    if !piece.is_empty() {
                        pieces.push(piece);
                    }
                    kept_from = at;
                }
            }
        }
        if pieces.len() >= MAX_PIECES {
            return None;
        }
    }
}

/// The file without what stands between its header segments and without those that a picture does not need. libjpeg-turbo's interface
/// answers as failed where it met something odd there, though it could have gone on: with this it meets nothing odd.
pub(in crate::imaging) fn bare(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut bare = bytes.get(..2)?.to_vec();
    let mut at = 2;
    loop {
        let (marker, after) = next_marker(bytes, at)?;
        if matches!(marker, 0xD9 | 0xDA) {
            bare.extend_from_slice(&[0xFF, marker]);
            bare.extend_from_slice(bytes.get(after..)?);
            return Some(bare);
        }
        if matches!(marker, 0x01 | 0xD0..=0xD7) {
            at = after;
            continue;
        }
        let end = after + usize::from(be_u16(bytes, after)?);
        let segment = bytes.get(after..end)?;
        let keep = match (marker, segment.get(2..)?) {
            // JFIF of a known version, Adobe's with a known transform: they say how the colours are meant.
            (0xE0, [b'J', b'F', b'I', b'F', 0, major, ..]) => matches!(major, 1 | 2),
            (0xEE, [b'A', b'd', b'o', b'b', b'e', _, _, _, _, _, _, transform, ..]) => *transform <= 2,
            (0xE0..=0xEF | 0xFE, _) => false,
            _ => true,
        };
        if keep {
            bare.extend_from_slice(&[0xFF, marker]);
            bare.extend_from_slice(segment);
        }
        at = end;
    }
}

/// Where the text of a decoder's warning says that data ran out before the picture was done.
pub(in crate::imaging) fn says_cut_off(warning: &str) -> bool {
    memmem::find(warning.as_bytes(), b"Premature end of JPEG file").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_profile_in_very_many_parts_few_are_remembered() {
        let (mut walk, part, limits) = (Walk::default(), [ICC, &[1, 1, 7]].concat(), Limits::default());
        for _ in 0..1_000 {
            walk.segment(0xE2, &part, &limits).unwrap();
        }
        assert_eq!(walk.icc.len(), MAX_ICC_PARTS + 1);
        assert_eq!(joined_profile(walk.icc, limits.max_metadata_bytes), None);
    }
}
