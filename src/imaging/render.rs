//! Pictures of a photo.

use std::borrow::Cow;

use super::animation::{animated, is_moving};
use super::colour::{is_other_than_srgb, to_srgb};
use super::decode::{Decoded, Scale, decode, decode_planes, scale};
use super::effects::{blurred, toned, turned};
use super::encode::{OutputFormat, encode, encode_planes};
use super::error::{Extent, ImagingError};
use super::exif;
use super::fit::fit;
use super::framing::{Framing, Window};
use super::limits::Limits;
use super::orientation::Orientation;
use super::pixels::{Layout, Pixels};
use super::planar::{Planar, Sharing};
use super::preview::preview_recipe;
use super::recipe::{Gravity, Recipe, Tone, Turn};
use super::resize::{resize, resized};
use super::shield::shielded;
use super::smart;
use super::structure::{Outline, outline};

/// How much larger than the picture a decoder must deliver the photo: scaling while decoding costs sharpness below that.
const OVERSIZE: f64 = 2.0;
/// The largest AVIF: its encoder takes some hundred bytes a pixel.
const MAX_AVIF_PIXELS: u64 = 16 << 20;
/// Memory for decoded planes that is kept for the next photo.
const SCRATCH_KEPT_BYTES: usize = 64 << 20;

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

/// Makes one picture; whoever makes many keeps a [`Renderer`].
///
/// # Errors
/// As [`Renderer::render`].
pub fn render(bytes: &[u8], recipe: &Recipe, limits: &Limits) -> Result<Rendered, ImagingError> {
    Renderer::default().render(bytes, recipe, limits)
}

/// Makes pictures, and keeps up to 64 MiB of memory from one for the next.
#[derive(Debug, Default)]
pub struct Renderer {
    pub(super) scratch: Vec<u8>,
}

impl Renderer {
    /// Makes a picture as the recipe says (and at most as large as its format can hold). Of an animation or a file of several pages, the
    /// first, but for an animation that shall stay one. The same bytes and recipe give the same picture, but on another build maybe other bytes.
    ///
    /// Takes from milliseconds to about a second, for AVIF several, and up to [`Limits::max_decoded_bytes`] of memory; at full size up to
    /// twice that.
    ///
    /// # Errors
    /// As [`super::inspect`], and [`ImagingError::Encoding`]. Damage that only decoding shows is found here where [`super::inspect`] left it.
    pub fn render(&mut self, bytes: &[u8], recipe: &Recipe, limits: &Limits) -> Result<Rendered, ImagingError> {
        self.draw(&Opened::of(bytes, None, limits)?.plan(recipe)?)
    }

    /// As [`Renderer::render`] of the photo that this is a preview of, and that is `shown` pixels large the right way up; where
    /// [`super::preview_serves`], it is as sharp.
    ///
    /// # Errors
    /// As [`Renderer::render`].
    pub fn render_preview(
        &mut self,
        preview: &[u8],
        shown: (u32, u32),
        recipe: &Recipe,
        limits: &Limits,
    ) -> Result<Rendered, ImagingError> {
        self.draw(&Opened::of(preview, Some(shown), limits)?.plan(recipe)?)
    }

    /// Makes a photo's preview, a JPEG; `None` for a photo that is transparent anywhere, or could be: a JPEG would not be.
    ///
    /// # Errors
    /// As [`Renderer::render`].
    pub fn preview(&mut self, bytes: &[u8], limits: &Limits) -> Result<Option<Rendered>, ImagingError> {
        let (recipe, opened) = (preview_recipe(), Opened::of(bytes, None, limits)?);
        let plan = opened.plan(&recipe)?;
        let picture = plan.decoded(&mut self.scratch)?;
        let made = (!picture.may_be_transparent()).then(|| plan.made(picture, &mut Resized::default()));
        self.trim();
        made.transpose()
    }

