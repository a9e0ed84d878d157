//! Hostile and damaged input, made here: nothing panics, nothing is cut silently, and no bomb goes off.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // A test stops at what it did not expect, and says its seed.

mod imaging_samples;

use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use halidom::imaging::{Extent, Format, ImagingError, Limits, OutputFormat, Recipe, inspect, placeholder, render};
use imaging_samples::{Seeded, corners, encoded, exif_block, jpeg_of, jpeg_with_segment, one_of_each, png_chunk, png_with_chunk};
use turbojpeg::Subsamp;

const SEED: u64 = 0x4841_4C49_444F_4D02;

static OUR_PANICS: Mutex<Vec<String>> = Mutex::new(vec![]);
static HOOKED: AtomicBool = AtomicBool::new(false);

/// A decoder's panic is turned into a refusal; one in our own code would be too, and stay hidden. This brings it to light.
fn watch_for_panics_of_our_own() {
    if HOOKED.swap(true, Ordering::SeqCst) {
        return;
    }
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let place = info.location().map_or_else(String::new, ToString::to_string);
        if place.starts_with("src/") || place.contains("halidom") {
            OUR_PANICS.lock().unwrap().push(place);
        } else if !place.contains(".cargo") {
            before(info);
        }
    }));
}

fn assert_no_panic_of_our_own(context: &str) {
    let panics = std::mem::take(&mut *OUR_PANICS.lock().unwrap());
    assert!(panics.is_empty(), "{context}: {panics:?}");
}

/// Limits that leave nothing to do but small work, so that thousands of rounds are quick.
fn small_limits() -> Limits {
    Limits { max_pixels: 1_000_000, max_decoded_bytes: 16 << 20, max_metadata_bytes: 1 << 16, ..Limits::default() }
}

fn run_all(bytes: &[u8]) -> Result<(), ImagingError> {
    let limits = small_limits();
    let inspected = inspect(bytes, &limits);
    let shown = placeholder(bytes, &limits);
    let rendered = render(bytes, &Recipe::fit(20, 20, OutputFormat::Jpeg), &limits);
    for error in [inspected.as_ref().err(), shown.as_ref().err(), rendered.as_ref().err()].into_iter().flatten() {
        assert!(!matches!(error, ImagingError::Encoding(_)), "bad input is the file's fault, not ours: {error}");
    }
    // Whatever is taken can be shown: small ones were decoded.
    if inspected.is_ok() {
        assert!(rendered.is_ok(), "taken, but cannot be shown: {rendered:?}");
    }
    inspected.map(|_| ())
}

#[test]
fn damaged_files_are_refused_or_shown() {
    watch_for_panics_of_our_own();
    let mut random = Seeded(SEED);
    println!("seed {SEED:#x}");
    for (name, sound) in one_of_each() {
        run_all(&sound).unwrap_or_else(|error| panic!("{name}: {error}"));
        for round in 0..120 {
            let mut bytes = sound.clone();
            match random.below(4) {
                0 => bytes.truncate(random.below(bytes.len())),
                1 => {
                    for _ in 0..=random.below(8) {
                        let at = random.below(bytes.len());
                        bytes[at] ^= 1 << random.below(8);
                    }
                }
                2 => {
                    // Headers are where the decisions are.
                    for _ in 0..=random.below(3) {
                        let at = random.below(bytes.len().min(200));
                        bytes[at] = [0, 0xFF, 0x7F, 0x80, random.next() as u8][random.below(5)];
                    }
                }
                _ => {
                    let (at, count) = (random.below(bytes.len()), random.below(40));
                    let patch = random.bytes(count);
                    bytes.splice(at..(at + random.below(40)).min(sound.len()), patch);
                }
            }
            let _ = run_all(&bytes);
            assert_no_panic_of_our_own(&format!("seed {SEED:#x}, {name}, round {round}"));
        }
    }
}

