//! The inventory: everything that lies in the backend or should, each with what metadata says of it, in memory that does not grow. Changes nothing.
//!
//! It is asked for line by line, so that whoever takes them sets the pace. A site may work on meanwhile, see [`super::walk`].

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use super::walk::{Found, Unreadable, WALK_ENDED, Walk, WalkError, still_names, wrong_bytes};
use crate::api::{InventoryLine, InventoryState, InventorySummary};
use crate::blobs::{BlobError, BlobStore, Inventory, InventoryItem};
use crate::metadata::{BlobRow, Metadata};
use crate::model::BlobKey;
use crate::runtime::BlockingPool;

/// Lines that are told at once.
const LINES: usize = 256;
/// Bytes that are read before the lines so far are told: who waits for more sees that it goes on.
const READ_AT_ONCE: u64 = 16 << 20;

/// An inventory under way.
pub struct Listing {
    blobs: Arc<dyn BlobStore>,
    of: Of,
    read_data: bool,
    summary: InventorySummary,
}

/// What it is made of.
enum Of {
    /// A site: its backend and its metadata.
    Site { metadata: Metadata, pool: BlockingPool, walk: Walk },
    /// A backend alone. `None` once its listing failed, or was given up half way.
    Backend(Option<Listed>),
}

/// A listing, and what of it was not told.
struct Listed {
    inventory: Box<dyn Inventory>,
    items: VecDeque<InventoryItem>,
    has_ended: bool,
}

impl Listing {
    /// Of everything that lies in the backend of a site, and of what is missing there. `blobs` is the backend itself, past any cache, but with recompressed
    /// copies read as their originals. Uploads and deletions may go on meanwhile: what they write and delete is never said to be missing, extra or damaged.
    /// With `read_data` every copy that a row names is read and hashed. Metadata is read on `pool`. Copies come in the order of their keys.
    pub fn of_site(metadata: Metadata, blobs: Arc<dyn BlobStore>, pool: BlockingPool, read_data: bool) -> Self {
        let walk = Walk::new(&metadata, &*blobs, Unreadable::Refused);
        Self { blobs, of: Of::Site { metadata, pool, walk }, read_data, summary: InventorySummary::default() }
    }

    /// Of everything that lies in a backend of which nothing else is known: each copy is said to be stored, or with `read_data` damaged where its bytes are
    /// not those of its name. Whoever uses it may go on: what is deleted meanwhile is not told.
    pub fn of_backend(blobs: Arc<dyn BlobStore>, read_data: bool) -> Self {
        let listed = Listed { inventory: blobs.inventory(), items: VecDeque::new(), has_ended: false };
        Self { blobs, of: Of::Backend(Some(listed)), read_data, summary: InventorySummary::default() }
    }

    /// The next lines, at least one; `None` where all were given.
    ///
    /// # Errors
    /// Where a row or a part of the listing cannot be read, or a copy cannot be looked at: what was given until then is no inventory. After an error, or a
    /// call that was given up half way, every later call fails.
    pub async fn next(&mut self) -> Result<Option<Vec<InventoryLine>>, WalkError> {
        let (mut lines, enough) = (vec![], self.summary.bytes_read.saturating_add(READ_AT_ONCE));
        while lines.len() < LINES && self.summary.bytes_read < enough {
            let next = match &mut self.of {
                Of::Site { metadata, pool, walk } => match walk.next(&*self.blobs, pool).await? {
                    Some(found) => {
                        Site { metadata, pool, blobs: &*self.blobs, read_data: self.read_data }.line(found, &mut self.summary).await?
                    }
                    None => break,
                },
                Of::Backend(listed) => match next_item(listed).await? {
                    Some(item) => stored(&*self.blobs, item, self.read_data, &mut self.summary).await?,
                    None => break,
                },
            };
            if let Some(line) = next {
                count(&line, &mut self.summary);
                lines.push(line);
            }
        }
        Ok((!lines.is_empty()).then_some(lines))
    }

    /// What was counted so far: of everything, once all lines were given.
    pub fn summary(&self) -> InventorySummary {
        self.summary.clone()
    }
}

/// What says of a thing how it stands at a site.
struct Site<'a> {
    metadata: &'a Metadata,
    pool: &'a BlockingPool,
    blobs: &'a dyn BlobStore,
    read_data: bool,
}

