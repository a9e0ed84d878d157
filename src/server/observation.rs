//! Feeds the metrics: what HTTP, the blob store and the metadata writer report, and what stands when they are scraped.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Semaphore;

use super::backend::Backend;
use super::metrics::{
    BackendReading, BlobCall, BlobFault, DecoderReading, EdgeReading, EngineReading, Metrics, MirrorReading, QueueReading, Readings,
    RenditionDiskReading, RenditionOutcome as RenditionMetric, RequestEnd, SiteReading, SpooledReading, UploadOutcome as UploadMetric,
};
use super::mirror::Mirror;
use crate::blobs::{BlobError, BlobStore, DiskStore, ObservedCall, StoreObserver, Usage};
use crate::edge::{Edge, EdgeFigures};
use crate::http::{ObservedRequest, Observer, RenditionOutcome, UploadOutcome};
use crate::imaging::Decoders;
use crate::maintenance::{ColdFigures, Healer};
use crate::metadata::{Metadata, Read, RequestOutcome, WriteObserver};
use crate::runtime::{self, BlockingPool, Shutdown};
use crate::service::{DiskFigures, Load, RenditionLoad, RenditionService, Services};

/// How long a scrape waits for what a device has to say.
const READING_WAIT: Duration = Duration::from_secs(2);

/// The server's observer: what happens is counted, what stands is read at each scrape.
#[derive(Debug)]
pub(super) struct Observation {
    pub(super) metrics: Metrics,
    pub(super) standing: Box<dyn Standing>,
}

/// Who knows what stands.
#[async_trait]
pub(super) trait Standing: Send + Sync + Debug {
    async fn readings(&self) -> Readings;
}

