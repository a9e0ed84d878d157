//! Which part of a photo a picture shows, and how large it is.

use super::fit::fit;
use super::recipe::{Align, Gravity, Recipe, Resize};

/// A rectangle of a picture, in its pixels, from its top left.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Window {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

impl Window {
    /// All of a picture of this size.
    pub(super) fn whole((width, height): (u32, u32)) -> Self {
        Self { left: 0.0, top: 0.0, width: width.into(), height: height.into() }
    }

    /// The same part of the picture at another scale.
    pub(super) fn scaled(self, x: f64, y: f64) -> Self {
        Self { left: self.left * x, top: self.top * y, width: self.width * x, height: self.height * y }
    }

    /// What of it lies within a picture of this size: at least a sliver.
    pub(super) fn within(self, (width, height): (u32, u32)) -> Self {
        let clip = |start: f64, length: f64, side: u32| {
            let side = f64::from(side);
            let (end, start) = ((start + length).min(side), start.clamp(0.0, side - SLIVER));
            (start, (end - start).max(SLIVER).min(side - start))
        };
        let (left, width) = clip(self.left, self.width, width);
        let (top, height) = clip(self.top, self.height, height);
        Self { left, top, width, height }
    }
}

/// How large a picture of a photo of this size, as shown, becomes, before it is turned.
pub fn picture_size(photo: (u32, u32), recipe: &Recipe) -> (u32, u32) {
    Framing::of(photo, recipe, recipe.format.max_side()).target
}

/// The least part of a pixel that is still something.
const SLIVER: f64 = 1e-3;

/// How large a picture is, and what part of the photo it shows, but for where that lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Framing {
    photo: (u32, u32),
    /// The part of the photo that may be shown, in its pixels as shown.
    area: Window,
    /// How much of it is shown, in the photo's pixels.
    shown: (f64, f64),
    /// The picture's size in pixels, before it is turned; each at least 1.
    pub(super) target: (u32, u32),
}

impl Framing {
    /// For a photo of this size, as shown. No side of the picture is longer than `max_side`.
    pub(super) fn of(photo: (u32, u32), recipe: &Recipe, max_side: u32) -> Self {
        let area = recipe.region.map_or(Window::whole(photo), |region| {
            let window = Window { left: region.x.into(), top: region.y.into(), width: region.width.into(), height: region.height.into() };
            window.within(photo)
        });
        let source = (whole_side(area.width), whole_side(area.height));
        let (target, shown) = Sizes { source, area: (area.width, area.height), recipe, max_side }.settle();
        Self { photo, area, shown, target }
    }

    /// Whether there is a choice of what to show.
    pub(super) fn has_slack(&self) -> bool {
        self.shown.0 + 0.5 < self.area.width || self.shown.1 + 0.5 < self.area.height
    }

    /// The photo's size, as shown.
    pub(super) fn photo(&self) -> (u32, u32) {
        self.photo
    }

    /// The part that may be shown.
    pub(super) fn area(&self) -> Window {
        self.area
    }

    /// What part of the area is shown, of its width and height.
    pub(super) fn share(&self) -> (f64, f64) {
        (self.shown.0 / self.area.width, self.shown.1 / self.area.height)
    }

    /// The window for this gravity; `smart` is the middle that [`Gravity::Smart`] found, as parts of the area's width and height.
    pub(super) fn window(&self, gravity: Gravity, smart: (f64, f64)) -> Window {
        let (width, height) = self.shown;
        let centred = |centre: (f64, f64)| (centre.0 * self.area.width - width / 2.0, centre.1 * self.area.height - height / 2.0);
        let (left, top) = match gravity {
            Gravity::Smart => centred(smart),
            Gravity::Point { x, y } => {
                let part = |of: u16| f64::from(of) / f64::from(Gravity::POINT_WHOLE);
                centred((part(x), part(y)))
            }
            Gravity::Towards { x, y, offset_x, offset_y } => {
                let towards = |align: Align, spare: f64, offset: f64| match align {
                    Align::Start => offset,
                    Align::Middle => spare / 2.0 + offset,
                    Align::End => spare - offset,
                };
                let scale = (width / f64::from(self.target.0), height / f64::from(self.target.1));
                (
                    towards(x, self.area.width - width, f64::from(offset_x) * scale.0),
                    towards(y, self.area.height - height, f64::from(offset_y) * scale.1),
                )
            }
        };
        // What is shown of all there is lies in the middle.
        let within = |start: f64, spare: f64| if spare > 0.0 { start.clamp(0.0, spare) } else { spare / 2.0 };
        Window {
            left: self.area.left + within(left, self.area.width - width),
            top: self.area.top + within(top, self.area.height - height),
            width,
            height,
        }
    }
}

