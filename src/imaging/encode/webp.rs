//! WebP by libwebp, lossy.

use crate::imaging::error::ImagingError;
use crate::imaging::pixels::{Layout, Pixels};

/// The slowest that is fit for someone waiting: 36 ms for 1280 pixels, where the library's own choice (4) takes 81 ms.
const METHOD: i32 = 2;

pub(super) fn encode(pixels: &Pixels, quality: u8) -> Result<Vec<u8>, ImagingError> {
    let mut config = webp::WebPConfig::new().map_err(|()| ImagingError::Encoding("WebP: wrong version of the library".into()))?;
    config.quality = quality.into();
    config.method = METHOD;
    let pixels = pixels.coloured();
    let encoder = if pixels.layout == Layout::Rgba {
        webp::Encoder::from_rgba(&pixels.data, pixels.width, pixels.height)
    } else {
        webp::Encoder::from_rgb(&pixels.data, pixels.width, pixels.height)
    };
    encoder.encode_advanced(&config).map(|memory| memory.to_vec()).map_err(|error| ImagingError::Encoding(format!("WebP: {error:?}")))
}
