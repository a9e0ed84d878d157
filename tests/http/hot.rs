//! Renditions that are asked for again and again are answered without the routes: alike, and no longer than they would be.

use std::time::Duration;

use halidom::model::TenantId;
use reqwest::Method;

use super::answer::{Answer, answer};
use super::photos::fixture;
use super::signatures;
use super::site::Site;

/// Whether an answer came without the routes.
async fn is_hot(site: &Site, ask: impl Future<Output = Answer>) -> (Answer, bool) {
    let hot = async || site.metric("halidom_renditions_total{outcome=\"hot\"}").await;
    let before = hot().await;
    let answer = ask.await;
    (answer, hot().await > before)
}

/// Asks until the answer has come from the cache, so that the next may be hot.
async fn warm(site: &Site, url: &str) -> Answer {
    site.nobody().get(url).await;
    let (cached, is_hot) = is_hot(site, site.nobody().get(url)).await;
    assert!(!is_hot);
    cached
}

async fn one_photo() -> (Site, String) {
    let site = Site::start().await;
    let album = site.admin.album("Album").await;
    let photo = site.admin.uploaded(&album, "clock.jpg", &fixture("clock.jpg")).await;
    (site, photo.hash.to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_the_same_answer_and_counted() {
    let (site, hash) = one_photo().await;
    let (site, key) = site.with_signing_key(TenantId::DEFAULT).await;
    let url = signatures::url(&key, &format!("/w:50/plain/{hash}"));
    let nobody = site.nobody();
    let cached = warm(&site, &url).await;
    let requests = "halidom_http_requests_total{route=\"/i/{*rendition}\",method=\"GET\",status=\"2xx\"}";
    let answered = site.metric(requests).await;
    let (hot, way) = is_hot(&site, nobody.get(&url)).await;
    assert!(way);
    assert_eq!((hot.status, &hot.body), (cached.status, &cached.body));
    let fields = |answer: &Answer| {
        let mut fields = answer.fields.clone();
        for own in ["x-request-id", "date"] {
            fields.remove(own);
        }
        fields
    };
    assert_eq!(fields(&hot), fields(&cached));
    assert_ne!(hot.field("x-request-id"), nobody.get(&url).await.field("x-request-id"));
    assert_eq!(site.metric(requests).await, answered + 2.0);
    assert_eq!(site.metric("halidom_http_requests_running{route=\"/i/{*rendition}\",method=\"GET\"}").await, 0.0);

    // Whatever asks for something else gets it by the routes.
    let webp = nobody.get_with(&url, &[("accept", "image/webp")]).await;
    assert_eq!(webp.field("content-type"), "image/webp");
    // A proxy's id is kept, and no reason to go by the routes.
    let (own, way) = is_hot(&site, nobody.get_with(&url, &[("x-request-id", "my-own")])).await;
    assert_eq!((own.field("x-request-id"), way), ("my-own", true));
    let part = nobody.get_with(&url, &[("range", "bytes=0-9")]).await;
    assert_eq!((part.status, part.body.len()), (206, 10));
    let unchanged = nobody.get_with(&url, &[("if-none-match", cached.field("etag"))]).await;
    assert_eq!(unchanged.status, 304);
    let head = answer(nobody.call(Method::HEAD, &url)).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert!(!head.fields.contains_key("content-length"), "it would tell what lies in the cache");
    nobody.get(&format!("{url}?")).await.refused(400, "malformed");
    nobody.get(&url.replace("w:50", "w:51")).await.refused(403, "bad_signature");
    let (_, way) = is_hot(&site, answer(nobody.call(Method::GET, &url).body("a body"))).await;
    assert!(!way, "a body has to be read");
    assert_eq!(answer(nobody.call(Method::POST, &url)).await.status, 405);
    assert!(is_hot(&site, nobody.get(&url)).await.1, "it still is");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_looked_up_anew_before_long() {
    let (site, hash) = one_photo().await;
    let (site, key) = site.with_signing_key(TenantId::DEFAULT).await;
    let nobody = site.nobody();
    let url = signatures::url(&key, &format!("/w:50/plain/{hash}@jpg"));
    warm(&site, &url).await;
    assert!(is_hot(&site, nobody.get(&url)).await.1);
    site.clock.advance(Duration::from_millis(999));
    assert!(is_hot(&site, nobody.get(&url)).await.1);
    site.clock.advance(Duration::from_millis(1));
    assert!(!is_hot(&site, nobody.get(&url)).await.1);
    assert!(is_hot(&site, nobody.get(&url)).await.1);

    // Nor beyond what its URL says.
    let expires = site.clock.unix_ms() / 1_000 + 1;
    let url = signatures::url(&key, &format!("/w:51/exp:{expires}/plain/{hash}@jpg"));
    warm(&site, &url).await;
    let left = expires * 1_000 - site.clock.unix_ms();
    site.clock.advance(Duration::from_millis(left - 1));
    assert_eq!(nobody.get(&url).await.status, 200);
    site.clock.advance(Duration::from_millis(1));
    nobody.get(&url).await.refused(403, "bad_signature");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_taken_away_opens_nothing_any_more() {
    let (site, hash) = one_photo().await;
    let keys = format!("/v1/admin/tenants/{}/keys", TenantId::DEFAULT);
    let first = site.admin.get(&keys).await.value(200)["items"][0]["id"].as_str().unwrap().to_owned();
    let (site, key) = site.with_signing_key(TenantId::DEFAULT).await;
    let nobody = site.nobody();
    let url = signatures::url(&key, &format!("/w:50/plain/{hash}@jpg"));
    warm(&site, &url).await;
    assert!(is_hot(&site, nobody.get(&url)).await.1);
    let second = site.admin.post(&keys, serde_json::json!({})).await.value(201)["id"].as_str().unwrap().to_owned();
    site.admin.patch(&format!("{keys}/{second}"), serde_json::json!({ "signs": true })).await.value(200);
    assert_eq!(nobody.get(&url).await.status, 200);
    assert_eq!(site.admin.delete(&format!("{keys}/{first}")).await.status, 204);
    nobody.get(&url).await.refused(403, "bad_signature");
}
