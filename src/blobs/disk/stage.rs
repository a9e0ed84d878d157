//! Receiving a copy. A small one whose length is known is held in memory until it is published, if it comes quickly. Of any other, chunks
//! are gathered, then hashed and written in one hop to the pool.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::Shared;
use super::holds::{Buffer, Holds};
use super::lanes::{Lane, Lanes};
use crate::blobs::digest::RunningDigests;
use crate::blobs::error::failed;
use crate::blobs::tree::Tree;
use crate::blobs::{BlobError, Content, Digests, Staged};
use crate::model::BlobKey;

/// How long a copy may be on its way and still be held whole: whoever is slow must not keep the memory from the others.
const HOLD_TIME: Duration = Duration::from_secs(10);
const GIVEN_UP: BlobError = BlobError::Internal { reason: "the copy failed or was given up before" };

/// The async side of a copy being received.
pub(in crate::blobs) struct DiskStaged {
    lanes: Lanes,
    shared: Arc<Shared>,
    received: Received,
    /// The length of a copy that may be held whole.
    holdable: Option<u64>,
    begun: Duration,
    /// Away during a hop; gone after a failure, so that nothing can be added to half a copy.
    receiving: Option<Receiving>,
}

/// Where the bytes are that came so far.
enum Received {
    /// All in memory, none in staging, none hashed.
    Held(Buffer),
    /// The same, hashed.
    Whole(Bytes),
    /// Hashed and in staging, but for the last chunks, which wait here for the next hop.
    Streamed(Buffer),
}

/// The file side: owned by whichever hop works on it.
pub(super) struct Receiving {
    pub(super) shared: Arc<Shared>,
    pub(super) path: PathBuf,
    pub(super) digests: RunningDigests,
    /// Made at the first hop that writes.
    file: Option<File>,
    /// Whether something may lie in staging: also where making the file failed.
    begun: bool,
    /// What it takes of the room for staging, in bytes.
    taken: u64,
    lane: Lane,
}

impl DiskStaged {
    pub(super) fn new(shared: Arc<Shared>, lanes: Lanes, expected_bytes: Option<u64>) -> Self {
        let holdable = expected_bytes.filter(|size| Holds::is_small(*size));
        // Nobody gets more memory for a promise: the rest of what it takes comes when this much has come.
        let first = holdable.filter(|size| *size <= shared.gather_bytes as u64).and_then(|size| shared.holds.whole(size));
        let first = first.unwrap_or_else(|| shared.gathers.gather(shared.gather_bytes));
        let (begun, receiving) = (shared.runtime.clock.monotonic(), Receiving::new(shared.clone(), lanes.io.clone()));
        Self { lanes, shared, received: Received::Held(first), holdable, begun, receiving: Some(receiving) }
    }

    /// A copy whose bytes all lie in staging, hashed.
    pub(super) fn whole(receiving: Receiving, lanes: Lanes) -> Self {
        let shared = receiving.shared.clone();
        let (begun, rest) = (shared.runtime.clock.monotonic(), shared.gathers.gather(shared.gather_bytes));
        Self { lanes, shared, received: Received::Streamed(rest), holdable: None, begun, receiving: Some(receiving) }
    }

    /// Keeps a chunk in memory; `false` where it has to go to staging.
    fn keep(&mut self, chunk: &[u8]) -> bool {
        let buffer = match &mut self.received {
            Received::Streamed(buffer) => return buffer.push(chunk),
            Received::Whole(_) => return false,
            Received::Held(buffer) => buffer,
        };
        let is_late = self.shared.runtime.clock.monotonic().saturating_sub(self.begun) > HOLD_TIME;
        let is_first = buffer.room() <= self.shared.gather_bytes;
        if (!is_late || is_first) && buffer.push(chunk) {
            return true;
        }
        let Some(mut whole) = self.holdable.filter(|_| !is_late && is_first).and_then(|size| self.shared.holds.whole(size)) else {
            return false;
        };
        let kept = whole.push(buffer.as_ref()) && whole.push(chunk);
        if kept {
            *buffer = whole;
        }
        kept
    }

