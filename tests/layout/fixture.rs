//! `fixtures/layout/v1` opens, and holds what it always held.

use std::fs;
use std::path::Path;
use std::process::Command;

use halidom::blobs::BlobStore;
use halidom::config::environment;
use halidom::metadata::column::ColumnId;
use halidom::metadata::engine::{Batch, Engine};
use halidom::metadata::{FORMAT, MetadataError, Read};
use halidom::model::BlobHash;
use serde_json::Value;

use crate::copy;
use crate::describe::describe;
use crate::make::make;

/// What the fixture holds, as it was said when it was made.
const SAID: &str = "layout/v1.json";

/// A store made now holds something in every column, and is clean: so is what the fixture would be made of again. With
/// `HALIDOM_WRITE_FIXTURE=1` it becomes the fixture, where there is none: the one there is stands for ever.
#[tokio::test(flavor = "multi_thread")]
async fn the_store_of_this_version_is_clean_and_has_all_columns() {
    let made = tempfile::tempdir().unwrap();
    make(made.path()).await;
    // Before anything opens it.
    let pristine = tempfile::tempdir().unwrap();
    copy::tree(made.path(), pristine.path());
    // One copy that is queued by hand, and one of a photo that a second user has sent, too.
    assert_clean(made.path(), 2).await;
    let metadata = copy::metadata(made.path()).unwrap();
    let said = describe(&metadata);
    metadata.close();
    let columns = said["rows_by_column"].as_object().unwrap();
    // Nothing in this release takes snapshots.
    let empty: Vec<_> = columns.iter().filter(|(_, rows)| **rows == 0).map(|(name, _)| name.as_str()).collect();
    assert_eq!(empty, ["snapshots"]);

    let target = copy::fixtures().join("layout/v1");
    if environment().get("HALIDOM_WRITE_FIXTURE").is_some() {
        assert!(!target.exists(), "{} stands for ever", target.display());
        let mut text = serde_json::to_string_pretty(&said).unwrap();
        text.push('\n');
        copy::tree(pristine.path(), &target);
        // Says which process had it open; made anew at every opening.
        fs::remove_file(target.join("blobs/blobs-lock")).unwrap();
        // RocksDB repeats its settings there, in more bytes than all rows take, and reads them not.
        for file in fs::read_dir(target.join("metadata")).unwrap().map(Result::unwrap) {
            if file.file_name().to_string_lossy().starts_with("OPTIONS-") {
                fs::remove_file(file.path()).unwrap();
            }
        }
        fs::write(copy::fixtures().join(SAID), text).unwrap();
    }
}

async fn assert_clean(data: &Path, doomed: u64) {
    let report = copy::check(data).await.unwrap();
    assert_eq!(report.findings, []);
    assert_eq!((report.problems, report.orphans, report.doomed), (0, 0, doomed));
    assert!(report.bytes_read > 100_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_layout_opens_and_holds_what_it_held() {
    let data = copy::of_v1();
    assert_clean(data.path(), 1).await;
    let expected: Value = serde_json::from_str(&fs::read_to_string(copy::fixtures().join(SAID)).unwrap()).unwrap();
    let metadata = copy::metadata(data.path()).unwrap();
    let mut said = describe(&metadata);
    // A column of later versions has nothing of what the first one wrote.
    let columns = said["rows_by_column"].as_object_mut().unwrap();
    columns.retain(|column, rows| *rows != 0 || expected["rows_by_column"].get(column).is_some());
    for (part, expected) in expected.as_object().unwrap() {
        assert_eq!(said[part], *expected, "{part}");
    }
    assert_clean_again_after_a_write(data.path(), metadata).await;
}

/// It can be written to like any other, under a new origin that names the last one.
async fn assert_clean_again_after_a_write(data: &Path, metadata: halidom::metadata::Metadata) {
    let anna = metadata.read().user_by_name(halidom::model::TenantId::DEFAULT, "anna").unwrap().unwrap();
    let owner = anna.owner();
    let new = halidom::model::album::NewAlbum { name: "later".to_owned(), description: String::new() };
    let id = halidom::model::AlbumId::from_bytes([9; 16]);
    metadata.write("album", move |tx| tx.apply(new.create(owner, id, tx.stamp()))).await.unwrap();
    metadata.close();
    drop(metadata);
    assert_clean(data, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_photo_of_the_first_layout_comes_back_byte_for_byte() {
    let data = copy::of_v1();
    let metadata = copy::metadata(data.path()).unwrap();
    let store = copy::blobs(data.path()).await;
    let files = fs::read_dir(copy::fixtures().join("photos")).unwrap().map(|file| fs::read(file.unwrap().path()).unwrap());
    let originals: std::collections::HashMap<BlobHash, Vec<u8>> = files.map(|bytes| (BlobHash::of(&bytes), bytes)).collect();
    let rows = metadata.read().list_blobs(None, 100).unwrap().items;
    assert_eq!(rows.len(), 6);
    for row in rows {
        let copy = store.open(&row.key).await.unwrap();
        let bytes = copy.read_at(0, usize::try_from(copy.size_bytes()).unwrap()).await.unwrap();
        assert_eq!(bytes, originals[&row.key.hash], "{}", row.key);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_store_is_refused_with_a_clear_word() {
    let data = copy::of_v1();
    let mut batch = Batch::default();
    batch.put(ColumnId::Format, vec![], (FORMAT + 1).to_be_bytes().to_vec());
    copy::engine(data.path()).unwrap().write(batch, true).unwrap();
    let refused = copy::metadata(data.path()).unwrap_err();
    assert!(matches!(refused, MetadataError::Newer { found, known, .. } if (found, known) == (FORMAT + 1, FORMAT)), "{refused}");
    assert!(refused.to_string().contains("use a newer program"), "{refused}");
    assert!(copy::check(data.path()).await.unwrap_err().contains("use a newer program"));

    let data = copy::of_v1();
    fs::write(data.path().join("blobs/blobs-format"), "halidom blobs 2\n").unwrap();
    assert!(copy::check(data.path()).await.unwrap_err().contains("this version knows \"halidom blobs 1\""));
}

/// The command, in a process of its own.
#[tokio::test(flavor = "multi_thread")]
async fn the_command_says_what_it_finds_and_who_has_the_site_open() {
    let check = |data: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_halidom"));
        let output = command.env_clear().args(["--json", "check", "--data"]).arg(data).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let data = copy::of_v1();
    let (code, stdout, stderr) = check(data.path());
    assert_eq!(code, Some(0), "{stderr}");
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((&report["problems"], &report["doomed"]), (&0.into(), &1.into()));

    fs::remove_file(data.path().join("blobs/blobs-marker.json")).unwrap();
    let (code, stdout, _) = check(data.path());
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, report["findings"][0]["code"].as_str()), (Some(3), Some("marker_missing")));
    assert!(!data.path().join("blobs/blobs-marker.json").exists(), "a check claims nothing");

    let running = copy::metadata(data.path()).unwrap();
    let (code, _, stderr) = check(data.path());
    assert_eq!(code, Some(1));
    assert!(stderr.contains("open in another process") && stderr.contains("a server is running on it"), "{stderr}");
    drop(running);

    let nothing = tempfile::tempdir().unwrap();
    let (code, _, stderr) = check(nothing.path());
    assert_eq!(code, Some(1));
    assert!(stderr.contains("there is no site in"), "{stderr}");
    assert_eq!(fs::read_dir(nothing.path()).unwrap().count(), 0, "and none was made");
}
