//! Looking at a site that no server runs.

use super::ServerError;
use super::site::{METADATA_DIR, backend_root, filer_settings, open_metadata};
use crate::api::CheckReport;
use crate::blobs::{DiskSettings, DiskStore};
use crate::config::Config;
use crate::maintenance;
use crate::metadata::Metadata;
use crate::runtime::{BlockingPool, Runtime};

/// Checks the site of these settings, which no server may be running: finds what the online check finds. Makes nothing and repairs
/// nothing: where there is no site, none is made; what an interrupted upload left is left; a missing marker is not claimed. Only RocksDB
/// does what every opening does: it moves what stands in its log alone into tables.
///
/// # Errors
/// [`ServerError::NoSite`]; [`ServerError::Metadata`] with [`crate::metadata::MetadataError::Locked`], or [`ServerError::Blobs`] with
/// [`crate::blobs::BlobError::InUse`], where a process has the site open; whatever keeps the site from being read.
pub async fn check_offline(config: &Config, read_data: bool) -> Result<CheckReport, ServerError> {
    let data = &config.storage.data;
    if !data.join(METADATA_DIR).join("CURRENT").is_file() {
        return Err(ServerError::NoSite { path: data.clone() });
    }
    let runtime = Runtime::system();
    let pool = BlockingPool::new("metadata", config.metadata.read_threads as usize);
    let metadata = open_metadata(config, &runtime, &pool).await?;
    let report = check(config, runtime, &metadata, &pool, read_data).await;
    // Waits for the writer, so that nothing has the site open any more.
    metadata.close();
    report
}

async fn check(
    config: &Config,
    runtime: Runtime,
    metadata: &Metadata,
    pool: &BlockingPool,
    read_data: bool,
) -> Result<CheckReport, ServerError> {
    let blobs_pool = BlockingPool::new("blobs", config.blobs.io_threads as usize);
    let settings = DiskSettings { create: false, filer: filer_settings(config), ..DiskSettings::default() };
    let store = DiskStore::open(&backend_root(config)?, runtime, blobs_pool, settings).await?;
    Ok(maintenance::check(metadata, &store, pool, read_data).await?)
}
