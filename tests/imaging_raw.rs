//! Raw files of cameras, made here: shown by the JPEG in them, kept as they are, and refused where they are hostile or cut off.

#![allow(clippy::unwrap_used)] // A test stops at what it did not expect.

mod imaging_samples;

use halidom::imaging::{Extent, Format, ImagingError, Limits, OutputFormat, RawFormat, Recipe, inspect, placeholder, render};
use image::RgbImage;
use imaging_samples::raw::{Directory, Raw, Value, Writer, directory, lossless_jpeg};
use imaging_samples::{BLUE, GREEN, RED, WHITE, corners, encoded, exif_block, jpeg_with_exif, tiff_with_orientation};
use proptest::prelude::*;

fn jpeg(width: u32, height: u32) -> Vec<u8> {
    encoded(&corners(width, height), Format::Jpeg)
}

/// A preview of 96 × 64 and a thumbnail of 72 × 64.
fn raw() -> Raw {
    Raw::of(&jpeg(96, 64), &jpeg(72, 64))
}

fn shown(bytes: &[u8]) -> RgbImage {
    let rendered = render(bytes, &Recipe::fit(0, 0, OutputFormat::Png), &Limits::default()).unwrap();
    image::load_from_memory(&rendered.bytes).unwrap().to_rgb8()
}

fn assert_corners(picture: &RgbImage, expected: [[u8; 3]; 4], context: &str) {
    let (w, h) = picture.dimensions();
    let found = [(w / 4, h / 4), (w * 3 / 4, h / 4), (w / 4, h * 3 / 4), (w * 3 / 4, h * 3 / 4)].map(|(x, y)| picture.get_pixel(x, y).0);
    let is_near = |found: [u8; 3], expected: [u8; 3]| found.iter().zip(expected).all(|(found, expected)| found.abs_diff(expected) < 40);
    assert!(found.into_iter().zip(expected).all(|(found, expected)| is_near(found, expected)), "{context}: {found:?}");
}

/// As orientation 6 shows them.
const TURNED: [[u8; 3]; 4] = [BLUE, RED, WHITE, GREEN];

#[test]
fn every_kind_is_shown_by_its_preview_and_read_by_its_own_words() {
    for (format, bytes) in raw().all() {
        let found = inspect(&bytes, &Limits::default()).unwrap_or_else(|error| panic!("{format}: {error}"));
        assert_eq!((found.format, found.width, found.height, found.orientation), (format, 64, 96, 6));
        assert_eq!((found.frames, &found.warning), (1, &None), "{format}");
        assert_eq!(found.taken_at.map(|taken| taken.to_string()).as_deref(), Some("2021-06-05T04:03:02.25+02:00"), "{format}");
        assert_eq!(found.camera_model.as_deref(), Some("H-1"), "{format}");
        assert!(found.camera_make.is_some(), "{format}");
        assert_eq!(found.lens.as_deref(), Some("50mm F1.4"), "{format}");
        let gps = found.gps.unwrap();
        assert_eq!((gps.latitude_e7, gps.longitude_e7, gps.altitude_mm), (-338_567_250, 1_512_100_000, Some(13_500)), "{format}");
        assert_corners(&shown(&bytes), TURNED, format.as_str());

        // A JPEG of the same pixels looks the same to everyone.
        let alone = inspect(&jpeg_with_exif(&raw().preview, &exif_block(6)), &Limits::default()).unwrap();
        assert_eq!((&found.placeholder, found.perceptual_hash), (&alone.placeholder, alone.perceptual_hash), "{format}");
        let impression = placeholder(&bytes, &Limits::default()).unwrap();
        assert_eq!(Some(impression.placeholder), alone.placeholder, "{format}");
    }
}

#[test]
fn a_large_preview_is_not_decoded_for_its_placeholder() {
    let limits = Limits { inspect_decodes_pixels: 0, ..Limits::default() };
    let raw = Raw::of(&jpeg(720, 640), &jpeg(72, 64));
    for (format, bytes) in raw.all() {
        let has_thumbnail = !matches!(format, Format::Raw(RawFormat::Raf | RawFormat::Rw2 | RawFormat::Orf));
        assert_eq!(inspect(&bytes, &limits).unwrap().placeholder.is_some(), has_thumbnail, "{format}");
    }
    // RAF and the like have it within the preview.
    let block = imaging_samples::exif_block_with(&imaging_samples::standard_fields(1), Some(&jpeg(72, 64)));
    let within = Raw::of(&jpeg_with_exif(&jpeg(720, 640), &block), &[]).rw2();
    assert!(inspect(&within, &limits).unwrap().placeholder.is_some());
}

