//! The durable disk store.
//!
//! A copy is streamed into `staging/` while it is hashed, or held in memory and written there at once (`stage`), then moved to its final
//! name, synced there, and its directory synced (`publish`). The process that has a store open holds its lock (`open`); what an earlier one
//! left in staging is removed once the store is known as its own. After a sync that failed nothing is made durable any more (`standing`): a
//! second one may lie.

#[cfg(test)]
mod faults;
#[cfg(test)]
pub(super) mod tests;

mod buffers;
mod delete;
mod derived;
mod fan_out;
mod files;
mod hashing;
mod holds;
mod inventory;
mod lanes;
mod lock;
mod make;
mod marker;
mod mount;
mod open;
mod probe;
mod publish;
mod read;
mod reader;
mod stage;
mod standing;
mod take;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;

use self::buffers::Buffers;
use self::fan_out::FanOut;
use self::files::Files;
use self::hashing::Hashing;
use self::holds::Holds;
use self::lanes::Lanes;
use self::lock::Lock;
pub use self::make::make_directory_durably;
pub use self::mount::is_on_nfs;
pub use self::reader::DiskReader;
pub(super) use self::stage::DiskStaged;
use self::standing::Standing;
use super::store::{BlobRead, BlobStore, Deletion, Inventory, Marker, Staged, Usage};
use super::{BlobError, SourceFile, TakeError, TakeFile, Taken};
use crate::model::{BlobHash, BlobKey};
use crate::runtime::{BlockingPool, Runtime};

/// How a disk store behaves.
#[derive(Debug, Clone)]
pub struct DiskSettings {
    /// Whether a store is set up where there is none. `false` for a site that has blobs already: a disk that was not mounted is then
    /// an error, not an empty store.
    pub create: bool,
    /// Whether a store that was set up may lack the directory of its copies, which is then made: tools that copy stores leave out empty directories.
    /// `false` for a site that has blobs: to that a missing directory is an error, not an empty store.
    pub may_be_empty: bool,
    /// Small chunks of an upload that is streamed are gathered to this many bytes before they are hashed and written: the memory that it
    /// may take here, beside the chunk at hand.
    pub gather_bytes: usize,
    /// Memory in which copies of up to 8 MiB, whose length is known, are held whole until they are published: written at once and past the
    /// page cache. Those for which there is no room are streamed to staging.
    pub hold_bytes: usize,
    /// What copies that are streamed may take in staging, all together, in bytes. Past it uploads are told to come again.
    pub staging_bytes: u64,
    /// Where the directory lies on a filer (NFS): how that is lived with.
    pub filer: Option<FilerSettings>,
}

/// How a store on a filer (NFS) behaves.
///
/// A call that does not answer within the deadline is told as [`BlobError::Unavailable`], while its thread waits on; where all threads do,
/// calls are refused at once, until one of them comes back. Copies are read in passes ([`BlobRead::is_sequential`]), so that what is given
/// out is checked by its hash alone: no time of a file is trusted.
#[derive(Debug, Clone)]
pub struct FilerSettings {
    /// The longest that a call is waited for; what moves bytes has a second more for each 4 MiB, what lists directories six times as long.
    pub deadline: Duration,
    /// Whether the directory has to lie on an NFS mount, a hard one. `false` for tests, which have none.
    pub check_mount: bool,
}

impl Default for DiskSettings {
    fn default() -> Self {
        Self { create: true, may_be_empty: false, gather_bytes: 256 << 10, hold_bytes: 128 << 20, staging_bytes: u64::MAX, filer: None }
    }
}

/// Where a store's blocking work runs.
#[derive(Debug, Clone)]
pub struct DiskPools {
    /// What may wait for the device. As many at once as the device does well.
    pub io: BlockingPool,
    /// Whole copies that are read to be checked, which takes long. Fewer at once than `io` does, and apart from it, so that they hold up nothing.
    pub verifying: BlockingPool,
    /// The digests of copies that are held in memory, which wait for nothing. As many at once as there are processors.
    pub hashing: BlockingPool,
}

