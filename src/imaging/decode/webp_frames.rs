//! The frames of an animated WebP, each laid on the canvas as the container's specification says (RFC 9649, 2.7.1.1). What nothing covers is
//! transparent: the background colour of the file is a hint that no viewer follows.

use std::io::Cursor;

use image::ImageDecoder as _;
use image::codecs::webp::WebPDecoder;

use super::frames::FilmFrame;
use super::raster;
use crate::imaging::error::ImagingError;
use crate::imaging::limits::Limits;
use crate::imaging::pixels::{Layout, Pixels};
use crate::imaging::structure::{WebPFrame, webp_frames};
use crate::model::format::Format;

/// Flag of a header: transparency.
const HAS_ALPHA: u8 = 0x10;

/// The frames of an animation of this size, as its outline has it.
pub(super) fn composed<'a>(
    bytes: &'a [u8],
    (width, height): (u32, u32),
    limits: &'a Limits,
) -> impl Iterator<Item = Result<FilmFrame, ImagingError>> + 'a {
    let mut canvas = Canvas { width, height, data: vec![0; width as usize * height as usize * 4] };
    let mut disposed = None;
    webp_frames(bytes).map(move |frame| {
        if let Some(area) = disposed.take() {
            canvas.clear(area);
        }
        let area = canvas.area(&frame).ok_or_else(|| broken("a frame reaches beyond the canvas"))?;
        canvas.lay(area, &unpacked(&frame, limits)?, frame.blends);
        disposed = frame.disposes.then_some(area);
        let pixels = Pixels { width, height, layout: Layout::Rgba, data: canvas.data.clone() };
        Ok(FilmFrame { pixels, milliseconds: frame.milliseconds.into() })
    })
}

fn broken(detail: &str) -> ImagingError {
    ImagingError::broken(Format::WebP, detail)
}

/// A frame's own pixels: RGB or RGBA, of the size that its header says.
fn unpacked(frame: &WebPFrame<'_>, limits: &Limits) -> Result<Pixels, ImagingError> {
    let file = as_still(frame).ok_or_else(|| broken("a frame without a picture"))?;
    let decoder = WebPDecoder::new(Cursor::new(file.as_slice())).map_err(|error| raster::refusal(Format::WebP, limits, error))?;
    if decoder.dimensions() != (frame.width, frame.height) {
        return Err(broken("a frame of another size than its header says"));
    }
    let decoded = raster::read_pixels(decoder, Format::WebP, limits)?;
    Ok(decoded.pixels)
}

/// The frame as a file of its own.
fn as_still(frame: &WebPFrame<'_>) -> Option<Vec<u8>> {
    let (kind, picture) = frame.picture()?;
    let mut body = b"WEBP".to_vec();
    if let Some(opacity) = frame.opacity().filter(|_| kind == b"VP8 ") {
        let side = |side: u32| side.saturating_sub(1).to_le_bytes();
        let ([a, b, c, _], [d, e, f, _]) = (side(frame.width), side(frame.height));
        put_chunk(&mut body, b"VP8X", &[HAS_ALPHA, 0, 0, 0, a, b, c, d, e, f]);
        put_chunk(&mut body, b"ALPH", opacity);
    }
    put_chunk(&mut body, kind, picture);
    let mut file = Vec::with_capacity(body.len() + 8);
    put_chunk(&mut file, b"RIFF", &body);
    Some(file)
}

fn put_chunk(file: &mut Vec<u8>, kind: &[u8; 4], data: &[u8]) {
    file.extend_from_slice(kind);
    file.extend_from_slice(&(data.len() as u32).to_le_bytes());
    file.extend_from_slice(data);
    file.resize(file.len() + data.len() % 2, 0);
}

/// What is shown, RGBA.
struct Canvas {
    width: u32,
    height: u32,
    data: Vec<u8>,
}

/// A rectangle that lies within the canvas.
#[derive(Clone, Copy)]
struct Area {
    left: usize,
    top: usize,
    width: usize,
    height: usize,
}

impl Canvas {
    fn area(&self, frame: &WebPFrame<'_>) -> Option<Area> {
        let fits = |start: u32, length: u32, side: u32| start.checked_add(length).is_some_and(|end| end <= side);
        let is_inside = fits(frame.left, frame.width, self.width) && fits(frame.top, frame.height, self.height);
        let [left, top, width, height] = [frame.left, frame.top, frame.width, frame.height].map(|length| length as usize);
        is_inside.then_some(Area { left, top, width, height })
    }

    /// The rows of an area.
    fn rows(&mut self, area: Area) -> impl Iterator<Item = &mut [[u8; 4]]> {
        let rows = self.data.chunks_exact_mut(self.width as usize * 4).skip(area.top).take(area.height);
        rows.filter_map(move |row| row.as_chunks_mut::<4>().0.get_mut(area.left..area.left + area.width))
    }

    fn clear(&mut self, area: Area) {
        self.rows(area).for_each(|row| row.fill([0; 4]));
    }

    /// Lays a picture of the area's size there.
    fn lay(&mut self, area: Area, picture: &Pixels, blends: bool) {
        let rows = self.rows(area).zip(picture.data.chunks_exact(area.width * picture.layout.channels()));
        if picture.layout == Layout::Rgba {
            let lay = |(ground, above): (&mut [u8; 4], &[u8; 4])| *ground = if blends { blended(*ground, *above) } else { *above };
            rows.for_each(|(ground, above)| ground.iter_mut().zip(above.as_chunks().0).for_each(lay));
        } else {
            let lay = |(ground, [r, g, b]): (&mut [u8; 4], &[u8; 3])| *ground = [*r, *g, *b, 255];
            rows.for_each(|(ground, above)| ground.iter_mut().zip(above.as_chunks().0).for_each(lay));
        }
    }
}

