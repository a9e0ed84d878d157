//! Requests that make no sense: a problem with a stable code, never a panic, never silence.

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::answer::answer;
use super::photos::small;
use super::site::Site;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn json_that_is_none_or_other_than_expected() {
    let site = Site::start().await;
    let post =
        |kind: &'static str, body: Vec<u8>| answer(site.admin.call(Method::POST, "/v1/albums").header("content-type", kind).body(body));
    for (body, status, code) in [
        ("{", 400, "malformed"),
        ("", 400, "malformed"),
        ("[]", 400, "malformed"),
        ("null", 400, "malformed"),
        ("{}", 400, "malformed"),
        (r#"{"name": 1}"#, 400, "malformed"),
        (r#"{"name": "a", "nmae": "b"}"#, 400, "malformed"),
        (r#"{"name": "a", "id": "x"}"#, 400, "malformed"),
        (r#"{"name": "a"} {}"#, 400, "malformed"),
        (r#"{"name": ""}"#, 400, "invalid"),
        (r#"{"name": "  "}"#, 400, "invalid"),
        (r#"{"name": "a\nb"}"#, 400, "invalid"),
        (r#"{"name": "\u0000"}"#, 400, "invalid"),
        (r#"{"name": "a", "id": "00000000-0000-0000-0000-000000000000"}"#, 400, "invalid"),
    ] {
        let problem = post("application/json", body.into()).await.refused(status, code);
        assert!(problem.detail.is_some_and(|detail| !detail.is_empty()), "{body}: people are told what is wrong");
    }
    post("application/json", b"\xff\xfe".to_vec()).await.refused(400, "malformed");
    post("application/json", "[".repeat(50_000).into()).await.refused(400, "malformed");
    post("text/plain", br#"{"name": "a"}"#.to_vec()).await.refused(415, "not_json");
    // The limit of tests is 64 KiB, of 255 bytes of UTF-8 a name's, of 4,096 a description's.
    post("application/json", format!(r#"{{"name": "{}"}}"#, "a".repeat(70_000)).into()).await.refused(413, "too_large");
    site.admin.post("/v1/albums", json!({ "name": "x".repeat(256) })).await.refused(400, "invalid");
    site.admin.post("/v1/albums", json!({ "name": "é".repeat(127) })).await.value(201);
    site.admin.post("/v1/albums", json!({ "name": "a", "description": "x".repeat(4_097) })).await.refused(400, "invalid");
    assert_eq!(site.admin.get("/v1/albums").await.value(200)["items"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_are_paged_within_bounds() {
    let site = Site::start().await;
    let ann = site.user("ann").await;
    let album = ann.album("Album").await;
    for number in 0..13 {
        ann.uploaded(&album, &format!("{number:02}.jpg"), &small(number)).await;
    }
    let photos = format!("/v1/albums/{album}/photos");
    let count = |page: &Value| page["items"].as_array().unwrap().len();
    // Of ten where no number is named; of at most fifty.
    assert_eq!(count(&ann.get(&photos).await.value(200)), 10);
    for (limit, expected) in [("0", 1), ("1", 1), ("13", 13), ("50", 13), ("51", 13), ("1000000", 13), ("18446744073709551615", 13)] {
        assert_eq!(count(&ann.get(&format!("{photos}?limit={limit}")).await.value(200)), expected, "limit={limit}");
    }
    for limit in ["-1", "x", "1.5", "18446744073709551616", ""] {
        ann.get(&format!("{photos}?limit={limit}")).await.refused(400, "malformed");
    }
    // Every photo once, by the links alone.
    let (mut names, mut path, mut pages) = (vec![], format!("{photos}?limit=5"), 0);
    loop {
        let page = ann.get(&path).await;
        let value = page.value(200);
        names.extend(value["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()));
        pages += 1;
        let Some(cursor) = value["next"].as_str() else {
            assert_eq!(page.field("link"), "");
            break;
        };
        let link = page.field("link").strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap().to_owned();
        assert_eq!(link, format!("{photos}?limit=5&cursor={cursor}"));
        path = link;
    }
    assert_eq!((pages, names), (3, (0..13).map(|number| format!("{number:02}.jpg")).collect()));

    let cursor = ann.get(&format!("{photos}?limit=5")).await.value(200)["next"].as_str().unwrap().to_owned();
    for bogus in ["x", "AAAA", "%00", "..%2F..", &cursor[1..], &format!("{cursor}AA"), &"A".repeat(600)] {
        ann.get(&format!("{photos}?cursor={bogus}")).await.refused(400, "malformed");
    }
    // Albums of one name are a list like any other.
    for _ in 0..3 {
        ann.album("Twin").await;
    }
    let first = ann.get("/v1/albums?name=Twin&limit=2").await;
    assert_eq!(count(&first.value(200)), 2);
    let link = first.field("link").strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap().to_owned();
    let rest = ann.get(&link).await.value(200);
    assert_eq!((count(&rest), &rest["next"], &rest["items"][0]["name"]), (1, &Value::Null, &json!("Twin")));
    assert_eq!(ann.get("/v1/albums?name=Twin&limit=3").await.value(200)["next"], Value::Null);
    // A cursor of another list is not one of this.
    let albums = ann.get(&format!("/v1/albums?cursor={cursor}")).await;
    albums.refused(400, "malformed");
    ann.post("/v1/blobs/missing", json!({ "hashes": vec![halidom::model::BlobHash::of(b"x"); 101] })).await.refused(413, "too_large");
    for hash in ["", "abc", &"A".repeat(64), &"g".repeat(64)] {
        ann.post("/v1/blobs/missing", json!({ "hashes": [hash] })).await.refused(400, "malformed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paths_and_methods_that_are_not_there() {
    let site = Site::start().await;
    for path in
        ["/", "/v1", "/v1/", "/v2/albums", "/v1/albums/", "/v1/albums/x/y", "/metrics", "/V1/me", "/v1/%6De/x", "/v1/photos", "//v1/me"]
    {
        site.admin.get(path).await.refused(404, "no_route");
    }
    for (method, path) in [
        (Method::POST, "/v1/me"),
        (Method::DELETE, "/v1/albums"),
        (Method::PUT, "/v1/albums/x"),
        (Method::POST, "/livez"),
        (Method::POST, "/i/x/y"),
        (Method::OPTIONS, "/v1/albums"),
        (Method::from_bytes(b"PROPFIND").unwrap(), "/v1/albums"),
    ] {
        let refused = answer(site.admin.call(method.clone(), path)).await;
        refused.refused(405, "method_not_allowed");
        assert!(!refused.field("allow").is_empty(), "{method} {path}: RFC 9110 asks for Allow");
    }
    for id in ["x", "0", "00000000-0000-0000-0000-00000000000g", "%00", "..", "a%2Fb"] {
        for path in ["/v1/albums/", "/v1/photos/"] {
            let got = site.admin.get(&format!("{path}{id}")).await;
            assert_eq!(got.status, 404, "{path}{id}");
        }
    }
    let got = site.admin.get("/v1/albums/%FF").await;
    assert!([400, 404].contains(&got.status), "{got:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn request_ids_are_kept_where_they_are_sound() {
    let site = Site::start().await;
    for sound in ["abc-1_2.3", &"x".repeat(64)] {
        assert_eq!(site.nobody().get_with("/v1/me", &[("x-request-id", sound)]).await.field("x-request-id"), sound);
    }
    for unsound in ["", "a b", "<script>", "é", &"x".repeat(65)] {
        let got = site.nobody().get_with("/v1/me", &[("x-request-id", unsound)]).await;
        assert_eq!(got.field("x-request-id").len(), 16, "one of the server's own instead of {unsound:?}");
    }
}

/// Sends these bytes on a connection of their own; what comes back.
async fn raw(site: &Site, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(site.base.strip_prefix("http://").unwrap()).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut said = vec![];
    let _ = stream.read_to_end(&mut said).await;
    String::from_utf8_lossy(&said).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_http_harms_nobody() {
    let site = Site::start().await;
    // Whether or not the server closes after its answer, which ends when the connection does.
    let long = format!("GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Long: {}\r\n\r\n", "x".repeat(200_000));
    let many = format!("GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{}\r\n", "X-Many: x\r\n".repeat(2_000));
    for (bytes, status) in [
        (b"hello\r\n\r\n".as_slice(), "400"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "400"),
        (b"GET /livez HTTP/9.9\r\n\r\n", "400"),
        (b"POST /v1/albums HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n", "400"),
        (b"POST /v1/albums HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", "400"),
        (long.as_bytes(), "431"),
        (many.as_bytes(), "431"),
    ] {
        let said = raw(&site, bytes).await;
        assert!(said.starts_with(&format!("HTTP/1.1 {status} ")) || said.starts_with(&format!("HTTP/1.0 {status} ")), "{status}: {said}");
    }
    assert_eq!(site.nobody().get("/livez").await.bytes(200), b"ok\n");
}
