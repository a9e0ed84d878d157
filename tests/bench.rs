//! `halidom bench` against a real server: it does what was asked, says what it saw, and leaves nothing behind.

#![allow(clippy::unwrap_used)] // A test fails where it panics, in its helpers too.

mod harness;

use harness::Server;
use serde_json::Value;

#[test]
fn it_measures_uploads_downloads_and_thumbnails() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"));
    let admin = server.admin();
    let mut server_cpu_seconds = 0.0;
    for what in ["upload", "download", "thumbnail"] {
        let arguments =
            ["bench", what, "--count", "24", "--objects", "6", "--concurrency", "4", "--size", "50KB", "--metrics", &server.admin_url];
        let report = admin.json(arguments);
        assert_eq!((&report["what"], &report["requests"], &report["errors"]), (&what.into(), &24.into(), &0.into()), "{report}");
        let number = |path: &str| report.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("no number {path}: {report}"));
        assert!(number("/seconds") > 0.0 && number("/requests_per_second") > 0.0 && number("/bytes_per_second") > 0.0, "{report}");
        let percentiles = ["p50", "p90", "p99", "max"].map(|name| number(&format!("/latency_seconds/{name}")));
        assert!(percentiles[0] > 0.0 && percentiles.is_sorted(), "{report}");
        assert!(report["client_cpu_seconds"].is_number(), "{report}");
        server_cpu_seconds += number("/server_cpu_seconds");
        match what {
            "thumbnail" => assert!(number("/bytes") > 0.0),
            _ => assert_eq!(number("/bytes"), 24.0 * number("/object_bytes")),
        }
    }
    // Of each run alone: together no more than the server ever took.
    let page = server.metrics();
    let all = page.lines().find_map(|line| line.strip_prefix("process_cpu_seconds_total ")).unwrap().parse::<f64>().unwrap();
    assert!(server_cpu_seconds > 0.0 && server_cpu_seconds <= all + 1e-6, "{server_cpu_seconds} of {all}");
    assert_eq!(admin.json(["album", "list"])["items"], Value::Array(Vec::new()), "its albums are in the trash");
    assert_eq!(admin.json(["check", "--read-data"])["problems"], 0);
}

#[test]
fn errors_are_counted_and_end_with_code_3() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(
        &folder.path().join("data"),
        &[("HALIDOM_LIMITS__MAX_UPLOAD_BYTES", "64KiB"), ("HALIDOM_LIMITS__MAX_EMBEDDED_BYTES", "64KiB")],
    );
    let admin = server.admin();
    let report = admin.json_ending(3, ["bench", "upload", "--count", "5", "--size", "100KB"]);
    assert_eq!((&report["requests"], &report["errors_by_code"]["too_large"]), (&0.into(), &5.into()), "{report}");
    // Metrics that were asked for and are not there: it says so before it begins.
    let said = admin.run(["bench", "upload", "--count", "1", "--metrics", &server.url]);
    assert!(said.code == Some(1) && said.stderr.contains("metrics"), "{said:?}");
    assert_eq!(admin.json(["album", "list"])["items"], Value::Array(Vec::new()));
}
