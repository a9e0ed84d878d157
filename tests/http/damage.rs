//! Bytes that rot on the disk: noticed, never served as a success, and made good by the next upload of the good ones.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::photos::{fixture, small};
use super::site::{Site, until};

/// In words, what happens to a file, and what a check calls it.
type DamageDone = (&'static str, fn(&Path), &'static str);

const DAMAGES: [DamageDone; 5] = [
    ("a bit flips", |path| overwrite(path, fs::metadata(path).unwrap().len() / 2, |byte| byte ^ 1), "blob_damaged"),
    ("the first byte goes", |path| overwrite(path, 0, |_| 0), "blob_damaged"),
    ("its end is cut off", |path| resize(path, |length| length - 1), "blob_wrong_size"),
    ("nothing is left in it", |path| resize(path, |_| 0), "blob_wrong_size"),
    // Read once, it is marked in its row already, and called that.
    ("it is gone", |path| fs::remove_file(path).unwrap(), "blob_damaged"),
];

fn open(path: &Path) -> fs::File {
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
    OpenOptions::new().read(true).write(true).open(path).unwrap()
}

fn overwrite(path: &Path, at: u64, change: fn(u8) -> u8) {
    let byte = fs::read(path).unwrap()[at as usize];
    let mut file = open(path);
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(&[change(byte)]).unwrap();
}

fn resize(path: &Path, to: fn(u64) -> u64) {
    let file = open(path);
    file.set_len(to(file.metadata().unwrap().len())).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_bytes_are_never_a_success_and_good_ones_heal() {
    let site = Site::start().await;
    let ann = site.user("ann").await;
    let (album, second) = (ann.album("Album").await, ann.album("Second").await);
    let bytes = fixture("clock.jpg");
    let whole = ann.uploaded(&album, "whole.jpg", &small(1)).await;
    let photo = ann.uploaded(&album, "clock.jpg", &bytes).await;
    let (path, hash) = (&photo.urls.original, photo.hash.to_string());
    for (round, (what, damage, code)) in DAMAGES.into_iter().enumerate() {
        // Another size each time: a rendition that was made lies in the cache, and is right.
        let request = json!({ "hash": photo.hash, "width": 50 + round });
        let thumbnail = ann.post("/v1/urls", request).await.value(200)["url"].as_str().unwrap().to_owned();
        assert_eq!(ann.get(path).await.bytes(200), bytes, "before {what}");
        damage(&site.copy_of(&hash));
        // A good check is remembered for a while; whatever that hides is seen after it.
        site.clock.advance(Duration::from_secs(11 * 60));

        ann.get(path).await.refused(500, "damaged");
        // Marked now, it is refused as before.
        ann.get(path).await.refused(500, "damaged");
        for range in ["bytes=0-0", "bytes=-1"] {
            ann.get_with(path, &[("range", range)]).await.refused(500, "damaged");
        }
        site.nobody().get(&thumbnail).await.refused(500, "damaged");
        let report = site.check().await;
        assert!(report.findings.iter().all(|finding| finding.subject.contains(&hash)), "{what}: {report:?}");
        assert!(report.findings.iter().any(|finding| finding.code == code), "{what}: {report:?}");

        // "You already have it" is not said of it, nor is anything made of it.
        let missing = ann.post("/v1/blobs/missing", json!({ "hashes": [photo.hash, whole.hash] })).await.value(200);
        assert_eq!(missing["missing"], json!([photo.hash]), "{what}");
        let linked =
            ann.post(&format!("/v1/albums/{second}/photos/link"), json!({ "photos": [{ "hash": photo.hash, "name": "x" }] })).await;
        assert_eq!(linked.value(200), json!({ "items": [], "missing": [photo.hash] }), "{what}");
        // The rest of the site does not suffer from it.
        assert_eq!(ann.get(&whole.urls.original).await.bytes(200), small(1));

        // Sent again it is the photo that it was, with new bytes under it.
        let again = ann.upload(&album, "clock.jpg", &bytes).await.value(200);
        assert_eq!((again["id"].as_str(), again["duplicate"].as_bool()), (Some(photo.id.to_string().as_str()), Some(true)), "{what}");
        assert_eq!(ann.get(path).await.bytes(200), bytes, "after {what}");
        assert_eq!(site.nobody().get(&thumbnail).await.status, 200);
        let report = site.check().await;
        assert_eq!((report.problems, report.blobs), (0, 2), "{what}: {report:?}");
        // The bad copy is deleted in its time.
        site.clock.advance(Duration::from_secs(2 * 60));
        until("one copy of each is left", || async { site.copies().len() == 2 && site.stats().await.doomed == 0 }).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_that_a_listing_shows_is_seen_at_once() {
    let site = Site::start().await;
    let ann = site.user("ann").await;
    let album = ann.album("Album").await;
    for (number, damage) in [(1, DAMAGES[2].1), (2, DAMAGES[3].1), (3, DAMAGES[4].1)] {
        let photo = ann.uploaded(&album, "one.jpg", &small(number)).await;
        assert_eq!(ann.get(&photo.urls.original).await.bytes(200), small(number));
        damage(&site.copy_of(&photo.hash.to_string()));
        ann.get(&photo.urls.original).await.refused(500, "damaged");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_into_another_album_heals_too_and_damage_outlives_a_restart() {
    let site = Site::start().await;
    let ann = site.user("ann").await;
    let (album, bytes) = (ann.album("Album").await, small(1));
    let photo = ann.uploaded(&album, "one.jpg", &bytes).await;
    fs::remove_file(site.copy_of(&photo.hash.to_string())).unwrap();
    let token = ann.token.clone().unwrap();
    let site = site.restart().await;
    let ann = site.with_token(Some(&token));
    ann.get(&photo.urls.original).await.refused(500, "damaged");
    let site = site.restart().await;
    let ann = site.with_token(Some(&token));
    ann.get(&photo.urls.original).await.refused(500, "damaged");
    let bob = site.user("bob").await;
    bob.uploaded(&bob.album("Album").await, "one.jpg", &bytes).await;
    assert_eq!(ann.get(&photo.urls.original).await.bytes(200), bytes, "whoever sent them, the bytes are the same");
    assert_eq!(site.check().await.problems, 0);
}
