//! The collection of real and hostile image files, where there is one: `HALIDOM_CORPUS` says where, else it is looked for at
//! `../shared/corpus` beside the sources. It is no part of the project.

// A test may look where its files are, and stop at what it did not expect; and each test file uses its own part of this.
#![allow(dead_code, clippy::disallowed_methods, clippy::unwrap_used)]

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::needs;

/// A file, and what the manifest says of it.
pub struct File {
    /// Its line of the manifest.
    pub at: usize,
    /// Its name.
    pub name: String,
    /// What is in it.
    pub bytes: Vec<u8>,
    columns: HashMap<String, String>,
}

impl File {
    /// A column of the manifest; empty where there is none.
    pub fn get(&self, column: &str) -> &str {
        self.columns.get(column).map_or("", String::as_str)
    }

    /// The same as a number.
    pub fn number(&self, column: &str) -> Option<u32> {
        self.get(column).parse().ok()
    }
}

/// The corpus; says what is left out without one. One that is named has to be there.
pub fn corpus(what: &str) -> Option<PathBuf> {
    let named = std::env::var_os("HALIDOM_CORPUS").filter(|path| !path.is_empty()).map(PathBuf::from);
    let is_named = named.is_some();
    let directory = named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus"));
    let is_there = directory.join("MANIFEST.tsv").is_file();
    assert!(is_there || !is_named, "HALIDOM_CORPUS: there is no MANIFEST.tsv in {}", directory.display());
    if !is_there {
        needs::skipped(what, "there is no corpus (HALIDOM_CORPUS)");
    }
    is_there.then_some(directory)
}

/// Every file of the manifest.
pub fn files(directory: &Path) -> Vec<File> {
    let manifest = std::fs::read_to_string(directory.join("MANIFEST.tsv")).unwrap();
    let mut lines = manifest.lines();
    let header: Vec<&str> = lines.next().unwrap().split('\t').collect();
    lines
        .enumerate()
        .map(|(at, line)| {
            let columns: HashMap<String, String> =
                header.iter().zip(line.split('\t')).map(|(k, v)| ((*k).to_owned(), v.to_owned())).collect();
            let name = columns["file"].clone();
            let bytes = std::fs::read(directory.join(&name)).unwrap();
            File { at, name, bytes, columns }
        })
        .collect()
}
