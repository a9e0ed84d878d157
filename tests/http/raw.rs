//! A raw file of a camera, from its upload to a page that shows it.

use halidom::imaging::Format;
use serde_json::{Value, json};

use super::imaging_samples::raw::{Raw, lossless_jpeg};
use super::imaging_samples::{corners, encoded};
use super::photos::decoded;
use super::site::Site;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn raw_files_are_kept_as_they_are_and_shown_by_their_preview() {
    let site = Site::start().await;
    let album = site.admin.album("Raw").await;
    let jpeg = |width, height| encoded(&corners(width, height), Format::Jpeg);
    for (format, bytes) in Raw::of(&jpeg(480, 320), &jpeg(72, 64)).all() {
        let photo: Value = site.admin.upload(&album, "a.raw", &bytes).await.json(201);
        assert_eq!((&photo["format"], &photo["width"], &photo["height"]), (&json!(format.as_str()), &json!(320), &json!(480)), "{photo}");
        assert_eq!(photo["camera"]["model"], "H-1");
        let original = site.admin.get(photo["urls"]["original"].as_str().unwrap()).await;
        assert_eq!(original.field("content-type"), format.media_type());
        assert_eq!(original.bytes(200), bytes);
        let thumbnail = decoded(site.nobody().get(photo["urls"]["thumbnail"].as_str().unwrap()).await.bytes(200));
        assert_eq!(thumbnail.dimensions(), (213, 320), "{format}");
    }
    let without = Raw::of(&lossless_jpeg(600, 400), &lossless_jpeg(60, 40)).dng(b"II*\0");
    let problem = site.admin.upload(&album, "a.dng", &without).await.refused(415, "not_an_image");
    assert!(problem.detail.is_some_and(|detail| detail.contains("dng") && detail.contains("JPEG")));
}
