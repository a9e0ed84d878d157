//! TIFF: the first directory, and how many pages there are.

use std::borrow::Cow;
use std::collections::HashSet;

use super::Outline;
use crate::imaging::error::{Extent, ImagingError};
use crate::imaging::limits::Limits;
use crate::model::format::Format;

const NEW_SUBFILE_TYPE: u16 = 254;
const IMAGE_WIDTH: u16 = 256;
const IMAGE_LENGTH: u16 = 257;
const BITS_PER_SAMPLE: u16 = 258;
const PHOTOMETRIC: u16 = 262;
const STRIP_OFFSETS: u16 = 273;
const SAMPLES_PER_PIXEL: u16 = 277;
const STRIP_BYTE_COUNTS: u16 = 279;
const TILE_OFFSETS: u16 = 324;
const TILE_BYTE_COUNTS: u16 = 325;
const SUB_DIRECTORIES: u16 = 330;
const EXTRA_SAMPLES: u16 = 338;
const XMP: u16 = 700;
const DNG_VERSION: u16 = 50_706;

fn broken(detail: &str) -> ImagingError {
    ImagingError::broken(Format::Tiff, detail)
}

/// Needs a first directory with a size, and every strip or tile within the file. The raw files of cameras look like TIFF and hold a small
/// preview where the picture would be: they are refused rather than taken for the preview.
pub(super) fn outline<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Outline<'a>, ImagingError> {
    let reader = Reader::new(bytes).ok_or_else(|| broken("a wrong header"))?;
    let first = reader.first_directory().and_then(|at| reader.directory(at)).ok_or_else(|| broken("no directory"))?;
    let number = |tag: u16| first.find(tag).and_then(|entry| reader.number(entry, 0));

    const CFA: u64 = 32_803;
    const LINEAR_RAW: u64 = 34_892;
    let reduced = number(NEW_SUBFILE_TYPE).is_some_and(|kind| kind & 1 == 1) && first.find(SUB_DIRECTORIES).is_some();
    let raw = bytes.get(8..10) == Some(b"CR") || first.find(DNG_VERSION).is_some();
    if raw || reduced || matches!(number(PHOTOMETRIC), Some(CFA | LINEAR_RAW)) {
        return Err(ImagingError::unsupported(Format::Tiff, "raw camera files"));
    }
    let side = |tag: u16| number(tag).and_then(|side| u32::try_from(side).ok()).ok_or_else(|| broken("no size"));
    let (width, height) = (side(IMAGE_WIDTH)?, side(IMAGE_LENGTH)?);
    limits.check_dimensions(width, height)?;

    for (offsets, counts) in [(STRIP_OFFSETS, STRIP_BYTE_COUNTS), (TILE_OFFSETS, TILE_BYTE_COUNTS)] {
        if let (Some(offsets), Some(counts)) = (first.find(offsets), first.find(counts)) {
            let within = |at: u64| Some(reader.number(offsets, at)?.checked_add(reader.number(counts, at)?)? <= bytes.len() as u64);
            if !(0..offsets.count.min(counts.count)).all(|at| within(at).unwrap_or(false)) {
                return Err(broken("cut off"));
            }
        }
    }
    let mut outline = Outline::new(Format::Tiff, (width, height));
    outline.frames = pages(&reader, first.next, limits)?;
    let bits = number(BITS_PER_SAMPLE).unwrap_or(1).clamp(8, 64).div_ceil(8);
    // The decoder's buffer, and the same again where it has to be converted.
    outline.decoded_bytes = outline.pixels().saturating_mul(bits * number(SAMPLES_PER_PIXEL).unwrap_or(1).clamp(1, 8));
    // "Associated alpha" (TIFF 6.0, page 31).
    outline.is_premultiplied = number(EXTRA_SAMPLES) == Some(1);
    outline.exif = Some(Cow::Borrowed(bytes));
    outline.xmp =
        first.find(XMP).and_then(|entry| reader.bytes(entry)).filter(|xmp| xmp.len() <= limits.max_metadata_bytes).map(Cow::Borrowed);
    Ok(outline)
}

