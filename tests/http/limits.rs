//! Too much at once: a clear answer, and service for the rest.

use halidom::config::ByteSize;
use serde_json::json;

use super::photos::{fixture, small};
use super::site::Site;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pictures_over_the_limits() {
    let site = Site::start_with(|config| {
        config.limits.max_pixels = 100_000;
        config.limits.max_side = 500;
    })
    .await;
    let album = site.admin.album("Album").await;
    // 512 x 512, 400 x 300, 24 x 16.
    site.admin.upload(&album, "large.jpg", &fixture("ascent.jpg")).await.refused(413, "too_large");
    site.admin.upload(&album, "large.jpg", &fixture("clock.jpg")).await.refused(413, "too_large");
    site.admin.upload(&album, "small.jpg", &small(1)).await.value(201);
    assert_eq!(site.stats().await.blobs, 1);
    assert!(site.staged().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_and_questions_over_the_limits() {
    let site = Site::start().await;
    let album = site.admin.album("Album").await;
    let photo = site.admin.uploaded(&album, "one.jpg", &small(1)).await;
    let link = format!("/v1/albums/{album}/photos/link");
    let photos = vec![json!({ "hash": photo.hash, "name": "x" }); 101];
    site.admin.post(&link, json!({ "photos": photos })).await.refused(413, "too_large");
    // One wrong name, and none of them is made.
    let second = site.admin.album("Second").await;
    let mixed = json!({ "photos": [{ "hash": photo.hash, "name": "good.jpg" }, { "hash": photo.hash, "name": "a\nb" }] });
    site.admin.post(&format!("/v1/albums/{second}/photos/link"), mixed).await.refused(400, "invalid");
    let taken = json!({ "photos": [{ "hash": photo.hash, "name": "good.jpg" }, { "hash": photo.hash, "name": "x", "id": photo.id }] });
    site.admin.post(&format!("/v1/albums/{second}/photos/link"), taken).await.value(200);
    assert_eq!(site.admin.get(&format!("/v1/albums/{second}")).await.value(200)["photo_count"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_site_stops_in_good_order_and_says_so_before() {
    let site = Site::start_with(|config| config.limits.max_upload_bytes = ByteSize::kib(64)).await;
    assert_eq!(site.nobody().get("/readyz").await.bytes(200), b"ready\n");
    assert_eq!(site.metric("halidom_ready").await, 1.0);
    let album = site.admin.album("Album").await;
    let photo = site.admin.uploaded(&album, "one.jpg", &small(1)).await;
    let site = site.restart().await;
    assert_eq!(site.admin.get(&photo.urls.original).await.bytes(200), small(1));
    assert_eq!(site.check().await.problems, 0);
}