#[test]
fn random_bytes_behind_every_signature() {
    watch_for_panics_of_our_own();
    let mut random = Seeded(SEED ^ 1);
    println!("seed {:#x}", SEED ^ 1);
    let heads: Vec<Vec<u8>> = one_of_each().into_iter().map(|(_, bytes)| bytes[..bytes.len().min(40)].to_vec()).chain([vec![]]).collect();
    for round in 0..2000 {
        let head = &heads[random.below(heads.len())];
        let keep = random.below(head.len() + 1);
        let count = random.below(600);
        let bytes = [&head[..keep], &random.bytes(count)].concat();
        let _ = run_all(&bytes);
        assert_no_panic_of_our_own(&format!("seed {:#x}, round {round}", SEED ^ 1));
    }
}

#[test]
fn no_prefix_passes_for_the_whole() {
    for (name, sound) in one_of_each() {
        // A GIF without its last byte, the trailer, has lost nothing.
        let shortest_loss = if name.starts_with("gif") { 2 } else { 1 };
        let lengths = (0..sound.len()).step_by(7).chain([sound.len() - shortest_loss]);
        for length in lengths.filter(|length| *length <= sound.len() - shortest_loss) {
            let result = inspect(&sound[..length], &small_limits());
            let later_frames = name == "gif animated" && length > 200;
            // RW2 does not say where the sensor's data ends.
            let of_sensor = name == "rw2" && length > sound.len() - 400;
            if result.is_ok() && !later_frames && !of_sensor {
                panic!("{name}: the first {length} of {} bytes were taken for the whole", sound.len());
            }
        }
    }
}

/// A decoder gives floats and whole numbers of 32 bits out as the same: so neither is taken.
#[test]
fn tiffs_of_32_bits_a_sample_are_refused() {
    let mut tiff = std::io::Cursor::new(vec![]);
    let samples: Vec<u8> = [0.5_f32; 12].iter().flat_map(|sample| sample.to_ne_bytes()).collect();
    image::ImageEncoder::write_image(image::codecs::tiff::TiffEncoder::new(&mut tiff), &samples, 2, 2, image::ExtendedColorType::Rgb32F)
        .unwrap();
    let refused = inspect(tiff.get_ref(), &Limits::default());
    assert!(matches!(refused, Err(ImagingError::Unsupported { .. })), "{refused:?}");
}

/// Its encoder takes many times what the others take: so the limit is of another size, and is told before the encoder runs out of memory.
#[test]
fn a_large_avif_is_told_by_the_memory_that_it_takes() {
    let photo = jpeg_of(&corners(800, 600), Subsamp::Sub2x2, false);
    let limits = |bytes| Limits { max_decoded_bytes: bytes, ..Limits::default() };
    let made = |format, bytes| render(&photo, &Recipe::fit(800, 600, format), &limits(bytes)).map(drop);
    assert_eq!(made(OutputFormat::WebP, 800 * 600 * 99), Ok(()));
    let refused = made(OutputFormat::Avif, 800 * 600 * 99);
    assert!(matches!(refused, Err(ImagingError::TooLarge { extent: Extent::DecodedBytes, .. })), "{refused:?}");
    assert_eq!(made(OutputFormat::Avif, 800 * 600 * 100), Ok(()));
}

#[test]
fn an_avif_that_is_cut_off_shows_without_its_pixels() {
    let whole =
        render(&encoded(&corners(64, 48), Format::Png), &Recipe::fit(64, 48, OutputFormat::Avif), &Limits::default()).unwrap().bytes;
    // As if it were too large to be decoded for that.
    let limits = Limits { inspect_decodes_pixels: 0, ..Limits::default() };
    assert!(inspect(&whole, &limits).is_ok());
    for length in 0..whole.len() {
        assert!(inspect(&whole[..length], &limits).is_err(), "the first {length} of {} bytes were taken for the whole", whole.len());
    }
}

