//! Uploads that end in S3, beside `rclone copy` of the same photos to the same SeaweedFS, which stays up for both of a round.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::load::{self, Load};
use crate::peer::Work;
use crate::peers::halidom::Halidom;
use crate::process::Server;
use crate::{free_port, fresh, settle};

const ACCESS_KEY: &str = "bench";
const SECRET_KEY: &str = "a secret of benchmarks alone";
/// What a bucket is called.
const BUCKET: &str = "photos";
/// A file system of memory: the spool lies there, and what rclone reads.
const MEMORY: &str = "/dev/shm";

/// SeaweedFS with its S3 interface, in one process.
pub(crate) struct Service {
    _server: Server,
    endpoint: String,
    credentials: PathBuf,
    /// Gone at the end, with what lies in it.
    memory: tempfile::TempDir,
}

impl Service {
    pub(crate) async fn start(dir: &Path, weed: &Path) -> anyhow::Result<Self> {
        let own = fresh(dir, "seaweedfs-s3")?;
        let (filer, s3) = (free_port()?, free_port()?);
        let identity = serde_json::json!({"identities": [{"name": "bench",
            "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}], "actions": ["Admin", "Read", "Write", "List", "Tagging"]}]});
        std::fs::write(own.join("s3.json"), identity.to_string())?;
        let credentials = own.join("credentials");
        std::fs::write(&credentials, format!("[default]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n"))?;
        let data = own.join("data");
        std::fs::create_dir(&data)?;
        let mut command = Command::new(weed);
        command.arg("server").arg(format!("-dir={}", data.display())).args(["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3"]);
        command.args(["-s3.port.iceberg=0", "-s3.port.lance=0", "-master.volumeSizeLimitMB=4096", "-volume.max=16"]);
        command.arg("-master.telemetry=false").arg(format!("-s3.config={}", own.join("s3.json").display()));
        for (name, port) in [("master", free_port()?), ("volume", free_port()?), ("filer", filer), ("s3", s3)] {
            command.arg(format!("-{name}.port={port}")).arg(format!("-{name}.port.grpc={}", free_port()?));
        }
        let mut server = Server::start(&mut command, &own.join("log"))?;
        let base = format!("http://127.0.0.1:{filer}");
        server.wait(&base, |status| status == 200).await?;
        let endpoint = format!("http://127.0.0.1:{s3}");
        server.wait(&format!("{endpoint}/status"), |_| true).await?;
        let client = reqwest::Client::new();
        let mut again = tokio::time::interval(Duration::from_millis(100));
        for _ in 0..100 {
            again.tick().await;
            // A bucket is a directory of its filer; its first writes grow volumes, which is not measured.
            let made = client.post(format!("{base}/buckets/{BUCKET}/")).send().await?.status();
            if (made.is_success() || made.as_u16() == 409)
                && client.put(format!("{base}/buckets/{BUCKET}/warm")).body("warm").send().await?.status().is_success()
            {
                let memory = tempfile::Builder::new().prefix("halidom-bench-").tempdir_in(MEMORY)?;
                return Ok(Self { _server: server, endpoint, credentials, memory });
            }
        }
        anyhow::bail!("SeaweedFS takes no file after 10 s")
    }

    /// Uploads through Halidom, its spool in memory.
    pub(crate) async fn upload(&self, dir: &Path, load: Load, seed: u64) -> anyhow::Result<Work> {
        let config = fresh(dir, "config")?.join("halidom.toml");
        let spool = self.memory.path().join("spool");
        let settings = format!("[s3]\ncredentials_file = {:?}\nspool_dir = {:?}\n", self.credentials, spool);
        std::fs::write(&config, settings)?;
        let blobs = format!("s3://{BUCKET}/halidom?endpoint={}", self.endpoint);
        let arguments = ["--config", config.to_str().context("a path that is no text")?, "--blobs", &blobs];
        let peer = Halidom::start_with(dir, &arguments).await?;
        let work = load::upload(&peer, load, seed).await?;
        drop(peer);
        std::fs::remove_dir_all(spool)?;
        Ok(work)
    }

    /// Has rclone copy the same photos, from a directory in memory, as many at once. Its CPU time is not asked for.
    pub(crate) fn copy(&self, rclone: &Path, load: Load, seed: u64) -> anyhow::Result<Work> {
        let (photos, from) = (load::photos(load, seed)?, self.memory.path().join("photos"));
        // As with uploads some go before.
        for (name, indexes) in [("warm", load.count..load.count + 2 * load.connections), ("all", 0..load.count)] {
            std::fs::create_dir_all(from.join(name))?;
            for index in indexes {
                std::fs::write(from.join(name).join(format!("{index}.jpg")), photos.pieces(index).concat())?;
            }
        }
        let run = |name: &str| {
            let at_once = load.connections.to_string();
            let mut command = Command::new(rclone);
            command.args([
                "copy",
                "--config",
                "/dev/null",
                "--transfers",
                &at_once,
                "--checkers",
                &at_once,
                "--no-traverse",
                "--no-check-dest",
            ]);
            command.args(["--s3-provider", "SeaweedFS", "--s3-endpoint", &self.endpoint, "--s3-no-check-bucket"]);
            command.args(["--s3-access-key-id", ACCESS_KEY, "--s3-secret-access-key", SECRET_KEY]);
            command.arg(from.join(name)).arg(format!(":s3:{BUCKET}/rclone/{name}"));
            // Its own server certificates are nobody's business on loopback.
            command.env_remove("AWS_CA_BUNDLE").stdin(Stdio::null());
            let output = command.output().with_context(|| format!("could not start {}", rclone.display()))?;
            anyhow::ensure!(output.status.success(), "rclone: {}", String::from_utf8_lossy(&output.stderr));
            anyhow::Ok(())
        };
        run("warm")?;
        settle();
        let begun = Instant::now();
        run("all")?;
        let elapsed = begun.elapsed();
        std::fs::remove_dir_all(&from)?;
        Ok(Work { requests: load.count, bytes: load.count * load.size_bytes, elapsed, cpu: None })
    }
}

/// Both, round after round.
pub(crate) async fn measure(dir: &Path, weed: &Path, rclone: &Path, load: Load, round: u64) -> anyhow::Result<[(&'static str, Work); 2]> {
    let service = Service::start(dir, weed).await?;
    // Who is first changes, so that it is nobody's gain.
    if round.is_multiple_of(2) {
        let ours = service.upload(dir, load, round).await?;
        Ok([("halidom", ours), ("rclone copy", service.copy(rclone, load, round)?)])
    } else {
        let theirs = service.copy(rclone, load, round)?;
        Ok([("halidom", service.upload(dir, load, round).await?), ("rclone copy", theirs)])
    }
}
