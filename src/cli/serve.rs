use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;

use super::exit::Outcome;
use crate::config::{self, Config, LoadOptions};
use crate::{runtime, server};

/// The pools have threads of their own: these are for the system's resolver and for closing the pools.
const RUNTIME_BLOCKING_THREADS: usize = 4;

/// How long the process waits for threads that did not end within the grace, before it ends with them.
const LAST_WAIT: Duration = Duration::from_secs(2);

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
    /// A second place for photos, which has all of them, too [default: none]
    #[arg(long, value_name = "URL")]
    pub mirror: Option<String>,
    /// What the server is: `site`, or `edge`, which shows renditions of a site and has no metadata [default: site]
    #[arg(long, value_name = "ROLE")]
    pub role: Option<String>,
    /// The site that an edge asks; several in the order in which they are asked
    #[arg(long, value_name = "URL")]
    pub site: Vec<String>,
    /// The file with the token that the sites gave an edge (scope `edge`)
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

pub(super) fn run(options: ServeOptions) -> anyhow::Result<Outcome> {
    let environment = config::environment();
    let mut settings = Config::load(LoadOptions {
        config: options.config,
        data: options.data,
        listen: options.listen,
        admin_listen: options.admin_listen,
        peer_listen: options.peer_listen,
        blobs: options.blobs,
        mirror: options.mirror,
        role: options.role,
        sites: (!options.site.is_empty()).then(|| options.site.join(",")),
        token_file: options.token_file,
        environment: environment.clone(),
    })?;
    server::init_logging(&settings.log, &environment)?;
    if !runtime::use_small_pages() {
        tracing::warn!("the system may back memory by huge pages: the server takes up to twice as much of it");
    }
    server::fit_to_open_files(&mut settings, runtime::raise_open_files())?;
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let threads =
        builder.enable_all().max_blocking_threads(RUNTIME_BLOCKING_THREADS).build().context("the system has no threads to give")?;
    let ended = threads.block_on(server::run(settings));
    // What still hangs, on a dead disk, has had its grace.
    threads.shutdown_timeout(LAST_WAIT);
    ended?;
    Ok(Outcome::Done)
}