    /// Does `work` where files are worked on. A failure removes the copy within the same hop.
    async fn hop<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Receiving) -> Result<T, BlobError> + Send + 'static,
    ) -> Result<T, BlobError> {
        let mut receiving = self.receiving.take().ok_or(GIVEN_UP)?;
        // Should the caller go away during the hop, then what it returns is dropped, and with it the file.
        let bytes = receiving.digests.size_bytes();
        let done = self.lanes.io.run(bytes, move || match work(&mut receiving) {
            Ok(value) => Ok((value, receiving)),
            Err(error) => {
                receiving.remove();
                Err(error)
            }
        });
        let (value, receiving) = done.await?;
        self.receiving = Some(receiving);
        Ok(value)
    }

    /// Puts everything into staging, then does `work`, in one hop.
    async fn stream<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Receiving) -> Result<T, BlobError> + Send + 'static,
    ) -> Result<T, BlobError> {
        let (gathers, room) = (self.shared.gathers.clone(), self.shared.gather_bytes);
        let (whole, mut buffer) = match std::mem::replace(&mut self.received, Received::Whole(Bytes::new())) {
            Received::Held(buffer) | Received::Streamed(buffer) => (Bytes::new(), buffer),
            Received::Whole(whole) => (whole, gathers.gather(room)),
        };
        let done = self.hop(move |receiving| {
            receiving.append(&whole)?;
            receiving.take(buffer.as_ref())?;
            if buffer.room() > room {
                // The memory to hold it whole goes to others.
                buffer = gathers.gather(room);
            }
            buffer.clear();
            Ok((work(receiving)?, buffer))
        });
        let (value, buffer) = done.await?;
        self.received = Received::Streamed(buffer);
        Ok(value)
    }

    /// Whether all of it is held in memory.
    pub(in crate::blobs) fn is_held(&self) -> bool {
        !matches!(self.received, Received::Streamed(_))
    }

    /// BLAKE3's tree of everything that was written, once its digests were asked for; where it has more than one group.
    pub(in crate::blobs) fn tree(&self) -> Option<Tree> {
        self.receiving.as_ref()?.digests.tree()
    }

    /// Exactly `length` bytes from `offset` of what was written, for a copy that was streamed as well.
    pub(in crate::blobs) async fn read_back(&mut self, offset: u64, length: usize) -> Result<Bytes, BlobError> {
        self.hash_held().await?;
        if let Received::Whole(whole) = &self.received {
            let start = usize::try_from(offset).unwrap_or(usize::MAX);
            let end = start.checked_add(length).filter(|end| *end <= whole.len());
            return end.map(|end| whole.slice(start..end)).ok_or(BlobError::Internal { reason: "a read past the end of a copy" });
        }
        self.stream(move |receiving| receiving.read_back(offset, length)).await
    }

    /// Hashes what is held in memory, on the processors' pool: work that waits for the device keeps nobody's bytes from being hashed, and as
    /// few copies as there are processors are at it, so that each is done sooner. From then on the bytes are shared: nothing is added there.
    async fn hash_held(&mut self) -> Result<(), BlobError> {
        match std::mem::replace(&mut self.received, Received::Whole(Bytes::new())) {
            Received::Held(buffer) => {
                // Away meanwhile, as during a hop.
                let mut receiving = self.receiving.take().ok_or(GIVEN_UP)?;
                let (buffer, digests) = self.shared.hashing.hash(&self.lanes.hashing, buffer).await?;
                receiving.digests = digests;
                self.receiving = Some(receiving);
                self.received = Received::Whole(Bytes::from_owner(buffer));
            }
            other => self.received = other,
        }
        Ok(())
    }
}

#[async_trait]
impl Staged for DiskStaged {
    async fn write(&mut self, chunk: Bytes) -> Result<(), BlobError> {
        if self.receiving.is_none() {
            return Err(GIVEN_UP);
        }
        if self.keep(&chunk) {
            return Ok(());
        }
        // Large chunks are not copied.
        self.stream(move |receiving| receiving.take(&chunk)).await
    }

    async fn digests(&mut self) -> Result<Digests, BlobError> {
        self.hash_held().await?;
        match &self.received {
            Received::Streamed(buffer) if !buffer.is_empty() => self.stream(|receiving| Ok(receiving.digests.finish())).await,
            _ => Ok(self.receiving.as_ref().ok_or(GIVEN_UP)?.digests.finish()),
        }
    }

    async fn contents(&mut self) -> Result<Bytes, BlobError> {
        self.hash_held().await?;
        match &self.received {
            Received::Whole(whole) if self.receiving.is_some() => Ok(whole.clone()),
            _ => self.stream(|receiving| receiving.contents()).await,
        }
    }

