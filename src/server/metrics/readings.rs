//! What stands, as it is read at a scrape.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::register;

/// What whoever answers a scrape has read just before. What is `None` could not be read in time, and stays as it was.
#[derive(Clone, Debug, Default)]
pub struct Readings {
    /// Queues and pools.
    pub queues: Vec<QueueReading>,
    /// Processes that decode photos.
    pub decoders: Vec<DecoderReading>,
    /// Properties of the metadata engine.
    pub engine: Vec<EngineReading>,
    /// What the site holds.
    pub site: Option<SiteReading>,
    /// The file system of the blobs.
    pub backend: Option<BackendReading>,
    /// Syncs of blobs or their names that have failed since the store was opened.
    pub sync_failures: u64,
    /// Whether the backend is known not to answer.
    pub backend_away: bool,
    /// What waits on a local disk to be put to the backend, where that can be.
    pub spooled: Option<SpooledReading>,
    /// Memory that uploads are held in: lent out, and what there is, in bytes.
    pub hold_bytes: (u64, u64),
    /// Bytes in the cache of renditions.
    pub rendition_cache_bytes: Option<u64>,
    /// Previews since the start, by what became of them.
    pub previews: [(&'static str, u64); 4],
    /// Photos since the start by what came of recompressing them.
    pub cold: [(&'static str, u64); 4],
    /// Bytes that it has saved since the start.
    pub cold_saved_bytes: Option<u64>,
    /// Bad copies since the start by what came of them.
    pub healing: [(&'static str, u64); 4],
    /// Bad copies that wait to be looked at.
    pub to_repair: Option<u64>,
    /// Whether too much is wrong to repair any.
    pub heal_braked: bool,
    /// The mirror, where there is one.
    pub mirror: Option<MirrorReading>,
    /// The cache of renditions on disk, where there is one.
    pub rendition_disk: Option<RenditionDiskReading>,
    /// How an edge stands to its sites, where this is one.
    pub edge: Option<EdgeReading>,
    /// Copies that are being written and are not named yet.
    pub copies_in_flight: Option<u64>,
    /// Whether the site is ready.
    pub ready: bool,
}

/// A queue or a pool of threads. What is `None` has no such number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueReading {
    /// Which: `metadata`, `uploads`, `downloads`, `renders`, `slow_renders`, `previews`, or a pool: `pool_blobs`, `pool_check`, `pool_decoding`, `pool_hashing`,
    /// `pool_imaging`, `pool_inspecting`, `pool_lookup`, `pool_metadata`, `pool_previews`, `pool_recompressing`,
    /// `pool_slow_imaging`, `pool_verifying`.
    pub queue: &'static str,
    /// How many wait.
    pub waiting: Option<u64>,
    /// How many may wait before more is refused.
    pub waiting_limit: Option<u64>,
    /// How many are at work.
    pub running: Option<u64>,
    /// How many may be at work at once.
    pub running_limit: Option<u64>,
}

/// The processes of a pool that decodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecoderReading {
    /// Which: `imaging`, `slow_imaging`, `inspecting`.
    pub pool: &'static str,
    /// Started so far.
    pub started: u64,
    /// Of these the ones that died, or were ended, at a photo or while they waited.
    pub lost: u64,
}

/// A property of RocksDB, summed over its columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineReading {
    /// A size in bytes, such as `block_cache` or `wal`.
    Bytes {
        /// Which.
        property: &'static str,
        /// Its value.
        value: u64,
    },
    /// A number of things, such as `running_compactions` or `background_errors`.
    Items {
        /// Which.
        property: &'static str,
        /// Its value.
        value: u64,
    },
}

/// What the site holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SiteReading {
    /// Photos that are not erased.
    pub photos: u64,
    /// Albums.
    pub albums: u64,
    /// Users.
    pub users: u64,
    /// Distinct blobs.
    pub blobs: u64,
    /// Bytes of all photos.
    pub logical_bytes: u64,
    /// Bytes of all blobs.
    pub stored_bytes: u64,
    /// Copies that wait for their deletion: the delete queue.
    pub doomed_copies: u64,
    /// Promises to keep a blob.
    pub pins: u64,
    /// Blobs that are recompressed.
    pub cold_blobs: u64,
    /// Bytes of their originals.
    pub cold_original_bytes: u64,
    /// Bytes of their copies.
    pub cold_stored_bytes: u64,
}

/// A mirror.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MirrorReading {
    /// Copies that it could not take.
    pub missed: u64,
    /// Whether it is there, and has every blob.
    pub is_whole: bool,
}

/// The cache of renditions on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RenditionDiskReading {
    /// Renditions that lie there.
    pub entries: u64,
    /// Their bytes, in whole blocks.
    pub bytes: u64,
    /// More are put out.
    pub max_bytes: u64,
    /// What has come of what was asked of it, since it was opened.
    pub outcomes: [(&'static str, u64); 4],
}

/// How an edge stands to its sites.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EdgeReading {
    /// How long ago a site was heard of; `None`: never.
    pub silence: Option<Duration>,
    /// Answers that are remembered.
    pub answers: u64,
    /// Blobs that were asked of.
    pub asked: u64,
    /// Answers that were revoked.
    pub revoked: u64,
    /// How often a site was joined.
    pub joined: u64,
}

/// What waits on a local disk to be put to the backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpooledReading {
    /// Copies.
    pub copies: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How long the server has known of the one that waits longest.
    pub oldest: Duration,
}

