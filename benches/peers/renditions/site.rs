//! A Halidom that renders.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use futures_util::future::try_join_all;
use halidom::cli::bench::Generator;
use serde_json::{Value, json};

use super::connection::Connection;
use super::photos::Photo;
use super::processors;
use crate::process::Server;
use crate::{free_port, fresh};

/// Uploads and signatures at once.
const AT_ONCE: usize = 8;

/// How often is looked whether previews were made.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A started site with an album. Every setting is at its default, but that no directories are made ahead: renditions need none; and that previews
/// are made only where they are measured.
pub(super) struct Site {
    server: Server,
    client: reqwest::Client,
    pub(super) port: u16,
    admin: String,
    token: String,
    album: String,
    data: PathBuf,
    pub(super) previews: bool,
    processor: Option<usize>,
}

/// A rendition to ask for: how wide and how high at most, in pixels, and in which quality.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) side: u32,
    pub(super) quality: u8,
}

/// Renditions that the site has served since it was started, by how they came about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Served {
    pub(super) rendered: u64,
    pub(super) joined: u64,
    pub(super) cached: u64,
}

impl Served {
    pub(super) fn since(self, before: Self) -> Self {
        Self { rendered: self.rendered - before.rendered, joined: self.joined - before.joined, cached: self.cached - before.cached }
    }
}

impl Site {
    /// Starts one below `dir`, on this processor only where one is named: then it finds one core, and takes a thread for each kind of work.
    pub(super) async fn start(dir: &Path, processor: Option<usize>, previews: bool) -> anyhow::Result<Self> {
        Self::start_with(dir, processor, previews, true).await
    }

    /// The same without decoder processes or previews: it decodes by itself.
    pub(super) async fn start_undivided(dir: &Path, processor: Option<usize>) -> anyhow::Result<Self> {
        Self::start_with(dir, processor, false, false).await
    }

    async fn start_with(dir: &Path, processor: Option<usize>, previews: bool, isolates: bool) -> anyhow::Result<Self> {
        let data = fresh(dir, "renditions")?.join("data");
        let (server, port, admin) = serve(&data, processor, previews, isolates).await?;
        let token = std::fs::read_to_string(data.join("admin.token"))?.trim().to_owned();
        let client = reqwest::Client::builder().http1_only().tcp_nodelay(true).build()?;
        let mut site = Self { server, client, port, admin, token, album: String::new(), data, previews, processor };
        site.album = text(&site.post("/v1/albums", &json!({"name": "bench"})).await?, "id")?;
        Ok(site)
    }

    /// Ends it and starts it again, with what it has, and with previews: of the photos that it has there are none.
    pub(super) async fn with_previews(self) -> anyhow::Result<Self> {
        drop(self.server);
        let (server, port, admin) = serve(&self.data, self.processor, true, true).await?;
        Ok(Self { server, port, admin, ..self })
    }

    pub(super) fn connect(&self) -> anyhow::Result<Connection> {
        Connection::open(self.port)
    }

    /// Whose albums and photos these are.
    pub(super) fn token(&self) -> &str {
        &self.token
    }

    /// CPU time that it has used so far.
    pub(super) fn cpu(&self) -> anyhow::Result<Duration> {
        self.server.cpu()
    }

    /// Uploads `count` copies of a photo that are the same picture and distinct blobs; of another `seed` others. Answers their hashes.
    pub(super) async fn upload(&self, photo: &Photo, seed: u64, count: u64) -> anyhow::Result<Vec<String>> {
        let copies = Generator::of(&photo.bytes, 0, seed).with_context(|| format!("{} is no JPEG", photo.name))?;
        let (copies, numbers) = (&copies, (0..count).collect::<Vec<_>>());
        let mut hashes = Vec::new();
        for some in numbers.chunks(AT_ONCE) {
            let sending = some.iter().map(|number| async move {
                let path = format!("http://127.0.0.1:{}/v1/albums/{}/photos?name={number}.jpg", self.port, self.album);
                let request = self.client.post(path).bearer_auth(&self.token).body(copies.pieces(*number).concat());
                let answer: Value = request.send().await?.error_for_status()?.json().await?;
                text(&answer, "hash")
            });
            hashes.extend(try_join_all(sending).await?);
        }
        Ok(hashes)
    }

    /// A token for an edge.
    pub(super) async fn edge_token(&self) -> anyhow::Result<String> {
        text(&self.post("/v1/admin/tokens", &json!({"scopes": ["edge"]})).await?, "token")
    }

    /// Sends a file that may be refused; answers the status, and the hash where it was taken.
    pub(super) async fn offer(&self, name: &str, bytes: &[u8]) -> anyhow::Result<(u16, Option<String>)> {
        let path = format!("http://127.0.0.1:{}/v1/albums/{}/photos", self.port, self.album);
        let request = self.client.post(path).query(&[("name", name)]).bearer_auth(&self.token).body(bytes.to_vec());
        let answer = request.send().await?;
        let status = answer.status();
        // A refusal's words are of no interest, but have to be read for the connection to serve again.
        let body = answer.bytes().await?;
        let hash = status.is_success().then(|| text(&serde_json::from_slice(&body)?, "hash")).transpose()?;
        Ok((status.as_u16(), hash))
    }

