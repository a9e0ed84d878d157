//! What a file is and says, and whether it is whole.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::decode::{check_header, check_jpeg_header, decode};
use super::error::ImagingError;
use super::exif::{self, Metadata};
use super::limits::Limits;
use super::orientation::Orientation;
use super::placeholder::{DECODE_AT_LEAST, Impression, of_heif_thumbnail, of_pixels, of_thumbnail};
use super::shield::{shielded, shielded_option};
use super::structure::{Outline, jpeg_head, jpeg_without_notes, outline};
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
    let outline = &examined.outline;
    let seen = if examined.is_small(limits) {
        look_at_pixels(bytes, outline, None, examined.orientation, limits)?
    } else {
        check_header(bytes, outline, limits)?;
        let impression = examined.thumbnail().and_then(|thumbnail| thumbnail.look());
        Seen { impression: impression.or_else(|| examined.look_at_heif_thumbnail(bytes, limits)), warning: None }
    };
    Ok(examined.inspection(seen))
}

/// What a file says without any of its pixels being decoded.
pub(super) struct Examined<'a> {
    outline: Outline<'a>,
    metadata: Metadata,
    orientation: Orientation,
}

/// What is left to be looked at in a JPEG whose structure and metadata were read: in the parts of it that come with this, put together.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Look {
    /// Of a large one the header, and the thumbnail that it brings.
    Head(Option<Thumbnail<'static>>),
    /// Of a small one the pixels. Its profile and orientation are not among the parts.
    Pixels { icc: Option<Vec<u8>>, orientation: u8 },
}

/// What was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seen {
    pub(super) impression: Option<Impression>,
    pub(super) warning: Option<String>,
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

impl Look {
    /// Looks; `bytes` are the parts.
    pub(super) fn at(&self, bytes: &[u8], limits: &Limits) -> Result<Seen, ImagingError> {
        match self {
            Self::Head(thumbnail) => {
                check_jpeg_header(bytes)?;
                Ok(Seen { impression: thumbnail.as_ref().and_then(Thumbnail::look), warning: None })
            }
            Self::Pixels { icc, orientation } => {
                let orientation = Orientation::from_tag((*orientation).into());
                look_at_pixels(bytes, &outline(bytes, limits)?, icc.as_deref(), orientation, limits)
            }
        }
    }

    /// Whether it is of a photo that could be.
    #[cfg(any(test, fuzzing))]
    pub(super) fn has_pixels(&self) -> bool {
        !matches!(self, Self::Head(Some(Thumbnail { stored: (0, _) | (_, 0), .. })))
    }

    /// How much it says, in bytes.
    pub(super) fn byte_len(&self) -> usize {
        match self {
            Self::Head(thumbnail) => thumbnail.as_ref().map_or(0, Thumbnail::byte_len),
            Self::Pixels { icc, .. } => icc.as_ref().map_or(0, Vec::len),
        }
    }
}

/// Decodes the whole picture; `icc` is its profile where the file does not have it any more.
fn look_at_pixels(
    bytes: &[u8],
    outline: &Outline<'_>,
    icc: Option<&[u8]>,
    orientation: Orientation,
    limits: &Limits,
) -> Result<Seen, ImagingError> {
    let decoded = decode(bytes, outline, DECODE_AT_LEAST, limits)?;
    let icc = decoded.icc.as_deref().or(icc);
    let impression = shielded_option(|| of_pixels(decoded.pixels, (outline.width, outline.height), icc, orientation).ok());
    Ok(Seen { impression, warning: decoded.warning })
}

impl<'a> Examined<'a> {
    pub(super) fn read(bytes: &'a [u8], limits: &Limits) -> Result<Self, ImagingError> {
        let outline = outline(bytes, limits)?;
        let mut metadata = exif::read(outline.exif.as_deref(), outline.xmp.as_deref());
        if let Some(thumbnail) = outline.thumbnail {
            metadata.thumbnail = Some(thumbnail.to_vec());
        }
        let orientation = outline.orientation(metadata.orientation);
        Ok(Self { outline, metadata, orientation })
    }

    /// Whether it is decoded whole to see that it is sound.
    fn is_small(&self, limits: &Limits) -> bool {
        self.outline.pixels() <= limits.inspect_decodes_pixels
    }

    /// What of a JPEG, or of the one in a raw file, a decoder has to look at, and in which parts of the file: all that has to be brought to one.
    /// `None` for other formats, and for a JPEG that cannot be told apart so.
    pub(super) fn look<'b>(&self, bytes: &'b [u8], limits: &Limits) -> Option<(Vec<&'b [u8]>, Look)>
    where
        'a: 'b,
    {
        let (bytes, format) = self.outline.picture(bytes);
        if format != Format::Jpeg {
            return None;
        }
        if self.is_small(limits) {
            let look = Look::Pixels { icc: self.outline.icc.clone(), orientation: self.orientation.tag() };
            return Some((jpeg_without_notes(bytes)?, look));
        }
        Some((vec![jpeg_head(bytes)?], Look::Head(self.thumbnail().map(Thumbnail::into_owned))))
    }

    /// What a decoder says of the parts that [`Examined::look`] gives, said of the file.
    pub(super) fn blamed(&self, error: ImagingError) -> ImagingError {
        self.outline.blamed(error)
    }

    fn thumbnail(&self) -> Option<Thumbnail<'_>> {
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

    pub(super) fn inspection(self, seen: Seen) -> Inspection {
        let (Self { outline, metadata, orientation }, Seen { impression, warning }) = (self, seen);
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
    fn byte_len(&self) -> usize {
        self.jpeg.len() + self.icc.as_ref().map_or(0, |icc| icc.len())
    }

    fn into_owned(self) -> Thumbnail<'static> {
        let (jpeg, icc) = (self.jpeg.into_owned().into(), self.icc.map(|icc| icc.into_owned().into()));
        Thumbnail { jpeg, icc, stored: self.stored, orientation: self.orientation }
    }

    /// `None` where it cannot be read, or shows another section.
    fn look(&self) -> Option<Impression> {
        let orientation = Orientation::from_tag(self.orientation.into());
        shielded_option(|| of_thumbnail(&self.jpeg, self.icc.as_deref(), self.stored, orientation))
    }
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
