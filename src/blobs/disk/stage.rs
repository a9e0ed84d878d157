//! Receiving a copy: chunks are gathered, then hashed and written in one hop to the pool.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::Shared;
use super::buffers::Buffers;
use crate::blobs::digest::RunningDigests;
use crate::blobs::error::failed;
use crate::blobs::{BlobError, Digests, Staged};
use crate::model::BlobKey;
use crate::runtime::{BlockingPool, spawn};

/// What a gathering buffer begins with: most uploads are larger, thumbnails of tests are not.
const FIRST_GATHER_BYTES: usize = 16 * 1024;
const GIVEN_UP: BlobError = BlobError::Internal { reason: "the copy failed or was given up before" };

/// The async side of a copy being received.
pub(super) struct DiskStaged {
    pool: BlockingPool,
    gathers: Arc<Buffers>,
    /// Chunks that wait for the next hop; always fewer than a buffer holds.
    gathered: Vec<u8>,
    /// All that was received, where it came in one hop: for the decoder, who need not read it back. Else empty.
    whole: Vec<u8>,
    /// Away during a hop; gone after a failure, so that nothing can be added to half a copy.
    receiving: Option<Receiving>,
}

/// The file side: owned by whichever hop works on it.
pub(super) struct Receiving {
    pub(super) shared: Arc<Shared>,
    pub(super) path: PathBuf,
    pub(super) digests: RunningDigests,
    /// Made at the first hop.
    file: Option<File>,
    /// Whether something may lie in staging: also where making the file failed.
    begun: bool,
    pool: BlockingPool,
}

impl DiskStaged {
    pub(super) fn new(shared: Arc<Shared>, pool: BlockingPool) -> Self {
        let (path, gathers) = (shared.staging_path(), shared.gathers.clone());
        let receiving = Receiving { shared, path, digests: RunningDigests::default(), file: None, begun: false, pool: pool.clone() };
        Self { pool, gathers, gathered: Vec::new(), whole: Vec::new(), receiving: Some(receiving) }
    }

    /// Takes what was gathered, then does `work`, in one hop. A failure removes the copy within the same hop.
    async fn hop<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Receiving) -> Result<T, BlobError> + Send + 'static,
    ) -> Result<T, BlobError> {
        let mut receiving = self.receiving.take().ok_or(GIVEN_UP)?;
        let gathered = std::mem::take(&mut self.gathered);
        // Should the caller go away during the hop, then what it returns is dropped, and with it the file.
        let done = self.pool.run(move || match receiving.take(&gathered).and_then(|()| work(&mut receiving)) {
            Ok(value) => Ok((value, receiving, gathered)),
            Err(error) => {
                receiving.remove();
                Err(error)
            }
        });
        let (value, receiving, mut gathered) = done.await??;
        let received = receiving.digests.size_bytes();
        self.receiving = Some(receiving);
        if received == gathered.len() as u64 {
            self.whole = gathered;
        } else {
            gathered.clear();
            self.gathered = gathered;
        }
        Ok(value)
    }

    /// Keeps a small chunk; what is gathered stays smaller than a buffer.
    fn gather(&mut self, chunk: &[u8]) {
        let needed = self.gathered.len() + chunk.len();
        if needed > self.gathered.capacity() {
            let mut larger = if needed <= FIRST_GATHER_BYTES { Vec::with_capacity(FIRST_GATHER_BYTES) } else { self.gathers.take() };
            larger.clear();
            larger.extend_from_slice(&self.gathered);
            self.gathered = larger;
        }
        self.gathered.extend_from_slice(chunk);
    }
}

impl Drop for DiskStaged {
    fn drop(&mut self) {
        self.gathers.give_back(std::mem::take(&mut self.gathered));
        self.gathers.give_back(std::mem::take(&mut self.whole));
    }
}

#[async_trait]
impl Staged for DiskStaged {
    async fn write(&mut self, chunk: Bytes) -> Result<(), BlobError> {
        if self.receiving.is_none() {
            return Err(GIVEN_UP);
        }
        self.gathers.give_back(std::mem::take(&mut self.whole));
        if self.gathered.len() + chunk.len() < self.gathers.size_bytes() {
            self.gather(&chunk);
            return Ok(());
        }
        // Large chunks are not copied.
        self.hop(move |receiving| receiving.take(&chunk)).await
    }

    async fn digests(&mut self) -> Result<Digests, BlobError> {
        match &self.receiving {
            Some(receiving) if self.gathered.is_empty() => Ok(receiving.digests.finish()),
            _ => self.hop(|receiving| Ok(receiving.digests.finish())).await,
        }
    }

    async fn contents(&mut self) -> Result<Bytes, BlobError> {
        if self.receiving.is_some() && self.gathered.is_empty() && !self.whole.is_empty() {
            return Ok(self.gathers.lent(std::mem::take(&mut self.whole)));
        }
        self.hop(|receiving| receiving.contents()).await
    }

