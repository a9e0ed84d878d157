//! Real and hostile files over HTTP, where a collection of them exists: every file gets its manifest's verdict as a status, nothing is left
//! of what is refused, and the server's memory stays within what its settings allow.
//!
//! The collection is no part of the project. It is looked for at `HALIDOM_CORPUS`; without it the test says so and passes.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use halidom::api::Problem;
use halidom::config::environment;
use reqwest::{Client, Response};
use serde_json::{Value, json};

use super::harness::{Server, needs};
use super::photos::decoded;

const MIB: u64 = 1 << 20;
/// What decoding one photo may take.
const DECODED_MIB: u64 = 96;
/// What originals may take that are read whole.
const ORIGINALS_MIB: u64 = 32;
/// What renditions may take that are kept.
const CACHE_MIB: u64 = 1;
/// Allowed beside what the settings bound: the code's own pages that are only touched now (RocksDB and the decoders among them), stacks
/// of threads, buffers of connections and of RocksDB, what the allocator keeps of what was given back.
const SLACK_MIB: u64 = 96;
/// Files sent at once.
const AT_ONCE: usize = 4;
/// With `HALIDOM_TEST_LONG=1`: files at once, and how often all of them come, with their renditions of another quality each time.
const LONG_AT_ONCE: usize = 16;
const LONG_ROUNDS: u8 = 10;
/// What a decoder process may have beside three times what decoding may take, and the photo (docs/operating.md).
const PROCESS_MIB: u64 = 256;
/// Kinds of decoders: for uploads, renditions, slow renditions, previews.
const KINDS: u64 = 4;
/// The manifest's date of these is not EXIF's: it comes from a maker's note of thermal cameras.
const DATES_ELSEWHERE: [&str; 1] = ["cam_flir-iphone-device.jpg"];

struct File {
    name: String,
    path: PathBuf,
    columns: HashMap<String, String>,
}

impl File {
    fn get(&self, column: &str) -> &str {
        self.columns.get(column).map_or("", String::as_str)
    }
}

fn manifest(folder: &Path) -> Vec<File> {
    let manifest = std::fs::read_to_string(folder.join("MANIFEST.tsv")).unwrap();
    let mut lines = manifest.lines();
    let header: Vec<&str> = lines.next().unwrap().split('\t').collect();
    let file = |line: &str| {
        let columns: HashMap<_, _> =
            header.iter().zip(line.split('\t')).map(|(name, cell)| ((*name).to_owned(), cell.to_owned())).collect();
        File { name: columns["file"].clone(), path: folder.join(&columns["file"]), columns }
    };
    lines.map(file).collect()
}

