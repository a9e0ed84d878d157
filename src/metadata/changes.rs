//! What commits took away or changed that others may remember: told once it is durable.

use std::fmt::Debug;

use crate::model::{BlobHash, TenantId};

/// Of one batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// References that ended: of which tenant, to which blob. The tenant may have others.
    pub ended: Vec<(TenantId, BlobHash)>,
    /// Whether a tenant was made, edited or deleted.
    pub tenants: bool,
}

impl Changes {
    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.ended.is_empty() && !self.tenants
    }

    pub(super) fn add(&mut self, other: Self) {
        self.ended.extend(other.ended);
        self.tenants |= other.tenants;
    }
}

/// Who is told of what others may remember. Called on the writer's thread, before anybody is answered, so it must be quick.
pub trait ChangeObserver: Send + Sync + Debug + 'static {
    /// A batch was written; or it failed and may turn up all the same.
    fn changed(&self, changes: Changes);
}
