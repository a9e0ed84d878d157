//! A store in memory that fails as a [`Plan`] says.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use halidom::blobs::{
    BlobError, BlobRead, BlobStore, Content, Damage, Deletion, Digests, FileVersion, Inventory, InventoryItem, Marker, MemoryStore,
    Operation, Staged, Usage,
};
use halidom::model::{BlobHash, BlobKey};

use super::plan::{Fault, Life, Plan, away, mix};

/// One life's view of a store: what a dead process had under way does nothing to it.
#[derive(Debug, Clone)]
pub struct FaultyStore {
    inner: MemoryStore,
    door: Door,
    /// What is read comes in passes, no two of which need give the same bytes.
    is_sequential: bool,
}

/// Where every call comes through.
#[derive(Debug, Clone)]
struct Door {
    plan: Plan,
    life: Life,
}

impl Door {
    /// Does `work` as the plan has it. `Torn`, `Short` and `Flipped` are the caller's to do.
    async fn pass<T, W: Future<Output = Result<T, BlobError>> + Send>(
        &self,
        call: Operation,
        about: u64,
        work: impl FnOnce(Option<Fault>) -> W + Send,
    ) -> Result<T, BlobError> {
        if self.life.is_over() {
            return Err(BlobError::Closed);
        }
        let fault = self.plan.draw(call, about);
        match fault {
            None | Some(Fault::Torn | Fault::Short | Fault::Flipped) => work(fault).await,
            Some(Fault::Before | Fault::Metadata) => Err(away()),
            Some(Fault::NoSpace) => Err(BlobError::NoSpace),
            Some(Fault::LostAnswer) => work(None).await.and(Err(away())),
            Some(Fault::Hang) => {
                self.plan.hang().await;
                if self.life.is_over() { Err(BlobError::Closed) } else { work(None).await }
            }
            Some(Fault::CrashBefore) => self.plan.die(&self.life).await,
            Some(Fault::CrashAfter) => {
                let _ = work(None).await;
                self.plan.die(&self.life).await
            }
        }
    }
}

