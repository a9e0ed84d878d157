//! Previews: small renditions of large photos are made from them, and are the same whether they lay there or not.

use std::path::PathBuf;

use image::imageops::FilterType;
use reqwest::StatusCode;
use turbojpeg::{Image, PixelFormat, Subsamp};

use super::photos::{decoded, fixture};
use super::site::{Caller, Site, until};

/// A camera's photo: 2,560 x 1,920.
fn large() -> Vec<u8> {
    let picture = image::imageops::resize(&decoded(&fixture("raccoon.jpg")), 2_560, 1_920, FilterType::CatmullRom);
    let image = Image { pixels: picture.as_raw().as_slice(), width: 2_560, pitch: 2_560 * 3, height: 1_920, format: PixelFormat::RGB };
    turbojpeg::compress(image, 85, Subsamp::Sub2x2).unwrap().to_vec()
}

fn preview_of(site: &Site, hash: &str) -> PathBuf {
    site.data().join("blobs/previews").join(&hash[..2]).join(&hash[2..4]).join(hash)
}

async fn made(site: &Site) -> f64 {
    site.metric("halidom_previews_total{outcome=\"made\"}").await
}

/// The picture and its entity tag.
async fn seen(caller: &Caller, url: &str) -> (Vec<u8>, String) {
    let got = caller.get(url).await;
    (got.bytes(StatusCode::OK.as_u16()).to_vec(), got.field("etag").to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_photo_has_its_thumbnail_before_anybody_asks() {
    let site = Site::start_with(|config| config.renditions.previews = true).await;
    let album = site.admin.album("Album").await;
    for (number, (name, bytes)) in [("large.jpg", large()), ("small.jpg", fixture("clock.jpg"))].into_iter().enumerate() {
        let photo = site.admin.uploaded(&album, name, &bytes).await;
        let prepared = number as f64 + 1.0;
        // Asked for, it would be made at once: so nobody asks until all is done.
        until("it is prepared", || async { site.metric("halidom_previews_total{outcome=\"prepared\"}").await == prepared }).await;
        site.nobody().get(&photo.urls.thumbnail).await.bytes(200);
        assert_eq!(site.metric("halidom_renditions_total{outcome=\"hit\"}").await, prepared, "{name}");
        assert_eq!(site.metric("halidom_renditions_total{outcome=\"rendered\"}").await, 0.0, "{name}");
        assert_eq!(preview_of(&site, &photo.hash.to_string()).exists(), name == "large.jpg");
    }
    assert_eq!(made(&site).await, 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rendition_is_the_same_whether_its_preview_was_there_or_not() {
    let site = Site::start_with(|config| config.renditions.previews = true).await;
    let album = site.admin.album("Album").await;
    let photo = site.admin.uploaded(&album, "large.jpg", &large()).await;
    let hash = photo.hash.to_string();
    until("the preview is made", || async { made(&site).await == 1.0 && preview_of(&site, &hash).exists() }).await;
    let sizes: Vec<_> = photo.urls.srcset.split(", ").map(|size| size.split_once(' ').unwrap().0.to_owned()).collect();
    assert_eq!(sizes.len(), 5);
    let mut first = vec![];
    for url in &sizes {
        first.push(seen(&site.nobody(), url).await);
    }
    let mut site = site;
    let stored = std::fs::read(preview_of(&site, &hash)).unwrap();
    for (what, bytes) in
        [("gone", None), ("torn", Some(&stored[..stored.len() / 2])), ("empty", Some(&stored[..0])), ("there", Some(&stored[..]))]
    {
        match bytes {
            Some(bytes) => std::fs::write(preview_of(&site, &hash), bytes).unwrap(),
            None => std::fs::remove_file(preview_of(&site, &hash)).unwrap(),
        }
        site = site.restart().await;
        for (url, first) in sizes.iter().zip(&first) {
            assert!(seen(&site.nobody(), url).await == *first, "{what}: {url}");
        }
        assert_eq!(made(&site).await, if what == "there" { 0.0 } else { 1.0 }, "{what}: it is made once");
        let is_kept = || async { std::fs::read(preview_of(&site, &hash)).is_ok_and(|kept| kept == stored) };
        until("it is kept, behind the back of who asked", is_kept).await;
    }
    assert!(site.staged().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_may_do_without() {
    let bytes = large();
    let mut pictures = vec![];
    for previews in [true, false] {
        let site = Site::start_with(|config| config.renditions.previews = previews).await;
        let album = site.admin.album("Album").await;
        let photo = site.admin.uploaded(&album, "large.jpg", &bytes).await;
        let (picture, tag) = seen(&site.nobody(), &photo.urls.thumbnail).await;
        if previews {
            until("it is kept", || async { preview_of(&site, &photo.hash.to_string()).exists() }).await;
        }
        assert_eq!(preview_of(&site, &photo.hash.to_string()).exists(), previews);
        pictures.push((decoded(&picture), tag));
    }
    let [(with, with_tag), (without, without_tag)] = pictures.try_into().unwrap();
    assert_ne!(with_tag, without_tag, "they are not the same bytes");
    assert_eq!(with.dimensions(), without.dimensions());
    let squares: f64 = with.as_raw().iter().zip(without.as_raw()).map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2)).sum();
    let near = 10.0 * (255.0 * 255.0 / (squares / with.as_raw().len() as f64).max(1e-4)).log10();
    assert!(near > 38.0, "but they look the same: {near:.1} dB");
}
