//! Animated WebP: the container (RFC 9649, 2.7.1), written frame by frame, so that never more than two of them are in memory.
//!
//! Of a frame only the rectangle that differs from the one before is encoded, and laid over without blending. libwebp's own encoder for animations
//! wants all frames at once.

use super::webp;
use crate::imaging::error::ImagingError;
use crate::imaging::pixels::Pixels;

/// The longest that a frame can be shown, in milliseconds: 24 bits.
const MAX_MILLISECONDS: u64 = 0xFF_FFFF;
/// Flags of the header: transparency, animation.
const HAS_ALPHA: u8 = 0x10;
const IS_ANIMATED: u8 = 0x02;
/// Flag of a frame: it replaces what it covers.
const NO_BLENDING: u8 = 0x02;

/// An animation that is being written.
pub(in crate::imaging) struct Animation {
    width: u32,
    height: u32,
    quality: u8,
    /// The frames that are done.
    chunks: Vec<u8>,
    has_alpha: bool,
    /// The canvas as it is, and what of it is not written yet: it may stay longer.
    shown: Option<(Pixels, Pending)>,
    /// When that began and when it ends, from the beginning.
    began: f64,
    ends: f64,
}

/// A frame that is encoded: where it lies, and the chunks of its pixels.
struct Pending {
    left: u32,
    top: u32,
    width: u32,
    height: u32,
    picture: Vec<u8>,
}

impl Animation {
    /// An empty one of this size, at least 1 × 1 and at most 16,383 a side; quality 1 to 100.
    pub(in crate::imaging) fn new((width, height): (u32, u32), quality: u8) -> Self {
        Self { width, height, quality, chunks: vec![], has_alpha: false, shown: None, began: 0.0, ends: 0.0 }
    }

    /// Width and height.
    pub(in crate::imaging) fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// Bytes so far.
    pub(in crate::imaging) fn byte_len(&self) -> usize {
        self.chunks.len() + self.shown.as_ref().map_or(0, |(_, pending)| pending.picture.len())
    }

    /// Adds a frame of the whole size, all of the same layout. One that looks as the one before makes that last longer.
    pub(in crate::imaging) fn add(&mut self, frame: Pixels, milliseconds: f64) -> Result<(), ImagingError> {
        let differs = match &self.shown {
            None => Some((0, 0, frame.width, frame.height)),
            Some((shown, _)) => difference(shown, &frame),
        };
        if let Some((left, top, width, height)) = differs {
            let picture = picture_chunks(&webp::encode(&part(&frame, (left, top, width, height)), self.quality)?);
            let picture = picture.ok_or_else(|| ImagingError::Encoding("WebP: no picture in what was encoded".into()))?;
            self.has_alpha |= picture.starts_with(b"ALPH") || picture.starts_with(b"VP8L");
            self.write_shown();
            self.shown = Some((frame, Pending { left, top, width, height, picture }));
            self.began = self.ends;
        }
        self.ends += milliseconds;
        Ok(())
    }

    /// The file; `plays` is how often it is shown, 0 without end.
    pub(in crate::imaging) fn finish(mut self, plays: u32) -> Vec<u8> {
        self.write_shown();
        let flags = IS_ANIMATED | if self.has_alpha { HAS_ALPHA } else { 0 };
        let header = [[flags, 0, 0, 0].as_slice(), &u24(self.width - 1), &u24(self.height - 1)].concat();
        // Nothing behind it, as pages expect.
        let plays = u16::try_from(plays).unwrap_or(u16::MAX).to_le_bytes();
        let mut body = b"WEBP".to_vec();
        put_chunk(&mut body, b"VP8X", &[&header]);
        put_chunk(&mut body, b"ANIM", &[&[0; 4], &plays]);
        body.extend_from_slice(&self.chunks);
        let mut file = vec![];
        put_chunk(&mut file, b"RIFF", &[&body]);
        file
    }

    fn write_shown(&mut self) {
        let Some((_, Pending { left, top, width, height, picture })) = self.shown.take() else { return };
        // Rounded at both ends, so that nothing adds up.
        let milliseconds = (self.ends.round() as u64).saturating_sub(self.began.round() as u64).min(MAX_MILLISECONDS) as u32;
        let numbers = [left / 2, top / 2, width - 1, height - 1, milliseconds].map(u24).concat();
        put_chunk(&mut self.chunks, b"ANMF", &[&numbers, &[NO_BLENDING], &picture]);
    }
}