    fn draw(&mut self, plan: &Plan<'_>) -> Result<Rendered, ImagingError> {
        if let Some(moving) = plan.moving() {
            return moving;
        }
        let made = plan.made(plan.decoded(&mut self.scratch)?, &mut Resized::default());
        self.trim();
        made
    }

    pub(super) fn trim(&mut self) {
        if self.scratch.capacity() > SCRATCH_KEPT_BYTES {
            self.scratch = vec![];
        }
    }
}

/// A photo whose structure was read: the limits hold.
pub(super) struct Opened<'a> {
    bytes: &'a [u8],
    outline: Outline<'a>,
    orientation: Orientation,
    /// The photo's own size, as shown.
    shown: (u32, u32),
    /// Whether this is another picture of the photo.
    is_preview: bool,
    limits: &'a Limits,
}

impl<'a> Opened<'a> {
    /// `shown` is the size of the photo, as shown, where `bytes` are another picture of it.
    pub(super) fn of(bytes: &'a [u8], shown: Option<(u32, u32)>, limits: &'a Limits) -> Result<Self, ImagingError> {
        let outline = outline(bytes, limits)?;
        let orientation = outline.orientation(exif::read(outline.exif.as_deref(), None).orientation);
        let (is_preview, shown) = (shown.is_some(), shown.unwrap_or(orientation.shown((outline.width, outline.height))));
        Ok(Self { bytes, outline, orientation, shown, is_preview, limits })
    }

    /// What this recipe makes of it.
    pub(super) fn plan<'p>(&'p self, recipe: &'p Recipe) -> Result<Plan<'p>, ImagingError> {
        let framing = Framing::of(self.shown, recipe, recipe.format.max_side());
        let target_pixels = u64::from(framing.target.0) * u64::from(framing.target.1);
        self.limits.check(Extent::Pixels, target_pixels)?;
        self.limits.check(Extent::DecodedBytes, target_pixels.saturating_mul(recipe.format.drawn_bytes_per_pixel()))?;
        if recipe.format == OutputFormat::Avif && target_pixels > MAX_AVIF_PIXELS {
            return Err(ImagingError::TooLarge { extent: Extent::Pixels, found: target_pixels, limit: MAX_AVIF_PIXELS });
        }
        Ok(Plan { photo: self, framing, recipe })
    }
}

/// What a picture is made of and how, checked against the limits before anything is decoded.
pub(super) struct Plan<'a> {
    photo: &'a Opened<'a>,
    framing: Framing,
    recipe: &'a Recipe,
}

impl Plan<'_> {
    /// The picture where it is one that moves.
    pub(super) fn moving(&self) -> Option<Result<Rendered, ImagingError>> {
        let Self { photo: Opened { bytes, outline, orientation, limits, .. }, framing, recipe } = self;
        let animate = || animated(bytes, outline, recipe, framing, *orientation, limits);
        is_moving(outline, recipe).then(|| shielded(outline.format, animate))
    }

    /// How large the photo has to be decoded at least, as stored.
    fn at_least(&self) -> (u32, u32) {
        let Opened { outline, orientation, is_preview, .. } = self.photo;
        let at_least = orientation.shown(oversize(&self.framing));
        // A preview is decoded nearly as fast at half its size as at a quarter, and then once for all thumbnails.
        let least = |side: u32| if *is_preview { side.div_ceil(2) } else { 1 };
        (at_least.0.max(least(outline.width)).min(outline.width), at_least.1.max(least(outline.height)).min(outline.height))
    }

    /// Pictures of one photo whose scales are equal are made from equal decodings of it, sample by sample.
    pub(super) fn scale(&self) -> Scale {
        scale(self.photo.bytes, &self.photo.outline, self.at_least())
    }

    /// The picture's size, before it is turned.
    pub(super) fn target(&self) -> (u32, u32) {
        self.framing.target
    }

    /// The photo, as large as the picture needs it.
    pub(super) fn decoded<'s>(&self, scratch: &'s mut Vec<u8>) -> Result<Picture<'s>, ImagingError> {
        let Opened { bytes, outline, orientation, shown, limits, .. } = self.photo;
        let at_least = self.at_least();
        let (source, icc) = match decode_planes(bytes, outline, at_least, scratch)? {
            Some(planes) => (Source::Planes(planes), outline.icc.clone()),
            None => {
                let Decoded { pixels, icc, .. } = decode(bytes, outline, at_least, limits)?;
                (Source::Pixels(Cow::Owned(pixels)), icc)
            }
        };
        let extent = match &source {
            Source::Planes(planes) => (planes.width, planes.height),
            Source::Pixels(pixels) => (pixels.width, pixels.height),
        };
        let extent = match self.scale() {
            (1, 1) => (extent.0.into(), extent.1.into()),
            (part, whole) => {
                let scale = part as f64 / whole as f64;
                (f64::from(outline.width) * scale, f64::from(outline.height) * scale)
            }
        };
        Ok(Picture { source, icc, orientation: *orientation, shown: *shown, extent })
    }

    /// The picture, from a decoding of this plan or of another of the same scale.
    pub(super) fn made(&self, picture: Picture<'_>, resized: &mut Resized) -> Result<Rendered, ImagingError> {
        shielded(self.photo.outline.format, || picture.made(self.recipe, &self.framing, resized))
    }
}

