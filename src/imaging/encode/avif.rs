//! AVIF by rav1e.

use ravif::{Encoder, Img, RGB8, RGBA8};

use crate::imaging::error::ImagingError;
use crate::imaging::pixels::{Layout, Pixels};

/// 1 to 10, the fastest. At 1280 pixels 10 takes a quarter of a second, 8 one and a half, for files hardly smaller.
const SPEED: u8 = 10;

pub(super) fn encode(pixels: &Pixels, quality: u8) -> Result<Vec<u8>, ImagingError> {
    // To the eye 80 of a JPEG is 64 here.
    let quality = (f32::from(quality) * 0.8).max(1.0);
    let encoder = Encoder::new().with_quality(quality).with_alpha_quality(quality).with_speed(SPEED).with_num_threads(Some(1));
    let pixels = pixels.coloured();
    let (width, height) = (pixels.width as usize, pixels.height as usize);
    let encoded = if pixels.layout == Layout::Rgba {
        let data: Vec<RGBA8> = pixels.data.as_chunks::<4>().0.iter().map(|[r, g, b, a]| RGBA8::new(*r, *g, *b, *a)).collect();
        encoder.encode_rgba(Img::new(&data, width, height))
    } else {
        let data: Vec<RGB8> = pixels.data.as_chunks::<3>().0.iter().map(|[r, g, b]| RGB8::new(*r, *g, *b)).collect();
        encoder.encode_rgb(Img::new(&data, width, height))
    };
    encoded.map(|image| image.avif_file).map_err(|error| ImagingError::Encoding(format!("AVIF: {error}")))
}
