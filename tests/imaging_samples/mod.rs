//! Pictures made here, in every format, and metadata to put into them.

#![allow(dead_code, clippy::unwrap_used)] // Each test file uses its part; a test may stop where its own samples fail.

pub mod raw;

use std::io::Cursor;

use exif::experimental::Writer;
use exif::{Field, In, Rational, Tag, Value};
use halidom::imaging::Format;
use image::{ExtendedColorType, ImageEncoder, Rgb, RgbImage};
use turbojpeg::{Compressor, PixelFormat, Subsamp};

/// Randomness that follows from a seed (SplitMix64).
pub struct Seeded(pub u64);

impl Seeded {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }
}

pub const RED: [u8; 3] = [220, 30, 30];
pub const GREEN: [u8; 3] = [30, 200, 30];
pub const BLUE: [u8; 3] = [30, 30, 220];
pub const WHITE: [u8; 3] = [240, 240, 240];

/// A corner of each colour: red green / blue white. No two orientations look alike.
pub fn corners(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        Rgb(match (x < width / 2, y < height / 2) {
            (true, true) => RED,
            (false, true) => GREEN,
            (true, false) => BLUE,
            (false, false) => WHITE,
        })
    })
}

pub fn jpeg_of(image: &RgbImage, subsampling: Subsamp, progressive: bool) -> Vec<u8> {
    let (width, height) = (image.width() as usize, image.height() as usize);
    let mut compressor = Compressor::new().unwrap();
    compressor.set_quality(90).unwrap();
    compressor.set_subsamp(subsampling).unwrap();
    compressor.set_progressive(progressive).unwrap();
    let source = turbojpeg::Image { pixels: image.as_raw().as_slice(), width, pitch: width * 3, height, format: PixelFormat::RGB };
    compressor.compress_to_vec(source).unwrap()
}

/// CMYK as Adobe writes it: inverted. Red, green, blue become inks without black.
pub fn cmyk_jpeg_of(image: &RgbImage) -> Vec<u8> {
    let (width, height) = (image.width() as usize, image.height() as usize);
    let pixels: Vec<u8> = image.pixels().flat_map(|p| [p.0[0], p.0[1], p.0[2], 255]).collect();
    let mut compressor = Compressor::new().unwrap();
    compressor.set_quality(95).unwrap();
    compressor.set_subsamp(Subsamp::None).unwrap();
    let source = turbojpeg::Image { pixels: pixels.as_slice(), width, pitch: width * 4, height, format: PixelFormat::CMYK };
    compressor.compress_to_vec(source).unwrap()
}

pub fn encoded(image: &RgbImage, format: Format) -> Vec<u8> {
    let mut out = vec![];
    let (width, height) = image.dimensions();
    match format {
        Format::Jpeg => return jpeg_of(image, Subsamp::Sub2x2, false),
        Format::WebP => return webp::Encoder::from_rgb(image.as_raw(), width, height).encode_lossless().to_vec(),
        Format::Png => {
            image::codecs::png::PngEncoder::new(&mut out).write_image(image.as_raw(), width, height, ExtendedColorType::Rgb8).unwrap();
        }
        Format::Gif => {
            image::codecs::gif::GifEncoder::new(&mut out).encode(image.as_raw(), width, height, ExtendedColorType::Rgb8).unwrap()
        }
        Format::Bmp => {
            image::codecs::bmp::BmpEncoder::new(&mut out).encode(image.as_raw(), width, height, ExtendedColorType::Rgb8).unwrap()
        }
        Format::Tiff => {
            let mut file = Cursor::new(&mut out);
            image::codecs::tiff::TiffEncoder::new(&mut file).write_image(image.as_raw(), width, height, ExtendedColorType::Rgb8).unwrap();
        }
        Format::Avif | Format::Heic | Format::Raw(_) => unreachable!("not made here"),
    }
    out
}

/// One of each kind that a decoder treats differently, small.
pub fn one_of_each() -> Vec<(&'static str, Vec<u8>)> {
    let image = corners(61, 43);
    let block = exif_block(6);
    let mut animated = vec![];
    {
        let mut encoder = image::codecs::gif::GifEncoder::new(&mut animated);
        let frames = (0..3).map(|_| image::Frame::new(image::DynamicImage::from(image.clone()).to_rgba8()));
        encoder.encode_frames(frames).unwrap();
    }
    let deep = image::DynamicImage::from(image.clone()).into_rgba16();
    let mut deep_png = vec![];
    image::DynamicImage::from(deep).write_to(&mut Cursor::new(&mut deep_png), image::ImageFormat::Png).unwrap();
    let raws = raw::Raw::of(&encoded(&image, Format::Jpeg), &encoded(&corners(31, 22), Format::Jpeg)).all();
    let others = vec![
        ("jpeg 4:2:0", jpeg_of(&image, Subsamp::Sub2x2, false)),
        ("jpeg 4:4:4 progressive", jpeg_of(&image, Subsamp::None, true)),
        ("jpeg grey", jpeg_of(&image, Subsamp::Gray, false)),
        ("jpeg cmyk", cmyk_jpeg_of(&image)),
        ("jpeg with exif", jpeg_with_exif(&jpeg_of(&image, Subsamp::Sub2x1, false), &block)),
        ("png", encoded(&image, Format::Png)),
        ("png with exif", png_with_chunk(&encoded(&image, Format::Png), b"eXIf", &block)),
        ("png of 16 bits with alpha", deep_png),
        ("gif", encoded(&image, Format::Gif)),
        ("gif animated", animated),
        ("webp lossless", encoded(&image, Format::WebP)),
        ("webp lossy", webp::Encoder::from_rgb(image.as_raw(), 61, 43).encode(80.0).to_vec()),
        ("webp with exif", webp_with_exif(&encoded(&image, Format::WebP), (61, 43), &block)),
        ("tiff", encoded(&image, Format::Tiff)),
        ("bmp", encoded(&image, Format::Bmp)),
    ];
    others.into_iter().chain(raws.into_iter().map(|(format, bytes)| (format.as_str(), bytes))).collect()
}

