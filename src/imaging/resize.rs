//! Resizing: Lanczos of three lobes, of a part of a picture that need not begin at a pixel.

use std::borrow::Cow;

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

use super::convolve;
use super::error::ImagingError;
use super::framing::Window;
use super::pixels::{Layout, Pixels};

/// Resizes a window of the picture to this size. Transparent pixels give no colour to their neighbours.
pub(super) fn resize(pixels: Cow<'_, Pixels>, window: Window, (width, height): (u32, u32)) -> Result<Pixels, ImagingError> {
    if (pixels.width, pixels.height) == (width, height) && window == Window::whole((width, height)) {
        return Ok(pixels.into_owned());
    }
    resized(&pixels, window, (width, height))
}

/// The same of a picture that is still needed as it is.
pub(super) fn resized(pixels: &Pixels, window: Window, (width, height): (u32, u32)) -> Result<Pixels, ImagingError> {
    let layout = pixels.layout;
    let kind = match layout {
        Layout::Grey => PixelType::U8,
        Layout::GreyAlpha => PixelType::U8x2,
        Layout::Rgb => PixelType::U8x3,
        Layout::Rgba | Layout::InvertedCmyk => PixelType::U8x4,
    };
    let data = samples(&pixels.data, (pixels.width, pixels.height), kind, layout.has_alpha(), window, (width, height))?;
    Ok(Pixels { width, height, layout, data })
}

/// Resizes a window of one plane of samples.
pub(super) fn resize_plane(plane: &[u8], size: (u32, u32), window: Window, target: (u32, u32)) -> Result<Vec<u8>, ImagingError> {
    samples(plane, size, PixelType::U8, false, window, target)
}

/// A window may reach past the picture by less than a pixel of the result: what lies there looks as the edge does.
fn samples(
    data: &[u8],
    size: (u32, u32),
    kind: PixelType,
    has_alpha: bool,
    window: Window,
    target: (u32, u32),
) -> Result<Vec<u8>, ImagingError> {
    let source = Source { data, size, kind, has_alpha };
    let rows = pieces((window.top, window.height), size.1, target.1);
    let columns = pieces((window.left, window.width), size.0, target.0);
    if let ([_], [_]) = (rows.as_slice(), columns.as_slice()) {
        return source.resized(window.within(size), target);
    }
    let pixel_bytes = kind.size();
    let row_bytes = target.0 as usize * pixel_bytes;
    let mut joined = vec![0; row_bytes * target.1 as usize];
    let mut y = 0;
    for row in &rows {
        let mut x = 0;
        for column in &columns {
            let part = Window { left: column.start, width: column.length, top: row.start, height: row.length };
            let resized = source.resized(part.within(size), (column.target, row.target))?;
            let part_bytes = column.target as usize * pixel_bytes;
            for (at, line) in resized.chunks_exact(part_bytes).enumerate() {
                let start = (y + at) * row_bytes + x * pixel_bytes;
                joined[start..start + part_bytes].copy_from_slice(line);
            }
            x += column.target as usize;
        }
        y += row.target as usize;
    }
    Ok(joined)
}

/// A piece of one side of a window, and how many pixels become of it.
struct Piece {
    start: f64,
    length: f64,
    target: u32,
}

/// Parts a side so that what reaches past the picture is in pieces of a pixel of the result each.
fn pieces((start, length): (f64, f64), side: u32, target: u32) -> Vec<Piece> {
    /// Rounding, not reaching.
    const NOTHING: f64 = 1e-6;
    let pixel = length / f64::from(target);
    let first = u32::from(start < -NOTHING).min(target - 1);
    let last = u32::from(start + length > f64::from(side) + NOTHING).min(target - 1 - first);
    let inner = target - first - last;
    let piece = |from: u32, count: u32| Piece { start: start + f64::from(from) * pixel, length: f64::from(count) * pixel, target: count };
    [piece(0, first), piece(first, inner), piece(first + inner, last)].into_iter().filter(|piece| piece.target > 0).collect()
}

struct Source<'a> {
    data: &'a [u8],
    size: (u32, u32),
    kind: PixelType,
    has_alpha: bool,
}

