//! Real and hostile files, where a corpus of them exists: every file gets the verdict of its manifest, and what is accepted its size,
//! orientation and date, and renditions the right way up.
//!
//! The corpus is no part of the project. It is looked for where `HALIDOM_CORPUS` says, else at `../shared/corpus` beside the sources;
//! where there is none, the test says so and passes.

#![allow(clippy::disallowed_methods, clippy::print_stdout)] // A test may look where its files are, and say that it found none.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use halidom::imaging::{Format, ImagingError, Inspection, Limits, OutputFormat, Recipe, inspect, placeholder, render};

/// The manifest's date of these is not EXIF's: one comes from a maker's note of thermal cameras.
const DATES_ELSEWHERE: [&str; 1] = ["cam_flir-iphone-device.jpg"];

struct File {
    name: String,
    bytes: Vec<u8>,
    columns: HashMap<String, String>,
}

impl File {
    fn get(&self, column: &str) -> &str {
        self.columns.get(column).map_or("", String::as_str)
    }

    fn number(&self, column: &str) -> Option<u32> {
        self.get(column).parse().ok()
    }
}

fn corpus() -> Option<PathBuf> {
    let named = std::env::var_os("HALIDOM_CORPUS").filter(|path| !path.is_empty()).map(PathBuf::from);
    let directory = named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus"));
    directory.join("MANIFEST.tsv").is_file().then_some(directory)
}

fn files(directory: &Path) -> Vec<File> {
    let manifest = std::fs::read_to_string(directory.join("MANIFEST.tsv")).unwrap();
    let mut lines = manifest.lines();
    let header: Vec<&str> = lines.next().unwrap().split('\t').collect();
    lines
        .map(|line| {
            let columns: HashMap<String, String> =
                header.iter().zip(line.split('\t')).map(|(k, v)| ((*k).to_owned(), v.to_owned())).collect();
            let name = columns["file"].clone();
            let bytes = std::fs::read(directory.join(&name)).unwrap();
            File { name, bytes, columns }
        })
        .collect()
}

fn expected_format(text: &str) -> Option<Format> {
    Some(match text.split('/').next()? {
        "JPEG" => Format::Jpeg,
        "PNG" | "APNG" => Format::Png,
        "GIF" => Format::Gif,
        "WebP" => Format::WebP,
        "TIFF" => Format::Tiff,
        "BMP" => Format::Bmp,
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
    let orientation = file.number("orientation").filter(|value| (1..=8).contains(value)).unwrap_or(1);
    check("orientation", orientation.to_string(), found.orientation.to_string());

    if !DATES_ELSEWHERE.contains(&file.name.as_str()) {
        let date = file.get("exif_date").trim_end_matches('Z');
        let expected = if date.starts_with("0000") { String::new() } else { date.replacen(':', "-", 2).replace(' ', "T") };
        let local = found.taken_at.map(|taken| taken.local().round(jiff::Unit::Second).unwrap().to_string());
        // The manifest has whole seconds, cut, not rounded.
        let floor = found.taken_at.map(|taken| taken.local().with().subsec_nanosecond(0).build().unwrap().to_string());
        let matching = [local, floor].into_iter().flatten().find(|text| *text == expected).unwrap_or_default();
        check(
            "date",
            expected,
            found.taken_at.map_or(matching.clone(), |taken| if matching.is_empty() { taken.to_string() } else { matching }),
        );
    }
    let tidy = |text: &str| text.trim().to_owned();
    check("make", tidy(file.get("make")), found.camera_make.clone().unwrap_or_default());
    check("model", tidy(file.get("model")), found.camera_model.clone().unwrap_or_default());
    wrong
}

fn renditions(file: &File, found: &Inspection, limits: &Limits) -> Vec<String> {
    let mut wrong = vec![];
    for side in [320, 1280] {
        for format in [OutputFormat::Jpeg, OutputFormat::WebP, OutputFormat::Png] {
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

#[test]
fn every_file_gets_its_verdict() {
    let Some(directory) = corpus() else {
        println!("no corpus here: skipped");
        return;
    };
    let limits = Limits::default();
    let mut wrong = vec![];
    let mut accepted = 0;
    for file in files(&directory) {
        let verdict = file.get("verdict").to_owned();
        match inspect(&file.bytes, &limits) {
            Ok(_) if verdict == "refuse" => wrong.push(format!("{}: accepted, must be refused", file.name)),
            Ok(found) => {
                accepted += 1;
                wrong.extend(differences(&file, &found));
                wrong.extend(renditions(&file, &found, &limits));
                if placeholder(&file.bytes, &limits).is_err() {
                    wrong.push(format!("{}: no placeholder", file.name));
                }
                if let Some(warning) = found.warning {
                    println!("{}: taken with a warning: {warning}", file.name);
                }
            }
            Err(ImagingError::Encoding(words)) => wrong.push(format!("{}: our own failure: {words}", file.name)),
            Err(error) if verdict == "accept" => wrong.push(format!("{}: refused: {error}", file.name)),
            Err(error) => println!("{}: {verdict}: {error}", file.name),
        }
    }
    println!("{accepted} accepted");
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}