impl Site<'_> {
    /// `None` where the site has deleted it meanwhile.
    async fn line(&self, found: Found, summary: &mut InventorySummary) -> Result<Option<InventoryLine>, WalkError> {
        Ok(Some(match found {
            Found::Named { row, size_bytes } => return self.named(&row, size_bytes, summary).await,
            Found::Unreadable { row } => of_copy(InventoryState::Damaged, &row.key, row.stored_bytes, Some("it cannot be read".to_owned())),
            Found::Missing { row, why } => of_copy(InventoryState::Missing, &row.key, row.stored_bytes, Some(why.to_owned())),
            Found::Doomed { key, size_bytes } => of_copy(InventoryState::Doomed, &key, size_bytes, None),
            Found::Extra { key, size_bytes } => of_copy(InventoryState::Extra, &key, size_bytes, None),
            Found::Foreign { path } => foreign(&path),
        }))
    }

    async fn named(&self, row: &BlobRow, size_bytes: u64, summary: &mut InventorySummary) -> Result<Option<InventoryLine>, WalkError> {
        let line = |state, detail| Ok(Some(of_copy(state, &row.key, size_bytes, detail)));
        if row.damaged {
            return line(InventoryState::Damaged, Some("marked damaged: its bytes did not verify".to_owned()));
        }
        if size_bytes != row.stored_bytes {
            return line(InventoryState::Damaged, Some(format!("{size_bytes} bytes, should be {}", row.stored_bytes)));
        }
        if !self.read_data {
            return line(InventoryState::Named, None);
        }
        match wrong_bytes(self.blobs, &row.key).await {
            Ok(None) => {
                summary.bytes_read += size_bytes;
                line(InventoryState::Named, None)
            }
            // Of a copy that was replaced, and may be deleted, nothing is said any more.
            Ok(Some(_)) | Err(BlobError::NotFound) if !still_names(self.metadata, self.pool, row).await? => Ok(None),
            Ok(Some(wrong)) => {
                summary.bytes_read += size_bytes;
                line(InventoryState::Damaged, Some(wrong))
            }
            Err(BlobError::NotFound) => {
                Ok(Some(of_copy(InventoryState::Missing, &row.key, row.stored_bytes, Some("it went since it was listed".to_owned()))))
            }
            // What could not be looked at must not pass for sound, nor for damaged.
            Err(error) => Err(error.into()),
        }
    }
}

/// The next item of a listing.
async fn next_item(listed: &mut Option<Listed>) -> Result<Option<InventoryItem>, BlobError> {
    let mut going = listed.take().ok_or(WALK_ENDED)?;
    if going.items.is_empty() && !going.has_ended {
        match going.inventory.next().await? {
            Some(items) => going.items = items.into(),
            None => going.has_ended = true,
        }
    }
    let item = going.items.pop_front();
    *listed = Some(going);
    Ok(item)
}

/// A thing that lies in a backend of which nothing else is known.
async fn stored(
    blobs: &dyn BlobStore,
    item: InventoryItem,
    read_data: bool,
    summary: &mut InventorySummary,
) -> Result<Option<InventoryLine>, BlobError> {
    let (key, size_bytes) = match item {
        InventoryItem::Copy { key, size_bytes } => (key, size_bytes),
        InventoryItem::Foreign { path } => return Ok(Some(foreign(&path))),
    };
    if !read_data {
        return Ok(Some(of_copy(InventoryState::Stored, &key, size_bytes, None)));
    }
    let wrong = match wrong_bytes(blobs, &key).await {
        Err(BlobError::NotFound) => return Ok(None),
        wrong => wrong?,
    };
    // Whoever uses the backend may have deleted it while it was read.
    if wrong.is_some() && matches!(blobs.stored_bytes(&key).await, Err(BlobError::NotFound)) {
        return Ok(None);
    }
    summary.bytes_read += size_bytes;
    let state = if wrong.is_some() { InventoryState::Damaged } else { InventoryState::Stored };
    Ok(Some(of_copy(state, &key, size_bytes, wrong)))
}

fn of_copy(state: InventoryState, key: &BlobKey, size_bytes: u64, detail: Option<String>) -> InventoryLine {
    let (name, hash) = (Some(key.to_string()), Some(key.hash.to_string()));
    InventoryLine { state, key: name, hash, size_bytes: Some(size_bytes), path: None, detail }
}

fn foreign(path: &Path) -> InventoryLine {
    let path = Some(path.display().to_string());
    InventoryLine { state: InventoryState::Foreign, key: None, hash: None, size_bytes: None, path, detail: None }
}

fn count(line: &InventoryLine, summary: &mut InventorySummary) {
    let counter = match line.state {
        InventoryState::Named => &mut summary.named,
        InventoryState::Stored => &mut summary.stored,
        InventoryState::Doomed => &mut summary.doomed,
        InventoryState::Extra => &mut summary.extra,
        InventoryState::Missing => &mut summary.missing,
        InventoryState::Damaged => &mut summary.damaged,
        InventoryState::Foreign => &mut summary.foreign,
    };
    *counter += 1;
    if line.state != InventoryState::Missing {
        summary.stored_bytes += line.size_bytes.unwrap_or(0);
    }
}

#[cfg(test)]
mod tests;
