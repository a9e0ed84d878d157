//! The files that fuzz targets begin with, for tests: every target has to hold for them.

#![allow(clippy::print_stdout)] // A test says which seed it stopped at.

use std::path::{Path, PathBuf};

use crate::config::environment;

/// The photos that come with the sources.
pub const PHOTOS: &str = "fixtures/photos";
/// Set, seeds that follow from the code are written anew.
const ACCEPT: &str = "HALIDOM_ACCEPT_SEEDS";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs a target over every file of these folders that is there; one at least must be.
#[track_caller]
pub fn run(target: fn(&[u8]), folders: &[&str]) {
    let listed = folders.iter().filter_map(|folder| std::fs::read_dir(root().join(folder)).ok());
    let mut files: Vec<PathBuf> = listed.flatten().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "no seeds in {folders:?}");
    for file in files {
        println!("{}", file.display());
        target(&std::fs::read(file).unwrap());
    }
    target(&[]);
}

/// Holds seeds that follow from the code to what they should be. Another form of what they are is accepted with `HALIDOM_ACCEPT_SEEDS=1`.
#[track_caller]
pub fn hold(folder: &str, seeds: impl IntoIterator<Item = (&'static str, Vec<u8>)>) {
    let folder = root().join(folder);
    let accepted = environment().get(ACCEPT).is_some();
    for (name, bytes) in seeds {
        let file = folder.join(name);
        if accepted {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&file, &bytes).unwrap();
        }
        let written = std::fs::read(&file).unwrap_or_default();
        assert!(written == bytes, "{}: not of the present form; {ACCEPT}=1 cargo test --lib fuzzing writes it anew", file.display());
    }
}
