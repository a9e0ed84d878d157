//! `/metrics` of a real server: every family that docs/metrics.md names is exposed, none is that is not named, the counters and
//! histograms that a request moves move, and promtool has nothing to complain of.

#![allow(clippy::unwrap_used)] // A test fails where it panics, in its helpers too.

mod harness;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use harness::wait::until;
use harness::{Server, needs, wire};
use serde_json::json;

/// A page of metrics: samples with their labels, and families with their types.
struct Page {
    text: String,
    samples: BTreeMap<String, f64>,
    families: BTreeMap<String, String>,
}

impl Page {
    fn of(server: &Server) -> Self {
        let text = server.metrics();
        let samples = text.lines().filter(|line| !line.starts_with('#')).map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        });
        let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
        let families = types.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect();
        Self { samples: samples.collect(), families, text }
    }

    /// The sum of all samples of `name` that have all of these labels, written `key="value"`.
    fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        let fits = |sample: &str| {
            let (found, rest) = sample.split_once('{').unwrap_or((sample, ""));
            found == name && labels.iter().all(|label| rest.contains(label))
        };
        self.samples.iter().filter(|(sample, _)| fits(sample)).map(|(_, value)| value).sum()
    }
}

/// What has moved between two pages.
#[track_caller]
fn moved(before: &Page, after: &Page, name: &str, labels: &[&str], by: f64) {
    assert!(after.families.keys().any(|family| name.starts_with(family.as_str())), "{name} is not exposed");
    let by_found = after.sum(name, labels) - before.sum(name, labels);
    assert!((by_found - by).abs() < 1e-9, "{name}{labels:?} moved by {by_found}, not by {by}");
}

#[track_caller]
fn grew(before: &Page, after: &Page, name: &str, labels: &[&str]) {
    assert!(after.sum(name, labels) > before.sum(name, labels), "{name}{labels:?} did not grow: {}", after.sum(name, labels));
}

fn document() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md")).unwrap()
}

/// The values of the label `queue`: all words in backticks of their paragraph.
fn documented_queues() -> BTreeSet<String> {
    let text = document();
    let list = text.split_once("`queue` is ").unwrap().1.split("\n\n").next().unwrap();
    list.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The names in the first cells of the tables.
fn documented() -> BTreeSet<String> {
    let text = document();
    let cells = text.lines().filter_map(|line| line.strip_prefix("| `")?.split('|').next());
    let words = cells.flat_map(|cell| cell.split([',', ' ']).map(|word| word.trim_matches('`').to_owned()));
    words.filter(|word| !word.is_empty()).collect()
}

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/photos").join(name)).unwrap()
}

/// The name of some JPEG among the fixtures: the smallest.
fn smallest_jpeg() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/photos");
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    let jpegs = entries.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "jpg"));
    let smallest = jpegs.min_by_key(|entry| (entry.metadata().unwrap().len(), entry.file_name())).unwrap();
    smallest.file_name().to_string_lossy().into_owned()
}

struct Site {
    server: Server,
    auth: String,
}

impl Site {
    fn call(&self, method: &str, path: &str, content_type: &str, body: &[u8]) -> wire::Answer {
        let headers = [("authorization", self.auth.as_str()), ("content-type", content_type)];
        wire::call(&self.server.url, method, path, &headers, body)
    }

    fn json(&self, method: &str, path: &str, body: &serde_json::Value) -> wire::Answer {
        self.call(method, path, "application/json", body.to_string().as_bytes())
    }

    fn album(&self, name: &str) -> String {
        let made = self.json("POST", "/v1/albums", &json!({ "name": name }));
        assert_eq!(made.status, 201, "{made:?}");
        made.json()["id"].as_str().unwrap().to_owned()
    }
}

