//! What is read from photos, and how they are shown: every format, made here.

#![allow(clippy::unwrap_used)] // A test stops at what it did not expect.

mod imaging_samples;

use exif::{Field, In, Tag, Value};
use halidom::imaging::{
    Format, Gravity, ImagingError, Limits, OutputFormat, Recipe, Region, Renderer, Resize, inspect, placeholder, render,
};
use image::RgbImage;
use imaging_samples::{
    BLUE, GREEN, RED, WHITE, cmyk_jpeg_of, corners, encoded, exif_block, exif_block_with, jpeg_of, jpeg_with_exif, jpeg_with_segment,
    png_with_chunk, standard_fields, tiff_with_orientation, webp_with_exif,
};
use turbojpeg::Subsamp;

fn shown(bytes: &[u8], recipe: &Recipe) -> RgbImage {
    let rendered = render(bytes, recipe, &Limits::default()).unwrap();
    let picture = if recipe.format == OutputFormat::Jpeg {
        // The `image` crate is built without JPEG here.
        let decoded = turbojpeg::decompress(&rendered.bytes, turbojpeg::PixelFormat::RGB).unwrap();
        RgbImage::from_raw(decoded.width as u32, decoded.height as u32, decoded.pixels).unwrap()
    } else {
        // And without AVIF: it is decoded by what is tested here.
        let as_png = Recipe::fit(0, 0, OutputFormat::Png);
        let png = (recipe.format == OutputFormat::Avif).then(|| render(&rendered.bytes, &as_png, &Limits::default()).unwrap().bytes);
        image::load_from_memory(png.as_ref().unwrap_or(&rendered.bytes)).unwrap().to_rgb8()
    };
    assert_eq!(picture.dimensions(), (rendered.width, rendered.height));
    let again = inspect(&rendered.bytes, &Limits::default()).unwrap();
    assert_eq!((again.format, again.orientation, again.width, again.height), (recipe.format.format(), 1, rendered.width, rendered.height));
    assert!(again.taken_at.is_none() && again.gps.is_none() && again.camera_make.is_none() && again.warning.is_none());
    for name in [b"Exif".as_slice(), b"ICC_PROFILE", b"iCCP", b"eXIf", b"http://ns.adobe.com"] {
        assert!(!rendered.bytes.windows(name.len()).any(|window| window == name), "metadata was carried over");
    }
    picture
}

fn near(found: [u8; 3], expected: [u8; 3]) -> bool {
    found.iter().zip(expected).all(|(found, expected)| found.abs_diff(expected) < 40)
}

/// Decibels.
fn psnr(a: &RgbImage, b: &RgbImage) -> f64 {
    assert_eq!(a.dimensions(), b.dimensions());
    let sum: f64 = a.as_raw().iter().zip(b.as_raw()).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
    10.0 * (255.0_f64.powi(2) * a.as_raw().len() as f64 / sum.max(1.0)).log10()
}

/// What is scaled while it is decoded reaches to the middle of a pixel where its sides are no multiples of eight.
#[test]
fn a_photo_of_odd_sides_is_not_stretched_by_what_decodes_it_small() {
    let photo = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/photos/raccoon.jpg")).unwrap();
    let photo = turbojpeg::decompress(&photo, turbojpeg::PixelFormat::RGB).unwrap();
    let photo = RgbImage::from_raw(photo.width as u32, photo.height as u32, photo.pixels).unwrap();
    for (width, height) in [(713, 505), (505, 713), (641, 481)] {
        let cut = image::imageops::crop_imm(&photo, 100, 10, width, height).to_image();
        let jpeg = jpeg_of(&cut, Subsamp::Sub2x2, false);
        let decoded = turbojpeg::decompress(&jpeg, turbojpeg::PixelFormat::RGB).unwrap();
        let png = encoded(&RgbImage::from_raw(width, height, decoded.pixels).unwrap(), Format::Png);
        for orientation in 1..=8 {
            let block = exif_block(orientation);
            let (jpeg, png) = (jpeg_with_exif(&jpeg, &block), png_with_chunk(&png, b"eXIf", &block));
            for side in [40, 70, 80, 110, 150] {
                let recipe = Recipe::fit(side, side, OutputFormat::Png);
                let found = psnr(&shown(&jpeg, &recipe), &shown(&png, &recipe));
                assert!(found > 36.0, "{width} x {height}, orientation {orientation}, to {side}: {found:.1} dB");
            }
        }
    }
}

