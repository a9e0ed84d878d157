//! Edges before a whole site, with a line between them that can be cut.

mod line;
mod sessions;

use std::net::SocketAddr;
use std::path::PathBuf;

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::config::Role;
use crate::metadata::Read as _;
use crate::model::{BlobHash, Owner, PhotoId};
use crate::runtime::Clock;
use crate::server::{Open, Running, start};
use line::Line;

/// Past this something hangs.
const PATIENCE: Duration = Duration::from_secs(60);
const START_UNIX_MS: u64 = 1_795_521_600_000;

struct Answer {
    status: u16,
    headers: reqwest::header::HeaderMap,
    body: bytes::Bytes,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// A site, and what it gave an edge.
struct Rig {
    running: Running,
    folder: TempDir,
    config: Config,
    http: reqwest::Client,
    admin: String,
    /// How often it was started.
    starts: u64,
}

impl Rig {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = Config::for_testing(folder.path().join("site"));
        let running = Self::start(&config, 0).await;
        let http = reqwest::Client::builder().timeout(PATIENCE).pool_max_idle_per_host(0).tls_certs_only([]).build().unwrap();
        let admin = std::fs::read_to_string(config.storage.data.join("admin.token")).unwrap().trim().to_owned();
        let rig = Self { running, folder, config, http, admin, starts: 1 };
        let token = rig.call(Method::POST, "/v1/admin/tokens", Some(json!({ "scopes": ["edge"] }))).await.json();
        std::fs::write(rig.token_file(), token["token"].as_str().unwrap()).unwrap();
        rig
    }

    /// Another life each time, a second later.
    async fn start(config: &Config, starts: u64) -> Running {
        start(config, Runtime::simulated(8_420 + 1_000 * starts, START_UNIX_MS + 1_000 * starts)).await.unwrap()
    }

    /// Stops the site, and starts it with other settings.
    async fn restarted(self, change: impl FnOnce(&mut Config)) -> Self {
        let Self { running, mut config, starts, .. } = self;
        running.stop().await;
        change(&mut config);
        let running = Self::start(&config, starts).await;
        Self { running, config, starts: starts + 1, ..self }
    }

    fn token_file(&self) -> PathBuf {
        self.folder.path().join("edge.token")
    }

    fn site(&self) -> &super::super::Site {
        match &self.running.open {
            Open::Site(site) => site,
            Open::Edge(_) => unreachable!("it was started as a site"),
        }
    }

