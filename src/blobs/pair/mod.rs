//! Two stores that hold the same copies: a store that is moved to another, or a mirror.
//!
//! The first leg is the one that is read, listed and relied on. What is published goes to it, and then from it to the second; a copy that the second
//! could not take, where that is allowed, is remembered as missed. A copy that the first leg has lost, or that is bad there, may be had from the second:
//! [`BlobStore::elsewhere`].

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

use super::store::{BlobRead, BlobStore, Deletion, Inventory, Marker, Staged, Usage};
use super::{Backlog, BlobError, BlobSource, Content, Digests, LegSource, SourceFile, TakeError, TakeFile, Taken, transfer};
use crate::model::{BlobHash, BlobKey};

/// Copies that are remembered as missed; past it only that there are more.
const MAX_MISSED: usize = 100_000;

/// Which legs a copy has to be durable on before it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// The first. What the second misses is remembered.
    First,
    /// Both.
    Both,
}

/// Two stores as one. Cheap to clone.
#[derive(Debug, Clone)]
pub struct PairStore {
    first: Arc<dyn BlobStore>,
    second: Arc<dyn BlobStore>,
    needs: Needs,
    missed: Arc<Missed>,
}

/// Copies that the second leg does not have, though it should.
#[derive(Debug, Default)]
pub struct Missed(Mutex<MissedKeys>);

#[derive(Debug, Default)]
struct MissedKeys {
    keys: BTreeSet<BlobKey>,
    /// More than are remembered.
    more: bool,
}

impl Missed {
    fn keys(&self) -> MutexGuard<'_, MissedKeys> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, key: BlobKey) {
        let mut missed = self.keys();
        if missed.keys.len() < MAX_MISSED {
            missed.keys.insert(key);
        } else {
            missed.more = true;
        }
    }

    fn forget(&self, key: &BlobKey) {
        self.keys().keys.remove(key);
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.keys().keys.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        let missed = self.keys();
        missed.keys.is_empty() && !missed.more
    }

    /// Remembers them once more.
    pub fn put_back(&self, keys: impl IntoIterator<Item = BlobKey>) {
        keys.into_iter().for_each(|key| self.note(key));
    }

    /// Takes all that are remembered; `None` where there were more: then everything has to be looked at.
    pub fn take(&self) -> Option<Vec<BlobKey>> {
        let missed = std::mem::take(&mut *self.keys());
        (!missed.more).then(|| missed.keys.into_iter().collect())
    }
}

impl PairStore {
    /// `missed`: where it is remembered what the second leg lacks.
    pub fn new(first: Arc<dyn BlobStore>, second: Arc<dyn BlobStore>, needs: Needs, missed: Arc<Missed>) -> Self {
        Self { first, second, needs, missed }
    }

    /// The leg that is relied on.
    pub fn first(&self) -> &Arc<dyn BlobStore> {
        &self.first
    }

    /// The other.
    pub fn second(&self) -> &Arc<dyn BlobStore> {
        &self.second
    }

    /// Sees to it that a copy that the first leg has is on the second.
    pub(super) async fn pass_on(&self, key: &BlobKey, content: &Content) -> Result<(), BlobError> {
        // Before it is tried: whoever goes away half way leaves it remembered.
        self.missed.note(*key);
        match transfer::transfer(&*self.first, &*self.second, key, content).await {
            Ok(_) => {
                self.missed.forget(key);
                Ok(())
            }
            Err(error) if self.needs == Needs::Both => Err(error),
            Err(error) => {
                tracing::warn!(%key, %error, "the second blob store could not take a copy; it is tried again");
                Ok(())
            }
        }
    }
}

#[async_trait]
impl BlobStore for PairStore {
    async fn stage(&self, expected_bytes: Option<u64>) -> Result<Box<dyn Staged>, BlobError> {
        Ok(Box::new(PairStaged { staged: self.first.stage(expected_bytes).await?, pair: self.clone() }))
    }

    async fn stage_file(&self, source: &SourceFile, how: TakeFile) -> Result<(Box<dyn Staged>, Taken), TakeError> {
        let (staged, taken) = self.first.stage_file(source, how).await?;
        Ok((Box::new(PairStaged { staged, pair: self.clone() }), taken))
    }

    async fn open(&self, key: &BlobKey) -> Result<Arc<dyn BlobRead>, BlobError> {
        self.first.open(key).await
    }

    async fn open_part(&self, key: &BlobKey, part: Range<u64>) -> Result<Arc<dyn BlobRead>, BlobError> {
        self.first.open_part(key, part).await
    }

    fn elsewhere(&self) -> Vec<Arc<dyn BlobSource>> {
        vec![Arc::new(LegSource::new("second store", self.second.clone()))]
    }

    async fn stored_bytes(&self, key: &BlobKey) -> Result<u64, BlobError> {
        self.first.stored_bytes(key).await
    }

    async fn copies(&self, hash: &BlobHash) -> Result<Vec<BlobKey>, BlobError> {
        let (first, second) = futures_util::join!(self.first.copies(hash), self.second.copies(hash));
        // One that cannot say what it has may have one.
        let mut all = match (first, second) {
            (Ok(first), Ok(second)) => [first, second].concat(),
            (Ok(some), Err(_)) | (Err(_), Ok(some)) if !some.is_empty() => some,
            (Err(error), _) | (_, Err(error)) => return Err(error),
        };
        all.sort_unstable();
        all.dedup();
        Ok(all)
    }

    /// From both, the second first: what is gone from the first is never read from the second again.
    async fn delete(&self, key: &BlobKey) -> Result<Deletion, BlobError> {
        self.missed.forget(key);
        let other = self.second.delete(key).await?;
        let one = self.first.delete(key).await?;
        Ok(match (one, other) {
            (Deletion::Absent, Deletion::Absent) => Deletion::Absent,
            (Deletion::Gone, _) | (_, Deletion::Gone) => Deletion::Gone,
            _ => Deletion::Deleted,
        })
    }

    /// Of the first alone: what it lacks is to be seen, though the second has it.
    fn inventory(&self) -> Box<dyn Inventory> {
        self.first.inventory()
    }

    async fn marker(&self) -> Result<Option<Marker>, BlobError> {
        let marker = self.first.marker().await?;
        let other = self.second.marker().await?;
        if other == marker {
            return Ok(marker);
        }
        Err(BlobError::Refused { reason: format!("the two blob stores are claimed differently: {marker:?} and {other:?}") })
    }

    async fn claim(&self, expected: Option<Marker>, new: Marker) -> Result<(), BlobError> {
        self.first.claim(expected, new).await?;
        let other = self.second.marker().await?;
        if other == Some(new) { Ok(()) } else { self.second.claim(other, new).await }
    }

    /// Of the first alone: without the second photos are served all the same.
    async fn probe(&self) -> Result<(), BlobError> {
        self.first.probe().await
    }

    async fn usage(&self) -> Result<Option<Usage>, BlobError> {
        self.first.usage().await
    }

    fn backlog(&self) -> Option<Backlog> {
        self.first.backlog()
    }
}

/// Received by the first leg.
struct PairStaged {
    staged: Box<dyn Staged>,
    pair: PairStore,
}

#[async_trait]
impl Staged for PairStaged {
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
        self.staged.publish_as(key, content).await?;
        // An error dooms the key, and its deletion goes to both.
        self.pair.pass_on(key, content).await
    }

    async fn discard(self: Box<Self>) {
        self.staged.discard().await;
    }
}

#[cfg(test)]
mod tests;
