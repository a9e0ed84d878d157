//! Trees of distinct photos.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use halidom::model::BlobHash;
use serde_json::Value;

/// A tree in the making. Every photo has bytes of its own.
pub struct Tree {
    root: PathBuf,
    fixtures: Vec<Vec<u8>>,
    made: usize,
}

impl Tree {
    pub fn new(root: &Path) -> Self {
        std::fs::create_dir_all(root).unwrap();
        Self { root: root.to_owned(), fixtures: fixtures(), made: 0 }
    }

    /// A photo that nothing else is like.
    pub fn photo(&mut self, path: &str) -> Vec<u8> {
        let bytes = with_comment(&self.fixtures[self.made % self.fixtures.len()], &format!("photo {}", self.made));
        self.made += 1;
        self.write(path, &bytes);
        bytes
    }

    /// A photo that does not say when it was taken.
    pub fn undated(&self, path: &str) {
        let photo = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/photos/ascent.jpg");
        self.write(path, &with_comment(&std::fs::read(photo).unwrap(), path));
    }

    /// The same bytes once more.
    pub fn again(&self, from: &str, to: &str) {
        self.write(to, &std::fs::read(self.root.join(from)).unwrap());
    }

    pub fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

/// The smaller JPEGs among the fixtures.
fn fixtures() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/photos");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let mut jpegs: Vec<_> =
        paths.iter().map(|path| std::fs::read(path).unwrap()).filter(|bytes| bytes.starts_with(&[0xff, 0xd8])).collect();
    jpegs.sort_by_key(Vec::len);
    jpegs.truncate(12);
    jpegs
}

/// The JPEG with a comment after its first segment, for JFIF's and EXIF's has to come first.
fn with_comment(bytes: &[u8], text: &str) -> Vec<u8> {
    let first = 4 + usize::from(u16::from_be_bytes([bytes[4], bytes[5]]));
    let (head, rest) = bytes.split_at(first);
    let length = u16::try_from(text.len() + 2).unwrap().to_be_bytes();
    [head, &[0xff, 0xfe], &length, text.as_bytes(), rest].concat()
}

/// Path and hash of every file.
pub fn files(root: &Path) -> BTreeMap<PathBuf, BlobHash> {
    let entries = walkdir::WalkDir::new(root).into_iter().map(|entry| entry.unwrap()).filter(|entry| entry.file_type().is_file());
    entries
        .map(|entry| (entry.path().strip_prefix(root).unwrap().to_owned(), BlobHash::of(&std::fs::read(entry.path()).unwrap())))
        .collect()
}

pub fn number(value: &Value, field: &str) -> u64 {
    value[field].as_u64().unwrap_or_else(|| panic!("no number `{field}` in {value}"))
}
