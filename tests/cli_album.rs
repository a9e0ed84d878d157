//! An album goes in, every photo is kept once, and comes back byte for byte: the CLI against a real server.

#![allow(clippy::unwrap_used)] // A test fails where it panics, in its helpers too.

mod harness;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use harness::Server;
use serde_json::Value;

const PHOTOS: usize = 1_000;

/// Distinct photos in files of their own: the fixtures in turn, each with a number in a comment, so that the pixels stay what they are.
fn write_variants(folder: &Path, count: usize) -> BTreeMap<String, Vec<u8>> {
    let fixtures = fixtures();
    (0..count)
        .map(|number| {
            let (path, bytes) = &fixtures[number % fixtures.len()];
            let name = format!("{number:04}-{}", path.file_name().unwrap().to_string_lossy());
            let bytes = with_comment(bytes, &format!("variant {number}"));
            std::fs::write(folder.join(&name), &bytes).unwrap();
            (name, bytes)
        })
        .collect()
}

/// The JPEGs and PNGs among the fixtures, in the order of their names; the smaller ones, so that a thousand of them are no burden.
fn fixtures() -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/photos");
    let mut paths: Vec<_> = std::fs::read_dir(&folder).expect("fixtures/photos is there").map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let all = paths.into_iter().filter(|path| path.is_file()).map(|path| {
        let bytes = std::fs::read(&path).unwrap();
        (path, bytes)
    });
    let mut usable: Vec<_> = all.filter(|(_, bytes)| bytes.starts_with(&[0xff, 0xd8]) || bytes.starts_with(PNG)).collect();
    usable.sort_by_key(|(path, bytes)| (bytes.len(), path.clone()));
    usable.truncate(8);
    assert!(!usable.is_empty(), "fixtures/photos holds JPEGs or PNGs");
    usable
}

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

/// The photo with a comment: a COM segment in a JPEG, a tEXt chunk in a PNG.
fn with_comment(bytes: &[u8], text: &str) -> Vec<u8> {
    if bytes.starts_with(PNG) {
        // After the signature and IHDR, which has to come first: length, type, 13 bytes, CRC.
        let (head, rest) = bytes.split_at(PNG.len() + 25);
        let chunk = [b"tEXtComment\0".as_slice(), text.as_bytes()].concat();
        let length = u32::try_from(chunk.len() - 4).unwrap().to_be_bytes();
        let crc = crc32fast::hash(&chunk).to_be_bytes();
        [head, &length, &chunk, &crc, rest].concat()
    } else {
        // After the first segment, for JFIF's and EXIF's has to come first.
        let first = 4 + usize::from(u16::from_be_bytes([bytes[4], bytes[5]]));
        let (head, rest) = bytes.split_at(first);
        let length = u16::try_from(text.len() + 2).unwrap().to_be_bytes();
        [head, &[0xff, 0xfe], &length, text.as_bytes(), rest].concat()
    }
}

fn number(value: &Value, field: &str) -> u64 {
    value[field].as_u64().unwrap_or_else(|| panic!("no number `{field}` in {value}"))
}

#[test]
fn a_thousand_photos_go_in_once_and_come_back_whole() {
    let folder = tempfile::tempdir().unwrap();
    let (photos, data) = (folder.path().join("photos"), folder.path().join("data"));
    std::fs::create_dir(&photos).unwrap();
    let originals = write_variants(&photos, PHOTOS);
    let all_bytes: u64 = originals.values().map(|bytes| bytes.len() as u64).sum();
    let server = Server::start(&data);
    let (admin, ann, bob) = (server.admin(), server.user("ann"), server.user("bob"));
    let upload = [Path::new("upload"), &photos, Path::new("--album"), Path::new("Summer")];

    let first = ann.json(upload);
    assert_eq!((number(&first, "sent"), number(&first, "skipped"), number(&first, "refused")), (PHOTOS as u64, 0, 0), "{first}");
    assert_eq!((number(&first, "bytes_sent"), number(&first, "bytes_skipped")), (all_bytes, 0));

    let second = ann.json(upload);
    assert_eq!((number(&second, "sent"), number(&second, "skipped"), number(&second, "refused")), (0, PHOTOS as u64, 0), "{second}");
    assert_eq!((number(&second, "bytes_sent"), number(&second, "bytes_skipped")), (0, all_bytes));
    assert_eq!(second["album"], first["album"]);

    let one_user = admin.json(["stats"]);
    assert_eq!((number(&one_user, "photos"), number(&one_user, "blobs")), (PHOTOS as u64, PHOTOS as u64));
    assert_eq!((number(&one_user, "logical_bytes"), number(&one_user, "stored_bytes")), (all_bytes, all_bytes));

    // Whether the site has the bytes is not for bob to know: he sends them, and they are kept once.
    let other = bob.json(upload);
    assert_eq!((number(&other, "sent"), number(&other, "refused")), (PHOTOS as u64, 0), "{other}");
    let two_users = admin.json(["stats"]);
    assert_eq!((number(&two_users, "photos"), number(&two_users, "blobs")), (2 * PHOTOS as u64, PHOTOS as u64));
    assert_eq!((number(&two_users, "logical_bytes"), number(&two_users, "stored_bytes")), (2 * all_bytes, all_bytes));

    let back = folder.path().join("back");
    let download = [Path::new("download"), Path::new("Summer"), &back];
    let fetched = ann.json(download);
    assert_eq!((number(&fetched, "downloaded"), number(&fetched, "failed")), (PHOTOS as u64, 0), "{fetched}");
    assert_eq!(number(&fetched, "bytes_downloaded"), all_bytes);
    assert_eq!(std::fs::read_dir(&back).unwrap().count(), PHOTOS, "and nothing else");
    for (name, bytes) in &originals {
        assert!(std::fs::read(back.join(name)).unwrap() == *bytes, "{name} came back as it was");
    }
    let again = ann.json(download);
    assert_eq!((number(&again, "downloaded"), number(&again, "skipped"), number(&again, "bytes_downloaded")), (0, PHOTOS as u64, 0));

    let report = admin.json(["check", "--read-data"]);
    assert_eq!((number(&report, "problems"), number(&report, "blobs")), (0, PHOTOS as u64), "{report}");
    assert_eq!(number(&report, "bytes_read"), all_bytes);
}

