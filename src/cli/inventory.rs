use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use super::check::hinted;
use super::exit::Outcome;
use super::output::{Output, fields};
use super::units;
use crate::api::InventorySummary;
use crate::config::{self, Config, LoadOptions};
use crate::server;

/// List everything that lies in a site's backend, or should, without a server
///
/// Prints a JSON object a line for each copy and for each that is missing, by hash: its state (named, doomed, extra, missing, damaged, foreign),
/// key, hash and size. The counts follow on stderr, or with --json as the last object. Changes nothing. No server may be using the site. Ends with
/// code 3 where something is missing or damaged.
#[derive(Debug, Args)]
pub(super) struct InventoryOptions {
    /// The site's directory
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Where its photos are kept [default: under the data directory]
    #[arg(long, value_name = "URL")]
    blobs: Option<String>,
    /// The server's configuration file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Read and hash every copy that is named, not only look that it is there with its size
    #[arg(long)]
    read_data: bool,
}

pub(super) fn run(options: InventoryOptions, output: &Output) -> anyhow::Result<Outcome> {
    let environment = config::environment();
    let settings = Config::load(LoadOptions {
        config: options.config,
        data: Some(options.data),
        blobs: options.blobs,
        environment: environment.clone(),
        ..LoadOptions::default()
    })?;
    server::init_logging(&settings.log, &environment)?;
    let threads = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("the system has no threads to give")?;
    let listed = threads.block_on(server::inventory_offline(&settings, options.read_data, &mut |line| output.value(line)));
    let summary = listed.map_err(hinted).context("could not list the backend")?;
    if output.is_json() {
        output.value(&summary)?;
    } else {
        output.note(text(&summary).trim_end());
    }
    Ok(Outcome::of_problems(summary.missing + summary.damaged))
}

fn text(summary: &InventorySummary) -> String {
    fields([
        ("named", Some(summary.named.to_string())),
        ("doomed", (summary.doomed > 0).then(|| format!("{} (wait for their deletion)", summary.doomed))),
        ("extra", (summary.extra > 0).then(|| format!("{} (harmless)", summary.extra))),
        ("missing", Some(summary.missing.to_string())),
        ("damaged", Some(summary.damaged.to_string())),
        ("foreign", (summary.foreign > 0).then(|| summary.foreign.to_string())),
        ("stored", Some(units::bytes(summary.stored_bytes))),
        ("read", Some(units::bytes(summary.bytes_read))),
    ])
}