#[test]
fn every_flipped_bit_of_a_png_shows() {
    let png = encoded(&corners(16, 9), Format::Png);
    for at in 0..png.len() {
        for bit in 0..8 {
            let mut bytes = png.clone();
            bytes[at] ^= 1 << bit;
            assert!(inspect(&bytes, &small_limits()).is_err(), "byte {at}, bit {bit}");
        }
    }
}

#[test]
fn what_is_no_image() {
    for bytes in [
        b"".as_slice(),
        b"\xFF",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"<!doctype html><p>",
        b"PK\x03\x04",
        b"\x7fELF\x02",
        b"plain",
    ] {
        assert_eq!(inspect(bytes, &Limits::default()).unwrap_err(), ImagingError::NotAnImage, "{bytes:?}");
    }
    let heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic\0\0\0\0";
    assert!(matches!(inspect(heic, &Limits::default()), Err(ImagingError::Broken { format: Format::Heic, .. })));
    assert!(matches!(inspect(b"\xFF\xD8\xFF\xD9", &Limits::default()), Err(ImagingError::Broken { .. })));
}

fn extent_of(bytes: &[u8]) -> Extent {
    let limits = Limits::default();
    let refusals = [
        inspect(bytes, &limits).map(|_| ()).unwrap_err(),
        placeholder(bytes, &limits).map(|_| ()).unwrap_err(),
        render(bytes, &Recipe::fit(320, 320, OutputFormat::Jpeg), &limits).map(|_| ()).unwrap_err(),
    ];
    let ImagingError::TooLarge { extent, found, limit } = refusals[0] else { panic!("not refused for its size: {}", refusals[0]) };
    assert!(found > limit && refusals.iter().all(|refusal| *refusal == refusals[0]), "{refusals:?}");
    extent
}

#[test]
fn sizes_are_refused_by_the_header() {
    let mut jpeg = encoded(&corners(16, 16), Format::Jpeg);
    let frame = jpeg.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0xFF, 0xDC, 0xFF, 0xDC]);
    assert_eq!(extent_of(&jpeg), Extent::Pixels);
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0, 16, 0xFF, 0xFF]);
    assert_eq!(extent_of(&jpeg), Extent::Side);

    let header = [0x7F, 0xFF, 0xFF, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 8, 6, 0, 0, 0];
    let png = [b"\x89PNG\r\n\x1a\n".as_slice(), &png_chunk(b"IHDR", &header), &png_chunk(b"IEND", &[])].concat();
    assert_eq!(extent_of(&png), Extent::Pixels);

    let mut gif = encoded(&corners(16, 16), Format::Gif);
    gif[6..10].copy_from_slice(&[0xFF; 4]);
    assert_eq!(extent_of(&gif), Extent::Pixels);

    let mut bmp = encoded(&corners(16, 16), Format::Bmp);
    bmp[18..26].copy_from_slice(&[0, 0, 1, 0, 0, 0, 1, 0]);
    assert_eq!(extent_of(&bmp), Extent::Pixels);

    let mut tiff = imaging_samples::tiff_with_orientation(&corners(16, 16), 1);
    let directory = u32::from_le_bytes(tiff[4..8].try_into().unwrap()) as usize;
    tiff[directory + 2 + 8..][..4].copy_from_slice(&60_000_u32.to_le_bytes());
    tiff[directory + 2 + 12 + 8..][..4].copy_from_slice(&60_000_u32.to_le_bytes());
    assert_eq!(extent_of(&tiff), Extent::Pixels);

    let webp = imaging_samples::webp_with_exif(&encoded(&corners(16, 16), Format::WebP), (16_000, 16_000), &[]);
    assert_eq!(extent_of(&webp), Extent::Pixels);

    // 80 megapixels are allowed, but not at 8 bytes each.
    let header = [0, 0, 0x23, 0x28, 0, 0, 0x22, 0xC4, 16, 6, 0, 0, 0];
    let png = [b"\x89PNG\r\n\x1a\n".as_slice(), &png_chunk(b"IHDR", &header), &png_chunk(b"IDAT", &[]), &png_chunk(b"IEND", &[])].concat();
    let limits = Limits { max_decoded_bytes: 512 << 20, ..Limits::default() };
    assert!(matches!(inspect(&png, &limits), Err(ImagingError::TooLarge { extent: Extent::DecodedBytes, .. })));
}

