//! What is made of a few pixels: the blur that is shown while a picture loads (ThumbHash, at most 25 bytes), and the perceptual hash.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::colour::to_srgb;
use super::decode::{decode, heif};
use super::error::ImagingError;
use super::fit::fit;
use super::framing::Window;
use super::limits::Limits;
use super::orientation::Orientation;
use super::perceptual;
use super::pixels::{Layout, Pixels};
use super::resize::resize;
use super::structure::outline;
use crate::model::PerceptualHash;
use crate::model::format::Format;

/// What a few pixels of a photo tell, the way up that it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Impression {
    /// ThumbHash.
    pub placeholder: Vec<u8>,
    /// What near duplicates share but for a few bits. `None` of a picture that shows nothing, as a blank page.
    pub perceptual_hash: Option<PerceptualHash>,
}

/// Pixels a side that ThumbHash is taken of. It takes up to 100, at a cost that grows with their number, but keeps at most three whole waves
/// a side, and a shape, which these are enough for.
const SIDE: u32 = 24;

/// How large a decoder should deliver the picture where it has a choice: resizing from less than twice the size blurs.
pub(super) const DECODE_AT_LEAST: (u32, u32) = (2 * SIDE, 2 * SIDE);

/// An embedded thumbnail is small; what claims otherwise is not read.
const THUMBNAIL_LIMITS: Limits = Limits {
    max_pixels: 1_000_000,
    max_side: 2_000,
    max_scans: 30,
    max_scan_blocks: 500_000,
    max_decoded_bytes: 8 << 20,
    max_metadata_bytes: 0,
    max_frames: 1,
    inspect_decodes_pixels: 0,
};

/// Of a decoded picture, which may have been scaled or cut: `stored` is the photo's size before its orientation, and the hash keeps its shape.
pub(super) fn of_pixels(
    pixels: Pixels,
    stored: (u32, u32),
    icc: Option<&[u8]>,
    orientation: Orientation,
) -> Result<Impression, ImagingError> {
    let perceptual_hash = perceptual::of_pixels(&pixels, icc, orientation)?;
    let (width, height) = fit(stored, (SIDE, SIDE), false);
    let whole = Window::whole((pixels.width, pixels.height));
    let small = to_srgb(resize(Cow::Owned(pixels), whole, (width, height))?, icc);
    let upright = orientation.apply(small).into_rgba();
    let placeholder = thumbhash::rgba_to_thumb_hash(upright.width as usize, upright.height as usize, &upright.data);
    Ok(Impression { placeholder, perceptual_hash })
}

/// Of the thumbnail that is embedded in a photo of this size (as stored). `None` where it cannot be read, or shows another section.
pub(super) fn of_thumbnail(thumbnail: &[u8], icc: Option<&[u8]>, photo: (u32, u32), orientation: Orientation) -> Option<Impression> {
    let outline = outline(thumbnail, &THUMBNAIL_LIMITS).ok().filter(|outline| outline.format == Format::Jpeg)?;
    let decoded = decode(thumbnail, &outline, DECODE_AT_LEAST, &THUMBNAIL_LIMITS).ok()?;
    if decoded.warning.is_some() {
        return None;
    }
    let pixels = without_bars(decoded.pixels, photo)?;
    of_pixels(pixels, photo, icc, orientation).ok()
}

/// Of the thumbnail that stands beside the picture in a HEIC or AVIF file, which is the same way up.
pub(super) fn of_heif_thumbnail(bytes: &[u8], format: Format, photo: (u32, u32), limits: &Limits) -> Option<Impression> {
    if !matches!(format, Format::Heic | Format::Avif) {
        return None;
    }
    let (pixels, icc) = heif::decode_thumbnail(bytes, format, limits, &THUMBNAIL_LIMITS)?;
    let pixels = without_bars(pixels, photo)?;
    of_pixels(pixels, photo, icc.as_deref(), Orientation::NORMAL).ok()
}

