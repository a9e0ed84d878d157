//! `check`: is everything there that metadata names, does it verify, and does metadata agree with itself? Changes nothing.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::api::{CheckReport, Finding};
use crate::blobs::{BlobError, BlobStore, InventoryItem};
use crate::metadata::check::{Checked, list_readable_blobs};
use crate::metadata::{self, BlobRow, Metadata, MetadataError, Read};
use crate::model::{BlobHash, BlobKey};
use crate::runtime::{BlockingPool, Gone};

/// Findings that are listed; more are counted only.
const MAX_LISTED: usize = 1_000;
/// Rows that are read at once.
const PAGE: usize = 1_000;
/// Rows not found in the listing that are looked at one by one; past that the backend as a whole is not what it should be.
const MAX_UNLISTED: usize = 100_000;

/// What can be wrong beside the metadata's own faults, which have codes of the form `{column}_{fault}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// Metadata names a copy that the backend does not have.
    BlobMissing,
    /// A copy's bytes are not what they should be, or cannot be read.
    BlobDamaged,
    /// A copy has more or fewer bytes than it should have.
    BlobWrongSize,
    /// Something lies in the backend that Halidom did not put there.
    BackendForeign,
    /// The backend does not say whose it is: nothing is ever deleted there.
    MarkerMissing,
    /// The backend's marker cannot be read: nothing is ever deleted there.
    MarkerUnreadable,
    /// The backend is another site's: this metadata, or this backend, was put in the wrong place.
    MarkerForeign,
}

impl Problem {
    /// Every kind there is.
    pub const ALL: [Self; 7] = [
        Self::BlobMissing,
        Self::BlobDamaged,
        Self::BlobWrongSize,
        Self::BackendForeign,
        Self::MarkerMissing,
        Self::MarkerUnreadable,
        Self::MarkerForeign,
    ];

    /// The code of a finding: stable, for programs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BlobMissing => "blob_missing",
            Self::BlobDamaged => "blob_damaged",
            Self::BlobWrongSize => "blob_wrong_size",
            Self::BackendForeign => "backend_foreign",
            Self::MarkerMissing => "marker_missing",
            Self::MarkerUnreadable => "marker_unreadable",
            Self::MarkerForeign => "marker_foreign",
        }
    }
}

/// Why a check could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// Metadata cannot be read.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// The backend cannot be read.
    #[error(transparent)]
    Blobs(#[from] BlobError),
    /// The server is shutting down.
    #[error("interrupted")]
    Interrupted,
}

impl From<Gone> for CheckError {
    fn from(Gone: Gone) -> Self {
        Self::Interrupted
    }
}

/// Says to work on another thread that nobody waits for it any more: set when this is dropped.
#[derive(Debug, Default)]
struct GivenUp(Arc<AtomicBool>);

