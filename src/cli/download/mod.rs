//! `download`: an album's originals, each verified before it gets its name.
//!
//! Nothing that stands in the directory is ever overwritten, and a repetition fetches only what is not there yet.

mod names;
mod place;
mod summary;
#[cfg(test)]
mod tests;
mod times;

use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use clap::Args;
use futures_util::future::OptionFuture;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};

pub(super) use self::names::NameBook;
use self::place::Existing;
use self::summary::Summary;
pub(super) use self::summary::{Failure, Tally, failures};
use super::exit::Outcome;
use super::global::Session;
use super::meter::Meter;
use super::{resolve, units};
use crate::api::{Album, Photo};
use crate::client::{Client, ClientError, Fetched};
use crate::runtime::{self, BlockingPool};

/// Download the originals of an album
///
/// Every file is verified against its hash before it gets its name. Files that are there already and right are not fetched again, and a
/// file that was interrupted goes on where it ended. Nothing is overwritten. Ends with code 3 where photos could not be had.
#[derive(Debug, Args)]
pub(super) struct DownloadOptions {
    /// The album's id or exact name
    album: String,
    /// The directory to write to; it is made where there is none
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// How many photos to fetch at once
    #[arg(long, value_name = "N", default_value = "8")]
    concurrency: NonZeroU16,
}

pub(super) async fn run(options: DownloadOptions, session: &Session) -> anyhow::Result<Outcome> {
    let album = resolve::album(&session.client, &options.album).await?;
    let (summary, stopped) = download(&options, &album, session).await?;
    session.output.either(&summary, |summary| summary.text(&album.name))?;
    match stopped {
        Some(error) => Err(anyhow::Error::new(error)
            .context(format!("stopped before the end, with {} fetched; run it again to go on", units::count(summary.downloaded, "photo")))),
        None => Ok(Outcome::of_problems(summary.failed)),
    }
}

/// Downloads; the error, where there is one, ended it before all photos were tried.
async fn download(options: &DownloadOptions, album: &Album, session: &Session) -> anyhow::Result<(Summary, Option<ClientError>)> {
    let mut tally = Tally::default();
    let rules = Rules { concurrency: options.concurrency, times: false };
    let stopped = fetch_album(&session.client, session, album, &options.directory, rules, &mut tally).await?;
    Ok((tally.summary(album.id, &options.directory), stopped))
}

/// How albums are fetched.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// How many photos at once.
    pub(super) concurrency: NonZeroU16,
    /// Whether files get the time at which their photo was taken.
    pub(super) times: bool,
}

/// Fetches an album into a directory of its own; the error, where there is one, ended it before all photos were tried.
pub(super) async fn fetch_album(
    client: &Client,
    session: &Session,
    album: &Album,
    directory: &Path,
    rules: Rules,
    tally: &mut Tally,
) -> anyhow::Result<Option<ClientError>> {
    let output = &session.output;
    let photos: Vec<Photo> = client.photos(album.id).try_collect().await.context("could not list the album's photos")?;
    tokio::fs::create_dir_all(directory).await.with_context(|| format!("could not make the directory `{}`", directory.display()))?;

    let pool = BlockingPool::new("files", runtime::cores());
    let meter = Meter::start(output, "Checking", photos.iter().map(|photo| photo.size_bytes).sum(), photos.len() as u64);
    let jobs = plan(photos, directory, &pool, &meter, tally).await?;
    meter.finish();

    let meter = Meter::start(output, "Fetching", jobs.iter().map(|job| job.photo.size_bytes).sum(), jobs.len() as u64);
    let stop = AtomicBool::new(false);
    let mut stopped: Option<ClientError> = None;
    let mut fetching = stream::iter(jobs.into_iter().map(|job| fetch(client, job, directory, rules.times, &pool, &meter, &stop)))
        .buffer_unordered(usize::from(rules.concurrency.get()));
    let mut not_tried = Vec::new();
    while let Some((job, result)) = fetching.next().await {
        meter.files(1);
        match result {
            None => not_tried.push(job),
            Some(Ok(fetched)) => tally.downloaded(job.photo, job.name, fetched),
            Some(Err(error)) => {
                tally.fail(&job.photo, &job.name, &error);
                if error.is_hopeless() {
                    // Those on their way may still come to their end.
                    stop.store(true, Ordering::Relaxed);
                    stopped.get_or_insert(error);
                }
            }
        }
    }
    drop(fetching);
    meter.finish();
    if let Some(error) = &stopped {
        not_tried.iter().for_each(|job| tally.fail(&job.photo, &job.name, error));
    }
    Ok(stopped)
}

