//! HEIC and AVIF by libheif, with libde265 and dav1d. Pictures come out the way they are shown, turned and cropped as the file says (ISO/IEC 23008-12,
//! 6.5: readers must obey, and EXIF's orientation means nothing).

use std::borrow::Cow;

use libheif_rs::{
    ColorPrimaries, ColorSpace, DecodingOptions, HeifContext, HeifError, HeifErrorCode, HeifErrorSubCode, Image, ImageHandle, LibHeif,
    RgbChroma, TransferCharacteristics,
};
use memchr::memmem;

use super::Decoded;
use super::heif_transforms::Transforms;
use crate::imaging::colour::{Primaries, profile_of};
use crate::imaging::error::{Extent, ImagingError};
use crate::imaging::limits::Limits;
use crate::imaging::pixels::{Layout, Pixels};
use crate::imaging::structure::{Outline, without_exif_prefix};
use crate::model::format::Format;

/// Bytes that decoding takes for a pixel: planes of up to 16 bits and what becomes of them.
const BYTES_PER_PIXEL: u64 = 10;
/// Sizes stand among the metadata, which comes before the pictures.
const HEAD_BYTES: usize = 1 << 20;

/// Reads what the file says of its main picture.
pub(in crate::imaging) fn outline(bytes: &[u8], format: Format, limits: &Limits) -> Result<Outline<'static>, ImagingError> {
    if !is_whole(bytes) {
        return Err(ImagingError::broken(format, "cut off"));
    }
    let context = open(bytes, format, limits)?;
    let handle = context.primary_image_handle().map_err(|error| refusal(format, limits, error))?;
    let stored = stored_size(&handle, format, limits)?;
    let shown = transforms(bytes, &handle, format)?.shown(stored).ok_or_else(|| nothing_shown(format))?;
    let mut outline = Outline::new(format, shown);
    outline.is_upright = true;
    outline.decoded_bytes = u64::from(stored.0) * u64::from(stored.1) * BYTES_PER_PIXEL;
    for item in handle.all_metadata().into_iter().filter(|item| item.raw_data.len() <= limits.max_metadata_bytes) {
        if &item.item_type.0 == b"Exif" && outline.exif.is_none() {
            outline.exif = exif_block(&item.raw_data).map(|block| Cow::Owned(block.to_vec()));
        } else if item.content_type == "application/rdf+xml" && outline.xmp.is_none() {
            outline.xmp = Some(Cow::Owned(item.raw_data));
        }
    }
    Ok(outline)
}

/// The most memory that decoding takes, without the library: from the largest size that any item is said to have (`ispe`, ISO/IEC 23008-12,
/// 6.5.3). `None` where none is.
pub(in crate::imaging) fn cost(bytes: &[u8]) -> Option<u64> {
    let head = bytes.get(..HEAD_BYTES).unwrap_or(bytes);
    let pixels = |at: usize| {
        let (_, said) = head.get(at + 4..)?.split_first_chunk::<4>()?;
        let (width, said) = said.split_first_chunk()?;
        Some(u64::from(u32::from_be_bytes(*width)) * u64::from(u32::from_be_bytes(*said.first_chunk()?)))
    };
    memmem::find_iter(head, b"ispe").filter_map(pixels).max().map(|pixels| pixels.saturating_mul(BYTES_PER_PIXEL))
}

/// Whether there is a box of pictures, and every box at the top level ends within the file (ISO/IEC 14496-12, 4.2): the library takes a file
/// without its pictures for one, as long as it can read what stands before them. Fewer bytes than a box has at least may follow the last.
fn is_whole(bytes: &[u8]) -> bool {
    let (mut rest, mut has_pictures) = (bytes, false);
    // Small pictures may stand among the metadata instead.
    let among_metadata = || memmem::find(bytes, b"idat").is_some();
    while let Some(head) = rest.first_chunk::<8>() {
        let [a, b, c, d, kind @ ..] = *head;
        has_pictures |= &kind == b"mdat";
        let size = match u32::from_be_bytes([a, b, c, d]) {
            // To the end of the file.
            0 => return has_pictures || among_metadata(),
            1 => rest[8..].first_chunk().map(|size| u64::from_be_bytes(*size)),
            size => Some(size.into()),
        };
        let next = size.filter(|size| *size >= 8).and_then(|size| rest.get(usize::try_from(size).ok()?..));
        let Some(next) = next else { return false };
        rest = next;
    }
    has_pictures || among_metadata()
}

