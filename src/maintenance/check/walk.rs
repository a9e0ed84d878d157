//! The backend's listing and the blob rows, walked side by side: both come in the order of hashes.

use std::collections::VecDeque;

use super::{CheckError, GivenUp, PAGE, Problem, Stop, add};
use crate::api::CheckReport;
use crate::blobs::{BlobError, BlobStore, InventoryItem};
use crate::metadata::check::list_readable_blobs;
use crate::metadata::{BlobRow, Metadata, MetadataError, Read};
use crate::model::{BlobHash, BlobKey};
use crate::runtime::BlockingPool;

/// Rows not found in the listing that are looked at one by one; past that the backend as a whole is not what it should be.
const MAX_UNLISTED: usize = 100_000;

/// Walks both, a batch of the listing or a page of the rows a hop, so that it ends with whoever waits for it.
pub(super) async fn walk(
    metadata: &Metadata,
    blobs: &dyn BlobStore,
    pool: &BlockingPool,
    given_up: &GivenUp,
    report: CheckReport,
) -> Result<CheckReport, CheckError> {
    let mut walk = Walk { rows: Rows::new(metadata.clone()), stop: given_up.stop(), report, unlisted: vec![] };
    let mut inventory = blobs.inventory();
    while let Some(items) = inventory.next().await? {
        walk = pool.run(move || walk.meet_all(items)).await??;
    }
    while !walk.rows.is_at_end() {
        walk = pool.run(move || walk.pass_page()).await??;
    }
    let Walk { mut report, unlisted, .. } = walk;
    for row in unlisted {
        look_again(metadata, blobs, pool, &mut report, row).await?;
    }
    Ok(report)
}

/// How far both have been walked: moves from hop to hop.
struct Walk {
    rows: Rows,
    stop: Stop,
    report: CheckReport,
    /// Rows whose copies were not listed.
    unlisted: Vec<BlobRow>,
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
        match readable(metadata.read().is_doomed(&key))? {
            Some(true) => self.report.doomed += 1,
            // Asked before the row is read: a copy leaves the flight only after its row is there.
            Some(false) if !metadata.is_in_flight(&key) => {
                let row = readable(metadata.read().blob(&key.hash))?;
                self.report.orphans += u64::from(row.is_some_and(|row| row.is_none_or(|row| row.key != key)));
            }
            Some(false) | None => {}
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
        if self.unlisted.len() < MAX_UNLISTED {
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

/// A row that was not listed: its copy is gone, or was written since; or the row has moved on.
async fn look_again(
    metadata: &Metadata,
    blobs: &dyn BlobStore,
    pool: &BlockingPool,
    report: &mut CheckReport,
    row: BlobRow,
) -> Result<(), CheckError> {
    match blobs.open(&row.key).await {
        Ok(reader) if reader.size_bytes() == row.stored_bytes => {}
        Ok(reader) => {
            add(report, Problem::BlobWrongSize, row.key, format!("{} bytes, should be {}", reader.size_bytes(), row.stored_bytes))
        }
        Err(BlobError::NotFound) => {
            let metadata = metadata.clone();
            let now = pool.run(move || metadata.read().blob(&row.key.hash)).await??;
            if now.is_some_and(|now| now.key == row.key) {
                add(report, Problem::BlobMissing, row.key, "metadata names it, the backend does not have it");
            }
        }
        Err(BlobError::Damaged { .. }) => add(report, Problem::BlobDamaged, row.key, "it cannot be read"),
        Err(error) => return Err(error.into()),
    }
    Ok(())
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
