//! What a file is and says, and whether it is whole.

use serde::{Deserialize, Serialize};

use super::decode::{check_header, decode};
use super::error::ImagingError;
use super::exif;
use super::limits::Limits;
use super::placeholder::{DECODE_AT_LEAST, Impression, of_heif_thumbnail, of_pixels, of_thumbnail};
use super::shield::{shielded, shielded_option};
use super::structure::outline;
use crate::model::PerceptualHash;
use crate::model::format::Format;
use crate::model::taken::{Gps, TakenAt};

/// What an upload is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inspection {
    /// By content.
    pub format: Format,
    /// In pixels as shown, after orientation.
    pub width: u32,
    /// In pixels as shown, after orientation.
    pub height: u32,
    /// How the stored picture must be turned: EXIF's 1 to 8.
    pub orientation: u8,
    /// Frames of an animation, or pages; at least 1.
    pub frames: u32,
    /// When it was taken, where it says.
    pub taken_at: Option<TakenAt>,
    /// The camera's maker.
    pub camera_make: Option<String>,
    /// The camera.
    pub camera_model: Option<String>,
    /// The lens.
    pub lens: Option<String>,
    /// Where it was taken, where it says.
    pub gps: Option<Gps>,
    /// ThumbHash, upright. `None` for a large photo without a thumbnail of its own: then [`placeholder`] makes one, for the price of decoding.
    pub placeholder: Option<Vec<u8>>,
    /// What near duplicates share but for a few bits, of the picture as it is shown. `None` where there is no placeholder yet, or nothing to be seen.
    pub perceptual_hash: Option<PerceptualHash>,
    /// Damage that the decoder could go around, so that the photo was taken: some of the picture may be wrong. In its own words.
    pub warning: Option<String>,
}

/// Checks and describes a file. Whatever it refuses must not be stored; whatever it takes can be rendered, except that damage inside a
/// large picture (above [`Limits::inspect_decodes_pixels`]) may only show there.
///
/// Small pictures are decoded whole. For large ones the cost is that of passing over the bytes once: less than a millisecond for a photo
/// of 3 MB, and a few for one with an embedded thumbnail.
///
/// The policy for damage: cut off is [`ImagingError::Broken`], always. A JPEG whose data is damaged inside is taken with a
/// [`Inspection::warning`], because every viewer shows it and its owner may have no better copy; the other formats cannot be read past
/// damage and are refused. Damaged metadata is left out.
///
/// # Errors
/// Every kind of [`ImagingError`]; [`ImagingError::Encoding`] only where the process is short of memory.
pub fn inspect(bytes: &[u8], limits: &Limits) -> Result<Inspection, ImagingError> {
    let outline = outline(bytes, limits)?;
    let metadata = exif::read(outline.exif.as_deref(), outline.xmp.as_deref());
    let orientation = outline.orientation(metadata.orientation);
    let stored = (outline.width, outline.height);
    let (width, height) = orientation.shown(stored);

    let (impression, warning) = if outline.pixels() <= limits.inspect_decodes_pixels {
        let decoded = decode(bytes, &outline, DECODE_AT_LEAST, limits)?;
        (shielded_option(|| of_pixels(decoded.pixels, stored, decoded.icc.as_deref(), orientation).ok()), decoded.warning)
    } else {
        check_header(bytes, outline.format, limits)?;
        let of_thumbnail = |jpeg: &Vec<u8>| shielded_option(|| of_thumbnail(jpeg, outline.icc.as_deref(), stored, orientation));
        let of_heif = || shielded_option(|| of_heif_thumbnail(bytes, outline.format, stored, limits));
        (metadata.thumbnail.as_ref().and_then(of_thumbnail).or_else(of_heif), None)
    };
    Ok(Inspection {
        format: outline.format,
        width,
        height,
        orientation: orientation.tag(),
        frames: outline.frames,
        taken_at: metadata.taken_at,
        camera_make: metadata.camera_make,
        camera_model: metadata.camera_model,
        lens: metadata.lens,
        gps: metadata.gps,
        perceptual_hash: impression.as_ref().and_then(|impression| impression.perceptual_hash),
        placeholder: impression.map(|impression| impression.placeholder),
        warning,
    })
}

/// The ThumbHash and the perceptual hash of a photo, by decoding it: for those that [`inspect`] left without. Costs as much as a small
/// [`super::render`].
///
/// # Errors
/// As [`inspect`]; damage inside a large picture shows here.
pub fn placeholder(bytes: &[u8], limits: &Limits) -> Result<Impression, ImagingError> {
    let outline = outline(bytes, limits)?;
    let orientation = outline.orientation(exif::read(outline.exif.as_deref(), None).orientation);
    let decoded = decode(bytes, &outline, DECODE_AT_LEAST, limits)?;
    shielded(outline.format, || of_pixels(decoded.pixels, (outline.width, outline.height), decoded.icc.as_deref(), orientation))
}
