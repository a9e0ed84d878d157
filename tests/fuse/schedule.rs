//! A store's life over a disk that fails, and what has to be there afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use halidom::blobs::{
    BlobError, BlobStore, DerivedKind, DerivedStore as _, DiskSettings, DiskStore, InventoryItem, Marker, VerifySettings, VerifyStore, path,
};
use halidom::model::{BlobHash, BlobKey, BlobNonce, SiteId};
use halidom::runtime::{BlockingPool, Clock, Runtime};

use super::disk::{Disk, Fault, Lie, Log, mix, note};
use super::mount::Mount;

/// Times that the power is cut in a schedule.
const LIVES: u32 = 3;
/// Steps between two.
const STEPS: u32 = 14;
/// How long a thread may hold on to a store that was let go of.
const PATIENCE: Duration = Duration::from_secs(60);

/// What was acknowledged.
#[derive(Default)]
struct Known {
    there: BTreeMap<BlobKey, Bytes>,
    gone: BTreeSet<BlobKey>,
    /// The epoch that stands, at least, and the last that was asked for.
    epochs: (u64, u64),
    next: u64,
}

struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = mix(self.0);
        self.0 % n
    }

    fn bytes(&mut self) -> Bytes {
        let length = [1, 4_096, 60_000, 300_000][self.below(4) as usize] + self.below(1_000);
        let seed = self.below(u64::MAX);
        (0..length.div_ceil(8)).flat_map(|at| mix(seed ^ at).to_ne_bytes()).take(length as usize).collect()
    }
}

async fn open(root: &Path) -> Result<DiskStore, BlobError> {
    let settings = DiskSettings { gather_bytes: 64 << 10, ..DiskSettings::default() };
    let store = DiskStore::open(root, Runtime::system(), BlockingPool::new("blobs", 2), settings).await?;
    store.sweep().await?;
    Ok(store)
}

/// Opens it once more in the same process, as soon as the last thread of the one before has let go of it.
async fn reopen(root: &Path) -> DiskStore {
    let clock = Clock::system();
    let latest = clock.monotonic() + PATIENCE;
    loop {
        match open(root).await {
            Err(BlobError::InUse { .. }) if clock.monotonic() < latest => tokio::task::yield_now().await,
            opened => return opened.unwrap(),
        }
    }
}

/// Runs a schedule. Answers what has failed.
pub async fn run(seed: u64, lie: Option<Lie>, log: &Log) -> Vec<Fault> {
    let (mut dice, mut known) = (Dice(mix(seed)), Known::default());
    let place = tempfile::tempdir().unwrap();
    let mut disk = Disk::new(mix(seed ^ 1), lie, log.clone());
    for life in 0..=LIVES {
        let mount = Mount::new(disk, place.path()).unwrap();
        let root = place.path().join("store");
        let mut store = open(&root).await.unwrap_or_else(|error| panic!("seed {seed}, life {life}: {error}"));
        prove(&store, &mut known, life).await;
        if life < LIVES {
            for _ in 0..STEPS {
                step(&mount, &store, &mut known, &mut dice).await;
                if mount.disk().is_off() {
                    break;
                }
                if store.sync_failures() > 0 {
                    // It takes nothing more: it is opened anew, on the same disk.
                    drop(store);
                    store = reopen(&root).await;
                }
            }
        }
        note(log, "the power is cut".to_owned());
        mount.disk().cut();
        drop(store);
        disk = mount.unmount();
        assert_eq!(disk.retried, 0, "a sync that had failed was tried again on the same descriptor");
        disk = disk.after_cut();
    }
    disk.fired
}

