//! `export`: albums as plain folders, with a manifest that `import` takes back.
//!
//! A download of many albums: what is there and right is not fetched again, nothing of others is overwritten.

mod manifest;

use std::num::NonZeroU16;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt as _, TryStreamExt as _};
use serde::Serialize;

use self::manifest::ManifestWriter;
use super::download::{self, Failure, NameBook, Rules, Tally};
use super::exit::{Outcome, UsageError};
use super::global::Session;
use super::{resolve, units};
use crate::api::Album;
use crate::client::{Client, ClientError};
use crate::model::{Owner, TenantId};

/// Failures that are remembered; the rest is counted.
const MAX_FAILURES: usize = 1_000;

/// Write albums back as plain folders
///
/// Every album becomes a folder of its name, every photo a file of its name, verified against its hash before it gets that, and with the time at
/// which it was taken. `manifest.jsonl` says which photo each file is: `halidom import DIR --manifest manifest.jsonl` takes it all back.
/// Run again, it fetches only what is not there yet. Ends with code 3 where photos could not be had.
#[derive(Debug, Args)]
pub(super) struct ExportOptions {
    /// Albums, by id or exact name, and last the directory to write to
    #[arg(required = true, value_name = "ALBUM… DIR")]
    paths: Vec<String>,
    /// All albums of this user, by id or name (for administrators)
    #[arg(long, value_name = "USER", conflicts_with = "all")]
    user: Option<String>,
    /// All albums of all users of the tenant, a folder each (for administrators)
    #[arg(long)]
    all: bool,
    /// The tenant of --user and --all, by id or name [default: your token's own]
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
    /// All of your own albums
    #[arg(long, conflicts_with_all = ["user", "all"])]
    mine: bool,
    /// How many photos to fetch at once
    #[arg(long, value_name = "N", default_value = "8")]
    concurrency: NonZeroU16,
}

/// One user's albums.
struct Part {
    client: Client,
    /// Where several users' are exported.
    user: Option<String>,
    albums: Vec<Album>,
}

/// What came of an export, as `--json` says it.
#[derive(Debug, Default, Serialize)]
struct Summary {
    albums: u64,
    downloaded: u64,
    skipped: u64,
    failed: u64,
    bytes_downloaded: u64,
    bytes_skipped: u64,
    directory: String,
    manifest: String,
    failures: Vec<Failure>,
}

pub(super) async fn run(options: ExportOptions, session: &Session) -> anyhow::Result<Outcome> {
    let Some((directory, albums)) = options.paths.split_last() else {
        return Err(UsageError("name a directory to write to".into()).into());
    };
    let whole = options.all || options.mine || options.user.is_some();
    match (whole, albums.is_empty()) {
        (true, false) => return Err(UsageError("name albums, or --mine, --user or --all: not both".into()).into()),
        (false, true) => return Err(UsageError("name the albums to export and a directory, or --mine, --user or --all".into()).into()),
        _ => {}
    }
    let directory = PathBuf::from(directory);
    let parts = parts(&options, albums, session).await?;
    let (summary, stopped) = export(&options, parts, &directory, session).await?;
    session.output.either(&summary, Summary::text)?;
    match stopped {
        Some(error) => Err(error.context("stopped before the end; run it again to go on")),
        None => Ok(Outcome::of_problems(summary.failed)),
    }
}

/// Whose albums, and which: a user's at a time, for there may be more than memory holds.
async fn parts<'a>(
    options: &ExportOptions,
    albums: &[String],
    session: &'a Session,
) -> anyhow::Result<BoxStream<'a, anyhow::Result<Part>>> {
    let client = &session.client;
    if !albums.is_empty() {
        let mut found: Vec<Album> = Vec::with_capacity(albums.len());
        for text in albums {
            let album = resolve::album(client, text).await?;
            if found.iter().all(|known| known.id != album.id) {
                found.push(album);
            }
        }
        return Ok(only(Part { client: client.clone(), user: None, albums: found }));
    }
    if options.mine {
        return Ok(only(Part { client: client.clone(), user: None, albums: all_albums(client).await? }));
    }
    let tenant = match resolve::maybe_tenant(client, options.tenant.as_deref()).await? {
        Some(tenant) => tenant,
        None => client.me().await.context("could not ask whom the token speaks for")?.tenant,
    };
    if let Some(user) = &options.user {
        let user = resolve::user(client, Some(tenant), user).await?;
        let client = client.clone().acting_for(Owner { tenant, user });
        let albums = all_albums(&client).await?;
        return Ok(only(Part { client, user: None, albums }));
    }
    Ok(of_everyone(client, tenant))
}

fn only<'a>(part: Part) -> BoxStream<'a, anyhow::Result<Part>> {
    stream::iter([Ok(part)]).boxed()
}

fn of_everyone(client: &Client, tenant: TenantId) -> BoxStream<'_, anyhow::Result<Part>> {
    let users = client.users(Some(tenant)).map(|user| user.context("could not list the users"));
    let parts = users.and_then(move |user| async move {
        let client = client.clone().acting_for(Owner { tenant, user: user.id });
        let albums = all_albums(&client).await?;
        Ok(Part { client, user: Some(user.name), albums })
    });
    parts.boxed()
}

/// In the order in which they were made, so that those of one name keep their numbers when more come.
async fn all_albums(client: &Client) -> anyhow::Result<Vec<Album>> {
    let mut albums: Vec<Album> = client.albums(None).try_collect().await.context("could not list the albums")?;
    albums.sort_by(|a, b| (&a.created_at, a.id).cmp(&(&b.created_at, b.id)));
    Ok(albums)
}