impl Drop for GivenUp {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Checks a site. `blobs` is the backend itself, past any cache. Uploads may go on meanwhile: what they write is never reported.
/// Where the answer is dropped before it is there, the check ends soon.
///
/// # Errors
/// Where metadata or the backend's listing cannot be read at all: then the check says nothing.
pub async fn check(metadata: &Metadata, blobs: &dyn BlobStore, pool: &BlockingPool, read_data: bool) -> Result<CheckReport, CheckError> {
    let mut report = CheckReport::default();
    let given_up = GivenUp::default();
    let (own, stop) = (metadata.clone(), given_up.0.clone());
    let (checked, findings) = pool.run(move || check_metadata(&own, &|| !stop.load(Ordering::Relaxed))).await??;
    report.rows = checked.rows;
    // More than are listed are counted.
    report.problems = checked.findings - findings.len() as u64;
    for finding in findings {
        list(&mut report, format!("{}_{}", finding.column.name(), finding.fault.as_str()), hex(&finding.key), finding.detail);
    }
    check_marker(metadata, blobs, &mut report).await?;
    let unlisted = walk(metadata, blobs, &mut report).await?;
    for row in unlisted {
        look_again(metadata, blobs, &mut report, row).await?;
    }
    if read_data {
        read_all(metadata, blobs, pool, &mut report).await?;
    }
    Ok(report)
}

/// The backend has to say that it is this site's.
async fn check_marker(metadata: &Metadata, blobs: &dyn BlobStore, report: &mut CheckReport) -> Result<(), CheckError> {
    let own = metadata.site();
    match blobs.marker().await {
        Ok(Some(marker)) if marker.site == own => {}
        Ok(Some(marker)) => add(report, Problem::MarkerForeign, marker.site, format!("the backend is claimed by it; this site is {own}")),
        Ok(None) => add(report, Problem::MarkerMissing, own, "the backend does not say that it is this site's"),
        Err(BlobError::Refused { reason }) => add(report, Problem::MarkerUnreadable, own, reason),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// Metadata checked against itself: what was looked at, and what is wrong. Damage marks are not reported here: the blobs' walk does.
fn check_metadata(metadata: &Metadata, goes_on: &dyn Fn() -> bool) -> Result<(Checked, Vec<metadata::check::Finding>), MetadataError> {
    let mut findings = vec![];
    let checked = metadata::check::check_while(&metadata.read(), goes_on, &mut |finding| {
        if findings.len() < MAX_LISTED {
            findings.push(finding);
        }
    })?;
    Ok((checked, findings))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn add(report: &mut CheckReport, problem: Problem, subject: impl ToString, detail: impl ToString) {
    list(report, problem.as_str().to_owned(), subject, detail);
}

fn list(report: &mut CheckReport, code: String, subject: impl ToString, detail: impl ToString) {
    report.problems += 1;
    if report.findings.len() < MAX_LISTED {
        report.findings.push(Finding { code, subject: subject.to_string(), detail: detail.to_string() });
    }
}

/// Walks the backend's listing and the rows side by side: both come in the order of hashes. Answers the rows that were not listed.
async fn walk(metadata: &Metadata, blobs: &dyn BlobStore, report: &mut CheckReport) -> Result<Vec<BlobRow>, CheckError> {
    let mut rows = Rows::new(metadata.clone());
    let mut unlisted = vec![];
    let mut inventory = blobs.inventory();
    while let Some(items) = inventory.next().await? {
        for item in items {
            match item {
                InventoryItem::Foreign { path } => {
                    add(report, Problem::BackendForeign, path.display(), "not a name that Halidom writes; left alone");
                }
                InventoryItem::Copy { key, size_bytes } => meet(&mut rows, &mut unlisted, report, key, size_bytes)?,
            }
        }
    }
    while let Some(row) = rows.next()? {
        note_row(report, &row);
        keep_unlisted(&mut unlisted, report, row);
    }
    Ok(unlisted)
}

/// One listed copy meets the rows up to its hash.
fn meet(rows: &mut Rows, unlisted: &mut Vec<BlobRow>, report: &mut CheckReport, key: BlobKey, size_bytes: u64) -> Result<(), CheckError> {
    while rows.peek()?.is_some_and(|row| row.key.hash < key.hash) {
        if let Some(row) = rows.next()? {
            note_row(report, &row);
            keep_unlisted(unlisted, report, row);
        }
    }
    if rows.peek()?.is_some_and(|row| row.key == key) {
        if let Some(row) = rows.next()? {
            note_row(report, &row);
            if size_bytes != row.stored_bytes {
                add(report, Problem::BlobWrongSize, key, format!("{size_bytes} bytes, should be {}", row.stored_bytes));
            }
        }
        return Ok(());
    }
    let is_unreadable = |error: &MetadataError| matches!(error, MetadataError::Damaged { .. } | MetadataError::Newer { .. });
    match rows.metadata.read().is_doomed(&key) {
        Ok(true) => {
            report.doomed += 1;
            return Ok(());
        }
        Ok(false) => {}
        // Reported with the column; whether the copy is needed cannot be said.
        Err(error) if is_unreadable(&error) => return Ok(()),
        Err(error) => return Err(error.into()),
    }
    // Asked before the row is read: a copy leaves the flight only after its row is there.
    if rows.metadata.is_in_flight(&key) {
        return Ok(());
    }
    match rows.metadata.read().blob(&key.hash) {
        Ok(row) => report.orphans += u64::from(row.is_none_or(|row| row.key != key)),
        Err(error) if is_unreadable(&error) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

fn note_row(report: &mut CheckReport, row: &BlobRow) {
    report.blobs += 1;
    if row.damaged {
        add(report, Problem::BlobDamaged, row.key, "marked damaged: its bytes did not verify");
    }
}

fn keep_unlisted(unlisted: &mut Vec<BlobRow>, report: &mut CheckReport, row: BlobRow) {
    if row.damaged {
        return;
    }
    if unlisted.len() < MAX_UNLISTED {
        unlisted.push(row);
    } else {
        add(report, Problem::BlobMissing, row.key, "not in the backend's listing");
    }
}

/// A row that was not listed: its copy is gone, or was written since; or the row has moved on.
async fn look_again(metadata: &Metadata, blobs: &dyn BlobStore, report: &mut CheckReport, row: BlobRow) -> Result<(), CheckError> {
    match blobs.open(&row.key).await {
        Ok(reader) if reader.size_bytes() == row.stored_bytes => {}
        Ok(reader) => {
            add(report, Problem::BlobWrongSize, row.key, format!("{} bytes, should be {}", reader.size_bytes(), row.stored_bytes))
        }
        Err(BlobError::NotFound) => {
            if metadata.read().blob(&row.key.hash)?.is_some_and(|now| now.key == row.key) {
                add(report, Problem::BlobMissing, row.key, "metadata names it, the backend does not have it");
            }
        }
        Err(BlobError::Damaged { .. }) => add(report, Problem::BlobDamaged, row.key, "it cannot be read"),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// Reads and hashes every copy that a row names.
async fn read_all(metadata: &Metadata, blobs: &dyn BlobStore, pool: &BlockingPool, report: &mut CheckReport) -> Result<(), CheckError> {
    let mut after = None;
    loop {
        let own = metadata.clone();
        let page = pool.run(move || list_readable_blobs(&own.read(), after, PAGE)).await??;
        for row in page.items.iter().filter(|row| !row.damaged) {
            let read = async {
                let reader = blobs.open(&row.key).await?;
                // The walk has reported a wrong size.
                if reader.size_bytes() == row.stored_bytes { reader.content_hash().await.map(Some) } else { Ok(None) }
            };
            match read.await {
                Ok(None) => continue,
                Ok(Some(hash)) if hash == row.key.hash => {}
                Ok(Some(hash)) => add(report, Problem::BlobDamaged, row.key, format!("its bytes hash to {hash}")),
                // The walk has reported what is missing; or the row has moved on since.
                Err(BlobError::NotFound) => continue,
                Err(BlobError::Damaged { .. }) => add(report, Problem::BlobDamaged, row.key, "it cannot be read"),
                // What could not be looked at is no finding, and must not pass for sound.
                Err(error) => return Err(error.into()),
            }
            report.bytes_read += row.stored_bytes;
        }
        if page.next.is_none() {
            return Ok(());
        }
        after = page.next;
    }
}

/// The blob rows in the order of their hashes, a page at a time.
struct Rows {
    metadata: Metadata,
    page: VecDeque<BlobRow>,
    after: Option<BlobHash>,
    ended: bool,
}

impl Rows {
    fn new(metadata: Metadata) -> Self {
        Self { metadata, page: VecDeque::new(), after: None, ended: false }
    }

    fn peek(&mut self) -> Result<Option<&BlobRow>, MetadataError> {
        if self.page.is_empty() && !self.ended {
            let page = list_readable_blobs(&self.metadata.read(), self.after, PAGE)?;
            self.ended = page.next.is_none();
            self.after = page.next;
            self.page = page.items.into();
        }
        Ok(self.page.front())
    }

    fn next(&mut self) -> Result<Option<BlobRow>, MetadataError> {
        self.peek()?;
        Ok(self.page.pop_front())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use futures_util::poll;

    use super::*;
    use crate::blobs::{Damage, Digests, Marker, MemoryStore, Operation, contract};
    use crate::metadata::memory::MemoryEngine;
    use crate::metadata::{MetadataSettings, NewBlob};
    use crate::runtime::Runtime;

    #[tokio::test]
    async fn a_check_that_nobody_waits_for_ends() {
        let runtime = Runtime::simulated(1, 1_800_000_000_000);
        let metadata = Metadata::open(Arc::new(MemoryEngine::new()), runtime, MetadataSettings::default()).unwrap();
        let given_up = GivenUp::default();
        let stop = given_up.0.clone();
        let goes_on = || !stop.load(Ordering::Relaxed);
        check_metadata(&metadata, &goes_on).unwrap();
        drop(given_up);
        assert!(matches!(check_metadata(&metadata, &goes_on), Err(MetadataError::Unavailable { .. })));

        // Begun on the pool's thread only after its client has gone.
        let (pool, store) = (BlockingPool::new("check", 1), MemoryStore::new());
        let (release, held) = mpsc::channel::<()>();
        let mut holding = Box::pin(pool.run(move || held.recv().is_ok()));
        assert!(poll!(&mut holding).is_pending());
        let mut checking = Box::pin(check(&metadata, &store, &pool, true));
        assert!(poll!(&mut checking).is_pending());
        drop(checking);
        release.send(()).unwrap();
        assert!(holding.await.unwrap());
        assert_eq!(check(&metadata, &store, &pool, true).await.unwrap().problems, 1, "nobody has claimed the store");
    }

    #[tokio::test]
    async fn a_copy_that_cannot_be_looked_at_does_not_pass_for_sound() {
        let runtime = Runtime::simulated(1, 1_800_000_000_000);
        let metadata = Metadata::open(Arc::new(MemoryEngine::new()), runtime, MetadataSettings::default()).unwrap();
        let (pool, store) = (BlockingPool::new("check", 1), MemoryStore::new());
        store.claim(None, Marker { site: metadata.site(), epoch: 1 }).await.unwrap();
        let bytes = contract::bytes(1, 1_000);
        let digests = Digests::of(&bytes);
        let in_flight = metadata.begin_copy(digests.hash);
        let key = in_flight.key();
        let mut staged = store.stage(None).await.unwrap();
        staged.write(bytes).await.unwrap();
        staged.publish(&key).await.unwrap();
        let blob = NewBlob::raw(key, digests.size_bytes, digests.sha256, digests.crc32);
        metadata.write("place", move |tx| tx.replace_blob(&in_flight, blob)).await.unwrap();
        let read_all = || check(&metadata, &store, &pool, true);
        let sound = read_all().await.unwrap();
        assert_eq!((sound.problems, sound.bytes_read), (0, 1_000), "{sound:?}");

        let gone = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
        store.faults().fail_always(Operation::Open, BlobError::Unavailable { doing: "open a copy", source: Arc::new(gone) });
        assert!(matches!(read_all().await, Err(CheckError::Blobs(BlobError::Unavailable { .. }))));
        store.faults().clear();
        store.faults().fail_always(Operation::Open, BlobError::Damaged { key, damage: Damage::NotAFile });
        let found = read_all().await.unwrap();
        assert_eq!((found.problems, found.findings[0].code.as_str()), (1, "blob_damaged"), "{found:?}");
    }
}