#[test]
fn every_documented_family_is_there_and_moves() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Server::start(&data);
    let auth = format!("Bearer {}", server.admin_token());
    let site = Site { server, auth };
    let photo = fixture(&smallest_jpeg());
    let size = photo.len() as f64;
    let start = Page::of(&site.server);

    // An upload, the same again, the same into another album, and what is none.
    let (album, other) = (site.album("one"), site.album("two"));
    let photos = format!("/v1/albums/{album}/photos");
    let made = site.call("POST", &format!("{photos}?name=a.jpg"), "image/jpeg", &photo);
    assert_eq!(made.status, 201, "{made:?}");
    let (id, hash) = (made.json()["id"].as_str().unwrap().to_owned(), made.json()["hash"].as_str().unwrap().to_owned());
    assert_eq!(site.call("POST", &format!("{photos}?name=b.jpg"), "image/jpeg", &photo).status, 200);
    assert_eq!(site.call("POST", &format!("/v1/albums/{other}/photos?name=a.jpg"), "image/jpeg", &photo).status, 201);
    assert_eq!(site.call("POST", &photos, "image/jpeg", &[b'x'; 1_000]).status, 415);
    let after = Page::of(&site.server);
    let route = "route=\"/v1/albums/{album}/photos\"";
    moved(&start, &after, "halidom_http_requests_total", &[route, "method=\"POST\"", "status=\"2xx\""], 3.0);
    moved(&start, &after, "halidom_http_requests_total", &[route, "status=\"4xx\""], 1.0);
    moved(&start, &after, "halidom_http_request_duration_seconds_count", &[route], 4.0);
    moved(&start, &after, "halidom_http_requests_running", &[], 0.0);
    moved(&start, &after, "halidom_http_received_bytes_total", &[route], 3.0 * size + 1_000.0);
    grew(&start, &after, "halidom_http_sent_bytes_total", &[route]);
    for outcome in ["new", "duplicate", "known"] {
        moved(&start, &after, "halidom_uploads_total", &[&format!("outcome=\"{outcome}\"")], 1.0);
    }
    moved(&start, &after, "halidom_uploads_refused_total", &["reason=\"not_an_image\""], 1.0);
    moved(&start, &after, "halidom_upload_bytes_total", &[], 3.0 * size);
    moved(&start, &after, "halidom_deduplication_saved_bytes_total", &[], 2.0 * size);
    for (name, by) in [("photos", 2.0), ("albums", 2.0), ("blobs", 1.0), ("logical_bytes", 2.0 * size), ("stored_bytes", size)] {
        moved(&start, &after, &format!("halidom_{name}"), &[], by);
    }
    moved(&start, &after, "halidom_blob_operation_bytes_total", &["operation=\"write\""], 3.0 * size);
    for operation in ["stage", "write", "publish", "open", "read"] {
        grew(&start, &after, "halidom_blob_operation_duration_seconds_count", &[&format!("operation=\"{operation}\"")]);
    }
    grew(&start, &after, "halidom_metadata_requests_total", &["outcome=\"accepted\""]);
    grew(&start, &after, "halidom_metadata_commit_duration_seconds_count", &[]);
    grew(&start, &after, "halidom_metadata_commit_requests_sum", &[]);
    for property in ["memtable", "wal"] {
        grew(&start, &after, "halidom_rocksdb_bytes", &[&format!("property=\"{property}\"")]);
    }
    grew(&start, &after, "halidom_rocksdb_items", &["property=\"estimated_rows\""]);

    // Without bytes; a promise; a user; a refused precondition.
    let third = site.album("three");
    let link = json!({ "photos": [{ "hash": hash, "name": "c.jpg", "id": "0190c0de-0000-7000-8000-000000000001" }] });
    assert_eq!(site.json("POST", &format!("/v1/albums/{third}/photos/link"), &link).status, 200);
    assert_eq!(site.json("POST", "/v1/blobs/missing", &json!({ "hashes": [hash] })).json()["missing"], json!([]));
    assert_eq!(site.json("POST", "/v1/admin/users", &json!({ "name": "ann" })).status, 201);
    assert_eq!(site.json("POST", "/v1/admin/users", &json!({ "name": "ann" })).status, 409);
    let linked = Page::of(&site.server);
    moved(&after, &linked, "halidom_uploads_total", &["outcome=\"linked\""], 1.0);
    moved(&after, &linked, "halidom_deduplication_saved_bytes_total", &[], size);
    moved(&after, &linked, "halidom_users", &[], 1.0);
    moved(&after, &linked, "halidom_pins", &[], 1.0);
    moved(&after, &linked, "halidom_metadata_requests_total", &["outcome=\"refused\""], 1.0);

    // The same link again: no photo more.
    assert_eq!(site.json("POST", &format!("/v1/albums/{third}/photos/link"), &link).status, 200);
    let again = Page::of(&site.server);
    moved(&linked, &again, "halidom_uploads_total", &["outcome=\"linked\""], 0.0);
    moved(&linked, &again, "halidom_uploads_total", &["outcome=\"duplicate\""], 1.0);

    // A rendition twice, and one whose signature is wrong.
    let url = site.json("POST", "/v1/urls", &json!({ "hash": hash, "width": 64 })).json()["url"].as_str().unwrap().to_owned();
    let path = format!("/i/{}", url.split_once("/i/").unwrap().1);
    let first = wire::get(&site.server.url, &path, &[]);
    assert_eq!(first.status, 200, "{first:?}");
    assert_eq!(wire::get(&site.server.url, &path, &[]).body, first.body);
    assert_eq!(wire::get(&site.server.url, &path.replacen("/i/", "/i/x", 1), &[]).status, 403);
    let shown = Page::of(&site.server);
    moved(&linked, &shown, "halidom_renditions_total", &["outcome=\"rendered\""], 1.0);
    moved(&linked, &shown, "halidom_renditions_total", &["outcome=\"hit\""], 1.0);
    moved(&linked, &shown, "halidom_renditions_refused_total", &["reason=\"bad_signature\""], 1.0);
    moved(&linked, &shown, "halidom_render_duration_seconds_count", &[], 1.0);
    moved(&linked, &shown, "halidom_http_sent_bytes_total", &["route=\"/i/{*rendition}\"", "method=\"GET\""], sent(&site, &path, &first));

    // A copy that is gone.
    let original = format!("/v1/photos/{id}/original");
    assert_eq!(site.call("GET", &original, "", &[]).body, photo);
    remove_copy(&data.join("blobs"), &hash);
    assert_eq!(site.call("GET", &original, "", &[]).status, 500);
    let lost = Page::of(&site.server);
    grew(&shown, &lost, "halidom_blob_faults_total", &["operation=\"open\"", "fault=\"not_found\""]);
    grew(&start, &lost, "process_cpu_seconds_total", &[]);
    moved(&start, &lost, "halidom_decoder_processes_lost_total", &[], 0.0);

    // What stands.
    for (name, labels) in [
        ("halidom_queue_waiting_limit", "queue=\"metadata\""),
        ("halidom_queue_waiting_limit", "queue=\"renders\""),
        ("halidom_queue_running_limit", "queue=\"uploads\""),
        ("halidom_queue_running_limit", "queue=\"downloads\""),
        ("halidom_queue_running_limit", "queue=\"pool_blobs\""),
        ("halidom_queue_running_limit", "queue=\"pool_check\""),
        ("halidom_queue_running_limit", "queue=\"pool_hashing\""),
        ("halidom_queue_running_limit", "queue=\"pool_imaging\""),
        ("halidom_queue_running_limit", "queue=\"pool_inspecting\""),
        ("halidom_queue_running_limit", "queue=\"pool_verifying\""),
        ("halidom_decoder_processes_started_total", "pool=\"imaging\""),
        ("halidom_decoder_processes_started_total", "pool=\"slow_imaging\""),
        ("halidom_decoder_processes_started_total", "pool=\"inspecting\""),
        ("halidom_rocksdb_bytes", "property=\"block_cache_capacity\""),
        ("halidom_backend_size_bytes", ""),
        ("halidom_backend_free_bytes", ""),
        ("halidom_ready", ""),
        ("halidom_build_info", "version="),
        ("process_resident_memory_bytes", ""),
        ("process_open_fds", ""),
        ("process_max_fds", ""),
        ("process_start_time_seconds", ""),
    ] {
        assert!(lost.sum(name, &[labels]) >= 1.0, "{name}{{{labels}}}");
    }

    // And what only an edge says.
    let at_edge = edge(&site, &folder.path().join("edge"), &path);
    // Or a site with a mirror.
    let url = format!("file://{}", folder.path().join("mirror").display());
    let mirrored = Page::of(&Server::start_with(&folder.path().join("mirrored"), &[("HALIDOM_MIRROR__URL", &url)]));
    let pages = [&lost, &at_edge, &mirrored];
    let exposed: BTreeSet<String> = pages.iter().flat_map(|page| page.families.keys()).cloned().collect();
    assert_eq!(exposed, documented(), "left: exposed, right: in docs/metrics.md");
    let queues = lost.samples.keys().filter_map(|sample| sample.split_once("queue=\"")?.1.split('"').next());
    assert_eq!(queues.map(str::to_owned).collect::<BTreeSet<_>>(), documented_queues(), "left: exposed, right: in docs/metrics.md");
    assert_no_secrets(&lost.text, &[&id, &hash, &album, "a.jpg", "ann"]);
    // No process stands there for what only sites do.
    let decoders = at_edge.samples.keys().filter_map(|sample| sample.strip_prefix("halidom_decoder_processes_started_total"));
    assert_eq!(decoders.collect::<Vec<_>>(), ["{pool=\"imaging\"}", "{pool=\"slow_imaging\"}"]);
    for page in [&start, &lost, &at_edge, &mirrored] {
        promtool(&page.text);
    }
}