impl From<BlockingPool> for DiskPools {
    /// All on one, where throughput is of no concern.
    fn from(pool: BlockingPool) -> Self {
        Self { io: pool.clone(), verifying: pool.clone(), hashing: pool }
    }
}

/// Blobs in a directory of a local file system, or of a filer. Cheap to clone; the directory is locked until the last clone, and everything that was
/// staged or opened through it, is gone.
///
/// Every call that may wait for the device, or takes long, runs on the given pools.
#[derive(Debug, Clone)]
pub struct DiskStore {
    shared: Arc<Shared>,
    lanes: Lanes,
}

/// What the parts of a store share.
#[derive(Debug)]
struct Shared {
    root: PathBuf,
    files: Files,
    fan_out: FanOut,
    runtime: Runtime,
    gather_bytes: usize,
    /// What every upload begins in, and one that is streamed gathers in.
    gathers: Arc<Holds>,
    /// What small ones are held whole in.
    holds: Arc<Holds>,
    /// What hashes those.
    hashing: Arc<Hashing>,
    /// What copies are read through.
    pieces: Buffers,
    /// One claim at a time in this process; `lock` keeps others out.
    claims: Mutex<()>,
    standing: Standing,
    /// What lies in staging of copies that are being streamed, in bytes, and the most that may.
    staged: AtomicU64,
    staging_bytes: u64,
    /// Cleared where the file system turns out not to know reads that do not wait.
    reads_cached: AtomicBool,
    /// The file system (`st_dev`) of which it was found last that its files' blocks cannot be shared; 0: none.
    clones_none_of: AtomicU64,
    /// Whether it lies on a filer.
    is_filer: bool,
    /// Locked for as long as this lives; `None` where it is only read.
    _lock: Option<Lock>,
}

impl DiskStore {
    /// Opens the store in the directory `root`, and sets one up, durably, where there is none and the settings allow it. Takes the
    /// directory's lock; what lies in staging is left alone, see [`DiskStore::sweep`]. The work runs on `pools`, as does all later work.
    ///
    /// # Errors
    /// [`BlobError::InUse`] where another process has it open; [`BlobError::Refused`] where what lies there is no store, only part of
    /// one, or of a newer layout.
    pub async fn open(root: &Path, runtime: Runtime, pools: impl Into<DiskPools>, settings: DiskSettings) -> Result<Self, BlobError> {
        let (root, lanes) = (root.to_owned(), Lanes::new(pools.into(), settings.filer.as_ref(), &runtime.clock));
        let shared = lanes.io.run_long(move || Shared::open(root, runtime, settings)).await?;
        Ok(Self { shared: Arc::new(shared), lanes })
    }

    /// Removes what an earlier process left in staging. Only for whoever has read the marker and found the store to be its own: in a
    /// store that was opened by mistake nothing is touched.
    ///
    /// # Errors
    /// What the backend meets.
    pub async fn sweep(&self) -> Result<(), BlobError> {
        self.run_long(Shared::sweep).await
    }

    /// Makes the directories that copies will lie in, all that are missing, and their names durable, so that no upload waits for one; answers
    /// how many were missing. `None` where the file system is so small (64 GiB), or so full, that they would be felt: there each is made
    /// when it is first needed, as it is where this was not asked for; also on a filer, which would take minutes. Only for whoever has found the store to be its own.
    ///
    /// # Errors
    /// What the backend meets; [`BlobError::NoSpace`] leaves a store that can be used.
    pub async fn prepare(&self) -> Result<Option<usize>, BlobError> {
        if self.shared.is_filer {
            return Ok(None);
        }
        self.run(Shared::prepare).await
    }

    /// Whether there are any copies, or were, or directories for them: only a store that was never used, nor prepared, has none.
    ///
    /// # Errors
    /// What the backend meets.
    pub async fn was_used(&self) -> Result<bool, BlobError> {
        self.run(Shared::was_used).await
    }