#[test]
fn scan_bombs_are_counted_before_decoding() {
    let repeated = |side: u32, times: usize| {
        let jpeg = jpeg_of(&corners(side, side), Subsamp::None, true);
        let last = jpeg.windows(2).rposition(|pair| pair == [0xFF, 0xDA]).unwrap();
        let scan = &jpeg[last..jpeg.len() - 2];
        [&jpeg[..last], &scan.repeat(times), &[0xFF, 0xD9]].concat()
    };
    assert_eq!(extent_of(&repeated(64, 600)), Extent::Scans);
    assert_eq!(extent_of(&repeated(4096, 300)), Extent::ScanBlocks);
    assert!(inspect(&repeated(64, 100), &Limits::default()).is_ok(), "many scans of a small picture cost nothing");
}

#[test]
fn metadata_bombs_are_left_out() {
    let mut packer = flate2::write::ZlibEncoder::new(b"x\0\0".to_vec(), flate2::Compression::best());
    for _ in 0..64 {
        packer.write_all(&vec![0; 1 << 20]).unwrap();
    }
    let png = png_with_chunk(&encoded(&corners(8, 8), Format::Png), b"iCCP", &packer.finish().unwrap());
    assert!(inspect(&png, &Limits::default()).is_ok());

    // EXIF that says orientation 6, with so many MiB of zeros after it: read where it is small, left out where it is not.
    for (padding_mib, orientation) in [(0, 6), (32, 1)] {
        let block = [b"Exif\0\0".as_slice(), &exif_block(6)].concat();
        let digits: String = block.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut packer = flate2::write::ZlibEncoder::new(b"Raw profile type exif\0\0".to_vec(), flate2::Compression::best());
        write!(packer, "\nexif\n{:8}\n{digits}", block.len() + (padding_mib << 20)).unwrap();
        for _ in 0..2 * padding_mib {
            packer.write_all(&vec![b'0'; 1 << 20]).unwrap();
        }
        let png = png_with_chunk(&encoded(&corners(8, 8), Format::Png), b"zTXt", &packer.finish().unwrap());
        assert_eq!(inspect(&png, &Limits::default()).unwrap().orientation, orientation, "{padding_mib} MiB");
    }
}

#[test]
fn odd_headers_of_jpegs_that_every_viewer_shows() {
    let jpeg = encoded(&corners(64, 48), Format::Jpeg);
    let mut of_the_future = jpeg.clone();
    let jfif = of_the_future.windows(5).position(|five| five == b"JFIF\0").unwrap();
    of_the_future[jfif + 5] = 9;
    let broken_profile = jpeg_with_segment(&jpeg, 0xE2, b"ICC_PROFILE\0\x02\x02half a profile");
    let after_jfif = 4 + usize::from(u16::from_be_bytes([jpeg[4], jpeg[5]]));
    let garbage_between = [&jpeg[..after_jfif], b"garbage", &jpeg[after_jfif..]].concat();
    let trailer = [jpeg.as_slice(), b"PK\x03\x04 anything"].concat();
    for (name, bytes) in [("JFIF 9", of_the_future), ("ICC", broken_profile), ("garbage", garbage_between), ("trailer", trailer)] {
        let found = inspect(&bytes, &Limits::default()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((found.width, found.height), (64, 48));
        let rendered = render(&bytes, &Recipe::fit(32, 32, OutputFormat::Png), &Limits::default()).unwrap();
        let shown = image::load_from_memory(&rendered.bytes).unwrap().to_rgb8();
        let corner = shown.get_pixel(2, 2).0;
        assert!(corner[0] > 180 && corner[1] < 80 && corner[2] < 80, "{name}: the red corner is {corner:?}");
    }
}
