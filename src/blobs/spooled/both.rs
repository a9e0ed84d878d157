//! Two listings as one: ascending, each copy once.

use std::collections::VecDeque;

use async_trait::async_trait;

use crate::blobs::error::INVENTORY_ENDED;
use crate::blobs::{BlobError, Inventory, InventoryItem};
use crate::model::BlobKey;

/// Items given at once.
const BATCH: usize = 1024;

/// A walk over both. An error of either ends it.
pub(super) struct BothInventory {
    legs: [Leg; 2],
    failed: bool,
}

struct Leg {
    inventory: Box<dyn Inventory>,
    /// Given by the leg, and still to be given.
    copies: VecDeque<(BlobKey, u64)>,
    ended: bool,
}

impl BothInventory {
    pub(super) fn new(first: Box<dyn Inventory>, second: Box<dyn Inventory>) -> Self {
        let leg = |inventory| Leg { inventory, copies: VecDeque::new(), ended: false };
        Self { legs: [leg(first), leg(second)], failed: false }
    }
}

impl Leg {
    /// Sees to it that a copy is at hand, where there is one; what lies there as foreign is given on at once.
    async fn fill(&mut self, foreign: &mut Vec<InventoryItem>) -> Result<(), BlobError> {
        while self.copies.is_empty() && !self.ended {
            let Some(items) = self.inventory.next().await? else {
                self.ended = true;
                break;
            };
            for item in items {
                match item {
                    InventoryItem::Copy { key, size_bytes } => self.copies.push_back((key, size_bytes)),
                    item @ InventoryItem::Foreign { .. } => foreign.push(item),
                }
            }
        }
        Ok(())
    }

    fn next_key(&self) -> Option<BlobKey> {
        self.copies.front().map(|(key, _)| *key)
    }
}

#[async_trait]
impl Inventory for BothInventory {
    async fn next(&mut self) -> Result<Option<Vec<InventoryItem>>, BlobError> {
        if std::mem::replace(&mut self.failed, true) {
            return Err(INVENTORY_ENDED);
        }
        let mut items = vec![];
        while items.len() < BATCH {
            let [first, second] = &mut self.legs;
            first.fill(&mut items).await?;
            second.fill(&mut items).await?;
            let Some(least) = [first.next_key(), second.next_key()].into_iter().flatten().min() else { break };
            // Where both have it, the first one's length is told: it is the one that is relied on.
            let mut size_bytes = None;
            for leg in [first, second] {
                if let Some((_, size)) = leg.copies.pop_front_if(|(key, _)| *key == least) {
                    size_bytes = size_bytes.or(Some(size));
                }
            }
            items.extend(size_bytes.map(|size_bytes| InventoryItem::Copy { key: least, size_bytes }));
        }
        self.failed = false;
        Ok((!items.is_empty()).then_some(items))
    }
}
