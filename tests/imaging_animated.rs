//! Animations that stay animated: libwebp's own decoder shows what the sources show, for as long.

#![allow(clippy::unwrap_used)] // A test stops at what it did not expect.

mod imaging_samples;

use std::io::Cursor;

use halidom::imaging::{Extent, Format, ImagingError, Limits, OutputFormat, Recipe, Region, Resize, render};
use image::codecs::gif::{GifEncoder, Repeat};
use image::{Delay, Frame, Rgb, RgbImage, Rgba, RgbaImage};
use imaging_samples::{BLUE, GREEN, RED, corners, encoded, png_chunk};
use proptest::prelude::*;

fn moving(width: u32, height: u32) -> Recipe {
    Recipe { animated: true, ..Recipe::fit(width, height, OutputFormat::WebP) }
}

/// What libwebp's decoder says: how often it is shown, and each frame with the time at which it ends.
struct Shown {
    plays: u32,
    frames: Vec<(i32, RgbaImage)>,
}

fn shown(webp: &[u8]) -> Shown {
    let decoded = webp::AnimDecoder::new(webp).decode().unwrap();
    let frame = |nth: usize| {
        let frame = decoded.get_frame(nth)?;
        Some((frame.get_time_ms(), RgbaImage::from_raw(frame.width(), frame.height(), frame.get_image().to_vec()).unwrap()))
    };
    Shown { plays: decoded.loop_count, frames: (0..).map_while(frame).collect() }
}

fn filled(width: u32, height: u32, [r, g, b]: [u8; 3]) -> RgbaImage {
    RgbaImage::from_pixel(width, height, Rgba([r, g, b, 255]))
}

fn gif(frames: &[(RgbaImage, u32)], repeat: Option<Repeat>) -> Vec<u8> {
    let mut bytes = vec![];
    let mut encoder = GifEncoder::new(&mut bytes);
    if let Some(repeat) = repeat {
        encoder.set_repeat(repeat).unwrap();
    }
    let frame = |(image, ms): &(RgbaImage, u32)| Frame::from_parts(image.clone(), 0, 0, Delay::from_numer_denom_ms(*ms, 1));
    encoder.encode_frames(frames.iter().map(frame)).unwrap();
    drop(encoder);
    bytes
}

/// Red, green, blue, for 100, 250 and 40 ms.
fn three() -> Vec<(RgbaImage, u32)> {
    vec![(filled(60, 40, RED), 100), (filled(60, 40, GREEN), 250), (filled(60, 40, BLUE), 40)]
}

/// The frames of a PNG (APNG 1.0): each a picture of the whole, after so many 1000ths of a second.
fn apng(frames: &[(RgbImage, u16)], plays: u32) -> Vec<u8> {
    let mut bytes = vec![];
    let mut sequence = 0_u32;
    for (nth, (image, ms)) in frames.iter().enumerate() {
        let png = encoded(image, Format::Png);
        if nth == 0 {
            bytes.extend_from_slice(&png[..33]);
            bytes.extend(png_chunk(b"acTL", &[(frames.len() as u32).to_be_bytes(), plays.to_be_bytes()].concat()));
        }
        let sizes = [sequence, image.width(), image.height(), 0, 0].map(u32::to_be_bytes).concat();
        bytes.extend(png_chunk(b"fcTL", &[&sizes[..], &ms.to_be_bytes(), &1_000_u16.to_be_bytes(), &[0, 0]].concat()));
        sequence += 1;
        let mut at = 33;
        while at < png.len() {
            let length = u32::from_be_bytes(png[at..at + 4].try_into().unwrap()) as usize;
            if &png[at + 4..at + 8] == b"IDAT" {
                let data = &png[at + 8..at + 8 + length];
                if nth == 0 {
                    bytes.extend(png_chunk(b"IDAT", data));
                } else {
                    bytes.extend(png_chunk(b"fdAT", &[&sequence.to_be_bytes(), data].concat()));
                    sequence += 1;
                }
            }
            at += length + 12;
        }
    }
    bytes.extend(png_chunk(b"IEND", b""));
    bytes
}

fn assert_colour(image: &RgbaImage, (x, y): (u32, u32), expected: [u8; 4], context: &str) {
    let found = image.get_pixel(x, y).0;
    assert!(found.iter().zip(expected).all(|(found, expected)| found.abs_diff(expected) < 40), "{context}, {x}, {y}: {found:?}");
}

