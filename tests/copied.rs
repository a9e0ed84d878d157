//! A store that was copied with rclone or rsync is one: a site lives on over the copy, on a disk and in S3, and finds everything in it.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)] // A test fails where it panics, in its helpers too, and may look where its tools are.

mod harness;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use halidom::config::Config;
use halidom::model::BlobHash;
use halidom::runtime::Runtime;
use harness::wait::{output, until};
use harness::weed::{ACCESS_KEY, BUCKET, SECRET_KEY, Weed};
use harness::{Cli, Server, needs, wire};
use image::imageops::FilterType;
use serde_json::{Value, json};
use turbojpeg::{Image, PixelFormat, Subsamp};

/// 2026-11-24: what was stored then is in the past.
const START_UNIX_MS: u64 = 1_795_521_600_000;

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/photos").join(name)).unwrap()
}

/// A photo that is large enough for a preview.
fn large() -> Vec<u8> {
    let small = turbojpeg::decompress(&fixture("raccoon.jpg"), PixelFormat::RGB).unwrap();
    let small = image::RgbImage::from_raw(small.width as u32, small.height as u32, small.pixels).unwrap();
    let picture = image::imageops::resize(&small, 2_560, 1_920, FilterType::Triangle);
    let image = Image { pixels: picture.as_raw().as_slice(), width: 2_560, pitch: 2_560 * 3, height: 1_920, format: PixelFormat::RGB };
    turbojpeg::compress(image, 85, Subsamp::Sub2x2).unwrap().to_vec()
}

/// Whether a tool is there; says what is left out where not.
fn has(tool: &str, asked: &str) -> bool {
    match Command::new(tool).arg(asked).output() {
        Ok(_) => true,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            needs::missing(tool, &format!("a store that {tool} copied"), &format!("it is not installed (Debian package {tool})"));
            false
        }
        Err(error) => panic!("{tool}: {error}"),
    }
}

/// Runs a tool that has to do all of its work. It knows nothing of the machine's own settings.
fn done(tool: &str, arguments: &[&str], environment: &[(&str, &str)]) {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut command = Command::new(tool);
    command
        .env_clear()
        .env("PATH", path)
        .env("RCLONE_CONFIG", "/nonexistent/rclone.conf")
        .envs(environment.iter().copied())
        .args(arguments);
    let said = output(&mut command);
    assert!(said.status.success(), "{tool} {arguments:?}: {said:?}");
}

fn rclone(from: &str, to: &str, environment: &[(&str, &str)]) {
    done("rclone", &["copy", from, to], environment);
}