    async fn publish_as(mut self: Box<Self>, key: &BlobKey, content: &Content) -> Result<(), BlobError> {
        self.hash_held().await?;
        let (key, content) = (*key, *content);
        match &self.received {
            Received::Whole(whole) => {
                let whole = whole.clone();
                self.hop(move |receiving| receiving.write_whole(&whole).and_then(|()| receiving.publish(&key, &content))).await
            }
            _ => self.stream(move |receiving| receiving.publish(&key, &content)).await,
        }
    }

    async fn discard(mut self: Box<Self>) {
        if let Some(mut receiving) = self.receiving.take_if(|receiving| receiving.begun) {
            let work = move || {
                receiving.remove();
                Ok(())
            };
            // Where the pool is gone, the next opening sweeps; where the filer is away, it is removed when that is back.
            let _ = self.lanes.io.run(0, work).await;
        }
    }
}

impl Receiving {
    /// Nothing yet.
    pub(super) fn new(shared: Arc<Shared>, lane: Lane) -> Self {
        let path = shared.staging_path();
        Self { shared, path, digests: RunningDigests::default(), file: None, begun: false, taken: 0, lane }
    }

    /// Takes a file that stands under its path already.
    pub(super) fn hold(&mut self, file: File) {
        self.file = Some(file);
        self.begun = true;
    }

    /// Hashes and appends bytes.
    fn take(&mut self, bytes: &[u8]) -> Result<(), BlobError> {
        self.append(bytes)?;
        self.digests.update(bytes);
        Ok(())
    }

    /// Appends bytes that were hashed, or will be.
    fn append(&mut self, bytes: &[u8]) -> Result<(), BlobError> {
        if bytes.is_empty() {
            return Ok(());
        }
        let (shared, path) = (self.shared.clone(), self.path.clone());
        let size = bytes.len() as u64;
        let taken = shared.staged.fetch_add(size, Ordering::Relaxed);
        self.taken += size;
        if taken.saturating_add(size) > shared.staging_bytes {
            return Err(BlobError::Busy);
        }
        shared.files.write(&path, self.file()?, bytes).map_err(failed("write to staging"))
    }

    /// Writes all of a copy that was held in memory, and hashed.
    fn write_whole(&mut self, bytes: &[u8]) -> Result<(), BlobError> {
        let (shared, path) = (self.shared.clone(), self.path.clone());
        shared.files.write_direct(&path, self.file()?, bytes).map_err(failed("write to staging"))
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
        self.give_room_back();
    }

    fn give_room_back(&mut self) {
        self.shared.staged.fetch_sub(std::mem::take(&mut self.taken), Ordering::Relaxed);
    }

    /// Reads everything back.
    fn contents(&mut self) -> Result<Bytes, BlobError> {
        let size = usize::try_from(self.digests.size_bytes()).map_err(|_| BlobError::Internal { reason: "larger than memory" })?;
        self.read_back(0, size)
    }

    fn read_back(&mut self, offset: u64, length: usize) -> Result<Bytes, BlobError> {
        let (shared, path) = (self.shared.clone(), self.path.clone());
        let mut bytes = vec![0; length];
        match shared.files.read(&path, self.file()?, &mut bytes, offset) {
            Ok(read) if read == length => Ok(bytes.into()),
            Ok(_) => Err(io::ErrorKind::UnexpectedEof.into()),
            Err(error) => Err(error),
        }
        .map_err(failed("read back from staging"))
    }

    /// Removes the file, on this thread.
    pub(super) fn remove(&mut self) {
        self.file = None;
        self.give_room_back();
        if std::mem::take(&mut self.begun) {
            // Best effort: what is left is swept at the next opening.
            let _ = self.shared.files.remove(&self.path);
        }
    }
}

impl Drop for Receiving {
    /// The client has left. Removing may wait for the device, so it is not done on this thread if there is another.
    fn drop(&mut self) {
        self.give_room_back();
        if !std::mem::take(&mut self.begun) {
            return;
        }
        let file = self.file.take();
        let (shared, path) = (self.shared.clone(), std::mem::take(&mut self.path));
        self.lane.let_go(move || {
            drop(file);
            let _ = shared.files.remove(&path);
        });
    }
}

#[cfg(test)]
mod tests;