#[test]
fn photos_of_two_tenants_are_decoded_by_different_processes() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"));
    let admin = server.admin();
    let started = |pool: &str| Page::of(&server).sum("halidom_decoder_processes_started_total", &[&format!("pool=\"{pool}\"")]);
    for (tenant, name, more) in [("one", "brick.jpg", 0.0), ("two", "clock.jpg", 1.0), ("two", "camera.jpg", 0.0)] {
        if name != "camera.jpg" {
            admin.json(["tenant", "create", tenant]);
            admin.json(["user", "create", "web", "--tenant", tenant]);
        }
        let token = admin.json(["token", "create", "--tenant", tenant, "--user", "web"])["token"].as_str().unwrap().to_owned();
        let authorization = format!("Bearer {token}");
        let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
        let (inspecting, imaging) = (started("inspecting"), started("imaging"));
        let album = wire::call(&server.url, "POST", "/v1/albums", &headers, json!({ "name": name }).to_string().as_bytes()).json();
        let photos = format!("/v1/albums/{}/photos?name={name}", album["id"].as_str().unwrap());
        let headers = [("authorization", authorization.as_str()), ("content-type", "image/jpeg")];
        let photo = wire::call(&server.url, "POST", &photos, &headers, &fixture(name));
        assert_eq!(photo.status, 201, "{photo:?}");
        let url = photo.json()["urls"]["thumbnail"].as_str().unwrap().to_owned();
        let thumbnail = wire::get(&server.url, &format!("/i/{}", url.split_once("/i/").unwrap().1), &[]);
        assert_eq!(thumbnail.status, 200, "{thumbnail:?}");
        assert_eq!((started("inspecting") - inspecting, started("imaging") - imaging), (more, more), "{name}");
    }
}

