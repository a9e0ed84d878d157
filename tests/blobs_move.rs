//! `halidom blobs move`: a site's blobs go from a disk to a real S3 service and to another disk, while photos come and go and the server is killed.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)] // A test fails where it panics, in its helpers too, and may look how long it shall run.

mod harness;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use halidom::model::BlobHash;
use harness::wait::{PATIENCE, until};
use harness::weed::{BUCKET, Weed};
use harness::{Server, wire};
use serde_json::Value;

/// Photos before the first move.
fn photos() -> u64 {
    if std::env::var_os("HALIDOM_TEST_LONG").is_some() { 20_000 } else { 300 }
}

/// Photo `number`: a picture with a comment of its own, of 100 kB in all where it runs long.
fn photo(number: u64) -> Vec<u8> {
    let picture = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/photos/clock.jpg")).unwrap();
    let length = if photos() > 1000 { 60_000 } else { 3_000 };
    let mut comment: Vec<u8> = number.to_be_bytes().to_vec();
    comment.resize(length, (number % 251) as u8);
    let mut whole = vec![0xff, 0xd8, 0xff, 0xfe];
    whole.extend(u16::try_from(length + 2).unwrap().to_be_bytes());
    whole.extend(comment);
    whole.extend(&picture[2..]);
    whole
}

/// Asks; an error where the connection breaks, as it does where the server is killed.
fn ask(url: &str, method: &str, path: &str, token: &str, body: &[u8]) -> std::io::Result<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect(url.strip_prefix("http://").unwrap())?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let (authorization, length) = (format!("Bearer {token}"), body.len().to_string());
    stream.write_all(wire::head(method, path, &[("authorization", &authorization), ("content-length", &length)]).as_bytes())?;
    stream.write_all(body)?;
    let mut answer = vec![];
    stream.read_to_end(&mut answer)?;
    let cut = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").ok_or_else(cut)?;
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(cut)?;
    let body = answer[end + 4..].to_vec();
    let promised = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
    if promised.is_some_and(|promised| promised != body.len()) { Err(cut()) } else { Ok((status, body)) }
}

/// What the clients share.
struct Load {
    /// Where the server listens now.
    url: Mutex<String>,
    token: String,
    album: String,
    over: AtomicBool,
    /// Photos that were acknowledged: id and hash.
    acknowledged: Mutex<Vec<(String, String)>>,
    /// What should not have been.
    failures: Mutex<Vec<String>>,
}

impl Load {
    fn upload(&self, number: u64) {
        let bytes = photo(number);
        let path = format!("/v1/albums/{}/photos?name={number}.jpg", self.album);
        loop {
            let url = self.url.lock().unwrap().clone();
            // A broken connection is the kill: sent again.
            let Ok((status, body)) = ask(&url, "POST", &path, &self.token, &bytes) else {
                std::thread::yield_now();
                continue;
            };
            let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
            match (status, answer["id"].as_str(), answer["hash"].as_str()) {
                (200 | 201, Some(id), Some(hash)) => {
                    assert_eq!(hash, BlobHash::of(&bytes).to_string());
                    self.acknowledged.lock().unwrap().push((id.to_owned(), hash.to_owned()));
                }
                _ => self.failures.lock().unwrap().push(format!("upload {number}: {status} {}", String::from_utf8_lossy(&body))),
            }
            return;
        }
    }

    fn download(&self, which: u64) {
        let (id, hash) = {
            let all = self.acknowledged.lock().unwrap();
            all[(which % all.len() as u64) as usize].clone()
        };
        let url = self.url.lock().unwrap().clone();
        let Ok((status, body)) = ask(&url, "GET", &format!("/v1/photos/{id}/original"), &self.token, &[]) else { return };
        if status != 200 || BlobHash::of(&body).to_string() != hash {
            self.failures.lock().unwrap().push(format!("download {id}: {status}, {} bytes", body.len()));
        }
    }
}

