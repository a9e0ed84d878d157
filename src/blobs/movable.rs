//! A store that can be exchanged for another while it is used.

use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use bytes::Bytes;

use super::store::{BlobRead, BlobStore, Deletion, Inventory, Marker, Staged, Usage};
use super::{
    Backlog, BlobError, BlobSource, Content, DerivedKind, DerivedStore, Digests, Missed, Needs, PairStore, SourceFile, TakeError, TakeFile,
    Taken,
};
use crate::model::{BlobHash, BlobKey};

/// A store, and what is derived from its blobs beside it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Home {
    /// Copies.
    pub blobs: Arc<dyn BlobStore>,
    /// What is derived from them.
    pub derived: Arc<dyn DerivedStore>,
}

/// Where copies lie now.
#[derive(Debug, Clone)]
enum Place {
    /// In one store.
    Single(Home),
    /// In two. The first is relied on.
    Pair(Home, Home, PairStore),
}

impl Place {
    fn blobs(&self) -> Arc<dyn BlobStore> {
        match self {
            Self::Single(home) => home.blobs.clone(),
            Self::Pair(_, _, pair) => Arc::new(pair.clone()),
        }
    }
}

/// A store that can be exchanged for another while it is used: first a second is put beside it, then they change places, then the former goes. Cheap
/// to clone: all clones are the same store.
///
/// Whatever was begun goes on in what it was begun in; an upload is published to what stands when it is published. Who exchanges sees to it that the
/// second store has what counts, see [`crate::maintenance`].
#[derive(Debug, Clone)]
pub struct MovableStore {
    place: Arc<RwLock<Place>>,
    missed: Arc<Missed>,
}

impl MovableStore {
    /// In one store.
    pub fn new(home: Home) -> Self {
        Self { place: Arc::new(RwLock::new(Place::Single(home))), missed: Arc::default() }
    }

    fn place(&self) -> Place {
        self.place.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, place: Place) {
        *self.place.write().unwrap_or_else(PoisonError::into_inner) = place;
    }

    /// Puts a second store beside `first`, which is relied on. From now on what is published goes to both.
    pub fn pair(&self, first: Home, second: Home, needs: Needs) {
        let pair = PairStore::new(first.blobs.clone(), second.blobs.clone(), needs, self.missed.clone());
        self.set(Place::Pair(first, second, pair));
    }

    /// Only one store from now on.
    pub fn settle(&self, home: Home) {
        self.set(Place::Single(home));
        let _ = self.missed.take();
    }

    /// The store that is relied on, and the other one where there are two.
    pub fn legs(&self) -> (Home, Option<Home>) {
        match self.place() {
            Place::Single(home) => (home, None),
            Place::Pair(first, second, _) => (first, Some(second)),
        }
    }

    /// What the second store lacks of what was published since it was put there.
    pub fn missed(&self) -> &Missed {
        &self.missed
    }
}

#[async_trait]
impl BlobStore for MovableStore {
    async fn stage(&self, expected_bytes: Option<u64>) -> Result<Box<dyn Staged>, BlobError> {
        let (Place::Single(first) | Place::Pair(first, ..)) = self.place();
        let staged = first.blobs.stage(expected_bytes).await?;
        Ok(Box::new(MovableStaged { staged, begun_in: first.blobs, store: self.clone() }))
    }

    async fn stage_file(&self, source: &SourceFile, how: TakeFile) -> Result<(Box<dyn Staged>, Taken), TakeError> {
        let (Place::Single(first) | Place::Pair(first, ..)) = self.place();
        let (staged, taken) = first.blobs.stage_file(source, how).await?;
        Ok((Box::new(MovableStaged { staged, begun_in: first.blobs, store: self.clone() }), taken))
    }

    async fn open(&self, key: &BlobKey) -> Result<Arc<dyn BlobRead>, BlobError> {
        self.place().blobs().open(key).await
    }

    async fn open_part(&self, key: &BlobKey, part: Range<u64>) -> Result<Arc<dyn BlobRead>, BlobError> {
        self.place().blobs().open_part(key, part).await
    }

    fn elsewhere(&self) -> Vec<Arc<dyn BlobSource>> {
        self.place().blobs().elsewhere()
    }

    async fn stored_bytes(&self, key: &BlobKey) -> Result<u64, BlobError> {
        self.place().blobs().stored_bytes(key).await
    }

    async fn copies(&self, hash: &BlobHash) -> Result<Vec<BlobKey>, BlobError> {
        self.place().blobs().copies(hash).await
    }

    async fn delete(&self, key: &BlobKey) -> Result<Deletion, BlobError> {
        self.place().blobs().delete(key).await
    }

    fn inventory(&self) -> Box<dyn Inventory> {
        self.place().blobs().inventory()
    }

    async fn marker(&self) -> Result<Option<Marker>, BlobError> {
        self.place().blobs().marker().await
    }

    async fn claim(&self, expected: Option<Marker>, new: Marker) -> Result<(), BlobError> {
        self.place().blobs().claim(expected, new).await
    }

    async fn probe(&self) -> Result<(), BlobError> {
        self.place().blobs().probe().await
    }

    async fn usage(&self) -> Result<Option<Usage>, BlobError> {
        self.place().blobs().usage().await
    }

