//! `/v1/admin`: what administrators of the site and of tenants may do.

pub(super) mod audit;
pub(super) mod blobs;
pub(super) mod check;
pub(super) mod imports;
pub(super) mod inventory;
pub(super) mod keys;
pub(super) mod tenants;
pub(super) mod tokens;
pub(super) mod usage;
pub(super) mod users;

use serde::Deserialize;

use crate::model::{Owner, TenantId, UserId};
use crate::service::Caller;

/// Whose tokens or users: absent, the caller's own.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Whose {
    tenant: Option<TenantId>,
    user: Option<UserId>,
}

impl Whose {
    fn tenant(&self, caller: &Caller) -> TenantId {
        self.tenant.unwrap_or(caller.owner.tenant)
    }

    fn owner(&self, caller: &Caller) -> Owner {
        Owner { tenant: self.tenant(caller), user: self.user.unwrap_or(caller.owner.user) }
    }
}
