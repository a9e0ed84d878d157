//! What waits, as a listing of a store.

use async_trait::async_trait;

use super::backlog::Backlog;
use crate::blobs::{BlobError, Inventory, InventoryItem};

/// Items given at once.
const BATCH: usize = 1024;

/// What waits when the walk begins. What is destaged while it goes on is given all the same: the service's listing may have passed its place.
pub(super) struct BacklogInventory {
    backlog: Backlog,
    rest: Option<std::vec::IntoIter<InventoryItem>>,
}

impl BacklogInventory {
    pub(super) fn new(backlog: Backlog) -> Self {
        Self { backlog, rest: None }
    }
}

#[async_trait]
impl Inventory for BacklogInventory {
    async fn next(&mut self) -> Result<Option<Vec<InventoryItem>>, BlobError> {
        let backlog = &self.backlog;
        let rest = self.rest.get_or_insert_with(|| backlog.items().into_iter());
        let batch: Vec<_> = rest.take(BATCH).collect();
        Ok((!batch.is_empty()).then_some(batch))
    }
}
