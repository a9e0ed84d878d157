//! An edge of a site.

use std::path::Path;
use std::time::Duration;

use super::processors;
use super::site::Site;
use crate::process::Server;
use crate::{free_port, fresh};

/// A started edge. Every setting is at its default, but previews, which are as at its site.
pub(super) struct Edge {
    server: Server,
    pub(super) port: u16,
}

impl Edge {
    /// Starts one below `dir`, on this processor only where one is named, and waits until it follows the site.
    pub(super) async fn start(dir: &Path, processor: Option<usize>, site: &Site) -> anyhow::Result<Self> {
        let (own, port) = (fresh(dir, "edge")?, free_port()?);
        let token = own.join("token");
        std::fs::write(&token, site.edge_token().await?)?;
        let mut command = processors::command(env!("CARGO_BIN_EXE_halidom"), processor);
        command.args(["serve", "--role", "edge", "--site", &format!("http://127.0.0.1:{}", site.port), "--token-file"]).arg(token);
        command.args(["--listen", &format!("127.0.0.1:{port}"), "--admin-listen", "off", "--data"]).arg(own.join("data"));
        command.env("HALIDOM_RENDITIONS__PREVIEWS", site.previews.to_string());
        let mut server = Server::start(&mut command, &own.join("log"))?;
        server.wait(&format!("http://127.0.0.1:{port}/readyz"), |status| status == 200).await?;
        Ok(Self { server, port })
    }

    /// CPU time that it has used so far.
    pub(super) fn cpu(&self) -> anyhow::Result<Duration> {
        self.server.cpu()
    }
}
