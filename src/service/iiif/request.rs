//! A request for an image: `{region}/{size}/{rotation}/{quality}.{format}` (section 4).

use super::error::IiifError;
use super::region::Region;
use super::rotation;
use super::size::{self, Bounds, Size};
use crate::imaging::{Resize, Tone, Turn};
use crate::service::rendition_url::{RecipeRequest, RenditionFormat};

/// In this quality a lossy format keeps black and white apart.
const BITONAL_QUALITY: u8 = 100;

/// As it was written; what it comes to depends on the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageRequest {
    region: Region,
    size: Size,
    turn: Turn,
    tone: Tone,
    format: RenditionFormat,
}

/// What a request comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// What to make.
    pub recipe: RecipeRequest,
    /// The same request as everyone should write it (section 4.8): one spelling an image.
    pub canonical: String,
}

impl ImageRequest {
    /// Reads the four parts behind the identifier, each percent-decoded.
    ///
    /// # Errors
    /// [`IiifError::BadValue`], naming the part.
    pub fn parse([region, size, rotation, file]: [&str; 4]) -> Result<Self, IiifError> {
        let (quality, extension) = file.rsplit_once('.').unwrap_or((file, ""));
        let bad = |parameter, value: &str, expected| IiifError::BadValue { parameter, value: value.to_owned(), expected };
        let tone = match quality {
            // Photos are shown in all their colours where nothing else is asked for.
            "default" | "color" => Tone::Colour,
            "gray" => Tone::Grey,
            "bitonal" => Tone::Bitonal,
            _ => return Err(bad("quality", quality, "default, color, gray or bitonal")),
        };
        // Each format has one name here.
        let format = RenditionFormat::from_extension(extension).filter(|format| format.extension() == extension);
        Ok(Self {
            region: Region::parse(region)?,
            size: Size::parse(size)?,
            turn: rotation::parse(rotation)?,
            tone,
            format: format.ok_or_else(|| bad("format", extension, "jpg, png, webp or avif"))?,
        })
    }

    /// What it asks of an image that is shown in this size.
    ///
    /// # Errors
    /// [`IiifError`]: a region outside of the image, a size that enlarges without `^`, is past the bounds, or less than a pixel.
    pub fn settle(&self, shown: (u32, u32), bounds: Bounds) -> Result<Settled, IiifError> {
        let promised = bounds.fit(shown, shown, false);
        let region = self.region.of(shown)?;
        let part = (region.width, region.height);
        let (width, height) = self.size.of(part, promised, bounds)?;
        let is_whole = part == shown;
        let spelt_region =
            if is_whole { "full".to_owned() } else { format!("{},{},{},{}", region.x, region.y, region.width, region.height) };
        let quality = match self.tone {
            Tone::Colour => "default",
            Tone::Grey => "gray",
            Tone::Bitonal => "bitonal",
        };
        let canonical = format!(
            "{spelt_region}/{}/{}/{quality}.{}",
            size::spelt((width, height), part, promised, bounds),
            rotation::spelt(self.turn),
            self.format.extension()
        );
        let recipe = RecipeRequest {
            region: (!is_whole).then_some(region),
            width,
            height,
            // Both sides are settled: whatever the shape comes to by rounding.
            resize: Resize::Force,
            enlarge: width > region.width || height > region.height,
            turn: self.turn,
            tone: self.tone,
            quality: (self.tone == Tone::Bitonal).then_some(BITONAL_QUALITY),
            format: Some(self.format),
            ..RecipeRequest::default()
        };
        Ok(Settled { recipe, canonical })
    }
}
