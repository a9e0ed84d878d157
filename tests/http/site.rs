//! A site in this process, in a directory of its own, under a clock that stands until a test moves it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use halidom::api::{Album, CheckReport, CreatedToken, Photo, Stats, User};
use halidom::config::Config;
use halidom::metadata::rocks::{RocksEngine, RocksSettings};
use halidom::metadata::{Metadata, MetadataSettings, Read};
use halidom::model::TenantId;
use halidom::runtime::{Clock, Runtime, timeout};
use halidom::server::{self, Running};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::answer::{Answer, answer};

/// What every site of these tests draws its ids and secrets from.
const SEED: u64 = 8420;
/// Where its clock stands at first: 2026-11-24T12:00:00Z.
const START_UNIX_MS: u64 = 1_795_521_600_000;
/// Past this something hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running site.
pub struct Site {
    running: Running,
    config: Config,
    folder: TempDir,
    pub clock: Clock,
    pub base: String,
    http: reqwest::Client,
    /// The administrator, who is also the default user of the default tenant.
    pub admin: Caller,
}

/// Whoever calls, with a token or without one.
#[derive(Clone)]
pub struct Caller {
    http: reqwest::Client,
    pub base: String,
    pub token: Option<String>,
}

impl Site {
    /// A new site with the small limits of tests.
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// The same with other settings.
    pub async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::for_testing(folder.path().join("data"));
        change(&mut config);
        Self::open(config, folder, START_UNIX_MS).await
    }

    async fn open(config: Config, folder: TempDir, unix_ms: u64) -> Self {
        let runtime = Runtime::simulated(SEED ^ unix_ms, unix_ms);
        let clock = runtime.clock.clone();
        let running = server::start(&config, runtime).await.expect("the site opens");
        let base = format!("http://{}", running.http);
        // Without TLS no certificates are needed, and a machine may have none.
        // No connection lies idle: these tests move the clock on, and the server cuts what has been idle for long by it.
        let http = reqwest::Client::builder()
            .timeout(PATIENCE)
            .pool_max_idle_per_host(0)
            .retry(reqwest::retry::never())
            .tls_certs_only([])
            .build()
            .unwrap();
        let token = std::fs::read_to_string(config.storage.data.join("admin.token")).unwrap().trim().to_owned();
        let admin = Caller { http: http.clone(), base: base.clone(), token: Some(token) };
        Self { running, config, folder, clock, base, http, admin }
    }

    /// From here on the site says that it is not ready; it serves on.
    pub fn begin_stop(&self) {
        self.running.begin_stop();
    }

    /// Stops the site in good order and opens it again.
    pub async fn restart(self) -> Self {
        let Self { running, config, folder, clock, .. } = self;
        running.stop().await;
        Self::open(config, folder, clock.unix_ms() + 1_000).await
    }

    /// The same with other settings.
    pub async fn restart_with(self, change: impl FnOnce(&mut Config)) -> Self {
        let Self { running, mut config, folder, clock, .. } = self;
        running.stop().await;
        change(&mut config);
        Self::open(config, folder, clock.unix_ms() + 1_000).await
    }

    /// Stops the site, reads the key and salt that sign a tenant's renditions from its metadata, as an operator would for a web tier, and
    /// opens it again.
    pub async fn with_signing_key(self, tenant: TenantId) -> (Self, (Vec<u8>, Vec<u8>)) {
        let read = async |metadata: &Metadata| metadata.read().tenant(tenant).unwrap().unwrap().signing_keys.remove(0);
        let (site, key) = self.meanwhile(read).await;
        (site, (key.key, key.salt))
    }

    /// Stops the site, works on its metadata, and opens it again.
    pub async fn meanwhile<T>(self, work: impl AsyncFnOnce(&Metadata) -> T) -> (Self, T) {
        let Self { running, config, folder, clock, .. } = self;
        running.stop().await;
        let path = config.storage.data.join("metadata");
        let engine = RocksEngine::open(&path, &RocksSettings::default()).unwrap();
        let metadata = Metadata::open(Arc::new(engine), Runtime::simulated(SEED, clock.unix_ms()), MetadataSettings::default()).unwrap();
        let done = work(&metadata).await;
        metadata.close();
        // The lock goes with the last that holds the engine.
        drop(metadata);
        (Self::open(config, folder, clock.unix_ms() + 1_000).await, done)
    }

    pub fn data(&self) -> &Path {
        &self.config.storage.data
    }

    /// Someone without a token.
    pub fn nobody(&self) -> Caller {
        self.with_token(None)
    }

    pub fn with_token(&self, token: Option<&str>) -> Caller {
        Caller { http: self.http.clone(), base: self.base.clone(), token: token.map(str::to_owned) }
    }

    /// A new user of the default tenant, with a token of the usual scopes.
    pub async fn user(&self, name: &str) -> Caller {
        let user: User = self.admin.post("/v1/admin/users", json!({ "name": name })).await.json(201);
        self.token(json!({ "user": user.id })).await
    }

    /// A caller with a new token.
    pub async fn token(&self, request: Value) -> Caller {
        let made: CreatedToken = self.admin.post("/v1/admin/tokens", request).await.json(201);
        self.with_token(Some(&made.token))
    }

    pub async fn stats(&self) -> Stats {
        self.admin.get("/v1/admin/usage").await.json(200)
    }

    /// Reads every byte of every blob.
    pub async fn check(&self) -> CheckReport {
        self.admin.post("/v1/admin/check", json!({ "read_data": true })).await.json(200)
    }

    /// A line of `/metrics`: its value, 0 where it is not there (yet).
    pub async fn metric(&self, line: &str) -> f64 {
        let url = format!("http://{}/metrics", self.running.admin.expect("the admin listener is on"));
        let page = self.http.get(url).send().await.unwrap().text().await.unwrap();
        let value = page.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(' '));
        value.map_or(0.0, |value| value.parse().unwrap())
    }

    /// What lies in staging.
    pub fn staged(&self) -> Vec<PathBuf> {
        files(&self.data().join("blobs/staging"))
    }

    /// The files that hold renditions.
    pub fn renditions_on_disk(&self) -> Vec<PathBuf> {
        let named = |path: &PathBuf| path.file_name().is_some_and(|name| name.len() == 64);
        files(&self.data().join("renditions-cache")).into_iter().filter(named).collect()
    }

    /// The files that hold copies of blobs.
    pub fn copies(&self) -> Vec<PathBuf> {
        let named = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().split('.').next().is_some_and(|hash| hash.len() == 64);
        files(&self.data().join("blobs/blobs")).into_iter().filter(named).collect()
    }

    /// The one file that holds this blob.
    pub fn copy_of(&self, hash: &str) -> PathBuf {
        let mut copies = self.copies();
        copies.retain(|path| path.file_name().unwrap().to_string_lossy().starts_with(hash));
        assert_eq!(copies.len(), 1, "one copy of {hash}: {copies:?}");
        copies.remove(0)
    }
}

