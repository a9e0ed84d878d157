//! JPEG by libjpeg-turbo, scaled while decoding.

use std::borrow::Cow;

use turbojpeg::{Colorspace, DecompressHeader, Decompressor, Image, PixelFormat, ScalingFactor};

use super::Decoded;
use crate::imaging::error::ImagingError;
use crate::imaging::pixels::{Layout, Pixels};
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

pub(super) fn decode(bytes: &[u8], outline: &Outline<'_>, at_least: (u32, u32)) -> Result<Decoded, ImagingError> {
    let Reading { mut decompressor, header, bytes, warning: of_header } = Reading::begin(bytes)?;
    if (header.width, header.height) != (outline.width as usize, outline.height as usize) {
        // What was checked against the limits is not what would be decoded.
        return Err(ImagingError::broken(Format::Jpeg, "two sizes"));
    }
    let large_enough =
        |scale: &ScalingFactor| scale.scale(header.width) >= at_least.0 as usize && scale.scale(header.height) >= at_least.1 as usize;
    let scale = SCALES.into_iter().find(large_enough).unwrap_or(ScalingFactor::ONE);
    decompressor.set_scaling_factor(scale).map_err(|error| broken(&error))?;

    let (layout, format) = match header.colorspace {
        Colorspace::Gray => (Layout::Grey, PixelFormat::GRAY),
        Colorspace::RGB | Colorspace::YCbCr => (Layout::Rgb, PixelFormat::RGB),
        Colorspace::CMYK | Colorspace::YCCK => (Layout::InvertedCmyk, PixelFormat::CMYK),
    };
    let (width, height) = (scale.scale(header.width), scale.scale(header.height));
    let pitch = width * format.size();
    let mut data = vec![0; pitch * height];
    let image = Image { pixels: data.as_mut_slice(), width, pitch, height, format };
    let warning = match decompressor.decompress(&bytes, image) {
        Ok(()) => of_header,
        Err(turbojpeg::Error::TurboJpegError(words)) if is_warning(&words) => Some(words),
        Err(error) => return Err(broken(&error)),
    };
    if let Some(words) = warning.as_deref().filter(|words| says_cut_off(words)) {
        return Err(ImagingError::broken(Format::Jpeg, words));
    }
    let pixels = Pixels { width: width as u32, height: height as u32, layout, data };
    Ok(Decoded { pixels, icc: outline.icc.clone(), warning })
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
