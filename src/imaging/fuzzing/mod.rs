//! What the fuzz targets in `fuzz/` do with any bytes, and what has to hold of the outcome beside that nothing panics; a door into what is
//! private here, for them and for tests. `scripts/fuzz` runs them; the tests below run each once over its seeds.

mod obeyed;
mod recipes;
#[cfg(test)]
mod tests;

use super::decoders::{is_error, is_inspection};
use super::encode::OutputFormat;
use super::error::ImagingError;
use super::exif::{self, Metadata};
use super::inspect::Examined;
use super::structure::{Outline, bare_jpeg, jpeg_head, jpeg_without_notes, outline, recognise};
use super::{Extent, Inspection, Limits, Recipe, placeholder, render};
use crate::model::format::Format;
use crate::model::taken::TakenAt;

pub use super::decoders::{decoder_answer, decoder_job};
pub use recipes::render_recipe;

/// Limits that leave nothing to do but small work, so that a run is short.
pub(super) fn limits() -> Limits {
    Limits {
        max_pixels: 1 << 19,
        max_scan_blocks: 200_000,
        max_decoded_bytes: 16 << 20,
        max_metadata_bytes: 1 << 16,
        max_frames: 16,
        ..Limits::default()
    }
}

/// Sniffing: the first bytes alone count.
pub fn sniff(bytes: &[u8]) {
    let found = super::sniff(bytes);
    assert_eq!(found, super::sniff(&bytes[..bytes.len().min(super::SNIFF_BYTES)]));
    let whole = recognise(bytes);
    assert!(whole == found || found == Some(Format::Tiff) && matches!(whole, Some(Format::Raw(_))), "{found:?} is {whole:?}");
}

/// An EXIF block and an XMP packet: what is found is within bounds.
pub fn exif(bytes: &[u8]) {
    let half = bytes.len() / 2;
    for (block, xmp) in [(Some(bytes), None), (None, Some(bytes)), (Some(&bytes[..half]), Some(&bytes[half..]))] {
        within_bounds(&exif::read(block, xmp), bytes.len());
    }
}

fn within_bounds(metadata: &Metadata, byte_len: usize) {
    assert!(metadata.orientation.is_none_or(|orientation| (1..=8).contains(&orientation.tag())));
    for text in [&metadata.camera_make, &metadata.camera_model, &metadata.lens].into_iter().flatten() {
        assert!(!text.trim().is_empty() && text.chars().count() <= 128 && !text.chars().any(char::is_control), "{text:?}");
    }
    let thumbnail = metadata.thumbnail.as_ref().map_or(0, Vec::len);
    assert!(thumbnail <= byte_len, "a thumbnail of {thumbnail} bytes out of {byte_len}");
    if let Some(taken_at) = metadata.taken_at {
        assert_eq!(taken_at.to_string().parse(), Ok::<TakenAt, _>(taken_at), "as it is stored");
    }
    if let Some(gps) = metadata.gps {
        assert!(gps.is_on_earth(), "{gps:?}");
    }
}

/// The structure of a file, and what of it is brought to a decoder: that is a file of the same picture.
pub fn structure(bytes: &[u8]) {
    let limits = limits();
    let _ = (bare_jpeg(bytes), jpeg_head(bytes));
    let outlined = match outline(bytes, &limits) {
        Ok(outlined) => outlined,
        Err(error) => return of_the_file(&error),
    };
    let Outline { width, height, frames, decoded_bytes, .. } = outlined;
    assert!(width > 0 && height > 0 && limits.check_dimensions(width, height).is_ok(), "{width} x {height}");
    assert!((1..=limits.max_frames).contains(&frames) && decoded_bytes <= limits.max_decoded_bytes, "{frames}, {decoded_bytes} bytes");
    let same = |parts: &[&[u8]]| {
        let file = parts.concat();
        let again = outline(&file, &limits).map(|again| (again.format, again.width, again.height));
        assert_eq!(again, Ok((Format::Jpeg, width, height)), "of the parts that a decoder is given");
    };
    if outlined.format == Format::Jpeg
        && let Some(parts) = jpeg_without_notes(bytes)
    {
        same(&parts);
    }
    if let Some((head, rest)) = outlined.preview_alone() {
        same(&[&head, rest]);
    }
}