/// The page of an edge of the site that was asked for a rendition.
fn edge(site: &Site, data: &Path, path: &str) -> Page {
    let token = site.json("POST", "/v1/admin/tokens", &json!({ "scopes": ["edge"] })).json()["token"].as_str().unwrap().to_owned();
    std::fs::create_dir_all(data).unwrap();
    let file = data.join("token");
    std::fs::write(&file, token).unwrap();
    let settings = [
        ("HALIDOM_SERVER__ROLE", "edge"),
        ("HALIDOM_EDGE__SITES", site.server.url.as_str()),
        ("HALIDOM_EDGE__TOKEN_FILE", file.to_str().unwrap()),
    ];
    let server = Server::start_with(data, &settings);
    until("the edge follows its site", || wire::get(&server.url, "/readyz", &[]).status, |status| *status == 200);
    let before = Page::of(&server);
    // The copy of its blob is gone by now, and of the rendition nothing lies here.
    assert_eq!(wire::get(&server.url, path, &[]).status, 503);
    let after = Page::of(&server);
    moved(&before, &after, "halidom_edge_outcomes_total", &["outcome=\"asked\""], 1.0);
    moved(&before, &after, "halidom_edge_outcomes_total", &["outcome=\"joined\""], 0.0);
    after
}

/// Bytes of the bodies of three calls: two of the rendition, and a refusal of the same length as this one.
fn sent(site: &Site, path: &str, first: &wire::Answer) -> f64 {
    let refused = wire::get(&site.server.url, &path.replacen("/i/", "/i/x", 1), &[]);
    (2 * first.body.len() + refused.body.len()) as f64
}

