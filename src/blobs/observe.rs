//! A decorator that tells how every call went: for metrics.

use std::fmt::Debug;
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::store::{BlobRead, BlobStore, Deletion, FileVersion, Inventory, InventoryItem, Marker, Staged, Usage};
use super::{Backlog, BlobError, BlobSource, Content, Digests, SourceFile, TakeError, TakeFile, Taken};
use crate::model::{BlobHash, BlobKey};
use crate::runtime::Clock;

/// A call of the blob store's contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // Each is the trait's method of that name.
pub enum Operation {
    Stage,
    Write,
    Digests,
    Contents,
    Publish,
    Open,
    Read,
    Copies,
    Delete,
    Inventory,
    Marker,
    Claim,
    Probe,
}

impl Operation {
    /// Its name, as metrics say it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stage => "stage",
            Self::Write => "write",
            Self::Digests => "digests",
            Self::Contents => "contents",
            Self::Publish => "publish",
            Self::Open => "open",
            Self::Read => "read",
            Self::Copies => "copies",
            Self::Delete => "delete",
            Self::Inventory => "inventory",
            Self::Marker => "marker",
            Self::Claim => "claim",
            Self::Probe => "probe",
        }
    }
}

/// A call of the blob store that has ended.
#[derive(Debug, Clone, Copy)]
pub struct ObservedCall<'a> {
    /// Which. Hashing a copy is a `Read`, each batch of an inventory an `Inventory`, and receiving a whole file a `Stage`.
    pub operation: Operation,
    /// How long it took.
    pub elapsed: Duration,
    /// Bytes that it carried, where it succeeded: written, read or hashed.
    pub bytes: u64,
    /// Why it failed, where it did.
    pub error: Option<&'a BlobError>,
}

/// Who is told of calls. Must be quick: it is called on the way of every request.
pub trait StoreObserver: Send + Sync + Debug + 'static {
    /// A call has ended. One that was given up half way is not told of.
    fn called(&self, call: &ObservedCall<'_>);
}

/// A store that tells its observer of every call, and does nothing else.
#[derive(Debug)]
pub struct ObservedStore<S> {
    inner: S,
    teller: Teller,
}

#[derive(Debug, Clone)]
struct Teller {
    clock: Clock,
    observer: Arc<dyn StoreObserver>,
}

impl Teller {
    async fn told<T>(&self, operation: Operation, call: impl Future<Output = Result<T, BlobError>>) -> Result<T, BlobError> {
        self.told_bytes(operation, |_| 0, call).await
    }

    async fn told_bytes<T>(
        &self,
        operation: Operation,
        bytes: impl FnOnce(&T) -> u64,
        call: impl Future<Output = Result<T, BlobError>>,
    ) -> Result<T, BlobError> {
        let begun = self.clock.monotonic();
        let done = call.await;
        let elapsed = self.clock.monotonic().saturating_sub(begun);
        let bytes = done.as_ref().map_or(0, bytes);
        self.observer.called(&ObservedCall { operation, elapsed, bytes, error: done.as_ref().err() });
        done
    }
}

impl<S: BlobStore> ObservedStore<S> {
    /// Decorates `inner`.
    pub fn new(inner: S, clock: Clock, observer: Arc<dyn StoreObserver>) -> Self {
        Self { inner, teller: Teller { clock, observer } }
    }
}

#[async_trait]
impl<S: BlobStore> BlobStore for ObservedStore<S> {
    async fn stage(&self, expected_bytes: Option<u64>) -> Result<Box<dyn Staged>, BlobError> {
        let staged = self.teller.told(Operation::Stage, self.inner.stage(expected_bytes)).await?;
        Ok(Box::new(ObservedStaged { staged, teller: self.teller.clone() }))
    }

    async fn stage_file(&self, source: &SourceFile, how: TakeFile) -> Result<(Box<dyn Staged>, Taken), TakeError> {
        let begun = self.teller.clock.monotonic();
        let taken = self.inner.stage_file(source, how).await;
        let elapsed = self.teller.clock.monotonic().saturating_sub(begun);
        // A file that cannot be read is no failure of the store.
        let error = match &taken {
            Err(TakeError::Store(error)) => Some(error),
            Err(TakeError::Source(_) | TakeError::Changed) | Ok(_) => None,
        };
        let bytes = if taken.is_ok() { source.size_bytes() } else { 0 };
        self.teller.observer.called(&ObservedCall { operation: Operation::Stage, elapsed, bytes, error });
        let (staged, taken) = taken?;
        Ok((Box::new(ObservedStaged { staged, teller: self.teller.clone() }), taken))
    }

    async fn open(&self, key: &BlobKey) -> Result<Arc<dyn BlobRead>, BlobError> {
        let read = self.teller.told(Operation::Open, self.inner.open(key)).await?;
        Ok(Arc::new(ObservedRead { read, teller: self.teller.clone() }))
    }

    async fn open_part(&self, key: &BlobKey, part: Range<u64>) -> Result<Arc<dyn BlobRead>, BlobError> {
        let read = self.teller.told(Operation::Open, self.inner.open_part(key, part)).await?;
        Ok(Arc::new(ObservedRead { read, teller: self.teller.clone() }))
    }

    fn elsewhere(&self) -> Vec<Arc<dyn BlobSource>> {
        self.inner.elsewhere()
    }

    async fn stored_bytes(&self, key: &BlobKey) -> Result<u64, BlobError> {
        self.teller.told(Operation::Open, self.inner.stored_bytes(key)).await
    }

    async fn copies(&self, hash: &BlobHash) -> Result<Vec<BlobKey>, BlobError> {
        self.teller.told(Operation::Copies, self.inner.copies(hash)).await
    }

