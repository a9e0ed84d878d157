//! Renditions held against libvips: of the same file, to the same size, with the same kernel. Of every format that is written the lossy ones
//! are then held against our own PNG.
//!
//! Needs `vipsthumbnail` (Debian's libvips-tools, which `make test` installs) and a corpus of files (harness/corpus.rs).

// A test runs programs, may look where its files are, say what it saw, and stop at what it did not expect.
#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::unwrap_used)]

#[path = "harness/corpus.rs"]
mod corpus;
#[path = "harness/needs.rs"]
mod needs;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use corpus::{File, corpus, files};
use halidom::imaging::{Limits, OutputFormat, Recipe, Renderer, has_preview, inspect, preview_serves, render};
use image::RgbaImage;

const SIDE: u32 = 320;
/// Photographs are at least so near to libvips' picture, and everything else, too, where nothing below says why not.
const MIN_PSNR_DB: f64 = 38.0;
/// Lossy formats at the usual quality are at least so like our own PNG.
const MIN_SSIM: f64 = 0.85;

/// Where libvips 8.14, which Debian 12 has, is no measure.
const NO_MEASURE: [(&str, &str); 6] = [
    ("orient_exif-imagemagick-orientation.png", "it does not know the orientation in a PNG's text"),
    ("jpegvar_sample-xyb.jpg", "its colour library does not know this kind of profile (8.18 does, and is 49.8 dB near)"),
    ("jpegvar_pil-sample-cmyk.jpg", "ink without a profile is a matter of taste"),
    ("jpegvar_coffee-cmyk-adobe.jpg", "ink without a profile is a matter of taste"),
    ("jpegvar_multiple-icc-segments.jpg", "it takes another rendering intent of the profile (with the perceptual one it is 54.6 dB near)"),
    ("meta_30-type-error.jpg", "it rounds a side that comes to a half after scaling while decoding"),
];