/// The colours a quarter in from each corner: top left, top right, bottom left, bottom right.
fn quarters(picture: &RgbImage) -> [[u8; 3]; 4] {
    let (w, h) = picture.dimensions();
    [(w / 4, h / 4), (w * 3 / 4, h / 4), (w / 4, h * 3 / 4), (w * 3 / 4, h * 3 / 4)].map(|(x, y)| picture.get_pixel(x, y).0)
}

/// Red green / blue white as stored, and how each orientation shows it (from EXIF's own words: where row 0 and column 0 are).
const SHOWN: [(u16, [[u8; 3]; 4]); 8] = [
    (1, [RED, GREEN, BLUE, WHITE]),
    (2, [GREEN, RED, WHITE, BLUE]),
    (3, [WHITE, BLUE, GREEN, RED]),
    (4, [BLUE, WHITE, RED, GREEN]),
    (5, [RED, BLUE, GREEN, WHITE]),
    (6, [BLUE, RED, WHITE, GREEN]),
    (7, [WHITE, GREEN, BLUE, RED]),
    (8, [GREEN, WHITE, RED, BLUE]),
];

#[test]
fn all_orientations_in_all_formats() {
    let image = corners(96, 64);
    for (orientation, expected) in SHOWN {
        let block = exif_block(orientation);
        let files = [
            jpeg_with_exif(&jpeg_of(&image, Subsamp::Sub2x2, false), &block),
            png_with_chunk(&encoded(&image, Format::Png), b"eXIf", &block),
            webp_with_exif(&encoded(&image, Format::WebP), (96, 64), &block),
            tiff_with_orientation(&image, orientation),
        ];
        let size = if orientation >= 5 { (64, 96) } else { (96, 64) };
        for bytes in files {
            let found = inspect(&bytes, &Limits::default()).unwrap();
            assert_eq!((found.width, found.height), size, "{} {orientation}", found.format);
            assert_eq!(u16::from(found.orientation), orientation, "{}", found.format);
            for format in OutputFormat::ALL {
                let picture = shown(&bytes, &Recipe::fit(48, 48, format));
                assert_eq!(picture.dimensions(), (size.0 / 2, size.1 / 2), "{} {orientation}", found.format);
                let found_quarters = quarters(&picture);
                let right = found_quarters.iter().zip(expected).all(|(found, expected)| near(*found, expected));
                assert!(right, "{} {orientation} as {format:?}: {found_quarters:?}, expected {expected:?}", found.format);
            }
        }
    }
}

#[test]
fn orientations_out_of_range_count_as_normal() {
    for orientation in [0, 9, 0xFFFF] {
        let jpeg = jpeg_with_exif(&encoded(&corners(32, 16), Format::Jpeg), &exif_block(orientation));
        assert_eq!(inspect(&jpeg, &Limits::default()).unwrap().orientation, 1);
    }
}

#[test]
fn the_placeholder_is_upright() {
    // Small enough not to be shrunk: rounding would depend on which comes first, turning or shrinking.
    let image = corners(24, 12);
    let stored_upright = inspect(&encoded(&image::imageops::rotate90(&image), Format::Png), &Limits::default()).unwrap();
    let turned = png_with_chunk(&encoded(&image, Format::Png), b"eXIf", &exif_block(6));
    assert_eq!(inspect(&turned, &Limits::default()).unwrap().placeholder, stored_upright.placeholder);
    assert_eq!(placeholder(&turned, &Limits::default()).ok().map(|found| found.placeholder), stored_upright.placeholder);
    assert!(stored_upright.placeholder.unwrap().len() <= 25);
}

