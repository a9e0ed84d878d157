use std::path::Path;
use std::process::Command;
use std::time::Duration;

use async_trait::async_trait;

use crate::peer::Peer;
use crate::process::Server;
use crate::{free_port, fresh};

/// This very program, as `floor.rs` at the root serves it.
pub(crate) struct Floor {
    server: Server,
    base: String,
    digests: bool,
}

impl Floor {
    pub(crate) async fn start(dir: &Path, digests: bool) -> anyhow::Result<Self> {
        let (own, port) = (fresh(dir, "floor")?, free_port()?);
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("--floor").arg(format!("127.0.0.1:{port}")).arg("--dir").arg(own.join("data"));
        if digests {
            command.arg("--digests");
        }
        let mut server = Server::start(&mut command, &own.join("log"))?;
        let base = format!("http://127.0.0.1:{port}");
        server.wait(&base, |_| true).await?;
        Ok(Self { server, base, digests })
    }
}

#[async_trait]
impl Peer for Floor {
    fn name(&self) -> &'static str {
        if self.digests { "floor, with the three digests" } else { "floor" }
    }

    fn syncs(&self) -> &'static str {
        "file and directory"
    }

    fn upload(&self, client: &reqwest::Client, index: u64) -> reqwest::RequestBuilder {
        client.put(format!("{}/{index}", self.base))
    }

    fn download(&self, _: &reqwest::Client, _: u64, _: &[u8]) -> anyhow::Result<reqwest::Request> {
        anyhow::bail!("the floor only takes")
    }

    fn cpu(&self) -> anyhow::Result<Duration> {
        self.server.cpu()
    }
}
