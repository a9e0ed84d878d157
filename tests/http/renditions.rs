//! Renditions: of the right size, the right way up, without what the photo says of its maker, made once.

use futures_util::future::join_all;
use halidom::api::Photo;
use image::RgbImage;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::answer::answer;
use super::photos::{decoded, fixture, fixtures, small};
use super::site::{Caller, Site, until};

/// The URL that the server signs.
async fn signed(caller: &Caller, request: Value) -> String {
    caller.post("/v1/urls", request).await.value(200)["url"].as_str().unwrap().to_owned()
}

async fn one_photo(file: &str) -> (Site, Photo) {
    let site = Site::start().await;
    let album = site.admin.album("Album").await;
    let photo = site.admin.uploaded(&album, file, &fixture(file)).await;
    (site, photo)
}

/// How far two pictures of the same size are apart in the mean, in steps of 256.
fn difference(a: &RgbImage, b: &RgbImage) -> f64 {
    assert_eq!(a.dimensions(), b.dimensions());
    let sum: u64 = a.as_raw().iter().zip(b.as_raw()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum as f64 / a.as_raw().len() as f64
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sizes_formats_and_qualities() {
    // 1,024 x 768.
    let (site, photo) = one_photo("raccoon.jpg").await;
    let hash = photo.hash;
    for (request, size, kind, magic) in [
        (json!({ "hash": hash, "width": 200 }), (200, 150), "image/jpeg", b"\xff\xd8\xff".as_slice()),
        (json!({ "hash": hash, "height": 150, "format": "jpg" }), (200, 150), "image/jpeg", b"\xff\xd8\xff"),
        (json!({ "hash": hash, "width": 200, "height": 200, "format": "webp" }), (200, 150), "image/webp", b"RIFF"),
        (json!({ "hash": hash, "width": 200, "height": 100, "format": "png" }), (133, 100), "image/png", b"\x89PNG"),
        (json!({ "hash": hash, "width": 2000 }), (1024, 768), "image/jpeg", b"\xff\xd8\xff"),
        (json!({ "hash": hash, "width": 1, "height": 1 }), (1, 1), "image/jpeg", b"\xff\xd8\xff"),
    ] {
        let got = site.nobody().get(&signed(&site.admin, request.clone()).await).await;
        let image = decoded(got.bytes(200));
        assert_eq!((image.dimensions(), got.field("content-type")), (size, kind), "{request}");
        assert!(got.body.starts_with(magic));
        assert_eq!(got.field("content-length"), got.body.len().to_string());
    }
    let mut sizes = vec![];
    for quality in [20, 80, 100] {
        let url = signed(&site.admin, json!({ "hash": hash, "width": 300, "quality": quality })).await;
        sizes.push(site.nobody().get(&url).await.bytes(200).len());
    }
    assert!(sizes.is_sorted() && sizes[0] * 2 < sizes[2], "quality is worth bytes: {sizes:?}");
    for (field, value) in [("width", json!(2_049)), ("quality", json!(0)), ("quality", json!(101)), ("format", json!("bmp"))] {
        let refused = site.admin.post("/v1/urls", json!({ "hash": hash, field: value })).await;
        assert_eq!(refused.refused(400, "invalid").status, 400, "{field}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_can_choose_among_sizes_that_are_what_they_say() {
    let site = Site::start().await;
    let album = site.admin.album("Album").await;
    let turned = fixtures().into_iter().find(|fixture| fixture.fact("orientation") == "6").expect("a photo that is turned");
    for (bytes, count) in [(fixture("raccoon.jpg"), 4), (turned.bytes, 3), (small(1), 1)] {
        let photo = site.admin.uploaded(&album, "a.jpg", &bytes).await;
        let sizes: Vec<_> = photo.urls.srcset.split(", ").map(|size| size.split_once(' ').unwrap()).collect();
        assert_eq!(sizes.len(), count, "{sizes:?}");
        let mut widest = 0;
        for (url, width) in &sizes {
            let width: u32 = width.strip_suffix('w').unwrap().parse().unwrap();
            assert_eq!(decoded(site.nobody().get(url).await.bytes(200)).width(), width, "{url}");
            assert!(width > widest, "{sizes:?}");
            widest = width;
        }
        assert_eq!(widest, photo.width, "no photo here is too large for the largest");
        assert!(count == 1 || sizes.iter().any(|(url, _)| *url == photo.urls.thumbnail), "{sizes:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_eight_orientations_show_the_same_picture() {
    let site = Site::start().await;
    let album = site.admin.album("Turned").await;
    let mut shown: Vec<RgbImage> = vec![];
    for orientation in 1..=8 {
        let file = format!("orientation-{orientation}.jpg");
        let bytes = fixture(&file);
        let photo = site.admin.uploaded(&album, &file, &bytes).await;
        assert_eq!((photo.width, photo.height), (480, 320), "{file}: as shown");
        let stored = decoded(&bytes).dimensions();
        assert_eq!(stored, if orientation < 5 { (480, 320) } else { (320, 480) }, "{file} is turned in its file");
        for format in ["jpg", "webp", "png"] {
            let url = signed(&site.admin, json!({ "hash": photo.hash, "width": 120, "format": format })).await;
            let image = decoded(site.nobody().get(&url).await.bytes(200));
            assert_eq!(image.dimensions(), (120, 80), "{file} as {format}");
            shown.push(image);
        }
    }
    let first = shown[0].clone();
    for (number, image) in shown.iter().enumerate() {
        let mean = difference(&first, image);
        // Coding and scaling cost 1 to 3; a wrong turn costs the picture.
        assert!(mean < 6.0, "orientation {}, format {}: {mean:.1} apart in the mean", number / 3 + 1, number % 3);
    }
    let turned = image::imageops::rotate180(&first);
    assert!(difference(&first, &turned) > 20.0, "a wrong turn would be seen");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_the_metadata_goes_out() {
    let site = Site::start().await;
    let album = site.admin.album("Private").await;
    let mut looked_at = 0;
    for fixture in fixtures().iter().filter(|fixture| !fixture.fact("latitude").is_empty()) {
        let words =
            [fixture.fact("camera_make"), fixture.fact("camera_model"), "Exif", "eXIf", "EXIF", "http://ns.adobe.com", "GPS", "Photoshop"];
        let holds = |bytes: &[u8], word: &str| bytes.windows(word.len()).any(|window| window == word.as_bytes());
        assert!(holds(&fixture.bytes, words[0]), "{}: the photo says it", fixture.name);
        let photo = site.admin.uploaded(&album, &fixture.name, &fixture.bytes).await;
        for format in ["jpg", "webp", "png"] {
            // Also at full size, where nothing would have to be resized.
            for width in [100, 2_000] {
                let url = signed(&site.admin, json!({ "hash": photo.hash, "width": width, "format": format })).await;
                let image = site.nobody().get(&url).await;
                let found: Vec<_> = words.iter().filter(|word| holds(image.bytes(200), word)).collect();
                assert!(found.is_empty(), "{} as {format}: {found:?}", fixture.name);
            }
        }
        looked_at += 1;
    }
    assert!(looked_at >= 5, "only {looked_at} fixtures have a position");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_who_ask_at_once_wait_for_one_render() {
    let (site, photo) = one_photo("retina.jpg").await;
    let renders = || site.metric("halidom_renditions_total{outcome=\"rendered\"}");
    let nobody = site.nobody();
    for (round, format) in ["jpg", "webp", "png"].into_iter().enumerate() {
        let url = signed(&site.admin, json!({ "hash": photo.hash, "width": 700, "format": format })).await;
        let answers = join_all((0..12).map(|_| nobody.get(&url))).await;
        let first = answers[0].bytes(200);
        assert!(answers.iter().all(|answer| answer.bytes(200) == first));
        assert_eq!(renders().await, round as f64 + 1.0, "{format}");
    }
    let url = signed(&site.admin, json!({ "hash": photo.hash, "width": 700, "format": "jpg" })).await;
    nobody.get(&url).await.bytes(200);
    assert_eq!(renders().await, 3.0, "it lies in the cache");
    assert_eq!(site.metric("halidom_render_duration_seconds_count").await, 3.0);
    assert!(site.metric("halidom_rendition_cache_bytes").await > 0.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_format_the_client_chooses() {
    let (site, photo) = one_photo("clock.jpg").await;
    let url = signed(&site.admin, json!({ "hash": photo.hash, "width": 50 })).await;
    // The server names a format in what it signs, and what the URL names goes over what the client likes.
    let jpeg = site.nobody().get_with(&url, &[("accept", "image/webp")]).await;
    assert_eq!((jpeg.status, jpeg.field("content-type"), jpeg.field("vary")), (200, "image/jpeg", ""));
    let (site, key) = site.with_signing_key(halidom::model::TenantId::DEFAULT).await;
    let url = super::signatures::url(&key, &format!("/w:50/plain/{}", photo.hash));
    for (accept, kind) in [
        ("image/webp,image/apng,*/*;q=0.8", "image/webp"),
        ("image/avif;q=0.5,image/webp,*/*;q=0.1", "image/webp"),
        ("*/*", "image/jpeg"),
        ("image/*", "image/jpeg"),
        ("image/png, image/jpeg;q=0.5", "image/png"),
        ("image/webp;q=0", "image/jpeg"),
    ] {
        let got = site.nobody().get_with(&url, &[("accept", accept)]).await;
        assert_eq!((got.status, got.field("content-type"), got.field("vary")), (200, kind, "accept"), "{accept}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_accepts_avif_gets_the_next_best_until_it_is_made() {
    let (site, photo) = one_photo("clock.jpg").await;
    let (site, key) = site.with_signing_key(halidom::model::TenantId::DEFAULT).await;
    let url = super::signatures::url(&key, &format!("/w:50/plain/{}", photo.hash));
    let nobody = site.nobody();
    let ask = async |accept: &str| nobody.get_with(&url, &[("accept", accept)]).await;
    let browser = "image/avif,image/webp,image/apng,*/*;q=0.8";
    let early = answer(nobody.call(Method::HEAD, &url).header("accept", browser)).await;
    assert_eq!((early.status, early.field("content-type"), early.field("cache-control")), (200, "image/webp", "public, max-age=30"));
    assert_eq!(site.metric("halidom_queue_waiting{queue=\"slow_renders\"}").await, 0.0, "HEAD begins nothing");
    let first = ask(browser).await;
    assert_eq!((first.status, first.field("content-type"), first.field("cache-control")), (200, "image/webp", "public, max-age=30"));
    until("the AVIF is made", || async { ask(browser).await.field("content-type") == "image/avif" }).await;
    let best = ask(browser).await;
    assert_eq!(&best.bytes(200)[4..12], b"ftypavif");
    assert_eq!((best.field("cache-control"), best.field("vary")), ("public, max-age=31536000, immutable", "accept"));
    assert_ne!(best.field("etag"), first.field("etag"));
    // The others are what they were.
    let webp = ask("image/webp").await;
    assert_eq!((webp.field("content-type"), webp.field("etag")), ("image/webp", first.field("etag")));
    assert_eq!(webp.field("cache-control"), "public, max-age=31536000, immutable");
    // Who has the AVIF need not get the WebP where the AVIF has left the cache.
    let fresh = site.restart().await;
    let unchanged = fresh.nobody().get_with(&url, &[("accept", browser), ("if-none-match", best.field("etag"))]).await;
    assert_eq!((unchanged.status, unchanged.field("etag"), unchanged.field("vary")), (304, best.field("etag"), "accept"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_waits_for_any_more_is_not_rendered() {
    let site = Site::start_with(|config| config.renditions.queue_limit = 256).await;
    let album = site.admin.album("Album").await;
    let photo = site.admin.uploaded(&album, "raccoon.jpg", &fixture("raccoon.jpg")).await;
    let (site, key) = site.with_signing_key(halidom::model::TenantId::DEFAULT).await;
    let queued = async || {
        site.metric("halidom_queue_running{queue=\"slow_renders\"}").await
            + site.metric("halidom_queue_waiting{queue=\"slow_renders\"}").await
    };
    let mut clients = vec![];
    for width in 500..512 {
        let url = super::signatures::url(&key, &format!("/w:{width}/plain/{}@avif", photo.hash));
        let mut client = TcpStream::connect(site.nobody().base.strip_prefix("http://").unwrap()).await.unwrap();
        client.write_all(format!("GET {url} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).await.unwrap();
        clients.push(client);
    }
    until("all are queued", || async { queued().await == 12.0 }).await;
    drop(clients);
    until("none is left", || async { queued().await == 0.0 }).await;
    let rendered = site.metric("halidom_render_duration_seconds_count").await;
    assert!(rendered < 12.0, "{rendered} were rendered for nobody");
    assert!(site.metric("halidom_renditions_refused_total{reason=\"client_gone\"}").await >= 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_may_leave_avif_to_who_names_it() {
    let site = Site::start_with(|config| config.renditions.avif_by_accept = false).await;
    let album = site.admin.album("Album").await;
    let photo = site.admin.uploaded(&album, "clock.jpg", &fixture("clock.jpg")).await;
    let (site, key) = site.with_signing_key(halidom::model::TenantId::DEFAULT).await;
    let url = |options: &str| super::signatures::url(&key, &format!("/w:50{options}/plain/{}", photo.hash));
    let ask = async |url: &str| site.nobody().get_with(url, &[("accept", "image/avif,image/webp,*/*;q=0.8")]).await;
    let webp = ask(&url("")).await;
    assert_eq!((webp.field("content-type"), webp.field("cache-control")), ("image/webp", "public, max-age=31536000, immutable"));
    assert_eq!(ask(&url("/f:avif")).await.field("content-type"), "image/avif");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn renditions_are_kept_for_long_and_asked_for_in_parts() {
    let (site, photo) = one_photo("clock.jpg").await;
    let nobody = site.nobody();
    let url = &photo.urls.thumbnail;
    // Whoever asks only what it is has nothing made.
    let early = answer(nobody.call(Method::HEAD, url)).await;
    assert_eq!((early.status, early.field("content-type"), early.fields.contains_key("content-length")), (200, "image/jpeg", false));
    assert_eq!(site.metric("halidom_renditions_total{outcome=\"rendered\"}").await, 0.0);
    let got = nobody.get(url).await;
    assert_eq!(site.metric("halidom_renditions_total{outcome=\"rendered\"}").await, 1.0);
    let bytes = got.bytes(200);
    for (field, value) in [
        ("cache-control", "public, max-age=31536000, immutable"),
        ("access-control-allow-origin", "*"),
        ("cross-origin-resource-policy", "cross-origin"),
        ("accept-ranges", "bytes"),
    ] {
        assert_eq!(got.field(field), value, "{field}");
    }
    let tag = got.field("etag");
    assert!(tag.starts_with('"') && tag.len() > 20, "a strong tag: {tag}");
    let unchanged = nobody.get_with(url, &[("if-none-match", tag)]).await;
    assert_eq!((unchanged.status, unchanged.field("etag"), early.field("etag")), (304, tag, tag));
    let refused = nobody.get(&url.replace("/i/", "/i/x")).await;
    refused.refused(403, "bad_signature");
    for (answer, vary) in [(&got, ""), (&early, ""), (&unchanged, ""), (&refused, "accept")] {
        assert_eq!((answer.field("vary"), answer.field("access-control-allow-origin")), (vary, "*"), "{answer:?}");
    }
    nobody.get_with(url, &[("if-match", "\"a\"")]).await.refused(412, "precondition_failed");
    let part = nobody.get_with(url, &[("range", "bytes=10-19")]).await;
    assert_eq!((part.bytes(206), part.field("content-range")), (&bytes[10..20], format!("bytes 10-19/{}", bytes.len()).as_str()));
    nobody.get_with(url, &[("range", "bytes=9999999-")]).await.refused(416, "range_not_satisfiable");
    let head = answer(nobody.call(Method::HEAD, url)).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert!(!head.fields.contains_key("content-length"), "it would tell what lies in the cache");

    // Not in the cache of another recipe, nor in that of another photo.
    let preview = nobody.get(&photo.urls.preview).await;
    assert_ne!(preview.field("etag"), tag);
    let album = site.admin.album("Other").await;
    let other = site.admin.uploaded(&album, "other.jpg", &small(1)).await;
    assert_ne!(nobody.get(&other.urls.thumbnail).await.field("etag"), tag);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_any_origin_may_ask_with_conditions_and_read_all_that_is_said() {
    let (site, photo) = one_photo("clock.jpg").await;
    let (nobody, url) = (site.nobody(), &photo.urls.thumbnail);
    // `If-None-Match` is none of the fields that a page may send unasked.
    for url in [url, &url.replace("/i/", "/i/x")] {
        let request = nobody.call(Method::OPTIONS, url).header("origin", "https://shop.example");
        let request = request.header("access-control-request-method", "GET").header("access-control-request-headers", "if-none-match");
        let preflight = answer(request).await;
        assert_eq!((preflight.status, preflight.body.len()), (204, 0));
        assert_eq!((preflight.field("access-control-allow-origin"), preflight.field("access-control-allow-headers")), ("*", "*"));
        assert!(preflight.field("access-control-allow-methods").contains("GET"));
    }
    let rendered = nobody.get(url).await;
    let cached = nobody.get(url).await;
    let again = nobody.get(url).await;
    assert_eq!(site.metric("halidom_renditions_total{outcome=\"hot\"}").await, 1.0);
    let unchanged = nobody.get_with(url, &[("if-none-match", rendered.field("etag"))]).await;
    let failed = nobody.get_with(url, &[("if-match", "\"a\"")]).await;
    let refused = nobody.get(&url.replace("/i/", "/i/x")).await;
    let posted = answer(nobody.call(Method::POST, url)).await;
    let answers = [rendered, cached, again, unchanged, failed, refused, posted];
    assert_eq!(answers.each_ref().map(|answer| answer.status), [200, 200, 200, 304, 412, 403, 405]);
    for answer in &answers {
        assert_eq!((answer.field("access-control-allow-origin"), answer.field("access-control-expose-headers")), ("*", "*"), "{answer:?}");
        assert_eq!(answer.field("cross-origin-resource-policy"), "cross-origin");
    }
}
