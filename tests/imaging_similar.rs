//! What the perceptual hash tells apart and what it does not, on the photos of `fixtures/` and, where there is one, on a corpus.

// A test may look where its files are, say what it saw, and stop at what it did not expect.
#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::unwrap_used)]

#[path = "harness/corpus.rs"]
mod corpus;
#[path = "harness/needs.rs"]
mod needs;

use std::path::Path;

use corpus::corpus;
use halidom::imaging::{Limits, PerceptualHash, inspect, placeholder};
use image::imageops::{self, FilterType};
use image::{Rgb, RgbImage};
use turbojpeg::{Image, PixelFormat, Subsamp};

/// Of different scenes, each once, with what Python's ImageHash 4.3.2 says of them (`phash(exif_transpose(Image.open(…)))`).
const SCENES: [(&str, u64); 12] = [
    ("Ferien am Meer – été.jpg", 0xc677_1cbe_3d24_24a6),
    ("ascent.jpg", 0xff74_4602_cf28_38f1),
    ("astronaut.jpg", 0xc292_4c55_32bd_dfc8),
    ("brick.jpg", 0xa289_8b15_66fd_46f1),
    ("camera.jpg", 0xbff1_c1c0_434e_8cbc),
    ("chelsea.png", 0xb15f_e646_5121_175e),
    ("clock.jpg", 0xd993_669c_9933_64cc),
    ("coffee.webp", 0xbb83_2037_6c0f_3637),
    ("grass.jpg", 0x92f2_e18b_a30b_770d),
    ("hubble.jpg", 0x84cc_4b96_ba4d_333e),
    ("raccoon.jpg", 0xcc91_6c2b_5b64_b95c),
    ("rocket.jpg", 0xc037_1bec_1be5_1267),
];

fn hash(bytes: &[u8]) -> PerceptualHash {
    let found = inspect(bytes, &Limits::default()).unwrap();
    found.perceptual_hash.expect("a photo that shows something")
}

fn jpeg(picture: &RgbImage, quality: i32) -> Vec<u8> {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let image = Image { pixels: picture.as_raw().as_slice(), width, pitch: width * 3, height, format: PixelFormat::RGB };
    turbojpeg::compress(image, quality, Subsamp::Sub2x2).unwrap().to_vec()
}

fn decoded(bytes: &[u8]) -> RgbImage {
    if bytes.starts_with(&[0xff, 0xd8]) {
        let image = turbojpeg::decompress(bytes, PixelFormat::RGB).unwrap();
        RgbImage::from_raw(image.width as u32, image.height as u32, image.pixels).unwrap()
    } else {
        image::load_from_memory(bytes).unwrap().to_rgb8()
    }
}

/// Without so many hundredths of its width and height at each side.
fn cropped(picture: &RgbImage, left: u32, top: u32, right: u32, bottom: u32) -> RgbImage {
    let (width, height) = picture.dimensions();
    let (x, y) = (width * left / 100, height * top / 100);
    imageops::crop_imm(picture, x, y, width - x - width * right / 100, height - y - height * bottom / 100).to_image()
}

fn scaled(picture: &RgbImage, percent: u32) -> RgbImage {
    let (width, height) = picture.dimensions();
    imageops::resize(picture, width * percent / 100, height * percent / 100, FilterType::Lanczos3)
}

fn lit(picture: &RgbImage, percent: u16) -> RgbImage {
    let mut lit = picture.clone();
    for Rgb(pixel) in lit.pixels_mut() {
        *pixel = pixel.map(|level| (u16::from(level) * percent / 100).min(255) as u8);
    }
    lit
}

/// What becomes of a photo, and how far that takes it at most.
fn variants(picture: &RgbImage) -> Vec<(&'static str, u32, Vec<u8>)> {
    let grey = imageops::grayscale(picture);
    let grey = RgbImage::from_fn(picture.width(), picture.height(), |x, y| Rgb([grey.get_pixel(x, y).0[0]; 3]));
    vec![
        ("quality 85", 6, jpeg(picture, 85)),
        ("quality 30", 6, jpeg(picture, 30)),
        ("half the size", 6, jpeg(&scaled(picture, 50), 80)),
        ("a quarter of the size", 6, jpeg(&scaled(picture, 25), 75)),
        ("brighter", 8, jpeg(&lit(picture, 120), 85)),
        ("darker", 8, jpeg(&lit(picture, 80), 85)),
        ("without colour", 6, jpeg(&grey, 85)),
        ("a hundredth cut at each side", 11, jpeg(&cropped(picture, 1, 1, 1, 1), 85)),
        ("the camera moved by a hundredth", 11, jpeg(&cropped(picture, 1, 0, 0, 1), 85)),
    ]
}

#[test]
fn what_was_made_of_a_photo_is_near_it_and_other_scenes_are_far() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/photos");
    let scenes: Vec<_> = SCENES.iter().map(|(name, expected)| (*name, *expected, std::fs::read(folder.join(name)).unwrap())).collect();
    let mut wrong = vec![];
    for (at, (name, expected, bytes)) in scenes.iter().enumerate() {
        let original = hash(bytes);
        // Other decoders and another resizing: a wave or two may fall to the other side of the median.
        let from_expected = original.distance(PerceptualHash(*expected));
        if from_expected > 4 {
            wrong.push(format!("{name}: {original}, {from_expected} from ImageHash's"));
        }
        for (what, at_most, variant) in variants(&decoded(bytes)) {
            let distance = original.distance(hash(&variant));
            if distance > at_most {
                wrong.push(format!("{name}, {what}: {distance}, more than {at_most}"));
            }
        }
        for (other, _, others) in &scenes[at + 1..] {
            let distance = original.distance(hash(others));
            if distance < 16 {
                wrong.push(format!("{name} and {other}: only {distance}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_embedded_thumbnail_looks_like_its_photo() {
    let Some(directory) = corpus("perceptual hashes of embedded thumbnails") else { return };
    // So that everything is large, and is looked at by its thumbnail alone.
    let thumbnails = Limits { inspect_decodes_pixels: 0, ..Limits::default() };
    let mut distances = vec![];
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let of_thumbnail = inspect(&bytes, &thumbnails).ok().and_then(|found| found.perceptual_hash);
        let of_photo = placeholder(&bytes, &Limits::default()).ok().and_then(|found| found.perceptual_hash);
        if let (Some(of_thumbnail), Some(of_photo)) = (of_thumbnail, of_photo) {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            distances.push((of_thumbnail.distance(of_photo), name));
        }
    }
    distances.sort();
    println!("{distances:?}");
    assert!(distances.len() >= 10 && distances.iter().all(|(distance, _)| *distance <= 6), "{distances:?}");
}
