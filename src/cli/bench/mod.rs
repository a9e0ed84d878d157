//! `bench`: drives a server over HTTP and measures what comes back.

mod generate;
mod measure;
mod report;
mod server;

use std::num::NonZeroU16;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, ValueEnum};

pub use self::generate::Generator;
use self::measure::{Measured, Plan, drive};
use self::report::Report;
use self::server::Metrics;
use super::exit::{Outcome, UsageError};
use super::global::Session;
use super::units::{parse_bytes, parse_duration};
use crate::api::{CreateAlbum, Photo, SignUrl};
use crate::client::{Client, ClientError, ClientSettings, RetrySettings, Source, Upload, UploadId, Uploaded};
use crate::model::{AlbumId, PhotoId};

/// Measure a server: uploads, downloads or thumbnails over HTTP
///
/// Works in an album of its own, which goes to the trash in the end. Failed requests are counted, not repeated. Ends with code 3 where
/// there were any.
#[derive(Debug, Args)]
pub(super) struct BenchOptions {
    /// What to measure
    what: What,
    /// Requests in flight at once
    #[arg(long, value_name = "N", default_value = "32")]
    concurrency: NonZeroU16,
    /// Bytes of a photo, such as 50KB or 3MB
    #[arg(long, value_name = "BYTES", default_value = "3MB", value_parser = parse_bytes)]
    size: u64,
    /// Requests to make [default: 1000, or no end where a duration is given]
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Time after which no request is begun, such as 30s
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    duration: Option<Duration>,
    /// Photos to download, or to make thumbnails of, in turn; as many as requests make every thumbnail a cold one
    #[arg(long, value_name = "N", default_value = "64")]
    objects: u64,
    /// Pixels that thumbnails fit into
    #[arg(long, value_name = "N", default_value = "320")]
    width: u32,
    /// A JPEG to make the photos from instead of a drawn one: it decides what decoding costs
    #[arg(long, value_name = "FILE")]
    photo: Option<PathBuf>,
    /// The photos follow from it; drawn where absent, so that every run sends new ones
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// The server's admin listener, for its CPU time [default: the port after the server's own, where that answers]
    #[arg(long, value_name = "URL")]
    metrics: Option<String>,
    /// Keep the album
    #[arg(long)]
    keep: bool,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Distinct photos, sent without digests
    Upload,
    /// Originals
    Download,
    /// Signed renditions
    Thumbnail,
}

/// What uploads need.
#[derive(Clone)]
struct Site {
    client: Client,
    album: AlbumId,
    photos: Arc<Generator>,
    metrics: Option<Metrics>,
}

pub(super) async fn run(options: BenchOptions, session: &Session) -> anyhow::Result<Outcome> {
    let seed = options.seed.unwrap_or_else(|| u64::from_le_bytes(session.runtime.random.bytes()));
    let photos = match &options.photo {
        Some(file) => {
            let base = std::fs::read(file).with_context(|| format!("could not read `{}`", file.display()))?;
            Generator::of(&base, options.size, seed).ok_or_else(|| UsageError(format!("`{}` is not a JPEG", file.display())))?
        }
        None => Generator::drawn(options.size, seed)?,
    };
    let object_bytes = photos.size_bytes();
    let metrics = match &options.metrics {
        Some(url) => Some(Metrics::at(url, &session.runtime).await?),
        None => match server::default_address(session.client.server()) {
            // Nobody asked for it: where there is none, there is no CPU time.
            Some(url) => Metrics::at(&url, &session.runtime).await.ok(),
            None => None,
        },
    };
    let once = RetrySettings { attempts: 1, turn: Duration::ZERO, ..RetrySettings::default() };
    let client = session.client.clone().with_settings(ClientSettings { retry: once, ..ClientSettings::default() });
    let request = CreateAlbum { name: format!("bench {seed:016x}"), id: None, description: None };
    let album = client.create_album(&request).await.context("could not make an album to measure in")?.id;

    let measured = measure(&options, session, &Site { client: client.clone(), album, photos: Arc::new(photos), metrics }).await;
    if !options.keep {
        client.delete_album(album).await.context("could not delete the album that was measured in")?;
    }
    let name = options.what.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
    let report = Report::new(name, usize::from(options.concurrency.get()), object_bytes, seed, measured?);
    session.output.either(&report, Report::text)?;
    Ok(Outcome::of_problems(report.errors))
}

async fn measure(options: &BenchOptions, session: &Session, site: &Site) -> anyhow::Result<Measured> {
    let count = options.count.or(if options.duration.is_some() { None } else { Some(1_000) });
    let plan = Plan { concurrency: usize::from(options.concurrency.get()), count, duration: options.duration };
    let clock = &session.runtime.clock;
    if options.what == What::Upload {
        let site = site.clone();
        let metrics = site.metrics.clone();
        return watched(
            metrics.as_ref(),
            drive(plan, clock, move |index| {
                let site = site.clone();
                async move { site.send(index).await.map(|_| site.photos.size_bytes()) }
            }),
        )
        .await;
    }

    let objects = prepare(site, options.objects.max(1), plan.concurrency).await.context("could not upload the photos to measure with")?;
    let client = site.client.clone();
    let urls: Arc<[String]> = if options.what == What::Download {
        objects.iter().map(|photo| format!("/v1/photos/{}/original", photo.id)).collect()
    } else {
        let mut urls = Vec::new();
        for photo in &objects {
            let request = SignUrl {
                hash: photo.hash,
                width: Some(options.width),
                height: None,
                quality: None,
                preset: None,
                format: None,
                expires: None,
            };
            urls.push(client.sign_url(&request).await.context("could not sign a thumbnail's URL")?.url);
        }
        urls.into()
    };
    watched(
        site.metrics.as_ref(),
        drive(plan, clock, move |index| {
            let (client, urls) = (client.clone(), urls.clone());
            let place = usize::try_from(index).unwrap_or_default() % urls.len();
            async move { client.get_once(&urls[place], drop).await }
        }),
    )
    .await
}

/// Measures what the server uses meanwhile, too. Everything that it does counts, also for others.
async fn watched(metrics: Option<&Metrics>, driving: impl Future<Output = Measured>) -> anyhow::Result<Measured> {
    let Some(metrics) = metrics else { return Ok(driving.await) };
    let before = metrics.used().await?;
    let mut measured = driving.await;
    measured.server_cpu = metrics.used().await?.since(before);
    Ok(measured)
}

/// Uploads photos to measure with; not measured.
async fn prepare(site: &Site, count: u64, concurrency: usize) -> Result<Vec<Photo>, ClientError> {
    use futures_util::{StreamExt, TryStreamExt, stream};
    let sending = stream::iter((0..count).map(|index| site.send(index))).buffered(concurrency);
    sending.map_ok(|uploaded| uploaded.photo).try_collect().await
}

impl Site {
    async fn send(&self, index: u64) -> Result<Uploaded, ClientError> {
        let upload = Upload {
            album: self.album,
            id: UploadId::Own(PhotoId::from_bytes(self.photos.id(index))),
            name: format!("{index}.jpg"),
            size_bytes: self.photos.size_bytes(),
            hash: None,
            sha256: None,
            source: Source::Memory(self.photos.pieces(index)),
        };
        self.client.upload(&upload, Arc::new(|_| ())).await
    }
}
