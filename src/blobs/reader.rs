//! A store that a site has open, as another process reads it: nothing is locked, claimed, written or removed.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::cold::Reader as ColdReader;
use super::{BlobError, BlobRead, BlobStore, DerivedKind, DerivedStore, DiskReader};
use crate::model::{BlobHash, BlobKey};
use crate::runtime::BlockingPool;

/// What is read of such a store.
#[async_trait]
trait Readable: Send + Sync + Debug + 'static {
    /// See [`BlobStore::copies`].
    async fn copies(&self, hash: &BlobHash) -> Result<Vec<BlobKey>, BlobError>;
    /// See [`BlobStore::open`].
    async fn open(&self, key: &BlobKey) -> Result<Arc<dyn BlobRead>, BlobError>;
    /// See [`DerivedStore::get_derived`].
    async fn derived(&self, kind: DerivedKind, of: &BlobHash) -> Result<Option<Bytes>, BlobError>;
}

#[async_trait]
impl<S: BlobStore + DerivedStore> Readable for S {
    async fn copies(&self, hash: &BlobHash) -> Result<Vec<BlobKey>, BlobError> {
        BlobStore::copies(self, hash).await
    }

    async fn open(&self, key: &BlobKey) -> Result<Arc<dyn BlobRead>, BlobError> {
        BlobStore::open(self, key).await
    }

    async fn derived(&self, kind: DerivedKind, of: &BlobHash) -> Result<Option<Bytes>, BlobError> {
        self.get_derived(kind, of).await
    }
}

#[async_trait]
impl Readable for DiskReader {
    async fn copies(&self, hash: &BlobHash) -> Result<Vec<BlobKey>, BlobError> {
        BlobStore::copies(self, hash).await
    }

    async fn open(&self, key: &BlobKey) -> Result<Arc<dyn BlobRead>, BlobError> {
        BlobStore::open(self, key).await
    }

    async fn derived(&self, kind: DerivedKind, of: &BlobHash) -> Result<Option<Bytes>, BlobError> {
        DiskReader::derived(self, kind, *of).await
    }
}

/// Reads what a site keeps, recompressed or not. Cheap to clone.
#[derive(Debug, Clone)]
pub struct StoreReader {
    store: Arc<dyn Readable>,
    cold: ColdReader,
    hashing: BlockingPool,
}

/// Where the work of a [`StoreReader`] is done.
#[derive(Debug, Clone)]
pub struct ReaderPools {
    /// Recompressed copies are decoded here.
    pub decoding: BlockingPool,
    /// In no more memory than this, unless a single one takes more; see [`super::ColdStore::new`].
    pub decoding_bytes: u64,
    /// What was read is hashed here.
    pub hashing: BlockingPool,
}

/// What a store has of a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadBlob {
    /// Its bytes, whole, which are what its hash names.
    Good(Bytes),
    /// Copies, none of which is good.
    Damaged,
    /// None.
    Absent,
}

impl StoreReader {
    /// Reads a store in a directory.
    pub fn of_disk(store: DiskReader, pools: ReaderPools) -> Self {
        Self::of(Arc::new(store), pools)
    }

    /// Reads a store: nothing else of it is used.
    pub fn of_store(store: impl BlobStore + DerivedStore, pools: ReaderPools) -> Self {
        Self::of(Arc::new(store), pools)
    }

    fn of(store: Arc<dyn Readable>, ReaderPools { decoding, decoding_bytes, hashing }: ReaderPools) -> Self {
        Self { store, cold: ColdReader::new(decoding, decoding_bytes), hashing }
    }