/// A site.
#[derive(Debug)]
pub(super) struct SiteStanding {
    pub(super) services: Arc<Services>,
    pub(super) metadata: Metadata,
    pub(super) backend: Arc<dyn BlobStore>,
    /// The same, below what decorates it.
    pub(super) undecorated: Backend,
    /// Where metadata is read.
    pub(super) pool: BlockingPool,
    /// All pools, for their load, and what metrics call the queue of each.
    pub(super) pools: Vec<(&'static str, BlockingPool)>,
    /// Who decodes, and what metrics call each.
    pub(super) decoders: Vec<(&'static str, Decoders)>,
    pub(super) shutdown: Shutdown,
    /// Whoever has it may ask the backend how full it is.
    pub(super) usage_turn: Arc<Semaphore>,
    /// What came of recompressing photos.
    pub(super) cold: Arc<ColdFigures>,
    pub(super) healer: Healer,
    /// Where there is one.
    pub(super) mirror: Option<Mirror>,
}

impl StoreObserver for Metrics {
    fn called(&self, call: &ObservedCall<'_>) {
        let fault = call.error.map(|error| match error {
            BlobError::NotFound => BlobFault::NotFound,
            BlobError::NoSpace => BlobFault::NoSpace,
            BlobError::Unavailable { .. } | BlobError::Suspect { .. } | BlobError::Away | BlobError::Busy | BlobError::Closed => {
                BlobFault::Unavailable
            }
            BlobError::Damaged { .. } => BlobFault::Damaged,
            BlobError::ClaimLost { .. } | BlobError::InUse { .. } => BlobFault::NotOurs,
            BlobError::Refused { .. } | BlobError::Panicked | BlobError::Internal { .. } => BlobFault::Other,
        });
        self.blob_call(BlobCall { operation: call.operation.as_str(), duration: call.elapsed, bytes: call.bytes, fault });
    }
}

impl WriteObserver for Metrics {
    fn request(&self, outcome: RequestOutcome) {
        self.metadata_request(outcome.as_str());
    }

    fn batch(&self, requests: usize, elapsed: Duration, written: bool) {
        self.metadata_commit(requests, elapsed, written);
    }
}

#[async_trait]
impl Observer for Observation {
    fn begins(&self, route: &str, method: &http::Method) {
        self.metrics.request_begins(route, method);
    }

    fn ended(&self, request: &ObservedRequest<'_>) {
        self.metrics.request_ended(&RequestEnd {
            route: request.route,
            method: request.method,
            status: request.status.map(|status| status.as_u16()),
            duration: request.elapsed,
            received_bytes: request.received_bytes,
            sent_bytes: request.sent_bytes,
        });
    }

    fn upload(&self, outcome: UploadOutcome) {
        self.metrics.upload(match outcome {
            UploadOutcome::Stored { size_bytes } => UploadMetric::New { size_bytes },
            UploadOutcome::Deduplicated { size_bytes } => UploadMetric::Known { size_bytes },
            UploadOutcome::Linked { size_bytes } => UploadMetric::Linked { size_bytes },
            UploadOutcome::Existing { size_bytes } => UploadMetric::Duplicate { size_bytes },
            UploadOutcome::Refused(reason) => UploadMetric::Refused { reason },
        });
    }

    fn rendition(&self, outcome: RenditionOutcome) {
        self.metrics.rendition(match outcome {
            RenditionOutcome::Hot => RenditionMetric::Hot,
            RenditionOutcome::Cached => RenditionMetric::Hit,
            RenditionOutcome::Disk => RenditionMetric::Disk,
            RenditionOutcome::Joined => RenditionMetric::Joined,
            RenditionOutcome::Rendered(duration) => RenditionMetric::Rendered { duration },
            RenditionOutcome::Refused(reason) => RenditionMetric::Refused { reason },
        });
    }

    async fn render(&self) -> (&'static str, String) {
        let readings = self.standing.readings().await;
        (Metrics::CONTENT_TYPE, self.metrics.encode(&readings))
    }
}

#[async_trait]
impl Standing for SiteStanding {
    async fn readings(&self) -> Readings {
        let metadata = self.metadata.clone();
        let read = self.pool.run(move || (metadata.read().stats().ok(), metadata.engine_figures())).await;
        let (stats, figures) = read.unwrap_or_default();
        let site = stats.map(|stats| SiteReading {
            photos: stats.photos,
            albums: stats.albums,
            users: stats.users,
            blobs: stats.blobs,
            logical_bytes: stats.logical_bytes,
            stored_bytes: stats.stored_bytes,
            doomed_copies: stats.doomed,
            pins: stats.pins,
            cold_blobs: stats.cold.blobs,
            cold_original_bytes: stats.cold.original_bytes,
            cold_stored_bytes: stats.cold.stored_bytes,
        });
        // On a disk that hangs they would wait as long, and the next scrape behind them.
        let usage = runtime::timeout(READING_WAIT, self.usage());
        let (usage, ready) = futures_util::join!(usage, runtime::timeout(READING_WAIT, self.services.ready()));
        let usage = usage.flatten();
        let load = self.services.load();
        let disk = self.undecorated.disk();
        Readings {
            queues: self.queues(load),
            decoders: decoders(&self.decoders),
            engine: figures.iter().map(|(name, value)| engine(name, *value)).collect(),
            site,
            sync_failures: disk.map_or(0, DiskStore::sync_failures),
            hold_bytes: disk.map_or((0, 0), DiskStore::hold_bytes),
            backend_away: self.undecorated.is_away(),
            spooled: Some(spooled(&*self.backend)),
            backend: usage.map(|usage| BackendReading { size_bytes: usage.total_bytes, free_bytes: usage.free_bytes }),
            cold: self.cold.outcomes(),
            cold_saved_bytes: Some(self.cold.saved_bytes()),
            healing: self.healer.figures().outcomes(),
            to_repair: Some(self.healer.queue().len() as u64),
            heal_braked: self.healer.figures().is_braked(),
            mirror: self.mirror.as_ref().map(|mirror| MirrorReading { missed: mirror.status().missed, is_whole: mirror.is_whole() }),
            copies_in_flight: Some(self.metadata.copies_in_flight() as u64),
            ready: !self.shutdown.is_stopping() && ready.is_some_and(|ready| ready.is_ok()),
            ..renditions(load.renditions)
        }
    }
}

/// What waits before the backend; nothing where nothing can.
fn spooled(backend: &dyn BlobStore) -> SpooledReading {
    let waiting = backend.backlog().map(|backlog| backlog.figures()).unwrap_or_default();
    SpooledReading { copies: waiting.copies, bytes: waiting.bytes, oldest: waiting.oldest.unwrap_or_default() }
}

impl SiteStanding {
    /// One at a time, however many ask: a disk that hangs takes one thread for it, not one for every scrape.
    async fn usage(&self) -> Option<Usage> {
        let turn = self.usage_turn.clone().acquire_owned().await.ok()?;
        let backend = self.backend.clone();
        let asked = runtime::spawn_joined(async move {
            let usage = backend.usage().await;
            drop(turn);
            usage
        });
        asked.await.ok()?.ok().flatten()
    }

    fn queues(&self, load: Load) -> Vec<QueueReading> {
        let (waiting, limit) = self.metadata.queue();
        let mut queues = vec![
            QueueReading { queue: "metadata", waiting: Some(waiting as u64), waiting_limit: Some(limit as u64), ..QueueReading::default() },
            QueueReading {
                queue: "uploads",
                running: Some(load.uploads_running),
                running_limit: Some(load.uploads_limit),
                ..QueueReading::default()
            },
            QueueReading {
                queue: "downloads",
                running: Some(load.downloads_running),
                running_limit: Some(load.downloads_limit),
                ..QueueReading::default()
            },
        ];
        queues.extend(render_queues(load.renditions));
        queues.extend(pools(&self.pools));
        queues
    }
}

/// An edge.
#[derive(Debug)]
pub(super) struct EdgeStanding {
    pub(super) renditions: Arc<RenditionService>,
    pub(super) edge: Edge,
    pub(super) pools: Vec<(&'static str, BlockingPool)>,
    pub(super) decoders: Vec<(&'static str, Decoders)>,
    pub(super) shutdown: Shutdown,
}

#[async_trait]
impl Standing for EdgeStanding {
    async fn readings(&self) -> Readings {
        let load = self.renditions.load();
        let EdgeFigures { silence, answers, asked, revoked, joined } = self.edge.figures();
        Readings {
            queues: render_queues(load).chain(pools(&self.pools)).collect(),
            decoders: decoders(&self.decoders),
            edge: Some(EdgeReading { silence, answers, asked, revoked, joined }),
            ready: !self.shutdown.is_stopping() && self.edge.ready().is_ok(),
            ..renditions(load)
        }
    }
}

/// What there is to say of renditions.
fn renditions(load: RenditionLoad) -> Readings {
    let previews = load.previews;
    Readings {
        rendition_cache_bytes: Some(load.cached_bytes),
        previews: [
            ("prepared", previews.prepared),
            ("made", previews.made),
            ("failed", previews.failed),
            ("passed_over", previews.passed_over),
        ],
        rendition_disk: load.on_disk.map(rendition_disk),
        ..Readings::default()
    }
}

/// Those that render are among them: the imaging pool says how many.
fn render_queues(load: RenditionLoad) -> impl Iterator<Item = QueueReading> {
    let queues = [
        ("renders", load.renders_waiting, load.renders_limit),
        ("slow_renders", load.slow_renders_waiting, load.slow_renders_limit),
        ("previews", load.previews.waiting, load.previews.limit),
    ];
    queues.into_iter().map(|(queue, waiting, limit)| QueueReading {
        queue,
        waiting: Some(waiting),
        waiting_limit: Some(limit),
        ..QueueReading::default()
    })
}

fn pools(pools: &[(&'static str, BlockingPool)]) -> impl Iterator<Item = QueueReading> {
    pools.iter().map(|(queue, pool)| {
        let load = pool.load();
        QueueReading {
            queue,
            waiting: Some(load.waiting as u64),
            running: Some(load.running as u64),
            running_limit: Some(load.limit as u64),
            ..QueueReading::default()
        }
    })
}

/// Of those that decode in processes.
fn decoders(all: &[(&'static str, Decoders)]) -> Vec<DecoderReading> {
    let read = |(pool, decoders): &(&'static str, Decoders)| {
        let (started, lost) = decoders.processes()?;
        Some(DecoderReading { pool, started, lost })
    };
    all.iter().filter_map(read).collect()
}

fn rendition_disk(figures: DiskFigures) -> RenditionDiskReading {
    let DiskFigures { entries, bytes, max_bytes, hits, misses, damaged, failed } = figures;
    RenditionDiskReading {
        entries,
        bytes,
        max_bytes,
        outcomes: [("hit", hits), ("miss", misses), ("damaged", damaged), ("failed", failed)],
    }
}

/// The engine names what is measured in bytes so.
fn engine(name: &'static str, value: u64) -> EngineReading {
    match name.strip_suffix("_bytes") {
        Some(property) => EngineReading::Bytes { property, value },
        None => EngineReading::Items { property: name, value },
    }
}
