//! The backend's listing and the blob rows, walked side by side: both come in the order of hashes.
//!
//! What the site writes and deletes meanwhile is settled by asking again: a row whose copy was not listed, and a copy that no row names, are
//! looked at before anything is said of them. A copy is there, whole, before a row names it, and is deleted only after no row ever will.

use std::collections::VecDeque;

use super::{CheckError, GivenUp, PAGE, Problem, Stop, add};
use crate::api::CheckReport;
use crate::blobs::{BlobError, BlobStore, InventoryItem};
use crate::metadata::check::list_readable_blobs;
use crate::metadata::{BlobRow, Metadata, MetadataError, Read};
use crate::model::{BlobHash, BlobKey};
use crate::runtime::BlockingPool;

/// Copies that are missing, or wait to be looked for; past that the backend as a whole is not what it should be, and whatever is not in its
/// listing is said to be missing.
const MAX_MISSING: usize = 100_000;

/// Walks both, a batch of the listing or a page of the rows a hop, so that it ends with whoever waits for it.
pub(super) async fn walk(
    metadata: &Metadata,
    blobs: &dyn BlobStore,
    pool: &BlockingPool,
    given_up: &GivenUp,
    report: CheckReport,
) -> Result<CheckReport, CheckError> {
    let mut walk = Walk { rows: Rows::new(metadata.clone()), stop: given_up.stop(), report, unlisted: vec![], missing: 0, unnamed: vec![] };
    let mut inventory = blobs.inventory();
    while let Some(items) = inventory.next().await? {
        walk = pool.run(move || walk.meet_all(items)).await??;
        for key in std::mem::take(&mut walk.unnamed) {
            // Where it is gone by now, it was deleted since it was listed.
            let is_gone = matches!(blobs.stored_bytes(&key).await, Err(BlobError::NotFound));
            walk.report.orphans += u64::from(!is_gone);
        }
        look_for_unlisted(metadata, blobs, pool, &mut walk).await?;
    }
    while !walk.rows.is_at_end() {
        walk = pool.run(move || walk.pass_page()).await??;
        look_for_unlisted(metadata, blobs, pool, &mut walk).await?;
    }
    Ok(walk.report)
}

/// How far both have been walked: moves from hop to hop.
struct Walk {
    rows: Rows,
    stop: Stop,
    report: CheckReport,
    /// Rows passed since the last look whose copies were not listed.
    unlisted: Vec<BlobRow>,
    /// How many were looked for in vain.
    missing: usize,
    /// Copies of the last batch that no row names, that do not wait for their deletion and that nobody is writing.
    unnamed: Vec<BlobKey>,
}

impl Walk {
    /// A batch of the listing meets the rows up to its last hash.
    fn meet_all(mut self, items: Vec<InventoryItem>) -> Result<Self, CheckError> {
        for item in items {
            self.stop.require_going()?;
            match item {
                InventoryItem::Copy { key, size_bytes } => self.meet(key, size_bytes)?,
                InventoryItem::Foreign { path } => {
                    add(&mut self.report, Problem::BackendForeign, path.display(), "not a name that Halidom writes; left alone");
                }
            }
        }
        Ok(self)
    }

    fn meet(&mut self, key: BlobKey, size_bytes: u64) -> Result<(), CheckError> {
        while let Some(row) = self.rows.next_if(|row| row.key.hash < key.hash)? {
            self.stop.require_going()?;
            self.pass(row);
        }
        let Some(row) = self.rows.next_if(|row| row.key == key)? else { return self.meet_unnamed(key) };
        self.note(&row);
        if size_bytes != row.stored_bytes {
            add(&mut self.report, Problem::BlobWrongSize, key, format!("{size_bytes} bytes, should be {}", row.stored_bytes));
        }
        Ok(())
    }