    /// A blob of this length, from any copy whose bytes are those that the hash names.
    ///
    /// # Errors
    /// What the store meets, where no copy is good: one that could not be read may be.
    pub async fn read(&self, hash: BlobHash, size_bytes: u64) -> Result<ReadBlob, BlobError> {
        let (mut found, mut failed) = (ReadBlob::Absent, None);
        for key in self.store.copies(&hash).await? {
            match self.read_copy(&key, size_bytes).await {
                Ok(Some(bytes)) => return Ok(ReadBlob::Good(bytes)),
                Ok(None) | Err(BlobError::Damaged { .. }) => found = ReadBlob::Damaged,
                // It went since it was listed.
                Err(BlobError::NotFound) => {}
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(found), Err)
    }

    /// The preview that is kept for a blob, see [`DerivedStore::get_derived`].
    ///
    /// # Errors
    /// What the store meets.
    pub async fn preview(&self, of: BlobHash) -> Result<Option<Bytes>, BlobError> {
        self.store.derived(DerivedKind::Preview, &of).await
    }

    async fn read_copy(&self, key: &BlobKey, size_bytes: u64) -> Result<Option<Bytes>, BlobError> {
        let copy = self.cold.read(key, self.store.open(key).await?).await?;
        // As long as the original, however long it is as it lies there.
        let Some(length) = usize::try_from(size_bytes).ok().filter(|_| copy.size_bytes() == size_bytes) else { return Ok(None) };
        let (bytes, hash) = (copy.read_at(0, length).await?, key.hash);
        Ok(self.hashing.run(move || (BlobHash::of(&bytes) == hash).then_some(bytes)).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blobs::contract::{key, put};
    use crate::blobs::{DiskSettings, DiskStore, MemoryStore, encode_cold};
    use crate::runtime::Runtime;

    fn pools() -> ReaderPools {
        let pool = |name| BlockingPool::new(name, 1);
        ReaderPools { decoding: pool("decoding"), decoding_bytes: 64 << 20, hashing: pool("hashing") }
    }

    fn photo() -> Bytes {
        std::fs::read(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/photos/hubble.jpg")).unwrap().into()
    }

    async fn put_cold(store: &dyn BlobStore, original: &[u8], nonce: u8) -> BlobKey {
        let (encoded, key) = (encode_cold(original).unwrap(), key(original, nonce));
        let mut staged = store.stage(Some(encoded.bytes().len() as u64)).await.unwrap();
        staged.write(encoded.bytes().clone()).await.unwrap();
        staged.publish_as(&key, encoded.content()).await.unwrap();
        key
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_another_process_has_on_a_disk_is_read_recompressed_or_not() {
        let directory = tempfile::tempdir().unwrap();
        let (root, io) = (directory.path().join("store"), BlockingPool::new("blobs", 1));
        let disk = DiskStore::open(&root, Runtime::system(), io.clone(), DiskSettings::default()).await.unwrap();
        let reader = StoreReader::of_disk(DiskReader::open(&root, Runtime::system(), io, None).await.unwrap(), pools());
        let original = photo();
        let (hash, size) = (BlobHash::of(&original), original.len() as u64);
        assert_eq!(reader.read(hash, size).await.unwrap(), ReadBlob::Absent);
        let cold = put_cold(&disk, &original, 1).await;
        assert!(disk.stored_bytes(&cold).await.unwrap() < size);
        assert_eq!(reader.read(hash, size).await.unwrap(), ReadBlob::Good(original.clone()));
        put(&disk, &original, 2).await.unwrap();
        assert_eq!(reader.read(hash, size).await.unwrap(), ReadBlob::Good(original));
        assert_eq!(reader.read(hash, size + 1).await.unwrap(), ReadBlob::Damaged, "whoever says so is wrong of it, too");
        disk.put_derived(DerivedKind::Preview, &hash, "preview".into()).await.unwrap();
        assert_eq!(reader.preview(hash).await.unwrap(), Some("preview".into()));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_is_damaged_is_told_from_what_is_not_there_and_what_cannot_be_read() {
        let store = MemoryStore::new();
        let reader = StoreReader::of_store(store.clone(), pools());
        let original = photo();
        let (hash, size) = (BlobHash::of(&original), original.len() as u64);
        let cold = put_cold(&store, &original, 1).await;
        assert!(store.corrupt(&cold));
        assert_eq!(reader.read(hash, size).await.unwrap(), ReadBlob::Damaged);
        let raw = put(&store, &original, 2).await.unwrap();
        assert_eq!(reader.read(hash, size).await.unwrap(), ReadBlob::Good(original));
        store.faults().fail(crate::blobs::Operation::Open, 0, BlobError::Away);
        assert!(store.corrupt(&raw));
        assert!(matches!(reader.read(hash, size).await, Err(BlobError::Away)), "the one that could not be read may be good");
        assert_eq!(reader.read(hash, size).await.unwrap(), ReadBlob::Damaged);
    }
}
