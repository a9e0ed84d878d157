use std::path::PathBuf;

use futures_util::FutureExt;

use super::*;
use crate::blobs::contract::{Subject, contract_suite};
use crate::blobs::{VerifySettings, VerifyStore, path};
use crate::runtime::Clock;

mod crash;
mod derived;
mod fan_out;
mod faulty;
mod filer;
mod full;
mod layout;
mod model;
mod mounted;
mod reader;
mod reading;
mod take;

/// A store in a new directory.
struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn root(&self) -> PathBuf {
        self.directory.path().join("store")
    }

    fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        self.root().join(path)
    }

    async fn open(&self) -> Result<DiskStore, BlobError> {
        self.open_with(DiskSettings::default()).await
    }

    async fn open_with(&self, settings: DiskSettings) -> Result<DiskStore, BlobError> {
        let store = DiskStore::open(&self.root(), Runtime::system(), BlockingPool::new("blobs", 4), settings).await?;
        // As a site does that has found the store to be its own.
        store.sweep().await?;
        Ok(store)
    }
}

/// How many entries lie in staging, after what was dropped has been removed: that goes by way of the pool, in order.
pub(in crate::blobs) async fn staged(store: &DiskStore) -> usize {
    let count = || std::fs::read_dir(store.root().join(path::STAGING)).unwrap().count();
    // A write that nobody waits for any more may not even have made its file yet: empty has to mean empty for a while.
    let mut empty = 0;
    for _ in 0..5_000 {
        empty = if count() == 0 { empty + 1 } else { 0 };
        if empty == 500 {
            return 0;
        }
        tokio::task::yield_now().await;
        store.lanes.io.pool().run(|| ()).await.unwrap();
    }
    count()
}

fn subject(place: Place, store: DiskStore, tested: Arc<dyn BlobStore>) -> Subject {
    let staged = move || {
        let store = store.clone();
        async move { staged(&store).await }.boxed()
    };
    Subject { store: tested, staged: Box::new(staged), _keep: Some(place.directory), is_remote: false }
}

async fn disk() -> Subject {
    let place = Place::new();
    let store = place.open().await.unwrap();
    subject(place, store.clone(), Arc::new(store))
}

contract_suite!(disk);

mod verified {
    use super::*;

    async fn disk() -> Subject {
        let place = Place::new();
        let store = place.open().await.unwrap();
        subject(place, store.clone(), Arc::new(VerifyStore::new(store, Clock::manual(0), VerifySettings::default())))
    }

    contract_suite!(disk);
}

fn bytes_of_another() -> Vec<u8> {
    crate::blobs::contract::bytes(2, 300_000).to_vec()
}
