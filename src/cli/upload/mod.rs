//! `upload`: what is there is found and hashed first, then the server is asked what it lacks, and only that travels.
//!
//! Safe to interrupt and to run again, also at the same time: a photo's id follows from owner, album and hash, so that a repetition merges
//! with what was done before.

mod hash;
mod plan;
mod send;
mod settle;
mod summary;
#[cfg(test)]
mod tests;
mod walk;

use std::num::NonZeroU16;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use self::send::Sender;
use self::summary::Summary;
pub(super) use self::summary::{Failure, Tally, failures};
pub(super) use self::walk::Found as FoundFile;
use super::exit::{Hinted, Outcome, UsageError};
use super::global::Session;
use super::meter::Meter;
use super::resolve;
use crate::api::{Album, CreateAlbum, Me};
use crate::client::{Client, ClientError};
use crate::model::AlbumId;
use crate::runtime::{self, BlockingPool};

/// Upload photos and folders of photos into an album
///
/// Photos that the server has already are not sent again: running the same command a second time sends nothing. Ends with code 3 where
/// files were refused; the rest is uploaded all the same.
#[derive(Debug, Args)]
pub(super) struct UploadOptions {
    /// Photos, and folders to look for photos in
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The album's exact name; it is made where there is none
    #[arg(long, value_name = "NAME")]
    album: String,
    /// How many photos to send at once
    #[arg(long, value_name = "N", default_value = "8")]
    concurrency: NonZeroU16,
    /// Send again what the album shows but the server has lost, or knows to be damaged
    #[arg(long)]
    repair: bool,
    /// Take hidden files in folders too
    #[arg(long)]
    hidden: bool,
    /// Follow symbolic links in folders too
    #[arg(long)]
    follow_links: bool,
}

pub(super) async fn run(options: UploadOptions, session: &Session) -> anyhow::Result<Outcome> {
    let (summary, stopped) = upload(&options, session).await?;
    session.output.either(&summary, |summary| summary.text(&options.album))?;
    match stopped {
        Some(error) => {
            let left = if summary.refused == 1 { "1 file was".to_owned() } else { format!("{} files were", summary.refused) };
            Err(anyhow::Error::new(error).context(format!("stopped before the end: {left} not uploaded; run it again to go on")))
        }
        None => Ok(Outcome::of_problems(summary.refused)),
    }
}

/// Uploads; the error, where there is one, ended it before all files were tried.
async fn upload(options: &UploadOptions, session: &Session) -> anyhow::Result<(Summary, Option<ClientError>)> {
    let Session { client, output, .. } = session;
    let mut tally = Tally::default();

    // The files first: a path that was mistyped must not leave an album behind.
    let cores = runtime::cores();
    let pool = BlockingPool::new("hash", cores);
    let rules = walk::Rules { hidden: options.hidden, follow_links: options.follow_links };
    let paths = options.paths.clone();
    let walked = pool.run(move || walk::walk(&paths, rules)).await?;
    if !walked.missing.is_empty() {
        let named: Vec<_> = walked.missing.iter().map(|path| format!("`{}`", path.display())).collect();
        return Err(UsageError(format!("not there: {}", named.join(", "))).into());
    }
    if walked.files.is_empty() {
        return Err(nothing_found(&walked.failures).into());
    }
    tally.passed_over = walked.passed_over;
    walked.failures.into_iter().for_each(|failure| tally.refuse(failure));

    let me = client.me().await.context("could not ask whom the token speaks for")?;
    let meter = Meter::start(output, "Hashing", walked.files.iter().map(|file| file.size_bytes).sum(), walked.files.len() as u64);
    let (hashed, failures) = hash::hash_all(walked.files, &pool, cores, &meter).await?;
    meter.finish();
    if hashed.is_empty() {
        return Err(nothing_found(&failures).into());
    }
    failures.into_iter().for_each(|failure| tally.refuse(failure));

    let album = find_or_create(client, &me, &options.album).await.with_context(|| format!("could not open album `{}`", options.album))?;
    let groups = plan::group(hashed);
    let sender = Sender::new(session, &me, album.id, pool, usize::from(options.concurrency.get()));
    let stopped = sender.run(&album, groups, options.repair, &mut tally).await;
    Ok((tally.summary(album.id), stopped))
}

/// Sends files into an album of this name; the error, where there is one, ended it before all were tried.
pub(super) async fn send_files(
    client: &Client,
    session: &Session,
    album: &str,
    files: Vec<FoundFile>,
    concurrency: NonZeroU16,
    tally: &mut Tally,
) -> anyhow::Result<Option<ClientError>> {
    let cores = runtime::cores();
    let pool = BlockingPool::new("hash", cores);
    let meter = Meter::start(&session.output, "Hashing", files.iter().map(|file| file.size_bytes).sum(), files.len() as u64);
    let (hashed, unread) = hash::hash_all(files, &pool, cores, &meter).await?;
    meter.finish();
    unread.into_iter().for_each(|failure| tally.refuse(failure));
    if hashed.is_empty() {
        return Ok(None);
    }
    let me = client.me().await.context("could not ask whom the token speaks for")?;
    let album = find_or_create(client, &me, album).await.with_context(|| format!("could not open album `{album}`"))?;
    let sender = Sender::of(client, session, &me, album.id, pool, usize::from(concurrency.get()));
    Ok(sender.run(&album, plan::group(hashed), false, tally).await)
}

/// Nothing to make an album for.
fn nothing_found(failures: &[Failure]) -> Hinted {
    let what = match failures.first() {
        Some(Failure { path, detail, .. }) => format!("found no file that can be read; `{path}`: {detail}"),
        None => "found no files to upload".to_owned(),
    };
    Hinted { what, hint: "name photos, or folders that hold some (`--hidden` and `--follow-links` take more)".to_owned() }
}

/// The oldest album of this exact name, else a new one. Two runs that make it at the same time give it the same id, so that it is one.
async fn find_or_create(client: &Client, me: &Me, name: &str) -> Result<Album, ClientError> {
    if let Some(album) = resolve::album_by_name(client, name).await? {
        return Ok(album);
    }
    let mut request = CreateAlbum { name: name.to_owned(), id: Some(AlbumId::from_name(me.tenant, me.user, name)), description: None };
    match client.create_album(&request).await {
        // An album was made by this name before, and renamed or deleted since: this one is another.
        Ok(album) if album.name != name => {}
        Err(error) if matches!(error.status(), Some(409 | 410)) => {}
        answer => return answer,
    }
    request.id = None;
    client.create_album(&request).await
}
