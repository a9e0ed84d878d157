//! The inventory: everything that lies in the backend or should, each with what metadata says of it, in memory that does not grow. Changes nothing.
//!
//! The backend's listing and the blob rows both come in the order of hashes: they are merged. Unlike the check, it is made of a site that nothing
//! writes to meanwhile, and asks nothing twice.

use std::collections::VecDeque;
use std::io;

use crate::api::{InventoryLine, InventoryState, InventorySummary};
use crate::blobs::{BlobError, BlobStore, InventoryItem};
use crate::metadata::{BlobRow, Metadata, MetadataError, Read};
use crate::model::{BlobHash, BlobKey};
use crate::runtime::{BlockingPool, Gone};

/// Rows that are read at once, and lines that are told at once.
const PAGE: usize = 1_000;

/// Why an inventory could not be made.
#[derive(Debug, thiserror::Error)]
pub enum InventoryError {
    /// Metadata, or one row of it, cannot be read: what is needed cannot be said then.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// The backend cannot be read.
    #[error(transparent)]
    Blobs(#[from] BlobError),
    /// Its threads gave no answer.
    #[error(transparent)]
    Gone(#[from] Gone),
    /// Nobody takes the lines.
    #[error("cannot write the inventory")]
    Told(#[from] io::Error),
}

/// Takes the lines one by one.
pub type Tell<'a> = &'a mut (dyn FnMut(&InventoryLine) -> io::Result<()> + Send);

/// Tells of everything that lies in `blobs`, and of what is missing there. `blobs` is the backend itself, past any cache, but with recompressed
/// copies read as their originals. Nothing may write to the site meanwhile. With `read_data` every copy that a row names is read and hashed.
/// Copies come in the order of their hashes. Metadata is read on `pool`.
///
/// # Errors
/// Where a row or a part of the listing cannot be read: what was told until then is no inventory.
pub async fn inventory(
    metadata: &Metadata,
    blobs: &dyn BlobStore,
    pool: &BlockingPool,
    read_data: bool,
    tell: Tell<'_>,
) -> Result<InventorySummary, InventoryError> {
    let mut summary = InventorySummary::default();
    let mut merge = Merge::new(metadata.clone());
    let mut listing = blobs.inventory();
    while !merge.is_at_end() {
        if merge.listed.is_empty() && !merge.all_listed {
            match listing.next().await? {
                Some(items) => merge.listed = items.into(),
                None => merge.all_listed = true,
            }
        }
        merge = pool.run(move || merge.go_on()).await??;
        for Met { mut line, key } in std::mem::take(&mut merge.met) {
            if let Some(key) = key.filter(|_| read_data && line.state == InventoryState::Named) {
                read(blobs, &key, &mut line, &mut summary).await?;
            }
            count(&line, &mut summary);
            tell(&line)?;
        }
    }
    Ok(summary)
}

/// What the copy's bytes say.
async fn read(
    blobs: &dyn BlobStore,
    key: &BlobKey,
    line: &mut InventoryLine,
    summary: &mut InventorySummary,
) -> Result<(), InventoryError> {
    let read = async { blobs.open(key).await?.content_hash().await };
    let wrong = match read.await {
        Ok(hash) => {
            summary.bytes_read += line.size_bytes.unwrap_or(0);
            if hash == key.hash {
                return Ok(());
            }
            format!("its bytes hash to {hash}")
        }
        Err(BlobError::Damaged { damage, .. }) => damage.to_string(),
        // What could not be looked at must not pass for sound, nor for damaged; and nothing goes while nobody writes.
        Err(error) => return Err(error.into()),
    };
    (line.state, line.detail) = (InventoryState::Damaged, Some(wrong));
    Ok(())
}

fn count(line: &InventoryLine, summary: &mut InventorySummary) {
    let counter = match line.state {
        InventoryState::Named => &mut summary.named,
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

/// A line, and the key that it is about.
struct Met {
    line: InventoryLine,
    key: Option<BlobKey>,
}

/// How far both have been walked: moves from hop to hop.
struct Merge {
    metadata: Metadata,
    /// Rows that were read and not met, and after which hash they go on.
    rows: VecDeque<BlobRow>,
    after: Option<BlobHash>,
    all_rows: bool,
    /// What was listed and not met.
    listed: VecDeque<InventoryItem>,
    all_listed: bool,
    met: Vec<Met>,
}

impl Merge {
    fn new(metadata: Metadata) -> Self {
        let (rows, listed) = (VecDeque::new(), VecDeque::new());
        Self { metadata, rows, after: None, all_rows: false, listed, all_listed: false, met: vec![] }
    }

    fn is_at_end(&self) -> bool {
        self.all_rows && self.all_listed && self.rows.is_empty() && self.listed.is_empty()
    }

    /// Goes on for a page of lines, or until more has to be listed.
    fn go_on(mut self) -> Result<Self, InventoryError> {
        while self.met.len() < PAGE {
            self.fill()?;
            let row = self.rows.front().copied();
            match self.listed.front() {
                Some(InventoryItem::Copy { key, size_bytes }) => {
                    let (key, size_bytes) = (*key, *size_bytes);
                    match row {
                        Some(row) if row.key == key => {
                            self.rows.pop_front();
                            self.listed.pop_front();
                            self.meet(&row, size_bytes);
                        }
                        // Keys of one hash are listed in the order of their nonces, and a row names one.
                        Some(row) if row.key < key => self.pass(row),
                        _ => {
                            self.listed.pop_front();
                            let doomed = self.metadata.read().is_doomed(&key)?;
                            let state = if doomed { InventoryState::Doomed } else { InventoryState::Extra };
                            self.add(state, key, size_bytes, None);
                        }
                    }
                }
                Some(InventoryItem::Foreign { path }) => {
                    let path = Some(path.display().to_string());
                    self.listed.pop_front();
                    let line =
                        InventoryLine { state: InventoryState::Foreign, key: None, hash: None, size_bytes: None, path, detail: None };
                    self.met.push(Met { line, key: None });
                }
                None => match row {
                    Some(row) if self.all_listed => self.pass(row),
                    _ => break,
                },
            }
        }
        Ok(self)
    }

    /// A row whose copy is listed.
    fn meet(&mut self, row: &BlobRow, size_bytes: u64) {
        let wrong = if row.damaged {
            Some("marked damaged: its bytes did not verify".to_owned())
        } else {
            (size_bytes != row.stored_bytes).then(|| format!("{size_bytes} bytes, should be {}", row.stored_bytes))
        };
        let state = if wrong.is_some() { InventoryState::Damaged } else { InventoryState::Named };
        self.add(state, row.key, size_bytes, wrong);
    }

    /// The next row's copy is not listed.
    fn pass(&mut self, row: BlobRow) {
        self.rows.pop_front();
        self.add(InventoryState::Missing, row.key, row.stored_bytes, Some("not in the backend's listing".to_owned()));
    }

    fn add(&mut self, state: InventoryState, key: BlobKey, size_bytes: u64, detail: Option<String>) {
        let (name, hash) = (Some(key.to_string()), Some(key.hash.to_string()));
        let line = InventoryLine { state, key: name, hash, size_bytes: Some(size_bytes), path: None, detail };
        self.met.push(Met { line, key: Some(key) });
    }

    /// Sees to it that there is a row, unless none is left.
    fn fill(&mut self) -> Result<(), MetadataError> {
        if self.rows.is_empty() && !self.all_rows {
            // One that cannot be read is an error here: the copy that it names would pass for one that nothing needs.
            let page = self.metadata.read().list_blobs(self.after, PAGE)?;
            self.all_rows = page.next.is_none();
            self.after = page.next;
            self.rows = page.items.into();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
