//! Photos that are recompressed: nobody notices, but for the bytes on the disk.

use std::path::Path;
use std::time::Duration;

use halidom::api::Photo;
use halidom::config::{ColdMode, Config};
use reqwest::Method;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::answer::answer;
use super::photos::fixture;
use super::site::{Caller, Site, until};

const MAGIC: &[u8] = b"\xc0HALIDOM";

fn at_once(config: &mut Config) {
    config.cold.mode = ColdMode::On;
    config.cold.after = Duration::ZERO;
    config.cold.every = Duration::from_secs(1);
}

/// A site where ann has two photos, both recompressed, and no raw copy is left.
async fn cold_site() -> (Site, Caller, String, Vec<(Photo, Vec<u8>)>) {
    let site = Site::start_with(at_once).await;
    let ann = site.user("ann").await;
    let album = ann.album("Album").await;
    let mut photos = vec![];
    for name in ["hubble.jpg", "raccoon.jpg"] {
        let bytes = fixture(name);
        photos.push((ann.uploaded(&album, name, &bytes).await, bytes));
    }
    let site = settled(site, 2).await;
    (site, ann, album, photos)
}

/// Waits until so many are recompressed, and what they replaced is deleted.
async fn settled(site: Site, cold: u64) -> Site {
    until("they are recompressed", || async { site.stats().await.cold.blobs == cold }).await;
    site.clock.advance(Duration::from_secs(2 * 60));
    until("what they were is deleted", || async { site.stats().await.doomed == 0 }).await;
    site
}

