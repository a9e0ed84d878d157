//! A smaller picture of a photo.

use super::colour::to_srgb;
use super::decode::decode;
use super::encode::{OutputFormat, encode};
use super::error::{Extent, ImagingError};
use super::exif;
use super::fit::fit;
use super::limits::Limits;
use super::orientation::Orientation;
use super::resize::resize;
use super::shield::shielded;
use super::structure::outline;

/// What to make.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Recipe {
    /// The widest that the picture may be, as shown, in pixels; 0 for any.
    pub width: u32,
    /// The highest that the picture may be, as shown, in pixels; 0 for any.
    pub height: u32,
    /// Whether a photo smaller than that is made larger.
    pub enlarge: bool,
    /// 1 to 100; out of range is taken for the nearest.
    pub quality: u8,
    /// What to write.
    pub format: OutputFormat,
    /// What transparent pictures are laid on where the format knows no transparency: red, green, blue.
    pub background: [u8; 3],
}

impl Recipe {
    /// Within this size (0 for any), not enlarged, quality 80, on white.
    pub fn fit(width: u32, height: u32, format: OutputFormat) -> Self {
        Self { width, height, enlarge: false, quality: 80, format, background: [255; 3] }
    }
}

/// What was made.
#[derive(Clone, PartialEq, Eq)]
pub struct Rendered {
    /// A file: the picture the right way up, in sRGB, without any metadata of the photo.
    pub bytes: Vec<u8>,
    /// What the file is.
    pub format: OutputFormat,
    /// In pixels, at least 1.
    pub width: u32,
    /// In pixels, at least 1.
    pub height: u32,
}

impl std::fmt::Debug for Rendered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Rendered({:?}, {} x {}, {} bytes)", self.format, self.width, self.height, self.bytes.len())
    }
}

/// Makes a picture that fits the recipe's size (and the largest that its format can hold), keeping the photo's shape. Of an animation
/// or a file of several pages, the first. The same bytes and recipe give the same picture, but on another build maybe other bytes.
///
/// Takes from milliseconds to about a second, and up to [`Limits::max_decoded_bytes`] of memory; at full size up to twice that.
///
/// # Errors
/// As [`super::inspect`], and [`ImagingError::Encoding`]. Damage that only decoding shows is found here where [`super::inspect`] left it.
pub fn render(bytes: &[u8], recipe: &Recipe, limits: &Limits) -> Result<Rendered, ImagingError> {
    let outline = outline(bytes, limits)?;
    let metadata = exif::read(outline.exif.as_deref(), None);
    let orientation = metadata.orientation.unwrap_or(Orientation::NORMAL);

    let max_side = recipe.format.max_side();
    let bound = |side: u32| if side == 0 { max_side } else { side.min(max_side) };
    let shown = orientation.shown((outline.width, outline.height));
    // Without a size, the format's own bound may only make the picture smaller.
    let enlarge = recipe.enlarge && (recipe.width, recipe.height) != (0, 0);
    let target = fit(shown, (bound(recipe.width), bound(recipe.height)), enlarge);
    limits.check(Extent::Pixels, u64::from(target.0) * u64::from(target.1))?;
    // The picture, and a copy of it while it is turned or converted.
    limits.check(Extent::DecodedBytes, u64::from(target.0) * u64::from(target.1) * 8)?;
    let (width, height) = orientation.shown(target);

    // Twice the size at least: below that the decoder's scaling costs sharpness.
    let decoded = decode(bytes, &outline, (width.saturating_mul(2), height.saturating_mul(2)), limits)?;
    shielded(outline.format, || {
        let small = resize(decoded.pixels, width, height)?;
        let upright = orientation.apply(to_srgb(small, decoded.icc.as_deref()));
        let bytes = encode(upright, recipe.format, recipe.quality.clamp(1, 100), recipe.background)?;
        Ok(Rendered { bytes, format: recipe.format, width: target.0, height: target.1 })
    })
}
