//! `import`: a tree of photos comes in. The server reads it from its own disk, and this follows; or, with `--upload`, it is sent.

mod upload;

use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, ValueEnum};

use super::exit::{Hinted, Outcome};
use super::global::Session;
use super::meter::Meter;
use super::output::{fields, table};
use super::{resolve, units};
use crate::api::{CreateImport, Import, ImportCounts, ImportLayout, ImportState};
use crate::client::ClientError;
use crate::model::ImportId;
use crate::runtime;

/// How often the server is asked how far it is.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// How many refused files are shown to people; programs get all that the server remembers.
const SHOWN: usize = 20;

/// Take in a tree of photos: a filer's folders, Google Takeout, Immich (for administrators)
///
/// The server reads DIR from its own disk, below one of `import.directories`, and shares the files' blocks or the files themselves where it can.
/// This command follows; interrupted, it leaves the import running, and the same command again goes on where it was. With --upload the files
/// are sent instead, from a directory of this machine. Ends with code 3 where files were refused; the rest comes in all the same.
#[derive(Debug, Args)]
pub(super) struct ImportOptions {
    /// The directory
    #[arg(value_name = "DIR", required_unless_present_any = ["list", "stop"])]
    directory: Option<PathBuf>,
    /// Who laid it out [default: as it looks]
    #[arg(long, value_name = "LAYOUT")]
    layout: Option<LayoutName>,
    /// A list of the photos with album, user and name (CSV or JSON lines), relative to DIR
    #[arg(long, value_name = "FILE", conflicts_with = "layout")]
    manifest: Option<String>,
    /// For this user, by id or name, whatever the tree says
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// Of this tenant, by id or name [default: your token's own]
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
    /// Make users that the tree names and the tenant has not
    #[arg(long)]
    create_users: bool,
    /// Nobody writes to the tree any more: files become the store's own by a hard link, and read-only
    #[arg(long)]
    link: bool,
    /// A name for the tree, by which its photos are known again where it has moved [default: DIR]
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Begin, and do not wait for the end
    #[arg(long, conflicts_with = "upload")]
    detach: bool,
    /// Send the files from this machine: for servers that do not see DIR
    #[arg(long, conflicts_with_all = ["link", "source", "create_users"])]
    upload: bool,
    /// With --upload: how many photos to send at once
    #[arg(long, value_name = "N", default_value = "8")]
    concurrency: NonZeroU16,
    /// List the imports of late
    #[arg(long, conflicts_with_all = ["directory", "stop"])]
    list: bool,
    /// Stop this import
    #[arg(long, value_name = "IMPORT", conflicts_with = "directory")]
    stop: Option<ImportId>,
}

/// The layouts by name.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum LayoutName {
    /// An album is a folder
    Folders,
    /// Google Takeout
    Takeout,
    /// Immich's library or upload folder
    Immich,
}

pub(super) async fn run(options: ImportOptions, session: &Session) -> anyhow::Result<Outcome> {
    let Session { client, output, .. } = session;
    if options.list {
        let imports = client.imports().await.context("could not list the imports")?.items;
        output.list(&imports, ["ID", "STATE", "IMPORTED", "REFUSED", "BEGUN", "PATH"], |import| {
            let counts = import.counts;
            let numbers = [counts.imported + counts.existing + counts.duplicates, counts.refused].map(|number| number.to_string());
            let [taken, refused] = numbers;
            [import.id.to_string(), state(import.state).into(), taken, refused, import.started_at.clone(), import.path.clone()]
        })?;
        return Ok(Outcome::Done);
    }
    if let Some(id) = options.stop {
        let import = client.stop_import(id).await.context("could not stop the import")?;
        output.either(&import, text)?;
        return Ok(Outcome::Done);
    }
    let Some(directory) = &options.directory else { return Ok(Outcome::Done) };
    if options.upload {
        return upload::run(&options, directory, session).await;
    }
    let import = begin(&options, directory, session).await?;
    let import = if options.detach { import } else { follow(import, session).await? };
    output.either(&import, text)?;
    outcome(import)
}

/// How the command ends: well only where all of the tree was looked at, or is being looked at.
fn outcome(import: Import) -> anyhow::Result<Outcome> {
    let (what, hint) = match import.state {
        ImportState::Done | ImportState::Running => return Ok(Outcome::of_problems(import.counts.refused)),
        ImportState::Failed => (
            format!("the import ended early: {}", import.error.unwrap_or_default()),
            "put that right, then run the command again: it goes on where it was",
        ),
        ImportState::Stopped => ("the import was stopped before its end".to_owned(), "run the command again: it goes on where it was"),
    };
    Err(Hinted { what, hint: hint.into() }.into())
}

