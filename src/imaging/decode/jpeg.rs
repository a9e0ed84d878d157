//! JPEG by libjpeg-turbo, scaled while decoding.

use std::borrow::Cow;

use turbojpeg::{Colorspace, DecompressHeader, Decompressor, Image, PixelFormat, ScalingFactor, Subsamp, YuvImage};

use super::Decoded;
use crate::imaging::error::ImagingError;
use crate::imaging::pixels::{Layout, Pixels};
use crate::imaging::planar::{Planar, Plane};
use crate::imaging::structure::{Outline, bare_jpeg, says_cut_off};
use crate::model::format::Format;

/// The scales that libjpeg-turbo has fast code for.
const SCALES: [ScalingFactor; 3] = [ScalingFactor::ONE_EIGHTH, ScalingFactor::ONE_QUARTER, ScalingFactor::ONE_HALF];

fn broken(error: &turbojpeg::Error) -> ImagingError {
    ImagingError::broken(Format::Jpeg, error.to_string())
}

pub(super) fn check_header(bytes: &[u8]) -> Result<(), ImagingError> {
    Reading::begin(bytes).map(|_| ())
}

/// A decoder that has read the header, and the bytes that it reads.
struct Reading<'a> {
    decompressor: Decompressor,
    header: DecompressHeader,
    bytes: Cow<'a, [u8]>,
    warning: Option<String>,
}

impl<'a> Reading<'a> {
    fn begin(bytes: &'a [u8]) -> Result<Self, ImagingError> {
        let no_decoder = |error| ImagingError::Encoding(format!("no JPEG decoder: {error}"));
        let mut decompressor = Decompressor::new().map_err(no_decoder)?;
        let error = match decompressor.read_header(bytes) {
            Ok(header) => return Ok(Self { decompressor, header, bytes: Cow::Borrowed(bytes), warning: None }),
            Err(error) => error,
        };
        let words = error.to_string();
        let bare = bare_jpeg(bytes).filter(|_| is_warning(&words)).ok_or_else(|| broken(&error))?;
        let header = decompressor.read_header(&bare).map_err(|error| broken(&error))?;
        Ok(Self { decompressor, header, bytes: Cow::Owned(bare), warning: Some(words) })
    }
}

/// Sides are not scaled to fewer pixels than this: the last one stands for what lies beyond the picture, too, to the end of its block.
const LEAST_SIDE: u32 = 16;

/// The smallest scale at which the picture is still this large each way, where it is at all.
fn scale_for((width, height): (u32, u32), at_least: (u32, u32)) -> ScalingFactor {
    let at_least = (at_least.0.max(LEAST_SIDE.min(width)), at_least.1.max(LEAST_SIDE.min(height)));
    let large_enough =
        |scale: &ScalingFactor| scale.scale(width as usize) >= at_least.0 as usize && scale.scale(height as usize) >= at_least.1 as usize;
    SCALES.into_iter().find(large_enough).unwrap_or(ScalingFactor::ONE)
}

/// Numerator and denominator of the scale at which a picture of this size is decoded.
pub(super) fn scale(size: (u32, u32), at_least: (u32, u32)) -> (usize, usize) {
    let scale = scale_for(size, at_least);
    (scale.num(), scale.denom())
}

impl<'a> Reading<'a> {
    /// As [`Reading::begin`], set to decode at the smallest scale that will do.
    fn begin_scaled(bytes: &'a [u8], outline: &Outline<'_>, at_least: (u32, u32)) -> Result<(Self, (usize, usize)), ImagingError> {
        let mut reading = Self::begin(bytes)?;
        let header = &reading.header;
        if (header.width, header.height) != (outline.width as usize, outline.height as usize) {
            // What was checked against the limits is not what would be decoded.
            return Err(ImagingError::broken(Format::Jpeg, "two sizes"));
        }
        let scale = scale_for((outline.width, outline.height), at_least);
        let size = (scale.scale(header.width), scale.scale(header.height));
        reading.decompressor.set_scaling_factor(scale).map_err(|error| broken(&error))?;
        Ok((reading, size))
    }

    /// What the decoder had to overlook, from how decoding ended; an error where it could not, or the file is cut off.
    fn overlooked(of_header: Option<String>, ended: turbojpeg::Result<()>) -> Result<Option<String>, ImagingError> {
        let warning = match ended {
            Ok(()) => of_header,
            Err(turbojpeg::Error::TurboJpegError(words)) if is_warning(&words) => Some(words),
            Err(error) => return Err(broken(&error)),
        };
        match warning {
            Some(words) if says_cut_off(&words) => Err(ImagingError::broken(Format::Jpeg, words)),
            warning => Ok(warning),
        }
    }
}

