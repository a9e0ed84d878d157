//! Settings are not only read: each of these changes what a real server does.

#![allow(clippy::unwrap_used)] // A test fails where it panics, in its helpers too.

mod harness;

use std::io::{Read as _, Write as _};

use harness::wait::until;
use harness::{Server, wire};
use serde_json::{Value, json};

struct Site {
    server: Server,
    auth: String,
    _folder: tempfile::TempDir,
}

impl Site {
    fn with(settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start_with(&folder.path().join("data"), settings);
        let auth = format!("Bearer {}", server.admin_token());
        Self { server, auth, _folder: folder }
    }

    fn post(&self, path: &str, body: &Value) -> wire::Answer {
        let headers = [("authorization", self.auth.as_str()), ("content-type", "application/json")];
        wire::call(&self.server.url, "POST", path, &headers, body.to_string().as_bytes())
    }

    fn get(&self, path: &str) -> wire::Answer {
        wire::get(&self.server.url, path, &[("authorization", &self.auth)])
    }
}

#[test]
fn limits_of_names_texts_lists_and_bodies() {
    let site = Site::with(&[
        ("HALIDOM_LIMITS__MAX_NAME_BYTES", "16"),
        ("HALIDOM_LIMITS__MAX_CAPTION_BYTES", "20"),
        ("HALIDOM_LIMITS__DEFAULT_PAGE", "2"),
        ("HALIDOM_LIMITS__MAX_PAGE", "3"),
        ("HALIDOM_LIMITS__MAX_MISSING_HASHES", "2"),
        ("HALIDOM_LIMITS__MAX_LINK_PHOTOS", "1"),
        ("HALIDOM_LIMITS__MAX_JSON_BYTES", "4KiB"),
        ("HALIDOM_LIMITS__MAX_UPLOAD_BYTES", "64KiB"),
        ("HALIDOM_LIMITS__MAX_EMBEDDED_BYTES", "64KiB"),
    ]);
    assert_eq!(site.post("/v1/albums", &json!({ "name": "é".repeat(8) })).status, 201);
    for (path, body) in [
        ("/v1/albums", json!({ "name": "x".repeat(17) })),
        ("/v1/albums", json!({ "name": "a", "description": "x".repeat(21) })),
        ("/v1/admin/users", json!({ "name": "x".repeat(17) })),
        ("/v1/admin/tenants", json!({ "name": "x".repeat(17) })),
        ("/v1/admin/tokens", json!({ "label": "x".repeat(17) })),
    ] {
        let refused = site.post(path, &body);
        assert_eq!((refused.status, refused.code().as_str()), (400, "invalid"), "{path} {body}: {refused:?}");
    }
    let mut album = String::new();
    for name in ["a", "b", "c", "d"] {
        album = site.post("/v1/albums", &json!({ "name": name })).json()["id"].as_str().unwrap().to_owned();
    }
    let items = |path: &str| site.get(path).json()["items"].as_array().unwrap().len();
    assert_eq!((items("/v1/albums"), items("/v1/albums?limit=3"), items("/v1/albums?limit=1000")), (2, 3, 3));
    let hashes = |count: usize| (0..count).map(|n| format!("{n:064x}")).collect::<Vec<_>>();
    assert_eq!(site.post("/v1/blobs/missing", &json!({ "hashes": hashes(2) })).status, 200);
    assert_eq!(site.post("/v1/blobs/missing", &json!({ "hashes": hashes(3) })).status, 413);
    let items: Vec<Value> = hashes(2).iter().map(|hash| json!({ "hash": hash, "name": "x" })).collect();
    assert_eq!(site.post(&format!("/v1/albums/{album}/photos/link"), &json!({ "photos": items })).status, 413);
    assert_eq!(site.post("/v1/albums", &json!({ "name": "x".repeat(5_000) })).status, 413);
    let headers = [("authorization", site.auth.as_str())];
    let refused = wire::call(&site.server.url, "POST", &format!("/v1/albums/{album}/photos"), &headers, &vec![0xff; 65 << 10]);
    assert_eq!(refused.status, 413, "{refused:?}");
}

#[test]
fn tokens_expire_as_the_site_says() {
    let site = Site::with(&[("HALIDOM_AUTH__TOKEN_EXPIRY", "90days")]);
    let made = |body: Value| site.post("/v1/admin/tokens", &body).json()["expires_at"].clone();
    let by_default = made(json!({}));
    let expires: jiff::Timestamp = by_default.as_str().unwrap_or_else(|| panic!("{by_default}")).parse().unwrap();
    let said: jiff::Timestamp = made(json!({ "expires_in_seconds": 60 })).as_str().unwrap().parse().unwrap();
    let days = (expires.as_second() - said.as_second()) as f64 / 86_400.0;
    assert!((89.9..90.0).contains(&days), "{days}");
    let never = Site::with(&[]);
    assert_eq!(never.post("/v1/admin/tokens", &json!({})).json()["expires_at"], Value::Null);
}