    /// Asks for a rendition that may be refused; answers the status.
    pub(super) async fn ask(&self, path: &str) -> anyhow::Result<u16> {
        let answer = self.client.get(format!("http://127.0.0.1:{}{path}", self.port)).send().await?;
        let status = answer.status().as_u16();
        answer.bytes().await?;
        Ok(status)
    }

    /// The path of a JPEG rendition.
    pub(super) async fn sign(&self, hash: &str, size: Size) -> anyhow::Result<String> {
        let asked = json!({"hash": hash, "width": size.side, "height": size.side, "quality": size.quality, "format": "jpg"});
        text(&self.post("/v1/urls", &asked).await?, "url")
    }

    /// The paths of many.
    pub(super) async fn sign_all(&self, all: &[(&str, Size)]) -> anyhow::Result<Vec<String>> {
        let mut paths = Vec::new();
        for some in all.chunks(AT_ONCE) {
            paths.extend(try_join_all(some.iter().map(|(hash, size)| self.sign(hash, *size))).await?);
        }
        Ok(paths)
    }

    /// Has what was written so far go to the disk, and all originals lie in the page cache.
    pub(super) fn settle(&self) -> anyhow::Result<()> {
        crate::settle();
        Ok(crate::disk::warm(&self.data)?)
    }

    /// What `/metrics` says of renditions.
    pub(super) async fn served(&self) -> anyhow::Result<Served> {
        let [rendered, joined, hit, hot] =
            ["rendered", "joined", "hit", "hot"].map(|outcome| format!("halidom_renditions_total{{outcome=\"{outcome}\"}}"));
        let page = self.metrics().await?;
        Ok(Served { rendered: page.value(&rendered)?, joined: page.value(&joined)?, cached: page.value(&hit)? + page.value(&hot)? })
    }

    /// Waits until so many previews were made.
    pub(super) async fn await_previews(&self, count: u64) -> anyhow::Result<()> {
        let mut again = tokio::time::interval(LOOK_EVERY);
        loop {
            again.tick().await;
            let page = self.metrics().await?;
            let of = |outcome: &str| page.value(&format!("halidom_previews_total{{outcome=\"{outcome}\"}}"));
            anyhow::ensure!(of("failed")? + of("passed_over")? == 0, "not all previews were made");
            if of("made")? >= count && page.value("halidom_queue_waiting{queue=\"previews\"}")? == 0 {
                return Ok(());
            }
        }
    }

    async fn metrics(&self) -> anyhow::Result<Page> {
        let page = self.client.get(&self.admin).send().await?.error_for_status()?.text().await?;
        anyhow::ensure!(page.contains("halidom_build_info"), "what answers at {} is no Halidom", self.admin);
        Ok(Page(page))
    }

    async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let request = self.client.post(format!("http://127.0.0.1:{}{path}", self.port)).bearer_auth(&self.token).json(body);
        Ok(request.send().await?.error_for_status()?.json().await?)
    }
}

/// Starts a server; answers its port and where its metrics are.
async fn serve(data: &Path, processor: Option<usize>, previews: bool, isolates: bool) -> anyhow::Result<(Server, u16, String)> {
    let (port, admin_port) = (free_port()?, free_port()?);
    let mut command = processors::command(env!("CARGO_BIN_EXE_halidom"), processor);
    command.arg("serve").arg("--data").arg(data).args(["--listen", &format!("127.0.0.1:{port}")]);
    command.args(["--admin-listen", &format!("127.0.0.1:{admin_port}")]).env("HALIDOM_BLOBS__DIRECTORIES_AHEAD", "false");
    command.env("HALIDOM_RENDITIONS__PREVIEWS", previews.to_string()).env("HALIDOM_LIMITS__ISOLATE_DECODERS", isolates.to_string());
    let log = data.with_file_name(format!("log-{port}"));
    let mut server = Server::start(&mut command, &log)?;
    server.wait(&format!("http://127.0.0.1:{port}/readyz"), |status| status == 200).await?;
    Ok((server, port, format!("http://127.0.0.1:{admin_port}/metrics")))
}

/// The text of `/metrics`.
struct Page(String);

impl Page {
    /// 0 where it is not there: a family that counts by labels appears with its first event.
    fn value(&self, name: &str) -> anyhow::Result<u64> {
        let found = self.0.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(found.map_or(Ok(0), str::parse)?)
    }
}

fn text(answer: &Value, field: &str) -> anyhow::Result<String> {
    Ok(answer[field].as_str().with_context(|| format!("an answer without `{field}`"))?.to_owned())
}