/// Moves the blobs to `to`, kills the server half way, and waits until it has gone on to the end.
fn move_with_a_kill(server: Server, load: &Load, to: &str, start: impl Fn() -> Server) -> Server {
    let begun = server.admin().json(["blobs", "move", "--to", to, "--rate", if photos() > 1000 { "100MB" } else { "1MB" }, "--detach"]);
    assert_eq!(begun["phase"], "copying", "{begun}");
    let status = |server: &Server| server.admin().json_of(["blobs", "status"]);
    until("a part is copied", || status(&server)["blobs"].as_u64().unwrap(), |blobs| *blobs >= photos() / 4);
    server.kill();
    let server = start();
    *load.url.lock().unwrap() = server.url.clone();
    until("the move goes on and ends", || status(&server), |status| status["phase"] == "switched");
    let now = status(&server);
    assert_eq!((now["home"].as_str(), now["damaged"].as_u64()), (Some(to), Some(0)), "{now}");
    server
}

#[test]
fn blobs_move_under_load_and_kills() {
    let Some(weed) = Weed::start("blobs that move to SeaweedFS's S3") else { return };
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let credentials = weed.credentials();
    let start = || {
        Server::start_with(
            &data,
            &[("HALIDOM_S3__CREDENTIALS_FILE", credentials.to_str().unwrap()), ("HALIDOM_BLOBS__DELETE_GRACE", "60s")],
        )
    };
    let server = start();
    let user = server.user("ann");
    let album = user.json(["album", "create", "all"])["id"].as_str().unwrap().to_owned();
    let load = Arc::new(Load {
        url: Mutex::new(server.url.clone()),
        token: user.token().to_owned(),
        album,
        over: AtomicBool::new(false),
        acknowledged: Mutex::default(),
        failures: Mutex::default(),
    });
    for number in 0..photos() {
        load.upload(number);
    }
    let client = |first: u64| {
        let load = load.clone();
        let work = move || {
            let mut number = first;
            while !load.over.load(Ordering::Relaxed) {
                load.upload(number);
                load.download(number * 7919);
                number += 1;
            }
        };
        halidom::runtime::spawn_thread("client", work).unwrap()
    };
    let clients = [client(1 << 32), client(1 << 33)];

    let s3 = format!("s3://{BUCKET}/moved?endpoint={}", weed.endpoint());
    let server = move_with_a_kill(server, &load, &s3, start);
    let finished = server.admin().json(["blobs", "finish"]);
    assert_eq!((finished["phase"].as_str(), finished["home"].as_str()), (Some("settled"), Some(&*s3)), "{finished}");
    let there = format!("file://{}", directory.path().join("there").display());
    let server = move_with_a_kill(server, &load, &there, start);
    // And back again, which has little to copy: the service got everything meanwhile.
    server.admin().json(["blobs", "back"]);
    assert_eq!(server.admin().json(["blobs", "status"])["home"], s3);
    server.admin().json(["blobs", "back"]);
    server.admin().json(["blobs", "finish"]);

    load.over.store(true, Ordering::Relaxed);
    for client in clients {
        client.join().unwrap();
    }
    let failures = load.failures.lock().unwrap();
    assert!(failures.is_empty(), "{} failed: {:?}", failures.len(), &failures[..failures.len().min(5)]);
    let count = load.acknowledged.lock().unwrap().len() as u64;
    assert!(count > photos(), "there was some load");
    for which in 0..count {
        load.download(which);
    }
    drop(failures);
    assert!(load.failures.lock().unwrap().is_empty(), "{:?}", load.failures.lock().unwrap());
    let check = server.admin().json(["check", "--read-data"]);
    assert_eq!(check["problems"].as_u64(), Some(0), "{check}");
    drop(server);
    // Without the service: the blobs are where they were moved to.
    drop(weed);
    let server = start();
    *load.url.lock().unwrap() = server.url.clone();
    load.download(1);
    assert!(load.failures.lock().unwrap().is_empty());
}
