//! Looking at a site that no server runs.

use std::io;
use std::sync::Arc;

use super::ServerError;
use super::backend::{self, Backend, Opener};
use super::moving::Whereabouts;
use super::site::{METADATA_DIR, open_metadata};
use crate::api::{CheckReport, InventoryLine, InventorySummary};
use crate::blobs::{BlobStore, ColdStore};
use crate::config::Config;
use crate::maintenance::{self, Listing};
use crate::metadata::Metadata;
use crate::runtime::{BlockingPool, Runtime, cores};

/// Checks the site of these settings, which no server may be running: finds what the online check finds. Makes nothing and repairs
/// nothing: where there is no site, none is made; what an interrupted upload left is left; a missing marker is not claimed. Only RocksDB
/// does what every opening does: it moves what stands in its log alone into tables.
///
/// # Errors
/// [`ServerError::NoSite`]; [`ServerError::Metadata`] with [`crate::metadata::MetadataError::Locked`], or [`ServerError::Blobs`] with
/// [`crate::blobs::BlobError::InUse`], where a process has the site open; whatever keeps the site from being read.
pub async fn check_offline(config: &Config, read_data: bool) -> Result<CheckReport, ServerError> {
    require_site(config)?;
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
    let store = store(config, &runtime, metadata).await?;
    Ok(maintenance::check(metadata, &store, pool, read_data).await?)
}

/// Takes the lines of an inventory one by one.
pub type Tell<'a> = &'a mut (dyn FnMut(&InventoryLine) -> io::Result<()> + Send);

/// Tells of everything that lies in the backend of the site of these settings, or should. Otherwise as [`check_offline`].
///
/// # Errors
/// As [`check_offline`]; where a row or a part of the listing cannot be read, or nobody takes the lines: what was told until then is no inventory.
pub async fn inventory_offline(config: &Config, read_data: bool, tell: Tell<'_>) -> Result<InventorySummary, ServerError> {
    require_site(config)?;
    let runtime = Runtime::system();
    let pool = BlockingPool::new("metadata", config.metadata.read_threads as usize);
    let metadata = open_metadata(config, &runtime, &pool).await?;
    let told = match store(config, &runtime, &metadata).await {
        Ok(store) => tell_all(Listing::of_site(metadata.clone(), Arc::new(store), pool, read_data), tell).await,
        Err(error) => Err(error),
    };
    metadata.close();
    told
}

/// Tells of everything that lies in the backend of these settings, without a site. Nothing is locked, written or removed there: a server may be using it.
///
/// # Errors
/// [`ServerError::Blobs`] where there is no store, or it cannot be read; otherwise as [`inventory_offline`].
pub async fn inventory_of_backend(config: &Config, read_data: bool, tell: Tell<'_>) -> Result<InventorySummary, ServerError> {
    let blobs_pool = BlockingPool::new("blobs", config.blobs.io_threads as usize);
    let store = backend::open_to_read(config, &Runtime::system(), blobs_pool).await?;
    tell_all(Listing::of_backend(Arc::new(decoded(config, store)), read_data), tell).await
}

async fn tell_all(mut listing: Listing, tell: Tell<'_>) -> Result<InventorySummary, ServerError> {
    while let Some(lines) = listing.next().await? {
        lines.iter().try_for_each(&mut *tell).map_err(ServerError::io("the inventory cannot be written"))?;
    }
    Ok(listing.summary())
}

fn require_site(config: &Config) -> Result<(), ServerError> {
    let data = &config.storage.data;
    if data.join(METADATA_DIR).join("CURRENT").is_file() { Ok(()) } else { Err(ServerError::NoSite { path: data.clone() }) }
}

/// The backend, with recompressed copies read as their originals.
async fn store(config: &Config, runtime: &Runtime, metadata: &Metadata) -> Result<ColdStore<Arc<dyn BlobStore>>, ServerError> {
    let blobs_pool = BlockingPool::new("blobs", config.blobs.io_threads as usize);
    let whereabouts = Whereabouts::find(config)?;
    let store = Backend::open_to_look(&whereabouts.config, runtime, Opener::of(metadata)?, blobs_pool).await?.store();
    Ok(decoded(config, store))
}

fn decoded(config: &Config, store: Arc<dyn BlobStore>) -> ColdStore<Arc<dyn BlobStore>> {
    ColdStore::new(store, BlockingPool::new("decoding", cores()), config.cold.decode_memory_bytes.as_u64())
}
