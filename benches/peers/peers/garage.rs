use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use rusty_s3::{Bucket, Credentials, S3Action as _, UrlStyle};

use crate::peer::Peer;
use crate::process::Server;
use crate::{free_port, fresh};

const REGION: &str = "garage";
const BUCKET: &str = "bench";
/// A key that is no secret: its server hears loopback alone, and lives for one turn.
const KEY: &str = "GK000000000000000000000000";
const SECRET: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// Longer than any turn.
const SIGNED_FOR: Duration = Duration::from_secs(3600);

/// Garage, one node with one copy, spoken to by S3's interface. Each request has a presigned URL, whose payload is not signed
/// (`UNSIGNED-PAYLOAD`): so Garage takes no SHA-256 of it, as it would for most clients. Of its own accord it takes MD5 and BLAKE2b, and
/// tries to compress. Signing is done by the generator.
pub(crate) struct Garage {
    server: Server,
    bucket: Bucket,
    credentials: Credentials,
    fsync: bool,
}

impl Garage {
    pub(crate) async fn start(dir: &Path, program: &Path, fsync: bool) -> anyhow::Result<Self> {
        let own = fresh(dir, if fsync { "garage-sync" } else { "garage" })?;
        let (rpc, s3, root, file) = (free_port()?, free_port()?, own.display(), own.join("garage.toml"));
        let synced = if fsync { "data_fsync = true\nmetadata_fsync = true\n" } else { "" };
        let settings = format!(
            "metadata_dir = '{root}/meta'\n\
             data_dir = '{root}/data'\n\
             db_engine = 'lmdb'\n\
             {synced}\
             replication_factor = 1\n\
             rpc_bind_addr = '127.0.0.1:{rpc}'\n\
             rpc_public_addr = '127.0.0.1:{rpc}'\n\
             rpc_secret = '{SECRET}'\n\
             [s3_api]\n\
             api_bind_addr = '127.0.0.1:{s3}'\n\
             s3_region = '{REGION}'\n"
        );
        std::fs::write(&file, settings)?;
        let mut server = Server::start(command(program, &file).arg("server"), &own.join("log"))?;
        let base = format!("http://127.0.0.1:{s3}");
        server.wait(&base, |_| true).await?;
        reach(program, &file).await?;
        let id = run(program, &file, &["node", "id", "-q"])?;
        let id = id.split('@').next().unwrap_or_default();
        run(program, &file, &["layout", "assign", id, "-z", "here", "-c", "1TB"])?;
        run(program, &file, &["layout", "apply", "--version", "1"])?;
        run(program, &file, &["bucket", "create", BUCKET])?;
        run(program, &file, &["key", "import", KEY, SECRET, "-n", "bench", "--yes"])?;
        run(program, &file, &["bucket", "allow", BUCKET, "--key", KEY, "--read", "--write"])?;
        let bucket = Bucket::new(base.parse()?, UrlStyle::Path, BUCKET, REGION)?;
        Ok(Self { server, bucket, credentials: Credentials::new(KEY, SECRET), fsync })
    }
}

/// The program without our surroundings: they may name another cluster (`GARAGE_RPC_HOST`), where the command line would work.
fn command(program: &Path, file: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().arg("-c").arg(file);
    command
}

/// Does something by Garage's command line; answers what it printed.
fn run(program: &Path, file: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let output = command(program, file).args(arguments).stdin(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "garage {}: {}: {said}", arguments.join(" "), output.status);
    String::from_utf8(output.stdout).context("what garage prints is not UTF-8")
}

/// Waits until the command line reaches the server, by a port of its own.
async fn reach(program: &Path, file: &Path) -> anyhow::Result<()> {
    let mut again = tokio::time::interval(Duration::from_millis(100));
    let mut reached = Ok(String::new());
    for _ in 0..100 {
        again.tick().await;
        reached = run(program, file, &["status"]);
        if reached.is_ok() {
            break;
        }
    }
    reached.map(drop)
}

#[async_trait]
impl Peer for Garage {
    fn name(&self) -> &'static str {
        if self.fsync { "Garage, both fsyncs" } else { "Garage, as shipped" }
    }

    // With `metadata_fsync` LMDB still has MDB_NOMETASYNC: a power cut may undo its last transaction.
    fn syncs(&self) -> &'static str {
        if self.fsync { "file, directory and metadata but for its last transaction" } else { "nothing" }
    }

    fn upload(&self, client: &reqwest::Client, index: u64) -> reqwest::RequestBuilder {
        client.put(self.bucket.put_object(Some(&self.credentials), &format!("{index}.jpg")).sign(SIGNED_FOR))
    }

    fn download(&self, _: &reqwest::Client, _: u64, _: &[u8]) -> anyhow::Result<reqwest::Request> {
        anyhow::bail!("Garage only takes")
    }

    fn cpu(&self) -> anyhow::Result<Duration> {
        self.server.cpu()
    }
}
