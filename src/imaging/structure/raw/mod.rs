//! Raw files of cameras. What the sensor saw is left to the programs that develop it; shown is the JPEG that the camera made of it and put
//! beside it, the largest that there is.

mod boxes;
mod fuji;
mod notes;
mod olympus;
mod walk;

use std::borrow::Cow;

use self::notes::Notes;
pub(super) use self::walk::format_of_tiff;
use super::{Outline, jpeg};
use crate::imaging::error::ImagingError;
use crate::imaging::limits::Limits;
use crate::model::format::{Format, RawFormat};

/// JPEGs that are looked at in one file: cameras put in up to four, programs some more.
const MAX_JPEGS: usize = 32;
/// Before this a JPEG's frame header has come, or it is no preview: what stands there is looked through for every one.
const JPEG_HEAD_BYTES: usize = 1 << 20;
/// A smaller one is a thumbnail; the same that is taken of other photos.
const THUMBNAIL_PIXELS: u64 = 1_000_000;
/// A placeholder is not taken of fewer pixels a side.
const THUMBNAIL_SIDE: u32 = 64;

/// What a raw file holds beside what the sensor saw.
#[derive(Default)]
struct Contents<'a> {
    /// What may be a preview: begins as a JPEG does, not looked into.
    jpegs: Vec<&'a [u8]>,
    notes: Notes,
    xmp: Option<&'a [u8]>,
}

impl<'a> Contents<'a> {
    /// Takes what lies there where it begins as a JPEG does. `None` where it does not lie within the file.
    fn take(&mut self, bytes: &'a [u8], start: u64, length: u64) -> Option<()> {
        let (start, end) = (usize::try_from(start).ok()?, usize::try_from(start.checked_add(length)?).ok()?);
        let part = bytes.get(start..end)?;
        if part.starts_with(&[0xFF, 0xD8, 0xFF]) && self.jpegs.len() < MAX_JPEGS {
            self.jpegs.push(part);
        }
        Some(())
    }

    /// The largest preview, and the smallest other that is large enough for a placeholder.
    fn chosen(&self) -> Option<(&'a [u8], Option<&'a [u8]>)> {
        let measured = |jpeg: &&'a [u8]| jpeg::measured(jpeg, JPEG_HEAD_BYTES).map(|size| (size, *jpeg));
        let all: Vec<((u32, u32), &'a [u8])> = self.jpegs.iter().filter_map(measured).collect();
        let pixels = |size: (u32, u32)| u64::from(size.0) * u64::from(size.1);
        let (largest, preview) = *all.iter().max_by_key(|(size, jpeg)| (pixels(*size), jpeg.len()))?;
        let is_thumbnail = |size: (u32, u32)| size != largest && size.0.min(size.1) >= THUMBNAIL_SIDE && pixels(size) <= THUMBNAIL_PIXELS;
        let thumbnail = all.iter().filter(|(size, _)| is_thumbnail(*size)).min_by_key(|(size, _)| pixels(*size));
        Some((preview, thumbnail.map(|(_, jpeg)| *jpeg)))
    }
}

fn cut_off(raw: RawFormat) -> ImagingError {
    ImagingError::broken(Format::Raw(raw), "cut off")
}

/// Needs a preview that is whole, and what the file says of itself within it: previews, strips, tiles, boxes. Size, limits and cost are the
/// preview's; which way up it is shown says the file, and the preview where the file does not.
pub(super) fn outline<'a>(bytes: &'a [u8], raw: RawFormat, limits: &Limits) -> Result<Outline<'a>, ImagingError> {
    let contents = match raw {
        RawFormat::Cr3 => boxes::read(bytes)?,
        RawFormat::Raf => fuji::read(bytes)?,
        _ => walk::read(bytes, raw)?,
    };
    let format = Format::Raw(raw);
    let (preview, thumbnail) =
        contents.chosen().ok_or_else(|| ImagingError::unsupported(format, "no JPEG in it that shows the picture"))?;
    let mut outline = jpeg::outline(preview, limits).map_err(|error| of_preview(error, format))?;
    let mut notes = contents.notes;
    let mut thumbnail = thumbnail;
    if let Some(Cow::Borrowed(block)) = outline.exif {
        notes.complete(Notes::of_block(block));
        thumbnail = thumbnail.or_else(|| notes::thumbnail(block));
    }
    outline.format = format;
    outline.exif = Some(Cow::Owned(notes.to_block()));
    outline.xmp = contents.xmp.filter(|xmp| xmp.len() <= limits.max_metadata_bytes).map(Cow::Borrowed).or(outline.xmp);
    outline.preview = Some(preview);
    outline.thumbnail = thumbnail;
    Ok(outline)
}

/// How a JPEG begins that has this EXIF block. `None` where the block is too long for one.
pub(super) fn jpeg_head_with(block: &[u8]) -> Option<Vec<u8>> {
    const EXIF: &[u8] = b"Exif\0\0";
    let length = u16::try_from(2 + EXIF.len() + block.len()).ok()?;
    Some([[0xFF, 0xD8, 0xFF, 0xE1].as_slice(), &length.to_be_bytes(), EXIF, block].concat())
}

/// An error of the preview as one of the file.
pub(super) fn of_preview(error: ImagingError, format: Format) -> ImagingError {
    match error {
        ImagingError::Broken { detail, .. } => ImagingError::broken(format, format!("its preview: {detail}")),
        ImagingError::Unsupported { feature, .. } => ImagingError::unsupported(format, format!("its preview: {feature}")),
        error => error,
    }
}