    /// The store's directory.
    pub fn root(&self) -> &Path {
        &self.shared.root
    }

    /// How many times the device has failed to make bytes or names durable since the store was opened; a full disk is not counted. From
    /// the first one on the store takes and deletes nothing, see [`BlobError::Suspect`]; but for one on a filer, where no sync speaks for
    /// another's bytes.
    pub fn sync_failures(&self) -> u64 {
        self.shared.standing.sync_failures()
    }

    /// Whether it lies on a filer, which may have given the lock to another machine after ours was silent for long.
    pub fn is_on_filer(&self) -> bool {
        self.shared.is_filer
    }

    /// Whether it lies on a filer that does not answer: every thread waits for it longer than it may, and what needs it is refused at once.
    pub fn is_away(&self) -> bool {
        self.lanes.io.is_away()
    }

    /// Memory in which copies are held whole until they are published: lent out now, and what there is, in bytes.
    pub fn hold_bytes(&self) -> (u64, u64) {
        (self.shared.holds.lent_bytes() as u64, self.shared.holds.limit_bytes() as u64)
    }

    /// Begins to receive a copy, as [`BlobStore::stage`]: for stores that only receive in this one.
    pub(super) fn stage_here(&self, expected_bytes: Option<u64>) -> Result<DiskStaged, BlobError> {
        self.shared.standing.require_sound()?;
        // Before anything is received that could not be kept.
        self.lanes.io.require_there()?;
        Ok(DiskStaged::new(self.shared.clone(), self.lanes.clone(), expected_bytes))
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce(&Shared) -> Result<T, BlobError> + Send + 'static) -> Result<T, BlobError> {
        let shared = self.shared.clone();
        self.lanes.io.run(0, move || work(&shared)).await
    }

    /// What makes many calls.
    async fn run_long<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> Result<T, BlobError> + Send + 'static,
    ) -> Result<T, BlobError> {
        let shared = self.shared.clone();
        self.lanes.io.run_long(move || work(&shared)).await
    }
}

#[async_trait]
impl BlobStore for DiskStore {
    async fn stage(&self, expected_bytes: Option<u64>) -> Result<Box<dyn Staged>, BlobError> {
        Ok(Box::new(self.stage_here(expected_bytes)?))
    }

    async fn stage_file(&self, source: &SourceFile, how: TakeFile) -> Result<(Box<dyn Staged>, Taken), TakeError> {
        self.take_file(source, how).await
    }

    async fn open(&self, key: &BlobKey) -> Result<Arc<dyn BlobRead>, BlobError> {
        let (key, shared) = (*key, self.shared.clone());
        let lane = self.lanes.io.clone();
        let opened = self.lanes.io.run(0, move || read::open(shared, lane, &key)).await?;
        Ok(Arc::new(read::DiskRead::new(opened, self.lanes.clone())))
    }

    async fn copies(&self, hash: &BlobHash) -> Result<Vec<BlobKey>, BlobError> {
        let hash = *hash;
        self.run(move |shared| shared.copies(&hash)).await
    }

    async fn delete(&self, key: &BlobKey) -> Result<Deletion, BlobError> {
        let key = *key;
        self.run(move |shared| shared.delete(&key)).await
    }

    fn inventory(&self) -> Box<dyn Inventory> {
        Box::new(inventory::DiskInventory::new(self.shared.clone(), self.lanes.clone()))
    }

    async fn marker(&self) -> Result<Option<Marker>, BlobError> {
        self.run(Shared::marker).await
    }

    async fn claim(&self, expected: Option<Marker>, new: Marker) -> Result<(), BlobError> {
        self.run(move |shared| shared.claim(expected, new)).await
    }

    async fn probe(&self) -> Result<(), BlobError> {
        self.run(Shared::probe).await
    }

    async fn usage(&self) -> Result<Option<Usage>, BlobError> {
        self.run(|shared| shared.usage().map(Some)).await
    }
}
