//! Whom a request speaks for, and what it may do.

use crate::model::{Owner, TokenId};

use super::ServiceError;

pub use crate::model::token::{Scope, Scopes};

/// Whether these scopes reach as far as `needed`: admin includes all, user includes read.
pub fn allow(scopes: Scopes, needed: Scope) -> bool {
    scopes.iter().any(|own| match own {
        Scope::Admin => true,
        Scope::Tenant => matches!(needed, Scope::Tenant),
        Scope::User => matches!(needed, Scope::User | Scope::Read),
        Scope::Read => matches!(needed, Scope::Read),
        Scope::Edge => matches!(needed, Scope::Edge),
    })
}

/// An authenticated request.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The user it speaks for.
    pub owner: Owner,
    /// With which token.
    pub token: TokenId,
    /// What that may do.
    pub scopes: Scopes,
    /// The request's id, for the audit log.
    pub request_id: Option<String>,
}

impl Caller {
    /// Whether the token reaches that far.
    pub fn allows(&self, needed: Scope) -> bool {
        allow(self.scopes, needed)
    }

    /// Refuses where the token does not reach.
    ///
    /// # Errors
    /// [`ServiceError::Forbidden`], naming the scope.
    pub fn require(&self, needed: Scope) -> Result<(), ServiceError> {
        if self.allows(needed) { Ok(()) } else { Err(ServiceError::Forbidden { needed: needed.as_str() }) }
    }

    /// Refuses a caller that may not act on this tenant: an administrator of the site may on all, one of a tenant on that.
    ///
    /// # Errors
    /// [`ServiceError::Forbidden`], whether the tenant exists or not.
    pub fn require_tenant(&self, tenant: crate::model::TenantId) -> Result<(), ServiceError> {
        if self.allows(Scope::Admin) || self.allows(Scope::Tenant) && self.owner.tenant == tenant {
            Ok(())
        } else if self.allows(Scope::Tenant) {
            Err(ServiceError::Forbidden { needed: Scope::Admin.as_str() })
        } else {
            Err(ServiceError::Forbidden { needed: Scope::Tenant.as_str() })
        }
    }
}