#[test]
fn exif_is_read_from_every_container() {
    let image = corners(48, 32);
    let block = exif_block(1);
    let prefixed = [b"Exif\0\0".as_slice(), &block].concat();
    let hex: String = prefixed.iter().map(|byte| format!("{byte:02x}")).collect();
    let text = format!("Raw profile type exif\0\nexif\n{:8}\n{hex}\n", prefixed.len());
    let packed = {
        use std::io::Write;
        let mut packer = flate2::write::ZlibEncoder::new(b"Raw profile type APP1\0\0".to_vec(), flate2::Compression::default());
        packer.write_all(&text.as_bytes()[22..]).unwrap();
        packer.finish().unwrap()
    };
    let png = encoded(&image, Format::Png);
    let webp = encoded(&image, Format::WebP);
    for (name, bytes) in [
        ("jpeg", jpeg_with_exif(&encoded(&image, Format::Jpeg), &block)),
        ("png", png_with_chunk(&png, b"eXIf", &block)),
        ("png, prefixed", png_with_chunk(&png, b"eXIf", &prefixed)),
        ("png, text", png_with_chunk(&png, b"tEXt", text.as_bytes())),
        ("png, packed text", png_with_chunk(&png, b"zTXt", &packed)),
        ("webp", webp_with_exif(&webp, (48, 32), &block)),
        ("webp, prefixed", webp_with_exif(&webp, (48, 32), &prefixed)),
    ] {
        let found = inspect(&bytes, &Limits::default()).unwrap();
        assert_eq!(found.taken_at.map(|taken| taken.to_string()).as_deref(), Some("2021-06-05T04:03:02.25+02:00"), "{name}");
        assert_eq!(found.camera_make.as_deref(), Some("Halidom Optics"), "{name}");
        assert_eq!(found.camera_model.as_deref(), Some("H-1"), "{name}");
        assert_eq!(found.lens.as_deref(), Some("50mm F1.4"), "{name}");
        let gps = found.gps.unwrap();
        assert_eq!((gps.latitude_e7, gps.longitude_e7, gps.altitude_mm), (-338_567_250, 1_512_100_000, Some(13_500)), "{name}");
        assert!(found.placeholder.is_some(), "{name}");
    }
}

#[test]
fn hostile_texts_are_cleaned_and_bounded() {
    let long = "A".repeat(5000);
    for (raw, expected) in [("<script>\u{7}\n\0rest", Some("<script>".to_owned())), ("\0\0", None), (long.as_str(), Some("A".repeat(128)))]
    {
        let make = Field { tag: Tag::Make, ifd_num: In::PRIMARY, value: Value::Ascii(vec![raw.as_bytes().to_vec()]) };
        let jpeg = jpeg_with_exif(&encoded(&corners(16, 16), Format::Jpeg), &exif_block_with(&[make], None));
        assert_eq!(inspect(&jpeg, &Limits::default()).unwrap().camera_make, expected);
    }
}

#[test]
fn damaged_metadata_leaves_the_picture() {
    let jpeg = encoded(&corners(32, 16), Format::Jpeg);
    let block = exif_block(6);
    for length in 0..block.len() {
        let found = inspect(&jpeg_with_exif(&jpeg, &block[..length]), &Limits::default()).unwrap();
        assert_eq!(found.width.max(found.height), 32);
    }
    // The first EXIF counts.
    let twice = jpeg_with_exif(&jpeg_with_exif(&jpeg, &exif_block(8)), &exif_block(6));
    assert_eq!(inspect(&twice, &Limits::default()).unwrap().orientation, 6);
}

