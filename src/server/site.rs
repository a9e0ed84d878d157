//! A site's parts, put together from the settings.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::maintenance::SiteMaintenance;
use super::metrics::Metrics;
use super::observation::{Observation, SiteStanding};
use super::{ServerError, admin_token};
use crate::blobs::{
    BlobError, BlobStore, DiskPools, DiskSettings, DiskStore, FilerSettings, Marker, ObservedStore, VerifySettings, VerifyStore,
    make_directory_durably, path as blob_path,
};
use crate::config::{BlobsUrl, Config};
use crate::imaging::{Decoders, Priority};
use crate::metadata::rocks::{RocksEngine, RocksSettings};
use crate::metadata::{Metadata, MetadataError, MetadataSettings, Read};
use crate::runtime::{self, BlockingPool, Runtime, Shutdown, THIS_PROGRAM, cores};
use crate::service::{Derived, DiskThreads, Pools, RenditionDisk, ServiceError, Services};

/// RocksDB's directory under the data directory.
pub(super) const METADATA_DIR: &str = "metadata";

/// Threads that read renditions on disk, and as many that write them.
const RENDITION_THREADS: usize = 4;

/// An open site.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) services: Arc<Services>,
    metadata: Metadata,
    backend: Arc<dyn BlobStore>,
    /// The same, below what decorates it.
    disk: DiskStore,
    /// As it stood when the backend was opened.
    marker: Marker,
    /// Where metadata is read.
    pool: BlockingPool,
    /// All pools, and what metrics call the queue of each.
    pools: Vec<(&'static str, BlockingPool)>,
    /// Who decodes, and what metrics call each.
    decoders: Vec<(&'static str, Decoders)>,
    /// Where checks run.
    checks: BlockingPool,
    /// What is still to be written there is waited for at the stop.
    rendition_disk: RenditionDisk,
    metrics: Metrics,
}

impl Site {
    /// Opens or makes the site of these settings.
    pub(super) async fn open(config: &Config, runtime: &Runtime) -> Result<Self, ServerError> {
        let data = &config.storage.data;
        // Both names: RocksDB syncs what lies in its directory, not the directory's own name.
        make_private_dir(&data.join(METADATA_DIR))?;
        let metadata_pool = BlockingPool::new("metadata", config.metadata.read_threads as usize);
        let lookup_pool = BlockingPool::new("lookup", config.metadata.read_threads as usize);
        let metrics = Metrics::new(runtime.clock.unix_ms());
        let metadata = open_metadata(config, runtime, &metadata_pool).await?;
        metadata.observe(Arc::new(metrics.clone()));
        let blobs_pool = BlockingPool::new("blobs", config.blobs.io_threads as usize);
        let hashing_pool = BlockingPool::new("hashing", cores());
        let verifying_pool = BlockingPool::new("verifying", (config.blobs.io_threads as usize / 2).max(1));
        let disk_pools = DiskPools { io: blobs_pool.clone(), verifying: verifying_pool.clone(), hashing: hashing_pool.clone() };
        let (disk, marker) = open_backend(config, runtime, &metadata, disk_pools).await?;
        // Measured below the checking, so that what checking reads is counted too.
        let backend: Arc<dyn BlobStore> = Arc::new(ObservedStore::new(disk.clone(), runtime.clock.clone(), Arc::new(metrics.clone())));
        let remember = VerifySettings { remember: config.blobs.verify_remember, capacity: u64::from(config.blobs.verify_remember_copies) };
        let verified = VerifyStore::new(backend.clone(), runtime.clock.clone(), remember);
        let imaging_pool = BlockingPool::new("imaging", renders_at_once(config.renditions.concurrency));
        let inspecting_pool = BlockingPool::new("inspecting", cores());
        let slow_pool = BlockingPool::new("slow imaging", (renders_at_once(config.renditions.concurrency) / 2).max(1));
        let previews_pool = BlockingPool::new("previews", (renders_at_once(config.renditions.concurrency) / 2).max(1));
        let imaging = decoders(config, &imaging_pool, Priority::Awaited)?;
        let inspecting = decoders(config, &inspecting_pool, Priority::Awaited)?;
        let slow = decoders(config, &slow_pool, Priority::Slow)?;
        let previews = decoders(config, &previews_pool, Priority::Background)?;
        let all_decoders = vec![
            ("imaging", imaging.clone()),
            ("slow_imaging", slow.clone()),
            ("previews", previews.clone()),
            ("inspecting", inspecting.clone()),
        ];
        let pools = Pools { lookup: lookup_pool.clone(), metadata: metadata_pool.clone(), imaging, slow, previews, inspecting };
        let rendition_threads = rendition_threads();
        let rendition_disk = open_rendition_disk(config, runtime, &rendition_threads).await;
        let derived = Derived { previews: Arc::new(disk.clone()), cache: Some(rendition_disk.clone()) };
        let services = Arc::new(Services::new(metadata.clone(), Arc::new(verified), derived, runtime.clone(), pools, config));
        admin_token::ensure(&services, data).await?;
        let checks = BlockingPool::new("check", 1);
        let pools = vec![
            ("pool_lookup", lookup_pool),
            ("pool_metadata", metadata_pool.clone()),
            ("pool_blobs", blobs_pool),
            ("pool_hashing", hashing_pool),
            ("pool_imaging", imaging_pool),
            ("pool_slow_imaging", slow_pool),
            ("pool_previews", previews_pool),
            ("pool_inspecting", inspecting_pool),
            ("pool_renditions", rendition_threads.writing),
            ("pool_rendition_reads", rendition_threads.reading),
            ("pool_verifying", verifying_pool),
            ("pool_check", checks.clone()),
        ];
        Ok(Self {
            services,
            metadata,
            backend,
            disk,
            marker,
            pool: metadata_pool,
            pools,
            decoders: all_decoders,
            checks,
            rendition_disk,
            metrics,
        })
    }

    /// The claim under which this site collects.
    pub(super) fn marker(&self) -> Marker {
        self.marker
    }

    /// How many previews are made at once.
    pub(super) fn previews_at_once(&self) -> usize {
        self.services.renditions().previews_at_once()
    }

    /// What feeds the metrics.
    pub(super) fn observation(&self, shutdown: Shutdown) -> Observation {
        let standing = SiteStanding {
            services: self.services.clone(),
            metadata: self.metadata.clone(),
            backend: self.backend.clone(),
            disk: self.disk.clone(),
            pool: self.pool.clone(),
            pools: self.pools.clone(),
            decoders: self.decoders.clone(),
            shutdown,
            usage_turn: Arc::new(Semaphore::new(1)),
        };
        Observation { metrics: self.metrics.clone(), standing: Box::new(standing) }
    }

    /// The long work that HTTP may start, until the stop begins.
    pub(super) fn maintenance(&self, shutdown: Shutdown) -> SiteMaintenance {
        SiteMaintenance::new(self.metadata.clone(), self.backend.clone(), self.checks.clone(), shutdown)
    }

    /// Waits for what runs beside the requests and is about to end, closes metadata, and waits for all blocking work that was begun, but for
    /// all of it no longer than `limit`; nothing else may write any more.
    pub(super) async fn close(self, beside: impl Future<Output = ()>, limit: Duration) {
        let closing = async {
            beside.await;
            // The writer ends what it is at, which a disk that hangs may hold up.
            let metadata = self.metadata.clone();
            let _ = self.pool.run(move || metadata.close()).await;
            self.rendition_disk.settle().await;
            for (_, pool) in &self.pools {
                pool.close().await;
            }
        };
        if runtime::timeout(limit, closing).await.is_none() {
            tracing::warn!("work on a disk or a picture does not end; it is left behind");
        }
    }
}

/// Opens metadata off the async threads: RocksDB may have a log to replay.
pub(super) async fn open_metadata(config: &Config, runtime: &Runtime, pool: &BlockingPool) -> Result<Metadata, ServerError> {
    let settings = &config.metadata;
    let rocks = RocksSettings {
        cache_bytes: settings.block_cache_bytes.as_usize(),
        write_buffer_bytes: settings.write_buffer_bytes.as_usize(),
        write_buffers_total_bytes: settings.write_buffers_total_bytes.as_usize(),
        open_files: i32::try_from(settings.max_open_files).unwrap_or(i32::MAX),
        ..RocksSettings::default()
    };
    let writer = MetadataSettings {
        group_limit: settings.group_limit as usize,
        queue_limit: settings.queue_limit as usize,
        ..MetadataSettings::default()
    };
    let (path, runtime) = (config.storage.data.join(METADATA_DIR), runtime.clone());
    let opened = pool.run(move || -> Result<Metadata, MetadataError> {
        let engine = RocksEngine::open(&path, &rocks)?;
        Metadata::open(Arc::new(engine), runtime, writer)
    });
    Ok(opened.await.map_err(ServiceError::from)??)
}

/// Threads for the cache of renditions on disk.
pub(super) fn rendition_threads() -> DiskThreads {
    DiskThreads {
        reading: BlockingPool::new("rendition reads", RENDITION_THREADS),
        writing: BlockingPool::new("renditions", RENDITION_THREADS),
    }
}

/// Opens the cache of renditions on disk. A site that cannot have it makes them anew, and removes what lies there all the same.
pub(super) async fn open_rendition_disk(config: &Config, runtime: &Runtime, threads: &DiskThreads) -> RenditionDisk {
    let (directory, max_bytes) = (config.renditions.disk_directory(&config.storage.data), config.renditions.disk_bytes.as_u64());
    if max_bytes > 0 {
        match RenditionDisk::open(&directory, max_bytes, threads.clone(), runtime.clock.clone()).await {
            Ok(disk) => return disk,
            Err(error) => {
                let directory = directory.display();
                tracing::warn!(%error, %directory, "no renditions are kept on disk: they are made anew after a restart");
            }
        }
    }
    RenditionDisk::closed(&directory, threads.clone(), runtime.clock.clone())
}

/// Opens the blob backend and claims it: a backend of another site is refused, and nothing in it is removed. Gives the claim that stands.
async fn open_backend(
    config: &Config,
    runtime: &Runtime,
    metadata: &Metadata,
    pools: DiskPools,
) -> Result<(DiskStore, Marker), ServerError> {
    let site = metadata.site();
    let root = backend_root(config)?;
    // A site that has blobs must find its store: a disk that was not mounted is an error, not an empty one.
    let blobs = metadata.read().stats()?.blobs;
    let hold_bytes = config.blobs.hold_memory_bytes.as_usize();
    let settings = DiskSettings { create: blobs == 0, hold_bytes, filer: filer_settings(config), ..DiskSettings::default() };
    let store = DiskStore::open(&root, runtime.clone(), pools, settings).await?;
    let marker = match store.marker().await? {
        Some(marker) if marker.site == site => marker,
        Some(marker) => {
            return Err(ServerError::NotOurs(format!(
                "{} belongs to the site {}, this is {site}: the metadata beside it is not its own",
                root.display(),
                marker.site
            )));
        }
        // Claimed before its first blob: so somebody took the marker away, or this is another directory than it was.
        None if blobs > 0 || store.was_used().await? => {
            return Err(ServerError::NotOurs(format!(
                "{} has no {}, though blobs were put there, or this site ({site}, {blobs} blobs) has put some somewhere: it may be another \
                 site's, or a copy in part. See \"A missing marker\" in docs/operating.md",
                root.display(),
                blob_path::MARKER
            )));
        }
        None => {
            let marker = Marker { site, epoch: 1 };
            store.claim(None, marker).await?;
            marker
        }
    };
    // Only now: in another site's store this would be another's uploads.
    store.sweep().await?;
    if config.blobs.directories_ahead {
        prepare(&store).await;
    }
    Ok((store, marker))
}

/// Makes the store's directories, as far as that goes: a site that cannot have all of them ahead still has photos to serve.
async fn prepare(store: &DiskStore) {
    match store.prepare().await {
        Ok(Some(0)) => {}
        Ok(Some(made)) => tracing::info!(made, "made the blob store's directories"),
        Ok(None) | Err(BlobError::NoSpace) => {
            tracing::info!(
                "the blob store's directories are not made ahead (too little room, or a filer): each is made when it is first needed"
            );
        }
        Err(error) => {
            tracing::warn!(%error, "the blob store's directories could not all be made ahead: each is made when it is first needed")
        }
    }
}

/// What decodes on the threads of a pool: processes that can do no harm, where the settings do not say otherwise.
pub(super) fn decoders(config: &Config, pool: &BlockingPool, priority: Priority) -> Result<Decoders, ServerError> {
    let limits = &config.limits;
    if !limits.isolate_decoders {
        return Ok(Decoders::in_threads(pool.clone(), limits.into()));
    }
    let max_photo_bytes = limits.max_upload_bytes.as_u64();
    let program = Path::new(THIS_PROGRAM);
    let started = Decoders::in_processes(program, pool.clone(), limits.into(), max_photo_bytes, limits.max_decode_time, priority);
    let (decoders, by_landlock) = started.map_err(ServerError::Decoders)?;
    if !by_landlock {
        tracing::info!("this kernel has no Landlock: decoders are confined by seccomp alone");
    }
    Ok(decoders)
}

/// As set; 0: one a core.
pub(super) fn renders_at_once(concurrency: u32) -> usize {
    if concurrency == 0 { cores() } else { concurrency as usize }
}

/// How the blob store lives with a filer, where it lies on one.
pub(super) fn filer_settings(config: &Config) -> Option<FilerSettings> {
    let is_filer = matches!(config.storage.blobs, BlobsUrl::Nfs(_));
    is_filer.then_some(FilerSettings { deadline: config.nfs.deadline, check_mount: true })
}

/// The directory of the blob store.
pub(super) fn backend_root(config: &Config) -> Result<std::path::PathBuf, ServerError> {
    let unsupported = || ServerError::Unsupported(format!("{}: not in this release; use file:///DIR", config.storage.blobs));
    config.storage.blobs.directory(&config.storage.data).ok_or_else(unsupported)
}

pub(super) fn make_private_dir(path: &Path) -> Result<(), ServerError> {
    make_directory_durably(path).map_err(ServerError::io(path.display().to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_number_there_is_one_render_a_core() {
        assert_eq!(renders_at_once(0), cores());
        assert!(cores() >= 1);
        assert_eq!(renders_at_once(7), 7);
    }

    #[tokio::test]
    async fn nor_does_what_runs_beside_the_requests() {
        let data = tempfile::tempdir().unwrap();
        let config = Config::for_testing(data.path().join("data"));
        let site = Site::open(&config, &Runtime::system()).await.unwrap();
        site.close(std::future::pending(), Duration::from_millis(10)).await;
    }

    #[tokio::test]
    async fn work_that_hangs_does_not_hold_up_the_stop() {
        let data = tempfile::tempdir().unwrap();
        let config = Config::for_testing(data.path().join("data"));
        let site = Site::open(&config, &Runtime::system()).await.unwrap();
        let (release, held) = std::sync::mpsc::channel::<()>();
        let (_, pool) = site.pools[0].clone();
        let mut hanging = Box::pin(pool.run(move || held.recv().is_ok()));
        assert!(futures_util::poll!(&mut hanging).is_pending());
        site.close(std::future::ready(()), Duration::from_millis(10)).await;
        assert!(futures_util::poll!(&mut hanging).is_pending());
        release.send(()).unwrap();
        assert_eq!(hanging.await, Ok(true));
    }
}
