//! Photos that are not taken: nothing of them is left, and the client gets to its answer.

use halidom::api::{Page, Photo, Stats, X_BLAKE3};
use halidom::model::BlobHash;
use reqwest::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::answer::answer;
use super::photos::{fixture, small, small_with};
use super::site::{Caller, Site, until};

/// A site with one photo in one album, and what it looked like before anything was refused.
struct Before {
    site: Site,
    ann: Caller,
    album: String,
    stats: Stats,
    rows: u64,
}

impl Before {
    async fn new() -> Self {
        let site = Site::start().await;
        let ann = site.user("ann").await;
        let album = ann.album("Album").await;
        ann.uploaded(&album, "there.jpg", &small(0)).await;
        let (stats, rows) = (site.stats().await, site.check().await.rows);
        Self { site, ann, album, stats, rows }
    }

    /// Uploads in progress.
    async fn receiving(&self) -> f64 {
        self.site.metric("halidom_queue_running{queue=\"uploads\"}").await
    }

    /// Nothing has changed: no row, no blob, no pin, no copy, nothing staged, nothing queued for deletion.
    async fn assert_nothing_left(&self, what: &str) {
        assert_eq!(self.site.stats().await, self.stats, "{what}");
        assert_eq!(self.site.metric("halidom_pins").await, 0.0, "{what}");
        assert_eq!(self.site.staged(), Vec::<std::path::PathBuf>::new(), "{what}");
        assert_eq!(self.site.copies().len(), 1, "{what}");
        let check = self.site.check().await;
        assert_eq!((check.problems, check.orphans, check.doomed, check.rows), (0, 0, 0, self.rows), "{what}: {check:?}");
        let listed: Page<Photo> = self.ann.get(&format!("/v1/albums/{}/photos", self.album)).await.json(200);
        assert_eq!(listed.items.len(), 1, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_are_not_as_promised() {
    let before = Before::new().await;
    let (bytes, other) = (small(1), BlobHash::of(b"other").to_string());
    let sha256 = format!("sha-256=:{}=:", "A".repeat(43));
    let hash = BlobHash::of(&bytes).to_string();
    for (fields, code) in [
        (vec![(X_BLAKE3, other.as_str())], "digest_mismatch"),
        (vec![("content-digest", sha256.as_str())], "digest_mismatch"),
        (vec![(X_BLAKE3, hash.as_str()), ("content-digest", sha256.as_str())], "digest_mismatch"),
        (vec![(X_BLAKE3, "abc")], "malformed"),
        (vec![("content-digest", "sha-256=abc")], "malformed"),
        (vec![("content-digest", "sha-256=:AAAA:")], "malformed"),
    ] {
        before.ann.upload_with(&before.album, "one.jpg", &bytes, &fields).await.refused(400, code);
        before.assert_nothing_left(&format!("{fields:?}")).await;
    }
    // Bytes that the site has already are refused all the same.
    before.ann.upload_with(&before.album, "there.jpg", &small(0), &[(X_BLAKE3, &other)]).await.refused(400, "digest_mismatch");
    before.assert_nothing_left("known bytes").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_are_no_photos() {
    let before = Before::new().await;
    let photo = fixture("clock.jpg");
    let half = &photo[..photo.len() / 2];
    let png = fixture("chelsea.png");
    for (what, bytes, status, code) in [
        ("nothing", vec![], 415, "not_an_image"),
        ("a few bytes", b"\xff\xd8".to_vec(), 415, "not_an_image"),
        ("text", b"not a photo, whatever its name says".repeat(10), 415, "not_an_image"),
        ("a page", b"<html><body>photo</body></html>".repeat(10), 415, "not_an_image"),
        ("an archive", [b"PK\x03\x04".as_slice(), &[0; 200]].concat(), 415, "not_an_image"),
        ("half a photo", half.to_vec(), 422, "broken_image"),
        ("half a PNG", png[..png.len() / 2].to_vec(), 422, "broken_image"),
        ("only a head", photo[..40].to_vec(), 422, "broken_image"),
    ] {
        let refused = before.ann.upload(&before.album, "photo.jpg", &bytes).await;
        let problem = refused.refused(status, code);
        assert!(problem.detail.is_some_and(|detail| !detail.is_empty()), "{what}: people are told why");
        before.assert_nothing_left(what).await;
    }
    assert_eq!(before.site.metric("halidom_uploads_refused_total{reason=\"not_an_image\"}").await, 5.0);
    assert_eq!(before.site.metric("halidom_uploads_refused_total{reason=\"broken_image\"}").await, 3.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_over_the_limit() {
    let before = Before::new().await;
    // The limit of tests is 16 MiB.
    let bytes = small_with(1, 17 << 20);
    before.ann.upload(&before.album, "large.jpg", &bytes).await.refused(413, "too_large");
    before.assert_nothing_left("with its length told").await;
    // Without a length told beforehand it is noticed on the way.
    let pieces: Vec<_> = bytes.chunks(1 << 20).map(|piece| Ok::<_, std::io::Error>(piece.to_vec())).collect();
    let body = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
    let request = before.ann.call(Method::POST, &format!("/v1/albums/{}/photos?name=large.jpg", before.album)).body(body);
    answer(request).await.refused(413, "too_large");
    before.assert_nothing_left("in chunks").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_to_nowhere() {
    let before = Before::new().await;
    let Before { site, ann, .. } = &before;
    let bytes = small(1);
    ann.upload("0192e4a0-0000-7000-8000-000000000000", "one.jpg", &bytes).await.refused(404, "not_found");
    ann.upload("nowhere", "one.jpg", &bytes).await.refused(404, "not_found");
    site.admin.upload(&before.album, "one.jpg", &bytes).await.refused(404, "not_found");
    site.nobody().upload(&before.album, "one.jpg", &bytes).await.refused(401, "unauthenticated");
    for name in ["", "a\nb", "dir/", &"x".repeat(256)] {
        ann.upload(&before.album, name, &bytes).await.refused(400, "invalid");
    }
    before.assert_nothing_left("uploads to nowhere").await;
}

/// Sends the head of an upload and a part of its body.
async fn begin(before: &Before, framing: &str, part: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(before.ann.base.strip_prefix("http://").unwrap()).await.unwrap();
    let head = format!(
        "POST /v1/albums/{}/photos?name=half.jpg HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n{framing}\r\n\r\n",
        before.album,
        before.ann.token.as_ref().unwrap()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(part).await.unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_break() {
    let before = Before::new().await;
    let bytes = small_with(1, 8 << 20);
    let half = &bytes[..bytes.len() / 2];
    let in_chunks = [format!("{:x}\r\n", half.len()).as_bytes(), half, b"\r\n"].concat();
    let length = format!("Content-Length: {}", bytes.len());
    for (framing, part) in [(length.as_str(), half), ("Transfer-Encoding: chunked", &in_chunks)] {
        let stream = begin(&before, framing, part).await;
        until("half a photo is in staging", || async { !before.site.staged().is_empty() }).await;
        drop(stream);
        until("it is gone again", || async { before.receiving().await == 0.0 }).await;
        before.assert_nothing_left(framing).await;
    }
    // One that ends its sending only gets an answer, where the framing says that there was to be more.
    let mut stream = begin(&before, &length, half).await;
    stream.shutdown().await.unwrap();
    let mut said = vec![];
    let _ = stream.read_to_end(&mut said).await;
    let said = String::from_utf8_lossy(&said);
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 400 "), "{said}");
    until("it is gone again", || async { before.receiving().await == 0.0 }).await;
    before.assert_nothing_left("shut down for writing").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_client_gets_to_its_answer() {
    let before = Before::new().await;
    // More than the buffers between the two hold, written before anything is read, as plain clients do.
    let body = small_with(1, 12 << 20);
    let post = |path: &str, token: &str, fields: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n{fields}Content-Length: {}\r\n\r\n",
            body.len()
        )
    };
    let (photos, token) = (format!("/v1/albums/{}/photos", before.album), before.ann.token.clone().unwrap());
    for (head, status) in [
        (post(&photos, "wrong", ""), "401"),
        (post(&photos, &token, "X-Blake3: abc\r\n"), "400"),
        (post(&photos, &token, "Idempotency-Key: \r\n"), "400"),
        (post("/v1/albums/nowhere/photos", &token, ""), "404"),
        (post(&format!("{photos}?name=a%0Ab"), &token, ""), "400"),
        (post("/v1/albums", &token, "Content-Type: application/json\r\n"), "413"),
        (post("/v1/nothing", &token, ""), "404"),
        (post("/v1/me", &token, ""), "405"),
    ] {
        let mut stream = TcpStream::connect(before.ann.base.strip_prefix("http://").unwrap()).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&body).await.expect(&head);
        let mut said = [0; 12];
        stream.read_exact(&mut said).await.expect(&head);
        assert_eq!(String::from_utf8_lossy(&said), format!("HTTP/1.1 {status}"), "{head}");
    }
    // Who waits for leave to send is told at once, and gets no leave.
    let head = post(&photos, "wrong", "Expect: 100-continue\r\n");
    let mut stream = TcpStream::connect(before.ann.base.strip_prefix("http://").unwrap()).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut said = [0; 12];
    stream.read_exact(&mut said).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&said), "HTTP/1.1 401");
    // Who may send is given it.
    let head = post(&photos, &token, "Expect: 100-continue\r\n");
    let mut stream = TcpStream::connect(before.ann.base.strip_prefix("http://").unwrap()).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.read_exact(&mut said).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&said), "HTTP/1.1 100");
    drop(stream);
    until("it is given up", || async { before.receiving().await == 0.0 }).await;
    before.assert_nothing_left("refused before they were read").await;
}
