//! The job over stores in memory, with faults at every step.

use bytes::Bytes;

use super::*;
use crate::blobs::contract::get;
use crate::blobs::{COLD_MAGIC, ColdStore, Digests, MemoryStore, Operation, VerifySettings};
use crate::maintenance::check;
use crate::metadata::memory::MemoryEngine;
use crate::metadata::{Encoding, MetadataSettings, NewBlob, Read};
use crate::model::photo::NewPhoto;
use crate::model::{AlbumId, BlobKey, Owner, PhotoId, TenantId, UserId};
use crate::runtime::shutdown_channel;

const START_MS: u64 = 1_800_000_000_000;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Debug)]
struct Always;

impl Idleness for Always {
    fn is_idle(&self) -> bool {
        true
    }
}

#[derive(Debug)]
struct Never;

impl Idleness for Never {
    fn is_idle(&self) -> bool {
        false
    }
}

struct Site {
    store: MemoryStore,
    metadata: Metadata,
    runtime: Runtime,
    cold: Arc<dyn BlobStore>,
    job: ColdJob,
}

fn photo(name: &str) -> Bytes {
    std::fs::read(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/photos").join(name)).unwrap().into()
}

fn owner(tenant: TenantId, user: u8) -> Owner {
    Owner { tenant, user: UserId::from_bytes([user; 16]) }
}

impl Site {
    async fn new(seed: u64) -> Self {
        let runtime = Runtime::simulated(seed, START_MS);
        let metadata = Metadata::open(Arc::new(MemoryEngine::new()), runtime.clone(), MetadataSettings::default()).unwrap();
        let store = MemoryStore::new();
        store.claim(None, crate::blobs::Marker { site: metadata.site(), epoch: 1 }).await.unwrap();
        let cold: Arc<dyn BlobStore> = Arc::new(ColdStore::new(store.clone(), BlockingPool::new("decoding", 2), 64 << 20));
        let settings = ColdConfig { mode: ColdMode::On, after: 30 * DAY, ..ColdConfig::for_testing() };
        let job = ColdJob {
            metadata: metadata.clone(),
            blobs: Arc::new(VerifyStore::new(cold.clone(), runtime.clock.clone(), VerifySettings::default())),
            runtime: runtime.clone(),
            reading: BlockingPool::new("metadata", 1),
            encoding: BlockingPool::new("recompressing", 1),
            idleness: Arc::new(Always),
            settings,
            figures: Arc::default(),
        };
        Self { store, metadata, runtime, cold, job }
    }

    /// A photo of this owner's, as an upload leaves it.
    async fn upload(&self, owner: Owner, id: u8, bytes: &Bytes, format: &str) -> BlobKey {
        let digests = Digests::of(bytes);
        let in_flight = self.metadata.begin_copy(digests.hash);
        let mut staged = self.store.stage(None).await.unwrap();
        staged.write(bytes.clone()).await.unwrap();
        staged.publish(&in_flight.key()).await.unwrap();
        let blob = NewBlob::raw(in_flight.key(), digests.size_bytes, digests.sha256, digests.crc32);
        let new = NewPhoto {
            hash: digests.hash,
            size_bytes: digests.size_bytes,
            sha256: digests.sha256,
            crc32: digests.crc32,
            format: format.to_owned(),
            width: 1,
            height: 1,
            orientation: 1,
            taken_at: None,
            camera_make: None,
            camera_model: None,
            lens: None,
            gps: None,
            placeholder: None,
            perceptual_hash: None,
        };
        let placing = self.metadata.write("upload", move |tx| {
            tx.replace_blob(&in_flight, blob)?;
            let stamp = tx.stamp();
            tx.apply(new.create(owner, PhotoId::from_bytes([id; 16]), stamp, AlbumId::ROOT, "a.jpg", None))
        });
        placing.await.unwrap();
        blob.key
    }

    fn row(&self, bytes: &Bytes) -> BlobRow {
        self.metadata.read().blob(&BlobHash::of(bytes)).unwrap().unwrap()
    }

    fn is_cold(&self, bytes: &Bytes) -> bool {
        self.row(bytes).encoding != Encoding::Raw
    }

    async fn round(&self) {
        self.job.go_through().await.unwrap();
    }

    /// Whatever has happened: what counts reads as the original, metadata agrees with itself and with what is stored.
    async fn assert_sound(&self, originals: &[&Bytes]) {
        // Copies that were given up are queued with, or before, the next request.
        self.metadata.write("settle", |_| Ok::<_, MetadataError>(())).await.unwrap();
        for bytes in originals {
            assert_eq!(get(&*self.job.blobs, &self.row(bytes).key).await.unwrap(), **bytes);
        }
        let report = check(&self.metadata, &*self.cold, &self.job.reading, true).await.unwrap();
        assert_eq!((report.problems, report.orphans), (0, 0), "{report:?}");
        assert_eq!(self.metadata.copies_in_flight(), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn photos_become_cold_in_their_time_and_what_they_were_again() {
    let mut site = Site::new(1).await;
    let (large, other, picture) = (photo("hubble.jpg"), photo("raccoon.jpg"), photo("chelsea.png"));
    let me = owner(TenantId::DEFAULT, 1);
    let raw = site.upload(me, 1, &large, "jpeg").await;
    site.upload(me, 2, &picture, "png").await;
    site.runtime.clock.advance(20 * DAY);
    site.upload(me, 3, &other, "jpeg").await;
    site.round().await;
    assert!(!site.is_cold(&large), "too young");
    site.runtime.clock.advance(10 * DAY);
    site.round().await;
    let row = site.row(&large);
    assert!(site.is_cold(&large) && !site.is_cold(&other) && !site.is_cold(&picture));
    assert!(row.stored_bytes < row.size_bytes && row.stored_hash.is_some());
    assert!(get(&site.store, &row.key).await.unwrap().starts_with(&COLD_MAGIC));
    assert!(site.metadata.read().is_doomed(&raw).unwrap(), "the raw copy goes through the reaper");
    let cold = site.metadata.read().stats().unwrap().cold;
    assert_eq!((cold.blobs, cold.original_bytes, cold.stored_bytes), (1, row.size_bytes, row.stored_bytes));
    assert_eq!(site.job.figures.saved_bytes(), row.size_bytes - row.stored_bytes);
    site.assert_sound(&[&large, &other, &picture]).await;
    site.round().await;
    assert_eq!(site.row(&large).key, row.key, "once");

    site.job.settings.mode = ColdMode::Undo;
    site.round().await;
    let again = site.row(&large);
    assert_eq!((again.encoding, again.stored_bytes, again.stored_hash), (Encoding::Raw, again.size_bytes, None));
    assert!(again.key != raw && site.metadata.read().is_doomed(&row.key).unwrap(), "a key is named once");
    assert_eq!(site.metadata.read().stats().unwrap().cold, Default::default());
    site.assert_sound(&[&large, &other, &picture]).await;
    assert_eq!(site.job.figures.outcomes(), [("recompressed", 1), ("no_gain", 0), ("failed", 0), ("undone", 1)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_gain_or_cannot_be_is_not_tried_again() {
    let site = Site::new(2).await;
    let me = owner(TenantId::DEFAULT, 1);
    let (small, broken) = (photo("clock.jpg"), Bytes::from(vec![7; 50_000]));
    site.upload(me, 1, &small, "jpeg").await;
    site.upload(me, 2, &broken, "jpeg").await;
    site.runtime.clock.advance(31 * DAY);
    for _ in 0..2 {
        site.round().await;
        assert_eq!(site.job.figures.outcomes(), [("recompressed", 0), ("no_gain", 1), ("failed", 1), ("undone", 0)]);
    }
    assert!(site.row(&small).stays_raw.is_some() && site.row(&broken).stays_raw.is_some());
    // Sent by somebody else in between, it is another copy of the same bytes.
    site.upload(owner(TenantId::DEFAULT, 2), 3, &small, "jpeg").await;
    assert!(site.row(&small).stays_raw.is_some());
    site.assert_sound(&[&small, &broken]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_that_says_no_is_asked_for_every_photo_that_it_has() {
    let mut site = Site::new(3).await;
    let shared = photo("hubble.jpg");
    let refusing = TenantId::from_bytes([9; 16]);
    let tenant = crate::model::tenant::NewTenant { name: "Banner".to_owned(), signing_keys: vec![] };
    site.metadata.write("tenant", move |tx| tx.apply(tenant.create(refusing, tx.stamp()))).await.unwrap();
    site.upload(owner(TenantId::DEFAULT, 1), 1, &shared, "jpeg").await;
    site.upload(owner(refusing, 1), 2, &shared, "jpeg").await;
    site.runtime.clock.advance(31 * DAY);
    for name in ["Banner".to_owned(), refusing.to_string()] {
        site.job.settings.keep_raw_tenants = vec![name, "no such".to_owned()];
        site.round().await;
        assert!(!site.is_cold(&shared));
    }
    site.job.settings.keep_raw_tenants = vec![];
    site.round().await;
    assert!(site.is_cold(&shared));
    // One that says no later gets them back.
    site.job.settings.keep_raw_tenants = vec!["Banner".to_owned()];
    site.round().await;
    assert!(!site.is_cold(&shared));
    site.assert_sound(&[&shared]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_at_any_step_loses_nothing_and_the_next_turn_does_it() {
    let (original, me) = (photo("hubble.jpg"), owner(TenantId::DEFAULT, 1));
    let away = || BlobError::Unavailable { doing: "test", source: Arc::new(std::io::Error::other("away")) };
    for operation in [Operation::Open, Operation::Read, Operation::Stage, Operation::Write, Operation::Publish] {
        for (after, is_done) in [(0, false), (0, true), (1, false), (2, false)] {
            let site = Site::new(4).await;
            site.upload(me, 1, &original, "jpeg").await;
            site.runtime.clock.advance(31 * DAY);
            if is_done {
                site.store.faults().fail_done(operation, after, away());
            } else {
                site.store.faults().fail(operation, after, away());
            }
            let failed = site.job.go_through().await.is_err();
            assert!(failed || site.is_cold(&original), "{operation:?}");
            site.store.faults().clear();
            site.assert_sound(&[&original]).await;
            site.round().await;
            assert!(site.is_cold(&original));
            site.assert_sound(&[&original]).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_read_back_never_counts() {
    // The new copy rots between the write and the look at it: as if the disk had lied.
    let (original, me) = (photo("hubble.jpg"), owner(TenantId::DEFAULT, 1));
    let site = Site::new(5).await;
    let raw = site.upload(me, 1, &original, "jpeg").await;
    site.runtime.clock.advance(31 * DAY);
    let damaged = BlobError::Damaged { key: raw, damage: crate::blobs::Damage::Written };
    // The first reads are those of the original: its beginning, all of it to check it, and again to encode it.
    site.store.faults().fail(Operation::Read, 3, damaged);
    site.round().await;
    assert_eq!(site.row(&original).key, raw);
    assert!(site.row(&original).stays_raw.is_some(), "it is not tried again, and keeps no other from its turn");
    site.assert_sound(&[&original]).await;

    let site = Site::new(6).await;
    let raw = site.upload(me, 1, &original, "jpeg").await;
    site.runtime.clock.advance(31 * DAY);
    let damaged_raw = site.store.corrupt(&raw);
    assert!(damaged_raw);
    site.runtime.clock.advance(DAY);
    site.round().await;
    assert!(site.row(&original).damaged, "what cannot be read is marked, not recompressed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_moves_on_meanwhile_keeps_what_it_names() {
    let (original, me) = (photo("hubble.jpg"), owner(TenantId::DEFAULT, 1));
    let site = Site::new(6).await;
    site.upload(me, 1, &original, "jpeg").await;
    let stale = site.row(&original);
    let newer = site.upload(owner(TenantId::DEFAULT, 2), 2, &original, "jpeg").await;
    assert_eq!(site.job.recompress(stale).await.unwrap(), ColdOutcome::Stale);
    assert_eq!(site.row(&original).key, newer);
    site.assert_sound(&[&original]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_waits_while_anything_goes_on_and_ends_with_the_server() {
    let (original, me) = (photo("hubble.jpg"), owner(TenantId::DEFAULT, 1));
    let mut site = Site::new(7).await;
    site.upload(me, 1, &original, "jpeg").await;
    site.runtime.clock.advance(31 * DAY);
    site.job.idleness = Arc::new(Never);
    let (trigger, shutdown) = shutdown_channel();
    let running = runtime::spawn_joined(site.job.clone().run(shutdown));
    trigger.stop();
    running.await.unwrap();
    assert!(!site.is_cold(&original));
    site.job.settings.mode = ColdMode::Off;
    let (_trigger, shutdown) = shutdown_channel();
    site.job.clone().run(shutdown).await;
    site.assert_sound(&[&original]).await;
}
