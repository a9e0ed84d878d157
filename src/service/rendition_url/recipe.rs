//! What a rendition is to be: as a URL asks for it, and settled.

use std::fmt;

use super::options::DIRECTIONS;
use crate::imaging::{Gravity, Region, Resize, Tone, Turn};

/// A format that renditions are made in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RenditionFormat {
    /// JPEG, for everyone.
    Jpeg,
    /// PNG, lossless.
    Png,
    /// WebP, lossy, smaller than JPEG.
    WebP,
    /// AVIF, lossy, smaller than WebP; takes long to make.
    Avif,
}

impl RenditionFormat {
    /// The format of an extension as it stands in a URL; `None` for one that is not made.
    pub fn from_extension(extension: &str) -> Option<Self> {
        match extension {
            "jpg" | "jpeg" => Some(Self::Jpeg),
            "png" => Some(Self::Png),
            "webp" => Some(Self::WebP),
            "avif" => Some(Self::Avif),
            _ => None,
        }
    }

    /// The extension, in one spelling.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Jpeg => "jpg",
            Self::Png => "png",
            Self::WebP => "webp",
            Self::Avif => "avif",
        }
    }

    /// The media type.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::WebP => "image/webp",
            Self::Avif => "image/avif",
        }
    }

    /// Whether quality means something to it.
    const fn is_lossy(self) -> bool {
        !matches!(self, Self::Png)
    }

    /// How many times as long as JPEG it takes to write a pixel of it; `None`: it is slow however small. WebP took 36 ms for 1280 pixels where JPEG
    /// took 2.7; PNG is taken for the same.
    const fn cost(self) -> Option<u64> {
        match self {
            Self::Jpeg => Some(1),
            Self::Png | Self::WebP => Some(13),
            Self::Avif => None,
        }
    }
}

/// What a URL asks for. The device's pixel ratio is multiplied into width and height already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecipeRequest {
    /// The part of the photo to make it of; `None`: all.
    pub region: Option<Region>,
    /// Width to bring it to, in pixels; 0: any.
    pub width: u32,
    /// Height to bring it to, in pixels; 0: any.
    pub height: u32,
    /// How.
    pub resize: Resize,
    /// What is kept where something is cut off.
    pub gravity: Gravity,
    /// Whether a smaller photo is made larger.
    pub enlarge: bool,
    /// What it is laid on; `None`: white where the format knows no transparency.
    pub background: Option<[u8; 3]>,
    /// How it is turned in the end.
    pub turn: Turn,
    /// Which colours are left.
    pub tone: Tone,
    /// Blur, in hundredths of a pixel.
    pub blur: u32,
    /// 1 to 100; `None`: the site's default.
    pub quality: Option<u8>,
    /// `None`: what the client likes best.
    pub format: Option<RenditionFormat>,
    /// Whether an animation stays one, where the format can.
    pub animated: bool,
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
    /// The part of the photo to make it of; `None`: all.
    pub region: Option<Region>,
    /// Width to bring it to; 0: any.
    pub width: u32,
    /// Height to bring it to; 0: any.
    pub height: u32,
    /// How.
    pub resize: Resize,
    /// What is kept; the middle where nothing is cut off.
    pub gravity: Gravity,
    /// Whether a smaller photo is made larger.
    pub enlarge: bool,
    /// What it is laid on; `None` where that changes nothing.
    pub background: Option<[u8; 3]>,
    /// How it is turned in the end.
    pub turn: Turn,
    /// Which colours are left.
    pub tone: Tone,
    /// Blur, in hundredths of a pixel.
    pub blur: u32,
    /// 1 to 100; 0 for a lossless format.
    pub quality: u8,
    /// The format.
    pub format: RenditionFormat,
    /// Whether an animation stays one.
    pub animated: bool,
}

/// Of pictures that are small, 640 pixels each way at most.
const SMALL_PIXELS: u64 = 640 * 640;
/// The largest picture that a small photo is made into among what others wait for.
const ENLARGED_PIXELS: u64 = 8_000_000;
/// The most that writing a picture may cost among what others wait for, in pixels of JPEG: a quarter of a second, 8 million pixels of WebP.
const MAX_COST: u64 = 104_000_000;

impl RecipeKey {
    /// Whether nothing else should wait behind it, whatever the photo; `None`: that depends on how large the picture becomes.
    pub fn is_slow(&self) -> Option<bool> {
        if self.format.cost().is_none() || self.animated || (self.enlarge && self.pixels() > ENLARGED_PIXELS) {
            return Some(true);
        }
        // A photo only makes it smaller, but one side alone says little of a panorama.
        let is_bounded = self.is_small() || (self.width > 0 && self.height > 0 && !self.is_slow_at((self.width, self.height)));
        is_bounded.then_some(false)
    }

