//! A decorator that gives recompressed copies out as they were before.

mod container;
mod frame;
mod lepton;
mod read;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use moka::sync::Cache;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};

use self::container::Beginning;
pub use self::container::{Codec, HEAD_BYTES, MAGIC};
pub use self::lepton::{CODEC, Encoded, MAX_ORIGINAL_BYTES, StaysRaw, encode};
use self::read::ColdRead;
use super::store::{BlobRead, BlobStore, Deletion, FileVersion, Inventory, Marker, Staged, Usage};
use super::{Backlog, BlobError, BlobSource, Damage, SourceFile, TakeError, TakeFile, Taken};
use crate::model::{BlobHash, BlobKey};
use crate::runtime::{self, BlockingPool};

/// How long a copy waits for memory that others hold.
const MEMORY_WAIT: Duration = Duration::from_secs(10);
/// Files of which it is remembered that they are no containers.
const REMEMBERED: u64 = 100_000;

/// A store whose copies read as the originals, whether they lie as these, or recompressed.
///
/// A recompressed copy is looked at whole when it is opened, and decoded while it is read: its reads are passes
/// ([`BlobRead::is_sequential`]), it has no file, and whether it is the original is for [`super::VerifyStore`] to say. What is written, listed and
/// deleted goes through unchanged: a container is written by [`Staged::publish_as`] with what [`encode`] gave.
#[derive(Debug)]
pub struct ColdStore<S> {
    inner: S,
    reader: Reader,
}

/// Has copies read as the originals. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Reader {
    decoding: Decoding,
    /// As they were when their first bytes were read.
    raw: Cache<BlobKey, FileVersion>,
}

/// Another place that may have recompressed copies.
#[derive(Debug)]
struct ColdSource {
    source: Arc<dyn BlobSource>,
    reader: Reader,
}

#[async_trait]
impl BlobSource for ColdSource {
    fn name(&self) -> &'static str {
        self.source.name()
    }

    async fn fetch(&self, key: &BlobKey) -> Result<Arc<dyn BlobRead>, BlobError> {
        self.reader.read(key, self.source.fetch(key).await?).await
    }
}

/// Where copies are decoded, and in how much memory.
#[derive(Debug, Clone)]
struct Decoding {
    pool: BlockingPool,
    /// One permit a KiB.
    memory: Arc<Semaphore>,
    memory_kib: u32,
}

impl Decoding {
    /// Waits for as much; where one takes more than there is, for all.
    ///
    /// # Errors
    /// [`BlobError::Busy`] where others have it for too long.
    async fn take_memory(&self, kib: u32) -> Result<OwnedSemaphorePermit, BlobError> {
        let kib = kib.min(self.memory_kib);
        match self.memory.clone().try_acquire_many_owned(kib) {
            Ok(taken) => return Ok(taken),
            Err(TryAcquireError::Closed) => return Err(BlobError::Closed),
            Err(TryAcquireError::NoPermits) => {}
        }
        let taken = self.memory.clone().acquire_many_owned(kib);
        runtime::timeout(MEMORY_WAIT, taken).await.ok_or(BlobError::Busy)?.map_err(|_| BlobError::Closed)
    }
}

impl<S: BlobStore> ColdStore<S> {
    /// Decorates `inner`. Copies are decoded on `pool`, as many at once as it has threads and without waiting for their readers, and with what waits for
    /// those they take no more than `memory_bytes`, unless a single one does.
    pub fn new(inner: S, pool: BlockingPool, memory_bytes: u64) -> Self {
        Self { inner, reader: Reader::new(pool, memory_bytes) }
    }
}

impl Reader {
    /// See [`ColdStore::new`].
    pub(super) fn new(pool: BlockingPool, memory_bytes: u64) -> Self {
        let memory_kib = u32::try_from(memory_bytes >> 10).unwrap_or(u32::MAX).max(1);
        let decoding = Decoding { pool, memory: Arc::new(Semaphore::new(memory_kib as usize)), memory_kib };
        Self { decoding, raw: Cache::new(REMEMBERED) }
    }

