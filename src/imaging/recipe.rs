//! What a picture is to be.

use serde::{Deserialize, Serialize};

use super::encode::OutputFormat;

/// How a photo is brought to the recipe's size. The words and what they mean are imgproxy's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Resize {
    /// The whole photo, within the size.
    #[default]
    Fit,
    /// The size is filled, and what stands out is cut off.
    Fill,
    /// As [`Resize::Fill`]; a photo too small for the size still gets its shape.
    FillDown,
    /// Exactly the size, whatever becomes of the shape.
    Force,
    /// [`Resize::Fill`] where photo and size are both upright or both wide, else [`Resize::Fit`].
    Auto,
}

/// Where something lies along one side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Align {
    /// Left, or top.
    Start,
    /// In the middle.
    #[default]
    Middle,
    /// Right, or bottom.
    End,
}

/// Which part of a photo is kept where some has to be cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Gravity {
    /// At an edge, a corner or in the middle, moved inwards (from the middle: right and down) by so many pixels of the result.
    Towards {
        /// Along the width.
        x: Align,
        /// Along the height.
        y: Align,
        /// Pixels of the result along the width.
        offset_x: i32,
        /// Pixels of the result along the height.
        offset_y: i32,
    },
    /// Around a point, in ten-thousandths of width and height.
    Point {
        /// From the left.
        x: u16,
        /// From the top.
        y: u16,
    },
    /// Where there is most to see: edges, skin, strong colours.
    Smart,
}

impl Gravity {
    /// In the middle.
    pub const CENTRE: Self = Self::Towards { x: Align::Middle, y: Align::Middle, offset_x: 0, offset_y: 0 };
    /// Of a whole side, for [`Gravity::Point`].
    pub const POINT_WHOLE: u16 = 10_000;
}

/// A part of a photo, in its pixels as shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Region {
    /// From the left edge.
    pub x: u32,
    /// From the top edge.
    pub y: u32,
    /// At least 1; what reaches past the photo is left out.
    pub width: u32,
    /// At least 1; what reaches past the photo is left out.
    pub height: u32,
}

/// How a finished picture is turned, after everything else: first mirrored, then rotated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Turn {
    /// Whether left and right change places.
    pub mirrored: bool,
    /// Quarters clockwise, 0 to 3.
    pub quarters: u8,
}

/// Which colours are left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Tone {
    /// All.
    #[default]
    Colour,
    /// Lightness alone.
    Grey,
    /// Black and white.
    Bitonal,
}

/// What to make.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Recipe {
    /// The part of the photo to make it of; `None`: all.
    pub region: Option<Region>,
    /// Width of the picture before it is turned, in pixels; 0: as the height and the shape give.
    pub width: u32,
    /// Height of the picture before it is turned, in pixels; 0: as the width and the shape give.
    pub height: u32,
    /// How it comes to that size.
    pub resize: Resize,
    /// Which part is kept where some is cut off.
    pub gravity: Gravity,
    /// Whether a photo smaller than that is made larger.
    pub enlarge: bool,
    /// How the picture is turned in the end.
    pub turn: Turn,
    /// Which colours are left.
    pub tone: Tone,
    /// Standard deviation of a Gaussian blur, in hundredths of a pixel of the result; 0: none.
    pub blur: u32,
    /// What transparent pictures are laid on: red, green, blue. `None`: on white where the format knows no transparency, else on nothing.
    pub background: Option<[u8; 3]>,
    /// 1 to 100; out of range is taken for the nearest.
    pub quality: u8,
    /// What to write.
    pub format: OutputFormat,
    /// Whether an animation (GIF, WebP, PNG) stays one, in WebP. Without it, and in other formats, its first frame is shown.
    pub animated: bool,
}

impl Recipe {
    /// Within this size (0 for any), not enlarged, quality 80.
    pub fn fit(width: u32, height: u32, format: OutputFormat) -> Self {
        Self {
            region: None,
            width,
            height,
            resize: Resize::Fit,
            gravity: Gravity::CENTRE,
            enlarge: false,
            turn: Turn::default(),
            tone: Tone::Colour,
            blur: 0,
            background: None,
            quality: 80,
            format,
            animated: false,
        }
    }
}
