//! IIIF Image API 3.0: parts, sizes, turns and qualities are what they say, and nobody sees what its identifier does not sign.

use std::io::Cursor;

use halidom::api::{CreatedToken, Photo, Tenant, User};
use halidom::model::{BlobHash, TenantId};
use hmac::{Hmac, KeyInit as _, Mac as _};
use image::{ImageFormat, Rgb, RgbImage};
use reqwest::Method;
use reqwest::redirect::Policy;
use serde_json::{Value, json};
use sha2::Sha256;

use super::answer::{Answer, answer};
use super::photos::{decoded, fixture, small};
use super::signatures::{Key, url};
use super::site::{Caller, Site};

const CONTEXT: &str = "http://iiif.io/api/image/3/context.json";

/// Six squares of 100 pixels, three a row, each of a colour of its own.
const COLOURS: [[u8; 3]; 6] = [[230, 20, 20], [20, 200, 20], [20, 20, 230], [240, 240, 30], [20, 220, 220], [220, 30, 220]];

fn squares() -> Vec<u8> {
    let picture = RgbImage::from_fn(300, 200, |x, y| Rgb(COLOURS[(x / 100 + y / 100 * 3) as usize]));
    let mut out = Cursor::new(vec![]);
    picture.write_to(&mut out, ImageFormat::Png).unwrap();
    out.into_inner()
}

async fn one_photo(bytes: &[u8]) -> (Site, Photo) {
    let site = Site::start().await;
    let album = site.admin.album("Album").await;
    let photo = site.admin.uploaded(&album, "photo", bytes).await;
    (site, photo)
}

/// A client that is told where to go, and does not go there.
fn staying(caller: &Caller) -> Caller {
    caller.through(reqwest::Client::builder().redirect(Policy::none()).tls_certs_only([]).build().unwrap())
}

/// The identifier as a web tier makes it that has the tenant's key and salt.
fn identifier((key, salt): &Key, named: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(salt);
    mac.update(format!("iiif/3:{named}").as_bytes());
    let digits: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{named}_{digits}")
}

async fn image(caller: &Caller, base: &str, request: &str) -> RgbImage {
    decoded(caller.get(&format!("{base}/{request}")).await.bytes(200))
}

/// The place in [`COLOURS`] of the colour at a point; lossy formats change it a little.
fn colour_at(image: &RgbImage, x: u32, y: u32) -> usize {
    let found = image.get_pixel(x, y).0;
    let near = |colour: &[u8; 3]| colour.iter().zip(found).all(|(a, b)| a.abs_diff(b) < 12);
    COLOURS.iter().position(near).unwrap_or_else(|| panic!("{found:?} at {x}, {y}"))
}