/// A number for the dice.
fn number(hash: &BlobHash) -> u64 {
    hash.as_bytes().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

impl FaultyStore {
    pub fn new(inner: MemoryStore, plan: Plan, life: Life, is_sequential: bool) -> Self {
        Self { inner, door: Door { plan, life }, is_sequential }
    }
}

#[async_trait]
impl BlobStore for FaultyStore {
    async fn stage(&self, expected_bytes: Option<u64>) -> Result<Box<dyn Staged>, BlobError> {
        let staged = self.door.pass(Operation::Stage, 0, |_| self.inner.stage(expected_bytes)).await?;
        Ok(Box::new(FaultyStaged { staged: Some(staged), written: vec![], store: self.clone() }))
    }

    async fn open(&self, key: &BlobKey) -> Result<Arc<dyn BlobRead>, BlobError> {
        let open = |fault| async move { Ok((self.inner.open(key).await?, fault)) };
        let (copy, fault) = self.door.pass(Operation::Open, number(&key.hash), open).await?;
        // One bit of all that comes through this opening.
        let flipped = (fault == Some(Fault::Flipped)).then(|| mix(number(&key.hash)) % copy.size_bytes().max(1));
        Ok(Arc::new(FaultyRead { copy, key: *key, flipped, store: self.clone() }))
    }

    async fn copies(&self, hash: &BlobHash) -> Result<Vec<BlobKey>, BlobError> {
        self.door.pass(Operation::Copies, number(hash), |_| self.inner.copies(hash)).await
    }

    async fn delete(&self, key: &BlobKey) -> Result<Deletion, BlobError> {
        self.door.pass(Operation::Delete, number(&key.hash), |_| self.inner.delete(key)).await
    }

    fn inventory(&self) -> Box<dyn Inventory> {
        Box::new(FaultyInventory { walk: self.inner.inventory(), door: self.door.clone(), failed: false })
    }

    async fn marker(&self) -> Result<Option<Marker>, BlobError> {
        self.door.pass(Operation::Marker, 0, |_| self.inner.marker()).await
    }

    async fn claim(&self, expected: Option<Marker>, new: Marker) -> Result<(), BlobError> {
        self.door.pass(Operation::Claim, 0, |_| self.inner.claim(expected, new)).await
    }

    async fn probe(&self) -> Result<(), BlobError> {
        self.door.pass(Operation::Probe, 0, |_| self.inner.probe()).await
    }

    async fn usage(&self) -> Result<Option<Usage>, BlobError> {
        self.inner.usage().await
    }
}

struct FaultyStaged {
    /// `None` after a failure.
    staged: Option<Box<dyn Staged>>,
    written: Vec<u8>,
    store: FaultyStore,
}

impl FaultyStaged {
    /// Out of here for a call: after an error, or a call that was given up half way, the copy can only be discarded.
    fn take(&mut self) -> Result<Box<dyn Staged>, BlobError> {
        self.staged.take().ok_or(BlobError::Internal { reason: "the copy failed or was given up before" })
    }
}

#[async_trait]
impl Staged for FaultyStaged {
    async fn write(&mut self, chunk: Bytes) -> Result<(), BlobError> {
        self.written.extend_from_slice(&chunk);
        let mut staged = self.take()?;
        let taken = &mut staged;
        let done = self.store.door.pass(Operation::Write, 0, move |_| taken.write(chunk)).await?;
        self.staged = Some(staged);
        Ok(done)
    }

    async fn digests(&mut self) -> Result<Digests, BlobError> {
        let mut staged = self.take()?;
        let taken = &mut staged;
        let done = self.store.door.pass(Operation::Digests, 0, move |_| taken.digests()).await?;
        self.staged = Some(staged);
        Ok(done)
    }

    async fn contents(&mut self) -> Result<Bytes, BlobError> {
        let mut staged = self.take()?;
        let taken = &mut staged;
        let done = self.store.door.pass(Operation::Contents, 0, move |_| taken.contents()).await?;
        self.staged = Some(staged);
        Ok(done)
    }

    async fn publish_as(self: Box<Self>, key: &BlobKey, content: &Content) -> Result<(), BlobError> {
        let mut this = *self;
        let staged = this.take()?;
        let (written, store) = (&this.written, &this.store);
        let publish = move |fault| async move {
            if fault == Some(Fault::Torn) {
                drop(staged);
                store.inner.put_raw(*key, Bytes::copy_from_slice(&written[..written.len() / 2]));
                return Err(away());
            }
            staged.publish_as(key, content).await
        };
        store.door.pass(Operation::Publish, number(&key.hash), publish).await
    }

    async fn discard(self: Box<Self>) {}
}

#[derive(Debug)]
struct FaultyRead {
    copy: Arc<dyn BlobRead>,
    key: BlobKey,
    /// The byte that is another in whatever is read.
    flipped: Option<u64>,
    store: FaultyStore,
}

#[async_trait]
impl BlobRead for FaultyRead {
    fn size_bytes(&self) -> u64 {
        self.copy.size_bytes()
    }

    /// A store of files tells that somebody wrote to one: what was found good before says nothing then.
    fn version(&self) -> Option<FileVersion> {
        self.flipped.map(|at| FileVersion { device: 1, inode: number(&self.key.hash), changed: (1, i64::try_from(at).unwrap_or(0)) })
    }

    fn is_sequential(&self) -> bool {
        self.store.is_sequential
    }

    async fn read_at(&self, offset: u64, length: usize) -> Result<Bytes, BlobError> {
        let read = |fault| async move {
            let mut bytes = self.copy.read_at(offset, length).await?.to_vec();
            // A store whose reads are no passes gives the same bytes again: there a bit is another from the opening on.
            if fault == Some(Fault::Short) || fault == Some(Fault::Flipped) && !self.store.is_sequential {
                let (size_bytes, found_bytes) = (self.size_bytes(), offset);
                return Err(BlobError::Damaged { key: self.key, damage: Damage::Short { size_bytes, found_bytes } });
            }
            if fault == Some(Fault::Flipped) && !bytes.is_empty() {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
            }
            if let Some(at) = self.flipped.and_then(|at| at.checked_sub(offset)).and_then(|at| usize::try_from(at).ok())
                && let Some(byte) = bytes.get_mut(at)
            {
                *byte ^= 1;
            }
            Ok(bytes.into())
        };
        self.store.door.pass(Operation::Read, number(&self.key.hash), read).await
    }
}

struct FaultyInventory {
    walk: Box<dyn Inventory>,
    door: Door,
    failed: bool,
}

#[async_trait]
impl Inventory for FaultyInventory {
    async fn next(&mut self) -> Result<Option<Vec<InventoryItem>>, BlobError> {
        if self.failed {
            return Err(BlobError::Internal { reason: "an inventory that failed is asked to go on" });
        }
        // A call that is given up half way ends the walk, too.
        self.failed = true;
        let walk = &mut self.walk;
        let next = self.door.pass(Operation::Inventory, 0, move |_| walk.next()).await?;
        self.failed = false;
        Ok(next)
    }
}