fn whole_side(side: f64) -> u32 {
    (side.round() as u32).max(1)
}

/// What a size is settled from.
struct Sizes<'a> {
    source: (u32, u32),
    area: (f64, f64),
    recipe: &'a Recipe,
    max_side: u32,
}

impl Sizes<'_> {
    /// The target, and how much of the area it shows.
    fn settle(&self) -> ((u32, u32), (f64, f64)) {
        let (width, height) = (self.recipe.width.min(self.max_side), self.recipe.height.min(self.max_side));
        match self.way(width, height) {
            Resize::Force => (self.forced(width, height), self.area),
            Resize::Fill if width > 0 && height > 0 => self.filled(width, height, false),
            Resize::FillDown if width > 0 && height > 0 => self.filled(width, height, true),
            _ => {
                let bound = |side: u32| if side == 0 { self.max_side } else { side };
                // Without a size, the format's own bound may only make the picture smaller.
                let enlarge = self.recipe.enlarge && (width, height) != (0, 0);
                let target = fit(self.source, (bound(width), bound(height)), enlarge);
                let shrink = (self.area.0 / f64::from(bound(width))).max(self.area.1 / f64::from(bound(height)));
                (target, evenly(target, if enlarge { shrink } else { shrink.max(1.0) }))
            }
        }
    }

    fn way(&self, width: u32, height: u32) -> Resize {
        if self.recipe.resize != Resize::Auto {
            return self.recipe.resize;
        }
        let is_wide = |(width, height): (u32, u32)| width >= height;
        if is_wide(self.source) == is_wide((width, height)) { Resize::Fill } else { Resize::Fit }
    }

    fn forced(&self, width: u32, height: u32) -> (u32, u32) {
        let shrink = |side: f64, to: u32| if to == 0 { 1.0 } else { side / f64::from(to) };
        let (mut x, mut y) = (shrink(self.area.0, width), shrink(self.area.1, height));
        let least = x.min(y);
        if !self.recipe.enlarge && least < 1.0 {
            (x, y) = (x / least, y / least);
        }
        let side = |side: f64, shrink: f64| whole_side(side / shrink).min(self.max_side);
        (side(self.area.0, x), side(self.area.1, y))
    }

    fn filled(&self, width: u32, height: u32, keep_shape: bool) -> ((u32, u32), (f64, f64)) {
        let mut shrink = (self.area.0 / f64::from(width)).min(self.area.1 / f64::from(height));
        if !self.recipe.enlarge {
            shrink = shrink.max(1.0);
        }
        let resized = (whole_side(self.area.0 / shrink), whole_side(self.area.1 / shrink));
        let (mut target_width, mut target_height) = (width.min(resized.0), height.min(resized.1));
        if keep_shape && (target_width, target_height) != (width, height) {
            (target_width, target_height) = fit((width, height), resized, false);
        }
        ((target_width, target_height), evenly((target_width, target_height), shrink))
    }
}