#[test]
fn which_way_up_says_the_file_before_the_preview() {
    let contradicting = jpeg_with_exif(&jpeg(96, 64), &exif_block(3));
    for bytes in [Raw::of(&contradicting, &jpeg(72, 64)).dng(b"II*\0"), Raw::of(&contradicting, &jpeg(72, 64)).cr3()] {
        assert_eq!(inspect(&bytes, &Limits::default()).unwrap().orientation, 6);
        assert_corners(&shown(&bytes), TURNED, "turned once");
    }
    // Where the file does not say it, the preview does.
    let first = directory(vec![(271, Value::Text("Panasonic")), (0x2E, Value::Bytes(contradicting))]);
    let silent = Writer::new(b"IIU\0", &[]).file(&first);
    let found = inspect(&silent, &Limits::default()).unwrap();
    assert_eq!((found.orientation, found.camera_make.as_deref(), found.lens.as_deref()), (3, Some("Panasonic"), Some("50mm F1.4")));
    assert_corners(&shown(&silent), [WHITE, BLUE, GREEN, RED], "as the preview says");
}

#[test]
fn the_largest_preview_is_taken_and_never_the_sensors_own_jpeg() {
    let below = vec![
        Raw::old_jpeg(&jpeg(48, 32)),
        Raw::strip_jpeg(7, &jpeg(96, 64)),
        Raw::strip_jpeg(7, &lossless_jpeg(6_000, 4_000)),
        // A lossy one of the sensor's pixels shows nothing that anyone wants to see.
        Raw::sensor(7, jpeg(120, 80)),
        Raw::old_jpeg(&jpeg(72, 48)),
    ];
    let bytes = dng(vec![(330, Value::Directories(below))]);
    let found = inspect(&bytes, &Limits::default()).unwrap();
    assert_eq!((found.width, found.height), (96, 64));
}

/// A DNG that says nothing but this.
fn dng(entries: Vec<(u16, Value)>) -> Vec<u8> {
    let all = [vec![(50_706, Value::Bytes(vec![1, 4, 0, 0]))], entries].concat();
    Writer::new(b"II*\0", &[]).file(&directory(all))
}

#[test]
fn what_has_no_preview_is_refused_as_such() {
    let lossless = Raw::of(&lossless_jpeg(600, 400), &lossless_jpeg(60, 40));
    for (format, bytes) in lossless.all() {
        match inspect(&bytes, &Limits::default()) {
            Err(ImagingError::Unsupported { format: of, .. }) => assert_eq!(of, format),
            other => panic!("{format}: {other:?}"),
        }
    }
    assert!(matches!(inspect(&dng(vec![]), &Limits::default()), Err(ImagingError::Unsupported { .. })));
}

#[test]
fn tiff_is_raw_only_with_a_sensors_pixels_and_a_maker_that_is_known() {
    let tiff = tiff_with_orientation(&corners(32, 16), 1);
    assert_eq!(inspect(&tiff, &Limits::default()).unwrap().format, Format::Tiff);
    let made = |make, below| {
        let first = directory(vec![(254, Value::Long(1)), (271, Value::Text(make)), (330, Value::Directories(below))]);
        inspect(&Writer::new(b"II*\0", &[]).file(&first), &Limits::default())
    };
    let preview = || Raw::old_jpeg(&jpeg(96, 64));
    let sensor = || Raw::sensor(1, vec![9; 90]);
    assert_eq!(made("NIKON", vec![preview(), sensor()]).unwrap().format, Format::Raw(RawFormat::Nef));
    assert_eq!(made("Ricoh Imaging", vec![sensor(), preview()]).unwrap().format, Format::Raw(RawFormat::Pef));
    for (make, below) in [("NIKON", vec![preview()]), ("Halidom Optics", vec![preview(), sensor()])] {
        assert!(matches!(made(make, below), Err(ImagingError::Unsupported { format: Format::Tiff, .. })), "{make}");
    }
}

#[test]
fn limits_hold_for_the_preview() {
    let small = Limits { max_pixels: 96 * 64 - 1, ..Limits::default() };
    for (format, bytes) in raw().all() {
        for refused in [inspect(&bytes, &small).err(), render(&bytes, &Recipe::fit(9, 9, OutputFormat::Jpeg), &small).err()] {
            assert!(matches!(refused, Some(ImagingError::TooLarge { extent: Extent::Pixels, .. })), "{format}: {refused:?}");
        }
    }
}

#[test]
fn a_preview_that_is_cut_off_or_damaged_is_told_as_the_files_fault() {
    let mut cut = jpeg(96, 64);
    cut.truncate(cut.len() - 40);
    for (format, bytes) in Raw::of(&cut, &jpeg(72, 64)).all() {
        let refused = inspect(&bytes, &Limits::default());
        assert!(matches!(&refused, Err(ImagingError::Broken { format: of, .. }) if *of == format), "{format}: {refused:?}");
    }
}

/// A DNG with a preview, and then what a hostile one says.
fn hostile(entries: Vec<(u16, Value)>, below: Vec<Directory>) -> Result<(), ImagingError> {
    let preview = Raw::old_jpeg(&jpeg(96, 64));
    let bytes = dng([entries, vec![(330, Value::Directories([vec![preview], below].concat()))]].concat());
    let inspected = inspect(&bytes, &Limits::default());
    // What is refused is not shown either.
    assert_eq!(render(&bytes, &Recipe::fit(9, 9, OutputFormat::Jpeg), &Limits::default()).is_ok(), inspected.is_ok());
    inspected.map(|_| ())
}

