use anyhow::Context as _;
use clap::Args;
use serde::Serialize;

use super::exit::{Outcome, UsageError};
use super::global::Session;
use super::units::parse_duration;
use crate::api::SignUrl;
use crate::model::BlobHash;

/// Print a signed URL of a rendition
///
/// The rendition fits into width and height; it is never enlarged. The URL is all that a browser needs.
#[derive(Debug, Args)]
pub(super) struct UrlOptions {
    /// The photo's hash: 64 hex digits
    hash: BlobHash,
    /// Pixels; as follows from the height where absent
    #[arg(long, value_name = "N")]
    width: Option<u32>,
    /// Pixels; as follows from the width where absent
    #[arg(long, value_name = "N")]
    height: Option<u32>,
    /// 1 to 100
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=100))]
    quality: Option<u8>,
    /// A preset of the tenant's; several with colons between their names
    #[arg(long, value_name = "NAME")]
    preset: Option<String>,
    /// jpg, webp, avif or png [default: jpg, or what the preset or the browser says]
    #[arg(long)]
    format: Option<String>,
    /// The URL ceases after this time, such as 12h or 30d
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    expires_in: Option<std::time::Duration>,
    /// Not a rendition, but the base URI of the photo as an IIIF image: viewers take it with `/info.json` behind it
    #[arg(long, conflicts_with_all = ["width", "height", "quality", "format"])]
    iiif: bool,
}

pub(super) async fn run(options: UrlOptions, session: &Session) -> anyhow::Result<Outcome> {
    #[derive(Serialize)]
    struct Answer {
        url: String,
    }
    if !options.iiif && options.width.is_none() && options.height.is_none() && options.preset.is_none() {
        return Err(UsageError("give a `--width`, a `--height`, or both; or a `--preset`, or `--iiif`".into()).into());
    }
    let request = SignUrl {
        hash: options.hash,
        width: options.width,
        height: options.height,
        quality: options.quality,
        format: options.format,
        preset: options.preset,
        expires: options.expires_in.map(|after| session.runtime.clock.unix_ms() / 1_000 + after.as_secs()),
        iiif: options.iiif,
    };
    let signed = session.client.sign_url(&request).await.context("could not sign the URL")?;
    session.output.either(&Answer { url: session.client.absolute(&signed.url) }, |answer| format!("{}\n", answer.url))?;
    Ok(Outcome::Done)
}
