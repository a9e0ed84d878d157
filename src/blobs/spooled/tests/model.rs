//! Random uploads, deletions, outages, lost answers and crashes against a map.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Upload {
        content: u64,
    },
    /// Of one that was acknowledged: from then on it may go.
    Doom {
        which: prop::sample::Index,
    },
    /// Of all that may go.
    DeleteDoomed,
    /// The next calls of the service.
    Plan(Vec<Fault>),
    /// The service is away, or refuses, until it is back.
    Away(Fault),
    Back,
    Destage,
    /// The process dies while it destages, the service having got so many calls; another begins.
    Crash {
        calls: usize,
        with_service: bool,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let fault = || prop_oneof![3 => Just(Fault::None), 1 => Just(Fault::Before), 1 => Just(Fault::After), 1 => Just(Fault::Twice), 1 => Just(Fault::Refused)];
    let step = prop_oneof![
        6 => (0..5u64).prop_map(|content| Step::Upload { content }),
        3 => any::<prop::sample::Index>().prop_map(|which| Step::Doom { which }),
        2 => Just(Step::DeleteDoomed),
        3 => prop::collection::vec(fault(), 1..8).prop_map(Step::Plan),
        2 => prop_oneof![Just(Fault::Before), Just(Fault::Refused), Just(Fault::After)].prop_map(Step::Away),
        2 => Just(Step::Back),
        3 => Just(Step::Destage),
        2 => (0..8usize, any::<bool>()).prop_map(|(calls, with_service)| Step::Crash { calls, with_service }),
    ];
    prop::collection::vec(step, 1..40)
}

/// What was acknowledged and is needed, and what may go.
#[derive(Default)]
struct Model {
    needed: BTreeMap<BlobKey, Bytes>,
    doomed: Vec<BlobKey>,
    uploads: u64,
}

struct World {
    place: Place,
    store: SpooledStore,
    model: Model,
}

impl World {
    async fn step(&mut self, step: &Step) {
        match step {
            Step::Upload { content } => {
                self.model.uploads += 1;
                // Also the same bytes again, each time under a key of their own.
                let content = bytes(*content, [0, 1000, 70_000, 300_000, 1_500_000][*content as usize]);
                let nonce = self.model.uploads as u8;
                match put(&self.store, &content, nonce).await {
                    Ok(key) => drop(self.model.needed.insert(key, content)),
                    // Whoever was not answered dooms the key.
                    Err(_) => self.model.doomed.push(contract::key(&content, nonce)),
                }
            }
            Step::Doom { which } => {
                let keys: Vec<_> = self.model.needed.keys().copied().collect();
                if !keys.is_empty() {
                    let key = *which.get(&keys);
                    self.model.needed.remove(&key);
                    self.model.doomed.push(key);
                }
            }
            Step::DeleteDoomed => self.delete_doomed().await,
            Step::Plan(faults) => self.place.service.plan(faults.iter().copied()),
            Step::Away(fault) => self.place.service.always(*fault, false),
            Step::Back => self.back().await,
            Step::Destage => drop(self.store.destage().await),
            Step::Crash { calls, with_service } => self.crash(*calls, *with_service).await,
        }
    }

    async fn delete_doomed(&mut self) {
        let mut left = vec![];
        for key in std::mem::take(&mut self.model.doomed) {
            if self.store.delete(&key).await.is_err() {
                left.push(key);
            }
        }
        self.model.doomed = left;
    }

    async fn back(&mut self) {
        self.place.service.heal();
        // As soon as it is found to answer again.
        self.place.join(&self.store).await;
    }

    async fn crash(&mut self, calls: usize, with_service: bool) {
        self.place.service.plan(std::iter::repeat_n(Fault::None, calls).chain(std::iter::repeat_n(Fault::Hangs, 16)));
        {
            let mut destaging = Box::pin(self.store.destage());
            // To its end, or to where the service hangs. Nothing else is waited for meanwhile: it may stand in the queue for the disk.
            while poll!(&mut destaging).is_pending() && self.place.service.hanging() == 0 {
                tokio::task::yield_now().await;
            }
        }
        self.place.service.plan([]);
        // The directory's lock goes with the old one.
        self.store = SpooledStore::open(None, self.place.runtime.clock.clone(), ALL).await.unwrap();
        self.place.pool.run(|| ()).await.unwrap();
        self.store = self.place.open_alone(ALL).await;
        if with_service {
            self.back().await;
        }
    }

    /// Each photo that is needed lies somewhere, whole; and what waits here is read whatever the service does.
    async fn look(&self) {
        let names = self.place.put_there().await;
        for (key, content) in &self.model.needed {
            if self.store.backlog().unwrap().contains(key) {
                assert_eq!(get(&self.store, key).await.unwrap(), content, "{key}");
                continue;
            }
            let name = names.iter().find(|name| name.contains(&key.to_string()));
            let name = name.unwrap_or_else(|| panic!("{key} was acknowledged and lies nowhere"));
            assert_eq!(self.place.service.get(name).await, content, "{key}");
        }
    }

    /// All is back: nothing waits any more, and the service has what is needed and nothing else.
    async fn end(mut self) {
        self.back().await;
        self.place.runtime.clock.advance(std::time::Duration::from_secs(120));
        while waiting(&self.store) > 0 {
            let done = self.store.destage().await;
            assert!(done.copies > 0, "{done:?}");
        }
        self.delete_doomed().await;
        assert_eq!(self.model.doomed, []);
        self.look().await;
        let items = inventory(&self.store).await.unwrap();
        let expected = self.model.needed.iter().map(|(key, bytes)| InventoryItem::Copy { key: *key, size_bytes: bytes.len() as u64 });
        assert_eq!(items, expected.collect::<Vec<_>>());
        assert_eq!(inventory(self.store.local().unwrap()).await.unwrap(), []);
        assert_eq!(crate::blobs::disk::tests::staged(self.store.local().unwrap()).await, 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn no_acknowledged_photo_is_lost_and_in_the_end_the_service_has_all(steps in steps()) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            let place = Place::new();
            let store = place.open(ALL).await;
            let mut world = World { place, store, model: Model::default() };
            for step in &steps {
                world.step(step).await;
                world.look().await;
            }
            world.end().await;
        });
    }
}