#[test]
fn a_large_photo_has_its_placeholder_from_the_thumbnail() {
    let photo = corners(2700, 1800);
    let jpeg = jpeg_of(&photo, Subsamp::Sub2x2, false);
    let limits = Limits::default();
    assert_eq!(inspect(&jpeg, &limits).unwrap().placeholder, None, "too large to be decoded on the way");
    let decoded = placeholder(&jpeg, &limits).unwrap().placeholder;

    // The same shape, and in a box of 4:3 with black bars.
    let same = jpeg_of(&corners(150, 100), Subsamp::Sub2x2, false);
    let boxed = {
        let mut canvas = RgbImage::new(160, 120);
        image::imageops::replace(&mut canvas, &corners(160, 106), 0, 7);
        jpeg_of(&canvas, Subsamp::Sub2x2, false)
    };
    for thumbnail in [same, boxed] {
        let with = jpeg_with_exif(&jpeg, &exif_block_with(&standard_fields(1), Some(&thumbnail)));
        let from_thumbnail = inspect(&with, &limits).unwrap().placeholder.unwrap();
        let (w, h, pixels) = thumbhash::thumb_hash_to_rgba(&from_thumbnail).unwrap();
        let (expected_w, expected_h, expected) = thumbhash::thumb_hash_to_rgba(&decoded).unwrap();
        assert_eq!((w, h), (expected_w, expected_h));
        let difference: u32 = pixels.iter().zip(&expected).map(|(a, b)| u32::from(a.abs_diff(*b))).sum();
        assert!(difference / (pixels.len() as u32) < 8, "mean difference {}", difference / (pixels.len() as u32));
    }
    // A thumbnail of another shape is of another picture.
    let other = jpeg_of(&corners(100, 100), Subsamp::Sub2x2, false);
    let with = jpeg_with_exif(&jpeg, &exif_block_with(&standard_fields(1), Some(&other)));
    assert_eq!(inspect(&with, &limits).unwrap().placeholder, None);
    let with = jpeg_with_exif(&jpeg, &exif_block_with(&standard_fields(1), Some(b"\xFF\xD8\xFFnot a picture")));
    assert_eq!(inspect(&with, &limits).unwrap().placeholder, None);
}

#[test]
fn cmyk_is_not_inverted() {
    let picture = shown(&cmyk_jpeg_of(&corners(96, 64)), &Recipe::fit(48, 48, OutputFormat::Png));
    for (found, expected) in quarters(&picture).into_iter().zip([RED, GREEN, BLUE, WHITE]) {
        assert!(near(found, expected), "{found:?}, expected {expected:?}");
    }
}

#[test]
fn a_profile_is_honoured() {
    // Red and green change places.
    let mut profile = moxcms::ColorProfile::new_srgb();
    std::mem::swap(&mut profile.red_colorant, &mut profile.green_colorant);
    let icc = profile.encode().unwrap();
    let segment = [b"ICC_PROFILE\0\x01\x01".as_slice(), &icc].concat();
    let jpeg = jpeg_with_segment(&encoded(&corners(96, 64), Format::Jpeg), 0xE2, &segment);
    let found = quarters(&shown(&jpeg, &Recipe::fit(48, 48, OutputFormat::Png)));
    assert!(near(found[0], GREEN) || found[0][1] > 150 && found[0][0] < 100, "{found:?}");
    assert!(found[1][0] > 150 && found[1][1] < 100, "{found:?}");
}

#[test]
fn transparency_is_kept_or_laid_on_the_background() {
    let half = image::RgbaImage::from_fn(64, 64, |x, _| image::Rgba(if x < 32 { [200, 0, 0, 255] } else { [0, 0, 0, 0] }));
    let mut png = vec![];
    image::DynamicImage::from(half).write_to(&mut std::io::Cursor::new(&mut png), image::ImageFormat::Png).unwrap();
    for format in [OutputFormat::Png, OutputFormat::WebP] {
        let rendered = render(&png, &Recipe::fit(32, 32, format), &Limits::default()).unwrap();
        let picture = image::load_from_memory(&rendered.bytes).unwrap().to_rgba8();
        assert_eq!((picture.get_pixel(4, 16).0[3], picture.get_pixel(28, 16).0[3]), (255, 0), "{format:?}");
    }
    let on_white = shown(&png, &Recipe::fit(32, 32, OutputFormat::Jpeg));
    assert!(near(on_white.get_pixel(4, 16).0, [200, 0, 0]) && near(on_white.get_pixel(28, 16).0, [255, 255, 255]));
    let on_blue = shown(&png, &Recipe { background: Some([0, 0, 255]), ..Recipe::fit(32, 32, OutputFormat::Jpeg) });
    assert!(near(on_blue.get_pixel(28, 16).0, [0, 0, 255]));
}