#[test]
fn a_head_has_its_limit() {
    let site = Site::with(&[("HALIDOM_SERVER__MAX_HEADER_BYTES", "8KiB")]);
    let filler = |bytes: usize| "x".repeat(bytes);
    assert_eq!(wire::get(&site.server.url, "/livez", &[("x-filler", &filler(7_000))]).status, 200);
    let refused = wire::get(&site.server.url, "/livez", &[("x-filler", &filler(8_200))]);
    assert_eq!((refused.status, refused.code().as_str()), (431, "head_too_large"), "{refused:?}");
    assert_eq!(wire::get(&site.server.url, &format!("/livez?{}", filler(8_200)), &[]).status, 431);
}

/// What comes until the server ends the connection.
fn until_closed(mut stream: std::net::TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset is an end as well.
    let _ = stream.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn heads_that_do_not_come_and_idle_lines_are_cut() {
    let site = Site::with(&[("HALIDOM_SERVER__HEADER_TIMEOUT", "200ms"), ("HALIDOM_SERVER__IDLE_TIMEOUT", "400ms")]);
    let silent = wire::connect(&site.server.url);
    let mut half = wire::connect(&site.server.url);
    half.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n").unwrap();
    let mut idle = wire::connect(&site.server.url);
    idle.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    assert_eq!(until_closed(silent), "");
    assert_eq!(until_closed(half), "");
    assert!(until_closed(idle).starts_with("HTTP/1.1 200 OK"));
}

#[test]
fn a_body_that_stands_still_is_given_up() {
    let site = Site::with(&[("HALIDOM_SERVER__STALL_TIMEOUT", "200ms")]);
    let album = site.post("/v1/albums", &json!({ "name": "slow" })).json()["id"].as_str().unwrap().to_owned();
    let mut stream = wire::connect(&site.server.url);
    let head = wire::head("POST", &format!("/v1/albums/{album}/photos"), &[("authorization", &site.auth), ("content-length", "1000")]);
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&[0xff, 0xd8, 0xff, 0xe0]).unwrap();
    let answer = wire::answer(stream);
    assert_eq!((answer.status, answer.code().as_str()), (408, "request_timeout"), "{answer:?}");
    until("the upload is over", || site.server.metrics(), |page| page.contains("halidom_queue_running{queue=\"uploads\"} 0\n"));
}

#[test]
fn connections_past_the_limit_wait() {
    let site = Site::with(&[("HALIDOM_SERVER__MAX_CONNECTIONS", "1"), ("HALIDOM_SERVER__IDLE_TIMEOUT", "10m")]);
    let mut first = wire::connect(&site.server.url);
    first.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let mut answered = [0; 12];
    first.read_exact(&mut answered).unwrap();
    assert_eq!(&answered, b"HTTP/1.1 200", "the first one is taken");
    let mut second = wire::connect(&site.server.url);
    second.write_all(wire::head("GET", "/livez", &[]).as_bytes()).unwrap();
    // Were it taken, it would be answered before all of these.
    for _ in 0..50 {
        first.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"ok\n") {
            let mut byte = [0];
            first.read_exact(&mut byte).unwrap();
            seen.push(byte[0]);
        }
    }
    second.set_nonblocking(true).unwrap();
    let waits = second.read(&mut answered);
    assert!(matches!(&waits, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock), "{waits:?}");
    // Whoever looks after it still gets in.
    assert!(site.server.metrics().contains("halidom_build_info"));
    second.set_nonblocking(false).unwrap();
    drop(first);
    assert_eq!(wire::answer(second).status, 200);
}

#[test]
fn uploads_at_once_and_the_memory_of_the_database_are_as_set() {
    let site = Site::with(&[
        ("HALIDOM_LIMITS__MAX_CONCURRENT_UPLOADS", "3"),
        ("HALIDOM_METADATA__BLOCK_CACHE_BYTES", "8MiB"),
        ("HALIDOM_METADATA__WRITE_BUFFER_BYTES", "1MiB"),
        ("HALIDOM_METADATA__WRITE_BUFFERS_TOTAL_BYTES", "4MiB"),
        ("HALIDOM_METADATA__QUEUE_LIMIT", "77"),
        ("HALIDOM_METADATA__GROUP_LIMIT", "7"),
        ("HALIDOM_METADATA__READ_THREADS", "5"),
        ("HALIDOM_BLOBS__IO_THREADS", "6"),
        ("HALIDOM_RENDITIONS__CONCURRENCY", "4"),
        ("HALIDOM_RENDITIONS__QUEUE_LIMIT", "9"),
    ]);
    let page = site.server.metrics();
    for line in [
        "halidom_queue_running_limit{queue=\"uploads\"} 3",
        "halidom_queue_waiting_limit{queue=\"metadata\"} 77",
        "halidom_queue_running_limit{queue=\"pool_metadata\"} 5",
        "halidom_queue_running_limit{queue=\"pool_blobs\"} 6",
        "halidom_queue_running_limit{queue=\"pool_imaging\"} 4",
        "halidom_queue_waiting_limit{queue=\"renders\"} 9",
        "halidom_rocksdb_bytes{property=\"block_cache_capacity\"} 8388608",
    ] {
        assert!(page.lines().any(|found| found == line), "{line}\n{page}");
    }
}
