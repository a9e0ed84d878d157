//! Originals: every way in which HTTP lets a client ask for them.

use halidom::api::Photo;
use reqwest::Method;
use sha2::{Digest as _, Sha256};

use super::answer::answer;
use super::photos::fixture;
use super::site::{Caller, Site};

/// A site with one photo of 63,366 bytes.
async fn one_photo() -> (Site, Caller, Photo, Vec<u8>) {
    let site = Site::start().await;
    let ann = site.user("ann").await;
    let album = ann.album("Album").await;
    let bytes = fixture("Ferien am Meer – été.jpg");
    let photo = ann.uploaded(&album, "Ferien am Meer – été \"1\".jpg", &bytes).await;
    (site, ann, photo, bytes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_original_comes_back_byte_for_byte_and_says_what_it_is() {
    use base64::Engine as _;

    let (_site, ann, photo, bytes) = one_photo().await;
    let path = &photo.urls.original;
    let whole = ann.get(path).await;
    assert_eq!(whole.bytes(200), bytes);
    let digest = format!("sha-256=:{}:", base64::engine::general_purpose::STANDARD.encode(Sha256::digest(&bytes)));
    let described = [
        ("content-type", "image/jpeg".to_owned()),
        ("content-length", bytes.len().to_string()),
        ("etag", format!("\"{}\"", photo.hash)),
        ("accept-ranges", "bytes".to_owned()),
        // Kept by the one browser that asked, and asked for again: it may be withdrawn, and costs nothing where it is still there.
        ("cache-control", "private, no-cache".to_owned()),
        ("repr-digest", digest),
        (
            "content-disposition",
            "attachment; filename=\"Ferien am Meer _ _t_ _1_.jpg\"; \
             filename*=UTF-8''Ferien%20am%20Meer%20%E2%80%93%20%C3%A9t%C3%A9%20%221%22.jpg"
                .to_owned(),
        ),
        ("content-security-policy", "default-src 'none'; sandbox".to_owned()),
    ];
    for (field, value) in &described {
        assert_eq!(whole.field(field), value, "{field}");
    }
    // HEAD says the same and sends nothing.
    let head = answer(ann.call(Method::HEAD, path)).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    for (field, value) in &described {
        assert_eq!(head.field(field), value, "HEAD: {field}");
    }
    let head = answer(ann.call(Method::HEAD, path).header("range", "bytes=0-9")).await;
    assert_eq!((head.status, head.field("content-length")), (200, bytes.len().to_string().as_str()), "only GET has ranges");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conditions_are_kept() {
    let (_site, ann, photo, bytes) = one_photo().await;
    let path = &photo.urls.original;
    let tag = format!("\"{}\"", photo.hash);
    let weak = format!("W/{tag}");
    let among = format!("\"a\", {tag}");
    for (field, value, status) in [
        ("if-none-match", tag.as_str(), 304),
        ("if-none-match", &weak, 304),
        ("if-none-match", &among, 304),
        ("if-none-match", "*", 304),
        ("if-none-match", "\"a\"", 200),
        ("if-match", &tag, 200),
        ("if-match", &among, 200),
        ("if-match", "*", 200),
        ("if-match", "\"a\"", 412),
        ("if-match", &weak, 412),
        // There is no date to go by.
        ("if-modified-since", "Fri, 31 Dec 2049 23:59:59 GMT", 200),
        ("if-unmodified-since", "Sat, 01 Jan 2000 00:00:00 GMT", 200),
    ] {
        let got = ann.get_with(path, &[(field, value)]).await;
        assert_eq!(got.status, status, "{field}: {value}");
        match status {
            200 => assert_eq!(got.bytes(200), bytes),
            304 => {
                assert!(got.body.is_empty() && !got.fields.contains_key("content-type"));
                assert_eq!((got.field("etag"), got.field("cache-control")), (tag.as_str(), "private, no-cache"));
            }
            _ => drop(got.refused(412, "precondition_failed")),
        }
    }
    // Whoever has it gets no answer from a range either.
    assert_eq!(ann.get_with(path, &[("if-none-match", &tag), ("range", "bytes=0-9")]).await.status, 304);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ranges_are_parts_of_the_whole() {
    let (_site, ann, photo, bytes) = one_photo().await;
    let path = &photo.urls.original;
    let size = bytes.len();
    let last = size - 1;
    for (range, first, end) in [
        ("bytes=0-0".to_owned(), 0, 1),
        ("bytes=10-99".to_owned(), 10, 100),
        (format!("bytes={last}-{last}"), last, size),
        ("bytes=1000-".to_owned(), 1_000, size),
        ("bytes=-500".to_owned(), size - 500, size),
        ("bytes=0-".to_owned(), 0, size),
        // What reaches past the end is cut there.
        ("bytes=100-9999999".to_owned(), 100, size),
        ("bytes=-9999999".to_owned(), 0, size),
        // Several that make up one are sent as that one.
        ("bytes=0-9,10-19".to_owned(), 0, 20),
        ("bytes=10-30, 0-20".to_owned(), 0, 31),
        (format!("bytes=0-9,{size}-"), 0, 10),
    ] {
        let part = ann.get_with(path, &[("range", &range)]).await;
        assert_eq!(part.bytes(206), &bytes[first..end], "{range}");
        assert_eq!(part.field("content-range"), format!("bytes {first}-{}/{size}", end - 1), "{range}");
        assert_eq!(part.field("content-length"), (end - first).to_string());
        // The digest is of the whole, also here; the tag lets parts be put together.
        assert!(part.field("repr-digest").starts_with("sha-256=:") && part.field("etag").contains(&photo.hash.to_string()));
    }
    for range in [format!("bytes={size}-"), format!("bytes={size}-{size}"), "bytes=-0".to_owned(), format!("bytes={}-,{size}-", size + 5)] {
        let none = ann.get_with(path, &[("range", &range)]).await;
        none.refused(416, "range_not_satisfiable");
        assert_eq!(none.field("content-range"), format!("bytes */{size}"), "{range}");
    }
    // What is malformed, in another unit, or would be in several parts, is answered with the whole.
    for range in ["bytes=9-0", "bytes=a-b", "bytes=", "lines=0-9", "bytes=0-9,20-29", "bytes=0-0,-1", "0-9"] {
        let whole = ann.get_with(path, &[("range", range)]).await;
        assert_eq!((whole.bytes(200), whole.field("content-range")), (bytes.as_slice(), ""), "{range}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_download_goes_on_where_it_broke_off() {
    let (_site, ann, photo, bytes) = one_photo().await;
    let path = &photo.urls.original;
    let tag = format!("\"{}\"", photo.hash);
    let rest = ann.get_with(path, &[("range", "bytes=40000-"), ("if-range", &tag)]).await;
    assert_eq!(rest.bytes(206), &bytes[40_000..]);
    for other in ["\"a\"", &format!("W/{tag}"), "Tue, 24 Nov 2026 12:00:00 GMT"] {
        let whole = ann.get_with(path, &[("range", "bytes=40000-"), ("if-range", other)]).await;
        assert_eq!(whole.bytes(200), bytes, "{other}");
    }
    // Of something else, not even what cannot be satisfied is.
    assert_eq!(ann.get_with(path, &[("range", "bytes=9999999-"), ("if-range", "\"a\"")]).await.bytes(200), bytes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_of_every_kind_are_sent_along() {
    let site = Site::start().await;
    let album = site.admin.album("Names").await;
    for (number, name, field) in [
        (1, "写真.jpg", "attachment; filename=\"__.jpg\"; filename*=UTF-8''%E5%86%99%E7%9C%9F.jpg"),
        (2, "a;b=c.jpg", "attachment; filename=\"a;b=c.jpg\"; filename*=UTF-8''a%3Bb%3Dc.jpg"),
        (3, "gpj.\u{202e}exe", "attachment; filename=\"gpj._exe\"; filename*=UTF-8''gpj._exe"),
        (4, "../../etc/passwd", "attachment; filename=\"passwd\"; filename*=UTF-8''passwd"),
    ] {
        let photo = site.admin.uploaded(&album, name, &super::photos::small(number)).await;
        let original = site.admin.get(&photo.urls.original).await;
        assert_eq!(original.field("content-disposition"), field, "{name:?}");
    }
}
