//! A picture as JPEG keeps it: a plane of lightness and two of colour, which may have fewer samples. From JPEG to JPEG nothing else is
//! needed: colours are neither converted nor spread.

use std::borrow::Cow;

use super::error::ImagingError;
use super::framing::Window;
use super::orientation::Orientation;
use super::pixels::{Layout, Pixels};
use super::resize::resize_plane;

/// One plane: rows from the top, without padding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plane<'a> {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) data: Cow<'a, [u8]>,
}

/// Full range, BT.601, as JFIF 1.02 has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Planar<'a> {
    /// Of the picture; the planes may reach past it, to whole samples of colour.
    pub(super) width: u32,
    /// Of the picture.
    pub(super) height: u32,
    /// How many samples of lightness share one of colour, along the width and along the height.
    pub(super) sharing: (u32, u32),
    pub(super) lightness: Plane<'a>,
    /// Blue and red, or none of a grey picture.
    pub(super) colour: Option<[Plane<'a>; 2]>,
}

/// How many samples of lightness share one of colour, along each side, in what is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sharing {
    /// Each has its own, so that colours can be converted.
    None,
    /// Two by two share one, which is how JPEG files are written.
    Fours,
}

impl Sharing {
    fn side(self) -> u32 {
        match self {
            Self::None => 1,
            Self::Fours => 2,
        }
    }
}

impl Planar<'_> {
    /// The same planes, without a copy.
    pub(super) fn borrowed(&self) -> Planar<'_> {
        Planar {
            lightness: self.lightness.borrowed(),
            colour: self.colour.as_ref().map(|planes| planes.each_ref().map(Plane::borrowed)),
            ..*self
        }
    }

    /// Resizes a window (of the picture as it is shown, in its pixels) to this size as shown, the right way up. What is shown reaches as far as
    /// `stored`, in pixels as stored: the last ones may lie beyond it in part. The lightness of a coloured
    /// picture is padded to whole samples of colour by its last samples, which is how encoders want it.
    pub(super) fn resized(
        &self,
        window: Window,
        target: (u32, u32),
        (orientation, stored): (Orientation, (f64, f64)),
        sharing: Sharing,
    ) -> Result<Planar<'static>, ImagingError> {
        let lightness = shown(&self.lightness, orientation.stored_window(window, stored), target, orientation)?;
        let ((width, height), side) = (target, sharing.side());
        let colour = match &self.colour {
            None => None,
            Some(planes) => {
                let samples = (width.div_ceil(side), height.div_ceil(side));
                // The last sample of an odd side reaches past the picture, and what it is made from has to as well.
                let reach = |samples: u32, whole: u32| f64::from(samples * side) / f64::from(whole);
                let wider =
                    Window { width: window.width * reach(samples.0, width), height: window.height * reach(samples.1, height), ..window };
                let stored_window = orientation.stored_window(wider, stored);
                let scaled = stored_window.scaled(1.0 / f64::from(self.sharing.0), 1.0 / f64::from(self.sharing.1));
                let [blue, red] = planes;
                Some([shown(blue, scaled, samples, orientation)?, shown(red, scaled, samples, orientation)?])
            }
        };
        let lightness = if colour.is_some() { lightness.padded(side) } else { lightness };
        Ok(Planar { width, height, sharing: (side, side), lightness, colour })
    }

    /// The lightness alone.
    pub(super) fn without_colour(self) -> Self {
        Self { colour: None, lightness: self.lightness.cut(self.width, self.height), ..self }
    }

    /// As red, green and blue, or grey. Each sample of lightness must have its own of colour, or there is none.
    pub(super) fn into_pixels(self) -> Pixels {
        debug_assert!(self.sharing == (1, 1) || self.colour.is_none());
        let Planar { width, height, lightness, colour, .. } = self;
        let (layout, data) = match colour {
            None => (Layout::Grey, lightness.data.into_owned()),
            Some([blue, red]) => {
                let samples = lightness.data.iter().zip(&*blue.data).zip(&*red.data);
                (Layout::Rgb, samples.flat_map(|((y, blue), red)| rgb(*y, *blue, *red)).collect())
            }
        };
        Pixels { width, height, layout, data }
    }

    /// The planes of a picture in red, green and blue, or grey; of others nothing but grey.
    pub(super) fn of(pixels: &Pixels) -> Planar<'static> {
        let (width, height) = (pixels.width, pixels.height);
        let plane = |data: Vec<u8>| Plane { width, height, data: data.into() };
        let (lightness, colour) = match pixels.layout {
            Layout::Rgb | Layout::Rgba => {
                let samples: Vec<[u8; 3]> = pixels.data.chunks_exact(pixels.layout.channels()).map(|p| ycc(p[0], p[1], p[2])).collect();
                let component = |at: usize| plane(samples.iter().map(|sample| sample[at]).collect());
                (component(0), Some([component(1), component(2)]))
            }
            layout => (plane(pixels.data.iter().copied().step_by(layout.channels()).collect()), None),
        };
        Planar { width, height, sharing: (1, 1), lightness, colour }
    }
}

/// JFIF 1.02, page 3, in sixteenths of a bit.
fn rgb(y: u8, blue: u8, red: u8) -> [u8; 3] {
    let (y, blue, red) = (i32::from(y) << 16, i32::from(blue) - 128, i32::from(red) - 128);
    let sample = |value: i32| ((value + (1 << 15)) >> 16).clamp(0, 255) as u8;
    [sample(y + 91_881 * red), sample(y - 22_554 * blue - 46_802 * red), sample(y + 116_130 * blue)]
}