#[test]
fn places_that_are_not_in_the_file_are_a_file_cut_off() {
    let long = |number| Value::Long(number);
    for (start, length) in [(u32::MAX, 10), (100, u32::MAX), (u32::MAX, u32::MAX), (1 << 20, 10)] {
        for below in [
            directory(vec![(513, long(start)), (514, long(length))]),
            directory(vec![(259, Value::Short(7)), (273, long(start)), (279, long(length))]),
            directory(vec![(262, Value::Short(32_803)), (273, long(start)), (279, long(length))]),
            directory(vec![(262, Value::Short(32_803)), (324, long(start)), (325, long(length))]),
        ] {
            let refused = hostile(vec![], vec![below]);
            assert!(matches!(refused, Err(ImagingError::Broken { .. })), "{start}, {length}: {refused:?}");
        }
    }
    // The file's own head is no JPEG, however long.
    assert_eq!(hostile(vec![(513, long(0)), (514, long(100))], vec![]), Ok(()));
    assert_eq!(hostile(vec![(513, long(9)), (514, long(0))], vec![]), Ok(()));
}

#[test]
fn directories_that_bite_their_tail_end_there() {
    let mut bytes = dng(vec![(330, Value::Directories(vec![Raw::old_jpeg(&jpeg(96, 64))]))]);
    // The first directory's two entries, and after them its next: itself.
    let next_at = 8 + 2 + 2 * 12;
    assert_eq!(bytes[next_at..next_at + 4], [0; 4]);
    bytes[next_at..next_at + 4].copy_from_slice(&8_u32.to_le_bytes());
    assert!(inspect(&bytes, &Limits::default()).is_ok());
    // And the one below the first is the first: of the first entry the value.
    bytes[18..22].copy_from_slice(&8_u32.to_le_bytes());
    assert!(matches!(inspect(&bytes, &Limits::default()), Err(ImagingError::Unsupported { .. })));
}

#[test]
fn more_than_a_camera_writes_is_not_walked() {
    let chain = (0..70).fold(Raw::old_jpeg(&jpeg(96, 64)), |next, _| directory(vec![(254, Value::Long(1))]).then(next));
    let deep = (0..9).fold(Raw::old_jpeg(&jpeg(96, 64)), |below, _| directory(vec![(330, Value::Directories(vec![below]))]));
    let wide = (0..40).map(|_| directory(vec![(254, Value::Long(1))])).collect::<Vec<_>>();
    let large = directory((0..2_000).map(|tag| (60_000 + tag, Value::Long(0))).collect());
    for below in [vec![chain], vec![deep], wide, vec![large]] {
        let refused = hostile(vec![], below);
        assert!(matches!(refused, Err(ImagingError::Broken { .. })), "{refused:?}");
    }
    // A table of strips as long as the file allows, named again and again.
    let table = vec![0_u8; 1 << 20];
    let mut file = Writer::new(b"II*\0", &table);
    let strips = |tag: u16| [tag.to_le_bytes(), 4_u16.to_le_bytes(), [0, 0], [4, 0], [8, 0], [0, 0]].concat();
    let sensor = [2_u16.to_le_bytes().to_vec(), strips(273), strips(279), vec![0; 4]].concat();
    let at = file.bytes.len();
    for nth in 0..12_usize {
        let mut one = sensor.clone();
        let end = one.len();
        one[end - 4..].copy_from_slice(&((at + (nth + 1) * end) as u32).to_le_bytes());
        file.bytes.extend(one);
    }
    let bytes = file.file(&directory(vec![(50_706, Value::Bytes(vec![1, 4, 0, 0]))]).then(directory(vec![])));
    // Point the first directory's chain at the first of those.
    let mut chained = bytes.clone();
    let first = u32::from_le_bytes(bytes[4..8].try_into().unwrap()) as usize;
    chained[first + 14..first + 18].copy_from_slice(&(at as u32).to_le_bytes());
    assert!(matches!(inspect(&chained, &Limits::default()), Err(ImagingError::Broken { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Whatever becomes of the bytes, nothing panics, and what is taken can be shown.
    #[test]
    fn damage_is_refused_or_shown(kind in 0_usize..11, cut in any::<Option<u16>>(), flips in prop::collection::vec((any::<u16>(), any::<u8>()), 0..12)) {
        let (format, mut bytes) = raw().all().swap_remove(kind);
        if let Some(cut) = cut {
            bytes.truncate(usize::from(cut) % bytes.len());
        }
        for (at, value) in flips {
            let length = bytes.len().max(1);
            if let Some(byte) = bytes.get_mut(usize::from(at) % length) {
                *byte = value;
            }
        }
        let limits = Limits { max_pixels: 1_000_000, max_decoded_bytes: 16 << 20, ..Limits::default() };
        if inspect(&bytes, &limits).is_ok() {
            prop_assert!(render(&bytes, &Recipe::fit(20, 20, OutputFormat::Jpeg), &limits).is_ok(), "{} was taken, but cannot be shown", format);
        }
    }
}