fn ascii(tag: Tag, text: &str) -> Field {
    Field { tag, ifd_num: In::PRIMARY, value: Value::Ascii(vec![text.as_bytes().to_vec()]) }
}

/// An EXIF block with an orientation, a camera, a lens, a date and a place.
pub fn exif_block(orientation: u16) -> Vec<u8> {
    exif_block_with(&standard_fields(orientation), None)
}

pub fn standard_fields(orientation: u16) -> Vec<Field> {
    let degrees = |tag: Tag, parts: [(u32, u32); 3]| Field {
        tag,
        ifd_num: In::PRIMARY,
        value: Value::Rational(parts.map(|(num, denom)| Rational { num, denom }).to_vec()),
    };
    vec![
        Field { tag: Tag::Orientation, ifd_num: In::PRIMARY, value: Value::Short(vec![orientation]) },
        ascii(Tag::Make, "Halidom Optics "),
        ascii(Tag::Model, "H-1"),
        ascii(Tag::LensModel, "50mm F1.4"),
        ascii(Tag::DateTimeOriginal, "2021:06:05 04:03:02"),
        ascii(Tag::SubSecTimeOriginal, "25"),
        ascii(Tag::OffsetTimeOriginal, "+02:00"),
        ascii(Tag::GPSLatitudeRef, "S"),
        degrees(Tag::GPSLatitude, [(33, 1), (51, 1), (2421, 100)]),
        ascii(Tag::GPSLongitudeRef, "E"),
        degrees(Tag::GPSLongitude, [(151, 1), (12, 1), (36, 1)]),
        Field { tag: Tag::GPSAltitude, ifd_num: In::PRIMARY, value: Value::Rational(vec![Rational { num: 135, denom: 10 }]) },
    ]
}

pub fn exif_block_with(fields: &[Field], thumbnail: Option<&[u8]>) -> Vec<u8> {
    let mut writer = Writer::new();
    for field in fields {
        writer.push_field(field);
    }
    if let Some(jpeg) = thumbnail {
        writer.set_jpeg(jpeg, In::THUMBNAIL);
    }
    let mut block = Cursor::new(vec![]);
    writer.write(&mut block, true).unwrap();
    block.into_inner()
}

/// A segment right after the start marker.
pub fn jpeg_with_segment(jpeg: &[u8], marker: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len() + 2).unwrap().to_be_bytes();
    [&jpeg[..2], &[0xFF, marker], &length, payload, &jpeg[2..]].concat()
}

pub fn jpeg_with_exif(jpeg: &[u8], block: &[u8]) -> Vec<u8> {
    jpeg_with_segment(jpeg, 0xE1, &[b"Exif\0\0", block].concat())
}

pub fn png_chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let named = [kind.as_slice(), data].concat();
    [&(data.len() as u32).to_be_bytes(), named.as_slice(), &crc32fast::hash(&named).to_be_bytes()].concat()
}

/// A chunk right after the header.
pub fn png_with_chunk(png: &[u8], kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let header_end = 8 + 12 + 13;
    [&png[..header_end], &png_chunk(kind, data), &png[header_end..]].concat()
}

/// A simple WebP made an extended one with metadata.
pub fn webp_with_exif(webp: &[u8], (width, height): (u32, u32), block: &[u8]) -> Vec<u8> {
    let chunk = |kind: &[u8; 4], data: &[u8]| {
        let pad: &[u8] = if data.len() % 2 == 1 { &[0] } else { &[] };
        [kind.as_slice(), &(data.len() as u32).to_le_bytes(), data, pad].concat()
    };
    let side = |side: u32| (side - 1).to_le_bytes()[..3].to_vec();
    let extended = chunk(b"VP8X", &[vec![0x08, 0, 0, 0], side(width), side(height)].concat());
    let body = [b"WEBP".as_slice(), &extended, &webp[12..], &chunk(b"EXIF", block)].concat();
    [b"RIFF".as_slice(), &(body.len() as u32).to_le_bytes(), &body].concat()
}

/// A TIFF of one strip of RGB, written by hand so that it can carry an orientation.
pub fn tiff_with_orientation(image: &RgbImage, orientation: u16) -> Vec<u8> {
    let (width, height) = image.dimensions();
    let pixels = image.as_raw();
    let entries: [(u16, u16, u32, u32); 10] = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, 3, 8),
        (259, 3, 1, 1),
        (262, 3, 1, 2),
        (273, 4, 1, 14),
        (274, 3, 1, orientation.into()),
        (277, 3, 1, 3),
        (278, 4, 1, height),
        (279, 4, 1, pixels.len() as u32),
    ];
    let mut file = b"II*\0".to_vec();
    file.extend(((14 + pixels.len() + pixels.len() % 2) as u32).to_le_bytes());
    file.extend([8, 0, 8, 0, 8, 0]); // Bits of the three samples, at 8.
    file.extend(pixels);
    file.extend(vec![0; pixels.len() % 2]);
    file.extend((entries.len() as u16).to_le_bytes());
    for (tag, kind, count, value) in entries {
        let value = if tag == 258 { 8 } else { value };
        file.extend(tag.to_le_bytes());
        file.extend(kind.to_le_bytes());
        file.extend(count.to_le_bytes());
        file.extend(value.to_le_bytes());
    }
    file.extend([0; 4]);
    file
}
