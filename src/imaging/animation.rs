//! Animations that stay animated, for whom asks for it: unpacked, resized and written frame by frame.

use std::borrow::Cow;

use super::decode::Film;
use super::encode::{Animation, OutputFormat};
use super::error::{Extent, ImagingError};
use super::framing::Framing;
use super::limits::Limits;
use super::orientation::Orientation;
use super::recipe::Recipe;
use super::render::{Picture, Rendered, Source};
use super::structure::{Outline, gif_frame_pixels};
use crate::model::format::Format;

/// Pixels of all frames together, as written: two seconds of encoding, and some ten megabytes.
const MAX_WRITTEN_PIXELS: u64 = 64 << 20;
/// Pixels of all frames together, as unpacked.
const MAX_UNPACKED_PIXELS: u64 = 512 << 20;
/// Pictures of the canvas that are in memory at once: two of the decoder's, its frame, ours, and what that becomes.
const CANVASES: u64 = 6;

/// Whether the picture will move: it shall, its format can, and so does the photo.
pub(super) fn is_moving(outline: &Outline<'_>, recipe: &Recipe) -> bool {
    recipe.animated
        && recipe.format == OutputFormat::WebP
        && outline.frames > 1
        && matches!(outline.format, Format::Gif | Format::WebP | Format::Png)
}

/// Makes a picture of all frames. All are cut alike: where there is most to see is looked for in the first.
///
/// # Errors
/// `TooLarge` where all frames together have too many pixels, before any is unpacked; what decoders say of any frame.
pub(super) fn animated(
    bytes: &[u8],
    outline: &Outline<'_>,
    recipe: &Recipe,
    framing: &Framing,
    orientation: Orientation,
    limits: &Limits,
) -> Result<Rendered, ImagingError> {
    let (frames, canvas) = (u64::from(outline.frames), outline.pixels());
    let written = frames * u64::from(framing.target.0) * u64::from(framing.target.1);
    // Frames of a GIF may be larger than its canvas, and are unpacked all the same.
    let beside = if outline.format == Format::Gif { gif_frame_pixels(bytes) } else { 0 };
    let unpacked = (frames * canvas).max(beside);
    for (found, limit) in [(written, MAX_WRITTEN_PIXELS), (unpacked, MAX_UNPACKED_PIXELS)] {
        if found > limit {
            return Err(ImagingError::TooLarge { extent: Extent::Pixels, found, limit });
        }
    }
    limits.check(Extent::DecodedBytes, canvas * 4 * CANVASES)?;

    let broken = |detail| ImagingError::broken(outline.format, detail);
    let mut film = Film::open(bytes, outline, limits)?.ok_or_else(|| broken("no animation"))?;
    let shown = orientation.shown((outline.width, outline.height));
    let (mut animation, mut middle) = (None, None);
    while let Some(frame) = film.next() {
        let frame = frame?;
        let extent = (frame.pixels.width.into(), frame.pixels.height.into());
        let picture = Picture { source: Source::Pixels(Cow::Owned(frame.pixels)), icc: film.icc.clone(), orientation, shown, extent };
        let middle = match middle {
            Some(middle) => middle,
            None => *middle.insert(picture.middle(recipe, framing)?),
        };
        let small = picture.finished(recipe, framing, middle)?.coloured().into_owned();
        let size = (small.width, small.height);
        let animation = animation.get_or_insert_with(|| Animation::new(size, recipe.quality.clamp(1, 100)));
        animation.add(small, frame.milliseconds)?;
        limits.check(Extent::DecodedBytes, animation.byte_len() as u64)?;
    }
    let animation = animation.ok_or_else(|| broken("no frame"))?;
    let (width, height) = animation.size();
    Ok(Rendered { bytes: animation.finish(film.plays), format: recipe.format, width, height })
}
