//! What Halidom does for its users: upload, download, albums, renditions, tenants, users and tokens.
//!
//! Knows the rules (who may, what a name may be, what a retry means) and the order of the blob protocol; knows neither HTTP nor RocksDB.

mod albums;
mod audit;
mod auth;
mod caller;
mod delete_queue;
mod edges;
mod error;
mod forgotten;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod iiif;
mod import;
mod memory;
mod names;
mod original;
mod photos;
mod readiness;
mod rendition;
mod rendition_url;
mod sending;
mod shares;
mod signing_keys;
mod similar;
mod stats;
mod stores;
mod tenant_renditions;
mod tenants;
#[cfg(test)]
mod tests;
mod tokens;
mod upload;
mod users;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::blobs::{BlobStore, DerivedStore, VerifyStore};
use crate::config::{Config, Expiry, LimitsConfig};
use crate::imaging::Decoders;
use crate::metadata::{Metadata, Snapshot};
use crate::model::Owner;
use crate::runtime::{BlockingPool, Runtime};

use stores::Stores;

pub use crate::metadata::{Page, SimilarPhoto};
pub use albums::AlbumRow;
pub use auth::Secret;
pub use caller::{Caller, Scope, Scopes};
pub use delete_queue::{Deleted, Graces, Uncleared};
pub use edges::{EdgeBlob, Feed, FeedCursor, FeedEvent, FeedPage};
pub use error::ServiceError;
pub use forgotten::Forgotten;
pub use iiif::{ImageRequest, PREFIX as IIIF_PREFIX};
pub use import::{Imports, ImportsParts};
pub use original::{BlobReader, Original};
pub use photos::PhotoEdit;
#[cfg(test)]
pub(crate) use readiness::tests::site_with;
pub use rendition::{
    Accepted, CachedBlobs, Catalogue, DiskFigures, DiskThreads, Freshness, IiifImage, PhotoUrlSigner, PreviewFigures, Ready, Rendition,
    RenditionBasis, RenditionDisk, RenditionLoad, RenditionPools, RenditionRequest, RenditionService, Served, ServedFrom, TenantUrls,
    Unread, UrlOptions,
};
pub use rendition_url::RenditionFormat;
pub use sending::{LinkItem, LinkOutcome};
pub use similar::SimilarPhotos;
pub use stats::Load;
pub use tenant_renditions::RenditionsEdit;
pub use tokens::NewTokenRequest;
pub use upload::{ExpectedDigests, PhotoName, UploadRequest, Uploaded};

/// The blob store as the service uses it: nothing comes out of it unchecked.
pub type Blobs = Arc<VerifyStore<Arc<dyn BlobStore>>>;

/// How many scans of metadata one user may have under way or waiting: more than any client of ours has, and so few that the rest hardly wait.
const SCANS_OF_ONE: usize = 64;

/// Everything that a service call needs. One a site, shared.
#[derive(Debug)]
pub struct Services {
    metadata: Metadata,
    blobs: Blobs,
    /// The same two, for what only reads.
    stores: Stores,
    runtime: Runtime,
    pools: Pools,
    limits: Limits,
    names: names::Names,
    renditions: Arc<RenditionService>,
    token_uses: auth::TokenUses,
    readiness: readiness::Readiness,
    delete_cursor: delete_queue::DeleteCursor,
    /// What edges have to forget.
    feed: Arc<Feed>,
}

/// Where blocking work runs, one pool a kind of work.
#[derive(Debug, Clone)]
pub struct Pools {
    /// Single rows of metadata, which may have to come from the disk. Apart from scans, which must not hold them up.
    pub lookup: BlockingPool,
    /// Scans of metadata.
    pub metadata: BlockingPool,
    /// Decoding and encoding for renditions.
    pub imaging: Decoders,
    /// The same for formats that take many times as long, apart from those that somebody waits for.
    pub slow: Decoders,
    /// What previews of new photos are made on: nobody waits for them, and everything else comes first.
    pub previews: Decoders,
    /// What uploads are looked at on. Apart from renditions, which must not hold them up.
    pub inspecting: Decoders,
}

/// Where what is made from photos is kept.
#[derive(Debug)]
pub struct Derived {
    /// Previews, beside the blobs.
    pub previews: Arc<dyn DerivedStore>,
    /// Renditions, on a disk of this server's alone; `None`: in memory only.
    pub cache: Option<RenditionDisk>,
}

