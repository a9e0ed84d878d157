//! Any recipe, for small photos of several kinds.

use std::sync::LazyLock;

use image::codecs::gif::GifEncoder;
use image::{Frame, RgbaImage};

use super::{drawn, limits};
use crate::imaging::encode::{OutputFormat, encode};
use crate::imaging::error::ImagingError;
use crate::imaging::pixels::{Layout, Pixels};
use crate::imaging::{Align, Gravity, Limits, Recipe, Region, Resize, Tone, Turn};

/// Pixels a side that an AVIF is asked to have: its encoder takes its time.
const AVIF_SIDE: u32 = 65;

/// A picture of one of the photos by a recipe that the bytes say: it is made as asked for, or too large.
pub fn render_recipe(bytes: &[u8]) {
    let mut said = Said(bytes);
    let photo = &PHOTOS[usize::from(said.byte()) % PHOTOS.len()];
    let recipe = said.recipe();
    let limits = Limits { max_pixels: 1 << 16, ..limits() };
    match drawn(photo, &recipe, &limits) {
        Ok(()) | Err(ImagingError::TooLarge { .. }) => {}
        Err(error) => panic!("{error} by {recipe:?}"),
    }
}

/// In colour and grey, transparent, moving; none of them of an even size.
static PHOTOS: LazyLock<[Vec<u8>; 4]> = LazyLock::new(|| {
    let pixels = |layout: Layout, (width, height): (u32, u32)| {
        let samples = u64::from(width * height) * layout.channels() as u64;
        // A pattern without a period that a picture could hide in.
        let data = (0..samples).map(|at| (at * at * 37 % 251) as u8).collect();
        Pixels { width, height, layout, data }
    };
    let sound = |layout, size, format| encode(&pixels(layout, size), format, 80).expect("a small picture can be written");
    let mut moving = vec![];
    let frames = (0..3).map(|frame| Frame::new(RgbaImage::from_fn(19, 31, |x, y| image::Rgba([x as u8, y as u8, frame * 90, 255]))));
    GifEncoder::new(&mut moving).encode_frames(frames).expect("a small animation can be written");
    [
        sound(Layout::Rgb, (61, 43), OutputFormat::Jpeg),
        sound(Layout::Grey, (1, 67), OutputFormat::Jpeg),
        sound(Layout::Rgba, (37, 29), OutputFormat::Png),
        moving,
    ]
});

/// What bytes say; those that are missing are zeros.
struct Said<'a>(&'a [u8]);

impl Said<'_> {
    fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().map_or((0, self.0), |(first, rest)| (*first, rest));
        self.0 = rest;
        first
    }

    fn number(&mut self) -> u32 {
        u32::from_be_bytes(std::array::from_fn(|_| self.byte()))
    }

    /// Mostly a side that a picture may have.
    fn side(&mut self) -> u32 {
        match self.byte() {
            kind @ 0..=3 => u32::from(kind),
            4..=9 => self.number(),
            kind => u32::from(kind % 4) * 256 + u32::from(self.byte()),
        }
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::from(self.byte()) % all.len()]
    }

    fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    fn gravity(&mut self) -> Gravity {
        const ALIGNS: [Align; 3] = [Align::Start, Align::Middle, Align::End];
        match self.byte() % 3 {
            0 => Gravity::Smart,
            1 => Gravity::Point { x: self.number() as u16, y: self.number() as u16 },
            _ => Gravity::Towards {
                x: self.one_of(&ALIGNS),
                y: self.one_of(&ALIGNS),
                offset_x: self.number() as i32,
                offset_y: self.number() as i32,
            },
        }
    }

    fn recipe(&mut self) -> Recipe {
        let format = self.one_of(&OutputFormat::ALL);
        let (mut width, mut height) = (self.side(), self.side());
        if format == OutputFormat::Avif {
            (width, height) = (width % AVIF_SIDE, height % AVIF_SIDE);
        }
        Recipe {
            region: self.flag().then(|| Region { x: self.side(), y: self.side(), width: self.side(), height: self.side() }),
            width,
            height,
            resize: self.one_of(&[Resize::Fit, Resize::Fill, Resize::FillDown, Resize::Force, Resize::Auto]),
            gravity: self.gravity(),
            enlarge: self.flag(),
            turn: Turn { mirrored: self.flag(), quarters: self.byte() },
            tone: self.one_of(&[Tone::Colour, Tone::Grey, Tone::Bitonal]),
            blur: if self.flag() { self.number() % 10_001 } else { 0 },
            background: self.flag().then(|| [self.byte(), self.byte(), self.byte()]),
            quality: self.byte(),
            format,
            animated: self.flag(),
        }
    }
}
