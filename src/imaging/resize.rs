//! Resizing.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

use super::error::ImagingError;
use super::pixels::{Layout, Pixels};

/// To this size with Lanczos of three lobes. Transparent pixels give no colour to their neighbours.
pub(super) fn resize(pixels: Pixels, width: u32, height: u32) -> Result<Pixels, ImagingError> {
    if (pixels.width, pixels.height) == (width, height) { Ok(pixels) } else { resized(&pixels, width, height) }
}

/// The same of a picture that is still needed as it is.
pub(super) fn resized(pixels: &Pixels, width: u32, height: u32) -> Result<Pixels, ImagingError> {
    let failed = |error: &dyn std::fmt::Display| ImagingError::Encoding(format!("resizing: {error}"));
    let kind = match pixels.layout {
        Layout::Grey => PixelType::U8,
        Layout::GreyAlpha => PixelType::U8x2,
        Layout::Rgb => PixelType::U8x3,
        Layout::Rgba | Layout::InvertedCmyk => PixelType::U8x4,
    };
    let source = ImageRef::new(pixels.width, pixels.height, &pixels.data, kind).map_err(|error| failed(&error))?;
    let mut target = Image::new(width, height, kind);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Lanczos3)).use_alpha(pixels.layout.has_alpha());
    Resizer::new().resize(&source, &mut target, &options).map_err(|error| failed(&error))?;
    Ok(Pixels { width, height, layout: pixels.layout, data: target.into_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_colour_does_not_bleed() {
        // Left half opaque blue, right half transparent red.
        let row: Vec<u8> = (0..64).flat_map(|x| if x < 32 { [0, 0, 255, 255] } else { [255, 0, 0, 0] }).collect();
        let pixels = Pixels { width: 64, height: 64, layout: Layout::Rgba, data: row.repeat(64) };
        let small = resize(pixels, 7, 7).unwrap();
        for [red, _, _, alpha] in small.data.as_chunks::<4>().0 {
            assert!(*alpha == 0 || *red == 0, "red {red} at alpha {alpha}");
        }
    }

    #[test]
    fn thin_ones() {
        for (from, to) in [((1, 1), (1, 1)), ((1, 1), (9, 9)), ((5000, 1), (320, 1)), ((1, 5000), (1, 3))] {
            for layout in [Layout::Grey, Layout::GreyAlpha, Layout::Rgb, Layout::Rgba] {
                let data = vec![200; from.0 as usize * from.1 as usize * layout.channels()];
                let small = resize(Pixels { width: from.0, height: from.1, layout, data }, to.0, to.1).unwrap();
                assert_eq!(small.data, vec![200; to.0 as usize * to.1 as usize * layout.channels()], "{from:?} to {to:?} {layout:?}");
            }
        }
    }
}
