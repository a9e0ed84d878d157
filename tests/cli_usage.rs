//! The CLI without a server: usage, exit codes, where its words go.

#![allow(clippy::unwrap_used)] // A test fails where it panics, in its helpers too.

mod harness;

use std::net::TcpListener;

use halidom::runtime::spawn_thread;
use harness::{command, wait};

#[test]
fn wrong_usage_ends_with_2() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [
        &["frobnicate"][..],
        &["upload"],
        &["upload", "x"],
        &["--server", "http://127.0.0.1:1", "--token", "t", "upload", "missing", ".", "--album", "A"],
        &["url", "nonsense", "--width", "1"],
        &["--server", "ftp://x", "album", "list"],
        &["--profile", "none", "--profiles", "none.toml", "album", "list"],
        &["--profiles", "none.toml", "url", &"0".repeat(64)],
        &["url", &"0".repeat(64), "--iiif", "--width", "1"],
    ] {
        let output = wait::output(command().current_dir(folder.path()).args(arguments));
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{arguments:?}: {output:?}");
    }
}

#[test]
fn a_failure_ends_with_1_and_says_what_to_do() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    // The listener answers with something else than HTTP, so that nothing waits for retries.
    let answering = spawn_thread("answers", move || {
        use std::io::Write;
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").unwrap();
    });
    let folder = tempfile::tempdir().unwrap();
    let output = wait::output(command().current_dir(folder.path()).args(["--server", &url, "album", "list"]));
    answering.unwrap().join().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.stdout.is_empty() && stderr.starts_with("error: could not list the albums\n  cause: "), "{stderr}");
    assert!(stderr.contains("\nhint: "), "{stderr}");
}

#[test]
fn completions_and_manual_need_no_server() {
    for arguments in
        [&["completions", "bash"][..], &["completions", "zsh"], &["completions", "fish"], &["man"], &["--help"], &["--version"]]
    {
        let output = wait::output(command().args(arguments));
        assert!(output.status.success() && output.stderr.is_empty(), "{arguments:?}: {output:?}");
        assert!(!output.stdout.is_empty(), "{arguments:?}");
        assert!(!output.stdout.contains(&0x1b), "no colours where nobody sees them");
    }
}
