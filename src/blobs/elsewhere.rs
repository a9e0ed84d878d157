//! Where else a blob may be had from than where a store has its copy: the other leg of a pair; another site, one day.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;

use super::BlobError;
use super::store::{BlobRead, BlobStore};
use crate::model::BlobKey;

/// Another place that may have the bytes of a blob.
#[async_trait]
pub trait BlobSource: Send + Sync + Debug {
    /// What the log calls it.
    fn name(&self) -> &'static str;

    /// Opens the blob of this copy as this place has it: the same copy, or any other of the same bytes. They are not checked here.
    ///
    /// # Errors
    /// Those of [`BlobStore::open`].
    async fn fetch(&self, key: &BlobKey) -> Result<Arc<dyn BlobRead>, BlobError>;
}

/// Is told of copies that turned out bad at their own place, where they may be repaired.
pub trait DamageObserver: Send + Sync + Debug {
    /// The copy is damaged or gone. It may be told again and again.
    fn is_bad(&self, key: &BlobKey, error: &BlobError);
}

/// A store that has the same copies.
#[derive(Debug, Clone)]
pub struct LegSource {
    name: &'static str,
    store: Arc<dyn BlobStore>,
}

impl LegSource {
    /// `name`: for the log.
    pub fn new(name: &'static str, store: Arc<dyn BlobStore>) -> Self {
        Self { name, store }
    }
}

#[async_trait]
impl BlobSource for LegSource {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn fetch(&self, key: &BlobKey) -> Result<Arc<dyn BlobRead>, BlobError> {
        self.store.open(key).await
    }
}

impl BlobError {
    /// Whether it says of a copy that it is not what it should be: it has to be repaired, waiting does not help.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::NotFound | Self::Damaged { .. })
    }

    /// Whether another place may have what this one cannot give.
    pub(super) fn may_be_had_elsewhere(&self) -> bool {
        self.is_damage() || matches!(self, Self::Unavailable { .. } | Self::Away | Self::Panicked)
    }
}