#[test]
fn extreme_sizes() {
    for (width, height) in [(1, 1), (1, 3000), (3000, 1), (2, 2), (17, 1), (8191, 3)] {
        for format in [Format::Jpeg, Format::Png, Format::Bmp, Format::Tiff, Format::Gif] {
            let bytes = encoded(&corners(width, height), format);
            for output in OutputFormat::ALL {
                let picture = shown(&bytes, &Recipe::fit(320, 320, output));
                assert_eq!(picture.dimensions(), halidom::imaging::fit((width, height), (320, 320), false), "{format} {output:?}");
            }
        }
    }
    // As it is where no size is asked for, but never more than the format can hold.
    let wide = encoded(&corners(17_000, 2), Format::Png);
    assert_eq!(shown(&wide, &Recipe::fit(0, 0, OutputFormat::WebP)).dimensions(), (16_383, 2));
    assert_eq!(shown(&wide, &Recipe::fit(0, 0, OutputFormat::Png)).dimensions(), (17_000, 2));
}

#[test]
fn enlarging_is_only_done_when_asked() {
    let bytes = encoded(&corners(30, 20), Format::Png);
    let recipe = Recipe::fit(300, 300, OutputFormat::Png);
    assert_eq!(shown(&bytes, &recipe).dimensions(), (30, 20));
    let enlarged = Recipe { enlarge: true, ..recipe };
    assert_eq!(shown(&bytes, &enlarged).dimensions(), (300, 200));
    assert_eq!(shown(&bytes, &Recipe { width: 0, height: 0, ..enlarged.clone() }).dimensions(), (30, 20));
    let monstrous = Recipe { width: 60_000, height: 60_000, ..enlarged };
    assert!(matches!(render(&bytes, &monstrous, &Limits::default()), Err(ImagingError::TooLarge { .. })));
}

#[test]
fn quality_counts() {
    let photo = RgbImage::from_fn(256, 256, |x, y| image::Rgb([(x * 7 + y * 13) as u8, (x * y) as u8, (x ^ y) as u8]));
    let bytes = encoded(&photo, Format::Png);
    for format in [OutputFormat::Jpeg, OutputFormat::WebP] {
        let size =
            |quality: u8| render(&bytes, &Recipe { quality, ..Recipe::fit(128, 128, format) }, &Limits::default()).unwrap().bytes.len();
        assert!(size(20) < size(95), "{format:?}");
        assert_eq!(size(0), size(1), "{format:?}");
        assert_eq!(size(255), size(100), "{format:?}");
    }
}

