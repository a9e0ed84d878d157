//! What the site holds, for administrators.

use crate::metadata::{Read, SiteStats};

use super::caller::{Caller, Scope};
use super::{DiskFigures, PreviewFigures, ServiceError, Services};

impl Services {
    /// Counts and bytes of the whole site.
    ///
    /// # Errors
    /// `Forbidden` without the scope `admin`.
    pub async fn stats(&self, caller: &Caller) -> Result<SiteStats, ServiceError> {
        caller.require(Scope::Admin)?;
        self.read(|at| Ok(at.stats()?)).await
    }

    /// How busy the service is, for metrics.
    pub fn load(&self) -> Load {
        let (uploads_limit, downloads_limit) =
            (u64::from(self.limits.config.max_concurrent_uploads), u64::from(self.limits.config.max_concurrent_downloads));
        let (waiting, limit) = self.renditions.queue();
        let (slow_waiting, slow_limit) = self.renditions.slow_queue();
        Load {
            uploads_running: uploads_limit.saturating_sub(self.limits.uploads.available_permits() as u64),
            uploads_limit,
            downloads_running: downloads_limit.saturating_sub(self.limits.downloads.available_permits() as u64),
            downloads_limit,
            renders_waiting: waiting,
            renders_limit: limit,
            slow_renders_waiting: slow_waiting,
            slow_renders_limit: slow_limit,
            previews: self.renditions.previews(),
            cached_rendition_bytes: self.renditions.cached().1,
            renditions_on_disk: self.renditions.disk_figures(),
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
    /// Renditions that render or wait to.
    pub renders_waiting: u64,
    /// More are refused.
    pub renders_limit: u64,
    /// The same of those in formats that take long.
    pub slow_renders_waiting: u64,
    /// More are refused, or not begun.
    pub slow_renders_limit: u64,
    /// Previews of new photos.
    pub previews: PreviewFigures,
    /// Memory of cached renditions.
    pub cached_rendition_bytes: u64,
    /// The cache of renditions on disk, where there is one.
    pub renditions_on_disk: Option<DiskFigures>,
}
