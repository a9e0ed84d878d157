//! TIFF: the first directory, and how many pages there are.

use std::borrow::Cow;
use std::collections::HashSet;

use super::Outline;
use super::directories::{CFA, LINEAR_RAW, Reader, tag};
use crate::imaging::error::{Extent, ImagingError};
use crate::imaging::limits::Limits;
use crate::model::format::Format;

fn broken(detail: &str) -> ImagingError {
    ImagingError::broken(Format::Tiff, detail)
}

/// Needs a first directory with a size, and every strip or tile within the file. The raw files of cameras that are not known here look like
/// TIFF and hold a small preview where the picture would be: they are refused rather than taken for the preview.
pub(super) fn outline<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Outline<'a>, ImagingError> {
    let reader = Reader::new(bytes).ok_or_else(|| broken("a wrong header"))?;
    let first = reader.first_directory().and_then(|at| reader.directory(at)).ok_or_else(|| broken("no directory"))?;
    let number = |tag: u16| first.find(tag).and_then(|entry| reader.number(entry, 0));

    let reduced = number(tag::NEW_SUBFILE_TYPE).is_some_and(|kind| kind & 1 == 1) && first.find(tag::SUB_DIRECTORIES).is_some();
    if reduced || matches!(number(tag::PHOTOMETRIC), Some(CFA | LINEAR_RAW)) {
        return Err(ImagingError::unsupported(Format::Tiff, "a raw file of a camera that is not known here"));
    }
    let side = |tag: u16| number(tag).and_then(|side| u32::try_from(side).ok()).ok_or_else(|| broken("no size"));
    let (width, height) = (side(tag::IMAGE_WIDTH)?, side(tag::IMAGE_LENGTH)?);
    limits.check_dimensions(width, height)?;

    for (offsets, counts) in [(tag::STRIP_OFFSETS, tag::STRIP_BYTE_COUNTS), (tag::TILE_OFFSETS, tag::TILE_BYTE_COUNTS)] {
        if let (Some(offsets), Some(counts)) = (first.find(offsets), first.find(counts)) {
            let within = |at: u64| Some(reader.number(offsets, at)?.checked_add(reader.number(counts, at)?)? <= bytes.len() as u64);
            if !(0..offsets.count.min(counts.count)).all(|at| within(at).unwrap_or(false)) {
                return Err(broken("cut off"));
            }
        }
    }
    let mut outline = Outline::new(Format::Tiff, (width, height));
    outline.frames = pages(reader, first.next.unwrap_or(0), limits)?;
    let bits = number(tag::BITS_PER_SAMPLE).unwrap_or(1).clamp(8, 64).div_ceil(8);
    // The decoder's buffer, and the same again where it has to be converted.
    outline.decoded_bytes = outline.pixels().saturating_mul(bits * number(tag::SAMPLES_PER_PIXEL).unwrap_or(1).clamp(1, 8));
    // "Associated alpha" (TIFF 6.0, page 31).
    outline.is_premultiplied = number(tag::EXTRA_SAMPLES) == Some(1);
    outline.exif = Some(Cow::Borrowed(bytes));
    outline.xmp =
        first.find(tag::XMP).and_then(|entry| reader.bytes(entry)).filter(|xmp| xmp.len() <= limits.max_metadata_bytes).map(Cow::Borrowed);
    Ok(outline)
}

fn pages(reader: Reader<'_>, mut next: u64, limits: &Limits) -> Result<u32, ImagingError> {
    let mut seen = HashSet::new();
    let mut pages = 1;
    // A chain that bites its tail, or ends in nothing, ends here: only the first page is ever shown.
    while next != 0 && seen.insert(next) {
        let Some(directory) = reader.directory(next) else { break };
        pages += 1;
        limits.check(Extent::Frames, pages.into())?;
        next = directory.next.unwrap_or(0);
    }
    Ok(pages)
}