    fn backlog(&self) -> Option<Backlog> {
        self.place().blobs().backlog()
    }
}

/// A copy being received by the store that was relied on when it began.
struct MovableStaged {
    staged: Box<dyn Staged>,
    begun_in: Arc<dyn BlobStore>,
    store: MovableStore,
}

#[async_trait]
impl Staged for MovableStaged {
    async fn write(&mut self, chunk: Bytes) -> Result<(), BlobError> {
        self.staged.write(chunk).await
    }

    async fn digests(&mut self) -> Result<Digests, BlobError> {
        self.staged.digests().await
    }

    async fn contents(&mut self) -> Result<Bytes, BlobError> {
        self.staged.contents().await
    }

    async fn publish_as(self: Box<Self>, key: &BlobKey, content: &Content) -> Result<(), BlobError> {
        let Self { staged, begun_in, store } = *self;
        staged.publish_as(key, content).await?;
        // What stands now may be another place, also than when the first byte came.
        match store.place() {
            Place::Single(home) if Arc::ptr_eq(&home.blobs, &begun_in) => Ok(()),
            Place::Pair(first, _, pair) if Arc::ptr_eq(&first.blobs, &begun_in) => pair.pass_on(key, content).await,
            // The one that it was begun in is not relied on any more: the copy has to be in the one that is.
            Place::Single(home) | Place::Pair(home, ..) => super::transfer(&*begun_in, &*home.blobs, key, content).await.map(drop),
        }
    }

    async fn discard(self: Box<Self>) {
        self.staged.discard().await;
    }
}

#[async_trait]
impl DerivedStore for MovableStore {
    async fn get_derived(&self, kind: DerivedKind, of: &BlobHash) -> Result<Option<Bytes>, BlobError> {
        match self.place() {
            Place::Single(home) => home.derived.get_derived(kind, of).await,
            Place::Pair(first, second, _) => match first.derived.get_derived(kind, of).await {
                Ok(Some(bytes)) => Ok(Some(bytes)),
                other => second.derived.get_derived(kind, of).await.or(other),
            },
        }
    }

    async fn put_derived(&self, kind: DerivedKind, of: &BlobHash, bytes: Bytes) -> Result<(), BlobError> {
        let (Place::Single(first) | Place::Pair(first, ..)) = self.place();
        first.derived.put_derived(kind, of, bytes).await
    }

    /// From both: nothing that is derived outlives its blob.
    async fn delete_derived(&self, kind: DerivedKind, of: &BlobHash) -> Result<(), BlobError> {
        if let Place::Pair(_, second, _) = self.place() {
            second.derived.delete_derived(kind, of).await?;
        }
        let (Place::Single(first) | Place::Pair(first, ..)) = self.place();
        first.derived.delete_derived(kind, of).await
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::blobs::MemoryStore;
    use crate::blobs::contract::{self, Subject, bytes, contract_suite, get};
    use crate::blobs::derived_contract::keeps_what_is_derived;

    fn home(store: &MemoryStore) -> Home {
        Home { blobs: Arc::new(store.clone()), derived: Arc::new(store.clone()) }
    }

    async fn single() -> Subject {
        let store = MemoryStore::new();
        let tested = Arc::new(MovableStore::new(home(&store)));
        let staged = move || {
            let staged = store.staged();
            async move { staged }.boxed()
        };
        Subject { store: tested, staged: Box::new(staged), _keep: None, is_remote: false }
    }

    contract_suite!(single);

    mod paired {
        use super::*;

        async fn paired() -> Subject {
            let (first, second) = (MemoryStore::new(), MemoryStore::new());
            let tested = MovableStore::new(home(&first));
            tested.pair(home(&first), home(&second), Needs::Both);
            let staged = move || {
                let staged = first.staged() + second.staged();
                async move { staged }.boxed()
            };
            Subject { store: Arc::new(tested), staged: Box::new(staged), _keep: None, is_remote: false }
        }

        contract_suite!(paired);
    }

    #[tokio::test]
    async fn it_keeps_what_is_derived() {
        let (first, second) = (MemoryStore::new(), MemoryStore::new());
        let store = MovableStore::new(home(&first));
        keeps_what_is_derived(&store).await;
        store.pair(home(&first), home(&second), Needs::First);
        keeps_what_is_derived(&store).await;
    }

    /// An upload begun and published across every change lies in what is relied on when it was published.
    #[tokio::test]
    async fn an_upload_is_published_to_what_stands_then() {
        let content = bytes(1, 10_000);
        let key = contract::key(&content, 1);
        for change in 0..4 {
            let (first, second) = (MemoryStore::new(), MemoryStore::new());
            let store = MovableStore::new(home(&first));
            let (one, other) = (home(&first), home(&second));
            store.settle(one.clone());
            let mut staged = store.stage(None).await.unwrap();
            staged.write(content.clone()).await.unwrap();
            match change {
                0 => {}
                1 => store.pair(one, other, Needs::Both),
                2 => store.pair(other, one, Needs::Both),
                _ => store.settle(other),
            }
            staged.publish(&key).await.unwrap();
            let has = async |store: &MemoryStore| get(store, &key).await.is_ok();
            assert_eq!((has(&first).await, has(&second).await), (true, change != 0), "{change}");
        }
    }
}
