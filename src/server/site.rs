//! A site's parts, put together from the settings.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::backend::{Backend, Opener};
use super::beside::Beside;
use super::claim::Claim;
use super::maintenance::SiteMaintenance;
use super::metrics::Metrics;
use super::mirror::{self, Mirror, MirrorParts};
use super::moving::{Mover, MoverParts, Whereabouts};
use super::observation::{Observation, SiteStanding};
use super::{ServerError, admin_token, cold};
use crate::blobs::{BlobStore, ColdStore, DiskPools, MovableStore, ObservedStore, VerifySettings, VerifyStore, make_directory_durably};
use crate::config::Config;
use crate::imaging::{Decoders, Priority};
use crate::maintenance::{ColdJob, HealQueue, Healer, HealerParts};
use crate::metadata::rocks::{RocksEngine, RocksSettings};
use crate::metadata::{Metadata, MetadataError, MetadataSettings};
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
    undecorated: Backend,
    /// The claim under which it collects.
    claim: Claim,
    /// What repairs copies.
    healer: Healer,
    /// What keeps the mirror, where there is one.
    mirror: Option<Mirror>,
    /// What moves its blobs, until somebody has it.
    mover: Mutex<Option<MoverParts>>,
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
    /// What recompresses photos.
    cold: ColdJob,
    metrics: Metrics,
}

impl Site {
    /// Opens or makes the site of these settings.
    pub(super) async fn open(config: &Config, runtime: &Runtime) -> Result<Self, ServerError> {
        let (given, whereabouts) = (config.clone(), Whereabouts::find(config)?);
        let config = &whereabouts.config.clone();
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
        let opener = Opener::of(&metadata)?;
        let (undecorated, marker) = Backend::open(config, runtime, opener, disk_pools.clone()).await?;
        let (claim, home) = (Claim::new(marker), undecorated.home());
        undecorated.keep_destaging(config, runtime, opener, disk_pools.clone(), claim.clone());
        let movable = MovableStore::new(home.clone());
        let place = mirror::Place::find(&given, &whereabouts)?;
        if let Some(place) = &place {
            place.await_it(&movable, &home);
        }
        let queue = Arc::<HealQueue>::default();
        let healer = Healer::new(HealerParts {
            metadata: metadata.clone(),
            store: movable.clone(),
            reading: metadata_pool.clone(),
            clock: runtime.clock.clone(),
            queue: queue.clone(),
            max_per_hour: given.mirror.heal_per_hour,
        });
        // Measured below the checking, so that what checking reads is counted too.
        let observed = ObservedStore::new(movable.clone(), runtime.clock.clone(), Arc::new(metrics.clone()));
        let decoding_pool = BlockingPool::new("decoding", cores());
        let backend: Arc<dyn BlobStore> =
            Arc::new(ColdStore::new(observed, decoding_pool.clone(), config.cold.decode_memory_bytes.as_u64()));
        let remember = VerifySettings { remember: config.blobs.verify_remember, capacity: u64::from(config.blobs.verify_remember_copies) };
        let verified = VerifyStore::new(backend.clone(), runtime.clock.clone(), remember).reporting_to(queue);
        let verified = Arc::new(verified.keeping_trees_in(Arc::new(movable.clone())));
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
        let derived = Derived { previews: Arc::new(movable.clone()), cache: Some(rendition_disk.clone()) };
        let services = Arc::new(Services::new(metadata.clone(), verified.clone(), derived, runtime.clone(), pools, config));
        let beside =
            Beside { config: given, runtime: runtime.clone(), metadata: metadata.clone(), claim: claim.clone(), pools: disk_pools };
        let mirror = place.map(|place| {
            let (beside, store, home, healer) = (beside.clone(), movable.clone(), home.clone(), healer.clone());
            Mirror::new(MirrorParts { place, beside, store, home, healer, reading: metadata_pool.clone() })
        });
        let mirror = mirror.transpose()?;
        let parts = MoverParts { whereabouts, beside, store: movable, home, healer: healer.clone(), reading: metadata_pool.clone() };
        admin_token::ensure(&services, data).await?;
        let cold = cold::job(config, runtime, &metadata, verified, &metadata_pool, &services);
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
            ("pool_decoding", decoding_pool),
            ("pool_recompressing", cold.encoding.clone()),
        ];
        Ok(Self {
            services,
            metadata,
            backend,
            undecorated,
            claim,
            healer,
            mirror,
            mover: Mutex::new(Some(parts)),
            pool: metadata_pool,
            pools,
            decoders: all_decoders,
            checks,
            rendition_disk,
            cold,
            metrics,
        })
    }

    /// The claim under which this site collects.
    pub(super) fn claim(&self) -> Claim {
        self.claim.clone()
    }

    /// What moves its blobs; once only.
    pub(super) fn mover(&self, shutdown: Shutdown) -> Result<Mover, ServerError> {
        let parts = self.mover.lock().unwrap_or_else(PoisonError::into_inner).take();
        let parts = parts.ok_or_else(|| ServerError::Unsupported("a second mover of one site".to_owned()))?;
        Ok(Mover::new(parts, shutdown))
    }

    /// Repairs what is found bad, and keeps the mirror, until the stop begins.
    pub(super) fn keep_whole(&self, shutdown: Shutdown) -> impl Future<Output = ()> + Send + use<> {
        let healing = self.healer.clone().run(shutdown.clone());
        let keeping = self.mirror.clone().map(|mirror| mirror.run(shutdown));
        async move {
            let keeping = async {
                if let Some(keeping) = keeping {
                    keeping.await;
                }
            };
            futures_util::join!(healing, keeping);
        }
    }

    /// What recompresses photos.
    pub(super) fn cold(&self) -> ColdJob {
        self.cold.clone()
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
            undecorated: self.undecorated.clone(),
            pool: self.pool.clone(),
            pools: self.pools.clone(),
            decoders: self.decoders.clone(),
            shutdown,
            usage_turn: Arc::new(Semaphore::new(1)),
            cold: self.cold.figures.clone(),
            healer: self.healer.clone(),
            mirror: self.mirror.clone(),
        };
        Observation { metrics: self.metrics.clone(), standing: Box::new(standing) }
    }

    /// The long work that HTTP may start, until the stop begins.
    pub(super) fn maintenance(&self, mover: Mover, shutdown: Shutdown) -> SiteMaintenance {
        SiteMaintenance::new(self.metadata.clone(), self.backend.clone(), self.checks.clone(), Some(mover), shutdown)
            .with_mirror(self.mirror.clone())
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
