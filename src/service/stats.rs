//! What the site holds, for administrators.

use crate::blobs::BlobStore as _;
use crate::metadata::{Read, SiteStats};

use super::caller::{Caller, Scope};
use super::{RenditionLoad, ServiceError, Services};

impl Services {
    /// Counts and bytes of the whole site.
    ///
    /// # Errors
    /// `Forbidden` without the scope `admin`.
    pub async fn stats(&self, caller: &Caller) -> Result<SiteStats, ServiceError> {
        caller.require(Scope::Admin)?;
        self.read(|at| Ok(at.stats()?)).await
    }

    /// How many copies wait on a local disk until the backend takes them, and their bytes.
    pub fn waiting(&self) -> (u64, u64) {
        let waiting = self.blobs.backlog().map(|backlog| backlog.figures()).unwrap_or_default();
        (waiting.copies, waiting.bytes)
    }

    /// How busy the service is, for metrics.
    pub fn load(&self) -> Load {
        let (uploads_limit, downloads_limit) =
            (u64::from(self.limits.config.max_concurrent_uploads), u64::from(self.limits.config.max_concurrent_downloads));
        Load {
            uploads_running: uploads_limit.saturating_sub(self.limits.uploads.available_permits() as u64),
            uploads_limit,
            downloads_running: downloads_limit.saturating_sub(self.limits.downloads.available_permits() as u64),
            downloads_limit,
            renditions: self.renditions.load(),
        }
    }
}

/// How busy the service is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    /// Uploads in progress.
    pub uploads_running: u64,
    /// More are refused.
    pub uploads_limit: u64,
    /// Originals that are open to be downloaded.
    pub downloads_running: u64,
    /// More are refused.
    pub downloads_limit: u64,
    /// Renditions.
    pub renditions: RenditionLoad,
}
