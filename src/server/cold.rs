//! What recompresses photos, and how it learns that nothing else goes on.

use std::sync::Arc;

use crate::blobs::{BlobStore, VerifyStore};
use crate::config::Config;
use crate::maintenance::{ColdJob, Idleness};
use crate::metadata::Metadata;
use crate::runtime::{BlockingPool, Runtime};
use crate::service::Services;

/// What works on the photos of a site, where the settings have it do anything.
pub(super) fn job(
    config: &Config,
    runtime: &Runtime,
    metadata: &Metadata,
    blobs: Arc<VerifyStore<Arc<dyn BlobStore>>>,
    reading: &BlockingPool,
    services: &Arc<Services>,
) -> ColdJob {
    ColdJob {
        metadata: metadata.clone(),
        blobs,
        runtime: runtime.clone(),
        reading: reading.clone(),
        encoding: BlockingPool::new("recompressing", config.cold.concurrency as usize),
        idleness: Arc::new(Quiet(services.clone())),
        settings: config.cold.clone(),
        figures: Arc::default(),
    }
}

/// Nobody waits for anything that takes a processor or the backend for long.
#[derive(Debug)]
struct Quiet(Arc<Services>);

impl Idleness for Quiet {
    fn is_idle(&self) -> bool {
        let load = self.0.load();
        let renders = load.renditions.renders_waiting + load.renditions.slow_renders_waiting;
        load.uploads_running == 0 && load.downloads_running == 0 && renders == 0
    }
}