    async fn delete(&self, key: &BlobKey) -> Result<Deletion, BlobError> {
        self.teller.told(Operation::Delete, self.inner.delete(key)).await
    }

    fn inventory(&self) -> Box<dyn Inventory> {
        Box::new(ObservedInventory { inventory: self.inner.inventory(), teller: self.teller.clone() })
    }

    async fn marker(&self) -> Result<Option<Marker>, BlobError> {
        self.teller.told(Operation::Marker, self.inner.marker()).await
    }

    async fn claim(&self, expected: Option<Marker>, new: Marker) -> Result<(), BlobError> {
        self.teller.told(Operation::Claim, self.inner.claim(expected, new)).await
    }

    async fn probe(&self) -> Result<(), BlobError> {
        self.teller.told(Operation::Probe, self.inner.probe()).await
    }

    async fn usage(&self) -> Result<Option<Usage>, BlobError> {
        self.inner.usage().await
    }

    fn backlog(&self) -> Option<Backlog> {
        self.inner.backlog()
    }
}

struct ObservedInventory {
    inventory: Box<dyn Inventory>,
    teller: Teller,
}

#[async_trait]
impl Inventory for ObservedInventory {
    async fn next(&mut self) -> Result<Option<Vec<InventoryItem>>, BlobError> {
        self.teller.told(Operation::Inventory, self.inventory.next()).await
    }
}

struct ObservedStaged {
    staged: Box<dyn Staged>,
    teller: Teller,
}

#[async_trait]
impl Staged for ObservedStaged {
    async fn write(&mut self, chunk: Bytes) -> Result<(), BlobError> {
        let length = chunk.len() as u64;
        self.teller.told_bytes(Operation::Write, |()| length, self.staged.write(chunk)).await
    }

    async fn digests(&mut self) -> Result<Digests, BlobError> {
        self.teller.told(Operation::Digests, self.staged.digests()).await
    }

    async fn contents(&mut self) -> Result<Bytes, BlobError> {
        self.teller.told_bytes(Operation::Contents, |bytes: &Bytes| bytes.len() as u64, self.staged.contents()).await
    }

    async fn publish_as(self: Box<Self>, key: &BlobKey, content: &Content) -> Result<(), BlobError> {
        let Self { staged, teller } = *self;
        teller.told(Operation::Publish, staged.publish_as(key, content)).await
    }

    async fn discard(self: Box<Self>) {
        self.staged.discard().await;
    }
}

#[derive(Debug)]
struct ObservedRead {
    read: Arc<dyn BlobRead>,
    teller: Teller,
}

#[async_trait]
impl BlobRead for ObservedRead {
    fn size_bytes(&self) -> u64 {
        self.read.size_bytes()
    }

    fn version(&self) -> Option<FileVersion> {
        self.read.version()
    }

    fn is_unchanged(&self) -> bool {
        self.read.is_unchanged()
    }

    fn is_sequential(&self) -> bool {
        self.read.is_sequential()
    }

    fn is_seekable(&self) -> bool {
        self.read.is_seekable()
    }

    async fn read_at(&self, offset: u64, length: usize) -> Result<Bytes, BlobError> {
        self.teller.told_bytes(Operation::Read, |bytes: &Bytes| bytes.len() as u64, self.read.read_at(offset, length)).await
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        self.read.as_fd()
    }

    async fn warm(&self, offset: u64, length: usize) -> Result<(), BlobError> {
        self.teller.told_bytes(Operation::Read, |()| length as u64, self.read.warm(offset, length)).await
    }

    async fn content_hash(&self) -> Result<BlobHash, BlobError> {
        let size_bytes = self.read.size_bytes();
        self.teller.told_bytes(Operation::Read, |_| size_bytes, self.read.content_hash()).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::blobs::MemoryStore;
    use crate::blobs::contract::{bytes, get, inventory, put};

    /// Operation, bytes, whether it succeeded.
    type Told = (Operation, u64, bool);

    #[derive(Debug, Default)]
    struct Notes(Mutex<Vec<Told>>);

    impl StoreObserver for Notes {
        fn called(&self, call: &ObservedCall<'_>) {
            self.0.lock().unwrap().push((call.operation, call.bytes, call.error.is_none()));
        }
    }

    #[tokio::test]
    async fn every_call_is_told_once_with_its_bytes_or_its_error() {
        let (notes, inner) = (Arc::<Notes>::default(), MemoryStore::new());
        let store = ObservedStore::new(inner.clone(), Clock::manual(0), notes.clone());
        let told = || std::mem::take(&mut *notes.0.lock().unwrap());
        let key = put(&store, &bytes(1, 1_000), 1).await.unwrap();
        assert_eq!(told(), [(Operation::Stage, 0, true), (Operation::Write, 1_000, true), (Operation::Publish, 0, true)]);
        inventory(&store).await.unwrap();
        assert_eq!(told(), [(Operation::Inventory, 0, true); 3], "what there is, and twice that there is no more");
        get(&store, &key).await.unwrap();
        store.open(&key).await.unwrap().content_hash().await.unwrap();
        let read = (Operation::Read, 1_000, true);
        assert_eq!(told(), [(Operation::Open, 0, true), read, (Operation::Open, 0, true), read]);
        inner.faults().fail_always(Operation::Write, BlobError::NoSpace);
        put(&store, &bytes(2, 1_000), 1).await.unwrap_err();
        assert_eq!(told(), [(Operation::Stage, 0, true), (Operation::Write, 0, false)]);
        inner.lose(&key);
        store.open(&key).await.unwrap_err();
        store.delete(&key).await.unwrap();
        assert_eq!(told(), [(Operation::Open, 0, false), (Operation::Delete, 0, true)]);
    }
}