/// A photo to fetch, and the name that is kept free for it.
struct Job {
    photo: Photo,
    name: String,
}

/// Finds a name for every photo: that of a file with its bytes where there is one, else the first that is free. So a repetition, also
/// after photos came or went, finds each file again, and no file of others is touched.
async fn plan(photos: Vec<Photo>, directory: &Path, pool: &BlockingPool, meter: &Meter, tally: &mut Tally) -> anyhow::Result<Vec<Job>> {
    let (mut jobs, mut names) = (Vec::new(), NameBook::default());
    let look = |photo: &Photo, name: &str| {
        let (path, hash, size_bytes) = (directory.join(name), photo.hash, photo.size_bytes);
        pool.run(move || place::look(&path, &hash, size_bytes))
    };
    // Files are read by as many threads as there are; names are given in order.
    let mut looked = pin!(look_ahead(photos, pool.load().limit, look));
    while let Some((photo, mut first)) = looked.next().await {
        let size_bytes = photo.size_bytes;
        let mut candidates = names.candidates(&photo.name);
        loop {
            let name = candidates.next_free(&names);
            let found = match first.take().filter(|(first, _)| *first == name) {
                Some((_, found)) => found?,
                None => look(&photo, &name).await?,
            };
            match found {
                Ok(Existing::Same) => {
                    names.take(&name);
                    tally.skipped(photo, name);
                    break;
                }
                Ok(Existing::Nothing) => {
                    names.take(&name);
                    jobs.push(Job { photo, name });
                    break;
                }
                // It may be another photo's, which finds it later.
                Ok(Existing::Other) => {}
                Err(error) => {
                    names.take(&name);
                    tally.fail(&photo, &name, &ClientError::Target(error));
                    break;
                }
            }
        }
        meter.advance(size_bytes);
        meter.files(1);
    }
    Ok(jobs)
}

/// Every photo in order, with the first name that it may get and what `look` finds under it; without, where a photo before it may get the
/// same. Looks at so many at once.
fn look_ahead<L: Future>(
    photos: Vec<Photo>,
    at_once: usize,
    look: impl Fn(&Photo, &str) -> L,
) -> impl Stream<Item = (Photo, Option<(String, L::Output)>)> {
    let mut firsts = NameBook::default();
    let looks = photos.into_iter().map(move |photo| {
        let first = firsts.first(&photo.name);
        let looking = first.map(|name| {
            firsts.take(&name);
            let looking = look(&photo, &name);
            async { (name, looking.await) }
        });
        async { (photo, OptionFuture::from(looking).await) }
    });
    stream::iter(looks).buffered(at_once)
}

/// Fetches one photo and gives it its name; `None` where it was stopped before.
async fn fetch(
    client: &Client,
    job: Job,
    directory: &Path,
    times: bool,
    pool: &BlockingPool,
    meter: &Meter,
    stop: &AtomicBool,
) -> (Job, Option<Result<Fetched, ClientError>>) {
    if stop.load(Ordering::Relaxed) {
        return (job, None);
    }
    // Named by the photo, whose bytes never change: a later run finds it and goes on.
    let partial = directory.join(format!(".halidom-{}.part", job.photo.id));
    let result = async {
        let fetched = client.fetch_original((&job.photo).into(), &partial, meter.follow()).await?;
        let (from, to) = (partial.clone(), directory.join(&job.name));
        let taken_at = times.then(|| job.photo.taken_at.clone()).flatten();
        let finish = move || {
            if let Some(taken_at) = taken_at {
                times::set(&from, &taken_at)?;
            }
            place::give_name(&from, &to)
        };
        match pool.run(finish).await {
            Ok(named) => named.map_err(ClientError::Target)?,
            Err(gone) => return Err(ClientError::Target(std::io::Error::other(gone))),
        }
        Ok(fetched)
    };
    let result = result.await;
    (job, Some(result))
}