/// How large the whole photo has to be decoded, as shown.
pub(super) fn oversize(framing: &Framing) -> (u32, u32) {
    let (share_x, share_y) = framing.share();
    let whole = |target: u32, share: f64, area: f64, photo: f64| (f64::from(target) * OVERSIZE / share / area * photo).ceil() as u32;
    let (area, photo) = (framing.area(), framing.photo());
    (
        whole(framing.target.0, share_x, area.width, photo.0.into()).min(photo.0),
        whole(framing.target.1, share_y, area.height, photo.1.into()).min(photo.1),
    )
}

/// A decoded photo, maybe smaller than it is, the way up that it is stored.
pub(super) enum Source<'a> {
    Planes(Planar<'a>),
    Pixels(Cow<'a, Pixels>),
}

/// Planes that were resized, for a next picture that shows the same in another quality.
#[derive(Default)]
pub(super) struct Resized {
    /// Whether the next one may.
    pub(super) is_kept: bool,
    last: Option<(Window, (u32, u32), Planar<'static>)>,
}

impl Resized {
    fn planes(
        &mut self,
        planes: &Planar<'_>,
        window: Window,
        target: (u32, u32),
        stored: (Orientation, (f64, f64)),
    ) -> Result<Planar<'static>, ImagingError> {
        let small = match self.last.take() {
            Some((of, size, small)) if (of, size) == (window, target) => small,
            _ => planes.resized(window, target, stored, Sharing::Fours)?,
        };
        if self.is_kept {
            self.last = Some((window, target, small.clone()));
        }
        Ok(small)
    }
}

/// All that a picture is made from.
pub(super) struct Picture<'a> {
    pub(super) source: Source<'a>,
    pub(super) icc: Option<Vec<u8>>,
    pub(super) orientation: Orientation,
    /// The photo's own size, as shown.
    pub(super) shown: (u32, u32),
    /// How far the photo reaches in what was decoded, as stored, in its pixels. Where it was scaled while it was decoded that is no whole number: the last
    /// pixels stand for what lies beyond the photo, too.
    pub(super) extent: (f64, f64),
}

