use std::path::PathBuf;

use clap::Args;

use super::exit::Outcome;

/// Run the server
///
/// Settings come from defaults, then the configuration file, then the environment, then these options.
#[derive(Debug, Args)]
pub struct ServeOptions {
    /// Where everything is kept [default: ./data]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Where to serve /v1 and renditions [default: 127.0.0.1:8420]
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<String>,
    /// Where to serve /metrics, or `off` [default: 127.0.0.1:8421]
    #[arg(long, value_name = "ADDR")]
    pub admin_listen: Option<String>,
    /// Where other sites connect
    #[arg(long, value_name = "ADDR")]
    pub peer_listen: Option<String>,
    /// Where photos are kept, `file:///dir` for instance [default: under the data directory]
    #[arg(long, value_name = "URL")]
    pub blobs: Option<String>,
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

pub(super) fn run(_options: ServeOptions) -> anyhow::Result<Outcome> {
    anyhow::bail!("this build has no server in it")
}
