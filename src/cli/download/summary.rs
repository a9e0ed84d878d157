use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;

use crate::api::Photo;
use crate::cli::output::table;
use crate::cli::units;
use crate::client::{ClientError, Fetched};
use crate::model::{AlbumId, PhotoId};

/// How many failures are shown to people; programs get all.
const SHOWN: usize = 20;

/// A photo that could not be had, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(in crate::cli) struct Failure {
    /// Absent: it is an album.
    #[serde(skip_serializing_if = "Option::is_none")]
    photo: Option<PhotoId>,
    name: String,
    code: String,
    detail: String,
}

impl Failure {
    /// An album that cannot be listed.
    pub(in crate::cli) fn of_album(name: &str, error: &ClientError) -> Self {
        Self { photo: None, name: name.into(), code: error.code().into(), detail: error.to_string() }
    }
}

/// What came of the photos so far.
#[derive(Debug, Default)]
pub(in crate::cli) struct Tally {
    pub(in crate::cli) downloaded: u64,
    pub(in crate::cli) skipped: u64,
    pub(in crate::cli) bytes_downloaded: u64,
    pub(in crate::cli) bytes_skipped: u64,
    pub(in crate::cli) failures: Vec<Failure>,
    /// Photos that are there, and the names that their files have.
    pub(in crate::cli) placed: Vec<(Photo, String)>,
}

impl Tally {
    /// It is there now; some of its bytes may have come with an earlier run.
    pub(super) fn downloaded(&mut self, photo: Photo, name: String, fetched: Fetched) {
        self.downloaded += 1;
        self.bytes_downloaded += fetched.received_bytes;
        self.bytes_skipped += photo.size_bytes.saturating_sub(fetched.received_bytes);
        self.placed.push((photo, name));
    }

    /// It was there before.
    pub(super) fn skipped(&mut self, photo: Photo, name: String) {
        self.skipped += 1;
        self.bytes_skipped += photo.size_bytes;
        self.placed.push((photo, name));
    }

    /// It could not be had.
    pub(super) fn fail(&mut self, photo: &Photo, name: &str, error: &ClientError) {
        self.failures.push(Failure { photo: Some(photo.id), name: name.into(), code: error.code().into(), detail: error.to_string() });
    }

    /// The sum of it all.
    pub(super) fn summary(self, album: AlbumId, directory: &Path) -> Summary {
        Summary {
            downloaded: self.downloaded,
            skipped: self.skipped,
            failed: self.failures.len() as u64,
            bytes_downloaded: self.bytes_downloaded,
            bytes_skipped: self.bytes_skipped,
            album,
            directory: directory.to_string_lossy().into_owned(),
            failures: self.failures,
        }
    }
}

/// What came of a download, as `--json` says it. The counts are of photos.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Summary {
    /// Fetched and verified.
    pub(super) downloaded: u64,
    /// There already, and verified.
    pub(super) skipped: u64,
    /// Not there; `failures` says why.
    pub(super) failed: u64,
    /// Bytes that came over the network.
    pub(super) bytes_downloaded: u64,
    /// Bytes that were there already.
    pub(super) bytes_skipped: u64,
    /// The album.
    pub(super) album: AlbumId,
    /// Where to.
    pub(super) directory: String,
    /// Each photo that could not be had.
    pub(super) failures: Vec<Failure>,
}

impl Summary {
    /// The same for people.
    pub(super) fn text(&self, album: &str) -> String {
        let mut text = format!("Album `{album}` in `{}`\n", self.directory);
        // Writing to a string cannot fail.
        let _ = writeln!(text, "Downloaded {} ({})", units::count(self.downloaded, "photo"), units::bytes(self.bytes_downloaded));
        if self.skipped > 0 {
            let _ = writeln!(text, "Already there: {} ({} saved)", units::count(self.skipped, "photo"), units::bytes(self.bytes_skipped));
        }
        if self.failed > 0 {
            let _ = writeln!(text, "Failed: {}\n", units::count(self.failed, "photo"));
            text += &failures(&self.failures);
        }
        text
    }
}

/// Some of the photos that could not be had, for people.
pub(in crate::cli) fn failures(all: &[Failure]) -> String {
    let rows = all.iter().take(SHOWN);
    let rows = rows.map(|failure| {
        let photo = failure.photo.map_or_else(|| "(album)".to_owned(), |photo| photo.to_string());
        [failure.name.clone(), photo, failure.code.clone(), failure.detail.clone()]
    });
    let mut text = table(["NAME", "PHOTO", "CODE", "WHY"], rows);
    if all.len() > SHOWN {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "and {} more: see all with --json", all.len() - SHOWN);
    }
    text
}