/// What a picture shows at the same scale both ways. Where its size was rounded up that is a little more than there is, by less than half
/// a pixel of the picture at each side, and goes on as the edge does: stretched, fine patterns would be other ones (libvips does the same).
fn evenly((width, height): (u32, u32), shrink: f64) -> (f64, f64) {
    (f64::from(width) * shrink, f64::from(height) * shrink)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::encode::OutputFormat;
    use super::super::recipe::Region;
    use super::*;

    const MAX_SIDE: u32 = 16_383;

    fn framing(photo: (u32, u32), resize: Resize, size: (u32, u32), enlarge: bool) -> Framing {
        let recipe = Recipe { resize, enlarge, ..Recipe::fit(size.0, size.1, OutputFormat::Jpeg) };
        Framing::of(photo, &recipe, MAX_SIDE)
    }

    /// What imgproxy 3 answers with for the same.
    #[test]
    fn sizes_are_imgproxys() {
        use Resize::{Auto, Fill, FillDown, Fit, Force};
        for (photo, resize, size, enlarge, expected) in [
            ((400, 200), Fit, (100, 100), false, (100, 50)),
            ((400, 200), Fill, (100, 100), false, (100, 100)),
            ((400, 200), Fill, (300, 300), false, (300, 200)),
            ((400, 200), Fill, (300, 300), true, (300, 300)),
            ((400, 200), Fill, (0, 100), false, (200, 100)),
            ((400, 200), FillDown, (300, 300), false, (200, 200)),
            ((400, 200), FillDown, (100, 100), false, (100, 100)),
            ((400, 200), FillDown, (1_000, 250), false, (400, 100)),
            ((400, 200), Force, (100, 100), false, (100, 100)),
            ((200, 200), Force, (400, 100), false, (200, 50)),
            ((200, 200), Force, (400, 100), true, (400, 100)),
            ((400, 200), Force, (0, 100), false, (400, 100)),
            ((400, 200), Auto, (100, 80), false, (100, 80)),
            ((400, 200), Auto, (80, 100), false, (80, 40)),
        ] {
            assert_eq!(framing(photo, resize, size, enlarge).target, expected, "{photo:?} {resize:?} {size:?} {enlarge}");
        }
    }

    #[test]
    fn gravity_says_which_part() {
        let wide = framing((400, 200), Resize::Fill, (100, 100), false);
        assert!(wide.has_slack());
        let towards = |x, offset_x| Gravity::Towards { x, y: Align::Middle, offset_x, offset_y: 0 };
        for (gravity, left) in [
            (Gravity::CENTRE, 100.0),
            (towards(Align::Start, 0), 0.0),
            (towards(Align::Start, 10), 20.0),
            (towards(Align::End, 0), 200.0),
            (towards(Align::End, 10), 180.0),
            (towards(Align::End, -10), 200.0),
            (Gravity::Point { x: 0, y: 5_000 }, 0.0),
            (Gravity::Point { x: 6_000, y: 9_000 }, 140.0),
            (Gravity::Smart, 60.0),
        ] {
            let window = wide.window(gravity, (0.4, 0.5));
            assert_eq!(window, Window { left, top: 0.0, width: 200.0, height: 200.0 }, "{gravity:?}");
        }
        assert!(!framing((400, 200), Resize::Fit, (100, 100), false).has_slack());
    }

    #[test]
    fn a_region_is_a_photo_of_its_own() {
        let region = Region { x: 300, y: 50, width: 500, height: 100 };
        let recipe = Recipe { region: Some(region), ..Recipe::fit(50, 0, OutputFormat::Jpeg) };
        let framing = Framing::of((400, 200), &recipe, MAX_SIDE);
        assert_eq!(framing.target, (50, 50));
        assert_eq!(framing.window(Gravity::CENTRE, (0.5, 0.5)), Window { left: 300.0, top: 50.0, width: 100.0, height: 100.0 });
    }

    fn ways() -> impl Strategy<Value = Resize> {
        prop::sample::select(vec![Resize::Fit, Resize::Fill, Resize::FillDown, Resize::Force, Resize::Auto])
    }

    proptest! {
        #[test]
        fn windows_lie_within_the_photo(
            photo in (1_u32..=65_500, 1_u32..=65_500), resize in ways(), size in (0_u32..=9_000, 0_u32..=9_000), enlarge: bool,
            point in (0_u16..=10_000, 0_u16..=10_000), offset in -5_000_i32..=5_000,
        ) {
            let framing = framing(photo, resize, size, enlarge);
            let (width, height) = framing.target;
            prop_assert!(width >= 1 && height >= 1 && width <= MAX_SIDE && height <= MAX_SIDE);
            if !enlarge {
                prop_assert!(width <= photo.0 && height <= photo.1, "{width} x {height}");
            }
            if size.0 > 0 && resize != Resize::Force {
                prop_assert!(width <= size.0);
            }
            let edge = Gravity::Towards { x: Align::End, y: Align::Start, offset_x: offset, offset_y: offset };
            for gravity in [Gravity::CENTRE, edge, Gravity::Point { x: point.0, y: point.1 }, Gravity::Smart] {
                let window = framing.window(gravity, (0.3, 0.9));
                // Past the edge by half a pixel of the picture at most; thin ones are at least a pixel wide.
                for (start, length, side, target) in
                    [(window.left, window.width, photo.0, width), (window.top, window.height, photo.1, height)]
                {
                    let pixel = length / f64::from(target);
                    let past = if target == 1 { pixel } else { pixel / 2.0 } + 1e-6;
                    prop_assert!(start >= -past && length > 0.0 && start + length <= f64::from(side) + past, "{window:?} of {side}");
                }
            }
            // Nothing but what was asked for is stretched: by a pixel's rounding at most.
            if resize != Resize::Force {
                let window = framing.window(Gravity::CENTRE, (0.5, 0.5));
                let exact = f64::from(width) * window.height / window.width;
                let other = f64::from(height) * window.width / window.height;
                prop_assert!((exact - f64::from(height)).abs() <= 1.0 || (other - f64::from(width)).abs() <= 1.0, "{framing:?}");
            }
        }
    }
}