fn u24(number: u32) -> [u8; 3] {
    let [a, b, c, _] = number.to_le_bytes();
    [a, b, c]
}

fn put_chunk(file: &mut Vec<u8>, kind: &[u8; 4], parts: &[&[u8]]) {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    file.extend_from_slice(kind);
    file.extend_from_slice(&(length as u32).to_le_bytes());
    parts.iter().for_each(|part| file.extend_from_slice(part));
    file.resize(file.len() + length % 2, 0);
}

/// The chunks of a simple or extended file that are its pixels, as they stand.
fn picture_chunks(file: &[u8]) -> Option<Vec<u8>> {
    let (mut chunks, mut rest, mut has_picture) = (vec![], file.get(12..)?, false);
    while let Some((head, after)) = rest.split_first_chunk::<8>() {
        let [kind @ .., a, b, c, d] = *head;
        let length = u32::from_le_bytes([a, b, c, d]) as usize;
        let whole = 8 + length + length % 2;
        if matches!(&kind, b"ALPH" | b"VP8 " | b"VP8L") {
            has_picture |= &kind != b"ALPH";
            chunks.extend_from_slice(rest.get(..8 + length)?);
            chunks.resize(chunks.len() + length % 2, 0);
        }
        rest = after.get(whole - 8..).unwrap_or_default();
    }
    has_picture.then_some(chunks)
}

/// The smallest rectangle outside of which both are alike, with left and top even, as the container needs it: left, top, width, height.
fn difference(before: &Pixels, after: &Pixels) -> Option<(u32, u32, u32, u32)> {
    let channels = after.layout.channels();
    let row_bytes = after.width as usize * channels;
    let mut rows = before.data.chunks_exact(row_bytes).zip(after.data.chunks_exact(row_bytes)).map(|(old, new)| {
        let mut changed = old.chunks_exact(channels).zip(new.chunks_exact(channels)).enumerate().filter(|(_, (old, new))| old != new);
        let first = changed.next()?.0;
        Some((first, changed.next_back().map_or(first, |(last, _)| last)))
    });
    let (mut top, mut bottom, mut left, mut right) = (None, 0, usize::MAX, 0);
    for (y, (first, last)) in (0..after.height).zip(&mut rows).filter_map(|(y, row)| Some((y, row?))) {
        top = top.or(Some(y));
        (bottom, left, right) = (y, left.min(first), right.max(last));
    }
    let (left, top) = (left as u32 & !1, top? & !1);
    Some((left, top, right as u32 + 1 - left, bottom + 1 - top))
}

/// A rectangle of a picture.
fn part(pixels: &Pixels, (left, top, width, height): (u32, u32, u32, u32)) -> Pixels {
    let channels = pixels.layout.channels();
    let (row_bytes, start, length) = (pixels.width as usize * channels, left as usize * channels, width as usize * channels);
    let rows = pixels.data.chunks_exact(row_bytes).skip(top as usize).take(height as usize);
    let data = rows.flat_map(|row| row.iter().skip(start).take(length).copied()).collect();
    Pixels { width, height, layout: pixels.layout, data }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imaging::pixels::Layout;

    fn grey(rows: [&[u8; 5]; 3]) -> Pixels {
        Pixels { width: 5, height: 3, layout: Layout::Grey, data: rows.into_iter().flatten().copied().collect() }
    }

    #[test]
    fn what_differs_begins_at_even_places() {
        let before = grey([b"aaaaa", b"aaaaa", b"aaaaa"]);
        for (after, expected) in [
            (grey([b"aaaaa", b"aaaaa", b"aaaaa"]), None),
            (grey([b"aaaaa", b"aaaba", b"aaaaa"]), Some((2, 0, 2, 2))),
            (grey([b"baaaa", b"aaaaa", b"aaaab"]), Some((0, 0, 5, 3))),
            (grey([b"aaaaa", b"aaaaa", b"aabba"]), Some((2, 2, 2, 1))),
        ] {
            assert_eq!(difference(&before, &after), expected);
        }
        assert_eq!(part(&grey([b"abcde", b"fghij", b"klmno"]), (2, 1, 2, 2)).data, b"himn");
    }
}
