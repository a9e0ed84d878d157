//! Holds the bytes of renditions to those that this version of the pipeline made before: a strong entity tag must not name two pictures.

use std::fmt::Write as _;
use std::path::Path;

use super::cache::ENCODER_VERSION;
use crate::config::environment;
use crate::imaging::{Limits, OutputFormat, Recipe, Resize, render};

/// What is made of each, and what it came to.
const PINNED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/snapshots/renditions.txt");
/// Set, another version's bytes are accepted.
const ACCEPT: &str = "HALIDOM_ACCEPT_RENDITIONS";

fn recipes() -> Vec<(&'static str, Recipe)> {
    let fit = |format| Recipe::fit(96, 96, format);
    vec![
        ("jpeg", fit(OutputFormat::Jpeg)),
        ("jpeg at full size", Recipe::fit(0, 0, OutputFormat::Jpeg)),
        ("png", fit(OutputFormat::Png)),
        ("webp", fit(OutputFormat::WebP)),
        ("moving webp", Recipe { animated: true, ..fit(OutputFormat::WebP) }),
        ("avif, filled", Recipe { resize: Resize::Fill, ..Recipe::fit(32, 24, OutputFormat::Avif) }),
    ]
}

fn made_now() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let listed = ["fuzz/seeds/pictures", "fixtures/photos"].map(|folder| std::fs::read_dir(root.join(folder)).unwrap());
    let mut files: Vec<_> = listed.into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut made = format!("version {ENCODER_VERSION}\n");
    for file in files {
        let photo = std::fs::read(&file).unwrap();
        let name = file.strip_prefix(root).unwrap().display();
        for (what, recipe) in recipes() {
            let came_to = match render(&photo, &recipe, &Limits::default()) {
                Ok(rendered) => blake3::hash(&rendered.bytes).to_hex()[..16].to_owned(),
                Err(error) => error.to_string(),
            };
            writeln!(made, "{name}: {what}: {came_to}").unwrap();
        }
    }
    made
}

// Other processors' code rounds otherwise.
#[cfg(target_arch = "x86_64")]
#[test]
fn renditions_of_one_version_are_the_same_bytes() {
    if !std::arch::is_x86_feature_detected!("avx2") {
        return;
    }
    let (made, pinned) = (made_now(), std::fs::read_to_string(PINNED).unwrap_or_default());
    let version = |text: &str| text.lines().next().map(str::to_owned);
    if environment().get(ACCEPT).is_some() && version(&made) != version(&pinned) {
        std::fs::write(PINNED, made).unwrap();
        return;
    }
    let differing: Vec<_> = made.lines().filter(|line| !pinned.lines().any(|pinned| pinned == *line)).collect();
    assert!(
        made == pinned,
        "not the bytes of {}: raise ENCODER_VERSION (and MAGIC where previews are others), then {ACCEPT}=1 cargo test --lib golden\n{}",
        version(&pinned).unwrap_or_default(),
        differing.join("\n")
    );
}