/// An Exif item begins with how far it is from there to the TIFF header (ISO/IEC 23008-12, A.2.1).
fn exif_block(item: &[u8]) -> Option<&[u8]> {
    let (offset, rest) = item.split_first_chunk()?;
    let block = rest.get(u32::from_be_bytes(*offset) as usize..)?;
    Some(without_exif_prefix(block))
}

/// Decodes the main picture.
pub(super) fn decode(bytes: &[u8], format: Format, limits: &Limits) -> Result<Decoded, ImagingError> {
    let context = open(bytes, format, limits)?;
    let handle = context.primary_image_handle().map_err(|error| refusal(format, limits, error))?;
    decode_handle(bytes, &handle, format, limits)
}

/// The small picture that cameras store beside the main one.
pub(in crate::imaging) fn decode_thumbnail(
    bytes: &[u8],
    format: Format,
    limits: &Limits,
    thumbnail_limits: &Limits,
) -> Option<(Pixels, Option<Vec<u8>>)> {
    let context = open(bytes, format, limits).ok()?;
    let handle = context.primary_image_handle().ok()?;
    let mut ids = [0];
    if handle.thumbnail_ids(&mut ids) == 0 {
        return None;
    }
    let decoded = decode_handle(bytes, &handle.thumbnail(ids[0]).ok()?, format, thumbnail_limits).ok()?;
    Some((decoded.pixels, decoded.icc))
}

/// The main picture can be told to be there without decoding it, and that is all.
pub(super) fn check_header(bytes: &[u8], format: Format, limits: &Limits) -> Result<(), ImagingError> {
    outline(bytes, format, limits).map(|_| ())
}

fn open<'a>(bytes: &'a [u8], format: Format, limits: &Limits) -> Result<HeifContext<'a>, ImagingError> {
    let failed = |error| refusal(format, limits, error);
    let mut context = HeifContext::new().map_err(failed)?;
    let mut allowed = context.security_limits();
    allowed.set_max_image_size_pixels(limits.max_pixels);
    allowed.set_max_memory_block_size(limits.max_decoded_bytes);
    allowed.set_max_total_memory(limits.max_decoded_bytes);
    allowed.set_max_color_profile_size(limits.max_metadata_bytes.try_into().unwrap_or(u32::MAX));
    context.set_security_limits(&allowed).map_err(failed)?;
    context.set_max_decoding_threads(0);
    context.read_bytes(bytes).map_err(failed)?;
    Ok(context)
}

/// The size of a picture before it is turned and cropped.
fn stored_size(handle: &ImageHandle, format: Format, limits: &Limits) -> Result<(u32, u32), ImagingError> {
    let side = |side: i32| u32::try_from(side).ok().filter(|side| *side > 0).ok_or_else(|| ImagingError::broken(format, "no pixels"));
    let size = (side(handle.ispe_width())?, side(handle.ispe_height())?);
    limits.check_dimensions(size.0, size.1)?;
    Ok(size)
}

fn transforms(bytes: &[u8], handle: &ImageHandle, format: Format) -> Result<Transforms, ImagingError> {
    Transforms::of(bytes, handle.item_id()).ok_or_else(|| ImagingError::broken(format, "its properties cannot be read"))
}

fn nothing_shown(format: Format) -> ImagingError {
    ImagingError::broken(format, "nothing of it is shown")
}