fn ycc(r: u8, g: u8, b: u8) -> [u8; 3] {
    let (r, g, b) = (i32::from(r), i32::from(g), i32::from(b));
    let sample = |value: i32| ((value + (1 << 15)) >> 16).clamp(0, 255) as u8;
    let middle = 128 << 16;
    [
        sample(19_595 * r + 38_470 * g + 7_471 * b),
        sample(middle - 11_059 * r - 21_709 * g + 32_768 * b),
        sample(middle + 32_768 * r - 27_439 * g - 5_329 * b),
    ]
}

/// A window of a plane as stored, brought to this size as shown and turned upright.
fn shown(plane: &Plane<'_>, window: Window, target: (u32, u32), orientation: Orientation) -> Result<Plane<'static>, ImagingError> {
    let (width, height) = orientation.shown(target);
    let data = resize_plane(&plane.data, (plane.width, plane.height), window, (width, height))?;
    let Pixels { width, height, data, .. } = orientation.apply(Pixels { width, height, layout: Layout::Grey, data });
    Ok(Plane { width, height, data: data.into() })
}

impl Plane<'_> {
    fn borrowed(&self) -> Plane<'_> {
        Plane { data: Cow::Borrowed(&self.data), ..*self }
    }

    /// Without what reaches past this size.
    fn cut(self, width: u32, height: u32) -> Self {
        if (width, height) == (self.width, self.height) {
            return self;
        }
        let rows = self.data.chunks_exact(self.width as usize).take(height as usize);
        let data: Vec<u8> = rows.flat_map(|row| &row[..width as usize]).copied().collect();
        Self { width, height, data: data.into() }
    }

    fn padded(self, side: u32) -> Self {
        let (width, height) = (self.width.next_multiple_of(side), self.height.next_multiple_of(side));
        if (width, height) == (self.width, self.height) {
            return self;
        }
        let mut data = Vec::with_capacity(width as usize * height as usize);
        for row in self.data.chunks_exact(self.width as usize) {
            data.extend_from_slice(row);
            data.resize(data.len() + (width - self.width) as usize, row.last().copied().unwrap_or_default());
        }
        for _ in self.height..height {
            data.extend_from_within(data.len() - width as usize..);
        }
        Self { width, height, data: data.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plane(width: u32, height: u32, sample: impl Fn(u32, u32) -> u8) -> Plane<'static> {
        let data: Vec<u8> = (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).map(|(x, y)| sample(x, y)).collect();
        Plane { width, height, data: data.into() }
    }

    /// Dark and blue on the left, light and red on the right.
    fn halves(width: u32, height: u32, sharing: (u32, u32)) -> Planar<'static> {
        let colour_size = (width.div_ceil(sharing.0), height.div_ceil(sharing.1));
        let side =
            |left: u8, right: u8| plane(colour_size.0, colour_size.1, move |x, _| if x * sharing.0 * 2 < width { left } else { right });
        let lightness = plane(width, height, |x, _| if x * 2 < width { 10 } else { 240 });
        Planar { width, height, sharing, lightness, colour: Some([side(250, 5), side(5, 250)]) }
    }

    #[test]
    fn colour_stays_where_lightness_is() {
        for sharing in [(1, 1), (2, 1), (1, 2), (2, 2), (4, 1)] {
            for tag in 1..=8 {
                let orientation = Orientation::from_tag(tag);
                let picture = halves(160, 120, sharing);
                let shown = orientation.shown((160, 120));
                // Odd sides, so that the last sample of colour stands for half a block.
                let target = orientation.shown((41, 31));
                let small = picture.resized(Window::whole(shown), target, (orientation, (160.0, 120.0)), Sharing::Fours).unwrap();
                let [blue, red] = small.colour.unwrap();
                assert_eq!((small.lightness.width, small.lightness.height), (target.0 + 1, target.1 + 1));
                assert_eq!((blue.width, blue.height), (target.0.div_ceil(2), target.1.div_ceil(2)));
                for y in 0..blue.height {
                    for x in 0..blue.width {
                        let at = (y * blue.width + x) as usize;
                        let lightness = small.lightness.data[(2 * y * small.lightness.width + 2 * x) as usize];
                        if (60..190).contains(&lightness) || (60..190).contains(&red.data[at]) {
                            continue;
                        }
                        assert_eq!(lightness > 128, red.data[at] > 128, "{sharing:?} {tag}: {x}, {y}");
                        assert_eq!(lightness > 128, blue.data[at] < 128, "{sharing:?} {tag}: {x}, {y}");
                    }
                }
            }
        }
    }

    #[test]
    fn padding_repeats_the_edge() {
        let padded = plane(3, 3, |x, y| (10 * y + x) as u8).padded(2);
        assert_eq!(padded.data[..], [0, 1, 2, 2, 10, 11, 12, 12, 20, 21, 22, 22, 20, 21, 22, 22]);
        assert_eq!(padded.cut(3, 3).data[..], [0, 1, 2, 10, 11, 12, 20, 21, 22]);
    }

    #[test]
    fn colours_come_back() {
        for r in (0..=255).step_by(15) {
            for g in (0..=255).step_by(15) {
                for b in (0..=255).step_by(15) {
                    let [y, blue, red] = ycc(r, g, b);
                    let back = rgb(y, blue, red);
                    assert!([r, g, b].iter().zip(back).all(|(sample, back)| sample.abs_diff(back) <= 2), "{r} {g} {b}: {back:?}");
                }
            }
        }
        assert_eq!((rgb(255, 128, 128), rgb(0, 128, 128)), ([255; 3], [0; 3]));
    }
}
