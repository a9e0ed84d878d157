//! Where there is most to see in a photo: the middle of a cut that keeps edges, skin and strong colours, by the measures of smartcrop.js
//! (<https://github.com/jwagner/smartcrop.js>) on a picture of a few dozen pixels, with sums instead of a search by samples.

use super::planar::Planar;

/// Pixels of the longer side that are looked at.
pub(super) const SIDE: u32 = 48;

/// What the measures count for.
const EDGE: f32 = 0.8;
const SKIN: f32 = 1.8;
const SATURATION: f32 = 0.6;
/// What the edge of a cut takes away, so that of equal cuts the one that holds things in its middle is taken.
const OFF_CENTRE: f32 = 0.15;
/// What nothing at all counts for, so that its middle is taken.
const NOTHING: f32 = 1e-3;

/// The middle of the best cut with this share of width and height, as parts of width and height. The picture has a sample of colour for every
/// one of lightness, and at least one of each.
pub(super) fn focus(picture: &Planar<'_>, share: (f64, f64)) -> (f64, f64) {
    let (width, height) = (picture.width as usize, picture.height as usize);
    let sums = Sums::of(&scores(picture), width, height);
    let cut = |side: usize, share: f64| ((side as f64 * share).round() as usize).clamp(1, side);
    let (cut_width, cut_height) = (cut(width, share.0), cut(height, share.1));
    let (mut best, mut found) = (f32::MIN, (0, 0));
    for top in 0..=height - cut_height {
        for left in 0..=width - cut_width {
            let whole = sums.within(left, top, cut_width, cut_height);
            // The inner half of it again: what matters should not lie at the edge.
            let inner = sums.within(left + cut_width / 4, top + cut_height / 4, cut_width.div_ceil(2), cut_height.div_ceil(2));
            let away = |start: usize, cut: usize, side: usize| ((start as f32 + cut as f32 / 2.0) / side as f32 - 0.5).abs();
            let off_centre = away(left, cut_width, width) + away(top, cut_height, height);
            let score = (whole + inner + NOTHING) * (1.0 - OFF_CENTRE * off_centre);
            if score > best {
                (best, found) = (score, (left, top));
            }
        }
    }
    let middle = |start: usize, cut: usize, side: usize| (start as f64 + cut as f64 / 2.0) / side as f64;
    (middle(found.0, cut_width, width), middle(found.1, cut_height, height))
}

/// How much there is to see at each pixel.
fn scores(picture: &Planar<'_>) -> Vec<f32> {
    let (width, height) = (picture.width as usize, picture.height as usize);
    let lightness = |x: usize, y: usize| f32::from(picture.lightness.data[y * picture.lightness.width as usize + x]) / 255.0;
    let mut scores = Vec::with_capacity(width * height);
    for y in 0..height {
        for x in 0..width {
            let here = lightness(x, y);
            let around = lightness(x.saturating_sub(1), y)
                + lightness((x + 1).min(width - 1), y)
                + lightness(x, y.saturating_sub(1))
                + lightness(x, (y + 1).min(height - 1));
            let edge = (4.0 * here - around).abs().min(1.0);
            let colour = picture.colour.as_ref().map_or(0.0, |[blue, red]| {
                let sample = |plane: &super::planar::Plane<'_>| f32::from(plane.data[y * plane.width as usize + x]) - 128.0;
                of_colour(here, sample(blue), sample(red))
            });
            scores.push(edge * EDGE + colour);
        }
    }
    scores
}

/// Skin of every shade lies in a narrow sector of the colour plane (Chai and Ngan 1999: Cb 77 to 127, Cr 133 to 173).
fn of_colour(lightness: f32, blue: f32, red: f32) -> f32 {
    let strength = (blue.hypot(red) / 90.0).min(1.0);
    let is_lit = (0.15..=0.95).contains(&lightness);
    let is_skin = is_lit && (-51.0..=-1.0).contains(&blue) && (5.0..=45.0).contains(&red);
    let skin = if is_skin { SKIN * (1.0 - ((blue + 22.0).hypot(red - 24.0) / 40.0)).max(0.0) } else { 0.0 };
    let saturation = if is_lit && strength > 0.4 { SATURATION * (strength - 0.4) } else { 0.0 };
    skin * 0.5 + saturation
}

/// Sums over every rectangle from the top left (Crow 1984).
struct Sums {
    stride: usize,
    sums: Vec<f32>,
}

impl Sums {
    fn of(scores: &[f32], width: usize, height: usize) -> Self {
        let stride = width + 1;
        let mut sums = vec![0.0; stride * (height + 1)];
        for y in 0..height {
            let mut row = 0.0;
            for x in 0..width {
                row += scores[y * width + x];
                sums[(y + 1) * stride + x + 1] = sums[y * stride + x + 1] + row;
            }
        }
        Self { stride, sums }
    }

    fn within(&self, left: usize, top: usize, width: usize, height: usize) -> f32 {
        let at = |x: usize, y: usize| self.sums[y * self.stride + x];
        let (right, bottom) = (left + width, top + height);
        at(right, bottom) - at(left, bottom) - at(right, top) + at(left, top)
    }
}

#[cfg(test)]
mod tests {
    use super::super::planar::Plane;
    use super::*;

    /// A grey wall with something at one place.
    fn wall(width: u32, height: u32, thing: impl Fn(u32, u32) -> Option<[u8; 3]>) -> Planar<'static> {
        let plane = |component: usize| {
            let sample = |(x, y)| thing(x, y).map_or([120, 128, 128], |sample| sample)[component];
            let data: Vec<u8> = (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).map(sample).collect();
            Plane { width, height, data: data.into() }
        };
        Planar { width, height, sharing: (1, 1), lightness: plane(0), colour: Some([plane(1), plane(2)]) }
    }

    #[test]
    fn what_there_is_to_see_is_kept() {
        let chessboard = |x: u32, y: u32| if (x + y).is_multiple_of(2) { [30, 128, 128] } else { [220, 128, 128] };
        let skin = |_: u32, _: u32| [150, 106, 152];
        let red = |_: u32, _: u32| [90, 90, 230];
        let kinds: [&dyn Fn(u32, u32) -> [u8; 3]; 3] = [&chessboard, &skin, &red];
        for what in kinds {
            for at in [0, 10, 38] {
                let picture = wall(48, 24, |x, y| ((at..at + 10).contains(&x) && (7..17).contains(&y)).then(|| what(x, y)));
                let (x, _) = focus(&picture, (0.5, 1.0));
                let (left, right) = (x * 48.0 - 12.0, x * 48.0 + 12.0);
                assert!(left <= f64::from(at) + 0.01 && right >= f64::from(at) + 9.99, "{at}: {left} to {right}");
            }
        }
    }

    #[test]
    fn where_there_is_nothing_the_middle_is_kept() {
        for (width, height, share) in [(48, 24, (0.5, 1.0)), (24, 48, (1.0, 0.25)), (1, 1, (1.0, 1.0)), (48, 1, (0.3, 1.0))] {
            let (x, y) = focus(&wall(width, height, |_, _| Some([120, 128, 128])), share);
            assert!((x - 0.5).abs() < 0.02 && (y - 0.5).abs() < 0.02, "{x}, {y}");
        }
    }
}
