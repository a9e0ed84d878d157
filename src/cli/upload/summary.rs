use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;

use super::plan::Group;
use crate::cli::output::table;
use crate::cli::units;
use crate::client::ClientError;
use crate::model::AlbumId;

/// How many refused files are shown to people; programs get all.
const SHOWN: usize = 20;

/// A file that was not uploaded, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(in crate::cli) struct Failure {
    pub(super) path: String,
    pub(super) code: String,
    pub(super) detail: String,
}

impl Failure {
    pub(in crate::cli) fn new(path: &Path, code: &str, detail: impl Into<String>) -> Self {
        Self { path: path.to_string_lossy().into_owned(), code: code.into(), detail: detail.into() }
    }

    pub(super) fn of(path: &Path, error: &ClientError) -> Self {
        Self::new(path, error.code(), error.to_string())
    }
}

/// What came of the files so far. Each file is counted once.
#[derive(Debug, Default)]
pub(in crate::cli) struct Tally {
    pub(in crate::cli) sent: u64,
    pub(in crate::cli) skipped: u64,
    pub(in crate::cli) bytes_sent: u64,
    pub(in crate::cli) bytes_skipped: u64,
    pub(super) passed_over: u64,
    pub(in crate::cli) failures: Vec<Failure>,
}

impl Tally {
    /// The bytes of one file travelled.
    pub(super) fn sent(&mut self, size_bytes: u64) {
        self.sent += 1;
        self.bytes_sent += size_bytes;
    }

    /// So many files of this size had not to travel.
    pub(super) fn skipped(&mut self, files: u64, size_bytes: u64) {
        self.skipped += files;
        self.bytes_skipped += files * size_bytes;
    }

    /// One file was not uploaded.
    pub(super) fn refuse(&mut self, failure: Failure) {
        self.failures.push(failure);
    }

    /// None of these files was uploaded, all for the same reason.
    pub(super) fn refuse_all(&mut self, group: &Group, error: &ClientError) {
        self.failures.extend(group.paths.iter().map(|path| Failure::of(path, error)));
    }

    /// The sum of it all.
    pub(super) fn summary(self, album: AlbumId) -> Summary {
        Summary {
            sent: self.sent,
            skipped: self.skipped,
            refused: self.failures.len() as u64,
            bytes_sent: self.bytes_sent,
            bytes_skipped: self.bytes_skipped,
            passed_over: self.passed_over,
            album,
            failures: self.failures,
        }
    }
}

/// What came of an upload, as `--json` says it. The counts are of files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Summary {
    /// Their bytes travelled.
    pub(super) sent: u64,
    /// Their bytes were there already, or travelled with another file.
    pub(super) skipped: u64,
    /// They are not in the album; `failures` says why.
    pub(super) refused: u64,
    /// Bytes that travelled.
    pub(super) bytes_sent: u64,
    /// Bytes that had not to.
    pub(super) bytes_skipped: u64,
    /// Hidden files, links and the like in folders, which nobody asked for.
    pub(super) passed_over: u64,
    /// The album.
    pub(super) album: AlbumId,
    /// Each refused file.
    pub(super) failures: Vec<Failure>,
}

impl Summary {
    /// The same for people.
    pub(super) fn text(&self, album: &str) -> String {
        let mut text = format!("Album `{album}` ({})\n", self.album);
        // Writing to a string cannot fail.
        let _ = writeln!(text, "Sent {} ({})", units::count(self.sent, "file"), units::bytes(self.bytes_sent));
        if self.skipped > 0 {
            let _ = writeln!(text, "Already there: {} ({} saved)", units::count(self.skipped, "file"), units::bytes(self.bytes_skipped));
        }
        if self.passed_over > 0 {
            let _ = writeln!(text, "Passed over: {} (hidden, links, or no plain files)", units::count(self.passed_over, "file"));
        }
        if self.refused > 0 {
            let _ = writeln!(text, "Refused: {}\n", units::count(self.refused, "file"));
            text += &failures(&self.failures);
        }
        text
    }
}

/// Some of the files that were refused, for people.
pub(in crate::cli) fn failures(all: &[Failure]) -> String {
    let rows = all.iter().take(SHOWN);
    let mut text = table(["FILE", "CODE", "WHY"], rows.map(|failure| [failure.path.clone(), failure.code.clone(), failure.detail.clone()]));
    if all.len() > SHOWN {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "and {} more: see all with --json", all.len() - SHOWN);
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_words_for_programs_are_fixed() {
        let mut tally = Tally { passed_over: 1, ..Tally::default() };
        tally.sent(10);
        tally.skipped(2, 5);
        tally.refuse(Failure::new(Path::new("x.txt"), "not_an_image", "no"));
        let album = AlbumId::ROOT;
        let summary = serde_json::to_value(tally.summary(album)).unwrap();
        let expected = serde_json::json!({
            "sent": 1, "skipped": 2, "refused": 1, "bytes_sent": 10, "bytes_skipped": 10, "passed_over": 1, "album": album,
            "failures": [{ "path": "x.txt", "code": "not_an_image", "detail": "no" }],
        });
        assert_eq!(summary, expected);
    }

    #[test]
    fn people_see_some_of_many_failures() {
        let mut tally = Tally::default();
        (0..25).for_each(|index| tally.refuse(Failure::new(Path::new(&format!("{index}.txt")), "not_an_image", "no")));
        let text = tally.summary(AlbumId::ROOT).text("Ski");
        assert!(text.contains("19.txt") && !text.contains("20.txt") && text.contains("and 5 more"), "{text}");
    }

    proptest! {
        #[test]
        fn every_file_is_counted_once(events in proptest::collection::vec((0_u8..3, 1_u64..5, 0_u64..1_000), 0..50)) {
            let (mut tally, mut files, mut bytes) = (Tally::default(), 0, 0);
            for (kind, count, size) in events {
                match kind {
                    0 => { tally.sent(size); files += 1; bytes += size; }
                    1 => { tally.skipped(count, size); files += count; bytes += count * size; }
                    _ => { tally.refuse(Failure::new(Path::new("x"), "c", "d")); files += 1; }
                }
            }
            let summary = tally.summary(AlbumId::ROOT);
            prop_assert_eq!(summary.sent + summary.skipped + summary.refused, files);
            prop_assert_eq!(summary.bytes_sent + summary.bytes_skipped, bytes);
            prop_assert_eq!(summary.refused, summary.failures.len() as u64);
        }
    }
}