fn run(program: &str, arguments: &[&OsStr]) -> bool {
    let output = Command::new(program).arg("--vips-concurrency=1").args(arguments).output().unwrap();
    if !output.status.success() {
        println!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    output.status.success()
}

/// What libvips makes of a file, converted to sRGB; `None` where it cannot.
fn by_vips(file: &File, at: &Path, directory: &Path) -> Option<RgbaImage> {
    let (out, whole) = (directory.join("vips.png"), directory.join("whole.v"));
    let mut source = at.to_owned();
    if file.get("true_format").starts_with("WebP") {
        // Else it has the decoder scale it, which is not with the same kernel.
        let copied = run("vips", &["copy".as_ref(), at.as_os_str(), whole.as_os_str()]);
        source = if copied { whole } else { return None };
    }
    let (size, strip) = (format!("{SIDE}x{SIDE}>"), format!("{}[strip]", out.display()));
    let mut arguments: Vec<&OsStr> = vec!["--size".as_ref(), size.as_ref(), "--output".as_ref(), strip.as_ref(), source.as_os_str()];
    // Without a profile to convert from it would shift the colours.
    if !file.get("icc").is_empty() {
        arguments.extend(["--export-profile".as_ref(), "srgb".as_ref() as &OsStr]);
    }
    run("vipsthumbnail", &arguments).then(|| image::load_from_memory(&std::fs::read(out).unwrap()).unwrap().to_rgba8())
}

fn by_us(bytes: &[u8], format: OutputFormat) -> Vec<u8> {
    render(bytes, &Recipe::fit(SIDE, SIDE, format), &Limits::default()).unwrap().bytes
}

/// Decodes what we made: what the `image` crate is built without, by our own decoders at full size.
fn picture(bytes: &[u8], format: OutputFormat) -> RgbaImage {
    let png = match format {
        OutputFormat::Png | OutputFormat::WebP => bytes.to_vec(),
        OutputFormat::Jpeg | OutputFormat::Avif => render(bytes, &Recipe::fit(0, 0, OutputFormat::Png), &Limits::default()).unwrap().bytes,
    };
    image::load_from_memory(&png).unwrap().to_rgba8()
}

/// What is seen of a picture on white.
fn seen(picture: &RgbaImage) -> Vec<[f64; 3]> {
    let on_white = |sample: u8, alpha: u8| 255.0 + (f64::from(sample) - 255.0) * f64::from(alpha) / 255.0;
    picture.pixels().map(|image::Rgba([r, g, b, a])| [on_white(*r, *a), on_white(*g, *a), on_white(*b, *a)]).collect()
}

/// Peak signal-to-noise ratio, in dB.
fn psnr(a: &RgbaImage, b: &RgbaImage) -> f64 {
    let squares = seen(a).into_iter().zip(seen(b)).map(|(a, b)| (0..3).map(|at| (a[at] - b[at]).powi(2)).sum::<f64>() / 3.0);
    let mean = squares.sum::<f64>() / f64::from(a.width() * a.height());
    10.0 * (255.0 * 255.0 / mean.max(1e-4)).log10()
}

/// Structural similarity of the lightness (Wang et al. 2004), over blocks of 8 x 8, in the mean.
fn ssim(a: &RgbaImage, b: &RgbaImage) -> f64 {
    const SIDE: usize = 8;
    let lightness = |picture: &RgbaImage| seen(picture).into_iter().map(|[r, g, b]| 0.299 * r + 0.587 * g + 0.114 * b).collect::<Vec<_>>();
    let (width, height) = (a.width() as usize, a.height() as usize);
    let (a, b) = (lightness(a), lightness(b));
    let (mut sum, mut blocks) = (0.0, 0.0);
    for (top, left) in (0..height).step_by(SIDE).flat_map(|top| (0..width).step_by(SIDE).map(move |left| (top, left))) {
        let within = (top..(top + SIDE).min(height)).flat_map(|y| (left..(left + SIDE).min(width)).map(move |x| y * width + x));
        let pairs: Vec<(f64, f64)> = within.map(|at| (a[at], b[at])).collect();
        let mean = |of: &dyn Fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>() / pairs.len() as f64;
        let (mean_a, mean_b) = (mean(&|pair| pair.0), mean(&|pair| pair.1));
        let (var_a, var_b) = (mean(&|pair| (pair.0 - mean_a).powi(2)), mean(&|pair| (pair.1 - mean_b).powi(2)));
        let covariance = mean(&|pair| (pair.0 - mean_a) * (pair.1 - mean_b));
        let (c1, c2) = ((0.01_f64 * 255.0).powi(2), (0.03_f64 * 255.0).powi(2));
        sum += (2.0 * mean_a * mean_b + c1) * (2.0 * covariance + c2) / ((mean_a.powi(2) + mean_b.powi(2) + c1) * (var_a + var_b + c2));
        blocks += 1.0;
    }
    sum / blocks
}

/// The files that every build must take, in a directory that is theirs.
fn accepted(what: &str) -> Option<(PathBuf, Vec<File>)> {
    let directory = corpus(what)?;
    let is_accepted = |file: &File| file.get("verdict") == "accept" || matches!(file.get("class"), "avif" | "heic");
    let accepted: Vec<File> = files(&directory).into_iter().filter(is_accepted).collect();
    assert!(accepted.len() > 80, "only {} files", accepted.len());
    Some((directory, accepted))
}

#[test]
fn pictures_are_those_of_libvips() {
    let Some((directory, files)) = accepted("pictures as libvips makes them") else { return };
    if Command::new("vipsthumbnail").arg("--version").output().is_err() {
        needs::missing("vips", "pictures as libvips makes them", "vipsthumbnail is not installed");
        return;
    }
    let temporary = tempfile::tempdir().unwrap();
    let (mut wrong, mut compared) = (vec![], 0);
    for file in &files {
        if NO_MEASURE.iter().any(|(name, _)| *name == file.name) {
            continue;
        }
        let Some(theirs) = by_vips(file, &directory.join(&file.name), temporary.path()) else { continue };
        let ours = picture(&by_us(&file.bytes, OutputFormat::Png), OutputFormat::Png);
        compared += 1;
        if ours.dimensions() != theirs.dimensions() {
            wrong.push(format!("{}: {:?}, libvips {:?}", file.name, ours.dimensions(), theirs.dimensions()));
            continue;
        }
        let near = psnr(&ours, &theirs);
        println!("{}: {near:.1} dB", file.name);
        if near < MIN_PSNR_DB {
            wrong.push(format!("{}: {near:.1} dB", file.name));
        }
    }
    assert!(wrong.is_empty(), "{} of {compared}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(compared > 80, "libvips took only {compared} files");
}

#[test]
fn pictures_made_from_a_preview_are_like_those_made_from_the_photo() {
    let Some((_, files)) = accepted("pictures from previews") else { return };
    let (mut wrong, mut compared) = (vec![], 0);
    for file in &files {
        let inspection = inspect(&file.bytes, &Limits::default()).unwrap();
        let shown = (inspection.width, inspection.height);
        let recipe = |side| Recipe::fit(side, side, OutputFormat::Png);
        if !has_preview(shown) {
            continue;
        }
        let Some(preview) = Renderer::default().preview(&file.bytes, &Limits::default()).unwrap() else { continue };
        for side in [160, 320, 640] {
            assert!(preview_serves(shown, &recipe(side)) || shown.0.max(shown.1) > 20 * shown.0.min(shown.1), "{} {side}", file.name);
            let made = Renderer::default().render_preview(&preview.bytes, shown, &recipe(side), &Limits::default()).unwrap();
            let direct = render(&file.bytes, &recipe(side), &Limits::default()).unwrap();
            let [made, direct] = [made.bytes, direct.bytes].map(|bytes| picture(&bytes, OutputFormat::Png));
            assert_eq!(made.dimensions(), direct.dimensions(), "{} {side}", file.name);
            let near = psnr(&made, &direct);
            compared += 1;
            println!("{} {side}: {near:.1} dB, preview {} kB of {}", file.name, preview.bytes.len() / 1_000, file.bytes.len() / 1_000);
            if near < MIN_PSNR_DB {
                wrong.push(format!("{} {side}: {near:.1} dB", file.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {compared}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(compared > 0, "no file is large enough");
}

#[test]
fn lossy_pictures_are_like_our_png() {
    let Some((_, files)) = accepted("lossy pictures like our own PNG") else { return };
    let mut wrong = vec![];
    for file in &files {
        let png = picture(&by_us(&file.bytes, OutputFormat::Png), OutputFormat::Png);
        for format in [OutputFormat::Jpeg, OutputFormat::WebP, OutputFormat::Avif] {
            let lossy = picture(&by_us(&file.bytes, format), format);
            assert_eq!(lossy.dimensions(), png.dimensions(), "{} {format:?}", file.name);
            let like = ssim(&lossy, &png);
            println!("{} {format:?}: {like:.3}", file.name);
            if like < MIN_SSIM {
                wrong.push(format!("{} {format:?}: {like:.3}", file.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}