/// The file system of the blobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackendReading {
    /// Its size.
    pub size_bytes: u64,
    /// What is free.
    pub free_bytes: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueueLabels {
    queue: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PoolLabels {
    pool: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DiskLabels {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PropertyLabels {
    property: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

/// A gauge that is not on the page before it was read once: a zero would be a claim.
type OnceRead = Family<[(&'static str, &'static str); 0], Gauge>;

/// The same of times.
type OnceReadSeconds = Family<[(&'static str, &'static str); 0], Gauge<f64, AtomicU64>>;

/// The gauges that readings set.
#[derive(Debug)]
pub(super) struct Gauges {
    waiting: Family<QueueLabels, Gauge>,
    running: Family<QueueLabels, Gauge>,
    waiting_limit: Family<QueueLabels, Gauge>,
    running_limit: Family<QueueLabels, Gauge>,
    decoders_started: Family<PoolLabels, Counter>,
    decoders_lost: Family<PoolLabels, Counter>,
    engine_bytes: Family<PropertyLabels, Gauge>,
    engine_items: Family<PropertyLabels, Gauge>,
    photos: OnceRead,
    albums: OnceRead,
    users: OnceRead,
    blobs: OnceRead,
    logical_bytes: OnceRead,
    stored_bytes: OnceRead,
    doomed_copies: OnceRead,
    pins: OnceRead,
    cold_blobs: OnceRead,
    cold_original_bytes: OnceRead,
    cold_stored_bytes: OnceRead,
    cold_photos: Family<OutcomeLabels, Counter>,
    cold_saved_bytes: Family<[(&'static str, &'static str); 0], Counter>,
    healed_copies: Family<OutcomeLabels, Counter>,
    copies_to_repair: OnceRead,
    heal_braked: Gauge,
    mirror_missed_copies: OnceRead,
    mirror_whole: OnceRead,
    backend_size_bytes: OnceRead,
    backend_free_bytes: OnceRead,
    sync_failures: Gauge,
    backend_away: Gauge,
    spooled_copies: OnceRead,
    spooled_bytes: OnceRead,
    spooled_oldest_seconds: OnceReadSeconds,
    hold_lent_bytes: Gauge,
    hold_limit_bytes: Gauge,
    rendition_cache_bytes: OnceRead,
    previews: Family<OutcomeLabels, Counter>,
    rendition_disk_bytes: OnceRead,
    rendition_disk_limit_bytes: OnceRead,
    rendition_disk_entries: OnceRead,
    rendition_disk_outcomes: Family<DiskLabels, Counter>,
    edge_silence_seconds: OnceReadSeconds,
    edge_answers: OnceRead,
    edge_outcomes: Family<OutcomeLabels, Counter>,
    copies_in_flight: OnceRead,
    ready: Gauge,
}

impl Gauges {
    pub(super) fn register(own: &mut Registry) -> Self {
        Self {
            waiting: register(own, "queue_waiting", "Pieces of work that wait", None),
            running: register(own, "queue_running", "Pieces of work under way", None),
            waiting_limit: register(own, "queue_waiting_limit", "Pieces of work that may wait before more is refused", None),
            running_limit: register(own, "queue_running_limit", "Pieces of work that may be under way at once", None),
            decoders_started: register(own, "decoder_processes_started", "Processes that were started to decode photos", None),
            decoders_lost: register(
                own,
                "decoder_processes_lost",
                "Processes that died, or were ended, at a photo or while they waited",
                None,
            ),
            engine_bytes: register(own, "rocksdb", "Sizes that RocksDB reports, summed over its columns", Some(Unit::Bytes)),
            engine_items: register(own, "rocksdb_items", "Numbers that RocksDB reports, summed over its columns", None),
            photos: register(own, "photos", "Photos that the site holds", None),
            albums: register(own, "albums", "Albums that the site holds", None),
            users: register(own, "users", "Users of the site", None),
            blobs: register(own, "blobs", "Distinct blobs that the site holds", None),
            logical_bytes: register(own, "logical", "Bytes of all photos, each counted as often as it stands in albums", Some(Unit::Bytes)),
            stored_bytes: register(own, "stored", "Bytes of all blobs, each counted once", Some(Unit::Bytes)),
            doomed_copies: register(own, "doomed_copies", "Copies of blobs that wait for their deletion", None),
            pins: register(own, "pins", "Promises to keep a blob until it is linked", None),
            cold_blobs: register(own, "cold_blobs", "Blobs that are recompressed", None),
            cold_original_bytes: register(own, "cold_original", "Bytes of the originals of recompressed blobs", Some(Unit::Bytes)),
            cold_stored_bytes: register(own, "cold_stored", "Bytes that recompressed blobs take", Some(Unit::Bytes)),
            cold_photos: register(
                own,
                "cold_photos",
                "Photos that were looked at to be recompressed, or to be as they were, by what came of it",
                None,
            ),
            cold_saved_bytes: register(own, "cold_saved", "Bytes that recompressing has saved", Some(Unit::Bytes)),
            healed_copies: register(own, "healed_copies", "Copies that were found damaged or gone, by what came of them", None),
            copies_to_repair: register(own, "copies_to_repair", "Copies that were found damaged or gone and wait to be looked at", None),
            heal_braked: register(own, "heal_braked", "Whether too many copies are bad at once to repair any", None),
            mirror_missed_copies: register(own, "mirror_missed_copies", "Copies that the mirror could not take yet", None),
            mirror_whole: register(own, "mirror_whole", "Whether the mirror is there and has every blob: 1 or 0", None),
            backend_size_bytes: register(own, "backend_size", "Size of the blobs' file system", Some(Unit::Bytes)),
            backend_free_bytes: register(own, "backend_free", "Free space on the blobs' file system", Some(Unit::Bytes)),
            sync_failures: register(own, "backend_sync_failures", "Failed syncs of blobs or their names since the store was opened", None),
            backend_away: register(own, "backend_away", "Whether the blob backend is known not to answer", None),
            spooled_copies: register(own, "spooled_copies", "Copies on the local disk that wait to be put to the backend", None),
            spooled_bytes: register(own, "spooled", "Bytes on the local disk that wait to be put to the backend", Some(Unit::Bytes)),
            spooled_oldest_seconds: register(
                own,
                "spooled_oldest",
                "How long the server has known of the copy on the local disk that waits longest",
                Some(Unit::Seconds),
            ),
            hold_lent_bytes: register(own, "hold_lent", "Memory in which uploads are held until they are written", Some(Unit::Bytes)),
            hold_limit_bytes: register(
                own,
                "hold_limit",
                "Memory in which uploads may be held; the others are streamed",
                Some(Unit::Bytes),
            ),
            rendition_cache_bytes: register(own, "rendition_cache", "Memory that finished renditions take", Some(Unit::Bytes)),
            previews: register(
                own,
                "previews",
                "New photos that were prepared for thumbnails, previews that were made, that failed, and photos for which the queue had no place",
                None,
            ),
            rendition_disk_bytes: register(own, "rendition_disk", "Disk that finished renditions take, in whole blocks", Some(Unit::Bytes)),
            rendition_disk_limit_bytes: register(own, "rendition_disk_limit", "Disk that finished renditions may take", Some(Unit::Bytes)),
            rendition_disk_entries: register(own, "rendition_disk_entries", "Finished renditions on disk", None),
            rendition_disk_outcomes: register(
                own,
                "rendition_disk_outcomes",
                "What came of what was asked of the renditions on disk",
                None,
            ),
            edge_silence_seconds: register(own, "edge_silence", "Time since the edge heard of a site last", Some(Unit::Seconds)),
            edge_answers: register(own, "edge_answers", "Photos of which the edge remembers whose they are", None),
            edge_outcomes: register(
                own,
                "edge_outcomes",
                "Photos that the edge asked a site of, answers that the site revoked, and how often a site was joined",
                None,
            ),
            copies_in_flight: register(own, "copies_in_flight", "Copies of blobs that are being written and are not named yet", None),
            ready: register(own, "ready", "Whether the site is ready for requests: 1 or 0", None),
        }
    }

    pub(super) fn set(&self, readings: &Readings) {
        for QueueReading { queue, waiting, waiting_limit, running, running_limit } in &readings.queues {
            let labels = QueueLabels { queue };
            let numbers = [
                (&self.waiting, waiting),
                (&self.waiting_limit, waiting_limit),
                (&self.running, running),
                (&self.running_limit, running_limit),
            ];
            for (family, number) in numbers {
                if let Some(number) = number {
                    set(&family.get_or_create(&labels), *number);
                }
            }
        }
        for DecoderReading { pool, started, lost } in &readings.decoders {
            // They are counted where they are started: here is only what the counts are.
            let labels = PoolLabels { pool };
            self.decoders_started.get_or_create(&labels).inner().store(*started, Ordering::Relaxed);
            self.decoders_lost.get_or_create(&labels).inner().store(*lost, Ordering::Relaxed);
        }
        for reading in &readings.engine {
            match reading {
                EngineReading::Bytes { property, value } => set(&self.engine_bytes.get_or_create(&PropertyLabels { property }), *value),
                EngineReading::Items { property, value } => set(&self.engine_items.get_or_create(&PropertyLabels { property }), *value),
            }
        }
        if let Some(site) = &readings.site {
            set(&self.photos.get_or_create(&[]), site.photos);
            set(&self.albums.get_or_create(&[]), site.albums);
            set(&self.users.get_or_create(&[]), site.users);
            set(&self.blobs.get_or_create(&[]), site.blobs);
            set(&self.logical_bytes.get_or_create(&[]), site.logical_bytes);
            set(&self.stored_bytes.get_or_create(&[]), site.stored_bytes);
            set(&self.doomed_copies.get_or_create(&[]), site.doomed_copies);
            set(&self.pins.get_or_create(&[]), site.pins);
            set(&self.cold_blobs.get_or_create(&[]), site.cold_blobs);
            set(&self.cold_original_bytes.get_or_create(&[]), site.cold_original_bytes);
            set(&self.cold_stored_bytes.get_or_create(&[]), site.cold_stored_bytes);
        }
        if let Some(backend) = &readings.backend {
            set(&self.backend_size_bytes.get_or_create(&[]), backend.size_bytes);
            set(&self.backend_free_bytes.get_or_create(&[]), backend.free_bytes);
        }
        set(&self.sync_failures, readings.sync_failures);
        set(&self.backend_away, u64::from(readings.backend_away));
        if let Some(spooled) = readings.spooled {
            set(&self.spooled_copies.get_or_create(&[]), spooled.copies);
            set(&self.spooled_bytes.get_or_create(&[]), spooled.bytes);
            self.spooled_oldest_seconds.get_or_create(&[]).set(spooled.oldest.as_secs_f64());
        }
        set(&self.hold_lent_bytes, readings.hold_bytes.0);
        set(&self.hold_limit_bytes, readings.hold_bytes.1);
        if let Some(bytes) = readings.rendition_cache_bytes {
            set(&self.rendition_cache_bytes.get_or_create(&[]), bytes);
        }
        for (outcome, count) in readings.previews.into_iter().filter(|(outcome, _)| !outcome.is_empty()) {
            self.previews.get_or_create(&OutcomeLabels { outcome }).inner().store(count, Ordering::Relaxed);
        }
        for (outcome, count) in readings.cold.into_iter().filter(|(outcome, _)| !outcome.is_empty()) {
            self.cold_photos.get_or_create(&OutcomeLabels { outcome }).inner().store(count, Ordering::Relaxed);
        }
        if let Some(bytes) = readings.cold_saved_bytes {
            self.cold_saved_bytes.get_or_create(&[]).inner().store(bytes, Ordering::Relaxed);
        }
        for (outcome, count) in readings.healing.into_iter().filter(|(outcome, _)| !outcome.is_empty()) {
            self.healed_copies.get_or_create(&OutcomeLabels { outcome }).inner().store(count, Ordering::Relaxed);
        }
        if let Some(copies) = readings.to_repair {
            set(&self.copies_to_repair.get_or_create(&[]), copies);
        }
        set(&self.heal_braked, readings.heal_braked.into());
        if let Some(mirror) = &readings.mirror {
            set(&self.mirror_missed_copies.get_or_create(&[]), mirror.missed);
            set(&self.mirror_whole.get_or_create(&[]), mirror.is_whole.into());
        }
        if let Some(disk) = &readings.rendition_disk {
            set(&self.rendition_disk_bytes.get_or_create(&[]), disk.bytes);
            set(&self.rendition_disk_limit_bytes.get_or_create(&[]), disk.max_bytes);
            set(&self.rendition_disk_entries.get_or_create(&[]), disk.entries);
            for (outcome, count) in disk.outcomes {
                self.rendition_disk_outcomes.get_or_create(&DiskLabels { outcome }).inner().store(count, Ordering::Relaxed);
            }
        }
        if let Some(edge) = &readings.edge {
            if let Some(silence) = edge.silence {
                self.edge_silence_seconds.get_or_create(&[]).set(silence.as_secs_f64());
            }
            set(&self.edge_answers.get_or_create(&[]), edge.answers);
            for (outcome, count) in [("asked", edge.asked), ("revoked", edge.revoked), ("joined", edge.joined)] {
                self.edge_outcomes.get_or_create(&OutcomeLabels { outcome }).inner().store(count, Ordering::Relaxed);
            }
        }
        if let Some(copies) = readings.copies_in_flight {
            set(&self.copies_in_flight.get_or_create(&[]), copies);
        }
        set(&self.ready, readings.ready.into());
    }
}

fn set(gauge: &Gauge, value: u64) {
    gauge.set(value.try_into().unwrap_or(i64::MAX));
}
