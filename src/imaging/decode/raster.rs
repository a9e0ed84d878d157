//! Everything but JPEG, by the decoders of the `image` crate, under its limits.

use std::io::Cursor;

use image::codecs::bmp::BmpDecoder;
use image::codecs::gif::GifDecoder;
use image::codecs::png::PngDecoder;
use image::codecs::tiff::TiffDecoder;
use image::codecs::webp::WebPDecoder;
use image::{ColorType, ImageDecoder, ImageError};

use super::Decoded;
use crate::imaging::error::{Extent, ImagingError};
use crate::imaging::limits::Limits;
use crate::imaging::pixels::{Layout, Pixels};
use crate::model::format::Format;

pub(super) fn decode(bytes: &[u8], format: Format, limits: &Limits) -> Result<Decoded, ImagingError> {
    with_decoder(bytes, format, limits, Pass::Pixels)?.ok_or_else(|| ImagingError::broken(format, "no pixels"))
}

pub(super) fn check_header(bytes: &[u8], format: Format, limits: &Limits) -> Result<(), ImagingError> {
    with_decoder(bytes, format, limits, Pass::Header).map(|_| ())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Pass {
    Header,
    Pixels,
}

/// The pixels of a decoder that was opened.
pub(super) fn read_pixels(decoder: impl ImageDecoder, format: Format, limits: &Limits) -> Result<Decoded, ImagingError> {
    read(decoder, format, limits, Pass::Pixels)?.ok_or_else(|| ImagingError::broken(format, "no pixels"))
}

fn with_decoder(bytes: &[u8], format: Format, limits: &Limits, pass: Pass) -> Result<Option<Decoded>, ImagingError> {
    let wrong = |error: ImageError| refusal(format, limits, error);
    let input = Cursor::new(bytes);
    match format {
        Format::Png => read(PngDecoder::with_limits(input, limits_of_png(bytes, limits)).map_err(wrong)?, format, limits, pass),
        Format::Gif => read(GifDecoder::new(input).map_err(wrong)?, format, limits, pass),
        Format::WebP => read(WebPDecoder::new(input).map_err(wrong)?, format, limits, pass),
        Format::Tiff => read(TiffDecoder::new(input).map_err(wrong)?, format, limits, pass),
        Format::Bmp => read(BmpDecoder::new(input).map_err(wrong)?, format, limits, pass),
        Format::Jpeg | Format::Avif | Format::Heic | Format::Raw(_) => Err(ImagingError::unsupported(format, "no decoder in this build")),
    }
}

fn read(mut decoder: impl ImageDecoder, format: Format, limits: &Limits, pass: Pass) -> Result<Option<Decoded>, ImagingError> {
    let wrong = |error: ImageError| refusal(format, limits, error);
    decoder.set_limits(limits_of_decoder(limits)).map_err(wrong)?;
    let (width, height) = decoder.dimensions();
    limits.check_dimensions(width, height)?;
    limits.check(Extent::DecodedBytes, decoder.total_bytes())?;
    if width == 0 || height == 0 {
        return Err(ImagingError::broken(format, "no pixels"));
    }
    let colour = decoder.color_type();
    let layout = layout_of(colour).ok_or_else(|| ImagingError::unsupported(format, format!("{colour:?} pixels")))?;
    if pass == Pass::Header {
        return Ok(None);
    }
    // A profile that cannot be read is no reason to refuse the picture.
    let icc = decoder.icc_profile().ok().flatten().filter(|profile| profile.len() <= limits.max_metadata_bytes);
    let mut data = vec![0; usize::try_from(decoder.total_bytes()).unwrap_or(usize::MAX)];
    decoder.read_image(&mut data).map_err(wrong)?;
    let data = narrowed(data, colour);
    Ok(Some(Decoded { pixels: Pixels { width, height, layout, data }, icc, warning: None }))
}

/// What a decoder may take.
pub(super) fn limits_of_decoder(limits: &Limits) -> image::Limits {
    let mut allowed = image::Limits::no_limits();
    allowed.max_image_width = Some(limits.max_side);
    allowed.max_image_height = Some(limits.max_side);
    allowed.max_alloc = Some(limits.max_decoded_bytes);
    allowed
}

/// What PNG's may take when it begins. There the limit is for metadata alone: chunks as large as the file holds them, and a profile unpacked.
pub(super) fn limits_of_png(bytes: &[u8], limits: &Limits) -> image::Limits {
    let mut for_metadata = image::Limits::no_limits();
    for_metadata.max_alloc = Some((bytes.len() + limits.max_metadata_bytes) as u64);
    for_metadata
}

/// `None` of what is not taken. Samples of 32 bits are not: a decoder says that they are floats also where they are whole numbers.
fn layout_of(colour: ColorType) -> Option<Layout> {
    Some(match colour {
        ColorType::L8 | ColorType::L16 => Layout::Grey,
        ColorType::La8 | ColorType::La16 => Layout::GreyAlpha,
        ColorType::Rgb8 | ColorType::Rgb16 => Layout::Rgb,
        ColorType::Rgba8 | ColorType::Rgba16 => Layout::Rgba,
        _ => return None,
    })
}

/// To eight bits a sample, in place.
fn narrowed(mut data: Vec<u8>, colour: ColorType) -> Vec<u8> {
    let samples = data.len() / usize::from(colour.bytes_per_pixel() / colour.channel_count());
    if matches!(colour, ColorType::L16 | ColorType::La16 | ColorType::Rgb16 | ColorType::Rgba16) {
        for at in 0..samples {
            let sample = u32::from(u16::from_ne_bytes([data[2 * at], data[2 * at + 1]]));
            data[at] = ((sample * 255 + 32_767) / 65_535) as u8;
        }
    }
    data.truncate(samples);
    data.shrink_to_fit();
    data
}

pub(super) fn refusal(format: Format, limits: &Limits, error: ImageError) -> ImagingError {
    match error {
        ImageError::Unsupported(what) => ImagingError::unsupported(format, what.to_string()),
        ImageError::Limits(_) => {
            let limit = limits.max_decoded_bytes;
            ImagingError::TooLarge { extent: Extent::DecodedBytes, found: limit.saturating_add(1), limit }
        }
        error => ImagingError::broken(format, error.to_string()),
    }
}
