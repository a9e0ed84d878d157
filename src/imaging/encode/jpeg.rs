//! JPEG by libjpeg-turbo: 4:2:0, or grey alone.

use turbojpeg::{Compressor, Image, PixelFormat, Subsamp, YuvPlanesImage};

use crate::imaging::error::ImagingError;
use crate::imaging::pixels::{Layout, Pixels};
use crate::imaging::planar::Planar;

fn failed(error: turbojpeg::Error) -> ImagingError {
    ImagingError::Encoding(format!("JPEG: {error}"))
}

pub(super) fn encode(pixels: &Pixels, quality: u8) -> Result<Vec<u8>, ImagingError> {
    let (format, subsampling) = match pixels.layout {
        Layout::Grey => (PixelFormat::GRAY, Subsamp::Gray),
        Layout::Rgb => (PixelFormat::RGB, Subsamp::Sub2x2),
        Layout::GreyAlpha | Layout::Rgba | Layout::InvertedCmyk => return Err(ImagingError::Encoding("JPEG: no such pixels".into())),
    };
    let (width, height) = (pixels.width as usize, pixels.height as usize);
    let image = Image { pixels: pixels.data.as_slice(), width, pitch: width * format.size(), height, format };
    let mut compressor = Compressor::new().map_err(failed)?;
    compressor.set_quality(quality.into()).map_err(failed)?;
    compressor.set_subsamp(subsampling).map_err(failed)?;
    compressor.compress_to_vec(image).map_err(failed)
}

/// Writes planes as they are; their colours are shared two by two.
pub(in crate::imaging) fn encode_planes(picture: Planar<'_>, quality: u8) -> Result<Vec<u8>, ImagingError> {
    let Some([blue, red]) = &picture.colour else { return encode(&picture.into_pixels(), quality) };
    let image = YuvPlanesImage {
        y_plane: &*picture.lightness.data,
        u_plane: &*blue.data,
        v_plane: &*red.data,
        width: picture.width as usize,
        height: picture.height as usize,
        y_stride: picture.lightness.width as usize,
        u_stride: blue.width as usize,
        v_stride: red.width as usize,
        subsamp: Subsamp::Sub2x2,
    };
    let mut compressor = Compressor::new().map_err(failed)?;
    compressor.set_quality(quality.into()).map_err(failed)?;
    compressor.compress_yuv_planes_to_vec(&image).map_err(failed)
}
