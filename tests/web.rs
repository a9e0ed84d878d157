//! What web developers rely on (docs/web.md): URLs that they sign themselves, and a placeholder for every photo.

#![allow(clippy::unwrap_used)] // A test fails where it panics, in its helpers too.

mod harness;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use harness::{Server, wire};
use hmac::{Hmac, KeyInit as _, Mac as _};
use image::{ExtendedColorType, ImageEncoder as _, RgbImage};
use sha2::Sha256;
use turbojpeg::{Image, PixelFormat, Subsamp};

/// Photos that are sent until one has a placeholder.
const TRIES: usize = 20;

/// More than what is decoded whole at upload.
fn large() -> RgbImage {
    RgbImage::from_fn(2_400, 1_800, |x, y| image::Rgb([(x / 10) as u8, (y / 8) as u8, if x < 1_200 { 200 } else { 20 }]))
}

fn jpeg(picture: &RgbImage) -> Vec<u8> {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let source = Image { pixels: picture.as_raw().as_slice(), width, pitch: width * 3, height, format: PixelFormat::RGB };
    turbojpeg::compress(source, 80, Subsamp::Sub2x2).unwrap().to_vec()
}

fn png(picture: &RgbImage) -> Vec<u8> {
    let mut bytes = Vec::new();
    let encoder = image::codecs::png::PngEncoder::new(&mut bytes);
    encoder.write_image(picture.as_raw(), picture.width(), picture.height(), ExtendedColorType::Rgb8).unwrap();
    bytes
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// The path of a rendition, signed as docs/web.md says.
fn signed(key: &[u8], salt: &[u8], path: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(salt);
    mac.update(path.as_bytes());
    format!("/i/{}{path}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

fn upload(server: &Server, token: &str, album: &str, name: &str, bytes: &[u8]) -> serde_json::Value {
    let auth = format!("Bearer {token}");
    let answer = wire::call(&server.url, "POST", &format!("/v1/albums/{album}/photos?name={name}"), &[("authorization", &auth)], bytes);
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()
}

fn album(server: &Server, token: &str) -> String {
    let auth = format!("Bearer {token}");
    let headers = [("authorization", auth.as_str()), ("content-type", "application/json")];
    wire::call(&server.url, "POST", "/v1/albums", &headers, br#"{"name": "web"}"#).json()["id"].as_str().unwrap().to_owned()
}

#[test]
fn large_photos_without_a_thumbnail_have_a_placeholder_in_the_answer() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"));
    let token = server.admin_token();
    let (album, picture) = (album(&server, &token), large());
    // An upload waits for it a while, which on a machine that does much else may be too short: then another photo that looks the same may have
    // one. What follows the end of a picture is none of it.
    let of = |name: &str, bytes: &[u8]| {
        let sent = |tail: usize| upload(&server, &token, &album, name, &[bytes, &vec![0; tail]].concat());
        let tried = (0..TRIES).map(|tail| sent(tail)["placeholder"].as_str().map(str::to_owned));
        let text = tried.flatten().next().unwrap_or_else(|| panic!("{name} has no placeholder"));
        let hash = base64::engine::general_purpose::STANDARD.decode(text).unwrap();
        thumbhash::thumb_hash_to_average_rgba(&hash).unwrap()
    };
    let (from_jpeg, from_png) = (of("large.jpg", &jpeg(&picture)), of("large.png", &png(&picture)));
    let near = |(a, b): (f32, f32)| (a - b).abs() < 0.05;
    let pairs = [(from_jpeg.0, from_png.0), (from_jpeg.1, from_png.1), (from_jpeg.2, from_png.2)];
    assert!(pairs.into_iter().all(near), "{from_jpeg:?} {from_png:?}");
    let mean = |channel: usize| {
        let sum: u64 = picture.pixels().map(|pixel| u64::from(pixel.0[channel])).sum();
        sum as f32 / (255.0 * picture.pixels().len() as f32)
    };
    assert!([(from_png.0, mean(0)), (from_png.1, mean(1)), (from_png.2, mean(2))].into_iter().all(near), "{from_png:?}");
}

#[test]
fn a_web_tier_signs_its_own_urls_with_the_tenants_keys() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"));
    let (token, admin) = (server.admin_token(), server.admin());
    let photo = upload(&server, &token, &album(&server, &token), "a.jpg", &jpeg(&large()));
    let hash = photo["hash"].as_str().unwrap();
    let keys = admin.json(["tenant", "keys"]);
    let part = |name: &str| unhex(keys["items"][0][name].as_str().unwrap());
    let (key, salt) = (part("key"), part("salt"));
    // As imgproxy's JavaScript library orders it, and as docs/web.md does in Python.
    for path in [format!("/f:webp/w:64/plain/{hash}"), format!("/rs:fit:64:0/plain/{hash}@webp")] {
        let answer = wire::get(&server.url, &signed(&key, &salt, &path), &[]);
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("image/webp")), "{path}: {answer:?}");
        assert_eq!(answer.header("cache-control"), Some("public, max-age=31536000, immutable"));
    }
    let other_key = signed(&[7; 32], &salt, &format!("/w:64/plain/{hash}"));
    let refused = wire::get(&server.url, &other_key, &[]);
    assert_eq!((refused.status, refused.code().as_str()), (403, "bad_signature"));

    // What a user must not have, and what is written down.
    let said = server.user("ann").run(["tenant", "keys"]);
    assert!(said.code == Some(1) && said.stdout.is_empty(), "{said:?}");
    let said = admin.run(["tenant", "keys", "default"]);
    let id = |key: &serde_json::Value| key["id"].as_str().unwrap().to_owned();
    let old = id(&keys["items"][0]);
    let lines: Vec<_> = said.stdout.lines().map(|line| line.split('=').next().unwrap().to_owned()).collect();
    assert_eq!(lines, [&format!("# {old}, signs here"), "IMGPROXY_KEY", "IMGPROXY_SALT"]);
    // And how it is changed.
    let new = id(&admin.json(["tenant", "add-key"]));
    assert_eq!(admin.json(["tenant", "use-key", &new, "default"])["signs"], true);
    assert_eq!(admin.run(["tenant", "remove-key", &new]).code, Some(1), "it signs");
    assert_eq!(admin.run(["tenant", "remove-key", &old]).code, Some(0));
    assert_eq!(wire::get(&server.url, &signed(&key, &salt, &format!("/w:64/plain/{hash}")), &[]).status, 403);
    let auth = format!("Bearer {token}");
    let audit = wire::get(&server.url, "/v1/admin/audit", &[("authorization", &auth)]).json();
    let noted = audit["items"].as_array().unwrap().iter().filter(|record| record["action"] == "tenant.keys").count();
    assert_eq!(noted, 2, "{audit}");
}

