use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;

use crate::peer::Peer;
use crate::process::Server;
use crate::{free_port, fresh};

/// Halidom as it is shipped, every setting at its default.
pub(crate) struct Halidom {
    server: Server,
    base: String,
    token: String,
    album: String,
}

impl Halidom {
    pub(crate) async fn start(dir: &Path) -> anyhow::Result<Self> {
        Self::start_with(dir, &[]).await
    }

    /// With further arguments.
    pub(crate) async fn start_with(dir: &Path, arguments: &[&str]) -> anyhow::Result<Self> {
        let (own, port) = (fresh(dir, "halidom")?, free_port()?);
        let data = own.join("data");
        let mut command = Command::new(env!("CARGO_BIN_EXE_halidom"));
        command
            .arg("serve")
            .arg("--data")
            .arg(&data)
            .arg("--listen")
            .arg(format!("127.0.0.1:{port}"))
            .args(["--admin-listen", "off"])
            .args(arguments);
        let mut server = Server::start(&mut command, &own.join("log"))?;
        let base = format!("http://127.0.0.1:{port}");
        server.wait(&format!("{base}/readyz"), |status| status == 200).await?;
        let token = std::fs::read_to_string(data.join("admin.token"))?.trim().to_owned();
        let request = reqwest::Client::new().post(format!("{base}/v1/albums")).bearer_auth(&token);
        let answer = request.json(&serde_json::json!({"name": "bench"})).send().await?.error_for_status()?;
        let album: serde_json::Value = answer.json().await?;
        let album = album["id"].as_str().context("an album without an id")?.to_owned();
        Ok(Self { server, base, token, album })
    }
}

#[async_trait]
impl Peer for Halidom {
    fn name(&self) -> &'static str {
        "halidom"
    }

    fn syncs(&self) -> &'static str {
        "file, directory and metadata"
    }

    fn upload(&self, client: &reqwest::Client, index: u64) -> reqwest::RequestBuilder {
        client.post(format!("{}/v1/albums/{}/photos?name={index}.jpg", self.base, self.album)).bearer_auth(&self.token)
    }

    fn download(&self, client: &reqwest::Client, _: u64, answer: &[u8]) -> anyhow::Result<reqwest::Request> {
        let photo: serde_json::Value = serde_json::from_slice(answer)?;
        let id = photo["id"].as_str().context("a photo without an id")?;
        Ok(client.get(format!("{}/v1/photos/{id}/original", self.base)).bearer_auth(&self.token).build()?)
    }

    fn cpu(&self) -> anyhow::Result<Duration> {
        self.server.cpu()
    }
}
