//! The backend's listing and the blob rows, walked side by side in memory that does not grow: both come in the order of hashes.
//!
//! What the site writes and deletes meanwhile is settled by asking again: a row whose copy was not listed, and a copy that no row names, are
//! looked at before anything is said of them. A copy is there, whole, before a row names it, and is deleted only after no row ever will. What comes,
//! goes or is replaced meanwhile may be told as it was, as it is, or not at all.

use std::collections::VecDeque;
use std::path::PathBuf;

use crate::blobs::{BlobError, BlobStore, Inventory, InventoryItem};
use crate::metadata::check::list_readable_blobs;
use crate::metadata::{BlobRow, Metadata, MetadataError, Read};
use crate::model::{BlobHash, BlobKey};
use crate::runtime::{BlockingPool, Gone};

/// Rows that are read at once, and things that are settled before more are met.
pub(super) const PAGE: usize = 1_000;
/// Copies that were looked for in vain; past that the backend as a whole is not what it should be, and whatever is not in its listing is said to be
/// missing.
const MAX_MISSING: usize = 100_000;

/// Why a site could not be looked through.
#[derive(Debug, thiserror::Error)]
pub enum WalkError {
    /// Metadata cannot be read.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// The backend cannot be read.
    #[error(transparent)]
    Blobs(#[from] BlobError),
    /// Its threads gave no answer.
    #[error(transparent)]
    Gone(#[from] Gone),
}

/// What is asked to go on after it failed, or was given up half way.
pub(super) const WALK_ENDED: BlobError = BlobError::Internal { reason: "a walk that failed is asked to go on" };

/// One thing that lies in the backend, or should.
#[derive(Debug)]
pub(super) enum Found {
    /// The copy that a row names, and its length.
    Named { row: BlobRow, size_bytes: u64 },
    /// Something lies where a row has its copy, and cannot be looked at.
    Unreadable { row: BlobRow },
    /// A row's copy is not there.
    Missing { row: BlobRow, why: &'static str },
    /// A copy that waits for its deletion.
    Doomed { key: BlobKey, size_bytes: u64 },
    /// A copy that nothing names and nobody is writing.
    Extra { key: BlobKey, size_bytes: u64 },
    /// What Halidom did not put there.
    Foreign { path: PathBuf },
}

/// What is done with rows that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// Nothing is said of them, nor of the copies that they may name: somebody else reports them.
    PassedOver,
    /// The walk ends: a copy that one names would pass for one that nothing needs.
    Refused,
}

/// A walk over everything; copies and rows in ascending order of their keys.
pub(super) struct Walk {
    listing: Box<dyn Inventory>,
    /// `None` once it failed, or was given up half way.
    merge: Option<Merge>,
}

impl Walk {
    /// Begins when it is first asked.
    pub(super) fn new(metadata: &Metadata, blobs: &dyn BlobStore, unreadable: Unreadable) -> Self {
        Self { listing: blobs.inventory(), merge: Some(Merge::new(metadata.clone(), unreadable)) }
    }

    /// The next thing; `None` where all were given. `blobs` is the store that it began with. Metadata is read on `pool`, at most a page a hop, so that it
    /// ends with whoever waits for it.
    ///
    /// # Errors
    /// Whatever cannot be read ends it: what was given until then is not the whole.
    pub(super) async fn next(&mut self, blobs: &dyn BlobStore, pool: &BlockingPool) -> Result<Option<Found>, WalkError> {
        let mut merge = self.merge.take().ok_or(WALK_ENDED)?;
        let found = loop {
            if let Some(step) = merge.steps.pop_front() {
                match merge.settle(step, blobs, pool).await? {
                    Some(found) => break Some(found),
                    None => continue,
                }
            }
            if merge.is_at_end() {
                break None;
            }
            if merge.listed.is_empty() && !merge.all_listed {
                match self.listing.next().await? {
                    Some(items) => merge.listed = items.into(),
                    None => merge.all_listed = true,
                }
            }
            merge = pool.run(move || merge.go_on()).await??;
        };
        self.merge = Some(merge);
        Ok(found)
    }
}

/// Whether the row still names its copy.
pub(super) async fn still_names(metadata: &Metadata, pool: &BlockingPool, row: &BlobRow) -> Result<bool, WalkError> {
    let (metadata, key) = (metadata.clone(), row.key);
    let now = pool.run(move || metadata.read().blob(&key.hash)).await??;
    Ok(now.is_some_and(|now| now.key == key))
}

/// What the bytes of a copy say against it; `None` where they are those of its name. A recompressed one is read as what it is decoded to.
///
/// # Errors
/// [`BlobError::NotFound`] where it is not there; whatever keeps it from being read, which says nothing of it.
pub(super) async fn wrong_bytes(blobs: &dyn BlobStore, key: &BlobKey) -> Result<Option<String>, BlobError> {
    let read = async { blobs.open(key).await?.content_hash().await };
    match read.await {
        Ok(hash) if hash == key.hash => Ok(None),
        Ok(hash) => Ok(Some(format!("its bytes hash to {hash}"))),
        Err(BlobError::Damaged { damage, .. }) => Ok(Some(damage.to_string())),
        Err(error) => Err(error),
    }
}

/// What was met.
#[derive(Debug)]
enum Step {
    /// It is settled.
    Found(Found),
    /// A row whose copy was not listed.
    Unlisted(BlobRow),
    /// A copy that no row names, that does not wait for its deletion and that nobody is writing.
    Unnamed { key: BlobKey, size_bytes: u64 },
}

/// How far both have been walked: moves from hop to hop.
struct Merge {
    metadata: Metadata,
    unreadable: Unreadable,
    /// Rows that were read and not met, and after which hash they go on.
    rows: VecDeque<BlobRow>,
    after: Option<BlobHash>,
    all_rows: bool,
    /// What was listed and not met.
    listed: VecDeque<InventoryItem>,
    all_listed: bool,
    /// What was met and is not settled.
    steps: VecDeque<Step>,
    /// How many were looked for in vain.
    missing: usize,
}

impl Merge {
    fn new(metadata: Metadata, unreadable: Unreadable) -> Self {
        let (rows, listed, steps) = (VecDeque::new(), VecDeque::new(), VecDeque::new());
        Self { metadata, unreadable, rows, after: None, all_rows: false, listed, all_listed: false, steps, missing: 0 }
    }

    fn is_at_end(&self) -> bool {
        self.all_rows && self.all_listed && self.rows.is_empty() && self.listed.is_empty() && self.steps.is_empty()
    }

    /// Goes on for a page, or until more has to be listed.
    fn go_on(mut self) -> Result<Self, MetadataError> {
        while self.steps.len() < PAGE {
            self.fill()?;
            let row = self.rows.front().copied();
            let step = match self.listed.front() {
                Some(InventoryItem::Copy { key, size_bytes }) => {
                    let (key, size_bytes) = (*key, *size_bytes);
                    match row {
                        // Keys of one hash are listed in the order of their nonces, and a row names one.
                        Some(row) if row.key < key => self.pass(row),
                        Some(row) if row.key == key => {
                            self.rows.pop_front();
                            self.listed.pop_front();
                            Some(Step::Found(Found::Named { row, size_bytes }))
                        }
                        _ => {
                            self.listed.pop_front();
                            self.meet_unnamed(key, size_bytes)?
                        }
                    }
                }
                Some(InventoryItem::Foreign { path }) => {
                    let path = path.clone();
                    self.listed.pop_front();
                    Some(Step::Found(Found::Foreign { path }))
                }
                None => match row {
                    Some(row) if self.all_listed => self.pass(row),
                    _ => break,
                },
            };
            self.steps.extend(step);
        }
        Ok(self)
    }

    /// The next row's copy is not listed.
    fn pass(&mut self, row: BlobRow) -> Option<Step> {
        self.rows.pop_front();
        Some(Step::Unlisted(row))
    }

    /// A copy that the rows, as they were read, do not name.
    fn meet_unnamed(&self, key: BlobKey, size_bytes: u64) -> Result<Option<Step>, MetadataError> {
        // Asked before anything is read: a copy leaves the flight only after it was named or doomed.
        if self.metadata.is_in_flight(&key) {
            return Ok(None);
        }
        // Both as of one moment: it is doomed in the commit that names another.
        let now = self.metadata.read();
        let Some(is_doomed) = self.readable(now.is_doomed(&key))? else { return Ok(None) };
        if is_doomed {
            return Ok(Some(Step::Found(Found::Doomed { key, size_bytes })));
        }
        let Some(row) = self.readable(now.blob(&key.hash))? else { return Ok(None) };
        Ok(Some(match row {
            Some(row) if row.key == key => Step::Found(Found::Named { row, size_bytes }),
            Some(_) | None => Step::Unnamed { key, size_bytes },
        }))
    }

    /// `None` where a row cannot be read and is passed over: whether a copy is needed cannot be said then.
    fn readable<T>(&self, read: Result<T, MetadataError>) -> Result<Option<T>, MetadataError> {
        match read {
            Err(MetadataError::Damaged { .. } | MetadataError::Newer { .. }) if self.unreadable == Unreadable::PassedOver => Ok(None),
            read => read.map(Some),
        }
    }

    /// Sees to it that there is a row, unless none is left.
    fn fill(&mut self) -> Result<(), MetadataError> {
        if self.rows.is_empty() && !self.all_rows {
            let now = self.metadata.read();
            let page = match self.unreadable {
                Unreadable::PassedOver => list_readable_blobs(&now, self.after, PAGE)?,
                Unreadable::Refused => now.list_blobs(self.after, PAGE)?,
            };
            self.all_rows = page.next.is_none();
            self.after = page.next;
            self.rows = page.items.into();
        }
        Ok(())
    }

    /// What is to be said of it, if anything.
    async fn settle(&mut self, step: Step, blobs: &dyn BlobStore, pool: &BlockingPool) -> Result<Option<Found>, WalkError> {
        match step {
            Step::Found(found) => Ok(Some(found)),
            Step::Unlisted(row) if self.missing >= MAX_MISSING => Ok(Some(Found::Missing { row, why: "not in the backend's listing" })),
            Step::Unlisted(row) => self.look_for(row, blobs, pool).await,
            Step::Unnamed { key, size_bytes } => {
                // Where it is gone by now, it was deleted since it was listed.
                let is_gone = matches!(blobs.stored_bytes(&key).await, Err(BlobError::NotFound));
                Ok((!is_gone).then_some(Found::Extra { key, size_bytes }))
            }
        }
    }

    /// A row that was not listed: its copy is gone, or was written since; or the row has moved on. Those of photos that came meanwhile are there, and in
    /// hours many come.
    async fn look_for(&mut self, row: BlobRow, blobs: &dyn BlobStore, pool: &BlockingPool) -> Result<Option<Found>, WalkError> {
        match blobs.stored_bytes(&row.key).await {
            Ok(size_bytes) => Ok(Some(Found::Named { row, size_bytes })),
            Err(BlobError::NotFound) if still_names(&self.metadata, pool, &row).await? => {
                self.missing += 1;
                Ok(Some(Found::Missing { row, why: "metadata names it, the backend does not have it" }))
            }
            Err(BlobError::NotFound) => Ok(None),
            Err(BlobError::Damaged { .. }) => Ok(Some(Found::Unreadable { row })),
            Err(error) => Err(error.into()),
        }
    }
}
