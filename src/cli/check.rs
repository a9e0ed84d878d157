use anyhow::Context as _;
use clap::Args;

use super::exit::Outcome;
use super::global::Session;
use super::output::{fields, table};
use super::units;
use crate::api::{CheckReport, CheckRequest};

/// Check a site's metadata and blobs (for administrators)
///
/// Ends with code 3 where something is wrong.
#[derive(Debug, Args)]
pub(super) struct CheckOptions {
    /// Read and hash every blob, not only look that it is there with its size
    #[arg(long)]
    read_data: bool,
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
