//! What a file is and says, and whether it is whole.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::decode::{check_header, decode};
use super::error::ImagingError;
use super::exif::{self, Metadata};
use super::limits::Limits;
use super::orientation::Orientation;
use super::placeholder::{DECODE_AT_LEAST, Impression, of_heif_thumbnail, of_pixels, of_thumbnail};
use super::shield::{shielded, shielded_option};
use super::structure::{Outline, jpeg_head, outline};
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
    let examined = Examined::read(bytes, limits)?;
    let (impression, warning) = if examined.is_small(limits) {
        let Outline { width, height, .. } = examined.outline;
        let decoded = decode(bytes, &examined.outline, DECODE_AT_LEAST, limits)?;
        let of_pixels = || of_pixels(decoded.pixels, (width, height), decoded.icc.as_deref(), examined.orientation).ok();
        (shielded_option(of_pixels), decoded.warning)
    } else {
        check_header(bytes, examined.outline.format, limits)?;
        (examined.thumbnail().and_then(|thumbnail| thumbnail.look()).or_else(|| examined.look_at_heif_thumbnail(bytes, limits)), None)
    };
    Ok(examined.inspection(impression, warning))
}

/// What a file says without any of its pixels being decoded.
pub(super) struct Examined<'a> {
    outline: Outline<'a>,
    metadata: Metadata,
    orientation: Orientation,
}

/// A thumbnail that is embedded in a photo, and what it takes to look at it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Thumbnail<'a> {
    jpeg: Cow<'a, [u8]>,
    icc: Option<Cow<'a, [u8]>>,
    /// The photo's size.
    stored: (u32, u32),
    /// The photo's orientation, 1 to 8.
    orientation: u8,
}

impl<'a> Examined<'a> {
    pub(super) fn read(bytes: &'a [u8], limits: &Limits) -> Result<Self, ImagingError> {
        let outline = outline(bytes, limits)?;
        let metadata = exif::read(outline.exif.as_deref(), outline.xmp.as_deref());
        let orientation = outline.orientation(metadata.orientation);
        Ok(Self { outline, metadata, orientation })
    }

    /// Whether it is decoded whole to see that it is sound.
    fn is_small(&self, limits: &Limits) -> bool {
        self.outline.pixels() <= limits.inspect_decodes_pixels
    }

    /// The beginning of a JPEG that is not decoded whole, which is all that its header check reads. `None` for others.
    pub(super) fn head_of_large_jpeg<'b>(&self, bytes: &'b [u8], limits: &Limits) -> Option<&'b [u8]> {
        (self.outline.format == Format::Jpeg && !self.is_small(limits)).then(|| jpeg_head(bytes)).flatten()
    }

    pub(super) fn thumbnail(&self) -> Option<Thumbnail<'_>> {
        Some(Thumbnail {
            jpeg: Cow::Borrowed(self.metadata.thumbnail.as_deref()?),
            icc: self.outline.icc.as_deref().map(Cow::Borrowed),
            stored: (self.outline.width, self.outline.height),
            orientation: self.orientation.tag(),
        })
    }

    fn look_at_heif_thumbnail(&self, bytes: &[u8], limits: &Limits) -> Option<Impression> {
        let Outline { format, width, height, .. } = self.outline;
        shielded_option(|| of_heif_thumbnail(bytes, format, (width, height), limits))
    }

    pub(super) fn inspection(self, impression: Option<Impression>, warning: Option<String>) -> Inspection {
        let Self { outline, metadata, orientation } = self;
        let (width, height) = orientation.shown((outline.width, outline.height));
        Inspection {
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
        }
    }
}

impl Thumbnail<'_> {
    /// How much it is, in bytes.
    pub(super) fn byte_len(&self) -> usize {
        self.jpeg.len() + self.icc.as_ref().map_or(0, |icc| icc.len())
    }

    pub(super) fn into_owned(self) -> Thumbnail<'static> {
        let (jpeg, icc) = (self.jpeg.into_owned().into(), self.icc.map(|icc| icc.into_owned().into()));
        Thumbnail { jpeg, icc, stored: self.stored, orientation: self.orientation }
    }

    /// `None` where it cannot be read, or shows another section.
    pub(super) fn look(&self) -> Option<Impression> {
        let orientation = Orientation::from_tag(self.orientation.into());
        shielded_option(|| of_thumbnail(&self.jpeg, self.icc.as_deref(), self.stored, orientation))
    }
}

/// Whether a decoder takes the header of a JPEG, of which this may be the beginning alone.
pub(super) fn check_jpeg_head(head: &[u8], limits: &Limits) -> Result<(), ImagingError> {
    check_header(head, Format::Jpeg, limits)
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
