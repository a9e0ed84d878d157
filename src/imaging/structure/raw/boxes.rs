//! CR3, Canon's: boxes of ISO media files (ISO/IEC 14496-12). Previews stand in boxes of their own, the one at full size in a track.

use super::notes::{Notes, Part};
use super::{Contents, cut_off};
use crate::imaging::error::ImagingError;
use crate::imaging::structure::be_u32;
use crate::imaging::structure::directories::Reader;
use crate::model::format::RawFormat;

/// Boxes that are looked at inside one.
const MAX_BOXES: usize = 256;
/// A preview's box says how large it is before the JPEG begins.
const BEFORE_JPEG_BYTES: usize = 32;

/// What is said of the photo, and the thumbnail.
const OF_PHOTO: [u8; 16] = *b"\x85\xc0\xb6\x87\x82\x0f\x11\xe0\x81\x11\xf4\xce\x46\x2b\x6a\x48";
/// The preview that fits a camera's screen.
const OF_PREVIEW: [u8; 16] = *b"\xea\xf4\x2b\x5e\x1c\x98\x4b\x88\xb9\xfb\xb7\xdc\x40\x6e\x4d\x16";

/// Reads what a CR3 holds.
pub(super) fn read(bytes: &[u8]) -> Result<Contents<'_>, ImagingError> {
    let mut contents = Contents::default();
    let (boxes, is_whole) = Boxes::of(bytes);
    if !is_whole {
        return Err(cut_off(RawFormat::Cr3));
    }
    for (kind, body) in boxes.0 {
        match &kind {
            b"moov" => read_movie(bytes, body, &mut contents)?,
            b"uuid" if body.starts_with(&OF_PREVIEW) => {
                // Eight bytes of a version, then boxes.
                let inner = Boxes::of(body.get(24..).unwrap_or_default()).0;
                inner.all(b"PRVW").for_each(|preview| take_boxed(preview, &mut contents));
            }
            _ => {}
        }
    }
    Ok(contents)
}

fn read_movie<'a>(bytes: &'a [u8], movie: &'a [u8], contents: &mut Contents<'a>) -> Result<(), ImagingError> {
    let boxes = Boxes::of(movie).0;
    for body in boxes.all(b"uuid").filter(|body| body.starts_with(&OF_PHOTO)) {
        let inner = Boxes::of(&body[OF_PHOTO.len()..]).0;
        for (name, part) in [(b"CMT1", Part::Main), (b"CMT2", Part::Exif), (b"CMT4", Part::Gps)] {
            inner.all(name).for_each(|block| take_notes(block, part, &mut contents.notes));
        }
        inner.all(b"THMB").for_each(|thumbnail| take_boxed(thumbnail, contents));
    }
    for track in boxes.all(b"trak") {
        if let Some((start, length)) = only_sample(track) {
            contents.take(bytes, start, length).ok_or_else(|| cut_off(RawFormat::Cr3))?;
        }
    }
    Ok(())
}

/// Each block is a TIFF whose first directory is the one that elsewhere another names.
fn take_notes(block: &[u8], part: Part, notes: &mut Notes) {
    let directory = Reader::new(block).and_then(|reader| Some((reader, reader.directory(reader.first_directory()?)?)));
    if let Some((reader, directory)) = directory {
        notes.take(reader, directory, part);
    }
}

fn take_boxed<'a>(body: &'a [u8], contents: &mut Contents<'a>) {
    let head = &body[..body.len().min(BEFORE_JPEG_BYTES)];
    if let Some(at) = head.windows(2).position(|pair| pair == [0xFF, 0xD8]) {
        let _ = contents.take(body, at as u64, (body.len() - at) as u64);
    }
}

/// Where the sample of a track lies that has but one (8.7.3, 8.7.5).
fn only_sample(track: &[u8]) -> Option<(u64, u64)> {
    let path = [b"mdia", b"minf", b"stbl"];
    let table = path.iter().try_fold(track, |body, name| Boxes::of(body).0.all(name).next())?;
    let boxes = Boxes::of(table).0;
    let sizes = boxes.all(b"stsz").next()?;
    let length = match (be_u32(sizes, 4)?, be_u32(sizes, 8)?) {
        (0, 1) => be_u32(sizes, 12)?,
        (size, 1) => size,
        _ => return None,
    };
    let large = boxes.all(b"co64").next().and_then(|body| body.get(8..16)?.first_chunk()).map(|at| u64::from_be_bytes(*at));
    let start = large.or_else(|| boxes.all(b"stco").next().and_then(|body| be_u32(body, 8)).map(u64::from))?;
    Some((start, length.into()))
}

/// The boxes that stand one after another: what kind each is, and what is in it.
struct Boxes<'a>(Vec<([u8; 4], &'a [u8])>);

impl<'a> Boxes<'a> {
    /// Answers also whether all of them end within the bytes; fewer bytes than a box has at least may follow the last.
    fn of(bytes: &'a [u8]) -> (Self, bool) {
        let (mut boxes, mut rest) = (vec![], bytes);
        while let Some(head) = rest.first_chunk::<8>().filter(|_| boxes.len() < MAX_BOXES) {
            let [a, b, c, d, kind @ ..] = *head;
            let (size, before) = match u32::from_be_bytes([a, b, c, d]) {
                0 => (Some(rest.len() as u64), 8),
                1 => (rest[8..].first_chunk().map(|size| u64::from_be_bytes(*size)), 16),
                size => (Some(size.into()), 8),
            };
            let size = size.and_then(|size| usize::try_from(size).ok());
            let Some(body) = size.and_then(|size| rest.get(before..size)) else { return (Self(boxes), false) };
            boxes.push((kind, body));
            rest = &rest[before + body.len()..];
        }
        (Self(boxes), true)
    }

    /// What is in those of a kind.
    fn all(&self, kind: &'a [u8; 4]) -> impl Iterator<Item = &'a [u8]> + '_ {
        self.0.iter().filter(move |(other, _)| other == kind).map(|(_, body)| *body)
    }
}
