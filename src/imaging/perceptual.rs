//! How a picture looks, in 64 bits: pHash.
//!
//! The picture's luminance, 32 by 32, goes through a discrete cosine transform; of its 8 by 8 lowest frequencies, row by row, a bit says
//! whether each is above the median. (C. Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010, section 3.2;
//! in the form of Python's `ImageHash.phash`, which keeps the constant part.) Why this one stands in `docs/decisions/0015`.

use std::f64::consts::PI;
use std::sync::LazyLock;

use super::colour::to_srgb;
use super::error::ImagingError;
use super::framing::Window;
use super::orientation::Orientation;
use super::pixels::{Layout, Pixels};
use super::resize::resized;
use crate::model::PerceptualHash;

/// Pixels a side that the transform is taken of, whatever the picture's shape.
const SIDE: usize = 32;
/// Frequencies a side that are kept: their product is the hash's bits.
const WAVES: usize = 8;
/// What varies less (standard deviation, in levels of 255) shows nothing to recognise it by: its bits would be noise, and alike in all blank pages.
const MIN_DEVIATION: f64 = 1.0;

/// `WAVES_AT[u][x]`: how high the wave of frequency `u` stands at pixel `x`.
static WAVES_AT: LazyLock<[[f64; SIDE]; WAVES]> =
    LazyLock::new(|| std::array::from_fn(|u| std::array::from_fn(|x| (PI * u as f64 * (2 * x + 1) as f64 / (2 * SIDE) as f64).cos())));

/// Of a decoded picture, which may have been scaled or cut, as it is shown. `None` where it shows nothing.
pub(super) fn of_pixels(pixels: &Pixels, icc: Option<&[u8]>, orientation: Orientation) -> Result<Option<PerceptualHash>, ImagingError> {
    let square =
        to_srgb(resized(pixels, Window::whole((pixels.width, pixels.height)), (SIDE as u32, SIDE as u32))?, icc).flattened([255; 3]);
    Ok(of_luminance(&luminance(&orientation.apply(square))))
}

/// Rows from the top, by the weights of ITU-R BT.601.
fn luminance(pixels: &Pixels) -> [[f64; SIDE]; SIDE] {
    let channels = pixels.layout.channels();
    let grey = matches!(pixels.layout, Layout::Grey | Layout::GreyAlpha);
    let of = |pixel: &[u8]| match pixel {
        [r, g, b, ..] if !grey => 0.299 * f64::from(*r) + 0.587 * f64::from(*g) + 0.114 * f64::from(*b),
        [level, ..] => f64::from(*level),
        [] => 0.0,
    };
    let mut levels = [[0.0; SIDE]; SIDE];
    for (level, pixel) in levels.as_flattened_mut().iter_mut().zip(pixels.data.chunks_exact(channels)) {
        *level = of(pixel);
    }
    levels
}

fn of_luminance(levels: &[[f64; SIDE]; SIDE]) -> Option<PerceptualHash> {
    let count = (SIDE * SIDE) as f64;
    let mean = levels.as_flattened().iter().sum::<f64>() / count;
    let variance = levels.as_flattened().iter().map(|level| (level - mean).powi(2)).sum::<f64>() / count;
    if variance < MIN_DEVIATION * MIN_DEVIATION {
        return None;
    }
    let dot = |wave: &[f64; SIDE], levels: &[f64; SIDE]| wave.iter().zip(levels).map(|(wave, level)| wave * level).sum::<f64>();
    // Along the rows, then down the columns: the transform of both is the one after the other.
    let along: [[f64; SIDE]; WAVES] = std::array::from_fn(|u| std::array::from_fn(|y| dot(&WAVES_AT[u], &levels[y])));
    let both: [[f64; WAVES]; WAVES] = std::array::from_fn(|v| std::array::from_fn(|u| dot(&WAVES_AT[v], &along[u])));
    let mut sorted: [f64; WAVES * WAVES] = std::array::from_fn(|at| both[at / WAVES][at % WAVES]);
    sorted.sort_by(f64::total_cmp);
    let median = f64::midpoint(sorted[WAVES * WAVES / 2 - 1], sorted[WAVES * WAVES / 2]);
    Some(PerceptualHash(both.as_flattened().iter().fold(0, |bits, wave| bits << 1 | u64::from(*wave > median))))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten tiles by ten of no order, so that no two orientations look alike.
    fn picture(width: u32, height: u32) -> Pixels {
        let level = |x: u32, y: u32| ((x * 10 / width * 10 + y * 10 / height + 1).wrapping_mul(2_654_435_761) >> 24) as u8;
        let data = (0..height).flat_map(|y| (0..width).map(move |x| level(x, y))).collect();
        Pixels { width, height, layout: Layout::Grey, data }
    }

    fn hash(pixels: &Pixels, orientation: u32) -> PerceptualHash {
        of_pixels(pixels, None, Orientation::from_tag(orientation)).unwrap().unwrap()
    }

    #[test]
    fn half_of_the_bits_are_set() {
        assert_eq!(hash(&picture(96, 64), 1).0.count_ones(), 32);
    }

    #[test]
    fn every_orientation_gives_the_hash_of_what_is_shown() {
        let stored = picture(120, 80);
        let shown: Vec<PerceptualHash> = (1..=8).map(|tag| hash(&stored, tag)).collect();
        for (tag, found) in (1..=8).zip(&shown) {
            let upright = Orientation::from_tag(tag).apply(stored.clone());
            assert!(found.distance(hash(&upright, 1)) <= 2, "orientation {tag}");
        }
        for (at, one) in shown.iter().enumerate() {
            assert!(shown[at + 1..].iter().all(|other| one.distance(*other) > 16), "two ways up look alike: {shown:?}");
        }
    }

    #[test]
    fn colour_and_opacity_are_no_difference() {
        let grey = picture(64, 64);
        let rgb = grey.coloured().into_owned();
        let rgba = rgb.clone().into_rgba();
        assert_eq!(hash(&rgb, 1), hash(&grey, 1));
        assert_eq!(hash(&rgba, 1), hash(&grey, 1));
    }

    #[test]
    fn what_shows_nothing_has_none() {
        for layout in [Layout::Grey, Layout::GreyAlpha, Layout::Rgb, Layout::Rgba, Layout::InvertedCmyk] {
            for side in [1, 7, 100] {
                let blank = Pixels { width: side, height: side, layout, data: vec![77; side as usize * side as usize * layout.channels()] };
                assert_eq!(of_pixels(&blank, None, Orientation::NORMAL).unwrap(), None, "{layout:?}");
            }
        }
        // Black, with the noise of a sensor that saw nothing.
        let dark = Pixels { data: (0..10_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 31) as u8).collect(), ..picture(100, 100) };
        assert_eq!(of_pixels(&dark, None, Orientation::NORMAL).unwrap(), None);
    }
}
