//! A tree that the server does not see: its files are sent, album by album, as `upload` sends them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use serde::Serialize;

use super::{ImportOptions, LayoutName};
use crate::cli::exit::{Outcome, UsageError};
use crate::cli::global::Session;
use crate::cli::resolve;
use crate::cli::units;
use crate::cli::upload::{self, Failure, FoundFile, Tally, failures};
use crate::client::{Client, ClientError};
use crate::model::{Owner, TenantId};
use crate::runtime::{self, BlockingPool};
use crate::trees::{Batch, Layout, Plan, PlanOptions, Root, looks_like_photo};

/// What came of it, as `--json` says it. The counts are of files.
#[derive(Debug, Default, Serialize)]
struct Summary {
    sent: u64,
    skipped: u64,
    refused: u64,
    unknown: u64,
    sidecars: u64,
    passed_over: u64,
    bytes_sent: u64,
    bytes_skipped: u64,
    failures: Vec<Failure>,
}

/// Files of one album.
struct AlbumFiles {
    user: Option<String>,
    album: String,
    files: Vec<FoundFile>,
}

/// Whose photos are sent.
struct Senders<'a> {
    session: &'a Session,
    tenant: TenantId,
    /// Whoever the tree names, or this one alone.
    only: Option<Client>,
    by_name: BTreeMap<String, Client>,
}

pub(super) async fn run(options: &ImportOptions, directory: &Path, session: &Session) -> anyhow::Result<Outcome> {
    let pool = BlockingPool::new("tree", runtime::cores());
    let (plan_options, path) = (plan_options(options), directory.to_owned());
    let opened = pool.run(move || {
        let root = Root::open(&path, Path::new(""))?;
        anyhow::Ok((Plan::new(&root, &plan_options)?, Arc::new(root)))
    });
    let (mut plan, root) = opened.await?.map_err(|error| UsageError(format!("`{}`: {error}", directory.display())))?;
    let mut senders = Senders::new(options, session).await?;
    let (mut summary, mut stopped) = (Summary::default(), None);
    while stopped.is_none() {
        let held = root.clone();
        let (again, batch) = pool
            .run(move || {
                let batch = plan.next(&held);
                (plan, batch)
            })
            .await?;
        plan = again;
        let Some(batch) = batch.context("the tree could not be read to its end")? else { break };
        stopped = send_batch(batch, directory, options, &mut senders, &mut summary).await?;
    }
    session.output.either(&summary, Summary::text)?;
    match stopped {
        Some(error) => Err(anyhow::Error::new(error).context("stopped before the end; run it again to go on")),
        None => Ok(Outcome::of_problems(summary.refused)),
    }
}

fn plan_options(options: &ImportOptions) -> PlanOptions {
    let layout = options.layout.map(|layout| match layout {
        LayoutName::Folders => Layout::Folders,
        LayoutName::Takeout => Layout::Takeout,
        LayoutName::Immich => Layout::Immich,
    });
    PlanOptions { layout, manifest: options.manifest.as_ref().map(PathBuf::from) }
}

/// Sends a batch; the error, where there is one, ended it early.
async fn send_batch(
    batch: Batch,
    directory: &Path,
    options: &ImportOptions,
    senders: &mut Senders<'_>,
    summary: &mut Summary,
) -> anyhow::Result<Option<ClientError>> {
    summary.sidecars += batch.sidecars;
    summary.passed_over += batch.passed_over;
    for refusal in batch.refused {
        summary.refused += 1;
        summary.failures.push(Failure::new(&refusal.path, refusal.code, refusal.error.to_string()));
    }
    // An album at a time, in the order in which they come.
    let mut albums: Vec<AlbumFiles> = Vec::new();
    for found in batch.photos {
        let path = directory.join(&found.path);
        let Ok(metadata) = path.symlink_metadata() else {
            summary.refused += 1;
            summary.failures.push(Failure::new(&found.path, "unreadable", "it is not there"));
            continue;
        };
        if !looks_like_photo(&found.path) || !metadata.is_file() {
            summary.unknown += 1;
            continue;
        }
        let file = FoundFile { path, size_bytes: metadata.len() };
        match albums.iter_mut().find(|known| known.user == found.user && known.album == found.album) {
            Some(known) => known.files.push(file),
            None => albums.push(AlbumFiles { user: found.user, album: found.album, files: vec![file] }),
        }
    }
    for AlbumFiles { user, album, files } in albums {
        let client = senders.client(user.as_deref()).await?;
        let mut tally = Tally::default();
        let stopped = upload::send_files(&client, senders.session, &album, files, options.concurrency, &mut tally).await?;
        summary.take(tally);
        if stopped.is_some() {
            return Ok(stopped);
        }
    }
    Ok(None)
}

impl<'a> Senders<'a> {
    async fn new(options: &ImportOptions, session: &'a Session) -> anyhow::Result<Self> {
        let client = &session.client;
        let me = client.me().await.context("could not ask whom the token speaks for")?;
        let tenant = resolve::maybe_tenant(client, options.tenant.as_deref()).await?.unwrap_or(me.tenant);
        let only = match &options.user {
            Some(user) => {
                let user = resolve::user(client, Some(tenant), user).await?;
                Some(client.clone().acting_for(Owner { tenant, user }))
            }
            None => None,
        };
        Ok(Self { session, tenant, only, by_name: BTreeMap::new() })
    }

    /// Who sends what the tree says is this user's.
    async fn client(&mut self, user: Option<&str>) -> anyhow::Result<Client> {
        let (Some(name), None) = (user, &self.only) else {
            return Ok(self.only.clone().unwrap_or_else(|| self.session.client.clone()));
        };
        if let Some(client) = self.by_name.get(name) {
            return Ok(client.clone());
        }
        let user = resolve::user(&self.session.client, Some(self.tenant), name).await?;
        let client = self.session.client.clone().acting_for(Owner { tenant: self.tenant, user });
        self.by_name.insert(name.to_owned(), client.clone());
        Ok(client)
    }
}

impl Summary {
    fn take(&mut self, tally: Tally) {
        self.sent += tally.sent;
        self.skipped += tally.skipped;
        self.bytes_sent += tally.bytes_sent;
        self.bytes_skipped += tally.bytes_skipped;
        self.refused += tally.failures.len() as u64;
        self.failures.extend(tally.failures);
    }

    fn text(&self) -> String {
        let mut text = format!("Sent {} ({})\n", units::count(self.sent, "file"), units::bytes(self.bytes_sent));
        for (what, count) in
            [("Already there", self.skipped), ("No photos", self.unknown), ("Sidecars", self.sidecars), ("Passed over", self.passed_over)]
        {
            if count > 0 {
                text += &format!("{what}: {}\n", units::count(count, "file"));
            }
        }
        if self.refused > 0 {
            text += &format!("Refused: {}\n\n{}", units::count(self.refused, "file"), failures(&self.failures));
        }
        text
    }
}