    /// This copy as its original.
    pub(super) async fn read(&self, key: &BlobKey, stored: Arc<dyn BlobRead>) -> Result<Arc<dyn BlobRead>, BlobError> {
        let version = stored.version();
        if version.is_some() && self.raw.get(key) == version {
            return Ok(stored);
        }
        let size_bytes = stored.size_bytes();
        let length = HEAD_BYTES.min(usize::try_from(size_bytes).unwrap_or(HEAD_BYTES));
        let beginning = stored.read_at(0, length).await?;
        match container::read(&beginning, size_bytes) {
            Beginning::Raw if stored.is_sequential() => Ok(Arc::new(BegunRead { beginning, stored })),
            Beginning::Raw => {
                if let Some(version) = version {
                    self.raw.insert(*key, version);
                }
                Ok(stored)
            }
            Beginning::Container(head) if head.original_hash == key.hash => {
                Ok(Arc::new(ColdRead::open(*key, head, stored, self.decoding.clone()).await?))
            }
            Beginning::Container(head) => Err(BlobError::Damaged { key: *key, damage: Damage::Content { found: head.original_hash } }),
            Beginning::Damaged => {
                Err(BlobError::Damaged { key: *key, damage: Damage::Undecodable("its head is not as it was written".to_owned()) })
            }
            Beginning::Newer => {
                Err(BlobError::Refused { reason: format!("copy {key} was recompressed by a newer version of this program") })
            }
        }
    }
}

#[async_trait]
impl<S: BlobStore> BlobStore for ColdStore<S> {
    async fn stage(&self, expected_bytes: Option<u64>) -> Result<Box<dyn Staged>, BlobError> {
        self.inner.stage(expected_bytes).await
    }

    async fn stage_file(&self, source: &SourceFile, how: TakeFile) -> Result<(Box<dyn Staged>, Taken), TakeError> {
        self.inner.stage_file(source, how).await
    }

    async fn open(&self, key: &BlobKey) -> Result<Arc<dyn BlobRead>, BlobError> {
        self.reader.read(key, self.inner.open(key).await?).await
    }

    async fn open_part(&self, key: &BlobKey, part: Range<u64>) -> Result<Arc<dyn BlobRead>, BlobError> {
        self.reader.read(key, self.inner.open_part(key, part).await?).await
    }

    fn elsewhere(&self) -> Vec<Arc<dyn BlobSource>> {
        let cold = |source| Arc::new(ColdSource { source, reader: self.reader.clone() }) as Arc<dyn BlobSource>;
        self.inner.elsewhere().into_iter().map(cold).collect()
    }

    async fn stored_bytes(&self, key: &BlobKey) -> Result<u64, BlobError> {
        self.inner.stored_bytes(key).await
    }

    async fn copies(&self, hash: &BlobHash) -> Result<Vec<BlobKey>, BlobError> {
        self.inner.copies(hash).await
    }

    async fn delete(&self, key: &BlobKey) -> Result<Deletion, BlobError> {
        self.reader.raw.invalidate(key);
        self.inner.delete(key).await
    }

    fn inventory(&self) -> Box<dyn Inventory> {
        self.inner.inventory()
    }

    async fn marker(&self) -> Result<Option<Marker>, BlobError> {
        self.inner.marker().await
    }

    async fn claim(&self, expected: Option<Marker>, new: Marker) -> Result<(), BlobError> {
        self.inner.claim(expected, new).await
    }

    async fn probe(&self) -> Result<(), BlobError> {
        self.inner.probe().await
    }

    async fn usage(&self) -> Result<Option<Usage>, BlobError> {
        self.inner.usage().await
    }

    fn backlog(&self) -> Option<Backlog> {
        self.inner.backlog()
    }
}

/// An open copy that is read in passes, of which the beginning is at hand: a pass goes on where that ends.
#[derive(Debug)]
struct BegunRead {
    beginning: Bytes,
    stored: Arc<dyn BlobRead>,
}

#[async_trait]
impl BlobRead for BegunRead {
    fn size_bytes(&self) -> u64 {
        self.stored.size_bytes()
    }

    fn version(&self) -> Option<FileVersion> {
        self.stored.version()
    }

    fn is_unchanged(&self) -> bool {
        self.stored.is_unchanged()
    }

    fn is_sequential(&self) -> bool {
        true
    }

    fn is_seekable(&self) -> bool {
        self.stored.is_seekable()
    }

    async fn read_at(&self, offset: u64, length: usize) -> Result<Bytes, BlobError> {
        let begun = usize::try_from(offset).ok().and_then(|offset| self.beginning.get(offset..)).unwrap_or_default();
        if begun.is_empty() {
            return self.stored.read_at(offset, length).await;
        }
        let begun = begun.get(..length).unwrap_or(begun);
        let mut all = BytesMut::with_capacity(length);
        all.extend_from_slice(begun);
        if begun.len() < length {
            all.extend_from_slice(&self.stored.read_at(offset + begun.len() as u64, length - begun.len()).await?);
        }
        Ok(all.freeze())
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        self.stored.as_fd()
    }
}