    /// A copy that the rows, as they were read, do not name.
    fn meet_unnamed(&mut self, key: BlobKey) -> Result<(), CheckError> {
        let metadata = &self.rows.metadata;
        // Asked before anything is read: a copy leaves the flight only after it was named or doomed.
        if metadata.is_in_flight(&key) {
            return Ok(());
        }
        // Both as of one moment: it is doomed in the commit that names another.
        let now = metadata.read();
        match readable(now.is_doomed(&key))? {
            Some(true) => self.report.doomed += 1,
            Some(false) => match readable(now.blob(&key.hash))? {
                Some(row) if row.is_none_or(|row| row.key != key) => self.unnamed.push(key),
                Some(_) | None => {}
            },
            None => {}
        }
        Ok(())
    }

    /// A page of rows of which nothing is listed any more.
    fn pass_page(mut self) -> Result<Self, CheckError> {
        self.stop.require_going()?;
        self.rows.fill()?;
        for row in std::mem::take(&mut self.rows.page) {
            self.pass(row);
        }
        Ok(self)
    }

    /// A row whose copy is not listed.
    fn pass(&mut self, row: BlobRow) {
        self.note(&row);
        if row.damaged {
            return;
        }
        if self.missing + self.unlisted.len() < MAX_MISSING {
            self.unlisted.push(row);
        } else {
            add(&mut self.report, Problem::BlobMissing, row.key, "not in the backend's listing");
        }
    }

    fn note(&mut self, row: &BlobRow) {
        self.report.blobs += 1;
        if row.damaged {
            add(&mut self.report, Problem::BlobDamaged, row.key, "marked damaged: its bytes did not verify");
        }
    }
}

/// `None` where a row cannot be read: that is reported with the column, and whether a copy is needed cannot be said.
fn readable<T>(read: Result<T, MetadataError>) -> Result<Option<T>, MetadataError> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(MetadataError::Damaged { .. } | MetadataError::Newer { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Looks for the copies of the rows that were passed: those of photos that came meanwhile are there, and in hours many come.
async fn look_for_unlisted(metadata: &Metadata, blobs: &dyn BlobStore, pool: &BlockingPool, walk: &mut Walk) -> Result<(), CheckError> {
    for row in std::mem::take(&mut walk.unlisted) {
        walk.missing += usize::from(look_again(metadata, blobs, pool, &mut walk.report, row).await?);
    }
    Ok(())
}

/// A row that was not listed: its copy is gone, or was written since; or the row has moved on. Answers whether it is missing.
async fn look_again(
    metadata: &Metadata,
    blobs: &dyn BlobStore,
    pool: &BlockingPool,
    report: &mut CheckReport,
    row: BlobRow,
) -> Result<bool, CheckError> {
    match blobs.stored_bytes(&row.key).await {
        Ok(bytes) if bytes == row.stored_bytes => {}
        Ok(bytes) => add(report, Problem::BlobWrongSize, row.key, format!("{bytes} bytes, should be {}", row.stored_bytes)),
        Err(BlobError::NotFound) => {
            let metadata = metadata.clone();
            let now = pool.run(move || metadata.read().blob(&row.key.hash)).await??;
            if now.is_some_and(|now| now.key == row.key) {
                add(report, Problem::BlobMissing, row.key, "metadata names it, the backend does not have it");
                return Ok(true);
            }
        }
        Err(BlobError::Damaged { .. }) => add(report, Problem::BlobDamaged, row.key, "it cannot be read"),
        Err(error) => return Err(error.into()),
    }
    Ok(false)
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

    fn is_at_end(&self) -> bool {
        self.page.is_empty() && self.ended
    }

    /// Sees to it that there is a row in the page, unless none is left.
    fn fill(&mut self) -> Result<(), MetadataError> {
        if self.page.is_empty() && !self.ended {
            let page = list_readable_blobs(&self.metadata.read(), self.after, PAGE)?;
            self.ended = page.next.is_none();
            self.after = page.next;
            self.page = page.items.into();
        }
        Ok(())
    }

    /// The next row, if it is such a one; else it stays.
    fn next_if(&mut self, fits: impl FnOnce(&BlobRow) -> bool) -> Result<Option<BlobRow>, MetadataError> {
        self.fill()?;
        Ok(self.page.pop_front_if(|row| fits(row)))
    }
}