/// What the service bounds.
#[derive(Debug, Clone)]
struct Limits {
    config: LimitsConfig,
    /// One permit an upload in progress.
    uploads: Arc<Semaphore>,
    /// And one of its user's share, so that nobody takes all the permits.
    upload_shares: shares::Shares<Owner>,
    /// One permit an original that is open to be downloaded.
    downloads: Arc<Semaphore>,
    /// And one of its user's share.
    download_shares: shares::Shares<Owner>,
    /// Each user's scans of metadata, under way or waiting: nobody's hold up everybody's.
    scan_shares: shares::Shares<Owner>,
    /// One permit an upload whose bytes are whole: its work goes on also where its client has gone.
    keeping: Arc<Semaphore>,
    /// One permit an upload that is read whole to be inspected: one more than can be inspected at
    /// once, so that the next is read meanwhile and the rest wait where they were received.
    inspecting: Arc<Semaphore>,
    /// How long an upload waits to be inspected.
    inspection_wait: Duration,
    /// For the originals that are held whole to be inspected.
    inspect_memory: memory::Memory,
    /// For those of an import, which must not take the memory of uploads.
    import_memory: memory::Memory,
    /// How long a promise of `missing` holds.
    pin_term: Duration,
    /// How long a new token holds whose maker names no time.
    token_expiry: Expiry,
}

impl Services {
    /// Assembles the service. Nothing runs yet.
    pub fn new(metadata: Metadata, blobs: Blobs, derived: Derived, runtime: Runtime, pools: Pools, config: &Config) -> Self {
        let limits = &config.limits;
        let names = names::Names { max_name_bytes: limits.max_name_bytes as usize, max_text_bytes: limits.max_caption_bytes as usize };
        let memory_bytes = limits.decode_memory_bytes.as_u64();
        let limits = Limits {
            uploads: Arc::new(Semaphore::new(limits.max_concurrent_uploads as usize)),
            upload_shares: shares::Shares::new(limits.uploads_per_user() as usize),
            downloads: Arc::new(Semaphore::new(limits.max_concurrent_downloads as usize)),
            download_shares: shares::Shares::new(limits.downloads_per_user() as usize),
            scan_shares: shares::Shares::new(SCANS_OF_ONE),
            keeping: Arc::new(Semaphore::new(limits.max_concurrent_uploads as usize)),
            inspecting: Arc::new(Semaphore::new(pools.inspecting.load().limit + 1)),
            inspection_wait: upload::INSPECTION_WAIT,
            inspect_memory: memory::Memory::new(memory_bytes / 2),
            import_memory: memory::Memory::new(memory_bytes / 8),
            pin_term: config.blobs.pin_term,
            token_expiry: config.auth.token_expiry,
            config: limits.clone(),
        };
        let Pools { lookup, metadata: scans, imaging, slow, previews: preview_pool, .. } = pools.clone();
        let stores = Stores { metadata: metadata.clone(), blobs: blobs.clone(), lookup, scans };
        let catalogue = Arc::new(stores.clone());
        let rendition_pools = RenditionPools { imaging, slow, previews: preview_pool };
        let renditions = RenditionService::new(catalogue, derived.previews, derived.cache, runtime.clone(), rendition_pools, config);
        let renditions = Arc::new(renditions);
        let (token_uses, readiness) = (auth::TokenUses::default(), readiness::Readiness::default());
        let delete_cursor = delete_queue::DeleteCursor::default();
        let feed = Arc::new(Feed::new(&runtime.random));
        metadata.observe_changes(feed.clone());
        Self { metadata, blobs, stores, runtime, pools, limits, names, renditions, token_uses, readiness, delete_cursor, feed }
    }

    /// Renditions.
    pub fn renditions(&self) -> &Arc<RenditionService> {
        &self.renditions
    }

    /// The store of metadata, for the parts that stand beside the service (maintenance, metrics).
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The store of blobs, likewise.
    pub fn blobs(&self) -> &Blobs {
        &self.blobs
    }

    /// Runs a read of this user's that may take a while, as [`Services::read`] does; `Busy` where very many of the user's run or wait.
    async fn read_of<T: Send + 'static>(
        &self,
        owner: Owner,
        read: impl FnOnce(&Snapshot) -> Result<T, ServiceError> + Send + 'static,
    ) -> Result<T, ServiceError> {
        let Some(_share) = self.limits.scan_shares.take(owner) else {
            return Err(ServiceError::Busy("too many lists and questions of this user at once"));
        };
        self.read(read).await
    }

    /// Runs a read that may take a while off the async threads.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Snapshot) -> Result<T, ServiceError> + Send + 'static,
    ) -> Result<T, ServiceError> {
        self.stores.read(read).await
    }

    /// Looks up a few rows: on this thread where all of them lie in memory; else, once more, on one that may wait for the disk.
    async fn look_up<T: Send + 'static>(
        &self,
        look: impl Fn(&Snapshot) -> Result<T, ServiceError> + Send + 'static,
    ) -> Result<T, ServiceError> {
        self.stores.look_up(look).await
    }
}
