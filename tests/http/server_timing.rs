//! `Server-Timing` of renditions: where an operator asked for it, and nowhere else.

use std::collections::BTreeSet;

use reqwest::Method;

use super::answer::{Answer, answer};
use super::photos::fixture;
use super::site::Site;

/// The metrics that an answer has, and what it says of the cache.
fn said(answer: &Answer) -> (BTreeSet<&str>, Option<&str>) {
    let metrics = answer.field("server-timing").split(", ");
    let names = metrics.clone().map(|metric| metric.split(';').next().unwrap()).collect();
    (names, metrics.clone().find_map(|metric| metric.strip_prefix("cache;desc=")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_tells_whether_a_rendition_was_there() {
    let site = Site::start().await;
    let photo = site.admin.uploaded(&site.admin.album("Album").await, "clock.jpg", &fixture("clock.jpg")).await;
    for _ in 0..2 {
        let got = site.nobody().get(&photo.urls.thumbnail).await;
        assert_eq!(got.status, 200);
        assert!(!got.fields.contains_key("server-timing") && !got.fields.contains_key("timing-allow-origin"), "{:?}", got.fields);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_who_asks_is_told_where_time_goes() {
    let site = Site::start_with(|config| config.renditions.server_timing = true).await;
    let photo = site.admin.uploaded(&site.admin.album("Album").await, "clock.jpg", &fixture("clock.jpg")).await;
    let (nobody, url) = (site.nobody(), &photo.urls.thumbnail);
    let rendered = nobody.get(url).await;
    assert_eq!(said(&rendered), (["cache", "queue", "render", "total"].into(), Some("\"miss\"")));
    let cached = nobody.get_with(url, &[("range", "bytes=0-9")]).await;
    assert_eq!((cached.status, said(&cached)), (206, (["cache", "total"].into(), Some("\"hit\""))));
    for told in [&rendered, &cached] {
        assert_eq!(told.field("timing-allow-origin"), "*");
    }
    // Where it is told anyway, a HEAD tells it too.
    let head = answer(nobody.call(Method::HEAD, url)).await;
    assert_eq!(head.field("content-length"), rendered.body.len().to_string());
    // What has no rendition has no time of one.
    let unchanged = nobody.get_with(url, &[("if-none-match", rendered.field("etag"))]).await;
    let refused = nobody.get(&url.replace("/i/", "/i/x")).await;
    for answer in [unchanged, refused, answer(nobody.call(Method::HEAD, url)).await] {
        assert!(!answer.fields.contains_key("server-timing"), "{answer:?}");
    }
}