    /// Whether nothing else should wait behind a picture that becomes so large.
    pub fn is_slow_at(&self, (width, height): (u32, u32)) -> bool {
        let pixels = u64::from(width) * u64::from(height);
        self.format.cost().is_none_or(|cost| pixels.saturating_mul(cost) > MAX_COST)
    }

    /// Whether it is of a grid or of a page of photos: at most a few hundred kB.
    pub fn is_small(&self) -> bool {
        (1..=SMALL_PIXELS).contains(&self.pixels()) && !self.animated
    }

    /// Of a square where one side says how large it becomes.
    fn pixels(&self) -> u64 {
        let or = |side: u32, other: u32| u64::from(if side == 0 { other } else { side });
        or(self.width, self.height) * or(self.height, self.width)
    }
}

impl Default for RecipeRequest {
    /// The whole photo as it is.
    fn default() -> Self {
        Self {
            region: None,
            width: 0,
            height: 0,
            resize: Resize::Fit,
            gravity: Gravity::CENTRE,
            enlarge: false,
            background: None,
            turn: Turn::default(),
            tone: Tone::Colour,
            blur: 0,
            quality: None,
            format: None,
            animated: false,
        }
    }
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
        let cuts = matches!(self.resize, Resize::Fill | Resize::FillDown | Resize::Auto) && self.width > 0 && self.height > 0;
        // With one side or none there is nothing to fill, and with none nothing to force.
        let resize = if cuts || (self.resize == Resize::Force && asked > 0) { self.resize } else { Resize::Fit };
        let white_on_white = format == RenditionFormat::Jpeg && self.background == Some([255; 3]);
        Ok(RecipeKey {
            region: self.region,
            width: self.width,
            height: self.height,
            resize,
            gravity: if cuts { self.gravity } else { Gravity::CENTRE },
            background: self.background.filter(|_| !white_on_white),
            turn: self.turn,
            tone: self.tone,
            blur: self.blur,
            // Without a box there is nothing to be enlarged to.
            enlarge: self.enlarge && asked > 0,
            quality: if format.is_lossy() { self.quality.unwrap_or(default_quality) } else { 0 },
            format,
            animated: self.animated && format == RenditionFormat::WebP,
        })
    }
}

/// As URLs name it.
pub(super) const fn name_of(resize: Resize) -> &'static str {
    match resize {
        Resize::Fit => "fit",
        Resize::Fill => "fill",
        Resize::FillDown => "fill-down",
        Resize::Force => "force",
        Resize::Auto => "auto",
    }
}

/// As URLs spell it.
pub(super) fn spelt(gravity: Gravity) -> String {
    match gravity {
        Gravity::Smart => "sm".into(),
        Gravity::Point { x, y } => {
            let part = |of: u16| format!("{}.{:04}", of / Gravity::POINT_WHOLE, of % Gravity::POINT_WHOLE);
            format!("fp:{}:{}", part(x), part(y))
        }
        Gravity::Towards { x, y, offset_x, offset_y } => {
            // All nine stand in the list.
            let name = DIRECTIONS.into_iter().find(|(_, at_x, at_y)| (*at_x, *at_y) == (x, y)).map_or("ce", |(name, ..)| name);
            if (offset_x, offset_y) == (0, 0) { name.into() } else { format!("{name}:{offset_x}:{offset_y}") }
        }
    }
}

impl fmt::Display for RecipeKey {
    /// `640x0q80.webp`; `640x480eq80.jpg` where it may enlarge; `640x480-fill-g=sm-bg=ffffff-bl=250-anq80.webp` with all that a signed URL can say;
    /// `64x48-force-r=10,20,640,480-t=!1-greyq80.jpg` with what IIIF says beside: one spelling a recipe.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}{}", self.width, self.height, if self.enlarge { "e" } else { "" })?;
        if self.resize != Resize::Fit {
            write!(f, "-{}", name_of(self.resize))?;
        }
        if self.gravity != Gravity::CENTRE {
            write!(f, "-g={}", spelt(self.gravity))?;
        }
        if let Some([r, g, b]) = self.background {
            write!(f, "-bg={r:02x}{g:02x}{b:02x}")?;
        }
        if self.blur > 0 {
            write!(f, "-bl={}", self.blur)?;
        }
        if let Some(Region { x, y, width, height }) = self.region {
            write!(f, "-r={x},{y},{width},{height}")?;
        }
        if self.turn != Turn::default() {
            write!(f, "-t={}{}", if self.turn.mirrored { "!" } else { "" }, self.turn.quarters)?;
        }
        match self.tone {
            Tone::Colour => {}
            Tone::Grey => f.write_str("-grey")?,
            Tone::Bitonal => f.write_str("-bitonal")?,
        }
        if self.animated {
            write!(f, "-an")?;
        }
        write!(f, "q{}.{}", self.quality, self.format.extension())
    }
}