/// All files below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = walkdir::WalkDir::new(directory).into_iter().filter_map(Result::ok);
    entries.filter(|entry| entry.file_type().is_file()).map(walkdir::DirEntry::into_path).collect()
}

/// Calls until it holds, giving way to others between two calls.
pub async fn until<F: Future<Output = bool>>(what: &str, holds: impl Fn() -> F) {
    let waiting = async {
        while !holds().await {
            tokio::task::yield_now().await;
        }
    };
    assert!(timeout(PATIENCE, waiting).await.is_some(), "in vain: {what}");
}

impl Caller {
    /// The same caller with another client.
    pub fn through(&self, http: reqwest::Client) -> Self {
        Self { http, ..self.clone() }
    }

    /// A request that is still to be sent.
    pub fn call(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    pub async fn get(&self, path: &str) -> Answer {
        answer(self.call(Method::GET, path)).await
    }

    /// GET with header fields.
    pub async fn get_with(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let request = self.call(Method::GET, path);
        answer(fields.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        answer(self.call(Method::POST, path).json(&body)).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        answer(self.call(Method::PATCH, path).json(&body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        answer(self.call(Method::DELETE, path)).await
    }

    /// A new album: its id.
    pub async fn album(&self, name: &str) -> String {
        self.post("/v1/albums", json!({ "name": name })).await.json::<Album>(201).id.to_string()
    }

    /// Sends a photo.
    pub async fn upload(&self, album: &str, name: &str, bytes: &[u8]) -> Answer {
        self.upload_with(album, name, bytes, &[]).await
    }

    /// The same with header fields.
    pub async fn upload_with(&self, album: &str, name: &str, bytes: &[u8], fields: &[(&str, &str)]) -> Answer {
        let request = self.call(Method::POST, &format!("/v1/albums/{album}/photos")).query(&[("name", name)]);
        let request = fields.iter().fold(request, |request, (name, value)| request.header(*name, *value)).body(bytes.to_vec());
        answer(request).await.described("upload_photo")
    }

    /// Sends a photo under an id of the caller's own.
    pub async fn put(&self, album: &str, photo: &str, bytes: &[u8]) -> Answer {
        let request = self.call(Method::PUT, &format!("/v1/albums/{album}/photos/{photo}?name=own.jpg")).body(bytes.to_vec());
        answer(request).await.described("put_photo")
    }

    /// Sends a photo that has to be taken as a new one.
    pub async fn uploaded(&self, album: &str, name: &str, bytes: &[u8]) -> Photo {
        self.upload(album, name, bytes).await.json(StatusCode::CREATED.as_u16())
    }
}