pub(super) fn decode(bytes: &[u8], outline: &Outline<'_>, at_least: (u32, u32)) -> Result<Decoded, ImagingError> {
    let (reading, (width, height)) = Reading::begin_scaled(bytes, outline, at_least)?;
    let Reading { mut decompressor, header, bytes, warning } = reading;
    let (layout, format) = match header.colorspace {
        Colorspace::Gray => (Layout::Grey, PixelFormat::GRAY),
        Colorspace::RGB | Colorspace::YCbCr => (Layout::Rgb, PixelFormat::RGB),
        Colorspace::CMYK | Colorspace::YCCK => (Layout::InvertedCmyk, PixelFormat::CMYK),
    };
    let pitch = width * format.size();
    let mut data = vec![0; pitch * height];
    let ended = decompressor.decompress(&bytes, Image { pixels: data.as_mut_slice(), width, pitch, height, format });
    let warning = Reading::overlooked(warning, ended)?;
    let pixels = Pixels { width: width as u32, height: height as u32, layout, data };
    Ok(Decoded { pixels, icc: outline.icc.clone(), warning })
}

/// Decodes without converting colours, into `scratch`. `None` where the file's colours are not kept as lightness and two differences, or
/// are shared in a way that the library has no planes for.
pub(super) fn decode_planes<'s>(
    bytes: &[u8],
    outline: &Outline<'_>,
    at_least: (u32, u32),
    scratch: &'s mut Vec<u8>,
) -> Result<Option<Planar<'s>>, ImagingError> {
    let (reading, (width, height)) = Reading::begin_scaled(bytes, outline, at_least)?;
    let Reading { mut decompressor, header, bytes, warning } = reading;
    let sharing = match (header.colorspace, header.subsamp) {
        (Colorspace::Gray, _) => None,
        (Colorspace::YCbCr, Subsamp::None | Subsamp::Sub2x1 | Subsamp::Sub2x2 | Subsamp::Sub1x2 | Subsamp::Sub4x1 | Subsamp::Sub1x4) => {
            let (block_width, block_height) = header.subsamp.mcu_size();
            Some((block_width / 8, block_height / 8))
        }
        _ => return Ok(None),
    };
    let (across, down) = sharing.unwrap_or((1, 1));
    // Planes are padded to whole samples of colour.
    let (width_of_lightness, height_of_lightness) = (width.next_multiple_of(across), height.next_multiple_of(down));
    let (width_of_colour, height_of_colour) = (width_of_lightness / across, height_of_lightness / down);
    let (lightness_bytes, colour_bytes) = (width_of_lightness * height_of_lightness, width_of_colour * height_of_colour);
    let needed = lightness_bytes + if sharing.is_some() { 2 * colour_bytes } else { 0 };
    if scratch.len() < needed {
        scratch.resize(needed, 0);
    }
    let subsamp = if sharing.is_some() { header.subsamp } else { Subsamp::Gray };
    let into = YuvImage { pixels: &mut scratch[..needed], width, align: 1, height, subsamp };
    let ended = decompressor.decompress_to_yuv(&bytes, into);
    Reading::overlooked(warning, ended)?;
    pad(&mut scratch[..lightness_bytes], (width, height), width_of_lightness);
    let (lightness, colour) = scratch[..needed].split_at(lightness_bytes);
    let plane = |width: usize, height: usize, data| Plane { width: width as u32, height: height as u32, data: Cow::Borrowed(data) };
    let colour = sharing.map(|_| colour.split_at(colour_bytes));
    Ok(Some(Planar {
        width: width as u32,
        height: height as u32,
        sharing: (across as u32, down as u32),
        lightness: plane(width_of_lightness, height_of_lightness, lightness),
        colour: colour.map(|(blue, red)| [blue, red].map(|data| plane(width_of_colour, height_of_colour, data))),
    }))
}

/// Makes what reaches past a picture of this size look as its edge does, in a plane of rows that are `pitch` samples long. At some scales the library
/// fills it with whatever its memory held before, other photos among it; at others with what the file hides there.
fn pad(plane: &mut [u8], (width, height): (usize, usize), pitch: usize) {
    for row in plane.chunks_exact_mut(pitch).take(height) {
        let (picture, beyond) = row.split_at_mut(width.min(pitch));
        if let Some(last) = picture.last() {
            beyond.fill(*last);
        }
    }
    let (picture, beyond) = plane.split_at_mut((height * pitch).min(plane.len()));
    if let Some(last) = picture.rchunks_exact(pitch).next() {
        beyond.chunks_exact_mut(pitch).for_each(|row| row.copy_from_slice(last));
    }
}

/// The library answers with the same error where it gave up and where it went on after damage and filled the picture; only the words
/// tell. These are libjpeg's warnings (jerror.h, `JWRN_…`), as far as they come from a file's data.
fn is_warning(words: &str) -> bool {
    const WARNINGS: [&str; 6] = [
        "Corrupt JPEG data",
        "Inconsistent progression sequence",
        "Invalid SOS parameters for sequential JPEG",
        "Premature end of JPEG file",
        "Unknown Adobe color transform code",
        "Warning: unknown JFIF revision number",
    ];
    WARNINGS.iter().any(|warning| words.contains(warning))
}