impl Source<'_> {
    /// The window must lie within the picture.
    fn resized(&self, window: Window, target: (u32, u32)) -> Result<Vec<u8>, ImagingError> {
        let plane = (self.kind == PixelType::U8).then(|| convolve::resized(self.data, self.size, window, target)).flatten();
        plane.map_or_else(|| self.convolved(window, target), Ok)
    }

    fn convolved(&self, window: Window, target: (u32, u32)) -> Result<Vec<u8>, ImagingError> {
        let failed = |error: &dyn std::fmt::Display| ImagingError::Encoding(format!("resizing: {error}"));
        let source = ImageRef::new(self.size.0, self.size.1, self.data, self.kind).map_err(|error| failed(&error))?;
        let mut resized = Image::new(target.0, target.1, self.kind);
        let Window { left, top, width, height } = window;
        let options = ResizeOptions::new()
            .resize_alg(ResizeAlg::Convolution(FilterType::Lanczos3))
            .use_alpha(self.has_alpha)
            .crop(left, top, width, height);
        Resizer::new().resize(&source, &mut resized, &options).map_err(|error| failed(&error))?;
        Ok(resized.into_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A part of a plane is what the whole has there, and a plane is what the library makes of it at once, but for rounding.
    #[test]
    fn planes_are_resized_as_pictures_are() {
        let (width, height) = (203, 151);
        let plane: Vec<u8> = (0..width * height).map(|at| (at % width * 255 / width) as u8 ^ ((at / width) as u8 & 0x3F)).collect();
        for window in [
            Window::whole((width, height)),
            Window { left: 10.25, top: 3.5, width: 77.5, height: 120.75 },
            Window { left: 190.0, top: 140.0, width: 13.0, height: 11.0 },
        ] {
            for target in [(20, 17), (190, 140), (203, 151), (1, 1), (64, 3), (300, 7), (9, 400)] {
                let source = Source { data: &plane, size: (width, height), kind: PixelType::U8, has_alpha: false };
                let (ours, theirs) = (source.resized(window, target).unwrap(), source.convolved(window, target).unwrap());
                assert_eq!(ours.len(), (target.0 * target.1) as usize);
                let apart = ours.iter().zip(&theirs).map(|(a, b)| a.abs_diff(*b)).max();
                assert!(apart <= Some(4), "{window:?} to {target:?}: {apart:?}");
            }
        }
    }

    #[test]
    fn hidden_colour_does_not_bleed() {
        // Left half opaque blue, right half transparent red.
        let row: Vec<u8> = (0..64).flat_map(|x| if x < 32 { [0, 0, 255, 255] } else { [255, 0, 0, 0] }).collect();
        let pixels = Pixels { width: 64, height: 64, layout: Layout::Rgba, data: row.repeat(64) };
        let small = resized(&pixels, Window::whole((64, 64)), (7, 7)).unwrap();
        for [red, _, _, alpha] in small.data.as_chunks::<4>().0 {
            assert!(*alpha == 0 || *red == 0, "red {red} at alpha {alpha}");
        }
    }

    #[test]
    fn thin_ones() {
        for (from, to) in [((1, 1), (1, 1)), ((1, 1), (9, 9)), ((5000, 1), (320, 1)), ((1, 5000), (1, 3))] {
            for layout in [Layout::Grey, Layout::GreyAlpha, Layout::Rgb, Layout::Rgba] {
                let data = vec![200; from.0 as usize * from.1 as usize * layout.channels()];
                let small = resized(&Pixels { width: from.0, height: from.1, layout, data }, Window::whole(from), to).unwrap();
                assert_eq!(small.data, vec![200; to.0 as usize * to.1 as usize * layout.channels()], "{from:?} to {to:?} {layout:?}");
            }
        }
    }

    #[test]
    fn a_window_past_the_edge_is_cut_there() {
        let plane: Vec<u8> = (0..16).flat_map(|_| (0..16).map(|x| if x < 8 { 0 } else { 255 })).collect();
        let right = Window { left: 12.0, top: -3.0, width: 8.0, height: 22.0 };
        assert!(resize_plane(&plane, (16, 16), right, (2, 2)).unwrap().iter().all(|sample| *sample > 250));
        // A little past it on each side: every column is where it is with twice the picture.
        let ramp: Vec<u8> = (0..20).flat_map(|_| (0..20).map(|x| x * 10)).collect();
        let wider = Window { left: -0.5, top: -0.5, width: 21.0, height: 21.0 };
        let small = resize_plane(&ramp, (20, 20), wider, (7, 7)).unwrap();
        for (x, expected) in [5, 35, 65, 95, 125, 155, 185].into_iter().enumerate() {
            assert!(small.iter().skip(x).step_by(7).all(|sample| sample.abs_diff(expected) <= 8), "{x}: {small:?}");
        }
        let nothing = Window { left: 99.0, top: 99.0, width: 1.0, height: 1.0 };
        assert_eq!(resize_plane(&plane, (16, 16), nothing, (1, 1)).unwrap(), [255]);
    }
}