fn pages(reader: &Reader<'_>, mut next: u64, limits: &Limits) -> Result<u32, ImagingError> {
    let mut seen = HashSet::new();
    let mut pages = 1;
    // A chain that bites its tail, or ends in nothing, ends here: only the first page is ever shown.
    while next != 0 && seen.insert(next) {
        let Some(directory) = reader.directory(next) else { break };
        pages += 1;
        limits.check(Extent::Frames, pages.into())?;
        next = directory.next;
    }
    Ok(pages)
}

#[derive(Clone, Copy)]
struct Entry {
    tag: u16,
    kind: u16,
    count: u64,
    /// Where the value lies in the file.
    at: u64,
}

struct Directory<'a> {
    reader: &'a Reader<'a>,
    entries_at: u64,
    count: u64,
    next: u64,
}

impl Directory<'_> {
    /// Reads entry by entry, so that a directory of a million entries costs no memory.
    fn find(&self, tag: u16) -> Option<Entry> {
        (0..self.count).map_while(|nth| self.reader.entry(self.entries_at, nth)).find(|entry| entry.tag == tag)
    }
}

/// Numbers of either byte order, of classic and of big files.
struct Reader<'a> {
    bytes: &'a [u8],
    little: bool,
    big: bool,
}

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8]) -> Option<Self> {
        let little = bytes.first()? == &b'I';
        let mut reader = Self { bytes, little, big: false };
        reader.big = reader.unsigned(2, 2)? == 43;
        Some(reader)
    }

    fn unsigned(&self, at: u64, size: usize) -> Option<u64> {
        let at = usize::try_from(at).ok()?;
        let field = self.bytes.get(at..at.checked_add(size)?)?;
        let add = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
        Some(if self.little { field.iter().rev().fold(0, add) } else { field.iter().fold(0, add) })
    }

    fn word(&self, at: u64) -> Option<u64> {
        self.unsigned(at, if self.big { 8 } else { 4 })
    }

    fn first_directory(&self) -> Option<u64> {
        self.word(if self.big { 8 } else { 4 })
    }

    fn directory(&'a self, at: u64) -> Option<Directory<'a>> {
        let (count_bytes, entry_bytes) = if self.big { (8, 20) } else { (2, 12) };
        let count = self.unsigned(at, count_bytes as usize)?;
        let entries_at = at.checked_add(count_bytes)?;
        let next = self.word(entries_at.checked_add(count.checked_mul(entry_bytes)?)?).unwrap_or(0);
        Some(Directory { reader: self, entries_at, count, next })
    }

    fn entry(&self, entries_at: u64, nth: u64) -> Option<Entry> {
        let (size, word) = if self.big { (20, 8) } else { (12, 4) };
        let at = entries_at.checked_add(nth.checked_mul(size)?)?;
        let count = self.word(at + 4)?;
        let kind = self.unsigned(at + 2, 2)? as u16;
        let inline = count.checked_mul(value_bytes(kind)?)? <= word;
        let value_at = if inline { at + 4 + word } else { self.word(at + 4 + word)? };
        Some(Entry { tag: self.unsigned(at, 2)? as u16, kind, count, at: value_at })
    }

    /// The nth number of an entry, where it is an unsigned one.
    fn number(&self, entry: Entry, nth: u64) -> Option<u64> {
        let size = value_bytes(entry.kind).filter(|_| matches!(entry.kind, 1 | 3 | 4 | 13 | 16 | 18))?;
        (nth < entry.count).then(|| self.unsigned(entry.at.checked_add(nth.checked_mul(size)?)?, size as usize))?
    }

    fn bytes(&self, entry: Entry) -> Option<&'a [u8]> {
        let start = usize::try_from(entry.at).ok()?;
        self.bytes.get(start..start.checked_add(usize::try_from(entry.count).ok()?)?)
    }
}

/// Bytes of one value of a type; an unknown type is taken for bytes, so that the entries after it are still found.
fn value_bytes(kind: u16) -> Option<u64> {
    Some(match kind {
        3 | 8 => 2,
        4 | 9 | 11 | 13 => 4,
        5 | 10 | 12 | 16 | 17 | 18 => 8,
        _ => 1,
    })
}