fn decode_handle(bytes: &[u8], handle: &ImageHandle, format: Format, limits: &Limits) -> Result<Decoded, ImagingError> {
    let (width, height) = stored_size(handle, format, limits)?;
    let transforms = transforms(bytes, handle, format)?;
    let mut options = DecodingOptions::new().ok_or_else(|| ImagingError::Encoding("no HEIF decoder".into()))?;
    options.set_convert_hdr_to_8bit(true);
    options.set_ignore_transformations(true);
    options.set_num_library_threads(1);
    options.set_num_codec_threads(1);
    let (chroma, layout) = if handle.has_alpha_channel() { (RgbChroma::Rgba, Layout::Rgba) } else { (RgbChroma::Rgb, Layout::Rgb) };
    let image = LibHeif::new().decode(handle, ColorSpace::Rgb(chroma), Some(options)).map_err(|error| refusal(format, limits, error))?;
    let pixels = pixels_of(&image, layout).ok_or_else(|| ImagingError::broken(format, "no pixels"))?;
    // Some programs write the size of what is turned as it is shown.
    if ![(width, height), (height, width)].contains(&(pixels.width, pixels.height)) {
        return Err(ImagingError::broken(format, "two sizes"));
    }
    let pixels = transforms.apply(pixels).ok_or_else(|| nothing_shown(format))?;
    let pixels = if handle.is_premultiplied_alpha() { pixels.unmultiplied() } else { pixels };
    Ok(Decoded { pixels, icc: profile(handle), warning: None })
}

/// The rows without their padding.
fn pixels_of(image: &Image, layout: Layout) -> Option<Pixels> {
    let plane = image.planes().interleaved?;
    let row = plane.width as usize * layout.channels();
    if plane.width == 0 || plane.height == 0 || plane.stride < row {
        return None;
    }
    let mut data = Vec::with_capacity(row * plane.height as usize);
    for y in 0..plane.height as usize {
        data.extend_from_slice(plane.data.get(y * plane.stride..)?.get(..row)?);
    }
    Some(Pixels { width: plane.width, height: plane.height, layout, data })
}

/// The profile that is embedded, or one for the primaries that the file names. Curves of high dynamic range are left as they are.
fn profile(handle: &ImageHandle) -> Option<Vec<u8>> {
    if let Some(embedded) = handle.color_profile_raw() {
        return Some(embedded.data);
    }
    let named = handle.color_profile_nclx()?;
    if matches!(
        named.transfer_characteristics(),
        TransferCharacteristics::ITU_R_BT_2100_0_PQ | TransferCharacteristics::ITU_R_BT_2100_0_HLG
    ) {
        return None;
    }
    match named.color_primaries() {
        ColorPrimaries::SMPTE_EG_432_1 => profile_of(Primaries::DisplayP3),
        ColorPrimaries::ITU_R_BT_2020_2_and_2100_0 => profile_of(Primaries::Bt2020),
        _ => None,
    }
}

fn refusal(format: Format, limits: &Limits, error: HeifError) -> ImagingError {
    match (error.code, error.sub_code) {
        (_, HeifErrorSubCode::SecurityLimitExceeded) => {
            let limit = limits.max_decoded_bytes;
            ImagingError::TooLarge { extent: Extent::DecodedBytes, found: limit.saturating_add(1), limit }
        }
        (HeifErrorCode::UnsupportedFileType | HeifErrorCode::UnsupportedFeature, _) => ImagingError::unsupported(format, error.message),
        _ => ImagingError::broken(format, error.message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_must_end_within_the_file() {
        let of = |size: u32, kind: &[u8; 4], body: usize| [&size.to_be_bytes()[..], kind, &vec![0; body]].concat();
        let large = [&1_u32.to_be_bytes()[..], b"mdat", &24_u64.to_be_bytes(), &[0; 8]].concat();
        let (head, data, to_the_end) = (of(16, b"ftyp", 8), of(20, b"mdat", 12), of(0, b"mdat", 5));
        for whole in [data.clone(), [head.clone(), data.clone()].concat(), [head.clone(), large.clone()].concat()] {
            assert!(is_whole(&whole) && is_whole(&[&whole[..], &[0; 3]].concat()), "{whole:?}");
        }
        assert!(is_whole(&[head.clone(), to_the_end].concat()));
        for cut in [
            [&head[..], &data[..19]].concat(),
            [&head[..], &large[..23]].concat(),
            of(7, b"mdat", 1),
            head[..15].to_vec(),
            head.clone(),
            vec![],
        ] {
            assert!(!is_whole(&cut), "{cut:?}");
        }
    }
}
