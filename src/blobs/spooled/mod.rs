//! An object store before which a local disk stands: what the service cannot take now is published there, and put to the service later ("destaged").
//!
//! A copy has the same key, and the same bytes, in both places, so that it does no harm where both have it: a put whose answer got lost, or a crash
//! between the put and the local deletion. The local store's listing is all that says what waits; nothing else could be lost. Decision 0034 has every
//! state and what a crash makes of it.
//!
//! - Published: to the service; where that is away, does not answer in time, or fails, to the local disk, if that is allowed and there is room.
//! - Destaged (`destage`): put, read back from the service and hashed, then deleted locally.
//! - Deleted: locally first, then at the service. One at a time has a key in hand, so that nothing puts a copy back after its deletion.

mod backlog;
mod both;
mod destage;
mod inventory;
mod stage;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock, Weak};

use async_trait::async_trait;
use bytes::Bytes;

pub use self::backlog::{Backlog, BacklogFigures};
use self::both::BothInventory;
pub use self::destage::Destaged;
use super::store::{BlobRead, BlobStore, Deletion, Inventory, InventoryItem, Marker, Staged, Usage};
use super::{AbsentStore, BlobError, DerivedKind, DerivedStore, DiskStore, ObjectStore};
use crate::model::{BlobHash, BlobKey};
use crate::runtime::Clock;

/// What may be kept on the local disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpooledSettings {
    /// Whether anything new is. What lies there already is read and destaged either way.
    pub takes: bool,
    /// How many bytes, all together.
    pub max_bytes: u64,
}

/// An object store and the local disk before it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SpooledStore(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Where uploads are received and copies wait; none where the store is only looked at and nothing waits.
    local: Option<DiskStore>,
    /// None until it has answered once and was found to be the site's own: until then nothing is put there.
    service: RwLock<Option<ObjectStore>>,
    backlog: Backlog,
    settings: SpooledSettings,
}

/// A store that may have been dropped.
#[derive(Debug, Clone)]
pub struct WeakSpooledStore(Weak<Shared>);

impl WeakSpooledStore {
    /// The store, where somebody still has it.
    pub fn upgrade(&self) -> Option<SpooledStore> {
        self.0.upgrade().map(SpooledStore)
    }
}

/// Whether this may mean that the service is away: what was put may be there all the same, under its own key.
fn is_away(error: &BlobError) -> bool {
    matches!(error, BlobError::Away | BlobError::Unavailable { .. })
}

impl SpooledStore {
    /// Looks what waits in `local`. No service is behind it yet, see [`SpooledStore::join`]: until then it counts as away.
    ///
    /// # Errors
    /// What the listing of the local store meets.
    pub async fn open(local: Option<DiskStore>, clock: Clock, settings: SpooledSettings) -> Result<Self, BlobError> {
        let backlog = Backlog::new(clock);
        if let Some(local) = &local {
            let mut walk = local.inventory();
            while let Some(items) = walk.next().await? {
                for item in items {
                    match item {
                        InventoryItem::Copy { key, size_bytes } => backlog.found(key, size_bytes),
                        InventoryItem::Foreign { path } => tracing::warn!(path = %path.display(), "not a photo of ours: left in the spool"),
                    }
                }
            }
        }
        Ok(Self(Arc::new(Shared { local, service: RwLock::default(), backlog, settings })))
    }

    /// Puts the service behind it, which was found to be the site's own.
    pub fn join(&self, service: ObjectStore) {
        *self.0.service.write().unwrap_or_else(PoisonError::into_inner) = Some(service);
    }

    /// The service, where it has answered once.
    pub fn service(&self) -> Option<ObjectStore> {
        self.0.service.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The local store that uploads are received in.
    pub fn local(&self) -> Option<&DiskStore> {
        self.0.local.as_ref()
    }

    /// Whether the service is known not to answer.
    pub fn is_away(&self) -> bool {
        self.service().is_none_or(|service| service.is_away())
    }

    /// The same store, for who must not keep it open.
    pub fn downgrade(&self) -> WeakSpooledStore {
        WeakSpooledStore(Arc::downgrade(&self.0))
    }

    /// Removes what an earlier process left half received.
    ///
    /// # Errors
    /// What the local disk meets.
    pub async fn sweep(&self) -> Result<(), BlobError> {
        match &self.0.local {
            Some(local) => local.sweep().await,
            None => Ok(()),
        }
    }

    /// Who claimed the service last from here: whose the local copies are. Also while the service is away.
    ///
    /// # Errors
    /// What the local disk meets.
    pub async fn local_marker(&self) -> Result<Option<Marker>, BlobError> {
        match &self.0.local {
            Some(local) => local.marker().await,
            None => Ok(None),
        }
    }

    /// Writes down locally whose the service is, so that a start can do without it. Best effort: the claim stands either way.
    pub async fn note_claim(&self, marker: Marker) {
        let Some(local) = &self.0.local else { return };
        let noting = async {
            match local.marker().await? {
                Some(found) if found.site == marker.site && found.epoch >= marker.epoch => Ok(()),
                found => local.claim(found, marker).await,
            }
        };
        if let Err(error) = noting.await {
            tracing::warn!(%error, "the claim could not be noted beside the spool: a start needs the service to answer");
        }
    }

    fn require_service(&self) -> Result<ObjectStore, BlobError> {
        self.service().ok_or(BlobError::Away)
    }

    fn require_local(&self) -> Result<&DiskStore, BlobError> {
        self.0.local.as_ref().ok_or(BlobError::Internal { reason: "a store that was opened to be looked at is put to" })
    }

    fn takes(&self, size_bytes: u64) -> bool {
        self.0.settings.takes && self.0.backlog.has_room(size_bytes, self.0.settings.max_bytes)
    }

    /// The local store, where this copy waits in it.
    fn waiting(&self, key: &BlobKey) -> Option<&DiskStore> {
        self.0.local.as_ref().filter(|_| self.0.backlog.contains(key))
    }
}

#[async_trait]
impl BlobStore for SpooledStore {
    async fn stage(&self, expected_bytes: Option<u64>) -> Result<Box<dyn Staged>, BlobError> {
        // Nobody sends what cannot be kept.
        if self.is_away() && !self.takes(expected_bytes.unwrap_or(0)) {
            return Err(BlobError::Away);
        }
        let staged = self.require_local()?.stage_here(expected_bytes)?;
        Ok(Box::new(stage::SpooledStaged::new(self.clone(), staged)))
    }

