//! Copying what metadata names, and holding the other store's listing against it.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::stream::{self, TryStreamExt as _};

use super::extras::Extras;
use super::{MoveError, MoveJournal, Moving};
use crate::blobs::{BlobError, Content, DerivedKind, Inventory, InventoryItem, Transfer, transfer};
use crate::metadata::check::list_readable_blobs;
use crate::metadata::{BlobRow, MetadataError, Read as _};
use crate::model::{BlobHash, BlobKey};
use crate::runtime;

/// Rows that are read at once, and after which it is written down how far it has come.
const PAGE: usize = 256;
/// Copies under way at once.
const AT_ONCE: usize = 4;

/// How far a walk has come, also where it is interrupted.
pub(super) struct Walk {
    begun: Duration,
    after: Mutex<Option<BlobHash>>,
}

impl Walk {
    /// `begun`: by the monotonic clock. `after`: up to where an earlier one has come.
    pub(super) fn new(begun: Duration, after: Option<BlobHash>) -> Self {
        Self { begun, after: Mutex::new(after) }
    }

    fn after(&self) -> MutexGuard<'_, Option<BlobHash>> {
        self.after.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Copies every blob that metadata names, from where the walk is.
pub(super) async fn walk(moving: &Moving, walk: &Walk, journal: &dyn MoveJournal) -> Result<(), MoveError> {
    loop {
        let after = *walk.after();
        let Some((rows, last)) = page(moving, after).await? else { return Ok(()) };
        let copies = rows.into_iter().map(|row| Ok((moving, row)));
        stream::iter(copies).try_for_each_concurrent(AT_ONCE, |(moving, row)| copy(moving, row).boxed()).await?;
        journal.copied(last).await?;
        *walk.after() = Some(last);
        keep_to_rate(moving, walk.begun, moving.progress.told().copied_bytes).await;
    }
}

async fn copy(moving: &Moving, row: BlobRow) -> Result<(), MoveError> {
    one(moving, &row).await.map(drop)
}

/// Holds the other store's listing against metadata: copies what it lacks, and queues for deletion what nothing names.
pub(super) async fn compare(moving: &Moving) -> Result<(), MoveError> {
    let mut listing = Listing::new(moving.to.blobs.inventory());
    let (mut after, mut extras) = (None, Extras::default());
    while let Some((rows, last)) = page(moving, after).await? {
        for row in &rows {
            let mut found = None;
            while let Some((key, size_bytes)) = listing.peek().await? {
                if key > row.key {
                    break;
                }
                listing.pass();
                if key == row.key {
                    found = Some(size_bytes);
                    break;
                }
                extras.meet(moving, key).await?;
            }
            if found != Some(row.stored_bytes) {
                one(moving, row).await?;
            }
        }
        after = Some(last);
    }
    while let Some((key, _)) = listing.peek().await? {
        listing.pass();
        extras.meet(moving, key).await?;
    }
    extras.clear(moving).await
}

/// Copies these, where metadata names them. `false`: not all of them could be, and none may be left behind.
pub(super) async fn all(moving: &Moving, keys: Vec<BlobKey>) -> Result<bool, MoveError> {
    for key in keys {
        if let Some(row) = row_of(moving, key).await?
            && !one(moving, &row).await?
            && !moving.despite_damage
        {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Copies a blob, and what is derived from it. `false`: metadata names it, and it is damaged.
async fn one(moving: &Moving, row: &BlobRow) -> Result<bool, MoveError> {
    let (key, hash) = (row.key, row.key.hash);
    let content = Content::named(hash, row.stored_hash);
    let moved = transfer(&*moving.from.blobs, &*moving.to.blobs, &key, &content).await;
    if doomed_unless_named(moving, key).await? {
        // Another copy counts by now, which was published to both; or none.
        moving.progress.passed(row.stored_bytes, 0);
        return Ok(true);
    }
    match moved {
        Ok(Transfer::Copied(bytes)) => moving.progress.passed(row.stored_bytes, bytes),
        Ok(Transfer::Present(_)) => moving.progress.passed(row.stored_bytes, 0),
        Err(error @ (BlobError::NotFound | BlobError::Damaged { .. })) => {
            tracing::error!(%key, %error, "a blob is damaged and cannot be moved");
            moving.progress.note_damaged(hash);
            moving.progress.passed(row.stored_bytes, 0);
            return Ok(false);
        }
        Err(error) => return Err(error.into()),
    }
    moving.progress.note_sound(&hash);
    // What is derived is made again where it is not there.
    for kind in DerivedKind::ALL.into_iter().filter(|kind| kind.may_be_of(row.size_bytes)) {
        if let Ok(Some(derived)) = moving.from.derived.get_derived(kind, &hash).await {
            let _ = moving.to.derived.put_derived(kind, &hash, derived).await;
            // The deletion of a blob removes what is derived from it, too; it may have come before.
            doomed_unless_named(moving, key).await?;
        }
    }
    Ok(true)
}

/// Where nothing names this copy any more it is queued for deletion once more: from where it was it may have been deleted before it arrived, whatever
/// the store has answered.
async fn doomed_unless_named(moving: &Moving, key: BlobKey) -> Result<bool, MoveError> {
    let is_named = row_of(moving, key).await?.is_some();
    if !is_named {
        let queued = moving.metadata.write("moved", move |tx| -> Result<bool, MetadataError> { tx.doom(key) });
        queued.await?;
    }
    Ok(!is_named)
}

/// The row that names this copy.
async fn row_of(moving: &Moving, key: BlobKey) -> Result<Option<BlobRow>, MoveError> {
    let metadata = moving.metadata.clone();
    let row = moving.pool.run(move || metadata.read().blob(&key.hash)).await??;
    Ok(row.filter(|row| row.key == key))
}

/// The next rows, and the last one's hash; `None` at the end.
pub(in crate::maintenance) async fn page(moving: &Moving, after: Option<BlobHash>) -> Result<Option<(Vec<BlobRow>, BlobHash)>, MoveError> {
    let metadata = moving.metadata.clone();
    let page = moving.pool.run(move || list_readable_blobs(&metadata.read(), after, PAGE)).await??;
    Ok(page.items.last().map(|row| row.key.hash).map(|last| (page.items, last)))
}

/// Waits until no more than so many bytes, read or copied since it was `begun`, are what the rate allows.
pub(in crate::maintenance) async fn keep_to_rate(moving: &Moving, begun: Duration, bytes: u64) {
    let elapsed = moving.clock.monotonic().saturating_sub(begun);
    moving.progress.took(elapsed);
    if moving.max_bytes_per_second > 0 {
        let due = bytes as f64 / moving.max_bytes_per_second as f64;
        let pause = Duration::try_from_secs_f64(due).unwrap_or(Duration::MAX).saturating_sub(elapsed);
        if !pause.is_zero() {
            runtime::sleep(pause).await;
        }
    }
}

/// A listing that is asked for keys in ascending order.
pub(in crate::maintenance) struct Listing {
    inventory: Box<dyn Inventory>,
    copies: VecDeque<(BlobKey, u64)>,
}

impl Listing {
    pub(in crate::maintenance) fn new(inventory: Box<dyn Inventory>) -> Self {
        Self { inventory, copies: VecDeque::new() }
    }

    /// The next copy, and its length.
    pub(in crate::maintenance) async fn peek(&mut self) -> Result<Option<(BlobKey, u64)>, BlobError> {
        while self.copies.is_empty() {
            let Some(items) = self.inventory.next().await? else { return Ok(None) };
            self.copies.extend(items.into_iter().filter_map(|item| match item {
                InventoryItem::Copy { key, size_bytes } => Some((key, size_bytes)),
                InventoryItem::Foreign { .. } => None,
            }));
        }
        Ok(self.copies.front().copied())
    }

    /// Goes on behind it.
    pub(in crate::maintenance) fn pass(&mut self) {
        self.copies.pop_front();
    }
}
