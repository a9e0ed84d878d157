//! `check`: is everything there that metadata names, does it verify, and does metadata agree with itself? Changes nothing.

use std::collections::BTreeMap;

use crate::api::{CheckReport, Finding};
use crate::blobs::{BlobError, BlobStore, InventoryItem};
use crate::metadata::{BlobRow, Metadata, MetadataError, Read, check_metadata};
use crate::model::{BlobHash, BlobKey};
use crate::runtime::BlockingPool;

/// Findings that are listed; more are counted only.
const MAX_LISTED: usize = 1_000;
/// Blob rows that are read at once.
const PAGE: usize = 1_000;

/// A report that is being written.
#[derive(Debug, Default)]
pub struct Report(CheckReport);

impl Report {
    fn add(&mut self, code: &str, subject: impl ToString, detail: impl ToString) {
        self.0.problems += 1;
        if self.0.findings.len() < MAX_LISTED {
            self.0.findings.push(Finding { code: code.into(), subject: subject.to_string(), detail: detail.to_string() });
        }
    }

    /// The finished report.
    pub fn finish(self) -> CheckReport {
        self.0
    }
}

/// Checks a site. `blobs` reads what is on the backend itself, past any cache; uploads may go on meanwhile.
///
/// The backend is listed first and metadata read afterwards: an object named since the listing is looked at by itself, so that a
/// running upload is never reported.
///
/// # Errors
/// Where metadata or the backend's listing cannot be read at all: then the check says nothing.
pub async fn check(
    metadata: &Metadata,
    blobs: &dyn BlobStore,
    pool: &BlockingPool,
    read_data: bool,
) -> Result<CheckReport, CheckError> {
    let mut report = Report::default();
    let mut listed: BTreeMap<BlobKey, u64> = BTreeMap::new();
    let mut foreign = vec![];
    blobs
        .inventory(&mut |item| match item {
            InventoryItem::Blob { key, size_bytes } => {
                listed.insert(key, size_bytes);
            }
            InventoryItem::Foreign { path } => foreign.push(path),
        })
        .await?;
    for path in foreign {
        report.add("backend_foreign", path, "not a name that Halidom writes; left alone");
    }
    let own = metadata.clone();
    let found = pool.run(move || check_metadata(&own.read())).await.map_err(|_| CheckError::Interrupted)??;
    report.0.rows = found.rows;
    for difference in found.differences {
        report.add(difference.code, difference.subject, difference.detail);
    }
    let mut after: Option<BlobHash> = None;
    loop {
        let at = metadata.clone();
        let page = pool.run(move || at.read().list_blobs(after, PAGE)).await.map_err(|_| CheckError::Interrupted)??;
        for row in &page {
            report.0.blobs += 1;
            check_blob(&mut report, blobs, row, listed.remove(&row.key), read_data).await?;
        }
        match page.last() {
            Some(last) if page.len() == PAGE => after = Some(last.key.hash),
            _ => break,
        }
    }
    for key in listed.into_keys() {
        if metadata.read().is_doomed(&key)? {
            report.0.doomed += 1;
        } else if !metadata.is_in_flight(&key) && metadata.read().blob(&key.hash)?.is_none_or(|row| row.key != key) {
            report.0.orphans += 1;
        }
    }
    Ok(report.finish())
}

async fn check_blob(
    report: &mut Report,
    blobs: &dyn BlobStore,
    row: &BlobRow,
    listed: Option<u64>,
    read_data: bool,
) -> Result<(), CheckError> {
    let key = row.key;
    if row.damaged {
        report.add("blob_damaged", key, "marked damaged: its bytes did not verify");
        return Ok(());
    }
    let size = match listed {
        Some(size) => size,
        // Not in the listing: gone, or written since.
        None => match blobs.open(&key).await {
            Ok(reader) => reader.size_bytes(),
            Err(BlobError::NotFound { .. }) => {
                report.add("blob_missing", key, "metadata names it, the backend does not have it");
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        },
    };
    if size != row.stored_size_bytes() {
        report.add("blob_wrong_size", key, format!("{size} bytes, should be {}", row.stored_size_bytes()));
    } else if read_data {
        report.0.bytes_read += size;
        match hash_of(blobs, &key).await {
            Ok(hash) if hash == key.hash => {}
            Ok(hash) => report.add("blob_damaged", key, format!("its bytes hash to {hash}")),
            Err(BlobError::Damaged { .. } | BlobError::NotFound { .. }) => report.add("blob_damaged", key, "it cannot be read"),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

async fn hash_of(blobs: &dyn BlobStore, key: &BlobKey) -> Result<BlobHash, BlobError> {
    const PIECE: u64 = 1 << 20;
    let reader = blobs.open(key).await?;
    let mut hasher = blake3::Hasher::new();
    let mut offset = 0;
    while offset < reader.size_bytes() {
        let length = PIECE.min(reader.size_bytes() - offset);
        hasher.update(&reader.read_at(offset, length as usize).await?);
        offset += length;
    }
    Ok(hasher.finalize().into())
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
