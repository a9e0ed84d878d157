//! Rendition URLs as imgproxy's client libraries make them: signed apart from the server, with a tenant's key and salt.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use halidom::api::{CreatedToken, Tenant, User};
use halidom::model::{BlobHash, TenantId};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use super::photos::{decoded, fixture, small};
use super::site::{Caller, Site};

pub type Key = (Vec<u8>, Vec<u8>);

/// What imgproxy's documentation tells clients to do.
fn sign((key, salt): &Key, path: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(salt);
    mac.update(path.as_bytes());
    URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
}

pub fn url(key: &Key, path: &str) -> String {
    format!("/i/{}{path}", sign(key, path))
}

/// The vector of the client libraries on npm and PyPI: what these tests sign is signed as they do.
#[test]
fn the_client_libraries_vector() {
    let bytes = |hex: &str| (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect::<Vec<_>>();
    let key = (
        bytes("943b421c9eb07c830af81030552c86009268de4e532ba2ee2eab8247c6da0881"),
        bytes("520f986b998545b4785e0defbc4f3c1203f22de2374a3d53cb7a7fe9fea309c5"),
    );
    let path = "/fill/300/300/no/1/aHR0cDovL2ltZy5leGFtcGxlLmNvbS9wcmV0dHkvaW1hZ2UuanBn.png";
    assert_eq!(sign(&key, path), "_PQ4ytCQMMp-1w1m_vP6g8Qb-Q7yF9mwghf6PddqxLw");
}

/// A site whose default tenant has one photo (600 × 400), with the key that signs its URLs.
async fn signed_site() -> (Site, BlobHash, Key) {
    let site = Site::start().await;
    let album = site.admin.album("Album").await;
    let photo = site.admin.uploaded(&album, "coffee.webp", &fixture("coffee.webp")).await;
    let (site, key) = site.with_signing_key(TenantId::DEFAULT).await;
    (site, photo.hash, key)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rendition_has_one_url() {
    let (site, hash, key) = signed_site().await;
    let signed = url(&key, &format!("/rs:fit:30:30/plain/{hash}@jpg"));
    site.nobody().get(&signed).await.bytes(200);
    for query in ["?v=1", "?"] {
        // What is made up behind it would be another entry in every cache.
        site.nobody().get(&format!("{signed}{query}")).await.refused(400, "malformed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn avif_is_made_for_who_names_it() {
    let (site, hash, key) = signed_site().await;
    let got = site.nobody().get(&url(&key, &format!("/rs:fit:60:60/plain/{hash}@avif"))).await;
    assert_eq!((&got.bytes(200)[4..12], got.field("content-type")), (b"ftypavif".as_slice(), "image/avif"));
    // Nothing of it is made smaller by going the long way round: it is a photo like any other.
    let album = site.admin.album("AVIF").await;
    let photo = site.admin.uploaded(&album, "a.avif", got.bytes(200)).await;
    assert_eq!((photo.width, photo.height, photo.format.to_string()), (60, 40, "avif".to_owned()));
    let again = site.nobody().get(&url(&key, &format!("/w:30/plain/{}@jpg", photo.hash))).await;
    assert_eq!(decoded(again.bytes(200)).dimensions(), (30, 20));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_clients_sign_is_served() {
    let (site, hash, key) = signed_site().await;
    let nobody = site.nobody();
    let source = URL_SAFE_NO_PAD.encode(hash.to_string());
    for (path, size, kind) in [
        (format!("/rs:fit:300:300/plain/{hash}@jpg"), (300, 200), "image/jpeg"),
        (format!("/rs:fit:300:300/plain/{hash}%40jpg"), (300, 200), "image/jpeg"),
        (format!("/rs:fit:300:300/{source}.png"), (300, 200), "image/png"),
        (format!("/resize:fit:300:300/format:webp/{source}"), (300, 200), "image/webp"),
        (format!("/w:90/q:50/cb:v1/plain/{hash}@webp"), (90, 60), "image/webp"),
        (format!("/h:100/dpr:2/plain/{hash}@png"), (300, 200), "image/png"),
        (format!("/w:1200/plain/{hash}@jpg"), (600, 400), "image/jpeg"),
        (format!("/w:1200/el:1/plain/{hash}@jpg"), (1200, 800), "image/jpeg"),
        (format!("/plain/{hash}"), (600, 400), "image/jpeg"),
        (format!("/exp:4102444800/w:30/plain/{hash}@jpg"), (30, 20), "image/jpeg"),
        (format!("/rs:fill:100:100/g:sm/plain/{hash}@jpg"), (100, 100), "image/jpeg"),
        (format!("/rs:fill:100:100/g:nowe:5:5/dpr:2/plain/{hash}@webp"), (200, 200), "image/webp"),
        (format!("/rs:fill-down:900:300/plain/{hash}@jpg"), (600, 200), "image/jpeg"),
        (format!("/rs:force:50:100/plain/{hash}@png"), (50, 100), "image/png"),
        (format!("/rs:auto:100:100/g:fp:0.1:0.9/plain/{hash}@jpg"), (100, 100), "image/jpeg"),
        (format!("/w:30/bg:255:0:0/bl:2.5/plain/{hash}@png"), (30, 20), "image/png"),
    ] {
        let got = nobody.get(&url(&key, &path)).await;
        let image = decoded(got.bytes(200));
        assert_eq!(((image.width(), image.height()), got.field("content-type")), (size, kind), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_signed_well_is_not_looked_at() {
    let (site, hash, key) = signed_site().await;
    let nobody = site.nobody();
    let path = format!("/rs:fit:300:300/plain/{hash}@jpg");
    let good = sign(&key, &path);
    nobody.get(&format!("/i/{good}{path}")).await.bytes(200);
    let other_key = ([7; 32].to_vec(), key.1.clone());
    let other_salt = (key.0.clone(), [7; 32].to_vec());
    for signature in [
        "insecure".to_owned(),
        "_".to_owned(),
        good[1..].to_owned(),
        format!("{good}="),
        sign(&other_key, &path),
        sign(&other_salt, &path),
        sign(&key, &path.replace("300:300", "301:300")),
        good.chars().rev().collect(),
    ] {
        nobody.get(&format!("/i/{signature}{path}")).await.refused(403, "bad_signature");
    }
    // The same signature over anything else.
    for path in [path.replace("300:300", "3000:300"), path.replace("@jpg", "@png"), path.replace("/rs", "//rs"), format!("{path}/")] {
        nobody.get(&format!("/i/{good}{path}")).await.refused(403, "bad_signature");
    }
    // Whether options or blob are known is not said before.
    for path in ["/nonsense:1/plain/x@jpg".to_owned(), format!("/w:1/plain/{}@jpg", BlobHash::of(b"nothing"))] {
        nobody.get(&format!("/i/{good}{path}")).await.refused(403, "bad_signature");
    }
    for path in ["/i", "/i/", "/i/x"] {
        assert_eq!(nobody.get(path).await.status, 404, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn options_that_are_not_understood_are_named() {
    let (site, hash, key) = signed_site().await;
    let nobody = site.nobody();
    for (path, words) in [
        (format!("/sharpen:5/plain/{hash}@jpg"), "sharpen"),
        (format!("/rs:crop:300:300/plain/{hash}@jpg"), "crop"),
        (format!("/w:wide/plain/{hash}@jpg"), "w takes"),
        (format!("/q:101/plain/{hash}@jpg"), "q takes"),
        (format!("/plain/{hash}@bmp"), "extension takes jpg, png, webp or avif"),
        // The site of tests makes up to 2,048 pixels a side.
        (format!("/w:2049/plain/{hash}@jpg"), "2048"),
        (format!("/w:1025/dpr:2/plain/{hash}@jpg"), "2048"),
        ("/w:30/plain/https://example.com/a.jpg@jpg".to_owned(), "source"),
        ("/w:30/aHR0cDovL2EuYi9jLmpwZw.jpg".to_owned(), "source"),
    ] {
        let problem = nobody.get(&url(&key, &path)).await.refused(400, "invalid");
        assert!(problem.detail.as_deref().is_some_and(|detail| detail.contains(words)), "{path}: {problem:?}");
    }
    nobody.get(&url(&key, &format!("/w:30/plain/{}@jpg", BlobHash::of(b"nothing")))).await.refused(404, "not_found");
    // The clock of the site stands in November 2026.
    nobody.get(&url(&key, &format!("/exp:1795521600/plain/{hash}@jpg"))).await.refused(403, "bad_signature");
    assert_eq!(site.metric("halidom_renditions_total{outcome=\"rendered\"}").await, 0.0, "nothing of it was rendered");
}

/// The first user of a new tenant.
async fn tenant(site: &Site, name: &str) -> (TenantId, Caller) {
    let tenant: Tenant = site.admin.post("/v1/admin/tenants", json!({ "name": name })).await.json(201);
    let user: User = site.admin.post("/v1/admin/users", json!({ "name": "eve", "tenant": tenant.id })).await.json(201);
    let request = json!({ "user": user.id, "tenant": tenant.id });
    let token: CreatedToken = site.admin.post("/v1/admin/tokens", request).await.json(201);
    (tenant.id, site.with_token(Some(&token.token)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenants_key_opens_that_tenants_photos_only() {
    let site = Site::start().await;
    let album = site.admin.album("Album").await;
    let ours = site.admin.uploaded(&album, "ours.jpg", &small(1)).await;
    let (tenant, eve) = tenant(&site, "other").await;
    let theirs = eve.uploaded(&eve.album("Album").await, "theirs.jpg", &small(2)).await;
    let token = eve.token.clone().unwrap();
    let (site, our_key) = site.with_signing_key(TenantId::DEFAULT).await;
    let (site, their_key) = site.with_signing_key(tenant).await;
    assert_ne!(our_key, their_key);
    let (nobody, eve) = (site.nobody(), site.with_token(Some(&token)));
    let path = |hash: &BlobHash| format!("/w:12/plain/{hash}@jpg");

    nobody.get(&url(&our_key, &path(&ours.hash))).await.bytes(200);
    nobody.get(&url(&their_key, &path(&theirs.hash))).await.bytes(200);
    // The blob is no one's in that tenant: the answer is the one for a blob that no one has anywhere.
    let unknown = nobody.get(&url(&their_key, &path(&BlobHash::of(b"nothing")))).await;
    unknown.refused(404, "not_found");
    for (key, hash) in [(&their_key, &ours.hash), (&our_key, &theirs.hash)] {
        let refused = nobody.get(&url(key, &path(hash))).await;
        assert_eq!((refused.status, refused.problem_alone()), (404, unknown.problem_alone()));
    }
    // Nor does the server sign what the caller does not own.
    let unknown = eve.post("/v1/urls", json!({ "hash": BlobHash::of(b"nothing") })).await;
    let refused = eve.post("/v1/urls", json!({ "hash": ours.hash })).await;
    assert_eq!((refused.status, refused.problem_alone()), (404, unknown.problem_alone()));
    // A rendition of ours in the cache is no one else's either.
    let cached = nobody.get(&url(&our_key, &path(&ours.hash))).await;
    nobody.get_with(&url(&their_key, &path(&ours.hash)), &[("if-none-match", cached.field("etag"))]).await.refused(404, "not_found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_changed_and_no_page_breaks() {
    let site = Site::start().await;
    let album = site.admin.album("Album").await;
    let photo = site.admin.uploaded(&album, "coffee.webp", &fixture("coffee.webp")).await;
    let keys = format!("/v1/admin/tenants/{}/keys", TenantId::DEFAULT);
    let made_here =
        async || site.admin.get(&format!("/v1/photos/{}", photo.id)).await.value(200)["urls"]["thumbnail"].as_str().unwrap().to_owned();
    let hex = |text: &Value| {
        text.as_str()
            .unwrap()
            .as_bytes()
            .chunks(2)
            .map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap())
            .collect::<Vec<_>>()
    };
    let path = format!("/rs:fit:30:30/plain/{}@jpg", photo.hash);

    let before = made_here().await;
    let old = site.admin.get(&keys).await.value(200)["items"][0]["id"].as_str().unwrap().to_owned();
    let new = site.admin.post(&keys, Value::Null).await.value(201);
    assert_eq!(new["signs"], false);
    let (id, theirs) = (new["id"].as_str().unwrap(), url(&(hex(&new["key"]), hex(&new["salt"])), &path));
    // The web tier may sign with it at once; the site goes on as before.
    for url in [&theirs, &before] {
        site.nobody().get(url).await.bytes(200);
    }
    assert_eq!(made_here().await, before);
    site.admin.delete(&format!("{keys}/{old}")).await.refused(409, "key_in_use");

    site.admin.patch(&format!("{keys}/{id}"), json!({ "signs": false })).await.refused(400, "invalid");
    for _ in 0..2 {
        assert_eq!(site.admin.patch(&format!("{keys}/{id}"), json!({ "signs": true })).await.value(200)["signs"], true);
    }
    let after = made_here().await;
    assert_ne!(after, before);
    for url in [&theirs, &before, &after] {
        site.nobody().get(url).await.bytes(200);
    }

    assert_eq!(site.admin.delete(&format!("{keys}/{old}")).await.status, 204);
    site.nobody().get(&before).await.refused(403, "bad_signature");
    for url in [&theirs, &after] {
        site.nobody().get(url).await.bytes(200);
    }
    // And so it stays.
    let site = site.restart().await;
    site.nobody().get(&before).await.refused(403, "bad_signature");
    site.nobody().get(&after).await.bytes(200);

    site.admin.delete(&format!("{keys}/{old}")).await.refused(404, "not_found");
    site.admin.delete(&format!("{keys}/no-key")).await.refused(404, "not_found");
    site.admin.delete(&format!("{keys}/{id}")).await.refused(409, "key_in_use");
    for _ in 0..3 {
        site.admin.post(&keys, Value::Null).await.value(201);
    }
    site.admin.post(&keys, Value::Null).await.refused(409, "too_many_keys");
    assert_eq!(site.admin.get(&keys).await.value(200)["items"].as_array().unwrap().len(), 4);
}
