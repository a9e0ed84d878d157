//! The log of a real server: one line a request, found by the id that the client was told, and nothing secret in it.

#![allow(clippy::unwrap_used)] // A test fails where it panics, in its helpers too.

mod harness;

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use harness::wait::until;
use harness::{Server, wire};
use serde_json::Value;
use turbojpeg::{Image, PixelFormat, Subsamp};

struct Log(std::path::PathBuf);

impl Log {
    /// Every line of the log so far is one JSON object; those of the request with this id.
    fn of(&self, id: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.0).unwrap();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let lines = whole.lines().map(|line| serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}")));
        lines.filter(|line| line["spans"].as_array().is_some_and(|spans| spans.iter().any(|span| span["id"] == id))).collect()
    }

    /// The one line that says how the request ended, once it is there. It is written when the answer has gone out, so it may lag a
    /// little.
    fn end_of(&self, id: &str) -> Value {
        let ends = || self.of(id).into_iter().filter(|line| line.get("elapsed_us").is_some()).collect();
        let mut ends: Vec<Value> = until(&format!("the log says how {id} ended"), ends, |ends: &Vec<Value>| !ends.is_empty());
        assert_eq!(ends.len(), 1, "{ends:?}");
        ends.remove(0)
    }
}

/// A JPEG with bytes in it that belong to nothing, which every viewer passes over.
fn damaged_inside() -> Vec<u8> {
    let pixels = [90; 16 * 16 * 3];
    let image = Image { pixels: pixels.as_slice(), width: 16, pitch: 16 * 3, height: 16, format: PixelFormat::RGB };
    let mut jpeg = turbojpeg::compress(image, 90, Subsamp::None).unwrap().to_vec();
    let end = jpeg.len() - 2;
    jpeg.splice(end..end, [0x55; 20]);
    jpeg
}

#[test]
fn a_photo_that_came_damaged_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log(folder.path().join("log"));
    let stderr = Stdio::from(std::fs::File::create(&log.0).unwrap());
    let settings = [("HALIDOM_LOG__FORMAT", "json"), ("HALIDOM_LOG__LEVEL", "info")];
    let server = Server::start_logging(&folder.path().join("data"), &settings, stderr);
    let auth = format!("Bearer {}", server.admin_token());
    let call = |path: &str, id: &str, body: &[u8]| {
        let headers = [("authorization", auth.as_str()), ("content-type", "application/json"), ("x-request-id", id)];
        wire::call(&server.url, "POST", path, &headers, body)
    };
    let album = call("/v1/albums", "make-1", br#"{"name": "a"}"#).json()["id"].as_str().unwrap().to_owned();
    let made = call(&format!("/v1/albums/{album}/photos?name=a.jpg"), "up-1", &damaged_inside());
    assert_eq!(made.status, 201, "{made:?}");
    log.end_of("up-1");
    let said: Vec<_> = log.of("up-1").into_iter().filter(|line| line.get("warning").is_some()).collect();
    assert_eq!((said.len(), &said[0]["hash"]), (1, &made.json()["hash"]), "{said:?}");
    assert!(said[0]["warning"].as_str().unwrap().contains("Corrupt JPEG data"), "{said:?}");
}

#[test]
fn a_request_is_found_by_its_id() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log(folder.path().join("log"));
    let stderr = Stdio::from(std::fs::File::create(&log.0).unwrap());
    let settings = [("HALIDOM_LOG__FORMAT", "json"), ("HALIDOM_LOG__LEVEL", "info")];
    let server = Server::start_logging(&folder.path().join("data"), &settings, stderr);
    let token = server.admin_token();
    let auth = format!("Bearer {token}");
    let call = |method: &str, path: &str, id: &str, body: &[u8]| {
        let headers = [("authorization", auth.as_str()), ("content-type", "application/json"), ("x-request-id", id)];
        wire::call(&server.url, method, path, &headers, body)
    };
    let album = call("POST", "/v1/albums", "make-1", br#"{"name": "private words"}"#).json()["id"].as_str().unwrap().to_owned();
    let end = log.end_of("make-1");
    assert_eq!((&end["status"], &end["route"], &end["whole"]), (&201.into(), &"/v1/albums".into(), &true.into()), "{end}");

    // A photo goes in and comes back whole.
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/photos");
    let jpegs = std::fs::read_dir(fixtures).unwrap().map(|entry| entry.unwrap().path());
    let jpegs = jpegs.filter(|path| path.extension().is_some_and(|extension| extension == "jpg"));
    let photo = std::fs::read(jpegs.max_by_key(|path| (path.metadata().unwrap().len(), path.clone())).unwrap()).unwrap();
    let made = call("POST", &format!("/v1/albums/{album}/photos?name=secret.jpg"), "up-1", &photo).json();
    let end = log.end_of("up-1");
    assert_eq!((&end["received_bytes"], &end["whole"]), (&photo.len().into(), &true.into()), "{end}");
    let original = format!("/v1/photos/{}/original", made["id"].as_str().unwrap());
    assert_eq!(call("GET", &original, "down-1", b"").body.len(), photo.len());
    let end = log.end_of("down-1");
    assert_eq!((&end["sent_bytes"], &end["whole"]), (&photo.len().into(), &true.into()), "{end}");

    // A refusal: the id stands in header, problem and log, with the code.
    let refused = call("GET", "/v1/albums/0192e4a0-0000-7000-8000-000000000000", "lost-1", b"");
    assert_eq!((refused.header("x-request-id"), &refused.json()["request_id"]), (Some("lost-1"), &"lost-1".into()));
    let end = log.end_of("lost-1");
    assert_eq!((&end["status"], &end["code"]), (&404.into(), &"not_found".into()), "{end}");
    // A deed stands with it in the audit log.
    assert_eq!(call("POST", "/v1/admin/users", "deed-1", br#"{"name": "ann"}"#).status, 201);
    let audit = call("GET", "/v1/admin/audit", "audit-1", b"").json();
    let deed = audit["items"].as_array().unwrap().iter().find(|record| record["action"] == "user.create").unwrap();
    assert!(deed.to_string().contains("deed-1"), "{deed}");

    // An id of the server's own where the client sends none, or one that would break a line.
    for sent in [None, Some("a\tb"), Some("x".repeat(65).as_str())] {
        let headers: Vec<_> = sent.into_iter().map(|id| ("x-request-id", id)).collect();
        let answer = wire::get(&server.url, "/livez", &headers);
        let id = answer.header("x-request-id").unwrap().to_owned();
        assert!(Some(id.as_str()) != sent && id.len() == 16, "{id}");
        assert_eq!(log.end_of(&id)["route"], "/livez");
    }

    // A client that leaves in the middle of its upload.
    let mut stream = wire::connect(&server.url);
    let length = photo.len().to_string();
    let headers = [("authorization", auth.as_str()), ("x-request-id", "left-1"), ("content-length", &length)];
    stream.write_all(wire::head("POST", &format!("/v1/albums/{album}/photos?name=b.jpg"), &headers).as_bytes()).unwrap();
    stream.write_all(&photo[..1_000]).unwrap();
    drop(stream);
    let end = log.end_of("left-1");
    assert!(end["received_bytes"].as_u64().unwrap() <= 1_000, "{end}");

    let text = std::fs::read_to_string(&log.0).unwrap();
    for secret in [token.as_str(), "private words", "secret.jpg"] {
        assert!(!text.contains(secret), "{secret} stands in the log");
    }
}