    async fn open(&self, key: &BlobKey) -> Result<Arc<dyn BlobRead>, BlobError> {
        self.open_part(key, 0..u64::MAX).await
    }

    async fn open_part(&self, key: &BlobKey, part: Range<u64>) -> Result<Arc<dyn BlobRead>, BlobError> {
        let Some(local) = self.waiting(key) else { return self.require_service()?.open_part(key, part).await };
        match local.open(key).await {
            Ok(read) => Ok(read),
            // Destaged just now: then the service has it.
            Err(BlobError::NotFound) if !self.0.backlog.contains(key) => self.require_service()?.open_part(key, part).await,
            // Destaged by one who ended before it could say so; or a put whose answer got lost.
            Err(BlobError::NotFound) => self.require_service()?.open_part(key, part).await,
            Err(error) => match self.service() {
                // Where it is not there either, what the disk says stands.
                Some(service) => service.open_part(key, part).await.map_err(|_| error),
                None => Err(error),
            },
        }
    }

    async fn stored_bytes(&self, key: &BlobKey) -> Result<u64, BlobError> {
        if let Some(local) = self.waiting(key)
            && let Ok(size_bytes) = local.stored_bytes(key).await
        {
            return Ok(size_bytes);
        }
        self.require_service()?.stored_bytes(key).await
    }

    async fn copies(&self, hash: &BlobHash) -> Result<Vec<BlobKey>, BlobError> {
        let here = self.0.backlog.copies(hash);
        let there = match self.service() {
            Some(service) => service.copies(hash).await,
            None => Err(BlobError::Away),
        };
        let mut all = match there {
            Ok(there) => [here, there].concat(),
            // One that cannot say what it has may have one.
            Err(_) if !here.is_empty() => here,
            Err(error) => return Err(error),
        };
        all.sort_unstable();
        all.dedup();
        Ok(all)
    }

    /// Locally first: from then on nothing can put it back. A copy at the service stays while another of the same photo waits here, so that no
    /// photo that was safe there is left on this disk alone.
    async fn delete(&self, key: &BlobKey) -> Result<Deletion, BlobError> {
        let backlog = &self.0.backlog;
        // Being put: whoever deletes comes again.
        let _in_hand = backlog.take(key).ok_or(BlobError::Busy)?;
        if !backlog.contains(key) && !backlog.copies(&key.hash).is_empty() {
            match self.require_service()?.stored_bytes(key).await {
                Ok(_) => return Err(BlobError::Busy),
                Err(BlobError::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        // Also where it is not known to wait: its publication may have failed half way.
        self.require_local()?.delete(key).await?;
        backlog.remove(key);
        self.require_service()?.delete(key).await
    }

    fn inventory(&self) -> Box<dyn Inventory> {
        let there: Box<dyn Inventory> = match self.service() {
            Some(service) => service.inventory(),
            None => AbsentStore.inventory(),
        };
        Box::new(BothInventory::new(Box::new(inventory::BacklogInventory::new(self.0.backlog.clone())), there))
    }

    async fn marker(&self) -> Result<Option<Marker>, BlobError> {
        self.require_service()?.marker().await
    }

    async fn claim(&self, expected: Option<Marker>, new: Marker) -> Result<(), BlobError> {
        self.require_service()?.claim(expected, new).await?;
        self.note_claim(new).await;
        Ok(())
    }

    async fn probe(&self) -> Result<(), BlobError> {
        let probed = match self.service() {
            Some(service) => service.probe().await,
            None => Err(BlobError::Away),
        };
        match probed {
            Err(error) if is_away(&error) && self.takes(0) => self.require_local()?.probe().await,
            probed => probed,
        }
    }

    async fn usage(&self) -> Result<Option<Usage>, BlobError> {
        match self.service() {
            Some(service) => service.usage().await,
            None => Ok(None),
        }
    }

    fn backlog(&self) -> Option<Backlog> {
        Some(self.0.backlog.clone())
    }
}

/// At the service alone: what is derived is made again.
#[async_trait]
impl DerivedStore for SpooledStore {
    async fn get_derived(&self, kind: DerivedKind, of: &BlobHash) -> Result<Option<Bytes>, BlobError> {
        self.require_service()?.get_derived(kind, of).await
    }

    async fn put_derived(&self, kind: DerivedKind, of: &BlobHash, bytes: Bytes) -> Result<(), BlobError> {
        self.require_service()?.put_derived(kind, of, bytes).await
    }

    async fn delete_derived(&self, kind: DerivedKind, of: &BlobHash) -> Result<(), BlobError> {
        self.require_service()?.delete_derived(kind, of).await
    }
}