/// One call, with a fault under way or not.
async fn step(mount: &Mount, store: &DiskStore, known: &mut Known, dice: &mut Dice) {
    if dice.below(3) > 0 {
        let fault = Fault::ALL[dice.below(Fault::ALL.len() as u64) as usize];
        let calls = dice.below(if matches!(fault, Fault::Fail | Fault::FailDone | Fault::Cut) { 24 } else { 2 });
        mount.disk().plan(calls, fault);
    }
    let what = dice.below(12);
    let log = mount.disk().log.clone();
    match what {
        0..=4 => {
            let bytes = dice.bytes();
            known.next += 1;
            let key = BlobKey { hash: BlobHash::of(&bytes), nonce: BlobNonce::from_random(nonce(known.next)) };
            note(&log, format!("put of {key}, {} bytes", bytes.len()));
            if put(store, &key, &bytes, dice.below(2) == 0).await.is_ok() {
                note(&log, "    acknowledged".to_owned());
                known.there.insert(key, bytes);
            }
        }
        5..=6 => {
            if let Some(key) = pick(known, dice) {
                note(&log, format!("deletion of {key}"));
                // From here on it may be gone.
                known.there.remove(&key);
                if store.delete(&key).await.is_ok() {
                    known.gone.insert(key);
                }
            }
        }
        7..=9 => {
            if let Some(key) = pick(known, dice)
                && let Ok(found) = read(store, &key).await
            {
                assert_eq!(BlobHash::of(&found), key.hash, "wrong bytes were served as a success");
            }
        }
        10 => {
            let bytes = dice.bytes();
            let of = BlobHash::of(&bytes);
            if store.put_derived(DerivedKind::Preview, &of, bytes.clone()).await.is_ok()
                && let Ok(Some(found)) = store.get_derived(DerivedKind::Preview, &of).await
            {
                // Whoever reads one checks it: here, that it is not torn before any cut.
                let is_read_well = !matches!(mount.disk().fired.last(), Some(Fault::Short | Fault::Flipped));
                assert!(found == bytes || !is_read_well);
            }
            let _ = store.delete_derived(DerivedKind::Preview, &of).await;
        }
        _ => {
            let site = SiteId::from_bytes([1; 16]);
            if let Ok(found) = store.marker().await {
                let new = Marker { site, epoch: known.epochs.1 + 1 };
                known.epochs.1 += 1;
                if store.claim(found, new).await.is_ok() {
                    known.epochs.0 = new.epoch;
                }
            }
        }
    }
    mount.disk().forget_plan();
}

fn nonce<const N: usize>(number: u64) -> [u8; N] {
    std::array::from_fn(|at| number.to_be_bytes().get(at).copied().unwrap_or(7))
}

fn pick(known: &Known, dice: &mut Dice) -> Option<BlobKey> {
    let index = dice.below((known.there.len() as u64).max(1)) as usize;
    known.there.keys().nth(index).copied()
}

async fn put(store: &DiskStore, key: &BlobKey, bytes: &Bytes, is_held: bool) -> Result<(), BlobError> {
    let mut staged = store.stage(is_held.then_some(bytes.len() as u64)).await?;
    for piece in bytes.chunks(100_000) {
        staged.write(bytes.slice_ref(piece)).await?;
    }
    assert_eq!(staged.digests().await?.hash, key.hash);
    staged.publish(key).await
}

/// As a site reads: checked.
async fn read(store: &DiskStore, key: &BlobKey) -> Result<Bytes, BlobError> {
    let store: Arc<dyn BlobStore> = Arc::new(store.clone());
    let copy = VerifyStore::new(store, Clock::system(), VerifySettings::default()).open(key).await?;
    copy.read_at(0, usize::try_from(copy.size_bytes()).unwrap()).await
}

/// Nothing fails now: what was acknowledged is there and whole, what was deleted is not, and nothing is left in staging.
async fn prove(store: &DiskStore, known: &mut Known, life: u32) {
    for (key, bytes) in &known.there {
        let found = read(store, key).await.unwrap_or_else(|error| panic!("life {life}: {key} was acknowledged: {error}"));
        assert!(found == *bytes, "life {life}: {key}");
    }
    let mut walk = store.inventory();
    let mut found = BTreeSet::new();
    while let Some(items) = walk.next().await.unwrap() {
        for item in items {
            match item {
                InventoryItem::Copy { key, .. } => found.insert(key),
                InventoryItem::Foreign { path } => panic!("life {life}: {} lies there", path.display()),
            };
        }
    }
    assert!(known.there.keys().all(|key| found.contains(key)), "life {life}: a listing lacks what was acknowledged");
    let undead: Vec<_> = known.gone.intersection(&found).collect();
    assert!(undead.is_empty(), "life {life}: deleted, and there: {undead:?}");
    assert_eq!(std::fs::read_dir(store.root().join(path::STAGING)).unwrap().count(), 0, "life {life}: staging was swept");
    let epoch = store.marker().await.unwrap().map_or(0, |marker| marker.epoch);
    assert!((known.epochs.0..=known.epochs.1).contains(&epoch), "life {life}: {epoch}, {:?}", known.epochs);
    known.epochs.0 = epoch;
    // It works.
    let bytes = Bytes::from(format!("life {life}"));
    known.next += 1;
    let key = BlobKey { hash: BlobHash::of(&bytes), nonce: BlobNonce::from_random(nonce(known.next)) };
    put(store, &key, &bytes, true).await.unwrap();
    known.there.insert(key, bytes);
}