#[test]
fn a_tenants_presets_and_ages_are_set_as_docs_web_md_says() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"));
    let (token, admin) = (server.admin_token(), server.admin());
    let photo = upload(&server, &token, &album(&server, &token), "a.jpg", &jpeg(&large()));
    let hash = photo["hash"].as_str().unwrap();
    let path_of = |url: &str| format!("/i/{}", url.split_once("/i/").unwrap().1);

    let shown = admin.run(["tenant", "show"]);
    let lines: Vec<_> = shown.stdout.lines().skip(1).filter(|line| !line.starts_with("created")).collect();
    assert_eq!(lines, ["name:         default", "max age:      365d", "presets only: no"], "{shown:?}");
    let set = ["tenant", "preset", "set", "thumb", "rs:fill:64:64/g:sm/q:75"];
    assert_eq!(admin.run(set).stdout, "NAME   OPTIONS\nthumb  rs:fill:64:64/g:sm/q:75\n");
    let signed = admin.json(["url", hash, "--preset", "thumb", "--format", "jpg"])["url"].as_str().unwrap().to_owned();
    let got = wire::get(&server.url, &path_of(&signed), &[]);
    let picture = turbojpeg::read_header(&got.body).unwrap();
    assert_eq!((picture.width, picture.height, got.header("cache-control")), (64, 64, Some("public, max-age=31536000")));

    let changed = admin.json(["tenant", "set", "default", "--max-age", "30d", "--presets-only", "true"]);
    let said = serde_json::json!({ "presets": { "thumb": set[4] }, "presets_only": true, "max_age_seconds": 2_592_000 });
    assert_eq!((&changed["name"], &changed["renditions"]), (&"default".into(), &said));
    assert_eq!(admin.json(["tenant", "show", "default"]), changed);
    assert_eq!(wire::get(&server.url, &path_of(&signed), &[]).header("cache-control"), Some("public, max-age=2592000"));
    let refused = admin.run(["url", hash, "--width", "640"]);
    assert!(refused.code == Some(1) && refused.stderr.contains("preset"), "{refused:?}");
    let thumbnail = path_of(photo["urls"]["thumbnail"].as_str().unwrap());
    assert_eq!(wire::get(&server.url, &thumbnail, &[]).status, 200, "it is in pages");

    assert_eq!(admin.run(["tenant", "set"]).code, Some(2), "nothing to set");
    let refused = admin.run(["tenant", "set", "--max-age", "366d"]);
    assert!(refused.code == Some(1) && refused.stderr.contains("31536000"), "{refused:?}");
    assert_eq!(admin.json(["tenant", "preset", "remove", "thumb", "default"])["items"], serde_json::json!([]));
    assert_eq!(wire::get(&server.url, &path_of(&signed), &[]).status, 400);
}
