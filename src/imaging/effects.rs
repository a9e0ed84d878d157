//! What is done to a finished picture: fewer colours, blur, turning.

use image::imageops::fast_blur;
use image::{ImageBuffer, Luma, LumaA, Pixel, Rgb, Rgba};

use super::error::ImagingError;
use super::orientation::Orientation;
use super::pixels::{Layout, Pixels};
use super::planar::Planar;
use super::recipe::{Tone, Turn};

/// From here on a picture is white, where there is nothing but black and white.
const WHITE_FROM: u8 = 128;

/// Takes colours away.
pub(super) fn toned(pixels: Pixels, tone: Tone) -> Pixels {
    match tone {
        Tone::Colour => pixels,
        Tone::Grey => grey(pixels),
        Tone::Bitonal => {
            let mut grey = grey(pixels);
            let channels = grey.layout.channels();
            grey.data.iter_mut().step_by(channels).for_each(|sample| *sample = if *sample >= WHITE_FROM { 255 } else { 0 });
            grey
        }
    }
}

fn grey(pixels: Pixels) -> Pixels {
    match pixels.layout {
        Layout::Rgb => Pixels { layout: Layout::Grey, data: Planar::of(&pixels).lightness.data.into_owned(), ..pixels },
        Layout::Rgba => {
            let lightness = Planar::of(&pixels).lightness.data;
            let alpha = pixels.data.iter().skip(3).step_by(4);
            Pixels { layout: Layout::GreyAlpha, data: lightness.iter().zip(alpha).flat_map(|(y, a)| [*y, *a]).collect(), ..pixels }
        }
        Layout::Grey | Layout::GreyAlpha | Layout::InvertedCmyk => pixels,
    }
}

/// A Gaussian blur, near enough (Kovesi 2010), of a standard deviation in hundredths of a pixel. Hidden colours do not show.
pub(super) fn blurred(pixels: Pixels, hundredths: u32) -> Result<Pixels, ImagingError> {
    if hundredths == 0 {
        return Ok(pixels);
    }
    let sigma = hundredths as f32 / 100.0;
    let pixels = pixels.premultiplied();
    let blurred = match pixels.layout {
        Layout::Grey => blurred_as::<Luma<u8>>(pixels, sigma),
        Layout::GreyAlpha => blurred_as::<LumaA<u8>>(pixels, sigma),
        Layout::Rgb => blurred_as::<Rgb<u8>>(pixels, sigma),
        Layout::Rgba | Layout::InvertedCmyk => blurred_as::<Rgba<u8>>(pixels, sigma),
    };
    Ok(blurred?.unmultiplied())
}

fn blurred_as<P: Pixel<Subpixel = u8>>(pixels: Pixels, sigma: f32) -> Result<Pixels, ImagingError> {
    let Pixels { width, height, layout, data } = pixels;
    let buffer: ImageBuffer<P, Vec<u8>> =
        ImageBuffer::from_raw(width, height, data).ok_or_else(|| ImagingError::Encoding("blur: wrong length".into()))?;
    Ok(Pixels { width, height, layout, data: fast_blur(&buffer, sigma).into_raw() })
}

/// Mirrors, then rotates.
pub(super) fn turned(pixels: Pixels, turn: Turn) -> Pixels {
    let mirrored = if turn.mirrored { Orientation::MIRRORED.apply(pixels) } else { pixels };
    Orientation::of_quarters(turn.quarters).apply(mirrored)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(layout: Layout, width: u32, data: &[u8]) -> Pixels {
        let height = data.len() as u32 / width / layout.channels() as u32;
        Pixels { width, height, layout, data: data.to_vec() }
    }

    #[test]
    fn colours_go() {
        let green_and_nothing = of(Layout::Rgba, 2, &[0, 255, 0, 255, 9, 9, 9, 0]);
        assert_eq!(toned(green_and_nothing.clone(), Tone::Grey).data, [150, 255, 9, 0]);
        assert_eq!(toned(green_and_nothing, Tone::Bitonal).data, [255, 255, 0, 0]);
        assert_eq!(toned(of(Layout::Rgb, 1, &[255, 0, 0]), Tone::Bitonal).data, [0]);
    }

    #[test]
    fn an_edge_gets_soft_and_hidden_colours_stay_hidden() {
        let row: Vec<u8> = (0..32).flat_map(|x| if x < 16 { [0, 0, 255, 255] } else { [255, 0, 0, 0] }).collect();
        let soft = blurred(of(Layout::Rgba, 32, &row.repeat(8)), 300).unwrap();
        let pixel = |x: usize| &soft.data[(4 * 32 + x) * 4..][..4];
        assert!((60..200).contains(&pixel(16)[3]), "{:?}", pixel(16));
        assert!(soft.data.as_chunks::<4>().0.iter().all(|[red, ..]| *red == 0));
        for layout in [Layout::Grey, Layout::GreyAlpha, Layout::Rgb] {
            let flat = of(layout, 4, &[200; 48][..4 * 4 * layout.channels()]);
            let soft = blurred(flat.clone(), 10_000).unwrap();
            assert!(soft.data.iter().all(|sample| sample.abs_diff(200) <= 2), "{layout:?} {:?}", soft.data);
        }
    }

    #[test]
    fn turns_are_clockwise_after_mirroring() {
        let picture = of(Layout::Grey, 3, b"abcdef");
        for (mirrored, quarters, expected) in [
            (false, 0, "abcdef"),
            (false, 1, "daebfc"),
            (false, 2, "fedcba"),
            (false, 3, "cfbead"),
            (true, 0, "cbafed"),
            (true, 1, "fcebda"),
        ] {
            assert_eq!(turned(picture.clone(), Turn { mirrored, quarters }).data, expected.as_bytes(), "{mirrored} {quarters}");
        }
    }
}
