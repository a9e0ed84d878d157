//! Real and hostile files, where a corpus of them exists: every file gets the verdict of its manifest, and what is accepted its size,
//! orientation and date, and renditions the right way up.
//!
//! Where there is none (harness/corpus.rs), the tests say so and pass.
//!
//! Every file is made two pictures of, the smaller in formats that take turns; with `HALIDOM_TEST_LONG` set, one in every size and format.

// A test may look where its files are, say what it saw, and stop at what it did not expect.
#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::unwrap_used)]

#[path = "harness/corpus.rs"]
mod corpus;
#[path = "harness/needs.rs"]
mod needs;

use std::sync::atomic::{AtomicUsize, Ordering};

use corpus::{File, corpus, files};
use halidom::imaging::{Format, ImagingError, Inspection, Limits, OutputFormat, Recipe, TakenAt, inspect, placeholder, render};

/// The manifest's date of these is not EXIF's: one comes from a maker's note of thermal cameras.
const DATES_ELSEWHERE: [&str; 1] = ["cam_flir-iphone-device.jpg"];

fn expected_format(text: &str) -> Option<Format> {
    Some(match text.split('/').next()? {
        "JPEG" => Format::Jpeg,
        "PNG" | "APNG" => Format::Png,
        "GIF" => Format::Gif,
        "WebP" => Format::WebP,
        "TIFF" => Format::Tiff,
        "BMP" => Format::Bmp,
        "AVIF" => Format::Avif,
        text if text.starts_with("HEI") => Format::Heic,
        _ => return None,
    })
}

/// What is wrong with an accepted file's description, one line each.
fn differences(file: &File, found: &Inspection) -> Vec<String> {
    let mut wrong = vec![];
    let mut check = |what: &str, expected: String, found: String| {
        if expected != found {
            wrong.push(format!("{}: {what}: expected {expected}, found {found}", file.name));
        }
    };
    if let Some(format) = expected_format(file.get("true_format")) {
        check("format", format.to_string(), found.format.to_string());
    }
    if let (Some(width), Some(height)) = (file.number("width"), file.number("height")) {
        check("size", format!("{width} x {height}"), format!("{} x {}", found.width, found.height));
    }
    if let Some(frames) = file.number("frames") {
        check("frames", frames.to_string(), found.frames.to_string());
    }
    // HEIC and AVIF say by other means how they lie, and decoders obey.
    let is_turned_by_decoder = matches!(found.format, Format::Heic | Format::Avif);
    let by_exif = file.number("orientation").filter(|value| (1..=8).contains(value) && !is_turned_by_decoder);
    let orientation = by_exif.unwrap_or(1);
    check("orientation", orientation.to_string(), found.orientation.to_string());

    if !DATES_ELSEWHERE.contains(&file.name.as_str()) {
        let date = file.get("exif_date").trim_end_matches('Z');
        let expected = if date.starts_with("0000") { String::new() } else { date.replacen(':', "-", 2).replace(' ', "T") };
        // The manifest has whole seconds, cut, not rounded.
        let whole_seconds = |taken: TakenAt| taken.local().with().subsec_nanosecond(0).build().unwrap().to_string();
        check("date", expected, found.taken_at.map(whole_seconds).unwrap_or_default());
    }
    let tidy = |text: &str| text.trim().to_owned();
    check("make", tidy(file.get("make")), found.camera_make.clone().unwrap_or_default());
    check("model", tidy(file.get("model")), found.camera_model.clone().unwrap_or_default());
    wrong
}

fn long() -> bool {
    std::env::var_os("HALIDOM_TEST_LONG").is_some()
}

/// The formats in which the file at this place of the manifest is drawn within this size.
fn formats(at: usize, side: u32) -> Vec<OutputFormat> {
    match (long(), side) {
        (true, _) => OutputFormat::ALL.to_vec(),
        (false, 320) => vec![OutputFormat::ALL[at % OutputFormat::ALL.len()]],
        // The others' encoders take seconds where they are compiled without optimisation.
        (false, _) => vec![OutputFormat::Jpeg],
    }
}

fn renditions(file: &File, found: &Inspection, limits: &Limits) -> Vec<String> {
    let mut wrong = vec![];
    for side in [320, 1280] {
        for format in formats(file.at, side) {
            let expected = halidom::imaging::fit((found.width, found.height), (side, side), false);
            match render(&file.bytes, &Recipe::fit(side, side, format), limits) {
                Ok(rendered) => {
                    let again = inspect(&rendered.bytes, limits).unwrap();
                    let size = (again.width, again.height);
                    if size != expected
                        || (rendered.width, rendered.height) != expected
                        || again.format != format.format()
                        || again.orientation != 1
                    {
                        wrong.push(format!("{}: {format:?} {side}: {size:?}, expected {expected:?}, {again:?}", file.name));
                    }
                    if again.taken_at.is_some() || again.camera_make.is_some() || again.gps.is_some() {
                        wrong.push(format!("{}: {format:?} {side}: carries metadata", file.name));
                    }
                }
                Err(error) => wrong.push(format!("{}: {format:?} {side}: {error}", file.name)),
            }
        }
    }
    wrong
}

