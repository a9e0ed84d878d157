use anyhow::Context as _;
use clap::Args;

use super::exit::Outcome;
use super::global::Session;
use super::output::fields;
use super::units;
use crate::api::ColdStats;

/// Show what the site holds (for administrators)
#[derive(Debug, Args)]
pub(super) struct StatsOptions {}

pub(super) async fn run(_options: StatsOptions, session: &Session) -> anyhow::Result<Outcome> {
    let stats = session.client.stats().await.context("could not ask for the site's numbers")?;
    session.output.either(&stats, |stats| {
        let saved = stats.logical_bytes.saturating_sub(stats.stored_bytes);
        fields([
            ("users", Some(stats.users.to_string())),
            ("albums", Some(stats.albums.to_string())),
            ("photos", Some(format!("{} ({})", stats.photos, units::bytes(stats.logical_bytes)))),
            ("blobs", Some(format!("{} ({})", stats.blobs, units::bytes(stats.stored_bytes)))),
            ("saved", Some(units::bytes(saved))),
            ("recompressed", (stats.cold.blobs > 0).then(|| cold(&stats.cold))),
            (
                "waiting for the object store",
                (stats.spooled.copies > 0).then(|| format!("{} ({})", stats.spooled.copies, units::bytes(stats.spooled.bytes))),
            ),
            ("waiting for deletion", (stats.doomed > 0).then(|| stats.doomed.to_string())),
        ])
    })?;
    Ok(Outcome::Done)
}

fn cold(cold: &ColdStats) -> String {
    format!("{} ({} as {})", cold.blobs, units::bytes(cold.original_bytes), units::bytes(cold.stored_bytes))
}