    async fn get(&self, server: SocketAddr, path: &str) -> Answer {
        let response = self.http.get(format!("http://{server}{path}")).send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Answer { status, headers, body: response.bytes().await.unwrap() }
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let mut request = self.http.request(method, format!("http://{}{path}", self.running.http)).bearer_auth(&self.admin);
        if let Some(body) = &body {
            request = request.json(body);
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        assert!(status < 300, "{path}: {status}");
        Answer { status, headers, body: response.bytes().await.unwrap() }
    }

    /// Uploads a fixture: the photo.
    async fn upload(&self, name: &str) -> Value {
        let album = self.call(Method::POST, "/v1/albums", Some(json!({ "name": name }))).await.json();
        let bytes = std::fs::read(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/photos").join(name)).unwrap();
        let url = format!("http://{}/v1/albums/{}/photos?name={name}", self.running.http, album["id"].as_str().unwrap());
        let response = self.http.post(url).bearer_auth(&self.admin).body(bytes).send().await.unwrap();
        response.error_for_status().unwrap().json().await.unwrap()
    }

    /// Deletes a photo for good.
    async fn purge(&self, photo: &Value) {
        let id: PhotoId = photo["id"].as_str().unwrap().parse().unwrap();
        let purged = self.site().services.metadata().write("purge", move |tx| -> Result<(), ServiceError> {
            let photo = tx.photo_or_trashed(Owner::DEFAULT, id)?.ok_or(ServiceError::NotFound("photo"))?;
            Ok(tx.apply_all(photo.purge())?)
        });
        purged.await.unwrap();
    }

    /// Starts an edge of these sites, and waits until it follows one and keeps what it renders.
    async fn edge(&self, sites: &[String], change: impl FnOnce(&mut Config)) -> TestEdge {
        let edge = self.edge_that_waits(sites, change).await;
        self.until("an edge is ready", async || edge.status("/readyz", self).await == 200).await;
        self.until("it keeps renditions", async || edge.parts().edge.has_looked_through_caches()).await;
        edge
    }

    async fn edge_that_waits(&self, sites: &[String], change: impl FnOnce(&mut Config)) -> TestEdge {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::for_testing(folder.path().join("edge"));
        config.server.role = Role::Edge;
        config.edge.sites = sites.join(",").parse().unwrap();
        config.edge.token_file = self.token_file();
        change(&mut config);
        let runtime = Runtime::simulated(8_421, START_UNIX_MS);
        let clock = runtime.clock.clone();
        let running = start(&config, runtime).await.unwrap();
        TestEdge { running, clock, config, folder }
    }

    /// An edge with a cache on disk in which a thumbnail of each of two photos lies.
    async fn edge_with_two_on_disk(&self) -> (TestEdge, Value, Value) {
        let (one, other) = (self.upload("camera.jpg").await, self.upload("brick.jpg").await);
        let edge = self.edge(&[site_url(self)], |config| config.renditions.disk_bytes = crate::config::ByteSize::mib(64)).await;
        for photo in [&one, &other] {
            assert_eq!(edge.status(&url(photo, "thumbnail"), self).await, 200);
        }
        self.until("renditions are kept on disk", async || edge.on_disk() == 2).await;
        (edge, one, other)
    }

    /// Stops both.
    async fn end(self, edge: TestEdge) {
        edge.running.stop().await;
        self.running.stop().await;
    }

    /// Asks until it holds, giving way to others between two questions.
    async fn until(&self, what: &str, holds: impl AsyncFn() -> bool) {
        let waiting = async {
            while !holds().await {
                tokio::task::yield_now().await;
            }
        };
        assert!(runtime::timeout(PATIENCE, waiting).await.is_some(), "in vain: {what}");
    }
}

struct TestEdge {
    running: Running,
    clock: Clock,
    config: Config,
    folder: TempDir,
}

impl TestEdge {
    fn parts(&self) -> &EdgeParts {
        match &self.running.open {
            Open::Edge(edge) => edge,
            Open::Site(_) => unreachable!("it was started as an edge"),
        }
    }

    async fn get(&self, path: &str, rig: &Rig) -> Answer {
        rig.get(self.running.http, path).await
    }

    async fn status(&self, path: &str, rig: &Rig) -> u16 {
        self.get(path, rig).await.status
    }

    /// Stops it, and starts it again once something was done.
    async fn meanwhile(self, work: impl Future<Output = ()>) -> Self {
        let Self { running, clock, config, folder } = self;
        running.stop().await;
        work.await;
        let runtime = Runtime::simulated(8_422, clock.unix_ms() + 1_000);
        let clock = runtime.clock.clone();
        let running = start(&config, runtime).await.unwrap();
        Self { running, clock, config, folder }
    }

    /// The files that hold renditions.
    fn on_disk(&self) -> usize {
        let files = walkdir::WalkDir::new(self.config.storage.data.join("renditions-cache")).into_iter().filter_map(Result::ok);
        files.filter(|file| file.file_name().len() == 64).count()
    }
}

fn url(photo: &Value, which: &str) -> String {
    photo["urls"][which].as_str().unwrap().to_owned()
}

fn site_url(rig: &Rig) -> String {
    format!("http://{}", rig.running.http)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_answers_as_its_site_does() {
    let rig = Rig::new().await;
    let photo = rig.upload("camera.jpg").await;
    let edge = rig.edge(&[site_url(&rig)], |_| {}).await;
    let iiif = url(&photo, "iiif");
    for path in [url(&photo, "thumbnail"), url(&photo, "preview"), format!("{iiif}/full/64,/0/default.png")] {
        let (ours, theirs) = (edge.get(&path, &rig).await, rig.get(rig.running.http, &path).await);
        assert_eq!((ours.status, &ours.body), (200, &theirs.body), "{path}");
        for field in
            ["etag", "cache-control", "content-type", "content-length", "vary", "access-control-allow-origin", "x-content-type-options"]
        {
            assert_eq!(ours.headers.get(field), theirs.headers.get(field), "{path}: {field}");
        }
    }
    assert_eq!(edge.get(&format!("{iiif}/info.json"), &rig).await.json()["width"], photo["width"]);
    // What a site refuses, and what an edge does not have.
    let thumbnail = url(&photo, "thumbnail");
    let forged = thumbnail.replacen("/i/", "/i/A", 1);
    assert_eq!(edge.status(&forged, &rig).await, 403);
    assert_eq!(edge.status(&format!("{thumbnail}?x"), &rig).await, 400);
    for path in ["/v1/me", "/v1/edge/tenants", "/openapi.json"] {
        assert_eq!(edge.status(path, &rig).await, 404, "{path}");
    }
    assert_eq!(edge.status("/livez", &rig).await, 200);
    rig.end(edge).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_deleted_goes_from_an_edge_and_its_disk() {
    let rig = Rig::new().await;
    let (edge, gone, kept) = rig.edge_with_two_on_disk().await;
    rig.purge(&gone).await;
    // An answer of a moment ago is given again for a moment.
    edge.clock.advance(Duration::from_secs(1));
    rig.until("it is not shown any more", async || edge.status(&url(&gone, "thumbnail"), &rig).await == 404).await;
    rig.until("nor kept", async || edge.on_disk() == 1).await;
    assert_eq!(edge.parts().edge.figures().revoked, 1);
    assert_eq!(edge.status(&url(&kept, "thumbnail"), &rig).await, 200);
    rig.end(edge).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_deleted_while_an_edge_was_away_goes_from_its_disk() {
    let rig = Rig::new().await;
    let (edge, gone, kept) = rig.edge_with_two_on_disk().await;
    let edge = edge.meanwhile(rig.purge(&gone)).await;
    rig.until("what nobody has is cleared", async || edge.on_disk() == 1).await;
    rig.until("and the rest is served", async || edge.status(&url(&kept, "thumbnail"), &rig).await == 200).await;
    assert_eq!(edge.status(&url(&gone, "thumbnail"), &rig).await, 404);
    rig.end(edge).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_disk_did_not_give_when_an_edge_joined_is_cleared_later() {
    let rig = Rig::new().await;
    let (edge, gone, _) = rig.edge_with_two_on_disk().await;
    let another = rig.upload("clock.jpg").await;
    let root = edge.config.storage.data.join("renditions-cache");
    let (folder, aside) = (root.join("v1").join(&gone["hash"].as_str().unwrap()[..3]), root.join("aside"));
    let edge = edge
        .meanwhile(async {
            rig.purge(&gone).await;
            // A folder that leads to itself.
            std::fs::rename(&folder, &aside).unwrap();
            std::os::unix::fs::symlink(&folder, &folder).unwrap();
        })
        .await;
    // When all was counted, and when the edge had joined.
    let failed = || edge.parts().renditions.load().on_disk.map(|disk| disk.failed);
    rig.until("the folder was looked at", async || failed() >= Some(2)).await;
    std::fs::remove_file(&folder).unwrap();
    std::fs::rename(&aside, &folder).unwrap();
    assert_eq!(edge.on_disk(), 2);
    edge.clock.advance(Duration::from_secs(60));
    rig.purge(&another).await;
    rig.until("what nobody has is cleared", async || edge.on_disk() == 1).await;
    rig.end(edge).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_taken_away_is_good_at_no_edge() {
    let rig = Rig::new().await;
    let photo = rig.upload("camera.jpg").await;
    let edge = rig.edge(&[site_url(&rig)], |_| {}).await;
    let path = url(&photo, "thumbnail");
    assert_eq!(edge.status(&path, &rig).await, 200);
    let keys = format!("/v1/admin/tenants/{}/keys", Owner::DEFAULT.tenant);
    let old = rig.call(Method::GET, &keys, None).await.json()["items"][0]["id"].as_str().unwrap().to_owned();
    let new = rig.call(Method::POST, &keys, Some(json!({}))).await.json()["id"].as_str().unwrap().to_owned();
    rig.call(Method::PATCH, &format!("{keys}/{new}"), Some(json!({ "signs": true }))).await;
    rig.call(Method::DELETE, &format!("{keys}/{old}"), None).await;
    edge.clock.advance(Duration::from_secs(2));
    rig.until("the old key is refused", async || edge.status(&path, &rig).await == 403).await;
    let fresh = rig.call(Method::GET, &format!("/v1/photos/{}", photo["id"].as_str().unwrap()), None).await.json();
    assert_eq!(edge.status(&url(&fresh, "thumbnail"), &rig).await, 200);
    rig.end(edge).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_deleted_goes_though_changed_keys_cannot_be_had() {
    let rig = Rig::new().await;
    let (gone, kept) = (rig.upload("camera.jpg").await, rig.upload("brick.jpg").await);
    let line = Line::to(rig.running.http).await;
    let edge = rig.edge(&[line.url()], |config| config.renditions.disk_bytes = crate::config::ByteSize::mib(64)).await;
    for photo in [&gone, &kept] {
        assert_eq!(edge.status(&url(photo, "thumbnail"), &rig).await, 200);
    }
    rig.until("renditions are kept on disk", async || edge.on_disk() == 2).await;
    line.refuse(Some("GET /v1/edge/tenants"));
    // The next part of the feed says both, whenever it is taken in.
    rig.call(Method::POST, &format!("/v1/admin/tenants/{}/keys", Owner::DEFAULT.tenant), Some(json!({}))).await;
    rig.purge(&gone).await;
    rig.until("it is not kept", async || edge.on_disk() == 1).await;
    edge.clock.advance(Duration::from_secs(1));
    assert_eq!(edge.status(&url(&gone, "thumbnail"), &rig).await, 404);
    line.refuse(None);
    rig.end(edge).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_links_ask_the_site_once_in_a_while_and_a_new_photo_is_seen_soon() {
    let rig = Rig::new().await;
    let photo = rig.upload("camera.jpg").await;
    let edge = rig.edge(&[site_url(&rig)], |_| {}).await;
    rig.purge(&photo).await;
    let path = url(&photo, "thumbnail");
    assert_eq!(edge.status(&path, &rig).await, 404);
    // An answer of a moment ago is given again for a moment: these are others.
    for width in 0..9 {
        assert_eq!(edge.status(&format!("{}/full/{},/0/default.jpg", url(&photo, "iiif"), 20 + width), &rig).await, 404);
    }
    assert_eq!(edge.parts().edge.figures().asked, 1);
    let again = rig.upload("camera.jpg").await;
    assert_eq!(again["hash"], photo["hash"]);
    edge.clock.advance(Duration::from_secs(3));
    assert_eq!(edge.status(&url(&again, "thumbnail"), &rig).await, 200);
    assert_eq!(edge.parts().edge.figures().asked, 2);
    rig.end(edge).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn away_from_every_site_it_serves_what_it_knows_and_then_nothing() {
    let rig = Rig::new().await;
    let (known, other) = (rig.upload("camera.jpg").await, rig.upload("brick.jpg").await);
    let line = Line::to(rig.running.http).await;
    let edge = rig.edge(&[line.url()], |config| config.edge.remember = Duration::from_secs(600)).await;
    assert_eq!(edge.status(&url(&known, "thumbnail"), &rig).await, 200);
    line.cut().await;
    assert_eq!(edge.status(&url(&other, "thumbnail"), &rig).await, 503, "of what it does not know it can say nothing");
    edge.clock.advance(Duration::from_secs(300));
    assert_eq!(edge.status(&url(&known, "thumbnail"), &rig).await, 200);
    assert_eq!(edge.status("/readyz", &rig).await, 200);
    edge.clock.advance(Duration::from_secs(301));
    let closed = edge.get(&url(&known, "thumbnail"), &rig).await;
    assert_eq!((closed.status, closed.headers["cache-control"].to_str().unwrap()), (503, "no-store"));
    assert!(closed.headers.contains_key("retry-after"));
    assert_eq!(edge.status("/readyz", &rig).await, 503);
    assert_eq!(edge.status(&format!("{}/info.json", url(&known, "iiif")), &rig).await, 503);
    rig.end(edge).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_one_site_goes_the_next_is_asked() {
    let rig = Rig::new().await;
    let (known, other) = (rig.upload("camera.jpg").await, rig.upload("brick.jpg").await);
    let (first, second) = (Line::to(rig.running.http).await, Line::to(rig.running.http).await);
    let edge = rig.edge(&[first.url(), second.url()], |config| config.edge.remember = Duration::from_secs(86_400)).await;
    assert_eq!(edge.status(&url(&known, "thumbnail"), &rig).await, 200);
    assert_eq!(second.carried(), 0, "the first is liked best");
    first.cut().await;
    // In the same breath: nobody notices.
    assert_eq!(edge.status(&url(&other, "thumbnail"), &rig).await, 200);
    assert_eq!(edge.parts().edge.figures().joined, 2);
    edge.clock.advance(Duration::from_secs(1));
    assert_eq!(edge.status(&url(&known, "thumbnail"), &rig).await, 200, "asked anew, of the second");
    rig.purge(&known).await;
    edge.clock.advance(Duration::from_secs(1));
    rig.until("the second's feed is followed", async || edge.status(&url(&known, "thumbnail"), &rig).await == 404).await;
    // Once the first is there again, and some time has passed, it is asked again, and followed.
    let _first = first.mended(rig.running.http).await;
    let third = rig.upload("clock.jpg").await;
    rig.until("the first is gone back to", async || {
        edge.clock.advance(Duration::from_secs(301));
        // News, so that nobody waits for some.
        rig.purge(&rig.upload("hubble.jpg").await).await;
        edge.parts().edge.figures().joined == 3
    })
    .await;
    second.cut().await;
    assert_eq!(edge.status(&url(&third, "thumbnail"), &rig).await, 200);
    assert_eq!(edge.parts().edge.figures().joined, 3);
    rig.end(edge).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_come_straight_from_the_backend_where_it_can_be_read() {
    let rig = Rig::new().await;
    let photo = rig.upload("camera.jpg").await;
    let line = Line::to(rig.running.http).await;
    let blobs = rig.config.storage.data.join("blobs");
    let edge = rig.edge(&[line.url()], |config| config.storage.blobs = crate::config::BlobsUrl::File(blobs.clone())).await;
    let (ours, theirs) = (edge.get(&url(&photo, "preview"), &rig).await, rig.get(rig.running.http, &url(&photo, "preview")).await);
    assert_eq!((ours.status, ours.body), (200, theirs.body));
    // A copy that is damaged is not shown: the site is asked, which knows that it is.
    let hash: BlobHash = photo["hash"].as_str().unwrap().parse().unwrap();
    let copies = walkdir::WalkDir::new(&blobs).into_iter().filter_map(Result::ok);
    let copy = copies.map(walkdir::DirEntry::into_path).find(|path| path.to_string_lossy().contains(&format!("{hash}."))).unwrap();
    let mut bytes = std::fs::read(&copy).unwrap();
    bytes[1_000] ^= 1;
    std::fs::write(&copy, bytes).unwrap();
    assert_eq!(edge.status(&format!("{}/full/33,/0/default.png", url(&photo, "iiif")), &rig).await, 503);
    edge.running.stop().await;
    line.cut().await;
    let carried = line.carried();
    assert!(carried < photo["size_bytes"].as_u64().unwrap(), "{carried} bytes came from the site");
    rig.running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_site_that_renders_otherwise_is_not_followed_nor_one_that_refuses_the_token() {
    let rig = Rig::new().await;
    let photo = rig.upload("camera.jpg").await;
    let other = rig.edge_that_waits(&[site_url(&rig)], |config| config.renditions.default_quality = 79).await;
    let made = rig.call(Method::POST, "/v1/admin/tokens", Some(json!({ "scopes": ["user"] }))).await.json();
    let file = rig.folder.path().join("user.token");
    std::fs::write(&file, made["token"].as_str().unwrap()).unwrap();
    let refused = rig.edge_that_waits(&[site_url(&rig)], |config| config.edge.token_file = file).await;
    for edge in [other, refused] {
        let tried = edge.parts().edge.clone();
        assert!(tried.ready().is_err());
        assert_eq!(edge.status("/readyz", &rig).await, 503);
        assert_eq!(edge.status(&url(&photo, "thumbnail"), &rig).await, 503);
        assert_eq!(edge.parts().edge.figures().joined, 0);
        edge.running.stop().await;
    }
    rig.running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_whose_token_is_taken_away_knows_nothing_any_more() {
    let rig = Rig::new().await;
    let (known, other) = (rig.upload("camera.jpg").await, rig.upload("brick.jpg").await);
    let made = rig.call(Method::POST, "/v1/admin/tokens", Some(json!({ "scopes": ["edge"] }))).await.json();
    let file = rig.folder.path().join("other.token");
    std::fs::write(&file, made["token"].as_str().unwrap()).unwrap();
    let edge = rig.edge(&[site_url(&rig)], |config| config.edge.token_file = file).await;
    assert_eq!(edge.status(&url(&known, "thumbnail"), &rig).await, 200);
    rig.call(Method::DELETE, &format!("/v1/admin/tokens/{}", made["id"].as_str().unwrap()), None).await;
    assert_eq!(edge.status(&url(&other, "thumbnail"), &rig).await, 503);
    assert_eq!(edge.status("/readyz", &rig).await, 503);
    // An answer of a moment ago is given again for a moment.
    edge.clock.advance(Duration::from_secs(1));
    assert_eq!(edge.status(&url(&known, "thumbnail"), &rig).await, 503);
    rig.end(edge).await;
}