/// How far two pictures of the same size are apart in the mean, in steps of 256.
fn difference(a: &RgbImage, b: &RgbImage) -> f64 {
    assert_eq!(a.dimensions(), b.dimensions());
    let sum: u64 = a.as_raw().iter().zip(b.as_raw()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum as f64 / a.as_raw().len() as f64
}

fn is_open_to_all(answer: &Answer) -> bool {
    (answer.field("access-control-allow-origin"), answer.field("cross-origin-resource-policy")) == ("*", "cross-origin")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_information_says_what_can_be_had() {
    let (site, photo) = one_photo(&fixture("raccoon.jpg")).await;
    let (base, nobody) = (photo.urls.iiif.clone(), site.nobody());
    assert!(base.starts_with(&format!("/iiif/3/{}_", photo.hash)), "{base}");
    let info = nobody.get(&format!("{base}/info.json")).await;
    let said: Value = serde_json::from_slice(info.bytes(200)).unwrap();
    assert_eq!(info.field("content-type"), format!("application/ld+json;profile=\"{CONTEXT}\""));
    assert!(info.body.starts_with(format!("{{\"@context\":\"{CONTEXT}\"").as_bytes()), "the context comes first");
    assert_eq!(said["id"], format!("{}{base}", site.base));
    for (field, expected) in [
        ("type", json!("ImageService3")),
        ("protocol", json!("http://iiif.io/api/image")),
        ("profile", json!("level2")),
        ("width", json!(1024)),
        ("height", json!(768)),
        ("maxWidth", json!(1024)),
        ("maxHeight", json!(768)),
        ("tiles", json!([{ "width": 1024, "scaleFactors": [1] }])),
        ("extraFormats", json!(["webp", "avif"])),
    ] {
        assert_eq!(said[field], expected, "{field}");
    }
    let sizes = said["sizes"].as_array().unwrap();
    assert_eq!(sizes.len(), 4, "{sizes:?}");
    for size in sizes {
        let (width, height) = (size["width"].as_u64().unwrap() as u32, size["height"].as_u64().unwrap() as u32);
        assert_eq!(image(&nobody, &base, &format!("full/{width},{height}/0/default.jpg")).await.dimensions(), (width, height));
    }

    for (accept, kind) in [
        ("*/*", "application/ld+json"),
        ("application/ld+json", "application/ld+json"),
        ("application/ld+json;profile=\"http://iiif.io/api/image/3/context.json\"", "application/ld+json"),
        ("application/json", "application/json"),
        ("application/ld+json;q=0.5, application/json", "application/json"),
        ("text/html", "application/ld+json"),
    ] {
        let got = nobody.get_with(&format!("{base}/info.json"), &[("accept", accept)]).await;
        assert!(got.status == 200 && got.field("content-type").starts_with(kind), "{accept}: {got:?}");
        assert_eq!((got.field("vary"), got.body.clone()), ("accept", info.body.clone()));
        assert_eq!(got.field("etag") == info.field("etag"), kind == "application/ld+json", "a tag a media type");
    }
    let unchanged = nobody.get_with(&format!("{base}/info.json"), &[("if-none-match", info.field("etag"))]).await;
    assert_eq!((unchanged.status, unchanged.body.len(), unchanged.field("etag")), (304, 0, info.field("etag")));
    let failed = nobody.get_with(&format!("{base}/info.json"), &[("if-match", "\"a\"")]).await;
    failed.refused(412, "precondition_failed");
    let forged = nobody.get(&format!("{base}0/info.json")).await;
    forged.refused(403, "bad_signature");
    for path in ["info.json", "full/max/0/default.jpg"] {
        nobody.get(&format!("{base}/{path}?x=1")).await.refused(400, "malformed");
    }
    let unknown = nobody.get("/iiif/3/x/info.json").await;
    unknown.refused(404, "not_found");
    for negotiated in [&unchanged, &failed, &forged, &unknown] {
        assert_eq!(negotiated.field("vary"), "accept", "{negotiated:?}");
    }
    let head = answer(nobody.call(Method::HEAD, &format!("{base}/info.json"))).await;
    assert_eq!((head.status, head.field("content-length")), (200, info.body.len().to_string().as_str()));
    let redirect = staying(&nobody).get(&base).await;
    assert_eq!((redirect.status, redirect.field("location")), (303, format!("{}{base}/info.json", site.base).as_str()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_sizes_and_turns_show_what_they_name() {
    let (site, photo) = one_photo(&squares()).await;
    let (base, nobody) = (photo.urls.iiif.clone(), site.nobody());
    // Size, then the colours at the middles of four quarters: top left, top right, bottom left, bottom right.
    for (request, size, colours) in [
        ("full/max/0/default.png", (300, 200), [0, 2, 3, 5]),
        ("full/max/0/color.jpg", (300, 200), [0, 2, 3, 5]),
        ("square/max/0/default.png", (200, 200), [0, 2, 3, 5]),
        ("100,0,100,100/max/0/default.png", (100, 100), [1; 4]),
        ("100,100,5000,5000/max/0/default.webp", (200, 100), [4, 5, 4, 5]),
        ("pct:0,50,100,50/max/0/default.png", (300, 100), [3, 5, 3, 5]),
        ("100,0,200,200/100,/0/default.png", (100, 100), [1, 2, 4, 5]),
        ("full/150,/0/default.png", (150, 100), [0, 2, 3, 5]),
        ("full/,50/0/default.png", (75, 50), [0, 2, 3, 5]),
        ("full/pct:25/0/default.png", (75, 50), [0, 2, 3, 5]),
        ("full/60,160/0/default.png", (60, 160), [0, 2, 3, 5]),
        ("full/!100,5000/0/default.png", (100, 67), [0, 2, 3, 5]),
        ("full/^600,/0/default.png", (600, 400), [0, 2, 3, 5]),
        ("200,100,100,100/^!400,150/0/default.png", (150, 150), [5; 4]),
        ("full/^max/0/default.jpg", (300, 200), [0, 2, 3, 5]),
        ("0,0,100,100/^max/0/default.jpg", (200, 200), [0; 4]),
        ("full/max/90/default.png", (200, 300), [3, 0, 5, 2]),
        ("full/max/180/default.jpg", (300, 200), [5, 3, 2, 0]),
        ("full/max/270/default.webp", (200, 300), [2, 5, 0, 3]),
        ("full/max/!0/default.jpg", (300, 200), [2, 0, 5, 3]),
        ("full/max/!90/default.png", (200, 300), [5, 2, 3, 0]),
        ("100,0,200,200/50,100/90/default.png", (100, 50), [4, 1, 5, 2]),
        ("full/%5E600,/%210/default.png", (600, 400), [2, 0, 5, 3]),
    ] {
        let image = image(&nobody, &base, request).await;
        assert_eq!(image.dimensions(), size, "{request}");
        let (left, right) = (size.0 / 6, size.0 - 1 - size.0 / 6);
        let (top, bottom) = (size.1 / 6, size.1 - 1 - size.1 / 6);
        let found = [(left, top), (right, top), (left, bottom), (right, bottom)].map(|(x, y)| colour_at(&image, x, y));
        assert_eq!(found, colours, "{request}");
    }
    // Cut exactly at the pixel, where nothing is resized.
    let cut = image(&nobody, &base, "99,99,2,2/max/0/default.png").await;
    assert_eq!([(0, 0), (1, 0), (0, 1), (1, 1)].map(|(x, y)| colour_at(&cut, x, y)), [0, 1, 3, 4]);

    let grey = image(&nobody, &base, "full/max/0/gray.png").await;
    assert!(grey.pixels().all(|Rgb([r, g, b])| r == g && g == b));
    let lightness = |at: usize| grey.get_pixel(50 + at as u32 % 3 * 100, 50 + at as u32 / 3 * 100).0[0];
    assert!(lightness(3) > lightness(4) && lightness(4) > lightness(5) && lightness(5) > lightness(2), "yellow, cyan, magenta, blue");
    for format in ["png", "jpg", "webp"] {
        let bitonal = image(&nobody, &base, &format!("full/max/0/bitonal.{format}")).await;
        let is_one = |Rgb(samples): &Rgb<u8>| samples.iter().all(|sample| *sample < 3) || samples.iter().all(|sample| *sample > 252);
        let (all, one) = (300 * 200, bitonal.pixels().filter(|pixel| is_one(pixel)).count());
        assert!(one * 100 >= all * 99, "{format}: {one}");
        assert!(bitonal.get_pixel(50, 150).0[0] > 252 && bitonal.get_pixel(250, 50).0[0] < 3, "yellow is white, blue is black");
    }
    let avif = nobody.get(&format!("{base}/full/30,/0/default.avif")).await;
    assert_eq!((&avif.bytes(200)[4..12], avif.field("content-type")), (b"ftypavif".as_slice(), "image/avif"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_are_of_the_photo_as_it_is_shown() {
    let site = Site::start().await;
    let album = site.admin.album("Turned").await;
    let mut parts: Vec<RgbImage> = vec![];
    for orientation in 1..=8 {
        let file = format!("orientation-{orientation}.jpg");
        let photo = site.admin.uploaded(&album, &file, &fixture(&file)).await;
        let info: Value = serde_json::from_slice(site.nobody().get(&format!("{}/info.json", photo.urls.iiif)).await.bytes(200)).unwrap();
        assert_eq!((info["width"].as_u64(), info["height"].as_u64()), (Some(480), Some(320)), "{file}");
        let part = image(&site.nobody(), &photo.urls.iiif, "40,20,160,120/max/90/default.png").await;
        assert_eq!(part.dimensions(), (120, 160), "{file}");
        parts.push(part);
        // From JPEG to JPEG goes another way: it is the same part as one that is cut out of the whole.
        let whole = image(&site.nobody(), &photo.urls.iiif, "full/max/0/default.png").await;
        let cut = image::imageops::crop_imm(&whole, 41, 21, 160, 120).to_image();
        let apart = difference(&cut, &image(&site.nobody(), &photo.urls.iiif, "41,21,160,120/max/0/default.jpg").await);
        assert!(apart < 4.0, "{file}: {apart:.1} apart in the mean");
    }
    for (at, part) in parts.iter().enumerate() {
        let apart = difference(&parts[0], part);
        assert!(apart < 6.0, "orientation {}: {apart:.1} apart in the mean", at + 1);
    }
    assert!(difference(&parts[0], &image::imageops::rotate180(&parts[0])) > 12.0, "another part would be seen");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tiles_make_up_the_image() {
    let site = Site::start_with(|config| config.renditions.max_side = 256).await;
    let album = site.admin.album("Album").await;
    let photo = site.admin.uploaded(&album, "hubble.jpg", &fixture("hubble.jpg")).await;
    let (base, nobody) = (&photo.urls.iiif, site.nobody());
    let info: Value = serde_json::from_slice(nobody.get(&format!("{base}/info.json")).await.bytes(200)).unwrap();
    assert_eq!(info["tiles"], json!([{ "width": 256, "scaleFactors": [1, 2, 4] }]));
    // 800 x 698.
    assert_eq!((&info["maxWidth"], &info["maxHeight"]), (&json!(256), &json!(223)));
    assert_eq!(image(&nobody, base, "full/max/0/default.jpg").await.dimensions(), (256, 223));
    for factor in [1, 2, 4_u32] {
        let mut pixels = 0;
        for y in (0..698).step_by(256 * factor as usize) {
            for x in (0..800).step_by(256 * factor as usize) {
                let (width, height) = ((256 * factor).min(800 - x), (256 * factor).min(698 - y));
                let size = (width.div_ceil(factor), height.div_ceil(factor));
                let request = format!("{x},{y},{width},{height}/{},{}/0/default.jpg", size.0, size.1);
                assert_eq!(image(&nobody, base, &request).await.dimensions(), size, "{request}");
                pixels += size.0 * size.1;
            }
        }
        assert_eq!(pixels, 800_u32.div_ceil(factor) * 698_u32.div_ceil(factor));
    }
    nobody.get(&format!("{base}/0,0,400,400/300,/0/default.jpg")).await.refused(400, "invalid");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_image_has_one_tag_and_a_canonical_url() {
    let (site, photo) = one_photo(&squares()).await;
    let (base, nobody) = (photo.urls.iiif.clone(), site.nobody());
    for (requests, canonical) in [
        (["full/max/0/default.jpg", "pct:0,0,100,100/300,/360/color.jpg"], "full/max/0/default.jpg"),
        (["square/pct:50/!90.0/gray.png", "50,0,200,200/!100,100/!90/gray.png"], "50,0,200,200/100,100/!90/gray.png"),
        (["full/^600,/0/default.webp", "full/^pct:200/0/default.webp"], "full/^600,400/0/default.webp"),
    ] {
        let link = format!("<{}{base}/{canonical}>;rel=\"canonical\", <http://iiif.io/api/image/3/level2.json>;rel=\"profile\"", site.base);
        let mut tags = vec![];
        for request in requests.into_iter().chain([canonical]) {
            let got = nobody.get(&format!("{base}/{request}")).await;
            assert_eq!((got.status, got.field("link")), (200, link.as_str()), "{request}");
            assert_eq!((got.field("cache-control"), got.field("vary")), ("public, max-age=31536000, immutable", ""));
            tags.push(got.field("etag").to_owned());
        }
        assert!(tags.iter().all(|tag| *tag == tags[0]), "{tags:?}");
    }
    assert_eq!(site.metric("halidom_renditions_total{outcome=\"rendered\"}").await, 3.0, "each is made once");
    assert_eq!(site.metric("halidom_renditions_total{outcome=\"hit\"}").await, 6.0);

    let url = format!("{base}/full/max/0/default.jpg");
    let whole = nobody.get(&url).await;
    let unchanged = nobody.get_with(&url, &[("if-none-match", whole.field("etag"))]).await;
    assert_eq!((unchanged.status, unchanged.field("link")), (304, whole.field("link")));
    let part = nobody.get_with(&url, &[("range", "bytes=10-19")]).await;
    assert_eq!(part.bytes(206), &whole.body[10..20]);
    let head = answer(nobody.call(Method::HEAD, &url)).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert!(!head.fields.contains_key("content-length"), "it would tell what lies in the cache");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_is_refused_and_pages_may_read_why() {
    let (site, photo) = one_photo(&squares()).await;
    let (base, nobody) = (photo.urls.iiif.clone(), staying(&site.nobody()));
    for (request, word) in [
        ("all/max/0/default.jpg", "region"),
        ("0,0,0,10/max/0/default.jpg", "region"),
        ("300,0,10,10/max/0/default.jpg", "region"),
        ("full/full/0/default.jpg", "size"),
        ("full/301,/0/default.jpg", "^"),
        ("full/!400,400/0/default.jpg", "^"),
        ("full/^2049,/0/default.jpg", "2048"),
        ("full/0,/0/default.jpg", "pixel"),
        ("full/max/45/default.jpg", "rotation"),
        ("full/max/0/native.jpg", "quality"),
        ("full/max/0/default.tif", "format"),
        ("full/max/0/default", "format"),
    ] {
        let refused = nobody.get(&format!("{base}/{request}")).await;
        let problem = refused.refused(400, "invalid");
        assert!(problem.detail.as_deref().is_some_and(|detail| detail.contains(word)), "{request}: {problem:?}");
        assert!(is_open_to_all(&refused), "{request}");
    }
    for path in [
        format!("{base}/"),
        format!("{base}/full"),
        format!("{base}/full/max/0"),
        format!("{base}/x/full/max/0/default.jpg"),
        "/iiif/3/a/b".into(),
    ] {
        let refused = nobody.get(&path).await;
        refused.refused(404, "no_route");
        assert!(is_open_to_all(&refused), "{path}");
    }
    for path in [format!("{base}/full/max/0/default%2.jpg"), format!("{base}/%ff/info.json")] {
        nobody.get(&path).await.refused(400, "malformed");
    }
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
        let refused = answer(nobody.call(method.clone(), &format!("{base}/info.json"))).await;
        refused.refused(405, "method_not_allowed");
        assert!(is_open_to_all(&refused), "{method}");
    }
    for path in ["info.json", "full/max/0/default.jpg"] {
        let request = nobody.call(Method::OPTIONS, &format!("{base}/{path}"));
        let preflight = answer(request.header("origin", "https://viewer.example").header("access-control-request-method", "GET")).await;
        assert_eq!((preflight.status, preflight.body.len(), is_open_to_all(&preflight)), (204, 0, true));
        assert!(preflight.field("access-control-allow-methods").contains("GET"));
        let got = nobody.get(&format!("{base}/{path}")).await;
        assert!(got.status == 200 && is_open_to_all(&got), "{path}");
    }
    assert!(is_open_to_all(&nobody.get(&base).await));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_signed_well_is_not_looked_at() {
    let (site, photo) = one_photo(&squares()).await;
    let (site, key) = site.with_signing_key(TenantId::DEFAULT).await;
    let nobody = staying(&site.nobody());
    let hash = photo.hash.to_string();
    let good = identifier(&key, &hash);
    assert_eq!(photo.urls.iiif, format!("/iiif/3/{good}"), "signed by the tenant's key, as a web tier signs");
    let everywhere = async |identifier: &str| {
        let mut answers = vec![];
        for rest in ["", "/info.json", "/full/max/0/default.jpg"] {
            answers.push(nobody.get(&format!("/iiif/3/{identifier}{rest}")).await);
        }
        answers
    };
    // Clients may encode more than they have to.
    let encoded = good.replace('_', "%5F").replacen('0', "%30", 1);
    for good in [&good, &encoded, &identifier(&key, &format!("{hash}_4102444800"))] {
        let statuses: Vec<_> = everywhere(good).await.iter().map(|answer| answer.status).collect();
        assert_eq!(statuses, [303, 200, 200], "{good}");
    }
    let other_key = ([7; 32].to_vec(), key.1.clone());
    let path = format!("/plain/{hash}@jpg");
    let of_a_rendition = url(&key, &path).strip_prefix("/i/").unwrap().strip_suffix(&path).unwrap().to_owned();
    // Every byte of hash and signature counts; the second hash is nobody's.
    let changed = (0..good.len()).filter(|at| *at != 64).step_by(9).map(|at| {
        let other = if good.as_bytes()[at] == b'0' { "1" } else { "0" };
        format!("{}{other}{}", &good[..at], &good[at + 1..])
    });
    let wrong = [
        format!("{hash}_"),
        format!("{hash}_{of_a_rendition}"),
        good[..good.len() - 1].to_owned(),
        identifier(&other_key, &hash),
        identifier(&key, &hash).replacen(&hash, &BlobHash::of(b"nothing").to_string(), 1),
        identifier(&key, &format!("{hash}_4102444800")).replace("_4102444800_", "_4102444801_"),
        // The clock of the site stands in November 2026.
        identifier(&key, &format!("{hash}_1795521600")),
    ];
    for identifier in changed.chain(wrong) {
        for answer in everywhere(&identifier).await {
            answer.refused(403, "bad_signature");
            assert!(is_open_to_all(&answer));
        }
    }
    for identifier in
        ["x", "%5Bfrob%5D", &hash, "67352ccc-d1b0-11e1-89ae-279075081939", &identifier(&key, &BlobHash::of(b"nothing").to_string())]
    {
        for answer in everywhere(identifier).await {
            answer.refused(404, "not_found");
            assert!(is_open_to_all(&answer));
        }
    }
    // Nor the other way round: what names an image here signs no rendition.
    let digits = good.rsplit_once('_').unwrap().1;
    nobody.get(&format!("/i/{digits}/iiif/3:{hash}")).await.refused(403, "bad_signature");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_sees_its_own() {
    let (site, ours) = one_photo(&squares()).await;
    let tenant: Tenant = site.admin.post("/v1/admin/tenants", json!({ "name": "other" })).await.json(201);
    let user: User = site.admin.post("/v1/admin/users", json!({ "name": "eve", "tenant": tenant.id })).await.json(201);
    let token: CreatedToken = site.admin.post("/v1/admin/tokens", json!({ "user": user.id, "tenant": tenant.id })).await.json(201);
    let eve = site.with_token(Some(&token.token));
    let theirs = eve.uploaded(&eve.album("Album").await, "theirs.jpg", &small(2)).await;
    site.nobody().get(&format!("{}/full/max/0/default.jpg", theirs.urls.iiif)).await.bytes(200);
    let (site, key) = site.with_signing_key(tenant.id).await;
    let theirs_signed = |hash: &BlobHash| format!("/iiif/3/{}/info.json", identifier(&key, &hash.to_string()));
    let nobody = site.nobody();
    nobody.get(&theirs_signed(&theirs.hash)).await.bytes(200);
    let (there, nowhere) = (nobody.get(&theirs_signed(&ours.hash)).await, nobody.get(&theirs_signed(&BlobHash::of(b"nothing"))).await);
    there.refused(404, "not_found");
    assert_eq!(there.problem_alone(), nowhere.problem_alone(), "whether another tenant has it is not said");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_signs_what_its_callers_own() {
    let (site, photo) = one_photo(&squares()).await;
    let sign = async |caller: &Caller, request: Value| caller.post("/v1/urls", request).await;
    let signed = sign(&site.admin, json!({ "hash": photo.hash, "iiif": true })).await.value(200);
    assert_eq!(signed["url"], photo.urls.iiif);
    let until = sign(&site.admin, json!({ "hash": photo.hash, "iiif": true, "expires": 4_102_444_800_u64 })).await.value(200);
    site.nobody().get(&format!("{}/info.json", until["url"].as_str().unwrap())).await.bytes(200);
    for (field, value) in [("width", json!(5)), ("height", json!(5)), ("quality", json!(5)), ("format", json!("jpg"))] {
        sign(&site.admin, json!({ "hash": photo.hash, "iiif": true, field: value })).await.refused(400, "invalid");
    }
    let other = site.user("ann").await;
    sign(&other, json!({ "hash": photo.hash, "iiif": true })).await.refused(404, "not_found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn absolute_urls_are_as_the_settings_say() {
    let site = Site::start_with(|config| config.server.public_url = "https://photos.example.org/shop/".parse().unwrap()).await;
    let album = site.admin.album("Album").await;
    let photo = site.admin.uploaded(&album, "photo.jpg", &small(1)).await;
    let (base, nobody) = (&photo.urls.iiif, staying(&site.nobody()));
    let spoofed = [("forwarded", "host=evil.example"), ("x-forwarded-host", "evil.example"), ("x-forwarded-proto", "ftp")];
    let info: Value = serde_json::from_slice(nobody.get_with(&format!("{base}/info.json"), &spoofed).await.bytes(200)).unwrap();
    assert_eq!(info["id"], format!("https://photos.example.org/shop{base}"));
    assert_eq!(nobody.get(base).await.field("location"), format!("https://photos.example.org/shop{base}/info.json"));
    let image = nobody.get(&format!("{base}/full/max/0/default.jpg")).await;
    assert!(image.field("link").starts_with(&format!("<https://photos.example.org/shop{base}/full/max/0/default.jpg>;rel=\"canonical\"")));
}
