//! `check`: is everything there that metadata names, does it verify, and does metadata agree with itself? Changes nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::walk::{Found, PAGE, Unreadable, Walk, WalkError, wrong_bytes};
use crate::api::{CheckReport, Finding};
use crate::blobs::{BlobError, BlobStore};
use crate::metadata::check::{Checked, list_readable_blobs};
use crate::metadata::{self, Metadata, MetadataError};
use crate::runtime::BlockingPool;

/// Findings that are listed; more are counted only.
const MAX_LISTED: usize = 1_000;

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

/// Says to work on another thread that nobody waits for it any more: set when this is dropped.
#[derive(Debug, Default)]
struct GivenUp(Stop);

impl GivenUp {
    /// What that work looks at.
    fn stop(&self) -> Stop {
        self.0.clone()
    }
}

impl Drop for GivenUp {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

/// Whether anybody waits for the work.
#[derive(Debug, Clone, Default)]
struct Stop(Arc<AtomicBool>);

impl Stop {
    fn goes_on(&self) -> bool {
        !self.0.load(Ordering::Relaxed)
    }
}

/// Checks a site. `blobs` is the backend itself, past any cache, but with recompressed copies read as their originals. Uploads and deletions may go on meanwhile: what they write and delete is
/// never reported. Metadata is read on `pool`. Where the answer is dropped before it is there, the check ends soon.
///
/// # Errors
/// Where metadata or the backend's listing cannot be read at all: then the check says nothing.
pub async fn check(metadata: &Metadata, blobs: &dyn BlobStore, pool: &BlockingPool, read_data: bool) -> Result<CheckReport, WalkError> {
    let mut report = CheckReport::default();
    let given_up = GivenUp::default();
    let (own, stop) = (metadata.clone(), given_up.stop());
    let (checked, findings) = pool.run(move || check_metadata(&own, &|| stop.goes_on())).await??;
    report.rows = checked.rows;
    // More than are listed are counted.
    report.problems = checked.findings - findings.len() as u64;
    for finding in findings {
        list(&mut report, format!("{}_{}", finding.column.name(), finding.fault.as_str()), hex(&finding.key), finding.detail);
    }
    check_marker(metadata, blobs, &mut report).await?;
    let mut walk = Walk::new(metadata, blobs, Unreadable::PassedOver);
    while let Some(found) = walk.next(blobs, pool).await? {
        note(&mut report, &found);
    }
    if read_data {
        read_all(metadata, blobs, pool, &mut report).await?;
    }
    Ok(report)
}

/// What the walk found, in the report.
fn note(report: &mut CheckReport, found: &Found) {
    match found {
        Found::Named { row, .. } | Found::Unreadable { row } | Found::Missing { row, .. } => {
            report.blobs += 1;
            if row.damaged {
                add(report, Problem::BlobDamaged, row.key, "marked damaged: its bytes did not verify");
            }
        }
        Found::Doomed { .. } | Found::Extra { .. } | Found::Foreign { .. } => {}
    }
    match found {
        Found::Named { row, size_bytes } if *size_bytes != row.stored_bytes => {
            add(report, Problem::BlobWrongSize, row.key, format!("{size_bytes} bytes, should be {}", row.stored_bytes));
        }
        Found::Missing { row, why } if !row.damaged => add(report, Problem::BlobMissing, row.key, why),
        Found::Unreadable { row } if !row.damaged => add(report, Problem::BlobDamaged, row.key, "it cannot be read"),
        Found::Named { .. } | Found::Missing { .. } | Found::Unreadable { .. } => {}
        Found::Doomed { .. } => report.doomed += 1,
        Found::Extra { .. } => report.orphans += 1,
        Found::Foreign { path } => add(report, Problem::BackendForeign, path.display(), "not a name that Halidom writes; left alone"),
    }
}

/// The backend has to say that it is this site's.
async fn check_marker(metadata: &Metadata, blobs: &dyn BlobStore, report: &mut CheckReport) -> Result<(), WalkError> {
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

/// Reads and hashes every copy that a row names: recompressed ones as what they are decoded to.
async fn read_all(metadata: &Metadata, blobs: &dyn BlobStore, pool: &BlockingPool, report: &mut CheckReport) -> Result<(), WalkError> {
    let mut after = None;
    loop {
        let own = metadata.clone();
        let page = pool.run(move || list_readable_blobs(&own.read(), after, PAGE)).await??;
        for row in page.items.iter().filter(|row| !row.damaged) {
            // The walk has reported a wrong size.
            let read = async {
                let is_whole = blobs.stored_bytes(&row.key).await? == row.stored_bytes;
                if is_whole { wrong_bytes(blobs, &row.key).await.map(Some) } else { Ok(None) }
            };
            match read.await {
                Ok(None) => continue,
                Ok(Some(None)) => {}
                Ok(Some(Some(wrong))) => add(report, Problem::BlobDamaged, row.key, wrong),
                // The walk has reported what is missing; or the row has moved on since.
                Err(BlobError::NotFound) => continue,
                Err(BlobError::Damaged { damage, .. }) => add(report, Problem::BlobDamaged, row.key, damage),
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

#[cfg(test)]
mod tests;
