//! Uploads and deletions go on between all that a check does.

use async_trait::async_trait;

use super::*;
use crate::blobs::{BlobRead, Deletion, Inventory, InventoryItem, Staged, Usage};
use crate::maintenance::Listing;
use crate::metadata::{Doom, PlaceError, Read};
use crate::runtime::Random;

/// Items that are listed at once.
const BATCH: usize = 5;
/// Contents that are uploaded, over and over.
const CONTENTS: u64 = 40;

/// What goes on at a site.
#[derive(Debug)]
struct Work {
    random: Random,
    /// Copies that lie in the store and are not named yet.
    landing: Vec<(InFlight, NewBlob)>,
    /// Keys of which nothing is there yet.
    begun: Vec<InFlight>,
    /// Copies that were deleted and are queued still.
    deleted: Vec<(BlobKey, Doom)>,
}

impl Work {
    fn below(&self, end: usize) -> usize {
        usize::from(u16::from_be_bytes(self.random.bytes())) % end
    }

    /// One step of an upload or a deletion.
    async fn step(&mut self, site: &Site) {
        let landing = (!self.landing.is_empty()).then(|| self.below(self.landing.len()));
        match (self.below(7), landing) {
            (0 | 1, _) => {
                let content = contract::bytes(self.below(CONTENTS as usize) as u64, 100);
                self.landing.push(site.publish(&content).await);
            }
            (2, _) => self.begun.push(site.metadata.begin_copy(BlobHash::of(b"never comes"))),
            (3, Some(landing)) => {
                let (in_flight, blob) = self.landing.swap_remove(landing);
                site.metadata.write("replace", move |tx| tx.replace_blob(&in_flight, blob)).await.unwrap();
            }
            (4, Some(landing)) => {
                let (in_flight, blob) = self.landing.swap_remove(landing);
                let place = move |tx: &mut metadata::Transaction<'_>| -> Result<_, PlaceError> {
                    let verified = tx.blob(&blob.key.hash)?.map(|row| row.key);
                    tx.place_blob(&in_flight, blob, verified)
                };
                site.metadata.write("place", place).await.unwrap();
            }
            (5, Some(landing)) => {
                drop(self.landing.swap_remove(landing));
                self.begun.clear();
                // The writer dooms them before this.
                site.metadata.write("wait", |_| Ok::<_, MetadataError>(())).await.unwrap();
            }
            (6, _) => {
                let forgotten = std::mem::take(&mut self.deleted);
                site.metadata.write("forget", move |tx| tx.forget_doomed(forgotten)).await.unwrap();
            }
            _ => {}
        }
        let doomed = site.metadata.read().doomed(None, 100).unwrap().items;
        if !doomed.is_empty() && self.below(2) == 0 {
            let (key, doom) = doomed[self.below(doomed.len())];
            site.store.delete(&key).await.unwrap();
            self.deleted.push((key, doom));
        }
    }
}

/// A store whose site works on before and after every call.
#[derive(Debug, Clone)]
struct BusyStore {
    site: Arc<Site>,
    work: Arc<tokio::sync::Mutex<Work>>,
}

impl BusyStore {
    async fn work(&self) {
        let mut work = self.work.lock().await;
        for _ in 0..work.below(6) {
            work.step(&self.site).await;
        }
    }
}

struct BusyInventory {
    store: BusyStore,
    after: Option<BlobKey>,
}

#[async_trait]
impl Inventory for BusyInventory {
    async fn next(&mut self) -> Result<Option<Vec<InventoryItem>>, BlobError> {
        self.store.work().await;
        let mut items = contract::inventory(&self.store.site.store).await?;
        items.retain(|item| matches!(item, InventoryItem::Copy { key, .. } if Some(*key) > self.after));
        items.truncate(BATCH);
        self.store.work().await;
        let Some(InventoryItem::Copy { key, .. }) = items.last() else { return Ok(None) };
        self.after = Some(*key);
        Ok(Some(items))
    }
}

#[async_trait]
impl BlobStore for BusyStore {
    async fn stage(&self, expected_bytes: Option<u64>) -> Result<Box<dyn Staged>, BlobError> {
        self.site.store.stage(expected_bytes).await
    }

    async fn open(&self, key: &BlobKey) -> Result<Arc<dyn BlobRead>, BlobError> {
        self.work().await;
        let opened = self.site.store.open(key).await;
        self.work().await;
        opened
    }

    async fn stored_bytes(&self, key: &BlobKey) -> Result<u64, BlobError> {
        Ok(self.open(key).await?.size_bytes())
    }