fn opaque([r, g, b]: [u8; 3]) -> [u8; 4] {
    [r, g, b, 255]
}

#[test]
fn frames_and_times_and_loops_are_the_sources() {
    let as_rgb = |image: &RgbaImage| image::DynamicImage::from(image.clone()).to_rgb8();
    let frames: Vec<(RgbImage, u16)> = three().iter().map(|(image, ms)| (as_rgb(image), *ms as u16)).collect();
    let from_gif = render(&gif(&three(), Some(Repeat::Infinite)), &moving(0, 0), &Limits::default()).unwrap().bytes;
    for (name, bytes, plays) in [
        ("gif", gif(&three(), Some(Repeat::Infinite)), 0),
        // Shown once, and so often again.
        ("gif three times", gif(&three(), Some(Repeat::Finite(2))), 3),
        ("gif once", gif(&three(), None), 1),
        ("webp", from_gif, 0),
        ("png", apng(&frames, 5), 5),
    ] {
        let rendered = render(&bytes, &moving(30, 30), &Limits::default()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((rendered.width, rendered.height, rendered.format), (30, 20, OutputFormat::WebP), "{name}");
        let shown = shown(&rendered.bytes);
        assert_eq!(shown.plays, plays, "{name}");
        assert_eq!(shown.frames.iter().map(|(ends, _)| *ends).collect::<Vec<_>>(), [100, 350, 390], "{name}");
        for ((_, image), colour) in shown.frames.iter().zip([RED, GREEN, BLUE]) {
            assert_eq!(image.dimensions(), (30, 20));
            assert_colour(image, (15, 10), opaque(colour), name);
            assert_colour(image, (29, 19), opaque(colour), name);
        }
    }
}

#[test]
fn only_what_moves_is_written_and_all_of_it_is_shown() {
    // A white square of 10 pixels wanders over noise, which takes many bytes.
    let mut random = imaging_samples::Seeded(7);
    let ground = RgbaImage::from_fn(200, 120, |_, _| Rgba([[200, 60][random.below(2)], 90, 90, 255]));
    let place = |nth: u32| (11 + nth * 17, 13 + nth * 9);
    let frame = |nth: u32| {
        let mut image = ground.clone();
        let (left, top) = place(nth);
        image::imageops::overlay(&mut image, &filled(10, 10, [250; 3]), left.into(), top.into());
        (image, 50)
    };
    // The third looks as the second does.
    let frames = [frame(0), frame(1), frame(1), frame(2), frame(8)];
    let rendered = render(&gif(&frames, Some(Repeat::Infinite)), &moving(0, 0), &Limits::default()).unwrap();
    let shown = shown(&rendered.bytes);
    assert_eq!(shown.frames.iter().map(|(ends, _)| *ends).collect::<Vec<_>>(), [50, 150, 200, 250]);
    for ((_, image), nth) in shown.frames.iter().zip([0, 1, 2, 8]) {
        for other in [0, 1, 2, 8] {
            let (x, y) = place(other);
            let is_white = image.get_pixel(x + 5, y + 5).0[1] > 200;
            assert_eq!(is_white, other == nth, "frame {nth} at the place of {other}");
        }
    }
    let one = render(&gif(&frames[..1], None), &Recipe::fit(0, 0, OutputFormat::WebP), &Limits::default()).unwrap();
    assert!(rendered.bytes.len() < one.bytes.len() * 2, "{} bytes, and {} for one frame", rendered.bytes.len(), one.bytes.len());
}

#[test]
fn what_becomes_transparent_again_is() {
    let clear = RgbaImage::from_pixel(40, 40, Rgba([0; 4]));
    let mut dot = clear.clone();
    image::imageops::overlay(&mut dot, &filled(20, 20, RED), 10, 10);
    let source = gif(&[(clear.clone(), 100), (dot, 100), (clear, 100)], None);
    let looked = shown(&render(&source, &moving(0, 0), &Limits::default()).unwrap().bytes);
    for ((_, image), middle) in looked.frames.iter().zip([[0; 4], opaque(RED), [0; 4]]) {
        assert_eq!(image.get_pixel(20, 20).0[3], middle[3]);
        assert_eq!(image.get_pixel(2, 2).0[3], 0);
    }
    assert_eq!(looked.frames.len(), 3);
    let on_blue = Recipe { background: Some(BLUE), ..moving(0, 0) };
    let laid = shown(&render(&source, &on_blue, &Limits::default()).unwrap().bytes);
    assert_colour(&laid.frames[2].1, (20, 20), opaque(BLUE), "on blue");
    assert_colour(&laid.frames[1].1, (20, 20), opaque(RED), "on blue");
}

#[test]
fn every_frame_is_cut_and_turned_alike() {
    let picture = |image: RgbImage| image::DynamicImage::from(image).to_rgba8();
    let upside_down = image::imageops::rotate180(&corners(80, 40));
    let source = gif(&[(picture(corners(80, 40)), 100), (picture(upside_down), 100)], None);
    let left_half = Recipe { region: Some(Region { x: 0, y: 0, width: 40, height: 40 }), ..moving(20, 20) };
    let looked = shown(&render(&source, &left_half, &Limits::default()).unwrap().bytes);
    assert_colour(&looked.frames[0].1, (10, 4), opaque(RED), "the left half");
    assert_colour(&looked.frames[1].1, (10, 4), opaque(imaging_samples::WHITE), "the left half");
    let square = Recipe { resize: Resize::Fill, ..moving(20, 20) };
    let looked = shown(&render(&source, &square, &Limits::default()).unwrap().bytes);
    assert!(looked.frames.iter().all(|(_, image)| image.dimensions() == (20, 20)));
}

#[test]
fn what_does_not_move_or_shall_not_is_as_without_it() {
    let (source, limits) = (gif(&three(), None), Limits::default());
    for format in [OutputFormat::Jpeg, OutputFormat::Png] {
        let still = Recipe::fit(30, 30, format);
        let asked = Recipe { animated: true, ..still.clone() };
        assert_eq!(render(&source, &asked, &limits), render(&source, &still, &limits));
    }
    for format in [Format::Jpeg, Format::Png, Format::Gif, Format::WebP, Format::Tiff] {
        let photo = encoded(&RgbImage::from_pixel(20, 20, Rgb(RED)), format);
        assert_eq!(render(&photo, &moving(9, 9), &limits), render(&photo, &Recipe::fit(9, 9, OutputFormat::WebP), &limits), "{format}");
    }
    let first = render(&source, &Recipe::fit(30, 30, OutputFormat::WebP), &limits).unwrap();
    assert_colour(&image::load(Cursor::new(first.bytes), image::ImageFormat::WebP).unwrap().to_rgba8(), (15, 10), opaque(RED), "the first");
}

#[test]
fn a_gif_without_its_end_moves_as_one_with_it() {
    let whole = gif(&three(), Some(Repeat::Infinite));
    let (cut, limits) = (&whole[..whole.len() - 1], Limits::default());
    assert_eq!(whole.last(), Some(&0x3B));
    assert_eq!(render(cut, &moving(0, 0), &limits), render(&whole, &moving(0, 0), &limits));
}

#[test]
fn of_two_headers_the_first_counts_everywhere() {
    let limits = Limits::default();
    // A WebP of 60 x 40 that says later that it has one pixel.
    let film = render(&gif(&three(), None), &moving(0, 0), &limits).unwrap().bytes;
    let later = [film.as_slice(), b"VP8X\x0A\0\0\0\x02", &[0; 9]].concat();
    let later = [b"RIFF".as_slice(), &(later.len() as u32 - 8).to_le_bytes(), &later[8..]].concat();
    let seen = halidom::imaging::inspect(&later, &limits).unwrap();
    assert_eq!((seen.width, seen.height, seen.frames), (60, 40, 3));
    assert_eq!(render(&later, &moving(30, 30), &limits), render(&film, &moving(30, 30), &limits));
    let tight = Limits { max_pixels: 1_000, ..Limits::default() };
    let refused = render(&later, &moving(10, 10), &tight);
    assert!(matches!(refused, Err(ImagingError::TooLarge { extent: Extent::Pixels, .. })), "{refused:?}");

    // A PNG of three frames that says later, before or behind its data, that it has one or a million.
    let picture = |nth: u8| (RgbImage::from_pixel(20, 20, Rgb([nth * 100, 50, 50])), 50);
    let png = apng(&[picture(0), picture(1), picture(2)], 0);
    let data = png.windows(4).position(|kind| kind == b"IDAT").unwrap() - 4;
    let with = |at: usize, frames: u32| [&png[..at], &png_chunk(b"acTL", &[frames.to_be_bytes(), [0; 4]].concat()), &png[at..]].concat();
    let few = Limits { max_frames: 3, ..Limits::default() };
    for frames in [1, 1_000_000] {
        for at in [data, png.len() - 12] {
            assert_eq!(halidom::imaging::inspect(&with(at, frames), &few).unwrap().frames, 3);
            assert_eq!(render(&with(at, frames), &moving(0, 0), &few), render(&png, &moving(0, 0), &few), "{frames} at {at}");
        }
    }
    let fewer = Limits { max_frames: 2, ..Limits::default() };
    let refused = render(&with(data, 1), &moving(0, 0), &fewer);
    assert!(matches!(refused, Err(ImagingError::TooLarge { extent: Extent::Frames, .. })), "{refused:?}");
    // One that says so only behind its data does not move.
    let still = encoded(&picture(0).0, Format::Png);
    let late = [&still[..still.len() - 12], &png_chunk(b"acTL", &[0, 0, 0, 3, 0, 0, 0, 0]), &still[still.len() - 12..]].concat();
    assert_eq!(render(&late, &moving(0, 0), &limits), render(&still, &moving(0, 0), &limits));
}

#[test]
fn a_webp_whose_picture_is_larger_than_it_says_is_refused_before_it_is_unpacked() {
    let large = encoded(&RgbImage::new(300, 200), Format::WebP);
    let lying = imaging_samples::webp_with_exif(&large, (3, 2), &[]);
    let refused = halidom::imaging::inspect(&lying, &Limits::default());
    assert!(matches!(&refused, Err(ImagingError::Broken { .. })), "{refused:?}");
    let film = render(&gif(&three(), None), &moving(0, 0), &Limits::default()).unwrap().bytes;
    let frame = film.windows(4).position(|kind| kind == b"ANMF").unwrap();
    let mut small = film.clone();
    // The width of the first frame, less one.
    small[frame + 8 + 6] = 3;
    let refused = render(&small, &moving(0, 0), &Limits::default());
    assert!(matches!(&refused, Err(ImagingError::Broken { .. })), "{refused:?}");
}

#[test]
fn all_frames_together_have_a_limit() {
    let limits = Limits { max_pixels: 100_000_000, ..Limits::default() };
    let small: Vec<_> = (0..200).map(|nth| (filled(8, 8, [nth as u8, 90, 90]), 20)).collect();
    let source = gif(&small, None);
    assert!(render(&source, &moving(0, 0), &limits).is_ok());
    let large = Recipe { enlarge: true, ..moving(1_000, 1_000) };
    let refused = render(&source, &large, &limits);
    assert!(matches!(refused, Err(ImagingError::TooLarge { extent: Extent::Pixels, .. })), "{refused:?}");
    // A canvas of one pixel, and frames as large as they may be: nothing of them is unpacked.
    let mut bomb = b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xFF\xFF\xFF".to_vec();
    for _ in 0..20 {
        bomb.extend(b"\x2C\0\0\0\0\x10\x27\x10\x27\0\x02\x02\x44\x01\0");
    }
    bomb.push(0x3B);
    let refused = render(&bomb, &moving(0, 0), &limits);
    assert!(matches!(refused, Err(ImagingError::TooLarge { extent: Extent::Pixels, .. })), "{refused:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever becomes of the bytes, nothing of ours panics, and what is made can be shown.
    #[test]
    fn damaged_animations_are_refused_or_shown(kind in 0_usize..3, flips in prop::collection::vec((any::<u16>(), any::<u8>()), 0..8)) {
        let limits = Limits { max_pixels: 1_000_000, max_decoded_bytes: 16 << 20, ..Limits::default() };
        let frames = [(corners(30, 20), 20), (corners(30, 20), 30)];
        let mut bytes = match kind {
            0 => gif(&three(), Some(Repeat::Infinite)),
            1 => render(&gif(&three(), None), &moving(0, 0), &Limits::default()).unwrap().bytes,
            _ => apng(&frames, 0),
        };
        for (at, value) in flips {
            let at = usize::from(at) % bytes.len();
            bytes[at] = value;
        }
        match render(&bytes, &moving(20, 20), &limits) {
            Ok(rendered) => prop_assert!(halidom::imaging::inspect(&rendered.bytes, &limits).is_ok()),
            Err(error) => prop_assert!(!matches!(error, ImagingError::Encoding(_)), "{}", error),
        }
    }
}
