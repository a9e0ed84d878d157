//! The size: what the region is scaled to (section 4.2).

use super::error::IiifError;
use super::number::{Decimal, pixels};
use crate::imaging;

const EXPECTED: &str = "max, w, or ,h or w,h or !w,h or pct:n, each also after ^";

/// What a site makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Pixels a side.
    pub max_side: u32,
    /// Pixels in all.
    pub max_pixels: u64,
}

impl Bounds {
    fn hold(self, (width, height): (u32, u32)) -> bool {
        width.max(height) <= self.max_side && u64::from(width) * u64::from(height) <= self.max_pixels
    }

    /// As large as `source` may be shown, in its own shape: within a box, and within these bounds.
    pub fn fit(self, source: (u32, u32), within: (u32, u32), enlarge: bool) -> (u32, u32) {
        let (width, height) = imaging::fit(source, (within.0.min(self.max_side), within.1.min(self.max_side)), enlarge);
        let found = u64::from(width) * u64::from(height);
        if found <= self.max_pixels {
            return (width, height);
        }
        let scale = (self.max_pixels as f64 / found as f64).sqrt();
        // Rounded down, and held once more: of a thin image one side cannot shrink.
        let side = |side: u32| ((f64::from(side) * scale) as u32).max(1);
        let (width, height) = (side(width), side(height));
        let at_most = |other: u32| u32::try_from(self.max_pixels / u64::from(other)).unwrap_or(u32::MAX).max(1);
        if width >= height { (width.min(at_most(height)), height) } else { (width, height.min(at_most(width))) }
    }
}

/// As a request says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    form: Form,
    /// Whether the region may be enlarged.
    enlarge: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Max,
    Width(u32),
    Height(u32),
    Both(u32, u32),
    Within(u32, u32),
    Percent(Decimal),
}

impl Size {
    pub(super) fn parse(text: &str) -> Result<Self, IiifError> {
        let (enlarge, rest) = text.strip_prefix('^').map_or((false, text), |rest| (true, rest));
        let form = if rest == "max" {
            Some(Form::Max)
        } else if let Some(percent) = rest.strip_prefix("pct:") {
            Decimal::parse(percent).map(Form::Percent)
        } else {
            let (within, sides) = rest.strip_prefix('!').map_or((false, rest), |sides| (true, sides));
            sides.split_once(',').and_then(|(width, height)| match (within, width, height) {
                (true, width, height) => Some(Form::Within(pixels(width)?, pixels(height)?)),
                (false, width, "") => pixels(width).map(Form::Width),
                (false, "", height) => pixels(height).map(Form::Height),
                (false, width, height) => Some(Form::Both(pixels(width)?, pixels(height)?)),
            })
        };
        let bad = || IiifError::BadValue { parameter: "size", value: text.to_owned(), expected: EXPECTED };
        Ok(Self { form: form.ok_or_else(bad)?, enlarge })
    }

    /// The size in pixels, for a region of an image. `promised` is what the image's information says to be the largest.
    pub(super) fn of(self, region: (u32, u32), promised: (u32, u32), bounds: Bounds) -> Result<(u32, u32), IiifError> {
        // Sides that follow are never nothing, however thin the region.
        let follows = |side: u32, to: u32, from: u32| {
            let scaled = (u64::from(side) * u64::from(to) * 2 + u64::from(from)) / (u64::from(from) * 2);
            u32::try_from(scaled).unwrap_or(u32::MAX).max(1)
        };
        let size = match self.form {
            Form::Max => bounds.fit(region, promised, self.enlarge),
            Form::Width(width) => (width, follows(region.1, width, region.0)),
            Form::Height(height) => (follows(region.0, height, region.1), height),
            Form::Both(width, height) => (width, height),
            Form::Within(0, _) | Form::Within(_, 0) => (0, 0),
            Form::Within(width, height) if self.enlarge => bounds.fit(region, (width, height), true),
            // Not held to the bounds yet: what would have to be enlarged is refused, as it is in the other forms.
            Form::Within(width, height) => imaging::fit(region, (width, height), true),
            Form::Percent(percent) => match (percent.percent_of(region.0), percent.percent_of(region.1)) {
                (0, 0) => (0, 0),
                (width, height) => (width.max(1), height.max(1)),
            },
        };
        if size.0 == 0 || size.1 == 0 {
            return Err(IiifError::Empty { parameter: "size" });
        }
        if !self.enlarge && (size.0 > region.0 || size.1 > region.1) {
            return Err(IiifError::Enlarges { width: region.0, height: region.1 });
        }
        let size = if let Form::Within(width, height) = self.form { bounds.fit(region, (width, height), self.enlarge) } else { size };
        if !bounds.hold(size) {
            let Bounds { max_side, max_pixels } = bounds;
            return Err(IiifError::TooLarge { width: size.0, height: size.1, max_side, max_pixels });
        }
        Ok(size)
    }
}

/// A size in its canonical spelling (section 4.8).
pub(super) fn spelt(size: (u32, u32), region: (u32, u32), promised: (u32, u32), bounds: Bounds) -> String {
    let (width, height) = size;
    if size == bounds.fit(region, promised, false) {
        return "max".to_owned();
    }
    if size == bounds.fit(region, promised, true) {
        return "^max".to_owned();
    }
    format!("{}{width},{height}", if width > region.0 || height > region.1 { "^" } else { "" })
}
