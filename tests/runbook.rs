//! What docs/operating.md tells operators to do leads to where it says.

#![allow(clippy::unwrap_used)] // A test fails where it panics, in its helpers too.

mod harness;

use std::path::{Path, PathBuf};

use harness::{Server, wait};

/// The one stored copy of a blob.
fn copy_of(folder: &Path, hash: &str) -> Option<PathBuf> {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).find_map(|path| {
        if path.is_dir() {
            copy_of(&path, hash)
        } else {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            name.starts_with(hash).then_some(path)
        }
    })
}

#[test]
fn damaged_and_lost_photos_come_back_as_the_runbook_says() {
    let folder = tempfile::tempdir().unwrap();
    let (data, photos) = (folder.path().join("data"), folder.path().join("photos"));
    std::fs::create_dir(&photos).unwrap();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/photos");
    let mut names: Vec<_> = std::fs::read_dir(&fixtures).unwrap().map(|entry| entry.unwrap()).collect();
    names.retain(|entry| entry.path().extension().is_some_and(|extension| extension == "jpg"));
    names.sort_by_key(|entry| (entry.metadata().unwrap().len(), entry.file_name()));
    for entry in &names[..3] {
        std::fs::copy(entry.path(), photos.join(entry.file_name())).unwrap();
    }
    let server = Server::start(&data);
    let admin = server.admin();
    let upload = [Path::new("upload"), &photos, Path::new("--album"), Path::new("Summer")];
    assert_eq!(admin.json(upload)["sent"], 3);
    let listed = admin.json(["photo", "list", "Summer"]);
    let hash = |n: usize| listed["items"][n]["hash"].as_str().unwrap().to_owned();

    // One copy goes bad without changing its size, one is lost.
    let blobs = data.join("blobs");
    let (bad, lost) = (copy_of(&blobs, &hash(0)).unwrap(), copy_of(&blobs, &hash(1)).unwrap());
    let mut bytes = std::fs::read(&bad).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::remove_file(&bad).unwrap();
    std::fs::write(&bad, &bytes).unwrap();
    let rescued = std::fs::read(&lost).unwrap();
    std::fs::remove_file(&lost).unwrap();

    let codes = |report: &serde_json::Value| {
        let mut codes: Vec<_> =
            report["findings"].as_array().unwrap().iter().map(|found| found["code"].as_str().unwrap().to_owned()).collect();
        codes.sort();
        codes
    };
    assert_eq!(codes(&admin.json_ending(3, ["check"])), ["blob_missing"]);
    assert_eq!(codes(&admin.json_ending(3, ["check", "--read-data"])), ["blob_damaged", "blob_missing"]);

    // A file from a copy of the directory, in its place.
    std::fs::write(&lost, &rescued).unwrap();
    assert_eq!(codes(&admin.json_ending(3, ["check", "--read-data"])), ["blob_damaged"]);
    std::fs::remove_file(&lost).unwrap();

    // What is missing is asked for again; what is damaged once it was asked for.
    assert_eq!(admin.json(upload)["sent"], 0, "the album shows it: nothing is asked");
    let repair = || admin.json(upload.into_iter().chain([Path::new("--repair")]));
    assert_eq!(repair()["sent"], 1);
    let back = folder.path().join("back");
    let download = [Path::new("download"), Path::new("Summer"), &back];
    let fetched = admin.json_ending(3, download);
    assert_eq!((&fetched["downloaded"], &fetched["failed"]), (&2.into(), &1.into()), "{fetched}");
    assert_eq!(codes(&admin.json_ending(3, ["check"])), ["blob_damaged"], "it is marked now");
    assert_eq!(repair()["sent"], 1);
    assert_eq!(repair()["sent"], 0);
    assert_eq!(admin.json(download)["failed"], 0);
    for entry in std::fs::read_dir(&photos).unwrap().map(Result::unwrap) {
        assert!(std::fs::read(entry.path()).unwrap() == std::fs::read(back.join(entry.file_name())).unwrap(), "{entry:?}");
    }
    assert_eq!(admin.json(["check", "--read-data"])["problems"], 0);
}

#[test]
fn a_mount_that_is_missing_is_no_empty_store() {
    let folder = tempfile::tempdir().unwrap();
    let (data, photos) = (folder.path().join("data"), folder.path().join("photos"));
    std::fs::create_dir(&photos).unwrap();
    let server = Server::start(&data);
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/photos");
    let jpeg = std::fs::read_dir(&fixture).unwrap().map(|entry| entry.unwrap().path());
    let jpeg =
        jpeg.filter(|path| path.extension().is_some_and(|extension| extension == "jpg")).min_by_key(|path| path.metadata().unwrap().len());
    std::fs::copy(jpeg.unwrap(), photos.join("a.jpg")).unwrap();
    server.admin().json([Path::new("upload"), &photos, Path::new("--album"), Path::new("A")]);
    server.terminate();
    assert!(server.ended().success());
    std::fs::rename(data.join("blobs"), data.join("elsewhere")).unwrap();
    for make_empty in [false, true] {
        if make_empty {
            std::fs::create_dir(data.join("blobs")).unwrap();
        }
        let mut command = harness::command();
        let output = wait::output(command.args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "off", "--data"]).arg(&data));
        assert_eq!(output.status.code(), Some(1), "{output:?}");
    }
    std::fs::remove_dir(data.join("blobs")).unwrap();
    std::fs::rename(data.join("elsewhere"), data.join("blobs")).unwrap();
    assert_eq!(Server::start(&data).admin().json(["check", "--read-data"])["problems"], 0);
}