#[test]
fn what_is_no_photo_is_refused_with_its_reason_and_the_rest_goes_in() {
    let folder = tempfile::tempdir().unwrap();
    let photos = folder.path().join("photos");
    std::fs::create_dir(&photos).unwrap();
    write_variants(&photos, 3);
    std::fs::write(photos.join("notes.jpg"), "not a photo, whatever its name says").unwrap();
    let server = Server::start(&folder.path().join("data"));
    let ann = server.user("ann");
    let upload = [Path::new("upload"), &photos, Path::new("--album"), Path::new("Mixed")];
    let summary = ann.json_ending(3, upload);
    assert_eq!((number(&summary, "sent"), number(&summary, "refused")), (3, 1), "{summary}");
    let failure = &summary["failures"][0];
    assert!(failure["path"].as_str().unwrap().ends_with("notes.jpg") && !failure["code"].as_str().unwrap().is_empty(), "{failure}");
    let said = ann.run(upload);
    assert_eq!(said.code, Some(3));
    assert!(said.stdout.contains("notes.jpg") && said.stdout.contains("Already there: 3 files"), "{said:?}");
    assert_eq!(number(&ann.json(["album", "show", "Mixed"]), "photo_count"), 3);
}

#[test]
fn users_see_only_their_own_and_deleted_photos_come_back_with_the_next_upload() {
    let folder = tempfile::tempdir().unwrap();
    let photos = folder.path().join("photos");
    std::fs::create_dir(&photos).unwrap();
    write_variants(&photos, 2);
    let server = Server::start(&folder.path().join("data"));
    let (ann, bob) = (server.user("ann"), server.user("bob"));
    let upload = [Path::new("upload"), &photos, Path::new("--album"), Path::new("Ann's")];
    let album = ann.json(upload)["album"].as_str().unwrap().to_owned();
    assert_eq!(bob.json(["album", "list"])["items"], Value::Array(Vec::new()));
    let said = bob.run(["album", "show", &album]);
    assert_eq!(said.code, Some(1), "{said:?}");

    let listed = ann.json(["photo", "list", &album]);
    let photo = listed["items"][0]["id"].as_str().unwrap();
    ann.json(["photo", "delete", photo]);
    assert_eq!(number(&ann.json(["album", "show", &album]), "photo_count"), 1);
    let again = ann.json(upload);
    assert_eq!((number(&again, "bytes_sent"), number(&again, "refused")), (0, 0), "{again}");
    assert_eq!(number(&ann.json(["album", "show", &album]), "photo_count"), 2);

    let url = ann.json(["url", listed["items"][0]["hash"].as_str().unwrap(), "--width", "320"]);
    assert!(url["url"].as_str().unwrap().starts_with(&format!("{}/i/", server.url)), "{url}");
    let image = ann.json(["url", listed["items"][0]["hash"].as_str().unwrap(), "--iiif"]);
    assert_eq!(image["url"], format!("{}{}", server.url, listed["items"][0]["urls"]["iiif"].as_str().unwrap()));
}

#[test]
fn a_token_that_is_revoked_is_good_for_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"));
    let admin = server.admin();
    let made = admin.json(["token", "create", "--scope", "edge", "--scope", "user"]);
    let other = server.cli(made["token"].as_str().unwrap());
    other.json(["album", "list"]);
    assert_eq!(admin.json(["token", "revoke", made["id"].as_str().unwrap()])["id"], made["id"]);
    let said = other.run(["album", "list"]);
    assert!(said.code == Some(1) && said.stderr.contains("no valid token"), "{said:?}");
}
