use std::path::Path;
use std::process::Command;
use std::time::Duration;

use async_trait::async_trait;

use crate::peer::Peer;
use crate::process::Server;
use crate::{free_port, fresh};

/// SeaweedFS with master, volume server and filer in one process, spoken to through the filer, its leanest way in.
pub(crate) struct SeaweedFs {
    server: Server,
    base: String,
    fsync: bool,
}

impl SeaweedFs {
    pub(crate) async fn start(dir: &Path, program: &Path, fsync: bool) -> anyhow::Result<Self> {
        let own = fresh(dir, if fsync { "seaweedfs-sync" } else { "seaweedfs" })?;
        let (master, volume, filer) = (free_port()?, free_port()?, free_port()?);
        let mut command = Command::new(program);
        command.arg("server").arg(format!("-dir={}", own.display())).args(["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer"]);
        command.args(["-master.volumeSizeLimitMB=4096", "-volume.max=16", "-master.telemetry=false"]);
        for (name, port) in [("master", master), ("volume", volume), ("filer", filer)] {
            // Its gRPC ports are by default 10,000 higher, which may not exist.
            command.arg(format!("-{name}.port={port}")).arg(format!("-{name}.port.grpc={}", free_port()?));
        }
        let mut server = Server::start(&mut command, &own.join("log"))?;
        let base = format!("http://127.0.0.1:{filer}");
        server.wait(&base, |status| status == 200).await?;
        // Its first writes grow volumes: not measured.
        let client = reqwest::Client::new();
        let mut again = tokio::time::interval(Duration::from_millis(100));
        for _ in 0..100 {
            again.tick().await;
            if client.put(format!("{base}/warm")).body("warm").send().await?.status().is_success() {
                return Ok(Self { server, base, fsync });
            }
        }
        anyhow::bail!("SeaweedFS takes no file after 10 s")
    }
}

#[async_trait]
impl Peer for SeaweedFs {
    fn name(&self) -> &'static str {
        if self.fsync { "SeaweedFS, fsync" } else { "SeaweedFS, as shipped" }
    }

    fn syncs(&self) -> &'static str {
        if self.fsync { "volume file; not its metadata" } else { "nothing" }
    }

    fn upload(&self, client: &reqwest::Client, index: u64) -> reqwest::RequestBuilder {
        client.put(format!("{}/bench/{index}.jpg{}", self.base, if self.fsync { "?fsync=true" } else { "" }))
    }

    fn download(&self, client: &reqwest::Client, index: u64, _: &[u8]) -> anyhow::Result<reqwest::Request> {
        Ok(client.get(format!("{}/bench/{index}.jpg", self.base)).build()?)
    }

    fn cpu(&self) -> anyhow::Result<Duration> {
        self.server.cpu()
    }
}
