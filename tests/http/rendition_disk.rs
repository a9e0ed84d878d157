//! Renditions on disk: they outlive a restart, and nothing that happens to them fails a request.

use halidom::api::Tenant;
use halidom::config::{ByteSize, Config};
use reqwest::Method;
use serde_json::json;

use super::answer::answer;
use super::photos::{fixture, small};
use super::signatures::url;
use super::site::{Site, until};

const RENDERED: &str = "halidom_renditions_total{outcome=\"rendered\"}";
const FROM_DISK: &str = "halidom_renditions_total{outcome=\"disk\"}";
const DAMAGED: &str = "halidom_rendition_disk_outcomes_total{outcome=\"damaged\"}";

fn on_disk(config: &mut Config) {
    config.renditions.disk_bytes = ByteSize::mib(16);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_rendered_is_there_after_a_restart() {
    let site = Site::start_with(on_disk).await;
    let album = site.admin.album("Album").await;
    let photo = site.admin.uploaded(&album, "raccoon.jpg", &fixture("raccoon.jpg")).await;
    let urls = [photo.urls.thumbnail, photo.urls.preview];
    let mut before = vec![];
    for url in &urls {
        before.push(site.nobody().get(url).await);
    }
    assert_eq!((site.metric(RENDERED).await, site.metric(FROM_DISK).await), (2.0, 0.0));

    let site = site.restart().await;
    for (url, before) in urls.iter().zip(&before) {
        let head = answer(site.nobody().call(Method::HEAD, url)).await;
        assert_eq!((head.status, head.field("etag")), (200, before.field("etag")));
        let after = site.nobody().get(url).await;
        assert_eq!((after.bytes(200), after.field("etag")), (before.bytes(200), before.field("etag")));
        assert_eq!(after.field("content-type"), before.field("content-type"));
    }
    assert_eq!((site.metric(RENDERED).await, site.metric(FROM_DISK).await), (0.0, 2.0));
    // From then on they lie in memory.
    site.nobody().get(&urls[0]).await.bytes(200);
    assert_eq!(site.metric("halidom_renditions_total{outcome=\"hit\"}").await, 1.0);
    assert!(site.metric("halidom_rendition_disk_limit_bytes").await > 0.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_for_an_avif_that_lies_there_and_cannot_be_read() {
    let site = Site::start_with(on_disk).await;
    let album = site.admin.album("Album").await;
    let photo = site.admin.uploaded(&album, "clock.jpg", &fixture("clock.jpg")).await;
    let (site, key) = site.with_signing_key(halidom::model::TenantId::DEFAULT).await;
    let url = url(&key, &format!("/w:50/plain/{}", photo.hash));
    async fn ask(site: &Site, url: &str) -> super::answer::Answer {
        site.nobody().get_with(url, &[("accept", "image/avif,image/webp")]).await
    }
    until("the AVIF is made", || async { ask(&site, &url).await.field("content-type") == "image/avif" }).await;
    let is_avif = |path: &std::path::PathBuf| std::fs::read(path).unwrap().windows(8).any(|bytes| bytes == b"ftypavif");
    until("it is on disk", async || site.renditions_on_disk().iter().any(is_avif)).await;

    let site = site.restart().await;
    let best = ask(&site, &url).await;
    assert_eq!((best.status, best.field("content-type"), site.metric(FROM_DISK).await), (200, "image/avif", 1.0));
    // From then on it lies in memory.
    assert_eq!(ask(&site, &url).await.field("content-type"), "image/avif");
    assert_eq!(site.metric("halidom_renditions_total{outcome=\"hit\"}").await, 1.0);

    let site = site.restart().await;
    let on_disk = site.renditions_on_disk();
    let path = on_disk.iter().find(|path| is_avif(path)).unwrap();
    std::fs::write(path, b"torn").unwrap();
    let meanwhile = ask(&site, &url).await;
    assert_eq!((meanwhile.field("content-type"), meanwhile.field("cache-control")), ("image/webp", "public, max-age=30"));
    until("the AVIF is made anew", || async { ask(&site, &url).await.field("content-type") == "image/avif" }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_ones_are_rendered_anew() {
    let site = Site::start_with(|config| {
        on_disk(config);
        // None in memory, so that every request asks the disk.
        config.renditions.cache_bytes = ByteSize::bytes(0);
    })
    .await;
    let album = site.admin.album("Album").await;
    let photo = site.admin.uploaded(&album, "clock.jpg", &fixture("clock.jpg")).await;
    let (url, nobody) = (photo.urls.thumbnail, site.nobody());
    let whole = nobody.get(&url).await;
    for round in 1..=5 {
        until("it is on disk", async || site.renditions_on_disk().len() == 1).await;
        let path = site.renditions_on_disk().remove(0);
        let mut bytes = std::fs::read(&path).unwrap();
        let at = bytes.len() * round / 6;
        bytes[at] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(nobody.get(&url).await.bytes(200), whole.bytes(200), "byte {at}");
        let figures = (site.metric(DAMAGED).await, site.metric(RENDERED).await);
        assert_eq!(figures, (round as f64, round as f64 + 1.0));
    }
    until("it is on disk", async || site.renditions_on_disk().len() == 1).await;
    assert_eq!(nobody.get(&url).await.bytes(200), whole.bytes(200));
    assert_eq!(site.metric(FROM_DISK).await, 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_gets_from_the_disk_what_is_not_theirs_and_another_photo_never() {
    let site = Site::start_with(on_disk).await;
    let album = site.admin.album("Album").await;
    let one = site.admin.uploaded(&album, "a.jpg", &small(1)).await;
    let first = site.nobody().get(&one.urls.thumbnail).await;
    let site = site.restart().await;
    let other = site.admin.uploaded(&album, "b.jpg", &small(2)).await;
    assert_ne!(site.nobody().get(&other.urls.thumbnail).await.bytes(200), first.bytes(200));
    site.nobody().get(&one.urls.thumbnail.replace("/i/", "/i/x")).await.refused(403, "bad_signature");
    assert_eq!(site.metric(FROM_DISK).await, 0.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_site_that_cannot_have_them_on_disk_does_without() {
    let site = Site::start_with(|config| {
        on_disk(config);
        std::fs::create_dir_all(&config.storage.data).unwrap();
        std::fs::write(config.storage.data.join("renditions-cache"), b"not a directory").unwrap();
    })
    .await;
    let album = site.admin.album("Album").await;
    let photo = site.admin.uploaded(&album, "clock.jpg", &fixture("clock.jpg")).await;
    site.nobody().get(&photo.urls.thumbnail).await.bytes(200);
    let site = site.restart().await;
    site.nobody().get(&photo.urls.thumbnail).await.bytes(200);
    assert_eq!((site.metric(RENDERED).await, site.metric("halidom_rendition_disk_limit_bytes").await), (1.0, 0.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_tenant_gets_nothing_from_the_disk() {
    let site = Site::start_with(on_disk).await;
    let tenant: Tenant = site.admin.post("/v1/admin/tenants", json!({ "name": "other" })).await.json(201);
    let photo = site.admin.uploaded(&site.admin.album("Album").await, "a.jpg", &small(1)).await;
    site.nobody().get(&photo.urls.thumbnail).await.bytes(200);
    let (site, key) = site.with_signing_key(tenant.id).await;
    let site = site.restart().await;
    let theirs = url(&key, &format!("/rs:fit:320:320/plain/{}@jpg", photo.hash));
    site.nobody().get(&theirs).await.refused(404, "not_found");
    assert_eq!(site.metric(FROM_DISK).await, 0.0);
    site.nobody().get(&photo.urls.thumbnail).await.bytes(200);
    assert_eq!(site.metric(FROM_DISK).await, 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_removes_what_nobody_has() {
    let site = Site::start_with(on_disk).await;
    let photo = site.admin.uploaded(&site.admin.album("Album").await, "a.jpg", &small(1)).await;
    site.nobody().get(&photo.urls.thumbnail).await.bytes(200);
    until("it is on disk", async || site.renditions_on_disk().len() == 1).await;
    let kept = site.renditions_on_disk();
    let folder = site.data().join("renditions-cache/v1/abc");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(format!("abc{}", "0".repeat(61))), b"of an erased photo").unwrap();
    let site = site.restart().await;
    until("only what somebody has is there", async || site.renditions_on_disk() == kept).await;
}