/// Copies a directory without what lies in it under one of these names.
fn copy_all(from: &Path, to: &Path, but: &[&str]) {
    for entry in walkdir::WalkDir::new(from).into_iter().filter_entry(|entry| !but.iter().any(|name| entry.file_name() == *name)) {
        let entry = entry.unwrap();
        let target = to.join(entry.path().strip_prefix(from).unwrap());
        if entry.file_type().is_dir() {
            std::fs::create_dir_all(target).unwrap();
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn is_file(entry: &walkdir::DirEntry) -> bool {
    entry.file_type().is_file()
}

/// How many files lie below a directory.
fn files(directory: &Path) -> usize {
    walkdir::WalkDir::new(directory).into_iter().filter_map(Result::ok).filter(is_file).count()
}

/// A site that no server runs any more.
struct Stopped {
    data: PathBuf,
    /// Its album, and who may see it.
    album: String,
    token: String,
}

impl Stopped {
    fn blobs(&self) -> PathBuf {
        self.data.join("blobs")
    }
}

/// Makes a site on a disk with photos and a preview. Behind it lie a photo that was moved to the trash, and a copy that was deleted; another still waits
/// for its deletion, and an upload was cut short.
fn make(data: &Path) -> Stopped {
    let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let runtime = Runtime::simulated(7, START_UNIX_MS);
    let mut config = Config::for_testing(data.to_owned());
    config.renditions.previews = true;
    let running = threads.block_on(halidom::server::start(&config, runtime.clone())).unwrap();
    let url = format!("http://{}", running.http);
    let admin = std::fs::read_to_string(data.join("admin.token")).unwrap().trim().to_owned();
    let call = |token: &str, method: &str, path: &str, body: &[u8]| {
        let authorization = format!("Bearer {token}");
        let headers = [("authorization", &*authorization), ("content-type", "application/json")];
        let answer = wire::call(&url, method, path, &headers, body);
        assert!(answer.status < 300, "{method} {path}: {answer:?}");
        answer
    };
    let post = |token: &str, path: &str, body: Value| call(token, "POST", path, body.to_string().as_bytes()).json();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let user = |name: &str| {
        let user = post(&admin, "/v1/admin/users", json!({ "name": name }));
        text(&post(&admin, "/v1/admin/tokens", json!({ "user": user["id"] }))["token"])
    };
    let album = |token: &str| text(&post(token, "/v1/albums", json!({ "name": "holiday" }))["id"]);
    let upload = |token: &str, album: &str, name: &str, bytes: &[u8]| {
        let authorization = format!("Bearer {token}");
        let answer =
            wire::call(&url, "POST", &format!("/v1/albums/{album}/photos?name={name}"), &[("authorization", &authorization)], bytes);
        assert_eq!(answer.status, 201, "{answer:?}");
        text(&answer.json()["id"])
    };
    let (ann, bob) = (user("ann"), user("bob"));
    let (anns, bobs) = (album(&ann), album(&bob));
    for name in ["clock.jpg", "coffee.webp", "rocket.jpg"] {
        upload(&ann, &anns, name, &fixture(name));
    }
    upload(&ann, &anns, "large.jpg", &large());
    let unloved = upload(&ann, &anns, "gone.jpg", &commented("clock.jpg", "gone"));
    call(&ann, "DELETE", &format!("/v1/photos/{unloved}"), b"");
    // What another user sends is kept anew, and the former copy is deleted later.
    upload(&bob, &bobs, "clock.jpg", &fixture("clock.jpg"));
    let doomed = || call(&admin, "GET", "/v1/admin/usage", b"").json()["doomed"].as_u64().unwrap();
    assert_eq!(doomed(), 1);
    runtime.clock.advance(Duration::from_secs(120));
    until("the former copy is deleted", doomed, |doomed| *doomed == 0);
    upload(&bob, &bobs, "rocket.jpg", &fixture("rocket.jpg"));
    until("the preview is made", || files(&data.join("blobs/previews")), |previews| *previews == 1);
    threads.block_on(running.stop());
    std::fs::write(data.join("blobs/staging").join("0f".repeat(16)), "an upload that was cut short").unwrap();
    Stopped { data: data.to_owned(), album: anns, token: ann }
}

/// A photo with a comment: other bytes.
fn commented(name: &str, comment: &str) -> Vec<u8> {
    let picture = fixture(name);
    let mut whole = vec![0xff, 0xd8, 0xff, 0xfe];
    whole.extend(u16::try_from(comment.len() + 2).unwrap().to_be_bytes());
    whole.extend(comment.as_bytes());
    whole.extend(&picture[2..]);
    whole
}

/// Where the blobs of a site lie, and what it takes to get there.
struct Place<'a> {
    url: String,
    settings: Vec<(&'a str, &'a str)>,
}

impl Place<'_> {
    fn disk(directory: &Path) -> Self {
        Self { url: format!("file://{}", directory.display()), settings: vec![] }
    }

    fn serve(&self, data: &Path) -> Server {
        let own = [("HALIDOM_STORAGE__BLOBS", &*self.url), ("HALIDOM_RENDITIONS__PREVIEWS", "true")];
        Server::start_with(data, &[&own[..], &self.settings].concat())
    }

    /// A command on the stopped site.
    fn offline(&self, data: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
        self.run(&[arguments, &["--data", data.to_str().unwrap()]].concat())
    }

    /// A command on what lies here.
    fn run(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let mut command = harness::command();
        let said = output(command.envs(self.settings.iter().copied()).args(arguments).args(["--blobs", &self.url]));
        (said.status.code(), String::from_utf8(said.stdout).unwrap(), String::from_utf8_lossy(&said.stderr).into_owned())
    }
}

/// Each photo of the album, by its name: the bytes that the server gives.
fn originals(server: &Server, token: &str, album: &str) -> BTreeMap<String, Vec<u8>> {
    let authorization = format!("Bearer {token}");
    let get = |path: &str| {
        let answer = wire::get(&server.url, path, &[("authorization", &authorization)]);
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer
    };
    let listed = get(&format!("/v1/albums/{album}/photos")).json();
    let photos = listed["items"].as_array().unwrap().iter().map(|photo| {
        let bytes = get(&format!("/v1/photos/{}/original", photo["id"].as_str().unwrap())).body;
        assert_eq!(photo["hash"], BlobHash::of(&bytes).to_string());
        (photo["name"].as_str().unwrap().to_owned(), bytes)
    });
    photos.collect()
}

/// Nothing is wrong with the site, running or stopped.
fn assert_clean(report: &Value) {
    assert_eq!((&report["problems"], &report["orphans"], &report["findings"]), (&0.into(), &0.into(), &json!([])), "{report}");
}

/// A site lives on over a copy of its blobs: with all that it had, and with what comes and goes.
fn lives_on(what: &str, site: &Stopped, data: &Path, place: &Place<'_>, had: &BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Vec<u8>> {
    let (code, stdout, stderr) = place.offline(data, &["--json", "check", "--read-data"]);
    assert_eq!(code, Some(0), "{what}: {stdout}{stderr}");
    assert_clean(&serde_json::from_str(&stdout).unwrap());

    let server = place.serve(data);
    let found = originals(&server, &site.token, &site.album);
    assert!(found == *had, "{what}: {:?} instead of {:?}", found.keys(), had.keys());
    let user: Cli = server.cli(&site.token);
    let new = data.with_file_name(format!("{}.jpg", what.replace(' ', "-")));
    std::fs::write(&new, commented("clock.jpg", what)).unwrap();
    let sent = user.json(["upload", "--album", "holiday", new.to_str().unwrap()]);
    assert_eq!((&sent["sent"], &sent["album"]), (&1.into(), &json!(site.album)), "{what}: {sent}");
    let mut now = found;
    let (first, _) = now.pop_first().unwrap();
    let listed = user.json(["photo", "list", &site.album]);
    let id = listed["items"].as_array().unwrap().iter().find(|photo| photo["name"] == *first).unwrap()["id"].as_str().unwrap().to_owned();
    user.json(["photo", "delete", &id]);
    now.insert(new.file_name().unwrap().to_str().unwrap().to_owned(), commented("clock.jpg", what));
    let left = originals(&server, &site.token, &site.album);
    assert!(left == now, "{what}: {:?} instead of {:?}", left.keys(), now.keys());
    assert_clean(&server.admin().json(["check", "--read-data"]));
    let said = server.admin().run(["--json", "inventory", "--read-data"]);
    assert_sound(what, (said.code, said.stdout, said.stderr), &["named", "doomed"]);
    assert_sound(what, place.run(&["--json", "inventory", "--read-data"]), &["stored"]);
    server.terminate();
    assert!(server.ended().success(), "{what}");

    assert_sound(what, place.offline(data, &["--json", "inventory", "--read-data"]), &["named", "doomed"]);
    now
}

/// An inventory is whole, and what it lists is in one of these states, the first one among them.
fn assert_sound(what: &str, (code, stdout, stderr): (Option<i32>, String, String), states: &[&str]) {
    assert_eq!(code, Some(0), "{what}: {stdout}{stderr}");
    let mut lines: Vec<Value> = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.pop().unwrap()["summary"].is_object(), "{what}: {stdout}");
    let found: BTreeSet<_> = lines.iter().map(|line| line["state"].as_str().unwrap()).collect();
    assert!(found.contains(states[0]) && found.iter().all(|state| states.contains(state)), "{what}: {stdout}");
}