/// Inspection, by one that sees the whole file and by one that is given what it needs: both say the same, and what is taken can be shown.
pub fn inspect(bytes: &[u8]) {
    let limits = limits();
    let inspected = super::inspect(bytes, &limits);
    if let Some(in_parts) = inspected_in_parts(bytes, &limits) {
        // A decoder's warning tells of what stands beside what it stumbled over.
        let said = |inspected: &Result<Inspection, ImagingError>| inspected.clone().ok().map(|said| Inspection { warning: None, ..said });
        assert_eq!(said(&inspected), said(&in_parts), "{inspected:?}, in parts {in_parts:?}");
    }
    match inspected {
        Ok(inspection) => {
            assert!(is_inspection(&inspection, inspection.format, &limits), "{inspection:?}");
            // It was decoded whole: nothing that is allowed here is large.
            drawn(bytes, &Recipe::fit(20, 20, OutputFormat::Jpeg), &limits).expect("what is taken can be shown");
        }
        Err(error) => of_the_file(&error),
    }
}

fn inspected_in_parts(bytes: &[u8], limits: &Limits) -> Option<Result<Inspection, ImagingError>> {
    let examined = Examined::read(bytes, limits).ok()?;
    let (parts, look) = examined.look(bytes, limits)?;
    let seen = look.at(&parts.concat(), limits).map_err(|error| examined.blamed(error));
    Some(seen.map(|seen| examined.inspection(seen)))
}

/// A picture, which is what the recipe asks for.
fn drawn(bytes: &[u8], recipe: &Recipe, limits: &Limits) -> Result<(), ImagingError> {
    let rendered = render(bytes, recipe, limits)?;
    obeyed::obeys(&rendered, recipe, obeyed::shown(bytes, limits)?);
    Ok(())
}

/// Whatever is wrong is the file's fault, and said in as many words as are believed of a decoder process.
fn of_the_file(error: &ImagingError) {
    assert!(!matches!(error, ImagingError::Encoding(_)), "bad input is the file's fault, not ours: {error}");
    assert!(is_error(error), "too many words: {error}");
    if let ImagingError::TooLarge { extent, found, limit } = error {
        assert!(found > limit && *extent != Extent::Seconds, "{error}");
    }
}

/// Decodes what is of this format: for a placeholder, for a small picture and a larger one, and as an animation where it is one.
fn decode(bytes: &[u8], is_wanted: impl Fn(Format) -> bool) {
    if !recognise(bytes).is_some_and(is_wanted) {
        return;
    }
    let limits = limits();
    if let Err(error) = placeholder(bytes, &limits) {
        of_the_file(&error);
    }
    // A decoder that scales does so by the picture's size: the bytes choose one.
    let side = [16, 60, 240][bytes.len() % 3];
    let moving = Recipe { animated: true, ..Recipe::fit(16, 16, OutputFormat::WebP) };
    for recipe in [Recipe::fit(side, side, OutputFormat::Jpeg), moving] {
        if let Err(error) = drawn(bytes, &recipe, &limits) {
            of_the_file(&error);
        }
    }
}

/// The decoder of JPEGs.
pub fn decode_jpeg(bytes: &[u8]) {
    decode(bytes, |format| format == Format::Jpeg);
}

/// The decoder of PNGs.
pub fn decode_png(bytes: &[u8]) {
    decode(bytes, |format| format == Format::Png);
}

/// The decoder of GIFs.
pub fn decode_gif(bytes: &[u8]) {
    decode(bytes, |format| format == Format::Gif);
}

/// The decoder of WebP.
pub fn decode_webp(bytes: &[u8]) {
    decode(bytes, |format| format == Format::WebP);
}

/// The decoder of TIFFs.
pub fn decode_tiff(bytes: &[u8]) {
    decode(bytes, |format| format == Format::Tiff);
}

/// The decoder of BMPs.
pub fn decode_bmp(bytes: &[u8]) {
    decode(bytes, |format| format == Format::Bmp);
}

/// The decoder of HEIC and AVIF.
pub fn decode_heif(bytes: &[u8]) {
    decode(bytes, |format| matches!(format, Format::Heic | Format::Avif));
}

/// What shows raw files.
pub fn decode_raw(bytes: &[u8]) {
    decode(bytes, |format| matches!(format, Format::Raw(_)));
}