/// What one file gets wrong.
fn judged(file: &File, limits: &Limits) -> Vec<String> {
    let verdict = file.get("verdict");
    match inspect(&file.bytes, limits) {
        Ok(_) if verdict == "refuse" => vec![format!("{}: accepted, must be refused", file.name)],
        Ok(found) => {
            let mut wrong = differences(file, &found);
            wrong.extend(renditions(file, &found, limits));
            if (long() || found.placeholder.is_none()) && placeholder(&file.bytes, limits).is_err() {
                wrong.push(format!("{}: no placeholder", file.name));
            }
            if let Some(warning) = found.warning {
                println!("{}: taken with a warning: {warning}", file.name);
            }
            wrong
        }
        Err(ImagingError::Encoding(words)) => vec![format!("{}: our own failure: {words}", file.name)],
        // The manifest leaves open what a build without their decoders may not take: this one has them.
        Err(error) if verdict == "accept" || matches!(file.get("class"), "avif" | "heic") => {
            vec![format!("{}: refused: {error}", file.name)]
        }
        Err(error) => {
            println!("{}: {verdict}: {error}", file.name);
            vec![]
        }
    }
}

#[test]
fn every_file_gets_its_verdict() {
    let Some(directory) = corpus("real and hostile image files") else { return };
    let (files, limits) = (files(&directory), Limits::default());
    assert!(files.len() > 100, "only {} files: is this the corpus?", files.len());
    let next = AtomicUsize::new(0);
    let work = || {
        let mut wrong = vec![];
        while let Some(file) = files.get(next.fetch_add(1, Ordering::SeqCst)) {
            wrong.extend(judged(file, &limits));
        }
        wrong
    };
    let wrong = std::thread::scope(|scope| {
        let other = scope.spawn(work);
        [work(), other.join().unwrap()].concat()
    });
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}

/// Files that show the same picture: turned, coded, inked or profiled in another way.
const SAME_PICTURE: [(&str, &[&str]); 3] = [
    (
        "orient_landscape-1.jpg",
        &[
            "orient_landscape-0.jpg",
            "orient_landscape-2.jpg",
            "orient_landscape-3.jpg",
            "orient_landscape-4.jpg",
            "orient_landscape-5.jpg",
            "orient_landscape-6.jpg",
            "orient_landscape-7.jpg",
            "orient_landscape-8.jpg",
        ],
    ),
    (
        "jpegvar_coffee-422.jpg",
        &[
            "jpegvar_coffee-411.jpg",
            "jpegvar_coffee-q100.jpg",
            "jpegvar_coffee-restart.jpg",
            "jpegvar_coffee-cmyk-adobe.jpg",
            "icc_coffee-cmyk-icc.jpg",
            "icc_coffee-adobergb.jpg",
            "icc_coffee-p3.png",
            "poly_coffee-jpeg-plus-zip.jpg",
        ],
    ),
    (
        "jpegvar_astronaut-444.jpg",
        &[
            "jpegvar_astronaut-420.jpg",
            "jpegvar_astronaut-progressive.jpg",
            "jpegvar_astronaut-arithmetic.jpg",
            "icc_astronaut-display-p3.jpg",
            "png_astronaut-adam7.png",
        ],
    ),
];

#[test]
fn the_same_picture_looks_the_same() {
    let Some(directory) = corpus("pictures that are the same") else { return };
    let picture = |name: &str| {
        let bytes = std::fs::read(directory.join(name)).unwrap();
        let rendered = render(&bytes, &Recipe::fit(96, 96, OutputFormat::Png), &Limits::default()).unwrap();
        image::load_from_memory(&rendered.bytes).unwrap().to_rgb8()
    };
    for (reference, others) in SAME_PICTURE {
        let expected = picture(reference);
        for name in others {
            let found = picture(name);
            assert_eq!(found.dimensions(), expected.dimensions(), "{name}");
            let sum: u64 = found.as_raw().iter().zip(expected.as_raw()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
            let mean = sum as f64 / expected.as_raw().len() as f64;
            println!("{name}: mean difference {mean:.2}");
            // Coding costs 1 or 2, the gamut of ink 10 (with lcms too); a wrong turn, inverted ink or swapped colours cost 20 and more.
            assert!(mean < 12.0, "{name} differs from {reference} by {mean:.1} in the mean");
        }
    }
}

#[test]
fn a_profile_that_swaps_colours_is_honoured() {
    let Some(directory) = corpus("a profile that swaps colours") else { return };
    let mean = |name: &str| {
        let bytes = std::fs::read(directory.join(name)).unwrap();
        let rendered = render(&bytes, &Recipe::fit(32, 32, OutputFormat::Png), &Limits::default()).unwrap();
        let picture = image::load_from_memory(&rendered.bytes).unwrap().to_rgb8();
        [0, 1].map(|channel| {
            picture.pixels().map(|pixel| u64::from(pixel.0[channel])).sum::<u64>() / u64::from(picture.width() * picture.height())
        })
    };
    let ([red, green], [swapped_red, swapped_green]) = (mean("jpegvar_astronaut-444.jpg"), mean("icc_astronaut-swapped-rg.jpg"));
    assert!(red > green + 10 && swapped_green > swapped_red + 10, "{red} {green} {swapped_red} {swapped_green}");
}