    async fn publish(mut self: Box<Self>, key: &BlobKey) -> Result<(), BlobError> {
        let key = *key;
        self.hop(move |receiving| receiving.publish(&key)).await?;
        // Published: nothing of it is in staging any more.
        Ok(())
    }

    async fn discard(mut self: Box<Self>) {
        if let Some(mut receiving) = self.receiving.take() {
            // Where the pool is gone, the next opening sweeps.
            let _ = self.pool.run(move || receiving.remove()).await;
        }
    }
}

impl Receiving {
    /// Hashes and appends bytes.
    fn take(&mut self, bytes: &[u8]) -> Result<(), BlobError> {
        if bytes.is_empty() {
            return Ok(());
        }
        let (shared, path) = (self.shared.clone(), self.path.clone());
        shared.files.write(&path, self.file()?, bytes).map_err(failed("write to staging"))?;
        self.digests.update(bytes);
        Ok(())
    }

    /// The file, made where it does not exist yet.
    pub(super) fn file(&mut self) -> Result<&File, BlobError> {
        let made = match self.file.take() {
            Some(file) => file,
            None => {
                let made = self.shared.files.create(&self.path);
                // Only a file of another's, which random names rule out, is left alone.
                self.begun = !made.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::AlreadyExists);
                made.map_err(failed("create a file in staging"))?
            }
        };
        Ok(self.file.insert(made))
    }

    /// Lets go of the file without removing its name: it has been published, or removed.
    pub(super) fn release(&mut self) {
        self.file = None;
        self.begun = false;
    }

    fn contents(&mut self) -> Result<Bytes, BlobError> {
        let size = usize::try_from(self.digests.size_bytes()).map_err(|_| BlobError::Internal { reason: "larger than memory" })?;
        let (shared, path) = (self.shared.clone(), self.path.clone());
        let file = self.file()?;
        shared
            .wholes
            .filled(size, |bytes| match shared.files.read(&path, file, bytes, 0) {
                Ok(read) if read == size => Ok(()),
                Ok(_) => Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error) => Err(error),
            })
            .map_err(failed("read back from staging"))
    }

    /// Removes the file, on this thread.
    fn remove(&mut self) {
        self.file = None;
        if std::mem::take(&mut self.begun) {
            // Best effort: what is left is swept at the next opening.
            let _ = self.shared.files.remove(&self.path);
        }
    }
}

impl Drop for Receiving {
    /// The client has left. Removing may wait for the device, so it is not done on this thread if there is another.
    fn drop(&mut self) {
        if !std::mem::take(&mut self.begun) {
            return;
        }
        let file = self.file.take();
        let (shared, path, pool) = (self.shared.clone(), std::mem::take(&mut self.path), self.pool.clone());
        let remove = move || {
            drop(file);
            let _ = shared.files.remove(&path);
        };
        if tokio::runtime::Handle::try_current().is_ok() {
            spawn(async move {
                let _ = pool.run(remove).await;
            });
        } else {
            remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blobs::{DiskSettings, DiskStore};
    use crate::runtime::Runtime;

    /// A copy to be received in gathers of 100,000 bytes, and the directory that it lies in.
    async fn receiving() -> (tempfile::TempDir, DiskStaged) {
        let directory = tempfile::tempdir().unwrap();
        let (pool, settings) = (BlockingPool::new("blobs", 2), DiskSettings { gather_bytes: 100_000, ..DiskSettings::default() });
        let store = DiskStore::open(directory.path(), Runtime::system(), pool.clone(), settings).await.unwrap();
        (directory, DiskStaged::new(store.shared.clone(), pool))
    }

    #[tokio::test]
    async fn an_upload_of_tiny_chunks_takes_no_more_memory_than_agreed() {
        let (_directory, mut staged) = receiving().await;
        for _ in 0..3000 {
            staged.write(Bytes::from_static(&[7; 333])).await.unwrap();
            assert!(staged.gathered.capacity() <= 100_000, "{}", staged.gathered.capacity());
        }
        assert_eq!(staged.digests().await.unwrap(), Digests::of(&[7; 333].repeat(3000)));
    }

    #[tokio::test]
    async fn what_came_in_one_hop_is_not_read_back_and_stays_right_when_more_comes() {
        let (_directory, mut staged) = receiving().await;
        let mut all = vec![];
        // Below the gathering buffer, up to it, past it, and nothing more.
        for (value, length) in [(1, 40_000), (2, 30_000), (3, 99_999), (4, 0)] {
            all.extend(std::iter::repeat_n(value, length));
            staged.write(Bytes::from(vec![value; length])).await.unwrap();
            assert_eq!(staged.digests().await.unwrap(), Digests::of(&all));
            assert_eq!(staged.whole.len(), if value == 1 { 40_000 } else { 0 }, "{value}");
            for _ in 0..2 {
                assert_eq!(staged.contents().await.unwrap(), all, "{value}");
            }
        }
    }
}