/// Exports; the error, where there is one, ended it before all photos were tried.
async fn export(
    options: &ExportOptions,
    mut parts: BoxStream<'_, anyhow::Result<Part>>,
    directory: &Path,
    session: &Session,
) -> anyhow::Result<(Summary, Option<anyhow::Error>)> {
    tokio::fs::create_dir_all(directory).await.with_context(|| format!("could not make the directory `{}`", directory.display()))?;
    let rules = Rules { concurrency: options.concurrency, times: true };
    let mut manifest = ManifestWriter::begin(directory).context("could not begin the manifest")?;
    let mut summary = Summary {
        directory: directory.to_string_lossy().into_owned(),
        manifest: manifest.path().to_string_lossy().into_owned(),
        ..Summary::default()
    };
    let mut stopped = None;
    let mut folders = NameBook::default();
    folders.take(manifest::NAME);
    'parts: while let Some(part) = parts.next().await {
        let part = match part {
            Ok(part) => part,
            // What was exported stays, and its manifest says so.
            Err(error) => {
                stopped = Some(error);
                break;
            }
        };
        // Several users' albums have a folder a user; one user's lie in the directory itself.
        let (home, mut own) = match &part.user {
            Some(user) => (Some(give(&mut folders, user)), NameBook::default()),
            None => (None, std::mem::take(&mut folders)),
        };
        for album in &part.albums {
            let folder = give(&mut own, &album.name);
            let relative: PathBuf = home.iter().map(String::as_str).chain([folder.as_str()]).collect();
            let mut tally = Tally::default();
            let fetched = download::fetch_album(&part.client, session, album, &directory.join(&relative), rules, &mut tally).await;
            stopped = match fetched {
                Ok(stopped) => stopped.map(anyhow::Error::new),
                Err(error) => match gone(&error) {
                    // Deleted since the albums were listed: the others are still there.
                    Some(gone) => {
                        tally.failures.push(Failure::of_album(&album.name, gone));
                        None
                    }
                    None => return Err(error),
                },
            };
            // In an order of their own, so that an export that changed nothing writes the same manifest.
            tally.placed.sort_unstable_by(|(_, a), (_, b)| a.cmp(b));
            for (photo, name) in &tally.placed {
                manifest.add(&relative.join(name), album, part.user.as_deref(), photo).context("could not write the manifest")?;
            }
            summary.take(tally);
            if stopped.is_some() {
                break 'parts;
            }
        }
        if part.user.is_none() {
            folders = own;
        }
    }
    // Of what is there, also where it ended early: the next run writes it anew.
    manifest.finish().context("could not write the manifest")?;
    Ok((summary, stopped))
}

/// The answer that says that what was asked for is not there any more.
fn gone(error: &anyhow::Error) -> Option<&ClientError> {
    error.chain().find_map(|cause| cause.downcast_ref::<ClientError>()).filter(|error| matches!(error.status(), Some(404 | 410)))
}

/// A folder's name that is safe and unique.
fn give(names: &mut NameBook, name: &str) -> String {
    let given = names.candidates(name).next_free(names);
    names.take(&given);
    given
}

impl Summary {
    fn take(&mut self, tally: Tally) {
        self.albums += 1;
        self.downloaded += tally.downloaded;
        self.skipped += tally.skipped;
        self.bytes_downloaded += tally.bytes_downloaded;
        self.bytes_skipped += tally.bytes_skipped;
        self.failed += tally.failures.len() as u64;
        let room = MAX_FAILURES.saturating_sub(self.failures.len());
        self.failures.extend(tally.failures.into_iter().take(room));
    }

    fn text(&self) -> String {
        let albums = units::count(self.albums, "album");
        let mut text = format!(
            "{albums} in `{}`\nDownloaded {} ({})\n",
            self.directory,
            units::count(self.downloaded, "photo"),
            units::bytes(self.bytes_downloaded)
        );
        if self.skipped > 0 {
            text += &format!("Already there: {} ({} saved)\n", units::count(self.skipped, "photo"), units::bytes(self.bytes_skipped));
        }
        if self.failed > 0 {
            text += &format!("Failed: {}\n\n{}", units::count(self.failed, "photo"), download::failures(&self.failures));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::Output;
    use crate::client::tests::fake::{Fake, Fault};
    use crate::model::AlbumId;
    use crate::runtime::Runtime;

    #[tokio::test]
    async fn an_album_that_went_meanwhile_costs_no_other() {
        let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
        for (number, name) in [(1, "Gone"), (2, "Ski")] {
            let album = AlbumId::from_bytes([number; 16]);
            fake.site().albums.insert(album, name.into());
            fake.photo(album, "a.jpg", name.as_bytes());
        }
        let session = Session { client: fake.client(), output: Output::new(true), runtime: Runtime::simulated(3, 0) };
        let options =
            ExportOptions { paths: vec![], user: None, all: false, tenant: None, mine: true, concurrency: NonZeroU16::new(2).unwrap() };
        let parts = parts(&options, &[], &session).await.unwrap();
        fake.fault("/photos", Fault::Problem(404, "not_found"));
        let (summary, stopped) = export(&options, parts, folder.path(), &session).await.unwrap();
        assert!(stopped.is_none());
        assert_eq!((summary.albums, summary.downloaded, summary.failed), (2, 1, 1));
        let mine = serde_json::to_value(&summary.failures).unwrap();
        assert!(mine[0]["photo"].is_null() && mine[0]["code"] == "not_found", "{mine}");
        assert!(folder.path().join(manifest::NAME).exists());
    }
}
