//! Stores that a test may change: copies of the fixture, or of one just made.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use halidom::blobs::{DiskSettings, DiskStore};
use halidom::config::Config;
use halidom::metadata::rocks::{RocksEngine, RocksSettings};
use halidom::metadata::{Metadata, MetadataError, MetadataSettings};
use halidom::runtime::{BlockingPool, Runtime};

/// The directory of all fixtures.
pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

/// A copy of the first layout's store, as git gives it: no empty directories, modes as they come. Removed when it is dropped.
pub fn of_v1() -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    tree(&fixtures().join("layout/v1"), copy.path());
    copy
}

/// Copies files and the directories that hold any.
pub fn tree(from: &Path, to: &Path) {
    for entry in walkdir::WalkDir::new(from) {
        let entry = entry.unwrap();
        if entry.file_type().is_file() {
            let target = to.join(entry.path().strip_prefix(from).unwrap());
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            fs::write(target, fs::read(entry.path()).unwrap()).unwrap();
        }
    }
}

/// RocksDB alone.
pub fn engine(data: &Path) -> Result<RocksEngine, MetadataError> {
    RocksEngine::open(&data.join("metadata"), &RocksSettings::default())
}

/// The metadata of a site.
pub fn metadata(data: &Path) -> Result<Metadata, MetadataError> {
    Metadata::open(Arc::new(engine(data)?), Runtime::system(), MetadataSettings::default())
}

/// The blobs of a site.
pub async fn blobs(data: &Path) -> DiskStore {
    let settings = DiskSettings { create: false, ..DiskSettings::default() };
    DiskStore::open(&data.join("blobs"), Runtime::system(), BlockingPool::new("blobs", 2), settings).await.unwrap()
}

/// What `halidom check --data` does.
pub async fn check(data: &Path) -> Result<halidom::api::CheckReport, String> {
    halidom::server::check_offline(&Config::for_testing(data), true).await.map_err(|error| error.to_string())
}

/// Lowercase hex digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The inverse of [`hex`].
pub fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().map(|digit| digit.to_digit(16).unwrap() as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}