impl Picture<'_> {
    /// The same, for a picture that is not the last one to be made from it.
    pub(super) fn borrowed(&self) -> Picture<'_> {
        let source = match &self.source {
            Source::Planes(planes) => Source::Planes(planes.borrowed()),
            Source::Pixels(pixels) => Source::Pixels(Cow::Borrowed(pixels)),
        };
        Picture { source, icc: self.icc.clone(), ..*self }
    }

    pub(super) fn may_be_transparent(&self) -> bool {
        matches!(&self.source, Source::Pixels(pixels) if pixels.layout.has_alpha())
    }

    fn made(self, recipe: &Recipe, framing: &Framing, resized: &mut Resized) -> Result<Rendered, ImagingError> {
        let middle = self.middle(recipe, framing)?;
        let quality = recipe.quality.clamp(1, 100);
        let rendered = |bytes, (width, height)| Ok(Rendered { bytes, format: recipe.format, width, height });
        if let Source::Planes(planes) = &self.source
            && Self::is_plain(planes, recipe, self.icc.as_deref())
        {
            let window = self.scaled(framing.window(recipe.gravity, middle));
            let mut small = resized.planes(planes, window, framing.target, (self.orientation, self.extent))?;
            if recipe.tone == Tone::Grey {
                small = small.without_colour();
            }
            return rendered(encode_planes(small, quality)?, framing.target);
        }
        let small = self.finished(recipe, framing, middle)?;
        rendered(encode(&small, recipe.format, quality)?, (small.width, small.height))
    }

    /// What a picture that is cut shows the middle of, as parts of the area's width and height.
    pub(super) fn middle(&self, recipe: &Recipe, framing: &Framing) -> Result<(f64, f64), ImagingError> {
        if recipe.gravity == Gravity::Smart && framing.has_slack() { self.focus(framing) } else { Ok((0.5, 0.5)) }
    }

    /// The pixels as the recipe wants them, ready to be encoded.
    pub(super) fn finished(self, recipe: &Recipe, framing: &Framing, middle: (f64, f64)) -> Result<Pixels, ImagingError> {
        let window = self.scaled(framing.window(recipe.gravity, middle));
        let small = match self.source {
            Source::Planes(planes) => {
                let small = planes.resized(window, framing.target, (self.orientation, self.extent), Sharing::None)?;
                to_srgb(small.into_pixels(), self.icc.as_deref())
            }
            Source::Pixels(pixels) => {
                let stored = self.orientation.stored_window(window, self.extent);
                let small = resize(pixels, stored, self.orientation.shown(framing.target))?;
                self.orientation.apply(to_srgb(small, self.icc.as_deref()))
            }
        };
        let small = blurred(toned(small, recipe.tone), recipe.blur)?;
        let flat = recipe.background.is_some() || !recipe.format.has_alpha();
        Ok(turned(if flat { small.flattened(recipe.background.unwrap_or([255; 3])) } else { small }, recipe.turn))
    }

    /// Whether the planes can be written as they are.
    fn is_plain(planes: &Planar<'_>, recipe: &Recipe, icc: Option<&[u8]>) -> bool {
        let layout = if planes.colour.is_some() { Layout::Rgb } else { Layout::Grey };
        recipe.format == OutputFormat::Jpeg
            && recipe.tone != Tone::Bitonal
            && recipe.blur == 0
            && recipe.turn == Turn::default()
            && !icc.is_some_and(|icc| is_other_than_srgb(icc, layout))
    }

    /// The middle of what there is to see of the area, as parts of its width and height.
    fn focus(&self, framing: &Framing) -> Result<(f64, f64), ImagingError> {
        let area = framing.area();
        let window = self.scaled(area);
        let size = fit((area.width.ceil() as u32, area.height.ceil() as u32), (smart::SIDE, smart::SIDE), false);
        let small = match &self.source {
            Source::Planes(planes) => planes.resized(window, size, (self.orientation, self.extent), Sharing::None)?,
            Source::Pixels(pixels) => {
                let stored = self.orientation.stored_window(window, self.extent);
                let small = resized(pixels, stored, self.orientation.shown(size))?;
                Planar::of(&self.orientation.apply(to_srgb(small, self.icc.as_deref())))
            }
        };
        Ok(smart::focus(&small, framing.share()))
    }

    /// A window of the photo in the pixels of what was decoded, both as shown.
    fn scaled(&self, window: Window) -> Window {
        let (width, height) = self.orientation.shown(self.extent);
        window.scaled(width / f64::from(self.shown.0), height / f64::from(self.shown.1))
    }
}