fn is_container(path: &Path) -> bool {
    std::fs::read(path).unwrap().starts_with(MAGIC)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cold_photo_downloads_as_any_other() {
    use base64::Engine as _;

    let (site, ann, _, photos) = cold_site().await;
    assert_eq!(site.copies().len(), 2);
    assert!(site.copies().iter().all(|path| is_container(path)));
    let stats = site.stats().await;
    let size: u64 = photos.iter().map(|(_, bytes)| bytes.len() as u64).sum();
    assert_eq!((stats.cold.original_bytes, stats.cold.stored_bytes), (size, stats.stored_bytes));
    assert!(stats.stored_bytes < size && stats.logical_bytes == size);
    assert_eq!(site.metric("halidom_cold_photos_total{outcome=\"recompressed\"}").await, 2.0);
    assert_eq!(site.metric("halidom_cold_saved_bytes_total").await, (size - stats.stored_bytes) as f64);
    for (photo, bytes) in &photos {
        let path = &photo.urls.original;
        let size = bytes.len();
        // Twice: what is remembered of the first must not let the container out.
        for _ in 0..2 {
            let whole = ann.get(path).await;
            assert_eq!(whole.bytes(200), *bytes);
            let digest = format!("sha-256=:{}:", base64::engine::general_purpose::STANDARD.encode(Sha256::digest(bytes)));
            let described = [("content-length", size.to_string()), ("etag", format!("\"{}\"", photo.hash)), ("repr-digest", digest)];
            let head = answer(ann.call(Method::HEAD, path)).await;
            assert_eq!((head.status, head.body.len()), (200, 0));
            for (field, value) in &described {
                assert_eq!((whole.field(field), head.field(field)), (value.as_str(), value.as_str()), "{field}");
            }
        }
        for (first, end) in [(0, 1), (0, size), (10, 100), (size - 1, size), (1_000, size), (size - 70_000, size - 65_000)] {
            let range = format!("bytes={first}-{}", end - 1);
            let tag = format!("\"{}\"", photo.hash);
            let part = ann.get_with(path, &[("range", &range), ("if-range", &tag)]).await;
            assert_eq!(part.bytes(206), &bytes[first..end], "{range}");
            assert_eq!(part.field("content-range"), format!("bytes {first}-{}/{size}", end - 1));
        }
        let tag = format!("\"{}\"", photo.hash);
        assert_eq!(ann.get_with(path, &[("if-none-match", &tag)]).await.status, 304);
        let asked = ann.post("/v1/urls", json!({ "hash": photo.hash, "width": 64 })).await.value(200);
        assert_eq!(ann.get(asked["url"].as_str().unwrap()).await.status, 200);
    }
    let report = site.check().await;
    assert_eq!((report.problems, report.blobs), (0, 2), "{report:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_sends_or_links_a_cold_photo_notices_nothing() {
    let (site, ann, album, photos) = cold_site().await;
    let (photo, bytes) = &photos[0];
    let asked = ann.post("/v1/blobs/missing", json!({ "hashes": [photo.hash] })).await.value(200);
    assert_eq!(asked, json!({ "missing": [] }));
    let second = ann.album("Second").await;
    let linked = json!({ "photos": [{ "hash": photo.hash, "name": "linked.jpg" }] });
    let linked = ann.post(&format!("/v1/albums/{second}/photos/link"), linked).await;
    assert!(linked.status < 300, "{}", linked.status);
    let again: Photo = ann.upload(&album, "again.jpg", bytes).await.json(200);
    assert_eq!(again.duplicate, Some(true));
    let path = site.copy_of(&photo.hash.to_string());
    assert!(is_container(&path), "the copy that counts was looked at, and stays");
    // Nobody brings a container of their own.
    ann.upload(&album, "container.jpg", &std::fs::read(path).unwrap()).await.refused(415, "not_an_image");
    // Another's copy takes the place of the cold one, and becomes cold again.
    let bob = site.user("bob").await;
    let bobs = bob.album("Album").await;
    let theirs = bob.uploaded(&bobs, "his.jpg", bytes).await;
    let site = settled(site, 2).await;
    assert_eq!(bob.get(&theirs.urls.original).await.bytes(200), *bytes);
    assert_eq!(ann.get(&photo.urls.original).await.bytes(200), *bytes);
    assert!(is_container(&site.copy_of(&photo.hash.to_string())));
    assert_eq!(site.check().await.problems, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cold_photo_that_rots_is_never_a_success_and_is_made_good() {
    let (site, ann, album, photos) = cold_site().await;
    let (photo, bytes) = &photos[0];
    let path = site.copy_of(&photo.hash.to_string());
    let good = std::fs::read(&path).unwrap();
    for at in [0, 9, 50, good.len() / 2, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&path, permissions).unwrap();
        std::fs::write(&path, &bad).unwrap();
        assert!(ann.get(&photo.urls.original).await.status >= 500, "byte {at}");
        let report = site.check().await;
        assert_eq!((report.problems, report.findings[0].code.as_str()), (1, "blob_damaged"), "{report:?}");
        std::fs::write(&path, &good).unwrap();
        assert_eq!(ann.get(&photo.urls.original).await.bytes(200), *bytes, "and good again");
    }
    std::fs::write(&path, &good[..good.len() - 1]).unwrap();
    assert!(ann.get(&photo.urls.original).await.status >= 500);
    assert_eq!(ann.upload(&album, "again.jpg", bytes).await.status, 200);
    assert_eq!(ann.get(&photo.urls.original).await.bytes(200), *bytes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_setting_undoes_it() {
    let (site, ann, _, photos) = cold_site().await;
    let size: u64 = photos.iter().map(|(_, bytes)| bytes.len() as u64).sum();
    // Switched off, what is recompressed stays, and is served.
    let site = site.restart_with(|config| config.cold.mode = ColdMode::Off).await;
    let ann_now = site.with_token(ann.token.as_deref());
    assert_eq!(ann_now.get(&photos[0].0.urls.original).await.bytes(200), photos[0].1);
    assert_eq!(site.stats().await.cold.blobs, 2);
    let site = site.restart_with(|config| config.cold.mode = ColdMode::Undo).await;
    let site = settled(site, 0).await;
    let ann = site.with_token(ann.token.as_deref());
    assert_eq!(site.stats().await.stored_bytes, size);
    for (photo, bytes) in &photos {
        assert_eq!(std::fs::read(site.copy_of(&photo.hash.to_string())).unwrap(), *bytes);
        assert_eq!(ann.get(&photo.urls.original).await.bytes(200), *bytes);
    }
    assert_eq!(site.check().await.problems, 0);
    assert_eq!(site.metric("halidom_cold_photos_total{outcome=\"undone\"}").await, 2.0);
}
