//! Processing options: `rs:fill:640:480`, `q:80`, `dpr:2`, one a segment of the path; a later one goes over an earlier one.

use super::UrlError;
use super::arguments::Arguments;
use super::recipe::{RecipeRequest, RenditionFormat};
use crate::imaging::{Align, Gravity, Resize};

/// Thousandths of a device's pixel ratio.
const DPR_ONE: u64 = 1_000;
/// The largest pixel ratio; devices have up to 4.
const DPR_MAX: u64 = 8 * DPR_ONE;
/// The widest blur, in hundredths of a pixel.
const MAX_BLUR: u64 = 100 * 100;

/// Everything that options say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Options {
    resize: Resize,
    width: u32,
    height: u32,
    enlarge: bool,
    gravity: Gravity,
    background: Option<[u8; 3]>,
    blur: u32,
    quality: u8,
    dpr: u64,
    animated: bool,
    format: Option<RenditionFormat>,
    expires: u64,
}

impl Options {
    /// Nothing said.
    pub(super) const NONE: Self = Self {
        resize: Resize::Fit,
        width: 0,
        height: 0,
        enlarge: false,
        gravity: Gravity::CENTRE,
        background: None,
        blur: 0,
        quality: 0,
        dpr: DPR_ONE,
        animated: false,
        format: None,
        expires: 0,
    };

    /// Reads one segment.
    pub(super) fn read(&mut self, segment: &str) -> Result<(), UrlError> {
        let (name, arguments) = segment.split_once(':').unwrap_or((segment, ""));
        let mut arguments = Arguments::of(name, arguments);
        match name {
            "resize" | "rs" => {
                self.resizing_type(&mut arguments)?;
                self.size(&mut arguments)?;
            }
            "size" | "s" => self.size(&mut arguments)?,
            "resizing_type" | "rt" => self.resizing_type(&mut arguments)?,
            "width" | "w" => self.width = arguments.number("a width in pixels", u32::MAX)?.unwrap_or(self.width),
            "height" | "h" => self.height = arguments.number("a height in pixels", u32::MAX)?.unwrap_or(self.height),
            "enlarge" | "el" => self.enlarge = arguments.flag()?.unwrap_or(self.enlarge),
            "gravity" | "g" => self.gravity = gravity(&mut arguments)?,
            "background" | "bg" => self.background = background(&mut arguments)?,
            "blur" | "bl" => {
                let blur = arguments.decimal(2, MAX_BLUR, "a blur in pixels, at most 100")?;
                self.blur = blur.and_then(|blur| blur.try_into().ok()).unwrap_or(0);
            }
            "quality" | "q" => {
                self.quality = arguments.number("a quality from 1 to 100, or 0 for the default", 100)?.unwrap_or(self.quality)
            }
            "dpr" => self.dpr = dpr(&mut arguments)?,
            // Unlike imgproxy, which keeps an animation unless this says 1: most pages want one picture, and say so where they do not.
            "disable_animation" | "da" => self.animated = arguments.flag()? == Some(false),
            "format" | "f" | "ext" => {
                let extension = arguments.next().unwrap_or_default();
                self.format = Some(format(name, extension)?);
            }
            "expires" | "exp" => self.expires = arguments.number("a time in seconds since 1970", u64::MAX)?.unwrap_or(0),
            // Renditions are always turned upright and never carry metadata: who asks for it gets it.
            "auto_rotate" | "ar" => arguments.always("1: photos are always shown upright")?,
            "strip_metadata" | "sm" => arguments.always("1: metadata is always left out")?,
            "strip_color_profile" | "scp" => arguments.always("1: colours are always converted to sRGB")?,
            // It only makes the URL another one.
            "cachebuster" | "cb" => return Ok(()),
            _ => return Err(UrlError::UnknownOption { option: name.to_owned() }),
        }
        arguments.end()
    }

    /// Takes the extension of the source, which goes over all options.
    pub(super) fn extension(&mut self, extension: &str) -> Result<(), UrlError> {
        self.format = Some(format("extension", extension)?);
        Ok(())
    }

    /// `width:height:enlarge:extend`, each of which may be left out.
    fn size(&mut self, arguments: &mut Arguments<'_>) -> Result<(), UrlError> {
        self.width = arguments.number("a width in pixels", u32::MAX)?.unwrap_or(self.width);
        self.height = arguments.number("a height in pixels", u32::MAX)?.unwrap_or(self.height);
        self.enlarge = arguments.flag()?.unwrap_or(self.enlarge);
        match arguments.flag()? {
            Some(true) => Err(arguments.bad("1", "no extending: it is not supported")),
            Some(false) | None => Ok(()),
        }
    }

    fn resizing_type(&mut self, arguments: &mut Arguments<'_>) -> Result<(), UrlError> {
        self.resize = match arguments.next() {
            None => self.resize,
            Some("fit") => Resize::Fit,
            Some("fill") => Resize::Fill,
            Some("fill-down") => Resize::FillDown,
            Some("force") => Resize::Force,
            Some("auto") => Resize::Auto,
            Some(other) => return Err(arguments.bad(other, "fit, fill, fill-down, force or auto")),
        };
        Ok(())
    }