/// Begins the import at the server; one of the same directory that runs already is followed instead.
async fn begin(options: &ImportOptions, directory: &Path, session: &Session) -> anyhow::Result<Import> {
    let client = &session.client;
    // The server may have it where this machine has not: then it is taken as it is written.
    let path = directory.canonicalize().unwrap_or_else(|_| directory.to_owned()).to_string_lossy().into_owned();
    let tenant = resolve::maybe_tenant(client, options.tenant.as_deref()).await?;
    let user = match &options.user {
        Some(user) => Some(resolve::user(client, tenant, user).await?),
        None => None,
    };
    let request = CreateImport {
        path: path.clone(),
        layout: options.layout.map(LayoutName::to_api),
        manifest: options.manifest.clone(),
        tenant,
        user,
        create_users: options.create_users,
        link: options.link,
        source: options.source.clone(),
    };
    match client.start_import(&request).await {
        Err(error) if error.code() == "import_running" => {
            let running =
                client.imports().await?.items.into_iter().find(|import| import.state == ImportState::Running && import.path == path);
            running.ok_or(error).context("could not begin the import")
        }
        Err(error) if error.status() == Some(400) && error.to_string().contains("import.directories") => Err(not_there(&error)),
        other => other.context("could not begin the import"),
    }
}

fn not_there(error: &ClientError) -> anyhow::Error {
    let hint = "have the operator add it to import.directories at the server, or send the files from here with --upload";
    Hinted { what: format!("the server does not take this tree: {error}"), hint: hint.into() }.into()
}

/// Waits until it has ended, and shows how far it is.
async fn follow(mut import: Import, session: &Session) -> anyhow::Result<Import> {
    let meter = Meter::open_ended(&session.output, "Importing");
    while import.state == ImportState::Running {
        runtime::sleep(ASK_EVERY).await;
        import = session.client.import(import.id).await.context("the import goes on, but the server does not say how far it is")?;
        meter.stands(import.counts.bytes, words(&import.counts));
    }
    meter.finish();
    Ok(import)
}

fn words(counts: &ImportCounts) -> String {
    let there = counts.existing + counts.duplicates;
    format!("{} in, {there} there already, {} refused", units::count(counts.imported, "photo"), counts.refused)
}

fn state(state: ImportState) -> &'static str {
    match state {
        ImportState::Running => "running",
        ImportState::Done => "done",
        ImportState::Stopped => "stopped",
        ImportState::Failed => "failed",
    }
}

fn text(import: &Import) -> String {
    let counts = &import.counts;
    let some = |number: u64, words: String| (number > 0).then_some(words);
    let shared = match (counts.cloned, counts.linked) {
        (0, 0) => String::new(),
        (cloned, linked) => format!(", of which {} share their blocks or are the file itself", cloned + linked),
    };
    let mut text = fields([
        ("import", Some(import.id.to_string())),
        ("state", Some(state(import.state).to_owned())),
        ("imported", Some(format!("{} ({}){shared}", counts.imported, units::bytes(counts.bytes)))),
        ("there already", some(counts.existing + counts.duplicates, (counts.existing + counts.duplicates).to_string())),
        ("refused", some(counts.refused, counts.refused.to_string())),
        ("no photos", some(counts.unknown, counts.unknown.to_string())),
        ("sidecars", some(counts.sidecars, counts.sidecars.to_string())),
        ("passed over", some(counts.passed_over, counts.passed_over.to_string())),
    ]);
    if !import.refusals.is_empty() {
        text.push('\n');
        let rows = import.refusals.iter().take(SHOWN);
        text += &table(["FILE", "CODE", "WHY"], rows.map(|refusal| [refusal.path.clone(), refusal.code.clone(), refusal.detail.clone()]));
        let left = counts.refused.saturating_sub(SHOWN.min(import.refusals.len()) as u64);
        if left > 0 {
            text += &format!("and {left} more: see them with --json\n");
        }
    }
    text
}

impl LayoutName {
    fn to_api(self) -> ImportLayout {
        match self {
            Self::Folders => ImportLayout::Folders,
            Self::Takeout => ImportLayout::Takeout,
            Self::Immich => ImportLayout::Immich,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_tree_ends_well() {
        let ended = |state: &str, refused: u64| {
            let import = serde_json::json!({
                "id": ImportId::from_bytes([1; 16]), "path": "/srv/filer", "state": state, "started_at": "2026-11-28T00:00:00Z",
                "counts": ImportCounts { refused, ..ImportCounts::default() }, "refusals": [], "layout": null, "error": null, "ended_at": null,
            });
            outcome(serde_json::from_value(import).unwrap())
        };
        assert!(matches!(ended("done", 0), Ok(Outcome::Done)));
        assert!(matches!(ended("done", 1), Ok(Outcome::Problems)));
        assert!(matches!(ended("running", 0), Ok(Outcome::Done)), "--detach");
        for state in ["stopped", "failed"] {
            assert!(ended(state, 0).is_err(), "{state}");
        }
    }
}