/// A pixel seen through another; neither is premultiplied.
fn blended(ground: [u8; 4], above: [u8; 4]) -> [u8; 4] {
    let ([.., ground_alpha], [.., alpha]) = (ground, above);
    match alpha {
        0 => return ground,
        255 => return above,
        _ => {}
    }
    let alpha = u32::from(alpha);
    let shines = (u32::from(ground_alpha) * (255 - alpha) + 127) / 255;
    let whole = alpha + shines;
    let mix = |ground: u8, above: u8| ((u32::from(above) * alpha + u32::from(ground) * shines + whole / 2) / whole) as u8;
    let ([r, g, b, _], [above_r, above_g, above_b, _]) = (ground, above);
    [mix(r, above_r), mix(g, above_g), mix(b, above_b), whole as u8]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SIDE: u32 = 12;

    /// A frame to be written: where it lies, its colour, and the flags that say how.
    #[derive(Debug, Clone)]
    struct Written {
        place: (u32, u32, u32, u32),
        colour: [u8; 4],
        is_lossy: bool,
        flags: u8,
    }

    fn written() -> impl Strategy<Value = Written> {
        let place = (0..SIDE / 2, 0..SIDE / 2).prop_flat_map(|(x, y)| (Just(2 * x), Just(2 * y), 1..=SIDE - 2 * x, 1..=SIDE - 2 * y));
        let whole = Just((0, 0, SIDE, SIDE));
        let alpha = prop_oneof![Just(255), Just(0), any::<u8>()];
        let colour = (any::<[u8; 3]>(), alpha).prop_map(|([r, g, b], alpha)| [r, g, b, alpha]);
        (prop_oneof![3 => place, 1 => whole], colour, any::<bool>(), 0_u8..4).prop_map(|(place, colour, is_lossy, flags)| Written {
            place,
            colour,
            is_lossy,
            flags,
        })
    }

    fn animation(frames: &[Written], flags: u8) -> Vec<u8> {
        let u24 = |number: u32| number.to_le_bytes()[..3].to_vec();
        let mut body = b"WEBP".to_vec();
        put_chunk(&mut body, b"VP8X", &[vec![flags | 0x02, 0, 0, 0], u24(SIDE - 1), u24(SIDE - 1)].concat());
        put_chunk(&mut body, b"ANIM", &[9, 99, 200, 255, 0, 0]);
        for Written { place: (left, top, width, height), colour, is_lossy, flags } in frames {
            let pixels = colour.repeat((width * height) as usize);
            let encoder = webp::Encoder::from_rgba(&pixels, *width, *height);
            let still = if *is_lossy { encoder.encode(90.0) } else { encoder.encode_lossless() };
            // Behind the head of the file, and that of a header where there is one.
            let picture = if still[12..].starts_with(b"VP8X") { &still[30..] } else { &still[12..] };
            let head = [u24(left / 2), u24(top / 2), u24(width - 1), u24(height - 1), u24(70), vec![*flags]].concat();
            put_chunk(&mut body, b"ANMF", &[&head, picture].concat());
        }
        let mut file = vec![];
        put_chunk(&mut file, b"RIFF", &body);
        file
    }

    proptest! {
        /// Frames that dispose, that do not blend, and that cover a part, as libwebp lays them.
        #[test]
        fn frames_are_laid_as_libwebp_lays_them(frames in prop::collection::vec(written(), 1..6), says_alpha in any::<bool>()) {
            let file = animation(&frames, if says_alpha { HAS_ALPHA } else { 0 });
            let theirs = webp::AnimDecoder::new(&file).decode().unwrap();
            let limits = Limits::default();
            let ours: Vec<_> = composed(&file, (SIDE, SIDE), &limits).map(|frame| frame.unwrap().pixels).collect();
            prop_assert_eq!(ours.len(), frames.len());
            for (nth, ours) in ours.iter().enumerate() {
                let theirs = theirs.get_frame(nth).unwrap();
                for (at, (ours, theirs)) in ours.data.as_chunks::<4>().0.iter().zip(theirs.get_image().as_chunks::<4>().0).enumerate() {
                    // Their sums are rounded down, and those of frames before with them.
                    let seen = |[r, g, b, alpha]: &[u8; 4]| [r, g, b, &255].map(|sample| i32::from(*sample) * i32::from(*alpha) / 255);
                    let (ours, theirs) = (seen(ours), seen(theirs));
                    let differs = ours.iter().zip(&theirs).map(|(ours, theirs)| (ours - theirs).abs()).max();
                    prop_assert!(differs <= Some(6), "frame {nth}, pixel {at}: {ours:?}, and libwebp {theirs:?}");
                }
            }
        }
    }

    #[test]
    fn what_shines_through_is_mixed_by_how_much_it_does() {
        let (red, green) = ([200, 0, 0, 255], [0, 100, 0, 255]);
        assert_eq!(blended(red, green), green);
        assert_eq!(blended(red, [0, 100, 0, 0]), red);
        assert_eq!(blended([0; 4], [0, 100, 0, 77]), [0, 100, 0, 77], "on nothing it stays as it is");
        assert_eq!(blended(red, [0, 100, 0, 51]), [160, 20, 0, 255]);
        assert_eq!(blended([200, 0, 0, 128], [0, 100, 0, 128]), [67, 67, 0, 192]);
    }
}