/// Cameras keep thumbnails of 4:3 for photos of any shape and fill up with black bars. Cut to the photo's shape; `None` where what would
/// be cut is not black, which means that the thumbnail is of something else.
fn without_bars(pixels: Pixels, photo: (u32, u32)) -> Option<Pixels> {
    let (width, height) = fit(photo, (pixels.width, pixels.height), true);
    let (spare_x, spare_y) = (pixels.width - width, pixels.height - height);
    // Within the rounding of a thumbnail's sides to whole blocks there is nothing to cut.
    if spare_x <= 2 && spare_y <= 2 {
        return Some(pixels);
    }
    let (left, top) = (spare_x.div_ceil(2), spare_y.div_ceil(2));
    // One pixel more goes at each side that has a bar: its edge is blurred into the picture.
    let inner = |start: u32, size: u32| if start == 0 { (0, size) } else { (start + 1, size.saturating_sub(2).max(1)) };
    let ((left, width), (top, height)) = (inner(left, width), inner(top, height));
    let (bars_x, bars_y) = ((spare_x / 2).saturating_sub(1), (spare_y / 2).saturating_sub(1));
    let in_bar = |x: u32, y: u32| x < bars_x || x >= pixels.width - bars_x || y < bars_y || y >= pixels.height - bars_y;
    let channels = pixels.layout.channels();
    let row = pixels.width as usize * channels;
    let mut bar_sum = 0_u64;
    let mut bar_samples = 0_u64;
    let mut data = Vec::with_capacity(width as usize * height as usize * channels);
    for y in 0..pixels.height {
        let samples = &pixels.data[y as usize * row..][..row];
        for (x, sample) in (0..).zip(samples.chunks_exact(channels)) {
            if in_bar(x, y) {
                bar_sum += sample.iter().map(|s| u64::from(*s)).sum::<u64>();
                bar_samples += channels as u64;
            }
        }
        if (top..top + height).contains(&y) {
            data.extend_from_slice(&samples[left as usize * channels..][..width as usize * channels]);
        }
    }
    const BLACK: u64 = 24;
    let black = pixels.layout != Layout::InvertedCmyk && bar_sum <= bar_samples * BLACK;
    black.then_some(Pixels { width, height, layout: pixels.layout, data })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(width: u32, height: u32, bar: u32, bar_value: u8) -> Pixels {
        let data = (0..height).flat_map(|y| vec![if y < bar || y >= height - bar { bar_value } else { 200 }; width as usize]).collect();
        Pixels { width, height, layout: Layout::Grey, data }
    }

    #[test]
    fn black_bars_are_cut() {
        // 3:2 in 4:3: 160 x 107 within 160 x 120.
        let cut = without_bars(boxed(160, 120, 6, 3), (6000, 4000)).unwrap();
        assert!(cut.data.iter().all(|sample| *sample == 200));
        assert_eq!(cut.data.len(), cut.width as usize * cut.height as usize);
        assert!(cut.height >= 104 && cut.height <= 107, "{}", cut.height);
    }

    #[test]
    fn another_section_is_no_thumbnail() {
        assert!(without_bars(boxed(160, 120, 0, 0), (6000, 4000)).is_none(), "no bars");
        assert!(without_bars(boxed(160, 120, 6, 250), (6000, 4000)).is_none(), "white bars");
        assert!(without_bars(boxed(160, 120, 0, 0), (3000, 4000)).is_none(), "the photo was turned, the thumbnail was not");
        assert!(without_bars(boxed(160, 120, 0, 0), (4000, 3000)).is_some());
        assert!(without_bars(boxed(160, 120, 0, 0), (4608, 3456)).is_some());
    }

    #[test]
    fn one_pixel() {
        let one = Pixels { width: 1, height: 1, layout: Layout::Rgba, data: vec![255, 0, 0, 128] };
        let impression = of_pixels(one, (1, 1), None, Orientation::NORMAL).unwrap();
        assert!(!impression.placeholder.is_empty());
        assert_eq!(impression.perceptual_hash, None);
    }
}