#[test]
fn a_preview_is_upright_and_pictures_from_it_show_what_those_of_the_photo_do() {
    let limits = Limits::default();
    for orientation in 1..=8 {
        let photo = jpeg_with_exif(&jpeg_of(&corners(2_700, 1_800), Subsamp::Sub2x2, false), &exif_block(orientation));
        let inspection = inspect(&photo, &limits).unwrap();
        let shown = (inspection.width, inspection.height);
        let preview = Renderer::default().preview(&photo, &limits).unwrap().unwrap();
        let told = inspect(&preview.bytes, &limits).unwrap();
        assert_eq!((told.format, told.orientation, told.width.max(told.height)), (Format::Jpeg, 1, 1_280), "{orientation}");
        let cut = Recipe { resize: Resize::Fill, gravity: Gravity::Point { x: 2_500, y: 2_500 }, ..Recipe::fit(90, 70, OutputFormat::Png) };
        let part = Recipe { region: Some(Region { x: 10, y: 900, width: 800, height: 800 }), ..Recipe::fit(101, 0, OutputFormat::Png) };
        for recipe in [Recipe::fit(0, 101, OutputFormat::Png), cut, part] {
            let made = Renderer::default().render_preview(&preview.bytes, shown, &recipe, &limits).unwrap();
            let direct = render(&photo, &recipe, &limits).unwrap();
            assert_eq!((made.width, made.height), (direct.width, direct.height), "{orientation} {recipe:?}");
            let [made, direct] = [made, direct].map(|rendered| image::load_from_memory(&rendered.bytes).unwrap().to_rgb8());
            let apart: u64 = made.as_raw().iter().zip(direct.as_raw()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
            assert!(apart < 2 * made.as_raw().len() as u64, "{orientation} {recipe:?}: {apart}");
        }
    }
}

#[test]
fn what_may_be_transparent_has_no_preview() {
    let transparent = image::RgbaImage::from_fn(2_600, 100, |x, _| image::Rgba([9, 9, 9, (x % 256) as u8]));
    let mut png = std::io::Cursor::new(vec![]);
    transparent.write_to(&mut png, image::ImageFormat::Png).unwrap();
    assert!(Renderer::default().preview(png.get_ref(), &Limits::default()).unwrap().is_none());
    let opaque = encoded(&corners(2_600, 100), Format::Png);
    assert!(Renderer::default().preview(&opaque, &Limits::default()).unwrap().is_some());
    assert!(matches!(Renderer::default().preview(b"no photo", &Limits::default()), Err(ImagingError::NotAnImage)));
}

/// What a file's planes have beyond its picture is none of it: it was other photos' memory once.
#[test]
fn a_flat_picture_is_flat_at_every_size_and_scale() {
    let mut renderer = Renderer::default();
    let limits = Limits::default();
    let noise = RgbImage::from_fn(257, 129, |x, y| image::Rgb([(x * 7 + y * 13) as u8, (x * y) as u8, ((x * 31) ^ (y * 17)) as u8]));
    let noise = jpeg_of(&noise, Subsamp::Sub2x2, false);
    let flat = RgbImage::from_pixel(2_001, 66, image::Rgb([128; 3]));
    let samplings = [Subsamp::None, Subsamp::Sub2x1, Subsamp::Sub2x2, Subsamp::Sub1x2, Subsamp::Sub4x1, Subsamp::Sub1x4, Subsamp::Gray];
    let small = [1, 2, 3, 5, 8, 9, 15, 17, 24, 33, 40].into_iter().flat_map(|width| [1, 5, 8, 9, 17, 33].map(|height| (width, height)));
    let long = [65, 129, 801, 2_001].into_iter().flat_map(|side| [(side, 1), (side, 9)]);
    for (width, height) in small.chain(long) {
        let picture = image::imageops::crop_imm(&flat, 0, 0, width, height).to_image();
        for sampling in samplings {
            let photo = jpeg_of(&picture, sampling, (width + height) % 5 == 0);
            let longer = width.max(height);
            // Leaves its samples in what the decoder is given next.
            renderer.render(&noise, &Recipe::fit(16, 16, OutputFormat::Jpeg), &limits).unwrap();
            for side in [longer.div_ceil(16), longer.div_ceil(8), longer.div_ceil(4), longer] {
                for format in [OutputFormat::Png, OutputFormat::Jpeg] {
                    let made = renderer.render(&photo, &Recipe::fit(side, side, format), &limits).unwrap();
                    let pixels = if format == OutputFormat::Jpeg {
                        turbojpeg::decompress(&made.bytes, turbojpeg::PixelFormat::RGB).unwrap().pixels
                    } else {
                        image::load_from_memory(&made.bytes).unwrap().to_rgb8().into_raw()
                    };
                    let worst = pixels.iter().map(|sample| sample.abs_diff(128)).max();
                    assert!(worst <= Some(3), "{width} x {height}, {sampling:?}, to {side}, {format:?}: {worst:?}");
                }
            }
        }
    }
}

/// At an eighth the right edge was mixed with the next row's left one.
#[test]
fn the_edges_of_a_picture_are_its_own() {
    for (width, height) in [(1_000, 800), (1_000, 1_000), (1_001, 801), (1_008, 800)] {
        let halves = RgbImage::from_fn(width, height, |x, y| image::Rgb([if x < width / 2 && y < height / 2 { 0 } else { 255 }; 3]));
        for sampling in [Subsamp::None, Subsamp::Sub2x1, Subsamp::Sub2x2, Subsamp::Sub4x1] {
            let small = shown(&jpeg_of(&halves, sampling, false), &Recipe::fit(61, 61, OutputFormat::Png));
            let (right, bottom) = (small.width() - 1, small.height() - 1);
            for (x, y) in [(right, 0), (0, bottom), (right, bottom), (right, bottom / 4)] {
                let found = small.get_pixel(x, y).0;
                assert!(found.iter().all(|sample| *sample >= 247), "{width} x {height}, {sampling:?}, at {x}, {y}: {found:?}");
            }
        }
    }
}
