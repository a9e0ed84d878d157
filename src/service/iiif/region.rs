//! The region: which part of the image (section 4.1).

use super::error::IiifError;
use super::number::{Decimal, pixels};
use crate::imaging;

const EXPECTED: &str = "full, square, x,y,w,h or pct:x,y,w,h";

/// As a request says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Region {
    Full,
    /// From the middle.
    Square,
    Pixels([u32; 4]),
    Percent([Decimal; 4]),
}

impl Region {
    pub(super) fn parse(text: &str) -> Result<Self, IiifError> {
        let region = match text {
            "full" => Some(Self::Full),
            "square" => Some(Self::Square),
            _ => match text.strip_prefix("pct:") {
                Some(percent) => four(percent, Decimal::parse).map(Self::Percent),
                None => four(text, pixels).map(Self::Pixels),
            },
        };
        region.ok_or_else(|| IiifError::BadValue { parameter: "region", value: text.to_owned(), expected: EXPECTED })
    }

    /// The part of an image of this size, all of it within the image.
    pub(super) fn of(self, (width, height): (u32, u32)) -> Result<imaging::Region, IiifError> {
        let [x, y, w, h] = match self {
            Self::Full => [0, 0, width, height],
            Self::Square => {
                let side = width.min(height);
                [(width - side) / 2, (height - side) / 2, side, side]
            }
            Self::Pixels(numbers) => numbers,
            Self::Percent([x, y, w, h]) => {
                // Something of a pixel is a pixel.
                let side = |part: Decimal, whole| if part.is_zero() { 0 } else { part.percent_of(whole).max(1) };
                [x.percent_of(width), y.percent_of(height), side(w, width), side(h, height)]
            }
        };
        if w == 0 || h == 0 {
            return Err(IiifError::Empty { parameter: "region" });
        }
        if x >= width || y >= height {
            return Err(IiifError::Outside { width, height });
        }
        // What reaches past the edge is cut off.
        Ok(imaging::Region { x, y, width: w.min(width - x), height: h.min(height - y) })
    }
}

/// Exactly four, apart by commas.
fn four<T: Copy>(text: &str, read: impl Fn(&str) -> Option<T>) -> Option<[T; 4]> {
    let numbers: Option<Vec<T>> = text.split(',').take(5).map(read).collect();
    numbers?.try_into().ok()
}
