use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use async_trait::async_trait;

use crate::peer::Peer;
use crate::process::Server;
use crate::{free_port, fresh};

/// nginx with one worker, sendfile on, and WebDAV for what it takes.
pub(crate) struct Nginx {
    server: Server,
    base: String,
    port: u16,
    root: PathBuf,
}

impl Nginx {
    pub(crate) async fn start(dir: &Path, program: &Path) -> anyhow::Result<Self> {
        Self::launch(dir, Command::new(program), "").await
    }

    /// Starts it by a command of one's own, with more settings for HTTP.
    pub(crate) async fn launch(dir: &Path, mut command: Command, more: &str) -> anyhow::Result<Self> {
        let (own, port) = (fresh(dir, "nginx")?, free_port()?);
        std::fs::create_dir_all(own.join("data"))?;
        let (root, user) = (own.display(), if rustix::process::geteuid().is_root() { "user root;" } else { "" });
        let settings = format!(
            "daemon off; worker_processes 1; pid {root}/pid; error_log {root}/error.log; {user}\n\
             events {{ worker_connections 1024; }}\n\
             http {{\n\
               access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000; client_max_body_size 64m; {more}\n\
               client_body_temp_path {root}/body; proxy_temp_path {root}/proxy; fastcgi_temp_path {root}/fastcgi;\n\
               uwsgi_temp_path {root}/uwsgi; scgi_temp_path {root}/scgi;\n\
               server {{ listen 127.0.0.1:{port}; root {root}/data; location / {{ dav_methods PUT; }} }}\n\
             }}\n"
        );
        std::fs::write(own.join("nginx.conf"), settings)?;
        command.arg("-c").arg(own.join("nginx.conf")).arg("-e").arg(own.join("error.log"));
        let mut server = Server::start(&mut command, &own.join("log"))?;
        let base = format!("http://127.0.0.1:{port}");
        server.wait(&base, |_| true).await?;
        Ok(Self { server, base, port, root: own.join("data") })
    }

    /// Its URL, without a slash at the end.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// Where it listens on loopback.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The directory whose files it serves.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }
}

#[async_trait]
impl Peer for Nginx {
    fn name(&self) -> &'static str {
        "nginx"
    }

    fn syncs(&self) -> &'static str {
        "nothing"
    }

    fn upload(&self, client: &reqwest::Client, index: u64) -> reqwest::RequestBuilder {
        client.put(format!("{}/{index}.jpg", self.base))
    }

    fn download(&self, client: &reqwest::Client, index: u64, _: &[u8]) -> anyhow::Result<reqwest::Request> {
        Ok(client.get(format!("{}/{index}.jpg", self.base)).build()?)
    }

    fn cpu(&self) -> anyhow::Result<Duration> {
        self.server.cpu()
    }
}