/// Says something past the test runner's capture.
fn say(line: &str) {
    // Nobody reading it is no reason to fail.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// The processes that a server has started and that live.
fn decoders_of(server: u32) -> Vec<u32> {
    let ids = std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    let parent = |id: u32| {
        // One that has ended meanwhile has none.
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
        status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse::<u32>().ok()
    };
    ids.filter(|id| parent(*id) == Some(server)).collect()
}

/// The memory that processes have now, together, in bytes; what they share is counted for each.
fn together(processes: &[u32]) -> u64 {
    let resident = |id: &u32| {
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim().trim_end_matches(" kB").parse::<u64>().ok()
    };
    processes.iter().filter_map(resident).sum::<u64>() * 1024
}

/// The most memory that a process ever had, in bytes.
fn peak(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux says it");
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

struct Sender<'a> {
    http: Client,
    server: &'a Server,
    token: String,
    album: String,
}

impl Sender<'_> {
    async fn send(&self, file: &File) -> Response {
        let request = self.http.post(format!("{}/v1/albums/{}/photos", self.server.url, self.album)).query(&[("name", &file.name)]);
        request.bearer_auth(&self.token).body(std::fs::read(&file.path).unwrap()).send().await.unwrap()
    }

    /// What this file gets wrong, one line each; in each round with another rendition.
    async fn judge(&self, file: &File, round: u8) -> Vec<String> {
        let answer = self.send(file).await;
        let (status, body) = (answer.status().as_u16(), answer.text().await.unwrap());
        let wrong = match (status, file.get("verdict")) {
            (200 | 201, "refuse") => vec!["taken, must be refused".to_owned()],
            (200 | 201, _) => self.differences(file, &serde_json::from_str(&body).unwrap(), round).await,
            (413 | 415 | 422, "accept") => vec![format!("refused: {body}")],
            (413 | 415 | 422, _) => {
                let code = serde_json::from_str::<Problem>(&body).map(|problem| problem.code);
                let known = matches!(code.as_deref(), Ok("too_large" | "not_an_image" | "broken_image"));
                if known { vec![] } else { vec![format!("refused without a problem: {body}")] }
            }
            // Come again: what was sent had no turn.
            (503, _) => return Box::pin(self.judge(file, round)).await,
            _ => vec![format!("{status}: {body}")],
        };
        wrong.into_iter().map(|wrong| format!("{}: {wrong}", file.name)).collect()
    }

    async fn differences(&self, file: &File, photo: &Value, round: u8) -> Vec<String> {
        let mut wrong = vec![];
        let mut check = |what: &str, expected: Value, found: &Value| {
            if expected != *found {
                wrong.push(format!("{what}: expected {expected}, found {found}"));
            }
        };
        // The sizes are those after orientation: a wrong one shows here wherever the sides are swapped, and below in the rendition.
        let number = |column: &str| file.get(column).parse::<u64>().ok();
        let (width, height) = (number("width"), number("height"));
        check("hash", file.get("blake3").into(), &photo["hash"]);
        if let (Some(width), Some(height)) = (width, height) {
            check("size", json!([width, height]), &json!([photo["width"], photo["height"]]));
        }
        if !DATES_ELSEWHERE.contains(&file.name.as_str()) {
            let date = Some(file.get("exif_date").trim_end_matches('Z')).filter(|date| !date.is_empty() && !date.starts_with("0000"));
            // In whole seconds, and without the offset that the manifest leaves out.
            let found = photo["taken_at"].as_str().map(|taken| taken.chars().take(19).collect::<String>());
            check("date", date.map(|date| date.replacen(':', "-", 2).replace(' ', "T")).into(), &found.into());
        }
        for (column, field) in [("make", "make"), ("model", "model")] {
            let text = Some(file.get(column).trim()).filter(|text| !text.is_empty());
            check(field, text.into(), &photo["camera"][field]);
        }
        wrong.extend(self.rendition(file, photo, round).await);
        wrong
    }

    /// Whatever was taken can be shown; only damage inside a large picture may show as late as here.
    async fn rendition(&self, file: &File, photo: &Value, round: u8) -> Option<String> {
        let asked = json!({ "hash": photo["hash"], "width": 320, "height": 320, "quality": 80 - round });
        let signed = self.http.post(format!("{}/v1/urls", self.server.url)).bearer_auth(&self.token).json(&asked).send();
        let signed: Value = signed.await.unwrap().json().await.unwrap();
        let url = format!("{}{}", self.server.url, signed["url"].as_str().unwrap());
        // Sixteen at once may be more than one photo or the queue may have: 503 says to come again.
        let (status, answer) = loop {
            let answer = self.http.get(&url).send().await.unwrap();
            match answer.status().as_u16() {
                503 => tokio::task::yield_now().await,
                status => break (status, answer),
            }
        };
        let body = answer.bytes().await.unwrap();
        if status != 200 {
            let excused = file.get("verdict") == "either" && status == 422;
            return (!excused).then(|| format!("thumbnail: {status}: {}", String::from_utf8_lossy(&body)));
        }
        let [width, height] = ["width", "height"].map(|side| photo[side].as_f64().unwrap());
        let scale = (320.0 / width).min(320.0 / height).min(1.0);
        let image = decoded(&body);
        let apart = |found: u32, side: f64| (f64::from(found) - (side * scale).max(1.0)).abs();
        let fits = apart(image.width(), width) <= 1.0 && apart(image.height(), height) <= 1.0;
        (!fits).then(|| format!("thumbnail of {} x {}", image.width(), image.height()))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_file_gets_its_verdict_and_memory_stays_within_the_settings() {
    let Some(folder) = environment().get("HALIDOM_CORPUS").filter(|path| !path.is_empty()).map(PathBuf::from) else {
        return needs::skipped("real and hostile files over HTTP", "there is no corpus (HALIDOM_CORPUS)");
    };
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let mib = |count: u64| format!("{count}MiB");
    let (decoded, originals, whole, cache) = (mib(DECODED_MIB), mib(ORIGINALS_MIB), mib(2 * ORIGINALS_MIB), mib(CACHE_MIB));
    let server = Server::start_with(
        &data,
        &[
            ("HALIDOM_LIMITS__MAX_UPLOAD_BYTES", &originals),
            ("HALIDOM_LIMITS__DECODE_MEMORY_BYTES", &whole),
            ("HALIDOM_BLOBS__HOLD_MEMORY_BYTES", "0B"),
            ("HALIDOM_LIMITS__MAX_DECODED_BYTES", &decoded),
            ("HALIDOM_RENDITIONS__CONCURRENCY", "1"),
            ("HALIDOM_RENDITIONS__CACHE_BYTES", &cache),
        ],
    );
    let before = peak(server.id());
    let http = Client::builder().retry(reqwest::retry::never()).tls_certs_only([]).build().unwrap();
    let token = server.admin_token();
    let api = |path: &str, body: Value| http.post(format!("{}{path}", server.url)).bearer_auth(&token).json(&body).send();
    let album: Value = api("/v1/albums", json!({ "name": "Corpus" })).await.unwrap().json().await.unwrap();
    let album = album["id"].as_str().unwrap().to_owned();
    let sender = Sender { http: http.clone(), server: &server, token: token.clone(), album };

    let files = manifest(&folder);
    assert!(files.len() > 100, "only {} files: is this the corpus?", files.len());
    let is_long = environment().get("HALIDOM_TEST_LONG").is_some_and(|value| value == "1");
    let (rounds, at_once) = if is_long { (LONG_ROUNDS, LONG_AT_ONCE) } else { (1, AT_ONCE) };
    let most = AtomicU64::new(0);
    for round in 0..rounds {
        let judge = async |file| {
            let wrong = sender.judge(file, round).await;
            most.fetch_max(together(&decoders_of(server.id())), Ordering::Relaxed);
            wrong
        };
        let judged = futures_util::stream::iter(files.iter().map(judge));
        let judged = futures_util::StreamExt::buffer_unordered(judged, at_once);
        let wrong: Vec<String> = futures_util::StreamExt::collect::<Vec<_>>(judged).await.concat();
        assert!(wrong.is_empty(), "round {round}: {} differences:\n{}", wrong.len(), wrong.join("\n"));
    }

    let report: Value = api("/v1/admin/check", json!({ "read_data": true })).await.unwrap().json().await.unwrap();
    assert_eq!((&report["problems"], &report["orphans"]), (&json!(0), &json!(0)), "{report}");
    let staged = std::fs::read_dir(data.join("blobs/staging")).unwrap().count();
    assert_eq!(staged, 0, "nothing lies in staging");

    // One rendition at a time and an inspection a core, with the originals that wait for them and what is kept; decoded is elsewhere.
    let allowed = before + (2 * 2 * ORIGINALS_MIB + CACHE_MIB + SLACK_MIB) * MIB;
    let decoders = decoders_of(server.id());
    let (own, each) = (peak(server.id()), decoders.iter().map(|id| peak(*id)).max().unwrap_or_default());
    let allowed_each = (3 * DECODED_MIB + ORIGINALS_MIB + PROCESS_MIB) * MIB;
    let count = decoders.len();
    say(&format!(
        "{} files, {rounds} times, {at_once} at once: the server had {} MiB at most, {} at first, {} allowed; each of {count} decoders {} MiB, {} allowed",
        files.len(),
        own / MIB,
        before / MIB,
        allowed / MIB,
        each / MIB,
        allowed_each / MIB
    ));
    assert!(own <= allowed && each <= allowed_each && count > 0);
    // Of each kind of decoders, for each four of them, one photo as large as may be; and what the processes are beside that.
    let (most, allowed) =
        (most.into_inner(), (KINDS * halidom::runtime::cores().div_ceil(4) as u64 * DECODED_MIB + count as u64 * PROCESS_MIB) * MIB);
    say(&format!("all decoders had {} MiB together, {} allowed", most / MIB, allowed / MIB));
    assert!(most <= allowed);
}
