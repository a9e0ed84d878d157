//! What a tenant says of its rendition URLs: presets, whether they may say anything else, and how long caches keep them.

use std::time::Duration;

use halidom::api::{CreatedToken, Photo, Tenant, User};
use halidom::model::TenantId;
use reqwest::Method;
use serde_json::{Value, json};

use super::answer::answer;
use super::photos::{decoded, fixture, small};
use super::signatures::{Key, url};
use super::site::{Caller, Site};

/// A site whose default tenant has one photo (600 × 400), with the key that signs its URLs.
async fn signed_site() -> (Site, Photo, Key) {
    let site = Site::start().await;
    let album = site.admin.album("Album").await;
    let photo = site.admin.uploaded(&album, "coffee.webp", &fixture("coffee.webp")).await;
    let (site, key) = site.with_signing_key(TenantId::DEFAULT).await;
    (site, photo, key)
}

fn path() -> String {
    format!("/v1/admin/tenants/{}", TenantId::DEFAULT)
}

/// Sets something of the default tenant's renditions; answers all of it.
async fn set(site: &Site, renditions: Value) -> Value {
    site.admin.patch(&path(), json!({ "renditions": renditions })).await.value(200)["renditions"].clone()
}

async fn size(caller: &Caller, url: &str) -> (u32, u32) {
    decoded(caller.get(url).await.bytes(200)).dimensions()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_is_shown_and_edited() {
    let site = Site::start().await;
    let before = site.admin.get(&path()).await.value(200);
    let as_ever = json!({ "presets": {}, "presets_only": false, "max_age_seconds": 31_536_000 });
    assert_eq!((&before["name"], &before["renditions"]), (&json!("default"), &as_ever));
    assert_eq!(site.admin.patch(&path(), json!({})).await.value(200), before);
    assert_eq!(set(&site, json!({})).await, as_ever);

    set(&site, json!({ "presets": { "thumb": "rs:fill:320:320/g:sm", "sharp": "q:95" } })).await;
    set(&site, json!({ "max_age_seconds": 0 })).await;
    // What is not named stays; null takes away; what is not there is away already.
    let edited = set(&site, json!({ "presets": { "sharp": null, "never": null, "small": "w:9" }, "presets_only": true })).await;
    let expected = json!({ "presets": { "small": "w:9", "thumb": "rs:fill:320:320/g:sm" }, "presets_only": true, "max_age_seconds": 0 });
    assert_eq!(edited, expected);

    for (renditions, words) in [
        (json!({ "presets": { "a b": "w:5" } }), "name is 1 to 64"),
        (json!({ "presets": { "halidom-320": "w:5" } }), "no preset can be called"),
        (json!({ "presets": { "good": "w:5", "bad": "w:wide" } }), "the preset \"bad\": w takes a width"),
        (json!({ "presets": { "a": "pr:thumb" } }), "only a URL can"),
        (json!({ "presets": { "default": "w:20000" } }), "the preset \"default\": 20000 pixels are more than"),
        (json!({ "presets": { "twice": "w:5000/dpr:2" } }), "the preset \"twice\": 10000 pixels are more than"),
        (json!({ "presets": { "a": format!("cb:{}", "x".repeat(510)) } }), "more than 512 bytes"),
        (json!({ "presets": (0..65).map(|n| (format!("p{n}"), json!("w:5"))).collect::<serde_json::Map<_, _>>() }), "at most 64 presets"),
        (json!({ "max_age_seconds": 31_536_001 }), "0 to 31536000 seconds"),
    ] {
        let problem = site.admin.patch(&path(), json!({ "renditions": renditions })).await.refused(400, "invalid");
        assert!(problem.detail.as_deref().is_some_and(|detail| detail.contains(words)), "{renditions}: {problem:?}");
    }
    for malformed in
        [json!({ "name": "other" }), json!({ "renditions": { "preset": {} } }), json!({ "renditions": { "max_age_seconds": -1 } })]
    {
        assert_eq!(site.admin.patch(&path(), malformed.clone()).await.status, 400, "{malformed}");
    }
    assert_eq!(site.admin.get(&path()).await.value(200)["renditions"], expected, "what was refused changed nothing");
    site.admin
        .patch(&format!("/v1/admin/tenants/{}", "0192e4a0-0000-7000-8000-000000000000"), json!({ "renditions": {} }))
        .await
        .refused(404, "not_found");
    let site = site.restart().await;
    assert_eq!(site.admin.get(&path()).await.value(200)["renditions"], expected, "and so it stays");
    let audit = site.admin.get("/v1/admin/audit").await.value(200);
    let noted = audit["items"].as_array().unwrap().iter().filter(|record| record["action"] == "tenant.renditions").count();
    assert_eq!(noted, 4, "each change is noted: {audit}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn urls_ask_for_presets_and_a_changed_one_holds_at_once() {
    let (site, photo, key) = signed_site().await;
    let (nobody, hash) = (site.nobody(), photo.hash);
    let thumb = url(&key, &format!("/pr:thumb/plain/{hash}@jpg"));
    let problem = nobody.get(&thumb).await.refused(400, "invalid");
    assert!(problem.detail.as_deref().is_some_and(|detail| detail.contains("there is no preset \"thumb\"")), "{problem:?}");

    set(&site, json!({ "presets": { "thumb": "rs:fill:60:60", "wide": "rs:fill:90:30" } })).await;
    assert_eq!(size(&nobody, &thumb).await, (60, 60));
    assert_eq!(size(&nobody, &url(&key, &format!("/pr:thumb/h:30/plain/{hash}@jpg"))).await, (60, 30));
    assert_eq!(size(&nobody, &url(&key, &format!("/h:99/pr:thumb:wide/plain/{hash}@jpg"))).await, (90, 30));
    let first = nobody.get(&thumb).await;
    let tag = first.field("etag").to_owned();
    assert_eq!(nobody.get_with(&thumb, &[("if-none-match", &tag)]).await.status, 304);
    // The same as options: the same bytes, the same entry of the cache.
    assert_eq!(nobody.get(&url(&key, &format!("/rs:fill:60:60/plain/{hash}@jpg"))).await.field("etag"), tag);

    set(&site, json!({ "presets": { "thumb": "rs:fill:30:60" } })).await;
    let changed = nobody.get_with(&thumb, &[("if-none-match", &tag)]).await;
    assert_eq!(decoded(changed.bytes(200)).dimensions(), (30, 60));
    assert_ne!(changed.field("etag"), tag);
    set(&site, json!({ "presets": { "thumb": null } })).await;
    nobody.get(&thumb).await.refused(400, "invalid");

    // A default has its say first, wherever options are read.
    let bare = url(&key, &format!("/w:60/plain/{hash}@jpg"));
    assert_eq!(size(&nobody, &bare).await, (60, 40));
    set(&site, json!({ "presets": { "default": "rs:fill:0:60/dpr:2" } })).await;
    assert_eq!(size(&nobody, &bare).await, (120, 120));
    assert_eq!(size(&nobody, &url(&key, &format!("/pr:wide/dpr:1/plain/{hash}@jpg"))).await, (90, 30));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_presets_only_are_taken_other_urls_are_refused() {
    let (site, photo, key) = signed_site().await;
    let (nobody, hash) = (site.nobody(), photo.hash);
    let options = [format!("/w:60/plain/{hash}@jpg"), format!("/pr:thumb/q:50/plain/{hash}@jpg"), format!("/plain/{hash}@jpg")];
    let names = [
        format!("/thumb/plain/{hash}@jpg"),
        format!("/thumb:sharp/plain/{hash}@png"),
        format!("/pr:thumb/exp:4102444800/cb:7/plain/{hash}"),
    ];
    set(&site, json!({ "presets": { "thumb": "rs:fill:60:60", "sharp": "q:95" } })).await;
    for path in &options {
        nobody.get(&url(&key, path)).await.bytes(200);
    }
    nobody.get(&url(&key, &names[0])).await.refused(400, "invalid");
    set(&site, json!({ "presets_only": true })).await;
    for path in &names {
        assert_eq!(size(&nobody, &url(&key, path)).await, (60, 60), "{path}");
    }
    for path in &options {
        let problem = nobody.get(&url(&key, path)).await.refused(400, "invalid");
        assert!(problem.detail.as_deref().is_some_and(|detail| detail.contains("preset")), "{path}: {problem:?}");
    }
    // A bad signature is refused before anything is looked at.
    let wrong = ([7; 32].to_vec(), key.1.clone());
    nobody.get(&url(&wrong, &options[0])).await.refused(403, "bad_signature");
    set(&site, json!({ "presets_only": false })).await;
    nobody.get(&url(&key, &options[0])).await.bytes(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_server_signs_is_served_whatever_a_tenant_says() {
    let (site, before, _) = signed_site().await;
    let nobody = site.nobody();
    let shown = async || site.admin.get(&format!("/v1/photos/{}", before.id)).await.json::<Photo>(200);
    let ask = async |request: Value| {
        let mut request = request;
        request["hash"] = json!(before.hash);
        site.admin.post("/v1/urls", request).await
    };
    assert!(before.urls.thumbnail.contains("/rs:fit:320:320/"), "as ever, while a tenant says nothing: {:?}", before.urls);
    for (renditions, by_name) in [
        (json!({ "presets": { "default": "rs:force:7:7/dpr:3/el:1", "thumb": "rs:fill:60:60/f:webp" } }), true),
        (json!({ "presets_only": true }), true),
        (json!({ "presets": { "default": null } }), true),
        (json!({ "presets_only": false }), false),
    ] {
        set(&site, renditions.clone()).await;
        let urls = shown().await.urls;
        assert_eq!(urls.thumbnail.contains("/pr:halidom-320/"), by_name, "{renditions}: {}", urls.thumbnail);
        assert_eq!(size(&nobody, &urls.thumbnail).await, (320, 213), "{renditions}");
        for part in urls.srcset.split(", ") {
            let (url, width) = part.split_once(' ').unwrap();
            assert_eq!(format!("{}w", size(&nobody, url).await.0), width, "{renditions}: {url}");
        }
        // What it signed before is in pages.
        let is_default = renditions["presets"]["default"].is_string();
        assert!(is_default || size(&nobody, &before.urls.preview).await == (600, 400), "{renditions}");
        // With a preset named.
        let named = ask(json!({ "preset": "thumb", "expires": site.clock.unix_ms() / 1_000 + 60 })).await.value(200)["url"]
            .as_str()
            .unwrap()
            .to_owned();
        let got = nobody.get(&named).await;
        assert_eq!((decoded(got.bytes(200)).width() % 60, got.field("content-type")), (0, "image/webp"), "{named}");
        let square = ask(json!({ "width": 160, "height": 160 })).await.value(200)["url"].as_str().unwrap().to_owned();
        assert_eq!(nobody.get(&square).await.status, 200);
    }
    let free = ask(json!({ "preset": "thumb", "width": 30, "format": "png" })).await.value(200)["url"].as_str().unwrap().to_owned();
    assert_eq!(size(&nobody, &free).await, (30, 60));
    for preset in ["other", "", "thumb/w:5", "../x"] {
        ask(json!({ "preset": preset })).await.refused(400, "invalid");
    }
    // No URL is signed that would then be refused.
    set(&site, json!({ "presets_only": true })).await;
    for request in [json!({ "width": 640 }), json!({ "preset": "thumb", "quality": 5 }), json!({})] {
        let problem = ask(request.clone()).await.refused(400, "invalid");
        assert!(problem.detail.as_deref().is_some_and(|detail| detail.contains("preset")), "{request}: {problem:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_presets_only_are_taken_no_iiif_image_is_signed() {
    let (site, before, _) = signed_site().await;
    let shown = async || site.admin.get(&format!("/v1/photos/{}", before.id)).await.value(200)["urls"].clone();
    let sign = async || site.admin.post("/v1/urls", json!({ "hash": before.hash, "iiif": true })).await;
    assert!(shown().await["iiif"].is_string());
    sign().await.value(200);
    set(&site, json!({ "presets_only": true })).await;
    assert_eq!(shown().await.get("iiif"), None);
    let problem = sign().await.refused(400, "invalid");
    assert!(problem.detail.as_deref().is_some_and(|detail| detail.contains("presets only")), "{problem:?}");
    site.nobody().get(&format!("{}/info.json", before.urls.iiif)).await.refused(403, "bad_signature");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn presets_are_their_tenants_own() {
    let site = Site::start().await;
    let tenant: Tenant = site.admin.post("/v1/admin/tenants", json!({ "name": "other" })).await.json(201);
    let user: User = site.admin.post("/v1/admin/users", json!({ "name": "eve", "tenant": tenant.id })).await.json(201);
    let request = json!({ "user": user.id, "tenant": tenant.id, "scopes": ["user", "read", "tenant"] });
    let token: CreatedToken = site.admin.post("/v1/admin/tokens", request).await.json(201);
    let eve = site.with_token(Some(&token.token));
    let (ours, theirs) = (
        site.admin.uploaded(&site.admin.album("Album").await, "ours.jpg", &small(1)).await,
        eve.uploaded(&eve.album("Album").await, "theirs.jpg", &small(2)).await,
    );
    set(&site, json!({ "presets": { "thumb": "w:6" }, "presets_only": true, "max_age_seconds": 60 })).await;
    let (site, our_key) = site.with_signing_key(TenantId::DEFAULT).await;
    let (site, their_key) = site.with_signing_key(tenant.id).await;
    let (nobody, eve) = (site.nobody(), site.with_token(Some(&token.token)));
    let thumb = |photo: &Photo| format!("/pr:thumb/plain/{}@png", photo.hash);
    let mine = nobody.get(&url(&our_key, &thumb(&ours))).await;
    assert_eq!((decoded(mine.bytes(200)).width(), mine.field("cache-control")), (6, "public, max-age=60"));
    nobody.get(&url(&their_key, &thumb(&theirs))).await.refused(400, "invalid");
    let free = nobody.get(&url(&their_key, &format!("/w:5/plain/{}@png", theirs.hash))).await;
    assert_eq!((free.status, free.field("cache-control")), (200, "public, max-age=31536000, immutable"));
    // Eve rules over her tenant, and over no other.
    let own = format!("/v1/admin/tenants/{}", tenant.id);
    assert_eq!(eve.get(&own).await.value(200)["renditions"]["presets"], json!({}));
    eve.patch(&own, json!({ "renditions": { "presets": { "thumb": "w:4" } } })).await.value(200);
    assert_eq!(size(&nobody, &url(&their_key, &thumb(&theirs))).await.0, 4);
    assert_eq!(size(&nobody, &url(&our_key, &thumb(&ours))).await.0, 6);
    eve.patch(&path(), json!({ "renditions": { "presets_only": false } })).await.refused(403, "forbidden");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caches_are_told_how_long_a_tenant_wants() {
    let (site, photo, key) = signed_site().await;
    let (nobody, hash) = (site.nobody(), photo.hash);
    let said = async |options: &str| {
        let url = url(&key, &format!("{options}/plain/{hash}@jpg"));
        let got = nobody.get(&url).await;
        assert_eq!(got.status, 200, "{options}");
        let head = answer(nobody.call(Method::HEAD, &url)).await;
        let unchanged = nobody.get_with(&url, &[("if-none-match", got.field("etag"))]).await;
        assert_eq!(unchanged.status, 304);
        for other in [&head, &unchanged] {
            assert_eq!(other.field("cache-control"), got.field("cache-control"), "{options}");
        }
        got.field("cache-control").to_owned()
    };
    let start = site.clock.unix_ms() / 1_000;
    let at = |seconds: u64| format!("/w:30/exp:{}", start + seconds);
    assert_eq!(said("/w:30").await, "public, max-age=31536000, immutable");
    assert_eq!(said(&at(90)).await, "public, max-age=90, immutable", "no cache shows it longer than it holds");
    set(&site, json!({ "presets": { "thumb": "w:30" }, "max_age_seconds": 3_600 })).await;
    assert_eq!(said("/w:30").await, "public, max-age=3600, immutable");
    assert_eq!(said("/pr:thumb").await, "public, max-age=3600", "a preset may be changed");
    assert_eq!(said("/pr:halidom-160").await, "public, max-age=3600, immutable");
    assert_eq!(
        (said(&at(90)).await, said(&at(7_200)).await),
        ("public, max-age=90, immutable".into(), "public, max-age=3600, immutable".into())
    );
    site.clock.advance(Duration::from_millis(80_500));
    assert_eq!(said(&at(90)).await, "public, max-age=9, immutable");
    site.clock.advance(Duration::from_secs(9));
    assert_eq!(said(&at(90)).await, "no-cache", "half a second is left");
    set(&site, json!({ "max_age_seconds": 0 })).await;
    assert_eq!((said("/w:30").await, said("/pr:thumb").await), ("no-cache".into(), "no-cache".into()));
    for (path, status) in [(format!("/w:wide/plain/{hash}@jpg"), 400), (format!("/w:3/exp:1/plain/{hash}@jpg"), 403)] {
        let refused = nobody.get(&url(&key, &path)).await;
        assert_eq!((refused.status, refused.field("cache-control")), (status, "no-store"));
    }
}
