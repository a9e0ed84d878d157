use anyhow::Context as _;
use clap::Args;

use super::exit::Outcome;
use super::global::Session;
use super::output::table;
use super::units;
use crate::api::SimilarPhotos;
use crate::model::PhotoId;

/// List the photos that look like one: re-encodings, other sizes, bursts
///
/// Nearest first, without those in the trash. DISTANCE is in how many of 64 bits their perceptual hashes differ: 0 looks the same, within 6 lie
/// re-encodings and other sizes, within 10 most frames of a burst. Photos without such a hash (blank ones, or from before there were any)
/// are like none.
#[derive(Debug, Args)]
pub(super) struct SimilarOptions {
    /// Its id
    photo: PhotoId,
    /// In how many of 64 bits they may differ, 0 to 11 [default: 10]
    #[arg(long, value_name = "N")]
    distance: Option<u32>,
    /// At most so many [default: 100, as the server is set]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
}

pub(super) async fn run(options: SimilarOptions, session: &Session) -> anyhow::Result<Outcome> {
    let Session { client, output, .. } = session;
    let SimilarOptions { photo, distance, limit } = options;
    let found = client.similar_photos(photo, distance, limit).await.context("could not look for similar photos")?;
    output.either(&found, show)?;
    if found.perceptual_hash.is_none() {
        output.note("This photo has no perceptual hash, so that none can be told to look like it");
    }
    if found.next.is_some() {
        output.note("There are more: ask for them with `--limit`, or for nearer ones with `--distance`");
    }
    if found.complete_within < found.distance {
        output.note(&format!("Too many photos look like it: beyond a distance of {} some are not listed", found.complete_within));
    }
    Ok(Outcome::Done)
}

fn show(found: &SimilarPhotos) -> String {
    let rows = found.items.iter().map(|item| {
        let photo = &item.photo;
        [
            item.distance.to_string(),
            photo.id.to_string(),
            photo.name.clone(),
            units::bytes(photo.size_bytes),
            format!("{}x{}", photo.width, photo.height),
            photo.taken_at.clone().unwrap_or_default(),
            photo.hash.to_string(),
        ]
    });
    table(["DISTANCE", "ID", "NAME", "SIZE", "PIXELS", "TAKEN", "HASH"], rows)
}
