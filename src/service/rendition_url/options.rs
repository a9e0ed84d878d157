//! Processing options: `rs:fit:640:480`, `q:80`, `dpr:2`, one a segment of the path; a later one goes over an earlier one.

use super::UrlError;
use super::recipe::{RecipeRequest, RenditionFormat};

/// Thousandths of a device's pixel ratio.
const DPR_ONE: u64 = 1_000;
/// The largest pixel ratio; devices have up to 4.
const DPR_MAX: u64 = 8 * DPR_ONE;

/// Everything that options say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Options {
    width: u32,
    height: u32,
    enlarge: bool,
    quality: u8,
    dpr: u64,
    format: Option<RenditionFormat>,
    expires: u64,
}

impl Options {
    /// Nothing said.
    pub(super) const NONE: Self = Self { width: 0, height: 0, enlarge: false, quality: 0, dpr: DPR_ONE, format: None, expires: 0 };

    /// Reads one segment.
    pub(super) fn read(&mut self, segment: &str) -> Result<(), UrlError> {
        let (name, arguments) = segment.split_once(':').unwrap_or((segment, ""));
        let mut arguments = Arguments { option: name, rest: Some(arguments) };
        match name {
            "resize" | "rs" => {
                arguments.resizing_type()?;
                self.size(&mut arguments)?;
            }
            "size" | "s" => self.size(&mut arguments)?,
            "resizing_type" | "rt" => arguments.resizing_type()?,
            "width" | "w" => self.width = arguments.number("a width in pixels", u32::MAX)?.unwrap_or(self.width),
            "height" | "h" => self.height = arguments.number("a height in pixels", u32::MAX)?.unwrap_or(self.height),
            "enlarge" | "el" => self.enlarge = arguments.flag()?.unwrap_or(self.enlarge),
            "quality" | "q" => {
                self.quality = arguments.number("a quality from 1 to 100, or 0 for the default", 100)?.unwrap_or(self.quality)
            }
            "dpr" => self.dpr = arguments.dpr()?,
            "format" | "f" | "ext" => {
                let extension = arguments.next().unwrap_or_default();
                self.format = Some(format(name, extension)?);
            }
            "expires" | "exp" => self.expires = arguments.number("a time in seconds since 1970", u64::MAX)?.unwrap_or(0),
            // Renditions are always turned upright and never carry metadata: who asks for it gets it.
            "auto_rotate" | "ar" => arguments.always("1: photos are always shown upright")?,
            "strip_metadata" | "sm" => arguments.always("1: metadata is always left out")?,
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

    /// What they ask for.
    pub(super) fn request(&self) -> RecipeRequest {
        let scale = |side: u32| match u64::from(side) * self.dpr {
            0 => 0,
            // At least a pixel, and rounded to the nearest.
            scaled => ((scaled + DPR_ONE / 2) / DPR_ONE).clamp(1, u64::from(u32::MAX)) as u32,
        };
        RecipeRequest {
            width: scale(self.width),
            height: scale(self.height),
            enlarge: self.enlarge,
            quality: (self.quality > 0).then_some(self.quality),
            format: self.format,
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
        expected: "jpg, png or webp",
    })
}

/// What follows the name of an option.
struct Arguments<'a> {
    option: &'a str,
    rest: Option<&'a str>,
}

impl<'a> Arguments<'a> {
    /// The next argument; `None` where it is left out.
    fn next(&mut self) -> Option<&'a str> {
        let rest = self.rest?;
        let (argument, rest) = rest.split_once(':').map_or((rest, None), |(argument, rest)| (argument, Some(rest)));
        self.rest = rest;
        (!argument.is_empty()).then_some(argument)
    }

    fn number<T: TryFrom<u64> + Into<u64>>(&mut self, expected: &'static str, max: T) -> Result<Option<T>, UrlError> {
        let max: u64 = max.into();
        let Some(text) = self.next() else { return Ok(None) };
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let value =
            digits.then(|| text.parse::<u64>().ok()).flatten().filter(|value| *value <= max).and_then(|value| value.try_into().ok());
        value.map(Some).ok_or_else(|| self.bad(text, expected))
    }

    fn flag(&mut self) -> Result<Option<bool>, UrlError> {
        match self.next() {
            None => Ok(None),
            Some("1" | "t" | "true") => Ok(Some(true)),
            Some("0" | "f" | "false") => Ok(Some(false)),
            Some(other) => Err(self.bad(other, "1 or 0")),
        }
    }

    /// What is so anyway.
    fn always(&mut self, expected: &'static str) -> Result<(), UrlError> {
        match self.flag()? {
            Some(false) => Err(self.bad("0", expected)),
            Some(true) | None => Ok(()),
        }
    }

    fn resizing_type(&mut self) -> Result<(), UrlError> {
        match self.next() {
            None | Some("fit") => Ok(()),
            Some(other) => Err(self.bad(other, "fit: no other way of resizing is supported")),
        }
    }

    /// A pixel ratio above 0 with at most three digits after the point, in thousandths.
    fn dpr(&mut self) -> Result<u64, UrlError> {
        let Some(text) = self.next() else { return Ok(DPR_ONE) };
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = |text: &str, most| text.len() <= most && text.bytes().all(|byte| byte.is_ascii_digit());
        let thousandths =
            (digits(whole, 3) && digits(fraction, 3) && text != ".").then(|| format!("{whole:0>1}{fraction:0<3}").parse::<u64>());
        match thousandths {
            Some(Ok(value @ 1..=DPR_MAX)) => Ok(value),
            _ => Err(self.bad(text, "a pixel ratio above 0, at most 8")),
        }
    }

    /// Demands that nothing is left.
    fn end(&self) -> Result<(), UrlError> {
        match self.rest {
            None => Ok(()),
            Some(rest) if rest.bytes().all(|byte| byte == b':') => Ok(()),
            Some(rest) => Err(self.bad(rest, "fewer arguments")),
        }
    }

    fn bad(&self, value: &str, expected: &'static str) -> UrlError {
        UrlError::BadValue { option: self.option.to_owned(), value: value.to_owned(), expected }
    }
}
