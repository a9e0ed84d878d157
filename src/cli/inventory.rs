use std::path::PathBuf;
use std::pin::pin;

use anyhow::Context as _;
use clap::{ArgGroup, Args};
use futures_util::TryStreamExt as _;

use super::check::hinted;
use super::exit::Outcome;
use super::global::Session;
use super::output::{Output, fields};
use super::units;
use crate::api::{InventoryPart, InventorySummary};
use crate::config::{self, Config, LoadOptions};
use crate::server;

/// List everything that lies in a site's backend, or should (for administrators)
///
/// Asks the server; with --data looks at the site's directory itself, which no server may be using then; with --blobs alone looks at a backend of which nothing
/// else is known, and which a server may be using. Prints a JSON object a line for each copy and for each that is missing, by hash: its state (named, stored,
/// doomed, extra, missing, damaged, foreign), key, hash and size. The counts follow on stderr, or with --json as the last object. Changes nothing. Ends with
/// code 3 where something is missing or damaged.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("place").args(["data", "blobs"]).multiple(true))]
pub(super) struct InventoryOptions {
    /// List the backend of the site in this directory without a server
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where the photos are kept [default: under the data directory]; without --data: list what lies there, and nothing of a site
    #[arg(long, value_name = "URL")]
    blobs: Option<String>,
    /// With --data or --blobs: the server's configuration file
    #[arg(long, value_name = "FILE", requires = "place")]
    config: Option<PathBuf>,
    /// Read and hash every copy that should be there (with --blobs alone every one that is), not only look at its size
    #[arg(long)]
    read_data: bool,
}

impl InventoryOptions {
    /// Whether it needs no server.
    pub(super) fn is_offline(&self) -> bool {
        self.data.is_some() || self.blobs.is_some()
    }
}

/// Without a server.
pub(super) fn run_offline(options: InventoryOptions, output: &Output) -> anyhow::Result<Outcome> {
    let environment = config::environment();
    let has_site = options.data.is_some();
    let settings = Config::load(LoadOptions {
        config: options.config,
        data: options.data,
        blobs: options.blobs,
        environment: environment.clone(),
        ..LoadOptions::default()
    })?;
    server::init_logging(&settings.log, &environment)?;
    let threads = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("the system has no threads to give")?;
    let mut tell = |line: &_| output.value(line);
    let told = threads.block_on(async {
        if has_site {
            server::inventory_offline(&settings, options.read_data, &mut tell).await
        } else {
            server::inventory_of_backend(&settings, options.read_data, &mut tell).await
        }
    });
    ended(told.map_err(hinted).context(FAILED)?, output)
}

/// Asks the server.
pub(super) async fn run(options: InventoryOptions, session: &Session) -> anyhow::Result<Outcome> {
    let mut parts = pin!(session.client.inventory(options.read_data));
    loop {
        match parts.try_next().await.context(FAILED)? {
            Some(InventoryPart::Thing(line)) => session.output.value(&line)?,
            Some(InventoryPart::End { summary }) => return ended(summary, &session.output),
            None => anyhow::bail!("the inventory ended without its last line"),
        }
    }
}

/// What came until then is no inventory.
const FAILED: &str = "could not list all of the backend";

fn ended(summary: InventorySummary, output: &Output) -> anyhow::Result<Outcome> {
    let problems = summary.missing + summary.damaged;
    if output.is_json() {
        output.value(&InventoryPart::End { summary })?;
    } else {
        output.note(text(&summary).trim_end());
    }
    Ok(Outcome::of_problems(problems))
}

fn text(summary: &InventorySummary) -> String {
    let if_any = |count: u64, means: &str| (count > 0).then(|| format!("{count}{means}"));
    fields([
        ("named", if_any(summary.named, "")),
        ("stored", if_any(summary.stored, "")),
        ("doomed", if_any(summary.doomed, " (wait for their deletion)")),
        ("extra", if_any(summary.extra, " (harmless)")),
        ("missing", Some(summary.missing.to_string())),
        ("damaged", Some(summary.damaged.to_string())),
        ("foreign", if_any(summary.foreign, "")),
        ("bytes", Some(units::bytes(summary.stored_bytes))),
        ("read", Some(units::bytes(summary.bytes_read))),
    ])
}