#[test]
fn a_copied_store_is_a_store() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let site = make(&at("site"));
    let blobs = site.blobs();
    let from = blobs.to_str().unwrap();
    // The metadata as it was, for each copy of the blobs.
    let metadata = |name: &str| {
        copy_all(&site.data, &at(name), &["blobs", "renditions-cache"]);
        at(name)
    };
    let had = {
        let server = Place::disk(&blobs).serve(&metadata("first"));
        originals(&server, &site.token, &site.album)
    };
    assert_eq!(had.keys().collect::<Vec<_>>(), ["clock.jpg", "coffee.webp", "large.jpg", "rocket.jpg"]);
    let previews = |store: &Path| files(&store.join("previews"));

    if has("rsync", "--version") {
        let copy = at("by-rsync");
        done("rsync", &["-a", &format!("{from}/"), copy.to_str().unwrap()], &[]);
        assert_eq!(previews(&copy), 1);
        lives_on("a copy by rsync", &site, &metadata("rsync"), &Place::disk(&copy), &had);
    }
    if !has("rclone", "version") {
        return;
    }
    let copy = at("by-rclone");
    rclone(from, copy.to_str().unwrap(), &[]);
    assert_eq!(previews(&copy), 1);
    lives_on("a copy by rclone", &site, &metadata("rclone"), &Place::disk(&copy), &had);

    let Some(weed) = Weed::start("a store that was copied to SeaweedFS's S3 and back") else { return };
    let (endpoint, credentials) = (weed.endpoint(), weed.credentials());
    let remote = [
        ("RCLONE_CONFIG_WEED_TYPE", "s3"),
        ("RCLONE_CONFIG_WEED_PROVIDER", "Other"),
        ("RCLONE_CONFIG_WEED_ENDPOINT", &*endpoint),
        ("RCLONE_CONFIG_WEED_ACCESS_KEY_ID", ACCESS_KEY),
        ("RCLONE_CONFIG_WEED_SECRET_ACCESS_KEY", SECRET_KEY),
    ];
    let bucket = format!("weed:{BUCKET}/site/one");
    rclone(from, &bucket, &remote);
    let in_s3 = Place {
        url: format!("s3://{BUCKET}/site/one?endpoint={endpoint}"),
        settings: vec![("HALIDOM_S3__CREDENTIALS_FILE", credentials.to_str().unwrap())],
    };
    let data = metadata("s3");
    let now = lives_on("a copy in S3", &site, &data, &in_s3, &had);

    // And back to a disk, with what came and went meanwhile.
    let copy = at("from-s3");
    rclone(&bucket, copy.to_str().unwrap(), &remote);
    assert_eq!(previews(&copy), 1);
    lives_on("a copy from S3", &site, &data, &Place::disk(&copy), &now);
}

#[test]
fn a_copy_of_an_empty_store_is_one() {
    if !has("rclone", "version") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let (data, copy) = (directory.path().join("site"), directory.path().join("copy"));
    Server::start(&data).kill();
    rclone(data.join("blobs").to_str().unwrap(), copy.to_str().unwrap(), &[]);
    assert!(!copy.join("blobs").exists(), "it leaves out empty directories");
    let place = Place::disk(&copy);
    for command in ["check", "inventory"] {
        assert_eq!(place.offline(&data, &[command]).0, Some(0), "{command}");
    }
    std::fs::remove_dir(copy.join("blobs")).unwrap();
    let server = place.serve(&data);
    let user = server.user("ann");
    let clock = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/photos/clock.jpg");
    assert_eq!(user.json(["upload", "--album", "holiday", clock.to_str().unwrap()])["sent"], 1);
    server.kill();

    // Once there are photos, a directory that is missing is an error.
    std::fs::rename(copy.join("blobs"), directory.path().join("away")).unwrap();
    let (code, _, stderr) = place.offline(&data, &["check"]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("is its disk mounted"), "{stderr}");
}