/// Removes the one copy of a blob.
fn remove_copy(folder: &Path, hash: &str) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            remove_copy(&entry.path(), hash);
        } else if entry.file_name().to_string_lossy().starts_with(hash) {
            std::fs::remove_file(entry.path()).unwrap();
        }
    }
}

fn assert_no_secrets(page: &str, words: &[&str]) {
    for word in words {
        assert!(!page.contains(&format!("\"{word}\"")), "{word} is a label");
    }
}

#[test]
fn a_request_under_way_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"));
    let auth = format!("Bearer {}", server.admin_token());
    let site = Site { server, auth };
    let album = site.album("slow");
    let photo = fixture(&smallest_jpeg());
    let mut stream = wire::connect(&site.server.url);
    let length = photo.len().to_string();
    let headers = [("authorization", site.auth.as_str()), ("content-length", &length)];
    stream.write_all(wire::head("POST", &format!("/v1/albums/{album}/photos?name=a.jpg"), &headers).as_bytes()).unwrap();
    stream.write_all(&photo[..100]).unwrap();
    let uploading = || {
        let (page, route) = (Page::of(&site.server), ["route=\"/v1/albums/{album}/photos\"", "method=\"POST\""]);
        (page.sum("halidom_http_requests_running", &route), page.sum("halidom_queue_running", &["queue=\"uploads\""]))
    };
    let one_runs = || until("one upload runs", uploading, |running| *running == (1.0, 1.0));
    let none_runs = || until("no upload runs", uploading, |running| *running == (0.0, 0.0));
    one_runs();
    stream.write_all(&photo[100..]).unwrap();
    assert_eq!(wire::answer(stream).status, 201);
    none_runs();

    // A client that goes away leaves nothing running.
    let mut stream = wire::connect(&site.server.url);
    stream.write_all(wire::head("POST", &format!("/v1/albums/{album}/photos?name=b.jpg"), &headers).as_bytes()).unwrap();
    one_runs();
    drop(stream);
    none_runs();
}

#[test]
fn what_is_required_is_listed_or_everything_in_ci() {
    let required = |list, in_ci| needs::is_required("loop", list, in_ci);
    assert!(required(Some("promtool,loop"), false) && required(Some("promtool loop"), false) && required(None, true));
    assert!(!required(Some("promtool"), true) && !required(Some(""), true) && !required(None, false));
}

fn promtool(page: &str) {
    let spawned =
        Command::new("promtool").args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut promtool = match spawned {
        Ok(promtool) => promtool,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return needs::missing("promtool", "what promtool says of /metrics", "it is not installed (Debian package prometheus)");
        }
        Err(error) => panic!("promtool: {error}"),
    };
    promtool.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.trim().is_empty(), "{said}\n{page}");
}
