use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use super::exit::{Hinted, Outcome};
use super::global::Session;
use super::output::{Output, fields, table};
use super::units;
use crate::api::{CheckReport, CheckRequest};
use crate::config::{self, Config, LoadOptions};
use crate::server::{self, ServerError};

/// Check a site's metadata and blobs (for administrators)
///
/// Asks the server; or, with --data, looks at the site's directory itself, which no server may be using then. Changes nothing. Ends with
/// code 3 where something is wrong.
#[derive(Debug, Args)]
pub(super) struct CheckOptions {
    /// Check the site in this directory without a server
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// With --data: where its photos are kept [default: under the data directory]
    #[arg(long, value_name = "URL", requires = "data")]
    blobs: Option<String>,
    /// With --data: the server's configuration file
    #[arg(long, value_name = "FILE", requires = "data")]
    config: Option<PathBuf>,
    /// Read and hash every blob, not only look that it is there with its size
    #[arg(long)]
    read_data: bool,
}

impl CheckOptions {
    /// Whether it needs no server.
    pub(super) fn is_offline(&self) -> bool {
        self.data.is_some()
    }
}

/// Without a server.
pub(super) fn run_offline(options: CheckOptions, output: &Output) -> anyhow::Result<Outcome> {
    let environment = config::environment();
    let settings = Config::load(LoadOptions {
        config: options.config,
        data: options.data,
        blobs: options.blobs,
        environment: environment.clone(),
        ..LoadOptions::default()
    })?;
    server::init_logging(&settings.log, &environment)?;
    let threads = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("the system has no threads to give")?;
    let checked = threads.block_on(server::check_offline(&settings, options.read_data));
    let report = checked.map_err(hinted).context("could not check the site")?;
    output.either(&report, text)?;
    Ok(Outcome::of_problems(report.problems))
}

pub(super) fn hinted(error: ServerError) -> anyhow::Error {
    if error.is_in_use() {
        let hint = "a server is running on it: stop that, or ask it (without `--data`)".to_owned();
        return Hinted { what: error.to_string(), hint }.into();
    }
    error.into()
}

pub(super) async fn run(options: CheckOptions, session: &Session) -> anyhow::Result<Outcome> {
    let request = CheckRequest { read_data: options.read_data };
    let report = session.client.check(&request).await.context("could not check the site")?;
    session.output.either(&report, text)?;
    Ok(Outcome::of_problems(report.problems))
}

fn text(report: &CheckReport) -> String {
    let mut text = fields([
        ("rows", Some(report.rows.to_string())),
        ("blobs", Some(report.blobs.to_string())),
        ("read", Some(units::bytes(report.bytes_read))),
        ("orphans", (report.orphans > 0).then(|| format!("{} (harmless)", report.orphans))),
        ("waiting for deletion", (report.doomed > 0).then(|| report.doomed.to_string())),
        ("problems", Some(report.problems.to_string())),
    ]);
    if !report.findings.is_empty() {
        text.push('\n');
        let rows = report.findings.iter().map(|finding| [finding.code.clone(), finding.subject.clone(), finding.detail.clone()]);
        text.push_str(&table(["PROBLEM", "WHERE", "DETAIL"], rows));
    }
    text
}
