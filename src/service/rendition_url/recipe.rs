//! What a rendition is to be: as a URL asks for it, and settled.

use std::fmt;

/// A format that renditions are made in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RenditionFormat {
    /// JPEG, for everyone.
    Jpeg,
    /// PNG, lossless.
    Png,
    /// WebP, lossy, smaller than JPEG.
    WebP,
}

impl RenditionFormat {
    /// The format of an extension as it stands in a URL; `None` for one that is not made.
    pub fn from_extension(extension: &str) -> Option<Self> {
        match extension {
            "jpg" | "jpeg" => Some(Self::Jpeg),
            "png" => Some(Self::Png),
            "webp" => Some(Self::WebP),
            _ => None,
        }
    }

    /// The extension, in one spelling.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Jpeg => "jpg",
            Self::Png => "png",
            Self::WebP => "webp",
        }
    }

    /// The media type.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::WebP => "image/webp",
        }
    }

    /// Whether quality means something to it.
    const fn is_lossy(self) -> bool {
        !matches!(self, Self::Png)
    }
}

/// What a URL asks for. The device's pixel ratio is multiplied into width and height already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecipeRequest {
    /// Width to fit into, in pixels; 0: any.
    pub width: u32,
    /// Height to fit into, in pixels; 0: any.
    pub height: u32,
    /// Whether a smaller photo is made larger.
    pub enlarge: bool,
    /// 1 to 100; `None`: the site's default.
    pub quality: Option<u8>,
    /// `None`: what the client likes best.
    pub format: Option<RenditionFormat>,
}

/// A width or height past what the site makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{asked} pixels are more than the {limit} that renditions may have a side")]
pub struct SideTooLarge {
    /// What the URL asks for.
    pub asked: u32,
    /// What is allowed.
    pub limit: u32,
}

/// A settled recipe. Two that give the same bytes are equal and have the same key, so that they share an entry of the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RecipeKey {
    /// Width to fit into; 0: any.
    pub width: u32,
    /// Height to fit into; 0: any.
    pub height: u32,
    /// Whether a smaller photo is made larger.
    pub enlarge: bool,
    /// 1 to 100; 0 for a lossless format.
    pub quality: u8,
    /// The format.
    pub format: RenditionFormat,
}

impl RecipeRequest {
    /// Settles what the URL left open: `format` where it names none, and the quality.
    ///
    /// # Errors
    /// [`SideTooLarge`] past `max_side`.
    pub fn settle(&self, format: RenditionFormat, default_quality: u8, max_side: u32) -> Result<RecipeKey, SideTooLarge> {
        let asked = self.width.max(self.height);
        if asked > max_side {
            return Err(SideTooLarge { asked, limit: max_side });
        }
        let format = self.format.unwrap_or(format);
        Ok(RecipeKey {
            width: self.width,
            height: self.height,
            // Without a box there is nothing to be enlarged to.
            enlarge: self.enlarge && asked > 0,
            quality: if format.is_lossy() { self.quality.unwrap_or(default_quality) } else { 0 },
            format,
        })
    }
}

impl fmt::Display for RecipeKey {
    /// `640x0q80.webp`, or `640x480eq80.jpg` where it may enlarge: one spelling a recipe, fit for a file's name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let enlarge = if self.enlarge { "e" } else { "" };
        write!(f, "{}x{}{enlarge}q{}.{}", self.width, self.height, self.quality, self.format.extension())
    }
}