    /// What they ask for.
    pub(super) fn request(&self) -> RecipeRequest {
        let scale = |side: u32| match u64::from(side) * self.dpr {
            0 => 0,
            // At least a pixel, and rounded to the nearest.
            scaled => ((scaled + DPR_ONE / 2) / DPR_ONE).clamp(1, u64::from(u32::MAX)) as u32,
        };
        let moved = |pixels: i32| (f64::from(pixels) * self.dpr as f64 / DPR_ONE as f64).round() as i32;
        let gravity = match self.gravity {
            Gravity::Towards { x, y, offset_x, offset_y } => {
                Gravity::Towards { x, y, offset_x: moved(offset_x), offset_y: moved(offset_y) }
            }
            other => other,
        };
        RecipeRequest {
            width: scale(self.width),
            height: scale(self.height),
            resize: self.resize,
            gravity,
            enlarge: self.enlarge,
            background: self.background,
            blur: self.blur,
            quality: (self.quality > 0).then_some(self.quality),
            format: self.format,
            animated: self.animated,
            ..RecipeRequest::default()
        }
    }

    /// When the URL ceases to hold, in seconds since 1970.
    pub(super) fn expires(&self) -> Option<u64> {
        (self.expires > 0).then_some(self.expires)
    }
}

fn format(option: &str, extension: &str) -> Result<RenditionFormat, UrlError> {
    RenditionFormat::from_extension(extension).ok_or_else(|| UrlError::BadValue {
        option: option.to_owned(),
        value: extension.to_owned(),
        expected: "jpg, png, webp or avif",
    })
}

/// The names of edges, corners and the middle.
pub(super) const DIRECTIONS: [(&str, Align, Align); 9] = [
    ("ce", Align::Middle, Align::Middle),
    ("no", Align::Middle, Align::Start),
    ("so", Align::Middle, Align::End),
    ("ea", Align::End, Align::Middle),
    ("we", Align::Start, Align::Middle),
    ("noea", Align::End, Align::Start),
    ("nowe", Align::Start, Align::Start),
    ("soea", Align::End, Align::End),
    ("sowe", Align::Start, Align::End),
];

/// `ce:x:y` and the like, `fp:x:y`, or `sm`.
fn gravity(arguments: &mut Arguments<'_>) -> Result<Gravity, UrlError> {
    let kind = arguments.next().unwrap_or("ce");
    if kind == "sm" {
        return Ok(Gravity::Smart);
    }
    if kind == "fp" {
        const MIDDLE: u64 = Gravity::POINT_WHOLE as u64 / 2;
        let mut part = || arguments.decimal(4, Gravity::POINT_WHOLE.into(), "parts of width and height from 0 to 1");
        let (x, y) = (part()?.unwrap_or(MIDDLE), part()?.unwrap_or(MIDDLE));
        // Both are at most what a side is in whole.
        return Ok(Gravity::Point { x: x as u16, y: y as u16 });
    }
    let Some((_, x, y)) = DIRECTIONS.into_iter().find(|(name, ..)| *name == kind) else {
        return Err(arguments.bad(kind, "no, so, ea, we, noea, nowe, soea, sowe, ce, sm or fp"));
    };
    let offset_x = arguments.whole("an offset in whole pixels")?.unwrap_or(0);
    let offset_y = arguments.whole("an offset in whole pixels")?.unwrap_or(0);
    Ok(Gravity::Towards { x, y, offset_x, offset_y })
}

/// `red:green:blue`, or six hexadecimal digits; nothing takes it back.
fn background(arguments: &mut Arguments<'_>) -> Result<Option<[u8; 3]>, UrlError> {
    const EXPECTED: &str = "red, green and blue from 0 to 255, or six hexadecimal digits";
    let mut numbers = *arguments;
    let Some(first) = arguments.next() else { return Ok(None) };
    if first.len() == 6 && first.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let colour = u32::from_str_radix(first, 16).map_err(|_| arguments.bad(first, EXPECTED))?;
        let [_, r, g, b] = colour.to_be_bytes();
        return Ok(Some([r, g, b]));
    }
    let mut colour = [0; 3];
    for sample in &mut colour {
        *sample = numbers.number(EXPECTED, u8::MAX)?.ok_or_else(|| numbers.bad(first, EXPECTED))?;
    }
    *arguments = numbers;
    Ok(Some(colour))
}

/// A pixel ratio above 0 with at most three digits after the point, in thousandths.
fn dpr(arguments: &mut Arguments<'_>) -> Result<u64, UrlError> {
    const EXPECTED: &str = "a pixel ratio above 0, at most 8";
    match arguments.decimal(3, DPR_MAX, EXPECTED)? {
        None => Ok(DPR_ONE),
        Some(0) => Err(arguments.bad("0", EXPECTED)),
        Some(dpr) => Ok(dpr),
    }
}
