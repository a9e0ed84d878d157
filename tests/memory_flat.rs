//! Ten gigabytes stream through a real server at 32 connections, and the memory that is its own stays where it was after the first.
//!
//! Photos of 3 MB go up, each of them new, and come down again. What is looked at is anonymous memory (`RssAnon` of proc(5)): the page
//! cache is the system's. Runs with `HALIDOM_TEST_LONG=1` (`make test-long`), and then needs 6 GB of disk.

#![allow(clippy::unwrap_used)] // A test fails where it panics, in its helpers too.

mod harness;
#[path = "durability/settings.rs"]
#[allow(dead_code)] // Each test uses its own part of this.
mod settings;

use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use halidom::runtime::spawn_thread;
use harness::Server;
use settings::{long, say};

const PHOTO_BYTES: u64 = 3_000_000;
const CONNECTIONS: &str = "32";
/// Bytes up, and as many down again: the first sets the measure.
const WARM_UP_BYTES: u64 = 1_000_000_000;
const REST_BYTES: u64 = 9_000_000_000;
/// How often memory is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// `RssAnon` in bytes.
fn anonymous_bytes(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().trim().parse::<u64>().unwrap() * 1024
}

/// Sends or fetches about so many bytes; answers the most anonymous memory that the server had meanwhile.
fn stream(server: &Server, what: &str, bytes: u64) -> u64 {
    let count = (bytes / PHOTO_BYTES).to_string();
    let size = PHOTO_BYTES.to_string();
    let mut driver = Command::new(harness::HALIDOM)
        .args(["bench", what, "--concurrency", CONNECTIONS, "--size", &size, "--count", &count, "--objects", "64", "--keep", "--json"])
        .env("HALIDOM_SERVER", &server.url)
        .env("HALIDOM_TOKEN", server.admin_token())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let (ended, has_ended) = mpsc::channel();
    let waiting = spawn_thread("waits for the driver", move || ended.send(driver.wait().unwrap()).unwrap()).unwrap();
    let mut most = 0;
    let status = loop {
        most = most.max(anonymous_bytes(server.id()));
        match has_ended.recv_timeout(LOOK_EVERY) {
            Ok(status) => break status,
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => panic!("nobody waits for the driver"),
        }
    };
    waiting.join().unwrap();
    assert!(status.success(), "bench {what}: {status}");
    most
}

#[test]
fn anonymous_memory_stays_flat_while_ten_gigabytes_stream_through() {
    if !long() {
        say("SKIPPED: ten gigabytes through a server: set HALIDOM_TEST_LONG=1");
        return;
    }
    let data = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let server = Server::start(data.path());
    let both = |bytes: u64| stream(&server, "upload", bytes / 2).max(stream(&server, "download", bytes / 2));
    let warm = both(WARM_UP_BYTES);
    let mut most = 0;
    for part in 0..3 {
        let now = both(REST_BYTES / 3);
        say(&format!("anonymous memory: {} MiB at most in the first GB, {} MiB in part {part} of the rest", warm >> 20, now >> 20));
        most = most.max(now);
    }
    assert!(most as f64 <= warm as f64 * 1.1, "{most} bytes of anonymous memory after {warm} in the warm-up");
}
