//! Readiness and the orderly stop of a real server.

#![allow(clippy::unwrap_used)] // A test fails where it panics, in its helpers too.

mod harness;

use std::io::Write as _;
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use harness::wait::until;
use harness::{Server, wait, wire};
use rustix::process::Signal;

fn photo() -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/photos");
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    let jpegs = entries.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "jpg"));
    std::fs::read(jpegs.min_by_key(|entry| (entry.metadata().unwrap().len(), entry.file_name())).unwrap().path()).unwrap()
}

/// An upload that the server has begun to take.
struct Half {
    stream: TcpStream,
    rest: Vec<u8>,
}

impl Half {
    /// Sends the first bytes of a photo into a new album, and waits until they are taken.
    fn sent(server: &Server) -> Self {
        let auth = format!("Bearer {}", server.admin_token());
        let auth = ("authorization", auth.as_str());
        let made = wire::call(&server.url, "POST", "/v1/albums", &[auth, ("content-type", "application/json")], br#"{"name": "last"}"#);
        let album = made.json()["id"].as_str().unwrap().to_owned();
        let (mut photo, mut stream) = (photo(), wire::connect(&server.url));
        let length = photo.len().to_string();
        let head = wire::head("POST", &format!("/v1/albums/{album}/photos?name=last.jpg"), &[auth, ("content-length", &length)]);
        let rest = photo.split_off(1_000);
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&photo).unwrap();
        until("the upload runs", || server.metrics(), |page| page.contains("halidom_queue_running{queue=\"uploads\"} 1\n"));
        Self { stream, rest }
    }

    /// Sends the rest; what is answered.
    fn finished(mut self) -> wire::Answer {
        self.stream.write_all(&self.rest).unwrap();
        wire::answer(self.stream)
    }
}

fn ready(url: &str) -> (u16, String) {
    let answer = wire::get(url, "/readyz", &[]);
    (answer.status, answer.text())
}

#[test]
fn a_stop_says_so_first_and_lets_an_upload_end() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Server::start_with(&data, &[("HALIDOM_SERVER__SHUTDOWN_DELAY", "2s")]);
    let auth = format!("Bearer {}", server.admin_token());
    assert_eq!(ready(&server.url).0, 200);
    assert_eq!(ready(&server.admin_url).0, 200);
    let under_way = Half::sent(&server);

    let (url, admin_url) = (server.url.clone(), server.admin_url.clone());
    server.terminate();
    until("not ready while it stops", || ready(&admin_url), |(status, _)| *status == 503);
    // The public listener is still open, and says the same, until the delay has passed.
    let (status, text) = ready(&url);
    assert!(status == 503 && text.contains("shutting down"), "{status} {text}");
    until("the public listener closes", || wire::is_open(&url), |is_open| !is_open);
    let (status, text) = ready(&admin_url);
    assert!(status == 503 && text.contains("shutting down"), "also while it drains: {status} {text}");
    assert!(wire::get(&admin_url, "/metrics", &[]).text().contains("halidom_ready 0\n"));
    assert_eq!(wire::get(&admin_url, "/livez", &[]).status, 200);

    let answer = under_way.finished();
    assert_eq!(answer.status, 201, "{answer:?}");
    let (id, hash) = (answer.json()["id"].as_str().unwrap().to_owned(), answer.json()["hash"].clone());
    assert!(server.ended().success());

    let server = Server::start(&data);
    let found = wire::get(&server.url, &format!("/v1/photos/{id}"), &[("authorization", &auth)]);
    assert_eq!((found.status, found.json()["hash"].clone()), (200, hash));
}

#[test]
fn a_second_signal_closes_at_once_and_lets_an_upload_end_all_the_same() {
    for second in [Signal::TERM, Signal::INT] {
        let folder = tempfile::tempdir().unwrap();
        // Longer than any of these tests waits.
        let server = Server::start_with(&folder.path().join("data"), &[("HALIDOM_SERVER__SHUTDOWN_DELAY", "5m")]);
        let under_way = Half::sent(&server);
        server.signal(Signal::INT);
        until("not ready while it stops", || ready(&server.admin_url), |(status, _)| *status == 503);
        assert!(wire::is_open(&server.url), "the delay has begun");
        server.signal(second);
        until("the public listener closes", || wire::is_open(&server.url), |is_open| !is_open);
        assert_eq!(wire::get(&server.admin_url, "/livez", &[]).status, 200, "it drains");
        // A third one changes nothing: what was begun may end within the grace.
        server.signal(second);
        let answer = under_way.finished();
        assert_eq!(answer.status, 201, "{answer:?}");
        assert!(server.ended().success());
    }
}

#[test]
fn a_store_that_is_gone_makes_it_unready_and_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Server::start(&data);
    assert_eq!(ready(&server.url).0, 200);
    // As when another disk was mounted over it.
    std::fs::rename(data.join("blobs"), data.join("elsewhere")).unwrap();
    until("not ready without its store", || ready(&server.url), |(status, _)| *status == 503);
    let answer = wire::get(&server.url, "/readyz", &[]);
    assert_eq!((answer.status, answer.code()), (503, "unavailable".to_owned()));
    assert!(answer.header("retry-after").is_some());
    assert_eq!(wire::get(&server.url, "/livez", &[]).status, 200, "restarting it would not help");
    std::fs::rename(data.join("elsewhere"), data.join("blobs")).unwrap();
    until("ready again", || ready(&server.url), |(status, _)| *status == 200);
}

#[test]
fn asking_often_does_not_load_the_stores() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"));
    let probes = |page: &str| {
        let line = page.lines().find_map(|line| line.strip_prefix("halidom_blob_operation_duration_seconds_count{operation=\"probe\"} "));
        line.map_or(0_u64, |count| count.parse().unwrap())
    };
    let asked = 200;
    for _ in 0..asked {
        assert_eq!(ready(&server.url).0, 200);
    }
    let tried = probes(&server.metrics());
    assert!((1..asked / 4).contains(&tried), "{tried} trials for {asked} questions");
}

#[test]
#[should_panic(expected = "does not end")]
fn a_server_that_starts_where_it_should_refuse_fails_its_test() {
    let folder = tempfile::tempdir().unwrap();
    let mut serve = harness::command();
    serve.args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "off", "--data"]).arg(folder.path().join("data"));
    wait::output_within(Duration::ZERO, &mut serve);
}

#[test]
fn a_second_site_is_refused_before_anything_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut command = harness::command();
    let output = wait::output(command.args(["serve", "--listen", "127.0.0.1:0", "--peer-listen", "127.0.0.1:0", "--data"]).arg(&data));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && said.contains("peer_listen"), "{said}");
    assert!(!data.exists());
    // An address that another listens on.
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = other.local_addr().unwrap().to_string();
    for (listen, admin) in [(taken.as_str(), "off"), ("127.0.0.1:0", taken.as_str())] {
        let mut command = harness::command();
        let output = wait::output(command.args(["serve", "--listen", listen, "--admin-listen", admin, "--data"]).arg(&data));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && said.contains(&taken), "{said}");
        assert!(!data.exists());
    }
    // Settings that are read, but cannot be, say where they come from.
    let output = wait::output(harness::command().env("HALIDOM_LIMITS__MAX_PAGE", "many").args(["serve", "--data"]).arg(&data));
    assert!(String::from_utf8_lossy(&output.stderr).contains("HALIDOM_LIMITS__MAX_PAGE"), "{output:?}");
    assert!(output.status.code() == Some(1) && !data.exists(), "{output:?}");
}
