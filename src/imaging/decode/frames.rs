//! The frames of an animation, one after another, each as the whole canvas shows it.

use std::io::Cursor;

use image::codecs::gif::GifDecoder;
use image::codecs::png::PngDecoder;
use image::codecs::webp::WebPDecoder;
use image::metadata::LoopCount;
use image::{AnimationDecoder, ColorType, Frames, ImageDecoder};

use super::raster::{limits_of_decoder, limits_of_png, refusal};
use super::webp_frames;
use crate::imaging::error::ImagingError;
use crate::imaging::limits::Limits;
use crate::imaging::pixels::{Layout, Pixels};
use crate::imaging::structure::{Outline, gif_loops};
use crate::model::format::Format;

/// An animation that is being unpacked.
pub(in crate::imaging) struct Film<'a> {
    frames: Box<dyn Iterator<Item = Result<FilmFrame, ImagingError>> + 'a>,
    /// How often it is shown; 0: without end.
    pub(in crate::imaging) plays: u32,
    /// The colour profile that all frames are meant in.
    pub(in crate::imaging) icc: Option<Vec<u8>>,
}

/// One frame of it.
pub(in crate::imaging) struct FilmFrame {
    pub(in crate::imaging) pixels: Pixels,
    /// How long it is shown.
    pub(in crate::imaging) milliseconds: f64,
}

impl<'a> Film<'a> {
    /// Begins with one that has this outline: it has no more frames, and all are as large. `None` for a format that has no animations here.
    pub(in crate::imaging) fn open(bytes: &'a [u8], outline: &Outline<'_>, limits: &'a Limits) -> Result<Option<Self>, ImagingError> {
        let (format, size) = (outline.format, (outline.width, outline.height));
        let wrong = move |error| refusal(format, limits, error);
        let as_outlined = |found: (u32, u32)| {
            if found == size { Ok(()) } else { Err(ImagingError::broken(format, "it says two sizes")) }
        };
        let count = outline.frames as usize;
        let film = |frames: Box<dyn Iterator<Item = Result<FilmFrame, ImagingError>> + 'a>, plays, icc: Option<Vec<u8>>| {
            let icc = icc.filter(|profile| profile.len() <= limits.max_metadata_bytes);
            // What follows the last frame may be cut off, or say otherwise.
            Ok(Some(Self { frames: Box::new(frames.take(count)), plays, icc }))
        };
        let unpacked = move |frames: Frames<'a>| Box::new(frames.map(move |frame| frame.map(FilmFrame::of).map_err(wrong)));
        let input = Cursor::new(bytes);
        match format {
            Format::Gif => {
                let mut decoder = GifDecoder::new(input).map_err(wrong)?;
                decoder.set_limits(limits_of_decoder(limits)).map_err(wrong)?;
                as_outlined(decoder.dimensions())?;
                // The decoder does not tell a file that says nothing, which is shown once, from one that is shown for ever.
                film(unpacked(decoder.into_frames()), gif_loops(bytes), None)
            }
            Format::WebP => {
                let mut decoder = WebPDecoder::new(input).map_err(wrong)?;
                decoder.set_limits(limits_of_decoder(limits)).map_err(wrong)?;
                as_outlined(decoder.dimensions())?;
                let (icc, plays) = (decoder.icc_profile().ok().flatten(), plays(decoder.loop_count()));
                // The decoder's own frames are wrong where one is disposed of.
                film(Box::new(webp_frames::composed(bytes, size, limits)), plays, icc)
            }
            Format::Png => {
                let mut decoder = PngDecoder::with_limits(input, limits_of_png(bytes, limits)).map_err(wrong)?;
                decoder.set_limits(limits_of_decoder(limits)).map_err(wrong)?;
                as_outlined(decoder.dimensions())?;
                if !matches!(decoder.color_type(), ColorType::L8 | ColorType::La8 | ColorType::Rgb8 | ColorType::Rgba8) {
                    return Err(ImagingError::unsupported(format, "an animation of 16 bits a sample"));
                }
                let icc = decoder.icc_profile().ok().flatten();
                let decoder = decoder.apng().map_err(wrong)?;
                let plays = plays(decoder.loop_count());
                film(unpacked(decoder.into_frames()), plays, icc)
            }
            _ => Ok(None),
        }
    }

    /// The next frame; `None` after the last.
    pub(in crate::imaging) fn next(&mut self) -> Option<Result<FilmFrame, ImagingError>> {
        self.frames.next()
    }
}

impl FilmFrame {
    fn of(frame: image::Frame) -> Self {
        let (numerator, denominator) = frame.delay().numer_denom_ms();
        let buffer = frame.into_buffer();
        let (width, height) = buffer.dimensions();
        Self {
            pixels: Pixels { width, height, layout: Layout::Rgba, data: buffer.into_raw() },
            milliseconds: f64::from(numerator) / f64::from(denominator.max(1)),
        }
    }
}

fn plays(count: LoopCount) -> u32 {
    match count {
        LoopCount::Infinite => 0,
        LoopCount::Finite(times) => times.get(),
    }
}
