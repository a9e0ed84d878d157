//! `check`: is everything there that metadata names, does it verify, and does metadata agree with itself? Changes nothing.

mod walk;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::api::{CheckReport, Finding};
use crate::blobs::{BlobError, BlobStore, Damage};
use crate::metadata::check::{Checked, list_readable_blobs};
use crate::metadata::{self, Metadata, MetadataError};
use crate::runtime::{BlockingPool, Gone};

/// Findings that are listed; more are counted only.
const MAX_LISTED: usize = 1_000;
/// Rows that are read at once.
const PAGE: usize = 1_000;

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
    /// Its threads gave no answer.
    #[error(transparent)]
    Gone(#[from] Gone),
    /// Nobody waits for it any more.
    #[error("given up")]
    GivenUp,
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

    fn require_going(&self) -> Result<(), CheckError> {
        if self.goes_on() { Ok(()) } else { Err(CheckError::GivenUp) }
    }
}

/// Checks a site. `blobs` is the backend itself, past any cache, but with recompressed copies read as their originals. Uploads and deletions may go on meanwhile: what they write and delete is
/// never reported. Metadata is read on `pool`. Where the answer is dropped before it is there, the check ends soon.
///
/// # Errors
/// Where metadata or the backend's listing cannot be read at all: then the check says nothing.
pub async fn check(metadata: &Metadata, blobs: &dyn BlobStore, pool: &BlockingPool, read_data: bool) -> Result<CheckReport, CheckError> {
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
    report = walk::walk(metadata, blobs, pool, &given_up, report).await?;
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

/// Reads and hashes every copy that a row names: recompressed ones as what they are decoded to.
async fn read_all(metadata: &Metadata, blobs: &dyn BlobStore, pool: &BlockingPool, report: &mut CheckReport) -> Result<(), CheckError> {
    let mut after = None;
    loop {
        let own = metadata.clone();
        let page = pool.run(move || list_readable_blobs(&own.read(), after, PAGE)).await??;
        for row in page.items.iter().filter(|row| !row.damaged) {
            let read = async {
                // The walk has reported a wrong size.
                if blobs.stored_bytes(&row.key).await? != row.stored_bytes {
                    return Ok(None);
                }
                blobs.open(&row.key).await?.content_hash().await.map(Some)
            };
            match read.await {
                Ok(None) => continue,
                Ok(Some(hash)) if hash == row.key.hash => {}
                Ok(Some(hash)) => add(report, Problem::BlobDamaged, row.key, format!("its bytes hash to {hash}")),
                // The walk has reported what is missing; or the row has moved on since.
                Err(BlobError::NotFound) => continue,
                Err(BlobError::Damaged { damage: damage @ Damage::Undecodable(_), .. }) => {
                    add(report, Problem::BlobDamaged, row.key, damage)
                }
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

#[cfg(test)]
mod tests;