    async fn copies(&self, hash: &BlobHash) -> Result<Vec<BlobKey>, BlobError> {
        self.site.store.copies(hash).await
    }

    async fn delete(&self, key: &BlobKey) -> Result<Deletion, BlobError> {
        self.site.store.delete(key).await
    }

    fn inventory(&self) -> Box<dyn Inventory> {
        Box::new(BusyInventory { store: self.clone(), after: None })
    }

    async fn marker(&self) -> Result<Option<Marker>, BlobError> {
        self.work().await;
        self.site.store.marker().await
    }

    async fn claim(&self, expected: Option<Marker>, new: Marker) -> Result<(), BlobError> {
        self.site.store.claim(expected, new).await
    }

    async fn probe(&self) -> Result<(), BlobError> {
        self.site.store.probe().await
    }

    async fn usage(&self) -> Result<Option<Usage>, BlobError> {
        self.site.store.usage().await
    }
}

#[tokio::test]
async fn what_is_written_and_deleted_meanwhile_is_no_damage_and_no_orphan() {
    for seed in 0..40 {
        let site = Arc::new(Site::new().await);
        for content in 0..CONTENTS / 2 {
            site.put(&contract::bytes(content, 100)).await;
        }
        // Contents that are not uploaded again.
        let (lost, cut) = (site.put(&contract::bytes(CONTENTS, 100)).await, site.put(&contract::bytes(CONTENTS + 1, 100)).await);
        assert!(site.store.lose(&lost) && site.store.truncate(&cut));
        let orphan = contract::put(&site.store, &contract::bytes(CONTENTS + 2, 100), 1).await.unwrap();
        let work = Work { random: Random::seeded(seed), landing: vec![], begun: vec![], deleted: vec![] };
        let store = BusyStore { site: site.clone(), work: Arc::new(work.into()) };
        let report = check(&site.metadata, &store, &site.pool, true).await.unwrap();
        let found: BTreeSet<_> = report.findings.iter().map(|finding| (finding.code.as_str(), finding.subject.clone())).collect();
        let expected = BTreeSet::from([("blob_missing", lost.to_string()), ("blob_wrong_size", cut.to_string())]);
        assert_eq!((found, report.problems), (expected, 2), "seed {seed}");
        assert_eq!(report.orphans, 1, "seed {seed}: only {orphan}");
    }
}

#[tokio::test]
async fn nor_is_it_missing_extra_or_damaged_in_an_inventory() {
    use crate::api::InventoryState::{Damaged, Doomed, Extra, Missing, Named};
    for seed in 0..80 {
        let read_data = seed % 2 == 0;
        let site = Arc::new(Site::new().await);
        for content in 0..CONTENTS / 2 {
            site.put(&contract::bytes(content, 100)).await;
        }
        let mut stays = vec![];
        for content in CONTENTS..CONTENTS + 6 {
            stays.push(site.put(&contract::bytes(content, 100)).await);
        }
        let [lost, cut, ..] = stays[..] else { unreachable!() };
        assert!(site.store.lose(&lost) && site.store.truncate(&cut));
        let orphan = contract::put(&site.store, &contract::bytes(CONTENTS + 9, 100), 1).await.unwrap();
        let work = Work { random: Random::seeded(seed), landing: vec![], begun: vec![], deleted: vec![] };
        let store = Arc::new(BusyStore { site: site.clone(), work: Arc::new(work.into()) });
        let mut listing = Listing::of_site(site.metadata.clone(), store, site.pool.clone(), read_data);
        let mut told = vec![];
        while let Some(lines) = listing.next().await.unwrap() {
            told.extend(lines.into_iter().map(|line| (line.state, line.key.unwrap())));
        }
        let of = |wanted| told.iter().filter(|(state, _)| *state == wanted).map(|(_, key)| key.clone()).collect::<Vec<_>>();
        for (state, key) in [(Missing, lost), (Damaged, cut), (Extra, orphan)] {
            assert_eq!(of(state), [key.to_string()], "seed {seed}: {state:?}");
        }
        let keys: Vec<_> = told.iter().map(|(_, key)| key).collect();
        assert!(keys.is_sorted() && keys.windows(2).all(|two| two[0] != two[1]), "seed {seed}: {keys:?}");
        let named = of(Named);
        assert!(stays[2..].iter().all(|key| named.contains(&key.to_string())), "seed {seed}");
        assert_eq!(named.len() + of(Doomed).len() + 3, told.len(), "seed {seed}");
    }
}
